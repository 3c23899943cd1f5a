//! A compiled region as bytes in a file.
//!
//! A record is a head of fixed size, the addresses at which the region is entered, and the rest. Numbers are
//! little-endian, and all bytes are under one of two checksums: whatever a file holds, what is decoded is either what
//! was encoded or nothing.

use crate::jit::{Address, Code, FpMode, MAX_REGION_BLOCKS, Place, Shape};
use std::ops::Range;

/// What a record begins with.
pub(super) const MAGIC: [u8; 8] = *b"\xf5spile\r\n";
/// Bytes of a head.
pub(super) const HEAD: usize = 28;
/// Most bytes of a record.
const MOST: usize = 4 << 20;
/// Most bytes of a record's head and the addresses behind it.
pub(super) const MOST_BEFORE_REST: usize = HEAD + 8 * MAX_REGION_BLOCKS;

/// A compiled region, and the guest code that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is made of.
    pub shape: Shape,
    /// The bytes of its blocks, one after the other.
    pub guest: Vec<u8>,
    /// The host code.
    pub code: Code,
}

/// What the head of a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where the region is entered; its root first.
    pub entries: Vec<u64>,
    /// The floating-point control that it is for.
    pub mode: FpMode,
    /// Other threads may run it at the same time.
    pub parallel: bool,
    /// Bytes of head and entries.
    before: usize,
    /// Bytes of the rest.
    rest: usize,
    checksum: u32,
}

impl Head {
    /// Bytes of the whole record.
    pub fn len(&self) -> usize {
        self.before + self.rest
    }

    /// Reads a head and the entries behind it. `None` if `bytes` does not begin with any.
    pub fn decode(bytes: &[u8]) -> Option<Head> {
        let mut words = Words(bytes.strip_prefix(&MAGIC)?);
        let [entries, flags, rest, checksum] = [(); 4].map(|()| words.u32());
        let (entries, flags, rest, checksum) = (entries?, flags?, rest? as usize, checksum?);
        let own = words.u32()?;
        let before = HEAD + 8 * usize::try_from(entries).ok().filter(|&count| count <= MAX_REGION_BLOCKS)?;
        let addresses = bytes.get(HEAD..before)?;
        if own != checksum_of_head(&bytes[..HEAD - 4], addresses) || rest > MOST {
            return None;
        }
        let mut addresses = Words(addresses);
        let entries = (0..entries).map(|_| addresses.u64()).collect::<Option<_>>()?;
        let mode = FpMode::ALL.get(flags as usize >> 1).copied()?;
        Some(Head { entries, mode, parallel: flags & 1 != 0, before, rest, checksum })
    }
}

/// The checksum of what is in front of it in a head, and of the entries.
fn checksum_of_head(head: &[u8], entries: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(entries);
    sum.finalize()
}

