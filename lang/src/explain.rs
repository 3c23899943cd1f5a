//! Syntax errors in the user's words: what a failed parse, an error production or a quick look at the tokens means.
//!
//! The grammar only tells where it could not go on. The sentence comes from the tokens around that place; no grammar rule's name
//! ever reaches a message.

use std::ops::Range;

use crate::ast::{Event, Text};
use crate::diag::Diagnostic;
use crate::foreign;
use crate::number;
use crate::probes;
use crate::scan::{ITEM_WORDS, MAX_NESTING, MOMENTS, Token, TokenKind};
use crate::span::Span;
use crate::suggest::nearest;
use crate::verbs;

/// Words that begin a clause.
pub(crate) const CLAUSES: [&str; 13] =
    ["at", "in", "except", "from", "during", "when", "hit", "once", "since", "until", "limit", "disabled", "optional"];

/// Words of other languages and what is written here instead.
const FOREIGN_VERBS: &[(&str, &str)] = &[
    ("printf", PRINT_HELP),
    ("fprintf", PRINT_HELP),
    ("sprintf", PRINT_HELP),
    ("println", PRINT_HELP),
    ("puts", PRINT_HELP),
    ("printa", "print a map with `print @name` or `print @name top 10`"),
    ("echo", PRINT_HELP),
    ("log", PRINT_HELP),
    ("break", "to leave this probe body: `next`"),
    ("continue", "to leave this probe body: `next`"),
    ("ustack", "stacks are printed with `print stack`"),
    ("var", "a variable is declared with `let`: `let n = x0`"),
    ("int", "a variable is declared with `let`: `let n = x0`"),
    ("unsigned", "a variable is declared with `let`: `let n = x0`"),
    ("char", "a variable is declared with `let`: `let n = x0`"),
    ("while", "there are no loops without bounds; count with `@n += 1` and test it in the next event"),
    ("poke", "registers and memory are changed with `write`: `write u8[0x2000] = 1`"),
    ("patch", "registers and memory are changed with `write`: `write x0 = 5`"),
    ("quantize", "a histogram is made with `hist`: `hist x0`"),
    ("lquantize", "a histogram with equal buckets: `hist x0 linear 0..100 step 10`"),
    ("console", PRINT_HELP),
    ("where", "a condition is written with `when`: `on call main when arg0 == 3 trace`"),
    ("unless", "a condition is written with `when`: `on call main when not arg0 == 3 trace`"),
    ("do", "nothing stands between a place and its statement: `on insn at main print x0`"),
    ("then", "nothing stands between a condition and its statement: `on insn at main when x0 == 5 print x0`"),
    ("sleep", "probes cannot wait; `on every 1000 insns` fires regularly"),
    ("ret", "to leave this probe body: `next`; to make the guest function return: `return 0`"),
    ("stack", STACK_HELP),
    ("bt", STACK_HELP),
    ("backtrace", STACK_HELP),
    ("kstack", STACK_HELP),
    ("nop", "to leave the instruction out: `skip`"),
    ("jump", "to go on elsewhere: `goto main+0x40`"),
    ("jmp", "to go on elsewhere: `goto main+0x40`"),
    ("to", "the place of an event stands behind `at` or `in`: `on write at 0x1000 print value`"),
    ("rw", "reads and writes together are the event `access`: `on access at 0x1000 trace`"),
    ("ignore", "executions are chosen with `hit`: `hit 4..` leaves out the first three"),
    ("times", "executions are chosen with `hit`: `hit ..4` means the first three"),
];

const PRINT_HELP: &str = "write `print \"value {x0:#x}\"`: values go inside the string, `{expr:format}`";

const STACK_HELP: &str = "stacks are values: `print stack`, or `print stack(5)`";

/// What is missing after a word or sign, with an example.
const MISSING: &[(&str, &str, &str)] = &[
    ("on", "an event", "on insn at 0x800 trace"),
    ("before", "an event", "before insn at 0x800 trace"),
    ("after", "an event", "after insn at 0x800 trace"),
    ("at", "a place", "at 0x800, at main, at main+0x10"),
    ("in", "a region", "in main, in .text, in 0x800..0x900"),
    ("except", "a region", "except memcpy"),
    ("from", "a function name", "from parse_packet"),
    ("during", "a function name", "during main"),
    ("since", "a place", "since main"),
    ("until", "a place", "until main+0x40"),
    ("when", "a condition", "when x0 > 4"),
    ("hit", "a count", "hit 3, hit 2..5, hit every 100"),
    ("limit", "a rate", "limit 10 per 1s"),
    ("every", "a number of instructions", "every 1000 insns"),
    ("call", "a function name", "on call malloc"),
    ("syscall", "a system call", "on syscall openat, or * for any"),
    ("write", "what to change", "write x0 = 5"),
    ("flip", "what to change", "flip x0 bit 3"),
    ("set", "what to change", "set x0 bit 3"),
    ("clear", "what to change", "clear x0 bit 3"),
    ("stick", "what to force", "stick x3 bit 5 = 1"),
    ("goto", "a place", "goto main+0x40, goto (x30)"),
    ("raise", "a signal", "raise sigusr1"),
    ("print", "a value", "print x0, \"text {x1:#x}\""),
    ("dump", "an address and a length", "dump sp, 64"),
    ("warn", "a text in quotes", "warn \"odd length {x1}\""),
    ("fail", "a text in quotes", "fail \"must not come here\""),
    ("snapshot", "a name in quotes", "snapshot \"ready\""),
    ("restore", "a name in quotes", "restore \"ready\""),
    ("assert", "a condition", "assert x0 == 0, \"x0 is {x0}\""),
    ("sum", "a value", "sum x1 by func"),
    ("avg", "a value", "avg x1 by func"),
    ("min", "a value", "min x1"),
    ("max", "a value", "max x1"),
    ("last", "a value", "last x1"),
    ("stats", "a value", "stats x1"),
    ("hist", "a value", "hist x1"),
    ("by", "a key", "count by func"),
    ("into", "a name with @", "count into @calls"),
    ("enable", "a probe's label", "enable spy"),
    ("disable", "a probe's label", "disable spy"),
    ("reset", "a name with @", "reset @calls"),
    ("delete", "a map and its key", "delete @live[x0]"),
    ("let", "a name", "let n = x0 + 1"),
    ("if", "a condition", "if x0 == 1 { print x1 }"),
    ("else", "a block", "else { print x1 }"),
    ("for", "a name", "for i in 0..8 { print i }"),
    ("bit", "a bit number", "flip x0 bit 3"),
    ("bits", "a range of bits", "set x0 bits 0..4"),
    ("mask", "a mask", "clear x0 mask 0xff"),
    ("linear", "a range", "hist x1 linear 0..200 step 10"),
    ("step", "a width", "hist x1 linear 0..200 step 10"),
    ("top", "a number", "print @calls top 10"),
    ("as", "a type", "x0 as i32"),
    ("within", "a range or a set", "x0 within 0x2000..0x3000, x0 within {1, 2}"),
    ("=~", "a pattern", "func =~ \"test_*\", func =~ /^test/"),
    ("fn", "a name", "fn double(a) = a * 2"),
    ("const", "a name", "const BASE = 0x4000"),
    ("param", "a name", "param nth = 1"),
    ("use", "a file in quotes", "use \"lib.spile\""),
    ("per", "a unit", "hit 3 per thread"),
    (":", "a type", "let n: u32 = x0"),
    ("@", "a name", "@calls"),
    ("&", "a name", "&table"),
];

