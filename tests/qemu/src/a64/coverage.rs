//! That no instruction is forgotten: every encoding of the decoder, which is made from Arm's machine-readable
//! specification, is drawn from a class or is listed here with the extension it belongs to.
//!
//! What is drawn and not an instruction of the processor that QEMU plays is left out when the oracle runs; so what is
//! neither compared nor listed does not exist. The spaces looked at are data processing, loads and stores, SIMD and
//! floating point. Branches, exceptions and the system instructions are not: most of them end the case, or are refused
//! to programs.

use super::classes::CLASSES;
use super::words;
use crate::matches;
use crate::random::Random;
use exarmo_aarch64::decode_word;
use std::collections::{BTreeMap, BTreeSet};

/// Encodings that no class has and that are not implemented, by their names in the specification.
const NOT_IMPLEMENTED: &[(&str, &str)] = &[
    ("Abs*Dp1src", "CSSC"),
    ("*MinmaxImm", "CSSC"),
    ("*AddsubImmtags", "MTE"),
    ("*Subps64sDp2src", "MTE"),
    ("*Ldsttags", "MTE"),
    ("*AddsubPt", "CPA"),
    ("Aut*Dp1src", "PAuth"),
    ("Pac*Dp1src", "PAuth"),
    ("Xpac*Dp1src", "PAuth"),
    ("*LdstPac", "PAuth"),
    ("*Crypto3*", "SHA3, SM3"),
    ("*Crypto4", "SHA3, SM3"),
    ("*Cryptosha5122", "SHA512, SM4"),
    ("*Cryptosha5123", "SHA512, SHA3, SM3, SM4"),
    ("Luti*Asimdtbl*", "LUT"),
    ("Fcmtl*Floatcmp", "floating-point compare with magnitude"),
    ("*AsisdlsoD1", "LRCPC3"),
    ("*LdapstlWriteback", "LRCPC3"),
    ("*Ldiappstilp", "LRCPC3"),
    ("*LdapstlSimd", "LRCPC3"),
    ("*Memcms", "MOPS"),
    ("*MemsetGo", "MOPS"),
    ("*Memop128", "LSE128"),
    ("Ldbf*16", "LSFE"),
    ("Ldf*16", "LSFE"),
    ("Ldf*32", "LSFE"),
    ("Ldf*64", "LSFE"),
    ("Stbf*16", "LSFE"),
    ("Stf*16", "LSFE"),
    ("Stf*32", "LSFE"),
    ("Stf*64", "LSFE"),
    ("*MemopUnpriv", "LSUI"),
    ("*LdstexclrUnpriv", "LSUI"),
    ("*ComswapUnpriv", "LSUI"),
    ("*ComswapprUnpriv", "LSUI"),
    ("*Rcwcomswap", "THE"),
    ("*Rcwcomswappr", "THE"),
    ("*LdstGcs", "GCS"),
    ("St64b64lMemop", "LS64"),
];

/// Spellings of bitfield moves that are too rare to be drawn.
const RARE: &[&str] = &["SxthSbfm*", "SxtwSbfm*", "UxthUbfm*"];

/// Values of bits 9 to 0 that fixed fields there have, and some that are registers like any other.
const LOW_BITS: [u32; 12] = [0, 1, 0x3ff, 0x3e0, 0x01f, 0x008, 0x010, 0x018, 0x0e3, 0x04d, 0x155, 0x2aa];

/// Bits 28 to 25 of the spaces looked at: data processing (100x, x101, x111), loads and stores (x1x0).
const SPACES: [u32; 10] = [0b1000, 0b1001, 0b0101, 0b1101, 0b0111, 0b1111, 0b0100, 0b0110, 0b1100, 0b1110];

/// A word of every encoding in the spaces looked at: every word is tried but for the registers in its low bits.
fn encodings() -> BTreeMap<&'static str, u32> {
    let mut found = BTreeMap::new();
    for high in (0..1u32 << 22).filter(|high| SPACES.contains(&(high >> 15 & 15))) {
        for word in LOW_BITS.map(|low| high << 10 | low) {
            if let Ok(insn) = decode_word(word) {
                found.entry(insn.encoding().name()).or_insert(word);
            }
        }
    }
    found
}

/// The encodings that are drawn, and the rarer spellings of these: the one's name is the end of the other's.
fn covered(all: &BTreeMap<&'static str, u32>) -> BTreeSet<&'static str> {
    let drawn = words::draw(&mut Random::new(1), 1, |_| true);
    let drawn: BTreeSet<_> = drawn.iter().filter_map(|word| Some(words::allocated(word.bits)?.0.name())).collect();
    let is_end = |name: &str| drawn.iter().any(|other| name.ends_with(other) || other.ends_with(name));
    let other_spelling = |name: &str| is_end(name) || RARE.iter().any(|pattern| matches(pattern, name));
    let in_class = |word| CLASSES.iter().any(|class| class.has(word));
    let rare = all.iter().filter(|&(name, &word)| in_class(word) && other_spelling(name)).map(|(&name, _)| name);
    rare.chain(drawn.iter().copied()).collect()
}

#[test]
fn every_encoding_is_drawn_or_listed() {
    let all = encodings();
    let covered = covered(&all);
    let listed = |name: &str| NOT_IMPLEMENTED.iter().any(|(pattern, _)| matches(pattern, name));
    let missing = all.iter().filter(|&(name, _)| !covered.contains(name) && !listed(name));
    let missing: Vec<String> = missing.map(|(name, word)| format!("{name} {word:08x}")).collect();
    assert!(missing.is_empty(), "of {} never drawn:\n{}", all.len(), missing.join("\n"));
    // A row that is too wide would hide what is forgotten.
    let wrong: Vec<String> = NOT_IMPLEMENTED
        .iter()
        .filter_map(|(pattern, extension)| {
            let (yes, no): (Vec<&str>, Vec<&str>) =
                all.keys().filter(|name| matches(pattern, name)).partition(|name| covered.contains(*name));
            let right = yes.is_empty() && !no.is_empty();
            (!right).then(|| format!("`{pattern}` ({extension}) is listed; drawn are {yes:?}, not drawn {no:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.len() > 2000, "{}", all.len());
}
