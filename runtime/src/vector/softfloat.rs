//! IEEE 754 arithmetic in integers, with the Arm architecture's choices: NaN propagation, flushing, tininess before
//! rounding, saturating conversions, estimates. Where [`control::CANONICAL`] is set RISC-V's choices take their place.
//!
//! Values are bit patterns in the low bits of a `u64`; a [`Format`] says how wide they are. Each function follows the
//! pseudocode function of the same purpose in the Arm Architecture Reference Manual (`FPAdd`, `FPMulAdd` …).
//! Nothing here knows vectors. The host's floating point, in its default rounding mode, is a short cut where it cannot
//! differ; see [`on_host`].

use super::wide::U256;
use super::{FpEnv, control, rounding};
use std::cmp::Ordering;

/// A binary interchange format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Width of the exponent field.
    exp: u32,
    /// Width of the fraction field.
    frac: u32,
}

/// Half precision.
pub const HALF: Format = Format { exp: 5, frac: 10 };
/// Single precision.
pub const SINGLE: Format = Format { exp: 8, frac: 23 };
/// Double precision.
pub const DOUBLE: Format = Format { exp: 11, frac: 52 };

impl Format {
    /// Returns the format with elements of `bytes` bytes: 2, 4 or 8.
    pub const fn of_bytes(bytes: usize) -> Format {
        match bytes {
            2 => HALF,
            4 => SINGLE,
            _ => DOUBLE,
        }
    }

    const fn bias(self) -> i32 {
        (1 << (self.exp - 1)) - 1
    }

    /// Returns the sign bit.
    pub const fn sign(self) -> u64 {
        1 << (self.exp + self.frac)
    }

    /// Infinity with the given sign.
    const fn infinity(self, sign: bool) -> u64 {
        self.zero(sign) | ((1 << self.exp) - 1) << self.frac
    }

    const fn zero(self, sign: bool) -> u64 {
        if sign { self.sign() } else { 0 }
    }

    /// The largest finite number with the given sign.
    const fn max(self, sign: bool) -> u64 {
        self.infinity(sign) - 1
    }

    const fn quiet_bit(self) -> u64 {
        1 << (self.frac - 1)
    }

    const fn default_nan(self) -> u64 {
        self.infinity(false) | self.quiet_bit()
    }

    /// The number 2 to the power `exponent`, which is in the normal range.
    const fn power(self, sign: bool, exponent: i32) -> u64 {
        self.zero(sign) | ((exponent + self.bias()) as u64) << self.frac
    }

    const fn exponent_field(self, bits: u64) -> i32 {
        ((bits >> self.frac) & ((1 << self.exp) - 1)) as i32
    }

    const fn fraction(self, bits: u64) -> u64 {
        bits & ((1 << self.frac) - 1)
    }
}

/// A rounding direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even.
    Even,
    /// Towards plus infinity.
    Up,
    /// Towards minus infinity.
    Down,
    /// Towards zero.
    Zero,
    /// To nearest, ties away from zero.
    Away,
    /// Towards zero, and inexact results get an odd last place.
    Odd,
}

const INVALID: u32 = 1 << 0;
const DIVIDE_BY_ZERO: u32 = 1 << 1;
const OVERFLOW: u32 = 1 << 2;
const UNDERFLOW: u32 = 1 << 3;
const INEXACT: u32 = 1 << 4;
const INPUT_DENORMAL: u32 = 1 << 7;

const FLUSH_HALF: u64 = 1 << 19;
const ROUNDING: u64 = 3 << 22;
const FLUSH: u64 = 1 << 24;
const DEFAULT_NAN: u64 = 1 << 25 | control::CANONICAL;
const ALTERNATIVE_HALF: u64 = 1 << 26;

impl FpEnv {
    fn raise(&mut self, exceptions: u32) {
        self.status |= exceptions;
    }

    /// Returns the rounding direction that the control register asks for.
    pub fn rounding(&self) -> Rounding {
        if self.control & control::AWAY != 0 {
            return Rounding::Away;
        }
        match (self.control & ROUNDING) >> 22 {
            0 => Rounding::Even,
            1 => Rounding::Up,
            2 => Rounding::Down,
            _ => Rounding::Zero,
        }
    }

    /// Returns the control register with `direction`, one of [`rounding`], in place of its own.
    pub(super) fn control_for(&self, direction: u32) -> u64 {
        let others = self.control & !(ROUNDING | control::ROUNDING);
        match direction {
            rounding::EVEN | rounding::UP | rounding::DOWN | rounding::ZERO => others | u64::from(direction) << 22,
            rounding::AWAY => others | control::AWAY,
            _ => self.control,
        }
    }

    fn has_canonical_nan(&self) -> bool {
        self.control & control::CANONICAL != 0
    }

