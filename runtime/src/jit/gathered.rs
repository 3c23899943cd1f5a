//! Numbers that the guest loads in pieces. A compiler that may not use misaligned accesses, as those for RISC-V in
//! general, loads bytes, shifts them to their places and puts them together. Here the number is loaded as a whole where
//! the guest loads the first piece of it, and each piece is made of the whole, which mostly nobody asks for.
//!
//! This finds such numbers in a block; the code is [`super::lower`]'s. A piece keeps its place in the number, so it is what
//! the guest has in its register at every instruction in between.

use super::lower::access;
use crate::uop::{BinOp, MemTy, Operand, UnOp, Uop, X, slot};
use hashbrown::HashMap;

/// A number in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// Where it begins, from what the base slot of its loads holds.
    pub(super) low: i64,
    /// Its size: 2, 4 or 8.
    pub(super) bytes: u8,
    /// Its first byte is the highest one.
    pub(super) reversed: bool,
    /// It is sign-extended to 64 bits.
    pub(super) signed: bool,
}

/// What a micro-op of a number makes: some of its bytes, moved to a place of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The number it is of.
    pub(super) whole: usize,
    /// Its lowest byte in the number.
    pub(super) from: u8,
    pub(super) bytes: u8,
    /// Where that byte is in the result.
    pub(super) to: u8,
    /// What is above it in the result is copies of its highest bit, instead of zeros.
    pub(super) signed: bool,
}

/// The numbers of a block that are loaded in pieces.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) wholes: Vec<Whole>,
    parts: HashMap<usize, Part>,
}

/// Bytes of memory in a register.
#[derive(Clone, Copy, Debug)]
struct Piece {
    low: i64,
    bytes: u8,
    to: u8,
    signed: bool,
    /// `None` of a single load, which goes with either.
    reversed: Option<bool>,
    /// Some of what was loaded has been shifted out: it is no part of a larger number.
    cut: bool,
    /// The base slot, and how often it had been written.
    base: (X, u32),
    /// The loads of one run read the same memory: see [`Run`].
    run: u32,
}

/// A piece, the micro-op that makes it, and the pieces that it is made of.
struct Made {
    at: usize,
    piece: Piece,
    of: [Option<usize>; 2],
}

/// Loads between which nothing happens to memory that an observer could tell from their happening at once.
#[derive(Default)]
struct Run {
    number: u32,
    base: Option<(X, u32)>,
    loaded: Vec<(i64, i64)>,
}

impl Run {
    fn end(&mut self) {
        *self = Run { number: self.number + 1, ..Run::default() };
    }

    /// A load of `bytes` at `low` off `base`. With other threads about, loads that may be of the same bytes have to happen
    /// in their order, so those off other bases end the run.
    fn load(&mut self, base: (X, u32), low: i64, bytes: i64, parallel: bool) {
        let high = low.saturating_add(bytes);
        let overlaps = self.base == Some(base) && self.loaded.iter().any(|&(a, b)| low < b && a < high);
        if overlaps || parallel && self.base.is_some_and(|known| known != base) {
            self.end();
        }
        self.base = Some(base);
        self.loaded.push((low, high));
    }
}

impl Gathered {
    /// The numbers in these micro-ops of one block; `jumps`: there are jumps among them.
    pub(super) fn new<'a>(
        kept: impl Iterator<Item = (usize, &'a Uop)> + Clone,
        jumps: bool,
        parallel: bool,
    ) -> Gathered {
        let narrow = |uop: &Uop| matches!(uop, Uop::Load { ty, .. } if ty.bytes() < 8);
        if jumps || kept.clone().filter(|(_, uop)| narrow(uop)).count() < 2 {
            return Gathered::default();
        }
        choose(&pieces(kept, parallel))
    }

    fn add(&mut self, whole: usize, Made { at, piece, .. }: &Made) {
        let Whole { low, bytes, reversed, .. } = self.wholes[whole];
        let ahead = (piece.low - low) as u8;
        let from = if reversed { bytes - ahead - piece.bytes } else { ahead };
        self.parts.insert(*at, Part { whole, from, bytes: piece.bytes, to: piece.to, signed: piece.signed });
    }

    /// What micro-op `at` makes, if it belongs to a number.
    pub(super) fn part(&self, at: usize) -> Option<Part> {
        self.parts.get(&at).copied()
    }
}

