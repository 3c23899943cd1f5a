//! Random RV64GC and RV32GC programs that end: instructions of two and of four bytes mixed, with blocks, loops, calls, tables,
//! exclusives, patched code, and the pairs that compilers make and processors fuse.
//!
//! Registers have roles: `x10`–`x25` are free, `x5`–`x7` are scratch for sequences, `x26`–`x28` count loops, `x8`, `x9`
//! and `sp` point to data, `x1` is the link. Floating point uses `f0`–`f7`.
//!
//! Programs for registers of 32 bits are those for 64 bits with other instructions in place of those that they do not have.

use crate::generate::Shape;
use crate::machine::{BASE, CODE, Program, Rng};
use spile_runtime::isa::Isa;
use spile_runtime::isa::riscv::{RISCV32, RISCV64};
use spile_runtime::uop::slot;

const EBREAK: u32 = 0x0010_0073;
const ECALL: u32 = 0x0000_0073;
const NOP2: u16 = 0x0001;
const RET: u16 = 0x8082;

const OP: u32 = 0x33;
const OP32: u32 = 0x3b;
const IMM: u32 = 0x13;
const IMM32: u32 = 0x1b;
const LUI: u32 = 0x37;
const AUIPC: u32 = 0x17;
const LOAD: u32 = 0x03;
const STORE: u32 = 0x23;
const BRANCH: u32 = 0x63;
const JALR: u32 = 0x67;
const AMO: u32 = 0x2f;
const FLOAT: u32 = 0x53;
const SYSTEM: u32 = 0x73;

/// `funct7` and `funct3` of the operations on two registers, and of those on their lower halves.
const PAIRS: &[(u32, u32)] = &[
    (0, 0),
    (0x20, 0),
    (0, 1),
    (0, 2),
    (0, 3),
    (0, 4),
    (0, 5),
    (0x20, 5),
    (0, 6),
    (0, 7), // RV64I
    (1, 0),
    (1, 1),
    (1, 2),
    (1, 3),
    (1, 4),
    (1, 5),
    (1, 6),
    (1, 7), // M
    (0x10, 2),
    (0x10, 4),
    (0x10, 6), // Zba
    (0x20, 7),
    (0x20, 6),
    (0x20, 4),
    (0x30, 1),
    (0x30, 5),
    (5, 4),
    (5, 5),
    (5, 6),
    (5, 7), // Zbb
    (0x24, 1),
    (0x24, 5),
    (0x34, 1),
    (0x14, 1),
    (5, 1),
    (5, 2),
    (5, 3),
    (7, 5),
    (7, 7), // Zbs, Zbc, Zicond
];
const PAIRS32: &[(u32, u32)] = &[
    (0, 0),
    (0x20, 0),
    (0, 1),
    (0, 5),
    (0x20, 5),
    (1, 0),
    (1, 4),
    (1, 5),
    (1, 6),
    (1, 7),
    (4, 0),
    (0x10, 2),
    (0x10, 4),
    (0x10, 6),
    (0x30, 1),
    (0x30, 5),
];
/// Immediate field and `funct3` of the operations on one register.
const SINGLE: &[(u32, u32)] = &[(0x600, 1), (0x601, 1), (0x602, 1), (0x604, 1), (0x605, 1), (0x6b8, 5), (0x287, 5)];

struct Writer {
    code: Vec<u8>,
    starts: Vec<u64>,
    rng: Rng,
    shape: Shape,
    /// Offsets of function entries.
    functions: Vec<usize>,
    recursive: Option<usize>,
    /// Loops that enclose the present place.
    depth: u32,
    hot_left: bool,
    /// Registers have 32 bits.
    narrow: bool,
}

/// Makes a program for registers of 64 bits from a seed.
pub(crate) fn program(seed: u64, shape: Shape) -> Program {
    program_for(&RISCV64, seed, shape)
}

/// Makes a program for registers of 32 bits from a seed.
pub(crate) fn program32(seed: u64, shape: Shape) -> Program {
    program_for(&RISCV32, seed, shape)
}