    fn flushes(&self, f: Format) -> bool {
        self.control & if f == HALF { FLUSH_HALF } else { FLUSH } != 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Zero,
    /// Not zero, finite: the value is `sig * 2^exp`.
    Finite,
    Infinite,
    QuietNan,
    SignallingNan,
}

#[derive(Clone, Copy, Debug)]
struct Number {
    kind: Kind,
    sign: bool,
    exp: i32,
    sig: u64,
}

impl Number {
    fn is_nan(self) -> bool {
        matches!(self.kind, Kind::QuietNan | Kind::SignallingNan)
    }
    fn is(self, kind: Kind) -> bool {
        self.kind == kind
    }
    fn term(self) -> Term {
        Term { sign: self.sign, exp: self.exp, sig: u128::from(self.sig) }
    }
}

/// An exact value `±sig * 2^exp`; bit 0 of `sig` may stand for any lower bits that are not zero.
#[derive(Clone, Copy, Debug)]
struct Term {
    sign: bool,
    exp: i32,
    sig: u128,
}

fn classify(f: Format, bits: u64, flush: bool, env: &mut FpEnv) -> Number {
    let sign = bits & f.sign() != 0;
    let (exponent, fraction) = (f.exponent_field(bits), f.fraction(bits));
    let number = |kind, exp, sig| Number { kind, sign, exp, sig };
    let lowest = 1 - f.bias() - f.frac as i32;
    if exponent == 0 {
        if fraction == 0 {
            return number(Kind::Zero, 0, 0);
        }
        if flush {
            if f != HALF {
                env.raise(INPUT_DENORMAL);
            }
            return number(Kind::Zero, 0, 0);
        }
        return number(Kind::Finite, lowest, fraction);
    }
    if exponent == (1 << f.exp) - 1 {
        let kind = match fraction {
            0 => Kind::Infinite,
            _ if fraction & f.quiet_bit() != 0 => Kind::QuietNan,
            _ => Kind::SignallingNan,
        };
        return number(kind, 0, fraction);
    }
    number(Kind::Finite, lowest + exponent - 1, fraction | 1 << f.frac)
}

fn unpack(f: Format, bits: u64, env: &mut FpEnv) -> Number {
    let flush = env.flushes(f);
    classify(f, bits, flush, env)
}

/// Divides by 2 to the power `shift`, rounds to an integer, and says whether that was inexact.
fn round_shift(sign: bool, sig: u128, shift: u32, rounding: Rounding) -> (u128, bool) {
    if shift == 0 {
        return (sig, false);
    }
    let (whole, rest, against_half) = if shift >= 128 {
        // Significands stay below 2^127, so the rest is less than a half.
        (0, sig, Ordering::Less)
    } else {
        let rest = sig & ((1 << shift) - 1);
        (sig >> shift, rest, rest.cmp(&(1 << (shift - 1))))
    };
    let inexact = rest != 0;
    let up = match rounding {
        Rounding::Even => against_half == Ordering::Greater || against_half == Ordering::Equal && whole & 1 == 1,
        Rounding::Up => inexact && !sign,
        Rounding::Down => inexact && sign,
        Rounding::Zero => false,
        Rounding::Away => against_half != Ordering::Less,
        Rounding::Odd => inexact && whole & 1 == 0,
    };
    (whole + u128::from(up), inexact)
}

fn round(f: Format, value: Term, env: &mut FpEnv) -> u64 {
    round_to(f, value, env.rounding(), env.flushes(f), false, env)
}

/// Packs a value that is not zero.
fn round_to(f: Format, value: Term, rounding: Rounding, flush: bool, alternative: bool, env: &mut FpEnv) -> u64 {
    let Term { sign, exp, sig } = value;
    let exponent = exp + 127 - sig.leading_zeros() as i32;
    let min = 1 - f.bias();
    if flush && exponent < min {
        env.raise(UNDERFLOW);
        return f.zero(sign);
    }
    let last_place = exponent.max(min) - f.frac as i32;
    let (mantissa, inexact) = if last_place <= exp {
        (sig << (exp - last_place), false)
    } else {
        round_shift(sign, sig, (last_place - exp) as u32, rounding)
    };
    if exponent < min && inexact && !(env.has_canonical_nan() && is_normal_unbounded(f, value, rounding)) {
        env.raise(UNDERFLOW);
    }
    // The leading one of a normal mantissa, and a carry out of rounding, add to the exponent field.
    let bits = (((exponent.max(min) - min) as u64) << f.frac) + mantissa as u64;
    if alternative {
        if bits >= f.sign() {
            env.raise(INVALID);
            return f.zero(sign) | (f.sign() - 1);
        }
    } else if bits >= f.infinity(false) {
        env.raise(OVERFLOW | INEXACT);
        let to_infinity = match rounding {
            Rounding::Even | Rounding::Away => true,
            Rounding::Up => !sign,
            Rounding::Down => sign,
            Rounding::Zero | Rounding::Odd => false,
        };
        return if to_infinity { f.infinity(sign) } else { f.max(sign) };
    }
    if inexact {
        env.raise(INEXACT);
    }
    f.zero(sign) | bits
}

/// True if a value below the smallest normal number is rounded up to it also where exponents have no lower end: it is
/// not tiny after rounding.
fn is_normal_unbounded(f: Format, Term { sign, exp, sig }: Term, rounding: Rounding) -> bool {
    let exponent = exp + 127 - sig.leading_zeros() as i32;
    let min = 1 - f.bias();
    let last_place = exponent - f.frac as i32;
    if exponent != min - 1 || last_place <= exp {
        return false;
    }
    round_shift(sign, sig, (last_place - exp) as u32, rounding).0 >> (f.frac + 1) != 0
}

fn invalid(f: Format, env: &mut FpEnv) -> u64 {
    env.raise(INVALID);
    f.default_nan()
}

fn process_nan(f: Format, bits: u64, kind: Kind, env: &mut FpEnv) -> u64 {
    if kind == Kind::SignallingNan {
        env.raise(INVALID);
    }
    if env.control & DEFAULT_NAN != 0 { f.default_nan() } else { bits | f.quiet_bit() }
}

/// Returns the result if an operand is a NaN: the first signalling one, else the first quiet one.
fn process_nans(f: Format, operands: &[(u64, Number)], env: &mut FpEnv) -> Option<u64> {
    for kind in [Kind::SignallingNan, Kind::QuietNan] {
        if let Some(&(bits, _)) = operands.iter().find(|(_, number)| number.kind == kind) {
            return Some(process_nan(f, bits, kind, env));
        }
    }
    None
}

/// Adds two values, neither zero; the significand is 0 if the sum is.
fn sum(a: Term, b: Term) -> Term {
    let (mut a_wide, mut a_exp) = U256::normalized(a.sig, a.exp);
    let (mut b_wide, mut b_exp) = U256::normalized(b.sig, b.exp);
    let (mut a_sign, mut b_sign) = (a.sign, b.sign);
    if a_exp < b_exp || a_exp == b_exp && a_wide < b_wide {
        std::mem::swap(&mut a_wide, &mut b_wide);
        std::mem::swap(&mut a_exp, &mut b_exp);
        std::mem::swap(&mut a_sign, &mut b_sign);
    }
    let b_wide = b_wide.shift_right_jam((a_exp - b_exp) as u32);
    let total = if a_sign == b_sign { a_wide.add(b_wide) } else { a_wide.sub(b_wide) };
    let (sig, exp) = total.top(a_exp);
    Term { sign: a_sign, exp, sig }
}

fn round_sum(f: Format, a: Term, b: Term, env: &mut FpEnv) -> u64 {
    let total = sum(a, b);
    if total.sig == 0 { f.zero(env.rounding() == Rounding::Down) } else { round(f, total, env) }
}

/// Computes on the host if that cannot differ: rounding is the default, nothing is flushed, Inexact is raised already,
/// and the result shows that no other exception occurred, as it is normal and not the smallest. The host must be in
/// its default rounding mode without flushing; its own exception flags may change.
fn on_host(f: Format, env: &FpEnv, single: impl FnOnce() -> f32, double: impl FnOnce() -> f64) -> Option<u64> {
    if env.status & INEXACT == 0 || env.control & (ROUNDING | FLUSH | control::ROUNDING) != 0 {
        return None;
    }
    match f {
        SINGLE => {
            let result = single();
            let safe = result.is_finite() && result.abs() > f32::MIN_POSITIVE;
            safe.then_some(u64::from(result.to_bits()))
        }
        DOUBLE => {
            let result = double();
            let safe = result.is_finite() && result.abs() > f64::MIN_POSITIVE;
            safe.then_some(result.to_bits())
        }
        _ => None,
    }
}

fn single(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn double(bits: u64) -> f64 {
    f64::from_bits(bits)
}

/// a + b
pub fn add(f: Format, a: u64, b: u64, env: &mut FpEnv) -> u64 {
    if let Some(result) = on_host(f, env, || single(a) + single(b), || double(a) + double(b)) {
        return result;
    }
    let (x, y) = (unpack(f, a, env), unpack(f, b, env));
    if let Some(nan) = process_nans(f, &[(a, x), (b, y)], env) {
        return nan;
    }
    add_numbers(f, x, y, env)
}

/// a - b
pub fn sub(f: Format, a: u64, b: u64, env: &mut FpEnv) -> u64 {
    if let Some(result) = on_host(f, env, || single(a) - single(b), || double(a) - double(b)) {
        return result;
    }
    let (x, mut y) = (unpack(f, a, env), unpack(f, b, env));
    if let Some(nan) = process_nans(f, &[(a, x), (b, y)], env) {
        return nan;
    }
    y.sign = !y.sign;
    add_numbers(f, x, y, env)
}

fn add_numbers(f: Format, x: Number, y: Number, env: &mut FpEnv) -> u64 {
    match (x.kind, y.kind) {
        (Kind::Infinite, Kind::Infinite) if x.sign != y.sign => invalid(f, env),
        (Kind::Infinite, _) => f.infinity(x.sign),
        (_, Kind::Infinite) => f.infinity(y.sign),
        (Kind::Zero, Kind::Zero) if x.sign == y.sign => f.zero(x.sign),
        (Kind::Zero, Kind::Zero) => f.zero(env.rounding() == Rounding::Down),
        (Kind::Zero, _) => round(f, y.term(), env),
        (_, Kind::Zero) => round(f, x.term(), env),
        _ => round_sum(f, x.term(), y.term(), env),
    }
}

/// a * b
pub fn mul(f: Format, a: u64, b: u64, env: &mut FpEnv) -> u64 {
    multiply(f, a, b, false, env)
}

/// a * b, but zero times infinity is 2 (`FMULX`).
pub fn mulx(f: Format, a: u64, b: u64, env: &mut FpEnv) -> u64 {
    multiply(f, a, b, true, env)
}

fn multiply(f: Format, a: u64, b: u64, extended: bool, env: &mut FpEnv) -> u64 {
    // The host would raise Invalid where the extended product raises nothing; generated code would find it there.
    if !extended && let Some(result) = on_host(f, env, || single(a) * single(b), || double(a) * double(b)) {
        return result;
    }
    let (x, y) = (unpack(f, a, env), unpack(f, b, env));
    if let Some(nan) = process_nans(f, &[(a, x), (b, y)], env) {
        return nan;
    }
    let sign = x.sign != y.sign;
    match (x.kind, y.kind) {
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) if extended => f.power(sign, 1),
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) => invalid(f, env),
        (Kind::Infinite, _) | (_, Kind::Infinite) => f.infinity(sign),
        (Kind::Zero, _) | (_, Kind::Zero) => f.zero(sign),
        _ => round(f, product(x, y), env),
    }
}

