//! The AArch64 side of Linux and of semihosting: registers of a call, signal frames, auxiliary vector.
//!
//! Sources: `arch/arm64/include/uapi/asm/{sigcontext,hwcap,fcntl}.h` and `arch/arm64/kernel/signal.c` of Linux;
//! "Semihosting for AArch32 and AArch64" (Arm).

use super::system::MIDR_VALUE;
use super::{HWCAP, HWCAP2};
use crate::cpu::CpuState;
use crate::env::TrapEvent;
use crate::linux::abi::{Encoder, FlagPairs, u32_at, u64_at};
use crate::linux::{FrameContext, LinuxAbi, SignalFrame};
use crate::mem::{Fault, GuestMemory};
use crate::raw::Semihosting;
use crate::uop::slot;

/// The names of the bits of `AT_HWCAP` in `/proc/cpuinfo`.
const FEATURES: [&str; 32] = [
    "fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp", "cpuid",
    "asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop", "sha3", "sm3", "sm4", "asimddp", "sha512", "sve", "asimdfhm", "dit",
    "uscat", "ilrcpc", "flagm", "ssbs", "sb", "paca", "pacg",
];

/// Guest and host (x86-64) flags of `openat` that differ: O_DIRECTORY, O_NOFOLLOW, O_DIRECT, O_LARGEFILE.
const OPEN_FLAGS: FlagPairs = &[(0o40000, 0o200000), (0o100000, 0o400000), (0o200000, 0o40000), (0o400000, 0o100000)];

/// `mov x8, #139; svc #0`: unwinders know a signal frame by these two instructions.
const SIGRETURN: [u8; 8] = [0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];

const SP: usize = 31;
const FP: usize = 29;
const LR: usize = 30;
const SYSCALL_NUMBER: usize = 8;

/// Offsets in `struct rt_sigframe`: `siginfo`, then `ucontext`, whose `sigcontext` is aligned to 16.
mod frame {
    pub(super) const UCONTEXT: u64 = 128;
    pub(super) const STACK: u64 = UCONTEXT + 16;
    pub(super) const MASK: u64 = UCONTEXT + 40;
    pub(super) const SIGCONTEXT: u64 = UCONTEXT + 176;
    pub(super) const RESERVED: u64 = SIGCONTEXT + 288;
    pub(super) const SIZE: u64 = RESERVED + 4096;
    /// The frame record (x29, x30) behind it.
    pub(super) const RECORD: u64 = 16;
}

const FPSIMD_MAGIC: u32 = 0x4650_8001;
const FPSIMD_SIZE: u32 = 528;

/// Linux on AArch64.
pub struct AArch64Linux;

/// The one instance of it.
pub static LINUX: AArch64Linux = AArch64Linux;

impl LinuxAbi for AArch64Linux {
    fn system_call(&self, cpu: &CpuState) -> (u64, [u64; 6]) {
        // The kernel looks at the low half of x8 only.
        (cpu.x[SYSCALL_NUMBER] & 0xffff_ffff, std::array::from_fn(|i| cpu.x[i]))
    }

    fn set_result(&self, cpu: &mut CpuState, value: u64) {
        cpu.x[0] = value;
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
        cpu.x[usize::from(slot::THREAD_POINTER)] = value;
    }

    fn push_frame(&self, cpu: &mut CpuState, memory: &GuestMemory, frame: &SignalFrame) -> Result<(), Fault> {
        let record = (frame.stack & !15).wrapping_sub(frame::RECORD);
        let at = record.wrapping_sub(frame::SIZE);
        memory.write(at, &encode_frame(cpu, frame))?;
        cpu.x[0] = u64::from(frame.signal);
        if frame.wants_info {
            cpu.x[1] = at;
            cpu.x[2] = at + frame::UCONTEXT;
        }
        cpu.x[FP] = record;
        cpu.x[LR] = frame.restorer;
        cpu.x[SP] = at;
        cpu.pc = frame.handler;
        cpu.clear_monitor();
        Ok(())
    }

    fn pop_frame(&self, cpu: &mut CpuState, memory: &GuestMemory) -> Result<FrameContext, Fault> {
        let at = cpu.x[SP];
        let bytes = memory.read_vec(at, frame::SIZE)?;
        let word = |offset: u64| u64_at(&bytes, offset as usize);
        for index in 0..31 {
            cpu.x[index] = word(frame::SIGCONTEXT + 8 + 8 * index as u64);
        }
        cpu.x[SP] = word(frame::SIGCONTEXT + 256);
        cpu.pc = word(frame::SIGCONTEXT + 264);
        cpu.set_nzcv(word(frame::SIGCONTEXT + 272) >> 28);
        cpu.clear_monitor();
        restore_vectors(cpu, &bytes[frame::RESERVED as usize..]);
        Ok(FrameContext {
            mask: word(frame::MASK),
            alternate_stack: [word(frame::STACK), word(frame::STACK + 8), word(frame::STACK + 16)],
        })
    }

