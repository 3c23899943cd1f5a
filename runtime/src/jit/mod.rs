//! The compiling tier: regions of blocks as one Cranelift function each.
//!
//! A region is a set of blocks that direct branches connect. Inside it guest registers are SSA values; they are stored
//! to the CPU state only where control leaves. Regions are chained through data slots that hold code addresses: code
//! bytes are never patched. What is rare or slow leaves the region in front of the instruction concerned, with exact
//! state, and the interpreter executes it ([`resume::BODY`](crate::cpu::resume::BODY)).
//!
//! This module forms, keeps and drops regions; [`lower`] turns micro-ops into Cranelift's IR.

mod code;
mod float;
mod helpers;
mod lower;
mod values;
mod vector;

use crate::block::Block;
use crate::cpu::CpuState;
use crate::interp::Context;
use crate::mem::GuestMemory;
use crate::translate::successors;
use crate::uop::{JumpHint, Uop};
use code::{Arena, Piece};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use hashbrown::{HashMap, HashSet};
use lower::Native;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Most blocks in a region.
pub const MAX_REGION_BLOCKS: usize = 64;
/// Most guest instructions in a region.
pub const MAX_REGION_INSNS: usize = 800;
/// The bits of [`FP_CONTROL`](crate::uop::slot::FP_CONTROL) that make floating point differ from the host's: default
/// NaN, flush to zero, rounding mode, flush to zero in half precision.
pub const CONTROL_MODE: u64 = 1 << 25 | 1 << 24 | 3 << 22 | 1 << 19;
/// Most switches between native and reference floating point; afterwards it stays at reference.
const MAX_MODE_SWITCHES: u32 = 32;
/// Log2 of the number of entries in the indirect-branch cache.
const JUMP_CACHE_BITS: u32 = 12;

/// Where the indirect jumps of blocks have led so far: by the address of the block.
pub type Targets = HashMap<u64, Vec<u64>>;

/// A compiled region.
#[derive(Debug)]
pub struct Compiled {
    /// Where it is entered.
    pub code: usize,
    /// The guest addresses at which it may be entered.
    pub entries: Vec<u64>,
}

#[derive(Debug)]
struct Region {
    piece: Piece,
    /// Generated code refers to their micro-ops.
    _blocks: Vec<Arc<Block>>,
    /// Where each chained exit goes on.
    slots: Box<[AtomicUsize]>,
    entries: Vec<u64>,
}

/// The compiler and what it has compiled.
pub struct Jit {
    regions: HashMap<u32, Region>,
    next_region: u32,
    /// Regions that contain the block at an address.
    by_block: HashMap<u64, Vec<u32>>,
    /// Chain slots that lead to an address.
    chained: HashMap<u64, Vec<usize>>,
    jump_cache: Box<[(u64, usize)]>,
    trampoline: usize,
    resolver: usize,
    preserving: usize,
    bases: (usize, usize),
    cells: Arc<[AtomicU64]>,
    count: bool,
    native: Native,
    mode_switches: u32,
    isa: OwnedTargetIsa,
    functions: FunctionBuilderContext,
    context: cranelift_codegen::Context,
    arena: Arena,
}

/// Lists where a region goes on from a block: its direct successors and, behind a call, the return address, at which
/// the region is entered again.
pub fn region_successors(block: &Block) -> impl Iterator<Item = u64> {
    let returns = match block.uops.last() {
        Some(Uop::Jump { hint: JumpHint::Call, .. } | Uop::JumpInd { hint: JumpHint::Call, .. }) => {
            [Some(block.end), None]
        }
        _ => successors(block),
    };
    returns.into_iter().flatten()
}

impl Jit {
    /// Prepares the compiler for the host CPU. With `count`, generated code keeps the instruction count exact.
    ///
    /// # Errors
    /// The host's error if there is no executable memory, or Cranelift's if it does not support this CPU.
    pub fn new(memory: &GuestMemory, cells: &Arc<[AtomicU64]>, count: bool) -> std::io::Result<Self> {
        let isa = host_isa().map_err(std::io::Error::other)?;
        let mut jit = Jit {
            regions: HashMap::new(),
            next_region: 0,
            by_block: HashMap::new(),
            chained: HashMap::new(),
            jump_cache: vec![(u64::MAX, 0); 1 << JUMP_CACHE_BITS].into(),
            trampoline: 0,
            resolver: 0,
            preserving: 0,
            bases: memory.host_bases(),
            cells: cells.clone(),
            count,
            native: native(&*isa),
            mode_switches: 0,
            isa,
            functions: FunctionBuilderContext::new(),
            context: cranelift_codegen::Context::new(),
            arena: Arena::new()?,
        };
        lower::trampoline(&mut jit.context.func, &mut jit.functions, &*jit.isa);
        jit.trampoline = jit.emit_fixed()?;
        lower::resolver(&mut jit.context.func, &mut jit.functions, &*jit.isa);
        jit.resolver = jit.emit_fixed()?;
        lower::preserving(&mut jit.context.func, &mut jit.functions, &*jit.isa);
        jit.preserving = jit.emit_fixed()?;
        jit.clear_jump_cache();
        Ok(jit)
    }

