//! Symbols of the loaded program files: names to addresses and back.
//!
//! Tables come from `.symtab` where a file has one, else from `.dynsym`; names are demangled. What a script's place
//! stands for is decided in [`crate::probe::attach`], not here.

use crate::elf::Loaded;
use crate::mem::perm;
use crate::probe::attach::{Location, Module, Symbol, Symbols};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};
use std::ops::Range;
use std::path::Path;

/// `SHF_ALLOC` of the ELF specification: the section is in memory at run time.
const SHF_ALLOC: u64 = 2;
/// `SHF_EXECINSTR`: the section holds code.
const SHF_EXECINSTR: u64 = 4;

/// The symbols of all loaded modules, in load order: the program first.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    modules: Vec<Module>,
    sections: Vec<Vec<(String, Range<u64>)>>,
    /// Sorted by address; of several at one address the best comes first.
    symbols: Vec<Symbol>,
}

impl SymbolTable {
    /// Reads the symbols of the loaded files. A file that cannot be read any more, or has none, is a module without
    /// symbols.
    pub fn of(images: &[Loaded]) -> SymbolTable {
        let mut table = SymbolTable::default();
        for loaded in images {
            table.add(loaded);
        }
        table
    }

    /// A raw image: a module without symbols, all of it code.
    pub fn raw(path: &Path, range: Range<u64>) -> SymbolTable {
        let name = file_name(path);
        let code = vec![range.clone()];
        let module = Module { name, bias: 0, position_independent: false, range, code };
        SymbolTable { modules: vec![module], sections: vec![Vec::new()], symbols: Vec::new() }
    }

    /// The module that has `addr` in its range.
    pub fn module_of(&self, addr: u64) -> Option<&Module> {
        self.modules.iter().find(|module| module.range.contains(&addr))
    }

    /// The name of the section that contains `addr`.
    pub fn section_of(&self, addr: u64) -> Option<&str> {
        let mut all = self.sections.iter().flatten();
        all.find(|(_, range)| range.contains(&addr)).map(|(name, _)| name.as_str())
    }

    fn add(&mut self, loaded: &Loaded) {
        let start = loaded.segments.iter().map(|segment| segment.start).min().unwrap_or(0);
        let executable = loaded.segments.iter().filter(|segment| segment.prot & perm::EXEC != 0);
        let mut module = Module {
            name: file_name(&loaded.path),
            bias: loaded.bias,
            position_independent: loaded.bias != 0,
            range: start..loaded.end(),
            code: executable.map(|segment| segment.start..segment.end).collect(),
        };
        let index = self.modules.len();
        let mut sections = Vec::new();
        let bytes = std::fs::read(&loaded.path).unwrap_or_default();
        if let Ok(file) = object::File::parse(&*bytes) {
            let code = code_sections(&file, loaded.bias);
            if !code.is_empty() {
                module.code = code;
            }
            sections = named_sections(&file, loaded.bias);
            self.read_symbols(&file, index, loaded.bias, &sections);
        }
        self.modules.push(module);
        self.sections.push(sections);
    }

    fn read_symbols(&mut self, file: &object::File<'_>, module: usize, bias: u64, sections: &[(String, Range<u64>)]) {
        let mut found: Vec<Symbol> = file.symbols().filter_map(|s| symbol(&s, module, bias)).collect();
        if found.is_empty() {
            found = file.dynamic_symbols().filter_map(|s| symbol(&s, module, bias)).collect();
        }
        // Functions before data, sized before sizeless, then by name, so that equal files give equal output.
        found.sort_by(|a, b| {
            (a.addr, !a.function, a.size == 0, &a.name).cmp(&(b.addr, !b.function, b.size == 0, &b.name))
        });
        found.dedup_by(|later, first| (later.addr, &later.name) == (first.addr, &first.name));
        give_extents(&mut found, sections);
        self.symbols.append(&mut found);
        self.symbols.sort_by_key(|symbol| symbol.addr);
    }

