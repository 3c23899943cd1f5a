//! Batches of cases: what is put into one guest program, and what comes out of it.

use crate::classes::Kind;
use crate::engine::{Engine, Outcome};
use crate::image::{Image, RESULT_SIZE};
use crate::random::Random;
use crate::state::State;
use crate::words::{Word, matching_load};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NOP: u32 = 0xd503_201f;

/// Some instructions and the state they start in.
#[derive(Clone)]
pub(crate) struct Case {
    /// The instructions, the one under test last; a sequence ends in `nop`.
    pub(crate) code: Vec<u32>,
    /// What it is reported under.
    pub(crate) mnemonic: &'static str,
    pub(crate) state: State,
    /// Cases with the same number have the same code.
    pub(crate) group: usize,
}

/// The results of a batch under one engine, in the order of its cases.
pub(crate) struct Results {
    pub(crate) bytes: Vec<u8>,
    pub(crate) failure: Option<String>,
}

impl Results {
    /// Returns the result of case `index`, unless the program ended before it.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(index * RESULT_SIZE..(index + 1) * RESULT_SIZE)
    }

    /// Returns how many cases were run.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / RESULT_SIZE
    }
}

/// Makes `sets` cases of one instruction.
pub(crate) fn single(random: &mut Random, word: &Word, sets: usize, group: usize) -> Vec<Case> {
    let mut code = vec![word.bits];
    if word.class.kind == Kind::StoreExclusive && random.one_in(2) {
        code.insert(0, matching_load(random, word.bits));
    }
    (0..sets)
        .map(|_| Case { code: code.clone(), mnemonic: word.mnemonic, state: State::random(random, word), group })
        .collect()
}

/// Makes `sets` cases of a random sequence of `length` instructions.
///
/// A store-exclusive comes first or not at all: without a monitor QEMU does not check its address, though the
/// architecture has it checked for alignment.
pub(crate) fn sequence(random: &mut Random, pool: &[Word], length: usize, sets: usize, group: usize) -> Vec<Case> {
    let mut words: Vec<&Word> = (0..length).map(|_| &pool[random.below(pool.len())]).collect();
    let is_store_exclusive = |word: &Word| word.class.kind == Kind::StoreExclusive;
    let mut first = true;
    words.retain(|word| std::mem::take(&mut first) || !is_store_exclusive(word));
    let mut code: Vec<u32> = words.iter().map(|word| word.bits).collect();
    if is_store_exclusive(words[0]) {
        code.insert(0, matching_load(random, words[0].bits));
    }
    code.push(NOP);
    let state = |random: &mut Random| {
        let mut state = State::random(random, words[0]);
        words[1..].iter().for_each(|word| state.prepare(random, word));
        state.prepare(random, words[0]);
        state
    };
    (0..sets).map(|_| Case { code: code.clone(), mnemonic: "sequence", state: state(random), group }).collect()
}

/// Writes the guest program of `cases` to `path`, completing their states with addresses.
pub(crate) fn write_program(path: &Path, cases: &mut [Case]) -> Result<(), String> {
    let mut image = Image::new();
    let mut last = None;
    let (mut code, mut taken) = (0, 0);
    for case in cases {
        if last != Some(case.group) {
            taken = image.taken_address(case.code.len());
            code = image.add_code(&case.code);
            last = Some(case.group);
        }
        case.state.set_addresses(code, taken);
        image.add_case(&case.state.record());
    }
    write_executable(path, &image.finish()).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn write_executable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Runs the program at `path`.
pub(crate) fn run(engine: &Engine, path: &Path) -> Result<Results, String> {
    let Outcome { output, failure } = engine.run(path)?;
    Ok(Results { bytes: output, failure })
}
