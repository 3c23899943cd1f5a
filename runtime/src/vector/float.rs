//! Floating-point elements: which function of [`softfloat`] each operation applies to each element.

use super::lanes::{self, bits, build, get, get_s, halved, long_u, map_u, map2_u, pair_u, split, truth};
use super::softfloat::{self, Format, Rounding};
use super::{FpEnv, V1Op, V2Op, V3Op, rounding};
use crate::uop::Lanes;
use std::cmp::Ordering;

fn format(t: Lanes) -> Format {
    Format::of_bytes(t.element())
}

impl FpEnv {
    /// Runs `f` with the rounding that the immediate states, if it does.
    pub(super) fn rounded<T>(&mut self, imm: u32, f: impl FnOnce(&mut FpEnv) -> T) -> T {
        let Some(direction) = rounding::stated_in(imm) else { return f(self) };
        let mut stated = FpEnv { control: self.control_for(direction), status: self.status };
        let result = f(&mut stated);
        self.status = stated.status;
        result
    }
}

/// The direction in the low bits of an immediate.
fn direction(imm: u32, env: &FpEnv) -> Rounding {
    match imm & 7 {
        rounding::EVEN => Rounding::Even,
        rounding::UP => Rounding::Up,
        rounding::DOWN => Rounding::Down,
        rounding::ZERO => Rounding::Zero,
        rounding::AWAY => Rounding::Away,
        _ => env.rounding(),
    }
}

/// Operations with one operand; those of other kinds do not come here.
pub(super) fn v1(op: V1Op, t: Lanes, a: u128, imm: u32, env: &mut FpEnv) -> u128 {
    let f = format(t);
    let holds = |x: u64, signal: bool, wanted: fn(Ordering) -> bool, env: &mut FpEnv| {
        truth(softfloat::compare(f, x, 0, signal, env).is_some_and(wanted)) as u64
    };
    match op {
        V1Op::FAbs => map_u(t, a, |x| x & !f.sign()),
        V1Op::FNeg => map_u(t, a, |x| x ^ f.sign()),
        V1Op::FSqrt => map_u(t, a, |x| softfloat::sqrt(f, x, env)),
        V1Op::FRound => {
            let direction = direction(imm, env);
            map_u(t, a, |x| softfloat::round_to_integral(f, x, direction, imm & rounding::EXACT != 0, env))
        }
        V1Op::FRecipEst => map_u(t, a, |x| softfloat::recip_estimate(f, x, env)),
        V1Op::FRsqrtEst => map_u(t, a, |x| softfloat::rsqrt_estimate(f, x, env)),
        V1Op::FRecipExp => map_u(t, a, |x| softfloat::recip_exponent(f, x, env)),
        V1Op::FCmpEq0 => map_u(t, a, |x| holds(x, false, Ordering::is_eq, env)),
        V1Op::FCmpGt0 => map_u(t, a, |x| holds(x, true, Ordering::is_gt, env)),
        V1Op::FCmpGe0 => map_u(t, a, |x| holds(x, true, Ordering::is_ge, env)),
        V1Op::FCmpLe0 => map_u(t, a, |x| holds(x, true, Ordering::is_le, env)),
        V1Op::FCmpLt0 => map_u(t, a, |x| holds(x, true, Ordering::is_lt, env)),
        V1Op::FConvert => u128::from(softfloat::convert(f, Format::of_bytes(imm as usize), get(t, a, 0), None, env)),
        V1Op::FWiden => widen(t, a, env),
        V1Op::FNarrow => narrow(t, a, None, env),
        V1Op::FNarrowOdd => narrow(t, a, Some(Rounding::Odd), env),
        V1Op::FToS => map_u(t, a, |x| element_to_int(f, x, true, bits(t), imm, env)),
        V1Op::FToU => map_u(t, a, |x| element_to_int(f, x, false, bits(t), imm, env)),
        V1Op::SToF => build(t, |i| {
            let value = get_s(t, a, i);
            softfloat::from_int(f, value < 0, value.unsigned_abs(), imm, env)
        }),
        V1Op::UToF => map_u(t, a, |x| softfloat::from_int(f, false, x, imm, env)),
        V1Op::FSum => tree(t, a, |x, y| softfloat::add(f, x, y, env)),
        V1Op::FMaxAcross => tree(t, a, |x, y| softfloat::max(f, x, y, false, env)),
        V1Op::FMinAcross => tree(t, a, |x, y| softfloat::max(f, x, y, true, env)),
        V1Op::FMaxNumAcross => tree(t, a, |x, y| softfloat::max_number(f, x, y, false, env)),
        V1Op::FMinNumAcross => tree(t, a, |x, y| softfloat::max_number(f, x, y, true, env)),
        _ => unreachable!("{op:?} is not a floating-point operation"),
    }
}

