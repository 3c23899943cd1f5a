//! A guest without an operating system, run in a tier with a probe engine of the test, or one instruction at a time.

use spile_lang::target::RegisterSlot;
use spile_runtime::block::{Block, Insn, Insns, Lift};
use spile_runtime::cells::Cells;
use spile_runtime::cpu::CpuState;
use spile_runtime::env::{Environment, Outcome, Status, TrapEvent};
use spile_runtime::interp::{self, ActionCall, Context, Host, Leave};
use spile_runtime::isa::Isa;
use spile_runtime::isa::aarch64::AARCH64;
use spile_runtime::mem::{Fault, GuestMemory, perm};
use spile_runtime::translate::{Site, Splice};
use spile_runtime::uop::{Uop, slot};
use spile_runtime::vm::{Config, Counting, End, PlainEvent, ProbeEngine, Tier, Vm};
use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Where programs stand: pages that may be read, written and executed.
pub(crate) const CODE: u64 = 0x1_0000;
pub(crate) const CODE_SIZE: u64 = 0x8000;
/// Their data. Nothing else is mapped.
pub(crate) const DATA: u64 = 0x4_0000;
pub(crate) const DATA_SIZE: u64 = 0x4000;
/// What programs point their base register at.
pub(crate) const BASE: u64 = DATA + 0x2000;

pub(crate) const HLT: u32 = 0xd45e_0000;
pub(crate) const TIERS: [Tier; 4] = [Tier::Interp, Tier::Quick, Tier::Jit, Tier::Auto];

/// A small generator of pseudo-random numbers (splitmix64).
#[derive(Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A register value: often one at which something happens.
    pub(crate) fn value(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            3 => 1 << 31,
            4 => self.below(256),
            5 => self.next() >> 32,
            _ => self.next(),
        }
    }
}

/// A program with its initial state.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) isa: &'static dyn Isa,
    pub(crate) code: Vec<u8>,
    /// The addresses of its instructions.
    pub(crate) starts: Vec<u64>,
    pub(crate) cpu: CpuState,
    pub(crate) data: Vec<u8>,
    /// Index of the first instruction that is worth a probe: those before it are padding.
    pub(crate) first: usize,
}

impl Program {
    /// An A64 program that starts with every register zero but `sp` and `x28`, which point to data.
    pub(crate) fn new(words: &[u32]) -> Program {
        let mut cpu = CpuState { pc: CODE, ..CpuState::default() };
        (cpu.x[28], cpu.x[31]) = (BASE, BASE - 0x800);
        let (code, starts, data) = (Vec::new(), Vec::new(), vec![0; DATA_SIZE as usize]);
        Program { isa: &AARCH64, code, starts, cpu, data, first: 0 }.with_words(words)
    }

    /// The same with other A64 instructions.
    pub(crate) fn with_words(self, words: &[u32]) -> Program {
        let starts = (0..words.len() as u64).map(|index| CODE + 4 * index).collect();
        Program { code: words.iter().flat_map(|word| word.to_le_bytes()).collect(), starts, ..self }
    }

    /// True if integer registers have 32 bits.
    pub(crate) fn is_narrow(&self) -> bool {
        is_narrow(self.isa)
    }

    /// A number, cut off as integer registers have it.
    pub(crate) fn fits(&self, value: u64) -> u64 {
        if self.is_narrow() { value & 0xffff_ffff } else { value }
    }

    /// The size of an instruction in bytes.
    pub(crate) fn len_at(&self, index: usize) -> usize {
        let next = self.starts.get(index + 1).copied().unwrap_or(CODE + self.code.len() as u64);
        (next - self.starts[index]) as usize
    }

    pub(crate) fn memory(&self) -> Arc<GuestMemory> {
        let memory = Arc::new(GuestMemory::new(u64::MAX >> 8).unwrap());
        memory.map_anonymous(CODE, CODE_SIZE, perm::READ | perm::WRITE | perm::EXEC, false).unwrap();
        memory.map_anonymous(DATA, DATA_SIZE, perm::READ | perm::WRITE, false).unwrap();
        memory.write(CODE, &self.code).unwrap();
        memory.write(DATA, &self.data).unwrap();
        memory
    }
}

/// True if the stack pointer, and with it all integer registers, have 32 bits.
fn is_narrow(isa: &dyn Isa) -> bool {
    isa.register("sp").is_some_and(|sp| sp.bits == 32)
}

