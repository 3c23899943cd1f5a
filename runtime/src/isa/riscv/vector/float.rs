//! Floating-point arithmetic of elements, of single and double precision, by the soft float that scalar instructions use.

use super::arithmetic::Env;
use super::table::Extension::Float;
use super::table::Shape::{
    Compare, FromScalar, Merge, Move, Narrowed, Reduce, ReduceWide, Same, Slide1Down, Slide1Up, ToScalar, Wide,
    WideSecond, Widen,
};
use super::table::form::{FVV, VF};
use super::table::{Element, Operation, Shape, op};
use crate::vector::softfloat::{self, Format, Rounding};
use std::cmp::Ordering;

const BOTH: u32 = FVV | VF;

/// True if numbers of these widths exist: half precision does not.
pub(super) const fn has_formats(shape: Shape, bits: u32) -> bool {
    match shape {
        // From or to an integer of half the width, or of twice the width.
        Widen { from_float: false, .. } | Narrowed { to_float: false, .. } => bits == 16 || bits == 32,
        Widen { .. } | Narrowed { .. } | Wide(..) | WideSecond(..) | ReduceWide(..) => bits == 32,
        _ => bits >= 32,
    }
}

/// A floating-point register as an element: a number of single precision must be in its box.
pub(super) const fn scalar(bits: u32, register: u64) -> u64 {
    match bits {
        32 if register >> 32 != 0xffff_ffff => 0x7fc0_0000,
        _ => register,
    }
}

/// A number of `bits` bits in the next larger format.
pub(super) fn widen(env: &mut Env, bits: u32, value: u64) -> u64 {
    softfloat::convert(format(bits), format(2 * bits), value, None, &mut env.fp)
}

/// A number of twice `bits` bits in the next smaller format.
fn narrow(env: &mut Env, bits: u32, value: u64, rounding: Option<Rounding>) -> u64 {
    softfloat::convert(format(2 * bits), format(bits), value, rounding, &mut env.fp)
}

const fn format(bits: u32) -> Format {
    Format::of_bytes(bits as usize / 8)
}

/// c + a * b, where a product or both terms have their signs changed.
fn fused(env: &mut Env, w: u32, (a, b, c): (u64, u64, u64), negate_product: bool, negate_sum: bool) -> u64 {
    let sign = format(w).sign();
    let flip = |value: u64, negate: bool| if negate { value ^ sign } else { value };
    softfloat::mul_add(format(w), flip(c, negate_sum), flip(a, negate_product), b, &mut env.fp)
}

/// Compares; false for what is unordered.
fn ordered(env: &mut Env, w: u32, a: u64, b: u64, signal: bool, wanted: fn(Ordering) -> bool) -> bool {
    softfloat::compare(format(w), a, b, signal, &mut env.fp).is_some_and(wanted)
}

/// From a number of `from` bits to an integer of `to` bits.
fn to_integer(env: &mut Env, from: u32, to: u32, signed: bool, a: u64, rounding: Option<Rounding>) -> u64 {
    let rounding = rounding.unwrap_or(env.fp.rounding());
    softfloat::to_int(format(from), a, signed, to, 0, rounding, &mut env.fp)
}

/// From an integer of `from` bits to a number of `to` bits.
fn from_integer(env: &mut Env, from: u32, to: u32, signed: bool, a: u64) -> u64 {
    let value = if signed { super::group::signed(from, a) } else { 0 };
    let (sign, magnitude) = if signed { (value < 0, value.unsigned_abs()) } else { (false, a) };
    softfloat::from_int(format(to), sign, magnitude, 0, &mut env.fp)
}

const TRUNCATE: Option<Rounding> = Some(Rounding::Zero);

const ADD: Element = |e, w, a, b, _| softfloat::add(format(w), a, b, &mut e.fp);
const SUB: Element = |e, w, a, b, _| softfloat::sub(format(w), a, b, &mut e.fp);
const MUL: Element = |e, w, a, b, _| softfloat::mul(format(w), a, b, &mut e.fp);
const MIN: Element = |e, w, a, b, _| softfloat::max_number(format(w), a, b, true, &mut e.fp);
const MAX: Element = |e, w, a, b, _| softfloat::max_number(format(w), a, b, false, &mut e.fp);
const MACC: Element = |e, w, a, b, d| fused(e, w, (a, b, d), false, false);
const NMACC: Element = |e, w, a, b, d| fused(e, w, (a, b, d), true, true);
const MSAC: Element = |e, w, a, b, d| fused(e, w, (a, b, d), false, true);
const NMSAC: Element = |e, w, a, b, d| fused(e, w, (a, b, d), true, false);

