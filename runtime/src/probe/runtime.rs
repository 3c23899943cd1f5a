//! What probe bodies do at run time: performs [`Action`]s, keeps texts, globals, errors and the verdict.
//!
//! It knows nothing of blocks and of how bodies are lowered. The decisions of this module that scripts can see:
//!
//! - `assert` that fails is reported, and the run goes on; its status is then 1 if it would have been 0.
//!   One place reports its first ten failures in full; all are counted.
//! - `fail` ends the run with status 1, `exit n` with the low eight bits of `n`. The first request counts.
//! - A map that is full takes no new keys: a run-time error, and the run goes on.
//! - If probe output cannot be written, the run ends: results that nobody sees are no results.

use crate::cells::Cells;
use crate::cpu::{CpuState, poll};
use crate::glob;
use crate::interp::ActionCall;
use crate::isa::Isa;
use crate::machine::lock;
use crate::mem::{Fault, GuestMemory, perm};
use crate::probe::action::{Action, ActionSite, FloatOp, PrintPart, TextHandle, TextPart};
use crate::probe::attach::Symbols;
use crate::probe::format::{self, TextRef, Value, View, address_text, grouped, line_text, put};
use crate::probe::happening::{FactValue, Happening};
use crate::probe::lasting::{Changed, Lastings, Step};
use crate::probe::limits::Limits;
use crate::probe::loops::MapLoops;
use crate::probe::lower::{NZCV_SHIFT, walk};
use crate::probe::output::{self, Fields, Json, Output, Style};
use crate::probe::stack::{self, Walker};
use crate::probe::state::{Full, KeyPart, States, Stored};
use crate::probe::syscalls::{self, Call};
use crate::probe::window::Awaited;
use hashbrown::HashMap;
use regex::bytes::{Regex, RegexBuilder};
use spile_lang::debug::EnumNames;
use spile_lang::diag::{Diagnostic, Diagnostics};
use spile_lang::ir::{
    AggFn, AssignOp, Event, Fact, Filter, Func, Lasting, Pattern, ProbeId, Program, StateId, StateKind,
};
use spile_lang::source::Sources;
use spile_lang::span::Span;
use spile_lang::target::{Register, RegisterSlot};
use spile_lang::types::Type;
use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// What actions may look at besides the CPU.
#[derive(Clone, Copy)]
pub struct Guest<'a> {
    /// Guest memory.
    pub memory: &'a GuestMemory,
    /// The guest architecture.
    pub isa: &'a dyn Isa,
    /// Symbols of what is loaded now.
    pub symbols: &'a dyn Symbols,
    /// The guest's number of the running thread.
    pub thread_id: u64,
    /// The guest's number of the process.
    pub process_id: u64,
    /// Nanoseconds since the start of the run, after so many instructions of the thread.
    pub ticks: &'a dyn Fn(u64) -> u64,
    /// Names of system calls by number.
    pub syscall_name: fn(u64) -> Option<&'static str>,
}

/// Most instructions that one `skip` leaves out where they are of several sizes.
const MOST_SKIPPED: u64 = 1 << 24;

impl<'a> Guest<'a> {
    /// What formatting may look at.
    fn view(&self) -> View<'a> {
        View { symbols: self.symbols, memory: self.memory }
    }

    /// The address behind `count` instructions from `pc` on; that of what cannot be fetched, if that is met before.
    fn behind(&self, mut pc: u64, count: u64) -> u64 {
        for _ in 0..count.min(MOST_SKIPPED) {
            let Ok(first) = self.memory.fetch(pc) else { break };
            pc = pc.wrapping_add(self.isa.insn_len(u16::from_le_bytes(first)).into());
        }
        pc
    }
}

/// A probe has asked for the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRequest {
    /// The status that the run ends with.
    pub status: u8,
    /// Why.
    pub reason: ExitReason,
}

/// Why a run is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// `exit`.
    Exit,
    /// `fail`, with its text, which has been printed.
    Fail(String),
    /// Probe output cannot be written; a sentence that nobody has seen yet.
    Output(String),
}

/// The state of all probes of a run.
pub struct ProbeRuntime {
    /// None while it is being performed.
    sites: Vec<Option<Box<ActionSite>>>,
    probes: Vec<ProbeState>,
    texts: Texts,
    states: States,
    cells: Arc<Cells>,
    output: Output,
    /// The buffer of the latest line that was printed.
    line: String,
    errors: Vec<RunError>,
    changes: Vec<ProbeId>,
    end: Option<ExitRequest>,
    random: Random,
    patches: Patches,
    asserts: HashMap<u32, u64>,
    regexes: HashMap<u32, Option<Regex>>,
    traces: Vec<Snapshot>,
    shown: Option<Vec<Register>>,
    walker: Option<Walker>,
    /// Executions that a `hit … per thread` has counted, by thread and by the clause's action.
    thread_hits: HashMap<(u64, u32), u64>,
    counts: Counts,
    limits: Limits,
    /// Cells and actions of probes that have been removed, for others.
    spare_cells: RefCell<Vec<u32>>,
    spare_sites: Vec<u32>,
    loops: MapLoops,
    pub(super) lasting: Lastings,
    /// System calls that are not to be performed, by thread, with their results.
    finished: Vec<(u64, Option<u64>)>,
    /// What happens to each thread between instructions, while bodies look at it.
    happenings: Vec<(u64, Happening)>,
}

/// Executed instructions, for a program that asks for those of all threads.
#[derive(Default)]
struct Counts {
    /// Of threads that are over.
    ended: u64,
    /// Of each other thread, as it was told last.
    threads: HashMap<u64, u64>,
}

impl Counts {
    /// How many there are, `thread` having executed `icount`.
    fn all(&self, thread: u64, icount: u64) -> u64 {
        let others = self.threads.iter().filter(|(other, _)| **other != thread).map(|(_, count)| count);
        self.ended + icount + others.sum::<u64>()
    }
}

struct ProbeState {
    name: String,
    /// `file:line`.
    place: String,
    /// Counts firings.
    hits: u32,
    enabled: bool,
    exhausted: bool,
    /// It is no more, and nothing is said of it.
    removed: bool,
    /// The cell that would count its firings if they were not counted elsewhere.
    unused: Option<u32>,
    /// Its `since` and `until`, if it has any.
    window: Option<Window>,
    /// Executions over a limit, if it has one.
    held_back: Option<u64>,
    /// Globals whose last values it prints.
    prints: Vec<StateId>,
}

/// The window of a probe.
#[derive(Clone, Copy)]
struct Window {
    /// Holds 1 while it is open.
    cell: u32,
    /// Its `since` place has not been executed yet.
    waits: bool,
    /// It has an `until` place.
    ends: bool,
}

impl ProbeState {
    /// False while its window has yet to open.
    fn is_open(&self) -> bool {
        !self.window.is_some_and(|window| window.waits)
    }
}

/// Output into memory.
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where something happened.
#[derive(Clone, Debug)]
struct Context {
    pc: u64,
    at: String,
    icount: u64,
    thread: u64,
}

struct RunError {
    code: &'static str,
    probe: ProbeId,
    span: Span,
    count: u64,
    detail: String,
    /// What helps in this case, behind what always does.
    help: Option<String>,
    first: Context,
}

#[derive(Default)]
struct Patches {
    /// Cells that count applications, with what they patch.
    cells: Vec<(u32, String)>,
    /// By what was patched, in order of first application.
    list: Vec<Patch>,
}

struct Patch {
    what: String,
    first: Context,
}

/// The registers before an instruction that is traced.
pub(super) struct Snapshot {
    probe: ProbeId,
    thread: u64,
    pc: u64,
    icount: u64,
    values: Vec<u128>,
}

/// `bytes` and `dump` show at most so many bytes.
const MOST_DUMPED: u64 = 4096;
/// `str` and `bytes` read at most so many.
const MOST_READ: u64 = 1 << 20;
/// Failures of one `assert` that are reported in full.
const ASSERTS_SHOWN: u64 = 10;

impl ProbeRuntime {
    /// Creates the run-time state of a program. Output goes to `output`; `seed` is for `rand`.
    pub fn new(program: &Program, sources: &Sources, output: Output, seed: u64) -> ProbeRuntime {
        let cells = Cells::new();
        let states = States::new(&program.states, Arc::clone(&cells));
        let mut runtime = ProbeRuntime {
            sites: Vec::new(),
            probes: Vec::new(),
            texts: Texts::new(),
            states,
            lasting: Lastings::new(Arc::clone(&cells)),
            cells,
            output,
            line: String::new(),
            errors: Vec::new(),
            changes: Vec::new(),
            end: None,
            random: Random::new(seed),
            patches: Patches::default(),
            asserts: HashMap::new(),
            regexes: HashMap::new(),
            traces: Vec::new(),
            shown: None,
            walker: None,
            thread_hits: HashMap::new(),
            counts: Counts::default(),
            limits: Limits::default(),
            spare_cells: RefCell::default(),
            spare_sites: Vec::new(),
            loops: MapLoops::default(),
            finished: Vec::new(),
            happenings: Vec::new(),
        };
        runtime.add_probes(program, sources);
        runtime
    }

    fn add_probes(&mut self, program: &Program, sources: &Sources) {
        for probe in &program.probes[self.probes.len()..] {
            let window = (!probe.since.is_empty() || !probe.until.is_empty()).then(|| {
                let (cell, waits) = (self.new_cell(), !probe.since.is_empty());
                self.cells.set(cell, u64::from(!waits));
                Window { cell, waits, ends: !probe.until.is_empty() }
            });
            let limited = probe.filters.iter().any(|filter| matches!(filter, Filter::Limit(_)));
            let state = ProbeState {
                name: probe.name.clone(),
                place: sources.file_line(probe.head),
                hits: self.new_cell(),
                enabled: !probe.disabled,
                exhausted: false,
                removed: false,
                unused: None,
                window,
                held_back: limited.then_some(0),
                prints: if matches!(probe.event, Event::End) { walk::printed_scalars(&probe.body) } else { Vec::new() },
            };
            self.probes.push(state);
        }
    }

    // ---- for changes while the guest runs

    /// Adds the probes and globals that `program` has more.
    pub(super) fn extend(&mut self, program: &Program, sources: &Sources) {
        self.states.extend(&program.states);
        self.add_probes(program, sources);
    }

    /// Arms or disarms a probe.
    pub(super) fn set_enabled(&mut self, probe: ProbeId, on: bool) {
        let state = &mut self.probes[probe.0 as usize];
        if std::mem::replace(&mut state.enabled, on) != on && !state.exhausted {
            self.note_change(probe);
        }
    }

    /// Takes a probe out of the run. Its places are in [`ProbeRuntime::take_changes`].
    pub(super) fn remove(&mut self, probe: ProbeId) {
        self.set_enabled(probe, false);
        self.probes[probe.0 as usize].removed = true;
        self.traces.retain(|trace| trace.probe != probe);
        self.lasting.remove(probe);
    }

    /// Notes that code with this probe is to be made anew.
    pub(super) fn note_change(&mut self, probe: ProbeId) {
        if !self.changes.contains(&probe) {
            self.changes.push(probe);
        }
    }

    /// Gives back what a removed probe had, once no code is left that knows it.
    pub(super) fn spare(&mut self, sites: Vec<u32>, cells: Vec<u32>) {
        for site in &sites {
            self.asserts.remove(site);
            self.regexes.remove(site);
            self.thread_hits.retain(|(_, action), _| action != site);
            self.limits.forget(*site);
        }
        self.spare_sites.extend(sites);
        self.spare_cells.borrow_mut().extend(cells);
    }

    /// Forgets a removed probe if it is the last one and nothing is left to say of it. False if it is not.
    pub(super) fn forget_last(&mut self) -> bool {
        let Some(id) = self.probes.len().checked_sub(1) else { return false };
        let gone = self.probes[id].removed && !self.errors.iter().any(|error| error.probe.0 as usize == id);
        if gone && let Some(state) = self.probes.pop() {
            self.spare_cells.borrow_mut().extend(state.unused);
            self.spare_cells.borrow_mut().extend(state.window.map(|window| window.cell));
        }
        gone
    }

    /// How a probe stands, in a word, and how often it has fired; none if it has been removed.
    pub(super) fn standing(&self, probe: ProbeId) -> Option<(&'static str, u64)> {
        let state = self.probes.get(probe.0 as usize).filter(|state| !state.removed)?;
        let word = match (state.exhausted, state.enabled, state.is_open()) {
            (true, ..) => "exhausted",
            (false, false, _) => "disabled",
            (false, true, true) => "enabled",
            (false, true, false) => "not armed",
        };
        Some((word, self.cells.get(state.hits)))
    }

