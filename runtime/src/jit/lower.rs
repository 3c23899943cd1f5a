//! From the micro-ops of a region to one Cranelift function.
//!
//! Every generated function has the signature of [`signature`]: CPU state, guest memory base, guest pc, chain slot. A
//! region dispatches on the pc among its entries, loads the guest slots that are live there into variables, and stores
//! the changed ones where it leaves. Leaving means one of:
//! - a chained exit: a tail call through its chain slot, which holds the next region's code or the resolver;
//! - an indirect branch: a tail call through the indirect-branch cache;
//! - a slow exit: a plain return with `pc` and `resume` set, after which the interpreter takes over.
//!
//! Slots [`slot::SYS`]`..+16` are never kept in variables: reference functions read and write them in memory.
//! Exceptions that native floating-point operations raise stay in the host's MXCSR and are merged into
//! [`slot::FP_STATUS`] where generated code returns, in front of every micro-op that names that slot, and in actions.

use super::cold::{Cold, Condition, Node, WHOLE_BLOCK};
use super::counters::{self, Increments, Owed, Tallies, Tally};
use super::flow::{Fact, Flow, Skip, helps};
use super::gathered::{Gathered, Part, Whole};
use super::known::Known;
use super::numbers::Numbers;
use super::relocate::Address;
use super::values::Values;
use super::words::Words;
use super::{JUMP_CACHE_BITS, Left, jump_cache_index};
use crate::block::Block;
use crate::cache::Entry;
use crate::cells::Cells;
use crate::cpu::{CodeLinks, CpuState, StuckBits, resume};
use crate::mem::{ADDRESS_SPACE, PAGE, PERMISSIONS, perm};
use crate::uop::{AmoOp, BinOp, Cc, Fence, FlagKind, JumpHint, MemTy, Operand, SelOp, UnOp, Uop, V, X, slot};
use crate::vm::Counting;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I8X16, I16, I16X8, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{
    AbiParam, AtomicRmwOp, Block as Label, ExternalName, Function, GlobalValueData, InstBuilder, InstructionData,
    JumpTableData, MemFlagsData, Opcode, Signature, Type, Value,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Switch, Variable};
use hashbrown::{HashMap, HashSet};
use std::mem::offset_of;
use std::sync::Arc;

/// What to compile.
pub(super) struct Plan<'a> {
    /// The blocks; the first is the root.
    pub(super) blocks: &'a [Arc<Entry>],
    /// What has been seen of the blocks so far.
    pub(super) seen: &'a super::Seen,
    /// Guest addresses at which the region may be entered; all are addresses of blocks.
    pub(super) entries: &'a [u64],
    /// The run-time cells of probes.
    pub(super) cells: &'a Cells,
    /// Other threads may run at the same time.
    pub(super) parallel: bool,
    /// What becomes of the instruction count.
    pub(super) counting: Counting,
    /// What native vector and floating-point code may use.
    pub(super) native: Native,
}

/// What native vector and floating-point code may use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Native {
    /// The host has SSSE3, SSE4.1 and SSE4.2.
    pub(super) vectors: bool,
    /// The host has fused multiply-add.
    pub(super) fused: bool,
    /// The guest's floating point behaves as the host's: see [`CONTROL_MODE`](super::CONTROL_MODE).
    pub(super) float: bool,
    /// It has the rules of [`control::CANONICAL`](crate::vector::control::CANONICAL), and registers of 64 bits.
    pub(super) canonical: bool,
}

/// Accesses that cannot trap the host: to the CPU state, and to guest memory once checked.
pub(super) fn trusted() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// The signature of all generated code: see the module's description.
fn signature() -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.extend([AbiParam::new(I64); 4]);
    signature
}

/// Builds the function through which the host enters generated code: (state, memory, code, pc).
pub(super) fn trampoline(function: &mut Function, context: &mut FunctionBuilderContext, isa: &dyn TargetIsa) {
    function.signature = Signature::new(CallConv::SystemV);
    function.signature.params.extend([AbiParam::new(I64); 4]);
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let [state, memory, code, pc] = params(&b, entry);
    let signature = b.import_signature(signature());
    let none = b.ins().iconst(I64, 0);
    b.ins().call_indirect(signature, code, &[state, memory, pc, none]);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
}

/// Builds the function that leaves generated code at a pc whose code is not known.
pub(super) fn resolver(function: &mut Function, context: &mut FunctionBuilderContext, isa: &dyn TargetIsa) {
    function.signature = signature();
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let [state, _, pc, link] = params(&b, entry);
    b.ins().store(trusted(), pc, state, offset_of!(CpuState, pc) as i32);
    b.ins().store(trusted(), link, state, LINK);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
}

/// The signature of the helper for micro-ops: (state, micro-op), and whether it must trap.
fn plain_signature() -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend([AbiParam::new(I64); 2]);
    signature.returns.push(AbiParam::new(I64));
    signature
}

/// The signature of the generated function of [`preserving`].
fn preserving_signature() -> Signature {
    let mut signature = Signature::new(CallConv::PreserveAll);
    signature.params.extend([AbiParam::new(I64); 2]);
    signature
}

/// Builds the function that calls the helper for micro-ops and preserves all registers: slow to call, but cold calls
/// then cost nothing where they are not made.
pub(super) fn preserving(function: &mut Function, context: &mut FunctionBuilderContext, isa: &dyn TargetIsa) {
    function.signature = preserving_signature();
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let [state, uop] = params(&b, entry);
    let signature = b.import_signature(plain_signature());
    let address = b.ins().load(I64, trusted(), state, PLAIN);
    b.ins().call_indirect(signature, address, &[state, uop]);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
}

fn params<const N: usize>(b: &FunctionBuilder<'_>, entry: Label) -> [Value; N] {
    let params = b.block_params(entry);
    std::array::from_fn(|index| params[index])
}

/// How many constants are added to an address at most before it is a base of its own.
const MOST_ADDITIONS: usize = 8;

/// Most cells that tallies are added to where a tail call is made.
const FEW_CELLS: usize = 4;

/// Most targets of an indirect jump that are found by comparisons.
const MAX_COMPARISONS: usize = 16;
/// Most entries in the table of an indirect jump.
const MAX_JUMP_TABLE: u64 = 1024;
/// Distance in bytes of the addresses that neighbouring entries stand for.
const JUMP_TABLE_STEP: u64 = 2;

pub(super) const ICOUNT: i32 = offset_of!(CpuState, icount) as i32;
const LINK: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, link)) as i32;
pub(super) const JUMP_CACHE: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, jump_cache)) as i32;
pub(super) const COUNTERS: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, counters)) as i32;
pub(super) const RING: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, ring)) as i32;
pub(super) const RESOLVER: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, resolver)) as i32;
const PRESERVING: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, preserving)) as i32;
pub(super) const PLAIN: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, plain)) as i32;
const ACTION: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, action)) as i32;
const FP_SYNC: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, fp_sync)) as i32;
const RAW: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, raw)) as i32;
pub(super) const NZCV: i32 = (offset_of!(CpuState, links) + offset_of!(CodeLinks, nzcv)) as i32;

pub(super) fn x_offset(x: X) -> i32 {
    (offset_of!(CpuState, x) + 8 * x as usize) as i32
}

pub(super) fn v_offset(v: V) -> i32 {
    (offset_of!(CpuState, v) + 16 * v as usize) as i32
}

/// True for slots that stay in memory.
fn in_memory(x: X) -> bool {
    (slot::SYS..slot::SYS + 16).contains(&x)
}

/// True for slots that must be in the CPU state when the region is left.
pub(super) fn is_guest(x: X) -> bool {
    x < slot::SYS || (slot::FLAG_KIND..=slot::FLAG_B).contains(&x)
}

/// A set of guest slots: integer ones (flags included) and vector ones.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Slots {
    x: u64,
    v: u64,
}

impl Slots {
    fn add(&mut self, operand: Operand) {
        match operand {
            Operand::UseX(x) | Operand::DefX(x) if is_guest(x) => self.x |= 1 << x,
            Operand::UseV(v) | Operand::DefV(v) if v < slot::VTEMP => self.v |= 1 << v,
            Operand::UseFlags | Operand::DefFlags => {
                self.x |= 1 << slot::FLAG_KIND | 1 << slot::FLAG_A | 1 << slot::FLAG_B;
            }
            _ => {}
        }
    }

    fn union(self, other: Slots) -> Slots {
        Slots { x: self.x | other.x, v: self.v | other.v }
    }

    fn without(self, other: Slots) -> Slots {
        Slots { x: self.x & !other.x, v: self.v & !other.v }
    }

    fn each_x(self) -> impl Iterator<Item = X> {
        (0..64).filter(move |x| self.x >> x & 1 != 0)
    }

    fn each_v(self) -> impl Iterator<Item = V> {
        (0..64).filter(move |v| self.v >> v & 1 != 0)
    }
}

/// What is known of the flags while a block is lowered.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Flags {
    /// They are in the flag variables; the kind is known or not.
    Variables(Option<FlagKind>),
    /// They are those of these values.
    Of(FlagKind, Value, Value),
    /// If the condition is true those of the values, else the packed ones.
    If(Value, FlagKind, Value, Value, u8),
}

/// Facts about the blocks of a region that hold before any of them is lowered.
struct Facts {
    /// Slots that may differ from the CPU state at the start of each block.
    dirty: Vec<Slots>,
    /// The kind of flags at the start of each block, if it is the same on all ways.
    flags: Vec<Option<FlagKind>>,
    /// Whether each block may change how floating point behaves.
    modes: Vec<bool>,
    /// Entries that need a copy of their block, because on all ways inside the region the flags are of one kind, or
    /// something is known that makes the block less work.
    copied: Vec<bool>,
    /// All guest slots that the region touches.
    touched: Slots,
    /// Slots that must have their values where each block is entered: see [`live`].
    live: Vec<Slots>,
    /// What need not be checked again.
    known: Vec<Known>,
    /// What need not be extended again.
    words: Vec<Words>,
}

/// What the kept micro-ops of a block write.
fn defined<'a>(kept: impl Iterator<Item = (usize, &'a Uop)>) -> Slots {
    let mut slots = Slots::default();
    for (_, uop) in kept {
        uop.operands(|operand| {
            if matches!(operand, Operand::DefX(_) | Operand::DefV(_) | Operand::DefFlags) {
                slots.add(operand);
            }
        });
    }
    slots
}

/// What the kept micro-ops of a block ask for before they write it, and what they write in any case.
fn used<'a>(kept: impl Iterator<Item = (usize, &'a Uop)>) -> (Slots, Slots) {
    let (mut uses, mut defs, mut certain) = (Slots::default(), Slots::default(), true);
    for (_, uop) in kept {
        let before = defs;
        uop.operands(|operand| {
            let mut slots = Slots::default();
            slots.add(operand);
            match operand {
                Operand::UseX(_) | Operand::UseV(_) | Operand::UseFlags => uses = uses.union(slots.without(before)),
                Operand::DefX(_) | Operand::DefV(_) | Operand::DefFlags if certain => defs = defs.union(slots),
                // What may be jumped over is dirty behind it all the same: it has its old value there then.
                Operand::DefX(_) | Operand::DefV(_) | Operand::DefFlags => uses = uses.union(slots.without(before)),
            }
        });
        certain &= !matches!(uop, Uop::Local { .. } | Uop::LocalIf { .. });
    }
    (uses, defs)
}

/// The slots in a node of a condition.
fn slots_of(cold: &Cold, node: usize) -> Slots {
    match cold.node(node) {
        Node::Imm(_) => Slots::default(),
        Node::Slot(x) => {
            let mut slots = Slots::default();
            slots.add(Operand::UseX(x));
            slots
        }
        Node::Un(_, a) | Node::Field { a, .. } => slots_of(cold, a),
        Node::Bin(_, a, b) | Node::Shifted(_, a, b, ..) => slots_of(cold, a).union(slots_of(cold, b)),
    }
}

/// The slots that must have their values where each block is entered: those that are asked for on some way from there
/// before they are written. Leaving asks for all that may be dirty, since that is stored.
fn live(plan: &Plan<'_>, cold: &Cold, edges: &[Vec<usize>], dirty: &[Slots]) -> Vec<Slots> {
    let of_block = |(index, block): (usize, &Arc<Entry>)| {
        let (uses, defs) = used(cold.kept(index, block));
        let assumed = cold.assumed(index).iter().map(|condition| slots_of(cold, condition.node));
        (assumed.fold(uses.union(dirty[index]), Slots::union), defs)
    };
    let blocks: Vec<(Slots, Slots)> = plan.blocks.iter().enumerate().map(of_block).collect();
    let mut live: Vec<Slots> = blocks.iter().map(|(uses, _)| *uses).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for (index, (_, defs)) in blocks.iter().enumerate().rev() {
            let behind = edges[index].iter().fold(Slots::default(), |all, &next| all.union(live[next]));
            let slots = live[index].union(behind.without(*defs));
            changed |= slots != live[index];
            live[index] = slots;
        }
    }
    live
}

/// Kinds of flags in the analysis: not reached yet, one kind, or several.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Unreached,
    One(FlagKind),
    Any,
}

impl Kind {
    fn meet(self, other: Kind) -> Kind {
        match (self, other) {
            (Kind::Unreached, kind) | (kind, Kind::Unreached) => kind,
            (a, b) if a == b => a,
            _ => Kind::Any,
        }
    }
}

/// True if floating point may behave differently behind one of these micro-ops.
pub(super) fn changes_fp_mode<'a>(mut kept: impl Iterator<Item = (usize, &'a Uop)>) -> bool {
    kept.any(|(_, uop)| {
        let mut writes = matches!(uop, Uop::WriteSys { .. } | Uop::Action { state: true, .. });
        uop.operands(|operand| writes |= operand == Operand::DefX(slot::FP_CONTROL));
        writes
    })
}

/// The kind of flags behind block `index` if it is `kind` before it; `float`: floating point is native.
fn flags_after(cold: &Cold, index: usize, block: &Block, mut kind: Kind, float: bool) -> Kind {
    let jumps = |(at, uop): (usize, &Uop)| matches!(uop, Uop::LocalIf { .. }) && !cold.guards(index, at);
    let conditional = cold.kept(index, block).any(jumps);
    for (_, uop) in cold.kept(index, block) {
        match *uop {
            Uop::Flags { kind: k, .. } | Uop::FlagsI { kind: k, .. } => kind = Kind::One(k),
            // A probe may write the flags on one of several ways.
            Uop::SetNzcv { .. } | Uop::StickFlags if conditional => kind = Kind::Any,
            Uop::FCmp { t, .. } if float && let Some(k) = super::float::flag_kind(t) => kind = Kind::One(k),
            Uop::SetNzcv { .. } | Uop::FCmp { .. } | Uop::StickFlags => kind = Kind::One(FlagKind::Nzcv),
            Uop::Adc64 { set: true, .. } | Uop::Adc32 { set: true, .. } => kind = Kind::One(FlagKind::Nzcv),
            Uop::FlagsIf { .. } => kind = Kind::Any,
            Uop::Action { state: true, .. } => kind = Kind::Any,
            _ => {}
        }
    }
    kind
}

