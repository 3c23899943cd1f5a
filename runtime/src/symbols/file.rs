//! What one program file says: its symbols, its sections, which of its bytes are code.
//!
//! Files may be damaged or made to do harm: what makes no sense is left out, and so is what is beyond any use. Mapping
//! symbols (`$x`, `$d`, `$x.1` …; ELF for the Arm 64-bit Architecture, 5.5.4; `$xrv64i2p1_…` too in the RISC-V ELF psABI)
//! are no names: they tell code from data that lies among it.

use super::headers::FileId;
use super::plt;
use crate::dwarf;
use crate::glob;
use crate::probe::attach::Symbol;
use cpp_demangle::{DemangleOptions, DemangleWrite};
use object::elf::FileHeader64;
use object::read::elf::{ElfFile64, ElfSymbol64, VersionTable};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolFlags, SymbolIndex, SymbolKind};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// `SHF_ALLOC` of the ELF specification: the section is in memory at run time.
const SHF_ALLOC: u64 = 2;
/// `SHF_EXECINSTR`: the section holds code.
pub(super) const SHF_EXECINSTR: u64 = 4;
/// `STT_GNU_IFUNC` of the GNU extensions: the symbol is a resolver.
const STT_GNU_IFUNC: u8 = 10;

/// Larger files have no symbols. The largest libraries there are have a quarter of it, with all debug information.
const LARGEST_FILE: u64 = 4 << 30;
/// What is read of a file: so many sections, so many symbols, so many bytes of names.
const MOST_SECTIONS: usize = 1 << 16;
pub(super) const MOST_SYMBOLS: usize = 4 << 20;
const MOST_NAMES: usize = 512 << 20;
/// Longer names are not worth the time that hostile ones could take to demangle, before and after.
const LONGEST_MANGLED: usize = 4096;
const LONGEST_DEMANGLED: usize = 1 << 16;

/// Where a file is mapped.
pub(super) struct Place {
    /// Number of the module.
    pub(super) index: usize,
    /// Run-time address minus file address.
    pub(super) bias: u64,
    /// From its first to behind its last byte.
    pub(super) range: Range<u64>,
    /// Its executable segments.
    pub(super) code: Vec<Range<u64>>,
}

/// What is known of a file. Addresses are those of the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// The executable parts without the data among them.
    pub(super) code: Vec<Range<u64>>,
    /// Names and places of its sections.
    pub(super) sections: Vec<(String, Range<u64>)>,
    /// Sorted by address; of several at one address the best comes first.
    pub(super) symbols: Vec<Symbol>,
    /// Indices of `symbols`, sorted by name.
    by_name: Vec<u32>,
    /// Indices of those that have a name of a compiler's making, sorted by that.
    by_raw_name: Vec<u32>,
}

impl Contents {
    /// Reads a file. One that cannot be read, or is another one than `id` says, has no symbols.
    /// One without `.symtab` may have its symbols in a separate file below `roots`.
    pub(super) fn read(path: &Path, id: Option<FileId>, place: &Place, roots: &[PathBuf]) -> Contents {
        let mut contents = Contents::without_symbols(place.code.clone());
        let bytes = bytes_of(path, id).unwrap_or_default();
        if let Ok(file) = ElfFile64::<Endianness>::parse(&*bytes) {
            let code = within(&code_sections(&file, place.bias), &place.code);
            if !code.is_empty() {
                contents.code = without_data(&code, &marks(&file, place.bias));
            }
            contents.sections = named_sections(&file, place.bias);
            let stripped = file.symbols().next().is_none();
            let separate = if stripped { dwarf::separate(path, &file, roots) } else { None };
            let with_symbols = separate.as_deref().and_then(|bytes| ElfFile64::<Endianness>::parse(bytes).ok());
            let stubs = plt::stubs(&file, place);
            contents.symbols = symbols(with_symbols.as_ref().unwrap_or(&file), stubs, place, &contents);
        }
        contents.with_index()
    }

    /// A file that is code and nothing else.
    pub(super) fn without_symbols(code: Vec<Range<u64>>) -> Contents {
        Contents { code, ..Contents::default() }
    }

