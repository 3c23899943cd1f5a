//! The execution loop of a guest thread.
//!
//! It decides what runs next and in which tier. What the threads of a process share is in [`crate::machine`]. It does
//! not know guest architectures, micro-ops or system calls.

use crate::block::Block;
use crate::cache::{Entry, Front};
use crate::cells::{Cells, Counters};
use crate::control::Control;
use crate::cpu::{CpuState, poll, resume};
use crate::env::{AskedCall, Environment, Outcome, OutputSource, Raised, Signal, Status, TrapEvent, Written};
use crate::gate::{self, Gate, Member};
use crate::interp::{self, ActionCall, Context, Host, Leave};
use crate::isa::Isa;
use crate::jit::{FpMode, Gateway, JumpCache, Left};
use crate::machine::Machine;
use crate::mem::{Access, Fault, GuestMemory};
use crate::perf::PerfMap;
use crate::probe::attach::Module;
use crate::stats::{Activity, Meter, Section, Way};
use crate::store::Folder;
use crate::translate::Splice;
use crate::uop::{JumpHint, Uop, slot};
use spile_lang::ir::Cause;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, mpsc};

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
    /// Make quick code of each block at first sight, and no other.
    Quick,
}

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// Which tiers.
    pub tier: Tier,
    /// End the run after so many instructions of all threads together.
    pub max_insns: Option<u64>,
    /// Keep the instruction count exact although nothing here asks for it.
    pub count: bool,
    /// Compile on the guest's threads, not beside them: when code changes over then depends on nothing else.
    pub compile_at_once: bool,
    /// Measure where the time goes, for [`Vm::stats`].
    pub stats: bool,
}

/// What generated code does with the instruction count of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counting {
    /// Nobody asks for it.
    Off,
    /// It is exact wherever somebody may look at it.
    Exact,
    /// It is, and generated code stops at [`CpuState::limit`].
    Limited,
}

/// An event that happens between instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlainEvent {
    /// Before the first instruction.
    Begin,
    /// A number of instructions has passed.
    Every,
    /// The thread has run for so many nanoseconds.
    Clock(u64),
    /// The thread has ended, or with the last one the process.
    Exit,
    /// After the last instruction.
    End,
    /// A thread other than the first begins, or a forked process.
    Spawn,
    /// Before a system call.
    Call(AskedCall),
    /// After a system call that took so many nanoseconds.
    Return(AskedCall, u64),
    /// A signal is delivered.
    Signal(Signal),
    /// The instruction cannot be executed, and the address that this is about.
    Trap(Cause, u64),
    /// A module is mapped.
    Load(Module),
    /// The guest has written a line, by the system call at this address.
    Output(OutputSource, Vec<u8>, u64),
    /// Somebody outside has said this name.
    Mark(String),
}

/// The probes of a run, as the loop sees them.
pub trait ProbeEngine: Send {
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

    /// Looks for the places of the probes in the files that are mapped now. True if there are changes to take.
    fn modules_changed(&mut self, _memory: &GuestMemory, _environment: &dyn Environment) -> bool {
        false
    }

    /// Returns, and forgets, the modules that have been mapped since the last time.
    fn take_loaded(&mut self) -> Vec<Module> {
        Vec::new()
    }

