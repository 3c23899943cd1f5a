//! The texts of one run: every `-e` and `-s` source with its name, and line and column lookup.
//!
//! Sources are given as bytes. Bytes that are not UTF-8 are reported by [`crate::compile`], never passed over in silence;
//! nothing here reads files.

use crate::span::Span;

/// One named text.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    bad_byte: Option<usize>,
    line_starts: Vec<usize>,
}

/// All sources of one run, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
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
        self.list.push(Source::new(name.into(), bytes.as_ref()));
        (self.list.len() - 1) as u32
    }

    /// Forgets the sources from index `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
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
        Source { name, text, bad_byte, line_starts }
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
