//! Operations on masks: a bit for each element, in one register.

use super::Illegal;
use super::arithmetic::Work;
use super::config::VLEN;
use super::group::{Elements, aligned, overlap, require, size};
use super::table::Shape::{First, Index, Iota, Logic, Population, SetFirst};
use super::table::form::MVV;
use super::table::{Operation, op};

/// The rows of this group.
#[rustfmt::skip]
pub(super) const ROWS: &[Operation] = &[
    op("vmandn", 0b011000, MVV, Logic(|a, b| a && !b)).unmasked(),
    op("vmand",  0b011001, MVV, Logic(|a, b| a && b)).unmasked(),
    op("vmor",   0b011010, MVV, Logic(|a, b| a || b)).unmasked(),
    op("vmxor",  0b011011, MVV, Logic(|a, b| a != b)).unmasked(),
    op("vmorn",  0b011100, MVV, Logic(|a, b| a || !b)).unmasked(),
    op("vmnand", 0b011101, MVV, Logic(|a, b| !(a && b))).unmasked(),
    op("vmnor",  0b011110, MVV, Logic(|a, b| !(a || b))).unmasked(),
    op("vmxnor", 0b011111, MVV, Logic(|a, b| a == b)).unmasked(),
    op("vcpop",  0b010000, MVV, Population).first(16),
    op("vfirst", 0b010000, MVV, First).first(17),
    op("vmsbf",  0b010100, MVV, SetFirst { before: true, at: false }).first(1),
    op("vmsof",  0b010100, MVV, SetFirst { before: false, at: true }).first(2),
    op("vmsif",  0b010100, MVV, SetFirst { before: true, at: true }).first(3),
    op("viota",  0b010100, MVV, Iota).first(16),
    op("vid",    0b010100, MVV, Index).first(17).second(0),
];

pub(super) fn logic(work: &mut Work<'_>, f: fn(bool, bool) -> bool) {
    for i in work.vstart..work.vl {
        let (a, b) = (work.old.mask(work.insn.vs2(), i), work.old.mask(work.insn.vs1(), i));
        work.set(i, 1, f(a, b).into());
    }
}

/// The indices of the ones that take part.
fn ones(work: &Work<'_>) -> impl Iterator<Item = u64> + use<> {
    let mask = work.old[work.insn.vs2() as usize];
    work.active().filter(move |i| mask >> i & 1 != 0)
}

pub(super) fn population(work: &Work<'_>) -> Result<u64, Illegal> {
    require(work.vstart == 0)?;
    Ok(ones(work).count() as u64)
}

pub(super) fn first(work: &Work<'_>) -> Result<u64, Illegal> {
    require(work.vstart == 0)?;
    Ok(ones(work).next().unwrap_or(u64::MAX))
}

pub(super) fn set_first(work: &mut Work<'_>, before: bool, at: bool) -> Result<(), Illegal> {
    require(work.vstart == 0 && work.spares_mask() && work.insn.vd() != work.insn.vs2())?;
    let first = ones(work).next().unwrap_or(VLEN.into());
    for i in work.active() {
        work.set(i, 1, (i < first && before || i == first && at).into());
    }
    Ok(())
}

pub(super) fn iota(work: &mut Work<'_>) -> Result<(), Illegal> {
    let (vd, vs2, lmul) = (work.insn.vd(), work.insn.vs2(), work.config.lmul);
    require(work.vstart == 0 && work.spares_mask() && aligned(vd, lmul) && !overlap(vd, size(lmul), vs2, 1))?;
    let w = work.config.bits();
    let mut sum = 0;
    for i in work.active() {
        work.set(i, w, sum);
        sum += u64::from(work.old.mask(vs2, i));
    }
    Ok(())
}

pub(super) fn index(work: &mut Work<'_>) -> Result<(), Illegal> {
    require(work.spares_mask() && aligned(work.insn.vd(), work.config.lmul))?;
    let w = work.config.bits();
    for i in work.active() {
        work.set(i, w, i);
    }
    Ok(())
}
