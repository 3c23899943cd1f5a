//! Files under `/proc/self` that would show the emulator instead of the guest.

use super::errno::Errno;
use super::{Kernel, host};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;

/// The name under `/proc/self` (or under the process's own id) that `path` has.
fn own_name(path: &CStr) -> Option<&str> {
    let rest = path.to_str().ok()?.strip_prefix("/proc/")?;
    let (process, name) = rest.split_once('/')?;
    let own = process == "self" || process == "thread-self" || process.parse().ok() == host::getpid().ok();
    own.then_some(name)
}

/// True for `/proc/self/exe`.
pub(super) fn is_own_program(path: &CStr) -> bool {
    own_name(path) == Some("exe")
}

/// Replaces `/proc/self/exe` by the guest's program in a call that follows links.
pub(super) fn followed(kernel: &Kernel, path: CString, flags: u64) -> CString {
    if flags & AT_SYMLINK_NOFOLLOW == 0 && is_own_program(&path) { kernel.program.clone() } else { path }
}

/// Opens a file that is made up; `None` if the path is an ordinary one.
pub(super) fn open(kernel: &Kernel, path: &CStr, flags: u64) -> Option<Result<u64, Errno>> {
    let contents = match own_name(path)? {
        "exe" => return Some(host::openat(libc::AT_FDCWD, &kernel.program, flags & 0o2000000, 0)),
        "maps" => kernel.map.to_maps().into_bytes(),
        "auxv" => kernel.auxv.clone(),
        "cmdline" => kernel.argv.iter().flat_map(|word| word.to_bytes_with_nul()).copied().collect(),
        "comm" => [command_name(kernel).as_bytes(), b"\n"].concat(),
        "stat" => stat(kernel).into_bytes(),
        // The emulator's own memory: the guest could write host memory through it.
        name if name == "mem" || name.ends_with("/mem") => return Some(Err(Errno::EACCES)),
        _ => return None,
    };
    Some(made_up(&contents))
}

/// Looks at what the host has opened, whatever name the guest used for it: through `.`, links, or a descriptor of a
/// directory. The memory of a process is refused, files of this one that would show the emulator are made up.
pub(super) fn opened(kernel: &Kernel, fd: u64, flags: u64) -> Result<u64, Errno> {
    let target = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let Ok(path) = CString::new(target.as_os_str().as_bytes()) else { return Ok(fd) };
    if is_process_memory(&path) {
        let _ = host::close(fd as i32);
        return Err(Errno::EACCES);
    }
    match own_name(&path).and_then(|_| open(kernel, &path, flags)) {
        Some(replaced) => {
            let _ = host::close(fd as i32);
            replaced
        }
        None => Ok(fd),
    }
}

/// True for `/proc/N/mem` and `/proc/N/task/N/mem` as the host names them.
fn is_process_memory(path: &CStr) -> bool {
    let parts: Vec<&[u8]> = path.to_bytes().split(|&byte| byte == b'/').collect();
    let number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    match parts[..] {
        [b"", b"proc", process, b"mem"] => number(process),
        [b"", b"proc", process, b"task", thread, b"mem"] => number(process) && number(thread),
        _ => false,
    }
}

/// A descriptor that reads as `contents`.
fn made_up(contents: &[u8]) -> Result<u64, Errno> {
    let fd = host::memfd_create(c"proc", u64::from(libc::MFD_CLOEXEC))?;
    let written = std::fs::write(format!("/proc/self/fd/{fd}"), contents);
    let rewound = host::lseek(fd as i32, 0, 0);
    if let Err(error) = written.map_err(Errno::from).and(rewound) {
        let _ = host::close(fd as i32);
        return Err(error);
    }
    Ok(fd)
}

/// The guest's `comm`: the last part of its program's path, at most 15 bytes.
fn command_name(kernel: &Kernel) -> String {
    let path = kernel.program.to_string_lossy();
    path.rsplit('/').next().unwrap_or_default().chars().take(15).collect()
}

/// `/proc/self/stat`: the host's line with the guest's name; guest programs look for the stack's start (field 28).
fn stat(kernel: &Kernel) -> String {
    let host = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = host.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields: Vec<String> = after_name.split_whitespace().map(str::to_owned).collect();
    if let Some(field) = fields.get_mut(25) {
        *field = kernel.stack_start.to_string();
    }
    format!("{} ({}) {}\n", host::getpid().unwrap_or(0), command_name(kernel), fields.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_memory_is_known_by_the_hosts_name() {
        for path in [c"/proc/1/mem", c"/proc/123/task/124/mem"] {
            assert!(is_process_memory(path), "{path:?}");
        }
        for path in [c"/proc/meminfo", c"/proc/1/maps", c"/tmp/proc/1/mem", c"/proc/x/mem", c""] {
            assert!(!is_process_memory(path), "{path:?}");
        }
    }
}
