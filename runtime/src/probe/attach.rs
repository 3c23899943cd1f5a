//! Place resolution: which code addresses each probe is attached to, in the program that is loaded.
//!
//! Names become addresses here, and every place is checked against memory: there must be code, and an instruction must
//! begin there. All faults are collected. What a probe then does at its sites is the lowering's business. Places in
//! libraries that are not there yet wait: [`super::pending`] looks at them again.
//!
//! | code  | says |
//! |---|---|
//! | E0301 | no guest code at an address or in a region |
//! | E0302 | an address is in the middle of an instruction |
//! | E0303 | no symbol or section of that name, no match of a glob |
//! | E0304 | several symbols of one name |
//! | E0305 | no module of that name |
//! | E0306 | no source file of that name, or no code for that line |
//! | E0415 | an empty region, as the checker calls it where it sees that without the program |
//! | W0502 | the probe matches no instruction (an error unless it is `optional`) |
//! | W0503 | a place in a library that was never loaded, at the end of the run |

mod lines;

use crate::dwarf::{CallFrame, DebugFile};
use crate::glob;
use crate::isa::{InsnFacts, Isa};
use crate::mem::{GuestMemory, PAGE, perm};
use crate::probe::format::address_text;
use hashbrown::{HashMap, HashSet};
use regex::{Regex, RegexBuilder};
use spile_lang::diag::{Diagnostic, Diagnostics};
use spile_lang::ir::{
    Event, Expr, ExprKind, Filter, GotoTarget, InsnPattern, LValue, Lasting, Loc, Place, PrintValue, Probe, ProbeId,
    Program, Region, RegionKind, Stmt, StmtKind, StrPart,
};
use spile_lang::span::Span;
use spile_lang::suggest::nearest;
use std::cell::RefCell;
use std::ops::Range;

/// The symbols of the loaded modules, as probes see them.
pub trait Symbols {
    /// Returns the loaded modules; the program itself is the first.
    fn modules(&self) -> Vec<Module>;

    /// Returns what becomes of places that are not there.
    fn missing(&self) -> Missing;

    /// Returns the symbols of a module, an index into [`Symbols::modules`]. Names are demangled.
    fn symbols(&self, module: usize) -> &[Symbol];

    /// Returns the executable parts of a module.
    fn code(&self, module: usize) -> Vec<Range<u64>>;

    /// Returns the sections of a module, an index into [`Symbols::modules`], at their run-time addresses.
    fn sections(&self, module: usize) -> Vec<(String, Range<u64>)>;

    /// Returns the debug information of a module, an index into [`Symbols::modules`].
    fn debug(&self, _module: usize) -> Option<&DebugFile> {
        None
    }

    /// Returns the source file and line of the code at an address.
    fn source_line(&self, addr: u64) -> Option<(&str, u32)> {
        let modules = self.modules();
        let module = self.in_order().into_iter().find(|&index| modules[index].range.contains(&addr))?;
        self.debug(module)?.line_at(addr.wrapping_sub(modules[module].bias))
    }

    /// Returns how the frame of the code at an address looks, if its file says so.
    fn call_frame(&self, _addr: u64) -> Option<CallFrame> {
        None
    }

    /// Returns the symbol at or before an address that has it in its extent.
    fn locate(&self, addr: u64) -> Option<Location>;

    /// Returns the symbols of a module that have this exact name.
    fn named_in(&self, module: usize, name: &str) -> Vec<Symbol> {
        self.symbols(module).iter().filter(|symbol| symbol.name == name).cloned().collect()
    }

    /// Returns the symbols of a module that a glob means.
    fn matching(&self, module: usize, pattern: &str) -> Vec<&Symbol> {
        self.symbols(module).iter().filter(|symbol| symbol.matches(pattern)).collect()
    }

    /// Returns the modules that are there, in the order in which a name is looked up in them: the program, libraries as
    /// they were loaded, the interpreter.
    fn in_order(&self) -> Vec<usize> {
        let modules = self.modules();
        let mut there: Vec<usize> = (0..modules.len()).filter(|&index| !modules[index].gone).collect();
        there.sort_by_key(|&index| modules[index].interpreter);
        there
    }

    /// Calls `f` with every symbol of every module that is there.
    fn each_symbol(&self, f: &mut dyn FnMut(&Symbol)) {
        self.in_order().into_iter().for_each(|module| self.symbols(module).iter().for_each(&mut *f));
    }

    /// Returns all symbols of this exact name.
    fn named(&self, name: &str) -> Vec<Symbol> {
        self.in_order().into_iter().flat_map(|module| self.named_in(module, name)).collect()
    }
}

/// What becomes of a place that is not there, when probes are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It is an error: nothing is loaded later.
    #[default]
    IsWrong,
    /// It may be in a library that the dynamic linker has yet to load, and waits.
    Waits,
    /// It waits, and nobody misses it: the program is one of several that the script is used for.
    IsIgnored,
}

/// A loaded program file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// File name without directories.
    pub name: String,
    /// The name under which others ask for it, if that is another.
    pub alias: Option<String>,
    /// Run-time address minus file address.
    pub bias: u64,
    /// It can be loaded anywhere, so its file addresses are not its run-time addresses.
    pub position_independent: bool,
    /// From its first to behind its last mapped byte.
    pub range: Range<u64>,
    /// It is the dynamic linker.
    pub interpreter: bool,
    /// It is not mapped any more.
    pub gone: bool,
}

impl Module {
    /// True if scripts may call it this: its name or that without what follows `.so`, or its alias.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let mut names = std::iter::once(&self.name).chain(&self.alias);
        names.any(|own| own == name || stem(own) == name)
    }
}

/// A named address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Index into [`Symbols::modules`].
    pub module: usize,
    /// Its name, demangled.
    pub name: String,
    /// Its name as the file has it, if that is another.
    pub raw: Option<Box<str>>,
    /// Run-time address.
    pub addr: u64,
    /// Size in bytes; 0 if the file does not say.
    pub size: u64,
    /// Code, not data.
    pub function: bool,
    /// It is a resolver, which says where the function is; see [`super::indirect`].
    pub indirect: bool,
}

impl Symbol {
    /// True for a stub of a procedure linkage table, `memcpy@plt`: code with a name that is no function of its own, so that
    /// what stands for functions in general does not mean it.
    fn is_stub(&self) -> bool {
        self.name.ends_with("@plt")
    }

    /// True if a glob means it: by its name or the file's. Stubs are meant by globs with an `@`.
    pub fn matches(&self, pattern: &str) -> bool {
        let raw = self.raw.as_ref().is_some_and(|raw| glob::matches(pattern, raw));
        (raw || glob::matches(pattern, &self.name)) && (!self.is_stub() || pattern.contains('@'))
    }
}

/// Where an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Name of the symbol.
    pub name: String,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// What places are resolved against.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Names.
    pub symbols: &'a dyn Symbols,
    /// The loaded program.
    pub memory: &'a GuestMemory,
    /// The guest architecture.
    pub isa: &'a dyn Isa,
}

/// Where a probe is attached.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Which probe.
    pub probe: ProbeId,
    /// Code addresses, sorted, merged, ends excluded.
    pub ranges: Vec<Range<u64>>,
    /// Of an event on memory, the accessed addresses; its code is then everywhere.
    pub accessed: Vec<Range<u64>>,
    /// The probe names no place: [`Attachment::ranges`] is all addresses, save for `except`.
    pub everywhere: bool,
    /// The `at` and `in` places one by one, for `spile list`.
    pub places: Vec<PlaceRanges>,
    /// The functions that a `call` or `return` probe names, by their first instructions, sorted.
    pub entries: Vec<u64>,
    /// For each filter of the probe, the functions that it names, if it is a `from` or `during`.
    pub functions: Vec<Functions>,
    /// The `since` and `until` places.
    pub since: Vec<u64>,
    /// See [`Attachment::since`].
    pub until: Vec<u64>,
    /// Addresses of `goto` targets and of `&name`, by [`Loc::span`].
    pub addresses: HashMap<Span, u64>,
    /// Places that are not there, and what is to be said if that does not change.
    pub waiting: Vec<Diagnostic>,
    /// The resolvers of functions that it waits for.
    pub undecided: Vec<Range<u64>>,
    matcher: Matcher,
}

