//! Vector and floating-point operations: their names and their reference meaning.
//!
//! Every operation is a plain function of 128-bit values, so that the interpreter calls it, the compiler may call it,
//! and a native lowering can be compared with it. Nothing here knows slots or guest memory.
//!
//! An operation is applied to an arrangement `t`: it works on `t`'s elements and clears what lies above them. Scalar
//! arrangements have one element. The names are built in one order: `F` floating point or `Q` saturating, `R` rounding,
//! `H` halving, the operation, `Long`, `Wide` or `Narrow`, `P` pairwise or polynomial, `V` by a vector of amounts, and
//! the sign: `S`, `U`, or `SU` from signed to unsigned. `Q` operations set the saturation bit of the status.

mod crypto;
mod float;
mod lanes;
pub mod softfloat;
mod wide;

use crate::uop::{Lanes, ops};

/// Floating-point control and status while an operation runs, in AArch64's layout.
#[derive(Clone, Copy, Debug, Default)]
pub struct FpEnv {
    /// Control: rounding mode, flush to zero, default NaN (`fpcr`), and above them the bits of [`control`].
    pub control: u64,
    /// Cumulative exceptions and saturation (`fpsr`); operations or theirs in.
    pub status: u32,
}

/// Bits of the control register that AArch64 does not have. They stand above the 32 that its programs can write.
pub mod control {
    /// The rules of RISC-V: every NaN that an operation makes is the default one, tininess is found after rounding, a
    /// number wins over signalling NaNs too in `FMaxNum` and `FMinNum`, and a NaN becomes the largest integer.
    ///
    /// Floating-point registers have 64 bits there: what is above them in guest vector slots is 0.
    pub const CANONICAL: u64 = 1 << 32;
    /// To nearest, ties away from zero, whatever the rounding mode says.
    pub const AWAY: u64 = 1 << 33;
    /// The rounding mode is none: see [`crate::uop::Uop::CheckRounding`].
    pub const NO_ROUNDING: u64 = 1 << 34;
    /// All of these that concern rounding.
    pub const ROUNDING: u64 = AWAY | NO_ROUNDING;
}

/// How an operation rounds, as its immediate says in the low four bits.
pub mod rounding {
    /// To nearest, ties to even.
    pub const EVEN: u32 = 0;
    /// Towards plus infinity.
    pub const UP: u32 = 1;
    /// Towards minus infinity.
    pub const DOWN: u32 = 2;
    /// Towards zero.
    pub const ZERO: u32 = 3;
    /// To nearest, ties away from zero.
    pub const AWAY: u32 = 4;
    /// As the control register says.
    pub const CURRENT: u32 = 5;
    /// Added to the direction: [`super::V1Op::FRound`] raises Inexact.
    pub const EXACT: u32 = 8;
    /// Where operations that else round as the control register says have a direction of their own: see [`stated`].
    const STATED: u32 = 16;

    /// Returns what is added to the immediate of an operation that else rounds as the control register says, to make it
    /// round in `direction`.
    pub const fn stated(direction: u32) -> u32 {
        (direction + 1) << STATED
    }

    /// Returns the direction that an immediate states.
    pub const fn stated_in(imm: u32) -> Option<u32> {
        (imm >> STATED).checked_sub(1)
    }

    /// Returns the rest of an immediate.
    pub const fn unstated(imm: u32) -> u32 {
        imm & ((1 << STATED) - 1)
    }
}