fn product(x: Number, y: Number) -> Term {
    Term { sign: x.sign != y.sign, exp: x.exp + y.exp, sig: u128::from(x.sig) * u128::from(y.sig) }
}

/// a / b
pub fn div(f: Format, a: u64, b: u64, env: &mut FpEnv) -> u64 {
    if let Some(result) = on_host(f, env, || single(a) / single(b), || double(a) / double(b)) {
        return result;
    }
    let (x, y) = (unpack(f, a, env), unpack(f, b, env));
    if let Some(nan) = process_nans(f, &[(a, x), (b, y)], env) {
        return nan;
    }
    let sign = x.sign != y.sign;
    match (x.kind, y.kind) {
        (Kind::Infinite, Kind::Infinite) | (Kind::Zero, Kind::Zero) => invalid(f, env),
        (Kind::Infinite, _) => f.infinity(sign),
        (_, Kind::Zero) => {
            env.raise(DIVIDE_BY_ZERO);
            f.infinity(sign)
        }
        (Kind::Zero, _) | (_, Kind::Infinite) => f.zero(sign),
        _ => {
            let (x_sig, x_exp) = normalize(x);
            let (y_sig, y_exp) = normalize(y);
            let dividend = u128::from(x_sig) << 63;
            let quotient = dividend / u128::from(y_sig);
            let rest = dividend % u128::from(y_sig);
            let sig = quotient << 1 | u128::from(rest != 0);
            round(f, Term { sign, exp: x_exp - y_exp - 64, sig }, env)
        }
    }
}