/// The functions that a `from` or `during` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    /// Their first instructions, sorted.
    pub entries: Vec<u64>,
    /// Their code, sorted and merged.
    pub extents: Vec<Range<u64>>,
}

/// What one `at` or `in` place stands for.
#[derive(Clone, Debug)]
pub struct PlaceRanges {
    /// Where it is written.
    pub span: Span,
    /// Its code addresses.
    pub ranges: Vec<Range<u64>>,
}

/// An instruction that a probe matches.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its address.
    pub pc: u64,
    /// Its encoding.
    pub bits: u32,
    /// Its size in bytes.
    pub len: u8,
    /// What is known of it.
    pub facts: InsnFacts,
}

#[derive(Clone, Debug)]
enum Matcher {
    Any,
    Glob(String),
    Regex(Regex),
    Returns,
    Branches,
}

impl Attachment {
    /// True if an instruction at `pc` is in one of the probe's places.
    pub fn matches(&self, pc: u64) -> bool {
        contains(&self.ranges, pc)
    }

    /// True if any of `code` may be in one of the probe's places.
    pub fn touches(&self, code: &Range<u64>) -> bool {
        let index = self.ranges.partition_point(|range| range.end <= code.start);
        self.ranges.get(index).is_some_and(|range| range.start < code.end)
    }

    /// True if the probe selects instructions by what they are, so that [`Attachment::selects`] needs their facts.
    pub fn has_pattern(&self) -> bool {
        !matches!(self.matcher, Matcher::Any)
    }

    /// True if an instruction matches the pattern of the `insn` event.
    pub fn selects(&self, facts: &InsnFacts) -> bool {
        match &self.matcher {
            Matcher::Any => true,
            Matcher::Glob(pattern) => glob::matches(pattern, &facts.mnemonic),
            Matcher::Regex(regex) => regex.is_match(&facts.text),
            Matcher::Returns => facts.is_return,
            Matcher::Branches => facts.is_branch,
        }
    }

    /// Returns the instructions that the probe matches, in address order: those of its places, or of the main
    /// program's code if it names none.
    pub fn scan<'a>(&'a self, world: &World<'a>) -> impl Iterator<Item = Site> + use<'a> {
        let code = if self.everywhere { main_code(world) } else { all_code(world) };
        let ranges = intersection(&self.ranges, &code);
        // Code outside the modules (a raw image, generated code) is only looked at where it is asked for.
        let ranges = if ranges.is_empty() && !self.everywhere { self.ranges.clone() } else { ranges };
        instructions(ranges, *world).filter(|site| self.selects(&site.facts))
    }
}

fn contains(ranges: &[Range<u64>], pc: u64) -> bool {
    let index = ranges.partition_point(|range| range.end <= pc);
    ranges.get(index).is_some_and(|range| range.start <= pc)
}

/// Resolves the places of all probes from number `from` on.
///
/// # Errors
/// Everything that is wrong with them.
pub fn attach(program: &Program, from: usize, world: &World<'_>) -> Result<Vec<Attachment>, Diagnostics> {
    let mut attachments = Vec::new();
    let mut diagnostics = Diagnostics::new();
    for (index, probe) in program.probes.iter().enumerate().skip(from) {
        let mut resolver = Resolver { constants: &program.constants, ..Resolver::new(world, probe, false) };
        attachments.push(resolver.probe(ProbeId(index as u32)));
        resolver.faults.into_iter().for_each(|fault| diagnostics.push(fault));
    }
    if diagnostics.is_empty() { Ok(attachments) } else { Err(diagnostics.finish()) }
}

/// Resolves the places of a probe again, while the guest runs. Whatever is wrong with them now, they wait.
pub fn attach_again(program: &Program, id: ProbeId, world: &World<'_>) -> Attachment {
    let probe = &program.probes[id.0 as usize];
    Resolver::new(world, probe, true).probe(id)
}

/// Resolves the places of a probe that is not complete yet, and says nothing of what is wrong with them.
pub(super) fn places_of(probe: &Probe, world: &World<'_>) -> Attachment {
    Resolver::new(world, probe, true).probe(ProbeId(0))
}

/// Reads the instruction at `pc`; the result is its encoding and its size.
pub fn fetch(memory: &GuestMemory, isa: &dyn Isa, pc: u64) -> Option<(u32, u8)> {
    let half = u16::from_le_bytes(memory.fetch::<2>(pc).ok()?);
    match isa.insn_len(half) {
        2 => Some((u32::from(half), 2)),
        len => Some((u32::from_le_bytes(memory.fetch::<4>(pc).ok()?), len)),
    }
}

struct Resolver<'a> {
    world: &'a World<'a>,
    probe: &'a Probe,
    /// What the script's constants are, for those who take them for places.
    constants: &'a [(String, u64)],
    /// The guest runs: nothing is an error any more.
    late: bool,
    waiting: Vec<Diagnostic>,
    undecided: RefCell<Vec<Range<u64>>>,
    entries: RefCell<Vec<u64>>,
    faults: Vec<Diagnostic>,
}

/// An address that a place stands for.
#[derive(Clone, Copy)]
struct Found {
    addr: u64,
    /// Bytes from there; 0 if unknown.
    size: u64,
    /// A bare number or `module:number`.
    number: bool,
}

/// What a place comes to.
type Resolved = Result<Vec<Range<u64>>, Fault>;

/// All addresses.
const EVERYTHING: Range<u64> = 0..u64::MAX;

/// A place that is wrong.
struct Fault {
    diagnostic: Box<Diagnostic>,
    kind: FaultKind,
}

/// What may help against a fault; the later ones include the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FaultKind {
    /// Another script.
    Wrong,
    /// `optional`.
    Absent,
    /// A library that is loaded later.
    Unfound,
    /// The resolver of an indirect function.
    Undecided,
}

impl From<Diagnostic> for Fault {
    fn from(diagnostic: Diagnostic) -> Fault {
        Fault { diagnostic: Box::new(diagnostic), kind: FaultKind::Wrong }
    }
}

fn absent(diagnostic: Diagnostic) -> Fault {
    Fault { diagnostic: Box::new(diagnostic), kind: FaultKind::Absent }
}

/// A name that is not in `module`, or nowhere: a library that has it may come.
fn unfound(diagnostic: Diagnostic, module: Option<usize>) -> Fault {
    let kind = if module.is_none() { FaultKind::Unfound } else { FaultKind::Absent };
    Fault { diagnostic: Box::new(diagnostic), kind }
}

impl<'a> Resolver<'a> {
    fn new(world: &'a World<'a>, probe: &'a Probe, late: bool) -> Self {
        let (waiting, faults) = (Vec::new(), Vec::new());
        Resolver {
            world,
            probe,
            constants: &[],
            late,
            waiting,
            undecided: RefCell::default(),
            entries: RefCell::default(),
            faults,
        }
    }

    fn probe(&mut self, id: ProbeId) -> Attachment {
        let probe = self.probe;
        let resolve = match probe.event {
            Event::Call => Self::entries,
            Event::Return => Self::bodies,
            _ => Self::points,
        };
        let points: Vec<PlaceRanges> = probe.at.iter().map(|loc| self.place(loc.span, resolve, loc)).collect();
        let regions: Vec<PlaceRanges> =
            probe.within.iter().map(|region| self.place(region.span, Self::region, region)).collect();
        let except: Vec<PlaceRanges> =
            probe.except.iter().map(|region| self.place(region.span, Self::excepted, region)).collect();
        let functions = probe.filters.iter().map(|filter| self.functions_of(filter)).collect();
        let [since, until] = [&probe.since, &probe.until].map(|list| self.reached(list));
        let mut ranges = vec![EVERYTHING];
        for list in [&points, &regions] {
            if !list.is_empty() {
                let union = merged(list.iter().flat_map(|place| place.ranges.clone()).collect());
                ranges = intersection(&ranges, &union);
            }
        }
        let ranges = difference(&ranges, &merged(except.into_iter().flat_map(|place| place.ranges).collect()));
        let ranges = match probe.event {
            Event::Line => self.first_of_lines(&ranges),
            _ => ranges,
        };
        let mut entries = self.entries.take();
        entries.sort_unstable();
        entries.dedup();
        entries.retain(|&entry| contains(&ranges, entry));
        // Any instruction may access any address.
        let (ranges, accessed) = if self.on_memory() { (vec![EVERYTHING], ranges) } else { (ranges, Vec::new()) };
        let mut attachment = Attachment {
            probe: id,
            ranges,
            accessed,
            entries,
            everywhere: points.is_empty() && regions.is_empty(),
            places: points.into_iter().chain(regions).collect(),
            functions,
            since,
            until,
            addresses: HashMap::new(),
            waiting: Vec::new(),
            undecided: Vec::new(),
            matcher: matcher(&probe.event),
        };
        self.addresses(&mut attachment);
        attachment.undecided = self.undecided.take();
        let complete = self.waiting.is_empty() && attachment.undecided.is_empty();
        if self.faults.is_empty() && complete && !self.late && !probe.optional {
            self.check_not_empty(&attachment);
        }
        attachment.waiting = std::mem::take(&mut self.waiting);
        attachment
    }

