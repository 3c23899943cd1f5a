//! Native floating point: the host's operations where they agree with the reference, the reference where they do not.
//!
//! This code runs only while the guest rounds to nearest and neither flushes denormals nor asks for default NaNs. Half
//! precision is in [`super::half`].
//! Exceptions accumulate in MXCSR. What the host does differently goes to a cold path that calls the reference:
//! - a NaN result or operand: which NaN it is, and sometimes whether Invalid is raised;
//! - a product, quotient or narrowed number in the exponent of the smallest normal: the guest detects tininess before
//!   rounding, the host after it, which matters only where rounding reaches the smallest normal;
//! - conversions to integers that are out of range.
//!
//! An operation that may raise something must not vanish because its result is not used: those with a cold path feed
//! its branch, the others store their result to its slot (see [`Lowering::keep`]).

use super::direct;
use super::lower::{Lowering, trusted, v_offset, x_offset};
use crate::uop::{Cc, FlagKind, Lanes, Uop, V, slot};
use crate::vector::{V1Op, V2Op, V3Op, VxOp, XvOp, rounding};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::types::{F32, F32X4, F64, F64X2, I8X16, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};

/// The kind of flags that a native comparison leaves.
pub(super) fn flag_kind(t: Lanes) -> Option<FlagKind> {
    match t {
        Lanes::S => Some(FlagKind::Float32),
        Lanes::D => Some(FlagKind::Float64),
        _ => None,
    }
}

/// The scalar type of an arrangement's elements, if the host computes with them.
fn number(t: Lanes) -> Option<Type> {
    match t.element() {
        4 => Some(F32),
        8 => Some(F64),
        _ => None,
    }
}

/// The integer type of the same size as a scalar or vector of numbers.
fn bits_of(ty: Type) -> Type {
    match ty {
        F32 => I32,
        F64 => I64,
        F32X4 => I32X4,
        _ => I64X2,
    }
}

/// Width of the fraction field.
fn fraction(element: Type) -> i64 {
    if element == F32 { 23 } else { 52 }
}

/// Whether a fused operation negates the number that it adds to, and one that it multiplies.
pub(super) fn negations(op: V3Op) -> Option<(bool, bool)> {
    match op {
        V3Op::FMulAdd => Some((false, false)),
        V3Op::FMulSub => Some((false, true)),
        V3Op::FNMulAdd => Some((true, true)),
        V3Op::FNMulSub => Some((true, false)),
        _ => None,
    }
}

/// When a result must be computed again by the reference.
#[derive(Clone, Copy, PartialEq)]
enum Doubt {
    /// It is a NaN.
    Nan,
    /// It is a NaN or perhaps was tiny before rounding.
    NanOrTiny,
}

fn is_scalar(t: Lanes) -> bool {
    matches!(t, Lanes::S | Lanes::D)
}

/// The vector type of an arrangement of several numbers.
fn numbers(t: Lanes) -> Option<Type> {
    match t {
        Lanes::S2 | Lanes::S4 => Some(F32X4),
        Lanes::D2 => Some(F64X2),
        _ => None,
    }
}

impl Lowering<'_, '_> {
    // ---- scalars in vector slots

    /// Forgets which scalars stand in vectors, where another way may lead to the code that follows.
    pub(super) fn forget_scalars(&mut self) {
        self.scalars.clear();
        self.boxed.clear();
        self.compared = None;
    }

    /// Element 0 of a slot as a number.
    fn scalar(&mut self, v: V, ty: Type) -> Value {
        if ty == F64 && self.numbers.holds(v) {
            return self.number(v);
        }
        let vector = self.get_v(v);
        let vector = self.b.func.dfg.resolve_aliases(vector);
        if let Some(&known) = self.scalars.get(&vector)
            && self.b.func.dfg.value_type(known) == ty
        {
            return known;
        }
        self.first(vector, ty)
    }

    /// Element 0 of a vector as a number.
    fn first(&mut self, vector: Value, ty: Type) -> Value {
        let vector = self.cast(vector, if ty == F32 { F32X4 } else { F64X2 });
        self.b.ins().extractlane(vector, 0)
    }

    /// Puts a number into a slot whose other bits become 0.
    fn set_scalar(&mut self, d: V, value: Value) {
        if self.numbers.holds(d) && self.b.func.dfg.value_type(value) == F64 {
            return self.set_number(d, value);
        }
        let ty = if self.b.func.dfg.value_type(value) == F32 { F32X4 } else { F64X2 };
        let vector = self.b.ins().scalar_to_vector(ty, value);
        let vector = self.bytes_of(vector);
        self.scalars.insert(vector, value);
        self.set_v(d, vector);
    }

    pub(super) fn reinterpret(&mut self, ty: Type, value: Value) -> Value {
        self.b.ins().bitcast(ty, MemFlagsData::new(), value)
    }

    /// The bits of a number, zero-extended to 64.
    fn raw(&mut self, value: Value) -> Value {
        if self.b.func.dfg.value_type(value) == F32 {
            let bits = self.reinterpret(I32, value);
            self.b.ins().uextend(I64, bits)
        } else {
            self.reinterpret(I64, value)
        }
    }

    fn number_of_raw(&mut self, ty: Type, bits: Value) -> Value {
        let bits = if ty == F32 { self.b.ins().ireduce(I32, bits) } else { bits };
        self.reinterpret(ty, bits)
    }

    fn constant(&mut self, ty: Type, value: f64) -> Value {
        if ty == F32 {
            self.b.ins().f32const(Ieee32::with_float(value as f32))
        } else {
            self.b.ins().f64const(Ieee64::with_float(value))
        }
    }

    /// Keeps the instruction that computed `value` alive for the exceptions that it may raise: stores it where the
    /// state's slot is, which is out of date anyway because the slot is about to change.
    fn keep(&mut self, d: V, value: Value) {
        self.b.ins().store(trusted(), value, self.state, v_offset(d));
    }

    // ---- cold paths

