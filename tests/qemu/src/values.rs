//! Values of operands, often at the edges: limits of integers, NaNs, infinities, subnormals.

use crate::random::Random;

const INTEGERS: &[u64] = &[
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
    u64::MAX - 1,
    0xffff_ffff_8000_0000,
    0xffff_ffff_7fff_ffff,
    0x5555_5555_5555_5555,
    0xaaaa_aaaa_aaaa_aaaa,
];

/// Zeros, infinities, quiet and signalling NaNs, subnormals, limits of the integer types, halves.
pub(crate) const DOUBLES: &[u64] = &[
    0,
    1 << 63,
    0x3ff0_0000_0000_0000,
    0xbff0_0000_0000_0000,
    0x3fe0_0000_0000_0000,
    0xbff8_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_1234,
    0x7ff0_0000_0000_0001,
    0xfff4_0000_0000_0000,
    1,
    0x000f_ffff_ffff_ffff,
    0x8010_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x41df_ffff_ffc0_0000,
    0x41e0_0000_0000_0000,
    0x41ef_ffff_ffe0_0000,
    0x43e0_0000_0000_0000,
    0xc3e0_0000_0000_0000,
    0x43f0_0000_0000_0000,
    0xc1e0_0000_0020_0000,
    0x4004_0000_0000_0000,
    0x36a0_0000_0000_0000,
    0x380f_ffff_ffff_ffff,
    0x47ef_ffff_f000_0000,
];

pub(crate) const SINGLES: &[u32] = &[
    0,
    1 << 31,
    0x3f80_0000,
    0xbf80_0000,
    0x3f00_0000,
    0xbfc0_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0xffc0_1234,
    0x7f80_0001,
    0xffa0_0000,
    1,
    0x007f_ffff,
    0x8080_0000,
    0x7f7f_ffff,
    0x4f00_0000,
    0xcf00_0000,
    0x4eff_ffff,
    0x4f80_0000,
    0x5f00_0000,
    0x5f80_0000,
    0x4020_0000,
    0x3300_0000,
    0x477f_e000,
    0x477f_f000,
    0x3880_0000,
];

const HALVES: &[u16] = &[
    0, 0x8000, 0x3c00, 0xbc00, 0x3800, 0x7c00, 0xfc00, 0x7e00, 0xfe12, 0x7c01, 0xfd00, 1, 0x03ff, 0x8400, 0x7bff,
    0x4100,
];

/// A number at the edges of what integer instructions do, or any.
pub(crate) fn integer(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.pick(INTEGERS),
        1 => (random.below(512) as u64).wrapping_sub(256),
        2 => (u64::MAX >> random.below(64)) << random.below(64),
        _ => random.bits(),
    }
}

/// A value of an element of so many bits: a special number, an ordinary one, or any.
pub(crate) fn lane_value(random: &mut Random, bits: u32) -> u64 {
    match (random.below(5), bits) {
        (0, _) => integer(random),
        (1, _) => random.bits(),
        (2, 64) => ordinary_double(random),
        (_, 64) => random.pick(DOUBLES),
        (2, 32) => ordinary_single(random),
        (_, 32) => u64::from(random.pick(SINGLES)),
        (_, 16) => u64::from(random.pick(HALVES)),
        _ => random.pick(INTEGERS),
    }
}

/// A number within a few powers of two of one, so that sums and products of two of them round.
pub(crate) fn ordinary_double(random: &mut Random) -> u64 {
    (random.bits() & 0x800f_ffff_ffff_ffff) | (1023 - 8 + random.below(80) as u64) << 52
}

pub(crate) fn ordinary_single(random: &mut Random) -> u64 {
    (random.bits() & 0x807f_ffff) | (127 - 8 + random.below(48) as u64) << 23
}