    /// Of an event on lines, the instructions of its places at which it happens.
    fn first_of_lines(&mut self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        if let Some(fault) = self.no_lines() {
            self.fault(fault, self.probe.optional);
        }
        intersection(ranges, &self.line_changes())
    }

    /// True if the places of the probe are addresses of data.
    fn on_memory(&self) -> bool {
        matches!(self.probe.event, Event::Access(_))
    }

    /// Enters a fault, or a place that waits.
    fn fault(&mut self, fault: Fault, optional: bool) {
        let waits = match self.world.symbols.missing() {
            _ if fault.kind == FaultKind::Undecided => true,
            Missing::IsWrong => self.late,
            Missing::Waits => self.late || fault.kind == FaultKind::Unfound,
            Missing::IsIgnored => true,
        };
        if waits {
            self.waiting.push(*fault.diagnostic);
        } else if !(optional && fault.kind >= FaultKind::Absent) {
            self.faults.push(*fault.diagnostic);
        }
    }

    /// Resolves one place. A fault that `optional` forgives leaves no ranges.
    fn place<T>(&mut self, span: Span, resolve: fn(&Self, &T) -> Resolved, what: &T) -> PlaceRanges {
        let ranges = match resolve(self, what) {
            Ok(ranges) => merged(ranges),
            Err(fault) => {
                self.fault(fault, self.probe.optional);
                Vec::new()
            }
        };
        PlaceRanges { span, ranges }
    }

    /// The functions of a `from` or `during`.
    fn functions_of(&mut self, filter: &Filter) -> Functions {
        let (Filter::From(list) | Filter::During(list)) = filter else { return Functions::default() };
        let mut extents = Vec::new();
        for loc in list {
            match self.function_extents(loc) {
                Ok(ranges) => extents.extend(ranges),
                Err(fault) => self.fault(fault, self.probe.optional),
            }
        }
        let mut entries: Vec<u64> = extents.iter().map(|range| range.start).collect();
        entries.sort_unstable();
        entries.dedup();
        Functions { entries, extents: merged(extents) }
    }

    fn function_extents(&self, loc: &Loc) -> Resolved {
        if loc.place == Place::Any {
            return Ok(self.functions());
        }
        // Data has no callers.
        self.instructions(loc)?;
        self.code_extents(loc)
    }

    /// The instructions at `since` or `until` places.
    fn reached(&mut self, list: &[Loc]) -> Vec<u64> {
        let mut found = Vec::new();
        for loc in list {
            match self.instructions(loc) {
                Ok(ranges) => found.extend(ranges.into_iter().map(|range| range.start)),
                Err(fault) => self.fault(fault, self.probe.optional),
            }
        }
        found
    }

    /// Single instructions.
    fn points(&self, loc: &Loc) -> Resolved {
        if loc.place == Place::Any {
            return Ok(vec![EVERYTHING]);
        }
        if self.on_memory() {
            return self.extents(loc);
        }
        self.instructions(loc)
    }

    /// Single instructions, whatever the event.
    fn instructions(&self, loc: &Loc) -> Resolved {
        let found = self.find(loc)?;
        found.iter().map(|found| self.instruction(loc, found.addr)).collect()
    }

    /// The first instructions of functions.
    fn entries(&self, loc: &Loc) -> Resolved {
        let ranges = match loc.place {
            Place::Any => self.functions().into_iter().map(|range| range.start..range.start + 1).collect(),
            _ => self.points(loc)?,
        };
        self.entries.borrow_mut().extend(ranges.iter().map(|range| range.start));
        Ok(ranges)
    }

    /// All instructions of functions.
    fn bodies(&self, loc: &Loc) -> Resolved {
        let ranges = match loc.place {
            Place::Any => self.functions(),
            _ => self.extents(loc)?,
        };
        self.entries.borrow_mut().extend(ranges.iter().map(|range| range.start));
        Ok(ranges)
    }

