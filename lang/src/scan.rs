//! A quick look at the raw text before the grammar sees it, and the tokens that explain a syntax error.
//!
//! Three things are found here because a PEG cannot find them well: where the items begin (so that one bad item does not hide
//! the next), strings that are never closed, and nesting that is too deep to recurse into. It accepts everything; it builds no tree.

/// Brackets, blocks and strings inside one another: more than this is refused.
pub(crate) const MAX_NESTING: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word,
    /// Starts with a digit, well-formed or not.
    Number,
    Str,
    Regex,
    /// An operator or a bracket.
    Punct,
    /// A character that occurs nowhere in the language.
    Strange,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// It is the first of its line.
    pub(crate) starts_line: bool,
}

/// What a scan has found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// All tokens, comments left out.
    pub(crate) tokens: Vec<Token>,
    /// Where items begin, and what lies before the first one.
    pub(crate) chunks: Vec<Chunk>,
    /// Opening quotes of strings that are not closed on their line, with the end of the line.
    pub(crate) unclosed: Vec<(usize, usize)>,
    /// Openers at which the nesting became too deep, at most one for each chunk.
    pub(crate) too_deep: Vec<usize>,
}

/// A piece of text that is parsed by itself: from one item start at the beginning of a line to the next.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Indices into [`Scan::tokens`].
    pub(crate) tokens: std::ops::Range<usize>,
}

/// Scans a text.
pub(crate) fn scan(text: &str) -> Scan {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        starts_line: true,
        broken_line: false,
        depth: 0,
        deep_reported: false,
        out: Scan::default(),
    };
    scanner.run();
    let mut out = scanner.out;
    out.chunks = chunks(text, &out.tokens);
    out
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    starts_line: bool,
    /// A string of this line could not be followed into its interpolations.
    broken_line: bool,
    depth: usize,
    deep_reported: bool,
    out: Scan,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.starts_line = true;
                    self.broken_line = false;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.skip_line(),
                _ => self.token(byte),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    fn token(&mut self, byte: u8) {
        let start = self.at;
        let kind = match byte {
            b'0'..=b'9' => self.word(TokenKind::Number),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => self.word(TokenKind::Word),
            b'"' => self.string(),
            b'/' if self.regex_may_start() => self.regex(),
            _ if byte.is_ascii_graphic() => self.punct(byte),
            _ => self.strange(),
        };
        self.out.tokens.push(Token { kind, start, end: self.at, starts_line: self.starts_line });
        self.starts_line = false;
        if kind == TokenKind::Word {
            self.new_item(start);
        }
    }

    fn word(&mut self, kind: TokenKind) -> TokenKind {
        while self.peek(0).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.at += 1;
        }
        let fraction =
            kind == TokenKind::Number && self.peek(0) == Some(b'.') && self.peek(1).is_some_and(|b| b.is_ascii_digit());
        if fraction {
            self.at += 1;
            return self.word(TokenKind::Word);
        }
        kind
    }

    fn punct(&mut self, byte: u8) -> TokenKind {
        const LONG: [&[u8]; 22] = [
            b"..", b"==", b"!=", b"<=", b">=", b"<<", b">>", b"=~", b"??", b"&&", b"||", b"+=", b"-=", b"*=", b"|=",
            b"&=", b"^=", b"++", b"--", b"->", b":=", b"::",
        ];
        let rest = &self.bytes[self.at..];
        self.at += if LONG.iter().any(|p| rest.starts_with(p)) { 2 } else { 1 };
        match byte {
            b'(' | b'[' | b'{' => self.open(),
            b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            b'`' | b'\'' | b'\\' => return TokenKind::Strange,
            _ => {}
        }
        TokenKind::Punct
    }

    fn open(&mut self) {
        self.depth += 1;
        self.check_depth(self.depth);
    }

    fn check_depth(&mut self, depth: usize) {
        if depth > MAX_NESTING && !self.deep_reported {
            self.deep_reported = true;
            self.out.too_deep.push(self.at.saturating_sub(1));
        }
    }

    fn strange(&mut self) -> TokenKind {
        self.at += self.text[self.at..].chars().next().map_or(1, char::len_utf8);
        TokenKind::Strange
    }

    /// A slash begins a regular expression after `=~` and after the event `insn`.
    fn regex_may_start(&self) -> bool {
        let last = self.out.tokens.last();
        last.is_some_and(|t| matches!(&self.text[t.start..t.end], "=~" | "insn"))
    }

    fn regex(&mut self) -> TokenKind {
        let mut at = self.at + 1;
        loop {
            match self.bytes.get(at) {
                None | Some(b'\n') => return self.punct(b'/'),
                Some(b'/') => break,
                Some(b'\\') if self.bytes.get(at + 1) != Some(&b'\n') => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        if self.peek(0) == Some(b'i') {
            self.at += 1;
        }
        TokenKind::Regex
    }

    fn string(&mut self) -> TokenKind {
        let start = self.at;
        let end = if self.broken_line { None } else { self.interpolated_end() };
        self.broken_line |= end.is_none();
        match end.or_else(|| self.plain_end()) {
            Some(end) => self.at = end,
            None => {
                self.skip_to_line_end();
                self.out.unclosed.push((start, self.at));
            }
        }
        TokenKind::Str
    }

    fn skip_to_line_end(&mut self) {
        self.skip_line();
        if self.at > 0 && self.bytes[self.at - 1] == b'\r' {
            self.at -= 1;
        }
    }

    /// Follows a string into its `{…}` and the strings in there; nothing if the line ends before it does.
    fn interpolated_end(&mut self) -> Option<usize> {
        let mut at = self.at + 1;
        let mut modes = vec![Mode::Text];
        let mut brackets = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let next = self.bytes.get(at + 1).copied();
            let mut step = 1;
            match (modes.last_mut()?, byte) {
                (_, b'\n') => return None,
                (Mode::Text, b'\\') if next != Some(b'\n') => step = 2,
                (Mode::Text, b'{' | b'}') if next == Some(byte) => step = 2,
                (Mode::Text, b'{') => modes.push(Mode::Code(0)),
                (Mode::Text, b'"') => {
                    modes.pop();
                    if modes.is_empty() {
                        return Some(at + 1);
                    }
                }
                (Mode::Text, _) => {}
                (Mode::Code(_), b'"') => modes.push(Mode::Text),
                (Mode::Code(open), b'{' | b'(' | b'[') => {
                    brackets += 1;
                    *open += 1;
                }
                (Mode::Code(0), b'}') => {
                    modes.pop();
                }
                (Mode::Code(open), b'}' | b')' | b']') if *open > 0 => {
                    brackets -= 1;
                    *open -= 1;
                }
                (Mode::Code(_), _) => {}
            }
            let depth = self.depth + modes.len() + brackets;
            self.check_depth(depth);
            at += step;
        }
        None
    }

    fn plain_end(&self) -> Option<usize> {
        let mut at = self.at + 1;
        loop {
            match self.bytes.get(at)? {
                b'\n' => return None,
                b'"' => return Some(at + 1),
                b'\\' if self.bytes.get(at + 1) != Some(&b'\n') => at += 2,
                _ => at += 1,
            }
        }
    }

    /// At a word that begins an item at the beginning of a line, open brackets of the item before cannot matter.
    fn new_item(&mut self, start: usize) {
        let first = self.out.tokens.last().is_some_and(|t| t.starts_line);
        let word = &self.text[start..self.at];
        let spaced = self.peek(0).is_none_or(|b| b.is_ascii_whitespace());
        if first && spaced && ITEM_WORDS.contains(&word) {
            self.depth = 0;
            self.deep_reported = false;
        }
    }
}

