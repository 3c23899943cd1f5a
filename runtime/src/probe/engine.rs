//! The probes of a run as the execution loop sees them: attached, lowered and performed.
//!
//! This joins the parts that know nothing of each other: [`attach`] (places), [`lower`] (micro-ops) and [`runtime`]
//! (what bodies do). It has no knowledge of its own.
//!
//! [`attach`]: super::attach
//! [`lower`]: super::lower
//! [`runtime`]: super::runtime

use super::action::{ActionSite, TextHandle};
use super::attach::{Attachment, Functions, Module, Symbols, World, attach, fetch};
use super::calls::{self, Calls};
use super::format::View;
use super::happening::Happening;
use super::indirect::{self, Watch};
use super::lasting::{self, Step};
use super::live::names_mark;
use super::lower::{Event, LowerHost, Lowering, walk};
use super::output::Output;
use super::pending::Pending;
use super::runtime::{Guest, ProbeRuntime, Report};
use super::state::KeyPart;
use super::variables::Site;
use super::window::{self, Windows};
use super::written::Lines;
use crate::block::Block;
use crate::cells::Cells;
use crate::cpu::{CpuState, poll};
use crate::env::{Environment, OutputSource, Written};
use crate::glob;
use crate::interp::ActionCall;
use crate::isa::Isa;
use crate::linux;
use crate::mem::GuestMemory;
use crate::symbols::SymbolTable;
use crate::translate::Splice;
use crate::vm::{Counting, PlainEvent, ProbeEngine};
use hashbrown::HashMap;
use spile_lang::diag::{Diagnostic, Diagnostics};
use spile_lang::ir::{self, Builtin, ExprKind, Func, Lasting, Loc, NamePattern, NameSet, ProbeId, Program, StmtKind};
use spile_lang::source::Sources;
use spile_lang::span::Span;
use spile_lang::types::Type;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;

/// How often, in instructions, the clock is looked at for `every` probes with a time.
const CLOCK_LOOK: u64 = 10_000;

/// How often, in instructions, threads say how many they have executed where a probe asks for those of all threads.
const COUNT_LOOK: u64 = 4_000;

/// All probes of a run.
pub struct Probes {
    pub(super) program: Arc<Program>,
    pub(super) lowering: Lowering,
    pub(super) core: Core,
    pending: Pending,
    /// Resolvers that probes wait for.
    resolvers: Vec<Range<u64>>,
    /// Code in which probes have come or gone with the modules, or by a change from outside.
    pub(super) moved: Vec<Range<u64>>,
    /// At the end: places that were never there.
    never_found: Vec<Diagnostic>,
    /// Who reads the files of modules before something is asked of them.
    pub(super) reader: Option<Thread>,
    /// The modules that `load` has fired for and that are still there.
    told: Vec<Module>,
    lines: Lines,
    /// Names that have been said outside.
    pub(super) marks: Vec<String>,
    /// In which of its periods a thread was when an `every` probe was looked at last.
    periods: HashMap<(u64, ProbeId), u64>,
    /// A probe asks for the instructions of all threads.
    pub(super) adds_counts: bool,
}

/// What the lowering asks, and the runtime behind it.
pub(super) struct Core {
    pub(super) program: Arc<Program>,
    pub(super) runtime: ProbeRuntime,
    pub(super) attachments: Vec<Attachment>,
    pub(super) addresses: HashMap<Span, u64>,
    /// The places up to which something may last, by where they are written.
    pub(super) ends: HashMap<Span, u64>,
    pub(super) calls: Calls,
    pub(super) windows: Windows,
    pub(super) symbols: Arc<SymbolTable>,
    pub(super) isa: &'static dyn Isa,
}

