//! Integer data processing: immediate, one, two and three registers, conditional.
//!
//! Flags are emitted before the result, because the result may overwrite an operand. Logic flags are those of the
//! result, so there the order is the other way round.

use super::{bit, by_width, dest_or_drop, field, mov, ra, rd, reg_or_sp, reg_or_zero, rm, rn, signed};
use crate::block::Lift;
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{BinOp, Cc, FlagKind, SelOp, Shift, UnOp, Uop, X, slot};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    // PC-relative addressing
    row("adr", "0 ii 10000 iiiiiiiiiiiiiiiiiii ddddd", adr),
    row("adrp", "1 ii 10000 iiiiiiiiiiiiiiiiiii ddddd", adrp),
    // Add/subtract (immediate)
    row("add_imm", "z00 100010 s iiiiiiiiiiii nnnnn ddddd", add_sub_imm),
    row("adds_imm", "z01 100010 s iiiiiiiiiiii nnnnn ddddd", add_sub_imm),
    row("sub_imm", "z10 100010 s iiiiiiiiiiii nnnnn ddddd", add_sub_imm),
    row("subs_imm", "z11 100010 s iiiiiiiiiiii nnnnn ddddd", add_sub_imm),
    // Logical (immediate)
    row("and_imm", "z00 100100 N rrrrrr ssssss nnnnn ddddd", logic_imm),
    row("orr_imm", "z01 100100 N rrrrrr ssssss nnnnn ddddd", logic_imm),
    row("eor_imm", "z10 100100 N rrrrrr ssssss nnnnn ddddd", logic_imm),
    row("ands_imm", "z11 100100 N rrrrrr ssssss nnnnn ddddd", logic_imm),
    // Move wide (immediate)
    row("movn", "z00 100101 hh iiiiiiiiiiiiiiii ddddd", movn),
    row("movz", "z10 100101 hh iiiiiiiiiiiiiiii ddddd", movz),
    row("movk", "z11 100101 hh iiiiiiiiiiiiiiii ddddd", movk),
    // Bitfield
    row("sbfm", "z00 100110 N rrrrrr ssssss nnnnn ddddd", sbfm),
    row("bfm", "z01 100110 N rrrrrr ssssss nnnnn ddddd", bfm),
    row("ubfm", "z10 100110 N rrrrrr ssssss nnnnn ddddd", ubfm),
    // Extract
    row("extr", "z00 100111 N 0 mmmmm ssssss nnnnn ddddd", extr),
    // Data-processing (2 source)
    row("udiv", "z0 0 11010110 mmmmm 000010 nnnnn ddddd", udiv),
    row("sdiv", "z0 0 11010110 mmmmm 000011 nnnnn ddddd", sdiv),
    row("lslv", "z0 0 11010110 mmmmm 001000 nnnnn ddddd", lslv),
    row("lsrv", "z0 0 11010110 mmmmm 001001 nnnnn ddddd", lsrv),
    row("asrv", "z0 0 11010110 mmmmm 001010 nnnnn ddddd", asrv),
    row("rorv", "z0 0 11010110 mmmmm 001011 nnnnn ddddd", rorv),
    row("crc32", "z0 0 11010110 mmmmm 0100 ss nnnnn ddddd", crc32),
    row("crc32c", "z0 0 11010110 mmmmm 0101 ss nnnnn ddddd", crc32c),
    // Data-processing (1 source)
    row("rbit", "z1 0 11010110 00000 000000 nnnnn ddddd", rbit),
    row("rev16", "z1 0 11010110 00000 000001 nnnnn ddddd", rev16),
    row("rev_w", "01 0 11010110 00000 000010 nnnnn ddddd", rev_w),
    row("rev32", "11 0 11010110 00000 000010 nnnnn ddddd", rev32),
    row("rev_x", "11 0 11010110 00000 000011 nnnnn ddddd", rev_x),
    row("clz", "z1 0 11010110 00000 000100 nnnnn ddddd", clz),
    row("cls", "z1 0 11010110 00000 000101 nnnnn ddddd", cls),
    // Logical (shifted register)
    row("and_shift", "z00 01010 tt 0 mmmmm iiiiii nnnnn ddddd", logic_shift),
    row("bic_shift", "z00 01010 tt 1 mmmmm iiiiii nnnnn ddddd", logic_shift),
    row("orr_shift", "z01 01010 tt 0 mmmmm iiiiii nnnnn ddddd", logic_shift),
    row("orn_shift", "z01 01010 tt 1 mmmmm iiiiii nnnnn ddddd", logic_shift),
    row("eor_shift", "z10 01010 tt 0 mmmmm iiiiii nnnnn ddddd", logic_shift),
    row("eon_shift", "z10 01010 tt 1 mmmmm iiiiii nnnnn ddddd", logic_shift),
    row("ands_shift", "z11 01010 tt 0 mmmmm iiiiii nnnnn ddddd", logic_shift),
    row("bics_shift", "z11 01010 tt 1 mmmmm iiiiii nnnnn ddddd", logic_shift),
    // Add/subtract (shifted register)
    row("add_shift", "z00 01011 tt 0 mmmmm iiiiii nnnnn ddddd", add_sub_shift),
    row("adds_shift", "z01 01011 tt 0 mmmmm iiiiii nnnnn ddddd", add_sub_shift),
    row("sub_shift", "z10 01011 tt 0 mmmmm iiiiii nnnnn ddddd", add_sub_shift),
    row("subs_shift", "z11 01011 tt 0 mmmmm iiiiii nnnnn ddddd", add_sub_shift),
    // Add/subtract (extended register)
    row("add_ext", "z00 01011 00 1 mmmmm ooo iii nnnnn ddddd", add_sub_ext),
    row("adds_ext", "z01 01011 00 1 mmmmm ooo iii nnnnn ddddd", add_sub_ext),
    row("sub_ext", "z10 01011 00 1 mmmmm ooo iii nnnnn ddddd", add_sub_ext),
    row("subs_ext", "z11 01011 00 1 mmmmm ooo iii nnnnn ddddd", add_sub_ext),
    // Add/subtract (with carry)
    row("adc", "z00 11010000 mmmmm 000000 nnnnn ddddd", carry),
    row("adcs", "z01 11010000 mmmmm 000000 nnnnn ddddd", carry),
    row("sbc", "z10 11010000 mmmmm 000000 nnnnn ddddd", carry),
    row("sbcs", "z11 11010000 mmmmm 000000 nnnnn ddddd", carry),
    // Conditional compare (register), (immediate)
    row("ccmn_reg", "z01 11010010 mmmmm cccc 00 nnnnn 0 vvvv", ccmp),
    row("ccmp_reg", "z11 11010010 mmmmm cccc 00 nnnnn 0 vvvv", ccmp),
    row("ccmn_imm", "z01 11010010 iiiii cccc 10 nnnnn 0 vvvv", ccmp),
    row("ccmp_imm", "z11 11010010 iiiii cccc 10 nnnnn 0 vvvv", ccmp),
    // Conditional select
    row("csel", "z00 11010100 mmmmm cccc 00 nnnnn ddddd", csel),
    row("csinc", "z00 11010100 mmmmm cccc 01 nnnnn ddddd", csinc),
    row("csinv", "z10 11010100 mmmmm cccc 00 nnnnn ddddd", csinv),
    row("csneg", "z10 11010100 mmmmm cccc 01 nnnnn ddddd", csneg),
    // Data-processing (3 source)
    row("madd", "z00 11011 000 mmmmm 0 aaaaa nnnnn ddddd", madd),
    row("msub", "z00 11011 000 mmmmm 1 aaaaa nnnnn ddddd", msub),
    row("smaddl", "100 11011 001 mmmmm 0 aaaaa nnnnn ddddd", mul_long),
    row("smsubl", "100 11011 001 mmmmm 1 aaaaa nnnnn ddddd", mul_long),
    row("smulh", "100 11011 010 mmmmm 0 aaaaa nnnnn ddddd", smulh),
    row("umaddl", "100 11011 101 mmmmm 0 aaaaa nnnnn ddddd", mul_long),
    row("umsubl", "100 11011 101 mmmmm 1 aaaaa nnnnn ddddd", mul_long),
    row("umulh", "100 11011 110 mmmmm 0 aaaaa nnnnn ddddd", umulh),
];

