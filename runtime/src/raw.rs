//! Raw images: bytes at an address, without an operating system.
//!
//! The image is followed by 1 MiB of zeroed memory, at whose end the stack pointer starts; all of it may be read,
//! written and executed. The guest ends by a probe, by an instruction limit, or by semihosting, of which the calls
//! that print and exit are here. Any other trap ends the run with the signal that Linux would send.
//! Source: "Semihosting for AArch32 and AArch64" (Arm), which RISC-V shares.

use crate::cpu::CpuState;
use crate::env::{COUNTED_DATE, Environment, Outcome, Raised, Status, TrapEvent};
use crate::isa::{self, Isa};
use crate::mem::{ADDRESS_SPACE, Fault, GuestMemory, PAGE, perm};
use std::cell::Cell;
use std::io::Write;
use std::time::Instant;

/// Memory behind the image.
pub const RAM_BEHIND: u64 = 1 << 20;

const SYS_OPEN: u64 = 0x01;
const SYS_CLOSE: u64 = 0x02;
const SYS_WRITEC: u64 = 0x03;
const SYS_WRITE0: u64 = 0x04;
const SYS_WRITE: u64 = 0x05;
const SYS_ISTTY: u64 = 0x09;
const SYS_CLOCK: u64 = 0x10;
const SYS_TIME: u64 = 0x11;
const SYS_ERRNO: u64 = 0x13;
const SYS_EXIT: u64 = 0x18;
const SYS_EXIT_EXTENDED: u64 = 0x20;

const STOPPED_APPLICATION_EXIT: u64 = 0x20026;
const FAILURE: u64 = u64::MAX;

const SIGILL: u8 = 4;
const SIGTRAP: u8 = 5;
const SIGBUS: u8 = 7;
const SIGSEGV: u8 = 11;

/// What semihosting on a guest architecture has of its own.
pub trait Semihosting: Send + Sync {
    /// True if the trap at `pc` is a semihosting call.
    fn is_call(&self, trap: TrapEvent, pc: u64, memory: &GuestMemory) -> bool;

    /// The operation and its parameter.
    fn call(&self, cpu: &CpuState) -> (u64, u64);

    /// The size in bytes of a word of a parameter block, which is that of a register: 4 or 8.
    fn word_size(&self) -> u64;

    /// Sets the result and steps behind the call.
    fn finish(&self, cpu: &mut CpuState, result: u64);

    /// Sets the stack pointer.
    fn set_stack_pointer(&self, cpu: &mut CpuState, sp: u64);

    /// The address bits that a load or store does not ignore.
    fn address_mask(&self) -> u64;
}

/// A raw image that is ready to run.
pub struct RawProcess {
    /// Its environment.
    pub environment: Raw,
    /// Its memory.
    pub memory: GuestMemory,
    /// Its CPU, at the entry.
    pub cpu: CpuState,
    /// Its architecture.
    pub isa: &'static dyn Isa,
    /// Where the image lies: first byte, one past the last.
    pub range: (u64, u64),
}

/// Loads `image` at `base` for a start at `entry`.
///
/// # Errors
/// A sentence that says why it cannot be run there.
pub fn start(isa: &'static dyn Isa, image: &[u8], base: u64, entry: u64) -> Result<RawProcess, String> {
    let semihosting = isa::semihosting_by_name(isa.arch())
        .ok_or_else(|| format!("raw images of {} are not supported", isa.title()))?;
    if image.is_empty() {
        return Err("the image is empty".into());
    }
    // The last page stays free: nothing goes on behind the last address.
    let limit = ADDRESS_SPACE.min(semihosting.address_mask().saturating_add(1));
    let end = base.checked_add(image.len() as u64).filter(|&end| end <= limit - RAM_BEHIND - PAGE).ok_or_else(|| {
        let len = image.len();
        format!("an image of {len} bytes, with {RAM_BEHIND} bytes behind it, does not fit at {base:#x} (addresses are below {limit:#x})")
    })?;
    if !(base..end).contains(&entry) {
        return Err(format!("the entry {entry:#x} is not in the image ({base:#x} to {end:#x})"));
    }
    if !entry.is_multiple_of(isa.insn_align()) {
        return Err(format!("the entry {entry:#x} is not aligned to {} bytes", isa.insn_align()));
    }
    let start = base & !(PAGE - 1);
    let top = end.next_multiple_of(PAGE) + RAM_BEHIND;
    let failed = |error: std::io::Error| format!("no memory for the image: {error}");
    let memory = GuestMemory::new(semihosting.address_mask()).map_err(failed)?;
    let prot = perm::READ | perm::WRITE | perm::EXEC;
    memory.map_anonymous(start, top - start, prot, false).map_err(failed)?;
    memory.write(base, image).map_err(|fault| fault.to_string())?;
    let mut cpu = CpuState { pc: entry, ..CpuState::default() };
    isa.reset(&mut cpu);
    semihosting.set_stack_pointer(&mut cpu, top);
    Ok(RawProcess { environment: Raw::new(semihosting), memory, cpu, isa, range: (base, end) })
}

