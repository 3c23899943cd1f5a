//! Names in expressions: variables, parameters, registers and builtins, and what to say of a name that is none of them.

use crate::ast::{self, Access, Text};
use crate::builtins::{self, Variable};
use crate::diag::Diagnostic;
use crate::ir::{self, Builtin, ExprKind};
use crate::probes;
use crate::span::Span;
use crate::suggest::nearest;
use crate::target::Register;
use crate::types::Type;

use super::expr::size;
use super::state::OF_STACKS;
use super::{Checker, MAX_NODES};

/// Names that other tracers have, and what is written here.
const FOREIGN: &[(&str, &str)] = &[
    ("nsecs", "now"),
    ("elapsed_ns", "now"),
    ("timestamp", "now"),
    ("ip", "pc"),
    ("rip", "pc"),
    ("eip", "pc"),
    ("rsp", "sp"),
    ("comm", "module"),
    ("execname", "module"),
    ("probefunc", "func"),
    ("function", "func"),
    ("ustack", "stack"),
    ("kstack", "stack"),
    ("thread_id", "tid"),
    ("cycles", "icount"),
    ("a0", "arg0"),
    ("rdi", "arg0"),
    ("rsi", "arg1"),
    ("rdx", "arg2"),
    ("result", "retval"),
    ("ret_val", "retval"),
    ("return_value", "retval"),
    ("new", "value"),
    ("symbol", "func"),
    ("mnemonic", "insn.mnemonic"),
    ("mem", "u64"),
];

/// Registers of architectures that people know. Where one of them is a register, it is found before this is asked.
const FOREIGN_REGISTERS: &[&str] = &[
    "rax", "rbx", "rcx", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "eax", "ebx", "ecx", "edx",
    "esi", "edi", "ebp", "esp", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "a1", "a2", "a3", "a4", "a5", "a6",
    "a7", "t0", "t1", "t2", "s1", "s2", "x31", "zero", "gp", "tp", "cpsr", "eflags", "rflags",
];