/// All pieces that these micro-ops make.
fn pieces<'a>(kept: impl Iterator<Item = (usize, &'a Uop)>, parallel: bool) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    let mut held: HashMap<X, usize> = HashMap::new();
    let mut written = [0u32; slot::COUNT];
    let mut run = Run::default();
    for (at, uop) in kept {
        let piece_in = |x: X| held.get(&x).map(|&index| (index, made[index].piece));
        let result = match *uop {
            Uop::Load { ty, d, a, imm } => {
                let (base, bytes) = ((a, written[a as usize]), ty.bytes() as u8);
                run.load(base, imm, i64::from(bytes), parallel);
                let signed = match ty {
                    MemTy::U8 | MemTy::U16 | MemTy::U32 => Some(false),
                    MemTy::S8 | MemTy::S16 | MemTy::S32 => Some(true),
                    MemTy::U64 | MemTy::S8to32 | MemTy::S16to32 => None,
                };
                let piece = |signed| Piece {
                    low: imm,
                    bytes,
                    to: 0,
                    signed,
                    reversed: None,
                    cut: false,
                    base,
                    run: run.number,
                };
                signed.map(|signed| (d, piece(signed), [None, None]))
            }
            Uop::Un { op, d, a } => {
                piece_in(a).and_then(|(of, piece)| Some((d, extended(op, piece)?, [Some(of), None])))
            }
            Uop::BinI { op: op @ (BinOp::Shl64 | BinOp::Shl32), d, a, imm } => {
                let width = if op == BinOp::Shl64 { 8 } else { 4 };
                piece_in(a).and_then(|(of, piece)| Some((d, shifted(piece, imm, width)?, [Some(of), None])))
            }
            Uop::BinI { op: op @ (BinOp::Shr64 | BinOp::Shr32), d, a, imm } => {
                let width = if op == BinOp::Shr64 { 8 } else { 4 };
                piece_in(a).and_then(|(of, piece)| Some((d, lowered(piece, imm, width)?, [Some(of), None])))
            }
            Uop::Bin { op: BinOp::Or64 | BinOp::Add64, d, a, b } => match (piece_in(a), piece_in(b)) {
                (Some((a, first)), Some((b, second))) => {
                    let joined = joined(first, second).or_else(|| joined(second, first));
                    joined.map(|piece| (d, piece, [Some(a), Some(b)]))
                }
                _ => None,
            },
            _ => {
                if let Some((a, imm, bytes, false)) = access(uop) {
                    run.load((a, written[a as usize]), imm, bytes, parallel);
                } else if !leaves_memory(uop) {
                    run.end();
                }
                None
            }
        };
        uop.operands(|operand| {
            if let Operand::DefX(d) = operand {
                written[d as usize] += 1;
                held.remove(&d);
            }
        });
        if let Some((d, piece, of)) = result.filter(|result| result.0 != slot::ZERO) {
            held.insert(d, made.len());
            made.push(Made { at, piece, of });
        }
    }
    made
}

/// Micro-ops that have nothing to do with memory; it is no mistake if one is missing.
fn leaves_memory(uop: &Uop) -> bool {
    uop.is_integer() || matches!(uop, Uop::CellInc { .. })
}

/// What an operation on one operand makes of a piece.
fn extended(op: UnOp, piece: Piece) -> Option<Piece> {
    let end = piece.to + piece.bytes;
    match op {
        UnOp::Mov => Some(piece),
        UnOp::Sext32 if end == 4 => Some(Piece { signed: true, ..piece }),
        UnOp::Zext32 if end == 4 => Some(Piece { signed: false, ..piece }),
        UnOp::Sext32 | UnOp::Zext32 if end < 4 && !piece.signed => Some(piece),
        _ => None,
    }
}

/// A piece that is shifted to the left by so many bits in a register of `width` bytes, the rest of which becomes 0.
fn shifted(piece: Piece, bits: u64, width: u8) -> Option<Piece> {
    let by = u8::try_from(bits / 8).ok().filter(|by| bits.is_multiple_of(8) && *by < width)?;
    let to = piece.to + by;
    match (to + piece.bytes).cmp(&width) {
        std::cmp::Ordering::Less if !piece.signed => Some(Piece { to, ..piece }),
        std::cmp::Ordering::Equal => Some(Piece { to, signed: false, ..piece }),
        _ => None,
    }
}

