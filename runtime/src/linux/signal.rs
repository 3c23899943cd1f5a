//! Signals: actions, masks, alternate stacks, delivery.
//!
//! The host's handler only records ([`super::host`]); a guest handler runs at an instruction boundary, entered by
//! [`super::LinuxAbi::push_frame`]. The guest's mask is the host's as well (but for hardware faults), so signals that
//! the guest blocks stay queued in the host kernel, with their order and number.
//!
//! A signal whose default is to kill is recorded as well: the guest then ends with [`Status::Signaled`], after which
//! the end of a run can be reported. Stopping and continuing are left to the host.

use super::abi::{fault_siginfo, u32_at, u64_at, words};
use super::errno::Errno;
use super::host::{self, Disposition};
use super::{After, FrameContext, Kernel, SignalFrame, read_optional, schedule, write_optional};
use crate::cpu::{CpuState, resume};
use crate::env::{Outcome, Raised, Signal, Status, TrapEvent};
use crate::machine::lock;
use crate::mem::GuestMemory;
use spile_lang::ir::Cause;
use std::sync::{Arc, Mutex};

const SIGSET_SIZE: u64 = 8;
const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

const SA_NOCLDSTOP: u64 = 1;
const SA_NOCLDWAIT: u64 = 2;
const SA_SIGINFO: u64 = 4;
const SA_RESTORER: u64 = 0x0400_0000;
const SA_ONSTACK: u64 = 0x0800_0000;
const SA_RESTART: u64 = 0x1000_0000;
const SA_NODEFER: u64 = 0x4000_0000;
const SA_RESETHAND: u64 = 0x8000_0000;

const SS_ONSTACK: u64 = 1;
const SS_DISABLE: u64 = 2;
const SS_AUTODISARM: u64 = 1 << 31;

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRALN: i32 = 1;
const BUS_ADRERR: i32 = 2;
const ILL_ILLOPC: i32 = 1;
const TRAP_BRKPT: i32 = 1;

const SIGILL: u8 = 4;
const SIGTRAP: u8 = 5;
const SIGBUS: u8 = 7;
const SIGKILL: u8 = 9;
const SIGSEGV: u8 = 11;
const SIGSTOP: u8 = 19;

/// Signals that cannot be blocked.
const UNBLOCKABLE: u64 = bit(SIGKILL) | bit(SIGSTOP);

const fn bit(signal: u8) -> u64 {
    1 << (signal - 1)
}

/// What the guest does with a signal (`struct sigaction`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Action {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

/// What the threads of a process do with each signal, by number.
type Actions = Arc<Mutex<[Action; 65]>>;

/// The signal state of a guest thread.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    actions: Actions,
    mask: u64,
    /// The mask to go back to after a call that replaced it (`rt_sigsuspend`, `ppoll` …).
    saved_mask: Option<u64>,
    /// Address, flags, size.
    alternate_stack: [u64; 3],
    /// Address of the code that makes `rt_sigreturn`.
    pub(super) trampoline: u64,
    /// Whether the host's signals are used at all.
    host: bool,
}

impl Signals {
    /// The state at a program's start: everything is default, but what the parent ignored stays ignored.
    pub(super) fn new(host: bool, ignores_sigpipe: bool) -> Self {
        let mut signals = Signals {
            actions: Arc::new(Mutex::new([Action::default(); 65])),
            mask: 0,
            saved_mask: None,
            alternate_stack: [0, SS_DISABLE, 0],
            trampoline: 0,
            host,
        };
        if ignores_sigpipe {
            signals.change(libc::SIGPIPE as u8, |action| action.handler = SIG_IGN);
        }
        if host {
            signals.adopt_host_state();
        }
        signals
    }

    fn adopt_host_state(&mut self) {
        let mut mask = [0; 8];
        if host::rt_sigprocmask(0, None, Some(&mut mask), SIGSET_SIZE).is_ok() {
            self.mask = u64::from_le_bytes(mask);
        }
        for signal in 1..=64 {
            // The Rust runtime has set SIGPIPE to be ignored; what it was before is not known.
            if i32::from(signal) != libc::SIGPIPE && host::is_ignored(signal) {
                self.change(signal, |action| action.handler = SIG_IGN);
            }
            self.tell_host(signal);
        }
        self.set_mask(self.mask);
    }

