//! The line table of a unit: addresses to lines, and lines to the addresses where their code begins.

use super::{Slice, UnitOf};
use gimli::AttributeValue;
use std::ops::Range;

/// What is read of a unit: so many rows, so many bytes of paths.
const MOST_ROWS: usize = 16 << 20;
const MOST_PATHS: usize = 64 << 20;

/// The lines of a unit.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Paths of the source files, by the numbers that rows use.
    pub(super) files: Vec<String>,
    /// Sorted by address; they do not overlap.
    rows: Vec<Row>,
    /// Where statements begin, rows without a byte of their own included.
    starts: Vec<Row>,
}

/// Code of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) addr: u64,
    end: u64,
    pub(super) file: u32,
    /// 0 for code of no line.
    pub(super) line: u32,
    is_stmt: bool,
}

impl Lines {
    /// Reads the table of a unit, as far as it makes sense. `is_code` says which sequences are for code that is there.
    pub(super) fn read(unit: &UnitOf<'_>, is_code: impl Fn(u64) -> bool) -> Lines {
        let mut lines = Lines::default();
        let Some(program) = unit.unit.line_program.clone() else { return lines };
        lines.files = files(unit, program.header());
        let mut rows = program.rows();
        let mut sequence: Vec<Row> = Vec::new();
        while let Ok(Some((_, row))) = rows.next_row() {
            if lines.rows.len() + sequence.len() >= MOST_ROWS {
                break;
            }
            let addr = row.address();
            if let Some(last) = sequence.last_mut() {
                last.end = addr;
            }
            if row.end_sequence() {
                lines.enter(std::mem::take(&mut sequence), &is_code);
                continue;
            }
            let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
            let file = u32::try_from(row.file_index()).unwrap_or(u32::MAX);
            sequence.push(Row { addr, end: addr, file, line, is_stmt: row.is_stmt() });
        }
        lines.rows.sort_by_key(|row| row.addr);
        lines.rows.dedup_by(|later, first| later.addr < first.end);
        lines.starts.sort_by_key(|row| (row.addr, row.line));
        lines.starts.dedup();
        lines
    }

    /// Addresses of a sequence do not go down; one that makes no sense is left out.
    fn enter(&mut self, sequence: Vec<Row>, is_code: &impl Fn(u64) -> bool) {
        let in_order = sequence.iter().all(|row| row.addr <= row.end);
        if in_order && sequence.first().is_some_and(|row| is_code(row.addr)) {
            self.starts.extend(sequence.iter().filter(|row| row.is_stmt && row.line != 0));
            // Compilers that number views of a variable split the row of a statement: its beginning has no byte then.
            let mut begun: Option<Row> = None;
            for row in sequence {
                let is_begun = begun.is_some_and(|b| (b.addr, b.file, b.line) == (row.addr, row.file, row.line));
                if row.addr < row.end {
                    self.rows.push(Row { is_stmt: row.is_stmt || is_begun, ..row });
                } else if row.is_stmt {
                    begun = Some(row);
                }
            }
        }
    }

    /// The row that an address belongs to.
    pub(super) fn at(&self, addr: u64) -> Option<&Row> {
        let end = self.rows.partition_point(|row| row.addr <= addr);
        self.rows[..end].last().filter(|row| addr < row.end && row.line != 0)
    }

    /// Where statements of a line begin, sorted.
    pub(super) fn starts_of(&self, is_file: impl Fn(u32) -> bool, line: u32) -> Vec<u64> {
        let of_line = |row: &&Row| row.line == line && is_file(row.file);
        let mut found: Vec<u64> = self.starts.iter().filter(of_line).map(|row| row.addr).collect();
        if found.is_empty() {
            found = self.rows.iter().filter(of_line).map(|row| row.addr).collect();
        }
        found.dedup();
        found
    }

    /// The lines of some files that have code.
    pub(super) fn with_code(&self, is_file: impl Fn(u32) -> bool) -> impl Iterator<Item = u32> {
        self.starts.iter().filter(move |row| is_file(row.file)).map(|row| row.line)
    }

