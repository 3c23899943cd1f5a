//! Native saturating vector operations: sums, shifts, products and narrowing that stay in range and note where they had
//! to.
//!
//! Elements that an arrangement does not have must not saturate: they are made 0 first, of which no operation here
//! makes anything out of range.

use super::direct;
use super::lower::Lowering;
use super::vector::{doubled, element_bits, elements};
use crate::uop::{Lanes, slot};
use crate::vector::{V1Op, V2Op, V3Op};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

/// Cumulative saturation in the status slot.
const SATURATED: i64 = 1 << 27;

impl Lowering<'_, '_> {
    // ---- building blocks

    /// Sets the saturation bit of the status if any bit of `mask` is set.
    fn note_saturated(&mut self, mask: Value) {
        let any = self.b.ins().vany_true(mask);
        let (note, go_on) = (self.fresh(), self.fresh());
        self.b.ins().brif(any, note, &[], go_on, &[]);
        self.go_on_in(note);
        let status = self.get(slot::FP_STATUS);
        let bit = self.imm(SATURATED as u64);
        let status = self.b.ins().bor(status, bit);
        self.set(slot::FP_STATUS, status);
        self.b.ins().jump(go_on, &[]);
        self.go_on_in(go_on);
    }

    /// Sets the saturation bit of the status if `exact` and `saturated` differ.
    fn note_saturation(&mut self, exact: Value, saturated: Value) {
        let difference = self.b.ins().bxor(exact, saturated);
        self.note_saturated(difference);
    }

    /// All ones where an element is negative.
    fn negative(&mut self, ty: Type, a: Value) -> Value {
        let zero = self.splat(ty, 0);
        self.b.ins().icmp(IntCC::SignedLessThan, a, zero)
    }

    /// The lowest signed element.
    fn least(&mut self, ty: Type) -> Value {
        self.splat(ty, 1 << (element_bits(ty) - 1))
    }

    /// The limit on the side of 0 on which each element is: the highest signed one or the lowest.
    fn signed_limit(&mut self, ty: Type, a: Value) -> Value {
        let most = self.splat(ty, u64::MAX >> (65 - element_bits(ty)));
        let negative = self.negative(ty, a);
        self.b.ins().bxor(negative, most)
    }

    /// A slot's elements, those that `t` does not have being 0.
    fn covered(&mut self, t: Lanes, ty: Type, value: Value) -> Value {
        let value = self.fit(t, value);
        self.cast(value, ty)
    }

    // ---- one operand

    /// `QAbs` or `QNeg`: only the lowest element has no counterpart, and it is its own one.
    pub(super) fn mirrored(&mut self, op: V1Op, t: Lanes, a: Value) -> Option<Value> {
        let ty = elements(t)?;
        let a = self.covered(t, ty, a);
        let value = if op == V1Op::QAbs { self.b.ins().iabs(a) } else { self.b.ins().ineg(a) };
        let least = self.least(ty);
        let saturated = self.b.ins().icmp(IntCC::Equal, a, least);
        self.note_saturated(saturated);
        // The lowest element less 1 is the highest.
        let value = self.b.ins().iadd(value, saturated);
        Some(self.bytes_of(value))
    }

    /// `QShlS`, `QShlU` or `QShlSU`: out of range is what does not come back.
    pub(super) fn shifted_left_saturating(&mut self, op: V1Op, t: Lanes, a: Value, n: i64) -> Option<Value> {
        let ty = elements(t)?;
        let a = self.covered(t, ty, a);
        let negative = self.negative(ty, a);
        let from = if op == V1Op::QShlSU {
            let not = self.b.ins().bnot(negative);
            self.b.ins().band(a, not)
        } else {
            a
        };
        let moved = self.shifted_left(ty, from, n)?;
        let back = self.shifted_right(ty, moved, n, op == V1Op::QShlS);
        let over = self.b.ins().icmp(IntCC::NotEqual, back, from);
        let value = if op == V1Op::QShlS {
            let limit = self.signed_limit(ty, a);
            self.b.ins().bitselect(over, limit, moved)
        } else {
            self.b.ins().bor(moved, over)
        };
        let saturated = if op == V1Op::QShlSU { self.b.ins().bor(over, negative) } else { over };
        self.note_saturated(saturated);
        Some(self.bytes_of(value))
    }

    /// The saturating forms of `Narrow`.
    pub(super) fn narrowed_saturating(&mut self, op: V1Op, t: Lanes, a: Value, n: i64) -> Option<Value> {
        let ty = elements(t)?;
        let half = element_bits(ty) / 2;
        let rounds = matches!(op, V1Op::QRNarrowS | V1Op::QRNarrowU | V1Op::QRNarrowSU);
        if half == 4 || n > half || rounds && n == 0 {
            return None;
        }
        let unsigned = matches!(op, V1Op::QNarrowU | V1Op::QRNarrowU);
        let a = self.covered(t, ty, a);
        let value = if rounds {
            self.shifted_right_rounded(ty, a, n, !unsigned)
        } else {
            self.shifted_right(ty, a, n, !unsigned)
        };
        let ones = u64::MAX >> (64 - half);
        let limited = if unsigned {
            let most = self.splat(ty, ones);
            self.b.ins().umin(value, most)
        } else {
            let signed = matches!(op, V1Op::QNarrowS | V1Op::QRNarrowS);
            let (least, most) = if signed { (!(ones >> 1), ones >> 1) } else { (0, ones) };
            self.clamped(ty, value, least, most)
        };
        self.note_saturation(value, limited);
        let limited = self.bytes_of(limited);
        self.narrowed(t, limited, 0)
    }