    fn action(&self, signal: u8) -> Action {
        lock(&self.actions)[usize::from(signal)]
    }

    fn change(&self, signal: u8, change: impl FnOnce(&mut Action)) {
        change(&mut lock(&self.actions)[usize::from(signal)]);
    }

    /// The state of a new thread of this one's process (pthread_create(3): it has the mask and no alternate stack).
    pub(super) fn for_thread(&self) -> Signals {
        Signals { saved_mask: None, alternate_stack: [0, SS_DISABLE, 0], ..self.clone() }
    }

    /// True if the host's signals are used.
    pub(super) fn uses_host(&self) -> bool {
        self.host
    }

    /// The end of this thread while others go on: what it has recorded is for them.
    pub(super) fn end_thread(&self) {
        if self.host {
            self.hold_host();
            host::end_thread();
        }
    }

    /// Makes all signals that have handlers default (`CLONE_CLEAR_SIGHAND`).
    pub(super) fn clear_handlers(&self) {
        for signal in (1..=64).filter(|&signal| self.action(signal).handler > SIG_IGN) {
            self.change(signal, |action| *action = Action::default());
            self.tell_host(signal);
        }
    }

    /// Makes the host treat `signal` as the guest's action needs.
    pub(super) fn tell_host(&self, signal: u8) {
        if !self.host {
            return;
        }
        let action = self.action(signal);
        let disposition = match action.handler {
            // What ends blocking calls comes by this signal as well, so it is never ignored.
            _ if signal == host::INTERRUPT => Disposition::Record(0),
            SIG_IGN if !host::is_hardware_fault(i32::from(signal)) => Disposition::Ignore,
            SIG_DFL if default_of(signal) != DefaultAction::Kill => Disposition::Default,
            _ => Disposition::Record((action.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)) as i32),
        };
        host::set_disposition(signal, disposition);
    }

    fn set_mask(&mut self, mask: u64) {
        self.mask = mask & !UNBLOCKABLE;
        if !self.host {
            return;
        }
        host::set_blocked(self.mask);
        // What has been recorded stays blocked in the host until it is taken, so that its siginfo is not overwritten.
        let faults = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, 8].map(bit).iter().fold(0, |all, one| all | one);
        let mask = (self.mask | host::pending()) & !faults & !bit(host::INTERRUPT);
        let _ = host::rt_sigprocmask(libc::SIG_SETMASK as u64, Some(&mask.to_le_bytes()), None, SIGSET_SIZE);
    }

    /// The recorded signal that the guest gets next: hardware faults first, then by number.
    pub(super) fn next_deliverable(&self) -> Option<u8> {
        if !self.host {
            return None;
        }
        let ready = host::pending() & !self.mask;
        let faults = ready & [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, 8].map(bit).iter().fold(0, |all, one| all | one);
        let first = if faults != 0 { faults } else { ready };
        (first != 0).then(|| first.trailing_zeros() as u8 + 1)
    }

    fn is_on_alternate_stack(&self, sp: u64) -> bool {
        let [start, flags, size] = self.alternate_stack;
        flags & (SS_DISABLE | SS_AUTODISARM) == 0 && sp > start && sp - start <= size
    }

    fn alternate_stack_flags(&self, sp: u64) -> u64 {
        let [_, flags, size] = self.alternate_stack;
        if size == 0 {
            SS_DISABLE
        } else if self.is_on_alternate_stack(sp) {
            flags | SS_ONSTACK
        } else {
            flags
        }
    }

    /// Replaces the mask for the length of a call; the first signal frame or the end of the call goes back.
    pub(super) fn replace_mask(&mut self, mask: u64) {
        self.saved_mask = Some(self.mask);
        self.set_mask(mask);
    }

    /// Undoes [`Signals::replace_mask`].
    pub(super) fn restore_mask(&mut self) {
        if let Some(mask) = self.saved_mask.take() {
            self.set_mask(mask);
        }
    }

    /// Makes the host keep all signals back.
    pub(super) fn hold_host(&self) {
        if self.host {
            let all = u64::MAX.to_le_bytes();
            let _ = host::rt_sigprocmask(libc::SIG_SETMASK as u64, Some(&all), None, SIGSET_SIZE);
        }
    }

    /// Undoes [`Signals::hold_host`].
    pub(super) fn release_host(&mut self) {
        self.set_mask(self.mask);
    }

    /// Gives signals back to the host, so that one that comes before the new program is there does to it what it
    /// should, and is not recorded by a process that is no more. False if one has been recorded already.
    pub(super) fn prepare_exec(&mut self) -> bool {
        self.hold_host();
        let clear = self.next_deliverable().is_none();
        if clear && self.host {
            let handled = (1..=64).filter(|&signal| self.action(signal).handler != SIG_IGN);
            handled.for_each(|signal| host::set_disposition(signal, Disposition::Default));
        }
        self.release_host();
        clear
    }

    /// Undoes [`Signals::prepare_exec`].
    pub(super) fn undo_exec(&mut self) {
        (1..=64).for_each(|signal| self.tell_host(signal));
    }

    /// True unless the guest would not notice the signal.
    fn has_effect(&self, signal: u8) -> bool {
        match self.action(signal).handler {
            SIG_IGN => false,
            SIG_DFL => default_of(signal) == DefaultAction::Kill,
            _ => true,
        }
    }

    /// Sends a signal to this thread.
    pub(super) fn raise(&self, signal: u8) {
        if self.host
            && let (Ok(process), Ok(thread)) = (host::getpid(), host::gettid())
        {
            let _ = host::tgkill(process as i32, thread as i32, signal.into());
        }
    }

    /// True if the guest ignores `signal`.
    pub(super) fn ignores(&self, signal: u8) -> bool {
        self.action(signal).handler == SIG_IGN
    }

    /// A forked child has the same actions and mask and nothing pending. The host's signals are held back here.
    pub(super) fn forked(&mut self) {
        if self.host {
            host::forget_pending();
            self.set_mask(self.mask);
        }
    }
}

