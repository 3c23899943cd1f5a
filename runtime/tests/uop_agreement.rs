//! Generated code agrees with the reference meaning on every micro-op that computes: all operations, all arrangements,
//! random and special operands. Operations without a native form take part, so that new ones are covered.

mod random;

use random::Random;
use spile_runtime::block::{Block, Insn, Insns};
use spile_runtime::cache::Entry;
use spile_runtime::cells::Cells;
use spile_runtime::cpu::{CpuState, resume};
use spile_runtime::interp::{ActionCall, Context, Host, run_one};
use spile_runtime::isa::aarch64::AARCH64;
use spile_runtime::jit::{Compiler, FpMode, Jit, JumpCache, Seen};
use spile_runtime::mem::{GuestMemory, perm};
use spile_runtime::uop::{AmoOp, BinOp, Cc, FlagKind, JumpHint, Lanes, MemTy, SelOp, Shift, UnOp, Uop, slot};
use spile_runtime::vector::{V1Op, V2Op, V3Op, VxOp, XvOp, control, rounding};
use spile_runtime::vm::Counting;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

struct NoHost;

impl Host for NoHost {
    fn action(&mut self, _: ActionCall, _: &mut CpuState, _: &GuestMemory) -> u64 {
        0
    }
    fn ticks(&self, _: u64) -> u64 {
        0
    }
}

impl Random {
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn integer(&mut self) -> u64 {
        match self.below(4) {
            0 => self.pick(&INTEGERS),
            1 => self.pick(&INTEGERS).wrapping_add(self.next() % 5).wrapping_sub(2),
            2 => self.next() >> self.below(64),
            _ => self.next(),
        }
    }

    /// The bits of a number of `bytes` bytes.
    fn number(&mut self, bytes: usize) -> u64 {
        let (exp, frac) = match bytes {
            2 => (5, 10),
            4 => (8, 23),
            _ => (11, 52),
        };
        let sign = (self.next() & 1) << (exp + frac);
        let bias = (1u64 << (exp - 1)) - 1;
        let most = (1u64 << exp) - 1;
        let fraction = match self.below(8) {
            0 | 1 => 0,
            2 => 1,
            3 => (1 << frac) - 1,
            4 => 1 << (frac - 1),
            5 => 1 << (frac - 1) | 1,
            _ => self.next() & ((1 << frac) - 1),
        };
        let exponent = match self.below(12) {
            0 => 0,
            1 => 1,
            2 => most,
            3 => most - 1,
            4 => bias,
            5 => bias / 2 + self.next() % 3,
            6 => bias + frac - 2 + self.next() % 5,
            7 => bias + 29 + self.next() % 5,
            8 => bias + 61 + self.next() % 5,
            9 => self.next() & most,
            _ => bias - 4 + self.next() % 10,
        };
        sign | (exponent & most) << frac | fraction
    }

    fn vector(&mut self, t: Lanes) -> u128 {
        let bytes = t.element().min(8);
        let style = self.below(5);
        let mut value = 0;
        for i in 0..16 / bytes {
            let element = match style {
                0 => self.next(),
                1 => self.integer(),
                _ if bytes == 1 => self.next() >> self.below(64),
                _ if self.below(10) == 0 => self.next(),
                _ => self.number(bytes),
            };
            value |= (u128::from(element) & (u128::MAX >> (128 - 8 * bytes))) << (8 * bytes * i);
        }
        // Words that come from each other meet in exact ties and cancellations.
        if self.below(8) == 0 { value | value << 64 } else { value }
    }
}

const INTEGERS: [u64; 14] = [
    0,
    1,
    2,
    u64::MAX,
    1 << 63,
    (1 << 63) - 1,
    1 << 31,
    (1 << 31) - 1,
    1 << 32,
    (1 << 32) - 1,
    0xffff_ffff_8000_0000,
    0x80,
    0x8000,
    0xdead_beef_0bad_cafe,
];

const PC: u64 = 0x1000;
/// Two pages of data, of which the second cannot be written.
const DATA: u64 = 0x10_0000;

/// Compiles blocks and runs them beside the reference.
struct Bench {
    memory: Arc<GuestMemory>,
    jit: Jit,
    compiler: Compiler,
    mode: FpMode,
    random: Random,
    /// Those that generated code uses, and those of the reference.
    cells: [Arc<Cells>; 2],
}

impl Bench {
    fn new() -> Bench {
        Bench::with([Cells::none(), Cells::none()])
    }

    fn with(cells: [Arc<Cells>; 2]) -> Bench {
        let memory = Arc::new(GuestMemory::new(u64::MAX >> 8).unwrap());
        let (jit, compiler) = Jit::new(&memory, &cells[0], Counting::Off).unwrap();
        Bench { memory, jit, compiler, mode: FpMode::Native, random: Random(0x1234_5678_9abc_def1), cells }
    }

    fn block(pc: u64, uops: &[Uop]) -> Arc<Entry> {
        let mut uops = uops.to_vec();
        if !uops.last().is_some_and(Uop::ends_block) {
            uops.push(Uop::Next);
        }
        let after = uops.len() as u32;
        let insn = Insn { pc, bits: 0, len: 4, start: 0, body: 0, after };
        Arc::new(Entry::new(Block { pc, end: pc + 4, insns: Insns::lifted(pc, &[insn]), uops: uops.as_slice().into() }))
    }

    /// Compiles a region and returns where it is entered.
    fn compile(&mut self, blocks: &[Arc<Entry>]) -> usize {
        let draft = self.jit.draft(blocks.to_vec(), Seen::default(), self.mode);
        let code = self.compiler.compile(&draft).expect("compiles");
        self.jit.install(draft, &code).expect("has room").code
    }

    fn reference(&self, uops: &[Uop], cpu: &mut CpuState) -> bool {
        let mut host = NoHost;
        let cells = &self.cells[1];
        let mut ctx =
            Context { memory: &self.memory, isa: &AARCH64, cells, counters: &cells.common(), host: &mut host };
        catch_unwind(AssertUnwindSafe(|| {
            for &uop in uops.iter().filter(|uop| uop.is_plain()) {
                run_one(uop, cpu, &mut ctx).unwrap();
            }
        }))
        .is_ok()
    }

    /// Runs `uops` on each of the states in both ways. False if they mean nothing: the reference panics.
    fn agree(&mut self, uops: &[Uop], states: &[CpuState]) -> bool {
        self.agree_in_blocks(&[uops], states)
    }

    fn agree_in_blocks(&mut self, parts: &[&[Uop]], states: &[CpuState]) -> bool {
        let all: Vec<Uop> = parts.iter().flat_map(|uops| uops.iter().copied()).collect();
        let mut expected = states.to_vec();
        for cpu in &mut expected {
            if !self.reference(&all, cpu) {
                return false;
            }
        }
        let blocks: Vec<Arc<Entry>> = parts.iter().zip(0..).map(|(uops, i)| Self::block(PC + 0x10 * i, uops)).collect();
        let code = self.compile(&blocks);
        self.all_reach(code, &blocks, parts, states, &expected);
        if let [block] = &blocks[..]
            && let Some(quick) = self.jit.put_quick(block, self.mode)
        {
            self.all_reach(quick.code, &blocks, parts, states, &expected);
        }
        self.jit.drop_blocks(&blocks.iter().map(|block| block.pc).collect::<Vec<_>>());
        true
    }

    /// Runs generated code of `blocks` from each of the states.
    fn all_reach(
        &mut self,
        code: usize,
        blocks: &[Arc<Entry>],
        parts: &[&[Uop]],
        states: &[CpuState],
        expected: &[CpuState],
    ) {
        for (state, expected) in states.iter().zip(expected) {
            let cpu = self.enter(code, state);
            let same = cpu.pc == blocks.last().unwrap().end
                && cpu.v[..32] == expected.v[..32]
                && cpu.x[..slot::FLAG_KIND as usize] == expected.x[..slot::FLAG_KIND as usize]
                && cpu.nzcv() == expected.nzcv();
            if !same {
                let report = |cpu: &CpuState| {
                    format!(
                        "x0-3 {:x?} v0-3 {:032x?} nzcv {:04b} fpsr {:#x}",
                        &cpu.x[..4],
                        &cpu.v[..4],
                        cpu.nzcv(),
                        cpu.x[slot::FP_STATUS as usize]
                    )
                };
                panic!(
                    "{parts:?}\nfrom      {}\nreference {}\ngenerated {}\n{}",
                    report(state),
                    report(expected),
                    report(&cpu),
                    self.compiler.dump(&self.jit.draft(blocks.to_vec(), Seen::default(), self.mode), false)
                );
            }
        }
    }

