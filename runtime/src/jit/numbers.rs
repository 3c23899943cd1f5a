//! Floating-point registers that hold one number of double precision each, and what is put off about their NaNs.
//!
//! Where [`Native::canonical`](super::lower::Native) holds, guest vector slots are registers of 64 bits: above them is 0,
//! always. Those that a region only uses as such are variables of that type. All NaNs that operations make are the same
//! there, whatever their operands were, where the host's are not. But a NaN goes through sums, products, quotients and
//! roots as one, and raises the same whichever quiet one it is. So it needs no look behind each operation: such results
//! are *raw*, they may be a NaN that has to become the canonical one, until something looks at their bits, control leaves
//! the block, or an operation that is not of these asks for them. One look is enough then for all that a number was
//! computed from, since it would be a NaN if one of them was. Exits do not look: they say which slots are raw, and whoever
//! has entered the region does it ([`settle`]).
//!
//! What is loaded, moved or boxed is never raw: its bits are what they are.

use super::cold::Cold;
use super::lower::Lowering;
use crate::cache::Entry;
use crate::cpu::CpuState;
use crate::uop::{Lanes, Operand, Uop, V, slot};
use crate::vector::{V1Op, V2Op, V3Op, VxOp, XvOp, rounding};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::immediates::Ieee64;
use cranelift_codegen::ir::types::{F64, F64X2, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use std::sync::Arc;

/// The canonical NaN.
const NAN: u64 = 0x7ff8_0000_0000_0000;

/// Registers, a bit each.
type Set = u32;

/// What is known of numbers while a block is lowered.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Slots that are variables of 64 bits in this region.
    narrow: Set,
    /// Those that are raw.
    raw: Set,
    /// For each raw slot the raw ones that its number was computed from, as far as they are still there.
    from: [Set; slot::VTEMP as usize],
}

fn bit(v: V) -> Set {
    if v < slot::VTEMP { 1 << v } else { 0 }
}

fn each(set: Set) -> impl Iterator<Item = V> {
    (0..slot::VTEMP).filter(move |&v| set >> v & 1 != 0)
}

/// True if a micro-op uses nothing of guest vector slots but their low 64 bits, and writes zeros above them.
fn is_narrow(uop: &Uop) -> bool {
    let scalar = |t: Lanes| matches!(t, Lanes::S | Lanes::D);
    match *uop {
        Uop::LoadV { bytes, .. } | Uop::StoreV { bytes, .. } => bytes <= 8,
        Uop::VMovI { both, .. } => !both,
        Uop::V1 { op: V1Op::FBox | V1Op::FUnbox, .. } => true,
        Uop::V1 { op, t, .. } => {
            let known = matches!(op, V1Op::Mov | V1Op::FAbs | V1Op::FNeg | V1Op::FSqrt | V1Op::FConvert | V1Op::FRound);
            known && scalar(t)
        }
        Uop::V2 { op, t, .. } => {
            let arithmetic = matches!(op, V2Op::FAdd | V2Op::FSub | V2Op::FMul | V2Op::FDiv);
            let other = matches!(op, V2Op::FMinNum | V2Op::FMaxNum | V2Op::And | V2Op::Xor);
            (arithmetic || other) && scalar(t)
        }
        Uop::V3 { op, t, .. } => {
            let fused = matches!(op, V3Op::FMulAdd | V3Op::FMulSub | V3Op::FNMulAdd | V3Op::FNMulSub);
            (fused || op == V3Op::Bsl) && scalar(t)
        }
        Uop::Vx { op, t, imm, .. } => match op {
            VxOp::Get | VxOp::GetS => imm == 0 && scalar(t),
            VxOp::FToS32 | VxOp::FToU32 | VxOp::FToS64 | VxOp::FToU64 | VxOp::FClass => scalar(t),
        },
        Uop::Xv { op, t, .. } => {
            let converts = matches!(op, XvOp::S32ToF | XvOp::U32ToF | XvOp::S64ToF | XvOp::U64ToF);
            (converts || op == XvOp::Mov) && scalar(t)
        }
        Uop::FCmp { t, .. } => scalar(t),
        Uop::StickV { .. } => true,
        _ => false,
    }
}

