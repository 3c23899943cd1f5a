//! What lasts: patches that are taken back after some time, instructions that are executed as others, and threads that
//! are traced instruction by instruction.
//!
//! The execution loop asks when a thread has to be looked at next, and lets it be looked at then, between two
//! instructions. A patch takes back exactly the bits that it changed; if the place holds anything else than what the
//! patch left there, the guest has written it, and it stays as it is.

use super::runtime::Snapshot;
use crate::cpu::CpuState;
use crate::isa::Isa;
use crate::mem::GuestMemory;
use hashbrown::HashMap;
use spile_lang::ir::{Lasting, ProbeId};

/// The action that asks whether the instruction is to be executed as another one; it belongs to no probe.
pub(super) const IS_REPLACED: u32 = u32::MAX - 1;

/// Instructions between two looks at the clock.
const CLOCK_INSNS: u64 = 1000;

/// A place that a patch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// An integer slot.
    Int(u8),
    /// A vector slot.
    Vector(u8),
    /// The flags, as four bits.
    Flags,
    /// A system register.
    System(u32),
    /// Memory, at most 16 bytes.
    Memory { addr: u64, bytes: u8 },
}

impl Changed {
    /// As the argument slot of an action.
    pub(super) fn word(self) -> u64 {
        match self {
            Changed::Int(n) => u64::from(n),
            Changed::Vector(n) => 1 << 8 | u64::from(n),
            Changed::Flags => 2 << 8,
            Changed::Memory { .. } => 3 << 8,
            Changed::System(reg) => 4 << 8 | u64::from(reg) << 32,
        }
    }

    /// The register of an argument slot; `None` for memory.
    pub(super) fn of(word: u64) -> Option<Changed> {
        match word as u32 >> 8 {
            0 => Some(Changed::Int(word as u8)),
            1 => Some(Changed::Vector(word as u8)),
            2 => Some(Changed::Flags),
            4 => Some(Changed::System((word >> 32) as u32)),
            _ => None,
        }
    }

    fn read(self, cpu: &CpuState, memory: &GuestMemory, isa: &dyn Isa) -> Option<u128> {
        Some(match self {
            Changed::Int(n) => cpu.x[usize::from(n)].into(),
            Changed::Vector(n) => cpu.v[usize::from(n)],
            Changed::Flags => cpu.nzcv().into(),
            Changed::System(reg) => isa.read_system(cpu, reg, 0)?.into(),
            Changed::Memory { addr, bytes } => {
                let mut image = [0; 16];
                memory.read(addr, &mut image[..usize::from(bytes)]).ok()?;
                u128::from_le_bytes(image)
            }
        })
    }

    fn write(self, cpu: &mut CpuState, memory: &GuestMemory, isa: &dyn Isa, value: u128) {
        match self {
            Changed::Int(n) => cpu.x[usize::from(n)] = value as u64,
            Changed::Vector(n) => cpu.v[usize::from(n)] = value,
            Changed::Flags => cpu.set_nzcv(value as u64),
            Changed::System(reg) => {
                isa.write_system(cpu, reg, value as u64);
            }
            // What has been unmapped meanwhile has nothing to be taken back.
            Changed::Memory { addr, bytes } => {
                let _ = memory.write_forced(addr, &value.to_le_bytes()[..usize::from(bytes)]);
            }
        }
    }
}

/// When something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// At this instruction count of the thread.
    Insns(u64),
    /// At this time.
    Time(u64),
}

impl Due {
    fn is_over(self, icount: u64, now: u64) -> bool {
        match self {
            Due::Insns(end) => icount >= end,
            Due::Time(end) => now >= end,
        }
    }

    fn next_look(self, icount: u64) -> u64 {
        match self {
            Due::Insns(end) => end,
            Due::Time(_) => icount.saturating_add(CLOCK_INSNS),
        }
    }
}