    /// `hot`, or what `cold` computes if `doubt` is not 0; `cold` runs behind the reference of the micro-op.
    pub(super) fn or_reference(
        &mut self,
        uop: Uop,
        doubt: Value,
        hot: impl FnOnce(&mut Self) -> Value,
        cold: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        let (warm_label, cold_label, join) = (self.fresh(), self.fresh(), self.fresh());
        self.b.set_cold_block(cold_label);
        self.b.ins().brif(doubt, cold_label, &[], warm_label, &[]);
        self.go_on_in(warm_label);
        let hot = hot(self);
        let ty = self.b.func.dfg.value_type(hot);
        let result = self.b.append_block_param(join, ty);
        self.b.ins().jump(join, &[hot.into()]);
        self.go_on_in(cold_label);
        self.call_reference_cold(uop);
        let cold = cold(self);
        self.b.ins().jump(join, &[cold.into()]);
        self.go_on_in(join);
        result
    }

    /// Sets scalar `d` to `hot`, or to the reference's result if `doubt` is not 0.
    fn finish_scalar(&mut self, uop: Uop, d: V, doubt: Value, hot: impl FnOnce(&mut Self) -> Value, ty: Type) {
        let value = self.or_reference(uop, doubt, hot, |l| l.b.ins().load(ty, trusted(), l.state, v_offset(d)));
        self.set_scalar(d, value);
    }

    /// Sets `d` to `hot`, bytes, or to the reference's result if `doubt` is not 0.
    pub(super) fn finish_vector(&mut self, uop: Uop, d: V, doubt: Value, hot: impl FnOnce(&mut Self) -> Value) {
        let value = self.or_reference(uop, doubt, hot, |l| l.b.ins().load(I8X16, trusted(), l.state, v_offset(d)));
        self.set_v(d, value);
    }

    fn doubtful(&mut self, value: Value, doubt: Doubt) -> Value {
        // By the rules of canonical NaNs tininess is found after rounding, as on the host.
        let doubt = if self.native.canonical { Doubt::Nan } else { doubt };
        let ty = self.b.func.dfg.value_type(value);
        if ty.is_vector() {
            return self.doubtful_lanes(value, ty, doubt);
        }
        if doubt == Doubt::Nan {
            return self.b.ins().fcmp(FloatCC::Unordered, value, value);
        }
        // Exponent fields of all ones and of 1, in one test: plus 1 they are 0 and 2. That is more than needed.
        let fraction = fraction(ty);
        let bits = self.reinterpret(bits_of(ty), value);
        let high = self.b.ins().ushr_imm_u(bits, fraction);
        let next = self.b.ins().iadd_imm_s(high, 1);
        let masked = self.b.ins().band_imm_u(next, if ty == F32 { 0xfd } else { 0x7fd });
        self.b.ins().icmp_imm_s(IntCC::Equal, masked, 0)
    }

    fn doubtful_lanes(&mut self, value: Value, ty: Type, doubt: Doubt) -> Value {
        let mut any = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        if doubt == Doubt::NanOrTiny {
            let (int, element) = (bits_of(ty), ty.lane_type());
            let bits = self.cast(value, int);
            let (sign, smallest) = if element == F32 { (1u64 << 31, 1u64 << 23) } else { (1u64 << 63, 1u64 << 52) };
            let magnitude = self.splat(int, !sign);
            let bits = self.b.ins().band(bits, magnitude);
            let smallest = self.splat(int, smallest);
            let tiny = self.b.ins().icmp(IntCC::Equal, bits, smallest);
            any = self.b.ins().bor(any, tiny);
        }
        self.b.ins().vany_true(any)
    }

    fn unordered(&mut self, a: Value, b: Value) -> Value {
        let mask = self.b.ins().fcmp(FloatCC::Unordered, a, b);
        if self.b.func.dfg.value_type(a).is_vector() { self.b.ins().vany_true(mask) } else { mask }
    }

    // ---- operands of either shape

    /// A slot's numbers: a scalar, or a vector with zeros where `t` has no elements.
    fn operand(&mut self, t: Lanes, v: V) -> Option<Value> {
        if is_scalar(t) {
            return Some(self.scalar(v, number(t)?));
        }
        let ty = numbers(t)?;
        let value = self.get_v(v);
        let value = self.fit(t, value);
        Some(self.cast(value, ty))
    }

    /// Sets `d` to numbers of which NaNs are in doubt, all elements of a vector.
    pub(super) fn finish_number(&mut self, uop: Uop, d: V, value: Value) {
        let ty = self.b.func.dfg.value_type(value);
        let cold = self.doubtful(value, Doubt::Nan);
        if ty.is_vector() {
            self.finish_vector(uop, d, cold, |l| l.bytes_of(value));
        } else {
            self.finish_scalar(uop, d, cold, |_| value, ty);
        }
    }

    /// Sets `d` to a result that may be in doubt.
    fn finish(&mut self, uop: Uop, d: V, result: Value, doubt: Doubt, negate: bool) {
        let cold = self.doubtful(result, doubt);
        let ty = self.b.func.dfg.value_type(result);
        let hot = |l: &mut Self| if negate { l.b.ins().fneg(result) } else { result };
        if ty.is_vector() {
            // Elements that the arrangement does not have were zeros and may have become something else.
            self.finish_vector(uop, d, cold, |l| {
                let value = hot(l);
                let bytes = l.bytes_of(value);
                match uop {
                    Uop::V1 { t, .. } | Uop::V2 { t, .. } | Uop::V3 { t, .. } => l.fit(t, bytes),
                    _ => bytes,
                }
            });
        } else {
            self.finish_scalar(uop, d, cold, hot, ty);
        }
    }

    // ---- micro-ops

    /// Native form of a floating-point micro-op; false if there is none.
    pub(super) fn float(&mut self, uop: Uop) -> bool {
        if let Uop::V1 { imm, .. } | Uop::V2 { imm, .. } | Uop::V3 { imm, .. } | Uop::Xv { imm, .. } = uop
            && rounding::stated_in(imm).is_some_and(|direction| direction != rounding::EVEN)
        {
            return false;
        }
        let done = self.half(uop).or_else(|| match uop {
            Uop::V1 { op, t, d, a, imm } => self.float1(uop, op, t, d, a, rounding::unstated(imm)),
            Uop::V2 { op, t, d, a, b, .. } => self.float2(uop, op, t, d, a, b),
            Uop::V3 { op, t, d, a, b, c, .. } => self.float3(uop, op, t, [d, a, b, c]),
            Uop::Vx { op, t, a, imm, .. } => self.convert_number(uop, op, t, a, imm),
            Uop::Xv { op, t, d, a, imm } => self.convert_integer(uop, op, t, d, a, rounding::unstated(imm)),
            Uop::FCmp { t, a, b, zero, .. } => self.compare(uop, t, a, b, zero),
            _ => None,
        });
        done.is_some()
    }

