//! Linux user mode: the system calls, signals and start of a guest process.
//!
//! [`start`] makes a [`Process`] of a program file. [`Kernel`] is the [`Environment`] of its CPU: it decodes a
//! system call, finds its row in [`table`] and calls the handler, which sees the kernel, guest memory and the
//! arguments, and no registers. What depends on the guest architecture is behind [`LinuxAbi`].
//!
//! A guest process is a host process: descriptors, process ids and signals are the host's. There is one guest thread.
//! Sources: the manual pages of sections 2 and 7, and the headers under `include/uapi` of Linux.

pub mod abi;
pub mod errno;
mod fs;
pub mod host;
pub mod map;
mod mem;
mod process;
mod procfs;
mod signal;
mod socket;
mod start;
pub mod table;
mod time;

use crate::cpu::CpuState;
use crate::env::{Environment, Outcome, Status, TrapEvent};
use crate::mem::{Fault, GuestMemory};
use abi::FlagPairs;
use errno::Errno;
use map::AddressMap;
use signal::Signals;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::time::Instant;

pub use start::{Process, start};
pub use table::{Arg, Row};

/// What the Linux interface of a guest architecture has of its own.
pub trait LinuxAbi: Send + Sync {
    /// The number and the arguments of the system call that `cpu` asks for.
    fn system_call(&self, cpu: &CpuState) -> (u64, [u64; 6]);

    /// Sets the result register.
    fn set_result(&self, cpu: &mut CpuState, value: u64);

    /// Steps back to the system call instruction that was just executed, so that it is executed again.
    fn rewind_system_call(&self, cpu: &mut CpuState);

    /// Sets the stack pointer.
    fn set_stack_pointer(&self, cpu: &mut CpuState, sp: u64);

    /// The stack pointer.
    fn stack_pointer(&self, cpu: &CpuState) -> u64;

    /// Sets the register that `CLONE_SETTLS` sets.
    fn set_thread_pointer(&self, cpu: &mut CpuState, value: u64);

    /// Pushes a signal frame and sets the registers so that the handler runs next.
    ///
    /// # Errors
    /// The fault that the push met; `cpu` is as before.
    fn push_frame(&self, cpu: &mut CpuState, memory: &GuestMemory, frame: &SignalFrame) -> Result<(), Fault>;

    /// Restores the registers from the signal frame that a returning handler left.
    ///
    /// # Errors
    /// The fault that reading it met; `cpu` is as before.
    fn pop_frame(&self, cpu: &mut CpuState, memory: &GuestMemory) -> Result<FrameContext, Fault>;

    /// Code that makes the system call `rt_sigreturn`.
    fn sigreturn_code(&self) -> &'static [u8];

    /// True if `struct sigaction` has a field `sa_restorer`.
    fn has_restorer(&self) -> bool;

    /// `AT_HWCAP` and `AT_HWCAP2`.
    fn hwcap(&self) -> [u64; 2];

    /// `AT_PLATFORM`, which is `utsname.machine` as well.
    fn platform(&self) -> &'static str;

    /// `AT_MINSIGSTKSZ`: the smallest stack that holds a signal frame.
    fn minimum_signal_stack(&self) -> u64;

    /// Guest and host bits of the flags of `openat` where they differ.
    fn open_flags(&self) -> FlagPairs;

    /// The address bits that a load or store does not ignore.
    fn address_mask(&self) -> u64;
}

/// What a signal frame is made of.
#[derive(Clone, Debug)]
pub struct SignalFrame {
    /// The signal.
    pub signal: u8,
    /// `siginfo_t`.
    pub info: [u8; 128],
    /// Address of the guest's handler.
    pub handler: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// True if the handler takes the second and third argument (`SA_SIGINFO`).
    pub wants_info: bool,
    /// The stack pointer below which the frame goes.
    pub stack: u64,
    /// What [`LinuxAbi::pop_frame`] gives back.
    pub context: FrameContext,
    /// The address of the access for which the guest gets the signal, or 0.
    pub fault_address: u64,
}