    /// Returns a global as text.
    pub(super) fn state_text(&self, state: StateId, json: bool, symbols: &dyn Symbols) -> String {
        let sink = Arc::new(Mutex::new(Vec::new()));
        let style = Style { json, ..self.output.style() };
        let mut output = Output::new(Box::new(Sink(sink.clone())), "memory", style);
        output::print_state(&mut output, &self.states, state, "", None, symbols);
        drop(output);
        String::from_utf8_lossy(&lock(&sink)).into_owned()
    }

    // ---- for the lowering

    /// Adds an action and returns its number, which [`ActionCall::action`] names.
    pub fn push(&mut self, site: ActionSite) -> u32 {
        let site = Some(Box::new(site));
        if let Some(spare) = self.spare_sites.pop() {
            self.sites[spare as usize] = site;
            return spare;
        }
        self.sites.push(site);
        (self.sites.len() - 1) as u32
    }

    /// Returns the handle of a text that lives for the whole run. The same text has the same handle; the empty text
    /// has handle 0.
    pub fn intern(&mut self, text: &str) -> u64 {
        self.texts.intern(text)
    }

    /// Returns the cells, for generated code and for counters of the lowering's own.
    pub fn cells(&self) -> &Arc<Cells> {
        &self.cells
    }

    /// Returns the cell that counts the firings of a probe: the lowering increments it, `hits` reads it, and so does
    /// the report.
    pub fn hits_cell(&self, probe: ProbeId) -> u32 {
        self.probes[probe.0 as usize].hits
    }

    /// Makes `cell` count the firings of a probe from now on.
    pub fn set_hits_cell(&mut self, probe: ProbeId, cell: u32) {
        let state = &mut self.probes[probe.0 as usize];
        let former = std::mem::replace(&mut state.hits, cell);
        state.unused.get_or_insert(former);
    }

    /// Returns a cell that holds 0 and nobody else uses.
    pub fn new_cell(&self) -> u32 {
        if let Some(cell) = self.spare_cells.borrow_mut().pop() {
            self.cells.set(cell, 0);
            return cell;
        }
        self.cells.allocate().expect("a run has far fewer counters than cells")
    }

    /// Returns a cell that counts applications of a patch of `what`, for the report.
    pub fn patch_cell(&mut self, what: &str) -> u32 {
        let cell = self.new_cell();
        self.patches.cells.push((cell, what.to_owned()));
        cell
    }

    /// Returns the text of a handle.
    pub fn text(&self, handle: u64) -> &[u8] {
        self.texts.get(handle).bytes
    }

    /// Returns the globals.
    pub fn states(&self) -> &States {
        &self.states
    }

    /// Returns the globals, for [`States::cell_for`].
    pub fn states_mut(&mut self) -> &mut States {
        &mut self.states
    }

    // ---- for the execution loop

    /// True if a probe is to be in translated code: enabled, and not after its last possible hit. A trace that it has
    /// begun keeps it there until the traced instruction has completed.
    pub fn is_active(&self, probe: ProbeId) -> bool {
        let state = &self.probes[probe.0 as usize];
        let traces = || self.traces.iter().any(|trace| trace.probe == probe);
        state.enabled && state.is_open() && (!state.exhausted || traces())
    }

    /// True if the probe is active, or is once its window opens.
    pub(super) fn may_become_active(&self, probe: ProbeId) -> bool {
        self.is_active(probe) || (self.probes[probe.0 as usize].enabled && self.awaited(probe) == Some(Awaited::Since))
    }

    /// What the probe's window waits for.
    pub(super) fn awaited(&self, probe: ProbeId) -> Option<Awaited> {
        let state = &self.probes[probe.0 as usize];
        match state.window.filter(|_| !state.removed && !state.exhausted)? {
            Window { waits: true, .. } => Some(Awaited::Since),
            Window { ends: true, .. } => Some(Awaited::Until),
            Window { .. } => None,
        }
    }

    /// The cell that holds 1 while the probe's window is open.
    pub(super) fn window_cell(&self, probe: ProbeId) -> Option<u32> {
        Some(self.probes[probe.0 as usize].window?.cell)
    }

    /// The probe's window opens.
    pub(super) fn open(&mut self, probe: ProbeId) {
        if let Some(window) = &mut self.probes[probe.0 as usize].window {
            window.waits = false;
            self.cells.set(window.cell, 1);
        }
        self.note_change(probe);
    }

    /// The probe's window closes, for good.
    pub(super) fn close(&mut self, probe: ProbeId) {
        let state = &mut self.probes[probe.0 as usize];
        state.exhausted = true;
        if let Some(window) = state.window {
            self.cells.set(window.cell, 0);
        }
        self.note_change(probe);
    }

    /// Returns, and forgets, the probes that have become active or inactive.
    pub fn take_changes(&mut self) -> Vec<ProbeId> {
        std::mem::take(&mut self.changes)
    }

    /// Forgets what belongs to a thread that is over.
    pub fn end_thread(&mut self, thread: u64) {
        self.texts.end_thread(thread);
        self.traces.retain(|trace| trace.thread != thread);
        self.states.end_thread(thread);
        self.loops.clear(thread);
        self.thread_hits.retain(|(other, _), _| *other != thread);
        self.limits.end_thread(thread);
        self.lasting.end_thread(thread);
        self.happenings.retain(|(other, _)| *other != thread);
    }

    /// A thread has executed so many instructions.
    pub(super) fn note_count(&mut self, thread: u64, icount: u64) {
        self.counts.threads.insert(thread, icount);
    }

    /// A thread makes no more instructions.
    pub(super) fn end_count(&mut self, thread: u64, icount: u64) {
        self.counts.threads.remove(&thread);
        self.counts.ended += icount;
    }

    /// In a forked child: what belonged to the thread `parent` belongs to `child`, and other threads are not there.
    pub(super) fn forked(&mut self, parent: u64, child: u64) {
        self.texts.clear();
        self.happenings.clear();
        self.finished.clear();
        self.traces.retain(|trace| trace.thread == parent);
        self.traces.iter_mut().for_each(|trace| trace.thread = child);
        self.states.forked(parent, child);
        let hits = self.thread_hits.drain().filter(|((thread, _), _)| *thread == parent);
        self.thread_hits = hits.map(|((_, action), count)| ((child, action), count)).collect();
        self.limits.forked(parent, child);
        // Its parent writes what was there to be written.
        self.cells.records().forget();
        self.output.forget();
        // The child's first thread goes on counting from its parent's count.
        self.counts = Counts::default();
    }

    /// The signal that an action raises.
    pub fn raised(&self, action: u32) -> Option<u8> {
        match self.sites[action as usize].as_ref()?.action {
            Action::Raise(signal) => Some(signal),
            _ => None,
        }
    }

    /// The instruction count at which the thread is to be looked at; see [`ProbeRuntime::look`].
    pub fn next_look(&self, thread: u64, icount: u64) -> u64 {
        self.lasting.next_look(thread, icount)
    }

    /// Between two instructions of a thread: takes patches back that are over, and prints the instruction that has just
    /// been executed if the thread is traced. True if it still is.
    pub fn look(&mut self, cpu: &mut CpuState, guest: &Guest<'_>) -> bool {
        self.catch_up(guest);
        let (thread, icount) = (guest.thread_id, cpu.icount);
        let now = (icount, (guest.ticks)(icount));
        self.lasting.take_back(thread, now, cpu, guest.memory);
        if guest.memory.has_written_code() {
            cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        }
        let Some((executed, goes_on)) = self.lasting.traced(thread, now) else { return false };
        if let Some(before) = executed {
            self.trace_line(&before, Some(cpu), guest);
        }
        if goes_on {
            self.keep_traced(cpu, guest);
        }
        goes_on
    }

    /// A thread that is traced goes on elsewhere than where it was looked at. `begun`: an instruction did not complete.
    pub fn look_away(&mut self, begun: bool, cpu: &CpuState, guest: &Guest<'_>) {
        self.catch_up(guest);
        let now = (cpu.icount, (guest.ticks)(cpu.icount));
        if let Some((Some(before), _)) = self.lasting.traced(guest.thread_id, now)
            && begun
        {
            self.trace_line(&before, None, guest);
        }
        self.keep_traced(cpu, guest);
    }

    fn keep_traced(&mut self, cpu: &CpuState, guest: &Guest<'_>) {
        let thread = guest.thread_id;
        let Some(probe) = self.lasting.tracer(thread) else { return };
        let shown = self.shown.take().unwrap_or_else(|| shown_registers(guest.isa));
        let values = shown.iter().map(|register| read_register(cpu, guest.isa, register)).collect();
        self.shown = Some(shown);
        self.lasting.keep(thread, Snapshot { probe, thread, pc: cpu.pc, icount: cpu.icount, values });
    }

    /// The cell that is not 0 while something waits for a hit or a place.
    pub(super) fn waiting_cell(&mut self) -> u32 {
        self.lasting.waiting_cell().unwrap_or_else(|| {
            let cell = self.new_cell();
            self.lasting.count_waiting_in(cell);
            cell
        })
    }

    /// What the instruction at `pc` is executed as, if a probe has said so. It is forgotten then.
    pub fn take_replaced(&mut self, thread: u64, pc: u64, icount: u64) -> Option<u32> {
        self.lasting.take_replaced(thread, pc, icount)
    }

    /// Returns what the run is to end with.
    pub fn end_request(&self) -> Option<&ExitRequest> {
        self.end.as_ref()
    }

    /// Returns the status of a run that would end with `status`: that of the first `exit` or `fail`, and 1 instead of
    /// 0 after a failed `assert`.
    pub fn final_status(&self, status: u8) -> u8 {
        match self.end.as_ref().map_or(status, |end| end.status) {
            0 if !self.asserts.is_empty() => 1,
            status => status,
        }
    }

    /// Drops the texts of the last firing. Needed only where two firings of a probe follow each other at the same
    /// `pc` and instruction count; else [`ProbeRuntime::perform`] notices by itself.
    pub fn begin_firing(&mut self) {
        self.texts.begin_firing();
    }

    /// Writes out all that has been printed: to be called before the guest may write to the same terminal.
    pub fn flush(&mut self, view: &View<'_>) {
        self.write_records(view, u64::MAX);
        self.output.flush();
        self.note_output_failure();
    }

    /// Writes at most so many of the records that threads have left. Returns how many there were.
    pub fn write_records(&mut self, view: &View<'_>, most: u64) -> u64 {
        if self.cells.records().is_empty() {
            return 0;
        }
        let cells = self.cells.clone();
        let written = cells.records().read(most, |action, args| self.write_record(action, args, view));
        self.note_output_failure();
        written
    }

    fn write_record(&mut self, action: u32, args: &[u64], view: &View<'_>) {
        let Some(site) = self.sites[action as usize].take() else {
            unreachable!("records are written before an action is performed");
        };
        let mut args = Args { slots: args, at: 0 };
        match &site.action {
            Action::Print(parts) => self.print(site.probe, parts, &mut args, view.symbols),
            Action::PrintText(parts) => self.print_text(site.probe, parts, &mut args, view),
            other => unreachable!("nothing else is recorded: {other:?}"),
        }
        self.sites[action as usize] = Some(site);
    }

    /// Writes what has been printed before something else is.
    fn catch_up(&mut self, guest: &Guest<'_>) {
        self.write_records(&guest.view(), u64::MAX);
    }

    fn note_output_failure(&mut self) {
        if let Some(failure) = self.output.failure()
            && self.end.is_none()
        {
            let reason = ExitReason::Output(failure.to_string());
            self.end = Some(ExitRequest { status: 1, reason });
        }
    }

    /// Performs an action; the arguments are in `cpu.x[call.args..]`. Returns its result.
    pub fn perform(&mut self, call: ActionCall, cpu: &mut CpuState, guest: &Guest<'_>) -> u64 {
        if !self.cells.records().is_empty()
            && let Some(action) = self.sites[call.action as usize].as_ref().map(|site| &site.action)
            && !action.is_silent()
        {
            if action.may_be_recorded() {
                // There was no room for it.
                self.cells.records().call();
            }
            self.catch_up(guest);
        }
        let Some(site) = self.sites[call.action as usize].take() else {
            unreachable!("no action performs actions");
        };
        let result = self.perform_at(&site, call, cpu, guest);
        self.sites[call.action as usize] = Some(site);
        result
    }

