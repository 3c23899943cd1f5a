//! Probe actions: what a probe body asks the runtime to do, because micro-ops cannot.
//!
//! The lowering creates an action once for each statement or expression of a probe that needs one; what differs from
//! site to site (static facts such as `func`) comes in the argument slots. A value takes one 64-bit slot, except
//! `U128`, which takes two (low half first). A text value is a [`TextHandle`].

use spile_lang::debug::EnumNames;
use spile_lang::ir::{AggFn, AssignOp, Fact, Format, FormatStyle, Func, Lasting, LimitSpec, Pattern, ProbeId, StateId};
use spile_lang::span::Span;
use spile_lang::types::Type;

/// A text value in a slot: handles below [`TextHandle::FIRING`] are interned for the whole run, the others live until
/// the end of the firing. [`TextHandle::BAD`] says that guest memory could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextHandle(pub u64);

impl TextHandle {
    /// First handle of the texts of a firing.
    pub const FIRING: u64 = 1 << 62;
    /// Result of [`Action::GuestText`] and [`Action::GuestBytes`] if the memory is not readable.
    pub const BAD: TextHandle = TextHandle(u64::MAX);
}

/// An action with where it stands in the script.
#[derive(Clone, Debug)]
pub struct ActionSite {
    /// What to do.
    pub action: Action,
    /// Whose body it is in.
    pub probe: ProbeId,
    /// The statement or expression, for run-time errors.
    pub span: Span,
}

/// What to do. "Args" lists the argument slots; "result" what comes back in the result slot.
#[derive(Clone, Debug)]
pub enum Action {
    // ---- text
    /// Args: the values of the value parts in order. Result: text.
    Interpolate(Vec<TextPart>),
    /// Reads a NUL-terminated guest string. Args: address, greatest length in bytes. Result: text or `BAD`. A string
    /// cut at the greatest length ends in `…`.
    GuestText,
    /// Reads guest bytes. Args: address, length. Result: text (of type `Bytes`) or `BAD`.
    GuestBytes,
    /// Args: two texts. Result: 1 if equal.
    TextEquals,
    /// Args: text. Result: 1 if it matches the glob.
    TextMatchesGlob(String),
    /// Args: text. Result: 1 if the regular expression matches somewhere.
    TextMatchesRegex(Pattern),

    // ---- values
    /// Args: the value of an enumeration. Result: its name, or the number as text.
    EnumName(EnumNames),
    /// A builtin function that is no plain micro-op (`hex`, `sym`, `disas`, `line`, `len` of a text, `errno`,
    /// `syscall_name`, `rand`, `readable`). Args: its arguments. Result: its value.
    Call(Func),
    /// Args: two floats (one for conversions and negation), as `f64` bits where not said otherwise. Result: the value.
    Float(FloatOp),
    /// The call stack, at most so many frames. Args: the address that the registers belong to. Result: text (of type
    /// `Stack`).
    Stack(u64),
    /// Args: the address that the registers belong to. Result: the address that its function returns to, 0 if there is
    /// none.
    Caller,
    /// Wall-clock nanoseconds since the run began. Result: the number.
    Now,
    /// Args: an address, a number of instructions. Result: the address behind them.
    SkipOver,
    /// Result: the instructions that all threads of the process have executed.
    IcountAll,
    /// Result: the guest's thread number.
    ThreadId,
    /// Result: the guest's process number.
    ProcessId,
    /// A value of the event that happens to the thread between instructions. Result: the value.
    Fact(Fact),

    // ---- globals
    /// Args: keys. Result: the value (for an aggregation its integer meaning); 0 or empty text if missing.
    /// For `U128` values, which have no such action, the checker allows no maps.
    StateGet(StateId),
    /// Args: keys, value.
    StateSet(StateId, AssignOp),
    /// Args: keys. Result: 1 if present.
    StateHas(StateId),
    /// Args: keys.
    StateDelete(StateId),
    /// No args.
    StateReset(Vec<StateId>),
    /// Args: keys, then the value (none for `Count`).
    Aggregate(StateId, AggFn),

    /// A `for` loop over a map begins. Result: its handle.
    LoopBegin(StateId),
    /// Goes on to the next key. Args: the handle. Result: 0 if there is none.
    LoopNext,
    /// Args: the handle. Result: the key.
    LoopKey,
    /// Args: the handle. Result: the value.
    LoopValue,

