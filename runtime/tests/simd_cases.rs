//! Replays `tests/isa/aarch64/simd.cases`: floating-point and SIMD instructions with the results of a reference
//! emulator. The file says what its lines mean; `make-simd-cases.py` beside it makes it anew.

use spile_runtime::block::{Block, Insn, Insns, Lift};
use spile_runtime::cells::Cells;
use spile_runtime::cpu::CpuState;
use spile_runtime::interp::{self, ActionCall, Context, Host, Leave};
use spile_runtime::isa::{Isa, aarch64::AARCH64};
use spile_runtime::mem::{GuestMemory, PAGE};
use spile_runtime::uop::{Uop, slot};
use std::fmt::Write;

const CASES: &str = include_str!("../../tests/isa/aarch64/simd.cases");
/// Where the 16 memory values of a case are, and what register 16 points to.
const MEMORY: u64 = 0x10000;
const SHOWN: usize = 60;

struct NoHost;

impl Host for NoHost {
    fn action(&mut self, _: ActionCall, _: &mut CpuState, _: &GuestMemory) -> u64 {
        0
    }
    fn ticks(&self, _: u64) -> u64 {
        0
    }
}

struct Case {
    word: u32,
    control: u32,
    a: usize,
    b: usize,
}

impl Case {
    fn value(&self, pool: &[u128], i: usize) -> u128 {
        pool[(self.a + i * self.b) % pool.len()]
    }

    fn start(&self, pool: &[u128], memory: &GuestMemory) -> CpuState {
        let mut cpu = CpuState::default();
        for i in 0..32 {
            cpu.v[i] = self.value(pool, i);
        }
        for i in 0..16 {
            cpu.x[i] = self.value(pool, i + 40) as u64;
            memory.write(MEMORY + 16 * i as u64, &self.value(pool, i + 60).to_le_bytes()).unwrap();
        }
        cpu.x[16] = MEMORY;
        cpu.x[slot::FP_CONTROL as usize] = u64::from(self.control);
        cpu.x[slot::FP_STATUS as usize] = 16 * (self.b as u64 % 2);
        cpu.set_nzcv(self.a as u64 & 15);
        cpu
    }

    /// Executes the instruction and writes what it changed, as the file does.
    fn run(&self, pool: &[u128], memory: &GuestMemory) -> String {
        let before = self.start(pool, memory);
        let mut cpu = before.clone();
        let mut uops = Vec::new();
        AARCH64.lift(self.word, &mut Lift::new(&mut uops, 0, 4));
        let after = uops.len() as u32;
        uops.push(Uop::Next);
        let insn = Insn { pc: 0, bits: self.word, len: 4, start: 0, body: 0, after };
        let block = Block { pc: 0, end: 4, insns: Insns::lifted(0, &[insn]), uops: uops.as_slice().into() };
        let cells = Cells::none();
        let mut ctx = Context { memory, isa: &AARCH64, cells: &cells, counters: &cells.common(), host: &mut NoHost };
        match interp::run(&block, 0, usize::MAX, &mut cpu, &mut ctx) {
            Leave::Next => self.changes(pool, memory, &before, &cpu),
            Leave::Trap(_) => " undefined".to_owned(),
            Leave::Syscall(_) => " syscall".to_owned(),
        }
    }

    fn changes(&self, pool: &[u128], memory: &GuestMemory, before: &CpuState, cpu: &CpuState) -> String {
        let mut text = String::new();
        for i in (0..32).filter(|&i| cpu.v[i] != before.v[i]) {
            write!(text, " v{i}={:x}", cpu.v[i]).unwrap();
        }
        for i in (0..17).filter(|&i| cpu.x[i] != before.x[i]) {
            let base = if i == 16 { MEMORY } else { 0 };
            write!(text, " x{i}={:x}", cpu.x[i].wrapping_sub(base)).unwrap();
        }
        if cpu.nzcv() != before.nzcv() {
            write!(text, " nzcv={:x}", cpu.nzcv()).unwrap();
        }
        let status = cpu.x[slot::FP_STATUS as usize];
        if status != before.x[slot::FP_STATUS as usize] {
            write!(text, " fpsr={status:x}").unwrap();
        }
        for i in 0..16 {
            let value = u128::from_le_bytes(memory.load(MEMORY + 16 * i as u64).unwrap());
            if value != self.value(pool, i + 60) {
                write!(text, " m{i}={value:x}").unwrap();
            }
        }
        text
    }
}

fn hex(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap()
}

fn parse(line: &str) -> (Case, &str) {
    let (input, expected) = line.split_once(':').unwrap();
    let fields: Vec<&str> = input.split(' ').collect();
    let [word, control, a, b] = fields[..] else { panic!("`{line}` is not a case") };
    let case =
        Case { word: hex(word) as u32, control: hex(control) as u32, a: a.parse().unwrap(), b: b.parse().unwrap() };
    (case, expected)
}

#[test]
fn simd_cases() {
    let memory = GuestMemory::new(u64::MAX).unwrap();
    memory.map_anonymous(MEMORY, PAGE, 3, false).unwrap();
    let (mut pool, mut name, mut wrong, mut count) = (Vec::new(), "", Vec::new(), 0);
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        if let Some(values) = line.strip_prefix("pool ") {
            pool = values.split(' ').map(hex).collect();
        } else if let Some(title) = line.strip_prefix("= ") {
            name = title;
        } else {
            let (case, expected) = parse(line);
            let found = case.run(&pool, &memory);
            count += 1;
            if found != expected {
                let text = AARCH64.disassemble(case.word, 0);
                wrong.push(format!("{name}: {text}\n  {line}\n  found{found}"));
            }
        }
    }
    let shown = wrong.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {count} cases are wrong:\n{shown}", wrong.len());
}
