//! Debug information of one program file (DWARF 5 and before): lines, variables, types, call frames.
//!
//! All addresses here are those of the file; [`crate::probe::variables`] adds where it is loaded. A file is read when
//! something is first asked of it, and each of its units likewise. Files may be damaged or made to do harm: what makes
//! no sense is left out, every chain of references has a longest length, and every list a largest size.
//!
//! Not read: split files (`.dwo`), supplementary files (`dwz`), type units.

mod frames;
mod lines;
mod location;
mod scopes;
mod sections;
mod types;

pub use frames::{CallFrame, Cfa, Registers, Rule};
pub use location::{Machine, Place};
pub use scopes::VariableOf;
pub(crate) use sections::separate;
pub use types::TypeKey;

use gimli::{DebugInfoOffset, Dwarf, EndianSlice, LittleEndian, Unit};
use lines::Lines;
use scopes::Function;
use sections::Sections;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// What is read of a file: so many units, so many ranges of their code.
const MOST_UNITS: usize = 1 << 20;
const MOST_RANGES: usize = 4 << 20;

/// The debug information of a program file.
pub struct DebugFile {
    sections: Sections,
    units: Vec<UnitIndex>,
    /// The units' code, sorted: where it is, and the unit's number.
    code: Vec<(Range<u64>, u32)>,
    frames: OnceLock<frames::Index>,
    names: OnceLock<types::Names>,
}

/// What is known of a unit.
struct UnitIndex {
    offset: DebugInfoOffset<usize>,
    lines: OnceLock<Lines>,
    functions: OnceLock<Vec<Function>>,
}

/// A unit as gimli sees it.
struct UnitOf<'a> {
    index: usize,
    dwarf: Dwarf<Slice<'a>>,
    unit: Unit<Slice<'a>>,
}

impl std::fmt::Debug for DebugFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugFile").field("units", &self.units.len()).finish_non_exhaustive()
    }
}

impl DebugFile {
    /// Reads the debug information of the program file `bytes`, which is at `path`. Separate files are looked for below
    /// the `roots`, the sysroot first.
    pub fn read(path: &Path, bytes: &[u8], roots: &[PathBuf]) -> DebugFile {
        let sections = Sections::read(path, bytes, roots);
        let (names, frames) = (OnceLock::new(), OnceLock::new());
        let mut file = DebugFile { sections, units: Vec::new(), code: Vec::new(), frames, names };
        file.find_units();
        file
    }

    /// True if the file says anything of its source.
    pub fn has_info(&self) -> bool {
        !self.units.is_empty()
    }

    fn find_units(&mut self) {
        let (mut units, mut code) = (Vec::new(), Vec::new());
        let dwarf = self.dwarf();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            let Some(offset) = header.debug_info_offset() else { continue };
            if units.len() == MOST_UNITS {
                break;
            }
            if let Ok(unit) = dwarf.unit(header)
                && let Ok(mut ranges) = dwarf.unit_ranges(&unit)
            {
                while let Ok(Some(range)) = ranges.next() {
                    if range.begin < range.end && code.len() < MOST_RANGES {
                        code.push((range.begin..range.end, units.len() as u32));
                    }
                }
            }
            units.push(UnitIndex { offset, lines: OnceLock::new(), functions: OnceLock::new() });
        }
        drop(dwarf);
        code.sort_by_key(|(range, _)| range.start);
        (self.units, self.code) = (units, code);
    }

    fn dwarf(&self) -> Dwarf<Slice<'_>> {
        self.sections.dwarf.borrow(|section| EndianSlice::new(section, LittleEndian))
    }

    fn unit(&self, index: usize) -> Option<UnitOf<'_>> {
        let dwarf = self.dwarf();
        let header = dwarf.debug_info.header_from_offset(self.units.get(index)?.offset).ok()?;
        let unit = dwarf.unit(header).ok()?;
        Some(UnitOf { index, dwarf, unit })
    }

    /// The unit that an offset in `.debug_info` lies in.
    fn unit_at(&self, offset: usize) -> Option<usize> {
        self.units.partition_point(|unit| unit.offset.0 <= offset).checked_sub(1)
    }

    /// The units that may have code at an address: one, in a file that makes sense.
    fn units_of(&self, addr: u64) -> impl Iterator<Item = usize> {
        let end = self.code.partition_point(|(range, _)| range.start <= addr);
        let near = self.code[..end].iter().rev().take(16);
        near.filter(move |(range, _)| range.contains(&addr)).map(|(_, unit)| *unit as usize)
    }

    fn is_code(&self, addr: u64) -> bool {
        self.code.is_empty() || self.units_of(addr).next().is_some()
    }

    // ---- lines

    fn lines(&self, index: usize) -> &Lines {
        let read = || self.unit(index).map(|unit| Lines::read(&unit, |addr| self.is_code(addr))).unwrap_or_default();
        self.units[index].lines.get_or_init(read)
    }

    /// The source file and line of the code at an address.
    pub fn line_at(&self, addr: u64) -> Option<(&str, u32)> {
        self.units_of(addr).find_map(|index| {
            let lines = self.lines(index);
            let row = lines.at(addr)?;
            Some((lines.files.get(row.file as usize)?.as_str(), row.line))
        })
    }

    /// Paths of all source files that have code, as the compiler was given them, sorted.
    pub fn source_files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = Vec::new();
        for index in 0..self.units.len() {
            let lines = self.lines(index);
            files.extend(
                lines.files_with_code().filter_map(|number| lines.files.get(number as usize)).map(String::as_str),
            );
        }
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Where a line of the files that `is_file` selects begins: once in each function and in each inlined copy.
    pub fn line_starts(&self, is_file: impl Fn(&str) -> bool, line: u32) -> Vec<u64> {
        let mut found = Vec::new();
        for index in 0..self.units.len() {
            let lines = self.lines(index);
            let mut seen = Vec::new();
            for addr in lines.starts_of(|number| is_one(lines, number, &is_file), line) {
                let scope = self.instance_at(addr);
                if scope.is_none() || !seen.contains(&scope) {
                    seen.push(scope);
                    found.push(addr);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The lines of such files that have code, sorted.
    pub fn lines_with_code(&self, is_file: impl Fn(&str) -> bool) -> Vec<u32> {
        let of_unit = |index: usize| {
            let lines = self.lines(index);
            let found: Vec<u32> = lines.with_code(|number| is_one(lines, number, &is_file)).collect();
            found
        };
        let mut found: Vec<u32> = (0..self.units.len()).flat_map(of_unit).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The code of such files, all of it or that of one line.
    pub fn code_of(&self, is_file: impl Fn(&str) -> bool, line: Option<u32>) -> Vec<Range<u64>> {
        let of_unit = |index: usize| {
            let lines = self.lines(index);
            let found: Vec<Range<u64>> = lines.code_of(|number| is_one(lines, number, &is_file), line).collect();
            found
        };
        (0..self.units.len()).flat_map(of_unit).collect()
    }

    /// Where the code of another line begins, in the whole file, sorted.
    pub fn line_changes(&self) -> Vec<u64> {
        let mut found: Vec<u64> = (0..self.units.len()).flat_map(|index| self.lines(index).changes()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn is_one(lines: &Lines, number: u32, is_file: &impl Fn(&str) -> bool) -> bool {
    lines.files.get(number as usize).is_some_and(|path| is_file(path))
}

/// True if a script may call the file at `path` this: it is the whole path, or the end of it.
pub fn is_path(path: &str, name: &str) -> bool {
    let name = name.strip_prefix("./").unwrap_or(name);
    !name.is_empty() && path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

#[cfg(test)]
mod tests;
