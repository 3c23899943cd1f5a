//! Compares results and says what differs, by mnemonic.

use crate::batch::Case;
use exarmo_aarch64::decode_word;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

const SIGILL: u128 = 4;
/// How many differing cases of a mnemonic are shown.
const SHOWN: usize = 2;

/// Mnemonics that Spile is known not to implement, one a line; `#` starts a comment.
static UNIMPLEMENTED: &str = include_str!("../unimplemented.txt");

/// What one engine made of the cases.
#[derive(Default)]
pub(crate) struct Report {
    by_mnemonic: BTreeMap<&'static str, Tally>,
    ignored: Vec<String>,
}

#[derive(Default)]
struct Tally {
    cases: u64,
    wrong: u64,
    unimplemented: u64,
    examples: Vec<String>,
}

/// The numbers of the closing line.
#[derive(Default, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Report {
    /// Starts a report that does not compare the fields `ignored`.
    pub(crate) fn new(ignored: &[String]) -> Report {
        Report { ignored: ignored.to_vec(), ..Report::default() }
    }

    /// Counts a case of which both results are there.
    pub(crate) fn compare(&mut self, case: &Case, reference: &[u8], result: &[u8]) {
        let tally = self.by_mnemonic.entry(case.mnemonic).or_default();
        tally.cases += 1;
        let differing = differences(reference, result, &self.ignored);
        if differing.is_empty() {
            return;
        }
        if field(result, "signal") == SIGILL && field(reference, "signal") != SIGILL {
            tally.unimplemented += 1;
        } else {
            tally.wrong += 1;
        }
        if tally.examples.len() < SHOWN {
            tally.examples.push(describe(case, reference, result, &differing));
        }
    }

    /// Counts a case at which the engine itself ended.
    pub(crate) fn died(&mut self, case: &Case, why: &str) {
        let tally = self.by_mnemonic.entry(case.mnemonic).or_default();
        tally.cases += 1;
        tally.wrong += 1;
        if tally.examples.len() < SHOWN {
            tally.examples.push(format!("{}    the engine ended: {why}\n", listing(case)));
        }
    }

    /// Writes all differences, and what was not implemented, and returns the counts.
    pub(crate) fn write(&self, engine: &str, out: &mut impl Write) -> io::Result<Totals> {
        let mut totals = Totals::default();
        for (mnemonic, tally) in &self.by_mnemonic {
            let known = UNIMPLEMENTED.lines().any(|line| line.trim() == *mnemonic);
            totals.passed += tally.cases - tally.wrong - tally.unimplemented;
            totals.failed += tally.wrong + if known { 0 } else { tally.unimplemented };
            totals.skipped += if known { tally.unimplemented } else { 0 };
            tally.write(engine, mnemonic, known, out)?;
        }
        let cases: u64 = self.by_mnemonic.values().map(|tally| tally.cases).sum();
        writeln!(out, "{engine}: {} mnemonics, {cases} cases", self.by_mnemonic.len())?;
        Ok(totals)
    }
}

impl Tally {
    fn write(&self, engine: &str, mnemonic: &str, known: bool, out: &mut impl Write) -> io::Result<()> {
        if self.unimplemented > 0 {
            let note = if known { ", as unimplemented.txt says" } else { "" };
            writeln!(out, "{engine}: {mnemonic}: {} of {} cases raise SIGILL{note}", self.unimplemented, self.cases)?;
        } else if known {
            writeln!(out, "{engine}: {mnemonic}: is implemented now; take it out of unimplemented.txt")?;
        }
        if self.wrong > 0 {
            writeln!(out, "{engine}: {mnemonic}: {} of {} cases differ", self.wrong, self.cases)?;
        }
        if self.wrong > 0 || (self.unimplemented > 0 && !known) {
            self.examples.iter().try_for_each(|example| write!(out, "{example}"))?;
        }
        Ok(())
    }
}

