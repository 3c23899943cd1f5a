//! The configuration: `vtype`, `vl`, and the other control and status registers.

use super::Insn;
use crate::cpu::CpuState;
use crate::isa::encoding::field;
use crate::uop::slot;

/// Bits of a vector register.
pub(in crate::isa::riscv) const VLEN: u32 = 128;
/// Most bits of an element.
const ELEN: u32 = 64;
/// Registers, and bits of all of them.
pub(super) const REGISTERS: usize = 32;

/// Where the registers of [`state`] are.
pub(in crate::isa::riscv) const STATE: usize = slot::VECTOR_STATE as usize;

/// The slots from [`STATE`] on.
pub(in crate::isa::riscv) mod state {
    /// The first element that an instruction works on.
    pub(in crate::isa::riscv) const VSTART: usize = 0;
    /// How many elements it works on.
    pub(in crate::isa::riscv) const VL: usize = 1;
    /// What they are.
    pub(in crate::isa::riscv) const VTYPE: usize = 2;
    /// `vxsat` in bit 0, and above it `vxrm`.
    pub(in crate::isa::riscv) const VCSR: usize = 3;
}

/// The bit of `vtype` that says that it is no valid one.
pub(in crate::isa::riscv) const VILL: u64 = 1 << 63;

/// A valid `vtype`: the width of elements, and how many registers are one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::isa::riscv) struct Config {
    /// The width of an element in bits, as a power of two: 3 to 6.
    pub(super) sew: i32,
    /// Registers of a group, as a power of two: -3 to 3.
    pub(super) lmul: i32,
}

impl Config {
    /// Decodes a `vtype`. `None` if it is not valid.
    pub(super) fn of(vtype: u64) -> Option<Config> {
        let sew = 3 + (vtype >> 3 & 7) as i32;
        let lmul = match vtype & 7 {
            whole @ 0..4 => whole as i32,
            4 => return None,
            fraction => fraction as i32 - 8,
        };
        // Bits 6 and 7 ask for agnostic elements, which may keep their values.
        let widest = ELEN.ilog2() as i32 + lmul.min(0);
        (vtype >> 8 == 0 && sew <= widest).then_some(Config { sew, lmul })
    }

    /// The `vtype` and `vl` that a program's own ones become where it sets them otherwise than by instructions.
    pub(in crate::isa::riscv) fn valid(vtype: u64, vl: u64) -> (u64, u64) {
        Config::of(vtype).map_or((VILL, 0), |config| (vtype, vl.min(config.most())))
    }

    /// The width of an element in bits.
    pub(super) const fn bits(self) -> u32 {
        1 << self.sew
    }

    /// The number of elements of a group.
    pub(super) const fn most(self) -> u64 {
        1 << (VLEN.ilog2() as i32 + self.lmul - self.sew)
    }
}

/// `vsetvli`, `vsetivli` and `vsetvl`: returns the new `vl`.
pub(super) fn configure(insn: Insn, cpu: &mut CpuState) -> u64 {
    let [wanted, vtype] = insn.scalars;
    let is_immediate = insn.bits >> 30 == 3;
    let vtype = match insn.bits >> 30 {
        0 | 1 => field(insn.bits, 20, 11).into(),
        2 => vtype,
        _ => field(insn.bits, 20, 10).into(),
    };
    let wanted = match (insn.vs1(), insn.vd()) {
        (n, _) if is_immediate => n.into(),
        (0, 0) => cpu.x[STATE + state::VL],
        (0, _) => u64::MAX,
        _ => wanted,
    };
    let config = Config::of(vtype);
    let vl = config.map_or(0, |config| wanted.min(config.most()));
    cpu.x[STATE + state::VTYPE] = if config.is_some() { vtype } else { VILL };
    cpu.x[STATE + state::VL] = vl;
    cpu.x[STATE + state::VSTART] = 0;
    vl
}

/// A processor begins without a configuration.
pub(in crate::isa::riscv) fn reset(cpu: &mut CpuState) {
    cpu.x[STATE..STATE + 4].copy_from_slice(&[0, 0, VILL, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_valid_where_the_group_holds_an_element() {
        let valid = |vtype: u64| Config::of(vtype).map(|config| (config.bits(), config.most()));
        assert_eq!(valid(0), Some((8, 16)));
        assert_eq!(valid(0xc0 | 3 << 3 | 3), Some((64, 16)));
        // An eighth of a register holds bytes only.
        assert_eq!((valid(5), valid(1 << 3 | 5)), (Some((8, 2)), None));
        assert_eq!((valid(2 << 3 | 7), valid(3 << 3 | 7)), (Some((32, 2)), None));
        assert_eq!((valid(4), valid(4 << 3), valid(1 << 8), valid(VILL)), (None, None, None, None));
    }
}
