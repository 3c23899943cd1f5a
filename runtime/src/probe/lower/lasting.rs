//! Patches that last for some time, and patches of the instruction itself.

use super::TooComplex;
use super::body::Body;
use super::code::Atom;
use crate::probe::action::Action;
use crate::probe::lasting::Changed;
use crate::uop::Operand;
use spile_lang::ir::{BitsOp, Builtin, Expr, ExprKind, LValue, Lasting, Stmt, StmtKind};
use spile_lang::target::RegisterSlot;
use spile_lang::types::Type;

type Result<T> = std::result::Result<T, TooComplex>;

impl Body<'_> {
    pub(super) fn transient(&mut self, patch: &Stmt, lasts: Lasting, s: &Stmt) -> Result<()> {
        let (StmtKind::Write { target, .. } | StmtKind::Bits { target, .. }) = &patch.kind else { return Ok(()) };
        let changed = match target {
            LValue::Register(register) => match register.slot {
                RegisterSlot::Int(n) => Changed::Int(n),
                RegisterSlot::Vector(n) => Changed::Vector(n),
                RegisterSlot::Flags => Changed::Flags,
                RegisterSlot::Pc => return Ok(()),
            },
            LValue::Destination => match self.place.destination() {
                Some(Operand::DefX(n)) => Changed::Int(n),
                Some(Operand::DefV(n)) => Changed::Vector(n),
                _ => return Ok(()),
            },
            LValue::Memory { .. } => Changed::Memory { addr: 0, bytes: 0 },
            LValue::Insn | LValue::Accessed => return Ok(()),
        };
        let args = self.pack(&[Atom::Const(changed.word())])?;
        self.act(Action::LastingBegin, args, s)?;
        self.change(patch)?;
        // The thread is asked to look at when that is over.
        self.point.poll_for_probes = true;
        let none = self.pack(&[])?;
        self.act(Action::LastingEnd(lasts), none, s)
    }

    pub(super) fn trace_for(&mut self, lasts: Lasting, s: &Stmt) -> Result<()> {
        self.point.poll_for_probes = true;
        let none = self.pack(&[])?;
        self.act(Action::TraceFor(lasts), none, s)
    }

    /// `write insn = …`: what probes say later counts.
    pub(super) fn write_insn(&mut self, value: &Expr, s: &Stmt) -> Result<()> {
        let bits = Type::Int { bits: 32, signed: false };
        let new = self.value_for(value, bits)?.low();
        self.replace_insn(new, s)
    }

    pub(super) fn change_insn(&mut self, op: BitsOp, mask: &Expr, s: &Stmt) -> Result<()> {
        let mark = self.code.mark();
        let bits = Type::Int { bits: 32, signed: false };
        let fetched = Expr { kind: ExprKind::Builtin(Builtin::InsnBits), ty: bits, span: s.span };
        let fetched = self.atom(&fetched)?;
        let args = self.pack(&[fetched])?;
        let now = self.call_action(Action::InsnNow, args, s)?;
        let mask = self.expr(mask)?;
        let new = self.apply(op, now, mask)?.low();
        self.replace_insn(new, s)?;
        self.code.release(mark);
        Ok(())
    }

    fn replace_insn(&mut self, new: Atom, s: &Stmt) -> Result<()> {
        self.point.replaces = true;
        let args = self.pack(&[new])?;
        self.act(Action::ReplaceInsn, args, s)?;
        self.patched("insn", s)
    }

    /// Writes what the instruction has written.
    pub(super) fn write_destination(&mut self, value: &Expr, s: &Stmt) -> Result<()> {
        let Some(destination) = self.place.destination() else { return Ok(()) };
        let new = self.value_for(value, Type::Word)?;
        match destination {
            Operand::DefX(d) => self.code.copy_to(d, new.low()),
            Operand::DefV(d) => self.write_vector(d, 0, 64, true, new)?,
            _ => {}
        }
        self.patched("insn.dst", s)
    }

    pub(super) fn change_destination(&mut self, op: BitsOp, mask: &Expr, s: &Stmt) -> Result<()> {
        let Some(destination) = self.place.destination() else { return Ok(()) };
        let mark = self.code.mark();
        let bits = self.expr(mask)?;
        let old = self.destination()?;
        let new = self.apply(op, old, bits)?;
        match destination {
            Operand::DefX(d) => self.code.copy_to(d, new.low()),
            Operand::DefV(d) => self.insert(d, crate::uop::Lanes::D2, 0, new.low())?,
            _ => {}
        }
        self.code.release(mark);
        self.patched("insn.dst", s)
    }
}
