//! Additional floating-point instructions (Zfa), of single and double precision.

use super::float::{compare, extreme, operand, precision, result, stated};
use super::{Lift, extend_word, rd, rs1, rs2, source};
use crate::isa::riscv::table::{Row, Undefined, row, rv32};
use crate::uop::{BinOp, Cc, Lanes, UnOp, Uop, V};
use crate::vector::{V1Op, V2Op, VxOp, XvOp, rounding};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("fli", "11110 0p 00001 iiiii 000 ddddd 1010011", fli),
    row("fminm", "00101 0p mmmmm nnnnn 010 ddddd 1010011", |w, l| extreme(w, l, V2Op::FMin)),
    row("fmaxm", "00101 0p mmmmm nnnnn 011 ddddd 1010011", |w, l| extreme(w, l, V2Op::FMax)),
    row("fround", "01000 0p 00100 nnnnn rrr ddddd 1010011", |w, l| fround(w, l, 0)),
    row("froundnx", "01000 0p 00101 nnnnn rrr ddddd 1010011", |w, l| fround(w, l, rounding::EXACT)),
    row("fcvtmod.w.d", "11000 01 01000 nnnnn 001 ddddd 1010011", fcvtmod),
    rv32("fmvh.x.d", "11100 01 00001 nnnnn 000 ddddd 1010011", fmvh),
    rv32("fmvp.d.x", "10110 01 mmmmm nnnnn 000 ddddd 1010011", fmvp),
    row("fleq", "10100 0p mmmmm nnnnn 100 ddddd 1010011", |w, l| compare(w, l, Cc::Ls, false)),
    row("fltq", "10100 0p mmmmm nnnnn 101 ddddd 1010011", |w, l| compare(w, l, Cc::Mi, false)),
];

type Lifted = Result<(), Undefined>;

/// The constants of `fli`. The second, of which there is another for each precision, is the smallest normal number, and
/// the last the canonical NaN.
const CONSTANTS: [f64; 32] = [
    -1.0,
    f64::MIN_POSITIVE,
    1.0 / 65536.0,
    1.0 / 32768.0,
    1.0 / 256.0,
    1.0 / 128.0,
    0.0625,
    0.125,
    0.25,
    0.3125,
    0.375,
    0.4375,
    0.5,
    0.625,
    0.75,
    0.875,
    1.0,
    1.25,
    1.5,
    1.75,
    2.0,
    2.5,
    3.0,
    4.0,
    8.0,
    16.0,
    128.0,
    256.0,
    32768.0,
    65536.0,
    f64::INFINITY,
    f64::NAN,
];

fn fli(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (t, number) = (precision(w), CONSTANTS[rs1(w) as usize]);
    let imm = match (t, number) {
        (Lanes::D, _) if number.is_nan() => 0x7ff8 << 48,
        (Lanes::D, _) => number.to_bits(),
        _ if number.is_nan() => 0x7fc0_0000,
        _ if number == f64::MIN_POSITIVE => f32::MIN_POSITIVE.to_bits().into(),
        _ => (number as f32).to_bits().into(),
    };
    result(w, l, t, |d| Uop::VMovI { d, both: false, imm })
}

fn fround(w: u32, l: &mut Lift<'_>, exact: u32) -> Lifted {
    let t = precision(w);
    let direction = stated(w, l)?.unwrap_or(rounding::CURRENT);
    let a = operand(l, t, rs1(w));
    result(w, l, t, |d| Uop::V1 { op: V1Op::FRound, t, d, a, imm: direction | exact })
}

/// The upper half of a number, which no register holds as a whole.
fn fmvh(w: u32, l: &mut Lift<'_>) -> Lifted {
    if rd(w) != 0 {
        let d = source(rd(w));
        l.push(Uop::Vx { op: VxOp::Get, t: Lanes::D, d, a: rs1(w) as V, imm: 0 });
        l.push(Uop::BinI { op: BinOp::Shr64, d, a: d, imm: 32 });
    }
    Ok(())
}

/// A number of two halves, the upper one second.
fn fmvp(w: u32, l: &mut Lift<'_>) -> Lifted {
    let a = l.temp();
    l.push(Uop::Bfi { d: a, a: source(rs1(w)), b: source(rs2(w)), lsb: 32, len: 32 });
    l.push(Uop::Xv { op: XvOp::Mov, t: Lanes::D, d: rd(w) as V, a, imm: 0 });
    Ok(())
}

/// The number without its fraction, modulo 2^32, with the exceptions of a conversion to a word. The only rounding mode is
/// towards zero.
///
/// The value is computed from the number's parts; what a conversion gives is for the exceptions.
fn fcvtmod(w: u32, l: &mut Lift<'_>) -> Lifted {
    const BIAS: u64 = 1023 + 52;
    let a = rs1(w) as V;
    let unused = l.temp();
    l.push(Uop::Vx { op: VxOp::FToS32, t: Lanes::D, d: unused, a, imm: rounding::ZERO });
    if rd(w) == 0 {
        return Ok(());
    }
    let (d, bits, exponent, number) = (source(rd(w)), l.temp(), l.temp(), l.temp());
    l.push(Uop::Vx { op: VxOp::Get, t: Lanes::D, d: bits, a, imm: 0 });
    l.push(Uop::BfxU { d: exponent, a: bits, lsb: 52, len: 11 });
    l.push(Uop::BfxU { d: number, a: bits, lsb: 0, len: 52 });
    l.push(Uop::BinI { op: BinOp::Or64, d: number, a: number, imm: 1 << 52 });
    // Shifted to where its unit is bit 0: amounts are modulo 64.
    let (amount, up, down, is_less) = (l.temp(), l.temp(), l.temp(), l.temp());
    l.push(Uop::BinI { op: BinOp::Sub64, d: amount, a: exponent, imm: BIAS });
    l.push(Uop::Bin { op: BinOp::Shl64, d: up, a: number, b: amount });
    l.push(Uop::Un { op: UnOp::Neg64, d: amount, a: amount });
    l.push(Uop::Bin { op: BinOp::Shr64, d: down, a: number, b: amount });
    l.push(Uop::BinI { op: BinOp::LtU, d: is_less, a: exponent, imm: BIAS });
    l.push(Uop::Select { d: number, c: is_less, a: down, b: up });
    // Nothing is left of a fraction, a multiple of 2^32, an infinity and a NaN.
    let zero = l.constant(0);
    l.push(Uop::BinI { op: BinOp::Sub64, d: exponent, a: exponent, imm: 1023 });
    l.push(Uop::BinI { op: BinOp::LtU, d: is_less, a: exponent, imm: 52 + 32 });
    l.push(Uop::Select { d: number, c: is_less, a: number, b: zero });
    // The sign: all ones or nothing, of which -x is (x ^ ones) - ones.
    l.push(Uop::BinI { op: BinOp::Sar64, d: bits, a: bits, imm: 63 });
    l.push(Uop::Bin { op: BinOp::Xor64, d: number, a: number, b: bits });
    l.push(Uop::Bin { op: BinOp::Sub64, d: number, a: number, b: bits });
    l.push(Uop::Un { op: UnOp::Mov, d, a: number });
    extend_word(l, d);
    Ok(())
}
