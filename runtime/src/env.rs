//! What surrounds the guest CPU: the one trait between the execution loop and the Linux user mode or a raw image.
//!
//! The loop calls it with the CPU state exact at an instruction boundary. An environment changes registers and memory
//! and says how to go on; it knows nothing of blocks, tiers and probes.

use crate::cpu::CpuState;
use crate::mem::{Fault, GuestMemory};

/// Handles what the guest CPU cannot do by itself.
pub trait Environment {
    /// Performs the system call that the guest asked for; `cpu.pc` is already behind the instruction.
    fn system_call(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome;

    /// Handles a trap; `cpu.pc` is at the instruction that raised it, which has had no effect.
    fn trap(&mut self, cpu: &mut CpuState, memory: &GuestMemory, trap: TrapEvent) -> Outcome;

    /// Delivers what is pending (signals). Called at an instruction boundary after [`CpuState::poll`] was set.
    fn poll(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome;

    /// Nanoseconds of the guest's virtual counter.
    fn ticks(&self) -> u64;

    /// The guest's number for the running thread.
    fn thread_id(&self) -> u64;

    /// The guest's number for the process.
    fn process_id(&self) -> u64;

    /// Returns, and forgets, what the user may want to know and the guest is not told: why it was ended, what is not
    /// implemented. One sentence each.
    fn take_notes(&mut self) -> Vec<String>;

    /// True in a process that the guest has forked: its end is not the end of the run.
    fn is_child(&self) -> bool {
        false
    }

    /// True once in each new process that the guest has forked, after the system call that made it. What the engine
    /// shares with the parent process (memory that generated code is in) must not be used in it.
    fn take_forked(&mut self) -> bool {
        false
    }
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
    /// Not at all.
    End(Status),
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this status, 0 to 255.
    Exited(u8),
    /// It died of this signal (the number).
    Signaled(u8),
}
