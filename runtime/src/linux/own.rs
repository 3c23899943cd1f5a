//! Descriptors of Spile's own: where probe output and messages go, and what a handler needs for a while.
//!
//! Guest and emulator are one host process with one table of descriptors. So that the guest can neither close nor
//! overwrite nor read what is Spile's, such a descriptor is moved to a number that the guest does not get, and is
//! entered here; the dispatcher then answers every system call that names it with `EBADF`, as if it were not open.
//! Descriptors that the guest does not name by a row's [`Arg::Fd`] (ranges, polled ones, `/proc/self/fd`) are
//! looked up by their handlers.
//!
//! They live as long as the process and are closed by `execve`, but for those that the next program continues with
//! ([`OwnFile::survive_exec`]).

use super::abi::{u16_at, u32_at, u64_at};
use super::errno::Errno;
use super::host;
use super::table::{Arg, Row};
use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// What is Spile's own; -1 where nothing is.
static OWN: [AtomicI32; 8] = [const { AtomicI32::new(-1) }; 8];

/// The pipe whose end tells the parent of this process, which waits as after `vfork`, to go on; -1 if it does not wait.
static WAITING_PARENT: AtomicI32 = AtomicI32::new(-1);

/// The directory `/proc`, which a guest can put out of sight by `chroot`.
static PROC: OnceLock<Option<i32>> = OnceLock::new();

/// Where own descriptors go at most: the host's table of descriptors is as long as its highest number, and `fork`
/// copies it.
const HIGHEST: u64 = 4096;

/// Signals that the host sends to a thread whose own write failed: a closed pipe, a file at its size limit.
const WRITE_SIGNALS: u64 = 1 << (libc::SIGPIPE - 1) | 1 << (libc::SIGXFSZ - 1);

/// True if `fd` is one of Spile's own.
pub(super) fn contains(fd: i32) -> bool {
    fd >= 0 && OWN.iter().any(|own| own.load(Ordering::Relaxed) == fd)
}

/// True if one of the descriptors that a call names is Spile's own.
pub(super) fn named_by(row: &Row, args: &[u64; 6]) -> bool {
    let kinds = row.args.iter().map(|&(_, kind)| kind);
    kinds.zip(args).any(|(kind, &arg)| matches!(kind, Arg::Fd | Arg::Dir) && contains(arg as i32))
}

/// The parts of `first..=last` that are not Spile's own, in order.
pub(super) fn around(first: u32, last: u32) -> Vec<(u32, u32)> {
    let mut own: Vec<u32> = OWN.iter().filter_map(|own| u32::try_from(own.load(Ordering::Relaxed)).ok()).collect();
    own.retain(|fd| (first..=last).contains(fd));
    own.sort_unstable();
    let mut parts = Vec::new();
    let mut from = Some(first);
    for fd in own {
        if let Some(start) = from.filter(|&start| start < fd) {
            parts.push((start, fd - 1));
        }
        from = fd.checked_add(1);
    }
    parts.extend(from.filter(|&start| start <= last).map(|start| (start, last)));
    parts
}

/// Entries of a directory of descriptors, as `getdents64` returns them, without those that are Spile's own.
pub(super) fn without_own(entries: &[u8]) -> Vec<u8> {
    const LEN: usize = 16;
    const NAME: usize = 19;
    let mut kept = Vec::new();
    let mut rest = entries;
    while rest.len() > NAME {
        let (entry, tail) = rest.split_at(usize::from(u16_at(rest, LEN)).clamp(NAME, rest.len()));
        let name = entry[NAME..].split(|&byte| byte == 0).next().unwrap_or_default();
        if !names_own(name) {
            kept.extend_from_slice(entry);
        }
        rest = tail;
    }
    kept
}

/// True if `name` is the number of one of Spile's own descriptors.
pub(super) fn names_own(name: &[u8]) -> bool {
    std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).is_some_and(contains)
}

/// Replaces Spile's own descriptors in an array of `struct pollfd` by one that is not open. Returns where they were.
pub(super) fn hide_polled(array: &mut [u8]) -> Vec<(usize, i32)> {
    let mut hidden = Vec::new();
    for (index, entry) in array.chunks_exact_mut(8).enumerate() {
        let fd = u32_at(entry, 0) as i32;
        if contains(fd) {
            entry[..4].copy_from_slice(&i32::MAX.to_le_bytes());
            hidden.push((index * 8, fd));
        }
    }
    hidden
}

/// Enters `fd`. Without room it stays an ordinary descriptor, which the guest can close.
fn enter(fd: i32) {
    for slot in &OWN {
        if slot.compare_exchange(-1, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            break;
        }
    }
}

