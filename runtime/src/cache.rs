//! The translation cache: blocks by guest address, and which of them stand on which page.
//!
//! It owns blocks and remembers generated code for them; it neither translates nor executes. Threads share it, and each
//! keeps a [`Front`] of its own, which finds most blocks without a lock.

use crate::block::Block;
use crate::jit::FpMode;
use crate::machine::lock;
use crate::mem::PAGE;
use crate::mem::host::prefetch;
use crate::translate::MAX_BYTES;
use hashbrown::HashMap;
use std::mem::offset_of;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A cached block.
///
/// Programs that do many different things spend their time waiting for blocks to come from memory. So what the interpreter
/// needs of one is in neighbouring cache lines, in this order.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    count: AtomicU32,
    /// Executions at which quick code leaves for the dispatcher.
    alarm: AtomicU32,
    /// Executions below which no code is asked for: see [`Entry::postpone_code`].
    patience: AtomicU32,
    live: AtomicBool,
    interpret_only: AtomicBool,
    /// A bit for each mode for which code has been asked for.
    asked: AtomicU8,
    /// A bit for each mode for which the code is quick, and above these one for each for which that has been tried.
    quick: AtomicU8,
    code: [AtomicUsize; FpMode::PLACES],
    /// Where control went from here when it was interpreted last: the address of the guest, and the entry's of the host.
    next: (AtomicU64, AtomicUsize),
    /// The micro-ops.
    pub block: Block,
    rare: OnceLock<Box<Rare>>,
}

/// What few blocks have.
#[derive(Debug, Default)]
struct Rare {
    /// Where the indirect jump has led while it was interpreted.
    targets: Mutex<Vec<u64>>,
    /// Where quick code has gone from here lately.
    recent: [AtomicU64; RECENT],
    cold: Mutex<Option<Cold>>,
}

/// How often the code that a region leaves out of a block has been gone on with.
#[derive(Debug)]
struct Cold {
    /// Since when it is counted.
    since: Instant,
    /// By micro-op.
    counts: Vec<(u32, u32)>,
    warm: Vec<u32>,
}

/// The time within which what is left out must have been gone on with often to be worth new code.
const OFTEN_WITHIN: Duration = Duration::from_millis(100);

/// The part of often that is enough if code is made anew anyway.
const WARM_PART: u32 = 16;

/// Targets that quick code remembers of an indirect jump: a power of two.
pub const RECENT: usize = 16;

/// Most targets of an indirect jump that are remembered.
const MAX_TARGETS: usize = 48;

impl Entry {
    /// An entry that is found by nobody yet.
    pub fn new(block: Block) -> Entry {
        Entry {
            count: AtomicU32::new(0),
            alarm: AtomicU32::new(0),
            patience: AtomicU32::new(0),
            code: Default::default(),
            live: AtomicBool::new(true),
            interpret_only: AtomicBool::new(false),
            asked: AtomicU8::new(0),
            quick: AtomicU8::new(0),
            next: (AtomicU64::new(block.end), AtomicUsize::new(0)),
            block,
            rare: OnceLock::new(),
        }
    }

    /// Remembers which block has followed this one.
    pub fn note_next(&self, next: &Entry) {
        if self.next.0.load(Ordering::Relaxed) != next.block.pc {
            self.next.0.store(next.block.pc, Ordering::Relaxed);
            self.next.1.store(std::ptr::from_ref(next) as usize, Ordering::Relaxed);
        }
    }

    /// Counts an execution by the interpreter; quick code counts itself. Threads may lose counts of each other.
    pub fn note_execution(&self) {
        self.count.store(self.executions().saturating_add(1), Ordering::Relaxed);
    }

