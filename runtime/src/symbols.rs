//! Names of guest code and data: modules, their sections and symbols.
//!
//! Symbols come from `.symtab` and `.dynsym` of program files. Names are shown demangled; a lookup takes the
//! demangled name, with or without parameters, and the mangled one. A symbol without a size reaches to the next one.
//! Mapping symbols (`$x`, `$d`, `$x.1` …; ELF for the Arm 64-bit Architecture, 5.5.4) are no names: they say where
//! code and where data lies. Files may be damaged: what cannot be read is left out.

use crate::elf::Loaded;
use crate::glob;
use hashbrown::HashMap;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;

/// How many names [`Symbols::nearest`] returns at most.
const CANDIDATES: usize = 3;

/// A loaded file.
#[derive(Clone, Debug)]
pub struct Module {
    /// The last part of its path.
    pub name: String,
    /// Its file; empty for a raw image.
    pub path: PathBuf,
    /// What was added to its addresses.
    pub bias: u64,
    /// Where it is in memory.
    pub range: Range<u64>,
    /// Its sections that are in memory, by address.
    pub sections: Vec<Section>,
    /// Runs of code and data as mapping symbols tell them: first address, true for code. Sorted.
    marks: Vec<(u64, bool)>,
}

/// A section in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name: `.text`.
    pub name: String,
    /// Where it is.
    pub range: Range<u64>,
    /// True if it holds code.
    pub executable: bool,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Code.
    Function,
    /// Data.
    Object,
}

/// A named place.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Its name as people write it.
    pub name: String,
    /// Its name in the file.
    pub raw_name: String,
    /// What it names.
    pub kind: Kind,
    /// Where that is in memory. Never empty.
    pub range: Range<u64>,
    /// Index of its module in [`Symbols::modules`].
    pub module: usize,
    /// True if other files can see it.
    pub global: bool,
}

/// All names of a guest.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    modules: Vec<Module>,
    /// By address; of several at one address the best name comes first.
    symbols: Vec<Symbol>,
    /// Indices into `symbols` by each spelling.
    by_name: HashMap<String, Vec<usize>>,
}

impl Symbols {
    /// Reads the symbols of the files that a process was started with.
    pub fn of(images: &[Loaded]) -> Self {
        let mut symbols = Symbols::default();
        for image in images {
            let start = image.segments.iter().map(|segment| segment.start).min().unwrap_or(0);
            let bytes = std::fs::read(&image.path).unwrap_or_default();
            symbols.add_file(&image.path, &bytes, image.bias, start..image.end());
        }
        symbols
    }

    /// The names of a raw image: a module of this name, without symbols.
    pub fn of_raw_image(name: &str, range: Range<u64>) -> Self {
        let mut symbols = Symbols::default();
        symbols.modules.push(Module {
            name: name.to_owned(),
            path: PathBuf::new(),
            bias: 0,
            sections: Vec::new(),
            marks: Vec::new(),
            range,
        });
        symbols
    }

    /// Adds a file that was loaded at `range`, `bias` above its own addresses.
    pub fn add_file(&mut self, path: &Path, bytes: &[u8], bias: u64, range: Range<u64>) {
        let module = self.modules.len();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut entry = Module { name, path: path.to_owned(), bias, range, sections: Vec::new(), marks: Vec::new() };
        if let Ok(file) = object::File::parse(bytes) {
            entry.sections = read_sections(&file, bias);
            self.symbols.extend(read_symbols(&file, &mut entry, module));
        }
        self.modules.push(entry);
        self.index();
    }

    /// Sorts, closes gaps and fills the index of names.
    fn index(&mut self) {
        self.symbols.sort_by(|a, b| rank(a).cmp(&rank(b)));
        self.symbols.dedup_by(|b, a| a.range.start == b.range.start && a.raw_name == b.raw_name);
        let ends: Vec<u64> = self.symbols.iter().map(|symbol| symbol.range.start).collect();
        for (index, symbol) in self.symbols.iter_mut().enumerate() {
            if symbol.range.is_empty() {
                let start = symbol.range.start;
                let next = ends[index..].iter().copied().find(|&next| next > start).unwrap_or(u64::MAX);
                let module = &self.modules[symbol.module];
                let section = module.sections.iter().find(|section| section.range.contains(&start));
                let limit = section.map_or(module.range.end, |section| section.range.end);
                symbol.range.end = next.min(limit).max(start + 1);
            }
        }
        self.by_name.clear();
        for (index, symbol) in self.symbols.iter().enumerate() {
            for spelling in spellings(symbol) {
                let indices = self.by_name.entry_ref(spelling).or_default();
                if indices.last() != Some(&index) {
                    indices.push(index);
                }
            }
        }
    }

