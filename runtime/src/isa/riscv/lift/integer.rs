//! Integer computation: I, M, Zba, Zbb, Zbc, Zbs and Zicond.
//!
//! Words are computed in the low halves and sign-extended, unless registers have 32 bits. What writes x0 has no effect and emits nothing.

use super::{Lift, comparable, extend_word, field, imm_i, mov, rd, rs1, rs2, signed, source};
use crate::isa::riscv::table::{Row, Undefined, row, rv32, rv64};
use crate::isa::riscv::xlen::Xlen;
use crate::uop::{BinOp, Lanes, Shift, UnOp, Uop, X, slot};
use crate::vector::{V2Op, VxOp, XvOp};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("lui", "iiiiiiiiiiiiiiiiiiii ddddd 0110111", lui),
    row("auipc", "iiiiiiiiiiiiiiiiiiii ddddd 0010111", auipc),
    // ---- register and immediate
    row("addi", "iiiiiiiiiiii nnnnn 000 ddddd 0010011", addi),
    row("slti", "iiiiiiiiiiii nnnnn 010 ddddd 0010011", |w, l| immediate(w, l, BinOp::LtS)),
    row("sltiu", "iiiiiiiiiiii nnnnn 011 ddddd 0010011", |w, l| immediate(w, l, BinOp::LtU)),
    row("xori", "iiiiiiiiiiii nnnnn 100 ddddd 0010011", |w, l| immediate(w, l, BinOp::Xor64)),
    row("ori", "iiiiiiiiiiii nnnnn 110 ddddd 0010011", |w, l| immediate(w, l, BinOp::Or64)),
    row("andi", "iiiiiiiiiiii nnnnn 111 ddddd 0010011", |w, l| immediate(w, l, BinOp::And64)),
    row("slli", "000000 iiiiii nnnnn 001 ddddd 0010011", |w, l| shift(w, l, BinOp::Shl64)),
    row("srli", "000000 iiiiii nnnnn 101 ddddd 0010011", |w, l| shift(w, l, BinOp::Shr64)),
    row("srai", "010000 iiiiii nnnnn 101 ddddd 0010011", |w, l| shift(w, l, BinOp::Sar64)),
    rv64("addiw", "iiiiiiiiiiii nnnnn 000 ddddd 0011011", addiw),
    rv64("slliw", "0000000 iiiii nnnnn 001 ddddd 0011011", |w, l| shift_word(w, l, BinOp::Shl32)),
    rv64("srliw", "0000000 iiiii nnnnn 101 ddddd 0011011", |w, l| shift_word(w, l, BinOp::Shr32)),
    rv64("sraiw", "0100000 iiiii nnnnn 101 ddddd 0011011", |w, l| shift_word(w, l, BinOp::Sar32)),
    // ---- two registers
    row("add", "0000000 mmmmm nnnnn 000 ddddd 0110011", add),
    row("sub", "0100000 mmmmm nnnnn 000 ddddd 0110011", |w, l| two(w, l, BinOp::Sub64)),
    row("sll", "0000000 mmmmm nnnnn 001 ddddd 0110011", |w, l| two(w, l, BinOp::Shl64)),
    row("slt", "0000000 mmmmm nnnnn 010 ddddd 0110011", |w, l| two(w, l, BinOp::LtS)),
    row("sltu", "0000000 mmmmm nnnnn 011 ddddd 0110011", |w, l| two(w, l, BinOp::LtU)),
    row("xor", "0000000 mmmmm nnnnn 100 ddddd 0110011", |w, l| two(w, l, BinOp::Xor64)),
    row("srl", "0000000 mmmmm nnnnn 101 ddddd 0110011", |w, l| two(w, l, BinOp::Shr64)),
    row("sra", "0100000 mmmmm nnnnn 101 ddddd 0110011", |w, l| two(w, l, BinOp::Sar64)),
    row("or", "0000000 mmmmm nnnnn 110 ddddd 0110011", |w, l| two(w, l, BinOp::Or64)),
    row("and", "0000000 mmmmm nnnnn 111 ddddd 0110011", |w, l| two(w, l, BinOp::And64)),
    rv64("addw", "0000000 mmmmm nnnnn 000 ddddd 0111011", |w, l| two_words(w, l, BinOp::Add32)),
    rv64("subw", "0100000 mmmmm nnnnn 000 ddddd 0111011", |w, l| two_words(w, l, BinOp::Sub32)),
    rv64("sllw", "0000000 mmmmm nnnnn 001 ddddd 0111011", |w, l| two_words(w, l, BinOp::Shl32)),
    rv64("srlw", "0000000 mmmmm nnnnn 101 ddddd 0111011", |w, l| two_words(w, l, BinOp::Shr32)),
    rv64("sraw", "0100000 mmmmm nnnnn 101 ddddd 0111011", |w, l| two_words(w, l, BinOp::Sar32)),
    // ---- M
    row("mul", "0000001 mmmmm nnnnn 000 ddddd 0110011", |w, l| two(w, l, BinOp::Mul64)),
    row("mulh", "0000001 mmmmm nnnnn 001 ddddd 0110011", |w, l| high_product(w, l, BinOp::MulHiS)),
    row("mulhsu", "0000001 mmmmm nnnnn 010 ddddd 0110011", |w, l| high_product(w, l, BinOp::MulHiSU)),
    row("mulhu", "0000001 mmmmm nnnnn 011 ddddd 0110011", |w, l| high_product(w, l, BinOp::MulHiU)),
    row("div", "0000001 mmmmm nnnnn 100 ddddd 0110011", |w, l| divide(w, l, BinOp::DivSA64, Width::Whole)),
    row("divu", "0000001 mmmmm nnnnn 101 ddddd 0110011", |w, l| divide(w, l, BinOp::DivUA64, Width::Whole)),
    row("rem", "0000001 mmmmm nnnnn 110 ddddd 0110011", |w, l| remainder(w, l, BinOp::DivSA64, Width::Whole)),
    row("remu", "0000001 mmmmm nnnnn 111 ddddd 0110011", |w, l| remainder(w, l, BinOp::DivUA64, Width::Whole)),
    rv64("mulw", "0000001 mmmmm nnnnn 000 ddddd 0111011", |w, l| two_words(w, l, BinOp::Mul32)),
    rv64("divw", "0000001 mmmmm nnnnn 100 ddddd 0111011", |w, l| divide(w, l, BinOp::DivSA32, Width::Word)),
    rv64("divuw", "0000001 mmmmm nnnnn 101 ddddd 0111011", |w, l| divide(w, l, BinOp::DivUA32, Width::Word)),
    rv64("remw", "0000001 mmmmm nnnnn 110 ddddd 0111011", |w, l| remainder(w, l, BinOp::DivSA32, Width::Word)),
    rv64("remuw", "0000001 mmmmm nnnnn 111 ddddd 0111011", |w, l| remainder(w, l, BinOp::DivUA32, Width::Word)),
    // ---- Zba
    row("sh1add", "0010000 mmmmm nnnnn 010 ddddd 0110011", |w, l| shift_add(w, l, Shift::Lsl, 1)),
    row("sh2add", "0010000 mmmmm nnnnn 100 ddddd 0110011", |w, l| shift_add(w, l, Shift::Lsl, 2)),
    row("sh3add", "0010000 mmmmm nnnnn 110 ddddd 0110011", |w, l| shift_add(w, l, Shift::Lsl, 3)),
    rv64("add.uw", "0000100 mmmmm nnnnn 000 ddddd 0111011", |w, l| shift_add(w, l, Shift::Uxtw, 0)),
    rv64("sh1add.uw", "0010000 mmmmm nnnnn 010 ddddd 0111011", |w, l| shift_add(w, l, Shift::Uxtw, 1)),
    rv64("sh2add.uw", "0010000 mmmmm nnnnn 100 ddddd 0111011", |w, l| shift_add(w, l, Shift::Uxtw, 2)),
    rv64("sh3add.uw", "0010000 mmmmm nnnnn 110 ddddd 0111011", |w, l| shift_add(w, l, Shift::Uxtw, 3)),
    rv64("slli.uw", "000010 iiiiii nnnnn 001 ddddd 0011011", slli_uw),
    // ---- Zbb
    row("andn", "0100000 mmmmm nnnnn 111 ddddd 0110011", |w, l| two(w, l, BinOp::AndNot64)),
    row("orn", "0100000 mmmmm nnnnn 110 ddddd 0110011", |w, l| two(w, l, BinOp::OrNot64)),
    row("xnor", "0100000 mmmmm nnnnn 100 ddddd 0110011", |w, l| two(w, l, BinOp::XorNot64)),
    row("clz", "0110000 00000 nnnnn 001 ddddd 0010011", |w, l| one(w, l, UnOp::Clz64)),
    row("ctz", "0110000 00001 nnnnn 001 ddddd 0010011", ctz),
    row("cpop", "0110000 00010 nnnnn 001 ddddd 0010011", |w, l| one(w, l, UnOp::Popcnt64)),
    row("sext.b", "0110000 00100 nnnnn 001 ddddd 0010011", |w, l| one(w, l, UnOp::Sext8)),
    row("sext.h", "0110000 00101 nnnnn 001 ddddd 0010011", |w, l| one(w, l, UnOp::Sext16)),
    rv64("zext.h", "0000100 00000 nnnnn 100 ddddd 0111011", |w, l| one(w, l, UnOp::Zext16)),
    rv32("zext.h", "0000100 00000 nnnnn 100 ddddd 0110011", |w, l| one(w, l, UnOp::Zext16)),
    rv64("clzw", "0110000 00000 nnnnn 001 ddddd 0011011", |w, l| one(w, l, UnOp::Clz32)),
    rv64("ctzw", "0110000 00001 nnnnn 001 ddddd 0011011", ctzw),
    rv64("cpopw", "0110000 00010 nnnnn 001 ddddd 0011011", cpopw),
    row("min", "0000101 mmmmm nnnnn 100 ddddd 0110011", |w, l| extreme(w, l, BinOp::LtS, false)),
    row("minu", "0000101 mmmmm nnnnn 101 ddddd 0110011", |w, l| extreme(w, l, BinOp::LtU, false)),
    row("max", "0000101 mmmmm nnnnn 110 ddddd 0110011", |w, l| extreme(w, l, BinOp::LtS, true)),
    row("maxu", "0000101 mmmmm nnnnn 111 ddddd 0110011", |w, l| extreme(w, l, BinOp::LtU, true)),
    row("rol", "0110000 mmmmm nnnnn 001 ddddd 0110011", |w, l| rotate_left(w, l, BinOp::Ror64)),
    row("ror", "0110000 mmmmm nnnnn 101 ddddd 0110011", |w, l| two(w, l, BinOp::Ror64)),
    row("rori", "011000 iiiiii nnnnn 101 ddddd 0010011", |w, l| shift(w, l, BinOp::Ror64)),
    rv64("rolw", "0110000 mmmmm nnnnn 001 ddddd 0111011", rolw),
    rv64("rorw", "0110000 mmmmm nnnnn 101 ddddd 0111011", |w, l| two_words(w, l, BinOp::Ror32)),
    rv64("roriw", "0110000 iiiii nnnnn 101 ddddd 0011011", |w, l| shift_word(w, l, BinOp::Ror32)),
    rv64("rev8", "011010 111000 nnnnn 101 ddddd 0010011", |w, l| one(w, l, UnOp::Bswap64)),
    rv32("rev8", "011010 011000 nnnnn 101 ddddd 0010011", |w, l| one(w, l, UnOp::Bswap32)),
    row("orc.b", "001010 000111 nnnnn 101 ddddd 0010011", orc_b),
    // ---- Zbc
    row("clmul", "0000101 mmmmm nnnnn 001 ddddd 0110011", |w, l| carryless(w, l, Part::Low)),
    row("clmulr", "0000101 mmmmm nnnnn 010 ddddd 0110011", |w, l| carryless(w, l, Part::Reversed)),
    row("clmulh", "0000101 mmmmm nnnnn 011 ddddd 0110011", |w, l| carryless(w, l, Part::High)),
    // ---- Zbs
    row("bclr", "0100100 mmmmm nnnnn 001 ddddd 0110011", |w, l| single_bit(w, l, BinOp::AndNot64)),
    row("binv", "0110100 mmmmm nnnnn 001 ddddd 0110011", |w, l| single_bit(w, l, BinOp::Xor64)),
    row("bset", "0010100 mmmmm nnnnn 001 ddddd 0110011", |w, l| single_bit(w, l, BinOp::Or64)),
    row("bext", "0100100 mmmmm nnnnn 101 ddddd 0110011", bext),
    row("bclri", "010010 iiiiii nnnnn 001 ddddd 0010011", |w, l| single_bit_immediate(w, l, BinOp::AndNot64)),
    row("binvi", "011010 iiiiii nnnnn 001 ddddd 0010011", |w, l| single_bit_immediate(w, l, BinOp::Xor64)),
    row("bseti", "001010 iiiiii nnnnn 001 ddddd 0010011", |w, l| single_bit_immediate(w, l, BinOp::Or64)),
    row("bexti", "010010 iiiiii nnnnn 101 ddddd 0010011", bexti),
    // ---- Zicond
    row("czero.eqz", "0000111 mmmmm nnnnn 101 ddddd 0110011", |w, l| {
        compute(w, l, |_, d, a, c| Uop::Select { d, c, a, b: slot::ZERO })
    }),
    row("czero.nez", "0000111 mmmmm nnnnn 111 ddddd 0110011", |w, l| {
        compute(w, l, |_, d, b, c| Uop::Select { d, c, a: slot::ZERO, b })
    }),
];

