//! The compiling tier: regions of blocks as one Cranelift function each.
//!
//! A region is a set of blocks that direct branches connect. Inside it guest registers are SSA values; they are stored
//! to the CPU state only where control leaves. Regions are chained through data slots that hold code addresses: code
//! bytes are never patched. What is rare or slow leaves the region in front of the instruction concerned, with exact
//! state, and the interpreter executes it ([`resume::BODY`](crate::cpu::resume::BODY)).
//!
//! This module drafts, keeps and drops regions; [`compiler`] makes host code of them, for which [`lower`] turns micro-ops
//! into Cranelift's IR.

mod code;
pub(crate) mod cold;
mod compiler;
mod counters;
mod direct;
mod float;
mod flow;
mod gathered;
mod half;
mod helpers;
mod keyed;
mod known;
mod lower;
mod numbers;
mod quick;
mod record;
mod relocate;
mod saturating;
mod values;
mod vector;
mod words;

use crate::block::Block;
use crate::cache::Entry;
use crate::cells::{Cells, Counters};
use crate::cpu::CpuState;
use crate::interp::Context;
use crate::mem::GuestMemory;
use crate::translate::{MAX_BYTES, successors};
use crate::uop::{JumpHint, Uop};
use crate::vector::control;
use crate::vm::Counting;
pub(crate) use code::map_marker;
use code::{Arena, Piece};
pub use compiler::Compiler;
use compiler::Fixed;
use hashbrown::{HashMap, HashSet};
pub use relocate::{Address, Code, Place};
use smallvec::SmallVec;
use std::any::Any;
use std::collections::{BTreeMap, btree_map};
use std::mem::take;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most blocks in a region.
pub const MAX_REGION_BLOCKS: usize = 64;
/// Most places that a return looks for inside its region.
const MAX_RETURNS: usize = 4;
/// Most guest instructions in a region.
pub const MAX_REGION_INSNS: usize = 800;
/// The bits of [`FP_CONTROL`](crate::uop::slot::FP_CONTROL) that make floating point differ from the host's: default
/// NaN, flush to zero, rounding mode, flush to zero in half precision, alternative half precision.
///
/// [`control::CANONICAL`] is not among them: it never changes, and has code of its own.
pub const CONTROL_MODE: u64 = control::ROUNDING | 1 << 26 | 1 << 25 | 1 << 24 | 3 << 22 | 1 << 19;
/// Places of dropped code that are made free at a time: others wait meanwhile.
const TAKEN_BACK: usize = 128;
/// Log2 of the number of entries in the indirect-branch cache.
const JUMP_CACHE_BITS: u32 = 12;

/// Marks a place of the cache where nothing is.
const EMPTY: u64 = u64::MAX;

/// What generated code takes for granted of a thread's floating-point control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FpMode {
    /// It behaves as the host's: operations are native.
    Native,
    /// The same with the rules of [`control::CANONICAL`], and with registers of 64 bits.
    Canonical,
    /// It may not: the reference functions do them.
    Reference,
}

impl FpMode {
    /// All modes, in order.
    pub const ALL: [FpMode; 3] = [FpMode::Native, FpMode::Canonical, FpMode::Reference];

    /// Number of modes that a guest can be in.
    pub const PLACES: usize = 2;

    /// Where the code for this mode is, among that for all modes of a guest: of the native ones it has the same always.
    pub fn place(self) -> usize {
        usize::from(self == FpMode::Reference)
    }

    /// The mode for a value of [`FP_CONTROL`](crate::uop::slot::FP_CONTROL).
    pub fn of(control: u64) -> FpMode {
        match (control & CONTROL_MODE, control & control::CANONICAL) {
            (0, 0) => FpMode::Native,
            (0, _) => FpMode::Canonical,
            _ => FpMode::Reference,
        }
    }
}

