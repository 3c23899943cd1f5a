//! Random instruction words: for every mnemonic that the decoder knows, several words with random fields.

use super::classes::{ANYTHING, Class, Kind, Offset, classes};
use crate::random::Random;
use disc_v::{Decoder, Isa, decode};
use std::collections::BTreeMap;

/// How many random words of a class are looked at, so that its rarest instructions are met too.
const DRAWS: usize = 60_000;

/// What stops the guest; and `ctzw`, which QEMU 7.2 lets count beyond the word: `tests/isa/riscv64` has it.
const LEFT_OUT: &[&str] = &["ecall", "wfi", "ctzw"];

/// Conversions of vectors that round towards zero end QEMU 7.2 itself.
const ENDS_QEMU: &str = ".rtz.";

/// The register that cases do without, and the one that holds their address.
const SCRATCH: u32 = 4;
const ADDRESS: u32 = 31;

/// One instruction to test.
#[derive(Clone)]
pub(crate) struct Word {
    pub(crate) bits: u32,
    pub(crate) class: &'static Class,
    /// The name it is reported under.
    pub(crate) mnemonic: &'static str,
    /// The width of registers in bits.
    pub(crate) xlen: u32,
}

impl crate::guest::Word for Word {
    fn mnemonic(&self) -> &'static str {
        self.mnemonic
    }
}

impl Word {
    /// Returns the number of the base or target register, if it has one.
    pub(crate) fn base(&self) -> Option<usize> {
        const SP: usize = 2;
        let from_sp = self.class.name.ends_with("sp") || self.class.name.ends_with("sp-x");
        match (self.class.field('n'), self.class.field('N')) {
            (Some(lsb), _) => Some((self.bits >> lsb & 31) as usize),
            (_, Some(lsb)) => Some(8 + (self.bits >> lsb & 7) as usize),
            _ => (self.class.kind == Kind::Memory && from_sp).then_some(SP),
        }
    }

    /// Returns the offset of an indirect jump.
    pub(crate) fn offset(&self) -> i64 {
        if self.class.bits() == 32 { i64::from(self.bits as i32 >> 20) } else { 0 }
    }

    /// Returns the number in a field of five bits.
    pub(crate) fn number(&self, lsb: u32) -> usize {
        (self.bits >> lsb & 31) as usize
    }

    /// Makes a configuration that may not suit what follows: see [`Self::wants_no_vstart`] and [`Self::narrowest`].
    pub(crate) fn configures(&self) -> bool {
        self.class.name == "csr-vector" && self.bits >> 20 == 8 || self.class.name == "vset"
    }

    /// A load that ends at a fault makes `vl` smaller, which QEMU 7.2 does not notice in the rest of a block: where `vl` was
    /// the largest one, what follows goes on with that.
    pub(crate) fn shortens(&self) -> bool {
        let is_load = self.bits & 0x7f == 0x07 && matches!(self.bits >> 12 & 7, 0 | 5..=7);
        is_load && self.bits >> 26 & 3 == 0 && self.bits >> 20 & 31 == 16
    }

    /// QEMU 7.2 looks at `vstart` once for all executions of an instruction that asks for 0, and some others do not set it
    /// to 0.
    pub(crate) fn wants_no_vstart(&self) -> bool {
        let starts = [
            "vred",
            "vwred",
            "vfred",
            "vfwred",
            "vmv",
            "vfmv",
            "vcpop",
            "vfirst",
            "vms",
            "viota",
            "vcompress",
            "vslideup",
        ];
        let is_compare =
            self.mnemonic.ends_with(".vv") || self.mnemonic.ends_with(".vx") || self.mnemonic.ends_with(".vi");
        starts.iter().any(|start| self.mnemonic.starts_with(start))
            && (!self.mnemonic.starts_with("vms") || !is_compare)
            || self.is_whole_registers()
    }

    /// Loads or stores whole registers.
    fn is_whole_registers(&self) -> bool {
        self.class.kind == Kind::VectorMemory && self.number(20) == 8
    }