/// What a signal frame holds besides registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameContext {
    /// The signal mask to go back to.
    pub mask: u64,
    /// `uc_stack`: address, flags, size.
    pub alternate_stack: [u64; 3],
}

/// A guest program that a guest process wants to be replaced by.
#[derive(Clone, Copy, Debug)]
pub struct Exec<'a> {
    /// The program, already looked up in the sysroot. It is not a script.
    pub path: &'a CStr,
    /// Its arguments; the first one is its name, which may differ from the path.
    pub argv: &'a [CString],
    /// Its environment.
    pub envp: &'a [CString],
    /// Must reach [`Config::ignores_sigpipe`] of the new process.
    pub ignores_sigpipe: bool,
}

/// Replaces this process by one that runs a guest program, by way of [`execute`]. Returns on failure only.
pub type ExecHook = Box<dyn Fn(&Exec<'_>) -> std::io::Error + Send>;

/// Replaces this process by a program of the host, as `execve`; unlike [`std::process::Command`], it leaves signal
/// mask and ignored signals as the guest has set them. Returns on failure only.
pub fn execute(path: &CStr, argv: &[CString], envp: &[CString]) -> std::io::Error {
    let error = process::host_execve(path, argv, envp).err().unwrap_or(Errno::EINVAL);
    std::io::Error::from_raw_os_error(i32::from(error.0))
}

/// What a guest process is started with.
#[derive(Default)]
pub struct Config {
    /// The program file.
    pub program: PathBuf,
    /// `argv`, the program's name included.
    pub argv: Vec<CString>,
    /// The environment.
    pub envp: Vec<CString>,
    /// Where the guest's interpreter and libraries are looked for before the host's own files (`-L`).
    pub sysroot: Option<PathBuf>,
    /// Makes `getrandom` and `AT_RANDOM` depend on this number only.
    pub seed: Option<u64>,
    /// How `execve` starts a guest program; without it, `execve` of one fails with `ENOSYS`.
    pub exec: Option<ExecHook>,
    /// Whether the guest starts with `SIGPIPE` ignored. The Rust runtime ignores it in this process in any case, so
    /// what it was before cannot be seen.
    pub ignores_sigpipe: bool,
    /// Whether host signals reach the guest. Off in unit tests, which share their process.
    pub host_signals: bool,
}

/// What a handler asks of the dispatcher besides its result.
#[derive(Clone, Copy, Debug)]
enum After {
    /// The process is over.
    End(Status),
    /// A signal came first: the call is made again after its handler.
    Again,
    /// The registers are those of the innermost signal frame.
    SignalReturn,
    /// This is a new child: it has its own stack and thread pointer, if given.
    Child { stack: Option<u64>, thread_pointer: Option<u64> },
}

/// Ends this process by `signal`, after a guest that died of it. Returns if the host ignores the signal by default.
pub fn die_of_signal(signal: u8) {
    host::die_of_signal(signal);
}

/// The Linux kernel as one guest process sees it.
pub struct Kernel {
    abi: &'static dyn LinuxAbi,
    machine: u16,
    map: AddressMap,
    signals: Signals,
    /// Start of the heap and its current end.
    heap: (u64, u64),
    /// One past the highest address that `mmap` chooses.
    mmap_top: u64,
    /// Absolute path of the guest's program, and what it was called.
    program: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
    auxv: Vec<u8>,
    /// The guest's stack pointer at its start.
    stack_start: u64,
    sysroot: Option<PathBuf>,
    exec: Option<ExecHook>,
    random: Option<Random>,
    /// Limits of the guest that would hurt the emulator, by number.
    limits: [Option<[u8; 16]>; 16],
    after: Option<After>,
    notes: Vec<String>,
    noted_calls: BTreeSet<u64>,
    clear_child_tid: u64,
    /// The guest's stack pointer at the current call.
    stack_pointer: u64,
    started: Instant,
    is_child: bool,
    just_forked: bool,
}

impl Kernel {
    /// The regions of the guest's address space.
    pub fn map(&self) -> &AddressMap {
        &self.map
    }

    /// Remembers a note for the user, once.
    fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    fn unknown_call(&mut self, number: u64) -> Errno {
        if self.noted_calls.insert(number) {
            self.notes.push(format!("system call {number} is not known: the guest gets ENOSYS"));
        }
        Errno::ENOSYS
    }

    /// Sets the result of a call that was not interrupted.
    fn finish(&mut self, cpu: &mut CpuState, result: Result<u64, Errno>) {
        self.abi.set_result(cpu, result.unwrap_or_else(Errno::encode));
    }

    /// Does what the handler asked for besides its result, if anything.
    fn follow(&mut self, cpu: &mut CpuState, memory: &GuestMemory, after: After) -> Outcome {
        match after {
            After::End(status) => Outcome::End(status),
            After::Again => {
                self.abi.rewind_system_call(cpu);
                self.deliver_all(cpu, memory, Outcome::Redirect)
            }
            After::SignalReturn => self.signal_return(cpu, memory),
            After::Child { stack, thread_pointer } => {
                self.finish(cpu, Ok(0));
                if let Some(stack) = stack {
                    self.abi.set_stack_pointer(cpu, stack);
                }
                if let Some(value) = thread_pointer {
                    self.abi.set_thread_pointer(cpu, value);
                }
                Outcome::Continue
            }
        }
    }
}

impl Environment for Kernel {
    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn is_child(&self) -> bool {
        self.is_child
    }

    fn take_forked(&mut self) -> bool {
        std::mem::take(&mut self.just_forked)
    }

    fn system_call(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome {
        if self.signals.next_deliverable().is_some() {
            // They came before the call, so their handlers run before it.
            self.abi.rewind_system_call(cpu);
            return self.deliver_all(cpu, memory, Outcome::Redirect);
        }
        let (number, args) = self.abi.system_call(cpu);
        self.stack_pointer = self.abi.stack_pointer(cpu);
        let row = table::find(number);
        let result = match row {
            Some(row) => (row.handler)(self, memory, args),
            None => Err(self.unknown_call(number)),
        };
        if let Some(after) = self.after.take() {
            return self.follow(cpu, memory, after);
        }
        if result == Err(Errno::EINTR) && self.restarts(row.is_some_and(|row| row.restarts)) {
            self.abi.rewind_system_call(cpu);
            return self.deliver_all(cpu, memory, Outcome::Redirect);
        }
        self.finish(cpu, result);
        if result != Err(Errno::EINTR) {
            self.signals.restore_mask();
        }
        self.deliver_all(cpu, memory, Outcome::Continue)
    }

    fn trap(&mut self, cpu: &mut CpuState, memory: &GuestMemory, trap: TrapEvent) -> Outcome {
        self.deliver_fault(cpu, memory, trap)
    }

    fn poll(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome {
        self.deliver_all(cpu, memory, Outcome::Continue)
    }

    fn ticks(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn thread_id(&self) -> u64 {
        host::gettid().unwrap_or(0)
    }

    fn process_id(&self) -> u64 {
        host::getpid().unwrap_or(0)
    }
}

/// A seeded generator (SplitMix64), for reproducible runs; not for cryptography.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }
}

/// Reads a path or another string that the kernel limits to `PATH_MAX`.
fn read_path(memory: &GuestMemory, addr: u64) -> Result<CString, Errno> {
    let (bytes, complete) = memory.read_c_string(addr, libc::PATH_MAX as usize)?;
    if !complete {
        return Err(Errno::ENAMETOOLONG);
    }
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// Reads an optional structure: null gives none.
fn read_optional<const N: usize>(memory: &GuestMemory, addr: u64) -> Result<Option<[u8; N]>, Errno> {
    Ok(if addr == 0 { None } else { Some(memory.load(addr)?) })
}

/// Writes a structure unless `addr` is null.
fn write_optional<const N: usize>(memory: &GuestMemory, addr: u64, bytes: &[u8; N]) -> Result<(), Errno> {
    if addr != 0 {
        memory.write(addr, bytes)?;
    }
    Ok(())
}
