//! Both tiers on small raw programs: the same registers, memory and instruction count at the end.

use spile_runtime::cpu::CpuState;
use spile_runtime::env::{Environment, Outcome, Status, TrapEvent};
use spile_runtime::isa::aarch64::AARCH64;
use spile_runtime::mem::{GuestMemory, perm};
use spile_runtime::vm::{Config, End, Tier, Vm};
use std::sync::Arc;

/// Ends the run at any trap.
struct Bare;

impl Environment for Bare {
    fn system_call(&mut self, cpu: &mut CpuState, _: &GuestMemory) -> Outcome {
        cpu.x[0] += 1;
        Outcome::Continue
    }
    fn trap(&mut self, _: &mut CpuState, _: &GuestMemory, trap: TrapEvent) -> Outcome {
        match trap {
            TrapEvent::Halt(_) => Outcome::End(Status::Exited(0)),
            _ => Outcome::End(Status::Signaled(11)),
        }
    }
    fn poll(&mut self, _: &mut CpuState, _: &GuestMemory) -> Outcome {
        Outcome::Continue
    }
    fn ticks(&self, _: u64) -> u64 {
        0
    }
    fn thread_id(&self) -> u64 {
        1
    }
    fn process_id(&self) -> u64 {
        1
    }
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A machine with a raw image at 0x800 and two pages of data at 0x8000.
fn machine(code: &[u8], tier: Tier, max_insns: Option<u64>) -> Vm {
    machine_with(code, Config { tier, max_insns, count: true, ..Config::default() })
}

fn machine_with(code: &[u8], config: Config) -> Vm {
    let memory = Arc::new(GuestMemory::new(u64::MAX >> 8).unwrap());
    memory.map_anonymous(0, 0x6000, perm::READ | perm::WRITE | perm::EXEC, false).unwrap();
    memory.map_anonymous(0x8000, 0x2000, perm::READ | perm::WRITE, false).unwrap();
    memory.write(0x800, code).unwrap();
    let cpu = Box::new(CpuState { pc: 0x800, ..CpuState::default() });
    Vm::new(&AARCH64, cpu, memory, Box::new(Bare), None, config).unwrap()
}

/// Runs it. Returns how it ended, and what it left in registers and data.
fn run(code: &[u8], tier: Tier, max_insns: Option<u64>) -> (End, CpuState, Vec<u8>) {
    let mut vm = machine(code, tier, max_insns);
    let end = vm.run();
    (end, (*vm.cpu).clone(), vm.memory.read_vec(0x8000, 0x2000).unwrap())
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn same_in_all_tiers(words: &[u32]) -> CpuState {
    let code = bytes(words);
    let (end, reference, data) = run(&code, Tier::Interp, None);
    assert_eq!(end, End::Guest(Status::Exited(0)));
    for tier in [Tier::Jit, Tier::Quick, Tier::Auto] {
        let (end, cpu, other) = run(&code, tier, None);
        assert_eq!(end, End::Guest(Status::Exited(0)), "{tier:?}");
        assert_eq!(cpu.pc, reference.pc, "{tier:?}");
        assert_eq!(cpu.icount, reference.icount, "{tier:?}");
        assert_eq!(cpu.x[..32], reference.x[..32], "{tier:?}");
        assert_eq!(cpu.v[..32], reference.v[..32], "{tier:?}");
        assert_eq!(cpu.nzcv(), reference.nzcv(), "{tier:?}");
        assert!(other == data, "{tier:?}: memory differs");
    }
    reference
}

const HLT: u32 = 0xd45e_0000;

#[test]
fn the_seed_sequence() {
    let cpu = same_in_all_tiers(&[0xd280_0000, 0x9100_0400, 0x9100_0400, HLT]);
    assert_eq!((cpu.x[0], cpu.icount), (2, 3));
}

/// What has been checked off a register on one of two ways is checked where they meet, if the other changes the register;
/// also where the branch over its instruction is a selection in compiled code. The access reached memory of the host.
#[test]
fn what_one_way_has_checked_is_no_news_of_the_other() {
    // mov x2, #0x8000; mov x1, #10000; mov x6, #8 << 32; mov x5, #0
    // loop: ldr x3, [x2]; add x3, x3, #1; str x3, [x2]; tst x1, #1; b.eq 1f; add x2, x2, x5, and so many times b 1f
    // 1: ldr x4, [x2]; add x0, x0, x4; cmp x1, #3; csel x5, x6, xzr, lo; subs x1, x1, #1; b.ne loop; hlt
    for jumps in 0..2 {
        let mut words = vec![0xd290_0002, 0xd284_e201, 0xd2c0_0106, 0xd280_0005];
        words.extend([0xf940_0043, 0x9100_0463, 0xf900_0043, 0xf240_003f, 0x5400_0040 + 0x20 * jumps, 0x8b05_0042]);
        words.extend((0..jumps).map(|_| 0x1400_0001));
        words.extend([
            0xf940_0044,
            0x8b04_0000,
            0xf100_0c3f,
            0x9a9f_30c5,
            0xf100_0421,
            0x54ff_fea1 - 0x20 * jumps,
            HLT,
        ]);
        // Where a limit of instructions may come, nothing is selected.
        for count in [false, true] {
            let ends = [Tier::Interp, Tier::Jit, Tier::Quick, Tier::Auto].map(|tier| {
                let mut vm = machine_with(&bytes(&words), Config { tier, count, ..Config::default() });
                let end = vm.run();
                (end, vm.cpu.pc, vm.cpu.x[..32].to_vec())
            });
            let trapped = (End::Guest(Status::Signaled(11)), 0x828 + 4 * u64::from(jumps), 0x8_0000_8000);
            assert_eq!((ends[0].0, ends[0].1, ends[0].2[2]), trapped);
            assert!(ends.iter().all(|end| *end == ends[0]), "tiers differ");
        }
    }
}

#[test]
fn a_counted_loop_over_memory() {
    // mov x1, #10000; mov x2, #0x8000; mov x0, #0
    // loop: ldr x3, [x2, #8]; add x3, x3, x1; str x3, [x2, #8]; add x0, x0, #1; subs x1, x1, #1; b.ne loop; hlt
    let cpu = same_in_all_tiers(&[
        0xd284_e201,
        0xd290_0002,
        0xd280_0000,
        0xf940_0443,
        0x8b01_0063,
        0xf900_0443,
        0x9100_0400,
        0xf100_0421,
        0x54ff_ff61,
        HLT,
    ]);
    assert_eq!((cpu.x[0], cpu.x[3]), (10000, 10000 * 10001 / 2));
    assert_eq!(cpu.icount, 3 + 6 * 10000);
}

#[test]
fn the_limit_is_exact_in_the_middle_of_a_hot_loop() {
    let code: Vec<u8> = [
        0xd284_e201u32,
        0xd290_0002,
        0xd280_0000,
        0xf940_0443,
        0x8b01_0063,
        0xf900_0443,
        0x9100_0400,
        0xf100_0421,
        0x54ff_ff61,
        HLT,
    ]
    .iter()
    .flat_map(|word| word.to_le_bytes())
    .collect();
    for max in [0, 1, 4, 100, 20_001, 33_333] {
        let (_, reference, _) = run(&code, Tier::Interp, Some(max));
        for tier in [Tier::Jit, Tier::Quick, Tier::Auto] {
            let (end, cpu, _) = run(&code, tier, Some(max));
            assert_eq!(end, End::Limit);
            assert_eq!((cpu.icount, cpu.pc), (max, reference.pc), "{tier:?}");
            assert_eq!(cpu.x[..32], reference.x[..32], "{tier:?} {max}");
        }
    }
}

#[test]
fn rounding_modes_that_change_and_a_status_that_is_read() {
    let and_x2_x1 = 0x9240_0000 | 58 << 16 | 1 << 10 | 1 << 5 | 2;
    let lsl_x2_16 = 0xd340_0000 | 48 << 16 | 47 << 10 | 2 << 5 | 2;
    let cpu = same_in_all_tiers(&[
        0xd280_0001 | 6000 << 5, // mov x1, #6000
        0xd280_0063,             // mov x3, #3
        0x9e62_0061,             // scvtf d1, x3
        0xd280_0005,             // mov x5, #0
        and_x2_x1,               // loop: and x2, x1, #0xc0
        lsl_x2_16,               // lsl x2, x2, #16
        0xd51b_4402,             // msr fpcr, x2
        0x9e62_0020,             // scvtf d0, x1
        0x1e61_1800,             // fdiv d0, d0, d1
        0x9e66_0004,             // fmov x4, d0
        0x8b04_00a5,             // add x5, x5, x4
        0xd53b_4426,             // mrs x6, fpsr
        0x8b06_00a5,             // add x5, x5, x6
        0xd51b_443f,             // msr fpsr, xzr
        0xf100_0421,             // subs x1, x1, #1
        0x54ff_fea1,             // b.ne loop
        HLT,
    ]);
    assert_ne!(cpu.x[5], 0);
}

/// Accesses of one kind off one base are checked by the first of them: two looks at the permissions each for loads and
/// for stores, of the first and, on a rare path, of the last page.
#[test]
fn accesses_off_one_base_are_checked_together() {
    // str x0, [x2]; str x1, [x2, #24]; ldr x3, [x2, #8]; ldr x4, [x2, #40]; str x3, [x2, #16]; hlt
    let code = bytes(&[0xf900_0040, 0xf900_0c41, 0xf940_0443, 0xf940_1444, 0xf900_0843, HLT]);
    let generated = machine(&code, Tier::Jit, None).generated_code(0x800, false);
    assert_eq!(generated.matches("load.i8 ").count(), 4, "{generated}");
}

/// Returns look for their call inside the region; one that goes elsewhere is not taken for one of these.
#[test]
fn returns_inside_a_region_and_out_of_it() {
    // mov x0, #0; mov x1, #6000
    // loop: bl outer; bl leaf (5 times); bl skip; add x0, x0, #1000; subs x1, x1, #1; b.ne loop; hlt
    // outer: mov x20, x30; bl leaf; mov x30, x20; ret
    // leaf: tst x1, #1; b.ne odd; add x0, x0, #1; ret; odd: add x0, x0, #2; ret
    // skip: tst x1, #1023; b.ne plain; add x30, x30, #4; plain: ret
    let cpu = same_in_all_tiers(&[
        0xd280_0000,
        0xd282_ee01,
        0x9400_000b,
        0x9400_000e,
        0x9400_000d,
        0x9400_000c,
        0x9400_000b,
        0x9400_000a,
        0x9400_000f,
        0x910f_a000,
        0xf100_0421,
        0x54ff_fee1,
        HLT,
        0xaa1e_03f4,
        0x9400_0003,
        0xaa14_03fe,
        0xd65f_03c0,
        0xf240_003f,
        0x5400_0061,
        0x9100_0400,
        0xd65f_03c0,
        0x9100_0800,
        0xd65f_03c0,
        0xf240_243f,
        0x5400_0041,
        0x9100_13de,
        0xd65f_03c0,
    ]);
    assert_eq!(cpu.x[0], 6 * (3000 + 2 * 3000) + 1000 * (6000 - 5));
}

/// A branch over one instruction is a selection in compiled code, unless there is a limit of instructions, which may lie
/// in front of the one that is skipped.
#[test]
fn branches_over_one_instruction() {
    // mov x0, #0; mov x1, #6000
    // loop: and x2, x1, #1; cbz x2, 1f; add x0, x0, x1; 1: add x3, x3, x0; tbnz x1, #2, 2f; mov x4, #7
    // 2: add x3, x3, x4; cmp x0, x3; b.lo 3f; eor x4, x4, x3; 3: subs x1, x1, #1; b.ne loop; hlt
    let code = [
        0xd280_0000,
        0xd282_ee01,
        0x9240_0022,
        0xb400_0042,
        0x8b01_0000,
        0x8b00_0063,
        0x3710_0041,
        0xd280_00e4,
        0x8b04_0063,
        0xeb03_001f,
        0x5400_0043,
        0xca03_0084,
        0xf100_0421,
        0x54ff_fea1,
        HLT,
    ];
    let cpu = same_in_all_tiers(&code);
    assert_eq!((cpu.x[0], cpu.x[3], cpu.icount), (9000000, 36000041000, 60002));
    let code = bytes(&code);
    for tier in [Tier::Jit, Tier::Quick, Tier::Auto] {
        let mut vm = machine_with(&code, Config { tier, ..Config::default() });
        assert_eq!(vm.run(), End::Guest(Status::Exited(0)));
        assert_eq!((&vm.cpu.x[..32], vm.cpu.nzcv()), (&cpu.x[..32], cpu.nzcv()), "{tier:?}");
    }
    for max in 30_000..30_024 {
        let (_, reference, _) = run(&code, Tier::Interp, Some(max));
        let (end, cpu, _) = run(&code, Tier::Jit, Some(max));
        assert_eq!((end, cpu.icount, cpu.pc), (End::Limit, max, reference.pc));
        assert_eq!(cpu.x[..32], reference.x[..32], "{max}");
    }
}