    /// Times that it has been executed by the interpreter and as quick code, roughly.
    pub fn executions(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Host address of generated code that begins here and was made for `mode`, or 0.
    pub fn code(&self, mode: FpMode) -> usize {
        self.code[mode.place()].load(Ordering::Acquire)
    }

    /// See [`Entry::code`].
    pub fn set_code(&self, mode: FpMode, code: usize) {
        self.quick.fetch_and(!(1 << mode.place()), Ordering::Relaxed);
        self.code[mode.place()].store(code, Ordering::Release);
    }

    /// Sets code that is to be replaced when it has been executed often. It counts itself.
    pub fn set_quick_code(&self, mode: FpMode, code: usize) {
        self.quick.fetch_or(1 << mode.place(), Ordering::Relaxed);
        self.code[mode.place()].store(code, Ordering::Release);
    }

    /// True if quick code is to be made once there have been `quick` executions.
    pub fn wants_quick_code(&self, mode: FpMode, quick: u32) -> bool {
        self.executions() >= quick && self.quick.load(Ordering::Relaxed) & tried(mode) == 0
    }

    /// Notes that quick code has been made, or cannot be made.
    pub fn note_quick_code(&self, mode: FpMode) {
        self.quick.fetch_or(tried(mode), Ordering::Relaxed);
    }

    /// True if its code is that of [`Entry::set_quick_code`].
    pub fn is_quick(&self, mode: FpMode) -> bool {
        self.quick.load(Ordering::Relaxed) & 1 << mode.place() != 0
    }

    /// True if there is code that stays.
    pub fn has_region(&self, mode: FpMode) -> bool {
        self.code(mode) != 0 && !self.is_quick(mode)
    }

    /// The host address of the count of executions, and how far behind it the alarm is: for quick code.
    pub fn counter(&self) -> (usize, i8) {
        (self.count.as_ptr() as usize, (offset_of!(Entry, alarm) - offset_of!(Entry, count)) as i8)
    }

    /// Has quick code leave when it has been executed `warm` or `hot` times, or after that when there is patience no more.
    pub fn set_alarm(&self, warm: u32, hot: u32) {
        let executions = self.executions();
        let next = [warm, hot, self.patience.load(Ordering::Relaxed)].into_iter().filter(|&next| next > executions);
        // 0 is nearly never.
        self.alarm.store(next.min().unwrap_or(0), Ordering::Relaxed);
    }

    /// Forgets its code for `mode`, and that somebody has asked for it.
    pub fn forget_code(&self, mode: FpMode) {
        self.set_code(mode, 0);
        self.quick.fetch_and(!tried(mode), Ordering::Relaxed);
        self.asked.fetch_and(!(1 << mode.place()), Ordering::Relaxed);
    }

    /// Notes that code for `mode` is wanted. False if that was so already.
    pub fn ask_for_code(&self, mode: FpMode) -> bool {
        let bit = 1 << mode.place();
        self.asked.load(Ordering::Relaxed) & bit == 0 && self.asked.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Lets nobody ask for code before it has been interpreted `hot` times more: it is part of a region that begins
    /// elsewhere, or code could not be used. If it is still interpreted that often, it is worth a region of its own.
    pub fn postpone_code(&self, mode: FpMode, hot: u32) {
        self.patience.store(self.executions().saturating_add(hot), Ordering::Relaxed);
        self.asked.fetch_and(!(1 << mode.place()), Ordering::Relaxed);
    }

    /// True if it has been interpreted `hot` times, also since [`Entry::postpone_code`].
    pub fn is_hot(&self, hot: u32) -> bool {
        let executions = self.executions();
        executions >= hot && executions >= self.patience.load(Ordering::Relaxed)
    }

    /// True if a thread in `mode` has something else to do than interpret it: there is code, or code is to be asked for,
    /// or it is just getting `warm`, or worth `quick` code.
    pub fn wants_code(&self, mode: FpMode, hot: u32, warm: u32, quick: u32) -> bool {
        self.code(mode) != 0
            || self.executions() == warm
            || self.wants_quick_code(mode, quick)
            || self.is_hot(hot) && self.asked.load(Ordering::Relaxed) & 1 << mode.place() == 0 && !self.refuses_code()
    }

    /// Remembers that the compiler could not compile it.
    pub fn refuse_code(&self) {
        self.interpret_only.store(true, Ordering::Relaxed);
    }

    /// True after [`Entry::refuse_code`].
    pub fn refuses_code(&self) -> bool {
        self.interpret_only.load(Ordering::Relaxed)
    }

    /// False once it has been removed from the cache by itself: it may be stale.
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Counts that what generated code leaves out of the block has been gone on with at a micro-op. True if that has
    /// happened `often` times in a short while: it is then better not left out.
    pub fn note_cold(&self, at: u32, often: u32) -> bool {
        let new = || Cold { since: Instant::now(), counts: Vec::new(), warm: Vec::new() };
        let mut cold = lock(&self.rare().cold);
        let Cold { since, counts, .. } = cold.get_or_insert_with(new);
        let count = match counts.iter_mut().find(|(known, _)| *known == at) {
            Some((_, count)) => count,
            None => {
                counts.push((at, 0));
                &mut counts.last_mut().expect("just pushed").1
            }
        };
        *count += 1;
        if *count < often {
            return false;
        }
        let is_often = since.elapsed() < OFTEN_WITHIN;
        if !is_often {
            (*since, *counts) = (Instant::now(), Vec::new());
        }
        is_often
    }

    /// Has what has been gone on with, if not `often` then nearly so, no longer left out.
    pub fn warm_up(&self, often: u32) {
        let Some(rare) = self.rare.get() else { return };
        let Some(Cold { counts, warm, .. }) = &mut *lock(&rare.cold) else { return };
        let now = counts.drain(..).filter(|(_, count)| *count >= (often / WARM_PART).max(1));
        warm.extend(now.map(|(at, _)| at));
    }

    /// The micro-ops at which generated code leaves nothing out.
    pub fn warm(&self) -> Vec<u32> {
        let Some(rare) = self.rare.get() else { return Vec::new() };
        lock(&rare.cold).as_ref().map_or(Vec::new(), |cold| cold.warm.clone())
    }

    /// Remembers where the block's indirect jump led, each address once, at most [`MAX_TARGETS`].
    pub fn note_target(&self, pc: u64) {
        let mut targets = lock(&self.rare().targets);
        if targets.len() < MAX_TARGETS && !targets.contains(&pc) {
            targets.push(pc);
        }
    }

    /// Where its indirect jump has led while it was interpreted, and lately.
    pub fn targets(&self) -> Vec<u64> {
        let Some(rare) = self.rare.get() else { return Vec::new() };
        let mut targets = lock(&rare.targets).clone();
        for recent in &rare.recent {
            let pc = recent.load(Ordering::Relaxed);
            if pc != 0 && targets.len() < MAX_TARGETS && !targets.contains(&pc) {
                targets.push(pc);
            }
        }
        targets
    }

    /// The host address at which quick code notes where it goes, [`RECENT`] words, one after the other.
    pub fn recent(&self) -> usize {
        self.rare().recent.as_ptr() as usize
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }
}

/// The bit that says that quick code has been tried.
fn tried(mode: FpMode) -> u8 {
    16 << mode.place()
}

impl Deref for Entry {
    type Target = Block;

    fn deref(&self) -> &Block {
        &self.block
    }
}

/// Log2 of the number of slots in the front table.
const FRONT_BITS: u32 = 15;

/// Bytes of an entry that are fetched ahead: up to its first micro-ops.
const PREFETCHED: usize = 192;

/// A block and what it is found by, see [`Front::word`], or nothing.
type FrontSlot = Option<(u64, Arc<Entry>)>;

/// A thread's own direct-mapped copy of part of the cache. Blocks that have been removed are not found.
#[derive(Debug)]
pub struct Front {
    slots: Box<[FrontSlot]>,
    /// See [`Front::renew`].
    generation: u64,
}

impl Default for Front {
    fn default() -> Self {
        Front { slots: vec![None; 1 << FRONT_BITS].into(), generation: 0 }
    }
}

impl Front {
    /// Forgets what it has kept in an earlier generation: all blocks of the cache have been taken at once since.
    #[inline]
    pub fn renew(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Front { generation, ..Front::default() };
        }
    }

    /// What a block is found by, in one word. None for an odd address, where no instruction is.
    fn word(pc: u64, enters: bool) -> Option<u64> {
        (pc & 1 == 0).then_some(pc | u64::from(enters))
    }

    fn slot(word: u64) -> usize {
        // Blocks of a loop or of neighbouring functions stand apart.
        (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FRONT_BITS)) as usize
    }