/// The rows of this group.
#[rustfmt::skip]
pub(super) const ROWS: &[Operation] = &[
    op("vfadd",   0b000000, BOTH, Same(ADD)),
    op("vfsub",   0b000010, BOTH, Same(SUB)),
    op("vfrsub",  0b100111, VF, Same(|e, w, a, b, d| SUB(e, w, b, a, d))),
    op("vfmul",   0b100100, BOTH, Same(MUL)),
    op("vfdiv",   0b100000, BOTH, Same(|e, w, a, b, _| softfloat::div(format(w), a, b, &mut e.fp))),
    op("vfrdiv",  0b100001, VF, Same(|e, w, a, b, _| softfloat::div(format(w), b, a, &mut e.fp))),
    op("vfmin",   0b000100, BOTH, Same(MIN)),
    op("vfmax",   0b000110, BOTH, Same(MAX)),
    op("vfsgnj.", 0b001000, BOTH, Same(|_, w, a, b, _| { let sign = format(w).sign(); a & !sign | b & sign })),
    op("vfsgnjn", 0b001001, BOTH, Same(|_, w, a, b, _| { let sign = format(w).sign(); a & !sign | !b & sign })),
    op("vfsgnjx", 0b001010, BOTH, Same(|_, w, a, b, _| a ^ b & format(w).sign())),
    // ---- fused
    op("vfmadd",  0b101000, BOTH, Same(|e, w, a, b, d| fused(e, w, (d, b, a), false, false))),
    op("vfnmadd", 0b101001, BOTH, Same(|e, w, a, b, d| fused(e, w, (d, b, a), true, true))),
    op("vfmsub",  0b101010, BOTH, Same(|e, w, a, b, d| fused(e, w, (d, b, a), false, true))),
    op("vfnmsub", 0b101011, BOTH, Same(|e, w, a, b, d| fused(e, w, (d, b, a), true, false))),
    op("vfmacc",  0b101100, BOTH, Same(MACC)),
    op("vfnmacc", 0b101101, BOTH, Same(NMACC)),
    op("vfmsac",  0b101110, BOTH, Same(MSAC)),
    op("vfnmsac", 0b101111, BOTH, Same(NMSAC)),
    // ---- comparison
    op("vmfeq",   0b011000, BOTH, Compare(|e, w, a, b| ordered(e, w, a, b, false, Ordering::is_eq))),
    op("vmfle",   0b011001, BOTH, Compare(|e, w, a, b| ordered(e, w, a, b, true, Ordering::is_le))),
    op("vmflt",   0b011011, BOTH, Compare(|e, w, a, b| ordered(e, w, a, b, true, Ordering::is_lt))),
    op("vmfne",   0b011100, BOTH, Compare(|e, w, a, b| !ordered(e, w, a, b, false, Ordering::is_eq))),
    op("vmfgt",   0b011101, VF, Compare(|e, w, a, b| ordered(e, w, a, b, true, Ordering::is_gt))),
    op("vmfge",   0b011111, VF, Compare(|e, w, a, b| ordered(e, w, a, b, true, Ordering::is_ge))),
    // ---- twice as wide
    op("vfwadd.v",  0b110000, FVV, Wide(Float, Float, ADD)),
    op("vfwadd.vf", 0b110000, VF, Wide(Float, Float, ADD)),
    op("vfwsub.v",  0b110010, FVV, Wide(Float, Float, SUB)),
    op("vfwsub.vf", 0b110010, VF, Wide(Float, Float, SUB)),
    op("vfwadd.w",  0b110100, BOTH, WideSecond(Float, ADD)),
    op("vfwsub.w",  0b110110, BOTH, WideSecond(Float, SUB)),
    op("vfwmul",    0b111000, BOTH, Wide(Float, Float, MUL)),
    op("vfwmacc",   0b111100, BOTH, Wide(Float, Float, MACC)),
    op("vfwnmacc",  0b111101, BOTH, Wide(Float, Float, NMACC)),
    op("vfwmsac",   0b111110, BOTH, Wide(Float, Float, MSAC)),
    op("vfwnmsac",  0b111111, BOTH, Wide(Float, Float, NMSAC)),
    // ---- conversion
    op("vfcvt.xu.f",     0b010010, FVV, Same(|e, w, a, _, _| to_integer(e, w, w, false, a, None))).first(0),
    op("vfcvt.x.f",      0b010010, FVV, Same(|e, w, a, _, _| to_integer(e, w, w, true, a, None))).first(1),
    op("vfcvt.f.xu",     0b010010, FVV, Same(|e, w, a, _, _| from_integer(e, w, w, false, a))).first(2),
    op("vfcvt.f.x",      0b010010, FVV, Same(|e, w, a, _, _| from_integer(e, w, w, true, a))).first(3),
    op("vfcvt.rtz.xu.f", 0b010010, FVV, Same(|e, w, a, _, _| to_integer(e, w, w, false, a, TRUNCATE))).first(6),
    op("vfcvt.rtz.x.f",  0b010010, FVV, Same(|e, w, a, _, _| to_integer(e, w, w, true, a, TRUNCATE))).first(7),
    op("vfwcvt.xu.f",    0b010010, FVV, Widen { from_float: true, f: |e, w, a| to_integer(e, w, 2 * w, false, a, None) }).first(8),
    op("vfwcvt.x.f",     0b010010, FVV, Widen { from_float: true, f: |e, w, a| to_integer(e, w, 2 * w, true, a, None) }).first(9),
    op("vfwcvt.f.xu",    0b010010, FVV, Widen { from_float: false, f: |e, w, a| from_integer(e, w, 2 * w, false, a) }).first(10),
    op("vfwcvt.f.x",     0b010010, FVV, Widen { from_float: false, f: |e, w, a| from_integer(e, w, 2 * w, true, a) }).first(11),
    op("vfwcvt.f.f",     0b010010, FVV, Widen { from_float: true, f: widen }).first(12),
    op("vfwcvt.rtz.xu.f", 0b010010, FVV, Widen { from_float: true, f: |e, w, a| to_integer(e, w, 2 * w, false, a, TRUNCATE) }).first(14),
    op("vfwcvt.rtz.x.f", 0b010010, FVV, Widen { from_float: true, f: |e, w, a| to_integer(e, w, 2 * w, true, a, TRUNCATE) }).first(15),
    op("vfncvt.xu.f",    0b010010, FVV, Narrowed { to_float: false, f: |e, w, a| to_integer(e, 2 * w, w, false, a, None) }).first(16),
    op("vfncvt.x.f",     0b010010, FVV, Narrowed { to_float: false, f: |e, w, a| to_integer(e, 2 * w, w, true, a, None) }).first(17),
    op("vfncvt.f.xu",    0b010010, FVV, Narrowed { to_float: true, f: |e, w, a| from_integer(e, 2 * w, w, false, a) }).first(18),
    op("vfncvt.f.x",     0b010010, FVV, Narrowed { to_float: true, f: |e, w, a| from_integer(e, 2 * w, w, true, a) }).first(19),
    op("vfncvt.f.f",     0b010010, FVV, Narrowed { to_float: true, f: |e, w, a| narrow(e, w, a, None) }).first(20),
    op("vfncvt.rod.f.f", 0b010010, FVV, Narrowed { to_float: true, f: |e, w, a| narrow(e, w, a, Some(Rounding::Odd)) }).first(21),
    op("vfncvt.rtz.xu.f", 0b010010, FVV, Narrowed { to_float: false, f: |e, w, a| to_integer(e, 2 * w, w, false, a, TRUNCATE) }).first(22),
    op("vfncvt.rtz.x.f", 0b010010, FVV, Narrowed { to_float: false, f: |e, w, a| to_integer(e, 2 * w, w, true, a, TRUNCATE) }).first(23),
    // ---- one operand
    op("vfsqrt",   0b010011, FVV, Same(|e, w, a, _, _| softfloat::sqrt(format(w), a, &mut e.fp))).first(0),
    op("vfrsqrt7", 0b010011, FVV, Same(|e, w, a, _, _| reciprocal_root(e, w, a))).first(4),
    op("vfrec7",   0b010011, FVV, Same(|e, w, a, _, _| reciprocal(e, w, a))).first(5),
    op("vfclass",  0b010011, FVV, Same(|_, w, a, _, _| softfloat::class(format(w), a))).first(16),
    // ---- moves
    op("vfmerge",  0b010111, VF, Merge).masked(),
    op("vfmv.v.f", 0b010111, VF, Move).unmasked().second(0),
    op("vfmv.f.s", 0b010000, FVV, ToScalar).unmasked().first(0),
    op("vfmv.s.f", 0b010000, VF, FromScalar).unmasked().second(0),
    op("vfslide1up", 0b001110, VF, Slide1Up),
    op("vfslide1down", 0b001111, VF, Slide1Down),
    // ---- reductions
    op("vfred",      0b000001, FVV, Reduce(ADD)), // vfredusum, which may have any order
    op("vfredosum",  0b000011, FVV, Reduce(ADD)),
    op("vfredmin",   0b000101, FVV, Reduce(MIN)),
    op("vfredmax",   0b000111, FVV, Reduce(MAX)),
    op("vfwred",     0b110001, FVV, ReduceWide(Float, ADD)),
    op("vfwredosum", 0b110011, FVV, ReduceWide(Float, ADD)),
];

