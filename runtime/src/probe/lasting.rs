//! What lasts: patches that are taken back after some time, instructions that are executed as others, and threads that
//! are traced instruction by instruction.
//!
//! What lasts for instructions or for a time ends between two instructions of its thread: the execution loop asks when
//! a thread has to be looked at next, and lets it be looked at then. What lasts for hits or up to a place ends where
//! generated code says that it has come there; it asks only while something waits for that, which a cell says.
//!
//! A patch takes back exactly the bits that it changed; if the place holds anything else than what the patch left
//! there, the guest has written it, and it stays as it is. A register belongs to its thread, and a thread's own hits and
//! steps end what was done to it; memory is everybody's, and anybody's hits and steps do.

use super::runtime::Snapshot;
use crate::cells::Cells;
use crate::cpu::CpuState;
use crate::mem::GuestMemory;
use crate::uop::slot;
use hashbrown::{HashMap, HashSet};
use spile_lang::ir::{Lasting, ProbeId};
use spile_lang::span::Span;
use spile_lang::target::{Register, RegisterSlot};
use std::ops::Range;
use std::sync::Arc;

/// What generated code asks that belongs to no probe. The numbers are out of reach of the actions of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Whether the instruction is to be executed as another one.
    IsReplaced = 1,
    /// Control has come to a place up to which something may last. Result: 1 if translated code has changed.
    Reached,
    /// The instruction may have been changed for some time.
    Held,
}

impl Request {
    const ALL: [Request; 3] = [Request::IsReplaced, Request::Reached, Request::Held];

    /// Its number: below those of [`super::indirect`] and [`super::window`].
    pub(super) fn action(self) -> u32 {
        u32::MAX - 2 - self as u32
    }

    /// The request of a number, if it is one.
    pub(super) fn of(action: u32) -> Option<Request> {
        Self::ALL.into_iter().find(|request| request.action() == action)
    }
}

/// The slots of [`Changed::Float`].
const FLOAT: [u8; 2] = [slot::FP_CONTROL, slot::FP_STATUS];

/// Instructions between two looks at the clock.
const CLOCK_INSNS: u64 = 1000;

/// Who has what a thread has left behind.
const NOBODY: u64 = 0;

/// A place that a patch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// An integer slot.
    Int(u8),
    /// A vector slot.
    Vector(u8),
    /// The flags, as four bits.
    Flags,
    /// Floating-point control, and above it status, of which some system registers are made.
    Float,
    /// Memory, at most 16 bytes.
    Memory { addr: u64, bytes: u8 },
}

impl Changed {
    /// What a register is part of; `None` for the program counter.
    pub(super) fn register(register: &Register) -> Option<Changed> {
        match register.slot {
            RegisterSlot::Int(n) => Some(Changed::Int(n)),
            RegisterSlot::Vector(n) => Some(Changed::Vector(n)),
            RegisterSlot::Flags => Some(Changed::Flags),
            RegisterSlot::System(_) => Some(Changed::Float),
            RegisterSlot::Pc => None,
        }
    }

    /// As the argument slot of an action.
    pub(super) fn word(self) -> u64 {
        match self {
            Changed::Int(n) => u64::from(n),
            Changed::Vector(n) => 1 << 8 | u64::from(n),
            Changed::Flags => 2 << 8,
            Changed::Memory { .. } => 3 << 8,
            Changed::Float => 4 << 8,
        }
    }

    /// The register of an argument slot; `None` for memory.
    pub(super) fn of(word: u64) -> Option<Changed> {
        match word >> 8 {
            0 => Some(Changed::Int(word as u8)),
            1 => Some(Changed::Vector(word as u8)),
            2 => Some(Changed::Flags),
            4 => Some(Changed::Float),
            _ => None,
        }
    }