/// What the guest can see of its registers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) x: [u64; 32],
    pub(crate) v: [u128; 32],
    pub(crate) nzcv: u64,
    pub(crate) fpcr: u64,
    pub(crate) fpsr: u64,
    pub(crate) pc: u64,
    pub(crate) icount: u64,
}

impl State {
    pub(crate) fn of(cpu: &CpuState) -> State {
        State {
            x: cpu.x[..32].try_into().unwrap(),
            v: cpu.v[..32].try_into().unwrap(),
            nzcv: cpu.nzcv(),
            fpcr: cpu.x[slot::FP_CONTROL as usize],
            fpsr: cpu.x[slot::FP_STATUS as usize],
            pc: cpu.pc,
            icount: cpu.icount,
        }
    }

    /// Names what differs.
    pub(crate) fn difference(&self, other: &State) -> String {
        let mut text = String::new();
        let mut note = |name: String, a: u128, b: u128| {
            if a != b {
                text += &format!(" {name}: {a:#x} is not {b:#x};");
            }
        };
        for r in 0..32 {
            note(format!("x{r}"), self.x[r].into(), other.x[r].into());
            note(format!("v{r}"), self.v[r], other.v[r]);
        }
        note("nzcv".into(), self.nzcv.into(), other.nzcv.into());
        note("fpcr".into(), self.fpcr.into(), other.fpcr.into());
        note("fpsr".into(), self.fpsr.into(), other.fpsr.into());
        note("pc".into(), self.pc.into(), other.pc.into());
        note("icount".into(), self.icount.into(), other.icount.into());
        text
    }
}

/// Everything that a run leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Final {
    pub(crate) end: End,
    pub(crate) state: State,
    pub(crate) memory: Vec<u8>,
    pub(crate) output: Vec<u64>,
    pub(crate) traps: Vec<TrapEvent>,
}

impl Final {
    fn of(end: End, cpu: &CpuState, memory: &GuestMemory, seen: &Seen) -> Final {
        let mut bytes = memory.read_vec(CODE, CODE_SIZE).unwrap();
        bytes.extend(memory.read_vec(DATA, DATA_SIZE).unwrap());
        Final { end, state: State::of(cpu), memory: bytes, output: seen.output.clone(), traps: seen.traps.clone() }
    }

    /// Panics with what differs, if anything does.
    #[track_caller]
    pub(crate) fn must_be(&self, reference: &Final, what: &str) {
        if self == reference {
            return;
        }
        let bytes = self.memory.iter().zip(&reference.memory).position(|(a, b)| a != b);
        panic!(
            "{what}: ended as {:?}, not {:?};{} first different byte of memory: {bytes:x?}; output {:?}, not {:?}; \
             traps {:?}, not {:?}",
            self.end,
            reference.end,
            self.state.difference(&reference.state),
            self.output,
            reference.output,
            self.traps,
            reference.traps,
        );
    }
}

/// What the environment has seen.
#[derive(Default)]
pub(crate) struct Seen {
    output: Vec<u64>,
    traps: Vec<TrapEvent>,
}