    /// Returns, and forgets, the names that have been said outside.
    fn take_marks(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// True if a probe waits for what the guest writes.
    fn waits_for_output(&self) -> bool {
        false
    }

    /// Takes in what the guest has written, or with `None` that it waits for input. Returns the lines that are complete.
    fn output_lines(&mut self, _written: Option<Written>) -> Vec<(OutputSource, Vec<u8>)> {
        Vec::new()
    }

    /// The status that a probe has asked the run to end with.
    fn end_request(&self) -> Option<u8>;

    /// The instruction count at which the next `every` probe fires; above `icount`, or `u64::MAX`.
    fn next_every(&self, icount: u64) -> u64;

    /// The instruction count at which the clock is to be looked at; above `icount`, or `u64::MAX`. `counted`: a thread
    /// runs for a nanosecond with each of its instructions.
    fn next_clock(&self, _icount: u64, _counted: bool) -> u64 {
        u64::MAX
    }

    /// A thread has executed so many instructions.
    fn note_count(&mut self, _thread: u64, _icount: u64) {}

    /// A thread makes no more instructions; it has executed so many that are not told again with [`PlainEvent::End`].
    fn end_count(&mut self, _thread: u64, _icount: u64) {}

    /// The instruction count at which [`ProbeEngine::look`] is to be called for a thread; `u64::MAX` if never.
    fn next_look(&self, _thread: u64, _icount: u64) -> u64 {
        u64::MAX
    }

    /// Between two instructions: ends what has lasted for its time. True if the thread is traced and is to be looked at
    /// again behind the next instruction.
    fn look(&mut self, _cpu: &mut CpuState, _memory: &GuestMemory, _environment: &dyn Environment) -> bool {
        false
    }

    /// A traced thread goes on elsewhere without having executed an instruction to its end; `begun`: it began one.
    fn look_away(&mut self, _begun: bool, _cpu: &CpuState, _memory: &GuestMemory, _environment: &dyn Environment) {}

    /// After [`poll::INSN`]: the encoding that the instruction at `pc` is executed as, this time.
    fn take_replaced(&mut self, _thread: u64, _pc: u64, _icount: u64) -> Option<u32> {
        None
    }

    /// What the probes need of the instruction count.
    fn counting(&self) -> Counting;

    /// The bodies of the probes that wait for `event`, in source order, as blocks without instructions.
    fn event_blocks(
        &mut self,
        event: PlainEvent,
        memory: &GuestMemory,
        pc: u64,
        icount: u64,
        status: u8,
        thread: u64,
    ) -> Vec<Block>;

    /// True if a probe waits for system calls.
    fn waits_for_calls(&self) -> bool {
        false
    }

    /// Puts into the thread's slots what probes know of the calls that it is in, when that may have changed.
    fn show_calls(&self, _thread: u64, _cpu: &mut CpuState) {}

    /// After [`PlainEvent::Call`]: whether a probe has finished the thread's call, with which result if any.
    fn take_finished_call(&mut self, _thread: u64) -> Option<Option<u64>> {
        None
    }

    /// The run-time cells.
    fn cells(&self) -> Arc<Cells>;

    /// A thread is about to be made, with these registers; the new one begins with them.
    fn spawned(&mut self, _thread: u64, _new: &mut CpuState) {}

    /// A thread makes no more instructions while others go on: ends what would have ended with later ones.
    fn stop_thread(&mut self, _thread: u64, _cpu: &mut CpuState, _memory: &GuestMemory) {}

    /// Forgets what belongs to a thread that is over.
    fn end_thread(&mut self, _thread: u64) {}

    /// In a forked child, in which the thread `parent` goes on as `child` and no other thread is there.
    fn forked(&mut self, _parent: u64, _child: u64, _cpu: &mut CpuState, _memory: &GuestMemory) {}

    /// Ends the output of a forked child and returns its status, given the guest's.
    fn child_status(&mut self, status: u8, memory: &GuestMemory) -> u8;

    /// Writes out all that has been printed, before the guest may write to the same terminal.
    fn flush(&mut self, memory: &GuestMemory);

    /// Writes at most so many of the records that threads have left, as far as the buffer of the output. Returns how many
    /// there were.
    fn write_records(&mut self, _memory: &GuestMemory, _most: u64) -> u64 {
        0
    }

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

impl End {
    /// The exit status that shells show.
    pub fn status(&self) -> u8 {
        match *self {
            End::Guest(Status::Exited(code)) | End::Probe(code) => code,
            End::Guest(Status::Signaled(signal)) => 128 + signal,
            End::Limit => 124,
        }
    }
}

/// Why a thread leaves its loop.
enum Stop {
    /// It ends the run.
    Run(End),
    /// The run has been ended elsewhere.
    Elsewhere,
    /// It is over, with this status; others go on.
    Thread(u8),
}

/// Connects the micro-ops' host calls with the probes and the environment.
struct EngineHost<'a> {
    machine: &'a Arc<Machine>,
    environment: &'a dyn Environment,
    meter: &'a Meter,
}

impl Host for EngineHost<'_> {
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, memory: &GuestMemory) -> u64 {
        let perform =
            || self.machine.probes().map_or(0, |mut probes| probes.action(call, cpu, memory, self.environment));
        self.meter.action();
        let result = self.meter.spend(Activity::Probing, perform);
        self.machine.call_writer();
        result
    }

    fn ticks(&self, icount: u64) -> u64 {
        self.environment.ticks(icount)
    }

    fn ticks_are_counted(&self) -> bool {
        self.environment.ticks_are_counted()
    }
}

/// What the micro-ops of a thread see besides its CPU.
fn context<'a>(machine: &'a Machine, counters: &'a Counters, host: &'a mut dyn Host) -> Context<'a> {
    Context { memory: &machine.memory, isa: machine.isa, cells: &machine.cells, counters, host }
}

/// Ends the process if a thread panics: others would wait for it for ever. The message has been printed by then.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// A guest thread with everything that it needs to run.
pub struct Vm {
    /// The CPU state; `pc` is where the run begins. After the run it is that of the thread that ended it.
    pub cpu: Box<CpuState>,
    /// Guest memory.
    pub memory: Arc<GuestMemory>,
    /// What handles system calls and traps.
    pub environment: Box<dyn Environment>,
    machine: Arc<Machine>,
    member: Arc<Member>,
    /// This thread ends the process: it is the first one, or forked it.
    leads: bool,
    front: Front,
    counters: Counters,
    meter: Meter,
    gateway: Option<Gateway>,
    jump_cache: JumpCache,
    /// [`Machine::epoch`] and the mode for which `gateway` and `jump_cache` are good.
    good_for: Option<(u64, FpMode)>,
    /// [`Machine::replaced`] for which `jump_cache` is.
    replaced_code: usize,
    /// Value of `cpu.icount` up to which this thread has taken instructions of the run's limit.
    budget_end: u64,
    /// Value of `cpu.icount` at which `every` probes fire next, or something that lasts ends.
    next_every: u64,
    /// The thread is traced: where it was looked at last, and its instruction count there.
    traced: Option<(u64, u64)>,
    /// What the instruction, behind its before-probes, is executed as.
    replaced: Option<u32>,
    /// Value of `cpu.icount` at which this thread's turn ends.
    turn_end: u64,
}

