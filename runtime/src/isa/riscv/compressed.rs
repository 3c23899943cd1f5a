//! Compressed instructions (C, with the loads and stores of F and D), each expanded to the full instruction that it stands
//! for.
//!
//! Encodings that are reserved are undefined, or stand for a full instruction that is; hints expand to instructions that
//! have no effect.

use super::table::{Meaning, Undefined};
use super::xlen::Xlen;
use crate::isa::encoding::{self, field, row_of, signed};

/// Gives the full instruction of a compressed one.
pub(super) type Expand = fn(u32) -> Result<u32, Undefined>;

type Expanded = Result<u32, Undefined>;

/// A row of compressed instructions.
pub(super) type Row = encoding::Row<Meaning<Expand>>;

const fn c(name: &'static str, pattern: &str, of: Expand) -> Row {
    row_of(16, name, pattern, Meaning { only: None, of })
}

/// A row for registers of 32 bits.
const fn c32(name: &'static str, pattern: &str, of: Expand) -> Row {
    row_of(16, name, pattern, Meaning { only: Some(Xlen::Rv32), of })
}

/// A row for registers of 64 bits.
const fn c64(name: &'static str, pattern: &str, of: Expand) -> Row {
    row_of(16, name, pattern, Meaning { only: Some(Xlen::Rv64), of })
}

/// The rows, in the manual's order.
pub(super) const ROWS: &[Row] = &[
    c("c.addi4spn", "000 iiiiiiii ddd 00", addi4spn),
    c("c.fld", "001 iii sss ii ddd 00", |w| Ok(load(LOAD_FP, 3, low(w, 2), low(w, 7), doubleword(w)))),
    c("c.lw", "010 iii sss ii ddd 00", |w| Ok(load(LOAD, 2, low(w, 2), low(w, 7), word(w)))),
    c32("c.flw", "011 iii sss ii ddd 00", |w| Ok(load(LOAD_FP, 2, low(w, 2), low(w, 7), word(w)))),
    c64("c.ld", "011 iii sss ii ddd 00", |w| Ok(load(LOAD, 3, low(w, 2), low(w, 7), doubleword(w)))),
    c("c.fsd", "101 iii sss ii ttt 00", |w| Ok(store(STORE_FP, 3, low(w, 2), low(w, 7), doubleword(w)))),
    c("c.sw", "110 iii sss ii ttt 00", |w| Ok(store(STORE, 2, low(w, 2), low(w, 7), word(w)))),
    c32("c.fsw", "111 iii sss ii ttt 00", |w| Ok(store(STORE_FP, 2, low(w, 2), low(w, 7), word(w)))),
    c64("c.sd", "111 iii sss ii ttt 00", |w| Ok(store(STORE, 3, low(w, 2), low(w, 7), doubleword(w)))),
    c("c.addi", "000 i ddddd iiiii 01", |w| Ok(immediate(OP_IMM, 0, rd(w), rd(w), imm6(w)))),
    c32("c.jal", "001 iiiiiiiiiii 01", |w| jump(w).map(|jump| jump | RA << 7)),
    c64("c.addiw", "001 i ddddd iiiii 01", |w| Ok(immediate(OP_IMM_32, 0, some(rd(w))?, rd(w), imm6(w)))),
    c("c.li", "010 i ddddd iiiii 01", |w| Ok(immediate(OP_IMM, 0, rd(w), 0, imm6(w)))),
    c("c.lui", "011 i ddddd iiiii 01", lui),
    c("c.srli", "100 i 00 ddd iiiii 01", |w| Ok(immediate(OP_IMM, 5, low(w, 7), low(w, 7), shift(w)))),
    c("c.srai", "100 i 01 ddd iiiii 01", |w| Ok(immediate(OP_IMM, 5, low(w, 7), low(w, 7), shift(w) | 0x400))),
    c("c.andi", "100 i 10 ddd iiiii 01", |w| Ok(immediate(OP_IMM, 7, low(w, 7), low(w, 7), imm6(w)))),
    c("c.sub", "100 0 11 ddd 00 sss 01", |w| Ok(register(OP, 0x20, 0, low(w, 7), low(w, 7), low(w, 2)))),
    c("c.xor", "100 0 11 ddd 01 sss 01", |w| Ok(register(OP, 0, 4, low(w, 7), low(w, 7), low(w, 2)))),
    c("c.or", "100 0 11 ddd 10 sss 01", |w| Ok(register(OP, 0, 6, low(w, 7), low(w, 7), low(w, 2)))),
    c("c.and", "100 0 11 ddd 11 sss 01", |w| Ok(register(OP, 0, 7, low(w, 7), low(w, 7), low(w, 2)))),
    c64("c.subw", "100 1 11 ddd 00 sss 01", |w| Ok(register(OP_32, 0x20, 0, low(w, 7), low(w, 7), low(w, 2)))),
    c64("c.addw", "100 1 11 ddd 01 sss 01", |w| Ok(register(OP_32, 0, 0, low(w, 7), low(w, 7), low(w, 2)))),
    c("c.j", "101 iiiiiiiiiii 01", jump),
    c("c.beqz", "110 iii sss iiiii 01", |w| Ok(branch(0, low(w, 7), branch_offset(w)))),
    c("c.bnez", "111 iii sss iiiii 01", |w| Ok(branch(1, low(w, 7), branch_offset(w)))),
    c("c.slli", "000 i ddddd iiiii 10", |w| Ok(immediate(OP_IMM, 1, rd(w), rd(w), shift(w)))),
    c("c.fldsp", "001 i ddddd iiiii 10", |w| Ok(load(LOAD_FP, 3, rd(w), SP, doubleword_from_sp(w)))),
    c("c.lwsp", "010 i ddddd iiiii 10", |w| Ok(load(LOAD, 2, some(rd(w))?, SP, word_from_sp(w)))),
    c32("c.flwsp", "011 i ddddd iiiii 10", |w| Ok(load(LOAD_FP, 2, rd(w), SP, word_from_sp(w)))),
    c64("c.ldsp", "011 i ddddd iiiii 10", |w| Ok(load(LOAD, 3, some(rd(w))?, SP, doubleword_from_sp(w)))),
    c("c.mv", "100 0 ddddd sssss 10", move_or_jump),
    c("c.add", "100 1 ddddd sssss 10", add_or_call),
    c("c.fsdsp", "101 iiiiii ttttt 10", |w| Ok(store(STORE_FP, 3, rs2(w), SP, doubleword_to_sp(w)))),
    c("c.swsp", "110 iiiiii ttttt 10", |w| Ok(store(STORE, 2, rs2(w), SP, word_to_sp(w)))),
    c32("c.fswsp", "111 iiiiii ttttt 10", |w| Ok(store(STORE_FP, 2, rs2(w), SP, word_to_sp(w)))),
    c64("c.sdsp", "111 iiiiii ttttt 10", |w| Ok(store(STORE, 3, rs2(w), SP, doubleword_to_sp(w)))),
];