    fn float1(&mut self, uop: Uop, op: V1Op, t: Lanes, d: V, a: V, imm: u32) -> Option<()> {
        match op {
            V1Op::FSqrt => {
                let operand = self.operand(t, a)?;
                let root = self.b.ins().sqrt(operand);
                if self.is_raw(&uop) {
                    self.set_raw(d, root, &[a]);
                    return Some(());
                }
                self.finish(uop, d, root, Doubt::Nan, false);
            }
            V1Op::FConvert => {
                let (from, to) = match (t, imm) {
                    (Lanes::S | Lanes::D, 2) => return self.finish_narrowed(uop, t, d, a),
                    (Lanes::S, 8) => (F32, F64),
                    (Lanes::D, 4) => (F64, F32),
                    _ => return None,
                };
                let a = self.scalar(a, from);
                if to == F64 {
                    let value = self.b.ins().fpromote(F64, a);
                    self.finish(uop, d, value, Doubt::Nan, false);
                } else {
                    let value = self.b.ins().fdemote(F32, a);
                    self.finish(uop, d, value, Doubt::NanOrTiny, false);
                }
            }
            V1Op::FWiden if matches!(t, Lanes::S2 | Lanes::S4) => {
                let a = self.get_v(a);
                let a = if t == Lanes::S4 { self.bytes(&[a], |i| (i < 8).then_some((0, i + 8))) } else { a };
                let a = self.cast(a, F32X4);
                let value = self.b.ins().fvpromote_low(a);
                self.finish_number(uop, d, value);
            }
            V1Op::FNarrow if t == Lanes::S4 => return self.finish_narrowed(uop, t, d, a),
            V1Op::FNarrow if t == Lanes::D2 => {
                let a = self.operand(t, a)?;
                let value = self.b.ins().fvdemote(a);
                let cold = self.doubtful(value, Doubt::NanOrTiny);
                self.finish_vector(uop, d, cold, |l| l.bytes_of(value));
            }
            V1Op::FSum => return self.sum_of_pair(uop, t, d, a),
            V1Op::FRound => return self.round(uop, t, d, a, imm),
            V1Op::FCmpEq0 => return self.compare_lanes(t, d, FloatCC::Equal, false, a, None),
            V1Op::FCmpGt0 => return self.compare_lanes(t, d, FloatCC::GreaterThan, false, a, None),
            V1Op::FCmpGe0 => return self.compare_lanes(t, d, FloatCC::GreaterThanOrEqual, false, a, None),
            V1Op::FCmpLe0 => return self.compare_lanes(t, d, FloatCC::LessThanOrEqual, false, a, None),
            V1Op::FCmpLt0 => return self.compare_lanes(t, d, FloatCC::LessThan, false, a, None),
            V1Op::SToF | V1Op::UToF => return self.lanes_from_integers(op == V1Op::SToF, t, d, a, imm),
            V1Op::FRecipEst | V1Op::FRsqrtEst => return self.estimate(uop, op, t, d, a),
            V1Op::FMaxAcross | V1Op::FMaxNumAcross => return self.extreme_across(uop, false, t, d, a),
            V1Op::FMinAcross | V1Op::FMinNumAcross => return self.extreme_across(uop, true, t, d, a),
            V1Op::FToS if t == Lanes::S || t == Lanes::D => {
                let signed = if t == Lanes::S { VxOp::FToS32 } else { VxOp::FToS64 };
                let value = self.rounded_integer(uop, signed, t, a, imm, |l| {
                    l.b.ins().load(I64, trusted(), l.state, v_offset(d))
                })?;
                self.set_from_integer(d, value);
            }
            V1Op::FToU if t == Lanes::S || t == Lanes::D => {
                let unsigned = if t == Lanes::S { VxOp::FToU32 } else { VxOp::FToU64 };
                let value = self.rounded_integer(uop, unsigned, t, a, imm, |l| {
                    l.b.ins().load(I64, trusted(), l.state, v_offset(d))
                })?;
                self.set_from_integer(d, value);
            }
            V1Op::FToS | V1Op::FToU => return self.lanes_to_integers(uop, op == V1Op::FToS, t, d, a, imm),
            _ => return None,
        }
        Some(())
    }

    fn set_from_integer(&mut self, d: V, value: Value) {
        self.b.ins().store(trusted(), value, self.state, v_offset(d));
        let vector = self.b.ins().scalar_to_vector(I64X2, value);
        let vector = self.bytes_of(vector);
        self.set_v(d, vector);
    }

    fn float2(&mut self, uop: Uop, op: V2Op, t: Lanes, d: V, a: V, b: V) -> Option<()> {
        match op {
            V2Op::FCmpEq => return self.compare_lanes(t, d, FloatCC::Equal, false, a, Some(b)),
            V2Op::FCmpGe => return self.compare_lanes(t, d, FloatCC::GreaterThanOrEqual, false, a, Some(b)),
            V2Op::FCmpGt => return self.compare_lanes(t, d, FloatCC::GreaterThan, false, a, Some(b)),
            V2Op::FCmpAbsGe => return self.compare_lanes(t, d, FloatCC::GreaterThanOrEqual, true, a, Some(b)),
            V2Op::FCmpAbsGt => return self.compare_lanes(t, d, FloatCC::GreaterThan, true, a, Some(b)),
            _ => {}
        }
        match op {
            V2Op::FAddP => return self.pair_sums(uop, t, d, a, b),
            V2Op::FMax | V2Op::FMaxNum | V2Op::FMin | V2Op::FMinNum => {
                let (a, b) = (self.operand(t, a)?, self.operand(t, b)?);
                self.extreme(uop, matches!(op, V2Op::FMin | V2Op::FMinNum), d, a, b);
                return Some(());
            }
            V2Op::FMaxP | V2Op::FMaxNumP | V2Op::FMinP | V2Op::FMinNumP => {
                let ty = numbers(t)?;
                let (a, b) = (self.get_v(a), self.get_v(b));
                let (even, odd) = self.pairs(t, a, b);
                let (even, odd) = (self.cast(even, ty), self.cast(odd, ty));
                self.extreme(uop, matches!(op, V2Op::FMinP | V2Op::FMinNumP), d, even, odd);
                return Some(());
            }
            V2Op::FMulX | V2Op::FRecipStep | V2Op::FRsqrtStep => return self.of_small(uop, op, t, d, a, b),
            V2Op::FAdd | V2Op::FSub | V2Op::FMul | V2Op::FNMul | V2Op::FDiv | V2Op::FDiff => {}
            _ => return None,
        }
        let operands = [a, b];
        let (a, mut b) = (self.operand(t, a)?, self.operand(t, b)?);
        if op == V2Op::FDiv && t == Lanes::S2 {
            // Ones where there are no elements, so that nothing is divided by zero there.
            let ones = self.wide_constant(0x3f80_0000_3f80_0000_u128 << 64);
            let bytes = self.bytes_of(b);
            let filled = self.b.ins().bor(bytes, ones);
            b = self.cast(filled, F32X4);
        }
        let (value, doubt) = match op {
            V2Op::FAdd => (self.b.ins().fadd(a, b), Doubt::Nan),
            V2Op::FSub => (self.b.ins().fsub(a, b), Doubt::Nan),
            V2Op::FDiv => (self.b.ins().fdiv(a, b), Doubt::NanOrTiny),
            V2Op::FDiff => {
                let difference = self.b.ins().fsub(a, b);
                (self.b.ins().fabs(difference), Doubt::Nan)
            }
            _ => (self.b.ins().fmul(a, b), Doubt::NanOrTiny),
        };
        if self.is_raw(&uop) {
            self.set_raw(d, value, &operands);
            return Some(());
        }
        self.finish(uop, d, value, doubt, op == V2Op::FNMul);
        Some(())
    }

