//! Probes that change registers, flags, memory, code and control: the very next instruction sees it.

use crate::change::run_script;
use crate::generate::{self, Generate, Shape};
use crate::machine::{Final, Program, Rng, Spy, Stepper, TIERS, run};
use crate::record::LIMIT;
use crate::seeds;
use spile_runtime::cells::Cells;
use spile_runtime::cpu::{CpuState, poll};
use spile_runtime::interp::ActionCall;
use spile_runtime::mem::GuestMemory;
use spile_runtime::translate::{NEXT_PC, PROBE_END, Site};
use spile_runtime::uop::{BinOp, Lanes, UnOp, Uop, X, slot};
use spile_runtime::vector::XvOp;
use spile_runtime::vm::End;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// What a probe changes.
#[derive(Clone, Copy, Debug)]
enum Change {
    X(X, u64),
    W(X, u64),
    Copy(X, X),
    Add(X, X, u64),
    /// A lane of a vector register: shape, index.
    Lane(u8, Lanes, u32, u64),
    Whole(u8, u64),
    Nzcv(u64),
    /// Through an action that may change the whole state.
    State(X, u8, u64),
    /// Eight bytes of data.
    Memory(u64, u64),
    /// An instruction of so many bytes.
    Code(u64, u32, usize),
    Goto(u64),
    /// Leaves out so many instructions.
    Skip(u64),
}

/// A probe at one instruction, for a range of executions.
#[derive(Clone, Copy, Debug)]
struct Probe {
    pc: u64,
    is_a64: bool,
    narrow: bool,
    after: bool,
    first: u64,
    count: u64,
    change: Change,
}

impl Probe {
    fn random(rng: &mut Rng, program: &Program) -> Probe {
        let is_a64 = program.isa.insn_align() == 4;
        let registers = generate::free(program);
        let len = program.starts.len() as u64;
        let first = program.first as u64;
        let at = first + rng.below(len - first);
        let value = program.fits(rng.value());
        let x = registers.start + rng.below(registers.len() as u64) as X;
        // All of them but the one that is always zero.
        let any = |rng: &mut Rng| if is_a64 { rng.below(31) as X } else { 1 + rng.below(31) as X };
        let near = |rng: &mut Rng| match rng.below(5) {
            0 => at,
            1 => (at + 1).min(len - 1),
            2 => (at + 2).min(len - 1),
            _ => first + rng.below(len - first),
        };
        let change = match rng.below(16) {
            0..=2 => Change::X(x, value),
            3 => Change::W(x, value),
            4 => Change::Copy(x, any(rng)),
            5 => Change::Add(x, any(rng), value),
            6 | 7 => {
                let (lanes, n) = rng.pick(&[(Lanes::B16, 16), (Lanes::H8, 8), (Lanes::S4, 4), (Lanes::D2, 2)]);
                // Registers of RISC-V are 64 bits wide.
                let n = if is_a64 { n } else { n / 2 };
                Change::Lane(rng.below(8) as u8, lanes, rng.below(n) as u32, value)
            }
            8 => Change::Whole(rng.below(8) as u8, value),
            9 => Change::Nzcv(value & 15),
            10 => Change::State(x, rng.below(8) as u8, value),
            11 => Change::Memory(crate::machine::BASE - 0x100 + 8 * rng.below(0x40), value),
            12 | 13 => {
                // An instruction that always exists: nop, or add x, x, #imm.
                let target = near(rng) as usize;
                let (word, len) = match (is_a64, program.len_at(target)) {
                    (true, _) => (rng.pick(&[0xd503_201f, 0x9100_0400, 0x9100_0c21, 0x9101_0442, 0xf100_0463]), 4),
                    (false, 2) => (rng.pick(&[0x0001, 0x0505, 0x05a5]), 2),
                    (false, _) => (rng.pick(&[0x0000_0013, 0x0015_0513, 0x0105_8593]), 4),
                };
                Change::Code(program.starts[target], word, len)
            }
            14 => Change::Goto(program.starts[near(rng) as usize]),
            _ => Change::Skip(1 + rng.below(3)),
        };
        let (first_hit, count) = rng.pick(&[(1, 1), (1, u64::MAX / 2), (2, 1), (3, 4), (600, 3)]);
        // A redirection that always happens would seldom let the program end.
        let count = if matches!(change, Change::Goto(_)) { count.min(2) } else { count };
        let (pc, narrow) = (program.starts[at as usize], program.is_narrow());
        Probe { pc, is_a64, narrow, after: rng.chance(40), first: first_hit, count, change }
    }

