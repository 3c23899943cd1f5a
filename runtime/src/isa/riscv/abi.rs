//! The RISC-V side of Linux and of semihosting: registers of a call, signal frames, auxiliary vector, `riscv_hwprobe`.
//! Linux is that of 64 bits.
//!
//! Sources: `arch/riscv/include/uapi/asm/{sigcontext,ptrace,hwcap,hwprobe}.h` and `arch/riscv/kernel/signal.c` of Linux;
//! "RISC-V Semihosting" (RISC-V International).

use super::RiscV;
use super::system::{self, EXTENSIONS, FCSR, HWCAP, PROBED, VCSR, VSTART};
use super::vector::config::{self, Config, STATE, VILL, VLEN, state};
use super::vector::group::FILE;
use crate::cpu::CpuState;
use crate::env::TrapEvent;
use crate::linux::abi::{Encoder, FlagPairs, u32_at, u64_at};
use crate::linux::{FrameContext, LinuxAbi, SignalFrame};
use crate::mem::{Access, Fault, GuestMemory};
use crate::raw::Semihosting;

/// `li a7, 139; ecall`: unwinders know a signal frame by these two instructions.
const SIGRETURN: [u8; 8] = [0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00];

/// `slli x0, x0, 0x1f` in front of an `ebreak`, and `srai x0, x0, 7` behind it, make a semihosting call of it.
const SEMIHOSTING: [u32; 3] = [0x01f0_1013, 0x0010_0073, 0x4070_5013];

const RA: usize = 1;
const SP: usize = 2;
const TP: usize = 4;
const A0: usize = 10;
const SYSCALL_NUMBER: usize = 17;

/// Offsets in `struct rt_sigframe`: `siginfo`, then `ucontext`, whose `sigcontext` is aligned to 16. That is the pc and x1
/// to x31, then f0 to f31 and fcsr, then a chain of extensions, each a magic number and its size, which two zeroes end.
mod frame {
    pub(super) const UCONTEXT: u64 = 128;
    pub(super) const STACK: u64 = UCONTEXT + 16;
    pub(super) const MASK: u64 = UCONTEXT + 40;
    pub(super) const SIGCONTEXT: u64 = UCONTEXT + 176;
    pub(super) const FLOATS: u64 = SIGCONTEXT + 256;
    pub(super) const FCSR: u64 = FLOATS + 256;
    /// Reserved, and zero.
    pub(super) const RESERVED: u64 = FLOATS + 516;
    pub(super) const CHAIN: u64 = FLOATS + 520;
    pub(super) const SIZE: u64 = FLOATS + 528;
    /// The magic number of vector state.
    pub(super) const VECTOR_MAGIC: u32 = 0x5346_5457;
    /// Where it is: `vstart`, `vl`, `vtype`, `vcsr`, `vlenb`, and the address of the registers, which follow.
    pub(super) const VECTOR: u64 = CHAIN + 8;
    pub(super) const VECTOR_REGISTERS: u64 = VECTOR + 48;
    /// The size of the extension, and that of a frame with it, the end of the chain included.
    pub(super) const VECTOR_SIZE: u64 = 8 + 48 + 32 * super::VLEN as u64 / 8;
    pub(super) const SIZE_WITH_VECTOR: u64 = (SIZE + VECTOR_SIZE + 8).next_multiple_of(16);
}

/// Keys of `riscv_hwprobe`, by their numbers.
mod key {
    pub(super) const MVENDORID: u64 = 0;
    pub(super) const MARCHID: u64 = 1;
    pub(super) const MIMPID: u64 = 2;
    pub(super) const BASE_BEHAVIOR: u64 = 3;
    pub(super) const IMA_EXT_0: u64 = 4;
    pub(super) const CPUPERF_0: u64 = 5;
    pub(super) const ZICBOZ_BLOCK_SIZE: u64 = 6;
    pub(super) const HIGHEST_VIRT_ADDRESS: u64 = 7;
    pub(super) const TIME_CSR_FREQ: u64 = 8;
    pub(super) const MISALIGNED_SCALAR_PERF: u64 = 9;
    pub(super) const ZICBOM_BLOCK_SIZE: u64 = 12;
}