/// Bits of the exponent and of the fraction.
const fn fields(bits: u32) -> (u32, u32) {
    if bits == 32 { (8, 23) } else { (11, 52) }
}

const INVALID: u32 = 1 << 0;
const DIVIDE_BY_ZERO: u32 = 1 << 1;
const OVERFLOW: u32 = 1 << 2;
const INEXACT: u32 = 1 << 4;

/// The classes of [`softfloat::class`]: negative ones from the lowest bit, positive ones, NaNs.
mod class {
    pub(super) const INFINITE: u64 = 1 << 0 | 1 << 7;
    pub(super) const ZERO: u64 = 1 << 3 | 1 << 4;
    pub(super) const SUBNORMAL: u64 = 1 << 2 | 1 << 5;
    pub(super) const NEGATIVE: u64 = 0b0111;
    pub(super) const SIGNALLING: u64 = 1 << 8;
    pub(super) const NAN: u64 = 1 << 8 | 1 << 9;
}

/// Seven bits of the fraction of 1 / x: of `x` from 1 to 2, at the middle of the interval that its first seven bits name.
const fn reciprocal_entry(index: u64) -> u64 {
    // 256 / (1 + (2 * index + 1) / 256), rounded, without its highest bit.
    let (dividend, divisor) = (256 * 256, 257 + 2 * index);
    (2 * dividend + divisor) / (2 * divisor) - 128
}

