//! Native vector operations on integers, bits and bytes, and the choice between native code and the reference.
//!
//! A slot is a 128-bit value of bytes; operations see it as elements of other sizes. Arrangements of 64 bits and scalars
//! clear what lies above them in the result; what lies above them in operands is whatever it is.

use super::direct;
use super::lower::Lowering;
use crate::uop::{Lanes, Uop, V};
use crate::vector::{V1Op, V2Op, V3Op, VxOp, XvOp};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I8X16, I16, I16X8, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

/// The elements of an arrangement as a full vector.
pub(super) fn elements(t: Lanes) -> Option<Type> {
    match t.element() {
        1 => Some(I8X16),
        2 => Some(I16X8),
        4 => Some(I32X4),
        8 => Some(I64X2),
        _ => None,
    }
}

/// The vector type with elements of twice the size.
pub(super) fn doubled(ty: Type) -> Option<Type> {
    match ty {
        I8X16 => Some(I16X8),
        I16X8 => Some(I32X4),
        I32X4 => Some(I64X2),
        _ => None,
    }
}

/// Width of an arrangement in bytes.
fn width(t: Lanes) -> usize {
    t.element() * t.count()
}

/// Width of an element in bits.
pub(super) fn element_bits(ty: Type) -> i64 {
    i64::from(ty.lane_bits())
}

/// The arrangement of elements of twice the size in the same space.
fn doubled_lanes(t: Lanes) -> Option<Lanes> {
    Some(match t {
        Lanes::B8 => Lanes::H4,
        Lanes::B16 => Lanes::H8,
        Lanes::H4 => Lanes::S2,
        Lanes::H8 => Lanes::S4,
        Lanes::S2 => Lanes::D1,
        Lanes::S4 => Lanes::D2,
        _ => return None,
    })
}

impl Lowering<'_, '_> {
    /// Native form of a vector or floating-point micro-op; false if there is none.
    pub(super) fn vector(&mut self, uop: Uop) -> bool {
        if !self.native.vectors || narrows_a_half(uop) {
            return false;
        }
        if self.move_number(uop) {
            return true;
        }
        if let Uop::V1 { op, t, d, a, .. } = uop
            && self.signs(op, t, d, a).is_some()
        {
            return true;
        }
        let value = match uop {
            Uop::V1 { op, t, a, imm, .. } => self.integer1(op, t, a, imm),
            Uop::V2 { op, t, a, b, imm, .. } => self.integer2(op, t, a, b, imm),
            Uop::V3 { op, t, a, b, c, imm, .. } => self.integer3(op, t, [a, b, c], imm),
            Uop::Xv { op, t, d, a, imm } => self.put_integer(op, t, d, a, imm),
            Uop::Vx { op, t, d, a, imm } => {
                if let Some(value) = self.take_integer(op, t, a, imm) {
                    self.set(d, value);
                    return true;
                }
                None
            }
            _ => None,
        };
        match (value, uop) {
            (Some(value), Uop::V1 { d, .. } | Uop::V2 { d, .. } | Uop::V3 { d, .. } | Uop::Xv { d, .. }) => {
                self.set_v(d, value);
                true
            }
            _ => self.native.float && self.float(uop),
        }
    }

    // ---- building blocks

    /// A 128-bit constant as bytes.
    pub(super) fn wide_constant(&mut self, value: u128) -> Value {
        let constant = self.b.func.dfg.constants.insert(value.to_le_bytes().as_slice().into());
        self.b.ins().vconst(I8X16, constant)
    }

    /// A constant in every element.
    pub(super) fn splat(&mut self, ty: Type, value: u64) -> Value {
        let bytes = ty.lane_bits() as usize / 8;
        let pattern: Vec<u8> = (0..16).map(|i| value.to_le_bytes()[i % bytes]).collect();
        let constant = self.b.func.dfg.constants.insert(pattern.as_slice().into());
        self.b.ins().vconst(ty, constant)
    }

    fn shift_amount(&mut self, n: i64) -> Value {
        self.b.ins().iconst(I32, n)
    }

    /// Clears what `t` does not cover.
    pub(super) fn fit(&mut self, t: Lanes, value: Value) -> Value {
        let width = width(t);
        match width {
            16 => value,
            1 => {
                let mask = self.wide_constant(0xff);
                self.b.ins().band(value, mask)
            }
            _ => {
                let zero = self.wide_constant(0);
                self.shuffle(value, zero, |i| if i < width { i } else { 16 + i })
            }
        }
    }

    /// Bytes of a (0 to 15) and b (16 to 31) as `index` chooses them.
    pub(super) fn shuffle(&mut self, a: Value, b: Value, index: impl Fn(usize) -> usize) -> Value {
        let mask: Vec<u8> = (0..16).map(|i| index(i) as u8).collect();
        let mask = self.b.func.dfg.immediates.push(mask.as_slice().into());
        self.b.ins().shuffle(a, b, mask)
    }