    fn perform_at(&mut self, site: &ActionSite, call: ActionCall, cpu: &mut CpuState, guest: &Guest<'_>) -> u64 {
        if self.texts.firing_of(guest.thread_id, (site.probe, call.pc, call.icount)) {
            self.loops.clear(guest.thread_id);
            self.lasting.abandon(guest.thread_id);
        }
        if let Action::LastingHit = site.action {
            self.lasting.step(guest.thread_id, Step::Hit(site.probe), cpu, guest.memory);
            return 0;
        }
        if let Action::Stick { big_endian, lasts } = &site.action {
            return self.stick(site, call, (*big_endian, lasts.as_ref()), cpu, guest).into();
        }
        let args = &cpu.x[usize::from(call.args)..][..usize::from(call.n)];
        let mut fire = Firing { call, site, guest, args: Args { slots: args, at: 0 }, poll: 0 };
        let result = self.dispatch(&mut fire, cpu);
        self.note_output_failure();
        // A flush between actions may have failed as well, and nobody has told the thread.
        let stop = if self.end.is_some() { poll::STOP } else { 0 };
        cpu.poll.fetch_or(fire.poll | stop, Ordering::Relaxed);
        result
    }

    fn dispatch(&mut self, fire: &mut Firing<'_>, cpu: &CpuState) -> u64 {
        let thread = fire.guest.thread_id;
        match &fire.site.action {
            Action::Interpolate(parts) => self.interpolate(fire, parts),
            Action::GuestText => self.guest_text(fire),
            Action::GuestBytes => self.guest_bytes(fire),
            Action::TextEquals => {
                let (a, b) = (fire.args.word(), fire.args.word());
                u64::from(self.texts.get(a).bytes == self.texts.get(b).bytes)
            }
            Action::TextMatchesGlob(pattern) => {
                u64::from(glob::matches_bytes(pattern.as_bytes(), self.texts.get(fire.args.word()).bytes))
            }
            Action::TextMatchesRegex(pattern) => self.matches_regex(fire, pattern),

            Action::EnumName(names) => {
                let value = fire.args.word();
                self.enum_name(value, names)
            }
            Action::Call(func) => self.call(fire, *func),
            Action::Float(op) => float(*op, fire.args.word(), fire.args.word()),
            Action::Now => (fire.guest.ticks)(fire.call.icount),
            Action::SkipOver => {
                let (from, count) = (fire.args.word(), fire.args.word());
                fire.guest.behind(from, count)
            }
            Action::IcountAll => self.counts.all(fire.guest.thread_id, fire.call.icount),
            Action::ThreadId => fire.guest.thread_id,
            Action::ProcessId => fire.guest.process_id,
            Action::Fact(fact) => self.fact(fire, *fact),

            Action::StateGet(state) => self.state_get(fire, *state),
            Action::StateSet(state, op) => self.state_set(fire, *state, *op),
            Action::StateHas(state) => {
                let key = self.key(fire, *state);
                u64::from(self.states.has(*state, &key))
            }
            Action::StateDelete(state) => {
                let key = self.key(fire, *state);
                self.states.delete(*state, &key);
                0
            }
            Action::StateReset(list) => {
                list.iter().for_each(|state| self.states.reset(*state));
                0
            }
            Action::Aggregate(state, function) => self.aggregate(fire, *state, *function),

            Action::LoopBegin(state) => self.loops.begin(thread, self.states.rows(*state)),
            Action::LoopNext => u64::from(self.loops.advance(thread, fire.args.word())),
            Action::LoopKey => match self.loops.key(thread, fire.args.word()) {
                Some(KeyPart::Text(text)) => self.texts.add(text.into_vec(), true),
                Some(KeyPart::Int(n)) => n,
                Some(KeyPart::Wide(n)) => n as u64,
                None => 0,
            },
            Action::LoopValue => self.loops.value(thread, fire.args.word()).map_or(0, |value| self.in_slot(value)),

            Action::Print(parts) => {
                self.print(fire.site.probe, parts, &mut fire.args, fire.guest.symbols);
                0
            }
            Action::PrintText(parts) => {
                self.print_text(fire.site.probe, parts, &mut fire.args, &fire.guest.view());
                0
            }
            Action::Dump => self.dump(fire),
            Action::Warn => self.warn(fire),
            Action::TraceBegin => self.trace_begin(fire, cpu),
            Action::TraceEnd => self.trace_end(fire, cpu),
            Action::TraceEvent(word) => self.trace_event(fire, word),
            Action::TraceAccess { is_write } => self.trace_access(fire, *is_write),
            Action::TraceHappening => self.trace_happening(fire),
            Action::TraceBranch => self.trace_branch(fire),
            Action::TraceCall { returned } => self.trace_call(fire, *returned),

            Action::AssertFailed { text, message } => self.assert_failed(fire, text, *message),
            Action::Fail => self.fail(fire),
            Action::Exit => self.exit(fire),

            Action::ThreadHit => {
                let count = self.thread_hits.entry((thread, fire.call.action)).or_default();
                *count += 1;
                *count
            }
            Action::Limit(spec) => {
                let (icount, now) = (fire.call.icount, (fire.guest.ticks)(fire.call.icount));
                let passes = self.limits.pass(fire.call.action, spec, thread, icount, now);
                if !passes && let Some(held_back) = &mut self.probes[fire.site.probe.0 as usize].held_back {
                    *held_back += 1;
                }
                passes.into()
            }
            Action::Enable(list) => self.switch(fire, list, true),
            Action::Disable(list) => self.switch(fire, list, false),
            Action::Exhausted => {
                let probe = &mut self.probes[fire.site.probe.0 as usize];
                if !std::mem::replace(&mut probe.exhausted, true) {
                    self.changed(fire, fire.site.probe);
                }
                0
            }

            Action::MemoryWrite { bytes, big_endian } => self.memory_write(fire, *bytes, *big_endian),
            Action::LastingBegin => {
                self.lasting.begin(thread, Changed::of(fire.args.word()), cpu, fire.guest.memory);
                0
            }
            Action::LastingEnd(lasts) => {
                let made = self.lasting.end(thread, fire.site.probe, (lasts, fire.now()), cpu, fire.guest.memory);
                if made && !matches!(lasts, Lasting::Hits(_) | Lasting::Until(_)) {
                    // The thread is asked to look at when that is over.
                    fire.poll |= poll::CODE;
                }
                0
            }
            Action::HoldInsn(lasts) => {
                self.lasting.hold(thread, fire.site.probe, fire.call.pc, (lasts, fire.now()));
                fire.poll |= poll::CODE;
                0
            }
            // See `perform`.
            Action::LastingHit | Action::Stick { .. } => 0,
            Action::TraceFor(lasts) => {
                self.lasting.trace(thread, fire.site.probe, lasts, fire.now());
                fire.poll |= poll::CODE;
                0
            }
            Action::ReplaceInsn => {
                self.lasting.replace(thread, fire.call.pc, fire.call.icount, fire.args.word() as u32);
                fire.poll |= poll::INSN;
                0
            }
            Action::InsnNow => {
                let fetched = fire.args.word();
                self.lasting.replaced(thread, fire.call.pc, fire.call.icount).map_or(fetched, u64::from)
            }
            Action::Stack(most) => {
                let walker = self.walker.get_or_insert_with(|| Walker::new(fire.guest.isa));
                let frames = walker.walk(fire.args.word(), *most, cpu, *fire.guest);
                self.texts.add(frames, false)
            }
            Action::Caller => {
                let walker = self.walker.get_or_insert_with(|| Walker::new(fire.guest.isa));
                stack::caller(&walker.walk(fire.args.word(), 2, cpu, *fire.guest))
            }
            Action::Patched(what) => self.patched(fire, what),
            Action::BadMemory { read } => {
                let addr = fire.args.word();
                let help = read.then(|| "to give a value instead: `… ?? 0`".to_string());
                self.bad_memory(fire, addr, *read, help)
            }
            Action::NoValue => self.error(fire, "R0607", String::new()),
            Action::DivisionByZero => self.error(fire, "R0602", String::new()),
            Action::SyscallArguments => {
                let text = syscalls::arguments(&Call::of(fire.args.slots), fire.guest.memory);
                self.texts.add(text.into_bytes(), false)
            }
            Action::TraceSyscall => self.trace_syscall(fire),
            Action::Raise(_) => {
                fire.poll |= poll::SIGNAL;
                0
            }
            Action::FinishSyscall => self.finish_syscall(fire),
            Action::SecondRedirect => self.error(fire, "R0604", String::new()),
            Action::Atomic => self.error(fire, "R0608", String::new()),
        }
    }

    // ---- text