/// What has been seen of blocks so far, by their addresses.
#[derive(Debug, Default)]
pub struct Seen {
    /// Where their indirect jumps have led.
    pub targets: HashMap<u64, Vec<u64>>,
    /// The micro-ops at which code of probes that was left out has been gone on with often.
    pub warm: HashMap<u64, Vec<u32>>,
    /// Blocks of the region that are entered from outside.
    pub entered: Vec<u64>,
}

impl Seen {
    /// Adds where returns go on inside the region: behind the calls of it whose functions are in it as well.
    fn add_returns(&mut self, blocks: &[Arc<Entry>]) {
        let index_of: HashMap<u64, usize> = blocks.iter().enumerate().map(|(index, block)| (block.pc, index)).collect();
        for call in blocks {
            let Some(target) = call_target(call) else { continue };
            if !index_of.contains_key(&call.end) {
                continue;
            }
            // The function's blocks, as far as they are here; what it calls comes back by itself.
            let mut known: HashSet<u64> = HashSet::from_iter([target]);
            let mut waiting = vec![target];
            while let Some(pc) = waiting.pop() {
                let Some(block) = index_of.get(&pc).map(|&index| &blocks[index]) else { continue };
                if !is_return(block) {
                    let next = region_successors(block).chain(self.targets.get(&pc).into_iter().flatten().copied());
                    waiting.extend(next.filter(|&next| known.insert(next)));
                    continue;
                }
                let targets = self.targets.entry(pc).or_default();
                if targets.len() < MAX_RETURNS && !targets.contains(&call.end) {
                    targets.push(call.end);
                }
            }
        }
    }

    /// Lists for each of `blocks` which of them it goes on with.
    fn edges(&self, blocks: &[Arc<Entry>], index_of: &HashMap<u64, usize>) -> Vec<Vec<usize>> {
        let next = |block: &Arc<Entry>| {
            let observed = self.targets.get(&block.pc).into_iter().flatten().copied();
            let next = successors(block).into_iter().flatten().chain(observed);
            next.filter_map(|next| index_of.get(&next).copied()).collect()
        };
        blocks.iter().map(next).collect()
    }
}

/// A region that is to be compiled.
#[derive(Debug)]
pub struct Draft {
    /// The first is the root.
    blocks: Vec<Arc<Entry>>,
    seen: Seen,
    mode: FpMode,
    /// The addresses of blocks at which it may be entered.
    entries: Vec<u64>,
    /// Other threads may run it at the same time.
    parallel: bool,
}

impl Draft {
    /// What the region is made of.
    pub fn shape(&self) -> Shape {
        let blocks = self.blocks.iter().map(|block| block.pc..block.end).collect();
        Shape { blocks, entries: self.entries.clone(), mode: self.mode, parallel: self.parallel }
    }
}

/// What a region is made of, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Where its blocks are. The first is the root.
    pub blocks: Vec<Range<u64>>,
    /// The addresses of blocks at which it may be entered.
    pub entries: Vec<u64>,
    /// The floating-point control that it is for.
    pub mode: FpMode,
    /// Other threads may run it at the same time.
    pub parallel: bool,
}

/// A compiled region.
#[derive(Debug)]
pub struct Compiled {
    /// Where it is entered.
    pub code: usize,
    /// Bytes of host code.
    pub len: usize,
    /// The guest addresses at which it may be entered.
    pub entries: Vec<u64>,
}

#[derive(Debug)]
struct Region {
    piece: Piece,
    shape: Shape,
    /// Generated code refers to their micro-ops.
    _kept: Vec<Arc<Entry>>,
    /// Where each chained exit goes on.
    slots: Box<[AtomicUsize]>,
    /// The addresses to which slots have been linked.
    linked: Vec<u64>,
}

/// Code of a single block, as [`quick`] makes it. There are many: it keeps no list of where its slots have been linked.
#[derive(Debug)]
struct Quick {
    piece: Piece,
    /// The first of its two chain slots.
    slots: usize,
    /// Generated code refers to its micro-ops and its count.
    _kept: Arc<Entry>,
}

/// The regions that contain a block.
#[derive(Debug, Default)]
struct Holders {
    /// Where the block ends.
    end: u64,
    regions: Vec<u32>,
}

