//! The execution loop: one guest thread, its translations, its environment and its probes.
//!
//! It decides what runs next and in which tier. It does not know guest architectures, micro-ops or system calls.

use crate::block::Block;
use crate::cache::{BlockId, Cache};
use crate::cpu::{CpuState, poll, resume};
use crate::env::{Environment, Outcome, Status, TrapEvent};
use crate::interp::{self, ActionCall, Context, Host, Leave};
use crate::isa::Isa;
use crate::jit::{Jit, Targets};
use crate::mem::{Access, Fault, GuestMemory, PAGE};
use crate::translate::{Splice, translate};
use crate::uop::{JumpHint, Uop, slot};
use hashbrown::HashSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which engine tiers run the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// Interpret first, compile what is hot.
    #[default]
    Auto,
    /// Never compile.
    Interp,
    /// Compile everything at first sight.
    Jit,
}

/// Times that a block is interpreted before its region is compiled.
const HOT: u32 = 1000;

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// Which tiers.
    pub tier: Tier,
    /// End the run after so many instructions.
    pub max_insns: Option<u64>,
    /// Keep the instruction count exact although nothing here asks for it.
    pub count: bool,
}

/// An event that happens between instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainEvent {
    /// Before the first instruction.
    Begin,
    /// A number of instructions has passed.
    Every,
    /// The guest process has ended.
    Exit,
    /// After the last instruction.
    End,
}

/// The probes of a run, as the loop sees them.
pub trait ProbeEngine {
    /// Calls `use_it` with what splices the probes into blocks.
    fn splice(&mut self, use_it: &mut dyn FnMut(&mut dyn Splice));

    /// Performs an action; see [`Host::action`].
    fn action(
        &mut self,
        call: ActionCall,
        cpu: &mut CpuState,
        memory: &GuestMemory,
        environment: &dyn Environment,
    ) -> u64;

    /// Returns, and forgets, the code ranges in which probes have come or gone.
    fn take_changes(&mut self) -> Vec<Range<u64>>;

    /// The status that a probe has asked the run to end with.
    fn end_request(&self) -> Option<u8>;

    /// The instruction count at which the next `every` probe fires; above `icount`, or `u64::MAX`.
    fn next_every(&self, icount: u64) -> u64;

    /// True if any probe needs exact instruction counts.
    fn needs_icount(&self) -> bool;

    /// The bodies of the probes that wait for `event`, in source order, as blocks without instructions.
    fn event_blocks(&mut self, event: PlainEvent, memory: &GuestMemory, pc: u64, icount: u64, status: u8)
    -> Vec<Block>;

    /// The run-time cells.
    fn cells(&self) -> Arc<[AtomicU64]>;

    /// Writes out what is buffered, before the guest may write to the same terminal.
    fn flush(&mut self);

    /// The engine itself, for its owner.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest ended.
    Guest(Status),
    /// A probe ended the run with this status.
    Probe(u8),
    /// `max_insns` was reached.
    Limit,
}

/// Connects the micro-ops' host calls with the probes and the environment.
struct EngineHost<'a> {
    probes: Option<&'a mut (dyn ProbeEngine + 'static)>,
    environment: &'a dyn Environment,
}

impl Host for EngineHost<'_> {
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, memory: &GuestMemory) -> u64 {
        match &mut self.probes {
            Some(probes) => probes.action(call, cpu, memory, self.environment),
            None => 0,
        }
    }

    fn ticks(&self) -> u64 {
        self.environment.ticks()
    }
}

/// A guest thread with everything that it needs to run.
pub struct Vm {
    /// The CPU state; `pc` is where the run begins.
    pub cpu: Box<CpuState>,
    /// Guest memory.
    pub memory: Arc<GuestMemory>,
    /// What handles system calls and traps.
    pub environment: Box<dyn Environment>,
    /// The probes, if there are any.
    pub probes: Option<Box<dyn ProbeEngine>>,
    isa: &'static dyn Isa,
    config: Config,
    cells: Arc<[AtomicU64]>,
    cache: Cache,
    jit: Option<Jit>,
    /// True if blocks are compiled; `jit` is made anew when it is needed in a forked process.
    compiles: bool,
    /// Whether generated code keeps the instruction count exact.
    count: bool,
    /// Number of blocks translated, retranslations included.
    translated: u64,
    /// Value of `cpu.icount` at which `every` probes fire next.
    next_every: u64,
}

