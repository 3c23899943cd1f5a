//! Branches as events: where control is about to go.
//!
//! A probe of a conditional branch is lowered twice, once for either way, behind the condition: in each copy the target
//! is known, so that counting edges costs what counting instructions costs.

use super::access::only_computes;
use super::body::Body;
use super::code::{Atom, Code, Label, Value};
use super::fold::Static;
use super::place::Place;
use super::{Point, ProbeSplicer, TooComplex};
use crate::probe::action::Action;
use crate::translate::PROBE_END;
use crate::uop::{JumpHint, UnOp, Uop, slot};
use spile_lang::ir::{self, ProbeId, Stmt};

type Result<T> = std::result::Result<T, TooComplex>;

impl Place<'_> {
    /// The micro-op that transfers control, if the instruction has one.
    fn jump(&self) -> Option<&Uop> {
        self.body().last().filter(|uop| uop.ends_block() && !matches!(uop, Uop::Next | Uop::Trap { .. }))
    }

    fn is_conditional(&self) -> bool {
        matches!(self.jump(), Some(Uop::BrZero { .. } | Uop::BrBit { .. } | Uop::BrCc { .. }))
    }

    /// Where control goes, if that is known.
    pub(super) fn branch_target(&self) -> Option<u64> {
        match (self.jump()?, self.taken) {
            (Uop::Jump { target, .. }, _) => Some(*target),
            (Uop::BrZero { target, .. } | Uop::BrBit { target, .. } | Uop::BrCc { target, .. }, Some(taken)) => {
                Some(if taken { *target } else { self.fall_through() })
            }
            _ => None,
        }
    }

    /// Whether the branch is taken, if that is known.
    pub(super) fn branch_taken(&self) -> Option<bool> {
        if self.is_conditional() { self.taken } else { Some(true) }
    }

    pub(super) fn branch_kind(&self) -> Static {
        let kind = match self.jump() {
            Some(Uop::Jump { hint: JumpHint::Call, .. }) => "call",
            Some(Uop::Jump { .. }) => "jump",
            Some(Uop::JumpInd { hint: JumpHint::Call, .. }) => "indirect call",
            Some(Uop::JumpInd { hint: JumpHint::Return, .. }) => "return",
            Some(Uop::JumpInd { .. }) => "indirect jump",
            _ => "conditional",
        };
        Static::Text(kind.to_owned())
    }

    /// Appends what the jump needs of its own instruction. That has no effect but on temporaries.
    fn compute_operands(&self, uops: &mut Vec<Uop>) {
        let straight = self.body().split_last().map_or(&[][..], |(_, straight)| straight);
        uops.extend(straight.iter().filter(|uop| only_computes(uop)));
    }
}

impl ProbeSplicer<'_> {
    /// True if the probe's body is another one for either way that the branch can go.
    pub(super) fn depends_on_branch(&self, id: ProbeId, place: &Place<'_>) -> bool {
        matches!(self.probe(id).event, ir::Event::Branch) && place.is_conditional()
    }

    /// Appends the body for either way.
    pub(super) fn body_of_branch(&mut self, place: &Place<'_>, id: ProbeId, point: &mut Point, uops: &mut Vec<Uop>) {
        place.compute_operands(uops);
        let d = slot::PROBE;
        let (nz, a) = match place.jump() {
            Some(&Uop::BrBit { set, bit, a, .. }) => {
                uops.push(Uop::BfxU { d, a, lsb: bit, len: 1 });
                (set, d)
            }
            Some(&Uop::BrCc { cc, .. }) => {
                uops.push(Uop::Cond { d, cc });
                (true, d)
            }
            Some(&Uop::BrZero { nz, a, .. }) => (nz, a),
            _ => return,
        };
        let (mut taken, mut end) = (Label::default(), Label::default());
        Code::new(uops, d, PROBE_END).jump_if(nz, Atom::Slot(a), &mut taken);
        self.body(&place.going(false), id, point, uops);
        Code::new(uops, d, PROBE_END).jump(&mut end);
        Code::new(uops, d, PROBE_END).bind(taken);
        self.body(&place.going(true), id, point, uops);
        Code::new(uops, d, PROBE_END).bind(end);
    }
}

impl Body<'_> {
    /// Where an indirect branch goes.
    pub(super) fn indirect_target(&mut self) -> Result<Value> {
        let Some(&Uop::JumpInd { a, .. }) = self.place.jump() else { return Ok(Value::One(Atom::ZERO)) };
        self.place.compute_operands(self.code.uops);
        let d = self.code.temp()?;
        self.code.push(Uop::Un { op: UnOp::Mov, d, a });
        Ok(Value::One(Atom::Slot(d)))
    }

    /// The line of a branch.
    pub(super) fn trace_branch(&mut self, s: &Stmt) -> Result<()> {
        let target = match self.place.branch_target() {
            Some(target) => Atom::Const(target),
            None => self.indirect_target()?.low(),
        };
        let taken = Atom::Const(self.place.branch_taken().unwrap_or(true).into());
        let args = self.pack(&[target, taken])?;
        self.act(Action::TraceBranch, args, s)
    }
}