    fn read(self, cpu: &CpuState, memory: &GuestMemory) -> Option<u128> {
        Some(match self {
            Changed::Int(n) => cpu.x[usize::from(n)].into(),
            Changed::Vector(n) => cpu.v[usize::from(n)],
            Changed::Flags => cpu.nzcv().into(),
            Changed::Float => {
                let [control, status] = FLOAT.map(|slot| u128::from(cpu.x[usize::from(slot)]));
                control | status << 64
            }
            Changed::Memory { addr, bytes } => {
                let mut image = [0; 16];
                memory.read(addr, &mut image[..usize::from(bytes)]).ok()?;
                u128::from_le_bytes(image)
            }
        })
    }

    fn write(self, cpu: &mut CpuState, memory: &GuestMemory, value: u128) {
        match self {
            Changed::Int(n) => cpu.x[usize::from(n)] = value as u64,
            Changed::Vector(n) => cpu.v[usize::from(n)] = value,
            Changed::Flags => cpu.set_nzcv(value as u64),
            Changed::Float => {
                let [control, status] = FLOAT.map(usize::from);
                (cpu.x[control], cpu.x[status]) = (value as u64, (value >> 64) as u64);
            }
            // What has been unmapped meanwhile has nothing to be taken back.
            Changed::Memory { addr, bytes } => {
                let _ = memory.write_forced(addr, &value.to_le_bytes()[..usize::from(bytes)]);
            }
        }
        cpu.hold_stuck();
    }

    /// The bits of `mask` are stuck at those of `value`. Returns the place without ignored address bits; `None` if it is
    /// not readable.
    fn stick(self, mask: u128, value: u128, cpu: &mut CpuState, memory: &GuestMemory) -> Option<Changed> {
        cpu.stuck.any = true;
        match self {
            Changed::Int(n) => {
                let (register, bits) = (&mut cpu.x[usize::from(n)], cpu.stuck.x.get_mut(usize::from(n))?);
                *register = bits.stick(mask, value, (*register).into()) as u64;
            }
            Changed::Vector(n) => {
                let (register, bits) = (&mut cpu.v[usize::from(n)], cpu.stuck.v.get_mut(usize::from(n))?);
                *register = bits.stick(mask, value, *register);
            }
            Changed::Flags => {
                let now = cpu.nzcv().into();
                let held = cpu.stuck.flags.stick(mask, value, now);
                cpu.set_nzcv(held as u64);
            }
            // The checker has refused it.
            Changed::Float => return None,
            Changed::Memory { addr, bytes } => {
                let n = usize::from(bytes);
                let addr = memory.stick(addr, &mask.to_le_bytes()[..n], &value.to_le_bytes()[..n]).ok()?;
                return Some(Changed::Memory { addr, bytes });
            }
        }
        Some(self)
    }

    /// The bits of `mask` are stuck no more.
    fn free(self, mask: u128, cpu: &mut CpuState, memory: &GuestMemory) {
        match self {
            Changed::Memory { addr, bytes } => memory.release(addr, &mask.to_le_bytes()[..usize::from(bytes)]),
            register => register.free_register(mask, cpu),
        }
    }

    fn free_register(self, mask: u128, cpu: &mut CpuState) {
        match self {
            Changed::Int(n) => {
                let register = &mut cpu.x[usize::from(n)];
                *register = cpu.stuck.x[usize::from(n)].release(mask, (*register).into()) as u64;
            }
            Changed::Vector(n) => {
                let register = &mut cpu.v[usize::from(n)];
                *register = cpu.stuck.v[usize::from(n)].release(mask, *register);
            }
            Changed::Flags => {
                let now = cpu.nzcv().into();
                let held = cpu.stuck.flags.release(mask, now);
                cpu.set_nzcv(held as u64);
            }
            Changed::Float | Changed::Memory { .. } => {}
        }
    }

