//! Which accesses of a region need no look at permissions, since one before them has had it.
//!
//! Permissions are taken away, and pages marked as translated, in exclusive sections or by the thread itself, outside of
//! regions or in actions; stores that miss that a bit is stuck now are noticed in an exclusive section, too. So what has
//! been checked on all ways to a place holds there, as long as the slot that addresses are made of has changed by
//! constants only.
//!
//! This decides only; the checks are [`super::lower`]'s.

use super::flow::Fact;
use super::lower::access;
use crate::uop::{BinOp, Operand, UnOp, Uop, X};

/// Most ranges that are kept in mind; older ones are forgotten.
const MOST: usize = 24;

/// Bytes that may be accessed: those from `slot + low` up to `slot + high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    slot: X,
    low: i64,
    high: i64,
    /// They may be stored to, and then loaded, too.
    write: bool,
}

/// The ranges that are known at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    ranges: Vec<Range>,
}

impl Known {
    /// True if `bytes` at `slot + imm` have been checked.
    pub(super) fn covers(&self, slot: X, imm: i64, bytes: i64, write: bool) -> bool {
        let high = imm.saturating_add(bytes);
        self.ranges
            .iter()
            .any(|range| range.slot == slot && range.low <= imm && high <= range.high && (range.write || !write))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.ranges.clear();
    }

    fn add(&mut self, mut new: Range) {
        if self.covers(new.slot, new.low, new.high - new.low, new.write) {
            return;
        }
        self.ranges.retain(|range| {
            let touches =
                range.slot == new.slot && range.write == new.write && range.low <= new.high && new.low <= range.high;
            if touches {
                (new.low, new.high) = (new.low.min(range.low), new.high.max(range.high));
            }
            !touches
        });
        if self.ranges.len() == MOST {
            self.ranges.remove(0);
        }
        self.ranges.push(new);
    }
}

impl Fact for Known {
    fn step(&mut self, uop: &Uop) {
        if let Some((slot, imm, bytes, write)) = access(uop)
            && let Some(high) = imm.checked_add(bytes)
        {
            self.add(Range { slot, low: imm, high, write });
        }
        // What the result is the sum of, with a constant.
        let sum = match *uop {
            Uop::BinI { op: BinOp::Add64, d, a, imm } => Some((d, a, imm as i64)),
            Uop::Un { op: UnOp::Mov, d, a } => Some((d, a, 0)),
            Uop::Action { .. } | Uop::Syscall { .. } => return self.clear(),
            _ => None,
        };
        let moved: Vec<Range> = sum.map_or_else(Vec::new, |(d, a, by)| {
            let of_a = self.ranges.iter().filter(|range| range.slot == a);
            let moved = of_a.filter_map(|range| {
                Some(Range { slot: d, low: range.low.checked_sub(by)?, high: range.high.checked_sub(by)?, ..*range })
            });
            moved.collect()
        });
        uop.operands(|operand| self.ranges.retain(|range| operand != Operand::DefX(range.slot)));
        moved.into_iter().for_each(|range| self.add(range));
    }

    fn meet(&mut self, other: &Known) {
        let both = self.ranges.iter().flat_map(|range| {
            let there = other.ranges.iter().filter(|there| there.slot == range.slot);
            there.filter_map(|there| {
                let (low, high) = (range.low.max(there.low), range.high.min(there.high));
                (low < high).then_some(Range { low, high, write: range.write && there.write, ..*range })
            })
        });
        let mut met = Known::default();
        both.for_each(|range| met.add(range));
        *self = met;
    }

    fn forget(&mut self, is_over: impl Fn(X) -> bool) {
        self.ranges.retain(|range| !is_over(range.slot));
    }

    fn helps(&self, known: &Known, uop: &Uop) -> bool {
        access(uop).is_some_and(|(slot, imm, bytes, write)| {
            self.covers(slot, imm, bytes, write) && !known.covers(slot, imm, bytes, write)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uop::MemTy;

    fn load(d: X, a: X, imm: i64) -> Uop {
        Uop::Load { ty: MemTy::U64, d, a, imm }
    }

    #[test]
    fn what_has_been_checked_follows_its_base() {
        let mut known = Known::default();
        known.step(&load(3, 1, 16));
        assert!(known.covers(1, 16, 8, false) && known.covers(1, 20, 4, false));
        assert!(!known.covers(1, 16, 9, false) && !known.covers(1, 16, 8, true) && !known.covers(2, 16, 8, false));
        known.step(&load(3, 1, 24));
        assert!(known.covers(1, 16, 16, false), "neighbours are one range");
        known.step(&Uop::BinI { op: BinOp::Add64, d: 1, a: 1, imm: 16 });
        assert!(known.covers(1, 0, 16, false) && !known.covers(1, 16, 8, false));
        known.step(&Uop::Un { op: UnOp::Mov, d: 2, a: 1 });
        known.step(&load(1, 1, 0));
        assert!(!known.covers(1, 0, 8, false) && known.covers(2, 0, 16, false), "a loaded base is another one");
        known.step(&Uop::Store { ty: MemTy::U32, s: 3, a: 2, imm: -4 });
        assert!(known.covers(2, -4, 4, true) && known.covers(2, -4, 4, false));
        assert!(!known.covers(2, -4, 8, false), "ranges of two kinds stay two");
    }

    #[test]
    fn ways_that_meet_know_what_both_know() {
        let mut a = Known::default();
        let mut b = Known::default();
        a.step(&Uop::StorePair { ty: MemTy::U64, s: 3, t: 4, a: 1, imm: 0 });
        b.step(&load(3, 1, 8));
        b.step(&load(3, 2, 0));
        a.meet(&b);
        assert!(a.covers(1, 8, 8, false) && !a.covers(1, 8, 8, true) && !a.covers(1, 0, 8, false));
        assert!(!a.covers(2, 0, 8, false));
    }

    #[test]
    fn far_apart_is_no_wrong_answer() {
        let mut known = Known::default();
        known.step(&load(3, 1, i64::MAX - 4));
        known.step(&load(3, 1, i64::MIN));
        assert!(known.covers(1, i64::MIN, 8, false) && !known.covers(1, i64::MAX - 4, 8, false));
        known.step(&Uop::BinI { op: BinOp::Add64, d: 1, a: 1, imm: 16 });
        assert!(!known.covers(1, i64::MIN, 8, false));
    }
}
