//! A translated block: micro-ops plus where each guest instruction stands in them, and the builder that lifters use.
//!
//! A block is a straight run of guest instructions on one page. It knows nothing of how it is executed.

use crate::uop::{Uop, V, X, slot};
use smallvec::SmallVec;

/// The micro-ops of a block. Most blocks have few, and these are in the block itself.
pub type Uops = SmallVec<[Uop; 6]>;

/// A run of guest instructions as micro-ops.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Address of the first instruction.
    pub pc: u64,
    /// Address behind the last instruction: where [`Uop::Next`] and untaken branches go on.
    pub end: u64,
    /// The instructions, in address order.
    pub insns: Vec<Insn>,
    /// The micro-ops of all instructions and of the probes between them.
    pub uops: Uops,
    /// Something of probes is in it.
    pub probed: bool,
}

/// One guest instruction of a [`Block`]. Its micro-ops are `start..body` (before-probes), `body..after` (the
/// instruction), `after..` the next instruction's start (after-probes; for a branch they stand before its last
/// micro-op, the jump itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Its address.
    pub pc: u64,
    /// Its encoding as fetched, low bytes first; a short instruction leaves the upper half zero.
    pub bits: u32,
    /// Its size in bytes.
    pub len: u8,
    /// First micro-op, before-probes included.
    pub start: u32,
    /// First micro-op of the instruction itself.
    pub body: u32,
    /// First micro-op of its after-probes.
    pub after: u32,
}

impl Block {
    /// Returns the index of the instruction that micro-op `uop` belongs to.
    pub fn insn_of(&self, uop: u32) -> usize {
        self.insns.partition_point(|insn| insn.start <= uop) - 1
    }
}

/// What a lifter appends to: the micro-ops of one instruction, with fresh temporaries.
#[derive(Debug)]
pub struct Lift<'a> {
    uops: &'a mut Vec<Uop>,
    /// Address of the instruction.
    pub pc: u64,
    /// Address of the instruction behind it.
    pub next: u64,
    temps: u8,
    vtemps: u8,
}

impl<'a> Lift<'a> {
    /// Starts the instruction at `pc` that is `len` bytes long; micro-ops are appended to `uops`.
    pub fn new(uops: &'a mut Vec<Uop>, pc: u64, len: u8) -> Self {
        Lift { uops, pc, next: pc.wrapping_add(u64::from(len)), temps: 0, vtemps: 0 }
    }

    /// Appends a micro-op.
    pub fn push(&mut self, uop: Uop) {
        self.uops.push(uop);
    }

    /// Returns the number of micro-ops so far, for [`Lift::rewind`].
    pub fn mark(&self) -> usize {
        self.uops.len()
    }

    /// Drops the micro-ops behind `mark`: those of an encoding that turned out to be undefined.
    pub fn rewind(&mut self, mark: usize) {
        self.uops.truncate(mark);
    }

    /// Returns a temporary that this instruction does not use yet.
    ///
    /// # Panics
    /// If an instruction wants more than 32, which is a mistake in its lifter.
    pub fn temp(&mut self) -> X {
        assert!(self.temps < slot::PROBE - slot::TEMP, "lifter at {:#x} uses too many temporaries", self.pc);
        self.temps += 1;
        slot::TEMP + self.temps - 1
    }

    /// Returns two neighbouring temporaries, as pair micro-ops want them: the first one.
    pub fn temp_pair(&mut self) -> X {
        let first = self.temp();
        self.temp();
        first
    }

    /// Returns a vector temporary that this instruction does not use yet.
    ///
    /// # Panics
    /// If an instruction wants more than 16.
    pub fn vtemp(&mut self) -> V {
        assert!(self.vtemps < slot::VPROBE - slot::VTEMP, "lifter at {:#x} uses too many temporaries", self.pc);
        self.vtemps += 1;
        slot::VTEMP + self.vtemps - 1
    }

    /// Returns a slot that holds `imm`: `ZERO` or a temporary.
    pub fn constant(&mut self, imm: u64) -> X {
        if imm == 0 {
            return slot::ZERO;
        }
        let d = self.temp();
        self.push(Uop::MovI { d, imm });
        d
    }
}
