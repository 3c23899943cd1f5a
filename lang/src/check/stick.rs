//! `stick`: bits that are forced on every read.

use crate::ast::{self, BitSelect};
use crate::diag::Diagnostic;
use crate::ir::{BinaryOp, Expr, ExprKind, LValue, StmtKind};
use crate::span::Span;
use crate::types::Type;

use super::Checker;
use super::expr::{fits, int, literal, make, shown};
use super::stmt::Target;

impl Checker<'_> {
    pub(super) fn stick(&mut self, stick: &ast::Stick) -> Option<StmtKind> {
        let lasts = stick.duration.as_ref().map(|duration| self.lasting(duration));
        if self.probe.event == "end" {
            return self.fail(
                Diagnostic::error("E0403", "nothing is read any more")
                    .primary(stick.target.span, "no instructions come")
                    .secondary(self.probe.event_span, "after the last one"),
            );
        }
        let span = stick.target.span;
        let target = self.lvalue(&stick.target, "stick");
        let target = self.stuck_target(target?, span)?;
        let (mask, value) = match &stick.select {
            None => {
                let value = self.expr(&stick.value)?;
                (None, self.stored(&target, span, value)?)
            }
            Some(select) => {
                let (mask, value) = (self.selected(select, &target, span), self.integer(&stick.value, "a stuck value"));
                let mask = mask?;
                let value = self.stuck_value(select, value?, &target, span)?;
                (Some(mask), value)
            }
        };
        let lasts = match lasts {
            Some(lasts) => Some(lasts?),
            None => None,
        };
        Some(StmtKind::Stick { target, mask, value, lasts })
    }

    /// Registers and memory have bits that can be stuck.
    fn stuck_target(&mut self, target: Target, span: Span) -> Option<LValue> {
        let (what, why, help) = match target {
            Target::Place(LValue::Register(register)) => {
                if self.target.can_stick(&register) {
                    return Some(LValue::Register(register));
                }
                let help = "general and vector registers, the stack pointer and the flags can: `stick x3 bit 5 = 1`";
                (register.name, "not a register that instructions only read and write", help)
            }
            Target::Place(place @ LValue::Memory { .. }) => return Some(place),
            Target::Place(LValue::Insn) => {
                ("insn".to_string(), "an encoding, not a place", "write insn = 0xd503201f for 100 insns")
            }
            Target::Place(LValue::Destination) => {
                ("insn.dst".to_string(), "another register at each instruction", "stick x0 bit 5 = 1")
            }
            Target::Place(LValue::Accessed) => {
                ("value".to_string(), "one access, not a place", "stick u32[addr] bit 5 = 1")
            }
            Target::Pc => ("pc".to_string(), "the flow of control is no place", "goto main"),
        };
        self.fail(Diagnostic::error("E0403", format!("`{what}` cannot be stuck")).primary(span, why).help(help))
    }

    /// A value moved to the bits that it is for. With `mask` it stands there already.
    fn stuck_value(&mut self, select: &BitSelect, value: Expr, target: &LValue, at: Span) -> Option<Expr> {
        let (from, width) = match select {
            BitSelect::Mask(_) => return self.stored(target, at, value),
            BitSelect::Bit(n) => (self.integer(n, "a bit number")?, Some(1)),
            BitSelect::Bits(a, b) => {
                let (from, to) = (self.integer(a, "a bit number")?, self.integer(b, "a bit number")?);
                let width = literal(&from).zip(literal(&to)).and_then(|(from, to)| to.checked_sub(from));
                (from, width)
            }
        };
        if let (Some(n), Some(width)) = (literal(&value), width.filter(|&width| width < 64))
            && !fits(n, value.ty, width as u8)
        {
            let bits = if width == 1 { "one bit".to_string() } else { format!("{width} bits") };
            return self.fail(
                Diagnostic::error("E0401", format!("{} does not fit in {bits}", shown(n, value.ty)))
                    .primary(value.span, "too large")
                    .secondary(from.span, format!("{bits} of it"))
                    .help("the value counts from the lowest of the bits: `stick x3 bits 4..8 = 0xf`"),
            );
        }
        let span = value.span;
        let wide = self.shape(target).1 > 64;
        match (literal(&from), literal(&value)) {
            (Some(from), Some(n)) if wide => {
                Some(make(ExprKind::Int128(u128::from(n).checked_shl(from as u32).unwrap_or(0)), Type::U128, span))
            }
            (Some(from), Some(n)) => Some(int(n.checked_shl(from as u32).unwrap_or(0), span)),
            _ if wide => self.wide_bits(span),
            _ => {
                let kind = ExprKind::Binary(BinaryOp::Shl, Box::new(value), Box::new(from));
                Some(make(kind, Type::U64, span))
            }
        }
    }
}
