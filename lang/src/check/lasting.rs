//! Patches that last for some time only, and patches of the instruction itself.

use crate::ast::{self, Access, DurationKind};
use crate::diag::Diagnostic;
use crate::ir::{ExprKind, LValue, Lasting, Stmt, StmtKind};
use crate::span::Span;

use super::Checker;

impl Checker<'_> {
    /// A duration; `None` if it is wrong, which has been reported.
    pub(super) fn lasting(&mut self, duration: &ast::Duration) -> Option<Lasting> {
        let quantity = match &duration.kind {
            DurationKind::For(quantity) => quantity,
            DurationKind::Until(loc) => return Some(Lasting::Until(self.loc(loc)?)),
        };
        match quantity.unit.as_ref().map(|unit| unit.text.as_str()) {
            Some("insns" | "insn") => {
                let n = self.count(&quantity.amount, "a duration", "flip x0 bit 3 for 100 insns")?;
                Some(Lasting::Insns(n))
            }
            Some("hits") => {
                Some(Lasting::Hits(self.count(&quantity.amount, "a duration", "flip x0 bit 3 for 2 hits")?))
            }
            None => match self.constant(&quantity.amount, "a duration")?.kind {
                ExprKind::Int(n) => Some(Lasting::Nanoseconds(n)),
                _ => None,
            },
            Some(unit) => {
                let title = format!("a patch or a trace lasts for instructions, hits or a time, not for {unit}");
                self.fail(
                    Diagnostic::error("E0403", title)
                        .primary(quantity.span, "not a duration")
                        .help("flip x0 bit 3 for 100 insns")
                        .help("flip x0 bit 3 for 10us")
                        .help("flip x0 bit 3 for 2 hits"),
                )
            }
        }
    }

    /// A patch with the duration that was written behind it, if one was.
    pub(super) fn transient(&mut self, kind: StmtKind, lasts: Option<Option<Lasting>>, span: Span) -> Option<StmtKind> {
        let Some(lasts) = lasts else { return Some(kind) };
        let lasts = lasts?;
        let (what, why, help) = match &kind {
            StmtKind::Write { target: LValue::Accessed, .. } | StmtKind::Bits { target: LValue::Accessed, .. } => (
                "value",
                "it is that of this access",
                "for several ones: `after read at counter hit ..100 write value = 0`",
            ),
            StmtKind::Write { .. } | StmtKind::Bits { .. } => {
                return Some(StmtKind::Transient { patch: Box::new(Stmt { kind, span }), lasts });
            }
            _ => ("pc", "the flow of control cannot be taken back", "goto main"),
        };
        self.fail(Diagnostic::error("E0403", format!("`{what}` has no value that lasts")).primary(span, why).help(help))
    }

    pub(super) fn trace_for(&mut self, duration: &ast::Duration) -> Option<StmtKind> {
        let lasts = self.lasting(duration)?;
        if matches!(self.probe.event.as_str(), "end" | "exit") {
            return self.fail(
                Diagnostic::error("E0403", "there is nothing to trace any more")
                    .primary(duration.span, "no instructions come")
                    .secondary(self.probe.event_span, "after the last one"),
            );
        }
        Some(StmtKind::TraceFor(lasts))
    }

    /// `insn` and `insn.dst` as targets.
    pub(super) fn insn_target(&mut self, access: &[Access], span: Span, verb: &str) -> Option<LValue> {
        let is_insn = self.probe.event == "insn";
        let (target, help) = match access {
            [] if is_insn && !self.probe.after => return Some(LValue::Insn),
            [] => ("insn", format!("on insn at main {verb} insn …")),
            [Access::Field(field)] if field.text == "dst" => {
                if is_insn && self.probe.after {
                    return Some(LValue::Destination);
                }
                ("insn.dst", format!("after insn at main {verb} insn.dst …"))
            }
            _ => {
                let text = self.source_text(span);
                return self.fail(
                    Diagnostic::error("E0402", format!("`{text}` cannot be written"))
                        .primary(span, "read-only")
                        .help("the fetched instruction can: `write insn = 0xd503201f`, `flip insn bit 12`")
                        .help("and so can its result: `after insn … write insn.dst = 0`"),
                );
            }
        };
        let when = if target == "insn" { "before it is executed" } else { "behind the instruction" };
        self.fail(
            Diagnostic::error("E0403", format!("`{target}` is written {when}"))
                .primary(span, "not here")
                .secondary(self.probe.event_span, "in this event")
                .help(help),
        )
    }
}
