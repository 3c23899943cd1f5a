//! Code for one block, made at once: each micro-op by itself, with all values in the CPU state.
//!
//! It takes a microsecond or two where Cranelift takes a hundred, and runs several times as fast as the interpreter: it
//! is for what is executed some ten or hundred times, and until there is a region. It optimises nothing, counts its
//! executions in [`Entry`], and leaves for the dispatcher when they reach the entry's alarm. What has no native form here
//! is a call of its reference function. What probes do that is more than counting and deciding is left to the interpreter,
//! which goes on within the block; so are blocks in which that happens each time, and what regions take special care of.
//!
//! The code has the signature of regions (see [`super::lower`]), is chained with them through data slots, and leaves as
//! they do. In registers are the CPU state (`rdi`), the base of guest memory (`rsi`), and where it is left the guest's pc
//! (`rdx`) and a chain slot (`rcx`); all others are free.

#![allow(clippy::useless_conversion, reason = "`dynasm!` converts the numbers of registers")]

use super::counters::{self, Increments};
use super::lower::{COUNTERS, ICOUNT, JUMP_CACHE, NZCV, PLAIN, RESOLVER, RING, changes_fp_mode, v_offset, x_offset};
use super::{Address, Code, JUMP_CACHE_BITS, Left, Place};
use crate::block::Block;
use crate::cache::{Entry, RECENT};
use crate::cells::Cells;
use crate::cpu::{CpuState, resume};
use crate::keys::{MULTIPLIER, SHIFT_BITS};
use crate::mem::{ADDRESS_SPACE, PAGE, PERMISSIONS, perm};
use crate::records;
use crate::uop::{BinOp, Cc, Fence, FlagKind, JumpHint, MemTy, Operand, SelOp, Shift, UnOp, Uop, V, X, slot};
use crate::vm::Counting;
use dynasm::dynasm;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PC: i32 = offset_of!(CpuState, pc) as i32;
const RESUME: i32 = offset_of!(CpuState, resume) as i32;
const COLD: i32 = offset_of!(CpuState, cold) as i32;
const POLL: i32 = offset_of!(CpuState, poll) as i32;
const LIMIT: i32 = offset_of!(CpuState, limit) as i32;

// Numbers of host registers.
const RAX: u8 = 0;
const RCX: u8 = 1;
const RDX: u8 = 2;
const R8: u8 = 8;
const R9: u8 = 9;

/// Pairs of chain slots that are allocated together.
const PAIRS: usize = 1024;

/// Of so many micro-ops one at most may be a call of its reference function: the interpreter calls it faster.
const MOST_CALLS: usize = 4;

/// Bytes that most blocks' code has no more of.
const USUAL_BYTES: usize = 512;

/// A condition of x86, as its encodings number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Overflow = 0,
    NoOverflow = 1,
    Below = 2,
    AboveOrEqual = 3,
    Equal = 4,
    NotEqual = 5,
    BelowOrEqual = 6,
    Above = 7,
    Sign = 8,
    NoSign = 9,
    Less = 12,
    GreaterOrEqual = 13,
    LessOrEqual = 14,
    Greater = 15,
}

/// The rest of a check of an access at the end of a page, out of the way.
struct Edge {
    label: DynamicLabel,
    back: DynamicLabel,
    slow: DynamicLabel,
    size: i32,
    wanted: u8,
}

/// Where the interpreter is asked to go on, with the increments of cells that the code would make later.
struct Exit {
    label: DynamicLabel,
    on: GoOn,
    cells: Increments,
}

/// What the interpreter is asked to go on with.
#[derive(Clone, Copy, PartialEq)]
enum GoOn {
    /// An instruction of the block, behind the probes before it.
    Body(usize),
    /// A micro-op of the block.
    Within(usize),
}

/// Makes such code, of one block after the other.
pub(super) struct Compiler {
    cells: Arc<Cells>,
    counting: Counting,
    ops: VecAssembler<X64Relocation>,
}

struct Quick<'a> {
    ops: &'a mut VecAssembler<X64Relocation>,
    entry: &'a Entry,
    block: &'a Block,
    cells: &'a Cells,
    counting: Counting,
    /// The micro-op, and its instruction.
    at: usize,
    insn: usize,
    /// What the flags are of, if that is known.
    kind: Option<FlagKind>,
    /// What they are of if they are not packed, if that is known.
    kind_unless_packed: Option<FlagKind>,
    /// The slot whose value is in `rax`.
    in_rax: Option<X>,
    exits: SmallVec<[Exit; 8]>,
    edges: SmallVec<[Edge; 4]>,
    /// Increments of cells that have not been emitted yet.
    pending: Increments,
    /// Micro-ops that are jumped to.
    targets: SmallVec<[u32; 4]>,
    labels: SmallVec<[(u32, DynamicLabel); 2]>,
    places: Vec<Place>,
}

impl Compiler {
    pub(super) fn new(cells: &Arc<Cells>, counting: Counting) -> Compiler {
        Compiler { cells: cells.clone(), counting, ops: VecAssembler::new(0) }
    }

    /// Makes code for the block of `entry`, which refers to it as the first one of a region. `None` if it has something
    /// that is left to others.
    pub(super) fn compile(&mut self, entry: &Entry) -> Option<Code> {
        let block = &entry.block;
        if block.insns.is_empty() || block.uops.iter().any(is_left_to_others) || acts_always(&block.uops) {
            return None;
        }
        let calls = block.uops.iter().filter(|uop| !is_native(uop)).count();
        if calls > block.uops.len() / MOST_CALLS || changes_fp_mode(block.uops.iter().enumerate()) {
            return None;
        }
        self.ops.reserve_ops(USUAL_BYTES);
        let quick = Quick {
            ops: &mut self.ops,
            entry,
            block,
            cells: &self.cells,
            counting: self.counting,
            at: 0,
            insn: 0,
            kind: None,
            kind_unless_packed: None,
            in_rax: None,
            exits: SmallVec::new(),
            edges: SmallVec::new(),
            pending: Increments::new(),
            targets: block.uops.iter().filter_map(local_target).collect(),
            labels: SmallVec::new(),
            places: Vec::with_capacity(2),
        };
        quick.code()
    }
}

/// Chain slots of quick code, two for each block. They stay where they are.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// By their addresses.
    chunks: BTreeMap<usize, Box<[AtomicUsize]>>,
    /// Addresses of pairs that nobody has.
    free: Vec<usize>,
}

impl Slots {
    /// Two slots that lead to `resolver`: the address of the first.
    pub(super) fn take(&mut self, resolver: usize) -> usize {
        let pair = self.free.pop().unwrap_or_else(|| {
            let chunk: Box<[AtomicUsize]> = (0..2 * PAIRS).map(|_| AtomicUsize::new(0)).collect();
            let first = chunk.as_ptr() as usize;
            self.chunks.insert(first, chunk);
            self.free.extend((1..PAIRS).rev().map(|pair| first + pair * 2 * size_of::<AtomicUsize>()));
            first
        });
        for slot in [pair, pair + size_of::<AtomicUsize>()] {
            self.find(slot).expect("just taken").store(resolver, Ordering::Release);
        }
        pair
    }

    /// Gives two slots back.
    pub(super) fn give(&mut self, pair: usize) {
        self.free.push(pair);
    }

    /// The slot at this address, if there is one.
    pub(super) fn find(&self, address: usize) -> Option<&AtomicUsize> {
        let (&first, chunk) = self.chunks.range(..=address).next_back()?;
        chunk.get((address - first) / size_of::<AtomicUsize>())
    }
}

/// True if probes do in each execution what the interpreter is asked for.
fn acts_always(uops: &[Uop]) -> bool {
    let decides = |uop: &&Uop| !matches!(uop, Uop::Local { .. } | Uop::LocalIf { .. });
    uops.iter().take_while(decides).any(|uop| matches!(uop, Uop::Action { .. } | Uop::Goto { .. }))
}