    /// The next argument as a value of type `ty`.
    fn value(&self, args: &mut Args<'_>, ty: Type) -> Value<'_> {
        match ty {
            Type::U128 => Value::Wide(args.wide()),
            ty if ty.is_text() => Value::Text(self.texts.get(args.word())),
            _ => Value::Word(args.word()),
        }
    }

    fn interpolate(&mut self, fire: &mut Firing<'_>, parts: &[TextPart]) -> u64 {
        let mut out = self.texts.spare();
        self.join(parts, &mut fire.args, &fire.guest.view(), &mut out);
        self.texts.add(out.into_bytes(), false)
    }

    /// Appends the parts of a text.
    fn join(&self, parts: &[TextPart], args: &mut Args<'_>, view: &View<'_>, out: &mut String) {
        for part in parts {
            match part {
                TextPart::Text(text) => out.push_str(text),
                TextPart::Value(ty, how) => {
                    let value = self.value(args, *ty);
                    format::show_with(out, value, *ty, how, view);
                }
            }
        }
    }

    fn guest_text(&mut self, fire: &mut Firing<'_>) -> u64 {
        let (addr, max) = (fire.args.word(), fire.args.word());
        let most = self.limited(fire, max, MOST_READ);
        match fire.guest.memory.read_c_string(addr, most as usize) {
            Ok((mut bytes, ended)) => {
                if !ended {
                    bytes.extend_from_slice(self.output.glyph("…", "...").as_bytes());
                }
                self.texts.add(bytes, true)
            }
            Err(_) => TextHandle::BAD.0,
        }
    }

    fn guest_bytes(&mut self, fire: &mut Firing<'_>) -> u64 {
        let (addr, len) = (fire.args.word(), fire.args.word());
        let len = self.limited(fire, len, MOST_READ);
        match fire.guest.memory.read_vec(addr, len) {
            Ok(bytes) => self.texts.add(bytes, true),
            Err(_) => TextHandle::BAD.0,
        }
    }

    fn limited(&mut self, fire: &Firing<'_>, wanted: u64, most: u64) -> u64 {
        if wanted > most {
            let detail = format!("{} bytes were wanted, {} is the most", grouped(wanted), grouped(most));
            self.error(fire, "R0606", detail);
        }
        wanted.min(most)
    }

    fn matches_regex(&mut self, fire: &mut Firing<'_>, pattern: &Pattern) -> u64 {
        let text = self.texts.get(fire.args.word());
        let regex = self.regexes.entry(fire.call.action).or_insert_with(|| compile(pattern));
        u64::from(regex.as_ref().is_some_and(|regex| regex.is_match(text.bytes)))
    }

    fn shown_text(&self, handle: u64) -> String {
        let mut out = String::new();
        format::show_text(&mut out, self.texts.get(handle));
        out
    }

    // ---- values

    fn call(&mut self, fire: &mut Firing<'_>, func: Func) -> u64 {
        let (first, second) = (fire.args.peek(0), fire.args.peek(1));
        let guest = fire.guest;
        let text = match func {
            Func::Hex => format!("{first:#x}"),
            Func::Sym => address_text(first, guest.symbols),
            Func::Disas => match fetch(guest, first) {
                Some((bits, _)) => guest.isa.disassemble(bits, first),
                None => "<unreadable>".to_string(),
            },
            Func::Line => line_text(first, guest.symbols),
            Func::Errno => format::errno_name(first as i64),
            Func::SyscallName => (guest.syscall_name)(first).map_or(first.to_string(), str::to_string),
            Func::Len => return self.texts.get(first).bytes.len() as u64,
            Func::Readable => return u64::from(guest.memory.check(first, second, crate::mem::Access::Read).is_ok()),
            Func::Rand if first == 0 => return self.error(fire, "R0605", String::new()),
            Func::Rand => return self.random.below(first),
            Func::Stack
            | Func::Str
            | Func::Bytes
            | Func::AbsInt
            | Func::AbsFloat
            | Func::MinU
            | Func::MinS
            | Func::MaxU => return 0,
            Func::MaxS | Func::Popcount | Func::Bswap | Func::Bit | Func::Bits | Func::Sext | Func::Has => return 0,
        };
        self.texts.add(text.into_bytes(), false)
    }

    // ---- globals

    fn key(&self, fire: &mut Firing<'_>, state: StateId) -> Vec<KeyPart> {
        let types = &self.states.def(state).keys;
        let part = |ty: &Type| match self.value(&mut fire.args, *ty) {
            Value::Word(n) => KeyPart::Int(n),
            Value::Wide(n) => KeyPart::Wide(n),
            Value::Text(text) => KeyPart::Text(text.bytes.into()),
        };
        types.iter().map(part).collect()
    }

    fn stored(&self, fire: &mut Firing<'_>, ty: Type) -> Stored {
        match self.value(&mut fire.args, ty) {
            Value::Word(n) => Stored::Int(n),
            Value::Wide(n) => Stored::Wide(n),
            Value::Text(text) => Stored::Text(text.bytes.into()),
        }
    }

    fn state_get(&mut self, fire: &mut Firing<'_>, state: StateId) -> u64 {
        let key = self.key(fire, state);
        self.states.get(state, &key).map_or(0, |value| self.in_slot(value))
    }

    fn in_slot(&mut self, value: Stored) -> u64 {
        match value {
            Stored::Int(n) => n,
            Stored::Wide(n) => n as u64,
            Stored::Text(text) => self.texts.add(text.into_vec(), true),
        }
    }

    fn state_set(&mut self, fire: &mut Firing<'_>, state: StateId, op: AssignOp) -> u64 {
        let StateKind::Value { ty, .. } = self.states.def(state).kind else { return 0 };
        let key = self.key(fire, state);
        let value = self.stored(fire, ty);
        let done = self.states.set(state, &key, op, value);
        self.note_full(fire, state, done)
    }

    fn aggregate(&mut self, fire: &mut Firing<'_>, state: StateId, function: AggFn) -> u64 {
        let key = self.key(fire, state);
        let value = match function {
            AggFn::Count => Stored::Int(0),
            AggFn::Last(ty) => self.stored(fire, ty),
            _ => Stored::Int(fire.args.word()),
        };
        let done = self.states.aggregate(state, &key, value);
        self.note_full(fire, state, done)
    }

    fn note_full(&mut self, fire: &Firing<'_>, state: StateId, done: Result<(), Full>) -> u64 {
        if done == Err(Full) {
            let def = self.states.def(state);
            let detail = format!("`{}` holds {} keys, its capacity", def.name, grouped(def.capacity));
            let help = format!("for more room: `let {} max {}`", def.name, def.capacity.saturating_mul(2));
            self.error_with(fire, "R0603", detail, Some(help));
        }
        0
    }

    // ---- output

    fn probe_name(&self, probe: ProbeId) -> &str {
        &self.probes[probe.0 as usize].name
    }

    fn record(&self, kind: &str, probe: ProbeId) -> Json {
        Json::new(kind).str("probe", self.probe_name(probe))
    }

    fn print(&mut self, probe: ProbeId, parts: &[PrintPart], args: &mut Args<'_>, symbols: &dyn Symbols) {
        let mut fields = match self.output.style().json {
            true => Fields::record(self.record("print", probe)),
            false => Fields::line(std::mem::take(&mut self.line)),
        };
        let mut tables = Vec::new();
        for part in parts {
            match part {
                PrintPart::Value { name, ty } => {
                    let value = self.value(args, *ty);
                    fields.value(name, value, *ty, symbols);
                }
                PrintPart::State { name, state, top } => {
                    self.states.mark_printed(*state);
                    match output::inline_scalar(&self.states, *state, symbols) {
                        Some((text, value)) => {
                            let name = if name.is_empty() { &self.states.def(*state).name } else { name };
                            fields.scalar(name, &text, &value);
                        }
                        None => tables.push((name, *state, *top)),
                    }
                }
            }
        }
        self.line = self.output.fields(fields);
        for (name, state, top) in tables {
            output::print_state(&mut self.output, &self.states, state, name, top, symbols);
        }
    }

    /// As [`ProbeRuntime::print`] of the text that [`ProbeRuntime::interpolate`] makes.
    fn print_text(&mut self, probe: ProbeId, parts: &[TextPart], args: &mut Args<'_>, view: &View<'_>) {
        let mut text = std::mem::take(&mut self.line);
        text.clear();
        self.join(parts, args, view, &mut text);
        match self.output.style().json {
            true => self.output.record(self.record("print", probe).str("msg", &text)),
            false => self.output.line(&text),
        }
        self.line = text;
    }

    fn dump(&mut self, fire: &mut Firing<'_>) -> u64 {
        let (addr, len) = (fire.args.word(), fire.args.word());
        let len = self.limited(fire, len, MOST_DUMPED);
        let bytes = match fire.guest.memory.read_vec(addr, len) {
            Ok(bytes) => bytes,
            Err(Fault { addr, .. }) => return self.bad_memory(fire, addr, true, None),
        };
        if self.output.style().json {
            let mut text = String::new();
            format::hex_pairs(&mut text, &bytes);
            let record = self.record("print", fire.site.probe).int("addr", addr).str("bytes", &text);
            self.output.record(record);
            return 0;
        }
        for (n, row) in bytes.chunks(16).enumerate() {
            self.output.line(&dump_row(addr.wrapping_add(16 * n as u64), row));
        }
        0
    }

    fn warn(&mut self, fire: &mut Firing<'_>) -> u64 {
        let text = self.shown_text(fire.args.word());
        if self.output.style().json {
            let record = self.context(fire).add_to(self.record("warn", fire.site.probe).str("msg", &text));
            self.output.record(record);
        } else {
            let line = format!("{}: warning: {text}", self.probe_name(fire.site.probe));
            self.output.line(&line);
        }
        0
    }

    fn context(&self, fire: &Firing<'_>) -> Context {
        let pc = fire.call.pc;
        Context { pc, at: address_text(pc, fire.guest.symbols), icount: fire.call.icount, thread: fire.guest.thread_id }
    }

    // ---- traces

    fn trace_begin(&mut self, fire: &Firing<'_>, cpu: &CpuState) -> u64 {
        let shown = self.shown.take().unwrap_or_else(|| shown_registers(fire.guest.isa));
        let values = shown.iter().map(|register| read_register(cpu, fire.guest.isa, register)).collect();
        self.shown = Some(shown);
        let call = fire.call;
        let snapshot =
            Snapshot { probe: fire.site.probe, thread: fire.guest.thread_id, pc: call.pc, icount: call.icount, values };
        match self.traces.iter().position(|old| old.probe == snapshot.probe && old.thread == snapshot.thread) {
            // The one before has not come to its end: a fault, a `skip`, a system call that did not return. If it is
            // the same execution once more, it is simply replaced.
            Some(index) => {
                let old = std::mem::replace(&mut self.traces[index], snapshot);
                if (old.pc, old.icount) != (call.pc, call.icount) {
                    self.trace_line(&old, None, fire.guest);
                }
            }
            None => self.traces.push(snapshot),
        }
        0
    }

    fn trace_end(&mut self, fire: &mut Firing<'_>, cpu: &CpuState) -> u64 {
        let mine = |old: &Snapshot| old.probe == fire.site.probe && old.thread == fire.guest.thread_id;
        if let Some(index) = self.traces.iter().position(mine) {
            let snapshot = self.traces.swap_remove(index);
            let same = snapshot.pc == fire.call.pc;
            self.trace_line(&snapshot, same.then_some(cpu), fire.guest);
            if self.probes[fire.site.probe.0 as usize].exhausted {
                self.changed(fire, fire.site.probe);
            }
        }
        0
    }

    /// Prints an instruction; without `after` it was begun and did not complete.
    fn trace_line(&mut self, before: &Snapshot, after: Option<&CpuState>, guest: &Guest<'_>) {
        let text = match fetch(guest, before.pc) {
            Some((bits, _)) => guest.isa.disassemble(bits, before.pc),
            None => "<unreadable>".to_string(),
        };
        let shown = self.shown.as_deref().unwrap_or_default();
        let changed = |(register, old): (&Register, &u128)| {
            let new = read_register(after?, guest.isa, register);
            (new != *old).then(|| (register.clone(), *old, new))
        };
        let changes: Vec<_> = shown.iter().zip(&before.values).filter_map(changed).collect();
        let at = address_text(before.pc, guest.symbols);
        if self.output.style().json {
            let record = self.record("trace", before.probe).int("pc", before.pc).str("at", &at);
            let record = record.int("icount", before.icount).int("thread", before.thread).str("insn", &text);
            let json = |value: u128| match u64::try_from(value) {
                Ok(value) => value.to_string(),
                Err(_) => output::quoted(&format!("{value:#x}")),
            };
            let change = |object: Json, (register, old, new): &(Register, u128, u128)| {
                object.raw(&register.name, &format!("[{},{}]", json(*old), json(*new)))
            };
            let record = record.raw("changes", &changes.iter().fold(Json::part(), change).finish());
            let record = if after.is_some() { record } else { record.raw("completed", "false") };
            self.output.record(record);
            return;
        }
        let arrow = self.output.glyph("→", "->");
        let mut line = format!("{at:<20}  {text:<30}");
        for (n, (register, old, new)) in changes.iter().enumerate() {
            let gap = if n == 0 { "    " } else { "  " };
            let (old, new) = (register_text(register, *old), register_text(register, *new));
            put(&mut line, format_args!("{gap}{}: {old} {arrow} {new}", register.name));
        }
        if after.is_none() {
            line.push_str("    (did not complete)");
        }
        self.output.line(line.trim_end());
    }

    fn trace_event(&mut self, fire: &Firing<'_>, word: &str) -> u64 {
        let context = self.context(fire);
        if self.output.style().json {
            let record = context.add_to(self.record("trace", fire.site.probe).str("event", word));
            self.output.record(record);
        } else if matches!(word, "begin" | "end" | "exit") {
            self.output.line(word);
        } else {
            self.output.line(&format!("{:<20}  {word}", context.at));
        }
        0
    }

    fn trace_access(&mut self, fire: &mut Firing<'_>, is_write: bool) -> u64 {
        let (addr, size, value) = (fire.args.word(), fire.args.word(), fire.args.word());
        let old = is_write.then(|| fire.args.word());
        let context = self.context(fire);
        if self.output.style().json {
            let record = self.record("trace", fire.site.probe).str("event", if is_write { "write" } else { "read" });
            let record = record.int("addr", addr).int("size", size);
            let record = match old {
                Some(old) => record.int("old", old),
                None => record,
            };
            self.output.record(context.add_to(record.int("value", value)));
            return 0;
        }
        let mut line = format!("{} {addr:#x} {size}", if is_write { 'W' } else { 'R' });
        if let Some(old) = old {
            put(&mut line, format_args!(" {old:#x} {}", self.output.glyph("→", "->")));
        }
        put(&mut line, format_args!(" {value:#x}  {}", context.at));
        self.output.line(&line);
        0
    }

    /// What happens to a thread between instructions from now on.
    pub(super) fn happens(&mut self, thread: u64, happening: Happening) {
        match self.happenings.iter_mut().find(|(other, _)| *other == thread) {
            Some((_, old)) => *old = happening,
            None => self.happenings.push((thread, happening)),
        }
    }

    fn happening(&self, thread: u64) -> Option<&Happening> {
        self.happenings.iter().find(|(other, _)| *other == thread).map(|(_, happening)| happening)
    }

    fn fact(&mut self, fire: &Firing<'_>, fact: Fact) -> u64 {
        match self.happening(fire.guest.thread_id).and_then(|happening| happening.value(fact)).cloned() {
            Some(FactValue::Number(value, _)) => value,
            Some(FactValue::Signed(value)) => value as u64,
            Some(FactValue::Text(text)) => self.texts.add(text, true),
            None => 0,
        }
    }

    fn trace_happening(&mut self, fire: &Firing<'_>) -> u64 {
        let Some(Happening { word, facts }) = self.happening(fire.guest.thread_id).cloned() else { return 0 };
        let context = self.context(fire);
        if self.output.style().json {
            let add = |record: Json, (fact, value): &(Fact, FactValue)| match value {
                FactValue::Number(value, _) => record.int(fact.word(), *value),
                FactValue::Signed(value) => record.raw(fact.word(), &value.to_string()),
                FactValue::Text(text) => record.str(fact.word(), &String::from_utf8_lossy(text)),
            };
            let record = facts.iter().fold(self.record("trace", fire.site.probe).str("event", word), add);
            self.output.record(context.add_to(record));
            return 0;
        }
        let mut line = format!("{:<20}  {word}", context.at);
        for (fact, value) in &facts {
            match value {
                FactValue::Number(value, true) => put(&mut line, format_args!(" {}={value:#x}", fact.word())),
                FactValue::Number(value, false) => put(&mut line, format_args!(" {}={value}", fact.word())),
                FactValue::Signed(value) => put(&mut line, format_args!(" {}={value}", fact.word())),
                FactValue::Text(text) => {
                    let text = String::from_utf8_lossy(text);
                    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
                    put(&mut line, format_args!(" {}", if plain { text.into_owned() } else { output::quoted(&text) }));
                }
            }
        }
        self.output.line(&line);
        0
    }

    fn trace_branch(&mut self, fire: &mut Firing<'_>) -> u64 {
        let (target, taken) = (fire.args.word(), fire.args.word() != 0);
        let text = match fetch(fire.guest, fire.call.pc) {
            Some((bits, _)) => fire.guest.isa.disassemble(bits, fire.call.pc),
            None => "<unreadable>".to_string(),
        };
        let context = self.context(fire);
        let to = address_text(target, fire.guest.symbols);
        if self.output.style().json {
            let record = self.record("trace", fire.site.probe).str("event", "branch").str("insn", &text);
            let record = record.int("target", target).str("to", &to).raw("taken", if taken { "true" } else { "false" });
            self.output.record(context.add_to(record));
            return 0;
        }
        let arrow = self.output.glyph("→", "->");
        let note = if taken { "" } else { "  not taken" };
        self.output.line(&format!("{:<20}  {text:<30}    {arrow} {to}{note}", context.at));
        0
    }

    fn trace_call(&mut self, fire: &mut Firing<'_>, returned: bool) -> u64 {
        let [function, depth, value, elapsed] = [(); 4].map(|()| fire.args.word());
        let name = address_text(function, fire.guest.symbols);
        if self.output.style().json {
            let event = if returned { "return" } else { "call" };
            let record = self.record("trace", fire.site.probe).str("event", event).str("function", &name);
            let record = record.int("depth", depth).int(if returned { "retval" } else { "arg0" }, value);
            let record = if returned { record.int("elapsed", elapsed) } else { record };
            let record = self.context(fire).add_to(record);
            self.output.record(record);
            return 0;
        }
        // Deeper ones are not told apart: nobody reads lines that are longer.
        let indent = "  ".repeat(depth.min(40) as usize);
        let line = match returned {
            true => format!("{indent}{} {name} = {value:#x}  {} insns", self.output.glyph("←", "<-"), grouped(elapsed)),
            false => {
                let more = self.output.glyph("…", "...");
                format!("{indent}{} {name}({value:#x}, {more})", self.output.glyph("→", "->"))
            }
        };
        self.output.line(&line);
        0
    }

    fn trace_syscall(&mut self, fire: &Firing<'_>) -> u64 {
        let call = Call::of(fire.args.slots);
        let text = syscalls::line(&call, fire.guest.memory);
        if self.output.style().json {
            let record = self.record("trace", fire.site.probe).str("event", "syscall").str("call", &text);
            let record = self.context(fire).add_to(record);
            self.output.record(record);
        } else {
            self.output.line(&text);
        }
        0
    }

    /// The first `return` or `skip` counts.
    fn finish_syscall(&mut self, fire: &mut Firing<'_>) -> u64 {
        let thread = fire.guest.thread_id;
        if self.finished.iter().any(|(other, _)| *other == thread) {
            return self.error(fire, "R0604", String::new());
        }
        let result = (fire.call.n > 0).then(|| fire.args.word());
        self.finished.push((thread, result));
        1
    }

    /// Returns, and forgets, what the system call of `thread` is to be finished with.
    pub fn take_finished(&mut self, thread: u64) -> Option<Option<u64>> {
        let index = self.finished.iter().position(|(other, _)| *other == thread)?;
        Some(self.finished.swap_remove(index).1)
    }

    // ---- verdicts

    fn assert_failed(&mut self, fire: &mut Firing<'_>, text: &str, message: bool) -> u64 {
        let message = if message { self.shown_text(fire.args.word()) } else { String::new() };
        let failures = self.asserts.entry(fire.call.action).or_insert(0);
        *failures += 1;
        if *failures > ASSERTS_SHOWN {
            return 0;
        }
        let context = self.context(fire);
        if self.output.style().json {
            let record = self.record("verdict", fire.site.probe).str("verdict", "assert").str("condition", text);
            let record = if message.is_empty() { record } else { record.str("msg", &message) };
            self.output.record(context.add_to(record));
        } else {
            let colon = if message.is_empty() { "" } else { ": " };
            let name = self.probe_name(fire.site.probe);
            let line = format!("{name}: assertion failed: {text}{colon}{message} ({})", context.text());
            self.output.line(&line);
        }
        0
    }

    fn fail(&mut self, fire: &mut Firing<'_>) -> u64 {
        let text = self.shown_text(fire.args.word());
        let context = self.context(fire);
        if self.output.style().json {
            let record = self.record("verdict", fire.site.probe).str("verdict", "fail").str("msg", &text);
            self.output.record(context.add_to(record.int("status", 1)));
        } else {
            let line = format!("{}: failed: {text} ({})", self.probe_name(fire.site.probe), context.text());
            self.output.line(&line);
        }
        self.request_end(fire, ExitRequest { status: 1, reason: ExitReason::Fail(text) })
    }

    fn exit(&mut self, fire: &mut Firing<'_>) -> u64 {
        let status = fire.args.word() as u8;
        if self.output.style().json {
            let record = self.record("verdict", fire.site.probe).str("verdict", "exit").int("status", status.into());
            let record = self.context(fire).add_to(record);
            self.output.record(record);
        }
        self.request_end(fire, ExitRequest { status, reason: ExitReason::Exit })
    }

    fn request_end(&mut self, fire: &mut Firing<'_>, request: ExitRequest) -> u64 {
        self.end.get_or_insert(request);
        fire.poll |= poll::STOP;
        0
    }

    // ---- probes and patches

    fn switch(&mut self, fire: &mut Firing<'_>, list: &[ProbeId], on: bool) -> u64 {
        for id in list {
            let Some(probe) = self.probes.get_mut(id.0 as usize).filter(|probe| !probe.removed) else { continue };
            if std::mem::replace(&mut probe.enabled, on) != on && !probe.exhausted {
                self.changed(fire, *id);
            }
        }
        0
    }

    fn changed(&mut self, fire: &mut Firing<'_>, probe: ProbeId) {
        self.note_change(probe);
        fire.poll |= poll::CODE;
    }

    fn memory_write(&mut self, fire: &mut Firing<'_>, bytes: u8, big_endian: bool) -> u64 {
        let addr = fire.args.word();
        let value = if bytes == 16 { fire.args.wide() } else { u128::from(fire.args.word()) };
        let mut image = value.to_le_bytes();
        let image = &mut image[..usize::from(bytes).min(16)];
        if big_endian {
            image.reverse();
        }
        if !self.lasting.store(fire.guest.thread_id, addr, bytes.min(16), fire.guest.memory) {
            return 0;
        }
        let written = fire.guest.memory.write_forced(addr, image).is_ok();
        if fire.guest.memory.has_written_code() {
            fire.poll |= poll::CODE;
        }
        u64::from(written)
    }

    fn stick(
        &mut self,
        site: &ActionSite,
        call: ActionCall,
        (big_endian, lasts): (bool, Option<&Lasting>),
        cpu: &mut CpuState,
        guest: &Guest<'_>,
    ) -> bool {
        let mut args = Args { slots: &cpu.x[usize::from(call.args)..][..usize::from(call.n)], at: 0 };
        let (word, at, width) = (args.word(), args.word(), args.word() as u32);
        let ones = u128::MAX >> (128 - width);
        let (mask, value) = (args.wide() & ones, args.wide() & ones);
        let in_order = |bits: u128| match big_endian {
            true => bits.swap_bytes() >> (128 - width),
            false => bits,
        };
        let (place, mask, value) = match Changed::of(word) {
            None => (Changed::Memory { addr: at, bytes: (width / 8) as u8 }, in_order(mask), in_order(value)),
            Some(Changed::Flags) => (Changed::Flags, mask >> NZCV_SHIFT & 15, value >> NZCV_SHIFT & 15),
            Some(register) => (register, mask << at, value << at),
        };
        let lasts = lasts.map(|lasts| (lasts, (call.icount, (guest.ticks)(call.icount))));
        let done = self.lasting.stick(guest.thread_id, site.probe, (place, mask, value), lasts, cpu, guest.memory);
        // The thread is asked to look at when that is over, and stores of others that are under way are seen.
        cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        done
    }

    fn patched(&mut self, fire: &Firing<'_>, what: &str) -> u64 {
        if !self.patches.list.iter().any(|patch| patch.what == what) {
            let first = self.context(fire);
            self.patches.list.push(Patch { what: what.to_string(), first });
        }
        0
    }

    // ---- run-time errors

    fn enum_name(&mut self, value: u64, names: &EnumNames) -> u64 {
        let name = names.iter().find(|(number, _)| *number == value).map(|(_, name)| name.clone());
        self.texts.add(name.unwrap_or_else(|| (value as i64).to_string()).into_bytes(), false)
    }

    fn bad_memory(&mut self, fire: &Firing<'_>, addr: u64, read: bool, help: Option<String>) -> u64 {
        let mapped = fire.guest.memory.perms(addr) & perm::MAPPED != 0;
        let missing = match (mapped, read) {
            (false, _) => "unmapped",
            (true, true) => "not readable",
            (true, false) => "not writable",
        };
        self.error_with(fire, "R0601", format!("address {addr:#x}, {missing}"), help)
    }

    fn error(&mut self, fire: &Firing<'_>, code: &'static str, detail: String) -> u64 {
        self.error_with(fire, code, detail, None)
    }

    /// Counts an error; only the first one at a place keeps its context.
    fn error_with(&mut self, fire: &Firing<'_>, code: &'static str, detail: String, help: Option<String>) -> u64 {
        let (probe, span) = (fire.site.probe, fire.site.span);
        if let Some(error) = self.errors.iter_mut().find(|e| (e.code, e.probe, e.span) == (code, probe, span)) {
            error.count += 1;
            return 0;
        }
        let first = self.context(fire);
        if self.output.style().json {
            let record = self.record("error", probe).str("code", code).str("msg", error_title(code));
            let record = if detail.is_empty() { record } else { record.str("detail", &detail) };
            self.output.record(first.add_to(record));
        }
        self.errors.push(RunError { code, probe, span, count: 1, detail, help, first });
        0
    }

    /// Returns the run-time errors so far, each place once, in source order.
    pub fn diagnostics(&self) -> Diagnostics {
        let mut diagnostics = Diagnostics::new();
        for error in &self.errors {
            diagnostics.push(self.diagnostic(error));
        }
        diagnostics.finish()
    }

    /// How often `what` has been patched.
    fn patch_count(&self, what: &str) -> u64 {
        let cells = self.patches.cells.iter().filter(|(_, patched)| patched == what);
        cells.map(|&(cell, _)| self.cells.get(cell)).sum()
    }

    fn diagnostic(&self, error: &RunError) -> Diagnostic {
        let times = match error.count {
            1 => "once".to_string(),
            n => format!("{} times", grouped(n)),
        };
        let hits = self.cells.get(self.probes[error.probe.0 as usize].hits);
        let of = if hits > 0 { format!(" (of {} hits)", grouped(hits)) } else { String::new() };
        let comma = if error.detail.is_empty() { "" } else { ", " };
        let first = format!("first: {}{comma}{}", error.detail, error.first.text());
        let diagnostic = Diagnostic::warning(error.code, format!("{} {times}{of}", error_title(error.code)));
        let always = error_help(error.code).iter().fold(diagnostic.primary(error.span, first), |d, line| d.help(*line));
        always.help_if(error.help.clone())
    }

    // ---- the end

    /// Ends the run's output: traces that were begun, globals that the script has not printed itself, in JSON the
    /// `end` record. The `exit` and `end` probes have run by now. `status` is what [`ProbeRuntime::final_status`]
    /// gave.
    pub fn finish(&mut self, guest: &Guest<'_>, status: u8) -> Report {
        self.catch_up(guest);
        for snapshot in std::mem::take(&mut self.traces) {
            self.trace_line(&snapshot, None, guest);
        }
        for probe in &self.probes {
            if self.cells.get(probe.hits) > 0 {
                probe.prints.iter().for_each(|state| self.states.mark_printed(*state));
            }
        }
        for state in self.states.unprinted() {
            output::print_state(&mut self.output, &self.states, state, "", None, guest.symbols);
        }
        let hidden: u64 = self.asserts.values().map(|n| n.saturating_sub(ASSERTS_SHOWN)).sum();
        if hidden > 0 && !self.output.style().json {
            self.output.line(&format!("{} more failed assertions are not shown", grouped(hidden)));
        }
        let report = self.report();
        if self.output.style().json {
            self.output.record(report.record(status));
        }
        self.flush(&guest.view());
        report
    }

    /// Returns the numbers of the run.
    pub fn report(&self) -> Report {
        let probes = || self.probes.iter().filter(|probe| !probe.removed);
        let never = probes().filter(|probe| self.cells.get(probe.hits) == 0);
        let name = |probe: &ProbeState| match probe.name == probe.place {
            true => probe.name.clone(),
            false => format!("{} ({})", probe.name, probe.place),
        };
        Report {
            probes: probes().count() as u64,
            fired: probes().map(|probe| self.cells.get(probe.hits)).sum(),
            patches: self.patches.cells.iter().map(|&(cell, _)| self.cells.get(cell)).sum(),
            first_patch: self
                .patches
                .list
                .first()
                .map(|patch| format!("{} at {}, icount {}", patch.what, patch.first.at, grouped(patch.first.icount))),
            undone: self.lasting.undone,
            overwritten: self.lasting.overwritten,
            patched: self.patches.list.iter().map(|patch| patch.record(self.patch_count(&patch.what))).collect(),
            held_back: probes().filter_map(|probe| Some((name(probe), probe.held_back.filter(|&n| n > 0)?))).collect(),
            never_fired: never.map(name).collect(),
            errors: self.errors.iter().map(|error| error.count).sum(),
            asserts_failed: self.asserts.values().sum(),
        }
    }
}

impl Context {
    fn text(&self) -> String {
        format!("at {}, icount {}, thread {}", self.at, grouped(self.icount), self.thread)
    }

