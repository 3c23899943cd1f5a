//! Virtual time of a scheduled run: an instruction takes a nanosecond. What clocks show, when waits end, and timers.
//!
//! Interval timers are in the shared page, as they outlive `execve`; others are this process's. A timer expires at the
//! beginning of a turn: a turn ends where the process's next timer expires. Sources: clock_gettime(2), setitimer(2),
//! timer_create(2), timerfd_create(2).

use super::super::abi::{Encoder, u32_at, u64_at};
use super::super::errno::Errno;
use super::super::host;
use super::page::Slot;
use super::{Turn, Wait};
use crate::env::COUNTED_DATE;
use crate::machine::lock;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

type Result<T = u64> = std::result::Result<T, Errno>;

const SECOND: u64 = 1_000_000_000;
/// `TIMER_ABSTIME`.
const ABSOLUTE: u64 = 1;
/// What a clock is said to resolve.
const RESOLUTION: u64 = 1;

/// What a clock shows, in nanoseconds.
///
/// # Errors
/// `EINVAL` for a clock that Linux has not.
pub(in super::super) fn read(turn: &Turn, clock: u64) -> Result {
    match clock as u32 as i32 {
        // CLOCK_REALTIME, _REALTIME_COARSE, _REALTIME_ALARM, _TAI
        0 | 5 | 8 | 11 => Ok(COUNTED_DATE * SECOND + turn.now()),
        // CLOCK_MONOTONIC, _MONOTONIC_RAW, _MONOTONIC_COARSE, _BOOTTIME, _BOOTTIME_ALARM
        1 | 4 | 6 | 7 | 9 => Ok(turn.now()),
        // CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, and those of other processes and threads
        2 | 3 | ..0 => Ok(turn.executed()),
        _ => Err(Errno::EINVAL),
    }
}

/// A `struct timespec` of nanoseconds.
pub(in super::super) fn timespec(time: u64) -> [u8; 16] {
    Encoder::default().u64(time / SECOND).u64(time % SECOND).finish()
}

/// A `struct timeval` of nanoseconds.
pub(in super::super) fn timeval(time: u64) -> [u8; 16] {
    Encoder::default().u64(time / SECOND).u64(time % SECOND / 1000).finish()
}

fn from_timespec(time: &[u8]) -> Result {
    let (seconds, nanoseconds) = (u64_at(time, 0), u64_at(time, 8));
    if seconds as i64 >= 0 && nanoseconds < SECOND {
        Ok(seconds.saturating_mul(SECOND).saturating_add(nanoseconds))
    } else {
        Err(Errno::EINVAL)
    }
}

fn from_timeval(time: &[u8]) -> Result {
    let (seconds, microseconds) = (u64_at(time, 0), u64_at(time, 8));
    if seconds as i64 >= 0 && microseconds < 1_000_000 {
        Ok(seconds.saturating_mul(SECOND).saturating_add(microseconds * 1000))
    } else {
        Err(Errno::EINVAL)
    }
}

/// When a wait for so long ends, or until a clock (its number) shows that.
///
/// # Errors
/// `EINVAL` for times and clocks that are none.
pub(in super::super) fn deadline(turn: &Turn, time: &[u8], absolute: Option<u64>) -> Result {
    let time = from_timespec(time)?;
    Ok(match absolute {
        None => turn.now().saturating_add(time),
        Some(clock) => turn.now().saturating_add(time.saturating_sub(read(turn, clock)?)),
    })
}

/// `clock_nanosleep`; what is left goes to `left` if a signal comes first.
///
/// # Errors
/// As the call.
pub(in super::super) fn sleep(turn: &Turn, clock: u64, flags: u64, time: &[u8; 16], left: &mut [u8; 16]) -> Result {
    read(turn, clock)?;
    let deadline = deadline(turn, time, (flags & ABSOLUTE != 0).then_some(clock))?;
    let result = turn.wait(Wait::Quiet, deadline, || None::<u64>);
    *left = timespec(deadline.saturating_sub(turn.now()));
    Ok(result?.unwrap_or(0))
}

