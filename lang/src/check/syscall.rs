//! System calls: which ones a probe waits for, and their arguments and results as values.
//!
//! Before the call, arguments are the registers that carry them, so that what is written there is what the kernel
//! sees. After it they are what the kernel has seen: the result has taken the place of one of them.

use crate::ast::{self, Access, Text};
use crate::diag::Diagnostic;
use crate::ir::{self, Builtin, ExprKind, NumberSet, Place, StmtKind};
use crate::span::Span;
use crate::suggest::nearest;
use crate::target::{Register, SystemCall};
use crate::types::Type;

use super::Checker;
use super::expr::{int, make};
use super::names::access_span;

impl Checker<'_> {
    pub(super) fn syscall_set(&mut self, names: &[ast::Loc]) -> Option<NumberSet> {
        let known = self.target.system_calls();
        let mut numbers = Vec::new();
        let (mut any, mut wrong) = (false, false);
        for name in names {
            let before = numbers.len();
            match &name.place {
                Place::Any => any = true,
                Place::Addr(number) if name.offset == 0 => numbers.push(*number),
                Place::Symbol(text) if name.offset == 0 => {
                    numbers.extend(known.iter().filter(|call| call.name == text).map(|call| call.number));
                }
                Place::Glob(glob) if name.offset == 0 => {
                    let pattern = glob_pattern(glob);
                    let matches = |call: &&SystemCall| pattern.as_ref().is_some_and(|p| p.is_match(call.name));
                    numbers.extend(known.iter().filter(matches).map(|call| call.number));
                }
                _ => {}
            }
            if numbers.len() == before && !matches!(name.place, Place::Any) {
                self.no_such_call(name.span, &known);
                wrong = true;
            }
        }
        if wrong {
            self.probe.hopeless = true;
            return None;
        }
        numbers.sort_unstable();
        numbers.dedup();
        if any {
            return Some(NumberSet::Any);
        }
        self.probe.calls = known.into_iter().filter(|call| numbers.contains(&call.number)).collect();
        Some(NumberSet::Numbers(numbers))
    }

    fn no_such_call(&mut self, span: Span, known: &[SystemCall]) {
        let text = self.source_text(span);
        let out =
            Diagnostic::error("E0404", format!("there is no system call `{text}`")).primary(span, "not a system call");
        let bare = text.trim_matches('"');
        // The kernel's name often has a word more than the C library's function: `open` is `openat`.
        let near = nearest(bare, known.iter().map(|call| call.name)).or_else(|| {
            known.iter().find(|call| bare.len() > 2 && call.name.contains(bare)).map(|c| c.name.to_string())
        });
        self.error(match near {
            Some(near) => out.help(format!("did you mean `{near}`?")).fix(span, near),
            None => {
                out.help("a name of the kernel's, a number, a glob in quotes, or `*`: `on syscall openat, \"stat*\"`")
            }
        });
    }

    /// `args`, `args.NAME`, `ret` and `elapsed`.
    pub(super) fn syscall_value(&mut self, root: &Text, access: &[Access], span: Span) -> Option<ir::Expr> {
        match (root.text.as_str(), access) {
            ("args", [Access::Field(field)]) => {
                let (position, register) = self.argument_register(field)?;
                if !self.probe.after {
                    return Some(self.register_value(register, span));
                }
                let value = make(ExprKind::Builtin(Builtin::SyscallArgument(position)), Type::Word, span);
                Some(make(ExprKind::Cast(Box::new(value)), register.ty, span))
            }
            ("args", []) => Some(make(ExprKind::Builtin(Builtin::SyscallArguments), Type::Str, span)),
            ("ret" | "elapsed", []) if !self.probe.after => {
                let name = &root.text;
                self.fail(
                    Diagnostic::error("E0403", format!("`{name}` is known only after the system call"))
                        .primary(span, "not known yet")
                        .secondary(self.probe.event_span, "before the call")
                        .help(format!("after syscall … print {name}")),
                )
            }
            ("ret", []) => {
                let register = self.syscall_result()?;
                Some(self.register_value(register, span))
            }
            ("elapsed", []) => Some(make(ExprKind::Builtin(Builtin::SyscallElapsed), Type::U64, span)),
            _ => {
                let title = format!("`{}` has no such part", self.source_text(span));
                let at = access.last().map_or(span, access_span);
                self.fail(Diagnostic::error("E0406", title).primary(at, "a part of what?"))
            }
        }
    }

    /// The register that a `write` to an argument or a result changes; `None` if the name is neither.
    pub(super) fn syscall_register(&mut self, root: &Text, access: &[Access]) -> Option<Option<Register>> {
        if self.probe.event != "syscall" {
            return None;
        }
        match (root.text.as_str(), access) {
            ("args", [Access::Field(field)]) if self.probe.after => Some(
                self.fail(
                    Diagnostic::error("E0402", "the arguments of a system call cannot be written after it")
                        .primary(field.span, "the kernel has seen it")
                        .help("on syscall … write args.… = …"),
                ),
            ),
            ("args", [Access::Field(field)]) => Some(self.argument_register(field).map(|(_, register)| register)),
            ("ret", []) if self.probe.after => Some(self.syscall_result()),
            _ => None,
        }
    }

    fn syscall_result(&self) -> Option<Register> {
        let register = self.target.system_call_result()?;
        Some(Register { name: "ret".to_string(), ty: Type::I64, ..register })
    }

    /// The position of an argument that all calls of this probe have in one place, and its register with its type.
    fn argument_register(&mut self, field: &Text) -> Option<(u8, Register)> {
        if self.probe.hopeless {
            return None;
        }
        let name = field.text.as_str();
        let find = |call: &SystemCall| call.args.iter().position(|(other, _)| *other == name);
        let Some(first) = self.probe.calls.first() else {
            return self.fail(
                Diagnostic::error("E0404", format!("the argument `{name}` needs a call with a name"))
                    .primary(field.span, "an argument of which call?")
                    .secondary(self.probe.event_span, "any call, or one without a name")
                    .help(format!("on syscall openat print args.{name}"))
                    .help("all arguments as text: `args`"),
            );
        };
        let place = find(first).map(|at| (at, first.args[at].1));
        let other = self.probe.calls.iter().find(|call| find(call).map(|at| (at, call.args[at].1)) != place);
        let without = match place {
            None => Some(first),
            Some(_) => other,
        };
        if let Some(call) = without {
            let names: Vec<&str> = call.args.iter().map(|(name, _)| *name).collect();
            let out = match find(call) {
                Some(_) => Diagnostic::error(
                    "E0404",
                    format!("the argument `{name}` is not the same in all these system calls"),
                )
                .primary(field.span, format!("another one in `{}`", call.name))
                .help("one probe for each call"),
                None => Diagnostic::error("E0404", format!("`{}` has no argument `{name}`", call.name))
                    .primary(field.span, "not an argument"),
            };
            let near = nearest(name, &names);
            return self.fail(match (find(call), near) {
                (Some(_), _) => out,
                (None, Some(near)) => out.help(format!("did you mean `{near}`?")).fix(field.span, near),
                (None, None) if names.is_empty() => out.help("it has none"),
                (None, None) => out.help(format!("it has: {}", names.join(", "))),
            });
        }
        let (position, ty) = place?;
        let register = self.target.system_call_argument(position as u8)?;
        let bits = match ty {
            Type::Int { bits, .. } => bits,
            _ => register.bits,
        };
        let name = format!("args.{name}");
        Some((position as u8, Register { name, bits, ty, ..register }))
    }

    /// `return E` finishes the call.
    pub(super) fn return_from_syscall(&mut self, value: Option<&ast::Expr>, span: Span) -> Option<StmtKind> {
        self.before_call("return", span, "write ret = -1")?;
        match value {
            Some(value) => Some(StmtKind::FinishSyscall(self.integer(value, "the result of a system call")?)),
            None => self.fail(
                Diagnostic::error("E0403", "a system call has a result")
                    .primary(span, "without a value")
                    .help("return 0")
                    .help("`skip` leaves all registers as they are"),
            ),
        }
    }

    /// `skip` drops the call.
    pub(super) fn skip_syscall(&mut self, n: Option<&ast::Expr>, span: Span) -> Option<StmtKind> {
        self.before_call("skip", span, "write ret = 0")?;
        match n {
            None => Some(StmtKind::Skip(int(1, span))),
            Some(n) => self.fail(
                Diagnostic::error("E0403", "a system call is skipped as a whole")
                    .primary(n.span, "no number here")
                    .help("skip"),
            ),
        }
    }

    fn before_call(&mut self, verb: &str, span: Span, instead: &str) -> Option<()> {
        if !self.probe.after {
            return Some(());
        }
        self.fail(
            Diagnostic::error("E0403", format!("`{verb}` comes too late after the system call"))
                .primary(span, "the call has been made")
                .help(format!("on syscall … {verb} …"))
                .help(format!("to change its result: `{instead}`")),
        )
    }
}

/// A glob (`*` and `?`) as a regular expression, which takes no longer than the text is long.
pub(super) fn glob_pattern(glob: &str) -> Option<regex::Regex> {
    let pattern = regex::escape(glob).replace("\\*", ".*").replace("\\?", ".");
    regex::Regex::new(&format!("^{pattern}$")).ok()
}
