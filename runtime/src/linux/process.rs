//! Processes: identity, limits, exec, wait, and what does not fit elsewhere. How processes and threads begin and end is
//! in [`super::thread`].

use super::abi::u64_at;
use super::errno::Errno;
use super::host::{self, StringList};
use super::schedule::clock;
use super::sysroot::Last;
use super::{After, Exec, Kernel, execute, procfs, read_optional, read_path, schedule, write_optional};
use crate::elf;
use crate::gate;
use crate::machine::lock;
use crate::mem::{Access, GuestMemory};
use std::ffi::{CStr, CString, OsStr};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

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
    sched_getscheduler(pid: i32);
    getpriority(which: u64, who: u64);
    setpriority(which: u64, who: u64, value: u64);
    membarrier(command: u64, flags: u64, cpu: u64);
    setfsuid(user: u64);
    setfsgid(group: u64);
    unshare(flags: u64);
    setns(fd: i32, kind: u64);
    ioprio_set(which: u64, who: u64, priority: u64);
    ioprio_get(which: u64, who: u64);
    sched_get_priority_max(policy: u64);
    sched_get_priority_min(policy: u64);
    pidfd_open(pid: i32, flags: u64);
}

pub(super) fn sched_yield(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    match schedule::current() {
        Some(turn) => turn.pass(),
        None => drop(host::sched_yield()?),
    }
    Ok(0)
}

/// Asks for properties of the processors by key (`riscv_hwprobe`): all of them have the same.
pub(super) fn hardware_probe(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    const UNKNOWN_KEY: u64 = u64::MAX;
    let [pairs, count, _, _, flags, _] = args;
    if kernel.abi.hardware_property(0).is_none() {
        return Err(Errno::ENOSYS);
    }
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    for at in (0..count).map(|index| pairs.wrapping_add(index.wrapping_mul(16))) {
        let key = u64::from_le_bytes(memory.load(at)?);
        let (key, value) = kernel.abi.hardware_property(key).map_or((UNKNOWN_KEY, 0), |value| (key, value));
        memory.write(at, &[key.to_le_bytes(), value.to_le_bytes()].concat())?;
    }
    Ok(0)
}

/// Changed code is noticed when it is written, so there is nothing left to do.
pub(super) fn flush_icache(kernel: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    kernel.abi.hardware_property(0).map(|_| 0).ok_or(Errno::ENOSYS)
}

