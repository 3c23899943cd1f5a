//! How often: the periods of `every` and `limit`.

use crate::ast;
use crate::diag::Diagnostic;
use crate::ir::{Event, ExprKind, LimitSpec, Period};

use super::Checker;

/// The shortest period, in nanoseconds.
const SHORTEST: u64 = 1_000;

/// What has a period, for messages.
struct Periodic {
    /// What is not counted in other units.
    what: &'static str,
    /// A period in time.
    time: &'static str,
    /// What comes before a number of instructions.
    before: &'static str,
    /// A period in instructions.
    insns: &'static str,
}

const SAMPLES: Periodic = Periodic {
    what: "samples are taken after instructions or after a time",
    time: "on every 10ms count by func",
    before: "on every",
    insns: "on every 100000 insns count by func",
};

const LIMITS: Periodic = Periodic {
    what: "a limit is for a time or for a number of instructions",
    time: "limit 10 per 100ms",
    before: "limit 10 per",
    insns: "limit 10 per 100000 insns",
};

impl Checker<'_> {
    pub(super) fn every(&mut self, quantity: &ast::Quantity) -> Option<Event> {
        Some(match self.period(quantity, &SAMPLES)? {
            Period::Insns(n) => Event::EveryInsns(n),
            Period::Nanoseconds(n) => Event::EveryTime(n),
        })
    }

    pub(super) fn limit(&mut self, limit: &ast::Limit) -> Option<LimitSpec> {
        let most = self.count(&limit.count, "a limit", "limit 10 per 1s");
        let period = self.period(&limit.period, &LIMITS)?;
        Some(LimitSpec { most: most?, period, per_thread: limit.per_thread })
    }

    fn period(&mut self, quantity: &ast::Quantity, of: &Periodic) -> Option<Period> {
        let unit = quantity.unit.as_ref().map(|unit| unit.text.as_str());
        match unit {
            Some("insns" | "insn") => Some(Period::Insns(self.count(&quantity.amount, "a period", of.insns)?)),
            Some(unit) => self.fail(
                Diagnostic::error("E0403", format!("{}, not {unit}", of.what))
                    .primary(quantity.span, "not a period")
                    .help(of.time)
                    .help(format!("the same in every run: `{}`", of.insns)),
            ),
            None => self.time(&quantity.amount, of),
        }
    }

    /// A period in nanoseconds: one that is written with its unit.
    fn time(&mut self, amount: &ast::Expr, of: &Periodic) -> Option<Period> {
        let text = self.source_text(amount.span);
        let ExprKind::Int(n) = self.constant(amount, "a period")?.kind else { return None };
        if n >= SHORTEST {
            return Some(Period::Nanoseconds(n));
        }
        let out = Diagnostic::error("E0415", "this period is too short")
            .primary(amount.span, format!("{n} ns"))
            .help(format!("at least 1us: `{}`", of.time));
        self.fail(match text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
            true => out.help(format!("instructions are counted like this: `{} {text} insns`", of.before)),
            false => out,
        })
    }
}
