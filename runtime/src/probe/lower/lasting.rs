//! Patches that last for some time, and patches of the instruction itself.

use super::body::Body;
use super::code::{Atom, Code, Label};
use super::{ProbeSplicer, REDIRECT_TARGET, TooComplex, walk};
use crate::probe::action::Action;
use crate::probe::lasting::{Changed, Request};
use crate::translate::{PROBE_END, Site};
use crate::uop::{Uop, X, slot};
use spile_lang::ir::{BitsOp, Builtin, Expr, ExprKind, LValue, Lasting, Stmt, StmtKind};
use spile_lang::target::Register;
use spile_lang::types::Type;

type Result<T> = std::result::Result<T, TooComplex>;

/// True if something lasts for a number of hits of the probe.
pub(super) fn lasts_for_hits(body: &[Stmt]) -> bool {
    let mut found = false;
    walk::statements(body, &mut |stmt| {
        found |= matches!(
            stmt.kind,
            StmtKind::Transient { lasts: Lasting::Hits(_), .. }
                | StmtKind::Stick { lasts: Some(Lasting::Hits(_)), .. }
                | StmtKind::TraceFor(Lasting::Hits(_))
        );
    });
    found
}

impl ProbeSplicer<'_> {
    /// In front of everything else: ends what lasts up to here. If that has changed code, the instruction is looked at
    /// once more.
    pub(super) fn end_here(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        if !self.host.ends_at(site.insn.pc) {
            return;
        }
        let (mut code, mut over) = self.ask_while_something_waits(Request::Reached, REDIRECT_TARGET, uops);
        code.jump_if(false, Atom::Slot(REDIRECT_TARGET), &mut over);
        code.push(Uop::MovI { d: REDIRECT_TARGET, imm: site.insn.pc });
        code.push(Uop::Goto { a: REDIRECT_TARGET, done: false });
        code.bind(over);
    }

    /// In front of the probes of an instruction that may be another one for some time. True if so.
    pub(super) fn hold_here(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) -> bool {
        let holds = self.host.holds(site.insn.pc);
        if holds {
            let (mut code, none) = self.ask_while_something_waits(Request::Held, slot::ZERO, uops);
            code.bind(none);
        }
        holds
    }

    /// Appends the request, with its result in `d`. The label is for where code goes on if nothing waits.
    fn ask_while_something_waits<'u>(&mut self, request: Request, d: X, uops: &'u mut Vec<Uop>) -> (Code<'u>, Label) {
        let cell = self.host.waiting_cell();
        let mut nothing = Label::default();
        let mut code = Code::new(uops, REDIRECT_TARGET, PROBE_END);
        code.push(Uop::CellGet { d: REDIRECT_TARGET, cell });
        code.jump_if(false, Atom::Slot(REDIRECT_TARGET), &mut nothing);
        code.push(Uop::Action { action: request.action(), d, args: slot::ZERO, n: 0, state: true });
        (code, nothing)
    }
}

impl Body<'_> {
    pub(super) fn transient(&mut self, patch: &Stmt, lasts: &Lasting, s: &Stmt) -> Result<()> {
        let (StmtKind::Write { target, .. } | StmtKind::Bits { target, .. }) = &patch.kind else { return Ok(()) };
        let changed = match target {
            LValue::Register(register) => match Changed::register(register) {
                Some(changed) => changed,
                None => return Ok(()),
            },
            LValue::Destination => match self.place.destination().as_ref().and_then(Changed::register) {
                Some(changed) => changed,
                None => return Ok(()),
            },
            LValue::Memory { .. } => Changed::Memory { addr: 0, bytes: 0 },
            LValue::Accessed => return Ok(()),
            LValue::Insn => {
                self.change(patch)?;
                self.point.poll_for_probes = true;
                let none = self.pack(&[])?;
                return self.act(Action::HoldInsn(lasts.clone()), none, s);
            }
        };
        let args = self.pack(&[Atom::Const(changed.word())])?;
        self.act(Action::LastingBegin, args, s)?;
        self.change(patch)?;
        // The thread is asked to look at when that is over.
        self.point.poll_for_probes = true;
        let none = self.pack(&[])?;
        self.act(Action::LastingEnd(lasts.clone()), none, s)
    }

    pub(super) fn trace_for(&mut self, lasts: &Lasting, s: &Stmt) -> Result<()> {
        self.point.poll_for_probes = true;
        let none = self.pack(&[])?;
        self.act(Action::TraceFor(lasts.clone()), none, s)
    }

    /// The probe is hit: what has lasted for its number of hits ends in front of the body.
    pub(super) fn end_at_hit(&mut self) -> Result<()> {
        let mark = self.code.mark();
        let mut none = Label::default();
        let d = self.code.temp()?;
        let cell = self.host.waiting_cell();
        self.code.push(Uop::CellGet { d, cell });
        self.code.jump_if(false, Atom::Slot(d), &mut none);
        self.act(Action::LastingHit, (slot::ZERO, 0), &self.probe_key())?;
        self.code.bind(none);
        self.code.release(mark);
        Ok(())
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
        self.write_register(&destination, new)?;
        self.hold_stuck(destination.slot);
        self.patched("insn.dst", s)
    }

    pub(super) fn change_destination(&mut self, op: BitsOp, mask: &Expr, s: &Stmt) -> Result<()> {
        let Some(destination) = self.place.destination() else { return Ok(()) };
        let mark = self.code.mark();
        let bits = self.expr(mask)?;
        // What is above the word stays.
        let destination = Register { zero_extends: false, ..destination };
        let old = self.register(&destination)?;
        let new = self.apply(op, old, bits)?;
        self.write_register(&destination, new)?;
        self.hold_stuck(destination.slot);
        self.code.release(mark);
        self.patched("insn.dst", s)
    }
}
