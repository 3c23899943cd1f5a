//! Decode tables, for all architectures: rows of bit patterns with what they mean, and the dispatch over them.
//!
//! A row's pattern spells the bits from the left: `0` and `1` are fixed, any other character is part of a field, blanks
//! are for reading. What a row means takes the fields out of the encoding by position, with the functions here; the
//! letters are there for the reader. Rows do not overlap (tested), so their order does not matter for meaning.

use crate::block::Lift;
use crate::uop::{Trap, Uop};

/// Says that an encoding is not allocated, reserved or not implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undefined;

/// Emits the micro-ops of an encoding. On [`Undefined`] what it has emitted is dropped.
pub(super) type LiftFn = fn(u32, &mut Lift<'_>) -> Result<(), Undefined>;

/// One encoding class: encodings with `encoding & mask == value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<F> {
    /// The manual's mnemonic and variant: `add_imm`.
    #[cfg_attr(not(test), expect(dead_code, reason = "names are for the reader and the tests"))]
    pub name: &'static str,
    /// The fixed bits.
    pub mask: u32,
    /// What they must be.
    pub value: u32,
    /// What the encoding means: in most tables a [`LiftFn`].
    pub meaning: F,
}

/// Makes a row of a 32-bit encoding from its pattern, at compile time.
pub(super) const fn row<F: Copy>(name: &'static str, pattern: &str, meaning: F) -> Row<F> {
    row_of(32, name, pattern, meaning)
}

/// Makes a row of an encoding of `bits` bits.
pub(super) const fn row_of<F: Copy>(bits: u32, name: &'static str, pattern: &str, meaning: F) -> Row<F> {
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
    assert!(count == bits, "a pattern has as many bits as the encoding");
    Row { name, mask, value, meaning }
}

/// The bits of an encoding that choose a bucket of rows: lowest bit and how many, one or more times.
pub(super) type Key = &'static [(u32, u32)];

/// For each value of the key the rows that can match, one after the other.
pub(super) struct Dispatch<F: 'static> {
    key: Key,
    /// First of the bucket's rows in `rows`; the next bucket's first is its end.
    starts: Vec<u32>,
    rows: Vec<Row<F>>,
}

impl<F: Copy> Dispatch<F> {
    /// Sorts `rows` into buckets.
    pub(super) fn new(key: Key, rows: impl Iterator<Item = &'static Row<F>> + Clone) -> Self {
        let width: u32 = key.iter().map(|part| part.1).sum();
        let mut dispatch = Dispatch { key, starts: Vec::with_capacity((1 << width) + 1), rows: Vec::new() };
        for bucket in 0..1u32 << width {
            dispatch.starts.push(dispatch.rows.len() as u32);
            let (mut value, mut mask, mut at) = (0, 0, 0);
            for &(lsb, len) in key {
                value |= field(bucket, at, len) << lsb;
                mask |= u32::MAX >> (32 - len) << lsb;
                at += len;
            }
            dispatch.rows.extend(rows.clone().filter(|row| (row.value ^ value) & row.mask & mask == 0));
        }
        dispatch.starts.push(dispatch.rows.len() as u32);
        dispatch
    }

    /// Finds the row of an encoding.
    pub(super) fn find(&self, bits: u32) -> Option<&Row<F>> {
        let (mut bucket, mut at) = (0, 0);
        for &(lsb, len) in self.key {
            bucket |= field(bits, lsb, len) << at;
            at += len;
        }
        let range = self.starts[bucket as usize] as usize..self.starts[bucket as usize + 1] as usize;
        self.rows[range].iter().find(|row| bits & row.mask == row.value)
    }
}

/// Emits the micro-ops of an instruction by `meaning`, or the trap of an undefined one, of which `bits` is the encoding.
pub(super) fn lift(bits: u32, lift: &mut Lift<'_>, meaning: impl FnOnce(&mut Lift<'_>) -> Result<(), Undefined>) {
    let mark = lift.mark();
    if meaning(lift).is_err() {
        lift.rewind(mark);
        lift.push(Uop::Trap { kind: Trap::Illegal, imm: u64::from(bits) });
    }
}

/// Bits `lsb..lsb + len` of an encoding.
pub(super) const fn field(insn: u32, lsb: u32, len: u32) -> u32 {
    insn >> lsb & (u32::MAX >> (32 - len))
}