/// Copies `fd` to where the guest does not get a descriptor: just above its limit, if the limit can be raised for the
/// moment, else as high as possible. The copy is closed by `execve`.
fn copy_up(fd: i32) -> Result<i32, Errno> {
    let mut limit = [0; 16];
    host::prlimit64(0, u64::from(libc::RLIMIT_NOFILE), None, Some(&mut limit))?;
    let (soft, hard) = (u64_at(&limit, 0), u64_at(&limit, 8));
    let copy = |lowest: u64| host::fcntl(fd, libc::F_DUPFD_CLOEXEC as u64, lowest).map(|fd| fd as i32);
    if soft < hard && soft < HIGHEST {
        let raised = soft.saturating_add(OWN.len() as u64).min(hard);
        let mut larger = limit;
        larger[..8].copy_from_slice(&raised.to_le_bytes());
        host::prlimit64(0, u64::from(libc::RLIMIT_NOFILE), Some(&larger), None)?;
        let above = copy(soft);
        host::prlimit64(0, u64::from(libc::RLIMIT_NOFILE), Some(&limit), None)?;
        if above.is_ok() {
            return above;
        }
    }
    let top = soft.min(HIGHEST);
    copy(top.saturating_sub(OWN.len() as u64)).or_else(|_| copy(top / 2))
}

/// Takes `fd` out of the guest's reach and returns its new number. It keeps its number if there is no other.
pub(super) fn keep(fd: i32) -> i32 {
    let kept = match copy_up(fd) {
        Ok(copy) => {
            let _ = host::close(fd);
            copy
        }
        Err(_) => fd,
    };
    enter(kept);
    kept
}

/// In a new child: lets go of what its parent had for its own parent, and keeps `writer`, if given, to the end or to
/// `execve`.
pub(super) fn forked(writer: Option<i32>) {
    let writer = writer.map_or(-1, keep);
    let former = WAITING_PARENT.swap(writer, Ordering::Relaxed);
    if former >= 0 {
        OWN.iter().filter(|own| own.load(Ordering::Relaxed) == former).for_each(|own| own.store(-1, Ordering::Relaxed));
        let _ = host::close(former);
    }
}

/// The host's `/proc`, opened at the first call; a guest that runs may have changed its root directory.
pub(super) fn proc() -> Option<i32> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let open = || host::openat(libc::AT_FDCWD, c"/proc", flags as u64, 0).ok();
    *PROC.get_or_init(|| open().map(|fd| keep(fd as i32)))
}

/// The path of what is open as `fd`, as `/proc/self/fd` shows it; seen from the guest's root directory, but there
/// whatever that is. None where the host has no `/proc`.
pub(super) fn path_of(fd: i32) -> Option<CString> {
    let link = CString::new(format!("self/fd/{fd}")).ok()?;
    let mut path = vec![0; libc::PATH_MAX as usize];
    let len = host::readlinkat(proc()?, &link, &mut path).ok()?;
    path.truncate(len as usize);
    CString::new(path).ok()
}

/// An open file of Spile's own, which stays open to the end of the process.
#[derive(Clone, Copy, Debug)]
pub struct OwnFile(i32);

impl OwnFile {
    /// Takes a file out of the guest's reach.
    pub fn keep(file: impl Into<OwnedFd>) -> OwnFile {
        OwnFile(keep(file.into().into_raw_fd()))
    }

    /// A copy of an open file, out of the guest's reach, for what is the guest's as well: standard error.
    ///
    /// # Errors
    /// The host's error, if there is no descriptor left.
    pub fn copy_of(file: &impl AsFd) -> io::Result<OwnFile> {
        let copy = copy_up(file.as_fd().as_raw_fd())?;
        enter(copy);
        Ok(OwnFile(copy))
    }

    /// Takes a descriptor that was just made out of the guest's reach.
    pub(super) fn of_new(fd: i32) -> OwnFile {
        OwnFile(keep(fd))
    }

    /// The own file that the former program of this process left open as `fd`.
    ///
    /// # Errors
    /// The host's error, if it did not.
    pub fn inherited(fd: i32) -> io::Result<OwnFile> {
        let file = OwnFile(fd);
        file.survive_exec(false)?;
        enter(fd);
        Ok(file)
    }

    /// Says whether it stays open in the program that replaces this one, for [`OwnFile::inherited`].
    ///
    /// # Errors
    /// The host's error, if it is not open.
    pub fn survive_exec(self, survives: bool) -> io::Result<()> {
        let flags = if survives { 0 } else { libc::FD_CLOEXEC as u64 };
        host::fcntl(self.0, libc::F_SETFD as u64, flags)?;
        Ok(())
    }

