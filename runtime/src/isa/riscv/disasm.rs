//! Disassembly, and what is known of an instruction without executing it. The text comes from `disc-v`, which is used for
//! nothing else.

use super::{InsnFacts, table};
use crate::block::Lift;

/// Returns the disassembly of `bits` at `pc`, as objdump writes it, with one blank behind the mnemonic.
pub(super) fn disassemble(bits: u32, pc: u64) -> String {
    let bits = if table::is_compressed(bits) { bits & 0xffff } else { bits };
    disc_v::decode(disc_v::Isa::Rv64, pc, u64::from(bits)).to_string()
}

/// Returns what is known of `bits` at `pc`.
pub(super) fn facts(bits: u32, pc: u64) -> InsnFacts {
    let len = if table::is_compressed(bits) { 2 } else { 4 };
    let mut uops = Vec::new();
    table::lift(bits, &mut Lift::new(&mut uops, pc, len));
    InsnFacts::new(disassemble(bits, pc), &uops)
}
