//! Events between instructions that have names: which signals, exceptions and modules a probe waits for, and `raise`.

use crate::ast::{self, Text};
use crate::diag::Diagnostic;
use crate::ir::{Builtin, Cause, Fact, NamePattern, NameSet, NumberSet, Place, StmtKind};
use crate::span::Span;
use crate::suggest::nearest;

use super::Checker;
use super::syscall::glob_pattern;

/// The number of the last signal.
const LAST: u64 = 64;

impl Checker<'_> {
    /// The value that the probe's event gives a word which other events know as well.
    pub(super) fn fact(&self, word: &str) -> Option<Builtin> {
        let has_facts = matches!(self.probe.event.as_str(), "signal" | "trap" | "load" | "output" | "mark");
        Fact::of(word).filter(|_| has_facts).map(Builtin::Fact)
    }

    /// The signals behind `on signal`.
    pub(super) fn signal_set(&mut self, names: &[ast::Loc]) -> Option<NumberSet> {
        let known = self.target.signals();
        let mut numbers = Vec::new();
        let (mut any, mut wrong) = (false, false);
        for name in names {
            let before = numbers.len();
            match &name.place {
                Place::Any => any = true,
                Place::Addr(number) if name.offset == 0 => {
                    numbers.extend(Some(*number).filter(|number| (1..=LAST).contains(number)));
                }
                Place::Symbol(text) => numbers.extend(self.signal_number(text, name.offset)),
                Place::Glob(glob) if name.offset == 0 => {
                    let pattern = glob_pattern(&glob.to_lowercase());
                    let matches = |name: &str| pattern.as_ref().is_some_and(|pattern| pattern.is_match(name));
                    let found = known.iter().filter(|(name, _)| matches(name));
                    numbers.extend(found.map(|(_, number)| u64::from(*number)));
                }
                _ => {}
            }
            if numbers.len() == before && !matches!(name.place, Place::Any) {
                let text = self.source_text(name.span).to_owned();
                self.no_such_signal(&text, name.span);
                wrong = true;
            }
        }
        if wrong {
            self.probe.hopeless = true;
            return None;
        }
        numbers.sort_unstable();
        numbers.dedup();
        Some(if any { NumberSet::Any } else { NumberSet::Numbers(numbers) })
    }

    /// `sigusr1`, `SIGUSR1`, `sigrtmin+3`.
    fn signal_number(&self, text: &str, offset: i64) -> Option<u64> {
        let text = text.to_lowercase();
        let (_, number) = self.target.signals().into_iter().find(|(name, _)| *name == text)?;
        let real_time = text.starts_with("sigrt");
        let number = u64::from(number).checked_add_signed(offset)?;
        (offset == 0 || real_time && (34..=LAST).contains(&number)).then_some(number)
    }

    fn no_such_signal(&mut self, text: &str, span: Span) {
        let known = self.target.signals();
        let bare = text.trim_matches('"').to_lowercase();
        let out = Diagnostic::error("E0404", format!("there is no signal `{text}`")).primary(span, "not a signal");
        let prefixed = format!("sig{bare}");
        let whole = known.iter().find(|(name, _)| *name == prefixed).map(|(name, _)| (*name).to_owned());
        self.error(match whole.or_else(|| nearest(&bare, known.iter().map(|(name, _)| *name))) {
            Some(near) => out.help(format!("did you mean `{near}`?")).fix(span, near),
            None => {
                out.help("a name, a number from 1 to 64, a glob in quotes, or `*`: `on signal sigsegv, sigrtmin+1`")
            }
        });
    }

    /// Names and globs; `what` is one of the things that have them.
    pub(super) fn name_set(&mut self, names: &[ast::Loc], what: &str) -> Option<NameSet> {
        let mut patterns = Vec::new();
        let (mut any, mut wrong) = (false, false);
        for name in names {
            match &name.place {
                Place::Any => any = true,
                Place::Symbol(text) if name.offset == 0 => patterns.push(NamePattern::Exact(text.clone())),
                Place::Glob(glob) if name.offset == 0 => patterns.push(NamePattern::Glob(glob.clone())),
                _ => {
                    wrong = true;
                    let title = format!("`{}` is no name of {what}", self.source_text(name.span));
                    self.error(
                        Diagnostic::error("E0404", title)
                            .primary(name.span, "not a name")
                            .help("a name, a glob in quotes, or `*`: `glitch, \"lib*\"`"),
                    );
                }
            }
        }
        if wrong {
            self.probe.hopeless = true;
            return None;
        }
        Some(if any { NameSet::Any } else { NameSet::Names(patterns) })
    }

    /// The causes behind `on trap`.
    pub(super) fn causes(&mut self, names: &[ast::Loc]) -> Option<Vec<Cause>> {
        let all = || Cause::TABLE.iter().map(|row| row.0);
        let mut causes = Vec::new();
        let mut wrong = false;
        for name in names {
            let word = match &name.place {
                Place::Any => {
                    causes.extend(all());
                    continue;
                }
                Place::Symbol(word) if name.offset == 0 => word.as_str(),
                _ => "",
            };
            let found = Cause::TABLE.iter().find(|row| row.1 == word);
            causes.extend(found.map(|row| row.0));
            if found.is_none() {
                wrong = true;
                let text = self.source_text(name.span).to_owned();
                let title = format!("there is no exception `{text}`");
                let out = Diagnostic::error("E0404", title).primary(name.span, "not a cause");
                let words: Vec<&str> = Cause::TABLE.iter().map(|row| row.1).collect();
                self.error(match nearest(&text, words.iter().copied()) {
                    Some(near) => out.help(format!("did you mean `{near}`?")).fix(name.span, near),
                    None => out.help(format!("causes are: {}, or `*` for all", words.join(", "))),
                });
            }
        }
        if wrong {
            self.probe.hopeless = true;
            return None;
        }
        causes.sort_unstable_by_key(|cause| all().position(|other| other == *cause));
        causes.dedup();
        Some(causes)
    }

    /// `raise SIG`.
    pub(super) fn raise(&mut self, signal: &Text, span: Span) -> Option<StmtKind> {
        let event = self.probe.event.clone();
        if matches!(event.as_str(), "end" | "exit") {
            return self.fail(
                Diagnostic::error("E0403", format!("`raise` has no meaning in `{event}`"))
                    .primary(span, "no thread is left to get it")
                    .secondary(self.probe.event_span, "this event")
                    .help(format!("on insn at main raise {}", signal.text)),
            );
        }
        match self.signal_number(&signal.text, 0) {
            Some(number) => Some(StmtKind::Raise(number as u8)),
            None => {
                self.no_such_signal(&signal.text, signal.span);
                None
            }
        }
    }
}
