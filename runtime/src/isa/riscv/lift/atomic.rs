//! Load-reserved, store-conditional and the atomic memory operations (A).
//!
//! Atomic micro-ops are sequentially consistent, so the forms that order (`.aq`, `.rl`) do not differ from plain ones;
//! and they check the alignment of their address.

use super::{Lift, destination, extend_word, rd, rs1, rs2, source};
use crate::isa::riscv::table::{Row, Undefined, row, rv64};
use crate::uop::{AmoOp, MemTy, Uop};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("lr.w", "00010 or 00000 nnnnn 010 ddddd 0101111", |w, l| load_reserved(w, l, MemTy::U32)),
    rv64("lr.d", "00010 or 00000 nnnnn 011 ddddd 0101111", |w, l| load_reserved(w, l, MemTy::U64)),
    row("sc.w", "00011 or mmmmm nnnnn 010 ddddd 0101111", |w, l| store_conditional(w, l, MemTy::U32)),
    rv64("sc.d", "00011 or mmmmm nnnnn 011 ddddd 0101111", |w, l| store_conditional(w, l, MemTy::U64)),
    row("amoswap.w", "00001 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::Swap, MemTy::U32)),
    row("amoadd.w", "00000 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::Add, MemTy::U32)),
    row("amoxor.w", "00100 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::Xor, MemTy::U32)),
    row("amoand.w", "01100 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::And, MemTy::U32)),
    row("amoor.w", "01000 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::Or, MemTy::U32)),
    row("amomin.w", "10000 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::MinS, MemTy::U32)),
    row("amomax.w", "10100 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::MaxS, MemTy::U32)),
    row("amominu.w", "11000 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::MinU, MemTy::U32)),
    row("amomaxu.w", "11100 or mmmmm nnnnn 010 ddddd 0101111", |w, l| amo(w, l, AmoOp::MaxU, MemTy::U32)),
    rv64("amoswap.d", "00001 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::Swap, MemTy::U64)),
    rv64("amoadd.d", "00000 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::Add, MemTy::U64)),
    rv64("amoxor.d", "00100 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::Xor, MemTy::U64)),
    rv64("amoand.d", "01100 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::And, MemTy::U64)),
    rv64("amoor.d", "01000 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::Or, MemTy::U64)),
    rv64("amomin.d", "10000 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::MinS, MemTy::U64)),
    rv64("amomax.d", "10100 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::MaxS, MemTy::U64)),
    rv64("amominu.d", "11000 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::MinU, MemTy::U64)),
    rv64("amomaxu.d", "11100 or mmmmm nnnnn 011 ddddd 0101111", |w, l| amo(w, l, AmoOp::MaxU, MemTy::U64)),
];

type Lifted = Result<(), Undefined>;

fn load_reserved(w: u32, l: &mut Lift<'_>, ty: MemTy) -> Lifted {
    let d = destination(l, rd(w));
    l.push(Uop::LoadEx { ty, d, a: source(rs1(w)) });
    if ty == MemTy::U32 {
        extend_word(l, d);
    }
    Ok(())
}

fn store_conditional(w: u32, l: &mut Lift<'_>, ty: MemTy) -> Lifted {
    let d = destination(l, rd(w));
    l.push(Uop::StoreEx { ty, d, s: source(rs2(w)), a: source(rs1(w)) });
    Ok(())
}

fn amo(w: u32, l: &mut Lift<'_>, op: AmoOp, ty: MemTy) -> Lifted {
    let d = source(rd(w));
    l.push(Uop::Amo { op, ty, d, s: source(rs2(w)), a: source(rs1(w)) });
    if ty == MemTy::U32 && rd(w) != 0 {
        extend_word(l, d);
    }
    Ok(())
}
