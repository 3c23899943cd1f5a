//! The probe IR: a checked script, typed and independent of sites and of guest code.
//!
//! This is the boundary between the language and the engine. Names are resolved as far as that is possible without
//! a program: registers are [`Register`]s, maps are [`StateId`]s, labels are [`ProbeId`]s; places are still names,
//! which the engine resolves against the loaded program ([`Place`]). What depends only on the instruction
//! (`insn.mnemonic`, `func`) is still a [`Builtin`]: the engine folds it at each site.
//!
//! Every expression carries its type and its span, so that run-time errors can point into the script.

use crate::debug::EnumNames;
use crate::span::Span;
use crate::target::Register;
use crate::types::Type;
use std::sync::Arc;

/// Index into [`Program::probes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId(pub u32);

/// Index into [`Program::states`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u32);

/// Index into [`Probe::locals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u32);

/// A checked script: everything that all `-e` and `-s` sources of one run say, in order.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The probes, in source order, which is also the order in which they run at one point. A program that has more
    /// shares them.
    pub probes: Vec<Arc<Probe>>,
    /// Global scalars, maps and aggregations.
    pub states: Vec<State>,
    /// The integers that have a name, sorted by it, for what is said where such a name stands for a place.
    pub constants: Vec<(String, u64)>,
}

/// One probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The label, if it has one.
    pub label: Option<String>,
    /// How output names it: the label, or `file:line`.
    pub name: String,
    /// The whole probe.
    pub span: Span,
    /// From the moment to the end of the last clause: where "never fired" and place errors point.
    pub head: Span,
    /// `on`, `before` or `after`.
    pub moment: Moment,
    /// What it waits for.
    pub event: Event,
    /// `at` places; empty means everywhere that `within` allows.
    pub at: Vec<Loc>,
    /// `in` regions; empty means no restriction.
    pub within: Vec<Region>,
    /// `except` regions.
    pub except: Vec<Region>,
    /// `since` places: it is armed from the first execution of one of them on; empty means from the start.
    pub since: Vec<Loc>,
    /// `until` places: it is over with the first execution of one of them while it is armed.
    pub until: Vec<Loc>,
    /// `when`, `hit`, `once`, `limit`, `from` and `during`, in written order: each sees only the executions that the earlier ones let pass.
    pub filters: Vec<Filter>,
    /// Starts disabled.
    pub disabled: bool,
    /// Matching nothing is not an error.
    pub optional: bool,
    /// The body; a probe written without one has a single [`StmtKind::Trace`].
    pub body: Vec<Stmt>,
    /// The variables that `let` declares in the body.
    pub locals: Vec<Local>,
}

impl Probe {
    /// What stands in the place of a probe that has been removed: it waits for nothing.
    pub fn removed(name: String, span: Span) -> Probe {
        Probe {
            label: None,
            name,
            span,
            head: span,
            moment: Moment::On,
            event: Event::End,
            at: Vec::new(),
            within: Vec::new(),
            except: Vec::new(),
            since: Vec::new(),
            until: Vec::new(),
            filters: Vec::new(),
            disabled: true,
            optional: true,
            body: Vec::new(),
            locals: Vec::new(),
        }
    }
}

/// The moment word of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// `on`: the event's natural moment, for all events of this version the same as `before`.
    On,
    /// `before`.
    Before,
    /// `after`: when the effect is visible.
    After,
}

/// What a probe waits for.
#[derive(Clone, Debug)]
pub enum Event {
    /// Each instruction whose disassembly matches.
    Insn(InsnPattern),
    /// Entry of a basic block.
    Block,
    /// The first instruction of each stretch of code of one source line.
    Line,
    /// Each instruction that can transfer control.
    Branch,
    /// Every so many instructions of a thread.
    EveryInsns(u64),
    /// Every so many nanoseconds that a thread has run.
    EveryTime(u64),
    /// Entry of the functions that the probe's places name; with [`Moment::After`] their return to the caller.
    Call,
    /// The return instructions of the functions that the probe's places name.
    Return,
    /// After loading, before the first instruction.
    Begin,
    /// After the last instruction, however the run ends.
    End,
    /// A guest thread ends, or the process.
    Exit,
    /// A guest thread or a forked process begins.
    Spawn,
    /// A system call; the moment says whether before or after it.
    Syscall(NumberSet),
    /// Accesses of memory; the places of the probe are the accessed addresses.
    Access(AccessKind),
    /// A signal is delivered: one of these numbers.
    Signal(NumberSet),
    /// An instruction cannot be executed, for one of these reasons.
    Trap(Vec<Cause>),
    /// A module with one of these names is mapped.
    Load(NameSet),
    /// The guest has written a line that matches the glob.
    Output(String),
    /// Somebody outside has said one of these names.
    Mark(NameSet),
}

