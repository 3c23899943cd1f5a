//! Hints, barriers, cache maintenance and system registers.

use super::{field, mov, rd, reg_or_zero};
use crate::block::Lift;
use crate::isa::aarch64::system::{FPCR, FPCR_MASK, FPSR, FPSR_MASK, NZCV, TPIDR_EL0, is_readable};
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{BinOp, Fence, Uop, slot};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    // Hints; pointer authentication and branch targets are not implemented, so theirs do nothing, too
    row("hint", "1101010100 0 00 011 0010 hhhh hhh 11111", nop),
    // Barriers
    row("clrex", "1101010100 0 00 011 0011 cccc 010 11111", clrex),
    row("dsb", "1101010100 0 00 011 0011 cccc 100 11111", barrier),
    row("dmb", "1101010100 0 00 011 0011 cccc 101 11111", barrier),
    row("isb", "1101010100 0 00 011 0011 cccc 110 11111", isb),
    row("sb", "1101010100 0 00 011 0011 cccc 111 11111", nop),
    // System instructions; cleaning the data cache has no effect that a program could see
    row("dc_zva", "1101010100 0 01 011 0111 0100 001 ttttt", dc_zva),
    row("ic_ivau", "1101010100 0 01 011 0111 0101 001 ttttt", ic_ivau),
    row("dc_cvac", "1101010100 0 01 011 0111 1010 001 ttttt", nop),
    row("dc_cvau", "1101010100 0 01 011 0111 1011 001 ttttt", nop),
    row("dc_cvap", "1101010100 0 01 011 0111 1100 001 ttttt", nop),
    row("dc_civac", "1101010100 0 01 011 0111 1110 001 ttttt", nop),
    // System register move
    row("msr", "1101010100 0 1 r rrr rrrr rrrr rrr ttttt", msr),
    row("mrs", "1101010100 1 1 r rrr rrrr rrrr rrr ttttt", mrs),
];

type Lifted = Result<(), Undefined>;

fn nop(_insn: u32, _lift: &mut Lift<'_>) -> Lifted {
    Ok(())
}

fn clrex(_insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::ClearEx);
    Ok(())
}

/// Bits 9 and 8 name the accesses: loads, stores, all. The domains make no difference to one machine.
fn barrier(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let order = match field(insn, 8, 2) {
        1 => Fence::Load,
        2 => Fence::Store,
        _ => Fence::Full,
    };
    lift.push(Uop::Fence { order });
    Ok(())
}

/// Ends the block, so that what follows is translated from memory as it is now.
fn isb(_insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::Next);
    Ok(())
}

fn dc_zva(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::ZeroBlock { a: reg_or_zero(rd(insn)) });
    Ok(())
}

fn ic_ivau(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    lift.push(Uop::IcacheInvalidate { a: reg_or_zero(rd(insn)) });
    lift.push(Uop::Next);
    Ok(())
}

/// The number of the system register.
fn register(insn: u32) -> u32 {
    field(insn, 5, 16)
}

fn msr(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let a = reg_or_zero(rd(insn));
    match register(insn) {
        NZCV => {
            let packed = lift.temp();
            lift.push(Uop::BinI { op: BinOp::Shr64, d: packed, a, imm: 28 });
            lift.push(Uop::SetNzcv { a: packed });
        }
        FPCR => {
            lift.push(Uop::BinI { op: BinOp::And64, d: slot::FP_CONTROL, a, imm: FPCR_MASK });
            // Code that follows may have been translated for the old rounding mode.
            lift.push(Uop::Next);
        }
        FPSR => lift.push(Uop::BinI { op: BinOp::And64, d: slot::FP_STATUS, a, imm: FPSR_MASK }),
        TPIDR_EL0 => mov(lift, true, slot::THREAD_POINTER, a),
        _ => return Err(Undefined),
    }
    Ok(())
}

fn mrs(insn: u32, lift: &mut Lift<'_>) -> Lifted {
    let reg = register(insn);
    let from_slot = match reg {
        NZCV => None,
        FPCR => Some(slot::FP_CONTROL),
        FPSR => Some(slot::FP_STATUS),
        TPIDR_EL0 => Some(slot::THREAD_POINTER),
        _ if is_readable(reg) => None,
        _ => return Err(Undefined),
    };
    if rd(insn) == 31 {
        return Ok(());
    }
    let d = reg_or_zero(rd(insn));
    match from_slot {
        Some(a) => mov(lift, true, d, a),
        None if reg == NZCV => {
            lift.push(Uop::GetNzcv { d });
            lift.push(Uop::BinI { op: BinOp::Shl64, d, a: d, imm: 28 });
        }
        None => lift.push(Uop::ReadSys { d, reg }),
    }
    Ok(())
}
