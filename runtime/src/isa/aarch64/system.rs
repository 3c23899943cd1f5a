//! System registers: their numbers, what the guest reads from them, and the hardware capabilities that go with it.
//!
//! Identification registers are readable as under Linux, which emulates them for user programs (`HWCAP_CPUID`).

use crate::cpu::CpuState;
use crate::uop::slot;

/// Packs a system register's coordinates as they stand in bits 20 to 5 of `mrs` and `msr`.
const fn number(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

pub(super) const MIDR_EL1: u32 = number(3, 0, 0, 0, 0);
pub(super) const MPIDR_EL1: u32 = number(3, 0, 0, 0, 5);
pub(super) const REVIDR_EL1: u32 = number(3, 0, 0, 0, 6);
pub(super) const ID_AA64PFR0_EL1: u32 = number(3, 0, 0, 4, 0);
pub(super) const ID_AA64ISAR0_EL1: u32 = number(3, 0, 0, 6, 0);
pub(super) const ID_AA64ISAR1_EL1: u32 = number(3, 0, 0, 6, 1);
pub(super) const CTR_EL0: u32 = number(3, 3, 0, 0, 1);
pub(super) const DCZID_EL0: u32 = number(3, 3, 0, 0, 7);
pub(super) const NZCV: u32 = number(3, 3, 4, 2, 0);
pub(super) const FPCR: u32 = number(3, 3, 4, 4, 0);
pub(super) const FPSR: u32 = number(3, 3, 4, 4, 1);
pub(super) const TPIDR_EL0: u32 = number(3, 3, 13, 0, 2);
pub(super) const TPIDRRO_EL0: u32 = number(3, 3, 13, 0, 3);
pub(super) const CNTFRQ_EL0: u32 = number(3, 3, 14, 0, 0);
pub(super) const CNTVCT_EL0: u32 = number(3, 3, 14, 0, 2);

/// The identification registers, 3-0-0-0-0 to 3-0-0-7-7, without their last six bits.
const ID_SPACE: u32 = number(3, 0, 0, 0, 0) >> 6;

/// The bits of `fpcr` that can be set: AHP, DN, FZ, RMode. The rest reads as zero.
pub(super) const FPCR_MASK: u64 = 0x07c0_0000;
/// The bits of `fpsr` that can be set: QC, IDC, IXC, UFC, OFC, DZC, IOC.
pub(super) const FPSR_MASK: u64 = 0x0800_009f;

/// 64-byte lines, physically indexed instruction cache, cleaning and invalidation needed.
const CTR_VALUE: u64 = 0x8444_c004;
/// `dc zva` is allowed and clears 4 << 4 bytes.
const DCZID_VALUE: u64 = 4;
/// The counter counts nanoseconds.
const CNTFRQ_VALUE: u64 = 1_000_000_000;
/// No real implementer, architecture "see identification registers".
const MIDR_VALUE: u64 = 0x000f_5a10;
/// Bit 31 is always set.
const MPIDR_VALUE: u64 = 0x8000_0000;
/// AArch64 only at EL0 and EL1; floating point and Advanced SIMD without half-precision arithmetic.
const PFR0_VALUE: u64 = 0x11;
/// CRC32 (bits 19 to 16), Atomic (bits 23 to 20). Extend together with [`HWCAP`].
const ISAR0_VALUE: u64 = 1 << 16 | 2 << 20;
/// Nothing yet. Extend together with [`HWCAP`].
const ISAR1_VALUE: u64 = 0;

/// Hardware capabilities as Linux tells them in `AT_HWCAP`, and nothing that is not implemented.
pub const HWCAP: u64 = hwcap::FP | hwcap::ASIMD | hwcap::CRC32 | hwcap::ATOMICS | hwcap::CPUID;
/// More of them, in `AT_HWCAP2`.
pub const HWCAP2: u64 = 0;

/// Bits of `AT_HWCAP`.
mod hwcap {
    pub(super) const FP: u64 = 1 << 0;
    pub(super) const ASIMD: u64 = 1 << 1;
    pub(super) const CRC32: u64 = 1 << 7;
    pub(super) const ATOMICS: u64 = 1 << 8;
    pub(super) const CPUID: u64 = 1 << 11;
}

/// Returns whether a program may read `reg` and it is not a plain slot.
pub(super) fn is_readable(reg: u32) -> bool {
    match reg {
        CTR_EL0 | DCZID_EL0 | CNTFRQ_EL0 | CNTVCT_EL0 | TPIDRRO_EL0 => true,
        MIDR_EL1 | MPIDR_EL1 | REVIDR_EL1 => true,
        // Linux emulates the fields CRm = 2 to 7; what it does not know of reads as zero.
        _ => reg >> 6 == ID_SPACE && (reg >> 3 & 7) >= 2,
    }
}

/// Returns the value of a system register; slots included, for the debugger's sake.
pub(super) fn read(cpu: &CpuState, reg: u32, ticks: u64) -> Option<u64> {
    Some(match reg {
        NZCV => cpu.nzcv() << 28,
        FPCR => cpu.x[slot::FP_CONTROL as usize],
        FPSR => cpu.x[slot::FP_STATUS as usize],
        TPIDR_EL0 => cpu.x[slot::THREAD_POINTER as usize],
        _ if !is_readable(reg) => return None,
        CTR_EL0 => CTR_VALUE,
        DCZID_EL0 => DCZID_VALUE,
        CNTFRQ_EL0 => CNTFRQ_VALUE,
        CNTVCT_EL0 => ticks,
        MIDR_EL1 => MIDR_VALUE,
        MPIDR_EL1 => MPIDR_VALUE,
        ID_AA64PFR0_EL1 => PFR0_VALUE,
        ID_AA64ISAR0_EL1 => ISAR0_VALUE,
        ID_AA64ISAR1_EL1 => ISAR1_VALUE,
        _ => 0,
    })
}

/// Writes a system register. False if a program may not.
pub(super) fn write(cpu: &mut CpuState, reg: u32, value: u64) -> bool {
    match reg {
        NZCV => cpu.set_nzcv(value >> 28),
        FPCR => cpu.x[slot::FP_CONTROL as usize] = value & FPCR_MASK,
        FPSR => cpu.x[slot::FP_STATUS as usize] = value & FPSR_MASK,
        TPIDR_EL0 => cpu.x[slot::THREAD_POINTER as usize] = value,
        _ => return false,
    }
    true
}