/// A patch that is to be taken back.
#[derive(Clone, Copy, Debug)]
struct Patch {
    place: Changed,
    due: Due,
    old: u128,
    new: u128,
}

/// A trace of a thread.
struct Trace {
    probe: ProbeId,
    due: Due,
    before: Option<Snapshot>,
}

#[derive(Default)]
struct Thread {
    /// A patch is being made: what it changes, and what is there before.
    making: Option<(Changed, u128)>,
    /// The next store of a probe is such a patch.
    stores: bool,
    /// In the order in which they were made.
    patches: Vec<Patch>,
    trace: Option<Trace>,
    /// The instruction that is executed as another one: address, instruction count, encoding.
    replaced: Option<(u64, u64, u32)>,
}

/// All that lasts.
#[derive(Default)]
pub(super) struct Lastings {
    threads: HashMap<u64, Thread>,
    /// Patches that have been taken back, and patches that the guest has overwritten.
    pub(super) undone: u64,
    pub(super) overwritten: u64,
}

impl Lastings {
    fn thread(&mut self, thread: u64) -> &mut Thread {
        self.threads.entry(thread).or_default()
    }

    /// A patch is about to be made: of a register, or else of memory.
    pub(super) fn begin(
        &mut self,
        thread: u64,
        place: Option<Changed>,
        cpu: &CpuState,
        (memory, isa): (&GuestMemory, &dyn Isa),
    ) {
        let state = self.thread(thread);
        state.stores = place.is_none();
        state.making = place.and_then(|place| Some((place, place.read(cpu, memory, isa)?)));
    }

    /// A probe is about to store. False if that is to be taken back later and cannot be, since it is not readable.
    pub(super) fn store(&mut self, thread: u64, addr: u64, bytes: u8, memory: &GuestMemory) -> bool {
        let Some(state) = self.threads.get_mut(&thread).filter(|state| state.stores) else { return true };
        state.stores = false;
        let mut image = [0; 16];
        let read = memory.read(addr, &mut image[..usize::from(bytes)]);
        state.making = read.ok().map(|()| (Changed::Memory { addr, bytes }, u128::from_le_bytes(image)));
        state.making.is_some()
    }

    /// The body that was making a patch has been left.
    pub(super) fn abandon(&mut self, thread: u64) {
        if let Some(state) = self.threads.get_mut(&thread) {
            (state.making, state.stores) = (None, false);
        }
    }

    /// A patch has been made and lasts for some time from now on. False if it changed nothing.
    pub(super) fn end(
        &mut self,
        thread: u64,
        lasts: Lasting,
        (icount, now): (u64, u64),
        cpu: &CpuState,
        (memory, isa): (&GuestMemory, &dyn Isa),
    ) -> bool {
        let state = self.thread(thread);
        let Some((place, old)) = state.making.take() else { return false };
        let Some(new) = place.read(cpu, memory, isa).filter(|new| *new != old) else { return false };
        let due = due(lasts, icount, now);
        state.patches.push(Patch { place, due, old, new });
        true
    }

    /// Traces a thread from here on. If it is traced already, it is so as this one says.
    pub(super) fn trace(&mut self, thread: u64, probe: ProbeId, lasts: Lasting, (icount, now): (u64, u64)) {
        let due = due(lasts, icount, now);
        let state = self.thread(thread);
        let before = state.trace.take().and_then(|trace| trace.before);
        state.trace = Some(Trace { probe, due, before });
    }

    /// The instruction is executed as another one.
    pub(super) fn replace(&mut self, thread: u64, pc: u64, icount: u64, bits: u32) {
        self.thread(thread).replaced = Some((pc, icount, bits));
    }

    /// What the instruction is executed as, if anything has been said.
    pub(super) fn replaced(&self, thread: u64, pc: u64, icount: u64) -> Option<u32> {
        let (at, when, bits) = self.threads.get(&thread)?.replaced?;
        ((at, when) == (pc, icount)).then_some(bits)
    }

