//! Where a variable is at an instruction: DWARF expressions become expressions of the probe IR.
//!
//! What an expression does is known without running it, since its stack only ever holds terms: constants, registers,
//! loads and what is computed of them. Expressions that branch or call others are not followed; they do not occur in
//! what compilers write for variables of C, C++ and Rust.

use super::frames::Cfa;
use super::scopes::Function;
use super::{DebugFile, Slice, TypeKey, UnitOf, VariableOf};
use crate::isa::{Isa, Parameter, Passed};
use gimli::{Attribute, AttributeValue, Expression, Operation, UnitOffset, constants as dw};
use spile_lang::debug::{DataType, TypeId};
use spile_lang::ir::{BinaryOp, Expr, ExprKind, MemType, UnaryOp};
use spile_lang::span::Span;
use spile_lang::target::{Register, RegisterSlot};
use spile_lang::types::Type;
use std::cell::RefCell;

/// A term of more nodes is not worth computing at every firing.
const LARGEST_TERM: usize = 64;
const DEEPEST_STACK: usize = 64;
const MOST_PIECES: usize = 64;
/// Members of a structure that are looked at to see whether it is made of floating-point numbers.
const MOST_FLOATS: u64 = 4;

/// The machine that the variables are on.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// The guest architecture.
    pub isa: &'a dyn Isa,
    /// Run-time address minus file address.
    pub bias: u64,
    /// Where the script asks, for errors at run time.
    pub span: Span,
}

/// Where a variable is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In memory at this address.
    Memory(Expr),
    /// In a register.
    Register(Register),
    /// Nowhere, but its value is known to be this.
    Value(Expr),
    /// Nowhere, but these are its bytes.
    Bytes(Vec<u8>),
    /// In several places: so many bytes in each.
    Pieces(Vec<(u64, Place)>),
    /// The compiler has optimised it away.
    Nowhere,
}

impl Place {
    /// The value of type `ty` that begins `offset` bytes into the variable.
    pub fn read(&self, offset: u64, ty: MemType, span: Span) -> Option<Expr> {
        let end = offset.checked_add(ty.bytes.into())?;
        match self {
            Place::Memory(_) => {
                let kind = ExprKind::Load { ty, addr: Box::new(self.address(offset)?) };
                Some(Expr { kind, ty: ty.ty, span })
            }
            Place::Register(register) => {
                let kind = ExprKind::Register(part_of(register, offset, ty)?);
                Some(Expr { kind, ty: ty.ty, span })
            }
            Place::Value(value) if end <= 8 && ty.ty.is_integer() => {
                let shift = int(offset * 8, span);
                let value = if offset == 0 { value.clone() } else { binary(BinaryOp::ShrU, value.clone(), shift) };
                Some(cast(value, ty))
            }
            Place::Bytes(bytes) => {
                let part = bytes.get(offset as usize..end as usize).filter(|_| ty.ty.is_integer())?;
                let mut number = [0; 8];
                number.get_mut(..part.len())?.copy_from_slice(part);
                Some(cast(int(u64::from_le_bytes(number), span), ty))
            }
            Place::Pieces(pieces) => {
                let mut start = 0u64;
                for (bytes, piece) in pieces {
                    let next = start.checked_add(*bytes)?;
                    if start <= offset && end <= next {
                        return piece.read(offset - start, ty, span);
                    }
                    start = next;
                }
                None
            }
            Place::Value(_) | Place::Nowhere => None,
        }
    }

    /// The address of the byte at `offset`, if the variable is in memory.
    pub fn address(&self, offset: u64) -> Option<Expr> {
        match self {
            Place::Memory(addr) if offset == 0 => Some(addr.clone()),
            Place::Memory(addr) => Some(binary(BinaryOp::Add, addr.clone(), int(offset, addr.span))),
            _ => None,
        }
    }

    /// True if nothing of it can be read.
    pub fn is_nowhere(&self) -> bool {
        match self {
            Place::Nowhere => true,
            Place::Pieces(pieces) => pieces.iter().all(|(_, piece)| piece.is_nowhere()),
            _ => false,
        }
    }
}

