//! Lines of other tools: what a probe of bpftrace or DTrace, a command of a debugger or a call of Frida is here.
//!
//! Looked at when a line begins nothing. Single words and signs of other languages are known where they would stand:
//! verbs and operators in [`crate::explain`], names in the checker.

/// A line of another tool.
pub(crate) struct Foreign {
    /// Whose it looks like, as a label: `this looks like a bpftrace probe`.
    pub(crate) label: &'static str,
    /// What is written instead.
    pub(crate) help: String,
}

/// Providers of bpftrace, and the event that each of their probes is.
const BPFTRACE: &[(&str, &str)] = &[
    ("uprobe", "on call"),
    ("u", "on call"),
    ("kprobe", "on call"),
    ("fentry", "on call"),
    ("usdt", "on call"),
    ("uretprobe", "after call"),
    ("ur", "after call"),
    ("kretprobe", "after call"),
    ("fexit", "after call"),
    ("tracepoint", "on syscall"),
    ("interval", "on every 100000 insns"),
    ("profile", "on every 100000 insns"),
    ("BEGIN", "on begin"),
    ("END", "on end"),
];

/// Commands of gdb, with the probe that does the like; `{}` is what they are about.
const GDB: &[(&[&str], &str)] = &[
    (&["break", "b", "br", "tbreak", "hbreak"], "on insn at {} trace"),
    (&["dprintf"], "on insn at {} print x0"),
    (&["watch"], "on write at {} print old, value"),
    (&["rwatch"], "on read at {} trace"),
    (&["awatch"], "on access at {} trace"),
    (&["catch"], "on syscall {} trace"),
    (&["info", "i", "p", "x", "display", "output"], "on insn at main print x0, u64[sp]"),
    (&["bt", "backtrace", "where"], "on call main print caller, depth"),
    (&["run", "r", "continue", "c", "step", "s", "stepi", "si", "nexti", "ni", "finish"], "on insn in main trace"),
];

/// What is here what this line is elsewhere.
pub(crate) fn line(line: &str) -> Option<Foreign> {
    bpftrace(line).or_else(|| dtrace(line)).or_else(|| frida(line)).or_else(|| gdb(line)).or_else(|| definition(line))
}

fn head(line: &str) -> &str {
    line.split('{').next().unwrap_or("").trim_end()
}

/// What stands before the condition, and the condition between its slashes as a clause.
fn split_filter(head: &str) -> (&str, String) {
    match head.split_once(" /") {
        Some((probe, filter)) => {
            let filter = filter.trim_end().trim_end_matches('/').trim();
            (probe.trim_end(), if filter.is_empty() { String::new() } else { format!(" when {filter}") })
        }
        None => (head, String::new()),
    }
}

fn bpftrace(line: &str) -> Option<Foreign> {
    let whole = head(line);
    let kind = line.split([':', ' ', '{']).next().unwrap_or("");
    let (_, ours) = BPFTRACE.iter().find(|(name, _)| *name == kind)?;
    let alone = matches!(kind, "BEGIN" | "END");
    if !alone && !line[kind.len()..].starts_with(':') {
        return None;
    }
    let (probe, filter) = split_filter(whole);
    let name = probe.rsplit(':').next().unwrap_or("").split(['/', ' ', '+']).next().unwrap_or("");
    let name = name.trim_start_matches("sys_enter_").trim_start_matches("sys_exit_");
    let takes_name = ours.ends_with("call") && !name.is_empty() && !alone;
    let name = if takes_name { format!(" {name}") } else { String::new() };
    let timed = period(probe);
    let ours = timed.as_deref().unwrap_or(ours);
    Some(Foreign {
        label: "this looks like a bpftrace probe",
        help: format!("{whole} {{ ... }}  is written  {ours}{name}{filter} {{ ... }}"),
    })
}

/// The event of `interval:s:1`.
fn period(probe: &str) -> Option<String> {
    let mut parts = probe.split(':');
    let (provider, unit, count) = (parts.next()?, parts.next()?, parts.next()?);
    let known = matches!(provider, "interval" | "profile") && matches!(unit, "s" | "ms" | "us");
    (known && !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit())).then(|| format!("on every {count}{unit}"))
}