/// `clock_getres`.
///
/// # Errors
/// As the call.
pub(in super::super) fn resolution(turn: &Turn, clock: u64) -> Result<[u8; 16]> {
    read(turn, clock)?;
    Ok(timespec(RESOLUTION))
}

// ---- timers

/// A timer of this process: one of timer_create(2), or the file of timerfd_create(2).
struct Timer {
    kind: Kind,
    clock: u64,
    /// When it expires next in virtual time, 0 for never, and after how long again.
    next: u64,
    interval: u64,
    /// How often it expired before its signal was taken.
    overrun: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Number, signal (0 for none), thread by the guest's number (0 for the process), value that comes with it.
    Posix { id: u64, signal: u64, thread: u32, value: u64 },
    /// The descriptor that the guest knows it by: an `eventfd` in truth.
    File { fd: i32 },
}

static TIMERS: Mutex<Vec<Timer>> = Mutex::new(Vec::new());

/// A forked child has none.
pub(super) fn forget() {
    lock(&TIMERS).clear();
}

/// Signals of the three interval timers.
const INTERVAL_SIGNALS: [i32; 3] = [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF];

/// Takes a time of a timer on: whether it has expired by `now`, how often, and when it does next.
fn advance(now: u64, next: u64, interval: u64) -> (u64, u64) {
    if next == 0 || next > now {
        return (0, next);
    }
    if interval == 0 {
        return (1, 0);
    }
    let times = (now - next) / interval + 1;
    (times, next.saturating_add(times.saturating_mul(interval)))
}

fn leader(turn: &Turn) -> Option<&'static Slot> {
    let process = turn.process() as u32;
    turn.slots()
        .iter()
        .find(|slot| slot.thread.load(Relaxed) == process && slot.state.load(Relaxed) != super::state::FREE)
}

/// Raises what the expired timers of this process raise.
pub(super) fn expire(turn: &Turn) {
    let Some(leader) = leader(turn) else { return };
    let now = turn.now();
    let due = leader.timer.load(Relaxed);
    if due == 0 || due > now {
        return;
    }
    let own = host::getpid().unwrap_or(0);
    for (timer, signal) in leader.interval_timers.iter().zip(INTERVAL_SIGNALS) {
        let (times, next) = advance(now, timer[0].load(Relaxed), timer[1].load(Relaxed));
        timer[0].store(next, Relaxed);
        if times > 0 {
            let _ = host::kill(own as i32, signal as u64);
        }
    }
    for timer in lock(&TIMERS).iter_mut() {
        let (times, next) = advance(now, timer.next, timer.interval);
        timer.next = next;
        if times > 0 {
            raise(turn, timer, times);
        }
    }
    turn.make_all_look();
    note_next(turn);
}

fn raise(turn: &Turn, timer: &mut Timer, times: u64) {
    timer.overrun = times - 1;
    match timer.kind {
        Kind::Posix { signal: 0, .. } => {}
        Kind::Posix { id, signal, thread, value } => {
            // `siginfo_t` of a timer: number, overruns, value.
            let info = Encoder::default().u32(signal as u32).u32(0).u32(libc::SI_TIMER as u32).u32(0);
            let info = info.u32(id as u32).u32(timer.overrun as u32).u64(value).pad_to(128).finish();
            let own = host::getpid().unwrap_or(0) as i32;
            let _ = match thread {
                0 => host::rt_sigqueueinfo(own, signal, &info),
                thread => host::rt_tgsigqueueinfo(own, turn.to_host(thread as i32), signal, &info),
            };
        }
        Kind::File { fd } => {
            // The guest may have closed it, and the number may be another file's.
            if host::fd_path(fd) == "anon_inode:[eventfd]" {
                let _ = host::with_fd(fd, |file| Ok(rustix::io::write(file, &times.to_ne_bytes())?));
            } else {
                (timer.next, timer.interval) = (0, 0);
            }
        }
    }
}

