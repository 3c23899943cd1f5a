//! Expressions to slots.

use super::body::Body;
use super::code::{Atom, Label, Value};
use super::fold::{Static, bits, bswap, equal_op, less_op, sext, truncate, unsigned};
use super::{ProgramKey, TooComplex};
use crate::probe::action::{Action, FloatOp, TextHandle, TextPart};
use crate::probe::stack;
use crate::translate::NEXT_PC;
use crate::uop::{BinOp, Lanes, MemTy, UnOp, Uop, X, slot};
use crate::vector::VxOp;
use spile_lang::ir::{BinaryOp, Builtin, Expr, ExprKind, Func, MemType, StateId, StrPart, UnaryOp, Variable};
use spile_lang::target::{Register, RegisterSlot};
use spile_lang::types::Type;

type Result<T> = std::result::Result<T, TooComplex>;

/// Temporaries that the place and the value of a variable may take. One that needs more has no value.
const VARIABLE_SLOTS: usize = 12;

/// Where the flags stand in the value that scripts see: as `mrs x0, nzcv` gives them.
pub(in crate::probe) const NZCV_SHIFT: u64 = 28;

impl Body<'_> {
    /// Lowers `e` and returns its value.
    pub(super) fn expr(&mut self, e: &Expr) -> Result<Value> {
        self.code.span = e.span;
        if let Some(known) = self.fold(e) {
            return Ok(self.constant(&known, e.ty));
        }
        match &e.kind {
            ExprKind::Register(register) => self.register(register),
            ExprKind::Local(local) => Ok(self.locals[local.0 as usize]),
            ExprKind::Variable(variable) => self.variable(variable, e),
            ExprKind::EnumName(value, names) => self.result_of(Action::EnumName(names.clone()), &[value], e),
            ExprKind::Builtin(builtin) => self.builtin(*builtin, e),
            ExprKind::Load { ty, addr } => self.load(ty, addr, e),
            ExprKind::Unary(op, a) => self.unary(*op, a, e),
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b, e),
            ExprKind::And(..) | ExprKind::Or(..) | ExprKind::WithinRange(..) | ExprKind::WithinSet(..) => self.truth(e),
            ExprKind::If(cond, a, b) => self.choose(cond, a, b, e.ty),
            ExprKind::Cast(inner) => {
                let mark = self.code.mark();
                let value = self.expr(inner)?;
                self.convert(mark, value, inner.ty, e.ty, e)
            }
            ExprKind::Coalesce(a, b) => self.coalesce(a, b, e.ty),
            ExprKind::MatchesGlob(text, glob) => self.result_of(Action::TextMatchesGlob(glob.clone()), &[text], e),
            ExprKind::MatchesRegex(text, pattern) => {
                self.result_of(Action::TextMatchesRegex(pattern.clone()), &[text], e)
            }
            ExprKind::Call(func, args) => self.call(*func, args, e),
            ExprKind::State(state, keys) => self.state(*state, keys, e),
            ExprKind::Interp(parts) => self.interpolate(parts, e),
            // An address that was not resolved; `attach` has reported it.
            ExprKind::AddrOf(_) => Ok(Value::One(Atom::ZERO)),
            ExprKind::Int(_) | ExprKind::Int128(_) | ExprKind::Float(_) | ExprKind::Str(_) => {
                unreachable!("literals fold")
            }
        }
    }

    /// Lowers an expression whose value fits in a slot.
    pub(super) fn atom(&mut self, e: &Expr) -> Result<Atom> {
        Ok(self.expr(e)?.low())
    }

    /// Returns a known value as it stands in slots.
    pub(super) fn constant(&mut self, known: &Static, ty: Type) -> Value {
        match known {
            Static::Int(value) if ty == Type::U128 => Value::Two(Atom::Const(*value), Atom::ZERO),
            Static::Int(value) => Value::One(Atom::Const(*value)),
            Static::Wide(value) => Value::Two(Atom::Const(*value as u64), Atom::Const((*value >> 64) as u64)),
            Static::Float(value) if ty == Type::F32 => Value::One(Atom::Const((*value as f32).to_bits().into())),
            Static::Float(value) => Value::One(Atom::Const(value.to_bits())),
            Static::Text(text) => Value::One(Atom::Const(self.host.intern(text).0)),
        }
    }

    // ---- results in temporaries

    /// Frees the temporaries from `mark` on and returns the first of them, for the last micro-op of an expression.
    fn result(&mut self, mark: X) -> Result<X> {
        self.code.release(mark);
        self.code.temp()
    }

    fn un_result(&mut self, mark: X, op: UnOp, a: Atom) -> Result<Value> {
        let a = self.code.slot(a)?;
        let d = self.result(mark)?;
        self.code.push(Uop::Un { op, d, a });
        Ok(Value::One(Atom::Slot(d)))
    }

    fn bin_result(&mut self, mark: X, op: BinOp, a: Atom, b: Atom) -> Result<Value> {
        // A known left operand may need a slot; it must not be one that the right operand is in.
        let a = match b {
            Atom::Const(_) => Atom::Slot(self.code.slot(a)?),
            Atom::Slot(_) => a,
        };
        let a = match a {
            Atom::Const(_) if !commutes(op) => Atom::Slot(self.code.slot(a)?),
            a => a,
        };
        let d = self.result(mark)?;
        self.code.bin(op, d, a, b)?;
        Ok(Value::One(Atom::Slot(d)))
    }

    /// Appends `op(a, b)` into a new temporary.
    fn bin(&mut self, op: BinOp, a: Atom, b: Atom) -> Result<Atom> {
        let d = self.code.temp()?;
        self.code.bin(op, d, a, b)?;
        Ok(Atom::Slot(d))
    }

    fn move_value(&mut self, d: X, value: Value, wide: bool) {
        if wide {
            let [low, high] = value.halves();
            self.code.move_to(d, low);
            self.code.move_to(d + 1, high);
        } else {
            self.code.move_to(d, value.low());
        }
    }

    /// Puts `value` into `d` (and `d + 1` if it is of type `U128`).
    pub(super) fn store_local(&mut self, d: X, value: Value, ty: Type) {
        self.move_value(d, value, ty == Type::U128);
    }

    fn slots(d: X, wide: bool) -> Value {
        if wide { Value::Two(Atom::Slot(d), Atom::Slot(d + 1)) } else { Value::One(Atom::Slot(d)) }
    }

    // ---- registers

    /// Reads a register or a part of one.
    pub(super) fn register(&mut self, register: &Register) -> Result<Value> {
        let (lsb, len) = (register.offset, register.bits);
        let mark = self.code.mark();
        match register.slot {
            RegisterSlot::Int(a) if len >= 64 => Ok(Value::One(Atom::Slot(a))),
            RegisterSlot::Int(a) => self.field(mark, Atom::Slot(a), lsb, len, register.ty),
            RegisterSlot::Vector(a) if len == 128 => {
                let d = self.code.temps(2)?;
                for half in 0..2 {
                    self.code.push(Uop::Vx { op: VxOp::Get, t: Lanes::D2, d: d + half, a, imm: half.into() });
                }
                Ok(Self::slots(d, true))
            }
            RegisterSlot::Vector(a) => {
                let d = self.code.temp()?;
                let (t, lane) = lane(lsb, len);
                self.code.push(Uop::Vx { op: VxOp::Get, t, d, a, imm: lane });
                Ok(Value::One(Atom::Slot(d)))
            }
            RegisterSlot::Flags => {
                let d = self.code.temp()?;
                self.code.push(Uop::GetNzcv { d });
                self.code.push(Uop::BinI { op: BinOp::Shl64, d, a: d, imm: NZCV_SHIFT });
                if lsb == 0 && len >= 32 {
                    return Ok(Value::One(Atom::Slot(d)));
                }
                self.field(mark, Atom::Slot(d), lsb, len, register.ty)
            }
            RegisterSlot::System(reg) => {
                let d = self.code.temp()?;
                self.code.push(Uop::ReadSys { d, reg });
                if lsb == 0 && len >= 32 {
                    return Ok(Value::One(Atom::Slot(d)));
                }
                self.field(mark, Atom::Slot(d), lsb, len, register.ty)
            }
            RegisterSlot::Pc => Ok(Value::One(Atom::Const(self.place.pc()))),
        }
    }

    fn field(&mut self, mark: X, a: Atom, lsb: u8, len: u8, ty: Type) -> Result<Value> {
        let a = self.code.slot(a)?;
        let d = self.result(mark)?;
        self.code.push(match (lsb, len, ty.is_signed()) {
            (0, 8, false) => Uop::Un { op: UnOp::Zext8, d, a },
            (0, 16, false) => Uop::Un { op: UnOp::Zext16, d, a },
            (0, 32, false) => Uop::Un { op: UnOp::Zext32, d, a },
            (_, _, false) => Uop::BfxU { d, a, lsb, len },
            (_, _, true) => Uop::BfxS { d, a, lsb, len },
        });
        Ok(Value::One(Atom::Slot(d)))
    }

    // ---- context values

    fn builtin(&mut self, builtin: Builtin, e: &Expr) -> Result<Value> {
        if let Some(value) = self.call_value(builtin)? {
            return Ok(value);
        }
        if let Some(known) = self.place.builtin(builtin, self.host) {
            // Only while sizes are checked: everything that folds elsewhere takes a slot here.
            let value = self.constant(&known, e.ty).low();
            let d = self.code.temp()?;
            self.code.move_to(d, value);
            return Ok(Value::One(Atom::Slot(d)));
        }
        match builtin {
            Builtin::Next => Ok(Value::One(Atom::Slot(NEXT_PC))),
            Builtin::Icount => {
                let d = self.code.temp()?;
                self.code.push(Uop::Icount { d });
                Ok(Value::One(Atom::Slot(d)))
            }
            Builtin::Hits => self.hits(),
            Builtin::Tid => self.result_of(Action::ThreadId, &[], e),
            Builtin::Pid => self.result_of(Action::ProcessId, &[], e),
            Builtin::Now => self.result_of(Action::Now, &[], e),
            Builtin::IcountAll => self.result_of(Action::IcountAll, &[], e),
            Builtin::InsnSrc => self.register_of_insn(self.place.source(), e),
            Builtin::InsnDst => self.register_of_insn(self.place.destination(), e),
            Builtin::Stack => self.stack(Action::Stack(stack::USUAL), e),
            Builtin::Caller => self.stack(Action::Caller, e),
            Builtin::Fact(fact) => self.result_of(Action::Fact(fact), &[], e),
            Builtin::BranchTarget => self.indirect_target(),
            Builtin::AccessAddr | Builtin::AccessValue | Builtin::AccessOld => self.of_access(builtin),
            Builtin::SyscallArgument(_) | Builtin::SyscallArguments | Builtin::SyscallElapsed => {
                self.syscall_value(builtin, e)
            }
            _ => Ok(Value::One(Atom::ZERO)),
        }
    }

    /// The number of this firing; in a filter the one that it would have.
    fn hits(&mut self) -> Result<Value> {
        if let Some(hits) = self.hits {
            return Ok(Value::One(Atom::Slot(hits)));
        }
        let mark = self.code.mark();
        let d = self.code.temp()?;
        self.code.push(Uop::CellGet { d, cell: self.fired });
        self.bin_result(mark, BinOp::Add64, Atom::Slot(d), Atom::Const(1))
    }

    /// A register of the instruction, if it has one.
    fn register_of_insn(&mut self, register: Option<Register>, e: &Expr) -> Result<Value> {
        if self.place.nothing_is_static() {
            let d = self.code.temps(2)?;
            self.code.move_to(d, Atom::ZERO);
            return Ok(Value::One(Atom::Slot(d)));
        }
        match register {
            Some(register) => self.register(&register),
            None => {
                self.no_value(e)?;
                Ok(Value::One(Atom::ZERO))
            }
        }
    }

    // ---- variables of the program

    /// A part of a variable: what debug information says that it is at this instruction.
    fn variable(&mut self, variable: &Variable, e: &Expr) -> Result<Value> {
        if self.place.nothing_is_static() {
            return self.largest_variable(e);
        }
        let found = self.host.variable(self.id, self.place.pc_of_state(), variable, e.span);
        let Some(found) = found.filter(|found| most_temporaries(found) <= VARIABLE_SLOTS) else {
            self.no_value(e)?;
            return Ok(Value::One(Atom::ZERO));
        };
        // What is found lives only until it is lowered, so its actions are those of the node that stands for it.
        let outer = self.inside.replace(self.inside.unwrap_or(e.key()));
        let value = self.expr(&found);
        self.inside = outer;
        value
    }

    /// There is no value here: the body is left or the enclosing `??` takes over.
    fn no_value(&mut self, e: &Expr) -> Result<()> {
        if let Some(fallback) = self.fallbacks.last_mut() {
            self.code.jump(fallback);
            return Ok(());
        }
        self.act(Action::NoValue, (slot::ZERO, 0), e)?;
        self.code.jump(&mut self.leave);
        Ok(())
    }

    /// For the check of sizes: more temporaries than what stands for a variable takes.
    fn largest_variable(&mut self, e: &Expr) -> Result<Value> {
        let wide = e.ty == Type::U128;
        let d = self.code.temps(if wide { 2 } else { 1 })?;
        let above = self.code.mark();
        let ok = self.code.temps(VARIABLE_SLOTS)?;
        self.require_memory(Atom::Slot(ok), ok, true, e)?;
        self.code.release(above);
        self.code.move_to(d, Atom::ZERO);
        if wide {
            self.code.move_to(d + 1, Atom::ZERO);
        }
        Ok(Self::slots(d, wide))
    }

    // ---- guest memory

    fn load(&mut self, ty: &MemType, addr: &Expr, e: &Expr) -> Result<Value> {
        let a = self.atom(addr)?;
        self.code.span = e.span;
        self.load_at(ty, a, e)
    }

    /// Reads guest memory at `addr`; if that fails the body is left or the enclosing `??` takes over.
    pub(super) fn load_at<K: ProgramKey>(&mut self, ty: &MemType, addr: Atom, at: &K) -> Result<Value> {
        let a = self.code.slot(addr)?;
        if ty.bytes == 16 {
            return self.load_wide(ty, a, at);
        }
        let d = self.load_checked(raw_type(ty), a, a, at)?;
        if ty.big_endian {
            self.swap(d, ty);
        }
        Ok(Value::One(Atom::Slot(d)))
    }

    fn load_wide<K: ProgramKey>(&mut self, ty: &MemType, a: X, at: &K) -> Result<Value> {
        let low = self.load_checked(MemTy::U64, a, a, at)?;
        let next = self.code.temp()?;
        self.code.push(Uop::BinI { op: BinOp::Add64, d: next, a, imm: 8 });
        let high = self.load_checked(MemTy::U64, next, a, at)?;
        if !ty.big_endian {
            return Ok(Value::Two(Atom::Slot(low), Atom::Slot(high)));
        }
        for half in [low, high] {
            self.code.push(Uop::Un { op: UnOp::Bswap64, d: half, a: half });
        }
        Ok(Value::Two(Atom::Slot(high), Atom::Slot(low)))
    }

    /// Loads from `a`; `reported` is the address that a failure names.
    fn load_checked<K: ProgramKey>(&mut self, ty: MemTy, a: X, reported: X, at: &K) -> Result<X> {
        let d = self.code.temp()?;
        let ok = self.code.temp()?;
        self.code.push(Uop::ProbeLoad { ty, d, e: ok, a });
        self.require_memory(Atom::Slot(ok), reported, true, at)?;
        self.code.release(ok);
        Ok(d)
    }

    /// Goes on only if `ok` is not zero.
    pub(super) fn require_memory<K: ProgramKey>(&mut self, ok: Atom, addr: X, read: bool, at: &K) -> Result<()> {
        if let Some(fallback) = self.fallbacks.last_mut() {
            self.code.jump_if(false, ok, fallback);
            return Ok(());
        }
        let mut readable = Label::default();
        self.code.jump_if(true, ok, &mut readable);
        self.act(Action::BadMemory { read }, (addr, 1), at)?;
        self.code.jump(&mut self.leave);
        self.code.bind(readable);
        Ok(())
    }

    fn swap(&mut self, d: X, ty: &MemType) {
        let op = match ty.bytes {
            1 => return,
            2 => UnOp::Rev16x64,
            4 => UnOp::Bswap32,
            _ => UnOp::Bswap64,
        };
        self.code.push(Uop::Un { op, d, a: d });
        match (ty.signed, ty.bytes) {
            (true, 2) => self.code.push(Uop::Un { op: UnOp::Sext16, d, a: d }),
            (true, 4) => self.code.push(Uop::Un { op: UnOp::Sext32, d, a: d }),
            _ => {}
        }
    }

    fn coalesce(&mut self, a: &Expr, b: &Expr, ty: Type) -> Result<Value> {
        let wide = ty == Type::U128;
        let d = self.code.temps(if wide { 2 } else { 1 })?;
        let above = self.code.mark();
        self.fallbacks.push(Label::default());
        self.move_expr(d, a, ty)?;
        let alternative = self.fallbacks.pop().expect("pushed above");
        if alternative.is_used() {
            let mut end = Label::default();
            self.code.jump(&mut end);
            self.code.bind(alternative);
            self.code.release(above);
            self.move_expr(d, b, ty)?;
            self.code.bind(end);
        }
        self.code.release(above);
        Ok(Self::slots(d, wide))
    }

    /// Lowers `e`, converted to `ty`, into `d`.
    fn move_expr(&mut self, d: X, e: &Expr, ty: Type) -> Result<()> {
        let mark = self.code.mark();
        let value = self.expr(e)?;
        let value = self.convert(mark, value, e.ty, ty, e)?;
        self.move_value(d, value, ty == Type::U128);
        self.code.release(mark);
        Ok(())
    }

    // ---- conditions

    /// Jumps to `label` if the truth of `e` is `when`, else goes on.
    pub(super) fn branch(&mut self, e: &Expr, when: bool, label: &mut Label) -> Result<()> {
        let mark = self.code.mark();
        if let Some(known) = self.fold(e) {
            if known.is_true() == when {
                self.code.jump(label);
            }
            return Ok(());
        }
        match &e.kind {
            ExprKind::Unary(UnaryOp::Not, a) => self.branch(a, !when, label)?,
            ExprKind::And(a, b) => self.branch_both(a, b, when, false, label)?,
            ExprKind::Or(a, b) => self.branch_both(a, b, when, true, label)?,
            ExprKind::Binary(op @ (BinaryOp::Eq | BinaryOp::Ne), a, b)
                if self.fold(b) == Some(Static::Int(0)) && a.ty.is_integer() =>
            {
                self.branch(a, when == (*op == BinaryOp::Ne), label)?;
            }
            ExprKind::WithinRange(x, from, to) => self.branch_range(x, from, to, when, label)?,
            ExprKind::WithinSet(x, set) => self.branch_set(x, set, when, label)?,
            _ => {
                let value = self.truth_value(e)?;
                self.code.jump_if(when, value, label);
            }
        }
        self.code.release(mark);
        Ok(())
    }

    /// A slot that is zero exactly if `e` is false.
    fn truth_value(&mut self, e: &Expr) -> Result<Atom> {
        match self.expr(e)? {
            Value::One(atom) if e.ty.is_float() => {
                // Zero of either sign: all bits but the sign are clear.
                let sign = if e.ty == Type::F32 { 31 } else { 63 };
                self.bin(BinOp::And64, atom, Atom::Const((1 << sign) - 1))
            }
            Value::One(atom) => Ok(atom),
            Value::Two(low, high) => self.bin(BinOp::Or64, low, high),
        }
    }

    /// Branches on `a and b` (`decides` false) or `a or b` (`decides` true).
    fn branch_both(&mut self, a: &Expr, b: &Expr, when: bool, decides: bool, label: &mut Label) -> Result<()> {
        if when == decides {
            self.branch(a, when, label)?;
            return self.branch(b, when, label);
        }
        let mut over = Label::default();
        self.branch(a, decides, &mut over)?;
        self.branch(b, when, label)?;
        self.code.bind(over);
        Ok(())
    }

    fn branch_range(&mut self, x: &Expr, from: &Expr, to: &Expr, when: bool, label: &mut Label) -> Result<()> {
        let value = self.atom(x)?;
        let mark = self.code.mark();
        let low = self.atom(from)?;
        let below = self.compare(less_op(x.ty, from.ty), value, low)?;
        let mut over = Label::default();
        self.code.jump_if(true, below, if when { &mut over } else { label });
        self.code.release(mark);
        let high = self.atom(to)?;
        let inside = self.compare(less_op(x.ty, to.ty), value, high)?;
        self.code.jump_if(when, inside, label);
        self.code.bind(over);
        Ok(())
    }

    fn branch_set(&mut self, x: &Expr, set: &[Expr], when: bool, label: &mut Label) -> Result<()> {
        let value = self.expr(x)?;
        let mark = self.code.mark();
        let mut found = Label::default();
        for element in set {
            let other = self.expr(element)?;
            let equal = self.equal(value, x, other, element)?;
            self.code.jump_if(true, equal, if when { label } else { &mut found });
            self.code.release(mark);
        }
        if !when {
            self.code.jump(label);
        }
        self.code.bind(found);
        Ok(())
    }

    fn equal(&mut self, a: Value, a_expr: &Expr, b: Value, b_expr: &Expr) -> Result<Atom> {
        match equal_op(a_expr.ty, b_expr.ty) {
            BinaryOp::EqStr => {
                let args = self.pack(&[a.low(), b.low()])?;
                Ok(self.call_action(Action::TextEquals, args, b_expr)?.low())
            }
            BinaryOp::Eq128 => Ok(self.equal_wide(BinOp::Eq, a, b)?.low()),
            BinaryOp::EqF => {
                let mark = self.code.mark();
                let a = self.convert(mark, a, a_expr.ty, Type::F64, a_expr)?.low();
                let mark = self.code.mark();
                let b = self.convert(mark, b, b_expr.ty, Type::F64, b_expr)?.low();
                let args = self.pack(&[a, b])?;
                Ok(self.call_action(Action::Float(FloatOp::Eq), args, b_expr)?.low())
            }
            op => self.compare(op, a.low(), b.low()),
        }
    }

    /// The value 1 or 0 of a condition that is lowered as jumps.
    fn truth(&mut self, e: &Expr) -> Result<Value> {
        let d = self.code.temp()?;
        let above = self.code.mark();
        let mut end = Label::default();
        self.code.push(Uop::MovI { d, imm: 0 });
        self.branch(e, false, &mut end)?;
        self.code.push(Uop::MovI { d, imm: 1 });
        self.code.bind(end);
        self.code.release(above);
        Ok(Value::One(Atom::Slot(d)))
    }

    fn choose(&mut self, cond: &Expr, a: &Expr, b: &Expr, ty: Type) -> Result<Value> {
        if let Some(known) = self.fold(cond) {
            let mark = self.code.mark();
            let chosen = if known.is_true() { a } else { b };
            let value = self.expr(chosen)?;
            return self.convert(mark, value, chosen.ty, ty, chosen);
        }
        let wide = ty == Type::U128;
        let d = self.code.temps(if wide { 2 } else { 1 })?;
        let (mut otherwise, mut end) = (Label::default(), Label::default());
        self.branch(cond, false, &mut otherwise)?;
        self.move_expr(d, a, ty)?;
        self.code.jump(&mut end);
        self.code.bind(otherwise);
        self.move_expr(d, b, ty)?;
        self.code.bind(end);
        Ok(Self::slots(d, wide))
    }

    // ---- operators

    fn unary(&mut self, op: UnaryOp, a: &Expr, e: &Expr) -> Result<Value> {
        let mark = self.code.mark();
        match op {
            UnaryOp::Neg if a.ty.is_float() => self.float(FloatOp::Neg, &[a], e),
            UnaryOp::Not => {
                let value = self.truth_value(a)?;
                self.un_result(mark, UnOp::IsZero, value)
            }
            UnaryOp::Neg | UnaryOp::BitNot => {
                let value = self.atom(a)?;
                self.un_result(mark, if op == UnaryOp::Neg { UnOp::Neg64 } else { UnOp::Not64 }, value)
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, a: &Expr, b: &Expr, e: &Expr) -> Result<Value> {
        let float = match op {
            BinaryOp::AddF => FloatOp::Add,
            BinaryOp::SubF => FloatOp::Sub,
            BinaryOp::MulF => FloatOp::Mul,
            BinaryOp::DivF => FloatOp::Div,
            BinaryOp::EqF => FloatOp::Eq,
            BinaryOp::NeF => FloatOp::Ne,
            BinaryOp::LtF => FloatOp::Lt,
            BinaryOp::LeF => FloatOp::Le,
            BinaryOp::EqStr => return self.result_of(Action::TextEquals, &[a, b], e),
            BinaryOp::NeStr => {
                let mark = self.code.mark();
                let equal = self.result_of(Action::TextEquals, &[a, b], e)?.low();
                return self.un_result(mark, UnOp::IsZero, equal);
            }
            BinaryOp::Eq128 | BinaryOp::Ne128 => {
                let (x, y) = (self.expr(a)?, self.expr(b)?);
                return self.equal_wide(if op == BinaryOp::Eq128 { BinOp::Eq } else { BinOp::Ne }, x, y);
            }
            _ => {
                let mark = self.code.mark();
                let x = self.atom(a)?;
                let y = self.atom(b)?;
                self.code.span = e.span;
                return self.arithmetic(mark, op, x, y, e);
            }
        };
        self.float(float, &[a, b], e)
    }

    /// `a op b` on integers of 64 bits, into the temporary at `mark`.
    pub(super) fn arithmetic<K: ProgramKey>(
        &mut self,
        mark: X,
        op: BinaryOp,
        a: Atom,
        b: Atom,
        at: &K,
    ) -> Result<Value> {
        let simple = |op| match op {
            BinaryOp::Add => Some(BinOp::Add64),
            BinaryOp::Sub => Some(BinOp::Sub64),
            BinaryOp::Mul => Some(BinOp::Mul64),
            BinaryOp::And => Some(BinOp::And64),
            BinaryOp::Or => Some(BinOp::Or64),
            BinaryOp::Xor => Some(BinOp::Xor64),
            BinaryOp::Eq => Some(BinOp::Eq),
            BinaryOp::Ne => Some(BinOp::Ne),
            BinaryOp::LtU => Some(BinOp::LtU),
            BinaryOp::LeU => Some(BinOp::LeU),
            BinaryOp::LtS => Some(BinOp::LtS),
            BinaryOp::LeS => Some(BinOp::LeS),
            _ => None,
        };
        if let Some(op) = simple(op) {
            return self.bin_result(mark, op, a, b);
        }
        match op {
            BinaryOp::DivU | BinaryOp::DivS | BinaryOp::RemU | BinaryOp::RemS => self.divide(mark, op, a, b, at),
            BinaryOp::Shl => self.shift(mark, BinOp::Shl64, a, b),
            BinaryOp::ShrU => self.shift(mark, BinOp::Shr64, a, b),
            BinaryOp::ShrS => self.shift_signed(mark, a, b),
            // The signed operand's sign decides, then the numbers compare as unsigned.
            BinaryOp::LtUS => self.mixed(mark, BinOp::LtU, a, b, b, BinOp::AndNot64),
            BinaryOp::LeUS => self.mixed(mark, BinOp::LeU, a, b, b, BinOp::AndNot64),
            BinaryOp::LtSU => self.mixed(mark, BinOp::LtU, a, b, a, BinOp::Or64),
            BinaryOp::LeSU => self.mixed(mark, BinOp::LeU, a, b, a, BinOp::Or64),
            // If the patterns are equal so are the signs: any one will do.
            BinaryOp::EqMixed => self.mixed(mark, BinOp::Eq, a, b, a, BinOp::AndNot64),
            _ => unreachable!("{op:?} is not on integers"),
        }
    }

    fn mixed(&mut self, mark: X, op: BinOp, a: Atom, b: Atom, signed: Atom, join: BinOp) -> Result<Value> {
        let order = self.bin(op, a, b)?;
        let sign = self.bin(BinOp::Shr64, signed, Atom::Const(63))?;
        self.bin_result(mark, join, order, sign)
    }

    /// A comparison into a new temporary.
    fn compare(&mut self, op: BinaryOp, a: Atom, b: Atom) -> Result<Atom> {
        let mark = self.code.mark();
        let nowhere = self.probe_key();
        Ok(self.arithmetic(mark, op, a, b, &nowhere)?.low())
    }

    fn divide<K: ProgramKey>(&mut self, mark: X, op: BinaryOp, a: Atom, b: Atom, at: &K) -> Result<Value> {
        let mut nonzero = Label::default();
        if !matches!(b, Atom::Const(1..)) {
            self.code.jump_if(true, b, &mut nonzero);
            self.act(Action::DivisionByZero, (slot::ZERO, 0), at)?;
            self.code.jump(&mut self.leave);
            self.code.bind(nonzero);
        }
        let signed = matches!(op, BinaryOp::DivS | BinaryOp::RemS);
        let divide = if signed { BinOp::DivSA64 } else { BinOp::DivUA64 };
        if matches!(op, BinaryOp::DivS | BinaryOp::DivU) {
            return self.bin_result(mark, divide, a, b);
        }
        let (x, y) = (self.code.slot(a)?, self.code.slot(b)?);
        let quotient = self.code.temp()?;
        self.code.push(Uop::Bin { op: divide, d: quotient, a: x, b: y });
        let d = self.result(mark)?;
        self.code.push(Uop::MulSub64 { d, a: quotient, b: y, c: x });
        Ok(Value::One(Atom::Slot(d)))
    }

    /// A shift to the left or a logical one to the right: counts of 64 and more give 0.
    fn shift(&mut self, mark: X, op: BinOp, a: Atom, count: Atom) -> Result<Value> {
        match count {
            Atom::Const(64..) => Ok(Value::One(Atom::ZERO)),
            Atom::Const(_) => self.bin_result(mark, op, a, count),
            Atom::Slot(_) => {
                let shifted = self.bin(op, a, count)?;
                let small = self.bin(BinOp::LtU, count, Atom::Const(64))?;
                self.select(mark, small, shifted, Atom::ZERO)
            }
        }
    }

    fn shift_signed(&mut self, mark: X, a: Atom, count: Atom) -> Result<Value> {
        let count = match count {
            Atom::Const(count) => Atom::Const(count.min(63)),
            Atom::Slot(_) => self.minimum(count, 63)?,
        };
        self.bin_result(mark, BinOp::Sar64, a, count)
    }

    /// The smaller of `a` and `limit`, unsigned.
    fn minimum(&mut self, a: Atom, limit: u64) -> Result<Atom> {
        let small = self.bin(BinOp::LtU, a, Atom::Const(limit))?;
        let mark = self.code.mark();
        Ok(self.select(mark, small, a, Atom::Const(limit))?.low())
    }

    fn select(&mut self, mark: X, c: Atom, a: Atom, b: Atom) -> Result<Value> {
        let (c, a, b) = (self.code.slot(c)?, self.code.slot(a)?, self.code.slot(b)?);
        let d = self.result(mark)?;
        self.code.push(Uop::Select { d, c, a, b });
        Ok(Value::One(Atom::Slot(d)))
    }

    fn equal_wide(&mut self, op: BinOp, a: Value, b: Value) -> Result<Value> {
        let ([a0, a1], [b0, b1]) = (a.halves(), b.halves());
        let low = self.bin(BinOp::Xor64, a0, b0)?;
        let high = self.bin(BinOp::Xor64, a1, b1)?;
        let any = self.bin(BinOp::Or64, low, high)?;
        Ok(Value::One(self.bin(op, any, Atom::ZERO)?))
    }

    // ---- floats and conversions

    /// A float operation, which computes in `f64`; the result is converted to the type of `e`.
    fn float(&mut self, op: FloatOp, operands: &[&Expr], e: &Expr) -> Result<Value> {
        let mark = self.code.mark();
        let args = self.code.temps(operands.len())?;
        for (index, operand) in operands.iter().enumerate() {
            self.move_expr(args + index as X, operand, Type::F64)?;
        }
        self.code.release(mark);
        let value = self.call_action(Action::Float(op), (args, operands.len() as u8), e)?;
        if e.ty == Type::F32 { self.convert(mark, value, Type::F64, Type::F32, e) } else { Ok(value) }
    }

    fn float_of(&mut self, mark: X, op: FloatOp, value: Atom, e: &Expr) -> Result<Value> {
        let a = self.code.slot(value)?;
        self.code.release(mark);
        self.call_action(Action::Float(op), (a, 1), e)
    }

    /// Converts as `as` does.
    pub(super) fn convert(&mut self, mark: X, value: Value, from: Type, to: Type, e: &Expr) -> Result<Value> {
        if from == to || to.is_text() {
            return Ok(value);
        }
        let atom = value.low();
        match (from.is_float(), to.is_float()) {
            (true, true) => {
                let op = if from == Type::F32 { FloatOp::FromF32 } else { FloatOp::ToF32 };
                self.float_of(mark, op, atom, e)
            }
            (true, false) => {
                let wide = self.convert(mark, value, from, Type::F64, e)?;
                let signed = to.is_signed();
                let op = if signed { FloatOp::ToSigned } else { FloatOp::ToUnsigned };
                let whole = self.float_of(mark, op, wide.low(), e)?;
                self.convert(mark, whole, if signed { Type::I64 } else { Type::U64 }, to, e)
            }
            (false, true) => {
                let op = if from.is_signed() { FloatOp::FromSigned } else { FloatOp::FromUnsigned };
                let float = self.float_of(mark, op, atom, e)?;
                self.convert(mark, float, Type::F64, to, e)
            }
            (false, false) if to == Type::U128 => {
                let high = if from.is_signed() { self.shift_signed_new(atom)? } else { Atom::ZERO };
                Ok(Value::Two(atom, high))
            }
            (false, false) => self.narrow(mark, atom, from, to),
        }
    }

    fn shift_signed_new(&mut self, a: Atom) -> Result<Atom> {
        self.bin(BinOp::Sar64, a, Atom::Const(63))
    }

    /// Cuts an integer of type `from` to the width of `to`.
    pub(super) fn narrow(&mut self, mark: X, a: Atom, from: Type, to: Type) -> Result<Value> {
        match (a, to) {
            (Atom::Const(value), to) => Ok(Value::One(Atom::Const(truncate(value, to)))),
            (a, to) if fits(from, to) => Ok(Value::One(a)),
            (a, Type::Bool) => self.bin_result(mark, BinOp::Ne, a, Atom::ZERO),
            (a, Type::Int { bits: 32, signed: true }) => self.un_result(mark, UnOp::Sext32, a),
            (a, Type::Int { bits: 16, signed: true }) => self.un_result(mark, UnOp::Sext16, a),
            (a, Type::Int { bits: 8, signed: true }) => self.un_result(mark, UnOp::Sext8, a),
            (a, Type::Int { bits, .. }) if bits < 64 => self.field(mark, a, 0, bits, to),
            (a, _) => Ok(Value::One(a)),
        }
    }

    // ---- functions, globals, text

    fn call(&mut self, func: Func, args: &[Expr], e: &Expr) -> Result<Value> {
        let mark = self.code.mark();
        match func {
            Func::Str => self.guest_text(Action::GuestText, args, e),
            Func::Bytes => self.guest_text(Action::GuestBytes, args, e),
            Func::AbsFloat => self.float(FloatOp::Abs, &[&args[0]], e),
            Func::AbsInt => {
                let value = self.atom(&args[0])?;
                let sign = self.shift_signed_new(value)?;
                let flipped = self.bin(BinOp::Xor64, value, sign)?;
                self.bin_result(mark, BinOp::Sub64, flipped, sign)
            }
            Func::MinU => self.extreme(mark, BinOp::LtU, false, args),
            Func::MinS => self.extreme(mark, BinOp::LtS, false, args),
            Func::MaxU => self.extreme(mark, BinOp::LtU, true, args),
            Func::MaxS => self.extreme(mark, BinOp::LtS, true, args),
            Func::Popcount => {
                let value = self.atom(&args[0])?;
                let inner = self.code.mark();
                let value = self.narrow(inner, value, args[0].ty, unsigned(args[0].ty))?.low();
                self.un_result(mark, UnOp::Popcnt64, value)
            }
            Func::Bswap => self.reverse(mark, &args[0], &args[1]),
            Func::Bit => self.bit(mark, &args[0], &args[1]),
            Func::Bits => self.bits(mark, &args[0], &args[1], &args[2]),
            Func::Sext => self.sign_extend(mark, &args[0], &args[1]),
            Func::Has => match &args[0].kind {
                ExprKind::State(state, keys) => {
                    let keys: Vec<&Expr> = keys.iter().collect();
                    self.result_of(Action::StateHas(*state), &keys, e)
                }
                _ => Ok(Value::One(Atom::ZERO)),
            },
            Func::Stack => match &args[0].kind {
                ExprKind::Int(most) => self.stack(Action::Stack(*most), e),
                _ => self.stack(Action::Stack(stack::USUAL), e),
            },
            Func::Hex
            | Func::Sym
            | Func::Disas
            | Func::Line
            | Func::Len
            | Func::Readable
            | Func::Errno
            | Func::SyscallName
            | Func::Rand => {
                let args: Vec<&Expr> = args.iter().collect();
                self.result_of(Action::Call(func), &args, e)
            }
        }
    }

    /// What the call stack says, seen from where the registers are: after an instruction, from the next one.
    fn stack(&mut self, action: Action, e: &Expr) -> Result<Value> {
        let mark = self.code.mark();
        let args = self.code.temps(1)?;
        let from = self.place.skip_base();
        self.code.move_to(args, from);
        self.code.release(mark);
        self.call_action(action, (args, 1), e)
    }

    /// The smaller or the greater of two values, which `less` compares.
    fn extreme(&mut self, mark: X, less: BinOp, greater: bool, args: &[Expr]) -> Result<Value> {
        let (x, y) = (self.atom(&args[0])?, self.atom(&args[1])?);
        let first = self.bin(less, x, y)?;
        if greater { self.select(mark, first, y, x) } else { self.select(mark, first, x, y) }
    }

    fn reverse(&mut self, mark: X, x: &Expr, bytes: &Expr) -> Result<Value> {
        let value = self.atom(x)?;
        let known = match self.fold(bytes) {
            Some(Static::Int(bytes)) => bytes,
            _ => 8,
        };
        let op = match (value, known) {
            (Atom::Const(value), bytes) => return Ok(Value::One(Atom::Const(bswap(value, bytes)))),
            (_, 1) => UnOp::Zext8,
            (_, 4) => UnOp::Bswap32,
            (value, 2) => {
                let swapped = self.code.temp()?;
                self.code.un(UnOp::Rev16x32, swapped, value)?;
                return self.un_result(mark, UnOp::Zext16, Atom::Slot(swapped));
            }
            _ => UnOp::Bswap64,
        };
        self.un_result(mark, op, value)
    }

    fn bit(&mut self, mark: X, x: &Expr, n: &Expr) -> Result<Value> {
        let (value, n) = (self.atom(x)?, self.atom(n)?);
        match n {
            Atom::Const(n) => self.known_bits(mark, value, n, n.saturating_add(1)),
            Atom::Slot(_) => {
                let inner = self.code.mark();
                let shifted = self.shift(inner, BinOp::Shr64, value, n)?.low();
                self.bin_result(mark, BinOp::And64, shifted, Atom::Const(1))
            }
        }
    }

    fn known_bits(&mut self, mark: X, value: Atom, from: u64, to: u64) -> Result<Value> {
        if let Atom::Const(value) = value {
            return Ok(Value::One(Atom::Const(bits(value, from, to))));
        }
        if from >= 64 || to <= from {
            return Ok(Value::One(Atom::ZERO));
        }
        let a = self.code.slot(value)?;
        let d = self.result(mark)?;
        self.code.push(Uop::BfxU { d, a, lsb: from as u8, len: (to.min(64) - from) as u8 });
        Ok(Value::One(Atom::Slot(d)))
    }

    fn bits(&mut self, mark: X, x: &Expr, from: &Expr, to: &Expr) -> Result<Value> {
        let (value, from, to) = (self.atom(x)?, self.atom(from)?, self.atom(to)?);
        if let (Atom::Const(from), Atom::Const(to)) = (from, to) {
            return self.known_bits(mark, value, from, to);
        }
        let inner = self.code.mark();
        let shifted = self.shift(inner, BinOp::Shr64, value, from)?.low();
        let len = self.bin(BinOp::Sub64, to, from)?;
        let inner = self.code.mark();
        let limit = self.shift(inner, BinOp::Shl64, Atom::Const(1), len)?.low();
        let mask = self.bin(BinOp::Sub64, limit, Atom::Const(1))?;
        let field = self.bin(BinOp::And64, shifted, mask)?;
        let some = self.bin(BinOp::LtU, from, to)?;
        self.select(mark, some, field, Atom::ZERO)
    }

    fn sign_extend(&mut self, mark: X, x: &Expr, n: &Expr) -> Result<Value> {
        let (value, n) = (self.atom(x)?, self.atom(n)?);
        match (value, n) {
            (Atom::Const(value), Atom::Const(n)) => Ok(Value::One(Atom::Const(sext(value, n)))),
            (_, Atom::Const(0)) => Ok(Value::One(Atom::ZERO)),
            (value, Atom::Const(64..)) => Ok(Value::One(value)),
            (value, Atom::Const(n)) => {
                let a = self.code.slot(value)?;
                let d = self.result(mark)?;
                self.code.push(Uop::BfxS { d, a, lsb: 0, len: n as u8 });
                Ok(Value::One(Atom::Slot(d)))
            }
            (value, Atom::Slot(_)) => {
                let len = self.minimum(n, 64)?;
                let up = self.bin(BinOp::Sub64, Atom::Const(64), len)?;
                let inner = self.code.mark();
                let shifted = self.shift(inner, BinOp::Shl64, value, up)?.low();
                self.shift_signed(mark, shifted, up)
            }
        }
    }

    /// A text or bytes of guest memory, or the way out if it is not readable.
    fn guest_text(&mut self, action: Action, args: &[Expr], e: &Expr) -> Result<Value> {
        let args: Vec<&Expr> = args.iter().collect();
        let (first, n) = self.arguments(&args)?;
        let text = self.call_action(action, (first, n), e)?.low();
        let ok = self.bin(BinOp::Ne, text, Atom::Const(TextHandle::BAD.0))?;
        self.require_memory(ok, first, true, e)?;
        Ok(Value::One(text))
    }

    fn state(&mut self, state: StateId, keys: &[Expr], e: &Expr) -> Result<Value> {
        if keys.is_empty()
            && let Some(cell) = self.integer_cell(state)
        {
            let d = self.code.temp()?;
            self.code.push(Uop::CellGet { d, cell });
            return Ok(Value::One(Atom::Slot(d)));
        }
        let keys: Vec<&Expr> = keys.iter().collect();
        self.result_of(Action::StateGet(state), &keys, e)
    }

    fn interpolate(&mut self, parts: &[StrPart], e: &Expr) -> Result<Value> {
        let (pieces, values) = pieces(parts);
        self.result_of(Action::Interpolate(pieces), &values, e)
    }

    // ---- actions

    /// Lowers `exprs` into neighbouring slots, as actions want their arguments: the first slot and their number.
    pub(super) fn arguments(&mut self, exprs: &[&Expr]) -> Result<(X, u8)> {
        let widths: Vec<usize> = exprs.iter().map(|e| if e.ty == Type::U128 { 2 } else { 1 }).collect();
        if let ([only], [1]) = (exprs, widths.as_slice()) {
            let value = self.atom(only)?;
            return Ok((self.code.slot(value)?, 1));
        }
        let n = widths.iter().sum();
        let first = self.code.temps(n)?;
        let mut at = first;
        for (e, width) in exprs.iter().zip(widths) {
            self.move_expr(at, e, e.ty)?;
            at += width as X;
        }
        Ok((if n == 0 { slot::ZERO } else { first }, n as u8))
    }

    /// Copies `atoms` into neighbouring slots.
    pub(super) fn pack(&mut self, atoms: &[Atom]) -> Result<(X, u8)> {
        match atoms {
            [] => Ok((slot::ZERO, 0)),
            [Atom::Slot(only)] => Ok((*only, 1)),
            _ => {
                let first = self.code.temps(atoms.len())?;
                for (index, &atom) in atoms.iter().enumerate() {
                    match atom {
                        Atom::Const(imm) => self.code.push(Uop::MovI { d: first + index as X, imm }),
                        Atom::Slot(a) => self.code.push(Uop::Un { op: UnOp::Mov, d: first + index as X, a }),
                    }
                }
                Ok((first, atoms.len() as u8))
            }
        }
    }

    /// An action on the values of `args`, with its result.
    fn result_of(&mut self, action: Action, args: &[&Expr], e: &Expr) -> Result<Value> {
        let mark = self.code.mark();
        let args = self.arguments(args)?;
        self.code.span = e.span;
        self.code.release(mark);
        self.call_action(action, args, e)
    }

    /// Calls an action; its result goes to a new temporary, which may be one of the arguments.
    pub(super) fn call_action<K: ProgramKey>(&mut self, action: Action, args: (X, u8), at: &K) -> Result<Value> {
        let d = self.code.temp()?;
        self.emit_action(action, args, d, at);
        Ok(Value::One(Atom::Slot(d)))
    }

    /// Calls an action that has no result.
    pub(super) fn act<K: ProgramKey>(&mut self, action: Action, args: (X, u8), at: &K) -> Result<()> {
        self.emit_action(action, args, slot::ZERO, at);
        Ok(())
    }
}

/// The parts of a text as an action wants them, and its values.
pub(super) fn pieces<'a>(parts: &'a [StrPart]) -> (Vec<TextPart>, Vec<&'a Expr>) {
    let mut values = Vec::new();
    let piece = |part: &'a StrPart| match part {
        StrPart::Text(text) => TextPart::Text(text.clone()),
        StrPart::Value(value, format) => {
            values.push(value);
            TextPart::Value(value.ty, *format)
        }
    };
    (parts.iter().map(piece).collect(), values)
}

