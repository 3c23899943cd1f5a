//! Code of probes behind conditions, which generated code leaves out as long as they seldom hold, and counters, which it
//! keeps in registers: what bodies see and do is the same in every tier.

use crate::generate::{self, Shape};
use crate::machine::{Program, Rng, Spy, TIERS, run};
use crate::record::LIMIT;
use crate::seeds;
use spile_runtime::cells::Cells;
use spile_runtime::cpu::CpuState;
use spile_runtime::interp::ActionCall;
use spile_runtime::mem::GuestMemory;
use spile_runtime::translate::Site;
use spile_runtime::uop::{BinOp, UnOp, Uop, X, slot};
use std::sync::{Arc, Mutex};

/// Counts all instructions, and by some property of each.
const ALL: u32 = 0;
/// Counts bodies.
const BODIES: u32 = 1;
/// Is set, read and added to by bodies.
const CHANGED: u32 = 2;
/// First of the cells for properties.
const KINDS: u32 = 3;

/// First of the cells that are counted in by a register's value; the last takes what is larger.
const ROW: u32 = KINDS + 5;
const ROW_LEN: u32 = 9;

/// In front of the cells that are found by a register's value; that itself where it is not found.
const FOUND: u32 = ROW + ROW_LEN;
const FOUND_LEN: u32 = 17;

/// A temporary of the bodies that their conditions have computed.
const KEPT: X = slot::PROBE + 8;

/// Probes that depend on the seed and the place alone: an instruction that is translated anew gets the same.
struct Rare {
    seed: u64,
    cells: Arc<Cells>,
    /// What each action has seen: address, instruction count, a digest of the state, what cells hold.
    seen: Vec<[u64; 5]>,
}

impl Rare {
    fn new(seed: u64) -> Arc<Mutex<Rare>> {
        let cells = Cells::new();
        assert_eq!(cells.allocate_index(), Some(0));
        // Small numbers come often, and some large ones.
        for cell in 1..FOUND_LEN {
            let key = u64::from(cell - 1).wrapping_sub(if cell % 4 == 0 { 5 } else { 0 });
            assert!(cells.keys(0).insert(key, cell, true));
        }
        Arc::new(Mutex::new(Rare { seed, cells, seen: Vec::new() }))
    }

