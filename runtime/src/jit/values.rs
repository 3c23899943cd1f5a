//! Integer micro-operations as Cranelift values: one arm per operation, no state.
//!
//! Cranelift does not optimise (`opt_level=none`), so what instruction sets compose of several operations is put together
//! here, by looking at what has made an operand: words stay words as long as nothing asks for the half above them, and
//! two shifts and an `or` are a rotation. What is not needed then, Cranelift leaves out.

use crate::uop::{BinOp, SelOp, Shift, UnOp};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, Type, Value};
use cranelift_frontend::FunctionBuilder;
use hashbrown::HashSet;

/// Emits pure values at the builder's position.
pub(super) struct Values<'a, 'f> {
    pub(super) b: &'a mut FunctionBuilder<'f>,
    /// Values that are sign extensions of their low halves, as [`super::words`] knows.
    pub(super) words: &'a HashSet<Value>,
}

impl Values<'_, '_> {
    /// A 64-bit constant.
    pub(super) fn imm(&mut self, value: u64) -> Value {
        self.b.ins().iconst(I64, value as i64)
    }

    /// What computes a value, unless it comes from elsewhere.
    fn definition(&self, a: Value) -> Option<InstructionData> {
        let dfg = &self.b.func.dfg;
        dfg.value_def(dfg.resolve_aliases(a)).inst().map(|inst| dfg.insts[inst])
    }

    /// The number that a value is, if it is a constant.
    fn constant(&self, a: Value) -> Option<i64> {
        match self.definition(a)? {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
            _ => None,
        }
    }

    /// The low half. That of a constant is one, which instructions have a place for, as shifts do for their amount; that
    /// of an extended word is the word.
    pub(super) fn low(&mut self, a: Value) -> Value {
        if let Some(constant) = self.constant(a) {
            return self.b.ins().iconst(I32, i64::from(constant as u32));
        }
        match self.definition(a) {
            Some(InstructionData::Unary { opcode: Opcode::Uextend | Opcode::Sextend, arg })
                if self.b.func.dfg.value_type(arg) == I32 =>
            {
                arg
            }
            _ => self.b.ins().ireduce(I32, a),
        }
    }

    /// The word that a value is the sign extension of: one that has been shifted right has no sign.
    fn sign_extended(&mut self, a: Value) -> Option<Value> {
        if let Some(word) = self.extended(a) {
            return Some(word);
        }
        self.words.contains(&a).then(|| self.b.ins().ireduce(I32, a))
    }

    /// The same, if the value is made by extending.
    pub(super) fn extended(&self, a: Value) -> Option<Value> {
        let InstructionData::Unary { opcode, arg } = self.definition(a)? else { return None };
        let is_extension = match opcode {
            Opcode::Sextend => true,
            Opcode::Uextend => matches!(self.shift(arg), Some((Opcode::Ushr, _, 1..32))),
            _ => false,
        };
        (is_extension && self.b.func.dfg.value_type(arg) == I32).then_some(arg)
    }

    /// Two values as words, if their sign extensions are what the values are and one of them has been extended: words
    /// compare and combine bit by bit as their extensions do, which is better if there are extensions already.
    fn words(&mut self, a: Value, b: Value) -> Option<[Value; 2]> {
        if self.extended(a).is_none() && self.extended(b).is_none() {
            return None;
        }
        let mut word = |value: Value, other: Value| match self.sign_extended(value) {
            Some(word) => Some(word),
            None => {
                let constant = i32::try_from(self.constant(value)?).ok()?;
                self.sign_extended(other)?;
                Some(self.b.ins().iconst(I32, i64::from(constant as u32)))
            }
        };
        Some([word(a, b)?, word(b, a)?])
    }

    /// Zero-extends to 64 bits.
    pub(super) fn wide(&mut self, a: Value) -> Value {
        self.b.ins().uextend(I64, a)
    }