type Lifted = Result<(), Undefined>;

/// Bit 31: 64-bit operands.
const fn wide(insn: u32) -> bool {
    bit(insn, 31)
}

/// The number of bits of the operands.
const fn width(insn: u32) -> u32 {
    by_width(wide(insn), 64, 32)
}

/// `imm` as an operand of the instruction's width.
const fn truncated(insn: u32, imm: u64) -> u64 {
    by_width(wide(insn), imm, imm & 0xffff_ffff)
}

/// Appends d = op(a), unless d is the zero register.
fn unary(insn: u32, lift: &mut Lift<'_>, op64: UnOp, op32: UnOp) -> Lifted {
    if rd(insn) != 31 {
        let op = by_width(wide(insn), op64, op32);
        lift.push(Uop::Un { op, d: reg_or_zero(rd(insn)), a: reg_or_zero(rn(insn)) });
    }
    Ok(())
}

/// Appends d = op(n, m), unless d is the zero register.
fn binary(insn: u32, lift: &mut Lift<'_>, op64: BinOp, op32: BinOp) -> Lifted {
    if rd(insn) != 31 {
        let op = by_width(wide(insn), op64, op32);
        lift.push(Uop::Bin { op, d: reg_or_zero(rd(insn)), a: reg_or_zero(rn(insn)), b: reg_or_zero(rm(insn)) });
    }
    Ok(())
}

