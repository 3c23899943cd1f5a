//! The syntax tree: what is written, with a span on every node and no meaning yet.
//!
//! Private to this crate. Its readable form is the derived `Debug`, which `spile dump --stage ast` prints; some nodes that are not
//! compiled yet are in it for that alone.

#![allow(dead_code, reason = "the dump shows every field")]

use crate::ir::{AssignOp, BitsOp, Moment};
use crate::span::Span;

/// A piece of text with its place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// One top-level item.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// The path; the items of the file come before it.
    Use(Text),
    Param(Param),
    Const {
        name: Text,
        value: Expr,
    },
    State(StateItem),
    Fn(FnItem),
    Struct(StructItem),
    Probe(Probe),
}

#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub(crate) name: Text,
    pub(crate) ty: Option<TypeName>,
    pub(crate) value: Expr,
}

/// `let @name: ty = initial max capacity`.
#[derive(Clone, Debug)]
pub(crate) struct StateItem {
    pub(crate) name: Text,
    pub(crate) ty: Option<TypeName>,
    pub(crate) initial: Option<Expr>,
    pub(crate) capacity: Option<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) struct FnItem {
    pub(crate) name: Text,
    pub(crate) params: Vec<Text>,
    pub(crate) body: Expr,
}

/// `struct name { field: type @ offset, … }`.
#[derive(Clone, Debug)]
pub(crate) struct StructItem {
    pub(crate) name: Text,
    pub(crate) fields: Vec<StructField>,
}

#[derive(Clone, Debug)]
pub(crate) struct StructField {
    pub(crate) name: Text,
    pub(crate) ty: TypeName,
    pub(crate) offset: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct TypeName {
    pub(crate) stars: usize,
    pub(crate) name: String,
    pub(crate) array: bool,
    /// Number of elements of an array.
    pub(crate) count: u64,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) label: Option<Text>,
    pub(crate) moment: Moment,
    pub(crate) event: Event,
    pub(crate) clauses: Vec<Clause>,
    pub(crate) body: Option<Vec<Stmt>>,
    pub(crate) head: Span,
    pub(crate) span: Span,
    /// A syntax error was cut out of it: names that seem to be missing may have been in the piece.
    pub(crate) damaged: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) word: Text,
    pub(crate) args: EventArgs,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum EventArgs {
    None,
    Text(Text),
    Regex(Regex),
    Names(Vec<Loc>),
    Quantity(Quantity),
}

#[derive(Clone, Debug)]
pub(crate) struct Regex {
    pub(crate) text: String,
    pub(crate) ignore_case: bool,
    pub(crate) span: Span,
}