/// Which names a probe waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameSet {
    /// All.
    Any,
    /// These.
    Names(Vec<NamePattern>),
}

/// A name, or a glob over names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// This one.
    Exact(String),
    /// Written in quotes.
    Glob(String),
}

impl NameSet {
    /// The names as they are written.
    pub fn texts(&self) -> Vec<String> {
        let NameSet::Names(names) = self else { return vec!["*".to_owned()] };
        let text = |name: &NamePattern| match name {
            NamePattern::Exact(text) => text.clone(),
            NamePattern::Glob(text) => format!("{text:?}"),
        };
        names.iter().map(text).collect()
    }
}

impl std::fmt::Display for NameSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.texts().join(", "))
    }
}

/// Why an instruction cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "described in `Cause::TABLE`")]
pub enum Cause {
    Illegal,
    Undefined,
    Segment,
    Bus,
    Alignment,
    Breakpoint,
}

impl Cause {
    /// All causes, with their words and what they mean.
    pub const TABLE: &[(Cause, &str, &str)] = &[
        (Cause::Illegal, "illegal", "an encoding that is not allocated or not implemented"),
        (Cause::Undefined, "undef", "an instruction that is there to be undefined"),
        (Cause::Segment, "segv", "an address that is not mapped, or not for this access"),
        (Cause::Bus, "bus", "an address behind the end of a mapped file"),
        (Cause::Alignment, "align", "an address that is not aligned"),
        (Cause::Breakpoint, "break", "a breakpoint instruction"),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Cause::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

/// Which accesses of memory an event selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// Loads.
    Read,
    /// Stores.
    Write,
    /// Both.
    Any,
}

impl AccessKind {
    /// True if it selects stores (`is_write`) or loads.
    pub fn selects(self, is_write: bool) -> bool {
        match self {
            AccessKind::Read => !is_write,
            AccessKind::Write => is_write,
            AccessKind::Any => true,
        }
    }
}

/// Which system calls or signals a probe waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberSet {
    /// All.
    Any,
    /// Those with these numbers.
    Numbers(Vec<u64>),
}

impl NumberSet {
    /// True if this number is one of them.
    pub fn contains(&self, number: u64) -> bool {
        match self {
            NumberSet::Any => true,
            NumberSet::Numbers(list) => list.contains(&number),
        }
    }
}

/// Which instructions an `insn` event selects.
#[derive(Clone, Debug)]
pub enum InsnPattern {
    /// All.
    Any,
    /// Glob over the mnemonic: `ld*`.
    Glob(String),
    /// Regular expression over the whole disassembly.
    Regex(Pattern),
}

/// A regular expression as written between slashes; the checker has made sure that it compiles.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The expression.
    pub text: String,
    /// Written with `i` after the closing slash.
    pub ignore_case: bool,
}

/// A place plus an offset in bytes.
#[derive(Clone, Debug)]
pub struct Loc {
    /// The place.
    pub place: Place,
    /// Added to its address.
    pub offset: i64,
    /// Where it is written.
    pub span: Span,
}