    // ---- output
    /// Args: the values in order.
    Print(Vec<PrintPart>),
    /// As `Print` of the text that `Interpolate` makes. Args: the values of the value parts in order.
    PrintText(Vec<TextPart>),
    /// Args: address, length.
    Dump,
    /// Args: text.
    Warn,
    /// Remembers the registers before the instruction at the site; [`Action::TraceEnd`] prints what changed. No args.
    TraceBegin,
    /// Prints the instruction at the site with the registers that changed since `TraceBegin`, if that has been
    /// called for this probe and not been printed yet. No args.
    TraceEnd,
    /// One line for an event that is no instruction: its word (`block`, `begin` …). No args; uses the call's pc.
    TraceEvent(&'static str),
    /// One line for an event between instructions, with its values. No args.
    TraceHappening,
    /// One line for an access of memory. Args: address, size, value, and of a store the value before it.
    TraceAccess {
        /// It is a store.
        is_write: bool,
    },
    /// One line for a branch. Args: where it goes, and whether it is taken.
    TraceBranch,

    /// One line for a call of a function, or for its return. Args: its address, how deep it is in others, its first
    /// argument or its result, the instructions since its entry.
    TraceCall {
        /// It returns.
        returned: bool,
    },

    // ---- verdicts
    /// The condition did not hold. Args: the message's text if `message`.
    AssertFailed {
        /// Source text of the condition.
        text: String,
        /// Whether there is a message.
        message: bool,
    },
    /// Args: text. Ends the run with status 1.
    Fail,
    /// Args: status. Ends the run with it.
    Exit,

    // ---- probes
    /// Counts an execution for a `hit … per thread`. No args. Result: which of the thread's it is, from 1.
    ThreadHit,
    /// Counts an execution for a `limit`. No args. Result: 1 if it passes.
    Limit(LimitSpec),
    /// No args.
    Enable(Vec<ProbeId>),
    /// No args.
    Disable(Vec<ProbeId>),
    /// The probe has had its last possible hit. No args.
    Exhausted,

    // ---- guest memory, and what can go wrong
    /// Stores to guest memory. Args: address, value (two slots for 16 bytes), then a mask of the same width if
    /// `masked`: only these bits change, as `op` says. Result: 1, or 0 if the memory is not mapped.
    MemoryWrite {
        /// 1, 2, 4, 8 or 16.
        bytes: u8,
        /// Most significant byte first.
        big_endian: bool,
    },
    /// A patch that lasts for some time is about to be made. Args: what it changes, as `Changed::word`.
    LastingBegin,
    /// It has been made.
    LastingEnd(Lasting),
    /// Bits are stuck from now on, for good or for some time. Args: what they are in, as `Changed::word`; its address, or
    /// its first bit in there; its width in bits; which bits, and what they are stuck at (two slots each). Result: 1, or 0
    /// if the memory is not readable.
    Stick {
        /// Memory is most significant byte first.
        big_endian: bool,
        /// How long; for good if `None`.
        lasts: Option<Lasting>,
    },
    /// What the instruction is executed as stays for some time. No args.
    HoldInsn(Lasting),
    /// The probe is hit: for what lasts for a number of its hits. No args.
    LastingHit,
    /// From here on each instruction of the thread is printed. No args.
    TraceFor(Lasting),
    /// The thread gets a signal. No args.
    Raise(u8),
    /// The instruction is executed as another one. Args: the encoding.
    ReplaceInsn,
    /// Args: the fetched encoding. Result: what the instruction is to be executed as.
    InsnNow,
    /// A patch was applied: for the report at the end. The string is what was patched: `x0`, `u32[0x2000]`.
    /// No args.
    Patched(String),
    /// All arguments of a system call as text. Args: its number, six arguments, and the result if there is one.
    /// Result: text.
    SyscallArguments,
    /// Prints a system call. Args: as for `SyscallArguments`.
    TraceSyscall,
    /// The system call is not performed. Args: its result; none if registers stay as they are. 1 if no other probe has
    /// said so before.
    FinishSyscall,
    /// Guest memory could not be read or written: the body is left. Args: address.
    BadMemory {
        /// It was to be read.
        read: bool,
    },
    /// A variable of the program has no value here: the body is left. No args.
    NoValue,
    /// Division or remainder by zero: the body is left. No args.
    DivisionByZero,
    /// A second `skip` or `goto` at the same point: ignored. No args.
    SecondRedirect,
    /// A patch of an access that is one step with another one: ignored. No args.
    Atomic,
}

impl Action {
    /// True if it prints what its arguments alone decide, whenever it is performed: texts of the firing aside, which are
    /// no longer there.
    pub fn may_be_recorded(&self) -> bool {
        match self {
            Action::Print(parts) => parts.iter().all(|part| matches!(part, PrintPart::Value { .. })),
            // `{p:str}` reads memory.
            Action::PrintText(parts) => {
                !parts.iter().any(|part| matches!(part, TextPart::Value(_, format) if format.style == FormatStyle::Str))
            }
            _ => false,
        }
    }

    /// True if it writes nothing, so that what was left to be written before can wait.
    pub fn is_silent(&self) -> bool {
        matches!(
            self,
            Action::Interpolate(_)
                | Action::GuestText
                | Action::GuestBytes
                | Action::TextEquals
                | Action::TextMatchesGlob(_)
                | Action::TextMatchesRegex(_)
                | Action::EnumName(_)
                | Action::Call(_)
                | Action::Float(_)
                | Action::Stack(_)
                | Action::Caller
                | Action::Now
                | Action::IcountAll
                | Action::ThreadId
                | Action::ProcessId
                | Action::Fact(_)
                | Action::StateGet(_)
                | Action::StateSet(..)
                | Action::StateHas(_)
                | Action::StateDelete(_)
                | Action::StateReset(_)
                | Action::Aggregate(..)
                | Action::ThreadHit
                | Action::Limit(_)
                | Action::LoopBegin(_)
                | Action::LoopNext
                | Action::LoopKey
                | Action::LoopValue
        )
    }
}

/// A piece of an interpolated text.
#[derive(Clone, Debug)]
pub enum TextPart {
    /// As it stands.
    Text(String),
    /// The next argument.
    Value(Type, Format),
}

/// A piece of a `print`.
#[derive(Clone, Debug)]
pub enum PrintPart {
    /// The next argument; an empty name means a string literal that stands by itself.
    Value {
        /// What output calls it.
        name: String,
        /// Its type.
        ty: Type,
    },
    /// A whole map or aggregation.
    State {
        /// What output calls it.
        name: String,
        /// Which.
        state: StateId,
        /// At most so many rows.
        top: Option<u64>,
    },
}

/// Operations on floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says what it computes")]
pub enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
    Neg,
    Abs,
    Eq,
    Ne,
    Lt,
    Le,
    /// From `f32` bits.
    FromF32,
    /// To `f32` bits.
    ToF32,
    FromUnsigned,
    FromSigned,
    /// Saturating, NaN is 0.
    ToUnsigned,
    /// Saturating, NaN is 0.
    ToSigned,
}
