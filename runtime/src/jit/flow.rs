//! How control goes from block to block inside a region.

use super::Seen;
use super::cold::{Cold, is_native};
use super::lower::is_guest;
use crate::block::Block;
use crate::cache::Entry;
use crate::uop::{Operand, Uop, X, slot};
use hashbrown::HashMap;
use std::sync::Arc;

/// Most micro-ops of an instruction that is executed in any case instead of being skipped by a branch.
const MOST_SKIPPED: usize = 2;

/// Most rounds over the blocks of a region, of which nearly all need few; of the others nothing is known.
const MOST_ROUNDS: usize = 16;

/// Something that is known at a place since it is so on all ways there. The default knows nothing.
pub(super) trait Fact: Clone + Default + PartialEq {
    /// Makes it what is known behind a micro-op that has been executed as a whole.
    fn step(&mut self, uop: &Uop);

    /// Keeps what is also known elsewhere.
    fn meet(&mut self, other: &Self);

    /// Forgets what is about such slots.
    fn forget(&mut self, is_over: impl Fn(X) -> bool);

    /// True if knowing this in front of a micro-op saves work that knowing the other does not.
    fn helps(&self, known: &Self, uop: &Uop) -> bool;
}

/// The ways between the blocks of a region. Blocks go by their index.
pub(super) struct Flow {
    /// The block at an address.
    pub(super) index_of: HashMap<u64, usize>,
    /// For each block those that it goes on with. The block that a [`Skip`] executes the beginning of counts as one that
    /// goes on where the branch leads to, so that what it may write is expected there.
    pub(super) edges: Vec<Vec<usize>>,
    /// Where each block stands in an order in which few edges lead back: see [`order`].
    pub(super) order: Vec<usize>,
    /// Whether each block is entered from outside.
    pub(super) entered: Vec<bool>,
    /// For each block the branch at its end, if that is none in the host's code.
    pub(super) skips: Vec<Option<Skip>>,
    /// For each block the guest registers that a [`Skip`] may change on the way there, a bit each: of what both ways have
    /// in common there, that may not hold which is about these.
    pub(super) selected: Vec<u64>,
}

impl Flow {
    /// The ways between `blocks`, of which `entries` are entered from outside.
    pub(super) fn new(blocks: &[Arc<Entry>], entries: &[u64], seen: &Seen) -> Flow {
        let index_of: HashMap<u64, usize> = blocks.iter().enumerate().map(|(i, block)| (block.pc, i)).collect();
        let mut edges = seen.edges(blocks, &index_of);
        let skips: Vec<Option<Skip>> = blocks.iter().map(|block| skip(blocks, &index_of, block)).collect();
        let mut selected = vec![0; blocks.len()];
        for skip in skips.iter().flatten() {
            edges[skip.over].push(skip.to);
            selected[skip.to] |= written(&blocks[skip.over].uops[..skip.uops as usize]);
        }
        let mut entered = vec![false; blocks.len()];
        entries.iter().for_each(|entry| entered[index_of[entry]] = true);
        let roots: Vec<usize> = entries.iter().map(|entry| index_of[entry]).collect();
        Flow { order: order(&edges, &roots), index_of, edges, entered, skips, selected }
    }

    /// The blocks in that order.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let mut blocks: Vec<usize> = (0..self.order.len()).collect();
        blocks.sort_unstable_by_key(|&index| self.order[index]);
        blocks
    }

    /// What is known where each of `blocks` begins, if it is reached from inside the region. Nothing is where it is
    /// entered from outside.
    pub(super) fn known<F: Fact>(&self, blocks: &[Arc<Entry>], cold: &Cold) -> Vec<F> {
        let in_order = self.in_order();
        // None: no way there has been looked at.
        let mut known: Vec<Option<F>> = vec![None; blocks.len()];
        let mut changed = true;
        for round in 0.. {
            if round == MOST_ROUNDS {
                return vec![F::default(); blocks.len()];
            }
            if !std::mem::take(&mut changed) {
                break;
            }
            for &index in &in_order {
                let before = if self.entered[index] { Some(F::default()) } else { known[index].clone() };
                let Some(behind) = before.map(|before| behind(before, index, &blocks[index], cold)) else { continue };
                for &next in &self.edges[index] {
                    let mut met = known[next].clone().unwrap_or_else(|| behind.clone());
                    met.meet(&behind);
                    met.forget(|x| x < slot::SYS && self.selected[next] >> x & 1 != 0);
                    if known[next].as_ref() != Some(&met) {
                        known[next] = Some(met);
                        changed = true;
                    }
                }
            }
        }
        known.into_iter().map(Option::unwrap_or_default).collect()
    }
}

/// True if there are ways inside of a block, of which nothing is known.
fn has_ways(index: usize, block: &Entry, cold: &Cold) -> bool {
    let is_way =
        |(at, uop): (usize, &Uop)| matches!(uop, Uop::Local { .. } | Uop::LocalIf { .. }) && !cold.guards(index, at);
    cold.kept(index, block).any(is_way)
}

/// What is known behind a block, if this is known in front of it. Temporaries are over there.
fn behind<F: Fact>(mut known: F, index: usize, block: &Entry, cold: &Cold) -> F {
    if has_ways(index, block, cold) {
        return F::default();
    }
    cold.kept(index, block).for_each(|(_, uop)| known.step(uop));
    known.forget(|x| x >= slot::TEMP);
    known
}

