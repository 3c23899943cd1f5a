//! The decode tables: the rows of all groups, of full and of compressed instructions, and the dispatch over them.
//!
//! A compressed instruction is expanded to the full one that it stands for, and lifted as that.

use super::compressed::{self, Expand};
use super::lift;
use super::xlen::Xlen;
use crate::block;
use crate::isa::encoding::{self, Dispatch, Key};
use std::sync::OnceLock;

pub(super) use crate::isa::encoding::Undefined;

/// Emits the micro-ops of a full instruction.
pub(super) type LiftFn = fn(u32, &mut lift::Lift<'_>) -> Result<(), Undefined>;

/// What a row means, and where it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning<F> {
    /// For registers of this width, or of any.
    pub(super) only: Option<Xlen>,
    pub(super) of: F,
}

impl<F> Meaning<F> {
    fn holds(&self, xlen: Xlen) -> bool {
        self.only.is_none_or(|only| only == xlen)
    }
}

/// A row of this architecture.
pub(super) type Row = encoding::Row<Meaning<LiftFn>>;

/// Makes a row for registers of any width.
pub(super) const fn row(name: &'static str, pattern: &str, of: LiftFn) -> Row {
    encoding::row(name, pattern, Meaning { only: None, of })
}

/// Makes a row for registers of 32 bits.
pub(super) const fn rv32(name: &'static str, pattern: &str, of: LiftFn) -> Row {
    encoding::row(name, pattern, Meaning { only: Some(Xlen::Rv32), of })
}

/// Makes a row for registers of 64 bits.
pub(super) const fn rv64(name: &'static str, pattern: &str, of: LiftFn) -> Row {
    encoding::row(name, pattern, Meaning { only: Some(Xlen::Rv64), of })
}

/// All rows of full instructions.
pub(super) fn rows(xlen: Xlen) -> impl Iterator<Item = &'static Row> + Clone {
    lift::GROUPS.iter().copied().flatten().filter(move |row| row.meaning.holds(xlen))
}

/// Those of compressed ones.
fn compressed_rows(xlen: Xlen) -> impl Iterator<Item = &'static compressed::Row> + Clone {
    compressed::ROWS.iter().filter(move |row| row.meaning.holds(xlen))
}

/// A dispatch for each width of registers.
struct Tables<F: 'static>([OnceLock<Dispatch<Meaning<F>>>; 2]);

impl<F: Copy> Tables<F> {
    const fn new() -> Self {
        Tables([const { OnceLock::new() }; 2])
    }

    fn find<I>(&self, xlen: Xlen, key: Key, rows: fn(Xlen) -> I, bits: u32) -> Result<F, Undefined>
    where
        I: Iterator<Item = &'static encoding::Row<Meaning<F>>> + Clone,
    {
        let dispatch = self.0[xlen as usize].get_or_init(|| Dispatch::new(key, rows(xlen)));
        dispatch.find(bits).map(|row| row.meaning.of).ok_or(Undefined)
    }
}

/// Finds what a full instruction means: by opcode and `funct3`.
pub(super) fn decode(xlen: Xlen, bits: u32) -> Result<LiftFn, Undefined> {
    static TABLES: Tables<LiftFn> = Tables::new();
    TABLES.find(xlen, &[(2, 5), (12, 3)], rows, bits)
}

/// Expands a compressed instruction to the full one that it stands for.
pub(super) fn expand(xlen: Xlen, bits: u32) -> Result<u32, Undefined> {
    static TABLES: Tables<Expand> = Tables::new();
    TABLES.find(xlen, &[(0, 2), (13, 3)], compressed_rows, bits).and_then(|expand| expand(bits))
}

/// True for an instruction of two bytes.
pub(super) const fn is_compressed(bits: u32) -> bool {
    bits & 3 != 3
}

