//! Lifting: one file per group of the instruction set, and the field helpers that they share.

mod atomic;
mod branch;
mod float;
mod integer;
mod memory;
mod simd;
mod structure;
mod system;

use super::table::Row;
use crate::block::Lift;
use crate::uop::{UnOp, Uop, X, slot};

/// The rows of all groups.
pub(super) const GROUPS: &[&[Row]] =
    &[integer::ROWS, branch::ROWS, system::ROWS, memory::ROWS, atomic::ROWS, float::ROWS, simd::ROWS, structure::ROWS];

/// Bits `lsb..lsb + len` of an encoding.
pub(super) const fn field(insn: u32, lsb: u32, len: u32) -> u32 {
    insn >> lsb & (u32::MAX >> (32 - len))
}

/// Bits `lsb..lsb + len` of an encoding, sign-extended.
pub(super) const fn signed(insn: u32, lsb: u32, len: u32) -> i64 {
    ((insn << (32 - lsb - len)) as i32 >> (32 - len)) as i64
}

/// Bit `n` of an encoding.
pub(super) const fn bit(insn: u32, n: u32) -> bool {
    insn >> n & 1 != 0
}

/// The register number in bits 4 to 0: the destination, or what a load or store transfers.
pub(super) const fn rd(insn: u32) -> u32 {
    field(insn, 0, 5)
}

/// The register number in bits 9 to 5: the first operand, or the base address.
pub(super) const fn rn(insn: u32) -> u32 {
    field(insn, 5, 5)
}

/// The register number in bits 14 to 10: the third operand, or the second register of a pair.
pub(super) const fn ra(insn: u32) -> u32 {
    field(insn, 10, 5)
}

/// The register number in bits 20 to 16: the second operand.
pub(super) const fn rm(insn: u32) -> u32 {
    field(insn, 16, 5)
}

/// The slot to read general register `n` from, where 31 is the zero register.
pub(super) const fn reg_or_zero(n: u32) -> X {
    if n == 31 { slot::ZERO } else { n as X }
}

/// The slot of general register `n`, where 31 is the stack pointer.
pub(super) const fn reg_or_sp(n: u32) -> X {
    n as X
}

/// The slot to write general register `n` to: a temporary, that is nowhere, for 31, the zero register.
///
/// Instructions without other effects emit nothing for the zero register and need not ask.
pub(super) fn dest_or_drop(lift: &mut Lift<'_>, n: u32) -> X {
    if n == 31 { lift.temp() } else { n as X }
}

/// The 64-bit or the 32-bit form of an operation.
pub(super) const fn by_width<T: Copy>(wide: bool, form64: T, form32: T) -> T {
    if wide { form64 } else { form32 }
}

/// Appends `d = a`, of the low half only unless `wide`.
pub(super) fn mov(lift: &mut Lift<'_>, wide: bool, d: X, a: X) {
    if a == slot::ZERO {
        lift.push(Uop::MovI { d, imm: 0 });
    } else if !wide || d != a {
        lift.push(Uop::Un { op: by_width(wide, UnOp::Mov, UnOp::Zext32), d, a });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Lift;
    use crate::isa::aarch64::table;
    use crate::uop::Operand;

    /// True if a start of the instruction from the beginning would see that this was written.
    fn is_guest_state(operand: Operand) -> bool {
        match operand {
            Operand::DefX(x) => x < slot::TEMP,
            Operand::DefV(v) => v < slot::VTEMP,
            Operand::DefFlags => true,
            Operand::UseX(_) | Operand::UseV(_) | Operand::UseFlags => false,
        }
    }

    /// The restart rule of [`crate::uop`].
    #[test]
    fn nothing_is_written_before_the_last_chance_to_leave() {
        let mut random = 1u64;
        for row in table::rows() {
            for _ in 0..300 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let bits = row.value | (random >> 32) as u32 & !row.mask;
                let mut uops = Vec::new();
                table::lift(bits, &mut Lift::new(&mut uops, 0, 4));
                let last = uops.iter().rposition(Uop::can_leave).unwrap_or(0);
                for uop in &uops[..last] {
                    let leaves = uop.can_leave();
                    uop.operands(|operand| {
                        assert!(!is_guest_state(operand), "`{}` {bits:#010x}: {uop:?} (leaves: {leaves})", row.name);
                    });
                }
            }
        }
    }

    #[test]
    fn temporaries_are_written_before_they_are_read() {
        let mut random = 2u64;
        for row in table::rows() {
            for _ in 0..100 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let bits = row.value | (random >> 32) as u32 & !row.mask;
                let mut uops = Vec::new();
                table::lift(bits, &mut Lift::new(&mut uops, 0, 4));
                let mut written = Vec::new();
                for uop in &uops {
                    // Operations that replace the whole register list it as used.
                    let replaces = matches!(uop, Uop::Xv { op, .. } if *op != crate::vector::XvOp::Insert);
                    uop.operands(|operand| match operand {
                        Operand::DefX(x) => written.push((false, x)),
                        Operand::DefV(v) => written.push((true, v)),
                        Operand::UseX(x) if x >= slot::TEMP => assert!(written.contains(&(false, x)), "{bits:#010x}"),
                        Operand::UseV(v) if v >= slot::VTEMP && !replaces => {
                            assert!(written.contains(&(true, v)), "{bits:#010x}");
                        }
                        _ => {}
                    });
                }
            }
        }
    }
}
