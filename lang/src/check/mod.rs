//! From syntax tree to IR: names, types, availability, and the lowering itself, which are one walk.
//!
//! Types of globals come from their first assignment, which may stand below their first use. So the walk is done several times: the
//! first ones only collect what globals are ([`state::States`]) and their findings are thrown away; the last one reports.
//!
//! A function that returns `None` has reported why, or has met a piece that the parser has reported.

mod access;
mod call;
mod data;
mod expr;
mod format;
mod lasting;
mod loops;
mod names;
mod place;
mod raised;
mod rate;
mod state;
mod stick;
mod stmt;
mod syscall;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::Options;
use crate::ast::{self, Item};
use crate::debug::{DebugInfo, TypeId};
use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::{self, ExprKind, LocalId, ProbeId};
use crate::number;
use crate::source::Sources;
use crate::span::Span;
use crate::suggest::nearest;
use crate::target::{SystemCall, Target};
use crate::types::Type;
use crate::unsupported;

use state::States;

/// Walks that only collect types of globals; in the last of them a guess is better than nothing.
const COLLECTING_WALKS: usize = 3;

/// No expression of the IR is higher, and no walk over it deeper.
const MAX_DEPTH: usize = 256;

/// One probe has at most so many nodes after functions have been inlined.
const MAX_NODES: usize = 100_000;

/// What a program goes on from: probes and globals that are there already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Base<'a> {
    pub(crate) program: Option<&'a ir::Program>,
    /// The first source whose probes are new. Of those before, constants, parameters and functions are used.
    pub(crate) first: u32,
}

/// Checks all items and lowers them. The program means something only if nothing has been reported.
pub(crate) fn check(
    sources: &Sources,
    target: &dyn Target,
    debug: &dyn DebugInfo,
    options: &Options,
    items: &[Item],
    base: Base<'_>,
    diagnostics: &mut Diagnostics,
) -> ir::Program {
    let mut states = base.program.map(|program| States::of(&program.states)).unwrap_or_default();
    for walk in 0..COLLECTING_WALKS {
        let mut checker = Checker::new(sources, target, debug, options, base, states);
        checker.guess = walk + 1 == COLLECTING_WALKS;
        checker.items(items);
        states = checker.states;
    }
    let mut checker = Checker::new(sources, target, debug, options, base, states);
    checker.reports = true;
    let new = checker.items(items);
    checker.unused_functions();
    let constants = checker.named_integers();
    for diagnostic in checker.diagnostics {
        diagnostics.push(diagnostic);
    }
    let old = base.program.map(|program| program.probes.clone()).unwrap_or_default();
    let probes = old.into_iter().chain(new.into_iter().map(Arc::new)).collect();
    ir::Program { probes, states: checker.states.finish(), constants }
}

struct Checker<'a> {
    sources: &'a Sources,
    target: &'a dyn Target,
    debug: &'a dyn DebugInfo,
    options: &'a Options,
    base: Base<'a>,
    diagnostics: Vec<Diagnostic>,
    /// The last walk, whose findings count.
    reports: bool,
    /// Globals whose type cannot be found get one from any assignment.
    guess: bool,
    /// Set when a global of unknown type has been read.
    tentative: bool,
    states: States,
    constants: HashMap<String, Constant>,
    functions: HashMap<String, Function<'a>>,
    labels: HashMap<String, (ProbeId, Span)>,
    types: data::ScriptTypes,
    /// Unknown names that have been reported: one cause is reported once.
    unknown: HashSet<String>,
    probe: ProbeCx,
    /// Functions that are being inlined, with their arguments.
    calls: Vec<Call>,
    depth: usize,
    nodes: usize,
    too_large: bool,
}

struct Constant {
    value: ir::Expr,
    span: Span,
    is_param: bool,
}

struct Function<'a> {
    item: &'a ast::FnItem,
    used: bool,
}

struct Call {
    name: String,
    args: HashMap<String, ir::Expr>,
    span: Span,
}

