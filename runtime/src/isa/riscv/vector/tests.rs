//! What the oracle cannot compare: what QEMU 7.2 does otherwise, or ends at; and interrupted loads and stores.

use super::config::{REGISTERS, STATE, VILL, configure, state};
use super::group::{Elements, FILE};
use super::{Insn, execute};
use crate::cpu::CpuState;
use crate::env::TrapEvent;
use crate::isa::riscv::xlen::Xlen;
use crate::isa::riscv::{disasm, system};
use crate::mem::{GuestMemory, perm};
use crate::uop::slot;

const E16: u64 = 1 << 3;
const E32: u64 = 2 << 3;
const E64: u64 = 3 << 3;

/// A page that can be written, and behind it one that is not there.
const PAGE: u64 = 0x10000;

fn memory() -> GuestMemory {
    let memory = GuestMemory::new(u64::MAX).unwrap();
    memory.map_anonymous(PAGE, 0x1000, perm::READ | perm::WRITE, false).unwrap();
    memory
}

/// A processor with this configuration.
fn cpu(vtype: u64, vl: u64) -> CpuState {
    let mut cpu = CpuState::default();
    system::reset(&mut cpu);
    // vsetvl x1, x2, x3
    assert_eq!(configure(Insn { bits: 0x8031_70d7, scalars: [vl, vtype] }, &mut cpu), vl);
    cpu
}

/// Executes an instruction whose text is as expected, so that its bits are what they seem.
fn run(cpu: &mut CpuState, memory: &GuestMemory, text: &str, bits: u32, scalars: [u64; 2]) -> Result<u64, TrapEvent> {
    assert_eq!(disasm::disassemble(Xlen::Rv64, bits, 0), text);
    execute(bits, scalars, cpu, memory)
}

#[test]
fn conversions_towards_zero_do_not_round_otherwise() {
    let memory = memory();
    let mut cpu = cpu(E32, 4);
    // Up is what the control register says.
    assert!(system::write(&mut cpu, system::FRM, 3));
    for (i, number) in [1.75f32, -1.75, f32::NAN, -3e9].into_iter().enumerate() {
        cpu.v[FILE].set_element(8, i as u64, 32, number.to_bits().into());
    }
    let elements = |cpu: &CpuState, register| [0, 1, 2, 3].map(|i| cpu.v[FILE].element(register, i, 32) as i32);
    run(&mut cpu, &memory, "vfcvt.rtz.x.f.v v4,v8", 0x4a83_9257, [0; 2]).unwrap();
    assert_eq!(elements(&cpu, 4), [1, -1, i32::MAX, i32::MIN]);
    run(&mut cpu, &memory, "vfcvt.x.f.v v4,v8", 0x4a80_9257, [0; 2]).unwrap();
    assert_eq!(elements(&cpu, 4), [2, -1, i32::MAX, i32::MIN]);
    run(&mut cpu, &memory, "vfcvt.rtz.xu.f.v v4,v8", 0x4a83_1257, [0; 2]).unwrap();
    assert_eq!(elements(&cpu, 4), [1, 0, -1, 0]);
    run(&mut cpu, &memory, "vfwcvt.rtz.x.f.v v4,v8", 0x4a87_9257, [0; 2]).unwrap();
    let wide = [0, 1, 2, 3].map(|i| cpu.v[FILE].element(4, i, 64) as i64);
    assert_eq!(wide, [1, -1, i64::MAX, -3_000_000_000]);
    // Invalid and inexact.
    assert_eq!(system::read(&cpu, system::FFLAGS, 0), Some(0x11));
}

#[test]
fn narrowing_conversions_towards_zero_and_to_odd() {
    let memory = memory();
    let mut cpu = cpu(E32, 2);
    for (i, number) in [2.5f64, 1.0 + 2f64.powi(-40)].into_iter().enumerate() {
        cpu.v[FILE].set_element(8, i as u64, 64, number.to_bits());
    }
    run(&mut cpu, &memory, "vfncvt.rtz.x.f.w v4,v8", 0x4a8b_9257, [0; 2]).unwrap();
    assert_eq!([0, 1].map(|i| cpu.v[FILE].element(4, i, 32)), [2, 1]);
    run(&mut cpu, &memory, "vfncvt.rtz.xu.f.w v4,v8", 0x4a8b_1257, [0; 2]).unwrap();
    assert_eq!([0, 1].map(|i| cpu.v[FILE].element(4, i, 32)), [2, 1]);
    run(&mut cpu, &memory, "vfncvt.rod.f.f.w v4,v8", 0x4a8a_9257, [0; 2]).unwrap();
    assert_eq!([0, 1].map(|i| cpu.v[FILE].element(4, i, 32)), [0x4020_0000, 0x3f80_0001]);
}