    fn with_index(mut self) -> Contents {
        let mut by_name: Vec<u32> = (0..self.symbols.len() as u32).collect();
        by_name.sort_by_key(|&index| &self.symbols[index as usize].name);
        self.by_name = by_name;
        let mangled = |index: &u32| self.symbols[*index as usize].raw.is_some();
        let mut by_raw_name: Vec<u32> = (0..self.symbols.len() as u32).filter(mangled).collect();
        by_raw_name.sort_by_key(|&index| &self.symbols[index as usize].raw);
        self.by_raw_name = by_raw_name;
        self
    }

    /// The same file, mapped `distance` bytes higher, as another module or the same.
    pub(super) fn moved(&self, distance: u64) -> Contents {
        let mut moved = self.clone();
        let ranges = moved.code.iter_mut().chain(moved.sections.iter_mut().map(|(_, range)| range));
        for range in ranges {
            *range = range.start.wrapping_add(distance)..range.end.wrapping_add(distance);
        }
        for symbol in &mut moved.symbols {
            symbol.addr = symbol.addr.wrapping_add(distance);
        }
        moved
    }

    /// The same after the resolver at an address has said where its function is. How long that is nobody says.
    pub(super) fn decided(&self, resolver: u64, function: u64) -> Contents {
        let mut decided = self.clone();
        for symbol in decided.symbols.iter_mut().filter(|symbol| symbol.indirect && symbol.addr == resolver) {
            (symbol.addr, symbol.size, symbol.indirect) = (function, 0, false);
        }
        decided.symbols.sort_by(|a, b| rank(a).cmp(&rank(b)));
        decided.with_index()
    }

    /// The symbols of this exact name, by address: as their language writes it, or as the file has it.
    pub(super) fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Symbol> + use<'a> {
        let [own, raw] = self.beginning(name, |known| known == name);
        own.iter().chain(raw).map(|&index| &self.symbols[index as usize])
    }

    /// The symbols that a glob means, by address.
    pub(super) fn matching<'a>(&'a self, pattern: &str) -> Vec<&'a Symbol> {
        let beginning = glob::literal(pattern);
        let mut found = self.beginning(beginning, |name| name.starts_with(beginning)).concat();
        found.sort_unstable();
        // One may begin so in either way.
        found.dedup();
        let symbols = found.into_iter().map(|index| &self.symbols[index as usize]);
        symbols.filter(|symbol| symbol.matches(pattern)).collect()
    }

    /// Where `text` would be in the lists of names, the names there that are `wanted`.
    fn beginning(&self, text: &str, wanted: impl Fn(&str) -> bool) -> [&[u32]; 2] {
        let part = |list: &'_ [u32], name_of: fn(&Symbol) -> &str| {
            let name_of = |index: &u32| name_of(&self.symbols[*index as usize]);
            let from = list.partition_point(|index| name_of(index) < text);
            from..from + list[from..].partition_point(|index| wanted(name_of(index)))
        };
        let own = part(&self.by_name, |symbol| &symbol.name);
        let raw = part(&self.by_raw_name, |symbol| symbol.raw.as_deref().unwrap_or_default());
        [&self.by_name[own], &self.by_raw_name[raw]]
    }

    /// The symbol whose extent contains `addr`.
    pub(super) fn containing(&self, addr: u64) -> Option<&Symbol> {
        let end = self.symbols.partition_point(|symbol| symbol.addr <= addr);
        // Symbols may nest (data inside a function's extent): the nearest one that reaches the address counts.
        let near = self.symbols[..end].iter().rev().take(16);
        let mut hit: Option<&Symbol> = None;
        for symbol in near.filter(|symbol| addr < symbol.addr.saturating_add(symbol.size.max(1))) {
            match hit {
                Some(best) if best.addr != symbol.addr => break,
                // Of several at one address the first in the table is the best.
                _ => hit = Some(symbol),
            }
        }
        hit
    }
}