/// Seven bits of the fraction of 1 / sqrt(x): `index` is the lowest bit of the exponent and six bits of the fraction.
const fn root_entry(index: u64) -> u64 {
    // x is from 1 to 2 if the exponent, which is biased by an odd number, is odd, else from 2 to 4; in parts of 128.
    let x = (129 + 2 * (index & 63)) << if index >> 6 == 0 { 1 } else { 0 };
    // The largest result such that (2 * result - 1)^2 * x / 128 is at most 4 * 256^2.
    let mut result = 256;
    while (2 * result - 1) * (2 * result - 1) * x > 4 * 256 * 256 * 128 {
        result -= 1;
    }
    result - 128
}

/// An estimate of 1 / sqrt(a) to seven bits (`vfrsqrt7`).
fn reciprocal_root(env: &mut Env, w: u32, a: u64) -> u64 {
    let f = format(w);
    let kind = softfloat::class(f, a);
    let (exponent_bits, fraction_bits) = fields(w);
    let infinity = ((1 << exponent_bits) - 1) << fraction_bits;
    let sign = a & f.sign();
    if kind & class::ZERO != 0 {
        env.fp.status |= DIVIDE_BY_ZERO;
        return sign | infinity;
    }
    if kind & (class::NAN | class::NEGATIVE) != 0 {
        if kind & (class::SIGNALLING | class::NEGATIVE) != 0 {
            env.fp.status |= INVALID;
        }
        return infinity | 1 << (fraction_bits - 1);
    }
    if kind & class::INFINITE != 0 {
        return 0;
    }
    let (exponent, fraction) = normalized(a, w, kind);
    let index = (exponent as u64 & 1) << 6 | fraction >> (fraction_bits - 6);
    let bias = (1i64 << (exponent_bits - 1)) - 1;
    let result = (3 * bias - 1 - exponent) / 2;
    (result as u64) << fraction_bits | root_entry(index) << (fraction_bits - 7)
}

