//! AArch64 (A64 instruction set, EL0), after the Arm Architecture Reference Manual (DDI 0487).

mod lift;
mod system;
mod table;

use super::{InsnFacts, Isa};
use crate::block::Lift;
use crate::cpu::CpuState;
use spile_lang::target::{Register, Target};

pub use system::{HWCAP, HWCAP2};

/// The architecture.
pub struct AArch64;

/// The one instance of it.
pub static AARCH64: AArch64 = AArch64;

impl Target for AArch64 {
    fn arch(&self) -> &'static str {
        "aarch64"
    }
    fn title(&self) -> &'static str {
        "AArch64"
    }
    fn register(&self, _name: &str) -> Option<Register> {
        None
    }
    fn lane(&self, _register: &str, _shape: &str, _index: u64) -> Option<Register> {
        None
    }
    fn register_names(&self) -> Vec<String> {
        Vec::new()
    }
    fn argument(&self, _n: u8) -> Option<Register> {
        None
    }
}

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
    fn disassemble(&self, bits: u32, _pc: u64) -> String {
        format!(".inst {bits:#010x}")
    }
    fn facts(&self, _bits: u32, _pc: u64) -> InsnFacts {
        InsnFacts::default()
    }
    fn read_system(&self, cpu: &CpuState, reg: u32, ticks: u64) -> Option<u64> {
        system::read(cpu, reg, ticks)
    }
    fn write_system(&self, cpu: &mut CpuState, reg: u32, value: u64) -> bool {
        system::write(cpu, reg, value)
    }
    fn shown_registers(&self) -> &'static [&'static str] {
        &[]
    }
    fn elf_machine(&self) -> u16 {
        183
    }
}
