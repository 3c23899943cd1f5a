//! What a region leaves out: code of probes that stands behind a condition, until it turns out that the condition holds
//! often.
//!
//! The region has the condition and a branch that leaves with [`resume::COLD`](crate::cpu::resume::COLD) at the first
//! micro-op behind it, and the interpreter goes on there. So what the code does (call, write registers, leave) costs the
//! region nothing.
//!
//! A condition on registers alone that has been found not to hold does not hold until one of them is written. This
//! module follows that through the region, and where all ways inside the region bring such knowledge to an entry, the
//! entry looks at the condition once and leaves in front of its block if it holds.
//!
//! It emits nothing: that is [`super::lower`]'s.

use super::Seen;
use super::flow::Flow;
use crate::block::Block;
use crate::cache::Entry;
use crate::uop::{BinOp, Operand, Shift, UnOp, Uop, X, slot};
use hashbrown::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Most conditions that are followed through a region.
const MAX_FOLLOWED: usize = 16;

/// The micro-op that stands for the whole block where it is left in front of its first one, because a condition that
/// does not hold inside the region holds where the region is entered.
pub(crate) const WHOLE_BLOCK: u32 = 0;

/// A value that depends on guest integer registers alone. Operands are indices of other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Imm(u64),
    Slot(X),
    Un(UnOp, usize),
    Bin(BinOp, usize, usize),
    Shifted(BinOp, usize, usize, Shift, u8),
    Field { signed: bool, a: usize, lsb: u8, len: u8 },
}

/// A conditional jump over what is left out: taken if the node is not zero (or is, if not `nz`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub(super) node: usize,
    pub(super) nz: bool,
}

/// What a region leaves out.
#[derive(Debug, Default)]
pub(super) struct Cold {
    nodes: Nodes,
    blocks: Vec<Left>,
}

/// What is left out of one block.
#[derive(Debug, Default)]
struct Left {
    /// Micro-ops that are left out, ascending. Each range stands behind a conditional jump to its end.
    ranges: Vec<Range<u32>>,
    /// Those of these jumps that are always taken.
    known: HashSet<u32>,
    /// What must hold where the region is entered at this block.
    assumed: Vec<Condition>,
}

#[derive(Debug, Default)]
struct Nodes {
    nodes: Vec<Node>,
    /// For each node, a bit for each guest register that it depends on.
    inputs: Vec<u64>,
    index: HashMap<Node, usize>,
}

impl Nodes {
    fn add(&mut self, node: Node) -> usize {
        if let Some(&known) = self.index.get(&node) {
            return known;
        }
        let inputs = match node {
            Node::Imm(_) => 0,
            Node::Slot(x) => 1 << x,
            Node::Un(_, a) | Node::Field { a, .. } => self.inputs[a],
            Node::Bin(_, a, b) | Node::Shifted(_, a, b, ..) => self.inputs[a] | self.inputs[b],
        };
        let index = self.nodes.len();
        self.nodes.push(node);
        self.inputs.push(inputs);
        self.index.insert(node, index);
        index
    }
}

impl Cold {
    /// Decides what is left out of `blocks`.
    pub(super) fn new(blocks: &[Arc<Entry>], seen: &Seen, flow: &Flow) -> Cold {
        let left = |block: &Arc<Entry>| Left {
            ranges: cold_ranges(block, seen.warm.get(&block.pc).map_or(&[], Vec::as_slice)),
            ..Left::default()
        };
        let mut cold = Cold { blocks: blocks.iter().map(left).collect(), ..Cold::default() };
        if cold.blocks.iter().any(|left| !left.ranges.is_empty()) {
            cold.follow(blocks, seen, flow);
        }
        cold
    }

