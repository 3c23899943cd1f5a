//! Loads and stores of general and vector registers, single and in pairs. Structures of vectors are in `simd`.
//!
//! Write-back follows the access, so that a faulting access leaves the base as it was. Where an access loads its own
//! base and writes it back, which the manual leaves open, the written-back address wins, as in QEMU.

use super::atomic::align;
use super::integer::extension;
use super::{bit, dest_or_drop, field, ra, rd, reg_or_sp, reg_or_zero, rm, rn, signed};
use crate::block::Lift;
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{BinOp, Fence, MemTy, Shift, UnOp, Uop, X, slot};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    // LDAPR/STLR (unscaled immediate)
    row("stlur", "ss 011001 00 0 iiiiiiiii 00 nnnnn ttttt", stlur),
    row("ldapur", "ss 011001 01 0 iiiiiiiii 00 nnnnn ttttt", ldapur),
    row("ldapurs", "ss 011001 1w 0 iiiiiiiii 00 nnnnn ttttt", ldapurs),
    // Load register (literal)
    row("ldr_lit", "0z 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", ldr_lit),
    row("ldrsw_lit", "10 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", ldr_lit),
    row("prfm_lit", "11 011 0 00 iiiiiiiiiiiiiiiiiii ttttt", prefetch),
    row("ldr_vec_lit", "zz 011 1 00 iiiiiiiiiiiiiiiiiii ttttt", ldr_vec_lit),
    // Load/store no-allocate pair
    row("stnp", "z0 101 0 000 0 iiiiiii ttttt nnnnn ttttt", pair_offset),
    row("ldnp", "z0 101 0 000 1 iiiiiii ttttt nnnnn ttttt", pair_offset),
    row("stnp_vec", "zz 101 1 000 0 iiiiiii ttttt nnnnn ttttt", pair_vec_offset),
    row("ldnp_vec", "zz 101 1 000 1 iiiiiii ttttt nnnnn ttttt", pair_vec_offset),
    // Load/store register pair (post-indexed)
    row("stp_post", "z0 101 0 001 0 iiiiiii ttttt nnnnn ttttt", pair_post),
    row("ldp_post", "z0 101 0 001 1 iiiiiii ttttt nnnnn ttttt", pair_post),
    row("ldpsw_post", "01 101 0 001 1 iiiiiii ttttt nnnnn ttttt", pair_post),
    row("stp_vec_post", "zz 101 1 001 0 iiiiiii ttttt nnnnn ttttt", pair_vec_post),
    row("ldp_vec_post", "zz 101 1 001 1 iiiiiii ttttt nnnnn ttttt", pair_vec_post),
    // Load/store register pair (offset)
    row("stp_off", "z0 101 0 010 0 iiiiiii ttttt nnnnn ttttt", pair_offset),
    row("ldp_off", "z0 101 0 010 1 iiiiiii ttttt nnnnn ttttt", pair_offset),
    row("ldpsw_off", "01 101 0 010 1 iiiiiii ttttt nnnnn ttttt", pair_offset),
    row("stp_vec_off", "zz 101 1 010 0 iiiiiii ttttt nnnnn ttttt", pair_vec_offset),
    row("ldp_vec_off", "zz 101 1 010 1 iiiiiii ttttt nnnnn ttttt", pair_vec_offset),
    // Load/store register pair (pre-indexed)
    row("stp_pre", "z0 101 0 011 0 iiiiiii ttttt nnnnn ttttt", pair_pre),
    row("ldp_pre", "z0 101 0 011 1 iiiiiii ttttt nnnnn ttttt", pair_pre),
    row("ldpsw_pre", "01 101 0 011 1 iiiiiii ttttt nnnnn ttttt", pair_pre),
    row("stp_vec_pre", "zz 101 1 011 0 iiiiiii ttttt nnnnn ttttt", pair_vec_pre),
    row("ldp_vec_pre", "zz 101 1 011 1 iiiiiii ttttt nnnnn ttttt", pair_vec_pre),
    // Load/store register (unscaled immediate)
    row("stur", "ss 111 0 00 00 0 iiiiiiiii 00 nnnnn ttttt", unscaled),
    row("ldur", "ss 111 0 00 01 0 iiiiiiiii 00 nnnnn ttttt", unscaled),
    row("ldurs", "0s 111 0 00 1w 0 iiiiiiiii 00 nnnnn ttttt", unscaled),
    row("ldursw", "10 111 0 00 10 0 iiiiiiiii 00 nnnnn ttttt", unscaled),
    row("prfum", "11 111 0 00 10 0 iiiiiiiii 00 nnnnn ttttt", prefetch),
    row("stur_vec", "ss 111 1 00 q0 0 iiiiiiiii 00 nnnnn ttttt", unscaled_vec),
    row("ldur_vec", "ss 111 1 00 q1 0 iiiiiiiii 00 nnnnn ttttt", unscaled_vec),
    // Load/store register (immediate post-indexed)
    row("str_post", "ss 111 0 00 00 0 iiiiiiiii 01 nnnnn ttttt", post),
    row("ldr_post", "ss 111 0 00 01 0 iiiiiiiii 01 nnnnn ttttt", post),
    row("ldrs_post", "0s 111 0 00 1w 0 iiiiiiiii 01 nnnnn ttttt", post),
    row("ldrsw_post", "10 111 0 00 10 0 iiiiiiiii 01 nnnnn ttttt", post),
    row("str_vec_post", "ss 111 1 00 q0 0 iiiiiiiii 01 nnnnn ttttt", post_vec),
    row("ldr_vec_post", "ss 111 1 00 q1 0 iiiiiiiii 01 nnnnn ttttt", post_vec),
    // Load/store register (unprivileged); at EL0 the same as unscaled
    row("sttr", "ss 111 0 00 00 0 iiiiiiiii 10 nnnnn ttttt", unscaled),
    row("ldtr", "ss 111 0 00 01 0 iiiiiiiii 10 nnnnn ttttt", unscaled),
    row("ldtrs", "0s 111 0 00 1w 0 iiiiiiiii 10 nnnnn ttttt", unscaled),
    row("ldtrsw", "10 111 0 00 10 0 iiiiiiiii 10 nnnnn ttttt", unscaled),
    // Load/store register (immediate pre-indexed)
    row("str_pre", "ss 111 0 00 00 0 iiiiiiiii 11 nnnnn ttttt", pre),
    row("ldr_pre", "ss 111 0 00 01 0 iiiiiiiii 11 nnnnn ttttt", pre),
    row("ldrs_pre", "0s 111 0 00 1w 0 iiiiiiiii 11 nnnnn ttttt", pre),
    row("ldrsw_pre", "10 111 0 00 10 0 iiiiiiiii 11 nnnnn ttttt", pre),
    row("str_vec_pre", "ss 111 1 00 q0 0 iiiiiiiii 11 nnnnn ttttt", pre_vec),
    row("ldr_vec_pre", "ss 111 1 00 q1 0 iiiiiiiii 11 nnnnn ttttt", pre_vec),
    // Load/store register (register offset); bit 14 clear is not allocated
    row("str_reg", "ss 111 0 00 00 1 mmmmm e1e S 10 nnnnn ttttt", register),
    row("ldr_reg", "ss 111 0 00 01 1 mmmmm e1e S 10 nnnnn ttttt", register),
    row("ldrs_reg", "0s 111 0 00 1w 1 mmmmm e1e S 10 nnnnn ttttt", register),
    row("ldrsw_reg", "10 111 0 00 10 1 mmmmm e1e S 10 nnnnn ttttt", register),
    row("prfm_reg", "11 111 0 00 10 1 mmmmm e1e S 10 nnnnn ttttt", prefetch),
    row("str_vec_reg", "ss 111 1 00 q0 1 mmmmm e1e S 10 nnnnn ttttt", register_vec),
    row("ldr_vec_reg", "ss 111 1 00 q1 1 mmmmm e1e S 10 nnnnn ttttt", register_vec),
    // Load/store register (unsigned immediate)
    row("str_imm", "ss 111 0 01 00 iiiiiiiiiiii nnnnn ttttt", unsigned),
    row("ldr_imm", "ss 111 0 01 01 iiiiiiiiiiii nnnnn ttttt", unsigned),
    row("ldrs_imm", "0s 111 0 01 1w iiiiiiiiiiii nnnnn ttttt", unsigned),
    row("ldrsw_imm", "10 111 0 01 10 iiiiiiiiiiii nnnnn ttttt", unsigned),
    row("prfm_imm", "11 111 0 01 10 iiiiiiiiiiii nnnnn ttttt", prefetch),
    row("str_vec_imm", "ss 111 1 01 q0 iiiiiiiiiiii nnnnn ttttt", unsigned_vec),
    row("ldr_vec_imm", "ss 111 1 01 q1 iiiiiiiiiiii nnnnn ttttt", unsigned_vec),
];

