//! Functions, the blocks in them, and the variables that these declare.
//!
//! A unit's functions are read at once, without their variables' places: those are looked up when they are asked for
//! ([`super::location`]).

use super::{DebugFile, Slice, UnitOf};
use gimli::{AttributeValue, DebuggingInformationEntry, UnitOffset, constants as dw};
use spile_lang::ir::VariableKind;
use std::ops::Range;

/// What is read of a unit: so many functions and blocks, so many variables.
const MOST_SCOPES: usize = 1 << 20;
const MOST_VARIABLES: usize = 4 << 20;
/// Deeper blocks are left out, as are longer chains of one entry that stands for another.
const DEEPEST: isize = 64;
const LONGEST_CHAIN: usize = 8;

pub(super) type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// A function with code of its own.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) entry: UnitOffset<usize>,
    /// The function itself first, then the blocks and inlined functions in it, outer ones before inner ones.
    scopes: Vec<Scope>,
    variables: Vec<Declared>,
}

#[derive(Debug)]
struct Scope {
    ranges: Vec<Range<u64>>,
    /// A function, be it inlined.
    is_function: bool,
}

#[derive(Debug)]
struct Declared {
    name: String,
    entry: UnitOffset<usize>,
    parameter: bool,
    scope: u32,
}

/// A variable that a file declares; the result of a function has the function's own entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariableOf {
    pub(super) unit: usize,
    pub(super) entry: UnitOffset<usize>,
    /// The function in which it is.
    pub(super) function: UnitOffset<usize>,
}

impl Function {
    pub(super) fn contains(&self, addr: u64) -> bool {
        self.scopes[0].contains(addr)
    }

    /// Its first instruction.
    pub(super) fn low(&self) -> u64 {
        self.scopes[0].ranges.first().map_or(0, |range| range.start)
    }

    /// Variables of a kind whose scope has an address, inner ones first, in the order in which a scope declares them.
    fn visible(&self, addr: u64, kind: VariableKind) -> Vec<&Declared> {
        let inner = (0..self.scopes.len()).rev().filter(|&scope| self.scopes[scope].contains(addr));
        let of_kind = |variable: &&Declared| variable.parameter == (kind == VariableKind::Argument);
        let declared =
            inner.flat_map(|scope| self.variables.iter().filter(move |v| v.scope as usize == scope)).filter(of_kind);
        declared.collect()
    }

    /// The innermost function at an address, by its number: 0 is the function itself.
    fn instance(&self, addr: u64) -> usize {
        let holds = |scope: &usize| self.scopes[*scope].is_function && self.scopes[*scope].contains(addr);
        (0..self.scopes.len()).rev().find(holds).unwrap_or(0)
    }
}

impl Scope {
    fn contains(&self, addr: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&addr))
    }
}

impl DebugFile {
    fn functions(&self, index: usize) -> &[Function] {
        let read = || self.unit(index).map(|unit| self.read_functions(&unit)).unwrap_or_default();
        self.units[index].functions.get_or_init(read)
    }

    pub(super) fn function_at(&self, addr: u64) -> Option<(usize, &Function)> {
        self.units_of(addr).find_map(|unit| {
            let function = self.functions(unit).iter().find(|function| function.contains(addr))?;
            Some((unit, function))
        })
    }

    /// The first instruction of the function at an address.
    pub fn function_start(&self, addr: u64) -> Option<u64> {
        self.function_at(addr).map(|(_, function)| function.low())
    }

    /// The innermost function at an address, inlined ones included: its unit, its entry, and which copy.
    pub(super) fn instance_at(&self, addr: u64) -> Option<(usize, UnitOffset<usize>, usize)> {
        let (unit, function) = self.function_at(addr)?;
        Some((unit, function.entry, function.instance(addr)))
    }

    /// Finds a variable by its name as the code at an address sees it. Local variables come before arguments.
    pub fn variable(&self, addr: u64, kind: VariableKind, name: &str) -> Option<VariableOf> {
        let (unit, function) = self.function_at(addr)?;
        if kind == VariableKind::Result {
            let result = VariableOf { unit, entry: function.entry, function: function.entry };
            return self.variable_type(result).map(|_| result);
        }
        let arguments = (kind == VariableKind::Local).then_some(VariableKind::Argument);
        let mut kinds = std::iter::once(kind).chain(arguments);
        let found =
            kinds.find_map(|kind| function.visible(addr, kind).into_iter().find(|variable| variable.name == name))?;
        Some(VariableOf { unit, entry: found.entry, function: function.entry })
    }

