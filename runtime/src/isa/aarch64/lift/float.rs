//! Scalar floating point: arithmetic, comparison, selection, conversion, moves.
//!
//! Half precision takes part as in Armv8.2 (FEAT_FP16). The scalar forms of Advanced SIMD instructions are in
//! [`super::simd`].

use super::{bit, field, reg_or_zero};
use crate::block::Lift;
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{Cc, Lanes, SelOp, Uop, V, X, slot};
use crate::vector::{V1Op, V2Op, V3Op, VxOp, XvOp, rounding};

type Lifted = Result<(), Undefined>;

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    // ---- one operand
    row("fmov_reg", "00011110 pp1 000000 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::Mov, 0)),
    row("fabs", "00011110 pp1 000001 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FAbs, 0)),
    row("fneg", "00011110 pp1 000010 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FNeg, 0)),
    row("fsqrt", "00011110 pp1 000011 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FSqrt, 0)),
    row("fcvt", "00011110 pp1 0001qq 10000 nnnnn ddddd", fcvt),
    row("frintn", "00011110 pp1 001000 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FRound, rounding::EVEN)),
    row("frintp", "00011110 pp1 001001 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FRound, rounding::UP)),
    row("frintm", "00011110 pp1 001010 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FRound, rounding::DOWN)),
    row("frintz", "00011110 pp1 001011 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FRound, rounding::ZERO)),
    row("frinta", "00011110 pp1 001100 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FRound, rounding::AWAY)),
    row("frintx", "00011110 pp1 001110 10000 nnnnn ddddd", |w, l| {
        one(w, l, V1Op::FRound, rounding::CURRENT | rounding::EXACT)
    }),
    row("frinti", "00011110 pp1 001111 10000 nnnnn ddddd", |w, l| one(w, l, V1Op::FRound, rounding::CURRENT)),
    // ---- two operands
    row("fmul", "00011110 pp1 mmmmm 0000 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FMul)),
    row("fdiv", "00011110 pp1 mmmmm 0001 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FDiv)),
    row("fadd", "00011110 pp1 mmmmm 0010 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FAdd)),
    row("fsub", "00011110 pp1 mmmmm 0011 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FSub)),
    row("fmax", "00011110 pp1 mmmmm 0100 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FMax)),
    row("fmin", "00011110 pp1 mmmmm 0101 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FMin)),
    row("fmaxnm", "00011110 pp1 mmmmm 0110 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FMaxNum)),
    row("fminnm", "00011110 pp1 mmmmm 0111 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FMinNum)),
    row("fnmul", "00011110 pp1 mmmmm 1000 10 nnnnn ddddd", |w, l| two(w, l, V2Op::FNMul)),
    // ---- three operands
    row("fmadd", "00011111 pp0 mmmmm 0 aaaaa nnnnn ddddd", |w, l| three(w, l, V3Op::FMulAdd)),
    row("fmsub", "00011111 pp0 mmmmm 1 aaaaa nnnnn ddddd", |w, l| three(w, l, V3Op::FMulSub)),
    row("fnmadd", "00011111 pp1 mmmmm 0 aaaaa nnnnn ddddd", |w, l| three(w, l, V3Op::FNMulAdd)),
    row("fnmsub", "00011111 pp1 mmmmm 1 aaaaa nnnnn ddddd", |w, l| three(w, l, V3Op::FNMulSub)),
    // ---- comparison and selection
    row("fcmp", "00011110 pp1 mmmmm 00 1000 nnnnn ez 000", fcmp),
    row("fccmp", "00011110 pp1 mmmmm cccc 01 nnnnn e vvvv", fccmp),
    row("fcsel", "00011110 pp1 mmmmm cccc 11 nnnnn ddddd", fcsel),
    row("fmov_imm", "00011110 pp1 iiiiiiii 100 00000 ddddd", fmov_imm),
    // ---- to and from general registers
    row("fcvtns", "s0011110 pp1 00 000 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::EVEN, true)),
    row("fcvtnu", "s0011110 pp1 00 001 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::EVEN, false)),
    row("scvtf_int", "s0011110 pp1 00 010 000000 nnnnn ddddd", |w, l| from_int(w, l, true, 0)),
    row("ucvtf_int", "s0011110 pp1 00 011 000000 nnnnn ddddd", |w, l| from_int(w, l, false, 0)),
    row("fcvtas", "s0011110 pp1 00 100 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::AWAY, true)),
    row("fcvtau", "s0011110 pp1 00 101 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::AWAY, false)),
    row("fcvtps", "s0011110 pp1 01 000 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::UP, true)),
    row("fcvtpu", "s0011110 pp1 01 001 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::UP, false)),
    row("fcvtms", "s0011110 pp1 10 000 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::DOWN, true)),
    row("fcvtmu", "s0011110 pp1 10 001 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::DOWN, false)),
    row("fcvtzs_int", "s0011110 pp1 11 000 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::ZERO, true)),
    row("fcvtzu_int", "s0011110 pp1 11 001 000000 nnnnn ddddd", |w, l| to_int(w, l, rounding::ZERO, false)),
    row("fmov_to_w", "00011110 001 00 110 000000 nnnnn ddddd", |w, l| fmov_to_general(w, l, Lanes::S, 0)),
    row("fmov_from_w", "00011110 001 00 111 000000 nnnnn ddddd", |w, l| fmov_from_general(w, l, Lanes::S)),
    row("fmov_to_x", "10011110 011 00 110 000000 nnnnn ddddd", |w, l| fmov_to_general(w, l, Lanes::D, 0)),
    row("fmov_from_x", "10011110 011 00 111 000000 nnnnn ddddd", |w, l| fmov_from_general(w, l, Lanes::D)),
    row("fmov_to_x_top", "10011110 101 01 110 000000 nnnnn ddddd", |w, l| fmov_to_general(w, l, Lanes::D, 1)),
    row("fmov_from_x_top", "10011110 101 01 111 000000 nnnnn ddddd", fmov_from_x_top),
    row("fmov_half_to_general", "s0011110 111 00 110 000000 nnnnn ddddd", |w, l| fmov_to_general(w, l, Lanes::H, 0)),
    row("fmov_half_from_general", "s0011110 111 00 111 000000 nnnnn ddddd", |w, l| fmov_from_general(w, l, Lanes::H)),
    // ---- fixed point
    row("scvtf_fix", "s0011110 pp0 00 010 ffffff nnnnn ddddd", |w, l| from_int(w, l, true, fraction_bits(w)?)),
    row("ucvtf_fix", "s0011110 pp0 00 011 ffffff nnnnn ddddd", |w, l| from_int(w, l, false, fraction_bits(w)?)),
    row("fcvtzs_fix", "s0011110 pp0 11 000 ffffff nnnnn ddddd", |w, l| {
        to_int(w, l, rounding::ZERO | fraction_bits(w)? << 8, true)
    }),
    row("fcvtzu_fix", "s0011110 pp0 11 001 ffffff nnnnn ddddd", |w, l| {
        to_int(w, l, rounding::ZERO | fraction_bits(w)? << 8, false)
    }),
];

/// The scalar arrangement that the type field at bit 22 names.
fn precision(w: u32) -> Result<Lanes, Undefined> {
    match field(w, 22, 2) {
        0 => Ok(Lanes::S),
        1 => Ok(Lanes::D),
        3 => Ok(Lanes::H),
        _ => Err(Undefined),
    }
}

fn vd(w: u32) -> V {
    field(w, 0, 5) as V
}
fn vn(w: u32) -> V {
    field(w, 5, 5) as V
}
fn vm(w: u32) -> V {
    field(w, 16, 5) as V
}

/// The slot to write general register `n` to; writes to the zero register go nowhere.
fn destination(n: u32, l: &mut Lift<'_>) -> X {
    if n == 31 { l.temp() } else { n as X }
}

fn one(w: u32, l: &mut Lift<'_>, op: V1Op, imm: u32) -> Lifted {
    l.push(Uop::V1 { op, t: precision(w)?, d: vd(w), a: vn(w), imm });
    Ok(())
}

fn two(w: u32, l: &mut Lift<'_>, op: V2Op) -> Lifted {
    l.push(Uop::V2 { op, t: precision(w)?, d: vd(w), a: vn(w), b: vm(w), imm: 0 });
    Ok(())
}

fn three(w: u32, l: &mut Lift<'_>, op: V3Op) -> Lifted {
    let a = field(w, 10, 5) as V;
    l.push(Uop::V3 { op, t: precision(w)?, d: vd(w), a, b: vn(w), c: vm(w), imm: 0 });
    Ok(())
}

fn fcvt(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = precision(w)?;
    let bytes = match field(w, 15, 2) {
        0 => 4,
        1 => 8,
        3 => 2,
        _ => return Err(Undefined),
    };
    if bytes == t.element() as u32 {
        return Err(Undefined);
    }
    l.push(Uop::V1 { op: V1Op::FConvert, t, d: vd(w), a: vn(w), imm: bytes });
    Ok(())
}

fn fcmp(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (zero, signal) = (bit(w, 3), bit(w, 4));
    let b = if zero { vn(w) } else { vm(w) };
    l.push(Uop::FCmp { t: precision(w)?, a: vn(w), b, zero, signal });
    Ok(())
}

/// Where the condition fails zeros are compared, which raises nothing, and the result is replaced.
fn fccmp(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = precision(w)?;
    let cc = Cc::ALL[field(w, 12, 4) as usize];
    let holds = l.temp();
    l.push(Uop::Cond { d: holds, cc });
    let mut operand = |v: V| {
        let (x, d) = (l.temp(), l.vtemp());
        l.push(Uop::Vx { op: VxOp::Get, t, d: x, a: v, imm: 0 });
        l.push(Uop::SelectCc64 { op: SelOp::Mov, cc, d: x, a: x, b: slot::ZERO });
        l.push(Uop::Xv { op: XvOp::Mov, t, d, a: x, imm: 0 });
        d
    };
    let (a, b) = (operand(vn(w)), operand(vm(w)));
    l.push(Uop::FCmp { t, a, b, zero: false, signal: bit(w, 4) });
    let compared = l.temp();
    l.push(Uop::GetNzcv { d: compared });
    let given = l.constant(u64::from(field(w, 0, 4)));
    let flags = l.temp();
    l.push(Uop::Select { d: flags, c: holds, a: compared, b: given });
    l.push(Uop::SetNzcv { a: flags });
    Ok(())
}

fn fcsel(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = precision(w)?;
    let cc = Cc::ALL[field(w, 12, 4) as usize];
    let (a, b) = (l.temp(), l.temp());
    l.push(Uop::Vx { op: VxOp::Get, t, d: a, a: vn(w), imm: 0 });
    l.push(Uop::Vx { op: VxOp::Get, t, d: b, a: vm(w), imm: 0 });
    l.push(Uop::SelectCc64 { op: SelOp::Mov, cc, d: a, a, b });
    l.push(Uop::Xv { op: XvOp::Mov, t, d: vd(w), a, imm: 0 });
    Ok(())
}

fn fmov_imm(w: u32, l: &mut Lift<'_>) -> Lifted {
    let imm = expand_imm(precision(w)?, field(w, 13, 8));
    l.push(Uop::VMovI { d: vd(w), both: false, imm });
    Ok(())
}

/// The number that an 8-bit immediate stands for (`VFPExpandImm`).
pub(super) fn expand_imm(t: Lanes, imm: u32) -> u64 {
    let (exp_bits, frac_bits) = match t.element() {
        2 => (5, 10),
        4 => (8, 23),
        _ => (11, 52),
    };
    let imm = u64::from(imm);
    let (sign, low) = (imm >> 7, imm & 63);
    // The exponent is NOT(bit 6), then copies of bit 6, then bits 5 and 4.
    let copies = if imm >> 6 & 1 == 1 { (1 << (exp_bits - 3)) - 1 } else { 1 << (exp_bits - 3) };
    sign << (exp_bits + frac_bits) | copies << (frac_bits + 2) | low << (frac_bits - 4)
}

fn to_int(w: u32, l: &mut Lift<'_>, imm: u32, signed: bool) -> Lifted {
    let op = match (bit(w, 31), signed) {
        (false, true) => VxOp::FToS32,
        (false, false) => VxOp::FToU32,
        (true, true) => VxOp::FToS64,
        (true, false) => VxOp::FToU64,
    };
    let d = destination(field(w, 0, 5), l);
    l.push(Uop::Vx { op, t: precision(w)?, d, a: vn(w), imm });
    Ok(())
}

fn from_int(w: u32, l: &mut Lift<'_>, signed: bool, imm: u32) -> Lifted {
    let op = match (bit(w, 31), signed) {
        (false, true) => XvOp::S32ToF,
        (false, false) => XvOp::U32ToF,
        (true, true) => XvOp::S64ToF,
        (true, false) => XvOp::U64ToF,
    };
    l.push(Uop::Xv { op, t: precision(w)?, d: vd(w), a: reg_or_zero(field(w, 5, 5)), imm });
    Ok(())
}

/// The number of fraction bits in a fixed-point conversion; 32-bit registers have at most 32.
fn fraction_bits(w: u32) -> Result<u32, Undefined> {
    let scale = field(w, 10, 6);
    if !bit(w, 31) && scale < 32 { Err(Undefined) } else { Ok(64 - scale) }
}

fn fmov_to_general(w: u32, l: &mut Lift<'_>, t: Lanes, imm: u32) -> Lifted {
    let d = destination(field(w, 0, 5), l);
    l.push(Uop::Vx { op: VxOp::Get, t, d, a: vn(w), imm });
    Ok(())
}

fn fmov_from_general(w: u32, l: &mut Lift<'_>, t: Lanes) -> Lifted {
    l.push(Uop::Xv { op: XvOp::Mov, t, d: vd(w), a: reg_or_zero(field(w, 5, 5)), imm: 0 });
    Ok(())
}

fn fmov_from_x_top(w: u32, l: &mut Lift<'_>) -> Lifted {
    l.push(Uop::Xv { op: XvOp::Insert, t: Lanes::D, d: vd(w), a: reg_or_zero(field(w, 5, 5)), imm: 1 });
    Ok(())
}
