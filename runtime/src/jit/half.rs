//! Native half precision: comparisons as integers, arithmetic in single precision.
//!
//! A sum, product, quotient or root of half-precision numbers that is rounded to single precision and then to half is
//! what it would be if rounded once, since single precision has more than twice the digits and two more; so are the
//! exceptions. The functions of [`super::direct`] do that, and make a NaN of each result that this is not true of, or
//! where the host finds tininess other than the guest: the reference computes all NaNs.

use super::direct;
use super::lower::{Lowering, trusted, v_offset, x_offset};
use crate::uop::{FlagKind, Lanes, Uop, V, slot};
use crate::vector::{V1Op, V2Op, V3Op, rounding};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4, F64, I8X16, I16X8, I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

/// The sign of each element.
const SIGNS: u64 = 0x8000;
/// The magnitude of an infinity: those of NaNs are above.
const INFINITY: u64 = 0x7c00;

fn is_half(t: Lanes) -> bool {
    matches!(t, Lanes::H | Lanes::H4 | Lanes::H8)
}

impl Lowering<'_, '_> {
    /// Native form of a micro-op on half-precision numbers; `None` if there is none.
    pub(super) fn half(&mut self, uop: Uop) -> Option<()> {
        match uop {
            Uop::V1 { op, t, d, a, imm } if is_half(t) => self.half1(uop, op, t, d, a, rounding::unstated(imm)),
            Uop::V2 { op, t, d, a, b, .. } if is_half(t) => self.half2(uop, op, t, d, a, b),
            Uop::V3 { op, t, d, a, b, c, .. } if is_half(t) => self.half3(uop, op, t, [d, a, b, c]),
            Uop::FCmp { t: Lanes::H, a, b, zero, .. } => self.compare_halves(uop, a, b, zero),
            _ => None,
        }
    }

