//! The texts of one run: every `-e` and `-s` source with its name, and line and column lookup.
//!
//! Sources are given as bytes. Bytes that are not UTF-8 are reported by [`crate::compile`], never passed over in silence;
//! nothing here reads files.

use crate::span::Span;
use std::collections::{HashMap, HashSet};

/// One named text.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// Of a file; see [`crate::uses::Found`].
    identity: Option<String>,
    /// Why it is there.
    role: Role,
    bad_byte: Option<usize>,
    line_starts: Vec<usize>,
}

/// Why a source is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It was given.
    Root,
    /// Another one uses it.
    Used,
    /// Another version has taken its place; only its text is of interest.
    Retired,
}

/// All sources of one run, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
    /// What each `use` stands for, by the place of its path: a source, or why there is none.
    links: HashMap<Span, Result<u32, String>>,
}

/// A position for people: both numbers count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Sources {
    /// Returns an empty list.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Returns a list with a single source, as for one `-e`.
    pub fn single(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Sources {
        let mut sources = Sources::new();
        sources.add(name, bytes);
        sources
    }

    /// Adds a source and returns its index, which [`Span::source`] refers to.
    pub fn add(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>) -> u32 {
        self.enter(Source::new(name.into(), bytes.as_ref()))
    }

    /// Adds a source that is a file, and returns its index. A file that is there already is not added again.
    pub fn add_file(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>, identity: String) -> u32 {
        match self.of_identity(&identity) {
            Some(index) => index,
            None => self.enter(Source { identity: Some(identity), ..Source::new(name.into(), bytes.as_ref()) }),
        }
    }

    /// Adds a file that another source uses, and returns its index.
    pub(crate) fn add_used(&mut self, name: String, bytes: Vec<u8>, identity: String) -> u32 {
        self.enter(Source { identity: Some(identity), role: Role::Used, ..Source::new(name, &bytes) })
    }

    fn enter(&mut self, source: Source) -> u32 {
        self.list.push(source);
        (self.list.len() - 1) as u32
    }

    /// The file with this identity.
    pub(crate) fn of_identity(&self, identity: &str) -> Option<u32> {
        let is_it = |source: &Source| source.identity.as_deref() == Some(identity) && source.role != Role::Retired;
        self.list.iter().position(is_it).map(|index| index as u32)
    }

    /// How many files are there because others use them.
    pub(crate) fn used(&self) -> usize {
        self.list.iter().filter(|source| source.role == Role::Used).count()
    }

    /// Says what the `use` with its path at `span` stands for.
    pub(crate) fn link(&mut self, span: Span, link: Result<u32, String>) {
        self.links.insert(span, link);
    }

    /// What the `use` with its path at `span` stands for.
    pub(crate) fn linked(&self, span: Span) -> Option<&Result<u32, String>> {
        self.links.get(&span)
    }

    /// The source with this index, and all that it uses, and these use.
    pub fn reach(&self, index: u32) -> HashSet<u32> {
        let mut found = HashSet::from([index]);
        let mut open = vec![index];
        while let Some(from) = open.pop() {
            let links = self.links.iter().filter(|(span, _)| span.source == from);
            let used = links.filter_map(|(_, link)| link.as_ref().ok()).copied();
            open.extend(used.filter(|used| found.insert(*used)));
        }
        found
    }

    /// Takes a source out of the run; other versions of its items come from elsewhere. What refers to its text stays good.
    pub fn retire(&mut self, index: u32) {
        if let Some(source) = self.list.get_mut(index as usize) {
            source.role = Role::Retired;
        }
    }

    /// Forgets the sources from index `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
        self.links.retain(|span, _| (span.source as usize) < len);
    }

    /// Returns the source with this index.
    pub fn get(&self, index: u32) -> Option<&Source> {
        self.list.get(index as usize)
    }

    /// Iterates over all sources, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter()
    }

    /// Returns the text that a span covers, or nothing if it is out of range.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.source).and_then(|source| source.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    /// Returns where a span begins.
    pub fn position(&self, span: Span) -> Position {
        match self.get(span.source) {
            Some(source) => source.position(span.start as usize),
            None => Position { line: 1, column: 1 },
        }
    }

    /// Returns `file:line` of a span, as unnamed probes are called.
    pub fn file_line(&self, span: Span) -> String {
        let name = self.get(span.source).map_or("?", Source::name);
        format!("{name}:{}", self.position(span).line)
    }
}

impl Source {
    fn new(name: String, bytes: &[u8]) -> Source {
        let bad_byte = std::str::from_utf8(bytes).err().map(|e| e.valid_up_to());
        let text = String::from_utf8_lossy(bytes).into_owned();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { name, text, identity: None, role: Role::Root, bad_byte, line_starts }
    }

    /// True if it is not there for another source alone.
    pub fn is_root(&self) -> bool {
        self.role == Role::Root
    }

    /// What tells the file from all others, if it is one.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Returns the name that diagnostics show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the text; bytes that are not UTF-8 have become U+FFFD.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the offset of the first byte that is not UTF-8.
    pub fn bad_byte(&self) -> Option<usize> {
        self.bad_byte
    }

    /// Returns line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line.max(1) - 1];
        let before = self.text.get(start..offset).unwrap_or("");
        Position { line: line.max(1), column: before.chars().count() + 1 }
    }

    /// Returns the text of a line, counted from 1, without its line end.
    pub fn line(&self, number: usize) -> &str {
        let start = self.line_starts.get(number.wrapping_sub(1)).copied();
        let rest = start.and_then(|start| self.text.get(start..)).unwrap_or("");
        rest.lines().next().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_in_characters() {
        let sources = Sources::single("-e", "a\nbß c\n");
        let at = |offset| sources.get(0).unwrap().position(offset);
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(2), Position { line: 2, column: 1 });
        assert_eq!(at(6), Position { line: 2, column: 4 });
        assert_eq!(at(99), Position { line: 3, column: 1 });
        assert_eq!(sources.get(0).unwrap().line(2), "bß c");
    }

    #[test]
    fn bytes_that_are_not_text_are_remembered() {
        let sources = Sources::single("-e", b"ab\xffc");
        assert_eq!(sources.get(0).unwrap().bad_byte(), Some(2));
    }
}
