//! The interpreter: executes the micro-ops of a block, one after the other. It is the reference for generated code.
//!
//! It leaves a block at an exact instruction boundary or, for a fault, with the state of one. It does not decide what
//! happens then: that is [`crate::vm`].

use crate::block::Block;
use crate::cells::{Cells, Counters};
use crate::cpu::{CpuState, Monitor, poll, resume};
use crate::env::TrapEvent;
use crate::isa::Isa;
use crate::mem::{Access, Fault, GuestMemory};
use crate::uop::{
    self, AmoOp, Cc, Fence, FlagKind, MemTy, Trap, Uop, V, VectorMemory, X, adc, bin, bin_shifted, slot, un,
};
use crate::vector::{self, FpEnv};
use std::sync::atomic::{Ordering, fence};

/// What micro-ops need besides CPU state: shared by both tiers.
pub struct Context<'a> {
    /// Guest memory.
    pub memory: &'a GuestMemory,
    /// The guest architecture, for system registers.
    pub isa: &'static dyn Isa,
    /// The run-time cells of probes.
    pub cells: &'a Cells,
    /// The words in which this thread counts.
    pub counters: &'a Counters,
    /// Performs probe actions and tells the time.
    pub host: &'a mut dyn Host,
}

/// What the engine does for micro-ops that reach outside the CPU.
pub trait Host {
    /// Performs a probe action; the arguments are in `cpu.x[call.args..]`. The result goes to the action's slot.
    fn action(&mut self, call: ActionCall, cpu: &mut CpuState, memory: &GuestMemory) -> u64;

    /// Nanoseconds of the guest's virtual counter.
    fn ticks(&self, icount: u64) -> u64;

    /// True if [`Host::ticks`] depends on the instruction count, which must be exact then.
    fn ticks_are_counted(&self) -> bool {
        false
    }
}

/// A probe action that a block asks for.
#[derive(Clone, Copy, Debug)]
pub struct ActionCall {
    /// Index into the engine's action table.
    pub action: u32,
    /// First argument slot.
    pub args: X,
    /// Number of argument slots.
    pub n: u8,
    /// Address of the instruction that the probe is attached to.
    pub pc: u64,
    /// Instructions that the thread has completed.
    pub icount: u64,
}

/// Why a block was left. [`CpuState::pc`] and [`CpuState::icount`] are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Execution goes on at `cpu.pc`; as [`CpuState::resume`] says.
    Next,
    /// A system call; `cpu.pc` is behind the instruction, which counts as executed. The block goes on at this
    /// micro-op if the environment does not redirect.
    Syscall(u32),
    /// A trap; `cpu.pc` is at the instruction, which has had no effect, and `cpu.cold` is the micro-op.
    Trap(TrapEvent),
}

/// Executes `block` from micro-op `from`, at most up to the start of instruction `stop_insn`.
///
/// The caller has set `cpu.icount` as if execution had begun at the block's first instruction.
pub fn run(block: &Block, from: u32, stop_insn: usize, cpu: &mut CpuState, ctx: &mut Context<'_>) -> Leave {
    let stop = block.get_insn(stop_insn).map_or(block.uops.len() as u32, |insn| insn.start);
    let mut machine = Machine::new(block, from, (stop, stop_insn), cpu, ctx);
    loop {
        if machine.at >= machine.stop {
            return machine.leave_at_boundary(machine.stop_insn);
        }
        let uop = block.uops[machine.at as usize];
        machine.at += 1;
        match machine.step(uop) {
            Step::Continue => {}
            Step::Leave => return machine.left,
            Step::Trap => return machine.trap(),
        }
    }
}

/// Executes a single micro-op that neither jumps nor leaves, as generated code does for those that it has no native
/// form of.
///
/// # Errors
/// The trap that it ran into; it has then had no effect on guest slots.
pub fn run_one(uop: Uop, cpu: &mut CpuState, ctx: &mut Context<'_>) -> Result<(), TrapEvent> {
    let block = Block::default();
    let mut machine = Machine::new(&block, 1, (u32::MAX, 0), cpu, ctx);
    match machine.step(uop) {
        Step::Continue | Step::Leave => Ok(()),
        Step::Trap => Err(machine.trapped),
    }
}

