//! Diagnostics: what is wrong, where, and what to write instead. How they look is in [`crate::render`].
//!
//! Public, because the engine reports place errors (E03xx) and run-time errors (R06xx) with the same types.

use crate::span::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but most likely does not do what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// A marked piece of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What is marked.
    pub span: Span,
    /// A few words that stand beside it.
    pub text: String,
    /// True for the place that is wrong, false for what made it wrong.
    pub primary: bool,
}

/// An edit that repairs the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What to replace.
    pub span: Span,
    /// The new text.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The stable code: `E0101`.
    pub code: &'static str,
    /// One sentence in the user's words, lower case, without full stop.
    pub title: String,
    /// The places, the primary one first.
    pub labels: Vec<Label>,
    /// Lines of help, mostly code that runs.
    pub help: Vec<String>,
    /// The most likely repair.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// Returns an error without labels.
    pub fn error(code: &'static str, title: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, title.into())
    }

    /// Returns a warning without labels.
    pub fn warning(code: &'static str, title: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, title.into())
    }

    /// Returns a note without labels.
    pub fn note(code: &'static str, title: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Note, code, title.into())
    }

    fn new(severity: Severity, code: &'static str, title: String) -> Diagnostic {
        Diagnostic { severity, code, title: limited(title), labels: Vec::new(), help: Vec::new(), fix: None }
    }

    /// Marks the smallest piece that is wrong.
    pub fn primary(self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.label(span, text.into(), true)
    }

    /// Marks a piece that made it wrong.
    pub fn secondary(self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.label(span, text.into(), false)
    }

    fn label(mut self, span: Span, text: String, primary: bool) -> Diagnostic {
        self.labels.push(Label { span, text: limited(text), primary });
        self
    }

    /// Adds a line of help.
    pub fn help(mut self, line: impl Into<String>) -> Diagnostic {
        self.help.push(limited(line.into()));
        self
    }

    /// Adds a line of help if there is one.
    pub fn help_if(mut self, line: Option<String>) -> Diagnostic {
        self.help.extend(line.map(limited));
        self
    }

    /// Sets the repair.
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.fix = Some(Fix { span, text: text.into() });
        self
    }

    /// Returns the span of the first primary label.
    pub fn span(&self) -> Option<Span> {
        let primary = self.labels.iter().find(|label| label.primary);
        primary.or(self.labels.first()).map(|label| label.span)
    }
}

/// A name or a line out of a script can be of any length, a message cannot.
fn limited(mut text: String) -> String {
    const MOST: usize = 400;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

/// The findings of one compilation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

/// More errors than this are counted, not shown.
pub const MAX_ERRORS: usize = 20;

impl Diagnostics {
    /// Returns an empty list.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Keeps those of which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
    }

    /// Adds all findings of another list.
    pub fn extend(&mut self, other: Diagnostics) {
        self.list.extend(other.list);
    }

    /// Iterates in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Returns the number of findings.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// True if something must be repaired before the script can run.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Sorts by source position, drops repetitions, and keeps the first [`MAX_ERRORS`] errors and a count of the rest.
    pub fn finish(mut self) -> Diagnostics {
        self.list.sort_by_key(|d| {
            let span = d.span().unwrap_or_default();
            (span.source, span.start, span.end)
        });
        self.list.dedup();
        let errors = self.list.iter().filter(|d| d.severity == Severity::Error);
        let more = errors.count().saturating_sub(MAX_ERRORS);
        if more > 0 {
            self.cut(more);
        }
        self
    }

    fn cut(&mut self, more: usize) {
        let mut seen = 0;
        self.list.retain(|d| {
            seen += usize::from(d.severity == Severity::Error);
            d.severity != Severity::Error || seen <= MAX_ERRORS
        });
        let title = match more {
            1 => "1 more error is not shown".to_string(),
            n => format!("{n} more errors are not shown"),
        };
        self.push(Diagnostic::note("E0199", title));
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
