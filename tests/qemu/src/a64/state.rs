//! The state before a case: random registers whose values are often at the edges of what an instruction does.

use super::classes::{FPCR, Kind};
use super::words::Word;
use crate::guest::Start;
use crate::image::WINDOW;
use crate::random::Random;
use crate::values::{integer, lane_value};

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
}

impl Start for State {
    fn set_addresses(&mut self, code: u64, taken: u64) {
        self.x[30] = code;
        if let Some(target) = self.target {
            self.x[target] = taken;
        }
    }

    fn code(&self) -> u64 {
        self.x[30]
    }

    fn record(&self) -> Vec<u8> {
        let integers = self.x.iter().copied().chain([self.sp, self.nzcv, self.fpcr, self.fpsr, 0]);
        let mut record: Vec<u8> = integers.flat_map(u64::to_le_bytes).collect();
        record.extend(self.v.iter().flat_map(|v| v.to_le_bytes()));
        record
    }

    fn register(&self, name: &str) -> Option<(String, u128)> {
        let number: usize = name.get(1..)?.parse().ok()?;
        match name.get(..1)? {
            "x" | "w" => Some((format!("x{number}"), u128::from(*self.x.get(number)?))),
            "v" | "q" | "d" | "s" | "h" | "b" => Some((format!("v{number}"), *self.v.get(number)?)),
            _ => None,
        }
    }

    fn modes(&self) -> Vec<(String, u128)> {
        let modes = [("nzcv", self.nzcv), ("fpcr", self.fpcr), ("fpsr", self.fpsr)];
        modes.map(|(name, value)| (name.to_owned(), u128::from(value))).to_vec()
    }

    fn copy(&self) -> Box<dyn Start> {
        Box::new(self.clone())
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
