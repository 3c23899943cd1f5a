//! System calls, traps, fences, cache blocks (Zicbom, Zicboz), and control and status registers (Zicsr).
//!
//! Prefetches (Zicbop) and `pause` (Zihintpause) are encodings of other instructions that have no effect.

use super::{Lift, bit, destination, field, mov, rd, rs1, source};
use crate::isa::riscv::system::{FCSR, FFLAGS, FRM, is_readable, is_writable};
use crate::isa::riscv::table::{Row, Undefined, row};
use crate::uop::{BinOp, Fence, MemTy, Trap, UnOp, Uop, X, slot};

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("fence", "mmmm pppp ssss nnnnn 000 ddddd 0001111", fence),
    row("fence.i", "iiiiiiiiiiii nnnnn 001 ddddd 0001111", fence_i),
    row("cbo.clean", "000000000001 nnnnn 010 00000 0001111", cbo),
    row("cbo.flush", "000000000010 nnnnn 010 00000 0001111", cbo),
    row("cbo.zero", "000000000100 nnnnn 010 00000 0001111", cbo_zero),
    row("ecall", "000000000000 00000 000 00000 1110011", |_, l| push(l, Uop::Syscall { imm: 0 })),
    row("ebreak", "000000000001 00000 000 00000 1110011", |_, l| push(l, Uop::Trap { kind: Trap::Breakpoint, imm: 0 })),
    row("csrrw", "rrrrrrrrrrrr nnnnn 001 ddddd 1110011", csr),
    row("csrrs", "rrrrrrrrrrrr nnnnn 010 ddddd 1110011", csr),
    row("csrrc", "rrrrrrrrrrrr nnnnn 011 ddddd 1110011", csr),
    row("csrrwi", "rrrrrrrrrrrr iiiii 101 ddddd 1110011", csr),
    row("csrrsi", "rrrrrrrrrrrr iiiii 110 ddddd 1110011", csr),
    row("csrrci", "rrrrrrrrrrrr iiiii 111 ddddd 1110011", csr),
];

type Lifted = Result<(), Undefined>;

fn push(l: &mut Lift<'_>, uop: Uop) -> Lifted {
    l.push(uop);
    Ok(())
}

/// The accesses that a fence names: those before it and those behind it, each device input, device output, reads and
/// writes. Reserved modes, and registers that a later version may give a meaning, make no difference.
fn fence(w: u32, l: &mut Lift<'_>) -> Lifted {
    let accesses = |lsb: u32| {
        let bits = field(w, lsb, 4);
        (bits & 0b1010 != 0, bits & 0b0101 != 0)
    };
    let ((reads, writes), (reads_behind, writes_behind)) = (accesses(24), accesses(20));
    // Total store ordering orders all but a write and a read behind it.
    let is_tso = field(w, 28, 4) == 8;
    if writes && reads_behind && !is_tso {
        return push(l, Uop::Fence { order: Fence::Full });
    }
    if reads && (reads_behind || writes_behind) {
        l.push(Uop::Fence { order: Fence::Load });
    }
    if writes && writes_behind {
        l.push(Uop::Fence { order: Fence::Store });
    }
    Ok(())
}

/// Ends the block, so that what follows is translated from memory as it is now.
fn fence_i(_: u32, l: &mut Lift<'_>) -> Lifted {
    push(l, Uop::Next)
}

/// Writes a block of the cache back, which has no effect that a program could see. It must be readable.
fn cbo(w: u32, l: &mut Lift<'_>) -> Lifted {
    let d = l.temp();
    push(l, Uop::Load { ty: MemTy::U8, d, a: source(rs1(w)), imm: 0 })
}

fn cbo_zero(w: u32, l: &mut Lift<'_>) -> Lifted {
    push(l, Uop::ZeroBlock { a: source(rs1(w)) })
}

/// The place of the five exception flags of `fflags` in the engine's word, from the top, in the opposite order.
const FLAGS_LSB: u64 = 64 - 5;

/// Appends the read of a register.
fn read(l: &mut Lift<'_>, d: X, reg: u32) {
    if reg == FFLAGS {
        l.push(Uop::Un { op: UnOp::Rbit64, d, a: slot::FP_STATUS });
        l.push(Uop::BinI { op: BinOp::Shr64, d, a: d, imm: FLAGS_LSB });
    } else {
        l.push(Uop::ReadSys { d, reg });
    }
}

/// Appends the write of a register.
fn write(l: &mut Lift<'_>, a: X, reg: u32) {
    if reg == FFLAGS {
        let t = l.temp();
        l.push(Uop::BinI { op: BinOp::Shl64, d: t, a, imm: FLAGS_LSB });
        l.push(Uop::Un { op: UnOp::Rbit64, d: slot::FP_STATUS, a: t });
    } else {
        l.push(Uop::WriteSys { a, reg });
    }
}

/// Reads a register unless it is only written to x0, and writes it unless it would set or clear nothing.
fn csr(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (reg, operation) = (field(w, 20, 12), field(w, 12, 2));
    let is_swap = operation == 1;
    let writes = is_swap || rs1(w) != 0;
    if !is_readable(l.xlen, reg) || (writes && !is_writable(l.xlen, reg)) {
        return Err(Undefined);
    }
    let reads = !is_swap || rd(w) != 0;
    if !writes {
        let d = destination(l, rd(w));
        read(l, d, reg);
        return Ok(());
    }
    let operand = if bit(w, 14) { l.constant(rs1(w).into()) } else { source(rs1(w)) };
    let mut new = operand;
    let old = l.temp();
    if reads {
        read(l, old, reg);
    }
    if !is_swap {
        new = l.temp();
        let op = if operation == 2 { BinOp::Or64 } else { BinOp::AndNot64 };
        l.push(Uop::Bin { op, d: new, a: old, b: operand });
    }
    write(l, new, reg);
    if rd(w) != 0 {
        mov(l, source(rd(w)), old);
    }
    if matches!(reg, FRM | FCSR) {
        // Code that follows may have been translated for the old rounding mode.
        l.push(Uop::Next);
    }
    Ok(())
}