/// Returns significand and exponent with bit 63 of the significand set.
fn normalize(x: Number) -> (u64, i32) {
    let zeros = x.sig.leading_zeros();
    (x.sig << zeros, x.exp - zeros as i32)
}

/// Square root.
pub fn sqrt(f: Format, a: u64, env: &mut FpEnv) -> u64 {
    if let Some(result) = on_host(f, env, || single(a).sqrt(), || double(a).sqrt()) {
        return result;
    }
    let x = unpack(f, a, env);
    if let Some(nan) = process_nans(f, &[(a, x)], env) {
        return nan;
    }
    match x.kind {
        Kind::Zero => f.zero(x.sign),
        _ if x.sign => invalid(f, env),
        Kind::Infinite => f.infinity(false),
        _ => {
            let (sig, exp) = normalize(x);
            let shift = 62 + (exp & 1);
            let radicand = u128::from(sig) << shift;
            let root = radicand.isqrt();
            let sig = root << 1 | u128::from(root * root != radicand);
            round(f, Term { sign: false, exp: (exp - shift) / 2 - 1, sig }, env)
        }
    }
}

/// a + b * c with one rounding.
pub fn mul_add(f: Format, a: u64, b: u64, c: u64, env: &mut FpEnv) -> u64 {
    let fused = || double(b).mul_add(double(c), double(a));
    if let Some(result) = on_host(f, env, || single(b).mul_add(single(c), single(a)), fused) {
        return result;
    }
    let (x, y, z) = (unpack(f, a, env), unpack(f, b, env), unpack(f, c, env));
    let no_product = y.is(Kind::Infinite) && z.is(Kind::Zero) || y.is(Kind::Zero) && z.is(Kind::Infinite);
    if x.is(Kind::QuietNan) && no_product {
        return invalid(f, env);
    }
    if let Some(nan) = process_nans(f, &[(a, x), (b, y), (c, z)], env) {
        return nan;
    }
    let sign = y.sign != z.sign;
    let infinite = y.is(Kind::Infinite) || z.is(Kind::Infinite);
    if no_product || x.is(Kind::Infinite) && infinite && x.sign != sign {
        return invalid(f, env);
    }
    if x.is(Kind::Infinite) {
        return f.infinity(x.sign);
    }
    if infinite {
        return f.infinity(sign);
    }
    let zero_product = y.is(Kind::Zero) || z.is(Kind::Zero);
    match (x.is(Kind::Zero), zero_product) {
        (true, true) if x.sign == sign => f.zero(sign),
        (true, true) => f.zero(env.rounding() == Rounding::Down),
        (true, false) => round(f, product(y, z), env),
        (false, true) => round(f, x.term(), env),
        (false, false) => round_sum(f, x.term(), product(y, z), env),
    }
}

/// 2 - a * b with one rounding, and 2 for zero times infinity (`FRECPS`).
pub fn recip_step(f: Format, a: u64, b: u64, env: &mut FpEnv) -> u64 {
    step(f, a, b, 2, 0, env)
}

