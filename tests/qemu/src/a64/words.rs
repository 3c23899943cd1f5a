//! Random instruction words: for every encoding that the decoder knows, several words with random fields.

use super::classes::{ANYTHING, CLASSES, Class, Kind, Offset};
use crate::random::Random;
use exarmo_aarch64::{Encoding, decode_word};
use std::collections::BTreeMap;

/// How many random words of a class are looked at, so that its rarest encodings are met too.
const DRAWS: usize = 30_000;

/// Instructions whose effect is another's, is not the same twice, or stops the guest.
const LEFT_OUT: &[&str] = &["wfe", "wfi", "wfet", "wfit", "yield", "dgh", "tsb", "psb", "gcsb", "bti", "chkfeat"];

/// One instruction to test.
#[derive(Clone)]
pub(crate) struct Word {
    pub(crate) bits: u32,
    pub(crate) class: &'static Class,
    /// The name it is reported under.
    pub(crate) mnemonic: &'static str,
}

impl crate::guest::Word for Word {
    fn mnemonic(&self) -> &'static str {
        self.mnemonic
    }
}

impl Word {
    /// Returns the number of the base or target register, if it has one.
    pub(crate) fn base(&self) -> Option<usize> {
        let shift = 31 - 4 - self.class.pattern.find('n')?;
        Some((self.bits >> shift & 31) as usize)
    }

    /// Returns whether it raises SIGBUS where its address is not aligned.
    pub(crate) fn must_be_aligned(&self) -> bool {
        self.class.name.starts_with("lse-") || (self.bits >> 24 & 0x3f == 0x08)
    }

    /// Returns the number of the index register, if it has one.
    pub(crate) fn index(&self) -> Option<usize> {
        self.class.has_field(b'm').then_some((self.bits >> 16 & 31) as usize)
    }
}

/// Returns `per_encoding` words of every encoding whose mnemonic or class `wanted` accepts, in a fixed order.
pub(crate) fn draw(random: &mut Random, per_encoding: usize, wanted: impl Fn(&str) -> bool) -> Vec<Word> {
    let mut by_encoding: BTreeMap<(usize, u16), Vec<Word>> = BTreeMap::new();
    for (number, class) in CLASSES.iter().enumerate() {
        for _ in 0..DRAWS {
            let bits = candidate(random, class);
            let Some((encoding, mnemonic)) = allocated(bits) else { continue };
            if !wanted(mnemonic) && !wanted(class.name) {
                continue;
            }
            let words = by_encoding.entry((number, encoding as u16)).or_default();
            if words.len() < per_encoding && words.iter().all(|word| word.bits != bits) {
                words.push(Word { bits, class, mnemonic });
            }
        }
    }
    by_encoding.into_values().flatten().collect()
}

/// Mnemonics that Spile implements although the processor that QEMU plays does not. For `dc` that is `cvap`, which QEMU
/// 7.2 announces to programs and refuses all the same.
const BEYOND: &[&str] =
    &["dc", "sb", "stlurb", "stlurh", "stlur", "ldapurb", "ldapurh", "ldapursb", "ldapursh", "ldapursw", "ldapur"];

/// Returns `count` random words that may be refused: unallocated ones near instructions and anywhere, and instructions
/// of extensions.
///
/// Words that are instructions come from [`CLASSES`] only, so that none does what cannot be compared.
pub(crate) fn no_instructions(random: &mut Random, count: usize) -> Vec<Word> {
    let mut words = Vec::new();
    while words.len() < count {
        let near = !random.one_in(3);
        let class = if near { &CLASSES[random.below(CLASSES.len())] } else { &ANYTHING };
        let bits = if random.one_in(8) { beside(random, class) } else { candidate(random, class) };
        let mnemonic = match decode_word(bits) {
            Err(_) => "unallocated",
            Ok(insn) if !CLASSES.iter().any(|class| class.has(bits)) || insn.unpredictable() => continue,
            Ok(insn) => insn.mnemonic().name(),
        };
        if !BEYOND.contains(&mnemonic) && !LEFT_OUT.contains(&mnemonic) {
            words.push(Word { bits, class: &ANYTHING, mnemonic });
        }
    }
    words
}

