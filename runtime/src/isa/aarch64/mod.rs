//! AArch64 (A64 instruction set, EL0), after the Arm Architecture Reference Manual (DDI 0487).

pub mod abi;

use super::{InsnFacts, Isa};
use crate::block::Lift;
use crate::cpu::CpuState;
use crate::uop::{Trap, Uop};
use spile_lang::target::{Register, Target};

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
        lift.push(Uop::Trap { kind: Trap::Illegal, imm: u64::from(bits) });
    }
    fn disassemble(&self, bits: u32, _pc: u64) -> String {
        format!(".inst {bits:#010x}")
    }
    fn facts(&self, _bits: u32, _pc: u64) -> InsnFacts {
        InsnFacts::default()
    }
    fn read_system(&self, _cpu: &CpuState, _reg: u32, _ticks: u64) -> Option<u64> {
        None
    }
    fn write_system(&self, _cpu: &mut CpuState, _reg: u32, _value: u64) -> bool {
        false
    }
    fn shown_registers(&self) -> &'static [&'static str] {
        &[]
    }
    fn elf_machine(&self) -> u16 {
        183
    }
}
