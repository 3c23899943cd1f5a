//! The code of `during` and `from`: a test of the thread's slots, and behind that a question if they cannot tell; see
//! [`crate::probe::inside`].

use super::TooComplex;
use super::body::{Body, Flow};
use super::calls::is_after_call;
use super::code::{Atom, Label};
use crate::probe::calls::{Request, is_call_event};
use crate::probe::inside::{is_in_functions, returns_into};
use crate::uop::{BinOp, UnOp, Uop, X, slot};
use spile_lang::ir::Probe;

type Result<T> = std::result::Result<T, TooComplex>;

/// Most stretches of code that a return address is compared with in line.
const COMPARED: usize = 4;

impl Body<'_> {
    /// Leaves unless the thread is inside a call of one of the functions of a `during`, filter number `index`.
    ///
    /// Below the stack pointer of the innermost open call, that call is open. In the function itself so is its call,
    /// whatever it has done to the stack pointer.
    pub(super) fn leave_unless_during(&mut self, index: usize) -> Result<Flow> {
        let extents = &self.host.functions(self.id, index).extents;
        let in_itself = self.place.insn_pc().is_some_and(|pc| returns_into(extents, pc.wrapping_add(1)));
        let known = self.leave_unless_bit(index)?;
        if known && in_itself && !self.place.nothing_is_static() {
            return Ok(Flow::On);
        }
        let mut inside = Label::default();
        if known {
            let sp = self.shared.sp;
            let d = self.code.temp()?;
            self.code.push(Uop::Bin { op: BinOp::LtU, d, a: sp, b: slot::CALL_SP });
            self.code.jump_if(true, Atom::Slot(d), &mut inside);
        }
        self.leave_unless_told(index)?;
        self.code.bind(inside);
        Ok(Flow::On)
    }

    /// Leaves unless the function that this code is in has been called by one of those of a `from`.
    pub(super) fn leave_unless_from(&mut self, probe: &Probe, index: usize) -> Result<Flow> {
        if is_call_event(probe) {
            return self.leave_unless_called_from(probe, index);
        }
        let function = self.place.insn_pc().filter(|_| is_in_functions(&probe.event));
        let function = match function.and_then(|pc| self.host.followed_function(pc)) {
            Some(function) => function,
            None if self.place.nothing_is_static() => 0x1000,
            None => {
                self.code.jump(&mut self.leave);
                return Ok(Flow::Left);
            }
        };
        let mut called = Label::default();
        if self.leave_unless_bit(index)? {
            let d = self.code.temp()?;
            self.code.push(Uop::BinI { op: BinOp::Eq, d, a: slot::CALL_ENTRY, imm: function });
            self.code.jump_if(true, Atom::Slot(d), &mut called);
        }
        self.leave_unless_told(index)?;
        self.code.bind(called);
        Ok(Flow::On)
    }

    /// At the entry and at the return of a function, the link register says who has called it; behind its return the place
    /// itself does.
    fn leave_unless_called_from(&mut self, probe: &Probe, index: usize) -> Result<Flow> {
        let extents = self.host.functions(self.id, index).extents.clone();
        if is_after_call(probe) && !self.place.nothing_is_static() {
            if returns_into(&extents, self.place.pc()) {
                return Ok(Flow::On);
            }
            self.code.jump(&mut self.leave);
            return Ok(Flow::Left);
        }
        let link = self.shared.link;
        if extents.is_empty() {
            self.code.jump(&mut self.leave);
            return Ok(Flow::Left);
        }
        if extents.len() > COMPARED {
            let args = self.code.temps(3)?;
            self.code.push(Uop::Un { op: UnOp::Mov, d: args, a: link });
            let d = self.ask_condition(Request::CalledFrom, args, 1, index);
            self.code.jump_if(false, Atom::Slot(d), &mut self.leave);
            return Ok(Flow::On);
        }
        let mut called = Label::default();
        let d = self.code.temp()?;
        for (n, range) in extents.iter().enumerate() {
            // The address of the call: a byte before where it returns to.
            self.code.push(Uop::BinI { op: BinOp::Sub64, d, a: link, imm: range.start.wrapping_add(1) });
            self.code.push(Uop::BinI { op: BinOp::LtU, d, a: d, imm: range.end - range.start });
            match n + 1 == extents.len() {
                true => self.code.jump_if(false, Atom::Slot(d), &mut self.leave),
                false => self.code.jump_if(true, Atom::Slot(d), &mut called),
            }
        }
        self.code.bind(called);
        Ok(Flow::On)
    }

    /// Leaves if the condition's bit says that it does not hold. False if it has no bit.
    fn leave_unless_bit(&mut self, index: usize) -> Result<bool> {
        let Some(bit) = self.host.inside_bit(self.id, index) else { return Ok(false) };
        let d = self.code.temp()?;
        self.code.push(Uop::BinI { op: BinOp::And64, d, a: slot::INSIDE, imm: 1 << bit });
        self.code.jump_if(false, Atom::Slot(d), &mut self.leave);
        Ok(true)
    }

    /// Asks whether the condition holds, and leaves if not.
    fn leave_unless_told(&mut self, index: usize) -> Result<()> {
        let args = self.code.temps(4)?;
        for (n, a) in [self.shared.sp, self.shared.link].into_iter().enumerate() {
            self.code.push(Uop::Un { op: UnOp::Mov, d: args + n as X, a });
        }
        let d = self.ask_condition(Request::Inside, args, 2, index);
        self.code.jump_if(false, Atom::Slot(d), &mut self.leave);
        Ok(())
    }

    /// Asks about filter number `index`, with `n` arguments before its name.
    fn ask_condition(&mut self, request: Request, args: X, n: X, index: usize) -> X {
        self.code.push(Uop::MovI { d: args + n, imm: u64::from(self.id.0) });
        self.code.push(Uop::MovI { d: args + n + 1, imm: index as u64 });
        self.code.push(Uop::Action { action: request.action(), d: args, args, n: n + 2, state: false });
        args
    }
}
