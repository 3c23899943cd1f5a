//! Branches, and the instructions that raise exceptions.

use super::{bit, field, rd, reg_or_zero, rn, signed};
use crate::block::Lift;
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{Cc, JumpHint, Trap, UnOp, Uop};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    // Conditional branch (immediate)
    row("b_cond", "01010100 iiiiiiiiiiiiiiiiiii 0 cccc", b_cond),
    // Exception generation
    row("svc", "11010100 000 iiiiiiiiiiiiiiii 000 01", svc),
    row("brk", "11010100 001 iiiiiiiiiiiiiiii 000 00", brk),
    row("hlt", "11010100 010 iiiiiiiiiiiiiiii 000 00", hlt),
    // Unconditional branch (register)
    row("br", "1101011 0000 11111 000000 nnnnn 00000", br),
    row("blr", "1101011 0001 11111 000000 nnnnn 00000", blr),
    row("ret", "1101011 0010 11111 000000 nnnnn 00000", ret),
    // Unconditional branch (immediate)
    row("b", "0 00101 iiiiiiiiiiiiiiiiiiiiiiiiii", b),
    row("bl", "1 00101 iiiiiiiiiiiiiiiiiiiiiiiiii", bl),
    // Compare and branch (immediate)
    row("cbz", "z 011010 0 iiiiiiiiiiiiiiiiiii ttttt", cbz),
    row("cbnz", "z 011010 1 iiiiiiiiiiiiiiiiiii ttttt", cbz),
    // Test and branch (immediate)
    row("tbz", "b 011011 0 bbbbb iiiiiiiiiiiiii ttttt", tbz),
    row("tbnz", "b 011011 1 bbbbb iiiiiiiiiiiiii ttttt", tbz),
];

/// The link register.
const LINK: u8 = 30;

type Lifted = Result<(), Undefined>;

/// The target whose word offset is in the `len` bits from bit `lsb`.
fn target(insn: u32, lift: &Lift<'_>, lsb: u32, len: u32) -> u64 {
    lift.pc.wrapping_add_signed(signed(insn, lsb, len) << 2)
}

fn b_cond(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let target = target(insn, lift, 5, 19);
    lift.push(match Cc::ALL[field(insn, 0, 4) as usize] {
        Cc::Al | Cc::Nv => Uop::Jump { hint: JumpHint::Jump, target },
        cc => Uop::BrCc { cc, target },
    });
    Ok(())
}

fn svc(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::Syscall { imm: field(insn, 5, 16) });
    Ok(())
}

fn brk(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::Trap { kind: Trap::Breakpoint, imm: u64::from(field(insn, 5, 16)) });
    Ok(())
}

fn hlt(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::Trap { kind: Trap::Halt, imm: u64::from(field(insn, 5, 16)) });
    Ok(())
}

fn br(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::JumpInd { hint: JumpHint::Jump, a: reg_or_zero(rn(insn)) });
    Ok(())
}

fn blr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let mut a = reg_or_zero(rn(insn));
    if a == LINK {
        let target = lift.temp();
        lift.push(Uop::Un { op: UnOp::Mov, d: target, a });
        a = target;
    }
    lift.push(Uop::MovI { d: LINK, imm: lift.next });
    lift.push(Uop::JumpInd { hint: JumpHint::Call, a });
    Ok(())
}

fn ret(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::JumpInd { hint: JumpHint::Return, a: reg_or_zero(rn(insn)) });
    Ok(())
}

fn b(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::Jump { hint: JumpHint::Jump, target: target(insn, lift, 0, 26) });
    Ok(())
}

fn bl(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::MovI { d: LINK, imm: lift.next });
    lift.push(Uop::Jump { hint: JumpHint::Call, target: target(insn, lift, 0, 26) });
    Ok(())
}

fn cbz(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let target = target(insn, lift, 5, 19);
    let mut a = reg_or_zero(rd(insn));
    if !bit(insn, 31) && rd(insn) != 31 {
        let low = lift.temp();
        lift.push(Uop::Un { op: UnOp::Zext32, d: low, a });
        a = low;
    }
    lift.push(Uop::BrZero { nz: bit(insn, 24), a, target });
    Ok(())
}

fn tbz(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let target = target(insn, lift, 5, 14);
    let number = field(insn, 31, 1) << 5 | field(insn, 19, 5);
    lift.push(Uop::BrBit { set: bit(insn, 24), bit: number as u8, a: reg_or_zero(rd(insn)), target });
    Ok(())
}