/// A named or numbered place in the guest program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A run-time address.
    Addr(u64),
    /// An exact symbol name, or a section if it starts with a dot (`.text`).
    Symbol(String),
    /// A glob over symbol names, written in quotes.
    Glob(String),
    /// `module:symbol`.
    ModuleSymbol {
        /// The module's file name, with or without its suffix.
        module: String,
        /// The symbol, exact.
        symbol: String,
    },
    /// `module:"glob"`.
    ModuleGlob {
        /// The module's file name.
        module: String,
        /// The glob.
        glob: String,
    },
    /// `module:0x1234`, an address as the module's ELF file has it.
    ModuleAddr {
        /// The module's file name.
        module: String,
        /// The file's virtual address.
        addr: u64,
    },
    /// `main.c:42`: where code of a source line begins.
    Line {
        /// The file: its path or the end of that.
        file: String,
        /// The line.
        line: u64,
    },
    /// `*`: any.
    Any,
}

/// A region of guest code.
#[derive(Clone, Debug)]
pub struct Region {
    /// How it is given.
    pub kind: RegionKind,
    /// Where it is written.
    pub span: Span,
}

/// How a region is given. Ends are excluded.
#[derive(Clone, Debug)]
pub enum RegionKind {
    /// A symbol's or section's extent, all extents of a glob, or for an address the one instruction there.
    Extent(Loc),
    /// `a..b`.
    Range(Loc, Loc),
    /// `a..+len`.
    Len(Loc, u64),
}

/// A condition of a probe.
#[derive(Clone, Debug)]
pub enum Filter {
    /// `when`: the expression is not zero.
    When(Expr),
    /// `hit` and `once` (which is `hit 1`).
    Hit(HitSpec),
    /// `limit`.
    Limit(LimitSpec),
    /// `from`: the function that the event happens in has been called by one of these.
    From(Vec<Loc>),
    /// `during`: the thread is inside a call of one of these.
    During(Vec<Loc>),
}

/// How many executions pass in a period, which begins with the first one that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSpec {
    /// So many, at least 1.
    pub most: u64,
    /// The period.
    pub period: Period,
    /// In each guest thread by itself.
    pub per_thread: bool,
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Instructions of a thread, at least 1.
    Insns(u64),
    /// Nanoseconds of the run's clock, at least 1,000.
    Nanoseconds(u64),
}

/// Which executions, counted from 1, pass.
#[derive(Clone, Debug)]
pub struct HitSpec {
    /// The counts that pass.
    pub counts: HitCounts,
    /// Counted in each guest thread by itself.
    pub per_thread: bool,
}

/// The counts that a `hit` clause lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HitCounts {
    /// The n-th, 2n-th, ….
    Every(u64),
    /// Any of these half-open ranges; `None` is no end. Sorted, not overlapping, none empty.
    Ranges(Vec<(u64, Option<u64>)>),
}

/// A variable that lives for one firing.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A global: `@name`, or an aggregation without a name.
#[derive(Clone, Debug)]
pub struct State {
    /// With the `@`; for an unnamed aggregation the statement's source text; for a value of
    /// a thread or call `thread.NAME` and `call.NAME`.
    pub name: String,
    /// True if the script gave it no name.
    pub unnamed: bool,
    /// What it holds.
    pub kind: StateKind,
    /// Types of the keys; empty for a scalar.
    pub keys: Vec<Type>,
    /// Key headings for tables: source text of each `by` expression or index.
    pub key_names: Vec<String>,
    /// Most keys that it may hold.
    pub capacity: u64,
    /// First use or declaration.
    pub span: Span,
}

impl State {
    /// True for `thread.NAME`: a map by thread, whose entries end with their threads. It is not printed.
    pub fn is_per_thread(&self) -> bool {
        !self.unnamed && self.name.starts_with("thread.")
    }

    /// True for `call.NAME`: a map by call, whose entries end with their calls. It is not printed.
    pub fn is_per_call(&self) -> bool {
        !self.unnamed && self.name.starts_with("call.")
    }
}

/// What a global holds.
#[derive(Clone, Debug, PartialEq)]
pub enum StateKind {
    /// A plain value, or a map of them.
    Value {
        /// Type of the value.
        ty: Type,
        /// The value before any assignment (64-bit pattern); strings start empty.
        initial: u64,
    },
    /// An aggregation.
    Aggregate(AggFn),
}

