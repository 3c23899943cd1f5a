//! From integer keys to cells, for generated code: what a map holds under keys that are known only at run time.
//!
//! An index is a hash table with open addressing in words of the host that stay where they are. Who reads takes no lock
//! and makes no atomic step; who changes it is one thread at a time, behind the lock of the probes. Tables of different
//! sizes lie one behind the other, and the first word says which of them is in use: a larger one is filled first and then
//! said to be it. While other threads may be reading, nothing that they may have found changes its meaning: a key that is
//! removed leaves its place to itself, and a table that is too small is left as it is.

use crate::mem::host::zeroed_words;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places of the smallest and of the largest table, as powers of two.
const LEVELS: std::ops::RangeInclusive<u32> = 6..=19;
/// A key is found in the place that it is hashed to or in one of those behind it: there are so many at most. Keys for
/// which none is free are not in the index.
const LONGEST: usize = 64;
/// Words in front of the first table.
const HEAD: usize = 64;
/// Words of a place: the key, and what stands behind it.
const PLACE: usize = 2;
/// The word that says which table is in use: its distance in bytes, and in its low bits how far hashes are shifted.
const IN_USE: usize = 0;
/// The word that says how many places of that table have been taken.
const TAKEN: usize = 1;
/// The word that says how many of these have a key that is there.
const LIVE: usize = 2;
/// Set in the word behind a key; without a cell beside it the key has been removed.
const OCCUPIED: u64 = 1 << 63;

/// The low bits of [`IN_USE`].
pub(crate) const SHIFT_BITS: u64 = 63;
/// Keys are multiplied by it, and the highest bits of the product say where they are looked for first.
pub(crate) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// An index. Cell 0 stands for none.
#[derive(Clone, Debug)]
pub struct Keys(Arc<[AtomicU64]>);

/// Words in front of the table with `1 << level` places.
const fn first_word(level: u32) -> usize {
    let smaller = (1 << level) - (1 << *LEVELS.start()) + LONGEST * (level - *LEVELS.start()) as usize;
    HEAD + PLACE * smaller
}

/// Where a key is looked for first.
fn home(level: u32, key: u64) -> usize {
    first_word(level) + PLACE * (key.wrapping_mul(MULTIPLIER) >> (64 - level)) as usize
}

/// The most places of a table that are taken.
const fn room(level: u32) -> u64 {
    1 << level >> 1
}

impl Keys {
    /// An index without keys. The host provides the memory of what is used.
    pub fn empty() -> Keys {
        let keys = Keys(zeroed_words(first_word(*LEVELS.end() + 1)));
        keys.use_table(*LEVELS.start());
        keys
    }

