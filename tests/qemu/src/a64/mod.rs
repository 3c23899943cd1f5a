//! A64: cases of random instructions, and the guest's half that runs them.

mod classes;
#[cfg(test)]
mod coverage;
mod state;
mod words;

use crate::batch::Case;
use crate::guest::{Guest, LINUX, Machine, Start};
use crate::random::Random;
use classes::Kind;
use exarmo_aarch64::decode_word;
use state::State;
use words::{Word, matching_load};

const NOP: u32 = 0xd503_201f;

/// The architecture.
pub(crate) struct A64;

static MACHINE: Machine = Machine {
    elf: (183, 0),
    layout: LINUX,
    runner: include_bytes!("runner.bin"),
    result_size: 864,
    signal: 800,
    fields,
    size: |_| 4,
    jump: |offset| 0x1400_0000 | (offset >> 2) as u32 & 0x03ff_ffff,
    text: |bits, pc| {
        let text = decode_word(bits).map_or_else(|_| "?".to_owned(), |insn| insn.at(pc).to_string());
        text.replace('\t', " ")
    },
    qemu: "qemu-aarch64",
    cpu: "neoverse-n1",
};

fn fields() -> Vec<(String, usize)> {
    let integers = (0..31).map(|n| (format!("x{n}"), 8));
    let system = ["sp", "nzcv", "fpcr", "fpsr", "taken"].map(|name| (name.to_owned(), 8));
    let vectors = (0..32).map(|n| (format!("v{n}"), 16));
    integers.chain(system).chain(vectors).chain(crate::report::fault_fields()).collect()
}

impl Guest for A64 {
    type Word = Word;

    const MACHINE: &'static Machine = &MACHINE;

    const TRIES: usize = 1;

    const OLDER_CPU: Option<&'static str> = Some("cortex-a72");

    fn draw(random: &mut Random, per_encoding: usize, wanted: &dyn Fn(&str) -> bool) -> Vec<Word> {
        words::draw(random, per_encoding, wanted)
    }

    fn no_instructions(random: &mut Random, count: usize) -> Vec<Word> {
        words::no_instructions(random, count)
    }

    fn is_wanted_anyway(word: &Word) -> bool {
        word.class.name.starts_with("lse")
    }

    fn can_be_followed(word: &Word) -> bool {
        word.class.kind != Kind::BranchRegister
    }

    fn single(random: &mut Random, word: &Word, sets: usize, group: usize) -> Vec<Case> {
        let mut code = vec![word.bits];
        if word.class.kind == Kind::StoreExclusive && random.one_in(2) {
            code.insert(0, matching_load(random, word.bits));
        }
        let start = |random: &mut Random| Box::new(State::random(random, word)) as Box<dyn Start>;
        Case::several(code, word.mnemonic, sets, group, || start(random))
    }

    /// A store-exclusive comes first or not at all: without a monitor QEMU does not check its address, though the
    /// architecture has it checked for alignment.
    fn sequence(random: &mut Random, pool: &[Word], length: usize, sets: usize, group: usize) -> Vec<Case> {
        let mut words: Vec<&Word> = (0..length).map(|_| &pool[random.below(pool.len())]).collect();
        let is_store_exclusive = |word: &Word| word.class.kind == Kind::StoreExclusive;
        let mut first = true;
        words.retain(|word| std::mem::take(&mut first) || !is_store_exclusive(word));
        let mut code: Vec<u32> = words.iter().map(|word| word.bits).collect();
        if is_store_exclusive(words[0]) {
            code.insert(0, matching_load(random, words[0].bits));
        }
        code.push(NOP);
        let start = |random: &mut Random| {
            let mut state = State::random(random, words[0]);
            words[1..].iter().for_each(|word| state.prepare(random, word));
            state.prepare(random, words[0]);
            Box::new(state) as Box<dyn Start>
        };
        Case::several(code, "sequence", sets, group, || start(random))
    }
}
