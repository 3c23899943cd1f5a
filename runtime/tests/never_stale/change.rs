//! Probes that come and go while the guest runs, limits at every instruction, and scripts that do such things.

use crate::generate::{self, Shape};
use crate::machine::{CODE, CODE_SIZE, Final, HLT, Program, Rng, Spy, State, Stepper, TIERS, run, run_plain, run_with};
use crate::record::LIMIT;
use crate::seeds;
use spile_lang::source::Sources;
use spile_runtime::cells::Cells;
use spile_runtime::cpu::{CpuState, poll};
use spile_runtime::interp::ActionCall;
use spile_runtime::mem::GuestMemory;
use spile_runtime::probe::engine::Probes;
use spile_runtime::probe::output::{Output, Style};
use spile_runtime::symbols::SymbolTable;
use spile_runtime::translate::Site;
use spile_runtime::uop::{BinOp, Uop, slot};
use spile_runtime::vm::Tier;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A probe that turns counting at other instructions on and off each time its own execution count is a multiple.
#[derive(Clone, Copy, Debug)]
struct Switch {
    pc: u64,
    after: bool,
    every: u64,
    /// Index of the instruction whose counter it toggles.
    target: usize,
}

struct Switches {
    starts: Vec<u64>,
    switches: Vec<Switch>,
    on: Vec<bool>,
    changes: Vec<Range<u64>>,
    /// Executions of the switches, then of the instructions that are counted.
    cells: Arc<Cells>,
}

impl Switches {
    fn new(program: &Program, switches: &[Switch], on: &[bool]) -> Self {
        let cells = Cells::new();
        let (starts, switches) = (program.starts.clone(), switches.to_vec());
        Switches { starts, switches, on: on.to_vec(), changes: Vec::new(), cells }
    }

    fn splice(&self, site: &Site<'_>, after: bool, uops: &mut Vec<Uop>) {
        let mut polls = false;
        for (index, switch) in self.switches.iter().enumerate() {
            if switch.pc != site.insn.pc || switch.after != after {
                continue;
            }
            let p = slot::PROBE;
            uops.push(Uop::MovI { d: p, imm: 1 });
            uops.push(Uop::CellAdd { d: p, a: p, cell: index as u32 });
            uops.push(Uop::MovI { d: p + 1, imm: switch.every });
            uops.push(Uop::Bin { op: BinOp::DivUA64, d: p + 2, a: p, b: p + 1 });
            uops.push(Uop::MulSub64 { d: p, a: p + 2, b: p + 1, c: p });
            let to = uops.len() as u32 + 2;
            uops.push(Uop::LocalIf { nz: true, a: p, to });
            uops.push(Uop::Action { action: index as u32, d: slot::ZERO, args: slot::ZERO, n: 0, state: false });
            polls = true;
        }
        if polls && !(after && site.jumps) {
            uops.push(Uop::Poll { body: !after });
        }
    }
}

impl Spy for Switches {
    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        // The counters come first: what a switch does here is for the next time.
        if let Ok(index) = self.starts.binary_search(&site.insn.pc)
            && self.on[index]
        {
            uops.push(Uop::CellInc { cell: (self.switches.len() + index) as u32, n: 1 });
        }
        self.splice(site, false, uops);
    }
    fn has_after(&mut self, site: &Site<'_>) -> bool {
        self.switches.iter().any(|switch| switch.after && switch.pc == site.insn.pc)
    }
    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.splice(site, true, uops);
    }
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, _: &GuestMemory) -> u64 {
        let target = self.switches[call.action as usize].target;
        self.on[target] ^= true;
        let pc = self.starts[target];
        self.changes.push(pc..pc + 1);
        cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        0
    }
    fn take_changes(&mut self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.changes)
    }
    fn cells(&self) -> Arc<Cells> {
        self.cells.clone()
    }
}

