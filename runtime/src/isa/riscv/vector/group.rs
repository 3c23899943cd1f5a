//! Register groups: their elements, and the rules on which of them an instruction may name.

use super::config::REGISTERS;
use super::{Illegal, config};
use crate::uop::slot;

/// The vector registers.
pub(super) type File = [u128; REGISTERS];

/// Where they are among the slots.
pub(in crate::isa::riscv) const FILE: std::ops::Range<usize> = slot::VECTOR as usize..slot::VECTOR as usize + REGISTERS;

/// Elements in registers, by the number of the group's first register.
pub(super) trait Elements {
    /// Element `i` of `bits` bits, 64 at most, of the group at `register`, zero-extended.
    fn element(&self, register: u32, i: u64, bits: u32) -> u64;

    /// Replaces it by the low bits of `value`.
    fn set_element(&mut self, register: u32, i: u64, bits: u32, value: u64);

    /// Element `i` of the mask in `register`.
    fn mask(&self, register: u32, i: u64) -> bool {
        self.element(register, i, 1) != 0
    }
}

/// The index of an element's register, and the lowest of its bits there. What would be behind the last register is in the
/// first, though no legal instruction has it.
const fn place(register: u32, i: u64, bits: u32) -> (usize, u32) {
    let at = i * bits as u64;
    let index = register as u64 + at / config::VLEN as u64;
    (index as usize % REGISTERS, (at % config::VLEN as u64) as u32)
}

impl Elements for [u128] {
    fn element(&self, register: u32, i: u64, bits: u32) -> u64 {
        let (index, lsb) = place(register, i, bits);
        (self[index] >> lsb) as u64 & (u64::MAX >> (64 - bits))
    }

    fn set_element(&mut self, register: u32, i: u64, bits: u32, value: u64) {
        let (index, lsb) = place(register, i, bits);
        let mask = u128::from(u64::MAX >> (64 - bits)) << lsb;
        self[index] = self[index] & !mask | u128::from(value) << lsb & mask;
    }
}

/// A value of `bits` bits, sign-extended.
pub(super) const fn signed(bits: u32, value: u64) -> i64 {
    (value << (64 - bits)) as i64 >> (64 - bits)
}

/// Illegal unless it holds.
pub(super) fn require(holds: bool) -> Result<(), Illegal> {
    if holds { Ok(()) } else { Err(Illegal) }
}

/// The registers of a group of 2 to the power `lmul`; a part of a register is one.
pub(super) const fn size(lmul: i32) -> u32 {
    if lmul > 0 { 1 << lmul } else { 1 }
}

/// A group begins at a multiple of its size.
pub(super) fn aligned(register: u32, lmul: i32) -> bool {
    register.is_multiple_of(size(lmul))
}

/// True if two ranges of registers have one in common.
pub(super) const fn overlap(a: u32, a_size: u32, b: u32, b_size: u32) -> bool {
    a < b + b_size && b < a + a_size
}

/// True if a destination may be where it is in relation to a source of another width: elsewhere, or, where its elements are
/// wider, over the highest part of it while the source is a whole register at least.
pub(super) fn apart(vd: u32, vd_lmul: i32, vs: u32, vs_lmul: i32) -> bool {
    let (d, s) = (size(vd_lmul), size(vs_lmul));
    let is_highest = d > s && vs_lmul >= 0 && vd < vs && vs + s == vd + d;
    is_highest || !overlap(vd, d, vs, s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_where_they_are_written() {
        let mut file: File = [0; REGISTERS];
        for (bits, i) in [(8, 20), (16, 3), (32, 5), (64, 3), (1, 77)] {
            file.set_element(2, i, bits, u64::MAX);
            let at = i * u64::from(bits);
            let wanted = u128::from(u64::MAX >> (64 - bits)) << (at % 128);
            assert_eq!(file[2 + at as usize / 128], wanted);
            assert_eq!(file.element(2, i, bits), u64::MAX >> (64 - bits));
            file.set_element(2, i, bits, 0);
            assert_eq!(file, [0; REGISTERS]);
        }
    }

    #[test]
    fn a_wider_destination_may_be_over_the_end_of_its_source() {
        assert!(apart(2, 1, 3, 0) && apart(4, 2, 6, 1) && apart(2, 1, 4, 0));
        assert!(!apart(2, 1, 2, 0) && !apart(4, 2, 5, 0) && !apart(2, 1, 3, -1) && !apart(3, 0, 2, 1));
    }
}
