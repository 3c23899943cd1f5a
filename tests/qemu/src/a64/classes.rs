//! The classes of A64 encodings that are tested, as in the tables of chapter C4 of the Arm Architecture Reference
//! Manual. A class is wider than an instruction: which words of it are allocated, the decoder and QEMU decide.

/// What the state before an instruction of a class must provide, and what of its word is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Nothing.
    Plain,
    /// `n` is the base of an access to the window.
    Memory,
    /// As `Memory`, and half of the cases begin with the load-exclusive that makes the store succeed.
    StoreExclusive,
    /// A direct branch, which is made to skip one instruction.
    Branch(Offset),
    /// A branch to the register `n`, which gets the address of a place that notes it.
    BranchRegister,
    /// A load relative to the pc, which is made to read the instructions themselves.
    Literal,
    /// `d` holds a value whose bits are limited to this mask.
    System(u64),
}

/// Where a direct branch holds its offset in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offset {
    /// Bits 0 to 25.
    Imm26,
    /// Bits 5 to 23.
    Imm19,
    /// Bits 5 to 18.
    Imm14,
}

/// A class of encodings.
pub(crate) struct Class {
    /// The name by which `--filter` finds it, besides the mnemonics.
    pub(crate) name: &'static str,
    /// Bits from the highest to the lowest: `0` and `1` are fixed; `m` is the number of an index register, `n` of a base
    /// register, `d` of the system register's value; `x` is anything.
    pub(crate) pattern: &'static str,
    /// What its instructions need.
    pub(crate) kind: Kind,
}

const fn class(name: &'static str, pattern: &'static str, kind: Kind) -> Class {
    Class { name, pattern, kind }
}

use Kind::{Branch, BranchRegister, Literal, Memory, Plain, StoreExclusive, System};

/// RMode, FZ, DN, AHP, FZ16: the bits of fpcr that there are without traps and alternate behaviours.
pub(crate) const FPCR: u64 = 0x07c8_0000;
/// QC and the cumulative exceptions.
const FPSR: u64 = 0x0800_009f;

