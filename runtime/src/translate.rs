//! Translation: from guest bytes at an address to a [`Block`] of micro-ops, with probes spliced in.
//!
//! The instructions are lifted first, without probes; if a probe concerns them the block is then put together again
//! with what [`Splice`] wants before and after each instruction. A block without probes carries no code for them.

use crate::block::{Block, Insn, Insns, Lift};
use crate::isa::Isa;
use crate::mem::{GuestMemory, PAGE};
use crate::uop::{Operand, Trap, UnOp, Uop, X, slot};

/// Most instructions in a block.
pub const MAX_INSNS: usize = 256;
/// Most bytes of guest code in a block.
pub const MAX_BYTES: u64 = 4 * MAX_INSNS as u64;
/// Micro-ops behind which a block has no further instruction.
pub const MAX_UOPS: usize = 1 << 14;
/// Instructions that most blocks have no more of.
const USUAL_INSNS: usize = 4;
/// Their micro-ops.
const USUAL_UOPS: usize = 64;

/// Slot that holds the address of the next instruction for after-probes at an instruction that transfers control.
/// It is the last probe slot, so that bodies never use it for anything else.
pub const NEXT_PC: X = 255;
/// Slot that keeps the operand of a branch while after-probes run.
const BRANCH_OPERAND: X = 254;
/// First slot that bodies may not use.
pub const PROBE_END: X = 253;

/// What can be spliced into a block.
pub trait Splice {
    /// False if nothing can be spliced into a block: it is then used as lifted.
    fn touches(&mut self, block: &Block) -> bool;

    /// Appends what runs before the instruction at `site`.
    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>);

    /// Appends what runs before an instruction that is executed in place of another one, whose probes have run.
    fn before_replaced(&mut self, _site: &Site<'_>, _uops: &mut Vec<Uop>) {}

    /// Appends the micro-ops of the instruction itself, `straight`, with what has to be kept of them for after-probes,
    /// and in front of them other forms of it, which probes may have asked for. Returns where the instruction itself
    /// begins; `None` if it is used as it is, and then nothing is appended.
    fn body(&mut self, _site: &Site<'_>, _straight: &[Uop], _uops: &mut Vec<Uop>) -> Option<u32> {
        None
    }

    /// Appends what forces the stuck bits of the registers that the instruction has written.
    fn stick(&mut self, _site: &Site<'_>, _uops: &mut Vec<Uop>) {}

    /// True if [`Splice::after`] has something for `site`.
    fn has_after(&mut self, site: &Site<'_>) -> bool;

    /// Appends what runs after the instruction at `site`. If `site.jumps`, the slot [`NEXT_PC`] holds the address of
    /// the next instruction, else that is `site.insn.pc + site.insn.len`.
    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>);
}

/// Registers of which bits may be stuck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stickable {
    /// General registers, a bit each.
    pub x: u32,
    /// Vector registers, a bit each.
    pub v: u32,
    /// The flags.
    pub flags: bool,
}

impl Stickable {
    /// True if there is none.
    pub fn is_empty(self) -> bool {
        self == Stickable::default()
    }

    /// Those of either.
    pub fn with(self, other: Stickable) -> Stickable {
        Stickable { x: self.x | other.x, v: self.v | other.v, flags: self.flags | other.flags }
    }

    /// Those of which `uops` write one.
    pub fn written(self, uops: &[Uop]) -> Stickable {
        let mut found = Stickable::default();
        for uop in uops {
            uop.operands(|operand| match operand {
                Operand::DefX(d) if d < slot::SYS => found.x |= 1 << d,
                Operand::DefV(d) if d < slot::VTEMP => found.v |= 1 << d,
                Operand::DefFlags => found.flags = true,
                _ => {}
            });
            found.flags |= matches!(uop, Uop::WriteSys { .. });
        }
        Stickable { x: found.x & self.x, v: found.v & self.v, flags: found.flags & self.flags }
    }

    /// Appends what forces the stuck bits of all of them.
    pub fn stick(self, uops: &mut Vec<Uop>) {
        uops.extend((0..32).filter(|d| self.x >> d & 1 != 0).map(|d| Uop::StickX { d }));
        uops.extend((0..32).filter(|d| self.v >> d & 1 != 0).map(|d| Uop::StickV { d }));
        uops.extend(self.flags.then_some(Uop::StickFlags));
    }
}

/// An instruction in its block, as probes see it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The instruction; its micro-op indices are not meaningful here.
    pub insn: Insn,
    /// Its micro-ops as lifted, its jump included.
    pub body: &'a [Uop],
    /// True for the first instruction of a block that control flow has reached (not of the rest of a block).
    pub enters_block: bool,
    /// Address of the block.
    pub block_pc: u64,
    /// Size of the block in bytes.
    pub block_size: u64,
    /// Number of instructions in the block.
    pub block_len: u64,
    /// True if the instruction ends the block by a jump or branch.
    pub jumps: bool,
}

