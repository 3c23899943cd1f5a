//! Batches of cases: what is put into one guest program, and what comes out of it.

use crate::engine::{Engine, Outcome};
use crate::guest::{Machine, Start};
use crate::image::Image;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What the names of raw images end with.
pub(crate) const RAW: &str = "bin";

/// Some instructions and the state they start in.
pub(crate) struct Case {
    /// The instructions, the one under test last; a sequence ends in one that does nothing.
    pub(crate) code: Vec<u32>,
    /// What it is reported under.
    pub(crate) mnemonic: &'static str,
    pub(crate) state: Box<dyn Start>,
    /// Cases with the same number have the same code.
    pub(crate) group: usize,
}

impl Clone for Case {
    fn clone(&self) -> Case {
        Case { code: self.code.clone(), mnemonic: self.mnemonic, state: self.state.copy(), group: self.group }
    }
}

impl Case {
    /// Makes `sets` cases of one code, each with a state of its own.
    pub(crate) fn several(
        code: Vec<u32>,
        mnemonic: &'static str,
        sets: usize,
        group: usize,
        mut start: impl FnMut() -> Box<dyn Start>,
    ) -> Vec<Case> {
        (0..sets).map(|_| Case { code: code.clone(), mnemonic, state: start(), group }).collect()
    }
}

/// The results of a batch under one engine, in the order of its cases.
pub(crate) struct Results {
    machine: &'static Machine,
    pub(crate) bytes: Vec<u8>,
    pub(crate) failure: Option<String>,
}

impl Results {
    /// Returns the result of case `index`, unless the program ended before it.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let size = self.machine.result_size;
        self.bytes.get(index * size..(index + 1) * size)
    }

    /// Returns how many cases were run.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.machine.result_size
    }

    /// Returns whether case `index` has raised `signal`.
    pub(crate) fn has_raised(&self, index: usize, signal: u8) -> bool {
        self.get(index).is_some_and(|result| result[self.machine.signal] == signal)
    }
}

/// Writes the guest program of `cases` to `path`, completing their states with addresses; and its raw image beside it, if
/// there is one.
pub(crate) fn write_program(machine: &'static Machine, path: &Path, cases: &mut [Case]) -> Result<(), String> {
    let mut image = Image::new(machine);
    let mut last = None;
    let (mut code, mut taken) = (0, 0);
    for case in cases {
        if last != Some(case.group) {
            taken = image.taken_address(&case.code);
            code = image.add_code(&case.code);
            last = Some(case.group);
        }
        case.state.set_addresses(code, taken);
        image.add_case(&case.state.record());
    }
    let (elf, raw) = image.finish();
    let written =
        write_executable(path, &elf).and_then(|()| raw.map_or(Ok(()), |raw| fs::write(path.with_extension(RAW), raw)));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn write_executable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Runs the program at `path`.
pub(crate) fn run(machine: &'static Machine, engine: &Engine, path: &Path) -> Result<Results, String> {
    let Outcome { output, failure } = engine.run(path)?;
    Ok(Results { machine, bytes: output, failure })
}