    /// Each byte from a source and a place in it, or 0.
    pub(super) fn bytes(&mut self, sources: &[Value], byte: impl Fn(usize) -> Option<(usize, usize)>) -> Value {
        let mut result = None;
        for (index, &source) in sources.iter().enumerate() {
            let place = |i| match byte(i) {
                Some((of, place)) if of == index => place as u8,
                _ => 0x80,
            };
            let mask: [u8; 16] = std::array::from_fn(place);
            if mask == [0x80; 16] {
                continue;
            }
            let mask = self.wide_constant(u128::from_le_bytes(mask));
            let part = self.b.ins().x86_pshufb(source, mask);
            result = Some(match result {
                Some(other) => self.b.ins().bor(other, part),
                None => part,
            });
        }
        match result {
            Some(result) => result,
            None => self.wide_constant(0),
        }
    }

    /// Elements of `t` from a and b as `element` chooses them: register and element.
    fn permute(&mut self, t: Lanes, a: Value, b: Value, element: impl Fn(usize) -> (usize, usize)) -> Value {
        let size = t.element();
        let byte = |i: usize| {
            let (of, place) = element(i / size);
            (of, place * size + i % size)
        };
        if a == b || (0..width(t)).all(|i| byte(i).0 == 0) {
            if width(t) == 16 {
                return self.shuffle(a, a, |i| byte(i).1);
            }
            return self.bytes(&[a], |i| (i < width(t)).then(|| (0, byte(i).1)));
        }
        // What is above the arrangement does not matter: it repeats the arrangement and is cleared.
        let value = self.shuffle(a, b, |i| {
            let (of, place) = byte(i % width(t));
            16 * of + place
        });
        self.fit(t, value)
    }

    /// Even and odd elements of a, then of b.
    pub(super) fn pairs(&mut self, t: Lanes, a: Value, b: Value) -> (Value, Value) {
        let place = |i: usize| (i / t.count(), i % t.count());
        (self.permute(t, a, b, |i| place(2 * i)), self.permute(t, a, b, |i| place(2 * i + 1)))
    }

    /// Applies `f` to a and b seen as elements of `t`.
    fn lanewise(
        &mut self,
        t: Lanes,
        a: Value,
        b: Value,
        f: impl FnOnce(&mut Self, Value, Value) -> Value,
    ) -> Option<Value> {
        let ty = elements(t)?;
        let (a, b) = (self.cast(a, ty), self.cast(b, ty));
        let value = f(self, a, b);
        let value = self.bytes_of(value);
        Some(self.fit(t, value))
    }

    fn compare_elements(&mut self, t: Lanes, cc: IntCC, a: Value, b: Value) -> Option<Value> {
        self.lanewise(t, a, b, |l, a, b| l.b.ins().icmp(cc, a, b))
    }

    /// The narrow elements of a that a long operation uses, at double width.
    pub(super) fn widened(&mut self, t: Lanes, value: Value, signed: bool) -> Option<Value> {
        if t.count() == 1 {
            return None;
        }
        let ty = elements(t)?;
        doubled(ty)?;
        let value = self.cast(value, ty);
        Some(match (width(t) == 16, signed) {
            (true, true) => self.b.ins().swiden_high(value),
            (true, false) => self.b.ins().uwiden_high(value),
            (false, true) => self.b.ins().swiden_low(value),
            (false, false) => self.b.ins().uwiden_low(value),
        })
    }

    /// Elements of `t` shifted right by `n`, low halves, in 64 bits.
    pub(super) fn narrowed(&mut self, t: Lanes, value: Value, n: i64) -> Option<Value> {
        let ty = elements(t)?;
        let (size, half) = (t.element(), t.element() / 2);
        if half == 0 || n > element_bits(ty) / 2 {
            return None;
        }
        // Whole bytes are a matter of which ones are taken.
        let (skip, value) = if n % 8 == 0 {
            ((n / 8) as usize, value)
        } else {
            let value = self.cast(value, ty);
            let amount = self.shift_amount(n);
            let value = self.b.ins().ushr(value, amount);
            (0, self.bytes_of(value))
        };
        Some(self.bytes(&[value], |i| (i < t.count() * half).then(|| (0, i / half * size + i % half + skip))))
    }

    /// Combines all elements into element 0.
    pub(super) fn reduce(&mut self, t: Lanes, a: Value, f: impl Fn(&mut Self, Value, Value) -> Value) -> Option<Value> {
        let ty = elements(t)?;
        let mut value = a;
        let mut distance = width(t) / 2;
        while distance >= t.element() {
            let moved = self.shuffle(value, value, |i| (i + distance) % 16);
            let (x, y) = (self.cast(value, ty), self.cast(moved, ty));
            let combined = f(self, x, y);
            value = self.bytes_of(combined);
            distance /= 2;
        }
        let size = t.element();
        Some(self.bytes(&[value], |i| (i < size).then_some((0, i))))
    }

