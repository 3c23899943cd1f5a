//! Disassembly, and what is known of an instruction without executing it.
//!
//! The text comes from `exarmo-aarch64`, which is used for nothing else. Facts come from the micro-ops, so that they
//! cannot disagree with what is executed.

use super::{InsnFacts, table};
use crate::block::Lift;
use crate::uop::{JumpHint, Uop};
use exarmo_aarch64::decode_word;

/// Returns the disassembly of `bits` at `pc`, with one blank behind the mnemonic.
pub(super) fn disassemble(bits: u32, pc: u64) -> String {
    match decode_word(bits) {
        Ok(insn) => decimal_offsets(&insn.at(pc).to_string().replace('\t', " ")),
        Err(_) => format!(".inst {bits:#010x}"),
    }
}

/// Writes the hexadecimal immediates from the first bracket on, which are address offsets, in decimal.
fn decimal_offsets(text: &str) -> String {
    let Some(bracket) = text.find('[') else { return text.to_string() };
    let (mut result, mut rest) = (text[..bracket].to_string(), &text[bracket..]);
    while let Some(at) = rest.find("0x") {
        let digits = &rest[at + 2..];
        let len = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        result.push_str(&rest[..at]);
        match u64::from_str_radix(&digits[..len], 16) {
            Ok(value) => result.push_str(&value.to_string()),
            Err(_) => result.push_str(&rest[at..at + 2 + len]),
        }
        rest = &digits[len..];
    }
    result + rest
}

/// Returns what is known of `bits` at `pc`.
pub(super) fn facts(bits: u32, pc: u64) -> InsnFacts {
    let text = disassemble(bits, pc);
    let mnemonic = text.split(' ').next().unwrap_or_default().to_string();
    let mut facts = InsnFacts { mnemonic, text, ..InsnFacts::default() };
    let mut uops = Vec::new();
    table::lift(bits, &mut Lift::new(&mut uops, pc, 4));
    for uop in uops {
        add_uop(&mut facts, &uop);
    }
    facts
}

fn add_uop(facts: &mut InsnFacts, uop: &Uop) {
    match *uop {
        Uop::Jump { hint, target } => {
            facts.target = Some(target);
            add_jump(facts, hint);
        }
        Uop::JumpInd { hint, .. } => add_jump(facts, hint),
        Uop::BrZero { target, .. } | Uop::BrBit { target, .. } | Uop::BrCc { target, .. } => {
            facts.target = Some(target);
            facts.is_branch = true;
        }
        Uop::Load { .. }
        | Uop::LoadPair { .. }
        | Uop::LoadV { .. }
        | Uop::LoadPairV { .. }
        | Uop::LoadEx { .. }
        | Uop::LoadExPair { .. } => facts.is_load = true,
        Uop::Store { .. }
        | Uop::StorePair { .. }
        | Uop::StoreV { .. }
        | Uop::StorePairV { .. }
        | Uop::StoreEx { .. }
        | Uop::StoreExPair { .. }
        | Uop::ZeroBlock { .. } => facts.is_store = true,
        Uop::Amo { .. } | Uop::Cas { .. } | Uop::CasPair { .. } => {
            facts.is_load = true;
            facts.is_store = true;
        }
        _ => {}
    }
}

fn add_jump(facts: &mut InsnFacts, hint: JumpHint) {
    facts.is_branch = true;
    match hint {
        JumpHint::Jump => {}
        JumpHint::Call => facts.is_call = true,
        JumpHint::Return => facts.is_return = true,
    }
}

#[cfg(test)]
mod tests {
    use super::{disassemble, facts};

    #[test]
    fn text_is_as_objdump_writes_it() {
        for (bits, text) in [
            (0xd503_201f, "nop"),
            (0x9100_0420, "add x0, x1, #0x1"),
            (0xaa01_03e0, "mov x0, x1"),
            (0x5400_0061, "b.ne 0x100c"),
            (0x9400_0010, "bl 0x1040"),
            (0xd65f_03c0, "ret"),
            (0xf940_0420, "ldr x0, [x1, #8]"),
            (0xa9bf_7bfd, "stp x29, x30, [sp, #-16]!"),
            (0x0000_0000, "udf #0"),
            (0x5800_0040, "ldr x0, 0x1008"),
            (0x1000_0000, "adr x0, 0x1000"),
            (0xd53b_d040, "mrs x0, tpidr_el0"),
            (0xffff_ffff, ".inst 0xffffffff"),
        ] {
            assert_eq!(disassemble(bits, 0x1000), text);
        }
    }

    #[test]
    fn facts_follow_the_micro_ops() {
        let call = facts(0x9400_0010, 0x1000);
        assert!(call.is_call && call.is_branch && !call.is_return);
        assert_eq!((call.target, call.mnemonic.as_str()), (Some(0x1040), "bl"));
        let ret = facts(0xd65f_03c0, 0x1000);
        assert!(ret.is_return && ret.is_branch && !ret.is_call);
        assert_eq!(ret.target, None);
        assert_eq!(facts(0x5400_0061, 0x1000).mnemonic, "b.ne");
        let load = facts(0xf940_0420, 0);
        assert!(load.is_load && !load.is_store && !load.is_branch);
        let swap = facts(0xf820_8041, 0);
        assert!(swap.is_load && swap.is_store);
    }
}