    /// `FRecipEst` or `FRsqrtEst`, which raise nothing where numbers are normal.
    fn estimate(&mut self, uop: Uop, op: V1Op, t: Lanes, d: V, a: V) -> Option<()> {
        let function = direct::estimate(op, t)?;
        let ty = if is_scalar(t) { number(t)? } else { numbers(t)? };
        let a = self.get_v(a);
        // Ones where there are no elements: they are normal.
        let covered = 8 * (t.element() * t.count()) as u32;
        let one =
            if t.element() == 4 { 0x3f80_0000 * (u128::MAX / 0xffff_ffff) } else { (0x3ff << 52) * (1 | 1 << 64) };
        let ones = self.wide_constant(one.checked_shl(covered).unwrap_or(0));
        let a = self.fit(t, a);
        let a = self.b.ins().bor(a, ones);
        let value = self.call_direct(function, &[a], I8X16);
        if is_scalar(t) {
            let value = self.first(value, ty);
            self.finish(uop, d, value, Doubt::Nan, false);
        } else {
            let value = self.cast(value, ty);
            self.finish(uop, d, value, Doubt::Nan, false);
        }
        Some(())
    }

    /// Sets `d` to maxima or minima; where a NaN takes part the reference says what comes of it.
    fn extreme(&mut self, uop: Uop, least: bool, d: V, a: Value, b: Value) {
        let cold = self.unordered(a, b);
        let hot = |l: &mut Self| if least { l.b.ins().fmin(a, b) } else { l.b.ins().fmax(a, b) };
        let ty = self.b.func.dfg.value_type(a);
        if ty.is_vector() {
            self.finish_vector(uop, d, cold, |l| {
                let value = hot(l);
                l.bytes_of(value)
            });
        } else {
            self.finish_scalar(uop, d, cold, hot, ty);
        }
    }

    /// The largest or smallest element of a vector. Without NaNs the order in which they are compared has no influence.
    fn extreme_across(&mut self, uop: Uop, least: bool, t: Lanes, d: V, a: V) -> Option<()> {
        let ty = numbers(t)?;
        let a = self.operand(t, a)?;
        let cold = self.unordered(a, a);
        let hot = |l: &mut Self| {
            let mut value = a;
            let mut distance = t.element() * t.count() / 2;
            while distance >= t.element() {
                let bytes = l.bytes_of(value);
                let moved = l.shuffle(bytes, bytes, |i| (i + distance) % 16);
                let moved = l.cast(moved, ty);
                value = if least { l.b.ins().fmin(value, moved) } else { l.b.ins().fmax(value, moved) };
                distance /= 2;
            }
            l.b.ins().extractlane(value, 0)
        };
        self.finish_scalar(uop, d, cold, hot, ty.lane_type());
        Some(())
    }

    /// `FMulX`, `FRecipStep` or `FRsqrtStep`, in which zero times infinity is something else than for the host. Of small
    /// enough numbers no product is out of range, and no step is a NaN or tiny.
    fn of_small(&mut self, uop: Uop, op: V2Op, t: Lanes, d: V, a: V, b: V) -> Option<()> {
        if !self.native.fused {
            return None;
        }
        let (a, b) = (self.operand(t, a)?, self.operand(t, b)?);
        let ty = self.b.func.dfg.value_type(a);
        let (a_large, b_large) = (self.is_large(a), self.is_large(b));
        let doubt = self.b.ins().bor(a_large, b_large);
        let doubt = if ty.is_vector() { self.b.ins().vany_true(doubt) } else { doubt };
        let hot = |l: &mut Self| {
            if op == V2Op::FMulX {
                let product = l.b.ins().fmul(a, b);
                let tiny = l.doubtful(product, Doubt::NanOrTiny);
                return l.or_reference(uop, tiny, |_| product, |l| l.b.ins().load(ty, trusted(), l.state, v_offset(d)));
            }
            let from = l.every(ty, if op == V2Op::FRecipStep { 2.0 } else { 3.0 });
            let negated = l.b.ins().fneg(a);
            let value = l.b.ins().fma(negated, b, from);
            if op == V2Op::FRecipStep {
                return value;
            }
            let half = l.every(ty, 0.5);
            l.b.ins().fmul(value, half)
        };
        if ty.is_vector() {
            self.finish_vector(uop, d, doubt, |l| {
                let value = hot(l);
                let value = l.bytes_of(value);
                l.keep(d, value);
                l.fit(t, value)
            });
        } else {
            let kept = |l: &mut Self| {
                let value = hot(l);
                l.keep(d, value);
                value
            };
            self.finish_scalar(uop, d, doubt, kept, ty);
        }
        Some(())
    }