type Lifted = Result<(), Undefined>;

/// What an access does to its base register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    /// Nothing: the address is base + offset.
    Offset,
    /// The address is base + offset, which becomes the base.
    Pre,
    /// The address is the base, which becomes base + offset.
    Post,
}

impl Index {
    /// The part of `offset` that the access itself adds.
    fn access(self, offset: i64) -> i64 {
        if self == Index::Post { 0 } else { offset }
    }
}

/// Appends the write-back, if any.
fn write_back(lift: &mut Lift<'_>, index: Index, base: X, offset: i64) {
    if index != Index::Offset && offset != 0 {
        lift.push(Uop::BinI { op: BinOp::Add64, d: base, a: base, imm: offset as u64 });
    }
}

// ---- General registers

/// The unsigned access of 1 << `size` bytes.
pub(super) fn unsigned_type(size: u32) -> MemTy {
    [MemTy::U8, MemTy::U16, MemTy::U32, MemTy::U64][size as usize]
}

/// The access that bits 31, 30 (size) and 23, 22 (store, load, signed to 64 bits, signed to 32 bits) name.
fn access_type(insn: u32) -> Result<MemTy, Undefined> {
    match (field(insn, 22, 2), field(insn, 30, 2)) {
        (0 | 1, size) => Ok(unsigned_type(size)),
        (2, 0) => Ok(MemTy::S8),
        (2, 1) => Ok(MemTy::S16),
        (2, 2) => Ok(MemTy::S32),
        (3, 0) => Ok(MemTy::S8to32),
        (3, 1) => Ok(MemTy::S16to32),
        _ => Err(Undefined),
    }
}

