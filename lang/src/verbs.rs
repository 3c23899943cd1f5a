//! The table of statements: every verb with its form, for help texts and for the reference.

/// One verb.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// The word that a statement begins with.
    pub name: &'static str,
    /// How it is written.
    pub form: &'static str,
    /// What it does, as one sentence without full stop.
    pub doc: &'static str,
    /// True if it changes the guest.
    pub patches: bool,
    /// False if this version parses it but refuses to run it.
    pub supported: bool,
}

const fn verb(name: &'static str, form: &'static str, doc: &'static str) -> Verb {
    Verb { name, form, doc, patches: false, supported: true }
}

const fn patch(name: &'static str, form: &'static str, doc: &'static str) -> Verb {
    Verb { patches: true, ..verb(name, form, doc) }
}

const fn later(verb: Verb) -> Verb {
    Verb { supported: false, ..verb }
}

/// All verbs, by group.
pub const TABLE: &[Verb] = &[
    patch("write", "write x0 = 5", "writes a register or guest memory"),
    patch("flip", "flip x0 bit 3", "inverts bits"),
    patch("set", "set u8[0x2000] bits 0..4", "sets bits to 1"),
    patch("clear", "clear x7 mask 0xff", "sets bits to 0"),
    patch("stick", "stick x3 bit 5 = 1", "forces bits on every read of a register or of memory"),
    patch("skip", "skip 2", "goes on after this instruction, or after so many; drops a system call or a store"),
    patch("goto", "goto main+0x40", "goes on at another place"),
    patch(
        "return",
        "return 0",
        "finishes the function at its entry, the system call or the load, with this result or `void`",
    ),
    patch("raise", "raise sigusr1", "sends the thread a signal, which it gets before its next instruction"),
    verb("print", "print x0, n=x1, \"text {x2:#x}\"", "prints values"),
    verb("trace", "trace", "prints the event in one line"),
    verb("dump", "dump sp, 64", "prints guest memory in hexadecimal"),
    verb("warn", "warn \"odd length {x1}\"", "prints a warning"),
    later(verb("cover", "cover \"run.drcov\"", "records coverage")),
    verb("count", "count by func into @calls", "counts"),
    verb("sum", "sum x1 by func", "adds up"),
    verb("avg", "avg x1 by func", "computes the mean"),
    verb("min", "min x1", "keeps the smallest value"),
    verb("max", "max x1", "keeps the largest value"),
    verb("last", "last x1", "keeps the latest value"),
    verb("stats", "stats x1", "computes count, sum, mean, smallest and largest"),
    verb("hist", "hist x1 linear 0..200 step 10", "makes a histogram"),
    verb("assert", "assert @calls == 177, \"got {@calls}\"", "ends the run as failed unless true"),
    verb("fail", "fail \"must not come here\"", "ends the run as failed"),
    verb("exit", "exit 0", "ends the run with a status"),
    later(verb("stop", "stop", "breaks into the debugger")),
    verb("enable", "enable spy", "arms labelled probes"),
    verb("disable", "disable spy", "disarms labelled probes"),
    verb("reset", "reset @calls", "empties a map or an aggregation"),
    verb("delete", "delete @live[x0]", "removes a key"),
    verb("let", "let n = x0 + 1", "names a value for the rest of the body"),
    verb("if", "if x0 == 1 { print x1 }", "runs a block under a condition"),
    verb("for", "for i in 0..8 { print i }", "repeats a block for numbers, or for the keys of a map"),
    verb("next", "next", "goes on with the next iteration of `for`, or else leaves this body"),
    later(verb("snapshot", "snapshot \"ready\"", "saves the machine's state")),
    later(verb("restore", "restore \"ready\"", "returns to a saved state")),
];

/// Finds a verb by its word.
pub fn find(name: &str) -> Option<&'static Verb> {
    TABLE.iter().find(|verb| verb.name == name)
}
