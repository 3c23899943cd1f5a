//! Where a thread is among its calls: the conditions `during` and `from`.
//!
//! The calls themselves are kept by [`super::calls`]. What is here says which of the conditions hold inside a call: each
//! has a bit, which generated code finds in [`slot::INSIDE`], so that a condition that does not hold costs a test of a
//! slot. There are 64 bits; conditions that get none are asked for each time.
//!
//! `during` holds as long as a call of one of its functions is open. `from` holds for the innermost open call alone: if it
//! was made from one of the functions. For it all functions are followed that the probe's code is in.

use super::attach::{Attachment, Functions, Symbols as _};
use super::calls::{Frame, is_call_event};
use super::engine::Core;
use crate::cpu::CpuState;
use crate::uop::slot;
use spile_lang::ir::{Event, Filter, Probe, ProbeId};
use std::ops::Range;

/// A condition: the probe that it is of, and its number among the probe's filters.
pub(super) type Key = (ProbeId, usize);

/// One condition.
#[derive(Clone, Debug)]
struct Condition {
    key: Key,
    /// Its bit, or none if there was none left.
    bit: Option<u8>,
    is_during: bool,
    functions: Functions,
}

/// The conditions of all probes.
#[derive(Default)]
pub(super) struct Conditions {
    list: Vec<Condition>,
}

/// True if the probe has a `during`, or a `from` that is not asked at an entry or a return, where the link register tells.
pub(super) fn asks(probe: &Probe) -> bool {
    probe.filters.iter().any(|filter| is_followed(probe, filter))
}

fn is_followed(probe: &Probe, filter: &Filter) -> bool {
    match filter {
        Filter::During(_) => true,
        Filter::From(_) => !is_call_event(probe),
        Filter::When(_) | Filter::Hit(_) | Filter::Limit(_) => false,
    }
}

/// True if `link` returns into one of these functions.
pub(super) fn returns_into(extents: &[Range<u64>], link: u64) -> bool {
    // A call that does not return may be the last instruction of its function.
    let call = link.wrapping_sub(1);
    let index = extents.partition_point(|range| range.end <= call);
    extents.get(index).is_some_and(|range| range.start <= call)
}

impl Conditions {
    pub(super) fn bit(&self, key: Key) -> Option<u8> {
        self.list.iter().find(|condition| condition.key == key)?.bit
    }

    /// The bits that hold inside `frame`, which is inside a call where `outer` hold.
    pub(super) fn inside(&self, frame: &Frame, outer: u64) -> u64 {
        let mut inside = 0;
        for condition in &self.list {
            let Some(bit) = condition.bit.map(|bit| 1 << bit) else { continue };
            let holds = match condition.is_during {
                true => outer & bit != 0 || condition.begins(frame),
                false => condition.is_caller(frame),
            };
            inside |= if holds { bit } else { 0 };
        }
        inside
    }

    /// Finds out what holds in the calls `open` from number `index` on, after conditions or calls around them have changed.
    pub(super) fn look_again(&self, open: &mut [Frame], index: usize) {
        let mut outer = index.checked_sub(1).map_or(0, |before| open[before].inside);
        for frame in &mut open[index..] {
            frame.inside = self.inside(frame, outer);
            outer = frame.inside;
        }
    }

    /// True if a condition holds in the innermost of the calls `open`, in the function that begins at `function`.
    pub(super) fn holds(&self, key: Key, open: &[Frame], function: Option<u64>) -> bool {
        let Some(condition) = self.list.iter().find(|condition| condition.key == key) else { return false };
        match condition.is_during {
            true => open.iter().any(|frame| condition.begins(frame)),
            false => open.last().is_some_and(|frame| Some(frame.entry) == function && condition.is_caller(frame)),
        }
    }

    /// Takes in the conditions that there are now. Those that stay keep their bits.
    fn update(&mut self, now: Vec<(Key, bool, Functions)>) {
        let mut used = 0u64;
        let before = std::mem::take(&mut self.list);
        self.list = now
            .into_iter()
            .map(|(key, is_during, functions)| {
                let bit = before.iter().find(|condition| condition.key == key).and_then(|condition| condition.bit);
                used |= bit.map_or(0, |bit| 1 << bit);
                Condition { key, bit, is_during, functions }
            })
            .collect();
        for condition in self.list.iter_mut().filter(|condition| condition.bit.is_none()) {
            let free = used.trailing_ones();
            if free < u64::BITS {
                used |= 1 << free;
                condition.bit = Some(free as u8);
            }
        }
    }
}

impl Condition {
    fn begins(&self, frame: &Frame) -> bool {
        self.functions.entries.binary_search(&frame.entry).is_ok()
    }