// ---------- findings that need no failed parse ----------

fn span(source: u32, start: usize, end: usize) -> Span {
    Span { source, start: start as u32, end: end as u32 }
}

pub(crate) fn too_large(source: u32, text: &str) -> Diagnostic {
    let title = format!("this script has {} bytes; the limit is 4 MiB", text.len());
    Diagnostic::error("E0117", title)
        .primary(span(source, 0, 0), "here")
        .help("split it into several files, or give one that is a script: this may be another kind of file")
}

pub(crate) fn not_text(source: u32, at: usize) -> Diagnostic {
    Diagnostic::error("E0116", "this script is not UTF-8 text")
        .primary(span(source, at, at + 3), "the first byte that is not text")
        .help("save the file as UTF-8, or give one that is a script: this may be another kind of file")
}

pub(crate) fn too_deep(source: u32, at: usize) -> Diagnostic {
    let title = format!("this is nested more than {MAX_NESTING} levels deep");
    Diagnostic::error("E0107", title)
        .primary(span(source, at, at + 1), "one level too many")
        .help("name a part of it: `let n = …` in a body, or `fn f(a) = …`")
}

pub(crate) fn unclosed_string(source: u32, text: &str, start: usize, end: usize) -> Diagnostic {
    let written = text[start..end].trim_end();
    let shown = span(source, start, start + written.len());
    Diagnostic::error("E0110", "this string has no closing quote on its line")
        .primary(shown, "opened here")
        .help(format!("{written}\""))
        .fix(shown, format!("{written}\""))
}

