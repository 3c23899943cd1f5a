//! Executes the rows of `tests/isa/<arch>/*.ins`: each is one instruction, or a few, with the state before and after.
//!
//! ```text
//! 20000000 [20 04 00 91] "add x0, x1, #0x1" x1=0x5 => x0=0x6
//! ```
//!
//! Address and bytes, the disassembly (several joined by `; `), what is not zero before, and everything that is
//! different afterwards: registers by name, memory as `[addr]=bytes`, `pc` unless it is behind the instructions, and
//! a word first if the row ends in a trap: `illegal`, `fault`, `misaligned`, `breakpoint`, `halt` or `syscall`, and
//! then `pc` unless it is at the first instruction. Memory at [`DATA`] holds a pattern; nothing else is mapped.
//!
//! `INS=FILE` runs that file instead, of the architecture whose name is in `ISA`, or `aarch64`.

use spile_lang::target::{Register, RegisterSlot};
use spile_runtime::cells::Cells;
use spile_runtime::cpu::CpuState;
use spile_runtime::env::TrapEvent;
use spile_runtime::interp::{self, ActionCall, Context, Host, Leave};
use spile_runtime::isa::{self, Isa};
use spile_runtime::mem::{GuestMemory, PAGE, perm};
use spile_runtime::translate::translate;
use spile_runtime::uop::slot;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where rows have their data.
const DATA: u64 = 0x1000_0000;
const DATA_SIZE: u64 = 0x2_0000;
/// Where they have their code; the page is filled with [`FILLER`].
const CODE: u64 = 0x2000_0000;
/// What literal loads find behind the instructions: AArch64's `brk #0`.
const FILLER: [u8; 4] = 0xd420_0000_u32.to_le_bytes();
/// A row that executes more blocks than this hangs.
const MAX_BLOCKS: usize = 64;

/// A parsed row.
struct Row<'a> {
    pc: u64,
    bytes: Vec<u8>,
    disassembly: &'a str,
    before: Vec<(&'a str, &'a str)>,
    /// The word for a trap, or empty.
    outcome: &'a str,
    after: Vec<(&'a str, &'a str)>,
}

fn parse_row(line: &str) -> Option<Row<'_>> {
    let (pc, rest) = line.split_once(" [")?;
    let (bytes, rest) = rest.split_once("] \"")?;
    let (disassembly, rest) = rest.split_once('"')?;
    let (before, after) = rest.split_once("=>")?;
    let mut after: Vec<&str> = after.split_whitespace().collect();
    let outcome = if after.first().is_some_and(|item| !item.contains('=')) { after.remove(0) } else { "" };
    Some(Row {
        pc: u64::from_str_radix(pc, 16).ok()?,
        bytes: bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).ok()).collect::<Option<_>>()?,
        disassembly,
        before: before.split_whitespace().map(|item| item.split_once('=')).collect::<Option<_>>()?,
        outcome,
        after: after.into_iter().map(|item| item.split_once('=')).collect::<Option<_>>()?,
    })
}

/// The memory and CPU state of one row.
struct State {
    cpu: CpuState,
    data: Vec<u8>,
}

fn pattern() -> Vec<u8> {
    (0..DATA_SIZE).map(|i| (i.wrapping_mul(7) + (i >> 8) * 13 + 0x35) as u8).collect()
}

fn number(text: &str) -> Option<u128> {
    u128::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

impl State {
    /// Applies `name=value` pairs.
    fn set(&mut self, isa: &dyn Isa, pairs: &[(&str, &str)]) -> Result<(), String> {
        for &(name, value) in pairs {
            if let Some(addr) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let at = number(addr).ok_or_else(|| format!("bad address {addr}"))? as u64 - DATA;
                for (i, pair) in value.as_bytes().chunks(2).enumerate() {
                    let byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
                    self.data[at as usize + i] = byte.ok_or_else(|| format!("bad bytes {value}"))?;
                }
                continue;
            }
            let register = isa.register(name).ok_or_else(|| format!("no register {name}"))?;
            self.set_register(isa, &register, number(value).ok_or_else(|| format!("bad value {value}"))?);
        }
        Ok(())
    }

    fn set_register(&mut self, isa: &dyn Isa, register: &Register, value: u128) {
        match register.slot {
            RegisterSlot::Int(slot) => self.cpu.x[slot as usize] = value as u64,
            RegisterSlot::Vector(slot) => self.cpu.v[slot as usize] = value,
            RegisterSlot::Pc => self.cpu.pc = value as u64,
            RegisterSlot::Flags => self.cpu.set_nzcv(value as u64 >> 28),
            RegisterSlot::System(reg) => assert!(isa.write_system(&mut self.cpu, reg, value as u64)),
        }
    }

    /// Lists where `self` is not what `expected` is.
    fn differences(&self, expected: &State) -> String {
        let mut out = String::new();
        let mut note = |name: &str, got: u128, want: u128| {
            if got != want {
                let _ = write!(out, "\n    {name} is {got:#x}, not {want:#x}");
            }
        };
        let x = self.cpu.x.iter().zip(&expected.cpu.x).enumerate().take(slot::FLAG_KIND as usize);
        for (n, (&got, &want)) in x {
            note(&format!("x{n}"), got.into(), want.into());
        }
        for (n, (&got, &want)) in self.cpu.v.iter().zip(&expected.cpu.v).enumerate().take(slot::VTEMP as usize) {
            note(&format!("q{n}"), got, want);
        }
        note("nzcv", u128::from(self.cpu.nzcv()) << 28, u128::from(expected.cpu.nzcv()) << 28);
        note("pc", self.cpu.pc.into(), expected.cpu.pc.into());
        if self.data != expected.data {
            for (i, (&got, &want)) in self.data.iter().zip(&expected.data).enumerate() {
                note(&format!("[{:#x}]", DATA + i as u64), got.into(), want.into());
            }
        }
        out
    }
}

