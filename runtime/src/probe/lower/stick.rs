//! Stuck bits: the statement, and what forces those of registers.
//!
//! A register with stuck bits holds what instructions are to read, so nothing that reads it need know; it is forced
//! behind each instruction that writes it, before anything else looks. Blocks have the code for that if a script names the
//! register in a `stick`, whether or not something is stuck: which bits are is the thread's
//! ([`crate::cpu::StuckRegisters`]). Memory needs no code: stores to such a page come by [`crate::mem::GuestMemory`].

use super::body::Body;
use super::code::{Atom, Value};
use super::{ProbeSplicer, TooComplex, walk};
use crate::probe::action::Action;
use crate::probe::lasting::Changed;
use crate::translate::{Site, Stickable};
use crate::uop::Uop;
use spile_lang::ir::{Expr, LValue, Lasting, Stmt, StmtKind};
use spile_lang::target::{Register, RegisterSlot};

type Result<T> = std::result::Result<T, TooComplex>;

/// The registers that a body may make bits of stuck.
pub(super) fn stickable(body: &[Stmt]) -> Stickable {
    let mut all = Stickable::default();
    walk::statements(body, &mut |stmt| {
        if let StmtKind::Stick { target: LValue::Register(register), .. } = &stmt.kind {
            all = all.with(of(register.slot));
        }
    });
    all
}

fn of(slot: RegisterSlot) -> Stickable {
    match slot {
        RegisterSlot::Int(n) => Stickable { x: 1u32.checked_shl(n.into()).unwrap_or(0), ..Stickable::default() },
        RegisterSlot::Vector(n) => Stickable { v: 1u32.checked_shl(n.into()).unwrap_or(0), ..Stickable::default() },
        RegisterSlot::Flags => Stickable { flags: true, ..Stickable::default() },
        RegisterSlot::Pc | RegisterSlot::System(_) => Stickable::default(),
    }
}

impl ProbeSplicer<'_> {
    pub(super) fn stick_written(&self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.shared.stickable.written(site.body).stick(uops);
    }
}

impl Body<'_> {
    pub(super) fn stick(
        &mut self,
        target: &LValue,
        mask: Option<&Expr>,
        value: &Expr,
        lasts: Option<&Lasting>,
        s: &Stmt,
    ) -> Result<()> {
        let (changed, ty, first_bit, bits, big_endian) = match target {
            LValue::Register(Register { slot, ty, offset, bits, .. }) => {
                let changed = match *slot {
                    RegisterSlot::Int(n) => Changed::Int(n),
                    RegisterSlot::Vector(n) => Changed::Vector(n),
                    RegisterSlot::Flags => Changed::Flags,
                    RegisterSlot::Pc | RegisterSlot::System(_) => return Ok(()),
                };
                (changed, *ty, u64::from(*offset), u16::from(*bits), false)
            }
            LValue::Memory { ty, .. } => {
                (Changed::Memory { addr: 0, bytes: ty.bytes }, ty.ty, 0, 8 * u16::from(ty.bytes), ty.big_endian)
            }
            LValue::Insn | LValue::Destination | LValue::Accessed => return Ok(()),
        };
        let place = match target {
            LValue::Memory { addr, .. } => self.atom(addr)?,
            _ => Atom::Const(first_bit),
        };
        // A selection of bits is about bits; only as a whole is a register a float.
        let value = match mask {
            Some(_) => self.expr(value)?,
            None => self.value_for(value, ty)?,
        };
        let mask = match mask {
            Some(mask) => self.expr(mask)?,
            None => Value::Two(Atom::Const(u64::MAX), Atom::Const(u64::MAX)),
        };
        let ([m0, m1], [v0, v1]) = (mask.halves(), value.halves());
        let words = [Atom::Const(changed.word()), place, Atom::Const(bits.into()), m0, m1, v0, v1];
        let args = self.pack(&words)?;
        self.point.poll_for_probes = true;
        let done = self.call_action(Action::Stick { big_endian, lasts: lasts.cloned() }, args, s)?.low();
        match target {
            LValue::Memory { ty, addr } => {
                self.require_memory(done, args.0 + 1, false, s)?;
                let what = self.memory_name(ty, addr);
                self.patched(&what, s)
            }
            LValue::Register(register) => self.patched(&register.name, s),
            LValue::Insn | LValue::Destination | LValue::Accessed => Ok(()),
        }
    }

    /// Behind a write of the body: bits that are stuck stay so.
    pub(super) fn hold_stuck(&mut self, slot: RegisterSlot) {
        let all = self.shared.stickable;
        let of = of(slot);
        Stickable { x: all.x & of.x, v: all.v & of.v, flags: all.flags & of.flags }.stick(self.code.uops);
    }

    /// As [`Body::hold_stuck`] for what the micro-ops from `start` on write.
    pub(super) fn hold_written(&mut self, start: usize) {
        self.shared.stickable.written(&self.code.uops[start..]).stick(self.code.uops);
    }
}
