//! The names of signals, as scripts write them. They have the same numbers on all architectures that share
//! `asm-generic/signal.h`. Source: signal(7).

/// Names and numbers.
pub(crate) const TABLE: &[(&str, u8)] = &[
    ("sighup", 1),
    ("sigint", 2),
    ("sigquit", 3),
    ("sigill", 4),
    ("sigtrap", 5),
    ("sigabrt", 6),
    ("sigbus", 7),
    ("sigfpe", 8),
    ("sigkill", 9),
    ("sigusr1", 10),
    ("sigsegv", 11),
    ("sigusr2", 12),
    ("sigpipe", 13),
    ("sigalrm", 14),
    ("sigterm", 15),
    ("sigstkflt", 16),
    ("sigchld", 17),
    ("sigcont", 18),
    ("sigstop", 19),
    ("sigtstp", 20),
    ("sigttin", 21),
    ("sigttou", 22),
    ("sigurg", 23),
    ("sigxcpu", 24),
    ("sigxfsz", 25),
    ("sigvtalrm", 26),
    ("sigprof", 27),
    ("sigwinch", 28),
    ("sigio", 29),
    ("sigpwr", 30),
    ("sigsys", 31),
    ("sigrtmin", SIGRTMIN),
    ("sigrtmax", 64),
];

/// The first real-time signal that programs use; the C library has the two before it.
const SIGRTMIN: u8 = 34;

/// The name of a signal, in the manual's capitals: `SIGUSR1`, `SIGRTMIN+3`.
pub(crate) fn name(number: u8) -> String {
    match TABLE.iter().find(|(_, other)| *other == number) {
        Some((name, _)) => name.to_uppercase(),
        None if number > SIGRTMIN => format!("SIGRTMIN+{}", number - SIGRTMIN),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn every_signal_has_a_name() {
        assert_eq!(
            [10, 11, 33, 34, 37, 64].map(name),
            ["SIGUSR1", "SIGSEGV", "signal 33", "SIGRTMIN", "SIGRTMIN+3", "SIGRTMAX"]
        );
    }
}