/// Where a walk through a string is.
enum Mode {
    Text,
    /// Inside `{…}`, with so many brackets open.
    Code(usize),
}

/// The words that begin an item.
pub(crate) const ITEM_WORDS: [&str; 8] = ["on", "before", "after", "fn", "use", "param", "const", "struct"];

/// The words that begin a probe.
pub(crate) const MOMENTS: [&str; 3] = ["on", "before", "after"];

fn chunks(text: &str, tokens: &[Token]) -> Vec<Chunk> {
    let mut starts: Vec<usize> =
        (0..tokens.len()).filter(|i| tokens[*i].starts_line && starts_item(text, &tokens[*i..])).collect();
    if !tokens.is_empty() && starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([tokens.len()]);
    let pairs = starts.iter().copied().zip(ends);
    pairs
        .map(|(from, to)| Chunk {
            start: tokens[from].start,
            end: tokens.get(to).map_or(text.len(), |t| t.start),
            tokens: from..to,
        })
        .collect()
}

/// True if an item begins with the first of these tokens.
pub(crate) fn starts_item(text: &str, tokens: &[Token]) -> bool {
    let word = |i: usize| tokens.get(i).map_or("", |t| &text[t.start..t.end]);
    let kind = |i: usize| tokens.get(i).map(|t: &Token| t.kind);
    let spaced = |i: usize| {
        let after = tokens.get(i).map(|t| t.end);
        after.is_some_and(|at| text[at..].starts_with([' ', '\t', '\r', '\n']) || at == text.len())
    };
    let is_word = kind(0) == Some(TokenKind::Word);
    if is_word && word(1) == ":" && MOMENTS.contains(&word(2)) && spaced(2) {
        return true;
    }
    match word(0) {
        "let" => word(1) == "@",
        "use" => kind(1) == Some(TokenKind::Str),
        w if ITEM_WORDS.contains(&w) => spaced(0) && kind(1) != Some(TokenKind::Punct),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let chunks = scan(text).chunks;
        chunks.iter().map(|c| text[c.start..c.end].trim()).collect()
    }

    #[test]
    fn items_begin_at_line_starts() {
        let text = "on call f trace on call g trace\n  x: on end\n  trace\nconst A = 1\nlet @x\n";
        let expected = ["on call f trace on call g trace", "x: on end\n  trace", "const A = 1", "let @x"];
        assert_eq!(pieces(text), expected);
    }

    #[test]
    fn words_in_strings_comments_and_blocks_begin_nothing() {
        let text = "on begin { # on\n let n = 1\n print \"\non\" # after x\n}";
        assert_eq!(pieces(text).len(), 1);
        assert_eq!(pieces("junk\non begin").len(), 2);
    }

    #[test]
    fn strings_nest_through_interpolations() {
        let text = r#"print "{if a {"W"} else {"R"}} {b}" x"#;
        let found = scan(text);
        assert!(found.unclosed.is_empty());
        let strings = found.tokens.iter().filter(|t| t.kind == TokenKind::Str);
        assert_eq!(strings.count(), 1);
    }

    #[test]
    fn a_forgotten_quote_ends_with_its_line() {
        let found = scan("print \"x0={x0}\non call f trace");
        assert_eq!(found.unclosed, vec![(6, 14)]);
    }

    #[test]
    fn deep_nesting_is_found_once_per_item() {
        let text = format!("on begin print {}1\non end print {}1", "(".repeat(300), "\"{".repeat(300));
        assert_eq!(scan(&text).too_deep.len(), 2);
    }
}