impl Numbers {
    /// The slots of these blocks that are used as registers of 64 bits only.
    pub(super) fn new(blocks: &[Arc<Entry>], cold: &Cold) -> Numbers {
        let mut wide = 0;
        for (index, block) in blocks.iter().enumerate() {
            for (_, uop) in cold.kept(index, block).filter(|(_, uop)| !is_narrow(uop)) {
                wide |= operands(uop);
            }
        }
        Numbers { narrow: !wide, ..Numbers::default() }
    }

    /// True if a slot is a variable of 64 bits.
    pub(super) fn holds(&self, v: V) -> bool {
        self.narrow & bit(v) != 0
    }

    /// The raw ones.
    pub(super) fn raw(&self) -> Set {
        self.raw
    }

    /// These raw ones and all that they were computed from.
    fn with_sources(&self, of: Set) -> Set {
        each(of & self.raw).fold(of, |all, v| all | self.from[usize::from(v)]) & self.raw
    }

    /// Those of these from which none of the others was computed.
    fn last(&self, of: Set) -> Set {
        each(of).fold(of, |last, v| last & !self.from[usize::from(v)])
    }

    /// The number of a slot is another one now, which is not raw.
    fn replace(&mut self, v: V) {
        self.raw &= !bit(v);
        self.from.iter_mut().for_each(|from| *from &= !bit(v));
    }
}

/// The guest vector slots among the operands.
fn operands(uop: &Uop) -> Set {
    let mut slots = 0;
    uop.operands(|operand| {
        if let Operand::UseV(v) | Operand::DefV(v) = operand {
            slots |= bit(v);
        }
    });
    slots
}

/// Makes the canonical NaN of NaNs in the slots that generated code has left raw.
pub(super) fn settle(cpu: &mut CpuState) {
    for v in each(std::mem::take(&mut cpu.links.raw)) {
        let number = &mut cpu.v[usize::from(v)];
        if f64::from_bits(*number as u64).is_nan() {
            *number = u128::from(NAN);
        }
    }
}

impl Lowering<'_, '_> {
    /// The number in a slot of 64 bits, raw or not.
    pub(super) fn number(&mut self, v: V) -> Value {
        let variable = self.v_variable(v);
        self.b.use_var(variable)
    }

    /// The number in a slot of 64 bits as bytes of a vector.
    pub(super) fn vector_of_number(&mut self, v: V) -> Value {
        let number = self.number(v);
        let vector = self.b.ins().scalar_to_vector(F64X2, number);
        let vector = self.bytes_of(vector);
        self.scalars.insert(vector, number);
        vector
    }

    /// Puts element 0 of a vector of bytes, above which there is nothing, into a slot of 64 bits.
    pub(super) fn set_number_of_vector(&mut self, d: V, vector: Value) {
        let known = self.scalars.get(&vector).copied();
        let number = match known.filter(|&known| self.b.func.dfg.value_type(known) == F64) {
            Some(number) => number,
            None => {
                let numbers = self.cast(vector, F64X2);
                self.b.ins().extractlane(numbers, 0)
            }
        };
        self.set_number(d, number);
    }

    /// Puts a number that is not raw into a slot of 64 bits.
    pub(super) fn set_number(&mut self, d: V, number: Value) {
        self.keep_raw(d, 0);
        self.numbers.replace(d);
        self.define_number(d, number);
    }

    fn define_number(&mut self, d: V, number: Value) {
        let variable = self.v_variable(d);
        self.b.def_var(variable, number);
        self.note_written_vector(d);
    }