impl Probes {
    /// Attaches a program to the loaded guest.
    ///
    /// # Errors
    /// Places that cannot be resolved, probes that match nothing, and bodies that are too complex.
    pub fn attach(
        program: Program,
        sources: &Sources,
        symbols: Arc<SymbolTable>,
        memory: &GuestMemory,
        isa: &'static dyn Isa,
        output: Output,
        seed: u64,
    ) -> Result<Probes, Diagnostics> {
        let program = Arc::new(program);
        if names_lines(&program) {
            // Later there may be no descriptor left to read them with.
            symbols.read_debug_files();
        }
        let attachments = attach(&program, 0, &World { symbols: &*symbols, memory, isa })?;
        let addresses = addresses(&attachments);
        let runtime = ProbeRuntime::new(&program, sources, output, seed);
        let calls = Calls::new(isa);
        let (windows, ends) = Default::default();
        let mut core =
            Core { program: program.clone(), runtime, attachments, addresses, ends, calls, windows, symbols, isa };
        core.follow_calls();
        core.watch_windows();
        core.follow_ends();
        let lowering = Lowering::new(program.clone(), isa, &mut core);
        refuse_complex(lowering.check(0, &mut core))?;
        let pending = Pending::default();
        let resolvers = indirect::awaited(&core.attachments);
        let adds_counts = program.probes.iter().any(|probe| asks_for_all_counts(probe));
        let (moved, never_found, told, lines, marks, periods) = Default::default();
        Ok(Probes {
            program,
            lowering,
            core,
            pending,
            resolvers,
            reader: None,
            moved,
            never_found,
            told,
            lines,
            marks,
            periods,
            adds_counts,
        })
    }

    /// What places and variables are looked up in.
    pub fn world<'a>(&'a self, memory: &'a GuestMemory) -> World<'a> {
        World { symbols: &*self.core.symbols, memory, isa: self.core.isa }
    }

    /// Where the probes are attached, by number.
    pub fn attachments(&self) -> &[Attachment] {
        &self.core.attachments
    }

    /// The program that they come from.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Ends the run's output and returns what the last line reports.
    pub fn finish(&mut self, memory: &GuestMemory, environment: &dyn Environment, status: u8) -> Report {
        let symbols = self.core.symbols.clone();
        let ticks = |icount| environment.ticks(icount);
        let all = symbols.with_gone();
        let world = World { symbols: &all, memory, isa: self.core.isa };
        self.never_found = self.pending.never_found(&self.program, &self.core.attachments, &world);
        let guest = guest(&symbols, self.core.isa, memory, environment, &ticks);
        self.core.runtime.finish(&guest, status)
    }

    /// The run's status, given the guest's: what `exit` said, 1 after failed assertions.
    pub fn final_status(&self, status: u8) -> u8 {
        self.core.runtime.final_status(status)
    }

    /// The run-time errors so far; after the end also the places that were never found.
    pub fn diagnostics(&self) -> Diagnostics {
        let mut diagnostics = Diagnostics::new();
        self.never_found.iter().cloned().for_each(|place| diagnostics.push(place));
        diagnostics.extend(self.core.runtime.diagnostics());
        diagnostics.finish()
    }

    /// The runtime, for what the command line asks of it.
    pub fn runtime(&self) -> &ProbeRuntime {
        &self.core.runtime
    }

    fn ids(&self) -> impl Iterator<Item = ProbeId> + use<> {
        (0..self.program.probes.len() as u32).map(ProbeId)
    }
}

/// True if a probe asks how many instructions all threads have executed.
pub(super) fn asks_for_all_counts(probe: &ir::Probe) -> bool {
    let mut asks = false;
    walk::probe_expressions(probe, &mut |e| asks |= matches!(e.kind, ExprKind::Builtin(Builtin::IcountAll)));
    asks
}

/// # Errors
/// One for each body that is too complex.
pub(super) fn refuse_complex(bodies: Vec<(ProbeId, Span)>) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    for (_, span) in bodies {
        diagnostics.push(
            Diagnostic::error("E0701", "this probe body needs more temporary values than there are")
                .primary(span, "too much at once here")
                .help("split it: keep intermediate results with `let`, or make two probes"),
        );
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics.finish()) }
}

/// True if one of the names is the module's.
fn is_named(names: &NameSet, module: &Module) -> bool {
    let NameSet::Names(names) = names else { return true };
    names.iter().any(|name| match name {
        NamePattern::Exact(text) => module.is_called(text),
        NamePattern::Glob(pattern) => {
            std::iter::once(&module.name).chain(&module.alias).any(|name| glob::matches(pattern, name))
        }
    })
}

