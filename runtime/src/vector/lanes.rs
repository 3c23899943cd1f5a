//! Integer elements: taking a 128-bit value apart, computing on each element, putting the results together.
//!
//! Elements travel as 64-bit integers, zero-extended or sign-extended; what does not fit is cut off when the result is
//! put together. Floating point is not here.

use super::{FpEnv, softfloat};
use crate::uop::Lanes;

/// Cumulative saturation in the status.
const SATURATED: u32 = 1 << 27;

/// Width of an element in bits, at most 64.
pub(super) fn bits(t: Lanes) -> u32 {
    8 * t.element().min(8) as u32
}

/// An element of ones.
pub(super) fn ones(t: Lanes) -> u64 {
    u64::MAX >> (64 - bits(t))
}

/// Clears what `t` does not cover.
pub(super) fn fit(t: Lanes, value: u128) -> u128 {
    value & (u128::MAX >> (128 - 8 * t.element() * t.count()))
}

/// Element `i`, zero-extended.
pub(super) fn get(t: Lanes, value: u128, i: usize) -> u64 {
    (value >> (i * 8 * t.element())) as u64 & ones(t)
}

/// Element `i`, sign-extended.
pub(super) fn get_s(t: Lanes, value: u128, i: usize) -> i64 {
    let spare = 64 - bits(t);
    (get(t, value, i) << spare) as i64 >> spare
}

/// Element `i` of registers taken as one long vector.
pub(super) fn get_of(t: Lanes, registers: &[u128], i: usize) -> u64 {
    get(t, registers[i / t.count()], i % t.count())
}

/// `value` with element `i` replaced.
pub(super) fn set(t: Lanes, value: u128, i: usize, element: u64) -> u128 {
    let place = i * 8 * t.element();
    value & !(u128::from(ones(t)) << place) | u128::from(element & ones(t)) << place
}

/// The vector whose element `i` is `element(i)`.
pub(super) fn build(t: Lanes, mut element: impl FnMut(usize) -> u64) -> u128 {
    let mut result = 0;
    for i in 0..t.count() {
        result |= u128::from(element(i) & ones(t)) << (i * 8 * t.element());
    }
    result
}

pub(super) fn map_u(t: Lanes, a: u128, mut f: impl FnMut(u64) -> u64) -> u128 {
    build(t, |i| f(get(t, a, i)))
}

pub(super) fn map_s(t: Lanes, a: u128, mut f: impl FnMut(i64) -> i64) -> u128 {
    build(t, |i| f(get_s(t, a, i)) as u64)
}

pub(super) fn map2_u(t: Lanes, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
    build(t, |i| f(get(t, a, i), get(t, b, i)))
}

pub(super) fn map2_s(t: Lanes, a: u128, b: u128, mut f: impl FnMut(i64, i64) -> i64) -> u128 {
    build(t, |i| f(get_s(t, a, i), get_s(t, b, i)) as u64)
}

pub(super) fn pair_u(t: Lanes, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
    build(t, |i| f(get_of(t, &[a, b], 2 * i), get_of(t, &[a, b], 2 * i + 1)))
}

pub(super) fn pair_s(t: Lanes, a: u128, b: u128, f: impl Fn(i64, i64) -> i64) -> u128 {
    let spare = 64 - bits(t);
    let extend = |x: u64| (x << spare) as i64 >> spare;
    pair_u(t, a, b, |x, y| f(extend(x), extend(y)) as u64)
}

pub(super) fn reduce_u(t: Lanes, a: u128, f: impl Fn(u64, u64) -> u64) -> u128 {
    let result = (0..t.count()).map(|i| get(t, a, i)).reduce(f).unwrap_or(0);
    u128::from(result & ones(t))
}

pub(super) fn reduce_s(t: Lanes, a: u128, f: impl Fn(i64, i64) -> i64) -> u128 {
    let result = (0..t.count()).map(|i| get_s(t, a, i)).reduce(f).unwrap_or(0);
    u128::from(result as u64 & ones(t))
}

/// All ones for true.
pub(super) fn truth(holds: bool) -> i64 {
    -i64::from(holds)
}

/// The arrangement of half as many elements of double width in the same space; a scalar of double width.
pub(super) fn doubled(t: Lanes) -> Lanes {
    match t {
        Lanes::B8 => Lanes::H4,
        Lanes::B16 => Lanes::H8,
        Lanes::H4 => Lanes::S2,
        Lanes::H8 => Lanes::S4,
        Lanes::S2 => Lanes::D1,
        Lanes::S4 => Lanes::D2,
        Lanes::D1 | Lanes::D2 | Lanes::D | Lanes::Q => Lanes::Q,
        Lanes::B => Lanes::H,
        Lanes::H => Lanes::S,
        Lanes::S => Lanes::D,
    }
}