    /// The micro-ops of a block that are compiled, with their indices.
    pub(super) fn kept<'a>(&'a self, index: usize, block: &'a Block) -> impl Iterator<Item = (usize, &'a Uop)> + Clone {
        let mut ranges = self.blocks[index].ranges.iter().peekable();
        block.uops.iter().enumerate().filter(move |&(at, _)| {
            while ranges.next_if(|range| range.end as usize <= at).is_some() {}
            ranges.peek().is_none_or(|range| at < range.start as usize)
        })
    }

    /// True if micro-op `at` of a block is left out.
    pub(super) fn leaves_out(&self, index: usize, at: u32) -> bool {
        let ranges = &self.blocks[index].ranges;
        ranges.get(ranges.partition_point(|range| range.end <= at)).is_some_and(|range| range.start <= at)
    }

    /// True if the conditional jump at `at` is one over what is left out.
    pub(super) fn guards(&self, index: usize, at: usize) -> bool {
        self.blocks[index].ranges.binary_search_by_key(&(at as u32 + 1), |range| range.start).is_ok()
    }

    /// True if that jump is always taken.
    pub(super) fn is_known(&self, index: usize, at: usize) -> bool {
        self.blocks[index].known.contains(&(at as u32))
    }

    /// What must hold where the region is entered at a block.
    pub(super) fn assumed(&self, index: usize) -> &[Condition] {
        &self.blocks[index].assumed
    }

    pub(super) fn node(&self, index: usize) -> Node {
        self.nodes.nodes[index]
    }

    /// Follows conditions through the region, and notes where they are known.
    fn follow(&mut self, blocks: &[Arc<Entry>], seen: &Seen, flow: &Flow) {
        let walks: Vec<Walk> = blocks.iter().enumerate().map(|(index, block)| self.walk(index, block)).collect();
        let mut counts: HashMap<Condition, usize> = HashMap::new();
        for condition in walks.iter().flat_map(|walk| &walk.0).filter_map(Step::condition) {
            *counts.entry(condition).or_default() += 1;
        }
        let mut followed: Vec<(Condition, usize)> = counts.into_iter().collect();
        followed.sort_by_key(|&(condition, count)| (std::cmp::Reverse(count), condition.node, condition.nz));
        followed.truncate(MAX_FOLLOWED);
        let followed = Followed {
            conditions: followed.iter().map(|&(condition, _)| condition).collect(),
            inputs: followed.iter().map(|&(condition, _)| self.nodes.inputs[condition.node]).collect(),
        };
        let mut holds = vec![followed.all(); blocks.len()];
        let mut reached = vec![false; blocks.len()];
        flow.edges.iter().flatten().for_each(|&next| reached[next] = true);
        for (index, block) in blocks.iter().enumerate() {
            let refused = seen.warm.get(&block.pc).is_some_and(|warm| warm.contains(&WHOLE_BLOCK));
            if flow.entered[index] && (refused || !reached[index]) {
                holds[index] = 0;
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for index in 0..blocks.len() {
                let out = walks[index].run(&followed, holds[index], |_| {});
                for &next in &flow.edges[index] {
                    let there = holds[next] & followed.without(out, flow.selected[next]);
                    changed |= there != holds[next];
                    holds[next] = there;
                }
            }
        }
        for (index, walk) in walks.iter().enumerate() {
            let known = &mut self.blocks[index].known;
            walk.run(&followed, holds[index], |at| {
                known.insert(at);
            });
            if flow.entered[index] {
                let held = followed.conditions.iter().enumerate().filter(|(bit, _)| holds[index] >> bit & 1 != 0);
                self.blocks[index].assumed = held.map(|(_, &condition)| condition).collect();
            }
        }
    }

    /// Reduces a block to what matters for conditions.
    fn walk(&mut self, index: usize, block: &Block) -> Walk {
        let mut steps = Vec::new();
        // Temporaries whose values are known as nodes.
        let mut temps: HashMap<X, usize> = HashMap::new();
        let kept: Vec<(usize, Uop)> = self.kept(index, block).map(|(at, &uop)| (at, uop)).collect();
        let mut labels = HashSet::new();
        let mut heads = HashSet::new();
        for &(at, uop) in &kept {
            if let Uop::Local { to } | Uop::LocalIf { to, .. } = uop
                && !self.guards(index, at)
            {
                labels.insert(to);
                if to as usize <= at {
                    heads.insert(to);
                }
            }
        }
        for (at, uop) in kept {
            if labels.contains(&(at as u32)) {
                steps.push(Step::Label { at: at as u32, head: heads.contains(&(at as u32)) });
                temps.clear();
            }
            match uop {
                Uop::LocalIf { nz, a, .. } if self.guards(index, at) => {
                    let node = self.operand(&temps, a);
                    let condition = node.map(|node| Condition { node, nz });
                    steps.push(Step::Guard { at: at as u32, condition });
                }
                Uop::LocalIf { to, .. } => steps.push(Step::Jump { to, always: false }),
                Uop::Local { to } => steps.push(Step::Jump { to, always: true }),
                Uop::Action { state: true, .. } => {
                    steps.push(Step::Write(u64::MAX));
                    temps.clear();
                }
                _ => {}
            }
            let node = self.result(&temps, uop);
            let mut written = 0;
            uop.operands(|operand| {
                if let Operand::DefX(d) = operand {
                    temps.remove(&d);
                    if d < slot::SYS {
                        written |= 1 << d;
                    }
                }
            });
            if written != 0 {
                temps.retain(|_, node| self.nodes.inputs[*node] & written == 0);
                steps.push(Step::Write(written));
            }
            if let Some((d, node)) = node
                && self.nodes.inputs[node] & written == 0
            {
                temps.insert(d, node);
            }
        }
        Walk(steps)
    }

    fn operand(&mut self, temps: &HashMap<X, usize>, x: X) -> Option<usize> {
        match x {
            slot::ZERO => Some(self.nodes.add(Node::Imm(0))),
            x if x < slot::SYS => Some(self.nodes.add(Node::Slot(x))),
            // Other slots are not among them.
            x => temps.get(&x).copied(),
        }
    }

    /// The value of a micro-op as a node, and where it goes.
    fn result(&mut self, temps: &HashMap<X, usize>, uop: Uop) -> Option<(X, usize)> {
        let (d, node) = match uop {
            Uop::MovI { d, imm } => (d, Node::Imm(imm)),
            Uop::Un { op, d, a } => (d, Node::Un(op, self.operand(temps, a)?)),
            Uop::BinI { op, d, a, imm } if is_native(op) => {
                (d, Node::Bin(op, self.operand(temps, a)?, self.nodes.add(Node::Imm(imm))))
            }
            Uop::Bin { op, d, a, b } if is_native(op) => {
                (d, Node::Bin(op, self.operand(temps, a)?, self.operand(temps, b)?))
            }
            Uop::BinSh { op, d, a, b, shift, n } if is_native(op) => {
                (d, Node::Shifted(op, self.operand(temps, a)?, self.operand(temps, b)?, shift, n))
            }
            Uop::BfxU { d, a, lsb, len } => (d, Node::Field { signed: false, a: self.operand(temps, a)?, lsb, len }),
            Uop::BfxS { d, a, lsb, len } => (d, Node::Field { signed: true, a: self.operand(temps, a)?, lsb, len }),
            _ => return None,
        };
        (d >= slot::TEMP).then(|| (d, self.nodes.add(node)))
    }
}