/// Performs a probe action and asks for a look at the code if it has written some.
pub fn perform(call: ActionCall, cpu: &mut CpuState, ctx: &mut Context<'_>) -> u64 {
    let result = ctx.host.action(call, cpu, ctx.memory);
    if ctx.memory.has_written_code() {
        cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
    }
    result
}

/// What a micro-op leads to. It fits a register; the details are in the machine.
enum Step {
    /// The next micro-op.
    Continue,
    /// Out of the block, as [`Machine::left`] says.
    Leave,
    /// A trap: [`Machine::trapped`].
    Trap,
}

struct Machine<'a, 'c> {
    block: &'a Block,
    cpu: &'a mut CpuState,
    ctx: &'a mut Context<'c>,
    /// The next micro-op.
    at: u32,
    /// Where to leave: the first micro-op of instruction `stop_insn`, or the end.
    stop: u32,
    stop_insn: usize,
    left: Leave,
    trapped: TrapEvent,
}

/// `?` for steps: yields the value or returns the step of the fault.
macro_rules! ok {
    ($machine:ident, $e:expr) => {
        match $e {
            Ok(value) => value,
            Err(fault) => return $machine.raise(TrapEvent::Fault(fault)),
        }
    };
}

impl<'a, 'c> Machine<'a, 'c> {
    fn new(
        block: &'a Block,
        at: u32,
        (stop, stop_insn): (u32, usize),
        cpu: &'a mut CpuState,
        ctx: &'a mut Context<'c>,
    ) -> Self {
        let trapped = TrapEvent::Illegal(0);
        Machine { block, cpu, ctx, at, stop, stop_insn, left: Leave::Next, trapped }
    }

    #[cold]
    fn raise(&mut self, event: TrapEvent) -> Step {
        self.trapped = event;
        Step::Trap
    }

    fn leave(&mut self, leave: Leave) -> Step {
        self.left = leave;
        Step::Leave
    }
}

impl Machine<'_, '_> {
    #[inline]
    fn x(&self, slot: X) -> u64 {
        self.cpu.x[slot as usize]
    }

    fn set(&mut self, slot: X, value: u64) {
        debug_assert_ne!(slot, slot::ZERO);
        self.cpu.x[slot as usize] = value;
    }

    fn v(&self, slot: V) -> u128 {
        self.cpu.v[slot as usize]
    }

    fn set_v(&mut self, slot: V, value: u128) {
        self.cpu.v[slot as usize] = value;
    }

    fn addr(&self, a: X, imm: i64) -> u64 {
        self.x(a).wrapping_add_signed(imm)
    }

    fn holds(&self, cc: Cc) -> bool {
        cc.holds(self.cpu.nzcv())
    }

    fn set_flags(&mut self, kind: FlagKind, a: u64, b: u64) {
        self.set(slot::FLAG_KIND, kind as u64);
        self.set(slot::FLAG_A, a);
        self.set(slot::FLAG_B, b);
    }

    /// Runs `f` with the floating-point environment of the guest's control and status slots.
    fn with_fp<T>(&mut self, f: impl FnOnce(&mut FpEnv) -> T) -> T {
        let mut env = FpEnv { control: self.x(slot::FP_CONTROL), status: self.x(slot::FP_STATUS) as u32 };
        let result = f(&mut env);
        self.set(slot::FP_STATUS, u64::from(env.status));
        result
    }

    /// Index of the instruction that the micro-op before `at` belongs to.
    fn insn(&self) -> usize {
        if self.block.insns.is_empty() { 0 } else { self.block.insn_of(self.at - 1) }
    }

    fn leave_at_boundary(&mut self, index: usize) -> Leave {
        let index = index.min(self.block.insns.len());
        self.cpu.icount += index as u64;
        match self.block.get_insn(index) {
            Some(insn) => {
                self.cpu.pc = insn.pc;
                self.cpu.resume = resume::MIDDLE;
            }
            None => self.cpu.pc = self.block.end,
        }
        Leave::Next
    }

    /// Leaves behind the last instruction.
    fn leave_to(&mut self, pc: u64) -> Step {
        self.cpu.icount += self.block.insns.len() as u64;
        self.cpu.pc = pc;
        self.leave(Leave::Next)
    }