/// What surrounds a raw image: semihosting and nothing else.
pub struct Raw {
    semihosting: &'static dyn Semihosting,
    /// When the run began; none if its time is the number of instructions, a nanosecond each.
    started: Option<Instant>,
    notes: Vec<String>,
    /// The signal that the run ends with, once the probes have seen the exception, or that a probe has raised.
    signal: Cell<Option<u8>>,
}

impl Raw {
    fn new(semihosting: &'static dyn Semihosting) -> Self {
        Raw { semihosting, started: Some(Instant::now()), notes: Vec::new(), signal: Cell::new(None) }
    }

    /// Makes time the number of instructions.
    pub fn count_time(&mut self) {
        self.started = None;
    }

    /// Seconds since 1970, after `icount` instructions.
    fn date(&self, icount: u64) -> u64 {
        match self.started {
            Some(_) => std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()),
            None => COUNTED_DATE + icount / 1_000_000_000,
        }
    }

    fn end(&mut self, signal: u8, note: String) -> Outcome {
        self.notes.push(note);
        Outcome::End(Status::Signaled(signal))
    }

    /// Ends the run as [`Raw::end`] does, after the probes have seen the exception.
    fn end_by(&mut self, trap: TrapEvent, signal: u8, note: String) -> Outcome {
        self.notes.push(note);
        self.signal.set(Some(signal));
        Outcome::Raised(Raised { trap: Some((trap.cause(), trap)), signal: None })
    }

    fn semihosting_call(&mut self, cpu: &mut CpuState, memory: &GuestMemory) -> Outcome {
        let (operation, parameter) = self.semihosting.call(cpu);
        // Traps leave the count in front of their instruction, and this one completes.
        cpu.icount += 1;
        let word = |index| self.word(memory, parameter, index);
        let result = match operation {
            // The reason itself, where a word has no room for a status beside it.
            SYS_EXIT if self.semihosting.word_size() == 4 => {
                return Outcome::End(Status::Exited((parameter != STOPPED_APPLICATION_EXIT).into()));
            }
            SYS_EXIT | SYS_EXIT_EXTENDED => {
                return Outcome::End(Status::Exited(match (word(0), word(1)) {
                    (Ok(STOPPED_APPLICATION_EXIT), Ok(code)) => code as u8,
                    _ => 1,
                }));
            }
            SYS_WRITEC => memory.load(parameter).map(|byte: [u8; 1]| print(1, &byte)),
            SYS_WRITE0 => memory.read_c_string(parameter, 1 << 20).map(|(text, _)| print(1, &text)),
            SYS_WRITE => word(0).and_then(|handle| {
                let (addr, len) = (word(1)?, word(2)?);
                let bytes = memory.read_vec(addr, len)?;
                Ok(if matches!(handle, 1 | 2) { print(handle, &bytes) } else { len })
            }),
            SYS_OPEN => self.open(memory, parameter),
            SYS_CLOSE => Ok(0),
            SYS_ISTTY => Ok(1),
            SYS_CLOCK => Ok(self.ticks(cpu.icount) / 10_000_000),
            SYS_TIME => Ok(self.date(cpu.icount)),
            SYS_ERRNO => Ok(0),
            other => {
                self.notes.push(format!("semihosting call {other:#x} is not supported: it fails"));
                Ok(FAILURE)
            }
        };
        self.semihosting.finish(cpu, result.unwrap_or(FAILURE));
        Outcome::Continue
    }

    /// A word of a parameter block.
    fn word(&self, memory: &GuestMemory, block: u64, index: u64) -> Result<u64, Fault> {
        let size = self.semihosting.word_size();
        memory.load_word(block.wrapping_add(index * size), size)
    }

    /// Opens the terminal `:tt`, the only file: to read (handle 0), to write (1) or to append (2).
    fn open(&self, memory: &GuestMemory, block: u64) -> Result<u64, Fault> {
        let word = |index| self.word(memory, block, index);
        let (name, mode) = (memory.read_c_string(word(0)?, 4)?.0, word(1)?);
        Ok(match mode {
            _ if name != b":tt" => FAILURE,
            0..=3 => 0,
            4..=7 => 1,
            _ => 2,
        })
    }
}