    fn splice(&mut self, site: &Site<'_>, after: bool, uops: &mut Vec<Uop>) {
        let mut rng = Rng(self.seed ^ (site.insn.pc << 1 | u64::from(after)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if !after {
            uops.push(Uop::CellInc { cell: ALL, n: 1 });
            uops.push(Uop::CellInc { cell: KINDS + site.insn.bits % 5, n: 1 });
            if rng.chance(10) {
                uops.push(Uop::CellIncAt { cell: ROW, a: rng.below(21) as X, len: ROW_LEN });
            }
            if rng.chance(10) {
                let (d, a, n) = (slot::PROBE + 9, rng.below(21) as X, rng.below(21) as X);
                uops.push(Uop::CellFind { d, a, index: 0 });
                uops.push(Uop::CellAddAt { cell: FOUND, a: d, n });
            }
        }
        if !rng.chance(60) {
            return;
        }
        let mut over = condition(&mut rng, uops);
        if rng.chance(25) {
            // One of two conditions is enough: the first leads to the middle of what stands behind the second.
            let first = over;
            over = condition(&mut rng, uops);
            let body = uops.len() as u32;
            let Uop::LocalIf { nz, to, .. } = &mut uops[first] else { unreachable!() };
            (*nz, *to) = (!*nz, body);
        }
        self.body(&mut rng, uops);
        let end = uops.len() as u32;
        let Uop::LocalIf { to, .. } = &mut uops[over] else { unreachable!() };
        *to = end;
        if rng.chance(30) && (!after || !site.jumps) {
            uops.push(Uop::Poll { body: !after });
        }
    }

    fn body(&mut self, rng: &mut Rng, uops: &mut Vec<Uop>) {
        let acts = Uop::Action { action: 0, d: slot::PROBE + 20, args: KEPT, n: 1, state: true };
        uops.push(Uop::CellInc { cell: BODIES, n: 1 });
        match rng.below(6) {
            0 => {}
            1 => uops.push(acts),
            2 => {
                uops.push(Uop::CellGet { d: slot::PROBE + 21, cell: ALL });
                uops.push(Uop::CellAdd { d: slot::PROBE + 21, a: slot::PROBE + 21, cell: CHANGED });
            }
            3 => {
                // A loop: three times.
                uops.push(Uop::MovI { d: slot::PROBE + 22, imm: 3 });
                let head = uops.len() as u32;
                uops.push(Uop::CellInc { cell: CHANGED, n: 2 });
                uops.push(Uop::BinI { op: BinOp::Sub64, d: slot::PROBE + 22, a: slot::PROBE + 22, imm: 1 });
                uops.push(Uop::LocalIf { nz: true, a: slot::PROBE + 22, to: head });
            }
            4 => {
                // Another condition inside.
                let inner = condition(rng, uops);
                uops.push(acts);
                let end = uops.len() as u32;
                let Uop::LocalIf { to, .. } = &mut uops[inner] else { unreachable!() };
                *to = end;
                uops.push(Uop::CellInc { cell: CHANGED, n: 1 });
            }
            _ => {
                // What the condition has computed goes into a register.
                let d = rng.below(20) as X;
                uops.push(Uop::Bin { op: BinOp::Xor64, d, a: d, b: KEPT });
                if rng.chance(50) {
                    uops.push(acts);
                }
            }
        }
    }
}

/// Appends a condition on registers and the jump to its end; returns where that is.
fn condition(rng: &mut Rng, uops: &mut Vec<Uop>) -> usize {
    let (a, b, d) = (rng.below(21) as X, rng.below(21) as X, slot::PROBE);
    uops.push(Uop::Un { op: UnOp::Mov, d: KEPT, a: b });
    match rng.below(4) {
        0 => uops.push(Uop::BinI { op: BinOp::Eq, d, a, imm: rng.value() }),
        1 => {
            uops.push(Uop::BinI { op: BinOp::And64, d: KEPT, a, imm: 0xf });
            uops.push(Uop::BinI { op: BinOp::Eq, d, a: KEPT, imm: rng.below(16) });
        }
        2 => uops.push(Uop::Bin { op: BinOp::LtU, d, a, b }),
        _ => {
            uops.push(Uop::Un { op: UnOp::Zext8, d: KEPT, a });
            uops.push(Uop::Bin { op: BinOp::Sub64, d, a: KEPT, b });
            uops.push(Uop::BinI { op: BinOp::LeS, d, a: d, imm: rng.below(64) });
        }
    }
    uops.push(Uop::LocalIf { nz: rng.chance(30), a: d, to: 0 });
    uops.len() - 1
}

impl Spy for Rare {
    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.splice(site, false, uops);
    }
    fn has_after(&mut self, site: &Site<'_>) -> bool {
        Rng(self.seed ^ site.insn.pc).chance(30)
    }
    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.splice(site, true, uops);
    }
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, _: &GuestMemory) -> u64 {
        let registers = cpu.x[..32].iter().chain([&cpu.x[call.args as usize]]);
        let vectors = cpu.v[..32].iter().map(|v| *v as u64 ^ (v >> 64) as u64);
        let state = registers.copied().chain(vectors).chain([cpu.nzcv()]);
        let digest =
            state.fold(0, |hash: u64, value| (hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95));
        let bodies = self.cells.get(BODIES) << 32 | self.cells.get(CHANGED) & 0xffff_ffff;
        self.seen.push([call.pc, call.icount, digest, self.cells.get(ALL), bodies]);
        0
    }
    fn cells(&self) -> Arc<Cells> {
        self.cells.clone()
    }
}

/// Runs a program in every tier; what bodies have seen, the cells and the end must be as in the interpreter. Returns
/// the number of actions.
fn same_in_all_tiers(program: &Program, seed: u64) -> usize {
    let mut reference = None;
    for tier in TIERS {
        let spy = Rare::new(seed);
        let end = run(program, tier, LIMIT, &spy);
        let spy = spy.lock().unwrap();
        let cells: Vec<u64> = (ALL..FOUND + FOUND_LEN).map(|cell| spy.cells.get(cell)).collect();
        let (expected, seen, counts) = reference.get_or_insert_with(|| (end.clone(), spy.seen.clone(), cells.clone()));
        end.must_be(expected, &format!("seed {seed}, {}, {tier:?}", program.isa.arch()));
        let differs = seen.iter().zip(&spy.seen).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed}, {tier:?}: action {at} sees {:x?}, not {:x?}", spy.seen[at], seen[at]);
        }
        assert_eq!(seen.len(), spy.seen.len(), "seed {seed}, {tier:?}: actions");
        assert_eq!(*counts, cells, "seed {seed}, {tier:?}: cells");
    }
    reference.map_or(0, |(_, seen, _)| seen.len())
}

#[test]
fn bodies_that_are_left_out_see_and_do_the_same() {
    let (mut acted, mut programs) = (0, 0);
    for (seed, generate) in generate::each(seeds(60)) {
        let mut rng = Rng(seed ^ 0xc01d);
        let shape = Shape { hot: rng.chance(50), ..Shape::random(&mut rng) };
        acted += same_in_all_tiers(&generate(seed ^ 0xc01d_0000, shape), seed);
        programs += 1;
    }
    assert!(acted > 20 * programs, "{acted} actions in {programs} programs show little");
}