ops! {
    /// One vector operand.
    V1Op {
        // ---- moves and bits
        /// The low bytes of a that `t` covers, the rest zero.
        Mov,
        /// Element `imm` of a in every element.
        Dup,
        /// Bits inverted.
        Not,
        /// Elements reversed within each 16 bits.
        Rev16,
        /// Elements reversed within each 32 bits.
        Rev32,
        /// Elements reversed within each 64 bits.
        Rev64,
        /// One bits.
        Cnt,
        /// Leading zeros.
        Clz,
        /// Leading bits equal to the sign, not counting it.
        Cls,
        /// Bits reversed.
        Rbit,
        // ---- integers
        /// Absolute value, wrapping.
        Abs,
        /// Negated, wrapping.
        Neg,
        /// Absolute value, saturating.
        QAbs,
        /// Negated, saturating.
        QNeg,
        /// All ones if the element is 0.
        CmpEq0,
        /// All ones if the element is greater than 0, signed.
        CmpGt0,
        /// All ones if the element is at least 0, signed.
        CmpGe0,
        /// All ones if the element is at most 0, signed.
        CmpLe0,
        /// All ones if the element is less than 0, signed.
        CmpLt0,
        /// Shifted left by `imm`.
        Shl,
        /// Shifted right by `imm`, 1 to the element's width; the sign enters.
        ShrS,
        /// Shifted right by `imm`, 1 to the element's width; zeros enter.
        ShrU,
        /// As `ShrS`, rounded.
        RShrS,
        /// As `ShrU`, rounded.
        RShrU,
        /// Shifted left by `imm`, saturating, signed.
        QShlS,
        /// Shifted left by `imm`, saturating, unsigned.
        QShlU,
        /// Signed shifted left by `imm`, saturating to unsigned.
        QShlSU,
        /// Elements of the source arrangement `t` shifted right by `imm`, low halves; the result has 64 bits.
        Narrow,
        /// As `Narrow`, rounded.
        RNarrow,
        /// As `Narrow`, signed saturating to signed.
        QNarrowS,
        /// As `Narrow`, unsigned saturating to unsigned.
        QNarrowU,
        /// As `Narrow`, signed saturating to unsigned.
        QNarrowSU,
        /// As `QNarrowS`, rounded.
        QRNarrowS,
        /// As `QNarrowU`, rounded.
        QRNarrowU,
        /// As `QNarrowSU`, rounded.
        QRNarrowSU,
        /// Elements of the source arrangement `t` (the upper half of a if `t` has 128 bits) sign-extended to double width, shifted left by `imm`.
        WidenS,
        /// As `WidenS`, zero-extended.
        WidenU,
        /// Sums of neighbouring elements of the source arrangement `t`, double width, signed.
        PairSumS,
        /// Sums of neighbouring elements of the source arrangement `t`, double width, unsigned.
        PairSumU,
        /// Sum of all elements, wrapping, in element 0.
        Sum,
        /// Sum of all elements, signed, in element 0 of double width.
        SumLongS,
        /// Sum of all elements, unsigned, in element 0 of double width.
        SumLongU,
        /// Largest element, signed, in element 0.
        MaxAcrossS,
        /// Largest element, unsigned, in element 0.
        MaxAcrossU,
        /// Smallest element, signed, in element 0.
        MinAcrossS,
        /// Smallest element, unsigned, in element 0.
        MinAcrossU,
        /// Unsigned reciprocal estimate (`urecpe`).
        RecipEstU,
        /// Unsigned reciprocal square root estimate (`ursqrte`).
        RsqrtEstU,
        // ---- floating point
        /// A single-precision number that stands in 64 bits of which the upper half is all ones; the default NaN if it
        /// is not (RISC-V's NaN boxing).
        FUnbox,
        /// A single-precision number with ones above it in the low 64 bits.
        FBox,
        /// Sign cleared.
        FAbs,
        /// Sign inverted.
        FNeg,
        /// Square root.
        FSqrt,
        /// Rounded to an integral value; `imm` is one of [`rounding`], with `EXACT` to raise Inexact.
        FRound,
        /// Reciprocal estimate.
        FRecipEst,
        /// Reciprocal square root estimate.
        FRsqrtEst,
        /// Reciprocal exponent (`frecpx`).
        FRecipExp,
        /// All ones if the element equals 0.
        FCmpEq0,
        /// All ones if the element is greater than 0.
        FCmpGt0,
        /// All ones if the element is at least 0.
        FCmpGe0,
        /// All ones if the element is at most 0.
        FCmpLe0,
        /// All ones if the element is less than 0.
        FCmpLt0,
        /// Scalar of `t` converted to the format of `imm` bytes.
        FConvert,
        /// Elements of the source arrangement `t` (the upper half of a if `t` has 128 bits) converted to the next larger format.
        FWiden,
        /// Elements of the source arrangement `t` converted to the next smaller format; the result has 64 bits.
        FNarrow,
        /// As `FNarrow`, rounding to odd.
        FNarrowOdd,
        /// Converted to a signed integer of the same width; `imm` is one of [`rounding`], and fraction bits from bit 8.
        FToS,
        /// Converted to an unsigned integer of the same width; `imm` as in `FToS`.
        FToU,
        /// Converted from a signed integer of the same width with `imm` fraction bits.
        SToF,
        /// Converted from an unsigned integer of the same width with `imm` fraction bits.
        UToF,
        /// Sum of all elements, as a tree of neighbours, in element 0.
        FSum,
        /// Largest element, a NaN wins; in element 0.
        FMaxAcross,
        /// Smallest element, a NaN wins; in element 0.
        FMinAcross,
        /// Largest element, a number wins over a quiet NaN; in element 0.
        FMaxNumAcross,
        /// Smallest element, a number wins over a quiet NaN; in element 0.
        FMinNumAcross,
        // ---- cryptography
        /// AES column mixing (`aesmc`).
        AesMix,
        /// AES inverse column mixing (`aesimc`).
        AesUnmix,
        /// SHA-1 fixed rotate (`sha1h`).
        Sha1H,
    }
}
ops! {
    /// Two vector operands.
    V2Op {
        // ---- bits and moves
        /// a & b.
        And,
        /// a & !b.
        AndNot,
        /// a | b.
        Or,
        /// a | !b.
        OrNot,
        /// a ^ b.
        Xor,
        /// a with element `imm & 255` replaced by element `imm >> 8` of b.
        Insert,
        /// The bytes from byte `imm` of a followed by b.
        Ext,
        /// Elements of the lower halves of a and b in turn.
        Zip1,
        /// Elements of the upper halves of a and b in turn.
        Zip2,
        /// Even elements of a, then of b.
        Uzp1,
        /// Odd elements of a, then of b.
        Uzp2,
        /// Even elements of a and b in turn.
        Trn1,
        /// Odd elements of a and b in turn.
        Trn2,
        /// Bytes of a chosen by the bytes of b, 0 where the index is above 15.
        Tbl,
        // ---- integers
        /// a + b.
        Add,
        /// a - b.
        Sub,
        /// a * b, low half.
        Mul,
        /// a * b as polynomials over two elements, low half.
        MulP,
        /// All ones if a == b.
        CmpEq,
        /// All ones if a > b, signed.
        CmpGtS,
        /// All ones if a >= b, signed.
        CmpGeS,
        /// All ones if a > b, unsigned.
        CmpGtU,
        /// All ones if a >= b, unsigned.
        CmpGeU,
        /// All ones if a & b is not 0.
        CmpTst,
        /// Maximum, signed.
        MaxS,
        /// Maximum, unsigned.
        MaxU,
        /// Minimum, signed.
        MinS,
        /// Minimum, unsigned.
        MinU,
        /// Absolute difference, signed.
        DiffS,
        /// Absolute difference, unsigned.
        DiffU,
        /// Half of the sum, signed.
        HAddS,
        /// Half of the sum, unsigned.
        HAddU,
        /// Half of the sum, rounded up, signed.
        RHAddS,
        /// Half of the sum, rounded up, unsigned.
        RHAddU,
        /// Half of the difference, signed.
        HSubS,
        /// Half of the difference, unsigned.
        HSubU,
        /// Sum, saturating, signed.
        QAddS,
        /// Sum, saturating, unsigned.
        QAddU,
        /// Difference, saturating, signed.
        QSubS,
        /// Difference, saturating, unsigned.
        QSubU,
        /// Signed a plus unsigned b, saturating to signed (`suqadd`).
        QAddSU,
        /// Unsigned a plus signed b, saturating to unsigned (`usqadd`).
        QAddUS,
        /// Upper half of 2ab, saturating.
        QDMulHi,
        /// Upper half of 2ab, rounded, saturating.
        QRDMulHi,
        /// a shifted left by the signed low byte of b (right if negative), signed.
        ShlVS,
        /// a shifted left by the signed low byte of b (right if negative), unsigned.
        ShlVU,
        /// As `ShlVS`, right shifts rounded.
        RShlVS,
        /// As `ShlVU`, right shifts rounded.
        RShlVU,
        /// As `ShlVS`, left shifts saturating.
        QShlVS,
        /// As `ShlVU`, left shifts saturating.
        QShlVU,
        /// As `QShlVS`, right shifts rounded.
        QRShlVS,
        /// As `QShlVU`, right shifts rounded.
        QRShlVU,
        /// b shifted left by `imm`; the bits shifted in come from a.
        Sli,
        /// b shifted right by `imm`, 1 to the element's width; the bits shifted in come from a.
        Sri,
        /// Sums of neighbouring elements of a, then of b.
        AddP,
        /// Signed maxima of neighbouring elements of a, then of b.
        MaxPS,
        /// Unsigned maxima of neighbouring elements of a, then of b.
        MaxPU,
        /// Signed minima of neighbouring elements of a, then of b.
        MinPS,
        /// Unsigned minima of neighbouring elements of a, then of b.
        MinPU,
        // ---- long, wide and narrow: `t` is the arrangement of the narrow sources, whose upper half is used if it has 128 bits
        /// a + b at double width, signed.
        AddLongS,
        /// a + b at double width, unsigned.
        AddLongU,
        /// a - b at double width, signed.
        SubLongS,
        /// a - b at double width, unsigned.
        SubLongU,
        /// Wide a plus narrow signed b.
        AddWideS,
        /// Wide a plus narrow unsigned b.
        AddWideU,
        /// Wide a minus narrow signed b.
        SubWideS,
        /// Wide a minus narrow unsigned b.
        SubWideU,
        /// a * b at double width, signed.
        MulLongS,
        /// a * b at double width, unsigned.
        MulLongU,
        /// a * b at double width, as polynomials over two elements.
        MulLongP,
        /// 2ab at double width, saturating.
        QDMulLong,
        /// Absolute difference at double width, signed.
        DiffLongS,
        /// Absolute difference at double width, unsigned.
        DiffLongU,
        /// Upper halves of the sums; `t` is the wide source arrangement; the result has 64 bits.
        AddNarrow,
        /// As `AddNarrow`, rounded.
        RAddNarrow,
        /// Upper halves of the differences; `t` is the wide source arrangement; the result has 64 bits.
        SubNarrow,
        /// As `SubNarrow`, rounded.
        RSubNarrow,
        // ---- floating point
        /// a + b.
        FAdd,
        /// a - b.
        FSub,
        /// a * b.
        FMul,
        /// -(a * b).
        FNMul,
        /// a * b, but zero times infinity is 2.
        FMulX,
        /// a / b.
        FDiv,
        /// Maximum, a NaN wins.
        FMax,
        /// Minimum, a NaN wins.
        FMin,
        /// Maximum, a number wins over a quiet NaN.
        FMaxNum,
        /// Minimum, a number wins over a quiet NaN.
        FMinNum,
        /// Absolute difference.
        FDiff,
        /// 2 - a * b with one rounding (`frecps`).
        FRecipStep,
        /// (3 - a * b) / 2 with one rounding (`frsqrts`).
        FRsqrtStep,
        /// All ones if a == b; quiet.
        FCmpEq,
        /// All ones if a >= b; signalling.
        FCmpGe,
        /// All ones if a > b; signalling.
        FCmpGt,
        /// All ones if abs(a) >= abs(b); signalling.
        FCmpAbsGe,
        /// All ones if abs(a) > abs(b); signalling.
        FCmpAbsGt,
        /// Sums of neighbouring elements of a, then of b.
        FAddP,
        /// `FMax` of neighbouring elements of a, then of b.
        FMaxP,
        /// `FMin` of neighbouring elements of a, then of b.
        FMinP,
        /// `FMaxNum` of neighbouring elements of a, then of b.
        FMaxNumP,
        /// `FMinNum` of neighbouring elements of a, then of b.
        FMinNumP,
        // ---- cryptography
        /// AES round without column mixing (`aese`); a is the state, b the key.
        AesEnc,
        /// AES inverse round without column mixing (`aesd`).
        AesDec,
        /// SHA-1 schedule update 1.
        Sha1Su1,
        /// SHA-256 schedule update 0.
        Sha256Su0,
    }
}
ops! {
    /// Three vector operands.
    V3Op {
        /// Bits of b where a is set, of c elsewhere.
        Bsl,
        /// Bytes of b chosen by the bytes of c less `imm`, of a where that index is above 15.
        Tbx,
        /// Every third element of a, b, c taken as one, from element `imm` on.
        Uzp3,
        /// Register `imm` of the three that hold the elements of a, b and c in turn.
        Zip3,
        /// a + b * c with one rounding.
        FMulAdd,
        /// a - b * c with one rounding.
        FMulSub,
        /// -a - b * c with one rounding.
        FNMulAdd,
        /// -a + b * c with one rounding.
        FNMulSub,
        /// a plus 2bc, upper half, rounded, saturating (`sqrdmlah`).
        QRDMulAdd,
        /// a minus 2bc, upper half, rounded, saturating (`sqrdmlsh`).
        QRDMulSub,
        /// a plus the sum of the products of the four bytes in each word, signed.
        DotS,
        /// a plus the sum of the products of the four bytes in each word, unsigned.
        DotU,
        /// SHA-1 hash update, choose.
        Sha1C,
        /// SHA-1 hash update, parity.
        Sha1P,
        /// SHA-1 hash update, majority.
        Sha1M,
        /// SHA-1 schedule update 0.
        Sha1Su0,
        /// SHA-256 hash update, part 1.
        Sha256H,
        /// SHA-256 hash update, part 2.
        Sha256H2,
        /// SHA-256 schedule update 1.
        Sha256Su1,
    }
}
ops! {
    /// Vector to integer.
    VxOp {
        /// Element `imm`, zero-extended.
        Get,
        /// Element `imm`, sign-extended to 64 bits.
        GetS,
        /// Element 0 converted to a signed 32-bit integer, upper half zero; `imm` as in [`V1Op::FToS`].
        FToS32,
        /// Element 0 converted to an unsigned 32-bit integer; `imm` as in [`V1Op::FToS`].
        FToU32,
        /// Element 0 converted to a signed 64-bit integer; `imm` as in [`V1Op::FToS`].
        FToS64,
        /// Element 0 converted to an unsigned 64-bit integer; `imm` as in [`V1Op::FToS`].
        FToU64,
        /// The class of element 0 as one bit of ten: negative infinite, normal, subnormal, zero, then positive zero,
        /// subnormal, normal, infinite, then signalling and quiet NaN (RISC-V's `fclass`).
        FClass,
    }
}
ops! {
    /// Integer to vector.
    XvOp {
        /// Element `imm` replaced, the others kept.
        Insert,
        /// Element 0, the rest zero.
        Mov,
        /// Every element.
        Dup,
        /// Element 0 from the signed low half with `imm` fraction bits, the rest zero.
        S32ToF,
        /// Element 0 from the unsigned low half with `imm` fraction bits, the rest zero.
        U32ToF,
        /// Element 0 from a signed integer with `imm` fraction bits, the rest zero.
        S64ToF,
        /// Element 0 from an unsigned integer with `imm` fraction bits, the rest zero.
        U64ToF,
    }
}