impl Facts {
    fn new(plan: &Plan<'_>, cold: &Cold, flow: &Flow) -> Facts {
        let blocks = plan.blocks;
        let kept = |index: usize| cold.kept(index, &blocks[index]);
        let defs: Vec<Slots> = (0..blocks.len()).map(|index| defined(kept(index))).collect();
        let modes: Vec<bool> = (0..blocks.len()).map(|index| changes_fp_mode(kept(index))).collect();
        let mut dirty = vec![Slots::default(); blocks.len()];
        let mut kinds = vec![Kind::Unreached; blocks.len()];
        // An entry brings flags of an unknown kind. Where all ways inside the region bring one kind, the entry gets a
        // copy of the block of its own, so that the loop keeps what it knows; here the copy counts as the entry's.
        let Flow { edges, entered, .. } = flow;
        let mut changed = true;
        while changed {
            changed = false;
            for (index, block) in blocks.iter().enumerate() {
                let out = dirty[index].union(defs[index]);
                let float = plan.native.float && !modes[index];
                let mut kind = flags_after(cold, index, block, kinds[index], float);
                if entered[index] {
                    kind = kind.meet(flags_after(cold, index, block, Kind::Any, float));
                }
                for &next in &edges[index] {
                    let (slots, met) = (dirty[next].union(out), kinds[next].meet(kind));
                    changed |= slots != dirty[next] || met != kinds[next];
                    (dirty[next], kinds[next]) = (slots, met);
                }
            }
        }
        let mut touched = Slots::default();
        for (_, uop) in (0..blocks.len()).flat_map(kept) {
            uop.operands(|operand| touched.add(operand));
        }
        let flags = kinds.into_iter().map(|kind| if let Kind::One(kind) = kind { Some(kind) } else { None }).collect();
        let flags: Vec<Option<FlagKind>> = flags;
        let live = live(plan, cold, edges, &dirty);
        let (mut known, mut words) = (flow.known::<Known>(blocks, cold), flow.known::<Words>(blocks, cold));
        let copied = (0..blocks.len()).map(|index| {
            let block = &blocks[index];
            entered[index]
                && (flags[index].is_some()
                    || helps(known[index].clone(), index, block, cold)
                    || helps(words[index], index, block, cold))
        });
        let copied: Vec<bool> = copied.collect();
        for index in (0..blocks.len()).filter(|&index| entered[index] && !copied[index]) {
            (known[index], words[index]) = Default::default();
        }
        Facts { dirty, flags, modes, copied, touched, live, known, words }
    }
}

/// Code that leaves the region, emitted after all blocks so that it stands out of the way.
struct Exit {
    label: Label,
    /// Slots to store, with their values.
    x: Vec<(X, Value)>,
    v: Vec<(V, Value)>,
    /// Those of them that are raw: see [`super::numbers`].
    raw: u32,
    /// `counted`, and the completed instructions that it does not have yet.
    counted: Option<(Value, u64)>,
    /// Increments of cells that the straight path adds later.
    cells: Increments,
    /// The tallies that may not be 0, with their values.
    tallies: Vec<(usize, Value)>,
    pc: u64,
    resume: u32,
    /// With [`resume::COLD`] and [`resume::WITHIN`]: the micro-op to go on with.
    cold: u32,
}

/// A checked range of guest memory: accesses at `base + low..base + high` need no further check.
struct Checked {
    base: Value,
    write: bool,
    low: i64,
    high: i64,
}

pub(super) struct Lowering<'a, 'f> {
    pub(super) b: FunctionBuilder<'f>,
    plan: &'a Plan<'a>,
    cold: Cold,
    tallies: Tallies,
    facts: Facts,
    heads: Vec<Label>,
    /// Heads of the copies that entries have; unused where they have none.
    copies: Vec<Label>,
    flow: Flow,
    x: Vec<Option<Variable>>,
    v: Vec<Option<Variable>>,
    /// The instruction count, or what this region adds to it: `icount_at` is all of it.
    /// Where the count is only kept, a region does not begin by loading it, and ends by one addition in memory.
    counted: Variable,
    /// For each tally, its steps that cells do not have yet.
    steps: Vec<Variable>,
    pub(super) state: Value,
    memory: Value,
    /// Where the thread is asked to look at something: loaded once, so that loops have it in a register if there is one.
    poll: Value,
    exits: Vec<Exit>,
    /// Where tail calls with many tallies are made.
    out: Option<Label>,
    // ---- of the block that is being lowered
    index: usize,
    /// Micro-op being lowered.
    at: usize,
    flags: Flags,
    dirty: Slots,
    checked: Vec<Checked>,
    /// The same of slots, as they are now.
    known: Known,
    /// Slots that hold words, and values that do.
    words: Words,
    word_values: HashSet<Value>,
    /// Increments of cells that have not been emitted yet.
    pending: Increments,
    /// Completed instructions of earlier blocks that `counted` does not have yet.
    ahead: u64,
    /// A bit for each tally that may not be 0.
    running: u32,
    /// Actions stand earlier in the block.
    acted: bool,
    /// Temporaries that are written earlier in the block: integer slots and vector slots.
    written: (HashSet<X>, HashSet<V>),
    /// The exit of the current instruction, shared by its accesses.
    slow: Option<(usize, Label)>,
    labels: HashMap<u32, Label>,
    /// What the flags were where a label is jumped to from, `None` if they differ.
    label_flags: HashMap<u32, Option<Flags>>,
    /// Labels that are jumped back to.
    loop_heads: HashSet<u32>,
    terminated: bool,
    /// What may be native in this block.
    pub(super) native: Native,
    /// The slots that are numbers of 64 bits, and what is known of them.
    pub(super) numbers: Numbers,
    /// Element 0 of vector values, where it is known as a scalar.
    pub(super) scalars: HashMap<Value, Value>,
    /// The single-precision numbers in vector values that have ones above them: see `FBox`.
    pub(super) boxed: HashMap<Value, Value>,
    /// The numbers of the block that are loaded in pieces.
    gathered: Gathered,
    /// Those that have been loaded.
    wholes: Vec<Option<Value>>,
    /// What pieces are made of, so that exits make them for themselves.
    pieces: HashMap<Value, (Value, Part)>,
    /// The operands of the last comparison, as integers and as numbers.
    pub(super) compared: Option<([Value; 2], [Value; 2])>,
    /// The packed flags of the last addition with carry, and its carry as an 8-bit 0 or 1: the next one of a chain then
    /// needs no flags, and nothing packs them.
    carry: Option<(Value, Value)>,
}

/// Builds the function of a region.
pub(super) fn region(
    function: &mut Function,
    context: &mut FunctionBuilderContext,
    isa: &dyn TargetIsa,
    plan: &Plan<'_>,
) {
    function.signature = signature();
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let [state, memory, pc, _] = params(&b, entry);
    let poll = b.ins().load(I64, trusted(), state, offset_of!(CpuState, poll) as i32);
    let flow = Flow::new(plan.blocks, plan.entries, plan.seen);
    let cold = Cold::new(plan.blocks, plan.seen, &flow);
    let tallies = Tallies::new(plan.blocks, &cold, &flow);
    let facts = Facts::new(plan, &cold, &flow);
    let numbers = if plan.native.canonical { Numbers::new(plan.blocks, &cold) } else { Numbers::default() };
    let steps = tallies.all.iter().map(|_| b.declare_var(I64)).collect();
    let heads = plan.blocks.iter().map(|_| b.create_block()).collect();
    let copies = plan.blocks.iter().map(|_| b.create_block()).collect();
    let counted = b.declare_var(I64);
    let mut lowering = Lowering {
        b,
        plan,
        cold,
        tallies,
        facts,
        heads,
        copies,
        flow,
        x: vec![None; slot::COUNT],
        v: vec![None; slot::VCOUNT],
        counted,
        steps,
        state,
        memory,
        poll,
        exits: Vec::new(),
        out: None,
        index: 0,
        at: 0,
        flags: Flags::Variables(None),
        dirty: Slots::default(),
        checked: Vec::new(),
        known: Known::default(),
        words: Words::default(),
        word_values: HashSet::new(),
        pending: Vec::new(),
        ahead: 0,
        running: 0,
        acted: false,
        written: Default::default(),
        slow: None,
        labels: HashMap::new(),
        label_flags: HashMap::new(),
        loop_heads: HashSet::new(),
        terminated: false,
        native: Native::default(),
        numbers,
        scalars: HashMap::new(),
        boxed: HashMap::new(),
        gathered: Gathered::default(),
        wholes: Vec::new(),
        pieces: HashMap::new(),
        compared: None,
        carry: None,
    };
    lowering.entries(pc);
    for index in 0..plan.blocks.len() {
        let (head, dirty, flags) = (lowering.heads[index], lowering.facts.dirty[index], lowering.facts.flags[index]);
        (lowering.known, lowering.words) = (lowering.facts.known[index].clone(), lowering.facts.words[index]);
        lowering.block(index, head, dirty, flags);
        if lowering.facts.copied[index] {
            lowering.forget();
            lowering.block(index, lowering.copies[index], Slots::default(), None);
        }
    }
    lowering.emit_exits();
    lowering.b.seal_all_blocks();
    lowering.b.finalize(isa.frontend_config());
}

