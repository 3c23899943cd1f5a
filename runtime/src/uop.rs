//! Micro-ops: the only thing that passes from a guest architecture, and from a probe, to the two engine tiers.
//!
//! Each micro-op has one meaning, its reference function, written in this module (integer operations) or in
//! [`crate::vector`] (floating point and vectors); the interpreter calls exactly these, and the compiler must agree.
//! A micro-op is 16 bytes. Families share a shape (`Bin`: two integer slots to one) and name the operation in a field,
//! so that operands are known without knowing the operation.
//!
//! Operands are *slots*: `u8` indices into [`CpuState::x`](crate::cpu::CpuState) (64-bit) or
//! [`CpuState::v`](crate::cpu::CpuState) (128-bit). See [`slot`] for their layout.
//!
//! Names say operation, then width: `Add64`. A 32-bit operation reads the low halves of its operands and
//! zero-extends its result.
//!
//! Restart rule: a block may be left in the middle of an instruction (a failing or slow access) and the instruction
//! is then started again by the interpreter. So within one instruction no guest slot is written before the last
//! micro-op that can leave. Temporaries may be written at any time.

/// Index of a 64-bit slot.
pub type X = u8;
/// Index of a 128-bit slot.
pub type V = u8;

/// The layout of the slot arrays. Guest registers come first, then temporaries of the lifter, then those of probes,
/// which the lifter never touches.
pub mod slot {
    /// Guest general registers. AArch64: `x0`–`x30`, then SP in 31. RISC-V: `x0`–`x31`.
    pub const GPR: u8 = 0;
    /// First of 16 slots for other guest integer state (thread pointer, FP control, exclusive monitor …).
    pub const SYS: u8 = 32;
    /// Thread pointer (`tpidr_el0`, `tp` is a GPR on RISC-V).
    pub const THREAD_POINTER: u8 = 32;
    /// Floating-point control register, in the layout of `fpcr` with the bits of [`crate::vector::control`] above it.
    pub const FP_CONTROL: u8 = 33;
    /// Floating-point status register, in the layout of `fpsr`; operations or their exceptions into it.
    pub const FP_STATUS: u8 = 34;
    /// First instruction of the function that the innermost open call is of; see `probe::inside`.
    pub const CALL_ENTRY: u8 = 44;
    /// First of the four slots of vector configuration that RISC-V has.
    pub const VECTOR_STATE: u8 = 40;
    /// The stack pointer that the innermost open call was entered with.
    pub const CALL_SP: u8 = 45;
    /// A bit for each `during` and `from` that holds.
    pub const INSIDE: u8 = 46;
    /// Return address of the latest call instruction whose return address probes watch; see `probe::calls`.
    pub const CALL_MARK: u8 = 47;
    /// What the condition flags stem from: a [`super::FlagKind`] as integer.
    pub const FLAG_KIND: u8 = 48;
    /// First operand, or the result, or the packed flags.
    pub const FLAG_A: u8 = 49;
    /// Second operand.
    pub const FLAG_B: u8 = 50;
    /// Always zero; never written.
    pub const ZERO: u8 = 51;
    /// First temporary of the lifter; dead at every instruction boundary.
    pub const TEMP: u8 = 64;
    /// First temporary of probes.
    pub const PROBE: u8 = 96;
    /// Number of 64-bit slots.
    pub const COUNT: usize = 256;

    /// First guest vector register.
    pub const VREG: u8 = 0;
    /// First vector temporary of the lifter.
    pub const VTEMP: u8 = 32;
    /// First vector temporary of probes.
    pub const VPROBE: u8 = 48;
    /// First of 32 vector registers of an architecture that has them beside floating-point registers, which are then in
    /// `VREG`. Generated code never keeps them elsewhere.
    pub const VECTOR: u8 = 64;
    /// Number of vector slots.
    pub const VCOUNT: usize = 96;

    /// True for a vector slot that the guest can see.
    pub const fn is_guest_vector(v: u8) -> bool {
        v < VTEMP || v >= VECTOR
    }
}

/// Declares a fieldless operation enum together with the list of its names, for the text form.
macro_rules! ops {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $op:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $op,)* }

        impl $name {
            /// All operations of this family, for tests.
            pub const ALL: &'static [$name] = &[$($name::$op,)*];
        }
    };
}
pub(crate) use ops;

ops! {
    /// Pure operations on two integer operands.
    BinOp {
        /// a + b
        Add64,
        /// a + b
        Add32,
        /// a - b
        Sub64,
        /// a - b
        Sub32,
        /// a & b
        And64,
        /// a & b
        And32,
        /// a | b
        Or64,
        /// a | b
        Or32,
        /// a ^ b
        Xor64,
        /// a ^ b
        Xor32,
        /// a & !b
        AndNot64,
        /// a & !b
        AndNot32,
        /// a | !b
        OrNot64,
        /// a | !b
        OrNot32,
        /// a ^ !b
        XorNot64,
        /// a ^ !b
        XorNot32,
        /// a << (b mod 64)
        Shl64,
        /// a << (b mod 32)
        Shl32,
        /// Logical shift right, b mod 64.
        Shr64,
        /// Logical shift right, b mod 32.
        Shr32,
        /// Arithmetic shift right, b mod 64.
        Sar64,
        /// Arithmetic shift right, b mod 32.
        Sar32,
        /// Rotate right, b mod 64.
        Ror64,
        /// Rotate right, b mod 32.
        Ror32,
        /// Low half of the product.
        Mul64,
        /// Low half of the product.
        Mul32,
        /// High half of the unsigned product.
        MulHiU,
        /// High half of the signed product.
        MulHiS,
        /// High half of signed a times unsigned b.
        MulHiSU,
        /// Product of the sign-extended low halves, 64 bits.
        MulS32to64,
        /// Product of the zero-extended low halves, 64 bits.
        MulU32to64,
        /// Unsigned quotient; 0 if b is 0 (AArch64).
        DivUA64,
        /// Unsigned quotient; 0 if b is 0 (AArch64).
        DivUA32,
        /// Signed quotient; 0 if b is 0, wraps for MIN / -1 (AArch64).
        DivSA64,
        /// Signed quotient; 0 if b is 0, wraps for MIN / -1 (AArch64).
        DivSA32,
        /// 1 if a == b.
        Eq,
        /// 1 if a != b.
        Ne,
        /// 1 if a < b, unsigned.
        LtU,
        /// 1 if a < b, signed.
        LtS,
        /// 1 if a <= b, unsigned.
        LeU,
        /// 1 if a <= b, signed.
        LeS,
        /// CRC-32 of one byte (polynomial 0x04C11DB7, reflected); a is the accumulator, b the data.
        Crc32B,
        /// CRC-32 of two bytes.
        Crc32H,
        /// CRC-32 of four bytes.
        Crc32W,
        /// CRC-32 of eight bytes.
        Crc32X,
        /// CRC-32C (polynomial 0x1EDC6F41) of one byte.
        Crc32CB,
        /// CRC-32C of two bytes.
        Crc32CH,
        /// CRC-32C of four bytes.
        Crc32CW,
        /// CRC-32C of eight bytes.
        Crc32CX,
    }
}