    /// The bits of this place that the bits `mask` of another one are.
    fn overlap(self, other: Changed, mask: u128) -> u128 {
        match (self, other) {
            (Changed::Memory { addr: own, .. }, Changed::Memory { addr, .. }) => {
                let bits = |bytes: u64| u32::try_from(bytes.saturating_mul(8)).unwrap_or(u32::MAX);
                let shifted =
                    if addr >= own { mask.checked_shl(bits(addr - own)) } else { mask.checked_shr(bits(own - addr)) };
                shifted.unwrap_or(0)
            }
            _ if self == other => mask,
            _ => 0,
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
    /// After so many more hits of the probe.
    Hits(ProbeId, u64),
    /// When the place is reached that is written here.
    Place(Span),
}

impl Due {
    /// When what the probe has begun `now` (an instruction count and a time) is over.
    fn new(lasts: &Lasting, probe: ProbeId, (icount, now): (u64, u64)) -> Due {
        match lasts {
            Lasting::Insns(n) => Due::Insns(icount.saturating_add(*n)),
            Lasting::Nanoseconds(n) => Due::Time(now.saturating_add(*n)),
            Lasting::Hits(n) => Due::Hits(probe, *n),
            Lasting::Until(loc) => Due::Place(loc.span),
        }
    }

    fn is_over(self, (icount, now): (u64, u64)) -> bool {
        match self {
            Due::Insns(end) => icount >= end,
            Due::Time(end) => now >= end,
            Due::Hits(..) | Due::Place(_) => false,
        }
    }

    /// True if it ends by what generated code says.
    fn waits(self) -> bool {
        matches!(self, Due::Hits(..) | Due::Place(_))
    }

    fn next_look(self, icount: u64) -> u64 {
        match self {
            Due::Insns(end) => end,
            Due::Time(_) => icount.saturating_add(CLOCK_INSNS),
            Due::Hits(..) | Due::Place(_) => u64::MAX,
        }
    }
}

/// What generated code says that something may end by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// The probe is hit.
    Hit(ProbeId),
    /// Control has come to what is written at one of these spans.
    At(&'a [Span]),
}

impl Step<'_> {
    /// True if this was what `due` has waited for.
    fn ends(self, due: &mut Due) -> bool {
        match (self, due) {
            (Step::Hit(probe), Due::Hits(of, left)) if *of == probe => {
                *left -= 1;
                *left == 0
            }
            (Step::At(spans), Due::Place(span)) => spans.contains(span),
            _ => false,
        }
    }
}

/// A patch that is to be taken back.
#[derive(Clone, Copy, Debug)]
struct Patch {
    place: Changed,
    due: Due,
    how: How,
    /// They are taken back in the reverse of this order.
    number: u64,
}

/// What taking back a patch is.
#[derive(Clone, Copy, Debug)]
enum How {
    /// The bits that differ get their old values.
    Undo { old: u128, new: u128 },
    /// These bits are stuck no more.
    Free(u128),
}

/// An instruction that is executed as another one for some time.
#[derive(Clone, Copy, Debug)]
struct Held {
    bits: u32,
    due: Due,
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
    /// Instructions that are so for some time, by address.
    held: HashMap<u64, Held>,
}

impl Thread {
    /// How much of it generated code has to tell of.
    fn waiting(&self) -> usize {
        let patches = self.patches.iter().filter(|patch| patch.due.waits()).count();
        let trace = self.trace.iter().filter(|trace| trace.due.waits()).count();
        patches + trace + self.held.len()
    }
}

/// All that lasts.
pub(super) struct Lastings {
    threads: HashMap<u64, Thread>,
    /// Patches made so far.
    made: u64,
    /// Addresses of all instructions that have ever been changed for some time.
    places: HashSet<u64>,
    changed: Vec<Range<u64>>,
    cells: Arc<Cells>,
    /// The cell that is not 0 while something waits for what generated code says, if any code asks for it.
    waiting: Option<u32>,
    /// Patches that have been taken back, and patches that the guest has overwritten.
    pub(super) undone: u64,
    pub(super) overwritten: u64,
}

impl Lastings {
    pub(super) fn new(cells: Arc<Cells>) -> Lastings {
        let (threads, places, changed) = Default::default();
        Lastings { threads, made: 0, places, changed, cells, waiting: None, undone: 0, overwritten: 0 }
    }

