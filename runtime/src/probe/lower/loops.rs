//! `for`: the only code of probes that jumps backward.

use super::TooComplex;
use super::body::Body;
use super::code::{Atom, Label};
use crate::probe::action::Action;
use crate::uop::{BinOp, Uop};
use spile_lang::ir::{LocalId, Loop, StateId, Stmt};

type Result<T> = std::result::Result<T, TooComplex>;

impl Body<'_> {
    pub(super) fn for_loop(&mut self, over: &Loop, body: &[Stmt], s: &Stmt) -> Result<()> {
        self.depth += 1;
        match *over {
            Loop::Range { from, to, .. } if from >= to => {}
            Loop::Range { local, from, to } => self.range_loop(local, (from, to), body)?,
            Loop::Map { state, key, value } => self.map_loop(state, key, value, body, s)?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// Counts in a slot of its own: the body may assign to its variable.
    fn range_loop(&mut self, local: LocalId, (from, to): (i64, i64), body: &[Stmt]) -> Result<()> {
        let number = self.code.temp()?;
        self.code.push(Uop::MovI { d: number, imm: from as u64 });
        let head = self.code.head();
        self.set_slot(local, Atom::Slot(number));
        self.iteration(body)?;
        self.code.push(Uop::BinI { op: BinOp::Add64, d: number, a: number, imm: 1 });
        let mark = self.code.mark();
        let more = self.code.temp()?;
        self.code.push(Uop::BinI { op: BinOp::Ne, d: more, a: number, imm: to as u64 });
        self.code.push(Uop::LocalIf { nz: true, a: more, to: head });
        self.code.release(mark);
        Ok(())
    }

    fn map_loop(
        &mut self,
        state: StateId,
        key: LocalId,
        value: Option<LocalId>,
        body: &[Stmt],
        s: &Stmt,
    ) -> Result<()> {
        let handle = self.code.temp()?;
        let begun = self.call_action(Action::LoopBegin(state), (handle, 0), s)?.low();
        self.code.move_to(handle, begun);
        let head = self.code.head();
        let mark = self.code.mark();
        let mut end = Label::default();
        let more = self.call_action(Action::LoopNext, (handle, 1), s)?.low();
        self.code.jump_if(false, more, &mut end);
        let found = self.call_action(Action::LoopKey, (handle, 1), s)?.low();
        self.set_slot(key, found);
        if let Some(value) = value {
            let found = self.call_action(Action::LoopValue, (handle, 1), s)?.low();
            self.set_slot(value, found);
        }
        self.code.release(mark);
        self.iteration(body)?;
        self.code.push(Uop::Local { to: head });
        self.code.bind(end);
        Ok(())
    }

    fn iteration(&mut self, body: &[Stmt]) -> Result<()> {
        self.iterations.push(Label::default());
        self.statements(body)?;
        let next = self.iterations.pop().unwrap_or_default();
        self.code.bind(next);
        Ok(())
    }

    fn set_slot(&mut self, local: LocalId, value: Atom) {
        if let Atom::Slot(d) = self.locals[local.0 as usize].low() {
            self.code.copy_to(d, value);
        }
    }
}