/// The biased exponent, which is negative or 0 for a number below the normal ones, and the fraction.
fn normalized(a: u64, w: u32, kind: u64) -> (i64, u64) {
    let (exponent_bits, fraction_bits) = fields(w);
    let fraction = a & ((1 << fraction_bits) - 1);
    let exponent = (a >> fraction_bits & ((1 << exponent_bits) - 1)) as i64;
    if kind & class::SUBNORMAL == 0 {
        return (exponent, fraction);
    }
    let shift = fraction.leading_zeros() - (63 - fraction_bits);
    (1 - i64::from(shift), fraction << shift & ((1 << fraction_bits) - 1))
}

/// An estimate of 1 / a to seven bits (`vfrec7`).
fn reciprocal(env: &mut Env, w: u32, a: u64) -> u64 {
    let f = format(w);
    let kind = softfloat::class(f, a);
    let (exponent_bits, fraction_bits) = fields(w);
    let infinity = ((1 << exponent_bits) - 1) << fraction_bits;
    let sign = a & f.sign();
    if kind & class::NAN != 0 {
        if kind & class::SIGNALLING != 0 {
            env.fp.status |= INVALID;
        }
        return infinity | 1 << (fraction_bits - 1);
    }
    if kind & class::INFINITE != 0 {
        return sign;
    }
    if kind & class::ZERO != 0 {
        env.fp.status |= DIVIDE_BY_ZERO;
        return sign | infinity;
    }
    let (exponent, fraction) = normalized(a, w, kind);
    if exponent < -1 {
        // The result is too large: infinite, or the largest number where rounding does not go away from zero.
        env.fp.status |= OVERFLOW | INEXACT;
        let stays = match env.fp.rounding() {
            Rounding::Zero => true,
            Rounding::Down => sign == 0,
            Rounding::Up => sign != 0,
            _ => false,
        };
        return sign | (infinity - u64::from(stays));
    }
    let bias = (1i64 << (exponent_bits - 1)) - 1;
    let result = 2 * bias - 1 - exponent;
    let entry = reciprocal_entry(fraction >> (fraction_bits - 7)) << (fraction_bits - 7);
    match result {
        // A result below the normal numbers has its highest bit in the fraction.
        0 => sign | (entry | 1 << fraction_bits) >> 1,
        -1 => sign | (entry | 1 << fraction_bits) >> 2,
        _ => sign | (result as u64) << fraction_bits | entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some of the entries that the manual's tables have.
    #[test]
    fn estimates_are_those_of_the_manual() {
        assert_eq!([0, 1, 2, 63, 64, 127].map(reciprocal_entry), [127, 125, 123, 43, 42, 0]);
        assert_eq!([0, 1, 2, 63, 64, 65, 127].map(root_entry), [52, 51, 50, 0, 127, 125, 53]);
        let mut env = Env::default();
        assert_eq!(reciprocal(&mut env, 32, 0x3f80_0000), 0x3f7f_0000);
        assert_eq!(reciprocal_root(&mut env, 64, 0x4010_0000_0000_0000), 0x3fdf_e000_0000_0000);
        assert_eq!(env.fp.status, 0);
    }

    #[test]
    fn formats_are_single_and_double() {
        assert!(has_formats(Same(ADD), 32) && has_formats(Same(ADD), 64) && !has_formats(Same(ADD), 16));
        assert!(has_formats(Widen { from_float: false, f: widen }, 16));
        assert!(!has_formats(Widen { from_float: true, f: widen }, 16));
    }
}