/// The environment: system calls print their first argument and change it, traps end the run.
struct Bare(Arc<Mutex<Seen>>, &'static dyn Isa);

impl Environment for Bare {
    fn system_call(&mut self, cpu: &mut CpuState, _: &GuestMemory) -> Outcome {
        let register = |n| match self.1.argument(n).map(|register| register.slot) {
            Some(RegisterSlot::Int(slot)) => usize::from(slot),
            other => unreachable!("{other:?}"),
        };
        let (first, last) = (register(0), register(7));
        self.0.lock().unwrap().output.push(cpu.x[first]);
        let result = cpu.x[first].rotate_left(7) ^ cpu.x[last];
        cpu.x[first] = if is_narrow(self.1) { result & 0xffff_ffff } else { result };
        Outcome::Continue
    }
    fn trap(&mut self, _: &mut CpuState, _: &GuestMemory, trap: TrapEvent) -> Outcome {
        self.0.lock().unwrap().traps.push(trap);
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

// ---- one instruction at a time

/// Executes a program one instruction at a time, each lifted anew from memory: nothing in it can be stale.
pub(crate) struct Stepper {
    pub(crate) cpu: Box<CpuState>,
    pub(crate) memory: Arc<GuestMemory>,
    isa: &'static dyn Isa,
    environment: Bare,
    seen: Arc<Mutex<Seen>>,
}

struct NoHost;

impl Host for NoHost {
    fn action(&mut self, _: ActionCall, _: &mut CpuState, _: &GuestMemory) -> u64 {
        0
    }
    fn ticks(&self, _: u64) -> u64 {
        0
    }
}

impl Stepper {
    pub(crate) fn new(program: &Program) -> Stepper {
        Stepper::on(program, program.memory())
    }

    pub(crate) fn on(program: &Program, memory: Arc<GuestMemory>) -> Stepper {
        let seen = Arc::<Mutex<Seen>>::default();
        let environment = Bare(seen.clone(), program.isa);
        Stepper { cpu: Box::new(program.cpu.clone()), memory, isa: program.isa, environment, seen }
    }

    /// Executes an instruction. Returns the status if it ends the run; it has then had no effect.
    pub(crate) fn step(&mut self) -> Option<Status> {
        let pc = self.cpu.pc;
        let leave = match self.fetch(pc) {
            Err(event) => Leave::Trap(event),
            Ok((bits, len)) => {
                let mut uops = Vec::new();
                self.isa.lift(bits, &mut Lift::new(&mut uops, pc, len));
                let after = uops.len() as u32;
                if !uops.last().is_some_and(Uop::ends_block) {
                    uops.push(Uop::Next);
                }
                let insns = Insns::lifted(pc, &[Insn { pc, bits, len, start: 0, body: 0, after }]);
                let block = Block { pc, end: pc.wrapping_add(len.into()), insns, uops: uops.as_slice().into() };
                let (mut host, cells) = (NoHost, Cells::none());
                let mut ctx = Context {
                    memory: &self.memory,
                    isa: self.isa,
                    cells: &cells,
                    counters: &cells.common(),
                    host: &mut host,
                };
                interp::run(&block, 0, 1, &mut self.cpu, &mut ctx)
            }
        };
        let outcome = match leave {
            Leave::Next => return None,
            Leave::Syscall(_) => self.environment.system_call(&mut self.cpu, &self.memory),
            Leave::Trap(event) => self.environment.trap(&mut self.cpu, &self.memory, event),
        };
        match outcome {
            Outcome::End(status) => Some(status),
            _ => None,
        }
    }

    /// The instruction at an address and its size.
    pub(crate) fn fetch(&self, pc: u64) -> Result<(u32, u8), TrapEvent> {
        if !pc.is_multiple_of(self.isa.insn_align()) {
            return Err(TrapEvent::Misaligned(pc));
        }
        let fault = |fault: Fault| TrapEvent::Fault(fault);
        if self.isa.insn_align() == 4 {
            return self.memory.fetch(pc).map(|bytes| (u32::from_le_bytes(bytes), 4)).map_err(fault);
        }
        let first = u16::from_le_bytes(self.memory.fetch(pc).map_err(fault)?);
        if self.isa.insn_len(first) == 2 {
            return Ok((first.into(), 2));
        }
        let second = u16::from_le_bytes(self.memory.fetch(pc.wrapping_add(2)).map_err(fault)?);
        Ok((u32::from(first) | u32::from(second) << 16, 4))
    }

    pub(crate) fn result(&self, end: End) -> Final {
        Final::of(end, &self.cpu, &self.memory, &self.seen.lock().unwrap())
    }

    /// Runs to the end or the limit, calling `look` in front of every instruction and at the end of it, with the
    /// address of the instruction then.
    pub(crate) fn run(&mut self, limit: u64, mut look: impl FnMut(&mut Stepper, Option<u64>)) -> Final {
        let narrow = is_narrow(self.isa);
        loop {
            if self.cpu.icount >= limit {
                return self.result(End::Limit);
            }
            look(self, None);
            let pc = self.cpu.pc;
            if let Some(status) = self.step() {
                return self.result(End::Guest(status));
            }
            // What is above registers of 32 bits stays zero.
            assert!(!narrow || self.cpu.x[..32].iter().chain([&self.cpu.pc]).all(|&x| x >> 32 == 0), "at {pc:#x}");
            look(self, Some(pc));
        }
    }
}

// ---- in the tiers

/// What a test does as a probe.
pub(crate) trait Spy {
    fn before(&mut self, _site: &Site<'_>, _uops: &mut Vec<Uop>) {}
    fn has_after(&mut self, _site: &Site<'_>) -> bool {
        false
    }
    fn after(&mut self, _site: &Site<'_>, _uops: &mut Vec<Uop>) {}
    fn action(&mut self, _call: ActionCall, _cpu: &mut CpuState, _memory: &GuestMemory) -> u64 {
        0
    }
    fn take_changes(&mut self) -> Vec<Range<u64>> {
        Vec::new()
    }
    fn next_every(&self, _icount: u64) -> u64 {
        u64::MAX
    }
    fn every(&mut self) -> Vec<Uop> {
        Vec::new()
    }
    fn cells(&self) -> Arc<Cells> {
        Cells::none()
    }
}

/// No probes at all.
pub(crate) struct Nobody;

impl Spy for Nobody {}

struct Engine<S>(Arc<Mutex<S>>);

struct Splicer<'a, S>(&'a mut S);

impl<S: Spy> Splice for Splicer<'_, S> {
    fn touches(&mut self, _: &Block) -> bool {
        true
    }
    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.0.before(site, uops);
    }
    fn has_after(&mut self, site: &Site<'_>) -> bool {
        self.0.has_after(site)
    }
    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.0.after(site, uops);
    }
}

impl<S: Spy + Send + 'static> ProbeEngine for Engine<S> {
    fn splice(&mut self, use_it: &mut dyn FnMut(&mut dyn Splice)) {
        use_it(&mut Splicer(&mut *self.0.lock().unwrap()));
    }
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, memory: &GuestMemory, _: &dyn Environment) -> u64 {
        self.0.lock().unwrap().action(call, cpu, memory)
    }
    fn take_changes(&mut self) -> Vec<Range<u64>> {
        self.0.lock().unwrap().take_changes()
    }
    fn end_request(&self) -> Option<u8> {
        None
    }
    fn next_every(&self, icount: u64) -> u64 {
        self.0.lock().unwrap().next_every(icount)
    }
    fn counting(&self) -> Counting {
        Counting::Limited
    }
    fn event_blocks(&mut self, event: PlainEvent, _: &GuestMemory, pc: u64, _: u64, _: u8, _: u64) -> Vec<Block> {
        if event != PlainEvent::Every {
            return Vec::new();
        }
        let uops = self.0.lock().unwrap().every();
        vec![Block { pc, end: pc, insns: Insns::default(), uops: uops.as_slice().into() }]
    }
    fn cells(&self) -> Arc<Cells> {
        self.0.lock().unwrap().cells()
    }
    fn child_status(&mut self, status: u8, _: &GuestMemory) -> u8 {
        status
    }
    fn flush(&mut self, _: &GuestMemory) {}
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Runs a program with `spy` as its probes.
pub(crate) fn run<S: Spy + Send + 'static>(program: &Program, tier: Tier, limit: u64, spy: &Arc<Mutex<S>>) -> Final {
    run_with(program, program.memory(), tier, Some(limit), Some(Box::new(Engine(spy.clone()))))
}

