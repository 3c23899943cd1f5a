//! One schedule for all guest threads of a run (`--deterministic`): each of them, in all processes, runs in turn, for a
//! fixed number of instructions or until it waits, and time is the number of instructions executed.
//!
//! What a thread waits for is looked at when it is its turn, never slept for in the host kernel: a call that may block
//! is made so that it does not ([`calls`]), futexes are queues in the shared page ([`futex`]), sleeping and timers are
//! deadlines in virtual time ([`clock`]). Once all threads wait, time jumps to the next deadline; without one, the run
//! waits for the world outside, which is the one thing that no schedule covers.
//!
//! The processes of a run are host processes. They share a [`Page`], which `fork` inherits and `execve` hands on as a
//! descriptor. Only the thread whose turn it is touches it. A process that is killed or stopped in its turn loses it to
//! the others, who look at it now and then while they wait.
//!
//! Numbers of processes and threads are given out in order, beginning with [`FIRST_NUMBER`]; the dispatcher translates
//! arguments that are such numbers, and the handlers what they write to guest memory.

pub(super) mod calls;
pub(super) mod clock;
pub(super) mod futex;
mod page;

use super::errno::Errno;
use super::own::OwnFile;
use super::table::{Arg, Row};
use super::{abi, host};
use crate::gate;
use page::{Health, NUMBERS, Page, SLOTS, Slot};
use std::cell::Cell;
use std::ffi::CString;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

/// Instructions of a turn.
const TURN: u64 = 50_000;
/// The guest's number of the first process.
pub(super) const FIRST_NUMBER: u32 = 1000;
/// What the guest sees for processes outside the run.
const OUTSIDE: u32 = FIRST_NUMBER - 1;
/// A number that no process has.
const NOBODY: i32 = i32::MAX;
/// How long a thread waits for its turn before it looks whether whose turn it is still lives.
const PATIENCE_MILLISECONDS: i64 = 200;

/// What a slot's thread does.
mod state {
    /// There is none.
    pub(super) const FREE: u32 = 0;
    /// It runs, or would if it were its turn.
    pub(super) const READY: u32 = 1;
    /// It waits for something.
    pub(super) const WAITS: u32 = 2;
    /// Its process has been stopped.
    pub(super) const STOPPED: u32 = 3;
    /// It has ended, as the first thread of a process in which others go on.
    pub(super) const LEFT: u32 = 4;
}

static PAGE: OnceLock<&'static Page> = OnceLock::new();
/// The file of the page, for programs that guests execute.
static FILE: OnceLock<OwnFile> = OnceLock::new();

/// The schedule that a guest process runs under.
#[derive(Clone, Copy, Debug)]
pub enum Schedule {
    /// A new one.
    Begin,
    /// The one of the process that this program was executed in: the file of its page, and this thread's slot.
    Resume(OwnFile, usize),
}

impl Schedule {
    /// What a program that this guest thread executes goes on with; none if threads do not take turns.
    pub fn to_hand_on() -> Option<Schedule> {
        Some(Schedule::Resume(*FILE.get()?, current()?.own))
    }

    /// Makes this thread take part.
    ///
    /// # Errors
    /// The host's, if there is no memory for the schedule or what was handed on is none.
    pub(super) fn enter(self) -> std::io::Result<()> {
        match self {
            Schedule::Begin => begin(),
            Schedule::Resume(file, slot) => resume(file, slot),
        }
    }
}

thread_local! {
    /// The slot of the guest thread that runs on this host thread.
    static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
    /// How many of its instructions are in [`Page::clock`], and the count at which its turn ends.
    static COUNTED: Cell<u64> = const { Cell::new(0) };
    static TURN_END: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Why a thread waits, which says when it looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// For a signal, a wake or a time only.
    Quiet,
    /// For what any system call might bring about.
    Effects,
}

/// The schedule, as the guest thread on this host thread sees it.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    page: &'static Page,
    own: usize,
}

/// The schedule, if there is one.
pub(super) fn current() -> Option<Turn> {
    let page = *PAGE.get()?;
    SLOT.get().map(|own| Turn { page, own })
}