impl<'f> Lowering<'_, 'f> {
    pub(super) fn values(&mut self) -> Values<'_, 'f> {
        Values { b: &mut self.b, words: &self.word_values }
    }

    pub(super) fn imm(&mut self, value: u64) -> Value {
        self.b.ins().iconst(I64, value as i64)
    }

    /// An address that differs from run to run.
    fn host_address(&mut self, address: Address) -> Value {
        let name = self.b.func.declare_imported_user_function(address.name());
        let (name, offset) = (ExternalName::user(name), 0.into());
        let data = GlobalValueData::Symbol { name, offset, colocated: false, tls: false };
        let global = self.b.create_global_value(data);
        self.b.ins().symbol_value(I64, global)
    }

    /// The address of the current micro-op.
    fn uop_address(&mut self) -> Value {
        self.host_address(Address::Uop { block: self.index as u32, uop: self.at as u32 })
    }

    /// Forgets what is known of slots.
    fn forget(&mut self) {
        (self.known, self.words) = Default::default();
    }

    // ---- slots

    fn x_variable(&mut self, x: X) -> Variable {
        match self.x[x as usize] {
            Some(variable) => variable,
            None => {
                let variable = self.b.declare_var(I64);
                self.x[x as usize] = Some(variable);
                variable
            }
        }
    }

    pub(super) fn v_variable(&mut self, v: V) -> Variable {
        match self.v[v as usize] {
            Some(variable) => variable,
            None => {
                let variable = self.b.declare_var(self.v_type(v));
                self.v[v as usize] = Some(variable);
                variable
            }
        }
    }

    /// The type of a vector slot's variable.
    fn v_type(&self, v: V) -> Type {
        if self.numbers.holds(v) { F64 } else { I8X16 }
    }

    /// The value of an integer slot.
    pub(super) fn get(&mut self, x: X) -> Value {
        if x == slot::ZERO {
            return self.imm(0);
        }
        if let (slot::FLAG_KIND, Some(kind)) = (x, self.known_kind()) {
            return self.imm(kind as u64);
        }
        if in_memory(x) || x == slot::FLAG_KIND {
            return self.b.ins().load(I64, trusted(), self.state, x_offset(x));
        }
        let variable = self.x_variable(x);
        let value = self.b.use_var(variable);
        if self.words.holds(x) {
            self.word_values.insert(value);
        }
        value
    }

    /// Gives an integer slot a new value.
    pub(super) fn set(&mut self, x: X, value: Value) {
        debug_assert_ne!(x, slot::FLAG_KIND, "flags are set together");
        if x == slot::ZERO {
            return;
        }
        if in_memory(x) {
            self.b.ins().store(trusted(), value, self.state, x_offset(x));
            return;
        }
        let variable = self.x_variable(x);
        self.b.def_var(variable, value);
        self.words.remove(x);
        self.dirty.add(Operand::DefX(x));
    }

    pub(super) fn get_v(&mut self, v: V) -> Value {
        if v >= slot::VECTOR {
            return self.b.ins().load(I8X16, trusted(), self.state, v_offset(v));
        }
        if self.numbers.holds(v) {
            return self.vector_of_number(v);
        }
        let variable = self.v_variable(v);
        self.b.use_var(variable)
    }

    pub(super) fn set_v(&mut self, v: V, value: Value) {
        if v >= slot::VECTOR {
            self.b.ins().store(trusted(), value, self.state, v_offset(v));
            return;
        }
        if self.numbers.holds(v) {
            return self.set_number_of_vector(v, value);
        }
        let variable = self.v_variable(v);
        self.b.def_var(variable, value);
        self.note_written_vector(v);
    }

    pub(super) fn note_written_vector(&mut self, v: V) {
        self.dirty.add(Operand::DefV(v));
    }

    /// What is in a vector slot's variable: bytes, or a number.
    fn in_variable(&mut self, v: V) -> Value {
        if self.numbers.holds(v) { self.number(v) } else { self.get_v(v) }
    }

    fn load_slots(&mut self, slots: Slots) {
        self.words = Words::default();
        for x in slots.each_x().filter(|&x| x != slot::FLAG_KIND) {
            let value = self.b.ins().load(I64, trusted(), self.state, x_offset(x));
            let variable = self.x_variable(x);
            self.b.def_var(variable, value);
        }
        for v in slots.each_v() {
            let ty = self.v_type(v);
            let value = self.b.ins().load(ty, trusted(), self.state, v_offset(v));
            let variable = self.v_variable(v);
            self.b.def_var(variable, value);
        }
    }

    fn store_slots(&mut self, slots: Slots) {
        for x in self.to_store(slots) {
            let value = self.get(x);
            self.b.ins().store(trusted(), value, self.state, x_offset(x));
        }
        for v in slots.each_v() {
            let value = self.in_variable(v);
            self.b.ins().store(trusted(), value, self.state, v_offset(v));
        }
    }

    /// The integer slots of these that the CPU state may not have.
    fn to_store(&self, slots: Slots) -> impl Iterator<Item = X> + use<> {
        let has_kind = self.known_kind().is_none();
        slots.each_x().filter(move |&x| x != slot::FLAG_KIND || !has_kind)
    }

    /// The kind of flags, if it is known. No register holds it: where it is not known, it is in the CPU state.
    fn known_kind(&self) -> Option<FlagKind> {
        match self.flags {
            Flags::Of(kind, ..) | Flags::Variables(Some(kind)) => Some(kind),
            Flags::Variables(None) | Flags::If(..) => None,
        }
    }

    /// Sees to it that the CPU state has the kind of flags, for a place where it is not known.
    fn settle_kind(&mut self) {
        if let Some(kind) = self.known_kind()
            && self.dirty.x >> slot::FLAG_KIND & 1 != 0
        {
            let kind = self.imm(kind as u64);
            self.b.ins().store(trusted(), kind, self.state, x_offset(slot::FLAG_KIND));
        }
    }

    // ---- entries, exits

    fn entries(&mut self, pc: Value) {
        let mut stubs = Vec::new();
        if let [only] = *self.plan.entries {
            stubs.push((only, None));
        } else {
            let mut switch = Switch::new();
            for &entry in self.plan.entries {
                let label = self.b.create_block();
                switch.set_entry(u128::from(entry), label);
                stubs.push((entry, Some(label)));
            }
            let unknown = self.b.create_block();
            self.b.set_cold_block(unknown);
            switch.emit(&mut self.b, pc, unknown);
            // Nobody enters a region elsewhere; if it happened the interpreter would go on correctly.
            self.b.switch_to_block(unknown);
            self.b.ins().store(trusted(), pc, self.state, offset_of!(CpuState, pc) as i32);
            self.b.ins().return_(&[]);
        }
        for (entry, label) in stubs {
            if let Some(label) = label {
                self.b.switch_to_block(label);
            }
            let index = self.flow.index_of[&entry];
            self.load_slots(self.facts.live[index]);
            self.begin_counts(index);
            (self.dirty, self.flags) = (Slots::default(), Flags::Variables(None));
            self.poll_to(entry);
            self.assume(index);
            let head = self.heads[index];
            let to = if self.facts.copied[index] { self.copies[index] } else { head };
            self.b.ins().jump(to, &[]);
        }
    }

    /// Begins to count where a block is entered from outside: what is owed there has been counted before.
    fn begin_counts(&mut self, index: usize) {
        let none = Owed::default().but(self.tallies.owed(index));
        let counted = match self.plan.counting {
            Counting::Off => None,
            Counting::Exact => Some(self.imm(none.insns)),
            Counting::Limited => {
                let icount = self.b.ins().load(I64, trusted(), self.state, ICOUNT);
                Some(self.ahead_of(icount, none.insns))
            }
        };
        if let Some(counted) = counted {
            self.b.def_var(self.counted, counted);
        }
        for tally in 0..self.steps.len() {
            let none = self.imm(0);
            self.b.def_var(self.steps[tally], none);
        }
        self.pending = none.cells;
        self.flush_cells();
        self.owe(index);
        self.running = self.tallies.running(index);
    }

    /// Takes over what is still to be counted where a block begins.
    fn owe(&mut self, index: usize) {
        let Owed { cells, insns } = self.tallies.owed(index).clone();
        (self.pending, self.ahead) = (cells, insns);
    }

    /// Makes an exit with the present state and returns its label.
    fn exit(&mut self, pc: u64, resume: u32, insns: Option<u64>) -> Label {
        let label = self.b.create_block();
        self.b.set_cold_block(label);
        let dirty = self.dirty;
        let x = self.to_store(dirty).map(|x| (x, self.get(x))).collect();
        let v = dirty.each_v().map(|v| (v, self.in_variable(v))).collect();
        let raw = self.numbers.raw();
        let counted = insns.filter(|_| self.counts());
        let counted = counted.map(|insns| (self.b.use_var(self.counted), insns + self.ahead));
        let cells = self.pending.clone();
        let running = self.each_running();
        let tallies = running.map(|tally| (tally, self.b.use_var(self.steps[tally]))).collect();
        self.exits.push(Exit { label, x, v, raw, counted, cells, tallies, pc, resume, cold: 0 });
        label
    }

    /// Makes an exit after which the interpreter goes on with micro-op `at` of the block, which is left out, and returns
    /// its label.
    fn cold_exit(&mut self, at: u32) -> Label {
        self.exit_within(at, resume::COLD)
    }

    fn exit_within(&mut self, at: u32, resume: u32) -> Label {
        let block = &self.plan.blocks[self.index];
        let label = self.exit(block.pc, resume, Some(0));
        // Temporaries that are used from there on before they are written anew.
        let (mut x, mut v) = (HashSet::new(), HashSet::new());
        let (mut new, mut certain, mut first) = ((HashSet::new(), HashSet::new()), true, at);
        let mut note = |uop: &Uop, new: &(HashSet<X>, HashSet<V>)| {
            uop.operands(|operand| match operand {
                Operand::UseX(used) if used >= slot::TEMP && !new.0.contains(&used) => drop(x.insert(used)),
                Operand::UseV(used) if !slot::is_guest_vector(used) && !new.1.contains(&used) => drop(v.insert(used)),
                _ => {}
            });
        };
        for uop in &block.uops[at as usize..] {
            note(uop, &new);
            if let Uop::Local { to } | Uop::LocalIf { to, .. } = *uop {
                (certain, first) = (false, first.min(to));
            }
            if certain {
                note_written(uop, &mut new);
            }
        }
        // What is jumped back to is executed again.
        block.uops[first as usize..at as usize].iter().for_each(|uop| note(uop, &Default::default()));
        x.retain(|used| self.written.0.contains(used));
        v.retain(|used| self.written.1.contains(used));
        let x: Vec<_> = x.into_iter().map(|x| (x, self.get(x))).collect();
        let v: Vec<_> = v.into_iter().map(|v| (v, self.get_v(v))).collect();
        if let Some(exit) = self.exits.last_mut() {
            exit.x.extend(x);
            exit.v.extend(v);
            exit.cold = at;
        }
        label
    }

    /// Leaves in front of block `index`, which is entered here, if a condition holds that does not hold in the region.
    fn assume(&mut self, index: usize) {
        self.index = index;
        for Condition { node, nz } in self.cold.assumed(index).to_vec() {
            let exit = self.cold_exit(WHOLE_BLOCK);
            if let (false, Node::Bin(BinOp::Eq, a, b)) = (nz, self.cold.node(node))
                && let Node::Imm(imm) = self.cold.node(b)
            {
                let a = self.node(a);
                self.leave_if_equal(a, imm, exit);
                continue;
            }
            let value = self.node(node);
            self.leave_unless(nz, value, exit);
        }
    }

    /// Leaves unless `value` is not zero (or is, if not `nz`).
    fn leave_unless(&mut self, nz: bool, value: Value, exit: Label) {
        let go_on = self.fresh();
        let (then, otherwise) = if nz { (go_on, exit) } else { (exit, go_on) };
        self.b.ins().brif(value, then, &[], otherwise, &[]);
        self.go_on_in(go_on);
    }

    /// Leaves if `value` is this number, which it seldom is: a large number is not made before the low halves agree.
    fn leave_if_equal(&mut self, value: Value, imm: u64, exit: Label) {
        let go_on = self.fresh();
        if i32::try_from(imm as i64).is_err() {
            let agree = self.fresh();
            self.b.set_cold_block(agree);
            let low = self.b.ins().ireduce(I32, value);
            let same = self.b.ins().icmp_imm_u(IntCC::Equal, low, i64::from(imm as u32));
            self.b.ins().brif(same, agree, &[], go_on, &[]);
            self.go_on_in(agree);
        }
        let same = self.b.ins().icmp_imm_s(IntCC::Equal, value, imm as i64);
        self.b.ins().brif(same, exit, &[], go_on, &[]);
        self.go_on_in(go_on);
    }

    /// The value of a node of a condition.
    fn node(&mut self, node: usize) -> Value {
        match self.cold.node(node) {
            Node::Imm(imm) => self.imm(imm),
            Node::Slot(x) => self.get(x),
            Node::Un(op, a) => {
                let a = self.node(a);
                self.values().un(op, a)
            }
            Node::Bin(op, a, b) => {
                let (a, b) = (self.node(a), self.node(b));
                self.native(op, a, b)
            }
            Node::Shifted(op, a, b, shift, n) => {
                let (a, b) = (self.node(a), self.node(b));
                let b = self.values().shifted(!op.is_32(), shift, b, n);
                self.native(op, a, b)
            }
            Node::Field { signed, a, lsb, len } => {
                let a = self.node(a);
                self.values().bit_field(signed, a, lsb, len)
            }
        }
    }

    fn native(&mut self, op: BinOp, a: Value, b: Value) -> Value {
        let Some(value) = self.values().bin(op, a, b) else { unreachable!("nodes have native forms only") };
        value
    }

    /// True if the region keeps the instruction count.
    fn counts(&self) -> bool {
        self.plan.counting != Counting::Off
    }

    /// What `counted` is when `insns` instructions of this block have been completed.
    fn counted_at(&mut self, insns: u64) -> Value {
        let start = self.b.use_var(self.counted);
        self.ahead_of(start, insns + self.ahead)
    }

    fn ahead_of(&mut self, counted: Value, insns: u64) -> Value {
        if insns == 0 { counted } else { self.b.ins().iadd_imm_s(counted, insns as i64) }
    }

    /// The instruction count when `insns` instructions of this block have been completed.
    fn icount_at(&mut self, insns: u64) -> Value {
        let counted = self.counted_at(insns);
        if self.plan.counting == Counting::Limited {
            return counted;
        }
        let before = self.b.ins().load(I64, trusted(), self.state, ICOUNT);
        self.b.ins().iadd(before, counted)
    }

    /// Makes the instruction count in memory what it should be, for whoever goes on: `counted` is of [`Self::counted_at`].
    fn store_counted(&mut self, counted: Value) {
        if self.plan.counting == Counting::Limited {
            self.b.ins().store(trusted(), counted, self.state, ICOUNT);
        } else {
            self.add_to_word(self.state, ICOUNT, counted);
        }
    }

    fn emit_exits(&mut self) {
        let exits = std::mem::take(&mut self.exits);
        // All exits with tallies end in the same code.
        let last = exits.iter().any(|exit| !exit.tallies.is_empty()).then(|| {
            let last = self.b.create_block();
            self.b.set_cold_block(last);
            for _ in &self.steps {
                self.b.append_block_param(last, I64);
            }
            last
        });
        for exit in exits {
            self.b.switch_to_block(exit.label);
            for (x, value) in exit.x {
                let value = self.pieces.get(&value).copied().map_or(value, |(whole, part)| self.piece(whole, part));
                self.b.ins().store(trusted(), value, self.state, x_offset(x));
            }
            for (v, value) in exit.v {
                self.b.ins().store(trusted(), value, self.state, v_offset(v));
            }
            if exit.raw != 0 {
                let raw = self.b.ins().iconst(I32, i64::from(exit.raw));
                self.b.ins().store(trusted(), raw, self.state, RAW);
            }
            if let Some((counted, insns)) = exit.counted {
                let counted = self.ahead_of(counted, insns);
                self.store_counted(counted);
            }
            for (cell, n) in exit.cells {
                self.add_to_cell(cell, n);
            }
            let pc = self.imm(exit.pc);
            self.b.ins().store(trusted(), pc, self.state, offset_of!(CpuState, pc) as i32);
            if exit.resume != resume::ENTRY {
                let resume = self.b.ins().iconst(I32, i64::from(exit.resume));
                self.b.ins().store(trusted(), resume, self.state, offset_of!(CpuState, resume) as i32);
            }
            if matches!(exit.resume, resume::COLD | resume::WITHIN) {
                let cold = self.b.ins().iconst(I32, i64::from(exit.cold));
                self.b.ins().store(trusted(), cold, self.state, offset_of!(CpuState, cold) as i32);
            }
            match last {
                Some(last) if !exit.tallies.is_empty() => {
                    let none = self.imm(0);
                    let mut steps = vec![none.into(); self.steps.len()];
                    exit.tallies.into_iter().for_each(|(tally, value)| steps[tally] = value.into());
                    self.b.ins().jump(last, &steps);
                }
                _ => {
                    self.b.ins().return_(&[]);
                }
            }
        }
        if let Some(last) = last {
            self.b.switch_to_block(last);
            let steps = self.b.block_params(last).to_vec();
            self.add_tallies(&steps);
            self.b.ins().return_(&[]);
        }
        if let Some(out) = self.out {
            self.b.switch_to_block(out);
            let params = self.b.block_params(out).to_vec();
            let (steps, to) = params.split_at(self.steps.len());
            self.add_tallies(steps);
            self.leave_for(to[0], to[1], to[2]);
        }
    }

    /// Adds all tallies that are not 0 to their cells.
    fn add_tallies(&mut self, steps: &[Value]) {
        for (tally, &steps) in steps.iter().enumerate() {
            let (some, next) = (self.fresh(), self.fresh());
            self.b.ins().brif(steps, some, &[], next, &[]);
            self.go_on_in(some);
            self.add_tally(tally, steps);
            self.b.ins().jump(next, &[]);
            self.go_on_in(next);
        }
    }

    /// Continues in a new label that nothing else jumps to.
    pub(super) fn fresh(&mut self) -> Label {
        self.b.create_block()
    }

    pub(super) fn go_on_in(&mut self, label: Label) {
        self.b.switch_to_block(label);
        self.b.seal_block(label);
    }

    /// Leaves for `pc` if the thread has been asked to look at something.
    fn poll_to(&mut self, pc: u64) {
        let exit = self.exit(pc, resume::ENTRY, Some(0));
        self.leave_if_polled(exit);
    }

    fn leave_if_polled(&mut self, exit: Label) {
        let poll = self.b.ins().load(I32, trusted(), self.poll, 0);
        let go_on = self.fresh();
        self.b.ins().brif(poll, exit, &[], go_on, &[]);
        self.go_on_in(go_on);
    }

    /// The slow exit of the current instruction.
    fn slow_exit(&mut self) -> Label {
        let block = &self.plan.blocks[self.index];
        let insn = block.insn_of(self.at as u32);
        if (self.at as u32) < block.insn(insn).body {
            // Another form of it, which probes have asked for: it cannot be begun again without them.
            return self.exit_within(self.at as u32, resume::WITHIN);
        }
        if let Some((of, label)) = self.slow
            && of == insn
        {
            return label;
        }
        let pc = block.insn(insn).pc;
        let label = self.exit(pc, resume::BODY, Some(insn as u64));
        self.slow = Some((insn, label));
        label
    }

    /// Stores everything that is dirty and makes the pending increments, for a tail call.
    fn flush(&mut self) {
        self.store_slots(self.dirty);
        for (cell, n) in std::mem::take(&mut self.pending) {
            self.add_to_cell(cell, n);
        }
    }

    /// Makes the pending increments, in a register if there is one for them.
    fn flush_cells(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let Some((tally, n)) = self.tallies.find(&pending) else {
            return pending.into_iter().for_each(|(cell, n)| self.add_to_cell(cell, n));
        };
        let steps = self.b.use_var(self.steps[tally]);
        let steps = self.b.ins().iadd_imm_s(steps, n as i64);
        self.b.def_var(self.steps[tally], steps);
        self.running |= 1 << tally;
    }

    /// Makes all cells what they should be, for something that may look at them.
    fn settle_cells(&mut self) {
        for (cell, n) in std::mem::take(&mut self.pending) {
            self.add_to_cell(cell, n);
        }
        self.settle_tallies();
    }

    /// Makes one cell what it should be.
    fn settle_cell(&mut self, cell: u32) {
        if self.pending.iter().any(|&(pending, _)| pending == cell) {
            for (cell, n) in std::mem::take(&mut self.pending) {
                self.add_to_cell(cell, n);
            }
        }
        self.settle_tallies_if(|tally| tally.iter().any(|&(counted, _)| counted == cell));
    }

    /// Adds the tallies to their cells.
    fn settle_tallies(&mut self) {
        self.settle_tallies_if(|_| true);
    }

    fn settle_tallies_if(&mut self, concerns: impl Fn(&Tally) -> bool) {
        for tally in self.each_running() {
            if !concerns(&self.tallies.all[tally]) {
                continue;
            }
            let steps = self.b.use_var(self.steps[tally]);
            self.add_tally(tally, steps);
            let none = self.imm(0);
            self.b.def_var(self.steps[tally], none);
        }
    }

    /// The tallies that may not be 0.
    fn each_running(&self) -> impl Iterator<Item = usize> + use<> {
        let running = self.running;
        (0..u32::BITS as usize).filter(move |tally| running >> tally & 1 != 0)
    }

    fn add_tally(&mut self, tally: usize, steps: Value) {
        for (cell, n) in self.tallies.all[tally].clone() {
            let added = if n == 1 {
                steps
            } else {
                let n = self.imm(n);
                self.b.ins().imul(steps, n)
            };
            self.add_value_to_cell(cell, added);
        }
    }

    fn cell_address(&mut self, cell: u32) -> Value {
        self.imm(self.cells_address() + 8 * u64::from(cell))
    }

    pub(super) fn cells_address(&self) -> u64 {
        self.plan.cells.address() as u64
    }

    pub(super) fn next_record_address(&self) -> u64 {
        self.plan.cells.records().next_address() as u64
    }

    pub(super) fn index_address(&self, index: u32) -> u64 {
        self.plan.cells.keys(index).address() as u64
    }

    /// Adds to a cell, or to what this thread counts of it.
    fn add_to_cell(&mut self, cell: u32, n: u64) {
        let n = self.imm(n);
        self.add_value_to_cell(cell, n);
    }

    fn add_value_to_cell(&mut self, cell: u32, n: Value) {
        let (base, offset) = self.counter(cell);
        self.add_to_word(base, offset, n);
    }

    /// Counts in one of `len` cells from `cell` on: that with the index in slot `a`.
    fn count_at(&mut self, cell: u32, a: X, len: u32) {
        let (index, last) = (self.get(a), self.imm(u64::from(len) - 1));
        let index = self.b.ins().umin(index, last);
        let offset = self.b.ins().ishl_imm_u(index, 3);
        let (base, first) = self.counter(cell);
        let base = self.b.ins().iadd(base, offset);
        let one = self.imm(1);
        self.add_to_word(base, first, one);
    }

    /// Where this thread counts in a cell: an address and an offset.
    pub(super) fn counter(&mut self, cell: u32) -> (Value, i32) {
        if self.plan.parallel {
            (self.b.ins().load(I64, trusted(), self.state, COUNTERS), 8 * cell as i32)
        } else {
            (self.cell_address(cell), 0)
        }
    }

    pub(super) fn add_to_word(&mut self, base: Value, offset: i32, n: Value) {
        let old = self.b.ins().load(I64, trusted(), base, offset);
        let new = self.b.ins().iadd(old, n);
        self.b.ins().store(trusted(), new, base, offset);
    }

    /// Leaves for a known address through chain slot `which` of this block.
    fn chain(&mut self, pc: u64, which: usize) {
        self.flush();
        self.store_icount();
        let slot = self.host_address(Address::Slot((2 * self.index + which) as u32));
        let code = self.b.ins().load(I64, trusted(), slot, 0);
        let pc = self.imm(pc);
        self.tail_call(code, pc, slot);
    }

    fn store_icount(&mut self) {
        if self.counts() {
            let counted = self.counted_at(0);
            self.store_counted(counted);
        }
    }

    /// Adds the tallies to their cells and goes on elsewhere: at once if that is little, else in code that all such exits
    /// share.
    fn tail_call(&mut self, code: Value, pc: Value, slot: Value) {
        let cells: usize = self.each_running().map(|tally| self.tallies.all[tally].len()).sum();
        if cells <= FEW_CELLS {
            for tally in self.each_running() {
                let steps = self.b.use_var(self.steps[tally]);
                self.add_tally(tally, steps);
            }
            return self.leave_for(code, pc, slot);
        }
        let out = *self.out.get_or_insert_with(|| {
            let out = self.b.create_block();
            for _ in 0..self.steps.len() + 3 {
                self.b.append_block_param(out, I64);
            }
            out
        });
        let none = self.imm(0);
        let mut args = vec![none; self.steps.len()];
        for tally in self.each_running() {
            args[tally] = self.b.use_var(self.steps[tally]);
        }
        args.extend([code, pc, slot]);
        let args: Vec<_> = args.into_iter().map(Into::into).collect();
        self.b.ins().jump(out, &args);
    }

    fn leave_for(&mut self, code: Value, pc: Value, slot: Value) {
        let signature = self.b.import_signature(signature());
        let args = [self.state, self.memory, pc, slot];
        self.b.ins().return_call_indirect(signature, code, &args);
    }

    /// Leaves for an address that is known only now, through the indirect-branch cache.
    fn indirect(&mut self, hint: JumpHint, pc: Value) {
        debug_assert_eq!(jump_cache_index(4), 1, "generated code computes the same index");
        self.flush();
        self.store_icount();
        let link = self.imm(Left::link_of(hint) as u64);
        if self.facts.modes[self.index] {
            let other = self.fp_mode_differs();
            let (leave, go_on) = (self.fresh(), self.fresh());
            self.b.ins().brif(other, leave, &[], go_on, &[]);
            self.go_on_in(leave);
            let code = self.b.ins().load(I64, trusted(), self.state, RESOLVER);
            self.tail_call(code, pc, link);
            self.go_on_in(go_on);
        }
        let table = self.b.ins().load(I64, trusted(), self.state, JUMP_CACHE);
        let index = self.b.ins().ushr_imm_u(pc, 2);
        let index = self.b.ins().band_imm_u(index, (1 << JUMP_CACHE_BITS) - 1);
        let offset = self.b.ins().ishl_imm_u(index, 4);
        let entry = self.b.ins().iadd(table, offset);
        let key = self.b.ins().load(I64, trusted(), entry, 0);
        let (hit, miss, unknown) = (self.fresh(), self.fresh(), self.fresh());
        let found = self.b.append_block_param(hit, I64);
        self.b.set_cold_block(miss);
        self.b.set_cold_block(unknown);
        let same = self.b.ins().icmp(IntCC::Equal, key, pc);
        self.b.ins().brif(same, hit, &[entry.into()], miss, &[]);
        // The other place: see `JumpCache::keep`.
        self.go_on_in(miss);
        let offset = self.b.ins().bxor_imm_u(offset, 16);
        let entry = self.b.ins().iadd(table, offset);
        let key = self.b.ins().load(I64, trusted(), entry, 0);
        let same = self.b.ins().icmp(IntCC::Equal, key, pc);
        self.b.ins().brif(same, hit, &[entry.into()], unknown, &[]);
        self.go_on_in(unknown);
        let code = self.b.ins().load(I64, trusted(), self.state, RESOLVER);
        self.tail_call(code, pc, link);
        self.go_on_in(hit);
        let code = self.b.ins().load(I64, trusted(), found, 8);
        self.tail_call(code, pc, link);
    }

    // ---- blocks

    /// Lowers a block into `head`; `dirty`, `flags` and `known` are what holds there.
    fn block(&mut self, index: usize, head: Label, dirty: Slots, flags: Option<FlagKind>) {
        let block = &*self.plan.blocks[index];
        self.index = index;
        self.b.switch_to_block(head);
        self.flags = Flags::Variables(flags);
        self.dirty = dirty;
        self.checked.clear();
        self.slow = None;
        self.owe(index);
        self.running = self.tallies.running(index);
        self.acted = false;
        self.written = Default::default();
        self.terminated = false;
        self.labels.clear();
        self.label_flags.clear();
        self.loop_heads.clear();
        self.forget_scalars();
        self.begin_numbers();
        self.native = self.plan.native;
        self.native.float &= !self.facts.modes[index];
        let mut jumps = false;
        for (at, uop) in self.cold.kept(index, block) {
            let (Uop::Local { to } | Uop::LocalIf { to, .. }) = *uop else { continue };
            if self.cold.guards(index, at) || self.cold.leaves_out(index, to) {
                continue;
            }
            jumps = true;
            if !self.labels.contains_key(&to) {
                let label = self.b.create_block();
                self.labels.insert(to, label);
            }
            if to as usize <= at {
                self.loop_heads.insert(to);
                self.label_flags.insert(to, None);
            }
        }
        self.gathered = Gathered::new(self.cold.kept(index, block), jumps, self.plan.parallel);
        self.wholes = vec![None; self.gathered.wholes.len()];
        if self.plan.counting == Counting::Limited {
            self.count_block(block);
        }
        let kept: Vec<usize> = self.cold.kept(index, block).map(|(at, _)| at).collect();
        for at in kept {
            self.at = at;
            self.place_label(at as u32);
            if !self.terminated {
                let uop = block.uops[at];
                let mut words = self.words;
                words.step(&uop);
                self.uop(uop);
                self.known.step(&uop);
                self.words = words;
            }
        }
        debug_assert!(self.terminated, "block {:#x} does not end", block.pc);
    }

    /// Leaves in front of the block if the instruction limit falls into it.
    fn count_block(&mut self, block: &Block) {
        let after = self.icount_at(block.insns.len() as u64);
        let limit = self.b.ins().load(I64, trusted(), self.state, offset_of!(CpuState, limit) as i32);
        let over = self.b.ins().icmp(IntCC::UnsignedGreaterThan, after, limit);
        let exit = self.exit(block.pc, resume::ENTRY, Some(0));
        let go_on = self.fresh();
        self.b.ins().brif(over, exit, &[], go_on, &[]);
        self.go_on_in(go_on);
    }

    /// If micro-op `at` is jumped to, ends the code before it and goes on in its label.
    fn place_label(&mut self, at: u32) {
        let Some(&label) = self.labels.get(&at) else { return };
        if !self.terminated {
            self.settle_numbers(u32::MAX);
            self.flush_cells();
            self.note_jump(at);
            self.b.ins().jump(label, &[]);
        }
        self.pending.clear();
        self.b.switch_to_block(label);
        self.terminated = false;
        self.checked.clear();
        self.forget();
        self.forget_scalars();
        self.slow = None;
        self.flags = self.label_flags.get(&at).copied().flatten().unwrap_or(Flags::Variables(None));
        if self.loop_heads.contains(&at) {
            // The way back brings what the loop has written.
            let index = self.index;
            let block = &self.plan.blocks[index];
            self.dirty = self.dirty.union(defined(self.cold.kept(index, block)));
            self.running |= self.tallies.all.len().checked_sub(1).map_or(0, |last| u32::MAX >> (31 - last));
            for (_, uop) in self.cold.kept(index, block) {
                note_written(uop, &mut self.written);
            }
        }
    }

    /// Remembers what the flags are where the label of micro-op `to` is jumped to from.
    fn note_jump(&mut self, to: u32) {
        self.settle_kind();
        let flags = self.flags;
        self.label_flags
            .entry(to)
            .and_modify(|known| {
                if *known != Some(flags) {
                    *known = None;
                }
            })
            .or_insert(Some(flags));
    }

    /// Ends the block by going on at `pc`, inside the region if it is there.
    fn go_to(&mut self, pc: u64, which: usize) {
        self.end_of_block();
        self.edge(pc, which);
        self.terminated = true;
    }

    fn end_of_block(&mut self) {
        self.ahead += self.plan.blocks[self.index].insns.len() as u64;
    }

    /// Goes on at `pc`, as one of several ways on from here.
    fn way(&mut self, pc: u64, which: usize) {
        let before = (self.pending.clone(), self.ahead);
        self.edge(pc, which);
        (self.pending, self.ahead) = before;
    }

    fn edge(&mut self, pc: u64, which: usize) {
        if self.facts.modes[self.index] {
            let exit = self.exit(pc, resume::ENTRY, Some(0));
            let other = self.fp_mode_differs();
            let go_on = self.fresh();
            self.b.ins().brif(other, exit, &[], go_on, &[]);
            self.go_on_in(go_on);
        }
        let Some(&next) = self.flow.index_of.get(&pc) else {
            return self.chain(pc, which);
        };
        let owed = Owed { cells: std::mem::take(&mut self.pending), insns: self.ahead };
        let Owed { cells, insns } = owed.but(self.tallies.owed(next));
        (self.pending, self.ahead) = (cells, insns);
        self.flush_cells();
        if self.counts() && insns != 0 {
            let counted = self.counted_at(0);
            self.b.def_var(self.counted, counted);
        }
        self.owe(next);
        // Backward edges poll, so that no loop runs for ever unheard. So do edges behind actions: one that stands after
        // the last instruction may have changed code or probes.
        if self.flow.order[next] <= self.flow.order[self.index] || self.acted {
            self.poll_to(pc);
        }
        if self.facts.flags[next].is_none() {
            self.settle_kind();
        }
        self.b.ins().jump(self.heads[next], &[]);
    }

    /// Goes to the target of an indirect jump if that is in the region: by comparisons if there are few, else by a table
    /// over the addresses between the lowest and the highest. Falls through if it is not.
    fn jump_inside(&mut self, pc: Value) {
        let observed = self.plan.seen.targets.get(&self.plan.blocks[self.index].pc);
        let mut inside: Vec<u64> = observed.into_iter().flatten().copied().collect();
        inside.retain(|target| self.flow.index_of.contains_key(target));
        if inside.is_empty() {
            return;
        }
        if inside.len() > MAX_COMPARISONS {
            return self.jump_table(pc, inside);
        }
        inside.sort_unstable();
        let elsewhere = self.fresh();
        self.compare_with(pc, &inside, elsewhere);
        self.go_on_in(elsewhere);
    }

    /// Goes on at the one of some sorted targets that `pc` is, by halving, or in block `elsewhere`.
    fn compare_with(&mut self, pc: Value, targets: &[u64], elsewhere: Label) {
        if let [lower @ .., _, _] = targets
            && !lower.is_empty()
        {
            let (lower, upper) = targets.split_at(targets.len() / 2);
            let (below, above) = (self.fresh(), self.fresh());
            let is_below = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, pc, upper[0] as i64);
            self.b.ins().brif(is_below, below, &[], above, &[]);
            for (label, targets) in [(below, lower), (above, upper)] {
                self.go_on_in(label);
                self.compare_with(pc, targets, elsewhere);
            }
            return;
        }
        for (index, &target) in targets.iter().enumerate() {
            let there = self.fresh();
            let next = if index + 1 == targets.len() { elsewhere } else { self.fresh() };
            let same = self.b.ins().icmp_imm_u(IntCC::Equal, pc, target as i64);
            self.b.ins().brif(same, there, &[], next, &[]);
            self.go_on_in(there);
            self.way(target, 0);
            if next != elsewhere {
                self.go_on_in(next);
            }
        }
    }

    /// The same by a table. Falls through also if the targets are too far apart.
    fn jump_table(&mut self, pc: Value, inside: Vec<u64>) {
        let (Some(&low), Some(&high)) = (inside.iter().min(), inside.iter().max()) else { return };
        let entries = (high - low) / JUMP_TABLE_STEP + 1;
        if entries > MAX_JUMP_TABLE || self.facts.modes[self.index] {
            return;
        }
        let labels: Vec<Label> = inside.iter().map(|_| self.fresh()).collect();
        let outside = self.fresh();
        let table = (0..entries).map(|entry| {
            let target = low + entry * JUMP_TABLE_STEP;
            inside.iter().position(|&known| known == target).map_or(outside, |known| labels[known])
        });
        let calls: Vec<_> = table.map(|label| self.b.func.dfg.block_call(label, &[])).collect();
        let default = self.b.func.dfg.block_call(outside, &[]);
        let table = self.b.create_jump_table(JumpTableData::new(default, &calls));
        // Rotating brings addresses that are no multiple of the step, or below, out of the table's range.
        let offset = self.b.ins().iadd_imm_s(pc, (low as i64).wrapping_neg());
        let index = self.b.ins().rotr_imm_u(offset, i64::from(JUMP_TABLE_STEP.ilog2()));
        let (within, narrow) = (self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, index, entries as i64), self.fresh());
        self.b.ins().brif(within, narrow, &[], outside, &[]);
        self.go_on_in(narrow);
        let index = self.b.ins().ireduce(I32, index);
        self.b.ins().br_table(index, table);
        for (target, label) in inside.into_iter().zip(labels) {
            self.go_on_in(label);
            self.way(target, 0);
        }
        self.go_on_in(outside);
    }

    /// Not zero if floating point no longer behaves as this code was made for.
    fn fp_mode_differs(&mut self) -> Value {
        let control = self.get(slot::FP_CONTROL);
        let mode = self.imm(super::CONTROL_MODE);
        let special = self.b.ins().band(control, mode);
        let compare = if self.plan.native.float { IntCC::NotEqual } else { IntCC::Equal };
        self.b.ins().icmp_imm_s(compare, special, 0)
    }

    /// Whether a value is not zero (`nz`) or is. Of a comparison's result that is the comparison, or its opposite: a
    /// processor without flags compares and branches in one instruction, which is two micro-ops.
    fn truth(&mut self, value: Value, nz: bool) -> Value {
        let dfg = &self.b.func.dfg;
        let definition = |value: Value| dfg.value_def(dfg.resolve_aliases(value)).inst().map(|inst| dfg.insts[inst]);
        if let Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) = definition(value)
            && let Some(InstructionData::IntCompare { cond, args: [a, b], .. }) = definition(arg)
        {
            return if nz { arg } else { self.b.ins().icmp(cond.complement(), a, b) };
        }
        let compare = if nz { IntCC::NotEqual } else { IntCC::Equal };
        let value = self.values().extended(value).unwrap_or(value);
        self.b.ins().icmp_imm_s(compare, value, 0)
    }

    fn branch(&mut self, condition: Value, target: u64) {
        let end = self.plan.blocks[self.index].end;
        self.end_of_block();
        // A limit of instructions may lie between the two.
        if let Some(skip) = self.flow.skips[self.index]
            && !self.facts.modes[self.index]
            && self.plan.counting != Counting::Limited
        {
            return self.select_over(condition, skip, target);
        }
        let (taken, not_taken) = (self.fresh(), self.fresh());
        self.b.ins().brif(condition, taken, &[], not_taken, &[]);
        self.go_on_in(taken);
        self.way(target, 0);
        self.go_on_in(not_taken);
        self.edge(end, 1);
        self.terminated = true;
    }

    // ---- flags

    /// Executes the instruction that the branch skips in any case, and keeps what was there before if `condition` holds.
    fn select_over(&mut self, condition: Value, skip: Skip, target: u64) {
        let block = &self.plan.blocks[skip.over];
        for at in 0..skip.uops {
            let uop = block.uops[at as usize];
            let mut written = None;
            uop.operands(|operand| {
                if let Operand::DefX(d) = operand {
                    written = Some(d);
                }
            });
            let old = written.filter(|&d| is_guest(d)).map(|d| (d, self.get(d)));
            self.uop(uop);
            if let Some((d, old)) = old {
                let new = self.get(d);
                let value = self.b.ins().select(condition, old, new);
                self.set(d, value);
            }
        }
        if self.counts() {
            let counted = self.counted_at(0);
            let more = self.b.ins().iadd_imm_s(counted, 1);
            let counted = self.b.ins().select(condition, counted, more);
            self.b.def_var(self.counted, counted);
            self.ahead = 0;
        }
        self.edge(target, 0);
        self.terminated = true;
    }

    pub(super) fn set_flags(&mut self, kind: FlagKind, a: Value, b: Value) {
        self.dirty.add(Operand::DefFlags);
        self.set(slot::FLAG_A, a);
        self.set(slot::FLAG_B, b);
        self.flags = Flags::Of(kind, a, b);
    }

    /// The packed flags.
    fn nzcv(&mut self) -> Value {
        if let Flags::Variables(Some(FlagKind::Nzcv)) = self.flags {
            return self.get(slot::FLAG_A);
        }
        if let Flags::Of(FlagKind::Nzcv, a, _) = self.flags {
            return a;
        }
        if let Some((kind, a, b)) = self.float_flags() {
            return self.nzcv_of_compare(kind, a, b);
        }
        let args = [self.get(slot::FLAG_KIND), self.get(slot::FLAG_A), self.get(slot::FLAG_B)];
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend([AbiParam::new(I64); 3]);
        signature.returns.push(AbiParam::new(I64));
        self.call(signature, NZCV, &args)
    }

    /// The flags if they are known to be those of a comparison of numbers.
    fn float_flags(&mut self) -> Option<(FlagKind, Value, Value)> {
        let float = |kind| matches!(kind, FlagKind::Float32 | FlagKind::Float64);
        match self.flags {
            Flags::Of(kind, a, b) if float(kind) => Some((kind, a, b)),
            Flags::Variables(Some(kind)) if float(kind) => Some((kind, self.get(slot::FLAG_A), self.get(slot::FLAG_B))),
            _ => None,
        }
    }

    fn call(&mut self, signature: Signature, helper: i32, args: &[Value]) -> Value {
        let signature = self.b.import_signature(signature);
        let address = self.b.ins().load(I64, trusted(), self.state, helper);
        let call = self.b.ins().call_indirect(signature, address, args);
        self.b.inst_results(call)[0]
    }

    /// The condition as an 8-bit 0 or 1.
    fn condition(&mut self, cc: Cc) -> Value {
        if matches!(cc, Cc::Al | Cc::Nv) {
            return self.b.ins().iconst(I8, 1);
        }
        match self.flags {
            Flags::Of(kind, a, b) => self.condition_of(cc, kind, a, b),
            Flags::Variables(Some(kind)) => {
                let (a, b) = (self.get(slot::FLAG_A), self.get(slot::FLAG_B));
                self.condition_of(cc, kind, a, b)
            }
            Flags::If(when, kind, a, b, nzcv) => {
                let then = self.condition_of(cc, kind, a, b);
                let otherwise = self.b.ins().iconst(I8, i64::from(cc.holds(u64::from(nzcv))));
                self.b.ins().select(when, then, otherwise)
            }
            Flags::Variables(None) => {
                let nzcv = self.nzcv();
                self.condition_of(cc, FlagKind::Nzcv, nzcv, nzcv)
            }
        }
    }

    fn condition_of(&mut self, cc: Cc, kind: FlagKind, a: Value, b: Value) -> Value {
        match kind {
            FlagKind::Sub64 => self.condition_of_sub(cc, a, b),
            FlagKind::Sub32 => {
                let (a, b) = (self.b.ins().ireduce(I32, a), self.b.ins().ireduce(I32, b));
                self.condition_of_sub(cc, a, b)
            }
            FlagKind::Add64 => self.condition_of_add(cc, a, b),
            FlagKind::Add32 => {
                let (a, b) = (self.b.ins().ireduce(I32, a), self.b.ins().ireduce(I32, b));
                self.condition_of_add(cc, a, b)
            }
            FlagKind::Logic64 => self.condition_of_logic(cc, a),
            FlagKind::Logic32 => {
                let a = self.b.ins().ireduce(I32, a);
                self.condition_of_logic(cc, a)
            }
            FlagKind::Nzcv => self.condition_of_packed(cc, a),
            FlagKind::Float32 => self.condition_of_compare(cc, F32, a, b),
            FlagKind::Float64 => self.condition_of_compare(cc, F64, a, b),
        }
    }

    fn condition_of_sub(&mut self, cc: Cc, a: Value, b: Value) -> Value {
        let compare = match cc {
            Cc::Eq => IntCC::Equal,
            Cc::Ne => IntCC::NotEqual,
            Cc::Cs => IntCC::UnsignedGreaterThanOrEqual,
            Cc::Cc => IntCC::UnsignedLessThan,
            Cc::Hi => IntCC::UnsignedGreaterThan,
            Cc::Ls => IntCC::UnsignedLessThanOrEqual,
            Cc::Ge => IntCC::SignedGreaterThanOrEqual,
            Cc::Lt => IntCC::SignedLessThan,
            Cc::Gt => IntCC::SignedGreaterThan,
            Cc::Le => IntCC::SignedLessThanOrEqual,
            Cc::Mi | Cc::Pl => {
                let difference = self.b.ins().isub(a, b);
                return self.sign(difference, cc == Cc::Mi);
            }
            Cc::Vs | Cc::Vc => {
                let difference = self.b.ins().isub(a, b);
                let operands = self.b.ins().bxor(a, b);
                let changed = self.b.ins().bxor(a, difference);
                let overflow = self.b.ins().band(operands, changed);
                return self.sign(overflow, cc == Cc::Vs);
            }
            Cc::Al | Cc::Nv => return self.b.ins().iconst(I8, 1),
        };
        self.b.ins().icmp(compare, a, b)
    }

    fn condition_of_add(&mut self, cc: Cc, a: Value, b: Value) -> Value {
        let sum = self.b.ins().iadd(a, b);
        let carry = |l: &mut Self| l.b.ins().icmp(IntCC::UnsignedLessThan, sum, a);
        let zero = |l: &mut Self| l.b.ins().icmp_imm_u(IntCC::Equal, sum, 0);
        let overflow_word = |l: &mut Self| {
            let (x, y) = (l.b.ins().bxor(a, sum), l.b.ins().bxor(b, sum));
            l.b.ins().band(x, y)
        };
        let less = |l: &mut Self| {
            let overflow = overflow_word(l);
            let differs = l.b.ins().bxor(overflow, sum);
            l.sign(differs, true)
        };
        let value = match cc {
            Cc::Eq | Cc::Ne => zero(self),
            Cc::Cs | Cc::Cc => carry(self),
            Cc::Mi | Cc::Pl => self.sign(sum, true),
            Cc::Vs | Cc::Vc => {
                let overflow = overflow_word(self);
                self.sign(overflow, true)
            }
            Cc::Hi | Cc::Ls => {
                let (c, z) = (carry(self), zero(self));
                let nz = self.b.ins().bxor_imm_u(z, 1);
                self.b.ins().band(c, nz)
            }
            Cc::Ge | Cc::Lt => less(self),
            Cc::Gt | Cc::Le => {
                let (l, z) = (less(self), zero(self));
                self.b.ins().bor(l, z)
            }
            Cc::Al | Cc::Nv => return self.b.ins().iconst(I8, 1),
        };
        let negated = matches!(cc, Cc::Ne | Cc::Cc | Cc::Pl | Cc::Vc | Cc::Ls | Cc::Ge | Cc::Gt);
        if negated { self.b.ins().bxor_imm_u(value, 1) } else { value }
    }

    fn condition_of_logic(&mut self, cc: Cc, a: Value) -> Value {
        let compare = match cc {
            Cc::Eq | Cc::Ls => return self.logic_zero(cc, a),
            Cc::Ne => IntCC::NotEqual,
            Cc::Mi | Cc::Lt => IntCC::SignedLessThan,
            Cc::Pl | Cc::Ge => IntCC::SignedGreaterThanOrEqual,
            Cc::Gt => IntCC::SignedGreaterThan,
            Cc::Le => IntCC::SignedLessThanOrEqual,
            // C and V are clear.
            Cc::Cs | Cc::Vs | Cc::Hi => return self.b.ins().iconst(I8, 0),
            Cc::Cc | Cc::Vc | Cc::Al | Cc::Nv => return self.b.ins().iconst(I8, 1),
        };
        self.b.ins().icmp_imm_s(compare, a, 0)
    }

    fn logic_zero(&mut self, cc: Cc, a: Value) -> Value {
        // `ls` is "C clear or Z set", and C is clear.
        if cc == Cc::Ls { self.b.ins().iconst(I8, 1) } else { self.b.ins().icmp_imm_s(IntCC::Equal, a, 0) }
    }

    fn condition_of_packed(&mut self, cc: Cc, nzcv: Value) -> Value {
        // One bit of a 16-bit table indexed by the packed flags says it for every condition.
        let table: u64 = (0..16).filter(|&flags| cc.holds(flags)).map(|flags| 1 << flags).sum();
        let simple = match cc {
            Cc::Mi | Cc::Pl => Some(8),
            Cc::Eq | Cc::Ne => Some(4),
            Cc::Cs | Cc::Cc => Some(2),
            Cc::Vs | Cc::Vc => Some(1),
            _ => None,
        };
        if let (Cc::Cs | Cc::Cc, Some((flags, carry))) = (cc, self.carry)
            && flags == nzcv
        {
            return if cc == Cc::Cs { carry } else { self.b.ins().bxor_imm_u(carry, 1) };
        }
        if let Some(bit) = simple {
            let masked = self.b.ins().band_imm_u(nzcv, bit);
            let wanted = matches!(cc, Cc::Mi | Cc::Eq | Cc::Cs | Cc::Vs);
            return self.b.ins().icmp_imm_u(if wanted { IntCC::NotEqual } else { IntCC::Equal }, masked, 0);
        }
        let table = self.imm(table);
        let moved = self.b.ins().ushr(table, nzcv);
        let bit = self.b.ins().band_imm_u(moved, 1);
        self.b.ins().ireduce(I8, bit)
    }

    fn sign(&mut self, a: Value, negative: bool) -> Value {
        let compare = if negative { IntCC::SignedLessThan } else { IntCC::SignedGreaterThanOrEqual };
        self.b.ins().icmp_imm_s(compare, a, 0)
    }

    fn flags_if(&mut self, kind: FlagKind, cc: Cc, a: Value, b: Value, nzcv: u8) {
        let when = self.condition(cc);
        let (then_kind, else_kind) = (self.imm(kind as u64), self.imm(FlagKind::Nzcv as u64));
        let packed = self.imm(u64::from(nzcv));
        let kind_value = self.b.ins().select(when, then_kind, else_kind);
        let a_value = self.b.ins().select(when, a, packed);
        self.b.ins().store(trusted(), kind_value, self.state, x_offset(slot::FLAG_KIND));
        self.dirty.add(Operand::DefFlags);
        self.set(slot::FLAG_A, a_value);
        self.set(slot::FLAG_B, b);
        self.flags = Flags::If(when, kind, a, b, nzcv);
    }

    // ---- memory

    fn address(&mut self, a: X, imm: i64) -> Value {
        let base = self.get(a);
        if imm == 0 { base } else { self.b.ins().iadd_imm_s(base, imm) }
    }

    /// Leaves by the slow exit unless `bytes` at slot `a` plus `imm` may be accessed. Accesses of the same kind off
    /// the same base further down the block are checked along with it, as long as the range stays small.
    fn check(&mut self, a: X, imm: i64, bytes: i64, write: bool) {
        if self.known.covers(a, imm, bytes, write) {
            return;
        }
        let base = self.get(a);
        let (base, from) = self.root(base);
        let imm = from.wrapping_add(imm);
        let covered =
            |c: &Checked| c.base == base && c.write == write && c.low <= imm && imm.saturating_add(bytes) <= c.high;
        if self.checked.iter().any(covered) {
            return;
        }
        let (low, high) = self.range_ahead(a, imm.wrapping_sub(from), bytes, write);
        let (low, high) = (low.wrapping_add(from), high.wrapping_add(from));
        self.check_range(base, low, high.wrapping_sub(low), write);
        self.checked.push(Checked { base, write, low, high });
    }

    /// The value that this one is the sum of with a constant, and the constant: an address that is written back, or a
    /// frame pointer, is as good a base as what it was made of. Behind a check stands a new block, where the value of a
    /// variable has another name.
    fn root(&self, value: Value) -> (Value, i64) {
        let dfg = &self.b.func.dfg;
        let definition = |value: Value| dfg.value_def(value).inst().map(|inst| dfg.insts[inst]);
        let (mut base, mut offset) = (dfg.resolve_aliases(value), 0i64);
        for _ in 0..MOST_ADDITIONS {
            let Some(InstructionData::Binary { opcode: Opcode::Iadd, args: [a, b] }) = definition(base) else { break };
            let Some(InstructionData::UnaryImm { opcode: Opcode::Iconst, imm }) = definition(dfg.resolve_aliases(b))
            else {
                break;
            };
            (base, offset) = (dfg.resolve_aliases(a), offset.wrapping_add(imm.bits()));
        }
        (base, offset)
    }

    /// The micro-ops of the block from the one that is being lowered on.
    pub(super) fn rest_of_block(&self) -> impl Iterator<Item = (usize, &Uop)> {
        self.cold.kept(self.index, &self.plan.blocks[self.index]).filter(|&(at, _)| at >= self.at)
    }

    /// The offsets that accesses off slot `a` touch from here on, until it changes by more than a constant; also off
    /// other slots that are the sum of it and a constant.
    fn range_ahead(&self, a: X, imm: i64, bytes: i64, write: bool) -> (i64, i64) {
        let (mut low, mut high) = (imm, imm.saturating_add(bytes));
        let kept = self.rest_of_block();
        let mut bases = vec![(a, 0i64)];
        let offset_of = |bases: &[(X, i64)], x: X| bases.iter().find(|base| base.0 == x).map(|base| base.1);
        for (at, uop) in kept {
            if let Some((base, imm, size, is_write)) = access(uop)
                && is_write == write
                && let Some(offset) = offset_of(&bases, base).map(|offset| offset.wrapping_add(imm))
                && (low - PAGE as i64 / 2..high + PAGE as i64 / 2).contains(&offset)
            {
                let (new_low, new_high) = (low.min(offset), high.max(offset + size));
                if new_high - new_low <= PAGE as i64 / 2 {
                    (low, high) = (new_low, new_high);
                }
            }
            let sum = match *uop {
                Uop::BinI { op: BinOp::Add64, d, a, imm } => {
                    offset_of(&bases, a).map(|offset| (d, offset.wrapping_add(imm as i64)))
                }
                _ => None,
            };
            uop.operands(|operand| bases.retain(|&(x, _)| operand != Operand::DefX(x)));
            bases.extend(sum);
            let jumps = matches!(uop, Uop::Local { .. } | Uop::LocalIf { .. }) && !self.cold.guards(self.index, at);
            if bases.is_empty() || jumps || matches!(uop, Uop::Action { .. }) {
                break;
            }
        }
        (low, high)
    }

    /// Leaves by the slow exit unless `base + low .. + size` may be accessed; `size` is at most a page.
    fn check_range(&mut self, base: Value, low: i64, size: i64, write: bool) {
        let slow = self.slow_exit();
        let first = if low == 0 { base } else { self.b.ins().iadd_imm_s(base, low) };
        let page = self.page(first);
        let inside = self.fresh();
        let outside = self.is_outside(page);
        self.b.ins().brif(outside, slow, &[], inside, &[]);
        self.go_on_in(inside);
        let go_on = self.fresh();
        let bits = self.page_bits(page);
        let single = if write { perm::FAST_WRITE } else { perm::READ };
        if size == 1 {
            let allowed = self.b.ins().band_imm_u(bits, i64::from(single));
            self.b.ins().brif(allowed, go_on, &[], slow, &[]);
        } else {
            // One look is enough unless the page is the last of its kind; then the last byte decides.
            let pair = if write { perm::FAST_WRITE_PAIR } else { perm::READ_PAIR };
            let allowed = self.b.ins().band_imm_u(bits, i64::from(pair));
            let edge = self.fresh();
            self.b.set_cold_block(edge);
            self.b.ins().brif(allowed, go_on, &[], edge, &[]);
            self.go_on_in(edge);
            let last = self.b.ins().iadd_imm_s(first, size - 1);
            let page = self.page(last);
            let more = self.page_bits(page);
            let both = self.b.ins().band(bits, more);
            let allowed = self.b.ins().band_imm_u(both, i64::from(single));
            self.b.ins().brif(allowed, go_on, &[], slow, &[]);
        }
        self.go_on_in(go_on);
    }

    fn page(&mut self, address: Value) -> Value {
        self.b.ins().ushr_imm_u(address, i64::from(PAGE.ilog2()))
    }

    /// Whether a page is outside of the address space. That of its number fits an instruction, that of an address not.
    fn is_outside(&mut self, page: Value) -> Value {
        self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, page, (ADDRESS_SPACE / PAGE) as i64)
    }

    /// The permissions of a page. Their table stands at a fixed distance from guest memory, so that one register has
    /// both addresses.
    fn page_bits(&mut self, page: Value) -> Value {
        let entry = self.b.ins().iadd(self.memory, page);
        self.b.ins().load(I8, trusted(), entry, PERMISSIONS)
    }

    /// The host address of a checked guest address without its offset, and the offset if it fits an instruction.
    fn host(&mut self, a: X, imm: i64) -> (Value, i32) {
        match i32::try_from(imm) {
            Ok(offset) => {
                let base = self.get(a);
                (self.b.ins().iadd(self.memory, base), offset)
            }
            Err(_) => {
                let address = self.address(a, imm);
                (self.b.ins().iadd(self.memory, address), 0)
            }
        }
    }

    fn load(&mut self, ty: MemTy, host: Value, offset: i32) -> Value {
        let flags = trusted();
        match ty {
            MemTy::U8 => self.b.ins().uload8(I64, flags, host, offset),
            MemTy::U16 => self.b.ins().uload16(I64, flags, host, offset),
            MemTy::U32 => self.b.ins().uload32(flags, host, offset),
            MemTy::U64 => self.b.ins().load(I64, flags, host, offset),
            MemTy::S8 => self.b.ins().sload8(I64, flags, host, offset),
            MemTy::S16 => self.b.ins().sload16(I64, flags, host, offset),
            MemTy::S32 => self.b.ins().sload32(flags, host, offset),
            MemTy::S8to32 => {
                let value = self.b.ins().sload8(I32, flags, host, offset);
                self.b.ins().uextend(I64, value)
            }
            MemTy::S16to32 => {
                let value = self.b.ins().sload16(I32, flags, host, offset);
                self.b.ins().uextend(I64, value)
            }
        }
    }

    fn store(&mut self, ty: MemTy, value: Value, host: Value, offset: i32) {
        let flags = trusted();
        let value = if ty.bytes() == 4 { self.values().low(value) } else { value };
        match ty.bytes() {
            1 => self.b.ins().istore8(flags, value, host, offset),
            2 => self.b.ins().istore16(flags, value, host, offset),
            _ => self.b.ins().store(flags, value, host, offset),
        };
    }

    /// What a micro-op makes that belongs to a number which is loaded in pieces: the first one is a load.
    fn make_part(&mut self, uop: Uop, part: Part) {
        let whole = match self.wholes[part.whole] {
            Some(whole) => whole,
            None => {
                let Uop::Load { a, .. } = uop else { unreachable!("the first piece of a number is loaded") };
                let whole = self.load_whole(a, self.gathered.wholes[part.whole]);
                self.wholes[part.whole] = Some(whole);
                whole
            }
        };
        let mut d = slot::ZERO;
        uop.operands(|operand| {
            if let Operand::DefX(x) = operand {
                d = x;
            }
        });
        let Whole { bytes, signed, .. } = self.gathered.wholes[part.whole];
        if (part.bytes, part.to, part.signed) == (bytes, 0, signed) {
            return self.set(d, whole);
        }
        let value = self.piece(whole, part);
        self.pieces.insert(value, (whole, part));
        self.set(d, value);
    }

    fn load_whole(&mut self, a: X, whole: Whole) -> Value {
        let Whole { low, bytes, reversed, signed } = whole;
        self.check(a, low, i64::from(bytes), false);
        let (host, offset) = self.host(a, low);
        if !reversed {
            let ty = match (bytes, signed) {
                (2, false) => MemTy::U16,
                (2, true) => MemTy::S16,
                (4, false) => MemTy::U32,
                (4, true) => MemTy::S32,
                _ => MemTy::U64,
            };
            return self.load(ty, host, offset);
        }
        let ty = match bytes {
            2 => I16,
            4 => I32,
            _ => I64,
        };
        let value = self.b.ins().load(ty, trusted(), host, offset);
        let value = self.b.ins().bswap(value);
        match (ty, signed) {
            (I64, _) => value,
            (_, false) => self.b.ins().uextend(I64, value),
            (_, true) => self.b.ins().sextend(I64, value),
        }
    }

    /// A value of which so many bytes are stored. A piece is made anew, since it has mostly been made long before, when
    /// more pieces were wanted than there are registers.
    fn piece_to_store(&mut self, value: Value, bytes: u64) -> Value {
        match self.pieces.get(&value) {
            Some(&(whole, part)) if part.to == 0 && u64::from(part.bytes) >= bytes => match part.from {
                0 => whole,
                from => self.b.ins().ushr_imm_u(whole, i64::from(8 * from)),
            },
            _ => value,
        }
    }

    /// A part of a number.
    fn piece(&mut self, whole: Value, part: Part) -> Value {
        let Part { from, bytes, to, signed, .. } = part;
        let field = self.values().bit_field(signed, whole, 8 * from, 8 * bytes);
        if to == 0 { field } else { self.b.ins().ishl_imm_u(field, i64::from(8 * to)) }
    }

    /// Leaves by the slow exit unless slot `a` plus `imm` is a multiple of `bytes`.
    fn align(&mut self, a: X, imm: i64, bytes: u64) {
        if bytes == 1 {
            return;
        }
        let slow = self.slow_exit();
        let address = self.address(a, imm);
        let odd = self.b.ins().band_imm_u(address, bytes as i64 - 1);
        let go_on = self.fresh();
        self.b.ins().brif(odd, slow, &[], go_on, &[]);
        self.go_on_in(go_on);
    }

    /// The host address of `ty` at slot `a`, checked for an atomic access.
    fn atomic_address(&mut self, ty: MemTy, a: X) -> Value {
        self.align(a, 0, ty.bytes());
        // Pages with translated code do not pass: the interpreter stores there.
        self.check(a, 0, ty.bytes() as i64, true);
        self.host(a, 0).0
    }

    /// The low bits of slot `x` that an access of `ty` has.
    fn atomic_operand(&mut self, ty: MemTy, x: X) -> Value {
        let value = self.get(x);
        if ty.bytes() == 8 { value } else { self.b.ins().ireduce(integer_of(ty), value) }
    }

    /// Sets slot `d`, which may be `ZERO`, to what memory held.
    fn set_atomic(&mut self, ty: MemTy, d: X, old: Value) {
        if d != slot::ZERO {
            let value = if ty.bytes() == 8 { old } else { self.b.ins().uextend(I64, old) };
            self.set(d, value);
        }
    }

    fn atomic(&mut self, op: AmoOp, ty: MemTy, d: X, s: X, a: X) {
        let host = self.atomic_address(ty, a);
        let operand = self.atomic_operand(ty, s);
        let (op, operand) = match op {
            AmoOp::Swap => (AtomicRmwOp::Xchg, operand),
            AmoOp::Add => (AtomicRmwOp::Add, operand),
            AmoOp::Clear => (AtomicRmwOp::And, self.b.ins().bnot(operand)),
            AmoOp::Xor => (AtomicRmwOp::Xor, operand),
            AmoOp::Or => (AtomicRmwOp::Or, operand),
            AmoOp::And => (AtomicRmwOp::And, operand),
            AmoOp::MaxS => (AtomicRmwOp::Smax, operand),
            AmoOp::MinS => (AtomicRmwOp::Smin, operand),
            AmoOp::MaxU => (AtomicRmwOp::Umax, operand),
            AmoOp::MinU => (AtomicRmwOp::Umin, operand),
        };
        let old = self.b.ins().atomic_rmw(integer_of(ty), trusted(), op, host, operand);
        self.set_atomic(ty, d, old);
    }

    fn compare_and_swap(&mut self, ty: MemTy, d: X, c: X, s: X, a: X) {
        let host = self.atomic_address(ty, a);
        let (expected, new) = (self.atomic_operand(ty, c), self.atomic_operand(ty, s));
        let old = self.b.ins().atomic_cas(trusted(), host, expected, new);
        self.set_atomic(ty, d, old);
    }

    fn load_vector(&mut self, bytes: u8, host: Value, offset: i32) -> Value {
        let flags = trusted();
        if bytes == 16 {
            return self.b.ins().load(I8X16, flags, host, offset);
        }
        // There is no form that fills a vector from 8 or 16 bits.
        let (value, vector) = match bytes {
            1 => (self.b.ins().uload8(I32, flags, host, offset), I32X4),
            2 => (self.b.ins().uload16(I32, flags, host, offset), I32X4),
            4 => (self.b.ins().load(I32, flags, host, offset), I32X4),
            _ => (self.b.ins().load(I64, flags, host, offset), I64X2),
        };
        let value = self.b.ins().scalar_to_vector(vector, value);
        self.bytes_of(value)
    }

    fn store_vector(&mut self, bytes: u8, value: Value, host: Value, offset: i32) {
        let flags = trusted();
        if bytes == 16 {
            self.b.ins().store(flags, value, host, offset);
            return;
        }
        let vector = lanes_of(bytes);
        let value = self.cast(value, vector);
        let value = self.b.ins().extractlane(value, 0);
        self.b.ins().store(flags, value, host, offset);
    }

    /// Sees a vector as lanes of another type.
    pub(super) fn cast(&mut self, value: Value, ty: Type) -> Value {
        if ty == I8X16 {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
        self.b.ins().bitcast(ty, flags, value)
    }

    /// Sees a vector as bytes again.
    pub(super) fn bytes_of(&mut self, value: Value) -> Value {
        let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
        self.b.ins().bitcast(I8X16, flags, value)
    }

    // ---- micro-ops

    fn uop(&mut self, uop: Uop) {
        let mut status = matches!(uop, Uop::ReadSys { .. } | Uop::WriteSys { .. });
        uop.operands(|operand| {
            status |= matches!(operand, Operand::UseX(x) | Operand::DefX(x) if x == slot::FP_STATUS)
        });
        if status {
            self.sync_fp_status();
        }
        note_written(&uop, &mut self.written);
        self.settle_for(&uop);
        if let Some(part) = self.gathered.part(self.at) {
            return self.make_part(uop, part);
        }
        match uop {
            Uop::MovI { d, imm } => {
                let value = self.imm(imm);
                self.set(d, value);
            }
            Uop::Un { op, d, a } => {
                let a = self.get(a);
                let value = self.values().un(op, a);
                self.set(d, value);
            }
            Uop::Bin { op, d, a, b } => {
                let (a, b) = (self.get(a), self.get(b));
                self.binary(uop, op, d, a, b);
            }
            Uop::BinI { op, d, a, imm } => {
                let a = self.get(a);
                let b = self.imm(imm);
                self.binary(uop, op, d, a, b);
            }
            Uop::BinSh { op, d, a, b, shift, n } => {
                let (a, b) = (self.get(a), self.get(b));
                let b = self.values().shifted(!op.is_32(), shift, b, n);
                self.binary(uop, op, d, a, b);
            }
            Uop::MulAdd64 { d, a, b, c } => self.multiply_add(d, a, b, c, true, false),
            Uop::MulAdd32 { d, a, b, c } => self.multiply_add(d, a, b, c, false, false),
            Uop::MulSub64 { d, a, b, c } => self.multiply_add(d, a, b, c, true, true),
            Uop::MulSub32 { d, a, b, c } => self.multiply_add(d, a, b, c, false, true),
            Uop::Extr64 { d, a, b, n } => self.extract(d, a, b, n, true),
            Uop::Extr32 { d, a, b, n } => self.extract(d, a, b, n, false),
            Uop::BfxU { d, a, lsb, len } => {
                let a = self.get(a);
                let value = self.values().bit_field(false, a, lsb, len);
                self.set(d, value);
            }
            Uop::BfxS { d, a, lsb, len } => {
                let a = self.get(a);
                let value = self.values().bit_field(true, a, lsb, len);
                self.set(d, value);
            }
            Uop::Bfi { d, a, b, lsb, len } => {
                let (a, b) = (self.get(a), self.get(b));
                let value = self.values().insert_field(a, b, lsb, len);
                self.set(d, value);
            }
            Uop::Select { d, c, a, b } => {
                let (c, a, b) = (self.get(c), self.get(a), self.get(b));
                let value = self.b.ins().select(c, a, b);
                self.set(d, value);
            }

            Uop::Flags { kind, a, b } => {
                let (a, b) = (self.get(a), self.get(b));
                self.set_flags(kind, a, b);
            }
            Uop::FlagsI { kind, a, imm } => {
                let a = self.get(a);
                let b = self.imm(imm);
                self.set_flags(kind, a, b);
            }
            Uop::SetNzcv { a } => {
                let a = self.get(a);
                let packed = self.b.ins().band_imm_u(a, 15);
                let zero = self.imm(0);
                self.set_flags(FlagKind::Nzcv, packed, zero);
            }
            Uop::GetNzcv { d } => {
                let value = self.nzcv();
                self.set(d, value);
            }
            Uop::StickX { d } => {
                let written = self.get(d);
                let bits = offset_of!(CpuState, stuck.x) + size_of::<StuckBits>() * usize::from(d);
                let held = self.stuck(written, I64, bits);
                self.set(d, held);
            }
            Uop::StickV { d } => {
                let written = self.get_v(d);
                let bits = offset_of!(CpuState, stuck.v) + size_of::<StuckBits>() * usize::from(d);
                let held = self.stuck(written, I8X16, bits);
                self.set_v(d, held);
            }
            Uop::StickFlags => self.plain(uop),
            Uop::FlagsIf { kind, cc, a, b, nzcv } => {
                let (a, b) = (self.get(a), self.get(b));
                self.flags_if(kind, cc, a, b, nzcv);
            }
            Uop::Cond { d, cc } => {
                let bit = self.condition(cc);
                let value = self.b.ins().uextend(I64, bit);
                self.set(d, value);
            }
            Uop::SelectCc64 { op, cc, d, a, b } => {
                let value = self.select_cc(op, cc, a, b);
                self.set(d, value);
            }
            Uop::SelectCc32 { op, cc, d, a, b } => {
                let value = self.select_cc(op, cc, a, b);
                let low = self.b.ins().ireduce(I32, value);
                let value = self.b.ins().uextend(I64, low);
                self.set(d, value);
            }
            Uop::Adc64 { d, a, b, set: false } => {
                let value = self.add_with_carry(a, b);
                self.set(d, value);
            }
            Uop::Adc32 { d, a, b, set: false } => {
                let value = self.add_with_carry(a, b);
                let low = self.b.ins().ireduce(I32, value);
                let value = self.b.ins().uextend(I64, low);
                self.set(d, value);
            }
            Uop::Adc64 { d, a, b, set: true } => self.add_with_carry_setting_flags(I64, d, a, b),
            Uop::Adc32 { d, a, b, set: true } => self.add_with_carry_setting_flags(I32, d, a, b),

            Uop::Load { ty, d, a, imm } => {
                self.check(a, imm, ty.bytes() as i64, false);
                let (host, offset) = self.host(a, imm);
                let value = self.load(ty, host, offset);
                self.set(d, value);
            }
            Uop::Store { ty, s, a, imm } => {
                self.check(a, imm, ty.bytes() as i64, true);
                let (host, offset) = self.host(a, imm);
                let value = self.get(s);
                let value = self.piece_to_store(value, ty.bytes());
                self.store(ty, value, host, offset);
            }
            Uop::LoadPair { ty, d, e, a, imm } => {
                let bytes = ty.bytes() as i32;
                self.check(a, imm, 2 * i64::from(bytes), false);
                let (host, offset) = self.host(a, imm);
                let first = self.load(ty, host, offset);
                let second = self.load(ty, host, offset + bytes);
                self.set(d, first);
                self.set(e, second);
            }
            Uop::StorePair { ty, s, t, a, imm } => {
                let bytes = ty.bytes() as i32;
                self.check(a, imm, 2 * i64::from(bytes), true);
                let (host, offset) = self.host(a, imm);
                let (first, second) = (self.get(s), self.get(t));
                self.store(ty, first, host, offset);
                self.store(ty, second, host, offset + bytes);
            }
            Uop::LoadV { d, bytes, a, imm } => {
                self.check(a, imm, i64::from(bytes), false);
                let (host, offset) = self.host(a, imm);
                if bytes == 8 && self.numbers.holds(d) {
                    let value = self.b.ins().load(F64, trusted(), host, offset);
                    return self.set_number(d, value);
                }
                let value = self.load_vector(bytes, host, offset);
                self.set_v(d, value);
            }
            Uop::StoreV { s, bytes, a, imm } => {
                self.check(a, imm, i64::from(bytes), true);
                let (host, offset) = self.host(a, imm);
                if bytes == 8 && self.numbers.holds(s) {
                    let value = self.number(s);
                    self.b.ins().store(trusted(), value, host, offset);
                    return;
                }
                let value = self.get_v(s);
                self.store_vector(bytes, value, host, offset);
            }
            Uop::LoadPairV { d, e, bytes, a, imm } => {
                self.check(a, imm, 2 * i64::from(bytes), false);
                let (host, offset) = self.host(a, imm);
                let first = self.load_vector(bytes, host, offset);
                let second = self.load_vector(bytes, host, offset + i32::from(bytes));
                self.set_v(d, first);
                self.set_v(e, second);
            }
            Uop::StorePairV { s, t, bytes, a, imm } => {
                self.check(a, imm, 2 * i64::from(bytes), true);
                let (host, offset) = self.host(a, imm);
                let (first, second) = (self.get_v(s), self.get_v(t));
                self.store_vector(bytes, first, host, offset);
                self.store_vector(bytes, second, host, offset + i32::from(bytes));
            }
            Uop::Fence { order: Fence::Full } => {
                self.b.ins().fence();
            }
            // The host orders loads with loads and stores with stores, and nothing here reorders them.
            Uop::Fence { .. } | Uop::IcacheInvalidate { .. } => {}

            Uop::VMovI { d, both, imm } => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&imm.to_le_bytes());
                if both {
                    bytes[8..].copy_from_slice(&imm.to_le_bytes());
                }
                let constant = self.b.func.dfg.constants.insert(bytes.as_slice().into());
                let value = self.b.ins().vconst(I8X16, constant);
                self.set_v(d, value);
            }
            // Native floating point runs in one mode, which is valid.
            Uop::CheckRounding if self.native.float => {}
            Uop::CheckRounding => self.plain(uop),
            Uop::Align { a, bytes, imm } => self.align(a, imm, u64::from(bytes)),
            Uop::Amo { op, ty, d, s, a } => self.atomic(op, ty, d, s, a),
            Uop::Cas { ty, d, c, s, a } => self.compare_and_swap(ty, d, c, s, a),
            Uop::ZeroBlock { .. }
            | Uop::LoadEx { .. }
            | Uop::LoadExPair { .. }
            | Uop::StoreEx { .. }
            | Uop::StoreExPair { .. }
            | Uop::ClearEx
            | Uop::CasPair { .. }
            | Uop::Vector { .. }
            | Uop::VectorLook { .. }
            | Uop::VectorAccess { .. }
            | Uop::ReadSys { .. }
            | Uop::WriteSys { .. } => self.plain(uop),
            Uop::V1 { .. } | Uop::V2 { .. } | Uop::V3 { .. } | Uop::Vx { .. } | Uop::Xv { .. } | Uop::FCmp { .. } => {
                if !self.vector(uop) {
                    self.plain(uop);
                }
            }

            Uop::Jump { target, .. } => self.go_to(target, 0),
            Uop::JumpInd { hint, a } => {
                let pc = self.get(a);
                self.end_of_block();
                self.jump_inside(pc);
                self.indirect(hint, pc);
                self.terminated = true;
            }
            Uop::BrZero { nz, a, target } => {
                let a = self.get(a);
                let condition = self.truth(a, nz);
                self.branch(condition, target);
            }
            Uop::BrBit { set, bit, a, target } => {
                let a = self.get(a);
                let mask = self.imm(1 << bit);
                let masked = self.b.ins().band(a, mask);
                let compare = if set { IntCC::NotEqual } else { IntCC::Equal };
                let condition = self.b.ins().icmp_imm_s(compare, masked, 0);
                self.branch(condition, target);
            }
            Uop::BrCc { cc, target } => {
                let condition = self.condition(cc);
                self.branch(condition, target);
            }
            Uop::Next => self.go_to(self.plan.blocks[self.index].end, 0),
            Uop::Syscall { .. } | Uop::Trap { .. } => {
                let slow = self.slow_exit();
                self.b.ins().jump(slow, &[]);
                // The exit adds to the cells; the code behind it has nothing left to add.
                self.pending.clear();
                self.terminated = true;
            }

            Uop::Icount { d } => {
                let block = &self.plan.blocks[self.index];
                let insn = block.insn_of(self.at as u32);
                let done = u64::from(self.at as u32 >= block.insn(insn).after);
                let value = self.icount_at(insn as u64 + done);
                self.set(d, value);
            }
            Uop::ProbeLoad { ty, d, e, a } => self.probe_load(ty, d, e, a),
            // The number is the sum of several words, or changes in one atomic step.
            Uop::CellGet { cell, .. } | Uop::CellSet { cell, .. } | Uop::CellAdd { cell, .. } if self.plan.parallel => {
                self.settle_cell(cell);
                self.plain(uop);
            }
            Uop::CellGet { d, cell } => {
                self.settle_cell(cell);
                let address = self.cell_address(cell);
                let value = self.b.ins().load(I64, trusted(), address, 0);
                self.set(d, value);
            }
            Uop::CellSet { a, cell } => {
                self.settle_cell(cell);
                let value = self.get(a);
                let address = self.cell_address(cell);
                self.b.ins().store(trusted(), value, address, 0);
            }
            Uop::CellInc { cell, n } => counters::add(&mut self.pending, cell, n),
            Uop::CellIncAt { cell, a, len } => self.count_at(cell, a, len),
            Uop::CellFind { d, a, index } => self.find_cell(d, a, index),
            Uop::Record { action, d, args, n } => self.record(action, d, args, n),
            Uop::CellAt { d, a } => self.cell_at(d, a),
            Uop::CellAddAt { cell, a, n } => self.add_at(cell, a, n),
            Uop::CellAdd { d, a, cell } => {
                self.settle_cell(cell);
                let a = self.get(a);
                let address = self.cell_address(cell);
                let old = self.b.ins().load(I64, trusted(), address, 0);
                let value = self.b.ins().iadd(old, a);
                self.b.ins().store(trusted(), value, address, 0);
                self.set(d, value);
            }
            Uop::Local { to } => {
                self.flush_cells();
                let label = self.local_label(to);
                self.b.ins().jump(label, &[]);
                self.terminated = true;
            }
            Uop::LocalIf { nz, a, to: _ } if self.cold.guards(self.index, self.at) => self.guard(nz, a),
            Uop::LocalIf { nz, a, to } => {
                self.flush_cells();
                let a = self.get(a);
                let (label, go_on) = (self.local_label(to), self.fresh());
                let (then, otherwise) = if nz { (label, go_on) } else { (go_on, label) };
                self.b.ins().brif(a, then, &[], otherwise, &[]);
                self.go_on_in(go_on);
            }
            Uop::Action { action, d, args, n, state } => self.action(action, d, args, n, state),
            // There is something to look at behind actions only; the rest waits for the next backward edge.
            Uop::Poll { body } => {
                if self.acted {
                    self.poll(body);
                }
            }
            Uop::Goto { a, done } => {
                let block = &self.plan.blocks[self.index];
                let insn = block.insn_of(self.at as u32);
                let done = insn as u64 + u64::from(done);
                let pc = self.get(a);
                self.ahead += done;
                self.indirect(JumpHint::Jump, pc);
                self.ahead -= done;
                self.terminated = true;
            }
        }
    }

    /// Where a local jump to micro-op `to` leads.
    fn local_label(&mut self, to: u32) -> Label {
        if self.cold.leaves_out(self.index, to) {
            return self.cold_exit(to);
        }
        self.note_jump(to);
        self.labels[&to]
    }

    /// A conditional jump over what is left out, which is gone on behind.
    fn guard(&mut self, nz: bool, a: X) {
        if self.cold.is_known(self.index, self.at) {
            return;
        }
        let exit = self.cold_exit(self.at as u32 + 1);
        let last = self.at.checked_sub(1).map(|at| self.plan.blocks[self.index].uops[at]);
        if let (false, Some(Uop::BinI { op: BinOp::Eq, d, a: compared, imm })) = (nz, last)
            && d == a
            && compared != d
        {
            let compared = self.get(compared);
            return self.leave_if_equal(compared, imm, exit);
        }
        let a = self.get(a);
        self.leave_unless(nz, a, exit);
    }

    /// Sets `d` to `op(a, b)`.
    fn binary(&mut self, uop: Uop, op: BinOp, d: X, a: Value, b: Value) {
        let value = match self.values().bin(op, a, b) {
            None => super::direct::bin(op).map(|function| self.call_direct(function, &[a, b], I64)),
            native => native,
        };
        match value {
            Some(value) => self.set(d, value),
            None => self.plain(uop),
        }
    }

    /// Calls a function of [`super::direct`].
    pub(super) fn call_direct(&mut self, function: usize, args: &[Value], result: Type) -> Value {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend(args.iter().map(|&arg| AbiParam::new(self.b.func.dfg.value_type(arg))));
        signature.returns.push(AbiParam::new(result));
        let signature = self.b.import_signature(signature);
        let address = self.host_address(Address::of_function(function));
        let call = self.b.ins().call_indirect(signature, address, args);
        self.b.inst_results(call)[0]
    }

    fn multiply_add(&mut self, d: X, a: X, b: X, c: X, wide: bool, subtract: bool) {
        let (a, b, c) = (self.get(a), self.get(b), self.get(c));
        let product = self.b.ins().imul(a, b);
        let sum = if subtract { self.b.ins().isub(c, product) } else { self.b.ins().iadd(c, product) };
        let value = if wide { sum } else { self.values().un(crate::uop::UnOp::Zext32, sum) };
        self.set(d, value);
    }

    fn extract(&mut self, d: X, a: X, b: X, n: u8, wide: bool) {
        let (a, b) = (self.get(a), self.get(b));
        let value = self.values().extract(wide, a, b, n);
        self.set(d, value);
    }

    fn select_cc(&mut self, op: SelOp, cc: Cc, a: X, b: X) -> Value {
        let (a, b) = (self.get(a), self.get(b));
        let otherwise = self.values().select_operand(op, b);
        let condition = self.condition(cc);
        self.b.ins().select(condition, a, otherwise)
    }

    fn add_with_carry(&mut self, a: X, b: X) -> Value {
        let (a, b) = (self.get(a), self.get(b));
        self.sum_with_carry(a, b)
    }

    fn sum_with_carry(&mut self, a: Value, b: Value) -> Value {
        let carry = self.condition(Cc::Cs);
        let carry = self.b.ins().uextend(I64, carry);
        let sum = self.b.ins().iadd(a, b);
        self.b.ins().iadd(sum, carry)
    }

    /// Adds with the carry: the sum, and the new carry. They are the upper half of a sum of 128 bits, the lower half of
    /// which carries if there was a carry; the host adds so, too.
    fn add_and_carry(&mut self, a: X, b: X) -> (Value, Value) {
        let carry = self.condition(Cc::Cs);
        let (carry, ones) = (self.b.ins().uextend(I64, carry), self.imm(u64::MAX));
        let (a, b) = (self.get(a), self.get(b));
        let (a, b) = (self.b.ins().iconcat(carry, a), self.b.ins().iconcat(ones, b));
        let (sum, carry) = self.b.ins().uadd_overflow(a, b);
        let (_, sum) = self.b.ins().isplit(sum);
        (sum, carry)
    }

    /// The same of low halves.
    fn add_and_carry_32(&mut self, a: X, b: X) -> (Value, Value) {
        let (a, b) = (self.get(a), self.get(b));
        let (a, b) = (self.values().un(UnOp::Zext32, a), self.values().un(UnOp::Zext32, b));
        let sum = self.sum_with_carry(a, b);
        let carry = self.b.ins().ushr_imm_u(sum, 32);
        (self.b.ins().ireduce(I32, sum), self.b.ins().ireduce(I8, carry))
    }

    /// Adds with the carry in the width of `ty`, and packs the flags.
    fn add_with_carry_setting_flags(&mut self, ty: Type, d: X, a: X, b: X) {
        let (sum, carry) = if ty == I64 { self.add_and_carry(a, b) } else { self.add_and_carry_32(a, b) };
        let (a, b) = (self.get(a), self.get(b));
        let narrow = |l: &mut Self, value| if ty == I64 { value } else { l.b.ins().ireduce(ty, value) };
        let (a, b) = (narrow(self, a), narrow(self, b));
        let (from_a, from_b) = (self.b.ins().bxor(a, sum), self.b.ins().bxor(b, sum));
        let overflow = self.b.ins().band(from_a, from_b);
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, sum, 0);
        let (negative, overflow) = (self.sign(sum, true), self.sign(overflow, true));
        let mut flags = self.imm(0);
        for (bit, place) in [(negative, 3), (zero, 2), (carry, 1), (overflow, 0)] {
            let bit = self.b.ins().uextend(I64, bit);
            let bit = self.b.ins().ishl_imm_u(bit, place);
            flags = self.b.ins().bor(flags, bit);
        }
        self.carry = Some((flags, carry));
        let sum = if ty == I64 { sum } else { self.b.ins().uextend(I64, sum) };
        self.set(d, sum);
        let none = self.imm(0);
        self.set_flags(FlagKind::Nzcv, flags, none);
    }

    /// Merges the exceptions in MXCSR into the guest's status slot.
    fn sync_fp_status(&mut self) {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.push(AbiParam::new(I64));
        signature.returns.push(AbiParam::new(I64));
        self.call(signature, FP_SYNC, &[self.state]);
    }

    /// Calls the reference meaning of a micro-op that has no native form.
    fn plain(&mut self, uop: Uop) {
        let failed = self.call_reference(uop);
        if uop.can_leave() || matches!(uop, Uop::ReadSys { .. } | Uop::WriteSys { .. }) {
            let slow = self.slow_exit();
            let go_on = self.fresh();
            self.b.ins().brif(failed, slow, &[], go_on, &[]);
            self.go_on_in(go_on);
        }
        let mut defs = Vec::new();
        uop.operands(|operand| {
            if matches!(operand, Operand::DefX(_) | Operand::DefV(_) | Operand::DefFlags) {
                defs.push(operand);
            }
        });
        for operand in defs {
            self.reload(operand);
        }
    }

    /// Calls the reference meaning of the current micro-op; its results are then in the CPU state. Returns whether it
    /// must trap.
    fn call_reference(&mut self, uop: Uop) -> Value {
        let args = self.reference_args(uop);
        self.call(plain_signature(), PLAIN, &args)
    }

    /// As [`Self::call_reference`] for a micro-op that cannot trap, where it will hardly ever happen.
    pub(super) fn call_reference_cold(&mut self, uop: Uop) {
        let args = self.reference_args(uop);
        let signature = self.b.import_signature(preserving_signature());
        let address = self.b.ins().load(I64, trusted(), self.state, PRESERVING);
        self.b.ins().call_indirect(signature, address, &args);
    }

    /// The operands of the helper for micro-ops, with those of the current micro-op stored to the CPU state.
    fn reference_args(&mut self, uop: Uop) -> [Value; 2] {
        let mut uses = Vec::new();
        uop.operands(|operand| {
            if matches!(operand, Operand::UseX(_) | Operand::UseV(_) | Operand::UseFlags) {
                uses.push(operand);
            }
        });
        for operand in uses {
            self.spill(operand);
        }
        [self.state, self.uop_address()]
    }

    /// What a register holds if `written` is written, with its stuck bits at this offset; see [`StuckBits::hold`]. An
    /// integer register has no upper half there.
    fn stuck(&mut self, written: Value, ty: Type, bits: usize) -> Value {
        let at = |field: usize| (bits + field) as i32;
        let mask = self.b.ins().load(ty, trusted(), self.state, at(offset_of!(StuckBits, mask)));
        let value = self.b.ins().load(ty, trusted(), self.state, at(offset_of!(StuckBits, value)));
        let kept = self.b.ins().band(written, mask);
        self.b.ins().store(trusted(), kept, self.state, at(offset_of!(StuckBits, written)));
        let free = self.b.ins().band_not(written, mask);
        let held = self.b.ins().bor(free, value);
        self.b.ins().store(trusted(), held, self.state, at(offset_of!(StuckBits, last)));
        held
    }

    fn spill(&mut self, operand: Operand) {
        match operand {
            Operand::UseX(x) if !in_memory(x) && x != slot::ZERO => {
                let value = self.get(x);
                self.b.ins().store(trusted(), value, self.state, x_offset(x));
            }
            Operand::UseV(v) => {
                let value = self.in_variable(v);
                self.b.ins().store(trusted(), value, self.state, v_offset(v));
            }
            Operand::UseFlags => {
                for x in slot::FLAG_KIND..=slot::FLAG_B {
                    let value = self.get(x);
                    self.b.ins().store(trusted(), value, self.state, x_offset(x));
                }
            }
            _ => {}
        }
    }

    fn reload(&mut self, operand: Operand) {
        match operand {
            Operand::DefX(x) if !in_memory(x) && x != slot::ZERO => {
                let value = self.b.ins().load(I64, trusted(), self.state, x_offset(x));
                self.set(x, value);
            }
            Operand::DefV(v) if self.numbers.holds(v) => {
                let value = self.b.ins().load(F64, trusted(), self.state, v_offset(v));
                self.set_number(v, value);
            }
            Operand::DefV(v) => {
                let value = self.b.ins().load(I8X16, trusted(), self.state, v_offset(v));
                self.set_v(v, value);
            }
            // All micro-ops that come here pack the flags.
            Operand::DefFlags => {
                let nzcv = self.b.ins().load(I64, trusted(), self.state, x_offset(slot::FLAG_A));
                let zero = self.imm(0);
                self.set_flags(FlagKind::Nzcv, nzcv, zero);
            }
            _ => {}
        }
    }

    fn probe_load(&mut self, ty: MemTy, d: X, e: X, a: X) {
        let address = self.get(a);
        let (inside, readable, bad, done) = (self.fresh(), self.fresh(), self.fresh(), self.fresh());
        self.b.append_block_param(done, I64);
        self.b.append_block_param(done, I64);
        self.b.set_cold_block(bad);
        let page = self.page(address);
        let outside = self.is_outside(page);
        self.b.ins().brif(outside, bad, &[], inside, &[]);
        self.go_on_in(inside);
        let mut bits = self.page_bits(page);
        if ty.bytes() > 1 {
            let last = self.b.ins().iadd_imm_s(address, ty.bytes() as i64 - 1);
            let page = self.page(last);
            let more = self.page_bits(page);
            bits = self.b.ins().band(bits, more);
        }
        let allowed = self.b.ins().band_imm_u(bits, i64::from(perm::READ));
        self.b.ins().brif(allowed, readable, &[], bad, &[]);
        self.go_on_in(readable);
        let host = self.b.ins().iadd(self.memory, address);
        let value = self.load(ty, host, 0);
        let one = self.imm(1);
        self.b.ins().jump(done, &[value.into(), one.into()]);
        // Not on the fast path: the reference decides (ignored address bits, page ends).
        self.go_on_in(bad);
        self.spill(Operand::UseX(a));
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend([AbiParam::new(I64); 2]);
        signature.returns.push(AbiParam::new(I64));
        let args = [self.state, self.uop_address()];
        self.call(signature, PLAIN, &args);
        let value = self.b.ins().load(I64, trusted(), self.state, x_offset(d));
        let ok = self.b.ins().load(I64, trusted(), self.state, x_offset(e));
        self.b.ins().jump(done, &[value.into(), ok.into()]);
        self.go_on_in(done);
        let (value, ok) = (self.b.block_params(done)[0], self.b.block_params(done)[1]);
        self.set(d, value);
        self.set(e, ok);
    }

    fn action(&mut self, action: u32, d: X, args: X, n: u8, state: bool) {
        self.settle_cells();
        self.acted = true;
        for index in 0..n {
            self.spill(Operand::UseX(args + index));
        }
        if state {
            self.store_slots(self.dirty);
        }
        let block = &self.plan.blocks[self.index];
        let insn = block.insn_of(self.at as u32);
        let pc = block.insn(insn).pc;
        let done = u64::from(self.at as u32 >= block.insn(insn).after);
        let icount = if self.counts() { self.icount_at(insn as u64 + done) } else { self.imm(0) };
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend([AbiParam::new(I64); 4]);
        signature.returns.push(AbiParam::new(I64));
        let packed = u64::from(action) | u64::from(args) << 32 | u64::from(n) << 40;
        let call_args = [self.state, self.imm(packed), self.imm(pc), icount];
        let result = self.call(signature, ACTION, &call_args);
        if state {
            self.load_slots(self.facts.touched);
            self.flags = Flags::Variables(None);
        }
        self.set(d, result);
        // The action may have changed what the guest may access.
        self.checked.clear();
    }

    fn poll(&mut self, body: bool) {
        let block = &self.plan.blocks[self.index];
        let insn = block.insn_of(self.at as u32);
        let exit = if body {
            self.exit(block.insn(insn).pc, resume::BODY, Some(insn as u64))
        } else {
            let (pc, how) = match block.get_insn(insn + 1) {
                Some(next) => (next.pc, resume::MIDDLE),
                None => (block.end, resume::ENTRY),
            };
            self.exit(pc, how, Some(insn as u64 + 1))
        };
        self.leave_if_polled(exit);
    }
}