/// Returns a word of which one of the bits that make the class is wrong.
fn beside(random: &mut Random, class: &Class) -> u32 {
    candidate(random, class) ^ 1 << random.below(32)
}

/// Returns the encoding and mnemonic of a word that is an instruction with one meaning.
pub(crate) fn allocated(bits: u32) -> Option<(Encoding, &'static str)> {
    let instruction = decode_word(bits).ok()?;
    let mnemonic = instruction.mnemonic().name();
    (!instruction.unpredictable() && !LEFT_OUT.contains(&mnemonic)).then_some((instruction.encoding(), mnemonic))
}

/// Returns a random word of the class, with offsets that keep it in the case and base registers that can be set.
fn candidate(random: &mut Random, class: &Class) -> u32 {
    let (mask, value) = class.fixed();
    let bits = random.bits() as u32 & !mask | value;
    let bits = if class.has_field(b'n') { usable_base(random, bits, class) } else { bits };
    match class.kind {
        Kind::Branch(Offset::Imm26) => bits & !0x03ff_ffff | 2,
        Kind::Branch(Offset::Imm19) => bits & !0x00ff_ffe0 | 2 << 5,
        Kind::Branch(Offset::Imm14) => bits & !0x0007_ffe0 | 2 << 5,
        Kind::Literal => bits & !0x00ff_ffe0 | (random.bits() as u32 & 1) << 5,
        _ => bits,
    }
}

/// Replaces x30, which holds the address of the case, as a base or target.
fn usable_base(random: &mut Random, bits: u32, class: &Class) -> u32 {
    let shift = 27 - class.pattern.find('n').unwrap_or(22);
    if bits >> shift & 31 == 30 { bits & !(31 << shift) | (random.below(30) as u32) << shift } else { bits }
}

/// Returns the load-exclusive that opens the monitor for the store-exclusive `store`, with its own targets.
pub(crate) fn matching_load(random: &mut Random, store: u32) -> u32 {
    let base = store >> 5 & 31;
    let mut free = [0u32; 2];
    while free[0] == free[1] || free.contains(&base) {
        free = [random.below(30) as u32, random.below(30) as u32];
    }
    let pair = store >> 21 & 1;
    let second = if pair == 1 { free[1] } else { 31 };
    store & 0xffa0_83e0 & !(1 << 15) | 1 << 22 | 31 << 16 | second << 10 | base << 5 | free[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_an_instruction() {
        let words = draw(&mut Random::new(1), 1, |_| true);
        for class in CLASSES {
            let same_name = |word: &Word| word.class.name == class.name;
            assert!(words.iter().any(same_name), "no word of class {} is allocated", class.name);
        }
    }

    #[test]
    fn base_fields_are_read_where_the_decoder_has_them() {
        let words = draw(&mut Random::new(2), 2, |_| true);
        let memory = words.iter().filter(|word| word.class.has_field(b'n') && word.class.name != "return");
        for word in memory {
            let base = match word.base() {
                Some(31) if word.class.kind == Kind::Memory => "sp".to_owned(),
                Some(31) => "xzr".to_owned(),
                Some(29) => "fp".to_owned(),
                Some(n) => format!("x{n}"),
                None => unreachable!("the class has the field"),
            };
            let text = decode_word(word.bits).unwrap().at(0).to_string();
            let found = text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == base);
            assert!(found || word.class.name.starts_with("cache") || base == "sp", "{text} has no {base}");
        }
    }

    #[test]
    fn a_matching_load_is_the_load_of_its_store() {
        let mut random = Random::new(3);
        for (store, load) in [(0xc800_7c41, "ldxr\tx"), (0x8825_fc41, "ldxp\tw"), (0x0800_7c41, "ldxrb\tw")] {
            let bits = matching_load(&mut random, store);
            let text = decode_word(bits).unwrap().at(0).to_string();
            assert!(text.starts_with(load) && text.ends_with("[x2]"), "{text}");
        }
    }
}
