//! The calls that are open in each guest thread: which function, entered when, with what, returning where.
//!
//! A call begins at the first instruction of a function that a probe names, however control got there, and ends when
//! its thread arrives at the return address with the stack pointer that it had at the entry. That pair tells recursive
//! calls apart; functions that left by a tail call share it, and end together, the inner one first. So nothing depends
//! on what the instructions in between were: returns through other registers, exceptions and coroutines look the same.
//!
//! A call that has been abandoned (`longjmp`, an exception) is dropped silently: as soon as the thread enters or leaves a
//! function with the stack pointer above the call's, or executes the same call instruction at the same stack pointer
//! once more, which [`slot::CALL_MARK`] shows. Calls on another stack (a signal handler's, a coroutine's) stay: there is
//! unmapped memory between two stacks.

use super::attach::Symbols;
use super::engine::Core;
use super::lower::calls::needs_frames;
use crate::cpu::{CpuState, poll};
use crate::interp::ActionCall;
use crate::isa::Isa;
use crate::mem::{GuestMemory, PAGE, perm};
use crate::uop::slot;
use hashbrown::HashMap;
use spile_lang::ir::{Event, Probe, ProbeId};
use spile_lang::target::RegisterSlot;
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
    /// How many other calls the call is in.
    Depth,
    /// Instructions since the entry.
    Elapsed,
    /// An argument, as it was at the entry.
    Argument(u8),
    /// Whether the probe names the function. Args: its address, in which bit 0 has no meaning.
    Concerns(ProbeId),
}