fn program_for(isa: &'static dyn Isa, seed: u64, shape: Shape) -> Program {
    let mut rng = Rng(seed);
    let mut program = Program::new(&[]);
    program.isa = isa;
    program.cpu.x[..32].fill(0);
    for r in 1..32 {
        program.cpu.x[r] = program.fits(rng.value());
    }
    for v in 0..32 {
        // A double, a single in its box, or any bits.
        program.cpu.v[v] = u128::from(match rng.below(3) {
            0 => (rng.below(1000) as f64 / 8.0).to_bits(),
            1 => 0xffff_ffff_0000_0000 | u64::from((rng.below(1000) as f32 / 8.0).to_bits()),
            _ => rng.next(),
        });
    }
    (program.cpu.x[8], program.cpu.x[9], program.cpu.x[2]) = (BASE, BASE, BASE - 0x800);
    if shape.mixed {
        (program.cpu.x[8], program.cpu.x[9]) = (CODE + 0x1c00, CODE + 0x1c00);
    }
    program.data.iter_mut().for_each(|byte| *byte = rng.next() as u8);
    let mut w = Writer {
        code: Vec::new(),
        starts: Vec::new(),
        rng,
        shape,
        functions: Vec::new(),
        recursive: None,
        depth: 0,
        hot_left: shape.hot,
        narrow: program.is_narrow(),
    };
    w.push(0);
    if shape.crossing {
        let padding = 1022 - w.rng.below(120);
        (0..padding).for_each(|_| w.push(imm(IMM, 0, 0, 0, 0)));
        if w.rng.chance(50) {
            w.short(NOP2);
        }
        program.first = w.starts.len();
    }
    w.all();
    (program.code, program.starts) = (w.code, w.starts);
    program
}

/// An instruction on three registers.
fn three(op: u32, (f7, f3): (u32, u32), d: u32, a: u32, b: u32) -> u32 {
    f7 << 25 | b << 20 | a << 15 | f3 << 12 | d << 7 | op
}

/// An instruction with an immediate of twelve bits.
fn imm(op: u32, f3: u32, d: u32, a: u32, imm: i32) -> u32 {
    (imm as u32 & 0xfff) << 20 | a << 15 | f3 << 12 | d << 7 | op
}

fn store(op: u32, f3: u32, base: u32, s: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    (imm >> 5 & 0x7f) << 25 | s << 20 | base << 15 | f3 << 12 | (imm & 0x1f) << 7 | op
}

fn branch(f3: u32, a: u32, b: u32, distance: i64) -> u32 {
    let o = distance as u32;
    (o >> 12 & 1) << 31
        | (o >> 5 & 0x3f) << 25
        | b << 20
        | a << 15
        | f3 << 12
        | (o >> 1 & 0xf) << 8
        | (o >> 11 & 1) << 7
        | BRANCH
}