    fn sigreturn_code(&self) -> &'static [u8] {
        &SIGRETURN
    }

    fn has_restorer(&self) -> bool {
        true
    }

    fn cpu_info(&self, processors: usize) -> String {
        let [hwcap, _] = self.hwcap();
        let features: Vec<&str> =
            FEATURES.iter().enumerate().filter(|(bit, _)| hwcap >> bit & 1 != 0).map(|(_, name)| *name).collect();
        let features = features.join(" ");
        let (implementer, variant) = (MIDR_VALUE >> 24 & 0xff, MIDR_VALUE >> 20 & 15);
        let (part, revision) = (MIDR_VALUE >> 4 & 0xfff, MIDR_VALUE & 15);
        let block = |number| {
            format!(
                "processor\t: {number}\nBogoMIPS\t: 100.00\nFeatures\t: {features}\n\
                 CPU implementer\t: {implementer:#04x}\nCPU architecture: 8\nCPU variant\t: {variant:#x}\n\
                 CPU part\t: {part:#05x}\nCPU revision\t: {revision}\n\n"
            )
        };
        (0..processors).map(block).collect()
    }

    fn hwcap(&self) -> [u64; 2] {
        [HWCAP, HWCAP2]
    }

    fn machine(&self) -> &'static str {
        "aarch64"
    }

    fn minimum_signal_stack(&self) -> u64 {
        frame::SIZE + frame::RECORD + 16
    }

    fn open_flags(&self) -> FlagPairs {
        OPEN_FLAGS
    }

    fn address_mask(&self) -> u64 {
        u64::MAX >> 8 // the top byte is ignored (TBI)
    }
}

fn encode_frame(cpu: &CpuState, frame: &SignalFrame) -> Vec<u8> {
    let mut out = Encoder::default().bytes(&frame.info);
    out = out.u64(0).u64(0); // uc_flags, uc_link
    for word in frame.context.alternate_stack {
        out = out.u64(word);
    }
    out = out.u64(frame.context.mask).pad_to(frame::SIGCONTEXT as usize).u64(frame.fault_address);
    for value in &cpu.x[..=SP] {
        out = out.u64(*value);
    }
    out = out.u64(cpu.pc).u64(cpu.nzcv() << 28).pad_to(frame::RESERVED as usize);
    out = out.u32(FPSIMD_MAGIC).u32(FPSIMD_SIZE);
    out = out.u32(cpu.x[usize::from(slot::FP_STATUS)] as u32).u32(cpu.x[usize::from(slot::FP_CONTROL)] as u32);
    for value in &cpu.v[..32] {
        out = out.bytes(&value.to_le_bytes());
    }
    // Zeroes end the chain of contexts; the record of the interrupted frame follows.
    out.pad_to(frame::SIZE as usize).u64(cpu.x[FP]).u64(cpu.x[LR]).into_vec()
}

/// Restores the vector registers from the chain of contexts in `reserved`, if it has them.
fn restore_vectors(cpu: &mut CpuState, reserved: &[u8]) {
    let mut at = 0;
    while at + 8 <= reserved.len() {
        let (magic, size) = (u32_at(reserved, at), u32_at(reserved, at + 4) as usize);
        if magic == FPSIMD_MAGIC && reserved.len() - at >= FPSIMD_SIZE as usize {
            cpu.x[usize::from(slot::FP_STATUS)] = u64::from(u32_at(reserved, at + 8));
            cpu.x[usize::from(slot::FP_CONTROL)] = u64::from(u32_at(reserved, at + 12));
            for (index, bytes) in reserved[at + 16..at + FPSIMD_SIZE as usize].chunks_exact(16).enumerate() {
                cpu.v[index] = u128::from_le_bytes(std::array::from_fn(|i| bytes[i]));
            }
        }
        if magic == 0 || size < 16 {
            return;
        }
        at = at.saturating_add(size);
    }
}

impl Semihosting for AArch64Linux {
    fn word_size(&self) -> u64 {
        8
    }

    fn is_call(&self, trap: TrapEvent, _: u64, _: &GuestMemory) -> bool {
        trap == TrapEvent::Halt(0xf000)
    }

