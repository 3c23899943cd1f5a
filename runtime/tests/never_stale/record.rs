//! Probes at every instruction that record every register, and probes that change nothing.

use crate::generate::{self, Shape, VECTORS};
use crate::machine::{Program, Rng, Spy, State, Stepper, TIERS, run, run_plain};
use crate::seeds;
use spile_runtime::cells::Cells;
use spile_runtime::cpu::CpuState;
use spile_runtime::env::TrapEvent;
use spile_runtime::interp::ActionCall;
use spile_runtime::mem::GuestMemory;
use spile_runtime::translate::{NEXT_PC, Site};
use spile_runtime::uop::{BinOp, Lanes, MemTy, UnOp, Uop, X, slot};
use spile_runtime::vector::VxOp;
use spile_runtime::vm::Tier;
use std::sync::{Arc, Mutex};

/// Programs that are still running after so many instructions are cut off.
pub(crate) const LIMIT: u64 = 40_000;

/// The fields of a record: `x0`–`x30`, `sp`, flags, floating-point control and status, instruction count, vectors,
/// and where control goes behind an after-probe.
const NZCV: usize = 32;
const FPCR: usize = 33;
const FPSR: usize = 34;
const ICOUNT: usize = 35;
const PC: usize = 36;
const NEXT: usize = 37;
const V: usize = 38;
const FIELDS: usize = V + 64;

type Record = [u64; FIELDS];

/// A digest that tells records apart.
fn digest(record: &Record) -> u64 {
    record.iter().fold(0, |hash: u64, &value| (hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95))
}

/// How registers come to the recorder.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Means {
    /// Read by micro-ops and handed over in slots, as the bodies of probes do.
    Slots,
    /// An action that may look at the whole state.
    State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Before,
    After,
}

struct Recorder {
    means: Means,
    moment: Moment,
    vectors: usize,
    rng: Rng,
    /// What the argument slots of an action are, and whether it completes the record. Action 0 looks at the state.
    actions: Vec<(Vec<usize>, bool)>,
    record: Record,
    digests: Vec<u64>,
    /// The number of a record to keep.
    keep: usize,
    kept: Option<Record>,
    /// An action was called with a wrong instruction count or address.
    wrong_call: Option<String>,
}

impl Recorder {
    fn new(means: Means, moment: Moment, vectors: usize, keep: usize) -> Self {
        Recorder {
            means,
            moment,
            vectors,
            rng: Rng(vectors as u64),
            actions: vec![(Vec::new(), true)],
            record: [0; FIELDS],
            digests: Vec::new(),
            keep,
            kept: None,
            wrong_call: None,
        }
    }

    fn fields(&self) -> Vec<usize> {
        (0..=PC).chain([NEXT]).chain(V..V + 2 * self.vectors).collect()
    }

    fn complete(&mut self) {
        if self.digests.len() == self.keep {
            self.kept = Some(self.record);
        }
        self.digests.push(digest(&self.record));
        self.record = [0; FIELDS];
    }

    /// Takes what a record holds from a state; `next` is where control goes.
    fn fill(record: &mut Record, state: &State, pc: u64, next: u64, vectors: usize) {
        record[..32].copy_from_slice(&state.x);
        (record[NZCV], record[FPCR], record[FPSR]) = (state.nzcv, state.fpcr, state.fpsr);
        (record[ICOUNT], record[PC], record[NEXT]) = (state.icount, pc, next);
        for v in 0..vectors {
            (record[V + 2 * v], record[V + 2 * v + 1]) = (state.v[v] as u64, (state.v[v] >> 64) as u64);
        }
    }

