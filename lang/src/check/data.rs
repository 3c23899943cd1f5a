//! Variables of the program and data with a type: `args`, `vars`, `sym`, `E as *node`, and what follows their dots.
//!
//! A path is followed here, from types alone, down to a number in memory or in a part of a variable; then it is an
//! expression like any other. Types come from the program ([`crate::debug`]) and from the script's `struct` items.

use crate::ast::{self, Access, Text};
use crate::debug::{DataType, EnumNames, Member, NoVariable, Record, TypeId, Variable};
use crate::diag::Diagnostic;
use crate::ir::{self, BinaryOp, ExprKind, Func, LValue, MemType, PrintValue, StrPart, VariableKind};
use crate::span::Span;
use crate::suggest::nearest;
use crate::target::Register;
use crate::types::Type;
use std::collections::HashMap;
use std::sync::Arc;

use super::Checker;
use super::expr::{int, make};
use super::names::{access_span, is_type_name, memory_type};

/// What is printed of data: so many levels of structures, so many elements, so many bytes of text.
const SHOWN_LEVELS: u32 = 3;
const SHOWN_ELEMENTS: u64 = 16;
const SHOWN_TEXT: u64 = 1024;
/// Members of one structure; more of them together are not shown.
const SHOWN_MEMBERS: usize = 64;
/// Anonymous members within each other.
const DEEPEST_ANONYMOUS: u32 = 16;
/// The largest structure that a script may declare.
const MOST_BYTES: u64 = 1 << 40;

const WORD: MemType = MemType { bytes: 8, signed: false, big_endian: false, ty: Type::Word };

/// The types that a script declares.
#[derive(Default)]
pub(super) struct ScriptTypes {
    list: Vec<DataType>,
    names: HashMap<String, (TypeId, Span)>,
}

impl ScriptTypes {
    fn add(&mut self, ty: DataType) -> TypeId {
        self.list.push(ty);
        TypeId(TypeId::SCRIPT + self.list.len() as u32 - 1)
    }
}

/// Data: of what type, and where.
#[derive(Clone, Debug)]
pub(super) struct Data {
    ty: TypeId,
    place: DataPlace,
    /// Of a bit field, its first bit and their number.
    bits: Option<(u8, u8)>,
    span: Span,
}

#[derive(Clone, Debug)]
enum DataPlace {
    /// So far inside a variable of a function.
    Variable { kind: VariableKind, name: String, offset: u64, register: Option<Register>, in_memory: bool },
    /// In memory at an address.
    Memory(ir::Expr),
    /// A value that has been computed: a number, or a pointer.
    Value(ir::Expr),
}

