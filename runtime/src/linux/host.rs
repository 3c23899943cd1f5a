//! Calls of the host kernel for the guest. Unsafe code lives here, and only here in `linux`.
//!
//! Why not `rustix` or `std`: a guest's descriptors and addresses are plain numbers that nobody owns, and their safe
//! wrappers want owned or borrowed objects. So the calls that take guest values are rows of one table, each with the
//! kernel's prototype; an argument's Rust type carries the size that the kernel reads or writes, and the functions
//! that the table makes are safe.
//!
//! Calls marked `blocking` never sleep while a signal that the guest must see has been recorded: the check and the
//! call are one short piece of assembly, and the recording handler moves a thread that is between the two to its end
//! (the method of QEMU's `safe-syscall`). They end with `EINTR` then, and [`has_begun`] says that the host never saw the
//! call.
#![allow(unsafe_code, reason = "raw system calls and signal handlers")]

use super::errno::Errno;
use super::schedule;
use crate::cpu::poll;
use crate::gate;
use crate::mem::{ADDRESS_SPACE, HostRange};
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

// ---------------------------------------------------------------------------------------------------- system calls

/// The register arguments of a call under construction.
#[derive(Default)]
struct Args {
    values: [u64; 6],
    count: usize,
}

impl Args {
    fn push(&mut self, value: u64) {
        self.values[self.count] = value;
        self.count += 1;
    }
}

/// Something that a call takes: an integer, a buffer of the size that the call uses, or a buffer and its length.
trait HostArg {
    fn push(self, args: &mut Args);
}

impl HostArg for u64 {
    fn push(self, args: &mut Args) {
        args.push(self);
    }
}

impl HostArg for i32 {
    fn push(self, args: &mut Args) {
        args.push(self as i64 as u64);
    }
}

impl HostArg for &CStr {
    fn push(self, args: &mut Args) {
        args.push(self.as_ptr() as u64);
    }
}

impl HostArg for Option<&CStr> {
    fn push(self, args: &mut Args) {
        args.push(self.map_or(0, |text| text.as_ptr() as u64));
    }
}

impl HostArg for &[u8] {
    fn push(self, args: &mut Args) {
        args.push(self.as_ptr() as u64);
        args.push(self.len() as u64);
    }
}

impl HostArg for &mut [u8] {
    fn push(self, args: &mut Args) {
        args.push(self.as_mut_ptr() as u64);
        args.push(self.len() as u64);
    }
}

impl<const N: usize> HostArg for &[u8; N] {
    fn push(self, args: &mut Args) {
        args.push(self.as_ptr() as u64);
    }
}

impl<const N: usize> HostArg for &mut [u8; N] {
    fn push(self, args: &mut Args) {
        args.push(self.as_mut_ptr() as u64);
    }
}

impl<const N: usize> HostArg for Option<&[u8; N]> {
    fn push(self, args: &mut Args) {
        args.push(self.map_or(0, |array| array.as_ptr() as u64));
    }
}

impl<const N: usize> HostArg for Option<&mut [u8; N]> {
    fn push(self, args: &mut Args) {
        args.push(self.map_or(0, |array| array.as_mut_ptr() as u64));
    }
}

impl HostArg for HostRange {
    fn push(self, args: &mut Args) {
        args.push(self.addr());
        args.push(self.len());
    }
}

/// A vector of buffers, as `readv` takes it.
impl HostArg for &[HostRange] {
    fn push(self, args: &mut Args) {
        args.push(self.as_ptr() as u64);
        args.push(self.len() as u64);
    }
}

/// The address of a guest word (futexes): no length follows.
pub(super) struct Word(pub(super) Option<HostRange>);

impl HostArg for Word {
    fn push(self, args: &mut Args) {
        args.push(self.0.map_or(0, |range| range.addr()));
    }
}

/// The address of guest memory that a call uses as a structure of its own kind: no length follows.
pub(super) struct Start(pub(super) HostRange);

impl HostArg for Start {
    fn push(self, args: &mut Args) {
        args.push(self.0.addr());
    }
}

/// Entries of `struct sembuf`, of 6 bytes each; their number follows the pointer.
pub(super) struct SemOps<'a>(pub(super) &'a [u8]);

impl HostArg for SemOps<'_> {
    fn push(self, args: &mut Args) {
        args.push(self.0.as_ptr() as u64);
        args.push((self.0.len() / 6) as u64);
    }
}

/// A `struct msghdr` that points to buffers of its own lifetime: name, data and control data.
pub(super) struct Message<'a> {
    header: [u64; 7],
    buffers: PhantomData<&'a mut [u8]>,
}

impl<'a> Message<'a> {
    /// Points to the three; the kernel reads or fills them.
    pub(super) fn new(name: &'a mut [u8], data: &'a [HostRange], control: &'a mut [u8]) -> Self {
        let start = |bytes: &mut [u8]| if bytes.is_empty() { 0 } else { bytes.as_mut_ptr() as u64 };
        let (name_len, control_len) = (name.len() as u64, control.len() as u64);
        let header = [start(name), name_len, data.as_ptr() as u64, data.len() as u64, start(control), control_len, 0];
        Message { header, buffers: PhantomData }
    }

    /// How long the name is that the kernel has told.
    pub(super) fn name_len(&self) -> u32 {
        self.header[1] as u32
    }

    /// How much control data there is.
    pub(super) fn control_len(&self) -> u64 {
        self.header[5]
    }

    /// `msg_flags`.
    pub(super) fn flags(&self) -> u32 {
        self.header[6] as u32
    }
}

impl HostArg for &mut Message<'_> {
    fn push(self, args: &mut Args) {
        args.push(self.header.as_mut_ptr() as u64);
    }
}

/// Null-terminated strings and the pointers to them, as `execve` takes them.
pub(super) struct StringList<'a>(pub(super) &'a [*const libc::c_char]);

impl HostArg for StringList<'_> {
    fn push(self, args: &mut Args) {
        args.push(self.0.as_ptr() as u64);
    }
}

