//! Evaluation at translation time: expressions that depend only on the instruction and on the script.

use super::{LowerHost, Place, Shared};
use crate::glob;
use spile_lang::ir::{BinaryOp, Builtin, Expr, ExprKind, Func, ProbeId, StrPart, UnaryOp};
use spile_lang::target::RegisterSlot;
use spile_lang::types::Type;

/// A value known when a block is translated.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Static {
    /// All 64-bit integers, as their pattern.
    Int(u64),
    /// `U128`.
    Wide(u128),
    /// `F32` (already rounded) and `F64`.
    Float(f64),
    Text(String),
}

impl Static {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Static::Int(value) => *value != 0,
            Static::Wide(value) => *value != 0,
            Static::Float(value) => *value != 0.0,
            Static::Text(text) => !text.is_empty(),
        }
    }

    fn int(&self) -> Option<u64> {
        match self {
            Static::Int(value) => Some(*value),
            Static::Wide(value) => Some(*value as u64),
            Static::Float(_) | Static::Text(_) => None,
        }
    }

    fn wide(&self) -> Option<u128> {
        match self {
            Static::Int(value) => Some(u128::from(*value)),
            Static::Wide(value) => Some(*value),
            Static::Float(_) | Static::Text(_) => None,
        }
    }
}

/// What folding looks at.
pub(super) struct Folder<'a> {
    pub(super) shared: &'a Shared,
    pub(super) host: &'a dyn LowerHost,
    pub(super) place: &'a Place<'a>,
    pub(super) probe: ProbeId,
}

