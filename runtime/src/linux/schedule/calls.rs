//! Host calls that may sleep, made so that they do not: a thread that waits in a scheduled run gives its turn away and
//! tries again. Unsafe code lives here: the arguments are those of the call, pointers among them.
//!
//! A call is tried in the form that returns at once (`WNOHANG`, `MSG_DONTWAIT`, a timeout of zero), or once its
//! descriptor is ready. What is not here (files, directories) does not depend on other guest threads.
#![allow(unsafe_code, reason = "pointers in raw arguments")]

use super::super::errno::Errno;
use super::super::host::{self, PollFds};
use super::{Turn, Wait, clock};
use libc::c_long;

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

/// What a pipe takes at once when it is ready (`PIPE_BUF`).
const PIECE: u64 = 4096;
const ZERO: [u8; 16] = [0; 16];
const NEVER: u64 = u64::MAX;

const READ: u8 = libc::POLLIN as u8;
const WRITE: u8 = libc::POLLOUT as u8;

/// How a call is tried.
struct Call<'a> {
    turn: &'a Turn,
    number: c_long,
    args: Args,
}

/// Makes call `number` in the turns of this thread.
///
/// # Safety
/// The pointers in `args` are valid for what the call does with them.
pub(in super::super) unsafe fn make(turn: &Turn, number: c_long, args: &Args) -> Result {
    let call = Call { turn, number, args: *args };
    let at = |index: usize| args[index];
    // SAFETY: in each of these, as the caller promises for this number.
    unsafe {
        match number {
            libc::SYS_pause => call.until(NEVER, Wait::Quiet, || None),
            libc::SYS_clock_nanosleep => {
                let mut unused = [0; 16];
                let left = (args[3] as *mut [u8; 16]).as_mut().unwrap_or(&mut unused);
                clock::sleep(turn, at(0), at(1), &*(args[2] as *const [u8; 16]), left)
            }
            libc::SYS_wait4 if at(2) & libc::WNOHANG as u64 == 0 => {
                let quick = call.with(2, at(2) | libc::WNOHANG as u64);
                call.until(NEVER, Wait::Effects, || quick().transpose_if(|&pid| pid == 0))
            }
            libc::SYS_waitid if at(3) & libc::WNOHANG as u64 == 0 => {
                let quick = call.with(3, at(3) | libc::WNOHANG as u64);
                // `si_signo` stays 0 if there is nothing.
                let info = args[2] as *const u32;
                call.until(NEVER, Wait::Effects, || quick().transpose_if(|_| info.read() == 0))
            }
            libc::SYS_ppoll => {
                call.with_timeout(2, |timeout| call.with(2, timeout)().transpose_if(|&ready| ready == 0))
            }
            libc::SYS_epoll_pwait2 => {
                call.with_timeout(3, |timeout| call.with(3, timeout)().transpose_if(|&ready| ready == 0))
            }
            libc::SYS_epoll_pwait => {
                let timeout = at(3) as i32;
                let deadline = match timeout {
                    ..0 => NEVER,
                    _ => turn.now().saturating_add(timeout as u64 * 1_000_000),
                };
                let quick = call.with(3, 0);
                call.until_or_0(deadline, || quick().transpose_if(|&ready| ready == 0))
            }
            libc::SYS_pselect6 => call.select(),
            libc::SYS_rt_sigtimedwait => {
                let deadline = call.deadline_of(2)?;
                let quick = call.with(2, ZERO.as_ptr() as u64);
                let found = turn.wait(Wait::Effects, deadline, || quick().unless(&[Errno::EAGAIN]))?;
                found.unwrap_or(Err(Errno::EAGAIN))
            }
            libc::SYS_flock if at(1) & libc::LOCK_NB as u64 == 0 => {
                let quick = call.with(1, at(1) | libc::LOCK_NB as u64);
                call.until(NEVER, Wait::Effects, || quick().unless(&[Errno::EAGAIN]))
            }
            // F_SETLKW and F_OFD_SETLKW; the numbers before them do not wait.
            libc::SYS_fcntl if matches!(at(1), 7 | 38) => {
                let quick = call.with(1, at(1) - 1);
                call.until(NEVER, Wait::Effects, || quick().unless(&[Errno::EAGAIN, Errno::EACCES]))
            }
            libc::SYS_msgsnd | libc::SYS_msgrcv => {
                let flags = if number == libc::SYS_msgsnd { 3 } else { 4 };
                let quick = call.with(flags, at(flags) | libc::IPC_NOWAIT as u64);
                if at(flags) & libc::IPC_NOWAIT as u64 != 0 {
                    return quick();
                }
                let nothing = Errno(libc::ENOMSG as u16);
                call.until(NEVER, Wait::Effects, || quick().unless(&[Errno::EAGAIN, nothing]))
            }
            libc::SYS_semtimedop => call.semaphores(),
            libc::SYS_mq_timedsend | libc::SYS_mq_timedreceive => {
                let deadline = match (at(4) as *const [u8; 16]).as_ref() {
                    Some(time) => clock::deadline(turn, time, Some(0))?,
                    None => NEVER,
                };
                // A date that has passed.
                let quick = call.with(4, ZERO.as_ptr() as u64);
                let sent = turn.wait(Wait::Effects, deadline, || quick().unless(&[Errno::ETIMEDOUT]))?;
                sent.unwrap_or(Err(Errno::ETIMEDOUT))
            }
            libc::SYS_openat => call.open(),
            libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_pread64
            | libc::SYS_preadv
            | libc::SYS_preadv2
            | libc::SYS_accept4 => call.when_ready(READ),
            libc::SYS_recvfrom | libc::SYS_recvmsg => {
                let flags = if number == libc::SYS_recvfrom { 3 } else { 2 };
                // Without waiting for all, it may return less, as after a signal.
                let whole = Call { args: replaced(args, flags, at(flags) & !(libc::MSG_WAITALL as u64)), ..call };
                if at(flags) & libc::MSG_DONTWAIT as u64 != 0 { whole.direct() } else { whole.when_ready(READ) }
            }
            libc::SYS_sendto | libc::SYS_sendmsg => call.when_ready(WRITE),
            libc::SYS_write => call.write(),
            libc::SYS_writev => call.write_vector(),
            libc::SYS_sendfile => call.moved([at(1), at(0)], 3),
            libc::SYS_splice => call.moved([at(0), at(2)], 4),
            libc::SYS_tee => call.moved([at(0), at(1)], 2),
            _ => call.direct(),
        }
    }
}