/// Bits `lsb..lsb + len` of an encoding, sign-extended.
pub(super) const fn signed(insn: u32, lsb: u32, len: u32) -> i64 {
    ((insn << (32 - lsb - len)) as i32 >> (32 - len)) as i64
}

/// Bit `n` of an encoding.
pub(super) const fn bit(insn: u32, n: u32) -> bool {
    insn >> n & 1 != 0
}

#[cfg(test)]
pub(super) mod checks {
    //! What must hold of every architecture's rows.

    use super::Row;
    use crate::block::Lift;
    use crate::uop::{Operand, Uop, slot};

    /// xorshift64*: the tests need variety, not quality.
    pub(in crate::isa) struct Random(pub u64);

    impl Random {
        pub(in crate::isa) fn next(&mut self) -> u32 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
        }
    }

    pub(in crate::isa) fn do_not_overlap<F: 'static>(rows: impl Iterator<Item = &'static Row<F>>) {
        let rows: Vec<_> = rows.collect();
        for (index, a) in rows.iter().enumerate() {
            for b in &rows[index + 1..] {
                let (mask, differ) = (a.mask & b.mask, a.value ^ b.value);
                assert_ne!(differ & mask, 0, "`{}` and `{}` overlap", a.name, b.name);
            }
        }
    }

    /// True if a start of the instruction from the beginning would see that this was written.
    fn is_guest_state(operand: Operand) -> bool {
        match operand {
            Operand::DefX(x) => x < slot::TEMP,
            Operand::DefV(v) => slot::is_guest_vector(v),
            Operand::DefFlags => true,
            Operand::UseX(_) | Operand::UseV(_) | Operand::UseFlags => false,
        }
    }

    /// Emits the micro-ops of an encoding.
    type Lifter<'a> = &'a dyn Fn(u32, &mut Lift<'_>);

    fn lifted<F: 'static>(
        rows: impl Iterator<Item = &'static Row<F>>,
        each: u32,
        lift: Lifter<'_>,
        mut check: impl FnMut(&str, u32, &[Uop]),
    ) {
        let mut random = Random(1);
        for row in rows {
            for _ in 0..each {
                let bits = row.value | random.next() & !row.mask;
                let mut uops = Vec::new();
                lift(bits, &mut Lift::new(&mut uops, 0, 4));
                check(row.name, bits, &uops);
            }
        }
    }

    /// The restart rule of [`crate::uop`].
    pub(in crate::isa) fn write_nothing_before_the_last_chance_to_leave<F: 'static>(
        rows: impl Iterator<Item = &'static Row<F>>,
        lift: Lifter<'_>,
    ) {
        lifted(rows, 300, lift, |name, bits, uops| {
            let last = uops.iter().rposition(Uop::can_leave).unwrap_or(0);
            for uop in &uops[..last] {
                let leaves = uop.can_leave();
                uop.operands(|operand| {
                    assert!(!is_guest_state(operand), "`{name}` {bits:#010x}: {uop:?} (leaves: {leaves})");
                });
            }
        });
    }

    /// Nothing is written to where nothing may be, either.
    pub(in crate::isa) fn write_temporaries_before_they_read_them<F: 'static>(
        rows: impl Iterator<Item = &'static Row<F>>,
        lift: Lifter<'_>,
    ) {
        lifted(rows, 100, lift, |name, bits, uops| {
            let mut written = Vec::new();
            for uop in uops {
                // Operations that replace the whole register list it as used.
                let replaces = matches!(uop, Uop::Xv { op, .. } if *op != crate::vector::XvOp::Insert);
                // Of an atomic operation the result may be dropped.
                let drops = matches!(uop, Uop::Amo { .. } | Uop::Cas { .. } | Uop::Adc64 { .. } | Uop::Adc32 { .. });
                uop.operands(|operand| match operand {
                    Operand::DefX(x) => {
                        assert!(x != slot::ZERO || drops, "`{name}` {bits:#010x} writes zero");
                        written.push((false, x));
                    }
                    Operand::DefV(v) => written.push((true, v)),
                    Operand::UseX(x) if x >= slot::TEMP => {
                        assert!(written.contains(&(false, x)), "{name} {bits:#010x}")
                    }
                    Operand::UseV(v) if !slot::is_guest_vector(v) && !replaces => {
                        assert!(written.contains(&(true, v)), "{name} {bits:#010x}");
                    }
                    _ => {}
                });
            }
        });
    }
}