// ---- PC-relative addressing

fn adr_imm(insn: u32) -> i64 {
    signed(insn, 5, 19) << 2 | i64::from(field(insn, 29, 2))
}

fn adr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pc_relative(insn, lift, lift.pc.wrapping_add_signed(adr_imm(insn)))
}

fn adrp(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    pc_relative(insn, lift, (lift.pc & !0xfff).wrapping_add_signed(adr_imm(insn) << 12))
}

fn pc_relative(insn: u32, lift: &mut Lift<'_>, imm: u64) -> Lifted {
    if rd(insn) != 31 {
        lift.push(Uop::MovI { d: reg_or_zero(rd(insn)), imm });
    }
    Ok(())
}

// ---- Add and subtract

/// The operation of an add or subtract encoding: bit 30 subtracts, bit 31 is the width.
fn add_sub_op(insn: u32) -> BinOp {
    match (bit(insn, 30), wide(insn)) {
        (false, true) => BinOp::Add64,
        (false, false) => BinOp::Add32,
        (true, true) => BinOp::Sub64,
        (true, false) => BinOp::Sub32,
    }
}

fn add_sub_flags(insn: u32) -> FlagKind {
    match (bit(insn, 30), wide(insn)) {
        (false, true) => FlagKind::Add64,
        (false, false) => FlagKind::Add32,
        (true, true) => FlagKind::Sub64,
        (true, false) => FlagKind::Sub32,
    }
}

fn add_sub_imm(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let imm = u64::from(field(insn, 10, 12)) << by_width(bit(insn, 22), 12, 0);
    let a = reg_or_sp(rn(insn));
    if bit(insn, 29) {
        lift.push(Uop::FlagsI { kind: add_sub_flags(insn), a, imm });
        if rd(insn) == 31 {
            return Ok(());
        }
    }
    let d = reg_or_sp(rd(insn));
    if imm == 0 {
        mov(lift, wide(insn), d, a);
    } else {
        lift.push(Uop::BinI { op: add_sub_op(insn), d, a, imm });
    }
    Ok(())
}

fn add_sub_shift(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let (shift, n) = shift_amount(insn)?;
    if shift == Shift::Ror {
        return Err(Undefined);
    }
    add_sub(insn, lift, reg_or_zero(rd(insn)), reg_or_zero(rn(insn)), shift, n);
    Ok(())
}

fn add_sub_ext(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let n = field(insn, 10, 3);
    if n > 4 {
        return Err(Undefined);
    }
    let d = if bit(insn, 29) { reg_or_zero(rd(insn)) } else { reg_or_sp(rd(insn)) };
    add_sub(insn, lift, d, reg_or_sp(rn(insn)), extension(field(insn, 13, 3), wide(insn)), n as u8);
    Ok(())
}