type Lifted = Result<(), Undefined>;

/// Appends the last micro-op of a computation of two registers, unless it writes x0.
fn compute(w: u32, l: &mut Lift<'_>, last: impl FnOnce(&mut Lift<'_>, X, X, X) -> Uop) -> Lifted {
    if rd(w) != 0 {
        let uop = last(l, source(rd(w)), source(rs1(w)), source(rs2(w)));
        l.push(uop);
    }
    Ok(())
}

fn lui(w: u32, l: &mut Lift<'_>) -> Lifted {
    compute(w, l, |l, d, _, _| Uop::MovI { d, imm: l.xlen.value((signed(w, 12, 20) << 12) as u64) })
}

fn auipc(w: u32, l: &mut Lift<'_>) -> Lifted {
    let imm = l.xlen.value(l.pc.wrapping_add_signed(signed(w, 12, 20) << 12));
    compute(w, l, |_, d, _, _| Uop::MovI { d, imm })
}

/// Also `li`, `mv` and `nop`.
fn addi(w: u32, l: &mut Lift<'_>) -> Lifted {
    match (rs1(w), imm_i(w)) {
        (0, imm) => compute(w, l, |l, d, _, _| Uop::MovI { d, imm: l.xlen.value(imm as u64) }),
        (_, 0) if rd(w) != 0 => {
            mov(l, source(rd(w)), source(rs1(w)));
            Ok(())
        }
        _ => immediate(w, l, BinOp::Add64),
    }
}

