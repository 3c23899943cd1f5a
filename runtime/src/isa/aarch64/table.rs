//! The decode table: the rows of all groups, in the manual's order, and the dispatch over them.

use super::lift;
use crate::block::Lift;
use crate::isa::encoding::{self, Dispatch};
use std::sync::OnceLock;

pub(super) use crate::isa::encoding::{LiftFn, Undefined, row};

/// A row of this architecture.
pub(super) type Row = encoding::Row<LiftFn>;

/// All rows.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    lift::GROUPS.iter().copied().flatten()
}

/// Finds the row of an encoding.
pub(super) fn decode(bits: u32) -> Option<&'static Row> {
    static DISPATCH: OnceLock<Dispatch<LiftFn>> = OnceLock::new();
    DISPATCH.get_or_init(|| Dispatch::new(&[(21, 11)], rows())).find(bits)
}

/// Emits the micro-ops of `bits`, or the trap of an undefined instruction.
pub(super) fn lift(bits: u32, lift: &mut Lift<'_>) {
    encoding::lift(bits, lift, |lift| decode(bits).ok_or(Undefined).and_then(|row| (row.meaning)(bits, lift)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::encoding::checks::{self, Random};
    use crate::uop::{Trap, Uop};
    use exarmo_aarch64::decode_word;
    use std::collections::BTreeMap;

    fn is_lifted(bits: u32) -> bool {
        let mut uops = Vec::new();
        lift(bits, &mut Lift::new(&mut uops, 0x1000, 4));
        !matches!(uops[..], [Uop::Trap { kind: Trap::Illegal, .. }])
    }

    /// Mnemonics of Armv8.0 without floating point, and of the extensions that are implemented.
    fn is_base(mnemonic: &str) -> bool {
        const BASE: &str = " adc adcs add adds adr adrp and ands asr b bfc bfi bfxil bic bics bl blr br brk cbnz cbz \
            ccmn ccmp cinc cinv clrex cls clz cmn cmp cneg crc32b crc32h crc32w crc32x crc32cb crc32ch crc32cw \
            crc32cx csel cset csetm csinc csinv csneg dmb dsb eon eor extr hint hlt isb ldar ldarb ldarh ldaxp ldaxr \
            ldaxrb ldaxrh ldlar ldlarb ldlarh ldnp ldp ldpsw ldr ldrb ldrh ldrsb ldrsh ldrsw ldtr ldtrb ldtrh ldtrsb \
            ldtrsh ldtrsw ldur ldurb ldurh ldursb ldursh ldursw ldxp ldxr ldxrb ldxrh lsl lsr madd mneg mov movk movn \
            movz msub mul mvn neg negs ngc ngcs nop orn orr prfm prfum rbit ret rev rev16 rev32 ror sb sbc sbcs sbfiz \
            sbfx sdiv sev sevl smaddl smnegl smsubl smulh smull stllr stllrb stllrh stlr stlrb stlrh stlxp stlxr \
            stlxrb stlxrh stnp stp str strb strh sttr sttrb sttrh stur sturb sturh stxp stxr stxrb stxrh sub subs svc \
            sxtb sxth sxtw tbnz tbz tst ubfiz ubfx udiv umaddl umnegl umsubl umulh umull uxtb uxth wfe wfi yield \
            ldapr ldaprb ldaprh ldapur ldapurb ldapurh ldapursb ldapursh ldapursw stlur stlurb stlurh ";
        let operations = ["add", "clr", "eor", "set", "smax", "smin", "umax", "umin"];
        let is_ordered = |rest: &str, orders: &[&str]| orders.contains(&rest.strip_suffix(['b', 'h']).unwrap_or(rest));
        let orders = ["", "a", "al", "l"];
        BASE.contains(&format!(" {mnemonic} "))
            || mnemonic.starts_with("b.")
            || mnemonic.strip_prefix("casp").is_some_and(|rest| orders.contains(&rest))
            || ["cas", "swp"]
                .iter()
                .any(|name| mnemonic.strip_prefix(name).is_some_and(|rest| is_ordered(rest, &orders)))
            || operations.iter().any(|name| {
                let rest = |prefix: &str| mnemonic.strip_prefix(prefix)?.strip_prefix(name);
                rest("ld").is_some_and(|rest| is_ordered(rest, &orders))
                    || rest("st").is_some_and(|rest| is_ordered(rest, &["", "l"]))
            })
    }

    #[test]
    fn rows_do_not_overlap() {
        checks::do_not_overlap(rows());
    }

    #[test]
    fn nothing_is_written_before_the_last_chance_to_leave() {
        checks::write_nothing_before_the_last_chance_to_leave(rows(), &lift);
    }

    #[test]
    fn temporaries_are_written_before_they_are_read() {
        checks::write_temporaries_before_they_read_them(rows(), &lift);
    }

    #[test]
    fn what_is_lifted_is_allocated() {
        let mut random = Random(1);
        for row in rows() {
            for _ in 0..1000 {
                let bits = row.value | random.next() & !row.mask;
                if is_lifted(bits) {
                    assert!(is_allocated(bits), "{} lifts {bits:#010x}, which is not allocated", row.name);
                }
            }
        }
    }

    /// Hints that have no meaning yet do nothing, so they are as good as allocated.
    fn is_allocated(bits: u32) -> bool {
        !matches!(decode_word(bits), Err(error) if error != exarmo_aarch64::DecodeError::ReservedHint)
    }

    #[test]
    fn rows_of_the_base_instruction_set_are_named_after_it() {
        let mut random = Random(2);
        for row in lift::GROUPS[..5].iter().copied().flatten() {
            let prefix = row.name.split('_').next().unwrap_or_default();
            let mut count = 0;
            for _ in 0..1000 {
                let bits = row.value | random.next() & !row.mask;
                let Ok(insn) = decode_word(bits) else { continue };
                // Holds the names of alias and instruction and the encoding class.
                let name = insn.encoding().name().to_lowercase();
                if is_lifted(bits) {
                    assert!(name.contains(prefix), "{}: {bits:#010x} is {name}", row.name);
                    count += 1;
                }
            }
            // Of the registers that `msr` names, four in 65536 can be written.
            assert!(count != 0 || row.name == "msr", "`{}` never lifts", row.name);
        }
    }

    #[test]
    fn the_base_instruction_set_is_complete() {
        let mut random = Random(3);
        let mut missing: BTreeMap<String, u32> = BTreeMap::new();
        for round in 0..2_000_000u32 {
            let mut bits = random.next();
            match round % 4 {
                // Few words are system instructions, or have the ones that many encodings fix.
                0 => bits = 0xd500_0000 | bits & 0x3f_ffff,
                1 => bits |= 0x001f_7c00,
                _ => {}
            }
            // The group bits of integer data processing, branches, system, loads and stores.
            if !matches!(bits >> 25 & 15, 4..=6 | 8..=14) || is_lifted(bits) {
                continue;
            }
            let Some(insn) = decode_word(bits).ok().filter(|insn| !insn.unpredictable()) else { continue };
            let text = insn.at(0).to_string();
            let name = insn.encoding().name();
            // Of LRCPC3, and `dsb` with XS.
            let is_later = ["LdapstlWriteback", "LdapstlSimd", "BonBarriers"].iter().any(|class| name.ends_with(class));
            if is_base(text.split('\t').next().unwrap_or_default()) && !is_later {
                missing.insert(name.to_string(), bits);
            }
        }
        assert!(missing.is_empty(), "{missing:#x?}");
    }
}