    /// The modules, in the order in which they were added: the program first.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// All symbols, by address.
    pub fn all(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The functions, by address; several names of one address all appear.
    pub fn functions(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(|symbol| symbol.kind == Kind::Function)
    }

    /// The symbols of this name: functions if there are any, else objects.
    pub fn find(&self, name: &str) -> Vec<&Symbol> {
        let hits = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let all: Vec<&Symbol> = hits.iter().map(|&index| &self.symbols[index]).collect();
        let functions: Vec<&Symbol> = all.iter().copied().filter(|symbol| symbol.kind == Kind::Function).collect();
        if functions.is_empty() { all } else { functions }
    }

    /// The functions one of whose spellings matches a shell pattern, by address.
    pub fn find_glob(&self, pattern: &str) -> Vec<&Symbol> {
        let matches = |symbol: &&Symbol| spellings(symbol).any(|spelling| glob::matches(pattern, spelling));
        self.functions().filter(matches).collect()
    }

    /// The symbol that contains `addr`; of several the one that starts last, and of these the best name.
    pub fn containing(&self, addr: u64) -> Option<&Symbol> {
        let mut end = self.symbols.partition_point(|symbol| symbol.range.start <= addr);
        // Nested symbols are rare, and nested deeply never.
        for _ in 0..8 {
            let start = self.symbols[..end].last()?.range.start;
            let first = self.symbols[..end].partition_point(|symbol| symbol.range.start < start);
            if let Some(found) = self.symbols[first..end].iter().find(|symbol| symbol.range.contains(&addr)) {
                return Some(found);
            }
            end = first;
        }
        None
    }

    /// An address in words: `main+0x14`, `main`, `busybox+0x1234` in a module without symbols, else the number.
    pub fn describe(&self, addr: u64) -> String {
        if let Some(symbol) = self.containing(addr) {
            return with_offset(&symbol.name, addr - symbol.range.start);
        }
        match self.module_containing(addr) {
            Some(module) => with_offset(&module.name, addr - module.range.start),
            None => format!("{addr:#x}"),
        }
    }

    /// The module that contains `addr`.
    pub fn module_containing(&self, addr: u64) -> Option<&Module> {
        self.modules.iter().find(|module| module.range.contains(&addr))
    }

    /// The module of this name: the last part of its path, or that up to `.so` or the first dot.
    pub fn module(&self, name: &str) -> Option<&Module> {
        let exact = self.modules.iter().find(|module| module.name == name);
        exact.or_else(|| {
            let stem = |module: &&Module| module.name.split('.').next() == Some(name);
            self.modules.iter().find(stem)
        })
    }

    /// The section of this name in the first module that has it.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.modules.iter().flat_map(|module| &module.sections).find(|section| section.name == name)
    }

    /// False where instructions cannot be: outside of code sections, or in data among code.
    pub fn is_code(&self, addr: u64) -> bool {
        self.module_containing(addr).is_some_and(|module| module.is_code(addr))
    }

    /// Up to three names that look like `name`, the nearest first.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        let limit = name.chars().count() / 4 + 1;
        let wanted = name.to_lowercase();
        let mut found: Vec<(usize, &str)> = self
            .functions()
            .chain(self.symbols.iter().filter(|symbol| symbol.kind == Kind::Object))
            .flat_map(|symbol| [without_parameters(&symbol.name), last_part(&symbol.name)])
            .filter_map(|candidate| Some((distance(&wanted, &candidate.to_lowercase(), limit)?, candidate)))
            .collect();
        found.sort_unstable();
        found.dedup_by_key(|entry| entry.1);
        found.into_iter().map(|(_, candidate)| candidate).take(CANDIDATES).collect()
    }
}

impl Module {
    /// The address in memory of an address in the file.
    pub fn address(&self, addr: u64) -> Option<u64> {
        addr.checked_add(self.bias).filter(|addr| self.range.contains(addr))
    }

    /// True if `addr` holds instructions as far as the file tells.
    pub fn is_code(&self, addr: u64) -> bool {
        let in_code = match self.sections.iter().find(|section| section.range.contains(&addr)) {
            Some(section) => section.executable,
            None => self.sections.is_empty(),
        };
        let before = self.marks.partition_point(|mark| mark.0 <= addr);
        in_code && before.checked_sub(1).is_none_or(|index| self.marks[index].1)
    }
}

fn with_offset(name: &str, offset: u64) -> String {
    if offset == 0 { name.to_owned() } else { format!("{name}+{offset:#x}") }
}