    /// Puts the result of an operation that NaNs go through into a slot of 64 bits: it is raw.
    pub(super) fn set_raw(&mut self, d: V, number: Value, operands: &[V]) {
        let used = operands.iter().fold(0, |all, &v| all | bit(v));
        let used = self.numbers.with_sources(used);
        self.keep_raw(d, used);
        let used = used & self.numbers.raw & !bit(d);
        self.numbers.replace(d);
        self.numbers.raw |= bit(d);
        self.numbers.from[usize::from(d)] = used;
        self.define_number(d, number);
    }

    /// Sees to it that the operation that has computed the raw number in `d` is not left out, for what it may raise, when
    /// another number takes its place which is computed from `used`.
    fn keep_raw(&mut self, d: V, used: Set) {
        let others = self.numbers.raw & !bit(d);
        let is_used = each(others).fold(used, |all, v| all | self.numbers.from[usize::from(v)]) & bit(d) != 0;
        if !is_used {
            self.settle_numbers(bit(d));
        }
    }

    /// Whether the native form of a micro-op takes raw operands, since a NaN among them makes its result one, which is
    /// raw as well.
    pub(super) fn is_raw(&self, uop: &Uop) -> bool {
        let (d, imm) = match *uop {
            Uop::V2 { op: V2Op::FAdd | V2Op::FSub | V2Op::FMul | V2Op::FDiv, t: Lanes::D, d, imm, .. }
            | Uop::V1 { op: V1Op::FSqrt, t: Lanes::D, d, imm, .. } => (d, imm),
            Uop::V1 { op: V1Op::Mov, t: Lanes::D, d, a, .. } if self.numbers.holds(a) => (d, 0),
            _ => return false,
        };
        let is_nearest = rounding::stated_in(imm).is_none_or(|direction| direction == rounding::EVEN);
        self.native.float && self.native.canonical && is_nearest && self.numbers.holds(d)
    }

    /// Looks at the raw numbers that must not be so where this micro-op is executed.
    pub(super) fn settle_for(&mut self, uop: &Uop) {
        let raw = self.numbers.raw;
        if raw == 0 || self.is_raw(uop) {
            return;
        }
        let asked = match *uop {
            // The number is in memory, and so are those that are stored soon.
            Uop::StoreV { s, bytes: 8, .. } if raw & bit(s) != 0 => bit(s) | self.stored_ahead(),
            // It looks for NaNs itself; which one it is makes no difference.
            Uop::FCmp { t: Lanes::D, .. } if self.native.float => 0,
            _ if uop.is_integer() => operands(uop),
            Uop::Cond { .. }
            | Uop::Load { .. }
            | Uop::Store { .. }
            | Uop::LoadV { .. }
            | Uop::StoreV { .. }
            | Uop::VMovI { .. }
            | Uop::CheckRounding
            | Uop::CellInc { .. }
            | Uop::CellIncAt { .. }
            | Uop::CellFind { .. }
            | Uop::CellAt { .. }
            | Uop::CellAddAt { .. }
            | Uop::Record { .. }
            | Uop::V1 { .. }
            | Uop::V2 { .. }
            | Uop::V3 { .. }
            | Uop::Vx { .. }
            | Uop::Xv { .. }
            | Uop::FCmp { .. } => operands(uop),
            _ => Set::MAX,
        };
        self.settle_numbers(asked);
    }

    /// The raw slots that the block stores before they change.
    fn stored_ahead(&self) -> Set {
        let (mut stored, mut same) = (0, self.numbers.raw);
        for (_, uop) in self.rest_of_block() {
            if let Uop::StoreV { s, bytes: 8, .. } = *uop {
                stored |= bit(s) & same;
            }
            uop.operands(|operand| {
                if let Operand::DefV(v) = operand {
                    same &= !bit(v);
                }
            });
            if same == 0 || matches!(uop, Uop::Local { .. } | Uop::LocalIf { .. } | Uop::Action { .. }) {
                break;
            }
        }
        stored
    }