/// True for operations that generated code has a cheap form of.
pub(super) fn is_native(op: BinOp) -> bool {
    matches!(
        op,
        BinOp::Add64
            | BinOp::Add32
            | BinOp::Sub64
            | BinOp::Sub32
            | BinOp::And64
            | BinOp::And32
            | BinOp::Or64
            | BinOp::Or32
            | BinOp::Xor64
            | BinOp::Xor32
            | BinOp::AndNot64
            | BinOp::Shl64
            | BinOp::Shr64
            | BinOp::Sar64
            | BinOp::Mul64
            | BinOp::Eq
            | BinOp::Ne
            | BinOp::LtU
            | BinOp::LtS
            | BinOp::LeU
            | BinOp::LeS
    )
}

/// The conditions that are followed, each with the registers that it depends on. Sets of them are bits.
struct Followed {
    conditions: Vec<Condition>,
    inputs: Vec<u64>,
}

impl Followed {
    fn all(&self) -> u32 {
        (1 << self.conditions.len()) - 1
    }

    /// What is left of `holds` once registers are written.
    fn without(&self, holds: u32, written: u64) -> u32 {
        let depend = self.inputs.iter().enumerate().filter(|(_, inputs)| *inputs & written != 0);
        depend.fold(holds, |holds, (bit, _)| holds & !(1 << bit))
    }

    fn bit(&self, condition: Condition) -> u32 {
        self.conditions.iter().position(|&known| known == condition).map_or(0, |bit| 1 << bit)
    }
}

