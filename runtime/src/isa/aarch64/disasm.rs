//! Disassembly, and what is known of an instruction without executing it.
//!
//! The text comes from `exarmo-aarch64`, which is used for nothing else. Facts come from the micro-ops, so that they
//! cannot disagree with what is executed.

use super::{AARCH64, InsnFacts, table};
use crate::block::Lift;
use exarmo_aarch64::{TokenKind, TokenSink, decode_word};
use std::fmt::{self, Write};

/// Returns the disassembly of `bits` at `pc`, with one blank behind the mnemonic.
pub(super) fn disassemble(bits: u32, pc: u64) -> String {
    let Ok(insn) = decode_word(bits) else { return format!(".inst {bits:#010x}") };
    let mut text = Text::default();
    match insn.at(pc).write_tokens(&mut text) {
        Ok(()) => text.out,
        Err(_) => format!(".inst {bits:#010x}"),
    }
}

/// Collects the text of an instruction, in objdump's manner where `exarmo` has another: address offsets and shift
/// amounts in decimal, `x29` and `x30`.
#[derive(Default)]
struct Text {
    out: String,
    /// Immediates are decimal: from the start, or since an address or a shift has begun.
    decimal: bool,
    /// Immediates are hexadecimal where they are not decimal.
    hex: bool,
}

/// Mnemonics whose immediates are shift amounts, bit numbers and widths, which objdump writes in decimal.
const DECIMAL: &[&str] = &[
    "asr",
    "bfc",
    "bfi",
    "bfxil",
    "extr",
    "fcvtzs",
    "fcvtzu",
    "lsl",
    "lsr",
    "ror",
    "sbfiz",
    "sbfx",
    "scvtf",
    "tbnz",
    "tbz",
    "ubfiz",
    "ubfx",
    "ucvtf",
    "shl",
    "sli",
    "sri",
    "sshr",
    "ushr",
    "ssra",
    "usra",
    "srshr",
    "urshr",
    "srsra",
    "ursra",
    "sshll",
    "sshll2",
    "ushll",
    "ushll2",
    "shll",
    "shll2",
    "shrn",
    "shrn2",
    "rshrn",
    "rshrn2",
    "sqshrn",
    "sqshrn2",
    "uqshrn",
    "uqshrn2",
    "sqrshrn",
    "sqrshrn2",
    "uqrshrn",
    "uqrshrn2",
    "sqshrun",
    "sqshrun2",
    "sqrshrun",
    "sqrshrun2",
    "sqshl",
    "uqshl",
    "sqshlu",
    "ext",
    "udf",
];

/// Mnemonics with vector immediates, which objdump writes in hexadecimal.
const HEX: &[&str] = &["movi", "mvni", "bic", "orr"];

impl TokenSink for Text {
    fn text(&mut self, kind: TokenKind, _operand: Option<u8>, text: &str) -> fmt::Result {
        self.decimal |= matches!(kind, TokenKind::Symbol) || text == "[";
        if kind == TokenKind::Mnemonic {
            self.decimal |= DECIMAL.contains(&text);
            self.hex |= HEX.contains(&text);
        }
        match (kind, text) {
            (TokenKind::Immediate(value), _) if self.decimal => write!(self.out, "{value}"),
            (TokenKind::Integer(value), _) if self.hex && !self.decimal => write!(self.out, "{value:#x}"),
            (TokenKind::Register, "fp") => self.out.write_str("x29"),
            (TokenKind::Register, "lr") => self.out.write_str("x30"),
            (_, "\t") => self.out.write_str(" "),
            _ => self.out.write_str(text),
        }
    }

    fn value(&mut self, kind: TokenKind, operand: Option<u8>, value: &dyn fmt::Display) -> fmt::Result {
        self.text(kind, operand, &value.to_string())
    }
}

/// Returns what is known of `bits` at `pc`.
pub(super) fn facts(bits: u32, pc: u64) -> InsnFacts {
    let mut uops = Vec::new();
    table::lift(bits, &mut Lift::new(&mut uops, pc, 4));
    InsnFacts::new(&AARCH64, disassemble(bits, pc), &uops)
}

#[cfg(test)]
mod tests {
    use super::{disassemble, facts};
    use spile_lang::target::Register;

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
    fn registers_are_those_of_the_manual_in_the_order_of_the_text() {
        for (bits, text, reads, writes) in [
            (0x8b00_0020, "add x0, x1, x0", "x1, x0", "x0"),
            (0xab02_0020, "adds x0, x1, x2", "x1, x2", "x0, nzcv"),
            (0xf100_141f, "cmp x0, #0x5", "x0", "nzcv"),
            (0x9a82_0020, "csel x0, x1, x2, eq", "x1, x2, nzcv", "x0"),
            (0x5400_0060, "b.eq 0xc", "nzcv", ""),
            (0xd65f_03c0, "ret", "x30", ""),
            (0x9400_0010, "bl 0x40", "", "x30"),
            (0xa8c1_7bfd, "ldp x29, x30, [sp], #16", "sp", "x29, x30, sp"),
            (0xf900_0420, "str x0, [x1, #8]", "x0, x1", ""),
            (0xf282_4680, "movk x0, #0x1234", "x0", "x0"),
            (0x1e62_2820, "fadd d0, d1, d2", "v1, v2", "v0"),
            (0x4e18_1c20, "mov v0.d[1], x1", "v0, x1", "v0"),
            (0xf820_8041, "swp x0, x1, [x2]", "x0, x2", "x1"),
            (0xd53b_d040, "mrs x0, tpidr_el0", "tpidr_el0", "x0"),
            (0xd503_201f, "nop", "", ""),
        ] {
            let facts = facts(bits, 0);
            let names = |list: &[Register]| list.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
            let found = (facts.text.as_str(), names(&facts.reads), names(&facts.writes));
            assert_eq!(found, (text, reads.to_string(), writes.to_string()));
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