/// Translates the block at `pc`. `enters` is false for the rest of a block that was left in the middle.
///
/// Never fails: what cannot be fetched becomes a trap that is raised when execution gets there.
pub fn translate(isa: &dyn Isa, memory: &GuestMemory, pc: u64, enters: bool, splice: Option<&mut dyn Splice>) -> Block {
    let block = lift_block(isa, memory, pc);
    // What cannot be fetched is no instruction: no probe fires there.
    let fetched = !matches!(block.uops[..], [Uop::Trap { kind: Trap::Fetch | Trap::PcAlignment, .. }]);
    if let Some(splice) = splice
        && fetched
        && splice.touches(&block)
    {
        return spliced(&block, enters, splice, |splice, site, uops| splice.before(site, uops));
    }
    block
}

/// Translates `bits` as the instruction at `pc`, behind the probes that stand before it. Whatever its own size, what
/// stands behind the instruction in memory is next.
pub fn translate_replaced(
    isa: &dyn Isa,
    memory: &GuestMemory,
    pc: u64,
    bits: u32,
    splice: Option<&mut dyn Splice>,
) -> Block {
    let len = fetch(isa, memory, pc).map_or_else(|_| isa.insn_len(bits as u16), |(_, len)| len);
    let mut uops = Vec::new();
    isa.lift(bits, &mut Lift::new(&mut uops, pc, len));
    let after = uops.len() as u32;
    if !uops.last().is_some_and(Uop::ends_block) {
        uops.push(Uop::Next);
    }
    let insns = Insns::Probed([Insn { pc, bits, len, start: 0, body: 0, after }].into());
    let block = Block { pc, end: pc.wrapping_add(u64::from(len)), insns, uops: uops.as_slice().into() };
    match splice {
        Some(splice) => spliced(&block, false, splice, |splice, site, uops| splice.before_replaced(site, uops)),
        None => block,
    }
}

fn lift_block(isa: &dyn Isa, memory: &GuestMemory, pc: u64) -> Block {
    let (mut insns, mut uops) = (Vec::with_capacity(USUAL_INSNS), Vec::with_capacity(USUAL_UOPS));
    let mut end = pc;
    while insns.len() < MAX_INSNS && uops.len() < MAX_UOPS && (end / PAGE == pc / PAGE || insns.is_empty()) {
        let at = end;
        let start = uops.len() as u32;
        let (bits, len) = match fetch(isa, memory, at) {
            Ok(fetched) => fetched,
            // Only an instruction that is reached faults.
            Err(_) if !insns.is_empty() => break,
            Err(trap) => {
                uops.push(trap);
                (0, isa.insn_align() as u8)
            }
        };
        if uops.len() as u32 == start {
            isa.lift(bits, &mut Lift::new(&mut uops, at, len));
        }
        let after = uops.len() as u32;
        insns.push(Insn { pc: at, bits, len, start, body: start, after });
        end = at.wrapping_add(u64::from(len));
        let last = uops.get(start as usize..).and_then(<[Uop]>::last);
        if last.is_some_and(|uop| uop.ends_block() || matches!(uop, Uop::Syscall { .. })) {
            break;
        }
    }
    if !uops.last().is_some_and(Uop::ends_block) {
        uops.push(Uop::Next);
    }
    Block { pc, end, insns: Insns::lifted(pc, &insns), uops: uops.as_slice().into() }
}

/// Reads the instruction at `pc`: its bits and length, or the trap that fetching it raises.
fn fetch(isa: &dyn Isa, memory: &GuestMemory, pc: u64) -> Result<(u32, u8), Uop> {
    if !pc.is_multiple_of(isa.insn_align()) {
        return Err(Uop::Trap { kind: Trap::PcAlignment, imm: pc });
    }
    let unreadable = |fault: crate::mem::Fault| Uop::Trap { kind: Trap::Fetch, imm: fault.addr };
    let first = u16::from_le_bytes(memory.fetch(pc).map_err(unreadable)?);
    if isa.insn_len(first) == 2 {
        return Ok((u32::from(first), 2));
    }
    let second = u16::from_le_bytes(memory.fetch(pc.wrapping_add(2)).map_err(unreadable)?);
    Ok((u32::from(second) << 16 | u32::from(first), 4))
}

