//! Expressions: typing, folding of literals, and the choice of exact operations.

use crate::ast::{self, Access, Binary, StrPiece, Text, Unary};
use crate::builtins;
use crate::diag::Diagnostic;
use crate::ir::{self, BinaryOp, ExprKind, Func, StrPart, UnaryOp};
use crate::span::Span;
use crate::suggest::nearest;
use crate::types::Type;

use super::names::{access_span, memory_type};
use super::state::{OF_STACKS, describe};
use super::{Call, Checker, MAX_DEPTH, MAX_NODES};

/// `stack(n)` may ask for so many entries.
const LONGEST_STACK: u64 = 1024;

/// `str(p)` without a limit reads so many bytes at most.
const DEFAULT_STRING: u64 = 1024;

pub(super) fn make(kind: ExprKind, ty: Type, span: Span) -> ir::Expr {
    ir::Expr { kind, ty, span }
}

pub(super) fn int(value: u64, span: Span) -> ir::Expr {
    make(ExprKind::Int(value), Type::U64, span)
}

pub(super) fn literal(e: &ir::Expr) -> Option<u64> {
    match e.kind {
        ExprKind::Int(value) => Some(value),
        _ => None,
    }
}

impl Checker<'_> {
    pub(super) fn expr(&mut self, e: &ast::Expr) -> Option<ir::Expr> {
        self.depth += 1;
        self.nodes += 1;
        let fits = self.depth <= MAX_DEPTH && self.nodes <= MAX_NODES;
        let out = match fits {
            true => self.expr_inner(e),
            false => self.grown(e.span),
        };
        self.depth -= 1;
        out
    }

    pub(super) fn grown<T>(&mut self, span: Span) -> Option<T> {
        if !self.too_large {
            self.too_large = true;
            self.error(
                Diagnostic::error("E0107", "this is too large once its functions are put in")
                    .primary(span, "too large from here on")
                    .help("name a part of it: `let n = …`"),
            );
        }
        None
    }

    fn expr_inner(&mut self, e: &ast::Expr) -> Option<ir::Expr> {
        match self.data(e)? {
            Some(data) => self.data_value(&data),
            None => self.expr_of_no_data(e),
        }
    }

    /// An expression that is known not to be data of the program.
    pub(super) fn expr_of_no_data(&mut self, e: &ast::Expr) -> Option<ir::Expr> {
        let span = e.span;
        match &e.kind {
            ast::ExprKind::Int(value) => self.int_literal(*value, span),
            ast::ExprKind::Time(Some(ns)) => Some(int(*ns, span)),
            ast::ExprKind::Time(None) => self.fail(crate::explain::number_too_large(span, "a time in ns", 64)),
            ast::ExprKind::Float(value) => Some(make(ExprKind::Float(*value), Type::F64, span)),
            ast::ExprKind::Bool(value) => Some(make(ExprKind::Int(u64::from(*value)), Type::Bool, span)),
            ast::ExprKind::Str(pieces) => self.string(pieces, span),
            ast::ExprKind::If(c, a, b) => self.if_expr(c, a, b, span),
            ast::ExprKind::Memory { ty, addr } => self.load(ty, addr, span),
            ast::ExprKind::AddrOf(loc) => {
                let loc = self.loc(loc)?;
                Some(make(ExprKind::AddrOf(loc), Type::CodeAddr, span))
            }
            ast::ExprKind::Call { name, args, access } => self.call(name, args, access, span),
            ast::ExprKind::State { name, keys } => self.state_value(name, keys.as_deref(), span),
            ast::ExprKind::Path { root, access } => match self.own_state(root, access, span) {
                Some((name, owner)) => self.state_value(&name, Some(&[owner]), span),
                None => self.path(root, access, span),
            },
            // Data, or wrong and reported.
            ast::ExprKind::Access(..) => None,
            ast::ExprKind::Unary(op, a) => self.unary(*op, a, span),
            ast::ExprKind::Binary(op, at, a, b) => self.binary(*op, *at, a, b, span),
            ast::ExprKind::Cast(a, ty) => {
                let value = self.expr(a);
                let ty = self.type_name(ty)?;
                self.cast(value?, ty, span)
            }
            ast::ExprKind::WithinRange(x, a, b) => self.within_range(x, a, b, span),
            ast::ExprKind::WithinSet(x, list) => self.within_set(x, list, span),
            ast::ExprKind::MatchGlob(x, glob) => {
                let text = self.text_operand(x)?;
                let kind = ExprKind::MatchesGlob(Box::new(text), glob.text.clone());
                Some(make(kind, Type::Bool, span))
            }
            ast::ExprKind::MatchRegex(x, regex) => self.match_regex(x, regex, span),
            ast::ExprKind::Activation => self.named_builtin("call", span),
            ast::ExprKind::Missing => None,
        }
    }

    fn int_literal(&mut self, value: Option<u128>, span: Span) -> Option<ir::Expr> {
        let Some(value) = value else {
            return self.fail(crate::explain::number_too_large(span, "a number", 128));
        };
        Some(match u64::try_from(value) {
            Ok(value) => int(value, span),
            Err(_) => make(ExprKind::Int128(value), Type::U128, span),
        })
    }

    // ---------- strings ----------

    pub(super) fn string(&mut self, pieces: &[StrPiece], span: Span) -> Option<ir::Expr> {
        let kind = match pieces {
            [] => ExprKind::Str(String::new()),
            [StrPiece::Text(text)] => ExprKind::Str(text.clone()),
            _ => {
                let parts: Vec<Option<StrPart>> = pieces.iter().map(|piece| self.piece(piece)).collect();
                ExprKind::Interp(parts.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(make(kind, Type::Str, span))
    }

    fn piece(&mut self, piece: &StrPiece) -> Option<StrPart> {
        match piece {
            StrPiece::Text(text) => Some(StrPart::Text(text.clone())),
            StrPiece::Value { value, format } => {
                // A format is for the number, without one data is shown as what it is.
                let (value, format) = match format {
                    Some(text) => {
                        let value = self.expr(value)?;
                        let format = self.format(text, value.ty)?;
                        (value, format)
                    }
                    None => (self.shown_value(value)?, ir::Format::default()),
                };
                Some(StrPart::Value(value, format))
            }
        }
    }

    fn text_operand(&mut self, x: &ast::Expr) -> Option<ir::Expr> {
        let value = self.expr(x)?;
        if value.ty == Type::Str {
            return Some(value);
        }
        let out = Diagnostic::error("E0406", "`=~` compares a text with a pattern")
            .primary(x.span, format!("this is {}", describe(value.ty)));
        let text = self.source_text(x.span);
        self.fail(match value.ty {
            Type::CodeAddr => out.help(format!("the function's name is `func`, of another address `sym({text})`")),
            Type::Word => out.help(format!("the string that it points to: `str({text})`")),
            _ => out,
        })
    }

    fn match_regex(&mut self, x: &ast::Expr, regex: &ast::Regex, span: Span) -> Option<ir::Expr> {
        let pattern = self.pattern(regex);
        let text = self.text_operand(x)?;
        if !is_static(&text) {
            return self.fail(
                Diagnostic::error("E0417", "a regular expression is only for texts that are known before the run")
                    .primary(x.span, "depends on the run")
                    .help("func, module, section, insn.text and insn.mnemonic are known")
                    .help("any text can be compared with a glob: `=~ \"/etc/*.conf\"`"),
            );
        }
        let kind = ExprKind::MatchesRegex(Box::new(text), pattern?);
        Some(make(kind, Type::Bool, span))
    }

    // ---------- memory ----------

    fn load(&mut self, ty: &Text, addr: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let (ty, addr) = self.memory(ty, addr)?;
        let kind = ExprKind::Load { ty, addr: Box::new(addr) };
        Some(make(kind, ty.ty, span))
    }

    pub(super) fn memory(&mut self, ty: &Text, addr: &ast::Expr) -> Option<(ir::MemType, ir::Expr)> {
        let ty = memory_type(&ty.text)?;
        let addr = self.integer(addr, "an address")?;
        Some((ty, addr))
    }

    pub(super) fn integer(&mut self, e: &ast::Expr, what: &str) -> Option<ir::Expr> {
        let value = self.expr(e)?;
        match value.ty.is_integer() {
            true => Some(value),
            false => self.fail(
                Diagnostic::error("E0406", format!("{what} is an integer"))
                    .primary(e.span, format!("this is {}", describe(value.ty))),
            ),
        }
    }

    // ---------- conversions ----------

    /// Converts for storing into a declared type: literals must fit, other values are truncated.
    pub(super) fn convert(&mut self, value: ir::Expr, ty: Type, declared: Span) -> Option<ir::Expr> {
        if value.ty == ty {
            return Some(value);
        }
        if let (Some(v), Type::Int { bits, .. }) = (literal(&value), ty) {
            if !fits(v, value.ty, bits) {
                return self.fail(
                    Diagnostic::error("E0401", format!("{} does not fit in {ty}", shown(v, value.ty)))
                        .primary(value.span, needs(v, value.ty))
                        .secondary(declared, format!("{ty} is {bits} bits wide")),
                );
            }
            return Some(make(ExprKind::Int(v), ty, value.span));
        }
        let span = value.span;
        let numeric = |t: Type| t.is_integer() || t.is_float();
        if numeric(value.ty) && numeric(ty) {
            return self.cast(value, ty, span);
        }
        let title = format!("{} is not {}", describe(value.ty), describe(ty));
        self.fail(
            Diagnostic::error("E0406", title)
                .primary(span, format!("this is {}", describe(value.ty)))
                .secondary(declared, format!("declared as {ty}")),
        )
    }

    fn cast(&mut self, value: ir::Expr, ty: Type, span: Span) -> Option<ir::Expr> {
        let from = value.ty;
        let numeric = |t: Type| t.is_integer() || t.is_float();
        let truncates = from == Type::U128 && ty.is_integer();
        if !(truncates || from == ty || numeric(from) && numeric(ty)) {
            let text = self.source_text(value.span);
            let out = Diagnostic::error("E0406", format!("{} cannot become {}", describe(from), describe(ty)))
                .primary(span, format!("from {from} to {ty}"));
            return self.fail(match ty {
                Type::Str => {
                    out.help(format!("the guest string there: `str({text})`, the number as text: `\"{{{text}}}\"`"))
                }
                Type::Bytes => out.help(format!("the guest memory there: `bytes({text}, 16)`")),
                _ => out,
            });
        }
        if let (Some(v), Type::Int { bits, signed }) = (literal(&value), ty) {
            return Some(make(ExprKind::Int(wrapped(v, bits, signed)), ty, span));
        }
        if from == ty {
            return Some(ir::Expr { span, ..value });
        }
        Some(make(ExprKind::Cast(Box::new(value)), ty, span))
    }

    /// Gives two values one type, for `if` and `??`.
    fn unify(&mut self, a: ir::Expr, b: ir::Expr, at: Span) -> Option<(ir::Expr, ir::Expr, Type)> {
        let ty = match (a.ty, b.ty) {
            (x, y) if x == y => x,
            (x, y) if x.is_integer() && y.is_integer() => integer_type(&a, &b),
            (x, y) if numeric_pair(x, y) => {
                let (a, b) = (floated(a), floated(b));
                return Some((a, b, Type::F64));
            }
            (x, y) => {
                return self.fail(
                    Diagnostic::error("E0406", "both values must be of one kind")
                        .primary(b.span, format!("this is {}", describe(y)))
                        .secondary(a.span, format!("this is {}", describe(x)))
                        .secondary(at, "because of this"),
                );
            }
        };
        Some((a, b, ty))
    }

    fn if_expr(&mut self, c: &ast::Expr, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let cond = self.condition(c);
        let (a, b) = (self.expr(a), self.expr(b));
        let (a, b, ty) = self.unify(a?, b?, c.span)?;
        let kind = ExprKind::If(Box::new(cond?), Box::new(a), Box::new(b));
        Some(make(kind, ty, span))
    }

    // ---------- operators ----------

    fn unary(&mut self, op: Unary, a: &ast::Expr, span: Span) -> Option<ir::Expr> {
        if op == Unary::Not {
            let value = self.condition(a)?;
            let kind = match literal(&value) {
                Some(v) => ExprKind::Int(u64::from(v == 0)),
                None => ExprKind::Unary(UnaryOp::Not, Box::new(value)),
            };
            return Some(make(kind, Type::Bool, span));
        }
        let value = self.expr(a)?;
        if op == Unary::Neg && value.ty.is_float() {
            return Some(self.negate_float(value, span));
        }
        if !value.ty.is_integer() {
            let sign = if op == Unary::Neg { "-" } else { "~" };
            return self.no_operator(sign, span, &value);
        }
        if op == Unary::Neg {
            return self.negate(value, span);
        }
        let ty = match value.ty {
            Type::Bool => Type::U64,
            ty => super::state::kept(ty),
        };
        let kind = match literal(&value) {
            Some(v) => ExprKind::Int(!v),
            None => ExprKind::Unary(UnaryOp::BitNot, Box::new(value)),
        };
        Some(make(kind, ty, span))
    }

    /// `0.0 - x` would lose the sign of zero, `-0.0 - x` does not.
    fn negate_float(&mut self, value: ir::Expr, span: Span) -> ir::Expr {
        if let ExprKind::Float(v) = value.kind {
            return make(ExprKind::Float(-v), Type::F64, span);
        }
        let zero = make(ExprKind::Float(-0.0), Type::F64, span);
        let value = floated(value);
        let kind = ExprKind::Binary(BinaryOp::SubF, Box::new(zero), Box::new(value));
        make(kind, Type::F64, span)
    }

    fn negate(&mut self, value: ir::Expr, span: Span) -> Option<ir::Expr> {
        let kind = match literal(&value) {
            Some(v) if !value.ty.is_signed() && v > 1 << 63 => {
                return self.fail(
                    Diagnostic::error("E0401", format!("-{v:#x} does not fit in 64 bits"))
                        .primary(span, "smaller than i64 can be"),
                );
            }
            Some(v) => ExprKind::Int(v.wrapping_neg()),
            None => ExprKind::Unary(UnaryOp::Neg, Box::new(value)),
        };
        Some(make(kind, Type::I64, span))
    }

    fn no_operator<T>(&mut self, sign: &str, at: Span, value: &ir::Expr) -> Option<T> {
        let title = format!("`{sign}` cannot be applied to {}", describe(value.ty));
        let out = Diagnostic::error("E0406", title).primary(value.span, format!("this is {}", describe(value.ty)));
        let out = match at == value.span {
            true => out,
            false => out.secondary(at, "the operator"),
        };
        self.fail(match value.ty {
            Type::Str if sign == "+" => out.help("texts are put together in a string: `\"{a}{b}\"`"),
            Type::U128 => out.help("128-bit values can be printed, stored and compared; `as u64` takes the low half"),
            Type::Bytes => out.help("bytes can be printed; for a number use `u64[p]`"),
            Type::Stack => out.help(OF_STACKS),
            _ => out,
        })
    }

    fn binary(&mut self, op: Binary, at: Span, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<ir::Expr> {
        match op {
            Binary::And | Binary::Or => return self.logic(op, a, b, span),
            Binary::Coalesce => return self.coalesce(a, b, span),
            _ => {}
        }
        // Both sides are looked at even if one is wrong.
        let (a, b) = (self.expr(a), self.expr(b));
        let (a, b) = (a?, b?);
        match op {
            Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => {
                self.compare(op, at, a, b, span)
            }
            _ => self.arithmetic(op, at, a, b, span),
        }
    }

    fn logic(&mut self, op: Binary, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let (a, b) = (self.condition(a), self.condition(b));
        let (a, b) = (Box::new(a?), Box::new(b?));
        let kind = match op {
            Binary::And => ExprKind::And(a, b),
            _ => ExprKind::Or(a, b),
        };
        Some(make(kind, Type::Bool, span))
    }

    fn coalesce(&mut self, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let (x, y) = (self.expr(a), self.expr(b));
        let (x, y, ty) = self.unify(x?, y?, span)?;
        Some(make(ExprKind::Coalesce(Box::new(x), Box::new(y)), ty, span))
    }

    fn compare(&mut self, op: Binary, at: Span, a: ir::Expr, b: ir::Expr, span: Span) -> Option<ir::Expr> {
        let order = !matches!(op, Binary::Eq | Binary::Ne);
        match (a.ty, b.ty) {
            (Type::Str, Type::Str) if !order => {
                let op = pick(op == Binary::Eq, BinaryOp::EqStr, BinaryOp::NeStr);
                Some(compared(op, a, b, span))
            }
            (x, y) if wide_pair(x, y) && !order => {
                let op = pick(op == Binary::Eq, BinaryOp::Eq128, BinaryOp::Ne128);
                let (a, b) = (widened(a), widened(b));
                match (a, b) {
                    (Some(a), Some(b)) => Some(compared(op, a, b, span)),
                    _ => self.fail(
                        Diagnostic::error("E0406", "a 128-bit value is compared with one of 128 bits")
                            .primary(at, "different widths")
                            .help("for the low half: `q0 as u64 == x0`"),
                    ),
                }
            }
            (x, y) if x.is_integer() && y.is_integer() => {
                self.warn_if_constant(op, at, &a, &b);
                Some(compare_integers(op, a, b, span))
            }
            (x, y) if numeric_pair(x, y) => {
                let (a, b) = (floated(a), floated(b));
                Some(compare_floats(op, a, b, span))
            }
            (x, y) => self.not_comparable(op, at, (x, a.span), (y, b.span)),
        }
    }

    fn not_comparable<T>(&mut self, op: Binary, at: Span, a: (Type, Span), b: (Type, Span)) -> Option<T> {
        let sign = self.sources.slice(at).to_string();
        let title = match a.0 == b.0 {
            true => format!("`{sign}` does not compare {}", describe(a.0)),
            false => format!("`{sign}` does not compare {} with {}", describe(a.0), describe(b.0)),
        };
        let out = Diagnostic::error("E0406", title)
            .primary(at, "cannot compare these")
            .secondary(a.1, describe(a.0))
            .secondary(b.1, describe(b.0));
        let other = match (a.0, b.0) {
            (Type::Str, other) => Some((other, b.1)),
            (other, Type::Str) => Some((other, a.1)),
            _ => None,
        };
        let _ = op;
        self.fail(match other {
            Some((Type::CodeAddr, _)) => out.help("the name of the function is `func`: `func == \"main\"`"),
            Some((Type::Word, span)) => {
                let text = self.source_text(span);
                out.help(format!("the string that it points to: `str({text})`"))
            }
            None if a.0 == Type::Stack || b.0 == Type::Stack => out.help(OF_STACKS),
            _ => out,
        })
    }

    /// `x0 < 0` is never true, because a register is unsigned: most likely a signed comparison was meant.
    fn warn_if_constant(&mut self, op: Binary, at: Span, a: &ir::Expr, b: &ir::Expr) {
        let negative = |e: &ir::Expr| literal(e).is_some_and(|v| e.ty.is_signed() && (v as i64) < 0);
        let unsigned = |e: &ir::Expr| literal(e).is_none() && !e.ty.is_signed() && e.ty != Type::Bool;
        let zero = |e: &ir::Expr| literal(e) == Some(0);
        let order = !matches!(op, Binary::Eq | Binary::Ne);
        let pattern = |e: &ir::Expr| matches!(e.ty, Type::Word | Type::CodeAddr);
        let (value, always) = if unsigned(a) && negative(b) && (order || !pattern(a)) {
            (a, matches!(op, Binary::Gt | Binary::Ge | Binary::Ne))
        } else if unsigned(b) && negative(a) && (order || !pattern(b)) {
            (b, matches!(op, Binary::Lt | Binary::Le | Binary::Ne))
        } else if unsigned(a) && zero(b) && matches!(op, Binary::Lt | Binary::Ge) {
            (a, op == Binary::Ge)
        } else if unsigned(b) && zero(a) && matches!(op, Binary::Gt | Binary::Le) {
            (b, op == Binary::Le)
        } else {
            return;
        };
        let text = self.source_text(value.span);
        let signed = match &value.kind {
            ExprKind::Register(register) if register.bits <= 32 => "i32",
            _ => "i64",
        };
        let truth = if always { "true" } else { "false" };
        self.error(
            Diagnostic::warning("W0501", format!("this comparison is always {truth}"))
                .primary(at, format!("always {truth}"))
                .secondary(value.span, "never negative: it has no sign")
                .help(format!("to see it as a signed number: `{text} as {signed}`")),
        );
    }

    fn arithmetic(&mut self, op: Binary, at: Span, a: ir::Expr, b: ir::Expr, span: Span) -> Option<ir::Expr> {
        let (x, y) = (a.ty, b.ty);
        if x.is_integer() && y.is_integer() {
            return self.integer_arithmetic(op, at, a, b, span);
        }
        let float_op = match op {
            Binary::Add => Some(BinaryOp::AddF),
            Binary::Sub => Some(BinaryOp::SubF),
            Binary::Mul => Some(BinaryOp::MulF),
            Binary::Div => Some(BinaryOp::DivF),
            _ => None,
        };
        let sign = self.sources.slice(at).to_string();
        match float_op {
            Some(op) if numeric_pair(x, y) => {
                let (a, b) = (floated(a), floated(b));
                let kind = ExprKind::Binary(op, Box::new(a), Box::new(b));
                Some(make(kind, Type::F64, span))
            }
            _ if numeric_pair(x, y) => {
                let float = if x.is_float() { &a } else { &b };
                self.no_operator(&sign, at, float)
            }
            _ => {
                let bad = if x.is_integer() || x.is_float() { &b } else { &a };
                self.no_operator(&sign, at, bad)
            }
        }
    }

    fn integer_arithmetic(&mut self, op: Binary, at: Span, a: ir::Expr, b: ir::Expr, span: Span) -> Option<ir::Expr> {
        self.check_literal_operand(op, at, &b)?;
        let ty = arithmetic_type(op, &a, &b);
        let signed = match op {
            Binary::Shr => a.ty.is_signed(),
            _ => ty.is_signed(),
        };
        let op = match op {
            Binary::Add => BinaryOp::Add,
            Binary::Sub => BinaryOp::Sub,
            Binary::Mul => BinaryOp::Mul,
            Binary::Div => pick(signed, BinaryOp::DivS, BinaryOp::DivU),
            Binary::Rem => pick(signed, BinaryOp::RemS, BinaryOp::RemU),
            Binary::BitAnd => BinaryOp::And,
            Binary::BitOr => BinaryOp::Or,
            Binary::BitXor => BinaryOp::Xor,
            Binary::Shl => BinaryOp::Shl,
            _ => pick(signed, BinaryOp::ShrS, BinaryOp::ShrU),
        };
        if let (Some(x), Some(y)) = (literal(&a), literal(&b)) {
            return Some(make(ExprKind::Int(folded(op, x, y)), ty, span));
        }
        let kind = ExprKind::Binary(op, Box::new(a), Box::new(b));
        Some(make(kind, ty, span))
    }

    fn check_literal_operand(&mut self, op: Binary, at: Span, b: &ir::Expr) -> Option<()> {
        let Some(value) = literal(b) else {
            return Some(());
        };
        let title = match op {
            Binary::Div | Binary::Rem if value == 0 => "this divides by zero",
            Binary::Shl | Binary::Shr if value >= 64 => "this shifts by 64 bits or more",
            _ => return Some(()),
        };
        self.fail(Diagnostic::error("E0416", title).primary(b.span, shown(value, b.ty)).secondary(at, "the operator"))
    }

    // ---------- within ----------

    fn within_range(&mut self, x: &ast::Expr, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let (at, x) = (x.span, self.expr(x));
        let (a, b) = (self.expr(a), self.expr(b));
        let (x, a, b) = (x?, a?, b?);
        if let (Some(from), Some(to)) = (literal(&a), literal(&b))
            && exact(from, a.ty) >= exact(to, b.ty)
        {
            return self.fail(
                Diagnostic::error("E0415", "this range is empty")
                    .primary(a.span.to(b.span), "the end is excluded")
                    .help("0..10 is 0 to 9"),
            );
        }
        let all_integer = [&x, &a, &b].iter().all(|e| e.ty.is_integer());
        let uniform = all_integer && {
            let signed = x.ty.is_signed();
            [&a, &b].iter().all(|e| e.ty.is_signed() == signed || small(e))
        };
        if uniform {
            let kind = ExprKind::WithinRange(Box::new(x), Box::new(a), Box::new(b));
            return Some(make(kind, Type::Bool, span));
        }
        self.nodes += size(&x);
        let low = self.compare(Binary::Ge, at, x.clone(), a, span)?;
        let high = self.compare(Binary::Lt, at, x, b, span)?;
        let kind = ExprKind::And(Box::new(low), Box::new(high));
        Some(make(kind, Type::Bool, span))
    }

    fn within_set(&mut self, x: &ast::Expr, list: &[ast::Expr], span: Span) -> Option<ir::Expr> {
        let value = self.expr(x);
        let items: Vec<Option<ir::Expr>> = list.iter().map(|item| self.expr(item)).collect();
        let value = value?;
        let items = items.into_iter().collect::<Option<Vec<_>>>()?;
        let signed = value.ty.is_signed();
        let uniform = value.ty.is_integer()
            && items.iter().all(|e| e.ty.is_integer() && (e.ty.is_signed() == signed || small(e)));
        if uniform {
            let kind = ExprKind::WithinSet(Box::new(value), items);
            return Some(make(kind, Type::Bool, span));
        }
        // Texts, floats and mixed signs: one comparison after the other, as a tree that is not deep.
        let mut tests = Vec::new();
        for item in items {
            let at = item.span;
            self.nodes += size(&value);
            if self.nodes > MAX_NODES {
                return self.grown(span);
            }
            tests.push(self.compare(Binary::Eq, at, value.clone(), item, span)?);
        }
        any_of(tests, span)
    }

    // ---------- functions ----------

    fn call(&mut self, name: &Text, args: &[ast::Expr], access: &[Access], span: Span) -> Option<ir::Expr> {
        if let Some(first) = access.first() {
            self.unsupported("a field of a result", access_span(first));
            return None;
        }
        if self.functions.contains_key(&name.text) {
            return self.inline(name, args, span);
        }
        let Some(row) = builtins::function(&name.text) else {
            return self.unknown_function(name);
        };
        if args.len() < row.least || args.len() > row.most {
            return self.wrong_arity(name, row.params, (row.least, row.most), args.len(), None);
        }
        self.builtin_call(row.name, args, span)
    }

    fn unknown_function<T>(&mut self, name: &Text) -> Option<T> {
        if self.terse() {
            return self
                .fail(Diagnostic::error("E0407", "there is no such function").primary(name.span, "not a function"));
        }
        const FOREIGN: &[(&str, &str)] = &[
            ("ntohs", "bswap(x as u16)"),
            ("ntohl", "bswap(x as u32)"),
            ("htons", "bswap(x as u16)"),
            ("htonl", "bswap(x as u32)"),
            ("copyinstr", "str(p)"),
            ("copyin", "bytes(p, n)"),
            ("strlen", "len(str(p))"),
            ("usym", "sym(addr)"),
            ("ksym", "sym(addr)"),
            ("buf", "bytes(p, n)"),
            ("reg", "x0: registers stand by their names"),
            ("sizeof", "8"),
            ("printf", "print \"{x0:#x}\""),
        ];
        let known = builtins::FUNCTIONS.iter().map(|f| f.name.to_string());
        let mut names: Vec<String> = self.functions.keys().cloned().collect();
        names.sort();
        names.extend(known);
        let near = nearest(&name.text, &names);
        let out = Diagnostic::error("E0407", format!("there is no function `{}`", name.text))
            .primary(name.span, "not a function");
        if let Some((_, ours)) = FOREIGN.iter().find(|(word, _)| *word == name.text) {
            return self.fail(out.help(format!("here it is written: {ours}")));
        }
        if memory_type(&name.text).is_some() {
            return self.fail(out.help(format!("guest memory is read with brackets: `{}[x0]`", name.text)));
        }
        self.fail(match near {
            Some(near) => out.help(format!("did you mean `{near}`?")).fix(name.span, near),
            None => out.help(format!("functions are: {}", names.join(", "))),
        })
    }

    fn wrong_arity<T>(
        &mut self,
        name: &Text,
        params: &str,
        (least, most): (usize, usize),
        given: usize,
        declared: Option<Span>,
    ) -> Option<T> {
        let wanted = match (least, most) {
            (1, 1) => "1 argument".to_string(),
            (a, b) if a == b => format!("{a} arguments"),
            (a, b) => format!("{a} to {b} arguments"),
        };
        let title = format!("`{}` takes {wanted}, not {given}", name.text);
        let out = Diagnostic::error("E0408", title)
            .primary(name.span, format!("{given} given"))
            .help(format!("{}({params})", name.text));
        self.fail(match declared {
            Some(span) => out.secondary(span, "declared here"),
            None => out,
        })
    }

    fn inline(&mut self, name: &Text, args: &[ast::Expr], span: Span) -> Option<ir::Expr> {
        let function = self.functions.get_mut(&name.text)?;
        function.used = true;
        let item = function.item;
        if let Some(at) = self.calls.iter().position(|call| call.name == name.text) {
            let mut chain: Vec<&str> = self.calls[at..].iter().map(|c| c.name.as_str()).collect();
            chain.push(&name.text);
            let title = format!("`{}` calls itself", name.text);
            let out = Diagnostic::error("E0418", title)
                .primary(name.span, "called from its own body")
                .secondary(item.name.span, "declared here")
                .help(format!("{}: functions are put in where they are called", chain.join(" -> ")));
            return self.fail(out);
        }
        if args.len() != item.params.len() {
            let params: Vec<&str> = item.params.iter().map(|p| p.text.as_str()).collect();
            let wanted = (params.len(), params.len());
            return self.wrong_arity(name, &params.join(", "), wanted, args.len(), Some(item.name.span));
        }
        let mut bound = std::collections::HashMap::new();
        for (param, arg) in item.params.iter().zip(args) {
            let value = self.expr(arg)?;
            if has_rand(&value) && uses(&item.body, &param.text) > 1 {
                return self.fail(
                    Diagnostic::error("E0424", format!("`{}` would draw a random number more than once", name.text))
                        .primary(arg.span, "put in at each use")
                        .secondary(param.span, "used more than once")
                        .help(format!("let r = {}", self.source_text(arg.span)))
                        .help(format!("and then: {}(r)", name.text)),
                );
            }
            bound.insert(param.text.clone(), value);
        }
        self.calls.push(Call { name: name.text.clone(), args: bound, span });
        let value = self.expr(&item.body);
        self.calls.pop();
        let value = value?;
        if height(&value) > MAX_DEPTH {
            return self.grown(span);
        }
        Some(ir::Expr { span, ..value })
    }

    fn builtin_call(&mut self, name: &'static str, args: &[ast::Expr], span: Span) -> Option<ir::Expr> {
        match name {
            "has" => return self.has(args, span),
            "param" => return self.param_value(&args[0]),
            "len" | "hex" => return self.text_function(name, &args[0], span),
            "abs" => return self.abs(&args[0], span),
            "stack" => return self.stack(&args[0], span),
            "min" | "max" => return self.extreme(name, &args[0], &args[1], span),
            _ => {}
        }
        let what = format!("an argument of `{name}`");
        let values: Vec<Option<ir::Expr>> = args.iter().map(|arg| self.integer(arg, &what)).collect();
        let mut values = values.into_iter().collect::<Option<Vec<_>>>()?;
        let signed = Type::I64;
        let (func, ty) = match name {
            "str" => {
                if values.len() == 1 {
                    values.push(int(DEFAULT_STRING, span));
                }
                (Func::Str, Type::Str)
            }
            "bytes" => (Func::Bytes, Type::Bytes),
            "sym" => (Func::Sym, Type::Str),
            "disas" => (Func::Disas, Type::Str),
            "line" => (Func::Line, Type::Str),
            "popcount" => (Func::Popcount, Type::U64),
            "bswap" => {
                let (bytes, ty) = swap_width(&values[0]);
                values.push(int(bytes, span));
                (Func::Bswap, ty)
            }
            "bit" => (Func::Bit, Type::U64),
            "bits" => {
                self.check_bit_range(&values[1], &values[2])?;
                (Func::Bits, Type::U64)
            }
            "sext" => (Func::Sext, signed),
            "readable" => (Func::Readable, Type::Bool),
            "errno" => (Func::Errno, Type::Str),
            "syscall_name" => (Func::SyscallName, Type::Str),
            _ => {
                self.check_rand(&values[0])?;
                (Func::Rand, Type::U64)
            }
        };
        Some(make(ExprKind::Call(func, values), ty, span))
    }

    fn check_rand(&mut self, n: &ir::Expr) -> Option<()> {
        match literal(n) {
            Some(0) => self.fail(
                Diagnostic::error("E0416", "`rand(0)` has no numbers to choose from")
                    .primary(n.span, "at least 1")
                    .help("rand(64) is 0 to 63"),
            ),
            _ => Some(()),
        }
    }

    fn check_bit_range(&mut self, from: &ir::Expr, to: &ir::Expr) -> Option<()> {
        match (literal(from), literal(to)) {
            (Some(a), Some(b)) if a >= b => self.fail(
                Diagnostic::error("E0415", "this range of bits is empty")
                    .primary(from.span.to(to.span), "the end is excluded")
                    .help("bits(x0, 0, 4) is the low four bits"),
            ),
            _ => Some(()),
        }
    }

    /// `stack(n)`, where `stack` is available.
    fn stack(&mut self, most: &ast::Expr, span: Span) -> Option<ir::Expr> {
        self.named_builtin("stack", span)?;
        let most = self.integer(most, "an argument of `stack`")?;
        match literal(&most) {
            Some(1..=LONGEST_STACK) => Some(make(ExprKind::Call(Func::Stack, vec![most]), Type::Stack, span)),
            _ => self.fail(
                Diagnostic::error("E0435", format!("a stack has 1 to {LONGEST_STACK} entries"))
                    .primary(most.span, "not such a number")
                    .help("print stack(5)"),
            ),
        }
    }

    /// `has(@m, k)`: both the state's keys and the further arguments carry the keys.
    fn has(&mut self, args: &[ast::Expr], span: Span) -> Option<ir::Expr> {
        let ast::ExprKind::State { name, keys } = &args[0].kind else {
            return self.fail(
                Diagnostic::error("E0406", "`has` looks for a key in a map")
                    .primary(args[0].span, "not a map")
                    .help("has(@seen, x0)"),
            );
        };
        let id = self.known_state(name)?;
        let list = match keys {
            Some(keys) => keys.as_slice(),
            None => &args[1..],
        };
        if list.is_empty() {
            return self.wrong_arity(&Text { text: "has".to_string(), span: args[0].span }, "@m, k", (2, 9), 1, None);
        }
        let keys = self.keys(id, list, args[0].span, false)?;
        let map = make(ExprKind::State(id, keys.clone()), Type::U64, args[0].span);
        let values = std::iter::once(map).chain(keys).collect();
        Some(make(ExprKind::Call(Func::Has, values), Type::Bool, span))
    }

    fn param_value(&mut self, arg: &ast::Expr) -> Option<ir::Expr> {
        let name = match &arg.kind {
            ast::ExprKind::Str(pieces) => match pieces.as_slice() {
                [StrPiece::Text(text)] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        };
        let Some(name) = name else {
            return self.fail(
                Diagnostic::error("E0406", "`param` takes the name of a parameter in quotes")
                    .primary(arg.span, "not a name in quotes")
                    .help("param(\"nth\")"),
            );
        };
        let found = self.constants.get(&name).filter(|c| c.is_param);
        if let Some(constant) = found {
            let value = constant.value.clone();
            return Some(ir::Expr { span: arg.span, ..value });
        }
        let mut names: Vec<String> =
            self.constants.iter().filter(|(_, c)| c.is_param).map(|(name, _)| name.clone()).collect();
        names.sort();
        let near = nearest(&name, &names);
        let out =
            Diagnostic::error("E0404", format!("no parameter is called `{name}`")).primary(arg.span, "not a parameter");
        self.fail(match near {
            Some(near) => out.help(format!("did you mean `{near}`?")),
            None => out.help(format!("declare it: `param {name} = 1`")),
        })
    }

    fn text_function(&mut self, name: &'static str, arg: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let value = self.expr(arg)?;
        let (func, ty, fits, wanted) = match name {
            "len" => {
                let fits = matches!(value.ty, Type::Str | Type::Bytes);
                (Func::Len, Type::U64, fits, "a text or bytes")
            }
            _ => {
                let fits = value.ty.is_integer() || value.ty == Type::Bytes;
                (Func::Hex, Type::Str, fits, "an integer or bytes")
            }
        };
        if !fits {
            let out = Diagnostic::error("E0406", format!("an argument of `{name}` is {wanted}"))
                .primary(arg.span, format!("this is {}", describe(value.ty)));
            let text = self.source_text(arg.span);
            return self.fail(match name {
                _ if value.ty == Type::Stack => out.help(OF_STACKS),
                "len" => out.help(format!("the string that it points to: `len(str({text}))`")),
                _ => out,
            });
        }
        Some(make(ExprKind::Call(func, vec![value]), ty, span))
    }

    fn abs(&mut self, arg: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let value = self.expr(arg)?;
        if value.ty.is_float() {
            let value = floated(value);
            return Some(make(ExprKind::Call(Func::AbsFloat, vec![value]), Type::F64, span));
        }
        if !value.ty.is_integer() {
            return self.no_operator("abs", span, &value);
        }
        if !value.ty.is_signed() {
            return Some(ir::Expr { span, ..value });
        }
        Some(make(ExprKind::Call(Func::AbsInt, vec![value]), Type::I64, span))
    }

    fn extreme(&mut self, name: &str, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<ir::Expr> {
        let (a, b) = (self.expr(a), self.expr(b));
        let (a, b) = (a?, b?);
        let (x, y) = (a.ty, b.ty);
        if numeric_pair(x, y) {
            let (a, b) = (floated(a), floated(b));
            let op = pick(name == "min", Binary::Lt, Binary::Gt);
            self.nodes += size(&a) + size(&b);
            let cond = compare_floats(op, a.clone(), b.clone(), span);
            let kind = ExprKind::If(Box::new(cond), Box::new(a), Box::new(b));
            return Some(make(kind, Type::F64, span));
        }
        if !(x.is_integer() && y.is_integer()) {
            let bad = if x.is_integer() { &b } else { &a };
            return self.no_operator(name, span, bad);
        }
        let ty = integer_type(&a, &b);
        let func = match (name, ty.is_signed()) {
            ("min", true) => Func::MinS,
            ("min", false) => Func::MinU,
            (_, true) => Func::MaxS,
            _ => Func::MaxU,
        };
        Some(make(ExprKind::Call(func, vec![a, b]), ty, span))
    }
}

/// Makes a number a float.
fn floated(value: ir::Expr) -> ir::Expr {
    let span = value.span;
    match (literal(&value), value.ty) {
        (Some(v), ty) if ty.is_signed() => make(ExprKind::Float(v as i64 as f64), Type::F64, span),
        (Some(v), _) => make(ExprKind::Float(v as f64), Type::F64, span),
        (None, Type::F64) => value,
        (None, _) => make(ExprKind::Cast(Box::new(value)), Type::F64, span),
    }
}

fn pick<T>(cond: bool, a: T, b: T) -> T {
    if cond { a } else { b }
}

fn compared(op: BinaryOp, a: ir::Expr, b: ir::Expr, span: Span) -> ir::Expr {
    make(ExprKind::Binary(op, Box::new(a), Box::new(b)), Type::Bool, span)
}

/// At least one is a float, and both are numbers.
fn numeric_pair(a: Type, b: Type) -> bool {
    let numeric = |t: Type| t.is_integer() || t.is_float();
    (a.is_float() || b.is_float()) && numeric(a) && numeric(b)
}

fn wide_pair(a: Type, b: Type) -> bool {
    let fits = |t: Type| t == Type::U128 || t.is_integer();
    (a == Type::U128 || b == Type::U128) && fits(a) && fits(b)
}

/// Only literals become 128 bits wide.
fn widened(e: ir::Expr) -> Option<ir::Expr> {
    match (&e.kind, e.ty) {
        (_, Type::U128) => Some(e),
        (ExprKind::Int(v), _) => Some(make(ExprKind::Int128(u128::from(*v)), Type::U128, e.span)),
        _ => None,
    }
}

/// A literal that is the same number signed and unsigned.
fn small(e: &ir::Expr) -> bool {
    literal(e).is_some_and(|v| v <= i64::MAX as u64)
}

/// A comparison of integers is exact whatever their signs are. Only `==` of a register and a negative literal compares bits: a
/// register has no sign, and `x0 == -1` means the pattern.
fn compare_integers(op: Binary, a: ir::Expr, b: ir::Expr, span: Span) -> ir::Expr {
    let (op, a, b) = match op {
        Binary::Gt => (Binary::Lt, b, a),
        Binary::Ge => (Binary::Le, b, a),
        op => (op, a, b),
    };
    let equality = matches!(op, Binary::Eq | Binary::Ne);
    let (a, b) = match equality {
        true => (as_pattern(a.clone(), &b), as_pattern(b, &a)),
        false => (a, b),
    };
    let sign = |e: &ir::Expr, other: &ir::Expr| match small(e) {
        true => other.ty.is_signed(),
        false => e.ty.is_signed(),
    };
    let (x, y) = (sign(&a, &b), sign(&b, &a));
    let op = match (op, x, y) {
        (Binary::Eq, x, y) if x == y => BinaryOp::Eq,
        (Binary::Ne, x, y) if x == y => BinaryOp::Ne,
        (Binary::Eq, ..) => BinaryOp::EqMixed,
        (Binary::Ne, ..) => {
            let equal = compared(BinaryOp::EqMixed, a, b, span);
            let kind = ExprKind::Unary(UnaryOp::Not, Box::new(equal));
            return make(kind, Type::Bool, span);
        }
        (Binary::Lt, false, false) => BinaryOp::LtU,
        (Binary::Lt, true, true) => BinaryOp::LtS,
        (Binary::Lt, false, true) => BinaryOp::LtUS,
        (Binary::Lt, true, false) => BinaryOp::LtSU,
        (_, false, false) => BinaryOp::LeU,
        (_, true, true) => BinaryOp::LeS,
        (_, false, true) => BinaryOp::LeUS,
        (_, true, false) => BinaryOp::LeSU,
    };
    compared(op, a, b, span)
}

/// Turns a negative literal beside a register into the register's bit pattern.
fn as_pattern(e: ir::Expr, other: &ir::Expr) -> ir::Expr {
    let negative = literal(&e).filter(|v| e.ty.is_signed() && (*v as i64) < 0);
    let pattern = matches!(other.ty, Type::Word | Type::CodeAddr);
    match (negative, pattern) {
        (Some(v), true) => {
            let bits = match &other.kind {
                ExprKind::Register(register) => register.bits,
                _ => 64,
            };
            make(ExprKind::Int(wrapped(v, bits, false)), Type::U64, e.span)
        }
        _ => e,
    }
}

fn compare_floats(op: Binary, a: ir::Expr, b: ir::Expr, span: Span) -> ir::Expr {
    match op {
        Binary::Eq => compared(BinaryOp::EqF, a, b, span),
        Binary::Ne => compared(BinaryOp::NeF, a, b, span),
        Binary::Lt => compared(BinaryOp::LtF, a, b, span),
        Binary::Le => compared(BinaryOp::LeF, a, b, span),
        Binary::Gt => compared(BinaryOp::LtF, b, a, span),
        _ => compared(BinaryOp::LeF, b, a, span),
    }
}

/// The type of two integers together: signed if one of them is, literals adapting.
fn integer_type(a: &ir::Expr, b: &ir::Expr) -> Type {
    match (a.ty, b.ty) {
        (x, y) if x == y && literal(a).is_none() => x,
        (x, _) if small(b) && literal(a).is_none() && x != Type::Bool => super::state::kept(x),
        (_, y) if small(a) && literal(b).is_none() && y != Type::Bool => super::state::kept(y),
        (x, y) if x.is_signed() || y.is_signed() => Type::I64,
        (Type::Word | Type::CodeAddr, _) | (_, Type::Word | Type::CodeAddr) => Type::Word,
        _ => Type::U64,
    }
}

/// The type of a result: addresses stay addresses under `+` and `-`, registers print in hexadecimal, and an integer is signed if
/// one of the operands is.
fn arithmetic_type(op: Binary, a: &ir::Expr, b: &ir::Expr) -> Type {
    let (x, y) = (a.ty, b.ty);
    let sum = matches!(op, Binary::Add | Binary::Sub);
    if matches!(op, Binary::Shl | Binary::Shr) {
        return match x {
            Type::CodeAddr => Type::Word,
            Type::Bool => Type::U64,
            x => super::state::kept(x),
        };
    }
    match (x, y) {
        (Type::CodeAddr, Type::CodeAddr | Type::Word) if op == Binary::Sub => Type::I64,
        (Type::Word, Type::CodeAddr) if op == Binary::Sub => Type::I64,
        (Type::CodeAddr, _) if sum => Type::CodeAddr,
        (_, Type::CodeAddr) if op == Binary::Add => Type::CodeAddr,
        (x, y) if x.is_signed() || y.is_signed() => match matches!(x, Type::Word) && sum {
            true => Type::Word,
            false => Type::I64,
        },
        (Type::Word | Type::CodeAddr, _) | (_, Type::Word | Type::CodeAddr) => Type::Word,
        _ => Type::U64,
    }
}

/// Computes as the engine does.
fn folded(op: BinaryOp, x: u64, y: u64) -> u64 {
    match op {
        BinaryOp::Add => x.wrapping_add(y),
        BinaryOp::Sub => x.wrapping_sub(y),
        BinaryOp::Mul => x.wrapping_mul(y),
        BinaryOp::DivU => x.checked_div(y).unwrap_or(0),
        BinaryOp::RemU => x.checked_rem(y).unwrap_or(0),
        BinaryOp::DivS if y != 0 => (x as i64).wrapping_div(y as i64) as u64,
        BinaryOp::RemS if y != 0 => (x as i64).wrapping_rem(y as i64) as u64,
        BinaryOp::And => x & y,
        BinaryOp::Or => x | y,
        BinaryOp::Xor => x ^ y,
        BinaryOp::Shl => x.checked_shl(y.min(64) as u32).unwrap_or(0),
        BinaryOp::ShrU => x.checked_shr(y.min(64) as u32).unwrap_or(0),
        BinaryOp::ShrS => ((x as i64) >> y.min(63)) as u64,
        _ => 0,
    }
}

/// Cuts a value to a width, and extends it again as its sign says.
pub(super) fn wrapped(value: u64, bits: u8, signed: bool) -> u64 {
    let unused = 64 - u32::from(bits.clamp(1, 64));
    match signed {
        true => (((value << unused) as i64) >> unused) as u64,
        false => (value << unused) >> unused,
    }
}

/// True if a literal is a number of this width, signed or unsigned.
pub(super) fn fits(value: u64, ty: Type, bits: u8) -> bool {
    if bits >= 64 {
        return true;
    }
    if ty.is_signed() && (value as i64) < 0 {
        return (value as i64) >= -(1i64 << (bits - 1));
    }
    value < 1u64 << bits
}

/// Shows a literal in a message.
pub(super) fn shown(value: u64, ty: Type) -> String {
    match ty.is_signed() && (value as i64) < 0 {
        true => format!("{}", value as i64),
        false if value < 1024 => format!("{value}"),
        false => format!("{value:#x}"),
    }
}

pub(super) fn needs(value: u64, ty: Type) -> String {
    let bits = match ty.is_signed() && (value as i64) < 0 {
        true => 65 - (!value).leading_zeros(),
        false => 64 - value.leading_zeros(),
    };
    format!("needs {bits} bits")
}

fn exact(value: u64, ty: Type) -> i128 {
    match ty.is_signed() {
        true => i128::from(value as i64),
        false => i128::from(value),
    }
}

fn swap_width(value: &ir::Expr) -> (u64, Type) {
    let bits = match (&value.kind, value.ty) {
        (ExprKind::Register(register), _) => register.bits,
        (_, Type::Int { bits, .. }) => bits,
        _ => 64,
    };
    let bytes = u64::from(bits.clamp(8, 64) / 8);
    let ty = match value.ty {
        Type::Int { bits, .. } => Type::Int { bits, signed: false },
        _ => Type::Word,
    };
    (bytes, ty)
}

fn any_of(mut tests: Vec<ir::Expr>, span: Span) -> Option<ir::Expr> {
    while tests.len() > 1 {
        let mut next = Vec::with_capacity(tests.len().div_ceil(2));
        let mut pairs = tests.into_iter();
        while let Some(a) = pairs.next() {
            next.push(match pairs.next() {
                Some(b) => make(ExprKind::Or(Box::new(a), Box::new(b)), Type::Bool, span),
                None => a,
            });
        }
        tests = next;
    }
    tests.pop()
}

/// True if the value depends on the instruction only.
fn is_static(e: &ir::Expr) -> bool {
    match &e.kind {
        ExprKind::Str(_) => true,
        ExprKind::Builtin(builtin) => {
            let row = builtins::VARIABLES.iter().find(|v| v.value == Some(*builtin));
            row.is_some_and(|row| row.is_static)
        }
        _ => false,
    }
}

fn children(e: &ir::Expr) -> Vec<&ir::Expr> {
    match &e.kind {
        ExprKind::Interp(parts) => parts
            .iter()
            .filter_map(|part| match part {
                StrPart::Value(e, _) => Some(e),
                StrPart::Text(_) => None,
            })
            .collect(),
        ExprKind::Load { addr: a, .. }
        | ExprKind::Unary(_, a)
        | ExprKind::Cast(a)
        | ExprKind::EnumName(a, _)
        | ExprKind::MatchesGlob(a, _)
        | ExprKind::MatchesRegex(a, _) => vec![a],
        ExprKind::Binary(_, a, b) | ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Coalesce(a, b) => vec![a, b],
        ExprKind::If(a, b, c) | ExprKind::WithinRange(a, b, c) => vec![a, b, c],
        ExprKind::WithinSet(a, list) => std::iter::once(&**a).chain(list).collect(),
        ExprKind::Call(_, list) | ExprKind::State(_, list) => list.iter().collect(),
        ExprKind::Int(_)
        | ExprKind::Int128(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Register(_)
        | ExprKind::Local(_)
        | ExprKind::Builtin(_)
        | ExprKind::AddrOf(_)
        | ExprKind::Variable(_) => Vec::new(),
    }
}

/// The number of nodes of an expression.
pub(super) fn size(e: &ir::Expr) -> usize {
    1 + children(e).into_iter().map(size).sum::<usize>()
}

fn height(e: &ir::Expr) -> usize {
    1 + children(e).into_iter().map(height).max().unwrap_or(0)
}

fn has_rand(e: &ir::Expr) -> bool {
    matches!(e.kind, ExprKind::Call(Func::Rand, _)) || children(e).into_iter().any(has_rand)
}

/// Counts how often a parameter stands in a function's body.
fn uses(e: &ast::Expr, name: &str) -> usize {
    let all = |list: &[ast::Expr]| list.iter().map(|e| uses(e, name)).sum::<usize>();
    let accesses = |list: &[Access]| {
        let counts = list.iter().map(|access| match access {
            Access::Field(_) => 0,
            Access::Index(keys, _) => all(keys),
        });
        counts.sum::<usize>()
    };
    match &e.kind {
        ast::ExprKind::Path { root, access } => usize::from(root.text == name) + accesses(access),
        ast::ExprKind::Str(pieces) => {
            let counts = pieces.iter().map(|piece| match piece {
                StrPiece::Text(_) => 0,
                StrPiece::Value { value, .. } => uses(value, name),
            });
            counts.sum()
        }
        ast::ExprKind::If(a, b, c) | ast::ExprKind::WithinRange(a, b, c) => {
            uses(a, name) + uses(b, name) + uses(c, name)
        }
        ast::ExprKind::Memory { addr, .. } => uses(addr, name),
        ast::ExprKind::Call { args, access, .. } => all(args) + accesses(access),
        ast::ExprKind::State { keys, .. } => keys.as_deref().map_or(0, all),
        ast::ExprKind::Access(e, access) => uses(e, name) + accesses(access),
        ast::ExprKind::Unary(_, a)
        | ast::ExprKind::Cast(a, _)
        | ast::ExprKind::MatchGlob(a, _)
        | ast::ExprKind::MatchRegex(a, _) => uses(a, name),
        ast::ExprKind::Binary(_, _, a, b) => uses(a, name) + uses(b, name),
        ast::ExprKind::WithinSet(a, list) => uses(a, name) + all(list),
        ast::ExprKind::Int(_)
        | ast::ExprKind::Time(_)
        | ast::ExprKind::Float(_)
        | ast::ExprKind::Bool(_)
        | ast::ExprKind::AddrOf(_)
        | ast::ExprKind::Activation
        | ast::ExprKind::Missing => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_fit_signed_or_unsigned() {
        let minus = |v: i64| v as u64;
        assert!(fits(255, Type::U64, 8) && !fits(256, Type::U64, 8));
        assert!(fits(minus(-128), Type::I64, 8) && !fits(minus(-129), Type::I64, 8));
        assert_eq!(needs(1 << 32, Type::U64), "needs 33 bits");
        assert_eq!(wrapped(0x1ff, 8, true), u64::MAX);
        assert_eq!(wrapped(minus(-1), 32, false), 0xffff_ffff);
    }

    #[test]
    fn folding_agrees_with_the_operators() {
        assert_eq!(folded(BinaryOp::ShrS, u64::MAX, 3), u64::MAX);
        assert_eq!(folded(BinaryOp::DivS, i64::MIN as u64, u64::MAX), i64::MIN as u64);
        assert_eq!(folded(BinaryOp::Sub, 0, 1), u64::MAX);
    }
}
