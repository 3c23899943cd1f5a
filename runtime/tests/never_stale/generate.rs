//! Random programs; here those of A64 that end: from encodings, with blocks, loops, calls, tables, exclusives and patched code.
//!
//! Registers have roles: `x0`–`x20` and `x29` are free, `x21`–`x23` are scratch for sequences, `x24`–`x26` count loops,
//! `x27` and `x28` and `sp` point to data, `x30` is the link. Vector code uses `v0`–`v7`.

use crate::machine::{BASE, CODE, HLT, Program, Rng};

/// What a program may contain besides the ordinary.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shape {
    /// One of its loops is long enough to be compiled by the automatic tier.
    pub(crate) hot: bool,
    /// It writes its own code.
    pub(crate) patches: bool,
    /// It may load from anywhere.
    pub(crate) wild: bool,
    /// It has many blocks: more than a region takes.
    pub(crate) large: bool,
    /// Its code crosses the end of a page.
    pub(crate) crossing: bool,
    /// Its data is on a page with code.
    pub(crate) mixed: bool,
}

impl Shape {
    pub(crate) fn random(rng: &mut Rng) -> Shape {
        let crossing = rng.chance(20);
        let (hot, patches, wild) = (rng.chance(25), rng.chance(25), rng.chance(10));
        Shape { hot, patches, wild, large: !crossing && rng.chance(6), crossing, mixed: crossing && rng.chance(50) }
    }
}

/// Makes a random program of an architecture from a seed.
pub(crate) type Generate = fn(u64, Shape) -> Program;

/// The generator of each architecture.
pub(crate) const GENERATORS: [Generate; 3] =
    [program, crate::generate_riscv::program, crate::generate_riscv::program32];

/// Every seed with every generator.
pub(crate) fn each(seeds: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Generate)> {
    seeds.flat_map(|seed| GENERATORS.map(|generate| (seed, generate)))
}

/// Integer registers that programs use freely.
pub(crate) fn free(program: &Program) -> std::ops::Range<u8> {
    if program.isa.insn_align() == 4 { 0..21 } else { crate::generate_riscv::FREE }
}

const NOP: u32 = 0xd503_201f;

/// Number of vector registers that programs use.
pub(crate) const VECTORS: usize = 8;

struct Writer {
    words: Vec<u32>,
    rng: Rng,
    shape: Shape,
    /// Indices of function entries.
    functions: Vec<usize>,
    recursive: Option<usize>,
    /// Loops that enclose the present place.
    depth: u32,
    hot_left: bool,
}

/// Makes a program from a seed.
pub(crate) fn program(seed: u64, shape: Shape) -> Program {
    let mut rng = Rng(seed);
    let mut program = Program::new(&[]);
    for r in 0..31 {
        program.cpu.x[r] = rng.value();
    }
    for v in 0..32 {
        program.cpu.v[v] = u128::from(rng.next()) << 64 | u128::from(rng.value());
        if rng.chance(30) {
            program.cpu.v[v] = u128::from((rng.below(1000) as f64 / 8.0).to_bits());
        }
    }
    (program.cpu.x[27], program.cpu.x[28], program.cpu.x[31]) = (BASE, BASE, BASE - 0x800);
    if shape.mixed {
        (program.cpu.x[27], program.cpu.x[28]) = (CODE + 0x1c00, CODE + 0x1c00);
    }
    program.cpu.set_nzcv(rng.below(16));
    program.data.iter_mut().for_each(|byte| *byte = rng.next() as u8);
    let mut w =
        Writer { words: vec![0], rng, shape, functions: Vec::new(), recursive: None, depth: 0, hot_left: shape.hot };
    if shape.crossing {
        let padding = 1023 - w.rng.below(120);
        w.words.extend(vec![NOP; padding as usize]);
        program.first = w.words.len();
    }
    w.all();
    program.with_words(&w.words)
}

impl Writer {
    fn push(&mut self, word: u32) {
        self.words.push(word);
    }

    fn r(&mut self) -> u32 {
        if self.rng.chance(5) { 29 } else { self.rng.below(21) as u32 }
    }

    /// A source: sometimes the zero register.
    fn s(&mut self) -> u32 {
        match self.rng.below(12) {
            0 => 31,
            1 => self.rng.pick(&[21, 22, 24, 25, 26, 27, 28, 30]),
            _ => self.r(),
        }
    }

    fn v(&mut self) -> u32 {
        self.rng.below(VECTORS as u64) as u32
    }

