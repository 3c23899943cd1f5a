//! The calls that are open in each guest thread: which function, entered when, with what, returning where.
//!
//! A call begins at the first instruction of a function that a probe names, however control got there, and ends when
//! its thread arrives at the return address with the stack pointer that it had at the entry. That pair tells recursive
//! calls apart; functions that left by a tail call share it, and end together, the inner one first. So nothing depends
//! on what the instructions in between were: returns through other registers, exceptions and coroutines look the same.
//!
//! A call that has been abandoned (`longjmp`, an exception) is dropped silently: where the thread gets a stack pointer that
//! has nothing to do with the one before ([`Request::Settle`]), or enters or leaves a function, if the stack pointer is
//! above the call's, or is the same and the return address is not where it must be; or if it executes the same call
//! instruction at the same stack pointer once more, which [`slot::CALL_MARK`] shows. Calls on another stack (a signal handler's, a coroutine's) stay: there is
//! unmapped memory between two stacks.

use super::attach::Symbols;
use super::engine::Core;
use super::inside::{self, Conditions, Key};
use super::lower::calls::needs_frames;
use crate::cpu::{CpuState, poll};
use crate::interp::ActionCall;
use crate::isa::Isa;
use crate::mem::{GuestMemory, PAGE, perm};
use crate::uop::{X, slot};
use hashbrown::HashMap;
use spile_lang::ir::{Event, Probe, ProbeId};
use spile_lang::target::{Register, RegisterSlot};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// What generated code tells or asks. The numbers are out of reach of the actions of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A followed function is entered.
    Enter,
    /// Control has come to where a followed function returns to. Args: the stack pointer. Result: 0 if none has
    /// returned, else the function's address, plus 1 if another one is to follow.
    Leave,
    /// A return instruction is about to be executed: the call that it ends is the one that values are asked of.
    Find,
    /// Address of the function.
    Function,
    /// Its name, as a text.
    FunctionName,
    /// How many other calls of functions that `call` and `return` probes name the call is in.
    Depth,
    /// Instructions since the entry.
    Elapsed,
    /// An argument, as it was at the entry.
    Argument(u8),
    /// The number of the call, or 0 if nobody has seen it begin.
    Activation,
    /// Whether a condition of a probe holds; see [`super::inside`]. Args: the stack pointer, the link register, the probe,
    /// the number of the filter.
    Inside,
    /// The thread has got another stack pointer. Args: it, the link register.
    Settle,
    /// Whether a return address is in a function that a `from` names. Args: it, the probe, the number of the filter.
    CalledFrom,
    /// Whether the probe names the function. Args: its address, in which bit 0 has no meaning.
    Concerns(ProbeId),
}

impl Request {
    const FIRST: u32 = 1 << 31;
    const ARGUMENT: u32 = Self::FIRST + 16;
    const CONCERNS: u32 = Self::FIRST + 32;
    const PLAIN: [Request; 11] = [
        Request::Enter,
        Request::Leave,
        Request::Find,
        Request::Function,
        Request::FunctionName,
        Request::Depth,
        Request::Elapsed,
        Request::Activation,
        Request::Inside,
        Request::CalledFrom,
        Request::Settle,
    ];

    /// Its number.
    pub(super) fn action(self) -> u32 {
        match self {
            Request::Argument(n) => Self::ARGUMENT + u32::from(n),
            Request::Concerns(id) => Self::CONCERNS + id.0,
            plain => Self::FIRST + Self::PLAIN.iter().position(|other| *other == plain).unwrap_or(0) as u32,
        }
    }

    /// The request of a number, if it is one.
    pub(super) fn of(action: u32) -> Option<Request> {
        match action {
            super::indirect::ACTION => None,
            Self::CONCERNS.. => Some(Request::Concerns(ProbeId(action - Self::CONCERNS))),
            Self::ARGUMENT..Self::CONCERNS => Some(Request::Argument((action - Self::ARGUMENT) as u8)),
            Self::FIRST..Self::ARGUMENT => Self::PLAIN.get((action - Self::FIRST) as usize).copied(),
            _ => None,
        }
    }
}

/// True for `call`, `after call` and `return`.
pub(super) fn is_call_event(probe: &Probe) -> bool {
    matches!(probe.event, Event::Call | Event::Return)
}