/// The probe that is being checked.
#[derive(Default)]
struct ProbeCx {
    /// The event's word; empty outside probes.
    event: String,
    event_span: Span,
    after: bool,
    /// The system calls that it waits for, if they are known by number.
    calls: Vec<SystemCall>,
    /// The event is known and not supported, or not known: what it would add is not reported.
    hopeless: bool,
    damaged: bool,
    locals: Vec<ir::Local>,
    scopes: Vec<Vec<(String, LocalId, Span)>>,
    /// The probe so far, once its places are known.
    places: Option<ir::Probe>,
    /// Types of variables that hold data of the program.
    data: HashMap<LocalId, TypeId>,
}

impl<'a> Checker<'a> {
    fn new(
        sources: &'a Sources,
        target: &'a dyn Target,
        debug: &'a dyn DebugInfo,
        options: &'a Options,
        base: Base<'a>,
        states: States,
    ) -> Checker<'a> {
        let probes = base.program.map(|program| &program.probes[..]).unwrap_or_default();
        let labelled = probes.iter().zip(0..).filter_map(|(probe, id)| Some((probe.label.clone()?, id, probe.head)));
        let labels = labelled.map(|(label, id, head)| (label, (ProbeId(id), head))).collect();
        Checker {
            sources,
            target,
            debug,
            options,
            base,
            diagnostics: Vec::new(),
            reports: false,
            guess: false,
            tentative: false,
            states,
            constants: HashMap::new(),
            functions: HashMap::new(),
            labels,
            types: data::ScriptTypes::default(),
            unknown: HashSet::new(),
            probe: ProbeCx::default(),
            calls: Vec::new(),
            depth: 0,
            nodes: 0,
            too_large: false,
        }
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        if self.reports {
            self.diagnostics.push(diagnostic);
        }
    }

    /// True if nothing more needs an explanation: a finding is thrown away, or beyond those that are shown.
    fn terse(&self) -> bool {
        !self.reports || self.diagnostics.len() > 2 * crate::diag::MAX_ERRORS
    }

    /// Reports and gives up: for the end of a function that returns an option.
    fn fail<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.error(diagnostic);
        None
    }

    fn unsupported(&mut self, what: &str, span: Span) {
        self.error(unsupported(what, span));
    }

    fn source_text(&self, span: Span) -> String {
        let text = self.sources.slice(span);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    // ---------- items ----------

    fn items(&mut self, items: &'a [Item]) -> Vec<ir::Probe> {
        self.collect_names(items);
        self.check_overrides(items);
        self.declare_structs(items);
        for item in items {
            match item {
                Item::Param(param) => self.param(param),
                Item::Const { name, value } => self.constant_item(name, value),
                Item::State(item) if item.name.span.source >= self.base.first => self.declare_state(item),
                Item::Use(_) | Item::State(_) | Item::Fn(_) | Item::Struct(_) | Item::Probe(_) => {}
            }
        }
        let probes: Vec<&ast::Probe> = items
            .iter()
            .filter_map(|item| match item {
                Item::Probe(probe) if probe.span.source >= self.base.first => Some(probe),
                _ => None,
            })
            .collect();
        let names = self.probe_names(&probes);
        let pairs = probes.iter().zip(names);
        pairs.map(|(probe, name)| self.probe(probe, name)).collect()
    }

    fn collect_names(&mut self, items: &'a [Item]) {
        let mut next = self.base.program.map_or(0, |program| program.probes.len() as u32);
        for item in items {
            match item {
                Item::Fn(function) => self.declare_function(function),
                Item::Probe(probe) if probe.span.source >= self.base.first => {
                    if let Some(label) = &probe.label {
                        self.declare_label(label, ProbeId(next));
                    }
                    next += 1;
                }
                _ => {}
            }
        }
    }

    fn declare_function(&mut self, item: &'a ast::FnItem) {
        let name = &item.name;
        self.check_free_name(name, "function");
        if crate::builtins::function(&name.text).is_some() {
            self.error(
                Diagnostic::error("E0411", format!("`{}` is a builtin function", name.text))
                    .primary(name.span, "choose another name")
                    .help(format!("fn my_{}(…) = …", name.text)),
            );
        }
        if let Some(other) = self.functions.get(&name.text) {
            let first = other.item.name.span;
            return self.duplicate("function", name, first);
        }
        let mut seen: Vec<&ast::Text> = Vec::new();
        for param in &item.params {
            self.check_free_name(param, "parameter");
            match seen.iter().find(|other| other.text == param.text) {
                Some(other) => self.duplicate("parameter", param, other.span),
                None => seen.push(param),
            }
        }
        let used = false;
        self.functions.insert(name.text.clone(), Function { item, used });
    }

    fn declare_label(&mut self, label: &ast::Text, id: ProbeId) {
        if let Some((_, first)) = self.labels.get(&label.text) {
            let first = *first;
            return self.duplicate("label", label, first);
        }
        self.labels.insert(label.text.clone(), (id, label.span));
    }

    fn duplicate(&mut self, what: &str, name: &ast::Text, first: Span) {
        let title = format!("the {what} `{}` is defined twice", name.text);
        self.error(
            Diagnostic::error("E0410", title)
                .primary(name.span, "second definition")
                .secondary(first, "first definition"),
        );
    }

    /// Unnamed probes are called `file:line`; the second and later ones of a line get their column too.
    fn probe_names(&self, probes: &[&ast::Probe]) -> Vec<String> {
        let mut seen = HashSet::new();
        let name = |probe: &&ast::Probe| {
            if let Some(label) = &probe.label {
                return label.text.clone();
            }
            let name = self.sources.file_line(probe.span);
            match seen.insert(name.clone()) {
                true => name,
                false => format!("{name}:{}", self.sources.position(probe.span).column),
            }
        };
        probes.iter().map(name).collect()
    }

    fn param(&mut self, param: &ast::Param) {
        let given = self.options.params.iter().rev();
        let given = given.clone().find(|(name, _)| *name == param.name.text);
        let value = match given {
            Some((_, text)) => {
                let text = text.clone();
                self.param_text(param, &text)
            }
            None => self.constant(&param.value, "a parameter's value"),
        };
        let value = value.and_then(|value| self.declared_type(param.ty.as_ref(), value));
        self.define_constant(&param.name, value, true);
    }

    /// Reads a value from the command line.
    fn param_text(&mut self, param: &ast::Param, text: &str) -> Option<ir::Expr> {
        let span = param.name.span;
        let (digits, negative) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let number = number::well_formed(digits).then(|| number::int(digits));
        let number = number.flatten().and_then(|v| u64::try_from(v).ok());
        let (kind, ty) = match (number, text) {
            (Some(v), _) if negative => (ExprKind::Int(v.wrapping_neg()), Type::I64),
            (Some(v), _) => (ExprKind::Int(v), Type::U64),
            (None, "true") => (ExprKind::Int(1), Type::Bool),
            (None, "false") => (ExprKind::Int(0), Type::Bool),
            (None, _) if number::well_formed(digits) && digits.contains('.') => {
                (ExprKind::Float(text.parse().unwrap_or(0.0)), Type::F64)
            }
            (None, _) if matches!(param.value.kind, ast::ExprKind::Str(_)) => {
                (ExprKind::Str(text.to_string()), Type::Str)
            }
            (None, _) => {
                let title = format!("`{text}` is no value for the parameter `{}`", param.name.text);
                return self.fail(
                    Diagnostic::error("E0422", title)
                        .primary(span, "declared here")
                        .help(format!("-p {}=42", param.name.text)),
                );
            }
        };
        Some(ir::Expr { kind, ty, span })
    }

    fn check_overrides(&mut self, items: &[Item]) {
        let names: Vec<&str> = items
            .iter()
            .filter_map(|item| match item {
                Item::Param(param) => Some(param.name.text.as_str()),
                _ => None,
            })
            .collect();
        for (name, _) in &self.options.params {
            if names.contains(&name.as_str()) {
                continue;
            }
            let near = nearest(name, &names);
            let title = format!("no parameter is called `{name}`");
            let help = match (near, names.is_empty()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, true) => format!("the script declares none: `param {name} = 1`"),
                (None, false) => format!("parameters are: {}", names.join(", ")),
            };
            self.error(Diagnostic::error("E0422", title).help(help));
        }
    }

    fn constant_item(&mut self, name: &ast::Text, value: &ast::Expr) {
        let value = self.constant(value, "a constant's value");
        self.define_constant(name, value, false);
    }

    fn define_constant(&mut self, name: &ast::Text, value: Option<ir::Expr>, is_param: bool) {
        let what = if is_param { "parameter" } else { "constant" };
        self.check_free_name(name, what);
        if let Some(first) = self.constants.get(&name.text) {
            let first = first.span;
            return self.duplicate(what, name, first);
        }
        let Some(value) = value else {
            self.unknown.insert(name.text.clone());
            return;
        };
        let constant = Constant { value, span: name.span, is_param };
        self.constants.insert(name.text.clone(), constant);
    }

    fn named_integers(&self) -> Vec<(String, u64)> {
        let integer = |(name, constant): (&String, &Constant)| match constant.value.kind {
            ir::ExprKind::Int(value) => Some((name.clone(), value)),
            _ => None,
        };
        let mut all: Vec<(String, u64)> = self.constants.iter().filter_map(integer).collect();
        all.sort_unstable();
        all
    }

    fn declared_type(&mut self, ty: Option<&ast::TypeName>, value: ir::Expr) -> Option<ir::Expr> {
        match ty {
            None => Some(value),
            Some(name) => {
                let ty = self.type_name(name)?;
                self.convert(value, ty, name.span)
            }
        }
    }

    fn declare_state(&mut self, item: &ast::StateItem) {
        let ty = match &item.ty {
            Some(name) => match self.type_name(name) {
                Some(ty) => Some(ty),
                None => return,
            },
            None => None,
        };
        let initial = match &item.initial {
            Some(value) => {
                let value = self.constant(value, "the first value of a global");
                let Some(value) = value.and_then(|v| self.declared_type(item.ty.as_ref(), v)) else {
                    return;
                };
                Some(value)
            }
            None => None,
        };
        let capacity = match &item.capacity {
            Some(value) => self.count(value, "a capacity", "let @seen: bool max 1M"),
            None => Some(state::DEFAULT_CAPACITY),
        };
        let Some(capacity) = capacity else { return };
        self.declare(item, ty, initial, capacity);
    }

    /// A constant that is a number from 1 on.
    fn count(&mut self, e: &ast::Expr, what: &str, example: &str) -> Option<u64> {
        let value = self.constant(e, what)?;
        match value.kind {
            ExprKind::Int(v) if v > 0 && !(value.ty.is_signed() && (v as i64) < 0) => Some(v),
            _ => self.fail(
                Diagnostic::error("E0415", format!("{what} is a number from 1 on"))
                    .primary(e.span, "not such a number")
                    .help(example),
            ),
        }
    }

    /// Lowers an expression that must not depend on the run.
    fn constant(&mut self, e: &ast::Expr, what: &str) -> Option<ir::Expr> {
        let value = self.expr(e)?;
        let fits = matches!(value.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_));
        match fits {
            true => Some(value),
            false => self.fail(
                Diagnostic::error("E0417", format!("{what} must be known before the run"))
                    .primary(e.span, "depends on the run")
                    .help("numbers, constants and parameters are known: `1 << 12`, `LIMIT * 2`"),
            ),
        }
    }

    fn unused_functions(&mut self) {
        const SHOWN: [&str; 3] = ["E0404", "E0407", "E0418"];
        let names: Vec<String> = self.functions.keys().cloned().collect();
        for name in names {
            let Some(function) = self.functions.get(&name).filter(|f| !f.used) else {
                continue;
            };
            let item = function.item;
            let before = self.diagnostics.len();
            let args = item.params.iter().map(|param| {
                let kind = ExprKind::Builtin(ir::Builtin::Icount);
                let (ty, span) = (Type::U64, param.span);
                (param.text.clone(), ir::Expr { kind, ty, span })
            });
            let args = args.collect();
            self.probe = ProbeCx::default();
            self.probe.hopeless = true;
            self.calls.push(Call { name, args, span: item.name.span });
            self.expr(&item.body);
            self.calls.pop();
            let found = self.diagnostics.split_off(before);
            let kept = found.into_iter().filter(|d| SHOWN.contains(&d.code));
            self.diagnostics.extend(kept);
        }
    }
}
