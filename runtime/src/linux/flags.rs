//! The names of flags and choices in system calls' arguments, as the manual pages write them.
//!
//! Numbers are those of `include/uapi/asm-generic`, which AArch64 and RISC-V share; what architectures number each in
//! their own way (`O_DIRECTORY` and its neighbours) has no name here and is shown as a number. For text only: what a
//! call does with an argument is its handler's matter.

use super::table::Arg;

/// The names of an argument: a choice among numbers in some of its bits, and flags in others.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// The bits that hold the choice.
    mask: u64,
    choices: &'static [(u64, &'static str)],
    flags: &'static [(u64, &'static str)],
    /// What nothing at all is called.
    none: &'static str,
}

impl Names {
    /// Whether an argument is one of a few numbers, and has no flags.
    pub fn is_choice(&self) -> bool {
        self.flags.is_empty()
    }

    /// `PROT_READ|PROT_WRITE`. What has no name is a number: decimal as a choice, hexadecimal in flags.
    pub fn text(&self, value: u64) -> String {
        if self.is_choice() {
            // These are `int` in the kernel.
            let value = value as u32;
            let found = self.choices.iter().find(|(choice, _)| *choice == u64::from(value));
            return found.map_or_else(|| (value as i32).to_string(), |(_, name)| name.to_string());
        }
        let mut rest = value;
        let mut words = Vec::new();
        if let Some((choice, name)) = self.choices.iter().find(|(choice, _)| *choice == value & self.mask) {
            words.push(*name);
            rest &= !choice;
        }
        for (flag, name) in self.flags {
            // The longest come first; what they say is not said again.
            if rest & flag == *flag {
                words.push(name);
                rest &= !flag;
            }
        }
        let number = format!("{rest:#x}");
        if rest != 0 {
            words.push(&number);
        }
        if words.is_empty() { self.none.to_string() } else { words.join("|") }
    }
}

const fn flags(flags: &'static [(u64, &'static str)]) -> Names {
    Names { mask: 0, choices: &[], flags, none: "0" }
}

const fn choice(choices: &'static [(u64, &'static str)]) -> Names {
    Names { mask: u64::MAX, choices, flags: &[], none: "0" }
}

const OPENED: &[(u64, &str)] = &[
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o10000, "O_DSYNC"),
    (0o2000000, "O_CLOEXEC"),
    (0o10000000, "O_PATH"),
];