#[test]
fn what_is_reserved_is_illegal() {
    let memory = memory();
    let refuses = |cpu: &mut CpuState, text: &str, bits: u32| {
        let before = cpu.v;
        assert_eq!(run(cpu, &memory, text, bits, [0; 2]), Err(TrapEvent::Illegal(bits)), "{text}");
        assert_eq!(cpu.v, before);
    };
    let mut none = cpu(E16, 8);
    configure(Insn { bits: 0x8031_70d7, scalars: [8, 4] }, &mut none);
    assert_eq!((none.x[STATE + state::VTYPE], none.x[STATE + state::VL]), (VILL, 0));
    refuses(&mut none, "vadd.vv v4,v8,v9", 0x0284_8257);
    // Whole registers need no configuration.
    run(&mut none, &memory, "vmv1r.v v4,v8", 0x9e80_3257, [0; 2]).unwrap();
    // There is no half precision.
    refuses(&mut cpu(E16, 8), "vfadd.vv v4,v8,v9", 0x0284_9257);
    refuses(&mut cpu(E16, 8), "vfwadd.vv v4,v8,v9", 0xc284_9257);
    // Reductions and what counts begin at the first element.
    let mut interrupted = cpu(E16, 8);
    interrupted.x[STATE + state::VSTART] = 1;
    refuses(&mut interrupted, "vredsum.vs v4,v8,v9", 0x0284_a257);
    refuses(&mut interrupted, "vcpop.m x4,v8".replace("x4", "tp").as_str(), 0x4288_2257);
    refuses(&mut interrupted, "vcompress.vm v4,v8,v9", 0x5e84_a257);
    assert_eq!(interrupted.x[STATE + state::VSTART], 1);
    // A rounding mode that is none.
    let mut unrounded = cpu(E32, 4);
    system::write(&mut unrounded, system::FRM, 5);
    refuses(&mut unrounded, "vfadd.vv v4,v8,v9", 0x0284_9257);
}

/// What is written above the two bits of the mode, or above the one of saturation, is not kept.
#[test]
fn fixed_point_modes_have_two_bits() {
    let mut cpu = cpu(E16, 8);
    assert!(system::write(&mut cpu, system::VXRM, 0x12));
    assert!(system::write(&mut cpu, system::VXSAT, 0x23));
    let read = |register| system::read(&cpu, register, 0);
    assert_eq!([read(system::VXRM), read(system::VXSAT), read(system::VCSR)], [Some(2), Some(1), Some(5)]);
}

/// All instructions that end set `vstart` to 0, those that do nothing as well.
#[test]
fn the_next_instruction_begins_at_the_first_element() {
    let memory = memory();
    for (text, bits) in
        [("vmv.x.s ra,v8", 0x4280_20d7), ("vmv.s.x v8,ra", 0x4200_e457), ("vadd.vv v4,v8,v9", 0x0284_8257)]
    {
        let mut cpu = cpu(E64, 1);
        cpu.x[STATE + state::VSTART] = 1;
        let before = cpu.v;
        run(&mut cpu, &memory, text, bits, [7; 2]).unwrap();
        assert_eq!((cpu.x[STATE + state::VSTART], cpu.v), (0, before), "{text}");
    }
}

#[test]
fn an_access_that_faults_says_at_which_element() {
    let memory = memory();
    let end = PAGE + 0x1000;
    let mut cpu = cpu(E32, 4);
    for n in 0..REGISTERS {
        cpu.v[FILE.start + n] = u128::MAX / (n as u128 + 3);
    }
    let before = cpu.v;
    let fault = run(&mut cpu, &memory, "vle32.v v8,(ra)", 0x0200_e407, [end - 12, 0]);
    assert!(matches!(fault, Err(TrapEvent::Fault(fault)) if fault.addr == end), "{fault:?}");
    assert_eq!(cpu.x[STATE + state::VSTART], 3);
    assert_eq!(cpu.v[FILE.start + 8], before[FILE.start + 8] >> 96 << 96);
    // It goes on there once the page is there.
    memory.map_anonymous(end, 0x1000, perm::READ | perm::WRITE, false).unwrap();
    memory.write(end, &7u32.to_le_bytes()).unwrap();
    memory.write(end - 12, &[9; 12]).unwrap();
    run(&mut cpu, &memory, "vle32.v v8,(ra)", 0x0200_e407, [end - 12, 0]).unwrap();
    assert_eq!((cpu.v[FILE.start + 8], cpu.x[STATE + state::VSTART]), (7 << 96, 0));
    // Stores.
    let fault = run(&mut cpu, &memory, "vse32.v v8,(ra)", 0x0200_e427, [end + 0x1000 - 4, 0]);
    assert!(fault.is_err() && cpu.x[STATE + state::VSTART] == 1);
}

#[test]
fn a_load_that_ends_at_a_fault_is_shorter() {
    let memory = memory();
    let end = PAGE + 0x1000;
    let mut cpu = cpu(E32, 4);
    cpu.v[FILE.start + 8] = u128::MAX;
    run(&mut cpu, &memory, "vle32ff.v v8,(ra)", 0x0300_e407, [end - 8, 0]).unwrap();
    assert_eq!((cpu.x[STATE + state::VL], cpu.v[FILE.start + 8]), (2, u128::MAX << 64));
    // But not by the first element.
    assert!(run(&mut cpu, &memory, "vle32ff.v v8,(ra)", 0x0300_e407, [end, 0]).is_err());
    assert_eq!(cpu.x[STATE + state::VL], 2);
    assert_eq!(cpu.x[slot::FP_STATUS as usize], 0);
}