/// What [`Jit::drop_all`] has dropped. Nobody finds it any more.
#[derive(Debug)]
pub struct Dropped {
    regions: HashMap<u32, Region>,
    quick: [HashMap<u64, Quick>; FpMode::PLACES],
    /// What led to it. To free that takes as long.
    _ways: Box<dyn Any + Send>,
}

impl Dropped {
    /// Number of regions in it.
    pub fn regions(&self) -> usize {
        self.regions.len()
    }

    /// Frees it, but for what the compiling tier gets back: see [`Jit::take_back`].
    pub fn into_room(self) -> Room {
        let regions = self.regions.into_values().map(|region| (region.piece, None));
        let quick = self.quick.into_iter().flat_map(HashMap::into_values).map(|quick| (quick.piece, Some(quick.slots)));
        let mut places: Vec<(Piece, Option<usize>)> = regions.chain(quick).collect();
        // Neighbours join as soon as they are free.
        places.sort_unstable_by_key(|(piece, _)| *piece);
        Room(places)
    }
}

/// Places of generated code that is no more, some with chain slots.
#[derive(Debug)]
pub struct Room(Vec<(Piece, Option<usize>)>);

/// The way into generated code, which a thread may use as long as the compiler lives.
#[derive(Clone, Copy, Debug)]
pub struct Gateway {
    trampoline: usize,
    resolver: usize,
    preserving: usize,
    memory: usize,
}

/// How generated code was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// To do something that it cannot do, or because it was asked to.
    Slow,
    /// Through this chain slot, which leads nowhere yet.
    Branch(usize),
    /// By an indirect branch to an address that the thread's cache does not know.
    Indirect(JumpHint),
}

impl Left {
    /// What indirect branches leave in [`CodeLinks::link`](crate::cpu::CodeLinks): no address of a chain slot.
    fn link_of(hint: JumpHint) -> usize {
        hint as usize + 1
    }

    fn of(link: usize) -> Left {
        let indirect = || JumpHint::ALL.iter().copied().find(|&hint| Left::link_of(hint) == link);
        match link {
            0 => Left::Slow,
            _ => indirect().map_or(Left::Branch(link), Left::Indirect),
        }
    }
}

/// A thread's indirect-branch cache: where generated code finds the code of an address.
#[derive(Debug)]
pub struct JumpCache {
    entries: Box<[(u64, usize)]>,
}

impl Default for JumpCache {
    fn default() -> Self {
        JumpCache { entries: vec![(EMPTY, 0); 1 << JUMP_CACHE_BITS].into() }
    }
}

impl JumpCache {
    /// Empties it. A guest may branch to the address that marks empty entries, too: it then finds the resolver.
    pub fn clear(&mut self, gateway: &Gateway) {
        self.entries.fill((EMPTY, gateway.resolver));
    }

    /// Forgets the code of `pc`.
    pub fn forget(&mut self, pc: u64, gateway: &Gateway) {
        let place = jump_cache_index(pc);
        for place in [place, place ^ 1] {
            if self.entries[place].0 == pc {
                self.entries[place] = (EMPTY, gateway.resolver);
            }
        }
    }

    /// Remembers the code of `pc`. What was in its place goes to the neighbouring one, where generated code looks next:
    /// two addresses that share a place are both found.
    pub fn keep(&mut self, pc: u64, code: usize) {
        let place = jump_cache_index(pc);
        // An empty place would drive out what the neighbouring one has, and be driven out by it in turn.
        if self.entries[place].0 != pc && self.entries[place].0 != EMPTY {
            self.entries[place ^ 1] = self.entries[place];
        }
        self.entries[place] = (pc, code);
    }
}