/// Reference meaning of [`V1Op`]. `imm` is the operation's own.
pub fn v1(op: V1Op, t: Lanes, a: u128, imm: u32, env: &mut FpEnv) -> u128 {
    use lanes::*;
    match op {
        V1Op::Mov => fit(t, a),
        V1Op::Dup => {
            let element = get(t, a, imm as usize);
            build(t, |_| element)
        }
        V1Op::Not => fit(t, !a),
        V1Op::Rev16 => reverse(t, a, 2),
        V1Op::Rev32 => reverse(t, a, 4),
        V1Op::Rev64 => reverse(t, a, 8),
        V1Op::Cnt => map_u(t, a, |x| u64::from(x.count_ones())),
        V1Op::Clz => map_u(t, a, |x| u64::from(x.leading_zeros() + bits(t) - 64)),
        V1Op::Cls => map_s(t, a, |x| i64::from((x ^ (x >> 63)).leading_zeros() + bits(t) - 65)),
        V1Op::Rbit => map_u(t, a, |x| x.reverse_bits() >> (64 - bits(t))),
        V1Op::Abs => map_s(t, a, i64::wrapping_abs),
        V1Op::Neg => map_s(t, a, i64::wrapping_neg),
        V1Op::QAbs => map_s(t, a, |x| saturate_s(t, i128::from(x).abs(), env) as i64),
        V1Op::QNeg => map_s(t, a, |x| saturate_s(t, -i128::from(x), env) as i64),
        V1Op::CmpEq0 => map_s(t, a, |x| truth(x == 0)),
        V1Op::CmpGt0 => map_s(t, a, |x| truth(x > 0)),
        V1Op::CmpGe0 => map_s(t, a, |x| truth(x >= 0)),
        V1Op::CmpLe0 => map_s(t, a, |x| truth(x <= 0)),
        V1Op::CmpLt0 => map_s(t, a, |x| truth(x < 0)),
        V1Op::Shl => map_u(t, a, |x| x << imm),
        V1Op::ShrS => map_s(t, a, |x| x >> imm.min(63)),
        V1Op::ShrU => map_u(t, a, |x| shift(i128::from(x), -(imm as i32), false) as u64),
        V1Op::RShrS => map_s(t, a, |x| shift(i128::from(x), -(imm as i32), true) as i64),
        V1Op::RShrU => map_u(t, a, |x| shift(i128::from(x), -(imm as i32), true) as u64),
        V1Op::QShlS => map_s(t, a, |x| saturate_s(t, i128::from(x) << imm, env) as i64),
        V1Op::QShlU => map_u(t, a, |x| saturate_u(t, i128::from(x) << imm, env)),
        V1Op::QShlSU => map_s(t, a, |x| saturate_u(t, i128::from(x) << imm, env) as i64),
        V1Op::Narrow => narrow(t, a, |x| x >> imm),
        V1Op::RNarrow => narrow(t, a, |x| shift(i128::from(x), -(imm as i32), true) as u64),
        V1Op::QNarrowS => narrow_s(t, a, |half, x| saturate_s(half, x >> imm, env)),
        V1Op::QNarrowU => narrow_u(t, a, |half, x| saturate_u(half, x >> imm, env)),
        V1Op::QNarrowSU => narrow_s(t, a, |half, x| saturate_u(half, x >> imm, env)),
        V1Op::QRNarrowS => narrow_s(t, a, |half, x| saturate_s(half, shift(x, -(imm as i32), true), env)),
        V1Op::QRNarrowU => narrow_u(t, a, |half, x| saturate_u(half, shift(x, -(imm as i32), true), env)),
        V1Op::QRNarrowSU => narrow_s(t, a, |half, x| saturate_u(half, shift(x, -(imm as i32), true), env)),
        V1Op::WidenS => long_s(t, a, 0, |x, _| x << imm),
        V1Op::WidenU => long_u(t, a, 0, |x, _| x << imm),
        V1Op::PairSumS => pair_long(t, a, true),
        V1Op::PairSumU => pair_long(t, a, false),
        V1Op::Sum => reduce_u(t, a, u64::wrapping_add),
        V1Op::SumLongS => {
            let total: i64 = (0..t.count()).map(|i| get_s(t, a, i)).sum();
            u128::from(total as u64 & (u64::MAX >> (64 - (2 * bits(t)).min(64))))
        }
        V1Op::SumLongU => u128::from((0..t.count()).map(|i| get(t, a, i)).sum::<u64>()),
        V1Op::MaxAcrossS => reduce_s(t, a, i64::max),
        V1Op::MaxAcrossU => reduce_u(t, a, u64::max),
        V1Op::MinAcrossS => reduce_s(t, a, i64::min),
        V1Op::MinAcrossU => reduce_u(t, a, u64::min),
        V1Op::RecipEstU => map_u(t, a, recip_estimate),
        V1Op::RsqrtEstU => map_u(t, a, rsqrt_estimate),
        V1Op::FUnbox if a as u64 >> 32 == 0xffff_ffff => fit(Lanes::S, a),
        V1Op::FUnbox => 0x7fc0_0000,
        V1Op::FBox => u128::from(a as u32) | 0xffff_ffff_0000_0000,
        V1Op::FAbs
        | V1Op::FNeg
        | V1Op::FSqrt
        | V1Op::FRound
        | V1Op::FRecipEst
        | V1Op::FRsqrtEst
        | V1Op::FRecipExp
        | V1Op::FCmpEq0
        | V1Op::FCmpGt0
        | V1Op::FCmpGe0
        | V1Op::FCmpLe0
        | V1Op::FCmpLt0
        | V1Op::FConvert
        | V1Op::FWiden
        | V1Op::FNarrow
        | V1Op::FNarrowOdd
        | V1Op::FToS
        | V1Op::FToU
        | V1Op::SToF
        | V1Op::UToF
        | V1Op::FSum
        | V1Op::FMaxAcross
        | V1Op::FMinAcross
        | V1Op::FMaxNumAcross
        | V1Op::FMinNumAcross => env.rounded(imm, |env| float::v1(op, t, a, rounding::unstated(imm), env)),
        V1Op::AesMix => crypto::aes_mix(a),
        V1Op::AesUnmix => crypto::aes_unmix(a),
        V1Op::Sha1H => u128::from((a as u32).rotate_left(30)),
    }
}