/// (3 - a * b) / 2 with one rounding, and 1.5 for zero times infinity (`FRSQRTS`).
pub fn rsqrt_step(f: Format, a: u64, b: u64, env: &mut FpEnv) -> u64 {
    step(f, a, b, 3, 1, env)
}

/// (from - a * b) / 2^halvings
fn step(f: Format, a: u64, b: u64, from: u128, halvings: i32, env: &mut FpEnv) -> u64 {
    let a = a ^ f.sign();
    let (x, y) = (unpack(f, a, env), unpack(f, b, env));
    if let Some(nan) = process_nans(f, &[(a, x), (b, y)], env) {
        return nan;
    }
    let start = Term { sign: false, exp: -halvings, sig: from };
    match (x.kind, y.kind) {
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) => round(f, start, env),
        (Kind::Infinite, _) | (_, Kind::Infinite) => f.infinity(x.sign != y.sign),
        (Kind::Zero, _) | (_, Kind::Zero) => round(f, start, env),
        _ => {
            let mut factor = product(x, y);
            factor.exp -= halvings;
            round_sum(f, start, factor, env)
        }
    }
}

/// The larger of a and b, or the smaller if `min`; a NaN wins.
pub fn max(f: Format, a: u64, b: u64, min: bool, env: &mut FpEnv) -> u64 {
    let (x, y) = (unpack(f, a, env), unpack(f, b, env));
    if let Some(nan) = process_nans(f, &[(a, x), (b, y)], env) {
        return nan;
    }
    let (a, b) = (settled(f, a, x), settled(f, b, y));
    // Minus zero is less than plus zero here.
    let key = |bits: u64| if bits & f.sign() != 0 { !((bits & !f.sign()) as i64) } else { bits as i64 };
    if (key(a) > key(b)) != min { a } else { b }
}

/// As [`max`], but a number wins over a quiet NaN, and by the rules of RISC-V over every NaN.
pub fn max_number(f: Format, a: u64, b: u64, min: bool, env: &mut FpEnv) -> u64 {
    let (x, y) = (unpack(f, a, env), unpack(f, b, env));
    if env.has_canonical_nan() && x.is_nan() != y.is_nan() {
        let (nan, number) = if x.is_nan() { (x, b) } else { (y, a) };
        if nan.is(Kind::SignallingNan) {
            env.raise(INVALID);
        }
        return number;
    }
    match (x.kind, y.kind) {
        (Kind::QuietNan, _) if !y.is_nan() => settled(f, b, y),
        (_, Kind::QuietNan) if !x.is_nan() => settled(f, a, x),
        _ => max(f, a, b, min, env),
    }
}

/// The bits of an operand after its denormal was perhaps flushed.
fn settled(f: Format, bits: u64, number: Number) -> u64 {
    if number.is(Kind::Zero) { f.zero(number.sign) } else { bits }
}

/// Compares; `None` if unordered. `signal`: quiet NaNs raise Invalid too.
pub fn compare(f: Format, a: u64, b: u64, signal: bool, env: &mut FpEnv) -> Option<Ordering> {
    let (x, y) = (unpack(f, a, env), unpack(f, b, env));
    if x.is_nan() || y.is_nan() {
        if signal || x.is(Kind::SignallingNan) || y.is(Kind::SignallingNan) {
            env.raise(INVALID);
        }
        return None;
    }
    let key = |bits: u64, number: Number| match (number.kind, number.sign) {
        (Kind::Zero, _) => 0,
        (_, true) => -((bits & !f.sign()) as i64),
        (_, false) => bits as i64,
    };
    Some(key(a, x).cmp(&key(b, y)))
}

/// Rounds to an integral value; `exact`: raises Inexact if that changes the value.
pub fn round_to_integral(f: Format, a: u64, rounding: Rounding, exact: bool, env: &mut FpEnv) -> u64 {
    let x = unpack(f, a, env);
    if let Some(nan) = process_nans(f, &[(a, x)], env) {
        return nan;
    }
    if !x.is(Kind::Finite) {
        return settled(f, a, x);
    }
    if x.exp >= 0 {
        return a;
    }
    let (whole, inexact) = round_shift(x.sign, u128::from(x.sig), x.exp.unsigned_abs(), rounding);
    if inexact && exact {
        env.raise(INEXACT);
    }
    if whole == 0 { f.zero(x.sign) } else { round(f, Term { sign: x.sign, exp: 0, sig: whole }, env) }
}

/// Returns the bit that stands for the class of `a` in RISC-V's `fclass`.
pub fn class(f: Format, a: u64) -> u64 {
    let x = classify(f, a, false, &mut FpEnv::default());
    let number = match x.kind {
        Kind::SignallingNan => return 1 << 8,
        Kind::QuietNan => return 1 << 9,
        Kind::Infinite => 0,
        Kind::Finite if f.exponent_field(a) != 0 => 1,
        Kind::Finite => 2,
        Kind::Zero => 3,
    };
    1 << if x.sign { number } else { 7 - number }
}

