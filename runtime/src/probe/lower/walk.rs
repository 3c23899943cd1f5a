//! Visits the statements and expressions of a body.

use spile_lang::ir::{Expr, ExprKind, Filter, GotoTarget, LValue, PrintValue, Probe, StateId, Stmt, StmtKind, StrPart};

/// Calls `f` for each statement, those of inner blocks included.
pub(in super::super) fn statements<'p>(body: &'p [Stmt], f: &mut dyn FnMut(&'p Stmt)) {
    for statement in body {
        f(statement);
        match &statement.kind {
            StmtKind::If { then, otherwise, .. } => {
                statements(then, f);
                statements(otherwise, f);
            }
            StmtKind::For { body, .. } => statements(body, f),
            StmtKind::Transient { patch, .. } => f(patch),
            _ => {}
        }
    }
}

/// Calls `f` for each expression of `statement` and for their parts, but not for those of inner statements.
pub(super) fn expressions<'p>(statement: &'p Stmt, f: &mut dyn FnMut(&'p Expr)) {
    let mut each = |e: &'p Expr| parts(e, f);
    let target = |target: &'p LValue| match target {
        LValue::Memory { addr, .. } => Some(addr),
        LValue::Register(_) | LValue::Insn | LValue::Destination | LValue::Accessed => None,
    };
    match &statement.kind {
        StmtKind::Write { target: to, value } | StmtKind::Bits { target: to, mask: value, .. } => {
            target(to).into_iter().chain([value]).for_each(each);
        }
        StmtKind::Stick { target: to, mask, value, .. } => {
            target(to).into_iter().chain(mask).chain([value]).for_each(each);
        }
        StmtKind::Skip(e)
        | StmtKind::FinishSyscall(e)
        | StmtKind::Warn(e)
        | StmtKind::Fail(e)
        | StmtKind::Exit(e)
        | StmtKind::Goto(GotoTarget::Expr(e))
        | StmtKind::SetLocal { value: e, .. }
        | StmtKind::If { cond: e, .. } => each(e),
        StmtKind::FinishAccess(value) => value.iter().for_each(each),
        StmtKind::Return { result, .. } => result.iter().for_each(|(_, e)| each(e)),
        StmtKind::Print(args) => {
            for arg in args {
                if let PrintValue::Expr(e) = &arg.value {
                    each(e);
                }
            }
        }
        StmtKind::Dump { addr, len } => [addr, len].into_iter().for_each(each),
        StmtKind::Aggregate { value, keys, .. } => keys.iter().chain(value).for_each(each),
        StmtKind::SetState { keys, value, .. } => keys.iter().chain([value]).for_each(each),
        StmtKind::Assert { cond, message, .. } => [cond].into_iter().chain(message).for_each(each),
        StmtKind::Delete { keys, .. } => keys.iter().for_each(each),
        StmtKind::Goto(GotoTarget::Loc(_))
        | StmtKind::Raise(_)
        | StmtKind::Trace
        | StmtKind::TraceFor(_)
        | StmtKind::Transient { .. }
        | StmtKind::For { .. }
        | StmtKind::Next
        | StmtKind::Enable(_)
        | StmtKind::Disable(_)
        | StmtKind::Reset(_) => {}
    }
}

/// The globals without keys whose values a body prints whenever it is executed, alone or within a text.
pub(in super::super) fn printed_scalars(body: &[Stmt]) -> Vec<StateId> {
    let printed = body.iter().flat_map(|statement| match &statement.kind {
        StmtKind::Print(args) => args.as_slice(),
        _ => &[],
    });
    let shown = printed.flat_map(|arg| match &arg.value {
        PrintValue::Expr(Expr { kind: ExprKind::Interp(pieces), .. }) => pieces.iter().filter_map(piece).collect(),
        PrintValue::Expr(e) => vec![e],
        PrintValue::State { .. } => Vec::new(),
    });
    let scalar = |e: &Expr| match &e.kind {
        ExprKind::State(state, keys) if keys.is_empty() => Some(*state),
        _ => None,
    };
    shown.filter_map(scalar).collect()
}

fn piece(piece: &StrPart) -> Option<&Expr> {
    match piece {
        StrPart::Value(e, _) => Some(e),
        StrPart::Text(_) => None,
    }
}

/// Calls `f` for each expression of a probe, conditions and body, and for their parts.
pub(in super::super) fn probe_expressions<'p>(probe: &'p Probe, f: &mut dyn FnMut(&'p Expr)) {
    for filter in &probe.filters {
        if let Filter::When(condition) = filter {
            parts(condition, f);
        }
    }
    statements(&probe.body, &mut |statement| expressions(statement, f));
}

/// Calls `f` for `e` and all its parts.
pub(super) fn parts<'p>(e: &'p Expr, f: &mut dyn FnMut(&'p Expr)) {
    f(e);
    match &e.kind {
        ExprKind::Unary(_, a)
        | ExprKind::Cast(a)
        | ExprKind::EnumName(a, _)
        | ExprKind::Load { addr: a, .. }
        | ExprKind::MatchesGlob(a, _)
        | ExprKind::MatchesRegex(a, _) => parts(a, f),
        ExprKind::Binary(_, a, b) | ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Coalesce(a, b) => {
            parts(a, f);
            parts(b, f);
        }
        ExprKind::If(a, b, c) | ExprKind::WithinRange(a, b, c) => [a, b, c].into_iter().for_each(|e| parts(e, f)),
        ExprKind::WithinSet(a, set) => {
            parts(a, f);
            set.iter().for_each(|e| parts(e, f));
        }
        ExprKind::Call(_, args) | ExprKind::State(_, args) => args.iter().for_each(|e| parts(e, f)),
        ExprKind::Interp(pieces) => {
            for piece in pieces {
                if let StrPart::Value(e, _) = piece {
                    parts(e, f);
                }
            }
        }
        ExprKind::Int(_)
        | ExprKind::Int128(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Register(_)
        | ExprKind::Local(_)
        | ExprKind::Builtin(_)
        | ExprKind::AddrOf(_)
        | ExprKind::Variable(_) => {}
    }
}
