//! Types, and the variables of the whole program: entries of a unit to what the checker of scripts knows of data.

use super::scopes::{Entry, own_name};
use super::{DebugFile, UnitOf};
use gimli::{AttributeValue, UnitOffset, constants as dw};
use spile_lang::debug::{DataType, EnumNames, Member, Record, TypeId};
use spile_lang::ir::MemType;
use spile_lang::types::Type;
use std::collections::HashMap;

/// What is read of a type: so many members, values or dimensions.
const MOST_MEMBERS: usize = 1 << 16;
/// What is read of a file: so many names.
const MOST_NAMES: usize = 4 << 20;
/// Longer chains of type definitions and qualifiers make no sense.
const LONGEST_CHAIN: usize = 64;

/// Names a type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeKey {
    pub(super) unit: usize,
    pub(super) entry: UnitOffset<usize>,
    /// Of an array of several dimensions, so many of the first ones taken away.
    pub(super) dimension: u16,
}

/// The types and variables of a whole file, by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    types: HashMap<String, TypeKey>,
    variables: HashMap<String, Vec<TypeKey>>,
}

impl DebugFile {
    fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let mut names = Names::default();
            for index in 0..self.units.len() {
                if let Some(unit) = self.unit(index) {
                    names.read(self, &unit);
                }
            }
            names
        })
    }

    /// Finds a type by its name.
    pub fn type_named(&self, name: &str) -> Option<TypeKey> {
        self.names().types.get(name).copied()
    }

    /// Names of all types, sorted.
    pub fn type_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.names().types.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Names of all variables of the program, sorted.
    pub fn global_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.names().variables.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Finds the variables of the program that have this name: the type and the file's address of each.
    pub fn globals(&self, name: &str) -> Vec<(TypeKey, u64)> {
        let found = self.names().variables.get(name).map(Vec::as_slice).unwrap_or_default();
        let read = |key: &TypeKey| {
            let unit = self.unit(key.unit)?;
            let entry = unit.unit.entry(key.entry).ok()?;
            Some((self.type_of(&unit, &entry)?, static_address(&unit, &entry)?))
        };
        found.iter().filter_map(read).collect()
    }

    /// The type of a variable or member.
    pub(super) fn type_of<'a>(&'a self, unit: &UnitOf<'a>, entry: &Entry<'a>) -> Option<TypeKey> {
        let (unit, entry) =
            self.with_origin(unit, entry, &|unit, entry| self.reference(unit, entry.attr_value(dw::DW_AT_type)?))?;
        Some(TypeKey { unit, entry, dimension: 0 })
    }

    /// The type behind type definitions and qualifiers.
    fn seen_through(&self, key: TypeKey) -> Option<TypeKey> {
        let mut key = key;
        for _ in 0..LONGEST_CHAIN {
            let unit = self.unit(key.unit)?;
            let entry = unit.unit.entry(key.entry).ok()?;
            match entry.tag() {
                dw::DW_TAG_typedef
                | dw::DW_TAG_const_type
                | dw::DW_TAG_volatile_type
                | dw::DW_TAG_restrict_type
                | dw::DW_TAG_atomic_type => {
                    let (unit, entry) = self.reference(&unit, entry.attr_value(dw::DW_AT_type)?)?;
                    key = TypeKey { unit, entry, dimension: 0 };
                }
                // A structure that is only declared here may be defined in another unit.
                dw::DW_TAG_structure_type | dw::DW_TAG_class_type | dw::DW_TAG_union_type
                    if entry.attr(dw::DW_AT_declaration).is_some() =>
                {
                    return own_name(&unit, &entry).and_then(|name| self.type_named(&name)).or(Some(key));
                }
                _ => return Some(key),
            }
        }
        None
    }

    /// One level of a type; `number` gives the types in it their numbers.
    pub fn data_type(&self, key: TypeKey, number: &dyn Fn(TypeKey) -> TypeId) -> DataType {
        self.described(key, number).unwrap_or_else(|| DataType::Opaque("a type that makes no sense".to_string()))
    }

    /// A type in words, to compare types of different units: `struct node *`.
    pub fn type_text(&self, key: TypeKey) -> String {
        let (mut key, mut behind) = (key, String::new());
        for _ in 0..LONGEST_CHAIN {
            let inner = std::cell::Cell::new(None);
            let number = |key: TypeKey| {
                inner.set(Some(key));
                TypeId(0)
            };
            let text = match self.data_type(key, &number) {
                DataType::Pointer(Some(_)) => {
                    behind.insert(0, '*');
                    String::new()
                }
                DataType::Array(_, count) => {
                    behind.insert_str(0, &format!("[{count}]"));
                    String::new()
                }
                DataType::Pointer(None) => "void *".to_string(),
                DataType::Scalar(ty) | DataType::Char(ty) => ty.ty.to_string(),
                DataType::Enum(ty, names) => format!("enum of {} {}", names.len(), ty.ty),
                DataType::Record(record) => format!("struct {} of {} bytes", record.name, record.bytes),
                DataType::Opaque(what) => what,
            };
            match inner.get().filter(|_| text.is_empty()) {
                Some(next) => key = next,
                None => return format!("{text}{behind}"),
            }
        }
        behind
    }

    fn described(&self, key: TypeKey, number: &dyn Fn(TypeKey) -> TypeId) -> Option<DataType> {
        let key = self.seen_through(key)?;
        let unit = self.unit(key.unit)?;
        let entry = unit.unit.entry(key.entry).ok()?;
        let name = own_name(&unit, &entry).unwrap_or_default();
        let opaque = |what: &str| Some(DataType::Opaque(what.trim().to_string()));
        match entry.tag() {
            dw::DW_TAG_base_type => base(&entry).or_else(|| opaque(&name)),
            dw::DW_TAG_enumeration_type => {
                let mut ty = scalar(bytes(&entry).unwrap_or(4), false)?;
                let names = enumerators(&unit, key.entry);
                if names.iter().any(|(value, _)| (*value as i64) < 0) {
                    ty = scalar(u64::from(ty.bytes), true)?;
                }
                Some(DataType::Enum(ty, names))
            }
            dw::DW_TAG_pointer_type | dw::DW_TAG_reference_type | dw::DW_TAG_rvalue_reference_type => {
                Some(DataType::Pointer(self.pointed(&unit, &entry).map(number)))
            }
            dw::DW_TAG_structure_type | dw::DW_TAG_class_type | dw::DW_TAG_union_type => {
                match entry.attr(dw::DW_AT_declaration) {
                    Some(_) => opaque(&format!("struct {name}, which is not defined")),
                    None => Some(DataType::Record(self.record(&unit, &entry, name, number))),
                }
            }
            dw::DW_TAG_array_type => self.array(&unit, &entry, key, number),
            dw::DW_TAG_subroutine_type => opaque("a function"),
            dw::DW_TAG_unspecified_type => opaque(&name),
            _ => opaque(&format!("{name} (a type that Spile does not know)")),
        }
    }

    /// What a pointer points to, if that can have a value.
    fn pointed<'a>(&'a self, unit: &UnitOf<'a>, entry: &Entry<'a>) -> Option<TypeKey> {
        let target = self.seen_through(self.type_of(unit, entry)?)?;
        let unit = self.unit(target.unit)?;
        let tag = unit.unit.entry(target.entry).ok()?.tag();
        (!matches!(tag, dw::DW_TAG_subroutine_type | dw::DW_TAG_unspecified_type)).then_some(target)
    }

    fn record<'a>(
        &'a self,
        unit: &UnitOf<'a>,
        entry: &Entry<'a>,
        name: String,
        number: &dyn Fn(TypeKey) -> TypeId,
    ) -> Record {
        let members = children(unit, entry.offset(), |child| {
            let member = matches!(child.tag(), dw::DW_TAG_member | dw::DW_TAG_inheritance);
            // Static members are variables of the program.
            if !member || child.attr(dw::DW_AT_external).is_some() {
                return None;
            }
            let key = self.type_of(unit, child)?;
            let name = own_name(unit, child).filter(|_| child.tag() == dw::DW_TAG_member).unwrap_or_default();
            let (offset, bits) = self.member_place(child, key)?;
            Some(Member { name, ty: number(key), offset, bits })
        });
        Record { name, bytes: bytes(entry).unwrap_or(0), members }
    }

    fn member_place(&self, entry: &Entry<'_>, key: TypeKey) -> Option<(u64, Option<(u8, u8)>)> {
        let value = |name| entry.attr(name).and_then(gimli::Attribute::udata_value);
        let offset = value(dw::DW_AT_data_member_location).unwrap_or(0);
        let Some(len) = value(dw::DW_AT_bit_size) else { return Some((offset, None)) };
        let size = self.number_bytes(key).filter(|_| matches!(len, 1..=64))?;
        let first = match (value(dw::DW_AT_data_bit_offset), value(dw::DW_AT_bit_offset)) {
            (Some(first), _) => first,
            // Counted from the most significant bit of the storage (DWARF 3).
            (None, Some(from_top)) => {
                let storage = value(dw::DW_AT_byte_size).unwrap_or(size);
                let below = storage.checked_mul(8)?.checked_sub(from_top.checked_add(len)?)?;
                offset.checked_mul(8)?.checked_add(below)?
            }
            (None, None) => offset.checked_mul(8)?,
        };
        let unit_bits = size * 8;
        let start = first - first % unit_bits;
        let (start, from) = match first - start + len <= unit_bits {
            true => (start, first - start),
            // Packed: it crosses the boundary of its own type.
            false => (first - first % 8, first % 8),
        };
        (from + len <= 64).then_some((start / 8, Some((from as u8, len as u8))))
    }

    /// The size of a basic type or enumeration.
    fn number_bytes(&self, key: TypeKey) -> Option<u64> {
        let key = self.seen_through(key)?;
        let unit = self.unit(key.unit)?;
        let entry = unit.unit.entry(key.entry).ok()?;
        let is_number = matches!(entry.tag(), dw::DW_TAG_base_type | dw::DW_TAG_enumeration_type);
        bytes(&entry).filter(|bytes| is_number && matches!(bytes, 1..=8))
    }

    fn array<'a>(
        &'a self,
        unit: &UnitOf<'a>,
        entry: &Entry<'a>,
        key: TypeKey,
        number: &dyn Fn(TypeKey) -> TypeId,
    ) -> Option<DataType> {
        let counts = children(unit, entry.offset(), |child| {
            let value = |name| child.attr(name).and_then(gimli::Attribute::udata_value);
            let above = value(dw::DW_AT_upper_bound).and_then(|last| last.checked_add(1));
            (child.tag() == dw::DW_TAG_subrange_type).then(|| value(dw::DW_AT_count).or(above).unwrap_or(0))
        });
        let count = counts.get(usize::from(key.dimension)).copied().unwrap_or(0);
        let inner = match usize::from(key.dimension) + 1 < counts.len() {
            true => TypeKey { dimension: key.dimension + 1, ..key },
            false => self.type_of(unit, entry)?,
        };
        Some(DataType::Array(number(inner), count))
    }
}