    /// Sums of neighbours at double width, as elements of that width.
    fn neighbour_sums(&mut self, t: Lanes, a: Value, signed: bool) -> Option<Value> {
        let wide = doubled(elements(t)?)?;
        let bits = element_bits(wide) / 2;
        let a = self.cast(a, wide);
        let amount = self.shift_amount(bits);
        let (high, low) = if signed {
            let up = self.b.ins().ishl(a, amount);
            (self.b.ins().sshr(a, amount), self.b.ins().sshr(up, amount))
        } else {
            let mask = self.splat(wide, u64::MAX >> (64 - bits));
            (self.b.ins().ushr(a, amount), self.b.ins().band(a, mask))
        };
        Some(self.b.ins().iadd(high, low))
    }

    // ---- operations

    fn integer1(&mut self, op: V1Op, t: Lanes, a: V, imm: u32) -> Option<Value> {
        let ty = elements(t);
        let a = self.get_v(a);
        let n = i64::from(imm);
        let value = match op {
            V1Op::Mov => return Some(self.fit(t, a)),
            V1Op::Not => {
                let value = self.b.ins().bnot(a);
                return Some(self.fit(t, value));
            }
            V1Op::Dup => {
                ty?;
                return Some(self.permute(t, a, a, |_| (0, imm as usize)));
            }
            V1Op::Rev16 => return self.reversed(t, a, 2),
            V1Op::Rev32 => return self.reversed(t, a, 4),
            V1Op::Rev64 => return self.reversed(t, a, 8),
            V1Op::Cnt if t.element() == 1 => self.b.ins().popcnt(a),
            V1Op::Abs => {
                let a = self.cast(a, ty?);
                self.b.ins().iabs(a)
            }
            V1Op::Neg => {
                let a = self.cast(a, ty?);
                self.b.ins().ineg(a)
            }
            V1Op::CmpEq0 | V1Op::CmpGt0 | V1Op::CmpGe0 | V1Op::CmpLe0 | V1Op::CmpLt0 => {
                let cc = match op {
                    V1Op::CmpEq0 => IntCC::Equal,
                    V1Op::CmpGt0 => IntCC::SignedGreaterThan,
                    V1Op::CmpGe0 => IntCC::SignedGreaterThanOrEqual,
                    V1Op::CmpLe0 => IntCC::SignedLessThanOrEqual,
                    _ => IntCC::SignedLessThan,
                };
                let zero = self.wide_constant(0);
                return self.compare_elements(t, cc, a, zero);
            }
            V1Op::Shl => self.shifted_left(ty?, a, n)?,
            V1Op::ShrS | V1Op::ShrU => self.shifted_right(ty?, a, n, op == V1Op::ShrS),
            V1Op::RShrS | V1Op::RShrU if n > 0 => self.shifted_right_rounded(ty?, a, n, op == V1Op::RShrS),
            V1Op::QAbs | V1Op::QNeg => return self.mirrored(op, t, a),
            V1Op::QShlS | V1Op::QShlU | V1Op::QShlSU => return self.shifted_left_saturating(op, t, a, n),
            V1Op::Clz => self.leading_zeros(ty?, a),
            V1Op::Cls => {
                let ty = ty?;
                let signs = self.shifted_right(ty, a, element_bits(ty), true);
                let signs = self.bytes_of(signs);
                let differing = self.b.ins().bxor(a, signs);
                let zeros = self.leading_zeros(ty, differing);
                let minus_one = self.splat(ty, u64::MAX);
                self.b.ins().iadd(zeros, minus_one)
            }
            V1Op::Rbit if t.element() == 1 => self.reversed_bits(a),
            V1Op::Narrow => return self.narrowed(t, a, n),
            V1Op::RNarrow => {
                let ty = ty?;
                if n == 0 || n > element_bits(ty) / 2 {
                    return None;
                }
                let (value, round) = (self.cast(a, ty), self.splat(ty, 1 << (n - 1)));
                let value = self.b.ins().iadd(value, round);
                let value = self.bytes_of(value);
                return self.narrowed(t, value, n);
            }
            V1Op::QNarrowS
            | V1Op::QNarrowU
            | V1Op::QNarrowSU
            | V1Op::QRNarrowS
            | V1Op::QRNarrowU
            | V1Op::QRNarrowSU => return self.narrowed_saturating(op, t, a, n),
            V1Op::WidenS | V1Op::WidenU => {
                let wide = self.widened(t, a, op == V1Op::WidenS)?;
                let value = if n == 0 {
                    wide
                } else {
                    let amount = self.shift_amount(n);
                    self.b.ins().ishl(wide, amount)
                };
                return Some(self.bytes_of(value));
            }
            V1Op::PairSumS | V1Op::PairSumU => {
                let wide = doubled_lanes(t)?;
                let value = self.neighbour_sums(t, a, op == V1Op::PairSumS)?;
                let value = self.bytes_of(value);
                return Some(self.fit(wide, value));
            }
            V1Op::Sum => return self.reduce(t, a, |l, x, y| l.b.ins().iadd(x, y)),
            V1Op::SumLongS | V1Op::SumLongU => {
                let wide = doubled_lanes(t)?;
                let value = self.neighbour_sums(t, a, op == V1Op::SumLongS)?;
                let value = self.bytes_of(value);
                return self.reduce(wide, value, |l, x, y| l.b.ins().iadd(x, y));
            }
            V1Op::MaxAcrossS | V1Op::MaxAcrossU | V1Op::MinAcrossS | V1Op::MinAcrossU if t.element() < 8 => {
                return self.reduce(t, a, |l, x, y| match op {
                    V1Op::MaxAcrossS => l.b.ins().smax(x, y),
                    V1Op::MaxAcrossU => l.b.ins().umax(x, y),
                    V1Op::MinAcrossS => l.b.ins().smin(x, y),
                    _ => l.b.ins().umin(x, y),
                });
            }
            V1Op::AesMix | V1Op::AesUnmix => return Some(self.call_direct(direct::one(op)?, &[a], I8X16)),
            V1Op::Sha1H => {
                let value = self.rotated_words(a, 30);
                return Some(self.fit(Lanes::S, value));
            }
            V1Op::FAbs | V1Op::FNeg => {
                let (ty, bits) = (ty.filter(|_| t.element() > 1)?, 8 * t.element());
                let sign = 1u64 << (bits - 1);
                let mask = self.splat(ty, if op == V1Op::FAbs { !sign } else { sign });
                let a = self.cast(a, ty);
                if op == V1Op::FAbs { self.b.ins().band(a, mask) } else { self.b.ins().bxor(a, mask) }
            }
            _ => return None,
        };
        let value = self.bytes_of(value);
        Some(self.fit(t, value))
    }