ops! {
    /// Pure operations on one integer operand.
    UnOp {
        /// a
        Mov,
        /// Zero-extended low 8 bits.
        Zext8,
        /// Zero-extended low 16 bits.
        Zext16,
        /// Zero-extended low 32 bits.
        Zext32,
        /// Sign-extended from 8 bits to 64.
        Sext8,
        /// Sign-extended from 16 bits to 64.
        Sext16,
        /// Sign-extended from 32 bits to 64.
        Sext32,
        /// Bytes reversed.
        Bswap64,
        /// Low four bytes reversed.
        Bswap32,
        /// Bytes reversed in each of four 16-bit halves.
        Rev16x64,
        /// Bytes reversed in each of the two low 16-bit halves.
        Rev16x32,
        /// Bytes reversed in each 32-bit half.
        Rev32x64,
        /// Bits reversed.
        Rbit64,
        /// Low 32 bits reversed.
        Rbit32,
        /// Leading zeros, 64 for 0.
        Clz64,
        /// Leading zeros, 32 for 0.
        Clz32,
        /// Leading sign bits, not counting the sign.
        Cls64,
        /// Leading sign bits, not counting the sign.
        Cls32,
        /// Trailing zeros, 64 for 0.
        Ctz64,
        /// One bits.
        Popcnt64,
        /// Bitwise not.
        Not64,
        /// Bitwise not.
        Not32,
        /// -a
        Neg64,
        /// -a
        Neg32,
        /// 1 if a is 0.
        IsZero,
    }
}

ops! {
    /// How `AddSh`, `SubSh` and the shifted logic forms treat their second operand before use.
    Shift {
        /// Shifted left.
        Lsl,
        /// Shifted right, zeros enter.
        Lsr,
        /// Shifted right, the sign enters.
        Asr,
        /// Rotated right.
        Ror,
        /// Zero-extended from 8 bits, then shifted left.
        Uxtb,
        /// Zero-extended from 16 bits, then shifted left.
        Uxth,
        /// Zero-extended from 32 bits, then shifted left.
        Uxtw,
        /// Sign-extended from 8 bits, then shifted left.
        Sxtb,
        /// Sign-extended from 16 bits, then shifted left.
        Sxth,
        /// Sign-extended from 32 bits, then shifted left.
        Sxtw,
    }
}

ops! {
    /// Conditions over the flags, in the order of the AArch64 encoding.
    Cc {
        /// Z
        Eq,
        /// !Z
        Ne,
        /// C: unsigned >=
        Cs,
        /// !C: unsigned <
        Cc,
        /// N
        Mi,
        /// !N
        Pl,
        /// V
        Vs,
        /// !V
        Vc,
        /// C and !Z: unsigned >
        Hi,
        /// !(C and !Z): unsigned <=
        Ls,
        /// N == V: signed >=
        Ge,
        /// N != V: signed <
        Lt,
        /// !Z and N == V: signed >
        Gt,
        /// !(!Z and N == V): signed <=
        Le,
        /// Always.
        Al,
        /// Always (the second encoding of it).
        Nv,
    }
}

ops! {
    /// What [`slot::FLAG_A`] and [`slot::FLAG_B`] hold; `FLAG_KIND` holds one of these as an integer.
    FlagKind {
        /// Packed: A is N<<3 | Z<<2 | C<<1 | V.
        Nzcv,
        /// Flags of A + B.
        Add64,
        /// Flags of the low halves of A + B.
        Add32,
        /// Flags of A - B; C is "no borrow".
        Sub64,
        /// Flags of the low halves of A - B.
        Sub32,
        /// N and Z of A; C and V clear.
        Logic64,
        /// N and Z of the low half of A; C and V clear.
        Logic32,
        /// Flags of comparing A and B as single-precision numbers, neither a signalling NaN.
        Float32,
        /// Flags of comparing A and B as double-precision numbers, neither a signalling NaN.
        Float64,
    }
}

ops! {
    /// What a conditional select does with its second operand.
    SelOp {
        /// b
        Mov,
        /// b + 1
        Inc,
        /// !b
        Inv,
        /// -b
        Neg,
    }
}

ops! {
    /// Width and extension of an integer load or store.
    MemTy {
        /// 8 bits, zero-extended.
        U8,
        /// 16 bits, zero-extended.
        U16,
        /// 32 bits, zero-extended.
        U32,
        /// 64 bits.
        U64,
        /// 8 bits, sign-extended to 64.
        S8,
        /// 16 bits, sign-extended to 64.
        S16,
        /// 32 bits, sign-extended to 64.
        S32,
        /// 8 bits, sign-extended to 32, upper half zero.
        S8to32,
        /// 16 bits, sign-extended to 32, upper half zero.
        S16to32,
    }
}

impl MemTy {
    /// Returns the number of bytes accessed: 1, 2, 4 or 8.
    pub const fn bytes(self) -> u64 {
        match self {
            MemTy::U8 | MemTy::S8 | MemTy::S8to32 => 1,
            MemTy::U16 | MemTy::S16 | MemTy::S16to32 => 2,
            MemTy::U32 | MemTy::S32 => 4,
            MemTy::U64 => 8,
        }
    }

    /// Extends the `bytes()` low bytes of `raw` as this type says.
    pub const fn extend(self, raw: u64) -> u64 {
        match self {
            MemTy::U8 => raw as u8 as u64,
            MemTy::U16 => raw as u16 as u64,
            MemTy::U32 => raw as u32 as u64,
            MemTy::U64 => raw,
            MemTy::S8 => raw as i8 as i64 as u64,
            MemTy::S16 => raw as i16 as i64 as u64,
            MemTy::S32 => raw as i32 as i64 as u64,
            MemTy::S8to32 => raw as i8 as i32 as u32 as u64,
            MemTy::S16to32 => raw as i16 as i32 as u32 as u64,
        }
    }
}

ops! {
    /// Atomic read-modify-write operations: the new memory value from old `m` and operand `s`.
    AmoOp {
        /// s
        Swap,
        /// m + s
        Add,
        /// m & !s
        Clear,
        /// m ^ s
        Xor,
        /// m | s
        Or,
        /// m & s
        And,
        /// Signed maximum.
        MaxS,
        /// Signed minimum.
        MinS,
        /// Unsigned maximum.
        MaxU,
        /// Unsigned minimum.
        MinU,
    }
}