impl Gateway {
    /// Runs generated code from `cpu.pc` until it leaves.
    pub fn enter(
        &self,
        code: usize,
        cpu: &mut CpuState,
        counters: &Counters,
        cache: &mut JumpCache,
        ctx: &mut Context<'_>,
    ) -> Left {
        helpers::install(&mut cpu.links);
        cpu.links.link = 0;
        cpu.links.resolver = self.resolver;
        cpu.links.preserving = self.preserving;
        cpu.links.counters = counters.address();
        cpu.links.ring = counters.ring().address();
        cpu.links.jump_cache = cache.entries.as_mut_ptr() as usize;
        cpu.links.context = helpers::erase(ctx);
        code::enter_region(self.trampoline, cpu, self.memory, code);
        numbers::settle(cpu);
        Left::of(cpu.links.link)
    }
}

/// What has been compiled.
pub struct Jit {
    regions: HashMap<u32, Region>,
    next_region: u32,
    /// By the address of a block.
    by_block: BTreeMap<u64, Holders>,
    /// Code by the address at which it is entered. Blocks there need not have been translated.
    by_entry: HashMap<(u64, FpMode), (u32, usize)>,
    /// Chain slots that lead to an address.
    chained: HashMap<u64, SmallVec<[usize; 2]>>,
    /// By the address of a block, for each [`FpMode::place`].
    quick: [HashMap<u64, Quick>; FpMode::PLACES],
    quick_compiler: quick::Compiler,
    quick_slots: quick::Slots,
    /// Regions by the address of their first chain slot.
    by_slots: BTreeMap<usize, u32>,
    gateway: Gateway,
    /// Where the code is that is there before any region, and what it is called.
    fixed: Vec<(Range<usize>, &'static str)>,
    parallel: bool,
    arena: Arena,
}

/// Lists where a region goes on from a block: its direct successors and, behind a call, the return address, at which
/// the region is entered again.
pub fn region_successors(block: &Block) -> impl Iterator<Item = u64> {
    let next = if is_call(block) { [Some(block.end), None] } else { successors(block) };
    next.into_iter().flatten()
}

/// True if a block ends by calling something.
fn is_call(block: &Block) -> bool {
    matches!(
        block.uops.last(),
        Some(Uop::Jump { hint: JumpHint::Call, .. } | Uop::JumpInd { hint: JumpHint::Call, .. })
    )
}

/// What a block calls, if its address is known.
pub fn call_target(block: &Block) -> Option<u64> {
    match block.uops.last() {
        Some(&Uop::Jump { hint: JumpHint::Call, target }) => Some(target),
        _ => None,
    }
}

/// True if a block ends by a return.
pub fn is_return(block: &Block) -> bool {
    matches!(block.uops.last(), Some(Uop::JumpInd { hint: JumpHint::Return, .. }))
}

impl Jit {
    /// Prepares generated code, and the compiler for the host CPU. `counting` says what generated code
    /// does with the instruction count.
    ///
    /// # Errors
    /// The host's error if there is no executable memory, or Cranelift's if it does not support this CPU.
    pub fn new(memory: &GuestMemory, cells: &Arc<Cells>, counting: Counting) -> std::io::Result<(Self, Compiler)> {
        let mut compiler = Compiler::new(cells, counting)?;
        let mut arena = Arena::new()?;
        let mut fixed = Vec::new();
        let mut emit = |which, name| {
            let code = compiler.fixed(which)?;
            let piece = arena.add(&code).ok_or(std::io::ErrorKind::OutOfMemory)?;
            let address = arena.address(piece);
            fixed.push((address..address + code.len(), name));
            std::io::Result::Ok(address)
        };
        let gateway = Gateway {
            trampoline: emit(Fixed::Trampoline, "trampoline")?,
            resolver: emit(Fixed::Resolver, "resolver")?,
            preserving: emit(Fixed::Preserving, "helper call")?,
            memory: memory.host_base(),
        };
        let jit = Jit {
            regions: HashMap::new(),
            next_region: 0,
            by_block: BTreeMap::new(),
            by_entry: HashMap::new(),
            chained: HashMap::new(),
            quick: Default::default(),
            quick_compiler: quick::Compiler::new(cells, counting),
            quick_slots: quick::Slots::default(),
            by_slots: BTreeMap::new(),
            gateway,
            fixed,
            parallel: false,
            arena,
        };
        Ok((jit, compiler))
    }