/// Emits the micro-ops of `bits`, or the trap of an undefined instruction.
pub(super) fn lift(xlen: Xlen, bits: u32, lift: &mut block::Lift<'_>) {
    encoding::lift(bits, lift, |lift| {
        let full = if is_compressed(bits) { expand(xlen, bits & 0xffff)? } else { bits };
        decode(xlen, full)?(full, &mut lift::Lift::new(xlen, lift))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Lift;
    use crate::isa::encoding::checks::{self, Random};
    use crate::uop::{Trap, Uop};
    use disc_v::Decoder;
    use std::collections::BTreeMap;

    /// What is implemented, to the decoder that the tests compare with.
    const fn march(xlen: Xlen) -> &'static str {
        match xlen {
            Xlen::Rv32 => "rv32gc_zicbom_zicbop_zicboz_zicond_zihintpause_zfa_zba_zbb_zbc_zbs",
            Xlen::Rv64 => "rv64gc_zicbom_zicbop_zicboz_zicond_zihintpause_zfa_zba_zbb_zbc_zbs_v",
        }
    }

    /// Instructions of the base that programs may not execute, or that are refused (see [`super::super::system`]).
    const REFUSED: &[&str] =
        &["csr", "mret", "sret", "uret", "wfi", "sfence", "rd", "fs", "fr", "mnret", "dret", "cbo.inval", "unimp"];

    fn is_lifted(xlen: Xlen, bits: u32) -> bool {
        let mut uops = Vec::new();
        lift(xlen, bits, &mut Lift::new(&mut uops, 0x1000, 4));
        !matches!(uops[..], [Uop::Trap { kind: Trap::Illegal, .. }])
    }

    fn decoder(xlen: Xlen) -> Decoder {
        Decoder::from_march(march(xlen)).unwrap()
    }

    #[test]
    fn rows_do_not_overlap() {
        for xlen in Xlen::ALL {
            checks::do_not_overlap(rows(xlen));
            checks::do_not_overlap(compressed_rows(xlen));
        }
    }

    #[test]
    fn nothing_is_written_before_the_last_chance_to_leave() {
        for xlen in Xlen::ALL {
            let lift = |bits, l: &mut Lift<'_>| lift(xlen, bits, l);
            checks::write_nothing_before_the_last_chance_to_leave(rows(xlen), &lift);
        }
    }

    #[test]
    fn temporaries_are_written_before_they_are_read() {
        for xlen in Xlen::ALL {
            let lift = |bits, l: &mut Lift<'_>| lift(xlen, bits, l);
            checks::write_temporaries_before_they_read_them(rows(xlen), &lift);
        }
    }

    #[test]
    fn what_is_lifted_is_allocated_and_named_after_it() {
        Xlen::ALL.into_iter().for_each(check_what_is_lifted);
    }

    fn check_what_is_lifted(xlen: Xlen) {
        let (decoder, mut random) = (decoder(xlen), Random(1));
        for row in rows(xlen) {
            let mut count = 0;
            for _ in 0..2000 {
                let bits = row.value | random.next() & !row.mask;
                if !is_lifted(xlen, bits) {
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
        Xlen::ALL.into_iter().for_each(check_what_is_allocated);
    }

    fn check_what_is_allocated(xlen: Xlen) {
        let (decoder, mut random) = (decoder(xlen), Random(3));
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
            if !insn.is_illegal() && !is_lifted(xlen, bits) && !refused && !has_no_mode {
                missing.insert(insn.mnemonic(), bits);
            }
        }
        assert!(missing.is_empty(), "{missing:#x?}");
    }

    /// All of them: the text of a compressed instruction is that of the full one that it stands for.
    #[test]
    fn compressed_instructions_are_what_they_stand_for() {
        Xlen::ALL.into_iter().for_each(check_compressed);
    }

    fn check_compressed(xlen: Xlen) {
        let decoder = decoder(xlen);
        for bits in (0..0x1_0000).filter(|&bits| is_compressed(bits)) {
            let insn = decoder.decode(0x1000, bits.into());
            // A reserved one may stand for a full one that is.
            let full = expand(xlen, bits).ok().filter(|&full| decode(xlen, full).is_ok() && is_lifted(xlen, full));
            assert_eq!(full.is_none(), insn.is_illegal(), "{bits:#06x} is {insn}, {full:x?}");
            assert_eq!(full.is_some(), is_lifted(xlen, bits), "{bits:#06x} is {full:x?}");
            let Some(full) = full else { continue };
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
