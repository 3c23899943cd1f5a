//! Which blocks are compiled together as a region, and at which of them it is entered.
//!
//! Decided is by what the interpreter has seen of them: how often each was executed, and where its indirect jump led.

use super::{Machine, Translations};
use crate::cache::{Cache, Entry};
use crate::jit::{MAX_REGION_BLOCKS, MAX_REGION_INSNS, Seen, call_target, is_return, region_successors};
use crate::mem::PAGE;
use crate::vm::Tier;
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;
use std::sync::Arc;

/// The part of [`HOT`](super::HOT) that a block must have been interpreted to be compiled together with a hot one.
const WARM_PART: u32 = 8;

/// Most instructions in a region of blocks that are part of others: small loops are worth being whole.
const MOST_SHARED: usize = 64;

/// Most instructions of a function that becomes part of the regions that call it. A call of it is a jump then, and its
/// return a comparison, where registers would have to be stored and loaded twice.
const MOST_CALLED: usize = 24;

/// Most instructions of such functions in one region: their code is compiled once for each.
const MOST_CALLED_TOGETHER: usize = 200;

/// Most blocks around a region that are looked at for ways back into it.
const MOST_AROUND: usize = 128;

/// Blocks on their way to be a region.
#[derive(Default)]
struct Region {
    blocks: Vec<Arc<Entry>>,
    seen: Seen,
    insns: usize,
}

impl Region {
    fn add(&mut self, entry: Arc<Entry>) {
        self.insns += entry.block.insns.len();
        let (pc, targets, warm) = (entry.block.pc, entry.targets(), entry.warm());
        if !targets.is_empty() {
            self.seen.targets.insert(pc, targets);
        }
        if !warm.is_empty() {
            self.seen.warm.insert(pc, warm);
        }
        self.blocks.push(entry);
    }
}

impl Machine {
    /// The blocks to compile together with the one at `root`: those that direct branches connect with it, in either
    /// direction, and that have been executed, or all of them if everything is compiled at first sight, and small
    /// functions that they call. Of what is part of a region already, a few: what is compiled once for each of its blocks
    /// costs the compiler most of its time.
    pub(super) fn region(&self, translations: &mut Translations, root: u64) -> (Vec<Arc<Entry>>, Seen) {
        let executions = translations.cache.find(root, true).map_or(0, |entry| entry.executions());
        let hot = executions.min(self.hot(true));
        let mut region = Region::default();
        let mut ways = Ways::default();
        let (mut shared, mut called, mut around, mut functions) = (0, 0, Vec::new(), Vec::new());
        let mut queue = VecDeque::from([root]);
        let mut known: HashSet<u64> = HashSet::from_iter([root]);
        while let Some(pc) = queue.pop_front() {
            let found = translations.cache.find(pc, true);
            let translates = self.config.tier == Tier::Jit && region.blocks.len() < 16 && !self.may_be_written(pc);
            let Some(entry) = found.or_else(|| translates.then(|| self.entry_in(translations, pc, true))) else {
                continue;
            };
            let len = entry.block.insns.len();
            let is_shared = translations.jit.as_ref().is_some_and(|jit| jit.has_block(pc));
            let is_too_much = region.insns + called + len > MAX_REGION_INSNS || is_shared && shared + len > MOST_SHARED;
            if !region.blocks.is_empty() && (!self.is_warm(&entry, hot) || is_too_much) {
                around.push(pc);
                continue;
            }
            shared += if is_shared { len } else { 0 };
            let function = call_target(&entry.block).filter(|target| !known.contains(target));
            if let Some(function) = function.and_then(|target| self.small_function(&translations.cache, target, hot)) {
                let more: usize = function.iter().map(|entry| entry.block.insns.len()).sum();
                if called + more <= MOST_CALLED_TOGETHER {
                    called += more;
                    functions.extend(function.into_iter().filter(|entry| known.insert(entry.block.pc)));
                }
            }
            let next = region_successors(&entry.block).chain(entry.targets());
            let next = next.chain(ways.to(&translations.cache, pc).iter().copied());
            queue.extend(next.filter(|&next| known.insert(next)));
            region.add(entry);
            if region.blocks.len() == MAX_REGION_BLOCKS {
                break;
            }
        }
        functions.truncate(MAX_REGION_BLOCKS - region.blocks.len());
        functions.into_iter().for_each(|entry| region.add(entry));
        let Region { blocks, mut seen, .. } = region;
        seen.entered = entered(&translations.cache, &blocks, &seen, around);
        (blocks, seen)
    }

    /// True if a block has been executed often enough to be compiled together with a block that has been so `hot` times:
    /// what rarely is costs more than it will ever save.
    fn is_warm(&self, entry: &Entry, hot: u32) -> bool {
        entry.executions() >= hot / WARM_PART || self.config.tier != Tier::Auto
    }

    /// What is executed of the function at `target`, if that is little and comes back.
    fn small_function(&self, cache: &Cache, target: u64, hot: u32) -> Option<Vec<Arc<Entry>>> {
        let mut function: Vec<Arc<Entry>> = Vec::new();
        let (mut insns, mut returns) = (0, false);
        let mut known: HashSet<u64> = HashSet::from_iter([target]);
        let mut waiting = vec![target];
        while let Some(pc) = waiting.pop() {
            let Some(entry) = cache.find(pc, true).filter(|entry| self.is_warm(entry, hot)) else { continue };
            insns += entry.block.insns.len();
            if insns > MOST_CALLED {
                return None;
            }
            returns |= is_return(&entry.block);
            let next = region_successors(&entry.block).chain(entry.targets());
            waiting.extend(next.filter(|&next| known.insert(next)));
            function.push(entry);
        }
        returns.then_some(function)
    }
}

/// From where known blocks are reached by direct branches.
#[derive(Default)]
struct Ways {
    by_target: HashMap<u64, Vec<u64>>,
    pages: HashSet<u64>,
}

impl Ways {
    /// The blocks on the page of `pc` that go on with the block there.
    fn to(&mut self, cache: &Cache, pc: u64) -> &[u64] {
        if self.pages.insert(pc / PAGE) {
            for entry in cache.on_page(pc) {
                for next in region_successors(&entry.block) {
                    self.by_target.entry(next).or_default().push(entry.block.pc);
                }
            }
        }
        self.by_target.get(&pc).map_or(&[], Vec::as_slice)
    }
}

/// The blocks of a region that are entered from outside: those that nothing inside goes on with, such as the first one of
/// a function, and those to which control comes back from blocks `around` the region. These are seldom executed, but the
/// interpreter would go on from there through the region to its next entry.
fn entered(cache: &Cache, region: &[Arc<Entry>], seen: &Seen, mut around: Vec<u64>) -> Vec<u64> {
    let inside: HashSet<u64> = region.iter().map(|entry| entry.block.pc).collect();
    let next = region.iter().flat_map(|entry| region_successors(&entry.block));
    let reached: HashSet<u64> = next.chain(seen.targets.values().flatten().copied()).collect();
    let mut entered: Vec<u64> = region.iter().map(|entry| entry.block.pc).filter(|pc| !reached.contains(pc)).collect();
    let mut known: HashSet<u64> = around.iter().copied().collect();
    let mut at = 0;
    while let Some(entry) = around.get(at).and_then(|&pc| cache.find(pc, true)) {
        at += 1;
        for next in region_successors(&entry.block) {
            if inside.contains(&next) {
                entered.push(next);
            } else if around.len() < MOST_AROUND && known.insert(next) && cache.find(next, true).is_some() {
                around.push(next);
            }
        }
    }
    entered
}