/// Linux on RISC-V.
pub struct RiscVLinux;

/// The one instance of it.
pub static LINUX: RiscVLinux = RiscVLinux;

impl LinuxAbi for RiscVLinux {
    fn system_call(&self, cpu: &CpuState) -> (u64, [u64; 6]) {
        (cpu.x[SYSCALL_NUMBER], std::array::from_fn(|i| cpu.x[A0 + i]))
    }

    fn set_result(&self, cpu: &mut CpuState, value: u64) {
        cpu.x[A0] = value;
    }

    fn system_call_address(&self, cpu: &CpuState) -> u64 {
        cpu.pc.wrapping_sub(4)
    }

    fn set_stack_pointer(&self, cpu: &mut CpuState, sp: u64) {
        cpu.x[SP] = sp;
    }

    fn stack_pointer(&self, cpu: &CpuState) -> u64 {
        cpu.x[SP]
    }

    fn set_thread_pointer(&self, cpu: &mut CpuState, value: u64) {
        cpu.x[TP] = value;
    }

    fn push_frame(&self, cpu: &mut CpuState, memory: &GuestMemory, frame: &SignalFrame) -> Result<(), Fault> {
        let size = if uses_vectors(cpu) { frame::SIZE_WITH_VECTOR } else { frame::SIZE };
        let at = frame.stack.wrapping_sub(size) & !15;
        memory.write(at, &encode_frame(cpu, frame, at))?;
        cpu.x[A0] = u64::from(frame.signal);
        cpu.x[A0 + 1] = at;
        cpu.x[A0 + 2] = at + frame::UCONTEXT;
        cpu.x[RA] = frame.restorer;
        cpu.x[SP] = at;
        cpu.pc = frame.handler;
        cpu.clear_monitor();
        Ok(())
    }

    fn pop_frame(&self, cpu: &mut CpuState, memory: &GuestMemory) -> Result<FrameContext, Fault> {
        let bytes = memory.read_vec(cpu.x[SP], frame::SIZE)?;
        let word = |offset: u64| u64_at(&bytes, offset as usize);
        let vectors = read_vectors(cpu, memory, &bytes)?;
        cpu.pc = word(frame::SIGCONTEXT);
        for index in 1..32 {
            cpu.x[index as usize] = word(frame::SIGCONTEXT + 8 * index);
            cpu.v[index as usize] = word(frame::FLOATS + 8 * index).into();
        }
        cpu.v[0] = word(frame::FLOATS).into();
        system::write(cpu, FCSR, u32_at(&bytes, frame::FCSR as usize).into());
        if let Some([state, registers]) = vectors {
            restore_vectors(cpu, &state, &registers);
        }
        cpu.clear_monitor();
        Ok(FrameContext {
            mask: word(frame::MASK),
            alternate_stack: [word(frame::STACK), word(frame::STACK + 8), word(frame::STACK + 16)],
        })
    }

    fn sigreturn_code(&self) -> &'static [u8] {
        &SIGRETURN
    }

    fn has_restorer(&self) -> bool {
        false
    }

    fn hwcap(&self) -> [u64; 2] {
        [HWCAP, 0]
    }

    fn hardware_property(&self, key: u64) -> Option<u64> {
        /// Misaligned accesses are as fast as others.
        const FAST: u64 = 3;
        Some(match key {
            key::MVENDORID | key::MARCHID | key::MIMPID => 0,
            // User-visible behaviour of IMA.
            key::BASE_BEHAVIOR => 1,
            key::IMA_EXT_0 => PROBED,
            key::CPUPERF_0 | key::MISALIGNED_SCALAR_PERF => FAST,
            key::ZICBOZ_BLOCK_SIZE | key::ZICBOM_BLOCK_SIZE => 64,
            key::HIGHEST_VIRT_ADDRESS => crate::mem::ADDRESS_SPACE - 1,
            // `time` counts nanoseconds.
            key::TIME_CSR_FREQ => 1_000_000_000,
            _ => return None,
        })
    }

    /// As Linux, which gives no new task the vector registers of another one.
    fn clear_uninherited(&self, cpu: &mut CpuState) {
        config::reset(cpu);
        cpu.v[FILE].fill(0);
    }

    fn controls_vectors(&self) -> bool {
        true
    }

    fn cpu_info(&self, processors: usize) -> String {
        // Letters stand together, names apart.
        let mut isa = String::from("rv64");
        for extension in EXTENSIONS {
            if extension.0.len() > 1 {
                isa.push('_');
            }
            isa += extension.0;
        }
        let block = |number| {
            format!(
                "processor\t: {number}\nhart\t\t: {number}\nisa\t\t: {isa}\nmmu\t\t: sv48\nmvendorid\t: 0x0\n\
                 marchid\t\t: 0x0\nmimpid\t\t: 0x0\n\n"
            )
        };
        (0..processors).map(block).collect()
    }

    fn machine(&self) -> &'static str {
        "riscv64"
    }

    fn tells_platform(&self) -> bool {
        // ELF_PLATFORM is not defined (Linux, arch/riscv/include/asm/elf.h).
        false
    }

    fn minimum_signal_stack(&self) -> u64 {
        frame::SIZE_WITH_VECTOR + 16
    }

    fn open_flags(&self) -> FlagPairs {
        &[] // those of x86-64
    }

    fn address_mask(&self) -> u64 {
        u64::MAX
    }
}