const LOAD: u32 = 0x03;
const LOAD_FP: u32 = 0x07;
const OP_IMM: u32 = 0x13;
const OP_IMM_32: u32 = 0x1b;
const STORE: u32 = 0x23;
const STORE_FP: u32 = 0x27;
const OP: u32 = 0x33;
const LUI: u32 = 0x37;
const OP_32: u32 = 0x3b;
const BRANCH: u32 = 0x63;
const JALR: u32 = 0x67;
const JAL: u32 = 0x6f;
const EBREAK: u32 = 0x0010_0073;

const RA: u32 = 1;
const SP: u32 = 2;

// ---- fields of compressed instructions

const fn rd(w: u32) -> u32 {
    field(w, 7, 5)
}

const fn rs2(w: u32) -> u32 {
    field(w, 2, 5)
}

/// The register x8 to x15 whose number begins at bit `lsb`.
const fn low(w: u32, lsb: u32) -> u32 {
    8 + field(w, lsb, 3)
}

/// Register 0 in this place is reserved.
fn some(register: u32) -> Expanded {
    if register == 0 { Err(Undefined) } else { Ok(register) }
}

/// The signed immediate in bits 12 and 6 to 2.
const fn imm6(w: u32) -> u32 {
    (signed(w, 12, 1) << 5) as u32 | field(w, 2, 5)
}

const fn shift(w: u32) -> u32 {
    field(w, 12, 1) << 5 | field(w, 2, 5)
}

