//! The decode table: one [`Row`] per encoding class, in the manual's order, and the dispatch over it.
//!
//! A row's pattern spells the 32 bits from the left: `0` and `1` are fixed, any other character is part of a field,
//! blanks are for reading. The lift function takes the fields out of the encoding by position (see [`super::lift`]);
//! the letters are there for the reader. Rows do not overlap (tested), so their order does not matter for meaning.

use super::lift;
use crate::block::Lift;
use crate::uop::{Trap, Uop};
use std::sync::OnceLock;

/// Says that an encoding is not allocated, reserved or not implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undefined;

/// Emits the micro-ops of an instruction. On [`Undefined`] what it has emitted is dropped.
pub(super) type LiftFn = fn(u32, &mut Lift<'_>) -> Result<(), Undefined>;

/// One encoding class: encodings with `encoding & mask == value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The manual's mnemonic and variant: `add_imm`.
    #[cfg_attr(not(test), expect(dead_code, reason = "names are for the reader and the tests"))]
    pub name: &'static str,
    /// The fixed bits.
    pub mask: u32,
    /// What they must be.
    pub value: u32,
    /// Emits the micro-ops.
    pub lift: LiftFn,
}

/// Makes a row from a bit pattern, at compile time.
pub(super) const fn row(name: &'static str, pattern: &str, lift: LiftFn) -> Row {
    let bytes = pattern.as_bytes();
    let (mut mask, mut value, mut count) = (0u32, 0u32, 0);
    let mut i = 0;
    while i < bytes.len() {
        let (fixed, one) = match bytes[i] {
            b' ' => {
                i += 1;
                continue;
            }
            b'0' => (1, 0),
            b'1' => (1, 1),
            _ => (0, 0),
        };
        mask = mask << 1 | fixed;
        value = value << 1 | one;
        count += 1;
        i += 1;
    }
    assert!(count == 32, "a pattern has 32 bits");
    Row { name, mask, value, lift }
}

/// All rows.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    lift::GROUPS.iter().copied().flatten()
}

/// Bits 31 to 21 choose a bucket.
const BUCKET_SHIFT: u32 = 21;
const BUCKETS: usize = 1 << (32 - BUCKET_SHIFT);

/// For each value of the top bits the rows that can match, one after the other.
struct Dispatch {
    /// First of the bucket's rows in `rows`; the next bucket's first is its end.
    starts: Vec<u32>,
    rows: Vec<Row>,
}

fn dispatch() -> &'static Dispatch {
    static DISPATCH: OnceLock<Dispatch> = OnceLock::new();
    DISPATCH.get_or_init(|| {
        let mut dispatch = Dispatch { starts: Vec::with_capacity(BUCKETS + 1), rows: Vec::new() };
        for bucket in 0..BUCKETS as u32 {
            dispatch.starts.push(dispatch.rows.len() as u32);
            let value = bucket << BUCKET_SHIFT;
            let mask = u32::MAX << BUCKET_SHIFT;
            dispatch.rows.extend(rows().filter(|row| (row.value ^ value) & row.mask & mask == 0));
        }
        dispatch.starts.push(dispatch.rows.len() as u32);
        dispatch
    })
}

/// Finds the row of an encoding.
pub(super) fn decode(bits: u32) -> Option<&'static Row> {
    let dispatch = dispatch();
    let bucket = (bits >> BUCKET_SHIFT) as usize;
    let range = dispatch.starts[bucket] as usize..dispatch.starts[bucket + 1] as usize;
    dispatch.rows[range].iter().find(|row| bits & row.mask == row.value)
}

/// Emits the micro-ops of `bits`, or the trap of an undefined instruction.
pub(super) fn lift(bits: u32, lift: &mut Lift<'_>) {
    let mark = lift.mark();
    let lifted = match decode(bits) {
        Some(row) => (row.lift)(bits, lift),
        None => Err(Undefined),
    };
    if lifted.is_err() {
        lift.rewind(mark);
        lift.push(Uop::Trap { kind: Trap::Illegal, imm: u64::from(bits) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exarmo_aarch64::decode_word;
    use std::collections::BTreeMap;

    /// xorshift64*: the tests need variety, not quality.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u32 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
        }
    }

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
        let rows: Vec<_> = rows().collect();
        for (index, a) in rows.iter().enumerate() {
            for b in &rows[index + 1..] {
                let (mask, differ) = (a.mask & b.mask, a.value ^ b.value);
                assert_ne!(differ & mask, 0, "`{}` and `{}` overlap", a.name, b.name);
            }
        }
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
