//! Probes that come and go while the guest runs.
//!
//! What is here only changes what the probes are; the caller sees to it that no thread runs meanwhile, and drops the
//! code that [`take_changes`](crate::vm::ProbeEngine::take_changes) then tells, before [`Probes::sweep`] gives the
//! numbers of what is no more to others ([`crate::control`] does all of it).
//!
//! Numbers of probes that stay do not change, since their code stays. A removed probe leaves a hole, which is given up
//! when there is nothing behind it; so adding and removing again does not grow anything.

use super::attach::{Attachment, World, attach};
use super::calls::concerns_calls;
use super::engine::{Probes, asks_for_all_counts, refuse_complex};
use super::lower::walk;
use crate::glob;
use crate::isa::Isa;
use crate::mem::GuestMemory;
use crate::symbols::SymbolTable;
use spile_lang::diag::Diagnostics;
use spile_lang::ir::{Event, NamePattern, NameSet, Probe, ProbeId, Program, StateId, StmtKind};
use spile_lang::source::Sources;
use std::sync::Arc;
use std::thread::Thread;

/// How a probe stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its number.
    pub id: ProbeId,
    /// Its label, or where it is written.
    pub name: String,
    /// `enabled`, `disabled` or `exhausted`.
    pub state: &'static str,
    /// How often it has fired.
    pub fired: u64,
    /// Its places that are not there, because no library that is loaded has them.
    pub waiting: usize,
}

/// What a change is prepared in while the guest runs: the program as it is, and the modules.
pub struct Surroundings {
    program: Arc<Program>,
    symbols: Arc<SymbolTable>,
    isa: &'static dyn Isa,
}

/// A program with more probes, and where they are.
pub struct Extension {
    program: Arc<Program>,
    attachments: Vec<Attachment>,
    /// The modules in which the places have been found.
    symbols: Arc<SymbolTable>,
}

impl Surroundings {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What places and variables are looked up in.
    pub fn world<'a>(&'a self, memory: &'a GuestMemory) -> World<'a> {
        World { symbols: &*self.symbols, memory, isa: self.isa }
    }

    /// Prepares for going on with `program`, which begins with the present one and has more probes (see
    /// [`spile_lang::extend`]).
    ///
    /// # Errors
    /// What is wrong with the places of the new ones.
    pub fn extension(&self, program: Program, memory: &GuestMemory) -> Result<Extension, Diagnostics> {
        let known = self.program.probes.len();
        // Those that stay are the same nodes: code refers to them.
        let probes =
            self.program.probes.iter().chain(program.probes.get(known..).unwrap_or_default()).cloned().collect();
        let program = Arc::new(Program { probes, ..program });
        let attachments = attach(&program, known, &self.world(memory))?;
        Ok(Extension { program, attachments, symbols: self.symbols.clone() })
    }
}

impl Probes {
    /// What there is for a change. Only one is to be prepared at a time.
    pub fn surroundings(&self) -> Surroundings {
        Surroundings { program: self.program.clone(), symbols: self.core.symbols.clone(), isa: self.core.isa }
    }

    /// The modules as they are now. `thread` is woken when they are others.
    pub(crate) fn tell_modules(&mut self, thread: Thread) -> Arc<SymbolTable> {
        self.reader = Some(thread);
        self.core.symbols.clone()
    }

    /// Goes on with a program that has more probes.
    ///
    /// # Errors
    /// What is wrong with the new ones; nothing has changed then.
    pub fn extend(&mut self, new: Extension, sources: &Sources, memory: &GuestMemory) -> Result<(), Diagnostics> {
        let known = self.program.probes.len();
        let Extension { program, mut attachments, symbols } = new;
        if !Arc::ptr_eq(&symbols, &self.core.symbols) {
            // Modules have come or gone meanwhile.
            attachments = attach(&program, known, &self.world(memory))?;
        }
        self.core.runtime.extend(&program, sources);
        let before = std::mem::replace(&mut self.program, program.clone());
        self.core.program = program.clone();
        self.core.attachments.extend(attachments);
        let stickable = self.lowering.stickable();
        let moved = self.lowering.extend(program, &mut self.core);
        if self.lowering.stickable() != stickable {
            self.moved.push(0..u64::MAX);
        }
        self.follow();
        if let Err(diagnostics) = refuse_complex(self.lowering.check(known, &mut self.core)) {
            (known..self.program.probes.len()).for_each(|id| self.remove(ProbeId(id as u32)));
            self.sweep();
            debug_assert_eq!(self.program.probes.len(), before.probes.len());
            return Err(diagnostics);
        }
        self.adds_counts |= self.program.probes[known..].iter().any(|probe| asks_for_all_counts(probe));
        moved.into_iter().for_each(|id| self.core.runtime.note_change(id));
        let ranges = self.core.attachments[known..].iter().flat_map(|attachment| attachment.ranges.clone());
        self.moved.extend(ranges);
        if self.program.probes[known..].iter().any(|probe| concerns_calls(probe)) {
            self.core.calls_switched(&mut self.moved);
        }
        Ok(())
    }

    /// Takes a probe out of the run.
    pub fn remove(&mut self, id: ProbeId) {
        self.core.runtime.remove(id);
        self.moved.extend(self.core.attachments[id.0 as usize].ranges.iter().cloned());
        self.core.watch_windows();
        if concerns_calls(&self.program.probes[id.0 as usize]) {
            self.core.calls_switched(&mut self.moved);
        }
    }