    fn splice(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        if self.means == Means::State {
            if self.moment == Moment::After {
                self.send(&[NEXT], site, uops, false);
            }
            uops.push(Uop::Action { action: 0, d: slot::ZERO, args: slot::ZERO, n: 0, state: true });
            return;
        }
        let mut fields = self.fields();
        if self.rng.chance(50) {
            // Guest slots are handed over where they are.
            fields.retain(|&field| field >= 32);
            self.actions.push(((0..32).collect(), false));
            let action = self.actions.len() as u32 - 1;
            uops.push(Uop::Action { action, d: slot::PROBE, args: 0, n: 32, state: false });
        }
        while !fields.is_empty() {
            let n = (1 + self.rng.below(120) as usize).min(fields.len());
            let rest = fields.split_off(n);
            self.send(&fields, site, uops, rest.is_empty());
            fields = rest;
        }
    }

    /// Emits an action that gets these fields in slots.
    fn send(&mut self, fields: &[usize], site: &Site<'_>, uops: &mut Vec<Uop>, last: bool) {
        for (i, &field) in fields.iter().enumerate() {
            let d = slot::PROBE + i as X;
            uops.push(match field {
                0..32 => Uop::Un { op: UnOp::Mov, d, a: field as X },
                NZCV => Uop::GetNzcv { d },
                FPCR => Uop::Un { op: UnOp::Mov, d, a: slot::FP_CONTROL },
                FPSR => Uop::Un { op: UnOp::Mov, d, a: slot::FP_STATUS },
                ICOUNT => Uop::Icount { d },
                PC => Uop::MovI { d, imm: site.insn.pc },
                NEXT if self.moment == Moment::Before => Uop::MovI { d, imm: 0 },
                NEXT if site.jumps => Uop::Un { op: UnOp::Mov, d, a: NEXT_PC },
                NEXT => Uop::MovI { d, imm: site.insn.pc + u64::from(site.insn.len) },
                v => {
                    let (a, imm) = (((v - V) / 2) as u8, ((v - V) % 2) as u32);
                    Uop::Vx { op: VxOp::Get, t: Lanes::D2, d, a, imm }
                }
            });
        }
        self.actions.push((fields.to_vec(), last));
        let action = self.actions.len() as u32 - 1;
        uops.push(Uop::Action { action, d: slot::ZERO, args: slot::PROBE, n: fields.len() as u8, state: false });
    }
}

impl Spy for Recorder {
    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        if self.moment == Moment::Before {
            self.splice(site, uops);
        }
    }

    fn has_after(&mut self, _: &Site<'_>) -> bool {
        self.moment == Moment::After
    }

    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.splice(site, uops);
    }

    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, _: &GuestMemory) -> u64 {
        let (fields, last) = self.actions[call.action as usize].clone();
        for (i, field) in fields.into_iter().enumerate() {
            self.record[field] = cpu.x[call.args as usize + i];
        }
        if call.action == 0 {
            let mut state = State::of(cpu);
            state.icount = call.icount;
            let next = self.record[NEXT];
            Recorder::fill(&mut self.record, &state, call.pc, next, self.vectors);
        }
        if last {
            if (call.pc, call.icount) != (self.record[PC], self.record[ICOUNT]) {
                let (pc, icount) = (self.record[PC], self.record[ICOUNT]);
                let text = format!("call at {:#x} {}, slots say {pc:#x} {icount}", call.pc, call.icount);
                self.wrong_call.get_or_insert(text);
            }
            self.complete();
        }
        0x5a5a
    }
}

/// What a recorder should see.
fn reference(program: &Program, moment: Moment, vectors: usize, keep: usize) -> (Recorder, crate::machine::Final) {
    let mut recorder = Recorder::new(Means::State, moment, vectors, keep);
    let result = Stepper::new(program).run(LIMIT, |stepper, stepped| {
        let state = State::of(&stepper.cpu);
        match (moment, stepped) {
            // An instruction that cannot be fetched is none.
            (Moment::Before, None) if stepper.fetch(state.pc).is_err() => return,
            (Moment::Before, None) => Recorder::fill(&mut recorder.record, &state, state.pc, 0, vectors),
            (Moment::After, Some(pc)) => Recorder::fill(&mut recorder.record, &state, pc, state.pc, vectors),
            _ => return,
        }
        recorder.complete();
    });
    (recorder, result)
}

