//! Functions that generated code calls with its operands in registers: what the host has instructions for and Cranelift
//! does not emit.
//!
//! They touch nothing but their operands, and each means what the reference of its micro-op means. A function is given
//! out only if the host has what it needs; where it has not, the reference is called.

#![allow(improper_ctypes_definitions, reason = "the host's calling convention passes its vectors in registers")]

use crate::uop::{self, BinOp, Lanes};
use crate::vector::{V1Op, V2Op, V3Op, rounding, softfloat};
use std::arch::x86_64::*;

/// What of the host processor decides which functions there are: its model and features.
pub(super) fn description() -> String {
    let (basic, more) = (__cpuid(1), __cpuid_count(7, 0));
    // The upper bytes of `ebx` say which processor of several it is.
    let words = [basic.eax, basic.ecx, basic.edx, more.ebx, more.ecx, more.edx];
    words.map(|word| format!("{word:x}")).join(" ")
}

/// The function of an integer operation: two operands of 64 bits to one.
pub(super) fn bin(op: BinOp) -> Option<usize> {
    let checksums = is_x86_feature_detected!("sse4.2");
    Some(match op {
        BinOp::Crc32B => crc32b as *const () as usize,
        BinOp::Crc32H => crc32h as *const () as usize,
        BinOp::Crc32W => crc32w as *const () as usize,
        BinOp::Crc32X => crc32x as *const () as usize,
        BinOp::Crc32CB if checksums => crc32cb as *const () as usize,
        BinOp::Crc32CH if checksums => crc32ch as *const () as usize,
        BinOp::Crc32CW if checksums => crc32cw as *const () as usize,
        BinOp::Crc32CX if checksums => crc32cx as *const () as usize,
        _ => return None,
    })
}

/// The function of an operation on one vector.
pub(super) fn one(op: V1Op) -> Option<usize> {
    let aes = is_x86_feature_detected!("aes");
    Some(match op {
        V1Op::AesMix if aes => aes_mix as *const () as usize,
        V1Op::AesUnmix if aes => aes_unmix as *const () as usize,
        _ => return None,
    })
}

/// The function of an operation on two vectors. What it leaves above the arrangement is anything.
pub(super) fn two(op: V2Op, t: Lanes) -> Option<usize> {
    let (aes, sha) = (is_x86_feature_detected!("aes"), is_x86_feature_detected!("sha"));
    if let V2Op::ShlVS | V2Op::ShlVU | V2Op::RShlVS | V2Op::RShlVU = op {
        return is_x86_feature_detected!("avx2").then(|| shifts(op, t)).flatten();
    }
    Some(match op {
        V2Op::AesEnc if aes => aes_encrypt as *const () as usize,
        V2Op::AesDec if aes => aes_decrypt as *const () as usize,
        V2Op::Sha256Su0 if sha => sha256_schedule0 as *const () as usize,
        V2Op::MulLongP if t.element() == 8 && is_x86_feature_detected!("pclmulqdq") => {
            if t == Lanes::D2 {
                carryless_upper as *const () as usize
            } else {
                carryless_lower as *const () as usize
            }
        }
        _ => return None,
    })
}

/// The function of an operation on three vectors.
pub(super) fn three(op: V3Op) -> Option<usize> {
    if !is_x86_feature_detected!("sha") {
        return None;
    }
    Some(match op {
        V3Op::Sha1C => sha1_choose as *const () as usize,
        V3Op::Sha1P => sha1_parity as *const () as usize,
        V3Op::Sha1M => sha1_majority as *const () as usize,
        V3Op::Sha256H => sha256_hash as *const () as usize,
        V3Op::Sha256H2 => sha256_hash2 as *const () as usize,
        V3Op::Sha256Su1 => sha256_schedule1 as *const () as usize,
        _ => return None,
    })
}

/// The function that rounds numbers to integers in a direction, raising nothing; none of them may be a NaN.
pub(super) fn round(t: Lanes, direction: u32) -> Option<usize> {
    let directions = match t.element() {
        4 => [even32 as *const (), up32 as *const (), down32 as *const (), zero32 as *const (), away32 as *const ()],
        8 => [even64 as *const (), up64 as *const (), down64 as *const (), zero64 as *const (), away64 as *const ()],
        _ => return None,
    };
    // Native code runs only while the current direction is to even.
    let direction = if direction == rounding::CURRENT { rounding::EVEN } else { direction };
    directions.get(direction as usize).filter(|_| is_x86_feature_detected!("sse4.1")).map(|&function| function as usize)
}

