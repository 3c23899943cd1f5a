//! RISC-V with registers of 64 or 32 bits (RV64GCV and RV32GC, unprivileged), after "The RISC-V Instruction Set Manual,
//! Volume I".
//!
//! Implemented is IMAFDC with Zicsr and Zifencei, Zba, Zbb, Zbc, Zbs, Zicond, Zicbom, Zicbop, Zicboz, Zihintpause and Zfa,
//! and with 64 bits vectors (V); [`system::EXTENSIONS`] is what a program is told of it. Not implemented: half precision,
//! scalar cryptography, and everything that needs privilege. Linux is there with 64 bits only.
//!
//! One set of decode rows is for both widths ([`xlen`]); where they differ, a row says for which one it is, or its lift
//! function asks. Registers of 64 bits keep words sign-extended, as the architecture has it. The floating-point control and
//! status registers are kept in the engine's layout; `fcsr`, `frm` and `fflags` are made of them (see [`system`]).

mod compressed;
mod disasm;
mod lift;
mod procedure;
mod regs;
mod system;
mod table;
mod vector;
mod xlen;

pub mod abi;

use super::{FrameRecord, InsnFacts, Isa, Parameter, Passed, VectorAccess};
use crate::block::Lift;
use crate::cpu::CpuState;
use crate::env::TrapEvent;
use crate::mem::GuestMemory;
use spile_lang::target::{Register, RegisterSlot};
use xlen::Xlen;

/// The architecture, for registers of a width.
pub struct RiscV {
    xlen: Xlen,
}

/// RV32.
pub static RISCV32: RiscV = RiscV { xlen: Xlen::Rv32 };

/// RV64.
pub static RISCV64: RiscV = RiscV { xlen: Xlen::Rv64 };

impl Isa for RiscV {
    fn insn_len(&self, first: u16) -> u8 {
        if table::is_compressed(first.into()) { 2 } else { 4 }
    }

    fn insn_align(&self) -> u64 {
        2
    }

    fn lift(&self, bits: u32, lift: &mut Lift<'_>) {
        table::lift(self.xlen, bits, lift);
    }

    fn disassemble(&self, bits: u32, pc: u64) -> String {
        disasm::disassemble(self.xlen, bits, pc)
    }

    fn facts(&self, bits: u32, pc: u64) -> InsnFacts {
        disasm::facts(self, bits, pc)
    }

    fn is_undefined(&self, bits: u32) -> bool {
        // The encoding of zeros, and `unimp`: a write of a register that cannot be written.
        bits as u16 == 0 || bits == 0xc000_1073
    }

    fn reset(&self, cpu: &mut CpuState) {
        system::reset(cpu);
    }

    fn register_in(&self, slot: RegisterSlot) -> Option<Register> {
        regs::register_in(self.xlen, slot)
    }

    fn read_system(&self, cpu: &CpuState, reg: u32, ticks: u64) -> Option<u64> {
        system::read(cpu, reg, ticks).map(|value| self.xlen.value(value))
    }

    fn write_system(&self, cpu: &mut CpuState, reg: u32, value: u64) -> bool {
        system::write(cpu, reg, value)
    }

    fn vector(
        &self,
        bits: u32,
        operands: [u64; 2],
        cpu: &mut CpuState,
        memory: &GuestMemory,
    ) -> Result<u64, TrapEvent> {
        vector::execute(bits, operands, cpu, memory)
    }

    fn vector_accesses(
        &self,
        bits: u32,
        operands: [u64; 2],
        cpu: &CpuState,
        memory: &GuestMemory,
        f: &mut dyn FnMut(VectorAccess) -> bool,
    ) {
        vector::accesses(bits, operands, cpu, memory, f);
    }

    fn vector_registers(&self, bits: u32, f: &mut dyn FnMut(u8, bool)) {
        vector::lift::registers(bits, f);
    }

    fn vector_element(&self, cpu: &CpuState, access: VectorAccess) -> u64 {
        vector::element(cpu, access)
    }

    fn shown_registers(&self) -> &'static [&'static str] {
        regs::SHOWN
    }

    fn elf_machine(&self) -> u16 {
        243
    }

    fn debug_register(&self, number: u16) -> Option<Register> {
        procedure::debug_register(self, number)
    }

    fn frame_record(&self) -> FrameRecord {
        procedure::frame_record(self.xlen)
    }

    fn plt_slot(&self, pc: u64, code: &[u8]) -> Option<u64> {
        procedure::plt_slot(pc, code)
    }

    fn passed(&self, parameters: &[Parameter]) -> Vec<Passed> {
        procedure::passed(parameters)
    }
}
