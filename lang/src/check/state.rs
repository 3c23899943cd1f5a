//! Globals: scalars, maps and aggregations, and what the script says about each of them.

use std::collections::HashMap;

use crate::ast;
use crate::diag::Diagnostic;
use crate::ir::{self, AggFn, ExprKind, StateId, StateKind};
use crate::span::Span;
use crate::suggest::nearest;
use crate::types::Type;

use super::Checker;

/// Keys of a map that declares no capacity.
pub(super) const DEFAULT_CAPACITY: u64 = 1 << 20;

#[derive(Default)]
pub(super) struct States {
    list: Vec<Info>,
    by_name: HashMap<String, StateId>,
    by_span: HashMap<Span, StateId>,
}

#[derive(Clone)]
pub(super) struct Info {
    pub(super) name: String,
    unnamed: bool,
    span: Span,
    pub(super) kind: Option<StateKind>,
    kind_span: Span,
    declared: bool,
    pub(super) keys: Option<Keys>,
    capacity: u64,
}

#[derive(Clone)]
pub(super) struct Keys {
    pub(super) types: Vec<Type>,
    names: Vec<String>,
    span: Span,
    /// They come from where the global is filled, not only read: the better headings.
    defined: bool,
}

impl States {
    /// The globals of a program that is gone on from. Those without a name are nobody else's.
    pub(super) fn of(states: &[ir::State]) -> States {
        let mut list = Vec::new();
        let mut by_name = HashMap::new();
        for (state, id) in states.iter().zip(0..) {
            if !state.unnamed {
                by_name.insert(state.name.clone(), StateId(id));
            }
            let (types, names) = (state.keys.clone(), state.key_names.clone());
            list.push(Info {
                name: state.name.clone(),
                unnamed: state.unnamed,
                span: state.span,
                kind: Some(state.kind.clone()),
                kind_span: state.span,
                declared: true,
                keys: Some(Keys { types, names, span: state.span, defined: true }),
                capacity: state.capacity,
            });
        }
        States { list, by_name, by_span: HashMap::new() }
    }

    pub(super) fn get(&self, id: StateId) -> &Info {
        &self.list[id.0 as usize]
    }

    fn get_mut(&mut self, id: StateId) -> &mut Info {
        &mut self.list[id.0 as usize]
    }

    pub(super) fn named(&mut self, name: &str, span: Span) -> StateId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = self.add(name.to_string(), false, span);
        self.by_name.insert(name.to_string(), id);
        id
    }

    pub(super) fn unnamed(&mut self, name: String, span: Span) -> StateId {
        if let Some(id) = self.by_span.get(&span) {
            return *id;
        }
        let id = self.add(name, true, span);
        self.by_span.insert(span, id);
        id
    }

    fn add(&mut self, name: String, unnamed: bool, span: Span) -> StateId {
        self.list.push(Info {
            name,
            unnamed,
            span,
            kind: None,
            kind_span: span,
            declared: false,
            keys: None,
            capacity: DEFAULT_CAPACITY,
        });
        StateId((self.list.len() - 1) as u32)
    }

    fn known_names(&self) -> Vec<String> {
        let known = self.list.iter().filter(|s| !s.unnamed && s.kind.is_some());
        known.map(|state| state.name.clone()).collect()
    }

    pub(super) fn finish(self) -> Vec<ir::State> {
        let state = |info: Info| {
            let keys =
                info.keys.unwrap_or(Keys { types: Vec::new(), names: Vec::new(), span: info.span, defined: false });
            ir::State {
                name: info.name,
                unnamed: info.unnamed,
                kind: info.kind.unwrap_or(StateKind::Value { ty: Type::U64, initial: 0 }),
                keys: keys.types,
                key_names: keys.names,
                capacity: info.capacity,
                span: info.span,
            }
        };
        self.list.into_iter().map(state).collect()
    }
}

/// The type with which a value of type `ty` is kept: computed integers have 64 bits.
pub(super) fn kept(ty: Type) -> Type {
    match ty {
        Type::Int { signed, .. } => Type::Int { bits: 64, signed },
        Type::F32 => Type::F64,
        other => other,
    }
}

/// Values of these two types can stand in one global or one key.
fn compatible(a: Type, b: Type) -> bool {
    (a.is_integer() && b.is_integer()) || (a.is_float() && (b.is_float() || b.is_integer())) || a == b
}

