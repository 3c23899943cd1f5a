//! Advanced SIMD: data processing on vectors, their scalar forms, and the cryptographic instructions.
//!
//! Floating-point instructions have the same operation field for half, single and double, vector and scalar forms;
//! [`float_same`] and [`float_misc`] are the tables of these. Structure loads and stores are in [`super::structure`].

use super::float::expand_imm;
use super::{bit, field, reg_or_zero};
use crate::block::Lift;
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{Lanes, UnOp, Uop, V};
use crate::vector::{V1Op, V2Op, V3Op, VxOp, XvOp, rounding};

type Lifted = Result<(), Undefined>;

// Sets of element sizes.
const B: u32 = 1;
const H: u32 = 2;
const S: u32 = 4;
const D: u32 = 8;
const ALL: u32 = B | H | S | D;

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    // ---- three registers of the same kind
    row("shadd", "0q0 01110 zz1 mmmmm 00000 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::HAddS)),
    row("uhadd", "0q1 01110 zz1 mmmmm 00000 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::HAddU)),
    row("sqadd_vec", "0q0 01110 zz1 mmmmm 00001 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QAddS)),
    row("uqadd_vec", "0q1 01110 zz1 mmmmm 00001 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QAddU)),
    row("sqadd_scalar", "010 11110 zz1 mmmmm 00001 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QAddS)),
    row("uqadd_scalar", "011 11110 zz1 mmmmm 00001 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QAddU)),
    row("srhadd", "0q0 01110 zz1 mmmmm 00010 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::RHAddS)),
    row("urhadd", "0q1 01110 zz1 mmmmm 00010 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::RHAddU)),
    row("and", "0q0 01110 001 mmmmm 00011 1 nnnnn ddddd", |w, l| two(w, l, bytes(w), V2Op::And)),
    row("bic_reg", "0q0 01110 011 mmmmm 00011 1 nnnnn ddddd", |w, l| two(w, l, bytes(w), V2Op::AndNot)),
    row("orr_reg", "0q0 01110 101 mmmmm 00011 1 nnnnn ddddd", orr_reg),
    row("orn", "0q0 01110 111 mmmmm 00011 1 nnnnn ddddd", |w, l| two(w, l, bytes(w), V2Op::OrNot)),
    row("eor", "0q1 01110 001 mmmmm 00011 1 nnnnn ddddd", |w, l| two(w, l, bytes(w), V2Op::Xor)),
    row("bsl", "0q1 01110 011 mmmmm 00011 1 nnnnn ddddd", |w, l| select(w, l, vd(w), vn(w), vm(w))),
    row("bit", "0q1 01110 101 mmmmm 00011 1 nnnnn ddddd", |w, l| select(w, l, vm(w), vn(w), vd(w))),
    row("bif", "0q1 01110 111 mmmmm 00011 1 nnnnn ddddd", |w, l| select(w, l, vm(w), vd(w), vn(w))),
    row("shsub", "0q0 01110 zz1 mmmmm 00100 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::HSubS)),
    row("uhsub", "0q1 01110 zz1 mmmmm 00100 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::HSubU)),
    row("sqsub_vec", "0q0 01110 zz1 mmmmm 00101 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QSubS)),
    row("uqsub_vec", "0q1 01110 zz1 mmmmm 00101 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QSubU)),
    row("sqsub_scalar", "010 11110 zz1 mmmmm 00101 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QSubS)),
    row("uqsub_scalar", "011 11110 zz1 mmmmm 00101 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QSubU)),
    row("cmgt_vec", "0q0 01110 zz1 mmmmm 00110 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::CmpGtS)),
    row("cmhi_vec", "0q1 01110 zz1 mmmmm 00110 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::CmpGtU)),
    row("cmgt_scalar", "010 11110 zz1 mmmmm 00110 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::CmpGtS)),
    row("cmhi_scalar", "011 11110 zz1 mmmmm 00110 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::CmpGtU)),
    row("cmge_vec", "0q0 01110 zz1 mmmmm 00111 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::CmpGeS)),
    row("cmhs_vec", "0q1 01110 zz1 mmmmm 00111 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::CmpGeU)),
    row("cmge_scalar", "010 11110 zz1 mmmmm 00111 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::CmpGeS)),
    row("cmhs_scalar", "011 11110 zz1 mmmmm 00111 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::CmpGeU)),
    row("sshl_vec", "0q0 01110 zz1 mmmmm 01000 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::ShlVS)),
    row("ushl_vec", "0q1 01110 zz1 mmmmm 01000 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::ShlVU)),
    row("sshl_scalar", "010 11110 zz1 mmmmm 01000 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::ShlVS)),
    row("ushl_scalar", "011 11110 zz1 mmmmm 01000 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::ShlVU)),
    row("sqshl_vec", "0q0 01110 zz1 mmmmm 01001 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QShlVS)),
    row("uqshl_vec", "0q1 01110 zz1 mmmmm 01001 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QShlVU)),
    row("sqshl_scalar", "010 11110 zz1 mmmmm 01001 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QShlVS)),
    row("uqshl_scalar", "011 11110 zz1 mmmmm 01001 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QShlVU)),
    row("srshl_vec", "0q0 01110 zz1 mmmmm 01010 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::RShlVS)),
    row("urshl_vec", "0q1 01110 zz1 mmmmm 01010 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::RShlVU)),
    row("srshl_scalar", "010 11110 zz1 mmmmm 01010 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::RShlVS)),
    row("urshl_scalar", "011 11110 zz1 mmmmm 01010 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::RShlVU)),
    row("sqrshl_vec", "0q0 01110 zz1 mmmmm 01011 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QRShlVS)),
    row("uqrshl_vec", "0q1 01110 zz1 mmmmm 01011 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::QRShlVU)),
    row("sqrshl_scalar", "010 11110 zz1 mmmmm 01011 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QRShlVS)),
    row("uqrshl_scalar", "011 11110 zz1 mmmmm 01011 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, ALL)?, V2Op::QRShlVU)),
    row("smax", "0q0 01110 zz1 mmmmm 01100 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MaxS)),
    row("umax", "0q1 01110 zz1 mmmmm 01100 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MaxU)),
    row("smin", "0q0 01110 zz1 mmmmm 01101 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MinS)),
    row("umin", "0q1 01110 zz1 mmmmm 01101 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MinU)),
    row("sabd", "0q0 01110 zz1 mmmmm 01110 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::DiffS)),
    row("uabd", "0q1 01110 zz1 mmmmm 01110 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::DiffU)),
    row("saba", "0q0 01110 zz1 mmmmm 01111 1 nnnnn ddddd", |w, l| {
        accumulate(w, l, vector(w, B | H | S)?, V2Op::DiffS, V2Op::Add)
    }),
    row("uaba", "0q1 01110 zz1 mmmmm 01111 1 nnnnn ddddd", |w, l| {
        accumulate(w, l, vector(w, B | H | S)?, V2Op::DiffU, V2Op::Add)
    }),
    row("add_vec", "0q0 01110 zz1 mmmmm 10000 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Add)),
    row("sub_vec", "0q1 01110 zz1 mmmmm 10000 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Sub)),
    row("add_scalar", "010 11110 zz1 mmmmm 10000 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::Add)),
    row("sub_scalar", "011 11110 zz1 mmmmm 10000 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::Sub)),
    row("cmtst_vec", "0q0 01110 zz1 mmmmm 10001 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::CmpTst)),
    row("cmeq_vec", "0q1 01110 zz1 mmmmm 10001 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::CmpEq)),
    row("cmtst_scalar", "010 11110 zz1 mmmmm 10001 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::CmpTst)),
    row("cmeq_scalar", "011 11110 zz1 mmmmm 10001 1 nnnnn ddddd", |w, l| two(w, l, scalar(w, D)?, V2Op::CmpEq)),
    row("mla_vec", "0q0 01110 zz1 mmmmm 10010 1 nnnnn ddddd", |w, l| {
        accumulate(w, l, vector(w, B | H | S)?, V2Op::Mul, V2Op::Add)
    }),
    row("mls_vec", "0q1 01110 zz1 mmmmm 10010 1 nnnnn ddddd", |w, l| {
        accumulate(w, l, vector(w, B | H | S)?, V2Op::Mul, V2Op::Sub)
    }),
    row("mul_vec", "0q0 01110 zz1 mmmmm 10011 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::Mul)),
    row("pmul", "0q1 01110 zz1 mmmmm 10011 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B)?, V2Op::MulP)),
    row("smaxp", "0q0 01110 zz1 mmmmm 10100 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MaxPS)),
    row("umaxp", "0q1 01110 zz1 mmmmm 10100 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MaxPU)),
    row("sminp", "0q0 01110 zz1 mmmmm 10101 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MinPS)),
    row("uminp", "0q1 01110 zz1 mmmmm 10101 1 nnnnn ddddd", |w, l| two(w, l, vector(w, B | H | S)?, V2Op::MinPU)),
    row("sqdmulh_vec", "0q0 01110 zz1 mmmmm 10110 1 nnnnn ddddd", |w, l| two(w, l, vector(w, H | S)?, V2Op::QDMulHi)),
    row("sqrdmulh_vec", "0q1 01110 zz1 mmmmm 10110 1 nnnnn ddddd", |w, l| two(w, l, vector(w, H | S)?, V2Op::QRDMulHi)),
    row("sqdmulh_scalar", "010 11110 zz1 mmmmm 10110 1 nnnnn ddddd", |w, l| {
        two(w, l, scalar(w, H | S)?, V2Op::QDMulHi)
    }),
    row("sqrdmulh_scalar", "011 11110 zz1 mmmmm 10110 1 nnnnn ddddd", |w, l| {
        two(w, l, scalar(w, H | S)?, V2Op::QRDMulHi)
    }),
    row("addp_vec", "0q0 01110 zz1 mmmmm 10111 1 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::AddP)),
    row("float_same_vec", "0qu 01110 az1 mmmmm 11ooo 1 nnnnn ddddd", |w, l| float_three(w, l, float_vector(w)?, false)),
    row("float_same_scalar", "01u 11110 az1 mmmmm 11ooo 1 nnnnn ddddd", |w, l| {
        float_three(w, l, float_scalar(w), true)
    }),
    row("half_same_vec", "0qu 01110 a10 mmmmm 00ooo 1 nnnnn ddddd", |w, l| float_three(w, l, half_vector(w), false)),
    row("half_same_scalar", "01u 11110 a10 mmmmm 00ooo 1 nnnnn ddddd", |w, l| float_three(w, l, Lanes::H, true)),
    // ---- three registers, later extensions
    row("sqrdmlah_vec", "0q1 01110 zz0 mmmmm 10000 1 nnnnn ddddd", |w, l| {
        three(w, l, vector(w, H | S)?, V3Op::QRDMulAdd)
    }),
    row("sqrdmlsh_vec", "0q1 01110 zz0 mmmmm 10001 1 nnnnn ddddd", |w, l| {
        three(w, l, vector(w, H | S)?, V3Op::QRDMulSub)
    }),
    row("sqrdmlah_scalar", "011 11110 zz0 mmmmm 10000 1 nnnnn ddddd", |w, l| {
        three(w, l, scalar(w, H | S)?, V3Op::QRDMulAdd)
    }),
    row("sqrdmlsh_scalar", "011 11110 zz0 mmmmm 10001 1 nnnnn ddddd", |w, l| {
        three(w, l, scalar(w, H | S)?, V3Op::QRDMulSub)
    }),
    row("sdot_vec", "0q0 01110 zz0 mmmmm 10010 1 nnnnn ddddd", |w, l| three(w, l, vector(w, S)?, V3Op::DotS)),
    row("udot_vec", "0q1 01110 zz0 mmmmm 10010 1 nnnnn ddddd", |w, l| three(w, l, vector(w, S)?, V3Op::DotU)),
    // ---- three registers of different kinds
    row("saddl", "0q0 01110 zz1 mmmmm 0000 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::AddLongS)),
    row("uaddl", "0q1 01110 zz1 mmmmm 0000 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::AddLongU)),
    row("saddw", "0q0 01110 zz1 mmmmm 0001 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::AddWideS)),
    row("uaddw", "0q1 01110 zz1 mmmmm 0001 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::AddWideU)),
    row("ssubl", "0q0 01110 zz1 mmmmm 0010 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::SubLongS)),
    row("usubl", "0q1 01110 zz1 mmmmm 0010 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::SubLongU)),
    row("ssubw", "0q0 01110 zz1 mmmmm 0011 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::SubWideS)),
    row("usubw", "0q1 01110 zz1 mmmmm 0011 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::SubWideU)),
    row("addhn", "0q0 01110 zz1 mmmmm 0100 00 nnnnn ddddd", |w, l| two_narrow(w, l, V2Op::AddNarrow)),
    row("raddhn", "0q1 01110 zz1 mmmmm 0100 00 nnnnn ddddd", |w, l| two_narrow(w, l, V2Op::RAddNarrow)),
    row("sabal", "0q0 01110 zz1 mmmmm 0101 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, narrow_source(w)?, V2Op::DiffLongS, V2Op::Add)
    }),
    row("uabal", "0q1 01110 zz1 mmmmm 0101 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, narrow_source(w)?, V2Op::DiffLongU, V2Op::Add)
    }),
    row("subhn", "0q0 01110 zz1 mmmmm 0110 00 nnnnn ddddd", |w, l| two_narrow(w, l, V2Op::SubNarrow)),
    row("rsubhn", "0q1 01110 zz1 mmmmm 0110 00 nnnnn ddddd", |w, l| two_narrow(w, l, V2Op::RSubNarrow)),
    row("sabdl", "0q0 01110 zz1 mmmmm 0111 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::DiffLongS)),
    row("uabdl", "0q1 01110 zz1 mmmmm 0111 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::DiffLongU)),
    row("smlal", "0q0 01110 zz1 mmmmm 1000 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, narrow_source(w)?, V2Op::MulLongS, V2Op::Add)
    }),
    row("umlal", "0q1 01110 zz1 mmmmm 1000 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, narrow_source(w)?, V2Op::MulLongU, V2Op::Add)
    }),
    row("sqdmlal_vec", "0q0 01110 zz1 mmmmm 1001 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, vector(w, H | S)?, V2Op::QDMulLong, V2Op::QAddS)
    }),
    row("sqdmlal_scalar", "010 11110 zz1 mmmmm 1001 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, scalar(w, H | S)?, V2Op::QDMulLong, V2Op::QAddS)
    }),
    row("smlsl", "0q0 01110 zz1 mmmmm 1010 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, narrow_source(w)?, V2Op::MulLongS, V2Op::Sub)
    }),
    row("umlsl", "0q1 01110 zz1 mmmmm 1010 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, narrow_source(w)?, V2Op::MulLongU, V2Op::Sub)
    }),
    row("sqdmlsl_vec", "0q0 01110 zz1 mmmmm 1011 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, vector(w, H | S)?, V2Op::QDMulLong, V2Op::QSubS)
    }),
    row("sqdmlsl_scalar", "010 11110 zz1 mmmmm 1011 00 nnnnn ddddd", |w, l| {
        accumulate_long(w, l, scalar(w, H | S)?, V2Op::QDMulLong, V2Op::QSubS)
    }),
    row("smull", "0q0 01110 zz1 mmmmm 1100 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::MulLongS)),
    row("umull", "0q1 01110 zz1 mmmmm 1100 00 nnnnn ddddd", |w, l| two(w, l, narrow_source(w)?, V2Op::MulLongU)),
    row("sqdmull_vec", "0q0 01110 zz1 mmmmm 1101 00 nnnnn ddddd", |w, l| two(w, l, vector(w, H | S)?, V2Op::QDMulLong)),
    row("sqdmull_scalar", "010 11110 zz1 mmmmm 1101 00 nnnnn ddddd", |w, l| {
        two(w, l, scalar(w, H | S)?, V2Op::QDMulLong)
    }),
    row("pmull", "0q0 01110 zz1 mmmmm 1110 00 nnnnn ddddd", pmull),
    // ---- two registers
    row("rev64", "0q0 01110 zz 10000 00000 10 nnnnn ddddd", |w, l| one(w, l, vector(w, B | H | S)?, V1Op::Rev64)),
    row("rev32", "0q1 01110 zz 10000 00000 10 nnnnn ddddd", |w, l| one(w, l, vector(w, B | H)?, V1Op::Rev32)),
    row("rev16", "0q0 01110 zz 10000 00001 10 nnnnn ddddd", |w, l| one(w, l, vector(w, B)?, V1Op::Rev16)),
    row("saddlp", "0q0 01110 zz 10000 00010 10 nnnnn ddddd", |w, l| one(w, l, narrow_source(w)?, V1Op::PairSumS)),
    row("uaddlp", "0q1 01110 zz 10000 00010 10 nnnnn ddddd", |w, l| one(w, l, narrow_source(w)?, V1Op::PairSumU)),
    row("suqadd_vec", "0q0 01110 zz 10000 00011 10 nnnnn ddddd", |w, l| onto(w, l, vector(w, ALL)?, V2Op::QAddSU)),
    row("usqadd_vec", "0q1 01110 zz 10000 00011 10 nnnnn ddddd", |w, l| onto(w, l, vector(w, ALL)?, V2Op::QAddUS)),
    row("suqadd_scalar", "010 11110 zz 10000 00011 10 nnnnn ddddd", |w, l| onto(w, l, scalar(w, ALL)?, V2Op::QAddSU)),
    row("usqadd_scalar", "011 11110 zz 10000 00011 10 nnnnn ddddd", |w, l| onto(w, l, scalar(w, ALL)?, V2Op::QAddUS)),
    row("cls", "0q0 01110 zz 10000 00100 10 nnnnn ddddd", |w, l| one(w, l, vector(w, B | H | S)?, V1Op::Cls)),
    row("clz", "0q1 01110 zz 10000 00100 10 nnnnn ddddd", |w, l| one(w, l, vector(w, B | H | S)?, V1Op::Clz)),
    row("cnt", "0q0 01110 zz 10000 00101 10 nnnnn ddddd", |w, l| one(w, l, vector(w, B)?, V1Op::Cnt)),
    row("not", "0q1 01110 00 10000 00101 10 nnnnn ddddd", |w, l| one(w, l, bytes(w), V1Op::Not)),
    row("rbit", "0q1 01110 01 10000 00101 10 nnnnn ddddd", |w, l| one(w, l, bytes(w), V1Op::Rbit)),
    row("sadalp", "0q0 01110 zz 10000 00110 10 nnnnn ddddd", |w, l| pair_accumulate(w, l, V1Op::PairSumS)),
    row("uadalp", "0q1 01110 zz 10000 00110 10 nnnnn ddddd", |w, l| pair_accumulate(w, l, V1Op::PairSumU)),
    row("sqabs_vec", "0q0 01110 zz 10000 00111 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::QAbs)),
    row("sqneg_vec", "0q1 01110 zz 10000 00111 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::QNeg)),
    row("sqabs_scalar", "010 11110 zz 10000 00111 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, ALL)?, V1Op::QAbs)),
    row("sqneg_scalar", "011 11110 zz 10000 00111 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, ALL)?, V1Op::QNeg)),
    row("cmgt_zero_vec", "0q0 01110 zz 10000 01000 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::CmpGt0)),
    row("cmge_zero_vec", "0q1 01110 zz 10000 01000 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::CmpGe0)),
    row("cmgt_zero_scalar", "010 11110 zz 10000 01000 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, D)?, V1Op::CmpGt0)),
    row("cmge_zero_scalar", "011 11110 zz 10000 01000 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, D)?, V1Op::CmpGe0)),
    row("cmeq_zero_vec", "0q0 01110 zz 10000 01001 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::CmpEq0)),
    row("cmle_zero_vec", "0q1 01110 zz 10000 01001 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::CmpLe0)),
    row("cmeq_zero_scalar", "010 11110 zz 10000 01001 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, D)?, V1Op::CmpEq0)),
    row("cmle_zero_scalar", "011 11110 zz 10000 01001 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, D)?, V1Op::CmpLe0)),
    row("cmlt_zero_vec", "0q0 01110 zz 10000 01010 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::CmpLt0)),
    row("cmlt_zero_scalar", "010 11110 zz 10000 01010 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, D)?, V1Op::CmpLt0)),
    row("abs_vec", "0q0 01110 zz 10000 01011 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::Abs)),
    row("neg_vec", "0q1 01110 zz 10000 01011 10 nnnnn ddddd", |w, l| one(w, l, vector(w, ALL)?, V1Op::Neg)),
    row("abs_scalar", "010 11110 zz 10000 01011 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, D)?, V1Op::Abs)),
    row("neg_scalar", "011 11110 zz 10000 01011 10 nnnnn ddddd", |w, l| one(w, l, scalar(w, D)?, V1Op::Neg)),
    row("xtn", "0q0 01110 zz 10000 10010 10 nnnnn ddddd", |w, l| narrow_vec(w, l, V1Op::Narrow)),
    row("sqxtun_vec", "0q1 01110 zz 10000 10010 10 nnnnn ddddd", |w, l| narrow_vec(w, l, V1Op::QNarrowSU)),
    row("sqxtun_scalar", "011 11110 zz 10000 10010 10 nnnnn ddddd", |w, l| narrow_scalar(w, l, V1Op::QNarrowSU)),
    row("shll", "0q1 01110 zz 10000 10011 10 nnnnn ddddd", shll),
    row("sqxtn_vec", "0q0 01110 zz 10000 10100 10 nnnnn ddddd", |w, l| narrow_vec(w, l, V1Op::QNarrowS)),
    row("uqxtn_vec", "0q1 01110 zz 10000 10100 10 nnnnn ddddd", |w, l| narrow_vec(w, l, V1Op::QNarrowU)),
    row("sqxtn_scalar", "010 11110 zz 10000 10100 10 nnnnn ddddd", |w, l| narrow_scalar(w, l, V1Op::QNarrowS)),
    row("uqxtn_scalar", "011 11110 zz 10000 10100 10 nnnnn ddddd", |w, l| narrow_scalar(w, l, V1Op::QNarrowU)),
    row("fcvtn", "0q0 01110 0z 10000 10110 10 nnnnn ddddd", |w, l| {
        narrow(w, l, float_wide(w), V1Op::FNarrow, 0, bit(w, 30))
    }),
    row("fcvtxn_vec", "0q1 01110 01 10000 10110 10 nnnnn ddddd", |w, l| {
        narrow(w, l, Lanes::D2, V1Op::FNarrowOdd, 0, bit(w, 30))
    }),
    row("fcvtxn_scalar", "011 11110 01 10000 10110 10 nnnnn ddddd", |w, l| one(w, l, Lanes::D, V1Op::FNarrowOdd)),
    row("fcvtl", "0q0 01110 0z 10000 10111 10 nnnnn ddddd", |w, l| {
        one(w, l, lanes(1 + field(w, 22, 1), bit(w, 30)), V1Op::FWiden)
    }),
    row("float_compare_vec", "0qu 01110 1z 10000 011oo 10 nnnnn ddddd", |w, l| {
        float_two(w, l, float_vector(w)?, false)
    }),
    row("float_compare_scalar", "01u 11110 1z 10000 011oo 10 nnnnn ddddd", |w, l| {
        float_two(w, l, float_scalar(w), true)
    }),
    row("float_convert_vec", "0qu 01110 az 10000 11ooo 10 nnnnn ddddd", |w, l| match field(w, 12, 5) {
        0b11100 if bit(w, 23) => estimate(w, l),
        _ => float_two(w, l, float_vector(w)?, false),
    }),
    row("float_convert_scalar", "01u 11110 az 10000 11ooo 10 nnnnn ddddd", |w, l| {
        float_two(w, l, float_scalar(w), true)
    }),
    row("half_misc_vec", "0qu 01110 a1 11100 ooooo 10 nnnnn ddddd", |w, l| float_two(w, l, half_vector(w), false)),
    row("half_misc_scalar", "01u 11110 a1 11100 ooooo 10 nnnnn ddddd", |w, l| float_two(w, l, Lanes::H, true)),
    // ---- across a register
    row("saddlv", "0q0 01110 zz 11000 00011 10 nnnnn ddddd", |w, l| one(w, l, across(w)?, V1Op::SumLongS)),
    row("uaddlv", "0q1 01110 zz 11000 00011 10 nnnnn ddddd", |w, l| one(w, l, across(w)?, V1Op::SumLongU)),
    row("smaxv", "0q0 01110 zz 11000 01010 10 nnnnn ddddd", |w, l| one(w, l, across(w)?, V1Op::MaxAcrossS)),
    row("umaxv", "0q1 01110 zz 11000 01010 10 nnnnn ddddd", |w, l| one(w, l, across(w)?, V1Op::MaxAcrossU)),
    row("sminv", "0q0 01110 zz 11000 11010 10 nnnnn ddddd", |w, l| one(w, l, across(w)?, V1Op::MinAcrossS)),
    row("uminv", "0q1 01110 zz 11000 11010 10 nnnnn ddddd", |w, l| one(w, l, across(w)?, V1Op::MinAcrossU)),
    row("addv", "0q0 01110 zz 11000 11011 10 nnnnn ddddd", |w, l| one(w, l, across(w)?, V1Op::Sum)),
    row("fmaxnmv", "011 01110 00 11000 01100 10 nnnnn ddddd", |w, l| one(w, l, Lanes::S4, V1Op::FMaxNumAcross)),
    row("fminnmv", "011 01110 10 11000 01100 10 nnnnn ddddd", |w, l| one(w, l, Lanes::S4, V1Op::FMinNumAcross)),
    row("fmaxv", "011 01110 00 11000 01111 10 nnnnn ddddd", |w, l| one(w, l, Lanes::S4, V1Op::FMaxAcross)),
    row("fminv", "011 01110 10 11000 01111 10 nnnnn ddddd", |w, l| one(w, l, Lanes::S4, V1Op::FMinAcross)),
    row("fmaxnmv_half", "0q0 01110 00 11000 01100 10 nnnnn ddddd", |w, l| {
        one(w, l, half_vector(w), V1Op::FMaxNumAcross)
    }),
    row("fminnmv_half", "0q0 01110 10 11000 01100 10 nnnnn ddddd", |w, l| {
        one(w, l, half_vector(w), V1Op::FMinNumAcross)
    }),
    row("fmaxv_half", "0q0 01110 00 11000 01111 10 nnnnn ddddd", |w, l| one(w, l, half_vector(w), V1Op::FMaxAcross)),
    row("fminv_half", "0q0 01110 10 11000 01111 10 nnnnn ddddd", |w, l| one(w, l, half_vector(w), V1Op::FMinAcross)),
    // ---- a pair of elements
    row("addp_scalar", "010 11110 11 11000 11011 10 nnnnn ddddd", |w, l| one(w, l, Lanes::D2, V1Op::Sum)),
    row("fmaxnmp_scalar", "011 11110 0z 11000 01100 10 nnnnn ddddd", |w, l| one(w, l, pair(w), V1Op::FMaxNumAcross)),
    row("fminnmp_scalar", "011 11110 1z 11000 01100 10 nnnnn ddddd", |w, l| one(w, l, pair(w), V1Op::FMinNumAcross)),
    row("faddp_scalar", "011 11110 0z 11000 01101 10 nnnnn ddddd", |w, l| one(w, l, pair(w), V1Op::FSum)),
    row("fmaxp_scalar", "011 11110 0z 11000 01111 10 nnnnn ddddd", |w, l| one(w, l, pair(w), V1Op::FMaxAcross)),
    row("fminp_scalar", "011 11110 1z 11000 01111 10 nnnnn ddddd", |w, l| one(w, l, pair(w), V1Op::FMinAcross)),
    row("fmaxnmp_half", "010 11110 00 11000 01100 10 nnnnn ddddd", |w, l| half_pair(w, l, V2Op::FMaxNumP)),
    row("fminnmp_half", "010 11110 10 11000 01100 10 nnnnn ddddd", |w, l| half_pair(w, l, V2Op::FMinNumP)),
    row("faddp_half", "010 11110 00 11000 01101 10 nnnnn ddddd", |w, l| half_pair(w, l, V2Op::FAddP)),
    row("fmaxp_half", "010 11110 00 11000 01111 10 nnnnn ddddd", |w, l| half_pair(w, l, V2Op::FMaxP)),
    row("fminp_half", "010 11110 10 11000 01111 10 nnnnn ddddd", |w, l| half_pair(w, l, V2Op::FMinP)),
    // ---- by an element
    row("mul_elem", "0q0 01111 zz l mmmmm 1000 h0 nnnnn ddddd", |w, l| by_element(w, l, false, V2Op::Mul, None)),
    row("mla_elem", "0q1 01111 zz l mmmmm 0000 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::Mul, Some(V2Op::Add))
    }),
    row("mls_elem", "0q1 01111 zz l mmmmm 0100 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::Mul, Some(V2Op::Sub))
    }),
    row("smlal_elem", "0q0 01111 zz l mmmmm 0010 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::MulLongS, Some(V2Op::Add))
    }),
    row("umlal_elem", "0q1 01111 zz l mmmmm 0010 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::MulLongU, Some(V2Op::Add))
    }),
    row("smlsl_elem", "0q0 01111 zz l mmmmm 0110 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::MulLongS, Some(V2Op::Sub))
    }),
    row("umlsl_elem", "0q1 01111 zz l mmmmm 0110 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::MulLongU, Some(V2Op::Sub))
    }),
    row("smull_elem", "0q0 01111 zz l mmmmm 1010 h0 nnnnn ddddd", |w, l| by_element(w, l, false, V2Op::MulLongS, None)),
    row("umull_elem", "0q1 01111 zz l mmmmm 1010 h0 nnnnn ddddd", |w, l| by_element(w, l, false, V2Op::MulLongU, None)),
    row("sqdmlal_elem", "0q0 01111 zz l mmmmm 0011 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::QDMulLong, Some(V2Op::QAddS))
    }),
    row("sqdmlsl_elem", "0q0 01111 zz l mmmmm 0111 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::QDMulLong, Some(V2Op::QSubS))
    }),
    row("sqdmull_elem", "0q0 01111 zz l mmmmm 1011 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::QDMulLong, None)
    }),
    row("sqdmulh_elem", "0q0 01111 zz l mmmmm 1100 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::QDMulHi, None)
    }),
    row("sqrdmulh_elem", "0q0 01111 zz l mmmmm 1101 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, false, V2Op::QRDMulHi, None)
    }),
    row("sqdmlal_elem_scalar", "010 11111 zz l mmmmm 0011 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, true, V2Op::QDMulLong, Some(V2Op::QAddS))
    }),
    row("sqdmlsl_elem_scalar", "010 11111 zz l mmmmm 0111 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, true, V2Op::QDMulLong, Some(V2Op::QSubS))
    }),
    row("sqdmull_elem_scalar", "010 11111 zz l mmmmm 1011 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, true, V2Op::QDMulLong, None)
    }),
    row("sqdmulh_elem_scalar", "010 11111 zz l mmmmm 1100 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, true, V2Op::QDMulHi, None)
    }),
    row("sqrdmulh_elem_scalar", "010 11111 zz l mmmmm 1101 h0 nnnnn ddddd", |w, l| {
        by_element(w, l, true, V2Op::QRDMulHi, None)
    }),
    row("sqrdmlah_elem", "0q1 01111 zz l mmmmm 1101 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, int_element(w, false)?, V3Op::QRDMulAdd)
    }),
    row("sqrdmlsh_elem", "0q1 01111 zz l mmmmm 1111 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, int_element(w, false)?, V3Op::QRDMulSub)
    }),
    row("sqrdmlah_elem_scalar", "011 11111 zz l mmmmm 1101 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, int_element(w, true)?, V3Op::QRDMulAdd)
    }),
    row("sqrdmlsh_elem_scalar", "011 11111 zz l mmmmm 1111 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, int_element(w, true)?, V3Op::QRDMulSub)
    }),
    row("sdot_elem", "0q0 01111 10 l mmmmm 1110 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, int_element(w, false)?, V3Op::DotS)
    }),
    row("udot_elem", "0q1 01111 10 l mmmmm 1110 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, int_element(w, false)?, V3Op::DotU)
    }),
    row("fmla_elem", "0q0 01111 zz l mmmmm 0001 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, float_element(w, false)?, V3Op::FMulAdd)
    }),
    row("fmls_elem", "0q0 01111 zz l mmmmm 0101 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, float_element(w, false)?, V3Op::FMulSub)
    }),
    row("fmul_elem", "0q0 01111 zz l mmmmm 1001 h0 nnnnn ddddd", |w, l| {
        two_by_element(w, l, float_element(w, false)?, V2Op::FMul)
    }),
    row("fmulx_elem", "0q1 01111 zz l mmmmm 1001 h0 nnnnn ddddd", |w, l| {
        two_by_element(w, l, float_element(w, false)?, V2Op::FMulX)
    }),
    row("fmla_elem_scalar", "010 11111 zz l mmmmm 0001 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, float_element(w, true)?, V3Op::FMulAdd)
    }),
    row("fmls_elem_scalar", "010 11111 zz l mmmmm 0101 h0 nnnnn ddddd", |w, l| {
        three_by_element(w, l, float_element(w, true)?, V3Op::FMulSub)
    }),
    row("fmul_elem_scalar", "010 11111 zz l mmmmm 1001 h0 nnnnn ddddd", |w, l| {
        two_by_element(w, l, float_element(w, true)?, V2Op::FMul)
    }),
    row("fmulx_elem_scalar", "011 11111 zz l mmmmm 1001 h0 nnnnn ddddd", |w, l| {
        two_by_element(w, l, float_element(w, true)?, V2Op::FMulX)
    }),
    // ---- copies and permutations
    row("dup_elem", "0q0 01110 000 iiiii 0 0000 1 nnnnn ddddd", dup_elem),
    row("dup_elem_scalar", "010 11110 000 iiiii 0 0000 1 nnnnn ddddd", dup_elem_scalar),
    row("dup_gen", "0q0 01110 000 iiiii 0 0001 1 nnnnn ddddd", dup_gen),
    row("smov", "0q0 01110 000 iiiii 0 0101 1 nnnnn ddddd", smov),
    row("umov", "0q0 01110 000 iiiii 0 0111 1 nnnnn ddddd", umov),
    row("ins_gen", "010 01110 000 iiiii 0 0011 1 nnnnn ddddd", ins_gen),
    row("ins_elem", "011 01110 000 iiiii 0 jjjj 1 nnnnn ddddd", ins_elem),
    row("ext", "0q1 01110 000 mmmmm 0 iiii 0 nnnnn ddddd", ext),
    row("tbl", "0q0 01110 000 mmmmm 0 kk 0 00 nnnnn ddddd", |w, l| table(w, l, false)),
    row("tbx", "0q0 01110 000 mmmmm 0 kk 1 00 nnnnn ddddd", |w, l| table(w, l, true)),
    row("uzp1", "0q0 01110 zz0 mmmmm 0 001 10 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Uzp1)),
    row("trn1", "0q0 01110 zz0 mmmmm 0 010 10 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Trn1)),
    row("zip1", "0q0 01110 zz0 mmmmm 0 011 10 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Zip1)),
    row("uzp2", "0q0 01110 zz0 mmmmm 0 101 10 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Uzp2)),
    row("trn2", "0q0 01110 zz0 mmmmm 0 110 10 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Trn2)),
    row("zip2", "0q0 01110 zz0 mmmmm 0 111 10 nnnnn ddddd", |w, l| two(w, l, vector(w, ALL)?, V2Op::Zip2)),
    // ---- immediates
    row("modified_imm", "0qo 01111 00000 iii cccc k1 iiiii ddddd", modified_imm),
    row("shift_imm_b", "0qu 011110 0001iii ooooo 1 nnnnn ddddd", |w, l| shift_imm(w, l, false)),
    row("shift_imm_h", "0qu 011110 001iiii ooooo 1 nnnnn ddddd", |w, l| shift_imm(w, l, false)),
    row("shift_imm_s", "0qu 011110 01iiiii ooooo 1 nnnnn ddddd", |w, l| shift_imm(w, l, false)),
    row("shift_imm_d", "0qu 011110 1iiiiii ooooo 1 nnnnn ddddd", |w, l| shift_imm(w, l, false)),
    row("shift_imm_scalar", "01u 111110 iiiiiii ooooo 1 nnnnn ddddd", |w, l| shift_imm(w, l, true)),
    // ---- cryptography
    row("aese", "01001110 00 10100 00100 10 nnnnn ddddd", |w, l| onto(w, l, Lanes::B16, V2Op::AesEnc)),
    row("aesd", "01001110 00 10100 00101 10 nnnnn ddddd", |w, l| onto(w, l, Lanes::B16, V2Op::AesDec)),
    row("aesmc", "01001110 00 10100 00110 10 nnnnn ddddd", |w, l| one(w, l, Lanes::B16, V1Op::AesMix)),
    row("aesimc", "01001110 00 10100 00111 10 nnnnn ddddd", |w, l| one(w, l, Lanes::B16, V1Op::AesUnmix)),
    row("sha1c", "01011110 000 mmmmm 0 000 00 nnnnn ddddd", |w, l| three(w, l, Lanes::S4, V3Op::Sha1C)),
    row("sha1p", "01011110 000 mmmmm 0 001 00 nnnnn ddddd", |w, l| three(w, l, Lanes::S4, V3Op::Sha1P)),
    row("sha1m", "01011110 000 mmmmm 0 010 00 nnnnn ddddd", |w, l| three(w, l, Lanes::S4, V3Op::Sha1M)),
    row("sha1su0", "01011110 000 mmmmm 0 011 00 nnnnn ddddd", |w, l| three(w, l, Lanes::S4, V3Op::Sha1Su0)),
    row("sha256h", "01011110 000 mmmmm 0 100 00 nnnnn ddddd", |w, l| three(w, l, Lanes::S4, V3Op::Sha256H)),
    row("sha256h2", "01011110 000 mmmmm 0 101 00 nnnnn ddddd", |w, l| three(w, l, Lanes::S4, V3Op::Sha256H2)),
    row("sha256su1", "01011110 000 mmmmm 0 110 00 nnnnn ddddd", |w, l| three(w, l, Lanes::S4, V3Op::Sha256Su1)),
    row("sha1h", "01011110 00 10100 00000 10 nnnnn ddddd", |w, l| one(w, l, Lanes::S, V1Op::Sha1H)),
    row("sha1su1", "01011110 00 10100 00001 10 nnnnn ddddd", |w, l| onto(w, l, Lanes::S4, V2Op::Sha1Su1)),
    row("sha256su0", "01011110 00 10100 00010 10 nnnnn ddddd", |w, l| onto(w, l, Lanes::S4, V2Op::Sha256Su0)),
];

fn vd(w: u32) -> V {
    field(w, 0, 5) as V
}
fn vn(w: u32) -> V {
    field(w, 5, 5) as V
}
fn vm(w: u32) -> V {
    field(w, 16, 5) as V
}

/// The arrangement of elements of `1 << size` bytes in 64 bits or, if `full`, in 128.
pub(super) fn lanes(size: u32, full: bool) -> Lanes {
    match (size, full) {
        (0, false) => Lanes::B8,
        (0, true) => Lanes::B16,
        (1, false) => Lanes::H4,
        (1, true) => Lanes::H8,
        (2, false) => Lanes::S2,
        (2, true) => Lanes::S4,
        (_, false) => Lanes::D1,
        (_, true) => Lanes::D2,
    }
}

/// The scalar of `1 << size` bytes.
fn scalar_of(size: u32) -> Lanes {
    [Lanes::B, Lanes::H, Lanes::S, Lanes::D][size as usize]
}

/// The size field, which must be one of `sizes`.
fn size_in(w: u32, sizes: u32) -> Result<u32, Undefined> {
    let size = field(w, 22, 2);
    if sizes >> size & 1 == 1 { Ok(size) } else { Err(Undefined) }
}

/// The arrangement that size and Q name; one doubleword is none.
fn vector(w: u32, sizes: u32) -> Result<Lanes, Undefined> {
    match lanes(size_in(w, sizes)?, bit(w, 30)) {
        Lanes::D1 => Err(Undefined),
        t => Ok(t),
    }
}

/// The scalar that the size names.
fn scalar(w: u32, sizes: u32) -> Result<Lanes, Undefined> {
    Ok(scalar_of(size_in(w, sizes)?))
}

/// All 8 or 16 bytes.
fn bytes(w: u32) -> Lanes {
    lanes(0, bit(w, 30))
}

/// The arrangement of the narrow sources of a long or wide operation.
fn narrow_source(w: u32) -> Result<Lanes, Undefined> {
    vector(w, B | H | S)
}

/// The arrangement that an across-lanes operation reduces.
fn across(w: u32) -> Result<Lanes, Undefined> {
    match vector(w, B | H | S)? {
        Lanes::S2 => Err(Undefined),
        t => Ok(t),
    }
}

fn float_vector(w: u32) -> Result<Lanes, Undefined> {
    match lanes(2 + field(w, 22, 1), bit(w, 30)) {
        Lanes::D1 => Err(Undefined),
        t => Ok(t),
    }
}

fn float_scalar(w: u32) -> Lanes {
    scalar_of(2 + field(w, 22, 1))
}

fn half_vector(w: u32) -> Lanes {
    lanes(1, bit(w, 30))
}

/// The wide source arrangement of a narrowing conversion.
fn float_wide(w: u32) -> Lanes {
    lanes(2 + field(w, 22, 1), true)
}

/// Two singles or doubles.
fn pair(w: u32) -> Lanes {
    if bit(w, 22) { Lanes::D2 } else { Lanes::S2 }
}

/// The 128-bit arrangement of elements twice as wide, or the scalar twice as wide.
fn doubled(t: Lanes) -> Lanes {
    match t {
        Lanes::B => Lanes::H,
        Lanes::H => Lanes::S,
        Lanes::S => Lanes::D,
        _ => lanes(t.element().trailing_zeros() + 1, true),
    }
}

fn one(w: u32, l: &mut Lift<'_>, t: Lanes, op: V1Op) -> Lifted {
    l.push(Uop::V1 { op, t, d: vd(w), a: vn(w), imm: 0 });
    Ok(())
}

fn two(w: u32, l: &mut Lift<'_>, t: Lanes, op: V2Op) -> Lifted {
    l.push(Uop::V2 { op, t, d: vd(w), a: vn(w), b: vm(w), imm: 0 });
    Ok(())
}

/// The destination is the first operand, the second is in the field of n.
fn onto(w: u32, l: &mut Lift<'_>, t: Lanes, op: V2Op) -> Lifted {
    l.push(Uop::V2 { op, t, d: vd(w), a: vd(w), b: vn(w), imm: 0 });
    Ok(())
}

/// The destination is the first operand.
fn three(w: u32, l: &mut Lift<'_>, t: Lanes, op: V3Op) -> Lifted {
    l.push(Uop::V3 { op, t, d: vd(w), a: vd(w), b: vn(w), c: vm(w), imm: 0 });
    Ok(())
}

/// The usual spelling of a move.
fn orr_reg(w: u32, l: &mut Lift<'_>) -> Lifted {
    if vn(w) == vm(w) { one(w, l, bytes(w), V1Op::Mov) } else { two(w, l, bytes(w), V2Op::Or) }
}

fn select(w: u32, l: &mut Lift<'_>, a: V, b: V, c: V) -> Lifted {
    l.push(Uop::V3 { op: V3Op::Bsl, t: bytes(w), d: vd(w), a, b, c, imm: 0 });
    Ok(())
}

/// d = combine(d, op(n, m))
fn accumulate(w: u32, l: &mut Lift<'_>, t: Lanes, op: V2Op, combine: V2Op) -> Lifted {
    let term = l.vtemp();
    l.push(Uop::V2 { op, t, d: term, a: vn(w), b: vm(w), imm: 0 });
    l.push(Uop::V2 { op: combine, t, d: vd(w), a: vd(w), b: term, imm: 0 });
    Ok(())
}

/// As [`accumulate`], where `op` doubles the width.
fn accumulate_long(w: u32, l: &mut Lift<'_>, t: Lanes, op: V2Op, combine: V2Op) -> Lifted {
    let term = l.vtemp();
    l.push(Uop::V2 { op, t, d: term, a: vn(w), b: vm(w), imm: 0 });
    l.push(Uop::V2 { op: combine, t: doubled(t), d: vd(w), a: vd(w), b: term, imm: 0 });
    Ok(())
}

fn pair_accumulate(w: u32, l: &mut Lift<'_>, op: V1Op) -> Lifted {
    let t = narrow_source(w)?;
    let term = l.vtemp();
    l.push(Uop::V1 { op, t, d: term, a: vn(w), imm: 0 });
    let wide = lanes(t.element().trailing_zeros() + 1, bit(w, 30));
    l.push(Uop::V2 { op: V2Op::Add, t: wide, d: vd(w), a: vd(w), b: term, imm: 0 });
    Ok(())
}

/// Puts a 64-bit result into the upper half of the destination.
fn into_upper(w: u32, l: &mut Lift<'_>, result: V) {
    l.push(Uop::V2 { op: V2Op::Zip1, t: Lanes::D2, d: vd(w), a: vd(w), b: result, imm: 0 });
}

/// Narrows n from the arrangement `t`, into the upper half of the destination if `upper`.
fn narrow(w: u32, l: &mut Lift<'_>, t: Lanes, op: V1Op, imm: u32, upper: bool) -> Lifted {
    if upper {
        let d = l.vtemp();
        l.push(Uop::V1 { op, t, d, a: vn(w), imm });
        into_upper(w, l, d);
    } else {
        l.push(Uop::V1 { op, t, d: vd(w), a: vn(w), imm });
    }
    Ok(())
}

fn narrow_vec(w: u32, l: &mut Lift<'_>, op: V1Op) -> Lifted {
    let t = lanes(size_in(w, B | H | S)? + 1, true);
    narrow(w, l, t, op, 0, bit(w, 30))
}

fn narrow_scalar(w: u32, l: &mut Lift<'_>, op: V1Op) -> Lifted {
    let t = scalar_of(size_in(w, B | H | S)? + 1);
    narrow(w, l, t, op, 0, false)
}

fn two_narrow(w: u32, l: &mut Lift<'_>, op: V2Op) -> Lifted {
    let t = lanes(size_in(w, B | H | S)? + 1, true);
    if bit(w, 30) {
        let d = l.vtemp();
        l.push(Uop::V2 { op, t, d, a: vn(w), b: vm(w), imm: 0 });
        into_upper(w, l, d);
        Ok(())
    } else {
        two(w, l, t, op)
    }
}

fn pmull(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = lanes(size_in(w, B | D)?, bit(w, 30));
    two(w, l, t, V2Op::MulLongP)
}

fn shll(w: u32, l: &mut Lift<'_>) -> Lifted {
    let t = narrow_source(w)?;
    l.push(Uop::V1 { op: V1Op::WidenU, t, d: vd(w), a: vn(w), imm: 8 * t.element() as u32 });
    Ok(())
}

/// The 32-bit estimates.
fn estimate(w: u32, l: &mut Lift<'_>) -> Lifted {
    if bit(w, 22) {
        return Err(Undefined);
    }
    one(w, l, lanes(2, bit(w, 30)), if bit(w, 29) { V1Op::RsqrtEstU } else { V1Op::RecipEstU })
}

/// A floating-point instruction with three registers.
enum FloatSame {
    /// Vector form only.
    Vector(V2Op),
    /// Vector and scalar form.
    Both(V2Op),
    /// The destination is the addend; vector form only.
    Accumulate(V3Op),
}

/// The instruction with these fields: U, the bit above the precision, and the low bits of the opcode.
fn float_same(u: u32, a: u32, opcode: u32) -> Result<FloatSame, Undefined> {
    use FloatSame::{Accumulate, Both, Vector};
    Ok(match (u, a, opcode) {
        (0, 0, 0b000) => Vector(V2Op::FMaxNum),
        (0, 1, 0b000) => Vector(V2Op::FMinNum),
        (0, 0, 0b001) => Accumulate(V3Op::FMulAdd),
        (0, 1, 0b001) => Accumulate(V3Op::FMulSub),
        (0, 0, 0b010) => Vector(V2Op::FAdd),
        (0, 1, 0b010) => Vector(V2Op::FSub),
        (0, 0, 0b011) => Both(V2Op::FMulX),
        (0, 0, 0b100) => Both(V2Op::FCmpEq),
        (0, 0, 0b110) => Vector(V2Op::FMax),
        (0, 1, 0b110) => Vector(V2Op::FMin),
        (0, 0, 0b111) => Both(V2Op::FRecipStep),
        (0, 1, 0b111) => Both(V2Op::FRsqrtStep),
        (1, 0, 0b000) => Vector(V2Op::FMaxNumP),
        (1, 1, 0b000) => Vector(V2Op::FMinNumP),
        (1, 0, 0b010) => Vector(V2Op::FAddP),
        (1, 1, 0b010) => Both(V2Op::FDiff),
        (1, 0, 0b011) => Vector(V2Op::FMul),
        (1, 0, 0b100) => Both(V2Op::FCmpGe),
        (1, 1, 0b100) => Both(V2Op::FCmpGt),
        (1, 0, 0b101) => Both(V2Op::FCmpAbsGe),
        (1, 1, 0b101) => Both(V2Op::FCmpAbsGt),
        (1, 0, 0b110) => Vector(V2Op::FMaxP),
        (1, 1, 0b110) => Vector(V2Op::FMinP),
        (1, 0, 0b111) => Vector(V2Op::FDiv),
        _ => return Err(Undefined),
    })
}

fn float_three(w: u32, l: &mut Lift<'_>, t: Lanes, is_scalar: bool) -> Lifted {
    match float_same(field(w, 29, 1), field(w, 23, 1), field(w, 11, 3))? {
        FloatSame::Both(op) => two(w, l, t, op),
        FloatSame::Vector(op) if !is_scalar => two(w, l, t, op),
        FloatSame::Accumulate(op) if !is_scalar => three(w, l, t, op),
        FloatSame::Vector(_) | FloatSame::Accumulate(_) => Err(Undefined),
    }
}

/// Which forms an instruction has.
#[derive(PartialEq)]
enum Forms {
    Vector,
    Scalar,
    Both,
}

/// The instruction with these fields, and its immediate: U, the bit above the precision, the opcode.
fn float_misc(u: u32, a: u32, opcode: u32) -> Result<(V1Op, u32, Forms), Undefined> {
    use Forms::{Both, Scalar, Vector};
    Ok(match (u, a, opcode) {
        (0, 1, 0b01100) => (V1Op::FCmpGt0, 0, Both),
        (1, 1, 0b01100) => (V1Op::FCmpGe0, 0, Both),
        (0, 1, 0b01101) => (V1Op::FCmpEq0, 0, Both),
        (1, 1, 0b01101) => (V1Op::FCmpLe0, 0, Both),
        (0, 1, 0b01110) => (V1Op::FCmpLt0, 0, Both),
        (0, 1, 0b01111) => (V1Op::FAbs, 0, Vector),
        (1, 1, 0b01111) => (V1Op::FNeg, 0, Vector),
        (0, 0, 0b11000) => (V1Op::FRound, rounding::EVEN, Vector),
        (1, 0, 0b11000) => (V1Op::FRound, rounding::AWAY, Vector),
        (0, 1, 0b11000) => (V1Op::FRound, rounding::UP, Vector),
        (0, 0, 0b11001) => (V1Op::FRound, rounding::DOWN, Vector),
        (1, 0, 0b11001) => (V1Op::FRound, rounding::CURRENT | rounding::EXACT, Vector),
        (0, 1, 0b11001) => (V1Op::FRound, rounding::ZERO, Vector),
        (1, 1, 0b11001) => (V1Op::FRound, rounding::CURRENT, Vector),
        (0, 0, 0b11010) => (V1Op::FToS, rounding::EVEN, Both),
        (1, 0, 0b11010) => (V1Op::FToU, rounding::EVEN, Both),
        (0, 1, 0b11010) => (V1Op::FToS, rounding::UP, Both),
        (1, 1, 0b11010) => (V1Op::FToU, rounding::UP, Both),
        (0, 0, 0b11011) => (V1Op::FToS, rounding::DOWN, Both),
        (1, 0, 0b11011) => (V1Op::FToU, rounding::DOWN, Both),
        (0, 1, 0b11011) => (V1Op::FToS, rounding::ZERO, Both),
        (1, 1, 0b11011) => (V1Op::FToU, rounding::ZERO, Both),
        (0, 0, 0b11100) => (V1Op::FToS, rounding::AWAY, Both),
        (1, 0, 0b11100) => (V1Op::FToU, rounding::AWAY, Both),
        (0, 0, 0b11101) => (V1Op::SToF, 0, Both),
        (1, 0, 0b11101) => (V1Op::UToF, 0, Both),
        (0, 1, 0b11101) => (V1Op::FRecipEst, 0, Both),
        (1, 1, 0b11101) => (V1Op::FRsqrtEst, 0, Both),
        (0, 1, 0b11111) => (V1Op::FRecipExp, 0, Scalar),
        (1, 1, 0b11111) => (V1Op::FSqrt, 0, Vector),
        _ => return Err(Undefined),
    })
}

fn float_two(w: u32, l: &mut Lift<'_>, t: Lanes, is_scalar: bool) -> Lifted {
    let (op, imm, forms) = float_misc(field(w, 29, 1), field(w, 23, 1), field(w, 12, 5))?;
    if forms == (if is_scalar { Forms::Vector } else { Forms::Scalar }) {
        return Err(Undefined);
    }
    l.push(Uop::V1 { op, t, d: vd(w), a: vn(w), imm });
    Ok(())
}

/// No arrangement has two halves, so the other elements are cleared first: zeros raise nothing.
fn half_pair(w: u32, l: &mut Lift<'_>, op: V2Op) -> Lifted {
    let a = l.vtemp();
    l.push(Uop::V1 { op: V1Op::Mov, t: Lanes::S, d: a, a: vn(w), imm: 0 });
    l.push(Uop::V2 { op, t: Lanes::H4, d: a, a, b: a, imm: 0 });
    l.push(Uop::V1 { op: V1Op::Mov, t: Lanes::H, d: vd(w), a, imm: 0 });
    Ok(())
}

/// The second operand of a by-element instruction.
struct Element {
    /// Arrangement of the operation.
    t: Lanes,
    /// The register.
    v: V,
    /// Which element of it.
    index: u32,
}

/// Register and index where the element has `1 << size` bytes.
fn element_of(w: u32, size: u32) -> (V, u32) {
    let (h, l, m) = (field(w, 11, 1), field(w, 21, 1), field(w, 20, 1));
    match size {
        1 => (field(w, 16, 4) as V, h << 2 | l << 1 | m),
        2 => (vm(w), h << 1 | l),
        _ => (vm(w), h),
    }
}

fn int_element(w: u32, is_scalar: bool) -> Result<Element, Undefined> {
    let size = size_in(w, H | S)?;
    let (v, index) = element_of(w, size);
    Ok(Element { t: if is_scalar { scalar_of(size) } else { lanes(size, bit(w, 30)) }, v, index })
}

fn float_element(w: u32, is_scalar: bool) -> Result<Element, Undefined> {
    let size = match field(w, 22, 2) {
        0 => 1,
        1 => return Err(Undefined),
        size => size,
    };
    if size == 3 && (bit(w, 21) || !is_scalar && !bit(w, 30)) {
        return Err(Undefined);
    }
    let (v, index) = element_of(w, size);
    Ok(Element { t: if is_scalar { scalar_of(size) } else { lanes(size, bit(w, 30)) }, v, index })
}

/// Returns a temporary that has the element everywhere.
fn spread(l: &mut Lift<'_>, element: &Element) -> V {
    let d = l.vtemp();
    let t = lanes(element.t.element().trailing_zeros(), true);
    l.push(Uop::V1 { op: V1Op::Dup, t, d, a: element.v, imm: element.index });
    d
}

/// Integer operation by element, with or without accumulation.
fn by_element(w: u32, l: &mut Lift<'_>, is_scalar: bool, op: V2Op, combine: Option<V2Op>) -> Lifted {
    let element = int_element(w, is_scalar)?;
    let t = element.t;
    let b = spread(l, &element);
    let Some(combine) = combine else {
        l.push(Uop::V2 { op, t, d: vd(w), a: vn(w), b, imm: 0 });
        return Ok(());
    };
    let term = l.vtemp();
    l.push(Uop::V2 { op, t, d: term, a: vn(w), b, imm: 0 });
    let t = if op == V2Op::Mul { t } else { doubled(t) };
    l.push(Uop::V2 { op: combine, t, d: vd(w), a: vd(w), b: term, imm: 0 });
    Ok(())
}

fn two_by_element(w: u32, l: &mut Lift<'_>, element: Element, op: V2Op) -> Lifted {
    let b = spread(l, &element);
    l.push(Uop::V2 { op, t: element.t, d: vd(w), a: vn(w), b, imm: 0 });
    Ok(())
}

fn three_by_element(w: u32, l: &mut Lift<'_>, element: Element, op: V3Op) -> Lifted {
    let c = spread(l, &element);
    l.push(Uop::V3 { op, t: element.t, d: vd(w), a: vd(w), b: vn(w), c, imm: 0 });
    Ok(())
}

/// Element size and index as the 5-bit immediate of the copy instructions gives them.
fn copy_place(w: u32) -> Result<(u32, u32), Undefined> {
    let imm = field(w, 16, 5);
    match imm.trailing_zeros() {
        size @ 0..=3 => Ok((size, imm >> (size + 1))),
        _ => Err(Undefined),
    }
}

/// The arrangement that a copy fills.
fn copy_lanes(w: u32, size: u32) -> Result<Lanes, Undefined> {
    match lanes(size, bit(w, 30)) {
        Lanes::D1 => Err(Undefined),
        t => Ok(t),
    }
}

fn dup_elem(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (size, imm) = copy_place(w)?;
    l.push(Uop::V1 { op: V1Op::Dup, t: copy_lanes(w, size)?, d: vd(w), a: vn(w), imm });
    Ok(())
}

fn dup_elem_scalar(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (size, imm) = copy_place(w)?;
    l.push(Uop::V1 { op: V1Op::Dup, t: scalar_of(size), d: vd(w), a: vn(w), imm });
    Ok(())
}

fn dup_gen(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (size, _) = copy_place(w)?;
    let a = reg_or_zero(field(w, 5, 5));
    l.push(Uop::Xv { op: XvOp::Dup, t: copy_lanes(w, size)?, d: vd(w), a, imm: 0 });
    Ok(())
}

fn ins_gen(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (size, imm) = copy_place(w)?;
    let a = reg_or_zero(field(w, 5, 5));
    l.push(Uop::Xv { op: XvOp::Insert, t: lanes(size, true), d: vd(w), a, imm });
    Ok(())
}

fn ins_elem(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (size, to) = copy_place(w)?;
    let from = field(w, 11, 4) >> size;
    l.push(Uop::V2 { op: V2Op::Insert, t: lanes(size, true), d: vd(w), a: vd(w), b: vn(w), imm: to | from << 8 });
    Ok(())
}

fn smov(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (size, imm) = copy_place(w)?;
    let wide = bit(w, 30);
    if size == 3 || size == 2 && !wide {
        return Err(Undefined);
    }
    let d = if vd(w) == 31 { l.temp() } else { vd(w) };
    l.push(Uop::Vx { op: VxOp::GetS, t: lanes(size, true), d, a: vn(w), imm });
    if !wide {
        l.push(Uop::Un { op: UnOp::Zext32, d, a: d });
    }
    Ok(())
}

fn umov(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (size, imm) = copy_place(w)?;
    if (size == 3) != bit(w, 30) {
        return Err(Undefined);
    }
    let d = if vd(w) == 31 { l.temp() } else { vd(w) };
    l.push(Uop::Vx { op: VxOp::Get, t: lanes(size, true), d, a: vn(w), imm });
    Ok(())
}

fn ext(w: u32, l: &mut Lift<'_>) -> Lifted {
    let imm = field(w, 11, 4);
    if imm > 7 && !bit(w, 30) {
        return Err(Undefined);
    }
    l.push(Uop::V2 { op: V2Op::Ext, t: bytes(w), d: vd(w), a: vn(w), b: vm(w), imm });
    Ok(())
}

/// A lookup in up to four registers, one after the other.
fn table(w: u32, l: &mut Lift<'_>, extend: bool) -> Lifted {
    let (t, indices) = (bytes(w), vm(w));
    let last = field(w, 13, 2) as u8;
    let mut result = vd(w);
    for i in 0..=last {
        let (v, imm) = ((vn(w) + i) % 32, 16 * u32::from(i));
        let d = if i == last { vd(w) } else { l.vtemp() };
        if i == 0 && !extend {
            l.push(Uop::V2 { op: V2Op::Tbl, t, d, a: v, b: indices, imm });
        } else {
            l.push(Uop::V3 { op: V3Op::Tbx, t, d, a: result, b: v, c: indices, imm });
        }
        result = d;
    }
    Ok(())
}

/// `movi`, `mvni`, `fmov`, `orr` and `bic` with an immediate.
fn modified_imm(w: u32, l: &mut Lift<'_>) -> Lifted {
    let (invert, mode, both) = (bit(w, 29), field(w, 12, 4), bit(w, 30));
    let imm8 = field(w, 16, 3) << 5 | field(w, 5, 5);
    let byte = u64::from(imm8);
    let words = |x: u64| x << 32 | x;
    let halves = |x: u64| words(x << 16 | x);
    let imm = match (mode, invert, bit(w, 11)) {
        (0b1111, false, true) => halves(expand_imm(Lanes::H, imm8)),
        (_, _, true) => return Err(Undefined),
        (0..8, _, _) => words(byte << (8 * (mode >> 1))),
        (8..12, _, _) => halves(byte << (8 * (mode >> 1 & 1))),
        (0b1100, _, _) => words(byte << 8 | 0xff),
        (0b1101, _, _) => words(byte << 16 | 0xffff),
        (0b1110, false, _) => byte * 0x0101_0101_0101_0101,
        (0b1110, true, _) => (0..8).filter(|i| imm8 >> i & 1 == 1).fold(0, |mask, i| mask | 0xff << (8 * i)),
        (_, false, _) => words(expand_imm(Lanes::S, imm8)),
        (_, true, _) if both => expand_imm(Lanes::D, imm8),
        _ => return Err(Undefined),
    };
    if mode < 12 && mode & 1 == 1 {
        let b = l.vtemp();
        l.push(Uop::VMovI { d: b, both, imm });
        let op = if invert { V2Op::AndNot } else { V2Op::Or };
        l.push(Uop::V2 { op, t: bytes(w), d: vd(w), a: vd(w), b, imm: 0 });
    } else {
        let imm = if invert && mode < 0b1110 { !imm } else { imm };
        l.push(Uop::VMovI { d: vd(w), both, imm });
    }
    Ok(())
}

/// What an instruction with an immediate shift does.
enum ShiftImm {
    /// Shifts right; the scalar form has doublewords only.
    Right(V1Op),
    /// Shifts right and adds to the destination; the scalar form has doublewords only.
    RightAdd(V1Op),
    /// Shifts left; the scalar form has doublewords only.
    Left(V1Op),
    /// Shifts left, saturating.
    LeftSaturating(V1Op),
    /// Shifts into the destination; the scalar form has doublewords only.
    Into(V2Op),
    /// Narrows; vector form only.
    Narrow(V1Op),
    /// Narrows, saturating.
    NarrowSaturating(V1Op),
    /// Widens; vector form only.
    Widen(V1Op),
    /// Converts from fixed point.
    FromFixed(V1Op),
    /// Converts to fixed point.
    ToFixed(V1Op),
}

fn shift_instruction(u: u32, opcode: u32) -> Result<ShiftImm, Undefined> {
    use ShiftImm::{FromFixed, Into, Left, LeftSaturating, Narrow, NarrowSaturating, Right, RightAdd, ToFixed, Widen};
    Ok(match (u, opcode) {
        (0, 0b00000) => Right(V1Op::ShrS),
        (1, 0b00000) => Right(V1Op::ShrU),
        (0, 0b00010) => RightAdd(V1Op::ShrS),
        (1, 0b00010) => RightAdd(V1Op::ShrU),
        (0, 0b00100) => Right(V1Op::RShrS),
        (1, 0b00100) => Right(V1Op::RShrU),
        (0, 0b00110) => RightAdd(V1Op::RShrS),
        (1, 0b00110) => RightAdd(V1Op::RShrU),
        (1, 0b01000) => Into(V2Op::Sri),
        (0, 0b01010) => Left(V1Op::Shl),
        (1, 0b01010) => Into(V2Op::Sli),
        (1, 0b01100) => LeftSaturating(V1Op::QShlSU),
        (0, 0b01110) => LeftSaturating(V1Op::QShlS),
        (1, 0b01110) => LeftSaturating(V1Op::QShlU),
        (0, 0b10000) => Narrow(V1Op::Narrow),
        (1, 0b10000) => NarrowSaturating(V1Op::QNarrowSU),
        (0, 0b10001) => Narrow(V1Op::RNarrow),
        (1, 0b10001) => NarrowSaturating(V1Op::QRNarrowSU),
        (0, 0b10010) => NarrowSaturating(V1Op::QNarrowS),
        (1, 0b10010) => NarrowSaturating(V1Op::QNarrowU),
        (0, 0b10011) => NarrowSaturating(V1Op::QRNarrowS),
        (1, 0b10011) => NarrowSaturating(V1Op::QRNarrowU),
        (0, 0b10100) => Widen(V1Op::WidenS),
        (1, 0b10100) => Widen(V1Op::WidenU),
        (0, 0b11100) => FromFixed(V1Op::SToF),
        (1, 0b11100) => FromFixed(V1Op::UToF),
        (0, 0b11111) => ToFixed(V1Op::FToS),
        (1, 0b11111) => ToFixed(V1Op::FToU),
        _ => return Err(Undefined),
    })
}

fn shift_imm(w: u32, l: &mut Lift<'_>, is_scalar: bool) -> Lifted {
    let immediate = field(w, 16, 7);
    let size = (immediate >> 3).checked_ilog2().ok_or(Undefined)?;
    let (width, d, a) = (8 << size, vd(w), vn(w));
    let (left, right) = (immediate - width, 2 * width - immediate);
    let full = bit(w, 30);
    let same = if is_scalar { Ok(scalar_of(size)) } else { copy_lanes(w, size) };
    let doubleword = if is_scalar && size != 3 { Err(Undefined) } else { same };
    match shift_instruction(field(w, 29, 1), field(w, 11, 5))? {
        ShiftImm::Right(op) => l.push(Uop::V1 { op, t: doubleword?, d, a, imm: right }),
        ShiftImm::RightAdd(op) => {
            let (t, b) = (doubleword?, l.vtemp());
            l.push(Uop::V1 { op, t, d: b, a, imm: right });
            l.push(Uop::V2 { op: V2Op::Add, t, d, a: d, b, imm: 0 });
        }
        ShiftImm::Left(op) => l.push(Uop::V1 { op, t: doubleword?, d, a, imm: left }),
        ShiftImm::LeftSaturating(op) => l.push(Uop::V1 { op, t: same?, d, a, imm: left }),
        ShiftImm::Into(op) => {
            let imm = if op == V2Op::Sri { right } else { left };
            l.push(Uop::V2 { op, t: doubleword?, d, a: d, b: a, imm });
        }
        ShiftImm::Narrow(_) | ShiftImm::NarrowSaturating(_) | ShiftImm::Widen(_) if size == 3 => return Err(Undefined),
        ShiftImm::Narrow(_) | ShiftImm::Widen(_) if is_scalar => return Err(Undefined),
        ShiftImm::NarrowSaturating(op) if is_scalar => narrow(w, l, scalar_of(size + 1), op, right, false)?,
        ShiftImm::Narrow(op) | ShiftImm::NarrowSaturating(op) => {
            narrow(w, l, lanes(size + 1, true), op, right, full)?;
        }
        ShiftImm::Widen(op) => l.push(Uop::V1 { op, t: lanes(size, full), d, a, imm: left }),
        ShiftImm::FromFixed(_) | ShiftImm::ToFixed(_) if size == 0 => return Err(Undefined),
        ShiftImm::FromFixed(op) => l.push(Uop::V1 { op, t: same?, d, a, imm: right }),
        ShiftImm::ToFixed(op) => l.push(Uop::V1 { op, t: same?, d, a, imm: rounding::ZERO | right << 8 }),
    }
    Ok(())
}