    fn add_to(&self, record: Json) -> Json {
        record.int("pc", self.pc).str("at", &self.at).int("icount", self.icount).int("thread", self.thread)
    }
}

impl Patch {
    fn record(&self, count: u64) -> String {
        self.first.add_to(Json::part().str("what", &self.what).int("count", count)).finish()
    }
}

fn error_title(code: &str) -> &'static str {
    match code {
        "R0601" => "probe met bad guest memory",
        "R0602" => "probe divided by zero",
        "R0603" => "a full map refused a new key",
        "R0604" => "a second `skip` or `goto` at the same point was ignored",
        "R0605" => "`rand(0)` has no number to give",
        "R0607" => "no value here: a variable that is optimised out, or a register that the instruction does not have",
        "R0608" => "an atomic or vector access was not patched",
        _ => "more bytes were asked for than a probe reads",
    }
}

fn error_help(code: &str) -> &'static [&'static str] {
    match code {
        "R0601" => &["the probe body was left at this point each time"],
        "R0602" => &["the probe body was left at this point each time", "to avoid it: `if d != 0 { … }`"],
        "R0603" => &["keys that were there went on being updated"],
        "R0604" => &["the first one of a point wins, in source order"],
        "R0605" => &["`rand(n)` gives a number from 0 to n - 1; the result was 0 here"],
        "R0607" => &["the probe body was left at this point each time", "to give a value instead: `… ?? 0`"],
        "R0608" => &[
            "it is one step: what it stores is known only behind it",
            "what it has loaded can be changed: `after read at counter write value = 0`",
            "so can what it has stored: `after write at counter write u32[addr] = 0`",
        ],
        _ => &["the rest was cut off"],
    }
}

