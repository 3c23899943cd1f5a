//! How a region counts: which increments of cells it keeps in registers until it is left.
//!
//! The cells that a run of micro-ops adds to, with the numbers in a fixed proportion, are one [`Tally`]: a loop that
//! counts instructions of ten kinds steps one register for each of its blocks. Cells are in memory what they should be
//! wherever something may look at them: where the region is left, and in front of actions and micro-ops that read cells.
//!
//! This decides only; the code is [`super::lower`]'s.

use super::cold::Cold;
use super::flow::Flow;
use crate::block::Block;
use crate::cache::Entry;
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
    /// For each block what is still to be counted where it begins.
    owed: Vec<Owed>,
}

/// What has been executed and not been counted yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Owed {
    /// Increments of cells.
    pub(super) cells: Increments,
    /// Completed instructions. Wraps.
    pub(super) insns: u64,
}

impl Owed {
    /// What is to be counted on the way from here to a place where `then` is still owed.
    pub(super) fn but(&self, then: &Owed) -> Owed {
        let mut cells = self.cells.clone();
        then.cells.iter().for_each(|&(cell, n)| add(&mut cells, cell, n.wrapping_neg()));
        cells.retain(|&(_, n)| n != 0);
        Owed { cells, insns: self.insns.wrapping_sub(then.insns) }
    }
}