/// True if a program has vector state: it has made a configuration, or written a register.
fn uses_vectors(cpu: &CpuState) -> bool {
    let [vstart, vl, vtype, vcsr] = std::array::from_fn(|i| cpu.x[STATE + i]);
    (vstart, vl, vtype, vcsr) != (0, 0, VILL, 0) || cpu.v[FILE].iter().any(|&register| register != 0)
}

/// Reads the vector state that the chain of extensions in a frame holds, and the registers that it points to.
///
/// # Errors
/// Where it cannot be read; or at the frame, if the chain is none that the kernel has made.
fn read_vectors(cpu: &CpuState, memory: &GuestMemory, bytes: &[u8]) -> Result<Option<[Vec<u8>; 2]>, Fault> {
    let bad = Fault { addr: cpu.x[SP], access: Access::Read, mapped: true };
    let half = |offset: u64| u32_at(bytes, offset as usize);
    match [half(frame::RESERVED), half(frame::CHAIN), half(frame::CHAIN + 4)] {
        [0, 0, 0] => return Ok(None),
        [0, frame::VECTOR_MAGIC, size] if u64::from(size) == frame::VECTOR_SIZE => {}
        _ => return Err(bad),
    }
    let state = memory.read_vec(cpu.x[SP].wrapping_add(frame::VECTOR), frame::VECTOR_SIZE)?;
    // Behind the extension is the end of the chain.
    if u64_at(&state, frame::VECTOR_SIZE as usize - 8) != 0 {
        return Err(bad);
    }
    let registers = memory.read_vec(u64_at(&state, 40), frame::VECTOR_SIZE - 56)?;
    Ok(Some([state, registers]))
}

fn restore_vectors(cpu: &mut CpuState, words: &[u8], registers: &[u8]) {
    let word = |i: usize| u64_at(words, 8 * i);
    let (vtype, vl) = Config::valid(word(2), word(1));
    cpu.x[STATE + state::VTYPE] = vtype;
    cpu.x[STATE + state::VL] = vl;
    system::write(cpu, VSTART, word(0));
    system::write(cpu, VCSR, word(3));
    for (register, bytes) in cpu.v[FILE].iter_mut().zip(registers.chunks_exact(16)) {
        *register = u128::from(u64_at(bytes, 0)) | u128::from(u64_at(bytes, 8)) << 64;
    }
}