/// The numbers of a run, for its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Number of probes.
    pub probes: u64,
    /// Number of firings.
    pub fired: u64,
    /// Number of patches applied.
    pub patches: u64,
    /// What, where and when the first one was.
    pub first_patch: Option<String>,
    /// Each kind of patch, as a JSON object.
    pub patched: Vec<String>,
    /// Patches that were taken back after their time.
    pub undone: u64,
    /// Patches that the guest had overwritten by then.
    pub overwritten: u64,
    /// Executions that a `limit` has held back, by probe (as for `never_fired`).
    pub held_back: Vec<(String, u64)>,
    /// Probes that never fired, as `label (file:line)`.
    pub never_fired: Vec<String>,
    /// Number of run-time errors.
    pub errors: u64,
    /// Number of failed assertions.
    pub asserts_failed: u64,
}

impl Report {
    /// Returns the last line of a run.
    pub fn line(&self) -> String {
        let mut parts = vec![format!("probes: {}", grouped(self.probes)), format!("fired: {}", grouped(self.fired))];
        parts.push(match (&self.first_patch, self.patches) {
            (None, n) => format!("patches applied: {}", grouped(n)),
            (Some(first), 1) => format!("patches applied: 1 ({first})"),
            (Some(first), n) => format!("patches applied: {} (first: {first})", grouped(n)),
        });
        if self.undone + self.overwritten > 0 {
            parts.push(format!("undone: {}, overwritten: {}", grouped(self.undone), grouped(self.overwritten)));
        }
        if !self.held_back.is_empty() {
            let each = self.held_back.iter().map(|(name, n)| format!("{} of {name}", grouped(*n)));
            parts.push(format!("over the limit: {}", each.collect::<Vec<_>>().join(", ")));
        }
        if !self.never_fired.is_empty() {
            parts.push(format!("never fired: {}", self.never_fired.join(", ")));
        }
        parts.push(format!("errors: {}", grouped(self.errors)));
        if self.asserts_failed > 0 {
            parts.push(format!("failed assertions: {}", grouped(self.asserts_failed)));
        }
        parts.join("   ")
    }

    fn record(&self, status: u8) -> Json {
        let never: Vec<String> = self.never_fired.iter().map(|name| output::quoted(name)).collect();
        let record = Json::new("end").int("status", status.into()).int("probes", self.probes).int("fired", self.fired);
        let record = record.int("patches", self.patches).raw("patched", &format!("[{}]", self.patched.join(",")));
        let record = record.int("undone", self.undone).int("overwritten", self.overwritten);
        let held_back = self.held_back.iter().fold(Json::part(), |part, (name, n)| part.int(name, *n)).finish();
        let record = record.raw("over_limit", &held_back);
        let record = record.raw("never_fired", &format!("[{}]", never.join(","))).int("errors", self.errors);
        record.int("failed_assertions", self.asserts_failed)
    }
}

/// An action that is being performed.
struct Firing<'a> {
    call: ActionCall,
    site: &'a ActionSite,
    guest: &'a Guest<'a>,
    args: Args<'a>,
    /// What the thread is to look at afterwards.
    poll: u32,
}

impl Firing<'_> {
    /// The thread's instruction count, and the time.
    fn now(&self) -> (u64, u64) {
        (self.call.icount, (self.guest.ticks)(self.call.icount))
    }
}

/// Takes argument slots one after the other.
struct Args<'a> {
    slots: &'a [u64],
    at: usize,
}

impl Args<'_> {
    fn word(&mut self) -> u64 {
        let word = self.peek(0);
        self.at += 1;
        word
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.word()) | u128::from(self.word()) << 64
    }

    fn peek(&self, n: usize) -> u64 {
        self.slots.get(self.at + n).copied().unwrap_or(0)
    }
}

/// The texts that handles stand for.
struct Texts {
    interned: Vec<Box<[u8]>>,
    index: HashMap<Box<str>, u64>,
    /// The thread that performs an action, and its firing that is under way.
    thread: u64,
    now: FiringTexts,
    /// Those of other threads.
    firings: HashMap<u64, FiringTexts>,
    /// Empty, for texts to come.
    spare: Vec<String>,
}

/// The texts of a thread's latest firing.
struct FiringTexts {
    /// Probe, place and time.
    of: (ProbeId, u64, u64),
    texts: Vec<(Vec<u8>, bool)>,
}

impl Default for FiringTexts {
    fn default() -> FiringTexts {
        FiringTexts { of: (ProbeId(u32::MAX), 0, 0), texts: Vec::new() }
    }
}

/// Most buffers of texts that are kept for the next ones, and how large they may be.
const SPARE_TEXTS: usize = 8;
const SPARE_TEXT: usize = 4096;

impl FiringTexts {
    /// Drops the texts; keeps a few buffers.
    fn clear(&mut self, spare: &mut Vec<String>) {
        for (bytes, _) in self.texts.drain(..) {
            if spare.len() < SPARE_TEXTS
                && bytes.capacity() <= SPARE_TEXT
                && let Ok(mut text) = String::from_utf8(bytes)
            {
                text.clear();
                spare.push(text);
            }
        }
    }
}

impl Texts {
    fn new() -> Texts {
        let mut texts = Texts {
            interned: Vec::new(),
            index: HashMap::new(),
            thread: 0,
            now: FiringTexts::default(),
            firings: HashMap::new(),
            spare: Vec::new(),
        };
        texts.intern("");
        texts
    }

    fn intern(&mut self, text: &str) -> u64 {
        if let Some(handle) = self.index.get(text) {
            return *handle;
        }
        let handle = self.interned.len() as u64;
        self.interned.push(text.as_bytes().into());
        self.index.insert(text.into(), handle);
        handle
    }

    fn begin_firing(&mut self) {
        self.now.clear(&mut self.spare);
    }

    /// Forgets the texts of a thread.
    fn end_thread(&mut self, thread: u64) {
        self.firings.remove(&thread);
        if self.thread == thread {
            (self.thread, self.now) = (0, FiringTexts::default());
        }
    }

    /// Forgets all texts.
    fn clear(&mut self) {
        self.firings.clear();
        self.now = FiringTexts::default();
    }

    /// Texts live as long as the firing does; another probe, place or time is another firing of the thread.
    /// True for a new firing.
    fn firing_of(&mut self, thread: u64, of: (ProbeId, u64, u64)) -> bool {
        if self.thread != thread {
            let next = self.firings.remove(&thread).unwrap_or_default();
            self.firings.insert(self.thread, std::mem::replace(&mut self.now, next));
            self.thread = thread;
        }
        let is_new = std::mem::replace(&mut self.now.of, of) != of;
        if is_new {
            self.now.clear(&mut self.spare);
        }
        is_new
    }

    /// An empty text.
    fn spare(&mut self) -> String {
        self.spare.pop().unwrap_or_default()
    }

    fn add(&mut self, bytes: Vec<u8>, raw: bool) -> u64 {
        let texts = &mut self.now.texts;
        texts.push((bytes, raw));
        TextHandle::FIRING + (texts.len() - 1) as u64
    }

    fn get(&self, handle: u64) -> TextRef<'_> {
        let empty = TextRef { bytes: &[], raw: false };
        match handle.checked_sub(TextHandle::FIRING) {
            None => self.interned.get(handle as usize).map_or(empty, |bytes| TextRef { bytes, raw: false }),
            Some(n) => {
                let text = usize::try_from(n).ok().and_then(|n| self.now.texts.get(n));
                text.map_or(empty, |(bytes, raw)| TextRef { bytes, raw: *raw })
            }
        }
    }
}

/// SplitMix64: small, good enough for fault injection, and the same on every host for ever.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Returns a number below `n`, which is not 0, all equally likely (Lemire's method).
    fn below(&mut self, n: u64) -> u64 {
        loop {
            let wide = u128::from(self.next()) * u128::from(n);
            if wide as u64 >= n.wrapping_neg() % n {
                return (wide >> 64) as u64;
            }
        }
    }
}

fn compile(pattern: &Pattern) -> Option<Regex> {
    RegexBuilder::new(&pattern.text).case_insensitive(pattern.ignore_case).build().ok()
}