    /// The way into generated code.
    pub fn gateway(&self) -> Gateway {
        self.gateway
    }

    /// Says whether other threads may run the code that is compiled from now on at the same time.
    pub fn set_parallel(&mut self, parallel: bool) {
        self.parallel = parallel;
    }

    /// Prepares `blocks`, of which the first is the root, for being compiled for threads in `mode`.
    pub fn draft(&self, blocks: Vec<Arc<Entry>>, mut seen: Seen, mode: FpMode) -> Draft {
        seen.add_returns(&blocks);
        let present: HashSet<u64> = blocks.iter().map(|block| block.pc).collect();
        let mut entries: Vec<u64> = blocks.first().map(|block| block.pc).into_iter().collect();
        for block in &blocks {
            if is_call(block) && present.contains(&block.end) && !entries.contains(&block.end) {
                entries.push(block.end);
            }
        }
        for &pc in &seen.entered {
            if present.contains(&pc) && !entries.contains(&pc) {
                entries.push(pc);
            }
        }
        Draft { blocks, seen, mode, entries, parallel: self.parallel }
    }

    /// Makes `code` what runs in place of a region's blocks, all of which must still be what is in memory. `None` if
    /// there is no room, or if the code is for a single thread and there are others now.
    pub fn install(&mut self, draft: Draft, code: &Code) -> Option<Compiled> {
        let shape = draft.shape();
        self.put(shape, draft.blocks.into_iter().enumerate().collect(), code)
    }

    /// As [`Jit::install`] for blocks that need not have been translated, but for those whose micro-ops `code` refers to:
    /// these are in `kept`, by their indices.
    pub fn put(&mut self, shape: Shape, kept: HashMap<usize, Arc<Entry>>, code: &Code) -> Option<Compiled> {
        if shape.parallel != self.parallel {
            return None;
        }
        // Two chain slots for each block, all of which lead to the resolver.
        let slots: Box<[AtomicUsize]> =
            (0..2 * shape.blocks.len()).map(|_| AtomicUsize::new(self.gateway.resolver)).collect();
        let bytes = code.placed(|address| match address {
            Address::Function(distance) => Some(Address::function(distance)),
            Address::Slot(index) => slots.get(index as usize).map(|slot| std::ptr::from_ref(slot) as usize),
            Address::Uop { block, uop } => {
                let uop = kept.get(&(block as usize))?.uops.get(uop as usize)?;
                Some(std::ptr::from_ref(uop) as usize)
            }
        })?;
        let piece = self.arena.add(&bytes)?;
        let id = self.next_region;
        self.next_region += 1;
        for block in &shape.blocks {
            let holders = self.by_block.entry(block.start).or_default();
            holders.end = holders.end.max(block.end);
            holders.regions.push(id);
        }
        let (code, len) = (self.arena.address(piece), bytes.len());
        for &pc in &shape.entries {
            self.by_entry.entry((pc, shape.mode)).or_insert((id, code));
        }
        self.by_slots.insert(slots.as_ptr() as usize, id);
        let entries = shape.entries.clone();
        let kept = kept.into_values().collect();
        self.regions.insert(id, Region { piece, shape, _kept: kept, slots, linked: Vec::new() });
        Some(Compiled { code, len, entries })
    }

    /// Makes code for a block by itself, at once, and has it run in its place. `None` if that is not possible.
    pub fn put_quick(&mut self, entry: &Arc<Entry>, mode: FpMode) -> Option<Compiled> {
        let pc = entry.block.pc;
        if self.quick[mode.place()].contains_key(&pc) {
            return None;
        }
        let code = self.quick_compiler.compile(entry)?;
        let slots = self.quick_slots.take(self.gateway.resolver);
        let bytes = code.placed(|address| match address {
            Address::Function(distance) => Some(Address::function(distance)),
            Address::Slot(index) => Some(slots + index as usize * size_of::<AtomicUsize>()),
            Address::Uop { uop, .. } => Some(std::ptr::from_ref(entry.uops.get(uop as usize)?) as usize),
        });
        let Some((bytes, piece)) = bytes.and_then(|bytes| self.arena.add(&bytes).map(|piece| (bytes, piece))) else {
            self.quick_slots.give(slots);
            return None;
        };
        self.quick[mode.place()].insert(pc, Quick { piece, slots, _kept: entry.clone() });
        Some(Compiled { code: self.arena.address(piece), len: bytes.len(), entries: Vec::new() })
    }

