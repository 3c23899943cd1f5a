//! Guest architectures: the one trait that the engine knows of them, and their registry.
//!
//! Nothing outside this directory names an architecture, and nothing in it knows how micro-ops are executed.

pub mod aarch64;
mod encoding;
mod facts;
pub mod riscv;

use crate::block::Lift;
use crate::cpu::CpuState;
use crate::env::TrapEvent;
use crate::mem::GuestMemory;
use crate::uop::slot;
use spile_lang::target::{Register, RegisterSlot, Target};
use spile_lang::types::Type;

/// What all architectures say to [`Target::can_stick`]: other registers are changed by operations that do not name them.
fn can_stick(register: &Register) -> bool {
    match register.slot {
        RegisterSlot::Int(n) => n < slot::SYS,
        RegisterSlot::Vector(v) => v < slot::VTEMP,
        RegisterSlot::Flags => true,
        RegisterSlot::Pc | RegisterSlot::System(_) => false,
    }
}

/// An element of a vector register of 128 bits, seen as elements of `shape`.
fn vector_lane(whole: Register, shape: &str, lane: u64) -> Option<Register> {
    let bits = match shape {
        "b" => 8,
        "h" => 16,
        "s" => 32,
        "d" => 64,
        _ => return None,
    };
    let name = format!("{}.{shape}[{lane}]", whole.name);
    let offset = || lane as u8 * bits;
    (lane < u64::from(128 / bits)).then(|| Register { name, offset: offset(), bits, ty: Type::Word, ..whole })
}

/// A guest architecture.
pub trait Isa: Target + Send + Sync {
    /// Returns the size in bytes of the instruction that starts with `first`, its first two bytes: 2 or 4.
    fn insn_len(&self, first: u16) -> u8;

    /// Returns the alignment in bytes that an instruction's address must have.
    fn insn_align(&self) -> u64;

    /// Appends the micro-ops of the instruction `bits` to `lift`.
    ///
    /// An encoding that is not allocated or not implemented becomes [`crate::uop::Trap::Illegal`].
    fn lift(&self, bits: u32, lift: &mut Lift<'_>);

    /// Returns the disassembly of `bits` at `pc`, as objdump writes it, with one blank between mnemonic and operands.
    fn disassemble(&self, bits: u32, pc: u64) -> String;

    /// Returns what is known of the instruction `bits` at `pc` without executing it.
    fn facts(&self, bits: u32, pc: u64) -> InsnFacts;

    /// True for an encoding that is illegal and is there for that: `udf`.
    fn is_undefined(&self, _bits: u32) -> bool {
        false
    }

    /// Sets what is not zero in the state of a processor that starts.
    fn reset(&self, _cpu: &mut CpuState) {}

    /// Reads system register `reg`, the number in [`crate::uop::Uop::ReadSys`], where it is not a plain slot.
    /// `ticks` is the virtual counter in nanoseconds. `None` means the guest may not read it.
    fn read_system(&self, cpu: &CpuState, reg: u32, ticks: u64) -> Option<u64>;

    /// Writes system register `reg`. False means the guest may not write it.
    fn write_system(&self, cpu: &mut CpuState, reg: u32, value: u64) -> bool;

    /// Executes the instruction of a [`crate::uop::Uop::Vector`] and returns its result, 0 if it has none.
    ///
    /// # Errors
    /// The trap that it ran into. What it has done until then is such that it can be started again.
    fn vector(
        &self,
        bits: u32,
        _operands: [u64; 2],
        _cpu: &mut CpuState,
        _memory: &GuestMemory,
    ) -> Result<u64, TrapEvent> {
        Err(TrapEvent::Illegal(bits))
    }

    /// Calls `f` for each element that such an instruction would access, in their order, until it returns false.
    fn vector_accesses(
        &self,
        _bits: u32,
        _operands: [u64; 2],
        _cpu: &CpuState,
        _memory: &GuestMemory,
        _f: &mut dyn FnMut(VectorAccess) -> bool,
    ) {
    }

    /// Returns what the register of such an element holds.
    fn vector_element(&self, _cpu: &CpuState, _access: VectorAccess) -> u64 {
        0
    }

    /// Calls `f` for the slot of each vector register that such an instruction names, with whether it is written. Of a group
    /// that is its first register.
    fn vector_registers(&self, _bits: u32, _f: &mut dyn FnMut(u8, bool)) {}

    /// The whole register that is kept in `slot`, as the disassembly calls it; `None` where scripts have no name for it,
    /// and for a register that is always zero.
    fn register_in(&self, slot: RegisterSlot) -> Option<Register>;

    /// The registers that a dump or a trace shows, by name, in the manual's order.
    fn shown_registers(&self) -> &'static [&'static str];

    /// `e_machine` of its ELF files.
    fn elf_machine(&self) -> u16;

    /// The register that debug information gives this number.
    fn debug_register(&self, number: u16) -> Option<Register>;

    /// How functions keep the frame of their caller, where nothing else says so.
    fn frame_record(&self) -> FrameRecord;

    /// Returns the address from which `code`, at `pc` in a procedure linkage table, loads where it jumps to, if a stub begins
    /// there.
    fn plt_slot(&self, pc: u64, code: &[u8]) -> Option<u64>;

    /// Where the procedure call standard puts a function's parameters, as seen at its first instruction.
    fn passed(&self, parameters: &[Parameter]) -> Vec<Passed>;
}

/// An access that a vector instruction makes for an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorAccess {
    /// Its address.
    pub addr: u64,
    /// Its size in bytes: 1, 2, 4 or 8.
    pub size: u64,
    /// The register where its group begins, and its index there.
    pub register: u8,
    /// See `register`.
    pub index: u8,
}