    /// Reads as many bytes as there is room for, from `offset` on.
    ///
    /// # Errors
    /// The host's error; unexpected end of file if there are fewer.
    pub fn read_exact_at(self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match host::with_fd(self.0, |file| Ok(rustix::io::pread(file, &mut bytes[done..], offset + done as u64)?))?
            {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// Each write is a system call.
impl Write for OwnFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.write_quietly(bytes) {
                // The guest has made the file non-blocking, which it shares with this one.
                Err(Errno::EAGAIN) => self.wait_for_room(),
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OwnFile {
    /// Writes. A signal for a failed write would be the guest's, which wrote nothing: it is taken away.
    fn write_quietly(self, bytes: &[u8]) -> Result<usize, Errno> {
        let block = libc::SIG_BLOCK as u64;
        let (mut mask, mut before) = ([0; 8], [0; 8]);
        host::rt_sigprocmask(block, Some(&WRITE_SIGNALS.to_le_bytes()), Some(&mut mask), 8)?;
        host::rt_sigpending(&mut before, 8)?;
        let written = host::with_fd(self.0, |file| Ok(rustix::io::write(file, bytes)?));
        if matches!(written, Err(Errno::EPIPE | Errno::EFBIG)) {
            let new = WRITE_SIGNALS & !u64::from_le_bytes(before);
            let _ = host::take_blocked_signal(&new.to_le_bytes(), &mut [0; 128], Some(&[0; 16]), 8);
        }
        host::rt_sigprocmask(libc::SIG_SETMASK as u64, Some(&mask), None, 8)?;
        written
    }

    fn wait_for_room(self) {
        let mut entry = [0; 8];
        entry[..4].copy_from_slice(&self.0.to_le_bytes());
        entry[4..6].copy_from_slice(&libc::POLLOUT.to_le_bytes());
        let _ = host::ppoll_through_signals(host::PollFds(&mut entry), None, 0, 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since the table is the process's: its steps must not run side by side.
    #[test]
    fn own_descriptors_are_moved_named_and_left_out_of_ranges() {
        let (reader, writer) = io::pipe().unwrap();
        let mut kept = OwnFile::keep(writer);
        let fd = kept.number();
        assert!(contains(fd) && !contains(-1) && !contains(reader.as_raw_fd()));
        assert!(fd > reader.as_raw_fd() + 8, "it is out of the way: {fd}");
        let row = super::super::table::find_name("dup3").unwrap();
        assert!(named_by(row, &[fd as u64, 0, 0, 0, 0, 0]) && named_by(row, &[0, fd as u64, 0, 0, 0, 0]));
        assert!(!named_by(row, &[0, 1, fd as u64, 0, 0, 0]), "flags are no descriptor");
        // Other tests may have entered a neighbour.
        let own = fd as u32;
        for (first, last) in [(0, own - 1), (0, own), (own, own), (own, own + 20), (own - 1, u32::MAX)] {
            let parts = around(first, last);
            assert!(parts.is_sorted() && parts.iter().all(|&(from, to)| first <= from && from <= to && to <= last));
            for number in own - 20..own + 20 {
                let inside = parts.iter().any(|&(from, to)| (from..=to).contains(&number));
                let wanted = (first..=last).contains(&number) && !contains(number as i32);
                assert_eq!(inside, wanted, "{number} in {first}..={last}");
            }
        }
        let entry = |name: &str| {
            [&[0; 16][..], &32u16.to_le_bytes(), b"\x0a", name.as_bytes(), &vec![0; 13 - name.len()]].concat()
        };
        let (one, two, hidden) = (entry("1"), entry("2"), entry(&fd.to_string()));
        assert_eq!(without_own(&[&one[..], &hidden, &two].concat()), [one, two].concat());
        let mut polled = [7i32.to_le_bytes(), [1, 0, 0, 0], fd.to_le_bytes(), [1, 0, 0, 0]].concat();
        assert_eq!(hide_polled(&mut polled), [(8, fd)]);
        assert_eq!(u32_at(&polled, 8), i32::MAX as u32);
        kept.write_all(b"text").unwrap();
        drop(reader);
        // Without the care in `write` the signal would be delivered: here it would only be ignored, so look for it.
        assert_eq!(kept.write(b"text").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut pending = [0; 8];
        host::rt_sigpending(&mut pending, 8).unwrap();
        assert_eq!(u64::from_le_bytes(pending) & WRITE_SIGNALS, 0);
    }
}
