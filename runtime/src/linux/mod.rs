//! Linux user mode: the system calls, signals and start of a guest process.
//!
//! [`start`] makes a [`Process`] of a program file. [`Kernel`] is the [`Environment`] of its CPU: it decodes a
//! system call, finds its row in [`table`] and calls the handler, which sees the kernel, guest memory and the
//! arguments, and no registers. What depends on the guest architecture is behind [`LinuxAbi`].
//!
//! A guest process is a host process and a guest thread a host thread: descriptors, process ids, thread ids and signals
//! are the host's.
//! Sources: the manual pages of sections 2 and 7, and the headers under `include/uapi` of Linux.

pub mod abi;
pub mod errno;
pub mod flags;
mod fs;
pub mod host;
mod ipc;
pub mod map;
mod mem;
mod own;
mod process;
mod procfs;
mod schedule;
pub mod session;
mod signal;
pub(crate) mod signal_names;
mod socket;
mod start;
mod sysroot;
pub mod table;
mod thread;
mod time;

use crate::cpu::CpuState;
use crate::env::{AskedCall, Environment, MappedCode, NewThread, Outcome, Status, TrapEvent, Written};
use crate::machine::lock;
use crate::mem::{Fault, GuestMemory};
use abi::FlagPairs;
use errno::Errno;
use map::AddressMap;
use mem::Space;
use signal::Signals;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use sysroot::Sysroot;

pub use own::OwnFile;
pub use schedule::Schedule;
pub(crate) use signal::without_signals;
pub use start::{Process, start};
pub use table::{Arg, Row};

/// What the Linux interface of a guest architecture has of its own.
pub trait LinuxAbi: Send + Sync {
    /// The number and the arguments of the system call that `cpu` asks for.
    fn system_call(&self, cpu: &CpuState) -> (u64, [u64; 6]);

    /// Sets the result register.
    fn set_result(&self, cpu: &mut CpuState, value: u64);

    /// Address of the system call instruction that was just executed.
    fn system_call_address(&self, cpu: &CpuState) -> u64;

    /// Steps back to the system call instruction that was just executed, so that it is executed again.
    fn rewind_system_call(&self, cpu: &mut CpuState) {
        cpu.pc = self.system_call_address(cpu);
    }

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

    /// The processor's property of this key, where there is a system call that asks for such.
    fn hardware_property(&self, _key: u64) -> Option<u64> {
        None
    }

    /// Clears what a new thread or process does not begin with as its creator has it.
    fn clear_uninherited(&self, _cpu: &mut CpuState) {}

    /// True if `prctl` controls who may use vector registers.
    fn controls_vectors(&self) -> bool {
        false
    }

    /// The text of `/proc/cpuinfo`.
    fn cpu_info(&self, processors: usize) -> String;

    /// `utsname.machine`.
    fn machine(&self) -> &'static str;