    /// The narrowest elements, as a power of two of bytes: of floating point there is no half precision here, but QEMU has
    /// it.
    pub(crate) fn narrowest(&self) -> usize {
        let is_integer = ["vfwcvt.f.x", "vfncvt.x"].iter().any(|start| self.mnemonic.starts_with(start));
        match self.class.kind {
            Kind::VectorFloat if is_integer => 1,
            Kind::VectorFloat => 2,
            _ => 0,
        }
    }

    pub(crate) fn is_store_conditional(&self) -> bool {
        self.mnemonic.starts_with("sc.")
    }
}

/// What is tested beyond `rv32` or `rv64`: what Spile announces.
const EXTENSIONS: &str = "gc_zicbom_zicbop_zicboz_zicond_zihintpause_zba_zbb_zbc_zbs";

/// What Spile announces as well, and QEMU 7.2 does not have: `tests/isa` has it.
const UNKNOWN_TO_QEMU: &str = "gc_zfa";

/// A decoder of what is tested.
fn decoder(xlen: u32) -> Decoder {
    decoder_of(xlen, &[EXTENSIONS, if xlen == 64 { "_v" } else { "" }].concat())
}

fn decoder_of(xlen: u32, extensions: &str) -> Decoder {
    Decoder::from_march(&format!("rv{xlen}{extensions}")).expect("an architecture string that the decoder knows")
}

/// Returns the mnemonic of a word that is an instruction of the kind that is tested.
fn allocated(decoder: &Decoder, bits: u32) -> Option<&'static str> {
    let instruction = decoder.decode(0, bits.into()).without_aliases();
    let mnemonic = instruction.mnemonic();
    let is_left_out = LEFT_OUT.contains(&mnemonic) || mnemonic.contains(ENDS_QEMU);
    (!instruction.is_illegal() && !is_left_out).then_some(mnemonic)
}

/// Returns `per_encoding` words of every mnemonic that `wanted` accepts, or the class, in a fixed order.
pub(crate) fn draw(xlen: u32, random: &mut Random, per_encoding: usize, wanted: impl Fn(&str) -> bool) -> Vec<Word> {
    let decoder = decoder(xlen);
    let mut by_encoding: BTreeMap<(usize, &str), Vec<Word>> = BTreeMap::new();
    for (number, class) in classes(xlen).into_iter().enumerate() {
        for _ in 0..DRAWS {
            let bits = candidate(random, class);
            let Some(mnemonic) = allocated(&decoder, bits) else { continue };
            // Jumps need a target, which the class of their own gives them.
            let is_jump = matches!(mnemonic, "c.jr" | "c.jalr") && class.kind != Kind::BranchRegister
                || mnemonic == "c.jal" && class.kind == Kind::Plain;
            // Of `vxrm` QEMU 7.2 keeps all bits that are written.
            let is_vxrm = class.name == "csr-vector" && bits >> 20 == 0xa;
            let is_other = is_vxrm || class.kind.is_vector() && !mnemonic.starts_with('v');
            if is_jump || is_other || (!wanted(mnemonic) && !wanted(class.name)) {
                continue;
            }
            let words = by_encoding.entry((number, mnemonic)).or_default();
            if words.len() < per_encoding && words.iter().all(|word| word.bits != bits) {
                words.push(Word { bits, class, mnemonic, xlen });
            }
        }
    }
    by_encoding.into_values().flatten().collect()
}

/// Returns `count` random words that may be refused: reserved ones near instructions and anywhere, and instructions of
/// extensions.
pub(crate) fn no_instructions(xlen: u32, random: &mut Random, count: usize) -> Vec<Word> {
    let (decoder, unknown, classes) = (decoder(xlen), decoder_of(xlen, UNKNOWN_TO_QEMU), classes(xlen));
    let isa = if xlen == 32 { Isa::Rv32 } else { Isa::Rv64 };
    let is_anything = |bits: u32| !decode(isa, 0, bits.into()).is_illegal();
    let mut words = Vec::new();
    while words.len() < count {
        let near = !random.one_in(3);
        let class = if near { classes[random.below(classes.len())] } else { &ANYTHING };
        let mut bits = candidate(random, class);
        if random.one_in(8) {
            bits ^= 1 << random.below(class.bits() as usize);
        }
        if bits & 3 != 3 {
            bits &= 0xffff;
        }
        if [&decoder, &unknown].iter().any(|decoder| !decoder.decode(0, bits.into()).is_illegal()) {
            continue;
        }
        let mnemonic = if is_anything(bits) { "extension" } else { "unallocated" };
        words.push(Word { bits, class: &ANYTHING, mnemonic, xlen });
    }
    words
}

