//! Processes: identity, limits, fork, exec, wait, exit, and what does not fit elsewhere.

use super::abi::{u32_at, u64_at};
use super::errno::Errno;
use super::host::{self, StringList, Word};
use super::{After, Exec, Kernel, execute, procfs, read_optional, read_path, write_optional};
use crate::elf;
use crate::env::Status;
use crate::mem::{Access, GuestMemory};
use std::ffi::{CStr, CString, OsStr};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

const CLONE_VM: u64 = 0x100;
const CLONE_FS: u64 = 0x200;
const CLONE_FILES: u64 = 0x400;
const CLONE_SIGHAND: u64 = 0x800;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_SYSVSEM: u64 = 0x4_0000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;

/// Flags that a fork may have.
const FORK_FLAGS: u64 = 0xff
    | CLONE_VM
    | CLONE_VFORK
    | CLONE_SYSVSEM
    | CLONE_SETTLS
    | CLONE_PARENT_SETTID
    | CLONE_CHILD_CLEARTID
    | CLONE_CHILD_SETTID;
/// Flags that say a thread is wanted.
const THREAD_FLAGS: u64 = CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES;

/// Sizes of an argument list, as in Linux: strings, and all together (a quarter of the stack).
const MAX_STRING: usize = 32 * 4096;
const MAX_STRINGS: usize = 2 << 20;
/// How many `#!` files may stand for each other.
const MAX_SCRIPTS: usize = 5;

macro_rules! plain_calls {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {
        $(pub(super) fn $name(_: &mut Kernel, _: &GuestMemory, args: Args) -> Result {
            let [$($arg,)* ..] = args;
            host::$name($($arg as $kind),*)
        })*
    };
}

plain_calls! {
    getpid();
    getppid();
    gettid();
    getuid();
    geteuid();
    getgid();
    getegid();
    setuid(user: u64);
    setgid(group: u64);
    setreuid(real: u64, effective: u64);
    setregid(real: u64, effective: u64);
    setresuid(real: u64, effective: u64, saved: u64);
    setresgid(real: u64, effective: u64, saved: u64);
    setpgid(pid: i32, group: i32);
    getpgid(pid: i32);
    setsid();
    getsid(pid: i32);
    sched_yield();
    sched_getscheduler(pid: i32);
    getpriority(which: u64, who: u64);
    setpriority(which: u64, who: u64, value: u64);
    membarrier(command: u64, flags: u64, cpu: u64);
}

/// Known, and refused without a note: C libraries ask and go on without.
pub(super) fn not_here(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    Err(Errno::ENOSYS)
}

pub(super) fn exit(kernel: &mut Kernel, _: &GuestMemory, [status, ..]: Args) -> Result {
    kernel.after = Some(After::End(Status::Exited(status as u8)));
    Ok(0)
}

pub(super) fn set_tid_address(kernel: &mut Kernel, _: &GuestMemory, [addr, ..]: Args) -> Result {
    kernel.clear_child_tid = addr;
    host::gettid()
}

/// Robust futexes matter when a thread dies; there is one thread.
pub(super) fn set_robust_list(_: &mut Kernel, _: &GuestMemory, [_, len, ..]: Args) -> Result {
    if len == 24 { Ok(0) } else { Err(Errno::EINVAL) }
}

fn get_ids(memory: &GuestMemory, args: Args, call: fn(&mut [u8; 4], &mut [u8; 4], &mut [u8; 4]) -> Result) -> Result {
    let (mut real, mut effective, mut saved) = ([0; 4], [0; 4], [0; 4]);
    call(&mut real, &mut effective, &mut saved)?;
    for (addr, id) in args.into_iter().zip([real, effective, saved]) {
        memory.write(addr, &id)?;
    }
    Ok(0)
}

pub(super) fn getresuid(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    get_ids(memory, args, host::getresuid)
}

pub(super) fn getresgid(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    get_ids(memory, args, host::getresgid)
}

