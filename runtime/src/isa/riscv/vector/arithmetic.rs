//! Operations element by element: which registers they may name, and which elements take part.

use super::config::{Config, STATE, state};
use super::group::{Elements, FILE, File, aligned, apart, require, signed};
use super::table::{Comparison, Conversion, Element, Extension, Operation, Shape, form};
use super::{Illegal, Insn, configuration, float, mask, permute, table};
use crate::cpu::CpuState;
use crate::uop::slot;
use crate::vector::{FpEnv, control};

/// What the function of an element reads and writes besides its operands.
#[derive(Default)]
pub(super) struct Env {
    pub(super) fp: FpEnv,
    /// `vxrm`.
    pub(super) fixed_rounding: u64,
    /// A result was out of range: `vxsat`.
    pub(super) saturated: bool,
}

/// An instruction at work.
pub(super) struct Work<'a> {
    pub(super) insn: Insn,
    pub(super) operation: &'static Operation,
    pub(super) config: Config,
    /// The first element, and the end of all of them.
    pub(super) vstart: u64,
    pub(super) vl: u64,
    /// The registers as they were, and as they are.
    pub(super) old: File,
    pub(super) file: &'a mut [u128],
    /// The first operand where it is no vector, as elements get it.
    pub(super) scalar: u64,
    pub(super) env: Env,
}

/// Executes an instruction that accesses no memory, and returns what goes to an integer or floating-point register.
pub(super) fn execute(insn: Insn, cpu: &mut CpuState) -> Result<u64, Illegal> {
    let operation = table::find(insn.bits).ok_or(Illegal)?;
    let vstart = cpu.x[STATE + state::VSTART];
    if matches!(operation.shape, Shape::MoveWhole) {
        permute::move_whole(insn, vstart, cpu)?;
        cpu.x[STATE + state::VSTART] = 0;
        return Ok(0);
    }
    let config = configuration(cpu)?;
    let is_float = 1 << insn.funct3() & form::FLOAT != 0;
    let fp = FpEnv { control: cpu.x[slot::FP_CONTROL as usize], status: 0 };
    if is_float {
        require(fp.control & control::NO_ROUNDING == 0 && float::has_formats(operation.shape, config.bits()))?;
    }
    let old: File = std::array::from_fn(|n| cpu.v[FILE.start + n]);
    let vcsr = cpu.x[STATE + state::VCSR];
    let mut work = Work {
        insn,
        operation,
        config,
        vstart,
        vl: cpu.x[STATE + state::VL],
        old,
        file: &mut cpu.v[FILE],
        scalar: 0,
        env: Env { fp, fixed_rounding: vcsr >> 1, saturated: false },
    };
    work.scalar = match 1 << insn.funct3() {
        form::VI if operation.forms & form::UNSIGNED != 0 => insn.vs1().into(),
        form::VI => signed(5, insn.vs1().into()) as u64,
        form::VF => float::scalar(config.bits(), insn.scalars[0]),
        _ => insn.scalars[0],
    };
    let result = work.perform()?;
    let Env { fp, saturated, .. } = work.env;
    cpu.x[slot::FP_STATUS as usize] |= u64::from(fp.status);
    cpu.x[STATE + state::VCSR] |= u64::from(saturated);
    cpu.x[STATE + state::VSTART] = 0;
    Ok(result)
}