    /// All functions of all modules.
    fn functions(&self) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        self.world.symbols.each_symbol(&mut |symbol| {
            if symbol.function && !symbol.indirect && !symbol.is_stub() && self.is_code(symbol.addr) {
                found.push(symbol.addr..symbol.addr + symbol.size.max(1));
            }
        });
        found
    }

    fn region(&self, region: &Region) -> Resolved {
        let ranges = self.extent(region)?;
        // With `optional`, addresses without code are kept: the guest may put code there later.
        if !self.probe.optional && !self.on_memory() && ranges.iter().all(|range| !self.has_code(range)) {
            let title = format!("no guest code in {}", region_text(&ranges));
            let diagnostic = Diagnostic::error("E0301", title).primary(region.span, "nothing executable in here");
            return Err(absent(self.where_code_is(diagnostic)));
        }
        Ok(ranges)
    }

    /// What is excepted need not be code.
    fn excepted(&self, region: &Region) -> Resolved {
        self.extent(region)
    }

    fn extent(&self, region: &Region) -> Resolved {
        let range = match &region.kind {
            RegionKind::Extent(loc) => return self.extents(loc),
            RegionKind::Range(from, to) => self.one(from)?..self.one(to)?,
            RegionKind::Len(from, len) => {
                let from = self.one(from)?;
                from..from.saturating_add(*len)
            }
        };
        if range.is_empty() {
            let diagnostic =
                Diagnostic::error("E0415", "this region is empty").primary(region.span, "the end is excluded");
            return Err(diagnostic.help(format!("it is {:#x}..{:#x}", range.start, range.end)).into());
        }
        Ok(vec![range])
    }

    /// The extent of a symbol, section or module, of all matches of a glob; of an address the one instruction there.
    fn extents(&self, loc: &Loc) -> Resolved {
        match &loc.place {
            Place::Symbol(name) if loc.offset == 0 => {
                if let Some(all) = self.modules_called(name) {
                    return Ok(all);
                }
            }
            Place::Any => return Ok(vec![EVERYTHING]),
            Place::Line { file, line } if loc.offset == 0 => return self.line_extent(loc, file, *line),
            Place::Glob(name) if matches!(self.probe.event, Event::Line) => {
                if let Some(code) = self.file_extent(name) {
                    return Ok(code);
                }
            }
            _ => {}
        }
        if self.on_memory() {
            let extent = |found: &Found| match found.number || loc.offset != 0 {
                true => found.addr..found.addr.saturating_add(1),
                false => self.whole(found),
            };
            return Ok(self.find(loc)?.iter().map(extent).collect());
        }
        self.code_extents(loc)
    }

    /// All of the modules of a name that is no symbol's.
    fn modules_called(&self, name: &str) -> Option<Vec<Range<u64>>> {
        let (modules, there) = (self.world.symbols.modules(), self.world.symbols.in_order());
        if there.iter().any(|&index| !self.world.symbols.named_in(index, name).is_empty()) {
            return None;
        }
        let called = there.iter().map(|&index| &modules[index]).filter(|module| module.is_called(name));
        let all: Vec<Range<u64>> = called.map(|module| module.range.clone()).collect();
        (!all.is_empty()).then_some(all)
    }

    /// The same, of code.
    fn code_extents(&self, loc: &Loc) -> Resolved {
        let extent = |found: &Found| {
            if found.number || loc.offset != 0 {
                return self.instruction(loc, found.addr);
            }
            Ok(self.whole(found))
        };
        self.find(loc)?.iter().map(extent).collect()
    }

    fn whole(&self, found: &Found) -> Range<u64> {
        let size = if found.size > 0 { found.size } else { self.size_of(found.addr) };
        found.addr..found.addr.saturating_add(size)
    }

    /// For symbols without a size, which assembly has: up to the next symbol or the end of the code.
    fn size_of(&self, addr: u64) -> u64 {
        let code = all_code(self.world);
        let mut end = code.iter().find(|range| range.contains(&addr)).map_or(addr + 4, |range| range.end);
        self.world.symbols.each_symbol(&mut |symbol| {
            if symbol.addr > addr {
                end = end.min(symbol.addr);
            }
        });
        end - addr
    }

    fn one(&self, loc: &Loc) -> Result<u64, Fault> {
        let pattern = matches!(loc.place, Place::Glob(_) | Place::ModuleGlob { .. });
        match self.find(loc)?[..] {
            [found] => Ok(found.addr),
            // Of several copies of a library the first one speaks.
            [first, ..] if !pattern => Ok(first.addr),
            ref several => {
                let title = format!("an address is needed here, and this matches {} places", several.len());
                Err(Diagnostic::error("E0304", title).primary(loc.span, "more than one place").into())
            }
        }
    }

    /// Resolves names; the result is not empty.
    fn find(&self, loc: &Loc) -> Result<Vec<Found>, Fault> {
        let mut found = match &loc.place {
            Place::Addr(addr) => vec![Found { addr: *addr, size: 0, number: true }],
            Place::Symbol(name) if name.starts_with('.') => self.section(loc, name, None)?,
            Place::Symbol(name) => self.unqualified(loc, name)?,
            Place::Glob(pattern) => self.glob(loc, pattern, None)?,
            Place::ModuleSymbol { module, symbol } if symbol.starts_with('.') => {
                self.in_each(loc, module, |module| self.section(loc, symbol, Some(module)))?
            }
            Place::ModuleSymbol { module, symbol } => {
                self.in_each(loc, module, |module| self.symbol(loc, symbol, module))?
            }
            Place::ModuleGlob { module, glob } => {
                self.in_each(loc, module, |module| self.glob(loc, glob, Some(module)))?
            }
            Place::ModuleAddr { module, addr } => {
                let modules = self.world.symbols.modules();
                let addr = |module: usize| addr.wrapping_add(modules[module].bias);
                self.in_each(loc, module, |module| Ok(vec![Found { addr: addr(module), size: 0, number: true }]))?
            }
            Place::Line { file, line } => self.source_line(loc, file, *line)?,
            Place::Any => vec![Found { addr: 0, size: 0, number: true }],
        };
        for found in &mut found {
            found.addr = found.addr.wrapping_add_signed(loc.offset);
        }
        Ok(found)
    }

    /// Looks for a place in the modules of a name. A library may be loaded more than once, and two may have one name: the
    /// place is then in each of them that has it.
    fn in_each(
        &self,
        loc: &Loc,
        name: &str,
        find: impl Fn(usize) -> Result<Vec<Found>, Fault>,
    ) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::new();
        let mut fault = None;
        for module in self.called(loc, name)? {
            match find(module) {
                Ok(list) => found.extend(list),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        match fault {
            Some(fault) if found.is_empty() => Err(fault),
            _ => Ok(found),
        }
    }

    /// The modules of a name; at least one.
    fn called(&self, loc: &Loc, name: &str) -> Result<Vec<usize>, Fault> {
        let modules = self.world.symbols.modules();
        let there = self.world.symbols.in_order();
        let called: Vec<usize> = there.iter().copied().filter(|&index| modules[index].is_called(name)).collect();
        if !called.is_empty() {
            return Ok(called);
        }
        let mut names: Vec<&str> = there.iter().map(|&index| modules[index].name.as_str()).collect();
        names.dedup();
        let stems: Vec<&str> = names.iter().map(|name| stem(name)).collect();
        let title = format!("no module named `{name}` {} loaded", if self.late { "was" } else { "is" });
        let diagnostic = Diagnostic::error("E0305", title).primary(loc.span, "no such module");
        let diagnostic = match nearest(name, names.iter().chain(&stems)) {
            Some(close) => diagnostic.help(format!("did you mean `{close}`?")),
            None => diagnostic,
        };
        Err(unfound(diagnostic.help(format!("loaded: {}", quoted_list(&names))), None))
    }

    /// Without a module, the first one that has the name counts, as for the dynamic linker, and all copies of it.
    fn unqualified(&self, loc: &Loc, name: &str) -> Result<Vec<Found>, Fault> {
        let symbols = self.world.symbols;
        match symbols.in_order().into_iter().find(|&module| !symbols.named_in(module, name).is_empty()) {
            Some(first) => {
                let module = &symbols.modules()[first].name;
                self.in_each(loc, module, |module| self.symbol(loc, name, module))
            }
            None => Err(unfound(self.no_symbol(loc, name, None), None)),
        }
    }

    /// Several hits in one module are an error.
    fn symbol(&self, loc: &Loc, name: &str, module: usize) -> Result<Vec<Found>, Fault> {
        let mut all = self.world.symbols.named_in(module, name);
        if all.iter().any(|symbol| symbol.function) {
            all.retain(|symbol| symbol.function);
        }
        // Aliases of one address are one place; the one that knows its size speaks for all.
        all.sort_by_key(|symbol| (symbol.addr, std::cmp::Reverse(symbol.size)));
        all.dedup_by_key(|symbol| symbol.addr);
        if let [one] = &all[..]
            && one.indirect
        {
            self.undecided.borrow_mut().push(one.addr..one.addr + one.size);
            let title = format!("`{name}` is an indirect function, and which code it is has not been decided");
            let diagnostic = Diagnostic::error("E0303", title).primary(loc.span, "nobody has asked its resolver");
            return Err(Fault { diagnostic: Box::new(diagnostic), kind: FaultKind::Undecided });
        }
        match &all[..] {
            [] => Err(absent(self.no_symbol(loc, name, Some(module)))),
            [one] => Ok(vec![Found { addr: one.addr, size: one.size, number: false }]),
            several => Err(self.ambiguous(loc, name, several).into()),
        }
    }

    fn ambiguous(&self, loc: &Loc, name: &str, several: &[Symbol]) -> Diagnostic {
        let modules = self.world.symbols.modules();
        let title = format!("`{name}` is the name of {} different places", several.len());
        let mut diagnostic = Diagnostic::error("E0304", title).primary(loc.span, "which one?");
        for symbol in several.iter().take(8) {
            let module = &modules[symbol.module];
            let exact = format!("{}:{:#x}", stem(&module.name), symbol.addr.wrapping_sub(module.bias));
            diagnostic = diagnostic.help(format!("`{exact}` at {:#x}, {} bytes", symbol.addr, symbol.size));
        }
        if several.len() > 8 {
            diagnostic = diagnostic.help(format!("and {} more", several.len() - 8));
        }
        diagnostic.help(format!("for all of them: \"{name}\" in quotes"))
    }

    fn no_symbol(&self, loc: &Loc, name: &str, module: Option<usize>) -> Diagnostic {
        let title = format!("no symbol named `{name}` in {}", self.where_looked(module));
        let mut diagnostic = Diagnostic::error("E0303", title).primary(loc.span, "matches nothing");
        if let Some((_, value)) = self.constants.iter().find(|(constant, _)| constant == name) {
            return diagnostic.help(format!(
                "places have the names of the program; the `const` of this name is the address `{value:#x}`"
            ));
        }
        if spile_lang::verbs::find(name).is_some() {
            diagnostic = diagnostic.help(format!("for the statement `{name}`, remove the comma before it"));
        }
        let modules = self.world.symbols.modules();
        let mut names: Vec<(String, usize)> = Vec::new();
        self.each_symbol_of(module, &mut |symbol| names.push((symbol.name.clone(), symbol.module)));
        names.sort_by_key(|(_, module)| *module);
        let first = nearest(name, names.iter().map(|(name, _)| name));
        let others = names.iter().map(|(name, _)| name).filter(|other| Some(*other) != first.as_ref());
        let close: Vec<String> = first.iter().cloned().chain(nearest(name, others)).collect();
        let with_module = |close: &String| {
            let at = names.iter().find(|(name, _)| name == close).map_or(0, |(_, module)| *module);
            format!("`{close}` ({})", modules[at].name)
        };
        if let Some(first) = close.first() {
            let list: Vec<String> = close.iter().map(with_module).collect();
            diagnostic = diagnostic.help(format!("did you mean {}?", list.join(" or ")));
            if loc.offset == 0 && module.is_none() {
                diagnostic = diagnostic.fix(loc.span, first.clone());
            }
        }
        if names.is_empty() {
            return diagnostic.help("it has no symbols: it is stripped. Use addresses, as `spile list` shows them");
        }
        diagnostic.help(format!("names are exact: for a pattern write \"{}\"", pattern_for(name)))
    }

    /// The symbols of one module, or of all.
    fn each_symbol_of(&self, module: Option<usize>, f: &mut dyn FnMut(&Symbol)) {
        match module {
            Some(module) => self.world.symbols.symbols(module).iter().for_each(f),
            None => self.world.symbols.each_symbol(f),
        }
    }

    fn where_looked(&self, module: Option<usize>) -> String {
        let modules = self.world.symbols.modules();
        let name = |index: usize| modules.get(index).map_or("the program", |module| module.name.as_str()).to_string();
        let names: HashSet<&str> = self.world.symbols.in_order().iter().map(|&i| modules[i].name.as_str()).collect();
        match (module, names.len()) {
            (Some(module), _) => name(module),
            (None, 0 | 1) => name(0),
            (None, 2) => format!("{} or its library", name(0)),
            (None, n) => format!("{} or its {} libraries", name(0), n - 1),
        }
    }

    fn section(&self, loc: &Loc, name: &str, module: Option<usize>) -> Result<Vec<Found>, Fault> {
        let module = module.unwrap_or(0);
        let sections = self.world.symbols.sections(module);
        if let Some((_, range)) = sections.iter().find(|(section, _)| section == name) {
            return Ok(vec![Found { addr: range.start, size: range.end - range.start, number: false }]);
        }
        // A name like `.L1` or `.hidden` may be a symbol after all.
        if let Ok(found) = self.symbol(loc, name, module) {
            return Ok(found);
        }
        let title = format!("no section named `{name}` in {}", self.where_looked(Some(module)));
        let diagnostic = Diagnostic::error("E0303", title).primary(loc.span, "no such section");
        let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
        // What lies on a page with code is not code itself: what the file says of it counts.
        let known = all_code(self.world);
        let is_code = |range: &Range<u64>| known.iter().any(|code| code.start < range.end && range.start < code.end);
        let code = sections.iter().filter(|(_, range)| is_code(range)).map(|(name, _)| name.as_str());
        let code: Vec<&str> = code.collect();
        let diagnostic = match nearest(name, names) {
            Some(close) => diagnostic.help(format!("did you mean `{close}`?")).fix(loc.span, close),
            None => diagnostic,
        };
        Err(absent(diagnostic.help_if((!code.is_empty()).then(|| format!("with code: {}", quoted_list(&code))))))
    }

    fn glob(&self, loc: &Loc, pattern: &str, module: Option<usize>) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::new();
        let (mut data, mut undecided) = (0, 0);
        let symbols = self.world.symbols;
        let modules = module.map_or_else(|| symbols.in_order(), |module| vec![module]);
        for symbol in modules.into_iter().flat_map(|module| symbols.matching(module, pattern)) {
            // Labels of assembly need not be marked as functions.
            let label = self.is_code(symbol.addr) && symbol.addr.is_multiple_of(self.world.isa.insn_align());
            match symbol.function || label || self.on_memory() {
                true if symbol.indirect => {
                    undecided += 1;
                    self.undecided.borrow_mut().push(symbol.addr..symbol.addr + symbol.size);
                }
                true => found.push(Found { addr: symbol.addr, size: symbol.size, number: false }),
                false => data += 1,
            }
        }
        // Aliases are one place.
        found.sort_by_key(|found| (found.addr, std::cmp::Reverse(found.size)));
        found.dedup_by_key(|found| found.addr);
        if found.is_empty() && undecided > 0 {
            let title =
                format!("\"{pattern}\" matches indirect functions, and which code they are has not been decided");
            let diagnostic = Diagnostic::error("E0303", title).primary(loc.span, "nobody has asked their resolvers");
            return Err(Fault { diagnostic: Box::new(diagnostic), kind: FaultKind::Undecided });
        }
        if found.is_empty() {
            let title = format!("no function matches \"{pattern}\" in {}", self.where_looked(module));
            let diagnostic = Diagnostic::error("E0303", title).primary(loc.span, "matches nothing");
            let note = match data {
                0 => None,
                1 => Some("1 variable matches; a pattern means functions only".to_string()),
                n => Some(format!("{n} variables match; a pattern means functions only")),
            };
            let diagnostic = diagnostic.help_if(note).help("`*` stands for any text, `?` for one character");
            return Err(unfound(diagnostic, module));
        }
        Ok(found)
    }

    // ---- what must be at an address

    fn is_code(&self, addr: u64) -> bool {
        self.world.memory.perms(addr) & perm::EXEC != 0
    }

    /// Modules are looked at first; of other memory at most the first gibibytes.
    fn has_code(&self, range: &Range<u64>) -> bool {
        const MOST_PAGES: u64 = 1 << 20;
        let known = all_code(self.world).iter().any(|code| code.start < range.end && range.start < code.end);
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        known || pages.take(MOST_PAGES as usize).any(|page| self.is_code(page * PAGE))
    }

    /// Returns the extent of the one instruction at `addr`.
    fn instruction(&self, loc: &Loc, addr: u64) -> Result<Range<u64>, Fault> {
        let World { memory, isa, .. } = *self.world;
        if !self.is_code(addr) {
            return Err(absent(self.no_code(loc, addr)));
        }
        if let Some(before) = self.instruction_around(addr) {
            return Err(self.in_the_middle(loc, addr, before).into());
        }
        let len = fetch(memory, isa, addr).map_or(isa.insn_align(), |(_, len)| u64::from(len));
        Ok(addr..addr + len)
    }

    /// Returns the beginning of the instruction that `addr` is in the middle of.
    fn instruction_around(&self, addr: u64) -> Option<u64> {
        let World { memory, isa, symbols } = *self.world;
        let align = isa.insn_align();
        if !addr.is_multiple_of(align) {
            return Some(addr - addr % align);
        }
        if align >= 4 {
            return None;
        }
        // Instructions of several sizes: counted from the beginning of the function, where that is known.
        let mut at = addr - symbols.locate(addr)?.offset;
        while at < addr {
            let next = at + u64::from(fetch(memory, isa, at)?.1);
            if next > addr {
                return Some(at);
            }
            at = next;
        }
        None
    }

    fn no_code(&self, loc: &Loc, addr: u64) -> Diagnostic {
        let symbols = self.world.symbols;
        let title = match &loc.place {
            Place::Addr(_) => format!("no guest code at {addr:#x}"),
            _ => format!("no guest code at {} ({addr:#x})", address_text(addr, symbols)),
        };
        let mapped = self.world.memory.perms(addr) & perm::MAPPED != 0;
        let label = if mapped { "this is data, not code" } else { "nothing executable is mapped here" };
        let diagnostic = Diagnostic::error("E0301", title).primary(loc.span, label);
        let modules = symbols.modules();
        let relative = |module: &Module| {
            let run_time = addr.wrapping_add(module.bias);
            !module.gone && module.position_independent && module.range.contains(&run_time) && self.is_code(run_time)
        };
        let at_file_address = modules.iter().position(relative);
        match (&loc.place, at_file_address) {
            (Place::Addr(number), Some(index)) => self.file_address(diagnostic, loc, *number, index, &modules[index]),
            _ => self.where_code_is(diagnostic),
        }
    }

    /// A number out of objdump's listing of a position-independent program.
    fn file_address(
        &self,
        diagnostic: Diagnostic,
        loc: &Loc,
        number: u64,
        index: usize,
        module: &Module,
    ) -> Diagnostic {
        let run_time = number.wrapping_add(module.bias);
        let sections = self.world.symbols.sections(index);
        let section = sections.iter().find(|(_, range)| range.contains(&run_time));
        let inside = section.map_or("its code".to_string(), |(name, _)| format!("its {name}"));
        let stem = stem(&module.name);
        let (name, bias) = (&module.name, module.bias);
        let symbol = match self.world.symbols.locate(run_time) {
            Some(_) => format!(" <{}>", address_text(run_time, self.world.symbols)),
            None => String::new(),
        };
        diagnostic
            .help(format!("`{name}` is position-independent and loaded at {bias:#x}; {number:#x} is inside {inside}"))
            .help(format!("write the file address as `{stem}:{number:#x}` (= {run_time:#x}{symbol})"))
            .fix(loc.span, format!("{stem}:{}", offset_text(number, loc.offset)))
    }

    fn where_code_is(&self, diagnostic: Diagnostic) -> Diagnostic {
        let modules = self.world.symbols.modules();
        let code = self.world.symbols.code(0);
        let line = modules.first().filter(|_| !code.is_empty()).map(|module| {
            let ranges: Vec<String> = code.iter().map(|code| format!("{:#x}..{:#x}", code.start, code.end)).collect();
            format!("the code of {} is at {}", module.name, ranges.join(", "))
        });
        diagnostic.help_if(line)
    }

    fn in_the_middle(&self, loc: &Loc, addr: u64, before: u64) -> Diagnostic {
        let World { memory, isa, symbols } = *self.world;
        let place = |addr| address_text(addr, symbols);
        let len = fetch(memory, isa, before).map_or(isa.insn_align(), |(_, len)| u64::from(len));
        let title = format!("{} is in the middle of an instruction", place(addr));
        let label = format!("{len}-byte instruction at {}", place(before));
        let mut diagnostic = Diagnostic::error("E0302", title).primary(loc.span, label);
        for at in [before, before + len] {
            if let Some((bits, len)) = fetch(memory, isa, at) {
                let bytes: Vec<String> =
                    bits.to_le_bytes()[..usize::from(len)].iter().map(|byte| format!("{byte:02x}")).collect();
                let text = isa.disassemble(bits, at);
                diagnostic = diagnostic.help(format!("{}:  {}   {text}", place(at), bytes.join(" ")));
            }
        }
        diagnostic.help(format!("use `{}` or `{}`", place(before), place(before + len))).fix(loc.span, place(before))
    }

    // ---- no match

    fn check_not_empty(&mut self, attachment: &Attachment) {
        if !matches!(self.probe.event, Event::Insn(_) | Event::Block | Event::Line | Event::Branch | Event::Return) {
            return;
        }
        if attachment.everywhere {
            // Libraries that are loaded later may have what is looked for.
            let alone = self.world.symbols.missing() == Missing::IsWrong && self.world.symbols.modules().len() == 1;
            if attachment.has_pattern() && alone && attachment.scan(self.world).next().is_none() {
                self.faults.push(self.no_match(attachment));
            }
        } else if attachment.scan(self.world).next().is_none() {
            self.faults.push(self.no_match(attachment));
        }
    }

    fn no_match(&self, attachment: &Attachment) -> Diagnostic {
        let count = |ranges: &[Range<u64>]| instructions(ranges.to_vec(), *self.world).take(1_000_000).count();
        let all = if attachment.everywhere { main_code(self.world) } else { attachment.ranges.clone() };
        let label = match (&attachment.matcher, count(&all)) {
            (_, 0) => "nothing is left of its places".to_string(),
            (Matcher::Glob(pattern), n) => format!("none of {n} matches \"{pattern}\""),
            (Matcher::Regex(regex), n) => format!("none of {n} matches /{}/", regex.as_str()),
            (Matcher::Returns, n) => format!("none of {n} is a return"),
            (Matcher::Branches, n) => format!("none of {n} is a branch"),
            (Matcher::Any, n) => format!("none of {n}"),
        };
        let mut diagnostic =
            Diagnostic::error("W0502", "this probe matches 0 instructions").primary(self.probe.head, label);
        for place in &attachment.places {
            diagnostic = diagnostic.secondary(place.span, plural(count(&place.ranges), "instruction"));
        }
        for region in &self.probe.except {
            diagnostic = diagnostic.secondary(region.span, "taken away");
        }
        diagnostic.help("to allow no match, add `optional`")
    }

    // ---- addresses in bodies

    fn addresses(&mut self, attachment: &mut Attachment) {
        let mut found = Locs::default();
        let probe = self.probe;
        for filter in &probe.filters {
            if let Filter::When(expr) = filter {
                found.expr(expr);
            }
        }
        found.block(&probe.body);
        for loc in found.targets {
            match self.one(loc).and_then(|addr| self.instruction(loc, addr)) {
                Ok(range) => drop(attachment.addresses.insert(loc.span, range.start)),
                Err(fault) => self.fault(fault, false),
            }
        }
        for loc in found.values {
            match self.one(loc) {
                Ok(addr) => drop(attachment.addresses.insert(loc.span, addr)),
                Err(fault) => self.fault(fault, false),
            }
        }
    }
}

