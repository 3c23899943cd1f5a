//! Tests of the lowering: tiny programs of hand-built IR on a tiny guest architecture, run by the interpreter.

mod exprs;
mod sites;
mod stmts;

use super::*;
use crate::block::Lift;
use crate::cells::Cells;
use crate::cpu::{CpuState, poll, resume};
use crate::interp::{ActionCall, Context, Host, Leave, run};
use crate::mem::{GuestMemory, PAGE, perm};
use crate::probe::action::{FloatOp, PrintPart};
use crate::translate::translate;
use crate::uop::{BinOp as UopBin, JumpHint};
use spile_lang::ir::{BinaryOp, HitCounts, HitSpec, LValue, Local, LocalId, MemType, PrintArg, PrintValue, State};
use spile_lang::target::{Register, RegisterSlot, Target};
use spile_lang::types::Type;
use std::sync::atomic::Ordering;

// ---- a guest architecture of six instructions

struct Toy;
static TOY: Toy = Toy;

/// x`d` = imm
const fn mov(d: u8, imm: u16) -> u32 {
    0x0100_0000 | (d as u32) << 16 | imm as u32
}
/// x`d` += imm
const fn add(d: u8, imm: u16) -> u32 {
    0x0200_0000 | (d as u32) << 16 | imm as u32
}
/// Jumps to an address.
fn jump(to: u16) -> u32 {
    0x0300_0000 | u32::from(to)
}
/// Jumps to an address if x`a` is not zero.
fn jump_nz(a: u8, to: u16) -> u32 {
    0x0400_0000 | u32::from(a) << 16 | u32::from(to)
}
/// v0 = v0
const VECTOR: u32 = 0x0500_0000;
/// Ends the run.
const HALT: u32 = 0x0600_0000;

impl Target for Toy {
    fn arch(&self) -> &'static str {
        "toy"
    }
    fn title(&self) -> &'static str {
        "Toy"
    }
    fn register(&self, _: &str) -> Option<Register> {
        None
    }
    fn lane(&self, _: &str, _: &str, _: u64) -> Option<Register> {
        None
    }
    fn register_names(&self) -> Vec<String> {
        Vec::new()
    }
    fn argument(&self, _: u8) -> Option<Register> {
        None
    }
}

impl Isa for Toy {
    fn plt_slot(&self, _: u64, _: &[u8]) -> Option<u64> {
        None
    }
    fn insn_len(&self, _: u16) -> u8 {
        4
    }
    fn insn_align(&self) -> u64 {
        4
    }
    fn lift(&self, bits: u32, lift: &mut Lift<'_>) {
        let (d, imm) = ((bits >> 16) as u8, u64::from(bits as u16));
        lift.push(match bits >> 24 {
            1 => Uop::MovI { d, imm },
            2 => Uop::BinI { op: UopBin::Add64, d, a: d, imm },
            3 => Uop::Jump { hint: JumpHint::Jump, target: imm },
            4 => Uop::BrZero { nz: true, a: d, target: imm },
            5 => Uop::V2 { op: V2Op::And, t: Lanes::Q, d: 0, a: 0, b: 0, imm: 0 },
            _ => Uop::Trap { kind: crate::uop::Trap::Halt, imm },
        });
    }
    fn disassemble(&self, bits: u32, pc: u64) -> String {
        self.facts(bits, pc).text
    }
    fn facts(&self, bits: u32, _: u64) -> InsnFacts {
        let mnemonic = ["?", "mov", "add", "b", "b.nz", "and.v", "halt"][(bits >> 24) as usize].to_owned();
        let text = format!("{mnemonic} x{}, {:#x}", (bits >> 16) as u8, bits as u16);
        let is_branch = matches!(bits >> 24, 3 | 4);
        let target = is_branch.then_some(u64::from(bits as u16));
        InsnFacts { mnemonic, text, target, is_branch, ..InsnFacts::default() }
    }
    fn register_in(&self, _slot: spile_lang::target::RegisterSlot) -> Option<Register> {
        None
    }

    fn read_system(&self, _: &CpuState, _: u32, _: u64) -> Option<u64> {
        None
    }
    fn write_system(&self, _: &mut CpuState, _: u32, _: u64) -> bool {
        false
    }
    fn shown_registers(&self) -> &'static [&'static str] {
        &[]
    }
    fn elf_machine(&self) -> u16 {
        0
    }

    fn debug_register(&self, number: u16) -> Option<spile_lang::target::Register> {
        self.register(&format!("x{number}"))
    }

    fn frame_record(&self) -> crate::isa::FrameRecord {
        crate::isa::FrameRecord {
            sp: 31,
            link: 30,
            fp: 29,
            word: 8,
            saved_fp: 0,
            saved_link: 8,
            size: 16,
            leaf_fp: None,
        }
    }

    fn passed(&self, _: &[crate::isa::Parameter]) -> Vec<crate::isa::Passed> {
        Vec::new()
    }
}