/// Appends the access of one register at slot `base` + `offset`.
fn access(insn: u32, lift: &mut Lift<'_>, base: X, offset: i64, index: Index) -> Lifted {
    let ty = access_type(insn)?;
    let imm = index.access(offset);
    if field(insn, 22, 2) == 0 {
        lift.push(Uop::Store { ty, s: reg_or_zero(rd(insn)), a: base, imm });
    } else {
        // With write-back to the register that is loaded, what was loaded is lost.
        let lost = index != Index::Offset && rd(insn) == rn(insn);
        let d = if lost { lift.temp() } else { dest_or_drop(lift, rd(insn)) };
        lift.push(Uop::Load { ty, d, a: base, imm });
    }
    write_back(lift, index, base, offset);
    Ok(())
}

fn unscaled(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    access(insn, lift, reg_or_sp(rn(insn)), signed(insn, 12, 9), Index::Offset)
}

fn pre(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    access(insn, lift, reg_or_sp(rn(insn)), signed(insn, 12, 9), Index::Pre)
}

fn post(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    access(insn, lift, reg_or_sp(rn(insn)), signed(insn, 12, 9), Index::Post)
}

fn unsigned(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let offset = i64::from(field(insn, 10, 12)) << field(insn, 30, 2);
    access(insn, lift, reg_or_sp(rn(insn)), offset, Index::Offset)
}

fn register(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    access_type(insn)?;
    let base = register_address(insn, lift, field(insn, 30, 2));
    access(insn, lift, base, 0, Index::Offset)
}

/// Returns a slot that holds base + extended index, shifted by `scale` if the encoding says so.
fn register_address(insn: u32, lift: &mut Lift<'_>, scale: u32) -> X {
    let base = reg_or_sp(rn(insn));
    let index = reg_or_zero(rm(insn));
    if index == slot::ZERO {
        return base;
    }
    let n = if bit(insn, 12) { scale as u8 } else { 0 };
    let shift = extension(field(insn, 13, 3), true);
    let d = lift.temp();
    lift.push(if n == 0 && shift == Shift::Lsl {
        Uop::Bin { op: BinOp::Add64, d, a: base, b: index }
    } else {
        Uop::BinSh { op: BinOp::Add64, d, a: base, b: index, shift, n }
    });
    d
}

/// Unlike `ldapr`, it and its kin are checked for alignment under QEMU 7.2.
fn ldapur(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    align(lift, unsigned_type(field(insn, 30, 2)), reg_or_sp(rn(insn)), signed(insn, 12, 9));
    unscaled(insn, lift)
}

fn stlur(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    ldapur(insn, lift)?;
    lift.push(Uop::Fence { order: Fence::Full });
    Ok(())
}

/// Has bit 22 set for 32 bits, as the plain signed loads do.
fn ldapurs(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    ldapur(insn, lift)
}

/// The address of a literal, as the offset from the zero slot.
fn literal(insn: u32, lift: &Lift<'_>) -> i64 {
    lift.pc.wrapping_add_signed(signed(insn, 5, 19) << 2) as i64
}

fn ldr_lit(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let ty = [MemTy::U32, MemTy::U64, MemTy::S32][field(insn, 30, 2) as usize];
    let d = dest_or_drop(lift, rd(insn));
    lift.push(Uop::Load { ty, d, a: slot::ZERO, imm: literal(insn, lift) });
    Ok(())
}

fn prefetch(_insn: u32, _lift: &mut Lift<'_>) -> Lifted {
    Ok(())
}

// ---- Vector registers

/// log2 of the bytes that bits 31, 30 and 23 name.
fn vec_scale(insn: u32) -> Result<u32, Undefined> {
    match (bit(insn, 23), field(insn, 30, 2)) {
        (false, size) => Ok(size),
        (true, 0) => Ok(4),
        (true, _) => Err(Undefined),
    }
}