    fn half1(&mut self, uop: Uop, op: V1Op, t: Lanes, d: V, a: V, imm: u32) -> Option<()> {
        let v = a;
        let a = self.get_v(a);
        let a = self.fit(t, a);
        match op {
            V1Op::FSqrt => {
                let value = self.call_direct(direct::half1(op)?, &[a], I8X16);
                self.finish_halves(uop, t, d, value, 0);
            }
            V1Op::FRound => {
                let function = direct::half_round(imm)?;
                let nan = self.halves_not_ordered(a);
                self.finish_vector(uop, d, nan, |l| l.call_direct(function, &[a], I8X16));
            }
            V1Op::SToF | V1Op::UToF => {
                let unit = self.every(F32X4, 2f64.powi(-(imm as i32)));
                let unit = self.bytes_of(unit);
                let value = self.call_direct(direct::half1(op)?, &[a, unit], I8X16);
                self.finish_halves(uop, t, d, value, 0);
            }
            V1Op::FToS | V1Op::FToU => {
                let (signed, fraction) = (op == V1Op::FToS, imm >> 8);
                let function = direct::half_to_int(signed, imm & 7)?;
                let unit = self.every(F32X4, 2f64.powi(fraction as i32));
                let unit = self.bytes_of(unit);
                // Numbers from the power of 2 on that is out of range, and of unsigned ones all negative ones.
                let bound = self.splat(I16X8, u64::from(if signed { 30 } else { 31 } - fraction) << 10);
                let number = if signed { self.magnitudes(a) } else { self.cast(a, I16X8) };
                let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, number, bound);
                let outside = self.b.ins().vany_true(outside);
                self.finish_vector(uop, d, outside, |l| l.call_direct(function, &[a, unit], I8X16));
            }
            V1Op::FCmpEq0 | V1Op::FCmpGt0 | V1Op::FCmpGe0 | V1Op::FCmpLe0 | V1Op::FCmpLt0 => {
                let cc = match op {
                    V1Op::FCmpEq0 => IntCC::Equal,
                    V1Op::FCmpGt0 => IntCC::SignedGreaterThan,
                    V1Op::FCmpGe0 => IntCC::SignedGreaterThanOrEqual,
                    V1Op::FCmpLe0 => IntCC::SignedLessThanOrEqual,
                    _ => IntCC::SignedLessThan,
                };
                let zero = self.wide_constant(0);
                self.compare_half_lanes(uop, cc, false, t, d, a, zero);
            }
            V1Op::FMaxAcross | V1Op::FMaxNumAcross | V1Op::FMinAcross | V1Op::FMinNumAcross if t != Lanes::H => {
                let least = matches!(op, V1Op::FMinAcross | V1Op::FMinNumAcross);
                let nan = self.halves_not_ordered(a);
                let ordered = self.in_order(a);
                let ordered = self.bytes_of(ordered);
                let extreme =
                    self.reduce(t, ordered, |l, x, y| if least { l.b.ins().smin(x, y) } else { l.b.ins().smax(x, y) })?;
                let value = self.in_order(extreme);
                let value = self.bytes_of(value);
                self.finish_vector(uop, d, nan, |_| value);
            }
            V1Op::FConvert => {
                let single = self.single_of_half(v)?;
                let value = if imm == 8 { self.b.ins().fpromote(F64, single) } else { single };
                self.finish_number(uop, d, value);
            }
            V1Op::FWiden if t != Lanes::H => {
                // The elements of the upper half, if there is one.
                let a = if t == Lanes::H8 { self.bytes(&[a], |i| (i < 8).then_some((0, i + 8))) } else { a };
                let value = self.call_direct(direct::singles_of_halves()?, &[a], I8X16);
                let value = self.cast(value, F32X4);
                self.finish_number(uop, d, value);
            }
            _ => return None,
        }
        Some(())
    }

    /// Element 0 of a slot in single precision; a signalling NaN becomes a quiet one.
    pub(super) fn single_of_half(&mut self, v: V) -> Option<Value> {
        let function = direct::singles_of_halves()?;
        let a = self.get_v(v);
        let a = self.fit(Lanes::H, a);
        let value = self.call_direct(function, &[a], I8X16);
        let value = self.cast(value, F32X4);
        Some(self.b.ins().extractlane(value, 0))
    }

    /// Sets `d` to single-precision or double-precision numbers, bytes of a vector, rounded to half.
    pub(super) fn finish_narrowed(&mut self, uop: Uop, t: Lanes, d: V, a: V) -> Option<()> {
        let function = if t.element() == 8 { direct::half_of_double()? } else { direct::halves_of_singles()? };
        let a = self.get_v(a);
        let a = self.fit(t, a);
        let value = self.call_direct(function, &[a], I8X16);
        self.finish_halves(uop, if t == Lanes::S4 { Lanes::H4 } else { Lanes::H }, d, value, 0);
        Some(())
    }

    /// Sets `d` to an integer in half precision, with fraction bits. Integers that single precision cannot hold are left
    /// to the reference.
    pub(super) fn half_from_int(&mut self, uop: Uop, signed: bool, d: V, value: Value, fraction: u32) -> Option<()> {
        let function = direct::halves_of_singles()?;
        let least = if signed { 1 << 24 } else { 0 };
        let (offset, limit) = (self.b.ins().iadd_imm_s(value, least), self.imm((1 << 24) + least as u64));
        let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThan, offset, limit);
        self.finish_vector(uop, d, outside, |l| {
            let value = l.b.ins().fcvt_from_sint(F32, value);
            let value = l.scaled(value, -(fraction as i32));
            let value = l.b.ins().scalar_to_vector(F32X4, value);
            let value = l.bytes_of(value);
            let value = l.call_direct(function, &[value], I8X16);
            let nan = l.halves_not_ordered(value);
            l.or_reference(uop, nan, |_| value, |l| l.b.ins().load(I8X16, trusted(), l.state, v_offset(d)))
        });
        Some(())
    }

    fn half2(&mut self, uop: Uop, op: V2Op, t: Lanes, d: V, a: V, b: V) -> Option<()> {
        let (a, b) = (self.get_v(a), self.get_v(b));
        let (a, mut b) = if matches!(op, V2Op::FAddP | V2Op::FMaxP | V2Op::FMaxNumP | V2Op::FMinP | V2Op::FMinNumP) {
            if t == Lanes::H {
                return None;
            }
            self.pairs(t, a, b)
        } else {
            (self.fit(t, a), self.fit(t, b))
        };
        match op {
            V2Op::FMax | V2Op::FMaxNum | V2Op::FMaxP | V2Op::FMaxNumP => self.half_extreme(uop, false, d, a, b),
            V2Op::FMin | V2Op::FMinNum | V2Op::FMinP | V2Op::FMinNumP => self.half_extreme(uop, true, d, a, b),
            V2Op::FCmpEq => self.compare_half_lanes(uop, IntCC::Equal, false, t, d, a, b),
            V2Op::FCmpGe => self.compare_half_lanes(uop, IntCC::SignedGreaterThanOrEqual, false, t, d, a, b),
            V2Op::FCmpGt => self.compare_half_lanes(uop, IntCC::SignedGreaterThan, false, t, d, a, b),
            V2Op::FCmpAbsGe => self.compare_half_lanes(uop, IntCC::SignedGreaterThanOrEqual, true, t, d, a, b),
            V2Op::FCmpAbsGt => self.compare_half_lanes(uop, IntCC::SignedGreaterThan, true, t, d, a, b),
            _ => {
                let function = direct::half2(op)?;
                if op == V2Op::FDiv {
                    // Ones where there are no elements, so that nothing is divided by zero there.
                    let ones = 0x3c00 * (u128::MAX / 0xffff);
                    let bits = 8 * (t.element() * t.count()) as u32;
                    let ones = self.wide_constant(ones.checked_shl(bits).unwrap_or(0));
                    b = self.b.ins().bor(b, ones);
                }
                let value = self.call_direct(function, &[a, b], I8X16);
                self.finish_halves(uop, t, d, value, if op == V2Op::FNMul { SIGNS } else { 0 });
            }
        }
        Some(())
    }

    fn half3(&mut self, uop: Uop, op: V3Op, t: Lanes, [d, a, b, c]: [V; 4]) -> Option<()> {
        let (negate_a, negate_b) = super::float::negations(op)?;
        let function = direct::half_mul_add()?;
        let mut operand = |v, negate| {
            let value = self.get_v(v);
            let value = if negate { self.inverted(value, SIGNS) } else { value };
            self.fit(t, value)
        };
        let (a, b, c) = (operand(a, negate_a), operand(b, negate_b), operand(c, false));
        let value = self.call_direct(function, &[a, b, c], I8X16);
        self.finish_halves(uop, t, d, value, 0);
        Some(())
    }

    /// Bytes with the bits `mask` of each halfword inverted.
    fn inverted(&mut self, value: Value, mask: u64) -> Value {
        let (value, mask) = (self.cast(value, I16X8), self.splat(I16X8, mask));
        let value = self.b.ins().bxor(value, mask);
        self.bytes_of(value)
    }

    /// Sets `d` to halves with the bits `invert` of each inverted, or to the reference's result if any is a NaN.
    fn finish_halves(&mut self, uop: Uop, t: Lanes, d: V, value: Value, invert: u64) {
        let nan = self.halves_not_ordered(value);
        self.finish_vector(uop, d, nan, |l| {
            let value = if invert == 0 { value } else { l.inverted(value, invert) };
            l.fit(t, value)
        });
    }

    fn magnitudes(&mut self, value: Value) -> Value {
        let (value, mask) = (self.cast(value, I16X8), self.splat(I16X8, SIGNS - 1));
        self.b.ins().band(value, mask)
    }

    /// Not zero if an element is a NaN.
    fn halves_not_ordered(&mut self, value: Value) -> Value {
        let (magnitudes, infinity) = (self.magnitudes(value), self.splat(I16X8, INFINITY));
        let nan = self.b.ins().icmp(IntCC::SignedGreaterThan, magnitudes, infinity);
        self.b.ins().vany_true(nan)
    }

    // ---- comparison

    /// Numbers as integers in their order, -0 below 0; and back.
    fn in_order(&mut self, value: Value) -> Value {
        let value = self.cast(value, I16X8);
        let amount = self.b.ins().iconst(I32, 15);
        let (signs, mask) = (self.b.ins().sshr(value, amount), self.splat(I16X8, SIGNS - 1));
        let flip = self.b.ins().band(signs, mask);
        self.b.ins().bxor(value, flip)
    }

    /// Numbers as integers in their order, the zeros equal.
    fn comparable(&mut self, value: Value) -> Value {
        let magnitudes = self.magnitudes(value);
        let (value, amount) = (self.cast(value, I16X8), self.b.ins().iconst(I32, 15));
        let signs = self.b.ins().sshr(value, amount);
        let inverted = self.b.ins().bxor(magnitudes, signs);
        self.b.ins().isub(inverted, signs)
    }

    fn half_extreme(&mut self, uop: Uop, least: bool, d: V, a: Value, b: Value) {
        let nan = self.either_not_ordered(a, b);
        let (a, b) = (self.in_order(a), self.in_order(b));
        let value = if least { self.b.ins().smin(a, b) } else { self.b.ins().smax(a, b) };
        let value = self.bytes_of(value);
        let value = self.in_order(value);
        let value = self.bytes_of(value);
        self.finish_vector(uop, d, nan, |_| value);
    }

    fn either_not_ordered(&mut self, a: Value, b: Value) -> Value {
        let (a, b) = (self.halves_not_ordered(a), self.halves_not_ordered(b));
        self.b.ins().bor(a, b)
    }

    #[allow(clippy::too_many_arguments, reason = "a comparison has two operands and four properties")]
    fn compare_half_lanes(&mut self, uop: Uop, cc: IntCC, magnitudes: bool, t: Lanes, d: V, a: Value, b: Value) {
        let nan = self.either_not_ordered(a, b);
        let (a, b) = if magnitudes {
            (self.magnitudes(a), self.magnitudes(b))
        } else {
            (self.comparable(a), self.comparable(b))
        };
        let mask = self.b.ins().icmp(cc, a, b);
        let mask = self.bytes_of(mask);
        let mask = self.fit(t, mask);
        self.finish_vector(uop, d, nan, |_| mask);
    }

    /// Packs the flags of comparing element 0.
    fn compare_halves(&mut self, uop: Uop, a: V, b: V, zero: bool) -> Option<()> {
        let a = self.get_v(a);
        let b = if zero { self.wide_constant(0) } else { self.get_v(b) };
        let (a, b) = (self.fit(Lanes::H, a), self.fit(Lanes::H, b));
        let nan = self.either_not_ordered(a, b);
        let (a, b) = (self.comparable(a), self.comparable(b));
        let (a, b) = (self.b.ins().extractlane(a, 0), self.b.ins().extractlane(b, 0));
        let hot = |l: &mut Self| {
            let [less, equal, greater] = [0b1000, 0b0110, 0b0010].map(|flags| l.imm(flags));
            let is_less = l.b.ins().icmp(IntCC::SignedLessThan, a, b);
            let value = l.b.ins().select(is_less, less, greater);
            let is_equal = l.b.ins().icmp(IntCC::Equal, a, b);
            l.b.ins().select(is_equal, equal, value)
        };
        let cold = |l: &mut Self| l.b.ins().load(I64, trusted(), l.state, x_offset(slot::FLAG_A));
        let flags = self.or_reference(uop, nan, hot, cold);
        let none = self.imm(0);
        self.set_flags(FlagKind::Nzcv, flags, none);
        Some(())
    }
}
