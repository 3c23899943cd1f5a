//! What `call` and `return` probes have of their own: functions as places, arguments and results, and `return`.

use crate::ast::{self, EventArgs};
use crate::diag::Diagnostic;
use crate::ir::{self, Builtin, StmtKind};
use crate::span::Span;
use crate::target::Register;

use super::Checker;

/// The events that happen in functions.
const CALLED: [&str; 9] = ["call", "return", "insn", "block", "line", "branch", "read", "write", "access"];

impl Checker<'_> {
    /// The functions that stand behind `call` and `return`.
    pub(super) fn functions_of(&mut self, probe: &ast::Probe) -> Vec<ir::Loc> {
        match (&probe.event.args, self.is_call_event()) {
            (EventArgs::Names(names), true) => names.iter().filter_map(|loc| self.loc(loc)).collect(),
            _ => Vec::new(),
        }
    }

    fn is_call_event(&self) -> bool {
        matches!(self.probe.event.as_str(), "call" | "return")
    }

    /// The function has been running: its argument registers hold other values, and its result is known.
    pub(super) fn is_behind_entry(&self) -> bool {
        self.probe.event == "return" || (self.probe.event == "call" && self.probe.after)
    }

    /// The register of a function's result: that of its first argument, on all architectures so far.
    pub(super) fn result_register(&self) -> Option<Register> {
        self.target.argument(0)
    }

    /// `arg0` … where the registers do not hold the arguments any more.
    pub(super) fn entry_argument(&self, name: &str) -> Option<Builtin> {
        let number = name.strip_prefix("arg").filter(|_| self.is_behind_entry())?.parse().ok()?;
        self.target.argument(number).map(|_| Builtin::EntryArg(number))
    }

    pub(super) fn no_at(&mut self, probe: &ast::Probe, clause: &ast::Clause) {
        let word = &probe.event.word;
        self.error(
            Diagnostic::error("E0403", format!("the functions stand directly behind `{}`", word.text))
                .primary(clause.word, "not here")
                .secondary(word.span, "behind this")
                .help("on call malloc, free trace"),
        );
    }

    /// Only code has a caller.
    pub(super) fn check_from(&mut self, probe: &ast::Probe, clause: &ast::Clause) {
        let word = &probe.event.word;
        if !self.probe.hopeless && !CALLED.contains(&word.text.as_str()) {
            self.error(
                Diagnostic::error("E0403", format!("`{}` happens in no function that could be called", word.text))
                    .primary(clause.word, "no caller here")
                    .secondary(word.span, "happens between instructions")
                    .help("while the thread is in a call of it, callees included: `during NAME`"),
            );
        }
    }

    pub(super) fn return_stmt(&mut self, value: Option<&ast::Expr>, span: Span) -> Option<StmtKind> {
        let event = self.probe.event.clone();
        if self.probe.hopeless {
            self.unsupported("return", Span { end: span.start + "return".len() as u32, ..span });
            return None;
        }
        if event == "syscall" {
            return self.return_from_syscall(value, span);
        }
        if super::access::kind(&event).is_some() {
            return self.return_from_access(value, span);
        }
        if event != "call" || self.probe.after {
            let title = "`return` finishes a function at its entry, so it needs the event `call`";
            let at = self.probe.event_span;
            return self.fail(
                Diagnostic::error("E0403", title)
                    .primary(span, "which function?")
                    .secondary(at, "not the entry of a function")
                    .help("on call f return 0")
                    .help("to leave this probe body: `next`"),
            );
        }
        let link = self.target.register("lr").or_else(|| self.target.register("ra"))?;
        let result = match value {
            None => None,
            Some(e) => {
                let register = self.result_register()?;
                Some((register.clone(), self.value_of_register(&register, e)?))
            }
        };
        Some(StmtKind::Return { result, link })
    }
}