    /// Not zero where the square of a number would be near the end of the range; for infinities and NaNs too.
    fn is_large(&mut self, value: Value) -> Value {
        let ty = self.b.func.dfg.value_type(value);
        let (int, element) = (bits_of(ty), ty.lane_type());
        let (magnitude, bound) =
            if element == F32 { (u64::MAX >> 33, (127 + 60) << 23) } else { (u64::MAX >> 1, (1023 + 500) << 52) };
        if ty.is_vector() {
            let bits = self.cast(value, int);
            let (magnitude, bound) = (self.splat(int, magnitude), self.splat(int, bound));
            let bits = self.b.ins().band(bits, magnitude);
            return self.b.ins().icmp(IntCC::SignedGreaterThan, bits, bound);
        }
        let bits = self.raw(value);
        let (magnitude, bound) = (self.imm(magnitude), self.imm(bound));
        let bits = self.b.ins().band(bits, magnitude);
        self.b.ins().icmp(IntCC::SignedGreaterThan, bits, bound)
    }

    /// A constant as a number of type `ty`, or in every element of a vector.
    pub(super) fn every(&mut self, ty: Type, value: f64) -> Value {
        if !ty.is_vector() {
            return self.constant(ty, value);
        }
        let bits = if ty == F32X4 { u64::from((value as f32).to_bits()) } else { value.to_bits() };
        let bits = self.splat(bits_of(ty), bits);
        let bytes = self.bytes_of(bits);
        self.cast(bytes, ty)
    }

    /// `value` times a power of 2, which is exact where the caller knows that the result is in range.
    pub(super) fn scaled(&mut self, value: Value, exponent: i32) -> Value {
        if exponent == 0 {
            return value;
        }
        let ty = self.b.func.dfg.value_type(value);
        let factor = self.every(ty, 2f64.powi(exponent));
        self.b.ins().fmul(value, factor)
    }

    /// Moves and changes of sign of scalars, which raise nothing in any mode. `None` for other operations.
    pub(super) fn signs(&mut self, op: V1Op, t: Lanes, d: V, a: V) -> Option<()> {
        match op {
            V1Op::FBox => {
                self.put_in_box(d, a);
                return Some(());
            }
            V1Op::FUnbox => {
                self.take_out_of_box(d, a);
                return Some(());
            }
            V1Op::Mov | V1Op::FAbs | V1Op::FNeg if is_scalar(t) => {}
            _ => return None,
        }
        if op == V1Op::Mov && self.move_raw(d, a) {
            return Some(());
        }
        let a = self.scalar(a, number(t)?);
        let value = match op {
            V1Op::FAbs => self.b.ins().fabs(a),
            V1Op::FNeg => self.b.ins().fneg(a),
            _ => a,
        };
        self.set_scalar(d, value);
        Some(())
    }

    /// `FBox`: remembers the number, so that it need not be looked at again.
    fn put_in_box(&mut self, d: V, a: V) {
        let number = self.scalar(a, F32);
        let vector = self.get_v(a);
        let vector = self.b.func.dfg.resolve_aliases(vector);
        // A scalar's vector has zeros above it.
        let is_scalar = self.scalars.get(&vector).is_some_and(|&known| self.b.func.dfg.value_type(known) == F32);
        let vector = if is_scalar { vector } else { self.fit(Lanes::S, vector) };
        let ones = self.wide_constant(0xffff_ffff_0000_0000);
        let vector = self.b.ins().bor(vector, ones);
        self.set_v(d, vector);
        let known = if self.numbers.holds(d) { self.number(d) } else { vector };
        self.boxed.insert(known, number);
    }

    /// `FUnbox`: of a number that has just been boxed, that number.
    fn take_out_of_box(&mut self, d: V, a: V) {
        let is_number = self.numbers.holds(a);
        let value = if is_number { self.number(a) } else { self.get_v(a) };
        let value = self.b.func.dfg.resolve_aliases(value);
        if let Some(&number) = self.boxed.get(&value) {
            return self.set_scalar(d, number);
        }
        let bits = if is_number {
            self.reinterpret(I64, value)
        } else {
            let words = self.cast(value, I64X2);
            self.b.ins().extractlane(words, 0)
        };
        let above = self.b.ins().sshr_imm_u(bits, 32);
        let is_boxed = self.b.ins().icmp_imm_s(IntCC::Equal, above, -1);
        let bits = self.b.ins().ireduce(I32, bits);
        let nan = self.b.ins().iconst(I32, 0x7fc0_0000);
        let bits = self.b.ins().select(is_boxed, bits, nan);
        let number = self.reinterpret(F32, bits);
        self.set_scalar(d, number);
    }

    /// The sum of two elements.
    fn sum_of_pair(&mut self, uop: Uop, t: Lanes, d: V, a: V) -> Option<()> {
        let ty = numbers(t).filter(|_| t.count() == 2)?;
        let a = self.get_v(a);
        let a = self.cast(a, ty);
        let (x, y) = (self.b.ins().extractlane(a, 0), self.b.ins().extractlane(a, 1));
        let sum = self.b.ins().fadd(x, y);
        self.finish(uop, d, sum, Doubt::Nan, false);
        Some(())
    }

    fn pair_sums(&mut self, uop: Uop, t: Lanes, d: V, a: V, b: V) -> Option<()> {
        let ty = numbers(t)?;
        let (a, b) = (self.get_v(a), self.get_v(b));
        let (even, odd) = self.pairs(t, a, b);
        let (even, odd) = (self.cast(even, ty), self.cast(odd, ty));
        let sums = self.b.ins().fadd(even, odd);
        self.finish(uop, d, sums, Doubt::Nan, false);
        Some(())
    }

    fn float3(&mut self, uop: Uop, op: V3Op, t: Lanes, [d, a, b, c]: [V; 4]) -> Option<()> {
        let (negate_a, negate_b) = negations(op)?;
        if !self.native.fused {
            return None;
        }
        let (mut a, mut b, c) = (self.operand(t, a)?, self.operand(t, b)?, self.operand(t, c)?);
        if negate_a {
            a = self.b.ins().fneg(a);
        }
        if negate_b {
            b = self.b.ins().fneg(b);
        }
        let value = self.b.ins().fma(b, c, a);
        self.finish(uop, d, value, Doubt::NanOrTiny, false);
        Some(())
    }

    // ---- comparison