    fn trap(&mut self) -> Leave {
        let index = self.insn();
        self.cpu.icount += index as u64;
        self.cpu.pc = self.block.insn(index).pc;
        self.cpu.cold = self.at - 1;
        Leave::Trap(self.trapped)
    }

    /// Instructions completed at this point of the block.
    fn icount(&self) -> u64 {
        let Some(last) = self.block.insns.len().checked_sub(1) else { return self.cpu.icount };
        let index = self.insn().min(last);
        let done = u64::from(self.at > self.block.insn(index).after);
        self.cpu.icount + index as u64 + done
    }

    fn load(&self, ty: MemTy, addr: u64) -> Result<u64, Fault> {
        let memory = self.ctx.memory;
        let raw = match ty.bytes() {
            1 => u64::from(memory.load::<1>(addr)?[0]),
            2 => u64::from(u16::from_le_bytes(memory.load(addr)?)),
            4 => u64::from(u32::from_le_bytes(memory.load(addr)?)),
            _ => u64::from_le_bytes(memory.load(addr)?),
        };
        Ok(ty.extend(raw))
    }

    fn load_bytes(&self, bytes: u8, addr: u64) -> Result<u128, Fault> {
        let memory = self.ctx.memory;
        Ok(match bytes {
            1 => u128::from(memory.load::<1>(addr)?[0]),
            2 => u128::from(u16::from_le_bytes(memory.load(addr)?)),
            4 => u128::from(u32::from_le_bytes(memory.load(addr)?)),
            8 => u128::from(u64::from_le_bytes(memory.load(addr)?)),
            _ => u128::from_le_bytes(memory.load(addr)?),
        })
    }

    fn store_bytes(&mut self, bytes: u64, addr: u64, value: u128) -> Result<(), Fault> {
        let memory = self.ctx.memory;
        let raw = value.to_le_bytes();
        match bytes {
            1 => memory.store(addr, [raw[0]])?,
            2 => memory.store(addr, (value as u16).to_le_bytes())?,
            4 => memory.store(addr, (value as u32).to_le_bytes())?,
            8 => memory.store(addr, (value as u64).to_le_bytes())?,
            _ => memory.store(addr, raw)?,
        }
        self.after_store();
        Ok(())
    }

    /// Makes the block end behind this instruction if translated code was just written: the rest of it may be stale.
    fn after_store(&mut self) {
        if self.ctx.memory.has_written_code() && !self.block.insns.is_empty() {
            // A branch needs its own last micro-op, which stands at the very end: it is not cut off by this.
            let next = self.insn() + 1;
            if let Some(insn) = self.block.get_insn(next) {
                self.stop = self.stop.min(insn.start);
                self.stop_insn = self.stop_insn.min(next);
            }
        }
    }

    /// Checks a two-part access as a whole, so that it happens as a whole or not at all.
    fn check_pair(&self, addr: u64, bytes: u64, access: Access) -> Result<(), Fault> {
        self.ctx.memory.check(addr, 2 * bytes, access).map(|_| ())
    }

    fn misaligned(&mut self, addr: u64, size: u64) -> Option<Step> {
        (!addr.is_multiple_of(size)).then(|| self.raise(TrapEvent::Misaligned(addr)))
    }

    /// Loads `size` bytes and sets the monitor.
    fn load_exclusive(&mut self, addr: u64, size: u64) -> Result<u128, Fault> {
        let (value, version) = self.ctx.memory.load_exclusive(addr, size)?;
        self.cpu.monitor = Monitor { addr, size, value, version };
        Ok(value)
    }

    /// Store-exclusive of `size` bytes: true if the monitor held, and nobody else has stored there.
    fn store_exclusive(&mut self, addr: u64, size: u64, new: u128) -> Result<bool, Fault> {
        let Monitor { addr: monitored, size: monitored_size, value, version } = self.cpu.monitor;
        if (monitored, monitored_size) != (addr, size) {
            self.cpu.clear_monitor();
            return Ok(false);
        }
        let stored = self.ctx.memory.store_exclusive(addr, size, (value, version), new)?;
        self.cpu.clear_monitor();
        self.after_store();
        Ok(stored)
    }

