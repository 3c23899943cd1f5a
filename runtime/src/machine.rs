//! What the guest threads of a process share: memory, translations, probes, and how the run ends.
//!
//! Threads find blocks here and drop code through here; what a thread does with a block is the business of
//! [`crate::vm`]. Code is dropped in exclusive sections only ([`crate::gate`]): outside of them a block or a piece of
//! generated code that a thread has found stays good until the thread goes outside.

mod recall;
mod region;

use crate::background::{Next, Queue, Worker};
use crate::block::Block;
use crate::cache::{Cache, Entry};
use crate::cells::Cells;
use crate::cpu::{CpuState, poll};
use crate::env::{Environment, Status};
use crate::gate::{self, Gate, Member};
use crate::isa::Isa;
use crate::jit::{self, Code, Compiled, Compiler, Draft, FpMode, Gateway, Jit, Seen};
use crate::mem::{GuestMemory, PAGE, perm};
use crate::perf::PerfMap;
use crate::stats::{self, Cause, Counts, Made, Section, Standing};
use crate::store::{Record, Store};
use crate::translate::{translate, translate_replaced};
use crate::uop::{Uop, slot};
use crate::vm::{Config, Counting, End, ProbeEngine, Tier};
use hashbrown::HashMap;
use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Instructions that a thread takes of the limit of the run at a time.
const BUDGET_SLICE: u64 = 1 << 20;

/// Times that a block is interpreted before it gets quick code.
const QUICK: u32 = 2;

/// Times that a block is interpreted before its region is compiled, such as one with probes.
const HOT: u32 = 2000;

/// Times that a block is executed before its region is compiled if it has quick code.
const HOT_IF_QUICK: u32 = 8000;

/// Times that a block is interpreted before its region is worth compiling for later runs.
const WARM: u32 = 64;

/// Times within a short while that code that a region leaves out is gone on with before the region is compiled anew.
const OFTEN: u32 = 1000;

/// The same where everything is compiled at first sight.
const OFTEN_AT_ONCE: u32 = 16;

/// What the guest threads of a process share.
pub(crate) struct Machine {
    pub(crate) memory: Arc<GuestMemory>,
    pub(crate) isa: &'static dyn Isa,
    pub(crate) config: Config,
    /// The run-time cells of probes that all threads change.
    pub(crate) cells: Arc<Cells>,
    pub(crate) gate: Arc<Gate>,
    counting: Counting,
    probes: Option<Mutex<Box<dyn ProbeEngine>>>,
    translations: Mutex<Translations>,
    /// What earlier runs have compiled. It is locked while `translations` is, or alone.
    store: Mutex<Option<Store>>,
    /// See [`Machine::warm`].
    warm: AtomicU32,
    /// Goes up when generated code is dropped or another compiler is at work.
    epoch: AtomicU64,
    /// Goes up when all blocks are dropped at once.
    generation: AtomicU64,
    /// How many [`Translations::replaced`] are.
    replaced: AtomicUsize,
    /// What is left of the limit of the run.
    budget: AtomicU64,
    ending: Mutex<Option<Ending>>,
    is_ending: AtomicBool,
    /// When the guest began to run.
    begun: Instant,
    /// What threads that are over have counted.
    counts: Mutex<Counts>,
    perf_map: OnceLock<PerfMap>,
    /// Who writes what probes print.
    pub(crate) writer: Mutex<Worker>,
}

struct Translations {
    cache: Cache,
    jit: Option<Jit>,
    /// None while another thread compiles with it.
    compiler: Option<Compiler>,
    /// Blocks are compiled; a forked child makes `jit` and `compiler` anew when it first needs them.
    compiles: bool,
    queue: Queue,
    /// Other threads may run: generated code makes atomic steps where it needs them.
    parallel: bool,
    made: Made,
    /// Why blocks at these addresses have been dropped, as long as they have not been translated again; kept for
    /// statistics only.
    dropped: HashMap<u64, Cause>,
    /// Why all blocks have been dropped the last time, and in which generation blocks have been translated; the same.
    dropped_all: Cause,
    translated: HashMap<(u64, bool), u64>,
    /// What has been dropped at once and is to be freed.
    remains: Vec<Remains>,
    /// Where blocks begin that a region has taken from their quick code, since code has been dropped the last time.
    replaced: Vec<u64>,
}