/// Reference meaning of [`V2Op`].
pub fn v2(op: V2Op, t: Lanes, a: u128, b: u128, imm: u32, env: &mut FpEnv) -> u128 {
    use lanes::*;
    match op {
        V2Op::And => fit(t, a & b),
        V2Op::AndNot => fit(t, a & !b),
        V2Op::Or => fit(t, a | b),
        V2Op::OrNot => fit(t, a | !b),
        V2Op::Xor => fit(t, a ^ b),
        V2Op::Insert => set(t, a, (imm & 255) as usize, get(t, b, (imm >> 8) as usize)),
        V2Op::Ext => extract(t, a, b, imm),
        V2Op::Zip1 => zip(t, a, b, 0),
        V2Op::Zip2 => zip(t, a, b, t.count() / 2),
        V2Op::Uzp1 => unzip(t, a, b, 0),
        V2Op::Uzp2 => unzip(t, a, b, 1),
        V2Op::Trn1 => transpose(t, a, b, 0),
        V2Op::Trn2 => transpose(t, a, b, 1),
        V2Op::Tbl => table(t, 0, a, b, imm),
        V2Op::Add => map2_u(t, a, b, u64::wrapping_add),
        V2Op::Sub => map2_u(t, a, b, u64::wrapping_sub),
        V2Op::Mul => map2_u(t, a, b, u64::wrapping_mul),
        V2Op::MulP => map2_u(t, a, b, |x, y| carryless(x, y) as u64),
        V2Op::CmpEq => map2_s(t, a, b, |x, y| truth(x == y)),
        V2Op::CmpGtS => map2_s(t, a, b, |x, y| truth(x > y)),
        V2Op::CmpGeS => map2_s(t, a, b, |x, y| truth(x >= y)),
        V2Op::CmpGtU => map2_u(t, a, b, |x, y| truth(x > y) as u64),
        V2Op::CmpGeU => map2_u(t, a, b, |x, y| truth(x >= y) as u64),
        V2Op::CmpTst => map2_s(t, a, b, |x, y| truth(x & y != 0)),
        V2Op::MaxS => map2_s(t, a, b, i64::max),
        V2Op::MaxU => map2_u(t, a, b, u64::max),
        V2Op::MinS => map2_s(t, a, b, i64::min),
        V2Op::MinU => map2_u(t, a, b, u64::min),
        V2Op::DiffS => map2_s(t, a, b, |x, y| x.abs_diff(y) as i64),
        V2Op::DiffU => map2_u(t, a, b, u64::abs_diff),
        V2Op::HAddS => map2_s(t, a, b, |x, y| ((i128::from(x) + i128::from(y)) >> 1) as i64),
        V2Op::HAddU => map2_u(t, a, b, |x, y| ((u128::from(x) + u128::from(y)) >> 1) as u64),
        V2Op::RHAddS => map2_s(t, a, b, |x, y| ((i128::from(x) + i128::from(y) + 1) >> 1) as i64),
        V2Op::RHAddU => map2_u(t, a, b, |x, y| ((u128::from(x) + u128::from(y) + 1) >> 1) as u64),
        V2Op::HSubS => map2_s(t, a, b, |x, y| ((i128::from(x) - i128::from(y)) >> 1) as i64),
        V2Op::HSubU => map2_u(t, a, b, |x, y| ((i128::from(x) - i128::from(y)) >> 1) as u64),
        V2Op::QAddS => map2_s(t, a, b, |x, y| saturate_s(t, i128::from(x) + i128::from(y), env) as i64),
        V2Op::QAddU => map2_u(t, a, b, |x, y| saturate_u(t, i128::from(x) + i128::from(y), env)),
        V2Op::QSubS => map2_s(t, a, b, |x, y| saturate_s(t, i128::from(x) - i128::from(y), env) as i64),
        V2Op::QSubU => map2_u(t, a, b, |x, y| saturate_u(t, i128::from(x) - i128::from(y), env)),
        V2Op::QAddSU => build(t, |i| saturate_s(t, i128::from(get_s(t, a, i)) + i128::from(get(t, b, i)), env)),
        V2Op::QAddUS => build(t, |i| saturate_u(t, i128::from(get(t, a, i)) + i128::from(get_s(t, b, i)), env)),
        V2Op::QDMulHi => map2_s(t, a, b, |x, y| saturate_s(t, mul_high(t, x, y, 0), env) as i64),
        V2Op::QRDMulHi => map2_s(t, a, b, |x, y| saturate_s(t, mul_high(t, x, y, 1 << (bits(t) - 1)), env) as i64),
        V2Op::ShlVS => map2_s(t, a, b, |x, y| shift_by(x, y, false) as i64),
        V2Op::ShlVU => map2_u(t, a, b, |x, y| shift_by_u(x, y, false)),
        V2Op::RShlVS => map2_s(t, a, b, |x, y| shift_by(x, y, true) as i64),
        V2Op::RShlVU => map2_u(t, a, b, |x, y| shift_by_u(x, y, true)),
        V2Op::QShlVS => {
            map2_s(t, a, b, |x, y| saturate_s(t, shift_wide(t, i128::from(x), y as u64, false), env) as i64)
        }
        V2Op::QShlVU => map2_u(t, a, b, |x, y| saturate_u(t, shift_wide(t, i128::from(x), y, false), env)),
        V2Op::QRShlVS => {
            map2_s(t, a, b, |x, y| saturate_s(t, shift_wide(t, i128::from(x), y as u64, true), env) as i64)
        }
        V2Op::QRShlVU => map2_u(t, a, b, |x, y| saturate_u(t, shift_wide(t, i128::from(x), y, true), env)),
        V2Op::Sli => map2_u(t, a, b, |x, y| (y << imm) | (x & ((1 << imm) - 1))),
        V2Op::Sri => map2_u(t, a, b, |x, y| {
            let kept = ones(t) & !shift(i128::from(ones(t)), -(imm as i32), false) as u64;
            shift(i128::from(y), -(imm as i32), false) as u64 | (x & kept)
        }),
        V2Op::AddP => pair_u(t, a, b, u64::wrapping_add),
        V2Op::MaxPS => pair_s(t, a, b, i64::max),
        V2Op::MaxPU => pair_u(t, a, b, u64::max),
        V2Op::MinPS => pair_s(t, a, b, i64::min),
        V2Op::MinPU => pair_u(t, a, b, u64::min),
        V2Op::AddLongS => long_s(t, a, b, |x, y| x + y),
        V2Op::AddLongU => long_u(t, a, b, |x, y| x + y),
        V2Op::SubLongS => long_s(t, a, b, |x, y| x - y),
        V2Op::SubLongU => long_u(t, a, b, u64::wrapping_sub),
        V2Op::AddWideS => wide(t, a, long_s(t, b, 0, |x, _| x), u64::wrapping_add),
        V2Op::AddWideU => wide(t, a, long_u(t, b, 0, |x, _| x), u64::wrapping_add),
        V2Op::SubWideS => wide(t, a, long_s(t, b, 0, |x, _| x), u64::wrapping_sub),
        V2Op::SubWideU => wide(t, a, long_u(t, b, 0, |x, _| x), u64::wrapping_sub),
        V2Op::MulLongS => long_s(t, a, b, |x, y| x * y),
        V2Op::MulLongU => long_u(t, a, b, |x, y| x * y),
        V2Op::MulLongP if t.element() == 8 => carryless(upper_if_full(t, a) as u64, upper_if_full(t, b) as u64),
        V2Op::MulLongP => long_u(t, a, b, |x, y| carryless(x, y) as u64),
        V2Op::QDMulLong => {
            let double = doubled(t);
            long_s(t, a, b, |x, y| saturate_s(double, 2 * i128::from(x) * i128::from(y), env) as i64)
        }
        V2Op::DiffLongS => long_s(t, a, b, |x, y| x.abs_diff(y) as i64),
        V2Op::DiffLongU => long_u(t, a, b, u64::abs_diff),
        V2Op::AddNarrow => narrow_high(t, a, b, 0, u64::wrapping_add),
        V2Op::RAddNarrow => narrow_high(t, a, b, 1, u64::wrapping_add),
        V2Op::SubNarrow => narrow_high(t, a, b, 0, u64::wrapping_sub),
        V2Op::RSubNarrow => narrow_high(t, a, b, 1, u64::wrapping_sub),
        V2Op::FAdd
        | V2Op::FSub
        | V2Op::FMul
        | V2Op::FNMul
        | V2Op::FMulX
        | V2Op::FDiv
        | V2Op::FMax
        | V2Op::FMin
        | V2Op::FMaxNum
        | V2Op::FMinNum
        | V2Op::FDiff
        | V2Op::FRecipStep
        | V2Op::FRsqrtStep
        | V2Op::FCmpEq
        | V2Op::FCmpGe
        | V2Op::FCmpGt
        | V2Op::FCmpAbsGe
        | V2Op::FCmpAbsGt
        | V2Op::FAddP
        | V2Op::FMaxP
        | V2Op::FMinP
        | V2Op::FMaxNumP
        | V2Op::FMinNumP => env.rounded(imm, |env| float::v2(op, t, a, b, env)),
        V2Op::AesEnc => crypto::aes_encrypt(a ^ b),
        V2Op::AesDec => crypto::aes_decrypt(a ^ b),
        V2Op::Sha1Su1 => crypto::sha1_schedule1(a, b),
        V2Op::Sha256Su0 => crypto::sha256_schedule0(a, b),
    }
}

