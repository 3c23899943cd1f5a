//! The decode table: one [`Row`] per encoding class, in the manual's order, and the dispatch over it.
//!
//! A row's pattern spells the 32 bits from the left: `0` and `1` are fixed, any other character is part of a field,
//! blanks are for reading. The lift function takes the fields out of the encoding by position (see [`super::lift`]);
//! the letters are there for the reader. Rows do not overlap (tested), so their order does not matter for meaning.

use super::lift;
use crate::block::Lift;
use crate::uop::{Trap, Uop};
use std::sync::OnceLock;

/// Says that an encoding is not allocated, reserved or not implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undefined;

/// Emits the micro-ops of an instruction. On [`Undefined`] what it has emitted is dropped.
pub(super) type LiftFn = fn(u32, &mut Lift<'_>) -> Result<(), Undefined>;

/// One encoding class: encodings with `encoding & mask == value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The manual's mnemonic and variant: `add_imm`.
    pub name: &'static str,
    /// The fixed bits.
    pub mask: u32,
    /// What they must be.
    pub value: u32,
    /// Emits the micro-ops.
    pub lift: LiftFn,
}

/// Makes a row from a bit pattern, at compile time.
pub(super) const fn row(name: &'static str, pattern: &str, lift: LiftFn) -> Row {
    let bytes = pattern.as_bytes();
    let (mut mask, mut value, mut count) = (0u32, 0u32, 0);
    let mut i = 0;
    while i < bytes.len() {
        let (fixed, one) = match bytes[i] {
            b' ' => {
                i += 1;
                continue;
            }
            b'0' => (1, 0),
            b'1' => (1, 1),
            _ => (0, 0),
        };
        mask = mask << 1 | fixed;
        value = value << 1 | one;
        count += 1;
        i += 1;
    }
    assert!(count == 32, "a pattern has 32 bits");
    Row { name, mask, value, lift }
}

/// All rows.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    lift::GROUPS.iter().copied().flatten()
}

/// Bits 31 to 21 choose a bucket.
const BUCKET_SHIFT: u32 = 21;
const BUCKETS: usize = 1 << (32 - BUCKET_SHIFT);

/// For each value of the top bits the rows that can match, one after the other.
struct Dispatch {
    /// First of the bucket's rows in `rows`; the next bucket's first is its end.
    starts: Vec<u32>,
    rows: Vec<Row>,
}

fn dispatch() -> &'static Dispatch {
    static DISPATCH: OnceLock<Dispatch> = OnceLock::new();
    DISPATCH.get_or_init(|| {
        let mut dispatch = Dispatch { starts: Vec::with_capacity(BUCKETS + 1), rows: Vec::new() };
        for bucket in 0..BUCKETS as u32 {
            dispatch.starts.push(dispatch.rows.len() as u32);
            let value = bucket << BUCKET_SHIFT;
            let mask = u32::MAX << BUCKET_SHIFT;
            dispatch.rows.extend(rows().filter(|row| (row.value ^ value) & row.mask & mask == 0));
        }
        dispatch.starts.push(dispatch.rows.len() as u32);
        dispatch
    })
}

/// Finds the row of an encoding.
pub(super) fn decode(bits: u32) -> Option<&'static Row> {
    let dispatch = dispatch();
    let bucket = (bits >> BUCKET_SHIFT) as usize;
    let range = dispatch.starts[bucket] as usize..dispatch.starts[bucket + 1] as usize;
    dispatch.rows[range].iter().find(|row| bits & row.mask == row.value)
}

/// Emits the micro-ops of `bits`, or the trap of an undefined instruction.
pub(super) fn lift(bits: u32, lift: &mut Lift<'_>) {
    let mark = lift.mark();
    let lifted = match decode(bits) {
        Some(row) => (row.lift)(bits, lift),
        None => Err(Undefined),
    };
    if lifted.is_err() {
        lift.rewind(mark);
        lift.push(Uop::Trap { kind: Trap::Illegal, imm: u64::from(bits) });
    }
}