pub(super) fn getgroups(_: &mut Kernel, memory: &GuestMemory, [count, out, ..]: Args) -> Result {
    if count as i32 <= 0 {
        return host::getgroups(count & 0xffff_ffff, None);
    }
    let mut groups = Box::new([0; 4 * 65536]);
    let filled = host::getgroups(count.min(65536), Some(&mut groups))?;
    memory.write(out, &groups[..filled as usize * 4])?;
    Ok(filled)
}

/// No capabilities are shown, whatever the version asked for.
pub(super) fn capget(_: &mut Kernel, memory: &GuestMemory, [header, data, ..]: Args) -> Result {
    const VERSION_3: u32 = 0x2008_0522;
    let version = u32::from_le_bytes(memory.load(header)?);
    if version != VERSION_3 {
        memory.write(header, &VERSION_3.to_le_bytes())?;
        return Err(Errno::EINVAL);
    }
    write_optional(memory, data, &[0; 24])?;
    Ok(0)
}

pub(super) fn uname(kernel: &mut Kernel, memory: &GuestMemory, [out, ..]: Args) -> Result {
    const MACHINE: usize = 4 * 65;
    let mut names = [0; 390];
    host::uname(&mut names)?;
    let platform = kernel.abi.platform().as_bytes();
    names[MACHINE..MACHINE + 65].fill(0);
    names[MACHINE..MACHINE + platform.len()].copy_from_slice(platform);
    memory.write(out, &names)?;
    Ok(0)
}

pub(super) fn sethostname(_: &mut Kernel, memory: &GuestMemory, [name, len, ..]: Args) -> Result {
    if len > 64 {
        return Err(Errno::EINVAL);
    }
    host::sethostname(&memory.read_vec(name, len)?)
}

pub(super) fn sysinfo(_: &mut Kernel, memory: &GuestMemory, [out, ..]: Args) -> Result {
    let mut info = [0; 112];
    host::sysinfo(&mut info)?;
    memory.write(out, &info)?;
    Ok(0)
}

pub(super) fn getrusage(_: &mut Kernel, memory: &GuestMemory, [who, out, ..]: Args) -> Result {
    let mut usage = [0; 144];
    host::getrusage(who, &mut usage)?;
    memory.write(out, &usage)?;
    Ok(0)
}

pub(super) fn times(_: &mut Kernel, memory: &GuestMemory, [out, ..]: Args) -> Result {
    let mut times = [0; 32];
    let ticks = host::times(Some(&mut times))?;
    write_optional(memory, out, &times)?;
    Ok(ticks)
}

pub(super) fn getrlimit(kernel: &mut Kernel, memory: &GuestMemory, [resource, out, ..]: Args) -> Result {
    prlimit64(kernel, memory, [0, resource, 0, out, 0, 0])
}

pub(super) fn setrlimit(kernel: &mut Kernel, memory: &GuestMemory, [resource, new, ..]: Args) -> Result {
    prlimit64(kernel, memory, [0, resource, new, 0, 0, 0])
}

