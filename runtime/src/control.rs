//! Changes to the probes of a running guest, from a host thread that runs no guest code.
//!
//! A change is an exclusive section: no guest thread runs meanwhile, and each goes on with the change at its next
//! instruction. Only the code that the change concerns is made anew. What can be known before, such as where the places of
//! a new probe are, is found out while the guest runs.

use crate::cpu::poll;
use crate::gate::{self, Gate};
use crate::machine::{Machine, lock};
use crate::mem::GuestMemory;
use crate::probe::engine::Probes;
use crate::probe::live::Surroundings;
use crate::vm::ProbeEngine;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Instant;

/// The way to the probes of a run.
#[derive(Clone)]
pub struct Control {
    machine: Weak<Machine>,
    /// What a member of the gate polls; these run no code and never look.
    poll: &'static AtomicU32,
    /// When the latest change was made.
    changed: Arc<Mutex<Option<Instant>>>,
}

impl Control {
    pub(crate) fn new(machine: &Arc<Machine>) -> Control {
        Control { machine: Arc::downgrade(machine), poll: Box::leak(Box::default()), changed: Arc::default() }
    }

    /// Calls `change` while no guest thread runs, and makes what it did the truth for all of them. None if the run has
    /// ended or has no probes.
    pub fn change<T>(&self, change: impl FnOnce(&mut Probes, &GuestMemory) -> T) -> Option<T> {
        self.visit(|machine| {
            let result = gate::exclusive(|| {
                // Those of probes that are to go mean something now.
                with_probes(machine, |probes| probes.write_records(&machine.memory, u64::MAX))?;
                let result = with_probes(machine, |probes| change(probes, &machine.memory))?;
                machine.apply_changes_now();
                if with_probes(machine, |probes| probes.has_marks())? {
                    machine.gate.ask_all(poll::MARK);
                }
                with_probes(machine, Probes::sweep)?;
                *lock(&self.changed) = Some(Instant::now());
                Some(result)
            });
            machine.clear_away();
            result
        })
    }

    /// Returns since when the latest change has been in effect: whoever has made it may learn of its end later, when it
    /// gets a processor again.
    pub fn changed(&self) -> Option<Instant> {
        *lock(&self.changed)
    }

    /// Calls `ask` while the guest runs. None if the run has ended or has no probes.
    pub fn ask<T>(&self, ask: impl FnOnce(&Probes) -> T) -> Option<T> {
        self.visit(|machine| with_probes(machine, |probes| ask(probes)))
    }

    /// Calls `prepare` with what there is for a change, while the guest runs. None if the run has ended or has no probes.
    pub fn prepare<T>(&self, prepare: impl FnOnce(&Surroundings, &GuestMemory) -> T) -> Option<T> {
        self.visit(|machine| {
            let surroundings = with_probes(machine, |probes| probes.surroundings())?;
            Some(prepare(&surroundings, &machine.memory))
        })
    }

    /// Reads the files of modules when they come, until the run ends: a change that asks for a name need not wait for that,
    /// which takes some milliseconds for a large library.
    pub fn read_ahead(&self) {
        while let Some(symbols) = self.visit(|machine| with_probes(machine, |it| it.tell_modules(thread::current()))) {
            for keep in symbols.read_ahead() {
                self.visit(|_| {
                    keep();
                    Some(())
                });
            }
            drop(symbols);
            thread::park();
        }
    }

    /// Calls `f` inside the gate.
    fn visit<T>(&self, f: impl FnOnce(&Machine) -> Option<T>) -> Option<T> {
        let machine = self.machine.upgrade()?;
        let member = machine.gate.visit(self.poll)?;
        machine.gate.adopt(member.clone());
        // It has come without asking, maybe in the middle of an exclusive section.
        gate::park();
        let result = f(&machine);
        machine.gate.remove(&member);
        Gate::forsake();
        result
    }
}

/// Takes the lock for `f` only: dropping code takes it as well.
fn with_probes<T>(machine: &Machine, f: impl FnOnce(&mut Probes) -> T) -> Option<T> {
    machine.probes()?.as_any().downcast_mut::<Probes>().map(f)
}
