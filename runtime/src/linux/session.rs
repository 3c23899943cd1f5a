//! Host threads beside the guest that open files: they have descriptors of their own, which the guest neither sees nor
//! can close, and which take no number from it. And the folder in which sessions have their sockets.

use super::errno::Errno;
use super::signal::without_signals;
use super::{host, own};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::sync::mpsc;

const CLONE_FILES: u64 = 0x400;
/// The policy of threads that nobody has given another one.
const SCHED_OTHER: [u8; 4] = [0; 4];
/// The shortest slice that there is, in nanoseconds.
const SLICE: u64 = 100_000;

/// Starts a host thread, calls `begin` on it and returns what that gives; then `work` goes on there with it, to the end
/// of the process at most. None of the guest's signals comes to it.
///
/// # Errors
/// What `begin` says, or the host's error if there is no thread to be had.
pub fn beside<T, R, B, W>(name: &str, begin: B, work: W) -> io::Result<R>
where
    R: Send + 'static,
    B: FnOnce() -> io::Result<(T, R)> + Send + 'static,
    W: FnOnce(T) + Send + 'static,
{
    let (sender, begun) = mpsc::channel();
    let thread = move || match own_descriptors().map_err(io::Error::from).and_then(|()| begin()) {
        Ok((mine, result)) => {
            let _ = sender.send(Ok(result));
            work(mine);
        }
        Err(error) => drop(sender.send(Err(error))),
    };
    without_signals(|| std::thread::Builder::new().name(name.into()).spawn(thread))?;
    begun.recv().map_err(|_| io::Error::from(io::ErrorKind::Other))?
}

/// Gives this host thread a table of descriptors of its own, with what is Spile's in it and nothing else: a pipe that it
/// kept open would never end for its reader.
fn own_descriptors() -> Result<(), Errno> {
    host::unshare(CLONE_FILES)?;
    for (first, last) in own::around(0, u32::MAX) {
        host::close_range(u64::from(first), u64::from(last), 0)?;
    }
    Ok(())
}

/// Has the host give this thread short slices of time: it goes soon when it has something to do, before threads that have
/// longer ones, and lets others go soon when these have. Linux 6.12 and later do so, without the thread getting more or
/// less time in the end; earlier ones take no notice.
pub fn take_short_slices() {
    // `struct sched_attr` of sched_setattr(2): its size, policy, flags, nice value, priority and `sched_runtime`.
    let mut attributes = [0; 256];
    if host::sched_getattr(0, &mut attributes, 48, 0).is_ok() && attributes[4..8] == SCHED_OTHER {
        attributes[24..32].copy_from_slice(&SLICE.to_le_bytes());
        let _ = host::sched_setattr(0, &attributes, 0);
    }
}

/// The folder of the sockets of this user's sessions, in `own`, the user's folder for such things, or else where
/// temporary files go; nobody else can look into it.
///
/// # Errors
/// The host's, or `PermissionDenied` if somebody else has made a folder of that name.
pub fn folder(own: Option<PathBuf>) -> io::Result<PathBuf> {
    let user = host::geteuid()? as u32;
    let folder = match own {
        Some(own) => own.join("spile"),
        None => std::env::temp_dir().join(format!("spile-{user}")),
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(folder)
}