pub(super) fn bytes_of(path: &Path, id: Option<FileId>) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_it = metadata.is_file() && id.is_none_or(|id| id == FileId::of(&metadata));
    if !is_it || metadata.len() > LARGEST_FILE {
        return None;
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(metadata.len() as usize).ok()?;
    file.take(LARGEST_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) type Elf<'a> = ElfFile64<'a, Endianness>;

/// The symbols of `.symtab`, or if there are none those of `.dynsym`, and `stubs`.
fn symbols(file: &Elf<'_>, stubs: Vec<Symbol>, place: &Place, contents: &Contents) -> Vec<Symbol> {
    let mut names = 0;
    let mut room = |symbol: &Symbol| {
        names += symbol.name.len();
        names <= MOST_NAMES
    };
    let read = |s: ElfSymbol64<'_, '_, Endianness>| symbol(&s, place, &contents.code);
    let mut found: Vec<Symbol> = file.symbols().filter_map(read).take_while(&mut room).take(MOST_SYMBOLS).collect();
    if found.is_empty() {
        let versions = Versions::of(file);
        let read = |symbol: ElfSymbol64<'_, '_, Endianness>| {
            let old = versions.old(symbol.index());
            let mut symbol = read(symbol)?;
            symbol.name.extend(old.map(|version| format!("@{version}")));
            Some(symbol)
        };
        found = file.dynamic_symbols().filter_map(read).take_while(&mut room).take(MOST_SYMBOLS).collect();
    }
    found.extend(stubs.into_iter().take_while(&mut room));
    // Equal files give equal output.
    found.sort_by(|a, b| rank(a).cmp(&rank(b)));
    found.dedup_by(|later, first| (later.addr, &later.name) == (first.addr, &first.name));
    give_extents(&mut found, &contents.sections);
    found
}

/// The versions of dynamic symbols.
struct Versions<'a> {
    table: Option<VersionTable<'a, FileHeader64<Endianness>>>,
    endian: Endianness,
}

impl<'a> Versions<'a> {
    fn of(file: &Elf<'a>) -> Self {
        let endian = file.endian();
        Versions { table: file.elf_section_table().versions(endian, file.data()).ok().flatten(), endian }
    }

    /// The version of a symbol that is there for programs that were linked with an older library.
    fn old(&self, index: SymbolIndex) -> Option<String> {
        let table = self.table.as_ref()?;
        let version = table.version_index(self.endian, index);
        let name = table.version(version.index()).ok().flatten().map(|version| version.name());
        version.is_hidden().then(|| String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
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
fn marks(file: &Elf<'_>, bias: u64) -> Vec<(u64, bool)> {
    let mut marks: Vec<(u64, bool)> = file
        .symbols()
        .filter_map(|symbol| Some((symbol.address().wrapping_add(bias), mapping_symbol(symbol.name().ok()?)?)))
        .take(MOST_SYMBOLS)
        .collect();
    marks.sort_unstable();
    marks
}

/// What a mapping symbol says: true if code begins there. `None` for other names.
fn mapping_symbol(name: &str) -> Option<bool> {
    let mut rest = name.strip_prefix('$')?.chars();
    let (letter, tail) = (rest.next()?, rest.as_str());
    let is_bare = tail.is_empty() || tail.starts_with('.') || (letter == 'x' && tail.starts_with("rv"));
    let is_mark = matches!(letter, 'x' | 'd' | 't' | 'a') && is_bare;
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

fn named_sections(file: &Elf<'_>, bias: u64) -> Vec<(String, Range<u64>)> {
    let loaded = file.sections().filter(|section| flags(section) & SHF_ALLOC != 0 && section.size() > 0);
    let named = loaded.filter_map(|section| {
        let start = section.address().wrapping_add(bias);
        Some((section.name().ok()?.to_owned(), start..start.checked_add(section.size())?))
    });
    named.take(MOST_SECTIONS).collect()
}

fn code_sections(file: &Elf<'_>, bias: u64) -> Vec<Range<u64>> {
    let code = file.sections().filter(|section| flags(section) & SHF_EXECINSTR != 0 && section.size() > 0);
    let ranges = code.filter_map(|section| {
        let start = section.address().wrapping_add(bias);
        Some(start..start.checked_add(section.size())?)
    });
    let mut ranges: Vec<Range<u64>> = ranges.take(MOST_SECTIONS).collect();
    ranges.sort_by_key(|range| range.start);
    // Sections of a file that makes sense do not overlap; of others the first one counts.
    ranges.dedup_by(|later, first| later.start < first.end);
    ranges
}

pub(super) fn flags<'a>(section: &impl ObjectSection<'a>) -> u64 {
    match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0,
        _ => 0,
    }
}

fn symbol<'a>(symbol: &impl ObjectSymbol<'a>, place: &Place, code: &[Range<u64>]) -> Option<Symbol> {
    let addr = symbol.address().wrapping_add(place.bias);
    let in_code = || {
        let index = code.partition_point(|range| range.end <= addr);
        code.get(index).is_some_and(|range| range.start <= addr)
    };
    let function = match symbol.kind() {
        SymbolKind::Text => true,
        SymbolKind::Data => false,
        // Labels of assembly code have no type, and indirect functions one that `object` does not know.
        SymbolKind::Unknown | SymbolKind::Label => in_code(),
        _ => return None,
    };
    let raw = symbol.name().ok().filter(|name| !name.is_empty() && mapping_symbol(name).is_none())?;
    if symbol.is_undefined() || !place.range.contains(&addr) {
        return None;
    }
    let indirect = matches!(symbol.flags(), SymbolFlags::Elf { st_info, .. } if st_info.0 & 15 == STT_GNU_IFUNC);
    let size = symbol.size().min(place.range.end - addr);
    let raw = without_version(raw);
    let name = demangle(raw);
    let raw = (name != raw).then(|| raw.into());
    Some(Symbol { module: place.index, name, raw, addr, size, function, indirect })
}

/// `.symtab` has `name@@VERSION` for the symbol that programs are linked with, and `name@VERSION` for older ones, which
/// keep their version so that they have another name. What `.dynsym` says comes to the same.
fn without_version(raw: &str) -> &str {
    match raw.split_once("@@") {
        Some((name, _)) if !name.is_empty() => name,
        _ => raw,
    }
}

/// Symbols of size 0 reach to the next symbol or to the end of their section: assembler labels usually have no size.
fn give_extents(symbols: &mut [Symbol], sections: &[(String, Range<u64>)]) {
    let mut sections: Vec<&Range<u64>> = sections.iter().map(|(_, range)| range).collect();
    sections.sort_by_key(|range| range.start);
    // The nearest higher address, going down.
    let (mut next, mut here) = (u64::MAX, u64::MAX);
    for symbol in symbols.iter_mut().rev() {
        if symbol.addr != here {
            (next, here) = (here, symbol.addr);
        }
        let before = sections.partition_point(|range| range.start <= symbol.addr);
        let section = sections[..before].last().filter(|range| range.contains(&symbol.addr));
        if let (0, Some(section)) = (symbol.size, section) {
            symbol.size = next.min(section.end) - symbol.addr;
        }
    }
}

/// The name as its language writes it; plain names stay as they are.
pub(super) fn demangle(raw: &str) -> String {
    if raw.len() > LONGEST_MANGLED {
        return raw.to_owned();
    }
    if let Ok(name) = rustc_demangle::try_demangle(raw) {
        return format!("{name:#}");
    }
    if raw.starts_with("_Z")
        && let Ok(symbol) = cpp_demangle::Symbol::new(raw)
    {
        let mut name = Limited(String::new());
        if symbol.structured_demangle(&mut name, &DemangleOptions::default()).is_ok() {
            return name.0;
        }
    }
    raw.to_owned()
}

/// A text that refuses to grow beyond use: a short name can stand for one of any length.
struct Limited(String);

impl DemangleWrite for Limited {
    fn write_string(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > LONGEST_DEMANGLED {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "these tests compare lists of ranges, some with one range")]

