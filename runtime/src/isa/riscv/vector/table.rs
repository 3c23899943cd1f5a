//! The operations on vector registers: a row each, found by the fields of the encoding.

use super::arithmetic::Env;
use super::{fixed, float, integer, mask, permute};
use crate::isa::encoding::field;
use std::sync::OnceLock;

/// The forms of an operation, a bit for each value of `funct3`: what the first operand is.
pub(super) mod form {
    /// Vector, of integers.
    pub(in super::super) const VV: u32 = 1 << 0;
    /// Vector, of floating-point numbers.
    pub(in super::super) const FVV: u32 = 1 << 1;
    /// Vector, of the second group of integer operations.
    pub(in super::super) const MVV: u32 = 1 << 2;
    /// Immediate.
    pub(in super::super) const VI: u32 = 1 << 3;
    /// Integer register.
    pub(in super::super) const VX: u32 = 1 << 4;
    /// Floating-point register.
    pub(in super::super) const VF: u32 = 1 << 5;
    /// Integer register, of the second group.
    pub(in super::super) const MVX: u32 = 1 << 6;
    /// Those whose first operand is a vector.
    pub(in super::super) const VECTOR: u32 = VV | FVV | MVV;
    /// Those of floating point.
    pub(in super::super) const FLOAT: u32 = FVV | VF;
    /// With `VI`: the immediate is unsigned.
    pub(in super::super) const UNSIGNED: u32 = 1 << 8;
}

/// The function of an element: of the width in bits, the element of `vs2`, the first operand, and the old one of `vd`. What
/// it returns is cut off to the width.
pub(super) type Element = fn(&mut Env, u32, u64, u64, u64) -> u64;
/// A comparison of two elements.
pub(super) type Comparison = fn(&mut Env, u32, u64, u64) -> bool;
/// The function of an element with one operand of the width that is given, to or from one of twice that.
pub(super) type Conversion = fn(&mut Env, u32, u64) -> u64;

/// How an operand becomes twice as wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    Signed,
    Unsigned,
    Float,
}

/// What an operation does to which elements.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// All operands and the result have one width.
    Same(Element),
    /// The result, and the old one, are twice as wide as both operands, which are extended first.
    Wide(Extension, Extension, Element),
    /// As `Wide`, where `vs2` is wide already.
    WideSecond(Extension, Element),
    /// `vs2` is twice as wide as the first operand and the result.
    Narrow(Element),
    /// The result is twice as wide as the operand, which is a floating-point number or not.
    Widen {
        from_float: bool,
        f: Conversion,
    },
    /// The operand is twice as wide as the result, which is a floating-point number or not.
    Narrowed {
        to_float: bool,
        f: Conversion,
    },
    /// A part of an element extended to the whole: how, and the fraction as a power of two.
    Extend(Extension, i32),
    /// The result is a mask.
    Compare(Comparison),
    /// The bit of the mask v0 is the third operand.
    WithCarry(Element),
    /// The result is the mask of the carries; v0 is the third operand if the instruction is masked.
    Carry(fn(u32, u64, u64, bool) -> bool),
    /// The first operand where v0 is set, else `vs2`.
    Merge,
    /// The first operand.
    Move,
    /// Element 0 of the first operand combined with all elements of `vs2`, into element 0.
    Reduce(Element),
    /// As `Reduce`, twice as wide as the elements.
    ReduceWide(Extension, Element),
    /// Masks alone.
    Logic(fn(bool, bool) -> bool),
    /// The number of ones in a mask.
    Population,
    /// The index of the first one in a mask, or -1.
    First,
    /// Of a mask, what is in front of the first one, at it, or both.
    SetFirst {
        before: bool,
        at: bool,
    },
    /// For each element, the ones of a mask in front of it.
    Iota,
    /// For each element, its index.
    Index,
    /// Element 0 to a register.
    ToScalar,
    /// A register to element 0.
    FromScalar,
    SlideUp,
    SlideDown,
    Slide1Up,
    Slide1Down,
    /// Elements by their indices.
    Gather,
    /// As `Gather`, where indices have 16 bits.
    Gather16,
    /// The elements that a mask selects, one after the other.
    Compress,
    /// Whole registers.
    MoveWhole,
}

