//! The system calls: one row each, with its number, its name, its arguments and its handler.
//!
//! Numbers are those of `include/uapi/asm-generic/unistd.h`, which AArch64 and RISC-V share. A row that begins with
//! `restart` is made again after a signal whose handler has `SA_RESTART` (signal(7)); the others end with `EINTR`.
//! Rows of one architecture's own calls fail on others, which do not show them to scripts.
//! A call that is not here gets `ENOSYS`, and the user can be told.

use super::errno::Errno;
use super::flags::{self, Names};
use super::{Kernel, fs, ipc, mem, process, signal, socket, thread, time};
use crate::mem::GuestMemory;
use spile_lang::target::SystemCall;
use spile_lang::types::Type;

/// What an argument is, for tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A file descriptor.
    Fd,
    /// A directory descriptor or `AT_FDCWD`.
    Dir,
    /// Address of a path.
    Path,
    /// Address of bytes that the call reads; the next argument is their number.
    In,
    /// Address of bytes that the call writes; the next argument is their number.
    Out,
    /// An address.
    Ptr,
    /// A number of bytes or an offset.
    Size,
    /// A signed integer.
    Int,
    /// Bits, shown in hexadecimal.
    Flags,
    /// Flags or a choice among numbers, shown by their names.
    Named(&'static Names),
    /// File permission bits, shown in octal.
    Mode,
    /// A signal number.
    Signal,
    /// A process, thread or group id.
    Pid,
}

/// What performs a call: kernel, guest memory, arguments.
pub type Handler = fn(&mut Kernel, &GuestMemory, [u64; 6]) -> Result<u64, Errno>;

/// A system call.
#[derive(Debug)]
pub struct Row {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// Its arguments: names and kinds.
    pub args: &'static [(&'static str, Arg)],
    /// Whether it is made again after a signal handler with `SA_RESTART`.
    pub restarts: bool,
    /// What performs it.
    pub handler: Handler,
}

macro_rules! rows {
    ($($number:literal $($restart:ident)? : $name:ident($($arg:ident: $kind:ident),*) => $handler:path;)*) => {
        /// All rows, by number.
        pub static ROWS: &[Row] = &{
            use {Arg::*, flags::*};
            [$(Row {
            number: $number,
            name: stringify!($name),
            args: &[$((stringify!($arg), $kind)),*],
            restarts: rows!(@restart $($restart)?),
            handler: $handler,
        }),*]
        };
    };
    (@restart restart) => { true };
    (@restart) => { false };
}