fn access_vec(insn: u32, lift: &mut Lift<'_>, base: X, offset: i64, index: Index) -> Lifted {
    let bytes = 1 << vec_scale(insn)?;
    let (v, imm) = (rd(insn) as u8, index.access(offset));
    lift.push(if bit(insn, 22) {
        Uop::LoadV { d: v, bytes, a: base, imm }
    } else {
        Uop::StoreV { s: v, bytes, a: base, imm }
    });
    write_back(lift, index, base, offset);
    Ok(())
}

fn unscaled_vec(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    access_vec(insn, lift, reg_or_sp(rn(insn)), signed(insn, 12, 9), Index::Offset)
}

fn pre_vec(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    access_vec(insn, lift, reg_or_sp(rn(insn)), signed(insn, 12, 9), Index::Pre)
}

fn post_vec(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    access_vec(insn, lift, reg_or_sp(rn(insn)), signed(insn, 12, 9), Index::Post)
}

fn unsigned_vec(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let offset = i64::from(field(insn, 10, 12)) << vec_scale(insn)?;
    access_vec(insn, lift, reg_or_sp(rn(insn)), offset, Index::Offset)
}

fn register_vec(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let scale = vec_scale(insn)?;
    let base = register_address(insn, lift, scale);
    access_vec(insn, lift, base, 0, Index::Offset)
}

fn ldr_vec_lit(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let size = field(insn, 30, 2);
    if size == 3 {
        return Err(Undefined);
    }
    lift.push(Uop::LoadV { d: rd(insn) as u8, bytes: 4 << size, a: slot::ZERO, imm: literal(insn, lift) });
    Ok(())
}

// ---- Pairs

fn pair_offset(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pair(insn, lift, Index::Offset)
}

fn pair_pre(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pair(insn, lift, Index::Pre)
}

fn pair_post(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pair(insn, lift, Index::Post)
}

fn pair(insn: u32, lift: &mut Lift<'_>, index: Index) -> Lifted {
    let (ty, scale) = match field(insn, 30, 2) {
        0 => (MemTy::U32, 2),
        1 => (MemTy::S32, 2),
        2 => (MemTy::U64, 3),
        _ => return Err(Undefined),
    };
    let base = reg_or_sp(rn(insn));
    let offset = signed(insn, 15, 7) << scale;
    let imm = index.access(offset);
    if bit(insn, 22) {
        let written = if index == Index::Offset { None } else { Some(rn(insn)) };
        load_pair(lift, rd(insn), ra(insn), written, |d, e| Uop::LoadPair { ty, d, e, a: base, imm }, base);
    } else {
        let (s, t) = (reg_or_zero(rd(insn)), reg_or_zero(ra(insn)));
        lift.push(Uop::StorePair { ty, s, t, a: base, imm });
    }
    write_back(lift, index, base, offset);
    Ok(())
}

/// Appends the load of registers `first` and `second` that `load` makes.
///
/// The first one goes through a temporary if it is also the base, for the sake of readers that write one destination
/// after the other. If both are the same the second wins; a register that is `written` back later is not loaded.
pub(super) fn load_pair(
    lift: &mut Lift<'_>,
    first: u32,
    second: u32,
    written: Option<u32>,
    load: impl FnOnce(X, X) -> Uop,
    base: X,
) {
    let is_lost = |n: u32| n == 31 || Some(n) == written;
    let through_temp = !is_lost(first) && first as X == base;
    let d = if is_lost(first) || first == second || through_temp { lift.temp() } else { first as X };
    let e = if is_lost(second) { lift.temp() } else { second as X };
    lift.push(load(d, e));
    if through_temp && first != second {
        lift.push(Uop::Un { op: UnOp::Mov, d: first as X, a: d });
    }
}

fn pair_vec_offset(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pair_vec(insn, lift, Index::Offset)
}

fn pair_vec_pre(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pair_vec(insn, lift, Index::Pre)
}

fn pair_vec_post(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pair_vec(insn, lift, Index::Post)
}

fn pair_vec(insn: u32, lift: &mut Lift<'_>, index: Index) -> Lifted {
    let size = field(insn, 30, 2);
    if size == 3 {
        return Err(Undefined);
    }
    let bytes = 4u8 << size;
    let base = reg_or_sp(rn(insn));
    let offset = signed(insn, 15, 7) << (2 + size);
    let (first, second, imm) = (rd(insn) as u8, ra(insn) as u8, index.access(offset));
    if bit(insn, 22) {
        let d = if first == second { lift.vtemp() } else { first };
        lift.push(Uop::LoadPairV { d, e: second, bytes, a: base, imm });
    } else {
        lift.push(Uop::StorePairV { s: first, t: second, bytes, a: base, imm });
    }
    write_back(lift, index, base, offset);
    Ok(())
}