impl Folder<'_> {
    /// Returns the value of `expr` if it does not depend on anything at run time.
    pub(super) fn fold(&self, expr: &Expr) -> Option<Static> {
        match &expr.kind {
            ExprKind::Int(value) if expr.ty == Type::U128 => Some(Static::Wide(u128::from(*value))),
            ExprKind::Int(value) => Some(Static::Int(*value)),
            ExprKind::Int128(value) => Some(Static::Wide(*value)),
            ExprKind::Float(value) => Some(Static::Float(round(*value, expr.ty))),
            ExprKind::Str(text) => Some(Static::Text(text.clone())),
            ExprKind::Interp(parts) => literal(parts).map(Static::Text),
            ExprKind::Register(register) if register.slot == RegisterSlot::Pc => self.builtin(Builtin::Pc),
            ExprKind::Builtin(builtin) => self.builtin(*builtin),
            ExprKind::AddrOf(loc) => self.host.address_of(loc).map(Static::Int),
            ExprKind::Unary(op, a) => unary(*op, &self.fold(a)?),
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b),
            ExprKind::And(a, b) => self.connect(a, b, false),
            ExprKind::Or(a, b) => self.connect(a, b, true),
            ExprKind::If(cond, a, b) => self.fold(if self.fold(cond)?.is_true() { a } else { b }),
            ExprKind::Cast(e) => convert(&self.fold(e)?, e.ty, expr.ty),
            ExprKind::Coalesce(a, _) => self.fold(a),
            ExprKind::WithinRange(x, from, to) => self.within_range(x, from, to),
            ExprKind::WithinSet(x, set) => self.within_set(x, set),
            ExprKind::MatchesGlob(text, pattern) => match self.fold(text)? {
                Static::Text(text) => Some(Static::Int(glob::matches(pattern, &text).into())),
                _ => None,
            },
            ExprKind::MatchesRegex(text, pattern) => match self.fold(text)? {
                Static::Text(text) => Some(Static::Int(self.shared.regex_matches(pattern, &text).into())),
                _ => None,
            },
            ExprKind::Call(func, args) => self.call(*func, args),
            ExprKind::Register(_) | ExprKind::Local(_) | ExprKind::Load { .. } | ExprKind::State(..) => None,
            ExprKind::Variable(_) | ExprKind::EnumName(..) => None,
        }
    }

    fn builtin(&self, builtin: Builtin) -> Option<Static> {
        if builtin == Builtin::ProbeName {
            return Some(Static::Text(self.shared.program.probes[self.probe.0 as usize].name.clone()));
        }
        // After a call, `pc` is in the caller, and the function is known when it has returned.
        let after_call = super::calls::is_after_call(&self.shared.program.probes[self.probe.0 as usize]);
        if self.place.nothing_is_static() || (after_call && builtin == Builtin::Func) {
            return None;
        }
        self.place.builtin(builtin, self.host)
    }

    fn binary(&self, op: BinaryOp, a: &Expr, b: &Expr) -> Option<Static> {
        let (x, y) = (self.fold(a)?, self.fold(b)?);
        binary_static(op, &x, &y)
    }

    /// `and` (`decides` false) and `or` (`decides` true): one operand that decides is enough, also if it is the second
    /// one and the first could have failed at run time; what is static is decided first.
    fn connect(&self, a: &Expr, b: &Expr, decides: bool) -> Option<Static> {
        let (x, y) = (self.fold(a).map(|v| v.is_true()), self.fold(b).map(|v| v.is_true()));
        match (x, y) {
            (Some(x), _) if x == decides => Some(Static::Int(decides.into())),
            (_, Some(y)) if y == decides => Some(Static::Int(decides.into())),
            (Some(_), Some(_)) => Some(Static::Int((!decides).into())),
            _ => None,
        }
    }

    fn within_range(&self, x: &Expr, from: &Expr, to: &Expr) -> Option<Static> {
        let (v, a, b) = (self.fold(x)?.int()?, self.fold(from)?.int()?, self.fold(to)?.int()?);
        let above = !less(v, x.ty, a, from.ty);
        Some(Static::Int((above && less(v, x.ty, b, to.ty)).into()))
    }

    fn within_set(&self, x: &Expr, set: &[Expr]) -> Option<Static> {
        let value = self.fold(x)?;
        let mut all_known = true;
        for element in set {
            match self.fold(element) {
                Some(e) if equal(&value, x.ty, &e, element.ty) => return Some(Static::Int(1)),
                Some(_) => {}
                None => all_known = false,
            }
        }
        all_known.then_some(Static::Int(0))
    }

    fn call(&self, func: Func, args: &[Expr]) -> Option<Static> {
        let arg = |n: usize| self.fold(args.get(n)?)?.int();
        if func == Func::AbsFloat {
            return match self.fold(args.first()?)? {
                Static::Float(value) => Some(Static::Float(value.abs())),
                _ => None,
            };
        }
        let value = match func {
            Func::AbsInt => (arg(0)? as i64).wrapping_abs() as u64,
            Func::MinU => arg(0)?.min(arg(1)?),
            Func::MaxU => arg(0)?.max(arg(1)?),
            Func::MinS => (arg(0)? as i64).min(arg(1)? as i64) as u64,
            Func::MaxS => (arg(0)? as i64).max(arg(1)? as i64) as u64,
            Func::Popcount => truncate(arg(0)?, unsigned(args[0].ty)).count_ones().into(),
            Func::Bswap => bswap(arg(0)?, arg(1)?),
            Func::Bit => bits(arg(0)?, arg(1)?, arg(1)?.saturating_add(1)),
            Func::Bits => bits(arg(0)?, arg(1)?, arg(2)?),
            Func::Sext => sext(arg(0)?, arg(1)?),
            Func::AbsFloat
            | Func::Str
            | Func::Bytes
            | Func::Hex
            | Func::Sym
            | Func::Disas
            | Func::Line
            | Func::Len
            | Func::Readable
            | Func::Has
            | Func::Errno
            | Func::SyscallName
            | Func::Stack
            | Func::Rand => return None,
        };
        Some(Static::Int(value))
    }
}

/// The text of an interpolated string that interpolates nothing.
fn literal(parts: &[StrPart]) -> Option<String> {
    parts
        .iter()
        .map(|part| match part {
            StrPart::Text(text) => Some(text.as_str()),
            StrPart::Value(..) => None,
        })
        .collect()
}