    /// Signed elements between two bounds.
    fn clamped(&mut self, ty: Type, value: Value, least: u64, most: u64) -> Value {
        let (least, most) = (self.splat(ty, least), self.splat(ty, most));
        let value = self.b.ins().smax(value, least);
        self.b.ins().smin(value, most)
    }

    // ---- two operands

    /// Sums and differences of operands of one kind.
    pub(super) fn saturating(&mut self, op: V2Op, t: Lanes, a: Value, b: Value) -> Option<Value> {
        let ty = elements(t)?;
        let (a, b) = (self.covered(t, ty, a), self.covered(t, ty, b));
        let adds = matches!(op, V2Op::QAddS | V2Op::QAddU);
        let wrapped = if adds { self.b.ins().iadd(a, b) } else { self.b.ins().isub(a, b) };
        // The host has these for small elements only.
        let small = t.element() <= 2;
        let value = match op {
            V2Op::QAddS if small => self.b.ins().sadd_sat(a, b),
            V2Op::QAddU if small => self.b.ins().uadd_sat(a, b),
            V2Op::QSubS if small => self.b.ins().ssub_sat(a, b),
            V2Op::QSubU if small => self.b.ins().usub_sat(a, b),
            V2Op::QAddU => {
                let over = self.b.ins().icmp(IntCC::UnsignedLessThan, wrapped, a);
                self.b.ins().bor(wrapped, over)
            }
            V2Op::QSubU => {
                let under = self.b.ins().icmp(IntCC::UnsignedLessThan, a, b);
                let not = self.b.ins().bnot(under);
                self.b.ins().band(wrapped, not)
            }
            _ => {
                // The sum's sign is that of neither operand; the difference's is the subtrahend's, not the minuend's.
                let changed = self.b.ins().bxor(a, wrapped);
                let other = self.b.ins().bxor(b, if adds { wrapped } else { a });
                let over = self.b.ins().band(changed, other);
                let over = self.negative(ty, over);
                let limit = self.signed_limit(ty, a);
                self.b.ins().bitselect(over, limit, wrapped)
            }
        };
        self.note_saturation(wrapped, value);
        Some(self.bytes_of(value))
    }

    /// `QAddSU` or `QAddUS`.
    pub(super) fn saturating_mixed(&mut self, op: V2Op, t: Lanes, a: Value, b: Value) -> Option<Value> {
        let ty = elements(t)?;
        let (a, b) = (self.covered(t, ty, a), self.covered(t, ty, b));
        let wrapped = self.b.ins().iadd(a, b);
        let value = if op == V2Op::QAddSU {
            // What is added is not negative, so that a sum below the start has wrapped at the top.
            let over = self.b.ins().icmp(IntCC::SignedLessThan, wrapped, a);
            let most = self.splat(ty, u64::MAX >> (65 - element_bits(ty)));
            self.b.ins().bitselect(over, most, wrapped)
        } else {
            let down = self.negative(ty, b);
            let up = self.b.ins().bnot(down);
            let below = self.b.ins().icmp(IntCC::UnsignedLessThan, wrapped, a);
            let above = self.b.ins().icmp(IntCC::UnsignedGreaterThan, wrapped, a);
            let (over, under) = (self.b.ins().band(below, up), self.b.ins().band(above, down));
            let value = self.b.ins().bor(wrapped, over);
            let in_range = self.b.ins().bnot(under);
            self.b.ins().band(value, in_range)
        };
        self.note_saturation(wrapped, value);
        Some(self.bytes_of(value))
    }

