//! `for`: through numbers, and through the keys of a map.
//!
//! Everything a probe does is bounded, so the bounds of a range are known before the run. Going through a map takes as
//! long as the map is large, which is no matter in the events between instructions.

use crate::ast::{self, ForOver, Text};
use crate::diag::Diagnostic;
use crate::ir::{self, AggFn, ExprKind, LocalId, Loop, StateKind, StmtKind};
use crate::types::Type;

use super::Checker;

/// Most iterations over numbers.
const MOST: u64 = 4096;
/// Events in which a probe may go through a map.
const MAP_EVENTS: &[&str] = &["begin", "end", "every", "mark"];

impl Checker<'_> {
    pub(super) fn for_stmt(&mut self, names: &[Text], over: &ForOver, body: &[ast::Stmt]) -> Option<StmtKind> {
        for name in names {
            self.check_free_name(name, "variable");
        }
        // The names belong to the body alone.
        self.probe.scopes.push(Vec::new());
        let over = match over {
            ForOver::Range(from, to) => self.range_loop(names, from, to),
            ForOver::Map(map) => self.map_loop(names, map),
        };
        if over.is_none() {
            // They exist all the same: what is wrong has been reported.
            self.unknown.extend(names.iter().map(|name| name.text.clone()));
        }
        let body = self.block(body);
        self.probe.scopes.pop();
        Some(StmtKind::For { over: over?, body })
    }

    fn range_loop(&mut self, names: &[Text], from: &ast::Expr, to: &ast::Expr) -> Option<Loop> {
        let bounds = [self.bound(from), self.bound(to)];
        let [name] = names else {
            return self.fail(
                Diagnostic::error("E0427", "a range has one number at a time")
                    .primary(names.get(1)?.span, "of what?")
                    .help(format!("for {} in 0..8 {{ … }}", names[0].text)),
            );
        };
        let [Some(low), Some(high)] = bounds else { return None };
        let iterations = high.saturating_sub(low).max(0).unsigned_abs();
        if iterations > MOST {
            return self.fail(
                Diagnostic::error("E0426", format!("a loop of {iterations} iterations holds up the guest"))
                    .primary(from.span.to(to.span), format!("at most {MOST}"))
                    .help("what takes longer belongs into a map, a bit with each firing"),
            );
        }
        let ty = Type::Int { bits: 64, signed: low < 0 };
        let local = self.loop_variable(name, ty);
        Some(Loop::Range { local, from: low, to: high })
    }

    fn bound(&mut self, e: &ast::Expr) -> Option<i64> {
        let value = self.constant(e, "a bound of `for`")?;
        match value.kind {
            ExprKind::Int(n) if value.ty.is_integer() && (value.ty.is_signed() || n <= i64::MAX as u64) => {
                Some(n as i64)
            }
            _ => self.fail(
                Diagnostic::error("E0406", "a bound of `for` is an integer")
                    .primary(e.span, "not one that fits in 64 bits with a sign")
                    .help("for i in 0..8 { … }"),
            ),
        }
    }

    fn map_loop(&mut self, names: &[Text], map: &Text) -> Option<Loop> {
        let event = self.probe.event.clone();
        if !self.probe.hopeless && !MAP_EVENTS.contains(&event.as_str()) {
            return self.fail(
                Diagnostic::error("E0427", "going through a map takes too long in the middle of the guest's code")
                    .primary(map.span, "as many iterations as it has keys")
                    .secondary(self.probe.event_span, "happens between two instructions")
                    .help(format!("on end for {} in {} {{ … }}", listed(names), map.text))
                    .help("in `begin`, `end`, `every` and `mark` there is time for it"),
            );
        }
        let state = self.known_state(map)?;
        let info = self.states.get(state).clone();
        let keys = info.keys.map(|keys| keys.types).unwrap_or_default();
        let value = match info.kind {
            // Nobody has said yet what it holds; it is asked again.
            None if !self.reports => Some(Type::U64),
            None => None,
            Some(StateKind::Value { ty, .. }) => Some(ty),
            Some(StateKind::Aggregate(AggFn::Count)) => Some(Type::U64),
            Some(StateKind::Aggregate(
                AggFn::Sum(signed) | AggFn::Avg(signed) | AggFn::Min(signed) | AggFn::Max(signed),
            )) => Some(Type::Int { bits: 64, signed }),
            Some(StateKind::Aggregate(AggFn::Last(ty))) => Some(ty),
            Some(StateKind::Aggregate(AggFn::Stats(_) | AggFn::Hist | AggFn::LinearHist { .. })) => None,
        };
        let trouble = match (&keys[..], names, value) {
            ([], ..) if self.reports => Some((map.span, "it has no keys", format!("print {}", map.text))),
            ([_, _, ..], ..) => Some((map.span, "it has several keys at once", format!("print {}", map.text))),
            ([Type::U128], ..) => Some((map.span, "its keys have 128 bits", format!("print {}", map.text))),
            (_, [_, name], None) if self.reports => Some((
                name.span,
                "its values are no single numbers",
                format!("for {} in {} {{ … }}", names[0].text, map.text),
            )),
            (_, [_, name], Some(Type::U128)) => {
                Some((name.span, "its values have 128 bits", format!("for {} in {} {{ … }}", names[0].text, map.text)))
            }
            _ => None,
        };
        if let Some((at, why, instead)) = trouble {
            return self.fail(
                Diagnostic::error("E0427", format!("`for` cannot go through `{}`", map.text))
                    .primary(at, why)
                    .help(instead),
            );
        }
        let key = self.loop_variable(names.first()?, keys.first().copied().unwrap_or(Type::U64));
        let value = names.get(1).map(|name| self.loop_variable(name, value.unwrap_or(Type::U64)));
        Some(Loop::Map { state, key, value })
    }

    fn loop_variable(&mut self, name: &Text, ty: Type) -> LocalId {
        let local = LocalId(self.probe.locals.len() as u32);
        self.probe.locals.push(ir::Local { name: name.text.clone(), ty });
        if let Some(scope) = self.probe.scopes.last_mut() {
            scope.push((name.text.clone(), local, name.span));
        }
        local
    }
}

fn listed(names: &[Text]) -> String {
    names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(", ")
}