/// The places that a body names.
#[derive(Default)]
struct Locs<'a> {
    /// Of `goto` and `until`: there must be an instruction.
    targets: Vec<&'a Loc>,
    /// `&name`: any address will do.
    values: Vec<&'a Loc>,
}

impl<'a> Locs<'a> {
    fn block(&mut self, stmts: &'a [Stmt]) {
        stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Write { target, value } | StmtKind::Bits { target, mask: value, .. } => {
                if let LValue::Memory { addr, .. } = target {
                    self.expr(addr);
                }
                self.expr(value);
            }
            StmtKind::Transient { patch, lasts } => {
                self.stmt(patch);
                self.lasting(lasts);
            }
            StmtKind::TraceFor(lasts) => self.lasting(lasts),
            StmtKind::Stick { target, mask, value, lasts } => {
                if let LValue::Memory { addr, .. } = target {
                    self.expr(addr);
                }
                mask.iter().chain([value]).for_each(|expr| self.expr(expr));
                lasts.iter().for_each(|lasts| self.lasting(lasts));
            }
            StmtKind::Goto(GotoTarget::Loc(loc)) => self.targets.push(loc),
            StmtKind::Goto(GotoTarget::Expr(expr)) | StmtKind::Skip(expr) | StmtKind::Warn(expr) => self.expr(expr),
            StmtKind::FinishSyscall(expr) | StmtKind::FinishAccess(Some(expr)) => self.expr(expr),
            StmtKind::Fail(expr) | StmtKind::Exit(expr) | StmtKind::SetLocal { value: expr, .. } => self.expr(expr),
            StmtKind::Return { result, .. } => result.iter().for_each(|(_, expr)| self.expr(expr)),
            StmtKind::Print(args) => {
                for arg in args {
                    if let PrintValue::Expr(expr) = &arg.value {
                        self.expr(expr);
                    }
                }
            }
            StmtKind::Dump { addr, len } => [addr, len].into_iter().for_each(|expr| self.expr(expr)),
            StmtKind::Aggregate { value, keys, .. } => keys.iter().chain(value).for_each(|expr| self.expr(expr)),
            StmtKind::SetState { keys, value, .. } => {
                keys.iter().chain(std::iter::once(value)).for_each(|expr| self.expr(expr));
            }
            StmtKind::For { body, .. } => self.block(body),
            StmtKind::If { cond, then, otherwise } => {
                self.expr(cond);
                self.block(then);
                self.block(otherwise);
            }
            StmtKind::Assert { cond, message, .. } => {
                std::iter::once(cond).chain(message).for_each(|expr| self.expr(expr));
            }
            StmtKind::Delete { keys, .. } => keys.iter().for_each(|expr| self.expr(expr)),
            StmtKind::Trace | StmtKind::Next | StmtKind::Raise(_) => {}
            StmtKind::FinishAccess(None) => {}
            StmtKind::Enable(_) | StmtKind::Disable(_) | StmtKind::Reset(_) => {}
        }
    }

    fn lasting(&mut self, lasts: &'a Lasting) {
        if let Lasting::Until(loc) = lasts {
            self.targets.push(loc);
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::AddrOf(loc) => self.values.push(loc),
            ExprKind::Interp(parts) => {
                for part in parts {
                    if let StrPart::Value(expr, _) = part {
                        self.expr(expr);
                    }
                }
            }
            ExprKind::Load { addr: a, .. } | ExprKind::Unary(_, a) | ExprKind::Cast(a) => self.expr(a),
            ExprKind::EnumName(a, _) => self.expr(a),
            ExprKind::MatchesGlob(a, _) | ExprKind::MatchesRegex(a, _) => self.expr(a),
            ExprKind::Binary(_, a, b) | ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Coalesce(a, b) => {
                [a, b].into_iter().for_each(|expr| self.expr(expr));
            }
            ExprKind::If(a, b, c) | ExprKind::WithinRange(a, b, c) => {
                [a, b, c].into_iter().for_each(|expr| self.expr(expr));
            }
            ExprKind::WithinSet(a, list) => {
                self.expr(a);
                list.iter().for_each(|expr| self.expr(expr));
            }
            ExprKind::Call(_, list) | ExprKind::State(_, list) => list.iter().for_each(|expr| self.expr(expr)),
            ExprKind::Int(_) | ExprKind::Int128(_) | ExprKind::Float(_) | ExprKind::Str(_) => {}
            ExprKind::Register(_) | ExprKind::Local(_) | ExprKind::Builtin(_) | ExprKind::Variable(_) => {}
        }
    }
}