rows! {
    0: io_setup(count: Int, context: Ptr) => process::not_here;
    5: setxattr(path: Path, name: Path, value: In, size: Size, flags: Flags) => fs::setxattr;
    6: lsetxattr(path: Path, name: Path, value: In, size: Size, flags: Flags) => fs::lsetxattr;
    7: fsetxattr(fd: Fd, name: Path, value: In, size: Size, flags: Flags) => fs::fsetxattr;
    8: getxattr(path: Path, name: Path, value: Out, size: Size) => fs::getxattr;
    9: lgetxattr(path: Path, name: Path, value: Out, size: Size) => fs::lgetxattr;
    10: fgetxattr(fd: Fd, name: Path, value: Out, size: Size) => fs::fgetxattr;
    11: listxattr(path: Path, list: Out, size: Size) => fs::listxattr;
    12: llistxattr(path: Path, list: Out, size: Size) => fs::llistxattr;
    13: flistxattr(fd: Fd, list: Out, size: Size) => fs::flistxattr;
    14: removexattr(path: Path, name: Path) => fs::removexattr;
    15: lremovexattr(path: Path, name: Path) => fs::lremovexattr;
    16: fremovexattr(fd: Fd, name: Path) => fs::fremovexattr;
    17: getcwd(buf: Out, size: Size) => fs::getcwd;
    19: eventfd2(count: Int, flags: EVENTFD) => fs::eventfd2;
    20: epoll_create1(flags: EPOLL) => fs::epoll_create1;
    21: epoll_ctl(epfd: Fd, op: EPOLL_OP, fd: Fd, event: Ptr) => fs::epoll_ctl;
    22: epoll_pwait(epfd: Fd, events: Ptr, maxevents: Int, timeout: Int, sigmask: Ptr, size: Size) => fs::epoll_pwait;
    23: dup(fd: Fd) => fs::dup;
    24: dup3(oldfd: Fd, newfd: Fd, flags: PIPE) => fs::dup3;
    25 restart: fcntl(fd: Fd, cmd: FCNTL, arg: Flags) => fs::fcntl;
    26: inotify_init1(flags: Flags) => fs::inotify_init1;
    27: inotify_add_watch(fd: Fd, path: Path, mask: Flags) => fs::inotify_add_watch;
    28: inotify_rm_watch(fd: Fd, watch: Int) => fs::inotify_rm_watch;
    29: ioctl(fd: Fd, request: Flags, arg: Ptr) => fs::ioctl;
    30: ioprio_set(which: Int, who: Pid, ioprio: Int) => process::ioprio_set;
    31: ioprio_get(which: Int, who: Pid) => process::ioprio_get;
    32 restart: flock(fd: Fd, operation: LOCK) => fs::flock;
    33: mknodat(dirfd: Dir, path: Path, mode: Mode, dev: Int) => fs::mknodat;
    34: mkdirat(dirfd: Dir, path: Path, mode: Mode) => fs::mkdirat;
    35: unlinkat(dirfd: Dir, path: Path, flags: UNLINK) => fs::unlinkat;
    36: symlinkat(target: Path, dirfd: Dir, path: Path) => fs::symlinkat;
    37: linkat(olddirfd: Dir, old: Path, newdirfd: Dir, new: Path, flags: AT) => fs::linkat;
    38: renameat(olddirfd: Dir, old: Path, newdirfd: Dir, new: Path) => fs::renameat;
    43: statfs(path: Path, buf: Ptr) => fs::statfs;
    44: fstatfs(fd: Fd, buf: Ptr) => fs::fstatfs;
    45: truncate(path: Path, length: Size) => fs::truncate;
    46: ftruncate(fd: Fd, length: Size) => fs::ftruncate;
    47: fallocate(fd: Fd, mode: Flags, offset: Size, len: Size) => fs::fallocate;
    48: faccessat(dirfd: Dir, path: Path, mode: ACCESS) => fs::faccessat;
    49: chdir(path: Path) => fs::chdir;
    50: fchdir(fd: Fd) => fs::fchdir;
    51: chroot(path: Path) => fs::chroot;
    52: fchmod(fd: Fd, mode: Mode) => fs::fchmod;
    53: fchmodat(dirfd: Dir, path: Path, mode: Mode) => fs::fchmodat;
    54: fchownat(dirfd: Dir, path: Path, owner: Int, group: Int, flags: AT) => fs::fchownat;
    55: fchown(fd: Fd, owner: Int, group: Int) => fs::fchown;
    56 restart: openat(dirfd: Dir, path: Path, flags: OPEN, mode: Mode) => fs::openat;
    57: close(fd: Fd) => fs::close;
    59: pipe2(fds: Ptr, flags: PIPE) => fs::pipe2;
    61: getdents64(fd: Fd, buf: Out, count: Size) => fs::getdents64;
    62: lseek(fd: Fd, offset: Int, whence: WHENCE) => fs::lseek;
    63 restart: read(fd: Fd, buf: Out, count: Size) => fs::read;
    64 restart: write(fd: Fd, buf: In, count: Size) => fs::write;
    65 restart: readv(fd: Fd, iov: Ptr, iovcnt: Int) => fs::readv;
    66 restart: writev(fd: Fd, iov: Ptr, iovcnt: Int) => fs::writev;
    67 restart: pread64(fd: Fd, buf: Out, count: Size, offset: Size) => fs::pread64;
    68 restart: pwrite64(fd: Fd, buf: In, count: Size, offset: Size) => fs::pwrite64;
    69 restart: preadv(fd: Fd, iov: Ptr, iovcnt: Int, low: Size, high: Size) => fs::preadv;
    70 restart: pwritev(fd: Fd, iov: Ptr, iovcnt: Int, low: Size, high: Size) => fs::pwritev;
    71 restart: sendfile(out_fd: Fd, in_fd: Fd, offset: Ptr, count: Size) => fs::sendfile;
    72: pselect6(nfds: Int, readfds: Ptr, writefds: Ptr, exceptfds: Ptr, timeout: Ptr, sigmask: Ptr) => fs::pselect6;
    73: ppoll(fds: Ptr, nfds: Int, timeout: Ptr, sigmask: Ptr, size: Size) => fs::ppoll;
    74: signalfd4(fd: Fd, mask: Ptr, size: Size, flags: SIGNALFD) => signal::signalfd4;
    75 restart: vmsplice(fd: Fd, iov: Ptr, iovcnt: Int, flags: Flags) => fs::vmsplice;
    76 restart: splice(fd_in: Fd, off_in: Ptr, fd_out: Fd, off_out: Ptr, len: Size, flags: Flags) => fs::splice;
    77 restart: tee(fd_in: Fd, fd_out: Fd, len: Size, flags: Flags) => fs::tee;
    78: readlinkat(dirfd: Dir, path: Path, buf: Out, size: Size) => fs::readlinkat;
    79: newfstatat(dirfd: Dir, path: Path, statbuf: Ptr, flags: AT) => fs::newfstatat;
    80: fstat(fd: Fd, statbuf: Ptr) => fs::fstat;
    81: sync() => fs::sync;
    82: fsync(fd: Fd) => fs::fsync;
    83: fdatasync(fd: Fd) => fs::fdatasync;
    84: sync_file_range(fd: Fd, offset: Size, len: Size, flags: Flags) => fs::sync_file_range;
    85: timerfd_create(clock: CLOCK, flags: TIMERFD) => time::timerfd_create;
    86: timerfd_settime(fd: Fd, flags: TIMER, new: Ptr, old: Ptr) => time::timerfd_settime;
    87: timerfd_gettime(fd: Fd, value: Ptr) => time::timerfd_gettime;
    88: utimensat(dirfd: Dir, path: Path, times: Ptr, flags: AT) => fs::utimensat;
    90: capget(header: Ptr, data: Ptr) => process::capget;
    91: capset(header: Ptr, data: Ptr) => process::capset;
    92: personality(persona: Flags) => process::personality;
    93: exit(status: Int) => thread::exit;
    94: exit_group(status: Int) => thread::exit_group;
    95 restart: waitid(which: WAIT_ID, id: Pid, info: Ptr, options: WAIT, rusage: Ptr) => process::waitid;
    96: set_tid_address(tidptr: Ptr) => thread::set_tid_address;
    97: unshare(flags: CLONE) => process::unshare;
    98 restart: futex(uaddr: Ptr, op: FUTEX, val: Int, timeout: Ptr, uaddr2: Ptr, val3: Int) => thread::futex;
    99: set_robust_list(head: Ptr, len: Size) => thread::set_robust_list;
    100: get_robust_list(pid: Pid, head: Ptr, len: Ptr) => thread::get_robust_list;
    101: nanosleep(req: Ptr, rem: Ptr) => time::nanosleep;
    102: getitimer(which: ITIMER, value: Ptr) => time::getitimer;
    103: setitimer(which: ITIMER, new: Ptr, old: Ptr) => time::setitimer;
    107: timer_create(clock: CLOCK, event: Ptr, id: Ptr) => time::timer_create;
    108: timer_gettime(id: Int, value: Ptr) => time::timer_gettime;
    109: timer_getoverrun(id: Int) => time::timer_getoverrun;
    110: timer_settime(id: Int, flags: TIMER, new: Ptr, old: Ptr) => time::timer_settime;
    111: timer_delete(id: Int) => time::timer_delete;
    112: clock_settime(clock: CLOCK, time: Ptr) => time::clock_settime;
    113: clock_gettime(clock: CLOCK, time: Ptr) => time::clock_gettime;
    114: clock_getres(clock: CLOCK, res: Ptr) => time::clock_getres;
    115: clock_nanosleep(clock: CLOCK, flags: TIMER, req: Ptr, rem: Ptr) => time::clock_nanosleep;
    116 restart: syslog(kind: Int, buf: Out, len: Size) => process::syslog;
    118: sched_setparam(pid: Pid, param: Ptr) => process::sched_setparam;
    119: sched_setscheduler(pid: Pid, policy: Int, param: Ptr) => process::sched_setparam;
    120: sched_getscheduler(pid: Pid) => process::sched_getscheduler;
    121: sched_getparam(pid: Pid, param: Ptr) => process::sched_getparam;
    122: sched_setaffinity(pid: Pid, size: Size, mask: Ptr) => process::sched_setaffinity;
    123: sched_getaffinity(pid: Pid, size: Size, mask: Ptr) => process::sched_getaffinity;
    124: sched_yield() => process::sched_yield;
    125: sched_get_priority_max(policy: Int) => process::sched_get_priority_max;
    126: sched_get_priority_min(policy: Int) => process::sched_get_priority_min;
    127: sched_rr_get_interval(pid: Pid, time: Ptr) => process::sched_rr_get_interval;
    129: kill(pid: Pid, sig: Signal) => signal::kill;
    130: tkill(tid: Pid, sig: Signal) => signal::tkill;
    131: tgkill(tgid: Pid, tid: Pid, sig: Signal) => signal::tgkill;
    132: sigaltstack(new: Ptr, old: Ptr) => signal::sigaltstack;
    133: rt_sigsuspend(mask: Ptr, size: Size) => signal::rt_sigsuspend;
    134: rt_sigaction(sig: Signal, new: Ptr, old: Ptr, size: Size) => signal::rt_sigaction;
    135: rt_sigprocmask(how: MASKING, set: Ptr, old: Ptr, size: Size) => signal::rt_sigprocmask;
    136: rt_sigpending(set: Ptr, size: Size) => signal::rt_sigpending;
    137: rt_sigtimedwait(set: Ptr, info: Ptr, timeout: Ptr, size: Size) => signal::rt_sigtimedwait;
    138: rt_sigqueueinfo(pid: Pid, sig: Signal, info: Ptr) => signal::rt_sigqueueinfo;
    139: rt_sigreturn() => signal::rt_sigreturn;
    140: setpriority(which: Int, who: Pid, prio: Int) => process::setpriority;
    141: getpriority(which: Int, who: Pid) => process::getpriority;
    143: setregid(rgid: Int, egid: Int) => process::setregid;
    144: setgid(gid: Int) => process::setgid;
    145: setreuid(ruid: Int, euid: Int) => process::setreuid;
    146: setuid(uid: Int) => process::setuid;
    147: setresuid(ruid: Int, euid: Int, suid: Int) => process::setresuid;
    148: getresuid(ruid: Ptr, euid: Ptr, suid: Ptr) => process::getresuid;
    149: setresgid(rgid: Int, egid: Int, sgid: Int) => process::setresgid;
    150: getresgid(rgid: Ptr, egid: Ptr, sgid: Ptr) => process::getresgid;
    151: setfsuid(uid: Int) => process::setfsuid;
    152: setfsgid(gid: Int) => process::setfsgid;
    153: times(buf: Ptr) => process::times;
    154: setpgid(pid: Pid, pgid: Pid) => process::setpgid;
    155: getpgid(pid: Pid) => process::getpgid;
    156: getsid(pid: Pid) => process::getsid;
    157: setsid() => process::setsid;
    158: getgroups(size: Int, list: Ptr) => process::getgroups;
    159: setgroups(size: Int, list: Ptr) => process::setgroups;
    160: uname(buf: Ptr) => process::uname;
    161: sethostname(name: In, len: Size) => process::sethostname;
    162: setdomainname(name: In, len: Size) => process::setdomainname;
    163: getrlimit(resource: RESOURCE, limit: Ptr) => process::getrlimit;
    164: setrlimit(resource: RESOURCE, limit: Ptr) => process::setrlimit;
    165: getrusage(who: USAGE, usage: Ptr) => process::getrusage;
    166: umask(mask: Mode) => fs::umask;
    167: prctl(option: Int, a: Flags, b: Flags, c: Flags, d: Flags) => process::prctl;
    168: getcpu(cpu: Ptr, node: Ptr) => process::getcpu;
    169: gettimeofday(tv: Ptr, tz: Ptr) => time::gettimeofday;
    170: settimeofday(tv: Ptr, tz: Ptr) => time::settimeofday;
    171: adjtimex(values: Ptr) => time::adjtimex;
    172: getpid() => process::getpid;
    173: getppid() => process::getppid;
    174: getuid() => process::getuid;
    175: geteuid() => process::geteuid;
    176: getgid() => process::getgid;
    177: getegid() => process::getegid;
    178: gettid() => process::gettid;
    179: sysinfo(info: Ptr) => process::sysinfo;
    180: mq_open(name: Path, flags: Flags, mode: Mode, attr: Ptr) => ipc::mq_open;
    181: mq_unlink(name: Path) => ipc::mq_unlink;
    182 restart: mq_timedsend(fd: Fd, msg: In, len: Size, prio: Int, timeout: Ptr) => ipc::mq_timedsend;
    183 restart: mq_timedreceive(fd: Fd, msg: Out, len: Size, prio: Ptr, timeout: Ptr) => ipc::mq_timedreceive;
    184: mq_notify(fd: Fd, event: Ptr) => process::not_here;
    185: mq_getsetattr(fd: Fd, new: Ptr, old: Ptr) => ipc::mq_getsetattr;
    186: msgget(key: Int, flags: Flags) => ipc::msgget;
    187: msgctl(id: Int, cmd: Int, buf: Ptr) => ipc::msgctl;
    188: msgrcv(id: Int, msg: Ptr, size: Size, kind: Int, flags: Flags) => ipc::msgrcv;
    189: msgsnd(id: Int, msg: Ptr, size: Size, flags: Flags) => ipc::msgsnd;
    190: semget(key: Int, nsems: Int, flags: Flags) => ipc::semget;
    191: semctl(id: Int, index: Int, cmd: Int, arg: Ptr) => ipc::semctl;
    192: semtimedop(id: Int, ops: Ptr, nops: Size, timeout: Ptr) => ipc::semtimedop;
    193: semop(id: Int, ops: Ptr, nops: Size) => ipc::semop;
    194: shmget(key: Int, size: Size, flags: Flags) => ipc::shmget;
    195: shmctl(id: Int, cmd: Int, buf: Ptr) => ipc::shmctl;
    196: shmat(id: Int, addr: Ptr, flags: Flags) => ipc::shmat;
    197: shmdt(addr: Ptr) => ipc::shmdt;
    198: socket(domain: DOMAIN, kind: SOCKET, protocol: Int) => socket::socket;
    199: socketpair(domain: DOMAIN, kind: SOCKET, protocol: Int, fds: Ptr) => socket::socketpair;
    200: bind(fd: Fd, addr: In, len: Size) => socket::bind;
    201: listen(fd: Fd, backlog: Int) => socket::listen;
    202 restart: accept(fd: Fd, addr: Ptr, len: Ptr) => socket::accept;
    203 restart: connect(fd: Fd, addr: In, len: Size) => socket::connect;
    204: getsockname(fd: Fd, addr: Ptr, len: Ptr) => socket::getsockname;
    205: getpeername(fd: Fd, addr: Ptr, len: Ptr) => socket::getpeername;
    206 restart: sendto(fd: Fd, buf: In, len: Size, flags: MESSAGE, addr: Ptr, addrlen: Size) => socket::sendto;
    207 restart: recvfrom(fd: Fd, buf: Out, len: Size, flags: MESSAGE, addr: Ptr, addrlen: Ptr) => socket::recvfrom;
    208: setsockopt(fd: Fd, level: Int, name: Int, value: Ptr, len: Size) => socket::setsockopt;
    209: getsockopt(fd: Fd, level: Int, name: Int, value: Ptr, len: Ptr) => socket::getsockopt;
    210: shutdown(fd: Fd, how: SHUTDOWN) => socket::shutdown;
    211 restart: sendmsg(fd: Fd, msg: Ptr, flags: MESSAGE) => socket::sendmsg;
    212 restart: recvmsg(fd: Fd, msg: Ptr, flags: MESSAGE) => socket::recvmsg;
    213: readahead(fd: Fd, offset: Size, count: Size) => fs::readahead;
    214: brk(addr: Ptr) => mem::brk;
    215: munmap(addr: Ptr, length: Size) => mem::munmap;
    216: mremap(old: Ptr, oldsize: Size, newsize: Size, flags: REMAP, new: Ptr) => mem::mremap;
    217: add_key(kind: Path, name: Path, payload: In, size: Size, keyring: Int) => process::not_here;
    218: request_key(kind: Path, name: Path, info: Path, keyring: Int) => process::not_here;
    219: keyctl(operation: Int, a: Flags, b: Flags, c: Flags, d: Flags) => process::not_here;
    220: clone(flags: CLONE, stack: Ptr, parent_tid: Ptr, tls: Ptr, child_tid: Ptr) => thread::clone;
    221: execve(path: Path, argv: Ptr, envp: Ptr) => process::execve;
    222: mmap(addr: Ptr, length: Size, prot: PROT, flags: MAP, fd: Fd, offset: Size) => mem::mmap;
    223: fadvise64(fd: Fd, offset: Size, len: Size, advice: Int) => fs::fadvise64;
    226: mprotect(addr: Ptr, len: Size, prot: PROT) => mem::mprotect;
    227: msync(addr: Ptr, length: Size, flags: SYNC) => mem::msync;
    228: mlock(addr: Ptr, length: Size) => mem::mlock;
    229: munlock(addr: Ptr, length: Size) => mem::mlock;
    230: mlockall(flags: Flags) => mem::mlockall;
    231: munlockall() => mem::mlockall;
    232: mincore(addr: Ptr, length: Size, vec: Ptr) => mem::mincore;
    233: madvise(addr: Ptr, length: Size, advice: ADVICE) => mem::madvise;
    235: mbind(addr: Ptr, len: Size, mode: Int, mask: Ptr, maxnode: Int, flags: Flags) => process::not_here;
    236: get_mempolicy(mode: Ptr, mask: Ptr, maxnode: Int, addr: Ptr, flags: Flags) => process::not_here;
    237: set_mempolicy(mode: Int, mask: Ptr, maxnode: Int) => process::not_here;
    240: rt_tgsigqueueinfo(tgid: Pid, tid: Pid, sig: Signal, info: Ptr) => signal::rt_tgsigqueueinfo;
    241: perf_event_open(attr: Ptr, pid: Pid, cpu: Int, group: Fd, flags: Flags) => process::not_here;
    242 restart: accept4(fd: Fd, addr: Ptr, len: Ptr, flags: ACCEPT) => socket::accept4;
    243 restart: recvmmsg(fd: Fd, msgs: Ptr, count: Int, flags: MESSAGE, timeout: Ptr) => socket::recvmmsg;
    258: riscv_hwprobe(pairs: Ptr, count: Size, cpusetsize: Size, cpus: Ptr, flags: Flags) => process::hardware_probe;
    259: riscv_flush_icache(start: Ptr, end: Ptr, flags: Flags) => process::flush_icache;
    260 restart: wait4(pid: Pid, status: Ptr, options: WAIT, rusage: Ptr) => process::wait4;
    261: prlimit64(pid: Pid, resource: RESOURCE, new: Ptr, old: Ptr) => process::prlimit64;
    264: name_to_handle_at(dirfd: Dir, path: Path, handle: Ptr, mount: Ptr, flags: AT) => fs::name_to_handle_at;
    266: clock_adjtime(clock: CLOCK, values: Ptr) => time::clock_adjtime;
    267: syncfs(fd: Fd) => fs::syncfs;
    268: setns(fd: Fd, kind: CLONE) => process::setns;
    269 restart: sendmmsg(fd: Fd, msgs: Ptr, count: Int, flags: MESSAGE) => socket::sendmmsg;
    274: sched_setattr(pid: Pid, attr: Ptr, flags: Flags) => process::sched_setparam;
    275: sched_getattr(pid: Pid, attr: Ptr, size: Size, flags: Flags) => process::sched_getattr;
    276: renameat2(olddirfd: Dir, old: Path, newdirfd: Dir, new: Path, flags: RENAME) => fs::renameat2;
    277: seccomp(operation: Int, flags: Flags, args: Ptr) => process::not_here;
    278: getrandom(buf: Out, buflen: Size, flags: RANDOM) => process::getrandom;
    279: memfd_create(name: Path, flags: MEMFD) => fs::memfd_create;
    280: bpf(cmd: Int, attr: Ptr, size: Size) => process::not_here;
    281: execveat(dirfd: Dir, path: Path, argv: Ptr, envp: Ptr, flags: AT) => process::execveat;
    283: membarrier(cmd: Int, flags: Flags, cpu: Int) => process::membarrier;
    284: mlock2(addr: Ptr, length: Size, flags: Flags) => mem::mlock2;
    285: copy_file_range(fd_in: Fd, off_in: Ptr, fd_out: Fd, off_out: Ptr, len: Size, flags: Flags) => fs::copy_file_range;
    286 restart: preadv2(fd: Fd, iov: Ptr, iovcnt: Int, low: Size, high: Size, flags: Flags) => fs::preadv2;
    287 restart: pwritev2(fd: Fd, iov: Ptr, iovcnt: Int, low: Size, high: Size, flags: Flags) => fs::pwritev2;
    288: pkey_mprotect(addr: Ptr, len: Size, prot: PROT, pkey: Int) => mem::pkey_mprotect;
    289: pkey_alloc(flags: Flags, rights: Flags) => process::not_here;
    290: pkey_free(pkey: Int) => process::not_here;
    291: statx(dirfd: Dir, path: Path, flags: AT, mask: STATX, statxbuf: Ptr) => fs::statx;
    293: rseq(area: Ptr, len: Size, flags: Flags, sig: Flags) => process::not_here;
    424: pidfd_send_signal(pidfd: Fd, sig: Signal, info: Ptr, flags: Flags) => signal::pidfd_send_signal;
    425: io_uring_setup(entries: Int, params: Ptr) => process::not_here;
    434: pidfd_open(pid: Pid, flags: Flags) => process::pidfd_open;
    435: clone3(args: Ptr, size: Size) => thread::clone3;
    436: close_range(first: Int, last: Int, flags: Flags) => fs::close_range;
    437 restart: openat2(dirfd: Dir, path: Path, how: In, size: Size) => fs::openat2;
    439: faccessat2(dirfd: Dir, path: Path, mode: ACCESS, flags: ACCESS_AT) => fs::faccessat2;
    441: epoll_pwait2(epfd: Fd, events: Ptr, maxevents: Int, timeout: Ptr, sigmask: Ptr, size: Size) => fs::epoll_pwait2;
    444: landlock_create_ruleset(attr: Ptr, size: Size, flags: Flags) => process::not_here;
    447: memfd_secret(flags: Flags) => process::not_here;
    449: futex_waitv(waiters: Ptr, count: Int, flags: Flags, timeout: Ptr, clock: CLOCK) => process::not_here;
    451: cachestat(fd: Fd, range: Ptr, stat: Ptr, flags: Flags) => process::not_here;
    452: fchmodat2(dirfd: Dir, path: Path, mode: Mode, flags: AT) => fs::fchmodat2;
    462: mseal(addr: Ptr, len: Size, flags: Flags) => process::not_here;
}

