//! The readable text form of the IR, which `spile dump --stage ir` prints.

use std::fmt::{self, Display, Formatter, Write};

use crate::ir::*;

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, state) in self.states.iter().enumerate() {
            writeln!(f, "state {index} {}", StateText(state))?;
        }
        for (index, probe) in self.probes.iter().enumerate() {
            writeln!(f, "probe {index} {}", probe.name)?;
            ProbeText(self, probe).fmt(f)?;
        }
        Ok(())
    }
}

struct StateText<'a>(&'a State);

impl Display for StateText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let state = self.0;
        let name = match state.unnamed {
            true => format!("{:?}", state.name),
            false => state.name.clone(),
        };
        f.write_str(&name)?;
        if !state.keys.is_empty() {
            let keys = state.keys.iter().zip(&state.key_names);
            let keys: Vec<String> = keys.map(|(ty, name)| format!("{name}: {ty}")).collect();
            write!(f, "[{}]", keys.join(", "))?;
        }
        match &state.kind {
            StateKind::Value { ty, initial: 0 } => write!(f, ": {ty}")?,
            StateKind::Value { ty, initial } => write!(f, ": {ty} = {initial}")?,
            StateKind::Aggregate(function) => write!(f, ": {function:?}")?,
        }
        write!(f, " max {}", state.capacity)
    }
}

struct ProbeText<'a>(&'a Program, &'a Probe);

impl Display for ProbeText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ProbeText(program, probe) = *self;
        let moment = match probe.moment {
            Moment::On => "on",
            Moment::Before => "before",
            Moment::After => "after",
        };
        writeln!(f, "  {moment} {}", EventText(&probe.event))?;
        list(f, "at", &probe.at, loc_text)?;
        list(f, "in", &probe.within, region_text)?;
        list(f, "except", &probe.except, region_text)?;
        list(f, "since", &probe.since, loc_text)?;
        list(f, "until", &probe.until, loc_text)?;
        let cx = Cx { program, probe };
        for filter in &probe.filters {
            match filter {
                Filter::When(expr) => writeln!(f, "  when {}", cx.expr(expr))?,
                Filter::Hit(spec) => writeln!(f, "  hit {}", hit_text(spec))?,
                Filter::From(callers) => list(f, "from", callers, loc_text)?,
                Filter::During(functions) => list(f, "during", functions, loc_text)?,
                Filter::Limit(spec) => writeln!(f, "  limit {}", limit_text(spec))?,
            }
        }
        if probe.disabled {
            writeln!(f, "  disabled")?;
        }
        if probe.optional {
            writeln!(f, "  optional")?;
        }
        let mut out = String::new();
        cx.block(&mut out, &probe.body, 1);
        f.write_str(&out)
    }
}

fn list<T>(f: &mut Formatter<'_>, word: &str, items: &[T], text: fn(&T) -> String) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    let items: Vec<String> = items.iter().map(text).collect();
    writeln!(f, "  {word} {}", items.join(", "))
}

struct EventText<'a>(&'a Event);