// ---- instructions and ranges

/// Returns the instructions in `ranges`. What is not executable is passed over page by page.
fn instructions<'a>(ranges: Vec<Range<u64>>, world: World<'a>) -> impl Iterator<Item = Site> + use<'a> {
    let align = world.isa.insn_align();
    ranges.into_iter().flat_map(move |range| {
        let mut pc = range.start.next_multiple_of(align);
        std::iter::from_fn(move || {
            loop {
                if pc >= range.end {
                    return None;
                }
                let at = pc;
                let Some((bits, len)) = fetch(world.memory, world.isa, at) else {
                    pc = (at / PAGE + 1).saturating_mul(PAGE);
                    continue;
                };
                pc = at + u64::from(len);
                return Some(Site { pc: at, bits, len, facts: world.isa.facts(bits, at) });
            }
        })
    })
}

fn main_code(world: &World<'_>) -> Vec<Range<u64>> {
    merged(world.symbols.code(0))
}

fn all_code(world: &World<'_>) -> Vec<Range<u64>> {
    merged(world.symbols.in_order().into_iter().flat_map(|module| world.symbols.code(module)).collect())
}

/// Sorts ranges and joins those that touch; empty ones vanish.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut out: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

fn intersection(a: &[Range<u64>], b: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let both = x.start.max(y.start)..x.end.min(y.end);
        if !both.is_empty() {
            out.push(both);
        }
        if x.end < y.end { i += 1 } else { j += 1 }
    }
    out
}

