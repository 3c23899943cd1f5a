//! Which regions a guest process has mapped, and where the next one goes.
//!
//! The permission bytes of [`crate::mem`] say what an access may do; this says what a region is, as
//! `/proc/self/maps` shows it. Addresses are deterministic: there is no randomisation.

use crate::env::MappedCode;
use crate::mem::{ADDRESS_SPACE, PAGE, perm};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The lowest address that a guest may map (`vm.mmap_min_addr`).
pub const LOWEST: u64 = 0x1_0000;
/// One past the highest; the page above stays free.
pub const HIGHEST: u64 = ADDRESS_SPACE - PAGE;

/// A mapped region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// One past its last byte.
    pub end: u64,
    /// Bits of [`perm`].
    pub prot: u8,
    /// Shared with other processes.
    pub shared: bool,
    /// What is mapped.
    pub source: Source,
}

/// What a region shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Zeroes; the name is `[heap]`, `[stack]` or empty.
    Anonymous(&'static str),
    /// A page that was a file's, until the file became shorter.
    Gone,
    /// A file from this offset on.
    File {
        /// Its path, as `/proc/self/fd` told it.
        path: String,
        /// Offset of the region's first byte.
        offset: u64,
    },
}

impl Area {
    fn is_code(&self) -> bool {
        self.prot & perm::EXEC != 0 && matches!(self.source, Source::File { .. })
    }
}

impl Source {
    /// The source of what lies `distance` bytes behind.
    fn advanced(&self, distance: u64) -> Source {
        match self {
            Source::File { path, offset } => Source::File { path: path.clone(), offset: offset + distance },
            other => other.clone(),
        }
    }
}

/// All regions of an address space, by start address. They do not overlap.
#[derive(Clone, Debug, Default)]
pub struct AddressMap {
    areas: BTreeMap<u64, Area>,
    /// Goes up with every change of [`AddressMap::code`].
    code_version: u64,
}

impl AddressMap {
    /// Enters a region, in place of whatever was there.
    pub fn insert(&mut self, start: u64, area: Area) {
        self.remove(start, area.end - start);
        self.code_version += u64::from(area.is_code());
        self.areas.insert(start, area);
    }

    /// Removes `start..start+len`, splitting regions that reach beyond.
    pub fn remove(&mut self, start: u64, len: u64) {
        let end = start + len;
        self.split(start);
        self.split(end);
        let inside: Vec<u64> = self.areas.range(start..end).map(|(&at, _)| at).collect();
        for at in inside {
            let removed = self.areas.remove(&at);
            self.code_version += u64::from(removed.is_some_and(|area| area.is_code()));
        }
    }

    /// Makes `at` a border if it lies inside a region.
    fn split(&mut self, at: u64) {
        let Some((&start, area)) = self.areas.range_mut(..at).next_back().filter(|(_, area)| area.end > at) else {
            return;
        };
        let tail = Area { source: area.source.advanced(at - start), ..area.clone() };
        area.end = at;
        self.areas.insert(at, tail);
    }

    /// Sets the permissions of `start..start+len`, all of which is mapped.
    pub fn protect(&mut self, start: u64, len: u64, prot: u8) {
        self.split(start);
        self.split(start + len);
        for (_, area) in self.areas.range_mut(start..start + len) {
            let was_code = area.is_code();
            area.prot = prot;
            self.code_version += u64::from(area.is_code() != was_code);
        }
    }

    /// Another number than before if [`AddressMap::code`] has changed.
    pub fn code_version(&self) -> u64 {
        self.code_version
    }

    /// The executable parts of files that can still be found, in address order.
    pub fn code(&self) -> Vec<MappedCode> {
        let code = |(&start, area): (&u64, &Area)| match &area.source {
            // Compilers map code of files that they have removed. It has no symbols.
            Source::File { path, offset }
                if area.is_code() && path.starts_with('/') && !path.ends_with(" (deleted)") =>
            {
                Some(MappedCode { path: path.into(), range: start..area.end, offset: *offset })
            }
            _ => None,
        };
        self.areas.iter().filter_map(code).collect()
    }