// ---- checksums

/// Functions that are the reference by themselves.
macro_rules! references {
    ($($name:ident $op:ident,)*) => {
        $(extern "sysv64" fn $name(a: u64, b: u64) -> u64 {
            uop::bin(BinOp::$op, a, b)
        })*
    };
}

references! {
    crc32b Crc32B,
    crc32h Crc32H,
    crc32w Crc32W,
    crc32x Crc32X,
}

#[target_feature(enable = "sse4.2")]
extern "sysv64" fn crc32cb(a: u64, b: u64) -> u64 {
    u64::from(_mm_crc32_u8(a as u32, b as u8))
}

#[target_feature(enable = "sse4.2")]
extern "sysv64" fn crc32ch(a: u64, b: u64) -> u64 {
    u64::from(_mm_crc32_u16(a as u32, b as u16))
}

#[target_feature(enable = "sse4.2")]
extern "sysv64" fn crc32cw(a: u64, b: u64) -> u64 {
    u64::from(_mm_crc32_u32(a as u32, b as u32))
}

#[target_feature(enable = "sse4.2")]
extern "sysv64" fn crc32cx(a: u64, b: u64) -> u64 {
    _mm_crc32_u64(a & 0xffff_ffff, b)
}

// ---- AES and polynomials

/// The host's last round adds its key after the substitution, the guest's before: with a key of 0 both are the same.
#[target_feature(enable = "aes")]
extern "sysv64" fn aes_encrypt(a: __m128i, b: __m128i) -> __m128i {
    _mm_aesenclast_si128(_mm_xor_si128(a, b), _mm_setzero_si128())
}

#[target_feature(enable = "aes")]
extern "sysv64" fn aes_decrypt(a: __m128i, b: __m128i) -> __m128i {
    _mm_aesdeclast_si128(_mm_xor_si128(a, b), _mm_setzero_si128())
}

/// A whole round whose substitution has been undone before.
#[target_feature(enable = "aes")]
extern "sysv64" fn aes_mix(a: __m128i) -> __m128i {
    let zero = _mm_setzero_si128();
    _mm_aesenc_si128(_mm_aesdeclast_si128(a, zero), zero)
}

#[target_feature(enable = "aes")]
extern "sysv64" fn aes_unmix(a: __m128i) -> __m128i {
    _mm_aesimc_si128(a)
}

#[target_feature(enable = "pclmulqdq")]
extern "sysv64" fn carryless_lower(a: __m128i, b: __m128i) -> __m128i {
    _mm_clmulepi64_si128::<0x00>(a, b)
}

#[target_feature(enable = "pclmulqdq")]
extern "sysv64" fn carryless_upper(a: __m128i, b: __m128i) -> __m128i {
    _mm_clmulepi64_si128::<0x11>(a, b)
}

// ---- SHA

/// Four rounds of SHA-1. The host counts words from the other end, and adds the rounds' constant itself, so that it is
/// taken out of the schedule words first.
#[target_feature(enable = "sha,sse4.1")]
fn sha1_hash<const ROUNDS: i32>(x: __m128i, y: __m128i, w: __m128i, constant: u32) -> __m128i {
    let words = _mm_sub_epi32(w, _mm_set1_epi32(constant as i32));
    // `y` counts in its first word only.
    let words = _mm_add_epi32(words, _mm_and_si128(y, _mm_cvtsi32_si128(-1)));
    let result = _mm_sha1rnds4_epu32::<ROUNDS>(_mm_shuffle_epi32::<0x1b>(x), _mm_shuffle_epi32::<0x1b>(words));
    _mm_shuffle_epi32::<0x1b>(result)
}

#[target_feature(enable = "sha,sse4.1")]
extern "sysv64" fn sha1_choose(x: __m128i, y: __m128i, w: __m128i) -> __m128i {
    sha1_hash::<0>(x, y, w, 0x5a82_7999)
}

