//! Places while the guest runs: those that wait for a library, those whose library goes or comes back elsewhere.
//!
//! Whenever the modules are others, places that are names are looked up again. What a place may be, and what is said of
//! one that is not there, is in [`super::attach`].

use super::attach::{Attachment, Missing, World, attach_again};
use hashbrown::HashSet;
use spile_lang::diag::{Diagnostic, Severity};
use spile_lang::ir::{Event, Filter, Place, Probe, Program, Region, RegionKind};
use spile_lang::span::Span;
use std::ops::Range;

/// What has become of the places of a run's probes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Places that waited and were found: no more to be said of them, also if their library has gone.
    found: HashSet<Span>,
}

impl Pending {
    /// Looks again for the places of all probes. Returns the code in which probes have come or gone.
    pub(super) fn update(
        &mut self,
        program: &Program,
        attachments: &mut [Attachment],
        world: &World<'_>,
    ) -> Vec<Range<u64>> {
        let mut changed = Vec::new();
        for (probe, attachment) in program.probes.iter().zip(attachments) {
            if !depends_on_modules(probe, attachment) {
                continue;
            }
            let again = attach_again(program, attachment.probe, world);
            let waits: HashSet<Span> = again.waiting.iter().filter_map(Diagnostic::span).collect();
            let waited = attachment.waiting.iter().filter_map(Diagnostic::span);
            self.found.extend(waited.filter(|span| !waits.contains(span)));
            if (&again.ranges, &again.accessed) != (&attachment.ranges, &attachment.accessed)
                || (&again.addresses, &again.functions) != (&attachment.addresses, &attachment.functions)
            {
                changed.extend(attachment.ranges.iter().chain(&again.ranges).cloned());
            }
            *attachment = again;
        }
        changed
    }

    /// What is to be said at the end of the run about places that were never there. `world` has all modules that were.
    pub(super) fn never_found(
        &self,
        program: &Program,
        attachments: &[Attachment],
        world: &World<'_>,
    ) -> Vec<Diagnostic> {
        if world.symbols.missing() == Missing::IsIgnored {
            return Vec::new();
        }
        let waiting = attachments.iter().filter(|attachment| !attachment.waiting.is_empty());
        let required = waiting.filter(|attachment| !program.probes[attachment.probe.0 as usize].optional);
        let never = required.flat_map(|attachment| {
            let waited: HashSet<Span> = attachment.waiting.iter().filter_map(Diagnostic::span).collect();
            let again = attach_again(program, attachment.probe, world).waiting.into_iter();
            again.filter(move |diagnostic| diagnostic.span().is_some_and(|span| waited.contains(&span)))
        });
        let unknown = never.filter(|diagnostic| diagnostic.span().is_none_or(|span| !self.found.contains(&span)));
        unknown.map(as_warning).collect()
    }
}

/// The run was not prevented by it, so it is no error.
fn as_warning(diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, code: "W0503", ..diagnostic }
}

/// True if other modules may mean other addresses.
fn depends_on_modules(probe: &Probe, attachment: &Attachment) -> bool {
    let named = |place: &Place| !matches!(place, Place::Addr(_) | Place::Any);
    let region_named = |region: &Region| match &region.kind {
        RegionKind::Extent(loc) | RegionKind::Len(loc, _) => named(&loc.place),
        RegionKind::Range(from, to) => named(&from.place) || named(&to.place),
    };
    let functions = probe.filters.iter().flat_map(|filter| match filter {
        Filter::From(list) | Filter::During(list) => list.as_slice(),
        Filter::When(_) | Filter::Hit(_) | Filter::Limit(_) => &[],
    });
    // `*` is what functions there are.
    let any = functions.clone().any(|loc| loc.place == Place::Any);
    let locs = probe.at.iter().chain(&probe.since).chain(&probe.until).chain(functions);
    let at = any || locs.into_iter().any(|loc| named(&loc.place));
    let within = probe.within.iter().chain(&probe.except).any(region_named);
    // Optional addresses may become code as well.
    let any_function = matches!(probe.event, Event::Call | Event::Return | Event::Line);
    any_function || at || within || probe.optional || !attachment.waiting.is_empty() || !attachment.addresses.is_empty()
}
