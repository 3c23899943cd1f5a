//! How diagnostics look: as pictures for people, and as JSON for programs. What they say is in [`crate::diag`].

use std::fmt::{self, Write};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, NarratableReportHandler,
    SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};

use crate::diag::{Diagnostic, Diagnostics, Severity};
use crate::source::Sources;
use crate::span::Span;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Only ASCII characters in the frame.
    pub ascii: bool,
    /// Terminal colours.
    pub colour: bool,
    /// Sentences instead of a picture, for screen readers.
    pub narrated: bool,
    /// Columns.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Style {
        Style { ascii: false, colour: false, narrated: false, width: 100 }
    }
}

/// Renders all findings, one after the other, with an empty line between.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, style: Style) -> String {
    let texts: Vec<String> = diagnostics.iter().map(|diagnostic| render_one(diagnostic, sources, style)).collect();
    texts.join("\n")
}

/// Renders one finding.
pub fn render_one(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let report = Report::new(diagnostic, sources);
    let mut out = String::new();
    let result = match style.narrated {
        true => NarratableReportHandler::new().render_report(&mut out, &report),
        false => handler(style).render_report(&mut out, &report),
    };
    if result.is_err() {
        let _ = write!(out, "{}: {}", diagnostic.code, diagnostic.title);
    }
    let mut text: String = out.lines().fold(String::new(), |mut text, line| {
        text.push_str(line.trim_end());
        text.push('\n');
        text
    });
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

fn handler(style: Style) -> GraphicalReportHandler {
    let theme = GraphicalTheme {
        characters: match style.ascii {
            true => ThemeCharacters::ascii(),
            false => ThemeCharacters::unicode(),
        },
        styles: match style.colour {
            true => ThemeStyles::ansi(),
            false => ThemeStyles::none(),
        },
    };
    GraphicalReportHandler::new_themed(theme)
        .with_width(style.width)
        .with_links(false)
        .with_context_lines(0)
        .with_wrap_lines(false)
}

/// A diagnostic in the form that miette draws. One picture shows one source; labels elsewhere become lines of help.
#[derive(Debug)]
struct Report {
    title: String,
    code: &'static str,
    severity: Severity,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
    source: Option<Lines>,
}

impl Report {
    fn new(diagnostic: &Diagnostic, sources: &Sources) -> Report {
        let shown = diagnostic.span();
        let source = shown.and_then(|span| sources.get(span.source));
        let text = source.map_or("", |source| source.text());
        let mut labels = Vec::new();
        let mut help = Vec::new();
        for label in &diagnostic.labels {
            let elsewhere = shown.is_some_and(|s| s.source != label.span.source || far(s, label.span));
            if elsewhere {
                help.push(format!("{}: {}", sources.file_line(label.span), label.text));
                continue;
            }
            let span = drawn(label.span, text);
            let words = Some(label.text.clone());
            labels.push(match label.primary {
                true => LabeledSpan::new_primary_with_span(words, span),
                false => LabeledSpan::new_with_span(words, span),
            });
        }
        help.extend(diagnostic.help.iter().cloned());
        Report {
            title: diagnostic.title.clone(),
            code: diagnostic.code,
            severity: diagnostic.severity,
            labels,
            help: (!help.is_empty()).then(|| help.join("\n")),
            source: source.map(|s| Lines { name: s.name().to_string(), text: printable(s.text()) }),
        }
    }
}

/// A source that shows the whole lines of a span and no others.
#[derive(Debug)]
struct Lines {
    name: String,
    text: String,
}

impl SourceCode for Lines {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        _context_before: usize,
        _context_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let bytes = self.text.as_bytes();
        let from = span.offset();
        let to = from + span.len();
        if to > bytes.len() {
            return Err(MietteError::OutOfBounds);
        }
        let start = bytes[..from].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        // A span that ends with a line break still ends in its line.
        let last = to.max(from + 1) - 1;
        let rest = bytes.get(last..).unwrap_or(&[]);
        let end = rest.iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| last + i);
        let column = from - start;
        let (start, end) = window(&self.text, (start, end.max(start)), (from, to));
        let line = bytes[..start].iter().filter(|b| **b == b'\n').count();
        let shown = SourceSpan::from((start, end - start));
        let data = &bytes[start..end];
        let count = data.iter().filter(|b| **b == b'\n').count() + 1;
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), data, shown, line, column, count)))
    }
}

/// Lines longer than this are shown in part.
const LONG_LINE: usize = 400;

/// So much of a long line is shown before and after a span.
const MARGIN: usize = 60;

/// Cuts a long line down to the neighbourhood of a span.
fn window(text: &str, (start, end): (usize, usize), (from, to): (usize, usize)) -> (usize, usize) {
    if end - start <= LONG_LINE {
        return (start, end);
    }
    let low = text.floor_char_boundary(from.saturating_sub(MARGIN).max(start));
    let high = text.ceil_char_boundary((to + MARGIN).min(end));
    (low, high)
}

/// A span that lies inside the text and is not so long that its picture is of no use.
fn drawn(span: Span, text: &str) -> SourceSpan {
    let start = text.floor_char_boundary((span.start as usize).min(text.len()));
    let end = (span.end as usize).clamp(start, text.len());
    let end = text.ceil_char_boundary(end.min(start + LONG_LINE));
    SourceSpan::from((start, end - start))
}

/// Labels far from the primary one would pull everything between them into the picture.
fn far(a: Span, b: Span) -> bool {
    a.start.abs_diff(b.start) > 16 * LONG_LINE as u32
}

/// Control characters of a script must not reach the terminal; a byte stays a byte, so that spans stay true.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => c,
        c if c.is_ascii_control() => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let source = self.source.as_ref()?;
        (!self.labels.is_empty()).then_some(source as &dyn SourceCode)
    }
}

/// Returns all findings as NDJSON: one object for each, one in a line.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> String {
    diagnostics.iter().map(|diagnostic| json_one(diagnostic, sources) + "\n").collect()
}

/// Returns one finding as a JSON object.
pub fn json_one(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut out = format!(
        "{{\"type\":\"diagnostic\",\"code\":{},\"severity\":\"{severity}\",\"message\":{},\"spans\":[",
        quoted(diagnostic.code),
        quoted(&diagnostic.title)
    );
    for (i, label) in diagnostic.labels.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(
            out,
            "{comma}{{{},\"label\":{},\"primary\":{}}}",
            place(label.span, sources),
            quoted(&label.text),
            label.primary
        );
    }
    let help: Vec<String> = diagnostic.help.iter().map(|line| quoted(line)).collect();
    let _ = write!(out, "],\"help\":[{}]", help.join(","));
    if let Some(fix) = &diagnostic.fix {
        let place = place(fix.span, sources);
        let _ = write!(out, ",\"fix\":{{\"span\":{{{place}}},\"text\":{}}}", quoted(&fix.text));
    }
    out.push('}');
    out
}

fn place(span: Span, sources: &Sources) -> String {
    let file = sources.get(span.source).map_or("", |source| source.name());
    let position = sources.position(span);
    format!(
        "\"file\":{},\"start\":{},\"end\":{},\"line\":{},\"column\":{}",
        quoted(file),
        span.start,
        span.end,
        position.line,
        position.column
    )
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