fn add_sub(insn: u32, lift: &mut Lift<'_>, d: X, a: X, shift: Shift, n: u8) {
    let b = reg_or_zero(rm(insn));
    if bit(insn, 29) {
        let b = shifted(lift, wide(insn), b, shift, n);
        lift.push(Uop::Flags { kind: add_sub_flags(insn), a, b });
        if d != slot::ZERO {
            lift.push(Uop::Bin { op: add_sub_op(insn), d, a, b });
        }
    } else if d != slot::ZERO {
        bin_shifted(lift, add_sub_op(insn), d, a, b, shift, n);
    }
}

/// The shift in bits 23 and 22 and its amount in bits 15 to 10.
fn shift_amount(insn: u32) -> Result<(Shift, u8), Undefined> {
    let n = field(insn, 10, 6);
    if n >= width(insn) {
        return Err(Undefined);
    }
    let shift = [Shift::Lsl, Shift::Lsr, Shift::Asr, Shift::Ror][field(insn, 22, 2) as usize];
    Ok((shift, n as u8))
}

/// The extension that a three-bit `option` names. Those that keep the whole register are `Lsl`.
pub(super) fn extension(option: u32, wide: bool) -> Shift {
    match option {
        0 => Shift::Uxtb,
        1 => Shift::Uxth,
        2 if wide => Shift::Uxtw,
        4 => Shift::Sxtb,
        5 => Shift::Sxth,
        6 if wide => Shift::Sxtw,
        _ => Shift::Lsl,
    }
}

/// Appends d = op(a, shift(b, n)) in its cheapest form.
pub(super) fn bin_shifted(lift: &mut Lift<'_>, op: BinOp, d: X, a: X, b: X, shift: Shift, n: u8) {
    let plain = n == 0 && matches!(shift, Shift::Lsl | Shift::Lsr | Shift::Asr | Shift::Ror);
    lift.push(match op {
        BinOp::Sub64 if plain && a == slot::ZERO => Uop::Un { op: UnOp::Neg64, d, a: b },
        BinOp::Sub32 if plain && a == slot::ZERO => Uop::Un { op: UnOp::Neg32, d, a: b },
        _ if plain => Uop::Bin { op, d, a, b },
        _ => Uop::BinSh { op, d, a, b, shift, n },
    });
}

/// Returns a slot that holds shift(b, n).
fn shifted(lift: &mut Lift<'_>, wide: bool, b: X, shift: Shift, n: u8) -> X {
    if b == slot::ZERO {
        return slot::ZERO;
    }
    let imm = u64::from(n);
    let op = match shift {
        Shift::Lsl | Shift::Lsr | Shift::Asr | Shift::Ror if n == 0 => return b,
        Shift::Lsl => by_width(wide, BinOp::Shl64, BinOp::Shl32),
        Shift::Lsr => by_width(wide, BinOp::Shr64, BinOp::Shr32),
        Shift::Asr => by_width(wide, BinOp::Sar64, BinOp::Sar32),
        Shift::Ror => by_width(wide, BinOp::Ror64, BinOp::Ror32),
        _ => {
            let d = lift.temp();
            let op = by_width(wide, BinOp::Add64, BinOp::Add32);
            lift.push(Uop::BinSh { op, d, a: slot::ZERO, b, shift, n });
            return d;
        }
    };
    let d = lift.temp();
    lift.push(Uop::BinI { op, d, a: b, imm });
    d
}

fn carry(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let set = bit(insn, 29);
    if rd(insn) == 31 && !set {
        return Ok(());
    }
    let a = reg_or_zero(rn(insn));
    let mut b = reg_or_zero(rm(insn));
    if bit(insn, 30) {
        // a - b - !C is a + !b + C.
        let inverted = lift.temp();
        lift.push(Uop::Un { op: by_width(wide(insn), UnOp::Not64, UnOp::Not32), d: inverted, a: b });
        b = inverted;
    }
    let d = dest_or_drop(lift, rd(insn));
    lift.push(by_width(wide(insn), Uop::Adc64 { d, a, b, set }, Uop::Adc32 { d, a, b, set }));
    Ok(())
}

// ---- Logic

/// The operation of a logic encoding: bits 30 and 29 choose it, `invert` the second operand's complement.
fn logic_op(insn: u32, invert: bool) -> BinOp {
    use BinOp::{And32, And64, AndNot32, AndNot64, Or32, Or64, OrNot32, OrNot64, Xor32, Xor64, XorNot32, XorNot64};
    let wide = wide(insn);
    match (field(insn, 29, 2), invert) {
        (1, false) => by_width(wide, Or64, Or32),
        (1, true) => by_width(wide, OrNot64, OrNot32),
        (2, false) => by_width(wide, Xor64, Xor32),
        (2, true) => by_width(wide, XorNot64, XorNot32),
        (_, false) => by_width(wide, And64, And32),
        (_, true) => by_width(wide, AndNot64, AndNot32),
    }
}

