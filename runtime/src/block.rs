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
    pub insns: Insns,
    /// The micro-ops of all instructions and of the probes between them.
    pub uops: Uops,
}

/// The instructions of a block, as [`Block::insn`] finds them.
#[derive(Clone, Debug)]
pub enum Insns {
    /// There is nothing of probes among their micro-ops.
    Lifted(Box<[Row]>),
    /// There may be.
    Probed(Box<[Insn]>),
}

/// An instruction of a block without probes. There are many of them, and few are ever asked for: it is small, and most of
/// an [`Insn`] is found in what is around it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    bits: u32,
    /// First micro-op.
    start: u16,
    /// Where the instruction ends, in bytes from the block's beginning.
    end: u16,
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

impl Insns {
    /// Those of a block at `pc` without probes.
    ///
    /// # Panics
    /// If there are more than fit into a block.
    pub fn lifted(pc: u64, insns: &[Insn]) -> Insns {
        let row = |insn: &Insn| Row {
            bits: insn.bits,
            start: u16::try_from(insn.start).expect("few micro-ops"),
            end: u16::try_from(insn.pc.wrapping_sub(pc) + u64::from(insn.len)).expect("few instructions"),
        };
        Insns::Lifted(insns.iter().map(row).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Insns::Lifted(rows) => rows.len(),
            Insns::Probed(insns) => insns.len(),
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Insns {
    fn default() -> Self {
        Insns::Lifted(Box::default())
    }
}

impl Block {
    /// Something of probes is in it.
    pub fn is_probed(&self) -> bool {
        matches!(self.insns, Insns::Probed(_))
    }

    /// The instruction with this index.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn insn(&self, index: usize) -> Insn {
        self.get_insn(index).expect("an instruction of the block")
    }

    /// The instruction with this index, if there are so many.
    pub fn get_insn(&self, index: usize) -> Option<Insn> {
        let rows = match &self.insns {
            Insns::Lifted(rows) => rows,
            Insns::Probed(insns) => return insns.get(index).copied(),
        };
        let &Row { bits, start, end } = rows.get(index)?;
        let before = index.checked_sub(1).map_or(0, |before| rows[before].end);
        let after = rows.get(index + 1).map_or(self.uops.len() as u32, |next| next.start.into());
        let pc = self.pc.wrapping_add(before.into());
        Some(Insn { pc, bits, len: (end - before) as u8, start: start.into(), body: start.into(), after })
    }

    /// The instructions, in address order.
    pub fn insns(&self) -> impl DoubleEndedIterator<Item = Insn> + ExactSizeIterator {
        (0..self.insns.len()).map(|index| self.insn(index))
    }

    /// Returns the index of the instruction that micro-op `uop` belongs to.
    pub fn insn_of(&self, uop: u32) -> usize {
        let behind = match &self.insns {
            Insns::Lifted(rows) => rows.partition_point(|row| u32::from(row.start) <= uop),
            Insns::Probed(insns) => insns.partition_point(|insn| insn.start <= uop),
        };
        behind - 1
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

    /// Returns the same instruction, for a lifter that puts something of its own beside it.
    pub fn lend(&mut self) -> Lift<'_> {
        Lift { uops: self.uops, ..*self }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::{MAX_INSNS, MAX_UOPS};

    #[test]
    fn what_a_row_leaves_out_is_found_around_it() {
        let insn = |pc, len, start, after| Insn { pc, bits: 7, len, start, body: start, after };
        let insns = [insn(0x1ffe, 4, 0, 3), insn(0x2002, 2, 3, 3), insn(0x2004, 4, 3, 5)];
        let uops = [Uop::Next; 5].as_slice().into();
        let block = Block { pc: 0x1ffe, end: 0x2008, insns: Insns::lifted(0x1ffe, &insns), uops };
        assert!(block.insns().eq(insns) && block.get_insn(3).is_none());
        assert_eq!([0, 2, 3, 4].map(|uop| block.insn_of(uop)), [0, 0, 2, 2]);
    }

    #[test]
    fn the_longest_block_fits_into_rows() {
        const MOST: usize = MAX_UOPS / MAX_INSNS;
        let insn = |index: usize| {
            let (pc, start) = ((u64::MAX - 127).wrapping_add(4 * index as u64), (MOST * index) as u32);
            Insn { pc, bits: 7, len: 4, start, body: start, after: start + MOST as u32 }
        };
        let insns: Vec<Insn> = (0..MAX_INSNS).map(insn).collect();
        let uops = vec![Uop::Next; MAX_UOPS].as_slice().into();
        let block = Block { pc: insns[0].pc, end: 896, insns: Insns::lifted(insns[0].pc, &insns), uops };
        assert!(block.insns().eq(insns));
    }
}