/// True if something in the block is less work where this is known in front of it.
pub(super) fn helps<F: Fact>(mut known: F, index: usize, block: &Entry, cold: &Cold) -> bool {
    let mut nothing = F::default();
    known != nothing
        && !has_ways(index, block, cold)
        && cold.kept(index, block).any(|(_, uop)| {
            let helps = known.helps(&nothing, uop);
            known.step(uop);
            nothing.step(uop);
            helps
        })
}

/// The place of each block in an order in which edges lead forward, but for those that close a loop: behind a block all
/// that is reached from it, as far as possible.
fn order(edges: &[Vec<usize>], roots: &[usize]) -> Vec<usize> {
    let (mut order, mut seen) = (vec![0; edges.len()], vec![false; edges.len()]);
    let mut left = edges.len();
    for root in roots.iter().copied().chain(0..edges.len()) {
        // Blocks that have been begun, and how many of their edges have been followed.
        let mut path = if std::mem::replace(&mut seen[root], true) { Vec::new() } else { vec![(root, 0)] };
        while let Some((index, followed)) = path.last_mut() {
            if let Some(&next) = edges[*index].get(*followed) {
                *followed += 1;
                if !std::mem::replace(&mut seen[next], true) {
                    path.push((next, 0));
                }
            } else {
                left -= 1;
                order[*index] = left;
                path.pop();
            }
        }
    }
    order
}

/// A branch over one instruction that cannot leave the block and costs no more than a branch that is foreseen: instead of
/// it, its result is selected.
#[derive(Clone, Copy)]
pub(super) struct Skip {
    /// The block behind the branch, which begins with the instruction.
    pub(super) over: usize,
    /// Its first micro-ops, which are the instruction.
    pub(super) uops: u32,
    /// The block that the branch leads to: the rest of the other one is the same.
    pub(super) to: usize,
}

/// The branch at the end of `block`, if it is a [`Skip`].
fn skip(blocks: &[Arc<Entry>], index_of: &HashMap<u64, usize>, block: &Block) -> Option<Skip> {
    let (Uop::BrZero { target, .. } | Uop::BrBit { target, .. } | Uop::BrCc { target, .. }) = *block.uops.last()?
    else {
        return None;
    };
    let (&over, &to) = (index_of.get(&block.end)?, index_of.get(&target)?);
    let (behind, then) = (&blocks[over], &blocks[to]);
    let next = behind.get_insn(1).filter(|next| next.pc == target)?;
    let (uops, rest) = behind.uops.split_at(next.start as usize);
    let is_small = |uop: &Uop| match *uop {
        Uop::MovI { d, .. } => is_guest(d),
        Uop::Un { d, .. } => is_guest(d),
        Uop::Bin { op, d, .. } | Uop::BinI { op, d, .. } | Uop::BinSh { op, d, .. } => is_guest(d) && is_native(op),
        _ => false,
    };
    // Probes at the beginning of blocks fire in one of them only.
    let is_same = rest == then.uops.as_slice() && behind.end == then.end;
    (is_same && uops.len() <= MOST_SKIPPED && uops.iter().all(is_small)).then_some(Skip { over, uops: next.start, to })
}

/// The guest registers that these write, a bit each.
fn written(uops: &[Uop]) -> u64 {
    let mut written = 0;
    for uop in uops {
        uop.operands(|operand| match operand {
            Operand::DefX(d) if d < slot::SYS => written |= 1 << d,
            _ => {}
        });
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Insn, Insns};
    use crate::uop::BinOp;

    fn block(pc: u64, lens: &[u32], uops: &[Uop]) -> Arc<Entry> {
        let mut insns = Vec::new();
        let mut start = 0;
        for (index, len) in lens.iter().enumerate() {
            let pc = pc + 4 * index as u64;
            insns.push(Insn { pc, bits: 0, len: 4, start, body: start, after: start + len });
            start += len;
        }
        Arc::new(Entry::new(Block {
            pc,
            end: pc + 4 * lens.len() as u64,
            insns: Insns::lifted(pc, &insns),
            uops: uops.into(),
        }))
    }

    #[test]
    fn only_what_closes_a_loop_leads_back() {
        // 0 -> 1 or 2, 1 -> 3, 2 -> 3, 3 -> 0 or 4, as the order of the blocks does not show.
        let edges = [vec![4], vec![3], vec![1, 3], vec![2, 0], vec![]].to_vec();
        let order = order(&edges, &[2]);
        let back = |from: usize, to: usize| order[to] <= order[from];
        let ways = edges.iter().enumerate().flat_map(|(from, next)| next.iter().map(move |&to| (from, to)));
        assert_eq!(ways.filter(|&(from, to)| back(from, to)).collect::<Vec<_>>(), [(3, 2)]);
        assert_eq!(order[2], 0);
    }

    #[test]
    fn what_is_selected_is_noted_where_the_branch_leads_to() {
        let branch = Uop::BrZero { nz: true, a: 0, target: 8 };
        let add = Uop::BinI { op: BinOp::Add64, d: 2, a: 2, imm: 1 };
        let blocks = [block(0, &[1], &[branch]), block(4, &[1, 1], &[add, Uop::Next]), block(8, &[1], &[Uop::Next])];
        let flow = Flow::new(&blocks, &[0], &Seen::default());
        assert_eq!(flow.skips[0].map(|skip| (skip.over, skip.uops, skip.to)), Some((1, 1, 2)));
        assert_eq!((flow.selected, flow.edges), (vec![0, 0, 1 << 2], vec![vec![2, 1], vec![2], vec![]]));
        assert_eq!(flow.entered, [true, false, false]);
    }
}
