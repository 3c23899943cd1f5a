//! Files under `/proc` that would show the emulator or the host's processor instead of the guest.

use super::abi::u64_at;
use super::errno::Errno;
use super::{Kernel, host, own, schedule};
use std::ffi::{CStr, CString};

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;

/// The name under `/proc/self` (or under the process's own id) that `path` has.
fn own_name(path: &CStr) -> Option<&str> {
    let rest = path.to_str().ok()?.strip_prefix("/proc/")?;
    let (process, name) = rest.split_once('/')?;
    let own = process == "self"
        || process == "thread-self"
        || process.parse().ok() == host::getpid().ok()
        || is_scheduled_as(process);
    own.then_some(of_the_process(name))
}

fn is_scheduled_as(process: &str) -> bool {
    schedule::current().is_some_and(|turn| process.parse() == Ok(turn.process()))
}

/// `name` without `task/N/`: what is made up is the same for all threads.
fn of_the_process(name: &str) -> &str {
    name.strip_prefix("task/").and_then(|name| name.split_once('/')).map_or(name, |(_, name)| name)
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
    if path == c"/proc/cpuinfo" {
        return Some(made_up(cpu_info(kernel).as_bytes()));
    }
    let contents = match own_name(path)? {
        "exe" => return Some(host::openat(libc::AT_FDCWD, &kernel.program, flags & 0o2000000, 0)),
        "maps" => kernel.map().to_maps().into_bytes(),
        "smaps" => kernel.map().to_smaps().into_bytes(),
        "environ" => kernel.envp.iter().flat_map(|word| word.to_bytes_with_nul()).copied().collect(),
        "auxv" => kernel.auxv.clone(),
        "cmdline" => kernel.argv.iter().flat_map(|word| word.to_bytes_with_nul()).copied().collect(),
        "stat" => stat(kernel).into_bytes(),
        // The emulator's own memory: the guest could write host memory through it.
        "mem" => return Some(Err(Errno::EACCES)),
        name if is_own_descriptor(name) => return Some(Err(Errno::ENOENT)),
        _ => return None,
    };
    Some(made_up(&contents))
}

/// Looks at what the host has opened, whatever name the guest used for it: through `.`, links, or a descriptor of a
/// directory. The memory of a process is refused, files of this one that would show the emulator are made up.
pub(super) fn opened(kernel: &Kernel, fd: u64, flags: u64) -> Result<u64, Errno> {
    let path = own::path_of(fd as i32).unwrap_or_default();
    if is_process_memory(fd as i32, &path) {
        let _ = host::close(fd as i32);
        return Err(Errno::EACCES);
    }
    match open(kernel, &path, flags) {
        Some(replaced) => {
            let _ = host::close(fd as i32);
            replaced
        }
        None => Ok(fd),
    }
}

/// True if `fd`, which has this path, is the memory of a process: the only file of `/proc` with that name, wherever
/// that is mounted. A file there whose name cannot be had is taken for one.
fn is_process_memory(fd: i32, path: &CStr) -> bool {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let path = path.to_bytes();
    let mut statfs = [0; 120];
    (path.is_empty() || path.ends_with(b"/mem"))
        && (host::fstatfs(fd, &mut statfs).is_err() || u64_at(&statfs, 0) == PROC_SUPER_MAGIC)
}

/// True for `fd/N` and `fdinfo/N` if `N` is one of Spile's own descriptors.
fn is_own_descriptor(name: &str) -> bool {
    let number = name.strip_prefix("fd/").or(name.strip_prefix("fdinfo/"));
    number.is_some_and(|number| own::names_own(number.as_bytes()))
}

/// True if `fd` is a directory that lists descriptors of this process.
pub(super) fn lists_descriptors(fd: i32) -> bool {
    let path = own::path_of(fd).unwrap_or_default();
    matches!(own_name(&path), Some("fd" | "fdinfo"))
}

/// A descriptor that reads as `contents`.
fn made_up(contents: &[u8]) -> Result<u64, Errno> {
    let fd = host::memfd_create(c"proc", u64::from(libc::MFD_CLOEXEC))?;
    // One descriptor is enough, the last one of the guest's limit.
    let written = host::with_fd(fd as i32, |file| {
        let mut rest = contents;
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(file, rest)?..];
        }
        Ok(())
    });
    if let Err(error) = written.and(host::lseek(fd as i32, 0, 0)) {
        let _ = host::close(fd as i32);
        return Err(error);
    }
    Ok(fd)
}

/// Gives this process the name that Linux gives a process at `execve`: the last part of the program's path.
pub(super) fn set_command_name(kernel: &Kernel) {
    const PR_SET_NAME: u64 = 15;
    let name = kernel.program.to_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut data = [0; 16];
    let len = name.len().min(15);
    data[..len].copy_from_slice(&name[..len]);
    // It is cosmetic: the guest runs without as well.
    let _ = host::prctl_data(PR_SET_NAME, &mut data);
}

/// `/proc/cpuinfo` of the guest's architecture, with as many processors as the host shows, or as a schedule has.
fn cpu_info(kernel: &Kernel) -> String {
    let processors = match schedule::current() {
        Some(_) => 1,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    kernel.abi.cpu_info(processors)
}

/// `/proc/self/stat`: the host's line; guest programs look for the stack's start (field 28, the 26th behind the name).
fn stat(kernel: &Kernel) -> String {
    let host = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((name, rest)) = host.rsplit_once(") ") else { return host };
    let mut fields: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    let mut name = name.to_owned();
    if let Some(turn) = schedule::current() {
        // State, parent, group, session; what else changes from run to run is not shown.
        let guest = |field: &String| field.parse().map_or(0, |number| turn.to_guest(number)).to_string();
        let shown: Vec<String> = fields.iter().skip(1).take(3).map(guest).collect();
        fields.iter_mut().for_each(|field| "0".clone_into(field));
        "R".clone_into(&mut fields[0]);
        fields[1..4].clone_from_slice(&shown);
        name = format!("{} {}", turn.process(), name.split_once(' ').map_or("", |(_, name)| name));
    }
    if let Some(field) = fields.get_mut(25) {
        *field = kernel.stack_start.to_string();
    }
    format!("{name}) {}\n", fields.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn process_memory_is_known_by_its_file_system_and_name() {
        let memory = |open: &str| {
            let file = std::fs::File::open(open).unwrap();
            let fd = file.as_raw_fd();
            is_process_memory(fd, &own::path_of(fd).unwrap())
        };
        let id = std::process::id();
        for path in ["/proc/self/mem".into(), "/proc/thread-self/mem".into(), format!("/proc/{id}/task/{id}/mem")] {
            assert!(memory(&path), "{path}");
        }
        let plain = std::env::temp_dir().join(format!("spile-procfs-{id}"));
        std::fs::create_dir_all(&plain).unwrap();
        std::fs::write(plain.join("mem"), "").unwrap();
        for path in ["/proc/meminfo", "/proc/self/maps", "/", plain.join("mem").to_str().unwrap()] {
            assert!(!memory(path), "{path}");
        }
        std::fs::remove_dir_all(&plain).unwrap();
    }

    #[test]
    fn a_threads_files_are_the_processs() {
        let name = |path: String| own_name(&CString::new(path).unwrap()).map(str::to_owned);
        let id = std::process::id();
        assert_eq!(name(format!("/proc/{id}/task/{id}/maps")), Some("maps".into()));
        assert_eq!(name("/proc/self/maps".into()), Some("maps".into()));
        assert_eq!(name("/proc/self/task".into()), Some("task".into()));
        assert_eq!(name("/proc/1/maps".into()), None);
    }
}
