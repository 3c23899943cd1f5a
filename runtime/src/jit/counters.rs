//! How a region counts: which increments of cells it keeps in registers until it is left.
//!
//! The cells that a run of micro-ops adds to, with the numbers in a fixed proportion, are one [`Tally`]: a loop that
//! counts instructions of ten kinds steps one register for each of its blocks. Cells are in memory what they should be
//! wherever something may look at them: where the region is left, and in front of actions and micro-ops that read cells.
//!
//! This decides only; the code is [`super::lower`]'s.

use super::cold::Cold;
use crate::block::Block;
use crate::uop::{JumpHint, Uop};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// Most tallies of a region.
const MAX_TALLIES: usize = 32;
/// Most cells that are added to where a region is left.
const MAX_CELLS: usize = 400;

/// Cells with what is added to each of them.
pub(super) type Increments = Vec<(u32, u64)>;

/// Increments for each step, ordered. The numbers have no common divisor.
pub(super) type Tally = Increments;

/// The tallies of a region.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    pub(super) all: Vec<Tally>,
    index: HashMap<Tally, usize>,
    /// For each block, a bit for each tally that may not be 0 where it begins.
    running: Vec<u32>,
    /// For each block the one that leads to it, if there is only one way to it.
    parents: Vec<Option<usize>>,
}

impl Tallies {
    /// Chooses the tallies of `blocks`, of which `entries` are entered from outside; `edges` says where each goes on
    /// inside the region.
    pub(super) fn new(blocks: &[Arc<Block>], entries: &[u64], cold: &Cold, edges: &[Vec<usize>]) -> Tallies {
        let parents = parents(blocks, entries, edges);
        let mut runs: Vec<Vec<Tally>> = Vec::new();
        let mut last: Vec<Increments> = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let carried = parents[index].map(|parent| last[parent].clone()).unwrap_or_default();
            let (mut closed, open) = runs_of(block, index, cold, carried);
            if edges[index].iter().any(|&next| parents[next] != Some(index)) {
                closed.extend(reduce(&open).map(|(tally, _)| tally));
            }
            runs.push(closed);
            last.push(open);
        }
        let distinct: HashSet<&Tally> = runs.iter().flatten().collect();
        // Where a single cell is counted in, leaving costs no more than one block.
        let is_cheap = distinct.iter().map(|tally| tally.len()).sum::<usize>() <= 1;
        let loops = in_loops(blocks, edges);
        let mut tallies = Tallies { running: vec![0; blocks.len()], parents, ..Tallies::default() };
        let mut cells = 0;
        for tally in (0..blocks.len()).filter(|&index| is_cheap || loops[index]).flat_map(|index| &runs[index]) {
            if tallies.index.contains_key(tally) || tallies.all.len() == MAX_TALLIES || cells + tally.len() > MAX_CELLS
            {
                continue;
            }
            cells += tally.len();
            tallies.index.insert(tally.clone(), tallies.all.len());
            tallies.all.push(tally.clone());
        }
        let own =
            |runs: &Vec<Tally>| runs.iter().filter_map(|tally| tallies.index.get(tally)).fold(0, |b, i| b | 1 << i);
        let own: Vec<u32> = runs.iter().map(own).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for index in 0..blocks.len() {
                let out = tallies.running[index] | own[index];
                for &next in &edges[index] {
                    changed |= tallies.running[next] | out != tallies.running[next];
                    tallies.running[next] |= out;
                }
            }
        }
        tallies
    }

    /// True if block `next` takes over what block `index` has not counted yet, since there is no other way to it.
    pub(super) fn carries(&self, index: usize, next: usize) -> bool {
        self.parents[next] == Some(index)
    }

    /// The tally that `pending` increments step, if there is one, and by how much.
    pub(super) fn find(&self, pending: &Increments) -> Option<(usize, u64)> {
        let (tally, steps) = reduce(pending)?;
        Some((*self.index.get(&tally)?, steps))
    }

    /// A bit for each tally that may not be 0 where a block begins.
    pub(super) fn running(&self, index: usize) -> u32 {
        self.running[index]
    }
}

