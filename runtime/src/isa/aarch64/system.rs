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
pub(super) const ID_AA64DFR0_EL1: u32 = number(3, 0, 0, 5, 0);
pub(super) const ID_AA64ISAR0_EL1: u32 = number(3, 0, 0, 6, 0);
pub(super) const ID_AA64ISAR1_EL1: u32 = number(3, 0, 0, 6, 1);
pub(super) const ID_AA64MMFR0_EL1: u32 = number(3, 0, 0, 7, 0);
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

/// The bits of `fpcr` that can be set: AHP, DN, FZ, RMode, FZ16. The rest reads as zero.
pub(super) const FPCR_MASK: u64 = 0x07c8_0000;
/// The bits of `fpsr` that can be set: QC, IDC, IXC, UFC, OFC, DZC, IOC.
pub(super) const FPSR_MASK: u64 = 0x0800_009f;

/// 64-byte lines, physically indexed instruction cache, cleaning and invalidation needed.
const CTR_VALUE: u64 = 0x8444_c004;
/// `dc zva` is allowed and clears 4 << 4 bytes.
const DCZID_VALUE: u64 = 4;
/// The counter counts nanoseconds.
const CNTFRQ_VALUE: u64 = 1_000_000_000;
/// No real implementer, architecture "see identification registers".
pub(super) const MIDR_VALUE: u64 = 0x000f_5a10;
/// Bit 31 is always set.
const MPIDR_VALUE: u64 = 0x8000_0000;

/// An optional extension that is implemented: its bit in `AT_HWCAP`, and its field in an identification register as
/// register, lowest bit and value. An extension that counts up a field of another one has the value of both.
struct Extension(u64, u32, u32, u64);

/// What is announced: all that is implemented, as the oracle compares it. Extend together with the decode rows.
///
/// This is what `qemu-aarch64 -cpu neoverse-n1` says of the same registers but for these differences:
/// - `midr_el1` names no processor, since programs tune for the one they find; QEMU has the N1's.
/// - `id_aa64isar1_el1` has `SB` and the second step of `LRCPC`, as `AT_HWCAP` has, which are implemented beyond an N1.
/// - `id_aa64pfr1_el1` is zero: the N1 has `SSBS`, which is not implemented (and which QEMU leaves out of `AT_HWCAP`).
/// - `cntfrq_el0` is 1 GHz as the counter is, and not 62.5 MHz.
/// - `dc cvap` (`DCPOP`) works: QEMU 7.2 announces it to programs and refuses it.
/// - Registers with CRm = 2 or 3 read as zero, as under Linux; QEMU refuses them.
const EXTENSIONS: &[Extension] = &[
    Extension(hwcap::FP, ID_AA64PFR0_EL1, 16, 1),
    Extension(hwcap::ASIMD, ID_AA64PFR0_EL1, 20, 1),
    Extension(hwcap::AES, ID_AA64ISAR0_EL1, 4, 2),
    Extension(hwcap::PMULL, ID_AA64ISAR0_EL1, 4, 2),
    Extension(hwcap::SHA1, ID_AA64ISAR0_EL1, 8, 1),
    Extension(hwcap::SHA2, ID_AA64ISAR0_EL1, 12, 1),
    Extension(hwcap::CRC32, ID_AA64ISAR0_EL1, 16, 1),
    Extension(hwcap::ATOMICS, ID_AA64ISAR0_EL1, 20, 2),
    Extension(hwcap::FPHP, ID_AA64PFR0_EL1, 16, 1),
    Extension(hwcap::ASIMDHP, ID_AA64PFR0_EL1, 20, 1),
    // The registers themselves: AArch64 at EL0 and EL1 is all that Linux adds to them.
    Extension(hwcap::CPUID, ID_AA64PFR0_EL1, 0, 0x11),
    Extension(hwcap::ASIMDRDM, ID_AA64ISAR0_EL1, 28, 1),
    Extension(hwcap::LRCPC, ID_AA64ISAR1_EL1, 20, 2),
    Extension(hwcap::DCPOP, ID_AA64ISAR1_EL1, 0, 1),
    Extension(hwcap::ASIMDDP, ID_AA64ISAR0_EL1, 44, 1),
    Extension(hwcap::ILRCPC, ID_AA64ISAR1_EL1, 20, 2),
    Extension(hwcap::SB, ID_AA64ISAR1_EL1, 36, 1),
];