fn unary(op: UnaryOp, a: &Static) -> Option<Static> {
    match (op, a) {
        (UnaryOp::Neg, Static::Float(value)) => Some(Static::Float(-value)),
        (UnaryOp::Neg, a) => Some(Static::Int(a.int()?.wrapping_neg())),
        (UnaryOp::BitNot, a) => Some(Static::Int(!a.int()?)),
        (UnaryOp::Not, a) => Some(Static::Int((!a.is_true()).into())),
    }
}

fn binary_static(op: BinaryOp, a: &Static, b: &Static) -> Option<Static> {
    let truth = |value: bool| Some(Static::Int(value.into()));
    match (op, a, b) {
        (BinaryOp::EqStr, Static::Text(a), Static::Text(b)) => truth(a == b),
        (BinaryOp::NeStr, Static::Text(a), Static::Text(b)) => truth(a != b),
        (BinaryOp::Eq128, a, b) => truth(a.wide()? == b.wide()?),
        (BinaryOp::Ne128, a, b) => truth(a.wide()? != b.wide()?),
        (op, Static::Float(a), Static::Float(b)) => match op {
            BinaryOp::AddF => Some(Static::Float(a + b)),
            BinaryOp::SubF => Some(Static::Float(a - b)),
            BinaryOp::MulF => Some(Static::Float(a * b)),
            BinaryOp::DivF => Some(Static::Float(a / b)),
            BinaryOp::EqF => truth(a == b),
            BinaryOp::NeF => truth(a != b),
            BinaryOp::LtF => truth(a < b),
            BinaryOp::LeF => truth(a <= b),
            _ => None,
        },
        (op, a, b) => binary(op, a.int()?, b.int()?).map(Static::Int),
    }
}

/// Returns the value of an integer operation; `None` for a division by zero and for operations that are not on
/// integers.
pub(super) fn binary(op: BinaryOp, a: u64, b: u64) -> Option<u64> {
    let (sa, sb) = (a as i64, b as i64);
    let count = u32::try_from(b).unwrap_or(u32::MAX);
    Some(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::DivU => a.checked_div(b)?,
        BinaryOp::RemU => a.checked_rem(b)?,
        BinaryOp::DivS if b == 0 => return None,
        BinaryOp::DivS => sa.wrapping_div(sb) as u64,
        BinaryOp::RemS if b == 0 => return None,
        BinaryOp::RemS => sa.wrapping_rem(sb) as u64,
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::Shl => a.checked_shl(count).unwrap_or(0),
        BinaryOp::ShrU => a.checked_shr(count).unwrap_or(0),
        BinaryOp::ShrS => (sa >> count.min(63)) as u64,
        BinaryOp::Eq => (a == b).into(),
        BinaryOp::Ne => (a != b).into(),
        BinaryOp::LtU => (a < b).into(),
        BinaryOp::LeU => (a <= b).into(),
        BinaryOp::LtS => (sa < sb).into(),
        BinaryOp::LeS => (sa <= sb).into(),
        BinaryOp::LtUS => (sb >= 0 && a < b).into(),
        BinaryOp::LeUS => (sb >= 0 && a <= b).into(),
        BinaryOp::LtSU => (sa < 0 || a < b).into(),
        BinaryOp::LeSU => (sa < 0 || a <= b).into(),
        BinaryOp::EqMixed => (sa >= 0 && a == b).into(),
        BinaryOp::AddF
        | BinaryOp::SubF
        | BinaryOp::MulF
        | BinaryOp::DivF
        | BinaryOp::EqF
        | BinaryOp::NeF
        | BinaryOp::LtF
        | BinaryOp::LeF
        | BinaryOp::EqStr
        | BinaryOp::NeStr
        | BinaryOp::Eq128
        | BinaryOp::Ne128 => return None,
    })
}