#[target_feature(enable = "sha,sse4.1")]
extern "sysv64" fn sha1_parity(x: __m128i, y: __m128i, w: __m128i) -> __m128i {
    sha1_hash::<1>(x, y, w, 0x6ed9_eba1)
}

#[target_feature(enable = "sha,sse4.1")]
extern "sysv64" fn sha1_majority(x: __m128i, y: __m128i, w: __m128i) -> __m128i {
    sha1_hash::<2>(x, y, w, 0x8f1b_bcdc)
}

/// Four rounds of SHA-256: a to d, and e to h. The host keeps a, b, e, f and c, d, g, h together, the first one highest.
#[target_feature(enable = "sha,sse4.1")]
fn sha256_rounds(x: __m128i, y: __m128i, w: __m128i) -> (__m128i, __m128i) {
    let (x, y) = (_mm_shuffle_epi32::<0xb1>(x), _mm_shuffle_epi32::<0xb1>(y));
    let (abef, cdgh) = (_mm_unpacklo_epi64(y, x), _mm_unpackhi_epi64(y, x));
    // Two rounds make the old a, b, e, f the new c, d, g, h.
    let second = _mm_sha256rnds2_epu32(cdgh, abef, w);
    let fourth = _mm_sha256rnds2_epu32(abef, second, _mm_shuffle_epi32::<0x0e>(w));
    let (y, x) = (_mm_unpacklo_epi64(fourth, second), _mm_unpackhi_epi64(fourth, second));
    (_mm_shuffle_epi32::<0xb1>(x), _mm_shuffle_epi32::<0xb1>(y))
}

#[target_feature(enable = "sha,sse4.1")]
extern "sysv64" fn sha256_hash(x: __m128i, y: __m128i, w: __m128i) -> __m128i {
    sha256_rounds(x, y, w).0
}

/// The instruction's first operand is the second half of the state.
#[target_feature(enable = "sha,sse4.1")]
extern "sysv64" fn sha256_hash2(y: __m128i, x: __m128i, w: __m128i) -> __m128i {
    sha256_rounds(x, y, w).1
}

#[target_feature(enable = "sha,sse4.1")]
extern "sysv64" fn sha256_schedule0(a: __m128i, b: __m128i) -> __m128i {
    _mm_sha256msg1_epu32(a, b)
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
extern "sysv64" fn sha256_schedule1(a: __m128i, b: __m128i, c: __m128i) -> __m128i {
    let sum = _mm_add_epi32(a, _mm_alignr_epi8::<4>(c, b));
    _mm_sha256msg2_epu32(sum, c)
}

// ---- shifts by a vector of amounts

/// Declares for each function the width of its elements, whether they are signed, and whether it rounds.
macro_rules! shifts {
    ($($name:ident $shift:ident $signed:literal $rounds:literal,)*) => {
        $(#[target_feature(enable = "avx2")]
        extern "sysv64" fn $name(a: __m128i, b: __m128i) -> __m128i {
            $shift::<$signed, $rounds>(a, b)
        })*
    };
}

shifts! {
    shift8s shift8 true false,
    shift16s shift16 true false,
    shift32s shift32 true false,
    shift64s shift64 true false,
    shift8u shift8 false false,
    shift16u shift16 false false,
    shift32u shift32 false false,
    shift64u shift64 false false,
    round8s shift8 true true,
    round16s shift16 true true,
    round32s shift32 true true,
    round64s shift64 true true,
    round8u shift8 false true,
    round16u shift16 false true,
    round32u shift32 false true,
    round64u shift64 false true,
}

fn shifts(op: V2Op, t: Lanes) -> Option<usize> {
    let of_sizes = match op {
        V2Op::ShlVS => [shift8s as *const (), shift16s as *const (), shift32s as *const (), shift64s as *const ()],
        V2Op::ShlVU => [shift8u as *const (), shift16u as *const (), shift32u as *const (), shift64u as *const ()],
        V2Op::RShlVS => [round8s as *const (), round16s as *const (), round32s as *const (), round64s as *const ()],
        V2Op::RShlVU => [round8u as *const (), round16u as *const (), round32u as *const (), round64u as *const ()],
        _ => return None,
    };
    of_sizes.get(t.element().trailing_zeros() as usize).map(|&function| function as usize)
}

/// Words shifted left by `n`, or right by `-n`; `n` is -128 to 127. Rounding adds the last bit that is shifted out.
#[target_feature(enable = "avx2")]
fn words<const SIGNED: bool, const ROUNDS: bool>(x: __m256i, n: __m256i) -> __m256i {
    let back = _mm256_sub_epi32(_mm256_setzero_si256(), n);
    let one = _mm256_set1_epi32(1);
    let less = _mm256_sub_epi32(back, one);
    let (down, half) = if SIGNED {
        (_mm256_srav_epi32(x, back), _mm256_srav_epi32(x, less))
    } else {
        (_mm256_srlv_epi32(x, back), _mm256_srlv_epi32(x, less))
    };
    let down = if ROUNDS { _mm256_add_epi32(down, _mm256_and_si256(half, one)) } else { down };
    _mm256_blendv_epi8(_mm256_sllv_epi32(x, n), down, n)
}

/// The lower halves of words.
#[target_feature(enable = "avx2")]
fn lower_halves(x: __m256i) -> __m128i {
    let x = _mm256_and_si256(x, _mm256_set1_epi32(0xffff));
    _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x))
}