/// True for what is stuck, for system registers, and for what must see the exceptions that native code has raised.
fn is_left_to_others(uop: &Uop) -> bool {
    let mut names_status = false;
    uop.operands(|operand| {
        names_status |= matches!(operand, Operand::UseX(x) | Operand::DefX(x) if x == slot::FP_STATUS);
    });
    names_status
        || matches!(
            uop,
            Uop::StickX { .. }
                | Uop::StickV { .. }
                | Uop::StickFlags
                | Uop::VectorLook { .. }
                | Uop::VectorAccess { .. }
                | Uop::ReadSys { .. }
                | Uop::WriteSys { .. }
        )
}

impl Quick<'_> {
    fn code(mut self) -> Option<Code> {
        let block = self.block;
        let leave = self.ops.new_dynamic_label();
        self.begin(leave);
        for (insn, part) in block.insns().enumerate() {
            let end = block.get_insn(insn + 1).map_or(block.uops.len(), |next| next.start as usize);
            self.insn = insn;
            for at in part.start as usize..end {
                self.at = at;
                self.place_label();
                let uop = block.uops[at];
                self.uop(uop);
                if matches!(uop, Uop::Syscall { .. } | Uop::Trap { .. }) {
                    break;
                }
            }
        }
        self.end(leave);
        let bytes = self.ops.take().ok()?;
        Some(Code { bytes, places: self.places })
    }

    /// Leaves if somebody asks for that, if the instruction limit falls into the block, or if it has got hot.
    fn begin(&mut self, leave: DynamicLabel) {
        dynasm!(self.ops
            ; .arch x64
            ; mov rax, [rdi + POLL]
            ; cmp DWORD [rax], 0
            ; jne =>leave
        );
        if self.counting == Counting::Limited {
            let insns = self.block.insns.len() as i32;
            dynasm!(self.ops
                ; .arch x64
                ; mov rax, [rdi + ICOUNT]
                ; add rax, insns
                ; cmp rax, [rdi + LIMIT]
                ; ja =>leave
            );
        }
        let (count, alarm) = self.entry.counter();
        dynasm!(self.ops
            ; .arch x64
            ; mov rax, QWORD count as i64
            ; mov ecx, [rax]
            ; inc ecx
            ; mov [rax], ecx
            ; cmp ecx, [BYTE rax + alarm]
            ; je =>leave
        );
    }

    /// What is out of the way: ends of pages, and the exits.
    fn end(&mut self, leave: DynamicLabel) {
        for Edge { label, back, slow, size, wanted } in std::mem::take(&mut self.edges) {
            dynasm!(self.ops
                ; .arch x64
                ; =>label
                ; movzx r8d, BYTE [rsi + rcx + PERMISSIONS]
                ; lea r9, [rax + (size - 1)]
                ; shr r9, PAGE.ilog2() as i8
                ; and r8b, [rsi + r9 + PERMISSIONS]
                ; test r8b, wanted as i8
                ; jne =>back
                ; jmp =>slow
            );
        }
        let exits = std::mem::take(&mut self.exits).into_iter();
        let (within, body): (Vec<Exit>, Vec<Exit>) = exits.partition(|exit| matches!(exit.on, GoOn::Within(_)));
        for exit in within {
            self.begin_exit(&exit);
            dynasm!(self.ops ; .arch x64 ; mov DWORD [rdi + RESUME], resume::WITHIN as i32 ; mov [rdi + PC], rax ; ret);
        }
        // These are many, and end in the same code.
        let (last, count) = (self.ops.new_dynamic_label(), body.len());
        for (index, exit) in body.into_iter().enumerate() {
            self.begin_exit(&exit);
            if index + 1 < count {
                dynasm!(self.ops ; .arch x64 ; jmp =>last);
            }
        }
        if count > 0 {
            dynasm!(self.ops
                ; .arch x64
                ; =>last
                ; mov DWORD [rdi + RESUME], resume::BODY as i32
                ; mov [rdi + PC], rax
                ; ret
            );
        }
        dynasm!(self.ops ; .arch x64 ; =>leave);
        self.immediate(RAX, self.block.pc);
        dynasm!(self.ops ; .arch x64 ; mov [rdi + PC], rax ; ret);
    }

    /// Counts what has been completed; rax = the pc to leave with.
    fn begin_exit(&mut self, exit: &Exit) {
        let label = exit.label;
        dynasm!(self.ops ; .arch x64 ; =>label);
        self.add_to_cells(&exit.cells);
        match exit.on {
            GoOn::Body(insn) => {
                self.count(insn);
                self.immediate(RAX, self.block.insn(insn).pc);
            }
            // Instructions of the block do not count yet.
            GoOn::Within(at) => {
                dynasm!(self.ops ; .arch x64 ; mov DWORD [rdi + COLD], at as i32);
                self.immediate(RAX, self.block.pc);
            }
        }
    }

    /// Counts instructions that have been completed.
    fn count(&mut self, insns: usize) {
        if self.counting != Counting::Off && insns > 0 {
            dynasm!(self.ops ; .arch x64 ; add QWORD [rdi + ICOUNT], insns as i32);
        }
    }

    // ---- values

    fn immediate(&mut self, r: u8, value: u64) {
        if let Ok(small) = u32::try_from(value) {
            dynasm!(self.ops ; .arch x64 ; mov Rd(r), DWORD small as i32);
        } else if let Ok(small) = i32::try_from(value as i64) {
            dynasm!(self.ops ; .arch x64 ; mov Rq(r), DWORD small);
        } else {
            dynasm!(self.ops ; .arch x64 ; mov Rq(r), QWORD value as i64);
        }
        self.changed(r);
    }

    fn changed(&mut self, r: u8) {
        if r == RAX {
            self.in_rax = None;
        }
    }

    /// Loads a slot. The host's flags stay as they are.
    fn get(&mut self, r: u8, x: X) {
        let offset = x_offset(x);
        if x == slot::ZERO {
            dynasm!(self.ops ; .arch x64 ; mov Rd(r), DWORD 0);
        } else if self.in_rax == Some(x) {
            if r == RAX {
                return;
            }
            dynasm!(self.ops ; .arch x64 ; mov Rq(r), rax);
        } else if let Ok(near) = i8::try_from(offset) {
            dynasm!(self.ops ; .arch x64 ; mov Rq(r), [BYTE rdi + near]);
        } else {
            dynasm!(self.ops ; .arch x64 ; mov Rq(r), [DWORD rdi + offset]);
        }
        self.changed(r);
        if r == RAX && x != slot::ZERO {
            self.in_rax = Some(x);
        }
    }

    /// Stores a slot. The host's flags stay as they are.
    fn set(&mut self, x: X, r: u8) {
        if x == slot::ZERO {
            return;
        }
        let offset = x_offset(x);
        if let Ok(near) = i8::try_from(offset) {
            dynasm!(self.ops ; .arch x64 ; mov [BYTE rdi + near], Rq(r));
        } else {
            dynasm!(self.ops ; .arch x64 ; mov [DWORD rdi + offset], Rq(r));
        }
        if r == RAX {
            self.in_rax = Some(x);
        } else if self.in_rax == Some(x) {
            self.in_rax = None;
        }
    }

    // ---- micro-ops

    fn uop(&mut self, uop: Uop) {
        if uop.ends_block() {
            self.flush_cells();
        }
        match uop {
            Uop::MovI { d, imm } => {
                self.immediate(RAX, imm);
                self.set(d, RAX);
            }
            Uop::Un { op, d, a } => {
                if !has_un(op) {
                    return self.reference(uop);
                }
                self.get(RAX, a);
                self.un(op);
                self.set(d, RAX);
            }
            Uop::Bin { op, d, a, b } => {
                if !has_bin(op) {
                    return self.reference(uop);
                }
                self.get(RCX, b);
                self.get(RAX, a);
                self.bin(op);
                self.set(d, RAX);
            }
            Uop::BinI { op, d, a, imm } => {
                if !has_bin(op) {
                    return self.reference(uop);
                }
                self.get(RAX, a);
                self.bin_immediate(op, imm);
                self.set(d, RAX);
            }
            Uop::BinSh { op, d, a, b, shift, n } => {
                if !has_bin(op) {
                    return self.reference(uop);
                }
                self.get(RCX, b);
                self.shift(op.is_32(), shift, n as i8);
                self.get(RAX, a);
                self.bin(op);
                self.set(d, RAX);
            }
            Uop::MulAdd64 { d, a, b, c } | Uop::MulSub64 { d, a, b, c } => {
                self.multiply(a, b, c);
                match uop {
                    Uop::MulAdd64 { .. } => dynasm!(self.ops ; .arch x64 ; add rax, rdx),
                    _ => dynasm!(self.ops ; .arch x64 ; sub rdx, rax ; mov rax, rdx),
                }
                self.set(d, RAX);
            }
            Uop::MulAdd32 { d, a, b, c } | Uop::MulSub32 { d, a, b, c } => {
                self.multiply(a, b, c);
                match uop {
                    Uop::MulAdd32 { .. } => dynasm!(self.ops ; .arch x64 ; add eax, edx),
                    _ => dynasm!(self.ops ; .arch x64 ; sub edx, eax ; mov eax, edx),
                }
                self.set(d, RAX);
            }
            Uop::Extr64 { d, a, b, n } => {
                self.get(RDX, a);
                self.get(RAX, b);
                self.in_rax = None;
                dynasm!(self.ops ; .arch x64 ; shrd rax, rdx, n as i8);
                self.set(d, RAX);
            }
            Uop::Extr32 { d, a, b, n } => {
                self.get(RDX, a);
                self.get(RAX, b);
                self.in_rax = None;
                dynasm!(self.ops ; .arch x64 ; shrd eax, edx, n as i8 ; mov eax, eax);
                self.set(d, RAX);
            }
            Uop::BfxU { d, a, lsb, len } => {
                self.get(RAX, a);
                self.in_rax = None;
                let (up, down) = ((64 - lsb - len) as i8, (64 - len) as i8);
                dynasm!(self.ops ; .arch x64 ; shl rax, up ; shr rax, down);
                self.set(d, RAX);
            }
            Uop::BfxS { d, a, lsb, len } => {
                self.get(RAX, a);
                self.in_rax = None;
                let (up, down) = ((64 - lsb - len) as i8, (64 - len) as i8);
                dynasm!(self.ops ; .arch x64 ; shl rax, up ; sar rax, down);
                self.set(d, RAX);
            }
            Uop::Bfi { d, a, b, lsb, len } => {
                let mask = (u64::MAX >> (64 - len)) << lsb;
                self.get(RCX, b);
                self.get(RAX, a);
                self.in_rax = None;
                self.immediate(RDX, mask);
                dynasm!(self.ops
                    ; .arch x64
                    ; shl rcx, lsb as i8
                    ; and rcx, rdx
                    ; not rdx
                    ; and rax, rdx
                    ; or rax, rcx
                );
                self.set(d, RAX);
            }
            Uop::Select { d, c, a, b } => {
                self.get(R8, c);
                self.get(RCX, a);
                self.get(RAX, b);
                self.in_rax = None;
                dynasm!(self.ops ; .arch x64 ; test r8, r8 ; cmovne rax, rcx);
                self.set(d, RAX);
            }

            Uop::Flags { kind, a, b } => {
                self.get(RCX, b);
                self.get(RAX, a);
                self.set_flags(kind);
            }
            Uop::FlagsI { kind, a, imm } => {
                self.get(RAX, a);
                self.immediate(RCX, imm);
                self.set_flags(kind);
            }
            Uop::FlagsIf { kind, cc, a, b, nzcv } => self.flags_if(kind, cc, a, b, nzcv),
            Uop::Cond { d, cc } => {
                self.condition(cc);
                self.set(d, RAX);
            }
            Uop::SelectCc64 { op, cc, d, a, b } => {
                self.select(op, cc, a, b);
                self.set(d, RAX);
            }
            Uop::SelectCc32 { op, cc, d, a, b } => {
                self.select(op, cc, a, b);
                dynasm!(self.ops ; .arch x64 ; mov eax, eax);
                self.set(d, RAX);
            }

            Uop::Load { ty, d, a, imm } => {
                self.checked(a, imm, ty.bytes(), false);
                self.load(ty, RAX, 0);
                self.set(d, RAX);
            }
            Uop::Store { ty, s, a, imm } => {
                self.checked(a, imm, ty.bytes(), true);
                self.get(RCX, s);
                self.store(ty.bytes(), RCX, 0);
            }
            Uop::LoadPair { ty, d, e, a, imm } => {
                self.checked(a, imm, 2 * ty.bytes(), false);
                self.load(ty, RCX, 0);
                self.load(ty, RDX, ty.bytes() as i8);
                self.set(d, RCX);
                self.set(e, RDX);
            }
            Uop::StorePair { ty, s, t, a, imm } => {
                self.checked(a, imm, 2 * ty.bytes(), true);
                self.get(RCX, s);
                self.get(RDX, t);
                self.store(ty.bytes(), RCX, 0);
                self.store(ty.bytes(), RDX, ty.bytes() as i8);
            }
            Uop::LoadV { d, bytes, a, imm } => {
                self.checked(a, imm, bytes.into(), false);
                self.load_v(d, bytes, 0);
            }
            Uop::StoreV { s, bytes, a, imm } => {
                self.checked(a, imm, bytes.into(), true);
                self.store_v(s, bytes, 0);
            }
            Uop::LoadPairV { d, e, bytes, a, imm } => {
                self.checked(a, imm, 2 * u64::from(bytes), false);
                self.load_v(d, bytes, 0);
                self.load_v(e, bytes, bytes as i8);
            }
            Uop::StorePairV { s, t, bytes, a, imm } => {
                self.checked(a, imm, 2 * u64::from(bytes), true);
                self.store_v(s, bytes, 0);
                self.store_v(t, bytes, bytes as i8);
            }
            Uop::Align { a, bytes, imm } => {
                let slow = self.slow();
                self.effective(a, imm);
                dynasm!(self.ops ; .arch x64 ; test al, (bytes - 1) as i8 ; jne =>slow);
            }
            // Loads and stores of the host are ordered but for a load behind a store.
            Uop::Fence { order: Fence::Full } => dynasm!(self.ops ; .arch x64 ; mfence),
            Uop::Fence { order: Fence::Load | Fence::Store } | Uop::IcacheInvalidate { .. } => {}
            Uop::VMovI { d, both, imm } => {
                self.immediate(RCX, imm);
                let offset = v_offset(d);
                dynasm!(self.ops ; .arch x64 ; mov [rdi + offset], rcx);
                if !both {
                    dynasm!(self.ops ; .arch x64 ; mov ecx, DWORD 0);
                }
                dynasm!(self.ops ; .arch x64 ; mov [rdi + (offset + 8)], rcx);
            }

            Uop::CellInc { cell, n } => counters::add(&mut self.pending, cell, n),
            Uop::CellIncAt { cell, a, len } => {
                self.get(RAX, a);
                self.in_rax = None;
                dynasm!(self.ops
                    ; .arch x64
                    ; mov edx, DWORD (len - 1) as i32
                    ; cmp rax, rdx
                    ; cmova rax, rdx
                    ; mov rcx, [rdi + COUNTERS]
                    ; inc QWORD [rcx + rax * 8 + 8 * cell as i32]
                );
            }
            Uop::CellFind { d, a, index } => self.find_cell(d, a, index),
            Uop::Record { action, d, args, n } => self.record(action, d, args, n),
            Uop::CellAt { d, a } => {
                self.cell_number(a, 0);
                self.immediate(RCX, self.cells.address() as u64);
                dynasm!(self.ops ; .arch x64 ; mov rax, [rcx + rax * 8]);
                self.set(d, RAX);
            }
            Uop::CellAddAt { cell, a, n } => {
                self.cell_number(a, cell);
                self.get(RDX, n);
                dynasm!(self.ops ; .arch x64 ; mov rcx, [rdi + COUNTERS] ; add [rcx + rax * 8 + 8 * cell as i32], rdx);
            }
            Uop::CellGet { .. } | Uop::CellSet { .. } | Uop::CellAdd { .. } => {
                self.flush_cells();
                self.reference(uop);
            }
            Uop::Icount { d } => {
                let done = self.at as u32 >= self.block.insn(self.insn).after;
                let insns = (self.insn + usize::from(done)) as i32;
                dynasm!(self.ops ; .arch x64 ; mov rax, [rdi + ICOUNT] ; add rax, insns);
                self.in_rax = None;
                self.set(d, RAX);
            }
            Uop::Local { to } => {
                self.flush_cells();
                let label = self.label(to);
                dynasm!(self.ops ; .arch x64 ; jmp =>label);
            }
            Uop::LocalIf { nz, a, to } => {
                self.flush_cells();
                let label = self.label(to);
                self.get(RAX, a);
                dynasm!(self.ops ; .arch x64 ; test rax, rax);
                match nz {
                    true => dynasm!(self.ops ; .arch x64 ; jne =>label),
                    false => dynasm!(self.ops ; .arch x64 ; je =>label),
                }
            }
            Uop::Action { .. } | Uop::Goto { .. } => self.leave_within(),
            Uop::Poll { .. } => {
                let exit = self.exit(GoOn::Within(self.at));
                dynasm!(self.ops ; .arch x64 ; mov rax, [rdi + POLL] ; cmp DWORD [rax], 0 ; jne =>exit);
                self.in_rax = None;
            }

            Uop::Jump { target, .. } => self.chain(target, 0),
            Uop::Next => self.chain(self.block.end, 0),
            Uop::JumpInd { hint, a } => self.indirect(hint, a),
            Uop::BrZero { nz, a, target } => {
                self.get(RAX, a);
                dynasm!(self.ops ; .arch x64 ; test rax, rax);
                self.branch(if nz { Test::NotEqual } else { Test::Equal }, target);
            }
            Uop::BrBit { set, bit, a, target } => {
                self.get(RAX, a);
                dynasm!(self.ops ; .arch x64 ; bt rax, bit as i8);
                self.branch(if set { Test::Below } else { Test::AboveOrEqual }, target);
            }
            Uop::BrCc { cc, target } => match cc {
                Cc::Al | Cc::Nv => self.chain(target, 0),
                _ => {
                    let test = self.test(cc);
                    self.branch(test, target);
                }
            },
            Uop::Syscall { .. } | Uop::Trap { .. } => {
                let slow = self.slow();
                dynasm!(self.ops ; .arch x64 ; jmp =>slow);
            }
            _ => self.reference(uop),
        }
    }

    /// Finds the cell of a key, as [`Keys::find`](crate::keys::Keys::find) does it.
    fn find_cell(&mut self, d: X, a: X, index: u32) {
        let (head, end) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        self.get(RDX, a);
        self.immediate(R8, self.cells.keys(index).address() as u64);
        self.immediate(RAX, MULTIPLIER);
        dynasm!(self.ops
            ; .arch x64
            ; imul rax, rdx
            ; mov rcx, [r8]
            ; shr rax, cl
            ; shl rax, 4
            ; add r8, rax
            ; and rcx, !SHIFT_BITS as i32
            ; add r8, rcx
            ; jmp >first
            ; =>head
            ; add r8, 16
            ; first:
            ; mov rcx, [r8 + 8]
            ; test rcx, rcx
            ; je =>end
            ; cmp [r8], rdx
            ; jne =>head
            ; =>end
            ; mov eax, ecx
        );
        self.set(d, RAX);
    }

    /// Leaves a record, as [`Ring::write`](crate::records::Ring::write) does it.
    fn record(&mut self, action: u32, d: X, args: X, n: u8) {
        let bytes = |word: usize| 8 * word as i32;
        let full = self.ops.new_dynamic_label();
        self.in_rax = None;
        dynasm!(self.ops
            ; .arch x64
            ; xor eax, eax
            ; mov r8, [rdi + RING]
            ; mov rcx, [r8 + bytes(records::WRITTEN)]
            ; cmp rcx, [r8 + bytes(records::LIMIT)]
            ; jae =>full
            ; mov edx, DWORD records::ROOM as i32 - 1
            ; and rdx, rcx
            ; lea rdx, [r8 + rdx * 8 + bytes(records::FIRST)]
        );
        self.immediate(RAX, self.cells.records().next_address() as u64);
        dynasm!(self.ops
            ; .arch x64
            ; mov r9d, 1
            ; lock xadd [rax], r9
            ; mov [rdx], r9
        );
        self.immediate(RAX, records::described(action, n));
        dynasm!(self.ops ; .arch x64 ; mov [rdx + 8], rax);
        for index in 0..n {
            self.in_rax = None;
            self.get(RAX, args + index);
            dynasm!(self.ops ; .arch x64 ; mov [rdx + bytes(records::HEADER + usize::from(index))], rax);
        }
        dynasm!(self.ops
            ; .arch x64
            ; add rcx, (records::HEADER + usize::from(n)) as i32
            ; mov [r8 + bytes(records::WRITTEN)], rcx
            ; mov eax, 1
            ; =>full
        );
        self.in_rax = None;
        self.set(d, RAX);
    }

    /// The number in slot `a`, of which `cell` is in front, as that of a cell in `rax`.
    fn cell_number(&mut self, a: X, cell: u32) {
        self.get(RAX, a);
        self.in_rax = None;
        dynasm!(self.ops
            ; .arch x64
            ; mov edx, DWORD (Cells::COUNT as u32 - 1 - cell) as i32
            ; cmp rax, rdx
            ; cmova rax, rdx
        );
    }

    /// Where the interpreter is asked to execute the current instruction.
    fn slow(&mut self) -> DynamicLabel {
        // Another form of it, which probes have asked for, cannot be begun again without them.
        let is_other = (self.at as u32) < self.block.insn(self.insn).body;
        self.exit(if is_other { GoOn::Within(self.at) } else { GoOn::Body(self.insn) })
    }

    fn exit(&mut self, on: GoOn) -> DynamicLabel {
        if let Some(exit) = self.exits.last().filter(|exit| exit.on == on && exit.cells == self.pending) {
            return exit.label;
        }
        let label = self.ops.new_dynamic_label();
        self.exits.push(Exit { label, on, cells: self.pending.clone() });
        label
    }

    /// Has the interpreter go on with the current micro-op.
    fn leave_within(&mut self) {
        let exit = self.exit(GoOn::Within(self.at));
        dynasm!(self.ops ; .arch x64 ; jmp =>exit);
    }

    // ---- probes

    fn label(&mut self, to: u32) -> DynamicLabel {
        if let Some(&(_, label)) = self.labels.iter().find(|label| label.0 == to) {
            return label;
        }
        let label = self.ops.new_dynamic_label();
        self.labels.push((to, label));
        label
    }

    /// Ends what is known if the current micro-op is jumped to.
    fn place_label(&mut self) {
        let at = self.at as u32;
        if self.targets.contains(&at) {
            self.flush_cells();
            let label = self.label(at);
            dynasm!(self.ops ; .arch x64 ; =>label);
            self.in_rax = None;
            self.forget_kind();
        }
    }

    fn flush_cells(&mut self) {
        let cells = std::mem::take(&mut self.pending);
        self.add_to_cells(&cells);
    }

    /// Adds to what this thread counts.
    fn add_to_cells(&mut self, cells: &Increments) {
        if !cells.is_empty() {
            dynasm!(self.ops ; .arch x64 ; mov rcx, [rdi + COUNTERS]);
        }
        for &(cell, n) in cells {
            let offset = 8 * cell as i32;
            match i32::try_from(n) {
                Ok(n) => dynasm!(self.ops ; .arch x64 ; add QWORD [rcx + offset], n),
                Err(_) => {
                    self.immediate(RAX, n);
                    dynasm!(self.ops ; .arch x64 ; add [rcx + offset], rax);
                }
            }
        }
    }

    /// Calls the reference meaning of the current micro-op.
    fn reference(&mut self, uop: Uop) {
        dynasm!(self.ops
            ; .arch x64
            ; push rdi
            ; push rsi
            ; sub rsp, 8
            ; mov rsi, QWORD 0
        );
        self.place(Address::Uop { block: 0, uop: self.at as u32 });
        dynasm!(self.ops
            ; .arch x64
            ; call QWORD [rdi + PLAIN]
            ; add rsp, 8
            ; pop rsi
            ; pop rdi
        );
        if uop.can_leave() {
            let slow = self.slow();
            dynasm!(self.ops ; .arch x64 ; test rax, rax ; jne =>slow);
        }
        self.in_rax = None;
        uop.operands(|operand| {
            if operand == Operand::DefFlags {
                self.forget_kind();
            }
        });
    }

    /// The eight bytes that have just been emitted are an address.
    fn place(&mut self, address: Address) {
        self.places.push(Place { at: self.ops.offset().0 as u32 - 8, address });
    }

    // ---- integers

    /// rax = op(rax)
    fn un(&mut self, op: UnOp) {
        self.in_rax = None;
        match op {
            UnOp::Mov => {}
            UnOp::Zext8 => dynasm!(self.ops ; .arch x64 ; movzx eax, al),
            UnOp::Zext16 => dynasm!(self.ops ; .arch x64 ; movzx eax, ax),
            UnOp::Zext32 => dynasm!(self.ops ; .arch x64 ; mov eax, eax),
            UnOp::Sext8 => dynasm!(self.ops ; .arch x64 ; movsx rax, al),
            UnOp::Sext16 => dynasm!(self.ops ; .arch x64 ; movsx rax, ax),
            UnOp::Sext32 => dynasm!(self.ops ; .arch x64 ; movsxd rax, eax),
            UnOp::Bswap64 => dynasm!(self.ops ; .arch x64 ; bswap rax),
            UnOp::Bswap32 => dynasm!(self.ops ; .arch x64 ; bswap eax),
            UnOp::Rev32x64 => dynasm!(self.ops ; .arch x64 ; bswap rax ; ror rax, 32),
            UnOp::Not64 => dynasm!(self.ops ; .arch x64 ; not rax),
            UnOp::Not32 => dynasm!(self.ops ; .arch x64 ; not eax),
            UnOp::Neg64 => dynasm!(self.ops ; .arch x64 ; neg rax),
            UnOp::Neg32 => dynasm!(self.ops ; .arch x64 ; neg eax),
            UnOp::IsZero => dynasm!(self.ops ; .arch x64 ; test rax, rax ; sete al ; movzx eax, al),
            // The index of the highest bit, or what becomes the number of bits.
            UnOp::Clz64 => {
                dynasm!(self.ops ; .arch x64 ; mov ecx, 127 ; bsr rax, rax ; cmove rax, rcx ; xor eax, 63)
            }
            UnOp::Clz32 => {
                dynasm!(self.ops ; .arch x64 ; mov ecx, 63 ; bsr eax, eax ; cmove eax, ecx ; xor eax, 31)
            }
            UnOp::Ctz64 => dynasm!(self.ops ; .arch x64 ; mov ecx, 64 ; bsf rax, rax ; cmove rax, rcx),
            _ => unreachable!("`has_un` says so"),
        }
    }

    /// rax = op(rax, rcx)
    fn bin(&mut self, op: BinOp) {
        self.in_rax = None;
        match op {
            BinOp::Add64 => dynasm!(self.ops ; .arch x64 ; add rax, rcx),
            BinOp::Add32 => dynasm!(self.ops ; .arch x64 ; add eax, ecx),
            BinOp::Sub64 => dynasm!(self.ops ; .arch x64 ; sub rax, rcx),
            BinOp::Sub32 => dynasm!(self.ops ; .arch x64 ; sub eax, ecx),
            BinOp::And64 => dynasm!(self.ops ; .arch x64 ; and rax, rcx),
            BinOp::And32 => dynasm!(self.ops ; .arch x64 ; and eax, ecx),
            BinOp::Or64 => dynasm!(self.ops ; .arch x64 ; or rax, rcx),
            BinOp::Or32 => dynasm!(self.ops ; .arch x64 ; or eax, ecx),
            BinOp::Xor64 => dynasm!(self.ops ; .arch x64 ; xor rax, rcx),
            BinOp::Xor32 => dynasm!(self.ops ; .arch x64 ; xor eax, ecx),
            BinOp::AndNot64 => dynasm!(self.ops ; .arch x64 ; not rcx ; and rax, rcx),
            BinOp::AndNot32 => dynasm!(self.ops ; .arch x64 ; not ecx ; and eax, ecx),
            BinOp::OrNot64 => dynasm!(self.ops ; .arch x64 ; not rcx ; or rax, rcx),
            BinOp::OrNot32 => dynasm!(self.ops ; .arch x64 ; not ecx ; or eax, ecx),
            BinOp::XorNot64 => dynasm!(self.ops ; .arch x64 ; not rcx ; xor rax, rcx),
            BinOp::XorNot32 => dynasm!(self.ops ; .arch x64 ; not ecx ; xor eax, ecx),
            // The host takes shifts modulo the width, too.
            BinOp::Shl64 => dynasm!(self.ops ; .arch x64 ; shl rax, cl),
            BinOp::Shl32 => dynasm!(self.ops ; .arch x64 ; shl eax, cl ; mov eax, eax),
            BinOp::Shr64 => dynasm!(self.ops ; .arch x64 ; shr rax, cl),
            BinOp::Shr32 => dynasm!(self.ops ; .arch x64 ; shr eax, cl ; mov eax, eax),
            BinOp::Sar64 => dynasm!(self.ops ; .arch x64 ; sar rax, cl),
            BinOp::Sar32 => dynasm!(self.ops ; .arch x64 ; sar eax, cl ; mov eax, eax),
            BinOp::Ror64 => dynasm!(self.ops ; .arch x64 ; ror rax, cl),
            BinOp::Ror32 => dynasm!(self.ops ; .arch x64 ; ror eax, cl ; mov eax, eax),
            BinOp::Mul64 => dynasm!(self.ops ; .arch x64 ; imul rax, rcx),
            BinOp::Mul32 => dynasm!(self.ops ; .arch x64 ; imul eax, ecx),
            BinOp::MulHiU => dynasm!(self.ops ; .arch x64 ; mul rcx ; mov rax, rdx),
            BinOp::MulHiS => dynasm!(self.ops ; .arch x64 ; imul rcx ; mov rax, rdx),
            BinOp::MulS32to64 => {
                dynasm!(self.ops ; .arch x64 ; movsxd rax, eax ; movsxd rcx, ecx ; imul rax, rcx)
            }
            BinOp::MulU32to64 => dynasm!(self.ops ; .arch x64 ; mov eax, eax ; mov ecx, ecx ; imul rax, rcx),
            BinOp::Eq => self.compare(Test::Equal),
            BinOp::Ne => self.compare(Test::NotEqual),
            BinOp::LtU => self.compare(Test::Below),
            BinOp::LtS => self.compare(Test::Less),
            BinOp::LeU => self.compare(Test::BelowOrEqual),
            BinOp::LeS => self.compare(Test::LessOrEqual),
            _ => unreachable!("`has_bin` says so"),
        }
    }

    /// rax = op(rax, imm)
    fn bin_immediate(&mut self, op: BinOp, imm: u64) {
        let small = i32::try_from(imm as i64);
        let narrow = imm as u32 as i32;
        match (op, small) {
            (BinOp::Add64, Ok(imm)) => self.group_1(true, 0, imm),
            (BinOp::Or64, Ok(imm)) => self.group_1(true, 1, imm),
            (BinOp::And64, Ok(imm)) => self.group_1(true, 4, imm),
            (BinOp::Sub64, Ok(imm)) => self.group_1(true, 5, imm),
            (BinOp::Xor64, Ok(imm)) => self.group_1(true, 6, imm),
            (BinOp::Add32, _) => self.group_1(false, 0, narrow),
            (BinOp::Or32, _) => self.group_1(false, 1, narrow),
            (BinOp::And32, _) => self.group_1(false, 4, narrow),
            (BinOp::Sub32, _) => self.group_1(false, 5, narrow),
            (BinOp::Xor32, _) => self.group_1(false, 6, narrow),
            (BinOp::Shl64, _) => dynasm!(self.ops ; .arch x64 ; shl rax, (imm & 63) as i8),
            (BinOp::Shr64, _) => dynasm!(self.ops ; .arch x64 ; shr rax, (imm & 63) as i8),
            (BinOp::Sar64, _) => dynasm!(self.ops ; .arch x64 ; sar rax, (imm & 63) as i8),
            _ => {
                self.immediate(RCX, imm);
                self.bin(op);
            }
        }
        self.in_rax = None;
    }

    /// rax or eax = op(rax, imm), where `op` is a number of the host's group 1, in the shortest encoding.
    fn group_1(&mut self, wide: bool, op: u8, imm: i32) {
        if wide {
            dynasm!(self.ops ; .arch x64 ; .u8 0x48);
        }
        let to_rax = 0xc0 | op << 3;
        match i8::try_from(imm) {
            Ok(imm) => dynasm!(self.ops ; .arch x64 ; .bytes [0x83, to_rax] ; .i8 imm),
            Err(_) => dynasm!(self.ops ; .arch x64 ; .bytes [0x81, to_rax] ; .i32 imm),
        }
    }

    /// rcx = rcx shifted as the second operand of an operation
    fn shift(&mut self, narrow: bool, shift: Shift, n: i8) {
        match (shift, narrow) {
            (Shift::Lsl, false) => dynasm!(self.ops ; .arch x64 ; shl rcx, n),
            (Shift::Lsl, true) => dynasm!(self.ops ; .arch x64 ; shl ecx, n),
            (Shift::Lsr, false) => dynasm!(self.ops ; .arch x64 ; shr rcx, n),
            (Shift::Lsr, true) => dynasm!(self.ops ; .arch x64 ; shr ecx, n),
            (Shift::Asr, false) => dynasm!(self.ops ; .arch x64 ; sar rcx, n),
            (Shift::Asr, true) => dynasm!(self.ops ; .arch x64 ; sar ecx, n),
            (Shift::Ror, false) => dynasm!(self.ops ; .arch x64 ; ror rcx, n),
            (Shift::Ror, true) => dynasm!(self.ops ; .arch x64 ; ror ecx, n),
            // What is above the low half is nothing to a narrow operation.
            (Shift::Uxtb, _) => dynasm!(self.ops ; .arch x64 ; movzx ecx, cl ; shl rcx, n),
            (Shift::Uxth, _) => dynasm!(self.ops ; .arch x64 ; movzx ecx, cx ; shl rcx, n),
            (Shift::Uxtw, _) => dynasm!(self.ops ; .arch x64 ; mov ecx, ecx ; shl rcx, n),
            (Shift::Sxtb, _) => dynasm!(self.ops ; .arch x64 ; movsx rcx, cl ; shl rcx, n),
            (Shift::Sxth, _) => dynasm!(self.ops ; .arch x64 ; movsx rcx, cx ; shl rcx, n),
            (Shift::Sxtw, _) => dynasm!(self.ops ; .arch x64 ; movsxd rcx, ecx ; shl rcx, n),
        }
    }

    /// rax = 1 if rax and rcx compare so, else 0
    fn compare(&mut self, test: Test) {
        dynasm!(self.ops ; .arch x64 ; cmp rax, rcx);
        self.set_if(test);
    }

    /// rax = 1 if the host's flags are so, else 0
    fn set_if(&mut self, test: Test) {
        dynasm!(self.ops
            ; .arch x64
            // setcc al
            ; .bytes [0x0f, 0x90 | test as u8, 0xc0]
            ; movzx eax, al
        );
        self.in_rax = None;
    }

    /// rax = a * b, rdx = c
    fn multiply(&mut self, a: X, b: X, c: X) {
        self.get(RCX, b);
        self.get(RDX, c);
        self.get(RAX, a);
        self.in_rax = None;
        dynasm!(self.ops ; .arch x64 ; imul rax, rcx);
    }

    // ---- flags

    /// The flags become those of rax and rcx.
    fn set_flags(&mut self, kind: FlagKind) {
        let holds = self.in_rax;
        let offset = x_offset(slot::FLAG_KIND);
        dynasm!(self.ops ; .arch x64 ; mov QWORD [rdi + offset], kind as i32);
        self.set(slot::FLAG_A, RAX);
        self.set(slot::FLAG_B, RCX);
        self.in_rax = holds;
        self.forget_kind();
        self.kind = Some(kind);
    }

    fn forget_kind(&mut self) {
        (self.kind, self.kind_unless_packed) = (None, None);
    }

    /// If the condition holds the flags become those of `a` and `b`, else these.
    fn flags_if(&mut self, kind: FlagKind, cc: Cc, a: X, b: X, nzcv: u8) {
        let (otherwise, done) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        self.condition(cc);
        dynasm!(self.ops ; .arch x64 ; test eax, eax ; je =>otherwise);
        self.in_rax = None;
        self.get(RCX, b);
        self.get(RAX, a);
        self.set_flags(kind);
        let [of, first, second] = [slot::FLAG_KIND, slot::FLAG_A, slot::FLAG_B].map(x_offset);
        dynasm!(self.ops
            ; .arch x64
            ; jmp =>done
            ; =>otherwise
            ; mov QWORD [rdi + of], FlagKind::Nzcv as i32
            ; mov QWORD [rdi + first], i32::from(nzcv & 15)
            ; mov QWORD [rdi + second], 0
            ; =>done
        );
        self.in_rax = None;
        (self.kind, self.kind_unless_packed) = (None, Some(kind));
    }

    /// Has the host's flags say whether a condition holds, which is not one that always does: returns how.
    fn test(&mut self, cc: Cc) -> Test {
        if let Some(kind) = self.kind
            && let Some(test) = direct_of(kind, cc)
        {
            self.compare_again(kind);
            return test;
        }
        if let Some(kind) = self.kind_unless_packed
            && let Some(test) = direct_of(kind, cc)
        {
            let (packed, done) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
            let [of, first] = [slot::FLAG_KIND, slot::FLAG_A].map(x_offset);
            dynasm!(self.ops ; .arch x64 ; cmp DWORD [rdi + of], FlagKind::Nzcv as i32 ; je =>packed);
            self.compare_again(kind);
            self.set_if(test);
            dynasm!(self.ops
                ; .arch x64
                ; jmp =>done
                ; =>packed
                ; mov eax, [rdi + first]
            );
            self.test_packed(cc);
            self.set_if(Test::Below);
            dynasm!(self.ops ; .arch x64 ; =>done ; test eax, eax);
            return Test::NotEqual;
        }
        self.packed_flags();
        self.test_packed(cc);
        Test::Below
    }

    /// Has the host's carry say whether a condition holds for the packed flags in eax.
    fn test_packed(&mut self, cc: Cc) {
        // The bits of this number say for which flags the condition holds.
        let table = (0..16).filter(|&nzcv| cc.holds(nzcv)).fold(0, |table, nzcv| table | 1 << nzcv);
        dynasm!(self.ops ; .arch x64 ; mov ecx, DWORD table ; bt ecx, eax);
        self.in_rax = None;
    }

    /// Makes the host's flags what the guest's are of.
    fn compare_again(&mut self, kind: FlagKind) {
        self.get(RCX, slot::FLAG_B);
        self.get(RAX, slot::FLAG_A);
        self.in_rax = None;
        match kind {
            FlagKind::Sub64 => dynasm!(self.ops ; .arch x64 ; cmp rax, rcx),
            FlagKind::Sub32 => dynasm!(self.ops ; .arch x64 ; cmp eax, ecx),
            FlagKind::Add64 => dynasm!(self.ops ; .arch x64 ; add rax, rcx),
            FlagKind::Add32 => dynasm!(self.ops ; .arch x64 ; add eax, ecx),
            FlagKind::Logic32 => dynasm!(self.ops ; .arch x64 ; test eax, eax),
            _ => dynasm!(self.ops ; .arch x64 ; test rax, rax),
        }
    }

    /// eax = the packed flags
    fn packed_flags(&mut self) {
        let [kind, a, b] = [slot::FLAG_KIND, slot::FLAG_A, slot::FLAG_B].map(x_offset);
        dynasm!(self.ops
            ; .arch x64
            ; push rdi
            ; push rsi
            ; sub rsp, 8
            ; mov rax, [rdi + NZCV]
            ; mov rsi, [rdi + a]
            ; mov rdx, [rdi + b]
            ; mov rdi, [rdi + kind]
            ; call rax
            ; add rsp, 8
            ; pop rsi
            ; pop rdi
        );
        self.in_rax = None;
    }

    /// rax = 1 if the condition holds, else 0
    fn condition(&mut self, cc: Cc) {
        if let Cc::Al | Cc::Nv = cc {
            return self.immediate(RAX, 1);
        }
        let test = self.test(cc);
        self.set_if(test);
    }

    /// rax = a if the condition holds, else op(b)
    fn select(&mut self, op: SelOp, cc: Cc, a: X, b: X) {
        self.condition(cc);
        dynasm!(self.ops ; .arch x64 ; mov r8d, eax);
        self.get(R9, a);
        self.get(RAX, b);
        self.in_rax = None;
        match op {
            SelOp::Mov => {}
            SelOp::Inc => dynasm!(self.ops ; .arch x64 ; inc rax),
            SelOp::Inv => dynasm!(self.ops ; .arch x64 ; not rax),
            SelOp::Neg => dynasm!(self.ops ; .arch x64 ; neg rax),
        }
        dynasm!(self.ops ; .arch x64 ; test r8d, r8d ; cmovne rax, r9);
    }

    // ---- memory

    /// rax = a + imm
    fn effective(&mut self, a: X, imm: i64) {
        self.get(RAX, a);
        if imm == 0 {
            return;
        }
        self.in_rax = None;
        match i32::try_from(imm) {
            Ok(imm) => self.group_1(true, 0, imm),
            Err(_) => {
                self.immediate(RCX, imm as u64);
                dynasm!(self.ops ; .arch x64 ; add rax, rcx);
            }
        }
    }

    /// rax = a + imm, from where on `size` bytes may be accessed; else leaves by the slow exit.
    fn checked(&mut self, a: X, imm: i64, size: u64, write: bool) {
        let slow = self.slow();
        self.effective(a, imm);
        let (one, two) = match write {
            true => (perm::FAST_WRITE, perm::FAST_WRITE_PAIR),
            false => (perm::READ, perm::READ_PAIR),
        };
        dynasm!(self.ops
            ; .arch x64
            ; mov rcx, rax
            ; shr rcx, PAGE.ilog2() as i8
            ; cmp rcx, (ADDRESS_SPACE / PAGE) as i32
            ; jae =>slow
        );
        if size == 1 {
            dynasm!(self.ops ; .arch x64 ; test BYTE [rsi + rcx + PERMISSIONS], one as i8 ; je =>slow);
        } else {
            let (label, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
            dynasm!(self.ops
                ; .arch x64
                ; test BYTE [rsi + rcx + PERMISSIONS], two as i8
                ; je =>label
                ; =>back
            );
            self.edges.push(Edge { label, back, slow, size: size as i32, wanted: one });
        }
        // Who loads to `rax` does not mind; who stores must find the address there.
    }

    /// r = memory at rax + offset
    fn load(&mut self, ty: MemTy, r: u8, offset: i8) {
        match ty {
            MemTy::U8 => dynasm!(self.ops ; .arch x64 ; movzx Rd(r), BYTE [BYTE rsi + rax + offset]),
            MemTy::U16 => dynasm!(self.ops ; .arch x64 ; movzx Rd(r), WORD [BYTE rsi + rax + offset]),
            MemTy::U32 => dynasm!(self.ops ; .arch x64 ; mov Rd(r), [BYTE rsi + rax + offset]),
            MemTy::U64 => dynasm!(self.ops ; .arch x64 ; mov Rq(r), [BYTE rsi + rax + offset]),
            MemTy::S8 => dynasm!(self.ops ; .arch x64 ; movsx Rq(r), BYTE [BYTE rsi + rax + offset]),
            MemTy::S16 => dynasm!(self.ops ; .arch x64 ; movsx Rq(r), WORD [BYTE rsi + rax + offset]),
            MemTy::S32 => dynasm!(self.ops ; .arch x64 ; movsxd Rq(r), DWORD [BYTE rsi + rax + offset]),
            MemTy::S8to32 => dynasm!(self.ops ; .arch x64 ; movsx Rd(r), BYTE [BYTE rsi + rax + offset]),
            MemTy::S16to32 => dynasm!(self.ops ; .arch x64 ; movsx Rd(r), WORD [BYTE rsi + rax + offset]),
        }
        self.changed(r);
    }

    /// memory at rax + offset = r
    fn store(&mut self, bytes: u64, r: u8, offset: i8) {
        match bytes {
            1 => dynasm!(self.ops ; .arch x64 ; mov [BYTE rsi + rax + offset], Rb(r)),
            2 => dynasm!(self.ops ; .arch x64 ; mov [BYTE rsi + rax + offset], Rw(r)),
            4 => dynasm!(self.ops ; .arch x64 ; mov [BYTE rsi + rax + offset], Rd(r)),
            _ => dynasm!(self.ops ; .arch x64 ; mov [BYTE rsi + rax + offset], Rq(r)),
        }
    }

    /// A vector slot = memory at rax + offset
    fn load_v(&mut self, d: V, bytes: u8, offset: i8) {
        let slot = v_offset(d);
        if bytes == 16 {
            dynasm!(self.ops ; .arch x64 ; movups xmm0, [BYTE rsi + rax + offset] ; movups [rdi + slot], xmm0);
            return;
        }
        let ty = match bytes {
            1 => MemTy::U8,
            2 => MemTy::U16,
            4 => MemTy::U32,
            _ => MemTy::U64,
        };
        self.load(ty, RCX, offset);
        dynasm!(self.ops ; .arch x64 ; mov [rdi + slot], rcx ; mov QWORD [rdi + (slot + 8)], 0);
    }

    /// Memory at rax + offset = a vector slot
    fn store_v(&mut self, s: V, bytes: u8, offset: i8) {
        let slot = v_offset(s);
        if bytes == 16 {
            dynasm!(self.ops ; .arch x64 ; movups xmm0, [rdi + slot] ; movups [BYTE rsi + rax + offset], xmm0);
            return;
        }
        dynasm!(self.ops ; .arch x64 ; mov rcx, [rdi + slot]);
        self.store(bytes.into(), RCX, offset);
    }

    // ---- the end of the block

    /// Goes on at a known address.
    fn chain(&mut self, pc: u64, which: u32) {
        self.count(self.block.insns.len());
        self.immediate(RDX, pc);
        dynasm!(self.ops ; .arch x64 ; mov rcx, QWORD 0);
        self.place(Address::Slot(which));
        dynasm!(self.ops ; .arch x64 ; jmp QWORD [rcx]);
    }

    /// Goes on at `target` if the host's flags are so, else behind the block.
    fn branch(&mut self, test: Test, target: u64) {
        let taken = self.ops.new_dynamic_label();
        match test {
            Test::Overflow => dynasm!(self.ops ; .arch x64 ; jo =>taken),
            Test::NoOverflow => dynasm!(self.ops ; .arch x64 ; jno =>taken),
            Test::Below => dynasm!(self.ops ; .arch x64 ; jb =>taken),
            Test::AboveOrEqual => dynasm!(self.ops ; .arch x64 ; jae =>taken),
            Test::Equal => dynasm!(self.ops ; .arch x64 ; je =>taken),
            Test::NotEqual => dynasm!(self.ops ; .arch x64 ; jne =>taken),
            Test::BelowOrEqual => dynasm!(self.ops ; .arch x64 ; jbe =>taken),
            Test::Above => dynasm!(self.ops ; .arch x64 ; ja =>taken),
            Test::Sign => dynasm!(self.ops ; .arch x64 ; js =>taken),
            Test::NoSign => dynasm!(self.ops ; .arch x64 ; jns =>taken),
            Test::Less => dynasm!(self.ops ; .arch x64 ; jl =>taken),
            Test::GreaterOrEqual => dynasm!(self.ops ; .arch x64 ; jge =>taken),
            Test::LessOrEqual => dynasm!(self.ops ; .arch x64 ; jle =>taken),
            Test::Greater => dynasm!(self.ops ; .arch x64 ; jg =>taken),
        }
        self.chain(self.block.end, 1);
        dynasm!(self.ops ; .arch x64 ; =>taken);
        self.chain(target, 0);
    }

    /// Goes on at the address in a slot, through the thread's indirect-branch cache.
    fn indirect(&mut self, hint: JumpHint, a: X) {
        let link = Left::link_of(hint) as i32;
        self.get(RDX, a);
        if hint == JumpHint::Jump {
            let (count, _) = self.entry.counter();
            dynasm!(self.ops
                ; .arch x64
                ; mov rax, QWORD count as i64
                ; mov ecx, [rax]
                ; and ecx, (RECENT - 1) as i32
                ; mov rax, QWORD self.entry.recent() as i64
                ; mov [rax + rcx * 8], rdx
            );
        }
        self.count(self.block.insns.len());
        let (found, unknown) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        dynasm!(self.ops
            ; .arch x64
            ; mov rax, [rdi + JUMP_CACHE]
            ; mov ecx, edx
            // Entries have 16 bytes, and addresses count by four: see `jump_cache_index`.
            ; shl ecx, 2
            ; and ecx, ((1 << JUMP_CACHE_BITS) - 1) << 4
            ; cmp [rax + rcx], rdx
            ; je =>found
            // The other place: see `JumpCache::keep`.
            ; xor ecx, 16
            ; cmp [rax + rcx], rdx
            ; jne =>unknown
            ; =>found
            ; mov rax, [rax + rcx + 8]
            ; mov ecx, DWORD link
            ; jmp rax
            ; =>unknown
            ; mov ecx, DWORD link
            ; jmp QWORD [rdi + RESOLVER]
        );
    }
}