/// A part of a register, as a register of its own.
fn part_of(register: &Register, offset: u64, ty: MemType) -> Option<Register> {
    let width = match register.slot {
        RegisterSlot::Vector(_) => 128,
        _ => 64,
    };
    let (from, bits) = (offset.checked_mul(8)?, u64::from(ty.bytes) * 8);
    if from.saturating_add(bits) > width || (bits == 128 && width != 128) || (from % bits != 0 && width == 128) {
        return None;
    }
    let float_in_general = ty.ty.is_float() && width == 64;
    (!float_in_general).then(|| Register { offset: from as u8, bits: bits as u8, ty: ty.ty, ..register.clone() })
}

fn int(value: u64, span: Span) -> Expr {
    Expr { kind: ExprKind::Int(value), ty: Type::Word, span }
}

fn binary(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    let (ty, span) = (Type::Word, a.span);
    let known = match (&a.kind, &b.kind, op) {
        (ExprKind::Int(a), ExprKind::Int(b), BinaryOp::Add) => Some(a.wrapping_add(*b)),
        _ => None,
    };
    match known {
        Some(sum) => int(sum, span),
        None => Expr { kind: ExprKind::Binary(op, Box::new(a), Box::new(b)), ty, span },
    }
}

/// The low bytes of a number as a value of a type.
fn cast(value: Expr, ty: MemType) -> Expr {
    let span = value.span;
    let narrow = Type::Int { bits: (ty.bytes * 8).min(64), signed: ty.signed };
    let value = Expr { kind: ExprKind::Cast(Box::new(value)), ty: narrow, span };
    match ty.ty == narrow {
        true => value,
        false => Expr { kind: ExprKind::Cast(Box::new(value)), ty: ty.ty, span },
    }
}

impl DebugFile {
    /// Where a variable is when the instruction at an address is about to be executed.
    pub fn place(&self, variable: VariableOf, addr: u64, machine: &Machine<'_>) -> Place {
        self.found(variable, addr, machine).unwrap_or(Place::Nowhere)
    }

    fn found(&self, variable: VariableOf, addr: u64, machine: &Machine<'_>) -> Option<Place> {
        let unit = self.unit(variable.unit)?;
        let entry = unit.unit.entry(variable.entry).ok()?;
        let (_, function) = self.function_at(addr)?;
        if variable.entry == variable.function {
            return self.result(self.type_of(&unit, &entry)?, machine);
        }
        let constant = |_: &UnitOf<'_>, entry: &super::scopes::Entry<'_>| {
            entry.attr(dw::DW_AT_const_value).and_then(|value| constant(value, machine.span))
        };
        let Some(location) = entry.attr(dw::DW_AT_location) else {
            return self.with_origin(&unit, &entry, &constant);
        };
        // Code that is not optimised stores its arguments behind its first instructions, and says that they are there
        // from the first one on.
        if addr == function.low()
            && location.exprloc_value().is_some()
            && let Some(place) = self.argument(&unit, function, variable.entry, machine)
        {
            return Some(place);
        }
        let evaluation = Evaluation { file: self, unit: &unit, function, addr, machine, depth: 0 };
        evaluation.location(location)
    }

    /// The type of a variable.
    pub fn variable_type(&self, variable: VariableOf) -> Option<TypeKey> {
        let unit = self.unit(variable.unit)?;
        let entry = unit.unit.entry(variable.entry).ok()?;
        self.type_of(&unit, &entry)
    }