fn difference(a: &[Range<u64>], b: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut gaps = Vec::with_capacity(b.len() + 1);
    let mut from = 0;
    for range in b {
        gaps.push(from..range.start);
        from = range.end;
    }
    gaps.push(from..u64::MAX);
    gaps.retain(|gap| !gap.is_empty());
    intersection(a, &gaps)
}

fn matcher(event: &Event) -> Matcher {
    match event {
        Event::Insn(InsnPattern::Glob(pattern)) => Matcher::Glob(pattern.to_lowercase()),
        Event::Insn(InsnPattern::Regex(pattern)) => {
            let regex = RegexBuilder::new(&pattern.text).case_insensitive(pattern.ignore_case).build();
            // The checker has compiled it once; what does not compile here matches nothing.
            regex.map_or_else(|_| Matcher::Glob("\0".to_string()), Matcher::Regex)
        }
        Event::Return => Matcher::Returns,
        Event::Branch => Matcher::Branches,
        Event::Call => Matcher::Any,
        Event::Insn(InsnPattern::Any) | Event::Block | Event::Line | Event::EveryInsns(_) => Matcher::Any,
        Event::Begin | Event::End | Event::Exit | Event::Spawn => Matcher::Any,
        Event::Syscall(_) | Event::Access(_) | Event::Signal(_) | Event::Trap(_) => Matcher::Any,
        Event::Load(_) | Event::Output(_) | Event::Mark(_) | Event::EveryTime(_) => Matcher::Any,
    }
}

// ---- words

/// `libc.so.6` is `libc`, `prog.elf` is `prog`.
fn stem(file: &str) -> &str {
    let end = file.find(".so").or_else(|| file.rfind('.').filter(|at| *at > 0));
    end.map_or(file, |end| &file[..end])
}