/// The comparison that says `a < b` exactly for operands of these types.
pub(super) fn less_op(a: Type, b: Type) -> BinaryOp {
    match (a.is_signed(), b.is_signed()) {
        (false, false) => BinaryOp::LtU,
        (true, true) => BinaryOp::LtS,
        (false, true) => BinaryOp::LtUS,
        (true, false) => BinaryOp::LtSU,
    }
}

/// The comparison that says `a == b` exactly for integer operands of these types.
pub(super) fn equal_op(a: Type, b: Type) -> BinaryOp {
    match (a, b) {
        (Type::Str, _) => BinaryOp::EqStr,
        (Type::U128, _) | (_, Type::U128) => BinaryOp::Eq128,
        _ if a.is_float() || b.is_float() => BinaryOp::EqF,
        _ if a.is_signed() == b.is_signed() => BinaryOp::Eq,
        _ => BinaryOp::EqMixed,
    }
}

fn less(a: u64, a_ty: Type, b: u64, b_ty: Type) -> bool {
    binary(less_op(a_ty, b_ty), a, b) == Some(1)
}

fn equal(a: &Static, a_ty: Type, b: &Static, b_ty: Type) -> bool {
    binary_static(equal_op(a_ty, b_ty), a, b).is_some_and(|v| v.is_true())
}

/// The type with the same width that is not signed.
pub(super) fn unsigned(ty: Type) -> Type {
    match ty {
        Type::Int { bits, .. } => Type::Int { bits, signed: false },
        other => other,
    }
}

/// Cuts an integer to the width of `ty` and extends it as `ty` says.
pub(super) fn truncate(value: u64, ty: Type) -> u64 {
    match ty {
        Type::Bool => u64::from(value != 0),
        Type::Int { bits, signed } if bits < 64 => {
            let up = 64 - u32::from(bits);
            if signed { (((value << up) as i64) >> up) as u64 } else { (value << up) >> up }
        }
        _ => value,
    }
}

fn round(value: f64, ty: Type) -> f64 {
    if ty == Type::F32 { f64::from(value as f32) } else { value }
}

fn convert(value: &Static, from: Type, to: Type) -> Option<Static> {
    Some(match (value, to) {
        (Static::Float(v), to) if to.is_float() => Static::Float(round(*v, to)),
        (Static::Float(v), to) if to.is_signed() => Static::Int(truncate(*v as i64 as u64, to)),
        (Static::Float(v), to) if to.is_integer() => Static::Int(truncate(*v as u64, to)),
        (Static::Int(v), to) if to.is_float() => {
            Static::Float(round(if from.is_signed() { *v as i64 as f64 } else { *v as f64 }, to))
        }
        (Static::Int(v), Type::U128) if from.is_signed() => Static::Wide(i128::from(*v as i64) as u128),
        (value, Type::U128) => Static::Wide(value.wide()?),
        (value, to) if to.is_integer() => Static::Int(truncate(value.int()?, to)),
        (Static::Text(text), to) if to.is_text() => Static::Text(text.clone()),
        _ => return None,
    })
}

/// Reverses the low `bytes` bytes.
pub(super) fn bswap(value: u64, bytes: u64) -> u64 {
    match bytes {
        1 => value & 0xff,
        2 => u64::from((value as u16).swap_bytes()),
        4 => u64::from((value as u32).swap_bytes()),
        _ => value.swap_bytes(),
    }
}

/// Bits `from..to` of `value`.
pub(super) fn bits(value: u64, from: u64, to: u64) -> u64 {
    if from >= 64 || to <= from {
        return 0;
    }
    (value >> from) & (u64::MAX >> (64 - (to - from).min(64)))
}

/// The low `n` bits of `value`, sign-extended.
pub(super) fn sext(value: u64, n: u64) -> u64 {
    match n {
        0 => 0,
        1..64 => ((value << (64 - n)) as i64 >> (64 - n)) as u64,
        _ => value,
    }
}