    use super::*;

    fn contents(symbols: &[(&str, u64, u64, bool)]) -> Contents {
        let symbols = symbols
            .iter()
            .map(|&(name, addr, size, function)| Symbol {
                module: 0,
                name: name.into(),
                addr,
                size,
                function,
                indirect: false,
                raw: None,
            })
            .collect();
        Contents { symbols, ..Contents::default() }.with_index()
    }

    #[test]
    fn an_address_belongs_to_the_symbol_that_reaches_it() {
        let contents = contents(&[("a", 0x100, 0x10, true), ("b", 0x110, 0x20, true), ("inner", 0x118, 4, false)]);
        let name = |addr| contents.containing(addr).map(|found| found.name.as_str());
        assert_eq!([0x10f, 0x119, 0x120, 0x130, 0xff].map(name), [Some("a"), Some("inner"), Some("b"), None, None]);
    }

    #[test]
    fn an_indirect_function_is_where_its_resolver_says() {
        let mut before =
            contents(&[("memcpy", 0x100, 0x10, true), ("plain", 0x100, 0x10, true), ("other", 0x200, 4, true)]);
        before.symbols[0].indirect = true;
        let after = before.decided(0x100, 0x300);
        let found = |name| after.named(name).map(|symbol| (symbol.addr, symbol.indirect)).collect::<Vec<_>>();
        assert_eq!([found("memcpy"), found("plain")], [[(0x300, false)], [(0x100, false)]]);
        assert_eq!(after.containing(0x300).map(|symbol| symbol.name.as_str()), Some("memcpy"));
    }