fn begin() -> std::io::Result<()> {
    let file = OwnFile::of_new(host::memfd_create(c"schedule", 0)? as i32);
    host::ftruncate(file.number(), page::len() as u64)?;
    let page = page::map(file.number())?;
    let _ = (PAGE.set(page), FILE.set(file));
    let turn = Turn { page, own: 0 };
    page.hosts[index_of(OUTSIDE)].store(host::getppid()? as u32, Relaxed);
    if let Some(own) = turn.add(None) {
        SLOT.set(Some(own));
        turn.enter_host(own);
        page.holder.store(own as u32, Relaxed);
        TURN_END.set(TURN);
    }
    Ok(())
}

fn resume(file: OwnFile, own: usize) -> std::io::Result<()> {
    const AT_EMPTY_PATH: u64 = 0x1000;
    const STATX_SIZE: u64 = 0x200;
    let mut stat = [0; 256];
    host::statx(file.number(), c"", AT_EMPTY_PATH, STATX_SIZE, &mut stat)?;
    if abi::u64_at(&stat, 40) != page::len() as u64 || own >= SLOTS {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let page = page::map(file.number())?;
    let _ = (PAGE.set(page), FILE.set(file));
    SLOT.set(Some(own));
    let turn = Turn { page, own };
    turn.leave_alone();
    turn.begin_turn();
    Ok(())
}

/// Makes this host thread run the thread in `slot` of its process, whose turn it is not yet. Returns its number.
pub(super) fn begin_thread(slot: usize) -> u64 {
    SLOT.set(Some(slot));
    COUNTED.set(0);
    current().map_or(0, |turn| {
        turn.enter_host(slot);
        turn.thread()
    })
}

// ---- numbers of processes and threads in system calls

/// Calls that return such a number.
const RETURN_NUMBERS: [&str; 7] = ["getpid", "getppid", "gettid", "getpgid", "getsid", "setsid", "wait4"];

/// The arguments of a call with the host's numbers in place of the guest's.
pub(super) fn host_arguments(row: &Row, mut args: [u64; 6]) -> [u64; 6] {
    let Some(turn) = current() else { return args };
    // A first argument that says what the number is: users and descriptors are the host's.
    let is_other = match (row.name, args[0] as u32) {
        ("getpriority" | "setpriority", which) => which == libc::PRIO_USER,
        ("waitid", which) => which == libc::P_PIDFD,
        ("ioprio_get" | "ioprio_set", which) => which == 3,
        _ => false,
    };
    if !is_other {
        for ((_, kind), arg) in row.args.iter().zip(&mut args) {
            if *kind == Arg::Pid {
                *arg = turn.to_host(*arg as i32) as u64;
            }
        }
    }
    args
}

/// The result of a call with the guest's number in place of the host's. What others wait for may have come by it.
pub(super) fn guest_result(row: &Row, result: Result<u64, Errno>) -> Result<u64, Errno> {
    let Some(turn) = current() else { return result };
    turn.note_effect();
    result.map(|value| if RETURN_NUMBERS.contains(&row.name) { turn.to_guest(value) } else { value })
}

/// The host's number of a guest thread of this process.
pub(super) fn host_number(thread: i32) -> i32 {
    // Also asked by host threads that run no guest thread.
    PAGE.get().map_or(thread, |&page| Turn { page, own: 0 }.to_host(thread))
}

/// A path below `/proc` with the host's number of a process in place of the guest's.
pub(super) fn host_path(path: CString) -> CString {
    let Some(turn) = current() else { return path };
    let below = path.to_bytes().strip_prefix(b"/proc/").unwrap_or_default();
    let digits = below.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = below.split_at(digits);
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    match number {
        Some(number) if matches!(rest, [] | [b'/', ..]) => {
            let path = [format!("/proc/{}", turn.to_host(number)).as_bytes(), rest].concat();
            CString::new(path).unwrap_or_default()
        }
        _ => path,
    }
}

/// Puts the guest's number in place of the host's in a `siginfo_t`, if it has one that the host has put there.
pub(super) fn guest_siginfo(info: &mut [u8; 128]) {
    let Some(turn) = current() else { return };
    let (signal, code) = (abi::u32_at(info, 0) as i32, abi::u32_at(info, 8) as i32);
    // Of what was queued, the sender is what the guest said.
    if matches!(code, libc::SI_USER | libc::SI_TKILL) || (signal == libc::SIGCHLD && code > 0) {
        let number = turn.to_guest(u64::from(abi::u32_at(info, 12)));
        info[12..16].copy_from_slice(&(number as u32).to_le_bytes());
    }
}

fn index_of(number: u32) -> usize {
    number as usize % NUMBERS
}

impl Turn {
    fn slot(&self) -> &'static Slot {
        &self.page.slots[self.own]
    }

    fn slots(&self) -> &'static [Slot] {
        &self.page.slots[..self.page.used.load(Relaxed) as usize]
    }

    // ---- threads and their numbers

    /// The guest's number of this thread.
    pub(super) fn thread(&self) -> u64 {
        u64::from(self.slot().thread.load(Relaxed))
    }

    /// The guest's number of this process.
    pub(super) fn process(&self) -> u64 {
        u64::from(self.slot().process.load(Relaxed))
    }

    /// Adds a thread to process `process`, or a process. Returns its slot, or none if there are too many.
    fn add(&self, process: Option<u32>) -> Option<usize> {
        let free = |slot: &Slot| slot.state.load(Relaxed) == state::FREE;
        let at = self.page.slots.iter().position(free)?;
        let slot = &self.page.slots[at];
        let number = FIRST_NUMBER + self.page.numbered.fetch_add(1, Relaxed);
        slot.thread.store(number, Relaxed);
        slot.process.store(process.unwrap_or(number), Relaxed);
        slot.look.store(0, Relaxed);
        slot.bits.store(0, Relaxed);
        slot.timer.store(0, Relaxed);
        slot.interval_timers.iter().flatten().for_each(|word| word.store(0, Relaxed));
        let _ = slot.take_turn();
        slot.state.store(state::READY, Relaxed);
        self.page.used.fetch_max(at as u32 + 1, Relaxed);
        Some(at)
    }

    /// Adds a thread to this process. Returns its slot, or none if there are too many.
    pub(super) fn add_thread(&self) -> Option<usize> {
        self.add(Some(self.process() as u32))
    }

    /// Adds a process. Returns its slot, or none if there are too many.
    pub(super) fn add_process(&self) -> Option<usize> {
        self.add(None)
    }

    /// Takes back what `add_thread` or `add_process` did.
    pub(super) fn remove(&self, slot: usize) {
        self.page.slots[slot].state.store(state::FREE, Relaxed);
    }

    /// Tells the host's numbers of a new thread of this process, from its own host thread.
    fn enter_host(&self, slot: usize) {
        let slot = &self.page.slots[slot];
        slot.host_process.store(host::getpid().unwrap_or(0) as u32, Relaxed);
        let thread = host::gettid().unwrap_or(0) as u32;
        self.page.hosts[index_of(slot.thread.load(Relaxed))].store(thread, Relaxed);
    }

    /// Tells the host's number of a new process; called by its parent, before anybody asks for it.
    pub(super) fn enter_process(&self, slot: usize, host_process: u64) {
        let slot = &self.page.slots[slot];
        slot.host_process.store(host_process as u32, Relaxed);
        self.page.hosts[index_of(slot.thread.load(Relaxed))].store(host_process as u32, Relaxed);
    }

    /// The guest's number in a slot.
    pub(super) fn number_of(&self, slot: usize) -> u64 {
        u64::from(self.page.slots[slot].thread.load(Relaxed))
    }

    /// The guest's number for a process, group or thread of the host.
    pub(super) fn to_guest(self, host: u64) -> u64 {
        let numbered = self.page.numbered.load(Relaxed);
        let newest = FIRST_NUMBER + numbered;
        let oldest = newest.saturating_sub(NUMBERS as u32 - 1).max(FIRST_NUMBER);
        let known = |number: &u32| u64::from(self.page.hosts[index_of(*number)].load(Relaxed)) == host;
        if host == 0 { 0 } else { u64::from((oldest..newest).rev().find(known).unwrap_or(OUTSIDE)) }
    }

    /// The host's number for what the guest calls `number`, which may be negative for a group.
    pub(super) fn to_host(self, number: i32) -> i32 {
        match number {
            i32::MIN | -1 | 0 => number,
            ..0 => -self.to_host(-number),
            _ => {
                let newest = FIRST_NUMBER + self.page.numbered.load(Relaxed);
                let known = (OUTSIDE..newest).contains(&(number as u32));
                match self.page.hosts[index_of(number as u32)].load(Relaxed) {
                    host if known && host != 0 => host as i32,
                    _ => NOBODY,
                }
            }
        }
    }

    // ---- time

    /// Counts the instructions of this thread up to `icount`.
    pub(super) fn count(&self, icount: u64) {
        let executed = icount.saturating_sub(COUNTED.replace(icount));
        self.page.clock.fetch_add(executed, Relaxed);
        self.page.executed.fetch_add(executed, Relaxed);
    }

    /// Virtual time in nanoseconds since the start of the run.
    pub(super) fn now(&self) -> u64 {
        self.page.clock.load(Relaxed)
    }

    /// Virtual time at this thread's instruction `icount`.
    pub(super) fn time_at(&self, icount: u64) -> u64 {
        self.now() + icount.saturating_sub(COUNTED.get())
    }

    /// Instructions that all threads have executed.
    pub(super) fn executed(&self) -> u64 {
        self.page.executed.load(Relaxed)
    }

    /// The instruction count at which this thread's turn ends.
    pub(super) fn end(&self) -> u64 {
        TURN_END.get()
    }

    // ---- taking turns

    /// Notes a system call: what others wait for may have come.
    pub(super) fn note_effect(&self) {
        self.page.effects.fetch_add(1, Relaxed);
    }

    /// The other processes of the run, by the host's numbers, that a signal sent to `target` reaches: see kill(2).
    pub(super) fn processes_in(self, target: i32) -> Vec<i32> {
        let own = host::getpid().unwrap_or(0);
        let group = match target {
            0 => host::getpgid(0).ok(),
            ..0 => Some(u64::from(target.unsigned_abs())),
            _ => None,
        };
        let live = self.slots().iter().filter(|slot| slot.state.load(Relaxed) != state::FREE);
        let mut processes: Vec<i32> = live.map(|slot| slot.host_process.load(Relaxed) as i32).collect();
        processes.sort_unstable();
        processes.dedup();
        processes.retain(|&process| {
            let reached =
                process == target || target == -1 || (group.is_some() && host::getpgid(process).ok() == group);
            process as u64 != own && process != 0 && reached
        });
        processes
    }

    /// Notes that a signal has been sent: everybody looks whether it is for them. It kills the processes in `killed`,
    /// whose ends are awaited.
    pub(super) fn note_signal(&self, killed: &[i32]) {
        for &process in killed {
            gate::outside(|| page::await_end(process as u32));
            self.free(process as u32);
        }
        self.make_all_look();
        // Whoever was stopped by it, and continued, may have lost its turn meanwhile.
        if self.page.holder.load(Relaxed) as usize != self.own {
            self.slot().state.store(state::READY, Relaxed);
            self.await_turn();
        }
    }

    /// Gives the turn to the next thread that has something to do, and returns when it is this one's again.
    pub(super) fn pass(&self) {
        self.slot().state.store(state::READY, Relaxed);
        self.hand_on();
    }

    /// Waits until `ready` gives something, looking whenever `wait` says so. None if `deadline`, in virtual
    /// nanoseconds, comes first.
    ///
    /// # Errors
    /// `EINTR` if a signal comes first.
    pub(super) fn wait<T>(
        &self,
        wait: Wait,
        deadline: u64,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>, Errno> {
        loop {
            if host::is_interrupted() {
                return Err(Errno::EINTR);
            }
            let seen = self.page.effects.load(Relaxed);
            if let Some(result) = ready() {
                return Ok(Some(result));
            }
            if self.now() >= deadline {
                return Ok(None);
            }
            self.sit_out(if wait == Wait::Effects { seen } else { u64::MAX }, deadline);
        }
    }

    /// Waits until `ready` gives something that any system call might bring about. None if the run ends first.
    pub(super) fn wait_through_signals<T>(&self, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
        while !host::is_stopping() {
            let seen = self.page.effects.load(Relaxed);
            let result = ready();
            if result.is_some() {
                return result;
            }
            self.sit_out(seen, u64::MAX);
        }
        None
    }

    fn sit_out(&self, seen: u64, deadline: u64) {
        let slot = self.slot();
        slot.deadline.store(deadline, Relaxed);
        slot.seen.store(seen, Relaxed);
        slot.state.store(state::WAITS, Relaxed);
        self.hand_on();
    }

    fn hand_on(&self) {
        let next = self.choose(self.own);
        if next != self.own {
            self.page.holder.store(next as u32, Relaxed);
            self.page.slots[next].wake();
            self.await_turn();
        } else {
            self.begin_turn();
        }
    }

    /// Waits until it is this thread's turn, or the run ends.
    pub(super) fn await_turn(&self) {
        let slot = self.slot();
        while !slot.take_turn() && !host::is_stopping() {
            if host::is_interrupted() {
                slot.look.store(1, Relaxed);
            }
            gate::outside(|| slot.sleep(PATIENCE_MILLISECONDS));
            if slot.state.load(Relaxed) == state::STOPPED {
                slot.state.store(state::READY, Relaxed);
            }
            self.rescue();
        }
        // A signal that was sent in another one's turn is recorded at the latest when this call returns.
        let _ = host::gettid();
        let dying = self.page.dying.swap(0, Relaxed);
        if dying != 0 {
            gate::outside(|| page::await_end(dying));
        }
        self.begin_turn();
    }

    fn begin_turn(&self) {
        self.slot().state.store(state::READY, Relaxed);
        self.slot().look.store(0, Relaxed);
        TURN_END.set(COUNTED.get() + TURN);
        clock::expire(self);
        self.shorten();
    }

    /// Lets this turn end no later than the next timer of the process expires.
    fn shorten(&self) {
        let left = clock::next_expiry(self).saturating_sub(self.now()).max(1);
        TURN_END.set(TURN_END.get().min(COUNTED.get().saturating_add(left)));
    }

    /// The slot behind `from`, in a circle, whose thread has something to do. While nobody has, time passes.
    fn choose(&self, from: usize) -> usize {
        let mut pause = 50;
        loop {
            let used = self.slots().len();
            if let Some(next) = (1..=used).map(|step| (from + step) % used).find(|&next| self.is_due(next)) {
                return next;
            }
            if self.jump() {
                continue;
            }
            // Everybody waits for the world outside.
            gate::outside(|| page::pause(pause));
            pause = (pause * 2).min(5000);
            self.note_effect();
            if host::is_interrupted() {
                self.slot().look.store(1, Relaxed);
            }
        }
    }

    fn is_due(&self, at: usize) -> bool {
        let slot = &self.page.slots[at];
        match slot.state.load(Relaxed) {
            state::READY => true,
            state::WAITS => {
                let seen = slot.seen.load(Relaxed);
                slot.look.load(Relaxed) != 0
                    || slot.deadline.load(Relaxed) <= self.now()
                    || (seen != u64::MAX && seen != self.page.effects.load(Relaxed))
            }
            _ => false,
        }
    }

    /// Lets time pass up to the next deadline. False if there is none.
    fn jump(&self) -> bool {
        let waits = |slot: &&Slot| slot.state.load(Relaxed) == state::WAITS;
        let deadlines = self.slots().iter().filter(waits).map(|slot| slot.deadline.load(Relaxed));
        let timer_of = |slot: &Slot| match (slot.state.load(Relaxed), slot.timer.load(Relaxed)) {
            (state::FREE, _) | (_, 0) => u64::MAX,
            (_, time) => time,
        };
        let next = deadlines.chain(self.slots().iter().map(timer_of)).min().unwrap_or(u64::MAX);
        if next == u64::MAX {
            return false;
        }
        self.page.clock.fetch_max(next, Relaxed);
        // Any thread of a process can see to its timers.
        for leader in self.slots().iter().filter(|slot| timer_of(slot) <= next) {
            let process = leader.process.load(Relaxed);
            let own = self.slots().iter().filter(|slot| slot.process.load(Relaxed) == process);
            own.for_each(|slot| slot.look.store(1, Relaxed));
        }
        true
    }

    /// Takes the turn from a process that cannot use it, and gives it to the next.
    fn rescue(&self) {
        let holder = self.page.holder.load(Relaxed);
        let Some(slot) = self.page.slots.get(holder as usize).filter(|_| holder as usize != self.own) else { return };
        let process = slot.host_process.load(Relaxed);
        let health = page::health(process);
        if process == 0 || health == Health::Runs {
            return;
        }
        // Several may find this; one of them acts.
        if self.page.holder.compare_exchange(holder, u32::MAX, Relaxed, Relaxed).is_err() {
            return;
        }
        let _ = slot.take_turn();
        if health == Health::Dead {
            self.free(process);
        } else {
            let its = |other: &&Slot| other.host_process.load(Relaxed) == process;
            let stops = |other: &Slot| matches!(other.state.load(Relaxed), state::READY | state::WAITS);
            let own = self.slots().iter().filter(its).filter(|other| stops(other));
            own.for_each(|other| other.state.store(state::STOPPED, Relaxed));
        }
        let next = self.choose(holder as usize);
        self.page.holder.store(next as u32, Relaxed);
        self.page.slots[next].wake();
    }

    fn free(&self, host_process: u32) {
        let its = |slot: &&Slot| slot.host_process.load(Relaxed) == host_process;
        self.slots().iter().filter(its).for_each(|slot| slot.state.store(state::FREE, Relaxed));
        self.note_effect();
    }

    // ---- beginnings and ends

    /// In a forked child: this thread is now the one in `slot`. It is not its turn yet.
    pub(super) fn begin_process(&self, slot: usize) {
        SLOT.set(Some(slot));
        clock::forget();
    }

    /// The end of this thread, which others of its process outlive.
    pub(super) fn leave(&self) {
        let slot = self.slot();
        let leads = slot.thread.load(Relaxed) == slot.process.load(Relaxed);
        slot.state.store(if leads { state::LEFT } else { state::FREE }, Relaxed);
        self.give_away();
        SLOT.set(None);
    }

    /// The other threads of this process are over: it executes another program.
    pub(super) fn leave_alone(&self) {
        let process = self.process() as u32;
        let others = self.slots().iter().filter(|slot| !std::ptr::eq(*slot, self.slot()));
        let others = others.filter(|slot| slot.process.load(Relaxed) == process);
        others.for_each(|slot| slot.state.store(state::FREE, Relaxed));
    }

    /// The end of this process, which follows at once: others go on when it is over.
    pub(super) fn leave_process(&self) {
        let process = host::getpid().unwrap_or(0) as u32;
        self.free(process);
        // A parent may get a signal of it.
        self.make_all_look();
        self.page.dying.store(process, Relaxed);
        self.give_away();
        SLOT.set(None);
    }

    fn make_all_look(&self) {
        self.slots().iter().for_each(|slot| slot.look.store(1, Relaxed));
    }

    /// Lets others go on while this process becomes a program of the host, which takes no turns.
    pub(super) fn step_aside(&self) {
        self.slot().state.store(state::LEFT, Relaxed);
        self.give_away();
    }

    /// Undoes [`Self::step_aside`].
    pub(super) fn step_back(&self) {
        self.slot().state.store(state::READY, Relaxed);
        self.await_turn();
    }

    /// Gives the turn to the next thread for good, if there is one.
    fn give_away(&self) {
        let runs = |slot: &Slot| matches!(slot.state.load(Relaxed), state::READY | state::WAITS);
        if self.slots().iter().any(runs) {
            let next = self.choose(self.own);
            self.page.holder.store(next as u32, Relaxed);
            self.page.slots[next].wake();
        }
    }
}
