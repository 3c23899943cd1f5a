//! The width of integer registers (XLEN), and what follows from it.
//!
//! Registers of 32 bits are kept zero-extended: so addresses, unsigned comparisons and what probes read are right as they
//! are, and operations on 32 bits leave them so. What is signed is extended where it is compared, divided or multiplied.

use crate::uop::{BinOp, MemTy, UnOp};

/// The width of integer registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Xlen {
    /// 32 bits.
    Rv32,
    /// 64 bits.
    Rv64,
}

impl Xlen {
    /// Both.
    #[cfg(test)]
    pub(super) const ALL: [Xlen; 2] = [Xlen::Rv32, Xlen::Rv64];

    pub(super) const fn bits(self) -> u8 {
        match self {
            Xlen::Rv32 => 32,
            Xlen::Rv64 => 64,
        }
    }

    /// A number as a register keeps it.
    pub(super) const fn value(self, number: u64) -> u64 {
        number & (u64::MAX >> (64 - self.bits()))
    }

    /// The operation on registers of this width, from that on 64 bits. Comparisons are the same ones, and so is what works
    /// bit by bit.
    pub(super) const fn binary(self, op: BinOp) -> BinOp {
        match (self, op) {
            (Xlen::Rv64, op) => op,
            (Xlen::Rv32, BinOp::Add64) => BinOp::Add32,
            (Xlen::Rv32, BinOp::Sub64) => BinOp::Sub32,
            (Xlen::Rv32, BinOp::Shl64) => BinOp::Shl32,
            (Xlen::Rv32, BinOp::Shr64) => BinOp::Shr32,
            (Xlen::Rv32, BinOp::Sar64) => BinOp::Sar32,
            (Xlen::Rv32, BinOp::Ror64) => BinOp::Ror32,
            (Xlen::Rv32, BinOp::XorNot64) => BinOp::XorNot32,
            (Xlen::Rv32, BinOp::OrNot64) => BinOp::OrNot32,
            (Xlen::Rv32, BinOp::Mul64) => BinOp::Mul32,
            (Xlen::Rv32, BinOp::DivSA64) => BinOp::DivSA32,
            (Xlen::Rv32, BinOp::DivUA64) => BinOp::DivUA32,
            (Xlen::Rv32, op) => op,
        }
    }

    /// As [`Self::binary`] for one operand.
    pub(super) const fn unary(self, op: UnOp) -> UnOp {
        match (self, op) {
            (Xlen::Rv32, UnOp::Clz64) => UnOp::Clz32,
            (Xlen::Rv32, UnOp::Neg64) => UnOp::Neg32,
            (_, op) => op,
        }
    }

    /// How a load of this type extends to a register.
    pub(super) const fn load(self, ty: MemTy) -> MemTy {
        match (self, ty) {
            (Xlen::Rv32, MemTy::S8) => MemTy::S8to32,
            (Xlen::Rv32, MemTy::S16) => MemTy::S16to32,
            (Xlen::Rv32, MemTy::S32) => MemTy::U32,
            (_, ty) => ty,
        }
    }
}