/// When the next timer of this process expires; `u64::MAX` if none does.
pub(super) fn next_expiry(turn: &Turn) -> u64 {
    match leader(turn).map_or(0, |leader| leader.timer.load(Relaxed)) {
        0 => u64::MAX,
        next => next,
    }
}

fn note_next(turn: &Turn) {
    let Some(leader) = leader(turn) else { return };
    let intervals = leader.interval_timers.iter().map(|timer| timer[0].load(Relaxed));
    let others: Vec<u64> = lock(&TIMERS).iter().map(|timer| timer.next).collect();
    leader.timer.store(intervals.chain(others).filter(|&next| next != 0).min().unwrap_or(0), Relaxed);
    turn.shorten();
}

/// `getitimer`.
///
/// # Errors
/// As the call.
pub(in super::super) fn interval_timer(turn: &Turn, which: u64) -> Result<[u8; 32]> {
    let timer = leader(turn).and_then(|leader| leader.interval_timers.get(which as usize)).ok_or(Errno::EINVAL)?;
    let [next, interval] = [0, 1].map(|at| timer[at].load(Relaxed));
    let left = if next == 0 { 0 } else { next.saturating_sub(turn.now()).max(1000) };
    Ok(Encoder::default().bytes(&timeval(interval)).bytes(&timeval(left)).finish())
}

/// `setitimer`; returns what it was set to.
///
/// # Errors
/// As the call.
pub(in super::super) fn set_interval_timer(turn: &Turn, which: u64, new: Option<&[u8; 32]>) -> Result<[u8; 32]> {
    let former = interval_timer(turn, which)?;
    let [interval, first] = match new {
        Some(new) => [from_timeval(&new[..16])?, from_timeval(&new[16..])?],
        None => [0, 0],
    };
    if let Some(leader) = leader(turn) {
        let timer = &leader.interval_timers[which as usize];
        timer[0].store(if first == 0 { 0 } else { turn.now().saturating_add(first) }, Relaxed);
        timer[1].store(interval, Relaxed);
    }
    note_next(turn);
    Ok(former)
}

/// `timer_create`; returns the timer's number.
///
/// # Errors
/// As the call.
pub(in super::super) fn create(turn: &Turn, clock: u64, event: Option<&[u8; 64]>) -> Result {
    const SIGEV_NONE: u32 = 1;
    const SIGEV_THREAD_ID: u32 = 4;
    read(turn, clock)?;
    let mut timers = lock(&TIMERS);
    let used = |timer: &Timer| match timer.kind {
        Kind::Posix { id, .. } => id + 1,
        Kind::File { .. } => 0,
    };
    let id = timers.iter().map(used).max().unwrap_or(0);
    let (mut signal, mut thread, mut value) = (libc::SIGALRM as u64, 0, id);
    if let Some(event) = event {
        value = u64_at(event, 0);
        signal = u64::from(u32_at(event, 8));
        match u32_at(event, 12) {
            SIGEV_NONE => signal = 0,
            SIGEV_THREAD_ID => thread = u32_at(event, 16),
            0 => {}
            _ => return Err(Errno::EINVAL),
        }
        if u32_at(event, 12) != SIGEV_NONE && !(1..=64).contains(&signal) {
            return Err(Errno::EINVAL);
        }
    }
    timers.push(Timer { kind: Kind::Posix { id, signal, thread, value }, clock, next: 0, interval: 0, overrun: 0 });
    Ok(id)
}

/// How a caller names a timer.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Name {
    /// By the number that `timer_create` gave.
    Posix(u64),
    /// By its descriptor.
    File(u64),
}