/// What happens in a block to conditions.
enum Step {
    /// A jump over what is left out.
    Guard { at: u32, condition: Option<Condition> },
    /// Registers are written.
    Write(u64),
    /// Another jump.
    Jump { to: u32, always: bool },
    /// Jumps lead here, from further down too for a `head`.
    Label { at: u32, head: bool },
}

impl Step {
    fn condition(&self) -> Option<Condition> {
        match self {
            Step::Guard { condition, .. } => *condition,
            _ => None,
        }
    }
}

struct Walk(Vec<Step>);

impl Walk {
    /// Returns which conditions hold behind the block if `holds` do in front of it; calls `known` for jumps that are
    /// always taken.
    fn run(&self, followed: &Followed, mut holds: u32, mut known: impl FnMut(u32)) -> u32 {
        let mut at_labels: HashMap<u32, u32> = HashMap::new();
        for step in &self.0 {
            match *step {
                Step::Guard { at, condition } => {
                    let Some(bit) = condition.map(|condition| followed.bit(condition)).filter(|&bit| bit != 0) else {
                        continue;
                    };
                    if holds & bit != 0 {
                        known(at);
                    }
                    holds |= bit;
                }
                Step::Write(written) => holds = followed.without(holds, written),
                Step::Jump { to, always } => {
                    *at_labels.entry(to).or_insert(followed.all()) &= holds;
                    if always {
                        holds = followed.all();
                    }
                }
                Step::Label { at, head } => {
                    holds &= if head { 0 } else { at_labels.get(&at).copied().unwrap_or(0) };
                }
            }
        }
        holds
    }
}

/// The micro-ops of `block` that are left out: behind conditional jumps of probes, unless the way behind one has been
/// taken often, which `warm` says.
fn cold_ranges(block: &Block, warm: &[u32]) -> Vec<Range<u32>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&uop) = block.uops.get(at) {
        at += 1;
        let Uop::LocalIf { to, .. } = uop else { continue };
        let range = at as u32..to;
        if is_of_probe(block, at as u32 - 1)
            && (is_worth_it(&block.uops, &range) || is_other_form(block, &range))
            && !warm.iter().any(|uop| range.contains(uop))
        {
            at = to as usize;
            ranges.push(range);
        }
    }
    ranges
}

fn is_of_probe(block: &Block, at: u32) -> bool {
    let insn = block.insn(block.insn_of(at));
    at < insn.body || at >= insn.after
}

/// True if what stands in `range` is another form of the instruction that it is in front of.
fn is_other_form(block: &Block, range: &Range<u32>) -> bool {
    let insn = block.insn(block.insn_of(range.start));
    let last = range.end.checked_sub(1).and_then(|last| block.uops.get(last as usize));
    range.end == insn.body && matches!(last, Some(Uop::Local { to }) if *to == insn.after)
}

/// True if what stands in `range` does more than to compute what another jump waits for.
fn is_worth_it(uops: &[Uop], range: &Range<u32>) -> bool {
    let Some(inside) = uops.get(range.start as usize..range.end as usize) else { return false };
    // The end of a loop is no condition that seldom holds.
    let loops = |uop: &Uop| matches!(uop, Uop::Local { to } | Uop::LocalIf { to, .. } if *to < range.start);
    if inside.iter().any(loops) {
        return false;
    }
    let first = inside.iter().find(|uop| !is_pure(uop));
    !matches!(first, None | Some(Uop::LocalIf { .. } | Uop::Local { .. }))
}