// ---- a probe runtime that keeps a journal

#[derive(Default)]
struct Mock {
    actions: Vec<ActionSite>,
    texts: Vec<String>,
    cells: u32,
    fired: Vec<(ProbeId, u32)>,
    patches: Vec<(u32, String)>,
    scalars: Vec<(StateId, u32)>,
    counts: Vec<(StateId, Vec<u64>, u32)>,
    inactive: Vec<ProbeId>,
    /// Where a probe is: all over if it is not listed.
    places: Vec<(ProbeId, u64)>,
    /// What actions were called, as one line each.
    journal: Vec<String>,
}

impl LowerHost for Mock {
    fn push_action(&mut self, site: ActionSite) -> u32 {
        self.actions.push(site);
        self.actions.len() as u32 - 1
    }
    fn intern(&mut self, text: &str) -> TextHandle {
        let known = self.texts.iter().position(|t| t == text);
        let index = known.unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        });
        TextHandle(index as u64)
    }
    fn new_cell(&mut self) -> u32 {
        self.cells += 1;
        self.cells
    }
    fn cell_like(&mut self, _: u32) -> u32 {
        self.new_cell()
    }
    fn set_fired_cell(&mut self, probe: ProbeId, cell: u32) {
        self.fired.push((probe, cell));
    }
    fn patch_cell(&mut self, _: ProbeId, _: Span, what: &str) -> u32 {
        let cell = self.new_cell();
        self.patches.push((cell, what.to_owned()));
        cell
    }
    fn scalar_cell(&self, state: StateId) -> Option<u32> {
        self.scalars.iter().find(|(id, _)| *id == state).map(|(_, cell)| *cell)
    }
    fn entry_cell(&mut self, state: StateId, keys: &[u64]) -> Option<u32> {
        if let Some((.., cell)) = self.counts.iter().find(|(id, k, _)| *id == state && k == keys) {
            return Some(*cell);
        }
        let cell = self.new_cell();
        self.cells += crate::probe::state::HIST_BUCKETS as u32;
        self.counts.push((state, keys.to_vec(), cell));
        Some(cell)
    }
    fn key_index(&mut self, _: StateId) -> Option<u32> {
        None
    }
    fn waiting_cell(&mut self) -> u32 {
        self.new_cell()
    }
    fn is_active(&self, probe: ProbeId) -> bool {
        !self.inactive.contains(&probe)
    }
    fn touches(&self, _: u64, _: u64) -> bool {
        true
    }
    fn matches(&self, probe: ProbeId, pc: u64) -> bool {
        let mut places = self.places.iter().filter(|(id, _)| *id == probe).peekable();
        places.peek().is_none() || places.any(|(_, at)| *at == pc)
    }
    fn accessed(&self, _probe: ProbeId) -> Vec<std::ops::Range<u64>> {
        std::iter::once(0..u64::MAX).collect()
    }

    fn address_of(&self, loc: &Loc) -> Option<u64> {
        match loc.place {
            spile_lang::ir::Place::Addr(address) => Some(address.wrapping_add_signed(loc.offset)),
            _ => None,
        }
    }
    fn function(&self, pc: u64) -> String {
        if pc < BASE + 8 { "main".to_owned() } else { "other".to_owned() }
    }
    fn module(&self, _: u64) -> String {
        "prog".to_owned()
    }
    fn section(&self, _: u64) -> String {
        ".text".to_owned()
    }
}

