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

/// The elements of a vector, zero-extended; those that the arrangement does not have are zero or not meant.
pub(super) type Elements = [u64; 16];

/// Takes a value apart into its elements of `t`'s width, also those that `t` does not cover.
pub(super) fn split(t: Lanes, value: u128) -> Elements {
    let mut elements = [0; 16];
    let bytes = value.to_le_bytes();
    match t.element() {
        1 => elements = bytes.map(u64::from),
        2 => (0..8).for_each(|i| elements[i] = u64::from((value >> (16 * i)) as u16)),
        4 => (0..4).for_each(|i| elements[i] = u64::from((value >> (32 * i)) as u32)),
        _ => (elements[0], elements[1]) = (value as u64, (value >> 64) as u64),
    }
    elements
}

/// The elements of two vectors, one after the other.
pub(super) fn split2(t: Lanes, a: u128, b: u128) -> [u64; 32] {
    let (a, b) = (split(t, a), split(t, b));
    let mut both = [0; 32];
    both[..16].copy_from_slice(&a);
    both[t.count()..t.count() + 16].copy_from_slice(&b);
    both
}

/// Puts elements together; what is beyond their width is cut off.
fn join(t: Lanes, elements: &Elements) -> u128 {
    match t.element() {
        1 => u128::from_le_bytes(elements.map(|x| x as u8)),
        2 => (0..8).fold(0, |value, i| value | u128::from(elements[i] as u16) << (16 * i)),
        4 => (0..4).fold(0, |value, i| value | u128::from(elements[i] as u32) << (32 * i)),
        _ => u128::from(elements[1]) << 64 | u128::from(elements[0]),
    }
}

/// `value` with element `i` replaced.
pub(super) fn set(t: Lanes, value: u128, i: usize, element: u64) -> u128 {
    let place = i * 8 * t.element();
    value & !(u128::from(ones(t)) << place) | u128::from(element & ones(t)) << place
}

/// The vector whose element `i` is `element(i)`.
pub(super) fn build(t: Lanes, mut element: impl FnMut(usize) -> u64) -> u128 {
    if t.count() == 1 {
        return u128::from(element(0) & ones(t));
    }
    let mut elements = [0; 16];
    for (i, slot) in elements.iter_mut().enumerate().take(t.count()) {
        *slot = element(i);
    }
    join(t, &elements)
}

/// An element sign-extended; `spare` is 64 less its width.
fn extend(x: u64, spare: u32) -> i64 {
    (x << spare) as i64 >> spare
}

pub(super) fn map_u(t: Lanes, a: u128, mut f: impl FnMut(u64) -> u64) -> u128 {
    let a = split(t, a);
    build(t, |i| f(a[i]))
}

pub(super) fn map_s(t: Lanes, a: u128, mut f: impl FnMut(i64) -> i64) -> u128 {
    let spare = 64 - bits(t);
    map_u(t, a, |x| f(extend(x, spare)) as u64)
}

pub(super) fn map2_u(t: Lanes, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
    let (a, b) = (split(t, a), split(t, b));
    build(t, |i| f(a[i], b[i]))
}

pub(super) fn map2_s(t: Lanes, a: u128, b: u128, mut f: impl FnMut(i64, i64) -> i64) -> u128 {
    let spare = 64 - bits(t);
    map2_u(t, a, b, |x, y| f(extend(x, spare), extend(y, spare)) as u64)
}

pub(super) fn pair_u(t: Lanes, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
    let both = split2(t, a, b);
    build(t, |i| f(both[2 * i], both[2 * i + 1]))
}

pub(super) fn pair_s(t: Lanes, a: u128, b: u128, f: impl Fn(i64, i64) -> i64) -> u128 {
    let spare = 64 - bits(t);
    pair_u(t, a, b, |x, y| f(extend(x, spare), extend(y, spare)) as u64)
}

pub(super) fn reduce_u(t: Lanes, a: u128, f: impl Fn(u64, u64) -> u64) -> u128 {
    let elements = split(t, a);
    let result = elements[1..t.count()].iter().fold(elements[0], |x, &y| f(x, y));
    u128::from(result & ones(t))
}

