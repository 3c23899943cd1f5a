//! Which guest pages are the same page of a file: code that is written through one of them is translated through
//! another (a JIT compiler that maps its code twice, writable and executable).
//!
//! It knows ranges of guest addresses and of files, and neither permissions nor translations.

use super::PAGE;

/// A file, by device and inode.
pub(super) type FileId = (u64, u64);

/// A shared mapping of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Map {
    start: u64,
    end: u64,
    file: FileId,
    /// Offset of `start` in the file, in bytes.
    offset: u64,
}

/// The shared file mappings of an address space.
#[derive(Debug, Default)]
pub(super) struct SharedMaps {
    maps: Vec<Map>,
}

impl SharedMaps {
    /// Enters a mapping, in place of whatever was there.
    pub(super) fn insert(&mut self, start: u64, len: u64, file: FileId, offset: u64) {
        self.remove(start, len);
        self.maps.push(Map { start, end: start + len, file, offset });
    }

    /// Removes `start..start+len` and returns what was there, as `(start, len, file, offset)`.
    pub(super) fn remove(&mut self, start: u64, len: u64) -> Vec<(u64, u64, FileId, u64)> {
        let end = start + len;
        let (inside, outside) = self.maps.iter().partition::<Vec<Map>, _>(|map| map.start < end && start < map.end);
        self.maps = outside;
        let mut removed = Vec::new();
        for map in inside {
            let part =
                |from: u64, to: u64| Map { start: from, end: to, offset: map.offset + (from - map.start), ..map };
            if map.start < start {
                self.maps.push(part(map.start, start));
            }
            if end < map.end {
                self.maps.push(part(end, map.end));
            }
            let part = part(map.start.max(start), map.end.min(end));
            removed.push((part.start, part.end - part.start, part.file, part.offset));
        }
        removed
    }

    /// The other pages that are the same file page as the page of `addr`.
    pub(super) fn aliases(&self, addr: u64) -> Vec<u64> {
        let page = addr & !(PAGE - 1);
        let Some(map) = self.maps.iter().find(|map| (map.start..map.end).contains(&page)) else { return Vec::new() };
        let offset = map.offset + (page - map.start);
        let same = |other: &Map| {
            let at = offset.checked_sub(other.offset)? + other.start;
            (other.file == map.file && at < other.end && at != page).then_some(at)
        };
        self.maps.iter().filter_map(same).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_found_by_file_page_also_after_a_part_has_gone() {
        let mut maps = SharedMaps::default();
        maps.insert(0x10000, 0x4000, (1, 1), 0);
        maps.insert(0x20000, 0x2000, (1, 1), 0x2000);
        maps.insert(0x30000, 0x4000, (1, 2), 0);
        assert_eq!(maps.aliases(0x12345), [0x20000]);
        assert_eq!(maps.aliases(0x21000), [0x13000]);
        assert!(
            maps.aliases(0x10000).is_empty() && maps.aliases(0x32000).is_empty() && maps.aliases(0x50000).is_empty()
        );
        assert_eq!(maps.remove(0x12000, 0x1000), [(0x12000, 0x1000, (1, 1), 0x2000)]);
        assert!(maps.aliases(0x20000).is_empty());
        assert_eq!(maps.aliases(0x21000), [0x13000]);
    }
}
