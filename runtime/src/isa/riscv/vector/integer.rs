//! Integer arithmetic of elements.

use super::group::signed;
use super::table::Extension::{Signed, Unsigned};
use super::table::Shape::{
    Carry, Compare, Extend, Merge, Move, Narrow, Reduce, ReduceWide, Same, Wide, WideSecond, WithCarry,
};
use super::table::form::{MVV, MVX, UNSIGNED, VI, VV, VX};
use super::table::{Element, Operation, op};

const VVX: u32 = VV | VX;
const VXI: u32 = VX | VI;
const ALL: u32 = VV | VX | VI;
const SHIFT: u32 = ALL | UNSIGNED;
const MVVX: u32 = MVV | MVX;

const ADD: Element = |_, _, a, b, _| a.wrapping_add(b);
const SUB: Element = |_, _, a, b, _| a.wrapping_sub(b);
const MUL: Element = |_, _, a, b, _| a.wrapping_mul(b);
const MUL_ADD: Element = |_, _, a, b, d| d.wrapping_add(a.wrapping_mul(b));
const MIN_U: Element = |_, _, a, b, _| a.min(b);
const MAX_U: Element = |_, _, a, b, _| a.max(b);
const MIN_S: Element = |_, w, a, b, _| signed(w, a).min(signed(w, b)) as u64;
const MAX_S: Element = |_, w, a, b, _| signed(w, a).max(signed(w, b)) as u64;
const AND: Element = |_, _, a, b, _| a & b;
const OR: Element = |_, _, a, b, _| a | b;
const XOR: Element = |_, _, a, b, _| a ^ b;

