//! Floating point: F and D.
//!
//! A register has 64 bits, in the low half of a vector slot. Numbers of single precision are boxed: they have ones above
//! them, and what has not is the canonical NaN to an instruction that works in single precision. Single operands are
//! taken out of their boxes first, and results are put into one.

use super::{Lift, destination, extend_word, field, rd, rs1, rs2, source};
use crate::isa::riscv::table::{Row, Undefined, row, rv64};
use crate::isa::riscv::xlen::Xlen;
use crate::uop::{Cc, Lanes, Uop, V, X};
use crate::vector::{V1Op, V2Op, V3Op, VxOp, XvOp, rounding};

use Lanes::{D, S};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("fmadd", "ccccc 0p mmmmm nnnnn rrr ddddd 1000011", |w, l| fused(w, l, V3Op::FMulAdd)),
    row("fmsub", "ccccc 0p mmmmm nnnnn rrr ddddd 1000111", |w, l| fused(w, l, V3Op::FNMulSub)),
    row("fnmsub", "ccccc 0p mmmmm nnnnn rrr ddddd 1001011", |w, l| fused(w, l, V3Op::FMulSub)),
    row("fnmadd", "ccccc 0p mmmmm nnnnn rrr ddddd 1001111", |w, l| fused(w, l, V3Op::FNMulAdd)),
    row("fadd", "00000 0p mmmmm nnnnn rrr ddddd 1010011", |w, l| two(w, l, V2Op::FAdd)),
    row("fsub", "00001 0p mmmmm nnnnn rrr ddddd 1010011", |w, l| two(w, l, V2Op::FSub)),
    row("fmul", "00010 0p mmmmm nnnnn rrr ddddd 1010011", |w, l| two(w, l, V2Op::FMul)),
    row("fdiv", "00011 0p mmmmm nnnnn rrr ddddd 1010011", |w, l| two(w, l, V2Op::FDiv)),
    row("fsqrt", "01011 0p 00000 nnnnn rrr ddddd 1010011", fsqrt),
    row("fmin", "00101 0p mmmmm nnnnn 000 ddddd 1010011", |w, l| extreme(w, l, V2Op::FMinNum)),
    row("fmax", "00101 0p mmmmm nnnnn 001 ddddd 1010011", |w, l| extreme(w, l, V2Op::FMaxNum)),
    row("fsgnj", "00100 0p mmmmm nnnnn 000 ddddd 1010011", |w, l| sign(w, l, Sign::Of)),
    row("fsgnjn", "00100 0p mmmmm nnnnn 001 ddddd 1010011", |w, l| sign(w, l, Sign::Opposite)),
    row("fsgnjx", "00100 0p mmmmm nnnnn 010 ddddd 1010011", |w, l| sign(w, l, Sign::Product)),
    row("fle", "10100 0p mmmmm nnnnn 000 ddddd 1010011", |w, l| compare(w, l, Cc::Ls, true)),
    row("flt", "10100 0p mmmmm nnnnn 001 ddddd 1010011", |w, l| compare(w, l, Cc::Mi, true)),
    row("feq", "10100 0p mmmmm nnnnn 010 ddddd 1010011", |w, l| compare(w, l, Cc::Eq, false)),
    row("fclass", "11100 0p 00000 nnnnn 001 ddddd 1010011", fclass),
    // ---- conversion
    row("fcvt.s.d", "01000 00 00001 nnnnn rrr ddddd 1010011", |w, l| convert(w, l, D, S)),
    row("fcvt.d.s", "01000 01 00000 nnnnn rrr ddddd 1010011", |w, l| convert(w, l, S, D)),
    row("fcvt.w", "11000 0p 00000 nnnnn rrr ddddd 1010011", |w, l| to_integer(w, l, VxOp::FToS32)),
    row("fcvt.wu", "11000 0p 00001 nnnnn rrr ddddd 1010011", |w, l| to_integer(w, l, VxOp::FToU32)),
    rv64("fcvt.l", "11000 0p 00010 nnnnn rrr ddddd 1010011", |w, l| to_integer(w, l, VxOp::FToS64)),
    rv64("fcvt.lu", "11000 0p 00011 nnnnn rrr ddddd 1010011", |w, l| to_integer(w, l, VxOp::FToU64)),
    row("fcvt.from.w", "11010 0p 00000 nnnnn rrr ddddd 1010011", |w, l| from_integer(w, l, XvOp::S32ToF)),
    row("fcvt.from.wu", "11010 0p 00001 nnnnn rrr ddddd 1010011", |w, l| from_integer(w, l, XvOp::U32ToF)),
    rv64("fcvt.from.l", "11010 0p 00010 nnnnn rrr ddddd 1010011", |w, l| from_integer(w, l, XvOp::S64ToF)),
    rv64("fcvt.from.lu", "11010 0p 00011 nnnnn rrr ddddd 1010011", |w, l| from_integer(w, l, XvOp::U64ToF)),
    // ---- bits
    row("fmv.x.w", "11100 00 00000 nnnnn 000 ddddd 1010011", |w, l| bits_to_integer(w, l, VxOp::GetS, S)),
    rv64("fmv.x.d", "11100 01 00000 nnnnn 000 ddddd 1010011", |w, l| bits_to_integer(w, l, VxOp::Get, D)),
    row("fmv.w.x", "11110 00 00000 nnnnn 000 ddddd 1010011", bits_from_integer),
    rv64("fmv.d.x", "11110 01 00000 nnnnn 000 ddddd 1010011", bits_from_integer),
];