ops! {
    /// Element arrangement of a vector operation. Scalar forms work on element 0 and clear the rest of the register.
    Lanes {
        /// 8 × 8 bits; the upper half of the result is cleared.
        B8,
        /// 16 × 8 bits.
        B16,
        /// 4 × 16 bits.
        H4,
        /// 8 × 16 bits.
        H8,
        /// 2 × 32 bits.
        S2,
        /// 4 × 32 bits.
        S4,
        /// 1 × 64 bits.
        D1,
        /// 2 × 64 bits.
        D2,
        /// Scalar of 8 bits.
        B,
        /// Scalar of 16 bits.
        H,
        /// Scalar of 32 bits.
        S,
        /// Scalar of 64 bits.
        D,
        /// The whole 128 bits as one element.
        Q,
    }
}

impl Lanes {
    /// Returns the size of an element in bytes.
    pub const fn element(self) -> usize {
        match self {
            Lanes::B8 | Lanes::B16 | Lanes::B => 1,
            Lanes::H4 | Lanes::H8 | Lanes::H => 2,
            Lanes::S2 | Lanes::S4 | Lanes::S => 4,
            Lanes::D1 | Lanes::D2 | Lanes::D => 8,
            Lanes::Q => 16,
        }
    }

    /// Returns the number of elements.
    pub const fn count(self) -> usize {
        match self {
            Lanes::B16 => 16,
            Lanes::B8 | Lanes::H8 => 8,
            Lanes::H4 | Lanes::S4 => 4,
            Lanes::S2 | Lanes::D2 => 2,
            Lanes::D1 | Lanes::B | Lanes::H | Lanes::S | Lanes::D | Lanes::Q => 1,
        }
    }
}

ops! {
    /// Memory ordering of [`Uop::Fence`].
    Fence {
        /// Orders earlier loads before everything later.
        Load,
        /// Orders earlier stores before later stores.
        Store,
        /// Orders everything, earlier stores before later loads as well.
        Full,
    }
}

ops! {
    /// What [`Uop::Vector`] does with memory.
    VectorMemory {
        /// Nothing.
        None,
        /// Loads elements.
        Load,
        /// Stores elements.
        Store,
    }
}

ops! {
    /// Why control leaves by an indirect or direct jump; a hint for return prediction.
    JumpHint {
        /// A plain jump.
        Jump,
        /// A call: the return address is the end of the block.
        Call,
        /// A return.
        Return,
    }
}

ops! {
    /// Traps that an instruction raises by itself.
    Trap {
        /// Undefined or not implemented; the immediate is the encoding.
        Illegal,
        /// Breakpoint (`brk`); the immediate is the comment field.
        Breakpoint,
        /// Semihosting or halt (`hlt`); the immediate is the comment field.
        Halt,
        /// Instruction fetch from a page without execute permission, or unmapped; the immediate is the address.
        Fetch,
        /// A misaligned program counter; the immediate is the address.
        PcAlignment,
    }
}

use crate::vector::{self, V1Op, V2Op, V3Op, VxOp, XvOp};

/// A micro-op. Field order is destinations, operands, parameters.
///
/// `d`, `e` are destinations, `a`, `b`, `c`, `s` are operands; the type [`X`] or [`V`] says in which file.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the operands of a micro-op are named in its own line, by the letters explained above")]
pub enum Uop {
    // ---- integers
    /// d = imm
    MovI { d: X, imm: u64 },
    /// d = op(a)
    Un { op: UnOp, d: X, a: X },
    /// d = op(a, b)
    Bin { op: BinOp, d: X, a: X, b: X },
    /// d = op(a, imm)
    BinI { op: BinOp, d: X, a: X, imm: u64 },
    /// d = op(a, shift(b, n)). `op` is one of the add, sub and logic operations; the shift has the operation's width.
    BinSh { op: BinOp, d: X, a: X, b: X, shift: Shift, n: u8 },
    /// d = c + a * b
    MulAdd64 { d: X, a: X, b: X, c: X },
    /// d = c + a * b
    MulAdd32 { d: X, a: X, b: X, c: X },
    /// d = c - a * b
    MulSub64 { d: X, a: X, b: X, c: X },
    /// d = c - a * b
    MulSub32 { d: X, a: X, b: X, c: X },
    /// d = bits `n..n+64` of a:b (a is the upper half); n is 0 to 63.
    Extr64 { d: X, a: X, b: X, n: u8 },
    /// d = bits `n..n+32` of a:b; n is 0 to 31.
    Extr32 { d: X, a: X, b: X, n: u8 },
    /// d = `len` bits of a from bit `lsb`, zero-extended; `lsb + len <= 64`, `len >= 1`.
    BfxU { d: X, a: X, lsb: u8, len: u8 },
    /// d = `len` bits of a from bit `lsb`, sign-extended to 64.
    BfxS { d: X, a: X, lsb: u8, len: u8 },
    /// d = a with bits `lsb..lsb+len` replaced by the low `len` bits of b.
    Bfi { d: X, a: X, b: X, lsb: u8, len: u8 },
    /// d = a if c is not zero, else b.
    Select { d: X, c: X, a: X, b: X },

    // ---- flags
    /// The flags become those of a + b; kind is `Add64` or `Add32`, `Sub64` or `Sub32`, `Logic64` or `Logic32` (b unused).
    Flags { kind: FlagKind, a: X, b: X },
    /// As `Flags` with an immediate second operand.
    FlagsI { kind: FlagKind, a: X, imm: u64 },
    /// The flags become the packed ones in the low four bits of a.
    SetNzcv { a: X },
    /// d = the packed flags: N<<3 | Z<<2 | C<<1 | V.
    GetNzcv { d: X },
    /// If `cc` holds the flags become those of (kind, a, b), else the packed `nzcv`.
    FlagsIf { kind: FlagKind, cc: Cc, a: X, b: X, nzcv: u8 },
    /// d = 1 if `cc` holds, else 0.
    Cond { d: X, cc: Cc },
    /// d = a if `cc` holds, else op(b).
    SelectCc64 { op: SelOp, cc: Cc, d: X, a: X, b: X },
    /// d = a if `cc` holds, else op(b), low halves.
    SelectCc32 { op: SelOp, cc: Cc, d: X, a: X, b: X },
    /// d = a + b + C, and the flags of that if `set`.
    Adc64 { d: X, a: X, b: X, set: bool },
    /// d = a + b + C, and the flags of that if `set`, low halves.
    Adc32 { d: X, a: X, b: X, set: bool },