    /// Where the procedure call standard puts a parameter of a function; `None` if it is none.
    fn argument(
        &self,
        unit: &UnitOf<'_>,
        function: &Function,
        entry: UnitOffset<usize>,
        machine: &Machine<'_>,
    ) -> Option<Place> {
        let parameters = self.parameters(function);
        let number = parameters.iter().position(|parameter| *parameter == entry)?;
        let classes = parameters.iter().map(|&parameter| {
            let Some(key) = unit.unit.entry(parameter).ok().and_then(|entry| self.variable_type_of(unit, &entry))
            else {
                return Parameter::Integer(8);
            };
            self.class(key)
        });
        let classes: Vec<Parameter> = classes.collect();
        let passed = machine.isa.passed(&classes).into_iter().nth(number)?;
        self.passed(&passed, machine)
    }

    /// Where a function has left its result: where it would have got its first argument of that type (Procedure Call
    /// Standard for the Arm 64-bit Architecture, 6.9; RISC-V ELF psABI, 2.1). One that its caller has made room for in
    /// memory is nowhere, as the register with its address is free by then.
    fn result(&self, ty: TypeKey, machine: &Machine<'_>) -> Option<Place> {
        match machine.isa.passed(&[self.class(ty)]).first()? {
            passed @ Passed::Registers(_) => self.passed(passed, machine),
            _ => None,
        }
    }

    fn variable_type_of(&self, unit: &UnitOf<'_>, entry: &super::scopes::Entry<'_>) -> Option<TypeKey> {
        let found = VariableOf { unit: unit.index, entry: entry.offset(), function: entry.offset() };
        self.variable_type(found)
    }

    fn passed(&self, passed: &Passed, machine: &Machine<'_>) -> Option<Place> {
        let span = machine.span;
        Some(match passed {
            Passed::Unknown => return None,
            Passed::Registers(parts) => match &parts[..] {
                [(_, only)] => Place::Register(only.clone()),
                several => {
                    let piece = |(bytes, register): &(u64, Register)| (*bytes, Place::Register(register.clone()));
                    Place::Pieces(several.iter().map(piece).collect())
                }
            },
            Passed::Stack(offset) => {
                let sp = register(machine.isa.register("sp")?, span);
                Place::Memory(binary(BinaryOp::Add, sp, int(*offset, span)))
            }
            Passed::Behind(pointer) => {
                let pointer = self.passed(pointer, machine)?;
                let ty = MemType { bytes: 8, signed: false, big_endian: false, ty: Type::Word };
                Place::Memory(pointer.read(0, ty, span)?)
            }
        })
    }

    /// What a type is to the procedure call standard.
    fn class(&self, key: TypeKey) -> Parameter {
        let keys = RefCell::new(Vec::new());
        let number = |key: TypeKey| {
            keys.borrow_mut().push(key);
            TypeId(keys.borrow().len() as u32 - 1)
        };
        match self.data_type(key, &number) {
            DataType::Scalar(ty) if ty.ty.is_float() => Parameter::Float(ty.bytes.into()),
            DataType::Scalar(ty) | DataType::Char(ty) | DataType::Enum(ty, _) => Parameter::Integer(ty.bytes.into()),
            DataType::Pointer(_) => Parameter::Integer(8),
            DataType::Record(record) => {
                let mut floats = Vec::new();
                let only_floats = self.floats(key, 0, &mut floats);
                let same = floats.windows(2).all(|pair| pair[0] == pair[1]);
                match floats.first() {
                    _ if self.is_by_reference(key) => Parameter::Reference,
                    Some(&bytes) if only_floats && same => Parameter::Floats(bytes, floats.len() as u64),
                    Some(_) => Parameter::Mixed(record.bytes, 8),
                    None => Parameter::Composite(record.bytes, 8),
                }
            }
            DataType::Array(..) => Parameter::Reference,
            // `long double` is the one kind of number that is wider than registers.
            DataType::Opaque(_) => Parameter::Float(16),
        }
    }