    /// Runs generated code from `state` until it leaves.
    fn enter(&self, code: usize, state: &CpuState) -> CpuState {
        let mut cpu = state.clone();
        cpu.pc = PC;
        let mut host = NoHost;
        let cells = &self.cells[0];
        let mut ctx =
            Context { memory: &self.memory, isa: &AARCH64, cells, counters: &cells.common(), host: &mut host };
        self.jit.gateway().enter(code, &mut cpu, &cells.common(), &mut JumpCache::default(), &mut ctx);
        cpu
    }

    /// Runs an access of slot 1 on each of the states in both ways, on memory that holds slot 2 or its neighbours.
    fn agree_on_memory(&mut self, uop: Uop, states: &[CpuState]) {
        let block = Self::block(PC, &[uop]);
        let blocks = [block];
        let code = self.compile(&blocks);
        let write = |memory: &GuestMemory, cpu: &CpuState| memory.write(DATA, &cpu.x[2].to_le_bytes()).unwrap();
        for state in states {
            let mut expected = state.clone();
            write(&self.memory, state);
            assert!(self.reference(&[uop], &mut expected));
            let stored = self.memory.read_vec(DATA, 16).unwrap();
            write(&self.memory, state);
            let cpu = self.enter(code, state);
            let (found, expected) = (&cpu.x[..slot::ZERO as usize], &expected.x[..slot::ZERO as usize]);
            assert_eq!((cpu.pc, found), (PC + 4, expected), "{uop:?} from {:x?}", &state.x[..4]);
            assert_eq!(self.memory.read_vec(DATA, 16).unwrap(), stored, "{uop:?} from {:x?}", &state.x[..4]);
        }
        self.jit.drop_blocks(&[PC]);
    }

    /// Checks that generated code leaves `uop` to the interpreter where slot 1 is one of `addresses`.
    fn leaves(&mut self, uop: Uop, addresses: &[u64]) {
        let blocks = [Self::block(PC, &[uop])];
        let code = self.compile(&blocks);
        for &address in addresses {
            let mut state = CpuState::default();
            (state.x[0], state.x[1]) = (7, address);
            let cpu = self.enter(code, &state);
            assert_eq!((cpu.pc, cpu.resume), (PC, resume::BODY), "{uop:?} at {address:#x}");
            assert_eq!(cpu.x[..4], state.x[..4], "{uop:?} at {address:#x}");
        }
        self.jit.drop_blocks(&[PC]);
    }

    fn states(&mut self, n: usize, t: Lanes) -> Vec<CpuState> {
        self.states_with(n, t, &[0])
    }

    fn states_with(&mut self, n: usize, t: Lanes, control: &[u64]) -> Vec<CpuState> {
        let template = CpuState::default();
        (0..n)
            .map(|i| {
                let mut cpu = template.clone();
                for x in &mut cpu.x[..4] {
                    *x = self.random.integer();
                }
                for v in &mut cpu.v[..4] {
                    *v = self.random.vector(t);
                }
                // Sometimes the same number again: exact results, ties, cancellation.
                if i % 7 == 0 {
                    cpu.v[1] = cpu.v[0];
                }
                cpu.set_nzcv(self.random.next() & 15);
                cpu.x[slot::FP_STATUS as usize] = if i % 3 == 0 { self.random.next() & 0x0800_009f } else { 0 };
                let control = self.random.pick(control);
                cpu.x[slot::FP_CONTROL as usize] = control;
                if control & control::CANONICAL != 0 {
                    // Registers of 64 bits: there is nothing above them.
                    cpu.v[..4].iter_mut().for_each(|v| *v &= u128::from(u64::MAX));
                }
                cpu
            })
            .collect()
    }
}

/// Does not print the panics of references that are asked for what does not exist.
fn silence_references() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or("", |location| location.file());
            if !place.contains("src/vector/") {
                default(info);
            }
        }));
    });
}

fn bits(t: Lanes) -> u32 {
    8 * t.element().min(8) as u32
}

fn some_of(range: std::ops::RangeInclusive<u32>) -> Vec<u32> {
    let (first, last) = range.into_inner();
    if first > last {
        return Vec::new();
    }
    let mut some = vec![first, first + 1, (first + last) / 2, last.saturating_sub(1), last];
    some.extend([4, 7, 8, 9, 16, 20]);
    some.retain(|n| (first..=last).contains(n));
    some.sort_unstable();
    some.dedup();
    some
}

const ROUNDINGS: [u32; 6] =
    [rounding::EVEN, rounding::UP, rounding::DOWN, rounding::ZERO, rounding::AWAY, rounding::CURRENT];

fn v1_imms(op: V1Op, t: Lanes) -> Vec<u32> {
    let bits = bits(t);
    match op {
        V1Op::Dup => (0..128 / bits).collect(),
        V1Op::Shl | V1Op::QShlS | V1Op::QShlU | V1Op::QShlSU | V1Op::WidenS | V1Op::WidenU => some_of(0..=bits - 1),
        V1Op::ShrS | V1Op::ShrU | V1Op::RShrS | V1Op::RShrU => some_of(1..=bits),
        V1Op::Narrow | V1Op::QNarrowS | V1Op::QNarrowU | V1Op::QNarrowSU => some_of(0..=bits / 2),
        V1Op::RNarrow | V1Op::QRNarrowS | V1Op::QRNarrowU | V1Op::QRNarrowSU => some_of(1..=bits / 2),
        V1Op::FRound => ROUNDINGS.iter().flat_map(|&r| [r, r | rounding::EXACT]).collect(),
        V1Op::FConvert => [2, 4, 8].into_iter().filter(|&to| to as usize != t.element()).collect(),
        V1Op::FToS | V1Op::FToU => to_int_imms(bits),
        V1Op::SToF | V1Op::UToF => vec![0, 1, bits],
        _ => vec![0],
    }
}

fn to_int_imms(bits: u32) -> Vec<u32> {
    ROUNDINGS.iter().copied().chain([rounding::ZERO | 1 << 8, rounding::ZERO | bits << 8]).collect()
}

fn v2_imms(op: V2Op, t: Lanes) -> Vec<u32> {
    let lanes = 16 / t.element() as u32;
    match op {
        V2Op::Insert => (0..lanes).flat_map(|to| [0, lanes - 1, to].map(|from| to | from << 8)).collect(),
        V2Op::Ext => (0..t.count() as u32).collect(),
        V2Op::Tbl => vec![0, 16, 48],
        V2Op::Sli => some_of(0..=bits(t) - 1),
        V2Op::Sri => some_of(1..=bits(t)),
        _ => vec![0],
    }
}

fn trials(name: &str) -> usize {
    // Numbers have more special cases than integers.
    if name.starts_with('F') || name.contains("ToF") { 700 } else { 60 }
}

#[test]
fn one_vector_operand() {
    silence_references();
    let mut bench = Bench::new();
    let mut tried = 0;
    for &t in Lanes::ALL {
        for &op in V1Op::ALL {
            let n = trials(&format!("{op:?}"));
            let states = bench.states(n, t);
            for imm in v1_imms(op, t) {
                for d in [2, 0] {
                    tried += usize::from(bench.agree(&[Uop::V1 { op, t, d, a: 0, imm }], &states));
                }
            }
        }
    }
    assert!(tried > 2000, "{tried}");
}