    /// A comparison as 0 or 1 in 64 bits.
    fn compare(&mut self, cc: IntCC, a: Value, b: Value) -> Value {
        let [a, b] = self.words(a, b).unwrap_or([a, b]);
        let bit = self.b.ins().icmp(cc, a, b);
        self.wide(bit)
    }

    /// `op(a, b)`, or `None` if there is no native form.
    pub(super) fn bin(&mut self, op: BinOp, a: Value, b: Value) -> Option<Value> {
        if op.is_32() {
            let (a, b) = (self.low(a), self.low(b));
            let value = self.bin_sized(op, I32, a, b)?;
            return Some(self.wide(value));
        }
        if op.is_bitwise()
            && let Some([a, b]) = self.words(a, b)
        {
            let value = self.bin_sized(op, I32, a, b)?;
            return Some(self.b.ins().sextend(I64, value));
        }
        if op == BinOp::Shr64
            && let Some(value) = self.zero_extended(a, b)
        {
            return Some(value);
        }
        self.bin_sized(op, I64, a, b)
    }

    /// `a >> b` if `a` is a word moved to the upper half, and what comes back is all of it: with other amounts than 32 it
    /// is scaled, too.
    fn zero_extended(&mut self, a: Value, b: Value) -> Option<Value> {
        let InstructionData::Binary { opcode: Opcode::Ishl, args: [word, amount] } = self.definition(a)? else {
            return None;
        };
        let right = self.constant(b).filter(|right| (1..=32).contains(right))?;
        self.constant(amount).filter(|&left| left == 32)?;
        let word = self.low(word);
        let wide = self.wide(word);
        Some(if right == 32 { wide } else { self.b.ins().ishl_imm_u(wide, 32 - right) })
    }

    /// `a | b` as a rotation, if one of them is a value shifted right and the other the same shifted left by the rest.
    fn rotation(&mut self, ty: Type, a: Value, b: Value) -> Option<Value> {
        let ((left, of, by), (right, of_too, by_too)) = (self.shift(a)?, self.shift(b)?);
        let (by, by_too) = match (left, right) {
            (Opcode::Ushr, Opcode::Ishl) => (by, by_too),
            (Opcode::Ishl, Opcode::Ushr) => (by_too, by),
            _ => return None,
        };
        let bits = i64::from(ty.bits());
        let is_rotation = self.origin(of) == self.origin(of_too) && (1..bits).contains(&by) && by + by_too == bits;
        is_rotation.then(|| self.b.ins().rotr_imm_u(of, by))
    }

    /// A shift by a constant: which, of what, and by how much.
    fn shift(&self, value: Value) -> Option<(Opcode, Value, i64)> {
        match self.definition(value)? {
            InstructionData::Binary { opcode: opcode @ (Opcode::Ishl | Opcode::Ushr), args: [of, by] } => {
                Some((opcode, of, self.constant(by)?))
            }
            _ => None,
        }
    }

    /// The same value for all low halves of one, which has another for each time that it is asked for.
    fn origin(&self, value: Value) -> Value {
        let value = match self.definition(value) {
            Some(InstructionData::Unary { opcode: Opcode::Ireduce, arg }) => arg,
            _ => value,
        };
        self.b.func.dfg.resolve_aliases(value)
    }

