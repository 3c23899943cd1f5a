//! Moves of elements to other places.

use super::arithmetic::Work;
use super::config::{STATE, VLEN, state};
use super::group::{Elements, FILE, aligned, overlap, require, signed, size};
use super::table::Shape::{
    Compress, FromScalar, Gather, Gather16, MoveWhole, Slide1Down, Slide1Up, SlideDown, SlideUp, ToScalar,
};
use super::table::form::{FLOAT, MVV, MVX, UNSIGNED, VI, VV, VX};
use super::table::{Operation, op};
use super::{Illegal, Insn};
use crate::cpu::CpuState;

/// The rows of this group.
#[rustfmt::skip]
pub(super) const ROWS: &[Operation] = &[
    op("vmv.x.s",      0b010000, MVV, ToScalar).unmasked().first(0),
    op("vmv.s.x",      0b010000, MVX, FromScalar).unmasked().second(0),
    op("vslideup",     0b001110, VX | VI | UNSIGNED, SlideUp),
    op("vslidedown",   0b001111, VX | VI | UNSIGNED, SlideDown),
    op("vslide1up",    0b001110, MVX, Slide1Up),
    op("vslide1down",  0b001111, MVX, Slide1Down),
    op("vrgather.v",   0b001100, VV | VX | VI | UNSIGNED, Gather),
    op("vrgatherei16", 0b001110, VV, Gather16),
    op("vcompress",    0b010111, MVV, Compress).unmasked(),
    op("vmv1r",        0b100111, VI, MoveWhole).unmasked().first(0),
    op("vmv2r",        0b100111, VI, MoveWhole).unmasked().first(1),
    op("vmv4r",        0b100111, VI, MoveWhole).unmasked().first(3),
    op("vmv8r",        0b100111, VI, MoveWhole).unmasked().first(7),
];

/// Element 0, sign-extended; a number of single precision in its box.
pub(super) fn to_scalar(work: &Work<'_>) -> u64 {
    let w = work.config.bits();
    let value = work.second(0, w);
    if 1 << work.insn.funct3() & FLOAT == 0 {
        signed(w, value) as u64
    } else if w == 32 {
        value | 0xffff_ffff_0000_0000
    } else {
        value
    }
}

pub(super) fn from_scalar(work: &mut Work<'_>) {
    if work.vstart < work.vl {
        work.set(0, work.config.bits(), work.scalar);
    }
}

/// The rules of a slide whose result may not be over its source.
fn check_slide(work: &Work<'_>) -> Result<(), Illegal> {
    work.check_same()?;
    require(work.insn.vd() != work.insn.vs2())
}

pub(super) fn slide_up(work: &mut Work<'_>) -> Result<(), Illegal> {
    check_slide(work)?;
    let w = work.config.bits();
    for i in work.active() {
        if let Some(from) = i.checked_sub(work.scalar) {
            let value = work.second(from, w);
            work.set(i, w, value);
        }
    }
    Ok(())
}

pub(super) fn slide_down(work: &mut Work<'_>) -> Result<(), Illegal> {
    work.check_same()?;
    let (w, most) = (work.config.bits(), work.config.most());
    for i in work.active() {
        let from = i.checked_add(work.scalar).filter(|&from| from < most);
        let value = from.map_or(0, |from| work.second(from, w));
        work.set(i, w, value);
    }
    Ok(())
}

pub(super) fn slide_1_up(work: &mut Work<'_>) -> Result<(), Illegal> {
    check_slide(work)?;
    let w = work.config.bits();
    for i in work.active() {
        let value = i.checked_sub(1).map_or(work.scalar, |from| work.second(from, w));
        work.set(i, w, value);
    }
    Ok(())
}

pub(super) fn slide_1_down(work: &mut Work<'_>) -> Result<(), Illegal> {
    work.check_same()?;
    let w = work.config.bits();
    for i in work.active() {
        let value = if i + 1 == work.vl { work.scalar } else { work.second(i + 1, w) };
        work.set(i, w, value);
    }
    Ok(())
}

/// Elements of `vs2` by the indices in the first operand, whose elements have 2 to the power `index` bits.
pub(super) fn gather(work: &mut Work<'_>, index: i32) -> Result<(), Illegal> {
    let (vd, vs1, vs2) = (work.insn.vd(), work.insn.vs1(), work.insn.vs2());
    let (lmul, w, most) = (work.config.lmul, work.config.bits(), work.config.most());
    require(work.spares_mask() && aligned(vd, lmul) && aligned(vs2, lmul) && vd != vs2)?;
    let has_vector = work.has_vector();
    if has_vector {
        let of_indices = index - work.config.sew + lmul;
        require((-3..=3).contains(&of_indices) && aligned(vs1, of_indices))?;
        require(!overlap(vd, size(lmul), vs1, size(of_indices)))?;
    }
    for i in work.active() {
        let from = if has_vector { work.old.element(vs1, i, 1 << index) } else { work.scalar };
        let value = if from < most { work.second(from, w) } else { 0 };
        work.set(i, w, value);
    }
    Ok(())
}

pub(super) fn compress(work: &mut Work<'_>) -> Result<(), Illegal> {
    let (vd, vs1, vs2, lmul) = (work.insn.vd(), work.insn.vs1(), work.insn.vs2(), work.config.lmul);
    require(work.vstart == 0 && aligned(vd, lmul) && aligned(vs2, lmul) && vd != vs2)?;
    require(!overlap(vd, size(lmul), vs1, 1))?;
    let w = work.config.bits();
    let selected = (0..work.vl).filter(|&i| work.old.mask(vs1, i));
    for (to, from) in selected.enumerate() {
        work.file.set_element(vd, to as u64, w, work.old.element(vs2, from, w));
    }
    Ok(())
}

/// Moves whole registers, whatever the configuration is. `vstart` counts elements of its width.
pub(super) fn move_whole(insn: Insn, vstart: u64, cpu: &mut CpuState) -> Result<(), Illegal> {
    let (vd, vs2, count) = (insn.vd(), insn.vs2(), insn.vs1() + 1);
    require(vd.is_multiple_of(count) && vs2.is_multiple_of(count))?;
    let bytes = 1 << (cpu.x[STATE + state::VTYPE] >> 3 & 3);
    let file = &mut cpu.v[FILE];
    for i in vstart * bytes..u64::from(count * VLEN / 8) {
        let value = file.element(vs2, i, 8);
        file.set_element(vd, i, 8, value);
    }
    Ok(())
}