/// The micro-op that is jumped to inside the block.
fn local_target(uop: &Uop) -> Option<u32> {
    match *uop {
        Uop::Local { to } | Uop::LocalIf { to, .. } => Some(to),
        _ => None,
    }
}

/// The host's condition for the flags of a subtraction; for others where carry is nothing to it.
fn direct(cc: Cc) -> Option<Test> {
    Some(match cc {
        Cc::Eq => Test::Equal,
        Cc::Ne => Test::NotEqual,
        // Carry is the contrary of the host's borrow.
        Cc::Cs => Test::AboveOrEqual,
        Cc::Cc => Test::Below,
        Cc::Mi => Test::Sign,
        Cc::Pl => Test::NoSign,
        Cc::Vs => Test::Overflow,
        Cc::Vc => Test::NoOverflow,
        Cc::Hi => Test::Above,
        Cc::Ls => Test::BelowOrEqual,
        Cc::Ge => Test::GreaterOrEqual,
        Cc::Lt => Test::Less,
        Cc::Gt => Test::Greater,
        Cc::Le => Test::LessOrEqual,
        Cc::Al | Cc::Nv => return None,
    })
}

/// The host's condition over the flags of `kind`, made again, if there is one.
fn direct_of(kind: FlagKind, cc: Cc) -> Option<Test> {
    match kind {
        FlagKind::Sub64 | FlagKind::Sub32 => direct(cc),
        FlagKind::Add64 | FlagKind::Add32 => match cc {
            Cc::Cs => Some(Test::Below),
            Cc::Cc => Some(Test::AboveOrEqual),
            Cc::Hi | Cc::Ls => None,
            _ => direct(cc),
        },
        FlagKind::Logic64 | FlagKind::Logic32 => match cc {
            Cc::Cs | Cc::Cc | Cc::Hi | Cc::Ls => None,
            _ => direct(cc),
        },
        _ => None,
    }
}