    fn bit(&mut self) -> u32 {
        self.rng.below(2) as u32
    }

    fn field(&mut self, bits: u32) -> u32 {
        self.rng.below(1 << bits) as u32
    }

    fn cond(&mut self) -> u32 {
        self.rng.below(14) as u32
    }

    fn all(&mut self) {
        for _ in 0..self.rng.below(3) {
            self.function();
        }
        if self.rng.chance(20) {
            self.recursion();
        }
        let main = self.words.len() as u32;
        self.words[0] = 0x1400_0000 | main;
        let segments = if self.shape.large { 60 } else { 1 + self.rng.below(3) };
        for _ in 0..segments {
            self.segment();
        }
        if self.hot_left {
            self.repeat();
        }
        self.straight(4);
        self.push(HLT);
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
            6 | 7 => self.forward(),
            8 => self.call(),
            9 => self.table(),
            10 => self.exclusive(),
            11 if self.shape.patches => self.patch(),
            11 => self.push(0xd400_0001), // svc #0
            _ => self.straight(6),
        }
    }

    fn constant(&mut self, r: u32, value: u32) {
        self.push(0xd280_0000 | (value & 0xffff) << 5 | r);
        if value >> 16 != 0 {
            self.push(0xf2a0_0000 | (value >> 16) << 5 | r);
        }
    }

    fn offset(&self, to: usize) -> u32 {
        (to as i64 - self.words.len() as i64) as u32
    }

    fn repeat(&mut self) {
        let counter = 24 + self.depth;
        let hot = self.hot_left && self.depth == 0;
        let mut times = if hot { 1010 + self.rng.below(60) } else { 2 + self.rng.below(6) } as u32;
        if hot {
            self.hot_left = false;
        }
        if self.rng.chance(20) {
            times = times.next_power_of_two();
        }
        self.constant(counter, times);
        let top = self.words.len();
        self.push(0xaa1c_03fb); // mov x27, x28
        self.depth += if hot { 2 } else { 1 };
        self.straight(8);
        for _ in 0..self.rng.below(3) {
            self.segment();
        }
        self.depth -= if hot { 2 } else { 1 };
        match self.rng.below(4) {
            0 => {
                self.push(0xd100_0400 | counter << 5 | counter);
                let offset = self.offset(top) & 0x7_ffff;
                self.push(0xb500_0000 | offset << 5 | counter); // cbnz
            }
            1 if times.is_power_of_two() && times > 1 => {
                // Counts from a power of two down to the first number without that bit, and on to zero by another way.
                self.push(0xd100_0400 | counter << 5 | counter);
                let offset = self.offset(top) & 0x3fff;
                let bit = times.ilog2() - 1;
                self.push(0x3700_0000 | bit << 19 | offset << 5 | counter); // tbnz
            }
            2 => {
                self.push(0x7100_0400 | counter << 5 | counter); // subs w
                let offset = self.offset(top) & 0x7_ffff;
                self.push(0x5400_0000 | offset << 5 | 12); // b.gt
            }
            _ => {
                self.push(0xf100_0400 | counter << 5 | counter); // subs x
                let offset = self.offset(top) & 0x7_ffff;
                self.push(0x5400_0000 | offset << 5 | 1); // b.ne
            }
        }
    }

    fn forward(&mut self) {
        let at = self.words.len();
        let kind = self.rng.below(4);
        let (cond, r, sf, bit) = (self.cond(), self.r(), self.bit(), self.field(5));
        self.push(0);
        self.straight(5);
        if self.rng.chance(30) {
            self.segment();
        }
        let distance = (self.words.len() - at) as u32;
        self.words[at] = match kind {
            0 => 0x5400_0000 | distance << 5 | cond,
            1 => 0x3400_0000 | sf << 31 | distance << 5 | r,
            2 => 0x3500_0000 | sf << 31 | distance << 5 | r,
            _ => 0x3600_0000 | sf << 31 | (cond & 1) << 24 | bit << 19 | distance << 5 | r,
        };
    }

    fn function(&mut self) {
        let entry = self.words.len();
        let nested = !self.functions.is_empty() && self.rng.chance(40);
        if nested {
            self.push(0xa9bf_7bfd); // stp x29, x30, [sp, #-16]!
        }
        self.straight(5);
        if self.rng.chance(30) {
            self.forward_short();
        }
        if nested {
            let to = self.rng.pick(&self.functions.clone());
            let offset = self.offset(to) & 0x3ff_ffff;
            self.push(0x9400_0000 | offset);
            self.straight(2);
            self.push(0xa8c1_7bfd); // ldp x29, x30, [sp], #16
        }
        self.push(0xd65f_03c0);
        self.functions.push(entry);
    }

    fn forward_short(&mut self) {
        let at = self.words.len();
        let cond = self.cond();
        self.push(0);
        self.straight(3);
        let distance = (self.words.len() - at) as u32;
        self.words[at] = 0x5400_0000 | distance << 5 | cond;
    }

    /// A function that calls itself as often as `x21` says.
    fn recursion(&mut self) {
        let entry = self.words.len();
        self.push(0);
        self.push(0xa9bf_7bfd); // stp x29, x30, [sp, #-16]!
        self.push(0xd100_06b5); // sub x21, x21, #1
        self.op();
        let offset = self.offset(entry) & 0x3ff_ffff;
        self.push(0x9400_0000 | offset);
        self.op();
        self.push(0xa8c1_7bfd); // ldp x29, x30, [sp], #16
        let distance = (self.words.len() - entry) as u32;
        self.words[entry] = 0xb400_0000 | distance << 5 | 21; // cbz x21
        self.push(0xd65f_03c0);
        self.recursive = Some(entry);
    }

    fn address(&mut self, r: u32, to: usize) {
        let offset = (to as i64 - self.words.len() as i64) as u32;
        self.push(0x1000_0000 | (offset & 0x7_ffff) << 5 | r); // adr
    }

    fn call(&mut self) {
        if let Some(entry) = self.recursive
            && self.rng.chance(40)
        {
            let times = self.rng.below(6) as u32;
            self.constant(21, times);
            let offset = self.offset(entry) & 0x3ff_ffff;
            return self.push(0x9400_0000 | offset);
        }
        if self.functions.is_empty() {
            return self.straight(3);
        }
        let to = self.rng.pick(&self.functions.clone());
        if self.rng.chance(40) {
            let r = self.rng.pick(&[23, 30]);
            self.address(r, to);
            self.push(0xd63f_0000 | r << 5); // blr
        } else {
            let offset = self.offset(to) & 0x3ff_ffff;
            self.push(0x9400_0000 | offset);
        }
    }

    /// A branch through a table of branches.
    fn table(&mut self) {
        let s = self.r();
        self.push(0x9240_0400 | s << 5 | 22); // and x22, s, #3
        let first = self.words.len() + 3;
        self.address(23, first);
        self.push(0x8b16_0af7); // add x23, x23, x22, lsl #2
        self.push(0xd61f_02e0); // br x23
        for _ in 0..4 {
            self.push(0);
        }
        let mut starts = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..4 {
            starts.push(self.words.len());
            self.straight(2);
            ends.push(self.words.len());
            self.push(0);
        }
        let end = self.words.len();
        for (i, &start) in starts.iter().enumerate() {
            self.words[first + i] = 0x1400_0000 | (start - first - i) as u32;
        }
        for at in ends {
            self.words[at] = 0x1400_0000 | (end - at) as u32;
        }
    }

    /// A loop that ends when its store-exclusive succeeds.
    fn exclusive(&mut self) {
        let offset = self.field(5) << 4;
        self.push(0x9100_0397 | offset << 10); // add x23, x28, #offset
        let (d, t) = (self.r(), 22);
        let pair = self.rng.chance(25);
        let top = self.words.len();
        if pair {
            let e = (d + 1) % 20;
            self.push(0xc87f_0000 | e << 10 | 23 << 5 | d); // ldxp
            self.push(0x9100_0400 | d << 5 | d);
            self.push(0xc820_0000 | t << 16 | d << 10 | 23 << 5 | e); // stxp
        } else {
            let size = self.field(2);
            let release = self.bit();
            self.push(0x085f_7c00 | size << 30 | release << 15 | 23 << 5 | d); // ldxr, ldaxr
            self.push(0x9100_0400 | d << 5 | d);
            self.push(0x0800_7c00 | size << 30 | release << 15 | t << 16 | 23 << 5 | d);
        }
        let offset = self.offset(top) & 0x7_ffff;
        self.push(0x3500_0000 | offset << 5 | t); // cbnz w22
    }

    /// Stores a new instruction over one that is soon executed.
    fn patch(&mut self) {
        let d = self.r();
        self.constant(21, 0x9100_0000 | d << 5 | d); // add d, d, #0
        let counter = 24 + self.field(1);
        self.push(0x3316_1c15 | counter << 5); // bfi w21, counter, #10, #8
        let distance = self.rng.pick(&[2, 2, 3, 4, 7]);
        let kind = self.rng.below(7);
        let extra = usize::from(kind >= 5);
        let at = self.words.len();
        self.address(23, at + distance + extra);
        match kind {
            0 => self.push(0xb900_02f5), // str w21, [x23]
            1 => self.push(0xb800_02f5), // stur
            2 => self.push(0xb835_82f6), // swp w21, w22, [x23]
            3 => self.push(0x889f_fef5), // stlr
            4 => self.push(0x3900_02f5), // strb: the low byte stays as it is
            5 => {
                self.push(0x885f_7ef6); // ldxr w22, [x23]
                self.push(0x8816_7ef5); // stxr w22, w21, [x23]
            }
            _ => {
                self.push(0xb940_02f6); // ldr w22, [x23]
                self.push(0x88b6_7ef5); // cas w22, w21, [x23]
            }
        }
        for _ in 0..distance - 2 {
            let words = self.words.len();
            self.alu();
            self.words.truncate(words + 1);
        }
        self.push(0x9100_0000 | d << 5 | d);
    }

    // ---- single instructions

    fn op(&mut self) {
        match self.rng.below(20) {
            0..=9 => self.alu(),
            10..=13 => self.memory(),
            14 | 15 => self.vector(),
            16 => self.scalar_float(),
            17 => self.atomic(),
            _ => self.flags(),
        }
    }

    fn alu(&mut self) {
        let (sf, d, n, m, a) = (self.bit(), self.r(), self.s(), self.s(), self.s());
        let wide = sf << 31;
        let amount = self.field(5) + if sf == 1 { self.bit() << 5 } else { 0 };
        let word = match self.rng.below(17) {
            0 => {
                let n = if n == 31 { 30 } else { n };
                0x1100_0000
                    | wide
                    | self.bit() << 30
                    | self.bit() << 29
                    | self.bit() << 22
                    | self.field(12) << 10
                    | n << 5
                    | d
            }
            1 => {
                0x1200_0000 | wide | self.pick_opc() << 29 | sf << 22 | amount << 16 | (amount % 31) << 10 | n << 5 | d
            }
            2 | 3 => {
                0x0b00_0000
                    | wide
                    | self.bit() << 30
                    | self.bit() << 29
                    | (self.field(2) % 3) << 22
                    | m << 16
                    | amount << 10
                    | n << 5
                    | d
            }
            4 => {
                let n = if n == 31 { 28 } else { n };
                0x0b20_0000
                    | wide
                    | self.bit() << 30
                    | self.bit() << 29
                    | m << 16
                    | self.field(3) << 13
                    | (self.field(3) % 5) << 10
                    | n << 5
                    | d
            }
            5 => {
                0x0a00_0000
                    | wide
                    | self.field(2) << 29
                    | self.field(2) << 22
                    | self.bit() << 21
                    | m << 16
                    | amount << 10
                    | n << 5
                    | d
            }
            6 => {
                0x1280_0000
                    | wide
                    | self.rng.pick(&[0, 2, 3]) << 29
                    | (self.bit() & (sf | 1)) << 21
                    | self.field(16) << 5
                    | d
            }
            7 => 0x1b00_0000 | wide | m << 16 | self.bit() << 15 | a << 10 | n << 5 | d,
            8 => self.rng.pick(&[0x9b20_0000, 0x9ba0_0000]) | m << 16 | self.bit() << 15 | a << 10 | n << 5 | d,
            9 => self.rng.pick(&[0x9b40_7c00, 0x9bc0_7c00]) | m << 16 | n << 5 | d,
            10 => 0x1ac0_0000 | wide | m << 16 | self.rng.pick(&[2, 3, 8, 9, 10, 11]) << 10 | n << 5 | d,
            11 => 0x5ac0_0000 | wide | self.rng.pick(&[0, 1, 2, 4, 5]) << 10 | n << 5 | d,
            12 => {
                let (immr, imms) = (amount, self.field(5));
                0x1300_0000 | wide | (self.field(2) % 3) << 29 | sf << 22 | immr << 16 | imms << 10 | n << 5 | d
            }
            13 => 0x1380_0000 | wide | sf << 22 | m << 16 | amount << 10 | n << 5 | d,
            14 => 0x1a80_0000 | wide | self.bit() << 30 | m << 16 | self.field(4) << 12 | self.bit() << 10 | n << 5 | d,
            15 => self.rng.pick(&[0x1ac0_4000, 0x1ac0_5400, 0x1ac0_4800]) | m << 16 | n << 5 | d, // crc32
            _ => 0x1000_0000 | self.bit() << 31 | self.field(2) << 29 | self.field(4) << 5 | d,   // adr, adrp
        };
        self.push(word);
    }

    fn pick_opc(&mut self) -> u32 {
        self.field(2)
    }

    fn flags(&mut self) {
        let (sf, d, n, m) = (self.bit() << 31, self.r(), self.s(), self.s());
        let word = match self.rng.below(8) {
            0 => 0x6b00_001f | sf | m << 16 | n << 5, // cmp
            1 => 0x3a40_0000 | sf | self.bit() << 30 | m << 16 | self.cond() << 12 | n << 5 | self.field(4),
            2 => 0x3a40_0800 | sf | self.bit() << 30 | m << 16 | self.field(4) << 12 | n << 5 | self.field(4),
            3 | 4 => 0x1a00_0000 | sf | self.bit() << 30 | self.bit() << 29 | m << 16 | n << 5 | d, // adc, sbc
            5 => 0xd53b_4200 | d,                                                                   // mrs nzcv
            6 => 0xd51b_4200 | n,                                                                   // msr nzcv
            _ => 0x6a00_001f | sf | m << 16 | n << 5,                                               // tst
        };
        self.push(word);
    }

    fn base(&mut self) -> u32 {
        self.rng.pick(&[27, 28, 28, 31])
    }

    fn memory(&mut self) {
        let (t, t2, base) = (self.r(), self.r(), self.base());
        let t2 = if t2 == t { (t + 1) % 20 } else { t2 };
        let size = self.field(2);
        let wild = self.shape.wild && self.rng.chance(4);
        // Stores, zero-extending loads, and sign-extending ones where they exist.
        let opc = match size {
            3 => self.bit(),
            2 => self.field(2) % 3,
            _ => self.field(2),
        };
        let word = match self.rng.below(10) {
            _ if wild => 0xf940_0000 | t2 << 5 | t,
            0..=2 => 0x3900_0000 | size << 30 | opc << 22 | self.field(6) << 10 | base << 5 | t,
            3 => 0x3800_0000 | size << 30 | opc << 22 | self.field(9) << 12 | base << 5 | t,
            4 | 5 => {
                let mode = self.rng.pick(&[1, 3]);
                let imm = (self.field(5) as i32 - 16) as u32 & 0x1ff;
                0x3800_0000 | size << 30 | opc << 22 | imm << 12 | mode << 10 | 27 << 5 | t
            }
            6 => {
                self.push(0x9240_1c00 | t2 << 5 | 22); // and x22, t2, #0xff
                0x3820_0800
                    | size << 30
                    | opc << 22
                    | 22 << 16
                    | self.rng.pick(&[2, 3, 6, 7]) << 13
                    | self.bit() << 12
                    | base << 5
                    | t
            }
            7 => {
                let mode = self.rng.pick(&[1, 2, 3]);
                let base = if mode == 2 { base } else { 27 };
                let imm = (self.field(4) as i32 - 8) as u32 & 0x7f;
                self.rng.pick(&[0x2800_0000, 0xa800_0000, 0x6800_0000 | 1 << 22])
                    | mode << 23
                    | self.bit() << 22
                    | imm << 15
                    | t2 << 10
                    | base << 5
                    | t
            }
            8 => 0x5800_0000 | self.field(4) << 5 | t, // ldr literal
            _ => {
                let v = self.v();
                let (size, high) = self.rng.pick(&[(0, 0), (1, 0), (2, 0), (3, 0), (0, 2)]);
                match self.rng.below(3) {
                    0 => 0x3d00_0000 | size << 30 | (high | self.bit()) << 22 | self.field(5) << 10 | base << 5 | v,
                    1 => {
                        0x3c00_0400
                            | size << 30
                            | (high | self.bit()) << 22
                            | self.field(5) << 12
                            | self.bit() << 11
                            | 27 << 5
                            | v
                    }
                    _ => {
                        self.rng.pick(&[0x2d00_0000, 0x6d00_0000, 0xad00_0000])
                            | self.bit() << 22
                            | self.field(4) << 15
                            | ((v + 1) % 8) << 10
                            | base << 5
                            | v
                    }
                }
            }
        };
        self.push(word);
    }

    fn atomic(&mut self) {
        let (s, t, size) = (self.r(), self.r(), self.field(2));
        let offset = self.field(6) << 3;
        self.push(0x9100_0397 | offset << 10); // add x23, x28, #offset
        let order = self.field(2) << 22;
        let word = match self.rng.below(4) {
            0 => 0x3820_0000 | size << 30 | order | s << 16 | self.field(3) << 12 | 23 << 5 | t,
            1 => 0x3820_8000 | size << 30 | order | s << 16 | 23 << 5 | t,
            2 => 0x08a0_7c00 | size << 30 | s << 16 | 23 << 5 | t,
            _ => 0x089f_fc00 | size << 30 | self.bit() << 22 | 23 << 5 | t, // stlr, ldar
        };
        self.push(word);
    }

    fn scalar_float(&mut self) {
        let (d, n, m, a) = (self.v(), self.v(), self.v(), self.v());
        let double = self.bit() << 22;
        if self.rng.chance(4) {
            // Another rounding mode, flush to zero, default NaN; or the status cleared.
            let mode = self.rng.pick(&[0, 0, 1 << 6, 1 << 7, 3 << 6, 1 << 8, 1 << 9]);
            self.push(0xd2a0_0000 | mode << 5 | 21);
            let word = self.rng.pick(&[0xd51b_4400, 0xd51b_4400, 0xd51b_4420, 0xd53b_4420, 0xd53b_4400]);
            return self.push(word | 21);
        }
        let word = match self.rng.below(9) {
            0..=2 => 0x1e20_0800 | double | m << 16 | self.rng.pick(&[0, 1, 2, 3, 4, 5]) << 12 | n << 5 | d,
            3 => 0x1e20_2000 | double | m << 16 | n << 5, // fcmp
            4 => 0x1e20_0c00 | double | m << 16 | self.cond() << 12 | n << 5 | d, // fcsel
            5 => 0x1f00_0000 | double | m << 16 | self.bit() << 15 | a << 10 | n << 5 | d, // fmadd
            6 => self.rng.pick(&[0x9e66_0000, 0x1e26_0000, 0x9e78_0000, 0x1e39_0000]) | n << 5 | self.r(),
            7 => self.rng.pick(&[0x9e67_0000, 0x1e27_0000, 0x9e62_0000, 0x1e23_0000]) | self.s() << 5 | d,
            _ => 0x1e20_0400 | double | m << 16 | self.cond() << 12 | n << 5 | self.field(4), // fccmp
        };
        self.push(word);
    }

    fn vector(&mut self) {
        let (d, n, m) = (self.v(), self.v(), self.v());
        let (q, size) = (self.bit() << 30, self.field(2) % 3);
        let three = m << 16 | n << 5 | d;
        let word = match self.rng.below(10) {
            0 => 0x0e20_8400 | q | self.bit() << 29 | size << 22 | three, // add, sub
            1 => 0x0e20_9c00 | q | size << 22 | three,
            2 => self.rng.pick(&[0x0e20_3400, 0x2e20_8c00, 0x0e20_6400]) | q | size << 22 | three,
            3 => self.rng.pick(&[0x0e20_1c00, 0x0ea0_1c00, 0x2e20_1c00, 0x2e60_1c00]) | q | three,
            4 => 0x4e00_0c00 | self.rng.pick(&[1, 2, 4, 8]) << 16 | self.s() << 5 | d, // dup
            5 => 0x4e00_1c00 | self.rng.pick(&[3, 6, 12, 24]) << 16 | self.s() << 5 | d, // ins
            6 => self.rng.pick(&[0x0e05_3c00, 0x0e0a_3c00, 0x0e14_3c00, 0x4e18_3c00]) | n << 5 | self.r(), // umov
            7 => 0x0e20_d400 | 1 << 30 | self.bit() << 22 | three,                     // fadd
            8 => self.rng.pick(&[0x4e00_0000, 0x0e00_3800, 0x4e00_1800, 0x6e00_2000]) | three, // tbl, zip1, uzp1, ext
            _ => self.rng.pick(&[0x4e31_b800, 0x0e20_5800, 0x0f00_e400, 0x4f08_5400, 0x0e21_2800]) | n << 5 | d,
        };
        self.push(word);
    }
}