#[target_feature(enable = "avx2")]
fn shift32<const SIGNED: bool, const ROUNDS: bool>(a: __m128i, b: __m128i) -> __m128i {
    let n = _mm_srai_epi32::<24>(_mm_slli_epi32::<24>(b));
    let value = words::<SIGNED, ROUNDS>(_mm256_castsi128_si256(a), _mm256_castsi128_si256(n));
    _mm256_castsi256_si128(value)
}

#[target_feature(enable = "avx2")]
fn shift16<const SIGNED: bool, const ROUNDS: bool>(a: __m128i, b: __m128i) -> __m128i {
    let x = if SIGNED { _mm256_cvtepi16_epi32(a) } else { _mm256_cvtepu16_epi32(a) };
    let n = _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(b));
    lower_halves(words::<SIGNED, ROUNDS>(x, _mm256_cvtepi16_epi32(n)))
}

#[target_feature(enable = "avx2")]
fn shift8<const SIGNED: bool, const ROUNDS: bool>(a: __m128i, b: __m128i) -> __m128i {
    let half = |a, b| {
        let x = if SIGNED { _mm256_cvtepi8_epi32(a) } else { _mm256_cvtepu8_epi32(a) };
        let value = lower_halves(words::<SIGNED, ROUNDS>(x, _mm256_cvtepi8_epi32(b)));
        _mm_and_si128(value, _mm_set1_epi16(0xff))
    };
    let (low, high) = (half(a, b), half(_mm_unpackhi_epi64(a, a), _mm_unpackhi_epi64(b, b)));
    _mm_packus_epi16(low, high)
}

#[target_feature(enable = "avx2")]
fn shift64<const SIGNED: bool, const ROUNDS: bool>(a: __m128i, b: __m128i) -> __m128i {
    let zero = _mm_setzero_si128();
    let n = _mm_cvtepi8_epi64(_mm_shuffle_epi8(b, _mm_set1_epi16(0x0800)));
    let sign = if SIGNED { _mm_cmpgt_epi64(zero, a) } else { zero };
    // Inverted where it is negative, and back again, so that zeros that enter become ones.
    let right = |n| _mm_xor_si128(_mm_srlv_epi64(_mm_xor_si128(a, sign), n), sign);
    let (back, one) = (_mm_sub_epi64(zero, n), _mm_set1_epi64x(1));
    let mut down = right(back);
    if ROUNDS {
        down = _mm_add_epi64(down, _mm_and_si128(right(_mm_sub_epi64(back, one)), one));
    }
    _mm_blendv_epi8(_mm_sllv_epi64(a, n), down, n)
}

// ---- rounding to integers

/// Declares for each function its direction.
macro_rules! rounds {
    ($($single:ident $double:ident $direction:ident,)*) => {
        $(#[target_feature(enable = "sse4.1")]
        extern "sysv64" fn $single(a: __m128i) -> __m128i {
            _mm_castps_si128(_mm_round_ps::<{ $direction | _MM_FROUND_NO_EXC }>(_mm_castsi128_ps(a)))
        }
        #[target_feature(enable = "sse4.1")]
        extern "sysv64" fn $double(a: __m128i) -> __m128i {
            _mm_castpd_si128(_mm_round_pd::<{ $direction | _MM_FROUND_NO_EXC }>(_mm_castsi128_pd(a)))
        })*
    };
}