    /// Numbers of the files that have code; runs of one file are named once.
    pub(super) fn files_with_code(&self) -> impl Iterator<Item = u32> {
        self.rows.chunk_by(|a, b| a.file == b.file).map(|run| run[0].file)
    }

    /// The code of some files, all of it or that of one line.
    pub(super) fn code_of(&self, is_file: impl Fn(u32) -> bool, line: Option<u32>) -> impl Iterator<Item = Range<u64>> {
        let wanted = move |row: &&Row| line.is_none_or(|line| row.line == line) && is_file(row.file);
        self.rows.iter().filter(wanted).map(|row| row.addr..row.end)
    }

    /// Where the code of another line begins: the first statement of each stretch of code of one line.
    pub(super) fn changes(&self) -> Vec<u64> {
        let mut found = Vec::new();
        let (mut before, mut begun) = (None, false);
        for row in &self.rows {
            let here = Some((row.file, row.line));
            if before.is_none_or(|(end, line)| line != here || end != row.addr) {
                begun = false;
            }
            if !begun && row.is_stmt && row.line != 0 {
                found.push(row.addr);
                begun = true;
            }
            before = Some((row.end, here));
        }
        found
    }
}

fn files(unit: &UnitOf<'_>, header: &gimli::LineProgramHeader<Slice<'_>>) -> Vec<String> {
    let text = |value: AttributeValue<Slice<'_>>| {
        let text = unit.dwarf.attr_string(&unit.unit, value).ok()?;
        Some(text.to_string_lossy().into_owned())
    };
    let compiled_in = unit.unit.comp_dir.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
    let mut room = MOST_PATHS;
    let numbers = 0..header.file_names().len() as u64 + 1;
    let path = |number: u64| {
        let Some(file) = header.file(number) else { return String::new() };
        let folder = file.directory(header).and_then(text).unwrap_or_default();
        let path = joined(&joined(&compiled_in, &folder), &text(file.path_name()).unwrap_or_default());
        room = room.saturating_sub(path.len());
        if room == 0 { String::new() } else { path }
    };
    numbers.map(path).collect()
}

fn joined(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "" | ".") => folder.to_owned(),
        (_, path) if path.starts_with('/') => path.to_owned(),
        (folder, path) => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(addr: u64, end: u64, line: u32, is_stmt: bool) -> Row {
        Row { addr, end, file: 1, line, is_stmt }
    }

    #[test]
    fn a_statement_whose_first_row_has_no_bytes_begins_a_line() {
        let mut lines = Lines::default();
        let split =
            [row(0, 0, 7, true), row(0, 0, 8, true), row(0, 4, 8, false), row(4, 4, 9, true), row(4, 8, 10, false)];
        lines.enter(split.to_vec(), &|_| true);
        assert_eq!(lines.changes(), [0]);
    }

    #[test]
    fn a_stretch_of_a_line_begins_once() {
        let all = [(0, 4, 1, true), (4, 8, 1, true), (8, 12, 2, false), (12, 16, 2, true), (16, 20, 1, true)];
        let mut lines = Lines::default();
        lines.enter(all.iter().map(|&(a, b, line, stmt)| row(a, b, line, stmt)).collect(), &|_| true);
        assert_eq!(lines.changes(), [0, 12, 16]);
        assert_eq!(lines.starts_of(|_| true, 1), [0, 4, 16]);
        assert_eq!(lines.at(9).map(|row| row.line), Some(2));
        assert_eq!(lines.at(20), None);
    }

    #[test]
    fn sequences_that_make_no_sense_are_left_out() {
        let mut lines = Lines::default();
        lines.enter(vec![row(8, 4, 1, true), row(4, 12, 2, true)], &|_| true);
        lines.enter(vec![row(0, 4, 1, true)], &|addr| addr != 0);
        assert!(lines.rows.is_empty() && lines.starts.is_empty());
    }

    #[test]
    fn paths_are_joined() {
        assert_eq!(joined("/src", "main.c"), "/src/main.c");
        assert_eq!(
            (joined("/src", "/abs/x.c"), joined("", "x.c"), joined("/a/", ".")),
            ("/abs/x.c".into(), "x.c".into(), "/a/".into())
        );
    }
}