    /// Finds the block at `pc`.
    #[inline]
    pub fn find(&self, pc: u64, enters: bool) -> Option<&Arc<Entry>> {
        let word = Self::word(pc, enters)?;
        match &self.slots[Self::slot(word)] {
            Some((known, entry)) if *known == word && entry.is_live() => Some(entry),
            _ => None,
        }
    }

    /// Has the host fetch what followed a block the last time, and the way to it, while there is something else to do.
    #[inline]
    pub fn prefetch_next(&self, entry: &Entry) {
        let (pc, next) = &entry.next;
        if let Some(word) = Self::word(pc.load(Ordering::Relaxed), true) {
            prefetch(std::ptr::from_ref(&self.slots[Self::slot(word)]) as usize, size_of::<FrontSlot>());
        }
        // It may be no more: nothing is read there.
        prefetch(next.load(Ordering::Relaxed), PREFETCHED);
    }

    /// Remembers a block in place of another one.
    pub fn keep(&mut self, entry: Arc<Entry>, enters: bool) {
        if let Some(word) = Self::word(entry.block.pc, enters) {
            self.slots[Self::slot(word)] = Some((word, entry));
        }
    }
}

/// All blocks. Those that control flow enters and the rests of blocks, of which there are few, are different blocks, also
/// at the same address.
#[derive(Debug, Default)]
pub struct Cache {
    entered: Blocks,
    rests: Blocks,
    /// See [`Cache::executed`]; of what has been removed.
    executed: (u64, u64),
}