    /// The region that contains `addr`, and its start.
    pub fn find(&self, addr: u64) -> Option<(u64, &Area)> {
        self.areas.range(..=addr).next_back().filter(|(_, area)| area.end > addr).map(|(&start, area)| (start, area))
    }

    /// The parts of `start..start+len` that are mapped, in order.
    pub fn parts(&self, start: u64, len: u64) -> Vec<(u64, u64)> {
        let end = start.saturating_add(len);
        let first = self.find(start).map_or(start, |(at, _)| at);
        let inside = self.areas.range(first..end).filter(|(_, area)| area.end > start);
        inside.map(|(&at, area)| (at.max(start), area.end.min(end))).collect()
    }

    /// How many bytes are mapped in all.
    pub fn total(&self) -> u64 {
        self.areas.iter().map(|(start, area)| area.end - start).sum()
    }

    /// True if all of `start..start+len` is mapped.
    pub fn covers(&self, start: u64, len: u64) -> bool {
        let mapped: u64 = self.parts(start, len).iter().map(|(from, to)| to - from).sum();
        mapped == len
    }

    /// True if nothing of `start..start+len` is mapped and all of it may be.
    pub fn is_free(&self, start: u64, len: u64) -> bool {
        start >= LOWEST && start.checked_add(len).is_some_and(|end| end <= HIGHEST) && self.parts(start, len).is_empty()
    }

    /// The highest free place of `len` bytes below `ceiling`.
    pub fn find_free(&self, len: u64, ceiling: u64) -> Option<u64> {
        let mut end = ceiling;
        for (&start, area) in self.areas.range(..ceiling).rev() {
            if area.end <= end && end - area.end >= len {
                break;
            }
            end = end.min(start);
        }
        end.checked_sub(len).filter(|&start| start >= LOWEST)
    }

    /// The text of `/proc/self/maps`.
    pub fn to_maps(&self) -> String {
        self.describe(|_, _| String::new())
    }

    /// The text of `/proc/self/smaps`: all is resident, as far as it can be, and how it is used is not known.
    pub fn to_smaps(&self) -> String {
        self.describe(|start, area| {
            let size = (area.end - start) / 1024;
            let resident = if area.prot == 0 { 0 } else { size };
            let (shared, private) = if area.shared { (resident, 0) } else { (0, resident) };
            let rows = [
                ("Size", size),
                ("KernelPageSize", PAGE / 1024),
                ("MMUPageSize", PAGE / 1024),
                ("Rss", resident),
                ("Pss", resident),
                ("Shared_Clean", 0),
                ("Shared_Dirty", shared),
                ("Private_Clean", 0),
                ("Private_Dirty", private),
                ("Referenced", resident),
                ("Anonymous", if matches!(area.source, Source::Anonymous(_)) { resident } else { 0 }),
                ("Swap", 0),
                ("Locked", 0),
            ];
            rows.iter().map(|(name, size)| format!("{:<15} {size:8} kB\n", format!("{name}:"))).collect()
        })
    }