/// The scalar arrangement of half the width of `t`'s elements.
pub(super) fn halved(t: Lanes) -> Lanes {
    match t.element() {
        2 => Lanes::B,
        4 => Lanes::H,
        _ => Lanes::S,
    }
}

/// Number of elements that a long operation takes from its narrow sources.
fn long_count(t: Lanes) -> usize {
    if is_full(t) { t.count() / 2 } else { t.count() }
}

fn is_full(t: Lanes) -> bool {
    t.element() * t.count() == 16
}

/// The half of a narrow source that a long operation uses, in the low bits.
pub(super) fn upper_if_full(t: Lanes, value: u128) -> u128 {
    if is_full(t) { value >> 64 } else { value }
}

/// Computes double-width elements from the narrow ones of a and b.
pub(super) fn long_u(t: Lanes, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
    let (a, b) = (upper_if_full(t, a), upper_if_full(t, b));
    build_long(t, |i| f(get(t, a, i), get(t, b, i)))
}

pub(super) fn long_s(t: Lanes, a: u128, b: u128, mut f: impl FnMut(i64, i64) -> i64) -> u128 {
    let (a, b) = (upper_if_full(t, a), upper_if_full(t, b));
    build_long(t, |i| f(get_s(t, a, i), get_s(t, b, i)) as u64)
}

fn build_long(t: Lanes, mut element: impl FnMut(usize) -> u64) -> u128 {
    let width = 2 * bits(t);
    let mask = u64::MAX >> (64 - width);
    (0..long_count(t)).fold(0, |result, i| result | u128::from(element(i) & mask) << (i as u32 * width))
}

/// Combines wide a with wide b.
pub(super) fn wide(t: Lanes, a: u128, b: u128, f: impl Fn(u64, u64) -> u64) -> u128 {
    map2_u(doubled(twice(t)), a, b, f)
}

/// The 128-bit arrangement of the same elements.
fn twice(t: Lanes) -> Lanes {
    match t.element() {
        1 => Lanes::B16,
        2 => Lanes::H8,
        4 => Lanes::S4,
        _ => Lanes::D2,
    }
}

/// Sums of neighbours at double width.
pub(super) fn pair_long(t: Lanes, a: u128, element: impl Fn(u128, usize) -> u64) -> u128 {
    build(doubled(t), |i| element(a, 2 * i).wrapping_add(element(a, 2 * i + 1)))
}

/// Computes half-width elements from those of a.
pub(super) fn narrow(t: Lanes, a: u128, mut f: impl FnMut(u64) -> u64) -> u128 {
    let width = bits(t) / 2;
    let mask = u64::MAX >> (64 - width);
    (0..t.count()).fold(0, |result, i| result | u128::from(f(get(t, a, i)) & mask) << (i as u32 * width))
}

pub(super) fn narrow_u(t: Lanes, a: u128, mut f: impl FnMut(Lanes, i128) -> u64) -> u128 {
    narrow(t, a, |x| f(halved(t), i128::from(x)))
}

pub(super) fn narrow_s(t: Lanes, a: u128, mut f: impl FnMut(Lanes, i128) -> u64) -> u128 {
    let spare = 64 - bits(t);
    narrow(t, a, |x| f(halved(t), i128::from((x << spare) as i64 >> spare)))
}

/// Upper halves of sums or differences; `round` is 1 to add half a unit.
pub(super) fn narrow_high(t: Lanes, a: u128, b: u128, round: u64, f: impl Fn(u64, u64) -> u64) -> u128 {
    let half = bits(t) / 2;
    let combined = map2_u(t, a, b, |x, y| f(x, y).wrapping_add(round << (half - 1)));
    narrow(t, combined, |x| x >> half)
}

/// Cuts a value to the signed range of `t`'s elements; the result is the element's bits, sign-extended.
pub(super) fn saturate_s(t: Lanes, value: i128, env: &mut FpEnv) -> u64 {
    let most = (ones(t) >> 1) as i128;
    clamp(value, -most - 1, most, env) as u64
}

/// Cuts a value to the unsigned range of `t`'s elements.
pub(super) fn saturate_u(t: Lanes, value: i128, env: &mut FpEnv) -> u64 {
    clamp(value, 0, i128::from(ones(t)), env) as u64
}