    /// Collects the sizes of the floating-point numbers that a type is made of. False if it is made of others too.
    fn floats(&self, key: TypeKey, depth: u32, found: &mut Vec<u64>) -> bool {
        let keys = RefCell::new(Vec::new());
        let number = |key: TypeKey| {
            keys.borrow_mut().push(key);
            TypeId(keys.borrow().len() as u32 - 1)
        };
        let ty = self.data_type(key, &number);
        let keys = keys.into_inner();
        if depth > 4 || found.len() as u64 > MOST_FLOATS {
            return false;
        }
        let inner = |id: TypeId| keys.get(id.0 as usize).copied();
        match ty {
            DataType::Scalar(ty) if ty.ty.is_float() => {
                found.push(ty.bytes.into());
                found.len() as u64 <= MOST_FLOATS
            }
            DataType::Record(record) => record
                .members
                .iter()
                .map(|member| inner(member.ty).is_some_and(|key| self.floats(key, depth + 1, found)))
                .fold(true, |all, one| all & one),
            DataType::Array(element, count) if count <= MOST_FLOATS => (0..count)
                .map(|_| inner(element).is_some_and(|key| self.floats(key, depth + 1, found)))
                .fold(true, |all, one| all & one),
            _ => false,
        }
    }

    /// True for classes of C++ whose copies are made by a function.
    fn is_by_reference(&self, key: TypeKey) -> bool {
        let find = || {
            let unit = self.unit(key.unit)?;
            let entry = unit.unit.entry(key.entry).ok()?;
            match entry.attr_value(dw::DW_AT_calling_convention)? {
                AttributeValue::CallingConvention(convention) => Some(convention == dw::DW_CC_pass_by_reference),
                _ => None,
            }
        };
        find().unwrap_or(false)
    }
}

fn constant(value: &Attribute<Slice<'_>>, span: Span) -> Option<Place> {
    match value.value() {
        AttributeValue::Block(bytes) => Some(Place::Bytes(bytes.slice().to_vec())),
        AttributeValue::String(text) => Some(Place::Bytes(text.slice().to_vec())),
        _ => {
            let number = value.udata_value().or(value.sdata_value().map(|v| v as u64))?;
            Some(Place::Value(int(number, span)))
        }
    }
}

fn register(register: Register, span: Span) -> Expr {
    Expr { ty: register.ty, kind: ExprKind::Register(register), span }
}

/// The evaluation of locations at one instruction of a function.
struct Evaluation<'e, 'a> {
    file: &'a DebugFile,
    unit: &'e UnitOf<'a>,
    function: &'e Function,
    addr: u64,
    machine: &'e Machine<'e>,
    /// A frame base may not ask for the frame base.
    depth: u32,
}

/// What an expression without pieces comes to.
enum End {
    /// The top of its stack is an address.
    Address,
    Done(Place),
}