    /// The code of a region that is entered at `pc`, or 0 if there is none.
    pub fn code_at(&self, pc: u64, mode: FpMode) -> usize {
        self.by_entry.get(&(pc, mode)).map_or(0, |&(_, code)| code)
    }

    /// Lists the addresses of blocks of regions that overlap `range`.
    pub fn blocks_in(&self, range: &Range<u64>) -> Vec<u64> {
        let from = range.start.saturating_sub(MAX_BYTES);
        let near = self.by_block.range(from..range.end.max(from));
        near.filter(|(_, holders)| holders.end > range.start).map(|(&pc, _)| pc).collect()
    }

    /// The bytes of generated code at `address`.
    pub fn bytes(&self, address: usize, len: usize) -> &[u8] {
        self.arena.bytes(address, len)
    }

    /// The code that is there before any region, with what it is called.
    pub fn fixed(&self) -> &[(Range<usize>, &'static str)] {
        &self.fixed
    }

    /// Number of regions that are in place.
    pub fn regions(&self) -> usize {
        self.regions.len()
    }

    /// True if a region contains the block at `pc`.
    pub fn has_block(&self, pc: u64) -> bool {
        self.by_block.contains_key(&pc)
    }

    /// Number of blocks that are in one of them at least.
    pub fn blocks(&self) -> usize {
        self.by_block.len()
    }

    /// Bytes of host code that is in place.
    pub fn code_bytes(&self) -> usize {
        self.arena.used()
    }

    /// Makes the exit with chain slot `link` go on at `code` the next time: it leads to `pc`.
    pub fn link(&mut self, link: usize, pc: u64, code: usize) {
        let Some(slot) = self.slot(link) else { return };
        slot.store(code, Ordering::Release);
        if let Some(region) = self.region_of(link).and_then(|id| self.regions.get_mut(&id)) {
            region.linked.push(pc);
        }
        self.chained.entry(pc).or_default().push(link);
    }

    /// The region with a chain slot at this address.
    fn region_of(&self, link: usize) -> Option<u32> {
        self.by_slots.range(..=link).next_back().map(|(_, &id)| id)
    }

    /// The chain slot at this address, if there is one.
    fn slot(&self, link: usize) -> Option<&AtomicUsize> {
        if let Some(slot) = self.quick_slots.find(link) {
            return Some(slot);
        }
        let slots = &self.regions.get(&self.region_of(link)?)?.slots;
        slots.get((link - slots.as_ptr() as usize) / size_of::<AtomicUsize>())
    }

    /// Lists the addresses of the blocks of all regions that contain the block at `pc`.
    pub fn companions(&self, pc: u64) -> Vec<u64> {
        let ids = self.by_block.get(&pc).map_or(&[][..], |holders| &holders.regions);
        let regions = ids.iter().filter_map(|id| self.regions.get(id));
        regions.flat_map(|region| region.shape.blocks.iter().map(|block| block.start)).collect()
    }

    /// Drops all regions that contain one of the blocks at these addresses. Returns where they could be entered. No
    /// thread may be inside generated code.
    pub fn drop_blocks(&mut self, blocks: &[u64]) -> Vec<(u64, FpMode)> {
        let mut entries = Vec::new();
        for entry in blocks.iter().flat_map(|&pc| FpMode::ALL.map(|mode| (pc, mode))) {
            if let Some(quick) = self.quick[entry.1.place()].remove(&entry.0) {
                self.arena.remove(quick.piece);
                self.quick_slots.give(quick.slots);
                entries.push(entry);
            }
        }
        let ids: HashSet<u32> =
            blocks.iter().filter_map(|pc| self.by_block.remove(pc)).flat_map(|holders| holders.regions).collect();
        for id in ids {
            let Some(region) = self.regions.remove(&id) else { continue };
            for block in &region.shape.blocks {
                if let btree_map::Entry::Occupied(mut holders) = self.by_block.entry(block.start) {
                    holders.get_mut().regions.retain(|&other| other != id);
                    if holders.get().regions.is_empty() {
                        holders.remove();
                    }
                }
            }
            let own = region.slots.as_ptr_range();
            for pc in &region.linked {
                if let Some(links) = self.chained.get_mut(pc) {
                    links.retain(|link| !own.contains(&(*link as *const AtomicUsize)));
                }
            }
            self.by_slots.remove(&(own.start as usize));
            self.arena.remove(region.piece);
            let Shape { entries: own, mode, .. } = region.shape;
            for entry in own.into_iter().map(|pc| (pc, mode)) {
                if self.by_entry.get(&entry).is_some_and(|&(of, _)| of == id) {
                    self.by_entry.remove(&entry);
                }
                entries.push(entry);
            }
        }
        entries.iter().for_each(|&(pc, _)| self.unlink(pc));
        entries
    }

    /// Drops all code at once, however much there is. No thread may be inside generated code.
    pub fn drop_all(&mut self) -> Dropped {
        let Jit { regions, quick, by_block, by_entry, chained, by_slots, .. } = self;
        Dropped {
            regions: take(regions),
            quick: take(quick),
            _ways: Box::new((take(by_block), take(by_entry), take(chained), take(by_slots))),
        }
    }

    /// Uses some of `room` again. False if there is no more of it.
    pub fn take_back(&mut self, room: &mut Room) -> bool {
        let rest = room.0.len().saturating_sub(TAKEN_BACK);
        for (piece, slots) in room.0.drain(rest..) {
            self.arena.remove(piece);
            slots.into_iter().for_each(|slots| self.quick_slots.give(slots));
        }
        rest > 0
    }

    /// Has all exits that go on at `pc` look for its code again.
    pub fn unlink(&mut self, pc: u64) {
        for link in self.chained.remove(&pc).unwrap_or_default() {
            if let Some(slot) = self.slot(link) {
                slot.store(self.gateway.resolver, Ordering::Release);
            }
        }
    }
}

/// Index in the indirect-branch cache; generated code computes the same.
fn jump_cache_index(pc: u64) -> usize {
    (pc >> 2) as usize & ((1 << JUMP_CACHE_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_addresses_that_share_a_place_are_both_kept() {
        let mut cache = JumpCache::default();
        let (a, b) = (0x1004, 0x1004 + (4 << JUMP_CACHE_BITS));
        // Where generated code looks.
        let find = |cache: &JumpCache, pc: u64| {
            let place = jump_cache_index(pc);
            [place, place ^ 1].into_iter().map(|place| cache.entries[place]).find(|entry| entry.0 == pc)
        };
        cache.keep(a, 1);
        cache.keep(b, 2);
        assert_eq!((find(&cache, a), find(&cache, b)), (Some((a, 1)), Some((b, 2))));
        // The code of an address that is there already takes no second place.
        cache.keep(b, 3);
        assert_eq!((find(&cache, a), find(&cache, b)), (Some((a, 1)), Some((b, 3))));
    }

    #[test]
    fn an_empty_place_drives_out_nothing() {
        let mut cache = JumpCache::default();
        let (a, b) = (0x1004, 0x1000);
        let kept = |cache: &JumpCache, pc: u64| cache.entries[jump_cache_index(pc)].0 == pc;
        cache.keep(a, 1);
        cache.keep(b, 2);
        assert!(kept(&cache, a) && kept(&cache, b), "neighbours");
        cache.keep(a, 1);
        assert!(kept(&cache, a) && kept(&cache, b));
    }
}