    fn thread(&mut self, thread: u64) -> &mut Thread {
        self.threads.entry(thread).or_default()
    }

    /// The cell that is not 0 while something waits, once there is one.
    pub(super) fn waiting_cell(&self) -> Option<u32> {
        self.waiting
    }

    /// Makes `cell`, which nobody else has, not 0 while something waits.
    pub(super) fn count_waiting_in(&mut self, cell: u32) {
        self.waiting = Some(cell);
        self.count_waiting();
    }

    /// To be called where something that waits has come or gone.
    fn count_waiting(&self) {
        if let Some(cell) = self.waiting {
            let count: usize = self.threads.values().map(Thread::waiting).sum();
            self.cells.set(cell, count as u64);
        }
    }

    /// A patch is about to be made: of a register, or else of memory.
    pub(super) fn begin(&mut self, thread: u64, place: Option<Changed>, cpu: &CpuState, memory: &GuestMemory) {
        let state = self.thread(thread);
        state.stores = place.is_none();
        state.making = place.and_then(|place| Some((place, place.read(cpu, memory)?)));
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

    /// A patch has been made by the probe and lasts for some time from now on. False if it changed nothing.
    pub(super) fn end(
        &mut self,
        thread: u64,
        probe: ProbeId,
        (lasts, now): (&Lasting, (u64, u64)),
        cpu: &CpuState,
        memory: &GuestMemory,
    ) -> bool {
        let number = self.made;
        let state = self.thread(thread);
        let Some((place, old)) = state.making.take() else { return false };
        let Some(new) = place.read(cpu, memory).filter(|new| *new != old) else { return false };
        state.patches.push(Patch { place, due: Due::new(lasts, probe, now), how: How::Undo { old, new }, number });
        self.made += 1;
        self.count_waiting();
        true
    }

    /// Bits of a place are stuck at those of a value from now on, for some time if that is given. What was said of these
    /// bits before no longer counts. False if the memory is not readable.
    pub(super) fn stick(
        &mut self,
        thread: u64,
        probe: ProbeId,
        (place, mask, value): (Changed, u128, u128),
        lasts: Option<(&Lasting, (u64, u64))>,
        cpu: &mut CpuState,
        memory: &GuestMemory,
    ) -> bool {
        let Some(place) = place.stick(mask, value, cpu, memory) else { return false };
        for (id, state) in &mut self.threads {
            if *id == thread || matches!(place, Changed::Memory { .. }) {
                state.patches.retain_mut(|patch| match &mut patch.how {
                    How::Free(bits) => {
                        *bits &= !patch.place.overlap(place, mask);
                        *bits != 0
                    }
                    How::Undo { .. } => true,
                });
            }
        }
        if let Some((lasts, now)) = lasts {
            let (due, number) = (Due::new(lasts, probe, now), self.made);
            self.thread(thread).patches.push(Patch { place, due, how: How::Free(mask), number });
            self.made += 1;
        }
        self.count_waiting();
        true
    }

    /// A new thread begins with the registers of `thread`: what is stuck there for some time is the other's.
    pub(super) fn spawn(&self, thread: u64, new: &mut CpuState) {
        for patch in self.threads.get(&thread).into_iter().flat_map(|state| &state.patches) {
            if let How::Free(mask) = patch.how {
                patch.place.free_register(mask, new);
            }
        }
    }

    /// Traces a thread from here on. If it is traced already, it is so as this one says.
    pub(super) fn trace(&mut self, thread: u64, probe: ProbeId, lasts: &Lasting, now: (u64, u64)) {
        let due = Due::new(lasts, probe, now);
        let state = self.thread(thread);
        let before = state.trace.take().and_then(|trace| trace.before);
        state.trace = Some(Trace { probe, due, before });
        self.count_waiting();
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

    /// What the probe has just had the instruction at `pc` executed as stays for some time.
    pub(super) fn hold(&mut self, thread: u64, probe: ProbeId, pc: u64, (lasts, now): (&Lasting, (u64, u64))) {
        let Some(bits) = self.replaced(thread, pc, now.0) else { return };
        let held = Held { bits, due: Due::new(lasts, probe, now) };
        if self.thread(thread).held.insert(pc, held).is_some() {
            self.overwritten += 1;
        }
        self.count_waiting();
        if self.places.insert(pc) {
            self.changed.push(pc..pc.saturating_add(1));
        }
    }

    /// Appends, and forgets, the code that does not ask yet whether its instruction is another one.
    pub(super) fn take_changes(&mut self, changes: &mut Vec<Range<u64>>) {
        changes.append(&mut self.changed);
    }

    /// True if the instruction at `pc` is, or has been, executed as another one for some time.
    pub(super) fn holds(&self, pc: u64) -> bool {
        self.places.contains(&pc)
    }

    /// True if an instruction in there is, or has been, executed as another one for some time.
    pub(super) fn holds_in(&self, start: u64, end: u64) -> bool {
        self.places.iter().any(|pc| (start..end).contains(pc))
    }

    /// The instruction at `pc` is about to be executed. True if that happens as another one, for some time.
    pub(super) fn held(&mut self, thread: u64, pc: u64, icount: u64) -> bool {
        let Some(state) = self.threads.get_mut(&thread) else { return false };
        let Some(held) = state.held.get(&pc) else { return false };
        state.replaced = Some((pc, icount, held.bits));
        true
    }

    /// The instruction count at which the thread has to be looked at.
    pub(super) fn next_look(&self, thread: u64, icount: u64) -> u64 {
        let Some(state) = self.threads.get(&thread) else { return u64::MAX };
        let patches = state.patches.iter().map(|patch| patch.due.next_look(icount));
        let held = state.held.values().map(|held| held.due.next_look(icount));
        let trace = state.trace.as_ref().map(|trace| icount + u64::from(trace.before.is_some()));
        patches.chain(held).chain(trace).min().unwrap_or(u64::MAX)
    }

    /// Takes back what has lasted for its instructions or its time, the latest first.
    pub(super) fn take_back(&mut self, thread: u64, now: (u64, u64), cpu: &mut CpuState, memory: &GuestMemory) {
        let Some(state) = self.threads.get_mut(&thread) else { return };
        let over: Vec<Patch> = state.patches.extract_if(.., |patch| patch.due.is_over(now)).collect();
        let held = state.held.extract_if(|_, held| held.due.is_over(now)).count() as u64;
        if held > 0 {
            self.undone += held;
            self.count_waiting();
        }
        self.undo(over, cpu, memory);
    }

    /// Ends what a step of the thread ends: all that concerns itself, and what any thread has done to memory.
    pub(super) fn step(&mut self, thread: u64, step: Step<'_>, cpu: &mut CpuState, memory: &GuestMemory) {
        let mut over = Vec::new();
        for (id, state) in &mut self.threads {
            let own = *id == thread;
            let ends =
                |patch: &mut Patch| (own || matches!(patch.place, Changed::Memory { .. })) && step.ends(&mut patch.due);
            over.extend(state.patches.extract_if(.., |patch| ends(patch)));
            if own {
                let replaced = &mut state.replaced;
                let ended = state.held.extract_if(|_, held| step.ends(&mut held.due)).inspect(|(pc, held)| {
                    // It may have been looked at already, in front of this probe.
                    replaced.take_if(|(at, _, bits)| (*at, *bits) == (*pc, held.bits));
                });
                self.undone += ended.count() as u64;
                state.trace.take_if(|trace| step.ends(&mut trace.due));
            }
        }
        over.sort_by_key(|patch| patch.number);
        self.count_waiting();
        self.undo(over, cpu, memory);
    }

    fn undo(&mut self, mut over: Vec<Patch>, cpu: &mut CpuState, memory: &GuestMemory) {
        while let Some(patch) = over.pop() {
            match patch.how {
                How::Undo { new, .. } if patch.place.read(cpu, memory) != Some(new) => self.overwritten += 1,
                How::Undo { old, .. } => {
                    patch.place.write(cpu, memory, old);
                    self.undone += 1;
                }
                How::Free(mask) => {
                    patch.place.free(mask, cpu, memory);
                    self.undone += 1;
                }
            }
        }
    }

    /// The registers in front of the instruction that the thread has executed since the last look, with the probe that
    /// traces it; and whether the trace goes on.
    pub(super) fn traced(&mut self, thread: u64, now: (u64, u64)) -> Option<(Option<Snapshot>, bool)> {
        let state = self.threads.get_mut(&thread)?;
        let trace = state.trace.as_mut()?;
        let executed = trace.before.take();
        let goes_on = !trace.due.is_over(now);
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

    /// A thread has made its last instruction. What it has done to memory for a number of them or for a time ends; what
    /// others may end stays.
    pub(super) fn stop_thread(&mut self, thread: u64, cpu: &mut CpuState, memory: &GuestMemory) {
        let Some(mut state) = self.threads.remove(&thread) else { return };
        state.patches.retain(|patch| matches!(patch.place, Changed::Memory { .. }));
        let (waiting, over) = state.patches.into_iter().partition(|patch| patch.due.waits());
        self.undo(over, cpu, memory);
        self.thread(NOBODY).patches.extend::<Vec<Patch>>(waiting);
        self.count_waiting();
    }

    /// In a forked child, in which `parent` goes on as `child`: it has what its parent had. The other threads are not
    /// there.
    pub(super) fn fork(&mut self, parent: u64, child: u64, cpu: &mut CpuState, memory: &GuestMemory) {
        let own = self.threads.remove(&parent);
        let mut others: Vec<u64> = self.threads.keys().copied().filter(|&thread| thread != NOBODY).collect();
        others.sort_unstable();
        others.into_iter().for_each(|thread| self.stop_thread(thread, cpu, memory));
        self.threads.extend(own.map(|state| (child, state)));
    }

    /// Forgets what belongs to a thread that is over.
    pub(super) fn end_thread(&mut self, thread: u64) {
        if self.threads.remove(&thread).is_some() {
            self.count_waiting();
        }
    }

    /// What belongs to a probe that is removed ends, except that patches are still taken back.
    pub(super) fn remove(&mut self, probe: ProbeId) {
        for state in self.threads.values_mut() {
            state.trace.take_if(|trace| trace.probe == probe);
            // It has no hits any more.
            let patches = state.patches.iter_mut().map(|patch| &mut patch.due);
            for due in patches.chain(state.held.values_mut().map(|held| &mut held.due)) {
                if matches!(due, Due::Hits(of, _) if *of == probe) {
                    *due = Due::Insns(0);
                }
            }
        }
        self.count_waiting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A patch of memory that cannot be read is left in the middle; the thread's next store is nobody's patch.
    #[test]
    fn an_abandoned_patch_does_not_refuse_the_next_store() {
        let memory = GuestMemory::new(u64::MAX).unwrap();
        let mut all = Lastings::new(Cells::none());
        all.begin(1, None, &CpuState::default(), &memory);
        assert!(!all.store(1, 0x1000, 4, &memory), "nothing to take back to");
        all.begin(1, None, &CpuState::default(), &memory);
        all.abandon(1);
        assert!(all.store(1, 0x1000, 4, &memory));
    }
}