    fn emit_fixed(&mut self) -> std::io::Result<usize> {
        let piece = self.emit().ok_or_else(|| std::io::Error::other("cannot generate the entry code"))?;
        Ok(self.arena.address(piece))
    }

    /// Compiles the function in `self.context` and clears it. `None` if Cranelift cannot, or there is no room.
    fn emit(&mut self) -> Option<Piece> {
        // Cranelift panics where it has no rule for an operation. That is a mistake of ours, which debug builds show;
        // a release build goes on with the interpreter.
        let context = &mut self.context;
        let isa = &*self.isa;
        let mut compile = || match context.compile(isa, &mut Default::default()) {
            // Relocations would be calls of library functions, which there are none to call.
            Ok(code) => code.buffer.relocs().is_empty().then(|| code.code_buffer().to_vec()),
            Err(_) => None,
        };
        let code = if cfg!(debug_assertions) { compile() } else { quietly(compile).unwrap_or_default() };
        debug_assert!(code.is_some(), "Cranelift cannot compile a region");
        let piece = code.and_then(|code| self.arena.add(&code));
        if piece.is_none() {
            self.context = cranelift_codegen::Context::new();
        }
        self.context.clear();
        piece
    }

    /// Compiles `blocks`, of which the first is the root; `targets` says where their indirect jumps have led. `None` if
    /// that is not possible; they are then interpreted.
    pub fn compile(&mut self, blocks: &[Arc<Block>], targets: &Targets) -> Option<Compiled> {
        let slots: Box<[AtomicUsize]> = (0..2 * blocks.len()).map(|_| AtomicUsize::new(self.resolver)).collect();
        let present: HashSet<u64> = blocks.iter().map(|block| block.pc).collect();
        let mut entries = vec![blocks.first()?.pc];
        for block in blocks {
            let is_call = matches!(
                block.uops.last(),
                Some(Uop::Jump { hint: JumpHint::Call, .. } | Uop::JumpInd { hint: JumpHint::Call, .. })
            );
            if is_call && present.contains(&block.end) && !entries.contains(&block.end) {
                entries.push(block.end);
            }
        }
        let (cells, count, native) = (&*self.cells, self.count, self.native);
        let plan = lower::Plan { blocks, targets, entries: &entries, slots: &slots, cells, count, native };
        lower::region(&mut self.context.func, &mut self.functions, &*self.isa, &plan);
        let piece = self.emit()?;
        let id = self.next_region;
        self.next_region += 1;
        for block in blocks {
            self.by_block.entry(block.pc).or_default().push(id);
        }
        let code = self.arena.address(piece);
        self.regions.insert(id, Region { piece, _blocks: blocks.to_vec(), slots, entries: entries.clone() });
        Some(Compiled { code, entries })
    }

    /// Returns the Cranelift IR of `blocks` as a region, for dumps; with `assembly` the host code instead.
    pub fn dump(&mut self, blocks: &[Arc<Block>], assembly: bool) -> String {
        let slots: Box<[AtomicUsize]> = (0..2 * blocks.len()).map(|_| AtomicUsize::new(self.resolver)).collect();
        let entries: Vec<u64> = blocks.first().map(|block| block.pc).into_iter().collect();
        let (cells, count, native) = (&*self.cells, self.count, self.native);
        let targets = &Targets::default();
        let plan = lower::Plan { blocks, targets, entries: &entries, slots: &slots, cells, count, native };
        lower::region(&mut self.context.func, &mut self.functions, &*self.isa, &plan);
        let mut text = self.context.func.display().to_string();
        if assembly {
            self.context.set_disasm(true);
            text = match self.context.compile(&*self.isa, &mut Default::default()) {
                Ok(code) => code.vcode.clone().unwrap_or_default(),
                Err(error) => format!("{:?}", error.inner),
            };
        }
        self.context.clear();
        text
    }

    /// Runs generated code from `cpu.pc` until it leaves. Returns the chain slot through which it left, or 0.
    pub fn enter(&mut self, code: usize, cpu: &mut CpuState, ctx: &mut Context<'_>) -> usize {
        helpers::install(&mut cpu.links);
        cpu.links.link = 0;
        cpu.links.resolver = self.resolver;
        cpu.links.preserving = self.preserving;
        cpu.links.jump_cache = self.jump_cache.as_mut_ptr() as usize;
        cpu.links.context = helpers::erase(ctx);
        code::enter_region(self.trampoline, cpu, self.bases, code);
        cpu.links.link
    }