    fn reversed(&mut self, t: Lanes, a: Value, container: usize) -> Option<Value> {
        if t.element() > container || t.count() == 1 {
            return None;
        }
        let last = container / t.element() - 1;
        Some(self.permute(t, a, a, |i| (0, i ^ last)))
    }

    pub(super) fn shifted_left(&mut self, ty: Type, a: Value, n: i64) -> Option<Value> {
        if n >= element_bits(ty) {
            return None;
        }
        let (a, amount) = (self.cast(a, ty), self.shift_amount(n));
        Some(self.b.ins().ishl(a, amount))
    }

    /// Shifted right by 0 to the whole width.
    pub(super) fn shifted_right(&mut self, ty: Type, a: Value, n: i64, signed: bool) -> Value {
        let bits = element_bits(ty);
        if !signed && n >= bits {
            return self.splat(ty, 0);
        }
        let (a, amount) = (self.cast(a, ty), self.shift_amount(n.min(bits - 1)));
        if signed { self.b.ins().sshr(a, amount) } else { self.b.ins().ushr(a, amount) }
    }

    /// As [`Self::shifted_right`] by at least 1, rounded: plus the last bit that is shifted out.
    pub(super) fn shifted_right_rounded(&mut self, ty: Type, a: Value, n: i64, signed: bool) -> Value {
        let whole = self.shifted_right(ty, a, n, signed);
        let half = self.shifted_right(ty, a, n - 1, signed);
        let one = self.splat(ty, 1);
        let half = self.b.ins().band(half, one);
        self.b.ins().iadd(whole, half)
    }

    /// Each byte's lower and upper four bits.
    fn nibbles(&mut self, a: Value) -> (Value, Value) {
        let (mask, amount) = (self.splat(I8X16, 15), self.shift_amount(4));
        (self.b.ins().band(a, mask), self.b.ins().ushr(a, amount))
    }

