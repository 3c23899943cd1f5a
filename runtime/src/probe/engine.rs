//! The probes of a run as the execution loop sees them: attached, lowered and performed.
//!
//! This joins the parts that know nothing of each other: [`attach`] (places), [`lower`] (micro-ops) and [`runtime`]
//! (what bodies do). It has no knowledge of its own.
//!
//! [`attach`]: super::attach
//! [`lower`]: super::lower
//! [`runtime`]: super::runtime

use super::action::{ActionSite, TextHandle};
use super::attach::{Attachment, Symbols, World, attach, fetch};
use super::lower::{Event, LowerHost, Lowering};
use super::output::Output;
use super::runtime::{Guest, ProbeRuntime, Report};
use super::state::KeyPart;
use crate::block::Block;
use crate::cpu::CpuState;
use crate::env::Environment;
use crate::interp::ActionCall;
use crate::isa::Isa;
use crate::linux;
use crate::mem::GuestMemory;
use crate::symbols::SymbolTable;
use crate::translate::Splice;
use crate::vm::{PlainEvent, ProbeEngine};
use hashbrown::HashMap;
use spile_lang::diag::{Diagnostic, Diagnostics};
use spile_lang::ir::{self, Loc, ProbeId, Program, Stmt, StmtKind};
use spile_lang::source::Sources;
use spile_lang::span::Span;
use spile_lang::types::Type;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// All probes of a run.
pub struct Probes {
    program: Arc<Program>,
    lowering: Lowering,
    core: Core,
}

/// What the lowering asks, and the runtime behind it.
struct Core {
    program: Arc<Program>,
    runtime: ProbeRuntime,
    attachments: Vec<Attachment>,
    addresses: HashMap<Span, u64>,
    symbols: Arc<SymbolTable>,
    isa: &'static dyn Isa,
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
        let attachments = attach(&program, &World { symbols: &*symbols, memory, isa })?;
        let addresses =
            attachments.iter().flat_map(|a| a.addresses.iter().map(|(&span, &addr)| (span, addr))).collect();
        let runtime = ProbeRuntime::new(&program, sources, output, seed);
        let mut core = Core { program: program.clone(), runtime, attachments, addresses, symbols, isa };
        let lowering = Lowering::new(program.clone(), isa, &mut core);
        let complex = lowering.check(&mut core);
        if complex.is_empty() {
            return Ok(Probes { program, lowering, core });
        }
        let mut diagnostics = Diagnostics::new();
        for (_, span) in complex {
            diagnostics.push(
                Diagnostic::error("E0701", "this probe body needs more temporary values than there are")
                    .primary(span, "too much at once here")
                    .help("split it: keep intermediate results with `let`, or make two probes"),
            );
        }
        Err(diagnostics.finish())
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
        let guest = guest(&symbols, self.core.isa, memory, environment);
        self.core.runtime.finish(&guest, status)
    }

    /// The run's status, given the guest's: what `exit` said, 1 after failed assertions.
    pub fn final_status(&self, status: u8) -> u8 {
        self.core.runtime.final_status(status)
    }

    /// The run-time errors so far.
    pub fn diagnostics(&self) -> Diagnostics {
        self.core.runtime.diagnostics()
    }

    /// The runtime, for what the command line asks of it.
    pub fn runtime(&self) -> &ProbeRuntime {
        &self.core.runtime
    }

    fn ids(&self) -> impl Iterator<Item = ProbeId> + use<> {
        (0..self.program.probes.len() as u32).map(ProbeId)
    }
}

fn guest<'a>(
    symbols: &'a SymbolTable,
    isa: &'a dyn Isa,
    memory: &'a GuestMemory,
    environment: &dyn Environment,
) -> Guest<'a> {
    Guest {
        memory,
        isa,
        symbols,
        thread_id: environment.thread_id(),
        process_id: environment.process_id(),
        syscall_name: linux::table::name,
    }
}

impl ProbeEngine for Probes {
    fn splice(&mut self, use_it: &mut dyn FnMut(&mut dyn Splice)) {
        use_it(&mut self.lowering.splicer(&mut self.core));
    }

    fn action(
        &mut self,
        call: ActionCall,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        environment: &dyn Environment,
    ) -> u64 {
        let Core { runtime, symbols, isa, .. } = &mut self.core;
        runtime.perform(call, cpu, &guest(symbols, *isa, memory, environment))
    }

    fn take_changes(&mut self) -> Vec<Range<u64>> {
        let changed = self.core.runtime.take_changes();
        changed.into_iter().flat_map(|id| self.core.attachments[id.0 as usize].ranges.clone()).collect()
    }

