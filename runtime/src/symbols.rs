//! Symbols of the program files that are mapped: names to addresses and back.
//!
//! The table begins with the program and its interpreter, and follows what the guest maps: a file of which code is
//! mapped becomes a module. A file is read when something is first asked of it, and once, wherever it is mapped again.
//! What a script's place stands for is decided in [`crate::probe::attach`], not here.

mod file;
mod headers;
mod plt;

use crate::dwarf::{CallFrame, DebugFile};
use crate::elf::Loaded;
use crate::env::MappedCode;
use crate::mem::perm;
use crate::probe::attach::{Location, Missing, Module, Symbol, Symbols};
use file::{Contents, Place};
use headers::{FileId, Headers};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A guest that maps more files than this gets no symbols for the rest.
const MOST_MODULES: usize = 4096;

/// The symbols of all loaded modules, in load order: the program first.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    entries: Vec<Entry>,
    missing: Missing,
    /// Where separate files with debug information are looked for.
    roots: Arc<[PathBuf]>,
}

/// A module, and where what is known of it comes from.
#[derive(Clone, Debug)]
struct Entry {
    module: Module,
    path: PathBuf,
    id: Option<FileId>,
    /// Its executable segments.
    code: Vec<Range<u64>>,
    /// Of a file that the guest has mapped by itself: such a module goes when its code goes.
    headers: Option<Arc<Headers>>,
    contents: Arc<OnceLock<Contents>>,
    debug: Arc<OnceLock<Option<DebugFile>>>,
}

impl SymbolTable {
    /// The symbols of the program and, behind it, of its interpreter. A file that cannot be read any more, or has none,
    /// is a module without symbols.
    pub fn of(images: &[Loaded]) -> SymbolTable {
        let missing = if images.len() > 1 { Missing::Waits } else { Missing::IsWrong };
        let entries = images.iter().enumerate().map(Entry::of_image).collect();
        SymbolTable { entries, missing, roots: Arc::new([PathBuf::from("/")]) }
    }

    /// The same, with separate debug information below a sysroot as well.
    pub fn with_sysroot(self, sysroot: &Path) -> SymbolTable {
        SymbolTable { roots: Arc::new([sysroot.to_owned(), PathBuf::from("/")]), ..self }
    }

    /// A raw image: a module without symbols, all of it code.
    pub fn raw(path: &Path, range: Range<u64>) -> SymbolTable {
        let code = vec![range.clone()];
        let module = Module { name: file_name(path), range, ..Module::default() };
        let contents = Arc::new(OnceLock::from(Contents::without_symbols(code.clone())));
        let debug = Arc::new(OnceLock::from(None));
        let entry = Entry { module, path: path.to_owned(), id: None, code, headers: None, contents, debug };
        SymbolTable { entries: vec![entry], missing: Missing::IsWrong, roots: Arc::default() }
    }

    /// The same for a program that another one has executed, and that scripts were not written for.
    pub fn of_executed(&self) -> SymbolTable {
        SymbolTable { missing: Missing::IsIgnored, ..self.clone() }
    }

    /// Reads the files of all modules now: later there may be no descriptor left to open them with.
    pub fn read_files(&self) {
        for index in 0..self.entries.len() {
            self.contents(index);
        }
    }

    /// Reads the files that nothing has been asked of yet, on a thread beside the guest's. What each gives is to be called
    /// where the process does not fork: a child could not wait for this thread.
    pub(crate) fn read_ahead(&self) -> impl Iterator<Item = impl FnOnce()> {
        let unread = self.entries.iter().enumerate().filter(|(_, entry)| entry.contents.get().is_none());
        unread.map(|(index, entry)| {
            let (contents, known) = (entry.read(index, &self.roots), entry.contents.clone());
            move || drop(known.set(contents))
        })
    }

    /// Reads the debug information of all modules now, as far as it is in memory then.
    pub fn read_debug_files(&self) {
        for index in 0..self.entries.len() {
            let _ = self.debug(index);
        }
    }

    /// The same with the modules that have gone.
    pub fn with_gone(&self) -> SymbolTable {
        let mut all = self.clone();
        all.entries.iter_mut().for_each(|entry| entry.module.gone = false);
        all
    }

