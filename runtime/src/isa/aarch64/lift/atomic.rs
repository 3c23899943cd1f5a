//! Exclusive, acquire and release accesses, compare-and-swap, and the atomic memory operations.
//!
//! Atomic micro-ops are sequentially consistent, so acquire and release forms do not differ from plain ones. A plain
//! release store is followed by a full fence; plain acquire loads are ordered as every load is. Atomic micro-ops check
//! the alignment of their address; plain ordered accesses have a micro-op for it.

use super::memory::{load_pair, unsigned_type};
use super::{bit, dest_or_drop, field, ra, rd, reg_or_sp, reg_or_zero, rm, rn};
use crate::block::Lift;
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{AmoOp, Fence, MemTy, UnOp, Uop, X};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    // Compare and swap pair
    row("casp", "0z 001000 0 A 1 sssss R 11111 nnnnn ttttt", casp),
    // Load/store exclusive pair
    row("stxp", "1z 001000 0 0 1 sssss 0 ttttt nnnnn ttttt", stxp),
    row("stlxp", "1z 001000 0 0 1 sssss 1 ttttt nnnnn ttttt", stxp),
    row("ldxp", "1z 001000 0 1 1 sssss 0 ttttt nnnnn ttttt", ldxp),
    row("ldaxp", "1z 001000 0 1 1 sssss 1 ttttt nnnnn ttttt", ldxp),
    // Load/store exclusive register
    row("stxr", "ss 001000 0 0 0 sssss 0 ttttt nnnnn ttttt", stxr),
    row("stlxr", "ss 001000 0 0 0 sssss 1 ttttt nnnnn ttttt", stxr),
    row("ldxr", "ss 001000 0 1 0 sssss 0 ttttt nnnnn ttttt", ldxr),
    row("ldaxr", "ss 001000 0 1 0 sssss 1 ttttt nnnnn ttttt", ldxr),
    // Load/store ordered
    row("stllr", "ss 001000 1 0 0 sssss 0 ttttt nnnnn ttttt", stlr),
    row("stlr", "ss 001000 1 0 0 sssss 1 ttttt nnnnn ttttt", stlr),
    row("ldlar", "ss 001000 1 1 0 sssss 0 ttttt nnnnn ttttt", ldar),
    row("ldar", "ss 001000 1 1 0 sssss 1 ttttt nnnnn ttttt", ldar),
    // Compare and swap
    row("cas", "ss 001000 1 A 1 sssss R 11111 nnnnn ttttt", cas),
    // Atomic memory operations
    row("ldadd", "ss 111 0 00 AR 1 sssss 0 000 00 nnnnn ttttt", amo),
    row("ldclr", "ss 111 0 00 AR 1 sssss 0 001 00 nnnnn ttttt", amo),
    row("ldeor", "ss 111 0 00 AR 1 sssss 0 010 00 nnnnn ttttt", amo),
    row("ldset", "ss 111 0 00 AR 1 sssss 0 011 00 nnnnn ttttt", amo),
    row("ldsmax", "ss 111 0 00 AR 1 sssss 0 100 00 nnnnn ttttt", amo),
    row("ldsmin", "ss 111 0 00 AR 1 sssss 0 101 00 nnnnn ttttt", amo),
    row("ldumax", "ss 111 0 00 AR 1 sssss 0 110 00 nnnnn ttttt", amo),
    row("ldumin", "ss 111 0 00 AR 1 sssss 0 111 00 nnnnn ttttt", amo),
    row("swp", "ss 111 0 00 AR 1 sssss 1 000 00 nnnnn ttttt", swp),
    row("ldapr", "ss 111 0 00 10 1 11111 1 100 00 nnnnn ttttt", ldapr),
];

type Lifted = Result<(), Undefined>;

/// The access whose size is in bits 31 and 30.
fn access_type(insn: u32) -> MemTy {
    unsigned_type(field(insn, 30, 2))
}

/// The access of each half of a pair: bit 30 is the width.
fn pair_type(insn: u32) -> MemTy {
    if bit(insn, 30) { MemTy::U64 } else { MemTy::U32 }
}

