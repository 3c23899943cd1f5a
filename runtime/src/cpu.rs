//! The state of one guest CPU, shared between the interpreter and generated code.

use crate::isa::VectorAccess;
use crate::uop::{FlagKind, slot};
use std::sync::atomic::AtomicU32;

/// Bits of [`CpuState::poll`]: what a thread has been asked to look at.
pub mod poll {
    /// Translated code has been written, or probes have changed.
    pub const CODE: u32 = 1;
    /// The environment has something to deliver.
    pub const SIGNAL: u32 = 2;
    /// The run is to end.
    pub const STOP: u32 = 4;
    /// Another thread wants to be exclusive; see [`crate::gate`].
    pub const PARK: u32 = 8;
    /// The instruction is executed as another one; see [`crate::vm::ProbeEngine::take_replaced`].
    pub const INSN: u32 = 16;
    /// A name has been said outside, for `mark` probes.
    pub const MARK: u32 = 32;
}

/// Values of [`CpuState::resume`].
pub mod resume {
    /// `pc` was reached by control flow: a block begins there.
    pub const ENTRY: u32 = 0;
    /// A block was left at the boundary before this instruction; it goes on.
    pub const MIDDLE: u32 = 1;
    /// A block was left behind the before-probes of this instruction, which is still to be executed.
    pub const BODY: u32 = 2;
    /// Generated code has left the block at `pc`, whose instructions are not in `icount` yet, in front of the micro-op
    /// [`cold`](super::CpuState::cold): of code that it does not have. It is gone on with there at once.
    pub const COLD: u32 = 3;
    /// As `COLD`, in the middle of an instruction, of which generated code cannot make an access.
    pub const WITHIN: u32 = 4;
}

/// The guest-visible registers and what the engine keeps per guest thread. Generated code uses the offsets.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct CpuState {
    /// Integer slots; see [`slot`].
    pub x: [u64; slot::COUNT],
    /// Vector slots.
    pub v: [u128; slot::VCOUNT],
    /// Address of the next instruction. Exact whenever control is outside a block.
    pub pc: u64,
    /// Instructions completed by this thread.
    pub icount: u64,
    /// Value of `icount` at which generated code must stop (`every`, `--max-insns`); `u64::MAX` for never.
    pub limit: u64,
    /// Not zero if the thread should leave its block soon; bits of [`poll`]. Signal handlers set it, so it stands by
    /// itself and lives for ever.
    pub poll: &'static AtomicU32,
    /// How execution goes on at `pc`: one of the constants of [`resume`].
    pub resume: u32,
    /// With [`resume::COLD`] and [`resume::WITHIN`]: the micro-op of the block at `pc` to go on with. Behind a trap: the
    /// micro-op that has trapped.
    pub cold: u32,
    /// The exclusive monitor.
    pub monitor: Monitor,
    /// Bits of registers that are stuck.
    pub stuck: StuckRegisters,
    /// Accesses of a vector instruction, with what was in memory; see [`crate::uop::Uop::VectorLook`].
    pub noted: Vec<(VectorAccess, u64)>,
    /// What generated code needs besides the guest's state.
    pub links: CodeLinks,
}

/// Bits of a register that are stuck at a value. The register itself holds what instructions read; what they have
/// written instead is kept here, and comes back when the bits are free again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct StuckBits {
    /// The bits that are stuck.
    pub(crate) mask: u128,
    /// What they read as; nothing else.
    pub(crate) value: u128,
    /// What has been written in them; nothing else.
    pub(crate) written: u128,
    /// What the register held when this was last looked at.
    pub(crate) last: u128,
}

impl StuckBits {
    /// The register has been written. Returns what it is to hold.
    pub fn hold(&mut self, written: u128) -> u128 {
        self.written = written & self.mask;
        self.last = written & !self.mask | self.value;
        self.last
    }

    /// The bits of `mask` are stuck at those of `value` from now on, where the register holds `now`. Returns what it is to
    /// hold.
    pub fn stick(&mut self, mask: u128, value: u128, now: u128) -> u128 {
        self.written |= now & mask & !self.mask;
        self.mask |= mask;
        self.value = self.value & !mask | value & mask;
        self.last = now & !self.mask | self.value;
        self.last
    }

    /// The bits of `mask` are stuck no more, where the register holds `now`. Returns what it is to hold.
    pub fn release(&mut self, mask: u128, now: u128) -> u128 {
        let mask = mask & self.mask;
        self.last = now & !mask | self.written & mask;
        self.mask &= !mask;
        self.value &= !mask;
        self.written &= !mask;
        self.last
    }
}