/// What [`Splice`] appends before an instruction.
type Before = fn(&mut dyn Splice, &Site<'_>, &mut Vec<Uop>);

fn spliced(plain: &Block, enters: bool, splice: &mut dyn Splice, before: Before) -> Block {
    let (mut insns, mut uops) = (Vec::with_capacity(plain.insns.len()), Vec::new());
    for (index, insn) in plain.insns().enumerate() {
        let end = plain.get_insn(index + 1).map_or(plain.uops.len(), |next| next.start as usize);
        let body = &plain.uops[insn.start as usize..end];
        let (jump, straight) = match body.split_last() {
            Some((last, rest)) if last.ends_block() => (Some(*last), rest),
            _ => (None, body),
        };
        let site = Site {
            insn,
            body,
            enters_block: enters && index == 0,
            block_pc: plain.pc,
            block_size: plain.end.wrapping_sub(plain.pc),
            block_len: plain.insns.len() as u64,
            jumps: jump.is_some_and(|uop| !matches!(uop, Uop::Next | Uop::Trap { .. })),
        };
        let start = uops.len() as u32;
        before(splice, &site, &mut uops);
        let end_of_before = uops.len() as u32;
        let body_start = splice.body(&site, straight, &mut uops).unwrap_or_else(|| {
            push_moved(&mut uops, straight, insn.start, end_of_before);
            end_of_before
        });
        splice.stick(&site, &mut uops);
        let mut after = uops.len() as u32;
        let trap = matches!(jump, Some(Uop::Trap { .. }));
        if !trap && splice.has_after(&site) {
            let jump = jump.map(|uop| hold_branch(uop, plain.end, &mut uops));
            after = uops.len() as u32;
            splice.after(&site, &mut uops);
            uops.extend(jump);
        } else {
            uops.extend(jump);
        }
        insns.push(Insn { start, body: body_start, after, ..insn });
    }
    Block { pc: plain.pc, end: plain.end, insns: Insns::Probed(insns.into()), uops: uops.as_slice().into() }
}

/// Appends micro-ops of an instruction, its local jumps adjusted to their new place.
fn push_moved(uops: &mut Vec<Uop>, body: &[Uop], from: u32, to: u32) {
    let moved = |target: u32| target - from + to;
    uops.extend(body.iter().map(|&uop| match uop {
        Uop::Local { to: target } => Uop::Local { to: moved(target) },
        Uop::LocalIf { nz, a, to: target } => Uop::LocalIf { nz, a, to: moved(target) },
        other => other,
    }));
}

/// Makes a jump independent of guest slots, so that after-probes that write them do not redirect it, and computes
/// [`NEXT_PC`]. Returns the jump to use.
fn hold_branch(jump: Uop, fall: u64, uops: &mut Vec<Uop>) -> Uop {
    let hold_condition = |uops: &mut Vec<Uop>, condition: Uop, nz: bool, target: u64| {
        uops.push(condition);
        let (taken, not_taken) = (NEXT_PC, PROBE_END);
        uops.push(Uop::MovI { d: taken, imm: if nz { target } else { fall } });
        uops.push(Uop::MovI { d: not_taken, imm: if nz { fall } else { target } });
        uops.push(Uop::Select { d: NEXT_PC, c: BRANCH_OPERAND, a: taken, b: not_taken });
        Uop::BrZero { nz, a: BRANCH_OPERAND, target }
    };
    match jump {
        Uop::Jump { target, .. } => {
            uops.push(Uop::MovI { d: NEXT_PC, imm: target });
            jump
        }
        Uop::JumpInd { hint, a } => {
            uops.push(Uop::Un { op: UnOp::Mov, d: NEXT_PC, a });
            uops.push(Uop::Un { op: UnOp::Mov, d: BRANCH_OPERAND, a });
            Uop::JumpInd { hint, a: BRANCH_OPERAND }
        }
        Uop::BrZero { nz, a, target } => {
            let copy = Uop::Un { op: UnOp::Mov, d: BRANCH_OPERAND, a };
            hold_condition(uops, copy, nz, target)
        }
        Uop::BrBit { set, bit, a, target } => {
            let copy = Uop::BfxU { d: BRANCH_OPERAND, a, lsb: bit, len: 1 };
            hold_condition(uops, copy, set, target)
        }
        Uop::BrCc { cc, target } => hold_condition(uops, Uop::Cond { d: BRANCH_OPERAND, cc }, true, target),
        _ => jump,
    }
}

/// Lists the direct successors of a block: taken target and fall-through, as far as they are known.
pub fn successors(block: &Block) -> [Option<u64>; 2] {
    match block.uops.last() {
        Some(Uop::Jump { target, .. }) => [Some(*target), None],
        Some(Uop::BrZero { target, .. } | Uop::BrBit { target, .. } | Uop::BrCc { target, .. }) => {
            [Some(*target), Some(block.end)]
        }
        Some(Uop::Next) => [Some(block.end), None],
        _ => [None, None],
    }
}