#[test]
fn two_vector_operands() {
    silence_references();
    let mut bench = Bench::new();
    let mut tried = 0;
    for &t in Lanes::ALL {
        for &op in V2Op::ALL {
            let n = trials(&format!("{op:?}"));
            let states = bench.states(n, t);
            for imm in v2_imms(op, t) {
                for (d, b) in [(2, 1), (0, 1), (1, 1), (2, 0)] {
                    tried += usize::from(bench.agree(&[Uop::V2 { op, t, d, a: 0, b, imm }], &states));
                }
            }
        }
    }
    assert!(tried > 3000, "{tried}");
}

#[test]
fn three_vector_operands() {
    silence_references();
    let mut bench = Bench::new();
    let mut tried = 0;
    for &t in Lanes::ALL {
        for &op in V3Op::ALL {
            let n = 2 * trials(&format!("{op:?}"));
            let states = bench.states(n, t);
            let imms: &[u32] = match op {
                V3Op::Tbx => &[0, 16, 32],
                V3Op::Uzp3 | V3Op::Zip3 => &[0, 1, 2],
                _ => &[0],
            };
            for &imm in imms {
                for d in [3, 0] {
                    tried += usize::from(bench.agree(&[Uop::V3 { op, t, d, a: 0, b: 1, c: 2, imm }], &states));
                }
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn vectors_from_and_to_integers() {
    silence_references();
    let mut bench = Bench::new();
    let mut tried = 0;
    for &t in Lanes::ALL {
        let states = bench.states(300, t);
        let lanes: Vec<u32> = (0..16 / t.element() as u32).collect();
        for &op in VxOp::ALL {
            let imms = match op {
                VxOp::Get | VxOp::GetS => lanes.clone(),
                VxOp::FToS32 | VxOp::FToU32 => to_int_imms(32),
                VxOp::FToS64 | VxOp::FToU64 => to_int_imms(64),
                VxOp::FClass => vec![0],
            };
            for imm in imms {
                tried += usize::from(bench.agree(&[Uop::Vx { op, t, d: 1, a: 0, imm }], &states));
            }
        }
        for &op in XvOp::ALL {
            let imms = match op {
                XvOp::Insert => lanes.clone(),
                XvOp::Mov | XvOp::Dup => vec![0],
                _ => vec![0, 1, 31],
            };
            for imm in imms {
                tried += usize::from(bench.agree(&[Uop::Xv { op, t, d: 1, a: 0, imm }], &states));
            }
        }
        for (both, imm) in [(false, 7), (true, u64::MAX - 1)] {
            assert!(bench.agree(&[Uop::VMovI { d: 0, both, imm }], &states));
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn results_nobody_uses_still_raise_their_exceptions() {
    let mut bench = Bench::new();
    for t in [Lanes::H, Lanes::S, Lanes::D, Lanes::H4, Lanes::H8, Lanes::S2, Lanes::S4, Lanes::D2] {
        let states = bench.states(300, t);
        let dead = Uop::VMovI { d: 2, both: true, imm: 0 };
        for &op in V1Op::ALL {
            for imm in v1_imms(op, t) {
                bench.agree(&[Uop::V1 { op, t, d: 2, a: 0, imm }, dead], &states);
            }
        }
        for &op in V2Op::ALL {
            bench.agree(&[Uop::V2 { op, t, d: 2, a: 0, b: 1, imm: 0 }, dead], &states);
        }
        for op in [VxOp::FToS32, VxOp::FToU32, VxOp::FToS64, VxOp::FToU64] {
            for imm in ROUNDINGS {
                let used = Uop::MovI { d: 1, imm: 0 };
                bench.agree(&[Uop::Vx { op, t, d: 1, a: 0, imm }, used], &states);
            }
        }
        for op in [XvOp::S32ToF, XvOp::U32ToF, XvOp::S64ToF, XvOp::U64ToF] {
            bench.agree(&[Uop::Xv { op, t, d: 2, a: 0, imm: 0 }, dead], &states);
        }
    }
}

/// The reference must not compute it on the host either, which raises Invalid.
#[test]
fn zero_times_infinity_in_fmulx_raises_nothing() {
    let mut bench = Bench::new();
    let mut cpu = CpuState::default();
    for (t, infinity) in [(Lanes::H8, 0x7c00), (Lanes::S4, 0x7f80_0000), (Lanes::D2, 0x7ff << 52)] {
        // Inexact is raised already, which is when the reference takes short cuts.
        cpu.x[slot::FP_STATUS as usize] = 0x10;
        (cpu.v[0], cpu.v[1]) = (infinity, 0);
        assert!(bench.agree(&[Uop::V2 { op: V2Op::FMulX, t, d: 2, a: 0, b: 1, imm: 0 }], &[cpu.clone()]));
    }
}

#[test]
fn chains_of_numbers() {
    let mut bench = Bench::new();
    let ops2 = [V2Op::FAdd, V2Op::FSub, V2Op::FMul, V2Op::FDiv, V2Op::FNMul, V2Op::FMax, V2Op::FMinNum, V2Op::FDiff];
    let ops1 = [V1Op::FSqrt, V1Op::FNeg, V1Op::FAbs, V1Op::Mov, V1Op::FRound, V1Op::SToF];
    for round in 0..300 {
        let t = bench.random.pick(&[Lanes::S, Lanes::D, Lanes::S4, Lanes::D2, Lanes::S2]);
        let mut uops = Vec::new();
        for _ in 0..8 {
            let [d, a, b, c] = std::array::from_fn(|_| bench.random.below(4) as u8);
            uops.push(match bench.random.below(8) {
                0 => Uop::V1 { op: bench.random.pick(&ops1), t, d, a, imm: 0 },
                1 => Uop::V3 { op: V3Op::FMulAdd, t, d, a, b, c, imm: 0 },
                2 if t == Lanes::D => Uop::V1 { op: V1Op::FConvert, t, d, a, imm: 4 },
                2 if t == Lanes::S => Uop::V1 { op: V1Op::FConvert, t, d, a, imm: 8 },
                3 => Uop::Vx { op: VxOp::Get, t, d, a, imm: 0 },
                4 => Uop::Xv { op: XvOp::Mov, t: Lanes::D, d, a, imm: 0 },
                5 => Uop::FCmp { t, a, b, zero: round % 2 == 0, signal: round % 3 == 0 },
                _ => Uop::V2 { op: bench.random.pick(&ops2), t, d, a, b, imm: 0 },
            });
        }
        // The status is read in the middle as well.
        uops.insert(4, Uop::Un { op: UnOp::Mov, d: 3, a: slot::FP_STATUS });
        uops.insert(6, Uop::BinI { op: BinOp::And64, d: slot::FP_STATUS, a: 3, imm: 0x0800_0091 });
        let states = bench.states(100, t);
        bench.agree(&uops, &states);
    }
}

#[test]
fn special_modes_use_the_reference() {
    let mut bench = Bench::new();
    for control in [1 << 19, 1 << 22, 2 << 22, 3 << 22, 1 << 24, 1 << 25, 1 << 26] {
        bench.mode = FpMode::of(control);
        let half = [Lanes::H, Lanes::H8].map(|t| (t, bench.states_with(200, t, &[control])));
        for (t, states) in half {
            assert!(bench.agree(&[Uop::V1 { op: V1Op::FWiden, t, d: 2, a: 0, imm: 0 }], &states) || t == Lanes::H);
            assert!(bench.agree(&[Uop::V1 { op: V1Op::FConvert, t: Lanes::S, d: 2, a: 0, imm: 2 }], &states));
        }
        for t in [Lanes::H, Lanes::H8, Lanes::S, Lanes::D, Lanes::S4, Lanes::D2] {
            let states = bench.states_with(200, t, &[control]);
            for op in [V2Op::FAdd, V2Op::FMul, V2Op::FDiv, V2Op::FMax, V2Op::FCmpGt, V2Op::Add] {
                assert!(bench.agree(&[Uop::V2 { op, t, d: 2, a: 0, b: 1, imm: 0 }], &states));
            }
            for op in [V1Op::FSqrt, V1Op::FNeg, V1Op::SToF] {
                assert!(bench.agree(&[Uop::V1 { op, t, d: 2, a: 0, imm: 0 }], &states));
            }
            assert!(bench.agree(&[Uop::FCmp { t, a: 0, b: 1, zero: false, signal: false }], &states));
        }
    }
}

#[test]
fn integer_operations() {
    let mut bench = Bench::new();
    let states = bench.states(300, Lanes::B16);
    for &op in UnOp::ALL {
        for d in [2, 0] {
            assert!(bench.agree(&[Uop::Un { op, d, a: 0 }], &states));
        }
    }
    for &op in BinOp::ALL {
        for (d, b) in [(2, 1), (0, 1), (1, 1), (2, 0)] {
            assert!(bench.agree(&[Uop::Bin { op, d, a: 0, b }], &states));
        }
        for imm in INTEGERS {
            assert!(bench.agree(&[Uop::BinI { op, d: 2, a: 0, imm }], &states));
        }
    }
    let shiftable = [
        BinOp::Add64,
        BinOp::Add32,
        BinOp::Sub64,
        BinOp::Sub32,
        BinOp::And64,
        BinOp::And32,
        BinOp::Or64,
        BinOp::Or32,
        BinOp::Xor64,
        BinOp::Xor32,
        BinOp::AndNot64,
        BinOp::AndNot32,
        BinOp::OrNot64,
        BinOp::OrNot32,
        BinOp::XorNot64,
        BinOp::XorNot32,
    ];
    let short = &states[..60];
    for op in shiftable {
        for &shift in Shift::ALL {
            for n in [0, 1, 3, 4, 8, 16, 31, 32, 63] {
                if n < 32 || !op.is_32() {
                    assert!(bench.agree(&[Uop::BinSh { op, d: 2, a: 0, b: 1, shift, n }], short));
                }
            }
        }
    }
    for n in 0..64 {
        assert!(bench.agree(&[Uop::Extr64 { d: 2, a: 0, b: 1, n }], short));
        assert!(bench.agree(&[Uop::Extr32 { d: 2, a: 0, b: 1, n: n & 31 }], short));
        for len in 1..=64 - n {
            assert!(bench.agree(&[Uop::BfxU { d: 2, a: 0, lsb: n, len }], &short[..20]));
            assert!(bench.agree(&[Uop::BfxS { d: 2, a: 0, lsb: n, len }], &short[..20]));
            assert!(bench.agree(&[Uop::Bfi { d: 2, a: 0, b: 1, lsb: n, len }], &short[..20]));
        }
    }
    for d in [3, 0] {
        for uop in [
            Uop::MulAdd64 { d, a: 0, b: 1, c: 2 },
            Uop::MulAdd32 { d, a: 0, b: 1, c: 2 },
            Uop::MulSub64 { d, a: 0, b: 1, c: 2 },
            Uop::MulSub32 { d, a: 0, b: 1, c: 2 },
            Uop::Select { d, c: 0, a: 1, b: 2 },
            Uop::MovI { d, imm: 0x1234_5678_9abc },
        ] {
            assert!(bench.agree(&[uop], &states));
        }
    }
}

/// The compiler sees through the operations that a word, a rotation or a zero extension is made of.
#[test]
fn operations_that_are_made_of_several() {
    let mut bench = Bench::new();
    let states = bench.states(60, Lanes::B16);
    let word = |op, d| [Uop::Bin { op, d, a: 0, b: 1 }, Uop::Un { op: UnOp::Sext32, d, a: d }];
    let words = [word(BinOp::Add32, 2), word(BinOp::Sub32, 3)].concat();
    let mut agree = |last: &[Uop]| assert!(bench.agree(&[&words, last].concat(), &states), "{last:?}");
    for &op in BinOp::ALL {
        let again = Uop::Un { op: UnOp::Sext32, d: 5, a: 4 };
        agree(&[Uop::Bin { op, d: 4, a: 2, b: 3 }, again]);
        agree(&[Uop::Bin { op, d: 2, a: 2, b: 0 }, Uop::Un { op: UnOp::Sext32, d: 3, a: 2 }]);
        for imm in INTEGERS {
            agree(&[Uop::BinI { op, d: 4, a: 2, imm }, again]);
            agree(&[Uop::MovI { d: 3, imm }, Uop::Bin { op, d: 4, a: 3, b: 2 }, again]);
        }
    }
    for &op in UnOp::ALL {
        agree(&[Uop::Un { op, d: 3, a: 2 }, Uop::Un { op: UnOp::Zext32, d: 4, a: 2 }]);
    }
    let families = [(64, [BinOp::Shr64, BinOp::Shl64, BinOp::Or64]), (32, [BinOp::Shr32, BinOp::Shl32, BinOp::Or32])];
    for (bits, [right, left, or]) in families {
        for n in 0..bits {
            let rest = bits - n;
            for (by, of) in [(rest, 0), (rest - 1, 0), (rest + 1, 0), (rest, 1)] {
                let parts = [Uop::BinI { op: right, d: 2, a: 0, imm: n }, Uop::BinI { op: left, d: 3, a: of, imm: by }];
                assert!(bench.agree(&[&parts[..], &[Uop::Bin { op: or, d: 4, a: 2, b: 3 }]].concat(), &states));
                assert!(bench.agree(&[&parts[..], &[Uop::Bin { op: or, d: 4, a: 3, b: 2 }]].concat(), &states));
                let [moved, other] = parts;
                let extended = [moved, other, Uop::Un { op: UnOp::Sext32, d: 2, a: 2 }];
                let extended = [&extended[..], &[Uop::Un { op: UnOp::Sext32, d: 3, a: 3 }]].concat();
                assert!(
                    bench.agree(&[&extended[..], &[Uop::Bin { op: BinOp::Or64, d: 2, a: 2, b: 3 }]].concat(), &states)
                );
            }
        }
    }
    for up in [31, 32, 33] {
        for down in [0, 1, 30, 31, 32, 33, 63, 64, 65] {
            let pair = [
                Uop::BinI { op: BinOp::Shl64, d: 2, a: 0, imm: up },
                Uop::BinI { op: BinOp::Shr64, d: 2, a: 2, imm: down },
            ];
            assert!(bench.agree(&pair, &states));
        }
    }
}

/// One or two micro-ops that move, make or spoil words in the first slots.
fn about_words(random: &mut Random) -> Vec<Uop> {
    use BinOp::{Add32, And64, AndNot64, Or64, Sar64, Shr32, Sub32, Xor64};
    use MemTy::{S8, S8to32, S16, S16to32, S32, U8, U16, U32, U64};
    let [d, a, b, c] = [(); 4].map(|()| random.below(6) as u8);
    let imm = random.pick(&[1, 5, 31, 32, 33, 0x7fff_ffff, 0x8000_0000, u64::MAX, 0xffff_ffff_8000_0000]);
    let extended = Uop::Un { op: UnOp::Sext32, d, a: d };
    match random.below(12) {
        0..=2 => vec![Uop::Un { op: UnOp::Sext32, d, a }],
        3 | 4 => vec![Uop::Bin { op: random.pick(&[Add32, Sub32]), d, a, b }, extended],
        5 => vec![Uop::BinI { op: Shr32, d, a, imm }, extended],
        6 => {
            let op =
                if random.below(2) == 0 { random.pick(BinOp::ALL) } else { random.pick(&[And64, AndNot64, Xor64]) };
            vec![Uop::Bin { op, d, a, b }]
        }
        7 => {
            let often = [And64, Or64, Xor64, Sar64, Shr32];
            let op = if random.below(2) == 0 { random.pick(BinOp::ALL) } else { random.pick(&often) };
            vec![Uop::BinI { op, d, a, imm }]
        }
        8 => {
            let ty = random.pick(&[S8, S8to32, S16, S16to32, S32, U8, U16, U32, U64]);
            vec![Uop::Load { ty, d, a: 9, imm: random.below(56) as i64 }]
        }
        9 => vec![Uop::Select { d, c, a, b }],
        10 => vec![Uop::Un { op: random.pick(UnOp::ALL), d, a }],
        _ => vec![Uop::MovI { d, imm }],
    }
}

/// What registers hold words is known from block to block, in loops and where ways meet, whatever a loop is entered with.
#[test]
fn words_that_are_kept_from_block_to_block() {
    const COUNTER: u8 = 8;
    let mut bench = Bench::new();
    bench.memory.map_anonymous(DATA, 0x1000, perm::READ | perm::WRITE, false).unwrap();
    let bytes: Vec<u8> = (0..64).map(|_| bench.random.next() as u8).collect();
    bench.memory.write(DATA, &bytes).unwrap();
    for _ in 0..3_000 {
        let random = &mut bench.random;
        let mut parts = [(); 4].map(|()| {
            let count = random.below(7);
            (0..count).flat_map(|_| about_words(random)).collect::<Vec<Uop>>()
        });
        // The first block may go over the second one, the third ends the loop.
        let over = Uop::BrZero { nz: random.below(2) == 0, a: random.below(6) as u8, target: PC + 8 };
        let count = Uop::BinI { op: BinOp::Sub64, d: COUNTER, a: COUNTER, imm: 1 };
        let again = Uop::BrZero { nz: true, a: COUNTER, target: PC };
        parts[0].push(over);
        parts[2].extend([count, again]);
        let blocks: Vec<_> = parts.iter().zip(0..).map(|(uops, i)| Bench::block(PC + 4 * i, uops)).collect();
        let code = bench.compile(&blocks);
        for _ in 0..6 {
            let mut state = CpuState::default();
            state.x[..6].iter_mut().for_each(|x| *x = bench.random.integer());
            (state.x[COUNTER as usize], state.x[9]) = (1 + bench.random.below(4) as u64, DATA);
            let mut expected = state.clone();
            let mut at = 0;
            while let Some(uops) = parts.get(at) {
                let run = uops.iter().take_while(|uop| uop.is_plain());
                assert!(bench.reference(&run.copied().collect::<Vec<_>>(), &mut expected));
                at = match uops.last() {
                    Some(&Uop::BrZero { nz, a, target }) if (expected.x[a as usize] != 0) == nz => {
                        ((target - PC) / 4) as usize
                    }
                    _ => at + 1,
                };
            }
            let cpu = bench.enter(code, &state);
            assert_eq!(cpu.pc, PC + 16, "left without need\n{parts:?}");
            assert_eq!(cpu.x[..10], expected.x[..10], "from {:x?}\n{parts:?}", &state.x[..10]);
        }
        bench.jit.drop_blocks(&blocks.iter().map(|block| block.pc).collect::<Vec<_>>());
    }
}

/// The micro-ops of a number that is loaded in pieces off slot 1, into slots from `x` on; some are no number after all.
fn number_in_pieces(random: &mut Random, x: u8) -> Vec<Uop> {
    let size = random.pick(&[2i64, 4, 8]);
    let (begin, reversed) = (random.below(24) as i64, random.below(3) == 0);
    let mut loads = Vec::new();
    let mut done = 0;
    while done < size {
        let bytes = if reversed { 1 } else { random.pick(&[1, 1, 1, 2, 4]).min(size - done) };
        let bytes = if bytes == 3 { 2 } else { bytes };
        let d = x + (loads.len() / 2 % 4) as u8;
        let ty = match (bytes, random.below(8)) {
            (1, 0) => MemTy::S8,
            (1, _) => MemTy::U8,
            (2, 0) => MemTy::S16,
            (2, _) => MemTy::U16,
            (_, 0) => MemTy::S32,
            _ => MemTy::U32,
        };
        let imm = begin + if reversed { size - done - bytes } else { done };
        loads.push(Uop::Load { ty, d, a: 1, imm });
        let last = done + bytes == size;
        let op = if size == 4 && last && random.below(2) == 0 { BinOp::Shl32 } else { BinOp::Shl64 };
        loads.push(Uop::BinI { op, d, a: d, imm: 8 * done as u64 });
        if op == BinOp::Shl32 {
            loads.push(Uop::Un { op: UnOp::Sext32, d, a: d });
        }
        loads.push(if done == 0 {
            Uop::Un { op: UnOp::Mov, d: x + 4, a: d }
        } else {
            let op = random.pick(&[BinOp::Or64, BinOp::Or64, BinOp::Add64]);
            let (a, b) = if random.below(2) == 0 { (x + 4, d) } else { (d, x + 4) };
            Uop::Bin { op, d: x + 4, a, b }
        });
        done += bytes;
    }
    for at in 5..7 {
        let op = random.pick(&[BinOp::Shr64, BinOp::Shr32, BinOp::Shl64]);
        loads.push(Uop::BinI { op, d: x + at, a: x + 4, imm: 8 * random.below(8) as u64 });
        if random.below(3) == 0 {
            loads.push(Uop::Un { op: UnOp::Sext32, d: x + at, a: x + at });
        }
    }
    if random.below(4) == 0 {
        let at = random.below(loads.len());
        let (d, a) = (x + random.below(7) as u8, x + random.below(7) as u8);
        loads[at] = Uop::BinI { op: random.pick(&[BinOp::Shl64, BinOp::Shr64, BinOp::Add64]), d, a, imm: 8 };
    }
    loads
}

/// Wherever it is left, code that loads numbers as a whole has made what the guest loads in pieces.
#[test]
fn numbers_that_are_loaded_in_pieces() {
    let mut bench = Bench::new();
    let page = 0x1000;
    bench.memory.map_anonymous(DATA, page, perm::READ | perm::WRITE, false).unwrap();
    for _ in 0..2_000 {
        let random = &mut bench.random;
        let mut numbers: Vec<_> = (0..3).map(|i| number_in_pieces(random, 4 + 7 * i).into_iter()).collect();
        let mut uops = Vec::new();
        while numbers.iter().any(|left| left.len() != 0) {
            let run = 1 + random.below(6);
            let which = random.below(numbers.len());
            uops.extend(numbers[which].by_ref().take(run));
            let (x, imm) = (4 + random.below(21) as u8, random.below(40) as i64);
            match random.below(12) {
                0 => uops.push(Uop::Load { ty: MemTy::U64, d: 26, a: random.pick(&[1, 2, 3]), imm }),
                1 => uops.push(Uop::Store { ty: random.pick(&[MemTy::U8, MemTy::U32]), s: x, a: 2, imm }),
                2 => uops.push(Uop::Store { ty: MemTy::U8, s: x, a: 3, imm }),
                3 => uops.push(Uop::BinI { op: BinOp::Add64, d: 1, a: 1, imm: 1 }),
                _ => {}
            }
        }
        let count = uops.len();
        let insns = (0..count as u32).map(|i| (PC + 4 * u64::from(i), i));
        let insns: Vec<Insn> =
            insns.map(|(pc, i)| Insn { pc, bits: 0, len: 4, start: i, body: i, after: i + 1 }).collect();
        let end = PC + 4 * count as u64;
        let with_end = [&uops[..], &[Uop::Next]].concat();
        let insns = Insns::lifted(PC, &insns);
        let block = Arc::new(Entry::new(Block { pc: PC, end, insns, uops: with_end.as_slice().into() }));
        let code = bench.compile(&[block]);
        let bytes: Vec<u8> = (0..page).map(|_| bench.random.next() as u8).collect();
        // The last ones reach beyond the page, and slot 3 leads nowhere in some.
        for base in [0x100, 0x100, 0x101, page - 80, page - 24, page - 8, page - 3] {
            let mut state = CpuState::default();
            state.x[..31].iter_mut().for_each(|x| *x = bench.random.integer());
            let elsewhere = bench.random.pick(&[0, DATA + 0x104]);
            (state.x[1], state.x[2], state.x[3]) = (DATA + base, DATA + 0x100, elsewhere);
            bench.memory.write(DATA, &bytes).unwrap();
            let cpu = bench.enter(code, &state);
            let left = bench.memory.read_vec(DATA, page).unwrap();
            bench.memory.write(DATA, &bytes).unwrap();
            let mut expected = state.clone();
            let executed = ((cpu.pc - PC) / 4) as usize;
            assert!(bench.reference(&uops[..executed], &mut expected));
            assert!(executed == count || base > 0x101 || elsewhere == 0, "left without need\n{uops:?}");
            assert_eq!(cpu.x[..31], expected.x[..31], "behind {executed} of {uops:?}");
            assert!(bench.memory.read_vec(DATA, page).unwrap() == left, "{uops:?}");
        }
        bench.jit.drop_blocks(&[PC]);
    }
}

#[test]
fn atomics() {
    const TYPES: [MemTy; 4] = [MemTy::U8, MemTy::U16, MemTy::U32, MemTy::U64];
    let mut bench = Bench::new();
    let (page, read, write) = (0x1000, perm::READ, perm::WRITE);
    bench.memory.map_anonymous(DATA, page, read | write, false).unwrap();
    bench.memory.map_anonymous(DATA + page, page, read, false).unwrap();
    let mut states = bench.states(80, Lanes::D);
    for (i, cpu) in states.iter_mut().enumerate() {
        cpu.x[1] = DATA;
        // What is compared with, or stored, is often what is there.
        if i % 3 == 0 {
            cpu.x[2] = cpu.x[i / 3 % 2 * 3];
        }
    }
    for ty in TYPES {
        let bytes = ty.bytes();
        let at = |offset: u64| if offset.is_multiple_of(bytes) { DATA + page + offset } else { DATA + offset };
        // Misaligned, not to be written, not mapped, tagged, no address at all.
        let bad = [at(1), at(bytes / 2), DATA + page, DATA + 2 * page, DATA | 5 << 56, !(bytes - 1)];
        for &op in AmoOp::ALL {
            for d in [4, 0, 1, slot::ZERO] {
                bench.agree_on_memory(Uop::Amo { op, ty, d, s: 0, a: 1 }, &states);
            }
            bench.leaves(Uop::Amo { op, ty, d: 4, s: 0, a: 1 }, &bad);
        }
        for d in [4, 3, 1, slot::ZERO] {
            bench.agree_on_memory(Uop::Cas { ty, d, c: 3, s: 0, a: 1 }, &states);
        }
        bench.leaves(Uop::Cas { ty, d: 4, c: 0, s: 3, a: 1 }, &bad);
        bench.agree_on_memory(Uop::Align { a: 1, bytes: bytes as u8, imm: -16 }, &states);
        if bytes > 1 {
            bench.leaves(Uop::Align { a: 1, bytes: bytes as u8, imm: 0 }, &[DATA + 1, bytes / 2, u64::MAX]);
            bench.leaves(Uop::Align { a: 1, bytes: bytes as u8, imm: -1 }, &[DATA, 0]);
        }
    }
    // The interpreter stores to translated code.
    bench.memory.mark_code(DATA);
    bench.leaves(Uop::Amo { op: AmoOp::Add, ty: MemTy::U64, d: 4, s: 0, a: 1 }, &[DATA]);
    bench.leaves(Uop::Cas { ty: MemTy::U8, d: 4, c: 0, s: 3, a: 1 }, &[DATA]);
}

/// Micro-ops that look at the flags in every way.
fn observers(cc: Cc) -> Vec<Uop> {
    let mut uops = vec![
        Uop::Cond { d: 4, cc },
        Uop::SelectCc32 { op: SelOp::Inv, cc, d: 9, a: 0, b: 1 },
        Uop::Adc64 { d: 10, a: 0, b: 1, set: false },
        Uop::Adc32 { d: 11, a: 0, b: 1, set: false },
    ];
    uops.extend(SelOp::ALL.iter().zip(5..).map(|(&op, d)| Uop::SelectCc64 { op, cc, d, a: 0, b: 1 }));
    uops
}

#[test]
fn conditions() {
    let mut bench = Bench::new();
    let mut states = bench.states(120, Lanes::D);
    // Numbers as raw bits too; what flags are made of is never a signalling NaN.
    for (i, cpu) in states.iter_mut().enumerate() {
        if i % 2 == 0 {
            let bytes = if i % 4 == 0 { 8 } else { 4 };
            (cpu.x[0], cpu.x[1]) = (bench.random.number(bytes), bench.random.number(bytes));
        }
        for x in &mut cpu.x[..2] {
            let double = *x << 1 >> 1 > 0x7ff << 52;
            let single = *x as u32 & 0x7fff_ffff > 0xff << 23;
            *x |= u64::from(double) << 51 | u64::from(single) << 22;
        }
        if i % 5 == 0 {
            cpu.x[1] = cpu.x[0];
        }
    }
    for &kind in FlagKind::ALL {
        let flags = Uop::Flags { kind, a: 0, b: 1 };
        let stored: Vec<CpuState> = states
            .iter()
            .map(|state| {
                let mut cpu = state.clone();
                cpu.x[slot::FLAG_KIND as usize] = kind as u64;
                (cpu.x[slot::FLAG_A as usize], cpu.x[slot::FLAG_B as usize]) = (cpu.x[0], cpu.x[1]);
                if kind == FlagKind::Nzcv {
                    cpu.x[slot::FLAG_A as usize] &= 15;
                }
                cpu
            })
            .collect();
        // Packed flags have nothing above them.
        let set = if kind == FlagKind::Nzcv { Uop::SetNzcv { a: 0 } } else { flags };
        for &cc in Cc::ALL {
            let observers = observers(cc);
            let mut known = vec![set];
            known.extend(&observers);
            assert!(bench.agree(&known, &states), "known in the block");
            assert!(bench.agree(&observers, &stored), "in the state");
            let jump = Uop::Jump { hint: JumpHint::Jump, target: PC + 0x10 };
            assert!(bench.agree_in_blocks(&[&[set, jump], &observers], &states), "known in the region");
            let mut conditional = vec![Uop::FlagsIf { kind, cc, a: 0, b: 1, nzcv: 0b1010 }];
            if kind != FlagKind::Nzcv {
                conditional.extend(&observers);
                assert!(bench.agree(&conditional, &states), "conditional");
            }
        }
        let get = Uop::GetNzcv { d: 4 };
        assert!(bench.agree(&[set, get], &states));
        assert!(bench.agree(&[get], &stored));
    }
    for set in [Uop::Adc64 { d: 2, a: 0, b: 1, set: true }, Uop::Adc32 { d: 2, a: 0, b: 1, set: true }] {
        assert!(bench.agree(&[set, Uop::GetNzcv { d: 4 }], &states));
        assert!(bench.agree(&[set, Uop::Adc64 { d: 0, a: 1, b: 2, set: true }, set], &states));
        for &cc in Cc::ALL {
            assert!(bench.agree(&[set, Uop::Cond { d: 4, cc }], &states));
        }
    }
}

#[test]
fn stuck_bits() {
    let mut bench = Bench::new();
    let mut states = bench.states(40, Lanes::D2);
    for cpu in &mut states {
        for n in 0..4 {
            let (mask, value) = (bench.random.integer(), bench.random.integer());
            cpu.stuck.x[n].stick(mask.into(), value.into(), 0);
            cpu.stuck.v[n].stick(bench.random.vector(Lanes::D2), bench.random.vector(Lanes::D2), 0);
        }
        cpu.stuck.flags.stick(u128::from(bench.random.next() & 15), u128::from(bench.random.next() & 15), 0);
    }
    for d in 0..4 {
        assert!(bench.agree(&[Uop::StickX { d }, Uop::StickV { d }], &states));
    }
    let get = Uop::GetNzcv { d: 4 };
    assert!(bench.agree(&[Uop::StickFlags, get], &states));
    // The kind of the flags is known here, and another one behind it.
    let flags = Uop::Flags { kind: FlagKind::Sub64, a: 0, b: 1 };
    assert!(bench.agree(&[flags, Uop::StickFlags, get], &states));
    let jump = Uop::Jump { hint: JumpHint::Jump, target: PC + 0x10 };
    assert!(bench.agree_in_blocks(&[&[flags, Uop::StickFlags, jump], &[get]], &states));
}

#[test]
fn comparisons_of_numbers() {
    let mut bench = Bench::new();
    for t in [Lanes::H, Lanes::S, Lanes::D] {
        let states = bench.states(600, t);
        for (zero, signal) in [(false, false), (false, true), (true, false), (true, true)] {
            let compare = Uop::FCmp { t, a: 0, b: 1, zero, signal };
            assert!(bench.agree(&[compare], &states));
            assert!(bench.agree(&[compare, Uop::GetNzcv { d: 4 }], &states));
            for &cc in Cc::ALL {
                let observers = observers(cc);
                let mut known = vec![compare];
                known.extend(&observers);
                assert!(bench.agree(&known, &states));
                let jump = Uop::Jump { hint: JumpHint::Jump, target: PC + 0x10 };
                assert!(bench.agree_in_blocks(&[&[compare, jump], &observers], &states));
            }
        }
    }
}

#[test]
fn looking_at_flags_later_raises_nothing() {
    let mut bench = Bench::new();
    for t in [Lanes::S, Lanes::D] {
        let states = bench.states(300, t);
        let compare = Uop::FCmp { t, a: 0, b: 1, zero: false, signal: false };
        let clear = Uop::BinI { op: BinOp::And64, d: slot::FP_STATUS, a: slot::FP_STATUS, imm: 0 };
        for &cc in Cc::ALL {
            let look = Uop::Cond { d: 4, cc };
            assert!(bench.agree(&[compare, clear, look], &states));
            let jump = Uop::Jump { hint: JumpHint::Jump, target: PC + 0x10 };
            assert!(bench.agree_in_blocks(&[&[compare, clear, jump], &[look]], &states));
        }
    }
}

/// Scalar operations as RISC-V has them: with canonical NaNs, and rounding as the operation or the control register says.
#[test]
fn canonical_nans_and_stated_rounding() {
    let mut bench = Bench::new();
    for (mode, controls) in [
        (FpMode::Canonical, vec![control::CANONICAL]),
        (FpMode::Reference, vec![control::CANONICAL | 1 << 22, control::CANONICAL | control::AWAY]),
    ] {
        bench.mode = mode;
        for t in [Lanes::S, Lanes::D] {
            let states = bench.states_with(300, t, &controls);
            for imm in ROUNDINGS[..5].iter().map(|&direction| rounding::stated(direction)).chain([0]) {
                for op in [V2Op::FAdd, V2Op::FSub, V2Op::FMul, V2Op::FDiv, V2Op::FMinNum, V2Op::FMaxNum] {
                    assert!(bench.agree(&[Uop::V2 { op, t, d: 2, a: 0, b: 1, imm }], &states));
                }
                for op in [V3Op::FMulAdd, V3Op::FMulSub, V3Op::FNMulAdd, V3Op::FNMulSub] {
                    assert!(bench.agree(&[Uop::V3 { op, t, d: 3, a: 0, b: 1, c: 2, imm }], &states));
                }
                assert!(bench.agree(&[Uop::V1 { op: V1Op::FSqrt, t, d: 2, a: 0, imm }], &states));
                let other = if t == Lanes::S { 8 } else { 4 };
                assert!(bench.agree(&[Uop::V1 { op: V1Op::FConvert, t, d: 2, a: 0, imm: imm | other }], &states));
                for op in [XvOp::S32ToF, XvOp::U32ToF, XvOp::S64ToF, XvOp::U64ToF] {
                    assert!(bench.agree(&[Uop::Xv { op, t, d: 2, a: 0, imm }], &states));
                }
            }
            for imm in ROUNDINGS {
                for op in [VxOp::FToS32, VxOp::FToU32, VxOp::FToS64, VxOp::FToU64] {
                    assert!(bench.agree(&[Uop::Vx { op, t, d: 1, a: 0, imm }], &states));
                }
            }
            assert!(bench.agree(&[Uop::CheckRounding], &states));
        }
    }
}

/// Operations that NaNs go through, and those that see which NaN it is, also in another block. What nothing uses has raised
/// what it raises.
#[test]
fn canonical_nans_in_chains() {
    let mut bench = Bench::new();
    bench.mode = FpMode::of(control::CANONICAL);
    let t = Lanes::D;
    let ops2 = [V2Op::FAdd, V2Op::FSub, V2Op::FMul, V2Op::FDiv];
    let others = [V1Op::Mov, V1Op::FNeg, V1Op::FAbs];
    for round in 0..300 {
        let mut uops = Vec::new();
        for _ in 0..8 {
            let [d, a, b, c] = std::array::from_fn(|_| bench.random.below(4) as u8);
            let t = if bench.random.below(12) == 0 { Lanes::S } else { t };
            uops.push(match bench.random.below(14) {
                0 => Uop::V1 { op: bench.random.pick(&others), t, d, a, imm: 0 },
                1 => Uop::V1 { op: V1Op::FSqrt, t, d, a, imm: 0 },
                2 => Uop::V3 { op: V3Op::FMulAdd, t, d, a, b, c, imm: 0 },
                3 => Uop::Vx { op: VxOp::Get, t, d, a, imm: 0 },
                4 => Uop::Xv { op: XvOp::Mov, t, d, a, imm: 0 },
                5 => Uop::FCmp { t, a, b, zero: round % 5 == 0, signal: round % 3 == 0 },
                6 => Uop::V2 { op: bench.random.pick(&[V2Op::FMinNum, V2Op::FMaxNum]), t, d, a, b, imm: 0 },
                7 => Uop::V1 { op: bench.random.pick(&[V1Op::FBox, V1Op::FUnbox]), t: Lanes::S, d, a, imm: 0 },
                8 => Uop::V2 { op: V2Op::FMul, t, d, a, b, imm: rounding::stated(rounding::UP) },
                _ => Uop::V2 { op: bench.random.pick(&ops2), t, d, a, b, imm: 0 },
            });
        }
        if round % 2 == 0 {
            uops.insert(5, Uop::Un { op: UnOp::Mov, d: 3, a: slot::FP_STATUS });
            uops.insert(7, Uop::BinI { op: BinOp::And64, d: slot::FP_STATUS, a: 3, imm: 0x11 });
        }
        let states = bench.states_with(100, t, &[control::CANONICAL]);
        bench.agree(&uops, &states);
        let (first, second) = uops.split_at(4);
        let first: Vec<Uop> =
            first.iter().copied().chain([Uop::Jump { hint: JumpHint::Jump, target: PC + 0x10 }]).collect();
        bench.agree_in_blocks(&[&first, second], &states);
    }
}

/// Where a block is left in its middle, and in memory.
#[test]
fn canonical_nans_are_seen_from_outside() {
    let mut bench = Bench::new();
    bench.mode = FpMode::of(control::CANONICAL);
    bench.memory.map_anonymous(DATA, 0x1000, perm::READ | perm::WRITE, false).unwrap();
    let two = |op, d, a, b| Uop::V2 { op, t: Lanes::D, d, a, b, imm: 0 };
    let sum = [two(V2Op::FAdd, 2, 0, 1), two(V2Op::FMul, 3, 2, 2), two(V2Op::FSub, 2, 0, 1)];
    let leaving = Bench::block(PC, &[sum.as_slice(), &[Uop::Store { ty: MemTy::U8, s: 0, a: 1, imm: 0 }]].concat());
    let stored = [2, 3].map(|s| Uop::StoreV { s, bytes: 8, a: 1, imm: 8 * i64::from(s) });
    let storing = Bench::block(PC, &[sum.as_slice(), &stored].concat());
    let mut states = bench.states_with(500, Lanes::D, &[control::CANONICAL]);
    for (block, address) in [(leaving, u64::MAX >> 1), (storing, DATA)] {
        let code = bench.compile(&[block]);
        for state in &mut states {
            state.x[1] = address;
            let mut expected = state.clone();
            assert!(bench.reference(&sum, &mut expected));
            let cpu = bench.enter(code, state);
            assert_eq!(cpu.resume == resume::BODY, address != DATA);
            assert_eq!(cpu.v[..4], expected.v[..4], "from {:x?}", &state.v[..4]);
            assert_eq!(cpu.x[slot::FP_STATUS as usize], expected.x[slot::FP_STATUS as usize]);
            if address == DATA {
                let both = bench.memory.read_vec(DATA + 16, 16).unwrap();
                let numbers = [2, 3].map(|v| (expected.v[v] as u64).to_le_bytes());
                assert_eq!(both, numbers.concat(), "from {:x?}", &state.v[..4]);
            }
        }
        bench.jit.drop_blocks(&[PC]);
    }
}

#[test]
fn a_rounding_mode_that_is_none_traps() {
    let mut bench = Bench::new();
    bench.mode = FpMode::Reference;
    let code = bench.compile(&[Bench::block(PC, &[Uop::CheckRounding])]);
    let mut state = CpuState::default();
    state.x[slot::FP_CONTROL as usize] = control::NO_ROUNDING;
    let cpu = bench.enter(code, &state);
    assert_eq!((cpu.pc, cpu.resume), (PC, resume::BODY));
}

#[test]
fn boxed_numbers() {
    let mut bench = Bench::new();
    let mut states = bench.states(200, Lanes::S);
    for (index, state) in states.iter_mut().enumerate() {
        if index % 2 == 0 {
            state.v[0] |= 0xffff_ffff_0000_0000;
        }
    }
    let one = |op, d, a| Uop::V1 { op, t: Lanes::S, d, a, imm: 0 };
    let sum = Uop::V2 { op: V2Op::FAdd, t: Lanes::S, d: 2, a: 2, b: 2, imm: 0 };
    let wide = Uop::V1 { op: V1Op::FAbs, t: Lanes::D, d: 3, a: 3, imm: 0 };
    assert!(bench.agree(&[one(V1Op::FUnbox, 2, 0)], &states));
    assert!(bench.agree(&[one(V1Op::FBox, 2, 0), one(V1Op::FUnbox, 3, 2)], &states));
    assert!(bench.agree(&[one(V1Op::FUnbox, 2, 0), sum, one(V1Op::FBox, 3, 2), one(V1Op::FUnbox, 1, 3)], &states));
    assert!(bench.agree(&[one(V1Op::FBox, 3, 0), wide, one(V1Op::FBox, 2, 3), one(V1Op::FUnbox, 1, 3)], &states));
}

#[test]
fn tiny_results_that_round_to_the_smallest_normal_underflow() {
    let mut bench = Bench::new();
    let template = CpuState::default();
    let state = |a: u64, b: u64, c: u64| {
        let mut cpu = template.clone();
        (cpu.v[0], cpu.v[1], cpu.v[2]) = (u128::from(a), u128::from(b), u128::from(c));
        vec![cpu]
    };
    let double = state(0x3ff0_0000_0000_0001, 0x000f_ffff_ffff_ffff, 0);
    let single = state(0x3f80_0001, 0x007f_ffff, 0);
    for (t, states) in [(Lanes::D, &double), (Lanes::S, &single), (Lanes::D2, &double), (Lanes::S4, &single)] {
        for op in [V2Op::FMul, V2Op::FNMul] {
            assert!(bench.agree(&[Uop::V2 { op, t, d: 3, a: 0, b: 1, imm: 0 }], states));
        }
        for op in [V3Op::FMulAdd, V3Op::FMulSub, V3Op::FNMulAdd, V3Op::FNMulSub] {
            assert!(bench.agree(&[Uop::V3 { op, t, d: 3, a: 2, b: 0, c: 1, imm: 0 }], states));
        }
    }
    let narrowed = state(0x380f_ffff_ffff_ffff, 0, 0);
    assert!(bench.agree(&[Uop::V1 { op: V1Op::FConvert, t: Lanes::D, d: 3, a: 0, imm: 4 }], &narrowed));
    assert!(bench.agree(&[Uop::V1 { op: V1Op::FNarrow, t: Lanes::D2, d: 3, a: 0, imm: 0 }], &narrowed));
}

#[test]
fn cells_are_found_and_counted_in() {
    const ROW: u32 = 1000;
    let uops = [
        Uop::CellFind { d: 2, a: 0, index: 0 },
        Uop::CellAddAt { cell: 1, a: 2, n: 1 },
        Uop::CellIncAt { cell: 2, a: 2, len: Cells::COUNT as u32 - 2 },
        Uop::CellAt { d: 3, a: 2 },
        // As far as there are cells.
        Uop::CellAddAt { cell: 5, a: 1, n: 0 },
        Uop::CellAt { d: 1, a: 1 },
    ];
    for is_quick in [false, true] {
        let mut bench = Bench::with([Cells::new(), Cells::new()]);
        let states = bench.states(400, Lanes::D);
        for cells in &bench.cells {
            assert_eq!(cells.allocate_index(), Some(0));
            for (state, cell) in states.iter().zip((ROW..).step_by(3)).filter(|(_, cell)| cell % 2 == 0) {
                cells.keys(0).insert(state.x[0], cell, true);
                cells.set(cell, u64::from(cell) << 20);
            }
            // Some keys have gone.
            states.iter().step_by(8).for_each(|state| cells.keys(0).remove(state.x[0]));
        }
        let blocks = [Bench::block(PC, &uops)];
        let code = match is_quick {
            false => bench.compile(&blocks),
            true => bench.jit.put_quick(&blocks[0], bench.mode).expect("is quick").code,
        };
        let mut found = 0;
        for state in &states {
            let mut expected = state.clone();
            assert!(bench.reference(&uops, &mut expected));
            let cpu = bench.enter(code, state);
            assert_eq!(
                (cpu.pc, &cpu.x[..4]),
                (PC + 4, &expected.x[..4]),
                "quick {is_quick}, from {:x?}",
                &state.x[..4]
            );
            found += usize::from(cpu.x[2] != 0);
        }
        assert!((100..300).contains(&found), "{found} of {}", states.len());
        let last = Cells::COUNT as u32 - 1;
        for cell in (0..ROW + 3 * states.len() as u32).chain([last]) {
            assert_eq!(bench.cells[0].get(cell), bench.cells[1].get(cell), "quick {is_quick}, cell {cell}");
        }
        assert_ne!(bench.cells[0].get(last), 0);
    }
}

/// In both compilers as in the reference, until the ring is full and a reader makes room.
#[test]
fn records_are_left_while_there_is_room() {
    let uops = [
        Uop::Record { action: 7, d: 2, args: 0, n: 2 },
        Uop::Record { action: u32::MAX, d: 3, args: slot::ZERO, n: 0 },
        // The answer may take the place of an argument.
        Uop::Record { action: 9, d: 1, args: 0, n: 4 },
    ];
    for is_quick in [false, true] {
        let mut bench = Bench::with([Cells::new(), Cells::new()]);
        let states = bench.states(500, Lanes::D);
        let blocks = [Bench::block(PC, &uops)];
        let code = match is_quick {
            false => bench.compile(&blocks),
            true => bench.jit.put_quick(&blocks[0], bench.mode).expect("is quick").code,
        };
        let (mut full, mut read) = (0, 0);
        for (round, state) in states.iter().cycle().take(4000).enumerate() {
            let mut expected = state.clone();
            assert!(bench.reference(&uops, &mut expected));
            let cpu = bench.enter(code, state);
            assert_eq!((cpu.pc, &cpu.x[..4]), (PC + 4, &expected.x[..4]), "quick {is_quick}, round {round}");
            full += usize::from(cpu.x[1] == 0);
            if round % 1500 == 1499 {
                let all = [0, 1].map(|which| {
                    let mut all = Vec::new();
                    let read =
                        bench.cells[which].records().read(u64::MAX, |action, args| all.push((action, args.to_vec())));
                    assert_eq!(read, all.len() as u64);
                    all
                });
                assert_eq!(all[0], all[1], "quick {is_quick}");
                read += all[0].len();
            }
        }
        assert!(full > 100 && read > 4000, "{full} times full, {read} read");
    }
}
