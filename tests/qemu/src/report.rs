//! Compares results and says what differs, by mnemonic.

use crate::batch::Case;
use crate::guest::Machine;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

const SIGILL: u128 = 4;
/// How many differing cases of a mnemonic are shown.
const SHOWN: usize = 2;

/// Mnemonics that Spile is known not to implement, one a line; `#` starts a comment.
static UNIMPLEMENTED: &str = include_str!("../unimplemented.txt");

/// What one engine made of the cases.
pub(crate) struct Report {
    machine: &'static Machine,
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
    pub(crate) fn new(machine: &'static Machine, ignored: &[String]) -> Report {
        Report { machine, by_mnemonic: BTreeMap::new(), ignored: ignored.to_vec() }
    }

    /// Counts a case of which both results are there.
    pub(crate) fn compare(&mut self, case: &Case, reference: &[u8], result: &[u8]) {
        let tally = self.by_mnemonic.entry(case.mnemonic).or_default();
        tally.cases += 1;
        let machine = self.machine;
        let differing = differences(machine, reference, result, &self.ignored);
        if differing.is_empty() {
            return;
        }
        let refuses = |result: &[u8]| u128::from(result[machine.signal]) == SIGILL;
        if refuses(result) && !refuses(reference) {
            tally.unimplemented += 1;
        } else {
            tally.wrong += 1;
        }
        if tally.examples.len() < SHOWN {
            tally.examples.push(describe(machine, case, reference, result, &differing));
        }
    }

    /// Counts a case at which the engine itself ended.
    pub(crate) fn died(&mut self, case: &Case, why: &str) {
        let tally = self.by_mnemonic.entry(case.mnemonic).or_default();
        tally.cases += 1;
        tally.wrong += 1;
        let machine = self.machine;
        if tally.examples.len() < SHOWN {
            tally.examples.push(format!("{}    the engine ended: {why}\n", listing(machine, case)));
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

/// The fields that end every result: names and widths.
pub(crate) fn fault_fields() -> impl Iterator<Item = (String, usize)> {
    let names = ["signal", "fault-pc", "fault-address", "memory-hash", "memory-index", "memory-value"];
    names.into_iter().map(|name| (name.to_owned(), 8 + 8 * usize::from(name == "memory-value")))
}

fn values(machine: &Machine, result: &[u8]) -> Vec<(String, u128)> {
    let mut at = 0;
    let value = |(name, width): (String, usize)| {
        let mut bytes = [0; 16];
        bytes[..width].copy_from_slice(&result[at..at + width]);
        at += width;
        (name, u128::from_le_bytes(bytes))
    };
    (machine.fields)().into_iter().map(value).collect()
}

fn differences(machine: &Machine, reference: &[u8], result: &[u8], ignored: &[String]) -> Vec<(String, u128, u128)> {
    if reference == result {
        return Vec::new();
    }
    values(machine, reference)
        .into_iter()
        .zip(values(machine, result))
        .filter(|((name, a), (_, b))| a != b && !ignored.contains(name) && !same_fault(name, *a, *b))
        .map(|((name, a), (_, b))| (name, a, b))
        .collect()
}

/// QEMU has the address of a fault from the host, which gives 0 for those that no x86-64 address can be; and it keeps
/// the tag in the top byte or not, as it happens.
fn same_fault(name: &str, expected: u128, found: u128) -> bool {
    name == "fault-address" && (expected == 0 || (expected ^ found) << 72 == 0)
}

fn listing(machine: &Machine, case: &Case) -> String {
    let mut text = String::new();
    let mut pc = case.state.code();
    for &bits in &case.code {
        let size = (machine.size)(bits);
        let _ = writeln!(text, "  {bits:0width$x}  {}", (machine.text)(bits, pc), width = 2 * size);
        pc += size as u64;
    }
    text
}

fn describe(
    machine: &Machine,
    case: &Case,
    reference: &[u8],
    result: &[u8],
    differing: &[(String, u128, u128)],
) -> String {
    let mut text = listing(machine, case);
    for (name, value) in inputs(machine, case) {
        let _ = writeln!(text, "    before  {name:13} {value:#x}");
    }
    for (name, expected, found) in differing {
        let _ = writeln!(text, "    after   {name:13} {expected:#x} expected, {found:#x} found");
    }
    let signals = [reference, result].map(|result| result[machine.signal]);
    if signals[0] != 0 && signals[0] == signals[1] {
        let _ = writeln!(text, "    both stopped by signal {}", signals[0]);
    }
    text
}

/// The registers that the code names, with their values before it, and the modes and flags.
fn inputs(machine: &Machine, case: &Case) -> Vec<(String, u128)> {
    let text = listing(machine, case);
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut inputs: Vec<(String, u128)> = parts.filter_map(|part| case.state.register(part)).collect();
    inputs.extend(case.state.modes());
    inputs.sort();
    inputs.dedup();
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::a64::A64;
    use crate::guest::Guest;
    use crate::riscv::{Rv32, Rv64};

    #[test]
    fn fields_fill_a_result() {
        for machine in [A64::MACHINE, Rv64::MACHINE, Rv32::MACHINE] {
            let mut at = 0;
            for (name, width) in (machine.fields)() {
                assert_eq!(name == "signal", at == machine.signal, "{name} at {at}");
                at += width;
            }
            // The last word of a result may be padding.
            assert!(at == machine.result_size || at == machine.result_size - 8, "{at}");
        }
    }

    #[test]
    fn a_changed_byte_is_found_under_its_name() {
        let machine = A64::MACHINE;
        let reference = vec![0; machine.result_size];
        let mut result = reference.clone();
        result[288 + 16 * 3 + 1] = 1;
        assert_eq!(differences(machine, &reference, &result, &[]), [("v3".to_owned(), 0, 256)]);
        assert!(differences(machine, &reference, &result, &["v3".to_owned()]).is_empty());
    }
}