/// How values are aggregated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AggFn {
    /// Number of firings.
    Count,
    /// Wrapping 64-bit sum; the flag says signed.
    Sum(bool),
    /// Integer mean, rounded towards zero; the flag says signed.
    Avg(bool),
    /// Smallest; the flag says signed.
    Min(bool),
    /// Largest; the flag says signed.
    Max(bool),
    /// The latest value; the type says how it prints.
    Last(Type),
    /// Count, sum, average, smallest, largest; the flag says signed.
    Stats(bool),
    /// Histogram with a bucket per power of two.
    Hist,
    /// Histogram with equal buckets over `from..to`, plus one below and one above.
    LinearHist {
        /// First value of the first bucket.
        from: i64,
        /// End of the last bucket, excluded.
        to: i64,
        /// Width of a bucket, at least 1.
        step: u64,
    },
}

/// What a `for` goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// The numbers from `from` up to `to`, excluded; at most 4096.
    Range {
        /// The number.
        local: LocalId,
        /// The first one.
        from: i64,
        /// The end.
        to: i64,
    },
    /// The keys of a map as they are when the loop begins, in the order in which it is printed.
    Map {
        /// The map, which has one key.
        state: StateId,
        /// The key.
        key: LocalId,
        /// The value, if it is asked for.
        value: Option<LocalId>,
    },
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Where it is written.
    pub span: Span,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `write target = value`. A list of assignments is one statement each, in order.
    Write {
        /// What is written.
        target: LValue,
        /// The value, truncated to the target's width.
        value: Expr,
    },
    /// `flip`, `set`, `clear`: `bit`, `bits` and `mask` have all become a mask.
    Bits {
        /// Which of the three.
        op: BitsOp,
        /// What is changed.
        target: LValue,
        /// The bits concerned.
        mask: Expr,
    },
    /// A `write`, `flip`, `set` or `clear` that is undone after some time: exactly the bits that it changed, unless the
    /// guest has written the place meanwhile. An instruction stays changed for that time.
    Transient {
        /// The `Write` or `Bits`.
        patch: Box<Stmt>,
        /// How long it lasts.
        lasts: Lasting,
    },
    /// `stick`: bits that are forced on every read. Of registers they are the thread's, of memory everybody's.
    Stick {
        /// A register or memory.
        target: LValue,
        /// The bits concerned; all of them if `None`.
        mask: Option<Expr>,
        /// What they are forced to, where they stand; other bits do not count.
        value: Expr,
        /// How long; for good if `None`.
        lasts: Option<Lasting>,
    },
    /// `trace for …`, `trace until …`: from here on each instruction of the thread is printed.
    TraceFor(Lasting),
    /// `skip [n]`: execution goes on `n` instructions further, this one counted.
    Skip(Expr),
    /// `return e`: the call is over with this result, without being performed.
    FinishSyscall(Expr),
    /// `skip` of a store, `return e` of a load: memory is not accessed, and the load gives this value.
    FinishAccess(Option<Expr>),
    /// `goto LOC`, `goto (EXPR)`, `write pc = EXPR`.
    Goto(GotoTarget),
    /// `return e`, `return void`: the function whose entry this is returns now.
    Return {
        /// Where its result goes, and what it is.
        result: Option<(Register, Expr)>,
        /// The register with the return address.
        link: Register,
    },
    /// `raise`: the thread gets the signal of this number.
    Raise(u8),
    /// `print`.
    Print(Vec<PrintArg>),
    /// `trace`, or no body.
    Trace,
    /// `dump addr, len`.
    Dump {
        /// First byte.
        addr: Expr,
        /// Number of bytes, at most 4096 at run time.
        len: Expr,
    },
    /// `warn "…"`.
    Warn(Expr),
    /// `count`, `sum`, … `hist`.
    Aggregate {
        /// The aggregation; its [`StateKind::Aggregate`] says how.
        state: StateId,
        /// The value; `None` for `count`.
        value: Option<Expr>,
        /// The `by` keys.
        keys: Vec<Expr>,
    },
    /// `let x = e`, `x = e`, `x += e` (the last already expanded).
    SetLocal {
        /// The variable.
        local: LocalId,
        /// Its new value.
        value: Expr,
    },
    /// `@s = e`, `@m[k] += e`.
    SetState {
        /// The global.
        state: StateId,
        /// The keys; empty for a scalar.
        keys: Vec<Expr>,
        /// How old and new value combine, in one atomic step.
        op: AssignOp,
        /// The value.
        value: Expr,
    },
    /// `if`.
    If {
        /// Not zero means `then`.
        cond: Expr,
        /// The first block.
        then: Vec<Stmt>,
        /// The `else` block, or empty.
        otherwise: Vec<Stmt>,
    },
    /// `for`.
    For {
        /// What it goes through.
        over: Loop,
        /// What it does each time.
        body: Vec<Stmt>,
    },
    /// `next`: leaves the innermost `for` iteration, or else this body.
    Next,
    /// `assert`.
    Assert {
        /// Zero means failed.
        cond: Expr,
        /// The text to report, of type `Str`.
        message: Option<Expr>,
        /// Source text of the condition.
        text: String,
    },
    /// `fail "…"`: the run ends, with status 1.
    Fail(Expr),
    /// `exit [n]`: the run ends with this status.
    Exit(Expr),
    /// `enable`.
    Enable(Vec<ProbeId>),
    /// `disable`.
    Disable(Vec<ProbeId>),
    /// `reset @m`.
    Reset(Vec<StateId>),
    /// `delete @m[k]`.
    Delete {
        /// The map.
        state: StateId,
        /// Its keys.
        keys: Vec<Expr>,
    },
}

