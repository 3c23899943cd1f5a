//! Statements to micro-ops.

use super::body::{Body, Flow};
use super::code::{Atom, Label, Value};
use super::expr::{NZCV_SHIFT, lane, pieces};
use super::fold::truncate;
use super::{Plan, REDIRECT_FLAG, REDIRECT_TARGET, TooComplex};
use crate::probe::action::{Action, PrintPart};
use crate::probe::state::{HIST_BUCKETS, bucket_of};
use crate::records::MOST_ARGUMENTS;
use crate::uop::{BinOp, Lanes, UnOp, Uop, X, slot};
use crate::vector::XvOp;
use spile_lang::ir::{
    AggFn, AssignOp, BinaryOp, BitsOp, Event, Expr, ExprKind, GotoTarget, LValue, LocalId, MemType, Moment, PrintArg,
    PrintValue, StateId, StateKind, Stmt, StmtKind,
};
use spile_lang::target::{Register, RegisterSlot};
use spile_lang::types::Type;

type Result<T> = std::result::Result<T, TooComplex>;

impl Body<'_> {
    /// Lowers statements up to one that always leaves the body.
    pub(super) fn statements(&mut self, statements: &[Stmt]) -> Result<Flow> {
        for statement in statements {
            let mark = self.code.mark();
            self.code.span = statement.span;
            let flow = self.statement(statement)?;
            self.code.release(mark);
            if flow == Flow::Left {
                return Ok(Flow::Left);
            }
        }
        Ok(Flow::On)
    }

    fn statement(&mut self, s: &Stmt) -> Result<Flow> {
        match &s.kind {
            StmtKind::Write { .. } | StmtKind::Bits { .. } => self.change(s)?,
            StmtKind::Transient { patch, lasts } => self.transient(patch, lasts, s)?,
            StmtKind::Stick { target, mask, value, lasts } => {
                self.stick(target, mask.as_ref(), value, lasts.as_ref(), s)?;
            }
            StmtKind::TraceFor(lasts) => self.trace_for(lasts, s)?,
            StmtKind::Skip(_) if self.is_at_syscall() => self.finish_syscall(None, s)?,
            StmtKind::Skip(n) => self.skip(n, s)?,
            StmtKind::FinishSyscall(value) => self.finish_syscall(Some(value), s)?,
            StmtKind::FinishAccess(value) => self.finish_access(value.as_ref(), s)?,
            StmtKind::Goto(target) => self.goto(target, s)?,
            StmtKind::Return { result, link } => self.return_now(result.as_ref(), link, s)?,
            StmtKind::Raise(signal) => self.output(Action::Raise(*signal), &[], s)?,
            StmtKind::Print(args) => self.print(args, s)?,
            StmtKind::Trace => self.trace(s)?,
            StmtKind::Dump { addr, len } => self.output(Action::Dump, &[addr, len], s)?,
            StmtKind::Warn(text) => self.output(Action::Warn, &[text], s)?,
            StmtKind::Aggregate { state, value, keys } => self.aggregate(*state, value.as_ref(), keys, s)?,
            StmtKind::SetLocal { local, value } => self.set_local(*local, value)?,
            StmtKind::SetState { state, keys, op, value } => self.set_state(*state, keys, *op, value, s)?,
            StmtKind::If { cond, then, otherwise } => return self.if_else(cond, then, otherwise),
            StmtKind::For { over, body } => self.for_loop(over, body, s)?,
            StmtKind::Next => return Ok(self.go_on()),
            StmtKind::Assert { cond, message, text } => self.assert(cond, message.as_ref(), text, s)?,
            StmtKind::Fail(text) => {
                self.output(Action::Fail, &[text], s)?;
                return Ok(self.leave_body());
            }
            StmtKind::Exit(status) => {
                self.output(Action::Exit, &[status], s)?;
                return Ok(self.leave_body());
            }
            StmtKind::Enable(probes) => self.output(Action::Enable(probes.clone()), &[], s)?,
            StmtKind::Disable(probes) => self.output(Action::Disable(probes.clone()), &[], s)?,
            StmtKind::Reset(states) => self.output(Action::StateReset(states.clone()), &[], s)?,
            StmtKind::Delete { state, keys } => {
                let keys: Vec<&Expr> = keys.iter().collect();
                self.output(Action::StateDelete(*state), &keys, s)?;
            }
        }
        Ok(Flow::On)
    }

    /// `next`.
    fn go_on(&mut self) -> Flow {
        self.code.jump(self.iterations.last_mut().unwrap_or(&mut self.leave));
        Flow::Left
    }

    fn leave_body(&mut self) -> Flow {
        self.code.jump(&mut self.leave);
        Flow::Left
    }

    /// An action on values, without a result.
    fn output(&mut self, action: Action, args: &[&Expr], s: &Stmt) -> Result<()> {
        let args = self.arguments(args)?;
        self.act(action, args, s)
    }

    // ---- flow

    fn if_else(&mut self, cond: &Expr, then: &[Stmt], otherwise: &[Stmt]) -> Result<Flow> {
        if let Some(known) = self.fold(cond) {
            return self.statements(if known.is_true() { then } else { otherwise });
        }
        let mark = self.code.mark();
        let (mut no, mut end) = (Label::default(), Label::default());
        self.branch(cond, false, &mut no)?;
        self.code.release(mark);
        self.depth += 1;
        let first = self.statements(then)?;
        if first == Flow::On && !otherwise.is_empty() {
            self.code.jump(&mut end);
        }
        self.code.bind(no);
        let second = self.statements(otherwise)?;
        self.code.bind(end);
        self.depth -= 1;
        Ok(if first == Flow::Left && second == Flow::Left { Flow::Left } else { Flow::On })
    }

    fn assert(&mut self, cond: &Expr, message: Option<&Expr>, text: &str, s: &Stmt) -> Result<()> {
        let mut holds = Label::default();
        self.branch(cond, true, &mut holds)?;
        let args: Vec<&Expr> = message.into_iter().collect();
        let action = Action::AssertFailed { text: text.to_owned(), message: message.is_some() };
        // A condition that is known to hold costs nothing.
        if self.fold(cond).is_none_or(|known| !known.is_true()) {
            self.output(action, &args, s)?;
        }
        self.code.bind(holds);
        Ok(())
    }

    // ---- control of the guest

    /// The system call is not made; of several that say so the first one counts.
    fn finish_syscall(&mut self, value: Option<&Expr>, s: &Stmt) -> Result<()> {
        let args = match value {
            Some(value) => self.arguments(&[value])?,
            None => (slot::ZERO, 0),
        };
        let first = self.call_action(Action::FinishSyscall, args, s)?.low();
        let mut over = Label::default();
        self.code.jump_if(false, first, &mut over);
        self.patched(if value.is_some() { "ret" } else { "skip" }, s)?;
        self.code.bind(over);
        Ok(())
    }

    fn skip(&mut self, n: &Expr, s: &Stmt) -> Result<()> {
        let count = self.atom(n)?;
        let len = self.place.insn_len();
        let base = self.place.skip_base();
        let mut none = Label::default();
        let target = match (base, count) {
            (_, Atom::Const(0)) => return Ok(()),
            (base, count) if self.place.skips_unknown(count) => {
                self.code.jump_if(false, count, &mut none);
                self.depth += u32::from(none.is_used());
                let args = self.pack(&[base, count])?;
                self.call_action(Action::SkipOver, args, s)?.low()
            }
            (Atom::Const(base), Atom::Const(n)) => Atom::Const(base.wrapping_add(n.wrapping_mul(len))),
            (base, Atom::Const(n)) => {
                let d = self.code.temp()?;
                self.code.bin(BinOp::Add64, d, base, Atom::Const(n.wrapping_mul(len)))?;
                Atom::Slot(d)
            }
            (base, count) => {
                // `skip 0` is no skip; to go to this very instruction would be an endless loop.
                self.code.jump_if(false, count, &mut none);
                self.depth += 1;
                let d = self.code.temp()?;
                self.code.bin(BinOp::Mul64, d, count, Atom::Const(len))?;
                self.code.bin(BinOp::Add64, d, Atom::Slot(d), base)?;
                Atom::Slot(d)
            }
        };
        self.redirect(target, Some("skip"), s)?;
        if none.is_used() {
            self.depth -= 1;
        }
        self.code.bind(none);
        Ok(())
    }

    fn goto(&mut self, target: &GotoTarget, s: &Stmt) -> Result<()> {
        let target = match target {
            GotoTarget::Loc(loc) => match self.host.address_of(loc) {
                Some(address) => Atom::Const(address),
                None => return Ok(()),
            },
            GotoTarget::Expr(e) => self.atom(e)?,
        };
        self.redirect(target, Some("goto"), s)
    }

    /// Execution goes on at `target` after the last probe of this point. The report calls it `what`, if it is a patch of
    /// its own; of several at one point only the one that wins is counted.
    pub(super) fn redirect(&mut self, target: Atom, what: Option<&str>, s: &Stmt) -> Result<()> {
        // The access of a late event has been made, and with it the instruction.
        if let Some(access) = self.place.access
            && access.is_late()
            && self.refuses_atomic(access, s)?
        {
            return Ok(());
        }
        // A program counter has as many bits as its register.
        let bits = self.shared.isa.register("pc").map_or(64, |pc| pc.bits);
        let target = match target {
            Atom::Const(target) => Atom::Const(target & u64::MAX >> (64 - bits)),
            Atom::Slot(_) => target,
        };
        let certain = self.is_certain();
        self.point.redirects += 1;
        self.point.certain = certain;
        match self.point.plan {
            Plan::None => {}
            Plan::Always => {
                self.point.target = match target {
                    Atom::Const(_) => target,
                    Atom::Slot(_) => {
                        self.code.move_to(REDIRECT_TARGET, target);
                        self.cut_target(bits);
                        Atom::Slot(REDIRECT_TARGET)
                    }
                };
                self.redirected(what, s)?;
            }
            Plan::Explore | Plan::Flagged { several: false } => {
                self.set_redirect(target, bits);
                self.redirected(what, s)?;
            }
            Plan::Flagged { several: true } => {
                let (mut first, mut done) = (Label::default(), Label::default());
                let decided = self.is_decided()?;
                self.code.jump_if(false, decided, &mut first);
                self.act(Action::SecondRedirect, (slot::ZERO, 0), s)?;
                self.code.jump(&mut done);
                self.code.bind(first);
                self.set_redirect(target, bits);
                self.redirected(what, s)?;
                self.code.bind(done);
            }
        }
        Ok(())
    }

    fn redirected(&mut self, what: Option<&str>, s: &Stmt) -> Result<()> {
        what.map_or(Ok(()), |what| self.patched(what, s))
    }

    fn cut_target(&mut self, bits: u8) {
        if bits < 64 {
            self.code.push(Uop::BfxU { d: REDIRECT_TARGET, a: REDIRECT_TARGET, lsb: 0, len: bits });
        }
    }

    fn set_redirect(&mut self, target: Atom, bits: u8) {
        match target {
            Atom::Const(imm) => self.code.push(Uop::MovI { d: REDIRECT_TARGET, imm }),
            Atom::Slot(a) => {
                self.code.push(Uop::Un { op: UnOp::Mov, d: REDIRECT_TARGET, a });
                self.cut_target(bits);
            }
        }
        self.code.push(Uop::MovI { d: REDIRECT_FLAG, imm: 1 });
    }

    // ---- patches

    /// A `write`, `flip`, `set` or `clear`.
    pub(super) fn change(&mut self, s: &Stmt) -> Result<()> {
        match &s.kind {
            StmtKind::Write { target, value } => self.write(target, value, s),
            StmtKind::Bits { op, target, mask } => self.change_bits(*op, target, mask, s),
            _ => Ok(()),
        }
    }

    fn write(&mut self, target: &LValue, value: &Expr, s: &Stmt) -> Result<()> {
        match target {
            LValue::Insn => self.write_insn(value, s)?,
            LValue::Destination => self.write_destination(value, s)?,
            LValue::Accessed => self.write_accessed(value, s)?,
            LValue::Register(register) if register.slot == RegisterSlot::Pc => {
                let target = self.atom(value)?;
                self.redirect(target, Some("pc"), s)?;
            }
            LValue::Register(register) => {
                let new = self.value_for(value, register.ty)?;
                self.write_register(register, new)?;
                self.hold_stuck(register.slot);
                self.patched(&register.name, s)?;
            }
            LValue::Memory { ty, addr } => {
                let (first, n) = self.memory_arguments(ty)?;
                self.move_address(first, addr)?;
                let mark = self.code.mark();
                let new = self.value_for(value, ty.ty)?;
                self.store_local(first + 1, new, Self::slot_type(ty));
                self.code.release(mark);
                self.write_memory(ty, (first, n), addr, s)?;
            }
        }
        Ok(())
    }

    /// Lowers a value that is going to be stored into something of type `ty`, whose width cuts it off.
    pub(super) fn value_for(&mut self, value: &Expr, ty: Type) -> Result<Value> {
        let mark = self.code.mark();
        let new = self.expr(value)?;
        let float = ty.is_float() || value.ty.is_float();
        if float || ty == Type::U128 { self.convert(mark, new, value.ty, ty, value) } else { Ok(new) }
    }

    pub(super) fn write_register(&mut self, register: &Register, value: Value) -> Result<()> {
        let (lsb, len) = (register.offset, register.bits);
        match register.slot {
            RegisterSlot::Int(slot::ZERO) | RegisterSlot::Pc => Ok(()),
            RegisterSlot::Int(d) => self.write_integer(d, lsb, len, register.zero_extends, value.low()),
            RegisterSlot::Vector(d) => self.write_vector(d, lsb, len, register.zero_extends, value),
            RegisterSlot::Flags => self.write_flags(lsb, len, value.low()),
            // They have no parts.
            RegisterSlot::System(reg) => {
                let a = self.code.slot(value.low())?;
                self.code.push(Uop::WriteSys { a, reg });
                Ok(())
            }
        }
    }

    fn write_integer(&mut self, d: X, lsb: u8, len: u8, zero_extends: bool, value: Atom) -> Result<()> {
        if len >= 64 {
            self.code.move_to(d, value);
            return Ok(());
        }
        let mask = u64::MAX >> (64 - len);
        match value {
            Atom::Const(imm) if zero_extends => self.code.push(Uop::MovI { d, imm: (imm & mask) << lsb }),
            Atom::Slot(a) if zero_extends && lsb == 0 && len == 32 => {
                self.code.push(Uop::Un { op: UnOp::Zext32, d, a })
            }
            Atom::Slot(a) if zero_extends && lsb == 0 => self.code.push(Uop::BfxU { d, a, lsb: 0, len }),
            value => {
                let b = self.code.slot(value)?;
                let a = if zero_extends { slot::ZERO } else { d };
                self.code.push(Uop::Bfi { d, a, b, lsb, len });
            }
        }
        Ok(())
    }

    pub(super) fn write_vector(&mut self, d: X, lsb: u8, len: u8, zero_extends: bool, value: Value) -> Result<()> {
        if len == 128 {
            let [low, high] = value.halves();
            return match (low, high) {
                (Atom::Const(imm), Atom::Const(0)) => {
                    self.code.push(Uop::VMovI { d, both: false, imm });
                    Ok(())
                }
                _ => {
                    self.insert(d, Lanes::D2, 0, low)?;
                    self.insert(d, Lanes::D2, 1, high)
                }
            };
        }
        let (t, index) = lane(lsb, len);
        match value.low() {
            Atom::Const(imm) if zero_extends && lsb == 0 => {
                self.code.push(Uop::VMovI { d, both: false, imm: imm & (u64::MAX >> (64 - len)) });
                Ok(())
            }
            value => {
                // The value is in a slot of its own before the register is cleared.
                let value = Atom::Slot(self.code.slot(value)?);
                if zero_extends {
                    self.code.push(Uop::VMovI { d, both: false, imm: 0 });
                }
                self.insert(d, t, index, value)
            }
        }
    }

    pub(super) fn insert(&mut self, d: X, t: Lanes, index: u32, value: Atom) -> Result<()> {
        let a = self.code.slot(value)?;
        self.code.push(Uop::Xv { op: XvOp::Insert, t, d, a, imm: index });
        Ok(())
    }

    fn write_flags(&mut self, lsb: u8, len: u8, value: Atom) -> Result<()> {
        let whole = lsb == 0 && len >= 32;
        let packed = match value {
            Atom::Const(value) if whole => Atom::Const(value >> NZCV_SHIFT & 15),
            value if whole => {
                let d = self.code.temp()?;
                self.code.bin(BinOp::Shr64, d, value, Atom::Const(NZCV_SHIFT))?;
                Atom::Slot(d)
            }
            value => {
                let b = self.code.slot(value)?;
                let d = self.code.temp()?;
                self.code.push(Uop::GetNzcv { d });
                let lsb = lsb.saturating_sub(NZCV_SHIFT as u8);
                self.code.push(Uop::Bfi { d, a: d, b, lsb, len: len.min(4) });
                Atom::Slot(d)
            }
        };
        let a = self.code.slot(packed)?;
        self.code.push(Uop::SetNzcv { a });
        Ok(())
    }

    fn change_bits(&mut self, op: BitsOp, target: &LValue, mask: &Expr, s: &Stmt) -> Result<()> {
        match target {
            LValue::Insn => self.change_insn(op, mask, s),
            LValue::Destination => self.change_destination(op, mask, s),
            LValue::Accessed => self.change_accessed(op, mask, s),
            LValue::Register(register) => {
                let mark = self.code.mark();
                let bits = self.expr(mask)?;
                let old = self.register(register)?;
                if let (RegisterSlot::Int(d), 64..) = (register.slot, register.bits) {
                    self.code.bin(op_of(op), d, old.low(), bits.low())?;
                } else if register.slot == RegisterSlot::Pc {
                    let new = self.apply(op, old, bits)?;
                    return self.redirect(new.low(), Some("pc"), s);
                } else {
                    let new = self.apply(op, old, bits)?;
                    self.write_register(register, new)?;
                }
                self.hold_stuck(register.slot);
                self.code.release(mark);
                self.patched(&register.name, s)
            }
            LValue::Memory { ty, addr } => {
                let (first, n) = self.memory_arguments(ty)?;
                self.move_address(first, addr)?;
                let mark = self.code.mark();
                let bits = self.expr(mask)?;
                let old = self.load_at(ty, Atom::Slot(first), s)?;
                let new = self.apply(op, old, bits)?;
                self.store_local(first + 1, new, Self::slot_type(ty));
                self.code.release(mark);
                self.write_memory(ty, (first, n), addr, s)
            }
        }
    }

    /// Changes the bits of a value, 128 bits wide or 64.
    pub(super) fn apply(&mut self, op: BitsOp, old: Value, bits: Value) -> Result<Value> {
        let [b0, b1] = bits.halves();
        let mut change = |old: Atom, bits: Atom| {
            let d = self.code.temp()?;
            self.code.bin(op_of(op), d, old, bits)?;
            Ok(Atom::Slot(d))
        };
        Ok(match old {
            Value::One(old) => Value::One(change(old, b0)?),
            Value::Two(low, high) => Value::Two(change(low, b0)?, change(high, b1)?),
        })
    }

    /// Slots for the arguments of [`Action::MemoryWrite`].
    fn memory_arguments(&mut self, ty: &MemType) -> Result<(X, u8)> {
        let n = if ty.bytes == 16 { 3 } else { 2 };
        Ok((self.code.temps(n)?, n as u8))
    }

    fn slot_type(ty: &MemType) -> Type {
        if ty.bytes == 16 { Type::U128 } else { Type::U64 }
    }

    fn move_address(&mut self, d: X, addr: &Expr) -> Result<()> {
        let mark = self.code.mark();
        let value = self.atom(addr)?;
        self.code.move_to(d, value);
        self.code.release(mark);
        Ok(())
    }

    fn write_memory(&mut self, ty: &MemType, args: (X, u8), addr: &Expr, s: &Stmt) -> Result<()> {
        let action = Action::MemoryWrite { bytes: ty.bytes, big_endian: ty.big_endian };
        let written = self.call_action(action, args, s)?.low();
        self.require_memory(written, args.0, false, s)?;
        let what = self.memory_name(ty, addr);
        self.patched(&what, s)
    }

    /// What the report calls it.
    pub(super) fn memory_name(&self, ty: &MemType, addr: &Expr) -> String {
        let address = match self.fold(addr) {
            Some(super::fold::Static::Int(address)) => format!("{address:#x}"),
            _ => "…".to_owned(),
        };
        let order = if ty.big_endian { "be" } else { "" };
        format!("{}{order}[{address}]", ty.ty)
    }

    /// Counts a patch; the first one is reported with where and when it happened.
    pub(super) fn patched(&mut self, what: &str, s: &Stmt) -> Result<()> {
        let cell = self.shared.patch_cell(self.host, self.id, what, s);
        let mark = self.code.mark();
        let count = self.code.temp()?;
        let mut over = Label::default();
        self.code.push(Uop::CellGet { d: count, cell });
        self.code.push(Uop::CellInc { cell, n: 1 });
        self.code.jump_if(true, Atom::Slot(count), &mut over);
        self.act(Action::Patched(what.to_owned()), (slot::ZERO, 0), s)?;
        self.code.bind(over);
        self.code.release(mark);
        Ok(())
    }

    // ---- output

    fn print(&mut self, args: &[PrintArg], s: &Stmt) -> Result<()> {
        // A text by itself, which nobody else sees, is made where it is printed.
        if let [PrintArg { name, value: PrintValue::Expr(text) }] = args
            && name.is_empty()
            && let ExprKind::Interp(parts) = &text.kind
            && self.fold(text).is_none()
        {
            let (pieces, values) = pieces(parts);
            return self.print_values(Action::PrintText(pieces), &values, s);
        }
        let mut parts = Vec::new();
        let mut values = Vec::new();
        for PrintArg { name, value } in args {
            let name = name.clone();
            match value {
                PrintValue::Expr(e) => {
                    parts.push(PrintPart::Value { name, ty: e.ty });
                    values.push(e);
                }
                PrintValue::State { state, top } => parts.push(PrintPart::State { name, state: *state, top: *top }),
            }
        }
        self.print_values(Action::Print(parts), &values, s)
    }

    /// Leaves a record of what is printed, where it means the same later, or prints it if there is no room for one.
    fn print_values(&mut self, action: Action, values: &[&Expr], s: &Stmt) -> Result<()> {
        let (args, n) = self.arguments(values)?;
        let texts_last = || values.iter().all(|value| !value.ty.is_text() || self.fold(value).is_some());
        let fits = usize::from(n) <= MOST_ARGUMENTS && action.may_be_recorded() && texts_last();
        // Without a slot for the answer the action alone will do.
        let Some(d) = fits.then(|| self.code.temp().ok()).flatten() else { return self.act(action, (args, n), s) };
        let action = self.action_number(action, s);
        let mut end = Label::default();
        self.code.push(Uop::Record { action, d, args, n });
        self.code.jump_if(true, Atom::Slot(d), &mut end);
        self.code.push(Uop::Action { action, d: slot::ZERO, args, n, state: false });
        self.code.bind(end);
        Ok(())
    }

    fn trace(&mut self, s: &Stmt) -> Result<()> {
        let program = self.program;
        let probe = &program.probes[self.id.0 as usize];
        if matches!(probe.event, Event::Call | Event::Return) {
            return self.trace_call(probe, s);
        }
        let action = match (&probe.event, probe.moment) {
            (Event::Insn(_), Moment::After) => Action::TraceEnd,
            (Event::Insn(_), _) => Action::TraceBegin,
            (Event::Block, _) => Action::TraceEvent("block"),
            (Event::Line, _) => Action::TraceEvent("line"),
            (Event::EveryInsns(_) | Event::EveryTime(_), _) => Action::TraceEvent("every"),
            (Event::Call | Event::Return, _) => unreachable!("traced above"),
            (Event::Begin, _) => Action::TraceEvent("begin"),
            (Event::End, _) => Action::TraceEvent("end"),
            (Event::Exit, _) => Action::TraceEvent("exit"),
            (Event::Access(_), _) => return self.trace_access(s),
            (Event::Branch, _) => return self.trace_branch(s),
            (Event::Spawn, _) => Action::TraceEvent("spawn"),
            (Event::Syscall(_), _) => return self.trace_syscall(s),
            (Event::Signal(_) | Event::Trap(_) | Event::Load(_) | Event::Output(_) | Event::Mark(_), _) => {
                Action::TraceHappening
            }
        };
        self.output(action, &[], s)
    }

    // ---- variables and globals

    fn set_local(&mut self, local: LocalId, value: &Expr) -> Result<()> {
        let program = self.program;
        let ty = program.probes[self.id.0 as usize].locals[local.0 as usize].ty;
        let mark = self.code.mark();
        let new = self.expr(value)?;
        let new = self.convert(mark, new, value.ty, ty, value)?;
        if let Atom::Slot(d) = self.locals[local.0 as usize].low() {
            self.store_local(d, new, ty);
        }
        Ok(())
    }

    fn aggregate(&mut self, state: StateId, value: Option<&Expr>, keys: &[Expr], s: &Stmt) -> Result<()> {
        let program = self.program;
        let StateKind::Aggregate(function) = program.states[state.0 as usize].kind else { return Ok(()) };
        if function == AggFn::Count
            && let Some(keys) = self.static_keys(keys)
            && let Some(cell) = self.host.entry_cell(state, &keys)
        {
            self.code.push(Uop::CellInc { cell, n: 1 });
            return Ok(());
        }
        if let (AggFn::Hist, Some(value)) = (function, value)
            && value.ty.is_integer()
            && value.ty != Type::U128
            && let Some(keys) = self.static_keys(keys)
            && let Some(cell) = self.host.entry_cell(state, &keys)
        {
            return self.count_in_bucket(cell, value);
        }
        if let (AggFn::Sum(_), [], Some(value)) = (function, keys, value)
            && value.ty.is_integer()
            && let Some(cell) = self.host.scalar_cell(state)
        {
            return self.add_to_cell(cell, value);
        }
        if self.aggregate_found(state, function, value, keys, s)? {
            return Ok(());
        }
        let args: Vec<&Expr> = keys.iter().chain(value).collect();
        self.output(Action::Aggregate(state, function), &args, s)
    }

    /// Counts in the bucket of a value; the first is in `cell`.
    fn count_in_bucket(&mut self, cell: u32, value: &Expr) -> Result<()> {
        let a = match self.atom(value)? {
            Atom::Const(value) => {
                self.code.push(Uop::CellInc { cell: cell + bucket_of(value) as u32, n: 1 });
                return Ok(());
            }
            Atom::Slot(a) => a,
        };
        let a = self.bucket(a)?;
        self.code.push(Uop::CellIncAt { cell, a, len: HIST_BUCKETS as u32 });
        Ok(())
    }

    /// The bucket of a value, as [`bucket_of`] says it.
    pub(super) fn bucket(&mut self, a: X) -> Result<X> {
        // 65 less the leading zeroes, which is 1 for 0; the first bucket for what is negative.
        let (bucket, negative) = (self.code.temp()?, self.code.temp()?);
        self.code.push(Uop::BinI { op: BinOp::Sar64, d: negative, a, imm: 63 });
        self.code.push(Uop::Un { op: UnOp::Clz64, d: bucket, a });
        self.code.push(Uop::Un { op: UnOp::Neg64, d: bucket, a: bucket });
        self.code.push(Uop::BinI { op: BinOp::Add64, d: bucket, a: bucket, imm: HIST_BUCKETS as u64 });
        self.code.push(Uop::Bin { op: BinOp::AndNot64, d: bucket, a: bucket, b: negative });
        Ok(bucket)
    }

    fn add_to_cell(&mut self, cell: u32, value: &Expr) -> Result<()> {
        match self.atom(value)? {
            Atom::Const(n) => self.code.push(Uop::CellInc { cell, n }),
            Atom::Slot(a) => {
                let d = self.code.temp()?;
                self.code.push(Uop::CellAdd { d, a, cell });
            }
        }
        Ok(())
    }

    /// The keys as they stand in slots, if all of them are known.
    fn static_keys(&mut self, keys: &[Expr]) -> Option<Vec<u64>> {
        let mut slots = Vec::new();
        for key in keys {
            let known = self.fold(key)?;
            for atom in self.constant(&known, key.ty).atoms() {
                match atom {
                    Atom::Const(value) => slots.push(value),
                    Atom::Slot(_) => return None,
                }
            }
        }
        Some(slots)
    }

    fn set_state(&mut self, state: StateId, keys: &[Expr], op: AssignOp, value: &Expr, s: &Stmt) -> Result<()> {
        let program = self.program;
        let ty = match program.states[state.0 as usize].kind {
            StateKind::Value { ty, .. } => ty,
            StateKind::Aggregate(_) => value.ty,
        };
        if keys.is_empty()
            && let Some(cell) = self.integer_cell(state)
        {
            return self.set_cell(cell, ty, op, value, s);
        }
        if let (Type::Int { bits: 64, .. }, AssignOp::Add | AssignOp::Sub) = (ty, op)
            && let Some(keys) = self.static_keys(keys)
            && let Some(cell) = self.host.entry_cell(state, &keys)
        {
            self.set_cell(cell, ty, op, value, s)?;
            self.code.push(Uop::CellInc { cell: cell + 1, n: 1 });
            return Ok(());
        }
        if self.add_to_found(state, ty, keys, op, value, s)? {
            return Ok(());
        }
        let widths = |e: &Expr| if e.ty == Type::U128 { 2 } else { 1 };
        let n: usize = keys.iter().map(widths).sum::<usize>() + if ty == Type::U128 { 2 } else { 1 };
        let first = self.code.temps(n)?;
        let mut at = first;
        for key in keys {
            let mark = self.code.mark();
            let slots = self.expr(key)?;
            self.store_local(at, slots, key.ty);
            self.code.release(mark);
            at += widths(key) as X;
        }
        let mark = self.code.mark();
        let new = self.expr(value)?;
        let new = self.convert(mark, new, value.ty, ty, value)?;
        self.store_local(at, new, ty);
        self.code.release(mark);
        self.act(Action::StateSet(state, op), (first, n as u8), s)
    }

    /// Assigns to a global integer in its cell.
    fn set_cell(&mut self, cell: u32, ty: Type, op: AssignOp, value: &Expr, s: &Stmt) -> Result<()> {
        let mark = self.code.mark();
        let new = self.expr(value)?;
        let new = self.convert(mark, new, value.ty, if op == AssignOp::Set { ty } else { Type::U64 }, value)?.low();
        let whole = truncate(u64::MAX, ty) == u64::MAX && !matches!(ty, Type::Bool | Type::Int { bits: 0..64, .. });
        match (op, new) {
            (AssignOp::Set, new) => {
                let a = self.code.slot(new)?;
                self.code.push(Uop::CellSet { a, cell });
            }
            (AssignOp::Add, Atom::Const(n)) if whole => self.code.push(Uop::CellInc { cell, n }),
            (AssignOp::Sub, Atom::Const(n)) if whole => self.code.push(Uop::CellInc { cell, n: n.wrapping_neg() }),
            (AssignOp::Add, Atom::Slot(a)) if whole => {
                let d = self.code.temp()?;
                self.code.push(Uop::CellAdd { d, a, cell });
            }
            (AssignOp::Sub, Atom::Slot(a)) if whole => {
                let d = self.code.temp()?;
                self.code.push(Uop::Un { op: UnOp::Neg64, d, a });
                self.code.push(Uop::CellAdd { d, a: d, cell });
            }
            (op, new) => {
                let old = self.code.temp()?;
                self.code.push(Uop::CellGet { d: old, cell });
                let above = self.code.mark();
                let combined = self.arithmetic(above, combine(op), Atom::Slot(old), new, s)?.low();
                let above = self.code.mark();
                let combined = self.narrow(above, combined, Type::U64, ty)?.low();
                let a = self.code.slot(combined)?;
                self.code.push(Uop::CellSet { a, cell });
            }
        }
        Ok(())
    }
}

fn op_of(op: BitsOp) -> BinOp {
    match op {
        BitsOp::Flip => BinOp::Xor64,
        BitsOp::Set => BinOp::Or64,
        BitsOp::Clear => BinOp::AndNot64,
    }
}

fn combine(op: AssignOp) -> BinaryOp {
    match op {
        AssignOp::Set | AssignOp::Or => BinaryOp::Or,
        AssignOp::Add => BinaryOp::Add,
        AssignOp::Sub => BinaryOp::Sub,
        AssignOp::Mul => BinaryOp::Mul,
        AssignOp::And => BinaryOp::And,
        AssignOp::Xor => BinaryOp::Xor,
    }
}