/// Reference meaning of [`V3Op`].
pub fn v3(op: V3Op, t: Lanes, a: u128, b: u128, c: u128, imm: u32, env: &mut FpEnv) -> u128 {
    use lanes::*;
    match op {
        V3Op::Bsl => fit(t, (b & a) | (c & !a)),
        V3Op::Tbx => table(t, a, b, c, imm),
        V3Op::Uzp3 => unzip3(t, [a, b, c], imm as usize),
        V3Op::Zip3 => zip3(t, [a, b, c], imm as usize),
        V3Op::FMulAdd | V3Op::FMulSub | V3Op::FNMulAdd | V3Op::FNMulSub => {
            env.rounded(imm, |env| float::v3(op, t, a, b, c, env))
        }
        V3Op::QRDMulAdd => build(t, |i| mul_accumulate(t, a, b, c, i, false, env)),
        V3Op::QRDMulSub => build(t, |i| mul_accumulate(t, a, b, c, i, true, env)),
        V3Op::DotS => dot(t, a, |i| get_s(Lanes::B16, b, i) * get_s(Lanes::B16, c, i)),
        V3Op::DotU => dot(t, a, |i| (get(Lanes::B16, b, i) * get(Lanes::B16, c, i)) as i64),
        V3Op::Sha1C => crypto::sha1_hash(a, b, c, |x, y, z| (x & y) | (!x & z)),
        V3Op::Sha1P => crypto::sha1_hash(a, b, c, |x, y, z| x ^ y ^ z),
        V3Op::Sha1M => crypto::sha1_hash(a, b, c, |x, y, z| (x & y) | (x & z) | (y & z)),
        V3Op::Sha1Su0 => crypto::sha1_schedule0(a, b, c),
        V3Op::Sha256H => crypto::sha256_hash(a, b, c).0,
        // The instruction's first operand is the second half of the state.
        V3Op::Sha256H2 => crypto::sha256_hash(b, a, c).1,
        V3Op::Sha256Su1 => crypto::sha256_schedule1(a, b, c),
    }
}

