//! Probes: their events, places and conditions.

use crate::ast::{self, ClauseKind, EventArgs, Hits};
use crate::diag::Diagnostic;
use crate::ir::{self, Event, Filter, HitCounts, HitSpec, InsnPattern, Moment, RegionKind};
use crate::probes;
use crate::span::Span;
use crate::types::Type;

use super::state::{OF_STACKS, describe};
use super::{Checker, ProbeCx, access};

impl Checker<'_> {
    pub(super) fn probe(&mut self, probe: &ast::Probe, name: String) -> ir::Probe {
        let known = probes::find(&probe.event.word.text);
        self.nodes = 0;
        self.too_large = false;
        self.probe = ProbeCx {
            event: probe.event.word.text.clone(),
            event_span: probe.event.word.span,
            after: probe.moment == Moment::After,
            hopeless: known.is_none_or(|event| !event.supported),
            damaged: probe.damaged,
            calls: Vec::new(),
            locals: Vec::new(),
            scopes: vec![Vec::new()],
            places: None,
            data: Default::default(),
        };
        let event = known.and_then(|row| self.event(probe, row));
        let functions = self.functions_of(probe);
        let mut out = ir::Probe {
            label: probe.label.as_ref().map(|label| label.text.clone()),
            name,
            span: probe.span,
            head: probe.head,
            moment: probe.moment,
            event: event.clone().unwrap_or(Event::Begin),
            at: functions,
            within: Vec::new(),
            except: Vec::new(),
            since: Vec::new(),
            until: Vec::new(),
            filters: Vec::new(),
            disabled: false,
            optional: false,
            body: Vec::new(),
            locals: Vec::new(),
        };
        // Conditions may speak of variables, and these depend on the places.
        let selects = |clause: &&ast::Clause| matches!(clause_word(&clause.kind), "at" | "in" | "except");
        probe.clauses.iter().filter(selects).for_each(|clause| self.clause(clause, &mut out));
        self.probe.places = event.is_some().then(|| out.clone());
        for (i, clause) in probe.clauses.iter().enumerate() {
            self.check_clause(probe, i);
            if !selects(&clause) {
                self.clause(clause, &mut out);
            }
        }
        out.body = match &probe.body {
            Some(body) => self.block(body),
            None => vec![ir::Stmt { kind: ir::StmtKind::Trace, span: probe.head }],
        };
        out.locals = std::mem::take(&mut self.probe.locals);
        out
    }

    fn event(&mut self, probe: &ast::Probe, row: &probes::Event) -> Option<Event> {
        let event = &probe.event;
        let after = probe.moment == Moment::After;
        if after && !row.has_after {
            self.no_after(probe, row);
        }
        if !row.supported {
            let what = match after {
                true => format!("after {}", row.name),
                false => format!("on {}", row.name),
            };
            self.unsupported(&what, event.word.span);
            return None;
        }
        Some(match (row.name, &event.args) {
            ("insn", EventArgs::None) => Event::Insn(InsnPattern::Any),
            ("insn", EventArgs::Text(text)) => Event::Insn(InsnPattern::Glob(text.text.clone())),
            ("insn", EventArgs::Regex(regex)) => Event::Insn(InsnPattern::Regex(self.pattern(regex)?)),
            ("every", EventArgs::Quantity(quantity)) => self.every(quantity)?,
            ("block", _) => Event::Block,
            ("line", _) => Event::Line,
            ("branch", _) => Event::Branch,
            ("call", _) => Event::Call,
            ("return", _) => Event::Return,
            ("begin", _) => Event::Begin,
            ("end", _) => Event::End,
            ("exit", _) => Event::Exit,
            ("spawn", _) => Event::Spawn,
            ("syscall", EventArgs::Names(names)) => Event::Syscall(self.syscall_set(names)?),
            ("signal", EventArgs::Names(names)) => Event::Signal(self.signal_set(names)?),
            ("mark", EventArgs::Names(names)) => Event::Mark(self.name_set(names, "a mark")?),
            ("load", EventArgs::Names(names)) => Event::Load(self.name_set(names, "a module")?),
            ("output", EventArgs::Text(text)) => Event::Output(text.text.clone()),
            ("trap", EventArgs::Names(names)) => Event::Trap(self.causes(names)?),
            (word, _) => Event::Access(access::kind(word)?),
        })
    }

    fn no_after(&mut self, probe: &ast::Probe, row: &probes::Event) {
        let title = format!("`after` has no meaning for `{}`", row.name);
        let word = Span { end: probe.head.start + "after".len() as u32, ..probe.head };
        let mut out = Diagnostic::error("E0403", title).primary(word, "not here").help(format!("on {} …", row.name));
        if row.name == "return" {
            out = out.help("to be called back in the caller: `after call f`");
        }
        self.error(out.fix(word, "on"));
    }

    pub(super) fn pattern(&mut self, regex: &ast::Regex) -> Option<ir::Pattern> {
        let compiled =
            regex::RegexBuilder::new(&regex.text).case_insensitive(regex.ignore_case).size_limit(1 << 20).build();
        if let Err(error) = compiled {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or("").trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            return self.fail(
                Diagnostic::error("E0120", "this regular expression does not compile")
                    .primary(regex.span, reason.to_string())
                    .help("a character with a meaning of its own is written with a backslash: `/\\[x0\\]/`"),
            );
        }
        Some(ir::Pattern { text: regex.text.clone(), ignore_case: regex.ignore_case })
    }

    // ---------- clauses ----------

    /// Clauses that select places make no sense for events that have none; no clause stands twice except conditions.
    fn check_clause(&mut self, probe: &ast::Probe, index: usize) {
        let clause = &probe.clauses[index];
        let row = probes::find(&probe.event.word.text);
        let word = clause_word(&clause.kind);
        let selects = matches!(word, "at" | "in" | "except");
        if selects && row.is_some_and(|row| row.supported && !row.has_place) {
            let event = &probe.event.word;
            let help = match event.text.as_str() {
                "every" => {
                    format!("on every 1000 insns when func == \"main\" …, or on insn {word} …")
                }
                _ => format!("on insn {word} …"),
            };
            self.error(
                Diagnostic::error("E0403", format!("`{}` happens at no place", event.text))
                    .primary(clause.word, format!("`{word}` selects nothing here"))
                    .secondary(event.span, "this event has no place")
                    .help(help),
            );
        }
        if word == "from" {
            self.check_from(probe, clause);
        }
        if word == "at" && matches!(probe.event.word.text.as_str(), "call" | "return") {
            self.no_at(probe, clause);
        }
        let earlier = probe.clauses[..index].iter().find(|other| clause_word(&other.kind) == word);
        let repeatable = matches!(word, "when" | "hit" | "once" | "limit" | "during" | "at" | "except");
        if let Some(first) = earlier.filter(|_| !repeatable) {
            let first = first.word;
            self.error(
                Diagnostic::error("E0410", format!("`{word}` stands twice"))
                    .primary(clause.word, "the second one")
                    .secondary(first, "the first one")
                    .help("several places are written with commas: `in main, helper`"),
            );
        }
    }

    fn clause(&mut self, clause: &ast::Clause, out: &mut ir::Probe) {
        match &clause.kind {
            ClauseKind::At(list) => out.at.extend(list.iter().filter_map(|loc| self.loc(loc))),
            ClauseKind::In(list) => out.within.extend(list.iter().filter_map(|region| self.region(region))),
            ClauseKind::Except(list) => out.except.extend(list.iter().filter_map(|region| self.region(region))),
            ClauseKind::When(e) => {
                let cond = self.condition(e);
                out.filters.extend(cond.map(Filter::When));
            }
            ClauseKind::Hit(hits, per_thread) => {
                let counts = self.hits(hits);
                let per_thread = *per_thread;
                out.filters.extend(counts.map(|counts| Filter::Hit(HitSpec { counts, per_thread })));
            }
            ClauseKind::Once(per_thread) => out
                .filters
                .push(Filter::Hit(HitSpec { counts: HitCounts::Ranges(vec![(1, Some(2))]), per_thread: *per_thread })),
            ClauseKind::Limit(limit) => {
                let limit = self.limit(limit);
                out.filters.extend(limit.map(Filter::Limit));
            }
            ClauseKind::Since(list) => out.since.extend(list.iter().filter_map(|loc| self.loc(loc))),
            ClauseKind::Until(list) => out.until.extend(list.iter().filter_map(|loc| self.loc(loc))),
            ClauseKind::Disabled => out.disabled = true,
            ClauseKind::Optional => out.optional = true,
            ClauseKind::From(list) => {
                let callers = list.iter().filter_map(|loc| self.loc(loc)).collect();
                out.filters.push(Filter::From(callers));
            }
            ClauseKind::During(list) => {
                let functions = list.iter().filter_map(|loc| self.loc(loc)).collect();
                out.filters.push(Filter::During(functions));
            }
        }
    }

    pub(super) fn condition(&mut self, e: &ast::Expr) -> Option<ir::Expr> {
        let cond = self.expr(e)?;
        if cond.ty.is_integer() {
            return Some(cond);
        }
        let title = format!("a condition cannot be {}", describe(cond.ty));
        let out = Diagnostic::error("E0406", title).primary(e.span, format!("this is {}", describe(cond.ty)));
        self.fail(match cond.ty {
            Type::Str => out.help(format!("{} == \"main\"", self.source_text(e.span))),
            Type::Stack => out.help(OF_STACKS),
            _ => out.help(format!("{} != 0", self.source_text(e.span))),
        })
    }

    fn hits(&mut self, hits: &Hits) -> Option<HitCounts> {
        match hits {
            Hits::Every(n) => {
                let n = self.hit_count(n)?;
                Some(HitCounts::Every(n))
            }
            Hits::Ranges(list) => {
                let ranges: Vec<_> = list.iter().map(|range| self.hit_range(range)).collect();
                let ranges = ranges.into_iter().collect::<Option<Vec<_>>>()?;
                Some(HitCounts::Ranges(normalised(ranges)))
            }
        }
    }

    fn hit_count(&mut self, e: &ast::Expr) -> Option<u64> {
        let value = self.constant(e, "a hit count")?;
        match value.kind {
            ir::ExprKind::Int(0) => self.fail(
                Diagnostic::error("E0415", "hits are counted from 1")
                    .primary(e.span, "there is no hit 0")
                    .help("the first one: `hit 1` or `once`"),
            ),
            ir::ExprKind::Int(v) if !value.ty.is_signed() || (v as i64) > 0 => Some(v),
            _ => self.fail(
                Diagnostic::error("E0415", "a hit count is a number from 1 on")
                    .primary(e.span, "not such a number")
                    .help("hit 3, hit 2..5, hit every 100"),
            ),
        }
    }

    fn hit_range(&mut self, range: &ast::HitRange) -> Option<(u64, Option<u64>)> {
        let from = match &range.from {
            Some(e) => self.hit_count(e)?,
            None => 1,
        };
        let to = match &range.to {
            Some(e) => Some(self.hit_count(e)?),
            None if range.range => None,
            None => Some(from.saturating_add(1)),
        };
        if to.is_some_and(|to| to <= from) {
            let to = to.unwrap_or(0);
            return self.fail(
                Diagnostic::error("E0415", format!("`{from}..{to}` is empty"))
                    .primary(range.span, "the end is excluded")
                    .help(format!("to include both ends: `hit {}..{}`", from.min(to), from.max(to) + 1)),
            );
        }
        Some((from, to))
    }

    // ---------- places ----------

    pub(super) fn loc(&mut self, loc: &ast::Loc) -> Option<ir::Loc> {
        Some(ir::Loc { place: loc.place.clone(), offset: loc.offset, span: loc.span })
    }

    fn region(&mut self, region: &ast::Region) -> Option<ir::Region> {
        let kind = match &region.kind {
            ast::RegionKind::Extent(loc) => RegionKind::Extent(self.loc(loc)?),
            ast::RegionKind::Len(loc, 0) => {
                let _ = loc;
                return self.empty_region(region.span, "a length of 0");
            }
            ast::RegionKind::Len(loc, len) => RegionKind::Len(self.loc(loc)?, *len),
            ast::RegionKind::Range(from, to) => {
                let (from, to) = (self.loc(from)?, self.loc(to)?);
                if from.place == to.place && from.offset >= to.offset || backwards(&from, &to) {
                    return self.empty_region(region.span, "the end is excluded");
                }
                RegionKind::Range(from, to)
            }
        };
        Some(ir::Region { kind, span: region.span })
    }

    fn empty_region(&mut self, span: Span, label: &str) -> Option<ir::Region> {
        self.fail(
            Diagnostic::error("E0415", "this region is empty")
                .primary(span, label)
                .help("0x800..0x900, main..main+0x40, 0x800..+0x100"),
        )
    }
}