/// The rows of this group.
#[rustfmt::skip]
pub(super) const ROWS: &[Operation] = &[
    op("vadd",   0b000000, ALL, Same(ADD)),
    op("vsub",   0b000010, VVX, Same(SUB)),
    op("vrsub",  0b000011, VXI, Same(|_, _, a, b, _| b.wrapping_sub(a))),
    op("vminu",  0b000100, VVX, Same(MIN_U)),
    op("vmin",   0b000101, VVX, Same(MIN_S)),
    op("vmaxu",  0b000110, VVX, Same(MAX_U)),
    op("vmax",   0b000111, VVX, Same(MAX_S)),
    op("vand",   0b001001, ALL, Same(AND)),
    op("vor",    0b001010, ALL, Same(OR)),
    op("vxor",   0b001011, ALL, Same(XOR)),
    op("vsll",   0b100101, SHIFT, Same(|_, w, a, b, _| a << (b & u64::from(w - 1)))),
    op("vsrl",   0b101000, SHIFT, Same(|_, w, a, b, _| a >> (b & u64::from(w - 1)))),
    op("vsra",   0b101001, SHIFT, Same(|_, w, a, b, _| (signed(w, a) >> (b & u64::from(w - 1))) as u64)),
    op("vnsrl",  0b101100, SHIFT, Narrow(|_, w, a, b, _| a >> (b & u64::from(2 * w - 1)))),
    op("vnsra",  0b101101, SHIFT, Narrow(|_, w, a, b, _| (signed(2 * w, a) >> (b & u64::from(2 * w - 1))) as u64)),
    // ---- comparison
    op("vmseq",  0b011000, ALL, Compare(|_, _, a, b| a == b)),
    op("vmsne",  0b011001, ALL, Compare(|_, _, a, b| a != b)),
    op("vmsltu", 0b011010, VVX, Compare(|_, _, a, b| a < b)),
    op("vmslt",  0b011011, VVX, Compare(|_, w, a, b| signed(w, a) < signed(w, b))),
    op("vmsleu", 0b011100, ALL, Compare(|_, _, a, b| a <= b)),
    op("vmsle",  0b011101, ALL, Compare(|_, w, a, b| signed(w, a) <= signed(w, b))),
    op("vmsgtu", 0b011110, VXI, Compare(|_, _, a, b| a > b)),
    op("vmsgt",  0b011111, VXI, Compare(|_, w, a, b| signed(w, a) > signed(w, b))),
    // ---- carries
    op("vadc",   0b010000, ALL, WithCarry(|_, _, a, b, carry| a.wrapping_add(b).wrapping_add(carry))).masked(),
    op("vmadc",  0b010001, ALL, Carry(|w, a, b, carry| (u128::from(a) + u128::from(b) + u128::from(carry)) >> w != 0)),
    op("vsbc",   0b010010, VVX, WithCarry(|_, _, a, b, carry| a.wrapping_sub(b).wrapping_sub(carry))).masked(),
    op("vmsbc",  0b010011, VVX, Carry(|_, a, b, carry| u128::from(a) < u128::from(b) + u128::from(carry))),
    // ---- moves
    op("vmerge", 0b010111, ALL, Merge).masked(),
    op("vmv.v",  0b010111, ALL, Move).unmasked().second(0),
    // ---- products and quotients
    op("vmul",   0b100101, MVVX, Same(MUL)),
    op("vmulhu", 0b100100, MVVX, Same(|_, w, a, b, _| ((u128::from(a) * u128::from(b)) >> w) as u64)),
    op("vmulhsu", 0b100110, MVVX, Same(|_, w, a, b, _| ((i128::from(signed(w, a)) * i128::from(b)) >> w) as u64)),
    op("vmulh",  0b100111, MVVX, Same(|_, w, a, b, _| ((i128::from(signed(w, a)) * i128::from(signed(w, b))) >> w) as u64)),
    op("vdivu",  0b100000, MVVX, Same(|_, _, a, b, _| a.checked_div(b).unwrap_or(u64::MAX))),
    op("vdiv",   0b100001, MVVX, Same(|_, w, a, b, _| if b == 0 { u64::MAX } else { signed(w, a).wrapping_div(signed(w, b)) as u64 })),
    op("vremu",  0b100010, MVVX, Same(|_, _, a, b, _| a.checked_rem(b).unwrap_or(a))),
    op("vrem",   0b100011, MVVX, Same(|_, w, a, b, _| if b == 0 { a } else { signed(w, a).wrapping_rem(signed(w, b)) as u64 })),
    op("vmadd",  0b101001, MVVX, Same(|_, _, a, b, d| a.wrapping_add(b.wrapping_mul(d)))),
    op("vnmsub", 0b101011, MVVX, Same(|_, _, a, b, d| a.wrapping_sub(b.wrapping_mul(d)))),
    op("vmacc",  0b101101, MVVX, Same(MUL_ADD)),
    op("vnmsac", 0b101111, MVVX, Same(|_, _, a, b, d| d.wrapping_sub(a.wrapping_mul(b)))),
    // ---- twice as wide
    op("vwaddu",   0b110000, MVVX, Wide(Unsigned, Unsigned, ADD)),
    op("vwadd",    0b110001, MVVX, Wide(Signed, Signed, ADD)),
    op("vwsubu",   0b110010, MVVX, Wide(Unsigned, Unsigned, SUB)),
    op("vwsub",    0b110011, MVVX, Wide(Signed, Signed, SUB)),
    op("vwaddu.w", 0b110100, MVVX, WideSecond(Unsigned, ADD)),
    op("vwadd.w",  0b110101, MVVX, WideSecond(Signed, ADD)),
    op("vwsubu.w", 0b110110, MVVX, WideSecond(Unsigned, SUB)),
    op("vwsub.w",  0b110111, MVVX, WideSecond(Signed, SUB)),
    op("vwmulu",   0b111000, MVVX, Wide(Unsigned, Unsigned, MUL)),
    op("vwmulsu",  0b111010, MVVX, Wide(Signed, Unsigned, MUL)),
    op("vwmul",    0b111011, MVVX, Wide(Signed, Signed, MUL)),
    op("vwmaccu",  0b111100, MVVX, Wide(Unsigned, Unsigned, MUL_ADD)),
    op("vwmacc",   0b111101, MVVX, Wide(Signed, Signed, MUL_ADD)),
    op("vwmaccus", 0b111110, MVX,  Wide(Signed, Unsigned, MUL_ADD)),
    op("vwmaccsu", 0b111111, MVVX, Wide(Unsigned, Signed, MUL_ADD)),
    op("vzext.vf8", 0b010010, MVV, Extend(Unsigned, 3)).first(2),
    op("vsext.vf8", 0b010010, MVV, Extend(Signed, 3)).first(3),
    op("vzext.vf4", 0b010010, MVV, Extend(Unsigned, 2)).first(4),
    op("vsext.vf4", 0b010010, MVV, Extend(Signed, 2)).first(5),
    op("vzext.vf2", 0b010010, MVV, Extend(Unsigned, 1)).first(6),
    op("vsext.vf2", 0b010010, MVV, Extend(Signed, 1)).first(7),
    // ---- reductions
    op("vredsum",  0b000000, MVV, Reduce(ADD)),
    op("vredand",  0b000001, MVV, Reduce(AND)),
    op("vredor",   0b000010, MVV, Reduce(OR)),
    op("vredxor",  0b000011, MVV, Reduce(XOR)),
    op("vredminu", 0b000100, MVV, Reduce(MIN_U)),
    op("vredmin",  0b000101, MVV, Reduce(MIN_S)),
    op("vredmaxu", 0b000110, MVV, Reduce(MAX_U)),
    op("vredmax",  0b000111, MVV, Reduce(MAX_S)),
    op("vwredsumu", 0b110000, VV, ReduceWide(Unsigned, ADD)),
    op("vwredsum", 0b110001, VV, ReduceWide(Signed, ADD)),
];