fn encode_frame(cpu: &CpuState, frame: &SignalFrame, at: u64) -> Vec<u8> {
    let mut out = Encoder::default().bytes(&frame.info);
    out = out.u64(0).u64(0); // uc_flags, uc_link
    for word in frame.context.alternate_stack {
        out = out.u64(word);
    }
    out = out.u64(frame.context.mask).pad_to(frame::SIGCONTEXT as usize).u64(cpu.pc);
    for value in &cpu.x[1..32] {
        out = out.u64(*value);
    }
    for value in &cpu.v[..32] {
        out = out.u64(*value as u64);
    }
    let fcsr = system::read(cpu, FCSR, 0).unwrap_or(0);
    out = out.u32(fcsr as u32);
    // Zeroes end the chain of extensions.
    if !uses_vectors(cpu) {
        return out.pad_to(frame::SIZE as usize).into_vec();
    }
    out = out.pad_to(frame::CHAIN as usize).u32(frame::VECTOR_MAGIC).u32(frame::VECTOR_SIZE as u32);
    for i in [state::VSTART, state::VL, state::VTYPE, state::VCSR] {
        out = out.u64(cpu.x[STATE + i]);
    }
    out = out.u64(u64::from(VLEN / 8)).u64(at.wrapping_add(frame::VECTOR_REGISTERS));
    for register in &cpu.v[FILE] {
        out = out.u64(*register as u64).u64((*register >> 64) as u64);
    }
    out.pad_to(frame::SIZE_WITH_VECTOR as usize).into_vec()
}

impl Semihosting for RiscV {
    fn is_call(&self, trap: TrapEvent, pc: u64, memory: &GuestMemory) -> bool {
        let around = || memory.read_vec(pc.wrapping_sub(4), 12).ok();
        matches!(trap, TrapEvent::Breakpoint(_))
            && around().is_some_and(|bytes| [0, 4, 8].map(|at| u32_at(&bytes, at)) == SEMIHOSTING)
    }

    fn call(&self, cpu: &CpuState) -> (u64, u64) {
        (cpu.x[A0], cpu.x[A0 + 1])
    }

    fn word_size(&self) -> u64 {
        u64::from(self.xlen.bits()) / 8
    }

    fn finish(&self, cpu: &mut CpuState, result: u64) {
        cpu.x[A0] = self.xlen.value(result);
        cpu.pc = cpu.pc.wrapping_add(4);
    }

    fn set_stack_pointer(&self, cpu: &mut CpuState, sp: u64) {
        cpu.x[SP] = sp;
    }

