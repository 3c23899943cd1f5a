//! Faults, system calls, page ends, code that is written while it runs, and control that goes to odd places.

use crate::machine::{CODE, CODE_SIZE, DATA, HLT, Nobody, Program, Spy, Stepper, TIERS, run, run_on, run_plain};
use crate::record::LIMIT;
use spile_runtime::cells::Cells;
use spile_runtime::cpu::CpuState;
use spile_runtime::env::{Status, TrapEvent};
use spile_runtime::interp::ActionCall;
use spile_runtime::mem::{Access, Fault, GuestMemory, perm};
use spile_runtime::translate::Site;
use spile_runtime::uop::{Uop, slot};
use spile_runtime::vm::End;
use std::sync::{Arc, Mutex};

/// Counts executions before and after every instruction, and those that an action sees.
struct Counter {
    cells: Arc<Cells>,
    seen: Vec<(u64, u64)>,
}

impl Counter {
    fn new() -> Arc<Mutex<Counter>> {
        Arc::new(Mutex::new(Counter { cells: Cells::new(), seen: Vec::new() }))
    }
}

impl Spy for Counter {
    fn before(&mut self, _: &Site<'_>, uops: &mut Vec<Uop>) {
        uops.push(Uop::CellInc { cell: 0, n: 1 });
    }
    fn has_after(&mut self, _: &Site<'_>) -> bool {
        true
    }
    fn after(&mut self, _: &Site<'_>, uops: &mut Vec<Uop>) {
        uops.push(Uop::CellInc { cell: 1, n: 1 });
        uops.push(Uop::Action { action: 0, d: slot::ZERO, args: slot::ZERO, n: 0, state: true });
    }
    fn action(&mut self, call: ActionCall, _: &mut CpuState, _: &GuestMemory) -> u64 {
        self.seen.push((call.pc, call.icount));
        0
    }
    fn cells(&self) -> Arc<Cells> {
        self.cells.clone()
    }
}

/// Runs a program in all tiers, without probes, with counters before, and with probes before and after. Everything
/// must be as when it is executed one instruction at a time, and the counts exact. Returns the last instruction's end.
#[track_caller]
fn same_everywhere(program: &Program) -> crate::machine::Final {
    same_on(program, &|_| {})
}

#[track_caller]
fn same_on(program: &Program, prepare: &dyn Fn(&GuestMemory)) -> crate::machine::Final {
    let memory = || {
        let memory = program.memory();
        prepare(&memory);
        memory
    };
    let (mut before, mut after) = (0, Vec::new());
    let mut stepper = Stepper::on(program, memory());
    let expected = stepper.run(1_000_000, |stepper, stepped| match stepped {
        None => {
            let pc = stepper.cpu.pc;
            before += u64::from(pc % 4 == 0 && stepper.memory.fetch::<4>(pc).is_ok());
        }
        Some(pc) => after.push((pc, stepper.cpu.icount)),
    });
    for tier in TIERS {
        let nobody = Arc::new(Mutex::new(Nobody));
        run_on(program, memory(), tier, &nobody).must_be(&expected, &format!("{tier:?}"));
        let bare = Arc::new(Mutex::new(CountOnly(Cells::new())));
        run_on(program, memory(), tier, &bare).must_be(&expected, &format!("{tier:?}, counted"));
        assert_eq!(bare.lock().unwrap().0.get(0), before, "{tier:?}: instructions counted");
        let counter = Counter::new();
        run_on(program, memory(), tier, &counter).must_be(&expected, &format!("{tier:?}, probes"));
        let counter = counter.lock().unwrap();
        let counts = [0, 1].map(|cell| counter.cells.get(cell));
        assert_eq!(counts, [before, after.len() as u64], "{tier:?}: before and after");
        assert!(counter.seen == after, "{tier:?}: what the after-probes see");
    }
    expected
}

/// Counts every instruction and does nothing else.
struct CountOnly(Arc<Cells>);