/// openat(2): `flags`.
pub const OPEN: Arg = Arg::Named(&Names {
    mask: 3,
    choices: &[(0, "O_RDONLY"), (1, "O_WRONLY"), (2, "O_RDWR")],
    flags: OPENED,
    none: "0",
});
/// pipe2(2), dup3(2): `flags`.
pub const PIPE: Arg = Arg::Named(&flags(OPENED));
/// mmap(2), mprotect(2): `prot`.
pub const PROT: Arg = Arg::Named(&Names {
    none: "PROT_NONE",
    ..flags(&[(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC"), (0x100_0000, "PROT_GROWSDOWN")])
});
/// mmap(2): `flags`.
pub const MAP: Arg = Arg::Named(&Names {
    mask: 0xf,
    choices: &[(1, "MAP_SHARED"), (2, "MAP_PRIVATE"), (3, "MAP_SHARED_VALIDATE")],
    flags: &[
        (0x10, "MAP_FIXED"),
        (0x20, "MAP_ANONYMOUS"),
        (0x100, "MAP_GROWSDOWN"),
        (0x800, "MAP_DENYWRITE"),
        (0x1000, "MAP_EXECUTABLE"),
        (0x2000, "MAP_LOCKED"),
        (0x4000, "MAP_NORESERVE"),
        (0x8000, "MAP_POPULATE"),
        (0x1_0000, "MAP_NONBLOCK"),
        (0x2_0000, "MAP_STACK"),
        (0x4_0000, "MAP_HUGETLB"),
        (0x10_0000, "MAP_FIXED_NOREPLACE"),
    ],
    none: "0",
});
/// mremap(2): `flags`.
pub const REMAP: Arg = Arg::Named(&flags(&[(1, "MREMAP_MAYMOVE"), (2, "MREMAP_FIXED"), (4, "MREMAP_DONTUNMAP")]));
/// msync(2): `flags`.
pub const SYNC: Arg = Arg::Named(&flags(&[(1, "MS_ASYNC"), (2, "MS_INVALIDATE"), (4, "MS_SYNC")]));
/// madvise(2): `advice`.
pub const ADVICE: Arg = Arg::Named(&choice(&[
    (0, "MADV_NORMAL"),
    (1, "MADV_RANDOM"),
    (2, "MADV_SEQUENTIAL"),
    (3, "MADV_WILLNEED"),
    (4, "MADV_DONTNEED"),
    (8, "MADV_FREE"),
    (9, "MADV_REMOVE"),
    (10, "MADV_DONTFORK"),
    (11, "MADV_DOFORK"),
    (12, "MADV_MERGEABLE"),
    (13, "MADV_UNMERGEABLE"),
    (14, "MADV_HUGEPAGE"),
    (15, "MADV_NOHUGEPAGE"),
    (16, "MADV_DONTDUMP"),
    (17, "MADV_DODUMP"),
    (18, "MADV_WIPEONFORK"),
    (19, "MADV_KEEPONFORK"),
]));
/// faccessat(2): `mode`.
pub const ACCESS: Arg = Arg::Named(&Names { none: "F_OK", ..flags(&[(4, "R_OK"), (2, "W_OK"), (1, "X_OK")]) });
/// `flags` of the calls whose names end in `at`.
pub const AT: Arg = Arg::Named(&flags(&[
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"),
    (0x2000, "AT_STATX_FORCE_SYNC"),
    (0x4000, "AT_STATX_DONT_SYNC"),
]));
/// faccessat2(2): `flags`. One number has two names: see [`UNLINK`].
pub const ACCESS_AT: Arg =
    Arg::Named(&flags(&[(0x100, "AT_SYMLINK_NOFOLLOW"), (0x200, "AT_EACCESS"), (0x1000, "AT_EMPTY_PATH")]));
/// unlinkat(2): `flags`.
pub const UNLINK: Arg = Arg::Named(&flags(&[(0x200, "AT_REMOVEDIR")]));
/// renameat2(2): `flags`.
pub const RENAME: Arg = Arg::Named(&flags(&[(1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT")]));
/// statx(2): `mask`.
pub const STATX: Arg = Arg::Named(&flags(&[
    (0xfff, "STATX_ALL"),
    (0x7ff, "STATX_BASIC_STATS"),
    (0x001, "STATX_TYPE"),
    (0x002, "STATX_MODE"),
    (0x004, "STATX_NLINK"),
    (0x008, "STATX_UID"),
    (0x010, "STATX_GID"),
    (0x020, "STATX_ATIME"),
    (0x040, "STATX_MTIME"),
    (0x080, "STATX_CTIME"),
    (0x100, "STATX_INO"),
    (0x200, "STATX_SIZE"),
    (0x400, "STATX_BLOCKS"),
    (0x800, "STATX_BTIME"),
    (0x1000, "STATX_MNT_ID"),
]));
/// lseek(2): `whence`.
pub const WHENCE: Arg =
    Arg::Named(&choice(&[(0, "SEEK_SET"), (1, "SEEK_CUR"), (2, "SEEK_END"), (3, "SEEK_DATA"), (4, "SEEK_HOLE")]));
/// flock(2): `operation`.
pub const LOCK: Arg = Arg::Named(&Names {
    mask: 0xb,
    choices: &[(1, "LOCK_SH"), (2, "LOCK_EX"), (8, "LOCK_UN")],
    flags: &[(4, "LOCK_NB")],
    none: "0",
});
/// fcntl(2): `cmd`.
pub const FCNTL: Arg = Arg::Named(&choice(&[
    (0, "F_DUPFD"),
    (1, "F_GETFD"),
    (2, "F_SETFD"),
    (3, "F_GETFL"),
    (4, "F_SETFL"),
    (5, "F_GETLK"),
    (6, "F_SETLK"),
    (7, "F_SETLKW"),
    (8, "F_SETOWN"),
    (9, "F_GETOWN"),
    (10, "F_SETSIG"),
    (11, "F_GETSIG"),
    (15, "F_SETOWN_EX"),
    (16, "F_GETOWN_EX"),
    (36, "F_OFD_GETLK"),
    (37, "F_OFD_SETLK"),
    (38, "F_OFD_SETLKW"),
    (1024, "F_SETLEASE"),
    (1025, "F_GETLEASE"),
    (1026, "F_NOTIFY"),
    (1030, "F_DUPFD_CLOEXEC"),
    (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"),
    (1033, "F_ADD_SEALS"),
    (1034, "F_GET_SEALS"),
]));
/// epoll_ctl(2): `op`.
pub const EPOLL_OP: Arg = Arg::Named(&choice(&[(1, "EPOLL_CTL_ADD"), (2, "EPOLL_CTL_DEL"), (3, "EPOLL_CTL_MOD")]));
/// epoll_create1(2): `flags`.
pub const EPOLL: Arg = Arg::Named(&flags(&[(0o2000000, "EPOLL_CLOEXEC")]));
/// eventfd2(2): `flags`.
pub const EVENTFD: Arg =
    Arg::Named(&flags(&[(1, "EFD_SEMAPHORE"), (0o4000, "EFD_NONBLOCK"), (0o2000000, "EFD_CLOEXEC")]));
/// timerfd_create(2): `flags`.
pub const TIMERFD: Arg = Arg::Named(&flags(&[(0o4000, "TFD_NONBLOCK"), (0o2000000, "TFD_CLOEXEC")]));
/// signalfd4(2): `flags`.
pub const SIGNALFD: Arg = Arg::Named(&flags(&[(0o4000, "SFD_NONBLOCK"), (0o2000000, "SFD_CLOEXEC")]));
/// memfd_create(2): `flags`.
pub const MEMFD: Arg = Arg::Named(&flags(&[(1, "MFD_CLOEXEC"), (2, "MFD_ALLOW_SEALING"), (4, "MFD_HUGETLB")]));
/// getrandom(2): `flags`.
pub const RANDOM: Arg = Arg::Named(&flags(&[(1, "GRND_NONBLOCK"), (2, "GRND_RANDOM"), (4, "GRND_INSECURE")]));
/// Clocks: clock_gettime(2).
pub const CLOCK: Arg = Arg::Named(&choice(&[
    (0, "CLOCK_REALTIME"),
    (1, "CLOCK_MONOTONIC"),
    (2, "CLOCK_PROCESS_CPUTIME_ID"),
    (3, "CLOCK_THREAD_CPUTIME_ID"),
    (4, "CLOCK_MONOTONIC_RAW"),
    (5, "CLOCK_REALTIME_COARSE"),
    (6, "CLOCK_MONOTONIC_COARSE"),
    (7, "CLOCK_BOOTTIME"),
    (8, "CLOCK_REALTIME_ALARM"),
    (9, "CLOCK_BOOTTIME_ALARM"),
    (11, "CLOCK_TAI"),
]));
/// timer_settime(2) and others: `flags`.
pub const TIMER: Arg = Arg::Named(&flags(&[(1, "TIMER_ABSTIME")]));
/// getitimer(2): `which`.
pub const ITIMER: Arg = Arg::Named(&choice(&[(0, "ITIMER_REAL"), (1, "ITIMER_VIRTUAL"), (2, "ITIMER_PROF")]));
/// rt_sigprocmask(2): `how`.
pub const MASKING: Arg = Arg::Named(&choice(&[(0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK")]));
/// wait4(2), waitid(2): `options`.
pub const WAIT: Arg = Arg::Named(&flags(&[
    (1, "WNOHANG"),
    (2, "WUNTRACED"),
    (4, "WEXITED"),
    (8, "WCONTINUED"),
    (0x0100_0000, "WNOWAIT"),
    (0x2000_0000, "__WNOTHREAD"),
    (0x4000_0000, "__WALL"),
    (0x8000_0000, "__WCLONE"),
]));
/// waitid(2): `which`.
pub const WAIT_ID: Arg = Arg::Named(&choice(&[(0, "P_ALL"), (1, "P_PID"), (2, "P_PGID"), (3, "P_PIDFD")]));
/// clone(2): `flags`; the lowest byte is the signal at the end.
pub const CLONE: Arg = Arg::Named(&Names {
    mask: 0xff,
    choices: &[(17, "SIGCHLD")],
    flags: &[
        (0x100, "CLONE_VM"),
        (0x200, "CLONE_FS"),
        (0x400, "CLONE_FILES"),
        (0x800, "CLONE_SIGHAND"),
        (0x1000, "CLONE_PIDFD"),
        (0x2000, "CLONE_PTRACE"),
        (0x4000, "CLONE_VFORK"),
        (0x8000, "CLONE_PARENT"),
        (0x1_0000, "CLONE_THREAD"),
        (0x2_0000, "CLONE_NEWNS"),
        (0x4_0000, "CLONE_SYSVSEM"),
        (0x8_0000, "CLONE_SETTLS"),
        (0x10_0000, "CLONE_PARENT_SETTID"),
        (0x20_0000, "CLONE_CHILD_CLEARTID"),
        (0x40_0000, "CLONE_DETACHED"),
        (0x80_0000, "CLONE_UNTRACED"),
        (0x100_0000, "CLONE_CHILD_SETTID"),
        (0x200_0000, "CLONE_NEWCGROUP"),
        (0x400_0000, "CLONE_NEWUTS"),
        (0x800_0000, "CLONE_NEWIPC"),
        (0x1000_0000, "CLONE_NEWUSER"),
        (0x2000_0000, "CLONE_NEWPID"),
        (0x4000_0000, "CLONE_NEWNET"),
        (0x8000_0000, "CLONE_IO"),
    ],
    none: "0",
});
/// futex(2): `op`.
pub const FUTEX: Arg = Arg::Named(&Names {
    mask: 0x7f,
    choices: &[
        (0, "FUTEX_WAIT"),
        (1, "FUTEX_WAKE"),
        (3, "FUTEX_REQUEUE"),
        (4, "FUTEX_CMP_REQUEUE"),
        (5, "FUTEX_WAKE_OP"),
        (6, "FUTEX_LOCK_PI"),
        (7, "FUTEX_UNLOCK_PI"),
        (8, "FUTEX_TRYLOCK_PI"),
        (9, "FUTEX_WAIT_BITSET"),
        (10, "FUTEX_WAKE_BITSET"),
        (11, "FUTEX_WAIT_REQUEUE_PI"),
        (12, "FUTEX_CMP_REQUEUE_PI"),
        (13, "FUTEX_LOCK_PI2"),
    ],
    flags: &[(0x80, "FUTEX_PRIVATE_FLAG"), (0x100, "FUTEX_CLOCK_REALTIME")],
    none: "0",
});
/// socket(2): `domain`.
pub const DOMAIN: Arg = Arg::Named(&choice(&[
    (0, "AF_UNSPEC"),
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
]));
/// socket(2): `kind`.
pub const SOCKET: Arg = Arg::Named(&Names {
    mask: 0xf,
    choices: &[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (4, "SOCK_RDM"), (5, "SOCK_SEQPACKET")],
    flags: &[(0o4000, "SOCK_NONBLOCK"), (0o2000000, "SOCK_CLOEXEC")],
    none: "0",
});
/// accept4(2): `flags`.
pub const ACCEPT: Arg = Arg::Named(&flags(&[(0o4000, "SOCK_NONBLOCK"), (0o2000000, "SOCK_CLOEXEC")]));
/// send(2), recv(2): `flags`.
pub const MESSAGE: Arg = Arg::Named(&flags(&[
    (0x1, "MSG_OOB"),
    (0x2, "MSG_PEEK"),
    (0x4, "MSG_DONTROUTE"),
    (0x8, "MSG_CTRUNC"),
    (0x20, "MSG_TRUNC"),
    (0x40, "MSG_DONTWAIT"),
    (0x80, "MSG_EOR"),
    (0x100, "MSG_WAITALL"),
    (0x800, "MSG_CONFIRM"),
    (0x2000, "MSG_ERRQUEUE"),
    (0x4000, "MSG_NOSIGNAL"),
    (0x8000, "MSG_MORE"),
    (0x1_0000, "MSG_WAITFORONE"),
    (0x4000_0000, "MSG_CMSG_CLOEXEC"),
]));
/// shutdown(2): `how`.
pub const SHUTDOWN: Arg = Arg::Named(&choice(&[(0, "SHUT_RD"), (1, "SHUT_WR"), (2, "SHUT_RDWR")]));
/// getrlimit(2): `resource`.
pub const RESOURCE: Arg = Arg::Named(&choice(&[
    (0, "RLIMIT_CPU"),
    (1, "RLIMIT_FSIZE"),
    (2, "RLIMIT_DATA"),
    (3, "RLIMIT_STACK"),
    (4, "RLIMIT_CORE"),
    (5, "RLIMIT_RSS"),
    (6, "RLIMIT_NPROC"),
    (7, "RLIMIT_NOFILE"),
    (8, "RLIMIT_MEMLOCK"),
    (9, "RLIMIT_AS"),
    (10, "RLIMIT_LOCKS"),
    (11, "RLIMIT_SIGPENDING"),
    (12, "RLIMIT_MSGQUEUE"),
    (13, "RLIMIT_NICE"),
    (14, "RLIMIT_RTPRIO"),
    (15, "RLIMIT_RTTIME"),
]));
/// getrusage(2): `who`.
pub const USAGE: Arg =
    Arg::Named(&choice(&[(0, "RUSAGE_SELF"), (1, "RUSAGE_THREAD"), (u32::MAX as u64, "RUSAGE_CHILDREN")]));

#[cfg(test)]
mod tests {
    use super::*;

    fn text(arg: Arg, value: u64) -> String {
        let Arg::Named(names) = arg else { panic!("{arg:?} has no names") };
        names.text(value)
    }

    #[test]
    fn flags_have_names_and_the_rest_is_a_number() {
        assert_eq!(text(PROT, 0), "PROT_NONE");
        assert_eq!(text(PROT, 0x83), "PROT_READ|PROT_WRITE|0x80");
        assert_eq!(text(MAP, 0x22), "MAP_PRIVATE|MAP_ANONYMOUS");
        assert_eq!(text(MAP, 0x24), "MAP_ANONYMOUS|0x4");
        assert_eq!(text(OPEN, 0o2100), "O_RDONLY|O_CREAT|O_APPEND");
        assert_eq!(text(OPEN, 3), "0x3");
        assert_eq!(text(STATX, 0xfff), "STATX_ALL");
        assert_eq!(text(AT, 0), "0");
        assert_eq!(text(CLONE, 0x0120_0011), "SIGCHLD|CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID");
    }

    #[test]
    fn choices_are_32_bits_wide() {
        assert_eq!(text(WHENCE, 2), "SEEK_END");
        assert_eq!(text(WHENCE, 7 << 32 | 1), "SEEK_CUR");
        assert_eq!(text(WHENCE, u64::MAX), "-1");
        assert_eq!(text(USAGE, u64::MAX), "RUSAGE_CHILDREN");
    }
}