/// Bit manipulations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitsOp {
    /// Exclusive or with the mask.
    Flip,
    /// Or with the mask.
    Set,
    /// And with the inverted mask.
    Clear,
}

/// Assignment operators of globals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignOp {
    /// `=`.
    Set,
    /// `+=`.
    Add,
    /// `-=`.
    Sub,
    /// `*=`.
    Mul,
    /// `|=`.
    Or,
    /// `&=`.
    And,
    /// `^=`.
    Xor,
}

/// Where a `goto` goes.
#[derive(Clone, Debug)]
pub enum GotoTarget {
    /// A place, resolved when the probe is attached.
    Loc(Loc),
    /// A run-time address.
    Expr(Expr),
}

/// How long something lasts. Instructions and times are those of the thread that it happens in.
#[derive(Clone, Debug)]
pub enum Lasting {
    /// So many instructions, at least 1.
    Insns(u64),
    /// A time.
    Nanoseconds(u64),
    /// So many hits of the probe, at least 1; the one that it begins with is the first.
    Hits(u64),
    /// Up to the first execution of a place.
    Until(Loc),
}

/// Guest state that a patch changes.
#[derive(Clone, Debug)]
pub enum LValue {
    /// The fetched encoding of the instruction, for this execution.
    Insn,
    /// The register that the instruction has written.
    Destination,
    /// What an access has loaded, or is about to store.
    Accessed,
    /// A register or a part of one.
    Register(Register),
    /// Guest memory.
    Memory {
        /// Width and byte order.
        ty: MemType,
        /// Address.
        addr: Expr,
    },
}

/// One argument of `print`.
#[derive(Clone, Debug)]
pub struct PrintArg {
    /// What output calls it: the given name, or the expression's source text; empty for a string literal, whose
    /// text stands by itself.
    pub name: String,
    /// What is printed.
    pub value: PrintValue,
}

/// What a `print` argument prints.
#[derive(Clone, Debug)]
pub enum PrintValue {
    /// A value.
    Expr(Expr),
    /// A whole map or aggregation, with `top n`.
    State {
        /// Which.
        state: StateId,
        /// At most so many rows.
        top: Option<u64>,
    },
}

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Type,
    /// Where it is written.
    pub span: Span,
}

