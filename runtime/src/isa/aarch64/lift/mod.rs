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
use crate::uop::{X, slot};

/// The rows of all groups.
pub(super) const GROUPS: &[&[Row]] =
    &[integer::ROWS, branch::ROWS, system::ROWS, memory::ROWS, atomic::ROWS, float::ROWS, simd::ROWS, structure::ROWS];

/// Bits `lsb..lsb + len` of an encoding.
pub(super) const fn field(insn: u32, lsb: u32, len: u32) -> u32 {
    insn >> lsb & (u32::MAX >> (32 - len))
}

/// Bits `lsb..lsb + len` of an encoding, sign-extended.
pub(super) const fn signed(insn: u32, lsb: u32, len: u32) -> i64 {
    ((insn << (32 - lsb - len)) as i32 >> (32 - len)) as i64
}

/// Bit `n` of an encoding.
pub(super) const fn bit(insn: u32, n: u32) -> bool {
    insn >> n & 1 != 0
}

/// The slot to read general register `n` from, where 31 is the zero register.
pub(super) const fn reg_or_zero(n: u32) -> X {
    if n == 31 { slot::ZERO } else { n as X }
}

/// The slot of general register `n`, where 31 is the stack pointer.
pub(super) const fn reg_or_sp(n: u32) -> X {
    n as X
}