fn replaced(args: &Args, index: usize, value: u64) -> Args {
    let mut args = *args;
    args[index] = value;
    args
}

/// Which results mean that a call would have waited.
trait Attempt: Sized {
    /// None if the result is one that `waits` tells.
    fn transpose_if(self, waits: impl FnOnce(&u64) -> bool) -> Option<Result>;
    /// None if the error is one of these.
    fn unless(self, errors: &[Errno]) -> Option<Result>;
}

impl Attempt for Result {
    fn transpose_if(self, waits: impl FnOnce(&u64) -> bool) -> Option<Result> {
        match self {
            Ok(value) if waits(&value) => None,
            other => Some(other),
        }
    }

    fn unless(self, errors: &[Errno]) -> Option<Result> {
        match self {
            Err(error) if errors.contains(&error) => None,
            other => Some(other),
        }
    }
}

impl Call<'_> {
    /// Makes the call as it is.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn direct(&self) -> Result {
        // SAFETY: the caller's promise.
        unsafe { host::at_once(self.number, &self.args) }
    }

    /// Makes the call with another argument.
    ///
    /// # Safety
    /// As [`make`], for that argument.
    unsafe fn with(&self, index: usize, value: u64) -> impl Fn() -> Result + '_ {
        let args = replaced(&self.args, index, value);
        // SAFETY: the caller's promise.
        move || unsafe { host::at_once(self.number, &args) }
    }

    fn until(&self, deadline: u64, wait: Wait, attempt: impl FnMut() -> Option<Result>) -> Result {
        self.turn.wait(wait, deadline, attempt)?.unwrap_or(Ok(0))
    }

    fn until_or_0(&self, deadline: u64, attempt: impl FnMut() -> Option<Result>) -> Result {
        self.until(deadline, Wait::Effects, attempt)
    }

    /// When the relative timeout that argument `index` points to ends.
    ///
    /// # Safety
    /// As [`make`]: it is null or points to a `struct timespec`.
    unsafe fn deadline_of(&self, index: usize) -> Result {
        // SAFETY: the caller's promise.
        match unsafe { (self.args[index] as *const [u8; 16]).as_ref() } {
            Some(time) => clock::deadline(self.turn, time, None),
            None => Ok(NEVER),
        }
    }

    /// Tries with a timeout of zero at argument `index`, which is given to `attempt`.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn with_timeout(&self, index: usize, mut attempt: impl FnMut(u64) -> Option<Result>) -> Result {
        // SAFETY: the caller's promise.
        let deadline = unsafe { self.deadline_of(index)? };
        self.until_or_0(deadline, || {
            // The call writes what is left of it.
            let mut none = ZERO;
            attempt(none.as_mut_ptr() as u64)
        })
    }

    /// `pselect6`: the sets are results as well, so each attempt has new ones.
    ///
    /// # Safety
    /// As [`make`]: the sets have 8192 bytes.
    unsafe fn select(&self) -> Result {
        // SAFETY: the caller's promise.
        let deadline = unsafe { self.deadline_of(4)? };
        let sets: [Option<&mut [u8; 8192]>; 3] =
            // SAFETY: the caller's promise; the three do not overlap.
            [1, 2, 3].map(|index| unsafe { (self.args[index] as *mut [u8; 8192]).as_mut() });
        let wanted = sets.each_ref().map(|set| set.as_ref().map(|set| **set));
        let mut sets = sets;
        let result = self.turn.wait(Wait::Effects, deadline, || {
            for (set, wanted) in sets.iter_mut().zip(&wanted) {
                if let (Some(set), Some(wanted)) = (set, wanted) {
                    **set = *wanted;
                }
            }
            let mut none = ZERO;
            // SAFETY: the caller's promise; a timeout that lives for the call.
            unsafe { self.with(4, none.as_mut_ptr() as u64)() }.transpose_if(|&ready| ready == 0)
        })?;
        // Without a descriptor that is ready, the last attempt has cleared the sets.
        result.unwrap_or(Ok(0))
    }

    /// `semtimedop`, which waits unless an operation says not to.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn semaphores(&self) -> Result {
        const OPERATION: usize = 6;
        // SAFETY: the caller's promise: so many operations of that size.
        let operations =
            unsafe { std::slice::from_raw_parts(self.args[1] as *const u8, self.args[2] as usize * OPERATION) };
        let returns =
            |operation: &[u8]| u16::from_ne_bytes([operation[4], operation[5]]) & libc::IPC_NOWAIT as u16 != 0;
        if operations.chunks_exact(OPERATION).any(returns) {
            // SAFETY: the caller's promise.
            return unsafe { self.with(3, ZERO.as_ptr() as u64)() };
        }
        // SAFETY: the caller's promise.
        let deadline = unsafe { self.deadline_of(3)? };
        let done = self.turn.wait(Wait::Effects, deadline, || {
            // SAFETY: the caller's promise; the timeout is a constant.
            unsafe { self.with(3, ZERO.as_ptr() as u64)() }.unless(&[Errno::EAGAIN])
        })?;
        done.unwrap_or(Err(Errno::EAGAIN))
    }

    /// `openat`: of a named pipe, the end that writes is there once the other one is.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn open(&self) -> Result {
        const O_NONBLOCK: u64 = libc::O_NONBLOCK as u64;
        let [dir, path, flags, ..] = self.args;
        // SAFETY: all-zero bytes are a valid `stat`; the path is a string by the caller's promise.
        let mode = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            libc::fstatat(dir as i32, path as *const libc::c_char, &raw mut stat, 0);
            stat.st_mode
        };
        if mode & libc::S_IFMT != libc::S_IFIFO || flags & O_NONBLOCK != 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.direct() };
        }
        // SAFETY: the caller's promise.
        let quick = unsafe { self.with(2, flags | O_NONBLOCK) };
        let fd = self.until(NEVER, Wait::Effects, || quick().unless(&[Errno::ENXIO]))?;
        let status = host::fcntl(fd as i32, libc::F_GETFL as u64, 0)?;
        host::fcntl(fd as i32, libc::F_SETFL as u64, status & !O_NONBLOCK)?;
        Ok(fd)
    }

    /// Makes the call once its descriptor, the first argument, is ready.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn when_ready(&self, events: u8) -> Result {
        self.await_ready(self.args[0] as i32, events)?;
        // SAFETY: the caller's promise.
        unsafe { self.direct() }
    }

    /// Waits until a descriptor is ready, or is one that nobody waits for.
    fn await_ready(&self, fd: i32, events: u8) -> Result<()> {
        let status = host::fcntl(fd, libc::F_GETFL as u64, 0)?;
        if status & libc::O_NONBLOCK as u64 == 0 {
            self.turn.wait(Wait::Effects, NEVER, || is_ready(fd, events).then_some(()))?;
        }
        Ok(())
    }

    /// `write`, which waits again and again if there are readers to wait for.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn write(&self) -> Result {
        let [fd, start, len, ..] = self.args;
        if !waits_for_readers(fd as i32) {
            // SAFETY: the caller's promise.
            return unsafe { self.direct() };
        }
        let mut done = 0;
        loop {
            let piece = (len - done).min(PIECE);
            let result = self.await_ready(fd as i32, WRITE).and_then(|()| {
                // SAFETY: a part of what the caller promises.
                unsafe { host::at_once(libc::SYS_write, &[fd, start + done, piece, 0, 0, 0]) }
            });
            match result {
                Ok(written) => done += written,
                Err(error) => return if done == 0 { Err(error) } else { Ok(done) },
            }
            if done == len || result == Ok(0) {
                return Ok(done);
            }
        }
    }

    /// `writev`: one buffer after another, if there are readers to wait for.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn write_vector(&self) -> Result {
        let [fd, vector, count, ..] = self.args;
        // SAFETY: the caller's promise: so many pairs of address and length.
        let buffers = unsafe { std::slice::from_raw_parts(vector as *const [u64; 2], count as usize) };
        let total: u64 = buffers.iter().map(|[_, len]| len).sum();
        if total <= PIECE || !waits_for_readers(fd as i32) {
            // SAFETY: the caller's promise.
            return unsafe { self.when_ready(WRITE) };
        }
        let mut done = 0;
        for [start, len] in buffers.iter().filter(|[_, len]| *len > 0) {
            let call = Call { turn: self.turn, number: libc::SYS_write, args: [fd, *start, *len, 0, 0, 0] };
            // SAFETY: one of the buffers that the caller promises.
            match unsafe { call.write() } {
                Ok(written) => done += written,
                Err(error) => return if done == 0 { Err(error) } else { Ok(done) },
            }
        }
        Ok(done)
    }

    /// A call that moves data from one descriptor to another, at most as much as argument `len` says.
    ///
    /// # Safety
    /// As [`make`].
    unsafe fn moved(&self, [from, to]: [u64; 2], len: usize) -> Result {
        self.await_ready(from as i32, READ)?;
        self.await_ready(to as i32, WRITE)?;
        if waits_for_readers(to as i32) {
            // SAFETY: the caller's promise.
            return unsafe { self.with(len, self.args[len].min(PIECE))() };
        }
        // SAFETY: the caller's promise.
        unsafe { self.direct() }
    }
}

/// True if a call on `fd` would return at once, be it with an error.
fn is_ready(fd: i32, events: u8) -> bool {
    let mut entry = [0; 8];
    entry[..4].copy_from_slice(&fd.to_ne_bytes());
    entry[4] = events;
    host::ppoll_through_signals(PollFds(&mut entry), Some(&mut [0; 16]), 0, 8) != Ok(0)
}

/// True for pipes, sockets and terminals: what is written must first be read.
fn waits_for_readers(fd: i32) -> bool {
    let mut stat = [0; 256];
    const AT_EMPTY_PATH: u64 = 0x1000;
    const STATX_TYPE: u64 = 1;
    let mode = host::statx(fd, c"", AT_EMPTY_PATH, STATX_TYPE, &mut stat)
        .map_or(0, |_| u32::from(super::super::abi::u16_at(&stat, 28)));
    matches!(mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFSOCK | libc::S_IFCHR)
}