/// Returns a random word of the class, with offsets that keep it in the case and registers that can be set.
fn candidate(random: &mut Random, class: &Class) -> u32 {
    let (mask, value) = class.fixed();
    let mut bits = random.bits() as u32 & !mask & (u32::MAX >> (32 - class.bits())) | value;
    for letter in ['d', 'n', 'm'] {
        let Some(lsb) = class.field(letter) else { continue };
        let number = bits >> lsb & 31;
        let is_base = letter == 'n' && !matches!(class.kind, Kind::Plain | Kind::Vector);
        if number == SCRATCH || (number == ADDRESS && is_base) {
            let other = 5 + random.below(26) as u32;
            bits = bits & !(31 << lsb) | other << lsb;
        }
    }
    if class.kind.is_vector() && random.one_in(2) {
        // Registers at which a group of several may begin.
        let aligned = 32 - (2 << random.below(3));
        for lsb in [7, 15, 20] {
            let is_free =
                mask >> lsb & 31 == 0 && !['d', 'n', 'm'].iter().any(|&letter| class.field(letter) == Some(lsb));
            bits &= if is_free { !(31 << lsb) | aligned << lsb } else { u32::MAX };
        }
    }
    // The compressed loads and stores have registers of three bits at two places, none of them tp.
    match class.kind {
        Kind::Branch(Offset::B) => bits & !0xfe00_0f80 | 4 << 8,
        Kind::Branch(Offset::J) => bits & !0xffff_f000 | 4 << 21,
        Kind::Branch(Offset::CompressedB) => bits & !0x1c7c | 3 << 3,
        Kind::Branch(Offset::CompressedJ) => bits & !0x1ffc | 3 << 3,
        _ => bits,
    }
}

/// Returns the load-reserved that makes the reservation for the store-conditional `store`, with a target of its own.
pub(crate) fn matching_load(random: &mut Random, store: u32) -> u32 {
    let base = store >> 15 & 31;
    let target = loop {
        let target = 5 + random.below(26) as u32;
        if target != base {
            break target;
        }
    };
    store & 0x000f_f000 | 0b00010 << 27 | target << 7 | 0x2f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_an_instruction() {
        for xlen in [32, 64] {
            let words = draw(xlen, &mut Random::new(1), 1, |_| true);
            for class in classes(xlen) {
                let is_there = words.iter().any(|word| word.class.name == class.name);
                assert!(is_there, "no word of {} is allocated in RV{xlen}", class.name);
            }
        }
    }

    #[test]
    fn no_word_uses_the_scratch_register() {
        let both = [32, 64].map(|xlen| draw(xlen, &mut Random::new(2), 3, |_| true));
        for word in both.into_iter().flatten() {
            let text = decoder(word.xlen).decode(0, word.bits.into()).to_string();
            let parts = text.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(!parts.clone().any(|part| part == "tp"), "{text}");
        }
    }

    #[test]
    fn branches_skip_the_way_back() {
        let both = [32, 64].map(|xlen| draw(xlen, &mut Random::new(3), 2, |_| true));
        for word in both.into_iter().flatten() {
            let Kind::Branch(_) = word.class.kind else { continue };
            let expected = if word.class.bits() == 16 { "0x6" } else { "0x8" };
            let text = decoder(word.xlen).decode(0, word.bits.into()).to_string();
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[test]
    fn a_matching_load_is_the_load_of_its_store() {
        let text = |bits: u32| decoder(64).decode(0, bits.into()).to_string();
        for store in [0x1853_a62f, 0x1e53_b62f] {
            let load = matching_load(&mut Random::new(3), store);
            assert!(text(store).starts_with("sc.") && text(load).starts_with("lr."), "{}", text(load));
            assert!(text(load).ends_with("(t2)"), "{}", text(load));
        }
    }
}