/// Splits increments into a tally and its steps. `None` if there are none.
fn reduce(pending: &Increments) -> Option<(Tally, u64)> {
    let steps = pending.iter().fold(0, |a, &(_, n)| gcd(a, n));
    let mut tally: Tally = pending.iter().filter(|(_, n)| *n != 0).map(|&(cell, n)| (cell, n / steps)).collect();
    tally.sort_unstable();
    (!tally.is_empty()).then_some((tally, steps))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// For each block the one in front of it that is the only way to it, if there is one.
fn parents(blocks: &[Arc<Block>], entries: &[u64], edges: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut ways = vec![0; blocks.len()];
    let mut parents = vec![None; blocks.len()];
    for (index, edges) in edges.iter().enumerate() {
        for &next in edges {
            ways[next] += 1;
            parents[next] = Some(index);
        }
    }
    for (index, parent) in parents.iter_mut().enumerate() {
        if ways[index] != 1 || parent.is_some_and(|parent| parent >= index) || entries.contains(&blocks[index].pc) {
            *parent = None;
        }
    }
    parents
}

/// The increments of each stretch of `block` that is executed as a whole, and those that are still to be made at its
/// end; `pending` are those that are to be made at its beginning.
fn runs_of(block: &Block, index: usize, cold: &Cold, mut pending: Increments) -> (Vec<Tally>, Increments) {
    let labels: HashSet<u32> = cold
        .kept(index, block)
        .filter_map(|(at, uop)| match uop {
            Uop::Local { to } | Uop::LocalIf { to, .. } if !cold.guards(index, at) => Some(*to),
            _ => None,
        })
        .collect();
    let mut runs = Vec::new();
    let mut close = |pending: &mut Increments| {
        runs.extend(reduce(pending).map(|(tally, _)| tally));
        pending.clear();
    };
    for (at, uop) in cold.kept(index, block) {
        if labels.contains(&(at as u32)) {
            close(&mut pending);
        }
        match *uop {
            Uop::CellInc { cell, n } => add(&mut pending, cell, n),
            Uop::Local { .. } | Uop::LocalIf { .. } if !cold.guards(index, at) => close(&mut pending),
            Uop::Action { .. } => pending.clear(),
            Uop::CellGet { cell, .. } | Uop::CellSet { cell, .. } | Uop::CellAdd { cell, .. }
                if pending.iter().any(|&(known, _)| known == cell) =>
            {
                pending.clear();
            }
            _ => {}
        }
    }
    (runs, pending)
}

/// Adds to a cell among increments that have not been made yet.
pub(super) fn add(pending: &mut Increments, cell: u32, n: u64) {
    match pending.iter_mut().find(|(known, _)| *known == cell) {
        Some((_, sum)) => *sum = sum.wrapping_add(n),
        None => pending.push((cell, n)),
    }
}

/// For each block whether it comes round to itself inside the region, other than by a call: recursion leaves the region
/// as often as it counts.
fn in_loops(blocks: &[Arc<Block>], edges: &[Vec<usize>]) -> Vec<bool> {
    let calls = |block: &Block| matches!(block.uops.last(), Some(Uop::Jump { hint: JumpHint::Call, .. }));
    let mut reach: Vec<u64> = blocks
        .iter()
        .zip(edges)
        .map(|(block, edges)| if calls(block) { 0 } else { edges.iter().fold(0, |bits, &next| bits | 1 << next) })
        .collect();
    let mut changed = true;
    while changed {
        changed = false;
        for index in 0..reach.len() {
            let further = (0..reach.len()).filter(|next| reach[index] >> next & 1 != 0);
            let all = further.fold(reach[index], |bits, next| bits | reach[next]);
            changed |= all != reach[index];
            reach[index] = all;
        }
    }
    reach.iter().enumerate().map(|(index, bits)| bits >> index & 1 != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Insn;
    use crate::jit::Seen;

    fn block(pc: u64, uops: &[Uop]) -> Arc<Block> {
        let insn = Insn { pc, bits: 0, len: 4, start: 0, body: uops.len() as u32 - 1, after: uops.len() as u32 };
        Arc::new(Block { pc, end: pc + 4, insns: vec![insn], uops: uops.to_vec() })
    }

    fn tallies(blocks: &[Arc<Block>]) -> Tallies {
        let seen = Seen::default();
        let index_of = blocks.iter().enumerate().map(|(index, block)| (block.pc, index)).collect();
        let edges = seen.edges(blocks, &index_of);
        let entries = [blocks[0].pc];
        Tallies::new(blocks, &entries, &Cold::new(blocks, &entries, &seen, &edges), &edges)
    }

    fn count(cell: u32, n: u64) -> Uop {
        Uop::CellInc { cell, n }
    }

    #[test]
    fn increments_in_proportion_are_one_tally() {
        // 0 -> 4 -> 8 -> 0: a loop whose blocks follow each other alone.
        let blocks = [
            block(0, &[count(0, 2), count(1, 4), Uop::Next]),
            block(4, &[count(1, 2), count(0, 1), Uop::Next]),
            block(8, &[count(0, 3), count(1, 6), Uop::BrZero { nz: true, a: 0, target: 0 }]),
        ];
        let tallies = tallies(&blocks);
        assert_eq!(tallies.all, [[(0, 1), (1, 2)]]);
        assert_eq!(tallies.find(&vec![(1, 12), (0, 6)]), Some((0, 6)));
        assert_eq!(tallies.find(&vec![(0, 6)]), None);
        assert!(tallies.carries(0, 1) && tallies.carries(1, 2) && !tallies.carries(2, 0));
        assert_eq!(tallies.running(0), 1);
    }

    #[test]
    fn what_is_not_in_a_loop_is_counted_where_it_is() {
        let blocks = [block(0, &[count(0, 1), count(1, 1), Uop::Next]), block(4, &[count(0, 1), Uop::Next])];
        assert!(tallies(&blocks).all.is_empty());
        // A single cell is not, if there are several ways to a block.
        let blocks = [
            block(0, &[count(0, 1), Uop::BrZero { nz: true, a: 0, target: 8 }]),
            block(4, &[count(0, 5), Uop::Next]),
            block(8, &[Uop::Next]),
        ];
        assert_eq!(tallies(&blocks).all, [[(0, 1)]]);
    }

    #[test]
    fn recursion_is_no_loop() {
        let call = Uop::Jump { hint: JumpHint::Call, target: 0 };
        let blocks = [block(0, &[count(0, 1), count(1, 1), Uop::Next]), block(4, &[call])];
        assert!(tallies(&blocks).all.is_empty());
    }

    #[test]
    fn a_number_that_wraps_is_counted() {
        assert_eq!(reduce(&vec![(3, u64::MAX), (4, 0)]), Some((vec![(3, 1)], u64::MAX)));
        assert_eq!(reduce(&vec![(3, 0)]), None);
        assert_eq!(reduce(&Increments::new()), None);
    }
}