    fn bin_sized(&mut self, op: BinOp, ty: Type, a: Value, b: Value) -> Option<Value> {
        Some(match op {
            BinOp::Add64 | BinOp::Add32 => self.b.ins().iadd(a, b),
            BinOp::Sub64 | BinOp::Sub32 => self.b.ins().isub(a, b),
            BinOp::And64 | BinOp::And32 => self.b.ins().band(a, b),
            BinOp::Or64 | BinOp::Or32 => match self.rotation(ty, a, b) {
                Some(rotation) => rotation,
                None => self.b.ins().bor(a, b),
            },
            BinOp::Xor64 | BinOp::Xor32 => self.b.ins().bxor(a, b),
            BinOp::AndNot64 | BinOp::AndNot32 => {
                let not = self.b.ins().bnot(b);
                self.b.ins().band(a, not)
            }
            BinOp::OrNot64 | BinOp::OrNot32 => {
                let not = self.b.ins().bnot(b);
                self.b.ins().bor(a, not)
            }
            BinOp::XorNot64 | BinOp::XorNot32 => {
                let not = self.b.ins().bnot(b);
                self.b.ins().bxor(a, not)
            }
            BinOp::Shl64 | BinOp::Shl32 => self.b.ins().ishl(a, b),
            BinOp::Shr64 | BinOp::Shr32 => self.b.ins().ushr(a, b),
            BinOp::Sar64 | BinOp::Sar32 => self.b.ins().sshr(a, b),
            BinOp::Ror64 | BinOp::Ror32 => self.b.ins().rotr(a, b),
            BinOp::Mul64 | BinOp::Mul32 => self.b.ins().imul(a, b),
            BinOp::MulHiU => self.b.ins().umulhi(a, b),
            BinOp::MulHiS => self.b.ins().smulhi(a, b),
            BinOp::MulHiSU => {
                let high = self.b.ins().umulhi(a, b);
                let sign = self.b.ins().sshr_imm_u(a, 63);
                let correction = self.b.ins().band(sign, b);
                self.b.ins().isub(high, correction)
            }
            BinOp::MulS32to64 => {
                let (a, b) = (self.low(a), self.low(b));
                let (a, b) = (self.b.ins().sextend(I64, a), self.b.ins().sextend(I64, b));
                self.b.ins().imul(a, b)
            }
            BinOp::MulU32to64 => {
                let (a, b) = (self.low(a), self.low(b));
                let (a, b) = (self.wide(a), self.wide(b));
                self.b.ins().imul(a, b)
            }
            BinOp::DivUA64 | BinOp::DivUA32 => self.div_unsigned(ty, a, b),
            BinOp::DivSA64 | BinOp::DivSA32 => self.div_signed(ty, a, b),
            BinOp::Eq => self.compare(IntCC::Equal, a, b),
            BinOp::Ne => self.compare(IntCC::NotEqual, a, b),
            BinOp::LtU => self.compare(IntCC::UnsignedLessThan, a, b),
            BinOp::LtS => self.compare(IntCC::SignedLessThan, a, b),
            BinOp::LeU => self.compare(IntCC::UnsignedLessThanOrEqual, a, b),
            BinOp::LeS => self.compare(IntCC::SignedLessThanOrEqual, a, b),
            BinOp::Crc32B
            | BinOp::Crc32H
            | BinOp::Crc32W
            | BinOp::Crc32X
            | BinOp::Crc32CB
            | BinOp::Crc32CH
            | BinOp::Crc32CW
            | BinOp::Crc32CX => return None,
        })
    }

    /// Host division traps where the guest's gives 0: the divisor is made harmless and the result chosen afterwards.
    fn div_unsigned(&mut self, ty: Type, a: Value, b: Value) -> Value {
        let zero = self.b.ins().iconst(ty, 0);
        let one = self.b.ins().iconst(ty, 1);
        let by_zero = self.b.ins().icmp(IntCC::Equal, b, zero);
        let divisor = self.b.ins().select(by_zero, one, b);
        let quotient = self.b.ins().udiv(a, divisor);
        self.b.ins().select(by_zero, zero, quotient)
    }

    fn div_signed(&mut self, ty: Type, a: Value, b: Value) -> Value {
        let zero = self.b.ins().iconst(ty, 0);
        let one = self.b.ins().iconst(ty, 1);
        let by_zero = self.b.ins().icmp(IntCC::Equal, b, zero);
        let by_minus_one = self.b.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let special = self.b.ins().bor(by_zero, by_minus_one);
        let divisor = self.b.ins().select(special, one, b);
        let quotient = self.b.ins().sdiv(a, divisor);
        let negated = self.b.ins().ineg(a);
        let quotient = self.b.ins().select(by_minus_one, negated, quotient);
        self.b.ins().select(by_zero, zero, quotient)
    }