/// An operation.
pub(super) struct Operation {
    /// The mnemonic without its form.
    #[cfg_attr(not(test), expect(dead_code, reason = "names are for the reader and the tests"))]
    pub(super) name: &'static str,
    funct6: u32,
    /// Of [`form`].
    pub(super) forms: u32,
    /// Bits of the encoding that are fixed besides, and what they are.
    mask: u32,
    value: u32,
    pub(super) shape: Shape,
}

/// Makes a row.
pub(super) const fn op(name: &'static str, funct6: u32, forms: u32, shape: Shape) -> Operation {
    Operation { name, funct6, forms, mask: 0, value: 0, shape }
}

impl Operation {
    const fn fixed(self, lsb: u32, ones: u32, value: u32) -> Operation {
        Operation { mask: self.mask | ones << lsb, value: self.value | value << lsb, ..self }
    }

    /// The field of the first operand says that it is this operation.
    pub(super) const fn first(self, value: u32) -> Operation {
        self.fixed(15, 31, value)
    }

    /// The field of the second operand says so.
    pub(super) const fn second(self, value: u32) -> Operation {
        self.fixed(20, 31, value)
    }

    /// It always has the mask as operand.
    pub(super) const fn masked(self) -> Operation {
        self.fixed(25, 1, 0)
    }

    /// It is never masked.
    pub(super) const fn unmasked(self) -> Operation {
        self.fixed(25, 1, 1)
    }

    /// True if the second operand is a register.
    pub(super) const fn has_second(&self) -> bool {
        self.mask >> 20 & 31 == 0
    }

    /// True if the field of the first operand is none.
    pub(super) const fn is_unary(&self) -> bool {
        self.mask >> 15 & 31 != 0
    }
}

/// Finds the operation of an encoding.
pub(super) fn find(bits: u32) -> Option<&'static Operation> {
    static BY_FIELDS: OnceLock<Vec<Vec<&'static Operation>>> = OnceLock::new();
    let by_fields = BY_FIELDS.get_or_init(|| {
        let of = |fields: u32| {
            let (funct6, funct3) = (fields >> 3, fields & 7);
            rows().filter(|row| row.funct6 == funct6 && row.forms >> funct3 & 1 != 0).collect()
        };
        (0..1 << 9).map(of).collect()
    });
    let fields = field(bits, 26, 6) << 3 | field(bits, 12, 3);
    by_fields[fields as usize].iter().copied().find(|row| bits & row.mask == row.value)
}

/// All operations.
pub(super) fn rows() -> impl Iterator<Item = &'static Operation> {
    [integer::ROWS, fixed::ROWS, float::ROWS, mask::ROWS, permute::ROWS].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::riscv::xlen::Xlen;

    #[test]
    fn rows_do_not_overlap() {
        let rows: Vec<_> = rows().collect();
        for (index, a) in rows.iter().enumerate() {
            for b in &rows[index + 1..] {
                let apart =
                    a.funct6 != b.funct6 || a.forms & b.forms & 0xff == 0 || (a.value ^ b.value) & a.mask & b.mask != 0;
                assert!(apart, "`{}` and `{}` overlap", a.name, b.name);
            }
        }
    }

    /// Every row, in each of its forms, has the mnemonic that the disassembler gives it.
    #[test]
    fn rows_are_named_as_in_the_manual() {
        for row in rows() {
            for funct3 in (0..7).filter(|funct3| row.forms >> funct3 & 1 != 0) {
                let whole = matches!(row.shape, Shape::MoveWhole);
                // Registers that no rule forbids, where they are not fixed.
                let free = (8 << 20 | u32::from(!whole) << 15 | 1 << 25) & !row.mask;
                let bits = row.funct6 << 26 | row.value | free | funct3 << 12 | 16 << 7 | 0x57;
                let text = crate::isa::riscv::disasm::disassemble(Xlen::Rv64, bits, 0);
                assert!(text.starts_with(row.name), "{}: {bits:#010x} is {text}", row.name);
            }
        }
    }
}