fn float(op: FloatOp, a: u64, b: u64) -> u64 {
    let (x, y) = (f64::from_bits(a), f64::from_bits(b));
    match op {
        FloatOp::Add => (x + y).to_bits(),
        FloatOp::Sub => (x - y).to_bits(),
        FloatOp::Mul => (x * y).to_bits(),
        FloatOp::Div => (x / y).to_bits(),
        FloatOp::Neg => (-x).to_bits(),
        FloatOp::Abs => x.abs().to_bits(),
        FloatOp::Eq => u64::from(x == y),
        FloatOp::Ne => u64::from(x != y),
        FloatOp::Lt => u64::from(x < y),
        FloatOp::Le => u64::from(x <= y),
        FloatOp::FromF32 => f64::from(f32::from_bits(a as u32)).to_bits(),
        FloatOp::ToF32 => u64::from((x as f32).to_bits()),
        FloatOp::FromUnsigned => (a as f64).to_bits(),
        FloatOp::FromSigned => (a as i64 as f64).to_bits(),
        FloatOp::ToUnsigned => x as u64,
        FloatOp::ToSigned => x as i64 as u64,
    }
}

/// A patch may write what the guest may not.
/// Returns the instruction at `pc` and its size.
pub(crate) fn fetch(guest: &Guest<'_>, pc: u64) -> Option<(u32, u8)> {
    crate::probe::attach::fetch(guest.memory, guest.isa, pc)
}

fn shown_registers(isa: &dyn Isa) -> Vec<Register> {
    let registers = isa.shown_registers().iter().filter_map(|name| isa.register(name));
    registers.filter(|register| register.slot != RegisterSlot::Pc).collect()
}

fn read_register(cpu: &CpuState, isa: &dyn Isa, register: &Register) -> u128 {
    let slot = match register.slot {
        RegisterSlot::Int(n) => u128::from(cpu.x[usize::from(n)]),
        RegisterSlot::Vector(n) => cpu.v[usize::from(n)],
        RegisterSlot::Pc => u128::from(cpu.pc),
        // Those that a program may name do not depend on the time.
        RegisterSlot::System(reg) => u128::from(isa.read_system(cpu, reg, 0).unwrap_or(0)),
        // Compared and shown as the four bits, wherever the architecture has them.
        RegisterSlot::Flags => return u128::from(cpu.nzcv()),
    };
    let mask = if register.bits >= 128 { u128::MAX } else { (1 << register.bits) - 1 };
    slot >> register.offset & mask
}

/// Flags as letters, those that are set in upper case; everything else in hexadecimal.
fn register_text(register: &Register, value: u128) -> String {
    match register.slot {
        RegisterSlot::Flags => {
            let letter = |(n, c): (usize, char)| if value >> (3 - n) & 1 != 0 { c } else { c.to_ascii_lowercase() };
            "NZCV".chars().enumerate().map(letter).collect()
        }
        RegisterSlot::Int(_) | RegisterSlot::Vector(_) | RegisterSlot::Pc | RegisterSlot::System(_) => {
            format!("{value:#x}")
        }
    }
}