    // ---- memory; addresses are a + imm, wrapping
    /// d = memory
    Load { ty: MemTy, d: X, a: X, imm: i64 },
    /// memory = s
    Store { ty: MemTy, s: X, a: X, imm: i64 },
    /// d = memory, e = the memory behind it; both or neither. `ty` is `U32`, `S32` or `U64`.
    LoadPair { ty: MemTy, d: X, e: X, a: X, imm: i64 },
    /// memory = s, the memory behind it = t; both or neither. `ty` is `U32` or `U64`.
    StorePair { ty: MemTy, s: X, t: X, a: X, imm: i64 },
    /// d = memory, zero-extended to 128 bits; `bytes` is 1, 2, 4, 8 or 16.
    LoadV { d: V, bytes: u8, a: X, imm: i64 },
    /// memory = low bytes of s.
    StoreV { s: V, bytes: u8, a: X, imm: i64 },
    /// As `LoadPair` for vectors; `bytes` of each is 4, 8 or 16.
    LoadPairV { d: V, e: V, bytes: u8, a: X, imm: i64 },
    /// As `StorePair` for vectors.
    StorePairV { s: V, t: V, bytes: u8, a: X, imm: i64 },
    /// Traps unless a + imm is a multiple of `bytes`, a power of two.
    Align { a: X, bytes: u8, imm: i64 },
    /// Zeroes the 64-byte block of memory that contains address a (`dc zva`).
    ZeroBlock { a: X },
    /// Load-exclusive: d = memory at a; the monitor remembers address, size and value. Misaligned addresses fault.
    LoadEx { ty: MemTy, d: X, a: X },
    /// As `LoadEx` for two words or two doublewords.
    LoadExPair { ty: MemTy, d: X, e: X, a: X },
    /// Store-exclusive: d = 0 and memory = s if the monitor holds, else d = 1. The monitor is cleared.
    StoreEx { ty: MemTy, d: X, s: X, a: X },
    /// As `StoreEx` for two words or two doublewords.
    StoreExPair { ty: MemTy, d: X, s: X, t: X, a: X },
    /// Clears the monitor.
    ClearEx,
    /// d = memory; memory = op(memory, s), atomically. `ty` is an unsigned one; d may be `ZERO` (result dropped).
    Amo { op: AmoOp, ty: MemTy, d: X, s: X, a: X },
    /// If memory equals c it becomes s; d = what memory held.
    Cas { ty: MemTy, d: X, c: X, s: X, a: X },
    /// As `Cas` on the pairs (d, d+1), (c, c+1), (s, s+1).
    CasPair { ty: MemTy, d: X, c: X, s: X, a: X },
    /// Memory barrier.
    Fence { order: Fence },

    // ---- vectors and floating point; reference functions in `vector`
    /// d = op(a, imm)
    V1 { op: V1Op, t: Lanes, d: V, a: V, imm: u32 },
    /// d = op(a, b, imm)
    V2 { op: V2Op, t: Lanes, d: V, a: V, b: V, imm: u32 },
    /// d = op(a, b, c, imm)
    V3 { op: V3Op, t: Lanes, d: V, a: V, b: V, c: V, imm: u32 },
    /// d = op(a, imm), vector to integer.
    Vx { op: VxOp, t: Lanes, d: X, a: V, imm: u32 },
    /// d = op(d, a, imm), integer to vector; operations that replace the whole register ignore the old d.
    Xv { op: XvOp, t: Lanes, d: V, a: X, imm: u32 },
    /// d = imm in both halves if `both`, else in the low half with a zero upper half.
    VMovI { d: V, both: bool, imm: u64 },
    /// The flags become those of a scalar comparison of a and b (`S`, `D` or `H`); `signal`: quiet NaNs raise Invalid too.
    FCmp { t: Lanes, a: V, b: V, zero: bool, signal: bool },

    /// Traps as an illegal instruction if the control register has no valid rounding mode.
    CheckRounding,
    /// Executes the instruction `bits` on the registers from [`slot::VECTOR`] on, by a function of the architecture:
    /// d = its result, where it has one (else `ZERO`); a and b are its operands that are no such registers. An access
    /// that faults leaves what the architecture says, which is such that the instruction can be started again.
    /// `size` is that of an element in memory, 0 if the state says it.
    Vector { bits: u32, memory: VectorMemory, size: u8, d: X, a: X, b: X },
    /// Notes the accesses that the same `Vector` is about to make, for `VectorAccess`.
    VectorLook { bits: u32, a: X, b: X },
    /// Of the accesses that have been noted, the first one from number a on that has `size` bytes: d = its number and one,
    /// address, value = its address and what its register holds, old = what was in memory. d = 0 if there is none.
    VectorAccess { size: u8, d: X, address: X, value: X, old: X, a: X },

    // ---- system
    /// d = a system register; `reg` is the architecture's own number.
    ReadSys { d: X, reg: u32 },
    /// a system register = a
    WriteSys { a: X, reg: u32 },
    /// Guest code at the cache line of address a may have changed.
    IcacheInvalidate { a: X },

    // ---- control; in an unprobed block only as the last micro-op
    /// Goes on at `target`.
    Jump { hint: JumpHint, target: u64 },
    /// Goes on at the address in a.
    JumpInd { hint: JumpHint, a: X },
    /// Goes on at `target` if a is zero (`nz` false) or not zero (`nz` true), else at the end of the block.
    BrZero { nz: bool, a: X, target: u64 },
    /// Goes on at `target` if bit `bit` of a equals `set`, else at the end of the block.
    BrBit { set: bool, bit: u8, a: X, target: u64 },
    /// Goes on at `target` if `cc` holds, else at the end of the block.
    BrCc { cc: Cc, target: u64 },
    /// Goes on at the end of the block.
    Next,
    /// Asks the environment for a system call, then goes on with the next micro-op.
    Syscall { imm: u32 },
    /// Raises a trap.
    Trap { kind: Trap, imm: u64 },

    // ---- probes; local jumps stay inside the block's micro-ops; backward ones are those of bounded loops
    /// d = instructions that this thread has completed.
    Icount { d: X },
    /// d = guest memory at a, 1 to 8 bytes, and e = 1; or d = 0 and e = 0 if it cannot be read. Never faults.
    ProbeLoad { ty: MemTy, d: X, e: X, a: X },
    /// d = the run-time cell `cell`.
    CellGet { d: X, cell: u32 },
    /// The run-time cell `cell` = a.
    CellSet { a: X, cell: u32 },
    /// The run-time cell `cell` += n, wrapping.
    CellInc { cell: u32, n: u64 },
    /// The run-time cell `cell` + a += 1, wrapping; the last of `len` cells if a is beyond.
    CellIncAt { cell: u32, a: X, len: u32 },
    /// The run-time cell `cell` += a, wrapping; d = the new value.
    CellAdd { d: X, a: X, cell: u32 },
    /// d = the run-time cell of key a in index `index`, or 0 if it has none.
    CellFind { d: X, a: X, index: u32 },
    /// d = the run-time cell a, in which no thread counts: actions alone change it.
    CellAt { d: X, a: X },
    /// The run-time cell `cell` + a += n, wrapping; the last one of all if a is beyond.
    CellAddAt { cell: u32, a: X, n: X },
    /// Leaves a record of probe action `action` with the arguments `args..args+n` for whoever writes; d = 1 if there was
    /// room for it, else 0. See [`crate::records`].
    Record { action: u32, d: X, args: X, n: u8 },
    /// Goes on with the micro-op at index `to`.
    Local { to: u32 },
    /// Goes on with the micro-op at index `to` if a is zero (`nz` false) or not zero (`nz` true).
    LocalIf { nz: bool, a: X, to: u32 },
    /// Calls probe action `action` (an index into the engine's table) with the slots `args..args+n`; d is its result.
    /// `state`: the action may read and write any guest slot.
    Action { action: u32, d: X, args: X, n: u8, state: bool },
    /// d = d with its stuck bits, after an instruction or a probe has written it. A general register.
    StickX { d: X },
    /// As `StickX` for a vector register.
    StickV { d: V },
    /// As `StickX` for the flags, which are packed then.
    StickFlags,
    /// Leaves the block if the thread has been asked to look at something (`poll`). Execution resumes at this
    /// instruction: behind its before-probes if `body`, else at the next instruction.
    Poll { body: bool },
    /// Leaves the block and goes on at the address in a; the instruction counts as executed if `done`.
    Goto { a: X, done: bool },
}