    /// Takes in which code of files is mapped now. False if these are the modules that were there already.
    pub fn update(&mut self, mapped: &[MappedCode]) -> bool {
        let mut present: Vec<bool> = self.entries.iter().map(|entry| entry.headers.is_none()).collect();
        let mut changed = false;
        for code in mapped {
            if let Some(index) = self.entries.iter().position(|entry| entry.holds(code)) {
                present[index] = true;
            } else if let Some(index) = self.enter(code) {
                present.resize(self.entries.len(), false);
                present[index] = true;
                changed = true;
            }
        }
        for (entry, present) in self.entries.iter_mut().zip(present) {
            changed |= entry.module.gone == present;
            entry.module.gone = !present;
        }
        changed
    }

    /// Enters the file of which a part is mapped. Returns its number.
    fn enter(&mut self, code: &MappedCode) -> Option<usize> {
        // Of a file that is known, this is no code, or another copy.
        let mut copies = self.entries.iter().filter(|entry| !entry.module.gone && entry.path == code.path);
        if copies.any(|entry| entry.headers.as_ref().is_some_and(|headers| headers.bias(code).is_none())) {
            return None;
        }
        let headers = Headers::read(&code.path)?;
        let bias = headers.bias(code)?;
        let known = self.entries.iter().position(|entry| {
            let same_file = entry.headers.is_some() && entry.path == code.path && entry.id == Some(headers.id);
            same_file && entry.module.gone
        });
        let index = known.unwrap_or(self.entries.len());
        if index == MOST_MODULES {
            return None;
        }
        let entry = Entry::of_mapped(&code.path, headers, bias, known.map(|index| &self.entries[index]));
        match known {
            Some(index) => self.entries[index] = entry,
            None => self.entries.push(entry),
        }
        Some(index)
    }

    /// Takes in where the function of the resolver at an address is. Functions of other modules stay undecided.
    pub fn decide(&mut self, resolver: u64, function: u64) {
        let Some((index, entry)) = self.at(resolver) else { return };
        if entry.module.range.contains(&function) {
            let decided = entry.contents(index, &self.roots).decided(resolver, function);
            self.entries[index].contents = Arc::new(OnceLock::from(decided));
        }
    }

    /// The module that has `addr` in its range.
    pub fn module_of(&self, addr: u64) -> Option<&Module> {
        self.at(addr).map(|(_, entry)| &entry.module)
    }

    /// The name of the section that contains `addr`.
    pub fn section_of(&self, addr: u64) -> Option<&str> {
        let (index, entry) = self.at(addr)?;
        let mut all = entry.contents(index, &self.roots).sections.iter();
        all.find(|(_, range)| range.contains(&addr)).map(|(name, _)| name.as_str())
    }

    /// The module at an address; if there is none, the one that was there last.
    fn at(&self, addr: u64) -> Option<(usize, &Entry)> {
        let mut there = self.entries.iter().enumerate().filter(|(_, entry)| entry.module.range.contains(&addr));
        there.clone().find(|(_, entry)| !entry.module.gone).or_else(|| there.next_back())
    }

    fn contents(&self, module: usize) -> Option<&Contents> {
        self.entries.get(module).map(|entry| entry.contents(module, &self.roots))
    }
}

impl Entry {
    fn of_image((index, loaded): (usize, &Loaded)) -> Entry {
        let start = loaded.segments.iter().map(|segment| segment.start).min().unwrap_or(0);
        let executable = loaded.segments.iter().filter(|segment| segment.prot & perm::EXEC != 0);
        Entry {
            module: Module {
                name: file_name(&loaded.path),
                bias: loaded.bias,
                position_independent: loaded.bias != 0,
                range: start..loaded.end(),
                interpreter: index == 1,
                ..Module::default()
            },
            id: std::fs::metadata(&loaded.path).ok().map(|metadata| FileId::of(&metadata)),
            path: loaded.path.clone(),
            code: executable.map(|segment| segment.start..segment.end).collect(),
            headers: None,
            contents: Arc::default(),
            debug: Arc::default(),
        }
    }

    /// A file that the guest has mapped; `before` is what is known of it from an earlier mapping.
    fn of_mapped(path: &Path, headers: Headers, bias: u64, before: Option<&Entry>) -> Entry {
        let known = before.and_then(|before| Some((before.module.bias, before.contents.get()?)));
        Entry {
            module: Module {
                name: file_name(path),
                alias: headers.soname.clone().filter(|name| *name != file_name(path)),
                bias,
                position_independent: headers.position_independent,
                range: headers.range(bias),
                ..Module::default()
            },
            path: path.to_owned(),
            id: Some(headers.id),
            code: headers.code(bias),
            headers: Some(Arc::new(headers)),
            contents: match known {
                Some((before, contents)) => OnceLock::from(contents.moved(bias.wrapping_sub(before))).into(),
                None => Arc::default(),
            },
            debug: before.map(|before| before.debug.clone()).unwrap_or_default(),
        }
    }