    /// The saturating shifts by a vector of amounts: out of range is what does not come back from the left.
    pub(super) fn shifted_by_saturating(&mut self, op: V2Op, t: Lanes, a: Value, b: Value) -> Option<Value> {
        let ty = elements(t)?;
        let (shift, plain) = match op {
            V2Op::QShlVS => (V2Op::ShlVS, V2Op::ShlVS),
            V2Op::QShlVU => (V2Op::ShlVU, V2Op::ShlVU),
            V2Op::QRShlVS => (V2Op::RShlVS, V2Op::ShlVS),
            _ => (V2Op::RShlVU, V2Op::ShlVU),
        };
        let (there, back) = (direct::two(shift, t)?, direct::two(plain, t)?);
        let (a, by) = (self.fit(t, a), self.cast(b, ty));
        let moved = self.call_direct(there, &[a, b], I8X16);
        let opposite = self.b.ins().ineg(by);
        let opposite = self.bytes_of(opposite);
        let returned = self.call_direct(back, &[moved, opposite], I8X16);
        let (a, moved, returned) = (self.cast(a, ty), self.cast(moved, ty), self.cast(returned, ty));
        let lost = self.b.ins().icmp(IntCC::NotEqual, returned, a);
        // The amount is the lowest byte of an element.
        let amount = self.shifted_left(ty, by, element_bits(ty) - 8)?;
        let right = self.negative(ty, amount);
        let left = self.b.ins().bnot(right);
        let over = self.b.ins().band(lost, left);
        let value = if plain == V2Op::ShlVS {
            let limit = self.signed_limit(ty, a);
            self.b.ins().bitselect(over, limit, moved)
        } else {
            self.b.ins().bor(moved, over)
        };
        self.note_saturated(over);
        let value = self.bytes_of(value);
        Some(self.fit(t, value))
    }

    /// `QDMulLong`: only the square of the lowest element is out of range.
    pub(super) fn doubled_products(&mut self, t: Lanes, a: Value, b: Value) -> Option<Value> {
        let ty = elements(t).filter(|&ty| ty == I16X8 || ty == I32X4)?;
        let wide = doubled(ty)?;
        let mut operand = |value| {
            if t.count() == 1 {
                let value = self.covered(t, ty, value);
                return Some(self.b.ins().swiden_low(value));
            }
            self.widened(t, value, true)
        };
        let (a, b) = (operand(a)?, operand(b)?);
        let product = self.b.ins().imul(a, b);
        let double = self.b.ins().iadd(product, product);
        let least = self.least(wide);
        let saturated = self.b.ins().icmp(IntCC::Equal, double, least);
        self.note_saturated(saturated);
        let value = self.b.ins().bxor(double, saturated);
        Some(self.bytes_of(value))
    }

    /// `QDMulHi` or `QRDMulHi`.
    pub(super) fn product_halves(&mut self, op: V2Op, t: Lanes, a: Value, b: Value) -> Option<Value> {
        self.upper_halves(t, None, a, b, op == V2Op::QRDMulHi)
    }

    /// `QRDMulAdd` or `QRDMulSub`.
    pub(super) fn product_halves_added(&mut self, op: V3Op, t: Lanes, [a, b, c]: [Value; 3]) -> Option<Value> {
        self.upper_halves(t, Some((a, op == V3Op::QRDMulSub)), b, c, true)
    }

    /// Upper halves of 2ab, perhaps added to or subtracted from elements, perhaps rounded; computed at double width, in
    /// halves of what they are, which fits.
    fn upper_halves(
        &mut self,
        t: Lanes,
        onto: Option<(Value, bool)>,
        a: Value,
        b: Value,
        rounds: bool,
    ) -> Option<Value> {
        let ty = elements(t).filter(|&ty| ty == I16X8 || ty == I32X4)?;
        let (wide, bits) = (doubled(ty)?, element_bits(ty));
        let (a, b) = (self.covered(t, ty, a), self.covered(t, ty, b));
        let (a, b) = (self.both_widened(a), self.both_widened(b));
        let mut exact = [0, 1].map(|i| self.b.ins().imul(a[i], b[i]));
        if let Some((onto, subtracts)) = onto {
            let onto = self.covered(t, ty, onto);
            let onto = self.both_widened(onto);
            for (exact, onto) in exact.iter_mut().zip(onto) {
                let onto = self.shifted_left(wide, onto, bits - 1)?;
                *exact = if subtracts { self.b.ins().isub(onto, *exact) } else { self.b.ins().iadd(onto, *exact) };
            }
        }
        for exact in &mut exact {
            if rounds {
                let half = self.splat(wide, 1 << (bits - 2));
                *exact = self.b.ins().iadd(*exact, half);
            }
            *exact = self.shifted_right(wide, *exact, bits - 1, true);
        }
        let value = self.joined_saturating(wide, exact);
        let back = self.both_widened(value);
        let [low, high] = [0, 1].map(|i| self.b.ins().bxor(exact[i], back[i]));
        let differs = self.b.ins().bor(low, high);
        self.note_saturated(differs);
        Some(self.bytes_of(value))
    }

    /// The lower and the upper elements, sign-extended to double width.
    fn both_widened(&mut self, value: Value) -> [Value; 2] {
        [self.b.ins().swiden_low(value), self.b.ins().swiden_high(value)]
    }

    /// The elements of two vectors of `wide`, saturated to half the width.
    fn joined_saturating(&mut self, wide: Type, [low, high]: [Value; 2]) -> Value {
        if wide != I64X2 {
            return self.b.ins().snarrow(low, high);
        }
        let [low, high] = [low, high].map(|value| {
            let value = self.clamped(wide, value, !0x7fff_ffff, 0x7fff_ffff);
            self.bytes_of(value)
        });
        let value = self.shuffle(low, high, |i| i / 8 * 16 + i / 4 % 2 * 8 + i % 4);
        self.cast(value, I32X4)
    }
}