const fn word(w: u32) -> u32 {
    field(w, 10, 3) << 3 | field(w, 6, 1) << 2 | field(w, 5, 1) << 6
}

const fn doubleword(w: u32) -> u32 {
    field(w, 10, 3) << 3 | field(w, 5, 2) << 6
}

const fn word_from_sp(w: u32) -> u32 {
    field(w, 12, 1) << 5 | field(w, 4, 3) << 2 | field(w, 2, 2) << 6
}

const fn doubleword_from_sp(w: u32) -> u32 {
    field(w, 12, 1) << 5 | field(w, 5, 2) << 3 | field(w, 2, 3) << 6
}

const fn word_to_sp(w: u32) -> u32 {
    field(w, 9, 4) << 2 | field(w, 7, 2) << 6
}

const fn doubleword_to_sp(w: u32) -> u32 {
    field(w, 10, 3) << 3 | field(w, 7, 3) << 6
}

const fn branch_offset(w: u32) -> u32 {
    (signed(w, 12, 1) << 8) as u32
        | field(w, 10, 2) << 3
        | field(w, 5, 2) << 6
        | field(w, 3, 2) << 1
        | field(w, 2, 1) << 5
}

// ---- full instructions

const fn immediate(opcode: u32, funct3: u32, rd: u32, rs1: u32, imm: u32) -> u32 {
    imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

const fn load(opcode: u32, size: u32, rd: u32, base: u32, offset: u32) -> u32 {
    immediate(opcode, size, rd, base, offset)
}

const fn store(opcode: u32, size: u32, source: u32, base: u32, offset: u32) -> u32 {
    field(offset, 5, 7) << 25 | source << 20 | base << 15 | size << 12 | field(offset, 0, 5) << 7 | opcode
}

const fn register(opcode: u32, funct7: u32, funct3: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

const fn branch(funct3: u32, rs1: u32, offset: u32) -> u32 {
    let (high, low) = (field(offset, 5, 6), field(offset, 1, 4));
    field(offset, 12, 1) << 31 | high << 25 | rs1 << 15 | funct3 << 12 | low << 8 | field(offset, 11, 1) << 7 | BRANCH
}

// ---- those that are more than one

fn addi4spn(w: u32) -> Expanded {
    let imm = field(w, 11, 2) << 4 | field(w, 7, 4) << 6 | field(w, 6, 1) << 2 | field(w, 5, 1) << 3;
    Ok(immediate(OP_IMM, 0, low(w, 2), SP, some(imm)?))
}

/// `c.lui`, or `c.addi16sp` where that would write sp.
fn lui(w: u32) -> Expanded {
    if shift(w) == 0 {
        return Err(Undefined);
    }
    if rd(w) != SP {
        return Ok(imm6(w) << 12 | rd(w) << 7 | LUI);
    }
    let low = field(w, 6, 1) << 4 | field(w, 5, 1) << 6 | field(w, 3, 2) << 7 | field(w, 2, 1) << 5;
    Ok(immediate(OP_IMM, 0, SP, SP, (signed(w, 12, 1) << 9) as u32 | low))
}

fn jump(w: u32) -> Expanded {
    let offset = (signed(w, 12, 1) << 11) as u32
        | field(w, 11, 1) << 4
        | field(w, 9, 2) << 8
        | field(w, 8, 1) << 10
        | field(w, 7, 1) << 6
        | field(w, 6, 1) << 7
        | field(w, 3, 3) << 1
        | field(w, 2, 1) << 5;
    let (sign, middle) = (field(offset, 20, 1) << 31, field(offset, 12, 8) << 12);
    Ok(sign | field(offset, 1, 10) << 21 | field(offset, 11, 1) << 20 | middle | JAL)
}

fn move_or_jump(w: u32) -> Expanded {
    match rs2(w) {
        0 => Ok(immediate(JALR, 0, 0, some(rd(w))?, 0)),
        source => Ok(register(OP, 0, 0, rd(w), 0, source)),
    }
}

fn add_or_call(w: u32) -> Expanded {
    match (rd(w), rs2(w)) {
        (0, 0) => Ok(EBREAK),
        (target, 0) => Ok(immediate(JALR, 0, RA, target, 0)),
        (d, source) => Ok(register(OP, 0, 0, d, d, source)),
    }
}
