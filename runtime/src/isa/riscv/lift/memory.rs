//! Loads and stores of integer and floating-point registers. Misaligned ones work; a number of single precision is boxed.

use super::{Lift, destination, field, imm_i, rd, rs1, rs2, signed, source};
use crate::isa::riscv::table::{Row, Undefined, row, rv64};
use crate::isa::riscv::xlen::Xlen;
use crate::uop::{BinOp, Lanes, MemTy, Uop, V, X};
use crate::vector::V1Op;

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("lb", "iiiiiiiiiiii nnnnn 000 ddddd 0000011", |w, l| load(w, l, MemTy::S8)),
    row("lh", "iiiiiiiiiiii nnnnn 001 ddddd 0000011", |w, l| load(w, l, MemTy::S16)),
    row("lw", "iiiiiiiiiiii nnnnn 010 ddddd 0000011", |w, l| load(w, l, MemTy::S32)),
    rv64("ld", "iiiiiiiiiiii nnnnn 011 ddddd 0000011", |w, l| load(w, l, MemTy::U64)),
    row("lbu", "iiiiiiiiiiii nnnnn 100 ddddd 0000011", |w, l| load(w, l, MemTy::U8)),
    row("lhu", "iiiiiiiiiiii nnnnn 101 ddddd 0000011", |w, l| load(w, l, MemTy::U16)),
    rv64("lwu", "iiiiiiiiiiii nnnnn 110 ddddd 0000011", |w, l| load(w, l, MemTy::U32)),
    row("sb", "iiiiiii mmmmm nnnnn 000 iiiii 0100011", |w, l| store(w, l, MemTy::U8)),
    row("sh", "iiiiiii mmmmm nnnnn 001 iiiii 0100011", |w, l| store(w, l, MemTy::U16)),
    row("sw", "iiiiiii mmmmm nnnnn 010 iiiii 0100011", |w, l| store(w, l, MemTy::U32)),
    rv64("sd", "iiiiiii mmmmm nnnnn 011 iiiii 0100011", |w, l| store(w, l, MemTy::U64)),
    row("flw", "iiiiiiiiiiii nnnnn 010 ddddd 0000111", flw),
    row("fld", "iiiiiiiiiiii nnnnn 011 ddddd 0000111", fld),
    row("fsw", "iiiiiii mmmmm nnnnn 010 iiiii 0100111", |w, l| store_float(w, l, 4)),
    row("fsd", "iiiiiii mmmmm nnnnn 011 iiiii 0100111", |w, l| store_float(w, l, 8)),
];

type Lifted = Result<(), Undefined>;

/// The offset of a store.
const fn imm_s(w: u32) -> i64 {
    signed(w, 25, 7) << 5 | field(w, 7, 5) as i64
}

/// The base and the offset of an access. Where addresses wrap at 32 bits, the sum is computed before it.
fn address(w: u32, l: &mut Lift<'_>, imm: i64) -> (X, i64) {
    let base = source(rs1(w));
    match (l.xlen, rs1(w), imm) {
        (Xlen::Rv64, ..) | (Xlen::Rv32, _, 0) => (base, imm),
        (Xlen::Rv32, 0, imm) => (l.constant(Xlen::Rv32.value(imm as u64)), 0),
        (Xlen::Rv32, ..) => {
            let sum = l.temp();
            l.push(Uop::BinI { op: BinOp::Add32, d: sum, a: base, imm: imm as u64 });
            (sum, 0)
        }
    }
}

fn load(w: u32, l: &mut Lift<'_>, ty: MemTy) -> Lifted {
    let d = destination(l, rd(w));
    let ((a, imm), ty) = (address(w, l, imm_i(w)), l.xlen.load(ty));
    l.push(Uop::Load { ty, d, a, imm });
    Ok(())
}

fn store(w: u32, l: &mut Lift<'_>, ty: MemTy) -> Lifted {
    let (a, imm) = address(w, l, imm_s(w));
    l.push(Uop::Store { ty, s: source(rs2(w)), a, imm });
    Ok(())
}

fn flw(w: u32, l: &mut Lift<'_>) -> Lifted {
    let number = l.vtemp();
    let (a, imm) = address(w, l, imm_i(w));
    l.push(Uop::LoadV { d: number, bytes: 4, a, imm });
    l.push(Uop::V1 { op: V1Op::FBox, t: Lanes::S, d: rd(w) as V, a: number, imm: 0 });
    Ok(())
}

fn fld(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (a, imm) = address(w, l, imm_i(w));
    l.push(Uop::LoadV { d: rd(w) as V, bytes: 8, a, imm });
    Ok(())
}

fn store_float(w: u32, l: &mut Lift<'_>, bytes: u8) -> Lifted {
    let (a, imm) = address(w, l, imm_s(w));
    l.push(Uop::StoreV { s: rs2(w) as V, bytes, a, imm });
    Ok(())
}
