//! Call stacks: which calls a thread is in, read off its registers and its stack at one instruction.
//!
//! A frame's caller is found by the call frame information of the code's file (`.debug_frame`, `.eh_frame`). Code without
//! any is taken to keep the usual chain of frame records, and to still have its return address in the link register as
//! long as that does not point into the code itself. Behind a signal handler stands what it has interrupted. What is
//! read here is the guest's: a stack that makes no sense ends early, and none is followed for ever.

use super::attach::Symbols;
use super::format;
use super::runtime::Guest;
use crate::cpu::CpuState;
use crate::dwarf::Registers;
use crate::isa::{self, FrameRecord, Isa};
use crate::mem::{GuestMemory, perm};
use spile_lang::target::RegisterSlot;

/// The entries of `stack`.
pub(super) const USUAL: u64 = 127;

/// Marks the address that a call returns to, in contrast to one that was executed or interrupted. Guest addresses are
/// shorter.
const RETURNS: u64 = 1 << 63;

/// Marks the code that a signal handler returns to.
const SIGNAL: u64 = 1 << 62;

/// Reads stacks of one architecture.
pub(super) struct Walker {
    /// Where registers are in [`CpuState::x`], by their numbers in debug information.
    slots: Vec<Option<usize>>,
    record: FrameRecord,
    /// Where interrupted registers are put.
    spare: Box<CpuState>,
}

/// A frame, its registers as they were when it called the next one.
struct Frame {
    pc: u64,
    registers: Registers,
    /// It is waiting for a call to return.
    has_called: bool,
}

impl Frame {
    /// An address in the instruction that it is at: a return address may lie behind the end of its function.
    fn at(&self) -> u64 {
        self.pc.wrapping_sub(u64::from(self.has_called))
    }
}

impl Walker {
    pub(super) fn new(isa: &dyn Isa) -> Walker {
        let slot = |number| match isa.debug_register(number)?.slot {
            RegisterSlot::Int(slot) => Some(usize::from(slot)),
            _ => None,
        };
        Walker {
            slots: (0..Registers::COUNT as u16).map(slot).collect(),
            record: isa.frame_record(),
            spare: Box::default(),
        }
    }

    /// The innermost `most` frames, as a value of type `Stack`; `pc` is the address that the registers belong to.
    pub(super) fn walk(&mut self, pc: u64, most: u64, cpu: &CpuState, guest: Guest<'_>) -> Vec<u8> {
        let mut frame = Frame { pc, registers: self.registers(cpu), has_called: false };
        let mut found = Vec::new();
        for _ in 0..most {
            let mark = match frame.has_called {
                true if is_signal_return(frame.pc, guest) => SIGNAL,
                true => RETURNS,
                false => 0,
            };
            found.extend_from_slice(&(frame.pc | mark).to_le_bytes());
            match self.caller(&frame, guest).filter(|next| is_code(next.pc, guest.memory)) {
                Some(next) => frame = next,
                None => break,
            }
        }
        found
    }

    fn registers(&self, cpu: &CpuState) -> Registers {
        Registers(std::array::from_fn(|number| self.slots[number].map(|slot| cpu.x[slot])))
    }

    fn caller(&mut self, frame: &Frame, guest: Guest<'_>) -> Option<Frame> {
        let sp = frame.registers.get(self.record.sp)?;
        if let Some(interrupted) = self.interrupted(frame.pc, sp, guest) {
            return Some(interrupted);
        }
        let word = |addr| guest.memory.load_word(addr, self.record.word).ok();
        let next = match guest.symbols.call_frame(frame.at()) {
            Some(rules) => {
                let (pc, registers) = rules.caller(&frame.registers, self.record.sp, &word)?;
                Frame { pc, registers, has_called: !rules.is_signal }
            }
            None => self.by_convention(frame, guest, &word)?,
        };
        // A function that has not called another one may have no frame of its own.
        let above = next.registers.get(self.record.sp)?;
        let grows = above > sp || above == sp && !frame.has_called;
        (grows || !next.has_called).then_some(next)
    }

