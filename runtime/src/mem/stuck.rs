//! Bits of memory that are stuck: which they are, what they read as, and what has been stored there.
//!
//! Memory holds what loads give, so that loads, fetches, atomics and the host kernel need not know of it; what has been
//! stored instead is kept here, and comes back when the bits are free again. [`super::GuestMemory`] sees to it that
//! stores to such a page come by. This module knows bytes and their addresses, and neither pages nor permissions.

use std::collections::BTreeMap;
use std::ops::Range;

/// A byte with stuck bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Byte {
    /// The bits that are stuck.
    mask: u8,
    /// What they read as; nothing else.
    value: u8,
    /// What has been stored in them; nothing else.
    stored: u8,
    /// What memory held when this was last looked at: if it holds something else, that has been stored.
    last: u8,
}

impl Byte {
    /// What memory holds if `stored` is stored.
    fn held(self, stored: u8) -> u8 {
        stored & !self.mask | self.value
    }

    fn note(&mut self, stored: u8) -> u8 {
        self.stored = stored & self.mask;
        self.last = self.held(stored);
        self.last
    }
}

/// All bytes with stuck bits.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    bytes: BTreeMap<u64, Byte>,
}

impl Stuck {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// True if a byte in `range` has stuck bits.
    pub(super) fn is_in(&self, range: Range<u64>) -> bool {
        self.bytes.range(range).next().is_some()
    }

    /// The addresses in `range` with stuck bits.
    pub(super) fn addresses(&self, range: Range<u64>) -> Vec<u64> {
        self.bytes.range(range).map(|(&addr, _)| addr).collect()
    }

    /// The bits of `mask` are stuck at those of `value` from now on, where memory holds `held`. Returns what it is to hold.
    pub(super) fn stick(&mut self, addr: u64, mask: u8, value: u8, held: u8) -> u8 {
        if mask == 0 {
            return held;
        }
        let byte = self.bytes.entry(addr).or_default();
        byte.stored |= held & mask & !byte.mask;
        byte.mask |= mask;
        byte.value = byte.value & !mask | value & mask;
        byte.last = byte.held(held);
        byte.last
    }

    /// The bits of `mask` are stuck no more, where memory holds `held`. Returns what it is to hold.
    pub(super) fn release(&mut self, addr: u64, mask: u8, held: u8) -> u8 {
        let Some(byte) = self.bytes.get_mut(&addr) else { return held };
        let mask = mask & byte.mask;
        let back = held & !mask | byte.stored & mask;
        byte.mask &= !mask;
        byte.value &= !mask;
        byte.stored &= !mask;
        byte.last = back;
        if byte.mask == 0 {
            self.bytes.remove(&addr);
        }
        back
    }

    /// Makes of bytes that are about to be stored those that memory is to hold.
    pub(super) fn mask(&self, addr: u64, bytes: &mut [u8]) {
        for (&at, byte) in self.bytes.range(addr..addr.saturating_add(bytes.len() as u64)) {
            let stored = &mut bytes[(at - addr) as usize];
            *stored = byte.held(*stored);
        }
    }

    /// These bytes have been stored.
    pub(super) fn note(&mut self, addr: u64, bytes: &[u8]) {
        for (&at, byte) in self.bytes.range_mut(addr..addr.saturating_add(bytes.len() as u64)) {
            byte.note(bytes[(at - addr) as usize]);
        }
    }

    /// Memory holds `held`, which somebody may have stored who does not come by here. Returns what it is to hold.
    pub(super) fn notice(&mut self, addr: u64, held: u8) -> u8 {
        match self.bytes.get_mut(&addr) {
            Some(byte) if byte.last != held => byte.note(held),
            _ => held,
        }
    }

    /// What has been stored where memory holds `held`.
    pub(super) fn stored(&self, addr: u64, held: u8) -> u8 {
        self.bytes.get(&addr).map_or(held, |byte| held & !byte.mask | byte.stored)
    }

    /// Something else is mapped there, which is `held`. Returns what it is to hold.
    pub(super) fn renew(&mut self, addr: u64, held: u8) -> u8 {
        self.bytes.get_mut(&addr).map_or(held, |byte| byte.note(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back_when_the_bits_are_free() {
        let mut stuck = Stuck::default();
        assert_eq!(stuck.stick(0x10, 0x0f, 0x05, 0xaa), 0xa5);
        let mut bytes = [0x33, 0x44];
        stuck.mask(0xf, &mut bytes);
        stuck.note(0xf, &[0x33, 0x44]);
        assert_eq!(bytes, [0x33, 0x45]);
        // A part of them, stuck otherwise, and then free.
        assert_eq!(stuck.stick(0x10, 0x03, 0x02, 0x45), 0x46);
        assert_eq!(stuck.release(0x10, 0x0c, 0x46), 0x46);
        assert_eq!(stuck.release(0x10, 0xff, 0x46), 0x44);
        assert!(stuck.is_empty());
    }

    #[test]
    fn what_comes_past_is_noticed() {
        let mut stuck = Stuck::default();
        stuck.stick(0x10, 0x81, 0x80, 0);
        assert_eq!(stuck.notice(0x10, 0x80), 0x80, "nothing has happened");
        assert_eq!(stuck.notice(0x10, 0x47), 0xc6);
        // The stuck bits are stored as they are stuck, and others with them.
        assert_eq!(stuck.notice(0x10, 0x88), 0x88);
        assert_eq!(stuck.release(0x10, 0xff, 0x88), 0x88);
    }
}
