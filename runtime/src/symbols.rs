//! Symbols of the loaded program files: names to addresses and back.
//!
//! Files may be damaged: what makes no sense is left out. Mapping symbols (`$x`, `$d`, `$x.1` …; ELF for the Arm 64-bit
//! Architecture, 5.5.4) are no names: they tell code from data that lies among it.
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
            let code = within(&code_sections(&file, loaded.bias), &module.code);
            if !code.is_empty() {
                module.code = without_data(&code, &marks(&file, loaded.bias));
            }
            sections = named_sections(&file, loaded.bias);
            self.read_symbols(&file, index, &module, &sections);
        }
        self.modules.push(module);
        self.sections.push(sections);
    }

    fn read_symbols(
        &mut self,
        file: &object::File<'_>,
        index: usize,
        module: &Module,
        sections: &[(String, Range<u64>)],
    ) {
        let mut found: Vec<Symbol> = file.symbols().filter_map(|s| symbol(&s, index, module)).collect();
        if found.is_empty() {
            found = file.dynamic_symbols().filter_map(|s| symbol(&s, index, module)).collect();
        }
        // Equal files give equal output.
        found.sort_by(|a, b| rank(a).cmp(&rank(b)));
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

/// The order of symbols: by address, then the best name first. That is a function's, a sized one's, one without
/// leading underscores (`memcpy` and not `__memcpy`), the first of the alphabet.
fn rank(symbol: &Symbol) -> (u64, bool, bool, usize, &str) {
    let underscores = symbol.name.len() - symbol.name.trim_start_matches('_').len();
    (symbol.addr, !symbol.function, symbol.size == 0, underscores, &symbol.name)
}

/// The parts of `ranges` that lie in one of `limits`, both in order.
fn within(ranges: &[Range<u64>], limits: &[Range<u64>]) -> Vec<Range<u64>> {
    let cut = |range: &Range<u64>, limit: &Range<u64>| range.start.max(limit.start)..range.end.min(limit.end);
    let all = ranges.iter().flat_map(|range| limits.iter().map(move |limit| cut(range, limit)));
    all.filter(|range| !range.is_empty()).collect()
}

/// Where runs of code (true) and data begin, as mapping symbols tell.
fn marks(file: &object::File<'_>, bias: u64) -> Vec<(u64, bool)> {
    let mut marks: Vec<(u64, bool)> = file
        .symbols()
        .filter_map(|symbol| Some((symbol.address().checked_add(bias)?, mapping_symbol(symbol.name().ok()?)?)))
        .collect();
    marks.sort_unstable();
    marks
}

/// What a mapping symbol says: true if code begins there. `None` for other names.
fn mapping_symbol(name: &str) -> Option<bool> {
    let mut rest = name.strip_prefix('$')?.chars();
    let (letter, tail) = (rest.next()?, rest.as_str());
    let is_mark = matches!(letter, 'x' | 'd' | 't' | 'a') && (tail.is_empty() || tail.starts_with('.'));
    is_mark.then_some(letter != 'd')
}

/// `code` without the runs of data in it.
fn without_data(code: &[Range<u64>], marks: &[(u64, bool)]) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for range in code {
        let before = marks.partition_point(|mark| mark.0 <= range.start);
        let mut is_code = before.checked_sub(1).is_none_or(|index| marks[index].1);
        let mut start = range.start;
        for &(at, code_begins) in marks[before..].iter().take_while(|mark| mark.0 < range.end) {
            if is_code && !code_begins {
                out.push(start..at);
            } else if !is_code && code_begins {
                start = at;
            }
            is_code = code_begins;
        }
        if is_code {
            out.push(start..range.end);
        }
    }
    out.retain(|range| !range.is_empty());
    out
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

fn symbol<'a>(symbol: &impl ObjectSymbol<'a>, index: usize, module: &Module) -> Option<Symbol> {
    let addr = symbol.address().checked_add(module.bias)?;
    let in_code = || module.code.iter().any(|range| range.contains(&addr));
    let function = match symbol.kind() {
        SymbolKind::Text => true,
        SymbolKind::Data => false,
        // Labels of assembly code have no type, and indirect functions one that `object` does not know.
        SymbolKind::Unknown | SymbolKind::Label => in_code(),
        _ => return None,
    };
    let raw = symbol.name().ok().filter(|name| !name.is_empty() && mapping_symbol(name).is_none())?;
    if symbol.is_undefined() || !module.range.contains(&addr) {
        return None;
    }
    let size = symbol.size().min(module.range.end - addr);
    Some(Symbol { module: index, name: demangle(raw), addr, size, function })
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
    // Longer names are not worth the time that hostile ones could take.
    if raw.len() > 4096 {
        return raw.to_owned();
    }
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
    #![allow(clippy::single_range_in_vec_init, reason = "these tests compare lists of ranges, some with one range")]

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
    fn data_among_code_is_not_code() {
        let marks = [(0x100, true), (0x110, false), (0x118, true), (0x200, false)];
        assert_eq!(without_data(&[0x100..0x140, 0x200..0x240], &marks), [0x100..0x110, 0x118..0x140]);
        assert_eq!(without_data(&[0x80..0xc0], &marks), [0x80..0xc0]);
        assert_eq!((mapping_symbol("$x"), mapping_symbol("$d.7")), (Some(true), Some(false)));
        assert_eq!((mapping_symbol("$xyz"), mapping_symbol("$"), mapping_symbol("$é")), (None, None, None));
        assert_eq!(within(&[0..10, 20..u64::MAX], &[5..8, 30..40]), [5..8, 30..40]);
    }

    #[test]
    fn the_plain_name_of_several_comes_first() {
        let mut all = table(&[("__memcpy", 4, 8, true), ("memcpy", 4, 8, true), ("data", 4, 8, false)]).symbols;
        all.sort_by(|a, b| rank(a).cmp(&rank(b)));
        assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["memcpy", "__memcpy", "data"]);
    }

    #[test]
    fn damaged_files_are_modules_without_symbols() {
        let bytes = crate::elf::tests::build(2, 183, 0, &[], &[]);
        for len in [0, 10, 64, 100, bytes.len()] {
            let file = crate::elf::tests::TempFile::new(&format!("damaged-{len}"), &bytes[..len]);
            let loaded = Loaded { path: file.0.clone(), bias: u64::MAX, ..Loaded::default() };
            let table = SymbolTable::of(&[loaded]);
            assert_eq!((table.modules.len(), table.symbols.len()), (1, 0));
        }
    }

    #[test]
    fn names_are_demangled() {
        assert_eq!(demangle("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangle("main"), "main");
    }
}