#[test]
fn probes_that_come_and_go_count_exactly() {
    for (seed, generate) in generate::each(seeds(40)) {
        let seed = seed ^ 0x0c4a_0000;
        let mut rng = Rng(seed);
        let program = generate(seed, Shape::random(&mut rng));
        let len = program.starts.len();
        let mut switches: Vec<Switch> = Vec::new();
        for _ in 0..1 + rng.below(3) {
            let target = program.first + rng.below((len - program.first) as u64) as usize;
            let near = (target as u64 + rng.below(6)).saturating_sub(3).min(len as u64 - 1);
            let pc = program.starts[if rng.chance(60) { near } else { rng.below(len as u64) } as usize];
            let every = rng.pick(&[1, 2, 3, 7, 100, 1003]);
            switches.push(Switch { pc, after: rng.chance(50), every, target });
        }
        let on: Vec<bool> = (0..len).map(|_| rng.chance(50)).collect();
        let (mut now, mut hits) = (on.clone(), vec![0; switches.len() + len]);
        let expected = Stepper::new(&program).run(LIMIT, |stepper, stepped| {
            let pc = stepped.unwrap_or(stepper.cpu.pc);
            let Ok(index) = program.starts.binary_search(&pc) else { return };
            if stepped.is_none() && now[index] {
                hits[switches.len() + index] += 1;
            }
            for (number, switch) in switches.iter().enumerate() {
                if switch.pc == pc && switch.after == stepped.is_some() {
                    hits[number] += 1;
                    if hits[number] % switch.every == 0 {
                        now[switch.target] ^= true;
                    }
                }
            }
        });
        for tier in TIERS {
            let spy = Arc::new(Mutex::new(Switches::new(&program, &switches, &on)));
            let what = format!("seed {seed}, {tier:?}, {switches:x?}");
            run(&program, tier, LIMIT, &spy).must_be(&expected, &what);
            let spy = spy.lock().unwrap();
            let cells: Vec<u64> = (0..hits.len() as u32).map(|cell| spy.cells.get(cell)).collect();
            assert_eq!(cells, hits, "{what}: hits");
        }
    }
}

// ---- limits

#[test]
fn a_limit_stops_at_exactly_its_instruction() {
    for (seed, generate) in generate::each(seeds(20)) {
        let seed = seed ^ 0x0117_0000;
        let mut rng = Rng(seed);
        let program = generate(seed, Shape { hot: false, ..Shape::random(&mut rng) });
        let total = Stepper::new(&program).run(2000, |_, _| {}).state.icount;
        let mut limits: Vec<u64> = (0..4).map(|_| rng.below(total + 2)).collect();
        limits.extend([0, 1, total, total + 1]);
        for limit in limits {
            let expected = Stepper::new(&program).run(limit, |_, _| {});
            for tier in TIERS {
                run_plain(&program, tier, limit).must_be(&expected, &format!("seed {seed}, {tier:?}, limit {limit}"));
            }
        }
    }
}

#[test]
fn every_limit_of_a_program_in_the_interpreter() {
    for (seed, generate) in generate::each(seeds(6)) {
        let program = generate(seed ^ 0x0e7e_0000, Shape { patches: true, ..Shape::default() });
        let mut stepper = Stepper::new(&program);
        for limit in 0..400 {
            let expected = stepper.run(limit, |_, _| {});
            let what = format!("seed {seed}, limit {limit}");
            run_plain(&program, Tier::Interp, limit).must_be(&expected, &what);
            if expected.end != spile_runtime::vm::End::Limit {
                break;
            }
        }
    }
}

/// Looks at the whole state at irregular instruction counts.
struct Periodic {
    seed: u64,
    states: Vec<State>,
    splices: bool,
}

impl Spy for Periodic {
    fn before(&mut self, _: &Site<'_>, uops: &mut Vec<Uop>) {
        if self.splices {
            uops.push(Uop::MovI { d: slot::PROBE, imm: 0 });
        }
    }
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, _: &GuestMemory) -> u64 {
        let mut state = State::of(cpu);
        (state.pc, state.icount) = (call.pc, call.icount);
        self.states.push(state);
        0
    }
    fn next_every(&self, icount: u64) -> u64 {
        icount + 1 + Rng(self.seed ^ icount).below(if icount < 3000 { 9 } else { 500 })
    }
    fn every(&mut self) -> Vec<Uop> {
        vec![Uop::Action { action: 0, d: slot::ZERO, args: slot::ZERO, n: 0, state: true }]
    }
}