/// What an expression computes.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// An integer or boolean, as its 64-bit pattern.
    Int(u64),
    /// A 128-bit literal, in a context of type `U128`.
    Int128(u128),
    /// A float.
    Float(f64),
    /// A string without interpolations.
    Str(String),
    /// A string with interpolations.
    Interp(Vec<StrPart>),
    /// A guest register.
    Register(Register),
    /// A `let` variable.
    Local(LocalId),
    /// A context value.
    Builtin(Builtin),
    /// The address of a place: `&name`.
    AddrOf(Loc),
    /// A part of a variable of the program, or its address. Where it is depends on the instruction; if it is nowhere
    /// there, that is as a load that fails.
    Variable(Arc<Variable>),
    /// The name of an enumeration's value, or its number if it has none.
    EnumName(Box<Expr>, EnumNames),
    /// Guest memory. A failing load ends the body unless a [`ExprKind::Coalesce`] encloses it.
    Load {
        /// Width, byte order and type.
        ty: MemType,
        /// Address.
        addr: Box<Expr>,
    },
    /// A unary operation.
    Unary(UnaryOp, Box<Expr>),
    /// A binary operation on two evaluated operands.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a and b`, which does not evaluate `b` if `a` is zero.
    And(Box<Expr>, Box<Expr>),
    /// `a or b`, which does not evaluate `b` if `a` is not zero.
    Or(Box<Expr>, Box<Expr>),
    /// `if c { a } else { b }`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `e as T`: integers are truncated and extended, floats and integers converted.
    Cast(Box<Expr>),
    /// `a ?? b`: `b` if a guest memory access in `a` fails.
    Coalesce(Box<Expr>, Box<Expr>),
    /// `x within a..b`.
    WithinRange(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `x within {a, b}`.
    WithinSet(Box<Expr>, Vec<Expr>),
    /// `text =~ "glob"`.
    MatchesGlob(Box<Expr>, String),
    /// `text =~ /regex/`; the text is static.
    MatchesRegex(Box<Expr>, Pattern),
    /// A function of the builtin table.
    Call(Func, Vec<Expr>),
    /// `@s`, `@m[k]`: a value, or an aggregation that has an integer meaning.
    State(StateId, Vec<Expr>),
}

/// A variable of a function of the program, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Argument or local variable.
    pub kind: VariableKind,
    /// Its name in the source.
    pub name: String,
    /// Bytes from its beginning.
    pub offset: u64,
    /// What is read there; `None` for the address.
    pub ty: Option<MemType>,
}

/// The kinds of variables of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariableKind {
    /// `args.x`: a parameter.
    Argument,
    /// `vars.x`: a variable of the function or of a block in it, or if there is none of this name a parameter.
    Local,
    /// `retval`: what the function returns, where it has just done so or is about to. Its name is [`RESULT`].
    Result,
}

/// The name of a function's result among its variables.
pub const RESULT: &str = "retval";

/// A piece of an interpolated string.
#[derive(Clone, Debug)]
pub enum StrPart {
    /// Text as it stands.
    Text(String),
    /// `{expr:format}`.
    Value(Expr, Format),
}

/// A format of `{expr:format}`, already checked against the expression's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Format {
    /// Least width in characters.
    pub width: u16,
    /// Fill with zeros after sign and prefix.
    pub zero: bool,
    /// `#`: with `0x`, `0b` or the `0` of octal numbers.
    pub prefix: bool,
    /// `<`, `>` or `^`.
    pub align: Option<Align>,
    /// How the value is shown.
    pub style: FormatStyle,
}

/// Alignment in the given width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// `<`.
    Left,
    /// `>`.
    Right,
    /// `^`.
    Center,
}

/// How a formatted value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FormatStyle {
    /// As the type says.
    #[default]
    Default,
    /// `d`: signed or unsigned decimal, as the type says.
    Decimal,
    /// `x`: hexadecimal; negative values in their width's two's complement.
    Hex,
    /// `X`: upper-case hexadecimal.
    UpperHex,
    /// `b`: binary.
    Binary,
    /// `o`: octal.
    Octal,
    /// `c`: a character (code point; not printable ones as `\xNN`).
    Char,
    /// `sym`: symbol plus offset.
    Symbol,
    /// `str`: the NUL-terminated guest string at this address.
    Str,
    /// `ms`, `us`, `ns`, `s`: a duration.
    Duration(DurationUnit),
}