fn stxr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let d = dest_or_drop(lift, rm(insn));
    lift.push(Uop::StoreEx { ty: access_type(insn), d, s: reg_or_zero(rd(insn)), a: reg_or_sp(rn(insn)) });
    Ok(())
}

fn ldxr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let d = dest_or_drop(lift, rd(insn));
    lift.push(Uop::LoadEx { ty: access_type(insn), d, a: reg_or_sp(rn(insn)) });
    Ok(())
}

fn stxp(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let d = dest_or_drop(lift, rm(insn));
    let (s, t) = (reg_or_zero(rd(insn)), reg_or_zero(ra(insn)));
    lift.push(Uop::StoreExPair { ty: pair_type(insn), d, s, t, a: reg_or_sp(rn(insn)) });
    Ok(())
}

fn ldxp(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let (ty, a) = (pair_type(insn), reg_or_sp(rn(insn)));
    load_pair(lift, rd(insn), ra(insn), None, |d, e| Uop::LoadExPair { ty, d, e, a }, a);
    Ok(())
}

/// Appends the alignment check of an ordered access.
pub(super) fn align(lift: &mut Lift<'_>, ty: MemTy, a: X, imm: i64) {
    if ty.bytes() > 1 {
        lift.push(Uop::Align { a, bytes: ty.bytes() as u8, imm });
    }
}

fn stlr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    align(lift, access_type(insn), reg_or_sp(rn(insn)), 0);
    lift.push(Uop::Store { ty: access_type(insn), s: reg_or_zero(rd(insn)), a: reg_or_sp(rn(insn)), imm: 0 });
    lift.push(Uop::Fence { order: Fence::Full });
    Ok(())
}

fn ldar(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    align(lift, access_type(insn), reg_or_sp(rn(insn)), 0);
    ldapr(insn, lift)
}

/// Not checked for alignment, as QEMU 7.2 does it.
fn ldapr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let d = dest_or_drop(lift, rd(insn));
    lift.push(Uop::Load { ty: access_type(insn), d, a: reg_or_sp(rn(insn)), imm: 0 });
    Ok(())
}

fn cas(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let d = dest_or_drop(lift, rm(insn));
    let (c, s) = (reg_or_zero(rm(insn)), reg_or_zero(rd(insn)));
    lift.push(Uop::Cas { ty: access_type(insn), d, c, s, a: reg_or_sp(rn(insn)) });
    Ok(())
}

fn casp(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let (compare, new) = (rm(insn), rd(insn));
    if compare % 2 != 0 || new % 2 != 0 {
        return Err(Undefined);
    }
    let c = even_pair(lift, compare);
    let s = even_pair(lift, new);
    // The pair of x30 and the zero register is not one of slots: slot 31 is the stack pointer.
    let d = if compare == 30 { lift.temp_pair() } else { compare as X };
    lift.push(Uop::CasPair { ty: pair_type(insn), d, c, s, a: reg_or_sp(rn(insn)) });
    if compare == 30 {
        lift.push(Uop::Un { op: UnOp::Mov, d: 30, a: d });
    }
    Ok(())
}

/// Returns the first of two neighbouring slots that hold registers `n` and `n + 1`.
fn even_pair(lift: &mut Lift<'_>, n: u32) -> X {
    if n != 30 {
        return n as X;
    }
    let pair = lift.temp_pair();
    lift.push(Uop::Un { op: UnOp::Mov, d: pair, a: 30 });
    lift.push(Uop::MovI { d: pair + 1, imm: 0 });
    pair
}

fn amo(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let op = [AmoOp::Add, AmoOp::Clear, AmoOp::Xor, AmoOp::Or, AmoOp::MaxS, AmoOp::MinS, AmoOp::MaxU, AmoOp::MinU]
        [field(insn, 12, 3) as usize];
    read_modify_write(insn, lift, op)
}

fn swp(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    read_modify_write(insn, lift, AmoOp::Swap)
}

fn read_modify_write(insn: u32, lift: &mut Lift<'_>, op: AmoOp) -> Lifted {
    let (d, s, a) = (reg_or_zero(rd(insn)), reg_or_zero(rm(insn)), reg_or_sp(rn(insn)));
    lift.push(Uop::Amo { op, ty: access_type(insn), d, s, a });
    Ok(())
}