/// Converts to an integer of `bits` bits after multiplying by 2 to the power `fraction`; saturates, and NaN gives 0, by
/// the rules of RISC-V the largest integer.
pub fn to_int(f: Format, a: u64, signed: bool, bits: u32, fraction: u32, rounding: Rounding, env: &mut FpEnv) -> u64 {
    let x = unpack(f, a, env);
    let ones = u64::MAX >> (64 - bits);
    let (most, least) = if signed { (ones >> 1, 1 << (bits - 1)) } else { (ones, 0) };
    let saturate = |env: &mut FpEnv| {
        env.raise(INVALID);
        if x.sign { least } else { most }
    };
    match x.kind {
        Kind::Zero => return 0,
        Kind::Infinite => return saturate(env),
        Kind::QuietNan | Kind::SignallingNan => {
            env.raise(INVALID);
            return if env.has_canonical_nan() { most } else { 0 };
        }
        Kind::Finite => {}
    }
    let exp = x.exp + fraction as i32;
    let (whole, inexact) = if exp > 64 {
        return saturate(env);
    } else if exp >= 0 {
        (u128::from(x.sig) << exp, false)
    } else {
        round_shift(x.sign, u128::from(x.sig), exp.unsigned_abs(), rounding)
    };
    let limit = if x.sign { least } else { most };
    if whole > u128::from(limit) {
        return saturate(env);
    }
    if inexact {
        env.raise(INEXACT);
    }
    let magnitude = whole as u64;
    if x.sign { magnitude.wrapping_neg() & ones } else { magnitude }
}

/// Converts an integer, divided by 2 to the power `fraction`.
pub fn from_int(f: Format, sign: bool, magnitude: u64, fraction: u32, env: &mut FpEnv) -> u64 {
    if magnitude == 0 {
        return 0;
    }
    round(f, Term { sign, exp: -(fraction as i32), sig: u128::from(magnitude) }, env)
}

/// Converts between formats; `rounding` replaces the control register's.
pub fn convert(from: Format, to: Format, a: u64, rounding: Option<Rounding>, env: &mut FpEnv) -> u64 {
    let alternative = env.control & ALTERNATIVE_HALF != 0;
    let sign = a & from.sign() != 0;
    let x = if from == HALF && alternative && from.exponent_field(a) == 31 {
        // The alternative half format has numbers where others have infinities and NaNs.
        Number { kind: Kind::Finite, sign, exp: 31 - 15 - 10, sig: from.fraction(a) | 1 << from.frac }
    } else {
        // Halves are not flushed in conversions.
        let flush = from != HALF && env.flushes(from);
        classify(from, a, flush, env)
    };
    let to_alternative = to == HALF && alternative;
    match x.kind {
        Kind::Zero => to.zero(sign),
        Kind::Infinite if to_alternative => {
            env.raise(INVALID);
            to.zero(sign) | (to.sign() - 1)
        }
        Kind::Infinite => to.infinity(sign),
        Kind::QuietNan | Kind::SignallingNan => {
            if x.is(Kind::SignallingNan) || to_alternative {
                env.raise(INVALID);
            }
            if to_alternative {
                to.zero(sign)
            } else if env.control & DEFAULT_NAN != 0 {
                to.default_nan()
            } else {
                let payload =
                    if from.frac > to.frac { x.sig >> (from.frac - to.frac) } else { x.sig << (to.frac - from.frac) };
                to.infinity(sign) | to.quiet_bit() | payload
            }
        }
        Kind::Finite => {
            let flush = to != HALF && env.flushes(to);
            round_to(to, x.term(), rounding.unwrap_or(env.rounding()), flush, to_alternative, env)
        }
    }
}

/// Estimates 1 / a (`FRECPE`).
pub fn recip_estimate(f: Format, a: u64, env: &mut FpEnv) -> u64 {
    let x = unpack(f, a, env);
    if let Some(nan) = process_nans(f, &[(a, x)], env) {
        return nan;
    }
    match x.kind {
        Kind::Infinite => return f.zero(x.sign),
        Kind::Zero => {
            env.raise(DIVIDE_BY_ZERO);
            return f.infinity(x.sign);
        }
        _ => {}
    }
    let (sig, low) = normalize(x);
    let exponent = low + 63;
    if exponent < -f.bias() - 1 {
        env.raise(OVERFLOW | INEXACT);
        let to_infinity = match env.rounding() {
            Rounding::Up => !x.sign,
            Rounding::Down => x.sign,
            rounding => rounding == Rounding::Even,
        };
        return if to_infinity { f.infinity(x.sign) } else { f.max(x.sign) };
    }
    if env.flushes(f) && exponent > f.bias() - 2 {
        env.raise(UNDERFLOW);
        return f.zero(x.sign);
    }
    let estimate = recip_table((sig >> 55) as u32);
    // The estimate is in 1/2 to 1 in units of 1/512.
    exact(f, x.sign, -exponent - 9, estimate)
}

/// Estimates 1 / sqrt(a) (`FRSQRTE`).
pub fn rsqrt_estimate(f: Format, a: u64, env: &mut FpEnv) -> u64 {
    let x = unpack(f, a, env);
    if let Some(nan) = process_nans(f, &[(a, x)], env) {
        return nan;
    }
    match x.kind {
        Kind::Zero => {
            env.raise(DIVIDE_BY_ZERO);
            return f.infinity(x.sign);
        }
        _ if x.sign => return invalid(f, env),
        Kind::Infinite => return f.zero(false),
        _ => {}
    }
    let (sig, low) = normalize(x);
    let exponent = low + 63;
    // The operand as a number in 1/4 to 1 times an even power of two.
    let (scaled, even) =
        if exponent & 1 == 0 { ((sig >> 56) as u32, exponent + 2) } else { ((sig >> 55) as u32, exponent + 1) };
    exact(f, false, -even / 2 - 8, rsqrt_table(scaled))
}