    /// Leading zeros of each element of `ty`.
    fn leading_zeros(&mut self, ty: Type, a: Value) -> Value {
        let (low, high) = self.nibbles(a);
        let table = self.wide_constant(u128::from_le_bytes([4, 3, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
        let (low, high) = (self.b.ins().x86_pshufb(table, low), self.b.ins().x86_pshufb(table, high));
        let mut count = self.zeros_of_halves(I8X16, 4, low, high);
        let mut narrow = I8X16;
        // From the counts of halves to those of wholes, until the elements are wide enough.
        while narrow != ty
            && let Some(wide) = doubled(narrow)
        {
            let bits = element_bits(narrow);
            let (counts, mask, amount) =
                (self.cast(count, wide), self.splat(wide, u64::MAX >> (64 - bits)), self.shift_amount(bits));
            let (low, high) = (self.b.ins().band(counts, mask), self.b.ins().ushr(counts, amount));
            let value = self.zeros_of_halves(wide, bits as u64, low, high);
            (count, narrow) = (self.bytes_of(value), wide);
        }
        self.cast(count, ty)
    }

    /// Leading zeros of elements from those of their halves, which have `bits` bits.
    fn zeros_of_halves(&mut self, ty: Type, bits: u64, low: Value, high: Value) -> Value {
        let all = self.splat(ty, bits);
        let none = self.b.ins().icmp(IntCC::Equal, high, all);
        let more = self.b.ins().band(low, none);
        self.b.ins().iadd(high, more)
    }

    /// The bits of each byte reversed.
    fn reversed_bits(&mut self, a: Value) -> Value {
        let (low, high) = self.nibbles(a);
        let reversed = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];
        let up = self.wide_constant(u128::from_le_bytes(reversed.map(|nibble: u8| nibble << 4)));
        let down = self.wide_constant(u128::from_le_bytes(reversed));
        let (low, high) = (self.b.ins().x86_pshufb(up, low), self.b.ins().x86_pshufb(down, high));
        self.b.ins().bor(low, high)
    }

    fn integer2(&mut self, op: V2Op, t: Lanes, a: V, b: V, imm: u32) -> Option<Value> {
        let (a, b) = (self.get_v(a), self.get_v(b));
        let (ty, size, count) = (elements(t), t.element(), t.count());
        let n = i64::from(imm);
        match op {
            V2Op::And | V2Op::AndNot | V2Op::Or | V2Op::OrNot | V2Op::Xor => {
                let b = if matches!(op, V2Op::AndNot | V2Op::OrNot) { self.b.ins().bnot(b) } else { b };
                let value = match op {
                    V2Op::And | V2Op::AndNot => self.b.ins().band(a, b),
                    V2Op::Or | V2Op::OrNot => self.b.ins().bor(a, b),
                    _ => self.b.ins().bxor(a, b),
                };
                return Some(self.fit(t, value));
            }
            V2Op::Insert if ty.is_some() => {
                let (to, from) = ((imm & 255) as usize, (imm >> 8) as usize);
                return Some(self.shuffle(a, b, |i| if i / size == to { 16 + from * size + i % size } else { i }));
            }
            V2Op::Ext if ty.is_some() => {
                let from = imm as usize;
                return Some(self.permute(t, a, b, |i| ((i + from) / count, (i + from) % count)));
            }
            _ => {}
        }
        let ty = ty?;
        match op {
            V2Op::Zip1 => return Some(self.permute(t, a, b, |i| (i % 2, i / 2))),
            V2Op::Zip2 => return Some(self.permute(t, a, b, |i| (i % 2, (i + count) / 2))),
            V2Op::Uzp1 => return Some(self.pairs(t, a, b).0),
            V2Op::Uzp2 => return Some(self.pairs(t, a, b).1),
            V2Op::Trn1 => return Some(self.permute(t, a, b, |i| (i % 2, i & !1))),
            V2Op::Trn2 if count > 1 => return Some(self.permute(t, a, b, |i| (i % 2, i | 1))),
            V2Op::Tbl if size == 1 => {
                let value = self.looked_up(a, b, imm).0;
                return Some(self.fit(t, value));
            }
            V2Op::Mul if size == 1 => {
                let value = self.byte_products(a, b);
                return Some(self.fit(t, value));
            }
            V2Op::CmpEq => return self.compare_elements(t, IntCC::Equal, a, b),
            V2Op::CmpGtS => return self.compare_elements(t, IntCC::SignedGreaterThan, a, b),
            V2Op::CmpGeS => return self.compare_elements(t, IntCC::SignedGreaterThanOrEqual, a, b),
            V2Op::CmpGtU => return self.compare_elements(t, IntCC::UnsignedGreaterThan, a, b),
            V2Op::CmpGeU => return self.compare_elements(t, IntCC::UnsignedGreaterThanOrEqual, a, b),
            V2Op::CmpTst => {
                let both = self.b.ins().band(a, b);
                let zero = self.wide_constant(0);
                return self.compare_elements(t, IntCC::NotEqual, both, zero);
            }
            V2Op::QAddS | V2Op::QAddU | V2Op::QSubS | V2Op::QSubU => return self.saturating(op, t, a, b),
            V2Op::Sha1Su1 => return Some(self.sha1_schedule(a, b)),
            V2Op::QAddSU | V2Op::QAddUS => return self.saturating_mixed(op, t, a, b),
            V2Op::QShlVS | V2Op::QShlVU | V2Op::QRShlVS | V2Op::QRShlVU => {
                return self.shifted_by_saturating(op, t, a, b);
            }
            V2Op::QDMulLong => return self.doubled_products(t, a, b),
            V2Op::QDMulHi | V2Op::QRDMulHi => return self.product_halves(op, t, a, b),
            V2Op::MulP if size == 1 => {
                let value = self.polynomial_products(I8X16, a, b);
                return Some(self.fit(t, value));
            }
            V2Op::AddP | V2Op::MaxPS | V2Op::MaxPU | V2Op::MinPS | V2Op::MinPU if count > 1 => {
                let (even, odd) = self.pairs(t, a, b);
                let plain = match op {
                    V2Op::AddP => V2Op::Add,
                    V2Op::MaxPS => V2Op::MaxS,
                    V2Op::MaxPU => V2Op::MaxU,
                    V2Op::MinPS => V2Op::MinS,
                    _ => V2Op::MinU,
                };
                return self.elementwise(plain, t, ty, even, odd, 0);
            }
            _ => {}
        }
        if let Some(function) = direct::two(op, t) {
            let value = self.call_direct(function, &[a, b], I8X16);
            let shifts = matches!(op, V2Op::ShlVS | V2Op::ShlVU | V2Op::RShlVS | V2Op::RShlVU);
            return Some(if shifts { self.fit(t, value) } else { value });
        }
        if let Some(value) = self.long(op, t, a, b) {
            return Some(self.bytes_of(value));
        }
        match op {
            V2Op::AddNarrow | V2Op::RAddNarrow | V2Op::SubNarrow | V2Op::RSubNarrow => {
                let half = element_bits(ty) / 2;
                let (a, b) = (self.cast(a, ty), self.cast(b, ty));
                let adds = matches!(op, V2Op::AddNarrow | V2Op::RAddNarrow);
                let mut value = if adds { self.b.ins().iadd(a, b) } else { self.b.ins().isub(a, b) };
                if matches!(op, V2Op::RAddNarrow | V2Op::RSubNarrow) {
                    let round = self.splat(ty, 1 << (half - 1));
                    value = self.b.ins().iadd(value, round);
                }
                let value = self.bytes_of(value);
                self.narrowed(t, value, half)
            }
            _ => self.elementwise(op, t, ty, a, b, n),
        }
    }

    /// Operations that the host does on each pair of elements.
    fn elementwise(&mut self, op: V2Op, t: Lanes, ty: Type, a: Value, b: Value, n: i64) -> Option<Value> {
        let extremes = ty != I64X2;
        let (x, y) = (self.cast(a, ty), self.cast(b, ty));
        let value = match op {
            V2Op::Add => self.b.ins().iadd(x, y),
            V2Op::Sub => self.b.ins().isub(x, y),
            V2Op::Mul => self.b.ins().imul(x, y),
            V2Op::MaxS if extremes => self.b.ins().smax(x, y),
            V2Op::MaxU if extremes => self.b.ins().umax(x, y),
            V2Op::MinS if extremes => self.b.ins().smin(x, y),
            V2Op::MinU if extremes => self.b.ins().umin(x, y),
            V2Op::DiffS | V2Op::DiffU if extremes => self.difference(op == V2Op::DiffS, x, y),
            V2Op::HAddS | V2Op::HAddU => {
                let (both, differing) = (self.b.ins().band(x, y), self.b.ins().bxor(x, y));
                let half = self.shifted_right(ty, differing, 1, op == V2Op::HAddS);
                self.b.ins().iadd(both, half)
            }
            V2Op::RHAddS | V2Op::RHAddU => {
                let (any, differing) = (self.b.ins().bor(x, y), self.b.ins().bxor(x, y));
                let half = self.shifted_right(ty, differing, 1, op == V2Op::RHAddS);
                self.b.ins().isub(any, half)
            }
            V2Op::HSubS | V2Op::HSubU => {
                let differing = self.b.ins().bxor(x, y);
                let not = self.b.ins().bnot(x);
                let borrowed = self.b.ins().band(not, y);
                let half = self.shifted_right(ty, differing, 1, op == V2Op::HSubS);
                self.b.ins().isub(half, borrowed)
            }
            V2Op::Sli => {
                let moved = self.shifted_left(ty, b, n)?;
                let mask = self.splat(ty, (1 << n) - 1);
                let kept = self.b.ins().band(x, mask);
                self.b.ins().bor(moved, kept)
            }
            V2Op::Sri => {
                let bits = element_bits(ty);
                let moved = self.shifted_right(ty, b, n, false);
                let ones = u64::MAX >> (64 - bits);
                let mask = self.splat(ty, ones & !(if n >= 64 { 0 } else { ones >> n }));
                let kept = self.b.ins().band(x, mask);
                self.b.ins().bor(moved, kept)
            }
            _ => return None,
        };
        let value = self.bytes_of(value);
        Some(self.fit(t, value))
    }

    fn difference(&mut self, signed: bool, x: Value, y: Value) -> Value {
        let (most, least) = if signed {
            (self.b.ins().smax(x, y), self.b.ins().smin(x, y))
        } else {
            (self.b.ins().umax(x, y), self.b.ins().umin(x, y))
        };
        self.b.ins().isub(most, least)
    }

    /// Operations at double width.
    fn long(&mut self, op: V2Op, t: Lanes, a: Value, b: Value) -> Option<Value> {
        let signed = matches!(op, V2Op::AddLongS | V2Op::SubLongS | V2Op::MulLongS | V2Op::AddWideS | V2Op::SubWideS);
        Some(match op {
            V2Op::AddLongS | V2Op::AddLongU => {
                let (a, b) = (self.widened(t, a, signed)?, self.widened(t, b, signed)?);
                self.b.ins().iadd(a, b)
            }
            V2Op::SubLongS | V2Op::SubLongU => {
                let (a, b) = (self.widened(t, a, signed)?, self.widened(t, b, signed)?);
                self.b.ins().isub(a, b)
            }
            V2Op::MulLongS | V2Op::MulLongU => {
                let (a, b) = (self.widened(t, a, signed)?, self.widened(t, b, signed)?);
                self.b.ins().imul(a, b)
            }
            V2Op::MulLongP if t.element() == 1 => {
                let (a, b) = (self.widened(t, a, signed)?, self.widened(t, b, signed)?);
                let amount = self.shift_amount(8);
                let b = self.b.ins().ishl(b, amount);
                self.polynomial_products(I16X8, a, b)
            }
            V2Op::AddWideS | V2Op::AddWideU => {
                let b = self.widened(t, b, signed)?;
                let a = self.cast(a, doubled(elements(t)?)?);
                self.b.ins().iadd(a, b)
            }
            V2Op::SubWideS | V2Op::SubWideU => {
                let b = self.widened(t, b, signed)?;
                let a = self.cast(a, doubled(elements(t)?)?);
                self.b.ins().isub(a, b)
            }
            V2Op::DiffLongS | V2Op::DiffLongU => {
                let ty = elements(t).filter(|&ty| ty != I64X2)?;
                let (a, b) = (self.cast(a, ty), self.cast(b, ty));
                let difference = self.difference(op == V2Op::DiffLongS, a, b);
                let difference = self.bytes_of(difference);
                self.widened(t, difference, false)?
            }
            _ => return None,
        })
    }

    /// The host multiplies no bytes: even and odd ones are multiplied as halfwords.
    fn byte_products(&mut self, a: Value, b: Value) -> Value {
        let (x, y) = (self.cast(a, I16X8), self.cast(b, I16X8));
        let amount = self.shift_amount(8);
        let even = self.b.ins().imul(x, y);
        let mask = self.splat(I16X8, 0xff);
        let even = self.b.ins().band(even, mask);
        let (x, y) = (self.b.ins().ushr(x, amount), self.b.ins().ushr(y, amount));
        let odd = self.b.ins().imul(x, y);
        let odd = self.b.ins().ishl(odd, amount);
        let value = self.b.ins().bor(even, odd);
        self.bytes_of(value)
    }

    /// The second half of a step of SHA-1's schedule: `Sha1Su1`.
    fn sha1_schedule(&mut self, a: Value, b: Value) -> Value {
        let zero = self.wide_constant(0);
        let moved = self.shuffle(b, zero, |i| i + 4);
        let mixed = self.b.ins().bxor(a, moved);
        let once = self.rotated_words(mixed, 1);
        let twice = self.rotated_words(mixed, 2);
        let last = self.bytes(&[twice], |i| (i >= 12).then(|| (0, i - 12)));
        self.b.ins().bxor(once, last)
    }

    /// Words rotated left by `n`.
    fn rotated_words(&mut self, a: Value, n: i64) -> Value {
        let a = self.cast(a, I32X4);
        let (left, right) = (self.shift_amount(n), self.shift_amount(32 - n));
        let (high, low) = (self.b.ins().ishl(a, left), self.b.ins().ushr(a, right));
        let value = self.b.ins().bor(high, low);
        self.bytes_of(value)
    }

    /// Products over two elements of a with the upper eight bits of b, in elements of `ty`, highest bit first.
    fn polynomial_products(&mut self, ty: Type, a: Value, b: Value) -> Value {
        let zero = self.splat(ty, 0);
        let (mut sum, mut b) = (zero, b);
        for _ in 0..8 {
            let double = self.b.ins().iadd(sum, sum);
            let set = self.b.ins().icmp(IntCC::SignedLessThan, b, zero);
            let term = self.b.ins().band(a, set);
            sum = self.b.ins().bxor(double, term);
            b = self.b.ins().iadd(b, b);
        }
        sum
    }

    /// For each word the sum of the products of its four bytes.
    fn dot_products(&mut self, a: Value, b: Value, signed: bool) -> Option<Value> {
        let mut halves = |value| {
            let (value, amount) = (self.cast(value, I16X8), self.shift_amount(8));
            if signed {
                let up = self.b.ins().ishl(value, amount);
                [self.b.ins().sshr(up, amount), self.b.ins().sshr(value, amount)]
            } else {
                let mask = self.splat(I16X8, 0xff);
                [self.b.ins().band(value, mask), self.b.ins().ushr(value, amount)]
            }
        };
        let (a, b) = (halves(a), halves(b));
        // A product fits into a halfword, a sum of two does not.
        let [even, odd] = [0, 1].map(|i| {
            let products = self.b.ins().imul(a[i], b[i]);
            self.neighbour_sums(Lanes::H8, products, signed)
        });
        Some(self.b.ins().iadd(even?, odd?))
    }

    /// Bytes of a table chosen by indices less `base`, 0 where that is above 15; and the indices less `base`.
    fn looked_up(&mut self, table: Value, indices: Value, base: u32) -> (Value, Value) {
        let indices = if base == 0 {
            indices
        } else {
            let base = self.splat(I8X16, u64::from(base));
            self.b.ins().isub(indices, base)
        };
        (self.b.ins().swizzle(table, indices), indices)
    }

    fn integer3(&mut self, op: V3Op, t: Lanes, [a, b, c]: [V; 3], imm: u32) -> Option<Value> {
        let (a, b, c) = (self.get_v(a), self.get_v(b), self.get_v(c));
        let (size, count) = (t.element(), t.count());
        match op {
            V3Op::Bsl => {
                let value = self.b.ins().bitselect(a, b, c);
                Some(self.fit(t, value))
            }
            V3Op::Tbx if size == 1 => {
                let (found, indices) = self.looked_up(b, c, imm);
                let most = self.splat(I8X16, 15);
                let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThan, indices, most);
                let kept = self.b.ins().band(a, outside);
                let value = self.b.ins().bor(found, kept);
                Some(self.fit(t, value))
            }
            V3Op::Sha1Su0 => {
                let shifted = self.shuffle(a, b, |i| i + 8);
                let value = self.b.ins().bxor(shifted, a);
                Some(self.b.ins().bxor(value, c))
            }
            V3Op::Sha1C | V3Op::Sha1P | V3Op::Sha1M | V3Op::Sha256H | V3Op::Sha256H2 | V3Op::Sha256Su1 => {
                Some(self.call_direct(direct::three(op)?, &[a, b, c], I8X16))
            }
            V3Op::QRDMulAdd | V3Op::QRDMulSub => self.product_halves_added(op, t, [a, b, c]),
            V3Op::DotS | V3Op::DotU if size == 4 => {
                let products = self.dot_products(b, c, op == V3Op::DotS)?;
                let a = self.cast(a, I32X4);
                let value = self.b.ins().iadd(a, products);
                let value = self.bytes_of(value);
                Some(self.fit(t, value))
            }
            V3Op::Uzp3 | V3Op::Zip3 if count > 1 => Some(self.bytes(&[a, b, c], |i| {
                let element = i / size;
                (i < width(t)).then(|| {
                    let (of, place) = if op == V3Op::Uzp3 {
                        let place = 3 * element + imm as usize;
                        (place / count, place % count)
                    } else {
                        let place = imm as usize * count + element;
                        (place % 3, place / 3)
                    };
                    (of, place * size + i % size)
                })
            })),
            _ => None,
        }
    }

    fn take_integer(&mut self, op: VxOp, t: Lanes, a: V, imm: u32) -> Option<Value> {
        if !matches!(op, VxOp::Get | VxOp::GetS) {
            return None;
        }
        let ty = elements(t)?;
        let value = self.get_v(a);
        let value = self.cast(value, ty);
        let value = self.b.ins().extractlane(value, imm as u8);
        Some(match (ty, op) {
            (I64X2, _) => value,
            (_, VxOp::GetS) => self.b.ins().sextend(I64, value),
            _ => self.b.ins().uextend(I64, value),
        })
    }

    fn put_integer(&mut self, op: XvOp, t: Lanes, d: V, a: crate::uop::X, imm: u32) -> Option<Value> {
        if !matches!(op, XvOp::Insert | XvOp::Mov | XvOp::Dup) {
            return None;
        }
        let ty = elements(t)?;
        let wide = self.get(a);
        let value = match ty {
            I8X16 => self.b.ins().ireduce(I8, wide),
            I16X8 => self.b.ins().ireduce(I16, wide),
            I32X4 => self.b.ins().ireduce(I32, wide),
            _ => wide,
        };
        let value = match op {
            XvOp::Insert => {
                let old = self.get_v(d);
                let old = self.cast(old, ty);
                self.b.ins().insertlane(old, value, imm as u8)
            }
            XvOp::Mov if ty == I32X4 || ty == I64X2 => self.b.ins().scalar_to_vector(ty, value),
            XvOp::Mov => {
                let value = self.b.ins().uextend(I64, value);
                self.b.ins().scalar_to_vector(I64X2, value)
            }
            _ => {
                let value = self.b.ins().splat(ty, value);
                let value = self.bytes_of(value);
                return Some(self.fit(t, value));
            }
        };
        Some(self.bytes_of(value))
    }
}

/// True for narrowing operations on a source of 64 bits: no instruction has one, so the reference alone says what it is.
fn narrows_a_half(uop: Uop) -> bool {
    let half = |t: Lanes| matches!(t, Lanes::B8 | Lanes::H4 | Lanes::S2 | Lanes::D1);
    match uop {
        Uop::V1 { op, t, .. } => {
            let narrows = matches!(
                op,
                V1Op::Narrow
                    | V1Op::RNarrow
                    | V1Op::QNarrowS
                    | V1Op::QNarrowU
                    | V1Op::QNarrowSU
                    | V1Op::QRNarrowS
                    | V1Op::QRNarrowU
                    | V1Op::QRNarrowSU
                    | V1Op::FNarrow
            );
            narrows && half(t)
        }
        Uop::V2 { op, t, .. } => {
            let narrows = matches!(op, V2Op::AddNarrow | V2Op::RAddNarrow | V2Op::SubNarrow | V2Op::RSubNarrow);
            narrows && half(t)
        }
        _ => false,
    }
}