    pub(super) fn take_replaced(&mut self, thread: u64, pc: u64, icount: u64) -> Option<u32> {
        let found = self.replaced(thread, pc, icount);
        if let Some(state) = self.threads.get_mut(&thread) {
            state.replaced = None;
        }
        found
    }

    /// The instruction count at which the thread has to be looked at.
    pub(super) fn next_look(&self, thread: u64, icount: u64) -> u64 {
        let Some(state) = self.threads.get(&thread) else { return u64::MAX };
        let patches = state.patches.iter().map(|patch| patch.due.next_look(icount)).min();
        let trace = state.trace.as_ref().map(|trace| icount + u64::from(trace.before.is_some()));
        patches.into_iter().chain(trace).min().unwrap_or(u64::MAX)
    }

    /// Takes back what is over, the latest first.
    pub(super) fn take_back(
        &mut self,
        thread: u64,
        (icount, now): (u64, u64),
        cpu: &mut CpuState,
        (memory, isa): (&GuestMemory, &dyn Isa),
    ) {
        let Some(state) = self.threads.get_mut(&thread) else { return };
        let mut over: Vec<Patch> = state.patches.extract_if(.., |patch| patch.due.is_over(icount, now)).collect();
        while let Some(patch) = over.pop() {
            let changed = patch.old ^ patch.new;
            match patch.place.read(cpu, memory, isa) {
                Some(value) if value == patch.new => {
                    patch.place.write(cpu, memory, isa, value & !changed | patch.old & changed);
                    self.undone += 1;
                }
                _ => self.overwritten += 1,
            }
        }
    }

    /// The registers in front of the instruction that the thread has executed since the last look, with the probe that
    /// traces it; and whether the trace goes on.
    pub(super) fn traced(&mut self, thread: u64, (icount, now): (u64, u64)) -> Option<(Option<Snapshot>, bool)> {
        let state = self.threads.get_mut(&thread)?;
        let trace = state.trace.as_mut()?;
        let executed = trace.before.take();
        let goes_on = !trace.due.is_over(icount, now);
        if !goes_on {
            state.trace = None;
        }
        Some((executed, goes_on))
    }

    /// The probe that traces the thread.
    pub(super) fn tracer(&self, thread: u64) -> Option<ProbeId> {
        Some(self.threads.get(&thread)?.trace.as_ref()?.probe)
    }

    /// Keeps the registers in front of the next instruction.
    pub(super) fn keep(&mut self, thread: u64, before: Snapshot) {
        if let Some(trace) = self.threads.get_mut(&thread).and_then(|state| state.trace.as_mut()) {
            trace.before = Some(before);
        }
    }

    pub(super) fn end_thread(&mut self, thread: u64) {
        self.threads.remove(&thread);
    }

    /// What belongs to a probe that is removed ends, except that patches are still taken back.
    pub(super) fn remove(&mut self, probe: ProbeId) {
        for state in self.threads.values_mut() {
            state.trace = state.trace.take().filter(|trace| trace.probe != probe);
        }
    }
}

fn due(lasts: Lasting, icount: u64, now: u64) -> Due {
    match lasts {
        Lasting::Insns(n) => Due::Insns(icount.saturating_add(n)),
        Lasting::Nanoseconds(n) => Due::Time(now.saturating_add(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A patch of memory that cannot be read is left in the middle; the thread's next store is nobody's patch.
    #[test]
    fn an_abandoned_patch_does_not_refuse_the_next_store() {
        let memory = GuestMemory::new(u64::MAX).unwrap();
        let mut all = Lastings::default();
        all.begin(1, None, &CpuState::default(), (&memory, crate::isa::all()[0]));
        assert!(!all.store(1, 0x1000, 4, &memory), "nothing to take back to");
        all.begin(1, None, &CpuState::default(), (&memory, crate::isa::all()[0]));
        all.abandon(1);
        assert!(all.store(1, 0x1000, 4, &memory));
    }
}