/// True if it depends on the probe whose calls are followed.
pub(super) fn concerns_calls(probe: &Probe) -> bool {
    is_call_event(probe) || inside::asks(probe)
}

fn slot_of(register: Option<Register>) -> Option<X> {
    match register?.slot {
        RegisterSlot::Int(slot) => Some(slot),
        _ => None,
    }
}

/// The slots of the stack pointer and of the register in which a call leaves the address to return to.
pub(super) fn slots(isa: &dyn Isa) -> (X, X) {
    let sp = slot_of(isa.register("sp"));
    let link = slot_of(isa.register("lr").or_else(|| isa.register("ra")));
    (sp.unwrap_or(slot::ZERO), link.unwrap_or(slot::ZERO))
}

/// A call.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) entry: u64,
    pub(super) sp: u64,
    /// The return address.
    pub(super) link: u64,
    icount: u64,
    depth: u64,
    /// It counts in the depth of the calls that it is around.
    counted: bool,
    arguments: Vec<u64>,
    /// No other call has it.
    number: u64,
    /// The conditions that hold in it: what is in [`slot::INSIDE`] while it is the innermost one.
    pub(super) inside: u64,
}

#[derive(Default)]
struct Thread {
    /// Outermost first.
    open: Vec<Frame>,
    /// The call that probes are asking about.
    current: Frame,
    /// The number of that call, if it is not open any more.
    closed: Option<u64>,
    /// The numbers of calls that are over since somebody has looked.
    over: Vec<u64>,
}

impl Thread {
    /// Drops the innermost call.
    fn drop_top(&mut self) {
        self.over.extend(self.open.pop().map(|frame| frame.number));
    }

    /// Drops the calls whose stack pointer shows that nothing will come back to them.
    fn abandon(&mut self, sp: u64, memory: &GuestMemory) {
        while self.open.last().is_some_and(|top| top.sp < sp && one_stack(top.sp, sp, memory)) {
            self.drop_top();
        }
    }

    /// Drops the calls that are over although they were entered with the present stack pointer.
    fn leave_behind(&mut self, sp: u64, link: u64, symbols: &dyn Symbols) {
        while self.open.last().is_some_and(|top| top.sp == sp && !goes_on(top, link, symbols)) {
            self.drop_top();
        }
    }

    /// Probes ask about this call from now on.
    fn look_at(&mut self, frame: Frame, closed: bool) {
        self.over.extend(self.closed.take());
        self.closed = closed.then_some(frame.number);
        self.current = frame;
    }

    /// The numbers of all its calls.
    fn numbers(self) -> impl Iterator<Item = u64> {
        self.over.into_iter().chain(self.closed).chain(self.open.into_iter().map(|frame| frame.number))
    }
}

/// The calls of all threads.
pub(super) struct Calls {
    sp: usize,
    link: usize,
    arguments: Vec<usize>,
    threads: HashMap<u64, Thread>,
    /// Calls that have been seen to begin.
    begun: u64,
    /// The first instructions of the functions that are followed, sorted.
    followed: Vec<u64>,
    /// Those of them that `call` and `return` probes name.
    counted: Vec<u64>,
    pub(super) conditions: Conditions,
    /// All return addresses that have been seen.
    returns: BTreeSet<u64>,
    /// Instructions that have been seen to replace the stack pointer.
    replacing: BTreeSet<u64>,
    /// Code around new ones.
    changed: Vec<Range<u64>>,
}

impl Calls {
    pub(super) fn new(isa: &dyn Isa) -> Calls {
        let (sp, link) = slots(isa);
        Calls {
            sp: sp.into(),
            link: link.into(),
            arguments: (0..8).map_while(|n| slot_of(isa.argument(n))).map(usize::from).collect(),
            threads: HashMap::new(),
            begun: 0,
            followed: Vec::new(),
            counted: Vec::new(),
            conditions: Conditions::default(),
            returns: BTreeSet::new(),
            replacing: BTreeSet::new(),
            changed: Vec::new(),
        }
    }

    /// True if calls of the function that begins at `pc` are followed.
    pub(super) fn follows(&self, pc: u64) -> bool {
        self.followed.binary_search(&pc).is_ok()
    }

    /// True if something is spliced into this code because calls are followed.
    pub(super) fn touches(&self, start: u64, end: u64) -> bool {
        let first = self.followed.partition_point(|&entry| entry < start);
        // The call instruction before a return address may be the last one in there.
        self.followed.get(first).is_some_and(|&entry| entry < end) || self.returns.range(start..=end).next().is_some()
    }