/// A piece of which the low `width` bytes are shifted to the right by so many bits.
fn lowered(piece: Piece, bits: u64, width: u8) -> Option<Piece> {
    let by = u8::try_from(bits / 8).ok().filter(|by| bits.is_multiple_of(8) && *by < width)?;
    let end = (piece.to + piece.bytes).min(width);
    if piece.signed && end < width || end <= by.max(piece.to) {
        return None;
    }
    let (to, below) = (piece.to.saturating_sub(by), by.saturating_sub(piece.to));
    let above = piece.to + piece.bytes - end;
    let bytes = piece.bytes - below - above;
    let ahead = if piece.reversed == Some(true) { above } else { below };
    let low = piece.low.checked_add(i64::from(ahead))?;
    Some(Piece { low, bytes, to, signed: false, cut: piece.cut || below + above != 0, ..piece })
}

/// Two pieces in one register, if they are neighbours there and in memory; `high` is above `low`.
fn joined(low: Piece, high: Piece) -> Option<Piece> {
    let same = (low.base, low.run) == (high.base, high.run) && low.to + low.bytes == high.to;
    let behind = |a: Piece, b: Piece| a.low.checked_add(i64::from(a.bytes)) == Some(b.low);
    let goes = |reversed: bool| [low, high].iter().all(|piece| piece.fits(reversed));
    let (reversed, begin) = match (behind(low, high), behind(high, low)) {
        (true, _) if goes(false) => (false, low.low),
        (_, true) if goes(true) => (true, high.low),
        _ => return None,
    };
    let bytes = low.bytes + high.bytes;
    let fits = same && !low.signed && !low.cut && !high.cut;
    fits.then_some(Piece { low: begin, bytes, reversed: Some(reversed), signed: high.signed, ..low })
}

impl Piece {
    /// It may be part of a number with this order of bytes: what is loaded at once has the order of memory.
    fn fits(&self, reversed: bool) -> bool {
        self.reversed.map_or(self.bytes == 1 || !reversed, |known| known == reversed)
    }
}