/// True for micro-ops that are not calls of their reference functions.
fn is_native(uop: &Uop) -> bool {
    match *uop {
        Uop::Un { op, .. } => has_un(op),
        Uop::Bin { op, .. } | Uop::BinI { op, .. } | Uop::BinSh { op, .. } => has_bin(op),
        Uop::V1 { .. } | Uop::V2 { .. } | Uop::V3 { .. } | Uop::Vx { .. } | Uop::Xv { .. } | Uop::FCmp { .. } => false,
        Uop::SetNzcv { .. } | Uop::GetNzcv { .. } | Uop::Adc64 { .. } | Uop::Adc32 { .. } => false,
        Uop::LoadEx { .. } | Uop::LoadExPair { .. } | Uop::StoreEx { .. } | Uop::StoreExPair { .. } => false,
        Uop::Amo { .. } | Uop::Cas { .. } | Uop::CasPair { .. } | Uop::ClearEx | Uop::ZeroBlock { .. } => false,
        Uop::CheckRounding | Uop::Vector { .. } | Uop::ProbeLoad { .. } => false,
        Uop::CellGet { .. } | Uop::CellSet { .. } | Uop::CellAdd { .. } => false,
        _ => true,
    }
}

/// True for what [`Quick::un`] has.
fn has_un(op: UnOp) -> bool {
    !matches!(
        op,
        UnOp::Rev16x64 | UnOp::Rev16x32 | UnOp::Rbit64 | UnOp::Rbit32 | UnOp::Cls64 | UnOp::Cls32 | UnOp::Popcnt64
    )
}

/// True for what [`Quick::bin`] has.
fn has_bin(op: BinOp) -> bool {
    !matches!(
        op,
        BinOp::MulHiSU
            | BinOp::DivUA64
            | BinOp::DivUA32
            | BinOp::DivSA64
            | BinOp::DivSA32
            | BinOp::Crc32B
            | BinOp::Crc32H
            | BinOp::Crc32W
            | BinOp::Crc32X
            | BinOp::Crc32CB
            | BinOp::Crc32CH
            | BinOp::Crc32CW
            | BinOp::Crc32CX
    )
}