/// True if a script asks for what debug information says of code that is not known before it is executed: source lines
/// and call frames.
fn names_lines(program: &Program) -> bool {
    let mut found = false;
    for probe in &program.probes {
        found |= matches!(probe.event, ir::Event::Line);
        walk::probe_expressions(probe, &mut |e| {
            found |= match &e.kind {
                // A call knows its caller without looking at the stack.
                ExprKind::Builtin(Builtin::Caller) => !matches!(probe.event, ir::Event::Call | ir::Event::Return),
                ExprKind::Builtin(builtin) => matches!(builtin, Builtin::File | Builtin::Line | Builtin::Stack),
                ExprKind::Call(function, _) => matches!(function, Func::Line | Func::Stack),
                _ => false,
            };
        });
    }
    found
}

/// The addresses of all places in bodies.
fn addresses(attachments: &[Attachment]) -> HashMap<Span, u64> {
    attachments.iter().flat_map(|a| a.addresses.iter().map(|(&span, &addr)| (span, addr))).collect()
}

fn guest<'a>(
    symbols: &'a SymbolTable,
    isa: &'a dyn Isa,
    memory: &'a GuestMemory,
    environment: &dyn Environment,
    ticks: &'a dyn Fn(u64) -> u64,
) -> Guest<'a> {
    Guest {
        memory,
        isa,
        symbols,
        thread_id: environment.thread_id(),
        process_id: environment.process_id(),
        ticks,
        syscall_name: linux::table::name,
    }
}

impl ProbeEngine for Probes {
    fn splice(&mut self, use_it: &mut dyn FnMut(&mut dyn Splice)) {
        let mut splicer = self.lowering.splicer(&mut self.core);
        if self.resolvers.is_empty() {
            return use_it(&mut splicer);
        }
        use_it(&mut Watch { inner: &mut splicer, resolvers: &self.resolvers });
    }

    fn action(
        &mut self,
        call: ActionCall,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        environment: &dyn Environment,
    ) -> u64 {
        if call.action == indirect::ACTION {
            self.resolved(call.pc, cpu, memory);
            return 0;
        }
        if let Some(request) = lasting::Request::of(call.action) {
            return self.core.lasting(request, call, cpu, memory, environment.thread_id());
        }
        if call.action == window::REACHED {
            self.core.reached(call.pc, cpu);
            return 0;
        }
        if let Some(request) = calls::Request::of(call.action) {
            return self.core.call(request, call, cpu, memory, environment.thread_id());
        }
        if let Some(signal) = self.core.runtime.raised(call.action) {
            // What the guest has written comes before what the signal does.
            self.core.flush(memory);
            environment.raise(signal);
        }
        let Core { runtime, symbols, isa, .. } = &mut self.core;
        let ticks = |icount| environment.ticks(icount);
        runtime.perform(call, cpu, &guest(symbols, *isa, memory, environment, &ticks))
    }

    fn take_changes(&mut self) -> Vec<Range<u64>> {
        let changed = self.core.runtime.take_changes();
        if changed.iter().any(|id| calls::concerns_calls(&self.program.probes[id.0 as usize])) {
            self.core.calls_switched(&mut self.moved);
        }
        self.core.calls.take_changes(&mut self.moved);
        self.core.runtime.lasting.take_changes(&mut self.moved);
        self.core.windows.take_changes(&mut self.moved);
        let switched = changed.into_iter().flat_map(|id| self.core.attachments[id.0 as usize].ranges.clone());
        switched.chain(std::mem::take(&mut self.moved)).collect()
    }

    fn modules_changed(&mut self, memory: &GuestMemory, environment: &dyn Environment) -> bool {
        // Addresses that have been printed are those of the modules that were there.
        self.write_records(memory, u64::MAX);
        if !Arc::make_mut(&mut self.core.symbols).update(&environment.mapped_code()) {
            return false;
        }
        self.reader.iter().for_each(Thread::unpark);
        self.look_again(memory);
        !self.moved.is_empty()
    }