/// What happens with a signal that has no handler (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DefaultAction {
    Kill,
    Ignore,
    Host,
}

fn default_of(signal: u8) -> DefaultAction {
    match i32::from(signal) {
        libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH => DefaultAction::Ignore,
        libc::SIGCONT | libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => DefaultAction::Host,
        _ => DefaultAction::Kill,
    }
}

/// Why a signal is delivered.
#[derive(Clone, Debug)]
struct Occurrence {
    signal: u8,
    info: [u8; 128],
    fault_address: u64,
}

impl Occurrence {
    /// What probes see of it.
    fn signal(&self) -> Signal {
        let code = u32_at(&self.info, 8) as i32;
        // Only the kernel itself tells an address, which others could make up.
        let addr = if host::is_hardware_fault(i32::from(self.signal)) && code > 0 { u64_at(&self.info, 16) } else { 0 };
        Signal { number: self.signal, code, addr }
    }
}

/// A signal that probes have been told of, and that is delivered next.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    occurrence: Occurrence,
    /// It cannot wait.
    forced: bool,
    /// How the guest goes on unless a handler is entered.
    otherwise: Outcome,
}

impl Kernel {
    /// True if a call that ended with `EINTR` is to be made again: its row allows it and the handler that runs first
    /// has `SA_RESTART`, or no handler runs at all, or the signal came before the host had seen the call. To the guest
    /// that is a signal before its own instruction, for which no call fails: many, such as a `write` of a byte to a
    /// pipe with room, cannot fail so at all. A call that has a signal mask of its own waits for those signals, and
    /// one of a scheduled run may have waited without the host.
    pub(super) fn restarts(&self, row_restarts: bool) -> bool {
        match self.signals.next_deliverable() {
            Some(_) if !host::has_begun() && self.signals.saved_mask.is_none() && schedule::current().is_none() => true,
            Some(signal) => {
                let action = self.signals.action(signal);
                action.handler > SIG_IGN && action.flags & SA_RESTART != 0 && row_restarts
            }
            None => row_restarts && self.signals.host,
        }
    }