/// Prints to standard output (1) or error (2). Returns the number of bytes not written, as `SYS_WRITE` does.
fn print(handle: u64, bytes: &[u8]) -> u64 {
    let written = match handle {
        2 => std::io::stderr().write_all(bytes),
        _ => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
    };
    if written.is_ok() { 0 } else { bytes.len() as u64 }
}

impl Environment for Raw {
    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn system_call(&mut self, cpu: &mut CpuState, _: &GuestMemory) -> Outcome {
        let note = format!("a system call before {:#x}: a raw image has no operating system", cpu.pc);
        self.end(SIGILL, note)
    }

    fn trap(&mut self, cpu: &mut CpuState, memory: &GuestMemory, trap: TrapEvent) -> Outcome {
        let pc = cpu.pc;
        match trap {
            _ if self.semihosting.is_call(trap, pc, memory) => self.semihosting_call(cpu, memory),
            TrapEvent::Halt(comment) => self.end_by(trap, SIGILL, format!("halt {comment:#x} at {pc:#x}")),
            TrapEvent::Fault(fault) => self.end_by(trap, SIGSEGV, format!("{fault}, at {pc:#x}")),
            TrapEvent::Misaligned(addr) => {
                self.end_by(trap, SIGBUS, format!("misaligned access to {addr:#x}, at {pc:#x}"))
            }
            TrapEvent::Illegal(bits) => {
                let text = format!("instruction {bits:#010x} at {pc:#x} is not allocated or not implemented");
                self.end_by(trap, SIGILL, text)
            }
            TrapEvent::Breakpoint(comment) => self.end_by(trap, SIGTRAP, format!("breakpoint {comment:#x} at {pc:#x}")),
        }
    }

    fn poll(&mut self, _: &mut CpuState, _: &GuestMemory) -> Outcome {
        self.signal.take().map_or(Outcome::Continue, |signal| Outcome::End(Status::Signaled(signal)))
    }

    fn raise(&self, signal: u8) {
        // There is no kernel that knows of handlers.
        self.signal.set(Some(signal));
    }

    fn ticks(&self, icount: u64) -> u64 {
        self.started.map_or(icount, |started| started.elapsed().as_nanos() as u64)
    }

    fn ticks_are_counted(&self) -> bool {
        self.started.is_none()
    }

    fn thread_id(&self) -> u64 {
        1
    }

    fn process_id(&self) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALT: TrapEvent = TrapEvent::Halt(0xf000);

    fn process() -> RawProcess {
        start(isa::all()[0], &[0; 16], 0x800, 0x808).unwrap()
    }