    /// `op(a)`.
    pub(super) fn un(&mut self, op: UnOp, a: Value) -> Value {
        match op {
            UnOp::Mov => a,
            UnOp::Zext8 => self.b.ins().band_imm_u(a, 0xff),
            UnOp::Zext16 => self.b.ins().band_imm_u(a, 0xffff),
            UnOp::Zext32 => {
                let low = self.low(a);
                self.wide(low)
            }
            UnOp::Sext8 => self.sign_extend(I8, a),
            UnOp::Sext16 => self.sign_extend(I16, a),
            UnOp::Sext32 => self.sign_extend(I32, a),
            UnOp::Bswap64 => self.b.ins().bswap(a),
            UnOp::Bswap32 => self.on_low(a, |b, a| b.ins().bswap(a)),
            UnOp::Rev16x64 => self.swap_bytes_in_halves(a, 0x00ff_00ff_00ff_00ff),
            UnOp::Rev16x32 => self.swap_bytes_in_halves(a, 0x00ff_00ff),
            UnOp::Rev32x64 => {
                let swapped = self.b.ins().bswap(a);
                self.b.ins().rotr_imm_u(swapped, 32)
            }
            UnOp::Rbit64 => self.b.ins().bitrev(a),
            UnOp::Rbit32 => self.on_low(a, |b, a| b.ins().bitrev(a)),
            UnOp::Clz64 => self.b.ins().clz(a),
            UnOp::Clz32 => self.on_low(a, |b, a| b.ins().clz(a)),
            UnOp::Cls64 => {
                let sign = self.b.ins().sshr_imm_u(a, 63);
                let differs = self.b.ins().bxor(a, sign);
                let zeros = self.b.ins().clz(differs);
                self.b.ins().iadd_imm_s(zeros, -1)
            }
            UnOp::Cls32 => self.on_low(a, |b, a| {
                let sign = b.ins().sshr_imm_u(a, 31);
                let differs = b.ins().bxor(a, sign);
                let zeros = b.ins().clz(differs);
                b.ins().iadd_imm_s(zeros, -1)
            }),
            UnOp::Ctz64 => self.b.ins().ctz(a),
            UnOp::Popcnt64 => self.b.ins().popcnt(a),
            UnOp::Not64 => self.b.ins().bnot(a),
            UnOp::Not32 => self.on_low(a, |b, a| b.ins().bnot(a)),
            UnOp::Neg64 => self.b.ins().ineg(a),
            UnOp::Neg32 => self.on_low(a, |b, a| b.ins().ineg(a)),
            UnOp::IsZero => {
                let bit = self.b.ins().icmp_imm_u(IntCC::Equal, a, 0);
                self.wide(bit)
            }
        }
    }