/// Known, and refused without a note: C libraries ask and go on without.
pub(super) fn not_here(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    Err(Errno::ENOSYS)
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

/// Giving up all capabilities is what the guest sees already; it cannot have any.
pub(super) fn capset(_: &mut Kernel, memory: &GuestMemory, [header, data, ..]: Args) -> Result {
    memory.load::<8>(header)?;
    if memory.load::<24>(data)? == [0; 24] { Ok(0) } else { Err(Errno::EPERM) }
}

pub(super) fn setgroups(_: &mut Kernel, memory: &GuestMemory, [count, list, ..]: Args) -> Result {
    let count = count & 0xffff_ffff;
    if count > 65536 {
        return Err(Errno::EINVAL);
    }
    let mut groups = Box::new([0; 4 * 65536]);
    memory.read(list, &mut groups[..count as usize * 4])?;
    host::setgroups(count, &groups)
}

/// The personality can be asked for, and addresses that are not random, which they never are here. The others would
/// be the emulator's.
pub(super) fn personality(_: &mut Kernel, _: &GuestMemory, [persona, ..]: Args) -> Result {
    const ADDR_NO_RANDOMIZE: u64 = 0x4_0000;
    match persona & 0xffff_ffff {
        0xffff_ffff => host::personality(0xffff_ffff),
        persona if persona & !ADDR_NO_RANDOMIZE == 0 => host::personality(persona),
        _ => Err(Errno::EINVAL),
    }
}

/// Reads the kernel's log or changes how it is shown; only some commands have a buffer.
pub(super) fn syslog(_: &mut Kernel, memory: &GuestMemory, [kind, addr, len, ..]: Args) -> Result {
    let kind = kind & 0xffff_ffff;
    if matches!(kind, 2..=4) {
        return host::syslog(kind, memory.host_range(addr, len.min(i32::MAX as u64), Access::Write)?);
    }
    // Of the others, one takes a number for a length: the console's level.
    if kind == 8 { Err(Errno::EPERM) } else { host::syslog(kind, memory.host_range(0, 0, Access::Write)?) }
}

pub(super) fn uname(kernel: &mut Kernel, memory: &GuestMemory, [out, ..]: Args) -> Result {
    const MACHINE: usize = 4 * 65;
    let mut names = [0; 390];
    host::uname(&mut names)?;
    let machine = kernel.abi.machine().as_bytes();
    names[MACHINE..MACHINE + 65].fill(0);
    names[MACHINE..MACHINE + machine.len()].copy_from_slice(machine);
    memory.write(out, &names)?;
    Ok(0)
}

pub(super) fn sethostname(_: &mut Kernel, memory: &GuestMemory, [name, len, ..]: Args) -> Result {
    if len > 64 {
        return Err(Errno::EINVAL);
    }
    host::sethostname(&memory.read_vec(name, len)?)
}

pub(super) fn setdomainname(_: &mut Kernel, memory: &GuestMemory, [name, len, ..]: Args) -> Result {
    if len > 64 {
        return Err(Errno::EINVAL);
    }
    host::setdomainname(&memory.read_vec(name, len)?)
}

pub(super) fn sysinfo(_: &mut Kernel, memory: &GuestMemory, [out, ..]: Args) -> Result {
    let mut info = [0; 112];
    host::sysinfo(&mut info)?;
    if let Some(turn) = schedule::current() {
        steady_sysinfo(&mut info, turn.now());
    }
    memory.write(out, &info)?;
    Ok(0)
}

/// Leaves of `struct sysinfo` what does not change from run to run: the time since the start, the sizes of memory, half
/// of it free, and one process.
fn steady_sysinfo(info: &mut [u8; 112], now: u64) {
    let (memory, swap) = (u64_at(info, 32), u64_at(info, 64));
    info[..104].fill(0);
    for (at, value) in [(0, now / 1_000_000_000), (32, memory), (40, memory / 2), (64, swap), (72, swap)] {
        info[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    info[80..82].copy_from_slice(&1u16.to_le_bytes());
    info[104..108].copy_from_slice(&1u32.to_le_bytes());
}

pub(super) fn getrusage(_: &mut Kernel, memory: &GuestMemory, [who, out, ..]: Args) -> Result {
    let mut usage = [0; 144];
    host::getrusage(who, &mut usage)?;
    steady_usage(&mut usage);
    memory.write(out, &usage)?;
    Ok(0)
}

/// In a scheduled run, leaves of `struct rusage` the time of the instructions that all threads have executed.
fn steady_usage(usage: &mut [u8; 144]) {
    if let Some(turn) = schedule::current() {
        usage.fill(0);
        usage[..16].copy_from_slice(&clock::timeval(turn.executed()));
    }
}

pub(super) fn times(_: &mut Kernel, memory: &GuestMemory, [out, ..]: Args) -> Result {
    const TICK: u64 = 10_000_000;
    let mut times = [0; 32];
    let ticks = match schedule::current() {
        Some(turn) => {
            times[..8].copy_from_slice(&(turn.executed() / TICK).to_le_bytes());
            turn.now() / TICK
        }
        None => host::times(Some(&mut times))?,
    };
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
        let mut limits = lock(&kernel.limits);
        let slot = &mut limits[resource as usize];
        former = slot.unwrap_or(former);
        *slot = new.or(*slot);
        if let (Some(limit), 9) = (new, resource) {
            lock(&kernel.space).limit = Some(u64_at(&limit, 0));
        }
    }
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn getcpu(_: &mut Kernel, memory: &GuestMemory, [cpu_addr, node_addr, ..]: Args) -> Result {
    let (mut cpu, mut node) = ([0; 4], [0; 4]);
    if schedule::current().is_none() {
        host::getcpu(&mut cpu, &mut node, 0)?;
    }
    write_optional(memory, cpu_addr, &cpu)?;
    write_optional(memory, node_addr, &node)?;
    Ok(0)
}

pub(super) fn sched_getaffinity(_: &mut Kernel, memory: &GuestMemory, [pid, size, out, ..]: Args) -> Result {
    let mut mask = [0; 1024];
    let filled = host::sched_getaffinity(pid as i32, size.min(1024), &mut mask)?;
    if schedule::current().is_some() {
        // There is one processor.
        mask.fill(0);
        mask[0] = 1;
    }
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

pub(super) fn sched_rr_get_interval(_: &mut Kernel, memory: &GuestMemory, [pid, out, ..]: Args) -> Result {
    let mut time = [0; 16];
    host::sched_rr_get_interval(pid as i32, &mut time)?;
    memory.write(out, &time)?;
    Ok(0)
}

pub(super) fn sched_getattr(_: &mut Kernel, memory: &GuestMemory, [pid, out, size, flags, ..]: Args) -> Result {
    if !(48..=4096).contains(&size) {
        return Err(Errno::EINVAL);
    }
    let size = size.min(256);
    let mut attributes = [0; 256];
    host::sched_getattr(pid as i32, &mut attributes, size, flags)?;
    memory.write(out, &attributes[..size as usize])?;
    Ok(0)
}

/// Scheduling policies would be the emulator's.
pub(super) fn sched_setparam(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    Err(Errno::EPERM)
}

pub(super) fn getrandom(kernel: &mut Kernel, memory: &GuestMemory, [buf, len, flags, ..]: Args) -> Result {
    let range = memory.host_range(buf, len.min(32 << 20), Access::Write)?;
    match &kernel.random {
        Some(random) => {
            memory.write(buf, &lock(random).bytes(range.len() as usize))?;
            Ok(range.len())
        }
        None => host::getrandom(range, flags),
    }
}

/// Options of `prctl` with integer arguments: death signal, dumpable, capabilities and secure bits, whether there is a
/// seccomp filter, timer slack, subreaper, no new privileges, transparent huge pages and who may trace.
const PRCTL_INTEGER: &[u64] = &[1, 3, 4, 7, 8, 21, 23, 24, 27, 28, 29, 30, 36, 38, 39, 42, 47, 0x5961_6d61];

/// Whether a thread may use vector registers, in bits 0 and 1 of its control: as by default, no, yes.
pub(super) const VECTORS_ON: u64 = 2;

/// Sets a thread's control of vectors (`PR_RISCV_V_SET_CONTROL`). They are always on, and so they are in a program that it
/// executes; as on Linux, who uses them cannot turn them off.
fn set_vector_control(kernel: &mut Kernel, control: u64) -> Result {
    const OFF: u64 = 1;
    const INHERIT: u64 = 1 << 4;
    let (now, next) = (control & 3, control >> 2 & 3);
    if !kernel.abi.controls_vectors() || control > 0x1f || now == 3 || next == 3 {
        return Err(Errno::EINVAL);
    }
    if now == OFF || next == OFF {
        return Err(Errno::EPERM);
    }
    kernel.vector_control = VECTORS_ON | next << 2 | control & INHERIT;
    Ok(0)
}

pub(super) fn prctl(kernel: &mut Kernel, memory: &GuestMemory, [option, a, b, c, d, _]: Args) -> Result {
    const PR_GET_PDEATHSIG: u64 = 2;
    const PR_SET_NAME: u64 = 15;
    const PR_GET_CHILD_SUBREAPER: u64 = 37;
    const PR_VECTOR_SET_CONTROL: u64 = 69;
    const PR_VECTOR_GET_CONTROL: u64 = 70;
    const PR_SET_VMA: u64 = 0x5356_4d41;
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
        option @ (PR_GET_PDEATHSIG | PR_GET_CHILD_SUBREAPER) => {
            host::prctl_data(option, &mut data)?;
            memory.write(a, &data[..4])?;
            Ok(0)
        }
        PR_VECTOR_SET_CONTROL => set_vector_control(kernel, a),
        PR_VECTOR_GET_CONTROL if kernel.abi.controls_vectors() => Ok(kernel.vector_control),
        // Names of anonymous memory are for people who read `maps`.
        PR_SET_VMA => Ok(0),
        option if PRCTL_INTEGER.contains(&option) => host::prctl(option, a, b, c, d),
        _ => Err(Errno::EINVAL),
    }
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

pub(super) fn execve(kernel: &mut Kernel, memory: &GuestMemory, [path, argv, envp, ..]: Args) -> Result {
    let path = kernel.resolve(read_path(memory, path)?, Last::Follow);
    execute_path(kernel, memory, procfs::followed(kernel, path, 0), argv, envp)
}

/// As `execve` of what a descriptor names (`fexecve`), or of a path below it.
pub(super) fn execveat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, argv, envp, flags, _]: Args) -> Result {
    const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
    const AT_EMPTY_PATH: u64 = 0x1000;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let (dir, path) = (dir as i32, read_path(memory, path)?);
    let path = match path.to_bytes() {
        b"" if flags & AT_EMPTY_PATH == 0 => return Err(Errno::ENOENT),
        b"" => program_of(dir)?,
        [b'/', ..] => kernel.resolve(path, Last::Follow),
        _ if dir == libc::AT_FDCWD => path,
        below => path_of([host::fd_path(dir).as_bytes(), b"/", below].concat())?,
    };
    if flags & AT_SYMLINK_NOFOLLOW != 0 && Path::new(OsStr::from_bytes(path.to_bytes())).is_symlink() {
        return Err(Errno::ELOOP);
    }
    execute_path(kernel, memory, path, argv, envp)
}

/// A path of the file behind a descriptor that is still good when the descriptor has closed with `execve`. A file that
/// has no name gets another descriptor, which stays open.
fn program_of(fd: i32) -> Result<CString> {
    host::fcntl(fd, libc::F_GETFD as u64, 0)?;
    let name = host::fd_path(fd);
    if Path::new(&name).is_file() {
        return path_of(name.into_bytes());
    }
    let copy = host::fcntl(fd, libc::F_DUPFD as u64, 3)?;
    path_of(format!("/proc/self/fd/{copy}").into_bytes())
}

fn path_of(bytes: Vec<u8>) -> Result<CString> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// Replaces the process: guest programs go to the configured hook, programs of the host run natively.
fn execute_path(kernel: &mut Kernel, memory: &GuestMemory, mut path: CString, argv: u64, envp: u64) -> Result {
    let mut argv = read_strings(memory, argv)?;
    let envp = read_strings(memory, envp)?;
    for _ in 0..MAX_SCRIPTS {
        match recognise(&path, kernel.machine)? {
            Executable::Script(interpreter, argument) => {
                let tail = argv.into_iter().skip(1);
                argv = [Some(interpreter.clone()), argument, Some(path)].into_iter().flatten().chain(tail).collect();
                path = kernel.resolve(interpreter, Last::Follow);
            }
            Executable::Guest => {
                let shared = kernel.shared.clone();
                let Some(hook) = &shared.exec else {
                    return Err(Errno::ENOSYS);
                };
                let ignores_sigpipe = kernel.signals.ignores(libc::SIGPIPE as u8);
                let exec = Exec { path: &path, argv: &argv, envp: &envp, ignores_sigpipe };
                return replace(kernel, || hook(&exec).into());
            }
            Executable::Host => return replace(kernel, || execute_outside(&path, &argv, &envp).into()),
        }
    }
    Err(Errno::ELOOP)
}

/// Executes a program of the host, which no schedule covers.
fn execute_outside(path: &CStr, argv: &[CString], envp: &[CString]) -> std::io::Error {
    let turn = schedule::current();
    turn.inspect(|turn| turn.step_aside());
    let error = execute(path, argv, envp);
    turn.inspect(|turn| turn.step_back());
    error
}

/// Makes a call that replaces the process unless a signal comes first.
fn replace(kernel: &mut Kernel, call: impl FnOnce() -> Errno) -> Result {
    if !kernel.signals.prepare_exec() {
        kernel.after = Some(After::Again);
        return Ok(0);
    }
    // The host ends all other threads, wherever they are.
    let error = gate::exclusive(|| {
        kernel.shared.before_exec.get().inspect(|write| write());
        call()
    });
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
    steady_usage(&mut usage);
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
    steady_usage(&mut usage);
    schedule::guest_siginfo(&mut info);
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