/// `100 insns`, `10ms`.
#[derive(Clone, Debug)]
pub(crate) struct Quantity {
    pub(crate) amount: Expr,
    /// The unit's name; `None` for a time.
    pub(crate) unit: Option<Text>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Clause {
    pub(crate) kind: ClauseKind,
    /// The clause's first word.
    pub(crate) word: Span,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum ClauseKind {
    At(Vec<Loc>),
    In(Vec<Region>),
    Except(Vec<Region>),
    From(Vec<Loc>),
    During(Vec<Loc>),
    When(Expr),
    Hit(Hits, bool),
    Once(bool),
    Since(Vec<Loc>),
    Until(Vec<Loc>),
    Limit(Limit),
    Disabled,
    Optional,
}

/// `limit count per period`, and whether in each thread.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) count: Expr,
    pub(crate) period: Quantity,
    pub(crate) per_thread: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Hits {
    Every(Expr),
    Ranges(Vec<HitRange>),
}

#[derive(Clone, Debug)]
pub(crate) struct HitRange {
    pub(crate) from: Option<Expr>,
    pub(crate) to: Option<Expr>,
    pub(crate) range: bool,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Loc {
    pub(crate) place: crate::ir::Place,
    pub(crate) offset: i64,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) kind: RegionKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum RegionKind {
    Extent(Loc),
    Range(Loc, Loc),
    Len(Loc, u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Stmt {
    pub(crate) kind: StmtKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a script has few statements")]
pub(crate) enum StmtKind {
    Write {
        list: Vec<Assign>,
        duration: Option<Duration>,
    },
    Bits {
        op: BitsOp,
        target: Expr,
        select: BitSelect,
        duration: Option<Duration>,
    },
    Stick(Stick),
    Skip(Option<Expr>),
    /// `return e`; nothing for `return void`.
    Return(Option<Expr>),
    GotoLoc(Loc),
    GotoExpr(Expr),
    Print(Vec<PrintArg>),
    Trace {
        duration: Option<Duration>,
    },
    Dump(Expr, Expr),
    Warn(Expr),
    Fail(Expr),
    Assert(Expr, Option<Expr>),
    Aggregate(Aggregate),
    Enable(Vec<Text>),
    Disable(Vec<Text>),
    Reset(Vec<Text>),
    Delete(Expr),
    Exit(Option<Expr>),
    If {
        arms: Vec<(Expr, Vec<Stmt>)>,
        otherwise: Option<Vec<Stmt>>,
    },
    For {
        names: Vec<Text>,
        over: ForOver,
        body: Vec<Stmt>,
    },
    Let {
        name: Text,
        ty: Option<TypeName>,
        value: Expr,
    },
    Next,
    Assign {
        target: Expr,
        op: AssignOp,
        op_span: Span,
        value: Expr,
    },
    Raise(Text),
    /// Known and not compiled yet, with its word; the expressions in it are not looked at.
    Later(&'static str, Span),
}

/// `stick LV [bits] = E [duration]`.
#[derive(Clone, Debug)]
pub(crate) struct Stick {
    pub(crate) target: Expr,
    pub(crate) select: Option<BitSelect>,
    pub(crate) value: Expr,
    pub(crate) duration: Option<Duration>,
}

/// How long a patch or a trace lasts.
#[derive(Clone, Debug)]
pub(crate) struct Duration {
    pub(crate) kind: DurationKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum DurationKind {
    For(Quantity),
    Until(Loc),
}

/// What a `for` goes through.
#[derive(Clone, Debug)]
pub(crate) enum ForOver {
    Range(Expr, Expr),
    Map(Text),
}

#[derive(Clone, Debug)]
pub(crate) struct Assign {
    pub(crate) target: Expr,
    pub(crate) value: Expr,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum BitSelect {
    Bit(Expr),
    Bits(Expr, Expr),
    Mask(Expr),
}

#[derive(Clone, Debug)]
pub(crate) struct PrintArg {
    pub(crate) name: Option<Text>,
    pub(crate) value: Expr,
    pub(crate) top: Option<Expr>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    /// `count`, `sum`, … `hist`.
    pub(crate) function: Text,
    pub(crate) value: Option<Expr>,
    pub(crate) linear: Option<(Expr, Expr, Option<Expr>)>,
    pub(crate) by: Vec<Expr>,
    pub(crate) into: Option<Text>,
}

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
    /// Height of the tree below, so that no walk over it can be deeper than the limit.
    pub(crate) depth: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    /// `None` if it has more than 128 bits.
    Int(Option<u128>),
    /// Nanoseconds.
    Time(Option<u64>),
    Float(f64),
    Bool(bool),
    Str(Vec<StrPiece>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Memory {
        ty: Text,
        addr: Box<Expr>,
    },
    AddrOf(Loc),
    Call {
        name: Text,
        args: Vec<Expr>,
        access: Vec<Access>,
    },
    /// `@name`, `@name[keys]`.
    State {
        name: Text,
        keys: Option<Vec<Expr>>,
    },
    Path {
        root: Text,
        access: Vec<Access>,
    },
    /// `(e).field`.
    Access(Box<Expr>, Vec<Access>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Span, Box<Expr>, Box<Expr>),
    Cast(Box<Expr>, TypeName),
    WithinRange(Box<Expr>, Box<Expr>, Box<Expr>),
    WithinSet(Box<Expr>, Vec<Expr>),
    MatchGlob(Box<Expr>, Text),
    MatchRegex(Box<Expr>, Regex),
    /// The number of the call, by which `call.NAME` is kept; nobody writes it.
    Activation,
    /// Cut out because of an error that has been reported.
    Missing,
}

#[derive(Clone, Debug)]
pub(crate) enum Access {
    Field(Text),
    Index(Vec<Expr>, Span),
}

#[derive(Clone, Debug)]
pub(crate) enum StrPiece {
    Text(String),
    Value { value: Expr, format: Option<Text> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Neg,
    BitNot,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Coalesce,
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    BitOr,
    BitXor,
    BitAnd,
    Shl,
    Shr,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}