    fn end_request(&self) -> Option<u8> {
        self.core.runtime.end_request().map(|end| end.status)
    }

    fn next_every(&self, icount: u64) -> u64 {
        let periods = self.ids().filter(|&id| self.core.runtime.is_active(id)).filter_map(|id| self.period(id));
        periods.map(|n| (icount / n + 1).saturating_mul(n)).min().unwrap_or(u64::MAX)
    }

    fn needs_icount(&self) -> bool {
        // A bare `count` is the one statement that never asks where or when it is.
        self.program.probes.iter().any(|probe| {
            let plain =
                |stmt: &Stmt| matches!(&stmt.kind, StmtKind::Aggregate { value: None, keys, .. } if keys.is_empty());
            matches!(probe.event, ir::Event::EveryInsns(_)) || !probe.body.iter().all(plain)
        })
    }

    fn event_blocks(
        &mut self,
        event: PlainEvent,
        memory: &GuestMemory,
        pc: u64,
        icount: u64,
        status: u8,
    ) -> Vec<Block> {
        let concerned = |probes: &Self, id: ProbeId| match (event, &probes.program.probes[id.0 as usize].event) {
            (PlainEvent::Begin, ir::Event::Begin)
            | (PlainEvent::End, ir::Event::End)
            | (PlainEvent::Exit, ir::Event::Exit) => true,
            (PlainEvent::Every, ir::Event::EveryInsns(n)) => icount.is_multiple_of(*n),
            _ => false,
        };
        let ids: Vec<ProbeId> =
            self.ids().filter(|&id| self.core.runtime.is_active(id) && concerned(self, id)).collect();
        let insn = fetch(memory, self.core.isa, pc).filter(|_| event == PlainEvent::Every);
        let event = Event { pc, insn, status: u64::from(status) };
        ids.into_iter().map(|id| self.lowering.event_block(&mut self.core, id, event)).collect()
    }

    fn cells(&self) -> Arc<[AtomicU64]> {
        self.core.runtime.cells().all()
    }

    fn flush(&mut self) {
        self.core.runtime.flush();
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

impl Probes {
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

    fn set_fired_cell(&mut self, probe: ProbeId, cell: u32) {
        self.runtime.set_hits_cell(probe, cell);
    }

    fn patch_cell(&mut self, _probe: ProbeId, _span: Span, what: &str) -> u32 {
        self.runtime.patch_cell(what)
    }

    fn scalar_cell(&self, state: ir::StateId) -> Option<u32> {
        self.runtime.states().scalar_cell(state)
    }

    fn count_cell(&mut self, state: ir::StateId, keys: &[u64]) -> Option<u32> {
        let types = self.program.states[state.0 as usize].keys.clone();
        let mut parts = Vec::new();
        let mut slots = keys.iter();
        for ty in types {
            let low = *slots.next()?;
            parts.push(match ty {
                Type::Str | Type::Bytes => KeyPart::Text(self.runtime.text(low).into()),
                Type::U128 => KeyPart::Wide(u128::from(low) | u128::from(*slots.next()?) << 64),
                _ => KeyPart::Int(low),
            });
        }
        self.runtime.states_mut().cell_for(state, &parts)
    }

    fn is_active(&self, probe: ProbeId) -> bool {
        self.runtime.is_active(probe)
    }

    fn touches(&self, start: u64, end: u64) -> bool {
        let ids = (0..self.attachments.len() as u32).map(ProbeId);
        let at_instructions =
            |id: &ProbeId| matches!(self.program.probes[id.0 as usize].event, ir::Event::Insn(_) | ir::Event::Block);
        ids.filter(at_instructions).any(|id| self.runtime.is_active(id) && self.attachment(id).touches(&(start..end)))
    }

    fn matches(&self, probe: ProbeId, pc: u64) -> bool {
        self.attachment(probe).matches(pc)
    }

    fn address_of(&self, loc: &Loc) -> Option<u64> {
        self.addresses.get(&loc.span).copied()
    }

    fn function(&self, pc: u64) -> String {
        self.symbols.locate(pc).map(|found| found.name).unwrap_or_default()
    }

    fn module(&self, pc: u64) -> String {
        self.symbols.module_of(pc).map(|module| module.name.clone()).unwrap_or_default()
    }

    fn section(&self, pc: u64) -> String {
        self.symbols.section_of(pc).unwrap_or_default().to_owned()
    }
}