impl Names {
    /// Enters what a unit defines outside of functions, in name spaces and classes too.
    fn read<'a>(&mut self, file: &'a DebugFile, unit: &UnitOf<'a>) {
        let mut skipped: Option<isize> = None;
        let mut cursor = unit.unit.entries();
        while let Ok(Some(entry)) = cursor.next_dfs() {
            if skipped.is_some_and(|outer| entry.depth() > outer) || self.types.len() >= MOST_NAMES {
                continue;
            }
            skipped = None;
            let key = TypeKey { unit: unit.index, entry: entry.offset(), dimension: 0 };
            match entry.tag() {
                dw::DW_TAG_subprogram => skipped = Some(entry.depth()),
                dw::DW_TAG_structure_type
                | dw::DW_TAG_class_type
                | dw::DW_TAG_union_type
                | dw::DW_TAG_enumeration_type
                | dw::DW_TAG_base_type
                | dw::DW_TAG_typedef
                    if entry.attr(dw::DW_AT_declaration).is_none() =>
                {
                    if let Some(name) = own_name(unit, entry) {
                        // `struct node` and `typedef … node`: the structure says more.
                        let tag = entry.tag();
                        match tag == dw::DW_TAG_typedef {
                            true => drop(self.types.entry(name).or_insert(key)),
                            false => drop(self.types.insert(name, key)),
                        }
                    }
                }
                dw::DW_TAG_variable if entry.attr(dw::DW_AT_location).is_some() => {
                    if let Some(name) = file.name(unit, entry) {
                        self.variables.entry(name).or_default().push(key);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What `get` says of the entries directly below one.
fn children<'a, T>(
    unit: &UnitOf<'a>,
    offset: UnitOffset<usize>,
    mut get: impl FnMut(&Entry<'a>) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    let Ok(mut cursor) = unit.unit.entries_at_offset(offset) else { return found };
    if !matches!(cursor.next_dfs(), Ok(Some(entry)) if entry.has_children()) {
        return found;
    }
    let below = cursor.depth() + 1;
    let mut next = cursor.next_entry().is_ok();
    while next && found.len() < MOST_MEMBERS {
        let depth = cursor.depth();
        match cursor.current() {
            // The end of a list of siblings.
            None if depth <= below => break,
            Some(entry) if depth == below => found.extend(get(entry)),
            _ => {}
        }
        next = matches!(cursor.next_entry(), Ok(true));
    }
    found
}

fn enumerators(unit: &UnitOf<'_>, offset: UnitOffset<usize>) -> EnumNames {
    let named = children(unit, offset, |child| {
        let value = child.attr(dw::DW_AT_const_value)?;
        // Only those that cannot be read as unsigned are negative.
        let number = value.udata_value().or(value.sdata_value().map(|v| v as u64))?;
        Some((number, own_name(unit, child).filter(|_| child.tag() == dw::DW_TAG_enumerator)?))
    });
    named.into()
}

fn bytes(entry: &Entry<'_>) -> Option<u64> {
    entry.attr(dw::DW_AT_byte_size).and_then(gimli::Attribute::udata_value)
}

fn scalar(bytes: u64, signed: bool) -> Option<MemType> {
    let ty = match bytes {
        1 | 2 | 4 | 8 => Type::Int { bits: (bytes * 8) as u8, signed },
        16 => Type::U128,
        _ => return None,
    };
    Some(MemType { bytes: bytes as u8, signed: signed && bytes < 16, big_endian: false, ty })
}

fn base(entry: &Entry<'_>) -> Option<DataType> {
    let bytes = bytes(entry)?;
    let Some(AttributeValue::Encoding(encoding)) = entry.attr_value(dw::DW_AT_encoding) else { return None };
    let other = |ty| MemType { bytes: bytes as u8, signed: false, big_endian: false, ty };
    match encoding {
        dw::DW_ATE_boolean if bytes == 1 => Some(DataType::Scalar(other(Type::Bool))),
        dw::DW_ATE_boolean | dw::DW_ATE_unsigned => scalar(bytes, false).map(DataType::Scalar),
        dw::DW_ATE_signed => scalar(bytes, true).map(DataType::Scalar),
        dw::DW_ATE_signed_char if bytes == 1 => scalar(1, true).map(DataType::Char),
        dw::DW_ATE_unsigned_char if bytes == 1 => scalar(1, false).map(DataType::Char),
        dw::DW_ATE_UTF | dw::DW_ATE_unsigned_char => scalar(bytes, false).map(DataType::Scalar),
        dw::DW_ATE_float if bytes == 4 => Some(DataType::Scalar(other(Type::F32))),
        dw::DW_ATE_float if bytes == 8 => Some(DataType::Scalar(other(Type::F64))),
        _ => None,
    }
}

/// The address of a variable that is always at the same place.
fn static_address(unit: &UnitOf<'_>, entry: &Entry<'_>) -> Option<u64> {
    let expression = entry.attr(dw::DW_AT_location)?.exprloc_value()?;
    let mut operations = expression.operations(unit.unit.encoding());
    let addr = match operations.next().ok()?? {
        gimli::Operation::Address { address } => address,
        gimli::Operation::AddressIndex { index } => unit.dwarf.address(&unit.unit, index).ok()?,
        _ => return None,
    };
    match operations.next() {
        Ok(None) => Some(addr),
        Ok(Some(gimli::Operation::PlusConstant { value })) => Some(addr.wrapping_add(value)),
        _ => None,
    }
}