impl<'a> Evaluation<'_, 'a> {
    /// The place that an attribute gives, an expression or a list of them.
    fn location(&self, attribute: &Attribute<Slice<'a>>) -> Option<Place> {
        if let Some(expression) = attribute.exprloc_value() {
            return self.expression(expression, None);
        }
        let mut list = self.unit.dwarf.attr_locations(&self.unit.unit, attribute.value()).ok()??;
        while let Ok(Some(entry)) = list.next() {
            if entry.range.begin <= self.addr && self.addr < entry.range.end {
                return self.expression(entry.data, None);
            }
        }
        None
    }

    fn frame_base(&self) -> Option<Expr> {
        if self.depth > 0 {
            return None;
        }
        let entry = self.unit.unit.entry(self.function.entry).ok()?;
        let inner = Evaluation { depth: 1, ..*self };
        match inner.location(entry.attr(dw::DW_AT_frame_base)?)? {
            Place::Memory(addr) | Place::Value(addr) => Some(addr),
            Place::Register(base) => Some(register(base, self.machine.span)),
            _ => None,
        }
    }

    fn cfa(&self) -> Option<Expr> {
        match self.file.frame(self.addr)?.cfa {
            Cfa::Register(number, offset) => self.register_plus(number, offset),
            Cfa::Expression(bytes) if self.depth < 2 => {
                let inner = Evaluation { depth: 2, ..*self };
                match inner.expression(Expression(Slice::new(&bytes, gimli::LittleEndian)), None)? {
                    Place::Memory(addr) => Some(addr),
                    _ => None,
                }
            }
            Cfa::Expression(_) => None,
        }
    }

    fn register(&self, number: u16) -> Option<Expr> {
        Some(register(self.machine.isa.debug_register(number)?, self.machine.span))
    }

    fn register_plus(&self, number: u16, offset: i64) -> Option<Expr> {
        let base = self.register(number).filter(|base| base.ty.is_integer())?;
        Some(if offset == 0 { base } else { binary(BinaryOp::Add, base, self.int(offset as u64)) })
    }

    fn int(&self, value: u64) -> Expr {
        int(value, self.machine.span)
    }

    /// Runs an expression on terms.
    fn expression(&self, expression: Expression<Slice<'_>>, first: Option<Expr>) -> Option<Place> {
        let mut stack: Vec<Expr> = first.into_iter().collect();
        let mut pieces: Vec<(u64, Place)> = Vec::new();
        let mut end = End::Address;
        let mut operations = expression.operations(self.unit.unit.encoding());
        while let Some(operation) = operations.next().ok()? {
            if let Operation::Piece { size_in_bits, bit_offset } = operation {
                if size_in_bits % 8 != 0 || bit_offset.is_some_and(|offset| offset != 0) || pieces.len() == MOST_PIECES
                {
                    return None;
                }
                let place = match std::mem::replace(&mut end, End::Address) {
                    End::Done(place) => place,
                    End::Address => stack.pop().map_or(Place::Nowhere, Place::Memory),
                };
                pieces.push((size_in_bits / 8, place));
                continue;
            }
            match self.completed(&operation, &mut stack)? {
                Some(place) => end = End::Done(place),
                None => self.step(operation, &mut stack)?,
            }
            if stack.len() > DEEPEST_STACK || stack.iter().any(|term| size(term) > LARGEST_TERM) {
                return None;
            }
        }
        match (end, pieces.is_empty()) {
            (_, false) => Some(Place::Pieces(pieces)),
            (End::Done(place), true) => Some(place),
            (End::Address, true) => stack.pop().map(Place::Memory),
        }
    }

    /// The place that an operation gives, if it is one that ends a description.
    fn completed(&self, operation: &Operation<Slice<'_>>, stack: &mut Vec<Expr>) -> Option<Option<Place>> {
        Some(match operation {
            Operation::Register { register } => {
                Some(self.machine.isa.debug_register(register.0).map_or(Place::Nowhere, Place::Register))
            }
            Operation::ImplicitValue { data } => Some(Place::Bytes(data.slice().to_vec())),
            Operation::StackValue => Some(Place::Value(stack.pop()?)),
            // What it points to has no address, and what a caller had in a register is gone.
            Operation::ImplicitPointer { .. } => Some(Place::Nowhere),
            _ => None,
        })
    }

    fn step(&self, operation: Operation<Slice<'_>>, stack: &mut Vec<Expr>) -> Option<()> {
        let span = self.machine.span;
        let unary = |op, a| Expr { kind: ExprKind::Unary(op, Box::new(a)), ty: Type::Word, span };
        let op = match operation {
            Operation::Plus => BinaryOp::Add,
            Operation::Minus => BinaryOp::Sub,
            Operation::Mul => BinaryOp::Mul,
            Operation::And => BinaryOp::And,
            Operation::Or => BinaryOp::Or,
            Operation::Xor => BinaryOp::Xor,
            Operation::Shl => BinaryOp::Shl,
            Operation::Shr => BinaryOp::ShrU,
            Operation::Shra => BinaryOp::ShrS,
            Operation::Eq => BinaryOp::Eq,
            Operation::Ne => BinaryOp::Ne,
            Operation::Lt => BinaryOp::LtS,
            Operation::Le => BinaryOp::LeS,
            Operation::Gt | Operation::Ge => {
                let (b, a) = (stack.pop()?, stack.pop()?);
                let less = if matches!(operation, Operation::Gt) { BinaryOp::LtS } else { BinaryOp::LeS };
                stack.push(binary(less, b, a));
                return Some(());
            }
            other => {
                let value = match other {
                    Operation::Nop => return Some(()),
                    Operation::Drop => return stack.pop().map(drop),
                    Operation::Swap => {
                        let (b, a) = (stack.pop()?, stack.pop()?);
                        stack.extend([b, a]);
                        return Some(());
                    }
                    Operation::Pick { index } => {
                        let at = stack.len().checked_sub(usize::from(index) + 1)?;
                        stack[at].clone()
                    }
                    Operation::Neg => unary(UnaryOp::Neg, stack.pop()?),
                    Operation::Not => unary(UnaryOp::BitNot, stack.pop()?),
                    Operation::PlusConstant { value } => binary(BinaryOp::Add, stack.pop()?, self.int(value)),
                    Operation::UnsignedConstant { value } => self.int(value),
                    Operation::SignedConstant { value } => self.int(value as u64),
                    Operation::Address { address } => self.int(address.wrapping_add(self.machine.bias)),
                    Operation::AddressIndex { index } => {
                        let addr = self.unit.dwarf.address(&self.unit.unit, index).ok()?;
                        self.int(addr.wrapping_add(self.machine.bias))
                    }
                    Operation::ConstantIndex { index } => {
                        self.int(self.unit.dwarf.address(&self.unit.unit, index).ok()?)
                    }
                    Operation::RegisterOffset { register, offset, base_type } => {
                        self.typed(self.register_plus(register.0, offset)?, base_type)?
                    }
                    Operation::FrameOffset { offset } => {
                        binary(BinaryOp::Add, self.frame_base()?, self.int(offset as u64))
                    }
                    Operation::CallFrameCFA => self.cfa()?,
                    Operation::Deref { size, space: false, base_type } => {
                        let ty = number(size.into(), false)?;
                        let kind = ExprKind::Load { ty, addr: Box::new(stack.pop()?) };
                        self.typed(Expr { kind, ty: ty.ty, span }, base_type)?
                    }
                    Operation::Convert { base_type } | Operation::Reinterpret { base_type } => {
                        self.typed(stack.pop()?, base_type)?
                    }
                    Operation::TypedLiteral { base_type, value } => {
                        let mut bytes = [0; 8];
                        bytes.get_mut(..value.slice().len())?.copy_from_slice(value.slice());
                        self.typed(self.int(u64::from_le_bytes(bytes)), base_type)?
                    }
                    _ => return None,
                };
                stack.push(value);
                return Some(());
            }
        };
        let (b, a) = (stack.pop()?, stack.pop()?);
        stack.push(binary(op, a, b));
        Some(())
    }

    /// A term as a value of a basic type, which is an integer; offset 0 stands for an address.
    fn typed(&self, term: Expr, base_type: UnitOffset<usize>) -> Option<Expr> {
        if base_type.0 == 0 {
            return Some(term);
        }
        let key = TypeKey { unit: self.unit.index, entry: base_type, dimension: 0 };
        match self.file.data_type(key, &|_| TypeId(0)) {
            DataType::Scalar(ty) | DataType::Char(ty) if ty.ty.is_integer() && ty.bytes < 16 => Some(cast(term, ty)),
            _ => None,
        }
    }
}

fn number(bytes: u64, signed: bool) -> Option<MemType> {
    let bits = u8::try_from(bytes).ok().filter(|bytes| matches!(bytes, 1 | 2 | 4 | 8))? * 8;
    Some(MemType { bytes: bits / 8, signed, big_endian: false, ty: Type::Int { bits, signed } })
}

/// Number of nodes of a term.
fn size(term: &Expr) -> usize {
    1 + match &term.kind {
        ExprKind::Load { addr: a, .. } | ExprKind::Unary(_, a) | ExprKind::Cast(a) => size(a),
        ExprKind::Binary(_, a, b) => size(a) + size(b),
        _ => 0,
    }
}