/// `provider:module:function:name`.
fn dtrace(line: &str) -> Option<Foreign> {
    let whole = head(line);
    let (probe, filter) = split_filter(whole);
    let parts: Vec<&str> = probe.split(':').collect();
    let &[provider, _, function, name] = &parts[..] else { return None };
    let function = if function.is_empty() { "*" } else { function };
    let ours = match (provider.trim_end_matches(|c: char| c.is_ascii_digit() || c == '$'), name) {
        ("syscall", "return") => format!("after syscall {function}"),
        ("syscall", _) => format!("on syscall {function}"),
        ("profile" | "tick", _) => "on every 100000 insns".to_string(),
        (_, "return") => format!("on return {function}"),
        (_, "entry" | "") => format!("on call {function}"),
        _ => return None,
    };
    Some(Foreign {
        label: "this looks like a DTrace probe",
        help: format!("{whole} {{ ... }}  is written  {ours}{filter} {{ ... }}"),
    })
}

fn frida(line: &str) -> Option<Foreign> {
    let help = match line.split(['(', ';']).next().unwrap_or("").trim_end() {
        "Interceptor.attach" => "on call malloc print arg0",
        "Interceptor.replace" => "on call check return 0",
        "Stalker.follow" => "on insn in main trace",
        "Memory.readU64" | "Memory.readPointer" => "on insn at main print u64[x0]",
        "console.log" | "send" => "on insn at main print \"x0 is {x0}\"",
        _ => return None,
    };
    Some(Foreign { label: "this looks like a Frida script", help: help.to_string() })
}

fn gdb(line: &str) -> Option<Foreign> {
    let word = line.split([' ', '/', '\t']).next().unwrap_or("");
    let (_, ours) = GDB.iter().find(|(names, _)| names.contains(&word))?;
    let rest = line[word.len()..].trim();
    if rest.starts_with('=') {
        return None;
    }
    let (rest, condition) = rest.split_once(" if ").unwrap_or((rest, ""));
    let when =
        if condition.is_empty() { String::new() } else { format!(" when {}", condition.trim().replace('$', "")) };
    let subject = rest.trim_start_matches(['*', '&']).split([' ', ',']).next().unwrap_or("");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '+');
    let subject = if !subject.is_empty() && subject.chars().all(plain) { subject } else { "main" };
    Some(Foreign {
        label: "this looks like a command of a debugger",
        help: ours.replace("{}", &format!("{subject}{when}")),
    })
}

/// Definitions as other languages begin them.
fn definition(line: &str) -> Option<Foreign> {
    let help = match line.split_whitespace().next()? {
        "def" | "function" | "func" | "fun" | "sub" | "#define" => "fn double(a) = a * 2",
        "var" | "int" | "long" | "unsigned" | "char" | "static" | "global" | "#set" => {
            "a number with a name: `const LIMIT = 5`; a variable of all probes: `on begin @n = 1`"
        }
        "import" | "include" | "#include" | "require" => "several scripts are given with `-s` each",
        _ => return None,
    };
    Some(Foreign { label: "a definition of another language", help: help.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(text: &str) -> String {
        line(text).map_or(String::new(), |foreign| foreign.help)
    }

    #[test]
    fn probes_of_others_are_translated() {
        let cases = [
            ("uprobe:/bin/x:f { }", "uprobe:/bin/x:f { ... }  is written  on call f { ... }"),
            ("kprobe:f /pid == 1/ { }", "kprobe:f /pid == 1/ { ... }  is written  on call f when pid == 1 { ... }"),
            ("BEGIN { }", "BEGIN { ... }  is written  on begin { ... }"),
            ("syscall::open:entry { }", "syscall::open:entry { ... }  is written  on syscall open { ... }"),
            (
                "pid$target:libc:malloc:entry {",
                "pid$target:libc:malloc:entry { ... }  is written  on call malloc { ... }",
            ),
            ("pid1::f:return", "pid1::f:return { ... }  is written  on return f { ... }"),
            ("break main.c:12", "on insn at main.c:12 trace"),
            ("b *0x800", "on insn at 0x800 trace"),
            ("break main if $x0 == 1", "on insn at main when x0 == 1 trace"),
            ("interval:s:1 { }", "interval:s:1 { ... }  is written  on every 1s { ... }"),
            ("watch counter", "on write at counter print old, value"),
            ("x/4x $sp", "on insn at main print x0, u64[sp]"),
            ("Interceptor.attach(ptr(1), {", "on call malloc print arg0"),
        ];
        for (text, wanted) in cases {
            assert_eq!(help(text), wanted);
        }
        for own in ["on insn trace", "x = 5", "interval", "frobnicate", "", "é:é:é:é", "u", "kprobe"] {
            assert!(line(own).is_none(), "{own}");
        }
    }
}