rounds! {
    even32 even64 _MM_FROUND_TO_NEAREST_INT,
    up32 up64 _MM_FROUND_TO_POS_INF,
    down32 down64 _MM_FROUND_TO_NEG_INF,
    zero32 zero64 _MM_FROUND_TO_ZERO,
}

/// Ties go away from zero: where the rest is at least a half, 1 is added on the number's side. Numbers without a
/// fraction stay out of it, infinities among them.
#[target_feature(enable = "sse4.1")]
extern "sysv64" fn away32(a: __m128i) -> __m128i {
    let (a, sign) = (_mm_castsi128_ps(a), _mm_set1_ps(-0.0));
    let small = _mm_cmplt_ps(_mm_andnot_ps(sign, a), _mm_set1_ps(8_388_608.0));
    let x = _mm_and_ps(a, small);
    let cut = _mm_round_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(x);
    let rest = _mm_andnot_ps(sign, _mm_sub_ps(x, cut));
    let step = _mm_and_ps(_mm_cmpge_ps(rest, _mm_set1_ps(0.5)), _mm_set1_ps(1.0));
    let value = _mm_add_ps(cut, _mm_or_ps(step, _mm_and_ps(sign, x)));
    _mm_castps_si128(_mm_blendv_ps(a, value, small))
}

/// As [`away32`].
#[target_feature(enable = "sse4.1")]
extern "sysv64" fn away64(a: __m128i) -> __m128i {
    let (a, sign) = (_mm_castsi128_pd(a), _mm_set1_pd(-0.0));
    let small = _mm_cmplt_pd(_mm_andnot_pd(sign, a), _mm_set1_pd(4_503_599_627_370_496.0));
    let x = _mm_and_pd(a, small);
    let cut = _mm_round_pd::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(x);
    let rest = _mm_andnot_pd(sign, _mm_sub_pd(x, cut));
    let step = _mm_and_pd(_mm_cmpge_pd(rest, _mm_set1_pd(0.5)), _mm_set1_pd(1.0));
    let value = _mm_add_pd(cut, _mm_or_pd(step, _mm_and_pd(sign, x)));
    _mm_castpd_si128(_mm_blendv_pd(a, value, small))
}

// ---- estimates

/// The function of a reciprocal estimate or one of a reciprocal square root. Where the operand or the result is not a
/// normal number, or not real, the result is a NaN.
pub(super) fn estimate(op: V1Op, t: Lanes) -> Option<usize> {
    Some(match (op, t.element()) {
        (V1Op::FRecipEst, 4) => recip32 as *const () as usize,
        (V1Op::FRecipEst, 8) => recip64 as *const () as usize,
        (V1Op::FRsqrtEst, 4) => rsqrt32 as *const () as usize,
        (V1Op::FRsqrtEst, 8) => rsqrt64 as *const () as usize,
        _ => return None,
    })
}

/// Bits of a number that is an estimate: its sign, exponent field and eight bits of fraction.
fn estimated(x: u64, bits: u32, exponent: u64, estimate: u32) -> u64 {
    let fraction = if bits == 32 { 23 } else { 52 };
    x & 1 << (bits - 1) | exponent << fraction | u64::from(estimate & 0xff) << (fraction - 8)
}

/// Exponent field and the upper nine bits of the significand of a normal number.
fn parts(x: u64, bits: u32) -> (u64, u32) {
    let (fraction, field) = if bits == 32 { (23, 0xff) } else { (52, 0x7ff) };
    (x >> fraction & field, (x >> (fraction - 8)) as u32 & 0xff | 0x100)
}

fn recip(x: u64, bits: u32) -> u64 {
    let (exponent, significand) = parts(x, bits);
    // The result's exponent field is this less the operand's.
    let sum = if bits == 32 { 253 } else { 2045 };
    match exponent {
        0 => u64::MAX,
        exponent if exponent >= sum => u64::MAX,
        exponent => estimated(x, bits, sum - exponent, softfloat::recip_table(significand)),
    }
}