fn with_timer<T>(name: Name, f: impl FnOnce(&mut Timer) -> Result<T>) -> Result<T> {
    let is_it = |timer: &&mut Timer| match (name, timer.kind) {
        (Name::Posix(wanted), Kind::Posix { id, .. }) => id == wanted & 0xffff_ffff,
        (Name::File(wanted), Kind::File { fd }) => fd == wanted as i32,
        _ => false,
    };
    f(lock(&TIMERS).iter_mut().find(is_it).ok_or(Errno::EINVAL)?)
}

fn shown(now: u64, timer: &Timer) -> [u8; 32] {
    let left = if timer.next == 0 { 0 } else { timer.next.saturating_sub(now).max(1) };
    Encoder::default().bytes(&timespec(timer.interval)).bytes(&timespec(left)).finish()
}

/// `timer_gettime` and `timerfd_gettime`.
///
/// # Errors
/// As the calls.
pub(in super::super) fn timer(turn: &Turn, name: Name) -> Result<[u8; 32]> {
    with_timer(name, |timer| Ok(shown(turn.now(), timer)))
}

/// `timer_settime` and `timerfd_settime`; returns what it was set to.
///
/// # Errors
/// As the calls.
pub(in super::super) fn set(turn: &Turn, name: Name, flags: u64, new: &[u8; 32]) -> Result<[u8; 32]> {
    let former = with_timer(name, |timer| {
        let former = shown(turn.now(), timer);
        let first = from_timespec(&new[16..])?;
        let absolute = (flags & ABSOLUTE != 0).then_some(timer.clock);
        timer.next = if first == 0 { 0 } else { deadline(turn, &new[16..], absolute)?.max(1) };
        timer.interval = from_timespec(&new[..16])?;
        Ok(former)
    })?;
    note_next(turn);
    Ok(former)
}

/// `timer_getoverrun`.
///
/// # Errors
/// As the call.
pub(in super::super) fn overrun(id: u64) -> Result {
    with_timer(Name::Posix(id), |timer| Ok(timer.overrun))
}

/// `timer_delete`.
///
/// # Errors
/// As the call.
pub(in super::super) fn delete(turn: &Turn, id: u64) -> Result {
    with_timer(Name::Posix(id), |_| Ok(()))?;
    let is_it = |kind: Kind| matches!(kind, Kind::Posix { id: own, .. } if own == id & 0xffff_ffff);
    lock(&TIMERS).retain(|timer| !is_it(timer.kind));
    note_next(turn);
    Ok(0)
}

/// `timerfd_create`: a counter that the timer adds to.
///
/// # Errors
/// As the call.
pub(in super::super) fn create_file(turn: &Turn, clock: u64, flags: u64) -> Result {
    read(turn, clock)?;
    let fd = host::eventfd2(0, flags)?;
    let mut timers = lock(&TIMERS);
    let kind = Kind::File { fd: fd as i32 };
    // An older one of that number has been closed.
    timers.retain(|timer| timer.kind != kind);
    timers.push(Timer { kind, clock, next: 0, interval: 0, overrun: 0 });
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_once_or_at_intervals() {
        assert_eq!(advance(100, 0, 5), (0, 0));
        assert_eq!(advance(100, 101, 5), (0, 101));
        assert_eq!(advance(100, 100, 0), (1, 0));
        assert_eq!(advance(100, 90, 5), (3, 105));
    }

    #[test]
    fn times_out_of_range_are_refused() {
        assert_eq!(from_timespec(&timespec(3 * SECOND + 5)), Ok(3 * SECOND + 5));
        assert_eq!(from_timeval(&timeval(3 * SECOND + 5000)), Ok(3 * SECOND + 5000));
        let bad = Encoder::default().u64(0).u64(SECOND).finish::<16>();
        assert_eq!((from_timespec(&bad), from_timeval(&bad)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
        assert_eq!(from_timespec(&Encoder::default().u64(u64::MAX).u64(0).finish::<16>()), Err(Errno::EINVAL));
    }
}
