//! Control and status registers, and the extensions that programs are told of.
//!
//! `fcsr` is `frm` and `fflags`. The engine keeps rounding modes and exceptions in another layout (see
//! [`crate::vector::FpEnv`]), from which they are made here. `cycle` and `time` count the nanoseconds of the virtual
//! counter. `instret` is refused, as Linux refuses it to programs since 6.6: while nobody counts, generated code keeps no
//! count of instructions.

use super::vector::config::{self, STATE, VLEN, state};
use super::xlen::Xlen;
use crate::cpu::CpuState;
use crate::uop::slot;
use crate::vector::control;

pub(super) const FFLAGS: u32 = 0x001;
pub(super) const FRM: u32 = 0x002;
pub(super) const FCSR: u32 = 0x003;
pub(super) const VSTART: u32 = 0x008;
pub(super) const VXSAT: u32 = 0x009;
pub(super) const VXRM: u32 = 0x00a;
pub(super) const VCSR: u32 = 0x00f;
pub(super) const VL: u32 = 0xc20;
pub(super) const VTYPE: u32 = 0xc21;
pub(super) const VLENB: u32 = 0xc22;
const CYCLE: u32 = 0xc00;
const TIME: u32 = 0xc01;
/// The upper halves, where registers have 32 bits.
const CYCLEH: u32 = 0xc80;
const TIMEH: u32 = 0xc81;

/// Lowest bit of the engine's rounding mode.
const MODE_LSB: u32 = 22;
const MODE: u64 = 3 << MODE_LSB | control::ROUNDING;