    /// Index of the symbol whose extent contains `addr`.
    fn containing(&self, addr: u64) -> Option<&Symbol> {
        let end = self.symbols.partition_point(|symbol| symbol.addr <= addr);
        // Symbols may nest (data inside a function's extent): the nearest one that reaches the address counts.
        let near = self.symbols[..end].iter().rev().take(16);
        let mut hit: Option<&Symbol> = None;
        for symbol in near.filter(|symbol| addr < symbol.addr + symbol.size.max(1)) {
            match hit {
                Some(best) if best.addr != symbol.addr => break,
                // Of several at one address the first in the table is the best.
                _ => hit = Some(symbol),
            }
        }
        hit
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn named_sections(file: &object::File<'_>, bias: u64) -> Vec<(String, Range<u64>)> {
    let loaded = file.sections().filter(|section| flags(section) & SHF_ALLOC != 0 && section.size() > 0);
    loaded
        .filter_map(|section| {
            let start = section.address().wrapping_add(bias);
            Some((section.name().ok()?.to_owned(), start..start.checked_add(section.size())?))
        })
        .collect()
}

fn code_sections(file: &object::File<'_>, bias: u64) -> Vec<Range<u64>> {
    let code = file.sections().filter(|section| flags(section) & SHF_EXECINSTR != 0 && section.size() > 0);
    let mut ranges: Vec<Range<u64>> = code
        .filter_map(|section| {
            let start = section.address().wrapping_add(bias);
            Some(start..start.checked_add(section.size())?)
        })
        .collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

fn flags<'a>(section: &impl ObjectSection<'a>) -> u64 {
    match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0,
        _ => 0,
    }
}

fn symbol<'a>(symbol: &impl ObjectSymbol<'a>, module: usize, bias: u64) -> Option<Symbol> {
    if !symbol.is_definition() && symbol.kind() != SymbolKind::Unknown {
        return None;
    }
    if symbol.is_undefined() || matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section | SymbolKind::Tls) {
        return None;
    }
    let raw = symbol.name().ok().filter(|name| !name.is_empty())?;
    // The Arm ELF ABI's mapping symbols mark code and data; they name nothing.
    if ["$x", "$d", "$t", "$a"].iter().any(|mark| raw == *mark || raw.starts_with(&format!("{mark}."))) {
        return None;
    }
    let addr = symbol.address().checked_add(bias)?;
    let function = symbol.kind() == SymbolKind::Text;
    Some(Symbol { module, name: demangle(raw), addr, size: symbol.size(), function })
}

/// Symbols of size 0 reach to the next symbol or to the end of their section: assembler labels usually have no size.
fn give_extents(symbols: &mut [Symbol], sections: &[(String, Range<u64>)]) {
    for index in 0..symbols.len() {
        if symbols[index].size != 0 {
            continue;
        }
        let addr = symbols[index].addr;
        let Some((_, section)) = sections.iter().find(|(_, range)| range.contains(&addr)) else { continue };
        let next = symbols[index..].iter().map(|symbol| symbol.addr).find(|&other| other > addr);
        symbols[index].size = next.unwrap_or(section.end).min(section.end) - addr;
    }
}

/// The name as its language writes it; plain names stay as they are.
fn demangle(raw: &str) -> String {
    if let Ok(name) = rustc_demangle::try_demangle(raw) {
        return format!("{name:#}");
    }
    if raw.starts_with("_Z")
        && let Ok(symbol) = cpp_demangle::Symbol::new(raw)
        && let Ok(name) = symbol.demangle()
    {
        return name;
    }
    raw.to_owned()
}

impl Symbols for SymbolTable {
    fn modules(&self) -> Vec<Module> {
        self.modules.clone()
    }

    fn each_symbol(&self, f: &mut dyn FnMut(&Symbol)) {
        self.symbols.iter().for_each(f);
    }

    fn sections(&self, module: usize) -> Vec<(String, Range<u64>)> {
        self.sections.get(module).cloned().unwrap_or_default()
    }

    fn locate(&self, addr: u64) -> Option<Location> {
        let symbol = self.containing(addr)?;
        Some(Location { name: symbol.name.clone(), offset: addr - symbol.addr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(symbols: &[(&str, u64, u64, bool)]) -> SymbolTable {
        let symbols = symbols
            .iter()
            .map(|&(name, addr, size, function)| Symbol { module: 0, name: name.into(), addr, size, function })
            .collect();
        SymbolTable { symbols, ..SymbolTable::default() }
    }

    #[test]
    fn an_address_belongs_to_the_symbol_that_reaches_it() {
        let table = table(&[("a", 0x100, 0x10, true), ("b", 0x110, 0x20, true), ("inner", 0x118, 4, false)]);
        let name = |addr| table.locate(addr).map(|found| (found.name, found.offset));
        assert_eq!(name(0x10f), Some(("a".into(), 15)));
        assert_eq!(name(0x119), Some(("inner".into(), 1)));
        assert_eq!(name(0x120), Some(("b".into(), 16)));
        assert_eq!(name(0x130), None);
        assert_eq!(name(0xff), None);
    }

    #[test]
    fn labels_without_a_size_reach_to_the_next() {
        let mut symbols = table(&[("a", 0x100, 0, true), ("b", 0x108, 0, true)]).symbols;
        give_extents(&mut symbols, &[(".text".into(), 0x100..0x120)]);
        assert_eq!((symbols[0].size, symbols[1].size), (8, 0x18));
    }

    #[test]
    fn names_are_demangled() {
        assert_eq!(demangle("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangle("main"), "main");
    }
}
