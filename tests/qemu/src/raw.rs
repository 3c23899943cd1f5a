//! Programs that Spile runs as raw images: how, and the cases that trap, with which a raw image ends. These are run one at
//! a time, with a probe that says what the others write themselves: registers, cause, pc and address.

use crate::all_there;
use crate::batch::{self, Case, RAW};
use crate::engine::Engine;
use crate::guest::Machine;
use crate::image::{RECORDS, WINDOW};
use crate::report::Report;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The arguments of `spile run` for a raw image of this machine.
pub(crate) fn arguments(machine: &Machine, arch: &str) -> Vec<String> {
    let registers: Vec<String> = integers(machine).map(|(_, name)| name).collect();
    // Its line is the last one, since the run ends by it and not by the trap.
    let script = format!("on trap * {{ print cause, addr, pc, {}; exit 3 }}", registers.join(", "));
    let (base, entry) = (WINDOW.to_string(), machine.layout.code.to_string());
    let arguments = ["--raw", "--arch", arch, "--base", &base, "--entry", &entry, "-q", "-e", &script];
    arguments.map(str::to_owned).to_vec()
}

/// The integer registers of a result: where in it, and their names.
fn integers(machine: &Machine) -> impl Iterator<Item = (usize, String)> {
    let at = |fields: Vec<(String, usize)>| {
        fields.into_iter().scan(0, |at, (name, width)| {
            let here = *at;
            *at += width;
            Some((here, name))
        })
    };
    at((machine.fields)()).filter(|(_, name)| name.starts_with('x') && name != "x4")
}

/// Compares the cases that trap under the reference, and returns the others.
pub(crate) fn compare_traps(
    machine: &'static Machine,
    engine: &Engine,
    reference: &Engine,
    path: &Path,
    report: &mut Report,
    mut cases: Vec<Case>,
) -> Result<Vec<Case>, String> {
    let run_all = |cases: &mut [Case]| {
        batch::write_program(machine, path, cases)?;
        let expected = batch::run(machine, reference, path)?;
        all_there(machine, &expected, cases).map(|()| expected)
    };
    let expected = run_all(&mut cases)?;
    let (mut trapping, mut others) = (Vec::new(), Vec::new());
    for (i, case) in cases.into_iter().enumerate() {
        let list = if expected.has_raised(i, 0) { &mut others } else { &mut trapping };
        list.push(case);
    }
    // Without the others they are at other addresses.
    let expected = run_all(&mut trapping)?;
    for (i, case) in trapping.iter().enumerate() {
        begin_at(machine, path, i, case).map_err(|error| format!("cannot write the image: {error}"))?;
        let found = batch::run(machine, engine, path)?;
        let (expected, said) = (expected.get(i).unwrap_or_default(), found.failure.as_deref().unwrap_or_default());
        match (found.get(0), trapped(machine, expected, said)) {
            (Some(result), _) => report.compare(case, expected, result),
            (None, Some(result)) => report.compare(case, expected, &result),
            (None, None) => report.died(case, said),
        }
    }
    Ok(others)
}

/// Makes a case the only one that the raw image runs.
fn begin_at(machine: &Machine, path: &Path, index: usize, case: &Case) -> io::Result<()> {
    let record = machine.layout.cells + RECORDS + (index * case.state.record().len()) as u64;
    let cells = [1u64.to_le_bytes(), record.to_le_bytes()].concat();
    let image = OpenOptions::new().write(true).open(path.with_extension(RAW))?;
    image.write_all_at(&cells, machine.layout.cells - WINDOW)
}

/// The result of a case of which the probe has printed `line`; what that does not say is as expected.
fn trapped(machine: &Machine, expected: &[u8], line: &str) -> Option<Vec<u8>> {
    let value = |name: &str| {
        let start = format!("{name}=");
        line.split_whitespace().find_map(|word| word.strip_prefix(&start))
    };
    let number = |name: &str| u64::from_str_radix(value(name)?.strip_prefix("0x")?, 16).ok();
    let signal: u64 = match value("cause")? {
        "illegal" | "undef" => 4,
        "break" => 5,
        "align" => 7,
        "segv" => 11,
        _ => return None,
    };
    let mut result = expected.to_vec();
    let mut set = |at: usize, value: u64| result[at..at + 8].copy_from_slice(&value.to_le_bytes());
    let at = machine.signal;
    set(at, signal);
    set(at + 8, number("pc")?);
    set(at + 16, number("addr")?);
    for (at, name) in integers(machine) {
        set(at, number(&name)?);
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;
    use crate::riscv::Rv32;

    #[test]
    fn a_trap_is_told_by_the_line_of_its_probe() {
        let machine = Rv32::MACHINE;
        let expected = vec![0xff; machine.result_size];
        let registers: String = integers(machine).map(|(at, name)| format!(" {name}={at:#x}")).collect();
        let line = format!("exit status: 3: cause=segv addr=0x8 pc=0x20040800{registers}");
        let result = trapped(machine, &expected, &line).unwrap();
        let word = |at: usize| u64::from_le_bytes(result[at..at + 8].try_into().unwrap());
        assert_eq!([528, 536, 544].map(word), [11, 0x2004_0800, 8]);
        // x31, and what the line does not say: x4 and a floating-point register.
        assert_eq!([240, 24, 272].map(word), [240, u64::MAX, u64::MAX]);
        assert_eq!(trapped(machine, &expected, "status 0"), None);
    }
}