impl Checker<'_> {
    // ---------- types ----------

    pub(super) fn data_type(&self, id: TypeId) -> DataType {
        match id.0.checked_sub(TypeId::SCRIPT) {
            Some(index) => self.types.list[index as usize].clone(),
            None => self.debug.data_type(id),
        }
    }

    /// Declares the structures of a script; their names first, since they may refer to each other.
    pub(super) fn declare_structs(&mut self, items: &[ast::Item]) {
        let structs: Vec<&ast::StructItem> = items
            .iter()
            .filter_map(|item| match item {
                ast::Item::Struct(item) => Some(item),
                _ => None,
            })
            .collect();
        let mut ids = Vec::new();
        for item in &structs {
            let name = &item.name;
            if let Some((_, first)) = self.types.names.get(&name.text) {
                let first = *first;
                self.duplicate("struct", name, first);
            }
            let empty = Record { name: name.text.clone(), bytes: 0, members: Vec::new() };
            let id = self.types.add(DataType::Record(empty));
            self.types.names.insert(name.text.clone(), (id, name.span));
            ids.push(id);
        }
        for (item, id) in structs.into_iter().zip(ids) {
            let record = self.layout(item);
            self.types.list[(id.0 - TypeId::SCRIPT) as usize] = DataType::Record(record);
        }
    }

    /// Members come one after the other, each at a multiple of its alignment, if they do not say where.
    fn layout(&mut self, item: &ast::StructItem) -> Record {
        let mut record = Record { name: item.name.text.clone(), bytes: 0, members: Vec::new() };
        let (mut end, mut largest) = (0u64, 1u64);
        for field in &item.fields {
            let Some(ty) = self.declared_data_type(&field.ty) else { continue };
            let (bytes, align) = (self.bytes_of(ty).unwrap_or(0), self.align_of(ty, 0));
            if bytes == 0 {
                let out = Diagnostic::error("E0420", format!("`{}` has no size here", field.name.text))
                    .primary(field.ty.span, "how many bytes?")
                    .help("a structure in another one is declared before it; a pointer to it may come first: `*node`");
                self.error(out);
                continue;
            }
            let offset = field.offset.unwrap_or(end.next_multiple_of(align));
            let Some(behind) = offset.checked_add(bytes).filter(|end| *end <= MOST_BYTES) else {
                self.error(
                    Diagnostic::error("E0415", format!("`{}` is larger than memory", item.name.text))
                        .primary(field.name.span, "this far from its beginning"),
                );
                continue;
            };
            if record.members.iter().any(|member| member.name == field.name.text) {
                self.duplicate("member", &field.name, item.name.span);
            }
            end = behind;
            record.bytes = record.bytes.max(behind);
            largest = largest.max(align);
            record.members.push(Member { name: field.name.text.clone(), ty, offset, bits: None });
        }
        record.bytes = record.bytes.next_multiple_of(largest);
        record
    }

    fn declared_data_type(&mut self, name: &ast::TypeName) -> Option<TypeId> {
        let mut ty = match memory_type(&name.name) {
            Some(ty) => self.types.add(DataType::Scalar(ty)),
            None if name.name == "bool" => {
                self.types.add(DataType::Scalar(MemType { bytes: 1, ty: Type::Bool, ..WORD }))
            }
            None => self.named_type(name)?,
        };
        for _ in 0..name.stars {
            ty = self.types.add(DataType::Pointer(Some(ty)));
        }
        if name.array {
            let fits = self.bytes_of(ty).and_then(|bytes| bytes.checked_mul(name.count));
            if fits.is_none_or(|bytes| bytes > MOST_BYTES) {
                return self.fail(
                    Diagnostic::error("E0415", "this array is larger than memory")
                        .primary(name.span, format!("{} elements", name.count)),
                );
            }
            ty = self.types.add(DataType::Array(ty, name.count));
        }
        Some(ty)
    }

    /// A type of the script or of the program.
    fn named_type(&mut self, name: &ast::TypeName) -> Option<TypeId> {
        let own = self.types.names.get(&name.name).map(|(id, _)| *id);
        if let Some(id) = own.or_else(|| self.debug.type_named(&name.name)) {
            return Some(id);
        }
        let mut names: Vec<String> = self.types.names.keys().cloned().collect();
        names.sort();
        if !self.terse() {
            names.extend(self.debug.type_names());
        }
        let out =
            Diagnostic::error("E0420", format!("there is no type `{}`", name.name)).primary(name.span, "not a type");
        self.fail(match nearest(&name.name, &names) {
            Some(near) => out.help(format!("did you mean `{near}`?")),
            None => out
                .help("types are those of the program's debug information and of the script")
                .help(format!("struct {} {{ next: ptr, key: u32 @ 8 }}", name.name)),
        })
    }

    pub(super) fn is_struct(&self, name: &str) -> bool {
        self.types.names.contains_key(name) || self.debug.type_named(name).is_some()
    }

    fn bytes_of(&self, ty: TypeId) -> Option<u64> {
        match self.data_type(ty) {
            DataType::Scalar(ty) | DataType::Char(ty) | DataType::Enum(ty, _) => Some(ty.bytes.into()),
            DataType::Pointer(_) => Some(8),
            DataType::Record(record) => Some(record.bytes),
            DataType::Array(element, count) => {
                // Arrays of arrays: as deep as the program says.
                let (mut element, mut total) = (element, count);
                for _ in 0..DEEPEST_ANONYMOUS {
                    match self.data_type(element) {
                        DataType::Array(inner, count) => {
                            total = total.checked_mul(count)?;
                            element = inner;
                        }
                        DataType::Opaque(_) => return None,
                        _ => return self.bytes_of(element)?.checked_mul(total),
                    }
                }
                None
            }
            DataType::Opaque(_) => None,
        }
    }

    fn align_of(&self, ty: TypeId, depth: u32) -> u64 {
        match self.data_type(ty) {
            _ if depth > DEEPEST_ANONYMOUS => 1,
            DataType::Scalar(ty) | DataType::Char(ty) | DataType::Enum(ty, _) => u64::from(ty.bytes).max(1),
            DataType::Pointer(_) => 8,
            DataType::Array(element, _) => self.align_of(element, depth + 1),
            DataType::Record(record) => {
                record.members.iter().map(|member| self.align_of(member.ty, depth + 1)).max().unwrap_or(1)
            }
            DataType::Opaque(_) => 1,
        }
    }

    // ---------- where data begins ----------

    /// True if `root` begins a path into variables of the program.
    pub(super) fn is_data_root(&self, root: &str) -> bool {
        let named = matches!(root, "args" | "vars" | "sym");
        let of_system_call = root == "args" && self.probe.event == "syscall";
        named && !of_system_call && !self.is_own_name(root)
    }

    fn is_own_name(&self, name: &str) -> bool {
        self.find_local(name).is_some() || self.constants.contains_key(name)
    }

    /// The result of the functions behind which the probe stands, if debug information has one type for it. Without, it
    /// is what its register holds: see [`Checker::register`].
    fn result(&mut self, span: Span) -> Option<Data> {
        let scope = self.probe.places.clone().filter(|_| self.is_behind_entry())?;
        let found = self.debug.variable(&scope, VariableKind::Result, ir::RESULT).ok()?;
        let known = match self.data_type(found.ty) {
            DataType::Scalar(_) | DataType::Char(_) | DataType::Enum(..) | DataType::Pointer(_) => {
                found.register.is_some()
            }
            DataType::Record(_) | DataType::Array(..) => true,
            DataType::Opaque(_) => false,
        };
        known.then(|| self.function_data(VariableKind::Result, ir::RESULT, found, span))
    }

    /// True if the result is an integer or a pointer, which a write sets the whole register of: callers see a narrow one
    /// extended to it on some architectures.
    pub(super) fn is_whole_register(&self, data: &Data) -> bool {
        let result = matches!(&data.place, DataPlace::Variable { kind: VariableKind::Result, .. });
        result
            && match self.data_type(data.ty) {
                DataType::Scalar(ty) => !ty.ty.is_float(),
                DataType::Char(_) | DataType::Enum(..) | DataType::Pointer(_) => true,
                _ => false,
            }
    }

    /// The data that an expression stands for. `None` if something is wrong and reported, `Some(None)` if it is no data.
    pub(super) fn data(&mut self, e: &ast::Expr) -> Option<Option<Data>> {
        let found = match &e.kind {
            ast::ExprKind::Path { root, access } if self.is_data_root(&root.text) => self.root(root, access, e.span)?,
            ast::ExprKind::Path { root, access } if root.text == ir::RESULT && !self.is_own_name(ir::RESULT) => {
                let Some(result) = self.result(root.span) else { return Some(None) };
                self.follow_all(result, access)?
            }
            ast::ExprKind::Path { root, access } => {
                let Some((local, _)) = self.find_local(&root.text) else { return Some(None) };
                let Some(&ty) = self.probe.data.get(&local) else { return Some(None) };
                let kind = ExprKind::Local(local);
                let value = make(kind, self.probe.locals[local.0 as usize].ty, root.span);
                let data = Data { ty, place: DataPlace::Value(value), bits: None, span: e.span };
                self.follow_all(data, access)?
            }
            ast::ExprKind::Cast(inner, ty) if ty.stars > 0 || (!is_type_name(&ty.name) && self.is_struct(&ty.name)) => {
                let value = self.integer(inner, "a pointer");
                let id = self.declared_data_type(ty)?;
                Data { ty: id, place: DataPlace::Value(value?), bits: None, span: e.span }
            }
            ast::ExprKind::Access(inner, access) => match self.data(inner)? {
                Some(data) => self.follow_all(data, access)?,
                None => {
                    self.expr(inner)?;
                    return self.no_type(inner, access);
                }
            },
            _ => return Some(None),
        };
        Some(Some(Data { span: e.span, ..found }))
    }

    fn no_type<T>(&mut self, inner: &ast::Expr, access: &[Access]) -> Option<T> {
        let text = self.source_text(inner.span);
        self.fail(
            Diagnostic::error("E0432", format!("nothing is known of what is at `{text}`"))
                .primary(access_span(&access[0]), "a member of what?")
                .secondary(inner.span, "a number without a type")
                .help("a pointer to a structure: `(x0 as *node).next`"),
        )
    }

    fn root(&mut self, root: &Text, access: &[Access], span: Span) -> Option<Data> {
        let (name, rest) = match access {
            [Access::Field(name), rest @ ..] => (name, rest),
            _ => return self.which_variable(root, span),
        };
        let data = match root.text.as_str() {
            "sym" => self.global(name)?,
            word => {
                let kind = if word == "args" { VariableKind::Argument } else { VariableKind::Local };
                self.function_variable(kind, name, root.span.to(name.span))?
            }
        };
        self.follow_all(data, rest)
    }

    fn which_variable<T>(&mut self, root: &Text, span: Span) -> Option<T> {
        let out = Diagnostic::error("E0406", format!("`{}` is no value by itself", root.text))
            .primary(span, "which one?")
            .help(format!("one of them: `{}.NAME`", root.text));
        self.fail(match root.text.as_str() {
            "sym" => out,
            "args" => out.help("all of them: `print args`; by their places: `arg0`, `arg1`, …"),
            word => out.help(format!("all of them: `print {word}`")),
        })
    }

    /// The probe as far as its places are known, for a look at the code there.
    fn scope(&mut self, span: Span) -> Option<ir::Probe> {
        let row = crate::probes::find(&self.probe.event);
        if self.probe.hopeless || row.is_none() {
            return None;
        }
        match &self.probe.places {
            Some(places) if row.is_some_and(|row| row.has_place && super::access::kind(row.name).is_none()) => {
                Some(places.clone())
            }
            _ => {
                let title = "variables of functions are known at places in them";
                let out = Diagnostic::error("E0403", title)
                    .primary(span, "not available here")
                    .secondary(self.probe.event_span, "this event is at no place that is known before")
                    .help("on insn at main.c:42 print vars.i")
                    .help("on call parse print args");
                self.fail(out)
            }
        }
    }

    fn function_variable(&mut self, kind: VariableKind, name: &Text, span: Span) -> Option<Data> {
        let scope = self.scope(span)?;
        let found = match self.debug.variable(&scope, kind, &name.text) {
            Ok(found) => found,
            Err(why) => return self.no_variable(kind_word(kind), name, &scope, why),
        };
        Some(self.function_data(kind, &name.text, found, span))
    }

    fn function_data(&self, kind: VariableKind, name: &str, found: Variable, span: Span) -> Data {
        let Variable { ty, register, in_memory } = found;
        let place = DataPlace::Variable { kind, name: name.to_string(), offset: 0, register, in_memory };
        Data { ty, place, bits: None, span }
    }

    fn global(&mut self, name: &Text) -> Option<Data> {
        let found = match self.debug.global(&name.text) {
            Ok(found) => found,
            Err(why) => {
                let scope = ir::Probe::removed(String::new(), name.span);
                return self.no_variable("sym", name, &scope, why);
            }
        };
        let addr = make(ExprKind::Int(found.addr), Type::Word, name.span);
        let ty = found.ty.unwrap_or_else(|| {
            let bits = if matches!(found.bytes, 1 | 2 | 4) { found.bytes as u8 * 8 } else { 64 };
            let ty = if bits == 64 { Type::Word } else { Type::Int { bits, signed: false } };
            self.types.add(DataType::Scalar(MemType { bytes: bits / 8, ty, ..WORD }))
        });
        Some(Data { ty, place: DataPlace::Memory(addr), bits: None, span: name.span })
    }

    fn no_variable<T>(&mut self, word: &str, name: &Text, scope: &ir::Probe, why: NoVariable) -> Option<T> {
        let text = &name.text;
        let shown = if text.is_empty() { word.to_string() } else { format!("{word}.{text}") };
        let out = match why {
            NoVariable::NoPlace(diagnostic) => *diagnostic,
            NoVariable::NoInfo(why) => {
                Diagnostic::error("E0430", format!("`{shown}` needs debug information, and {why}"))
                    .primary(name.span, "not known")
                    .help("compile the program with `-g`; a separate file is found by its build identifier")
                    .help_if((word == "args").then(|| "the arguments by number: `arg0`, `arg1`".to_string()))
            }
            NoVariable::Unknown(names) => {
                let what = match word {
                    "args" => "no argument",
                    "vars" => "no variable in scope",
                    _ => "no variable of the program",
                };
                let out = Diagnostic::error("E0431", format!("{what} is called `{text}`"))
                    .primary(name.span, "no such name here");
                match (nearest(text, &names), names.is_empty()) {
                    (Some(near), _) => out.help(format!("did you mean `{word}.{near}`?")).fix(name.span, near),
                    (None, true) => out.help("there are none here"),
                    (None, false) => out.help(format!("there are: {}", listed(&names))),
                }
            }
            NoVariable::OptimisedOut => {
                let place = scope.at.first().map_or(scope.head, |loc| loc.span);
                Diagnostic::error("E0433", format!("`{shown}` has no value here: it is optimised out"))
                    .primary(name.span, "kept nowhere")
                    .secondary(place, "at this place")
                    .help("another line may still have it, or compile the program with `-O0` or `-Og`")
            }
            NoVariable::Differs(one, other) => {
                Diagnostic::error("E0434", format!("`{shown}` is of different types at these places"))
                    .primary(name.span, format!("`{one}` and `{other}`"))
                    .help("one probe for each function")
            }
            NoVariable::NotKept => {
                Diagnostic::error("E0433", format!("`{shown}` is not kept until the function returns"))
                    .primary(name.span, "gone by then")
                    .help("integer arguments in registers are kept, for one function at a time")
                    .help(format!("on call f print {shown}"))
            }
        };
        self.fail(out)
    }

    // ---------- following a path ----------

    fn follow_all(&mut self, data: Data, access: &[Access]) -> Option<Data> {
        let mut data = data;
        for step in access {
            data = self.follow(data, step)?;
        }
        Some(data)
    }

    fn follow(&mut self, data: Data, step: &Access) -> Option<Data> {
        let data = Data { span: data.span.to(access_span(step)), ..data };
        match step {
            Access::Field(name) => self.member(data, name),
            Access::Index(index, span) => match index.as_slice() {
                [index] => self.element(data, index, *span),
                _ => self.fail(Diagnostic::error("E0412", "an element has one number").primary(*span, "one of these")),
            },
        }
    }

    /// A member of a structure, or of the one that a pointer points to.
    fn member(&mut self, data: Data, name: &Text) -> Option<Data> {
        let data = match self.data_type(data.ty) {
            DataType::Pointer(Some(_)) => self.pointed(&data)?,
            _ => data,
        };
        let record = match self.data_type(data.ty) {
            DataType::Record(record) => record,
            other => return self.no_members(&data, &other, name),
        };
        let mut names = Vec::new();
        match self.find_member(&record, &name.text, 0, &mut names) {
            Some(member) => Some(self.inside(data, member.ty, member.offset, member.bits)),
            None => {
                let title = format!("{} has no member `{}`", record_text(&record), name.text);
                let out = Diagnostic::error("E0432", title).primary(name.span, "no such member");
                self.fail(match nearest(&name.text, &names) {
                    Some(near) => out.help(format!("did you mean `{near}`?")).fix(name.span, near),
                    None => out.help(format!("it has: {}", listed(&names))),
                })
            }
        }
    }

    /// Finds a member, in anonymous ones too; `names` takes the names that there are.
    fn find_member(&self, record: &Record, name: &str, depth: u32, names: &mut Vec<String>) -> Option<Member> {
        if let Some(member) = record.members.iter().find(|member| member.name == name) {
            return Some(member.clone());
        }
        for member in &record.members {
            if !member.name.is_empty() {
                names.push(member.name.clone());
            } else if let DataType::Record(inner) = self.data_type(member.ty)
                && depth < DEEPEST_ANONYMOUS
                && let Some(found) = self.find_member(&inner, name, depth + 1, names)
            {
                return Some(Member { offset: member.offset.wrapping_add(found.offset), ..found });
            }
        }
        None
    }

    fn no_members<T>(&mut self, data: &Data, ty: &DataType, name: &Text) -> Option<T> {
        let text = self.source_text(data.span);
        let text = text.strip_suffix(&format!(".{}", name.text)).unwrap_or(&text);
        let out = Diagnostic::error("E0432", format!("`{text}` is {} and has no members", type_text(ty)))
            .primary(name.span, "a member of what?");
        self.fail(match ty {
            DataType::Pointer(None) => out.help(format!("({text} as *node).{}", name.text)),
            _ => out,
        })
    }

    /// What a pointer points to.
    fn pointed(&mut self, data: &Data) -> Option<Data> {
        let DataType::Pointer(Some(ty)) = self.data_type(data.ty) else { return None };
        let addr = self.read(data, WORD);
        Some(Data { ty, place: DataPlace::Memory(addr), bits: None, span: data.span })
    }

    /// Data of type `ty` that begins `by` bytes inside of `data`.
    fn inside(&mut self, data: Data, ty: TypeId, by: u64, bits: Option<(u8, u8)>) -> Data {
        let place = match data.place {
            DataPlace::Variable { kind, name, offset, register, in_memory } => {
                DataPlace::Variable { kind, name, offset: offset.wrapping_add(by), register, in_memory }
            }
            DataPlace::Memory(addr) => DataPlace::Memory(plus(addr, int(by, data.span))),
            // A structure is never a value that has been computed.
            DataPlace::Value(value) => DataPlace::Memory(plus(value, int(by, data.span))),
        };
        Data { ty, place, bits, span: data.span }
    }

    /// An element of an array, or behind a pointer.
    fn element(&mut self, data: Data, index: &ast::Expr, at: Span) -> Option<Data> {
        let number = self.integer(index, "the number of an element")?;
        let (data, ty, count) = match self.data_type(data.ty) {
            DataType::Array(ty, count) => (data, ty, count),
            DataType::Pointer(Some(ty)) => (self.pointed(&data)?, ty, 0),
            other => {
                let title = format!("{} has no elements", type_text(&other));
                return self.fail(Diagnostic::error("E0432", title).primary(at, "an element of what?"));
            }
        };
        let Some(bytes) = self.bytes_of(ty).filter(|bytes| *bytes > 0) else {
            return self
                .fail(Diagnostic::error("E0432", "the size of an element is not known").primary(at, "how far is it?"));
        };
        let known = match number.kind {
            ExprKind::Int(n) if count > 0 && n >= count => {
                let title = format!("element {n} is behind the end");
                return self.fail(
                    Diagnostic::error("E0415", title)
                        .primary(index.span, format!("there are {count}, from 0 to {}", count - 1)),
                );
            }
            ExprKind::Int(n) => n.checked_mul(bytes),
            _ => None,
        };
        let span = data.span;
        if let Some(by) = known {
            return Some(self.inside(data, ty, by, None));
        }
        let base = self.address(&data)?;
        let scaled = make(ExprKind::Binary(BinaryOp::Mul, Box::new(number), Box::new(int(bytes, at))), Type::U64, at);
        Some(Data { ty, place: DataPlace::Memory(plus(base, scaled)), bits: None, span })
    }

    // ---------- data as values ----------

    /// The value of data that is a number; the address of an array.
    pub(super) fn data_value(&mut self, data: &Data) -> Option<ir::Expr> {
        match self.data_type(data.ty) {
            DataType::Scalar(ty) | DataType::Char(ty) | DataType::Enum(ty, _) => Some(self.read(data, ty)),
            DataType::Pointer(_) => Some(self.read(data, WORD)),
            DataType::Array(..) => self.address(data),
            DataType::Record(record) => {
                let text = self.source_text(data.span);
                let mut names = Vec::new();
                self.find_member(&record, "", DEEPEST_ANONYMOUS, &mut names);
                let out = Diagnostic::error("E0406", format!("`{text}` is a whole structure"))
                    .primary(data.span, "which member?");
                let first = names.first().map(|name| format!("{text}.{name}"));
                self.fail(out.help_if(first).help(format!("to see all of it: `print {text}`")))
            }
            DataType::Opaque(what) => {
                let title = format!("`{}` is {what}, which scripts cannot handle", self.source_text(data.span));
                self.fail(Diagnostic::error("E0406", title).primary(data.span, "no value"))
            }
        }
    }

    /// The type of what data is, if it is kept for a variable of the script.
    pub(super) fn data_id(&self, data: &Data) -> TypeId {
        data.ty
    }

    fn read(&mut self, data: &Data, ty: MemType) -> ir::Expr {
        let span = data.span;
        let whole = match &data.place {
            DataPlace::Variable { kind, name, offset, .. } => {
                let variable = ir::Variable { kind: *kind, name: name.clone(), offset: *offset, ty: Some(ty) };
                make(ExprKind::Variable(Arc::new(variable)), ty.ty, span)
            }
            DataPlace::Memory(addr) => make(ExprKind::Load { ty, addr: Box::new(addr.clone()) }, ty.ty, span),
            DataPlace::Value(value) if value.ty == ty.ty => value.clone(),
            DataPlace::Value(value) => make(ExprKind::Cast(Box::new(value.clone())), ty.ty, span),
        };
        let Some((from, len)) = data.bits else { return whole };
        let ends = [u64::from(from), u64::from(from) + u64::from(len)].map(|bit| int(bit, span));
        let field = make(ExprKind::Call(Func::Bits, [vec![whole], ends.to_vec()].concat()), Type::U64, span);
        match ty.ty.is_signed() {
            true => make(ExprKind::Call(Func::Sext, vec![field, int(len.into(), span)]), ty.ty, span),
            false => make(ExprKind::Cast(Box::new(field)), ty.ty, span),
        }
    }

    fn address(&mut self, data: &Data) -> Option<ir::Expr> {
        match &data.place {
            DataPlace::Variable { kind, name, offset, in_memory: true, .. } => {
                let variable = ir::Variable { kind: *kind, name: name.clone(), offset: *offset, ty: None };
                Some(make(ExprKind::Variable(Arc::new(variable)), Type::Word, data.span))
            }
            DataPlace::Memory(addr) => Some(addr.clone()),
            DataPlace::Variable { .. } | DataPlace::Value(_) => {
                let title = format!("`{}` is not in memory here, so it has no address", self.source_text(data.span));
                self.fail(
                    Diagnostic::error("E0402", title)
                        .primary(data.span, "in a register, or in parts")
                        .help("elements of it can be read by constant numbers"),
                )
            }
        }
    }

    /// Data as the target of `write`.
    pub(super) fn data_target(&mut self, data: &Data) -> Option<LValue> {
        let ty = match self.data_type(data.ty) {
            DataType::Scalar(ty) | DataType::Char(ty) | DataType::Enum(ty, _) if data.bits.is_none() => ty,
            DataType::Pointer(_) => WORD,
            DataType::Scalar(_) | DataType::Char(_) | DataType::Enum(..) => {
                let text = self.source_text(data.span);
                return self.fail(
                    Diagnostic::error("E0402", format!("`{text}` is a bit field, which cannot be written"))
                        .primary(data.span, "less than a byte, or beside others")
                        .help("the bytes that it is in can be: `set u32[x0 + 4] bits 0..3`"),
                );
            }
            _ => {
                let title = format!("`{}` cannot be written as a whole", self.source_text(data.span));
                return self.fail(
                    Diagnostic::error("E0402", title)
                        .primary(data.span, "no number in bytes of its own")
                        .help("numbers and pointers can be written; of a structure one member after the other"),
                );
            }
        };
        if let DataPlace::Variable { offset, register: Some(register), .. } = &data.place {
            let from = offset.saturating_mul(8).saturating_add(register.offset.into());
            let bits = ty.bytes.saturating_mul(8);
            if from.saturating_add(u64::from(bits)) <= u64::from(register.offset) + u64::from(register.bits) {
                let view = Register { offset: from as u8, bits, ty: ty.ty, zero_extends: false, ..register.clone() };
                return Some(LValue::Register(view));
            }
        }
        let addr = self.address(data)?;
        Some(LValue::Memory { ty, addr })
    }

    // ---------- data as text ----------

    /// An expression as it is printed: enumerations by name, text behind pointers, whole structures.
    pub(super) fn shown_value(&mut self, e: &ast::Expr) -> Option<ir::Expr> {
        match self.data(e)? {
            Some(data) => self.shown_data(&data, 0),
            None => self.expr_of_no_data(e),
        }
    }

    /// A key: enumerations by name, pointers to text as that, all else as its value.
    pub(super) fn shown_key(&mut self, e: &ast::Expr) -> Option<ir::Expr> {
        if let Some(data) = self.data(e)? {
            match self.data_type(data.ty) {
                DataType::Enum(ty, names) => {
                    let value = self.read(&data, ty);
                    return Some(enum_name(value, names));
                }
                DataType::Pointer(Some(to)) if matches!(self.data_type(to), DataType::Char(_)) => {
                    return Some(self.text_at(&data, |text| text));
                }
                _ => {}
            }
        }
        self.expr(e)
    }

    /// The text that a pointer points to, or its number where none is.
    fn text_at(&mut self, data: &Data, shown: fn(ir::Expr) -> ir::Expr) -> ir::Expr {
        let span = data.span;
        let pointer = self.read(data, WORD);
        let text = shown(guest_text(pointer.clone(), SHOWN_TEXT, span));
        let number = make(ExprKind::Call(Func::Hex, vec![pointer]), Type::Str, span);
        make(ExprKind::Coalesce(Box::new(text), Box::new(number)), Type::Str, span)
    }

    fn shown_data(&mut self, data: &Data, depth: u32) -> Option<ir::Expr> {
        let span = data.span;
        match self.data_type(data.ty) {
            DataType::Enum(ty, names) => {
                let value = self.read(data, ty);
                Some(enum_name(value, names))
            }
            DataType::Pointer(Some(to)) if matches!(self.data_type(to), DataType::Char(_)) => {
                Some(self.text_at(data, quoted))
            }
            DataType::Array(element, count)
                if matches!(self.data_type(element), DataType::Char(_)) && self.has_address(data) && count > 0 =>
            {
                let addr = self.address(data)?;
                Some(quoted(guest_text(addr, count.min(SHOWN_TEXT), span)))
            }
            DataType::Array(element, count) => self.shown_array(data, element, count, depth),
            DataType::Record(record) if depth < SHOWN_LEVELS => self.shown_record(data, &record, depth),
            DataType::Record(_) => Some(text("{...}", span)),
            DataType::Opaque(_) => Some(text("?", span)),
            DataType::Scalar(_) | DataType::Char(_) | DataType::Pointer(_) => self.data_value(data),
        }
    }

    fn has_address(&self, data: &Data) -> bool {
        matches!(&data.place, DataPlace::Memory(_) | DataPlace::Variable { in_memory: true, .. })
    }

    fn shown_record(&mut self, data: &Data, record: &Record, depth: u32) -> Option<ir::Expr> {
        let mut parts = vec![StrPart::Text("{".to_string())];
        for member in record.members.iter().take(SHOWN_MEMBERS) {
            let before = if parts.len() == 1 { "" } else { ", " };
            let name = if member.name.is_empty() { String::new() } else { format!("{}=", member.name) };
            parts.push(StrPart::Text(format!("{before}{name}")));
            let inner = self.inside(data.clone(), member.ty, member.offset, member.bits);
            parts.push(StrPart::Value(self.shown_data(&inner, depth + 1)?, ir::Format::default()));
        }
        let end = if record.members.len() > SHOWN_MEMBERS { ", ...}" } else { "}" };
        parts.push(StrPart::Text(end.to_string()));
        self.shown_parts(parts, data.span)
    }

    fn shown_array(&mut self, data: &Data, element: TypeId, count: u64, depth: u32) -> Option<ir::Expr> {
        let bytes = self.bytes_of(element).filter(|_| depth < SHOWN_LEVELS);
        let Some(bytes) = bytes else { return Some(text("[...]", data.span)) };
        let mut parts = vec![StrPart::Text("[".to_string())];
        for n in 0..count.min(SHOWN_ELEMENTS) {
            if n > 0 {
                parts.push(StrPart::Text(", ".to_string()));
            }
            let inner = self.inside(data.clone(), element, n.wrapping_mul(bytes), None);
            parts.push(StrPart::Value(self.shown_data(&inner, depth + 1)?, ir::Format::default()));
        }
        parts.push(StrPart::Text(if count > SHOWN_ELEMENTS { ", ...]" } else { "]" }.to_string()));
        self.shown_parts(parts, data.span)
    }

    /// Data of many parts would need more temporaries than there are.
    fn shown_parts(&mut self, parts: Vec<StrPart>, span: Span) -> Option<ir::Expr> {
        self.nodes += parts.len();
        match self.nodes <= super::MAX_NODES {
            true => Some(make(ExprKind::Interp(parts), Type::Str, span)),
            false => self.grown(span),
        }
    }

    /// `print args`, `print vars`: an argument of `print` for each variable. `None` if `e` is something else.
    pub(super) fn shown_variables(&mut self, e: &ast::Expr) -> Option<Option<Vec<ir::PrintArg>>> {
        let ast::ExprKind::Path { root, access } = &e.kind else { return None };
        let kind = match root.text.as_str() {
            "args" => VariableKind::Argument,
            "vars" => VariableKind::Local,
            _ => return None,
        };
        if !access.is_empty() || !self.is_data_root(&root.text) {
            return None;
        }
        Some(self.variables(kind, root))
    }

    fn variables(&mut self, kind: VariableKind, root: &Text) -> Option<Vec<ir::PrintArg>> {
        let scope = self.scope(root.span)?;
        let names = match self.debug.variables(&scope, kind) {
            Ok(names) => names,
            Err(why) => {
                return self.no_variable(kind_word(kind), &Text { text: String::new(), span: root.span }, &scope, why);
            }
        };
        let mut list = Vec::new();
        for name in names {
            let value = match self.debug.variable(&scope, kind, &name) {
                Ok(found) => {
                    let certain = found.in_memory || found.register.is_some();
                    let data = self.function_data(kind, &name, found, root.span);
                    let value = self.shown_data(&data, 0)?;
                    if certain { value } else { or_unknown(value) }
                }
                // One that has no value must not hide the others.
                Err(_) => text("?", root.span),
            };
            list.push(ir::PrintArg { name, value: PrintValue::Expr(value) });
        }
        Some(list)
    }
}