    /// The host address of the first word, for generated code.
    pub fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }

    fn load(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Acquire)
    }

    fn store(&self, at: usize, value: u64) {
        self.0[at].store(value, Ordering::Release);
    }

    fn use_table(&self, level: u32) {
        self.store(IN_USE, (8 * first_word(level) as u64) | u64::from(64 - level));
    }

    fn level(&self) -> u32 {
        64 - (self.load(IN_USE) & SHIFT_BITS) as u32
    }

    /// The words of a table.
    fn table(level: u32) -> std::ops::Range<usize> {
        first_word(level)..first_word(level + 1)
    }

    /// The place of a key in a table, or the free one in which a search for it ends.
    fn place(&self, level: u32, key: u64) -> usize {
        let mut at = home(level, key);
        // What stands behind the key is written last, so it is read first.
        while self.load(at + 1) != 0 && self.load(at) != key {
            at += PLACE;
        }
        at
    }

    /// The cell of a key, or 0.
    pub fn find(&self, key: u64) -> u64 {
        let at = self.place(self.level(), key);
        self.load(at + 1) & u64::from(u32::MAX)
    }

    /// Puts a key in. `alone`: no other thread reads meanwhile. False if there is no room for it.
    pub fn insert(&self, key: u64, cell: u32, alone: bool) -> bool {
        let level = self.level();
        if self.put(level, key, cell) {
            return true;
        }
        if self.load(TAKEN) < room(level) {
            return false;
        }
        // Each table that is filled has room for many more.
        let live = self.load(LIVE);
        let fits = |level: u32| live < if level == *LEVELS.end() { room(level) / 8 * 7 } else { room(level) / 2 };
        let smallest = if alone { *LEVELS.start() } else { level + 1 };
        let Some(wanted) = (smallest..=*LEVELS.end()).find(|&level| fits(level)) else { return false };
        self.fill(wanted, &self.live(level));
        if alone && wanted != level {
            self.clear(level);
        }
        self.put(wanted, key, cell)
    }

    /// Makes a table that nobody reads the one in use, with these keys: those for which there is room.
    fn fill(&self, level: u32, all: &[(u64, u32)]) {
        self.clear(level);
        self.store(TAKEN, 0);
        self.store(LIVE, 0);
        for &(key, cell) in all {
            self.put(level, key, cell);
        }
        self.use_table(level);
    }

    /// Puts a key into a table, if that is not too full and the key not too far from where it is looked for.
    fn put(&self, level: u32, key: u64, cell: u32) -> bool {
        let at = self.place(level, key);
        let behind = self.load(at + 1);
        if behind == 0 {
            let taken = self.load(TAKEN);
            if taken >= room(level) || at - home(level, key) >= PLACE * LONGEST {
                return false;
            }
            self.store(TAKEN, taken + 1);
            self.store(at, key);
        }
        if behind as u32 == 0 {
            self.store(LIVE, self.load(LIVE) + 1);
        }
        self.store(at + 1, OCCUPIED | u64::from(cell));
        true
    }

    /// Takes a key out.
    pub fn remove(&self, key: u64) {
        let at = self.place(self.level(), key);
        if self.load(at + 1) as u32 != 0 {
            self.store(at + 1, OCCUPIED);
            self.store(LIVE, self.load(LIVE) - 1);
        }
    }

    /// Takes all keys out, while nobody reads.
    pub fn clear_all(&self) {
        self.fill(*LEVELS.start(), &[]);
    }

    /// The keys that are there, with their cells.
    fn live(&self, level: u32) -> Vec<(u64, u32)> {
        let places = Keys::table(level).step_by(PLACE);
        let all = places.map(|at| (self.load(at), self.load(at + 1) as u32));
        all.filter(|&(_, cell)| cell != 0).collect()
    }

    fn clear(&self, level: u32) {
        Keys::table(level).filter(|&at| self.load(at) != 0).for_each(|at| self.store(at, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashbrown::HashMap;

    /// The inverse of the multiplier: keys that are looked for at one place are its multiples of small numbers.
    fn inverse() -> u64 {
        (0..6).fold(MULTIPLIER, |x, _| x.wrapping_mul(2u64.wrapping_sub(MULTIPLIER.wrapping_mul(x))))
    }

    fn check(keys: &Keys, expected: &HashMap<u64, u32>) {
        assert!(expected.iter().all(|(&key, &cell)| keys.find(key) == u64::from(cell)));
        assert_eq!(keys.load(LIVE), expected.len() as u64);
        let mut all = keys.live(keys.level());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), expected.len());
    }

    #[test]
    fn tables_lie_one_behind_the_other() {
        let mut end = HEAD;
        for level in LEVELS {
            let table = Keys::table(level);
            assert_eq!((table.start, table.len()), (end, PLACE * ((1 << level) + LONGEST)));
            assert_eq!((8 * table.start as u64) & SHIFT_BITS, 0);
            end = table.end;
        }
        assert_eq!(Keys::empty().0.len(), end);
    }

    #[test]
    fn finds_what_was_put_in_whatever_the_keys() {
        for alone in [false, true] {
            for key in [|n: u64| n, |n: u64| n << 44, |n: u64| n.wrapping_mul(4096), |n: u64| (n as f64).to_bits()] {
                let (keys, mut expected) = (Keys::empty(), HashMap::new());
                for n in 0..150_000 {
                    assert_eq!(keys.find(key(n)), 0);
                    if keys.insert(key(n), n as u32 + 1, alone) {
                        expected.insert(key(n), n as u32 + 1);
                    }
                }
                assert!(expected.len() > 149_900, "{}", expected.len());
                check(&keys, &expected);
                for n in (0..150_000).filter(|n| n % 3 != 0) {
                    keys.remove(key(n));
                    keys.remove(key(n));
                    expected.remove(&key(n));
                    assert_eq!(keys.find(key(n)), 0);
                }
                check(&keys, &expected);
                for n in (0..150_000).filter(|n| n % 3 == 1) {
                    if keys.insert(key(n), 7, alone) {
                        expected.insert(key(n), 7);
                    }
                }
                check(&keys, &expected);
            }
        }
    }

    #[test]
    fn keys_that_collide_are_found_or_refused() {
        for alone in [false, true] {
            let (keys, inverse) = (Keys::empty(), inverse());
            assert_eq!(inverse.wrapping_mul(MULTIPLIER), 1);
            let mut expected = HashMap::new();
            let mut put = |keys: &Keys, key: u64| {
                if keys.insert(key, key as u32 | 1, alone) {
                    expected.insert(key, key as u32 | 1);
                }
                assert_eq!(keys.find(key) != 0, expected.contains_key(&key));
            };
            (0..2000).for_each(|n| put(&keys, inverse.wrapping_mul(n)));
            assert!(keys.load(LIVE) <= LONGEST as u64 && keys.level() < 10);
            (0..20_000).for_each(|n| put(&keys, n * 8));
            assert!(keys.load(LIVE) > 19_900);
            check(&keys, &expected);
        }
    }

    #[test]
    fn keys_that_come_and_go_take_no_room() {
        let keys = Keys::empty();
        for n in 0..1_000_000 {
            assert!(keys.insert(n, 1, true));
            keys.remove(n.wrapping_sub(20));
        }
        assert!(keys.level() <= LEVELS.start() + 1 && keys.load(LIVE) == 20);
    }

    #[test]
    fn a_full_index_refuses_keys_until_others_go() {
        for alone in [false, true] {
            let keys = Keys::empty();
            let mut n = 0;
            while keys.insert(n, 1, alone) {
                n += 1;
            }
            assert!(n >= room(*LEVELS.end()), "{n}");
            assert!((0..n).all(|n| keys.find(n) == 1) && keys.find(n) == 0);
            (0..n).step_by(2).for_each(|n| keys.remove(n));
            // One that was there finds its place again, but places of others are free for who is alone.
            assert!(keys.insert(0, 2, alone) && keys.find(0) == 2);
            assert_eq!(keys.insert(n, 2, alone), alone);
            assert!((1..n).all(|n| keys.find(n) == n % 2) && keys.find(n) == 2 * u64::from(alone));
        }
    }

    #[test]
    fn readers_find_the_cell_of_their_key_or_none() {
        let keys = Keys::empty();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..200_000u64 {
                        let key = round % 5000;
                        let cell = keys.find(key);
                        assert!(cell == 0 || cell == key + 1, "{key}: {cell}");
                    }
                });
            }
            for round in 0..20 {
                for key in 0..5000 {
                    assert!(keys.insert(key, key as u32 + 1, false));
                    if (key + round) % 3 == 0 {
                        keys.remove(key);
                    }
                }
            }
        });
    }
}