type Lifted = Result<(), Undefined>;

/// The precision that the format field names.
pub(super) const fn precision(w: u32) -> Lanes {
    if field(w, 25, 2) == 0 { S } else { D }
}

/// A register as an operand of precision `t`.
pub(super) fn operand(l: &mut Lift<'_>, t: Lanes, register: u32) -> V {
    let a = register as V;
    if t == D {
        return a;
    }
    let d = l.vtemp();
    l.push(Uop::V1 { op: V1Op::FUnbox, t: S, d, a, imm: 0 });
    d
}

/// Appends what computes a result of precision `t`, and puts that into the destination.
pub(super) fn result(w: u32, l: &mut Lift<'_>, t: Lanes, uop: impl FnOnce(V) -> Uop) -> Lifted {
    let d = rd(w) as V;
    if t == D {
        l.push(uop(d));
        return Ok(());
    }
    let number = l.vtemp();
    l.push(uop(number));
    l.push(Uop::V1 { op: V1Op::FBox, t: S, d, a: number, imm: 0 });
    Ok(())
}

/// The rounding that the instruction states; none if the control register says, which must have a valid one then.
pub(super) fn stated(w: u32, l: &mut Lift<'_>) -> Result<Option<u32>, Undefined> {
    Ok(Some(match field(w, 12, 3) {
        0 => rounding::EVEN,
        1 => rounding::ZERO,
        2 => rounding::DOWN,
        3 => rounding::UP,
        4 => rounding::AWAY,
        7 => {
            l.push(Uop::CheckRounding);
            return Ok(None);
        }
        _ => return Err(Undefined),
    }))
}

/// That rounding as the immediate of an operation.
fn rounded(w: u32, l: &mut Lift<'_>) -> Result<u32, Undefined> {
    Ok(stated(w, l)?.map_or(0, rounding::stated))
}

fn fused(w: u32, l: &mut Lift<'_>, op: V3Op) -> Lifted {
    let t = precision(w);
    let imm = rounded(w, l)?;
    let (a, b, c) = (operand(l, t, field(w, 27, 5)), operand(l, t, rs1(w)), operand(l, t, rs2(w)));
    result(w, l, t, |d| Uop::V3 { op, t, d, a, b, c, imm })
}

fn two(w: u32, l: &mut Lift<'_>, op: V2Op) -> Lifted {
    let t = precision(w);
    let imm = rounded(w, l)?;
    let (a, b) = (operand(l, t, rs1(w)), operand(l, t, rs2(w)));
    result(w, l, t, |d| Uop::V2 { op, t, d, a, b, imm })
}

fn fsqrt(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = precision(w);
    let imm = rounded(w, l)?;
    let a = operand(l, t, rs1(w));
    result(w, l, t, |d| Uop::V1 { op: V1Op::FSqrt, t, d, a, imm })
}