/// Limits of memory (`DATA`, `STACK`, `RSS`, `AS`) are remembered only: the host would apply them to the emulator.
pub(super) fn prlimit64(kernel: &mut Kernel, memory: &GuestMemory, [pid, resource, new, old, ..]: Args) -> Result {
    let (pid, resource) = (pid as i32, resource & 0xffff_ffff);
    let new = read_optional::<16>(memory, new)?;
    let own = pid == 0 || Ok(pid as u64) == host::getpid();
    let remembered = own && matches!(resource, 2 | 3 | 5 | 9);
    if new.is_some_and(|limit| u64_at(&limit, 0) > u64_at(&limit, 8)) {
        return Err(Errno::EINVAL);
    }
    let mut former = [0; 16];
    host::prlimit64(pid, resource, new.as_ref().filter(|_| !remembered), Some(&mut former))?;
    if remembered {
        let slot = &mut kernel.limits[resource as usize];
        former = slot.unwrap_or(former);
        *slot = new.or(*slot);
    }
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn getcpu(_: &mut Kernel, memory: &GuestMemory, [cpu_addr, node_addr, ..]: Args) -> Result {
    let (mut cpu, mut node) = ([0; 4], [0; 4]);
    host::getcpu(&mut cpu, &mut node, 0)?;
    write_optional(memory, cpu_addr, &cpu)?;
    write_optional(memory, node_addr, &node)?;
    Ok(0)
}

pub(super) fn sched_getaffinity(_: &mut Kernel, memory: &GuestMemory, [pid, size, out, ..]: Args) -> Result {
    let mut mask = [0; 1024];
    let filled = host::sched_getaffinity(pid as i32, size.min(1024), &mut mask)?;
    memory.write(out, &mask[..filled as usize])?;
    Ok(filled)
}

pub(super) fn sched_setaffinity(_: &mut Kernel, memory: &GuestMemory, [pid, size, mask, ..]: Args) -> Result {
    let mut bits = [0; 1024];
    let size = size.min(1024);
    memory.read(mask, &mut bits[..size as usize])?;
    host::sched_setaffinity(pid as i32, size, &bits)
}

pub(super) fn sched_getparam(_: &mut Kernel, memory: &GuestMemory, [pid, out, ..]: Args) -> Result {
    let mut priority = [0; 4];
    host::sched_getparam(pid as i32, &mut priority)?;
    memory.write(out, &priority)?;
    Ok(0)
}

/// Scheduling policies would be the emulator's.
pub(super) fn sched_setparam(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    Err(Errno::EPERM)
}

pub(super) fn getrandom(kernel: &mut Kernel, memory: &GuestMemory, [buf, len, flags, ..]: Args) -> Result {
    let range = memory.host_range(buf, len.min(32 << 20), Access::Write)?;
    match &mut kernel.random {
        Some(random) => {
            memory.write(buf, &random.bytes(range.len() as usize))?;
            Ok(range.len())
        }
        None => host::getrandom(range, flags),
    }
}

/// Options of `prctl` with integer arguments: death signal, dumpable, keep capabilities, timer slack, subreaper,
/// no new privileges and transparent huge pages, as far as they do not write memory.
const PRCTL_INTEGER: &[u64] = &[1, 3, 4, 7, 8, 23, 29, 30, 36, 38, 39, 42];

pub(super) fn prctl(_: &mut Kernel, memory: &GuestMemory, [option, a, b, c, d, _]: Args) -> Result {
    const PR_GET_PDEATHSIG: u64 = 2;
    const PR_SET_NAME: u64 = 15;
    const PR_GET_NAME: u64 = 16;
    let mut data = [0; 16];
    match option & 0xffff_ffff {
        PR_SET_NAME => {
            let (name, _) = memory.read_c_string(a, 15)?;
            data[..name.len()].copy_from_slice(&name);
            host::prctl_data(PR_SET_NAME, &mut data)
        }
        PR_GET_NAME => {
            host::prctl_data(PR_GET_NAME, &mut data)?;
            memory.write(a, &data)?;
            Ok(0)
        }
        PR_GET_PDEATHSIG => {
            host::prctl_data(PR_GET_PDEATHSIG, &mut data)?;
            memory.write(a, &data[..4])?;
            Ok(0)
        }
        option if PRCTL_INTEGER.contains(&option) => host::prctl(option, a, b, c, d),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn futex(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [addr, op, value, timeout_or_count, second, value3] = args;
    let word = |addr: u64| -> Result<Word> {
        if !addr.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        memory.check(addr, 4, Access::Read)?;
        Ok(Word(Some(memory.host_range(addr, 4, Access::Read)?)))
    };
    let first = word(addr)?;
    match op & 0x7f {
        // FUTEX_WAIT, FUTEX_WAIT_BITSET
        0 | 9 => {
            let timeout = read_optional::<16>(memory, timeout_or_count)?;
            host::futex(first, op, value, timeout.as_ref(), Word(None), value3)
        }
        // FUTEX_WAKE, FUTEX_WAKE_BITSET
        1 | 10 => host::futex(first, op, value, None, Word(None), value3),
        // FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP
        3..=5 => host::futex_requeue(first, op, value, timeout_or_count, word(second)?, value3),
        _ => Err(Errno::ENOSYS),
    }
}

/// Forks. Threads are not here yet. `CLONE_VM` with `CLONE_VFORK` (`vfork`, `posix_spawn`) gets a copy of the memory:
/// what the child writes is not seen by the parent, as under other user-mode emulators.
pub(super) fn clone(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [flags, stack, parent_tid, thread_pointer, child_tid, _] = args;
    if flags & THREAD_FLAGS != 0 {
        kernel.note("the guest wants a second thread, which is not supported yet: it gets EAGAIN".into());
        return Err(Errno::EAGAIN);
    }
    if flags & !FORK_FLAGS != 0 || (flags & CLONE_VM != 0 && flags & CLONE_VFORK == 0) {
        kernel.note(format!("clone with flags {flags:#x} is not supported: the guest gets EINVAL"));
        return Err(Errno::EINVAL);
    }
    let waits = flags & CLONE_VFORK != 0;
    let mut pipe = [0; 8];
    if waits {
        host::pipe2(&mut pipe, libc::O_CLOEXEC as u64)?;
    }
    let (reader, writer) = (u32_at(&pipe, 0) as i32, u32_at(&pipe, 4) as i32);
    kernel.signals.hold_host();
    let pid = host::fork();
    if pid == Ok(0) {
        if waits {
            let _ = host::close(reader);
            // Out of the guest's way; it closes with `execve` or the end of the child.
            if host::fcntl(writer, libc::F_DUPFD_CLOEXEC as u64, 900).is_ok() {
                let _ = host::close(writer);
            }
        }
        if flags & CLONE_CHILD_SETTID != 0 {
            let _ = memory.write(child_tid, &(host::gettid()? as u32).to_le_bytes());
        }
        kernel.is_child = true;
        kernel.just_forked = true;
        kernel.signals.forked();
        kernel.after = Some(After::Child {
            stack: (stack != 0).then_some(stack),
            thread_pointer: (flags & CLONE_SETTLS != 0).then_some(thread_pointer),
        });
        return Ok(0);
    }
    kernel.signals.release_host();
    if waits {
        let _ = host::close(writer);
        if pid.is_ok() {
            wait_for_hangup(reader);
        }
        let _ = host::close(reader);
    }
    let pid = pid?;
    if flags & CLONE_PARENT_SETTID != 0 {
        let _ = memory.write(parent_tid, &(pid as u32).to_le_bytes());
    }
    Ok(pid)
}

/// Waits until nobody has the other end of a pipe open.
fn wait_for_hangup(reader: i32) {
    let mut entry = [0; 8];
    entry[..4].copy_from_slice(&reader.to_le_bytes());
    while host::ppoll_through_signals(host::PollFds(&mut entry), None, 0, 8) == Err(Errno::EINTR) {}
}

fn read_strings(memory: &GuestMemory, mut addr: u64) -> Result<Vec<CString>> {
    let mut strings = Vec::new();
    let mut total = 0;
    if addr == 0 {
        return Ok(strings);
    }
    loop {
        let at = u64::from_le_bytes(memory.load(addr)?);
        if at == 0 {
            return Ok(strings);
        }
        let (bytes, complete) = memory.read_c_string(at, MAX_STRING)?;
        total += bytes.len() + 9;
        if !complete || total > MAX_STRINGS {
            return Err(Errno::E2BIG);
        }
        strings.push(CString::new(bytes).map_err(|_| Errno::EINVAL)?);
        addr = addr.wrapping_add(8);
    }
}

/// What a file to be executed is.
enum Executable {
    /// A program of the guest's architecture.
    Guest,
    /// Something for the host: a native program.
    Host,
    /// A script: its interpreter and the one argument of it.
    Script(CString, Option<CString>),
}

fn recognise(path: &CStr, machine: u16) -> Result<Executable> {
    host::faccessat2(libc::AT_FDCWD, path, 1, 0)?;
    let mut file = std::fs::File::open(OsStr::from_bytes(path.to_bytes()))?;
    if !file.metadata()?.is_file() {
        return Err(Errno::EACCES);
    }
    let mut start = Vec::new();
    file.by_ref().take(256).read_to_end(&mut start)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        return script(line);
    }
    match elf::machine_of(&start) {
        Some(found) if found == machine => Ok(Executable::Guest),
        Some(_) => Ok(Executable::Host),
        None => Err(Errno::ENOEXEC),
    }
}

/// Splits the first line of a script, behind `#!`.
fn script(line: &[u8]) -> Result<Executable> {
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let (interpreter, rest) = match line.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(blank) => (&line[..blank], line[blank..].trim_ascii()),
        None => (line, &b""[..]),
    };
    if interpreter.is_empty() {
        return Err(Errno::ENOEXEC);
    }
    let string = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::ENOEXEC);
    Ok(Executable::Script(string(interpreter)?, if rest.is_empty() { None } else { Some(string(rest)?) }))
}

