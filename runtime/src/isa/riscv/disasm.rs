//! Disassembly, and what is known of an instruction without executing it. The text comes from `disc-v`, which is used for
//! nothing else.

use super::xlen::Xlen;
use super::{InsnFacts, RiscV, table};
use crate::block::Lift;

/// Returns the disassembly of `bits` at `pc`, as objdump writes it, with one blank behind the mnemonic.
pub(super) fn disassemble(xlen: Xlen, bits: u32, pc: u64) -> String {
    let bits = if table::is_compressed(bits) { bits & 0xffff } else { bits };
    let isa = if xlen == Xlen::Rv32 { disc_v::Isa::Rv32 } else { disc_v::Isa::Rv64 };
    disc_v::decode(isa, pc, u64::from(bits)).to_string()
}

/// Returns what is known of `bits` at `pc`.
pub(super) fn facts(isa: &RiscV, bits: u32, pc: u64) -> InsnFacts {
    let len = if table::is_compressed(bits) { 2 } else { 4 };
    let mut uops = Vec::new();
    table::lift(isa.xlen, bits, &mut Lift::new(&mut uops, pc, len));
    InsnFacts::new(isa, disassemble(isa.xlen, bits, pc), &uops)
}

#[cfg(test)]
mod tests {
    use super::facts;
    use crate::isa::riscv::{RISCV32, RISCV64};
    use spile_lang::target::Register;

    #[test]
    fn registers_have_the_names_of_the_calling_convention() {
        for (isa, bits, text, reads, writes) in [
            (&RISCV64, 0x00b5_0533, "add a0,a0,a1", "a0, a1", "a0"),
            (&RISCV64, 0x00a5_8533, "add a0,a1,a0", "a1, a0", "a0"),
            (&RISCV64, 0x9582, "jalr a1", "a1", "ra"),
            (&RISCV64, 0x00b5_3423, "sd a1,8(a0)", "a1, a0", ""),
            (&RISCV64, 0x02c5_f553, "fadd.d fa0,fa1,fa2", "fa1, fa2", "fa0"),
            (&RISCV64, 0xf205_0553, "fmv.d.x fa0,a0", "a0", "fa0"),
            (&RISCV32, 0x2001, "jal 0x0", "", "ra"),
            (&RISCV32, 0x0205_1513, ".insn 4, 0x02051513", "", ""),
            (&RISCV64, 0x0000_0013, "nop", "", ""),
        ] {
            let facts = facts(isa, bits, 0);
            let names = |list: &[Register]| list.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
            let found = (facts.text.as_str(), names(&facts.reads), names(&facts.writes));
            assert_eq!(found, (text, reads.to_string(), writes.to_string()));
        }
    }
}