fn backwards(from: &ir::Loc, to: &ir::Loc) -> bool {
    match (&from.place, &to.place) {
        (ir::Place::Addr(a), ir::Place::Addr(b)) => {
            a.wrapping_add_signed(from.offset) >= b.wrapping_add_signed(to.offset)
        }
        _ => false,
    }
}

fn clause_word(kind: &ClauseKind) -> &'static str {
    match kind {
        ClauseKind::At(_) => "at",
        ClauseKind::In(_) => "in",
        ClauseKind::Except(_) => "except",
        ClauseKind::When(_) => "when",
        ClauseKind::Hit(..) => "hit",
        ClauseKind::Once(_) => "once",
        ClauseKind::Since(_) => "since",
        ClauseKind::Until(_) => "until",
        ClauseKind::Limit(_) => "limit",
        ClauseKind::Disabled => "disabled",
        ClauseKind::Optional => "optional",
        ClauseKind::From(_) => "from",
        ClauseKind::During(_) => "during",
    }
}

/// Sorts ranges and joins those that touch.
fn normalised(mut ranges: Vec<(u64, Option<u64>)>) -> Vec<(u64, Option<u64>)> {
    ranges.sort_by_key(|(from, _)| *from);
    let mut out: Vec<(u64, Option<u64>)> = Vec::new();
    for (from, to) in ranges {
        match out.last_mut() {
            Some((_, None)) => break,
            Some((_, Some(end))) if from <= *end => match to {
                Some(to) => *end = (*end).max(to),
                None => {
                    let last = out.len() - 1;
                    out[last].1 = None;
                }
            },
            _ => out.push((from, to)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hit_ranges_become_sorted_and_disjoint() {
        let input = vec![(9, Some(12)), (1, Some(2)), (2, Some(3)), (10, None), (4, Some(5))];
        assert_eq!(normalised(input), vec![(1, Some(3)), (4, Some(5)), (9, None)]);
    }
}
