//! Lifting: one file per group of the instruction set, and the field helpers that they share.

mod atomic;
mod control;
mod float;
mod integer;
mod memory;
mod system;
mod zfa;

use super::table::Row;
use super::vector;
use super::xlen::Xlen;
use crate::block;
use crate::uop::{BinOp, UnOp, Uop, X, slot};
use std::ops::{Deref, DerefMut};

pub(super) use crate::isa::encoding::{bit, field, signed};

/// The rows of all groups.
pub(super) const GROUPS: &[&[Row]] = &[
    integer::ROWS,
    control::ROWS,
    memory::ROWS,
    system::ROWS,
    atomic::ROWS,
    float::ROWS,
    zfa::ROWS,
    vector::lift::ROWS,
];

/// The instruction that is lifted, for registers of a width.
pub(super) struct Lift<'a> {
    lift: block::Lift<'a>,
    pub(super) xlen: Xlen,
}

impl<'a> Lift<'a> {
    pub(super) fn new(xlen: Xlen, lift: &'a mut block::Lift<'_>) -> Self {
        Lift { lift: lift.lend(), xlen }
    }
}

impl<'a> Deref for Lift<'a> {
    type Target = block::Lift<'a>;

    fn deref(&self) -> &block::Lift<'a> {
        &self.lift
    }
}

impl<'a> DerefMut for Lift<'a> {
    fn deref_mut(&mut self) -> &mut block::Lift<'a> {
        &mut self.lift
    }
}

/// The number of the destination register.
pub(super) const fn rd(insn: u32) -> u32 {
    field(insn, 7, 5)
}

/// The number of the first operand.
pub(super) const fn rs1(insn: u32) -> u32 {
    field(insn, 15, 5)
}

/// The number of the second operand.
pub(super) const fn rs2(insn: u32) -> u32 {
    field(insn, 20, 5)
}

/// The immediate of loads, `addi` and their like.
pub(super) const fn imm_i(insn: u32) -> i64 {
    signed(insn, 20, 12)
}

/// The slot to read register `n` from: x0 is zero.
pub(super) const fn source(n: u32) -> X {
    if n == 0 { slot::ZERO } else { n as X }
}

/// The slot to write register `n` to: a temporary, that is nowhere, for x0.
///
/// Instructions without other effects emit nothing for x0 and need not ask.
pub(super) fn destination(lift: &mut Lift<'_>, n: u32) -> X {
    if n == 0 { lift.temp() } else { n as X }
}

/// Appends `d = a`, unless that changes nothing.
pub(super) fn mov(lift: &mut Lift<'_>, d: X, a: X) {
    if a == slot::ZERO {
        lift.push(Uop::MovI { d, imm: 0 });
    } else if d != a {
        lift.push(Uop::Un { op: UnOp::Mov, d, a });
    }
}

/// An operand of a comparison or another operation: one with a sign works on 64 bits.
pub(super) fn comparable(lift: &mut Lift<'_>, op: BinOp, a: X) -> X {
    if lift.xlen == Xlen::Rv64 || op != BinOp::LtS || a == slot::ZERO {
        return a;
    }
    let d = lift.temp();
    lift.push(Uop::Un { op: UnOp::Sext32, d, a });
    d
}

/// Makes the low half of `d` a word as registers hold it: sign-extended, unless they have no more bits.
pub(super) fn extend_word(lift: &mut Lift<'_>, d: X) {
    let op = if lift.xlen == Xlen::Rv32 { UnOp::Zext32 } else { UnOp::Sext32 };
    lift.push(Uop::Un { op, d, a: d });
}
