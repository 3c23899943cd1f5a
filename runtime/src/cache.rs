//! The translation cache: blocks by guest address, and which of them stand on which page.
//!
//! It owns blocks and remembers generated code for them; it neither translates nor executes.

use crate::block::Block;
use crate::mem::PAGE;
use hashbrown::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Number of a cached block. Numbers are not used again until the cache is cleared.
pub type BlockId = u32;

/// A cached block.
#[derive(Debug)]
pub struct Entry {
    /// The micro-ops.
    pub block: Arc<Block>,
    /// Times that the interpreter has run it.
    pub count: u32,
    /// Host address of generated code that begins here, or 0.
    pub code: usize,
    /// Where its indirect jump has led while it was interpreted, each address once, at most [`MAX_TARGETS`].
    pub targets: Vec<u64>,
    /// The compiler could not compile it.
    pub interpret_only: bool,
    live: bool,
}

/// Most targets of an indirect jump that are remembered.
const MAX_TARGETS: usize = 48;

impl Entry {
    /// Remembers where the block's indirect jump led.
    pub fn note_target(&mut self, pc: u64) {
        if self.targets.len() < MAX_TARGETS && !self.targets.contains(&pc) {
            self.targets.push(pc);
        }
    }
}
/// What a block is found by: its address, and whether control flow enters it. Blocks that control flow enters and rests
/// of blocks at the same address are different blocks.
type Key = (u64, bool);

/// Log2 of the number of slots in the front table.
const FRONT_BITS: u32 = 12;

/// Blocks by address.
#[derive(Debug)]
pub struct Cache {
    entries: Vec<Entry>,
    by_key: HashMap<Key, BlockId, foldhash::fast::FixedState>,
    by_page: HashMap<u64, Vec<Key>, foldhash::fast::FixedState>,
    /// A direct-mapped copy of part of `by_key`: key and number.
    front: Box<[Option<(Key, BlockId)>]>,
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            entries: Vec::new(),
            by_key: HashMap::default(),
            by_page: HashMap::default(),
            front: vec![None; 1 << FRONT_BITS].into(),
        }
    }
}

/// The slot of the front table for a key.
fn front_slot((pc, enters): Key) -> usize {
    (pc as usize >> 1 ^ usize::from(enters)) & ((1 << FRONT_BITS) - 1)
}

impl Cache {
    /// Finds the block at `pc`.
    #[inline]
    pub fn find(&mut self, pc: u64, enters: bool) -> Option<BlockId> {
        let key = (pc, enters);
        let slot = &mut self.front[front_slot(key)];
        if let Some((known, id)) = *slot
            && known == key
        {
            return Some(id);
        }
        let id = *self.by_key.get(&key)?;
        *slot = Some((key, id));
        Some(id)
    }

    /// Returns a cached block.
    #[inline]
    pub fn entry(&mut self, id: BlockId) -> &mut Entry {
        &mut self.entries[id as usize]
    }

    /// Forgets all generated code; the blocks stay.
    pub fn forget_code(&mut self) {
        for entry in &mut self.entries {
            entry.code = 0;
        }
    }

    /// Adds a block.
    pub fn insert(&mut self, block: Block, enters: bool) -> BlockId {
        let key = (block.pc, enters);
        let id = self.entries.len() as BlockId;
        self.by_key.insert(key, id);
        for page in block.pc / PAGE..=(block.end.max(block.pc.saturating_add(1)) - 1) / PAGE {
            self.by_page.entry(page).or_default().push(key);
        }
        self.entries.push(Entry {
            block: Arc::new(block),
            count: 0,
            code: 0,
            targets: Vec::new(),
            interpret_only: false,
            live: true,
        });
        id
    }

    /// Removes the blocks that overlap `range` and returns their addresses.
    pub fn remove(&mut self, range: Range<u64>) -> Vec<u64> {
        let mut removed = Vec::new();
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        // A range that spans most of the address space is cheaper to walk by what is there.
        let pages: Vec<u64> = if pages.end - pages.start > self.by_page.len() as u64 {
            self.by_page.keys().copied().filter(|page| pages.contains(page)).collect()
        } else {
            pages.collect()
        };
        for page in pages {
            let Some(mut keys) = self.by_page.remove(&page) else { continue };
            keys.retain(|key| {
                let Some(&id) = self.by_key.get(key) else { return false };
                let block = &self.entries[id as usize].block;
                if block.pc >= range.end || block.end <= range.start {
                    return true;
                }
                removed.push(block.pc);
                self.by_key.remove(key);
                self.front[front_slot(*key)] = None;
                let entry = &mut self.entries[id as usize];
                (entry.live, entry.code) = (false, 0);
                false
            });
            if !keys.is_empty() {
                self.by_page.insert(page, keys);
            }
        }
        removed
    }

    /// True if blocks stand on the page of `addr`.
    pub fn has_page(&self, addr: u64) -> bool {
        self.by_page.contains_key(&(addr / PAGE))
    }

    /// Number of blocks that are in use.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// True if no block is in use.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
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
        assert_eq!(cache.remove(0x1010..0x1014), [0x1010]);
        assert!(cache.find(0x1010, true).is_none());
        assert!(cache.find(0x1000, true).is_some());
        assert!(cache.find(0x1008, true).is_none());
        assert!(cache.find(0x1008, false).is_some());
        assert_eq!(cache.remove(0..u64::MAX).len(), 2);
        assert!(cache.is_empty());
    }
}