    /// True if a mapping is a part of this module.
    fn holds(&self, code: &MappedCode) -> bool {
        !self.module.gone
            && self.path == code.path
            && match &self.headers {
                Some(headers) => headers.bias(code) == Some(self.module.bias),
                None => self.module.range.contains(&code.range.start),
            }
    }

    fn contents(&self, index: usize, roots: &[PathBuf]) -> &Contents {
        self.contents.get_or_init(|| self.read(index, roots))
    }

    fn read(&self, index: usize, roots: &[PathBuf]) -> Contents {
        let place = Place { index, bias: self.module.bias, range: self.module.range.clone(), code: self.code.clone() };
        Contents::read(&self.path, self.id, &place, roots)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl Symbols for SymbolTable {
    fn modules(&self) -> Vec<Module> {
        self.entries.iter().map(|entry| entry.module.clone()).collect()
    }

    fn missing(&self) -> Missing {
        self.missing
    }

    fn symbols(&self, module: usize) -> &[Symbol] {
        self.contents(module).map_or(&[], |contents| &contents.symbols)
    }

    fn named_in(&self, module: usize, name: &str) -> Vec<Symbol> {
        self.contents(module).map(|contents| contents.named(name).cloned().collect()).unwrap_or_default()
    }

    fn matching(&self, module: usize, pattern: &str) -> Vec<&Symbol> {
        self.contents(module).map(|contents| contents.matching(pattern)).unwrap_or_default()
    }

    fn code(&self, module: usize) -> Vec<Range<u64>> {
        self.contents(module).map(|contents| contents.code.clone()).unwrap_or_default()
    }

    fn debug(&self, module: usize) -> Option<&DebugFile> {
        let entry = self.entries.get(module)?;
        let read = || Some(DebugFile::read(&entry.path, &file::bytes_of(&entry.path, entry.id)?, &self.roots));
        entry.debug.get_or_init(read).as_ref()
    }

    fn source_line(&self, addr: u64) -> Option<(&str, u32)> {
        let (index, entry) = self.at(addr)?;
        self.debug(index)?.line_at(addr.wrapping_sub(entry.module.bias))
    }

    fn call_frame(&self, addr: u64) -> Option<CallFrame> {
        let (index, entry) = self.at(addr)?;
        self.debug(index)?.frame(addr.wrapping_sub(entry.module.bias))
    }

    fn sections(&self, module: usize) -> Vec<(String, Range<u64>)> {
        self.contents(module).map(|contents| contents.sections.clone()).unwrap_or_default()
    }

    fn locate(&self, addr: u64) -> Option<Location> {
        let (index, entry) = self.at(addr)?;
        let symbol = entry.contents(index, &self.roots).containing(addr)?;
        Some(Location { name: symbol.name.clone(), offset: addr - symbol.addr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_modules_without_symbols() {
        let bytes = crate::elf::tests::build(2, 183, 0, &[], &[]);
        for len in [0, 10, 64, 100, bytes.len()] {
            let file = crate::elf::tests::TempFile::new(&format!("damaged-{len}"), &bytes[..len]);
            let loaded = Loaded { path: file.0.clone(), bias: u64::MAX, ..Loaded::default() };
            let table = SymbolTable::of(&[loaded]);
            assert_eq!((table.entries.len(), table.symbols(0).len()), (1, 0));
        }
    }
    fn library() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/guest/bin/libplug.so");
        std::fs::read(path).unwrap()
    }

    fn mapped(path: &Path, start: u64) -> MappedCode {
        MappedCode { path: path.to_owned(), range: start..start + 0x1000, offset: 0x1000 }
    }

    #[test]
    fn a_library_comes_goes_and_comes_back() {
        let file = crate::elf::tests::TempFile::new("library", &library());
        let mut table = SymbolTable::default();
        let addr = |table: &SymbolTable, name| table.named(name).iter().map(|s| s.addr).collect::<Vec<_>>();
        assert!(table.update(&[mapped(&file.0, 0x10_9000)]));
        assert!(!table.update(&[mapped(&file.0, 0x10_9000)]), "nothing new");
        assert_eq!(addr(&table, "plug_add"), [0x10_9000]);
        assert_eq!(addr(&table, "plug_value"), [0x10_9044], "the version that programs are linked with");
        assert_eq!(addr(&table, "plug_value@V1"), [0x10_9034]);
        let module = &table.modules()[0];
        assert_eq!((module.bias, module.alias.as_deref()), (0x10_0000, Some("libplug.so.1")));
        assert_eq!((&module.range, &table.code(0)[0]), (&(0x10_0000..0x10_c000), &(0x10_9000..0x10_9084)));
        assert!(table.update(&[]) && addr(&table, "plug_add").is_empty());
        assert_eq!(table.locate(0x10_9004).unwrap().offset, 4, "what was recorded there is still shown");
        assert_eq!(addr(&table.with_gone(), "plug_add"), [0x10_9000]);
        assert!(table.update(&[mapped(&file.0, 0x20_9000), mapped(&file.0, 0x30_9000)]));
        assert_eq!((table.entries.len(), addr(&table, "plug_add")), (2, vec![0x20_9000, 0x30_9000]));
        assert_eq!(table.named_in(0, "plug_add")[0].module, 0);
        assert_eq!(table.named_in(1, "plug_add")[0].module, 1);
    }

    #[test]
    fn a_file_that_is_read_ahead_is_read_once() {
        let file = crate::elf::tests::TempFile::new("ahead", &library());
        let mut table = SymbolTable::default();
        table.update(&[mapped(&file.0, 0x10_9000)]);
        let read: Vec<_> = table.read_ahead().collect();
        assert!(table.entries[0].contents.get().is_none() && read.len() == 1);
        read.into_iter().for_each(|keep| keep());
        assert!(table.entries[0].contents.get().is_some() && table.read_ahead().next().is_none());
        assert_eq!(table.named("plug_add")[0].addr, 0x10_9000);
    }

    #[test]
    fn what_is_not_code_is_no_module() {
        let file = crate::elf::tests::TempFile::new("whole", &library());
        let mut table = SymbolTable::default();
        // The whole file, and then what is left of that behind the code.
        assert!(!table.update(&[MappedCode { path: file.0.clone(), range: 0x10_2000..0x10_4000, offset: 0x2000 }]));
        assert!(table.update(&[MappedCode { path: file.0.clone(), range: 0x10_8000..0x10_c000, offset: 0 }]));
        assert_eq!(table.modules()[0].bias, 0x10_0000);
        let rest = MappedCode { path: file.0.clone(), range: 0x10_b000..0x10_c000, offset: 0x3000 };
        assert!(!table.update(&[mapped(&file.0, 0x10_9000), rest]));
        assert_eq!(table.entries.len(), 1);
    }

    #[test]
    fn a_changed_file_is_another_one() {
        let mut bytes = library();
        let file = crate::elf::tests::TempFile::new("changed", &bytes);
        let mut table = SymbolTable::default();
        table.update(&[mapped(&file.0, 0x10_9000)]);
        // Nothing has been asked of it so far, and what is there now is not what is mapped.
        bytes.push(0);
        std::fs::write(&file.0, &bytes).unwrap();
        assert!(table.symbols(0).is_empty());
        table.update(&[]);
        table.update(&[mapped(&file.0, 0x10_9000)]);
        assert_eq!((table.entries.len(), table.named("plug_add").len()), (2, 1));
    }

    /// Any number of a file may be anything.
    #[test]
    fn damaged_libraries_do_no_harm() {
        let whole = library();
        let check = |bytes: &[u8]| {
            let file = crate::elf::tests::TempFile::new("hostile", bytes);
            let mut table = SymbolTable::default();
            table.update(&[mapped(&file.0, 0x10_9000), mapped(&file.0, 0x7f_ffff_e000)]);
            for module in 0..table.entries.len() {
                let _ = (table.symbols(module).len(), table.code(module), table.sections(module));
            }
            let _ = (table.locate(0x10_9000), table.named("plug_add"));
        };
        (0..whole.len()).step_by(97).for_each(|len| check(&whole[..len]));
        let section_headers = whole.len() - whole.len() % 8 - 0x40 * 20;
        for at in (0..0x400).chain(section_headers..whole.len() - 8).step_by(4) {
            for value in [0, 1, 0x7fff_ffff, u64::MAX, 1 << 63, 0x1000] {
                let mut bytes = whole.clone();
                bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
                check(&bytes);
            }
        }
    }
}