    /// Makes the change on a bare CPU. `next` says where `skip` leads.
    fn apply(&self, cpu: &mut CpuState, memory: &GuestMemory, next: impl Fn(u64) -> u64) {
        match self.change {
            Change::X(x, value) => cpu.x[x as usize] = value,
            Change::W(x, value) => cpu.x[x as usize] = value & 0xffff_ffff,
            Change::Copy(d, a) => cpu.x[d as usize] = cpu.x[a as usize],
            Change::Add(d, a, value) => {
                let sum = cpu.x[a as usize].wrapping_add(value);
                cpu.x[d as usize] = if self.narrow { sum & 0xffff_ffff } else { sum };
            }
            Change::Lane(v, lanes, index, value) => {
                let bits = 8 * lanes.element() as u32;
                let mask = (u128::from(u64::MAX >> (64 - bits))) << (bits * index);
                let old = cpu.v[v as usize];
                cpu.v[v as usize] = old & !mask | u128::from(value) << (bits * index) & mask;
            }
            Change::Whole(v, value) => cpu.v[v as usize] = u128::from(value),
            Change::Nzcv(value) => cpu.set_nzcv(value),
            Change::State(x, v, value) => {
                cpu.x[x as usize] ^= value;
                cpu.v[v as usize] ^= u128::from(value) << 17;
                let nzcv = cpu.nzcv();
                cpu.set_nzcv(nzcv ^ value & 15);
            }
            Change::Memory(addr, value) => memory.write_forced(addr, &value.to_le_bytes()).unwrap(),
            Change::Code(addr, word, len) => memory.write_forced(addr, &word.to_le_bytes()[..len]).unwrap(),
            Change::Goto(to) => cpu.pc = to,
            Change::Skip(n) => cpu.pc = next(n),
        }
    }

    /// The same probe in the language, if it can say that.
    fn script(&self) -> Option<String> {
        let what = match self.change {
            Change::X(x, value) => format!("write x{x} = {value:#x}"),
            Change::W(..) | Change::Lane(..) | Change::Whole(..) | Change::Nzcv(..) if !self.is_a64 => return None,
            Change::W(x, value) => format!("write w{x} = {:#x}", value as u32),
            Change::Copy(d, a) => format!("write x{d} = x{a}"),
            Change::Add(d, a, value) => format!("write x{d} = x{a} + {value:#x}"),
            Change::Lane(v, lanes, index, value) => {
                let shape = ["b", "h", "s", "d"][lanes.element().ilog2() as usize];
                format!("write v{v}.{shape}[{index}] = {:#x}", value & u64::MAX >> (64 - 8 * lanes.element()))
            }
            Change::Whole(v, value) => format!("write q{v} = {value:#x}"),
            Change::Nzcv(value) => format!("write nzcv = {:#x}", value << 28),
            Change::State(..) => return None,
            Change::Memory(addr, value) => format!("write u64[{addr:#x}] = {value:#x}"),
            Change::Code(addr, word, len) => format!("write u{}[{addr:#x}] = {word:#x}", 8 * len),
            Change::Goto(to) => format!("goto {to:#x}"),
            Change::Skip(n) => format!("skip {n}"),
        };
        let hit = match (self.first, self.count) {
            (first, 1) => format!("hit {first}"),
            (first, count) if count < 100 => format!("hit {first}..{}", first + count),
            (1, _) => String::new(),
            (first, _) => format!("hit {first}.."),
        };
        let event = if self.after { "after" } else { "on" };
        Some(format!("{event} insn at {:#x} {hit} {what}\n", self.pc))
    }

    fn hits(&self, count: u64) -> bool {
        count.wrapping_sub(self.first) < self.count
    }

    fn redirects(&self) -> bool {
        matches!(self.change, Change::Goto(_) | Change::Skip(_))
    }
}

struct Patcher {
    probes: Vec<Probe>,
    cells: Arc<Cells>,
}

impl Patcher {
    fn new(probes: &[Probe]) -> Self {
        Patcher { probes: probes.to_vec(), cells: Cells::new() }
    }

