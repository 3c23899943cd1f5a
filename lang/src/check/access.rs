//! The events on memory: which there are, and what is known when.

use crate::diag::Diagnostic;
use crate::ir::AccessKind;
use crate::span::Span;

use super::Checker;

/// The accesses that an event's word selects.
pub(super) fn kind(word: &str) -> Option<AccessKind> {
    match word {
        "read" => Some(AccessKind::Read),
        "write" => Some(AccessKind::Write),
        "access" => Some(AccessKind::Any),
        _ => None,
    }
}

impl Checker<'_> {
    /// What is stored is known before, what is loaded is not.
    pub(super) fn value_is_known(&self) -> bool {
        self.probe.after || self.probe.event == "write"
    }

    pub(super) fn no_value_yet<T>(&mut self, span: Span) -> Option<T> {
        let event = self.probe.event.clone();
        self.fail(
            Diagnostic::error("E0403", "the value of a load is known only after it")
                .primary(span, "not known yet")
                .help(format!("after {event} at counter print value")),
        )
    }

    /// Refuses to redirect execution from within an access.
    pub(super) fn access_flow(&mut self, word: &str, span: Span) -> Option<()> {
        if kind(&self.probe.event).is_none() {
            return Some(());
        }
        let what = format!("`{word}` in a probe on `{}`", self.probe.event);
        let out = crate::unsupported(what.trim_matches('`'), span)
            .help(format!("at an instruction: `on insn at main {word} …`"));
        self.fail(out)
    }
}