fn clamp(value: i128, least: i128, most: i128, env: &mut FpEnv) -> i128 {
    let result = value.clamp(least, most);
    if result != value {
        env.status |= SATURATED;
    }
    result
}

/// Shifts an element left by `n`, or right by `-n`, perhaps rounded. Left shifts stay below 64.
pub(super) fn shift(value: i128, n: i32, round: bool) -> i128 {
    match n {
        0.. => value << n,
        // Everything has been shifted out, and a half of it rounds to zero from either side.
        ..-64 if round => 0,
        ..-64 => value >> 127,
        _ if round => (value + (1 << (-n - 1))) >> -n,
        _ => value >> -n,
    }
}

/// The shift amount in an element: its signed low byte.
fn amount(element: u64) -> i32 {
    i32::from(element as i8)
}

/// Shifts by the amount in `by`; what is shifted out to the left is lost.
pub(super) fn shift_by(x: i64, by: i64, round: bool) -> u64 {
    match amount(by as u64) {
        64.. => 0,
        n => shift(i128::from(x), n, round) as u64,
    }
}

/// As [`shift_by`] for an unsigned element.
pub(super) fn shift_by_u(x: u64, by: u64, round: bool) -> u64 {
    match amount(by) {
        64.. => 0,
        n => shift(i128::from(x), n, round) as u64,
    }
}

/// Shifts by the amount in `by`; the result is exact where it is in range, and out of range where it is not.
pub(super) fn shift_wide(t: Lanes, x: i128, by: u64, round: bool) -> i128 {
    match amount(by) {
        n if n >= bits(t) as i32 => x.signum() << 100,
        n => shift(x, n, round),
    }
}

/// The upper half of 2xy plus `round`.
pub(super) fn mul_high(t: Lanes, x: i64, y: i64, round: i128) -> i128 {
    (2 * i128::from(x) * i128::from(y) + round) >> bits(t)
}

/// Element `i` of `sqrdmlah` or `sqrdmlsh`.
pub(super) fn mul_accumulate(t: Lanes, a: u128, b: u128, c: u128, i: usize, sub: bool, env: &mut FpEnv) -> u64 {
    let product = 2 * i128::from(get_s(t, b, i)) * i128::from(get_s(t, c, i));
    let product = if sub { -product } else { product };
    let total = (i128::from(get_s(t, a, i)) << bits(t)) + product + (1 << (bits(t) - 1));
    saturate_s(t, total >> bits(t), env)
}

/// Adds to each word of a the four products that belong to it.
pub(super) fn dot(t: Lanes, a: u128, product: impl Fn(usize) -> i64) -> u128 {
    build(t, |i| {
        let sum: i64 = (4 * i..4 * i + 4).map(&product).sum();
        get(t, a, i).wrapping_add(sum as u64)
    })
}

/// Multiplies polynomials over two elements.
pub(super) fn carryless(x: u64, y: u64) -> u128 {
    (0..64).filter(|i| y >> i & 1 == 1).fold(0, |product, i| product ^ u128::from(x) << i)
}

/// Reverses the elements within each `container` bytes.
pub(super) fn reverse(t: Lanes, a: u128, container: usize) -> u128 {
    let last = container / t.element() - 1;
    build(t, |i| get(t, a, i ^ last))
}

/// The bytes from byte `from` of a followed by b.
pub(super) fn extract(t: Lanes, a: u128, b: u128, from: u32) -> u128 {
    build(t, |i| get_of(t, &[a, b], i + from as usize))
}

/// Bytes of `bytes` chosen by `indices` less `base`, of `other` where that is above 15.
pub(super) fn table(t: Lanes, other: u128, bytes: u128, indices: u128, base: u32) -> u128 {
    build(t, |i| match get(t, indices, i).wrapping_sub(u64::from(base)) {
        index @ 0..16 => get(Lanes::B16, bytes, index as usize),
        _ => get(t, other, i),
    })
}

/// Estimates 2^63 / a (`urecpe`).
pub(super) fn recip_estimate(a: u64) -> u64 {
    if a >> 31 == 0 { 0xffff_ffff } else { u64::from(softfloat::recip_table((a >> 23) as u32)) << 23 }
}

/// Estimates 2^47.5 / sqrt(a) (`ursqrte`).
pub(super) fn rsqrt_estimate(a: u64) -> u64 {
    if a >> 30 == 0 { 0xffff_ffff } else { u64::from(softfloat::rsqrt_table((a >> 23) as u32)) << 23 }
}