impl Display for EventText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Insn(InsnPattern::Any) => f.write_str("insn"),
            Event::Insn(InsnPattern::Glob(glob)) => write!(f, "insn {glob:?}"),
            Event::Insn(InsnPattern::Regex(pattern)) => write!(f, "insn {}", regex_text(pattern)),
            Event::Block => f.write_str("block"),
            Event::Line => f.write_str("line"),
            Event::Branch => f.write_str("branch"),
            Event::EveryInsns(n) => write!(f, "every {n} insns"),
            Event::EveryTime(n) => write!(f, "every {n} ns"),
            Event::Call => f.write_str("call"),
            Event::Return => f.write_str("return"),
            Event::Begin => f.write_str("begin"),
            Event::End => f.write_str("end"),
            Event::Exit => f.write_str("exit"),
            Event::Spawn => f.write_str("spawn"),
            Event::Syscall(NumberSet::Any) => f.write_str("syscall *"),
            Event::Syscall(NumberSet::Numbers(list)) => {
                let numbers: Vec<String> = list.iter().map(u64::to_string).collect();
                write!(f, "syscall {}", numbers.join(", "))
            }
            Event::Signal(NumberSet::Any) => f.write_str("signal *"),
            Event::Signal(NumberSet::Numbers(list)) => {
                let numbers: Vec<String> = list.iter().map(u64::to_string).collect();
                write!(f, "signal {}", numbers.join(", "))
            }
            Event::Mark(names) => write!(f, "mark {names}"),
            Event::Load(names) => write!(f, "load {names}"),
            Event::Output(glob) => write!(f, "output {glob:?}"),
            Event::Trap(causes) => {
                let words: Vec<&str> = causes.iter().map(|cause| cause.word()).collect();
                write!(f, "trap {}", words.join(", "))
            }
            Event::Access(AccessKind::Read) => f.write_str("read"),
            Event::Access(AccessKind::Write) => f.write_str("write"),
            Event::Access(AccessKind::Any) => f.write_str("access"),
        }
    }
}

fn regex_text(pattern: &Pattern) -> String {
    let flag = if pattern.ignore_case { "i" } else { "" };
    format!("/{}/{flag}", pattern.text)
}

fn loc_text(loc: &Loc) -> String {
    let place = match &loc.place {
        Place::Addr(addr) => format!("{addr:#x}"),
        Place::Symbol(name) => name.clone(),
        Place::Glob(glob) => format!("{glob:?}"),
        Place::ModuleSymbol { module, symbol } => format!("{module:?}:{symbol}"),
        Place::ModuleGlob { module, glob } => format!("{module:?}:{glob:?}"),
        Place::Line { file, line } => format!("{file:?}:{line}"),
        Place::ModuleAddr { module, addr } => format!("{module:?}:{addr:#x}"),
        Place::Any => "*".to_string(),
    };
    match loc.offset {
        0 => place,
        n if n > 0 => format!("{place}+{n:#x}"),
        n => format!("{place}-{:#x}", n.unsigned_abs()),
    }
}

fn region_text(region: &Region) -> String {
    match &region.kind {
        RegionKind::Extent(loc) => loc_text(loc),
        RegionKind::Range(from, to) => format!("{}..{}", loc_text(from), loc_text(to)),
        RegionKind::Len(from, len) => format!("{}..+{len:#x}", loc_text(from)),
    }
}

fn hit_text(spec: &HitSpec) -> String {
    let counts = match &spec.counts {
        HitCounts::Every(n) => format!("every {n}"),
        HitCounts::Ranges(ranges) => {
            let texts = ranges.iter().map(|(from, to)| match to {
                Some(to) if *to == from + 1 => format!("{from}"),
                Some(to) => format!("{from}..{to}"),
                None => format!("{from}.."),
            });
            texts.collect::<Vec<_>>().join(", ")
        }
    };
    match spec.per_thread {
        true => format!("{counts} per thread"),
        false => counts,
    }
}

fn limit_text(spec: &LimitSpec) -> String {
    let period = match spec.period {
        Period::Insns(n) => format!("{n} insns"),
        Period::Nanoseconds(n) => format!("{n}ns"),
    };
    let per_thread = if spec.per_thread { " per thread" } else { "" };
    format!("{} per {period}{per_thread}", spec.most)
}

fn lasting(lasts: &Lasting) -> String {
    match lasts {
        Lasting::Insns(n) => format!("for {n} insns"),
        Lasting::Nanoseconds(n) => format!("for {n}ns"),
        Lasting::Hits(n) => format!("for {n} hits"),
        Lasting::Until(loc) => format!("until {}", loc_text(loc)),
    }
}

struct Cx<'a> {
    program: &'a Program,
    probe: &'a Probe,
}

