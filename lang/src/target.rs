//! What the checker needs to know of a guest architecture: its registers.
//!
//! The runtime implements [`Target`] once per architecture, from the same tables that its lifter uses.
//! Nothing here knows how a register is stored: [`Register::slot`] is handed through to the runtime untouched.

use crate::types::Type;

/// A guest register, or a part of one, that a script can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The name as the manual writes it, in lower case: `x0`, `w0`, `v3.s[1]`, `nzcv`.
    pub name: String,
    /// Where the runtime keeps it.
    pub slot: RegisterSlot,
    /// First bit of this view inside the slot.
    pub offset: u8,
    /// Width of this view in bits: 1 to 128.
    pub bits: u8,
    /// What its value is, which decides how it prints.
    pub ty: Type,
    /// True if a write clears the bits of the slot above this view (`w0`, `d0`), false if it keeps them (`v3.s[1]`).
    pub zero_extends: bool,
    /// Why a write to it makes no sense; `None` if it is writable.
    pub read_only: Option<ReadOnly>,
}

/// Why a write to a register makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOnly {
    /// The reason, as a sentence without full stop.
    pub why: &'static str,
    /// What may have been meant, for whom another architecture is in mind.
    pub help: Option<&'static str>,
}

/// Names a place in the guest CPU state. The numbers are the runtime's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterSlot {
    /// An integer slot (64 bits).
    Int(u8),
    /// A vector slot (128 bits).
    Vector(u8),
    /// The program counter. Writing it is `goto`.
    Pc,
    /// The condition flags as the architecture packs them.
    Flags,
    /// A system register, by the architecture's number, that is made of other state when it is read.
    System(u32),
}

/// A system call of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCall {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: &'static str,
    /// The names and types of its arguments, in order.
    pub args: Vec<(&'static str, Type)>,
}

/// The registers of one guest architecture.
pub trait Target {
    /// The name that `--arch` takes: `aarch64`.
    fn arch(&self) -> &'static str;

    /// The name that prose uses: `AArch64`.
    fn title(&self) -> &'static str;

    /// Looks up a register by its lower-case name (`x0`, `w3`, `sp`, `lr`, `d0`, `nzcv`), without lanes.
    fn register(&self, name: &str) -> Option<Register>;

    /// Looks up lane `index` of `register` seen as elements of `shape` (`b h s d`): `v3.s[1]`.
    fn lane(&self, register: &str, shape: &str, index: u64) -> Option<Register>;

    /// All names that [`Target::register`] knows, for "did you mean" and `spile list PROG regs`.
    fn register_names(&self) -> Vec<String>;

    /// True if bits of the register can be stuck: nothing but instructions that name it, and the kernel, read and write
    /// it.
    fn can_stick(&self, _register: &Register) -> bool {
        true
    }

    /// The register that carries integer argument `n` at a function's entry (`arg0` …), if in a register.
    fn argument(&self, n: u8) -> Option<Register>;

    /// All system calls that the guest's kernel may know.
    fn system_calls(&self) -> Vec<SystemCall> {
        Vec::new()
    }

    /// The signals that the guest's kernel knows, by their names in lower case.
    fn signals(&self) -> Vec<(&'static str, u8)> {
        Vec::new()
    }

    /// The register that carries argument `n` of a system call.
    fn system_call_argument(&self, _n: u8) -> Option<Register> {
        None
    }

    /// The register that carries the result of a system call.
    fn system_call_result(&self) -> Option<Register> {
        None
    }
}