impl Uop {
    /// True if nothing follows this micro-op on any path: it ends a block.
    pub fn ends_block(&self) -> bool {
        matches!(
            self,
            Uop::Jump { .. }
                | Uop::JumpInd { .. }
                | Uop::BrZero { .. }
                | Uop::BrBit { .. }
                | Uop::BrCc { .. }
                | Uop::Next
                | Uop::Trap { .. }
        )
    }
}

/// An operand of a micro-op, as [`Uop::operands`] lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Reads an integer slot.
    UseX(X),
    /// Writes an integer slot.
    DefX(X),
    /// Reads a vector slot.
    UseV(V),
    /// Writes a vector slot.
    DefV(V),
    /// Reads the flags.
    UseFlags,
    /// Writes the flags.
    DefFlags,
}

impl Uop {
    /// Calls `f` for every operand, uses before definitions. Fixed slots of floating-point control and status, which
    /// vector operations read and accumulate, are not listed, nor is what [`Uop::Vector`] has in the state.
    pub fn operands(&self, mut f: impl FnMut(Operand)) {
        use Operand::{DefFlags, DefV, DefX, UseFlags, UseV, UseX};
        match *self {
            Uop::MovI { d, .. } => f(DefX(d)),
            Uop::Un { d, a, .. } | Uop::BinI { d, a, .. } => {
                f(UseX(a));
                f(DefX(d));
            }
            Uop::Bin { d, a, b, .. } | Uop::BinSh { d, a, b, .. } => {
                f(UseX(a));
                f(UseX(b));
                f(DefX(d));
            }
            Uop::MulAdd64 { d, a, b, c }
            | Uop::MulAdd32 { d, a, b, c }
            | Uop::MulSub64 { d, a, b, c }
            | Uop::MulSub32 { d, a, b, c }
            | Uop::Select { d, c, a, b } => {
                f(UseX(a));
                f(UseX(b));
                f(UseX(c));
                f(DefX(d));
            }
            Uop::Extr64 { d, a, b, .. } | Uop::Extr32 { d, a, b, .. } | Uop::Bfi { d, a, b, .. } => {
                f(UseX(a));
                f(UseX(b));
                f(DefX(d));
            }
            Uop::BfxU { d, a, .. } | Uop::BfxS { d, a, .. } => {
                f(UseX(a));
                f(DefX(d));
            }
            Uop::Flags { a, b, .. } => {
                f(UseX(a));
                f(UseX(b));
                f(DefFlags);
            }
            Uop::FlagsI { a, .. } | Uop::SetNzcv { a } => {
                f(UseX(a));
                f(DefFlags);
            }
            Uop::GetNzcv { d } | Uop::Cond { d, .. } => {
                f(UseFlags);
                f(DefX(d));
            }
            Uop::FlagsIf { a, b, .. } => {
                f(UseX(a));
                f(UseX(b));
                f(UseFlags);
                f(DefFlags);
            }
            Uop::SelectCc64 { d, a, b, .. } | Uop::SelectCc32 { d, a, b, .. } => {
                f(UseX(a));
                f(UseX(b));
                f(UseFlags);
                f(DefX(d));
            }
            Uop::Adc64 { d, a, b, set } | Uop::Adc32 { d, a, b, set } => {
                f(UseX(a));
                f(UseX(b));
                f(UseFlags);
                f(DefX(d));
                if set {
                    f(DefFlags);
                }
            }
            Uop::Load { d, a, .. } | Uop::LoadEx { d, a, .. } => {
                f(UseX(a));
                f(DefX(d));
            }
            Uop::LoadPair { d, e, a, .. } | Uop::LoadExPair { d, e, a, .. } | Uop::ProbeLoad { d, e, a, .. } => {
                f(UseX(a));
                f(DefX(d));
                f(DefX(e));
            }
            Uop::Store { s, a, .. } => {
                f(UseX(s));
                f(UseX(a));
            }
            Uop::StorePair { s, t, a, .. } => {
                f(UseX(s));
                f(UseX(t));
                f(UseX(a));
            }
            Uop::LoadV { d, a, .. } => {
                f(UseX(a));
                f(DefV(d));
            }
            Uop::StoreV { s, a, .. } => {
                f(UseV(s));
                f(UseX(a));
            }
            Uop::LoadPairV { d, e, a, .. } => {
                f(UseX(a));
                f(DefV(d));
                f(DefV(e));
            }
            Uop::StorePairV { s, t, a, .. } => {
                f(UseV(s));
                f(UseV(t));
                f(UseX(a));
            }
            Uop::StoreEx { d, s, a, .. } | Uop::Amo { d, s, a, .. } => {
                f(UseX(s));
                f(UseX(a));
                f(DefX(d));
            }
            Uop::StoreExPair { d, s, t, a, .. } => {
                f(UseX(s));
                f(UseX(t));
                f(UseX(a));
                f(DefX(d));
            }
            Uop::Cas { d, c, s, a, .. } => {
                f(UseX(c));
                f(UseX(s));
                f(UseX(a));
                f(DefX(d));
            }
            Uop::CasPair { d, c, s, a, .. } => {
                for slot in [c, c + 1, s, s + 1, a] {
                    f(UseX(slot));
                }
                f(DefX(d));
                f(DefX(d + 1));
            }
            Uop::V1 { d, a, .. } => {
                f(UseV(a));
                f(DefV(d));
            }
            Uop::V2 { d, a, b, .. } => {
                f(UseV(a));
                f(UseV(b));
                f(DefV(d));
            }
            Uop::V3 { d, a, b, c, .. } => {
                f(UseV(a));
                f(UseV(b));
                f(UseV(c));
                f(DefV(d));
            }
            Uop::Vx { d, a, .. } => {
                f(UseV(a));
                f(DefX(d));
            }
            Uop::Xv { op, d, a, .. } => {
                f(UseX(a));
                if op == XvOp::Insert {
                    f(UseV(d));
                }
                f(DefV(d));
            }
            Uop::VMovI { d, .. } => f(DefV(d)),
            Uop::StickX { d } => {
                f(UseX(d));
                f(DefX(d));
            }
            Uop::StickV { d } => {
                f(UseV(d));
                f(DefV(d));
            }
            Uop::StickFlags => {
                f(UseFlags);
                f(DefFlags);
            }
            Uop::FCmp { a, b, .. } => {
                f(UseV(a));
                f(UseV(b));
                f(DefFlags);
            }
            Uop::Vector { d, a, b, .. } => {
                f(UseX(a));
                f(UseX(b));
                if d != slot::ZERO {
                    f(DefX(d));
                }
            }
            Uop::VectorLook { a, b, .. } => {
                f(UseX(a));
                f(UseX(b));
            }
            Uop::VectorAccess { d, address, value, old, a, .. } => {
                f(UseX(a));
                for slot in [d, address, value, old] {
                    f(DefX(slot));
                }
            }
            Uop::ReadSys { d, .. } | Uop::Icount { d } | Uop::CellGet { d, .. } => f(DefX(d)),
            Uop::CellAdd { d, a, .. } | Uop::CellFind { d, a, .. } | Uop::CellAt { d, a } => {
                f(UseX(a));
                f(DefX(d));
            }
            Uop::CellAddAt { a, n, .. } => {
                f(UseX(a));
                f(UseX(n));
            }
            Uop::WriteSys { a, .. }
            | Uop::Align { a, .. }
            | Uop::ZeroBlock { a }
            | Uop::IcacheInvalidate { a }
            | Uop::JumpInd { a, .. }
            | Uop::BrZero { a, .. }
            | Uop::BrBit { a, .. }
            | Uop::CellSet { a, .. }
            | Uop::CellIncAt { a, .. }
            | Uop::LocalIf { a, .. }
            | Uop::Goto { a, .. } => f(UseX(a)),
            Uop::BrCc { .. } => f(UseFlags),
            Uop::Action { d, args, n, .. } | Uop::Record { d, args, n, .. } => {
                // Not `args..args + n`: the arguments may end with the last slot.
                for index in 0..n {
                    f(UseX(args + index));
                }
                f(DefX(d));
            }
            Uop::ClearEx
            | Uop::CheckRounding
            | Uop::Fence { .. }
            | Uop::Jump { .. }
            | Uop::Next
            | Uop::Syscall { .. }
            | Uop::Trap { .. }
            | Uop::Local { .. }
            | Uop::CellInc { .. }
            | Uop::Poll { .. } => {}
        }
    }