    /// True if `AT_PLATFORM` is there, which then is the machine's name.
    fn tells_platform(&self) -> bool {
        true
    }

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
pub type ExecHook = Box<dyn Fn(&Exec<'_>) -> std::io::Error + Send + Sync>;

/// Replaces this process by a program of the host, as `execve`; unlike [`std::process::Command`], it leaves signal
/// mask and ignored signals as the guest has set them. Returns on failure only.
pub fn execute(path: &CStr, argv: &[CString], envp: &[CString]) -> std::io::Error {
    let error = process::host_execve(path, argv, envp).err().unwrap_or(Errno::EINVAL);
    error.into()
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
    /// Lets all guest threads run in turns.
    pub schedule: Option<Schedule>,
    /// How `execve` starts a guest program; without it, `execve` of one fails with `ENOSYS`.
    pub exec: Option<ExecHook>,
    /// Whether the guest starts with `SIGPIPE` ignored. The Rust runtime ignores it in this process in any case, so
    /// what it was before cannot be seen.
    pub ignores_sigpipe: bool,
    /// Whether host signals reach the guest. Off in unit tests, which share their process.
    pub host_signals: bool,
}

/// The most memory that this process has had at a time, in bytes; what its children have had does not count.
pub fn peak_memory() -> u64 {
    // `struct rusage`: two times of 16 bytes, then `ru_maxrss` in KiB.
    let mut usage = [0; 144];
    host::getrusage(libc::RUSAGE_SELF as u64, &mut usage).map_or(0, |_| abi::u64_at(&usage, 32) * 1024)
}

/// What the main thread's stack must have at least, and what it gets if it may.
const STACK: [u64; 2] = [2 << 20, 8 << 20];

/// Sees to it that this process has the stack that it needs, however little it was started with. A thread of its own
/// would not do: the guest's first thread has the number of its process.
///
/// # Errors
/// The limit in bytes, if it is too low and cannot be raised.
pub fn ensure_stack() -> Result<(), u64> {
    let number = u64::from(libc::RLIMIT_STACK);
    let mut limit = [0; 16];
    if host::prlimit64(0, number, None, Some(&mut limit)).is_err() {
        return Ok(());
    }
    let [soft, hard] = [0, 8].map(|at| abi::u64_at(&limit, at));
    if soft >= STACK[0] {
        return Ok(());
    }
    let raised = hard.min(STACK[1]);
    limit[..8].copy_from_slice(&raised.to_le_bytes());
    if raised < STACK[0] || host::prlimit64(0, number, Some(&limit), None).is_err() {
        return Err(hard);
    }
    Ok(())
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
    /// This thread is over, with this status.
    EndThread(u8),
    /// This is a new child: it has its own stack and thread pointer, if given.
    Child { stack: Option<u64>, thread_pointer: Option<u64> },
    /// A thread is wanted.
    Thread(thread::ThreadRequest),
}

/// Ends this process by `signal`, after a guest that died of it. Returns if the host ignores the signal by default.
pub fn die_of_signal(signal: u8) {
    leave_schedule();
    host::die_of_signal(signal);
}

/// To be called by a guest process that is about to end, from its first thread: those of a scheduled run that it leaves
/// behind go on.
pub fn leave_schedule() {
    if let Some(turn) = schedule::current() {
        turn.leave_process();
    }
}

/// Ends this process at once, as the guest's process has ended.
pub fn end_process(status: u8) -> ! {
    leave_schedule();
    host::end_process(status)
}

/// The Linux kernel as one guest thread sees it.
pub struct Kernel {
    shared: Arc<Shared>,
    signals: Signals,
    after: Option<After>,
    /// See `set_tid_address` and `set_robust_list`.
    clear_child_tid: u64,
    robust_list: u64,
    /// See `prctl`.
    vector_control: u64,
    /// The guest's stack pointer at the current call.
    stack_pointer: u64,
    just_forked: bool,
    /// The signal that is delivered next, of which the probes are being told.
    announced: Option<signal::Announced>,
    /// Whether somebody asks for `written`, which is what the last call wrote.
    reports_writes: bool,
    written: Option<Written>,
    /// This thread has changed which code of files is mapped.
    code_mapped: bool,
    /// The number of this thread.
    tid: u64,
    /// The thread that has been asked for and not begun.
    new_thread: Option<NewThread>,
    /// In a scheduled run, the slot of the thread that is to begin: in its kernel, and in that of its creator.
    new_slot: Option<usize>,
    /// Where this thread's number goes when it begins.
    announce: [Option<u64>; 2],
}

/// What the threads of a guest process share. It can be reached through each thread's [`Kernel`].
pub struct Shared {
    abi: &'static dyn LinuxAbi,
    machine: u16,
    space: Mutex<Space>,
    /// Absolute path of the guest's program, and what it was called.
    program: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
    auxv: Vec<u8>,
    /// The guest's stack pointer at its start.
    stack_start: u64,
    sysroot: Option<Sysroot>,
    exec: Option<ExecHook>,
    /// See [`Environment::before_exec`].
    before_exec: OnceLock<Box<dyn Fn() + Send + Sync>>,
    random: Option<Mutex<Random>>,
    /// Limits of the guest that would hurt the emulator, by number.
    limits: Mutex<[Option<[u8; 16]>; 16]>,
    notes: Mutex<Notes>,
    started: Instant,
    is_child: AtomicBool,
    /// Number of guest threads.
    threads: AtomicUsize,
    /// The number of the process.
    pid: AtomicU64,
}

/// What the user may want to know.
#[derive(Default)]
struct Notes {
    texts: Vec<String>,
    calls: BTreeSet<u64>,
}

impl Deref for Kernel {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Kernel {
    /// The regions of the guest's address space.
    pub fn map(&self) -> AddressMap {
        lock(&self.space).map.clone()
    }

    /// What all threads share, while there is one thread.
    fn alone(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.shared).expect("a process starts with one thread")
    }

    /// Remembers a note for the user, once.
    fn note(&self, text: String) {
        let mut notes = lock(&self.notes);
        if !notes.texts.contains(&text) {
            notes.texts.push(text);
        }
    }

    fn unknown_call(&self, number: u64) -> Errno {
        let mut notes = lock(&self.notes);
        if notes.calls.insert(number) {
            notes.texts.push(format!("system call {number} is not known: the guest gets ENOSYS"));
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
            After::EndThread(status) => Outcome::EndThread(status),
            After::Thread(request) => {
                let mut child = Box::new(cpu.clone());
                child.poll = Box::leak(Box::new(AtomicU32::new(0)));
                child.icount = 0;
                child.clear_monitor();
                self.abi.set_result(&mut child, 0);
                self.set_registers(&mut child, request.registers());
                let kernel = match self.prepare_thread(&request) {
                    Ok(kernel) => Kernel { vector_control: self.vector_control, ..kernel },
                    Err(error) => {
                        self.finish(cpu, Err(error));
                        return Outcome::Continue;
                    }
                };
                self.new_thread = Some(NewThread { cpu: child, environment: Box::new(kernel) });
                Outcome::Spawn
            }
            After::Again => {
                self.abi.rewind_system_call(cpu);
                self.deliver_all(memory, Outcome::Redirect)
            }
            After::SignalReturn => self.signal_return(cpu, memory),
            After::Child { stack, thread_pointer } => {
                self.finish(cpu, Ok(0));
                self.set_registers(cpu, [stack, thread_pointer]);
                Outcome::Continue
            }
        }
    }

    /// Sets the registers of a new thread or process: the stack pointer and the thread pointer, as far as they are given.
    fn set_registers(&self, cpu: &mut CpuState, [stack, thread_pointer]: [Option<u64>; 2]) {
        self.abi.clear_uninherited(cpu);
        if let Some(stack) = stack {
            self.abi.set_stack_pointer(cpu, stack);
        }
        if let Some(value) = thread_pointer {
            self.abi.set_thread_pointer(cpu, value);
        }
    }
}

impl Environment for Kernel {
    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut lock(&self.notes).texts)
    }