    /// Notes that the instruction at `pc` replaces the stack pointer. True if calls are followed.
    pub(super) fn stack_replaced_at(&mut self, pc: u64) -> bool {
        self.replacing.insert(pc);
        !self.followed.is_empty()
    }

    /// True if a followed function has been seen to return to `pc`.
    pub(super) fn returns_to(&self, pc: u64) -> bool {
        self.returns.contains(&pc)
    }

    /// Appends, and forgets, the code in which something new is to be spliced.
    pub(super) fn take_changes(&mut self, changes: &mut Vec<Range<u64>>) {
        changes.append(&mut self.changed);
    }

    /// Forgets all calls. Returns their numbers.
    fn forget(&mut self) -> Vec<u64> {
        self.threads.drain().flat_map(|(_, thread)| thread.numbers()).collect()
    }

    /// Returns, and forgets, the numbers of the calls of a thread that are over.
    fn take_over(&mut self, thread: u64) -> Vec<u64> {
        self.threads.get_mut(&thread).map(|thread| std::mem::take(&mut thread.over)).unwrap_or_default()
    }

    /// A return address, and the call instruction before it.
    fn around(link: u64) -> Range<u64> {
        link.saturating_sub(4)..link.saturating_add(1)
    }

    fn enter(
        &mut self,
        call: ActionCall,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        thread: u64,
        symbols: &dyn Symbols,
    ) {
        let (sp, link) = (cpu.x[self.sp], cpu.x[self.link]);
        let called = std::mem::take(&mut cpu.x[usize::from(slot::CALL_MARK)]) == link;
        let arguments = self.arguments.iter().map(|&slot| cpu.x[slot]).collect();
        let counted = self.counted.binary_search(&call.pc).is_ok();
        let thread = self.threads.entry(thread).or_default();
        thread.abandon(sp, memory);
        while let Some(top) = thread.open.last().filter(|top| top.sp == sp) {
            if goes_on(top, link, symbols) && !(called && top.link == link) {
                break;
            }
            thread.drop_top();
        }
        self.begun += 1;
        let (number, icount, entry) = (self.begun, call.icount, call.pc);
        let depth = thread.open.last().map_or(0, |top| top.depth + u64::from(top.counted));
        let frame = Frame { entry, sp, link, icount, depth, counted, arguments, number, inside: 0 };
        let inside = self.conditions.inside(&frame, thread.open.last().map_or(0, |top| top.inside));
        let frame = Frame { inside, ..frame };
        thread.open.push(frame.clone());
        thread.look_at(frame, false);
        inside::show(&thread.open, cpu);
        if self.returns.insert(link) {
            self.changed.push(Self::around(link));
            cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        }
    }

    fn leave(
        &mut self,
        call: ActionCall,
        sp: u64,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        thread: u64,
        symbols: &dyn Symbols,
    ) -> u64 {
        let Some(thread) = self.threads.get_mut(&thread) else { return 0 };
        thread.abandon(sp, memory);
        thread.leave_behind(sp, call.pc, symbols);
        let ended = innermost(&thread.open, sp, call.pc, memory).map(|index| {
            let frame = thread.open.remove(index);
            let entry = frame.entry;
            thread.look_at(frame, true);
            self.conditions.look_again(&mut thread.open, index);
            entry | u64::from(innermost(&thread.open, sp, call.pc, memory).is_some())
        });
        inside::show(&thread.open, cpu);
        ended.unwrap_or(0)
    }

    /// Drops the calls that a thread with this stack pointer and link register is not in any more.
    fn settle(
        &mut self,
        (sp, link): (u64, u64),
        cpu: &mut CpuState,
        memory: &GuestMemory,
        thread: u64,
        symbols: &dyn Symbols,
    ) {
        let Some(thread) = self.threads.get_mut(&thread) else { return };
        thread.abandon(sp, memory);
        thread.leave_behind(sp, link, symbols);
        inside::show(&thread.open, cpu);
    }

    /// True if a condition holds for a thread that is in `function`.
    fn holds(&self, key: Key, function: Option<u64>, thread: u64) -> bool {
        self.threads.get(&thread).is_some_and(|thread| self.conditions.holds(key, &thread.open, function))
    }