    fn compare(&mut self, uop: Uop, t: Lanes, a: V, b: V, zero: bool) -> Option<()> {
        let (kind, ty) = (flag_kind(t)?, number(t)?);
        // Raw numbers from which these were computed are no NaNs if these are not.
        let raw = if ty == F64 { self.raw_behind(a, if zero { a } else { b }) } else { 0 };
        let a = self.scalar(a, ty);
        let b = if zero { self.constant(ty, 0.0) } else { self.scalar(b, ty) };
        let cold = if zero { self.unordered(a, a) } else { self.unordered(a, b) };
        // The reference raises what there is to raise. The flags are then those of a quiet NaN, so that looking at
        // them later raises nothing.
        let (cold_label, join) = (self.fresh(), self.fresh());
        self.b.set_cold_block(cold_label);
        let compared = if zero { 1 } else { 2 };
        let mut hot = [a, b][..compared].to_vec();
        hot.extend(self.numbers_of(raw));
        let joined: Vec<Value> = hot.iter().map(|_| self.b.append_block_param(join, ty)).collect();
        let hot: Vec<_> = hot.into_iter().map(Into::into).collect();
        self.b.ins().brif(cold, cold_label, &[], join, &hot);
        self.go_on_in(cold_label);
        self.call_reference_cold(uop);
        let nan = self.constant(ty, f64::NAN);
        let mut nans = vec![nan; compared];
        nans.extend(self.canonical_numbers(raw));
        let nans: Vec<_> = nans.into_iter().map(Into::into).collect();
        self.b.ins().jump(join, &nans);
        self.go_on_in(join);
        let (joined, numbers) = joined.split_at(compared);
        self.settled_as(raw, numbers);
        let numbers = [joined[0], joined.get(1).copied().unwrap_or(b)];
        let raw = [self.raw(numbers[0]), self.raw(numbers[1])];
        self.set_flags(kind, raw[0], raw[1]);
        self.compared = Some((raw, numbers));
        Some(())
    }

    /// The numbers whose comparison the flags are.
    fn compared_numbers(&mut self, ty: Type, a: Value, b: Value) -> (Value, Value) {
        match self.compared {
            Some((raw, [x, y])) if raw == [a, b] => (x, y),
            _ => (self.number_of_raw(ty, a), self.number_of_raw(ty, b)),
        }
    }

    /// A condition over the flags of comparing numbers.
    pub(super) fn condition_of_compare(&mut self, cc: Cc, ty: Type, a: Value, b: Value) -> Value {
        let (a, b) = self.compared_numbers(ty, a, b);
        let compare = match cc {
            Cc::Eq => FloatCC::Equal,
            Cc::Ne => FloatCC::NotEqual,
            Cc::Cs | Cc::Pl => FloatCC::UnorderedOrGreaterThanOrEqual,
            Cc::Cc | Cc::Mi => FloatCC::LessThan,
            Cc::Vs => FloatCC::Unordered,
            Cc::Vc => FloatCC::Ordered,
            Cc::Hi => FloatCC::UnorderedOrGreaterThan,
            Cc::Ls => FloatCC::LessThanOrEqual,
            Cc::Ge => FloatCC::GreaterThanOrEqual,
            Cc::Lt => FloatCC::UnorderedOrLessThan,
            Cc::Gt => FloatCC::GreaterThan,
            Cc::Le => FloatCC::UnorderedOrLessThanOrEqual,
            Cc::Al | Cc::Nv => return self.b.ins().iconst(cranelift_codegen::ir::types::I8, 1),
        };
        self.b.ins().fcmp(compare, a, b)
    }

    /// The packed flags of comparing numbers.
    pub(super) fn nzcv_of_compare(&mut self, kind: FlagKind, a: Value, b: Value) -> Value {
        let ty = if kind == FlagKind::Float32 { F32 } else { F64 };
        let (a, b) = self.compared_numbers(ty, a, b);
        let [less, equal, greater, unordered] = [0b1000, 0b0110, 0b0010, 0b0011].map(|flags| self.imm(flags));
        let is_greater = self.b.ins().fcmp(FloatCC::GreaterThan, a, b);
        let value = self.b.ins().select(is_greater, greater, unordered);
        let is_equal = self.b.ins().fcmp(FloatCC::Equal, a, b);
        let value = self.b.ins().select(is_equal, equal, value);
        let is_less = self.b.ins().fcmp(FloatCC::LessThan, a, b);
        self.b.ins().select(is_less, less, value)
    }

    /// Comparisons to masks. The host's vector comparisons raise what the guest's do, scalar forms included.
    fn compare_lanes(&mut self, t: Lanes, d: V, cc: FloatCC, magnitudes: bool, a: V, b: Option<V>) -> Option<()> {
        let ty = match t {
            Lanes::S => F32X4,
            Lanes::D => F64X2,
            _ => numbers(t)?,
        };
        let operand = |l: &mut Self, v: V| {
            let value = l.get_v(v);
            let value = l.fit(t, value);
            let value = l.cast(value, ty);
            if magnitudes { l.b.ins().fabs(value) } else { value }
        };
        let a = operand(self, a);
        let b = match b {
            Some(b) => operand(self, b),
            None => {
                let zero = self.wide_constant(0);
                self.cast(zero, ty)
            }
        };
        let mask = self.b.ins().fcmp(cc, a, b);
        let mask = self.bytes_of(mask);
        let mask = self.fit(t, mask);
        self.keep(d, mask);
        self.set_v(d, mask);
        Some(())
    }

    // ---- conversion

    /// Numbers from integers of the same size with `fraction` fraction bits.
    fn lanes_from_integers(&mut self, signed: bool, t: Lanes, d: V, a: V, fraction: u32) -> Option<()> {
        if is_scalar(t) {
            let ty = number(t)?;
            let value = self.get_v(a);
            let value = self.cast(value, if ty == F32 { I32X4 } else { I64X2 });
            let value = self.b.ins().extractlane(value, 0);
            self.set_from_int(signed, ty, d, value, fraction);
            return Some(());
        }
        let ty = numbers(t)?;
        let value = self.get_v(a);
        let value = self.fit(t, value);
        let value = self.cast(value, bits_of(ty));
        let value = match (signed, ty) {
            (true, _) => self.b.ins().fcvt_from_sint(ty, value),
            (false, F32X4) => self.singles_from_unsigned(value),
            (false, _) => {
                let lanes = [0, 1].map(|i| {
                    let lane = self.b.ins().extractlane(value, i);
                    self.b.ins().fcvt_from_uint(F64, lane)
                });
                let value = self.b.ins().scalar_to_vector(ty, lanes[0]);
                self.b.ins().insertlane(value, lanes[1], 1)
            }
        };
        let value = self.scaled(value, -(fraction as i32));
        let value = self.bytes_of(value);
        self.keep(d, value);
        self.set_v(d, value);
        Some(())
    }