    fn take_loaded(&mut self) -> Vec<Module> {
        let there: Vec<Module> = self.core.symbols.modules().into_iter().filter(|module| !module.gone).collect();
        let before = std::mem::replace(&mut self.told, there.clone());
        there.into_iter().filter(|module| !before.contains(module)).collect()
    }

    fn take_marks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.marks)
    }

    fn waits_for_output(&self) -> bool {
        let output = |id: &ProbeId| matches!(self.program.probes[id.0 as usize].event, ir::Event::Output(_));
        self.ids().filter(output).any(|id| self.core.runtime.is_active(id))
    }

    fn output_lines(&mut self, written: Option<Written>) -> Vec<(OutputSource, Vec<u8>)> {
        match written {
            Some(written) => self.lines.write(&written),
            None => self.lines.wait(),
        }
    }

    fn end_request(&self) -> Option<u8> {
        self.core.runtime.end_request().map(|end| end.status)
    }

    fn next_every(&self, icount: u64) -> u64 {
        let periods = self.ids().filter(|&id| self.core.runtime.is_active(id)).filter_map(|id| self.period(id));
        periods.map(|n| (icount / n + 1).saturating_mul(n)).min().unwrap_or(u64::MAX)
    }

    fn next_clock(&self, icount: u64, counted: bool) -> u64 {
        let active = self.ids().filter(|&id| self.core.runtime.is_active(id));
        let periods = active.filter_map(|id| match self.program.probes[id.0 as usize].event {
            ir::Event::EveryTime(n) if counted => Some(n),
            ir::Event::EveryTime(_) => Some(CLOCK_LOOK),
            _ => None,
        });
        periods.map(|n| (icount / n + 1).saturating_mul(n)).min().unwrap_or(u64::MAX)
    }

    fn note_count(&mut self, thread: u64, icount: u64) {
        if self.adds_counts {
            self.core.runtime.note_count(thread, icount);
        }
    }

    fn end_count(&mut self, thread: u64, icount: u64) {
        // Probes that ask for it may come later.
        self.core.runtime.end_count(thread, icount);
    }

    fn next_look(&self, thread: u64, icount: u64) -> u64 {
        let look = self.core.runtime.next_look(thread, icount);
        if self.adds_counts { look.min(icount.saturating_add(COUNT_LOOK)) } else { look }
    }

    fn look(&mut self, cpu: &mut CpuState, memory: &GuestMemory, environment: &dyn Environment) -> bool {
        let Core { runtime, symbols, isa, .. } = &mut self.core;
        let ticks = |icount| environment.ticks(icount);
        runtime.look(cpu, &guest(symbols, *isa, memory, environment, &ticks))
    }

    fn look_away(&mut self, begun: bool, cpu: &CpuState, memory: &GuestMemory, environment: &dyn Environment) {
        let Core { runtime, symbols, isa, .. } = &mut self.core;
        let ticks = |icount| environment.ticks(icount);
        runtime.look_away(begun, cpu, &guest(symbols, *isa, memory, environment, &ticks));
    }

    fn take_replaced(&mut self, thread: u64, pc: u64, icount: u64) -> Option<u32> {
        self.core.runtime.take_replaced(thread, pc, icount)
    }

    fn counting(&self) -> Counting {
        let needs = |probe: &Arc<ir::Probe>| {
            // What lasts for a number of instructions ends at a limit, and so do `every` probes.
            let mut limited = matches!(probe.event, ir::Event::EveryInsns(_) | ir::Event::EveryTime(_));
            // Counts of other threads are told at limits.
            limited |= asks_for_all_counts(probe);
            // A plain `count` or `print` never says where and when it is, unless an expression fails. Texts live until the
            // next firing, which is told by its time.
            let mut asks = false;
            walk::probe_expressions(probe, &mut |e| {
                asks |= match &e.kind {
                    ExprKind::Builtin(builtin) => matches!(
                        builtin,
                        Builtin::Icount | Builtin::Elapsed | Builtin::SyscallArguments | Builtin::Fact(_)
                    ),
                    ExprKind::Binary(op, ..) => {
                        matches!(op, ir::BinaryOp::DivU | ir::BinaryOp::DivS)
                            || matches!(op, ir::BinaryOp::RemU | ir::BinaryOp::RemS)
                    }
                    ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Register(_) | ExprKind::Local(_) => false,
                    ExprKind::And(..) | ExprKind::Or(..) | ExprKind::Unary(..) | ExprKind::Cast(_) => false,
                    _ => true,
                };
            });
            walk::statements(&probe.body, &mut |stmt| {
                limited |= match &stmt.kind {
                    StmtKind::Transient { lasts, .. } | StmtKind::Stick { lasts: Some(lasts), .. } => {
                        matches!(lasts, Lasting::Insns(_) | Lasting::Nanoseconds(_))
                    }
                    StmtKind::TraceFor(_) => true,
                    _ => false,
                };
                asks |= match &stmt.kind {
                    StmtKind::Aggregate { keys, .. } => !keys.is_empty(),
                    StmtKind::Print(_) => false,
                    _ => true,
                };
            });
            asks |= probe.filters.iter().any(|filter| matches!(filter, ir::Filter::Limit(_)));
            match (limited, asks) {
                (true, _) => Counting::Limited,
                (false, true) => Counting::Exact,
                (false, false) => Counting::Off,
            }
        };
        self.program.probes.iter().map(needs).max().unwrap_or(Counting::Off)
    }

    fn event_blocks(
        &mut self,
        event: PlainEvent,
        memory: &GuestMemory,
        pc: u64,
        icount: u64,
        status: u8,
        thread: u64,
    ) -> Vec<Block> {
        let due = match event {
            PlainEvent::Clock(now) => self.take_due(thread, now),
            _ => Vec::new(),
        };
        let concerned = |probes: &Self, id: ProbeId| match (&event, &probes.program.probes[id.0 as usize].event) {
            (PlainEvent::Begin, ir::Event::Begin)
            | (PlainEvent::End, ir::Event::End)
            | (PlainEvent::Spawn, ir::Event::Spawn)
            | (PlainEvent::Exit, ir::Event::Exit) => true,
            (PlainEvent::Call(call), ir::Event::Syscall(set)) => {
                probes.program.probes[id.0 as usize].moment != ir::Moment::After && set.contains(call.number)
            }
            (PlainEvent::Return(call, _), ir::Event::Syscall(set)) => {
                probes.program.probes[id.0 as usize].moment == ir::Moment::After && set.contains(call.number)
            }
            (PlainEvent::Every, ir::Event::EveryInsns(n)) => icount.is_multiple_of(*n),
            (PlainEvent::Clock(_), ir::Event::EveryTime(_)) => due.contains(&id),
            (PlainEvent::Mark(name), ir::Event::Mark(names)) => names_mark(names, name),
            (PlainEvent::Signal(signal), ir::Event::Signal(set)) => set.contains(signal.number.into()),
            (PlainEvent::Trap(cause, _), ir::Event::Trap(causes)) => causes.contains(cause),
            (PlainEvent::Load(module), ir::Event::Load(names)) => is_named(names, module),
            (PlainEvent::Output(_, line, _), ir::Event::Output(glob)) => glob::matches_bytes(glob.as_bytes(), line),
            _ => false,
        };
        let ids: Vec<ProbeId> =
            self.ids().filter(|&id| self.core.runtime.is_active(id) && concerned(self, id)).collect();
        let insn = fetch(memory, self.core.isa, pc).filter(|_| {
            matches!(event, PlainEvent::Every | PlainEvent::Clock(_) | PlainEvent::Trap(..) | PlainEvent::Mark(_))
        });
        if let Some(happening) = Happening::of(&event).filter(|_| !ids.is_empty()) {
            self.core.runtime.happens(thread, happening);
        }
        let (call, elapsed) = match event {
            PlainEvent::Call(call) => (call, None),
            PlainEvent::Return(call, elapsed) => (call, Some(elapsed)),
            _ => Default::default(),
        };
        let event = Event { pc, insn, status: u64::from(status), call, elapsed };
        ids.into_iter().map(|id| self.lowering.event_block(&mut self.core, id, event)).collect()
    }

    fn waits_for_calls(&self) -> bool {
        let event = |id: &ProbeId| &self.program.probes[id.0 as usize].event;
        let calls = |id: &ProbeId| matches!(event(id), ir::Event::Syscall(_) | ir::Event::Output(_));
        self.ids().filter(calls).any(|id| self.core.runtime.is_active(id))
    }

    fn show_calls(&self, thread: u64, cpu: &mut CpuState) {
        self.core.calls.show(thread, cpu);
    }

    fn take_finished_call(&mut self, thread: u64) -> Option<Option<u64>> {
        self.core.runtime.take_finished(thread)
    }

    fn cells(&self) -> Arc<Cells> {
        self.core.runtime.cells().clone()
    }

    fn spawned(&mut self, thread: u64, new: &mut CpuState) {
        self.core.runtime.lasting.spawn(thread, new);
    }

    fn stop_thread(&mut self, thread: u64, cpu: &mut CpuState, memory: &GuestMemory) {
        self.core.runtime.lasting.stop_thread(thread, cpu, memory);
    }

    fn end_thread(&mut self, thread: u64) {
        self.core.runtime.end_thread(thread);
        self.core.end_thread_calls(thread);
        self.periods.retain(|(other, _), _| *other != thread);
    }

    fn forked(&mut self, parent: u64, child: u64, cpu: &mut CpuState, memory: &GuestMemory) {
        self.core.runtime.lasting.fork(parent, child, cpu, memory);
        self.core.runtime.forked(parent, child);
        self.core.fork_calls(parent, child);
        // The child's own time begins anew.
        self.periods.clear();
    }

    fn child_status(&mut self, status: u8, memory: &GuestMemory) -> u8 {
        self.core.flush(memory);
        self.core.runtime.final_status(status)
    }

    fn flush(&mut self, memory: &GuestMemory) {
        self.core.flush(memory);
    }

    fn write_records(&mut self, memory: &GuestMemory, most: u64) -> u64 {
        let Core { runtime, symbols, .. } = &mut self.core;
        runtime.write_records(&View { symbols: &**symbols, memory }, most)
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

impl Core {
    fn flush(&mut self, memory: &GuestMemory) {
        self.runtime.flush(&View { symbols: &*self.symbols, memory });
    }
}

impl Probes {
    /// Resolves places anew, after symbols have changed.
    fn look_again(&mut self, memory: &GuestMemory) {
        let Core { program, attachments, symbols, isa, .. } = &mut self.core;
        let world = World { symbols: &**symbols, memory, isa: *isa };
        self.moved.extend(self.pending.update(program, attachments, &world));
        self.follow();
    }

    /// Takes in the places of the probes, after these or their places have changed.
    pub(super) fn follow(&mut self) {
        self.core.addresses = addresses(&self.core.attachments);
        self.core.follow_calls();
        self.moved.extend(self.core.follow_ends());
        self.core.watch_windows();
        self.core.windows.take_changes(&mut self.moved);
        self.core.calls.take_changes(&mut self.moved);
        let before = std::mem::replace(&mut self.resolvers, indirect::awaited(&self.core.attachments));
        if before != self.resolvers {
            self.moved.extend(before.into_iter().chain(self.resolvers.clone()));
        }
    }

    /// A resolver is about to return.
    fn resolved(&mut self, pc: u64, cpu: &CpuState, memory: &GuestMemory) {
        let resolver = self.resolvers.iter().find(|range| range.contains(&pc)).map(|range| range.start);
        if let (Some(resolver), Some(slot)) = (resolver, indirect::result_slot(self.core.isa)) {
            Arc::make_mut(&mut self.core.symbols).decide(resolver, cpu.x[usize::from(slot)]);
            self.look_again(memory);
            cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        }
    }

    /// The probes whose period has passed since they fired last in a thread that has run for `now` nanoseconds. A period
    /// that was missed is not made up for.
    fn take_due(&mut self, thread: u64, now: u64) -> Vec<ProbeId> {
        let mut due = Vec::new();
        for id in self.ids().collect::<Vec<_>>() {
            let ir::Event::EveryTime(period) = self.program.probes[id.0 as usize].event else { continue };
            let number = now / period;
            match self.periods.insert((thread, id), number) {
                // The first look, unless time is counted, is at some moment of a period that has begun before.
                None if number > 0 && now.is_multiple_of(period) => due.push(id),
                Some(before) if before != number => due.push(id),
                _ => {}
            }
        }
        due
    }

    fn period(&self, id: ProbeId) -> Option<u64> {
        match self.program.probes[id.0 as usize].event {
            ir::Event::EveryInsns(n) => Some(n.max(1)),
            _ => None,
        }
    }
}

impl Core {
    fn attachment(&self, probe: ProbeId) -> &Attachment {
        &self.attachments[probe.0 as usize]
    }

    /// Does what generated code asks.
    fn lasting(
        &mut self,
        request: lasting::Request,
        call: ActionCall,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        thread: u64,
    ) -> u64 {
        let lasting = &mut self.runtime.lasting;
        match request {
            lasting::Request::IsReplaced => lasting.replaced(thread, call.pc, call.icount).is_some().into(),
            lasting::Request::Held => {
                if lasting.held(thread, call.pc, call.icount) {
                    cpu.poll.fetch_or(poll::INSN, Ordering::Relaxed);
                }
                0
            }
            lasting::Request::Reached => {
                let here = self.ends.iter().filter(|(_, at)| **at == call.pc);
                let spans: Vec<Span> = here.map(|(span, _)| *span).collect();
                lasting.step(thread, Step::At(&spans), cpu, memory);
                memory.has_written_code().into()
            }
        }
    }

    /// Finds out up to where something may last. Returns the code where that has changed. What a removed probe has begun
    /// still ends.
    fn follow_ends(&mut self) -> Vec<Range<u64>> {
        let mut changed = Vec::new();
        for probe in &self.program.probes {
            walk::statements(&probe.body, &mut |stmt| {
                if let StmtKind::Transient { lasts: Lasting::Until(loc), .. }
                | StmtKind::Stick { lasts: Some(Lasting::Until(loc)), .. }
                | StmtKind::TraceFor(Lasting::Until(loc)) = &stmt.kind
                {
                    let now = self.addresses.get(&loc.span).copied();
                    let before = match now {
                        Some(at) => self.ends.insert(loc.span, at),
                        None => self.ends.remove(&loc.span),
                    };
                    if before != now {
                        changed.extend(before.into_iter().chain(now).map(|at| at..at.saturating_add(1)));
                    }
                }
            });
        }
        changed
    }
}

impl LowerHost for Core {
    fn push_action(&mut self, site: ActionSite) -> u32 {
        self.runtime.push(site)
    }

    fn intern(&mut self, text: &str) -> TextHandle {
        TextHandle(self.runtime.intern(text))
    }

    fn new_cell(&mut self) -> u32 {
        self.runtime.new_cell()
    }

    fn cell_like(&mut self, cell: u32) -> u32 {
        let new = self.runtime.new_cell();
        self.runtime.cells().set(new, self.runtime.cells().get(cell));
        new
    }

    fn set_fired_cell(&mut self, probe: ProbeId, cell: u32) {
        self.runtime.set_hits_cell(probe, cell);
    }

    fn patch_cell(&mut self, _probe: ProbeId, _span: Span, what: &str) -> u32 {
        self.runtime.patch_cell(what)
    }

    fn scalar_cell(&self, state: ir::StateId) -> Option<u32> {
        self.runtime.states().scalar_cell(state)
    }

    fn entry_cell(&mut self, state: ir::StateId, keys: &[u64]) -> Option<u32> {
        let types = self.program.states[state.0 as usize].keys.clone();
        let mut parts = Vec::new();
        let mut slots = keys.iter();
        for ty in types {
            let low = *slots.next()?;
            parts.push(match ty {
                ty if ty.is_text() => KeyPart::Text(self.runtime.text(low).into()),
                Type::U128 => KeyPart::Wide(u128::from(low) | u128::from(*slots.next()?) << 64),
                _ => KeyPart::Int(low),
            });
        }
        self.runtime.states_mut().cell_for(state, &parts)
    }

    fn key_index(&mut self, state: ir::StateId) -> Option<u32> {
        self.runtime.states_mut().index_for(state)
    }

    fn is_active(&self, probe: ProbeId) -> bool {
        self.runtime.is_active(probe)
    }

    fn touches(&self, start: u64, end: u64) -> bool {
        let ids = (0..self.attachments.len() as u32).map(ProbeId);
        let at_instructions = |id: &ProbeId| {
            matches!(
                self.program.probes[id.0 as usize].event,
                ir::Event::Insn(_)
                    | ir::Event::Block
                    | ir::Event::Line
                    | ir::Event::Branch
                    | ir::Event::Access(_)
                    | ir::Event::Call
                    | ir::Event::Return
            )
        };
        let lasting =
            self.runtime.lasting.holds_in(start, end) || self.ends.values().any(|at| (start..end).contains(at));
        if lasting || self.calls.touches(start, end) || self.windows.touches(start, end) {
            return true;
        }
        ids.filter(at_instructions).any(|id| self.runtime.is_active(id) && self.attachment(id).touches(&(start..end)))
    }

    fn may_fire_at(&self, probe: ProbeId, pc: u64) -> bool {
        self.runtime.is_active(probe)
            || (self.windows.awaits(pc)
                && self.runtime.may_become_active(probe)
                && self.attachment(probe).since.contains(&pc))
    }

    fn is_awaited(&self, pc: u64) -> bool {
        self.windows.awaits(pc)
    }

    fn window_at(&self, probe: ProbeId, pc: u64) -> Option<u32> {
        self.windows.awaits(pc).then(|| Core::window_at(self, probe, pc)).flatten()
    }

    fn matches(&self, probe: ProbeId, pc: u64) -> bool {
        self.attachment(probe).matches(pc)
    }

    fn accessed(&self, probe: ProbeId) -> Vec<Range<u64>> {
        self.attachment(probe).accessed.clone()
    }

    fn entries(&self, probe: ProbeId) -> &[u64] {
        &self.attachment(probe).entries
    }

    fn follows(&self, pc: u64) -> bool {
        self.calls.follows(pc)
    }

    fn stack_replaced_at(&mut self, pc: u64) -> bool {
        self.calls.stack_replaced_at(pc)
    }

    fn functions(&self, probe: ProbeId, filter: usize) -> &Functions {
        &self.attachment(probe).functions[filter]
    }

    fn inside_bit(&self, probe: ProbeId, filter: usize) -> Option<u8> {
        self.calls.conditions.bit((probe, filter))
    }

    fn followed_function(&self, pc: u64) -> Option<u64> {
        Core::followed_function(self, pc)
    }

    fn returns_to(&self, pc: u64) -> bool {
        self.calls.returns_to(pc)
    }

    fn ends_at(&self, pc: u64) -> bool {
        self.ends.values().any(|&at| at == pc)
    }

    fn holds(&self, pc: u64) -> bool {
        self.runtime.lasting.holds(pc)
    }

    fn waiting_cell(&mut self) -> u32 {
        self.runtime.waiting_cell()
    }

    fn address_of(&self, loc: &Loc) -> Option<u64> {
        self.addresses.get(&loc.span).copied()
    }

    fn function(&self, pc: u64) -> String {
        self.symbols.locate(pc).map(|found| found.name).unwrap_or_default()
    }

    fn source_line(&self, pc: u64) -> (String, u32) {
        self.symbols.source_line(pc).map(|(file, line)| (file.to_owned(), line)).unwrap_or_default()
    }

    fn variable(&self, probe: ProbeId, pc: u64, variable: &ir::Variable, span: Span) -> Option<ir::Expr> {
        let site = Site {
            symbols: &*self.symbols,
            isa: self.isa,
            probe: &self.program.probes[probe.0 as usize],
            entries: &self.attachment(probe).entries,
            span,
        };
        site.locate(pc, variable)
    }

    fn module(&self, pc: u64) -> String {
        self.symbols.module_of(pc).map(|module| module.name.clone()).unwrap_or_default()
    }

    fn section(&self, pc: u64) -> String {
        self.symbols.section_of(pc).unwrap_or_default().to_owned()
    }
}