impl Checker<'_> {
    /// Names that a definition must not take: registers, and builtins that exist everywhere.
    pub(super) fn check_free_name(&mut self, name: &Text, what: &str) {
        let register = self.target.register(&name.text).is_some();
        let builtin = builtins::variable(&name.text).is_some_and(|v| v.events.is_empty());
        let title = match (register, builtin) {
            (true, _) => format!("`{}` is a register of {}", name.text, self.target.title()),
            (_, true) => format!("`{}` is a builtin variable", name.text),
            _ => return,
        };
        self.error(
            Diagnostic::error("E0411", format!("{title} and cannot name a {what}"))
                .primary(name.span, "choose another name")
                .help(format!("my_{}", name.text)),
        );
    }

    pub(super) fn find_local(&self, name: &str) -> Option<(ir::LocalId, Span)> {
        if !self.calls.is_empty() {
            return None;
        }
        let all = self.probe.scopes.iter().rev().flat_map(|scope| scope.iter().rev());
        let found = all.clone().find(|(other, ..)| other == name);
        found.map(|(_, id, span)| (*id, *span))
    }

    pub(super) fn path(&mut self, root: &Text, access: &[Access], span: Span) -> Option<ir::Expr> {
        if let Some(value) = self.variable(&root.text, span) {
            return match access {
                [] => value,
                _ => self.no_fields(root, access),
            };
        }
        if let Some(register) = self.register(root, access)? {
            return Some(self.register_value(register, span));
        }
        if let Some(found) = self.builtin(root, access, span) {
            return found;
        }
        self.unknown_name(root)
    }

    /// The value of a name of the script; `None` if it has none of that name.
    fn variable(&mut self, name: &str, span: Span) -> Option<Option<ir::Expr>> {
        if let Some(call) = self.calls.last()
            && let Some(value) = call.args.get(name)
        {
            // Before it is copied: a function of a function of a function may use it more often than there is memory.
            self.nodes += size(value);
            let at = call.span;
            return Some(match self.nodes <= MAX_NODES {
                true => Some(value.clone()),
                false => self.grown(at),
            });
        }
        if let Some((id, _)) = self.find_local(name) {
            let ty = self.probe.locals[id.0 as usize].ty;
            let kind = ExprKind::Local(id);
            return Some(Some(ir::Expr { kind, ty, span }));
        }
        let constant = self.constants.get(name)?;
        let value = constant.value.clone();
        Some(Some(ir::Expr { span, ..value }))
    }

    fn no_fields<T>(&mut self, root: &Text, access: &[Access]) -> Option<T> {
        let at = access_span(&access[0]);
        let title = format!("`{}` has no parts", root.text);
        let out = Diagnostic::error("E0406", title).primary(at, "a part of what?");
        self.fail(match root.text.as_str() {
            "stack" => out.help(OF_STACKS),
            name => out.help(format!("guest memory at that address: `u64[{name} + 8]`")),
        })
    }

    pub(super) fn register_value(&self, register: Register, span: Span) -> ir::Expr {
        let ty = register.ty;
        let kind = ExprKind::Register(register);
        ir::Expr { kind, ty, span }
    }

    /// Finds a register, a lane of one, or an alias. `None` if something is wrong and reported, `Some(None)` if it is none.
    pub(super) fn register(&mut self, root: &Text, access: &[Access]) -> Option<Option<Register>> {
        let name = root.text.as_str();
        let found = match name {
            "lr" | "ra" => {
                let own = self.target.register(name);
                own.or_else(|| self.target.register(if name == "lr" { "ra" } else { "lr" }))
            }
            _ => match name.strip_prefix("arg").and_then(|n| n.parse::<u8>().ok()) {
                Some(n) if name.len() == 4 => self.target.argument(n).filter(|_| !self.is_behind_entry()),
                None if name == "retval" && self.is_behind_entry() => self.result_register(),
                _ => self.target.register(name),
            },
        };
        let Some(register) = found.filter(|_| name != "pc") else {
            return Some(None);
        };
        match access {
            [] => Some(Some(register)),
            [Access::Field(shape), Access::Index(index, at)] => {
                let index = match index.as_slice() {
                    [one] => self.constant(one, "the number of a lane")?,
                    _ => return self.no_lane(root, shape.span.to(*at)),
                };
                let ExprKind::Int(n) = index.kind else {
                    return self.no_lane(root, *at);
                };
                match self.target.lane(name, &shape.text, n) {
                    Some(lane) => Some(Some(lane)),
                    None => self.no_lane(root, shape.span.to(*at)),
                }
            }
            _ => self.no_lane(root, access_span(&access[0])),
        }
    }

    fn no_lane<T>(&mut self, root: &Text, at: Span) -> Option<T> {
        let out = Diagnostic::error("E0421", format!("`{}` has no such part", root.text)).primary(at, "no such lane");
        let vector = self.target.lane(&root.text, "s", 0).is_some();
        self.fail(match vector {
            true => out.help(format!("lanes are b[0..16], h[0..8], s[0..4], d[0..2], as in `{}.s[1]`", root.text)),
            false => out.help(format!("guest memory at that address: `u64[{} + 8]`", root.text)),
        })
    }

    /// Finds a builtin variable; the outer option says whether there is one.
    fn builtin(&mut self, root: &Text, access: &[Access], span: Span) -> Option<Option<ir::Expr>> {
        let field = match access.first() {
            Some(Access::Field(field)) => Some(field),
            _ => None,
        };
        if let Some(field) = field
            && matches!(root.text.as_str(), "insn" | "block")
        {
            return Some(self.part(root, field, access, span));
        }
        if self.probe.event == "syscall" && matches!(root.text.as_str(), "args" | "ret" | "elapsed") {
            return Some(self.syscall_value(root, access, span));
        }
        let variable = builtins::variable(&root.text)?;
        if matches!(variable.name, "thread" | "call") {
            return Some(self.no_own_value(root, access));
        }
        Some(match access {
            [_, ..] => self.no_fields(root, access),
            [] => self.available(variable, span),
        })
    }

    /// `thread` and `call` have one value for each name.
    fn no_own_value<T>(&mut self, root: &Text, access: &[Access]) -> Option<T> {
        let owner = &root.text;
        let out = match access.get(1) {
            Some(part) => Diagnostic::error("E0406", format!("values of a {owner} have no parts"))
                .primary(access_span(part), "a part of what?"),
            None => Diagnostic::error("E0406", format!("`{owner}` has values, and is none"))
                .primary(root.span, "which one?"),
        };
        self.fail(out.help(format!("a name of your own: `{owner}.n = 1`, `print {owner}.n`")))
    }

    fn part(&mut self, root: &Text, field: &Text, access: &[Access], span: Span) -> Option<ir::Expr> {
        let name = format!("{}.{}", root.text, field.text);
        if let Some(variable) = builtins::variable(&name) {
            return match access {
                [_] => self.available(variable, span),
                _ => self.no_fields(&Text { text: name, span: root.span }, &access[1..]),
            };
        }
        let prefix = format!("{}.", root.text);
        let parts = builtins::VARIABLES.iter().filter_map(|v| v.name.strip_prefix(&prefix));
        let parts: Vec<&str> = parts.collect();
        let near = nearest(&field.text, &parts);
        let out = Diagnostic::error("E0404", format!("`{}` has no part `{}`", root.text, field.text))
            .primary(field.span, "no such part");
        self.fail(match near {
            Some(near) => out.help(format!("did you mean `{prefix}{near}`?")).fix(field.span, near),
            None => out.help(format!("it has: {}", parts.join(", "))),
        })
    }

    /// Lowers the builtin variable of this name.
    pub(super) fn named_builtin(&mut self, name: &str, span: Span) -> Option<ir::Expr> {
        self.available(builtins::variable(name)?, span)
    }

    /// Lowers a builtin variable if this event has it.
    fn available(&mut self, variable: &Variable, span: Span) -> Option<ir::Expr> {
        if self.probe.hopeless && self.of_hopeless_event(variable) {
            return None;
        }
        let event = self.probe.event.as_str();
        let moment = format!("{} {event}", if self.probe.after { "after" } else { "on" });
        let exists = variable.events.iter().any(|e| *e == event || *e == moment) || variable.events.is_empty();
        if !exists {
            return self.not_available(variable, span);
        }
        match self.fact(variable.name).or(variable.value).or_else(|| self.entry_argument(variable.name)) {
            Some(Builtin::Next) if !self.probe.after => self.fail(
                Diagnostic::error("E0403", "`next` is known only after the instruction")
                    .primary(span, "not known yet")
                    .help("after insn at main print next"),
            ),
            Some(builtin) => Some(ir::Expr { kind: ExprKind::Builtin(builtin), ty: variable.ty, span }),
            None => self.fail(
                Diagnostic::error("E0404", format!("{} has no register for `{}`", self.target.title(), variable.name))
                    .primary(span, "no such register"),
            ),
        }
    }

    /// The event itself has been refused, and the value is one that it would have.
    fn of_hopeless_event(&self, variable: &Variable) -> bool {
        let root = variable.name.split('.').next().unwrap_or("");
        match probes::find(&self.probe.event) {
            Some(row) => row.values.contains(&root) || !variable.events.is_empty(),
            None => true,
        }
    }

    fn not_available<T>(&mut self, variable: &Variable, span: Span) -> Option<T> {
        let event = self.probe.event.clone();
        let quoted: Vec<String> = variable.events.iter().map(|e| format!("`{e}`")).collect();
        let list = match quoted.as_slice() {
            [one] => one.clone(),
            [all @ .., last] => format!("{} and {last}", all.join(", ")),
            [] => String::new(),
        };
        let name = if variable.name == "call" { "call.NAME" } else { variable.name };
        let title = format!("`{name}` exists only in {list}");
        let mut out = Diagnostic::error("E0403", title).primary(span, "not available here");
        if !event.is_empty() {
            out = out.secondary(self.probe.event_span, format!("the event `{event}` does not have it"));
        }
        let first = variable.events[0];
        let help = match variable.example {
            "" if first.contains(' ') => format!("{first} f print {}", variable.name),
            "" => format!("on {first} … print {}", variable.name),
            example => example.to_string(),
        };
        let of_function = variable.name == "ret" && matches!(event.as_str(), "call" | "return");
        let help = if of_function { "the result of a function is `retval`".to_string() } else { help };
        self.fail(out.help(help))
    }

    fn unknown_name<T>(&mut self, root: &Text) -> Option<T> {
        if self.probe.damaged || !self.unknown.insert(root.text.clone()) {
            return None;
        }
        let name = root.text.as_str();
        let out = Diagnostic::error("E0404", format!("nothing is called `{name}` here"))
            .primary(root.span, "not a register, variable or parameter");
        if self.terse() {
            return self.fail(out);
        }
        let foreign = FOREIGN.iter().find(|(other, _)| *other == name);
        if let Some((_, ours)) = foreign {
            return self.fail(out.help(format!("here it is `{ours}`")).fix(root.span, *ours));
        }
        if FOREIGN_REGISTERS.contains(&name) {
            let names = self.target.register_names();
            let first: Vec<&str> = names.iter().take(4).map(String::as_str).collect();
            return self.fail(
                out.help(format!(
                    "a register of another architecture; those of {} are {}, …",
                    self.target.title(),
                    first.join(", ")
                ))
                .help("on each architecture: `arg0`, `arg1`, … at a call, `retval` at a return"),
            );
        }
        if builtins::function(name).is_some() || self.functions.contains_key(name) {
            return self.fail(out.help(format!("`{name}` is a function: `{name}(…)`")));
        }
        if let Some(near) = nearest(name, self.names_in_scope()) {
            return self.fail(out.help(format!("did you mean `{near}`?")).fix(root.span, near));
        }
        self.fail(
            out.help(format!("a text stands in double quotes: `\"{name}\"`"))
                .help(format!("the address of a symbol of the program is `&{name}`"))
                .help(format!("a variable of the body is declared first: `let {name} = …`")),
        )
    }

    fn names_in_scope(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        if let Some(call) = self.calls.last() {
            names.extend(call.args.keys().cloned());
            names.sort();
        }
        let locals = self.probe.scopes.iter().flatten();
        names.extend(locals.map(|(name, ..)| name.clone()));
        let mut constants: Vec<String> = self.constants.keys().cloned().collect();
        constants.sort();
        names.extend(constants);
        names.extend(self.target.register_names());
        let builtins = builtins::VARIABLES.iter();
        names.extend(builtins.map(|variable| variable.name.to_string()));
        names
    }

    pub(super) fn type_name(&mut self, name: &ast::TypeName) -> Option<Type> {
        if name.stars > 0 || name.array {
            self.unsupported("a pointer or array type here", name.span);
            return None;
        }
        let found = TYPES.iter().find(|(word, _)| *word == name.name);
        if let Some((_, ty)) = found {
            return Some(*ty);
        }
        let words = TYPES.iter().map(|(word, _)| *word);
        let foreign = match name.name.as_str() {
            "int" | "int32_t" | "s32" | "int32" => Some("i32".to_string()),
            "unsigned" | "uint" | "uint32_t" | "uint32" => Some("u32".to_string()),
            "long" | "int64_t" | "s64" | "int64" => Some("i64".to_string()),
            "size_t" | "uint64_t" | "uint64" | "ulong" => Some("u64".to_string()),
            "char" | "uint8_t" | "byte" => Some("u8".to_string()),
            "string" => Some("str".to_string()),
            "double" => Some("f64".to_string()),
            "float" => Some("f32".to_string()),
            _ => None,
        };
        let near = foreign.or_else(|| nearest(&name.name, words.clone()));
        let out =
            Diagnostic::error("E0420", format!("there is no type `{}`", name.name)).primary(name.span, "not a type");
        self.fail(match near {
            Some(near) => out.help(format!("did you mean `{near}`?")).fix(name.span, near),
            None => out.help(format!("types are: {}", words.collect::<Vec<_>>().join(", "))),
        })
    }
}