    /// One whose words have four bytes.
    fn narrow() -> &'static dyn Isa {
        let is_narrow =
            |isa: &&dyn Isa| isa::semihosting_by_name(isa.arch()).is_some_and(|calls| calls.word_size() == 4);
        isa::all().into_iter().find(is_narrow).unwrap()
    }

    #[test]
    fn the_image_has_ram_behind_it_and_a_stack() {
        let process = process();
        assert_eq!((process.cpu.pc, process.range), (0x808, (0x800, 0x810)));
        assert_eq!(process.cpu.x[31], 0x1000 + RAM_BEHIND);
        process.memory.store(process.cpu.x[31] - 8, [1u8; 8]).unwrap();
        assert!(process.memory.load::<1>(process.cpu.x[31]).is_err());
    }

    #[test]
    fn exit_has_the_status_of_its_block() {
        let RawProcess { mut environment, memory, mut cpu, .. } = process();
        memory.write(0x900, &STOPPED_APPLICATION_EXIT.to_le_bytes()).unwrap();
        memory.write(0x908, &7u64.to_le_bytes()).unwrap();
        (cpu.x[0], cpu.x[1]) = (SYS_EXIT, 0x900);
        assert_eq!(environment.trap(&mut cpu, &memory, HALT), Outcome::End(Status::Exited(7)));
        cpu.x[1] = 0;
        assert_eq!(environment.trap(&mut cpu, &memory, HALT), Outcome::End(Status::Exited(1)));
    }

    /// Where a word has four bytes, one call takes the reason itself, and the other a block of two words.
    #[test]
    fn exit_with_words_of_four_bytes() {
        let isa = narrow();
        let RawProcess { mut environment, memory, mut cpu, .. } = start(isa, &[0; 16], 0x800, 0x808).unwrap();
        // The three instructions that a call is.
        let call = [0x01f0_1013u32, 0x0010_0073, 0x4070_5013].map(u32::to_le_bytes).concat();
        memory.write(0x900, &call).unwrap();
        memory.write(0x980, &[STOPPED_APPLICATION_EXIT as u32, 7].map(u32::to_le_bytes).concat()).unwrap();
        let mut exit = |operation, parameter| {
            (cpu.pc, cpu.x[10], cpu.x[11]) = (0x904, operation, parameter);
            environment.trap(&mut cpu, &memory, TrapEvent::Breakpoint(0))
        };
        assert_eq!(exit(SYS_EXIT_EXTENDED, 0x980), Outcome::End(Status::Exited(7)));
        assert_eq!(exit(SYS_EXIT, STOPPED_APPLICATION_EXIT), Outcome::End(Status::Exited(0)));
        assert_eq!(exit(SYS_EXIT, 0x980), Outcome::End(Status::Exited(1)));
        assert_eq!(exit(0x99, 0), Outcome::Continue);
        assert_eq!((cpu.pc, cpu.x[10]), (0x908, FAILURE >> 32));
    }

    #[test]
    fn images_end_below_the_last_address() {
        let isa = narrow();
        let base = (1 << 32) - RAM_BEHIND - 2 * PAGE;
        let process = start(isa, &[0; 8], base, base).unwrap();
        assert_eq!(process.cpu.x[2], (1 << 32) - PAGE);
        assert!(process.memory.load::<1>((1 << 32) - PAGE).is_err());
        // An address has no other bits.
        assert!(process.memory.load::<4>(base + (1 << 32)).is_ok());
        let error = start(isa, &[0; 8], base + PAGE, base + PAGE).map(|_| ()).unwrap_err();
        assert!(error.contains("does not fit at 0xffeff000 (addresses are below 0x100000000)"), "{error}");
        assert!(start(isa, &[0; 8], 1 << 32, 1 << 32).is_err());
    }

    #[test]
    fn a_call_steps_behind_its_instruction() {
        let RawProcess { mut environment, memory, mut cpu, .. } = process();
        (cpu.x[0], cpu.x[1]) = (0x99, 0);
        assert_eq!(environment.trap(&mut cpu, &memory, HALT), Outcome::Continue);
        assert_eq!((cpu.pc, cpu.x[0]), (0x80c, FAILURE));
        assert_eq!(environment.take_notes().len(), 1);
    }

    #[test]
    fn other_traps_end_with_their_signal() {
        let RawProcess { mut environment, memory, mut cpu, .. } = process();
        let trap = TrapEvent::Illegal(0);
        let raised = Raised { trap: Some((trap.cause(), trap)), signal: None };
        assert_eq!(environment.trap(&mut cpu, &memory, trap), Outcome::Raised(raised));
        assert_eq!(environment.poll(&mut cpu, &memory), Outcome::End(Status::Signaled(SIGILL)));
        assert_eq!(environment.system_call(&mut cpu, &memory), Outcome::End(Status::Signaled(SIGILL)));
        assert!(environment.take_notes()[0].contains("0x808"));
    }

    #[test]
    fn images_that_do_not_fit_are_refused() {
        let isa = isa::all()[0];
        assert!(start(isa, &[], 0, 0).is_err());
        assert!(start(isa, &[0; 8], ADDRESS_SPACE, ADDRESS_SPACE).is_err());
        assert!(start(isa, &[0; 8], u64::MAX - 3, u64::MAX - 3).is_err());
        assert!(start(isa, &[0; 8], 0x800, 0x900).is_err());
    }
}