/// Remembers where a jump that has just been interpreted led.
fn note_target(entry: &Entry, pc: u64) {
    if let Some(Uop::JumpInd { hint: JumpHint::Jump, .. }) = entry.block.uops.last() {
        entry.note_target(pc);
    }
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
        mut environment: Box<dyn Environment>,
        probes: Option<Box<dyn ProbeEngine>>,
        config: Config,
    ) -> std::io::Result<Self> {
        let machine = Machine::new(isa, memory, probes, config)?;
        let own = Arc::downgrade(&machine);
        environment.before_exec(Box::new(move || {
            if let Some(machine) = own.upgrade()
                && let Some(mut probes) = machine.probes()
            {
                probes.flush(&machine.memory);
            }
        }));
        let member = machine.gate.add(cpu.poll);
        let counters = machine.cells.common();
        Ok(Vm { leads: true, ..Vm::thread(machine, cpu, environment, member, counters) })
    }

    fn thread(
        machine: Arc<Machine>,
        cpu: Box<CpuState>,
        environment: Box<dyn Environment>,
        member: Arc<Member>,
        counters: Counters,
    ) -> Vm {
        Vm {
            budget_end: cpu.icount,
            cpu,
            memory: machine.memory.clone(),
            environment,
            meter: Meter::new(machine.config.stats),
            machine,
            member,
            leads: false,
            front: Front::default(),
            counters,
            gateway: None,
            jump_cache: JumpCache::default(),
            good_for: None,
            replaced_code: 0,
            next_every: u64::MAX,
            traced: None,
            replaced: None,
            turn_end: u64::MAX,
        }
    }

    /// Runs until the guest, a probe or the limit ends the run, with all threads that the guest makes. The `exit` and
    /// `end` probes have run by then. To be called once.
    pub fn run(&mut self) -> End {
        self.machine.gate.adopt(self.member.clone());
        self.member.set_id(self.environment.thread_id());
        self.next_every = self.every_after(self.cpu.icount);
        self.turn_end = self.environment.turn_end();
        self.fire(PlainEvent::Begin, 0);
        self.tell_loaded();
        let stop = self.turn_until_stop();
        self.stop(stop);
        let end = self.lead_to_end();
        Gate::forsake();
        end
    }

    /// The probes, if there are any.
    pub fn probes(&self) -> Option<MutexGuard<'_, Box<dyn ProbeEngine>>> {
        self.machine.probes()
    }

    /// The way to the probes for a host thread that changes them while the guest runs.
    pub fn control(&self) -> Control {
        Control::new(&self.machine)
    }

    /// What the run has done, if [`Config::stats`] asked for it; after the run.
    pub fn stats(&self) -> Vec<Section> {
        self.machine.stats()
    }

    /// Enters generated code into a map; to be called before the run.
    pub fn set_perf_map(&self, map: PerfMap) {
        self.machine.set_perf_map(map);
    }

    /// Uses what earlier runs of `program` have compiled, and keeps what this run compiles; to be called before the run.
    ///
    /// # Errors
    /// The host's error if the folder cannot be used; permission denied if others than the user can write there.
    pub fn set_store(&self, folder: &Folder, program: &Path) -> std::io::Result<()> {
        self.machine.set_store(folder, program)
    }

    /// Number of blocks translated so far, retranslations included.
    pub fn translated_blocks(&self) -> u64 {
        self.machine.translated_blocks()
    }

    /// Returns the block at `pc` as it would be executed, for dumps.
    pub fn block_at(&mut self, pc: u64) -> Arc<Entry> {
        self.machine.entry(pc, true).0
    }

    /// Returns the code of the region at `pc` for dumps: Cranelift's IR, or host code if `assembly`.
    pub fn generated_code(&mut self, pc: u64, assembly: bool) -> String {
        self.machine.generated_code(pc, assembly)
    }

    // ---- threads

    /// Waits for the end of the run and fires the probes that wait for it.
    fn lead_to_end(&mut self) -> End {
        self.machine.gate.wait_for_others(&self.member);
        self.machine.gate.close();
        let Some(ending) = self.machine.take_ending() else {
            unreachable!("the last thread of a guest ends the run");
        };
        (self.cpu, self.budget_end) = (ending.cpu, u64::MAX);
        let status = ending.end.status();
        if matches!(ending.end, End::Guest(_)) {
            self.fire(PlainEvent::Exit, status);
        }
        self.fire(PlainEvent::End, status);
        if let Some(mut probes) = self.probes() {
            probes.flush(&self.memory);
        }
        self.machine.add_counts(&self.meter.take());
        self.machine.close_perf_map();
        // What others map as well, a file, is to hold what has been stored.
        self.memory.release_all();
        match self.probes().and_then(|probes| probes.end_request()) {
            Some(status) => End::Probe(status),
            None => ending.end,
        }
    }

    fn turn_until_stop(&mut self) -> Stop {
        loop {
            if let Some(stop) = self.turn() {
                return stop;
            }
        }
    }

    /// Tells the others why this thread stops.
    fn stop(&mut self, mut stop: Stop) {
        if let Stop::Thread(status) = stop {
            self.fire(PlainEvent::Exit, status);
            if let Some(status) = self.probes().and_then(|probes| probes.end_request()) {
                stop = Stop::Run(End::Probe(status));
            }
            if let Some(mut probes) = self.machine.probes() {
                probes.stop_thread(self.environment.thread_id(), &mut self.cpu, &self.memory);
            }
            if self.memory.has_written_code() {
                self.machine.drop_written_code();
            }
            self.environment.end_thread(&self.memory);
        }
        // The events at the end have the state, and with it the count, of the thread that ends the run.
        let icount = if matches!(stop, Stop::Run(_)) { 0 } else { self.cpu.icount };
        if let Some(mut probes) = self.probes() {
            probes.end_count(self.environment.thread_id(), icount);
        }
        self.machine.return_budget(self.budget_end.saturating_sub(self.cpu.icount));
        if let Stop::Run(end) = stop {
            let cpu = std::mem::take(&mut self.cpu);
            self.machine.end(&self.member, &*self.environment, end, cpu);
        }
    }

    /// What a host thread does for a guest thread other than the first.
    fn run_spawned(mut self) {
        self.environment.begin_turn();
        self.turn_end = self.environment.turn_end();
        self.next_every = self.every_after(self.cpu.icount);
        // It begins with the slots of its creator.
        self.show_calls();
        self.fire(PlainEvent::Spawn, 0);
        let stop = self.turn_until_stop();
        if self.leads {
            // A forked child, in which this is the first thread.
            self.stop(stop);
            let end = self.lead_to_end();
            self.machine.exit_process(end);
        }
        self.stop(stop);
        if let Some(mut probes) = self.probes() {
            probes.end_thread(self.environment.thread_id());
        }
        self.machine.cells.retire(&self.counters);
        self.machine.add_counts(&self.meter.take());
        self.machine.gate.remove(&self.member);
        self.environment.leave();
    }

    /// Starts the thread that the guest has asked for, and returns once it has begun.
    fn spawn(&mut self) {
        let Some(mut new) = self.environment.take_new_thread() else { return };
        if let Some(mut probes) = self.machine.probes() {
            probes.spawned(self.environment.thread_id(), &mut new.cpu);
        }
        new.cpu.hold_stuck();
        if self.machine.become_parallel() {
            self.counters = self.machine.cells.for_thread();
        }
        let member = self.machine.gate.add(new.cpu.poll);
        if self.machine.is_ending() {
            // Whoever ends the run may have asked the others before this one was among them.
            new.cpu.poll.fetch_or(poll::STOP, Ordering::Release);
        }
        let (sender, begun) = mpsc::channel();
        let (machine, own) = (self.machine.clone(), member.clone());
        let counters = machine.cells.for_thread();
        let unused = counters.clone();
        let thread = move || {
            let _guard = AbortOnPanic;
            let crate::env::NewThread { mut cpu, mut environment } = new;
            machine.gate.adopt(own.clone());
            let id = environment.begin_thread(&mut cpu, &machine.memory);
            own.set_id(id);
            // Its creator waits for this.
            let _ = sender.send(id);
            Vm::thread(machine, cpu, environment, own, counters).run_spawned();
        };
        let result = match std::thread::Builder::new().name("guest".into()).spawn(thread) {
            Ok(_) => begun.recv().map_err(|_| std::io::ErrorKind::Other.into()),
            Err(error) => {
                self.machine.gate.remove(&member);
                self.machine.cells.retire(&unused);
                Err(error)
            }
        };
        self.environment.finish_spawn(&mut self.cpu, result);
        self.cpu.hold_stuck();
    }

    // ---- the loop

    /// Does one thing: handles what is pending, or executes a block or a chain of them.
    fn turn(&mut self) -> Option<Stop> {
        self.meter.turn();
        if self.cpu.poll.load(Ordering::Relaxed) != 0 {
            // It looks again before it executes anything: behind half an instruction a signal is still to be delivered,
            // and the probes of the next one might leave in front of its second half.
            return self.handle_poll();
        }
        if self.memory.has_written_code() {
            self.machine.drop_written_code();
        }
        let remaining = self.limit().saturating_sub(self.cpu.icount);
        if remaining == 0 {
            return self.at_limit();
        }
        if self.traced.is_some_and(|(pc, icount)| icount == self.cpu.icount && pc != self.cpu.pc) {
            self.look_away(false);
        }
        if let Some(entry) = self.replaced_entry() {
            return self.interpret(&entry, resume::ENTRY, 1);
        }
        let enters = self.cpu.resume == resume::ENTRY;
        let entry = self.entry(self.cpu.pc, enters)?;
        let resumed = std::mem::replace(&mut self.cpu.resume, resume::ENTRY);
        if enters && let Some(code) = self.code(&entry, remaining) {
            return self.enter_code(code);
        }
        if let Some(stop) = self.interpret(&entry, resumed, remaining) {
            return Some(stop);
        }
        self.interpret_on()
    }

    /// Finds or translates the block at `pc`. `None` if this thread was outside meanwhile: the world has changed.
    fn entry(&mut self, pc: u64, enters: bool) -> Option<Arc<Entry>> {
        self.front.renew(self.machine.generation());
        if let Some(entry) = self.front.find(pc, enters) {
            return Some(entry.clone());
        }
        let (entry, outside) = self.meter.spend(Activity::Translating, || self.machine.entry(pc, enters));
        self.machine.call_writer();
        if outside {
            return None;
        }
        self.front.keep(entry.clone(), enters);
        Some(entry)
    }

    /// The rest of a half-probed instruction that is executed as another one.
    fn replaced_entry(&mut self) -> Option<Arc<Entry>> {
        let bits = self.replaced.take()?;
        self.cpu.resume = resume::ENTRY;
        Some(self.machine.replaced_entry(self.cpu.pc, bits))
    }

    fn look(&mut self) {
        let probes = self.machine.probes();
        let traced = probes.is_some_and(|mut probes| probes.look(&mut self.cpu, &self.memory, &*self.environment));
        self.traced = traced.then_some((self.cpu.pc, self.cpu.icount));
    }

    fn look_away(&mut self, begun: bool) {
        if let Some(mut probes) = self.machine.probes() {
            probes.look_away(begun, &self.cpu, &self.memory, &*self.environment);
        }
        self.traced = Some((self.cpu.pc, self.cpu.icount));
    }

    /// The instruction count at which the loop must look.
    fn limit(&mut self) -> u64 {
        if self.cpu.icount >= self.budget_end {
            self.budget_end = self.cpu.icount.saturating_add(self.machine.take_budget());
        }
        let limit = self.budget_end.min(self.next_every).min(self.turn_end);
        self.cpu.limit = limit;
        limit
    }

    fn fp_mode(&self) -> FpMode {
        FpMode::of(self.cpu.x[slot::FP_CONTROL as usize])
    }

    /// Generated code for a block, if there is room for it in the budget. If there is none and the block is hot enough, it
    /// is compiled now or soon.
    fn code(&mut self, entry: &Arc<Entry>, remaining: u64) -> Option<usize> {
        if remaining < entry.block.insns.len() as u64 {
            return None;
        }
        let mode = self.fp_mode();
        if !entry.has_region(mode) {
            self.improve(entry, mode);
        }
        Some(entry.code(mode)).filter(|&code| code != 0)
    }

    /// Sees to it that a block has the code that its executions are worth.
    fn improve(&mut self, entry: &Arc<Entry>, mode: FpMode) {
        if entry.wants_quick_code(mode, self.machine.quick()) {
            entry.note_quick_code(mode);
            self.meter.spend(Activity::Compiling, || self.machine.quicken(entry, mode));
        }
        let (hot, warm) = (self.machine.hot(entry.is_quick(mode)), self.machine.warm());
        if entry.executions() == warm {
            self.machine.note_warm(entry, mode);
        }
        if entry.is_hot(hot) && !entry.refuses_code() && entry.ask_for_code(mode) {
            self.meter.spend(Activity::Compiling, || self.machine.compile(entry, mode));
        }
        entry.set_alarm(warm, hot);
    }

    /// Makes `gateway` and `jump_cache` good for the code that is there now and for the thread's mode.
    fn settle(&mut self) -> Option<Gateway> {
        let now = Some((self.machine.epoch(), self.fp_mode()));
        let replaced = self.machine.replaced();
        let before = std::mem::replace(&mut self.replaced_code, replaced);
        if self.good_for != now {
            self.good_for = now;
            self.front.renew(self.machine.generation());
            self.gateway = self.machine.gateway();
            if let Some(gateway) = &self.gateway {
                self.jump_cache.clear(gateway);
            }
        } else if before != replaced
            && let Some(gateway) = &self.gateway
        {
            self.machine.replaced_since(before, |pc| self.jump_cache.forget(pc, gateway));
        }
        self.gateway
    }

    fn enter_code(&mut self, code: usize) -> Option<Stop> {
        let gateway = self.settle()?;
        let mut host = EngineHost { machine: &self.machine, environment: &*self.environment, meter: &self.meter };
        let mut ctx = context(&self.machine, &self.counters, &mut host);
        self.meter.enter();
        let before = self.meter.begin(Activity::Generated);
        let left = gateway.enter(code, &mut self.cpu, &self.counters, &mut self.jump_cache, &mut ctx);
        self.meter.begin(before);
        match self.cpu.resume {
            resume::ENTRY => self.link(left),
            resume::COLD => {
                self.meter.leave(Way::Cold, false);
                return self.go_on_cold(true);
            }
            resume::WITHIN => {
                self.meter.leave(Way::Cold, false);
                return self.go_on_cold(false);
            }
            _ => self.meter.leave(Way::Slow, false),
        }
        None
    }

    /// Interprets the rest of a block from the micro-op where generated code has nothing. Nothing else may come in
    /// between: half of the probes in front of an instruction may have run. `left_out` says that the compiler has left it
    /// out, and might not.
    fn go_on_cold(&mut self, left_out: bool) -> Option<Stop> {
        self.cpu.resume = resume::ENTRY;
        let (pc, at) = (self.cpu.pc, self.cpu.cold);
        // What a region has been made of is in the cache as long as its code is.
        let Some(entry) = self.entry(pc, true) else { unreachable!("a block of a region that runs is not dropped") };
        let often = left_out && entry.note_cold(at, self.machine.often());
        let block = &entry.block;
        let remaining = self.cpu.limit.saturating_sub(self.cpu.icount);
        let stop = usize::try_from(remaining).unwrap_or(usize::MAX).min(block.insns.len());
        let leave = self.run_block(block, at, stop);
        let stop = self.after(&entry, stop, leave);
        if often && entry.is_live() {
            self.machine.warm_up(pc);
        }
        stop
    }

    /// Makes generated code find the code at `cpu.pc` the next time it leaves in this way.
    fn link(&mut self, left: Left) {
        if self.settle().is_none() {
            return;
        }
        let (pc, mode) = (self.cpu.pc, self.fp_mode());
        let code = self.front.find(pc, true).map_or(0, |entry| entry.code(mode));
        self.meter.leave(left.into(), code != 0);
        if code == 0 {
            return;
        }
        match left {
            Left::Slow => {}
            Left::Branch(slot) => self.machine.link(slot, pc, mode),
            Left::Indirect(_) => self.jump_cache.keep(pc, code),
        }
    }

    fn interpret(&mut self, entry: &Arc<Entry>, resumed: u32, remaining: u64) -> Option<Stop> {
        entry.note_execution();
        let block = &entry.block;
        let stop = usize::try_from(remaining).unwrap_or(usize::MAX).min(block.insns.len());
        let from = if resumed == resume::BODY { block.insn(0).body } else { 0 };
        let leave = self.run_block(block, from, stop);
        self.after(entry, stop, leave)
    }

    /// Interprets one block after the other, as long as that is all there is to do: a short way around [`Vm::turn`].
    fn interpret_on(&mut self) -> Option<Stop> {
        let (hot, warm, quick) = (self.machine.hot(false), self.machine.warm(), self.machine.quick());
        let mut host = EngineHost { machine: &self.machine, environment: &*self.environment, meter: &self.meter };
        let mut ctx = context(&self.machine, &self.counters, &mut host);
        let cpu = &mut *self.cpu;
        let before = self.meter.begin(Activity::Interpreting);
        let mut last: Option<&Arc<Entry>> = None;
        while cpu.poll.load(Ordering::Relaxed) == 0 && cpu.resume == resume::ENTRY && !self.memory.has_written_code() {
            let Some(entry) = self.front.find(cpu.pc, true) else { break };
            let mode = FpMode::of(cpu.x[slot::FP_CONTROL as usize]);
            let insns = entry.block.insns.len();
            if entry.wants_code(mode, hot, warm, quick) || cpu.limit.saturating_sub(cpu.icount) < insns as u64 {
                break;
            }
            entry.note_execution();
            self.front.prefetch_next(entry);
            if let Some(last) = last.replace(entry) {
                last.note_next(entry);
            }
            match interp::run(&entry.block, 0, insns, cpu, &mut ctx) {
                Leave::Next => note_target(entry, cpu.pc),
                leave => {
                    let entry = entry.clone();
                    self.meter.begin(before);
                    return self.after(&entry, insns, leave);
                }
            }
        }
        self.meter.begin(before);
        None
    }

    /// Does what the interpreter has left a block for.
    fn after(&mut self, entry: &Entry, limit: usize, mut leave: Leave) -> Option<Stop> {
        let block = &entry.block;
        loop {
            match leave {
                Leave::Next => {
                    note_target(entry, self.cpu.pc);
                    return None;
                }
                Leave::Trap(event) => {
                    let at = self.cpu.cold;
                    let stop = self.trap(event);
                    if stop.is_some() || self.cpu.resume != resume::BODY {
                        return stop;
                    }
                    // The environment has made the access possible. What probes have changed of it is still there.
                    self.cpu.resume = resume::ENTRY;
                    self.cpu.icount -= block.insn_of(at) as u64;
                    leave = self.run_block(block, at, limit);
                }
                Leave::Syscall(next) => {
                    if let Some(stop) = self.system_call() {
                        return stop;
                    }
                    // The rest of the block counts from the block's start again.
                    self.cpu.icount -= block.insn_of(next - 1) as u64 + 1;
                    leave = self.run_block(block, next, limit);
                }
            }
        }
    }

    /// Performs a system call. `None` if the block goes on; else what [`Vm::turn`] returns.
    fn system_call(&mut self) -> Option<Option<Stop>> {
        self.meter.system_call();
        let before = self.meter.begin(Activity::Calling);
        let result = self.make_system_call();
        self.meter.begin(before);
        result
    }

    fn make_system_call(&mut self) -> Option<Option<Stop>> {
        let watched = self.probes().is_some_and(|mut probes| {
            probes.note_count(self.environment.thread_id(), self.cpu.icount);
            probes.flush(&self.memory);
            probes.waits_for_calls()
        });
        if watched {
            return Some(self.watched_call());
        }
        let outcome = self.environment.system_call(&mut self.cpu, &self.memory);
        let outcome = self.delivered(outcome);
        self.after_call(outcome)
    }

    /// Performs a system call between the probes that wait for it. The rest of the block is not gone on with: bodies
    /// may have changed what comes next.
    fn watched_call(&mut self) -> Option<Stop> {
        // What was asked for may not come about: a signal's handler runs first, and then the call is made again.
        let Some(asked) = self.environment.asked_call(&self.cpu) else {
            let outcome = self.environment.system_call(&mut self.cpu, &self.memory);
            let outcome = self.delivered(outcome);
            return self.after_call(outcome).flatten();
        };
        let reports = self.probes().is_some_and(|probes| probes.waits_for_output());
        self.environment.report_writes(reports);
        if reports && self.environment.waits_for_input(&asked) {
            self.tell_output(None, asked.pc);
            if let Some(status) = self.probes().and_then(|probes| probes.end_request()) {
                return Some(Stop::Run(End::Probe(status)));
            }
        }
        self.fire(PlainEvent::Call(asked), 0);
        let thread = self.environment.thread_id();
        let (end, finished) = match self.probes() {
            Some(mut probes) => (probes.end_request(), probes.take_finished_call(thread)),
            None => (None, None),
        };
        if let Some(status) = end {
            return Some(Stop::Run(End::Probe(status)));
        }
        let begun = self.environment.ticks(self.cpu.icount);
        // As the kernel sees it, after what bodies have written.
        let call = AskedCall { pc: asked.pc, ..self.environment.asked_call(&self.cpu).unwrap_or(asked) };
        let (outcome, mut returned) = match finished {
            Some(result) => {
                if let Some(value) = result {
                    self.environment.finish_syscall(&mut self.cpu, value);
                }
                (Outcome::Continue, result.is_some())
            }
            None => {
                if let Some(mut probes) = self.probes() {
                    probes.flush(&self.memory);
                }
                self.environment.perform_call(&mut self.cpu, &self.memory)
            }
        };
        returned |= outcome == Outcome::Spawn;
        let outcome = self.delivered(outcome);
        if let Some(Some(stop)) = self.after_call(outcome) {
            return Some(stop);
        }
        if let Some(written) = self.environment.take_written() {
            self.tell_output(Some(written), call.pc);
        }
        if returned {
            let elapsed = self.environment.ticks(self.cpu.icount).saturating_sub(begun);
            self.fire(PlainEvent::Return(call, elapsed), 0);
            let outcome = self.environment.poll(&mut self.cpu, &self.memory);
            let outcome = self.delivered(outcome);
            return self.after_delivery(outcome);
        }
        None
    }

    /// Goes on behind a system call. Returns as [`Vm::system_call`].
    fn after_call(&mut self, outcome: Outcome) -> Option<Option<Stop>> {
        if self.environment.take_forked() {
            self.machine.forked();
            self.meter.restart(Activity::Calling);
            self.leads = true;
            let child = self.environment.thread_id();
            let parent = self.member.set_id(child);
            if let Some(mut probes) = self.machine.probes() {
                probes.forked(parent, child, &mut self.cpu, &self.memory);
            }
            self.fire(PlainEvent::Spawn, 0);
        }
        self.turn_end = self.environment.turn_end();
        let mapped = self.environment.take_code_mapped();
        if mapped {
            self.machine.code_mapped(&*self.environment);
        }
        let changed = mapped && self.machine.modules_changed(&*self.environment);
        if mapped {
            self.tell_loaded();
        }
        match outcome {
            // The rest of the block may have been dropped.
            Outcome::Continue if changed => Some(None),
            Outcome::Continue => None,
            Outcome::Spawn => {
                self.spawn();
                None
            }
            Outcome::Redirect => Some(None),
            Outcome::End(status) => Some(Some(Stop::Run(End::Guest(status)))),
            Outcome::EndThread(status) => Some(Some(Stop::Thread(status))),
            Outcome::Raised(_) => unreachable!("it has been delivered"),
        }
    }

    /// Fires for the modules that have been mapped.
    fn tell_loaded(&mut self) {
        let loaded = self.probes().map(|mut probes| probes.take_loaded());
        for module in loaded.unwrap_or_default() {
            self.fire(PlainEvent::Load(module), 0);
        }
    }

    /// Fires for the lines that the guest has completed.
    fn tell_output(&mut self, written: Option<Written>, pc: u64) {
        let lines = self.probes().map(|mut probes| probes.output_lines(written));
        for (source, line) in lines.unwrap_or_default() {
            self.fire(PlainEvent::Output(source, line, pc), 0);
        }
    }

    /// Interprets a block from a micro-op on, up to instruction `limit`.
    fn run_block(&mut self, block: &Block, from: u32, limit: usize) -> Leave {
        let before = self.meter.begin(Activity::Interpreting);
        let leave = self.in_context(|cpu, ctx| interp::run(block, from, limit, cpu, ctx));
        self.meter.begin(before);
        leave
    }

    fn in_context<T>(&mut self, f: impl FnOnce(&mut CpuState, &mut Context<'_>) -> T) -> T {
        let mut host = EngineHost { machine: &self.machine, environment: &*self.environment, meter: &self.meter };
        let mut ctx = context(&self.machine, &self.counters, &mut host);
        f(&mut self.cpu, &mut ctx)
    }

    fn trap(&mut self, event: TrapEvent) -> Option<Stop> {
        let event = match event {
            // The permissions may have changed since the block was translated: ask again.
            TrapEvent::Fault(Fault { addr, access: Access::Fetch, .. }) => {
                let len = self.machine.isa.insn_align();
                match self.memory.check(addr, len, Access::Fetch) {
                    Ok(_) => {
                        self.machine.drop_range(self.cpu.pc..self.cpu.pc + 1);
                        return None;
                    }
                    Err(fault) => TrapEvent::Fault(fault),
                }
            }
            other => other,
        };
        // An environment that wants the instruction executed again says how.
        let outcome = self.environment.trap(&mut self.cpu, &self.memory, event);
        if self.traced.is_some() && outcome != Outcome::Continue {
            self.look_away(true);
        }
        let outcome = self.delivered(outcome);
        self.after_delivery(outcome)
    }

    /// Has the probes see each exception and signal before the guest gets it.
    fn delivered(&mut self, mut outcome: Outcome) -> Outcome {
        // Registers may have been written, by the kernel or for a handler.
        self.cpu.hold_stuck();
        while let Outcome::Raised(Raised { trap, signal }) = outcome {
            if let Some((cause, event)) = trap {
                let (cause, addr) = match event {
                    TrapEvent::Fault(Fault { addr, .. }) | TrapEvent::Misaligned(addr) => (cause, addr),
                    TrapEvent::Illegal(bits) if self.machine.isa.is_undefined(bits) => (Cause::Undefined, self.cpu.pc),
                    _ => (cause, self.cpu.pc),
                };
                self.fire(PlainEvent::Trap(cause, addr), 0);
            }
            let ends = |vm: &Vm| vm.probes().is_some_and(|probes| probes.end_request().is_some());
            if let Some(signal) = signal.filter(|_| !ends(self)) {
                self.fire(PlainEvent::Signal(signal), 0);
            }
            if ends(self) {
                // The guest does not come to get it.
                self.cpu.poll.fetch_or(poll::STOP, Ordering::Relaxed);
                return Outcome::Redirect;
            }
            outcome = self.environment.poll(&mut self.cpu, &self.memory);
            self.cpu.hold_stuck();
        }
        outcome
    }

    fn after_delivery(&self, outcome: Outcome) -> Option<Stop> {
        match outcome {
            Outcome::Continue | Outcome::Redirect | Outcome::Spawn => None,
            Outcome::End(status) => Some(Stop::Run(End::Guest(status))),
            Outcome::EndThread(status) => Some(Stop::Thread(status)),
            Outcome::Raised(_) => unreachable!("it has been delivered"),
        }
    }

    /// Looks at what the thread was asked to look at.
    fn handle_poll(&mut self) -> Option<Stop> {
        let asked = self.cpu.poll.swap(0, Ordering::AcqRel);
        if asked & poll::STOP != 0 {
            if self.machine.is_ending() {
                return Some(Stop::Elsewhere);
            }
            if let Some(status) = self.probes().and_then(|probes| probes.end_request()) {
                return Some(Stop::Run(End::Probe(status)));
            }
        }
        if asked & poll::PARK != 0 {
            self.meter.spend(Activity::Waiting, gate::park);
        }
        if asked & poll::INSN != 0 {
            let (thread, pc) = (self.environment.thread_id(), self.cpu.pc);
            let bits = self.probes().and_then(|mut probes| probes.take_replaced(thread, pc, self.cpu.icount));
            self.replaced = bits.filter(|_| self.cpu.resume == resume::BODY);
        }
        if asked & poll::CODE != 0 {
            self.machine.apply_changes();
        }
        if asked & poll::MARK != 0 {
            let marks = self.probes().map(|mut probes| probes.take_marks());
            for name in marks.unwrap_or_default() {
                self.fire(PlainEvent::Mark(name), 0);
            }
        }
        // `every` probes may have come or gone, here or in another thread; one that is due now still fires.
        if asked & (poll::CODE | poll::PARK) != 0 && self.next_every > self.cpu.icount {
            self.next_every = self.every_after(self.cpu.icount);
        }
        if asked & (poll::CODE | poll::PARK) != 0 {
            self.show_calls();
        }
        if asked & poll::SIGNAL == 0 {
            return None;
        }
        // A handler starts at an instruction boundary: the rest of a half-probed instruction is executed first.
        if self.cpu.resume == resume::BODY {
            self.cpu.poll.fetch_or(poll::SIGNAL, Ordering::Relaxed);
            if let Some(entry) = self.replaced_entry() {
                return self.interpret(&entry, resume::ENTRY, 1);
            }
            let entry = self.entry(self.cpu.pc, false)?;
            self.cpu.resume = resume::ENTRY;
            return self.interpret(&entry, resume::BODY, 1);
        }
        let outcome = self.environment.poll(&mut self.cpu, &self.memory);
        let outcome = self.delivered(outcome);
        if outcome == Outcome::Redirect {
            self.cpu.resume = resume::ENTRY;
        }
        self.after_delivery(outcome)
    }

    /// The limit of the instruction count has been reached: the run ends, `every` probes fire, or it is another thread's
    /// turn.
    fn at_limit(&mut self) -> Option<Stop> {
        if self.cpu.icount >= self.budget_end {
            return Some(Stop::Run(End::Limit));
        }
        if self.cpu.icount >= self.next_every {
            self.look();
            self.fire(PlainEvent::Every, 0);
            if self.probes().is_some_and(|probes| probes.next_clock(0, true) != u64::MAX) {
                self.fire(PlainEvent::Clock(self.environment.run_time(self.cpu.icount)), 0);
            }
            self.next_every = self.every_after(self.cpu.icount);
        }
        if self.cpu.icount >= self.turn_end {
            self.note_count();
            self.environment.pass_turn(self.cpu.icount);
            self.turn_end = self.environment.turn_end();
        }
        None
    }

    /// The instruction count above `icount` at which `every` probes fire, or something else is to be looked at.
    fn every_after(&self, icount: u64) -> u64 {
        let thread = self.environment.thread_id();
        let counted = self.environment.ticks_are_counted();
        self.probes().map_or(u64::MAX, |mut probes| {
            probes.note_count(thread, icount);
            let clock = probes.next_clock(icount, counted);
            probes.next_every(icount).min(probes.next_look(thread, icount)).min(clock)
        })
    }

    fn note_count(&self) {
        if let Some(mut probes) = self.probes() {
            probes.note_count(self.environment.thread_id(), self.cpu.icount);
        }
    }

    fn show_calls(&mut self) {
        let thread = self.environment.thread_id();
        if let Some(probes) = self.machine.probes() {
            probes.show_calls(thread, &mut self.cpu);
        }
    }

    /// Runs the bodies of the probes that wait for `event`.
    fn fire(&mut self, event: PlainEvent, status: u8) {
        let before = self.meter.begin(Activity::Probing);
        self.run_bodies(event, status);
        self.meter.begin(before);
    }

    fn run_bodies(&mut self, event: PlainEvent, status: u8) {
        let pc = match &event {
            PlainEvent::Call(call) | PlainEvent::Return(call, _) => call.pc,
            PlainEvent::Output(_, _, pc) => *pc,
            _ => self.cpu.pc,
        };
        let icount = self.cpu.icount;
        let thread = self.environment.thread_id();
        let blocks =
            self.probes().map(|mut probes| probes.event_blocks(event, &self.memory, pc, icount, status, thread));
        for block in blocks.unwrap_or_default() {
            let (pc, resumed) = (self.cpu.pc, self.cpu.resume);
            // A system call is made at its instruction, which has been executed.
            self.cpu.pc = block.pc;
            self.in_context(|cpu, ctx| interp::run(&block, 0, 0, cpu, ctx));
            // A `goto` in the body moves pc; else the run goes on where it was.
            if self.cpu.pc == block.end {
                (self.cpu.pc, self.cpu.resume) = (pc, resumed);
            }
        }
    }
}