/// The order of symbols: by address; then the name to show first. That is a function's, a global one's, a sized one's,
/// one without leading underscores.
fn rank(symbol: &Symbol) -> (u64, bool, bool, bool, usize, &str) {
    let underscores = symbol.raw_name.len() - symbol.raw_name.trim_start_matches('_').len();
    let is_mangled = symbol.raw_name != symbol.name;
    (
        symbol.range.start,
        symbol.kind == Kind::Object,
        !symbol.global,
        symbol.range.is_empty(),
        if is_mangled { 0 } else { underscores },
        &symbol.raw_name,
    )
}

/// What a lookup may call a symbol.
fn spellings(symbol: &Symbol) -> impl Iterator<Item = &str> {
    let short = without_parameters(&symbol.name);
    [
        Some(symbol.name.as_str()),
        (short != symbol.name).then_some(short),
        (symbol.raw_name != symbol.name).then_some(symbol.raw_name.as_str()),
    ]
    .into_iter()
    .flatten()
}

/// A C++ function's name without its parameters: `ns::f(int)` gives `ns::f`.
fn without_parameters(name: &str) -> &str {
    if !name.ends_with(')') && !name.ends_with(") const") {
        return name;
    }
    let mut depth = 0;
    for (at, byte) in name.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if byte == b'(' && depth == 0 {
            return if at == 0 || name[..at].ends_with("operator") { name } else { &name[..at] };
        }
    }
    name
}

/// The part of a path-like name behind the last `::`.
fn last_part(name: &str) -> &str {
    let name = without_parameters(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// The number of edits from one text to the other, if at most `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit * 4 {
        return None;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
        if row.iter().all(|&cost| cost > limit) {
            return None;
        }
    }
    row.last().copied().filter(|&edits| edits <= limit)
}

fn read_sections(file: &object::File<'_>, bias: u64) -> Vec<Section> {
    let mut sections: Vec<Section> = file
        .sections()
        .filter_map(|section| {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                return None;
            };
            let start = section.address().checked_add(bias)?;
            let end = start.checked_add(section.size())?;
            let name = String::from_utf8_lossy(section.name_bytes().ok()?).into_owned();
            let executable = sh_flags.0 & SHF_EXECINSTR != 0;
            (sh_flags.0 & SHF_ALLOC != 0 && end > start).then_some(Section { name, range: start..end, executable })
        })
        .collect();
    sections.sort_by_key(|section| section.range.start);
    sections
}

fn read_symbols(file: &object::File<'_>, module: &mut Module, index: usize) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    let mut marks = Vec::new();
    for symbol in file.symbols() {
        let mark = symbol.name_bytes().ok().and_then(|name| mapping_symbol(&String::from_utf8_lossy(name)));
        if let (Some(is_code), Some(start)) = (mark, symbol.address().checked_add(module.bias)) {
            marks.push((start, is_code));
        }
    }
    marks.sort_unstable();
    module.marks = marks;
    for symbol in file.symbols().chain(file.dynamic_symbols()).filter(|symbol| symbol.is_definition()) {
        let (Ok(raw_name), Some(start)) = (symbol.name_bytes(), symbol.address().checked_add(module.bias)) else {
            continue;
        };
        let raw_name = String::from_utf8_lossy(raw_name);
        if mapping_symbol(&raw_name).is_some() {
            continue;
        }
        let kind = match symbol.kind() {
            SymbolKind::Text => Kind::Function,
            SymbolKind::Data => Kind::Object,
            // Labels of assembly code have no type; indirect functions have one that `object` does not know.
            SymbolKind::Unknown | SymbolKind::Label if module.is_code(start) => Kind::Function,
            SymbolKind::Unknown => Kind::Object,
            _ => continue,
        };
        if raw_name.is_empty() || !module.range.contains(&start) {
            continue;
        }
        let end = start.saturating_add(symbol.size()).min(module.range.end);
        symbols.push(Symbol {
            name: demangle(&raw_name),
            raw_name: raw_name.into_owned(),
            kind,
            range: start..end,
            module: index,
            global: symbol.is_global(),
        });
    }
    symbols
}

/// What a mapping symbol says: true if code begins there. `None` for other names.
fn mapping_symbol(name: &str) -> Option<bool> {
    let kind = name.strip_prefix('$')?;
    let is_mark = |letter: char| kind.strip_prefix(letter).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if is_mark('x') || kind.starts_with("xrv") {
        Some(true)
    } else if is_mark('d') {
        Some(false)
    } else {
        None
    }
}