/// Also what `c.mv` stands for.
fn add(w: u32, l: &mut Lift<'_>) -> Lifted {
    if rs1(w) == 0 && rd(w) != 0 {
        mov(l, source(rd(w)), source(rs2(w)));
        return Ok(());
    }
    two(w, l, BinOp::Add64)
}

fn immediate(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    compute(w, l, |l, d, a, _| {
        let a = comparable(l, op, a);
        let imm = if op == BinOp::LtS { imm_i(w) as u64 } else { l.xlen.value(imm_i(w) as u64) };
        Uop::BinI { op: l.xlen.binary(op), d, a, imm }
    })
}

/// The number of a bit, of which there are as many as registers have; others are reserved.
fn bit_number(w: u32, l: &Lift<'_>) -> Result<u8, Undefined> {
    let n = field(w, 20, 6) as u8;
    if n < l.xlen.bits() { Ok(n) } else { Err(Undefined) }
}

fn shift(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    let n = bit_number(w, l)?;
    compute(w, l, |l, d, a, _| Uop::BinI { op: l.xlen.binary(op), d, a, imm: n.into() })
}

/// Also `sext.w`, which adds nothing.
fn addiw(w: u32, l: &mut Lift<'_>) -> Lifted {
    compute(w, l, |l, d, a, _| {
        let imm = imm_i(w) as u64;
        if imm == 0 {
            return Uop::Un { op: UnOp::Sext32, d, a };
        }
        l.push(Uop::BinI { op: BinOp::Add32, d, a, imm });
        Uop::Un { op: UnOp::Sext32, d, a: d }
    })
}

