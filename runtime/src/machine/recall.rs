//! Generated code that an earlier run has left in the [`Store`]: taking it, and leaving more.
//!
//! Code of the store takes the place of the same guest instructions only: their bytes are compared before, and none of
//! them may have probes. Its blocks need not be translated, but for those whose micro-ops the code refers to.

use super::{Machine, Translations, WARM, lock};
use crate::cache::Entry;
use crate::gate;
use crate::jit::{Address, Code, Draft, FpMode};
use crate::mem::PAGE;
use crate::store::{Folder, Identity, Record, Store};
use crate::vm::Tier;
use hashbrown::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Machine {
    /// Uses the store of `program` in `folder` from now on.
    ///
    /// # Errors
    /// The host's error if there can be none; permission denied if others can write there.
    pub(crate) fn set_store(&self, folder: &Folder, program: &Path) -> std::io::Result<()> {
        let translations = self.translations();
        let Some(compiler) = &translations.compiler else { return Ok(()) };
        let options =
            format!("{} {:?} {:?} {}", self.isa.arch(), self.config.tier, self.counting, compiler.description());
        *lock(&self.store) = Some(Store::open(folder, &Identity::new(program, &options)?)?);
        // With one processor the guest would wait for it.
        let has_room = std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        if has_room && self.config.tier == Tier::Auto && !self.config.compile_at_once {
            self.warm.store(WARM, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives a block the code that the store has for it, if any.
    pub(super) fn recall(&self, translations: &mut Translations, entry: &Entry) {
        let mut store = lock(&self.store);
        let (Some(store), true) = (&mut *store, translations.jit.is_some()) else { return };
        for mode in FpMode::ALL {
            if entry.has_region(mode) {
                continue;
            }
            let placed = translations.jit.as_ref().map_or(0, |jit| jit.code_at(entry.block.pc, mode));
            if placed != 0 {
                // It was put in place before this block was translated.
                entry.set_code(mode, placed);
            } else if let Some(record) = store.take(entry.block.pc, mode, translations.parallel) {
                match self.put_back(translations, record) {
                    Some(()) => translations.made.recalled += 1,
                    None => translations.made.outdated += 1,
                }
            }
        }
    }

    /// Puts the code of a region in place. `None` if it is not for what is in memory, or not for what the probes want.
    fn put_back(&self, translations: &mut Translations, record: Record) -> Option<()> {
        let is_there = |(block, bytes): (&Range<u64>, &[u8])| {
            // An instruction is two bytes at least.
            let mut parts = (block.start..block.end).step_by(2).zip(bytes.chunks_exact(2));
            let is_same = parts.all(|(pc, bytes)| self.memory.fetch::<2>(pc).is_ok_and(|there| there == bytes));
            is_same && !(gate::has_others() && self.may_be_written(block.start))
        };
        if !record.guest_code().all(is_there) {
            return None;
        }
        let mut kept: HashMap<usize, Arc<Entry>> = HashMap::new();
        let blocks = &record.shape.blocks;
        for (index, block) in blocks.iter().enumerate() {
            let refers = |address| matches!(address, Address::Uop { block, .. } if block as usize == index);
            let is_needed = record.code.places.iter().any(|place| refers(place.address));
            if is_needed || self.probes.is_some() {
                let found = translations.cache.find(block.start, true);
                let entry = found.unwrap_or_else(|| self.translate(translations, block.start, true));
                if entry.block.is_probed() || entry.block.end != block.end {
                    return None;
                }
                if is_needed {
                    kept.insert(index, entry);
                }
            }
        }
        for block in blocks {
            self.memory.mark_code(block.start);
            if (block.end - 1) / PAGE != block.start / PAGE {
                self.memory.mark_code(block.end - 1);
            }
        }
        let (root, mode) = (blocks.first()?.start, record.shape.mode);
        translations.made.recalled_bytes += record.guest.len() as u64;
        let compiled = translations.jit.as_mut()?.put(record.shape, kept, &record.code)?;
        self.place(translations, root, mode, &compiled);
        Some(())
    }

    /// What the store is to keep of a region that has been compiled. `None` if it has probes, or nothing is kept.
    pub(super) fn to_keep(&self, draft: &Draft, region: &[Arc<Entry>], code: &Code) -> Option<Record> {
        lock(&self.store).as_ref()?;
        if region.iter().any(|entry| entry.block.is_probed()) {
            return None;
        }
        let insns = region.iter().flat_map(|entry| entry.block.insns());
        let guest = insns.flat_map(|insn| insn.bits.to_le_bytes().into_iter().take(usize::from(insn.len))).collect();
        Some(Record { shape: draft.shape(), guest, code: code.clone() })
    }

    /// Keeps a region for later runs.
    pub(super) fn keep(&self, record: &Record) {
        if let Some(store) = &mut *lock(&self.store) {
            store.add(record);
        }
    }
}