/// Notes the temporaries that a micro-op writes.
fn note_written(uop: &Uop, (x, v): &mut (HashSet<X>, HashSet<V>)) {
    uop.operands(|operand| match operand {
        Operand::DefX(d) if d >= slot::TEMP => drop(x.insert(d)),
        Operand::DefV(d) if !slot::is_guest_vector(d) => drop(v.insert(d)),
        _ => {}
    });
}

/// The integer type of an access.
fn integer_of(ty: MemTy) -> Type {
    match ty.bytes() {
        1 => I8,
        2 => I16,
        4 => I32,
        _ => I64,
    }
}

/// The vector type whose lanes have so many bytes.
fn lanes_of(bytes: u8) -> Type {
    match bytes {
        1 => I8X16,
        2 => I16X8,
        4 => I32X4,
        _ => I64X2,
    }
}

/// The base slot, offset, size and direction of a plain access.
pub(super) fn access(uop: &Uop) -> Option<(X, i64, i64, bool)> {
    match *uop {
        Uop::Load { ty, a, imm, .. } => Some((a, imm, ty.bytes() as i64, false)),
        Uop::Store { ty, a, imm, .. } => Some((a, imm, ty.bytes() as i64, true)),
        Uop::LoadPair { ty, a, imm, .. } => Some((a, imm, 2 * ty.bytes() as i64, false)),
        Uop::StorePair { ty, a, imm, .. } => Some((a, imm, 2 * ty.bytes() as i64, true)),
        Uop::LoadV { bytes, a, imm, .. } => Some((a, imm, i64::from(bytes), false)),
        Uop::StoreV { bytes, a, imm, .. } => Some((a, imm, i64::from(bytes), true)),
        Uop::LoadPairV { bytes, a, imm, .. } => Some((a, imm, 2 * i64::from(bytes), false)),
        Uop::StorePairV { bytes, a, imm, .. } => Some((a, imm, 2 * i64::from(bytes), true)),
        _ => None,
    }
}