impl Host for Mock {
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, memory: &GuestMemory) -> u64 {
        let ActionSite { action, probe, .. } = self.actions[call.action as usize].clone();
        let args = &cpu.x[usize::from(call.args)..usize::from(call.args) + usize::from(call.n)].to_vec();
        let float = |n: usize| f64::from_bits(args[n]);
        let mut result = 0;
        match &action {
            Action::Float(op) => {
                return match op {
                    FloatOp::Add => (float(0) + float(1)).to_bits(),
                    FloatOp::Sub => (float(0) - float(1)).to_bits(),
                    FloatOp::Mul => (float(0) * float(1)).to_bits(),
                    FloatOp::Div => (float(0) / float(1)).to_bits(),
                    FloatOp::Neg => (-float(0)).to_bits(),
                    FloatOp::Abs => float(0).abs().to_bits(),
                    FloatOp::Eq => (float(0) == float(1)).into(),
                    FloatOp::Ne => (float(0) != float(1)).into(),
                    FloatOp::Lt => (float(0) < float(1)).into(),
                    FloatOp::Le => (float(0) <= float(1)).into(),
                    FloatOp::FromF32 => f64::from(f32::from_bits(args[0] as u32)).to_bits(),
                    FloatOp::ToF32 => (float(0) as f32).to_bits().into(),
                    FloatOp::FromUnsigned => (args[0] as f64).to_bits(),
                    FloatOp::FromSigned => (args[0] as i64 as f64).to_bits(),
                    FloatOp::ToUnsigned => float(0) as u64,
                    FloatOp::ToSigned => float(0) as i64 as u64,
                };
            }
            Action::TextEquals => return u64::from(args[0] == args[1]),
            Action::MemoryWrite { bytes, big_endian } => {
                let value = u128::from(args[1]) | args.get(2).map_or(0, |high| u128::from(*high) << 64);
                let mut raw = value.to_le_bytes()[..usize::from(*bytes)].to_vec();
                if *big_endian {
                    raw.reverse();
                }
                return u64::from(memory.write(args[0], &raw).is_ok());
            }
            Action::Exhausted => {
                self.inactive.push(probe);
                cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
            }
            Action::Disable(probes) => {
                self.inactive.extend(probes);
                cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
            }
            Action::Exit | Action::Fail => {
                cpu.poll.fetch_or(poll::STOP, Ordering::Relaxed);
            }
            Action::GuestText => result = TextHandle::BAD.0,
            _ => {}
        }
        let args: Vec<String> = args.iter().map(|arg| format!(" {arg:#x}")).collect();
        let word = format!("{action:?}");
        let word = word.split(['(', ' ', '{']).next().unwrap_or_default();
        self.journal.push(format!("{:#x} {word}{}", call.pc, args.concat()));
        result
    }
    fn ticks(&self, _: u64) -> u64 {
        0
    }
}

// ---- building programs

fn ex(kind: ExprKind, ty: Type) -> Expr {
    Expr { kind, ty, span: Span::default() }
}
fn int(value: u64) -> Expr {
    ex(ExprKind::Int(value), Type::U64)
}
fn text(text: &str) -> Expr {
    ex(ExprKind::Str(text.to_owned()), Type::Str)
}
fn register(name: &str, slot: RegisterSlot, offset: u8, bits: u8, zero_extends: bool) -> Register {
    let ty = if bits == 128 { Type::U128 } else { Type::Word };
    Register { name: name.to_owned(), slot, offset, bits, ty, zero_extends, read_only: None }
}
fn xn(n: u8) -> Register {
    register(&format!("x{n}"), RegisterSlot::Int(n), 0, 64, true)
}
fn x(n: u8) -> Expr {
    ex(ExprKind::Register(xn(n)), Type::Word)
}
fn builtin(builtin: Builtin, ty: Type) -> Expr {
    ex(ExprKind::Builtin(builtin), ty)
}
fn op(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    ex(ExprKind::Binary(op, Box::new(a), Box::new(b)), Type::U64)
}
fn load(bytes: u8, addr: Expr) -> Expr {
    let ty = MemType { bytes, signed: false, big_endian: false, ty: Type::U64 };
    ex(ExprKind::Load { ty, addr: Box::new(addr) }, if bytes == 16 { Type::U128 } else { Type::U64 })
}
fn st(kind: StmtKind) -> Stmt {
    Stmt { kind, span: Span::default() }
}
fn print(values: impl IntoIterator<Item = Expr>) -> Stmt {
    let arg = |value| PrintArg { name: "v".to_owned(), value: PrintValue::Expr(value) };
    st(StmtKind::Print(values.into_iter().map(arg).collect()))
}
fn write(register: Register, value: Expr) -> Stmt {
    st(StmtKind::Write { target: LValue::Register(register), value })
}
fn probe(moment: Moment, event: ir::Event, filters: Vec<Filter>, body: Vec<Stmt>) -> Probe {
    Probe {
        label: None,
        name: "-e:1".to_owned(),
        span: Span::default(),
        head: Span::default(),
        moment,
        event,
        at: Vec::new(),
        within: Vec::new(),
        except: Vec::new(),
        since: Vec::new(),
        until: Vec::new(),
        filters,
        disabled: false,
        optional: false,
        body,
        locals: Vec::new(),
    }
}
/// `on insn` with a body.
fn on_insn(body: Vec<Stmt>) -> Probe {
    probe(Moment::On, ir::Event::Insn(InsnPattern::Any), Vec::new(), body)
}
fn when(condition: Expr, probe: Probe) -> Probe {
    let mut filters = probe.filters;
    filters.push(Filter::When(condition));
    Probe { filters, ..probe }
}
fn hit(counts: HitCounts, probe: Probe) -> Probe {
    let mut filters = probe.filters;
    filters.push(Filter::Hit(HitSpec { counts, per_thread: false }));
    Probe { filters, ..probe }
}
fn state(kind: StateKind) -> State {
    State {
        name: "@s".to_owned(),
        unnamed: false,
        kind,
        keys: Vec::new(),
        key_names: Vec::new(),
        capacity: 100,
        span: Span::default(),
    }
}

