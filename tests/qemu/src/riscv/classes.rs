//! The classes of encodings that are tested: by opcode, and the compressed ones by quadrant and function. A class is
//! wider than an instruction: which words of it are allocated, the decoder and QEMU decide.

/// What the state before an instruction of a class must provide, and what of its word is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Nothing.
    Plain,
    /// `n` is the base of an access to the window.
    Memory,
    /// As `Memory`, most of the time aligned.
    Atomic,
    /// The operands are vector registers.
    Vector,
    /// As `Vector`, of floating-point numbers.
    VectorFloat,
    /// As `Memory`, of vector registers.
    VectorMemory,
    /// As `VectorMemory`, where `m` is a distance.
    VectorStrided,
    /// As `VectorMemory`, where a vector register has offsets.
    VectorIndexed,
    /// A direct branch, which is made to skip the way back.
    Branch(Offset),
    /// A branch to the register `n` and an offset, which gets the address of a place that notes it.
    BranchRegister,
}

/// How a direct branch holds its offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offset {
    /// The conditional branches.
    B,
    /// `jal`.
    J,
    /// The compressed conditional branches.
    CompressedB,
    /// `c.j` and `c.jal`.
    CompressedJ,
}

/// A class of encodings.
pub(crate) struct Class {
    /// The name by which `--filter` finds it, besides the mnemonics.
    pub(crate) name: &'static str,
    /// Bits from the highest to the lowest, 32 or 16: `0` and `1` are fixed; `d`, `n`, `m` are the numbers of integer
    /// registers, of which `n` is a base or target; `N` is one of three bits; `x` is anything.
    pub(crate) pattern: &'static str,
    /// What its instructions need.
    pub(crate) kind: Kind,
}

const fn class(name: &'static str, pattern: &'static str, kind: Kind) -> Class {
    Class { name, pattern, kind }
}

use Kind::{
    Atomic, Branch, BranchRegister, Memory, Plain, Vector, VectorFloat, VectorIndexed, VectorMemory, VectorStrided,
};

/// Returns the classes that have instructions where registers have so many bits.
pub(crate) fn classes(xlen: u32) -> Vec<&'static Class> {
    let is_wide = |class: &Class| {
        class.kind.is_vector() || ["op-imm-32", "op-32", "vset", "csr-vector", "csr-vl"].contains(&class.name)
    };
    match xlen {
        32 => CLASSES.iter().filter(|class| !is_wide(class)).chain([&COMPRESSED_JAL]).collect(),
        _ => CLASSES.iter().collect(),
    }
}

/// `c.jal`, which registers of 64 bits do not have.
const COMPRESSED_JAL: Class = class("c.jal", "001xxxxxxxxxxx01", Branch(Offset::CompressedJ));