impl Spy for CountOnly {
    fn before(&mut self, _: &Site<'_>, uops: &mut Vec<Uop>) {
        uops.push(Uop::CellInc { cell: 0, n: 1 });
    }
    fn cells(&self) -> Arc<Cells> {
        self.0.clone()
    }
}

const NOP: u32 = 0xd503_201f;
const SVC: u32 = 0xd400_0001;
const RET: u32 = 0xd65f_03c0;
/// `add x0, x0, #1`
const INC: u32 = 0x9100_0400;

/// A loop of `times` around `body`: counter `x26`.
fn repeat(times: u32, body: &[u32]) -> Vec<u32> {
    let mut words = vec![0xd280_001a | times << 5];
    words.extend(body);
    words.push(0xf100_075a); // subs x26, x26, #1
    let back = (-(body.len() as i32) - 1) as u32 & 0x7_ffff;
    words.extend([0x5400_0001 | back << 5, HLT]);
    words
}

#[test]
fn a_fault_in_the_middle_of_a_block() {
    // x1 walks out of the data while it is loaded, stored, and loaded in pairs.
    for access in
        [0xf940_0022, 0xf900_0022, 0xa940_0c22, 0xa900_0c22, 0x3dc0_0020, 0xf840_8422, 0xf800_8c22, 0xd50b_7421]
    {
        let mut program = Program::new(&repeat(4000, &[INC, 0x9100_2021, access, INC, NOP]));
        program.cpu.x[1] = DATA;
        let result = same_everywhere(&program);
        assert_eq!(result.end, End::Guest(Status::Signaled(11)), "{access:#x}");
        assert_eq!(result.state.pc, CODE + 12, "{access:#x}");
        assert!(matches!(result.traps[..], [TrapEvent::Fault(Fault { access: Access::Read | Access::Write, .. })]));
    }
}

#[test]
fn a_system_call_in_the_middle_of_a_block() {
    let result = same_everywhere(&Program::new(&repeat(1500, &[INC, SVC, INC, NOP, INC])));
    assert_eq!(result.output.len(), 1500);
    same_everywhere(&Program::new(&repeat(1500, &[SVC])));
    same_everywhere(&Program::new(&repeat(1500, &[INC, SVC, SVC])));
}

#[test]
fn an_undefined_instruction_in_a_hot_loop_behind_a_branch() {
    // sub x1, x26, #250; cbnz x1 over the undefined instruction
    let result = same_everywhere(&Program::new(&repeat(1500, &[INC, 0xd103_eb41, 0xb500_0041, 0, INC])));
    assert_eq!(result.state.x[0], 2 * 1250 + 1);
    assert_eq!(result.traps, [TrapEvent::Illegal(0)]);
}

#[test]
fn straight_code_that_is_longer_than_a_block() {
    for n in [62, 63, 64, 65, 66, 127, 128, 129, 300] {
        let result = same_everywhere(&Program::new(&repeat(3, &vec![INC; n])));
        assert_eq!(result.state.x[0], 3 * n as u64);
    }
}

#[test]
fn blocks_at_the_end_of_a_page() {
    for before_end in 0..4 {
        let mut words = vec![NOP; 1024 - 3 - before_end];
        words[0] = 0x1400_0000 | words.len() as u32;
        words.extend(repeat(1200, &[INC, INC, 0x1400_0001, INC]));
        let result = same_everywhere(&Program::new(&words));
        assert_eq!(result.state.x[0], 3600);
    }
}

#[test]
fn code_that_runs_into_a_page_that_is_not_executable() {
    for (len, bytes) in [(3, 0), (3, 1)] {
        let mut words = vec![NOP; 1024 - len];
        words[0] = 0x1400_0000 | words.len() as u32;
        words.extend(vec![INC; len + 8]);
        let program = Program::new(&words);
        let result = same_on(&program, &|memory| {
            if bytes == 0 {
                memory.protect(CODE + 4096, 4096, perm::READ | perm::WRITE).unwrap();
            } else {
                memory.unmap(CODE + 4096, CODE_SIZE - 4096).unwrap();
                memory.map_anonymous(CODE + 8192, CODE_SIZE - 8192, perm::READ, false).unwrap();
                memory.map_anonymous(CODE + 4096, 4096, perm::READ, false).unwrap();
            }
        });
        assert_eq!((result.state.pc, result.state.x[0]), (CODE + 4096, len as u64));
        assert!(matches!(result.traps[..], [TrapEvent::Fault(Fault { access: Access::Fetch, mapped: true, .. })]));
    }
}