    /// Makes those of these slots that are raw what they should be, and all that their numbers were computed from.
    pub(super) fn settle_numbers(&mut self, of: Set) {
        let of = of & self.numbers.raw;
        let all = self.numbers.with_sources(of);
        if all == 0 {
            return;
        }
        let last: Vec<V> = each(self.numbers.last(of)).collect();
        let (cold, join) = (self.fresh(), self.fresh());
        self.b.set_cold_block(cold);
        for pair in last.chunks(2) {
            let [a, b] = [pair[0], pair[pair.len() - 1]].map(|v| self.number(v));
            let doubt = self.b.ins().fcmp(FloatCC::Unordered, a, b);
            let next = self.fresh();
            self.b.ins().brif(doubt, cold, &[], next, &[]);
            self.go_on_in(next);
        }
        let numbers: Vec<_> = self.numbers_of(all).into_iter().map(Into::into).collect();
        self.b.ins().jump(join, &numbers);
        self.go_on_in(cold);
        let canonical = self.canonical_numbers(all);
        let canonical: Vec<_> = canonical.into_iter().map(Into::into).collect();
        self.b.ins().jump(join, &canonical);
        let params: Vec<Value> = each(all).map(|_| self.b.append_block_param(join, F64)).collect();
        self.go_on_in(join);
        self.settled_as(all, &params);
    }

    /// These slots with the canonical NaN in the place of NaNs.
    pub(super) fn canonical_numbers(&mut self, of: Set) -> Vec<Value> {
        let nan = self.b.ins().f64const(Ieee64::with_bits(NAN));
        let canonical = each(of).map(|v| {
            let number = self.number(v);
            let is_nan = self.b.ins().fcmp(FloatCC::Unordered, number, number);
            self.b.ins().select(is_nan, nan, number)
        });
        canonical.collect()
    }

    /// These slots have these values now, which are not raw.
    pub(super) fn settled_as(&mut self, slots: Set, values: &[Value]) {
        for (v, &value) in each(slots).zip(values) {
            self.numbers.replace(v);
            let variable = self.v_variable(v);
            self.b.def_var(variable, value);
        }
    }

    /// The raw slots that are no NaNs if these two are none, since these were computed from them.
    pub(super) fn raw_behind(&self, a: V, b: V) -> Set {
        self.numbers.with_sources(bit(a) | bit(b))
    }

    /// The numbers of these slots.
    pub(super) fn numbers_of(&mut self, of: Set) -> Vec<Value> {
        each(of).map(|v| self.number(v)).collect()
    }

    /// Forgets what is raw, where a block begins: nothing is.
    pub(super) fn begin_numbers(&mut self) {
        debug_assert_eq!(self.numbers.raw, 0, "a block ends with raw numbers");
        self.numbers.raw = 0;
    }

    /// Native forms of micro-ops that only move a number of 64 bits. False for others.
    pub(super) fn move_number(&mut self, uop: Uop) -> bool {
        match uop {
            Uop::Vx { op: VxOp::Get, t: Lanes::D, d, a, imm: 0 } if self.numbers.holds(a) => {
                let number = self.number(a);
                let bits = self.reinterpret(I64, number);
                self.set(d, bits);
            }
            Uop::Xv { op: XvOp::Mov, t: Lanes::D, d, a, .. } if self.numbers.holds(d) => {
                let bits = self.get(a);
                let number = self.reinterpret(F64, bits);
                self.set_number(d, number);
            }
            _ => return false,
        }
        true
    }

    /// Moves a raw number as it is. False if there is none.
    pub(super) fn move_raw(&mut self, d: V, a: V) -> bool {
        if self.numbers.raw & bit(a) == 0 || !self.numbers.holds(d) {
            return false;
        }
        let number = self.number(a);
        self.set_raw(d, number, &[a]);
        true
    }
}