/// Entries of `struct pollfd`, of 8 bytes each; their number follows the pointer.
pub(super) struct PollFds<'a>(pub(super) &'a mut [u8]);

impl HostArg for PollFds<'_> {
    fn push(self, args: &mut Args) {
        args.push(self.0.as_mut_ptr() as u64);
        args.push((self.0.len() / 8) as u64);
    }
}

/// Two descriptors, as `pipe2` writes them.
pub(super) type FdPair = [u8; 8];

macro_rules! host_calls {
    ($($mode:ident fn $name:ident($($arg:ident: $ty:ty),*) = $number:ident;)*) => {
        $(
            #[doc = concat!("Calls `", stringify!($name), "`; see its manual page.")]
            pub(super) fn $name($($arg: $ty),*) -> Result<u64, Errno> {
                #[allow(unused_mut, reason = "rows without arguments")]
                let mut args = Args::default();
                $(HostArg::push($arg, &mut args);)*
                // SAFETY: the row states the kernel's prototype: every pointer argument has a type that owns or
                // borrows as many bytes as the kernel uses, for the length of the call, or is guest memory.
                unsafe { $mode(libc::$number, &args.values) }
            }
        )*
    };
}

host_calls! {
    blocking fn read(fd: i32, buffer: HostRange) = SYS_read;
    blocking fn write(fd: i32, buffer: HostRange) = SYS_write;
    blocking fn pread64(fd: i32, buffer: HostRange, offset: u64) = SYS_pread64;
    blocking fn pwrite64(fd: i32, buffer: HostRange, offset: u64) = SYS_pwrite64;
    blocking fn readv(fd: i32, buffers: &[HostRange]) = SYS_readv;
    blocking fn writev(fd: i32, buffers: &[HostRange]) = SYS_writev;
    blocking fn preadv(fd: i32, buffers: &[HostRange], low: u64, high: u64) = SYS_preadv;
    blocking fn pwritev(fd: i32, buffers: &[HostRange], low: u64, high: u64) = SYS_pwritev;
    blocking fn preadv2(fd: i32, buffers: &[HostRange], low: u64, high: u64, flags: u64) = SYS_preadv2;
    blocking fn pwritev2(fd: i32, buffers: &[HostRange], low: u64, high: u64, flags: u64) = SYS_pwritev2;
    blocking fn openat(dir: i32, path: &CStr, flags: u64, mode: u64) = SYS_openat;
    blocking fn openat2(dir: i32, path: &CStr, how: &[u8]) = SYS_openat2;
    plain fn name_to_handle_at(
        dir: i32, path: &CStr, handle: &mut [u8; 136], mount: &mut [u8; 4], flags: u64
    ) = SYS_name_to_handle_at;
    plain fn close(fd: i32) = SYS_close;
    plain fn close_range(first: u64, last: u64, flags: u64) = SYS_close_range;
    plain fn lseek(fd: i32, offset: u64, whence: u64) = SYS_lseek;
    plain fn statx(dir: i32, path: &CStr, flags: u64, mask: u64, out: &mut [u8; 256]) = SYS_statx;
    plain fn statfs(path: &CStr, out: &mut [u8; 120]) = SYS_statfs;
    plain fn fstatfs(fd: i32, out: &mut [u8; 120]) = SYS_fstatfs;
    plain fn faccessat2(dir: i32, path: &CStr, mode: u64, flags: u64) = SYS_faccessat2;
    plain fn readlinkat(dir: i32, path: &CStr, out: &mut [u8]) = SYS_readlinkat;
    plain fn getxattr(path: &CStr, name: &CStr, out: &mut [u8]) = SYS_getxattr;
    plain fn lgetxattr(path: &CStr, name: &CStr, out: &mut [u8]) = SYS_lgetxattr;
    plain fn fgetxattr(fd: i32, name: &CStr, out: &mut [u8]) = SYS_fgetxattr;
    plain fn listxattr(path: &CStr, out: &mut [u8]) = SYS_listxattr;
    plain fn llistxattr(path: &CStr, out: &mut [u8]) = SYS_llistxattr;
    plain fn flistxattr(fd: i32, out: &mut [u8]) = SYS_flistxattr;
    plain fn setxattr(path: &CStr, name: &CStr, value: &[u8], flags: u64) = SYS_setxattr;
    plain fn lsetxattr(path: &CStr, name: &CStr, value: &[u8], flags: u64) = SYS_lsetxattr;
    plain fn fsetxattr(fd: i32, name: &CStr, value: &[u8], flags: u64) = SYS_fsetxattr;
    plain fn removexattr(path: &CStr, name: &CStr) = SYS_removexattr;
    plain fn lremovexattr(path: &CStr, name: &CStr) = SYS_lremovexattr;
    plain fn fremovexattr(fd: i32, name: &CStr) = SYS_fremovexattr;
    plain fn inotify_init1(flags: u64) = SYS_inotify_init1;
    plain fn inotify_add_watch(fd: i32, path: &CStr, mask: u64) = SYS_inotify_add_watch;
    plain fn inotify_rm_watch(fd: i32, watch: i32) = SYS_inotify_rm_watch;
    plain fn getdents64(fd: i32, out: HostRange) = SYS_getdents64;
    plain fn getcwd(out: &mut [u8]) = SYS_getcwd;
    plain fn chdir(path: &CStr) = SYS_chdir;
    plain fn fchdir(fd: i32) = SYS_fchdir;
    plain fn chroot(path: &CStr) = SYS_chroot;
    plain fn mkdirat(dir: i32, path: &CStr, mode: u64) = SYS_mkdirat;
    plain fn mknodat(dir: i32, path: &CStr, mode: u64, dev: u64) = SYS_mknodat;
    plain fn unlinkat(dir: i32, path: &CStr, flags: u64) = SYS_unlinkat;
    plain fn renameat2(old_dir: i32, old: &CStr, new_dir: i32, new: &CStr, flags: u64) = SYS_renameat2;
    plain fn linkat(old_dir: i32, old: &CStr, new_dir: i32, new: &CStr, flags: u64) = SYS_linkat;
    plain fn symlinkat(target: &CStr, dir: i32, path: &CStr) = SYS_symlinkat;
    plain fn fchmod(fd: i32, mode: u64) = SYS_fchmod;
    plain fn fchmodat(dir: i32, path: &CStr, mode: u64) = SYS_fchmodat;
    plain fn fchmodat2(dir: i32, path: &CStr, mode: u64, flags: u64) = SYS_fchmodat2;
    plain fn fchown(fd: i32, user: u64, group: u64) = SYS_fchown;
    plain fn fchownat(dir: i32, path: &CStr, user: u64, group: u64, flags: u64) = SYS_fchownat;
    plain fn utimensat(dir: i32, path: Option<&CStr>, times: Option<&[u8; 32]>, flags: u64) = SYS_utimensat;
    plain fn ftruncate(fd: i32, len: u64) = SYS_ftruncate;
    plain fn truncate(path: &CStr, len: u64) = SYS_truncate;
    plain fn dup(fd: i32) = SYS_dup;
    plain fn dup3(old: i32, new: i32, flags: u64) = SYS_dup3;
    plain fn pipe2(out: &mut FdPair, flags: u64) = SYS_pipe2;
    plain fn fcntl(fd: i32, command: u64, value: u64) = SYS_fcntl;
    blocking fn fcntl_lock(fd: i32, command: u64, lock: &mut [u8; 32]) = SYS_fcntl;
    plain fn ioctl(fd: i32, request: u64, value: u64) = SYS_ioctl;
    plain fn ioctl_data(fd: i32, request: u64, data: &mut [u8; 64]) = SYS_ioctl;
    blocking fn ppoll(fds: PollFds<'_>, timeout: Option<&mut [u8; 16]>, mask: u64, size: u64) = SYS_ppoll;
    plain fn ppoll_through_signals(
        fds: PollFds<'_>, timeout: Option<&mut [u8; 16]>, mask: u64, size: u64
    ) = SYS_ppoll;
    blocking fn pselect6(
        count: u64, read: Option<&mut [u8; 8192]>, write: Option<&mut [u8; 8192]>,
        except: Option<&mut [u8; 8192]>, timeout: Option<&mut [u8; 16]>, mask: u64
    ) = SYS_pselect6;
    plain fn epoll_create1(flags: u64) = SYS_epoll_create1;
    plain fn epoll_ctl(epoll: i32, op: u64, fd: i32, event: Option<&[u8; 12]>) = SYS_epoll_ctl;
    blocking fn epoll_pwait(
        epoll: i32, events: &mut [u8; 12 * 1024], count: u64, timeout: i32, mask: u64, size: u64
    ) = SYS_epoll_pwait;
    plain fn eventfd2(value: u64, flags: u64) = SYS_eventfd2;
    blocking fn epoll_pwait2(
        epoll: i32, events: &mut [u8; 12 * 1024], count: u64, timeout: Option<&[u8; 16]>, mask: u64, size: u64
    ) = SYS_epoll_pwait2;
    plain fn signalfd4(fd: i32, mask: &[u8; 8], size: u64, flags: u64) = SYS_signalfd4;
    plain fn timerfd_create(clock: u64, flags: u64) = SYS_timerfd_create;
    plain fn timerfd_settime(
        fd: i32, flags: u64, new: &[u8; 32], old: Option<&mut [u8; 32]>
    ) = SYS_timerfd_settime;
    plain fn timerfd_gettime(fd: i32, out: &mut [u8; 32]) = SYS_timerfd_gettime;
    blocking fn sendfile(out: i32, input: i32, offset: Option<&mut [u8; 8]>, count: u64) = SYS_sendfile;
    blocking fn splice(
        input: i32, in_offset: Option<&mut [u8; 8]>, out: i32, out_offset: Option<&mut [u8; 8]>, len: u64, flags: u64
    ) = SYS_splice;
    blocking fn copy_file_range(
        input: i32, in_offset: Option<&mut [u8; 8]>, out: i32, out_offset: Option<&mut [u8; 8]>, len: u64, flags: u64
    ) = SYS_copy_file_range;
    blocking fn vmsplice(fd: i32, buffers: &[HostRange], flags: u64) = SYS_vmsplice;
    blocking fn tee(input: i32, out: i32, len: u64, flags: u64) = SYS_tee;
    blocking fn sync_file_range(fd: i32, offset: u64, len: u64, flags: u64) = SYS_sync_file_range;
    plain fn fallocate(fd: i32, mode: u64, offset: u64, len: u64) = SYS_fallocate;
    plain fn fadvise64(fd: i32, offset: u64, len: u64, advice: u64) = SYS_fadvise64;
    plain fn readahead(fd: i32, offset: u64, count: u64) = SYS_readahead;
    plain fn fsync(fd: i32) = SYS_fsync;
    plain fn fdatasync(fd: i32) = SYS_fdatasync;
    plain fn syncfs(fd: i32) = SYS_syncfs;
    plain fn sync() = SYS_sync;
    blocking fn flock(fd: i32, operation: u64) = SYS_flock;
    plain fn umask(mask: u64) = SYS_umask;
    plain fn memfd_create(name: &CStr, flags: u64) = SYS_memfd_create;
    plain fn msync(range: HostRange, flags: u64) = SYS_msync;

    plain fn getpid() = SYS_getpid;
    plain fn getppid() = SYS_getppid;
    plain fn gettid() = SYS_gettid;
    plain fn getuid() = SYS_getuid;
    plain fn geteuid() = SYS_geteuid;
    plain fn getgid() = SYS_getgid;
    plain fn getegid() = SYS_getegid;
    plain fn getresuid(real: &mut [u8; 4], effective: &mut [u8; 4], saved: &mut [u8; 4]) = SYS_getresuid;
    plain fn getresgid(real: &mut [u8; 4], effective: &mut [u8; 4], saved: &mut [u8; 4]) = SYS_getresgid;
    plain fn setuid(user: u64) = SYS_setuid;
    plain fn setgid(group: u64) = SYS_setgid;
    plain fn setreuid(real: u64, effective: u64) = SYS_setreuid;
    plain fn setregid(real: u64, effective: u64) = SYS_setregid;
    plain fn setresuid(real: u64, effective: u64, saved: u64) = SYS_setresuid;
    plain fn setresgid(real: u64, effective: u64, saved: u64) = SYS_setresgid;
    plain fn setfsuid(user: u64) = SYS_setfsuid;
    plain fn setfsgid(group: u64) = SYS_setfsgid;
    plain fn setgroups(count: u64, list: &[u8; 4 * 65536]) = SYS_setgroups;
    plain fn setpgid(pid: i32, group: i32) = SYS_setpgid;
    plain fn getpgid(pid: i32) = SYS_getpgid;
    plain fn setsid() = SYS_setsid;
    plain fn getsid(pid: i32) = SYS_getsid;
    plain fn getgroups(count: u64, out: Option<&mut [u8; 4 * 65536]>) = SYS_getgroups;
    plain fn uname(out: &mut [u8; 390]) = SYS_uname;
    plain fn sethostname(name: &[u8]) = SYS_sethostname;
    plain fn setdomainname(name: &[u8]) = SYS_setdomainname;
    blocking fn syslog(kind: u64, out: HostRange) = SYS_syslog;
    plain fn personality(persona: u64) = SYS_personality;
    plain fn unshare(flags: u64) = SYS_unshare;
    plain fn setns(fd: i32, kind: u64) = SYS_setns;
    plain fn pidfd_open(pid: i32, flags: u64) = SYS_pidfd_open;
    plain fn pidfd_send_signal(fd: i32, signal: u64, info: Option<&[u8; 128]>, flags: u64) = SYS_pidfd_send_signal;
    plain fn sysinfo(out: &mut [u8; 112]) = SYS_sysinfo;
    plain fn getrusage(who: u64, out: &mut [u8; 144]) = SYS_getrusage;
    plain fn prlimit64(
        pid: i32, resource: u64, new: Option<&[u8; 16]>, old: Option<&mut [u8; 16]>
    ) = SYS_prlimit64;
    plain fn getcpu(cpu: &mut [u8; 4], node: &mut [u8; 4], unused: u64) = SYS_getcpu;
    plain fn sched_getaffinity(pid: i32, size: u64, out: &mut [u8; 1024]) = SYS_sched_getaffinity;
    plain fn sched_setaffinity(pid: i32, size: u64, mask: &[u8; 1024]) = SYS_sched_setaffinity;
    plain fn sched_getscheduler(pid: i32) = SYS_sched_getscheduler;
    plain fn sched_getparam(pid: i32, out: &mut [u8; 4]) = SYS_sched_getparam;
    plain fn sched_yield() = SYS_sched_yield;
    plain fn sched_get_priority_max(policy: u64) = SYS_sched_get_priority_max;
    plain fn sched_get_priority_min(policy: u64) = SYS_sched_get_priority_min;
    plain fn sched_rr_get_interval(pid: i32, out: &mut [u8; 16]) = SYS_sched_rr_get_interval;
    plain fn sched_getattr(pid: i32, out: &mut [u8; 256], size: u64, flags: u64) = SYS_sched_getattr;
    plain fn sched_setattr(pid: i32, attributes: &[u8; 256], flags: u64) = SYS_sched_setattr;
    plain fn ioprio_set(which: u64, who: u64, priority: u64) = SYS_ioprio_set;
    plain fn ioprio_get(which: u64, who: u64) = SYS_ioprio_get;
    plain fn getpriority(which: u64, who: u64) = SYS_getpriority;
    plain fn setpriority(which: u64, who: u64, value: u64) = SYS_setpriority;
    plain fn times(out: Option<&mut [u8; 32]>) = SYS_times;
    blocking fn wait4(pid: i32, status: &mut [u8; 4], options: u64, usage: Option<&mut [u8; 144]>) = SYS_wait4;
    blocking fn waitid(
        which: u64, id: u64, info: &mut [u8; 128], options: u64, usage: Option<&mut [u8; 144]>
    ) = SYS_waitid;
    plain fn prctl(option: u64, value: u64, c: u64, d: u64, e: u64) = SYS_prctl;
    plain fn prctl_data(option: u64, data: &mut [u8; 16]) = SYS_prctl;
    plain fn getrandom(out: HostRange, flags: u64) = SYS_getrandom;
    plain fn membarrier(command: u64, flags: u64, cpu: u64) = SYS_membarrier;
    blocking fn futex(
        word: Word, op: u64, value: u64, timeout: Option<&[u8; 16]>, second: Word, value3: u64
    ) = SYS_futex;
    plain fn futex_wake(word: Word, op: u64, count: u64) = SYS_futex;
    plain fn futex_requeue(word: Word, op: u64, value: u64, count: u64, second: Word, value3: u64) = SYS_futex;
    plain fn execve(path: &CStr, arguments: StringList<'_>, environment: StringList<'_>) = SYS_execve;

    plain fn clock_gettime(clock: u64, out: &mut [u8; 16]) = SYS_clock_gettime;
    plain fn clock_settime(clock: u64, time: &[u8; 16]) = SYS_clock_settime;
    plain fn clock_getres(clock: u64, out: Option<&mut [u8; 16]>) = SYS_clock_getres;
    plain fn clock_adjtime(clock: u64, values: &mut [u8; 208]) = SYS_clock_adjtime;
    blocking fn clock_nanosleep(
        clock: u64, flags: u64, time: &[u8; 16], left: Option<&mut [u8; 16]>
    ) = SYS_clock_nanosleep;
    plain fn setitimer(which: u64, new: Option<&[u8; 32]>, old: Option<&mut [u8; 32]>) = SYS_setitimer;
    plain fn getitimer(which: u64, out: &mut [u8; 32]) = SYS_getitimer;
    plain fn timer_create(clock: u64, event: Option<&[u8; 64]>, id: &mut [u8; 4]) = SYS_timer_create;
    plain fn timer_settime(
        id: u64, flags: u64, new: &[u8; 32], old: Option<&mut [u8; 32]>
    ) = SYS_timer_settime;
    plain fn timer_gettime(id: u64, out: &mut [u8; 32]) = SYS_timer_gettime;
    plain fn timer_getoverrun(id: u64) = SYS_timer_getoverrun;
    plain fn timer_delete(id: u64) = SYS_timer_delete;

    plain fn kill(pid: i32, signal: u64) = SYS_kill;
    plain fn tkill(tid: i32, signal: u64) = SYS_tkill;
    plain fn tgkill(pid: i32, tid: i32, signal: u64) = SYS_tgkill;
    plain fn rt_sigqueueinfo(pid: i32, signal: u64, info: &[u8; 128]) = SYS_rt_sigqueueinfo;
    plain fn rt_tgsigqueueinfo(pid: i32, tid: i32, signal: u64, info: &[u8; 128]) = SYS_rt_tgsigqueueinfo;
    plain fn rt_sigpending(out: &mut [u8; 8], size: u64) = SYS_rt_sigpending;
    plain fn rt_sigprocmask(how: u64, new: Option<&[u8; 8]>, old: Option<&mut [u8; 8]>, size: u64) = SYS_rt_sigprocmask;
    blocking fn rt_sigtimedwait(
        set: &[u8; 8], info: &mut [u8; 128], timeout: Option<&[u8; 16]>, size: u64
    ) = SYS_rt_sigtimedwait;
    plain fn take_blocked_signal(
        set: &[u8; 8], info: &mut [u8; 128], timeout: Option<&[u8; 16]>, size: u64
    ) = SYS_rt_sigtimedwait;
    blocking fn pause() = SYS_pause;

    plain fn socket(domain: u64, kind: u64, protocol: u64) = SYS_socket;
    plain fn socketpair(domain: u64, kind: u64, protocol: u64, out: &mut FdPair) = SYS_socketpair;
    plain fn bind(fd: i32, address: &[u8]) = SYS_bind;
    plain fn listen(fd: i32, backlog: u64) = SYS_listen;
    blocking fn accept4(fd: i32, address: Option<&mut [u8; 128]>, len: Option<&mut [u8; 4]>, flags: u64) = SYS_accept4;
    blocking fn connect(fd: i32, address: &[u8]) = SYS_connect;
    plain fn getsockname(fd: i32, address: &mut [u8; 128], len: &mut [u8; 4]) = SYS_getsockname;
    plain fn getpeername(fd: i32, address: &mut [u8; 128], len: &mut [u8; 4]) = SYS_getpeername;
    blocking fn sendto(fd: i32, data: HostRange, flags: u64, address: &[u8]) = SYS_sendto;
    blocking fn recvfrom(
        fd: i32, out: HostRange, flags: u64, address: Option<&mut [u8; 128]>, len: Option<&mut [u8; 4]>
    ) = SYS_recvfrom;
    plain fn setsockopt(fd: i32, level: u64, name: u64, value: &[u8]) = SYS_setsockopt;
    plain fn getsockopt(fd: i32, level: u64, name: u64, value: &mut [u8; 256], len: &mut [u8; 4]) = SYS_getsockopt;
    plain fn shutdown(fd: i32, how: u64) = SYS_shutdown;
    blocking fn sendmsg(fd: i32, message: &mut Message<'_>, flags: u64) = SYS_sendmsg;
    blocking fn recvmsg(fd: i32, message: &mut Message<'_>, flags: u64) = SYS_recvmsg;

    plain fn mq_open(name: &CStr, flags: u64, mode: u64, attributes: Option<&[u8; 64]>) = SYS_mq_open;
    plain fn mq_unlink(name: &CStr) = SYS_mq_unlink;
    blocking fn mq_timedsend(
        queue: i32, message: HostRange, priority: u64, timeout: Option<&[u8; 16]>
    ) = SYS_mq_timedsend;
    blocking fn mq_timedreceive(
        queue: i32, out: HostRange, priority: &mut [u8; 4], timeout: Option<&[u8; 16]>
    ) = SYS_mq_timedreceive;
    plain fn mq_getsetattr(queue: i32, new: Option<&[u8; 64]>, old: &mut [u8; 64]) = SYS_mq_getsetattr;
    plain fn msgget(key: u64, flags: u64) = SYS_msgget;
    plain fn msgctl(id: i32, command: u64, data: &mut [u8; 128]) = SYS_msgctl;
    blocking fn msgsnd(id: i32, message: Start, size: u64, flags: u64) = SYS_msgsnd;
    blocking fn msgrcv(id: i32, message: Start, size: u64, kind: u64, flags: u64) = SYS_msgrcv;
    plain fn semget(key: u64, count: u64, flags: u64) = SYS_semget;
    plain fn semctl(id: i32, index: u64, command: u64, value: u64) = SYS_semctl;
    plain fn semctl_data(id: i32, index: u64, command: u64, data: &mut [u8; 128]) = SYS_semctl;
    plain fn semctl_all(id: i32, index: u64, command: u64, values: Start) = SYS_semctl;
    blocking fn semtimedop(id: i32, operations: SemOps<'_>, timeout: Option<&[u8; 16]>) = SYS_semtimedop;
    plain fn shmget(key: u64, size: u64, flags: u64) = SYS_shmget;
    plain fn shmctl(id: i32, command: u64, data: &mut [u8; 128]) = SYS_shmctl;
}

/// True if the host can read the first bytes of `page`, a page of guest memory: not if it lies behind the end of its
/// file. Asks by a call that reads its argument and then refuses another one.
pub(super) fn is_readable(page: HostRange) -> bool {
    const NO_SUCH_WAY: u64 = 99;
    // SAFETY: the call reads 8 bytes of guest memory and changes nothing.
    unsafe { plain(libc::SYS_rt_sigprocmask, &[NO_SUCH_WAY, page.addr(), 0, 8, 0, 0]) == Err(Errno::EINVAL) }
}

/// Makes a system call that returns at once.
///
/// # Safety
/// The pointers in `args` are valid for what call `number` does with them.
unsafe fn plain(number: libc::c_long, args: &[u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = *args;
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(std::io::Error::last_os_error().into()) } else { Ok(result as u64) }
}

/// Makes a system call that may sleep, unless a deliverable signal is pending.
///
/// # Safety
/// As [`plain`].
unsafe fn blocking(number: libc::c_long, args: &[u64; 6]) -> Result<u64, Errno> {
    match schedule::current() {
        // SAFETY: the caller's promise.
        Some(turn) => unsafe { schedule::calls::make(&turn, number, args) },
        // SAFETY: the caller's promise.
        None => unsafe { at_once(number, args) },
    }
}

/// As [`blocking`], in a scheduled run too: there the call is known not to sleep.
///
/// # Safety
/// As [`plain`].
pub(super) unsafe fn at_once(number: libc::c_long, args: &[u64; 6]) -> Result<u64, Errno> {
    let words = own_words();
    // SAFETY: the caller's promise; the words live as long as this thread runs guest code.
    let result = gate::outside(|| unsafe { checked_syscall(words, number, args) });
    if result == NOT_BEGUN {
        return Err(Errno::EINTR);
    }
    HAS_BEGUN.set(true);
    if (-4095..0).contains(&result) { Err(Errno((-result) as u16)) } else { Ok(result as u64) }
}

/// The check of the pending signals, then the call. [`record`] knows the two labels around them.
#[unsafe(naked)]
unsafe extern "C" fn checked_syscall(signals: *const SignalWords, number: libc::c_long, args: *const [u64; 6]) -> i64 {
    core::arch::naked_asm!(
        "mov r11, rdi",
        "mov rax, rsi",
        "mov rcx, rdx",
        "mov rdi, [rcx]",
        "mov rsi, [rcx + 8]",
        "mov rdx, [rcx + 16]",
        "mov r10, [rcx + 24]",
        "mov r8, [rcx + 32]",
        "mov r9, [rcx + 40]",
        ".globl spile_blocking_start",
        ".hidden spile_blocking_start",
        "spile_blocking_start:",
        "cmp qword ptr [r11 + 16], 0",
        "jne 2f",
        "mov rcx, [r11 + 8]",
        "not rcx",
        "and rcx, [r11]",
        "jnz 2f",
        "syscall",
        ".globl spile_blocking_end",
        ".hidden spile_blocking_end",
        "spile_blocking_end:",
        "ret",
        ".globl spile_blocking_abort",
        ".hidden spile_blocking_abort",
        "spile_blocking_abort:",
        "2:",
        "mov rax, {not_begun}",
        "ret",
        not_begun = const NOT_BEGUN,
    )
}

/// What [`checked_syscall`] returns instead of making the call: no result of the kernel.
const NOT_BEGUN: i64 = -4096;

thread_local! {
    /// Whether the host has seen a blocking call since [`expect_call`].
    static HAS_BEGUN: Cell<bool> = const { Cell::new(false) };
}

/// To be called before a guest's system call is carried out: see [`has_begun`].
pub(super) fn expect_call() {
    HAS_BEGUN.set(false);
}

/// True if the host has seen a blocking call of this thread since [`expect_call`]. If not, a guest's call that ended
/// with `EINTR` has done nothing and waited for nothing, and a signal was there before it.
pub(super) fn has_begun() -> bool {
    HAS_BEGUN.get()
}

unsafe extern "C" {
    static spile_blocking_start: u8;
    static spile_blocking_end: u8;
    static spile_blocking_abort: u8;
}

/// Executes the host's `fork` and returns the child's id, 0 in the child.
///
/// Only the calling thread lives on in the child.
pub(super) fn fork() -> Result<u64, Errno> {
    // SAFETY: the child continues with a copy of everything. Locks that other host threads hold at this moment stay
    // locked in it; the engine's own threads keep none while a guest makes a system call.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().into()),
        pid => Ok(pid as u64),
    }
}

/// Calls `action` with the guest's descriptor `fd`, which is open.
pub(super) fn with_fd<T>(fd: i32, action: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<T>) -> Result<T, Errno> {
    fcntl(fd, libc::F_GETFD as u64, 0)?;
    // SAFETY: the descriptor is open, as was just seen, and not -1. A guest thread may close it meanwhile: the number is
    // then bad or another file's, which the calls of `action` bear.
    Ok(action(unsafe { BorrowedFd::borrow_raw(fd) })?)
}

/// The path behind a descriptor, as `/proc/self/fd` shows it; empty if it is not known.
pub(super) fn fd_path(fd: i32) -> String {
    super::own::path_of(fd).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

// --------------------------------------------------------------------------------------------------------- signals

/// The signals of a guest thread as its host thread's handler sees them. The first three fields are read by
/// [`checked_syscall`].
#[repr(C)]
struct SignalWords {
    /// Bit `n - 1`: signal `n` has been recorded and not been taken.
    pending: AtomicU64,
    /// The guest's signal mask.
    blocked: AtomicU64,
    /// Not zero once the run ends: no call blocks any more.
    stop: AtomicU64,
    /// What the execution loop polls, or null.
    poll: AtomicPtr<AtomicU32>,
    /// What the host told of each recorded signal: `siginfo_t`, which has the same layout on all 64-bit Linux.
    info: [[AtomicU64; 16]; 65],
}

impl SignalWords {
    const fn new() -> Self {
        SignalWords {
            pending: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            stop: AtomicU64::new(0),
            poll: AtomicPtr::new(std::ptr::null_mut()),
            info: [const { [const { AtomicU64::new(0) }; 16] }; 65],
        }
    }

    fn record(&self, signal: usize, info: &[u64; 16]) {
        for (word, value) in self.info[signal].iter().zip(info) {
            word.store(*value, Ordering::Relaxed);
        }
        fence(Ordering::Release);
        self.pending.fetch_or(1 << (signal - 1), Ordering::AcqRel);
        self.ask(poll::SIGNAL);
    }

    fn ask(&self, bits: u32) {
        let word = self.poll.load(Ordering::Acquire);
        if !word.is_null() {
            // SAFETY: `begin_thread` took it from a reference that lives for ever.
            unsafe { &*word }.fetch_or(bits, Ordering::Release);
        }
    }
}

/// The words of the first guest thread, and of host threads that run no guest thread.
static FIRST: SignalWords = SignalWords::new();

thread_local! {
    /// The words of the guest thread that runs on this host thread. No destructor and no initialiser, so that a signal
    /// handler may read it at any time.
    static OWN: Cell<*const SignalWords> = const { Cell::new(std::ptr::null()) };
}

fn own_words() -> &'static SignalWords {
    let own = OWN.get();
    // SAFETY: `begin_thread` has set it to words that live until `end_thread` clears it.
    if own.is_null() { &FIRST } else { unsafe { &*own } }
}

/// The host's handlers of hardware faults before ours, for faults of the emulator itself.
static FORMER: [[AtomicU64; 4]; 32] = [const { [const { AtomicU64::new(0) }; 4] }; 32];

/// Host address of the guest's window, 0 if there is none yet.
static WINDOW: AtomicUsize = AtomicUsize::new(0);

/// Says where guest memory is, so that the host's faults there become the guest's.
pub(super) fn set_window(memory: usize) {
    WINDOW.store(memory, Ordering::Release);
}

/// Makes this host thread record signals for a guest thread, and set [`poll::SIGNAL`] in `word` for each. The first
/// thread has static words; others get some of their own, until [`end_thread`].
pub(super) fn begin_thread(word: &'static AtomicU32) {
    let first = FIRST.poll.load(Ordering::Acquire).is_null();
    let words = if first { &FIRST } else { Box::leak(Box::new(SignalWords::new())) };
    words.poll.store(std::ptr::from_ref(word).cast_mut(), Ordering::Release);
    OWN.set(words);
}

/// Ends what [`begin_thread`] began; signals must be held. What has been recorded is sent to the process again.
pub(super) fn end_thread() {
    let words = own_words();
    let (pid, recorded) = (getpid(), words.pending.swap(0, Ordering::AcqRel));
    for signal in (1..=64).filter(|signal| recorded >> (signal - 1) & 1 != 0) {
        let _ = pid.and_then(|pid| kill(pid as i32, signal));
    }
    words.poll.store(std::ptr::null_mut(), Ordering::Release);
    OWN.set(std::ptr::null());
    if !std::ptr::eq(words, &FIRST) {
        // SAFETY: it was leaked by `begin_thread` of this thread, which was the only one to know it; its signals are
        // held, so the handler does not run any more.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(words).cast_mut()) });
    }
}

/// The signal that ends blocking calls: it is the guest's as well, and told apart by what comes with it.
pub(super) const INTERRUPT: u8 = 33;
/// `si_code` and `si_value` of an interruption.
const INTERRUPT_VALUE: u64 = 0x5350_494c_455f_454e;

/// Makes a thread leave its blocking call, and enter none any more.
pub(super) fn interrupt(tid: i32) {
    let mut info = [0u8; 128];
    info[..4].copy_from_slice(&i32::from(INTERRUPT).to_ne_bytes());
    info[8..12].copy_from_slice(&libc::SI_QUEUE.to_ne_bytes());
    info[24..32].copy_from_slice(&INTERRUPT_VALUE.to_ne_bytes());
    let _ = getpid().and_then(|pid| rt_tgsigqueueinfo(pid as i32, tid, u64::from(INTERRUPT), &info));
}

/// Returns the signals that this thread has recorded, as a set.
pub(super) fn pending() -> u64 {
    own_words().pending.load(Ordering::Acquire)
}

/// True if a signal has been recorded that the guest does not block, or the run ends: no call sleeps any more.
pub(super) fn is_interrupted() -> bool {
    let words = own_words();
    words.pending.load(Ordering::Acquire) & !words.blocked.load(Ordering::Acquire) != 0 || is_stopping()
}

/// True once this thread is to leave, as the run ends.
pub(super) fn is_stopping() -> bool {
    own_words().stop.load(Ordering::Acquire) != 0
}

/// Tells the blocking calls and the recording handler what the guest blocks.
pub(super) fn set_blocked(mask: u64) {
    own_words().blocked.store(mask, Ordering::Release);
}

/// Forgets that `signal` was recorded and returns what the host told of it.
pub(super) fn take_pending(signal: u8) -> [u8; 128] {
    let words = own_words();
    let mut info = [0; 128];
    for (bytes, word) in info.chunks_exact_mut(8).zip(&words.info[usize::from(signal)]) {
        bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    words.pending.fetch_and(!(1 << (signal - 1)), Ordering::AcqRel);
    info
}

/// Forgets all recorded signals: a forked child starts without.
pub(super) fn forget_pending() {
    own_words().pending.store(0, Ordering::Release);
}

/// The host's handler: records and returns. It is all that happens in signal context, and everything in it is
/// async-signal-safe.
extern "C" fn record(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let mut told = [0u64; 16];
    // SAFETY: the kernel passes valid pointers to a handler with SA_SIGINFO; siginfo_t has 128 bytes.
    let (code, context) = unsafe {
        told.copy_from_slice(std::slice::from_raw_parts(info.cast::<u64>(), 16));
        ((*info).si_code, &mut *context.cast::<libc::ucontext_t>())
    };
    let words = own_words();
    if is_hardware_fault(signal) && code > 0 {
        if let Some(told) = lose_page(told[2] as usize) {
            return words.record(libc::SIGBUS as usize, &told);
        }
        restore_former(signal);
        return;
    }
    if signal == c_int::from(INTERRUPT) && code == libc::SI_QUEUE && told[3] == INTERRUPT_VALUE {
        words.stop.store(1, Ordering::Release);
        return leave_blocking_call(context);
    }
    words.record(signal as usize, &told);
    if !is_hardware_fault(signal) {
        // Until the guest has taken this one, the host keeps further ones queued.
        // SAFETY: plain memory of this context.
        unsafe { libc::sigaddset(&raw mut context.uc_sigmask, signal) };
    }
    if words.blocked.load(Ordering::Acquire) & 1u64 << (signal - 1) == 0 {
        leave_blocking_call(context);
    }
}

/// If the host faulted at an address of the guest's window, the page has gone though its permissions allow the access:
/// its file has become shorter. Puts zeroes there, so that the access completes, takes the permissions away, so that
/// the next one traps, and returns the `siginfo_t` of the SIGBUS that the guest gets at the next boundary.
fn lose_page(addr: usize) -> Option<[u64; 16]> {
    let memory = WINDOW.load(Ordering::Acquire);
    let guest = addr.checked_sub(memory)? as u64;
    if memory == 0 || guest >= ADDRESS_SPACE {
        return None;
    }
    crate::mem::host::lose_page(memory, guest).then(|| {
        let mut told = [0; 16];
        told[0] = libc::SIGBUS as u64;
        told[1] = libc::BUS_ADRERR as u64;
        told[2] = guest;
        told
    })
}

/// Moves a thread that has checked for signals, but not yet entered the kernel, to the end of [`checked_syscall`].
fn leave_blocking_call(context: &mut libc::ucontext_t) {
    let rip = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
    let (start, end, abort) =
        (&raw const spile_blocking_start, &raw const spile_blocking_end, &raw const spile_blocking_abort);
    if (start as i64..end as i64).contains(rip) {
        *rip = abort as i64;
    }
}

/// True for signals that the host's own instructions can raise.
pub(super) fn is_hardware_fault(signal: c_int) -> bool {
    matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP)
}

/// A fault of the emulator itself: gives it back to whoever handled it before, and returns to fault again.
fn restore_former(signal: c_int) {
    let words = &FORMER[signal as usize];
    // SAFETY: all-zero bytes are a valid `sigaction`, the default one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = words[0].load(Ordering::Relaxed) as usize;
    action.sa_flags = words[1].load(Ordering::Relaxed) as c_int;
    // SAFETY: the handler was installed before ours.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// What the host does with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Its default.
    Default,
    /// Nothing.
    Ignore,
    /// Records it for the guest; the flags are `SA_NOCLDSTOP` and `SA_NOCLDWAIT`.
    Record(c_int),
}

/// Sets what the host does with `signal`.
pub(super) fn set_disposition(signal: u8, disposition: Disposition) {
    let signal = c_int::from(signal);
    if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
        return;
    }
    static FAULTS: Once = Once::new();
    FAULTS.call_once(|| {
        for fault in (1..32).filter(|&signal| is_hardware_fault(signal)) {
            let former = current_action(fault);
            FORMER[fault as usize][0].store(former.sa_sigaction as u64, Ordering::Relaxed);
            FORMER[fault as usize][1].store(former.sa_flags as u64, Ordering::Relaxed);
        }
    });
    // SAFETY: all-zero bytes are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    match disposition {
        Disposition::Default => action.sa_sigaction = libc::SIG_DFL,
        Disposition::Ignore => action.sa_sigaction = libc::SIG_IGN,
        Disposition::Record(flags) => {
            action.sa_sigaction = record as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | flags;
            // SAFETY: plain memory.
            unsafe { libc::sigfillset(&raw mut action.sa_mask) };
        }
    }
    if matches!(signal, 32 | 33) {
        return set_reserved_action(signal, &action);
    }
    // SAFETY: `record` is async-signal-safe.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// Sets an action that the host's C library refuses to set: it keeps signals 32 and 33 for cancellation of threads and
/// for `setuid` in all threads, neither of which happens here. The guest's C library wants them for the same.
fn set_reserved_action(signal: c_int, action: &libc::sigaction) {
    /// `struct sigaction` of the kernel.
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    const SA_RESTORER: u64 = 0x0400_0000;
    let action = KernelAction {
        handler: action.sa_sigaction,
        flags: action.sa_flags as u64 | SA_RESTORER,
        restorer: signal_return as *const () as usize,
        mask: u64::MAX,
    };
    // SAFETY: the structure is the kernel's, and `record` is async-signal-safe.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, 0usize, 8usize) };
}

/// What the host's handler returns to.
#[unsafe(naked)]
unsafe extern "C" fn signal_return() {
    core::arch::naked_asm!("mov eax, 15", "syscall") // rt_sigreturn
}

fn current_action(signal: c_int) -> libc::sigaction {
    // SAFETY: all-zero bytes are a valid `sigaction`, which the call then overwrites.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action);
        action
    }
}

/// True if this process was started with `signal` ignored.
pub(super) fn is_ignored(signal: u8) -> bool {
    current_action(c_int::from(signal)).sa_sigaction == libc::SIG_IGN
}

/// Ends this process, which a guest thread has forked: nothing of the host's is left to do in it.
pub(super) fn end_process(status: u8) -> ! {
    // SAFETY: the call takes a plain value and does not return.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Ends this process by `signal`, as the guest was ended by it. The emulator's own state is no core dump of the guest,
/// so none is written.
pub(super) fn die_of_signal(signal: u8) {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: these calls take plain values and valid pointers to locals; nothing runs afterwards that minds them.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(i32::from(signal), &raw const action, std::ptr::null_mut());
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, i32::from(signal));
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::raise(i32::from(signal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_reports_the_kernel_s_error() {
        assert_eq!(close(-1), Err(Errno::EBADF));
        assert!(getpid().unwrap() > 0);
    }

    #[test]
    fn a_blocking_call_returns_results_and_errors() {
        assert_eq!(flock(-1, libc::LOCK_SH as u64), Err(Errno::EBADF));
        let time = [0; 16];
        assert_eq!(clock_nanosleep(1, 0, &time, None), Ok(0));
    }
}