fn shift_word(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    compute(w, l, |l, d, a, _| {
        l.push(Uop::BinI { op, d, a, imm: field(w, 20, 5).into() });
        Uop::Un { op: UnOp::Sext32, d, a: d }
    })
}

fn one(w: u32, l: &mut Lift<'_>, op: UnOp) -> Lifted {
    compute(w, l, |l, d, a, _| {
        if l.xlen == Xlen::Rv64 || !matches!(op, UnOp::Sext8 | UnOp::Sext16) {
            return Uop::Un { op: l.xlen.unary(op), d, a };
        }
        l.push(Uop::Un { op, d, a });
        Uop::Un { op: UnOp::Zext32, d, a: d }
    })
}

fn two(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    compute(w, l, |l, d, a, b| {
        let (a, b) = (comparable(l, op, a), comparable(l, op, b));
        Uop::Bin { op: l.xlen.binary(op), d, a, b }
    })
}

/// The upper half of a product, which of two words is that of a register.
fn high_product(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    if l.xlen == Xlen::Rv64 {
        return two(w, l, op);
    }
    compute(w, l, |l, d, a, b| {
        let product = l.temp();
        let (op, a) = match op {
            BinOp::MulHiS => (BinOp::MulS32to64, a),
            BinOp::MulHiU => (BinOp::MulU32to64, a),
            _ => {
                l.push(Uop::Un { op: UnOp::Sext32, d: product, a });
                (BinOp::Mul64, product)
            }
        };
        l.push(Uop::Bin { op, d: product, a, b });
        Uop::BinI { op: BinOp::Shr64, d, a: product, imm: 32 }
    })
}