fn jal(d: u32, distance: i64) -> u32 {
    let o = distance as u32;
    (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12 | d << 7 | 0x6f
}

/// An instruction that registers of 32 bits have, too: words are registers, and doublewords words.
fn narrowed(word: u32) -> u32 {
    let (f3, f7) = (word >> 12 & 7, word >> 25);
    let word_of = |f3: u32| word & !(7 << 12) | f3 << 12;
    match (word & 0x7f, f3) {
        (LOAD, 3 | 6) | (STORE | AMO, 3) => word_of(2),
        // Bit 5 of an amount is reserved.
        (IMM, 1 | 5) => word & !(1 << 25),
        (IMM32, 0) => word & !8,
        (IMM32, _) => word & !(8 | 1 << 25),
        // What has no form of its own becomes `add`.
        (OP32, _) if f7 == 4 => word & !(8 | 4 << 25),
        (OP32, _) => word & !8,
        (FLOAT, _) if matches!(f7 >> 2, 0x18 | 0x1a) => word & !(2 << 20),
        (FLOAT, 0) if matches!(f7, 0x71 | 0x79) => word & !(1 << 25),
        _ => word,
    }
}

fn narrowed_short(half: u16) -> u16 {
    match (half & 3, half >> 13) {
        (1, 1) | (0, 3 | 7) | (2, 3 | 7) => {
            // Doublewords from and to the stack, with the link at 8.
            match half {
                0xe406 => 0xc406,
                0x60a2 => 0x40a2,
                _ => half & !(1 << 13),
            }
        }
        (1, 4) if half & 0x1800 != 0x0800 || half & 0x0c00 == 0 => half & !(1 << 12),
        _ => half,
    }
}

impl Writer {
    fn at(&self) -> usize {
        self.code.len()
    }

    fn push(&mut self, word: u32) {
        let word = if self.narrow { narrowed(word) } else { word };
        self.starts.push(CODE + self.at() as u64);
        self.code.extend(word.to_le_bytes());
    }

    fn short(&mut self, half: u16) {
        let half = if self.narrow { narrowed_short(half) } else { half };
        self.starts.push(CODE + self.at() as u64);
        self.code.extend(half.to_le_bytes());
    }

    fn set(&mut self, at: usize, word: u32) {
        self.code[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    fn to(&self, to: usize) -> i64 {
        to as i64 - self.at() as i64
    }

    fn field(&mut self, bits: u32) -> u32 {
        self.rng.below(1 << bits) as u32
    }

    /// A number of twelve bits with a sign.
    fn number(&mut self) -> i32 {
        self.field(12) as i32 - 2048
    }

    /// A free register.
    fn r(&mut self) -> u32 {
        10 + self.rng.below(16) as u32
    }

    /// A source: sometimes the zero register.
    fn s(&mut self) -> u32 {
        match self.rng.below(12) {
            0 => 0,
            1 => self.rng.pick(&[1, 2, 5, 6, 8, 9, 26, 27]),
            _ => self.r(),
        }
    }

    /// A destination: seldom the zero register.
    fn d(&mut self) -> u32 {
        if self.rng.chance(3) { 0 } else { self.r() }
    }

    /// A free register that three bits name.
    fn c(&mut self) -> u16 {
        2 + self.rng.below(6) as u16
    }

    fn f(&mut self) -> u32 {
        self.field(3)
    }

    fn all(&mut self) {
        for _ in 0..self.rng.below(3) {
            self.function();
        }
        if self.rng.chance(20) {
            self.recursion();
        }
        let main = self.at() as i64;
        self.set(0, jal(0, main));
        let segments = if self.shape.large { 60 } else { 1 + self.rng.below(3) };
        for _ in 0..segments {
            self.segment();
        }
        if self.hot_left {
            self.repeat();
        }
        self.straight(4);
        self.push(EBREAK);
    }

    fn straight(&mut self, most: u64) {
        for _ in 0..1 + self.rng.below(most) {
            self.op();
        }
    }

    fn segment(&mut self) {
        match self.rng.below(12) {
            0..=2 => self.straight(10),
            3..=5 if self.depth < 2 => self.repeat(),
            6 | 7 => self.forward(true),
            8 => self.call(),
            9 => self.table(),
            10 => self.exclusive(),
            11 if self.shape.patches => self.patch(),
            11 => self.push(ECALL),
            _ => self.straight(6),
        }
    }

    /// Gives a register a positive number below 2^31, by one or two instructions.
    fn constant(&mut self, r: u32, value: u32) {
        let low = (value << 20) as i32 >> 20;
        let high = value.wrapping_sub(low as u32);
        if high == 0 {
            return self.push(imm(IMM, 0, r, 0, low));
        }
        self.push(high | r << 7 | LUI);
        self.push(imm(IMM, 0, r, r, low));
    }

    fn repeat(&mut self) {
        let counter = 26 + self.depth;
        let hot = self.hot_left && self.depth == 0;
        let times = if hot { 1010 + self.rng.below(60) } else { 2 + self.rng.below(6) } as u32;
        if hot {
            self.hot_left = false;
        }
        self.constant(counter, times);
        let top = self.at();
        self.short(0x8002 | 9 << 7 | 8 << 2); // c.mv x9, x8
        self.depth += if hot { 2 } else { 1 };
        self.straight(8);
        for _ in 0..self.rng.below(3) {
            self.segment();
        }
        self.depth -= if hot { 2 } else { 1 };
        if self.rng.chance(50) {
            self.short(0x107d | (counter as u16) << 7 | 0x7c); // c.addi counter, -1
        } else {
            self.push(imm(IMM32, 0, counter, counter, -1));
        }
        // bne, or blt zero: a loop of more than 4 KiB goes round by a jump.
        let word = if self.rng.chance(50) { (1, counter, 0) } else { (4, 0, counter) };
        if self.to(top) < -4000 {
            self.push(branch(word.0 ^ 1, word.1, word.2, 8));
            let back = self.to(top);
            return self.push(jal(0, back));
        }
        let back = self.to(top);
        self.push(branch(word.0, word.1, word.2, back));
    }

    fn forward(&mut self, long: bool) {
        let at = self.at();
        let (f3, a, b) = (self.rng.pick(&[0, 1, 4, 5, 6, 7]), self.s(), self.s());
        self.push(0);
        self.straight(5);
        if long && self.rng.chance(30) {
            self.segment();
        }
        let distance = (self.at() - at) as i64;
        let word = if distance < 4000 { branch(f3, a, b, distance) } else { jal(0, distance) };
        self.set(at, word);
    }

    fn save_link(&mut self) {
        self.short(0x1141); // c.addi sp, -16
        self.short(0xe406); // c.sdsp ra, 8(sp)
    }

    fn restore_link(&mut self) {
        self.short(0x60a2); // c.ldsp ra, 8(sp)
        self.short(0x0141); // c.addi sp, 16
    }

    fn function(&mut self) {
        let entry = self.at();
        let nested = !self.functions.is_empty() && self.rng.chance(40);
        if nested {
            self.save_link();
        }
        self.straight(5);
        if self.rng.chance(30) {
            self.forward(false);
        }
        if nested {
            let to = self.rng.pick(&self.functions.clone());
            let distance = self.to(to);
            self.push(jal(1, distance));
            self.straight(2);
            self.restore_link();
        }
        self.short(RET);
        self.functions.push(entry);
    }

    /// A function that calls itself as often as `x5` says.
    fn recursion(&mut self) {
        let entry = self.at();
        self.push(0);
        self.save_link();
        self.push(imm(IMM, 0, 5, 5, -1));
        self.op();
        let distance = self.to(entry);
        self.push(jal(1, distance));
        self.op();
        self.restore_link();
        let distance = (self.at() - entry) as i64;
        self.set(entry, branch(0, 5, 0, distance));
        self.short(RET);
        self.recursive = Some(entry);
    }

    /// `auipc` and `addi`, the address of something near.
    fn address(&mut self, r: u32, to: usize) {
        let distance = self.to(to) as i32;
        let low = distance << 20 >> 20;
        self.push((distance - low) as u32 & 0xffff_f000 | r << 7 | AUIPC);
        self.push(imm(IMM, 0, r, r, low));
    }

    fn call(&mut self) {
        if let Some(entry) = self.recursive
            && self.rng.chance(40)
        {
            let times = self.rng.below(6) as u32;
            self.constant(5, times);
            let distance = self.to(entry);
            return self.push(jal(1, distance));
        }
        if self.functions.is_empty() {
            return self.straight(3);
        }
        let to = self.rng.pick(&self.functions.clone());
        match self.rng.below(4) {
            0 => {
                self.address(7, to);
                self.short(0x9382); // c.jalr t2
            }
            1 => {
                // What a far call is: auipc and jalr.
                let distance = self.to(to) as i32;
                let low = distance << 20 >> 20;
                self.push((distance - low) as u32 & 0xffff_f000 | 1 << 7 | AUIPC);
                self.push(imm(JALR, 0, 1, 1, low));
            }
            _ => {
                let distance = self.to(to);
                self.push(jal(1, distance));
            }
        }
    }

    /// A jump through a table of jumps.
    fn table(&mut self) {
        let s = self.r();
        self.push(imm(IMM, 7, 6, s, 3)); // andi t1, s, 3
        let first = self.at() + 16;
        self.address(7, first);
        self.push(three(OP, (0x10, 4), 7, 6, 7)); // sh2add t2, t1, t2
        self.push(imm(JALR, 0, 0, 7, 0));
        (0..4).for_each(|_| self.push(0));
        let mut ends = Vec::new();
        for i in 0..4 {
            let (at, start) = (first + 4 * i, self.at());
            self.set(at, jal(0, (start - at) as i64));
            self.straight(2);
            ends.push(self.at());
            self.push(0);
        }
        let end = self.at();
        ends.into_iter().for_each(|at| self.set(at, jal(0, (end - at) as i64)));
    }

    /// A loop that ends when its store-conditional succeeds.
    fn exclusive(&mut self) {
        let (d, f3) = (self.r(), 2 + self.field(1));
        let offset = self.field(6) as i32 * 8;
        self.push(imm(IMM, 0, 7, 8, offset));
        let top = self.at();
        let order = self.field(2) << 25;
        self.push(0x1000_0000 | order | 7 << 15 | f3 << 12 | d << 7 | AMO); // lr
        self.push(imm(IMM, 0, d, d, 1));
        self.push(0x1800_0000 | order | d << 20 | 7 << 15 | f3 << 12 | 6 << 7 | AMO); // sc
        let back = self.to(top);
        self.push(branch(1, 6, 0, back));
    }

    /// Stores a new instruction over one that is soon executed.
    fn patch(&mut self) {
        let (d, kind) = (self.r(), self.rng.below(4));
        let counter = 26 + self.field(1);
        let long = kind != 3;
        // addi d, d, 0 with the low bits of a counter, or c.addi d, 0 with its lowest.
        if long {
            self.constant(5, imm(IMM, 0, d, d, 0));
            self.push(imm(IMM, 7, 6, counter, 0x7f));
            self.push(imm(IMM, 1, 6, 6, 20));
        } else {
            self.constant(5, 0x0005 | d << 7);
            self.push(imm(IMM, 7, 6, counter, 7));
            self.push(imm(IMM, 1, 6, 6, 2));
        }
        self.push(three(OP, (0, 6), 5, 5, 6)); // or
        let at = self.at();
        (0..3).for_each(|_| self.push(0));
        for _ in 0..self.rng.below(4) {
            self.alu();
        }
        let target = self.at();
        let distance = (target - at) as i32;
        self.set(at, 7 << 7 | AUIPC);
        self.set(at + 4, imm(IMM, 0, 7, 7, distance));
        let word = match kind {
            1 if target.is_multiple_of(4) => 0x0800_0000 | 5 << 20 | 7 << 15 | 2 << 12 | 6 << 7 | AMO, // amoswap.w
            0 | 1 => store(STORE, 2, 7, 5, 0),
            2 => store(STORE, 1, 7, 5, 0), // the low half alone: rd and opcode stay
            _ => store(STORE, 1, 7, 5, 0),
        };
        self.set(at + 8, word);
        if long {
            self.push(imm(IMM, 0, d, d, 0));
        } else {
            self.short(0x0005 | (d as u16) << 7);
        }
    }

    // ---- single instructions

    fn op(&mut self) {
        match self.rng.below(20) {
            0..=6 => self.alu(),
            7..=10 => self.compressed(),
            11..=14 => self.memory(),
            15 | 16 => self.float(),
            17 => self.atomic(),
            18 => self.pair(),
            _ => self.status(),
        }
    }

    fn alu(&mut self) {
        let (d, a, b) = (self.d(), self.s(), self.s());
        let (number, amount) = (self.number(), self.field(6));
        let word = match self.rng.below(12) {
            0..=3 => three(OP, self.rng.pick(PAIRS), d, a, b),
            4 | 5 => three(OP32, self.rng.pick(PAIRS32), d, a, b),
            6 | 7 => imm(IMM, self.rng.pick(&[0, 0, 2, 3, 4, 6, 7]), d, a, number),
            8 => {
                // slli srli srai rori bclri bexti binvi bseti
                let (top, f3) = self.rng.pick(&[
                    (0, 1),
                    (0, 5),
                    (0x400, 5),
                    (0x600, 5),
                    (0x480, 1),
                    (0x480, 5),
                    (0x680, 1),
                    (0x280, 1),
                ]);
                imm(IMM, f3, d, a, (top | amount) as i32)
            }
            9 => match self.rng.below(3) {
                0 => imm(IMM32, 0, d, a, number),
                1 => imm(IMM32, self.rng.pick(&[1, 5]), d, a, (amount & 31) as i32),
                _ => imm(IMM32, 5, d, a, (0x400 | amount & 31) as i32),
            },
            10 => {
                let (field, f3) = self.rng.pick(SINGLE);
                imm(IMM, f3, d, a, field as i32)
            }
            _ => self.field(20) << 12 | d << 7 | self.rng.pick(&[LUI, AUIPC]),
        };
        self.push(word);
    }

    fn compressed(&mut self) {
        let (d, a, b) = (self.r() as u16, self.c(), self.c());
        let (five, six) = (self.field(5) as u16, self.field(6) as u16);
        let low = (six & 0x1f) << 2 | (six >> 5) << 12;
        let half = match self.rng.below(14) {
            0 => 0x0001 | d << 7 | low,                          // c.addi, or a hint
            1 => 0x2001 | d << 7 | low,                          // c.addiw
            2 => 0x4001 | d << 7 | low,                          // c.li
            3 => 0x6001 | d << 7 | (five | 1) << 2,              // c.lui
            4 => 0x8002 | d << 7 | (self.r() as u16) << 2,       // c.mv
            5 => 0x9002 | d << 7 | (self.r() as u16) << 2,       // c.add
            6 | 7 => 0x8c01 | a << 7 | (five & 3) << 5 | b << 2, // c.sub c.xor c.or c.and
            8 => self.rng.pick(&[0x9c01, 0x9c21]) | a << 7 | b << 2,
            9 => 0x8801 | a << 7 | low, // c.andi
            10 => self.rng.pick(&[0x8001, 0x8401]) | a << 7 | (five | 1) << 2,
            11 => 0x0002 | d << 7 | (five | 1) << 2, // c.slli
            12 => (five | 1) << 7 | a << 2,          // c.addi4spn
            _ => NOP2,
        };
        self.short(half);
    }

    fn base(&mut self) -> u32 {
        self.rng.pick(&[8, 8, 9, 2])
    }

    fn memory(&mut self) {
        let (t, base) = (self.r(), self.base());
        let offset = self.field(7) as i32 - 32;
        let wild = self.shape.wild && self.rng.chance(4);
        match self.rng.below(8) {
            _ if wild => {
                let base = self.r();
                self.push(imm(LOAD, 3, t, base, 0));
            }
            0..=2 => {
                let f3 = self.rng.below(7) as u32;
                self.push(imm(LOAD, f3, t, base, offset));
            }
            3 | 4 => {
                let (f3, s) = (self.field(2), self.s());
                self.push(store(STORE, f3, base, s, offset));
            }
            5 => {
                // A moving base, as loops over arrays have it.
                let f3 = self.field(2);
                self.push(store(STORE, f3, 9, t, offset));
                self.short(0x0001 | 9 << 7 | 8 << 2); // c.addi x9, 8
            }
            6 => {
                // c.lw c.ld c.sw c.sd c.fld c.fsd, from x8 or x9; c.ldsp and c.sdsp.
                let (base, d) = (self.field(1) as u16, self.c());
                let at = (self.field(3) as u16) << 10;
                let more = self.field(3) as u16;
                let f3 = self.rng.pick(&[0x4000, 0x6000, 0xc000, 0xe000]);
                match self.rng.below(5) {
                    0 => self.short(0x2000 | at | base << 7 | (more & 1) << 2), // c.fld f8, f9
                    1 => self.short(0x6002 | (t as u16) << 7 | (more & 3) << 5),
                    2 => self.short(0xe002 | (t as u16) << 2 | at),
                    _ => self.short(f3 | at | base << 7 | d << 2),
                }
            }
            _ => {
                let (f, f3) = (self.f(), 2 + self.field(1));
                let word =
                    if self.rng.chance(50) { imm(0x07, f3, f, base, offset) } else { store(0x27, f3, base, f, offset) };
                self.push(word);
            }
        }
    }

    fn atomic(&mut self) {
        let (d, s, f3) = (self.d(), self.s(), 2 + self.field(1));
        let offset = self.field(6) as i32 * 8;
        self.push(imm(IMM, 0, 7, 8, offset));
        let op = self.rng.pick(&[0, 1, 4, 8, 0xc, 0x10, 0x14, 0x18, 0x1c]);
        let order = self.field(2) << 25;
        self.push(op << 27 | order | s << 20 | 7 << 15 | f3 << 12 | d << 7 | AMO);
    }

    /// Two instructions that processors execute as one.
    fn pair(&mut self) {
        let (d, a, b, number) = (self.r(), self.s(), self.s(), self.number());
        match self.rng.below(6) {
            0 => {
                let (high, op) = (self.field(20) << 12, self.rng.pick(&[IMM, IMM32]));
                self.push(high | d << 7 | LUI);
                self.push(imm(op, 0, d, d, number));
            }
            1 => {
                // The upper half away: slli and srli.
                self.push(imm(IMM, 1, d, a, 32));
                let amount = self.rng.pick(&[28, 29, 30, 31, 32]);
                self.push(imm(IMM, 5, d, d, amount));
            }
            2 => {
                self.push(imm(IMM, 1, d, a, 48));
                self.push(imm(IMM, 5, d, d, 0x400 | 48));
            }
            3 => {
                // An element of an array: add and load.
                self.push(imm(IMM, 7, 6, a, 0x78));
                self.push(three(OP, (0, 0), d, 8, 6));
                self.push(imm(LOAD, 3, d, d, 0));
            }
            4 => {
                // The high and the low half of a product, quotient and remainder.
                let (first, second) = self.rng.pick(&[(1, 0), (3, 0), (4, 6), (5, 7)]);
                let e = if d == 25 { 10 } else { d + 1 };
                self.push(three(OP, (1, first), d, a, b));
                self.push(three(OP, (1, second), e, a, b));
            }
            _ => {
                let f3 = self.rng.pick(&[2, 3]);
                self.push(three(OP, (0, f3), d, a, b));
                self.push(imm(IMM, 4, d, d, 1)); // xori: not less
            }
        }
    }

    fn float(&mut self) {
        let (d, a, b, c) = (self.f(), self.f(), self.f(), self.f());
        let double = self.field(1);
        let rm = self.rng.pick(&[0, 0, 0, 1, 2, 3, 4, 7, 7]);
        let fp = |f5: u32, f3: u32, d: u32, a: u32, b: u32| {
            f5 << 27 | double << 25 | b << 20 | a << 15 | f3 << 12 | d << 7 | FLOAT
        };
        let word = match self.rng.below(10) {
            0..=2 => fp(self.rng.pick(&[0, 1, 2, 3]), rm, d, a, b),
            3 => fp(0x0b, rm, d, a, 0), // fsqrt
            4 => fp(4, self.rng.pick(&[0, 1, 2]), d, a, b),
            5 => fp(5, self.rng.pick(&[0, 1]), d, a, b),
            6 => fp(0x14, self.rng.pick(&[0, 1, 2]), self.r(), a, b),
            7 => {
                c << 27
                    | double << 25
                    | b << 20
                    | a << 15
                    | rm << 12
                    | d << 7
                    | self.rng.pick(&[0x43, 0x47, 0x4b, 0x4f])
            }
            8 => match self.rng.below(4) {
                0 => fp(0x18, rm, self.r(), a, self.field(2)),
                1 => fp(0x1a, rm, d, self.s(), self.field(2)),
                2 => fp(8, rm, d, a, 1 - double),
                _ => fp(0x1c, 1, self.r(), a, 0), // fclass
            },
            _ => {
                if self.rng.chance(50) {
                    fp(0x1c, 0, self.r(), a, 0)
                } else {
                    fp(0x1e, 0, d, self.s(), 0)
                }
            }
        };
        self.push(word);
    }

    /// Floating-point status and rounding mode, and what orders.
    fn status(&mut self) {
        let d = self.r();
        let word = match self.rng.below(6) {
            0 => 0x0010_0000 | 2 << 12 | d << 7 | SYSTEM,              // csrr fflags
            1 => 0x0010_0000 | self.field(5) << 15 | 5 << 12 | SYSTEM, // csrwi fflags
            2 => 0x0020_0000 | self.rng.pick(&[0, 0, 1, 2, 3, 4]) << 15 | 5 << 12 | SYSTEM, // csrwi frm
            3 => 0x0030_0000 | 2 << 12 | d << 7 | SYSTEM,              // csrr fcsr
            4 => 0x0ff0_000f,                                          // fence
            _ => 0x0000_100f,                                          // fence.i
        };
        self.push(word);
    }
}

/// The slots of the registers that are free.
pub(crate) const FREE: std::ops::Range<u8> = slot::GPR + 10..slot::GPR + 26;