fn compare(program: &Program, tier: Tier, means: Means, moment: Moment, vectors: usize, what: &str) {
    let (expected, end) = reference(program, moment, vectors, usize::MAX);
    let recorder = Arc::new(Mutex::new(Recorder::new(means, moment, vectors, usize::MAX)));
    let result = run(program, tier, LIMIT, &recorder);
    let what = format!("{what}, {tier:?}, {means:?}, {moment:?}");
    let seen = recorder.lock().unwrap();
    let differs = seen.digests.iter().zip(&expected.digests).position(|(a, b)| a != b);
    if let Some(at) = differs {
        let expected_len = expected.digests.len();
        let expected = reference(program, moment, vectors, at).0.kept.unwrap();
        let again = Arc::new(Mutex::new(Recorder::new(means, moment, vectors, at)));
        run(program, tier, LIMIT, &again);
        let kept = again.lock().unwrap().kept.unwrap();
        let fields: Vec<_> = (0..FIELDS).filter(|&field| kept[field] != expected[field]).collect();
        let show: Vec<_> = fields.iter().map(|&f| format!("{f}: {:#x} is not {:#x}", kept[f], expected[f])).collect();
        panic!("{what}: record {at} of {} at {:#x}: fields {}", expected_len, expected[PC], show.join(", "));
    }
    result.must_be(&end, &what);
    assert_eq!(seen.digests.len(), expected.digests.len(), "{what}: number of records");
    assert_eq!(seen.wrong_call, None, "{what}");
}

#[test]
fn no_probe_sees_a_stale_value() {
    for (seed, generate) in generate::each(seeds(40)) {
        let mut rng = Rng(seed ^ 0x5eed);
        let program = generate(seed, Shape::random(&mut rng));
        let what = format!("seed {seed}, {}", program.isa.arch());
        for tier in TIERS {
            let moment = rng.pick(&[Moment::Before, Moment::After]);
            compare(&program, tier, Means::Slots, moment, VECTORS, &what);
            let moment = rng.pick(&[Moment::Before, Moment::After]);
            compare(&program, tier, Means::State, moment, 32, &what);
        }
    }
}

/// Probes that look and count, and change nothing.
struct Watcher {
    cells: Arc<Cells>,
    rng: Rng,
}

/// Counts instructions one way and the other, and executions of what must not happen.
const COUNT: u32 = 0;
const ADDED: u32 = 1;
const NEVER: u32 = 2;

impl Watcher {
    fn new(seed: u64) -> Self {
        Watcher { cells: Cells::new(), rng: Rng(seed) }
    }

    fn watch(&mut self, uops: &mut Vec<Uop>) {
        let p = slot::PROBE;
        match self.rng.below(6) {
            0 => {}
            1 => {
                // A condition that never holds.
                let a = self.rng.below(32) as X;
                uops.push(Uop::BinI { op: BinOp::Eq, d: p, a, imm: 0x0123_4567_89ab_cdef });
                let to = uops.len() as u32 + 3;
                uops.push(Uop::LocalIf { nz: false, a: p, to });
                uops.push(Uop::CellInc { cell: NEVER, n: 1 });
                uops.push(Uop::Action { action: 7, d: p, args: p, n: 1, state: true });
            }
            2 => {
                uops.push(Uop::GetNzcv { d: p });
                uops.push(Uop::Vx { op: VxOp::Get, t: Lanes::S4, d: p + 1, a: self.rng.below(32) as u8, imm: 3 });
                uops.push(Uop::Bin { op: BinOp::Add64, d: p + 2, a: p, b: self.rng.below(32) as X });
                uops.push(Uop::Action { action: 0, d: p + 3, args: p, n: 3, state: false });
            }
            3 => {
                // Memory at some register, mapped or not.
                let a = self.rng.below(32) as X;
                let ty = self.rng.pick(&[MemTy::U8, MemTy::U32, MemTy::U64, MemTy::S16]);
                uops.push(Uop::ProbeLoad { ty, d: p, e: p + 1, a });
            }
            4 => uops.push(Uop::Action { action: 0, d: slot::ZERO, args: slot::ZERO, n: 0, state: true }),
            _ => uops.push(Uop::Poll { body: true }),
        }
    }
}