/// Units of [`FormatStyle::Duration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

/// The width, byte order and type of a guest memory access by a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemType {
    /// 1, 2, 4, 8 or 16.
    pub bytes: u8,
    /// Sign-extended to 64 bits.
    pub signed: bool,
    /// Most significant byte first.
    pub big_endian: bool,
    /// The type of the value.
    pub ty: Type,
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `~`.
    BitNot,
    /// `not`: 1 if zero, else 0.
    Not,
}

/// Binary operators. Comparisons are mathematically exact: the checker has chosen the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says what it computes")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    /// Division by zero is a run-time error; `i64::MIN / -1` wraps.
    DivU,
    DivS,
    RemU,
    RemS,
    And,
    Or,
    Xor,
    /// Shift counts of 64 and more give 0.
    Shl,
    ShrU,
    /// Shift counts of 64 and more give the sign.
    ShrS,
    Eq,
    Ne,
    LtU,
    LeU,
    LtS,
    LeS,
    /// Left operand unsigned, right operand signed: false if the right one is negative.
    LtUS,
    /// Left operand signed, right operand unsigned: true if the left one is negative.
    LtSU,
    /// As [`BinaryOp::LtUS`], or equal.
    LeUS,
    /// As [`BinaryOp::LtSU`], or equal.
    LeSU,
    /// Equal as numbers, one operand signed and one not: false if the signed one is negative.
    EqMixed,
    AddF,
    SubF,
    MulF,
    DivF,
    EqF,
    NeF,
    LtF,
    LeF,
    EqStr,
    NeStr,
    Eq128,
    Ne128,
}

/// A context value. Those marked static depend only on the instruction and fold when a block is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "documented for users in the builtin table")]
pub enum Builtin {
    /// Static.
    Pc,
    /// Where execution goes on after this instruction; `after insn` only.
    Next,
    /// Static: name of the function that contains `pc`, or the empty string.
    Func,
    /// Static.
    Module,
    /// Static.
    Section,
    /// Static: the source file, as the compiler was given it, or the empty string.
    File,
    /// Static: the source line, or 0.
    Line,
    /// Static: there is one.
    Cpu,
    /// Static: there is one.
    Mode,
    Icount,
    /// Instructions of all threads of the process.
    IcountAll,
    Hits,
    ProbeName,
    Tid,
    Pid,
    /// Wall-clock nanoseconds since the run began.
    Now,
    /// Status of `exit` and `end` events.
    Status,
    /// The address that this function returns to.
    Caller,
    /// The calls that the thread is in.
    Stack,
    /// How many followed calls are open around this one.
    Depth,
    /// Instructions of this thread since the function was entered.
    Elapsed,
    /// The number of the call, which no other call has.
    Activation,
    /// Integer argument of this number, as it was when the function was entered.
    EntryArg(u8),
    /// Static: the disassembly.
    InsnText,
    /// Static.
    InsnMnemonic,
    /// Static: size in bytes.
    InsnSize,
    /// Static: the same as `pc`.
    InsnAddr,
    /// Static: the encoding as fetched.
    InsnBits,
    /// Static: direct branch target, else 0.
    InsnTarget,
    /// Static.
    InsnIsCall,
    /// Static.
    InsnIsReturn,
    /// Static.
    InsnIsBranch,
    /// Static.
    InsnIsLoad,
    /// Static.
    InsnIsStore,
    /// Static: names of the registers that the instruction reads.
    InsnReads,
    /// Static: names of the registers that the instruction writes.
    InsnWrites,
    /// Value of the instruction's first source register.
    InsnSrc,
    /// Value of the instruction's first destination register.
    InsnDst,
    /// Static.
    BlockAddr,
    /// Static: bytes.
    BlockSize,
    /// Static: instructions.
    BlockLen,
    /// Where the branch goes.
    BranchTarget,
    /// Whether it goes elsewhere than to the next instruction.
    BranchTaken,
    /// Static.
    BranchKind,
    AccessAddr,
    AccessSize,
    AccessValue,
    AccessOld,
    AccessIsWrite,
    /// The number of the system call.
    SyscallNumber,
    SyscallName,
    /// An argument as it was when the call was made.
    SyscallArgument(u8),
    /// All arguments as text.
    SyscallArguments,
    /// Nanoseconds that the call took.
    SyscallElapsed,
    /// What an event between instructions adds.
    Fact(Fact),
}