/// All classes. FP16, dot products and the like are in them and are left out by the processor that QEMU plays.
#[rustfmt::skip]
pub(crate) const CLASSES: &[Class] = &[
    // data processing, immediate
    class("pc-relative",           "xxx10000xxxxxxxxxxxxxxxxxxxxxxxx", Plain),
    class("add-imm",               "xxx100010xxxxxxxxxxxxxxxxxxxxxxx", Plain),
    class("logical-imm",           "xxx100100xxxxxxxxxxxxxxxxxxxxxxx", Plain),
    class("move-wide",             "xxx100101xxxxxxxxxxxxxxxxxxxxxxx", Plain),
    class("bitfield",              "xxx100110xxxxxxxxxxxxxxxxxxxxxxx", Plain),
    class("extract",               "xxx100111xxxxxxxxxxxxxxxxxxxxxxx", Plain),
    // data processing, register
    class("two-source",            "x0011010110xxxxxxxxxxxxxxxxxxxxx", Plain),
    class("one-source",            "x101101011000000000xxxxxxxxxxxxx", Plain),
    class("logical-shifted",       "xxx01010xxxxxxxxxxxxxxxxxxxxxxxx", Plain),
    class("add-shifted",           "xxx01011xx0xxxxxxxxxxxxxxxxxxxxx", Plain),
    class("add-extended",          "xxx01011001xxxxxxxxxxxxxxxxxxxxx", Plain),
    class("add-carry",             "xxx11010000xxxxx000000xxxxxxxxxx", Plain),
    class("rotate-to-flags",       "10111010000xxxxxx00001xxxxx0xxxx", Plain),
    class("evaluate-to-flags",     "001110100000000x0x0010xxxxx01101", Plain),
    class("cond-compare",          "xx111010010xxxxxxxxxx0xxxxx0xxxx", Plain),
    class("cond-select",           "xx011010100xxxxxxxxx0xxxxxxxxxxx", Plain),
    class("three-source",          "x0011011xxxxxxxxxxxxxxxxxxxxxxxx", Plain),
    // branches and system
    class("branch-cond",           "01010100xxxxxxxxxxxxxxxxxxx0xxxx", Branch(Offset::Imm19)),
    class("branch",                "x00101xxxxxxxxxxxxxxxxxxxxxxxxxx", Branch(Offset::Imm26)),
    class("compare-branch",        "x011010xxxxxxxxxxxxxxxxxxxxxxxxx", Branch(Offset::Imm19)),
    class("test-branch",           "x011011xxxxxxxxxxxxxxxxxxxxxxxxx", Branch(Offset::Imm14)),
    class("branch-register",       "1101011000x11111000000nnnnn00000", BranchRegister),
    class("return",                "1101011001011111000000nnnnn00000", BranchRegister),
    class("hint",                  "11010101000000110010xxxxxxx11111", Plain),
    class("barrier",               "11010101000000110011xxxxxxx11111", Plain),
    class("nzcv",                  "1101010100x1101101000010000ddddd", System(u64::MAX)),
    class("fpcr",                  "1101010100x1101101000100000ddddd", System(FPCR)),
    class("fpsr",                  "1101010100x1101101000100001ddddd", System(FPSR)),
    class("zero-block",            "110101010000101101110100001nnnnn", Memory),
    class("cache",                 "110101010000101101111xxx001nnnnn", Memory),
    class("cache-insn",            "110101010000101101110101001nnnnn", Memory),
    // loads and stores
    class("multiple-structures",   "0x0011000x000000xxxxxxnnnnnxxxxx", Memory),
    class("multiple-structures",   "0x0011001x0xxxxxxxxxxxnnnnnxxxxx", Memory),
    class("single-structure",      "0x0011010xx00000xxxxxxnnnnnxxxxx", Memory),
    class("single-structure",      "0x0011011xxxxxxxxxxxxxnnnnnxxxxx", Memory),
    class("load-exclusive",        "xx00100001011111x11111nnnnnxxxxx", Memory),
    class("load-exclusive-pair",   "1x00100001111111xxxxxxnnnnnxxxxx", Memory),
    class("store-exclusive",       "xx001000000xxxxxx11111nnnnnxxxxx", StoreExclusive),
    class("store-exclusive-pair",  "1x001000001xxxxxxxxxxxnnnnnxxxxx", StoreExclusive),
    class("load-acquire",          "xx00100011011111x11111nnnnnxxxxx", Memory),
    class("store-release",         "xx00100010011111x11111nnnnnxxxxx", Memory),
    class("load-acquire-pc",       "xx11100010111111110000nnnnnxxxxx", Memory),
    class("load-acquire-unscaled", "xx011001xx0xxxxxxxxx00nnnnnxxxxx", Memory),
    class("lse-cas",               "xx0010001x1xxxxxx11111nnnnnxxxxx", Memory),
    class("lse-cas-pair",          "0x0010000x1xxxx0x11111nnnnnxxxx0", Memory),
    class("lse-rmw",               "xx111000xx1xxxxxxxxx00nnnnnxxxxx", Memory),
    class("load-literal",          "xx011x00xxxxxxxxxxxxxxxxxxxxxxxx", Literal),
    class("pair",                  "xx101x0xxxxxxxxxxxxxxxnnnnnxxxxx", Memory),
    class("unscaled",              "xx111x00xx0xxxxxxxxx00nnnnnxxxxx", Memory),
    class("pre-post-index",        "xx111x00xx0xxxxxxxxxx1nnnnnxxxxx", Memory),
    class("unprivileged",          "xx111000xx0xxxxxxxxx10nnnnnxxxxx", Memory),
    class("register-offset",       "xx111x00xx1mmmmmxxxx10nnnnnxxxxx", Memory),
    class("unsigned-offset",       "xx111x01xx000000xxxxxxnnnnnxxxxx", Memory),
    // SIMD
    class("aes",                   "01001110001010000xxx10xxxxxxxxxx", Plain),
    class("sha-three",             "01011110000xxxxx0xxx00xxxxxxxxxx", Plain),
    class("sha-two",               "01011110001010000xxx10xxxxxxxxxx", Plain),
    class("scalar-copy",           "01011110000xxxxx000001xxxxxxxxxx", Plain),
    class("scalar-three-same",     "01x11110xx1xxxxxxxxxx1xxxxxxxxxx", Plain),
    class("scalar-three-same-16",  "01x11110x10xxxxx00xxx1xxxxxxxxxx", Plain),
    class("scalar-three-extra",    "01x11110xx0xxxxx1xxxx1xxxxxxxxxx", Plain),
    class("scalar-three-different", "01x11110xx1xxxxxxxxx00xxxxxxxxxx", Plain),
    class("scalar-two-misc",       "01x11110xx10000xxxxx10xxxxxxxxxx", Plain),
    class("scalar-two-misc-16",    "01x11110x111100xxxxx10xxxxxxxxxx", Plain),
    class("scalar-pairwise",       "01x11110xx11000xxxxx10xxxxxxxxxx", Plain),
    class("scalar-shift-imm",      "01x111110xxxxxxxxxxxx1xxxxxxxxxx", Plain),
    class("scalar-indexed",        "01x11111xxxxxxxxxxxxx0xxxxxxxxxx", Plain),
    class("table-lookup",          "0x001110000xxxxx0xxx00xxxxxxxxxx", Plain),
    class("permute",               "0x001110xx0xxxxx0xxx10xxxxxxxxxx", Plain),
    class("extract-vector",        "0x101110000xxxxx0xxxx0xxxxxxxxxx", Plain),
    class("copy",                  "0xx01110000xxxxx0xxxx1xxxxxxxxxx", Plain),
    class("three-same",            "0xx01110xx1xxxxxxxxxx1xxxxxxxxxx", Plain),
    class("three-same-16",         "0xx01110x10xxxxx00xxx1xxxxxxxxxx", Plain),
    class("three-extra",           "0xx01110xx0xxxxx1xxxx1xxxxxxxxxx", Plain),
    class("three-different",       "0xx01110xx1xxxxxxxxx00xxxxxxxxxx", Plain),
    class("two-misc",              "0xx01110xx10000xxxxx10xxxxxxxxxx", Plain),
    class("two-misc-16",           "0xx01110x111100xxxxx10xxxxxxxxxx", Plain),
    class("across",                "0xx01110xx11000xxxxx10xxxxxxxxxx", Plain),
    class("modified-imm",          "0xx0111100000xxxxxxxx1xxxxxxxxxx", Plain),
    class("shift-imm",             "0xx011110xxxxxxxxxxxx1xxxxxxxxxx", Plain),
    class("indexed",               "0xx01111xxxxxxxxxxxxx0xxxxxxxxxx", Plain),
    // scalar floating point
    class("fp-fixed",              "x0011110xx0xxxxxxxxxxxxxxxxxxxxx", Plain),
    class("fp-integer",            "x0011110xx1xxxxx000000xxxxxxxxxx", Plain),
    class("fp-one-source",         "00011110xx1xxxxxx10000xxxxxxxxxx", Plain),
    class("fp-compare",            "00011110xx1xxxxx001000xxxxxxx000", Plain),
    class("fp-imm",                "00011110xx1xxxxxxxx10000000xxxxx", Plain),
    class("fp-cond-compare",       "00011110xx1xxxxxxxxx01xxxxxxxxxx", Plain),
    class("fp-two-source",         "00011110xx1xxxxxxxxx10xxxxxxxxxx", Plain),
    class("fp-select",             "00011110xx1xxxxxxxxx11xxxxxxxxxx", Plain),
    class("fp-three-source",       "00011111xxxxxxxxxxxxxxxxxxxxxxxx", Plain),
];