    /// True if it makes an integer of integers, and does nothing else.
    pub fn is_integer(&self) -> bool {
        matches!(
            self,
            Uop::MovI { .. }
                | Uop::Un { .. }
                | Uop::Bin { .. }
                | Uop::BinI { .. }
                | Uop::BinSh { .. }
                | Uop::MulAdd64 { .. }
                | Uop::MulAdd32 { .. }
                | Uop::MulSub64 { .. }
                | Uop::MulSub32 { .. }
                | Uop::Extr64 { .. }
                | Uop::Extr32 { .. }
                | Uop::BfxU { .. }
                | Uop::BfxS { .. }
                | Uop::Bfi { .. }
                | Uop::Select { .. }
        )
    }

    /// True if executing this micro-op can leave the block other than by its end: memory faults and slow paths.
    pub fn can_leave(&self) -> bool {
        matches!(
            self,
            Uop::Load { .. }
                | Uop::Store { .. }
                | Uop::LoadPair { .. }
                | Uop::StorePair { .. }
                | Uop::LoadV { .. }
                | Uop::StoreV { .. }
                | Uop::LoadPairV { .. }
                | Uop::StorePairV { .. }
                | Uop::Align { .. }
                | Uop::CheckRounding
                | Uop::Vector { .. }
                | Uop::ZeroBlock { .. }
                | Uop::LoadEx { .. }
                | Uop::LoadExPair { .. }
                | Uop::StoreEx { .. }
                | Uop::StoreExPair { .. }
                | Uop::Amo { .. }
                | Uop::Cas { .. }
                | Uop::CasPair { .. }
                | Uop::Syscall { .. }
                | Uop::Trap { .. }
        )
    }
}

/// Reference meaning of [`BinOp`].
pub fn bin(op: BinOp, a: u64, b: u64) -> u64 {
    let (a32, b32) = (a as u32, b as u32);
    match op {
        BinOp::Add64 => a.wrapping_add(b),
        BinOp::Add32 => u64::from(a32.wrapping_add(b32)),
        BinOp::Sub64 => a.wrapping_sub(b),
        BinOp::Sub32 => u64::from(a32.wrapping_sub(b32)),
        BinOp::And64 => a & b,
        BinOp::And32 => u64::from(a32 & b32),
        BinOp::Or64 => a | b,
        BinOp::Or32 => u64::from(a32 | b32),
        BinOp::Xor64 => a ^ b,
        BinOp::Xor32 => u64::from(a32 ^ b32),
        BinOp::AndNot64 => a & !b,
        BinOp::AndNot32 => u64::from(a32 & !b32),
        BinOp::OrNot64 => a | !b,
        BinOp::OrNot32 => u64::from(a32 | !b32),
        BinOp::XorNot64 => a ^ !b,
        BinOp::XorNot32 => u64::from(a32 ^ !b32),
        BinOp::Shl64 => a << (b & 63),
        BinOp::Shl32 => u64::from(a32 << (b & 31)),
        BinOp::Shr64 => a >> (b & 63),
        BinOp::Shr32 => u64::from(a32 >> (b & 31)),
        BinOp::Sar64 => ((a as i64) >> (b & 63)) as u64,
        BinOp::Sar32 => u64::from(((a32 as i32) >> (b & 31)) as u32),
        BinOp::Ror64 => a.rotate_right(b32 & 63),
        BinOp::Ror32 => u64::from(a32.rotate_right(b32 & 31)),
        BinOp::Mul64 => a.wrapping_mul(b),
        BinOp::Mul32 => u64::from(a32.wrapping_mul(b32)),
        BinOp::MulHiU => ((u128::from(a) * u128::from(b)) >> 64) as u64,
        BinOp::MulHiS => ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64,
        BinOp::MulHiSU => ((i128::from(a as i64).wrapping_mul(b as i128)) >> 64) as u64,
        BinOp::MulS32to64 => (i64::from(a32 as i32) * i64::from(b32 as i32)) as u64,
        BinOp::MulU32to64 => u64::from(a32) * u64::from(b32),
        BinOp::DivUA64 => a.checked_div(b).unwrap_or(0),
        BinOp::DivUA32 => u64::from(a32.checked_div(b32).unwrap_or(0)),
        BinOp::DivSA64 if b == 0 => 0,
        BinOp::DivSA64 => (a as i64).wrapping_div(b as i64) as u64,
        BinOp::DivSA32 if b32 == 0 => 0,
        BinOp::DivSA32 => u64::from((a32 as i32).wrapping_div(b32 as i32) as u32),
        BinOp::Eq => u64::from(a == b),
        BinOp::Ne => u64::from(a != b),
        BinOp::LtU => u64::from(a < b),
        BinOp::LtS => u64::from((a as i64) < (b as i64)),
        BinOp::LeU => u64::from(a <= b),
        BinOp::LeS => u64::from((a as i64) <= (b as i64)),
        BinOp::Crc32B => crc32(&CRC32, a32, b, 1),
        BinOp::Crc32H => crc32(&CRC32, a32, b, 2),
        BinOp::Crc32W => crc32(&CRC32, a32, b, 4),
        BinOp::Crc32X => crc32(&CRC32, a32, b, 8),
        BinOp::Crc32CB => crc32(&CRC32C, a32, b, 1),
        BinOp::Crc32CH => crc32(&CRC32C, a32, b, 2),
        BinOp::Crc32CW => crc32(&CRC32C, a32, b, 4),
        BinOp::Crc32CX => crc32(&CRC32C, a32, b, 8),
    }
}

