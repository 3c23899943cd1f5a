//! The events on memory: which there are, and what may be changed when.

use crate::ast;
use crate::diag::Diagnostic;
use crate::ir::{AccessKind, LValue, StmtKind};
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
    /// The event and its moment, as the script says them.
    fn moment(&self) -> (&str, bool) {
        (self.probe.event.as_str(), self.probe.after)
    }

    /// `value` as a target: what has been loaded, or what is about to be stored.
    pub(super) fn accessed_target(&mut self, span: Span, verb: &str) -> Option<LValue> {
        let change = if verb == "write" { " = 5" } else { " bit 0" };
        let loaded = format!("after read at counter {verb} value{change}");
        let stored = format!("on write at counter {verb} value{change}");
        let (title, label, helps) = match self.moment() {
            ("read", true) | ("write", false) => return Some(LValue::Accessed),
            ("read", _) => (
                "a loaded value is changed after the load",
                "not loaded yet",
                vec![loaded, "to give another one without a load: `on read at counter return 5`".to_string()],
            ),
            ("write", _) => (
                "a stored value is changed before the store",
                "it is in memory by now",
                vec![stored, "what is in memory: `write u32[addr] = 5`".to_string()],
            ),
            _ => (
                "a value is changed after a load or before a store, and `access` is both",
                "load or store?",
                vec![loaded, stored],
            ),
        };
        self.refuse_in_access(title.to_string(), label, span, helps)
    }

    /// `skip` leaves a store out.
    pub(super) fn skip_access(&mut self, n: Option<&ast::Expr>, span: Span) -> Option<StmtKind> {
        let (store, load) = ("on write at counter skip", "a load needs a result: `on read at counter return 0`");
        let (title, label, helps) = match (self.moment(), n) {
            (("write", false), None) => return Some(StmtKind::FinishAccess(None)),
            (("write", false), Some(n)) => {
                let help = vec!["skip".to_string()];
                return self.refuse_in_access("a store is left out by itself".into(), "no number here", n.span, help);
            }
            (("write", _), _) => ("`skip` comes too late after the store", "it has been made", vec![store]),
            (("read", false), _) => ("`skip` leaves out stores, and this is a load", "with what result?", vec![load]),
            (("read", _), _) => (
                "`skip` comes too late after the load",
                "it has been made",
                vec!["after read at counter write value = 0"],
            ),
            _ => ("`skip` leaves out stores, and `access` is loads too", "of loads too?", vec![store, load]),
        };
        let helps = helps.into_iter().map(String::from).collect();
        self.refuse_in_access(title.to_string(), label, span, helps)
    }

    /// `return E` gives a load its value.
    pub(super) fn return_from_access(&mut self, value: Option<&ast::Expr>, span: Span) -> Option<StmtKind> {
        let load = "on read at counter return 0";
        let (title, label, helps) = match (self.moment(), value) {
            (("read", false), Some(value)) => {
                return Some(StmtKind::FinishAccess(Some(self.integer(value, "what a load gives")?)));
            }
            (("read", false), None) => ("a load has a result", "without a value", vec!["return 0"]),
            (("read", _), _) => {
                ("`return` comes too late after the load", "it has been made", vec!["write value = 0", load])
            }
            (("write", _), _) => ("a store has no result", "returns what?", vec!["on write at counter skip"]),
            _ => ("`return` is for loads, and `access` is stores too", "of stores too?", vec![load]),
        };
        let helps = helps.into_iter().map(String::from).collect();
        self.refuse_in_access(title.to_string(), label, span, helps)
    }

    fn refuse_in_access<T>(&mut self, title: String, label: &str, span: Span, helps: Vec<String>) -> Option<T> {
        let out = Diagnostic::error("E0403", title).primary(span, label).secondary(self.probe.event_span, "this event");
        self.fail(helps.into_iter().fold(out, Diagnostic::help))
    }
}