/// Closes strings that end with their line, so that the rest of the script can be read. Positions stay.
pub(crate) fn close_strings(text: &str, unclosed: &[(usize, usize)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for &(start, end) in unclosed {
        out.push_str(&text[done..start]);
        match end - start {
            1 => out.push('0'),
            n => {
                out.push('"');
                out.extend(std::iter::repeat_n(' ', n - 2));
                out.push('"');
            }
        }
        done = end;
    }
    out.push_str(&text[done..]);
    out
}

/// For errors beyond those that are shown: they are counted only.
pub(crate) fn unreadable(span: Span) -> Diagnostic {
    Diagnostic::error("E0115", "this cannot be read either").primary(span, "here")
}

pub(crate) fn number_too_large(span: Span, what: &str, bits: u32) -> Diagnostic {
    Diagnostic::error("E0109", format!("{what} has at most {bits} bits")).primary(span, "too large")
}

// ---------- error productions ----------

pub(crate) fn unknown_event(word: &Text) -> Diagnostic {
    let names = || probes::TABLE.iter().map(|event| event.name);
    let near = nearest(&word.text, names());
    let foreign = match word.text.as_str() {
        "instruction" | "inst" | "instr" | "insns" => Some("insn"),
        "function" | "func" | "uprobe" | "entry" | "fentry" | "enter" => Some("call"),
        "uretprobe" | "fexit" | "leave" | "ret" => Some("return"),
        "start" | "init" | "BEGIN" => Some("begin"),
        "finish" | "END" | "stop" => Some("end"),
        "interval" | "profile" | "timer" | "tick" => Some("every"),
        "load" | "store" | "mem" | "memory" => Some("access"),
        "basic_block" | "bb" => Some("block"),
        _ => None,
    };
    let found = foreign.map(str::to_string).or(near);
    let title = format!("there is no event `{}`", word.text);
    let out = Diagnostic::error("E0101", title).primary(word.span, "not an event");
    match found {
        Some(name) => {
            let example = probes::find(&name).map_or("", |event| event.example);
            out.help(format!("did you mean `{name}`?  {example}")).fix(word.span, name)
        }
        None => {
            let supported = probes::TABLE.iter().filter(|event| event.supported);
            let list: Vec<&str> = supported.map(|event| event.name).collect();
            out.help(format!(
                "if it is a function: `on call {0} …`, or at its first instruction: `on insn at {0} …`",
                word.text
            ))
            .help(format!("events are: {}", list.join(", ")))
        }
    }
}

pub(crate) fn missing_at(span: Span, text: &str, event: Option<&Event>) -> Diagnostic {
    let text = text.trim_end();
    let event = event.map_or("insn", |event| event.word.text.as_str());
    Diagnostic::error("E0112", "a place needs `at` before it")
        .primary(span, "missing `at`")
        .help(format!("on {event} at {text}"))
        .fix(span, format!("at {text}"))
}

pub(crate) fn double_equals(at: Span, whole: Span, text: &str) -> Diagnostic {
    let (start, middle, end) = (whole.start as usize, at.start as usize, whole.end as usize);
    let left = text.get(start..middle).unwrap_or("").trim_end();
    let right = text.get(at.end as usize..end).unwrap_or("").trim_start();
    Diagnostic::error("E0103", "`==` compares; `write` assigns with `=`")
        .primary(at, "use `=`")
        .help(format!("write {left} = {right}"))
        .fix(at, "=")
}

pub(crate) fn bare_return(word: Span) -> Diagnostic {
    Diagnostic::error("E0104", "`return` makes the guest function return, so it needs a value")
        .primary(word, "returns what?")
        .help("to leave this probe body: `next`")
        .help("to make the guest function return 0: `return 0`")
        .help("to make a void function return: `return void`")
        .fix(word, "next")
}

pub(crate) fn two_statements(before: Span, next: Span, text: &str) -> Diagnostic {
    let first = text.get(before.start as usize..before.end as usize);
    let second = text.get(next.start as usize..next.end as usize);
    let word_end = second.unwrap_or("").find(' ').unwrap_or(1) as u32;
    let word = Span { end: next.start + word_end.max(1), ..next };
    let gap = Span { start: before.end, end: before.end, ..before };
    Diagnostic::error("E0106", "two statements on one line need a `;` between them")
        .primary(word, "a second statement begins here")
        .help(format!("{}; {}", shortened(first), shortened(second)))
        .fix(gap, ";")
}

fn shortened(text: Option<&str>) -> &str {
    let line = text.unwrap_or("").lines().next().unwrap_or("");
    match line.char_indices().nth(60) {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

pub(crate) fn chained_comparison(first: Span, second: Span) -> Diagnostic {
    Diagnostic::error("E0121", "comparisons cannot be chained")
        .primary(second, "a second comparison")
        .secondary(first, "the first one")
        .help("a < b and b < c")
        .help("or, for a range whose end is excluded: b within a..c")
}

pub(crate) fn one_address(span: Span) -> Diagnostic {
    Diagnostic::error("E0115", "guest memory has one address")
        .primary(span, "several values in the brackets")
        .help("u32[sp + 8]")
}

/// Explains a statement that begins with an unknown word.
pub(crate) fn unknown_verb(word: &Text, rest: &str, whole: Span, text: &str, is_body: bool) -> Diagnostic {
    let before = text.get(..word.span.start as usize).unwrap_or("");
    let line_before = before.rsplit('\n').next().unwrap_or("").trim_end();
    let follows_statement = !is_body && !line_before.is_empty() && !line_before.ends_with(['{', ';', '}']);
    let rest = rest.trim();
    if follows_statement && !rest.starts_with('(') && !near_verb(&word.text) {
        return missing_operator(word.span, last_value(word.span, line_before));
    }
    if rest.starts_with("++") || rest.starts_with("--") {
        return step_operator(&word.text, &rest[..2], whole);
    }
    if is_body && last_clause(line_before) == Some("when") && !near_verb(&word.text) {
        return missing_operator(word.span, last_value(word.span, line_before));
    }
    let placed = matches!(last_clause(line_before), Some("at" | "in"));
    if is_body && !placed && looks_like_place(&word.text, rest) {
        return place_without_at(word, line_before, rest);
    }
    not_a_verb(word, rest)
}

/// The last word before an action that begins a clause.
fn last_clause(line: &str) -> Option<&str> {
    line.split_whitespace().rev().find(|word| CLAUSES.contains(word))
}

fn near_verb(word: &str) -> bool {
    nearest(word, verbs::TABLE.iter().map(|verb| verb.name)).is_some()
}

/// In the place of a body a name that no operand follows is a symbol whose `at` was forgotten.
fn looks_like_place(word: &str, rest: &str) -> bool {
    let next = first_word(rest);
    let known = CLAUSES.contains(&next) || verbs::find(next).is_some();
    let offset = rest.starts_with('+') && rest[1..].trim_start().starts_with(|c: char| c.is_ascii_digit());
    let foreign = FOREIGN_VERBS.iter().any(|(name, _)| *name == word);
    // The one function that every program has is near to a verb.
    let main = word == "main" && rest.is_empty();
    let line = rest.starts_with('.') && rest.contains(':');
    let certain = known || offset || main || line || rest.starts_with('{');
    !foreign && (certain || (rest.is_empty() && !near_verb(word)))
}

fn place_without_at(word: &Text, before: &str, rest: &str) -> Diagnostic {
    let named = ["call", "return", "syscall", "signal", "irq", "trap", "load", "mark"];
    let mut words = before.split_whitespace().rev();
    let list = words.clone().take(4).any(|w| named.contains(&w));
    if list && words.next().is_some_and(|w| !CLAUSES.contains(&w)) {
        return Diagnostic::error("E0112", "names in a list are separated by commas")
            .primary(word.span, "missing `,` before this name")
            .help("on call malloc, free trace");
    }
    let event = before.split_whitespace().next_back().unwrap_or("");
    if event == "exit" {
        return Diagnostic::error("E0112", "`exit` is the end of a thread or process, and has no place")
            .primary(word.span, "no place fits here")
            .help(format!("where a function returns: `on return {} trace`", word.text));
    }
    let plain = rest.chars().all(|c| c.is_alphanumeric()) && word.text.len() < 7;
    let mnemonic = event == "insn" && plain && word.text != "main";
    // A source line is more than its first word.
    let line = if rest.starts_with('.') { rest.split_whitespace().next().unwrap_or("") } else { "" };
    Diagnostic::error("E0112", "a place needs `at` before it")
        .primary(word.span, "missing `at`")
        .help(format!("at {}{}", word.text, shortened_at(line, 60)))
        .help_if(mnemonic.then(|| format!("a mnemonic stands in quotes: `\"{}\"`", word.text)))
        .fix(word.span, format!("at {}", word.text))
}

fn step_operator(name: &str, op: &str, whole: Span) -> Diagnostic {
    let sign = if op == "++" { '+' } else { '-' };
    Diagnostic::error("E0111", format!("there is no operator `{op}`"))
        .primary(whole, "an operator of C")
        .help(format!("{name} {sign}= 1"))
        .fix(whole, format!("{name} {sign}= 1"))
}

fn not_a_verb(word: &Text, rest: &str) -> Diagnostic {
    let title = format!("no statement starts with `{}`", word.text);
    let out = Diagnostic::error("E0102", title).primary(word.span, "not a verb");
    if let Some((_, help)) = FOREIGN_VERBS.iter().find(|(name, _)| *name == word.text) {
        return out.help(*help);
    }
    if let Some(clause) = nearest(&word.text, CLAUSES).filter(|_| !near_verb(&word.text)) {
        return out
            .help(format!("did you mean the clause `{clause}`? clauses stand before the action"))
            .fix(word.span, clause);
    }
    if let Some(name) = nearest(&word.text, verbs::TABLE.iter().map(|verb| verb.name)) {
        let form = verbs::find(&name).map_or("", |verb| verb.form);
        return out.help(format!("did you mean `{name}`?  {form}")).fix(word.span, name);
    }
    if crate::builtins::function(&word.text).is_some() {
        let call = format!("{}{}", word.text, rest);
        return out.help(format!("a value alone does nothing; print it: `print {call}`"));
    }
    out.help("statements begin with a verb: print, write, trace, count, let, if, …")
        .help(format!("to print a value: `print {}`", word.text))
}

fn last_value(at: Span, before: &str) -> Option<Span> {
    let start = before.rfind(|c: char| c.is_whitespace() || c == ',').map_or(0, |i| i + 1);
    let spaces = at.start as usize;
    let length = before.len() - start;
    let end = spaces.checked_sub(1)?;
    let start = end.checked_sub(length)?;
    (length > 0).then_some(Span { start: start as u32, end: end as u32, ..at })
}

fn missing_operator(second: Span, first: Option<Span>) -> Diagnostic {
    let out = Diagnostic::error("E0113", "there is nothing between these two values")
        .primary(second, "missing `,` or an operator before this");
    let out = match first {
        Some(first) => out.secondary(first, "the first value"),
        None => out,
    };
    out.help("to print both: `print x0, x1`").help("to compute with both: `print x0 + x1`")
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

// ---------- failed parses ----------

/// What is said about a failed parse.
pub(crate) struct Explained {
    pub(crate) diagnostic: Diagnostic,
    /// A piece that can be cut out in order to find the next error.
    pub(crate) cut: Option<Range<usize>>,
    /// It may only be a consequence of an earlier cut.
    pub(crate) follow_up: bool,
}

/// A failed parse: the tokens of the item and the place at which the grammar could not go on.
pub(crate) struct Failure<'a> {
    source: u32,
    text: &'a str,
    tokens: Vec<Token>,
    /// Index of the token that did not fit; the number of tokens if more was expected.
    at: usize,
}

impl<'a> Failure<'a> {
    pub(crate) fn new(source: u32, text: &'a str, tokens: &[Token], at: usize, cuts: &[Range<usize>]) -> Failure<'a> {
        let kept = |token: &&Token| !cuts.iter().any(|cut| cut.contains(&token.start));
        let tokens: Vec<Token> = tokens.iter().filter(kept).copied().collect();
        let at = tokens.partition_point(|token| token.end <= at);
        Failure { source, text, tokens, at }
    }

    pub(crate) fn explain(&self) -> Explained {
        if let Some(rest) = self.garbage() {
            return rest;
        }
        let bracket = self.bracket();
        let follow_up = bracket.is_some() || self.statement().is_none();
        let diagnostic = self
            .first_word_wrong()
            .or_else(|| self.strange())
            .or_else(|| self.number())
            .or_else(|| self.habit())
            .or(bracket)
            .or_else(|| self.outside())
            .or_else(|| self.clause_after_action())
            .or_else(|| self.reserved_name())
            .or_else(|| self.unquoted_file())
            .or_else(|| self.two_values())
            .or_else(|| self.string())
            .or_else(|| self.limit())
            .or_else(|| self.missing())
            .or_else(|| self.incomplete())
            .unwrap_or_else(|| self.unexpected());
        let follow_up = follow_up || self.word(self.at) == "}";
        Explained { diagnostic, cut: self.cut(), follow_up }
    }

    /// A line that begins nothing, outside all brackets: it is explained and cut out by itself.
    fn garbage(&self) -> Option<Explained> {
        let first = if self.begins_nothing(0) { 0 } else { self.at };
        if !self.begins_nothing(first) || (first > 0 && self.operand_expected()) {
            return None;
        }
        let rest = Failure { tokens: self.tokens[first..].to_vec(), at: 0, ..*self };
        let mut depth = 0i64;
        let ends = |(i, token): (usize, &Token)| {
            let fresh = i > 0 && token.starts_line && depth <= 0;
            match rest.word(i) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            fresh.then_some(token.start)
        };
        let start = rest.tokens.first()?.start;
        let found = rest.tokens.iter().enumerate().find_map(ends);
        let end = found.or(rest.tokens.last().map(|t| t.end))?;
        Some(Explained { diagnostic: rest.first_word_wrong()?, cut: Some(start..end), follow_up: false })
    }

    fn begins_nothing(&self, i: usize) -> bool {
        let Some(token) = self.tokens.get(i) else {
            return false;
        };
        let depth = (0..i).fold(0i64, |depth, i| match self.word(i) {
            "{" | "(" | "[" => depth + 1,
            "}" | ")" | "]" => depth - 1,
            _ => depth,
        });
        let word = self.word(i);
        let labelled = self.word(i + 1) == ":" && MOMENTS.contains(&self.word(i + 2));
        let begins = ITEM_WORDS.contains(&word) || labelled || (word == "let" && self.word(i + 1) == "@");
        let continues = i > 0 && (CLAUSES.contains(&word) || verbs::find(word).is_some());
        token.starts_line && depth == 0 && token.kind == TokenKind::Word && !begins && !continues
    }

    fn span(&self, token: Token) -> Span {
        span(self.source, token.start, token.end)
    }

    fn word(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |token| &self.text[token.start..token.end])
    }

    fn token(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    fn before(&self) -> Option<Token> {
        self.tokens.get(self.at.checked_sub(1)?).copied()
    }

    fn word_before(&self) -> &'a str {
        self.at.checked_sub(1).map_or("", |i| self.word(i))
    }

    /// Index of the token with which the statement begins that the failure is in.
    fn statement(&self) -> Option<usize> {
        let last = self.at.min(self.tokens.len().checked_sub(1)?);
        (0..=last).rev().find(|&i| self.begins_statement(i))
    }

    fn begins_statement(&self, i: usize) -> bool {
        let word = self.word(i);
        let is_verb = verbs::find(word).is_some();
        let after = i.checked_sub(1).map_or("", |b| self.word(b));
        let separated = self.tokens[i].starts_line || matches!(after, "{" | ";" | "}");
        if MOMENTS.contains(&after) {
            return false;
        }
        let called = self.word(i + 1) == "(" && matches!(word, "min" | "max");
        let reserved = !matches!(word, "count" | "sum" | "avg" | "min" | "max" | "last" | "stats" | "hist");
        (is_verb && !called && (separated || reserved))
            || (separated
                && i > 0
                && (self.tokens[i].kind == TokenKind::Word || word == "@")
                && !CLAUSES.contains(&word)
                && !MOMENTS.contains(&word))
    }

    /// From the beginning of the statement to its end, strings and brackets respected.
    fn cut(&self) -> Option<Range<usize>> {
        // Of an `if` without braces both parts are wrong together.
        let first = if self.bare_if() { self.statement_if() } else { self.statement()? };
        let mut depth = 0usize;
        let mut end = self.tokens[first].end;
        for (i, token) in self.tokens.iter().enumerate().skip(first) {
            let word = self.word(i);
            let stops = matches!(word, ";") || (token.starts_line && i > self.at.min(self.tokens.len()));
            if depth == 0 && i > first && (stops || word == "}") {
                break;
            }
            match word {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            end = token.end;
        }
        Some(self.tokens[first].start..end)
    }

    // ---------- the explanations, most certain first ----------

    fn first_word_wrong(&self) -> Option<Diagnostic> {
        let first = *self.tokens.first()?;
        let labelled = self.word(1) == ":" && MOMENTS.contains(&self.word(2));
        let word = self.word(0);
        let starts = ITEM_WORDS.contains(&word) || word == "let" || labelled;
        let comment = word == "/" && matches!(self.word(1), "/" | "*");
        if comment || (starts && !(word == "let" && self.word(1) != "@")) {
            return None;
        }
        let line = self.first_line();
        let whole = span(self.source, first.start, first.start + line.len());
        let title = "a probe starts with `on`, `before` or `after`";
        let out = Diagnostic::error("E0100", title);
        if let Some(foreign) = foreign::line(line) {
            return Some(out.primary(whole, foreign.label).help(foreign.help));
        }
        if verbs::find(word).is_some() {
            return Some(
                out.primary(self.span(first), "a statement outside any probe")
                    .help(format!("say when it happens: `on insn at main {}`", shortened(Some(line)))),
            );
        }
        let out = out.primary(self.span(first), "not the beginning of a probe");
        if CLAUSES.contains(&word) {
            let help = match line.split_once(" on ") {
                Some((clause, _)) => format!("a clause stands behind the event: `on … {clause} …`"),
                None => format!("a probe begins with its event: `on insn {}`", shortened(Some(line))),
            };
            return Some(out.help(help));
        }
        if word == "@" {
            return Some(out.help(format!("say when it happens: `on begin {}`", shortened(Some(line)))));
        }
        if probes::find(word).is_some() {
            return Some(out.help(format!("on {}", shortened(Some(line)))));
        }
        let near = nearest(word, ITEM_WORDS.into_iter().chain(["let"]));
        Some(match near {
            Some(name) => out.help(format!("did you mean `{name}`?")).fix(self.span(first), name),
            None => out.help("on insn at 0x800 write x0 = 5"),
        })
    }

    fn first_line(&self) -> &'a str {
        let start = self.tokens.first().map_or(0, |token| token.start);
        let line = self.text[start..].lines().next().unwrap_or("").trim_end();
        shortened_at(line, 100)
    }

    fn strange(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let word = self.word(self.at);
        if token.kind != TokenKind::Strange {
            return None;
        }
        let out = |title: &str, label: &str| Diagnostic::error("E0111", title).primary(self.span(token), label);
        Some(match word {
            "'" => out("strings are written in double quotes", "a single quote")
                .help("print \"text {x0:#x}\"")
                .help("in a shell, put the whole script into single quotes"),
            "`" => out("there are no backticks in a script", "a backtick")
                .help("names stand alone, or in double quotes: `at main`, `in \"mem*\"`"),
            _ => {
                let shown: String = word.chars().flat_map(char::escape_default).collect();
                let shown = if word.chars().all(|c| !c.is_control()) { word } else { &shown };
                out(&format!("`{shown}` has no meaning here"), "this character")
                    .help("other alphabets can be used in strings and comments")
            }
        })
    }

    fn number(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let word = self.word(self.at);
        if token.kind != TokenKind::Number || number::well_formed(word) {
            return None;
        }
        let hex = word.starts_with("0x");
        let title = format!("`{word}` is not a number");
        let out = Diagnostic::error("E0109", title);
        let bad = match hex {
            true => word[2..].find(|c: char| !c.is_ascii_hexdigit() && c != '_').map(|i| i + 2),
            false => word.find(|c: char| !c.is_ascii_digit() && c != '_'),
        };
        let letter = bad.and_then(|i| word[i..].chars().next());
        let label = match (hex, letter) {
            (true, Some(letter)) => format!("`{letter}` is not a hexadecimal digit"),
            (true, None) => "digits are missing".to_string(),
            (false, Some('b')) if word.starts_with("0b") => "binary digits are 0 and 1".to_string(),
            (false, _) => "letters in a number".to_string(),
        };
        let at = match bad {
            Some(i) if hex => span(self.source, token.start + i, token.start + i + 1),
            _ => self.span(token),
        };
        let all_hex = !hex && !word.starts_with("0b") && word.bytes().all(|b| b.is_ascii_hexdigit());
        let help = match all_hex {
            true => format!("hexadecimal numbers start with 0x: `0x{word}`"),
            false => "numbers are 42, 0x2a, 0b101010, 1_000, 64K, 10ms".to_string(),
        };
        Some(out.primary(at, label).help(help))
    }

    /// Habits from other languages.
    fn habit(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let word = self.word(self.at);
        let before = self.word_before();
        let next = self.word(self.at + 1);
        let at = self.span(token);
        let habit = |title: &str, label: &str| Diagnostic::error("E0111", title).primary(at, label);
        Some(match word {
            "$" if self.word(self.at + 2) == "=" => habit("names have no `$`", "remove this")
                .help(format!("for this body: `let {next} = …`; for all probes: `@{next} = …`"))
                .fix(at, "let "),
            "$" => habit("names have no `$`", "remove this")
                .help(format!("registers, variables and parameters stand as they are: `{next}`"))
                .fix(at, ""),
            "->" => habit("`->` is written `.`", "an operator of C")
                .help(format!("{}.{next}: a dot follows pointers too", self.operand_before()))
                .fix(at, "."),
            "++" | "--" => {
                let (sign, operand) = (&word[..1], self.operand_before().replace("@[", "@n["));
                habit(&format!("there is no operator `{word}`"), "an operator of C")
                    .help(format!("{operand} {sign}= 1"))
            }
            "?" => habit("there is no `? :`", "an operator of C").help("if x0 == 0 { 1 } else { 2 }"),
            "::" => habit("names with `::` stand in quotes", "part of a C++ name")
                .help("on call \"std::vector<int>::push_back(int const&)\""),
            ":=" => habit("`:=` is written `=`", "use `=`").fix(at, "="),
            "," if self.in_call_of_print() => {
                habit("`print` takes no format and no parentheses", "values behind a text")
                    .help("values go inside the text: `print \"value {x0:#x}\"`, or in a list: `print x0, n=x1`")
            }
            "+=" | "-=" | "*=" | "|=" | "&=" | "^=" if self.statement().is_some_and(|i| self.word(i) == "write") => {
                let first = self.statement().unwrap_or(self.at);
                let (target, op) = (self.between(first + 1, self.at), word.trim_end_matches('='));
                habit("`write` assigns with `=`", "use `=`")
                    .help(format!("write {target} = {target} {op} {}", self.operand_after()))
            }
            ":" if self.at + 1 < self.tokens.len()
                && self.begins_statement(self.at + 1)
                && self.statement().is_none_or(|i| i >= self.at) =>
            {
                habit("no `:` stands before a statement", "remove this")
                    .help(format!("{} {next} …", self.between(0, self.at)))
                    .fix(at, "")
            }
            ":" if self.at == 2 && matches!(self.word(0), "const" | "let") => {
                habit(&format!("a `{}` has no type", self.word(0)), "remove the type")
                    .help(format!("{} {before} = 5", self.word(0)))
            }
            ".." if self.place_clause() == Some("at") => habit("a region stands behind `in`", "`at` takes points")
                .help(format!("in {}..{next}", self.operand_before())),
            "." if self.at == 2 && MOMENTS.contains(&self.word(0)) => {
                habit("a source line is a place, not an event", "an event is missing before it").help(format!(
                    "{} line at {} …",
                    self.word(0),
                    self.first_line().split(' ').nth(1).unwrap_or("")
                ))
            }
            "&" if self.place_clause().is_some() => {
                habit("a place is named without `&`", "remove this").help(format!("{before} {next}")).fix(at, "")
            }
            "[" if self.place_clause().is_some() => {
                habit("several places stand without brackets", "remove this").help("at 0x800, 0x900")
            }
            "then" if self.statement_if() > 0 => habit("what an `if` does stands in braces", "no `then` here")
                .help(format!("{} {{ … }}", self.between(self.statement_if(), self.at)))
                .help("for the whole probe, a clause: `when x0 == 1`"),
            "/" if next == "/" => habit("comments start with `#`", "use `#`").help("# a comment"),
            "/" if next == "*" => habit("comments start with `#` and end with the line", "use `#`").help("# a comment"),
            "/" if self.statement().is_none() => habit("a condition is written with `when`", "a bpftrace filter")
                .help(format!("{} when {}", self.between(0, self.at), self.filter())),
            ":" if self.statement().is_some_and(|i| i < self.at) && self.touches(self.at) => {
                habit("a format stands inside a string", "belongs in a string")
                    .help(format!("print \"{{{}:{next}}}\"", self.operand_before()))
            }
            "(" if self.takes_names() => habit("the arguments of a function are not declared", "remove this list")
                .help(format!("{} print arg0, arg1", self.between(0, self.at)))
                .help("with debug information they have names: `print args`"),
            "*" if self.takes_names() && self.touches(self.at - 1) => {
                habit("a pattern stands in quotes", "part of a pattern").help(format!("\"{}*\"", self.operand_before()))
            }
            "*" if self.operand_expected() => {
                let what = if next == "(" { "x0" } else { next };
                habit("memory is read with its type, not with `*`", "an operator of C")
                    .help(format!("u64[{what}], or by its size: i32[{what}], u8[{what}]"))
            }
            "%" if self.operand_expected() => habit("names have no `%`", "remove this")
                .help(format!("registers stand as they are: `{next}`"))
                .fix(at, ""),
            "[" if self.operand_expected() => habit("memory is read with its type", "what is read here?")
                .help(format!("u64[{next}], or by its size: i32[{next}], u8[{next}]"))
                .fix(at, "u64["),
            _ if before == ")" && token.kind == TokenKind::Word && self.cast().is_some() => {
                let ty = self.cast().unwrap_or_default();
                habit("a cast is written behind the value", "a cast of C stands before this")
                    .help(format!("{word} as {ty}"))
            }
            _ if before == ":" && self.statement() == Some(self.at) => {
                habit("no `:` stands before a statement", "remove the `:` before this")
                    .help(format!("{} {word} …", self.between(0, self.at - 1)))
            }
            "=" if next == ">" => habit("no `=>` stands before a statement", "remove this")
                .help(format!("{} print x0", self.between(0, self.at))),
            "=" if self.statement().is_some_and(|i| matches!(self.word(i), "set" | "clear")) => {
                let first = self.statement().unwrap_or(self.at);
                habit("a register or memory gets a value with `write`", "`write` assigns")
                    .help(format!("write {} = {next}", self.between(first + 1, self.at)))
            }
            _ if self.bare_if() => habit("what an `if` does stands in braces", "needs a `{` before it")
                .help(format!("if {} {{ {word} … }}", self.between(self.statement_if() + 1, self.at)))
                .help("for the whole probe, a clause: `when x0 == 1`"),
            "=" if before == "==" && self.touches(self.at - 1) => {
                habit("`===` is written `==`", "one `=` too many").fix(at, "")
            }
            "=" => return self.single_equals(token),
            "==" if before == "=" => habit("`===` is written `==`", "one `=` too many"),
            ">" if before == "<" && self.touches(self.at - 1) => {
                habit("`<>` is written `!=`", "use `!=`").help(format!("x0 != {next}"))
            }
            _ if token.kind == TokenKind::Word && self.at == 2 && self.word(1) == "output" => {
                habit("the text of an output stands in quotes", "not in quotes").help("on output \"*ready*\" trace")
            }
            _ if token.kind == TokenKind::Str && self.at > 2 && self.word(self.at - 2) == "insn" => {
                let bare = |i| self.word(i).trim_matches('"');
                habit("one pattern chooses the instructions", "a second pattern").help(format!(
                    "several mnemonics: `insn /^({}|{}) /`",
                    bare(self.at - 1),
                    bare(self.at)
                ))
            }
            _ => return None,
        })
    }

    /// True behind the text that is the first of several arguments of `print(…)`.
    fn in_call_of_print(&self) -> bool {
        self.statement().is_some_and(|i| {
            self.word(i) == "print"
                && self.word(i + 1) == "("
                && self.at > i + 2
                && !self.between(i, self.at).contains(')')
        })
    }

    /// The clause whose list of places the failure is in.
    fn place_clause(&self) -> Option<&'a str> {
        let clause = (0..self.at).rev().map(|i| self.word(i)).find(|word| CLAUSES.contains(word))?;
        let in_head = self.statement().is_none_or(|i| i >= self.at);
        (in_head && matches!(clause, "at" | "in" | "except" | "since" | "until")).then_some(clause)
    }

    /// The text of a bpftrace filter, whose first slash is where the failure is.
    fn filter(&self) -> &'a str {
        let end = (self.at + 1..self.tokens.len()).find(|&i| self.word(i) == "/").unwrap_or(self.at + 1);
        self.between(self.at + 1, end)
    }

    /// True in the list of names of an event that has one.
    fn takes_names(&self) -> bool {
        matches!(self.word(1), "call" | "return" | "syscall")
            && self.at > 2
            && self.statement().is_none_or(|i| i >= self.at)
    }

    /// The type of a cast of C that ends before the failure.
    fn cast(&self) -> Option<&'static str> {
        let name = self.word(self.at.checked_sub(2)?);
        let opens = self.word(self.at.checked_sub(3)?) == "(";
        let types = [("int", "i32"), ("unsigned", "u32"), ("long", "i64"), ("char", "u8"), ("short", "i16")];
        let found =
            types.iter().chain(&[("uint32_t", "u32"), ("uint64_t", "u64"), ("int64_t", "i64"), ("size_t", "u64")]);
        let own = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"].map(|name| (name, name));
        let found = found.chain(&own);
        opens.then(|| found.into_iter().find(|(c, _)| *c == name).map(|(_, ours)| *ours)).flatten()
    }

    fn statement_if(&self) -> usize {
        (0..self.at).rev().find(|&i| self.word(i) == "if").unwrap_or(0)
    }

    /// True if this is a statement directly behind the condition of an `if`.
    fn bare_if(&self) -> bool {
        let first = self.statement_if();
        let between = first + 1..self.at;
        first > 0
            && !between.is_empty()
            && verbs::find(self.word(self.at)).is_some()
            && !between.clone().any(|i| matches!(self.word(i), "{" | "}" | ";"))
            && !self.operand_expected()
    }

    /// What stands before the failure without a space in it: `@n`, `x0.next`.
    fn operand_before(&self) -> &'a str {
        let mut first = self.at.saturating_sub(1);
        let mut depth = 0usize;
        loop {
            match self.word(first) {
                "]" | ")" => depth += 1,
                "[" | "(" => depth = depth.saturating_sub(1),
                _ => {}
            }
            let next = first.checked_sub(1).map_or("", |i| self.word(i));
            let opens = depth == 0 && is_operator(next) && !(next == "[" && self.word(first) == "]");
            if next.is_empty() || (depth == 0 && (!self.touches(first - 1) || opens)) {
                return self.between(first, self.at);
            }
            first -= 1;
        }
    }

    fn operand_after(&self) -> &'a str {
        let mut last = self.at + 2;
        while self.touches(last - 1) && !matches!(self.word(last), ")" | "}" | ";" | ",") {
            last += 1;
        }
        self.between(self.at + 1, last)
    }

    /// True if this token and the next one have nothing between them.
    fn touches(&self, i: usize) -> bool {
        let pair = (self.tokens.get(i), self.tokens.get(i + 1));
        matches!(pair, (Some(a), Some(b)) if a.end == b.start)
    }

    /// The text from one token up to before another.
    fn between(&self, from: usize, to: usize) -> &'a str {
        let last = to.checked_sub(1).and_then(|i| self.tokens.get(i));
        match (self.tokens.get(from), last) {
            (Some(a), Some(b)) if a.start <= b.end => shortened_at(&self.text[a.start..b.end], 60),
            _ => "",
        }
    }

    fn single_equals(&self, token: Token) -> Option<Diagnostic> {
        let at = self.span(token);
        let first = self.statement().map(|i| self.word(i));
        let clause = (0..self.at).rev().map(|i| self.word(i)).find(|w| CLAUSES.contains(w) || verbs::find(w).is_some());
        let condition = matches!(first, Some("if" | "assert")) || clause == Some("when");
        condition.then(|| {
            Diagnostic::error("E0103", "`=` assigns; `==` compares")
                .primary(at, "use `==`")
                .help(format!("{} == {}", self.operand_before(), self.operand_after()))
                .fix(at, "==")
        })
    }

    /// Brackets that are never closed, or that close nothing.
    fn bracket(&self) -> Option<Diagnostic> {
        let mut open: Vec<usize> = Vec::new();
        for i in 0..self.at.min(self.tokens.len()) {
            match self.word(i) {
                "{" | "(" | "[" => open.push(i),
                "}" | ")" | "]" => {
                    open.pop();
                }
                _ => {}
            }
        }
        let here = self.word(self.at);
        let innermost = open.last().copied();
        let closes = |opener: &str| match opener {
            "{" => "}",
            "(" => ")",
            _ => "]",
        };
        if matches!(here, "}" | ")" | "]") {
            let fits = innermost.is_some_and(|i| closes(self.word(i)) == here);
            return if fits { None } else { self.mismatch(innermost) };
        }
        let ends = self.token().is_none();
        let opener = innermost.filter(|_| ends)?;
        let word = self.word(opener);
        let close = closes(word);
        Some(
            Diagnostic::error("E0108", format!("this `{word}` is never closed"))
                .primary(self.span(self.tokens[opener]), format!("needs a `{close}`"))
                .help(match word {
                    "{" => "a body ends with `}`: `{ write x0 = 5 }`".to_string(),
                    _ => format!("add `{close}`"),
                }),
        )
    }

    fn mismatch(&self, innermost: Option<usize>) -> Option<Diagnostic> {
        let token = self.token()?;
        let here = self.word(self.at);
        let out = Diagnostic::error("E0108", format!("this `{here}` closes nothing"))
            .primary(self.span(token), "no bracket to close");
        Some(match innermost {
            Some(i) => out.secondary(self.span(self.tokens[i]), "this one is still open"),
            None => out.help(format!("remove the `{here}`")),
        })
    }

    /// A statement after a body without braces.
    fn outside(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let word = self.word(self.at);
        let depth = (0..self.at).fold(0i64, |depth, i| match self.word(i) {
            "{" => depth + 1,
            "}" => depth - 1,
            _ => depth,
        });
        let first = (1..self.at).find(|&i| self.begins_statement(i))?;
        let is_statement = verbs::find(word).is_some() || word == "@";
        let new = token.starts_line || self.word_before() == ";" || verbs::find(word).is_some();
        if depth != 0 || !is_statement || !new || self.operand_expected() {
            return None;
        }
        let braced = self.word(first.saturating_sub(1)) == "{";
        let out = Diagnostic::error("E0118", "this statement belongs to no probe")
            .primary(self.span(token), "a second action");
        Some(match braced {
            true => out.help("put it inside the braces of the probe before it"),
            false => {
                let action = &self.text[self.tokens[first].start..self.tokens[self.at].start];
                let action = action.trim_end().trim_end_matches(';');
                out.secondary(self.span(self.tokens[first]), "without braces, this is the whole body")
                    .help(format!("{{ {}; {word} … }}", shortened(Some(action))))
            }
        })
    }

    fn operand_expected(&self) -> bool {
        let before = self.word_before();
        let sign =
            self.before().is_some_and(|t| t.kind == TokenKind::Punct) && !matches!(before, ")" | "]" | "}" | ";");
        sign || MISSING.iter().any(|(word, ..)| *word == before && before != "@")
    }

    fn clause_after_action(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let word = self.word(self.at);
        let first = self.statement()?;
        if !CLAUSES.contains(&word) || first >= self.at || self.operand_expected() {
            return None;
        }
        Some(
            Diagnostic::error("E0122", format!("`{word}` stands before the action"))
                .primary(self.span(token), "a clause after the action")
                .secondary(self.span(self.tokens[first]), "the action begins here")
                .help(format!("{} {} {}", self.between(0, first), self.rest_of_line(), self.between(first, self.at))),
        )
    }

    fn rest_of_line(&self) -> &'a str {
        let mut last = self.at + 1;
        while self.tokens.get(last).is_some_and(|t| !t.starts_line) {
            last += 1;
        }
        self.between(self.at, last)
    }

    /// A word of the language where a name is expected.
    fn reserved_name(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let word = self.word(self.at);
        let reserved = CLAUSES.contains(&word)
            || ITEM_WORDS.contains(&word)
            || matches!(
                word,
                "by" | "into" | "per" | "as" | "within" | "and" | "or" | "not" | "void" | "else" | "true" | "false"
            )
            || verbs::find(word).is_some();
        let named = matches!(self.word_before(), "let" | "const" | "param" | "fn" | "for");
        (reserved && named).then(|| {
            Diagnostic::error("E0123", format!("`{word}` is a word of the language and cannot be a name"))
                .primary(self.span(token), "choose another name")
                .help(format!("{} {word}_ = …", self.word_before()))
        })
    }

    fn two_values(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let before = self.before()?;
        let value_like = |t: Token| {
            matches!(t.kind, TokenKind::Number | TokenKind::Str) || (t.kind == TokenKind::Word && !self.is_keyword(t))
        };
        let ends = value_like(before) || matches!(self.word_before(), ")" | "]");
        let begins = value_like(token) || matches!(self.word(self.at), "@" | "(");
        let in_action = self.statement().is_some_and(|i| i < self.at);
        let condition = (0..self.at).any(|i| self.word(i) == "when");
        let fits = ends && begins && !token.starts_line && (in_action || condition);
        if !fits {
            return None;
        }
        let write = self.statement().filter(|&i| self.word(i) == "write");
        if let Some(first) = write.filter(|&i| !(i..self.at).any(|i| self.word(i) == "=")) {
            let (target, value) = (self.between(first + 1, self.at), self.word(self.at));
            return Some(
                Diagnostic::error("E0113", "there is no `=` between what is written and its value")
                    .primary(self.span(token), "missing `=` before this")
                    .secondary(self.span(before), "written here")
                    .help(format!("write {target} = {value}")),
            );
        }
        let verb = self.statement().filter(|&i| i < self.at).map_or("", |i| self.word(i));
        if matches!(verb, "set" | "clear" | "flip") && self.statement() == self.at.checked_sub(2) {
            return Some(
                Diagnostic::error("E0113", format!("`{verb}` changes bits, and does not say which"))
                    .primary(self.span(token), "expected `bit`, `bits` or `mask` before this")
                    .help(format!("to give it a value: `write {} = {}`", self.word_before(), self.word(self.at)))
                    .help(format!("{verb} {} bit 3", self.word_before())),
            );
        }
        if verb == "skip" {
            return Some(
                Diagnostic::error("E0113", "`skip` counts instructions and has no unit")
                    .primary(self.span(token), "remove this")
                    .help("this instruction: `skip`; this and the next one: `skip 2`"),
            );
        }
        let out = missing_operator(self.span(token), Some(self.span(before)));
        let (text, value) = (self.word_before(), self.word(self.at));
        Some(match before.kind == TokenKind::Str && token.kind == TokenKind::Word {
            true => {
                out.help(format!("to print the value in the text: `print {}{{{value}}}\"`", text.trim_end_matches('"')))
            }
            false => out,
        })
    }

    fn is_keyword(&self, token: Token) -> bool {
        let word = &self.text[token.start..token.end];
        let contextual = matches!(word, "count" | "sum" | "avg" | "min" | "max" | "last" | "stats" | "hist");
        CLAUSES.contains(&word)
            || MOMENTS.contains(&word)
            || matches!(
                word,
                "by" | "into"
                    | "per"
                    | "as"
                    | "within"
                    | "and"
                    | "or"
                    | "not"
                    | "void"
                    | "else"
                    | "bit"
                    | "bits"
                    | "mask"
                    | "linear"
                    | "step"
                    | "top"
            )
            || (verbs::find(word).is_some() && !contextual)
    }

    fn missing(&self) -> Option<Diagnostic> {
        let before = self.before()?;
        let word = self.word_before();
        if word == "return" {
            return Some(bare_return(self.span(before)));
        }
        let listed = MISSING.iter().find(|(name, ..)| *name == word);
        let (what, example) = match listed {
            Some((_, what, example)) if !self.value_may_end(word) => (*what, *example),
            _ if word == "," => self.missing_after_comma(),
            _ if is_operator(word) => ("a value", ""),
            _ => return None,
        };
        let after = match word {
            "," => "a comma".to_string(),
            _ => format!("`{word}`"),
        };
        let verb = if what.contains(" and ") { "are" } else { "is" };
        let out = Diagnostic::error("E0114", format!("{what} {verb} missing after {after}"))
            .primary(self.span(before), format!("expected {what} after this"));
        let out = match self.token() {
            Some(found) if !found.starts_line => {
                let shown = shortened_at(self.word(self.at), 30);
                out.secondary(self.span(found), format!("found `{shown}`"))
            }
            _ => out,
        };
        Some(if example.is_empty() { out } else { out.help(example) })
    }

    /// Words like `count` or `max` may also be variables.
    fn value_may_end(&self, word: &str) -> bool {
        matches!(word, "@" | "&" | ":") && self.token().is_some_and(|t| t.kind == TokenKind::Word)
    }

    fn missing_after_comma(&self) -> (&'static str, &'static str) {
        match self.statement() {
            Some(_) => ("another value", ""),
            None => ("another place", "at main, main+0x10"),
        }
    }

    /// The statement is fine so far, but not complete.
    fn incomplete(&self) -> Option<Diagnostic> {
        let first = self.statement()?;
        let token = self.tokens[first];
        let word = self.word(first);
        let verb = verbs::find(word)?;
        let before = self.before().unwrap_or(token);
        let written = &self.text[token.start..before.end.max(token.end)];
        let ended = self.token().is_none_or(|t| t.starts_line) || matches!(self.word(self.at), ";" | "}");
        let assigns = (first..self.at).any(|i| self.word(i) == "=");
        let out = Diagnostic::error("E0114", format!("this `{word}` is not complete"));
        let missing = match word {
            "write" | "let" if !assigns => "`=` and a value",
            "flip" | "set" | "clear" => "`bit N`, `bits A..B` or `mask M`",
            "stick" => "`=` and a value",
            "dump" => "a comma and a length",
            "if" => "a block in braces",
            "delete" => "a map",
            _ => return None,
        };
        let at = if ended { self.span(before) } else { self.span(self.token()?) };
        let label = match ended {
            true => format!("expected {missing} after this"),
            false => format!("expected {missing} before this"),
        };
        Some(out.primary(at, label).help(match written.contains('\n') {
            true => verb.form.to_string(),
            false => format!("for example: {}", verb.form),
        }))
    }

    fn unexpected(&self) -> Diagnostic {
        let Some(token) = self.token() else {
            return self.unfinished();
        };
        let word = shortened_at(self.word(self.at), 40);
        let bare = self.word_before();
        if bare == "count" && word == "(" {
            return Diagnostic::error("E0115", "`count` is a statement, not a function")
                .primary(self.span(token), "remove the parentheses")
                .help("count, count by func, count into @calls");
        }
        if bare == "count" && word == "@" {
            return Diagnostic::error("E0115", "the name of a count stands behind `into`")
                .primary(self.span(token), "missing `into` before this")
                .help(format!("count into @{}", self.word(self.at + 1)));
        }
        if self.at.checked_sub(2).is_some_and(|before| self.word(before) == "every") {
            return Diagnostic::error("E0115", format!("`{word}` is no unit of time"))
                .primary(self.span(token), "time passes in instructions or seconds")
                .help("on every 1000 insns, on every 10ms, on every 2s");
        }
        if matches!(bare, "trace" | "next" | "stop" | "count") {
            return Diagnostic::error("E0115", format!("nothing follows `{bare}`"))
                .primary(self.span(token), "did not expect this")
                .help(format!("to print a value: `print {word}`"));
        }
        let out = Diagnostic::error("E0115", format!("`{word}` does not fit here"))
            .primary(self.span(token), "did not expect this");
        match self.statement().and_then(|i| verbs::find(self.word(i))) {
            Some(verb) => out.help(format!("for example: {}", verb.form)),
            None => out.help(self.item_form()),
        }
    }

    /// `use` and a name without quotes.
    fn unquoted_file(&self) -> Option<Diagnostic> {
        let token = self.token().filter(|token| token.kind == TokenKind::Word)?;
        if self.word_before() != "use" || self.begins_statement(self.at) {
            return None;
        }
        let rest = &self.text[token.start..];
        let name = rest.split(|c: char| c.is_whitespace() || matches!(c, ';' | '#')).next().unwrap_or(rest);
        let at = span(self.source, token.start, token.start + name.len());
        let quoted = format!("\"{}\"", shortened_at(name, 60));
        let out = Diagnostic::error("E0114", "the name of a file stands in quotes").primary(at, "not in quotes");
        Some(out.help(format!("use {quoted}")).fix(at, quoted))
    }

    /// A `limit` without a period, or with one without a unit.
    fn limit(&self) -> Option<Diagnostic> {
        let [first, second, third, last] =
            [4, 3, 2, 1].map(|back| self.at.checked_sub(back).map_or("", |i| self.word(i)));
        let at = self.span(self.before()?);
        let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
        match (first, second, third) {
            (_, _, "limit") if is_number(last) => Some(
                Diagnostic::error("E0114", format!("a period is missing after `limit {last}`"))
                    .primary(at, "expected `per` and a period after this")
                    .help(format!("limit {last} per 1s")),
            ),
            ("limit", most, "per") if is_number(last) => Some(
                Diagnostic::error("E0114", "this period has no unit")
                    .primary(at, "seconds, or instructions?")
                    .help(format!("limit {most} per {last} insns"))
                    .help(format!("limit {most} per 1s")),
            ),
            _ => None,
        }
    }

    fn string(&self) -> Option<Diagnostic> {
        let token = self.token().filter(|token| token.kind == TokenKind::Str)?;
        string_trouble(self.source, token, self.word(self.at))
    }

    fn unfinished(&self) -> Diagnostic {
        let last = self.tokens.last().copied();
        let at = last.map_or(span(self.source, 0, 0), |token| self.span(token));
        let every = self.tokens.len() >= 2 && self.word(self.tokens.len() - 2) == "every";
        let out = Diagnostic::error("E0114", "something is missing at the end");
        if every {
            return out
                .primary(at, "expected a unit after this")
                .help(format!("every {} insns", self.word(self.tokens.len() - 1)));
        }
        out.primary(at, "expected more after this").help(self.item_form())
    }

    fn item_form(&self) -> &'static str {
        match self.word(0) {
            "const" => "const BASE = 0x4000",
            "param" => "param nth = 1",
            "fn" => "fn double(a) = a * 2",
            "let" => "let @seen: bool max 1M",
            "use" => "use \"lib.spile\"",
            "struct" => "struct node { next: *node, key: u32 @ 8 }",
            _ => "on insn at main when x0 == 5 print x0",
        }
    }
}