/// Replaces the process: guest programs go to the configured hook, programs of the host run natively.
pub(super) fn execve(kernel: &mut Kernel, memory: &GuestMemory, [path, argv, envp, ..]: Args) -> Result {
    let mut path = procfs::followed(kernel, kernel.resolve(read_path(memory, path)?), 0);
    let mut argv = read_strings(memory, argv)?;
    let envp = read_strings(memory, envp)?;
    for _ in 0..MAX_SCRIPTS {
        match recognise(&path, kernel.machine)? {
            Executable::Script(interpreter, argument) => {
                let tail = argv.into_iter().skip(1);
                argv = [Some(interpreter.clone()), argument, Some(path)].into_iter().flatten().chain(tail).collect();
                path = kernel.resolve(interpreter);
            }
            Executable::Guest => {
                let Some(hook) = kernel.exec.take() else {
                    return Err(Errno::ENOSYS);
                };
                let ignores_sigpipe = kernel.signals.ignores(libc::SIGPIPE as u8);
                let exec = Exec { path: &path, argv: &argv, envp: &envp, ignores_sigpipe };
                let result = replace(kernel, || hook(&exec).into());
                kernel.exec = Some(hook);
                return result;
            }
            Executable::Host => return replace(kernel, || execute(&path, &argv, &envp).into()),
        }
    }
    Err(Errno::ELOOP)
}

