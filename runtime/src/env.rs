//! What surrounds the guest CPU: the one trait between the execution loop and the Linux user mode or a raw image.
//!
//! The loop calls it with the CPU state exact at an instruction boundary. An environment changes registers and memory
//! and says how to go on; it knows nothing of blocks, tiers and probes.

use crate::cpu::CpuState;
use crate::mem::{Fault, GuestMemory};
use spile_lang::ir::Cause;
use std::ops::Range;
use std::path::PathBuf;

/// The date at which a run whose time is counted begins, in seconds since 1970: the first second of 2020.
pub const COUNTED_DATE: u64 = 1_577_836_800;

/// Handles what the guest CPU cannot do by itself.
pub trait Environment: Send {
    /// Performs the system call that the guest asked for; `cpu.pc` is already behind the instruction.
    fn system_call(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome;

    /// The system call that [`Environment::system_call`] would perform now; `None` if it would do something else
    /// first, or if there are no system calls.
    fn asked_call(&self, _cpu: &CpuState) -> Option<AskedCall> {
        None
    }

    /// As [`Environment::system_call`], and says whether the call has returned to the guest: then the registers are
    /// those behind the call, and signals wait for the next [`Environment::poll`].
    fn perform_call(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> (Outcome, bool) {
        (self.system_call(cpu, memory), false)
    }

    /// Has `write` called whenever the process is about to be replaced by another program, while no other thread runs: what
    /// has been printed is to be written before. Once, before the run.
    fn before_exec(&mut self, _write: Box<dyn Fn() + Send + Sync>) {}

    /// Ends the system call that the guest asked for with this result, instead of performing it.
    fn finish_syscall(&mut self, _cpu: &mut CpuState, _result: u64) {}

    /// Handles a trap; `cpu.pc` is at the instruction that raised it, which has had no effect.
    fn trap(&mut self, cpu: &mut CpuState, memory: &GuestMemory, trap: TrapEvent) -> Outcome;

    /// Delivers what is pending (signals), one after the other. Called at an instruction boundary after
    /// [`CpuState::poll`] was set, and after [`Outcome::Raised`].
    fn poll(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome;

    /// Says whether [`Environment::take_written`] is going to be asked.
    fn report_writes(&mut self, _on: bool) {}

    /// What the last system call has written to the guest's standard output or error.
    fn take_written(&mut self) -> Option<Written> {
        None
    }

    /// True if a system call waits for input, or ends the process: what has been written so far is to be read.
    fn waits_for_input(&self, _call: &AskedCall) -> bool {
        false
    }

    /// Sends a signal to this thread. It is delivered by the next [`Environment::poll`], unless it is blocked.
    fn raise(&self, _signal: u8) {}

    /// Nanoseconds of the guest's virtual counter, after `icount` instructions of this thread.
    fn ticks(&self, icount: u64) -> u64;

    /// Nanoseconds that this thread has run for, after `icount` instructions of it.
    fn run_time(&self, icount: u64) -> u64 {
        self.ticks(icount)
    }

    /// True if [`Environment::ticks`] depends on the instruction count, which must be exact then.
    fn ticks_are_counted(&self) -> bool {
        false
    }

    /// The guest's number for the running thread.
    fn thread_id(&self) -> u64;

    /// The guest's number for the process.
    fn process_id(&self) -> u64;

    /// Returns, and forgets, what the user may want to know and the guest is not told: why it was ended, what is not
    /// implemented. One sentence each.
    fn take_notes(&mut self) -> Vec<String>;

    /// After [`Outcome::Spawn`]: the new thread, once.
    fn take_new_thread(&mut self) -> Option<NewThread> {
        None
    }

    /// Begins the thread whose environment this is, on its own host thread. Returns its number.
    fn begin_thread(&mut self, _cpu: &mut CpuState, _memory: &GuestMemory) -> u64 {
        self.thread_id()
    }

    /// Ends the system call that asked for a thread, with the new thread's number or why there is none.
    fn finish_spawn(&mut self, _cpu: &mut CpuState, _result: std::io::Result<u64>) {}

    /// Makes the thread with this number leave the host kernel if it sleeps there, now or next time. The run ends.
    fn interrupt(&self, _thread: u64) {}

    /// The instruction count at which this thread must [`Environment::pass_turn`]; another one after each system call
    /// and each turn.
    fn turn_end(&self) -> u64 {
        u64::MAX
    }

    /// Waits for the first turn of a thread that has begun. Called, as the next two, without locks.
    fn begin_turn(&mut self) {}

    /// Lets other threads run, if they take turns, until it is this one's turn again. It has executed `icount`
    /// instructions.
    fn pass_turn(&mut self, _icount: u64) {}

    /// After [`Outcome::EndThread`]: does what the kernel does at a thread's end, which others see.
    fn end_thread(&mut self, _memory: &GuestMemory) {}

    /// The last call for a thread that others of its process outlive: they go on.
    fn leave(&mut self) {}

    /// True in a process that the guest has forked: its end is not the end of the run.
    fn is_child(&self) -> bool {
        false
    }

    /// True once in each new process that the guest has forked, after the system call that made it. What the engine
    /// shares with the parent process (memory that generated code is in) must not be used in it.
    fn take_forked(&mut self) -> bool {
        false
    }

    /// True once after each system call of this thread that has changed [`Environment::mapped_code`].
    fn take_code_mapped(&mut self) -> bool {
        false
    }

    /// The executable mappings of files, in address order.
    fn mapped_code(&self) -> Vec<MappedCode> {
        Vec::new()
    }
}

/// A system call that the guest asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedCall {
    /// Its number.
    pub number: u64,
    /// Its arguments.
    pub args: [u64; 6],
    /// Address of the instruction.
    pub pc: u64,
}

/// What the guest has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub source: OutputSource,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Where a guest writes for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A part of a file that is mapped executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedCode {
    /// The host's path of the file.
    pub path: PathBuf,
    /// Where it is mapped.
    pub range: Range<u64>,
    /// Offset in the file of its first byte.
    pub offset: u64,
}

/// A guest thread that another one has asked for.
pub struct NewThread {
    /// Its registers.
    pub cpu: Box<CpuState>,
    /// Its environment.
    pub environment: Box<dyn Environment>,
}

/// What an instruction or the environment ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapEvent {
    /// A load, store or fetch that the guest may not make.
    Fault(Fault),
    /// An access that must be aligned and is not; the address.
    Misaligned(u64),
    /// An instruction that is not allocated or not implemented; its encoding.
    Illegal(u32),
    /// A breakpoint instruction; its comment field.
    Breakpoint(u64),
    /// A halt (`hlt`), which semihosting uses; its comment field.
    Halt(u64),
}