/// The usual frame record: what a function that has a frame pointer keeps of its caller. Registers have their numbers
/// in debug information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRecord {
    /// The stack pointer.
    pub sp: u16,
    /// The register in which a call leaves the address to return to.
    pub link: u16,
    /// The frame pointer.
    pub fp: u16,
    /// The size of a saved register in bytes: 4 or 8.
    pub word: u64,
    /// From where the frame pointer points to the caller's frame pointer, in bytes.
    pub saved_fp: i64,
    /// To the return address.
    pub saved_link: i64,
    /// To the end of the record, which the caller's stack pointer is not below.
    pub size: u64,
    /// To the caller's frame pointer in a function that keeps no return address, since it calls nothing, where that is
    /// elsewhere.
    pub leaf_fp: Option<i64>,
}

/// What a parameter of a function is to the procedure call standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// An integer, an enumeration or a pointer, of so many bytes.
    Integer(u64),
    /// A floating-point number of so many bytes.
    Float(u64),
    /// A structure or array of one to four floating-point numbers of one kind: the bytes of each, and how many.
    Floats(u64, u64),
    /// Another structure or array without floating-point numbers: its size, and its alignment.
    Composite(u64, u64),
    /// A structure that has floating-point numbers, and others or of several kinds: its size, and its alignment.
    Mixed(u64, u64),
    /// What its caller keeps in memory and gives the address of.
    Reference,
}

/// Where a parameter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// In registers, so many bytes in each.
    Registers(Vec<(u64, Register)>),
    /// On the stack, so far above the stack pointer.
    Stack(u64),
    /// In memory, at an address that is passed like this.
    Behind(Box<Passed>),
    /// Somewhere else.
    Unknown,
}

impl Passed {
    /// The next place on the stack, for a parameter of so many bytes; `free` is moved behind it. Both standards pass
    /// them in words of eight bytes, and align to sixteen what asks for it (AAPCS64, 6.8.2; RISC-V ELF psABI, "Integer Calling Convention").
    fn on_stack(free: &mut u64, bytes: u64, align: u64) -> Passed {
        let at = free.next_multiple_of(if align == 16 { 16 } else { 8 });
        *free = at + bytes.next_multiple_of(8);
        Passed::Stack(at)
    }
}

#[cfg(test)]
impl Passed {
    /// As the tests of each architecture write it: `x0:8+x1:4`, `sp+8`, `[x2:8]` for an address.
    fn text(&self) -> String {
        match self {
            Passed::Registers(parts) => {
                let parts: Vec<_> =
                    parts.iter().map(|(bytes, register)| format!("{}:{bytes}", register.name)).collect();
                parts.join("+")
            }
            Passed::Stack(offset) => format!("sp+{offset}"),
            Passed::Behind(inner) => format!("[{}]", inner.text()),
            Passed::Unknown => "?".to_string(),
        }
    }
}

/// What is known of an instruction without executing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InsnFacts {
    /// The mnemonic, with its suffix: `b.eq`, `add`.
    pub mnemonic: String,
    /// The whole disassembly.
    pub text: String,
    /// Target of a direct branch or call.
    pub target: Option<u64>,
    /// Calls: `bl`, `blr`.
    pub is_call: bool,
    /// Returns: `ret`.
    pub is_return: bool,
    /// All transfers of control, calls and returns included.
    pub is_branch: bool,
    /// Reads memory.
    pub is_load: bool,
    /// Writes memory.
    pub is_store: bool,
    /// The registers that it reads, flags among them, in the order of the disassembly; what that does not name comes last.
    pub reads: Vec<Register>,
    /// The registers that it writes, likewise.
    pub writes: Vec<Register>,
}

/// All guest architectures.
pub fn all() -> [&'static dyn Isa; 3] {
    SURROUNDINGS.map(|(isa, ..)| isa)
}

/// Finds an architecture by the name that `--arch` takes.
pub fn by_name(name: &str) -> Option<&'static dyn Isa> {
    all().into_iter().find(|isa| isa.arch() == name)
}

/// What an architecture has of its own besides instructions.
type Surroundings =
    (&'static dyn Isa, Option<&'static dyn crate::linux::LinuxAbi>, &'static dyn crate::raw::Semihosting);

/// The Linux of each architecture, where there is one, and its semihosting.
const SURROUNDINGS: [Surroundings; 3] = [
    (&aarch64::AARCH64, Some(&aarch64::abi::LINUX), &aarch64::abi::LINUX),
    (&riscv::RISCV64, Some(&riscv::abi::LINUX), &riscv::RISCV64),
    (&riscv::RISCV32, None, &riscv::RISCV32),
];

/// The architectures whose Linux programs can be run.
pub fn with_linux() -> impl Iterator<Item = (&'static dyn Isa, &'static dyn crate::linux::LinuxAbi)> {
    SURROUNDINGS.into_iter().filter_map(|(isa, linux, _)| Some((isa, linux?)))
}

/// Finds the architecture of 64-bit Linux programs by the `e_machine` of an ELF file.
pub fn by_machine(machine: u16) -> Option<&'static dyn Isa> {
    with_linux().map(|(isa, _)| isa).find(|isa| isa.elf_machine() == machine)
}

/// Finds what Linux on an architecture has of its own.
pub fn linux_of(isa: &dyn Isa) -> Option<&'static dyn crate::linux::LinuxAbi> {
    with_linux().find(|(other, _)| other.arch() == isa.arch()).map(|(_, linux)| linux)
}

/// Finds the semihosting of an architecture by its name.
pub fn semihosting_by_name(name: &str) -> Option<&'static dyn crate::raw::Semihosting> {
    SURROUNDINGS.into_iter().find(|(isa, ..)| isa.arch() == name).map(|(.., semihosting)| semihosting)
}
