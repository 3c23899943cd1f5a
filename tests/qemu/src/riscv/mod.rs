//! RISC-V: cases of random instructions of RV64 or RV32, compressed ones among them, and the guest's half that runs them.

mod classes;
mod state;
mod words;

use crate::batch::Case;
use crate::guest::{Guest, LINUX, Layout, Machine, Start};
use crate::random::Random;
use classes::Kind;
use state::State;
use words::{Word, matching_load};

const NOP: u32 = 0x0000_0013;

/// The architecture with registers of so many bits.
pub(crate) struct RiscV<const XLEN: u32>;

pub(crate) type Rv32 = RiscV<32>;
pub(crate) type Rv64 = RiscV<64>;

/// Compressed instructions, and numbers of double precision in registers.
const ELF: (u16, u32) = (243, 5);

static MACHINE64: Machine = Machine {
    elf: ELF,
    layout: LINUX,
    runner: include_bytes!("runner64.bin"),
    result_size: 1128,
    signal: 528,
    fields: || scalar_fields().chain(vector_fields()).collect(),
    size,
    jump,
    text: |bits, pc| disc_v::decode(disc_v::Isa::Rv64, pc, bits.into()).to_string(),
    qemu: "qemu-riscv64",
    cpu: "rv64,v=true,vlen=128,elen=64,vext_spec=v1.0",
};

/// Without vectors; otherwise records and results are as with registers of 64 bits, whose upper halves are 0.
static MACHINE32: Machine = Machine {
    elf: ELF,
    layout: Layout { code: 0x2004_0000, cells: 0x2008_0000, is_raw: true },
    runner: include_bytes!("runner32.bin"),
    result_size: 584,
    signal: 528,
    fields: || scalar_fields().collect(),
    size,
    jump,
    text: |bits, pc| disc_v::decode(disc_v::Isa::Rv32, pc, bits.into()).to_string(),
    qemu: "qemu-riscv32",
    cpu: "rv32",
};

fn size(bits: u32) -> usize {
    if bits & 3 == 3 { 4 } else { 2 }
}

fn scalar_fields() -> impl Iterator<Item = (String, usize)> {
    let integers = (1..32).map(|n| (format!("x{n}"), 8));
    let system = ["fcsr", "taken", "padding"].map(|name| (name.to_owned(), 8));
    let floats = (0..32).map(|n| (format!("f{n}"), 8));
    integers.chain(system).chain(floats).chain(crate::report::fault_fields())
}

fn vector_fields() -> impl Iterator<Item = (String, usize)> {
    let configuration = ["vtype", "vl", "vstart", "vcsr"].map(|name| (name.to_owned(), 8));
    (0..32).map(|n| (format!("v{n}"), 16)).chain(configuration)
}

/// `j` to an offset.
fn jump(offset: i64) -> u32 {
    let bits = |lsb: u32, len: u32| (offset >> lsb) as u32 & ((1 << len) - 1);
    bits(20, 1) << 31 | bits(1, 10) << 21 | bits(11, 1) << 20 | bits(12, 8) << 12 | 0x6f
}

impl<const XLEN: u32> Guest for RiscV<XLEN> {
    type Word = Word;

    const MACHINE: &'static Machine = if XLEN == 32 { &MACHINE32 } else { &MACHINE64 };

    /// What a vector instruction may be depends on the configuration.
    const TRIES: usize = 6;

    const OLDER_CPU: Option<&'static str> = None;

    fn draw(random: &mut Random, per_encoding: usize, wanted: &dyn Fn(&str) -> bool) -> Vec<Word> {
        words::draw(XLEN, random, per_encoding, wanted)
    }

    fn no_instructions(random: &mut Random, count: usize) -> Vec<Word> {
        words::no_instructions(XLEN, random, count)
    }

    fn is_wanted_anyway(_: &Word) -> bool {
        true
    }

    /// A branch would lead into the middle of another instruction.
    fn can_be_followed(word: &Word) -> bool {
        !matches!(word.class.kind, Kind::Branch(_) | Kind::BranchRegister) && !word.configures() && !word.shortens()
    }

    fn single(random: &mut Random, word: &Word, sets: usize, group: usize) -> Vec<Case> {
        let mut code = vec![word.bits];
        if word.is_store_conditional() && random.one_in(2) {
            code.insert(0, matching_load(random, word.bits));
        }
        let start = |random: &mut Random| Box::new(State::random(random, word)) as Box<dyn Start>;
        Case::several(code, word.mnemonic, sets, group, || start(random))
    }

    /// A store-conditional comes first or not at all: without a reservation QEMU does not look at its address.
    fn sequence(random: &mut Random, pool: &[Word], length: usize, sets: usize, group: usize) -> Vec<Case> {
        let mut words: Vec<&Word> = (0..length).map(|_| &pool[random.below(pool.len())]).collect();
        let mut first = true;
        words.retain(|word| std::mem::take(&mut first) || !word.is_store_conditional());
        let mut code: Vec<u32> = words.iter().map(|word| word.bits).collect();
        if words[0].is_store_conditional() {
            code.insert(0, matching_load(random, words[0].bits));
        }
        code.push(NOP);
        let start = |random: &mut Random| {
            let mut state = State::of(random, words[0], &words);
            words[1..].iter().for_each(|word| state.prepare(random, word));
            state.prepare(random, words[0]);
            Box::new(state) as Box<dyn Start>
        };
        Case::several(code, "sequence", sets, group, || start(random))
    }
}