/// Reference meaning of [`VxOp`].
pub fn vx(op: VxOp, t: Lanes, a: u128, imm: u32, env: &mut FpEnv) -> u64 {
    match op {
        VxOp::Get => lanes::get(t, a, imm as usize),
        VxOp::GetS => lanes::get_s(t, a, imm as usize) as u64,
        VxOp::FToS32 => float::to_int(t, a, true, 32, imm, env),
        VxOp::FToU32 => float::to_int(t, a, false, 32, imm, env),
        VxOp::FToS64 => float::to_int(t, a, true, 64, imm, env),
        VxOp::FToU64 => float::to_int(t, a, false, 64, imm, env),
        VxOp::FClass => float::class(t, a),
    }
}

/// Reference meaning of [`XvOp`]; `old` is the destination's old value.
pub fn xv(op: XvOp, t: Lanes, old: u128, a: u64, imm: u32, env: &mut FpEnv) -> u128 {
    let from = |negative: bool, magnitude: u64, env: &mut FpEnv| {
        env.rounded(imm, |env| float::from_int(t, negative, magnitude, rounding::unstated(imm), env))
    };
    let from_signed = |v: i64, env: &mut FpEnv| from(v < 0, v.unsigned_abs(), env);
    match op {
        XvOp::Insert => lanes::set(t, old, imm as usize, a),
        XvOp::Mov => u128::from(a & lanes::ones(t)),
        XvOp::Dup => lanes::build(t, |_| a),
        XvOp::S32ToF => from_signed(i64::from(a as i32), env),
        XvOp::U32ToF => from(false, u64::from(a as u32), env),
        XvOp::S64ToF => from_signed(a as i64, env),
        XvOp::U64ToF => from(false, a, env),
    }
}

