//! What the oracle knows of a guest architecture: how its programs are put together, and how its cases are made.

use crate::batch::Case;
use crate::random::Random;

/// The fixed facts of an architecture.
pub(crate) struct Machine {
    /// `e_machine` and `e_flags` of its programs.
    pub(crate) elf: (u16, u32),
    /// Where the parts of its programs are.
    pub(crate) layout: Layout,
    /// The guest's half; see `runner.S`.
    pub(crate) runner: &'static [u8],
    /// The bytes that the runner writes for each case.
    pub(crate) result_size: usize,
    /// Where in them the signal is that the case has raised.
    pub(crate) signal: usize,
    /// Names and widths of the fields of a result, in its order; padding may follow.
    pub(crate) fields: fn() -> Vec<(String, usize)>,
    /// The size of an instruction in bytes.
    pub(crate) size: fn(u32) -> usize,
    /// The instruction of four bytes that jumps so far.
    pub(crate) jump: fn(i64) -> u32,
    /// The text of an instruction at an address.
    pub(crate) text: fn(u32, u64) -> String,
    /// The emulator that is the reference.
    pub(crate) qemu: &'static str,
    /// The processor that it plays.
    pub(crate) cpu: &'static str,
}

/// Where the parts of a program are that have no place of their own.
pub(crate) struct Layout {
    /// The runner, which the instructions of the cases follow.
    pub(crate) code: u64,
    /// The runner's cells, which the records of the cases follow.
    pub(crate) cells: u64,
    /// Everything is one piece of memory of a 32-bit program, from the window on. Spile runs that as a raw image, where a
    /// trap is the end.
    pub(crate) is_raw: bool,
}

/// That of Linux programs. The cells are far from what sums and shifts of addresses make.
pub(crate) const LINUX: Layout = Layout { code: 0x40_0000, cells: 0x5a5a_0000, is_raw: false };

/// Returns the bits that a pattern fixes by `0` and `1`, and their values.
pub(crate) fn fixed_bits(pattern: &str) -> (u32, u32) {
    let bits = |wanted: &[u8]| pattern.bytes().fold(0, |word, b| word << 1 | u32::from(wanted.contains(&b)));
    (bits(b"01"), bits(b"1"))
}

/// The state before a case.
pub(crate) trait Start {
    /// Notes where the case's instructions are, and where a taken branch is noted.
    fn set_addresses(&mut self, code: u64, taken: u64);

    /// Returns the address of the instructions.
    fn code(&self) -> u64;

    /// Returns the record that the runner loads.
    fn record(&self) -> Vec<u8>;

    /// Returns the register that a disassembly names, with its name in the report.
    fn register(&self, name: &str) -> Option<(String, u128)>;

    /// Returns the modes and flags, for the report.
    fn modes(&self) -> Vec<(String, u128)>;

    /// Returns a copy.
    fn copy(&self) -> Box<dyn Start>;
}

/// An instruction to test.
pub(crate) trait Word: Clone {
    /// The name it is reported under.
    fn mnemonic(&self) -> &'static str;
}

/// An architecture.
pub(crate) trait Guest {
    /// Its instructions.
    type Word: Word;

    /// Its fixed facts.
    const MACHINE: &'static Machine;

    /// A processor that has no more than what is tested without `--extensions`, if there is one.
    const OLDER_CPU: Option<&'static str>;

    /// How many states are tried until the processor is taken to refuse an instruction.
    const TRIES: usize;

    /// Returns `per_encoding` words of every encoding whose mnemonic or class `wanted` accepts, in a fixed order.
    fn draw(random: &mut Random, per_encoding: usize, wanted: &dyn Fn(&str) -> bool) -> Vec<Self::Word>;

    /// Returns `count` random words that may be refused.
    fn no_instructions(random: &mut Random, count: usize) -> Vec<Self::Word>;

    /// True for a word that is tested although the older processor does not have it.
    fn is_wanted_anyway(word: &Self::Word) -> bool;

    /// True for a word that sequences may have.
    fn can_be_followed(word: &Self::Word) -> bool;

    /// Makes `sets` cases of one instruction.
    fn single(random: &mut Random, word: &Self::Word, sets: usize, group: usize) -> Vec<Case>;

    /// Makes `sets` cases of a random sequence of `length` instructions.
    fn sequence(random: &mut Random, pool: &[Self::Word], length: usize, sets: usize, group: usize) -> Vec<Case>;
}