/// Blocks by address.
#[derive(Debug, Default)]
struct Blocks {
    by_pc: HashMap<u64, Arc<Entry>, foldhash::fast::FixedState>,
    by_page: HashMap<u64, Vec<u64>, foldhash::fast::FixedState>,
}

impl Cache {
    fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entered.by_pc.values().chain(self.rests.by_pc.values())
    }

    /// Finds the block at `pc`.
    pub fn find(&self, pc: u64, enters: bool) -> Option<Arc<Entry>> {
        let blocks = if enters { &self.entered } else { &self.rests };
        blocks.by_pc.get(&pc).cloned()
    }

    /// Forgets all generated code; the blocks stay.
    pub fn forget_code(&mut self) {
        for entry in self.all() {
            FpMode::ALL.into_iter().for_each(|mode| entry.forget_code(mode));
        }
    }

    /// Adds a block.
    pub fn insert(&mut self, block: Block, enters: bool) -> Arc<Entry> {
        let blocks = if enters { &mut self.entered } else { &mut self.rests };
        for page in block.pc / PAGE..=(block.end.max(block.pc.saturating_add(1)) - 1) / PAGE {
            blocks.by_page.entry(page).or_default().push(block.pc);
        }
        let entry = Arc::new(Entry::new(block));
        blocks.by_pc.insert(entry.block.pc, entry.clone());
        entry
    }

    /// Removes the blocks that overlap `range`, and lists their addresses in `removed`. No thread may be inside a block.
    pub fn remove(&mut self, range: &Range<u64>, removed: &mut Vec<u64>) {
        for entry in self.entered.remove(range).into_iter().chain(self.rests.remove(range)) {
            removed.push(entry.block.pc);
            note_executed(&mut self.executed, &entry);
            entry.live.store(false, Ordering::Release);
            FpMode::ALL.into_iter().for_each(|mode| entry.forget_code(mode));
        }
    }

    /// Takes all blocks at once: they are no longer in use, and still say that they are live. No thread may be inside one.
    pub fn take(&mut self) -> Cache {
        let executed = std::mem::take(&mut self.executed);
        Cache { executed: (0, 0), ..std::mem::replace(self, Cache { executed, ..Cache::default() }) }
    }

    /// Adds what blocks have been executed that have been taken: see [`Cache::executed`].
    pub fn add_executed(&mut self, (executions, insns): (u64, u64)) {
        self.executed.0 += executions;
        self.executed.1 += insns;
    }

    /// How often blocks have been executed by the interpreter and as quick code, and the instructions in them, roughly.
    pub fn executed(&self) -> (u64, u64) {
        let mut sum = self.executed;
        self.all().for_each(|entry| note_executed(&mut sum, entry));
        sum
    }

    /// The blocks on the page of `addr` that control flow enters.
    pub fn on_page(&self, addr: u64) -> impl Iterator<Item = &Arc<Entry>> {
        let blocks = self.entered.by_page.get(&(addr / PAGE)).into_iter().flatten();
        blocks.filter_map(|pc| self.entered.by_pc.get(pc))
    }

    /// True if blocks stand on the page of `addr`.
    pub fn has_page(&self, addr: u64) -> bool {
        [&self.entered, &self.rests].iter().any(|blocks| blocks.by_page.contains_key(&(addr / PAGE)))
    }

    /// Number of blocks that are in use.
    pub fn len(&self) -> usize {
        self.entered.by_pc.len() + self.rests.by_pc.len()
    }

    /// True if no block is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Blocks {
    /// Removes the blocks that overlap `range`.
    fn remove(&mut self, range: &Range<u64>) -> Vec<Arc<Entry>> {
        let mut removed = Vec::new();
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        // A range that spans most of the address space is cheaper to walk by what is there.
        let pages: Vec<u64> = if pages.end - pages.start > self.by_page.len() as u64 {
            self.by_page.keys().copied().filter(|page| pages.contains(page)).collect()
        } else {
            pages.collect()
        };
        for page in pages {
            let Some(blocks) = self.by_page.get_mut(&page) else { continue };
            blocks.retain(|pc| {
                // Most blocks on the page end before the range or begin behind it, which needs no look at them.
                if *pc >= range.end || pc.saturating_add(MAX_BYTES) <= range.start {
                    return true;
                }
                match self.by_pc.get(pc) {
                    Some(entry) if entry.block.end <= range.start => return true,
                    Some(_) => removed.extend(self.by_pc.remove(pc)),
                    None => {}
                }
                false
            });
            if blocks.is_empty() {
                self.by_page.remove(&page);
            }
        }
        removed
    }
}

