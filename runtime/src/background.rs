//! Compilation beside the guest: the list of blocks that are to be compiled, and the thread that does it.
//!
//! The thread is no member of the gate: it neither runs guest code nor is waited for. What it makes is put in place only
//! if nothing of what it was made of has been dropped meanwhile ([`Machine::finish_next`]). It touches what the guest's
//! threads share in [`Gate::beside`] only, so that a fork finds no lock held by it; a forked child has no such thread,
//! and starts one when it needs it.

use crate::cache::Entry;
use crate::gate::Gate;
use crate::jit::FpMode;
use crate::machine::Machine;
use crate::vm::AbortOnPanic;
use std::sync::{Arc, Weak};
use std::thread::Thread;

/// The blocks that wait for being compiled, and who compiles them.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Vec<(Arc<Entry>, FpMode)>,
    worker: Worker,
}

#[derive(Debug, Default)]
enum Worker {
    /// It is started when there is something to do.
    #[default]
    Absent,
    There(Thread),
    /// The host has refused a thread.
    Refused,
}

impl Queue {
    /// Adds a block, and sees to it that somebody compiles it. False if there is nobody.
    pub(crate) fn add(&mut self, machine: &Arc<Machine>, entry: &Arc<Entry>, mode: FpMode) -> bool {
        if matches!(self.worker, Worker::Absent) {
            self.worker = start(machine).map_or(Worker::Refused, Worker::There);
        }
        let Worker::There(thread) = &self.worker else { return false };
        self.waiting.push((entry.clone(), mode));
        thread.unpark();
        true
    }

    /// Takes the block that has been executed most.
    pub(crate) fn take(&mut self) -> Option<(Arc<Entry>, FpMode)> {
        let hottest = (0..self.waiting.len()).max_by_key(|&index| self.waiting[index].0.executions())?;
        Some(self.waiting.swap_remove(hottest))
    }

    /// Wakes the thread, so that it sees the end of its machine.
    pub(crate) fn close(&self) {
        if let Worker::There(thread) = &self.worker {
            thread.unpark();
        }
    }
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
    while let Some(Some(begun)) = gate.beside(|| machine.upgrade().map(|machine| machine.begin_next())) {
        let Some(mut work) = begun else {
            std::thread::park();
            continue;
        };
        let code = work.compile();
        gate.beside(|| machine.upgrade().map(|machine| machine.finish_next(work, code)));
    }
}
