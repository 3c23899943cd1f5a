//! Which integer slots hold words of 32 bits, sign-extended, where the blocks of a region begin and at each micro-op.
//! Architectures that keep words extended move them by extending them again, which is nothing then.
//!
//! This decides only; what comes of it is [`super::values`]'s.

use super::flow::Fact;
use crate::uop::{BinOp, MemTy, Operand, UnOp, Uop, X, slot};

/// Slots, a bit each, that hold the sign extension of their low half. Of those behind the last bit nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(u128);

impl Words {
    /// True if the slot is known to hold a word.
    pub(super) fn holds(self, x: X) -> bool {
        self.0.checked_shr(x.into()).is_some_and(|from| from & 1 != 0) || x == slot::ZERO
    }

    /// Notes that a slot may hold anything.
    pub(super) fn remove(&mut self, x: X) {
        self.0 &= !bit(x);
    }

    /// The slot that a micro-op writes a word to, if this is known in front of it.
    fn written(self, uop: &Uop) -> Option<X> {
        let is_word = |imm: u64| i32::try_from(imm as i64).is_ok();
        match *uop {
            Uop::MovI { d, imm } => is_word(imm).then_some(d),
            Uop::Load { ty, d, .. } => match ty {
                MemTy::U8 | MemTy::U16 | MemTy::S8 | MemTy::S16 | MemTy::S32 => Some(d),
                MemTy::S8to32 | MemTy::S16to32 | MemTy::U32 | MemTy::U64 => None,
            },
            Uop::Un { op, d, a } => match op {
                UnOp::Mov | UnOp::Not64 => self.holds(a),
                UnOp::Zext8 | UnOp::Zext16 | UnOp::Sext8 | UnOp::Sext16 | UnOp::Sext32 | UnOp::IsZero => true,
                UnOp::Clz64 | UnOp::Clz32 | UnOp::Cls64 | UnOp::Cls32 | UnOp::Ctz64 | UnOp::Popcnt64 => true,
                _ => false,
            }
            .then_some(d),
            Uop::Bin { op, d, a, b } => match op {
                BinOp::Eq | BinOp::Ne | BinOp::LtU | BinOp::LtS | BinOp::LeU | BinOp::LeS => true,
                op => op.is_bitwise() && self.holds(a) && self.holds(b),
            }
            .then_some(d),
            Uop::BinI { op, d, a, imm } => match op {
                BinOp::Eq | BinOp::Ne | BinOp::LtU | BinOp::LtS | BinOp::LeU | BinOp::LeS => true,
                BinOp::And64 if imm <= i32::MAX as u64 => true,
                BinOp::Shr32 => imm % 32 != 0,
                BinOp::Sar64 => self.holds(a),
                op => op.is_bitwise() && self.holds(a) && is_word(imm),
            }
            .then_some(d),
            Uop::Select { d, a, b, .. } => (self.holds(a) && self.holds(b)).then_some(d),
            Uop::BfxU { d, len, .. } => (len < 32).then_some(d),
            _ => None,
        }
    }
}

const fn bit(x: X) -> u128 {
    if (x as u32) < u128::BITS { 1 << x } else { 0 }
}

impl Fact for Words {
    fn step(&mut self, uop: &Uop) {
        if matches!(uop, Uop::Action { .. } | Uop::Syscall { .. }) {
            self.0 = 0;
            return;
        }
        let written = self.written(uop);
        uop.operands(|operand| {
            if let Operand::DefX(x) = operand {
                self.remove(x);
            }
        });
        self.0 |= written.map_or(0, bit);
    }

    fn meet(&mut self, other: &Words) {
        self.0 &= other.0;
    }

    fn forget(&mut self, is_over: impl Fn(X) -> bool) {
        (0..u128::BITS as X).filter(|&x| is_over(x)).for_each(|x| self.remove(x));
    }

    fn helps(&self, known: &Words, uop: &Uop) -> bool {
        matches!(*uop, Uop::Un { op: UnOp::Sext32, a, .. } if self.holds(a) && !known.holds(a))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(uops: &[Uop]) -> Words {
        let mut words = Words::default();
        uops.iter().for_each(|uop| words.step(uop));
        words
    }

    #[test]
    fn what_is_made_of_words_is_a_word() {
        let load = Uop::Load { ty: MemTy::S32, d: 1, a: 9, imm: 0 };
        let number = Uop::MovI { d: 2, imm: -5i64 as u64 };
        let xor = Uop::Bin { op: BinOp::Xor64, d: 3, a: 1, b: 2 };
        let moved = Uop::Un { op: UnOp::Mov, d: 70, a: 3 };
        let words = after(&[load, number, xor, moved]);
        assert!([1, 2, 3, 70, slot::ZERO].into_iter().all(|x| words.holds(x)) && !words.holds(9) && !words.holds(200));
        let sum = Uop::Bin { op: BinOp::Add64, d: 3, a: 1, b: 2 };
        let wide = Uop::Load { ty: MemTy::U32, d: 1, a: 1, imm: 0 };
        let words = after(&[load, number, xor, sum, wide]);
        assert!(!words.holds(3) && !words.holds(1) && words.holds(2));
        // What is written is judged by what was there before.
        let itself = Uop::Bin { op: BinOp::Or64, d: 1, a: 1, b: 9 };
        assert!(!after(&[load, itself]).holds(1));
    }

    /// Their upper half is zero: taken for words, they stayed as they are where they were extended.
    #[test]
    fn what_is_extended_to_32_bits_is_no_word() {
        for ty in MemTy::ALL.iter().copied() {
            let is_word = [0x7f, 0x80, 0x8000, 0x8000_0000, u64::MAX].map(|raw| {
                let value = ty.extend(raw);
                value == value as i32 as u64
            });
            let words = after(&[Uop::Load { ty, d: 1, a: 9, imm: 0 }]);
            assert_eq!(words.holds(1), is_word == [true; 5], "{ty:?}");
        }
    }

    #[test]
    fn words_end_with_what_may_write_registers() {
        let mut words = after(&[Uop::MovI { d: 2, imm: 1 }, Uop::MovI { d: 3, imm: u64::MAX }]);
        let mut other = words;
        words.forget(|x| x == 2);
        assert!(!words.holds(2) && words.holds(3));
        other.meet(&words);
        assert_eq!(other, words);
        words.step(&Uop::Action { action: 0, d: slot::PROBE, args: slot::PROBE, n: 0, state: true });
        assert_eq!(words, Words::default());
    }
}