/// The name as it stands in the source, if that can be told.
fn demangle(name: &str) -> String {
    // Longer names are not worth the time that hostile ones could take.
    const LONGEST: usize = 4096;
    if name.len() > LONGEST {
        return name.to_owned();
    }
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    if name.starts_with("_Z") {
        let options = cpp_demangle::DemangleOptions::default();
        if let Some(text) =
            cpp_demangle::Symbol::new(name).ok().and_then(|symbol| symbol.demangle_with_options(&options).ok())
        {
            return text;
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, kind: Kind, range: Range<u64>) -> Symbol {
        Symbol { name: demangle(name), raw_name: name.into(), kind, range, module: 0, global: true }
    }

    fn symbols() -> Symbols {
        let mut symbols = Symbols::of_raw_image("prog", 0x1000..0x9000);
        let section = |name: &str, range, executable| Section { name: name.into(), range, executable };
        symbols.modules[0].sections =
            vec![section(".text", 0x1000..0x2000, true), section(".data", 0x3000..0x4000, false)];
        symbols.modules[0].marks = vec![(0x1000, true), (0x1100, false), (0x1110, true)];
        symbols.symbols = vec![
            symbol("main", Kind::Function, 0x1000..0x1100),
            symbol("loop", Kind::Function, 0x1200..0x1200),
            symbol("__memcpy", Kind::Function, 0x1300..0x1340),
            symbol("memcpy", Kind::Function, 0x1300..0x1340),
            symbol("_ZN2ns3addEii", Kind::Function, 0x1400..0x1440),
            symbol("_RNvCs1234_7mycrate3foo", Kind::Function, 0x1500..0x1540),
            symbol("counter", Kind::Object, 0x3000..0x3008),
            symbol("main", Kind::Object, 0x3010..0x3018),
        ];
        symbols.index();
        symbols
    }

    #[test]
    fn addresses_are_described() {
        let symbols = symbols();
        for (addr, text) in [
            (0x1000, "main"),
            (0x1014, "main+0x14"),
            (0x1104, "prog+0x104"),
            (0x12ff, "loop+0xff"),
            (0x1304, "memcpy+0x4"),
            (0x1404, "ns::add(int, int)+0x4"),
            (0x3004, "counter+0x4"),
            (0x8000, "prog+0x7000"),
            (0x9000, "0x9000"),
        ] {
            assert_eq!(symbols.describe(addr), text);
        }
    }

    #[test]
    fn names_are_found_in_every_spelling_and_functions_come_first() {
        let symbols = symbols();
        let start = |name: &str| symbols.find(name).iter().map(|symbol| symbol.range.start).collect::<Vec<_>>();
        assert_eq!(start("main"), [0x1000]);
        assert_eq!(start("counter"), [0x3000]);
        assert_eq!(start("__memcpy"), [0x1300]);
        for name in ["ns::add", "ns::add(int, int)", "_ZN2ns3addEii"] {
            assert_eq!(start(name), [0x1400], "{name}");
        }
        assert_eq!(start("mycrate::foo"), [0x1500]);
        assert!(start("nothing").is_empty());
    }

    #[test]
    fn patterns_find_functions_only() {
        let symbols = symbols();
        let names = |pattern: &str| symbols.find_glob(pattern).iter().map(|s| s.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names("*m*c*"), ["memcpy", "__memcpy", "mycrate::foo"]);
        assert_eq!(names("count*"), [""; 0]);
    }

    #[test]
    fn data_among_code_is_told_apart() {
        let symbols = symbols();
        let code = |addr| symbols.is_code(addr);
        assert!(code(0x1004) && !code(0x1104) && code(0x1110) && !code(0x3000) && !code(0x2500) && !code(0));
        assert_eq!(mapping_symbol("$x.12"), Some(true));
        assert_eq!(mapping_symbol("$xyz"), None);
        assert_eq!(mapping_symbol("$d"), Some(false));
    }

    #[test]
    fn wrong_names_have_near_ones() {
        let symbols = symbols();
        assert_eq!(symbols.nearest("nothing_like_it"), [""; 0]);
        assert_eq!(symbols.nearest("mian"), ["main"]);
        assert_eq!(symbols.nearest("memcopy"), ["memcpy"]);
        assert_eq!(symbols.nearest("MEMCPY")[0], "memcpy");
    }

    #[test]
    fn parameters_are_cut() {
        for (name, short) in [
            ("f(int)", "f"),
            ("ns::g(void (*)(int)) const", "ns::g"),
            ("operator()(int)", "operator()"),
            ("(anonymous namespace)::h()", "(anonymous namespace)::h"),
            ("plain", "plain"),
            ("()", "()"),
        ] {
            assert_eq!(without_parameters(name), short);
        }
    }

    #[test]
    fn damaged_files_have_fewer_symbols_and_no_panics() {
        let mut symbols = Symbols::default();
        let bytes = crate::elf::tests::build(2, 183, 0, &[], &[]);
        for len in [0, 10, 64, 100, bytes.len()] {
            symbols.add_file(Path::new("x"), &bytes[..len], u64::MAX, 0..1);
        }
        assert_eq!(symbols.modules().len(), 5);
        assert!(symbols.all().is_empty());
    }
}