/// All classes of registers of 64 bits.
#[rustfmt::skip]
const CLASSES: &[Class] = &[
    class("load",        "xxxxxxxxxxxxnnnnnxxxddddd0000011", Memory),
    class("load-fp",     "xxxxxxxxxxxxnnnnn01xxxxxx0000111", Memory),
    class("misc-mem",    "xxxxxxxxxxxxnnnnnxxxddddd0001111", Memory),
    class("op-imm",      "xxxxxxxxxxxxnnnnnxxxddddd0010011", Plain),
    class("auipc",       "xxxxxxxxxxxxxxxxxxxxddddd0010111", Plain),
    class("op-imm-32",   "xxxxxxxxxxxxnnnnnxxxddddd0011011", Plain),
    class("store",       "xxxxxxxmmmmmnnnnnxxxxxxxx0100011", Memory),
    class("store-fp",    "xxxxxxxxxxxxnnnnn01xxxxxx0100111", Memory),
    class("atomic",      "xxxxxxxmmmmmnnnnnxxxddddd0101111", Atomic),
    class("op",          "xxxxxxxmmmmmnnnnnxxxddddd0110011", Plain),
    class("op-multiply", "0000001mmmmmnnnnnxxxddddd0110011", Plain),
    class("lui",         "xxxxxxxxxxxxxxxxxxxxddddd0110111", Plain),
    class("op-32",       "xxxxxxxmmmmmnnnnnxxxddddd0111011", Plain),
    class("fused",       "xxxxx0xxxxxxxxxxxxxxxxxxx100xx11", Plain),
    class("op-fp",       "xxxxx0xxxxxxnnnnnxxxddddd1010011", Plain),
    class("fcvt",        "11x000x000xxnnnnnxxxddddd1010011", Plain),
    class("fcvt-fp",     "010000x0000xxxxxxxxxxxxxx1010011", Plain),
    class("fmv",         "111x00x00000nnnnn00xddddd1010011", Plain),
    class("branch",      "xxxxxxxmmmmmnnnnnxxxxxxxx1100011", Branch(Offset::B)),
    class("jalr",        "xxxxxxxxxxxxnnnnn000ddddd1100111", BranchRegister),
    class("jal",         "xxxxxxxxxxxxxxxxxxxxddddd1101111", Branch(Offset::J)),
    class("ebreak",      "00000000000100000000000001110011", Plain),
    class("csr",         "0000000000xxnnnnnxxxddddd1110011", Plain),
    // ---- vectors
    class("vset",        "xxxxxxxmmmmmnnnnn111ddddd1010111", Plain),
    class("csr-vector",  "000000001xxxnnnnnxxxddddd1110011", Plain),
    class("csr-vl",      "1100001000xxnnnnnxxxddddd1110011", Plain),
    class("v-vv",        "xxxxxxxxxxxxxxxxx000xxxxx1010111", Vector),
    class("v-mvv",       "xxxxxxxxxxxxxxxxx010ddddd1010111", Vector),
    class("v-vi",        "xxxxxxxxxxxxxxxxx011xxxxx1010111", Vector),
    class("v-vx",        "xxxxxxxxxxxxnnnnn100xxxxx1010111", Vector),
    class("v-mvx",       "xxxxxxxxxxxxnnnnn110xxxxx1010111", Vector),
    class("v-fvv",       "xxxxxxxxxxxxxxxxx001xxxxx1010111", VectorFloat),
    class("v-vf",        "xxxxxxxxxxxxxxxxx101xxxxx1010111", VectorFloat),
    class("v-load",      "xxx000xxxxxxnnnnnxxxxxxxx0000111", VectorMemory),
    class("v-store",     "xxx000xxxxxxnnnnnxxxxxxxx0100111", VectorMemory),
    class("v-load-s",    "xxx010xmmmmmnnnnnxxxxxxxx0000111", VectorStrided),
    class("v-store-s",   "xxx010xmmmmmnnnnnxxxxxxxx0100111", VectorStrided),
    class("v-load-x",    "xxx0x1xxxxxxnnnnnxxxxxxxx0000111", VectorIndexed),
    class("v-store-x",   "xxx0x1xxxxxxnnnnnxxxxxxxx0100111", VectorIndexed),
    // ---- compressed
    class("c.addi4spn",  "000xxxxxxxxxxx00", Plain),
    class("c.load",      "0xxxxxNNNxxxxx00", Memory),
    class("c.store",     "1xxxxxNNNxxxxx00", Memory),
    class("c.immediate", "00xxdddddxxxxx01", Plain),
    class("c.constant",  "01xxdddddxxxxx01", Plain),
    class("c.alu",       "100xxxxxxxxxxx01", Plain),
    class("c.j",         "101xxxxxxxxxxx01", Branch(Offset::CompressedJ)),
    class("c.branch",    "11xxxxxxxxxxxx01", Branch(Offset::CompressedB)),
    class("c.slli",      "000xdddddxxxxx10", Plain),
    class("c.loadsp",    "001xxxxxxxxxxx10", Memory),
    class("c.loadsp-x",  "01xxdddddxxxxx10", Memory),
    class("c.jr",        "100xnnnnn0000010", BranchRegister),
    class("c.mv",        "100xdddddmmmmm10", Plain),
    class("c.fsdsp",     "101xxxxxxxxxxx10", Memory),
    class("c.storesp",   "11xxxxxxxmmmmm10", Memory),
];

/// Any word at all, for words that are no instructions.
pub(crate) const ANYTHING: Class = class("anything", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", Plain);

impl Kind {
    /// True if the operands, or some of them, are vector registers.
    pub(crate) fn is_vector(self) -> bool {
        self.is_vector_memory() || matches!(self, Vector | VectorFloat)
    }

    /// True if vector registers are loaded or stored.
    pub(crate) fn is_vector_memory(self) -> bool {
        matches!(self, VectorMemory | VectorStrided | VectorIndexed)
    }
}

impl Class {
    /// Returns the size of its instructions in bits.
    pub(crate) fn bits(&self) -> u32 {
        self.pattern.len() as u32
    }

    /// Returns the fixed bits and their values.
    pub(crate) fn fixed(&self) -> (u32, u32) {
        crate::guest::fixed_bits(self.pattern)
    }

    /// Returns the lowest bit of the field of a letter, if it has one.
    pub(crate) fn field(&self, letter: char) -> Option<u32> {
        self.pattern.rfind(letter).map(|at| self.bits() - 1 - at as u32)
    }
}