fn note_executed(sum: &mut (u64, u64), entry: &Entry) {
    let executions = u64::from(entry.executions());
    sum.0 += executions;
    sum.1 += executions * entry.block.insns.len() as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(pc: u64, end: u64) -> Block {
        Block { pc, end, ..Block::default() }
    }

    #[test]
    fn removal_takes_overlapping_blocks_only() {
        let mut cache = Cache::default();
        cache.insert(block(0x1000, 0x1010), true);
        cache.insert(block(0x1010, 0x1020), true);
        cache.insert(block(0x1008, 0x1010), false);
        let mut removed = Vec::new();
        cache.remove(&(0x1010..0x1014), &mut removed);
        assert_eq!(removed, [0x1010]);
        assert!(cache.find(0x1010, true).is_none());
        assert!(cache.find(0x1000, true).is_some());
        assert!(cache.find(0x1008, true).is_none());
        assert!(cache.find(0x1008, false).is_some());
        cache.remove(&(0..u64::MAX), &mut removed);
        assert_eq!(removed.len(), 3);
        assert!(cache.is_empty());
    }

    /// A start of Python has 36,000 of them.
    #[test]
    fn entries_are_small() {
        assert!(size_of::<Entry>() <= 208, "{}", size_of::<Entry>());
    }

    #[test]
    fn blocks_of_an_earlier_generation_are_not_found() {
        let (mut cache, mut front) = (Cache::default(), Front::default());
        front.keep(cache.insert(block(0x1000, 0x1010), true), true);
        assert!(front.find(0x1000, true).is_some());
        assert_eq!((cache.take().len(), cache.len()), (1, 0));
        front.renew(1);
        assert!(front.find(0x1000, true).is_none());
        front.keep(cache.insert(block(0x1000, 0x1010), true), true);
        assert!(front.find(0x1000, true).is_some());
    }

    #[test]
    fn code_is_asked_for_once_for_each_mode() {
        let entry = Entry::new(block(0x1000, 0x1010));
        let execute = |times: u32| (0..times).for_each(|_| entry.note_execution());
        execute(2);
        assert!(!entry.wants_code(FpMode::Native, 3, u32::MAX, u32::MAX));
        execute(1);
        assert!(entry.wants_code(FpMode::Native, 3, u32::MAX, u32::MAX));
        assert!(entry.ask_for_code(FpMode::Native) && !entry.ask_for_code(FpMode::Native));
        assert!(
            !entry.wants_code(FpMode::Native, 3, u32::MAX, u32::MAX)
                && entry.wants_code(FpMode::Reference, 3, u32::MAX, u32::MAX)
        );
        entry.postpone_code(FpMode::Native, 3);
        execute(2);
        assert!(!entry.wants_code(FpMode::Native, 3, u32::MAX, u32::MAX));
        execute(1);
        assert!(entry.wants_code(FpMode::Native, 3, u32::MAX, u32::MAX));
        entry.set_code(FpMode::Native, 0x5000);
        entry.forget_code(FpMode::Native);
        assert!(entry.code(FpMode::Native) == 0 && entry.ask_for_code(FpMode::Native));
    }
}