fn two_words(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    compute(w, l, |l, d, a, b| {
        l.push(Uop::Bin { op, d, a, b });
        Uop::Un { op: UnOp::Sext32, d, a: d }
    })
}

/// What is divided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    /// The low halves of registers of 64 bits.
    Word,
    /// Registers.
    Whole,
}

/// A quotient, which is all ones if the divisor is zero; `op` gives 0 then.
fn divide(w: u32, l: &mut Lift<'_>, op: BinOp, width: Width) -> Lifted {
    if rd(w) == 0 {
        return Ok(());
    }
    let (d, a, b) = (source(rd(w)), source(rs1(w)), source(rs2(w)));
    let divisor = if width == Width::Word && b != slot::ZERO {
        let low = l.temp();
        l.push(Uop::Un { op: UnOp::Zext32, d: low, a: b });
        low
    } else {
        b
    };
    let (quotient, ones) = (l.temp(), l.temp());
    l.push(Uop::Un { op: UnOp::IsZero, d: ones, a: divisor });
    let (op, negative) = (l.xlen.binary(op), l.xlen.unary(UnOp::Neg64));
    l.push(Uop::Un { op: negative, d: ones, a: ones });
    l.push(Uop::Bin { op, d: quotient, a, b });
    l.push(Uop::Bin { op: BinOp::Or64, d, a: quotient, b: ones });
    if width == Width::Word {
        extend_word(l, d);
    }
    Ok(())
}

