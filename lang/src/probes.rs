//! The table of events: what a probe can wait for, and the values that each event adds.

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The word after `on`.
    pub name: &'static str,
    /// What follows the word, in words; empty for nothing.
    pub args: &'static str,
    /// Values that exist in its probes only, beside those that exist everywhere.
    pub values: &'static [&'static str],
    /// When it fires, as one sentence without full stop.
    pub doc: &'static str,
    /// A probe that runs.
    pub example: &'static str,
    /// True if it happens at an address, so that `at`, `in` and `except` select where.
    pub has_place: bool,
    /// True if `after` has a meaning for it.
    pub has_after: bool,
    /// False if this version parses it but refuses to run it.
    pub supported: bool,
}

const fn event(
    name: &'static str,
    args: &'static str,
    values: &'static [&'static str],
    doc: &'static str,
    example: &'static str,
) -> Event {
    Event { name, args, values, doc, example, has_place: false, has_after: false, supported: true }
}

const fn placed(event: Event) -> Event {
    Event { has_place: true, ..event }
}

const fn with_after(event: Event) -> Event {
    Event { has_after: true, ..event }
}

const fn later(event: Event) -> Event {
    Event { supported: false, ..event }
}

/// All events.
pub const TABLE: &[Event] = &[
    with_after(placed(event(
        "insn",
        "a mnemonic glob \"ld*\" or a regular expression /…/ over the disassembly; optional",
        &["insn", "next"],
        "each instruction",
        "on insn at main write x0 = 5",
    ))),
    placed(event("block", "", &["insn", "block"], "entry of a basic block", "on block in main count by pc")),
    event(
        "every",
        "a number of instructions, or a time",
        &["insn"],
        "sampling: each time a thread has executed so many instructions, or has run for so long",
        "on every 100000 insns count by func",
    ),
    event("begin", "", &[], "after loading, before the first instruction", "on begin print \"start\""),
    event("end", "", &["status"], "after the last instruction, however the run ends", "on end print status"),
    event(
        "exit",
        "",
        &["status"],
        "a guest thread ends, in it, and once all threads have ended the process",
        "on exit print tid, status",
    ),
    with_after(placed(event(
        "call",
        "function names, or *",
        &["args", "caller", "depth", "retval", "elapsed"],
        "entry of a function; `after`: back in the caller",
        "on call malloc print arg0",
    ))),
    placed(event(
        "return",
        "function names, or *",
        &["args", "caller", "depth", "retval", "elapsed"],
        "a return instruction of a function, its frame still there",
        "on return malloc print retval",
    )),
    placed(event(
        "branch",
        "",
        &["insn", "target", "taken", "kind"],
        "before each instruction that can transfer control",
        "on branch in main count by pc, target",
    )),
    placed(event(
        "line",
        "",
        &["file", "line"],
        "the first instruction of each stretch of code of one source line; `in` also takes a source file, in quotes",
        "on line in \"main.c\" count by line",
    )),
    with_after(placed(event(
        "read",
        "",
        &["addr", "size", "value"],
        "the guest loads from memory; places are the accessed addresses",
        "after read at counter print value",
    ))),
    with_after(placed(event(
        "write",
        "",
        &["addr", "size", "value", "old"],
        "the guest stores to memory; places are the accessed addresses",
        "on write at counter print old, value",
    ))),
    with_after(placed(event(
        "access",
        "",
        &["addr", "size", "value", "is_write"],
        "the guest loads or stores; places are the accessed addresses",
        "on access hist size",
    ))),
    with_after(event(
        "syscall",
        "names, globs or numbers, or *",
        &["nr", "name", "args", "ret", "elapsed"],
        "the guest asks the kernel for something; `after`: it has the result",
        "on syscall openat print args",
    )),
    event(
        "signal",
        "names, globs or numbers, or *",
        &["name", "sig", "code", "addr"],
        "a signal is about to be delivered: before its handler, or the end of the process",
        "on signal sigsegv print addr",
    ),
    later(with_after(event(
        "irq",
        "numbers, names, or *",
        &["nr", "name", "elapsed"],
        "an interrupt is entered",
        "on irq 28 count",
    ))),
    event(
        "trap",
        "causes, or *",
        &["insn", "cause", "addr"],
        "an instruction cannot be executed, before that becomes a signal: `illegal`, `undef`, `segv`, `bus`, `align`, \
         `break`",
        "on trap * print cause, addr",
    ),
    event(
        "output",
        "a glob in quotes",
        &["text", "source"],
        "the guest has written a matching line to its standard output or error; a prompt counts when it waits for input",
        "on output \"*login:*\" exit 0",
    ),
    event(
        "load",
        "module names, globs, or *",
        &["name", "base", "size"],
        "a module is mapped: the program and its interpreter after `begin`, then libraries",
        "on load libc.so.6 print base",
    ),
    event(
        "spawn",
        "",
        &[],
        "a guest thread other than the first begins, or a forked process, in it",
        "on spawn print tid",
    ),
    event(
        "mark",
        "names, globs, or *",
        &["insn", "name"],
        "somebody has said `spile ctl SESSION emit NAME`; in the first guest thread that executes something then",
        "on mark glitch print icount",
    ),
];

/// Finds an event by its word.
pub fn find(name: &str) -> Option<&'static Event> {
    TABLE.iter().find(|event| event.name == name)
}
