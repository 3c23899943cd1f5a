//! Indirect functions (`STT_GNU_IFUNC`): their symbol is a resolver, which is called when the function is first bound and
//! returns the code that it is from then on. In the C library `memcpy`, `strlen` and their kin are such functions.
//!
//! A probe at such a function waits for its resolver. [`Watch`] splices a look at the result in front of the returns of
//! resolvers that probes wait for; that is before the function itself can run. A resolver that leaves in another way is
//! not noticed.

use super::attach::Attachment;
use crate::block::Block;
use crate::isa::Isa;
use crate::translate::{Site, Splice};
use crate::uop::{JumpHint, Uop, slot};
use spile_lang::target::RegisterSlot;
use std::ops::Range;

/// The number of the action, out of reach of those of scripts.
pub(super) const ACTION: u32 = u32::MAX;

/// The resolvers that probes wait for.
pub(super) fn awaited(attachments: &[Attachment]) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = attachments.iter().flat_map(|attachment| attachment.undecided.clone()).collect();
    all.sort_by_key(|range| range.start);
    all.dedup();
    all
}

/// The slot of what a function returns: that of its first argument, on all architectures so far.
pub(super) fn result_slot(isa: &dyn Isa) -> Option<u8> {
    match isa.argument(0)?.slot {
        RegisterSlot::Int(slot) => Some(slot),
        _ => None,
    }
}

/// Adds the look at resolvers to what is spliced in anyway.
pub(super) struct Watch<'a> {
    pub(super) inner: &'a mut dyn Splice,
    pub(super) resolvers: &'a [Range<u64>],
}

impl Splice for Watch<'_> {
    fn touches(&mut self, block: &Block) -> bool {
        let resolves = |range: &Range<u64>| range.start < block.end && block.pc < range.end;
        self.inner.touches(block) || self.resolvers.iter().any(resolves)
    }

    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.inner.before(site, uops);
        let returns = matches!(site.body.last(), Some(Uop::JumpInd { hint: JumpHint::Return, .. }));
        if returns && self.resolvers.iter().any(|range| range.contains(&site.insn.pc)) {
            uops.push(Uop::Action { action: ACTION, d: slot::ZERO, args: slot::ZERO, n: 0, state: true });
        }
    }

    fn before_replaced(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.inner.before_replaced(site, uops);
    }

    fn body(&mut self, site: &Site<'_>, straight: &[Uop], uops: &mut Vec<Uop>) -> Option<u32> {
        self.inner.body(site, straight, uops)
    }

    fn stick(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.inner.stick(site, uops);
    }

    fn has_after(&mut self, site: &Site<'_>) -> bool {
        self.inner.has_after(site)
    }

    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.inner.after(site, uops);
    }
}