fn rsqrt(x: u64, bits: u32) -> u64 {
    let (exponent, significand) = parts(x, bits);
    let (bias, most) = if bits == 32 { (127, 255) } else { (1023, 2047) };
    if exponent == 0 || exponent == most || x >> (bits - 1) == 1 {
        return u64::MAX;
    }
    // A quarter to 1 times an even power of two; exponents that are even have odd fields.
    let (scaled, even) = if exponent & 1 == 1 { (significand >> 1, exponent + 2) } else { (significand, exponent + 1) };
    estimated(0, bits, bias + bias / 2 - even / 2, softfloat::rsqrt_table(scaled))
}

/// Applies a function to each word.
#[target_feature(enable = "sse2")]
fn words32(a: __m128i, f: impl Fn(u64, u32) -> u64) -> __m128i {
    let (low, high) = (_mm_cvtsi128_si64(a) as u64, _mm_cvtsi128_si64(_mm_unpackhi_epi64(a, a)) as u64);
    let both = |x: u64| (f(x & 0xffff_ffff, 32) & 0xffff_ffff | f(x >> 32, 32) << 32) as i64;
    _mm_set_epi64x(both(high), both(low))
}

/// Applies a function to each doubleword.
#[target_feature(enable = "sse2")]
fn words64(a: __m128i, f: impl Fn(u64, u32) -> u64) -> __m128i {
    let (low, high) = (_mm_cvtsi128_si64(a) as u64, _mm_cvtsi128_si64(_mm_unpackhi_epi64(a, a)) as u64);
    _mm_set_epi64x(f(high, 64) as i64, f(low, 64) as i64)
}

#[target_feature(enable = "sse2")]
extern "sysv64" fn recip32(a: __m128i) -> __m128i {
    words32(a, recip)
}

#[target_feature(enable = "sse2")]
extern "sysv64" fn recip64(a: __m128i) -> __m128i {
    words64(a, recip)
}

#[target_feature(enable = "sse2")]
extern "sysv64" fn rsqrt32(a: __m128i) -> __m128i {
    words32(a, rsqrt)
}

#[target_feature(enable = "sse2")]
extern "sysv64" fn rsqrt64(a: __m128i) -> __m128i {
    words64(a, rsqrt)
}

// ---- half precision

/// What all of these functions need together.
fn converts_halves() -> bool {
    is_x86_feature_detected!("f16c") && is_x86_feature_detected!("avx2")
}

/// The function of an operation on one vector of halves; of `SToF` and `UToF` the unit is the second operand.
pub(super) fn half1(op: V1Op) -> Option<usize> {
    let function = match op {
        V1Op::FSqrt => half_sqrt as *const (),
        V1Op::SToF => half_from_signed as *const (),
        V1Op::UToF => half_from_unsigned as *const (),
        _ => return None,
    };
    converts_halves().then_some(function as usize)
}

/// The function of an operation on two vectors of halves.
pub(super) fn half2(op: V2Op) -> Option<usize> {
    let function = match op {
        V2Op::FAdd | V2Op::FAddP => half_add as *const (),
        V2Op::FSub => half_sub as *const (),
        V2Op::FMul | V2Op::FNMul => half_mul as *const (),
        V2Op::FDiv => half_div as *const (),
        V2Op::FDiff => half_diff as *const (),
        _ => return None,
    };
    converts_halves().then_some(function as usize)
}

/// The function for the sum of halves and the products of others.
pub(super) fn half_mul_add() -> Option<usize> {
    converts_halves().then_some(half_mul_sum as *const () as usize)
}

/// The function for rounding halves to integers; the operand may have no NaN.
pub(super) fn half_round(imm: u32) -> Option<usize> {
    let function = match imm {
        rounding::EVEN | rounding::CURRENT => half_even as *const (),
        rounding::UP => half_up as *const (),
        rounding::DOWN => half_down as *const (),
        rounding::ZERO => half_zero as *const (),
        // The only one that raises something.
        imm if imm == rounding::CURRENT | rounding::EXACT => half_exact as *const (),
        _ => return None,
    };
    converts_halves().then_some(function as usize)
}