// ---- running them

/// Where guest code is.
const BASE: u64 = 0x8000;
/// A page that can be read and written.
const DATA: u64 = 0x20000;

struct Machine {
    lowering: Lowering,
    mock: Mock,
    memory: GuestMemory,
    cells: Arc<Cells>,
    cpu: CpuState,
}

impl Machine {
    fn new(program: Program) -> Self {
        Machine::with(program, Mock { cells: 100, ..Mock::default() })
    }

    fn with(program: Program, mut mock: Mock) -> Self {
        let memory = GuestMemory::new(u64::MAX).expect("guest memory");
        memory.map_anonymous(BASE, PAGE, perm::READ | perm::EXEC, false).expect("code page");
        memory.map_anonymous(DATA, PAGE, perm::READ | perm::WRITE, false).expect("data page");
        let lowering = Lowering::new(Arc::new(program), &TOY, &mut mock);
        assert_eq!(lowering.check(0, &mut mock), []);
        let cells = Cells::new();
        Machine { lowering, mock, memory, cells, cpu: CpuState { pc: BASE, ..CpuState::default() } }
    }

    fn probes(probes: Vec<Probe>) -> Self {
        Machine::new(program_of(probes, Vec::new()))
    }

    fn load(&mut self, code: &[u32]) {
        let bytes: Vec<u8> = code.iter().flat_map(|insn| insn.to_le_bytes()).collect();
        self.memory.write_forced(BASE, &bytes).expect("code page is mapped");
    }

    fn block(&mut self, pc: u64, enters: bool) -> Block {
        let mut splicer = self.lowering.splicer(&mut self.mock);
        translate(&TOY, &self.memory, pc, enters, Some(&mut splicer))
    }

    /// Executes `block` and returns why it was left.
    fn execute(&mut self, block: &Block, from: u32) -> Leave {
        let (cells, counters) = (&*self.cells, &self.cells.common().without_ring());
        let mut ctx = Context { memory: &self.memory, isa: &TOY, cells, counters, host: &mut self.mock };
        run(block, from, usize::MAX, &mut self.cpu, &mut ctx)
    }

    /// Runs `code` until it halts or a probe ends the run.
    fn run(&mut self, code: &[u32]) -> &mut Self {
        self.load(code);
        loop {
            let at = std::mem::replace(&mut self.cpu.resume, resume::ENTRY);
            let block = self.block(self.cpu.pc, at == resume::ENTRY);
            let from = if at == resume::BODY { block.insn(0).body } else { 0 };
            let leave = self.execute(&block, from);
            if leave != Leave::Next || self.cpu.poll.swap(0, Ordering::Relaxed) & poll::STOP != 0 {
                return self;
            }
        }
    }

    /// The journal as one text, emptied.
    fn journal(&mut self) -> String {
        std::mem::take(&mut self.mock.journal).join("\n")
    }

    fn fired(&self, probe: u32) -> u64 {
        let (_, cell) = self.mock.fired.iter().find(|(id, _)| id.0 == probe).expect("every probe has one");
        self.cells.get(*cell)
    }

    fn cell(&self, cell: u32) -> u64 {
        self.cells.get(cell)
    }
}

fn program_of(probes: Vec<Probe>, states: Vec<State>) -> Program {
    Program { probes: probes.into_iter().map(Arc::new).collect(), states, ..Program::default() }
}

/// The text form of the block at [`BASE`] with these probes.
fn spliced(probes: Vec<Probe>, code: &[u32]) -> String {
    let mut machine = Machine::probes(probes);
    machine.load(code);
    machine.block(BASE, true).to_string()
}

/// Evaluates `e` when nothing folds that comes from registers: in a `begin` body.
fn evaluate(e: Expr, cpu: impl FnOnce(&mut CpuState)) -> Vec<u64> {
    let body = vec![print([e])];
    let begin = probe(Moment::On, ir::Event::Begin, Vec::new(), body);
    let mut machine = Machine::probes(vec![begin]);
    cpu(&mut machine.cpu);
    let block = machine.lowering.event_block(&mut machine.mock, ProbeId(0), Event { pc: BASE, ..Event::default() });
    machine.execute(&block, 0);
    assert_eq!(machine.cpu.pc, BASE);
    let line = machine.journal();
    line.split(' ')
        .filter_map(|word| word.strip_prefix("0x"))
        .skip(1)
        .filter_map(|hex| u64::from_str_radix(hex, 16).ok())
        .collect()
}