    /// Single-precision numbers from unsigned words. The host's own way has steps that raise too much; this one goes
    /// over double precision, which is exact: a word below the one of 2 to the power 52, less that.
    fn singles_from_unsigned(&mut self, value: Value) -> Value {
        let bias = self.splat(I64X2, 0x433 << 52);
        let number = self.every(F64X2, 4_503_599_627_370_496.0);
        let (low, high) = (self.b.ins().uwiden_low(value), self.b.ins().uwiden_high(value));
        let [low, high] = [low, high].map(|words| {
            let biased = self.b.ins().bor(words, bias);
            let biased = self.cast(biased, F64X2);
            let exact = self.b.ins().fsub(biased, number);
            let single = self.b.ins().fvdemote(exact);
            self.bytes_of(single)
        });
        let value = self.shuffle(low, high, |i| i % 8 + i / 8 * 16);
        self.cast(value, F32X4)
    }

    fn set_from_int(&mut self, signed: bool, ty: Type, d: V, value: Value, fraction: u32) {
        let exact = ty == F64 && self.b.func.dfg.value_type(value) == I32;
        let value =
            if signed { self.b.ins().fcvt_from_sint(ty, value) } else { self.b.ins().fcvt_from_uint(ty, value) };
        let value = self.scaled(value, -(fraction as i32));
        if !exact {
            self.keep(d, value);
        }
        self.set_scalar(d, value);
    }

    /// Integers of the same size from numbers. What is out of range in a signed element is left to the reference.
    fn lanes_to_integers(&mut self, uop: Uop, signed: bool, t: Lanes, d: V, a: V, imm: u32) -> Option<()> {
        let (ty, fraction) = (numbers(t)?, (imm >> 8) as i32);
        let a = self.operand(t, a)?;
        let most = if ty == F32X4 { 2_147_483_520.0 } else { 9.0e18 } * 2f64.powi(-fraction);
        let (least, most) = (self.every(ty, if signed { -most } else { 0.0 }), self.every(ty, most));
        let low = self.b.ins().fcmp(FloatCC::UnorderedOrLessThan, a, least);
        let high = self.b.ins().fcmp(FloatCC::UnorderedOrGreaterThan, a, most);
        let outside = self.b.ins().bor(low, high);
        let outside = self.b.ins().vany_true(outside);
        self.finish_vector(uop, d, outside, |l| {
            let a = l.scaled(a, fraction);
            let whole = match imm & 7 {
                rounding::ZERO => a,
                rounding::UP => l.b.ins().ceil(a),
                rounding::DOWN => l.b.ins().floor(a),
                rounding::AWAY => l.lanes_away_from_zero(ty, a),
                _ => l.b.ins().nearest(a),
            };
            let value = if ty == F32X4 {
                l.b.ins().x86_cvtt2dq(I32X4, whole)
            } else {
                let lanes = [0, 1].map(|i| {
                    let lane = l.b.ins().extractlane(whole, i);
                    l.b.ins().fcvt_to_sint_sat(I64, lane)
                });
                let value = l.b.ins().scalar_to_vector(I64X2, lanes[0]);
                l.b.ins().insertlane(value, lanes[1], 1)
            };
            let value = l.bytes_of(value);
            l.keep(d, value);
            value
        });
        Some(())
    }