/// Whether a logic encoding sets the flags.
fn logic_sets_flags(insn: u32) -> bool {
    field(insn, 29, 2) == 3
}

fn logic_flags(insn: u32, lift: &mut Lift<'_>, a: X) {
    lift.push(Uop::Flags { kind: by_width(wide(insn), FlagKind::Logic64, FlagKind::Logic32), a, b: slot::ZERO });
}

fn logic_imm(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let imm = bit_mask(field(insn, 22, 1), field(insn, 16, 6), field(insn, 10, 6), wide(insn))?;
    let a = reg_or_zero(rn(insn));
    let op = logic_op(insn, false);
    if logic_sets_flags(insn) {
        let d = dest_or_drop(lift, rd(insn));
        lift.push(Uop::BinI { op, d, a, imm });
        logic_flags(insn, lift, d);
    } else if a == slot::ZERO && field(insn, 29, 2) != 0 {
        lift.push(Uop::MovI { d: reg_or_sp(rd(insn)), imm });
    } else {
        lift.push(Uop::BinI { op, d: reg_or_sp(rd(insn)), a, imm });
    }
    Ok(())
}

/// Decodes the immediate of a logic instruction: a run of ones, rotated, in an element of 2 to 64 bits, repeated.
pub(super) fn bit_mask(n: u32, immr: u32, imms: u32, wide: bool) -> Result<u64, Undefined> {
    let chosen = n << 6 | (!imms & 0x3f);
    if chosen < 2 || (!wide && n == 1) {
        return Err(Undefined);
    }
    let element = 1u32 << (31 - chosen.leading_zeros());
    let (ones, rotation) = ((imms & (element - 1)) + 1, immr & (element - 1));
    if ones == element {
        return Err(Undefined);
    }
    let run = (1u64 << ones) - 1;
    let element_mask = u64::MAX >> (64 - element);
    let rotated = if rotation == 0 { run } else { (run >> rotation | run << (element - rotation)) & element_mask };
    let repeated = u64::MAX / element_mask * rotated;
    Ok(if wide { repeated } else { repeated & 0xffff_ffff })
}

fn logic_shift(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let (shift, n) = shift_amount(insn)?;
    let (a, b) = (reg_or_zero(rn(insn)), reg_or_zero(rm(insn)));
    let invert = bit(insn, 21);
    let op = logic_op(insn, invert);
    if logic_sets_flags(insn) {
        if a == b && n == 0 && !invert {
            // tst x0, x0
            logic_flags(insn, lift, a);
            if rd(insn) != 31 {
                mov(lift, wide(insn), reg_or_zero(rd(insn)), a);
            }
            return Ok(());
        }
        let d = dest_or_drop(lift, rd(insn));
        bin_shifted(lift, op, d, a, b, shift, n);
        logic_flags(insn, lift, d);
    } else if rd(insn) != 31 {
        let d = reg_or_zero(rd(insn));
        let is_or = field(insn, 29, 2) == 1;
        if is_or && a == slot::ZERO && n == 0 {
            if invert {
                lift.push(Uop::Un { op: by_width(wide(insn), UnOp::Not64, UnOp::Not32), d, a: b });
            } else {
                mov(lift, wide(insn), d, b);
            }
        } else {
            bin_shifted(lift, op, d, a, b, shift, n);
        }
    }
    Ok(())
}

// ---- Move wide

/// The 16-bit immediate in its place, and the place.
fn wide_imm(insn: u32) -> Result<(u64, u32), Undefined> {
    let place = 16 * field(insn, 21, 2);
    if place >= width(insn) {
        return Err(Undefined);
    }
    Ok((u64::from(field(insn, 5, 16)) << place, place))
}

fn movn(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let (imm, _) = wide_imm(insn)?;
    mov_imm(insn, lift, truncated(insn, !imm))
}

fn movz(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let (imm, _) = wide_imm(insn)?;
    mov_imm(insn, lift, imm)
}