/// Operations with two operands.
pub(super) fn v2(op: V2Op, t: Lanes, a: u128, b: u128, env: &mut FpEnv) -> u128 {
    let f = format(t);
    let absolute = |x: u64| x & !f.sign();
    let holds = |x: u64, y: u64, signal: bool, wanted: fn(Ordering) -> bool, env: &mut FpEnv| {
        truth(softfloat::compare(f, x, y, signal, env).is_some_and(wanted)) as u64
    };
    match op {
        V2Op::FAdd => map2_u(t, a, b, |x, y| softfloat::add(f, x, y, env)),
        V2Op::FSub => map2_u(t, a, b, |x, y| softfloat::sub(f, x, y, env)),
        V2Op::FMul => map2_u(t, a, b, |x, y| softfloat::mul(f, x, y, env)),
        V2Op::FNMul => map2_u(t, a, b, |x, y| softfloat::mul(f, x, y, env) ^ f.sign()),
        V2Op::FMulX => map2_u(t, a, b, |x, y| softfloat::mulx(f, x, y, env)),
        V2Op::FDiv => map2_u(t, a, b, |x, y| softfloat::div(f, x, y, env)),
        V2Op::FMax => map2_u(t, a, b, |x, y| softfloat::max(f, x, y, false, env)),
        V2Op::FMin => map2_u(t, a, b, |x, y| softfloat::max(f, x, y, true, env)),
        V2Op::FMaxNum => map2_u(t, a, b, |x, y| softfloat::max_number(f, x, y, false, env)),
        V2Op::FMinNum => map2_u(t, a, b, |x, y| softfloat::max_number(f, x, y, true, env)),
        V2Op::FDiff => map2_u(t, a, b, |x, y| absolute(softfloat::sub(f, x, y, env))),
        V2Op::FRecipStep => map2_u(t, a, b, |x, y| softfloat::recip_step(f, x, y, env)),
        V2Op::FRsqrtStep => map2_u(t, a, b, |x, y| softfloat::rsqrt_step(f, x, y, env)),
        V2Op::FCmpEq => map2_u(t, a, b, |x, y| holds(x, y, false, Ordering::is_eq, env)),
        V2Op::FCmpGe => map2_u(t, a, b, |x, y| holds(x, y, true, Ordering::is_ge, env)),
        V2Op::FCmpGt => map2_u(t, a, b, |x, y| holds(x, y, true, Ordering::is_gt, env)),
        V2Op::FCmpAbsGe => map2_u(t, a, b, |x, y| holds(absolute(x), absolute(y), true, Ordering::is_ge, env)),
        V2Op::FCmpAbsGt => map2_u(t, a, b, |x, y| holds(absolute(x), absolute(y), true, Ordering::is_gt, env)),
        V2Op::FAddP => pair_u(t, a, b, |x, y| softfloat::add(f, x, y, env)),
        V2Op::FMaxP => pair_u(t, a, b, |x, y| softfloat::max(f, x, y, false, env)),
        V2Op::FMinP => pair_u(t, a, b, |x, y| softfloat::max(f, x, y, true, env)),
        V2Op::FMaxNumP => pair_u(t, a, b, |x, y| softfloat::max_number(f, x, y, false, env)),
        V2Op::FMinNumP => pair_u(t, a, b, |x, y| softfloat::max_number(f, x, y, true, env)),
        _ => unreachable!("{op:?} is not a floating-point operation"),
    }
}

/// The fused operations. A NaN that they pass on has been negated as well.
pub(super) fn v3(op: V3Op, t: Lanes, a: u128, b: u128, c: u128, env: &mut FpEnv) -> u128 {
    let f = format(t);
    let (negate_a, negate_b) = match op {
        V3Op::FMulAdd => (0, 0),
        V3Op::FMulSub => (0, f.sign()),
        V3Op::FNMulAdd => (f.sign(), f.sign()),
        V3Op::FNMulSub => (f.sign(), 0),
        _ => unreachable!("{op:?} is not a floating-point operation"),
    };
    let (a, b, c) = (split(t, a), split(t, b), split(t, c));
    build(t, |i| softfloat::mul_add(f, a[i] ^ negate_a, b[i] ^ negate_b, c[i], env))
}

/// Element 0 as an integer of `width` bits.
pub(super) fn to_int(t: Lanes, a: u128, signed: bool, width: u32, imm: u32, env: &mut FpEnv) -> u64 {
    element_to_int(format(t), get(t, a, 0), signed, width, imm, env)
}

fn element_to_int(f: Format, x: u64, signed: bool, width: u32, imm: u32, env: &mut FpEnv) -> u64 {
    let direction = direction(imm, env);
    softfloat::to_int(f, x, signed, width, imm >> 8, direction, env)
}

/// The class of element 0.
pub(super) fn class(t: Lanes, a: u128) -> u64 {
    softfloat::class(format(t), get(t, a, 0))
}

/// An integer as element 0.
pub(super) fn from_int(t: Lanes, sign: bool, magnitude: u64, fraction: u32, env: &mut FpEnv) -> u128 {
    u128::from(softfloat::from_int(format(t), sign, magnitude, fraction, env))
}

/// The packed flags of comparing element 0 of a and b.
pub(super) fn flags(t: Lanes, a: u128, b: u128, signal: bool, env: &mut FpEnv) -> u64 {
    match softfloat::compare(format(t), get(t, a, 0), get(t, b, 0), signal, env) {
        None => 0b0011,
        Some(Ordering::Less) => 0b1000,
        Some(Ordering::Equal) => 0b0110,
        Some(Ordering::Greater) => 0b0010,
    }
}

fn widen(t: Lanes, a: u128, env: &mut FpEnv) -> u128 {
    let (from, to) = (format(t), Format::of_bytes(2 * t.element()));
    long_u(t, a, 0, |x, _| softfloat::convert(from, to, x, None, env))
}

fn narrow(t: Lanes, a: u128, direction: Option<Rounding>, env: &mut FpEnv) -> u128 {
    let (from, to) = (format(t), format(halved(t)));
    lanes::narrow(t, a, |x| softfloat::convert(from, to, x, direction, env))
}

/// Combines neighbours until one element is left.
fn tree(t: Lanes, a: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
    let mut elements = split(t, a);
    let mut count = t.count();
    while count > 1 {
        count /= 2;
        for i in 0..count {
            elements[i] = f(elements[2 * i], elements[2 * i + 1]);
        }
    }
    u128::from(elements[0])
}