impl Vm {
    /// Makes a machine that is ready to run at `cpu.pc`.
    ///
    /// # Errors
    /// The host's error if there is no memory for generated code.
    pub fn new(
        isa: &'static dyn Isa,
        cpu: Box<CpuState>,
        memory: Arc<GuestMemory>,
        environment: Box<dyn Environment>,
        probes: Option<Box<dyn ProbeEngine>>,
        config: Config,
    ) -> std::io::Result<Self> {
        let cells = probes.as_ref().map_or_else(|| Arc::from([]), |probes| probes.cells());
        let count = config.count || config.max_insns.is_some() || probes.as_ref().is_some_and(|p| p.needs_icount());
        let jit = match config.tier {
            Tier::Interp => None,
            Tier::Auto | Tier::Jit => Some(Jit::new(&memory, &cells, count)?),
        };
        Ok(Vm {
            cpu,
            memory,
            environment,
            probes,
            isa,
            config,
            cells,
            cache: Cache::default(),
            compiles: jit.is_some(),
            jit,
            count,
            translated: 0,
            next_every: u64::MAX,
        })
    }

    /// Runs until the guest, a probe or the limit ends the run. The `exit` and `end` probes have run by then.
    pub fn run(&mut self) -> End {
        self.next_every = self.every_after(self.cpu.icount);
        self.fire(PlainEvent::Begin, 0);
        let end = loop {
            if let Some(end) = self.turn() {
                break end;
            }
        };
        let status = match end {
            End::Guest(Status::Exited(code)) | End::Probe(code) => code,
            End::Guest(Status::Signaled(signal)) => 128 + signal,
            End::Limit => 124,
        };
        if matches!(end, End::Guest(_)) {
            self.fire(PlainEvent::Exit, status);
        }
        self.fire(PlainEvent::End, status);
        match self.probes.as_ref().and_then(|probes| probes.end_request()) {
            Some(status) => End::Probe(status),
            None => end,
        }
    }

    /// Number of blocks translated so far, retranslations included.
    pub fn translated_blocks(&self) -> u64 {
        self.translated
    }

    /// Returns the block at `pc` as it would be executed, for dumps.
    pub fn block_at(&mut self, pc: u64) -> Arc<Block> {
        let id = self.block(pc, true);
        self.cache.entry(id).block.clone()
    }

    /// Returns the code of the region at `pc` for dumps: Cranelift's IR, or host code if `assembly`.
    pub fn generated_code(&mut self, pc: u64, assembly: bool) -> String {
        let region = vec![self.block_at(pc)];
        self.jit.as_mut().map(|jit| jit.dump(&region, assembly)).unwrap_or_default()
    }

    /// Does one thing: handles what is pending, or executes a block or a chain of them.
    fn turn(&mut self) -> Option<End> {
        if self.cpu.poll.load(Ordering::Relaxed) != 0
            && let Some(end) = self.handle_poll()
        {
            return Some(end);
        }
        if self.memory.has_written_code() {
            self.drop_written_code();
        }
        let remaining = self.limit().saturating_sub(self.cpu.icount);
        if remaining == 0 {
            return self.at_limit();
        }
        let resumed = std::mem::replace(&mut self.cpu.resume, resume::ENTRY);
        let enters = resumed == resume::ENTRY;
        let id = self.block(self.cpu.pc, enters);
        if enters && self.compiles {
            self.settle_fp_mode();
            if let Some(code) = self.code(id, remaining) {
                self.enter_code(code);
                return None;
            }
        }
        self.interpret(id, resumed, remaining)
    }

    /// The instruction count at which the loop must look.
    fn limit(&mut self) -> u64 {
        let limit = self.config.max_insns.unwrap_or(u64::MAX).min(self.next_every);
        self.cpu.limit = limit;
        limit
    }

    /// Generated code for a block, compiled now if it is hot enough and there is room for it in the budget.
    fn code(&mut self, id: BlockId, remaining: u64) -> Option<usize> {
        let entry = self.cache.entry(id);
        if remaining < entry.block.insns.len() as u64 {
            return None;
        }
        if entry.code != 0 {
            return Some(entry.code);
        }
        let hot = self.config.tier == Tier::Jit || entry.count >= HOT;
        if !hot || entry.interpret_only {
            return None;
        }
        let pc = entry.block.pc;
        if self.jit.is_none() {
            self.jit = Jit::new(&self.memory, &self.cells, self.count).ok();
            self.compiles = self.jit.is_some();
            self.settle_fp_mode();
        }
        let (region, targets) = self.region(pc);
        let jit = self.jit.as_mut()?;
        let Some(compiled) = jit.compile(&region, &targets) else {
            self.cache.entry(id).interpret_only = true;
            return None;
        };
        for pc in compiled.entries {
            if let Some(id) = self.cache.find(pc, true) {
                self.cache.entry(id).code = compiled.code;
            }
        }
        Some(self.cache.entry(id).code).filter(|&code| code != 0)
    }