/// Bits of a thread's registers that are stuck; see [`Uop::StickX`](crate::uop::Uop::StickX).
#[derive(Clone, Debug, Default)]
pub struct StuckRegisters {
    /// Of the general registers.
    pub x: [StuckBits; slot::SYS as usize],
    /// Of the vector registers.
    pub v: [StuckBits; slot::VTEMP as usize],
    /// Of the packed flags.
    pub flags: StuckBits,
    /// Bits have been stuck in one of them.
    pub any: bool,
}

/// What a thread's exclusive load has marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Address, or `u64::MAX` if nothing is marked.
    pub addr: u64,
    /// Size in bytes.
    pub size: u64,
    /// What memory held.
    pub value: u128,
    /// See [`crate::mem::GuestMemory::load_exclusive`].
    pub version: u64,
}

impl Default for Monitor {
    fn default() -> Self {
        Monitor { addr: u64::MAX, size: 0, value: 0, version: 0 }
    }
}

/// Host addresses that generated code finds through the CPU state; see [`crate::jit`]. All zero while none runs.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CodeLinks {
    /// The chain slot through which the code left, or 0.
    pub link: usize,
    /// The context of the running call.
    pub context: usize,
    /// The indirect-branch cache.
    pub jump_cache: usize,
    /// The words in which the thread counts; see [`crate::cells`].
    pub counters: usize,
    /// The ring in which the thread leaves records; see [`crate::records`].
    pub ring: usize,
    /// The generated function that leaves when the next code is not known.
    pub resolver: usize,
    /// Helper functions.
    pub plain: usize,
    /// See `plain`.
    pub action: usize,
    /// See `plain`.
    pub nzcv: usize,
    /// See `plain`.
    pub fp_sync: usize,
    /// The generated function that calls `plain` and preserves all registers.
    pub preserving: usize,
    /// The floating-point registers, a bit each, in which generated code has left NaNs that have to become canonical.
    pub raw: u32,
}

impl Default for CpuState {
    fn default() -> Self {
        CpuState {
            x: [0; slot::COUNT],
            v: [0; slot::VCOUNT],
            pc: 0,
            icount: 0,
            limit: u64::MAX,
            poll: Box::leak(Box::new(AtomicU32::new(0))),
            resume: resume::ENTRY,
            cold: 0,
            monitor: Monitor::default(),
            stuck: StuckRegisters::default(),
            noted: Vec::new(),
            links: CodeLinks::default(),
        }
    }
}

impl CpuState {
    /// Returns the flags packed as N<<3 | Z<<2 | C<<1 | V.
    pub fn nzcv(&self) -> u64 {
        let kind = self.x[slot::FLAG_KIND as usize];
        let (a, b) = (self.x[slot::FLAG_A as usize], self.x[slot::FLAG_B as usize]);
        FlagKind::ALL[kind as usize].nzcv(a, b)
    }

    /// Forces the stuck bits of registers that have been written by something else than an instruction: a system call,
    /// the entry of a signal handler, a probe.
    pub fn hold_stuck(&mut self) {
        let StuckRegisters { x, v, flags, any } = &mut self.stuck;
        if !*any {
            return;
        }
        let is_written = |bits: &StuckBits, now: u128| bits.mask != 0 && bits.last != now;
        for (register, bits) in self.x.iter_mut().zip(x) {
            if is_written(bits, (*register).into()) {
                *register = bits.hold((*register).into()) as u64;
            }
        }
        for (register, bits) in self.v.iter_mut().zip(v) {
            if is_written(bits, *register) {
                *register = bits.hold(*register);
            }
        }
        if flags.mask != 0 {
            let mut bits = *flags;
            let now = self.nzcv().into();
            if bits.last != now {
                let held = bits.hold(now) as u64;
                self.set_nzcv(held);
                self.stuck.flags = bits;
            }
        }
    }

    /// Makes the next store-exclusive fail.
    pub fn clear_monitor(&mut self) {
        self.monitor = Monitor::default();
    }

    /// Sets the flags from their packed form.
    pub fn set_nzcv(&mut self, nzcv: u64) {
        self.x[slot::FLAG_KIND as usize] = FlagKind::Nzcv as u64;
        self.x[slot::FLAG_A as usize] = nzcv & 15;
        self.x[slot::FLAG_B as usize] = 0;
    }
}