/// Reference meaning of [`crate::uop::Uop::FCmp`]: the packed flags of comparing element 0 of a and b; for a comparison
/// with zero b is 0.
pub fn fcmp(t: Lanes, a: u128, b: u128, signal: bool, env: &mut FpEnv) -> u64 {
    float::flags(t, a, b, signal, env)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SATURATED: u32 = 1 << 27;

    #[track_caller]
    fn one(op: V1Op, t: Lanes, a: u128, imm: u32, expected: u128, status: u32) {
        let mut env = FpEnv::default();
        let found = v1(op, t, a, imm, &mut env);
        assert_eq!((found, env.status), (expected, status), "{found:#x}");
    }

    #[track_caller]
    fn two(op: V2Op, t: Lanes, a: u128, b: u128, imm: u32, expected: u128, status: u32) {
        let mut env = FpEnv::default();
        let found = v2(op, t, a, b, imm, &mut env);
        assert_eq!((found, env.status), (expected, status), "{found:#x}");
    }

    const BYTES: u128 = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;

    #[test]
    fn what_lies_above_the_arrangement_is_cleared() {
        one(V1Op::Not, Lanes::B8, 0, 0, u64::MAX.into(), 0);
        one(V1Op::Mov, Lanes::H, BYTES, 0, 0x0100, 0);
        two(V2Op::Add, Lanes::B8, BYTES, BYTES, 0, 0x0e0c_0a08_0604_0200, 0);
        two(V2Op::Add, Lanes::D, BYTES, 1, 0, 0x0706_0504_0302_0101, 0);
    }

    #[test]
    fn permutations() {
        one(V1Op::Rev64, Lanes::H4, BYTES, 0, 0x0100_0302_0504_0706, 0);
        one(V1Op::Dup, Lanes::S2, BYTES, 3, 0x0f0e_0d0c_0f0e_0d0c, 0);
        two(V2Op::Zip1, Lanes::H4, BYTES, 0, 0, 0x0000_0302_0000_0100, 0);
        two(V2Op::Zip2, Lanes::H4, BYTES, 0, 0, 0x0000_0706_0000_0504, 0);
        two(V2Op::Uzp2, Lanes::B8, BYTES, 0, 0, 0x0000_0000_0705_0301, 0);
        two(V2Op::Trn1, Lanes::B8, BYTES, BYTES, 0, 0x0606_0404_0202_0000, 0);
        two(V2Op::Ext, Lanes::B8, BYTES, 0xff, 3, 0x0000_ff07_0605_0403, 0);
        two(V2Op::Tbl, Lanes::B8, BYTES, 0x10_0f_02, 0, 0x0000_0f02, 0);
        two(V2Op::Insert, Lanes::H8, 0, BYTES, 1 | 3 << 8, 0x0706_0000, 0);
    }

    #[test]
    fn three_registers_sort_and_unsort() {
        let registers = [BYTES, BYTES << 4, BYTES << 2];
        let mut env = FpEnv::default();
        let mut all = |op, [a, b, c]: [u128; 3]| [0, 1, 2].map(|part| v3(op, Lanes::H8, a, b, c, part, &mut env));
        let sorted = all(V3Op::Zip3, registers);
        assert_eq!(sorted[0] & 0xffff_ffff_ffff, 0x0400_1000_0100);
        assert_eq!(all(V3Op::Uzp3, sorted), registers);
    }

    #[test]
    fn shifts_by_a_register_go_both_ways() {
        two(V2Op::ShlVS, Lanes::B8, 0x8181, 0xff01, 0, 0xc002, 0);
        two(V2Op::ShlVU, Lanes::B8, 0x8181, 0x80_f8, 0, 0, 0);
        two(V2Op::RShlVU, Lanes::B8, 0x8181, 0xf7_f8, 0, 0x0001, 0);
        two(V2Op::QShlVS, Lanes::D, 1, 63, 0, 0x7fff_ffff_ffff_ffff, SATURATED);
        two(V2Op::QShlVU, Lanes::D, 1, 63, 0, 1 << 63, 0);
        two(V2Op::QShlVU, Lanes::D, 1, 64, 0, u64::MAX.into(), SATURATED);
        two(V2Op::QRShlVS, Lanes::H, 0xffff, 0x80, 0, 0, 0);
    }

    #[test]
    fn saturation_is_noted() {
        two(V2Op::QAddS, Lanes::B8, 0x7f, 1, 0, 0x7f, SATURATED);
        two(V2Op::QSubU, Lanes::H, 1, 2, 0, 0, SATURATED);
        two(V2Op::QAddUS, Lanes::B, 1, 0xfe, 0, 0, SATURATED);
        two(V2Op::QDMulHi, Lanes::H, 0x8000, 0x8000, 0, 0x7fff, SATURATED);
        one(V1Op::QNarrowSU, Lanes::H8, 0x7fff_ffff, 0, 0xff00, SATURATED);
        one(V1Op::QAbs, Lanes::D, 1 << 63, 0, (1 << 63) - 1, SATURATED);
        one(V1Op::Abs, Lanes::D, 1 << 63, 0, 1 << 63, 0);
    }

    #[test]
    fn full_narrow_sources_stand_for_their_upper_half() {
        let a = 0xff << 64 | 0x01;
        two(V2Op::AddLongS, Lanes::B8, a, a, 0, 0x0002, 0);
        two(V2Op::AddLongS, Lanes::B16, a, a, 0, 0xfffe, 0);
        two(V2Op::AddWideU, Lanes::B16, 1, a, 0, 0x0100, 0);
        two(V2Op::MulLongP, Lanes::D2, 3 << 64, 1 << 127, 0, 3 << 63, 0);
        one(V1Op::WidenS, Lanes::S4, 0x8000_0000 << 64, 1, 0xffff_ffff_0000_0000, 0);
        one(V1Op::Narrow, Lanes::H8, BYTES, 4, 0xf0d0_b090_7050_3010, 0);
    }

    #[test]
    fn reductions() {
        one(V1Op::Sum, Lanes::B16, BYTES, 0, 120, 0);
        one(V1Op::SumLongS, Lanes::B8, 0xffff, 0, 0xfffe, 0);
        one(V1Op::MaxAcrossS, Lanes::H8, BYTES | 0xff << 120, 0, 0x0d0c, 0);
        one(V1Op::PairSumU, Lanes::B8, BYTES, 0, 0x000d_0009_0005_0001, 0);
        two(V2Op::MaxPU, Lanes::B8, BYTES, 0x80, 0, 0x0000_0080_0705_0301, 0);
    }
}