/// A remainder, which is the dividend if the divisor is zero: `op` gives a quotient of 0 then.
fn remainder(w: u32, l: &mut Lift<'_>, op: BinOp, width: Width) -> Lifted {
    if rd(w) == 0 {
        return Ok(());
    }
    let (d, a, b) = (source(rd(w)), source(rs1(w)), source(rs2(w)));
    let quotient = l.temp();
    let op = l.xlen.binary(op);
    l.push(Uop::Bin { op, d: quotient, a, b });
    l.push(Uop::MulSub64 { d, a: quotient, b, c: a });
    if width == Width::Word || l.xlen == Xlen::Rv32 {
        extend_word(l, d);
    }
    Ok(())
}

/// rs2 plus rs1 shifted left, as a whole or its low half.
fn shift_add(w: u32, l: &mut Lift<'_>, shift: Shift, n: u8) -> Lifted {
    compute(w, l, |l, d, b, a| Uop::BinSh { op: l.xlen.binary(BinOp::Add64), d, a, b, shift, n })
}

fn slli_uw(w: u32, l: &mut Lift<'_>) -> Lifted {
    compute(w, l, |l, d, a, _| {
        l.push(Uop::Un { op: UnOp::Zext32, d, a });
        Uop::BinI { op: BinOp::Shl64, d, a: d, imm: field(w, 20, 6).into() }
    })
}

fn ctz(w: u32, l: &mut Lift<'_>) -> Lifted {
    if l.xlen == Xlen::Rv32 { ctzw(w, l) } else { one(w, l, UnOp::Ctz64) }
}

/// A one above the word makes 32 of no zeros.
fn ctzw(w: u32, l: &mut Lift<'_>) -> Lifted {
    compute(w, l, |l, d, a, _| {
        l.push(Uop::BinI { op: BinOp::Or64, d, a, imm: 1 << 32 });
        Uop::Un { op: UnOp::Ctz64, d, a: d }
    })
}

fn cpopw(w: u32, l: &mut Lift<'_>) -> Lifted {
    compute(w, l, |l, d, a, _| {
        l.push(Uop::Un { op: UnOp::Zext32, d, a });
        Uop::Un { op: UnOp::Popcnt64, d, a: d }
    })
}

fn extreme(w: u32, l: &mut Lift<'_>, less: BinOp, largest: bool) -> Lifted {
    compute(w, l, |l, d, a, b| {
        let (x, y) = (comparable(l, less, a), comparable(l, less, b));
        let c = l.temp();
        l.push(Uop::Bin { op: less, d: c, a: x, b: y });
        if largest { Uop::Select { d, c, a: b, b: a } } else { Uop::Select { d, c, a, b } }
    })
}

fn rotate_left(w: u32, l: &mut Lift<'_>, right: BinOp) -> Lifted {
    compute(w, l, |l, d, a, b| {
        let t = l.temp();
        l.push(Uop::Un { op: UnOp::Neg64, d: t, a: b });
        Uop::Bin { op: l.xlen.binary(right), d, a, b: t }
    })
}

fn rolw(w: u32, l: &mut Lift<'_>) -> Lifted {
    rotate_left(w, l, BinOp::Ror32)?;
    if rd(w) != 0 {
        extend_word(l, source(rd(w)));
    }
    Ok(())
}