/// An extension that is implemented: its name in the `isa` line of `/proc/cpuinfo`, its bit in `AT_HWCAP` if it has a
/// letter, and its bit in the key `RISCV_HWPROBE_KEY_IMA_EXT_0`, or 0. Extend together with the decode rows.
pub(super) struct Extension(pub(super) &'static str, u64, u64);

/// The bit of a letter.
const fn letter(c: u8) -> u64 {
    1 << (c - b'a')
}

/// What is announced: all that is implemented, in the order of an `isa` line.
pub(super) const EXTENSIONS: &[Extension] = &[
    Extension("i", letter(b'i'), 0),
    Extension("m", letter(b'm'), 0),
    Extension("a", letter(b'a'), 0),
    Extension("f", letter(b'f'), 1 << 0),
    Extension("d", letter(b'd'), 1 << 0),
    Extension("c", letter(b'c'), 1 << 1),
    Extension("v", letter(b'v'), 1 << 2),
    Extension("zicbom", 0, 1 << 55),
    Extension("zicbop", 0, 0),
    Extension("zicboz", 0, 1 << 6),
    Extension("zicond", 0, 1 << 35),
    Extension("zicsr", 0, 0),
    Extension("zifencei", 0, 0),
    Extension("zihintpause", 0, 1 << 36),
    Extension("zfa", 0, 1 << 32),
    Extension("zba", 0, 1 << 3),
    Extension("zbb", 0, 1 << 4),
    Extension("zbc", 0, 1 << 7),
    Extension("zbs", 0, 1 << 5),
    // Parts of V.
    Extension("zve32f", 0, 1 << 38),
    Extension("zve32x", 0, 1 << 37),
    Extension("zve64d", 0, 1 << 41),
    Extension("zve64f", 0, 1 << 40),
    Extension("zve64x", 0, 1 << 39),
];

/// `AT_HWCAP`: the extensions that have a letter.
pub(super) const HWCAP: u64 = announced(false);
/// The value of `RISCV_HWPROBE_KEY_IMA_EXT_0`.
pub(super) const PROBED: u64 = announced(true);

const fn announced(probed: bool) -> u64 {
    let (mut bits, mut i) = (0, 0);
    while i < EXTENSIONS.len() {
        bits |= if probed { EXTENSIONS[i].2 } else { EXTENSIONS[i].1 };
        i += 1;
    }
    bits
}

/// True if a program may read `reg`.
pub(super) const fn is_readable(xlen: Xlen, reg: u32) -> bool {
    let is_there = match xlen {
        Xlen::Rv32 => matches!(reg, CYCLE | TIME | CYCLEH | TIMEH),
        Xlen::Rv64 => matches!(reg, CYCLE | TIME | VL | VTYPE | VLENB),
    };
    is_there || is_writable(xlen, reg)
}

/// True if a program may write `reg`.
pub(super) const fn is_writable(xlen: Xlen, reg: u32) -> bool {
    let has_vectors = matches!(xlen, Xlen::Rv64);
    matches!(reg, FFLAGS | FRM | FCSR) || has_vectors && matches!(reg, VSTART | VXSAT | VXRM | VCSR)
}

/// Sets the rules that floating point follows here.
pub(super) fn reset(cpu: &mut CpuState) {
    cpu.x[slot::FP_CONTROL as usize] = control::CANONICAL;
    config::reset(cpu);
}

/// The exceptions: NX, UF, OF, DZ, NV from bit 0, which the engine has in the opposite order.
fn fflags(cpu: &CpuState) -> u64 {
    cpu.x[slot::FP_STATUS as usize].reverse_bits() >> (64 - 5)
}

fn set_fflags(cpu: &mut CpuState, value: u64) {
    cpu.x[slot::FP_STATUS as usize] = (value << (64 - 5)).reverse_bits();
}

/// The rounding mode: to nearest even, towards zero, down, up, to nearest away from zero, and three that are none.
fn frm(cpu: &CpuState) -> u64 {
    let word = cpu.x[slot::FP_CONTROL as usize];
    let mode = word >> MODE_LSB & 3;
    match word & control::ROUNDING {
        0 => [0, 3, 2, 1][mode as usize],
        control::AWAY => 4,
        _ => 4 + mode,
    }
}

fn set_frm(cpu: &mut CpuState, value: u64) {
    let mode = match value & 7 {
        nearest @ (0 | 2) => nearest << MODE_LSB,
        1 => 3 << MODE_LSB,
        3 => 1 << MODE_LSB,
        4 => control::AWAY,
        none => control::NO_ROUNDING | (none - 4) << MODE_LSB,
    };
    let word = &mut cpu.x[slot::FP_CONTROL as usize];
    *word = *word & !MODE | mode;
}

fn set_vcsr(cpu: &mut CpuState, mask: u64, value: u64) {
    let vcsr = &mut cpu.x[STATE + state::VCSR];
    *vcsr = *vcsr & !mask | value & mask;
}

/// Returns the value of a register; `None` if a program may not read it.
pub(super) fn read(cpu: &CpuState, reg: u32, ticks: u64) -> Option<u64> {
    Some(match reg {
        FFLAGS => fflags(cpu),
        FRM => frm(cpu),
        FCSR => frm(cpu) << 5 | fflags(cpu),
        CYCLE | TIME => ticks,
        CYCLEH | TIMEH => ticks >> 32,
        VSTART => cpu.x[STATE + state::VSTART],
        VXSAT => cpu.x[STATE + state::VCSR] & 1,
        VXRM => cpu.x[STATE + state::VCSR] >> 1,
        VCSR => cpu.x[STATE + state::VCSR],
        VL => cpu.x[STATE + state::VL],
        VTYPE => cpu.x[STATE + state::VTYPE],
        VLENB => u64::from(VLEN / 8),
        _ => return None,
    })
}

/// Writes a register. False if a program may not.
pub(super) fn write(cpu: &mut CpuState, reg: u32, value: u64) -> bool {
    match reg {
        FFLAGS => set_fflags(cpu, value),
        FRM => set_frm(cpu, value),
        FCSR => {
            set_fflags(cpu, value);
            set_frm(cpu, value >> 5);
        }
        // As many bits as the index of an element has.
        VSTART => cpu.x[STATE + state::VSTART] = value & u64::from(VLEN - 1),
        VXSAT => set_vcsr(cpu, 1, value),
        VXRM => set_vcsr(cpu, 6, value << 1),
        VCSR => set_vcsr(cpu, 7, value),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut cpu = CpuState::default();
        reset(&mut cpu);
        for value in 0..=0xff {
            assert!(write(&mut cpu, FCSR, value | 0xff00));
            assert_eq!(read(&cpu, FCSR, 0), Some(value));
            assert_eq!((read(&cpu, FRM, 0), read(&cpu, FFLAGS, 0)), (Some(value >> 5), Some(value & 31)));
            assert_ne!(cpu.x[slot::FP_CONTROL as usize] & control::CANONICAL, 0);
        }
        assert!(!write(&mut cpu, TIME, 0));
        assert_eq!((read(&cpu, TIME, 7), read(&cpu, TIMEH, 7 << 32)), (Some(7), Some(7)));
    }

    #[test]
    fn capabilities_are_those_of_the_letters() {
        assert_eq!(HWCAP, 0x0020_112d);
    }
}