    /// Emits the probes of a point, in the forms that probe bodies are lowered to.
    fn splice(&self, site: &Site<'_>, after: bool, uops: &mut Vec<Uop>) {
        let mut polls = false;
        for (index, probe) in self.probes.iter().enumerate() {
            if probe.pc != site.insn.pc || probe.after != after {
                continue;
            }
            let p = slot::PROBE;
            uops.push(Uop::MovI { d: p, imm: 1 });
            uops.push(Uop::CellAdd { d: p, a: p, cell: index as u32 });
            uops.push(Uop::BinI { op: BinOp::Sub64, d: p, a: p, imm: probe.first });
            uops.push(Uop::BinI { op: BinOp::LtU, d: p, a: p, imm: probe.count });
            let over = uops.len();
            uops.push(Uop::LocalIf { nz: false, a: p, to: 0 });
            polls |= self.change(index, probe, site, uops);
            let to = uops.len() as u32;
            uops[over] = Uop::LocalIf { nz: false, a: p, to };
        }
        if polls && !(after && site.jumps) {
            uops.push(Uop::Poll { body: !after });
        }
    }

    fn change(&self, index: usize, probe: &Probe, site: &Site<'_>, uops: &mut Vec<Uop>) -> bool {
        let p = slot::PROBE;
        let action = |state| Uop::Action { action: index as u32, d: p, args: slot::ZERO, n: 0, state };
        match probe.change {
            Change::X(d, imm) => uops.push(Uop::MovI { d, imm }),
            Change::W(d, imm) => {
                uops.push(Uop::MovI { d: p, imm });
                uops.push(Uop::Un { op: UnOp::Zext32, d, a: p });
            }
            Change::Copy(d, a) => uops.push(Uop::Un { op: UnOp::Mov, d, a }),
            Change::Add(d, a, imm) => {
                let op = if probe.narrow { BinOp::Add32 } else { BinOp::Add64 };
                uops.push(Uop::BinI { op, d, a, imm });
            }
            Change::Lane(d, t, imm, value) => {
                uops.push(Uop::MovI { d: p, imm: value });
                uops.push(Uop::Xv { op: XvOp::Insert, t, d, a: p, imm });
            }
            Change::Whole(d, imm) => uops.push(Uop::VMovI { d, both: false, imm }),
            Change::Nzcv(imm) => {
                uops.push(Uop::MovI { d: p, imm });
                uops.push(Uop::SetNzcv { a: p });
            }
            Change::State(..) => uops.push(action(true)),
            Change::Memory(..) | Change::Code(..) => {
                uops.push(action(false));
                return true;
            }
            Change::Goto(imm) => {
                uops.push(Uop::MovI { d: PROBE_END - 1, imm });
                uops.push(Uop::Goto { a: PROBE_END - 1, done: probe.after });
            }
            Change::Skip(n) => {
                let d = PROBE_END - 1;
                let len = u64::from(site.insn.len);
                match (probe.after, site.jumps) {
                    (true, true) => uops.push(Uop::Un { op: UnOp::Mov, d, a: NEXT_PC }),
                    (true, false) => uops.push(Uop::MovI { d, imm: site.insn.pc + len }),
                    (false, _) => uops.push(Uop::MovI { d, imm: site.insn.pc }),
                }
                if probe.is_a64 {
                    uops.push(Uop::BinI { op: BinOp::Add64, d, a: d, imm: 4 * n });
                } else {
                    uops.push(Uop::Action { action: index as u32, d, args: d, n: 1, state: false });
                }
                uops.push(Uop::Goto { a: d, done: probe.after });
            }
        }
        false
    }
}

impl Spy for Patcher {
    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.splice(site, false, uops);
    }
    fn has_after(&mut self, site: &Site<'_>) -> bool {
        self.probes.iter().any(|probe| probe.after && probe.pc == site.insn.pc)
    }
    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.splice(site, true, uops);
    }
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, memory: &GuestMemory) -> u64 {
        let probe = &self.probes[call.action as usize];
        match probe.change {
            Change::Skip(n) => {
                return (0..n).fold(cpu.x[usize::from(call.args)], |pc, _| behind(memory, pc, probe.is_a64));
            }
            _ => probe.apply(cpu, memory, |_| unreachable!("done in line")),
        }
        if memory.has_written_code() {
            cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        }
        0
    }
    fn cells(&self) -> Arc<Cells> {
        self.cells.clone()
    }
}