fn kind_word(kind: VariableKind) -> &'static str {
    match kind {
        VariableKind::Argument => "args",
        VariableKind::Local => "vars",
        VariableKind::Result => ir::RESULT,
    }
}

fn plus(addr: ir::Expr, by: ir::Expr) -> ir::Expr {
    let span = addr.span;
    match (&addr.kind, &by.kind) {
        (ExprKind::Binary(BinaryOp::Add, base, first), ExprKind::Int(more))
            if matches!(first.kind, ExprKind::Int(_)) =>
        {
            let first = super::expr::literal(first).unwrap_or(0);
            plus((**base).clone(), int(first.wrapping_add(*more), span))
        }
        (_, ExprKind::Int(0)) => addr,
        (ExprKind::Int(a), ExprKind::Int(b)) => make(ExprKind::Int(a.wrapping_add(*b)), Type::Word, span),
        _ => make(ExprKind::Binary(BinaryOp::Add, Box::new(addr), Box::new(by)), Type::Word, span),
    }
}

fn text(text: &str, span: Span) -> ir::Expr {
    make(ExprKind::Str(text.to_string()), Type::Str, span)
}

fn guest_text(addr: ir::Expr, most: u64, span: Span) -> ir::Expr {
    make(ExprKind::Call(Func::Str, vec![addr, int(most, span)]), Type::Str, span)
}

