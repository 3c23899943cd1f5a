//! Lifting: one file per group of the instruction set, and the field helpers that they share.

mod atomic;
mod branch;
mod float;
mod integer;
mod memory;
mod simd;
mod structure;
mod system;

use super::table::Row;
use crate::block::Lift;
use crate::uop::{UnOp, Uop, X, slot};

pub(super) use crate::isa::encoding::{bit, field, signed};

/// The rows of all groups.
pub(super) const GROUPS: &[&[Row]] =
    &[integer::ROWS, branch::ROWS, system::ROWS, memory::ROWS, atomic::ROWS, float::ROWS, simd::ROWS, structure::ROWS];

/// The register number in bits 4 to 0: the destination, or what a load or store transfers.
pub(super) const fn rd(insn: u32) -> u32 {
    field(insn, 0, 5)
}

/// The register number in bits 9 to 5: the first operand, or the base address.
pub(super) const fn rn(insn: u32) -> u32 {
    field(insn, 5, 5)
}

/// The register number in bits 14 to 10: the third operand, or the second register of a pair.
pub(super) const fn ra(insn: u32) -> u32 {
    field(insn, 10, 5)
}

/// The register number in bits 20 to 16: the second operand.
pub(super) const fn rm(insn: u32) -> u32 {
    field(insn, 16, 5)
}

/// The slot to read general register `n` from, where 31 is the zero register.
pub(super) const fn reg_or_zero(n: u32) -> X {
    if n == 31 { slot::ZERO } else { n as X }
}

/// The slot of general register `n`, where 31 is the stack pointer.
pub(super) const fn reg_or_sp(n: u32) -> X {
    n as X
}

/// The slot to write general register `n` to: a temporary, that is nowhere, for 31, the zero register.
///
/// Instructions without other effects emit nothing for the zero register and need not ask.
pub(super) fn dest_or_drop(lift: &mut Lift<'_>, n: u32) -> X {
    if n == 31 { lift.temp() } else { n as X }
}

/// The 64-bit or the 32-bit form of an operation.
pub(super) const fn by_width<T: Copy>(wide: bool, form64: T, form32: T) -> T {
    if wide { form64 } else { form32 }
}

/// Appends `d = a`, of the low half only unless `wide`.
pub(super) fn mov(lift: &mut Lift<'_>, wide: bool, d: X, a: X) {
    if a == slot::ZERO {
        lift.push(Uop::MovI { d, imm: 0 });
    } else if !wide || d != a {
        lift.push(Uop::Un { op: by_width(wide, UnOp::Mov, UnOp::Zext32), d, a });
    }
}