pub(super) fn agg_name(function: AggFn) -> &'static str {
    match function {
        AggFn::Count => "count",
        AggFn::Sum(_) => "sum",
        AggFn::Avg(_) => "avg",
        AggFn::Min(_) => "min",
        AggFn::Max(_) => "max",
        AggFn::Last(_) => "last",
        AggFn::Stats(_) => "stats",
        AggFn::Hist | AggFn::LinearHist { .. } => "hist",
    }
}

/// Merges two uses of one aggregation; nothing if they differ in kind.
fn merged(a: AggFn, b: AggFn) -> Option<AggFn> {
    Some(match (a, b) {
        (AggFn::Sum(x), AggFn::Sum(y)) => AggFn::Sum(x | y),
        (AggFn::Avg(x), AggFn::Avg(y)) => AggFn::Avg(x | y),
        (AggFn::Min(x), AggFn::Min(y)) => AggFn::Min(x | y),
        (AggFn::Max(x), AggFn::Max(y)) => AggFn::Max(x | y),
        (AggFn::Stats(x), AggFn::Stats(y)) => AggFn::Stats(x | y),
        (AggFn::Last(x), AggFn::Last(y)) if compatible(x, y) => AggFn::Last(x),
        (x, y) if x == y => x,
        _ => return None,
    })
}