    fn call(&self, cpu: &CpuState) -> (u64, u64) {
        (cpu.x[0] & 0xffff_ffff, cpu.x[1])
    }

    fn finish(&self, cpu: &mut CpuState, result: u64) {
        cpu.x[0] = result;
        cpu.pc = cpu.pc.wrapping_add(4);
    }

    fn set_stack_pointer(&self, cpu: &mut CpuState, sp: u64) {
        cpu.x[SP] = sp;
    }

    fn address_mask(&self) -> u64 {
        u64::MAX >> 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::abi::{flags_to_guest, flags_to_host};
    use crate::mem::perm;

    #[test]
    fn open_flags_are_translated() {
        let guest = 0o40000 | 0o100000 | 0o2000000 | 0o102; // O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_CREAT O_RDWR
        let host = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_CREAT | libc::O_RDWR;
        assert_eq!(flags_to_host(OPEN_FLAGS, guest), host as u64);
        assert_eq!(flags_to_guest(OPEN_FLAGS, host as u64), guest);
        assert_eq!(flags_to_host(OPEN_FLAGS, 0o200000), libc::O_DIRECT as u64);
    }

    #[test]
    fn a_popped_frame_restores_what_was_pushed() {
        let memory = GuestMemory::new(u64::MAX >> 8).unwrap();
        memory.map_anonymous(0x10000, 0x10000, perm::READ | perm::WRITE, false).unwrap();
        let mut cpu = CpuState::default();
        for index in 0..32 {
            cpu.x[index] = 100 + index as u64;
            cpu.v[index] = 7 << (index * 2);
        }
        cpu.x[SP] = 0x1f008;
        cpu.pc = 0x400000;
        cpu.set_nzcv(0b0110);
        cpu.x[usize::from(slot::FP_STATUS)] = 0x10;
        let before = cpu.clone();
        let context = FrameContext { mask: 0x55, alternate_stack: [1, 2, 3] };
        let frame = SignalFrame {
            signal: 10,
            info: [3; 128],
            handler: 0x5000,
            restorer: 0x6000,
            wants_info: true,
            stack: cpu.x[SP],
            context,
            fault_address: 0x77,
        };
        LINUX.push_frame(&mut cpu, &memory, &frame).unwrap();
        assert_eq!((cpu.x[0], cpu.pc, cpu.x[LR], cpu.x[SP] % 16), (10, 0x5000, 0x6000, 0));
        assert_eq!(cpu.x[2] - cpu.x[1], 128);
        // The frame record holds the interrupted x29 and x30.
        assert_eq!(u64::from_le_bytes(memory.load(cpu.x[FP]).unwrap()), 129);
        assert_eq!(u64::from_le_bytes(memory.load(cpu.x[FP] + 8).unwrap()), 130);
        // `uc_mcontext` as a handler reads it: fault_address, regs[0], sp, pc, pstate.
        let mcontext = cpu.x[2] + 176;
        let word = |offset| u64::from_le_bytes(memory.load(mcontext + offset).unwrap());
        assert_eq!([word(0), word(8), word(256), word(264), word(272)], [0x77, 100, 0x1f008, 0x400000, 0b0110 << 28]);
        assert_eq!(word(288) as u32, FPSIMD_MAGIC);
        for index in 0..31 {
            cpu.x[index] = 0;
            cpu.v[index] = 0;
        }
        assert_eq!(LINUX.pop_frame(&mut cpu, &memory).unwrap(), context);
        assert_eq!(cpu.x[..32], before.x[..32]);
        assert_eq!(cpu.v[..32], before.v[..32]);
        assert_eq!((cpu.pc, cpu.nzcv()), (before.pc, before.nzcv()));
    }

    #[test]
    fn a_frame_that_does_not_fit_changes_nothing() {
        let memory = GuestMemory::new(u64::MAX >> 8).unwrap();
        let mut cpu = CpuState { pc: 4, ..CpuState::default() };
        let frame = SignalFrame {
            signal: 10,
            info: [0; 128],
            handler: 0x5000,
            restorer: 0,
            wants_info: false,
            stack: 0x1000,
            context: FrameContext { mask: 0, alternate_stack: [0; 3] },
            fault_address: 0,
        };
        assert!(LINUX.push_frame(&mut cpu, &memory, &frame).is_err());
        assert_eq!(cpu.pc, 4);
        let at_zero = SignalFrame { stack: 0, ..frame };
        assert!(LINUX.push_frame(&mut cpu, &memory, &at_zero).is_err());
    }
}
