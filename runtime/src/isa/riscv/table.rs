//! The decode tables: the rows of all groups, of full and of compressed instructions, and the dispatch over them.
//!
//! A compressed instruction is expanded to the full one that it stands for, and lifted as that.

use super::compressed::{self, Expand};
use super::lift;
use crate::block::Lift;
use crate::isa::encoding::{self, Dispatch};
use std::sync::OnceLock;

pub(super) use crate::isa::encoding::{LiftFn, Undefined, row};

/// A row of this architecture.
pub(super) type Row = encoding::Row<LiftFn>;

/// All rows of full instructions.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    lift::GROUPS.iter().copied().flatten()
}

/// Finds the row of a full instruction: by opcode and `funct3`.
pub(super) fn decode(bits: u32) -> Option<&'static Row> {
    static DISPATCH: OnceLock<Dispatch<LiftFn>> = OnceLock::new();
    DISPATCH.get_or_init(|| Dispatch::new(&[(2, 5), (12, 3)], rows())).find(bits)
}

/// Expands a compressed instruction to the full one that it stands for.
pub(super) fn expand(bits: u32) -> Result<u32, Undefined> {
    static DISPATCH: OnceLock<Dispatch<Expand>> = OnceLock::new();
    let dispatch = DISPATCH.get_or_init(|| Dispatch::new(&[(0, 2), (13, 3)], compressed::ROWS.iter()));
    dispatch.find(bits).ok_or(Undefined).and_then(|row| (row.meaning)(bits))
}

/// True for an instruction of two bytes.
pub(super) const fn is_compressed(bits: u32) -> bool {
    bits & 3 != 3
}

/// Emits the micro-ops of `bits`, or the trap of an undefined instruction.
pub(super) fn lift(bits: u32, lift: &mut Lift<'_>) {
    let full = if is_compressed(bits) { expand(bits & 0xffff).ok() } else { Some(bits) };
    let meaning = full.and_then(decode).map(|row| row.meaning);
    encoding::lift(meaning, full.unwrap_or(bits), bits, lift);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::encoding::checks::{self, Random};
    use crate::uop::{Trap, Uop};
    use disc_v::Decoder;
    use std::collections::BTreeMap;

    /// What is implemented, to the decoder that the tests compare with.
    const MARCH: &str = "rv64gc_zicbom_zicbop_zicboz_zicond_zihintpause_zba_zbb_zbc_zbs_v";

    /// Instructions of the base that programs may not execute, or that are refused (see [`super::super::system`]).
    const REFUSED: &[&str] =
        &["csr", "mret", "sret", "uret", "wfi", "sfence", "rd", "fs", "fr", "mnret", "dret", "cbo.inval", "unimp"];

    fn is_lifted(bits: u32) -> bool {
        let mut uops = Vec::new();
        lift(bits, &mut Lift::new(&mut uops, 0x1000, 4));
        !matches!(uops[..], [Uop::Trap { kind: Trap::Illegal, .. }])
    }

    fn decoder() -> Decoder {
        Decoder::from_march(MARCH).unwrap()
    }

    #[test]
    fn rows_do_not_overlap() {
        checks::do_not_overlap(rows());
        checks::do_not_overlap(compressed::ROWS.iter());
    }

    #[test]
    fn nothing_is_written_before_the_last_chance_to_leave() {
        checks::write_nothing_before_the_last_chance_to_leave(rows());
    }

    #[test]
    fn temporaries_are_written_before_they_are_read() {
        checks::write_temporaries_before_they_read_them(rows());
    }

    #[test]
    fn what_is_lifted_is_allocated_and_named_after_it() {
        let (decoder, mut random) = (decoder(), Random(1));
        for row in rows() {
            let mut count = 0;
            for _ in 0..2000 {
                let bits = row.value | random.next() & !row.mask;
                if !is_lifted(bits) {
                    continue;
                }
                count += 1;
                let insn = decoder.decode(0x1000, bits.into()).without_aliases();
                // Reserved modes of a fence are those of a plain one.
                let is_fence = row.name == "fence" || row.name == "fence.i";
                assert!(!insn.is_illegal() || is_fence, "{} lifts {bits:#010x}, which is not allocated", row.name);
                let name = row.name.replace(".from", "");
                let prefix = if name.starts_with("fcvt") { "fcvt" } else { &name };
                assert!(insn.mnemonic().starts_with(prefix) || is_fence, "{name}: {bits:#010x} is {insn}");
            }
            // Of the control and status registers few can be named.
            assert!(count != 0 || row.name.starts_with("csr"), "`{}` never lifts", row.name);
        }
    }

    #[test]
    fn what_is_allocated_is_lifted() {
        let (decoder, mut random) = (decoder(), Random(3));
        let mut missing: BTreeMap<&str, u32> = BTreeMap::new();
        for round in 0..3_000_000u32 {
            let mut bits = random.next() | 3;
            match round % 4 {
                // Few words have the ones or zeros that many encodings fix.
                0 => bits &= 0xfe00_0000 | 0x01ff_ffff,
                1 => bits &= 0x3e0f_ffff,
                2 => bits &= 0xfe1f_ffff,
                _ => {}
            }
            let insn = decoder.decode(0x1000, bits.into()).without_aliases();
            let refused = REFUSED.iter().any(|name| insn.mnemonic().starts_with(name)) && bits & 0x7f == 0x73
                || insn.mnemonic() == "cbo.inval";
            // The decoder gives a text to reserved rounding modes.
            let is_float = matches!(bits & 0x7f, 0x43 | 0x47 | 0x4b | 0x4f | 0x53);
            let has_no_mode = is_float && matches!(bits >> 12 & 7, 5 | 6);
            if !insn.is_illegal() && !is_lifted(bits) && !refused && !has_no_mode {
                missing.insert(insn.mnemonic(), bits);
            }
        }
        assert!(missing.is_empty(), "{missing:#x?}");
    }

    /// All of them: the text of a compressed instruction is that of the full one that it stands for.
    #[test]
    fn compressed_instructions_are_what_they_stand_for() {
        let decoder = decoder();
        for bits in (0..0x1_0000).filter(|&bits| is_compressed(bits)) {
            let insn = decoder.decode(0x1000, bits.into());
            let full = expand(bits).ok();
            assert_eq!(full.is_none(), insn.is_illegal(), "{bits:#06x} is {insn}, {full:x?}");
            let Some(full) = full else { continue };
            assert!(decode(full).is_some() && is_lifted(bits), "{bits:#06x} is {full:#010x}");
            let text = decoder.decode(0x1000, full.into()).to_string();
            // Hints of the compressed encoding have names of their own.
            let compressed = insn.to_string();
            let named = |text: &str| text.replace("c.", "");
            // `mv` has another full form of its own.
            let text = if full & 0xfe0f_f07f == 0x33 { text.replace("add ", "mv ").replace("zero,", "") } else { text };
            assert!(named(&compressed) == text || is_hint(full), "{bits:#06x}: {compressed}, {full:#010x}: {text}");
        }
    }

    /// Writes x0, or shifts by nothing.
    fn is_hint(full: u32) -> bool {
        full >> 7 & 31 == 0 || matches!(full & 0x707f, 0x1013 | 0x5013) && full >> 20 & 63 == 0
    }
}
