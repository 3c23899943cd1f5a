//! Run-time cells: numbers of probes that generated code reads and changes in place.
//!
//! While there is one guest thread, a cell is one word. Once there are several, each thread counts
//! ([`Uop::CellInc`](crate::uop::Uop::CellInc)) in words of its own, without atomic steps and without sharing cache
//! lines; what a cell holds is then the sum of the common word and those of all threads. Their addresses never change.
//! Which cell belongs to a key that is known only at run time, generated code finds in an index ([`crate::keys`]).

use crate::keys::Keys;
use crate::machine::lock;
use crate::records::{Records, Ring};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// The cells of a run.
#[derive(Debug)]
pub struct Cells {
    common: Counters,
    /// What threads leave to be printed.
    records: Records,
    /// The counters of threads, other than the common words.
    threads: Mutex<Vec<Counters>>,
    used: AtomicU32,
    /// The indexes by which generated code finds cells. Those that are there are the first.
    indexes: [OnceLock<Keys>; MOST_INDEXES],
    /// Those of them that nobody has.
    spare_indexes: Mutex<Vec<u32>>,
}

/// Most indexes of keys.
const MOST_INDEXES: usize = 256;

/// The words in which one thread counts, and the ring in which it leaves records.
#[derive(Clone, Debug)]
pub struct Counters {
    words: Arc<[AtomicU64]>,
    ring: Ring,
}

impl Cells {
    /// Number of cells. The host provides the memory of those that are used.
    pub const COUNT: usize = 1 << 20;

    /// What an index says of a key that it does not have: counting there changes nothing that anybody reads.
    pub const NOWHERE: std::ops::Range<u32> = 0..128;

    /// Creates the cells, all 0.
    pub fn new() -> Arc<Cells> {
        Cells::with(crate::mem::host::zeroed_words(Cells::COUNT))
    }

    /// No cells, for a run without probes.
    pub fn none() -> Arc<Cells> {
        Cells::with(Arc::from([]))
    }

    fn with(common: Arc<[AtomicU64]>) -> Arc<Cells> {
        let used = AtomicU32::new(Cells::NOWHERE.end);
        let indexes = [const { OnceLock::new() }; MOST_INDEXES];
        let records = Records::default();
        let ring = if common.is_empty() { Ring::none() } else { records.ring() };
        let common = Counters { words: common, ring };
        Arc::new(Cells { common, records, threads: Mutex::default(), used, indexes, spare_indexes: Mutex::default() })
    }

    /// Returns a cell that nobody else has; it holds 0. `None` if all are taken.
    pub fn allocate(&self) -> Option<u32> {
        self.allocate_row(1)
    }

    /// Returns the first of `len` neighbouring cells that nobody else has; they hold 0. `None` if there is no room.
    pub fn allocate_row(&self, len: u32) -> Option<u32> {
        let step = |used: u32| used.checked_add(len).filter(|&end| end as usize <= self.common.words.len());
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()
    }

    /// As [`Cells::allocate_row`] for what is not known to be needed: something is left for what is.
    pub fn allocate_spare_row(&self, len: u32) -> Option<u32> {
        (self.used.load(Ordering::Relaxed) < self.common.words.len() as u32 / 4 * 3).then(|| self.allocate_row(len))?
    }

    /// Returns the number of an index that nobody else has. `None` if all are taken.
    pub fn allocate_index(&self) -> Option<u32> {
        let spare = lock(&self.spare_indexes).pop();
        spare.or_else(|| {
            self.indexes.iter().zip(0..).find_map(|(index, number)| index.set(Keys::empty()).ok().map(|()| number))
        })
    }

    /// Gives an index up, which no code asks any more.
    pub fn free_index(&self, number: u32) {
        self.keys(number).clear_all();
        lock(&self.spare_indexes).push(number);
    }

    /// Returns an index.
    pub fn keys(&self, number: u32) -> &Keys {
        self.indexes[number as usize].get().expect("an index that has been allocated")
    }

    /// True if threads count in words of their own: there are several.
    pub fn is_parallel(&self) -> bool {
        !lock(&self.threads).is_empty()
    }

    /// Returns what a cell holds without what threads count in words of their own.
    pub fn get_common(&self, cell: u32) -> u64 {
        self.common.word(cell).load(Ordering::Relaxed)
    }

    /// Returns what a cell holds.
    pub fn get(&self, cell: u32) -> u64 {
        let threads = lock(&self.threads);
        let own: u64 = threads.iter().map(|counters| counters.word(cell).load(Ordering::Relaxed)).fold(0, wrapping);
        self.common.word(cell).load(Ordering::Relaxed).wrapping_add(own)
    }

    /// Changes what a cell holds. What other threads count at the same moment may be lost.
    pub fn set(&self, cell: u32, value: u64) {
        let threads = lock(&self.threads);
        threads.iter().for_each(|counters| counters.word(cell).store(0, Ordering::Relaxed));
        self.common.word(cell).store(value, Ordering::Relaxed);
    }