/// Executes a program one instruction at a time and makes the same changes by hand. Returns the executions counted.
fn by_hand(program: &Program, probes: &[Probe]) -> (Final, Vec<u64>) {
    let mut stepper = Stepper::new(program);
    let mut counts = vec![0; probes.len()];
    let end = loop {
        if stepper.cpu.icount >= LIMIT {
            break End::Limit;
        }
        let pc = stepper.cpu.pc;
        if point(&mut stepper, probes, &mut counts, pc, false, pc) {
            continue;
        }
        if let Some(status) = stepper.step() {
            break End::Guest(status);
        }
        let next = stepper.cpu.pc;
        point(&mut stepper, probes, &mut counts, pc, true, next);
    };
    (stepper.result(end), counts)
}

/// The address behind the instruction at `pc`; that of something that cannot be fetched has no end.
fn behind(memory: &GuestMemory, pc: u64, is_a64: bool) -> u64 {
    let short = |first: [u8; 2]| first[0] & 3 != 3;
    match memory.fetch::<2>(pc) {
        _ if is_a64 => pc.wrapping_add(4),
        Ok(first) => pc.wrapping_add(if short(first) { 2 } else { 4 }),
        Err(_) => pc,
    }
}

/// Applies the probes of a point; true if they redirect.
fn point(stepper: &mut Stepper, probes: &[Probe], counts: &mut [u64], pc: u64, after: bool, next: u64) -> bool {
    for (probe, count) in probes.iter().zip(counts) {
        if probe.pc == pc && probe.after == after {
            *count += 1;
            if probe.hits(*count) {
                let memory = stepper.memory.clone();
                let skip = |n| (0..n).fold(next, |pc, _| behind(&memory, pc, probe.is_a64));
                probe.apply(&mut stepper.cpu, &memory, skip);
                if probe.redirects() {
                    return true;
                }
            }
        }
    }
    false
}

fn compare(program: &Program, probes: &[Probe], what: &str) {
    let (expected, counts) = by_hand(program, probes);
    for tier in TIERS {
        let patcher = Arc::new(Mutex::new(Patcher::new(probes)));
        let what = format!("{what}, {tier:?}, {probes:x?}");
        let result = run(program, tier, LIMIT, &patcher);
        let patcher = patcher.lock().unwrap();
        let seen: Vec<u64> = (0..patcher.probes.len() as u32).map(|cell| patcher.cells.get(cell)).collect();
        result.must_be(&expected, &what);
        assert_eq!(seen, counts, "{what}: executions");
    }
}

/// A random program and random probes for it.
fn random(seed: u64, generate: Generate) -> (Program, Vec<Probe>) {
    let mut rng = Rng(seed);
    let shape = Shape::random(&mut rng);
    let program = generate(seed, shape);
    let mut probes: Vec<Probe> = Vec::new();
    for _ in 0..1 + rng.below(4) {
        let probe = Probe::random(&mut rng, &program);
        // One redirection at a point is enough, and nothing behind it is reached.
        if !probes.iter().any(|other| (other.pc, other.after) == (probe.pc, probe.after)) {
            probes.push(probe);
        }
    }
    (program, probes)
}

#[test]
fn the_next_instruction_sees_what_a_probe_writes() {
    for (seed, generate) in generate::each(seeds(60)) {
        let (program, probes) = random(seed ^ 0x0317_0000, generate);
        compare(&program, &probes, &format!("seed {seed}, {}", program.isa.arch()));
    }
}

#[test]
fn the_next_instruction_sees_what_a_script_writes() {
    for (seed, generate) in generate::each(seeds(100)) {
        let (program, mut probes) = random(seed ^ 0x05c4_0000, generate);
        probes.retain(|probe| probe.script().is_some());
        let script: String = probes.iter().filter_map(Probe::script).collect();
        let (expected, _) = by_hand(&program, &probes);
        for tier in TIERS {
            let (result, _) = run_script(&program, tier, LIMIT, &script);
            result.must_be(&expected, &format!("seed {seed}, {}, {tier:?}, {script}", program.isa.arch()));
        }
    }
}