/// The function that converts halves to integers of the same size, which must be in range; the second operand is what
/// they are multiplied with before.
pub(super) fn half_to_int(signed: bool, direction: u32) -> Option<usize> {
    let function = match (direction, signed) {
        (rounding::EVEN | rounding::CURRENT, true) => half_to_signed::<_MM_FROUND_TO_NEAREST_INT> as *const (),
        (rounding::UP, true) => half_to_signed::<_MM_FROUND_TO_POS_INF> as *const (),
        (rounding::DOWN, true) => half_to_signed::<_MM_FROUND_TO_NEG_INF> as *const (),
        (rounding::ZERO, true) => half_to_signed::<_MM_FROUND_TO_ZERO> as *const (),
        (rounding::EVEN | rounding::CURRENT, false) => half_to_unsigned::<_MM_FROUND_TO_NEAREST_INT> as *const (),
        (rounding::UP, false) => half_to_unsigned::<_MM_FROUND_TO_POS_INF> as *const (),
        (rounding::DOWN, false) => half_to_unsigned::<_MM_FROUND_TO_NEG_INF> as *const (),
        (rounding::ZERO, false) => half_to_unsigned::<_MM_FROUND_TO_ZERO> as *const (),
        _ => return None,
    };
    converts_halves().then_some(function as usize)
}

/// The function that converts the four lower halves to single precision.
pub(super) fn singles_of_halves() -> Option<usize> {
    converts_halves().then_some(lower_singles as *const () as usize)
}

/// The function that rounds four numbers in single precision to half; the rest becomes 0.
pub(super) fn halves_of_singles() -> Option<usize> {
    converts_halves().then_some(rounded_singles as *const () as usize)
}

/// The function that rounds a number in double precision to half; the rest becomes 0.
pub(super) fn half_of_double() -> Option<usize> {
    converts_halves().then_some(rounded_double as *const () as usize)
}

/// Rounds to half precision. The smallest normal number becomes a NaN: before it was rounded it may have been tiny.
#[target_feature(enable = "avx,f16c")]
fn halves(x: __m256) -> __m128i {
    marked(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x))
}

#[target_feature(enable = "avx,f16c")]
fn marked(x: __m128i) -> __m128i {
    let magnitude = _mm_and_si128(x, _mm_set1_epi16(0x7fff));
    let smallest = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x0400));
    _mm_or_si128(x, _mm_and_si128(smallest, _mm_set1_epi16(0x7fff)))
}

/// All ones where it matters for half precision whether a number in single precision is exact or rounded: at ties, which
/// may have been none, and where it is tiny or next to that.
#[target_feature(enable = "avx2,f16c")]
fn delicate(x: __m256) -> __m256i {
    let bits = _mm256_castps_si256(x);
    let below = _mm256_and_si256(bits, _mm256_set1_epi32(0x1fff));
    let tie = _mm256_cmpeq_epi32(below, _mm256_set1_epi32(0x1000));
    let magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fff_ffff));
    let small = _mm256_cmpgt_epi32(_mm256_set1_epi32(((127 - 14) << 23) + 1), magnitude);
    _mm256_or_si256(tie, small)
}

/// Rounds to half precision; what `doubt` names becomes a NaN.
#[target_feature(enable = "avx2,f16c")]
fn halves_but(x: __m256, doubt: __m256) -> __m128i {
    halves(_mm256_or_ps(x, doubt))
}

/// Declares functions of halves by what they do in single precision.
macro_rules! halves {
    ($($name:ident($($operand:ident),*) $single:expr;)*) => {
        $(#[target_feature(enable = "avx,f16c")]
        extern "sysv64" fn $name($($operand: __m128i),*) -> __m128i {
            $(let $operand = _mm256_cvtph_ps($operand);)*
            halves($single)
        })*
    };
}

halves! {
    half_add(a, b) _mm256_add_ps(a, b);
    half_sub(a, b) _mm256_sub_ps(a, b);
    half_mul(a, b) _mm256_mul_ps(a, b);
    half_div(a, b) _mm256_div_ps(a, b);
    half_diff(a, b) _mm256_andnot_ps(_mm256_set1_ps(-0.0), _mm256_sub_ps(a, b));
    half_sqrt(a) _mm256_sqrt_ps(a);
}

/// Declares functions that round halves to integers; single precision and back change nothing.
macro_rules! half_rounds {
    ($($name:ident $how:expr;)*) => {
        $(#[target_feature(enable = "avx,f16c")]
        extern "sysv64" fn $name(a: __m128i) -> __m128i {
            _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_round_ps::<{ $how }>(_mm256_cvtph_ps(a)))
        })*
    };
}