    fn address_mask(&self) -> u64 {
        self.xlen.value(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::riscv::{RISCV32, RISCV64};
    use crate::mem::perm;

    fn memory() -> GuestMemory {
        let memory = GuestMemory::new(u64::MAX).unwrap();
        memory.map_anonymous(0x10000, 0x10000, perm::READ | perm::WRITE, false).unwrap();
        memory
    }

    fn frame(stack: u64) -> SignalFrame {
        SignalFrame {
            signal: 10,
            info: [3; 128],
            handler: 0x5000,
            restorer: 0x6000,
            wants_info: true,
            stack,
            context: FrameContext { mask: 0x55, alternate_stack: [1, 2, 3] },
            fault_address: 0x77,
        }
    }

    #[test]
    fn a_popped_frame_restores_what_was_pushed() {
        let memory = memory();
        let mut cpu = CpuState::default();
        system::reset(&mut cpu);
        for index in 1..32 {
            cpu.x[index] = 100 + index as u64;
            cpu.v[index] = 7 << index;
        }
        cpu.x[SP] = 0x1f008;
        cpu.pc = 0x400000;
        system::write(&mut cpu, FCSR, 0x71);
        cpu.x[STATE..STATE + 4].copy_from_slice(&[3, 7, 0xc1, 5]);
        for (n, register) in cpu.v[FILE].iter_mut().enumerate() {
            *register = u128::MAX / (n as u128 + 3);
        }
        let before = cpu.clone();
        let frame = frame(cpu.x[SP]);
        LINUX.push_frame(&mut cpu, &memory, &frame).unwrap();
        assert_eq!((cpu.x[A0], cpu.pc, cpu.x[RA], cpu.x[SP] % 16), (10, 0x5000, 0x6000, 0));
        assert_eq!(cpu.x[A0 + 2] - cpu.x[A0 + 1], 128);
        // `uc_mcontext` as a handler reads it: pc, ra, sp, then f0 and fcsr behind the integers.
        let mcontext = cpu.x[A0 + 2] + 176;
        let word = |offset| u64::from_le_bytes(memory.load(mcontext + offset).unwrap());
        assert_eq!([word(0), word(8), word(16), word(264), word(512)], [0x400000, 101, 0x1f008, 14, 0x71]);
        // `sc_vec`: magic, size, then the state, of which the last word says where the registers are.
        let registers = mcontext + 256 + 528 + 48;
        assert_eq!(word(256 + 520), 568 << 32 | 0x5346_5457);
        assert_eq!([0, 8, 16, 24, 32, 40].map(|at| word(784 + at)), [3, 7, 0xc1, 5, 16, registers]);
        assert_eq!((word(832), word(832 + 504), word(832 + 512)), (u64::MAX / 3, ((u128::MAX / 34) >> 64) as u64, 0));
        cpu.x[1..32].fill(0);
        cpu.x[SP] = mcontext - 304;
        cpu.v.fill(0);
        cpu.x[STATE..STATE + 4].fill(0);
        assert_eq!(LINUX.pop_frame(&mut cpu, &memory).unwrap(), frame.context);
        assert_eq!((&cpu.x[..48], &cpu.v[..32], cpu.pc), (&before.x[..48], &before.v[..32], before.pc));
        assert_eq!(cpu.v[FILE], before.v[FILE]);
    }

    /// A program without vectors has no such extension in its frames, and one that the kernel has not made is refused.
    #[test]
    fn vectors_are_in_frames_where_they_are_used() {
        let memory = memory();
        let mut cpu = CpuState::default();
        system::reset(&mut cpu);
        let stack = 0x1f000;
        LINUX.push_frame(&mut cpu, &memory, &frame(stack)).unwrap();
        assert_eq!(stack - cpu.x[SP], frame::SIZE);
        let chain = cpu.x[SP] + frame::CHAIN;
        assert_eq!(u64::from_le_bytes(memory.load(chain).unwrap()), 0);
        for wrong in [1, u64::from(frame::VECTOR_MAGIC), 560 << 32 | u64::from(frame::VECTOR_MAGIC)] {
            memory.write(chain, &wrong.to_le_bytes()).unwrap();
            assert!(LINUX.pop_frame(&mut cpu, &memory).is_err(), "{wrong:#x}");
        }
        memory.write(chain, &[0; 8]).unwrap();
        cpu.v[FILE.start] = 5;
        assert!(LINUX.pop_frame(&mut cpu, &memory).is_ok());
        // What the handler has left there stays.
        assert_eq!(cpu.v[FILE.start], 5);
        LINUX.push_frame(&mut cpu, &memory, &frame(stack)).unwrap();
        assert_eq!(stack - cpu.x[SP], frame::SIZE_WITH_VECTOR);
        LINUX.clear_uninherited(&mut cpu);
        assert!(!uses_vectors(&cpu));
    }

    #[test]
    fn a_frame_that_does_not_fit_changes_nothing() {
        let memory = memory();
        let mut cpu = CpuState { pc: 4, ..CpuState::default() };
        assert!(LINUX.push_frame(&mut cpu, &memory, &frame(0x1000)).is_err());
        assert!(LINUX.push_frame(&mut cpu, &memory, &frame(0)).is_err());
        assert_eq!(cpu.pc, 4);
    }

    #[test]
    fn a_semihosting_call_is_three_instructions() {
        let memory = memory();
        let trap = TrapEvent::Breakpoint(0);
        for (index, word) in SEMIHOSTING.iter().enumerate() {
            memory.write(0x10000 + 4 * index as u64, &word.to_le_bytes()).unwrap();
        }
        assert!(RISCV32.is_call(trap, 0x10004, &memory) && RISCV64.is_call(trap, 0x10004, &memory));
        assert!(!RISCV64.is_call(trap, 0x10008, &memory) && !RISCV64.is_call(TrapEvent::Illegal(0), 0x10004, &memory));
        assert!(!RISCV64.is_call(trap, 0, &memory));
    }

    #[test]
    fn what_is_announced_is_said_in_three_places() {
        let info = LINUX.cpu_info(1);
        assert!(info.contains("isa\t\t: rv64imafdcv_zicbom_zicbop_zicboz_zicond_"), "{info}");
        assert_eq!(LINUX.hardware_property(4), Some(0x0080_03f9_0000_00ff));
        assert_eq!(LINUX.hardware_property(99), None);
    }
}
