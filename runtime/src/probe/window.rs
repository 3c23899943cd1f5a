//! Windows: the `since` and `until` places of probes, which arm them and end them for the whole process.
//!
//! A probe that waits for its `since` place has no code but there; one whose `until` place has been executed is as one
//! after its last possible hit. An instruction at which a window opens or closes asks first of all
//! ([`REACHED`]), and the code of the probe at this very instruction asks its window's cell, since it has been lowered
//! before that was known. So the instruction at `since` is inside and the one at `until` is outside, as with all ranges.

use super::engine::Core;
use crate::cpu::{CpuState, poll};
use spile_lang::ir::ProbeId;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// The action of an instruction that windows wait for; it belongs to no probe.
pub(super) const REACHED: u32 = u32::MAX - 1;

/// The instructions that windows wait for.
#[derive(Default)]
pub(super) struct Windows {
    /// Sorted.
    awaited: Vec<u64>,
    /// Those that are waited for since the last look, or no more.
    changed: Vec<Range<u64>>,
}

impl Windows {
    pub(super) fn awaits(&self, pc: u64) -> bool {
        self.awaited.binary_search(&pc).is_ok()
    }

    /// True if an instruction in `start..end` is waited for.
    pub(super) fn touches(&self, start: u64, end: u64) -> bool {
        let first = self.awaited.partition_point(|&pc| pc < start);
        self.awaited.get(first).is_some_and(|&pc| pc < end)
    }

    /// Appends, and forgets, the code that is to be made anew.
    pub(super) fn take_changes(&mut self, changes: &mut Vec<Range<u64>>) {
        changes.append(&mut self.changed);
    }
}

impl Core {
    /// Finds out which instructions are waited for, after places or windows have changed.
    pub(super) fn watch_windows(&mut self) {
        let mut awaited = Vec::new();
        for attachment in &self.attachments {
            match self.runtime.awaited(attachment.probe) {
                Some(Awaited::Since) => awaited.extend(&attachment.since),
                Some(Awaited::Until) => awaited.extend(&attachment.until),
                None => {}
            }
        }
        awaited.sort_unstable();
        awaited.dedup();
        let before = std::mem::replace(&mut self.windows.awaited, awaited);
        let now = &self.windows.awaited;
        let gone = before.iter().filter(|pc| now.binary_search(pc).is_err());
        let new = now.iter().filter(|pc| before.binary_search(pc).is_err());
        self.windows.changed.extend(gone.chain(new).map(|&pc| pc..pc + 1));
    }

    /// The instruction at `pc` is about to be executed: opens and closes the windows that wait for it.
    pub(super) fn reached(&mut self, pc: u64, cpu: &CpuState) {
        let mut changed = false;
        for attachment in &self.attachments {
            let id = attachment.probe;
            match self.runtime.awaited(id) {
                Some(Awaited::Since) if attachment.since.contains(&pc) => self.runtime.open(id),
                Some(Awaited::Until) if attachment.until.contains(&pc) => self.runtime.close(id),
                _ => continue,
            }
            changed = true;
        }
        if changed {
            self.watch_windows();
            cpu.poll.fetch_or(poll::CODE, Ordering::Relaxed);
        }
    }

    /// The cell that says whether the probe's window is open, where that may change at this very instruction.
    pub(super) fn window_at(&self, probe: ProbeId, pc: u64) -> Option<u32> {
        let attachment = &self.attachments[probe.0 as usize];
        let at = match self.runtime.awaited(probe)? {
            Awaited::Since => &attachment.since,
            Awaited::Until => &attachment.until,
        };
        at.contains(&pc).then(|| self.runtime.window_cell(probe)).flatten()
    }
}

/// What a probe's window waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// It is not open yet.
    Since,
    /// It is open.
    Until,
}