    /// Announces the first deliverable signal, which [`Kernel::deliver_announced`] then delivers; handlers of further
    /// ones are entered on top of it. Returns `otherwise` if there is none.
    pub(super) fn deliver_all(&mut self, memory: &GuestMemory, otherwise: Outcome) -> Outcome {
        while let Some(signal) = self.signals.next_deliverable() {
            let mut info = host::take_pending(signal);
            schedule::guest_siginfo(&mut info);
            if signal == SIGBUS && u32_at(&info, 8) as i32 == BUS_ADRERR {
                self.lose_page(memory, u64_at(&info, 16));
            }
            if self.signals.has_effect(signal) {
                return self.announce(Occurrence { signal, info, fault_address: 0 }, false, otherwise, None);
            }
            self.signals.set_mask(self.signals.mask);
        }
        self.signals.restore_mask();
        otherwise
    }

    fn announce(
        &mut self,
        occurrence: Occurrence,
        forced: bool,
        otherwise: Outcome,
        trap: Option<(Cause, TrapEvent)>,
    ) -> Outcome {
        let signal = Some(occurrence.signal());
        self.announced = Some(Announced { occurrence, forced, otherwise });
        Outcome::Raised(Raised { trap, signal })
    }

    /// Delivers what has been announced, if anything, and goes on with what else is deliverable.
    pub(super) fn deliver_announced(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome {
        let Some(Announced { occurrence, forced, mut otherwise }) = self.announced.take() else {
            return self.deliver_all(memory, Outcome::Continue);
        };
        let delivered = match forced {
            true => self.force(cpu, memory, &occurrence),
            false => self.deliver(cpu, memory, &occurrence),
        };
        match delivered {
            Outcome::Redirect => otherwise = Outcome::Redirect,
            over @ (Outcome::End(_) | Outcome::Raised(_)) => return over,
            _ => {}
        }
        self.signals.set_mask(self.signals.mask);
        self.deliver_all(memory, otherwise)
    }

    fn deliver(&mut self, cpu: &mut CpuState, memory: &GuestMemory, occurrence: &Occurrence) -> Outcome {
        let signal = occurrence.signal;
        let action = self.signals.action(signal);
        match action.handler {
            SIG_IGN => Outcome::Continue,
            SIG_DFL if default_of(signal) == DefaultAction::Kill => Outcome::End(Status::Signaled(signal)),
            SIG_DFL => Outcome::Continue,
            _ => self.enter_handler(cpu, memory, occurrence, &action),
        }
    }

    fn enter_handler(
        &mut self,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        occurrence: &Occurrence,
        action: &Action,
    ) -> Outcome {
        let signal = occurrence.signal;
        let sp = self.abi.stack_pointer(cpu);
        let signals = &mut self.signals;
        let [start, _, size] = signals.alternate_stack;
        let switches = action.flags & SA_ONSTACK != 0 && signals.alternate_stack_flags(sp) & !SS_AUTODISARM == 0;
        let frame = SignalFrame {
            signal,
            info: occurrence.info,
            handler: action.handler,
            restorer: if action.flags & SA_RESTORER != 0 { action.restorer } else { signals.trampoline },
            wants_info: action.flags & SA_SIGINFO != 0,
            stack: if switches { start.wrapping_add(size) } else { sp },
            context: FrameContext {
                mask: signals.saved_mask.take().unwrap_or(signals.mask),
                alternate_stack: [start, signals.alternate_stack_flags(sp), size],
            },
            fault_address: occurrence.fault_address,
        };
        if action.flags & SA_RESETHAND != 0 {
            signals.change(signal, |action| action.handler = SIG_DFL);
            signals.tell_host(signal);
        }
        if self.abi.push_frame(cpu, memory, &frame).is_err() {
            return self.no_room_for_frame(signal);
        }
        let signals = &mut self.signals;
        if signals.alternate_stack[1] & SS_AUTODISARM != 0 && switches {
            signals.alternate_stack = [0, SS_DISABLE, 0];
        }
        let own = if action.flags & SA_NODEFER != 0 { 0 } else { bit(signal) };
        signals.set_mask(signals.mask | action.mask | own);
        Outcome::Redirect
    }

    /// The frame could not be pushed: that is a `SIGSEGV`, which may have its own stack.
    fn no_room_for_frame(&mut self, signal: u8) -> Outcome {
        if signal == SIGSEGV {
            return Outcome::End(Status::Signaled(SIGSEGV));
        }
        let info = fault_siginfo(SIGSEGV, 0x80, 0); // SI_KERNEL
        self.announce(Occurrence { signal: SIGSEGV, info, fault_address: 0 }, true, Outcome::Redirect, None)
    }

    /// Delivers a signal that cannot wait: blocked or ignored, it kills.
    fn force(&mut self, cpu: &mut CpuState, memory: &GuestMemory, occurrence: &Occurrence) -> Outcome {
        let signal = occurrence.signal;
        let handler = self.signals.action(signal).handler;
        if handler <= SIG_IGN || self.signals.mask & bit(signal) != 0 {
            return Outcome::End(Status::Signaled(signal));
        }
        self.deliver(cpu, memory, occurrence)
    }

    /// Announces the signal that Linux sends for a trap.
    pub(super) fn deliver_fault(&mut self, cpu: &mut CpuState, memory: &GuestMemory, trap: TrapEvent) -> Outcome {
        let mut cause = trap.cause();
        let (signal, code, addr) = match trap {
            TrapEvent::Fault(fault) if self.is_behind_file(&fault) => {
                if self.find_page(memory, fault.addr) {
                    // The instruction is gone on with, without the probes in front of it.
                    cpu.resume = resume::BODY;
                    return Outcome::Redirect;
                }
                cause = Cause::Bus;
                (SIGBUS, BUS_ADRERR, fault.addr)
            }
            TrapEvent::Fault(fault) => (SIGSEGV, if fault.mapped { SEGV_ACCERR } else { SEGV_MAPERR }, fault.addr),
            TrapEvent::Misaligned(addr) => (SIGBUS, BUS_ADRALN, addr),
            TrapEvent::Illegal(bits) => {
                self.note(format!("instruction {bits:#010x} at {:#x} is not allocated or not implemented", cpu.pc));
                (SIGILL, ILL_ILLOPC, cpu.pc)
            }
            TrapEvent::Breakpoint(_) => (SIGTRAP, TRAP_BRKPT, cpu.pc),
            TrapEvent::Halt(_) => (SIGILL, ILL_ILLOPC, cpu.pc),
        };
        let fault_address = if matches!(trap, TrapEvent::Fault(_) | TrapEvent::Misaligned(_)) { addr } else { 0 };
        let info = fault_siginfo(signal, code, addr);
        self.announce(Occurrence { signal, info, fault_address }, true, Outcome::Redirect, Some((cause, trap)))
    }

    /// The end of a handler: `rt_sigreturn`.
    pub(super) fn signal_return(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome {
        let Ok(context) = self.abi.pop_frame(cpu, memory) else {
            return Outcome::End(Status::Signaled(SIGSEGV));
        };
        let [start, flags, size] = context.alternate_stack;
        if size == 0 || flags & SS_DISABLE != 0 {
            self.signals.alternate_stack = [0, SS_DISABLE, 0];
        } else {
            self.signals.alternate_stack = [start, flags & SS_AUTODISARM, size];
        }
        self.signals.set_mask(context.mask);
        self.deliver_all(memory, Outcome::Redirect)
    }
}

fn checked_signal(signal: u64) -> Result<u8, Errno> {
    if (1..=64).contains(&signal) { Ok(signal as u8) } else { Err(Errno::EINVAL) }
}

fn check_set_size(size: u64) -> Result<(), Errno> {
    if size == SIGSET_SIZE { Ok(()) } else { Err(Errno::EINVAL) }
}

pub(super) fn rt_sigaction(kernel: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [signal, new, old, size, ..] = args;
    check_set_size(size)?;
    let signal = checked_signal(signal & 0xffff_ffff)?;
    let has_restorer = kernel.abi.has_restorer();
    let former = kernel.signals.action(signal);
    let replacement = match (new, has_restorer) {
        (0, _) => None,
        (_, true) => {
            let [handler, flags, restorer, mask] = words(&memory.load::<32>(new)?);
            Some(Action { handler, flags, restorer, mask })
        }
        (_, false) => {
            let [handler, flags, mask] = words(&memory.load::<24>(new)?);
            Some(Action { handler, flags: flags & !SA_RESTORER, restorer: 0, mask })
        }
    };
    if replacement.is_some() && bit(signal) & UNBLOCKABLE != 0 {
        return Err(Errno::EINVAL);
    }
    if old != 0 {
        let Action { handler, flags, restorer, mask } = former;
        let fields: Vec<u64> =
            if has_restorer { vec![handler, flags, restorer, mask] } else { vec![handler, flags, mask] };
        let bytes: Vec<u8> = fields.iter().flat_map(|word| word.to_le_bytes()).collect();
        memory.write(old, &bytes)?;
    }
    if let Some(action) = replacement {
        kernel.signals.change(signal, |entry| *entry = Action { mask: action.mask & !UNBLOCKABLE, ..action });
        kernel.signals.tell_host(signal);
    }
    Ok(0)
}

/// Calls `f` while the host keeps all signals back from this thread, and from threads that `f` starts.
pub(crate) fn without_signals<T>(f: impl FnOnce() -> T) -> T {
    let (set, mut old) = (libc::SIG_SETMASK as u64, [0; 8]);
    let held = host::rt_sigprocmask(set, Some(&u64::MAX.to_le_bytes()), Some(&mut old), SIGSET_SIZE).is_ok();
    let result = f();
    if held {
        let _ = host::rt_sigprocmask(set, Some(&old), None, SIGSET_SIZE);
    }
    result
}

pub(super) fn rt_sigprocmask(kernel: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [how, new, old, size, ..] = args;
    check_set_size(size)?;
    let former = kernel.signals.mask;
    if let Some(set) = read_optional::<8>(memory, new)? {
        let set = u64::from_le_bytes(set);
        let mask = match how as u32 as i32 {
            libc::SIG_BLOCK => former | set,
            libc::SIG_UNBLOCK => former & !set,
            libc::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        kernel.signals.set_mask(mask);
    }
    write_optional(memory, old, &former.to_le_bytes())?;
    Ok(0)
}

pub(super) fn rt_sigreturn(kernel: &mut Kernel, _: &GuestMemory, _: [u64; 6]) -> Result<u64, Errno> {
    kernel.after = Some(After::SignalReturn);
    Ok(0)
}

pub(super) fn rt_sigpending(kernel: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [out, size, ..] = args;
    if size > SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    let mut set = [0; 8];
    host::rt_sigpending(&mut set, SIGSET_SIZE)?;
    let recorded = if kernel.signals.host { host::pending() } else { 0 };
    let all = (u64::from_le_bytes(set) | recorded) & kernel.signals.mask;
    memory.write(out, &all.to_le_bytes()[..size as usize])?;
    Ok(0)
}

pub(super) fn rt_sigsuspend(kernel: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [set, size, ..] = args;
    check_set_size(size)?;
    let mask = u64::from_le_bytes(memory.load(set)?);
    kernel.signals.replace_mask(mask);
    host::pause()
}

pub(super) fn rt_sigtimedwait(kernel: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [set, info_addr, timeout, size, ..] = args;
    check_set_size(size)?;
    let set = memory.load::<8>(set)?;
    let wanted = u64::from_le_bytes(set) & !UNBLOCKABLE;
    let timeout = read_optional::<16>(memory, timeout)?;
    let recorded = if kernel.signals.host { host::pending() & wanted } else { 0 };
    let info = if recorded != 0 {
        let info = host::take_pending(recorded.trailing_zeros() as u8 + 1);
        kernel.signals.set_mask(kernel.signals.mask);
        info
    } else {
        // Signals that the guest waits for and does not block would be recorded instead: the host blocks them now.
        let mask = kernel.signals.mask;
        kernel.signals.set_mask(mask | wanted);
        let mut info = [0; 128];
        let result = host::rt_sigtimedwait(&wanted.to_le_bytes(), &mut info, timeout.as_ref(), SIGSET_SIZE);
        kernel.signals.set_mask(mask);
        result?;
        info
    };
    let mut info = info;
    schedule::guest_siginfo(&mut info);
    write_optional(memory, info_addr, &info)?;
    Ok(u64::from(u32_at(&info, 0)))
}

pub(super) fn rt_sigqueueinfo(_: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [pid, signal, info, ..] = args;
    let info = memory.load(info)?;
    sent(pid as i32, signal, || host::rt_sigqueueinfo(pid as i32, signal, &info))
}

pub(super) fn rt_tgsigqueueinfo(_: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [pid, tid, signal, info, ..] = args;
    let info = memory.load(info)?;
    sent(pid as i32, signal, || host::rt_tgsigqueueinfo(pid as i32, tid as i32, signal, &info))
}

pub(super) fn pidfd_send_signal(_: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [fd, signal, info, flags, ..] = args;
    let info = read_optional::<128>(memory, info)?;
    sent(0, signal, || host::pidfd_send_signal(fd as i32, signal, info.as_ref(), flags))
}

/// The signals that the guest blocks are blocked in the host, so the host's descriptor tells them.
pub(super) fn signalfd4(_: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [fd, mask, size, flags, ..] = args;
    if size != SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    host::signalfd4(fd as i32, &memory.load(mask)?, size, flags)
}

pub(super) fn sigaltstack(kernel: &mut Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result<u64, Errno> {
    let [new, old, ..] = args;
    let [start, _, size] = kernel.signals.alternate_stack;
    let flags = kernel.signals.alternate_stack_flags(kernel.stack_pointer);
    let replacement = read_optional::<24>(memory, new)?.map(|bytes| words::<3>(&bytes));
    if old != 0 {
        let shown = if size == 0 { [0, SS_DISABLE, 0] } else { [start, flags, size] };
        let bytes: Vec<u8> = shown.iter().flat_map(|word| word.to_le_bytes()).collect();
        memory.write(old, &bytes)?;
    }
    if let Some([start, new_flags, size]) = replacement {
        if flags & SS_ONSTACK != 0 {
            return Err(Errno::EPERM);
        }
        let flags = new_flags & 0xffff_ffff;
        kernel.signals.alternate_stack = match flags & !SS_AUTODISARM {
            SS_DISABLE => [0, SS_DISABLE, 0],
            0 | SS_ONSTACK if size < kernel.abi.minimum_signal_stack() => return Err(Errno::ENOMEM),
            0 | SS_ONSTACK => [start, flags & SS_AUTODISARM, size],
            _ => return Err(Errno::EINVAL),
        };
    }
    Ok(0)
}

/// Sends a signal by `send`, and lets a schedule know: to the processes that `target` names, as kill(2) says.
fn sent(target: i32, signal: u64, send: impl FnOnce() -> Result<u64, Errno>) -> Result<u64, Errno> {
    let Some(turn) = schedule::current() else { return send() };
    let killed = if signal == u64::from(SIGKILL) { turn.processes_in(target) } else { Vec::new() };
    let result = send();
    if result.is_ok() {
        turn.note_signal(&killed);
    }
    result
}

pub(super) fn kill(_: &mut Kernel, _: &GuestMemory, [pid, signal, ..]: [u64; 6]) -> Result<u64, Errno> {
    let (pid, signal) = (pid as i32, signal & 0xffff_ffff);
    sent(pid, signal, || host::kill(pid, signal))
}

pub(super) fn tkill(_: &mut Kernel, _: &GuestMemory, [tid, signal, ..]: [u64; 6]) -> Result<u64, Errno> {
    let signal = signal & 0xffff_ffff;
    sent(tid as i32, signal, || host::tkill(tid as i32, signal))
}

pub(super) fn tgkill(_: &mut Kernel, _: &GuestMemory, [pid, tid, signal, ..]: [u64; 6]) -> Result<u64, Errno> {
    let signal = signal & 0xffff_ffff;
    sent(pid as i32, signal, || host::tgkill(pid as i32, tid as i32, signal))
}