    /// Adds to a cell in one atomic step and returns what it then holds.
    pub fn add(&self, cell: u32, value: u64) -> u64 {
        let before = self.common.word(cell).fetch_add(value, Ordering::Relaxed);
        let threads = lock(&self.threads);
        let own: u64 = threads.iter().map(|counters| counters.word(cell).load(Ordering::Relaxed)).fold(0, wrapping);
        before.wrapping_add(value).wrapping_add(own)
    }

    /// The words in which a lone thread counts: the common ones.
    pub fn common(&self) -> Counters {
        self.common.clone()
    }

    /// What threads have left to be printed.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The host address of the common words, for generated code.
    pub fn address(&self) -> usize {
        self.common.address()
    }

    /// New words for one of several threads; [`Cells::retire`] ends their use.
    pub fn for_thread(&self) -> Counters {
        if self.common.words.is_empty() {
            return self.common();
        }
        let words = crate::mem::host::zeroed_words(self.common.words.len());
        let counters = Counters { words, ring: self.records.ring() };
        lock(&self.threads).push(counters.clone());
        counters
    }

    /// Adds up what a thread has counted, which counts no more.
    pub fn retire(&self, counters: &Counters) {
        let mut threads = lock(&self.threads);
        let Some(index) = threads.iter().position(|other| Arc::ptr_eq(&other.words, &counters.words)) else { return };
        let counters = threads.swap_remove(index);
        self.records.retire(&counters.ring);
        for cell in 0..self.used.load(Ordering::Relaxed) {
            let counted = counters.word(cell).load(Ordering::Relaxed);
            if counted != 0 {
                self.common.word(cell).fetch_add(counted, Ordering::Relaxed);
            }
        }
    }
}

fn wrapping(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

impl Counters {
    fn word(&self, cell: u32) -> &AtomicU64 {
        &self.words[cell as usize]
    }

    /// Counts. Only the thread whose words these are may call it.
    #[inline]
    pub fn inc(&self, cell: u32, n: u64) {
        let word = self.word(cell);
        word.store(word.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The host address of the first word, for generated code.
    pub fn address(&self) -> usize {
        self.words.as_ptr() as usize
    }

    /// The same without a ring, so that everything is printed by its action.
    #[cfg(test)]
    pub(crate) fn without_ring(self) -> Counters {
        Counters { ring: Ring::none(), ..self }
    }

    /// The thread's ring.
    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_apart_and_are_read_together() {
        let cells = Cells::new();
        let cell = cells.allocate().unwrap();
        cells.common().inc(cell, 5);
        let (a, b) = (cells.for_thread(), cells.for_thread());
        a.inc(cell, 1);
        b.inc(cell, 2);
        assert_eq!(cells.get(cell), 8);
        assert_eq!(cells.add(cell, 10), 18);
        cells.retire(&a);
        assert_eq!(cells.get(cell), 18);
        cells.set(cell, 1);
        b.inc(cell, 1);
        assert_eq!(cells.get(cell), 2);
        cells.retire(&b);
        assert_eq!(cells.get(cell), 2);
    }

    #[test]
    fn rows_end_where_the_cells_do() {
        let cells = Cells::new();
        let first = Cells::NOWHERE.end;
        assert_eq!((cells.allocate_row(3), cells.allocate()), (Some(first), Some(first + 3)));
        assert_eq!(cells.allocate_row(u32::MAX), None);
        assert_eq!(cells.allocate_spare_row(1), Some(first + 4));
        assert_eq!(cells.allocate_row(Cells::COUNT as u32 - first - 6), Some(first + 5));
        assert_eq!(cells.allocate_spare_row(1), None);
        assert_eq!((cells.allocate(), cells.allocate()), (Some(Cells::COUNT as u32 - 1), None));
    }

    #[test]
    fn indexes_are_handed_out_once() {
        let cells = Cells::new();
        assert_eq!([cells.allocate_index(), cells.allocate_index()], [Some(0), Some(1)]);
        assert!(cells.keys(1).insert(5, 200, true));
        assert_eq!([cells.keys(0).find(5), cells.keys(1).find(5)], [0, 200]);
        cells.free_index(1);
        assert_eq!((cells.allocate_index(), cells.keys(1).find(5)), (Some(1), 0));
        assert!(!cells.is_parallel());
        let counters = cells.for_thread();
        assert!(cells.is_parallel());
        counters.inc(200, 3);
        assert_eq!((cells.get_common(200), cells.get(200)), (0, 3));
    }

    #[test]
    fn a_run_without_probes_has_no_cells() {
        let cells = Cells::none();
        assert_eq!((cells.allocate(), cells.allocate_spare_row(1)), (None, None));
        cells.retire(&cells.for_thread());
    }
}