half_rounds! {
    half_even _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    half_up _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC;
    half_down _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    half_zero _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    half_exact _MM_FROUND_TO_NEAREST_INT;
}

/// Products of halves are exact in single precision; of the sum it is found out where that matters.
#[target_feature(enable = "avx2,f16c")]
extern "sysv64" fn half_mul_sum(a: __m128i, b: __m128i, c: __m128i) -> __m128i {
    let (a, product) = (_mm256_cvtph_ps(a), _mm256_mul_ps(_mm256_cvtph_ps(b), _mm256_cvtph_ps(c)));
    let sum = _mm256_add_ps(product, a);
    // Elsewhere 0, which raises nothing: a sum may be infinite. What is delicate is finite.
    let delicate = _mm256_castsi256_ps(delicate(sum));
    let [a, product, part] = [a, product, sum].map(|x| _mm256_and_ps(x, delicate));
    // An exact sum gives back both of its terms; of another one these would be inexact, which it is itself.
    let term = _mm256_sub_ps(part, product);
    let other = _mm256_sub_ps(part, term);
    let doubt = _mm256_or_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(term, a), _mm256_cmp_ps::<_CMP_NEQ_UQ>(other, product));
    halves_but(sum, doubt)
}

#[target_feature(enable = "avx2,f16c")]
extern "sysv64" fn half_from_signed(a: __m128i, unit: __m128i) -> __m128i {
    let unit = _mm256_broadcastss_ps(_mm_castsi128_ps(unit));
    halves(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(a)), unit))
}

#[target_feature(enable = "avx2,f16c")]
extern "sysv64" fn half_from_unsigned(a: __m128i, unit: __m128i) -> __m128i {
    let unit = _mm256_broadcastss_ps(_mm_castsi128_ps(unit));
    halves(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(a)), unit))
}

/// Words from halves; what is not an integer raises Inexact.
#[target_feature(enable = "avx2,f16c")]
fn half_to_words<const DIRECTION: i32>(a: __m128i, unit: __m128i) -> [__m128i; 2] {
    let scaled = _mm256_mul_ps(_mm256_cvtph_ps(a), _mm256_broadcastss_ps(_mm_castsi128_ps(unit)));
    let words = _mm256_cvttps_epi32(_mm256_round_ps::<DIRECTION>(scaled));
    [_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words)]
}

#[target_feature(enable = "avx2,f16c")]
extern "sysv64" fn half_to_signed<const DIRECTION: i32>(a: __m128i, unit: __m128i) -> __m128i {
    let [low, high] = half_to_words::<DIRECTION>(a, unit);
    _mm_packs_epi32(low, high)
}

#[target_feature(enable = "avx2,f16c")]
extern "sysv64" fn half_to_unsigned<const DIRECTION: i32>(a: __m128i, unit: __m128i) -> __m128i {
    let [low, high] = half_to_words::<DIRECTION>(a, unit);
    _mm_packus_epi32(low, high)
}

#[target_feature(enable = "avx,f16c")]
extern "sysv64" fn lower_singles(a: __m128i) -> __m128i {
    _mm_castps_si128(_mm_cvtph_ps(a))
}

#[target_feature(enable = "avx,f16c")]
extern "sysv64" fn rounded_singles(a: __m128i) -> __m128i {
    marked(_mm_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm_castsi128_ps(a)))
}

#[target_feature(enable = "avx2,f16c")]
extern "sysv64" fn rounded_double(a: __m128i) -> __m128i {
    let single = _mm_cvtsd_ss(_mm_setzero_ps(), _mm_castsi128_pd(a));
    let back = _mm_cvtss_sd(_mm_setzero_pd(), single);
    let exact = _mm_castpd_ps(_mm_cmpeq_sd(back, _mm_castsi128_pd(a)));
    let x = _mm256_zextps128_ps256(single);
    let doubt = _mm256_andnot_ps(_mm256_zextps128_ps256(exact), _mm256_castsi256_ps(delicate(x)));
    // Zeros above the number are exact.
    halves_but(x, _mm256_blend_ps::<1>(_mm256_setzero_ps(), doubt))
}
