//! Compilation beside the guest: the list of blocks that are to be compiled, and the thread that does it, and frees what
//! has been dropped.
//!
//! Hot blocks come first. Where code is kept for later runs, what is only warm is compiled as well while nothing is hot:
//! it pays in the sum of the runs, such as what each start of an interpreter executes some hundred times.
//!
//! The thread is no member of the gate: it neither runs guest code nor is waited for. What it makes is put in place only
//! if nothing of what it was made of has been dropped meanwhile ([`Machine::finish_next`]). It touches what the guest's
//! threads share in [`Gate::beside`] only, so that a fork finds no lock held by it; a forked child has no such thread,
//! and starts one when it needs it.

use crate::cache::Entry;
use crate::gate::Gate;
use crate::jit::FpMode;
use crate::machine::{Machine, Remains};
use crate::vm::AbortOnPanic;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a block must have been warm to be compiled: what gets hot does so sooner, and is then known better.
const WARM_FOR: Duration = Duration::from_millis(20);

/// The blocks that wait for being compiled, and who compiles them.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    hot: Vec<(Arc<Entry>, FpMode)>,
    /// Since when they are warm, in that order.
    warm: VecDeque<(Instant, Arc<Entry>, FpMode)>,
    /// Those of them that have been warm for long enough, the hottest last.
    due: Vec<(Arc<Entry>, FpMode)>,
    worker: Worker,
}

/// What there is to compile.
pub(crate) enum Next<T> {
    /// This.
    Now(T),
    /// Nothing, but this is to be freed.
    Free(Box<Remains>),
    /// Something after so much time.
    In(Duration),
    /// Nothing until somebody wakes the thread.
    Nothing,
}

/// A host thread that helps the guest's.
#[derive(Debug, Default)]
pub(crate) enum Worker {
    /// It is started when there is something to do.
    #[default]
    Absent,
    /// It works, or waits for being woken.
    There(Thread),
    /// The host has refused a thread.
    Refused,
}

impl Worker {
    /// The thread, started if need be.
    pub(crate) fn thread(&mut self, start: impl FnOnce() -> Option<Thread>) -> Option<&Thread> {
        if matches!(self, Worker::Absent) {
            *self = start().map_or(Worker::Refused, Worker::There);
        }
        self.there()
    }

    /// The thread, if it is there.
    pub(crate) fn there(&self) -> Option<&Thread> {
        if let Worker::There(thread) = self { Some(thread) } else { None }
    }
}

impl Queue {
    /// Adds a block, and sees to it that somebody compiles it. False if there is nobody.
    pub(crate) fn add(&mut self, machine: &Arc<Machine>, entry: &Arc<Entry>, mode: FpMode) -> bool {
        let Some(thread) = self.thread(machine) else { return false };
        self.hot.push((entry.clone(), mode));
        thread.unpark();
        true
    }

    /// Adds a block that is to be compiled if there is time.
    pub(crate) fn add_warm(&mut self, machine: &Arc<Machine>, entry: &Arc<Entry>, mode: FpMode) {
        let Some(thread) = self.thread(machine) else { return };
        // Else it knows already when to look here.
        if self.warm.is_empty() {
            thread.unpark();
        }
        self.warm.push_back((Instant::now(), entry.clone(), mode));
    }

    /// Who compiles; started if need be.
    fn thread(&mut self, machine: &Arc<Machine>) -> Option<Thread> {
        self.worker.thread(|| start(machine)).cloned()
    }

    /// Takes the block that has been executed most.
    pub(crate) fn take(&mut self) -> Next<(Arc<Entry>, FpMode)> {
        if let Some(hottest) = (0..self.hot.len()).max_by_key(|&index| self.hot[index].0.executions()) {
            return Next::Now(self.hot.swap_remove(hottest));
        }
        if self.due.is_empty() {
            let ready = self.warm.partition_point(|(since, ..)| since.elapsed() >= WARM_FOR);
            self.due.extend(self.warm.drain(..ready).map(|(_, entry, mode)| (entry, mode)));
            hottest_last(&mut self.due);
        }
        match (self.due.pop(), self.warm.front()) {
            (Some(next), _) => Next::Now(next),
            (None, Some((since, ..))) => Next::In(WARM_FOR.saturating_sub(since.elapsed())),
            (None, None) => Next::Nothing,
        }
    }

    /// Forgets all blocks.
    pub(crate) fn clear(&mut self) {
        (self.hot, self.warm, self.due) = Default::default();
    }

    /// Wakes the thread, so that it sees what else there is to do, or the end of its machine. False if there is none.
    pub(crate) fn wake(&self) -> bool {
        self.worker.there().map(Thread::unpark).is_some()
    }
}

/// Sorts blocks by how often they have been executed. Threads go on counting meanwhile: each block is asked once.
fn hottest_last(blocks: &mut [(Arc<Entry>, FpMode)]) {
    blocks.sort_by_cached_key(|(entry, _)| entry.executions());
}

/// Starts the thread. It gets none of the signals that are the guest's.
fn start(machine: &Arc<Machine>) -> Option<Thread> {
    let (gate, machine) = (machine.gate.clone(), Arc::downgrade(machine));
    let builder = std::thread::Builder::new().name("compile".into());
    let started = crate::linux::without_signals(|| builder.spawn(move || work(&gate, &machine)));
    Some(started.ok()?.thread().clone())
}

/// What the thread does until the run ends. It keeps nothing of the machine while it compiles or waits.
fn work(gate: &Gate, machine: &Weak<Machine>) {
    let _guard = AbortOnPanic;
    // Its slices of time are as long as the host gives them: a thread that wakes up takes the processor at once from those
    // that have longer ones only, as that of a session has to.
    while let Some(Some(begun)) = gate.beside(|| machine.upgrade().map(|machine| machine.begin_next())) {
        let mut work = match begun {
            Next::Now(work) => work,
            Next::Free(remains) => {
                let mut rest = remains.free();
                while gate.beside(|| machine.upgrade().is_some_and(|machine| machine.take_back(&mut rest)))
                    == Some(true)
                {}
                continue;
            }
            Next::In(time) => {
                std::thread::park_timeout(time);
                continue;
            }
            Next::Nothing => {
                std::thread::park();
                continue;
            }
        };
        let code = work.compile();
        gate.beside(|| machine.upgrade().map(|machine| machine.finish_next(work, code)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Sorting panicked when an order that it had seen was another one later.
    #[test]
    fn blocks_are_sorted_while_others_count() {
        let mut blocks: Vec<_> = (0..2000).map(|_| (Arc::new(Entry::new(Block::default())), FpMode::Native)).collect();
        let counted: Vec<Arc<Entry>> = blocks.iter().map(|(entry, _)| entry.clone()).collect();
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut at = 0;
                while !ends.load(Ordering::Relaxed) {
                    at = (at * 1_103_515_245 + 12345) % (1 << 31);
                    counted[at % counted.len()].note_execution();
                }
            });
            let sorts = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for round in 1..300 {
                    // Another order each time, so that there is something to do.
                    blocks.rotate_left(round * 37 % 2000);
                    blocks[..1000].reverse();
                    hottest_last(&mut blocks);
                }
            }));
            ends.store(true, Ordering::Relaxed);
            assert!(sorts.is_ok());
        });
        hottest_last(&mut blocks);
        assert!(blocks.is_sorted_by_key(|(entry, _)| entry.executions()));
    }
}