/// What the announced extensions put into an identification register.
const fn fields_of(register: u32) -> u64 {
    let (mut value, mut i) = (0, 0);
    while i < EXTENSIONS.len() {
        let Extension(_, reg, lsb, field) = EXTENSIONS[i];
        if reg == register {
            value |= field << lsb;
        }
        i += 1;
    }
    value
}

const fn announced() -> u64 {
    let (mut bits, mut i) = (0, 0);
    while i < EXTENSIONS.len() {
        bits |= EXTENSIONS[i].0;
        i += 1;
    }
    bits
}

const PFR0_VALUE: u64 = fields_of(ID_AA64PFR0_EL1);
const ISAR0_VALUE: u64 = fields_of(ID_AA64ISAR0_EL1);
const ISAR1_VALUE: u64 = fields_of(ID_AA64ISAR1_EL1);
/// What Linux shows of debugging, whatever the processor has: version 8.
const DFR0_VALUE: u64 = 6;
/// What Linux shows of page sizes: not told.
const MMFR0_VALUE: u64 = 0xff00_0000;

/// Hardware capabilities as Linux tells them in `AT_HWCAP`, and nothing that is not implemented.
pub const HWCAP: u64 = announced();
/// More of them, in `AT_HWCAP2`.
pub const HWCAP2: u64 = 0;

/// Bits of `AT_HWCAP`.
mod hwcap {
    pub(super) const FP: u64 = 1 << 0;
    pub(super) const ASIMD: u64 = 1 << 1;
    pub(super) const AES: u64 = 1 << 3;
    pub(super) const PMULL: u64 = 1 << 4;
    pub(super) const SHA1: u64 = 1 << 5;
    pub(super) const SHA2: u64 = 1 << 6;
    pub(super) const CRC32: u64 = 1 << 7;
    pub(super) const ATOMICS: u64 = 1 << 8;
    pub(super) const FPHP: u64 = 1 << 9;
    pub(super) const ASIMDHP: u64 = 1 << 10;
    pub(super) const CPUID: u64 = 1 << 11;
    pub(super) const ASIMDRDM: u64 = 1 << 12;
    pub(super) const LRCPC: u64 = 1 << 15;
    pub(super) const DCPOP: u64 = 1 << 16;
    pub(super) const ASIMDDP: u64 = 1 << 20;
    pub(super) const ILRCPC: u64 = 1 << 26;
    pub(super) const SB: u64 = 1 << 29;
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
        ID_AA64DFR0_EL1 => DFR0_VALUE,
        ID_AA64MMFR0_EL1 => MMFR0_VALUE,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `qemu-aarch64 -cpu neoverse-n1` (7.2) says, and the differences that [`EXTENSIONS`] explains.
    #[test]
    fn what_is_announced_is_a_neoverse_n1_with_little_more() {
        assert_eq!(HWCAP, 0x0011_9ffb | hwcap::ILRCPC | hwcap::SB);
        assert_eq!(HWCAP2, 0);
        let cpu = CpuState::default();
        for (reg, value) in [
            (MPIDR_EL1, 0x8000_0000),
            (REVIDR_EL1, 0),
            (ID_AA64PFR0_EL1, 0x0011_0011),
            (ID_AA64DFR0_EL1, 6),
            (ID_AA64ISAR0_EL1, 0x1000_1021_1120),
            (ID_AA64ISAR1_EL1, 0x0010_0001 & !(15 << 20) | 2 << 20 | 1 << 36),
            (ID_AA64MMFR0_EL1, 0xff00_0000),
            (CTR_EL0, 0x8444_c004),
            (DCZID_EL0, 4),
        ] {
            assert_eq!(read(&cpu, reg, 0), Some(value), "{reg:#x}");
        }
    }
}