impl Record {
    /// The record as bytes. `None` if there are too many.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let Shape { blocks, entries, mode, parallel } = &self.shape;
        let mut rest = Vec::with_capacity(self.code.bytes.len() + self.guest.len() + 1024);
        for number in [blocks.len(), self.code.places.len(), self.guest.len(), self.code.bytes.len()] {
            rest.extend(u32::try_from(number).ok()?.to_le_bytes());
        }
        for block in blocks {
            rest.extend(block.start.to_le_bytes());
            rest.extend(block.end.to_le_bytes());
        }
        for Place { at, address } in &self.code.places {
            let (what, which) = address.to_words();
            [*at, what, which].iter().for_each(|word| rest.extend(word.to_le_bytes()));
        }
        rest.extend(&self.guest);
        rest.extend(&self.code.bytes);
        if rest.len() > MOST || entries.len() > MAX_REGION_BLOCKS {
            return None;
        }
        let flags = (*mode as u32) << 1 | u32::from(*parallel);
        let mut bytes = MAGIC.to_vec();
        for word in [entries.len() as u32, flags, rest.len() as u32, crc32fast::hash(&rest)] {
            bytes.extend(word.to_le_bytes());
        }
        let addresses: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        bytes.extend(checksum_of_head(&bytes, &addresses).to_le_bytes());
        bytes.extend(addresses);
        bytes.extend(rest);
        Some(bytes)
    }

    /// Reads the record that `head` begins. `None` if that is not what `bytes` holds.
    pub fn decode(head: &Head, bytes: &[u8]) -> Option<Record> {
        let rest = bytes.get(head.before..head.before + head.rest)?;
        if crc32fast::hash(rest) != head.checksum {
            return None;
        }
        let mut words = Words(rest);
        let [blocks, places, guest, code] = [(); 4].map(|()| words.u32());
        let (guest, code) = (guest? as usize, code? as usize);
        let block = |words: &mut Words<'_>| Some(words.u64()?..words.u64()?);
        let blocks = (0..blocks?).map(|_| block(&mut words)).collect::<Option<Vec<Range<u64>>>>()?;
        let place = |words: &mut Words<'_>| {
            Some(Place { at: words.u32()?, address: Address::from_words(words.u32()?, words.u32()?)? })
        };
        let places = (0..places?).map(|_| place(&mut words)).collect::<Option<Vec<Place>>>()?;
        let (guest, bytes) = (words.take(guest)?.to_vec(), words.take(code)?.to_vec());
        let shape = Shape { blocks, entries: head.entries.clone(), mode: head.mode, parallel: head.parallel };
        let record = Record { shape, guest, code: Code { bytes, places } };
        record.is_whole().then_some(record)
    }

    /// The guest bytes of each block, with its addresses.
    pub fn guest_code(&self) -> impl Iterator<Item = (&Range<u64>, &[u8])> {
        let mut rest = &self.guest[..];
        self.shape.blocks.iter().map_while(move |block| {
            let (own, more) = rest.split_at_checked((block.end - block.start) as usize)?;
            rest = more;
            Some((block, own))
        })
    }

    /// True if its parts belong together.
    fn is_whole(&self) -> bool {
        let Shape { blocks, entries, .. } = &self.shape;
        let sizes = blocks.iter().map(|block| block.end.checked_sub(block.start).filter(|&size| size > 0));
        let size =
            sizes.collect::<Option<Vec<u64>>>().map(|sizes| sizes.iter().fold(0, |a: u64, &b| a.saturating_add(b)));
        size == Some(self.guest.len() as u64)
            && (1..=MAX_REGION_BLOCKS).contains(&blocks.len())
            && entries.first() == blocks.first().map(|root| &root.start)
            && entries.iter().all(|entry| blocks.iter().any(|block| block.start == *entry))
    }
}

/// Numbers, one after the other.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        let shape = Shape {
            blocks: vec![0x1000..0x1008, 0x2000..0x2002],
            entries: vec![0x1000, 0x2000],
            mode: FpMode::Reference,
            parallel: true,
        };
        let places = vec![Place { at: 3, address: Address::Slot(2) }, Place { at: 17, address: Address::Function(-4) }];
        Record { shape, guest: (0..10).collect(), code: Code { bytes: vec![0x90; 100], places } }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let record = sample();
        let bytes = record.encode().unwrap();
        let head = Head::decode(&bytes).unwrap();
        assert_eq!(head.len(), bytes.len());
        assert_eq!(Record::decode(&head, &bytes), Some(record.clone()));
        let parts: Vec<_> = record.guest_code().collect();
        assert_eq!(parts, [(&(0x1000..0x1008), &record.guest[..8]), (&(0x2000..0x2002), &record.guest[8..])]);
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let bytes = sample().encode().unwrap();
        let head = Head::decode(&bytes).unwrap();
        for at in 0..head.before + head.rest {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let decoded = Head::decode(&changed).and_then(|head| Record::decode(&head, &changed));
            assert_eq!(decoded, None, "byte {at}");
        }
        for len in 0..head.before + head.rest {
            let cut = &bytes[..len];
            assert_eq!(Head::decode(cut).and_then(|head| Record::decode(&head, cut)), None, "{len} bytes");
        }
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let broken: [fn(&mut Record); 5] = [
            |record| record.guest.truncate(9),
            |record| record.shape.blocks[0].end = 0x800,
            |record| record.shape.entries = vec![0x2000, 0x1000],
            |record| record.shape.entries.push(0x3000),
            |record| record.shape.blocks.clear(),
        ];
        for (number, change) in broken.iter().enumerate() {
            let mut record = sample();
            change(&mut record);
            let bytes = record.encode().unwrap();
            let head = Head::decode(&bytes).unwrap();
            assert_eq!(Record::decode(&head, &bytes), None, "change {number}");
        }
    }
}
