//! Rates: how many executions a `limit` clause lets pass, and how many it has held back.
//!
//! A period begins with an execution that passes and is as long as the clause says; the first so many executions in it
//! pass. Nothing here knows clocks: the caller says what time it is, in the unit of the period.

use hashbrown::HashMap;
use spile_lang::ir::{LimitSpec, Period};

/// The clauses' periods.
#[derive(Default)]
pub(super) struct Limits {
    /// The period that runs, by the clause's action and, if each thread has its own, by thread.
    periods: HashMap<(u32, Option<u64>), Running>,
}

/// A period.
#[derive(Clone, Copy)]
struct Running {
    begun: u64,
    passed: u64,
}

impl Limits {
    /// True if an execution passes; `icount` is the thread's instruction count, `now` the run's time in nanoseconds.
    pub(super) fn pass(&mut self, action: u32, spec: &LimitSpec, thread: u64, icount: u64, now: u64) -> bool {
        // Threads count their own instructions: a period of them is of one thread.
        let (time, length, own) = match spec.period {
            Period::Insns(n) => (icount, n, true),
            Period::Nanoseconds(n) => (now, n, spec.per_thread),
        };
        let period = self.periods.entry((action, own.then_some(thread))).or_insert(Running { begun: time, passed: 0 });
        // Another thread may have looked at the clock a little later, and come here first.
        if time.saturating_sub(period.begun) >= length {
            *period = Running { begun: time, passed: 0 };
        }
        let passes = period.passed < spec.most;
        period.passed += u64::from(passes);
        passes
    }

    /// Forgets a thread that is over.
    pub(super) fn end_thread(&mut self, thread: u64) {
        self.periods.retain(|(_, other), _| *other != Some(thread));
    }

    /// In a forked child: the periods of the thread `parent` are those of `child`.
    pub(super) fn forked(&mut self, parent: u64, child: u64) {
        let before = self.periods.drain().filter(|((_, thread), _)| thread.is_none_or(|thread| thread == parent));
        self.periods = before.map(|((action, thread), period)| ((action, thread.map(|_| child)), period)).collect();
    }

    /// Forgets a clause that is no more.
    pub(super) fn forget(&mut self, action: u32) {
        self.periods.retain(|(other, _), _| *other != action);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(most: u64, period: Period, per_thread: bool) -> LimitSpec {
        LimitSpec { most, period, per_thread }
    }

    #[test]
    fn a_period_begins_with_what_passes() {
        let (mut limits, two) = (Limits::default(), spec(2, Period::Nanoseconds(100), false));
        let times = [5, 50, 104, 105, 106, 107, 300, 399, 400];
        let passed = times.map(|now| limits.pass(1, &two, 7, 0, now));
        assert_eq!(passed, [true, true, false, true, true, false, true, true, true]);
    }

    #[test]
    fn threads_share_a_time_but_not_instructions() {
        let (mut limits, time) = (Limits::default(), spec(1, Period::Nanoseconds(100), false));
        assert!(limits.pass(1, &time, 7, 0, 10));
        assert!(!limits.pass(1, &time, 8, 0, 9), "in the same period, although its clock is behind");
        let own = spec(1, Period::Nanoseconds(100), true);
        assert!(limits.pass(2, &own, 7, 0, 10) && limits.pass(2, &own, 8, 0, 10) && !limits.pass(2, &own, 8, 0, 20));
        let insns = spec(1, Period::Insns(10), false);
        assert!(limits.pass(3, &insns, 7, 100, 0) && limits.pass(3, &insns, 8, 5, 0));
        assert!(!limits.pass(3, &insns, 7, 109, 0) && limits.pass(3, &insns, 7, 110, 0));
        limits.end_thread(7);
        assert!(limits.pass(3, &insns, 7, 111, 0) && !limits.pass(3, &insns, 8, 6, 0));
        limits.forget(3);
        assert!(limits.pass(3, &insns, 8, 7, 0));
    }
}
