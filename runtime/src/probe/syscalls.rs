//! System calls as text: for `name`, `args` and `trace`, much as strace(1) writes them.
//!
//! Names and kinds of arguments come from the table of calls; what a call returns in memory is not shown before it has
//! returned.

use crate::linux::{Arg, signal_names, table};
use crate::mem::GuestMemory;
use crate::probe::format::{errno_name, escape, put};

/// Bytes of a buffer that are shown.
const SHOWN: u64 = 32;
/// Bytes of a path that are shown.
const PATH: usize = 4096;
/// The largest error number, negated: results from here on are errors.
const FIRST_ERROR: i64 = -4095;
const AT_FDCWD: i32 = -100;

/// A system call, before or after it is made.
pub(super) struct Call {
    number: u64,
    args: [u64; 6],
    result: Option<u64>,
}

impl Call {
    /// The call in the slots of an action: number, six arguments, and the result if there is one.
    pub(super) fn of(slots: &[u64]) -> Call {
        let slot = |n: usize| slots.get(n).copied();
        let args = std::array::from_fn(|n| slot(n + 1).unwrap_or(0));
        Call { number: slot(0).unwrap_or(0), args, result: slot(7) }
    }

    /// The bytes that argument `n` says how many there are of, as far as they are there.
    fn buffer(&self, n: usize, kind: Arg) -> Option<u64> {
        let asked = self.args.get(n + 1).copied()?;
        match (kind, self.result) {
            (Arg::In, _) => Some(asked),
            (_, Some(result)) if (result as i64) >= 0 => Some(asked.min(result)),
            _ => None,
        }
    }
}

/// The name of a call, or its number.
pub(super) fn name(number: u64) -> String {
    table::name(number).map_or_else(|| number.to_string(), str::to_string)
}

/// `dirfd=AT_FDCWD path="/etc/passwd" flags=O_RDONLY`.
pub(super) fn arguments(call: &Call, memory: &GuestMemory) -> String {
    each(call, memory).into_iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ")
}

/// `openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3`; without the result before the call.
pub(super) fn line(call: &Call, memory: &GuestMemory) -> String {
    let texts: Vec<String> = each(call, memory).into_iter().map(|(_, text)| text).collect();
    let mut out = format!("{}({})", name(call.number), texts.join(", "));
    match call.result.map(|result| result as i64) {
        None => {}
        Some(error @ FIRST_ERROR..0) => put(&mut out, format_args!(" = -1 {}", errno_name(error))),
        Some(result) if returns_address(call.number) => put(&mut out, format_args!(" = {result:#x}")),
        Some(result) => put(&mut out, format_args!(" = {result}")),
    }
    out
}

fn returns_address(number: u64) -> bool {
    matches!(table::name(number), Some("brk" | "mmap" | "mremap" | "shmat"))
}

/// Names and values of the arguments. A mode counts only where a file is made.
fn each(call: &Call, memory: &GuestMemory) -> Vec<(&'static str, String)> {
    let Some(row) = table::find(call.number) else {
        return ["a", "b", "c", "d", "e", "f"].into_iter().zip(call.args.map(|arg| format!("{arg:#x}"))).collect();
    };
    let creates = row.name != "openat" || call.args[2] & 0o100 != 0;
    let shown = row.args.iter().enumerate().filter(|(_, (_, kind))| *kind != Arg::Mode || creates);
    shown.map(|(n, &(name, kind))| (name, argument(call, n, (name, kind), memory))).collect()
}

fn argument(call: &Call, n: usize, (name, kind): (&str, Arg), memory: &GuestMemory) -> String {
    let value = call.args[n];
    match kind {
        Arg::Dir if value as i32 == AT_FDCWD => "AT_FDCWD".to_string(),
        Arg::Int if name == "offset" => (value as i64).to_string(),
        Arg::Fd | Arg::Dir | Arg::Int | Arg::Pid => (value as i32).to_string(),
        Arg::Signal => match u8::try_from(value as u32) {
            Ok(number @ 1..=64) => signal_names::name(number),
            _ => (value as i32).to_string(),
        },
        Arg::Named(names) => names.text(value),
        Arg::Size => value.to_string(),
        Arg::Mode => format!("{:#o}", value as u32),
        Arg::Flags => format!("{value:#x}"),
        Arg::Ptr => address(value),
        Arg::Path => match memory.read_c_string(value, PATH) {
            Ok((bytes, complete)) => quoted(&bytes, !complete),
            Err(_) => address(value),
        },
        Arg::In | Arg::Out => match call.buffer(n, kind) {
            Some(len) => {
                let mut bytes = vec![0; len.min(SHOWN) as usize];
                match memory.read(value, &mut bytes) {
                    Ok(()) => quoted(&bytes, len > SHOWN),
                    Err(_) => address(value),
                }
            }
            None => address(value),
        },
    }
}

fn address(value: u64) -> String {
    if value == 0 { "NULL".to_string() } else { format!("{value:#x}") }
}

fn quoted(bytes: &[u8], cut: bool) -> String {
    let mut out = String::from("\"");
    escape(&mut out, bytes, false);
    out.push_str(if cut { "\"..." } else { "\"" });
    out
}