impl Cx<'_> {
    fn block(&self, out: &mut String, body: &[Stmt], depth: usize) {
        for stmt in body {
            self.stmt(out, stmt, depth);
        }
    }

    fn stmt(&self, out: &mut String, stmt: &Stmt, depth: usize) {
        let pad = "  ".repeat(depth);
        let text = match &stmt.kind {
            StmtKind::If { cond, then, otherwise } => {
                let _ = writeln!(out, "{pad}if {} {{", self.expr(cond));
                self.block(out, then, depth + 1);
                if !otherwise.is_empty() {
                    let _ = writeln!(out, "{pad}}} else {{");
                    self.block(out, otherwise, depth + 1);
                }
                "}".to_string()
            }
            StmtKind::For { over, body } => {
                let over = match *over {
                    Loop::Range { local, from, to } => format!("{} in {from}..{to}", self.local(local)),
                    Loop::Map { state, key, value } => {
                        let value = value.map(|value| format!(", {}", self.local(value))).unwrap_or_default();
                        format!("{}{value} in {}", self.local(key), self.state(state, &[]))
                    }
                };
                let _ = writeln!(out, "{pad}for {over} {{");
                self.block(out, body, depth + 1);
                "}".to_string()
            }
            kind => self.simple(kind),
        };
        let _ = writeln!(out, "{pad}{text}");
    }

    fn simple(&self, kind: &StmtKind) -> String {
        match kind {
            StmtKind::Write { target, value } => {
                format!("write {} = {}", self.lvalue(target), self.expr(value))
            }
            StmtKind::Bits { op, target, mask } => {
                let op = format!("{op:?}").to_lowercase();
                format!("{op} {} mask {}", self.lvalue(target), self.expr(mask))
            }
            StmtKind::Transient { patch, lasts } => format!("{} {}", self.simple(&patch.kind), lasting(lasts)),
            StmtKind::Stick { target, mask, value, lasts } => {
                let mask = mask.as_ref().map(|mask| format!(" mask {}", self.expr(mask))).unwrap_or_default();
                let lasts = lasts.as_ref().map(|lasts| format!(" {}", lasting(lasts))).unwrap_or_default();
                format!("stick {}{mask} = {}{lasts}", self.lvalue(target), self.expr(value))
            }
            StmtKind::TraceFor(lasts) => format!("trace {}", lasting(lasts)),
            StmtKind::FinishSyscall(value) => format!("return {}", self.expr(value)),
            StmtKind::FinishAccess(Some(value)) => format!("return {}", self.expr(value)),
            StmtKind::FinishAccess(None) => "skip".to_string(),
            StmtKind::Raise(signal) => format!("raise {signal}"),
            StmtKind::Skip(n) => format!("skip {}", self.expr(n)),
            StmtKind::Goto(GotoTarget::Loc(loc)) => format!("goto {}", loc_text(loc)),
            StmtKind::Goto(GotoTarget::Expr(e)) => format!("goto ({})", self.expr(e)),
            StmtKind::Return { result: None, .. } => "return void".to_string(),
            StmtKind::Return { result: Some((register, e)), .. } => {
                format!("return {} = {}", register.name, self.expr(e))
            }
            StmtKind::Print(args) => {
                let args: Vec<String> = args.iter().map(|arg| self.print_arg(arg)).collect();
                format!("print {}", args.join(", "))
            }
            StmtKind::Trace => "trace".to_string(),
            StmtKind::Dump { addr, len } => format!("dump {}, {}", self.expr(addr), self.expr(len)),
            StmtKind::Warn(e) => format!("warn {}", self.expr(e)),
            StmtKind::Aggregate { state, value, keys } => {
                let value = value.as_ref().map(|v| self.expr(v)).unwrap_or_default();
                format!("aggregate {} ({value})", self.state(*state, keys))
            }
            StmtKind::SetLocal { local, value } => {
                format!("{} = {}", self.local(*local), self.expr(value))
            }
            StmtKind::SetState { state, keys, op, value } => {
                format!("{} {} {}", self.state(*state, keys), assign_text(*op), self.expr(value))
            }
            StmtKind::If { .. } | StmtKind::For { .. } => String::new(),
            StmtKind::Next => "next".to_string(),
            StmtKind::Assert { cond, message, .. } => match message {
                Some(message) => format!("assert {}, {}", self.expr(cond), self.expr(message)),
                None => format!("assert {}", self.expr(cond)),
            },
            StmtKind::Fail(e) => format!("fail {}", self.expr(e)),
            StmtKind::Exit(e) => format!("exit {}", self.expr(e)),
            StmtKind::Enable(list) => format!("enable {}", self.labels(list)),
            StmtKind::Disable(list) => format!("disable {}", self.labels(list)),
            StmtKind::Reset(list) => {
                let names: Vec<String> = list.iter().map(|id| self.state(*id, &[])).collect();
                format!("reset {}", names.join(", "))
            }
            StmtKind::Delete { state, keys } => format!("delete {}", self.state(*state, keys)),
        }
    }

    fn labels(&self, list: &[ProbeId]) -> String {
        let name = |id: &ProbeId| self.program.probes.get(id.0 as usize).map(|p| p.name.clone());
        let names: Vec<String> = list.iter().filter_map(name).collect();
        names.join(", ")
    }

    fn print_arg(&self, arg: &PrintArg) -> String {
        let value = match &arg.value {
            PrintValue::Expr(e) => self.expr(e),
            PrintValue::State { state, top: None } => format!("all of {}", self.state(*state, &[])),
            PrintValue::State { state, top: Some(n) } => format!("top {n} of {}", self.state(*state, &[])),
        };
        match arg.name.as_str() {
            "" => value,
            name => format!("{name:?}: {value}"),
        }
    }

    fn lvalue(&self, target: &LValue) -> String {
        match target {
            LValue::Insn => "insn".to_string(),
            LValue::Destination => "insn.dst".to_string(),
            LValue::Accessed => "value".to_string(),
            LValue::Register(register) => register.name.clone(),
            LValue::Memory { ty, addr } => format!("{}[{}]", mem_text(*ty), self.expr(addr)),
        }
    }

    fn local(&self, id: LocalId) -> String {
        let local = self.probe.locals.get(id.0 as usize);
        local.map_or("?".to_string(), |local| local.name.clone())
    }

    fn state(&self, id: StateId, keys: &[Expr]) -> String {
        let state = self.program.states.get(id.0 as usize);
        let name = match state {
            Some(state) if !state.unnamed => state.name.clone(),
            _ => format!("state {}", id.0),
        };
        match keys {
            [] => name,
            keys => format!("{name}[{}]", self.list(keys)),
        }
    }

    fn list(&self, list: &[Expr]) -> String {
        let texts: Vec<String> = list.iter().map(|e| self.expr(e)).collect();
        texts.join(", ")
    }

    fn expr(&self, e: &Expr) -> String {
        match &e.kind {
            ExprKind::Int(v) if e.ty.is_signed() => format!("{}", *v as i64),
            ExprKind::Int(v) => format!("{v}"),
            ExprKind::Int128(v) => format!("{v:#x}"),
            ExprKind::Float(v) => format!("{v:?}"),
            ExprKind::Str(text) => format!("{text:?}"),
            ExprKind::Interp(parts) => self.interp(parts),
            ExprKind::Register(register) => register.name.clone(),
            ExprKind::Local(id) => self.local(*id),
            ExprKind::Builtin(builtin) => format!("{builtin:?}"),
            ExprKind::AddrOf(loc) => format!("&{}", loc_text(loc)),
            ExprKind::Variable(variable) => variable_text(variable),
            ExprKind::EnumName(e, _) => format!("name of {}", self.expr(e)),
            ExprKind::Load { ty, addr } => format!("{}[{}]", mem_text(*ty), self.expr(addr)),
            ExprKind::Unary(op, a) => format!("({op:?} {})", self.expr(a)),
            ExprKind::Binary(op, a, b) => format!("({op:?} {} {})", self.expr(a), self.expr(b)),
            ExprKind::And(a, b) => format!("({} and {})", self.expr(a), self.expr(b)),
            ExprKind::Or(a, b) => format!("({} or {})", self.expr(a), self.expr(b)),
            ExprKind::If(c, a, b) => format!("if {} {{ {} }} else {{ {} }}", self.expr(c), self.expr(a), self.expr(b)),
            ExprKind::Cast(a) => format!("({} as {})", self.expr(a), e.ty),
            ExprKind::Coalesce(a, b) => format!("({} ?? {})", self.expr(a), self.expr(b)),
            ExprKind::WithinRange(x, a, b) => format!("({} within {}..{})", self.expr(x), self.expr(a), self.expr(b)),
            ExprKind::WithinSet(x, list) => {
                format!("({} within {{{}}})", self.expr(x), self.list(list))
            }
            ExprKind::MatchesGlob(x, glob) => format!("({} =~ {glob:?})", self.expr(x)),
            ExprKind::MatchesRegex(x, pattern) => {
                format!("({} =~ {})", self.expr(x), regex_text(pattern))
            }
            ExprKind::Call(func, args) => format!("{func:?}({})", self.list(args)),
            ExprKind::State(id, keys) => self.state(*id, keys),
        }
    }

    fn interp(&self, parts: &[StrPart]) -> String {
        let mut out = String::from("\"");
        for part in parts {
            match part {
                StrPart::Text(text) => {
                    let quoted = format!("{text:?}");
                    out.push_str(&quoted[1..quoted.len() - 1]);
                }
                StrPart::Value(e, format) => {
                    let _ = write!(out, "{{{}{}}}", self.expr(e), format_text(*format));
                }
            }
        }
        out.push('"');
        out
    }
}