/// Runs a program without probes.
pub(crate) fn run_plain(program: &Program, tier: Tier, limit: u64) -> Final {
    run_with(program, program.memory(), tier, Some(limit), None)
}

/// Runs a program on memory that the test has made.
pub(crate) fn run_on<S: Spy + Send + 'static>(
    program: &Program,
    memory: Arc<GuestMemory>,
    tier: Tier,
    spy: &Arc<Mutex<S>>,
) -> Final {
    run_with(program, memory, tier, Some(1_000_000), Some(Box::new(Engine(spy.clone()))))
}

/// Runs a program with any probe engine.
pub(crate) fn run_with(
    program: &Program,
    memory: Arc<GuestMemory>,
    tier: Tier,
    max_insns: Option<u64>,
    probes: Option<Box<dyn ProbeEngine>>,
) -> Final {
    let seen = Arc::<Mutex<Seen>>::default();
    let config = Config { tier, max_insns, count: true, ..Config::default() };
    let cpu = Box::new(program.cpu.clone());
    let mut vm = Vm::new(program.isa, cpu, memory, Box::new(Bare(seen.clone(), program.isa)), probes, config).unwrap();
    let end = vm.run();
    Final::of(end, &vm.cpu, &vm.memory, &seen.lock().unwrap())
}