fn mov_imm(insn: u32, lift: &mut Lift<'_>, imm: u64) -> Lifted {
    if rd(insn) != 31 {
        lift.push(Uop::MovI { d: reg_or_zero(rd(insn)), imm });
    }
    Ok(())
}

fn movk(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let (imm, place) = wide_imm(insn)?;
    if rd(insn) == 31 {
        return Ok(());
    }
    let d = reg_or_zero(rd(insn));
    // Also clears the upper half for the 32-bit form.
    lift.push(Uop::BinI { op: BinOp::And64, d, a: d, imm: truncated(insn, !(0xffff << place)) });
    if imm != 0 {
        lift.push(Uop::BinI { op: BinOp::Or64, d, a: d, imm });
    }
    Ok(())
}

// ---- Bitfields

/// A decoded bitfield move: `len` bits from bit `from` of the source go to bit `to` of the destination.
struct Bitfield {
    from: u8,
    to: u8,
    len: u8,
}

fn bitfield(insn: u32) -> Result<Bitfield, Undefined> {
    let (immr, imms) = (field(insn, 16, 6), field(insn, 10, 6));
    let width = width(insn);
    if bit(insn, 22) != wide(insn) || immr >= width || imms >= width {
        return Err(Undefined);
    }
    Ok(if imms >= immr {
        Bitfield { from: immr as u8, to: 0, len: (imms - immr + 1) as u8 }
    } else {
        Bitfield { from: 0, to: (width - immr) as u8, len: (imms + 1) as u8 }
    })
}

fn ubfm(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let Bitfield { from, to, len } = bitfield(insn)?;
    if rd(insn) == 31 {
        return Ok(());
    }
    let wide = wide(insn);
    let (d, a) = (reg_or_zero(rd(insn)), reg_or_zero(rn(insn)));
    let width = width(insn) as u8;
    lift.push(match (from, to, len) {
        (0, 0, 8) => Uop::Un { op: UnOp::Zext8, d, a },
        (0, 0, 16) => Uop::Un { op: UnOp::Zext16, d, a },
        (0, 0, 32) => Uop::Un { op: UnOp::Zext32, d, a },
        (0, 0, 64) => Uop::Un { op: UnOp::Mov, d, a },
        // lsr, lsl
        (_, 0, _) if from + len == width => {
            Uop::BinI { op: by_width(wide, BinOp::Shr64, BinOp::Shr32), d, a, imm: u64::from(from) }
        }
        (0, _, _) if to + len == width => {
            Uop::BinI { op: by_width(wide, BinOp::Shl64, BinOp::Shl32), d, a, imm: u64::from(to) }
        }
        // ubfx, ubfiz
        (_, 0, _) => Uop::BfxU { d, a, lsb: from, len },
        _ => Uop::Bfi { d, a: slot::ZERO, b: a, lsb: to, len },
    });
    Ok(())
}

fn sbfm(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let Bitfield { from, to, len } = bitfield(insn)?;
    if rd(insn) == 31 {
        return Ok(());
    }
    let wide = wide(insn);
    let (d, a) = (reg_or_zero(rd(insn)), reg_or_zero(rn(insn)));
    let width = width(insn) as u8;
    let extend = match (from, len) {
        (0, 8) => Some(Shift::Sxtb),
        (0, 16) => Some(Shift::Sxth),
        (0, 32) if wide => Some(Shift::Sxtw),
        _ => None,
    };
    let uop = match (extend, to) {
        // sxtb, sxth, sxtw
        (Some(Shift::Sxtb), 0) if wide => Uop::Un { op: UnOp::Sext8, d, a },
        (Some(Shift::Sxth), 0) if wide => Uop::Un { op: UnOp::Sext16, d, a },
        (Some(_), 0) if wide => Uop::Un { op: UnOp::Sext32, d, a },
        (Some(shift), _) => {
            let op = by_width(wide, BinOp::Add64, BinOp::Add32);
            Uop::BinSh { op, d, a: slot::ZERO, b: a, shift, n: to }
        }
        // asr
        (None, 0) if from + len == width => {
            Uop::BinI { op: by_width(wide, BinOp::Sar64, BinOp::Sar32), d, a, imm: u64::from(from) }
        }
        // sbfx
        (None, 0) if wide => Uop::BfxS { d, a, lsb: from, len },
        // sbfiz, and sbfx of 32 bits: the field's top to the top, then down to its place
        _ => {
            let top = lift.temp();
            let imm = u64::from(width - len - from);
            lift.push(Uop::BinI { op: by_width(wide, BinOp::Shl64, BinOp::Shl32), d: top, a, imm });
            let imm = u64::from(width - len - to);
            Uop::BinI { op: by_width(wide, BinOp::Sar64, BinOp::Sar32), d, a: top, imm }
        }
    };
    lift.push(uop);
    Ok(())
}