impl Tallies {
    /// Chooses the tallies of `blocks`.
    ///
    /// Ways that meet bring what they all owe into the block where they meet, and count on the way what they owe beyond
    /// that. So a loop counts once for a round, not once for a block.
    pub(super) fn new(blocks: &[Arc<Entry>], cold: &Cold, flow: &Flow) -> Tallies {
        let Flow { edges, order, entered, .. } = flow;
        let mut ways = vec![Vec::new(); blocks.len()];
        for (index, edges) in edges.iter().enumerate() {
            edges.iter().for_each(|&next| ways[next].push(index));
        }
        let one_cell = counts_one_cell(blocks, cold);
        let mut owed = vec![Owed::default(); blocks.len()];
        let mut ends = owed.clone();
        let mut runs = vec![Vec::new(); blocks.len()];
        for index in flow.in_order() {
            let forward = ways[index].iter().filter(|&&from| order[from] < order[index]).map(|&from| &ends[from]);
            owed[index] = common(forward);
            // Differences of several cells are seldom in a proportion that is counted in a register.
            if !one_cell && (entered[index] || ways[index].iter().any(|&from| ends[from].cells != owed[index].cells)) {
                owed[index].cells.clear();
            }
            let carried = owed[index].cells.clone();
            let (closed, cells) = runs_of(&blocks[index], index, cold, carried);
            // An entry takes what is owed from a register: in memory, somebody may be reading the number.
            runs[index] = closed;
            if entered[index] {
                runs[index].extend(reduce(&owed[index].cells).map(|(tally, _)| tally));
            }
            ends[index] = Owed { cells, insns: owed[index].insns.wrapping_add(blocks[index].insns.len() as u64) };
        }
        for (index, edges) in edges.iter().enumerate() {
            let steps = edges.iter().map(|&next| ends[index].but(&owed[next]).cells);
            runs[index].extend(steps.filter_map(|cells| Some(reduce(&cells)?.0)));
        }
        let distinct: HashSet<&Tally> = runs.iter().flatten().collect();
        // Where a single cell is counted in, leaving costs no more than one block.
        let is_cheap = distinct.iter().map(|tally| tally.len()).sum::<usize>() <= 1;
        let loops = in_loops(blocks, edges);
        let mut tallies = Tallies { running: vec![0; blocks.len()], owed, ..Tallies::default() };
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
        for index in (0..blocks.len()).filter(|&index| entered[index]) {
            if let Some((tally, _)) = tallies.find(&tallies.owed[index].cells) {
                tallies.running[index] |= 1 << tally;
            }
        }
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

    /// What is still to be counted where a block begins.
    pub(super) fn owed(&self, index: usize) -> &Owed {
        &self.owed[index]
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

/// What all of these owe.
fn common<'a>(mut all: impl Iterator<Item = &'a Owed>) -> Owed {
    let Some(first) = all.next() else { return Owed::default() };
    all.fold(first.clone(), |mut known, other| {
        for (cell, n) in &mut known.cells {
            *n = other.cells.iter().find(|(there, _)| there == cell).map_or(0, |&(_, there)| there.min(*n));
        }
        known.cells.retain(|&(_, n)| n != 0);
        Owed { cells: known.cells, insns: known.insns.min(other.insns) }
    })
}

/// True if no more than one cell is counted in.
fn counts_one_cell(blocks: &[Arc<Entry>], cold: &Cold) -> bool {
    let kept = blocks.iter().enumerate().flat_map(|(index, block)| cold.kept(index, block));
    let mut cells = kept.filter_map(|(_, uop)| match *uop {
        Uop::CellInc { cell, .. } => Some(cell),
        _ => None,
    });
    cells.next().is_none_or(|first| cells.all(|cell| cell == first))
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
fn in_loops(blocks: &[Arc<Entry>], edges: &[Vec<usize>]) -> Vec<bool> {
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
    use crate::block::{Insn, Insns};
    use crate::jit::Seen;

    fn block(pc: u64, uops: &[Uop]) -> Arc<Entry> {
        let insn = Insn { pc, bits: 0, len: 4, start: 0, body: uops.len() as u32 - 1, after: uops.len() as u32 };
        Arc::new(Entry::new(Block { pc, end: pc + 4, insns: Insns::Probed([insn].into()), uops: uops.into() }))
    }

    fn tallies(blocks: &[Arc<Entry>], entries: &[u64]) -> Tallies {
        let seen = Seen::default();
        let flow = Flow::new(blocks, entries, &seen);
        Tallies::new(blocks, &Cold::new(blocks, &seen, &flow), &flow)
    }

    fn owed(tallies: &Tallies) -> Vec<&[(u32, u64)]> {
        tallies.owed.iter().map(|owed| owed.cells.as_slice()).collect()
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
        let tallies = tallies(&blocks, &[0]);
        assert_eq!(tallies.all, [[(0, 1), (1, 2)]]);
        assert_eq!(tallies.find(&vec![(1, 12), (0, 6)]), Some((0, 6)));
        assert_eq!(tallies.find(&vec![(0, 6)]), None);
        assert_eq!(owed(&tallies), [&[][..], &[(0, 2), (1, 4)], &[(0, 3), (1, 6)]]);
        assert_eq!(tallies.running(0), 1);
    }

    #[test]
    fn what_is_not_in_a_loop_is_counted_where_it_is() {
        let blocks = [block(0, &[count(0, 1), count(1, 1), Uop::Next]), block(4, &[count(0, 1), Uop::Next])];
        assert!(tallies(&blocks, &[0]).all.is_empty());
        // A single cell is not, if there are several ways to a block.
        let blocks = [
            block(0, &[count(0, 1), Uop::BrZero { nz: true, a: 0, target: 8 }]),
            block(4, &[count(0, 5), Uop::Next]),
            block(8, &[Uop::Next]),
        ];
        assert_eq!(tallies(&blocks, &[0]).all, [[(0, 1)]]);
    }

    #[test]
    fn a_loop_counts_once_for_a_round() {
        // 0 -> 4 or 8, 4 -> 8, 8 -> 0: the two ways to 8 bring 1 and 6.
        let blocks = [
            block(0, &[count(0, 1), Uop::BrZero { nz: true, a: 0, target: 8 }]),
            block(4, &[count(0, 5), Uop::Next]),
            block(8, &[count(0, 2), Uop::BrZero { nz: true, a: 0, target: 0 }]),
        ];
        // Also if the second way is entered from outside.
        for entries in [&[0][..], &[0, 4]] {
            let tallies = tallies(&blocks, entries);
            assert_eq!(owed(&tallies), [&[][..], &[(0, 1)], &[(0, 1)]]);
            assert_eq!(tallies.owed.iter().map(|owed| owed.insns).collect::<Vec<_>>(), [0, 1, 1]);
            let ends = Owed { cells: vec![(0, 6)], insns: 2 };
            assert_eq!(ends.but(tallies.owed(2)), Owed { cells: vec![(0, 5)], insns: 1 });
        }
        // Of several cells nothing is taken along to where ways with different increments meet.
        let mut blocks = blocks;
        blocks[1] = block(4, &[count(1, 5), Uop::Next]);
        assert_eq!(owed(&tallies(&blocks, &[0])), [&[][..], &[(0, 1)], &[]]);
        assert_eq!(owed(&tallies(&blocks, &[0, 4])), [&[][..], &[], &[]]);
    }

    #[test]
    fn an_entry_takes_what_is_owed_from_a_register() {
        // 4 is entered from outside, too, and nothing else would be counted in a register.
        let act = Uop::Action { action: 0, d: 0, args: 0, n: 0, state: false };
        let blocks = [block(0, &[count(0, 1), Uop::Next]), block(4, &[act, Uop::Next])];
        let tallies = tallies(&blocks, &[0, 4]);
        assert_eq!(owed(&tallies), [&[][..], &[(0, 1)]]);
        assert_eq!((tallies.all.as_slice(), tallies.running(1)), (&[vec![(0, 1)]][..], 1));
    }

    #[test]
    fn recursion_is_no_loop() {
        let call = Uop::Jump { hint: JumpHint::Call, target: 0 };
        let blocks = [block(0, &[count(0, 1), count(1, 1), Uop::Next]), block(4, &[call])];
        assert!(tallies(&blocks, &[0]).all.is_empty());
    }

    #[test]
    fn a_number_that_wraps_is_counted() {
        assert_eq!(reduce(&vec![(3, u64::MAX), (4, 0)]), Some((vec![(3, 1)], u64::MAX)));
        assert_eq!(reduce(&vec![(3, 0)]), None);
        assert_eq!(reduce(&Increments::new()), None);
    }
}
