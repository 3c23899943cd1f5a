//! Jumps and branches.

use super::{Lift, bit, comparable, field, imm_i, rd, rs1, rs2, signed, source};
use crate::isa::riscv::table::{Row, Undefined, row};
use crate::uop::{BinOp, JumpHint, Uop, slot};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("jal", "iiiiiiiiiiiiiiiiiiii ddddd 1101111", jal),
    row("jalr", "iiiiiiiiiiii nnnnn 000 ddddd 1100111", jalr),
    row("beq", "iiiiiii mmmmm nnnnn 000 iiiii 1100011", |w, l| branch(w, l, BinOp::Eq, true)),
    row("bne", "iiiiiii mmmmm nnnnn 001 iiiii 1100011", |w, l| branch(w, l, BinOp::Ne, true)),
    row("blt", "iiiiiii mmmmm nnnnn 100 iiiii 1100011", |w, l| branch(w, l, BinOp::LtS, true)),
    row("bge", "iiiiiii mmmmm nnnnn 101 iiiii 1100011", |w, l| branch(w, l, BinOp::LtS, false)),
    row("bltu", "iiiiiii mmmmm nnnnn 110 iiiii 1100011", |w, l| branch(w, l, BinOp::LtU, true)),
    row("bgeu", "iiiiiii mmmmm nnnnn 111 iiiii 1100011", |w, l| branch(w, l, BinOp::LtU, false)),
];

type Lifted = Result<(), Undefined>;

/// True for the registers that hold return addresses by convention, which is all that tells calls and returns from other
/// jumps: `ra`, and `t0` for the calls that save registers.
const fn is_link(register: u32) -> bool {
    register == 1 || register == 5
}

/// Writes the return address, and says what jump it is.
fn link(w: u32, l: &mut Lift<'_>) -> JumpHint {
    if rd(w) != 0 {
        let imm = l.xlen.value(l.next);
        l.push(Uop::MovI { d: source(rd(w)), imm });
    }
    if is_link(rd(w)) { JumpHint::Call } else { JumpHint::Jump }
}

/// The address so far from the instruction.
fn target(l: &Lift<'_>, offset: i64) -> u64 {
    l.xlen.value(l.pc.wrapping_add_signed(offset))
}

fn jal(w: u32, l: &mut Lift<'_>) -> Lifted {
    let low = field(w, 21, 10) << 1 | field(w, 20, 1) << 11 | field(w, 12, 8) << 12;
    let target = target(l, signed(w, 31, 1) << 20 | i64::from(low));
    let hint = link(w, l);
    l.push(Uop::Jump { hint, target });
    Ok(())
}

fn jalr(w: u32, l: &mut Lift<'_>) -> Lifted {
    // The target is computed before the return address is written, and its lowest bit is ignored.
    let a = l.temp();
    match (rs1(w), imm_i(w)) {
        (0, imm) => {
            let imm = l.xlen.value(imm as u64 & !1);
            l.push(Uop::MovI { d: a, imm });
        }
        (base, imm) => {
            let mut base = source(base);
            if imm != 0 {
                let op = l.xlen.binary(BinOp::Add64);
                l.push(Uop::BinI { op, d: a, a: base, imm: imm as u64 });
                base = a;
            }
            l.push(Uop::BinI { op: BinOp::And64, d: a, a: base, imm: !1 });
        }
    }
    let hint = match link(w, l) {
        JumpHint::Jump if rd(w) == 0 && is_link(rs1(w)) => JumpHint::Return,
        hint => hint,
    };
    l.push(Uop::JumpInd { hint, a });
    Ok(())
}

fn branch(w: u32, l: &mut Lift<'_>, op: BinOp, holds: bool) -> Lifted {
    let low = field(w, 8, 4) << 1 | field(w, 25, 6) << 5 | u32::from(bit(w, 7)) << 11;
    let target = target(l, signed(w, 31, 1) << 12 | i64::from(low));
    let (a, b) = (source(rs1(w)), source(rs2(w)));
    let uop = match (op, a, b) {
        (BinOp::Eq, a, slot::ZERO) | (BinOp::Eq, slot::ZERO, a) => Uop::BrZero { nz: false, a, target },
        (BinOp::Ne, a, slot::ZERO) | (BinOp::Ne, slot::ZERO, a) => Uop::BrZero { nz: true, a, target },
        (BinOp::LtS, a, slot::ZERO) => Uop::BrBit { set: holds, bit: l.xlen.bits() - 1, a, target },
        _ => {
            let (a, b) = (comparable(l, op, a), comparable(l, op, b));
            let truth = l.temp();
            l.push(Uop::Bin { op, d: truth, a, b });
            Uop::BrZero { nz: holds, a: truth, target }
        }
    };
    l.push(uop);
    Ok(())
}