/// Packs a result that the format holds exactly.
fn exact(f: Format, sign: bool, exp: i32, sig: u32) -> u64 {
    let mut quiet = FpEnv::default();
    round_to(f, Term { sign, exp, sig: u128::from(sig) }, Rounding::Zero, false, false, &mut quiet)
}

/// The reciprocal estimate of `a`, 256 to 511 standing for 1/2 to 1; the result, 256 to 511, for 1 to 2.
pub fn recip_table(a: u32) -> u32 {
    let b = (1 << 19) / (a * 2 + 1);
    b.div_ceil(2)
}

/// The reciprocal square root estimate of `a`, 128 to 511 standing for 1/4 to 1; the result, 256 to 511, for 1 to 2.
pub fn rsqrt_table(a: u32) -> u32 {
    u32::from(RSQRT[a as usize - 128])
}

/// The results of [`rsqrt_table`], from their definition, which takes some hundred steps.
static RSQRT: [u16; 384] = {
    let mut table = [0; 384];
    let mut index = 0;
    let mut b = 512;
    // Downwards, so that each search goes on where the one before has ended.
    while index < 384 {
        let place = 383 - index;
        let a = place as u32 + 128;
        let a = if a < 256 { a * 2 + 1 } else { ((a >> 1 << 1) + 1) * 2 };
        while a * (b + 1) * (b + 1) < 1 << 28 {
            b += 1;
        }
        table[place] = b.div_ceil(2) as u16;
        index += 1;
    }
    table
};