pub(super) fn extreme(w: u32, l: &mut Lift<'_>, op: V2Op) -> Lifted {
    let t = precision(w);
    let (a, b) = (operand(l, t, rs1(w)), operand(l, t, rs2(w)));
    result(w, l, t, |d| Uop::V2 { op, t, d, a, b, imm: 0 })
}

/// Whose sign a number gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Of,
    Opposite,
    Product,
}

/// Also `fmv`, `fneg` and `fabs`, where both operands are the same.
fn sign(w: u32, l: &mut Lift<'_>, sign: Sign) -> Lifted {
    let t = precision(w);
    let a = operand(l, t, rs1(w));
    if rs1(w) == rs2(w) {
        let op = match sign {
            Sign::Of => V1Op::Mov,
            Sign::Opposite => V1Op::FNeg,
            Sign::Product => V1Op::FAbs,
        };
        return result(w, l, t, |d| Uop::V1 { op, t, d, a, imm: 0 });
    }
    let mut b = operand(l, t, rs2(w));
    let mask = l.vtemp();
    l.push(Uop::VMovI { d: mask, both: false, imm: if t == S { 1 << 31 } else { 1 << 63 } });
    let signs = l.vtemp();
    match sign {
        Sign::Of => {}
        Sign::Opposite => {
            l.push(Uop::V1 { op: V1Op::FNeg, t, d: signs, a: b, imm: 0 });
            b = signs;
        }
        Sign::Product => {
            l.push(Uop::V2 { op: V2Op::And, t, d: signs, a: b, b: mask, imm: 0 });
            return result(w, l, t, |d| Uop::V2 { op: V2Op::Xor, t, d, a, b: signs, imm: 0 });
        }
    }
    result(w, l, t, |d| Uop::V3 { op: V3Op::Bsl, t, d, a: mask, b, c: a, imm: 0 })
}

pub(super) fn compare(w: u32, l: &mut Lift<'_>, cc: Cc, signal: bool) -> Lifted {
    let t = precision(w);
    let (a, b) = (operand(l, t, rs1(w)), operand(l, t, rs2(w)));
    l.push(Uop::FCmp { t, a, b, zero: false, signal });
    if rd(w) != 0 {
        l.push(Uop::Cond { d: source(rd(w)), cc });
    }
    Ok(())
}

fn fclass(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = precision(w);
    if rd(w) != 0 {
        let a = operand(l, t, rs1(w));
        l.push(Uop::Vx { op: VxOp::FClass, t, d: source(rd(w)), a, imm: 0 });
    }
    Ok(())
}

fn convert(w: u32, l: &mut Lift<'_>, from: Lanes, to: Lanes) -> Lifted {
    let imm = rounded(w, l)? | to.element() as u32;
    let a = operand(l, from, rs1(w));
    result(w, l, to, |d| Uop::V1 { op: V1Op::FConvert, t: from, d, a, imm })
}

fn to_integer(w: u32, l: &mut Lift<'_>, op: VxOp) -> Lifted {
    let t = precision(w);
    let imm = stated(w, l)?.unwrap_or(rounding::CURRENT);
    let a = operand(l, t, rs1(w));
    let d: X = destination(l, rd(w));
    l.push(Uop::Vx { op, t, d, a, imm });
    if matches!(op, VxOp::FToS32 | VxOp::FToU32) {
        extend_word(l, d);
    }
    Ok(())
}

fn from_integer(w: u32, l: &mut Lift<'_>, op: XvOp) -> Lifted {
    let t = precision(w);
    let imm = rounded(w, l)?;
    result(w, l, t, |d| Uop::Xv { op, t, d, a: source(rs1(w)), imm })
}

fn bits_to_integer(w: u32, l: &mut Lift<'_>, op: VxOp, t: Lanes) -> Lifted {
    if rd(w) != 0 {
        let d = source(rd(w));
        l.push(Uop::Vx { op, t, d, a: rs1(w) as V, imm: 0 });
        if l.xlen == Xlen::Rv32 {
            extend_word(l, d);
        }
    }
    Ok(())
}

fn bits_from_integer(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = precision(w);
    result(w, l, t, |d| Uop::Xv { op: XvOp::Mov, t, d, a: source(rs1(w)), imm: 0 })
}
