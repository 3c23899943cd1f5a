//! 256-bit integers, with just the operations that exact sums of floating-point products need.

/// An unsigned 256-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct U256 {
    hi: u128,
    lo: u128,
}

impl U256 {
    /// Returns `sig`, which is not zero, shifted so that bit 252 is its highest, and the exponent that keeps
    /// `sig * 2^exp` the same.
    pub(super) fn normalized(sig: u128, exp: i32) -> (U256, i32) {
        let zeros = sig.leading_zeros();
        let top = sig << zeros;
        (U256 { hi: top >> 3, lo: top << 125 }, exp - zeros as i32 - 125)
    }

    /// Shifts right; if any bit that is not zero is lost, bit 0 is set.
    pub(super) fn shift_right_jam(self, n: u32) -> U256 {
        let (shifted, lost) = match n {
            0 => (self, false),
            1..128 => {
                let lo = self.lo >> n | self.hi << (128 - n);
                (U256 { hi: self.hi >> n, lo }, self.lo << (128 - n) != 0)
            }
            128 => (U256 { hi: 0, lo: self.hi }, self.lo != 0),
            129..256 => (U256 { hi: 0, lo: self.hi >> (n - 128) }, self.lo != 0 || self.hi << (256 - n) != 0),
            _ => (U256 { hi: 0, lo: 0 }, true),
        };
        U256 { hi: shifted.hi, lo: shifted.lo | u128::from(lost) }
    }

    pub(super) fn add(self, other: U256) -> U256 {
        let (lo, carry) = self.lo.overflowing_add(other.lo);
        U256 { hi: self.hi + other.hi + u128::from(carry), lo }
    }

    pub(super) fn sub(self, other: U256) -> U256 {
        let (lo, borrow) = self.lo.overflowing_sub(other.lo);
        U256 { hi: self.hi - other.hi - u128::from(borrow), lo }
    }

    /// Returns the highest 127 bits that are not leading zeros, the rest jammed into bit 0, and the exponent for them.
    pub(super) fn top(self, exp: i32) -> (u128, i32) {
        if self.hi == 0 && self.lo == 0 {
            return (0, exp);
        }
        let zeros = if self.hi == 0 { 128 + self.lo.leading_zeros() } else { self.hi.leading_zeros() };
        // Bit 126 becomes the highest of the upper half; sums stay below bit 255, so there is a leading zero.
        let shift = zeros - 1;
        let (hi, lo) = match shift {
            0 => (self.hi, self.lo),
            1..128 => (self.hi << shift | self.lo >> (128 - shift), self.lo << shift),
            _ => (self.lo << (shift - 128), 0),
        };
        (hi | u128::from(lo != 0), exp + 128 - shift as i32)
    }
}