/// An upper bound of the temporaries that what stands for a variable takes.
fn most_temporaries(e: &Expr) -> usize {
    match &e.kind {
        ExprKind::Load { addr: a, .. } => most_temporaries(a) + 2,
        ExprKind::Unary(_, a) | ExprKind::Cast(a) => most_temporaries(a) + 1,
        ExprKind::Binary(_, a, b) => most_temporaries(a) + most_temporaries(b) + 1,
        _ if e.ty == Type::U128 => 2,
        _ => 1,
    }
}

fn commutes(op: BinOp) -> bool {
    matches!(op, BinOp::Add64 | BinOp::Mul64 | BinOp::And64 | BinOp::Or64 | BinOp::Xor64 | BinOp::Eq | BinOp::Ne)
}

/// True if every value of type `from` is one of type `to` as it stands in a slot.
fn fits(from: Type, to: Type) -> bool {
    match (from, to) {
        (_, Type::Word | Type::CodeAddr | Type::Int { bits: 64, .. }) => true,
        (Type::Bool, _) => true,
        (Type::Int { bits: a, signed: x }, Type::Int { bits: b, signed: y }) => {
            (x == y && a <= b) || (!x && y && a < b)
        }
        _ => false,
    }
}

/// The micro-op's access for a load that is not 16 bytes long; byte order comes later, and with it the sign.
fn raw_type(ty: &MemType) -> MemTy {
    match (ty.bytes, ty.signed && !ty.big_endian) {
        (1, _) if ty.signed => MemTy::S8,
        (1, _) => MemTy::U8,
        (2, false) => MemTy::U16,
        (2, true) => MemTy::S16,
        (4, false) => MemTy::U32,
        (4, true) => MemTy::S32,
        _ => MemTy::U64,
    }
}

/// The lanes and the index of the part of a vector register at bit `lsb` that is `len` bits wide.
pub(super) fn lane(lsb: u8, len: u8) -> (Lanes, u32) {
    let lanes = match len {
        8 => Lanes::B16,
        16 => Lanes::H8,
        32 => Lanes::S4,
        _ => Lanes::D2,
    };
    (lanes, u32::from(lsb / len))
}