    fn before_exec(&mut self, write: Box<dyn Fn() + Send + Sync>) {
        let _ = self.before_exec.set(write);
    }

    fn is_child(&self) -> bool {
        self.is_child.load(Ordering::Relaxed)
    }

    fn take_forked(&mut self) -> bool {
        std::mem::take(&mut self.just_forked)
    }

    fn take_code_mapped(&mut self) -> bool {
        std::mem::take(&mut self.code_mapped)
    }

    fn mapped_code(&self) -> Vec<MappedCode> {
        lock(&self.space).map.code()
    }

    fn system_call(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome {
        match self.perform_call(cpu, memory) {
            (Outcome::Continue, true) => self.deliver_all(memory, Outcome::Continue),
            (outcome, _) => outcome,
        }
    }

    fn asked_call(&self, cpu: &CpuState) -> Option<AskedCall> {
        if self.signals.next_deliverable().is_some() {
            return None;
        }
        let (number, args) = self.abi.system_call(cpu);
        Some(AskedCall { number, args, pc: self.abi.system_call_address(cpu) })
    }

    fn finish_syscall(&mut self, cpu: &mut CpuState, result: u64) {
        self.abi.set_result(cpu, result);
    }

    fn perform_call(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> (Outcome, bool) {
        if self.signals.next_deliverable().is_some() {
            // They came before the call, so their handlers run before it.
            self.abi.rewind_system_call(cpu);
            return (self.deliver_all(memory, Outcome::Redirect), false);
        }
        let (number, args) = self.abi.system_call(cpu);
        self.stack_pointer = self.abi.stack_pointer(cpu);
        let row = table::find(number);
        if let Some(turn) = schedule::current() {
            turn.count(cpu.icount);
        }
        let args = row.map_or(args, |row| schedule::host_arguments(row, args));
        host::expect_call();
        let result = match row {
            Some(row) if own::named_by(row, &args) => Err(Errno::EBADF),
            Some(row) => (row.handler)(self, memory, args),
            None => Err(self.unknown_call(number)),
        };
        let result = row.map_or(result, |row| schedule::guest_result(row, result));
        memory.note_host_writes();
        if self.reports_writes
            && let (Some(row), Ok(count)) = (row, result)
        {
            self.written = fs::written(row.name, memory, args, count);
        }
        if let Some(after) = self.after.take() {
            let returns = matches!(after, After::Child { .. });
            return (self.follow(cpu, memory, after), returns);
        }
        if result == Err(Errno::EINTR) && self.restarts(row.is_some_and(|row| row.restarts)) {
            self.abi.rewind_system_call(cpu);
            return (self.deliver_all(memory, Outcome::Redirect), false);
        }
        self.finish(cpu, result);
        if result != Err(Errno::EINTR) {
            self.signals.restore_mask();
        }
        (Outcome::Continue, true)
    }

    fn take_new_thread(&mut self) -> Option<NewThread> {
        self.new_thread.take()
    }

    fn begin_thread(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> u64 {
        self.begin(cpu.poll, memory)
    }

    fn finish_spawn(&mut self, cpu: &mut CpuState, result: std::io::Result<u64>) {
        self.signals.release_host();
        let slot = self.new_slot.take();
        if result.is_err() {
            if let (Some(turn), Some(slot)) = (schedule::current(), slot) {
                turn.remove(slot);
            }
            self.threads.fetch_sub(1, Ordering::AcqRel);
            self.note("the host has no more threads: the guest gets EAGAIN".into());
        }
        self.finish(cpu, result.map_err(|_| Errno::EAGAIN));
    }

    fn interrupt(&self, thread: u64) {
        if self.signals.uses_host() {
            host::interrupt(schedule::host_number(thread as i32));
        }
    }

    fn trap(&mut self, cpu: &mut CpuState, memory: &GuestMemory, trap: TrapEvent) -> Outcome {
        self.deliver_fault(cpu, memory, trap)
    }

    fn poll(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome {
        self.deliver_announced(cpu, memory)
    }

    fn report_writes(&mut self, on: bool) {
        self.reports_writes = on;
        self.written = None;
    }

    fn take_written(&mut self) -> Option<Written> {
        self.written.take()
    }

    fn waits_for_input(&self, call: &AskedCall) -> bool {
        match table::name(call.number) {
            Some("read" | "readv") => call.args[0] as i32 == 0,
            Some("ppoll" | "pselect6" | "epoll_pwait" | "epoll_pwait2" | "exit_group") => true,
            Some("exit") => self.threads.load(Ordering::Acquire) == 1,
            _ => false,
        }
    }

    fn raise(&self, signal: u8) {
        self.signals.raise(signal);
    }

    fn ticks(&self, icount: u64) -> u64 {
        match schedule::current() {
            Some(turn) => turn.time_at(icount),
            None => self.started.elapsed().as_nanos() as u64,
        }
    }

    fn run_time(&self, icount: u64) -> u64 {
        if schedule::current().is_some() {
            return icount;
        }
        let mut time = [0; 16];
        let told = host::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID as u64, &mut time);
        told.map_or(0, |_| abi::u64_at(&time, 0) * 1_000_000_000 + abi::u64_at(&time, 8))
    }

    fn ticks_are_counted(&self) -> bool {
        schedule::current().is_some()
    }

    fn turn_end(&self) -> u64 {
        schedule::current().map_or(u64::MAX, |turn| turn.end())
    }

    fn begin_turn(&mut self) {
        if let Some(turn) = schedule::current() {
            turn.await_turn();
        }
    }

    fn pass_turn(&mut self, icount: u64) {
        if let Some(turn) = schedule::current() {
            turn.count(icount);
            turn.pass();
        }
    }

    fn end_thread(&mut self, memory: &GuestMemory) {
        self.leave_memory(memory);
    }

    fn leave(&mut self) {
        if let Some(turn) = schedule::current() {
            turn.leave();
        }
    }

    fn thread_id(&self) -> u64 {
        self.tid
    }

    fn process_id(&self) -> u64 {
        self.pid.load(Ordering::Relaxed)
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