    /// A line for each region, with `more` behind it.
    fn describe(&self, more: impl Fn(u64, &Area) -> String) -> String {
        let mut text = String::new();
        for (start, area) in &self.areas {
            let flag = |bit, letter| if area.prot & bit != 0 { letter } else { '-' };
            let (r, w, x) = (flag(perm::READ, 'r'), flag(perm::WRITE, 'w'), flag(perm::EXEC, 'x'));
            let (offset, name) = match &area.source {
                Source::Anonymous(name) => (0, *name),
                Source::Gone => (0, ""),
                Source::File { path, offset } => (*offset, path.as_str()),
            };
            let share = if area.shared { 's' } else { 'p' };
            let line = format!("{start:08x}-{:08x} {r}{w}{x}{share} {offset:08x} 00:00 0 ", area.end);
            let _ = if name.is_empty() { writeln!(text, "{line}") } else { writeln!(text, "{line:<73}{name}") };
            text.push_str(&more(*start, area));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(end: u64) -> Area {
        Area { end, prot: perm::READ, shared: false, source: Source::Anonymous("") }
    }

    fn ranges(map: &AddressMap) -> Vec<(u64, u64)> {
        map.areas.iter().map(|(&start, area)| (start, area.end)).collect()
    }

    #[test]
    fn removing_the_middle_splits() {
        let mut map = AddressMap::default();
        let source = Source::File { path: "/lib/x".into(), offset: 0x1000 };
        map.insert(0x10000, Area { source, ..area(0x20000) });
        map.remove(0x14000, 0x1000);
        assert_eq!(ranges(&map), [(0x10000, 0x14000), (0x15000, 0x20000)]);
        let (_, tail) = map.find(0x15000).unwrap();
        assert_eq!(tail.source, Source::File { path: "/lib/x".into(), offset: 0x6000 });
        assert!(!map.covers(0x10000, 0x10000));
        assert!(map.covers(0x16000, 0xa000));
        assert_eq!(map.parts(0x13000, 0x3000), [(0x13000, 0x14000), (0x15000, 0x16000)]);
    }

    #[test]
    fn code_of_files_is_told_apart() {
        let mut map = AddressMap::default();
        let file = |path: &str, prot| Area {
            prot,
            source: Source::File { path: path.into(), offset: 0x1000 },
            ..area(0x20000)
        };
        map.insert(0x10000, file("/lib/x", perm::READ));
        map.insert(0x30000, area(0x40000));
        assert_eq!((map.code_version(), map.code()), (0, vec![]));
        map.protect(0x14000, 0x2000, perm::READ | perm::EXEC);
        assert_eq!(map.code_version(), 1);
        let path = "/lib/x".into();
        assert_eq!(map.code(), [MappedCode { path, range: 0x14000..0x16000, offset: 0x5000 }]);
        map.remove(0x14000, 0x1000);
        map.remove(0x10000, 0x1000);
        assert_eq!((map.code_version(), map.code()[0].range.clone()), (2, 0x15000..0x16000));
        map.insert(0x10000, file("/memfd:code (deleted)", perm::EXEC));
        assert_eq!((map.code_version(), map.code()), (4, vec![]));
    }

    #[test]
    fn inserting_replaces_what_is_below() {
        let mut map = AddressMap::default();
        map.insert(0x10000, area(0x20000));
        map.insert(0x18000, area(0x28000));
        assert_eq!(ranges(&map), [(0x10000, 0x18000), (0x18000, 0x28000)]);
    }

    #[test]
    fn free_places_are_found_top_down() {
        let mut map = AddressMap::default();
        assert_eq!(map.find_free(0x1000, 0x100000), Some(0xff000));
        map.insert(0xf0000, area(0x100000));
        map.insert(0xe0000, area(0xe8000));
        assert_eq!(map.find_free(0x8000, 0x100000), Some(0xe8000));
        assert_eq!(map.find_free(0x9000, 0x100000), Some(0xd7000));
        assert_eq!(map.find_free(0x100000, 0x100000), None);
        assert!(map.is_free(0xe8000, 0x8000));
        assert!(!map.is_free(0xe8000, 0x9000));
        assert!(!map.is_free(0x1000, 0x1000));
        assert!(!map.is_free(u64::MAX, 2));
    }

    #[test]
    fn a_region_that_straddles_the_ceiling_is_avoided() {
        let mut map = AddressMap::default();
        map.insert(0x80000, area(0x200000));
        assert_eq!(map.find_free(0x1000, 0x100000), Some(0x7f000));
    }

    #[test]
    fn protection_splits_and_shows_in_maps() {
        let mut map = AddressMap::default();
        map.insert(0x10000, Area { source: Source::Anonymous("[heap]"), ..area(0x12000) });
        map.protect(0x11000, 0x1000, perm::READ | perm::WRITE);
        let text = map.to_maps();
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("00010000-00011000 r--p 00000000 00:00 0 "), "{text}");
        assert!(text.ends_with(" [heap]\n"), "{text}");
        let detailed = map.to_smaps();
        assert_eq!(
            detailed.lines().filter(|line| line.starts_with("Rss:                   4 kB")).count(),
            2,
            "{detailed}"
        );
    }
}