/// A value of an event that happens between instructions; its word is that of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "documented for users in the builtin table")]
pub enum Fact {
    Name,
    Number,
    Code,
    Addr,
    Cause,
    Base,
    Size,
    Text,
    Source,
}

impl Fact {
    const TABLE: &[(Fact, &str)] = &[
        (Fact::Name, "name"),
        (Fact::Number, "sig"),
        (Fact::Code, "code"),
        (Fact::Addr, "addr"),
        (Fact::Cause, "cause"),
        (Fact::Base, "base"),
        (Fact::Size, "size"),
        (Fact::Text, "text"),
        (Fact::Source, "source"),
    ];

    /// Finds a fact by its word.
    pub fn of(word: &str) -> Option<Fact> {
        Fact::TABLE.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        Fact::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

impl Builtin {
    /// True if the value depends on the instruction only.
    pub fn is_static(self) -> bool {
        match self {
            Builtin::Pc
            | Builtin::Func
            | Builtin::Module
            | Builtin::Section
            | Builtin::File
            | Builtin::Line
            | Builtin::ProbeName
            | Builtin::Cpu
            | Builtin::Mode
            | Builtin::InsnText
            | Builtin::InsnMnemonic
            | Builtin::InsnSize
            | Builtin::InsnAddr
            | Builtin::InsnBits
            | Builtin::InsnTarget
            | Builtin::InsnIsCall
            | Builtin::InsnIsReturn
            | Builtin::InsnIsBranch
            | Builtin::InsnIsLoad
            | Builtin::InsnIsStore
            | Builtin::InsnReads
            | Builtin::InsnWrites
            | Builtin::BlockAddr
            | Builtin::BlockSize
            | Builtin::BlockLen
            | Builtin::BranchKind => true,
            Builtin::Next
            | Builtin::Icount
            | Builtin::IcountAll
            | Builtin::Hits
            | Builtin::Tid
            | Builtin::Pid
            | Builtin::Now
            | Builtin::Status
            | Builtin::Caller
            | Builtin::Stack
            | Builtin::Depth
            | Builtin::Elapsed
            | Builtin::Activation
            | Builtin::EntryArg(_)
            | Builtin::InsnSrc
            | Builtin::InsnDst
            | Builtin::BranchTarget
            | Builtin::BranchTaken
            | Builtin::AccessAddr
            | Builtin::AccessSize
            | Builtin::AccessValue
            | Builtin::AccessOld
            | Builtin::AccessIsWrite
            | Builtin::SyscallNumber
            | Builtin::SyscallName
            | Builtin::SyscallArgument(_)
            | Builtin::SyscallArguments
            | Builtin::SyscallElapsed
            | Builtin::Fact(_) => false,
        }
    }
}

/// A builtin function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "documented for users in the builtin table")]
pub enum Func {
    /// `str(p [, max])`; `max` is always given here.
    Str,
    Bytes,
    Hex,
    Sym,
    Disas,
    /// `line(addr)`: `main.c:42`.
    Line,
    Len,
    AbsInt,
    AbsFloat,
    MinU,
    MinS,
    MaxU,
    MaxS,
    Popcount,
    /// `bswap(x)` of the argument's width, given as a second argument in bytes.
    Bswap,
    /// `bit(x, n)`.
    Bit,
    /// `bits(x, a, b)`, end excluded.
    Bits,
    /// `sext(x, n)`.
    Sext,
    Readable,
    /// `has(@m, k…)`: the state is in [`Expr`]'s first argument, an [`ExprKind::State`] that is not evaluated.
    Has,
    Errno,
    SyscallName,
    /// `stack(n)`: at most `n` entries.
    Stack,
    /// `rand(n)`: 0 to `n`-1, from the seed; `rand(0)` is a run-time error.
    Rand,
}