#[test]
fn branches_to_where_no_instruction_is() {
    for target in
        [CODE + 1, CODE + 2, CODE + 7, 0, DATA, CODE | 1 << 63, CODE | 1 << 56, CODE | 1 << 40, u64::MAX, u64::MAX - 3]
    {
        for branch in [0xd61f_0020, 0xd63f_0020, 0xd65f_0020] {
            let mut program = Program::new(&[INC, INC, branch, INC, HLT]);
            program.cpu.x[1] = target;
            let result = same_everywhere(&program);
            assert_eq!((result.state.pc, result.state.icount), (target, 3), "{target:#x}");
        }
    }
}

#[test]
fn a_branch_into_the_middle_of_a_translated_block() {
    // The loop is entered at its start and then, for every other iteration, in its middle.
    let words = [
        0xd282_ee1a, // mov x26, #6000
        INC,
        0x9100_0821, // add x1, x1, #2
        0x9100_0c42, // add x2, x2, #3
        INC,
        0xf100_075a, // subs x26, x26, #1
        0x5400_0080, // b.eq out
        0x3607_ff7a, // tbz w26, #0, middle (the third of the loop)
        0x17ff_fff9, // b start
        NOP,
        HLT,
    ];
    same_everywhere(&Program::new(&words));
}

#[test]
fn calls_whose_return_is_in_the_same_region() {
    // loop: bl f; add; bl f; f stands behind the loop.
    let mut words = repeat(2000, &[0x9400_0007, INC, 0x9400_0005, INC]);
    words.extend([0x8b00_0021, RET]);
    let result = same_everywhere(&Program::new(&words));
    assert_eq!(result.state.x[1], (0..4000).sum::<u64>());
}

#[test]
fn recursion() {
    // fib(15) with a frame for each call.
    let words = [
        0xd280_01e0, // mov x0, #15
        0x9400_0002, // bl fib
        HLT,
        0xf100_081f, // fib: cmp x0, #2
        0x5400_0183, // b.lo out
        0xa9be_7bfd, // stp x29, x30, [sp, #-32]!
        0xa901_4ff4, // stp x20, x19, [sp, #16]
        0xaa00_03f3, // mov x19, x0
        0xd100_0400, // sub x0, x0, #1
        0x97ff_fffa, // bl fib
        0xaa00_03f4, // mov x20, x0
        0xd100_0a60, // sub x0, x19, #2
        0x97ff_fff7, // bl fib
        0x8b00_0280, // add x0, x20, x0
        0xa941_4ff4, // ldp x20, x19, [sp, #16]
        0xa8c2_7bfd, // ldp x29, x30, [sp], #32
        RET,
    ];
    assert_eq!(same_everywhere(&Program::new(&words)).state.x[0], 610);
}

/// A loop that stores `add x0, x0, #n` over an instruction of itself, by different stores. `store` has its address in
/// x1, the word in w2, and a spare register x3.
fn patching(store: &[u32], distance: usize, times: u32) -> Program {
    let mut body = vec![
        0x5280_0002, // mov w2, #0
        0x72b2_2002, // movk w2, #0x9100, lsl 16
        0x3316_1f42, // bfi w2, w26, #10, #8: add x0, x0, #(x26 & 255)
    ];
    let adr = body.len();
    body.push(0);
    body.extend(store);
    body.extend(vec![NOP; distance]);
    let target = body.len();
    body.push(INC);
    body[adr] = 0x1000_0001 | ((target - adr) as u32) << 5;
    Program::new(&repeat(times, &body))
}