/// The largest numbers among pieces, no micro-op in two of them.
fn choose(made: &[Made]) -> Gathered {
    let mut gathered = Gathered::default();
    let is_whole = |made: &&Made| made.of[1].is_some() && made.piece.to == 0 && matches!(made.piece.bytes, 2 | 4 | 8);
    let mut candidates: Vec<&Made> = made.iter().filter(is_whole).collect();
    candidates.sort_by_key(|made| std::cmp::Reverse(made.piece.bytes));
    for candidate in candidates {
        let Piece { low, bytes, signed, reversed, .. } = candidate.piece;
        let mut members = vec![candidate];
        let mut next = 0;
        while let Some(member) = members.get(next) {
            next += 1;
            members.extend(member.of.into_iter().flatten().map(|index| &made[index]));
        }
        if members.iter().any(|member| gathered.parts.contains_key(&member.at)) {
            continue;
        }
        let index = gathered.wholes.len();
        gathered.wholes.push(Whole { low, bytes, reversed: reversed == Some(true), signed });
        members.iter().for_each(|member| gathered.add(index, member));
    }
    // What is made of a number, byte by byte, is a part of it, too.
    for next in made {
        let [Some(of), None] = next.of else { continue };
        if let (None, Some(part)) = (gathered.part(next.at), gathered.part(made[of].at)) {
            gathered.add(part.whole, next);
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(ty: MemTy, d: X, imm: i64) -> Uop {
        Uop::Load { ty, d, a: 1, imm }
    }

    fn shl(x: X, imm: u64) -> Uop {
        Uop::BinI { op: BinOp::Shl64, d: x, a: x, imm }
    }

    fn or(d: X, b: X) -> Uop {
        Uop::Bin { op: BinOp::Or64, d, a: d, b }
    }

    fn gathered(uops: &[Uop], parallel: bool) -> Gathered {
        Gathered::new(uops.iter().enumerate(), false, parallel)
    }

    fn whole(low: i64, bytes: u8, reversed: bool, signed: bool) -> Whole {
        Whole { low, bytes, reversed, signed }
    }

    #[test]
    fn bytes_in_either_order_are_a_number() {
        let halves = [load(MemTy::U8, 2, 5), load(MemTy::U8, 3, 4), shl(2, 8), or(3, 2)];
        let found = gathered(&halves, true);
        assert_eq!(found.wholes, [whole(4, 2, false, false)]);
        let part = |from, to| Some(Part { whole: 0, from, bytes: 1, to, signed: false });
        assert_eq!((0..3).map(|at| found.part(at)).collect::<Vec<_>>(), [part(1, 0), part(0, 0), part(1, 1)]);
        assert_eq!(found.part(3).map(|part| (part.from, part.bytes, part.to)), Some((0, 2, 0)));
        let reversed = [load(MemTy::U8, 2, 4), load(MemTy::U8, 3, 5), shl(2, 8), or(3, 2)];
        assert_eq!(gathered(&reversed, true).wholes, [whole(4, 2, true, false)]);
        let apart = [load(MemTy::U8, 2, 4), load(MemTy::U8, 3, 6), shl(2, 8), or(3, 2)];
        assert!(gathered(&apart, true).wholes.is_empty());
        let reversed_halves = [load(MemTy::U16, 2, 4), load(MemTy::U16, 3, 6), shl(2, 16), or(3, 2)];
        assert!(gathered(&reversed_halves, true).wholes.is_empty(), "their own bytes have the other order");
    }

    #[test]
    fn the_highest_piece_brings_the_sign() {
        let sext = Uop::Un { op: UnOp::Sext32, d: 3, a: 3 };
        let up = [load(MemTy::U16, 2, 0), load(MemTy::U16, 3, 2), shl(3, 16), sext, or(3, 2)];
        assert_eq!(gathered(&up, true).wholes, [whole(0, 4, false, true)]);
        let low = [load(MemTy::S16, 2, 0), load(MemTy::U16, 3, 2), shl(3, 16), or(3, 2)];
        assert!(gathered(&low, true).wholes.is_empty(), "the sign of the lower half is in the upper one");
    }

    #[test]
    fn what_is_between_the_loads_may_end_a_run() {
        let with = |between: &[Uop], parallel| {
            let (first, last) = ([load(MemTy::U8, 2, 4)], [load(MemTy::U8, 3, 5), shl(3, 8), or(3, 2)]);
            gathered(&[&first[..], between, &last].concat(), parallel).wholes.len()
        };
        let other = Uop::Load { ty: MemTy::U64, d: 9, a: 8, imm: 0 };
        let again = load(MemTy::U8, 9, 5);
        assert_eq!((with(&[], true), with(&[other], false), with(&[other], true)), (1, 1, 0));
        assert_eq!((with(&[again], false), with(&[load(MemTy::U8, 9, 6)], true)), (0, 1));
        assert_eq!(with(&[Uop::Store { ty: MemTy::U8, s: 9, a: 8, imm: 0 }], false), 0);
        assert_eq!(with(&[Uop::BinI { op: BinOp::Add64, d: 1, a: 1, imm: 1 }], false), 0, "another base");
        assert_eq!(with(&[Uop::Fence { order: crate::uop::Fence::Load }], false), 0);
    }

    #[test]
    fn bytes_of_a_number_are_parts_of_it() {
        let shr = |d, imm| Uop::BinI { op: BinOp::Shr64, d, a: 3, imm };
        let number = [load(MemTy::U16, 2, 6), load(MemTy::U16, 3, 4), shl(2, 16), or(3, 2), shr(4, 8), shr(5, 24)];
        let found = gathered(&number, true);
        let part = |from, bytes| Some(Part { whole: 0, from, bytes, to: 0, signed: false });
        assert_eq!((found.part(4), found.part(5)), (part(1, 3), part(3, 1)));
        let piece =
            Piece { low: 8, bytes: 4, to: 2, signed: false, reversed: Some(true), cut: false, base: (1, 0), run: 0 };
        let low = |bits, width| lowered(piece, bits, width).map(|piece| (piece.low, piece.bytes, piece.to, piece.cut));
        assert_eq!((low(8, 8), low(24, 8)), (Some((8, 4, 1, false)), Some((8, 3, 0, true))));
        assert_eq!((low(24, 4), low(0, 4), low(48, 8)), (Some((10, 1, 0, true)), Some((10, 2, 2, true)), None));
        let joins = [load(MemTy::U16, 2, 4), shr(9, 8), Uop::BinI { op: BinOp::Shr64, d: 2, a: 2, imm: 8 }];
        let joins = [&joins[..], &[load(MemTy::U8, 3, 6), shl(3, 8), or(3, 2)]].concat();
        assert!(gathered(&joins, true).wholes.is_empty(), "a load that begins earlier is none of its pieces");
    }
}