struct NoHost;

impl Host for NoHost {
    fn action(&mut self, _call: ActionCall, _cpu: &mut CpuState, _memory: &GuestMemory) -> u64 {
        unreachable!("rows have no probes")
    }

    fn ticks(&self, _: u64) -> u64 {
        12_345
    }
}

/// Executes blocks from `cpu.pc` until it is outside of `start..end` or a trap is raised; returns the word for that.
fn execute(isa: &'static dyn Isa, memory: &GuestMemory, cpu: &mut CpuState, end: u64) -> &'static str {
    let start = cpu.pc;
    for _ in 0..MAX_BLOCKS {
        let block = translate(isa, memory, cpu.pc, true, None);
        let stop = block.insns().position(|insn| insn.pc >= end).unwrap_or(usize::MAX);
        let cells = Cells::none();
        let mut ctx = Context { memory, isa, cells: &cells, counters: &cells.common(), host: &mut NoHost };
        match interp::run(&block, 0, stop, cpu, &mut ctx) {
            Leave::Next if (start..end).contains(&cpu.pc) => {}
            Leave::Next => return "",
            Leave::Syscall(_) => return "syscall",
            Leave::Trap(event) => {
                return match event {
                    TrapEvent::Fault(_) => "fault",
                    TrapEvent::Misaligned(_) => "misaligned",
                    TrapEvent::Illegal(_) => "illegal",
                    TrapEvent::Breakpoint(_) => "breakpoint",
                    TrapEvent::Halt(_) => "halt",
                };
            }
        }
    }
    "endless"
}

fn disassembly(isa: &dyn Isa, row: &Row<'_>) -> String {
    let (mut texts, mut at) = (Vec::new(), 0);
    while at + 2 <= row.bytes.len() {
        let len = usize::from(isa.insn_len(u16::from_le_bytes([row.bytes[at], row.bytes[at + 1]])));
        let mut bits = [0; 4];
        let end = (at + len).min(row.bytes.len());
        bits[..end - at].copy_from_slice(&row.bytes[at..end]);
        texts.push(isa.disassemble(u32::from_le_bytes(bits), row.pc + at as u64));
        at = end;
    }
    texts.join("; ")
}

/// Runs one row; the error says what is wrong.
fn check(isa: &'static dyn Isa, memory: &GuestMemory, line: &str) -> Result<(), String> {
    let row = parse_row(line).ok_or("not a row")?;
    let text = disassembly(isa, &row);
    if text != row.disassembly {
        return Err(format!("\n    disassembles to \"{text}\""));
    }
    let end = row.pc + row.bytes.len() as u64;
    let mut state = State { cpu: CpuState { pc: row.pc, ..CpuState::default() }, data: pattern() };
    isa.reset(&mut state.cpu);
    state.set(isa, &row.before)?;
    let mut expected = State { cpu: state.cpu.clone(), data: state.data.clone() };
    expected.cpu.pc = if matches!(row.outcome, "" | "syscall") { end } else { row.pc };
    expected.set(isa, &row.after)?;

    let fault = |fault| format!("test memory: {fault}");
    memory.write(DATA, &state.data).map_err(fault)?;
    memory.write(CODE, &FILLER.repeat(PAGE as usize / FILLER.len())).map_err(fault)?;
    memory.write(row.pc, &row.bytes).map_err(fault)?;
    memory.take_written_code();
    let outcome = execute(isa, memory, &mut state.cpu, end);
    memory.read(DATA, &mut state.data).map_err(fault)?;
    if isa.register("nzcv").is_none() {
        // What comparisons leave there no program can see.
        expected.cpu.set_nzcv(state.cpu.nzcv());
    }

    let mut wrong = state.differences(&expected);
    if outcome != row.outcome {
        let _ = write!(wrong, "\n    ends by \"{outcome}\"");
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn check_file(isa: &'static dyn Isa, path: &Path) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let memory = GuestMemory::new(u64::MAX >> 8).expect("address space for the guest");
    let all = perm::READ | perm::WRITE | perm::EXEC;
    memory.map_anonymous(DATA, DATA_SIZE, all, false).expect("data memory");
    memory.map_anonymous(CODE, PAGE, all, false).expect("code memory");
    let (mut report, mut wrong, mut count) = (String::new(), 0, 0);
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        count += 1;
        if let Err(error) = check(isa, &memory, line) {
            wrong += 1;
            if wrong <= 20 {
                let _ = write!(report, "{}:{}: {line}\n    {}\n", path.display(), index + 1, error.trim_start());
            }
        }
    }
    assert_eq!(wrong, 0, "of {count} rows\n{report}");
    assert_ne!(count, 0, "{} has no rows", path.display());
}

#[test]
fn rows() {
    if let Some(file) = std::env::var_os("INS") {
        let arch = std::env::var("ISA").unwrap_or_else(|_| "aarch64".to_string());
        return check_file(isa::by_name(&arch).expect("a known architecture"), Path::new(&file));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/isa");
    for isa in isa::all() {
        let directory = root.join(isa.arch());
        let entries = std::fs::read_dir(&directory).expect("a directory of rows");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "ins"));
        files.sort();
        files.iter().for_each(|path| check_file(isa, path));
    }
}