    /// Names of the variables that the code at an address sees: of the innermost function the arguments, of all blocks
    /// the local variables. `None` if nothing is known of it.
    pub fn variables(&self, addr: u64, kind: VariableKind) -> Option<Vec<&str>> {
        let (_, function) = self.function_at(addr)?;
        let visible = function.visible(addr, kind);
        let instance = function.instance(addr) as u32;
        let shown = visible.into_iter().filter(|v| kind == VariableKind::Local || v.scope == instance);
        let mut names: Vec<&str> = Vec::new();
        for name in shown.map(|variable| variable.name.as_str()).filter(|name| !name.is_empty()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(names)
    }

    /// The parameters of the function that begins at an address, and the one with this number among them.
    pub(super) fn parameters(&self, function: &Function) -> Vec<UnitOffset<usize>> {
        let own = function.variables.iter().filter(|variable| variable.parameter && variable.scope == 0);
        own.map(|variable| variable.entry).collect()
    }

    fn read_functions<'a>(&'a self, unit: &UnitOf<'a>) -> Vec<Function> {
        let mut functions: Vec<Function> = Vec::new();
        // Of the entries around the present one: its depth, and its scope in the function that is being read.
        let mut open: Vec<(isize, u32)> = Vec::new();
        let mut skipped: Option<isize> = None;
        let (mut scopes, mut variables) = (0, 0);
        let mut cursor = unit.unit.entries();
        while let Ok(Some(entry)) = cursor.next_dfs() {
            let depth = entry.depth();
            if skipped.is_some_and(|outer| depth > outer) {
                continue;
            }
            skipped = None;
            while open.last().is_some_and(|(outer, _)| *outer >= depth) {
                open.pop();
            }
            let inlined = entry.tag() == dw::DW_TAG_inlined_subroutine;
            match entry.tag() {
                dw::DW_TAG_subprogram => {
                    let ranges = ranges(unit, entry);
                    if ranges.is_empty() || scopes >= MOST_SCOPES {
                        skipped = Some(depth);
                        continue;
                    }
                    scopes += 1;
                    open.clear();
                    open.push((depth, 0));
                    let scope = Scope { ranges, is_function: true };
                    functions.push(Function { entry: entry.offset(), scopes: vec![scope], variables: Vec::new() });
                }
                dw::DW_TAG_lexical_block | dw::DW_TAG_inlined_subroutine => {
                    let Some(function) = functions.last_mut().filter(|_| !open.is_empty()) else { continue };
                    let ranges = ranges(unit, entry);
                    if ranges.is_empty() || scopes >= MOST_SCOPES || depth > DEEPEST {
                        skipped = Some(depth);
                        continue;
                    }
                    scopes += 1;
                    open.push((depth, function.scopes.len() as u32));
                    function.scopes.push(Scope { ranges, is_function: inlined });
                }
                dw::DW_TAG_variable | dw::DW_TAG_formal_parameter if variables < MOST_VARIABLES => {
                    let Some(function) = functions.last_mut() else { continue };
                    let Some(&(outer, scope)) = open.last() else { continue };
                    if outer + 1 == depth {
                        variables += 1;
                        let parameter = entry.tag() == dw::DW_TAG_formal_parameter;
                        let name = self.name(unit, entry).unwrap_or_default();
                        function.variables.push(Declared { name, entry: entry.offset(), parameter, scope });
                    }
                }
                _ => {}
            }
        }
        functions
    }

    /// An attribute of an entry, or of the one that it is a copy of; with the unit in which it is.
    pub(super) fn with_origin<'a, T>(
        &'a self,
        unit: &UnitOf<'a>,
        entry: &Entry<'a>,
        get: &dyn Fn(&UnitOf<'a>, &Entry<'a>) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = get(unit, entry) {
            return Some(found);
        }
        let (mut number, mut offset) = origin(self, unit, entry)?;
        for _ in 0..LONGEST_CHAIN {
            let unit = self.unit(number)?;
            let entry = unit.unit.entry(offset).ok()?;
            if let Some(found) = get(&unit, &entry) {
                return Some(found);
            }
            (number, offset) = origin(self, &unit, &entry)?;
        }
        None
    }

    pub(super) fn name<'a>(&'a self, unit: &UnitOf<'a>, entry: &Entry<'a>) -> Option<String> {
        self.with_origin(unit, entry, &|unit, entry| own_name(unit, entry))
    }

    /// The entry that an attribute refers to.
    pub(super) fn reference(
        &self,
        unit: &UnitOf<'_>,
        value: AttributeValue<Slice<'_>>,
    ) -> Option<(usize, UnitOffset<usize>)> {
        match value {
            AttributeValue::UnitRef(offset) => Some((unit.index, offset)),
            AttributeValue::DebugInfoRef(offset) => {
                let index = self.unit_at(offset.0)?;
                let other = self.unit(index)?;
                Some((index, offset.to_unit_offset(&other.unit.header)?))
            }
            _ => None,
        }
    }
}

fn origin(file: &DebugFile, unit: &UnitOf<'_>, entry: &Entry<'_>) -> Option<(usize, UnitOffset<usize>)> {
    let value = entry.attr_value(dw::DW_AT_abstract_origin).or_else(|| entry.attr_value(dw::DW_AT_specification))?;
    file.reference(unit, value)
}

pub(super) fn own_name(unit: &UnitOf<'_>, entry: &Entry<'_>) -> Option<String> {
    let value = entry.attr_value(dw::DW_AT_name)?;
    let text = unit.dwarf.attr_string(&unit.unit, value).ok()?;
    Some(text.to_string_lossy().into_owned())
}

fn ranges<'a>(unit: &UnitOf<'a>, entry: &Entry<'a>) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    if let Ok(mut ranges) = unit.dwarf.die_ranges(&unit.unit, entry) {
        while let Ok(Some(range)) = ranges.next() {
            if range.begin < range.end && found.len() < MOST_SCOPES {
                found.push(range.begin..range.end);
            }
        }
    }
    found
}