fn quoted(value: ir::Expr) -> ir::Expr {
    let span = value.span;
    let quote = || StrPart::Text("\"".to_string());
    make(ExprKind::Interp(vec![quote(), StrPart::Value(value, ir::Format::default()), quote()]), Type::Str, span)
}

fn enum_name(value: ir::Expr, names: EnumNames) -> ir::Expr {
    let span = value.span;
    make(ExprKind::EnumName(Box::new(value), names), Type::Str, span)
}

/// A value that may be missing at some of the places, as text.
fn or_unknown(value: ir::Expr) -> ir::Expr {
    let span = value.span;
    let value = match value.ty {
        Type::Str => value,
        _ => make(ExprKind::Interp(vec![StrPart::Value(value, ir::Format::default())]), Type::Str, span),
    };
    make(ExprKind::Coalesce(Box::new(value), Box::new(text("?", span))), Type::Str, span)
}

fn record_text(record: &Record) -> String {
    match record.name.as_str() {
        "" => "this structure".to_string(),
        name => format!("`{name}`"),
    }
}

fn type_text(ty: &DataType) -> String {
    match ty {
        DataType::Scalar(_) | DataType::Char(_) => "a number".to_string(),
        DataType::Enum(..) => "an enumeration".to_string(),
        DataType::Pointer(None) => "an address of nothing known".to_string(),
        DataType::Pointer(Some(_)) => "a pointer".to_string(),
        DataType::Record(record) => record_text(record),
        DataType::Array(..) => "an array".to_string(),
        DataType::Opaque(what) => what.clone(),
    }
}

/// At most so many names that a line holds them.
fn listed(names: &[String]) -> String {
    const MOST: usize = 12;
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(MOST)].join(", "))
}