    fn on_low(&mut self, a: Value, f: impl FnOnce(&mut FunctionBuilder<'_>, Value) -> Value) -> Value {
        let low = self.low(a);
        let value = f(self.b, low);
        self.wide(value)
    }

    /// Sign-extends the low bits of type `from` to 64 bits.
    pub(super) fn sign_extend(&mut self, from: Type, a: Value) -> Value {
        if from == I32 {
            if self.sign_extended(a).is_some() {
                return a;
            }
            let low = self.low(a);
            return self.b.ins().sextend(I64, low);
        }
        let narrow = self.b.ins().ireduce(from, a);
        self.b.ins().sextend(I64, narrow)
    }

    fn swap_bytes_in_halves(&mut self, a: Value, mask: u64) -> Value {
        let mask = self.imm(mask);
        let low = self.b.ins().band(a, mask);
        let up = self.b.ins().ishl_imm_u(low, 8);
        let down = self.b.ins().ushr_imm_u(a, 8);
        let down = self.b.ins().band(down, mask);
        self.b.ins().bor(up, down)
    }

    /// The second operand of the shifted forms, in the width of the operation.
    pub(super) fn shifted(&mut self, wide: bool, shift: Shift, b: Value, n: u8) -> Value {
        let n = i64::from(n);
        if wide {
            return self.shifted_as(b, shift, n);
        }
        match shift {
            Shift::Lsr | Shift::Asr | Shift::Ror => {
                let low = self.low(b);
                let value = self.shifted_as(low, shift, n);
                self.wide(value)
            }
            // The upper half does not count: the operation takes the low one.
            _ => self.shifted_as(b, shift, n),
        }
    }

    fn shifted_as(&mut self, b: Value, shift: Shift, n: i64) -> Value {
        let extended = match shift {
            Shift::Lsl => b,
            Shift::Lsr => return self.b.ins().ushr_imm_u(b, n),
            Shift::Asr => return self.b.ins().sshr_imm_u(b, n),
            Shift::Ror => return self.b.ins().rotr_imm_u(b, n),
            Shift::Uxtb => self.un(UnOp::Zext8, b),
            Shift::Uxth => self.un(UnOp::Zext16, b),
            Shift::Uxtw => self.un(UnOp::Zext32, b),
            Shift::Sxtb => self.un(UnOp::Sext8, b),
            Shift::Sxth => self.un(UnOp::Sext16, b),
            Shift::Sxtw => self.un(UnOp::Sext32, b),
        };
        if n == 0 { extended } else { self.b.ins().ishl_imm_u(extended, n) }
    }

    /// `len` bits of `a` from bit `lsb`.
    pub(super) fn bit_field(&mut self, signed: bool, a: Value, lsb: u8, len: u8) -> Value {
        let (lsb, len) = (i64::from(lsb), i64::from(len));
        if !signed && lsb + len == 64 {
            return self.b.ins().ushr_imm_u(a, lsb);
        }
        if !signed && len <= 32 {
            let moved = if lsb == 0 { a } else { self.b.ins().ushr_imm_u(a, lsb) };
            return if len == 32 {
                self.un(UnOp::Zext32, moved)
            } else {
                self.b.ins().band_imm_u(moved, (1 << len) - 1)
            };
        }
        if signed && lsb == 0 && len == 32 {
            return self.sign_extend(I32, a);
        }
        let up = if lsb + len == 64 { a } else { self.b.ins().ishl_imm_u(a, 64 - lsb - len) };
        if signed { self.b.ins().sshr_imm_u(up, 64 - len) } else { self.b.ins().ushr_imm_u(up, 64 - len) }
    }

    /// `a` with `len` bits from `lsb` replaced by the low ones of `b`.
    pub(super) fn insert_field(&mut self, a: Value, b: Value, lsb: u8, len: u8) -> Value {
        let mask = (u64::MAX >> (64 - len)) << lsb;
        let field = if lsb == 0 { b } else { self.b.ins().ishl_imm_u(b, i64::from(lsb)) };
        let (keep, take) = (self.imm(!mask), self.imm(mask));
        let kept = self.b.ins().band(a, keep);
        let taken = self.b.ins().band(field, take);
        self.b.ins().bor(kept, taken)
    }

    /// Bits `n..` of the pair a:b.
    pub(super) fn extract(&mut self, wide: bool, a: Value, b: Value, n: u8) -> Value {
        let n = i64::from(n);
        if !wide {
            let high = self.b.ins().ishl_imm_u(a, 32);
            let low = self.un(UnOp::Zext32, b);
            let pair = self.b.ins().bor(high, low);
            let moved = self.b.ins().ushr_imm_u(pair, n);
            return self.un(UnOp::Zext32, moved);
        }
        if n == 0 {
            return b;
        }
        let low = self.b.ins().ushr_imm_u(b, n);
        let high = self.b.ins().ishl_imm_u(a, 64 - n);
        self.b.ins().bor(low, high)
    }

    /// What a conditional select does with its second operand, in 64 bits.
    pub(super) fn select_operand(&mut self, op: SelOp, b: Value) -> Value {
        match op {
            SelOp::Mov => b,
            SelOp::Inc => self.b.ins().iadd_imm_s(b, 1),
            SelOp::Inv => self.b.ins().bnot(b),
            SelOp::Neg => self.b.ins().ineg(b),
        }
    }
}
