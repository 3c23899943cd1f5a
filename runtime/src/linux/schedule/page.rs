//! The memory that all processes of a run share for their schedule. Unsafe code lives here: mapping it, and sleeping on
//! its words. It knows nothing of why a thread waits.
#![allow(unsafe_code, reason = "shared memory and futexes")]

use super::super::errno::Errno;
use super::super::host;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Most guest threads of all processes at a time.
pub(super) const SLOTS: usize = 1024;
/// Numbers of processes and threads that are remembered; older ones are forgotten.
pub(super) const NUMBERS: usize = 1 << 15;

/// What the threads of a run share. Only the thread whose turn it is changes it, but for [`Slot::look`] and
/// [`Slot::turn`]; all-zero bytes are its first state.
#[repr(C)]
pub(super) struct Page {
    /// Virtual time since the start of the run, in nanoseconds.
    pub(super) clock: AtomicU64,
    /// Instructions that all threads have executed.
    pub(super) executed: AtomicU64,
    /// System calls that all threads have made: each may have made ready what another one waits for.
    pub(super) effects: AtomicU64,
    /// Waits for futexes so far: who came first is woken first.
    pub(super) arrivals: AtomicU64,
    /// Number of slots that have ever been used.
    pub(super) used: AtomicU32,
    /// Numbers given out so far.
    pub(super) numbered: AtomicU32,
    /// The slot whose turn it is.
    pub(super) holder: AtomicU32,
    /// A process, by its host number, whose end is to be awaited before anything else happens; or 0.
    pub(super) dying: AtomicU32,
    /// Host numbers by guest numbers.
    pub(super) hosts: [AtomicU32; NUMBERS],
    pub(super) slots: [Slot; SLOTS],
}

/// A guest thread.
#[repr(C)]
pub(super) struct Slot {
    /// One of [`super::state`].
    pub(super) state: AtomicU32,
    /// 1 once it is this thread's turn, until it has noticed. It sleeps on this word.
    turn: AtomicU32,
    /// Not 0 if the thread must look at its signals, and whatever else it waits for.
    pub(super) look: AtomicU32,
    /// The guest's numbers for the thread and its process.
    pub(super) thread: AtomicU32,
    pub(super) process: AtomicU32,
    /// The host's number of the process.
    pub(super) host_process: AtomicU32,
    /// Virtual time at which a wait ends at the latest.
    pub(super) deadline: AtomicU64,
    /// What [`Page::effects`] was when a thread that looks after each of them looked last; `u64::MAX` for others.
    pub(super) seen: AtomicU64,
    /// The futex that is waited for, as two words, with the bits of the wait; `bits` is 0 if none is.
    pub(super) futex: [AtomicU64; 2],
    pub(super) bits: AtomicU32,
    /// Which wait this is: see [`Page::arrivals`].
    pub(super) arrival: AtomicU64,
    /// In the slot of a process's first thread: the next time at which one of its timers expires, or 0.
    pub(super) timer: AtomicU64,
    /// There, the interval timers: when each expires next, 0 for never, and after how long again.
    pub(super) interval_timers: [[AtomicU64; 2]; 3],
}

/// Maps the file of a page, which is [`len`] bytes long, for good.
pub(super) fn map(fd: i32) -> std::io::Result<&'static Page> {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len(), prot, flags, fd, 0) };
    if at == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the mapping is as long as the page, aligned, never unmapped, and all of its bytes are atomics, for which
    // every value is valid; who maps a shorter file dies of it, as its parent gave it the file.
    Ok(unsafe { &*at.cast::<Page>() })
}

/// Length of a page in bytes.
pub(super) fn len() -> usize {
    size_of::<Page>()
}

impl Slot {
    /// Makes it this thread's turn.
    pub(super) fn wake(&self) {
        self.turn.store(1, Ordering::SeqCst);
        // SAFETY: the word lives for ever; the call only wakes.
        unsafe { libc::syscall(libc::SYS_futex, &raw const self.turn, libc::FUTEX_WAKE, 1) };
    }

    /// True if it has become this thread's turn; noticed by that.
    pub(super) fn take_turn(&self) -> bool {
        self.turn.compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Sleeps until it is this thread's turn, a signal comes or some time has passed.
    pub(super) fn sleep(&self, milliseconds: i64) {
        let time = libc::timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        // SAFETY: the word lives for ever, the time for the call.
        unsafe { libc::syscall(libc::SYS_futex, &raw const self.turn, libc::FUTEX_WAIT, 0, &raw const time) };
    }
}

/// Sleeps for so long, or until a signal comes.
pub(super) fn pause(microseconds: i64) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: microseconds * 1000 };
    // SAFETY: the time lives for the call.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

/// What the host says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Runs,
    Stopped,
    /// It has ended; a zombie has.
    Dead,
}

/// Looks how a process is.
pub(super) fn health(process: u32) -> Health {
    let stat = std::fs::read(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may contain anything but ends with the last parenthesis.
    let state = stat.iter().rposition(|&byte| byte == b')').and_then(|at| stat.get(at + 2));
    match state {
        None | Some(b'Z' | b'X') => Health::Dead,
        Some(b'T' | b't') => Health::Stopped,
        _ => Health::Runs,
    }
}

/// Waits until a process has ended.
pub(super) fn await_end(process: u32) {
    let Ok(fd) = host::pidfd_open(process as i32, 0) else { return };
    let mut entry = [0; 8];
    entry[..4].copy_from_slice(&(fd as i32).to_le_bytes());
    entry[4] = libc::POLLIN as u8;
    while host::ppoll_through_signals(host::PollFds(&mut entry), None, 0, 8) == Err(Errno::EINTR) {}
    let _ = host::close(fd as i32);
}