    fn read_modify_write(&mut self, op: AmoOp, ty: MemTy, addr: u64, operand: u64) -> Result<u64, Fault> {
        let bytes = ty.bytes();
        let operand = ty.extend(operand);
        // An atomic that misses write permission faults as a store, also where the load would be allowed.
        self.ctx.memory.check(addr, bytes, Access::Write)?;
        let mut old = self.load(ty, addr)?;
        loop {
            let new = op.apply(old, operand, bytes);
            let seen = self.ctx.memory.compare_exchange(addr, bytes, u128::from(old), u128::from(new))? as u64;
            if seen == old {
                self.after_store();
                return Ok(old);
            }
            old = seen;
        }
    }

    #[inline(always)]
    fn step(&mut self, uop: Uop) -> Step {
        match uop {
            Uop::MovI { d, imm } => self.set(d, imm),
            Uop::Un { op, d, a } => self.set(d, un(op, self.x(a))),
            Uop::Bin { op, d, a, b } => self.set(d, bin(op, self.x(a), self.x(b))),
            Uop::BinI { op, d, a, imm } => self.set(d, bin(op, self.x(a), imm)),
            Uop::BinSh { op, d, a, b, shift, n } => self.set(d, bin_shifted(op, self.x(a), self.x(b), shift, n)),
            Uop::MulAdd64 { d, a, b, c } => self.set(d, self.x(c).wrapping_add(self.x(a).wrapping_mul(self.x(b)))),
            Uop::MulSub64 { d, a, b, c } => self.set(d, self.x(c).wrapping_sub(self.x(a).wrapping_mul(self.x(b)))),
            Uop::MulAdd32 { d, a, b, c } => {
                self.set(d, self.x(c).wrapping_add(self.x(a).wrapping_mul(self.x(b))) & 0xffff_ffff);
            }
            Uop::MulSub32 { d, a, b, c } => {
                self.set(d, self.x(c).wrapping_sub(self.x(a).wrapping_mul(self.x(b))) & 0xffff_ffff);
            }
            Uop::Extr64 { d, a, b, n } => {
                let wide = u128::from(self.x(a)) << 64 | u128::from(self.x(b));
                self.set(d, (wide >> n) as u64);
            }
            Uop::Extr32 { d, a, b, n } => {
                let wide = (self.x(a) << 32) | (self.x(b) & 0xffff_ffff);
                self.set(d, (wide >> n) & 0xffff_ffff);
            }
            Uop::BfxU { d, a, lsb, len } => self.set(d, (self.x(a) << (64 - lsb - len)) >> (64 - len)),
            Uop::BfxS { d, a, lsb, len } => {
                self.set(d, (((self.x(a) << (64 - lsb - len)) as i64) >> (64 - len)) as u64);
            }
            Uop::Bfi { d, a, b, lsb, len } => {
                let mask = (u64::MAX >> (64 - len)) << lsb;
                self.set(d, (self.x(a) & !mask) | ((self.x(b) << lsb) & mask));
            }
            Uop::Select { d, c, a, b } => self.set(d, if self.x(c) != 0 { self.x(a) } else { self.x(b) }),

            Uop::Flags { kind, a, b } => self.set_flags(kind, self.x(a), self.x(b)),
            Uop::FlagsI { kind, a, imm } => self.set_flags(kind, self.x(a), imm),
            Uop::SetNzcv { a } => self.cpu.set_nzcv(self.x(a)),
            Uop::GetNzcv { d } => self.set(d, self.cpu.nzcv()),
            Uop::FlagsIf { kind, cc, a, b, nzcv } => {
                if self.holds(cc) {
                    self.set_flags(kind, self.x(a), self.x(b));
                } else {
                    self.cpu.set_nzcv(u64::from(nzcv));
                }
            }
            Uop::Cond { d, cc } => self.set(d, u64::from(self.holds(cc))),
            Uop::SelectCc64 { op, cc, d, a, b } => {
                self.set(d, if self.holds(cc) { self.x(a) } else { op.apply(self.x(b)) });
            }
            Uop::SelectCc32 { op, cc, d, a, b } => {
                let value = if self.holds(cc) { self.x(a) } else { op.apply(self.x(b)) };
                self.set(d, value & 0xffff_ffff);
            }
            Uop::Adc64 { d, a, b, set } => self.add_with_carry(true, d, a, b, set),
            Uop::Adc32 { d, a, b, set } => self.add_with_carry(false, d, a, b, set),

            Uop::Load { ty, d, a, imm } => {
                let value = ok!(self, self.load(ty, self.addr(a, imm)));
                self.set(d, value);
            }
            Uop::Store { ty, s, a, imm } => {
                ok!(self, self.store_bytes(ty.bytes(), self.addr(a, imm), u128::from(self.x(s))));
            }
            Uop::LoadPair { ty, d, e, a, imm } => {
                let addr = self.addr(a, imm);
                ok!(self, self.check_pair(addr, ty.bytes(), Access::Read));
                let first = ok!(self, self.load(ty, addr));
                let second = ok!(self, self.load(ty, addr.wrapping_add(ty.bytes())));
                self.set(d, first);
                self.set(e, second);
            }
            Uop::StorePair { ty, s, t, a, imm } => {
                let addr = self.addr(a, imm);
                ok!(self, self.check_pair(addr, ty.bytes(), Access::Write));
                ok!(self, self.store_bytes(ty.bytes(), addr, u128::from(self.x(s))));
                ok!(self, self.store_bytes(ty.bytes(), addr.wrapping_add(ty.bytes()), u128::from(self.x(t))));
            }
            Uop::LoadV { d, bytes, a, imm } => {
                let value = ok!(self, self.load_bytes(bytes, self.addr(a, imm)));
                self.set_v(d, value);
            }
            Uop::StoreV { s, bytes, a, imm } => {
                ok!(self, self.store_bytes(u64::from(bytes), self.addr(a, imm), self.v(s)));
            }
            Uop::LoadPairV { d, e, bytes, a, imm } => {
                let addr = self.addr(a, imm);
                ok!(self, self.check_pair(addr, u64::from(bytes), Access::Read));
                let first = ok!(self, self.load_bytes(bytes, addr));
                let second = ok!(self, self.load_bytes(bytes, addr.wrapping_add(u64::from(bytes))));
                self.set_v(d, first);
                self.set_v(e, second);
            }
            Uop::StorePairV { s, t, bytes, a, imm } => {
                let addr = self.addr(a, imm);
                ok!(self, self.check_pair(addr, u64::from(bytes), Access::Write));
                ok!(self, self.store_bytes(u64::from(bytes), addr, self.v(s)));
                ok!(self, self.store_bytes(u64::from(bytes), addr.wrapping_add(u64::from(bytes)), self.v(t)));
            }
            Uop::Align { a, bytes, imm } => {
                if let Some(step) = self.misaligned(self.addr(a, imm), u64::from(bytes)) {
                    return step;
                }
            }
            Uop::ZeroBlock { a } => {
                let addr = self.x(a) & !63;
                ok!(self, self.ctx.memory.write(addr, &[0; 64]));
                self.after_store();
            }
            Uop::LoadEx { ty, d, a } => {
                let addr = self.x(a);
                if let Some(step) = self.misaligned(addr, ty.bytes()) {
                    return step;
                }
                let value = ok!(self, self.load_exclusive(addr, ty.bytes())) as u64;
                self.set(d, value);
            }
            Uop::LoadExPair { ty, d, e, a } => {
                let (addr, size) = (self.x(a), 2 * ty.bytes());
                if let Some(step) = self.misaligned(addr, size) {
                    return step;
                }
                let pair = ok!(self, self.load_exclusive(addr, size));
                self.set(d, ty.extend(pair as u64));
                self.set(e, (pair >> (8 * ty.bytes())) as u64);
            }
            Uop::StoreEx { ty, d, s, a } => {
                let addr = self.x(a);
                if let Some(step) = self.misaligned(addr, ty.bytes()) {
                    return step;
                }
                let new = u128::from(ty.extend(self.x(s)));
                let stored = ok!(self, self.store_exclusive(addr, ty.bytes(), new));
                self.set(d, u64::from(!stored));
            }
            Uop::StoreExPair { ty, d, s, t, a } => {
                let (addr, size) = (self.x(a), 2 * ty.bytes());
                if let Some(step) = self.misaligned(addr, size) {
                    return step;
                }
                let (low, high) = (u128::from(ty.extend(self.x(s))), u128::from(ty.extend(self.x(t))));
                let stored = ok!(self, self.store_exclusive(addr, size, low | high << (8 * ty.bytes())));
                self.set(d, u64::from(!stored));
            }
            Uop::ClearEx => self.cpu.clear_monitor(),
            Uop::Amo { op, ty, d, s, a } => {
                let addr = self.x(a);
                if let Some(step) = self.misaligned(addr, ty.bytes()) {
                    return step;
                }
                let old = ok!(self, self.read_modify_write(op, ty, addr, self.x(s)));
                if d != slot::ZERO {
                    self.set(d, old);
                }
            }
            Uop::Cas { ty, d, c, s, a } => {
                let addr = self.x(a);
                if let Some(step) = self.misaligned(addr, ty.bytes()) {
                    return step;
                }
                let (expected, new) = (u128::from(ty.extend(self.x(c))), u128::from(ty.extend(self.x(s))));
                let old = ok!(self, self.ctx.memory.compare_exchange(addr, ty.bytes(), expected, new));
                self.after_store();
                if d != slot::ZERO {
                    self.set(d, old as u64);
                }
            }
            Uop::CasPair { ty, d, c, s, a } => {
                let (addr, bits) = (self.x(a), 8 * ty.bytes());
                if let Some(step) = self.misaligned(addr, 2 * ty.bytes()) {
                    return step;
                }
                let pair =
                    |first: X| u128::from(ty.extend(self.x(first))) | u128::from(ty.extend(self.x(first + 1))) << bits;
                let (expected, new) = (pair(c), pair(s));
                let old = ok!(self, self.ctx.memory.compare_exchange(addr, 2 * ty.bytes(), expected, new));
                self.after_store();
                self.set(d, ty.extend(old as u64));
                self.set(d + 1, (old >> bits) as u64);
            }
            Uop::Fence { order } => fence(match order {
                Fence::Load => Ordering::Acquire,
                Fence::Store => Ordering::Release,
                Fence::Full => Ordering::SeqCst,
            }),

            Uop::V1 { op, t, d, a, imm } => {
                let a = self.v(a);
                let value = self.with_fp(|env| vector::v1(op, t, a, imm, env));
                self.set_v(d, value);
            }
            Uop::V2 { op, t, d, a, b, imm } => {
                let (a, b) = (self.v(a), self.v(b));
                let value = self.with_fp(|env| vector::v2(op, t, a, b, imm, env));
                self.set_v(d, value);
            }
            Uop::V3 { op, t, d, a, b, c, imm } => {
                let (a, b, c) = (self.v(a), self.v(b), self.v(c));
                let value = self.with_fp(|env| vector::v3(op, t, a, b, c, imm, env));
                self.set_v(d, value);
            }
            Uop::Vx { op, t, d, a, imm } => {
                let a = self.v(a);
                let value = self.with_fp(|env| vector::vx(op, t, a, imm, env));
                self.set(d, value);
            }
            Uop::Xv { op, t, d, a, imm } => {
                let (old, a) = (self.v(d), self.x(a));
                let value = self.with_fp(|env| vector::xv(op, t, old, a, imm, env));
                self.set_v(d, value);
            }
            Uop::VMovI { d, both, imm } => {
                self.set_v(d, u128::from(imm) | if both { u128::from(imm) << 64 } else { 0 });
            }
            Uop::FCmp { t, a, b, zero, signal } => {
                let (a, b) = (self.v(a), if zero { 0 } else { self.v(b) });
                let nzcv = self.with_fp(|env| vector::fcmp(t, a, b, signal, env));
                self.cpu.set_nzcv(nzcv);
            }

            Uop::CheckRounding => {
                if self.x(slot::FP_CONTROL) & vector::control::NO_ROUNDING != 0 {
                    return self.illegal();
                }
            }

            Uop::Vector { bits, memory, d, a, b, .. } => {
                let operands = [self.x(a), self.x(b)];
                let result = self.ctx.isa.vector(bits, operands, self.cpu, self.ctx.memory);
                if memory == VectorMemory::Store {
                    // Elements in front of one that faults are stored.
                    self.after_store();
                }
                match result {
                    Ok(value) if d != slot::ZERO => self.set(d, value),
                    Ok(_) => {}
                    Err(event) => return self.raise(event),
                }
            }

            Uop::VectorLook { bits, a, b } => {
                let mut noted = std::mem::take(&mut self.cpu.noted);
                noted.clear();
                let memory = self.ctx.memory;
                self.ctx.isa.vector_accesses(bits, [self.x(a), self.x(b)], self.cpu, memory, &mut |access| {
                    let old = match access.size {
                        1 => memory.load::<1>(access.addr).map(|bytes| bytes[0].into()),
                        2 => memory.load(access.addr).map(|bytes| u16::from_le_bytes(bytes).into()),
                        4 => memory.load(access.addr).map(|bytes| u32::from_le_bytes(bytes).into()),
                        _ => memory.load(access.addr).map(u64::from_le_bytes),
                    };
                    noted.push((access, old.unwrap_or(0)));
                    true
                });
                self.cpu.noted = noted;
            }
            Uop::VectorAccess { size, d, address, value, old, a } => {
                let rest = self.cpu.noted.iter().enumerate().skip(self.x(a) as usize);
                let found = rest.map(|(n, &noted)| (n, noted)).find(|(_, (access, _))| access.size == u64::from(size));
                let Some((n, (access, before))) = found else {
                    self.set(d, 0);
                    return Step::Continue;
                };
                let held = self.ctx.isa.vector_element(self.cpu, access);
                self.set(address, access.addr);
                self.set(value, held);
                self.set(old, before);
                self.set(d, n as u64 + 1);
            }
            Uop::ReadSys { d, reg } => {
                match self.ctx.isa.read_system(self.cpu, reg, self.ctx.host.ticks(self.icount())) {
                    Some(value) => self.set(d, value),
                    None => return self.illegal(),
                }
            }
            Uop::WriteSys { a, reg } => {
                let value = self.x(a);
                if !self.ctx.isa.write_system(self.cpu, reg, value) {
                    return self.illegal();
                }
            }
            // Stores to translated code are noticed when they happen; there is nothing left to do here.
            Uop::IcacheInvalidate { .. } => {}

            Uop::Jump { target, .. } => return self.leave_to(target),
            Uop::JumpInd { a, .. } => return self.leave_to(self.x(a)),
            Uop::BrZero { nz, a, target } => return self.branch((self.x(a) != 0) == nz, target),
            Uop::BrBit { set, bit, a, target } => return self.branch((self.x(a) >> bit & 1 != 0) == set, target),
            Uop::BrCc { cc, target } => return self.branch(self.holds(cc), target),
            Uop::Next => return self.leave_to(self.block.end),
            Uop::Syscall { .. } => return self.system_call(),
            Uop::Trap { kind, imm } => return self.raise(trap_event(kind, imm)),

            Uop::Icount { d } => self.set(d, self.icount()),
            Uop::ProbeLoad { ty, d, e, a } => {
                let loaded = self.load(ty, self.x(a));
                self.set(d, loaded.unwrap_or(0));
                self.set(e, u64::from(loaded.is_ok()));
            }
            Uop::CellGet { d, cell } => self.set(d, self.ctx.cells.get(cell)),
            Uop::CellSet { a, cell } => self.ctx.cells.set(cell, self.x(a)),
            Uop::CellInc { cell, n } => self.ctx.counters.inc(cell, n),
            Uop::CellIncAt { cell, a, len } => {
                let index = self.x(a).min(u64::from(len) - 1) as u32;
                self.ctx.counters.inc(cell + index, 1);
            }
            Uop::CellFind { d, a, index } => self.set(d, self.ctx.cells.keys(index).find(self.x(a))),
            Uop::CellAt { d, a } => {
                let cell = self.x(a).min(Cells::COUNT as u64 - 1) as u32;
                self.set(d, self.ctx.cells.get_common(cell));
            }
            Uop::CellAddAt { cell, a, n } => {
                let cell = self.x(a).min(Cells::COUNT as u64 - 1 - u64::from(cell)) as u32 + cell;
                self.ctx.counters.inc(cell, self.x(n));
            }
            Uop::CellAdd { d, a, cell } => {
                let sum = self.ctx.cells.add(cell, self.x(a));
                self.set(d, sum);
            }
            Uop::Record { action, d, args, n } => {
                let args = &self.cpu.x[usize::from(args)..][..usize::from(n)];
                let written = self.ctx.counters.ring().write(self.ctx.cells.records(), action, args);
                self.set(d, written.into());
            }
            Uop::Local { to } => self.at = to,
            Uop::LocalIf { nz, a, to } => {
                if (self.x(a) != 0) == nz {
                    self.at = to;
                }
            }
            Uop::Action { action, d, args, n, .. } => {
                let pc = if self.block.insns.is_empty() { self.cpu.pc } else { self.block.insn(self.insn()).pc };
                let call = ActionCall { action, args, n, pc, icount: self.icount() };
                let result = perform(call, self.cpu, self.ctx);
                if d != slot::ZERO {
                    self.set(d, result);
                }
            }
            Uop::StickX { d } => {
                let held = self.cpu.stuck.x[usize::from(d)].hold(self.x(d).into());
                self.set(d, held as u64);
            }
            Uop::StickV { d } => {
                let held = self.cpu.stuck.v[usize::from(d)].hold(self.v(d));
                self.set_v(d, held);
            }
            Uop::StickFlags => {
                let held = self.cpu.stuck.flags.hold(self.cpu.nzcv().into());
                self.cpu.set_nzcv(held as u64);
            }
            Uop::Poll { body } => return self.poll(body),
            Uop::Goto { a, done } => {
                self.cpu.icount += self.insn() as u64 + u64::from(done);
                self.cpu.pc = self.x(a);
                return self.leave(Leave::Next);
            }
        }
        Step::Continue
    }