fn quoted_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn plural(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

fn offset_text(number: u64, offset: i64) -> String {
    match offset {
        0 => format!("{number:#x}"),
        n if n < 0 => format!("{number:#x}-{:#x}", n.unsigned_abs()),
        n => format!("{number:#x}+{n:#x}"),
    }
}

fn region_text(ranges: &[Range<u64>]) -> String {
    match ranges {
        [range] => format!("{:#x}..{:#x}", range.start, range.end),
        several => plural(several.len(), "region"),
    }
}

/// `parse_headr` becomes `parse_*`: up to the last separator, else the first half.
fn pattern_for(name: &str) -> String {
    let cut = name.rfind(['_', ':', '.']).map(|at| at + 1).filter(|at| *at < name.len());
    let cut = cut.unwrap_or_else(|| name.char_indices().nth(name.chars().count().div_ceil(2)).map_or(0, |(at, _)| at));
    format!("{}*", &name[..cut])
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::block::Lift;
    use crate::cpu::CpuState;
    use spile_lang::target::{Register, RegisterSlot, Target};
    use spile_lang::types::Type;

    /// `prog`, position-independent, with code at 0x1000..0x1200, and `libnet.so.1`.
    pub(crate) struct TestSymbols {
        pub(crate) modules: Vec<Module>,
        pub(crate) missing: Missing,
        /// Sorted by module.
        pub(crate) symbols: Vec<Symbol>,
    }

    impl TestSymbols {
        pub(crate) fn sample() -> TestSymbols {
            let module = |name: &str, bias, range: Range<u64>| Module {
                name: name.to_string(),
                bias,
                position_independent: true,
                range,
                ..Module::default()
            };
            let symbol = |module, name: &str, addr, size, function| Symbol {
                module,
                name: name.to_string(),
                addr,
                size,
                function,
                indirect: false,
                raw: None,
            };
            TestSymbols {
                modules: vec![module("prog", 0x800, 0x800..0x3000), module("libnet.so.1", 0x8000, 0x8000..0x9000)],
                missing: Missing::IsWrong,
                symbols: vec![
                    symbol(0, "main", 0x1000, 0x100, true),
                    symbol(0, "parse_header", 0x1100, 0x40, true),
                    symbol(0, "parse_line", 0x1140, 0x40, true),
                    symbol(0, "twice", 0x1180, 8, true),
                    symbol(0, "twice", 0x1190, 8, true),
                    symbol(0, "label", 0x11a0, 0, true),
                    symbol(0, "counter", 0x2000, 8, false),
                    symbol(1, "parse_hdr", 0x8000, 0x40, true),
                    symbol(1, "main", 0x8040, 0x40, true),
                    symbol(1, "parse_hdr_alias", 0x8000, 0x40, true),
                ],
            }
        }
    }

    impl Symbols for TestSymbols {
        fn modules(&self) -> Vec<Module> {
            self.modules.clone()
        }
        fn missing(&self) -> Missing {
            self.missing
        }
        fn symbols(&self, module: usize) -> &[Symbol] {
            let [from, to] = [module, module + 1].map(|at| self.symbols.partition_point(|symbol| symbol.module < at));
            &self.symbols[from..to]
        }
        fn code(&self, module: usize) -> Vec<Range<u64>> {
            vec![[0x1000..0x1200, 0x8000..0x8100][module].clone()]
        }
        fn sections(&self, module: usize) -> Vec<(String, Range<u64>)> {
            match module {
                0 => vec![(".text".to_string(), 0x1000..0x1200), (".data".to_string(), 0x2000..0x2100)],
                _ => Vec::new(),
            }
        }
        fn locate(&self, addr: u64) -> Option<Location> {
            let found = self.symbols.iter().find(|symbol| (symbol.addr..symbol.addr + symbol.size).contains(&addr))?;
            Some(Location { name: found.name.clone(), offset: addr - found.addr })
        }
    }

    /// Instructions of four bytes: the low byte says which, the next one is the operand.
    pub(crate) struct TestIsa;

    impl Target for TestIsa {
        fn arch(&self) -> &'static str {
            "test"
        }
        fn title(&self) -> &'static str {
            "Test"
        }
        fn register(&self, name: &str) -> Option<Register> {
            let slot = match name {
                "nzcv" => RegisterSlot::Flags,
                _ => match name.split_at_checked(1)? {
                    ("x", n) => RegisterSlot::Int(n.parse().ok()?),
                    ("v", n) => RegisterSlot::Vector(n.parse().ok()?),
                    _ => return None,
                },
            };
            let bits = if matches!(slot, RegisterSlot::Vector(_)) { 128 } else { 64 };
            let (name, ty) = (name.to_string(), Type::Word);
            Some(Register { name, slot, offset: 0, bits, ty, zero_extends: true, read_only: None })
        }
        fn lane(&self, _register: &str, _shape: &str, _index: u64) -> Option<Register> {
            None
        }
        fn register_names(&self) -> Vec<String> {
            Vec::new()
        }
        fn argument(&self, _n: u8) -> Option<Register> {
            None
        }
    }

    impl Isa for TestIsa {
        fn plt_slot(&self, _: u64, _: &[u8]) -> Option<u64> {
            None
        }
        fn insn_len(&self, _first: u16) -> u8 {
            4
        }
        fn insn_align(&self) -> u64 {
            4
        }
        fn lift(&self, _bits: u32, _lift: &mut Lift<'_>) {}
        fn disassemble(&self, bits: u32, pc: u64) -> String {
            self.facts(bits, pc).text
        }
        fn facts(&self, bits: u32, _pc: u64) -> InsnFacts {
            let mnemonic = ["nop", "mov", "bl", "ret"][bits as usize & 3].to_string();
            let text = if bits & 3 == 1 { format!("mov x0, #{}", bits >> 8 & 255) } else { mnemonic.clone() };
            InsnFacts { mnemonic, text, ..InsnFacts::default() }
        }
        fn register_in(&self, _slot: spile_lang::target::RegisterSlot) -> Option<Register> {
            None
        }

        fn read_system(&self, _cpu: &CpuState, _reg: u32, _ticks: u64) -> Option<u64> {
            None
        }
        fn write_system(&self, _cpu: &mut CpuState, _reg: u32, _value: u64) -> bool {
            false
        }
        fn shown_registers(&self) -> &'static [&'static str] {
            &["x0", "x1", "nzcv", "v0"]
        }
        fn elf_machine(&self) -> u16 {
            0
        }

        fn debug_register(&self, number: u16) -> Option<spile_lang::target::Register> {
            self.register(&format!("x{number}"))
        }

        fn frame_record(&self) -> crate::isa::FrameRecord {
            crate::isa::FrameRecord {
                sp: 31,
                link: 30,
                fp: 29,
                word: 8,
                saved_fp: 0,
                saved_link: 8,
                size: 16,
                leaf_fp: None,
            }
        }

        fn passed(&self, _: &[crate::isa::Parameter]) -> Vec<crate::isa::Passed> {
            Vec::new()
        }
    }

    /// Memory that fits [`TestSymbols`]: `nop`, `mov x0, #1`, and so on from 0x1000; data at 0x2000.
    pub(crate) fn memory() -> GuestMemory {
        let memory = GuestMemory::new(u64::MAX >> 8).unwrap();
        for code in [0x1000, 0x8000] {
            memory.map_anonymous(code, PAGE, perm::READ | perm::EXEC, false).unwrap();
        }
        memory.map_anonymous(0x2000, PAGE, perm::READ | perm::WRITE, false).unwrap();
        for n in 0..0x80u32 {
            let bits = n & 1 | (n & 0xff) << 8;
            memory.write_forced(0x1000 + 4 * u64::from(n), &bits.to_le_bytes()).unwrap();
        }
        memory
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "these tests compare lists of ranges, some with one range")]

    use super::testing::{TestIsa, TestSymbols, memory};
    use super::*;
    use spile_lang::render::{self, Style};
    use spile_lang::source::Sources;

    fn attached(script: &str) -> Result<Vec<Attachment>, String> {
        let sources = Sources::single("-e", script);
        let (program, diagnostics) = spile_lang::compile(&sources, &TestIsa);
        let style = Style { ascii: true, ..Style::default() };
        let program = program.unwrap_or_else(|| panic!("{}", render::render(&diagnostics, &sources, style)));
        let (symbols, memory) = (TestSymbols::sample(), memory());
        let world = World { symbols: &symbols, memory: &memory, isa: &TestIsa };
        attach(&program, 0, &world).map_err(|diagnostics| render::render(&diagnostics, &sources, style))
    }

    #[track_caller]
    fn ranges(script: &str, expected: &[Range<u64>]) {
        let attachments = attached(script).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(attachments[0].ranges, expected, "{script}");
    }

    #[test]
    fn places_become_ranges() {
        let all = 0..u64::MAX;
        ranges("on insn trace", std::slice::from_ref(&all));
        ranges("on insn at 0x1000 trace", &[0x1000..0x1004]);
        ranges("on insn at 0x1000, 0x1004, 0x1010 trace", &[0x1000..0x1008, 0x1010..0x1014]);
        ranges("on insn at main+0x10 trace", &[0x1010..0x1014]);
        ranges("on insn at prog:0x800 trace", &[0x1000..0x1004]);
        ranges("on insn at libnet:main trace", &[0x8040..0x8044]);
        ranges("on insn at \"parse_*\" trace", &[0x1100..0x1104, 0x1140..0x1144, 0x8000..0x8004]);
        ranges("on insn in main trace", &[0x1000..0x1100]);
        ranges("on insn in main, parse_line trace", &[0x1000..0x1100, 0x1140..0x1180]);
        ranges("on insn in \"parse_*\" trace", &[0x1100..0x1180, 0x8000..0x8040]);
        ranges("on insn in .text trace", &[0x1000..0x1200]);
        ranges("on insn in main..main+0x20 trace", &[0x1000..0x1020]);
        ranges("on insn in main..+0x20 trace", &[0x1000..0x1020]);
        ranges("on insn in label trace", &[0x11a0..0x1200]);
        ranges("on insn in .text except main trace", &[0x1100..0x1200]);
        ranges("on insn in main except main+0x10..+0x10 trace", &[0x1000..0x1010, 0x1020..0x1100]);
        ranges("on insn except main trace", &[0..0x1000, 0x1100..u64::MAX]);
        ranges("on insn at main+0x10, parse_line in main trace", &[0x1010..0x1014]);
        ranges("on insn at nowhere optional trace", &[]);
        ranges("on insn \"bl\" in main optional trace", &[0x1000..0x1100]);
    }

    #[test]
    fn looking_up_addresses() {
        let attachments = attached("on insn at main, parse_line trace").unwrap();
        let matches = |pc| attachments[0].matches(pc);
        assert_eq!([0xffc, 0x1000, 0x1004, 0x1140, 0x1144].map(matches), [false, true, false, true, false]);
        let touches = |range| attachments[0].touches(&range);
        assert!(touches(0xf00..0x1001) && touches(0x1000..0x1200) && touches(0x1143..0x1150));
        assert!(!touches(0xf00..0x1000) && !touches(0x1004..0x1140) && !touches(0x1144..u64::MAX));
    }

    #[test]
    fn goto_targets_and_addresses_of_names() {
        let attachments = attached("on insn at main { print &counter; goto parse_line+4 }").unwrap();
        let mut addresses: Vec<u64> = attachments[0].addresses.values().copied().collect();
        addresses.sort_unstable();
        assert_eq!(addresses, [0x1144, 0x2000]);
    }

    #[test]
    fn patterns_select_instructions() {
        let count = |script: &str| {
            let (symbols, memory) = (TestSymbols::sample(), memory());
            let world = World { symbols: &symbols, memory: &memory, isa: &TestIsa };
            attached(script).unwrap()[0].scan(&world).count()
        };
        assert_eq!(count("on insn in main trace"), 64);
        assert_eq!(count("on insn \"m*\" in main trace"), 32);
        assert_eq!(count("on insn /#1[0-9]$/ in main trace"), 5);
        assert_eq!(count("on insn \"nop\" trace"), 64);
    }

    /// The file holds scripts, each behind `--- `, and what they are told. `BLESS=1` writes it anew.
    #[test]
    fn errors_are_explained() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/probe/attach_errors.txt");
        let golden = std::fs::read_to_string(path).unwrap();
        let mut fresh = String::new();
        for script in golden.lines().filter_map(|line| line.strip_prefix("--- ")) {
            let error = attached(&script.replace("\\n", "\n")).map(|list| list.len()).unwrap_err();
            fresh.push_str(&format!("--- {script}\n{error}\n"));
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &fresh).unwrap();
        } else {
            assert_eq!(golden, fresh, "BLESS=1 accepts this");
        }
    }
}
