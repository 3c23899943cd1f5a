//! Stuck bits of registers, on all instructions of `tests/isa/aarch64` in both tiers: behind each one, every register
//! holds what the instruction has written with the stuck bits forced, and what was written comes back when the bits are
//! free again.

mod random;

use random::Random;
use spile_runtime::block::Block;
use spile_runtime::cache::Entry;
use spile_runtime::cells::Cells;
use spile_runtime::cpu::{CpuState, StuckBits, StuckRegisters, resume};
use spile_runtime::interp::{self, ActionCall, Context, Host, Leave};
use spile_runtime::isa::aarch64::AARCH64;
use spile_runtime::jit::{Compiler, FpMode, Jit, JumpCache, Seen};
use spile_runtime::mem::{GuestMemory, PAGE, perm};
use spile_runtime::translate::{Site, Splice, Stickable, translate};
use spile_runtime::uop::{Operand, Uop};
use spile_runtime::vm::Counting;
use std::path::Path;
use std::sync::Arc;

const CODE: u64 = 0x2000_0000;
const DATA: u64 = 0x1000_0000;
const DATA_SIZE: u64 = 0x1_0000;

struct NoHost;

impl Host for NoHost {
    fn action(&mut self, _: ActionCall, _: &mut CpuState, _: &GuestMemory) -> u64 {
        unreachable!("there are no probes")
    }
    fn ticks(&self, _: u64) -> u64 {
        12_345
    }
}

/// Bits of any register may be stuck.
struct All;

const ALL: Stickable = Stickable { x: u32::MAX, v: u32::MAX, flags: true };

impl Splice for All {
    fn touches(&mut self, _: &Block) -> bool {
        true
    }
    fn before(&mut self, _: &Site<'_>, _: &mut Vec<Uop>) {}
    fn stick(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        ALL.written(site.body).stick(uops);
    }
    fn has_after(&mut self, _: &Site<'_>) -> bool {
        false
    }
    fn after(&mut self, _: &Site<'_>, _: &mut Vec<Uop>) {}
}

impl Random {
    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// The words of all instructions in the rows and cases.
fn words() -> Vec<u32> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/isa/aarch64");
    let mut words = Vec::new();
    for name in ["atomic.ins", "branch.ins", "integer.ins", "memory.ins", "system.ins"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        for bytes in text.lines().filter_map(|line| Some(line.split_once(" [")?.1.split_once(']')?.0)) {
            let bytes: Vec<u8> = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            words.extend(bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())));
        }
    }
    let cases = std::fs::read_to_string(folder.join("simd.cases")).unwrap();
    let case = |line: &str| line.split_once(' ').filter(|(word, _)| word.len() == 8).map(|(word, _)| word.to_owned());
    words.extend(cases.lines().filter_map(case).filter_map(|word| u32::from_str_radix(&word, 16).ok()));
    words.sort_unstable();
    words.dedup();
    words
}

/// Registers that point into the data or hold anything, with stuck bits: of pointers those that accesses ignore.
fn state(random: &mut Random, pointers: bool) -> CpuState {
    let mut cpu = CpuState { pc: CODE, ..CpuState::default() };
    for (n, bits) in (0u64..).zip(&mut cpu.stuck.x) {
        let now = if pointers { DATA + DATA_SIZE / 2 + 256 * n } else { random.next() };
        let mask = if pointers { 0xff << 56 } else { random.next() & random.next() };
        cpu.x[n as usize] = bits.stick(mask.into(), random.next().into(), now.into()) as u64;
    }
    for (register, bits) in cpu.v.iter_mut().zip(&mut cpu.stuck.v) {
        *register = bits.stick(random.wide() & random.wide(), random.wide(), random.wide());
    }
    let flags = cpu.stuck.flags.stick(u128::from(random.next() & 15), random.wide(), random.wide() & 15);
    cpu.set_nzcv(flags as u64);
    cpu
}

struct Bench {
    memory: Arc<GuestMemory>,
    jit: Jit,
    compiler: Compiler,
    data: Vec<u8>,
}

impl Bench {
    fn new(random: &mut Random) -> Bench {
        let memory = Arc::new(GuestMemory::new(u64::MAX >> 8).unwrap());
        memory.map_anonymous(CODE, PAGE, perm::READ | perm::EXEC, false).unwrap();
        memory.map_anonymous(DATA, DATA_SIZE, perm::READ | perm::WRITE, false).unwrap();
        let (jit, compiler) = Jit::new(&memory, &Cells::none(), Counting::Off).unwrap();
        let data = (0..DATA_SIZE).map(|_| random.next() as u8).collect();
        Bench { memory, jit, compiler, data }
    }

    fn reset(&self) {
        self.memory.write(DATA, &self.data).unwrap();
    }

    fn stored(&self) -> Vec<u8> {
        self.memory.read_vec(DATA, DATA_SIZE).unwrap()
    }