    fn add_with_carry(&mut self, wide: bool, d: X, a: X, b: X, set: bool) {
        let carry = self.cpu.nzcv() & 2 != 0;
        let (sum, nzcv) = adc(wide, self.x(a), self.x(b), carry);
        if d != slot::ZERO {
            self.set(d, sum);
        }
        if set {
            self.cpu.set_nzcv(nzcv);
        }
    }

    fn illegal(&mut self) -> Step {
        let bits = if self.block.insns.is_empty() { 0 } else { self.block.insn(self.insn()).bits };
        self.raise(TrapEvent::Illegal(bits))
    }

    fn branch(&mut self, taken: bool, target: u64) -> Step {
        self.leave_to(if taken { target } else { self.block.end })
    }

    fn system_call(&mut self) -> Step {
        let index = self.insn();
        self.cpu.icount += index as u64 + 1;
        self.cpu.pc = self.block.get_insn(index + 1).map_or(self.block.end, |insn| insn.pc);
        self.leave(Leave::Syscall(self.at))
    }

    fn poll(&mut self, body: bool) -> Step {
        if self.cpu.poll.load(Ordering::Relaxed) == 0 {
            return Step::Continue;
        }
        let index = self.insn();
        if body {
            self.cpu.icount += index as u64;
            self.cpu.pc = self.block.insn(index).pc;
            self.cpu.resume = resume::BODY;
            self.leave(Leave::Next)
        } else {
            let left = self.leave_at_boundary(index + 1);
            self.leave(left)
        }
    }
}

fn trap_event(kind: Trap, imm: u64) -> TrapEvent {
    match kind {
        Trap::Illegal => TrapEvent::Illegal(imm as u32),
        Trap::Breakpoint => TrapEvent::Breakpoint(imm),
        Trap::Halt => TrapEvent::Halt(imm),
        Trap::Fetch => TrapEvent::Fault(Fault { addr: imm, access: Access::Fetch, mapped: false }),
        Trap::PcAlignment => TrapEvent::Misaligned(imm),
    }
}

impl uop::Uop {
    /// True for micro-ops that [`run_one`] can execute: no control flow, nothing that depends on the block.
    pub fn is_plain(&self) -> bool {
        !self.ends_block()
            && !matches!(
                self,
                Uop::Syscall { .. }
                    | Uop::Icount { .. }
                    | Uop::Local { .. }
                    | Uop::LocalIf { .. }
                    | Uop::Action { .. }
                    | Uop::Poll { .. }
                    | Uop::Goto { .. }
            )
    }
}
