//! The vector extension, version 1.0, after "RISC-V "V" Vector Extension": VLEN is 128, ELEN is 64.
//!
//! An instruction becomes one [`Uop::Vector`], since what it does depends on `vtype` and `vl`, which are known when it is
//! executed: [`execute`] is its reference function, for both tiers. [`table`] has the operations, a row each, with the
//! function of an element in [`integer`], [`fixed`] and [`float`]; [`arithmetic`] applies them to the elements of register
//! groups, [`permute`] and [`mask`] are what concerns more than one element, [`memory`] loads and stores, and [`config`] is
//! `vtype` and `vl`.
//!
//! Elements of the tail and masked-off elements keep their values, whether they are agnostic or not. Where the manual
//! reserves an encoding it is illegal, but for two source operands of one register at different widths, which work.
//!
//! [`Uop::Vector`]: crate::uop::Uop::Vector

mod arithmetic;
pub(super) mod config;
mod fixed;
mod float;
pub(super) mod group;
mod integer;
pub(super) mod lift;
mod mask;
mod memory;
mod permute;
mod table;
#[cfg(test)]
mod tests;

use crate::cpu::CpuState;
use crate::env::TrapEvent;
use crate::isa::VectorAccess;
use crate::isa::encoding::field;
use crate::mem::GuestMemory;
use config::{Config, STATE, state};
use group::{Elements, FILE};

/// The opcodes that memory instructions share with those of scalar floating point.
const LOAD: u32 = 0b000_0111;
const STORE: u32 = 0b010_0111;

/// Says that an instruction is illegal as things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Illegal;

/// An instruction and its operands that are no vector registers.
#[derive(Clone, Copy)]
struct Insn {
    bits: u32,
    /// The integer or floating-point register of the field `rs1`, and the integer register of `rs2`.
    scalars: [u64; 2],
}

impl Insn {
    const fn vd(self) -> u32 {
        field(self.bits, 7, 5)
    }

    /// The field of the first operand, which may be an immediate or say which operation it is.
    const fn vs1(self) -> u32 {
        field(self.bits, 15, 5)
    }

    const fn vs2(self) -> u32 {
        field(self.bits, 20, 5)
    }

    /// True if v0 says which elements take part.
    const fn is_masked(self) -> bool {
        self.bits >> 25 & 1 == 0
    }

    const fn funct3(self) -> u32 {
        field(self.bits, 12, 3)
    }
}

/// Executes an instruction; see [`crate::isa::Isa::vector`].
pub(super) fn execute(
    bits: u32,
    scalars: [u64; 2],
    cpu: &mut CpuState,
    memory: &GuestMemory,
) -> Result<u64, TrapEvent> {
    let insn = Insn { bits, scalars };
    if matches!(bits & 0x7f, LOAD | STORE) {
        return memory::execute(insn, cpu, memory).map(|()| 0);
    }
    if insn.funct3() == lift::CONFIGURE {
        return Ok(config::configure(insn, cpu));
    }
    arithmetic::execute(insn, cpu).map_err(|Illegal| TrapEvent::Illegal(bits))
}

/// See [`crate::isa::Isa::vector_accesses`].
pub(super) fn accesses(
    bits: u32,
    scalars: [u64; 2],
    cpu: &CpuState,
    memory: &GuestMemory,
    f: &mut dyn FnMut(VectorAccess) -> bool,
) {
    if matches!(bits & 0x7f, LOAD | STORE) {
        memory::accesses(Insn { bits, scalars }, cpu, memory, f);
    }
}

/// See [`crate::isa::Isa::vector_element`].
pub(super) fn element(cpu: &CpuState, VectorAccess { size, register, index, .. }: VectorAccess) -> u64 {
    cpu.v[FILE].element(register.into(), index.into(), size as u32 * 8)
}

/// The configuration of the moment, which must be a valid one.
fn configuration(cpu: &CpuState) -> Result<Config, Illegal> {
    Config::of(cpu.x[STATE + state::VTYPE]).ok_or(Illegal)
}