    /// Interprets one instruction. False if it traps or calls the system.
    fn interpret(&self, block: &Block, cpu: &mut CpuState) -> bool {
        self.reset();
        let cells = Cells::none();
        let counters = cells.common();
        let mut ctx =
            Context { memory: &self.memory, isa: &AARCH64, cells: &cells, counters: &counters, host: &mut NoHost };
        interp::run(block, 0, 1, cpu, &mut ctx) == Leave::Next
    }

    /// Runs generated code. False if it leaves the instruction to the interpreter.
    fn generate(&mut self, block: &Block, cpu: &mut CpuState) -> bool {
        self.reset();
        let draft = self.jit.draft(vec![Arc::new(Entry::new(block.clone()))], Seen::default(), FpMode::Native);
        let code = self.compiler.compile(&draft).expect("compiles");
        let code = self.jit.install(draft, &code).expect("has room").code;
        let cells = Cells::none();
        let counters = cells.common();
        let mut ctx =
            Context { memory: &self.memory, isa: &AARCH64, cells: &cells, counters: &counters, host: &mut NoHost };
        self.jit.gateway().enter(code, cpu, &counters, &mut JumpCache::default(), &mut ctx);
        self.jit.drop_blocks(&[block.pc]);
        cpu.pc != block.pc || cpu.resume != resume::BODY
    }
}

/// What a register holds if this is written.
fn held(bits: &StuckBits, written: u128) -> u128 {
    bits.clone().hold(written)
}

#[test]
fn every_instruction_leaves_stuck_bits_as_they_are_stuck() {
    let mut random = Random(0x5eed);
    let mut bench = Bench::new(&mut random);
    let (mut executed, mut compiled, mut written_back) = (0, 0, 0);
    let words = words();
    for &word in &words {
        bench.memory.write_forced(CODE, &word.to_le_bytes()).unwrap();
        let plain = translate(&AARCH64, &bench.memory, CODE, true, None);
        let spliced = translate(&AARCH64, &bench.memory, CODE, true, Some(&mut All));
        let mut once = false;
        for pointers in [true, false] {
            let start = state(&mut random, pointers);
            let what = format!("{} ({word:08x})", spile_runtime::isa::Isa::disassemble(&AARCH64, word, CODE));
            let mut reference = CpuState { stuck: StuckRegisters::default(), ..start.clone() };
            if !bench.interpret(&plain, &mut reference) {
                continue;
            }
            let stored = bench.stored();
            once = true;
            let check = |cpu: &CpuState, tier: &str| {
                assert_eq!(cpu.pc, reference.pc, "{what}, {tier}");
                for n in 0..32 {
                    let want = held(&start.stuck.x[n], reference.x[n].into());
                    assert_eq!(u128::from(cpu.x[n]), want, "x{n} behind {what}, {tier}");
                    assert_eq!(cpu.v[n], held(&start.stuck.v[n], reference.v[n]), "v{n} behind {what}, {tier}");
                }
                let want = held(&start.stuck.flags, reference.nzcv().into());
                assert_eq!(u128::from(cpu.nzcv()), want, "flags behind {what}, {tier}");
            };
            let mut cpu = start.clone();
            assert!(bench.interpret(&spliced, &mut cpu), "{what}");
            check(&cpu, "interpreted");
            assert!(bench.stored() == stored, "{what}, interpreted");
            // The free bits are those that were written, and in other registers those from before.
            let insn = plain.insn(0);
            let end = plain.get_insn(1).map_or(plain.uops.len(), |next| next.start as usize);
            for uop in &plain.uops[insn.start as usize..end] {
                uop.operands(|operand| {
                    if let Operand::DefX(n @ 0..32) = operand {
                        let n = usize::from(n);
                        let back = cpu.stuck.x[n].clone().release(u128::MAX, cpu.x[n].into());
                        assert_eq!(back, reference.x[n].into(), "x{n} free behind {what}");
                        written_back += 1;
                    }
                });
            }
            let mut cpu = start.clone();
            if bench.generate(&spliced, &mut cpu) {
                check(&cpu, "compiled");
                assert!(bench.stored() == stored, "{what}, compiled");
                compiled += 1;
            }
        }
        executed += usize::from(once);
    }
    // What does not run here: traps, system calls, and what is not allocated.
    assert!(executed * 10 > words.len() * 9, "{executed} of {}", words.len());
    assert!(compiled > executed && written_back > 1000, "{compiled} compiled, {written_back} written");
}

#[test]
fn bits_that_are_stuck_anew_keep_what_was_written_before() {
    let mut bits = StuckBits::default();
    assert_eq!(bits.stick(0xf0, 0x50, 0xabc), 0xa5c);
    assert_eq!(bits.hold(0x123), 0x153);
    assert_eq!(bits.stick(0x30, 0x20, 0x153), 0x163);
    assert_eq!(bits.release(0x30, 0x163), 0x163);
    assert_eq!(bits.release(u128::MAX, 0x163), 0x123);
    assert_eq!(bits.hold(0x456), 0x456);
}