/// How the execution loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the next instruction.
    Continue,
    /// At `cpu.pc`, which the environment has set (a signal handler, a return from one).
    Redirect,
    /// With the next instruction, once the thread of [`Environment::take_new_thread`] has begun.
    Spawn,
    /// With [`Environment::poll`], once the probes have seen what the guest is about to get.
    Raised(Raised),
    /// Not at all.
    End(Status),
    /// This thread not at all, which has ended with this status; others go on.
    EndThread(u8),
}

/// What interrupts the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raised {
    /// The exception of the CPU, if it is one.
    pub trap: Option<(Cause, TrapEvent)>,
    /// The signal that the guest gets, if there are signals.
    pub signal: Option<Signal>,
}

/// A signal on its way to the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// Its number, 1 to 64.
    pub number: u8,
    /// Why it was sent, as `si_code` of sigaction(2).
    pub code: i32,
    /// The address that it is about; 0 if it is about none.
    pub addr: u64,
}

impl TrapEvent {
    /// What it is to scripts, as far as the event itself says.
    pub fn cause(&self) -> Cause {
        match self {
            TrapEvent::Fault(_) => Cause::Segment,
            TrapEvent::Misaligned(_) => Cause::Alignment,
            TrapEvent::Illegal(_) => Cause::Illegal,
            TrapEvent::Breakpoint(_) => Cause::Breakpoint,
            TrapEvent::Halt(_) => Cause::Undefined,
        }
    }
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this status, 0 to 255.
    Exited(u8),
    /// It died of this signal (the number).
    Signaled(u8),
}