/// Each byte that is not zero has its highest bit set by adding all ones but that bit, if it has not had it before.
fn orc_b(w: u32, l: &mut Lift<'_>) -> Lifted {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    compute(w, l, |l, d, a, _| {
        let t = l.temp();
        l.push(Uop::BinI { op: BinOp::And64, d: t, a, imm: LOW });
        l.push(Uop::BinI { op: BinOp::Add64, d: t, a: t, imm: LOW });
        l.push(Uop::Bin { op: BinOp::Or64, d: t, a: t, b: a });
        l.push(Uop::BinI { op: BinOp::And64, d: t, a: t, imm: !LOW });
        l.push(Uop::BinI { op: BinOp::Shr64, d: t, a: t, imm: 7 });
        Uop::BinI { op: BinOp::Mul64, d, a: t, imm: 0xff }
    })
}

/// Which bits of a carry-less product.
#[derive(Clone, Copy)]
enum Part {
    Low,
    High,
    /// From the middle: the upper half with one bit more below it, and one less above.
    Reversed,
}

fn carryless(w: u32, l: &mut Lift<'_>, part: Part) -> Lifted {
    compute(w, l, |l, d, a, b| {
        let (x, y) = (l.vtemp(), l.vtemp());
        l.push(Uop::Xv { op: XvOp::Mov, t: Lanes::D, d: x, a, imm: 0 });
        l.push(Uop::Xv { op: XvOp::Mov, t: Lanes::D, d: y, a: b, imm: 0 });
        l.push(Uop::V2 { op: V2Op::MulLongP, t: Lanes::D1, d: x, a: x, b: y, imm: 0 });
        let get = |d: X, half: u32| Uop::Vx { op: VxOp::Get, t: Lanes::D2, d, a: x, imm: half };
        if l.xlen == Xlen::Rv32 {
            // The whole product.
            l.push(get(d, 0));
        }
        match (l.xlen, part) {
            (Xlen::Rv32, Part::Low) => Uop::Un { op: UnOp::Zext32, d, a: d },
            (Xlen::Rv32, Part::High) => Uop::BinI { op: BinOp::Shr64, d, a: d, imm: 32 },
            (Xlen::Rv32, Part::Reversed) => Uop::BfxU { d, a: d, lsb: 31, len: 32 },
            (Xlen::Rv64, Part::Low) => get(d, 0),
            (Xlen::Rv64, Part::High) => get(d, 1),
            (Xlen::Rv64, Part::Reversed) => {
                let (low, high) = (l.temp(), l.temp());
                l.push(get(low, 0));
                l.push(get(high, 1));
                Uop::Extr64 { d, a: high, b: low, n: 63 }
            }
        }
    })
}

fn single_bit(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    compute(w, l, |l, d, a, b| {
        let bit = l.constant(1);
        let shift = l.xlen.binary(BinOp::Shl64);
        l.push(Uop::Bin { op: shift, d: bit, a: bit, b });
        Uop::Bin { op, d, a, b: bit }
    })
}

fn single_bit_immediate(w: u32, l: &mut Lift<'_>, op: BinOp) -> Lifted {
    let n = bit_number(w, l)?;
    compute(w, l, |_, d, a, _| Uop::BinI { op, d, a, imm: 1 << n })
}

fn bext(w: u32, l: &mut Lift<'_>) -> Lifted {
    compute(w, l, |l, d, a, b| {
        let shift = l.xlen.binary(BinOp::Shr64);
        l.push(Uop::Bin { op: shift, d, a, b });
        Uop::BinI { op: BinOp::And64, d, a: d, imm: 1 }
    })
}

fn bexti(w: u32, l: &mut Lift<'_>) -> Lifted {
    let n = bit_number(w, l)?;
    compute(w, l, |_, d, a, _| Uop::BfxU { d, a, lsb: n, len: 1 })
}
