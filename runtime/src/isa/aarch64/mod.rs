//! AArch64 (A64 instruction set, EL0), after the Arm Architecture Reference Manual (DDI 0487).
//!
//! Implemented is what a Neoverse N1 has: Armv8.2 with AES, SHA1, SHA2, CRC32, half precision, dot products and LRCPC;
//! beyond that LRCPC2 and SB. What a program is told of it is in [`HWCAP`] and the identification registers, which say
//! the same. Not implemented: SVE, SME, pointer authentication (its hints do
//! nothing), memory tagging, big-endian data, and everything that needs privilege.

mod disasm;
mod lift;
mod procedure;
mod regs;
mod system;
mod table;

pub mod abi;

use super::{FrameRecord, InsnFacts, Isa, Parameter, Passed};
use crate::block::Lift;
use crate::cpu::CpuState;
use spile_lang::target::{Register, RegisterSlot};

pub use system::{HWCAP, HWCAP2};

/// The architecture.
pub struct AArch64;

/// The one instance of it.
pub static AARCH64: AArch64 = AArch64;

impl Isa for AArch64 {
    fn insn_len(&self, _first: u16) -> u8 {
        4
    }

    fn insn_align(&self) -> u64 {
        4
    }

    fn lift(&self, bits: u32, lift: &mut Lift<'_>) {
        table::lift(bits, lift);
    }

    fn disassemble(&self, bits: u32, pc: u64) -> String {
        disasm::disassemble(bits, pc)
    }

    fn facts(&self, bits: u32, pc: u64) -> InsnFacts {
        disasm::facts(bits, pc)
    }

    fn register_in(&self, slot: RegisterSlot) -> Option<Register> {
        regs::register_in(slot)
    }

    fn read_system(&self, cpu: &CpuState, reg: u32, ticks: u64) -> Option<u64> {
        system::read(cpu, reg, ticks)
    }

    fn write_system(&self, cpu: &mut CpuState, reg: u32, value: u64) -> bool {
        system::write(cpu, reg, value)
    }

    fn shown_registers(&self) -> &'static [&'static str] {
        regs::SHOWN
    }

    fn is_undefined(&self, bits: u32) -> bool {
        bits >> 16 == 0
    }

    fn elf_machine(&self) -> u16 {
        183
    }

    fn debug_register(&self, number: u16) -> Option<Register> {
        procedure::debug_register(number)
    }

    fn frame_record(&self) -> FrameRecord {
        procedure::FRAME_RECORD
    }

    fn plt_slot(&self, pc: u64, code: &[u8]) -> Option<u64> {
        procedure::plt_slot(pc, code)
    }

    fn passed(&self, parameters: &[Parameter]) -> Vec<Passed> {
        procedure::passed(parameters)
    }
}