/// 2 to the power of the negated exponent, roughly (`FRECPX`).
pub fn recip_exponent(f: Format, a: u64, env: &mut FpEnv) -> u64 {
    let x = unpack(f, a, env);
    if let Some(nan) = process_nans(f, &[(a, x)], env) {
        return nan;
    }
    let most = (1u64 << f.exp) - 1;
    let field = match f.exponent_field(a) as u64 {
        0 => most - 1,
        field => !field & most,
    };
    f.zero(x.sign) | field << f.frac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers where something changes, and numbers in between.
    fn doubles() -> Vec<f64> {
        let mut values = vec![0.0, 1.0, 1.5, 3.0, 1e16, 0.1, 1e300, 1e-300, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON];
        values.extend([5e-324, 1.1e-308, 2.0f64.powi(53) - 1.0, 1.0 - f64::EPSILON / 2.0, f64::INFINITY]);
        let mut seed = 1u64;
        for _ in 0..60 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Exponents near those of the numbers above meet more often than random ones.
            values.push(f64::from_bits((seed >> 12) | (1020 + (seed >> 5) % 8) << 52));
            values.push(f64::from_bits(seed >> 1));
        }
        values.retain(|x| !x.is_nan());
        let negative: Vec<f64> = values.iter().map(|x| -x).collect();
        values.extend(negative);
        values
    }

    /// Compares with the host; a NaN must come with Invalid.
    #[track_caller]
    fn check64(found: u64, expected: f64, env: FpEnv) {
        if expected.is_nan() {
            assert_eq!((found, env.status), (DOUBLE.default_nan(), INVALID));
        } else {
            assert_eq!(found, expected.to_bits(), "{expected:e}");
        }
    }

    #[test]
    fn doubles_agree_with_the_host() {
        let values = doubles();
        for &x in &values {
            for &y in &values {
                let (a, b) = (x.to_bits(), y.to_bits());
                let run = |op: fn(Format, u64, u64, &mut FpEnv) -> u64| {
                    let mut env = FpEnv::default();
                    (op(DOUBLE, a, b, &mut env), env)
                };
                let (sum, env) = run(add);
                check64(sum, x + y, env);
                let (difference, env) = run(sub);
                check64(difference, x - y, env);
                let (product, env) = run(mul);
                check64(product, x * y, env);
                let (quotient, env) = run(div);
                check64(quotient, x / y, env);
                let mut env = FpEnv::default();
                let narrow = convert(DOUBLE, SINGLE, a, None, &mut env);
                assert_eq!(narrow, u64::from((x as f32).to_bits()));
            }
            let mut env = FpEnv::default();
            check64(sqrt(DOUBLE, x.to_bits(), &mut env), x.sqrt(), env);
        }
    }

    #[test]
    fn fused_doubles_agree_with_the_host() {
        let values: Vec<f64> = doubles().into_iter().step_by(5).collect();
        for &x in &values {
            for &y in &values {
                for &z in &values {
                    let mut env = FpEnv::default();
                    let found = mul_add(DOUBLE, x.to_bits(), y.to_bits(), z.to_bits(), &mut env);
                    check64(found, y.mul_add(z, x), env);
                }
            }
        }
    }

    #[test]
    fn the_short_cut_changes_nothing() {
        for x in doubles() {
            for y in doubles() {
                for (a, b, f) in [
                    (x.to_bits(), y.to_bits(), DOUBLE),
                    (u64::from((x as f32).to_bits()), u64::from((y as f32).to_bits()), SINGLE),
                ] {
                    for op in [add, sub, mul, div] {
                        let (mut long, mut short) = (FpEnv::default(), FpEnv { control: 0, status: INEXACT });
                        let results = (op(f, a, b, &mut long), op(f, a, b, &mut short));
                        assert_eq!((results.0, long.status | INEXACT), (results.1, short.status), "{x:e} {y:e}");
                    }
                }
            }
        }
    }

    #[track_caller]
    fn exceptions(op: impl FnOnce(&mut FpEnv) -> u64, control: u64, result: u64, status: u32) {
        let mut env = FpEnv { control, status: 0 };
        let found = op(&mut env);
        assert_eq!((found, env.status), (result, status), "{found:#x}");
    }

    #[test]
    fn nans_are_passed_on_in_order() {
        let (quiet, signalling) = (0x7fc0_0001, 0xff80_0002);
        exceptions(|env| add(SINGLE, quiet, signalling, env), 0, 0xffc0_0002, INVALID);
        exceptions(|env| add(SINGLE, quiet, 0xffc0_0003, env), 0, quiet, 0);
        exceptions(|env| add(SINGLE, quiet, 0, env), DEFAULT_NAN, 0x7fc0_0000, 0);
        exceptions(|env| mul_add(SINGLE, quiet, 0, 0x7f80_0000, env), 0, 0x7fc0_0000, INVALID);
        exceptions(|env| max_number(SINGLE, quiet, 5, false, env), 0, 5, 0);
        exceptions(|env| max_number(SINGLE, signalling, 5, false, env), 0, 0xffc0_0002, INVALID);
    }

    #[test]
    fn tininess_is_found_before_rounding() {
        // The smallest normal number less half of its last place rounds up to it, and is an underflow nevertheless.
        let result = |env: &mut FpEnv| mul(SINGLE, 0x0080_0001, 0x3f7f_ffff, env);
        exceptions(result, 0, 0x0080_0000, INEXACT);
        let result = |env: &mut FpEnv| mul(SINGLE, 0x00ff_ffff, 0x3f00_0000, env);
        exceptions(result, 0, 0x0080_0000, UNDERFLOW | INEXACT);
        exceptions(result, FLUSH, 0, UNDERFLOW);
        exceptions(|env| add(SINGLE, 1, 0, env), FLUSH, 0, INPUT_DENORMAL);
    }

    #[test]
    fn canonical_nans_have_other_rules() {
        let (quiet, signalling) = (0x7fc0_0001, 0xff80_0002);
        let rules = control::CANONICAL;
        exceptions(|env| add(SINGLE, quiet, signalling, env), rules, 0x7fc0_0000, INVALID);
        exceptions(|env| max_number(SINGLE, signalling, 5, false, env), rules, 5, INVALID);
        exceptions(|env| max_number(SINGLE, 5, quiet, true, env), rules, 5, 0);
        exceptions(|env| max_number(SINGLE, quiet, quiet, true, env), rules, 0x7fc0_0000, 0);
        exceptions(|env| to_int(SINGLE, signalling, true, 32, 0, Rounding::Zero, env), rules, 0x7fff_ffff, INVALID);
        // Tininess after rounding: with 24 digits the first product is the smallest normal number, the second is not.
        exceptions(|env| mul(SINGLE, 0x00ff_ffff, 0x3f00_0000, env), rules, 0x0080_0000, UNDERFLOW | INEXACT);
        exceptions(
            |env| convert(DOUBLE, SINGLE, 0x380f_ffff_ffff_ffff, None, env),
            0,
            0x0080_0000,
            UNDERFLOW | INEXACT,
        );
        exceptions(|env| convert(DOUBLE, SINGLE, 0x380f_ffff_ffff_ffff, None, env), rules, 0x0080_0000, INEXACT);
        let mut env = FpEnv { control: rules | control::AWAY, status: 0 };
        assert_eq!(add(SINGLE, 0x4b80_0000, 0x3f80_0000, &mut env), 0x4b80_0001);
    }

    #[test]
    fn every_number_has_a_class() {
        for (bits, class_bit) in [
            (0xff80_0000, 0),
            (0x8080_0000, 1),
            (0x8000_0001, 2),
            (0x8000_0000, 3),
            (0, 4),
            (0x007f_ffff, 5),
            (0x3f80_0000, 6),
            (0x7f80_0000, 7),
            (0xff80_0001, 8),
            (0x7fc0_0000, 9),
        ] {
            assert_eq!(class(SINGLE, bits), 1 << class_bit, "{bits:#x}");
        }
    }

    #[test]
    fn conversions_saturate() {
        let convert = |a, signed, bits| move |env: &mut FpEnv| to_int(SINGLE, a, signed, bits, 0, Rounding::Zero, env);
        exceptions(convert(0x7fc0_0000, true, 32), 0, 0, INVALID);
        exceptions(convert(0x4f00_0000, true, 32), 0, 0x7fff_ffff, INVALID);
        exceptions(convert(0xcf00_0000, true, 32), 0, 0x8000_0000, 0);
        exceptions(convert(0xbf00_0000, false, 32), 0, 0, INEXACT);
        exceptions(convert(0xbf80_0000, false, 64), 0, 0, INVALID);
        exceptions(convert(0x3fc0_0000, true, 64), 0, 1, INEXACT);
    }
}