    /// Puts into the slots of a thread what is known of its calls, after that has changed beside it.
    pub(super) fn show(&self, thread: u64, cpu: &mut CpuState) {
        inside::show(self.threads.get(&thread).map_or(&[], |thread| &thread.open), cpu);
    }

    /// Follows these functions from now on.
    fn follow(&mut self, followed: Vec<u64>, counted: Vec<u64>) {
        let before = std::mem::replace(&mut self.followed, followed);
        let other = |list: &[u64], entry: &u64| list.binary_search(entry).is_err();
        let gone = before.iter().filter(|entry| other(&self.followed, entry));
        let new = self.followed.iter().filter(|entry| other(&before, entry));
        self.changed.extend(gone.chain(new).map(|&entry| entry..entry + 1));
        if before.is_empty() != self.followed.is_empty() {
            self.changed.extend(self.replacing.iter().map(|&pc| pc..pc + 1));
        }
        self.counted = counted;
        for thread in self.threads.values_mut() {
            self.conditions.look_again(&mut thread.open, 0);
        }
    }

    fn find(&mut self, cpu: &CpuState, memory: &GuestMemory, thread: u64) {
        let (sp, link) = (cpu.x[self.sp], cpu.x[self.link]);
        if let Some(thread) = self.threads.get_mut(&thread) {
            match innermost(&thread.open, sp, link, memory) {
                Some(index) => thread.look_at(thread.open[index].clone(), false),
                None => thread.look_at(Frame::default(), true),
            }
        }
    }
}

/// True if a call may not be over in a thread that has the stack pointer of its entry. The link register has the return
/// address then, also in whatever the function has jumped to; or code without a frame of its own keeps that in another
/// register and calls on, which is in itself.
fn goes_on(frame: &Frame, link: u64, symbols: &dyn Symbols) -> bool {
    frame.link == link || begin_of(link, symbols) == Some(frame.entry)
}

/// The innermost call with this stack pointer and return address.
fn innermost(open: &[Frame], sp: u64, link: u64, memory: &GuestMemory) -> Option<usize> {
    let above = |frame: &Frame| frame.sp > sp && one_stack(sp, frame.sp, memory);
    let candidates = open.iter().enumerate().rev().take_while(|(_, frame)| !above(frame));
    candidates.into_iter().find(|(_, frame)| frame.sp == sp && frame.link == link).map(|(index, _)| index)
}

/// The first instruction of the function that an address is in.
fn begin_of(addr: u64, symbols: &dyn Symbols) -> Option<u64> {
    symbols.locate(addr).map(|found| addr - found.offset)
}

/// True if there is no hole between two stack pointers.
fn one_stack(low: u64, high: u64, memory: &GuestMemory) -> bool {
    const LARGEST: u64 = 64 << 20;
    let mapped = |page: u64| memory.perms(page * PAGE) & perm::MAPPED != 0;
    high - low <= LARGEST && (low / PAGE..=(high - 1) / PAGE).all(mapped)
}

impl Core {
    /// Does what generated code asks.
    pub(super) fn call(
        &mut self,
        request: Request,
        call: ActionCall,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        thread: u64,
    ) -> u64 {
        let result = self.answer(request, call, cpu, memory, thread);
        let over = self.calls.take_over(thread);
        if !over.is_empty() {
            self.runtime.states_mut().end_calls(&over);
        }
        result
    }

    /// Forgets the calls of a thread that is over.
    pub(super) fn end_thread_calls(&mut self, thread: u64) {
        let gone = self.calls.threads.remove(&thread).into_iter().flat_map(Thread::numbers).collect::<Vec<_>>();
        self.runtime.states_mut().end_calls(&gone);
    }

    /// In a forked child: the calls of the thread `parent` are those of `child`, and there are no others.
    pub(super) fn fork_calls(&mut self, parent: u64, child: u64) {
        let own = self.calls.threads.remove(&parent);
        let gone = self.calls.forget();
        self.runtime.states_mut().end_calls(&gone);
        self.calls.threads.extend(own.map(|calls| (child, calls)));
    }