fn dump_row(addr: u64, bytes: &[u8]) -> String {
    let mut line = format!("{addr:#x}  ");
    for n in 0..16 {
        let gap = if n == 8 { " " } else { "" };
        match bytes.get(n) {
            Some(byte) => put(&mut line, format_args!("{gap}{byte:02x} ")),
            None => put(&mut line, format_args!("{gap}   ")),
        }
    }
    let shown = |byte: &u8| if matches!(byte, 0x20..=0x7e) { char::from(*byte) } else { '.' };
    let text: String = bytes.iter().map(shown).collect();
    format!("{line} |{text}|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::attach::testing::{TestIsa, TestSymbols, memory};
    use crate::probe::output::Style;
    use crate::probe::output::testing::Capture;
    use spile_lang::ir::Format;

    /// A runtime whose actions are performed as if at `main+0x4`, of the script's first probe.
    struct Rig {
        runtime: ProbeRuntime,
        capture: Capture,
        cpu: CpuState,
        memory: GuestMemory,
        symbols: TestSymbols,
        pc: u64,
    }

    impl Rig {
        fn new(script: &str, style: Style) -> Rig {
            Rig::with(script, style, Capture::default())
        }

        fn with(script: &str, style: Style, capture: Capture) -> Rig {
            let sources = Sources::single("t.spile", script);
            let (program, diagnostics) = spile_lang::compile(&sources, &TestIsa);
            let program = program.unwrap_or_else(|| panic!("{diagnostics:?}"));
            let runtime = ProbeRuntime::new(&program, &sources, capture.output(style), 7);
            let (memory, symbols) = (memory(), TestSymbols::sample());
            Rig { runtime, capture, cpu: CpuState::default(), memory, symbols, pc: 0x1004 }
        }

        fn text(script: &str) -> Rig {
            Rig::new(script, Style::default())
        }

        fn json(script: &str) -> Rig {
            Rig::new(script, Style { json: true, ascii: false })
        }

        fn push(&mut self, action: Action) -> u32 {
            self.runtime.push(ActionSite { action, probe: ProbeId(0), span: Span { source: 0, start: 0, end: 7 } })
        }

        fn perform(&mut self, action: u32, args: &[u64]) -> u64 {
            self.cpu.x[96..96 + args.len()].copy_from_slice(args);
            let call = ActionCall { action, args: 96, n: args.len() as u8, pc: self.pc, icount: 1017 };
            self.runtime.perform(call, &mut self.cpu, &guest(&self.memory, &self.symbols))
        }

        fn act(&mut self, action: Action, args: &[u64]) -> u64 {
            let action = self.push(action);
            self.perform(action, args)
        }

        fn poll(&self) -> u32 {
            self.cpu.poll.swap(0, Ordering::Relaxed)
        }

        fn shown(&self, handle: u64) -> String {
            self.runtime.shown_text(handle)
        }

        fn output(&mut self) -> String {
            self.runtime.flush(&guest(&self.memory, &self.symbols).view());
            self.capture.text()
        }

        fn finish(&mut self) -> Report {
            self.runtime.finish(&guest(&self.memory, &self.symbols), 0)
        }
    }

    fn guest<'a>(memory: &'a GuestMemory, symbols: &'a TestSymbols) -> Guest<'a> {
        let syscall_name = |n| (n == 64).then_some("write");
        Guest { memory, isa: &TestIsa, symbols, thread_id: 1, process_id: 2, ticks: &|icount| icount, syscall_name }
    }

    fn value(name: &str, ty: Type) -> PrintPart {
        PrintPart::Value { name: name.to_string(), ty }
    }

    #[test]
    fn texts() {
        let mut rig = Rig::text("on insn trace");
        rig.memory.write_forced(0x2000, b"hello\0\xde\xad").unwrap();
        let hello = rig.act(Action::GuestText, &[0x2000, 64]);
        assert_eq!(rig.shown(hello), "hello");
        let cut = rig.act(Action::GuestText, &[0x2000, 3]);
        assert_eq!(rig.shown(cut), "hel…");
        assert_eq!(rig.act(Action::GuestText, &[8, 3]), TextHandle::BAD.0);
        let bytes = rig.act(Action::GuestBytes, &[0x2006, 2]);
        assert_eq!(rig.act(Action::GuestBytes, &[0x2fff, 2]), TextHandle::BAD.0);
        let interned = rig.runtime.intern("hello");
        assert_eq!(rig.runtime.intern("hello"), interned);
        assert_eq!(rig.runtime.intern(""), 0);
        assert_eq!(rig.act(Action::TextEquals, &[hello, interned]), 1);
        assert_eq!(rig.act(Action::TextEquals, &[cut, interned]), 0);
        assert_eq!(rig.act(Action::TextMatchesGlob("h*o".into()), &[hello]), 1);
        let pattern = Pattern { text: "^HE.*O$".into(), ignore_case: true };
        assert_eq!(rig.act(Action::TextMatchesRegex(pattern), &[hello]), 1);
        let parts = vec![
            TextPart::Value(Type::Str, Format { width: 7, ..Format::default() }),
            TextPart::Text("|".into()),
            TextPart::Value(Type::U128, Format::default()),
            TextPart::Text(" ".into()),
            TextPart::Value(Type::Bytes, Format::default()),
        ];
        let joined = rig.act(Action::Interpolate(parts.clone()), &[hello, 1, 1, bytes]);
        assert_eq!(rig.shown(joined), "hello  |0x10000000000000001 de ad");
        rig.act(Action::PrintText(parts), &[hello, 1, 1, bytes]);
        rig.act(Action::PrintText(Vec::new()), &[]);
        assert_eq!(rig.output(), "hello  |0x10000000000000001 de ad\n\n");
        rig.pc += 4;
        rig.act(Action::Now, &[]);
        assert_eq!(rig.shown(joined), "", "texts end with the firing");
    }

    #[test]
    fn functions() {
        let mut rig = Rig::text("on insn trace");
        let text = |rig: &mut Rig, func, arg| {
            let handle = rig.act(Action::Call(func), &[arg]);
            rig.shown(handle)
        };
        assert_eq!(text(&mut rig, Func::Hex, 255), "0xff");
        assert_eq!(text(&mut rig, Func::Sym, 0x1010), "main+0x10");
        assert_eq!(text(&mut rig, Func::Disas, 0x1004), "mov x0, #1");
        assert_eq!(text(&mut rig, Func::Errno, -2i64 as u64), "ENOENT");
        assert_eq!(text(&mut rig, Func::SyscallName, 64), "write");
        assert_eq!(text(&mut rig, Func::SyscallName, 9999), "9999");
        let hello = rig.runtime.intern("hello");
        assert_eq!(rig.act(Action::Call(Func::Len), &[hello]), 5);
        assert_eq!(rig.act(Action::Call(Func::Readable), &[0x2000, 4096]), 1);
        assert_eq!(rig.act(Action::Call(Func::Readable), &[0x2000, 4097]), 0);
        assert_eq!([rig.act(Action::ThreadId, &[]), rig.act(Action::ProcessId, &[])], [1, 2]);
        let half = 0.5f64.to_bits();
        assert_eq!(rig.act(Action::Float(FloatOp::Add), &[half, half]), 1f64.to_bits());
        assert_eq!(rig.act(Action::Float(FloatOp::ToUnsigned), &[(-1f64).to_bits()]), 0);
        assert_eq!(rig.act(Action::Float(FloatOp::ToSigned), &[f64::NAN.to_bits()]), 0);
        assert_eq!(rig.act(Action::Float(FloatOp::ToF32), &[half]), u64::from(0.5f32.to_bits()));
    }

    #[test]
    fn random_numbers_are_the_same_for_a_seed_and_cover_the_range() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            (0..1000).map(|_| random.below(6)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        for face in 0..6 {
            let times = numbers(3).iter().filter(|n| **n == face).count();
            assert!((100..240).contains(&times), "{face}: {times}");
        }
        assert!(Random::new(0).below(u64::MAX) < u64::MAX);
        let mut rig = Rig::text("on insn trace");
        assert_eq!(rig.act(Action::Call(Func::Rand), &[0]), 0);
        assert_eq!(rig.runtime.diagnostics().iter().next().unwrap().code, "R0605");
    }

    #[test]
    fn prints() {
        let script = "on insn { count by pc into @m; print @m }";
        let parts = vec![
            value("x0", Type::Word),
            value("n", Type::I64),
            value("pc", Type::CodeAddr),
            value("", Type::Str),
            PrintPart::State { name: "@m".into(), state: StateId(0), top: None },
        ];
        let run = |mut rig: Rig| {
            rig.act(Action::Aggregate(StateId(0), AggFn::Count), &[0x1004]);
            let text = rig.runtime.intern("say \"hi\"");
            rig.act(Action::Print(parts.clone()), &[5, -1i64 as u64, 0x1004, text]);
            rig.finish();
            rig.output()
        };
        assert_eq!(run(Rig::text(script)), "x0=0x5 n=-1 pc=main+0x4 say \"hi\"\n@m[pc]:\n  1  main+0x4\n");
        let json = run(Rig::json(script));
        let lines: Vec<&str> = json.lines().collect();
        assert_eq!(
            lines[..2],
            [
                r#"{"type":"print","probe":"t.spile:1","x0":5,"n":-1,"pc":"main+0x4","msg":"say \"hi\""}"#,
                r#"{"type":"map","name":"@m","keys":["pc"],"rows":[{"key":["main+0x4"],"value":1}]}"#,
            ]
        );
        assert!(lines[2].starts_with(r#"{"type":"end","status":0,"probes":1,"fired":0,"#), "{}", lines[2]);
        assert_eq!(lines.len(), 3, "what has been printed is not printed again");
    }

    #[test]
    fn scalars_print_in_line_and_globals_at_the_end() {
        let mut rig = Rig::text("on insn { count into @n; sum x0 by pc into @s; @g = 5; print @n }");
        let n = rig.runtime.states().scalar_cell(StateId(0)).unwrap();
        rig.runtime.cells().set(n, 12);
        rig.act(Action::Print(vec![PrintPart::State { name: String::new(), state: StateId(0), top: None }]), &[]);
        rig.act(Action::Aggregate(StateId(1), AggFn::Sum(false)), &[0x1000, 40]);
        let g = rig.runtime.states().scalar_cell(StateId(2)).unwrap();
        assert_eq!(rig.act(Action::StateGet(StateId(2)), &[]), 0);
        rig.act(Action::StateSet(StateId(2), AssignOp::Add), &[5]);
        assert_eq!(rig.runtime.cells().get(g), 5);
        rig.finish();
        assert_eq!(rig.output(), "@n=12\n@s[pc]:\n  40  main\n@g: 5\n");
    }

    #[test]
    fn maps_of_text() {
        let mut rig = Rig::text("on insn { @m[insn.mnemonic] = insn.text; print @m[\"mov\"] }");
        let (mov, text) = (rig.runtime.intern("mov"), rig.runtime.intern("mov x0, #1"));
        assert_eq!(rig.act(Action::StateHas(StateId(0)), &[mov]), 0);
        assert_eq!(rig.act(Action::StateGet(StateId(0)), &[mov]), 0, "the empty text");
        rig.act(Action::StateSet(StateId(0), AssignOp::Set), &[mov, text]);
        let read = rig.act(Action::StateGet(StateId(0)), &[mov]);
        assert_eq!(rig.shown(read), "mov x0, #1");
        assert_eq!(rig.act(Action::StateHas(StateId(0)), &[mov]), 1);
        rig.act(Action::StateDelete(StateId(0)), &[mov]);
        assert_eq!(rig.act(Action::StateHas(StateId(0)), &[mov]), 0);
        rig.act(Action::StateSet(StateId(0), AssignOp::Set), &[mov, text]);
        rig.act(Action::StateReset(vec![StateId(0)]), &[]);
        assert_eq!(rig.act(Action::StateHas(StateId(0)), &[mov]), 0);
    }

    #[test]
    fn traces_show_what_changed() {
        let mut rig = Rig::text("on insn trace");
        let (begin, end) = (rig.push(Action::TraceBegin), rig.push(Action::TraceEnd));
        rig.cpu.x[0] = 5;
        rig.cpu.set_nzcv(0b0110);
        rig.perform(begin, &[]);
        rig.cpu.x[0] = 1;
        rig.cpu.set_nzcv(0b1010);
        rig.cpu.v[0] = 1 << 100;
        rig.perform(end, &[]);
        rig.perform(end, &[]);
        rig.perform(begin, &[]);
        rig.perform(begin, &[]);
        rig.pc = 0x1080;
        rig.perform(begin, &[]);
        rig.perform(end, &[]);
        rig.perform(begin, &[]);
        rig.finish();
        assert_eq!(
            rig.output(),
            "main+0x4              mov x0, #1                        \
             x0: 0x5 → 0x1  nzcv: nZCv → NzCv  v0: 0x0 → 0x10000000000000000000000000\n\
             main+0x4              mov x0, #1                        (did not complete)\n\
             main+0x80             nop\n\
             main+0x80             nop                               (did not complete)\n"
        );
        let mut rig = Rig::json("on insn trace");
        rig.act(Action::TraceBegin, &[]);
        rig.cpu.x[1] = 3;
        rig.act(Action::TraceEnd, &[]);
        rig.act(Action::TraceEvent("block"), &[]);
        assert_eq!(
            rig.output(),
            concat!(
                r#"{"type":"trace","probe":"t.spile:1","pc":4100,"at":"main+0x4","icount":1017,"thread":1,"#,
                r#""insn":"mov x0, #1","changes":{"x1":[0,3]}}"#,
                "\n",
                r#"{"type":"trace","probe":"t.spile:1","event":"block","pc":4100,"at":"main+0x4","icount":1017,"thread":1}"#,
                "\n"
            )
        );
    }

    #[test]
    fn verdicts() {
        let mut rig = Rig::text("on insn trace");
        let message = rig.runtime.intern("too many");
        assert_eq!(rig.runtime.final_status(0), 0);
        let assert = rig.push(Action::AssertFailed { text: "@n < 3".into(), message: true });
        for _ in 0..12 {
            rig.perform(assert, &[message]);
        }
        assert_eq!(rig.poll(), 0, "the run goes on");
        assert_eq!([rig.runtime.final_status(0), rig.runtime.final_status(9)], [1, 9]);
        rig.act(Action::Exit, &[0x102]);
        assert_eq!(rig.poll(), poll::STOP);
        rig.act(Action::Fail, &[message]);
        assert_eq!(rig.poll(), poll::STOP);
        assert_eq!(rig.runtime.end_request(), Some(&ExitRequest { status: 2, reason: ExitReason::Exit }));
        assert_eq!(rig.runtime.final_status(0), 2, "the first request counts");
        let report = rig.finish();
        assert_eq!(report.asserts_failed, 12);
        let output = rig.output();
        let line = "t.spile:1: assertion failed: @n < 3: too many (at main+0x4, icount 1 017, thread 1)\n";
        let fail = "t.spile:1: failed: too many (at main+0x4, icount 1 017, thread 1)\n";
        assert_eq!(output, format!("{}{fail}2 more failed assertions are not shown\n", line.repeat(10)));
    }

    #[test]
    fn probes_are_switched() {
        let mut rig = Rig::text("on insn trace\na: on insn disabled trace\non insn enable a");
        let (first, a) = (ProbeId(0), ProbeId(1));
        let runtime = &rig.runtime;
        assert_eq!([runtime.is_active(first), runtime.is_active(a)], [true, false]);
        rig.act(Action::Disable(vec![a]), &[]);
        assert_eq!((rig.poll(), rig.runtime.take_changes()), (0, vec![]), "nothing has changed");
        rig.act(Action::Enable(vec![a]), &[]);
        assert!(rig.runtime.is_active(a));
        rig.act(Action::Exhausted, &[]);
        assert!(!rig.runtime.is_active(first));
        assert_eq!((rig.poll(), rig.runtime.take_changes()), (poll::CODE, vec![a, first]));
        rig.act(Action::Enable(vec![first]), &[]);
        assert!(!rig.runtime.is_active(first), "what is exhausted stays so");
        assert_eq!(rig.runtime.take_changes(), []);
    }

    #[test]
    fn an_exhausted_probe_stays_until_its_trace_has_ended() {
        let mut rig = Rig::text("on insn hit 1 trace");
        rig.act(Action::Exhausted, &[]);
        rig.act(Action::TraceBegin, &[]);
        assert_eq!(rig.runtime.take_changes(), [ProbeId(0)]);
        assert!(rig.runtime.is_active(ProbeId(0)));
        rig.poll();
        rig.act(Action::TraceEnd, &[]);
        assert!(!rig.runtime.is_active(ProbeId(0)));
        assert_eq!((rig.poll(), rig.runtime.take_changes()), (poll::CODE, vec![ProbeId(0)]));
    }

    #[test]
    fn memory_is_patched_whatever_it_permits() {
        let mut rig = Rig::text("on insn trace");
        let write = |bytes, big_endian| Action::MemoryWrite { bytes, big_endian };
        assert_eq!(rig.act(write(4, false), &[0x2000, 0x1122_3344]), 1);
        assert_eq!(rig.act(write(4, true), &[0x2004, 0x1122_3344]), 1);
        assert_eq!(rig.act(write(16, false), &[0x2008, 1, 2]), 1);
        assert_eq!(rig.memory.read_vec(0x2000, 8).unwrap(), [0x44, 0x33, 0x22, 0x11, 0x11, 0x22, 0x33, 0x44]);
        assert_eq!(rig.memory.read_vec(0x2008, 16).unwrap()[7..9], [0, 2]);
        assert_eq!(rig.poll(), 0);
        rig.memory.mark_code(0x1000);
        assert_eq!(rig.act(write(4, false), &[0x1000, 0]), 1, "code is not writable for the guest");
        assert_eq!(rig.poll(), poll::CODE);
        assert_eq!(rig.act(write(4, false), &[0x9_0000, 0]), 0);
    }

    #[test]
    fn dumps() {
        let mut rig = Rig::text("on insn trace");
        rig.memory.write_forced(0x2000, b"hello\0\xde\xad12345678end").unwrap();
        rig.act(Action::Dump, &[0x2000, 19]);
        rig.act(Action::Dump, &[0x2ff8, 16]);
        rig.act(Action::Dump, &[0x2000, 0]);
        assert_eq!(
            rig.output(),
            "0x2000  68 65 6c 6c 6f 00 de ad  31 32 33 34 35 36 37 38  |hello...12345678|\n\
             0x2010  65 6e 64                                          |end|\n"
        );
        assert_eq!(rig.runtime.diagnostics().iter().next().unwrap().code, "R0601");
    }

    #[test]
    fn run_time_errors_are_counted_with_their_first_context() {
        let mut rig = Rig::text("on insn { let a = u64[x0]; print a }");
        let bad = rig.push(Action::BadMemory { read: true });
        for addr in [8, 16, 24] {
            rig.perform(bad, &[addr]);
        }
        let hits = rig.runtime.hits_cell(ProbeId(0));
        rig.runtime.cells().set(hits, 2048);
        assert_eq!(rig.output(), "", "never a line per hit");
        let diagnostics = rig.runtime.diagnostics();
        let diagnostic = diagnostics.iter().next().unwrap();
        assert_eq!(diagnostic.title, "probe met bad guest memory 3 times (of 2 048 hits)");
        assert_eq!(diagnostic.labels[0].text, "first: address 0x8, unmapped, at main+0x4, icount 1 017, thread 1");
        assert_eq!(rig.finish().errors, 3);
        let mut rig = Rig::json("on insn trace");
        let zero = rig.push(Action::DivisionByZero);
        rig.perform(zero, &[]);
        rig.perform(zero, &[]);
        assert_eq!(
            rig.output(),
            concat!(
                r#"{"type":"error","probe":"t.spile:1","code":"R0602","msg":"probe divided by zero","pc":4100,"#,
                r#""at":"main+0x4","icount":1017,"thread":1}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_full_map_is_a_run_time_error() {
        let mut rig = Rig::text("let @m: u64 max 2\non insn @m[x0] = 1");
        for key in 0..5 {
            rig.act(Action::StateSet(StateId(0), AssignOp::Set), &[key, 1]);
        }
        let diagnostics = rig.runtime.diagnostics();
        let diagnostic = diagnostics.iter().next().unwrap();
        assert_eq!((diagnostic.code, &diagnostic.title[..]), ("R0603", "a full map refused a new key 3 times"));
        assert!(diagnostic.labels[0].text.starts_with("first: `@m` holds 2 keys, its capacity, at main"));
    }

    #[test]
    fn the_report() {
        let mut rig = Rig::text("on insn trace\nspy: on insn trace\non insn trace");
        let patched = rig.push(Action::Patched("x0".into()));
        let cell = rig.runtime.patch_cell("x0");
        rig.runtime.cells().set(cell, 1);
        rig.perform(patched, &[]);
        for (probe, hits) in [(0, 1200), (2, 4)] {
            let cell = rig.runtime.hits_cell(ProbeId(probe));
            rig.runtime.cells().set(cell, hits);
        }
        assert_eq!(
            rig.finish().line(),
            "probes: 3   fired: 1 204   patches applied: 1 (x0 at main+0x4, icount 1 017)   \
             never fired: spy (t.spile:2)   errors: 0"
        );
        rig.runtime.cells().set(cell, 2);
        rig.act(Action::DivisionByZero, &[]);
        assert_eq!(
            rig.finish().line(),
            "probes: 3   fired: 1 204   patches applied: 2 (first: x0 at main+0x4, icount 1 017)   \
             never fired: spy (t.spile:2)   errors: 1"
        );
    }

    #[test]
    fn output_that_fails_ends_the_run() {
        let mut rig = Rig::with("on insn trace", Style::default(), Capture::failing(std::io::ErrorKind::BrokenPipe));
        let text = rig.runtime.intern(&"x".repeat(70_000));
        rig.act(Action::Print(vec![value("", Type::Str)]), &[text]);
        assert_eq!(rig.poll(), poll::STOP);
        let request = rig.runtime.end_request().unwrap().clone();
        let why = "cannot write probe output to out.txt: the reader has closed the pipe".to_string();
        assert_eq!(request, ExitRequest { status: 1, reason: ExitReason::Output(why) });
        rig.act(Action::Now, &[]);
        assert_eq!(rig.poll(), poll::STOP, "every action asks again");
    }
}