impl Request {
    const FIRST: u32 = 1 << 31;
    const ARGUMENT: u32 = Self::FIRST + 16;
    const CONCERNS: u32 = Self::FIRST + 32;
    const PLAIN: [Request; 7] = [
        Request::Enter,
        Request::Leave,
        Request::Find,
        Request::Function,
        Request::FunctionName,
        Request::Depth,
        Request::Elapsed,
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

/// A call.
#[derive(Clone, Debug, Default)]
struct Frame {
    entry: u64,
    sp: u64,
    /// The return address.
    link: u64,
    icount: u64,
    depth: u64,
    arguments: Vec<u64>,
}

#[derive(Default)]
struct Thread {
    /// Outermost first.
    open: Vec<Frame>,
    /// The call that probes are asking about.
    current: Frame,
}

/// The calls of all threads.
pub(super) struct Calls {
    sp: usize,
    link: usize,
    arguments: Vec<usize>,
    threads: HashMap<u64, Thread>,
    /// The first instructions of the functions that are followed, sorted.
    followed: Vec<u64>,
    /// All return addresses that have been seen.
    returns: BTreeSet<u64>,
    /// Code around new ones.
    changed: Vec<Range<u64>>,
}

impl Calls {
    pub(super) fn new(isa: &dyn Isa) -> Calls {
        let slot_of = |register: Option<spile_lang::target::Register>| match register?.slot {
            RegisterSlot::Int(slot) => Some(usize::from(slot)),
            _ => None,
        };
        let zero = usize::from(slot::ZERO);
        Calls {
            sp: slot_of(isa.register("sp")).unwrap_or(zero),
            link: slot_of(isa.register("lr").or_else(|| isa.register("ra"))).unwrap_or(zero),
            arguments: (0..8).map_while(|n| slot_of(isa.argument(n))).collect(),
            threads: HashMap::new(),
            followed: Vec::new(),
            returns: BTreeSet::new(),
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

    /// True if a followed function has been seen to return to `pc`.
    pub(super) fn returns_to(&self, pc: u64) -> bool {
        self.returns.contains(&pc)
    }

    /// Appends, and forgets, the code in which something new is to be spliced.
    pub(super) fn take_changes(&mut self, changes: &mut Vec<Range<u64>>) {
        changes.append(&mut self.changed);
    }

    pub(super) fn end_thread(&mut self, thread: u64) {
        self.threads.remove(&thread);
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
        let Thread { open, current } = self.threads.entry(thread).or_default();
        abandon(open, sp, memory);
        while let Some(top) = open.last().filter(|top| top.sp == sp) {
            // Code without a frame of its own may keep the return address in a register and call on: that is in itself.
            let function = |addr: u64| symbols.locate(addr).map(|found| addr - found.offset);
            let goes_on = match top.link == link {
                true => !called,
                false => function(link).is_some_and(|start| start == top.entry),
            };
            if goes_on {
                break;
            }
            open.pop();
        }
        let depth = open.len() as u64;
        *current = Frame { entry: call.pc, sp, link, icount: call.icount, depth, arguments };
        open.push(current.clone());
        if self.returns.insert(link) {
            self.changed.push(Self::around(link));
            cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        }
    }

    fn leave(&mut self, call: ActionCall, sp: u64, memory: &GuestMemory, thread: u64) -> u64 {
        let Some(Thread { open, current }) = self.threads.get_mut(&thread) else { return 0 };
        abandon(open, sp, memory);
        let Some(index) = innermost(open, sp, call.pc, memory) else { return 0 };
        *current = open.remove(index);
        let more = innermost(open, sp, call.pc, memory).is_some();
        current.entry | u64::from(more)
    }

    fn find(&mut self, cpu: &CpuState, memory: &GuestMemory, thread: u64) {
        let (sp, link) = (cpu.x[self.sp], cpu.x[self.link]);
        if let Some(Thread { open, current }) = self.threads.get_mut(&thread) {
            *current = innermost(open, sp, link, memory).map(|index| open[index].clone()).unwrap_or_default();
        }
    }
}

/// Drops the calls whose stack pointer shows that nothing will come back to them.
fn abandon(open: &mut Vec<Frame>, sp: u64, memory: &GuestMemory) {
    while open.last().is_some_and(|top| top.sp < sp && one_stack(top.sp, sp, memory)) {
        open.pop();
    }
}

/// The innermost call with this stack pointer and return address.
fn innermost(open: &[Frame], sp: u64, link: u64, memory: &GuestMemory) -> Option<usize> {
    let above = |frame: &Frame| frame.sp > sp && one_stack(sp, frame.sp, memory);
    let candidates = open.iter().enumerate().rev().take_while(|(_, frame)| !above(frame));
    candidates.into_iter().find(|(_, frame)| frame.sp == sp && frame.link == link).map(|(index, _)| index)
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
        let argument = cpu.x[usize::from(call.args)];
        match request {
            Request::Enter => {
                self.calls.enter(call, cpu, memory, thread, &*self.symbols);
                return 0;
            }
            Request::Leave => return self.calls.leave(call, argument, memory, thread),
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
            Request::Elapsed => call.icount.wrapping_sub(current.icount),
            Request::Argument(n) => current.arguments.get(usize::from(n)).copied().unwrap_or(0),
            _ => {
                let name = self.symbols.locate(current.entry).map(|found| found.name).unwrap_or_default();
                self.runtime.intern(&name)
            }
        }
    }

    /// Finds out which functions are followed: all that probes name, if one of the probes that are armed needs it.
    pub(super) fn follow_calls(&mut self) {
        let all = self.program.probes.iter().zip(&self.attachments);
        // What is entered before a window opens may return behind that.
        let armed: Vec<_> = all.filter(|(_, attachment)| self.runtime.may_become_active(attachment.probe)).collect();
        let mut followed = Vec::new();
        if armed.iter().any(|(probe, _)| needs_frames(probe)) {
            let named = armed.iter().filter(|(probe, _)| is_call_event(probe));
            followed.extend(named.flat_map(|(_, attachment)| attachment.entries.iter().copied()));
        }
        followed.sort_unstable();
        followed.dedup();
        self.calls.followed = followed;
    }

    /// A `call` or `return` probe has been armed or disarmed. Without any, nothing is followed, and what was open is
    /// forgotten: it would end unseen.
    pub(super) fn calls_switched(&mut self, changes: &mut Vec<Range<u64>>) {
        changes.extend(self.calls.returns.iter().map(|&link| Calls::around(link)));
        let named = self.program.probes.iter().zip(&self.attachments).filter(|(probe, _)| is_call_event(probe));
        changes.extend(named.flat_map(|(_, attachment)| attachment.ranges.clone()));
        self.follow_calls();
        if self.calls.followed.is_empty() {
            self.calls.threads.clear();
            self.calls.returns.clear();
        }
    }
}