/// Names and widths of the fields of a result, in its order.
fn fields() -> impl Iterator<Item = (String, usize)> {
    let integers = (0..31).map(|n| (format!("x{n}"), 8));
    let system = ["sp", "nzcv", "fpcr", "fpsr", "taken"].map(|name| (name.to_owned(), 8));
    let vectors = (0..32).map(|n| (format!("v{n}"), 16));
    let fault = ["signal", "fault-pc", "fault-address", "memory-hash", "memory-index", "memory-value"];
    integers
        .chain(system)
        .chain(vectors)
        .chain(fault.map(|name| (name.to_owned(), 8 + 8 * usize::from(name == "memory-value"))))
}

fn values(result: &[u8]) -> impl Iterator<Item = (String, u128)> {
    let mut at = 0;
    fields().map(move |(name, width)| {
        let mut bytes = [0; 16];
        bytes[..width].copy_from_slice(&result[at..at + width]);
        at += width;
        (name, u128::from_le_bytes(bytes))
    })
}

fn field(result: &[u8], name: &str) -> u128 {
    values(result).find(|(found, _)| found == name).map_or(0, |(_, value)| value)
}

fn differences(reference: &[u8], result: &[u8], ignored: &[String]) -> Vec<(String, u128, u128)> {
    if reference == result {
        return Vec::new();
    }
    values(reference)
        .zip(values(result))
        .filter(|((name, a), (_, b))| a != b && !ignored.contains(name) && !same_fault(name, *a, *b))
        .map(|((name, a), (_, b))| (name, a, b))
        .collect()
}

/// QEMU has the address of a fault from the host, which gives 0 for those that no x86-64 address can be; and it keeps
/// the tag in the top byte or not, as it happens.
fn same_fault(name: &str, expected: u128, found: u128) -> bool {
    name == "fault-address" && (expected == 0 || (expected ^ found) << 72 == 0)
}

fn listing(case: &Case) -> String {
    let mut text = String::new();
    for &bits in &case.code {
        let name = decode_word(bits).map_or_else(|_| "?".to_owned(), |insn| insn.at(case.state.x[30]).to_string());
        let _ = writeln!(text, "  {bits:08x}  {}", name.replace('\t', " "));
    }
    text
}

fn describe(case: &Case, reference: &[u8], result: &[u8], differing: &[(String, u128, u128)]) -> String {
    let mut text = listing(case);
    for (name, value) in inputs(case) {
        let _ = writeln!(text, "    before  {name:13} {value:#x}");
    }
    for (name, expected, found) in differing {
        let _ = writeln!(text, "    after   {name:13} {expected:#x} expected, {found:#x} found");
    }
    let signals = (field(reference, "signal"), field(result, "signal"));
    if signals.0 != 0 && signals.0 == signals.1 {
        let _ = writeln!(text, "    both stopped by signal {}", signals.0);
    }
    text
}

/// The registers that the code names, with their values before it, and the modes and flags.
fn inputs(case: &Case) -> Vec<(String, u128)> {
    let text = listing(case);
    let state = &case.state;
    let mut inputs: Vec<(String, u128)> = Vec::new();
    for part in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let (Some(kind), Some(number)) = (part.get(..1), part.get(1..).and_then(|n| n.parse::<usize>().ok())) else {
            continue;
        };
        match kind {
            "x" | "w" if number < 31 => inputs.push((format!("x{number}"), state.x[number].into())),
            "v" | "q" | "d" | "s" | "h" | "b" if number < 32 => inputs.push((format!("v{number}"), state.v[number])),
            _ => {}
        }
    }
    inputs.push(("nzcv".to_owned(), state.nzcv.into()));
    inputs.push(("fpcr".to_owned(), state.fpcr.into()));
    inputs.push(("fpsr".to_owned(), state.fpsr.into()));
    inputs.sort();
    inputs.dedup();
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::RESULT_SIZE;

    #[test]
    fn fields_fill_a_result() {
        // The last word of a result is padding.
        assert_eq!(fields().map(|(_, width)| width).sum::<usize>(), RESULT_SIZE - 8);
    }

    #[test]
    fn a_changed_byte_is_found_under_its_name() {
        let reference = vec![0; RESULT_SIZE];
        let mut result = reference.clone();
        result[288 + 16 * 3 + 1] = 1;
        assert_eq!(differences(&reference, &result, &[]), [("v3".to_owned(), 0, 256)]);
        assert!(differences(&reference, &result, &["v3".to_owned()]).is_empty());
    }
}
