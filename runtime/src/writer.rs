//! Who writes what probes print, beside the guest: a thread that takes the records out of the rings of the guest's threads
//! ([`crate::records`]), has them formatted, and sees to it that somebody who looks on gets lines soon.
//!
//! It is started when code is translated that leaves records. As the thread that compiles it is no member of the gate, and
//! touches what the guest's threads share in [`Gate::beside`] only. It opens files of symbols, so it has descriptors of its
//! own, of which the guest sees nothing. Without it guest threads write all by themselves: before their system calls, where
//! a ring is full, and at the end.

use crate::background::Worker;
use crate::cpu::poll;
use crate::gate::Gate;
use crate::linux::session;
use crate::machine::{Machine, lock};
use crate::records::Reader;
use crate::vm::AbortOnPanic;
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Records that are written without letting somebody else to the probes in between: some microseconds.
const MOST_AT_ONCE: u64 = 256;
/// How long the thread rests when there is nothing to write: the longest is what somebody may wait for a line.
const REST: std::ops::RangeInclusive<Duration> = Duration::from_micros(100)..=Duration::from_millis(50);
/// What is written after a rest of so much is not kept in the output's buffer.
const LONG: Duration = Duration::from_millis(5);
/// With so many records behind a rest the next one is half as long; with an eighth of them, twice.
const MANY: u64 = 1024;

impl Machine {
    /// Sees to it that records are written, if somebody has asked for it.
    pub(crate) fn call_writer(self: &Arc<Self>) {
        if self.cells.records().take_call()
            && let Some(thread) = lock(&self.writer).thread(|| start(self))
        {
            thread.unpark();
        }
    }

    /// Writes some of the records; all that there is with `flush`. Returns how many.
    fn write_records(&self, flush: bool) -> u64 {
        let Some(mut probes) = self.probes() else { return 0 };
        let written = probes.write_records(&self.memory, MOST_AT_ONCE);
        if written == 0 || flush && written < MOST_AT_ONCE {
            probes.flush(&self.memory);
        }
        let ends = probes.end_request().is_some();
        drop(probes);
        if ends {
            // Such as that output cannot be written.
            self.gate.ask_all(poll::STOP);
        }
        written
    }

    /// In a forked child, whose parent has the thread.
    pub(crate) fn forget_writer(&self) {
        *lock(&self.writer) = Worker::default();
    }
}

/// Starts the thread. It gets none of the signals that are the guest's.
fn start(machine: &Arc<Machine>) -> Option<Thread> {
    let (gate, machine) = (machine.gate.clone(), Arc::downgrade(machine));
    session::beside("write", || Ok(((), thread::current())), move |()| work(&gate, &machine)).ok()
}

/// What the thread does until the run ends.
fn work(gate: &Gate, machine: &Weak<Machine>) {
    let _guard = AbortOnPanic;
    let mut rest = *REST.end();
    while let Some(written) = with(gate, machine, |machine| machine.cells.records().set_reader(Reader::Awake))
        .and_then(|()| write_all(gate, machine, rest >= LONG))
    {
        if written >= MANY {
            rest = (rest / 2).max(*REST.start());
        } else if written < MANY / 8 {
            rest = (rest * 2).min(*REST.end());
        }
        with(gate, machine, |machine| machine.cells.records().set_reader(Reader::Asleep));
        let begun = Instant::now();
        thread::park_timeout(rest);
        if begun.elapsed() < rest {
            // A thread has had no room.
            rest = *REST.start();
        }
    }
}

/// Writes what there is, until it is so little that more may come while the thread rests. Returns how many there were; none
/// once the run has ended.
fn write_all(gate: &Gate, machine: &Weak<Machine>, flush: bool) -> Option<u64> {
    let mut all = 0;
    loop {
        let written = with(gate, machine, |machine| machine.write_records(flush))?;
        all += written;
        if written < MOST_AT_ONCE {
            return Some(all);
        }
    }
}

/// Calls `f` where the process does not fork; not once the run has ended.
fn with<T>(gate: &Gate, machine: &Weak<Machine>, f: impl FnOnce(&Machine) -> T) -> Option<T> {
    gate.beside(|| machine.upgrade().map(|machine| f(&machine))).flatten()
}
