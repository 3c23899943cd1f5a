//! Statements.

use crate::ast::{self, BitSelect, StmtKind as Ast, Text};
use crate::diag::Diagnostic;
use crate::ir::{
    self, AggFn, AssignOp, BinaryOp, BitsOp, ExprKind, GotoTarget, LValue, PrintValue, ProbeId, Stmt, StmtKind,
};
use crate::span::Span;
use crate::suggest::nearest;
use crate::target::{ReadOnly, Register, RegisterSlot};
use crate::types::Type;
use crate::verbs;

use super::Checker;
use super::expr::{fits, int, literal, make, needs, shown};
use super::state::{describe, kept};

/// What a `write` changes: a place that holds bits, or the flow of control.
pub(super) enum Target {
    Place(LValue),
    Pc,
}

impl Checker<'_> {
    pub(super) fn block(&mut self, list: &[ast::Stmt]) -> Vec<Stmt> {
        self.probe.scopes.push(Vec::new());
        let mut out = Vec::new();
        for stmt in list {
            self.check_read_only(stmt);
            self.stmt(stmt, &mut out);
        }
        self.probe.scopes.pop();
        out
    }

    fn check_read_only(&mut self, stmt: &ast::Stmt) {
        if !self.options.read_only {
            return;
        }
        let text = self.sources.slice(stmt.span);
        let word = text.split(|c: char| !c.is_ascii_alphanumeric()).next();
        let word = word.unwrap_or("").to_string();
        if verbs::find(&word).is_some_and(|verb| verb.patches) {
            let end = stmt.span.start + word.len() as u32;
            let span = Span { end, ..stmt.span };
            self.error(
                Diagnostic::error("E0425", format!("`{word}` changes the guest, and this run is read-only"))
                    .primary(span, "changes the guest")
                    .help("run without `--read-only` to allow it"),
            );
        }
    }

    fn stmt(&mut self, stmt: &ast::Stmt, out: &mut Vec<Stmt>) {
        let span = stmt.span;
        if let Ast::Write { list, duration } = &stmt.kind {
            let lasts = duration.as_ref().map(|duration| self.lasting(duration));
            let kinds = list.iter().filter_map(|one| {
                let kind = self.write(one)?;
                Some(Stmt { kind: self.transient(kind, lasts.clone(), one.span)?, span: one.span })
            });
            return out.extend(kinds);
        }
        let kind = self.stmt_kind(stmt);
        out.extend(kind.map(|kind| Stmt { kind, span }));
    }

    fn stmt_kind(&mut self, stmt: &ast::Stmt) -> Option<StmtKind> {
        match &stmt.kind {
            Ast::Write { .. } => None,
            Ast::Bits { op, target, select, duration } => {
                let lasts = duration.as_ref().map(|duration| self.lasting(duration));
                let kind = self.bits(*op, target, select)?;
                self.transient(kind, lasts, stmt.span)
            }
            Ast::Stick(stick) => self.stick(stick),
            Ast::Skip(n) => self.skip(n.as_ref(), stmt.span),
            Ast::GotoLoc(loc) => {
                self.flow_allowed("goto", stmt.span)?;
                Some(StmtKind::Goto(GotoTarget::Loc(self.loc(loc)?)))
            }
            Ast::GotoExpr(e) => {
                self.flow_allowed("goto", stmt.span)?;
                let target = self.integer(e, "the target of `goto`")?;
                Some(StmtKind::Goto(GotoTarget::Expr(target)))
            }
            Ast::Raise(signal) => self.raise(signal, stmt.span),
            Ast::Return(value) => self.return_stmt(value.as_ref(), stmt.span),
            Ast::Print(args) => {
                let args: Vec<_> = args.iter().map(|arg| self.print_args(arg)).collect();
                let args: Vec<_> = args.into_iter().collect::<Option<_>>()?;
                Some(StmtKind::Print(args.into_iter().flatten().collect()))
            }
            Ast::Trace { duration: None } => Some(StmtKind::Trace),
            Ast::Trace { duration: Some(duration) } => self.trace_for(duration),
            Ast::Dump(addr, len) => {
                let addr = self.integer(addr, "an address");
                let len = self.integer(len, "a length");
                let (addr, len) = (addr?, len?);
                self.check_dump_length(&len)?;
                Some(StmtKind::Dump { addr, len })
            }
            Ast::Warn(e) => Some(StmtKind::Warn(self.expr(e)?)),
            Ast::Fail(e) => Some(StmtKind::Fail(self.expr(e)?)),
            Ast::Assert(cond, message) => self.assert(cond, message.as_ref()),
            Ast::Aggregate(aggregate) => self.aggregate(aggregate, stmt.span),
            Ast::Enable(list) => Some(StmtKind::Enable(self.label_list(list)?)),
            Ast::Disable(list) => Some(StmtKind::Disable(self.label_list(list)?)),
            Ast::Reset(list) => {
                let ids: Vec<_> = list.iter().map(|name| self.known_state(name)).collect();
                Some(StmtKind::Reset(ids.into_iter().collect::<Option<_>>()?))
            }
            Ast::Delete(target) => self.delete(target),
            Ast::Exit(None) => Some(StmtKind::Exit(int(0, stmt.span))),
            Ast::Exit(Some(e)) => Some(StmtKind::Exit(self.integer(e, "an exit status")?)),
            Ast::If { arms, otherwise } => self.if_stmt(arms, otherwise.as_deref()),
            Ast::For { names, over, body } => self.for_stmt(names, over, body),
            Ast::Let { name, ty, value } => self.let_stmt(name, ty.as_ref(), value),
            Ast::Next => Some(StmtKind::Next),
            Ast::Assign { target, op, op_span, value } => self.assign(target, *op, *op_span, value),
            Ast::Later(word, span) => {
                self.unsupported(word, *span);
                None
            }
        }
    }

    // ---------- patches ----------

    fn write(&mut self, one: &ast::Assign) -> Option<StmtKind> {
        let target = self.lvalue(&one.target, "write");
        let value = self.expr(&one.value);
        match target? {
            Target::Pc => {
                self.flow_allowed("goto", one.target.span)?;
                let value = value?;
                if !value.ty.is_integer() {
                    return self.wrong_value("pc", one.target.span, &value);
                }
                Some(StmtKind::Goto(GotoTarget::Expr(value)))
            }
            Target::Place(target) => {
                let value = self.stored(&target, one.target.span, value?)?;
                Some(StmtKind::Write { target, value })
            }
        }
    }

    /// A value that is to be written into a register.
    pub(super) fn value_of_register(&mut self, register: &Register, e: &ast::Expr) -> Option<ir::Expr> {
        let value = self.expr(e)?;
        self.stored(&LValue::Register(register.clone()), e.span, value)
    }

    /// Checks that a value can be stored into a target, and gives it the target's kind.
    pub(super) fn stored(&mut self, target: &LValue, at: Span, value: ir::Expr) -> Option<ir::Expr> {
        let (name, bits, ty) = self.shape(target);
        let wide = ty == Type::U128 || bits > 64;
        match (&value.kind, value.ty) {
            (ExprKind::Int(v), vt) if wide => {
                let negative = vt.is_signed() && (*v as i64) < 0;
                let v = match negative {
                    true => *v as i64 as i128 as u128,
                    false => u128::from(*v),
                };
                Some(make(ExprKind::Int128(v), Type::U128, value.span))
            }
            (ExprKind::Int(v), vt) if vt != Type::Bool && !ty.is_float() => {
                let v = *v;
                match fits(v, vt, bits) {
                    true => Some(value),
                    false => self.does_not_fit(&name, bits, at, value.span, (shown(v, vt), needs(v, vt))),
                }
            }
            (ExprKind::Int128(v), _) if !wide => {
                let need = format!("needs {} bits", 128 - v.leading_zeros());
                let shown = format!("{v:#x}");
                self.does_not_fit(&name, bits, at, value.span, (shown, need))
            }
            (_, Type::U128) if wide => Some(value),
            (_, vt) if vt.is_integer() && !ty.is_float() && !wide => Some(value),
            (_, vt) if vt.is_float() && ty.is_float() => Some(value),
            (ExprKind::Int(v), vt) if ty.is_float() && vt.is_integer() => {
                let v = match vt.is_signed() {
                    true => *v as i64 as f64,
                    false => *v as f64,
                };
                Some(make(ExprKind::Float(v), Type::F64, value.span))
            }
            _ => self.wrong_value(&name, at, &value),
        }
    }

    pub(super) fn shape(&self, target: &LValue) -> (String, u8, Type) {
        match target {
            LValue::Insn => ("insn".to_string(), 32, Type::Int { bits: 32, signed: false }),
            LValue::Destination => ("insn.dst".to_string(), 64, Type::Word),
            LValue::Accessed => ("value".to_string(), 64, Type::Word),
            LValue::Register(register) => (register.name.clone(), register.bits, register.ty),
            LValue::Memory { ty, .. } => {
                let name = match ty.ty {
                    Type::Word => "ptr".to_string(),
                    ty => ty.to_string(),
                };
                (name, (u16::from(ty.bytes) * 8).min(255) as u8, ty.ty)
            }
        }
    }

    fn does_not_fit<T>(
        &mut self,
        name: &str,
        bits: u8,
        at: Span,
        value: Span,
        (shown, need): (String, String),
    ) -> Option<T> {
        let text = self.source_text(value);
        let mut out = Diagnostic::error("E0401", format!("{shown} does not fit in {name}"))
            .primary(value, need)
            .secondary(at, format!("{name} is {bits} bits wide"));
        if let Some(digits) = name.strip_prefix('w') {
            let whole = format!("x{digits}");
            if self.target.register(&whole).is_some_and(|r| r.bits == 64) {
                out = out.help(format!("to set the whole 64-bit register: `write {whole} = {text}`"));
            }
        }
        self.fail(out)
    }

    fn wrong_value<T>(&mut self, name: &str, at: Span, value: &ir::Expr) -> Option<T> {
        let title = format!("{} cannot be written to {name}", describe(value.ty));
        let out = Diagnostic::error("E0406", title)
            .primary(value.span, format!("this is {}", describe(value.ty)))
            .secondary(at, "written here");
        let text = self.source_text(value.span);
        self.fail(match value.ty {
            Type::F32 | Type::F64 => out.help(format!("the number without its fraction: `{text} as i64`")),
            Type::U128 => out.help(format!("its low half: `{text} as u64`")),
            Type::Str => out.help("texts are written byte by byte: `write u8[x0] = 0x41`"),
            _ => out,
        })
    }

    pub(super) fn lvalue(&mut self, e: &ast::Expr, verb: &str) -> Option<Target> {
        match &e.kind {
            ast::ExprKind::Memory { ty, addr } => {
                let (ty, addr) = self.memory(ty, addr)?;
                Some(Target::Place(LValue::Memory { ty, addr }))
            }
            ast::ExprKind::Path { root, access } => {
                if let Some(data) = self.data(e)? {
                    let local = self.find_local(&root.text).is_some() && access.is_empty();
                    return match local {
                        true => self.not_guest_state(root, e.span, verb),
                        false if access.is_empty() && self.is_whole_register(&data) => {
                            self.named_target(root, &[], e.span, verb)
                        }
                        false => self.data_target(&data).map(Target::Place),
                    };
                }
                self.named_target(root, access, e.span, verb)
            }
            ast::ExprKind::Access(..) => {
                let data = self.data(e)??;
                self.data_target(&data).map(Target::Place)
            }
            _ => None,
        }
    }

    fn named_target(&mut self, root: &Text, access: &[ast::Access], span: Span, verb: &str) -> Option<Target> {
        if root.text == "pc" && access.is_empty() {
            return Some(Target::Pc);
        }
        if self.find_local(&root.text).is_some() || self.constants.contains_key(&root.text) {
            return self.not_guest_state(root, span, verb);
        }
        if root.text == "insn" {
            return self.insn_target(access, span, verb).map(Target::Place);
        }
        if root.text == "value" && access.is_empty() && super::access::kind(&self.probe.event).is_some() {
            return self.accessed_target(span, verb).map(Target::Place);
        }
        if let Some(register) = self.syscall_register(root, access) {
            return Some(Target::Place(LValue::Register(register?)));
        }
        if let Some(register) = self.register(root, access)? {
            if register.slot == RegisterSlot::Pc {
                return Some(Target::Pc);
            }
            return self.writable(register, span).map(|r| Target::Place(LValue::Register(r)));
        }
        // A builtin or an unknown name: the value form says what is wrong with it.
        self.path(root, access, span)?;
        self.fail(
            Diagnostic::error("E0402", format!("`{}` cannot be written", root.text))
                .primary(span, "read-only")
                .help("registers and guest memory can be written: `write x0 = 5`, `write u8[x0] = 5`"),
        )
    }

    fn not_guest_state<T>(&mut self, root: &Text, span: Span, verb: &str) -> Option<T> {
        let title = format!("`{}` is no guest state, so `{verb}` has no effect on it", root.text);
        let constant = self.constants.get(&root.text);
        let out = Diagnostic::error("E0402", title).primary(span, "not a register or guest memory");
        let out = match constant {
            Some(constant) if constant.is_param => out
                .secondary(constant.span, "a parameter")
                .help(format!("its value is given at the start: `-p {}=5`", root.text)),
            Some(constant) => out.secondary(constant.span, "a constant"),
            None => out.help(format!("a variable is assigned without a verb: `{} = 5`", root.text)),
        };
        self.fail(out)
    }

    fn writable(&mut self, register: Register, span: Span) -> Option<Register> {
        let Some(ReadOnly { why, help }) = register.read_only else {
            return Some(register);
        };
        let name = register.name.clone();
        let out = Diagnostic::error("E0402", format!("{why}: this write does nothing"))
            .primary(span, format!("{name} cannot be written"));
        self.fail(match help {
            Some(help) => out.help(help),
            None => out,
        })
    }

    fn bits(&mut self, op: BitsOp, target: &ast::Expr, select: &BitSelect) -> Option<StmtKind> {
        let lvalue = self.lvalue(target, bits_word(op));
        let target_span = target.span;
        let target = match lvalue? {
            Target::Place(place) => place,
            Target::Pc => {
                return self.fail(
                    Diagnostic::error("E0402", format!("single bits of pc cannot be changed with `{}`", bits_word(op)))
                        .primary(target_span, "not bit by bit")
                        .help("goto (pc + 8)"),
                );
            }
        };
        let mask = self.selected(select, &target, target_span)?;
        Some(StmtKind::Bits { op, target, mask })
    }

    /// The bits of a target that are selected, as a mask.
    pub(super) fn selected(&mut self, select: &BitSelect, target: &LValue, target_span: Span) -> Option<ir::Expr> {
        let (name, bits, _) = self.shape(target);
        match select {
            BitSelect::Mask(e) => {
                let value = self.mask_operand(e)?;
                if self.shape(target).2.is_float() {
                    return self.float_mask(value, &name, bits, target_span);
                }
                self.stored(target, target_span, value)
            }
            BitSelect::Bit(e) => {
                let value = self.integer(e, "a bit number")?;
                self.one_bit(value, &name, bits, target_span)
            }
            BitSelect::Bits(a, b) => {
                let (from, to) = (self.integer(a, "a bit number"), self.integer(b, "a bit number"));
                self.many_bits(from?, to?, &name, bits, target_span)
            }
        }
    }

    /// Bits of a floating-point register or number: a mask is no such number itself.
    fn float_mask(&mut self, value: ir::Expr, name: &str, bits: u8, at: Span) -> Option<ir::Expr> {
        match value.kind {
            ExprKind::Int(v) if !fits(v, value.ty, bits) => {
                self.does_not_fit(name, bits, at, value.span, (shown(v, value.ty), needs(v, value.ty)))
            }
            ExprKind::Int128(v) => {
                let need = format!("needs {} bits", 128 - v.leading_zeros());
                self.does_not_fit(name, bits, at, value.span, (format!("{v:#x}"), need))
            }
            _ => Some(value),
        }
    }

    fn mask_operand(&mut self, e: &ast::Expr) -> Option<ir::Expr> {
        let value = self.expr(e)?;
        match value.ty.is_integer() || value.ty == Type::U128 {
            true => Some(value),
            false => self.fail(
                Diagnostic::error("E0406", "a mask is an integer")
                    .primary(e.span, format!("this is {}", describe(value.ty))),
            ),
        }
    }

    fn no_such_bit<T>(&mut self, value: &ir::Expr, last: u64, name: &str, bits: u8, at: Span) -> Option<T> {
        self.fail(
            Diagnostic::error("E0401", format!("{name} has no bit {last}"))
                .primary(value.span, "no such bit")
                .secondary(at, format!("{name} has the bits 0 to {}", bits - 1)),
        )
    }

    fn one_bit(&mut self, n: ir::Expr, name: &str, bits: u8, at: Span) -> Option<ir::Expr> {
        let span = n.span;
        match literal(&n) {
            Some(bit) if bit >= u64::from(bits) => self.no_such_bit(&n, bit, name, bits, at),
            Some(bit) => Some(mask(1u128 << bit, bits, span)),
            None if bits > 64 => self.wide_bits(span),
            None => {
                let kind = ExprKind::Binary(BinaryOp::Shl, Box::new(int(1, span)), Box::new(n));
                Some(make(kind, Type::U64, span))
            }
        }
    }

    pub(super) fn wide_bits<T>(&mut self, span: Span) -> Option<T> {
        self.fail(
            Diagnostic::error("E0417", "the bits of a 128-bit value must be known before the run")
                .primary(span, "depends on the run")
                .help("use one half of the register: `flip v0.d[1] bit (n)`"),
        )
    }

    fn many_bits(&mut self, a: ir::Expr, b: ir::Expr, name: &str, bits: u8, at: Span) -> Option<ir::Expr> {
        let span = a.span.to(b.span);
        if let (Some(from), Some(to)) = (literal(&a), literal(&b)) {
            if from >= to {
                return self.fail(
                    Diagnostic::error("E0415", "this range of bits is empty")
                        .primary(span, "the end is excluded")
                        .help("bits 0..4 is the low four bits"),
                );
            }
            if to > u64::from(bits) {
                return self.no_such_bit(&b, to - 1, name, bits, at);
            }
            let ones = match to - from {
                128 => u128::MAX,
                n => (1u128 << n) - 1,
            };
            return Some(mask(ones << from, bits, span));
        }
        if bits > 64 {
            return self.wide_bits(span);
        }
        // ((1 << (b - a)) - 1) << a; a width of 64 shifts the one out and leaves all bits.
        let op = |op, a, b| make(ExprKind::Binary(op, Box::new(a), Box::new(b)), Type::U64, span);
        let width = op(BinaryOp::Sub, b, a.clone());
        let top = op(BinaryOp::Shl, int(1, span), width);
        let ones = op(BinaryOp::Sub, top, int(1, span));
        Some(op(BinaryOp::Shl, ones, a))
    }

    // ---------- control ----------

    /// `skip` and `goto` need a thread that goes on.
    fn flow_allowed(&mut self, verb: &str, span: Span) -> Option<()> {
        let event = self.probe.event.clone();
        if event == "syscall" {
            return self.fail(crate::unsupported(&format!("{verb} in a system call"), span));
        }
        let over = matches!(event.as_str(), "end" | "exit" | "spawn" | "signal" | "trap" | "load" | "output" | "mark");
        let wrong = over || (verb == "skip" && event == "begin");
        if !wrong {
            return Some(());
        }
        let at = self.probe.event_span;
        self.fail(
            Diagnostic::error("E0403", format!("`{verb}` has no meaning in `{event}`"))
                .primary(span, "no instruction is being executed")
                .secondary(at, "this event")
                .help(format!("on insn at main {verb} …")),
        )
    }

    fn skip(&mut self, n: Option<&ast::Expr>, span: Span) -> Option<StmtKind> {
        if self.probe.event == "syscall" {
            return self.skip_syscall(n, span);
        }
        if super::access::kind(&self.probe.event).is_some() {
            return self.skip_access(n, span);
        }
        self.flow_allowed("skip", span)?;
        let n = match n {
            None => return Some(StmtKind::Skip(int(1, span))),
            Some(n) => self.integer(n, "the number of instructions to skip")?,
        };
        if literal(&n) == Some(0) {
            return self.fail(
                Diagnostic::error("E0415", "`skip 0` skips nothing")
                    .primary(n.span, "at least 1")
                    .help("`skip` alone skips this instruction, `skip 2` the next one too"),
            );
        }
        Some(StmtKind::Skip(n))
    }

    fn if_stmt(&mut self, arms: &[(ast::Expr, Vec<ast::Stmt>)], otherwise: Option<&[ast::Stmt]>) -> Option<StmtKind> {
        let mut lowered = Vec::new();
        for (cond, body) in arms {
            let span = cond.span;
            let cond = self.condition(cond);
            lowered.push((cond, self.block(body), span));
        }
        let mut tail = match otherwise {
            Some(body) => self.block(body),
            None => Vec::new(),
        };
        let mut out = None;
        while let Some((cond, then, span)) = lowered.pop() {
            if let Some(kind) = out.take() {
                tail = vec![Stmt { kind, span }];
            }
            let cond = cond?;
            out = Some(StmtKind::If { cond, then, otherwise: std::mem::take(&mut tail) });
        }
        out
    }

    fn label_list(&mut self, list: &[Text]) -> Option<Vec<ProbeId>> {
        let ids: Vec<Option<ProbeId>> = list.iter().map(|label| self.label(label)).collect();
        ids.into_iter().collect()
    }

    fn label(&mut self, label: &Text) -> Option<ProbeId> {
        if let Some((id, _)) = self.labels.get(&label.text) {
            return Some(*id);
        }
        if self.probe.damaged {
            return None;
        }
        if self.terse() {
            let title = format!("no probe has the label `{}`", label.text);
            return self.fail(Diagnostic::error("E0409", title).primary(label.span, "not a label"));
        }
        let mut names: Vec<String> = self.labels.keys().cloned().collect();
        names.sort();
        let near = nearest(&label.text, &names);
        let out = Diagnostic::error("E0409", format!("no probe has the label `{}`", label.text))
            .primary(label.span, "not a label");
        self.fail(match (near, names.is_empty()) {
            (Some(near), _) => out.help(format!("did you mean `{near}`?")).fix(label.span, near),
            (None, true) => {
                out.help(format!("a label stands before the probe: `{}: on insn at main trace`", label.text))
            }
            (None, false) => out.help(format!("labels are: {}", names.join(", "))),
        })
    }

    // ---------- output ----------

    /// What an argument of `print` stands for: one value, or with `args` and `vars` several.
    fn print_args(&mut self, arg: &ast::PrintArg) -> Option<Vec<ir::PrintArg>> {
        match self.shown_variables(&arg.value) {
            Some(all) if arg.name.is_none() && arg.top.is_none() => all,
            _ => self.print_arg(arg).map(|arg| vec![arg]),
        }
    }

    fn print_arg(&mut self, arg: &ast::PrintArg) -> Option<ir::PrintArg> {
        let top = match &arg.top {
            Some(n) => Some(self.count(n, "the number of rows", "print @calls top 10")?),
            None => None,
        };
        let literal_text = matches!(arg.value.kind, ast::ExprKind::Str(_));
        let name = match &arg.name {
            Some(name) => name.text.clone(),
            None if literal_text => String::new(),
            None => self.source_text(arg.value.span),
        };
        let value = self.print_value(arg, top)?;
        Some(ir::PrintArg { name, value })
    }

    fn print_value(&mut self, arg: &ast::PrintArg, top: Option<u64>) -> Option<PrintValue> {
        if let ast::ExprKind::State { name, keys: None } = &arg.value.kind {
            let state = self.known_state(name)?;
            if self.prints_as_table(state) {
                return Some(PrintValue::State { state, top });
            }
        }
        if top.is_some() {
            return self.fail(
                Diagnostic::error("E0406", "`top` is for maps")
                    .primary(arg.span, "not a map")
                    .help("print @calls top 10"),
            );
        }
        Some(PrintValue::Expr(self.shown_value(&arg.value)?))
    }

    fn check_dump_length(&mut self, len: &ir::Expr) -> Option<()> {
        const MOST: u64 = 4096;
        let text = self.source_text(len.span);
        match literal(len) {
            Some(n) if n == 0 || n > MOST => self.fail(
                Diagnostic::error("E0415", format!("`dump` prints 1 to {MOST} bytes"))
                    .primary(len.span, text)
                    .help("dump sp, 64"),
            ),
            _ => Some(()),
        }
    }

    fn assert(&mut self, cond: &ast::Expr, message: Option<&ast::Expr>) -> Option<StmtKind> {
        let text = self.source_text(cond.span);
        let cond = self.condition(cond);
        let message = match message {
            Some(message) => Some(self.expr(message)?),
            None => None,
        };
        Some(StmtKind::Assert { cond: cond?, message, text })
    }

    // ---------- aggregations ----------

    fn aggregate(&mut self, aggregate: &ast::Aggregate, span: Span) -> Option<StmtKind> {
        let function = &aggregate.function;
        let value = match &aggregate.value {
            Some(e) => Some(self.aggregated_value(function, e)?),
            None => None,
        };
        let agg = self.aggregate_function(function, value.as_ref(), aggregate)?;
        let state = match &aggregate.into {
            Some(name) if name.text == "@" => {
                return self.fail(
                    Diagnostic::error("E0114", "a name is missing after `@`")
                        .primary(name.span, "expected a name after this")
                        .help("count into @calls"),
                );
            }
            Some(name) => self.states.named(&name.text, name.span),
            None => {
                let text = self.source_text(span);
                self.states.unnamed(text, span)
            }
        };
        self.aggregated(state, agg, function.span)?;
        let keys = self.keys(state, &aggregate.by, span, true)?;
        Some(StmtKind::Aggregate { state, value, keys })
    }

    fn aggregated_value(&mut self, function: &Text, e: &ast::Expr) -> Option<ir::Expr> {
        let value = self.expr(e)?;
        let any = function.text == "last" && value.ty != Type::Bytes;
        if value.ty.is_integer() || any {
            return Some(value);
        }
        let title = format!("`{}` takes integers", function.text);
        let out = Diagnostic::error("E0406", title).primary(e.span, format!("this is {}", describe(value.ty)));
        let text = self.source_text(e.span);
        self.fail(match value.ty {
            Type::F32 | Type::F64 => out.help(format!("{} {text} as i64", function.text)),
            Type::Str | Type::Stack => out.help(format!("to count by it: `count by {text}`")),
            _ => out,
        })
    }

    fn aggregate_function(
        &mut self,
        function: &Text,
        value: Option<&ir::Expr>,
        aggregate: &ast::Aggregate,
    ) -> Option<AggFn> {
        let signed = value.is_some_and(|value| value.ty.is_signed());
        Some(match function.text.as_str() {
            "count" => AggFn::Count,
            "sum" => AggFn::Sum(signed),
            "avg" => AggFn::Avg(signed),
            "min" => AggFn::Min(signed),
            "max" => AggFn::Max(signed),
            "stats" => AggFn::Stats(signed),
            "last" => AggFn::Last(kept(value?.ty)),
            _ => match &aggregate.linear {
                None => AggFn::Hist,
                Some((from, to, step)) => self.linear(from, to, step.as_ref())?,
            },
        })
    }

    fn linear(&mut self, from: &ast::Expr, to: &ast::Expr, step: Option<&ast::Expr>) -> Option<AggFn> {
        const MOST: u64 = 10_000;
        let low = self.bucket_bound(from)?;
        let high = self.bucket_bound(to)?;
        if low >= high {
            return self.fail(
                Diagnostic::error("E0415", "this histogram has no buckets")
                    .primary(from.span.to(to.span), "the end is excluded")
                    .help("hist x1 linear 0..200 step 10"),
            );
        }
        let width = high.abs_diff(low);
        let step_value = match step {
            Some(step) => self.count(step, "the width of a bucket", "hist x1 linear 0..200 step 10")?,
            None => width.div_ceil(20).max(1),
        };
        if width / step_value > MOST {
            return self.fail(
                Diagnostic::error("E0415", format!("this histogram has more than {MOST} buckets"))
                    .primary(from.span.to(to.span), format!("{} buckets", width / step_value))
                    .help(format!("a wider step: `step {}`", width.div_ceil(100))),
            );
        }
        Some(AggFn::LinearHist { from: low, to: high, step: step_value })
    }

    fn bucket_bound(&mut self, e: &ast::Expr) -> Option<i64> {
        let value = self.constant(e, "the range of a histogram")?;
        let bound = match value.kind {
            ExprKind::Int(v) if value.ty.is_signed() => Some(v as i64),
            ExprKind::Int(v) => i64::try_from(v).ok(),
            _ => None,
        };
        match bound {
            Some(bound) => Some(bound),
            None => self.fail(
                Diagnostic::error("E0415", "the range of a histogram is given with 64-bit signed integers")
                    .primary(e.span, "not such a number")
                    .help("hist x1 linear 0..200 step 10"),
            ),
        }
    }

    // ---------- variables ----------

    fn let_stmt(&mut self, name: &Text, ty: Option<&ast::TypeName>, value: &ast::Expr) -> Option<StmtKind> {
        self.check_free_name(name, "variable");
        if let Some((_, first)) = self.find_local(&name.text) {
            self.duplicate_local(name, first);
        }
        let data = self.data(value)?.filter(|_| ty.is_none());
        let lowered = match &data {
            Some(data) => self.data_value(data),
            None => self.expr(value),
        };
        let declared = match ty {
            Some(ty) => {
                let word = ty.span;
                self.type_name(ty).map(|ty| (ty, word))
            }
            None => None,
        };
        let lowered = match (lowered, declared) {
            (Some(value), Some((ty, at))) => self.convert(value, ty, at),
            (value, _) => value,
        };
        // The name exists even if its value is wrong: that is reported once.
        let ty = match (&lowered, declared) {
            (_, Some((ty, _))) => ty,
            (Some(value), None) => kept(value.ty),
            (None, None) => {
                self.unknown.insert(name.text.clone());
                return None;
            }
        };
        let local = ir::LocalId(self.probe.locals.len() as u32);
        self.probe.locals.push(ir::Local { name: name.text.clone(), ty });
        if let Some(scope) = self.probe.scopes.last_mut() {
            scope.push((name.text.clone(), local, name.span));
        }
        if let Some(data) = &data {
            let id = self.data_id(data);
            self.probe.data.insert(local, id);
        }
        let value = lowered?;
        Some(StmtKind::SetLocal { local, value })
    }

    fn duplicate_local(&mut self, name: &Text, first: Span) {
        self.error(
            Diagnostic::error("E0410", format!("`{}` is declared twice", name.text))
                .primary(name.span, "second declaration")
                .secondary(first, "first declaration")
                .help(format!("to change it, leave out `let`: `{} = …`", name.text)),
        );
    }

    fn assign(&mut self, target: &ast::Expr, op: AssignOp, op_span: Span, value: &ast::Expr) -> Option<StmtKind> {
        match &target.kind {
            ast::ExprKind::State { name, keys } => {
                self.assign_state(name, keys.as_deref(), op, op_span, value, target.span)
            }
            ast::ExprKind::Path { root, access } => {
                if let Some((name, owner)) = self.own_state(root, access, target.span) {
                    return self.assign_state(&name, Some(&[owner]), op, op_span, value, target.span);
                }
                self.assign_name(root, access, op, op_span, value, target.span)
            }
            _ => None,
        }
    }

    fn assign_state(
        &mut self,
        name: &Text,
        keys: Option<&[ast::Expr]>,
        op: AssignOp,
        op_span: Span,
        value: &ast::Expr,
        whole: Span,
    ) -> Option<StmtKind> {
        if name.text == "@" {
            return self.fail(
                Diagnostic::error("E0114", "a name is missing after `@`")
                    .primary(name.span, "expected a name after this")
                    .help("@n = 1, or @n[pid] += 1; to count by a key: `count by pid`"),
            );
        }
        if let Some(found) = self.bpftrace_aggregate(name, value) {
            return found;
        }
        let before = std::mem::replace(&mut self.tentative, false);
        let lowered = self.expr(value);
        let tentative = std::mem::replace(&mut self.tentative, before);
        let lowered = lowered?;
        if matches!(lowered.ty, Type::Bytes) {
            return self.fail(
                Diagnostic::error("E0406", "bytes cannot be kept in a global")
                    .primary(value.span, "this is bytes")
                    .help("keep a number, `u64[p]`, or a text, `str(p)`"),
            );
        }
        let (state, ty) = self.assigned(name, &lowered, tentative)?;
        if op != AssignOp::Set && !ty.is_integer() {
            let sign = self.sources.slice(op_span).to_string();
            let out = Diagnostic::error(
                "E0406",
                format!("`{sign}` is for integers, and `{}` holds {}", name.text, describe(ty)),
            )
            .primary(op_span, "not for this");
            return self.fail(match ty.is_float() {
                true => out.help(format!("{0} = {0} {1} …", name.text, &sign[..1])),
                false => out,
            });
        }
        let lowered = match lowered.ty == ty || (ty == Type::Word || ty == Type::CodeAddr) {
            true => lowered,
            false => self.convert(lowered, ty, name.span)?,
        };
        let keys = self.keys(state, keys.unwrap_or(&[]), whole, true)?;
        Some(StmtKind::SetState { state, keys, op, value: lowered })
    }

    /// `@ = count()` as in bpftrace.
    fn bpftrace_aggregate(&mut self, name: &Text, value: &ast::Expr) -> Option<Option<StmtKind>> {
        let ast::ExprKind::Call { name: function, args, .. } = &value.kind else {
            return None;
        };
        let word = match function.text.as_str() {
            "lhist" => "hist",
            word => word,
        };
        const AGGREGATES: [&str; 6] = ["count", "sum", "avg", "stats", "hist", "last"];
        let extreme = matches!(word, "min" | "max") && args.len() == 1;
        if self.functions.contains_key(&function.text) || !(AGGREGATES.contains(&word) || extreme) {
            return None;
        }
        let of = match args.first() {
            Some(arg) => format!(" {}", self.source_text(arg.span)),
            None => String::new(),
        };
        Some(
            self.fail(
                Diagnostic::error("E0102", format!("`{word}` is a statement, not a function"))
                    .primary(function.span, "a statement of its own")
                    .help(format!("{word}{of} into {}", name.text)),
            ),
        )
    }

    fn assign_name(
        &mut self,
        root: &Text,
        access: &[ast::Access],
        op: AssignOp,
        op_span: Span,
        value: &ast::Expr,
        whole: Span,
    ) -> Option<StmtKind> {
        let Some((local, _)) = self.find_local(&root.text).filter(|_| access.is_empty()) else {
            return self.not_assignable(root, access, op, value, whole);
        };
        let ty = self.probe.locals[local.0 as usize].ty;
        let binary = match op {
            AssignOp::Set => None,
            AssignOp::Add => Some(ast::Binary::Add),
            AssignOp::Sub => Some(ast::Binary::Sub),
            AssignOp::Mul => Some(ast::Binary::Mul),
            AssignOp::Or => Some(ast::Binary::BitOr),
            AssignOp::And => Some(ast::Binary::BitAnd),
            AssignOp::Xor => Some(ast::Binary::BitXor),
        };
        let lowered = match binary {
            None => self.expr(value)?,
            Some(op) => {
                let old = ast::Expr {
                    kind: ast::ExprKind::Path { root: root.clone(), access: Vec::new() },
                    span: whole,
                    depth: 1,
                };
                let sum = ast::Expr {
                    kind: ast::ExprKind::Binary(op, op_span, Box::new(old), Box::new(value.clone())),
                    span: whole.to(value.span),
                    depth: value.depth + 1,
                };
                self.expr(&sum)?
            }
        };
        let full = matches!(ty, Type::Word | Type::CodeAddr | Type::Bool | Type::Int { bits: 64, .. });
        let value = match full && lowered.ty.is_integer() {
            true => lowered,
            false => self.convert(lowered, ty, root.span)?,
        };
        Some(StmtKind::SetLocal { local, value })
    }

    /// Explains an assignment to something that is no variable.
    fn not_assignable<T>(
        &mut self,
        root: &Text,
        access: &[ast::Access],
        op: AssignOp,
        value: &ast::Expr,
        whole: Span,
    ) -> Option<T> {
        let name = root.text.as_str();
        if access.is_empty()
            && let Some(constant) = self.constants.get(name)
        {
            let what = if constant.is_param { "parameter" } else { "constant" };
            let out = Diagnostic::error("E0402", format!("`{name}` is a {what} and keeps its value"))
                .primary(whole, "cannot be assigned")
                .secondary(constant.span, "declared here");
            return self.fail(out.help(format!("a variable of the run is a global: `@{name} = …`")));
        }
        if name == "call" && !access.is_empty() {
            self.unsupported(&format!("{name}.x"), whole);
            return None;
        }
        let register = self.register(root, access)?;
        let guest = register.is_some() || name == "pc" || name == "insn";
        let known = crate::builtins::variable(name).is_some();
        if !guest && !known {
            return self.undeclared(root, value);
        }
        let (target, value) = (self.source_text(whole), self.source_text(value.span));
        let written = match op {
            AssignOp::Set => format!("write {target} = {value}"),
            op => format!("write {target} = {target} {} {value}", op_sign(op)),
        };
        let title = match guest {
            true => format!("`{target}` belongs to the guest: a change needs the verb `write`"),
            false => format!("`{target}` cannot be assigned"),
        };
        let out = Diagnostic::error("E0105", title).primary(
            whole,
            match guest {
                true => "missing `write`",
                false => "a builtin",
            },
        );
        self.fail(match guest {
            true => {
                let start = Span { end: whole.start, ..whole };
                out.help(written).fix(start, "write ")
            }
            false => out.help(format!("choose another name: `let my_{name} = {value}`")),
        })
    }

    fn undeclared<T>(&mut self, root: &Text, value: &ast::Expr) -> Option<T> {
        if self.probe.damaged || !self.unknown.insert(root.text.clone()) {
            return None;
        }
        let name = &root.text;
        if self.terse() {
            return self.fail(
                Diagnostic::error("E0404", format!("there is no variable `{name}`")).primary(root.span, "not declared"),
            );
        }
        let text = self.source_text(value.span);
        let mut near: Vec<String> = self.probe.scopes.iter().flatten().map(|(n, ..)| n.clone()).collect();
        near.extend(self.target.register_names());
        let near = nearest(name, near);
        let out =
            Diagnostic::error("E0404", format!("there is no variable `{name}`")).primary(root.span, "not declared");
        let out = out.help(format!("for this firing only: `let {name} = {text}`"));
        let out = out.help(format!("kept over the whole run: `@{name} = {text}`"));
        self.fail(match near {
            Some(near) => match self.target.register(&near) {
                Some(_) => out.help(format!("or did you mean `write {near} = {text}`?")),
                None => out.help(format!("or did you mean `{near}`?")),
            },
            None => out,
        })
    }

    fn delete(&mut self, target: &ast::Expr) -> Option<StmtKind> {
        let ast::ExprKind::State { name, keys } = &target.kind else {
            return None;
        };
        let state = self.known_state(name)?;
        let Some(keys) = keys else {
            return self.fail(
                Diagnostic::error("E0412", "`delete` removes one key")
                    .primary(target.span, "which key?")
                    .help(format!("delete {}[x0]", name.text))
                    .help(format!("to empty all of it: `reset {}`", name.text)),
            );
        };
        let keys = self.keys(state, keys, target.span, false)?;
        Some(StmtKind::Delete { state, keys })
    }
}

fn mask(value: u128, bits: u8, span: Span) -> ir::Expr {
    match bits > 64 {
        true => make(ExprKind::Int128(value), Type::U128, span),
        false => int(value as u64, span),
    }
}

fn bits_word(op: BitsOp) -> &'static str {
    match op {
        BitsOp::Flip => "flip",
        BitsOp::Set => "set",
        BitsOp::Clear => "clear",
    }
}

fn op_sign(op: AssignOp) -> &'static str {
    match op {
        AssignOp::Set => "=",
        AssignOp::Add => "+",
        AssignOp::Sub => "-",
        AssignOp::Mul => "*",
        AssignOp::Or => "|",
        AssignOp::And => "&",
        AssignOp::Xor => "^",
    }
}