/// Code that nobody finds any more: see [`Machine::clear_away`].
#[derive(Debug)]
pub(crate) struct Remains {
    blocks: Cache,
    code: Option<jit::Dropped>,
}

/// What is left of [`Remains`].
pub(crate) struct Rest {
    /// See [`Cache::executed`].
    executed: (u64, u64),
    room: Option<jit::Room>,
}

impl Remains {
    /// Frees it, which takes long and needs nothing else, but for what [`Machine::take_back`] wants.
    pub(crate) fn free(self) -> Rest {
        Rest { executed: self.blocks.executed(), room: self.code.map(jit::Dropped::into_room) }
    }
}

impl Translations {
    /// True if blocks or regions are on this page.
    fn has_code(&self, page: u64) -> bool {
        let in_regions = |jit: &Jit| !jit.blocks_in(&(page..page + PAGE)).is_empty();
        self.cache.has_page(page) || self.jit.as_ref().is_some_and(in_regions)
    }
}

/// A region on its way through the compiler.
pub(crate) struct Work {
    compiler: Compiler,
    draft: Draft,
    root: Arc<Entry>,
    mode: FpMode,
    /// All of its blocks, the root included.
    region: Vec<Arc<Entry>>,
    /// When it was begun: see [`Machine::generation`].
    generation: u64,
    /// How long the compiler was at it.
    took: Duration,
}

impl Work {
    /// Makes the code, which takes long and needs nothing else. `None` if that is not possible.
    pub(crate) fn compile(&mut self) -> Option<Code> {
        let begun = Instant::now();
        let code = self.compiler.compile(&self.draft);
        self.took = begun.elapsed();
        code
    }
}

/// How the run ends, and the CPU that ended it.
pub(crate) struct Ending {
    pub(crate) end: End,
    pub(crate) cpu: Box<CpuState>,
}