impl Work<'_> {
    fn perform(&mut self) -> Result<u64, Illegal> {
        match self.operation.shape {
            Shape::Same(f) => self.same(f)?,
            Shape::Wide(second, first, f) => self.wide(Some(second), first, f)?,
            Shape::WideSecond(first, f) => self.wide(None, first, f)?,
            Shape::Narrow(f) => self.narrow(f)?,
            Shape::Widen { f, .. } => self.widen(f)?,
            Shape::Narrowed { f, .. } => self.narrowed(f)?,
            Shape::Extend(extension, part) => self.extend(extension, part)?,
            Shape::Compare(f) => self.compare(f)?,
            Shape::WithCarry(f) => self.with_carry(f)?,
            Shape::Carry(f) => self.carry(f)?,
            Shape::Merge => self.merge()?,
            Shape::Move => self.moved()?,
            Shape::Reduce(f) => self.reduce(None, f)?,
            Shape::ReduceWide(extension, f) => self.reduce(Some(extension), f)?,
            Shape::Logic(f) => mask::logic(self, f),
            Shape::Population => return mask::population(self),
            Shape::First => return mask::first(self),
            Shape::SetFirst { before, at } => mask::set_first(self, before, at)?,
            Shape::Iota => mask::iota(self)?,
            Shape::Index => mask::index(self)?,
            Shape::ToScalar => return Ok(permute::to_scalar(self)),
            Shape::FromScalar => permute::from_scalar(self),
            Shape::SlideUp => permute::slide_up(self)?,
            Shape::SlideDown => permute::slide_down(self)?,
            Shape::Slide1Up => permute::slide_1_up(self)?,
            Shape::Slide1Down => permute::slide_1_down(self)?,
            Shape::Gather => permute::gather(self, self.config.sew)?,
            Shape::Gather16 => permute::gather(self, 4)?,
            Shape::Compress => permute::compress(self)?,
            Shape::MoveWhole => {}
        }
        Ok(0)
    }

    /// The indices of the elements that take part.
    pub(super) fn active(&self) -> impl Iterator<Item = u64> + use<> {
        let mask = if self.insn.is_masked() { self.old[0] } else { u128::MAX };
        (self.vstart..self.vl).filter(move |i| mask >> i & 1 != 0)
    }

    /// True if the first operand is a vector.
    pub(super) fn has_vector(&self) -> bool {
        1 << self.insn.funct3() & form::VECTOR != 0 && !self.operation.is_unary()
    }

    /// Element `i` of the first operand.
    pub(super) fn first(&self, i: u64, bits: u32) -> u64 {
        if self.has_vector() {
            self.old.element(self.insn.vs1(), i, bits)
        } else {
            self.scalar & (u64::MAX >> (64 - bits))
        }
    }

    /// Element `i` of the second operand.
    pub(super) fn second(&self, i: u64, bits: u32) -> u64 {
        self.old.element(self.insn.vs2(), i, bits)
    }

    pub(super) fn set(&mut self, i: u64, bits: u32, value: u64) {
        self.file.set_element(self.insn.vd(), i, bits, value);
    }

    /// A masked instruction does not write the mask as elements.
    pub(super) fn spares_mask(&self) -> bool {
        !self.insn.is_masked() || self.insn.vd() != 0
    }

    fn first_is_aligned(&self) -> bool {
        !self.has_vector() || aligned(self.insn.vs1(), self.config.lmul)
    }

    /// The rules where everything has one width.
    pub(super) fn check_same(&self) -> Result<(), Illegal> {
        let (vd, vs2, lmul) = (self.insn.vd(), self.insn.vs2(), self.config.lmul);
        require(self.spares_mask() && aligned(vd, lmul) && aligned(vs2, lmul) && self.first_is_aligned())
    }

    /// The rules where something is twice as wide: there must be such elements and such groups.
    fn check_wide(&self) -> Result<(), Illegal> {
        require(self.config.lmul < 3 && self.config.sew < 6 && self.spares_mask())
    }

    /// The rules for a result twice as wide as a source.
    fn check_apart(&self, register: u32) -> Result<(), Illegal> {
        let Config { lmul, .. } = self.config;
        require(aligned(register, lmul) && apart(self.insn.vd(), lmul + 1, register, lmul))
    }

    fn same(&mut self, f: Element) -> Result<(), Illegal> {
        self.check_same()?;
        let w = self.config.bits();
        for i in self.active() {
            let old = self.old.element(self.insn.vd(), i, w);
            let (a, b) = (self.second(i, w), self.first(i, w));
            let value = f(&mut self.env, w, a, b, old);
            self.set(i, w, value);
        }
        Ok(())
    }

    fn extended(&mut self, extension: Extension, w: u32, value: u64) -> u64 {
        match extension {
            Extension::Unsigned => value,
            Extension::Signed => signed(w, value) as u64 & (u64::MAX >> (64 - 2 * w)),
            Extension::Float => float::widen(&mut self.env, w, value),
        }
    }

    fn wide(&mut self, second: Option<Extension>, first: Extension, f: Element) -> Result<(), Illegal> {
        let (vd, vs2, lmul) = (self.insn.vd(), self.insn.vs2(), self.config.lmul);
        self.check_wide()?;
        require(aligned(vd, lmul + 1))?;
        if second.is_some() {
            self.check_apart(vs2)?;
        } else {
            require(aligned(vs2, lmul + 1))?;
        }
        if self.has_vector() {
            self.check_apart(self.insn.vs1())?;
        }
        let w = self.config.bits();
        for i in self.active() {
            let a = match second {
                Some(extension) => self.extended(extension, w, self.second(i, w)),
                None => self.second(i, 2 * w),
            };
            let b = self.extended(first, w, self.first(i, w));
            let old = self.old.element(vd, i, 2 * w);
            let value = f(&mut self.env, 2 * w, a, b, old);
            self.set(i, 2 * w, value);
        }
        Ok(())
    }

    /// The rules where `vs2` is twice as wide as the result.
    fn check_narrow(&self) -> Result<(), Illegal> {
        let (vd, vs2, lmul) = (self.insn.vd(), self.insn.vs2(), self.config.lmul);
        self.check_wide()?;
        require(aligned(vs2, lmul + 1) && aligned(vd, lmul) && self.first_is_aligned())?;
        require(vd == vs2 || apart(vd, lmul, vs2, lmul + 1))
    }

    fn narrow(&mut self, f: Element) -> Result<(), Illegal> {
        self.check_narrow()?;
        let w = self.config.bits();
        for i in self.active() {
            let (a, b) = (self.second(i, 2 * w), self.first(i, w));
            let value = f(&mut self.env, w, a, b, 0);
            self.set(i, w, value);
        }
        Ok(())
    }

    fn widen(&mut self, f: Conversion) -> Result<(), Illegal> {
        self.check_wide()?;
        require(aligned(self.insn.vd(), self.config.lmul + 1))?;
        self.check_apart(self.insn.vs2())?;
        let w = self.config.bits();
        for i in self.active() {
            let a = self.second(i, w);
            let value = f(&mut self.env, w, a);
            self.set(i, 2 * w, value);
        }
        Ok(())
    }

    fn narrowed(&mut self, f: Conversion) -> Result<(), Illegal> {
        self.check_narrow()?;
        let w = self.config.bits();
        for i in self.active() {
            let a = self.second(i, 2 * w);
            let value = f(&mut self.env, w, a);
            self.set(i, w, value);
        }
        Ok(())
    }

    fn extend(&mut self, extension: Extension, part: i32) -> Result<(), Illegal> {
        let (vd, vs2, lmul) = (self.insn.vd(), self.insn.vs2(), self.config.lmul);
        require(self.config.sew - part >= 3 && vd != vs2 && self.spares_mask())?;
        require(aligned(vd, lmul) && aligned(vs2, lmul - part) && apart(vd, lmul, vs2, lmul - part))?;
        let w = self.config.bits();
        for i in self.active() {
            let value = self.second(i, w >> part);
            let value = if extension == Extension::Signed { signed(w >> part, value) as u64 } else { value };
            self.set(i, w, value);
        }
        Ok(())
    }

    /// The rules for a result that is a mask: it may be over the beginning of a source.
    fn check_mask(&self) -> Result<(), Illegal> {
        let (vd, lmul) = (self.insn.vd(), self.config.lmul);
        let may_read = |register| aligned(register, lmul) && (vd == register || apart(vd, 0, register, lmul));
        require(may_read(self.insn.vs2()) && (!self.has_vector() || may_read(self.insn.vs1())))
    }

    fn compare(&mut self, f: Comparison) -> Result<(), Illegal> {
        self.check_mask()?;
        let w = self.config.bits();
        for i in self.active() {
            let (a, b) = (self.second(i, w), self.first(i, w));
            let holds = f(&mut self.env, w, a, b);
            self.set(i, 1, holds.into());
        }
        Ok(())
    }

    fn with_carry(&mut self, f: Element) -> Result<(), Illegal> {
        self.check_same()?;
        let w = self.config.bits();
        for i in self.vstart..self.vl {
            let (a, b, carry) = (self.second(i, w), self.first(i, w), self.old.mask(0, i));
            let value = f(&mut self.env, w, a, b, carry.into());
            self.set(i, w, value);
        }
        Ok(())
    }

    fn carry(&mut self, f: fn(u32, u64, u64, bool) -> bool) -> Result<(), Illegal> {
        self.check_mask()?;
        let w = self.config.bits();
        for i in self.vstart..self.vl {
            let carry = self.insn.is_masked() && self.old.mask(0, i);
            let value = f(w, self.second(i, w), self.first(i, w), carry);
            self.set(i, 1, value.into());
        }
        Ok(())
    }

    fn merge(&mut self) -> Result<(), Illegal> {
        self.check_same()?;
        let w = self.config.bits();
        for i in self.vstart..self.vl {
            let value = if self.old.mask(0, i) { self.first(i, w) } else { self.second(i, w) };
            self.set(i, w, value);
        }
        Ok(())
    }

    fn moved(&mut self) -> Result<(), Illegal> {
        self.check_same()?;
        let w = self.config.bits();
        for i in self.vstart..self.vl {
            let value = self.first(i, w);
            self.set(i, w, value);
        }
        Ok(())
    }

    /// The scalar operand and the result are element 0 of registers, whatever groups are.
    fn reduce(&mut self, extension: Option<Extension>, f: Element) -> Result<(), Illegal> {
        require(self.vstart == 0 && aligned(self.insn.vs2(), self.config.lmul))?;
        require(extension.is_none() || self.config.sew < 6)?;
        if self.vl == 0 {
            return Ok(());
        }
        let w = self.config.bits();
        let total = if extension.is_some() { 2 * w } else { w };
        let mut sum = self.old.element(self.insn.vs1(), 0, total);
        for i in self.active() {
            let value = self.second(i, w);
            let value = extension.map_or(value, |extension| self.extended(extension, w, value));
            sum = f(&mut self.env, total, value, sum, 0) & (u64::MAX >> (64 - total));
        }
        self.set(0, total, sum);
        Ok(())
    }
}
