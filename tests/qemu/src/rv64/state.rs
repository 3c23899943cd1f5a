//! The state before a case: random registers whose values are often at the edges of what an instruction does.

use super::classes::Kind;
use super::words::Word;
use crate::guest::Start;
use crate::image::WINDOW;
use crate::random::Random;
use crate::values::{integer, lane_value};

/// What is above a number of single precision.
const BOX: u64 = 0xffff_ffff_0000_0000;

/// All registers before a case: x1 to x31, of which x31, the case's own address, is set when the program is written.
#[derive(Clone)]
pub(crate) struct State {
    x: [u64; 32],
    fcsr: u64,
    f: [u64; 32],
    /// The register, and the offset to take off, that get the address at which a taken branch is noted.
    target: Option<(usize, i64)>,
}

impl State {
    /// Returns a random state for the instruction `word`.
    pub(crate) fn random(random: &mut Random, word: &Word) -> State {
        let mut state = State {
            x: std::array::from_fn(|_| integer(random)),
            fcsr: fcsr(random),
            f: std::array::from_fn(|_| float(random)),
            target: None,
        };
        // The stack pointer can be used as it is.
        state.x[2] = WINDOW + 4096 + random.below(32) as u64 * 16;
        state.prepare(random, word);
        state
    }

    /// Sets the registers that the instruction uses for addresses.
    pub(crate) fn prepare(&mut self, random: &mut Random, word: &Word) {
        match (word.class.kind, word.base()) {
            (Kind::Memory | Kind::Atomic, Some(base @ 1..31)) => self.x[base] = address(random, word),
            (Kind::BranchRegister, Some(base @ 1..31)) => self.target = Some((base, word.offset())),
            _ => {}
        }
    }
}

impl Start for State {
    fn set_addresses(&mut self, code: u64, taken: u64) {
        self.x[31] = code;
        if let Some((target, offset)) = self.target {
            // The lowest bit of the sum is ignored.
            self.x[target] = taken.wrapping_sub(offset as u64);
        }
    }

    fn code(&self) -> u64 {
        self.x[31]
    }

    fn record(&self) -> Vec<u8> {
        self.x[1..].iter().chain([&self.fcsr]).chain(&self.f).flat_map(|word| word.to_le_bytes()).collect()
    }

    fn register(&self, name: &str) -> Option<(String, u128)> {
        let integers = [
            "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6",
            "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
        ];
        if let Some(n) = integers.iter().position(|known| *known == name) {
            return Some((format!("x{n}"), if n == 0 { 0 } else { self.x[n].into() }));
        }
        let number: usize = name.get(2..)?.parse().ok()?;
        let n = match (name.get(..2)?, number) {
            ("ft", 0..8) => number,
            ("ft", 8..12) => number + 20,
            ("fs", 0..2) => number + 8,
            ("fs", 2..12) => number + 16,
            ("fa", 0..8) => number + 10,
            _ => return None,
        };
        Some((format!("f{n}"), self.f[n].into()))
    }

    fn modes(&self) -> Vec<(String, u128)> {
        vec![("fcsr".to_owned(), self.fcsr.into())]
    }

    fn copy(&self) -> Box<dyn Start> {
        Box::new(self.clone())
    }
}

/// An address near the middle of the window: a third of the time misaligned, and sometimes where it must not be.
///
/// But not for a store-conditional, which fails without a reservation: QEMU does not look at its address then.
fn address(random: &mut Random, word: &Word) -> u64 {
    let aligned = match word.class.kind {
        _ if word.is_store_conditional() => true,
        Kind::Atomic => !random.one_in(8),
        _ => !random.one_in(3),
    };
    let misalignment = if aligned { 0 } else { random.below(16) as u64 };
    WINDOW + 4096 - 512 + random.below(64) as u64 * 16 + misalignment
}

/// To nearest in a third of the cases, otherwise any mode, of which some are none; half of the time with exceptions.
fn fcsr(random: &mut Random) -> u64 {
    let mode = match random.below(12) {
        0..4 => 0,
        4 => random.below(8) as u64,
        _ => random.below(5) as u64,
    };
    mode << 5 | if random.one_in(2) { random.bits() & 31 } else { 0 }
}

/// A number of single precision in its box, sometimes one without, or one of double precision.
fn float(random: &mut Random) -> u64 {
    match random.below(16) {
        0..7 => lane_value(random, 32) & !BOX | BOX,
        7 => lane_value(random, 32) & !BOX | random.bits() & BOX,
        _ => lane_value(random, 64),
    }
}