/// Makes a call that replaces the process unless a signal comes first.
fn replace(kernel: &mut Kernel, call: impl FnOnce() -> Errno) -> Result {
    if !kernel.signals.prepare_exec() {
        kernel.after = Some(After::Again);
        return Ok(0);
    }
    let error = call();
    kernel.signals.undo_exec();
    Err(error)
}

/// Executes a program of the host.
pub(super) fn host_execve(path: &CStr, argv: &[CString], envp: &[CString]) -> Result {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    host::execve(path, StringList(&pointers(argv)), StringList(&pointers(envp)))
}

pub(super) fn wait4(_: &mut Kernel, memory: &GuestMemory, [pid, status_addr, options, usage_addr, ..]: Args) -> Result {
    let (mut status, mut usage) = ([0; 4], [0; 144]);
    let pid = host::wait4(pid as i32, &mut status, options, Some(&mut usage))?;
    if pid != 0 {
        write_optional(memory, status_addr, &status)?;
        write_optional(memory, usage_addr, &usage)?;
    }
    Ok(pid)
}

pub(super) fn waitid(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [which, id, info_addr, options, usage_addr, _] = args;
    let (mut info, mut usage) = ([0; 128], [0; 144]);
    let result = host::waitid(which, id, &mut info, options, Some(&mut usage))?;
    write_optional(memory, info_addr, &info)?;
    write_optional(memory, usage_addr, &usage)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_lines_are_split_as_the_kernel_does() {
        let parts = |line: &str| match script(line.as_bytes()) {
            Ok(Executable::Script(interpreter, argument)) => {
                (interpreter.into_string().unwrap(), argument.map(|text| text.into_string().unwrap()))
            }
            _ => panic!("not a script"),
        };
        assert_eq!(parts(" /bin/sh\necho"), ("/bin/sh".into(), None));
        assert_eq!(parts("/usr/bin/env  -S a b \n"), ("/usr/bin/env".into(), Some("-S a b".into())));
        assert!(script(b"\n").is_err());
    }
}