/// `TABLES[n][byte]` is the remainder of a byte that `n` zero bytes follow.
type CrcTables = [[u32; 256]; 8];

/// CRC-32 (IEEE 802.3); the polynomial's bits are reversed.
static CRC32: CrcTables = crc_tables(0xedb8_8320);
/// CRC-32C (Castagnoli); the polynomial's bits are reversed.
static CRC32C: CrcTables = crc_tables(0x82f6_3b78);

const fn crc_tables(polynomial: u32) -> CrcTables {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        // The definition, one bit at a time.
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ if value & 1 == 1 { polynomial } else { 0 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[n - 1][byte];
            tables[n][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

/// The remainder of the accumulator and `bytes` bytes of data: that of each byte by itself, together.
#[inline]
fn crc32(tables: &CrcTables, accumulator: u32, data: u64, bytes: usize) -> u64 {
    let masked = data & (u64::MAX >> (64 - 8 * bytes));
    let value = u64::from(accumulator) ^ masked;
    // Of an accumulator that is longer than the data, the rest moves down.
    let rest = if bytes < 4 { (value >> (8 * bytes)) as u32 } else { 0 };
    let remainder = (0..bytes).fold(rest, |sum, i| sum ^ tables[bytes - 1 - i][(value >> (8 * i)) as usize & 0xff]);
    u64::from(remainder)
}

/// Reference meaning of [`UnOp`].
pub fn un(op: UnOp, a: u64) -> u64 {
    let a32 = a as u32;
    match op {
        UnOp::Mov => a,
        UnOp::Zext8 => a & 0xff,
        UnOp::Zext16 => a & 0xffff,
        UnOp::Zext32 => u64::from(a32),
        UnOp::Sext8 => a as i8 as u64,
        UnOp::Sext16 => a as i16 as u64,
        UnOp::Sext32 => a as i32 as u64,
        UnOp::Bswap64 => a.swap_bytes(),
        UnOp::Bswap32 => u64::from(a32.swap_bytes()),
        UnOp::Rev16x64 => ((a & 0x00ff_00ff_00ff_00ff) << 8) | ((a >> 8) & 0x00ff_00ff_00ff_00ff),
        UnOp::Rev16x32 => u64::from(((a32 & 0x00ff_00ff) << 8) | ((a32 >> 8) & 0x00ff_00ff)),
        UnOp::Rev32x64 => a.swap_bytes().rotate_left(32),
        UnOp::Rbit64 => a.reverse_bits(),
        UnOp::Rbit32 => u64::from(a32.reverse_bits()),
        UnOp::Clz64 => u64::from(a.leading_zeros()),
        UnOp::Clz32 => u64::from(a32.leading_zeros()),
        UnOp::Cls64 => u64::from((a ^ ((a as i64) >> 63) as u64).leading_zeros()) - 1,
        UnOp::Cls32 => u64::from((a32 ^ ((a32 as i32) >> 31) as u32).leading_zeros()) - 1,
        UnOp::Ctz64 => u64::from(a.trailing_zeros()),
        UnOp::Popcnt64 => u64::from(a.count_ones()),
        UnOp::Not64 => !a,
        UnOp::Not32 => u64::from(!a32),
        UnOp::Neg64 => a.wrapping_neg(),
        UnOp::Neg32 => u64::from(a32.wrapping_neg()),
        UnOp::IsZero => u64::from(a == 0),
    }
}

/// Reference meaning of [`Shift`] on 64 bits; `n` is 0 to 63.
pub fn shift64(shift: Shift, b: u64, n: u8) -> u64 {
    match shift {
        Shift::Lsl => b << n,
        Shift::Lsr => b >> n,
        Shift::Asr => ((b as i64) >> n) as u64,
        Shift::Ror => b.rotate_right(u32::from(n)),
        Shift::Uxtb => (b & 0xff) << n,
        Shift::Uxth => (b & 0xffff) << n,
        Shift::Uxtw => (b & 0xffff_ffff) << n,
        Shift::Sxtb => (b as i8 as u64) << n,
        Shift::Sxth => (b as i16 as u64) << n,
        Shift::Sxtw => (b as i32 as u64) << n,
    }
}

/// Reference meaning of [`Shift`] on the low 32 bits; `n` is 0 to 31.
pub fn shift32(shift: Shift, b: u64, n: u8) -> u64 {
    let b32 = b as u32;
    match shift {
        Shift::Lsr => u64::from(b32 >> n),
        Shift::Asr => u64::from(((b32 as i32) >> n) as u32),
        Shift::Ror => u64::from(b32.rotate_right(u32::from(n))),
        _ => shift64(shift, b, n) & 0xffff_ffff,
    }
}

impl BinOp {
    /// True for those of 64 bits that compute each bit of the two bits in its place.
    pub fn is_bitwise(self) -> bool {
        use BinOp::{And64, AndNot64, Or64, OrNot64, Xor64, XorNot64};
        matches!(self, And64 | AndNot64 | Or64 | OrNot64 | Xor64 | XorNot64)
    }

    /// True for the forms that compute on the low 32 bits only and zero-extend.
    pub fn is_32(self) -> bool {
        use BinOp::{
            Add32, And32, AndNot32, DivSA32, DivUA32, Mul32, Or32, OrNot32, Ror32, Sar32, Shl32, Shr32, Sub32, Xor32,
            XorNot32,
        };
        matches!(
            self,
            Add32
                | And32
                | AndNot32
                | DivSA32
                | DivUA32
                | Mul32
                | Or32
                | OrNot32
                | Ror32
                | Sar32
                | Shl32
                | Shr32
                | Sub32
                | Xor32
                | XorNot32
        )
    }
}

/// Reference meaning of [`Uop::BinSh`].
pub fn bin_shifted(op: BinOp, a: u64, b: u64, shift: Shift, n: u8) -> u64 {
    let b = if op.is_32() { shift32(shift, b, n) } else { shift64(shift, b, n) };
    bin(op, a, b)
}

impl FlagKind {
    /// Returns the packed flags, N<<3 | Z<<2 | C<<1 | V, that this kind of operation on `a` and `b` gives.
    pub fn nzcv(self, a: u64, b: u64) -> u64 {
        let pack = |n: bool, z: bool, c: bool, v: bool| {
            u64::from(n) << 3 | u64::from(z) << 2 | u64::from(c) << 1 | u64::from(v)
        };
        let compare = |t, a, b| vector::fcmp(t, u128::from(a), u128::from(b), false, &mut vector::FpEnv::default());
        match self {
            FlagKind::Nzcv => a & 15,
            FlagKind::Add64 => {
                let (r, c) = a.overflowing_add(b);
                pack((r as i64) < 0, r == 0, c, (a as i64).overflowing_add(b as i64).1)
            }
            FlagKind::Add32 => {
                let (r, c) = (a as u32).overflowing_add(b as u32);
                pack((r as i32) < 0, r == 0, c, (a as i32).overflowing_add(b as i32).1)
            }
            FlagKind::Sub64 => {
                let (r, borrow) = a.overflowing_sub(b);
                pack((r as i64) < 0, r == 0, !borrow, (a as i64).overflowing_sub(b as i64).1)
            }
            FlagKind::Sub32 => {
                let (r, borrow) = (a as u32).overflowing_sub(b as u32);
                pack((r as i32) < 0, r == 0, !borrow, (a as i32).overflowing_sub(b as i32).1)
            }
            FlagKind::Logic64 => pack((a as i64) < 0, a == 0, false, false),
            FlagKind::Logic32 => pack((a as i32) < 0, a as u32 == 0, false, false),
            FlagKind::Float32 => compare(Lanes::S, a, b),
            FlagKind::Float64 => compare(Lanes::D, a, b),
        }
    }
}

impl Cc {
    /// Returns whether the condition holds for packed flags.
    pub fn holds(self, nzcv: u64) -> bool {
        let (n, z, c, v) = (nzcv & 8 != 0, nzcv & 4 != 0, nzcv & 2 != 0, nzcv & 1 != 0);
        match self {
            Cc::Eq => z,
            Cc::Ne => !z,
            Cc::Cs => c,
            Cc::Cc => !c,
            Cc::Mi => n,
            Cc::Pl => !n,
            Cc::Vs => v,
            Cc::Vc => !v,
            Cc::Hi => c && !z,
            Cc::Ls => !c || z,
            Cc::Ge => n == v,
            Cc::Lt => n != v,
            Cc::Gt => !z && n == v,
            Cc::Le => z || n != v,
            Cc::Al | Cc::Nv => true,
        }
    }
}

impl SelOp {
    /// Applies the operation to `b`.
    pub fn apply(self, b: u64) -> u64 {
        match self {
            SelOp::Mov => b,
            SelOp::Inc => b.wrapping_add(1),
            SelOp::Inv => !b,
            SelOp::Neg => b.wrapping_neg(),
        }
    }
}

/// Reference meaning of [`Uop::Adc64`] and [`Uop::Adc32`]: the sum and its packed flags.
pub fn adc(wide: bool, a: u64, b: u64, carry: bool) -> (u64, u64) {
    let c = u64::from(carry);
    let bits = if wide { 64 } else { 32 };
    let mask = u64::MAX >> (64 - bits);
    let (a, b) = (a & mask, b & mask);
    let wide_sum = u128::from(a) + u128::from(b) + u128::from(c);
    let sum = wide_sum as u64 & mask;
    let sign = 1u64 << (bits - 1);
    let overflow = (a ^ sum) & (b ^ sum) & sign != 0;
    let flags = u64::from(sum & sign != 0) << 3
        | u64::from(sum == 0) << 2
        | u64::from(wide_sum >> bits != 0) << 1
        | u64::from(overflow);
    (sum, flags)
}

impl AmoOp {
    /// Returns the new memory value from old memory `m` and operand `s`, both zero-extended from `bytes` bytes.
    pub fn apply(self, m: u64, s: u64, bytes: u64) -> u64 {
        let shift = 64 - 8 * bytes as u32;
        let signed = |v: u64| ((v << shift) as i64) >> shift;
        let value = match self {
            AmoOp::Swap => s,
            AmoOp::Add => m.wrapping_add(s),
            AmoOp::Clear => m & !s,
            AmoOp::Xor => m ^ s,
            AmoOp::Or => m | s,
            AmoOp::And => m & s,
            AmoOp::MaxS if signed(m) >= signed(s) => m,
            AmoOp::MinS if signed(m) <= signed(s) => m,
            AmoOp::MaxU if m >= s => m,
            AmoOp::MinU if m <= s => m,
            AmoOp::MaxS | AmoOp::MinS | AmoOp::MaxU | AmoOp::MinU => s,
        };
        (value << shift) >> shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the two polynomials: the remainders of "123456789".
    #[test]
    fn checksums_have_their_check_values() {
        let whole = |bytes: &[u8], op, start| bytes.iter().fold(start, |sum, &byte| bin(op, sum, u64::from(byte)));
        let ones = u64::from(u32::MAX);
        assert_eq!(whole(b"123456789", BinOp::Crc32B, ones) ^ ones, 0xcbf4_3926);
        assert_eq!(whole(b"123456789", BinOp::Crc32CB, ones) ^ ones, 0xe306_9283);
        let data = u64::from_le_bytes(*b"12345678");
        for [b, h, w, x] in [
            [BinOp::Crc32B, BinOp::Crc32H, BinOp::Crc32W, BinOp::Crc32X],
            [BinOp::Crc32CB, BinOp::Crc32CH, BinOp::Crc32CW, BinOp::Crc32CX],
        ] {
            let expected = whole(b"12345678", b, ones);
            assert_eq!(bin(x, ones, data), expected);
            assert_eq!(bin(w, bin(w, ones, data), data >> 32), expected);
            // What lies above the data does not count.
            assert_eq!((0..4).fold(ones, |sum, i| bin(h, sum, data >> (16 * i))), expected);
        }
    }

    #[test]
    fn a_micro_op_is_16_bytes() {
        assert_eq!(size_of::<Uop>(), 16);
    }
}