/// Locks, also after a panic of another holder: what is behind these locks is then no worse than before.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Machine {
    /// # Errors
    /// The host's error if there is no memory for generated code.
    pub(crate) fn new(
        isa: &'static dyn Isa,
        memory: Arc<GuestMemory>,
        probes: Option<Box<dyn ProbeEngine>>,
        config: Config,
    ) -> std::io::Result<Arc<Machine>> {
        let cells = probes.as_ref().map_or_else(Cells::none, |probes| probes.cells());
        let limited = config.count || config.max_insns.is_some();
        let counting = match &probes {
            _ if limited => Counting::Limited,
            Some(probes) => probes.counting(),
            None => Counting::Off,
        };
        let compiles = config.tier != Tier::Interp;
        let (jit, compiler) = if compiles { Some(Jit::new(&memory, &cells, counting)?) } else { None }.unzip();
        Ok(Arc::new(Machine {
            memory,
            isa,
            cells,
            gate: Arc::default(),
            counting,
            probes: probes.map(Mutex::new),
            translations: Mutex::new(Translations {
                cache: Cache::default(),
                jit,
                compiler,
                compiles,
                queue: Queue::default(),
                parallel: false,
                made: Made::default(),
                dropped: HashMap::new(),
                dropped_all: Cause::Probes,
                translated: HashMap::new(),
                remains: Vec::new(),
                replaced: Vec::new(),
            }),
            store: Mutex::default(),
            writer: Mutex::default(),
            warm: AtomicU32::new(u32::MAX),
            epoch: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            replaced: AtomicUsize::new(0),
            budget: AtomicU64::new(config.max_insns.unwrap_or(u64::MAX)),
            ending: Mutex::new(None),
            is_ending: AtomicBool::new(false),
            begun: Instant::now(),
            counts: Mutex::default(),
            perf_map: OnceLock::new(),
            config,
        }))
    }

    /// The probes, if there are any.
    pub(crate) fn probes(&self) -> Option<MutexGuard<'_, Box<dyn ProbeEngine>>> {
        self.probes.as_ref().map(lock)
    }

    fn translations(&self) -> MutexGuard<'_, Translations> {
        lock(&self.translations)
    }

    pub(crate) fn translated_blocks(&self) -> u64 {
        self.translations().made.blocks
    }

    /// Changes when code that a thread may know the address of has been dropped.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Says by [`Machine::replaced_since`] where quick code is no longer the best code; changes when there is more of it.
    pub(crate) fn replaced(&self) -> usize {
        self.replaced.load(Ordering::Acquire)
    }

    /// Where a region has taken the place of quick code since there were so many, in the same epoch. The quick code is
    /// still there.
    pub(crate) fn replaced_since(&self, before: usize, mut f: impl FnMut(u64)) {
        let translations = self.translations();
        translations.replaced.get(before..).into_iter().flatten().for_each(|&pc| f(pc));
    }

    /// Notes that code has been dropped that a thread may know the address of.
    fn begin_epoch(&self, translations: &mut Translations) {
        translations.replaced.clear();
        self.replaced.store(0, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Changes when blocks that a thread may have found have been dropped although they say that they are live.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The way into generated code, if there is any.
    pub(crate) fn gateway(&self) -> Option<Gateway> {
        self.translations().jit.as_ref().map(Jit::gateway)
    }

    /// Makes a text of the region at `pc`: Cranelift's IR, or host code if `assembly`.
    pub(crate) fn generated_code(&self, pc: u64, assembly: bool) -> String {
        let entry = self.entry(pc, true).0;
        let mut guard = self.translations();
        let Translations { jit: Some(jit), compiler: Some(compiler), .. } = &mut *guard else { return String::new() };
        let mut cpu = CpuState::default();
        self.isa.reset(&mut cpu);
        let mode = FpMode::of(cpu.x[usize::from(slot::FP_CONTROL)]);
        compiler.dump(&jit.draft(vec![entry], Seen::default(), mode), assembly)
    }

    /// Executions after which a block is compiled, if it has `quick` code or if it has none.
    pub(crate) fn hot(&self, quick: bool) -> u32 {
        match self.config.tier {
            Tier::Auto if quick => HOT_IF_QUICK,
            Tier::Auto => HOT,
            Tier::Interp | Tier::Quick => u32::MAX,
            Tier::Jit => 0,
        }
    }

    /// Executions after which quick code is made for a block.
    pub(crate) fn quick(&self) -> u32 {
        match self.config.tier {
            Tier::Auto => QUICK,
            Tier::Quick => 0,
            Tier::Interp | Tier::Jit => u32::MAX,
        }
    }

    /// Executions after which a block is compiled if there is time.
    pub(crate) fn warm(&self) -> u32 {
        self.warm.load(Ordering::Relaxed)
    }

    /// Times that what a region leaves out is gone on with before it is left out no more.
    pub(crate) fn often(&self) -> u32 {
        if self.config.tier == Tier::Jit { OFTEN_AT_ONCE } else { OFTEN }
    }

    // ---- blocks

    /// Finds or translates the block at `pc`. The flag says whether the thread may have been outside meanwhile: what it
    /// has found earlier is then to be looked for again.
    pub(crate) fn entry(&self, pc: u64, enters: bool) -> (Arc<Entry>, bool) {
        if let Some(entry) = self.translations().cache.find(pc, enters) {
            return (entry, false);
        }
        let find = || {
            let mut translations = self.translations();
            self.entry_in(&mut translations, pc, enters)
        };
        // A store of another thread may be between its look at the page's permissions and its bytes: it would not
        // notice that the page is translated now. Read-only pages have no such stores.
        if gate::has_others() && self.may_be_written(pc) { (gate::exclusive(find), true) } else { (find(), false) }
    }

    /// A block for one execution of the instruction at `pc` as `bits`, behind the probes that stand before it.
    pub(crate) fn replaced_entry(&self, pc: u64, bits: u32) -> Arc<Entry> {
        let mut block = None;
        if let Some(mut probes) = self.probes() {
            probes
                .splice(&mut |splice| block = Some(translate_replaced(self.isa, &self.memory, pc, bits, Some(splice))));
        }
        let block = block.unwrap_or_else(|| translate_replaced(self.isa, &self.memory, pc, bits, None));
        Arc::new(Entry::new(block))
    }

    /// True if translating a block at `pc` makes stores noticed that so far need no look.
    fn may_be_written(&self, pc: u64) -> bool {
        [pc, pc.wrapping_add(PAGE)].into_iter().any(|addr| {
            let bits = self.memory.perms(addr);
            bits & perm::EXEC != 0 && bits & perm::CODE == 0 && self.memory.is_written_unseen(addr, bits)
        })
    }

    fn entry_in(&self, translations: &mut Translations, pc: u64, enters: bool) -> Arc<Entry> {
        if let Some(entry) = translations.cache.find(pc, enters) {
            return entry;
        }
        let entry = self.translate(translations, pc, enters);
        if enters {
            self.recall(translations, &entry);
        }
        entry
    }

    /// Translates the block at `pc`, which has not been translated, without looking for code of it.
    fn translate(&self, translations: &mut Translations, pc: u64, enters: bool) -> Arc<Entry> {
        let mut block = None;
        match self.probes() {
            None => block = Some(translate(self.isa, &self.memory, pc, enters, None)),
            Some(mut probes) => probes.splice(&mut |splice| {
                block = Some(translate(self.isa, &self.memory, pc, enters, Some(splice)));
            }),
        }
        let block: Block = block.unwrap_or_default();
        if self.probes.is_some() && block.uops.iter().any(|uop| matches!(uop, Uop::Record { .. })) {
            self.cells.records().call();
        }
        if self.memory.perms(pc) != 0 {
            self.memory.mark_code(pc);
            if (block.end - 1) / PAGE != pc / PAGE && self.memory.perms(block.end - 1) != 0 {
                self.memory.mark_code(block.end - 1);
            }
        }
        let Translations { made, dropped, dropped_all, translated, .. } = translations;
        made.blocks += 1;
        made.insns += block.insns.len() as u64;
        made.uops += block.uops.len() as u64;
        let mut cause = dropped.remove(&pc);
        if self.config.stats {
            let now = self.generation();
            let before = translated.insert((pc, enters), now).filter(|&before| before != now);
            cause = cause.or(before.map(|_| *dropped_all));
        }
        if let Some(cause) = cause {
            made.again[cause as usize] += 1;
        }
        translations.cache.insert(block, enters)
    }

    /// Makes generated code for a block and those around it, here or on another thread. Returns its address, or 0 if
    /// there is none, or none yet.
    pub(crate) fn compile(self: &Arc<Self>, entry: &Arc<Entry>, mode: FpMode) {
        let mut guard = self.translations();
        let translations = &mut *guard;
        if translations.compiles && entry.is_live() && !entry.has_region(mode) {
            // A forked child has lost what it had.
            self.prepare(translations);
            self.recall(translations, entry);
            if entry.has_region(mode) {
                return;
            }
            let is_beside = self.config.tier == Tier::Auto && !self.config.compile_at_once;
            if is_beside && translations.queue.add(self, entry, mode) {
                return;
            }
            if let Some(mut work) = self.begin(translations, entry.clone(), mode) {
                let code = work.compile();
                let record = self.finish(translations, work, code);
                record.iter().for_each(|record| self.keep(record));
            }
        }
    }

    /// Makes quick code for a block, if it is one for which that is possible.
    pub(crate) fn quicken(&self, entry: &Arc<Entry>, mode: FpMode) {
        let mut guard = self.translations();
        let translations = &mut *guard;
        if !translations.compiles || !entry.is_live() || entry.code(mode) != 0 {
            return;
        }
        self.prepare(translations);
        let Some(jit) = &mut translations.jit else { return };
        if let Some(compiled) = jit.put_quick(entry, mode) {
            translations.made.quick += 1;
            translations.made.code += compiled.len as u64;
            if let Some(map) = self.perf_map.get() {
                map.add(compiled.code, jit.bytes(compiled.code, compiled.len), entry.block.pc);
            }
            entry.set_quick_code(mode, compiled.code);
        }
    }

    /// Has a block compiled for later runs if there is time.
    pub(crate) fn note_warm(self: &Arc<Self>, entry: &Arc<Entry>, mode: FpMode) {
        let mut guard = self.translations();
        let translations = &mut *guard;
        if translations.compiles {
            translations.queue.add_warm(self, entry, mode);
        }
    }

    /// Prepares for compiling what has been executed most of what waits for it. For a thread [`Gate::beside`] the guest's.
    pub(crate) fn begin_next(&self) -> Next<Work> {
        let translations = &mut *self.translations();
        if let Some(remains) = translations.remains.pop() {
            return Next::Free(Box::new(remains));
        }
        while !self.is_ending() {
            let (entry, mode) = match translations.queue.take() {
                Next::Now(next) => next,
                Next::In(time) => return Next::In(time),
                Next::Free(_) | Next::Nothing => break,
            };
            // Another region may have come to it meanwhile.
            if entry.is_live()
                && !entry.has_region(mode)
                && entry.is_hot(self.warm().min(self.hot(false)))
                && !entry.refuses_code()
                && let Some(work) = self.begin(translations, entry, mode)
            {
                return Next::Now(work);
            }
        }
        Next::Nothing
    }

    /// Puts in place what has been made of [`Machine::begin_next`].
    pub(crate) fn finish_next(&self, work: Work, code: Option<Code>) {
        let record = self.finish(&mut self.translations(), work, code);
        record.iter().for_each(|record| self.keep(record));
    }

    /// Makes room for generated code, if there is none.
    fn prepare(&self, translations: &mut Translations) {
        if translations.compiles && translations.jit.is_none() {
            (translations.jit, translations.compiler) = Jit::new(&self.memory, &self.cells, self.counting).ok().unzip();
            translations.compiles = translations.jit.is_some();
            if let Some(jit) = &mut translations.jit {
                jit.set_parallel(translations.parallel);
                self.map_fixed(jit);
            }
            self.begin_epoch(translations);
        }
    }

    /// Prepares for compiling. `None` if there is no compiler.
    fn begin(&self, translations: &mut Translations, root: Arc<Entry>, mode: FpMode) -> Option<Work> {
        self.prepare(translations);
        let compiler = translations.compiler.take()?;
        let (region, seen) = self.region(translations, root.block.pc);
        let draft = translations.jit.as_ref()?.draft(region.clone(), seen, mode);
        Some(Work { compiler, draft, root, mode, region, generation: self.generation(), took: Duration::ZERO })
    }

    /// Puts code in place, unless it was made of something that has been dropped meanwhile. Returns what is to be kept of
    /// it for later runs.
    fn finish(&self, translations: &mut Translations, work: Work, code: Option<Code>) -> Option<Record> {
        let Work { compiler, draft, root, mode, region, generation, took } = work;
        translations.compiler = Some(compiler);
        let made = &mut translations.made;
        made.compiling += took;
        made.regions += 1;
        made.region_blocks += region.len() as u64;
        made.region_insns += region.iter().map(|entry| entry.block.insns.len() as u64).sum::<u64>();
        let jit = translations.jit.as_mut()?;
        if generation != self.generation() || !region.iter().all(|entry| entry.is_live()) {
            made.wasted += 1;
            root.postpone_code(mode, self.hot(root.is_quick(mode)));
            return None;
        }
        let record = code.as_ref().and_then(|code| self.to_keep(&draft, &region, code));
        let Some(compiled) = code.and_then(|code| jit.install(draft, &code)) else {
            made.wasted += 1;
            root.refuse_code();
            return None;
        };
        self.place(translations, root.block.pc, mode, &compiled);
        for entry in region.iter().filter(|entry| !entry.has_region(mode)) {
            entry.postpone_code(mode, self.hot(entry.is_quick(mode)));
        }
        record
    }

    /// Has blocks at which a region is entered begin with its code.
    fn place(&self, translations: &mut Translations, root: u64, mode: FpMode, compiled: &Compiled) {
        translations.made.code += compiled.len as u64;
        if let (Some(map), Some(jit)) = (self.perf_map.get(), &translations.jit) {
            map.add(compiled.code, jit.bytes(compiled.code, compiled.len), root);
        }
        // A block that has code keeps it: a loop that another region has as a whole is not left for a part of it.
        for &pc in &compiled.entries {
            if let Some(entry) = translations.cache.find(pc, true)
                && !entry.has_region(mode)
            {
                let is_quick = entry.is_quick(mode);
                entry.set_code(mode, compiled.code);
                if let Some(jit) = translations.jit.as_mut().filter(|_| is_quick) {
                    jit.unlink(pc);
                    translations.replaced.push(pc);
                }
            }
        }
        self.replaced.store(translations.replaced.len(), Ordering::Release);
    }

    /// Makes the exit with chain slot `link` go on at the code of `pc`, if there is some, the next time it is taken.
    pub(crate) fn link(&self, link: usize, pc: u64, mode: FpMode) {
        let mut guard = self.translations();
        let translations = &mut *guard;
        let Some(entry) = translations.cache.find(pc, true) else { return };
        let code = entry.code(mode);
        if let Some(jit) = &mut translations.jit
            && code != 0
        {
            jit.link(link, pc, code);
        }
    }

    // ---- changes

    /// Drops the code that has been written, or in whose place something else has been mapped.
    pub(crate) fn drop_written_code(&self) {
        gate::exclusive(|| self.drop_written_code_now());
    }

    fn drop_written_code_now(&self) {
        let mut translations = self.translations();
        for page in self.memory.take_written_code() {
            self.drop_code(&mut translations, slice::from_ref(&(page..page + PAGE)), Cause::Written);
            let aliases = self.memory.aliases(page);
            if !aliases.iter().chain([&page]).any(|&page| translations.has_code(page)) {
                self.memory.unmark_code(page);
            }
        }
    }

    /// Drops the code that overlaps `range`.
    pub(crate) fn drop_range(&self, range: Range<u64>) {
        gate::exclusive(|| self.drop_code(&mut self.translations(), slice::from_ref(&range), Cause::Written));
    }

    /// Drops the code that changed probes concern, and code that has been written.
    pub(crate) fn apply_changes(&self) {
        gate::exclusive(|| self.apply_changes_now());
        self.clear_away();
    }

    /// As [`Machine::apply_changes`] in an exclusive section.
    pub(crate) fn apply_changes_now(&self) {
        self.memory.notice_stuck();
        self.drop_written_code_now();
        let changes = self.probes().map(|mut probes| probes.take_changes()).unwrap_or_default();
        self.drop_code(&mut self.translations(), &changes, Cause::Probes);
        // Threads look at `every` probes again behind an exclusive section.
    }

    /// Tells the probes that other files are mapped, and drops the code that this concerns. False if there is none.
    pub(crate) fn modules_changed(&self, environment: &dyn Environment) -> bool {
        let changed = self.probes().is_some_and(|mut probes| probes.modules_changed(&self.memory, environment));
        if changed {
            self.apply_changes();
        }
        changed
    }

    /// Drops the code that overlaps one of `ranges`.
    fn drop_code(&self, translations: &mut Translations, ranges: &[Range<u64>], cause: Cause) {
        if ranges.contains(&(0..u64::MAX)) {
            return self.drop_all(translations, cause);
        }
        let mut blocks = Vec::new();
        ranges.iter().for_each(|range| translations.cache.remove(range, &mut blocks));
        translations.made.dropped_blocks[cause as usize] += blocks.len() as u64;
        if self.config.stats {
            translations.dropped.extend(blocks.iter().map(|&pc| (pc, cause)));
        }
        // Blocks of regions that were compiled in an earlier run need not have been translated.
        if let Some(jit) = &translations.jit {
            ranges.iter().for_each(|range| blocks.extend(jit.blocks_in(range)));
        }
        self.drop_regions(translations, &blocks, cause);
    }

    /// Drops all code in a step that takes as long however much there is. Whoever does it sees to [`Machine::clear_away`].
    fn drop_all(&self, translations: &mut Translations, cause: Cause) {
        let blocks = translations.cache.take();
        let code = translations.jit.as_mut().map(Jit::drop_all);
        translations.queue.clear();
        translations.made.dropped_blocks[cause as usize] += blocks.len() as u64;
        translations.made.dropped_regions[cause as usize] += code.as_ref().map_or(0, jit::Dropped::regions) as u64;
        translations.dropped_all = cause;
        translations.remains.push(Remains { blocks, code });
        self.generation.fetch_add(1, Ordering::Release);
        self.begin_epoch(translations);
    }

    /// Sees to it that what has been dropped at once is freed, behind an exclusive section: by the thread that compiles if
    /// there is one.
    pub(crate) fn clear_away(&self) {
        let mut translations = self.translations();
        if translations.remains.is_empty() || translations.queue.wake() {
            return;
        }
        let remains = std::mem::take(&mut translations.remains);
        drop(translations);
        for mut rest in remains.into_iter().map(Remains::free) {
            while self.take_back(&mut rest) {}
        }
    }

    /// Takes back some of what dropped code has had. False if there is no more of it.
    pub(crate) fn take_back(&self, rest: &mut Rest) -> bool {
        let Translations { cache, jit, .. } = &mut *self.translations();
        cache.add_executed(std::mem::take(&mut rest.executed));
        // A forked child has no code of its parent's.
        jit.as_mut().zip(rest.room.as_mut()).is_some_and(|(jit, room)| jit.take_back(room))
    }

    /// Drops the regions with one of the blocks at these addresses.
    fn drop_regions(&self, translations: &mut Translations, blocks: &[u64], cause: Cause) {
        let Some(jit) = &mut translations.jit else { return };
        let before = jit.regions();
        let entries = jit.drop_blocks(blocks);
        translations.made.dropped_regions[cause as usize] += (before - jit.regions()) as u64;
        if entries.is_empty() {
            return;
        }
        for (pc, mode) in entries {
            if let Some(entry) = translations.cache.find(pc, true) {
                entry.forget_code(mode);
            }
        }
        self.begin_epoch(translations);
    }

    /// Drops the regions that leave out of the block at `pc` what is not seldom gone on with.
    pub(crate) fn warm_up(&self, pc: u64) {
        gate::exclusive(|| {
            let mut translations = self.translations();
            let Some(jit) = &translations.jit else { return };
            for pc in jit.companions(pc) {
                if let Some(entry) = translations.cache.find(pc, true) {
                    entry.warm_up(self.often());
                }
            }
            self.drop_regions(&mut translations, &[pc], Cause::Warm);
        });
    }

    /// Prepares for a second thread: code that was made for a single one is dropped. False if that was done before.
    pub(crate) fn become_parallel(&self) -> bool {
        if self.translations().parallel {
            return false;
        }
        gate::exclusive(|| {
            let mut translations = self.translations();
            translations.parallel = true;
            if let Some(jit) = &mut translations.jit {
                jit.set_parallel(true);
            }
            self.drop_all(&mut translations, Cause::Threads);
        });
        self.clear_away();
        true
    }

    /// In a forked child: generated code is in memory that it shares with its parent, which goes on writing there.
    pub(crate) fn forked(&self) {
        let mut translations = self.translations();
        (translations.jit, translations.compiler) = (None, None);
        // Its threads are the parent's.
        translations.queue = Queue::default();
        self.forget_writer();
        translations.cache.forget_code();
        translations.remains.clear();
        (translations.made, translations.dropped, translations.translated) = Default::default();
        *lock(&self.counts) = Counts::default();
        if let Some(store) = &mut *lock(&self.store) {
            store.forked();
            self.warm.store(u32::MAX, Ordering::Relaxed);
        }
        if let Some(map) = self.perf_map.get() {
            map.fork();
        }
        self.begin_epoch(&mut translations);
    }

    // ---- statistics

    /// Enters generated code into a map from now on, and what is there already.
    pub(crate) fn set_perf_map(&self, map: PerfMap) {
        let _ = self.perf_map.set(map);
        if let Some(jit) = &self.translations().jit {
            self.map_fixed(jit);
        }
    }

    fn map_fixed(&self, jit: &Jit) {
        if let Some(map) = self.perf_map.get() {
            for (code, name) in jit.fixed() {
                map.add_own(code.start, jit.bytes(code.start, code.len()), name);
            }
        }
    }

    /// The guest executes nothing more.
    pub(crate) fn close_perf_map(&self) {
        self.perf_map.get().into_iter().for_each(PerfMap::close);
    }

    /// The guest has other code mapped now.
    pub(crate) fn code_mapped(&self, environment: &dyn Environment) {
        if let Some(map) = self.perf_map.get() {
            map.map(&environment.mapped_code());
        }
    }

    /// Adds what a thread has counted by its end.
    pub(crate) fn add_counts(&self, counts: &Counts) {
        lock(&self.counts).add(counts);
    }

    pub(crate) fn stats(&self) -> Vec<Section> {
        let translations = self.translations();
        let jit = translations.jit.as_ref();
        let mut executed = translations.cache.executed();
        for (executions, insns) in translations.remains.iter().map(|remains| remains.blocks.executed()) {
            executed.0 += executions;
            executed.1 += insns;
        }
        let standing = Standing {
            elapsed: self.begun.elapsed(),
            live_blocks: translations.cache.len() as u64,
            records: self.cells.records().count(),
            executed,
            live_regions: jit.map_or(0, Jit::regions) as u64,
            compiled_blocks: jit.map_or(0, Jit::blocks) as u64,
            live_code: jit.map_or(0, Jit::code_bytes) as u64,
            peak: crate::linux::peak_memory(),
        };
        stats::report(&lock(&self.counts), &translations.made, &standing)
    }

    // ---- the end

    /// Takes instructions of the limit of the run: so many may be executed, 0 if it is used up.
    pub(crate) fn take_budget(&self) -> u64 {
        if self.config.max_insns.is_none() {
            return u64::MAX;
        }
        let mut taken = 0;
        let take = |left: u64| {
            taken = left.min(BUDGET_SLICE);
            Some(left - taken)
        };
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken
    }

    /// Gives back what a thread has not used.
    pub(crate) fn return_budget(&self, unused: u64) {
        if self.config.max_insns.is_some() {
            self.budget.fetch_add(unused, Ordering::Relaxed);
        }
    }

    /// True once the run is to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// Ends the run, unless that has been done already: asks all threads to leave, those in the host kernel too.
    pub(crate) fn end(&self, own: &Arc<Member>, environment: &dyn Environment, end: End, cpu: Box<CpuState>) {
        {
            let mut ending = lock(&self.ending);
            if ending.is_some() {
                return;
            }
            *ending = Some(Ending { end, cpu });
            self.is_ending.store(true, Ordering::Release);
        }
        self.gate.ask_all(poll::STOP);
        for id in self.gate.others(own) {
            environment.interrupt(id);
        }
    }

    /// Returns how the run ended.
    pub(crate) fn take_ending(&self) -> Option<Ending> {
        lock(&self.ending).take()
    }

    /// Ends the process of a child that a thread other than the first has forked.
    pub(crate) fn exit_process(&self, end: End) -> ! {
        let status = end.status();
        let status = self.probes().map_or(status, |mut probes| probes.child_status(status, &self.memory));
        if let End::Guest(Status::Signaled(signal)) = end {
            crate::linux::die_of_signal(signal);
        }
        crate::linux::end_process(status)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.translations().queue.wake();
        lock(&self.writer).there().into_iter().for_each(Thread::unpark);
    }
}