    /// The blocks to compile together with the one at `root`: those that direct branches reach and that have been
    /// executed, or all of them if everything is compiled at first sight.
    fn region(&mut self, root: u64) -> (Vec<Arc<Block>>, Targets) {
        let mut region: Vec<Arc<Block>> = Vec::new();
        let mut targets = Targets::default();
        let mut queue = VecDeque::from([root]);
        let mut seen: HashSet<u64> = HashSet::from_iter([root]);
        let mut insns = 0;
        while let Some(pc) = queue.pop_front() {
            let id = match self.config.tier {
                Tier::Jit if region.len() < 16 => self.block(pc, true),
                _ => match self.cache.find(pc, true) {
                    Some(id) => id,
                    None => continue,
                },
            };
            let block = self.cache.entry(id).block.clone();
            if !region.is_empty() && insns + block.insns.len() > crate::jit::MAX_REGION_INSNS {
                continue;
            }
            insns += block.insns.len();
            let observed = self.cache.entry(id).targets.clone();
            for next in crate::jit::region_successors(&block).chain(observed.iter().copied()) {
                if seen.insert(next) {
                    queue.push_back(next);
                }
            }
            if !observed.is_empty() {
                targets.insert(pc, observed);
            }
            region.push(block);
            if region.len() == crate::jit::MAX_REGION_BLOCKS {
                break;
            }
        }
        (region, targets)
    }

    fn enter_code(&mut self, code: usize) {
        let Some(jit) = self.jit.as_mut() else { return };
        let mut host = EngineHost { probes: self.probes.as_deref_mut(), environment: &*self.environment };
        let mut ctx = Context { memory: &self.memory, isa: self.isa, cells: &self.cells, host: &mut host };
        let link = jit.enter(code, &mut self.cpu, &mut ctx);
        if self.cpu.resume == resume::ENTRY
            && let Some(id) = self.cache.find(self.cpu.pc, true)
        {
            let code = self.cache.entry(id).code;
            if code != 0 {
                jit.link(link, self.cpu.pc, code);
            }
        }
    }

    fn interpret(&mut self, id: BlockId, resumed: u32, remaining: u64) -> Option<End> {
        let entry = self.cache.entry(id);
        entry.count = entry.count.saturating_add(1);
        let block = entry.block.clone();
        let stop = usize::try_from(remaining).unwrap_or(usize::MAX).min(block.insns.len());
        let mut from = if resumed == resume::BODY { block.insns[0].body } else { 0 };
        loop {
            let leave = self.in_context(|cpu, ctx| interp::run(&block, from, stop, cpu, ctx));
            match leave {
                Leave::Next => {
                    if let Some(Uop::JumpInd { hint: JumpHint::Jump, .. }) = block.uops.last() {
                        self.cache.entry(id).note_target(self.cpu.pc);
                    }
                    return None;
                }
                Leave::Trap(event) => return self.trap(event),
                Leave::Syscall(next) => {
                    if let Some(probes) = &mut self.probes {
                        probes.flush();
                    }
                    let outcome = self.environment.system_call(&mut self.cpu, &self.memory);
                    if self.environment.take_forked() {
                        // The parent goes on writing to the memory that its generated code is in.
                        self.jit = None;
                        self.cache.forget_code();
                    }
                    match outcome {
                        Outcome::Continue => {}
                        Outcome::Redirect => return None,
                        Outcome::End(status) => return Some(End::Guest(status)),
                    }
                    // The rest of the block counts from the block's start again.
                    self.cpu.icount -= block.insn_of(next - 1) as u64 + 1;
                    from = next;
                }
            }
        }
    }