#[test]
fn periodic_events_see_the_exact_state() {
    for (seed, generate) in generate::each(seeds(100)) {
        let seed = seed ^ 0x0e3e_0000;
        let mut rng = Rng(seed);
        let program = generate(seed, Shape::random(&mut rng));
        let spy = Periodic { seed, states: Vec::new(), splices: rng.chance(50) };
        let (mut next, mut states) = (spy.next_every(0), Vec::new());
        let expected = Stepper::new(&program).run(LIMIT, |stepper, stepped| {
            if stepped.is_none() && stepper.cpu.icount == next {
                states.push(State::of(&stepper.cpu));
                next = spy.next_every(next);
            }
        });
        let splices = spy.splices;
        for tier in TIERS {
            let spy = Arc::new(Mutex::new(Periodic { seed, states: Vec::new(), splices }));
            let what = format!("seed {seed}, {tier:?}");
            run(&program, tier, LIMIT, &spy).must_be(&expected, &what);
            let seen = &spy.lock().unwrap().states;
            for (seen, expected) in seen.iter().zip(&states) {
                assert_eq!(seen, expected, "{what}: {}", seen.difference(expected));
            }
            assert_eq!(seen.len(), states.len(), "{what}: number of events");
        }
    }
}

// ---- scripts

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a program with the probes of a script. Returns what they print as well.
pub(crate) fn run_script(program: &Program, tier: Tier, limit: u64, script: &str) -> (Final, String) {
    let sources = Sources::single("test", script);
    let (compiled, diagnostics) = spile_lang::compile(&sources, program.isa);
    let Some(compiled) = compiled else { panic!("{script}: {diagnostics:?}") };
    let memory = program.memory();
    let symbols = Arc::new(SymbolTable::raw(Path::new("image"), CODE..CODE + CODE_SIZE));
    let sink = Sink::default();
    let output = Output::new(Box::new(sink.clone()), "test", Style { json: false, ascii: true });
    let probes = Probes::attach(compiled, &sources, symbols, &memory, program.isa, output, 0);
    let probes = probes.unwrap_or_else(|diagnostics| panic!("{script}: {diagnostics:?}"));
    let result = run_with(program, memory, tier, Some(limit), Some(Box::new(probes)));
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    (result, text)
}

/// `mov x1, #5000; mov x0, #0; loop: add x0, x0, #1; add x2, x2, x0; subs x1, x1, #1; b.ne loop; mov x3, x2; hlt`
fn loop_of_5000() -> Program {
    Program::new(&[0xd282_7101, 0xd280_0000, 0x9100_0400, 0x8b00_0042, 0xf100_0421, 0x54ff_ffa1, 0xaa02_03e3, HLT])
}

/// In every tier a script leaves this output, and these values in `x0` and `x2`.
#[track_caller]
fn script_gives(script: &str, x0: u64, x2: u64, output: &str) {
    for tier in TIERS {
        let (result, text) = run_script(&loop_of_5000(), tier, 1_000_000, script);
        assert_eq!((result.state.x[0], result.state.x[2]), (x0, x2), "{tier:?}, {script}");
        assert_eq!(text, output, "{tier:?}, {script}");
    }
}

const SUM: u64 = 5000 * 5001 / 2;

#[test]
fn a_hit_number_in_a_hot_loop_is_exact() {
    script_gives("on insn at 0x10008 hit 2500 { print x0 }", 5000, SUM, "x0=0x9c3\n");
    script_gives("on insn at 0x1000c hit 4000..4001 { write x2 = 7 }", 5000, 7 + (4000..=5000).sum::<u64>(), "");
    script_gives("after insn at 0x10008 once { write x0 = 100 }", 5099, (100..=5099).sum(), "");
}

#[test]
fn a_probe_that_another_enables_fires_at_the_next_instruction() {
    let script = "let @n = 0\n\
        watch: on insn at 0x1000c disabled @n += 1\n\
        on insn at 0x10008 hit 3001 enable watch\n\
        on insn at 0x10010 hit 3003 disable watch\n\
        on end print @n";
    script_gives(script, 5000, SUM, "@n=3\n");
}

#[test]
fn a_periodic_probe_that_is_enabled_while_running_fires() {
    let script = "let @n = 0\n\
        tick: on every 1000 insns disabled @n += 1\n\
        on insn at 0x10008 hit 2500 enable tick\n\
        on end print @n";
    // 2 + 4 * 2499 instructions have passed by then; 20003 pass in all.
    script_gives(script, 5000, SUM, "@n=11\n");
}
