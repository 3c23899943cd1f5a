//! The state before a case: random registers whose values are often at the edges of what an instruction does.

use crate::classes::{FPCR, Kind};
use crate::image::WINDOW;
use crate::random::Random;
use crate::words::Word;

/// All registers before a case. `x[30]`, the case's own address, is set when the program is written.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) x: [u64; 31],
    pub(crate) sp: u64,
    pub(crate) nzcv: u64,
    pub(crate) fpcr: u64,
    pub(crate) fpsr: u64,
    pub(crate) v: [u128; 32],
    /// The register that gets the address at which a taken branch is noted.
    target: Option<usize>,
}

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
const DOUBLES: &[u64] = &[
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

const SINGLES: &[u32] = &[
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

impl State {
    /// Returns a random state for the instruction `word`.
    pub(crate) fn random(random: &mut Random, word: &Word) -> State {
        let mut state = State {
            x: std::array::from_fn(|_| integer(random)),
            sp: WINDOW + 4096 + random.below(32) as u64 * 16,
            nzcv: (random.bits() & 15) << 28,
            fpcr: fpcr(random),
            fpsr: if random.one_in(4) { random.bits() & 0x0800_009f } else { 0 },
            v: std::array::from_fn(|_| vector(random)),
            target: None,
        };
        state.prepare(random, word);
        state
    }

    /// Sets the registers that the instruction uses for addresses.
    pub(crate) fn prepare(&mut self, random: &mut Random, word: &Word) {
        if let Some(index @ ..31) = word.index() {
            self.x[index] = small_offset(random, word);
        }
        match (word.class.kind, word.base()) {
            (Kind::Memory | Kind::StoreExclusive, Some(base @ ..31)) => self.x[base] = address(random, word),
            (Kind::BranchRegister, base) => self.target = base.filter(|&n| n < 31),
            (Kind::System(mask), _) => self.limit(word, mask),
            _ => {}
        }
    }

    fn limit(&mut self, word: &Word, mask: u64) {
        if let value @ ..31 = (word.bits & 31) as usize {
            self.x[value] &= mask;
        }
    }

    /// Notes where the case's instructions are, and where a taken branch is noted.
    pub(crate) fn set_addresses(&mut self, code: u64, taken: u64) {
        self.x[30] = code;
        if let Some(target) = self.target {
            self.x[target] = taken;
        }
    }

    /// Returns the record that the runner loads.
    pub(crate) fn record(&self) -> Vec<u8> {
        let integers = self.x.iter().copied().chain([self.sp, self.nzcv, self.fpcr, self.fpsr, 0]);
        let mut record: Vec<u8> = integers.flat_map(u64::to_le_bytes).collect();
        record.extend(self.v.iter().flat_map(|v| v.to_le_bytes()));
        record
    }
}

/// An address near the middle of the window: a third of the time misaligned, and sometimes where it must not be.
///
/// But not for a store-exclusive, which fails without a monitor: QEMU does not look at its address then.
fn address(random: &mut Random, word: &Word) -> u64 {
    let aligned = match word.class.kind {
        Kind::StoreExclusive => true,
        _ if word.must_be_aligned() => !random.one_in(8),
        _ => !random.one_in(3),
    };
    let misalignment = if aligned { 0 } else { random.below(16) as u64 };
    WINDOW + 4096 - 512 + random.below(64) as u64 * 16 + misalignment
}

/// An index that keeps a scaled access in the window. The upper half is anything if the instruction reads 32 bits.
fn small_offset(random: &mut Random, word: &Word) -> u64 {
    let small = random.below(64) as u64;
    let reads_32_bits = word.bits >> 13 & 1 == 0;
    match random.below(3) {
        0 => small.wrapping_neg(),
        1 if reads_32_bits => small | (random.bits() << 32),
        _ => small,
    }
}

fn integer(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.pick(INTEGERS),
        1 => (random.below(512) as u64).wrapping_sub(256),
        2 => (u64::MAX >> random.below(64)) << random.below(64),
        _ => random.bits(),
    }
}

/// Round to nearest in most cases, otherwise any rounding mode with flush to zero, default NaN and the other half format.
fn fpcr(random: &mut Random) -> u64 {
    if random.one_in(4) { random.bits() & FPCR } else { 0 }
}

fn vector(random: &mut Random) -> u128 {
    let lane = 8 << random.below(4);
    let mut value = 0;
    for _ in 0..128 / lane {
        value = value << lane | u128::from(lane_value(random, lane) & u64::MAX >> (64 - lane));
    }
    value
}

fn lane_value(random: &mut Random, bits: u32) -> u64 {
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
fn ordinary_double(random: &mut Random) -> u64 {
    (random.bits() & 0x800f_ffff_ffff_ffff) | (1023 - 8 + random.below(80) as u64) << 52
}

fn ordinary_single(random: &mut Random) -> u64 {
    (random.bits() & 0x807f_ffff) | (127 - 8 + random.below(48) as u64) << 23
}