/// The number of rows of the index: one more than the highest number.
const INDEX_SIZE: usize = 512;

/// Position in [`ROWS`] plus one, by number.
static INDEX: [u16; INDEX_SIZE] = {
    let mut index = [0; INDEX_SIZE];
    let mut row = 0;
    while row < ROWS.len() {
        index[ROWS[row].number as usize] = row as u16 + 1;
        row += 1;
    }
    index
};

/// Returns the name of a system call.
pub fn name(number: u64) -> Option<&'static str> {
    find(number).map(|row| row.name)
}

/// Finds the row of a call.
pub fn find(number: u64) -> Option<&'static Row> {
    let position = usize::from(*INDEX.get(usize::try_from(number).ok()?)?);
    position.checked_sub(1).map(|row| &ROWS[row])
}

/// Finds the row of a call by its name.
pub fn find_name(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

impl Row {
    /// True for the numbers that each architecture gives a meaning of its own (`__NR_arch_specific_syscall`).
    pub fn is_of_one_architecture(&self) -> bool {
        (244..260).contains(&self.number)
    }

    /// The type that scripts see argument `n` with. A register is 64 bits wide and most arguments are not: what is
    /// above them means nothing to the kernel.
    fn argument_type(&self, n: usize) -> Type {
        let (name, kind) = self.args[n];
        let int = |bits, signed| Type::Int { bits, signed };
        match kind {
            Arg::Int if name == "offset" => int(64, true),
            Arg::Fd | Arg::Dir | Arg::Int | Arg::Signal | Arg::Pid => int(32, true),
            Arg::Mode => int(32, false),
            Arg::Size => int(64, false),
            Arg::Named(names) if names.is_choice() => int(32, true),
            Arg::Path | Arg::In | Arg::Out | Arg::Ptr | Arg::Flags | Arg::Named(_) => Type::Word,
        }
    }
}

/// The calls that `has` accepts, as scripts see them.
pub fn described(has: impl Fn(&Row) -> bool) -> Vec<SystemCall> {
    let argument = |row: &'static Row, n: usize| (row.args[n].0, row.argument_type(n));
    let call = |row: &'static Row| SystemCall {
        number: row.number.into(),
        name: row.name,
        args: (0..row.args.len()).map(|n| argument(row, n)).collect(),
    };
    ROWS.iter().filter(|row| has(row)).map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_found() {
        assert!(ROWS.is_sorted_by(|a, b| a.number < b.number));
        for row in ROWS {
            assert_eq!(find(u64::from(row.number)).unwrap().name, row.name);
            assert!(row.args.len() <= 6, "{}", row.name);
        }
        assert!(find(105).is_none());
        assert!(find(u64::MAX).is_none());
        assert_eq!(find_name("openat").unwrap().number, 56);
    }
}
