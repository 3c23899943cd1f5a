//! Fixed-point arithmetic of elements: results that saturate, which `vxsat` notes, and that are rounded as `vxrm` says.

use super::arithmetic::Env;
use super::group::signed;
use super::table::Shape::{Narrow, Same};
use super::table::form::{MVV, MVX, UNSIGNED, VI, VV, VX};
use super::table::{Operation, op};

const VVX: u32 = VV | VX;
const ALL: u32 = VV | VX | VI;
const SHIFT: u32 = ALL | UNSIGNED;
const MVVX: u32 = MVV | MVX;

impl Env {
    /// The nearest number of so many bits that is not negative.
    fn saturate_u(&mut self, bits: u32, value: i128) -> u64 {
        self.saturate(value, 0, i128::from(u64::MAX >> (64 - bits)))
    }

    /// The nearest signed number.
    fn saturate_s(&mut self, bits: u32, value: i128) -> u64 {
        let most = i128::from(u64::MAX >> (65 - bits));
        self.saturate(value, -most - 1, most)
    }

    fn saturate(&mut self, value: i128, least: i128, most: i128) -> u64 {
        let nearest = value.clamp(least, most);
        self.saturated |= nearest != value;
        nearest as u64
    }

    /// A value shifted right by less than 128, rounded.
    fn shift(&self, value: i128, by: u32) -> i128 {
        if by == 0 {
            return value;
        }
        let (whole, last, rest) = (value >> by, value >> (by - 1) & 1, value & ((1 << (by - 1)) - 1));
        whole
            + match self.fixed_rounding {
                // To nearest: ties up, or to even.
                0 => last,
                1 => last & i128::from(rest != 0 || whole & 1 != 0),
                // Down.
                2 => 0,
                // To odd.
                _ => i128::from(whole & 1 == 0 && last | rest != 0),
            }
    }
}

/// A signed element.
fn s(bits: u32, value: u64) -> i128 {
    signed(bits, value).into()
}

/// How far the first operand shifts elements of so many bits.
fn amount(bits: u32, b: u64) -> u32 {
    b as u32 & (bits - 1)
}

/// The rows of this group.
#[rustfmt::skip]
pub(super) const ROWS: &[Operation] = &[
    op("vsaddu",  0b100000, ALL, Same(|e, w, a, b, _| e.saturate_u(w, i128::from(a) + i128::from(b)))),
    op("vsadd",   0b100001, ALL, Same(|e, w, a, b, _| e.saturate_s(w, s(w, a) + s(w, b)))),
    op("vssubu",  0b100010, VVX, Same(|e, w, a, b, _| e.saturate_u(w, i128::from(a) - i128::from(b)))),
    op("vssub",   0b100011, VVX, Same(|e, w, a, b, _| e.saturate_s(w, s(w, a) - s(w, b)))),
    op("vaaddu",  0b001000, MVVX, Same(|e, _, a, b, _| e.shift(i128::from(a) + i128::from(b), 1) as u64)),
    op("vaadd",   0b001001, MVVX, Same(|e, w, a, b, _| e.shift(s(w, a) + s(w, b), 1) as u64)),
    op("vasubu",  0b001010, MVVX, Same(|e, _, a, b, _| e.shift(i128::from(a) - i128::from(b), 1) as u64)),
    op("vasub",   0b001011, MVVX, Same(|e, w, a, b, _| e.shift(s(w, a) - s(w, b), 1) as u64)),
    op("vsmul",   0b100111, VVX, Same(|e, w, a, b, _| { let x = e.shift(s(w, a) * s(w, b), w - 1); e.saturate_s(w, x) })),
    op("vssrl",   0b101010, SHIFT, Same(|e, w, a, b, _| e.shift(a.into(), amount(w, b)) as u64)),
    op("vssra",   0b101011, SHIFT, Same(|e, w, a, b, _| e.shift(s(w, a), amount(w, b)) as u64)),
    op("vnclipu", 0b101110, SHIFT, Narrow(|e, w, a, b, _| { let x = e.shift(a.into(), amount(2 * w, b)); e.saturate_u(w, x) })),
    op("vnclip",  0b101111, SHIFT, Narrow(|e, w, a, b, _| { let x = e.shift(s(2 * w, a), amount(2 * w, b)); e.saturate_s(w, x) })),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_round_in_four_ways() {
        let shifted = |mode, value| Env { fixed_rounding: mode, ..Env::default() }.shift(value, 2);
        // 1.25, 1.5, 1.75, 2.5, -1.5 and 1, in quarters.
        let values = [5, 6, 7, 10, -6, 4];
        for (mode, expected) in
            [[1, 2, 2, 3, -1, 1], [1, 2, 2, 2, -2, 1], [1, 1, 1, 2, -2, 1], [1, 1, 1, 3, -1, 1]].into_iter().enumerate()
        {
            assert_eq!(values.map(|value| shifted(mode as u64, value)), expected, "{mode}");
        }
    }
}