pub(super) fn reduce_s(t: Lanes, a: u128, f: impl Fn(i64, i64) -> i64) -> u128 {
    let spare = 64 - bits(t);
    reduce_u(t, a, |x, y| f(extend(x, spare), extend(y, spare)) as u64)
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

fn is_full(t: Lanes) -> bool {
    t.element() * t.count() == 16
}

/// The half of a narrow source that a long operation uses, in the low bits.
pub(super) fn upper_if_full(t: Lanes, value: u128) -> u128 {
    if is_full(t) { value >> 64 } else { value }
}

/// Computes double-width elements from the narrow ones of a and b.
pub(super) fn long_u(t: Lanes, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
    let (a, b) = (split(t, upper_if_full(t, a)), split(t, upper_if_full(t, b)));
    build(long(t), |i| f(a[i], b[i]))
}

pub(super) fn long_s(t: Lanes, a: u128, b: u128, mut f: impl FnMut(i64, i64) -> i64) -> u128 {
    let spare = 64 - bits(t);
    long_u(t, a, b, |x, y| f(extend(x, spare), extend(y, spare)) as u64)
}

/// The arrangement of the results of a long operation.
pub(super) fn long(t: Lanes) -> Lanes {
    if t.count() == 1 { doubled(t) } else { doubled(twice(t)) }
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
pub(super) fn pair_long(t: Lanes, a: u128, signed: bool) -> u128 {
    let spare = if signed { 64 - bits(t) } else { 0 };
    let elements = split(t, a).map(|x| extend(x, spare) as u64);
    build(doubled(t), |i| elements[2 * i].wrapping_add(elements[2 * i + 1]))
}

/// The arrangement of the results of a narrowing operation: 64 bits, or a scalar.
pub(super) fn narrowed(t: Lanes) -> Lanes {
    match t {
        Lanes::H8 => Lanes::B8,
        Lanes::S4 => Lanes::H4,
        Lanes::D2 => Lanes::S2,
        _ => halved(t),
    }
}

/// Computes half-width elements from those of a.
pub(super) fn narrow(t: Lanes, a: u128, mut f: impl FnMut(u64) -> u64) -> u128 {
    let a = split(t, a);
    build(narrowed(t), |i| f(a[i]))
}

pub(super) fn narrow_u(t: Lanes, a: u128, mut f: impl FnMut(Lanes, i128) -> u64) -> u128 {
    narrow(t, a, |x| f(halved(t), i128::from(x)))
}

pub(super) fn narrow_s(t: Lanes, a: u128, mut f: impl FnMut(Lanes, i128) -> u64) -> u128 {
    let spare = 64 - bits(t);
    narrow(t, a, |x| f(halved(t), i128::from(extend(x, spare))))
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
    let (mut product, mut rest) = (0, y);
    while rest != 0 {
        product ^= u128::from(x) << rest.trailing_zeros();
        rest &= rest - 1;
    }
    product
}

/// Reverses the elements within each `container` bytes.
pub(super) fn reverse(t: Lanes, a: u128, container: usize) -> u128 {
    let last = container / t.element() - 1;
    let a = split(t, a);
    build(t, |i| a[i ^ last])
}

/// The bytes from byte `from` of a followed by b.
pub(super) fn extract(t: Lanes, a: u128, b: u128, from: u32) -> u128 {
    let both = split2(t, a, b);
    build(t, |i| both[i + from as usize])
}

/// Bytes of `bytes` chosen by `indices` less `base`, of `other` where that is above 15.
pub(super) fn table(t: Lanes, other: u128, bytes: u128, indices: u128, base: u32) -> u128 {
    let (other, bytes, indices) = (split(t, other), split(t, bytes), split(t, indices));
    build(t, |i| match indices[i].wrapping_sub(u64::from(base)) {
        index @ 0..16 => bytes[index as usize],
        _ => other[i],
    })
}

/// Elements of the halves from element `from` of a and b in turn.
pub(super) fn zip(t: Lanes, a: u128, b: u128, from: usize) -> u128 {
    let (a, b) = (split(t, a), split(t, b));
    build(t, |i| if i % 2 == 0 { a[from + i / 2] } else { b[from + i / 2] })
}

/// Every second element of a, then of b, from element `from` on.
pub(super) fn unzip(t: Lanes, a: u128, b: u128, from: usize) -> u128 {
    let both = split2(t, a, b);
    build(t, |i| both[2 * i + from])
}

/// The even elements of a and b in turn, or the odd ones if `odd` is 1.
pub(super) fn transpose(t: Lanes, a: u128, b: u128, odd: usize) -> u128 {
    let (a, b) = (split(t, a), split(t, b));
    build(t, |i| if i % 2 == 0 { a[i + odd] } else { b[i - 1 + odd] })
}

/// Every third element of three registers taken as one, from element `from` on.
pub(super) fn unzip3(t: Lanes, registers: [u128; 3], from: usize) -> u128 {
    build(t, |i| {
        let place = 3 * i + from;
        get(t, registers[place / t.count()], place % t.count())
    })
}

/// Register `part` of the three that hold the elements of three registers in turn.
pub(super) fn zip3(t: Lanes, registers: [u128; 3], part: usize) -> u128 {
    build(t, |i| {
        let place = part * t.count() + i;
        get(t, registers[place % 3], place / 3)
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