impl Spy for Watcher {
    fn before(&mut self, _: &Site<'_>, uops: &mut Vec<Uop>) {
        uops.push(Uop::CellInc { cell: COUNT, n: 1 });
        uops.push(Uop::MovI { d: slot::PROBE, imm: 1 });
        if self.rng.chance(30) {
            uops.push(Uop::CellAdd { d: slot::PROBE, a: slot::PROBE, cell: ADDED });
        } else {
            uops.push(Uop::CellInc { cell: ADDED, n: 1 });
        }
        if self.rng.chance(60) {
            self.watch(uops);
        }
    }
    fn has_after(&mut self, _: &Site<'_>) -> bool {
        self.rng.chance(30)
    }
    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        let start = uops.len();
        self.watch(uops);
        if let Some(Uop::Poll { .. }) = uops.last()
            && uops.len() == start + 1
        {
            uops.pop();
            if !site.jumps {
                uops.push(Uop::Poll { body: false });
            }
        }
    }
    fn cells(&self) -> Arc<Cells> {
        self.cells.clone()
    }
}

#[test]
fn probes_that_change_nothing_disturb_nothing() {
    for (seed, generate) in generate::each(seeds(80)) {
        let seed = seed ^ 0x0d15_7000;
        let mut rng = Rng(seed);
        let program = generate(seed, Shape::random(&mut rng));
        let (mut fetched, mut stepper) = (0, Stepper::new(&program));
        let expected = stepper.run(LIMIT, |stepper, stepped| {
            fetched += u64::from(stepped.is_none() && stepper.fetch(stepper.cpu.pc).is_ok());
        });
        for tier in TIERS {
            run_plain(&program, tier, LIMIT).must_be(&expected, &format!("seed {seed}, {tier:?}, no probes"));
            let watcher = Arc::new(Mutex::new(Watcher::new(seed)));
            let what = format!("seed {seed}, {tier:?}, watched");
            run(&program, tier, LIMIT, &watcher).must_be(&expected, &what);
            let watcher = watcher.lock().unwrap();
            let cells = [0, 1, 2].map(|cell| watcher.cells.get(cell));
            assert_eq!(cells, [fetched, fetched, 0], "{what}: instructions counted");
        }
    }
}

#[test]
fn random_programs_do_something() {
    for generate in generate::GENERATORS {
        let (mut ended, mut executed, mut hot) = (0, 0, 0);
        for seed in 0..200 {
            let program = generate(seed, Shape::random(&mut Rng(seed ^ 0x5eed)));
            let result = Stepper::new(&program).run(LIMIT, |_, _| {});
            ended += u64::from(matches!(result.traps[..], [TrapEvent::Halt(_) | TrapEvent::Breakpoint(_)]));
            executed += result.state.icount;
            hot += u64::from(result.state.icount > 5000);
            if std::env::var("SPILE_SHOW").is_ok() {
                let (arch, n, traps) = (program.isa.arch(), program.starts.len(), &result.traps);
                eprintln!(
                    "{seed}: {arch}, {n} instructions, {} executed, {:?} {traps:x?}",
                    result.state.icount, result.end
                );
                if let [TrapEvent::Illegal(bits)] = result.traps[..] {
                    eprintln!("   {bits:#010x} {}", program.isa.disassemble(bits, 0));
                }
            }
        }
        assert!(ended > 170, "{ended} of 200 programs came to their end");
        assert!(executed > 200 * 500 && hot > 20, "{executed} instructions, {hot} hot programs");
    }
}