fn format_text(format: Format) -> String {
    if format == Format::default() {
        return String::new();
    }
    let align = match format.align {
        Some(Align::Left) => "<",
        Some(Align::Right) => ">",
        Some(Align::Center) => "^",
        None => "",
    };
    let prefix = if format.prefix { "#" } else { "" };
    let zero = if format.zero { "0" } else { "" };
    let width = match format.width {
        0 => String::new(),
        n => n.to_string(),
    };
    let style = match format.style {
        FormatStyle::Default => "",
        FormatStyle::Decimal => "d",
        FormatStyle::Hex => "x",
        FormatStyle::UpperHex => "X",
        FormatStyle::Binary => "b",
        FormatStyle::Octal => "o",
        FormatStyle::Char => "c",
        FormatStyle::Symbol => "sym",
        FormatStyle::Str => "str",
        FormatStyle::Duration(DurationUnit::Ns) => "ns",
        FormatStyle::Duration(DurationUnit::Us) => "us",
        FormatStyle::Duration(DurationUnit::Ms) => "ms",
        FormatStyle::Duration(DurationUnit::S) => "s",
    };
    format!(":{align}{prefix}{zero}{width}{style}")
}

fn variable_text(variable: &Variable) -> String {
    let name = match variable.kind {
        VariableKind::Argument => format!("args.{}", variable.name),
        VariableKind::Local => format!("vars.{}", variable.name),
        VariableKind::Result => variable.name.clone(),
    };
    match variable.ty {
        Some(ty) if variable.offset == 0 => format!("{name}:{}", mem_text(ty)),
        Some(ty) => format!("{name}+{}:{}", variable.offset, mem_text(ty)),
        None => format!("&{name}+{}", variable.offset),
    }
}

fn assign_text(op: AssignOp) -> &'static str {
    match op {
        AssignOp::Set => "=",
        AssignOp::Add => "+=",
        AssignOp::Sub => "-=",
        AssignOp::Mul => "*=",
        AssignOp::Or => "|=",
        AssignOp::And => "&=",
        AssignOp::Xor => "^=",
    }
}

fn mem_text(ty: MemType) -> String {
    let order = if ty.big_endian { "be" } else { "" };
    match ty.ty {
        crate::types::Type::Word => format!("ptr{order}"),
        other => format!("{other}{order}"),
    }
}