    fn in_context<T>(&mut self, f: impl FnOnce(&mut CpuState, &mut Context<'_>) -> T) -> T {
        let mut host = EngineHost { probes: self.probes.as_deref_mut(), environment: &*self.environment };
        let mut ctx = Context { memory: &self.memory, isa: self.isa, cells: &self.cells, host: &mut host };
        f(&mut self.cpu, &mut ctx)
    }

    fn trap(&mut self, event: TrapEvent) -> Option<End> {
        let event = match event {
            // The permissions may have changed since the block was translated: ask again.
            TrapEvent::Fault(Fault { addr, access: Access::Fetch, .. }) => {
                let len = self.isa.insn_align();
                match self.memory.check(addr, len, Access::Fetch) {
                    Ok(_) => {
                        self.drop_code(self.cpu.pc..self.cpu.pc + 1);
                        return None;
                    }
                    Err(fault) => TrapEvent::Fault(fault),
                }
            }
            other => other,
        };
        match self.environment.trap(&mut self.cpu, &self.memory, event) {
            Outcome::Continue | Outcome::Redirect => None,
            Outcome::End(status) => Some(End::Guest(status)),
        }
    }

    /// Finds or translates the block at `pc`.
    fn block(&mut self, pc: u64, enters: bool) -> BlockId {
        if let Some(id) = self.cache.find(pc, enters) {
            return id;
        }
        let mut block = None;
        match self.probes.as_deref_mut() {
            None => block = Some(translate(self.isa, &self.memory, pc, enters, None)),
            Some(probes) => probes.splice(&mut |splice| {
                block = Some(translate(self.isa, &self.memory, pc, enters, Some(splice)));
            }),
        }
        let block = block.unwrap_or_default();
        if self.memory.perms(pc) != 0 {
            self.memory.mark_code(pc);
            if (block.end - 1) / PAGE != pc / PAGE && self.memory.perms(block.end - 1) != 0 {
                self.memory.mark_code(block.end - 1);
            }
        }
        self.translated += 1;
        self.cache.insert(block, enters)
    }

    fn drop_written_code(&mut self) {
        for page in self.memory.take_written_code() {
            self.drop_code(page..page + PAGE);
            if !self.cache.has_page(page) {
                self.memory.unmark_code(page);
            }
        }
    }

    fn drop_code(&mut self, range: Range<u64>) {
        let removed = self.cache.remove(range);
        if let Some(jit) = &mut self.jit {
            for pc in jit.drop_blocks(&removed) {
                if let Some(id) = self.cache.find(pc, true) {
                    self.cache.entry(id).code = 0;
                }
            }
        }
    }

    /// Drops generated code that was made for another floating-point mode.
    fn settle_fp_mode(&mut self) {
        let Some(jit) = &mut self.jit else { return };
        for pc in jit.settle_mode(self.cpu.x[slot::FP_CONTROL as usize]) {
            if let Some(id) = self.cache.find(pc, true) {
                self.cache.entry(id).code = 0;
            }
        }
    }

    /// Looks at what the thread was asked to look at.
    fn handle_poll(&mut self) -> Option<End> {
        let asked = self.cpu.poll.swap(0, Ordering::AcqRel);
        if asked & poll::CODE != 0 {
            self.drop_written_code();
            let changes = self.probes.as_mut().map(|probes| probes.take_changes()).unwrap_or_default();
            for range in changes {
                self.drop_code(range);
            }
            // `every` probes may have come or gone; one that is due now still fires.
            if self.next_every > self.cpu.icount {
                self.next_every = self.every_after(self.cpu.icount);
            }
        }
        if asked & poll::STOP != 0
            && let Some(status) = self.probes.as_ref().and_then(|probes| probes.end_request())
        {
            return Some(End::Probe(status));
        }
        if asked & poll::SIGNAL != 0 {
            // A handler starts at an instruction boundary: the rest of a half-probed instruction is executed first.
            if self.cpu.resume == resume::BODY {
                self.cpu.poll.fetch_or(poll::SIGNAL, Ordering::Relaxed);
                let id = self.block(self.cpu.pc, false);
                self.cpu.resume = resume::ENTRY;
                return self.interpret(id, resume::BODY, 1);
            }
            match self.environment.poll(&mut self.cpu, &self.memory) {
                Outcome::Continue => {}
                Outcome::Redirect => self.cpu.resume = resume::ENTRY,
                Outcome::End(status) => return Some(End::Guest(status)),
            }
        }
        None
    }

    /// The limit of the instruction count has been reached: the run ends, or `every` probes fire.
    fn at_limit(&mut self) -> Option<End> {
        if self.config.max_insns.is_some_and(|max| self.cpu.icount >= max) {
            return Some(End::Limit);
        }
        self.fire(PlainEvent::Every, 0);
        self.next_every = self.every_after(self.cpu.icount);
        None
    }

    /// The instruction count above `icount` at which `every` probes fire.
    fn every_after(&self, icount: u64) -> u64 {
        self.probes.as_ref().map_or(u64::MAX, |probes| probes.next_every(icount))
    }

    /// Runs the bodies of the probes that wait for `event`.
    fn fire(&mut self, event: PlainEvent, status: u8) {
        let Some(probes) = self.probes.as_mut() else { return };
        for block in probes.event_blocks(event, &self.memory, self.cpu.pc, self.cpu.icount, status) {
            let (pc, resumed) = (self.cpu.pc, self.cpu.resume);
            self.in_context(|cpu, ctx| interp::run(&block, 0, 0, cpu, ctx));
            // A `goto` in the body moves pc; else the run goes on where it was.
            if self.cpu.pc == block.end {
                (self.cpu.pc, self.cpu.resume) = (pc, resumed);
            }
        }
    }
}