impl Checker<'_> {
    pub(super) fn declare(
        &mut self,
        item: &ast::StateItem,
        ty: Option<Type>,
        initial: Option<ir::Expr>,
        capacity: u64,
    ) {
        let id = self.states.named(&item.name.text, item.name.span);
        let (ty, bits) = match (ty, initial.as_ref()) {
            (Some(ty), _) => (Some(ty), initial),
            (None, Some(value)) => (Some(kept(value.ty)), initial),
            (None, None) => (None, None),
        };
        let bits = match bits.map(|value| (value.kind, value.span)) {
            Some((ExprKind::Int(v), _)) => v,
            Some((ExprKind::Float(v), _)) => v.to_bits(),
            Some((_, span)) => {
                return self.error(
                    Diagnostic::error("E0406", "a global starts with a number or a truth value")
                        .primary(span, "not a number")
                        .help("texts start empty; assign it in a probe: `on begin @name = \"…\"`"),
                );
            }
            None => 0,
        };
        if item.name.text == "@" {
            return self.error(
                Diagnostic::error("E0114", "a name is missing after `@`")
                    .primary(item.name.span, "expected a name after this")
                    .help("let @seen: bool max 1M"),
            );
        }
        let info = self.states.get_mut(id);
        if info.declared && info.span != item.name.span {
            let first = info.span;
            return self.duplicate("global", &item.name, first);
        }
        info.declared = true;
        info.span = item.name.span;
        info.capacity = capacity;
        if let Some(ty) = ty {
            info.kind = Some(StateKind::Value { ty, initial: bits });
            info.kind_span = item.name.span;
        }
    }

    /// `thread.NAME` and `call.NAME` as what they are: maps with the number of the thread or of the call as key.
    pub(super) fn own_state(
        &self,
        root: &ast::Text,
        access: &[ast::Access],
        span: Span,
    ) -> Option<(ast::Text, ast::Expr)> {
        let [ast::Access::Field(field)] = access else { return None };
        let owner = root.text.as_str();
        let kind = match owner {
            "thread" => {
                let tid = ast::Text { text: "tid".to_string(), span: root.span };
                ast::ExprKind::Path { root: tid, access: Vec::new() }
            }
            "call" => ast::ExprKind::Activation,
            _ => return None,
        };
        if self.find_local(owner).is_some() || self.constants.contains_key(owner) {
            return None;
        }
        let name = ast::Text { text: format!("{owner}.{}", field.text), span };
        Some((name, ast::Expr { kind, span: root.span, depth: 1 }))
    }

    /// Lowers keys and checks them against the other uses of the global.
    pub(super) fn keys(
        &mut self,
        id: StateId,
        keys: &[ast::Expr],
        whole: Span,
        defined: bool,
    ) -> Option<Vec<ir::Expr>> {
        let mut list = Vec::new();
        for key in keys {
            let value = self.shown_key(key)?;
            let fits = value.ty.is_integer() || matches!(value.ty, Type::Str | Type::Stack);
            if !fits {
                return self.fail(
                    Diagnostic::error("E0406", format!("{} cannot be a key", describe(value.ty)))
                        .primary(key.span, "this key")
                        .help("keys are integers, texts and call stacks"),
                );
            }
            list.push(value);
        }
        let names = keys.iter().map(|key| self.source_text(key.span)).collect();
        let types = list.iter().map(|key| kept(key.ty)).collect();
        let written = Keys { types, names, span: whole, defined };
        self.check_keys(id, &list, written)?;
        Some(list)
    }

    fn check_keys(&mut self, id: StateId, list: &[ir::Expr], written: Keys) -> Option<()> {
        let whole = written.span;
        let types = written.types.clone();
        let info = self.states.get_mut(id);
        let name = info.name.clone();
        let better = |known: &Keys| written.defined && !known.defined && known.types.len() == types.len();
        let known = match &info.keys {
            Some(known) if !better(known) => known,
            _ => {
                info.keys = Some(written);
                return Some(());
            }
        };
        let known = known.clone();
        if known.types.len() != types.len() {
            let title =
                format!("`{name}` has {} here and {} elsewhere", keys_text(types.len()), keys_text(known.types.len()));
            return self.fail(
                Diagnostic::error("E0412", title)
                    .primary(whole, keys_text(types.len()))
                    .secondary(known.span, keys_text(known.types.len()))
                    .help("a global has the same number of keys everywhere; use another name for another map"),
            );
        }
        let pairs = list.iter().zip(&known.types);
        let wrong = pairs.clone().find(|(key, ty)| !compatible(**ty, key.ty));
        if let Some((key, ty)) = wrong {
            let title = format!("a key of `{name}` is {} here and {} elsewhere", describe(key.ty), describe(*ty));
            return self.fail(
                Diagnostic::error("E0412", title)
                    .primary(key.span, format!("{} here", describe(key.ty)))
                    .secondary(known.span, format!("{} here", describe(*ty))),
            );
        }
        Some(())
    }

    /// Finds the global of an assignment and settles its type.
    pub(super) fn assigned(&mut self, name: &ast::Text, value: &ir::Expr, tentative: bool) -> Option<(StateId, Type)> {
        let id = self.states.named(&name.text, name.span);
        let guess = self.guess || self.reports;
        let info = self.states.get_mut(id);
        let ty = match &info.kind {
            None if tentative && !guess => return Some((id, kept(value.ty))),
            None => {
                let ty = kept(value.ty);
                info.kind = Some(StateKind::Value { ty, initial: 0 });
                info.kind_span = value.span;
                ty
            }
            Some(StateKind::Value { ty, .. }) => *ty,
            Some(StateKind::Aggregate(function)) => {
                let (function, first) = (agg_name(*function), info.kind_span);
                let title = format!("`{}` is a `{function}` and cannot be assigned", name.text);
                return self.fail(
                    Diagnostic::error("E0413", title)
                        .primary(name.span, "assigned here")
                        .secondary(first, format!("a `{function}` since here"))
                        .help(format!("to start it again: `reset {}`", name.text)),
                );
            }
        };
        if !compatible(ty, value.ty) {
            let first = self.states.get(id).kind_span;
            let title = format!("`{}` holds {}, not {}", name.text, describe(ty), describe(value.ty));
            return self.fail(
                Diagnostic::error("E0406", title)
                    .primary(value.span, format!("this is {}", describe(value.ty)))
                    .secondary(first, format!("{} since here", describe(ty))),
            );
        }
        Some((id, ty))
    }

    /// Finds the global that an aggregation goes into and settles what it is.
    pub(super) fn aggregated(&mut self, id: StateId, function: AggFn, at: Span) -> Option<()> {
        let info = self.states.get_mut(id);
        let name = info.name.clone();
        match &info.kind {
            None => {
                info.kind = Some(StateKind::Aggregate(function));
                info.kind_span = at;
            }
            Some(StateKind::Aggregate(known)) => match merged(*known, function) {
                Some(both) => info.kind = Some(StateKind::Aggregate(both)),
                None => {
                    let (known, first) = (*known, info.kind_span);
                    return self.fail(different(&name, function, at, known, first));
                }
            },
            Some(StateKind::Value { .. }) => {
                let first = info.kind_span;
                let title = format!("`{name}` is a plain value and cannot take a `{}`", agg_name(function));
                return self.fail(
                    Diagnostic::error("E0413", title)
                        .primary(at, "aggregated here")
                        .secondary(first, "a plain value since here")
                        .help("use another name for one of them"),
                );
            }
        }
        Some(())
    }

    /// Finds a global that is read or emptied.
    pub(super) fn known_state(&mut self, name: &ast::Text) -> Option<StateId> {
        let id = self.states.named(&name.text, name.span);
        let known = self.states.get(id).kind.is_some();
        if known || !self.reports {
            return Some(id);
        }
        if self.probe.damaged || !self.unknown.insert(name.text.clone()) {
            return None;
        }
        let terse = self.terse();
        let near = match terse {
            true => None,
            false => nearest(&name.text, self.states.known_names()),
        };
        let out = Diagnostic::error("E0414", format!("`{}` is never assigned", name.text))
            .primary(name.span, "nothing is ever in it");
        self.fail(match near {
            Some(near) => out.help(format!("did you mean `{near}`?")).fix(name.span, near),
            None if !name.text.starts_with('@') => out.help(format!("assign it in some probe: `{} = 1`", name.text)),
            None => out.help(format!("assign it in some probe: `{0} = 1`, `count into {0}`", name.text)),
        })
    }

    /// Lowers a read of a global.
    pub(super) fn state_value(&mut self, name: &ast::Text, keys: Option<&[ast::Expr]>, span: Span) -> Option<ir::Expr> {
        let id = self.known_state(name)?;
        let key_list = match keys {
            Some(keys) => self.keys(id, keys, span, false)?,
            None => Vec::new(),
        };
        let info = self.states.get(id).clone();
        let ty = match &info.kind {
            None => {
                self.tentative = true;
                Type::U64
            }
            Some(StateKind::Value { ty, .. }) => *ty,
            Some(StateKind::Aggregate(function)) => self.aggregate_type(&info, *function, span)?,
        };
        let wanted = info.keys.as_ref().map_or(0, |keys| keys.types.len());
        if keys.is_none() && wanted > 0 {
            let at = info.keys.map_or(span, |keys| keys.span);
            return self.fail(
                Diagnostic::error("E0412", format!("`{}` is a map and needs a key", name.text))
                    .primary(span, "without a key")
                    .secondary(at, "has a key here")
                    .help(format!("to print all of it: `print {}`", name.text)),
            );
        }
        Some(ir::Expr { kind: ExprKind::State(id, key_list), ty, span })
    }

    fn aggregate_type(&mut self, info: &Info, function: AggFn, span: Span) -> Option<Type> {
        let integer = |signed| Type::Int { bits: 64, signed };
        Some(match function {
            AggFn::Count => Type::U64,
            AggFn::Sum(signed) | AggFn::Avg(signed) | AggFn::Min(signed) | AggFn::Max(signed) => integer(signed),
            AggFn::Last(ty) => ty,
            AggFn::Stats(_) | AggFn::Hist | AggFn::LinearHist { .. } => {
                let what = agg_name(function);
                return self.fail(
                    Diagnostic::error("E0413", format!("a `{what}` is no single value"))
                        .primary(span, format!("`{}` is a `{what}`", info.name))
                        .secondary(info.kind_span, "since here")
                        .help(format!("to print it: `print {}`", info.name)),
                );
            }
        })
    }

    /// True if the global is printed as a table and not as one value.
    pub(super) fn prints_as_table(&self, id: StateId) -> bool {
        let info = self.states.get(id);
        let keyed = info.keys.as_ref().is_some_and(|keys| !keys.types.is_empty());
        let wide =
            matches!(info.kind, Some(StateKind::Aggregate(AggFn::Stats(_) | AggFn::Hist | AggFn::LinearHist { .. })));
        keyed || wide
    }
}

fn different(name: &str, function: AggFn, at: Span, known: AggFn, first: Span) -> Diagnostic {
    let (new, old) = (agg_name(function), agg_name(known));
    let title = match new == old {
        true => format!("`{name}` has different buckets here and elsewhere"),
        false => format!("`{name}` is a `{old}`, not a `{new}`"),
    };
    Diagnostic::error("E0413", title)
        .primary(at, format!("a `{new}` here"))
        .secondary(first, format!("a `{old}` since here"))
        .help("use another name for one of them")
}

fn keys_text(n: usize) -> String {
    match n {
        0 => "no key".to_string(),
        1 => "1 key".to_string(),
        n => format!("{n} keys"),
    }
}

/// What a script can do with a call stack.
pub(super) const OF_STACKS: &str = "stacks are printed, kept, and counted by: `on call free count by stack`";

/// Names a type in a sentence.
pub(super) fn describe(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "a truth value",
        Type::Int { .. } => "an integer",
        Type::U128 => "a 128-bit value",
        Type::F32 | Type::F64 => "a float",
        Type::Word => "a 64-bit value",
        Type::CodeAddr => "an address",
        Type::Str => "a text",
        Type::Bytes => "bytes",
        Type::Stack => "a call stack",
    }
}
