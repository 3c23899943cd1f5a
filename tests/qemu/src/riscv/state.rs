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
    v: [u128; 32],
    /// `vtype`, the `vl` that is asked for, `vstart`, `vcsr`.
    configuration: [u64; 4],
    /// The width of integer registers in bits.
    xlen: u32,
    /// The register, and the offset to take off, that get the address at which a taken branch is noted.
    target: Option<(usize, i64)>,
}

impl State {
    /// Returns a random state for the instruction `word`.
    pub(crate) fn random(random: &mut Random, word: &Word) -> State {
        State::of(random, word, &[word])
    }

    /// Returns a random state for `word`, whose configuration suits all of `words`.
    pub(crate) fn of(random: &mut Random, word: &Word, words: &[&Word]) -> State {
        let mut state = State {
            x: std::array::from_fn(|_| cut(word.xlen, integer(random))),
            fcsr: fcsr(random),
            f: std::array::from_fn(|_| float(random)),
            v: std::array::from_fn(|_| vector(random)),
            configuration: configuration(random, word, words),
            xlen: word.xlen,
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
            (kind, Some(base @ 1..31)) if kind.is_vector_memory() => {
                self.x[base] = vector_address(random);
                self.prepare_elements(random, word, base);
            }
            (Kind::BranchRegister, Some(base @ 1..31)) => self.target = Some((base, word.offset())),
            _ => {}
        }
    }
}

impl State {
    /// Sets distances and offsets such that elements are in the window, most of the time.
    fn prepare_elements(&mut self, random: &mut Random, word: &Word, base: usize) {
        let second = word.number(20);
        match word.class.kind {
            Kind::VectorStrided if second != base && second != 31 => {
                self.x[second] = (random.below(49) as u64).wrapping_sub(24);
            }
            Kind::VectorIndexed => {
                let bits = 8 << [0, 0, 0, 0, 0, 1, 2, 3][word.number(12) & 7];
                for register in self.v.iter_mut().skip(second).take(8) {
                    let offsets = (0..128 / bits)
                        .map(|i| u128::from(random.bits() & 0x7ff & (u64::MAX >> (64 - bits))) << (i * bits));
                    *register = offsets.sum();
                }
            }
            _ => {}
        }
    }
}

impl Start for State {
    fn set_addresses(&mut self, code: u64, taken: u64) {
        self.x[31] = code;
        if let Some((target, offset)) = self.target {
            // The lowest bit of the sum is ignored.
            self.x[target] = cut(self.xlen, taken.wrapping_sub(offset as u64));
        }
    }

    fn code(&self) -> u64 {
        self.x[31]
    }

    fn record(&self) -> Vec<u8> {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut record = words(&self.x[1..]);
        record.extend(words(&[self.fcsr]));
        record.extend(words(&self.f));
        if self.xlen == 32 {
            return record;
        }
        record.extend(self.v.iter().flat_map(|register| register.to_le_bytes()));
        record.extend(words(&self.configuration));
        record
    }

    fn register(&self, name: &str) -> Option<(String, u128)> {
        let integers = [
            "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6",
            "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
        ];
        if let Some(n) = integers.iter().position(|known| *known == name) {
            return Some((format!("x{n}"), if n == 0 { 0 } else { self.x[n].into() }));
        }
        if let Some(n) = name.strip_prefix('v').and_then(|digits| digits.parse::<usize>().ok()) {
            return self.v.get(n).map(|&value| (name.to_owned(), value));
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
        let names = ["vtype", "vl", "vstart", "vcsr"];
        let configuration = names.into_iter().zip(self.configuration);
        [("fcsr", self.fcsr)]
            .into_iter()
            .chain(configuration)
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect()
    }

    fn copy(&self) -> Box<dyn Start> {
        Box::new(self.clone())
    }
}

/// What a register of so many bits holds of a number.
const fn cut(xlen: u32, number: u64) -> u64 {
    number & (u64::MAX >> (64 - xlen))
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

/// A base for elements: near the middle of the window, or near one of its ends, where some cannot be accessed.
fn vector_address(random: &mut Random) -> u64 {
    let misalignment = if random.one_in(2) { 0 } else { random.below(16) as u64 };
    misalignment
        + match random.below(8) {
            0 => WINDOW + 8192 - 16 - random.below(8) as u64 * 16,
            1 => WINDOW + random.below(4) as u64 * 16 - 32,
            _ => WINDOW + 4096 - 512 + random.below(64) as u64 * 16,
        }
}

/// Elements of one width, each at the edges of what instructions do, or a mask.
fn vector(random: &mut Random) -> u128 {
    let bits = 8 << random.below(5);
    if bits == 128 {
        return u128::from(random.bits()) << 64 | u128::from(random.bits());
    }
    let ones = u64::MAX >> (64 - bits);
    (0..128 / bits).map(|i| u128::from(lane_value(random, bits) & ones) << (i * bits)).sum()
}

/// `vtype`, the `vl` that is asked for, `vstart` and `vcsr`: most of the time such that the instruction can be executed.
fn configuration(random: &mut Random, word: &Word, words: &[&Word]) -> [u64; 4] {
    // Groups are not larger than the alignment of the registers allows.
    let largest = if word.class.kind.is_vector() && !random.one_in(6) {
        (word.number(7) | word.number(20)).trailing_zeros().min(3) as i32
    } else {
        3
    };
    let lmul = if random.one_in(2) { largest } else { random.below(largest as usize + 4) as i32 - 3 };
    let least = words.iter().map(|word| word.narrowest()).max().unwrap_or(0);
    let sew = least + random.below(4 - least);
    let vtype = (lmul & 7) as u64 | (sew as u64) << 3 | (random.bits() & 3) << 6;
    let in_register = 16 >> sew;
    let most: usize = if lmul < 0 { in_register >> -lmul } else { in_register << lmul };
    let vl = if random.one_in(3) { most } else { random.below(most + 1) } as u64;
    // An index that is not below `vl` stays as it is under QEMU 7.2.
    let vstart = if random.one_in(6) && vl > 0 && !words.iter().any(|word| word.wants_no_vstart()) {
        random.below(vl as usize) as u64
    } else {
        0
    };
    // One that is not valid has no elements.
    let is_valid = lmul >= sew as i32 - 3;
    [vtype, vl, if is_valid { vstart } else { 0 }, random.bits() & 7]
}

/// A number of single precision in its box, sometimes one without, or one of double precision.
fn float(random: &mut Random) -> u64 {
    match random.below(16) {
        0..7 => lane_value(random, 32) & !BOX | BOX,
        7 => lane_value(random, 32) & !BOX | random.bits() & BOX,
        _ => lane_value(random, 64),
    }
}