    /// Numbers rounded to the nearest integers, ties away from zero.
    fn lanes_away_from_zero(&mut self, ty: Type, a: Value) -> Value {
        let int = bits_of(ty);
        let cut = self.b.ins().trunc(a);
        let rest = self.b.ins().fsub(a, cut);
        let rest = self.b.ins().fabs(rest);
        let (half, one) = (self.every(ty, 0.5), self.every(ty, 1.0));
        let up = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, rest, half);
        let sign = self.splat(int, 1 << (ty.lane_bits() - 1));
        let (a, one) = (self.cast(a, int), self.cast(one, int));
        let sign = self.b.ins().band(a, sign);
        let step = self.b.ins().bor(sign, one);
        let step = self.b.ins().band(step, up);
        let step = self.cast(step, ty);
        self.b.ins().fadd(cut, step)
    }

    fn convert_integer(&mut self, uop: Uop, op: XvOp, t: Lanes, d: V, a: crate::uop::X, imm: u32) -> Option<()> {
        let (narrow, signed) = match op {
            XvOp::S32ToF => (true, true),
            XvOp::U32ToF => (true, false),
            XvOp::S64ToF => (false, true),
            XvOp::U64ToF => (false, false),
            _ => return None,
        };
        if t == Lanes::H {
            let value = self.get(a);
            let value = match op {
                XvOp::S32ToF => self.values().sign_extend(I32, value),
                XvOp::U32ToF => self.values().un(crate::uop::UnOp::Zext32, value),
                _ => value,
            };
            return self.half_from_int(uop, signed, d, value, imm);
        }
        if !is_scalar(t) {
            return None;
        }
        let value = self.get(a);
        let value = if narrow { self.b.ins().ireduce(I32, value) } else { value };
        self.set_from_int(signed, number(t)?, d, value, imm);
        Some(())
    }

    fn convert_number(&mut self, uop: Uop, op: VxOp, t: Lanes, a: V, imm: u32) -> Option<()> {
        let Uop::Vx { d, .. } = uop else { return None };
        let value =
            self.rounded_integer(uop, op, t, a, imm, |l| l.b.ins().load(I64, trusted(), l.state, x_offset(d)))?;
        if d != slot::ZERO {
            self.b.ins().store(trusted(), value, self.state, x_offset(d));
        }
        self.set(d, value);
        Some(())
    }

    /// Element 0 of a slot as an integer, zero-extended to 64 bits; `cold` finds the reference's result.
    fn rounded_integer(
        &mut self,
        uop: Uop,
        op: VxOp,
        t: Lanes,
        a: V,
        imm: u32,
        cold: impl FnOnce(&mut Self) -> Value,
    ) -> Option<Value> {
        let (least, most, narrow) = match op {
            // Bounds between which every number, rounded in any direction, fits.
            VxOp::FToS32 => (-2_147_483_520.0, 2_147_483_520.0, true),
            VxOp::FToU32 => (0.0, 4_294_967_040.0, false),
            VxOp::FToS64 => (-9.0e18, 9.0e18, false),
            VxOp::FToU64 => (0.0, 9.0e18, false),
            _ => return None,
        };
        let fraction = (imm >> 8) as i32;
        let (ty, a) = match t {
            Lanes::H => (F32, self.single_of_half(a)?),
            _ if is_scalar(t) => (number(t)?, self.scalar(a, number(t)?)),
            _ => return None,
        };
        let unit = 2f64.powi(-fraction);
        let (least, most) = (self.constant(ty, least * unit), self.constant(ty, most * unit));
        let low = self.b.ins().fcmp(FloatCC::UnorderedOrLessThan, a, least);
        let high = self.b.ins().fcmp(FloatCC::UnorderedOrGreaterThan, a, most);
        let outside = self.b.ins().bor(low, high);
        let value = self.or_reference(
            uop,
            outside,
            |l| {
                let a = l.scaled(a, fraction);
                let whole = match imm & 7 {
                    rounding::ZERO => a,
                    rounding::UP => l.b.ins().ceil(a),
                    rounding::DOWN => l.b.ins().floor(a),
                    rounding::AWAY => {
                        let cut = l.b.ins().trunc(a);
                        l.away_from_zero(ty, a, cut)
                    }
                    _ => l.b.ins().nearest(a),
                };
                if narrow {
                    let value = l.b.ins().fcvt_to_sint_sat(I32, whole);
                    l.b.ins().uextend(I64, value)
                } else {
                    l.b.ins().fcvt_to_sint_sat(I64, whole)
                }
            },
            cold,
        );
        Some(value)
    }

    /// `a` rounded to the nearest integer, ties away from zero, from `a` cut to an integer.
    fn away_from_zero(&mut self, ty: Type, a: Value, cut: Value) -> Value {
        let rest = self.b.ins().fsub(a, cut);
        let rest = self.b.ins().fabs(rest);
        let [half, one, zero] = [0.5, 1.0, 0.0].map(|value| self.constant(ty, value));
        let up = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, rest, half);
        // Large numbers have no rest; adding 1 to them would be inexact.
        let step = self.b.ins().select(up, one, zero);
        let step = self.b.ins().fcopysign(step, a);
        self.b.ins().fadd(cut, step)
    }

    // ---- rounding

    fn round(&mut self, uop: Uop, t: Lanes, d: V, a: V, imm: u32) -> Option<()> {
        let direction = imm & 7;
        if imm & rounding::EXACT != 0 {
            // The only form that raises Inexact, as the host's rounding does.
            if direction != rounding::CURRENT {
                return None;
            }
            let a = self.operand(t, a)?;
            let value = self.b.ins().nearest(a);
            self.finish(uop, d, value, Doubt::Nan, false);
            return Some(());
        }
        if !is_scalar(t) {
            let a = self.operand(t, a)?;
            let function = direct::round(t, direction)?;
            let special = self.unordered(a, a);
            let bytes = self.bytes_of(a);
            self.finish_vector(uop, d, special, |l| l.call_direct(function, &[bytes], I8X16));
            return Some(());
        }
        let ty = number(t)?;
        let a = self.scalar(a, ty);
        let (cut, large) = self.cut(ty, a);
        // Infinities and NaNs are large; large numbers are integers.
        let special = self.unordered(a, a);
        let nearest = matches!(direction, rounding::EVEN | rounding::CURRENT);
        let doubt = if nearest {
            // A tie: the reference knows which way is even.
            let rest = self.b.ins().fsub(a, cut);
            let rest = self.b.ins().fabs(rest);
            let half = self.constant(ty, 0.5);
            let tie = self.b.ins().fcmp(FloatCC::Equal, rest, half);
            self.b.ins().bor(special, tie)
        } else {
            special
        };
        let hot = |l: &mut Self| {
            let one = l.constant(ty, 1.0);
            let value = match direction {
                rounding::ZERO => cut,
                rounding::UP => {
                    let next = l.b.ins().fadd(cut, one);
                    let up = l.b.ins().fcmp(FloatCC::GreaterThan, a, cut);
                    l.b.ins().select(up, next, cut)
                }
                rounding::DOWN => {
                    let next = l.b.ins().fsub(cut, one);
                    let down = l.b.ins().fcmp(FloatCC::LessThan, a, cut);
                    l.b.ins().select(down, next, cut)
                }
                _ => l.away_from_zero(ty, a, cut),
            };
            l.b.ins().select(large, a, value)
        };
        self.finish_scalar(uop, d, doubt, hot, ty);
        Some(())
    }

    /// `a` cut to an integer without raising anything, as its bits allow; and whether it is too large to have a
    /// fraction, in which case it is `a` cut to 0, which is harmless to compute with.
    fn cut(&mut self, ty: Type, a: Value) -> (Value, Value) {
        let (int, fraction) = (bits_of(ty), fraction(ty));
        let bits = self.reinterpret(int, a);
        let bias = if ty == F32 { 127 } else { 1023 };
        let exponent_mask = if ty == F32 { 0xff } else { 0x7ff };
        let high = self.b.ins().ushr_imm_u(bits, fraction);
        let field = self.b.ins().band_imm_u(high, exponent_mask);
        let exponent = self.b.ins().iadd_imm_s(field, -bias);
        let large = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, exponent, fraction);
        let small = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, exponent, 0);
        let fraction_mask = self.b.ins().iconst(int, (1 << fraction) - 1);
        let dropped = self.b.ins().ushr(fraction_mask, exponent);
        let kept = self.b.ins().bnot(dropped);
        let whole = self.b.ins().band(bits, kept);
        let sign = if ty == F32 { i64::from(i32::MIN) } else { i64::MIN };
        let sign =
            if ty == F32 { self.b.ins().iconst(int, sign & 0xffff_ffff) } else { self.b.ins().iconst(int, sign) };
        let zero = self.b.ins().band(bits, sign);
        let none = self.b.ins().bor(small, large);
        let cut = self.b.ins().select(none, zero, whole);
        (self.reinterpret(ty, cut), large)
    }
}