/// True for micro-ops that do nothing but compute a temporary.
fn is_pure(uop: &Uop) -> bool {
    let mut writes = false;
    uop.operands(|operand| {
        writes |= match operand {
            Operand::DefX(x) => x < slot::TEMP,
            Operand::DefV(v) => slot::is_guest_vector(v),
            Operand::DefFlags => true,
            _ => false,
        }
    });
    let reads = matches!(
        uop,
        Uop::Cond { .. }
            | Uop::GetNzcv { .. }
            | Uop::CellGet { .. }
            | Uop::ProbeLoad { .. }
            | Uop::Vx { .. }
            | Uop::Icount { .. }
    );
    (uop.is_integer() || reads) && !writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Insn, Insns};

    const FLAG: X = slot::PROBE;

    /// A block whose micro-ops but the last are those of a probe in front of its only instruction.
    fn block(pc: u64, uops: &[Uop]) -> Arc<Entry> {
        let insn = Insn { pc, bits: 0, len: 4, start: 0, body: uops.len() as u32 - 1, after: uops.len() as u32 };
        Arc::new(Entry::new(Block { pc, end: pc + 4, insns: Insns::Probed([insn].into()), uops: uops.into() }))
    }

    fn cold(blocks: &[Arc<Entry>], warm: &[(u64, u32)]) -> Cold {
        let mut seen = Seen::default();
        warm.iter().for_each(|&(pc, at)| seen.warm.entry(pc).or_default().push(at));
        Cold::new(blocks, &seen, &Flow::new(blocks, &[blocks[0].pc], &seen))
    }

    fn kept(cold: &Cold, blocks: &[Arc<Entry>], index: usize) -> Vec<usize> {
        cold.kept(index, &blocks[index]).map(|(at, _)| at).collect()
    }

    const ACT: Uop = Uop::Action { action: 0, d: slot::ZERO, args: slot::ZERO, n: 0, state: false };
    const EQ: Uop = Uop::BinI { op: BinOp::Eq, d: FLAG, a: 3, imm: 7 };

    fn unless(to: u32) -> Uop {
        Uop::LocalIf { nz: false, a: FLAG, to }
    }

    #[test]
    fn what_the_last_of_several_conditions_guards_is_left_out() {
        let other = Uop::BinI { op: BinOp::Eq, d: FLAG, a: 4, imm: 1 };
        let blocks = [block(0, &[EQ, unless(5), other, unless(5), ACT, Uop::Next])];
        let found = cold(&blocks, &[]);
        assert_eq!(kept(&found, &blocks, 0), [0, 1, 2, 3, 5]);
        assert!(found.guards(0, 3) && !found.guards(0, 1) && found.leaves_out(0, 4) && !found.leaves_out(0, 5));
        // Once that is gone on with often, nothing is.
        assert_eq!(kept(&cold(&blocks, &[(0, 4)]), &blocks, 0), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn loops_and_values_stay() {
        let head = [Uop::MovI { d: FLAG, imm: 3 }, unless(4), ACT, Uop::Local { to: 0 }, Uop::Next];
        let value = [EQ, unless(3), Uop::MovI { d: FLAG + 1, imm: 1 }, Uop::Next];
        for uops in [&head[..], &value] {
            let blocks = [block(0, uops)];
            assert_eq!(kept(&cold(&blocks, &[]), &blocks, 0).len(), uops.len());
        }
    }

    #[test]
    fn a_condition_is_looked_at_again_where_its_registers_are_written_only() {
        let guarded = |last: &[Uop]| [&[EQ, unless(3), ACT], last].concat();
        let write = Uop::MovI { d: 3, imm: 1 };
        let back = Uop::BrZero { nz: true, a: 0, target: 0 };
        // 0 -> 4 -> 0, and the register is written in neither of the two.
        let blocks = [block(0, &guarded(&[Uop::Next])), block(4, &guarded(&[back]))];
        let found = cold(&blocks, &[]);
        assert!(found.is_known(0, 1) && found.is_known(1, 1));
        assert!(matches!(found.assumed(0), [Condition { nz: false, .. }]), "looked at where the loop is entered");
        // If it holds there often, the block looks itself.
        let found = cold(&blocks, &[(0, WHOLE_BLOCK)]);
        assert!(!found.is_known(0, 1) && found.is_known(1, 1) && found.assumed(0).is_empty());
        // The first writes it behind its condition.
        let blocks = [block(0, &guarded(&[write, Uop::Next])), block(4, &guarded(&[back]))];
        let found = cold(&blocks, &[]);
        assert!(found.is_known(0, 1) && !found.is_known(1, 1));
        // An action that may write registers.
        let any = Uop::Action { action: 0, d: slot::ZERO, args: slot::ZERO, n: 0, state: true };
        let blocks = [block(0, &guarded(&[Uop::Next])), block(4, &guarded(&[any, back]))];
        assert!(!cold(&blocks, &[]).is_known(0, 1));
    }
}
