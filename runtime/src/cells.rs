//! Run-time cells: numbers of probes that generated code reads and changes in place.
//!
//! While there is one guest thread, a cell is one word. Once there are several, each thread counts
//! ([`Uop::CellInc`](crate::uop::Uop::CellInc)) in words of its own, without atomic steps and without sharing cache
//! lines; what a cell holds is then the sum of the common word and those of all threads. Their addresses never change.

use crate::machine::lock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The cells of a run.
#[derive(Debug)]
pub struct Cells {
    common: Arc<[AtomicU64]>,
    /// The counters of threads, other than the common words.
    threads: Mutex<Vec<Counters>>,
    used: AtomicU32,
}

/// The words in which one thread counts.
#[derive(Clone, Debug)]
pub struct Counters(Arc<[AtomicU64]>);

impl Cells {
    /// Number of cells. The host provides the memory of those that are used.
    pub const COUNT: usize = 1 << 20;

    /// Creates the cells, all 0.
    pub fn new() -> Arc<Cells> {
        Cells::with(crate::mem::host::zeroed_words(Cells::COUNT))
    }

    /// No cells, for a run without probes.
    pub fn none() -> Arc<Cells> {
        Cells::with(Arc::from([]))
    }

    fn with(common: Arc<[AtomicU64]>) -> Arc<Cells> {
        Arc::new(Cells { common, threads: Mutex::default(), used: AtomicU32::new(0) })
    }

    /// Returns a cell that nobody else has; it holds 0. `None` if all are taken.
    pub fn allocate(&self) -> Option<u32> {
        self.allocate_row(1)
    }

    /// Returns the first of `len` neighbouring cells that nobody else has; they hold 0. `None` if there is no room.
    pub fn allocate_row(&self, len: u32) -> Option<u32> {
        let step = |used: u32| used.checked_add(len).filter(|&end| end as usize <= self.common.len());
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()
    }

    /// Returns what a cell holds.
    pub fn get(&self, cell: u32) -> u64 {
        let threads = lock(&self.threads);
        let own: u64 = threads.iter().map(|counters| counters.word(cell).load(Ordering::Relaxed)).fold(0, wrapping);
        self.common[cell as usize].load(Ordering::Relaxed).wrapping_add(own)
    }

    /// Changes what a cell holds. What other threads count at the same moment may be lost.
    pub fn set(&self, cell: u32, value: u64) {
        let threads = lock(&self.threads);
        threads.iter().for_each(|counters| counters.word(cell).store(0, Ordering::Relaxed));
        self.common[cell as usize].store(value, Ordering::Relaxed);
    }

    /// Adds to a cell in one atomic step and returns what it then holds.
    pub fn add(&self, cell: u32, value: u64) -> u64 {
        let before = self.common[cell as usize].fetch_add(value, Ordering::Relaxed);
        let threads = lock(&self.threads);
        let own: u64 = threads.iter().map(|counters| counters.word(cell).load(Ordering::Relaxed)).fold(0, wrapping);
        before.wrapping_add(value).wrapping_add(own)
    }

    /// The words in which a lone thread counts: the common ones.
    pub fn common(&self) -> Counters {
        Counters(self.common.clone())
    }

    /// New words for one of several threads; [`Cells::retire`] ends their use.
    pub fn for_thread(&self) -> Counters {
        if self.common.is_empty() {
            return self.common();
        }
        let counters = Counters(crate::mem::host::zeroed_words(self.common.len()));
        lock(&self.threads).push(counters.clone());
        counters
    }

    /// Adds up what a thread has counted, which counts no more.
    pub fn retire(&self, counters: &Counters) {
        let mut threads = lock(&self.threads);
        let Some(index) = threads.iter().position(|other| Arc::ptr_eq(&other.0, &counters.0)) else { return };
        let counters = threads.swap_remove(index);
        for cell in 0..self.used.load(Ordering::Relaxed) {
            self.common[cell as usize].fetch_add(counters.word(cell).load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

fn wrapping(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

impl Counters {
    fn word(&self, cell: u32) -> &AtomicU64 {
        &self.0[cell as usize]
    }

    /// Counts. Only the thread whose words these are may call it.
    #[inline]
    pub fn inc(&self, cell: u32, n: u64) {
        let word = self.word(cell);
        word.store(word.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The host address of the first word, for generated code.
    pub fn address(&self) -> usize {
        self.0.as_ptr() as usize
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
        assert_eq!((cells.allocate_row(3), cells.allocate()), (Some(0), Some(3)));
        assert_eq!(cells.allocate_row(u32::MAX), None);
        assert_eq!(cells.allocate_row(Cells::COUNT as u32 - 4), Some(4));
        assert_eq!(cells.allocate(), None);
    }

    #[test]
    fn a_run_without_probes_has_no_cells() {
        let cells = Cells::none();
        assert_eq!(cells.allocate(), None);
        cells.retire(&cells.for_thread());
    }
}