    fn is_caller(&self, frame: &Frame) -> bool {
        returns_into(&self.functions.extents, frame.link)
    }
}

/// Puts what generated code asks into the slots of the thread whose calls these are.
pub(super) fn show(open: &[Frame], cpu: &mut CpuState) {
    let (entry, sp, inside) = open.last().map_or((0, 0, 0), |top| (top.entry, top.sp, top.inside));
    for (slot, value) in [(slot::CALL_ENTRY, entry), (slot::CALL_SP, sp), (slot::INSIDE, inside)] {
        cpu.x[usize::from(slot)] = value;
    }
}

impl Core {
    /// The functions whose calls are followed for the conditions of a probe.
    pub(super) fn followed_for(&self, probe: &Probe, attachment: &Attachment) -> Vec<u64> {
        let mut followed = Vec::new();
        for (filter, functions) in probe.filters.iter().zip(&attachment.functions) {
            match filter {
                _ if !is_followed(probe, filter) => {}
                Filter::During(_) => followed.extend(&functions.entries),
                _ => self.symbols.each_symbol(&mut |symbol| {
                    let code = symbol.addr..symbol.addr + symbol.size.max(1);
                    if symbol.function && !symbol.indirect && attachment.touches(&code) {
                        followed.push(symbol.addr);
                    }
                }),
            }
        }
        followed
    }

    /// Takes in the conditions of the probes that there are.
    pub(super) fn update_conditions(&mut self) {
        let mut now = Vec::new();
        for (probe, attachment) in self.program.probes.iter().zip(&self.attachments) {
            if self.runtime.standing(attachment.probe).is_none() {
                continue;
            }
            for (index, (filter, functions)) in probe.filters.iter().zip(&attachment.functions).enumerate() {
                if is_followed(probe, filter) {
                    let is_during = matches!(filter, Filter::During(_));
                    now.push(((attachment.probe, index), is_during, functions.clone()));
                }
            }
        }
        self.calls.conditions.update(now);
    }

    /// The first instruction of the function that the code at `pc` is in, if calls of it are followed.
    pub(super) fn followed_function(&self, pc: u64) -> Option<u64> {
        let begin = pc - self.symbols.locate(pc)?.offset;
        self.calls.follows(begin).then_some(begin)
    }
}

/// True if an event happens in the code of functions, so that `from` asks the open calls.
pub(super) fn is_in_functions(event: &Event) -> bool {
    matches!(event, Event::Insn(_) | Event::Block | Event::Line | Event::Branch | Event::Access(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(entries: &[u64]) -> Functions {
        Functions { entries: entries.to_vec(), extents: entries.iter().map(|&entry| entry..entry + 0x10).collect() }
    }

    fn frame(entry: u64, link: u64) -> Frame {
        let mut frame = Frame::default();
        (frame.entry, frame.link) = (entry, link);
        frame
    }

    #[test]
    fn a_call_is_inside_what_is_around_it() {
        let (during, from) = ((ProbeId(0), 0), (ProbeId(0), 2));
        let mut conditions = Conditions::default();
        conditions.update(vec![(during, true, functions(&[0x100])), (from, false, functions(&[0x200]))]);
        let bits = |key| 1u64 << conditions.bit(key).unwrap();
        let outer = frame(0x100, 0x210);
        assert_eq!(conditions.inside(&outer, 0), bits(during) | bits(from), "a call at the very end of its function");
        let inner = frame(0x300, 0x104);
        assert_eq!(conditions.inside(&inner, bits(during) | bits(from)), bits(during), "another caller");
        let open = [outer, inner];
        assert!(conditions.holds(during, &open, None));
        assert!(!conditions.holds(from, &open, Some(0x300)));
        let outermost = &open[..1];
        assert!(conditions.holds(from, outermost, Some(0x100)) && !conditions.holds(from, outermost, Some(0x200)));
    }

    #[test]
    fn bits_stay_and_run_out() {
        let mut conditions = Conditions::default();
        let all = |range: Range<u32>| range.map(|id| ((ProbeId(id), 0), true, functions(&[u64::from(id)]))).collect();
        conditions.update(all(0..65));
        assert_eq!((conditions.bit((ProbeId(63), 0)), conditions.bit((ProbeId(64), 0))), (Some(63), None));
        assert!(conditions.holds((ProbeId(64), 0), &[frame(64, 0)], None), "it is asked for");
        conditions.update(all(63..66));
        let bits = [63, 64, 65].map(|id| conditions.bit((ProbeId(id), 0)));
        assert_eq!(bits, [Some(63), Some(0), Some(1)]);
    }
}