#[test]
fn code_that_writes_itself_by_every_kind_of_store() {
    let stores: [(&str, &[u32]); 9] = [
        ("str", &[0xb900_0022]),
        ("stur", &[0xb800_0022]),
        ("stp", &[0xb940_0423, 0x2900_0c22]),
        ("stlr", &[0x889f_fc22]),
        ("swp", &[0xb822_8023]),
        ("ldadd of the difference", &[0xb940_0023, 0x4b03_0042, 0xb822_0023]),
        ("cas", &[0xb940_0023, 0x88a3_7c22]),
        ("stxr", &[0x885f_7c23, 0x8803_7c22]),
        ("str s", &[0x1e27_0040, 0xbd00_0020]),
    ];
    for (name, store) in stores {
        for distance in [0, 1, 3] {
            // The long loop is hot; each of its iterations is translated anew.
            for times in if distance == 1 { [3, 1030] } else { [2, 9] } {
                if times > 1000 && !["swp"].contains(&name) {
                    continue;
                }
                let result = std::panic::catch_unwind(|| same_everywhere(&patching(store, distance, times)));
                let result =
                    result.unwrap_or_else(|_| panic!("by {name}, {distance} instructions ahead, {times} times"));
                let expected: u64 = (1..=u64::from(times)).map(|n| n & 255).sum();
                assert_eq!(result.state.x[0], expected, "{name} {distance}");
            }
        }
    }
}

#[test]
fn code_that_zeroes_a_line_of_itself() {
    // dc zva clears the line that the loop is about to execute: an undefined instruction.
    let mut words = vec![NOP; 48];
    words[0] = 0xd280_005a; // mov x26, #2
    words[4] = 0x1000_0001 | (32 - 4) << 5; // adr x1, line
    words[5] = 0xf100_075a; // subs x26, x26, #1
    words[6] = 0x5400_0041; // b.ne over
    words[7] = 0xd50b_7421; // dc zva, x1
    // b back, to the second instruction
    words[47] = 0x1400_0000 | (1i32 - 47) as u32 & 0x3ff_ffff;
    let result = same_everywhere(&Program::new(&words));
    assert_eq!(result.traps, [TrapEvent::Illegal(0)]);
    assert_eq!(result.state.pc, CODE + 128);
}

/// A probe behind one instruction that writes an instruction elsewhere.
struct CodeWriter {
    at: u64,
    target: u64,
    word: u32,
}

impl Spy for CodeWriter {
    fn has_after(&mut self, site: &Site<'_>) -> bool {
        site.insn.pc == self.at
    }
    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        uops.push(Uop::Action { action: 0, d: slot::ZERO, args: slot::ZERO, n: 0, state: false });
        if !site.jumps {
            uops.push(Uop::Poll { body: false });
        }
    }
    fn action(&mut self, _: ActionCall, _: &mut CpuState, memory: &GuestMemory) -> u64 {
        memory.write_forced(self.target, &self.word.to_le_bytes()).unwrap();
        0
    }
}

#[test]
fn a_probe_behind_a_branch_writes_the_code_that_it_goes_to() {
    for branch in [0x1400_0002, 0x5400_004e, 0xb400_0040 | 5] {
        let program = Program::new(&[INC, branch, INC, 0x9100_0821, HLT]);
        for tier in TIERS {
            let spy = CodeWriter { at: CODE + 4, target: CODE + 12, word: 0x9100_2842 };
            let result = run(&program, tier, LIMIT, &Arc::new(Mutex::new(spy)));
            assert_eq!((result.state.x[1], result.state.x[2]), (0, 10), "{tier:?} {branch:#x}");
        }
    }
}

#[test]
fn programs_without_end_stop_at_the_limit() {
    for words in [&[0x1400_0000][..], &[INC, 0x1400_0001, 0x17ff_fffe]] {
        let program = Program::new(words);
        let expected = Stepper::new(&program).run(12_345, |_, _| {});
        for tier in TIERS {
            run_plain(&program, tier, 12_345).must_be(&expected, &format!("{tier:?}"));
        }
    }
}