/// All type names.
const TYPES: &[(&str, Type)] = &[
    ("bool", Type::Bool),
    ("u8", int(8, false)),
    ("u16", int(16, false)),
    ("u32", int(32, false)),
    ("u64", int(64, false)),
    ("u128", Type::U128),
    ("i8", int(8, true)),
    ("i16", int(16, true)),
    ("i32", int(32, true)),
    ("i64", int(64, true)),
    ("f32", Type::F32),
    ("f64", Type::F64),
    ("ptr", Type::Word),
    ("str", Type::Str),
    ("bytes", Type::Bytes),
];

const fn int(bits: u8, signed: bool) -> Type {
    Type::Int { bits, signed }
}

/// True for the types that every script has.
pub(super) fn is_type_name(word: &str) -> bool {
    TYPES.iter().any(|(name, _)| *name == word)
}

/// Returns the type of a memory access word and its byte order.
pub(super) fn memory_type(word: &str) -> Option<ir::MemType> {
    let (name, big_endian) = match word.strip_suffix("be") {
        Some(name) => (name, true),
        None => (word.strip_suffix("le").unwrap_or(word), false),
    };
    let (_, ty) = TYPES.iter().find(|(word, _)| *word == name)?;
    let bytes = match ty {
        Type::Int { bits, .. } => bits / 8,
        Type::U128 => 16,
        Type::F32 => 4,
        Type::F64 | Type::Word => 8,
        _ => return None,
    };
    Some(ir::MemType { bytes, signed: ty.is_signed(), big_endian, ty: *ty })
}

pub(super) fn access_span(access: &Access) -> Span {
    match access {
        Access::Field(field) => field.span,
        Access::Index(_, span) => *span,
    }
}