    fn answer(
        &mut self,
        request: Request,
        call: ActionCall,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        thread: u64,
    ) -> u64 {
        let argument = cpu.x[usize::from(call.args)];
        match request {
            Request::Enter => {
                self.calls.enter(call, cpu, memory, thread, &*self.symbols);
                return 0;
            }
            Request::Leave => return self.calls.leave(call, argument, cpu, memory, thread, &*self.symbols),
            Request::Inside => {
                let [sp, link, probe, filter] = std::array::from_fn(|n| cpu.x[usize::from(call.args) + n]);
                let key = (ProbeId(probe as u32), filter as usize);
                let function = begin_of(call.pc, &*self.symbols);
                self.calls.settle((sp, link), cpu, memory, thread, &*self.symbols);
                return self.calls.holds(key, function, thread).into();
            }
            Request::Settle => {
                let link = cpu.x[usize::from(call.args) + 1];
                self.calls.settle((argument, link), cpu, memory, thread, &*self.symbols);
                return 0;
            }
            Request::CalledFrom => {
                let [probe, filter] = std::array::from_fn(|n| cpu.x[usize::from(call.args) + 1 + n] as usize);
                return inside::returns_into(&self.attachments[probe].functions[filter].extents, argument).into();
            }
            Request::Find => {
                self.calls.find(cpu, memory, thread);
                return 0;
            }
            Request::Concerns(id) => {
                return u64::from(self.attachments[id.0 as usize].entries.binary_search(&(argument & !1)).is_ok());
            }
            _ => {}
        }
        let Some(current) = self.calls.threads.get(&thread).map(|thread| &thread.current) else { return 0 };
        match request {
            Request::Function => current.entry,
            Request::Depth => current.depth,
            Request::Activation => current.number,
            Request::Elapsed => call.icount.wrapping_sub(current.icount),
            Request::Argument(n) => current.arguments.get(usize::from(n)).copied().unwrap_or(0),
            _ => {
                let name = self.symbols.locate(current.entry).map(|found| found.name).unwrap_or_default();
                self.runtime.intern(&name)
            }
        }
    }

    /// Finds out which functions are followed: all that `call` and `return` probes name, if one of the probes that are armed
    /// needs it, and those that the conditions of probes need.
    pub(super) fn follow_calls(&mut self) {
        self.update_conditions();
        let all = self.program.probes.iter().zip(&self.attachments);
        // What is entered before a window opens may return behind that.
        let armed: Vec<_> = all.filter(|(_, attachment)| self.runtime.may_become_active(attachment.probe)).collect();
        let mut counted = Vec::new();
        if armed.iter().any(|(probe, _)| needs_frames(probe)) {
            let named = armed.iter().filter(|(probe, _)| is_call_event(probe));
            counted.extend(named.flat_map(|(_, attachment)| attachment.entries.iter().copied()));
        }
        counted.sort_unstable();
        counted.dedup();
        let mut followed = counted.clone();
        followed.extend(armed.iter().flat_map(|(probe, attachment)| self.followed_for(probe, attachment)));
        followed.sort_unstable();
        followed.dedup();
        self.calls.follow(followed, counted);
    }

    /// A probe that [`concerns_calls`] has been armed or disarmed. Without any, nothing is followed, and what was open is
    /// forgotten: it would end unseen.
    pub(super) fn calls_switched(&mut self, changes: &mut Vec<Range<u64>>) {
        changes.extend(self.calls.returns.iter().map(|&link| Calls::around(link)));
        self.follow_calls();
        if self.calls.followed.is_empty() {
            let gone = self.calls.forget();
            self.runtime.states_mut().end_calls(&gone);
            self.calls.returns.clear();
        }
        self.calls.take_changes(changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64, sp: u64) -> Frame {
        Frame { number, sp, ..Frame::default() }
    }

    /// What calls keep is given up once: when nobody can ask about them any more.
    #[test]
    fn calls_are_over_once() {
        let mut thread = Thread { open: vec![frame(1, 0x30), frame(2, 0x20)], ..Thread::default() };
        let left = thread.open.pop().unwrap();
        thread.look_at(left, true);
        assert_eq!((thread.current.number, thread.over.as_slice()), (2, &[][..]), "a probe looks at it");
        thread.look_at(frame(3, 0x20), false);
        thread.open.push(frame(3, 0x20));
        assert_eq!(thread.over, [2]);
        thread.look_at(Frame::default(), true);
        thread.drop_top();
        assert_eq!(thread.numbers().collect::<Vec<_>>(), [2, 3, 0, 1], "0 is for calls that nobody has seen begin");
    }
}