/// Any word.
pub(crate) static ANYTHING: Class = class("anything", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", Plain);

impl Class {
    /// Returns whether a word is of the class.
    pub(crate) fn has(&self, word: u32) -> bool {
        let (mask, value) = self.fixed();
        word & mask == value
    }

    /// Returns the bits that are fixed, and their values.
    pub(crate) fn fixed(&self) -> (u32, u32) {
        crate::guest::fixed_bits(self.pattern)
    }

    /// Returns whether the pattern names the register field `letter`.
    pub(crate) fn has_field(&self, letter: u8) -> bool {
        self.pattern.bytes().any(|b| b == letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_32_bits_of_known_letters() {
        for class in CLASSES {
            assert_eq!(class.pattern.len(), 32, "{}", class.name);
            assert!(class.pattern.bytes().all(|b| b"01xnmd".contains(&b)), "{}", class.name);
        }
    }

    #[test]
    fn register_fields_are_where_the_state_is_made_for_them() {
        for class in CLASSES {
            let at = |letter| class.pattern.find(letter);
            assert!(at('m').is_none_or(|i| i == 11), "{}", class.name);
            assert!(at('d').is_none_or(|i| i == 27), "{}", class.name);
            assert!(at('n').is_none_or(|i| i == 22 || i == 27), "{}", class.name);
        }
    }
}