    /// Arms or disarms a probe.
    pub fn set_enabled(&mut self, id: ProbeId, on: bool) {
        self.core.runtime.set_enabled(id, on);
    }

    /// Gives up what removed probes had. No code that was made with them may be left.
    pub fn sweep(&mut self) {
        let is_gone = |&id: &ProbeId| {
            self.core.runtime.standing(id).is_none() && !self.program.probes[id.0 as usize].body.is_empty()
        };
        let gone: Vec<ProbeId> = (0..self.program.probes.len() as u32).map(ProbeId).filter(is_gone).collect();
        if gone.is_empty() {
            return;
        }
        let mut program = (*self.program).clone();
        for id in gone {
            let index = id.0 as usize;
            let (sites, mut cells) = self.lowering.forget(id);
            for state in unnamed_states(&program, &program.probes[index]) {
                cells.extend(self.core.runtime.states_mut().discard(state));
            }
            self.core.runtime.spare(sites, cells);
            let gone = Probe::removed(program.probes[index].name.clone(), program.probes[index].head);
            program.probes[index] = Arc::new(gone);
            self.core.attachments[index].ranges.clear();
            self.core.attachments[index].entries.clear();
            self.core.attachments[index].waiting.clear();
            self.core.attachments[index].functions.clear();
            self.core.attachments[index].since.clear();
            self.core.attachments[index].until.clear();
        }
        while self.core.runtime.forget_last() {
            program.probes.pop();
            self.core.attachments.pop();
        }
        let used = program.states.iter().rposition(|state| !state.unnamed || is_used(&program, state.span));
        let states = used.map_or(0, |last| last + 1);
        program.states.truncate(states);
        self.core.runtime.states_mut().truncate(states);
        self.program = Arc::new(program);
        self.core.program = self.program.clone();
        self.lowering.extend(self.program.clone(), &mut self.core);
    }

    /// Says a name to the probes that wait for it. Returns how many do; if none, nothing has happened.
    pub fn emit(&mut self, name: &str) -> usize {
        let waits = |(probe, id): &(&Arc<Probe>, ProbeId)| {
            matches!(&probe.event, Event::Mark(names) if names_mark(names, name)) && self.core.runtime.is_active(*id)
        };
        let waiting = self.program.probes.iter().zip((0..).map(ProbeId)).filter(waits).count();
        if waiting > 0 {
            self.marks.push(name.to_owned());
        }
        waiting
    }

    /// The names and globs that probes wait for.
    pub fn mark_names(&self) -> Vec<String> {
        let names = self.program.probes.iter().filter_map(|probe| match &probe.event {
            Event::Mark(names) => Some(names.texts()),
            _ => None,
        });
        names.flatten().collect()
    }

    /// True if a name has been said that no thread has taken yet.
    pub(crate) fn has_marks(&mut self) -> bool {
        !self.marks.is_empty()
    }

    /// How the probes stand, in source order.
    pub fn standings(&self) -> Vec<Standing> {
        let all = self.program.probes.iter().zip((0..).map(ProbeId)).zip(&self.core.attachments);
        let standing = all.filter_map(|((probe, id), attachment)| {
            let (state, fired) = self.core.runtime.standing(id)?;
            Some(Standing { id, name: probe.name.clone(), state, fired, waiting: attachment.waiting.len() })
        });
        standing.collect()
    }

    /// The global with this name, the `@` included.
    pub fn global(&self, name: &str) -> Option<StateId> {
        self.core.runtime.states().ids().find(|&id| self.core.runtime.states().def(id).name == name)
    }

    /// Names of all globals.
    pub fn globals(&self) -> Vec<String> {
        let states = self.core.runtime.states();
        states.ids().map(|id| states.def(id).name.clone()).collect()
    }

    /// A global as the end of the run would print it, as text or as JSON.
    pub fn global_text(&self, id: StateId, json: bool) -> String {
        self.core.runtime.state_text(id, json, &*self.core.symbols)
    }

    /// Empties a global.
    pub fn reset_global(&mut self, id: StateId) {
        self.core.runtime.states_mut().reset(id);
    }
}

/// True if a name that is said is one of these.
pub(super) fn names_mark(names: &NameSet, said: &str) -> bool {
    match names {
        NameSet::Any => true,
        NameSet::Names(names) => names.iter().any(|name| match name {
            NamePattern::Exact(text) => text == said,
            NamePattern::Glob(pattern) => glob::matches(pattern, said),
        }),
    }
}

/// The aggregations without a name that a probe fills: nobody else can know them.
fn unnamed_states(program: &Program, probe: &Probe) -> Vec<StateId> {
    let mut states = Vec::new();
    walk::statements(&probe.body, &mut |statement| {
        if let StmtKind::Aggregate { state, .. } = statement.kind
            && program.states[state.0 as usize].unnamed
        {
            states.push(state);
        }
    });
    states
}

/// True if the unnamed aggregation that is written at `span` is still filled.
fn is_used(program: &Program, span: spile_lang::span::Span) -> bool {
    program
        .probes
        .iter()
        .any(|probe| unnamed_states(program, probe).iter().any(|state| program.states[state.0 as usize].span == span))
}