    /// Makes the exit with chain slot `link`, or the indirect branch that missed if that is 0, go on at `code` the
    /// next time it leads to `pc`.
    pub fn link(&mut self, link: usize, pc: u64, code: usize) {
        if link == 0 {
            self.jump_cache[jump_cache_index(pc)] = (pc, code);
            return;
        }
        for region in self.regions.values() {
            let slots = region.slots.as_ptr_range();
            if slots.contains(&(link as *const AtomicUsize)) {
                let index = (link - slots.start as usize) / size_of::<AtomicUsize>();
                region.slots[index].store(code, Ordering::Release);
                self.chained.entry(pc).or_default().push(link);
                return;
            }
        }
    }

    /// Drops all regions that contain one of the blocks at these addresses. Returns the addresses at which they could
    /// be entered. No thread may be inside generated code.
    pub fn drop_blocks(&mut self, blocks: &[u64]) -> Vec<u64> {
        let ids: HashSet<u32> = blocks.iter().filter_map(|pc| self.by_block.remove(pc)).flatten().collect();
        let mut entries = Vec::new();
        for id in ids {
            let Some(region) = self.regions.remove(&id) else { continue };
            for block in &region._blocks {
                if let Some(ids) = self.by_block.get_mut(&block.pc) {
                    ids.retain(|&other| other != id);
                }
            }
            self.arena.remove(region.piece);
            entries.extend(region.entries);
        }
        if !entries.is_empty() {
            self.unchain(&entries);
            self.clear_jump_cache();
        }
        entries
    }

    /// Makes generated code fit the guest's floating-point control, if it does not: drops all of it. Returns the
    /// addresses at which it could be entered. No thread may be inside generated code.
    pub fn settle_mode(&mut self, control: u64) -> Vec<u64> {
        let native = control & CONTROL_MODE == 0;
        if native == self.native.float || native && self.mode_switches >= MAX_MODE_SWITCHES || !self.native.vectors {
            return Vec::new();
        }
        self.mode_switches += 1;
        self.native.float = native;
        let blocks: Vec<u64> = self.by_block.keys().copied().collect();
        self.drop_blocks(&blocks)
    }

    /// Empties the indirect-branch cache. A guest may branch to the address that marks empty entries, too: it then
    /// finds the resolver.
    fn clear_jump_cache(&mut self) {
        self.jump_cache.fill((u64::MAX, self.resolver));
    }

    fn unchain(&mut self, entries: &[u64]) {
        let slots: HashSet<usize> = entries.iter().filter_map(|pc| self.chained.remove(pc)).flatten().collect();
        for region in self.regions.values() {
            for slot in &region.slots {
                if slots.contains(&(std::ptr::from_ref(slot) as usize)) {
                    slot.store(self.resolver, Ordering::Release);
                }
            }
        }
        let alive: Vec<_> = self.regions.values().map(|region| region.slots.as_ptr_range()).collect();
        for slots in self.chained.values_mut() {
            slots.retain(|&slot| alive.iter().any(|range| range.contains(&(slot as *const AtomicUsize))));
        }
    }
}

/// Runs `f` and catches a panic in it without a word.
fn quietly<T>(f: impl FnOnce() -> T) -> std::thread::Result<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    std::panic::set_hook(hook);
    result
}

/// Index in the indirect-branch cache; generated code computes the same.
fn jump_cache_index(pc: u64) -> usize {
    (pc >> 2) as usize & ((1 << JUMP_CACHE_BITS) - 1)
}

/// What the host has for native vector code.
fn native(isa: &dyn TargetIsa) -> Native {
    let has = |name: &str| isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
    let vectors = has("has_ssse3") && has("has_sse41") && has("has_sse42");
    Native { vectors, fused: has("has_fma") && has("has_avx"), float: vectors }
}

/// Cranelift's description of this machine.
fn host_isa() -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    let values = [
        // Blocks are compiled as written: merging two plain loads of one guest address would break spin loops.
        ("opt_level", "none"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("is_pic", "false"),
        ("unwind_info", "false"),
        ("preserve_frame_pointers", "true"),
        ("enable_probestack", "false"),
    ];
    for (name, value) in values {
        flags.set(name, value).map_err(|error| format!("{name}: {error}"))?;
    }
    cranelift_native::builder()
        .map_err(str::to_owned)?
        .finish(settings::Flags::new(flags))
        .map_err(|error| error.to_string())
}