fn bfm(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let Bitfield { from, to, len } = bitfield(insn)?;
    if rd(insn) == 31 {
        return Ok(());
    }
    let d = reg_or_zero(rd(insn));
    let mut b = reg_or_zero(rn(insn));
    if from != 0 && b != slot::ZERO {
        let t = lift.temp();
        lift.push(Uop::BinI { op: BinOp::Shr64, d: t, a: b, imm: u64::from(from) });
        b = t;
    }
    lift.push(Uop::Bfi { d, a: d, b, lsb: to, len });
    if !wide(insn) {
        lift.push(Uop::Un { op: UnOp::Zext32, d, a: d });
    }
    Ok(())
}

fn extr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let n = field(insn, 10, 6);
    if bit(insn, 22) != wide(insn) || n >= width(insn) {
        return Err(Undefined);
    }
    if rd(insn) == 31 {
        return Ok(());
    }
    let (d, a, b) = (reg_or_zero(rd(insn)), reg_or_zero(rn(insn)), reg_or_zero(rm(insn)));
    let n = n as u8;
    lift.push(match (a == b, wide(insn)) {
        // ror
        (true, wide) => Uop::BinI { op: by_width(wide, BinOp::Ror64, BinOp::Ror32), d, a, imm: u64::from(n) },
        (false, true) => Uop::Extr64 { d, a, b, n },
        (false, false) => Uop::Extr32 { d, a, b, n },
    });
    Ok(())
}

// ---- Two sources

fn udiv(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::DivUA64, BinOp::DivUA32)
}

fn sdiv(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::DivSA64, BinOp::DivSA32)
}

fn lslv(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::Shl64, BinOp::Shl32)
}

fn lsrv(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::Shr64, BinOp::Shr32)
}

fn asrv(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::Sar64, BinOp::Sar32)
}

fn rorv(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::Ror64, BinOp::Ror32)
}

fn crc32(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    crc(insn, lift, [BinOp::Crc32B, BinOp::Crc32H, BinOp::Crc32W, BinOp::Crc32X])
}

fn crc32c(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    crc(insn, lift, [BinOp::Crc32CB, BinOp::Crc32CH, BinOp::Crc32CW, BinOp::Crc32CX])
}

fn crc(insn: u32, lift: &mut Lift<'_>, by_size: [BinOp; 4]) -> Lifted {
    let size = field(insn, 10, 2);
    if wide(insn) != (size == 3) {
        return Err(Undefined);
    }
    let op = by_size[size as usize];
    binary(insn, lift, op, op)
}

// ---- One source

fn rbit(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    unary(insn, lift, UnOp::Rbit64, UnOp::Rbit32)
}

fn rev16(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    unary(insn, lift, UnOp::Rev16x64, UnOp::Rev16x32)
}

fn rev_w(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    unary(insn, lift, UnOp::Bswap32, UnOp::Bswap32)
}

fn rev32(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    unary(insn, lift, UnOp::Rev32x64, UnOp::Rev32x64)
}

fn rev_x(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    unary(insn, lift, UnOp::Bswap64, UnOp::Bswap64)
}

fn clz(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    unary(insn, lift, UnOp::Clz64, UnOp::Clz32)
}

fn cls(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    unary(insn, lift, UnOp::Cls64, UnOp::Cls32)
}

// ---- Conditional

/// The condition whose number is in bits 15 to 12.
fn condition(insn: u32) -> Cc {
    Cc::ALL[field(insn, 12, 4) as usize]
}