/// Says what inside a string the grammar could not read.
fn string_trouble(source: u32, token: Token, text: &str) -> Option<Diagnostic> {
    let bytes = text.as_bytes();
    let at = |i: usize, n: usize| span(source, token.start + i, token.start + i + n);
    let mut i = 1;
    while i + 1 < bytes.len() {
        match bytes[i] {
            b'\\' if !matches!(bytes[i + 1], b'n' | b't' | b'r' | b'0' | b'\\' | b'"' | b'x') => {
                return Some(
                    Diagnostic::error("E0119", "there is no such escape in a string")
                        .primary(at(i, 2), "unknown escape")
                        .help("escapes are \\n \\t \\r \\0 \\\\ \\\" \\x41; a backslash is `\\\\`"),
                );
            }
            b'\\' => i += 2,
            b'}' if bytes[i + 1] == b'}' => i += 2,
            b'}' => {
                return Some(
                    Diagnostic::error("E0119", "a brace in a string is written twice")
                        .primary(at(i, 1), "closes nothing")
                        .help("`}}` prints }"),
                );
            }
            b'{' if bytes[i + 1] == b'{' => i += 2,
            b'{' => break,
            _ => i += 1,
        }
    }
    if bytes.get(i) == Some(&b'{') {
        let end = text[i..].find('}').map_or(text.len() - 1, |e| i + e + 1);
        return Some(
            Diagnostic::error("E0119", "what stands in the braces of this string cannot be read")
                .primary(at(i, end - i), "expected `{value}` or `{value:format}`")
                .help("\"x0 is {x0:#x}\"; for a brace itself write {{ or }}"),
        );
    }
    None
}

fn is_operator(word: &str) -> bool {
    const SIGNS: [&str; 31] = [
        "=", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<<", ">>", "??", "&&",
        "||", "!", "(", "[", "+=", "-=", "*=", "|=", "&=", "^=", "..",
    ];
    SIGNS.contains(&word) || matches!(word, "and" | "or" | "not")
}

fn shortened_at(text: &str, length: usize) -> &str {
    match text.char_indices().nth(length) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}