    /// What a signal has interrupted, if its handler returns to `pc`.
    fn interrupted(&mut self, pc: u64, sp: u64, guest: Guest<'_>) -> Option<Frame> {
        let abi = isa::linux_of(guest.isa).filter(|_| is_signal_return(pc, guest))?;
        abi.set_stack_pointer(&mut self.spare, sp);
        abi.pop_frame(&mut self.spare, guest.memory).ok()?;
        Some(Frame { pc: self.spare.pc, registers: self.registers(&self.spare), has_called: false })
    }

    /// The caller of code of which no file says how its frames look.
    fn by_convention(&self, frame: &Frame, guest: Guest<'_>, word: &dyn Fn(u64) -> Option<u64>) -> Option<Frame> {
        let FrameRecord { sp, link, fp, saved_fp, saved_link, size, leaf_fp, .. } = self.record;
        let mut registers = frame.registers.clone();
        let base = registers.get(fp)?;
        let saved = |offset: i64| word(base.wrapping_add_signed(offset));
        let returns = registers.get(link)?;
        if !frame.has_called {
            let start = |addr: u64| guest.symbols.locate(addr).map(|found| addr - found.offset);
            let own = start(frame.pc);
            // After its first call a function's link register points into the function itself.
            let unused = frame.pc == returns || own.is_some() && own == start(returns.wrapping_sub(1));
            if !unused && saved(saved_link) != Some(returns) && returns != 0 {
                // A frame pointer there, and no return address: the function has a frame of its own by now.
                if let Some(outer) =
                    leaf_fp.and_then(saved).filter(|&outer| outer > base && !is_code(outer, guest.memory))
                {
                    registers.set(sp, Some(base.wrapping_add(size)));
                    registers.set(fp, Some(outer));
                }
                return Some(Frame { pc: returns, registers, has_called: true });
            }
        }
        let (pc, outer) = (saved(saved_link)?, saved(saved_fp)?);
        registers.set(sp, Some(base.wrapping_add(size)));
        registers.set(fp, Some(outer));
        registers.set(link, Some(pc));
        Some(Frame { pc, registers, has_called: true })
    }
}

/// True if there is the code that signal handlers return to. Unwinders know it by what it is.
fn is_signal_return(pc: u64, guest: Guest<'_>) -> bool {
    isa::linux_of(guest.isa).is_some_and(|abi| {
        let code = abi.sigreturn_code();
        guest.memory.read_vec(pc, code.len() as u64).is_ok_and(|bytes| bytes == code)
    })
}

fn is_code(addr: u64, memory: &GuestMemory) -> bool {
    memory.perms(addr) & perm::EXEC != 0
}

/// The address of the second frame of a value of type `Stack`, or 0.
pub(super) fn caller(stack: &[u8]) -> u64 {
    let second = stack.chunks_exact(8).nth(1).map(|word| u64::from_le_bytes(std::array::from_fn(|i| word[i])));
    second.map_or(0, |word| word & !(RETURNS | SIGNAL))
}

/// The frames of a value of type `Stack` as text, the innermost first: `main+0x14 (main.c:42)`.
pub(super) fn frames<'a>(stack: &'a [u8], symbols: &'a dyn Symbols) -> impl Iterator<Item = String> + 'a {
    stack.chunks_exact(8).map(move |word| {
        let word = u64::from_le_bytes(std::array::from_fn(|i| word[i]));
        if word & SIGNAL != 0 {
            return "<signal>".to_string();
        }
        let (addr, behind) = (word & !RETURNS, word >> 63);
        let at = addr.wrapping_sub(behind);
        let mut text = match symbols.locate(at) {
            Some(found) if found.offset + behind == 0 => found.name,
            Some(found) => format!("{}+{:#x}", found.name, found.offset + behind),
            None => format!("{addr:#x}"),
        };
        if let Some(line) = format::source_text(at, symbols) {
            text = format!("{text} ({line})");
        }
        text
    })
}