fn ccmp(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let b = if bit(insn, 11) { lift.constant(u64::from(rm(insn))) } else { reg_or_zero(rm(insn)) };
    let (cc, nzcv) = (condition(insn), field(insn, 0, 4) as u8);
    lift.push(Uop::FlagsIf { kind: add_sub_flags(insn), cc, a: reg_or_zero(rn(insn)), b, nzcv });
    Ok(())
}

fn csel(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    select(insn, lift, SelOp::Mov)
}

fn csinc(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    if rn(insn) == 31 && rm(insn) == 31 && rd(insn) != 31 && field(insn, 13, 3) != 7 {
        // cset: the encoding holds the inverse of the condition.
        let cc = Cc::ALL[(field(insn, 12, 4) ^ 1) as usize];
        lift.push(Uop::Cond { d: reg_or_zero(rd(insn)), cc });
        return Ok(());
    }
    select(insn, lift, SelOp::Inc)
}

fn csinv(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    select(insn, lift, SelOp::Inv)
}

fn csneg(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    select(insn, lift, SelOp::Neg)
}

fn select(insn: u32, lift: &mut Lift<'_>, op: SelOp) -> Lifted {
    if rd(insn) == 31 {
        return Ok(());
    }
    let (d, a, b) = (reg_or_zero(rd(insn)), reg_or_zero(rn(insn)), reg_or_zero(rm(insn)));
    let cc = condition(insn);
    lift.push(by_width(wide(insn), Uop::SelectCc64 { op, cc, d, a, b }, Uop::SelectCc32 { op, cc, d, a, b }));
    Ok(())
}

// ---- Three sources

fn madd(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    if ra(insn) == 31 {
        return binary(insn, lift, BinOp::Mul64, BinOp::Mul32);
    }
    if rd(insn) != 31 {
        let (d, a, b, c) = three(insn);
        lift.push(by_width(wide(insn), Uop::MulAdd64 { d, a, b, c }, Uop::MulAdd32 { d, a, b, c }));
    }
    Ok(())
}

fn msub(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    if rd(insn) != 31 {
        let (d, a, b, c) = three(insn);
        lift.push(by_width(wide(insn), Uop::MulSub64 { d, a, b, c }, Uop::MulSub32 { d, a, b, c }));
    }
    Ok(())
}

fn three(insn: u32) -> (X, X, X, X) {
    (reg_or_zero(rd(insn)), reg_or_zero(rn(insn)), reg_or_zero(rm(insn)), reg_or_zero(ra(insn)))
}

/// smaddl, smsubl, umaddl, umsubl: bit 23 is unsigned, bit 15 subtracts.
fn mul_long(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    if rd(insn) == 31 {
        return Ok(());
    }
    let (d, a, b, c) = three(insn);
    let op = by_width(bit(insn, 23), BinOp::MulU32to64, BinOp::MulS32to64);
    let subtract = bit(insn, 15);
    if c == slot::ZERO && !subtract {
        lift.push(Uop::Bin { op, d, a, b });
        return Ok(());
    }
    let product = lift.temp();
    lift.push(Uop::Bin { op, d: product, a, b });
    lift.push(Uop::Bin { op: by_width(subtract, BinOp::Sub64, BinOp::Add64), d, a: c, b: product });
    Ok(())
}

fn smulh(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::MulHiS, BinOp::MulHiS)
}

fn umulh(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    binary(insn, lift, BinOp::MulHiU, BinOp::MulHiU)
}

#[cfg(test)]
mod tests {
    use super::bit_mask;

    #[test]
    fn logic_immediates_repeat_a_rotated_run() {
        assert_eq!(bit_mask(1, 0, 0, true), Ok(1));
        assert_eq!(bit_mask(1, 1, 0, true), Ok(1 << 63));
        assert_eq!(bit_mask(0, 0, 0b111100, true), Ok(0x5555_5555_5555_5555));
        assert_eq!(bit_mask(0, 1, 0b111100, false), Ok(0xaaaa_aaaa));
        assert_eq!(bit_mask(0, 4, 0b110011, true), Ok(0xf0f0_f0f0_f0f0_f0f0));
        assert_eq!(bit_mask(1, 63, 62, true), Ok(u64::MAX - 1));
        assert!(bit_mask(1, 0, 63, true).is_err());
        assert!(bit_mask(1, 0, 0, false).is_err());
        assert!(bit_mask(0, 0, 0b111110, true).is_err());
    }
}