    #[test]
    fn names_are_found_wherever_they_are() {
        let contents = contents(&[("b", 1, 1, true), ("a", 2, 1, true), ("b", 3, 1, true)]);
        let found = |name| contents.named(name).map(|symbol| symbol.addr).collect::<Vec<_>>();
        assert_eq!([found("a"), found("b"), found("c"), found("")], [vec![2], vec![1, 3], vec![], vec![]]);
        let moved = contents.moved(0u64.wrapping_sub(1));
        assert_eq!(moved.named("b").map(|symbol| symbol.addr).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn globs_find_what_begins_as_they_do() {
        let all = contents(&[("a_b", 1, 1, true), ("a_c", 2, 1, true), ("b_a", 3, 1, true), ("a", 4, 1, true)]);
        let found = |pattern: &str| all.matching(pattern).iter().map(|symbol| symbol.addr).collect::<Vec<_>>();
        assert_eq!((found("a_*"), found("a*")), (vec![1, 2], vec![1, 2, 4]));
        assert_eq!((found("?_a"), found("*"), found("a")), (vec![3], vec![1, 2, 3, 4], vec![4]));
        assert!(found("c*").is_empty() && found("a_?b").is_empty());
    }

    #[test]
    fn labels_without_a_size_reach_to_the_next() {
        let mut symbols = contents(&[("a", 0x100, 0, true), ("b", 0x108, 0, true), ("c", 0x108, 0, true)]).symbols;
        give_extents(&mut symbols, &[(".data".into(), 0x200..0x210), (".text".into(), 0x100..0x120)]);
        assert_eq!(symbols.iter().map(|symbol| symbol.size).collect::<Vec<_>>(), [8, 0x18, 0x18]);
    }

    #[test]
    fn data_among_code_is_not_code() {
        let marks = [(0x100, true), (0x110, false), (0x118, true), (0x200, false)];
        assert_eq!(without_data(&[0x100..0x140, 0x200..0x240], &marks), [0x100..0x110, 0x118..0x140]);
        assert_eq!(without_data(&[0x80..0xc0], &marks), [0x80..0xc0]);
        assert_eq!((mapping_symbol("$x"), mapping_symbol("$d.7")), (Some(true), Some(false)));
        assert_eq!((mapping_symbol("$xrv_i2p1_m2p0"), mapping_symbol("$drv_i2p1")), (Some(true), None));
        assert_eq!((mapping_symbol("$xyz"), mapping_symbol("$"), mapping_symbol("$é")), (None, None, None));
        assert_eq!(within(&[0..10, 20..u64::MAX], &[5..8, 30..40]), [5..8, 30..40]);
    }

    #[test]
    fn the_plain_name_of_several_comes_first() {
        let mut all = contents(&[("__memcpy", 4, 8, true), ("memcpy", 4, 8, true), ("data", 4, 8, false)]).symbols;
        all.sort_by(|a, b| rank(a).cmp(&rank(b)));
        assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["memcpy", "__memcpy", "data"]);
    }

    #[test]
    fn names_are_found_as_the_file_has_them() {
        let mut symbols = contents(&[("shape::area(int)", 1, 1, true), ("main", 2, 1, true)]).symbols;
        symbols[0].raw = Some("_ZN5shape4areaEi".into());
        let contents = Contents { symbols, ..Contents::default() }.with_index();
        let found = |name| contents.named(name).map(|symbol| symbol.addr).collect::<Vec<_>>();
        assert_eq!([found("shape::area(int)"), found("_ZN5shape4areaEi"), found("main")], [[1], [1], [2]]);
        assert!(found("").is_empty() && found("_Z").is_empty());
    }

    #[test]
    fn names_are_demangled_and_lose_their_version() {
        assert_eq!(demangle("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangle("main"), "main");
        assert_eq!(["f@@V2", "f@V1", "f", "@@"].map(without_version), ["f", "f@V1", "f", "@@"]);
    }

    #[test]
    fn a_short_name_of_a_long_one_stays_as_it_is() {
        // Each pair names the one before it twice.
        let mut bomb = "_Z1fSt4pairIiiE".to_string();
        for n in 0..30 {
            bomb.push_str(&format!("St4pairIS{0}_S{0}_E", if n == 0 { String::new() } else { (n - 1).to_string() }));
        }
        assert!(demangle(&bomb).len() <= LONGEST_DEMANGLED);
    }
}
