//! Lowering: from a probe of the checked IR to micro-ops at a guest instruction.
//!
//! A probe is lowered anew at each site, and everything that depends only on the instruction is decided then: a
//! condition on `insn.mnemonic` or `func` costs nothing at run time, and a probe that it excludes leaves no trace in
//! the block. What micro-ops cannot do is an [`Action`]; actions are made once for all sites.
//!
//! Nothing here resolves places, keeps maps or prints: that is behind [`LowerHost`]. Bodies use the probe slots only
//! and touch guest slots only where the script patches them.

mod access;
mod body;
mod branch;
pub(super) mod calls;
mod code;
mod expr;
mod fold;
mod found;
mod inside;
mod lasting;
mod loops;
mod patched;
mod place;
mod stick;
mod stmt;
mod syscall;
#[cfg(test)]
mod tests;
pub(super) mod walk;

use super::action::{Action, ActionSite, TextHandle};
use super::attach::Functions;
use super::lasting::Request;
use crate::block::{Block, Insn, Insns};
use crate::env::AskedCall;
use crate::glob;
use crate::isa::{InsnFacts, Isa};
use crate::translate::{PROBE_END, Site, Splice, Stickable};
use crate::uop::{Lanes, Uop, X, slot};
use crate::vector::V2Op;
use body::{Body, ProbeKey};
use code::{Atom, Code, Label};
pub(in crate::probe) use expr::NZCV_SHIFT;
use fold::Folder;
use hashbrown::HashMap;
use place::Place;
use regex::{Regex, RegexBuilder};
use spile_lang::ir::{
    self, AggFn, Builtin, Expr, ExprKind, Filter, InsnPattern, Loc, Moment, Pattern, Probe, ProbeId, Program, StateId,
    StateKind, Stmt, StmtKind,
};
use spile_lang::span::Span;
use std::cell::{OnceCell, RefCell};
use std::mem::Discriminant;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Slot that keeps the target of a `skip` or `goto` until the last probe of the point has run.
const REDIRECT_TARGET: X = PROBE_END - 1;
/// Slot that is not zero once a probe of the point has redirected execution.
const REDIRECT_FLAG: X = PROBE_END - 2;
/// First slot that bodies may not use; behind it is what is known of returns and of the accesses of the instruction.
const BODY_END: X = calls::RETURNED;
/// Slots that [`Lowering::check`] keeps back, so that what it accepts fits everywhere.
const RESERVE: X = 8;

static NO_FUNCTIONS: Functions = Functions { entries: Vec::new(), extents: Vec::new() };

/// What the lowering needs of the probe runtime.
pub trait LowerHost {
    /// Enters an action into the engine's table and returns its index.
    fn push_action(&mut self, site: ActionSite) -> u32;

    /// Returns the handle of a text that lives as long as the run.
    fn intern(&mut self, text: &str) -> TextHandle;

    /// Returns a new run-time cell that holds 0.
    fn new_cell(&mut self) -> u32;

    /// Returns a new run-time cell that holds what `cell` holds.
    fn cell_like(&mut self, cell: u32) -> u32;

    /// Tells which cell counts the firings of `probe`.
    fn set_fired_cell(&mut self, probe: ProbeId, cell: u32);

    /// Returns a cell that counts the applications of a patch; `what` says what is patched: `x0`, `u32[0x2000]`.
    fn patch_cell(&mut self, probe: ProbeId, span: Span, what: &str) -> u32;

    /// Returns the cell of a scalar global that holds an integer, if it is kept in one.
    fn scalar_cell(&self, state: StateId) -> Option<u32>;

    /// Returns the first cell of what `state` keeps under `keys` (as they stand in slots; none for a scalar), if that
    /// is in cells: the number of a `count`, the buckets of a `hist`, or a 64-bit integer of a map and behind it the
    /// number of times that it has been changed.
    fn entry_cell(&mut self, state: StateId, keys: &[u64]) -> Option<u32>;

    /// Returns the index in which the cells of `state` are found by its only key, an integer, if there is one: those of
    /// [`LowerHost::entry_cell`], or the number of a `sum`, a `min` or a `max` and behind it the number of times that it
    /// has been changed.
    fn key_index(&mut self, state: StateId) -> Option<u32>;

    /// True if the probe is enabled and can still fire.
    fn is_active(&self, probe: ProbeId) -> bool;

    /// True if the probe is active when the instruction at `pc` is about to be executed, or may become so then.
    fn may_fire_at(&self, probe: ProbeId, _pc: u64) -> bool {
        self.is_active(probe)
    }

    /// True if executing the instruction at `pc` changes which probes are active.
    fn is_awaited(&self, _pc: u64) -> bool {
        false
    }

    /// The cell that says whether the probe's window is open, at an instruction that opens or closes it.
    fn window_at(&self, _probe: ProbeId, _pc: u64) -> Option<u32> {
        None
    }

    /// True if a probe that is active may match in `start..end`.
    fn touches(&self, start: u64, end: u64) -> bool;

    /// True if the places of the probe include `pc` and its exceptions do not.
    fn matches(&self, probe: ProbeId, pc: u64) -> bool;

    /// Returns the addresses whose accesses concern the probe, sorted and disjoint.
    fn accessed(&self, probe: ProbeId) -> Vec<Range<u64>>;

    /// Returns the functions that a `call` or `return` probe names, by their first instructions, sorted.
    fn entries(&self, _probe: ProbeId) -> &[u64] {
        &[]
    }

    /// True if calls of the function that begins at `pc` are followed.
    fn follows(&self, _pc: u64) -> bool {
        false
    }

    /// The functions that a `from` or `during` names: filter number `filter` of the probe.
    fn functions(&self, _probe: ProbeId, _filter: usize) -> &Functions {
        &NO_FUNCTIONS
    }

    /// The bit of [`slot::INSIDE`] that says whether such a filter holds, if it has one.
    fn inside_bit(&self, _probe: ProbeId, _filter: usize) -> Option<u8> {
        None
    }

    /// Returns the first instruction of the function that contains `pc`, if its calls are followed.
    fn followed_function(&self, _pc: u64) -> Option<u64> {
        None
    }

    /// Tells that the instruction at `pc` gives the thread another stack pointer. True if calls are followed, for which
    /// that may be the end.
    fn stack_replaced_at(&mut self, _pc: u64) -> bool {
        false
    }

    /// True if a followed function has been seen to return to `pc`.
    fn returns_to(&self, _pc: u64) -> bool {
        false
    }

    /// True if something may last up to `pc`.
    fn ends_at(&self, _pc: u64) -> bool {
        false
    }

    /// True if the instruction at `pc` is, or has been, executed as another one for some time.
    fn holds(&self, _pc: u64) -> bool {
        false
    }

    /// Returns the cell that is not 0 while something waits for a hit or a place, or an instruction is another one.
    fn waiting_cell(&mut self) -> u32;

    /// Returns the address that a `goto` target or `&name` was resolved to, its offset included.
    fn address_of(&self, loc: &Loc) -> Option<u64>;

    /// Returns the name of the function that contains `pc`, or the empty string.
    fn function(&self, pc: u64) -> String;

    /// Returns the name of the module that contains `pc`, or the empty string.
    fn module(&self, pc: u64) -> String;

    /// Returns the name of the section that contains `pc`, or the empty string.
    fn section(&self, pc: u64) -> String;

    /// Returns the source file and line of the code at `pc`, or the empty string and 0.
    fn source_line(&self, _pc: u64) -> (String, u32) {
        Default::default()
    }

    /// Returns what a part of a variable is when the instruction at `pc` is about to be executed, or its address;
    /// `None` if it is nowhere.
    fn variable(&self, _probe: ProbeId, _pc: u64, _variable: &ir::Variable, _span: Span) -> Option<Expr> {
        None
    }
}

/// What the bodies of events without an instruction (`begin`, `end`, `exit`, `every`) see.
///
/// The instruction count is not among it: bodies read it when they run, as they do everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Where the thread stands.
    pub pc: u64,
    /// Encoding and size of the instruction that comes next, for `every`.
    pub insn: Option<(u32, u8)>,
    /// How it ended, for `exit` and `end`.
    pub status: u64,
    /// The system call.
    pub call: AskedCall,
    /// The call is over, and how many nanoseconds it took.
    pub elapsed: Option<u64>,
}

/// A body that needs more temporaries than there are slots; the span is where they ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooComplex(pub Span);

/// A program on its way into blocks: what is made once, not once for each site.
pub struct Lowering {
    shared: Shared,
}

/// What all bodies share.
struct Shared {
    program: Arc<Program>,
    isa: &'static dyn Isa,
    /// The slots of the stack pointer and of the register of return addresses.
    sp: X,
    link: X,
    actions: RefCell<HashMap<ActionKey, u32>>,
    regexes: RefCell<HashMap<(String, bool), Option<Regex>>>,
    patches: RefCell<HashMap<(ProbeId, usize, Span), u32>>,
    /// For each probe, where its firings are counted.
    fired: Vec<Fired>,
    /// For each probe and filter, the cell that counts executions; 0 for filters that are no `hit`, or one that
    /// counts per thread.
    hit_cells: Vec<Vec<u32>>,
    /// For each probe, whether its body asks for `hits`.
    uses_hits: Vec<bool>,
    /// For each probe, whether something in its body lasts for a number of its hits.
    lasts_for_hits: Vec<bool>,
    /// Registers of which a probe may make bits stuck, those of probes that are gone included.
    stickable: Stickable,
}

/// Where the firings of a probe are counted.
#[derive(Clone, Copy, Debug)]
enum Fired {
    /// In a cell of its own.
    Own(u32),
    /// In the cell of its only statement, a `count`.
    ByCount(u32),
}

impl Fired {
    fn cell(self) -> u32 {
        match self {
            Fired::Own(cell) | Fired::ByCount(cell) => cell,
        }
    }
}

/// What makes an action the same at all sites: what it is and where in the program it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ActionKey {
    probe: ProbeId,
    address: usize,
    span: Span,
    kind: Discriminant<Action>,
    detail: u8,
}

/// A node of the program that actions stand for. The program does not move, so its address identifies it.
trait ProgramKey {
    fn key(&self) -> (usize, Span);
}

impl ProgramKey for Expr {
    fn key(&self) -> (usize, Span) {
        (std::ptr::from_ref(self).addr(), self.span)
    }
}

impl ProgramKey for Stmt {
    fn key(&self) -> (usize, Span) {
        (std::ptr::from_ref(self).addr(), self.span)
    }
}

/// What the probes of one point of the guest have in common.
#[derive(Debug)]
struct Point {
    plan: Plan,
    /// Number of statements lowered that redirect execution.
    redirects: usize,
    /// Number of statements lowered that leave an access out.
    left_out: usize,
    /// The latest of them is reached whenever the point is.
    certain: bool,
    /// Target of a redirect that always happens.
    target: Atom,
    /// Something was lowered after which the thread must look up at once: code may change, the run may end.
    poll_at_once: bool,
    /// Something was lowered that changes which probes are active.
    poll_for_probes: bool,
    /// A probe may replace the instruction.
    replaces: bool,
}

/// How redirects of a point are lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// There is no guest code to redirect.
    None,
    /// Not known yet whether there are any: the result is only looked at if there are none.
    Explore,
    /// There is a single one, and it always happens.
    Always,
    /// They set the flag; the first one wins, and so does what leaves an access out.
    Flagged { several: bool },
}

impl Point {
    fn new(plan: Plan) -> Self {
        Point {
            plan,
            redirects: 0,
            left_out: 0,
            certain: false,
            target: Atom::ZERO,
            poll_at_once: false,
            poll_for_probes: false,
            replaces: false,
        }
    }
}

impl Lowering {
    /// Prepares `program`; `host` is asked for the cells that its probes need.
    pub fn new(program: Arc<Program>, isa: &'static dyn Isa, host: &mut dyn LowerHost) -> Self {
        let (sp, link) = super::calls::slots(isa);
        let shared = Shared {
            isa,
            sp,
            link,
            actions: RefCell::default(),
            regexes: RefCell::default(),
            patches: RefCell::default(),
            fired: Vec::new(),
            hit_cells: Vec::new(),
            uses_hits: Vec::new(),
            lasts_for_hits: Vec::new(),
            stickable: Stickable::default(),
            program: Arc::default(),
        };
        let mut lowering = Lowering { shared };
        lowering.extend(program, host);
        lowering
    }

    /// Goes on with a program that has more probes, or fewer at its end. Returns the probes of before whose code counts
    /// their firings where something else is counted now.
    pub fn extend(&mut self, program: Arc<Program>, host: &mut dyn LowerHost) -> Vec<ProbeId> {
        let shared = &mut self.shared;
        let known = shared.fired.len().min(program.probes.len());
        shared.fired.truncate(known);
        shared.hit_cells.truncate(known);
        shared.uses_hits.truncate(known);
        shared.lasts_for_hits.truncate(known);
        let mut moved = Vec::new();
        for (fired, id) in shared.fired.iter_mut().zip((0..).map(ProbeId)) {
            let counted = counted_state(&program.probes[id.0 as usize]);
            if let (Fired::ByCount(_), Some(state)) = (*fired, counted)
                && !counts_only_here(&program, state)
            {
                *fired = Fired::Own(host.cell_like(fired.cell()));
                host.set_fired_cell(id, fired.cell());
                moved.push(id);
            }
        }
        for (probe, id) in program.probes.iter().zip((0..).map(ProbeId)).skip(known) {
            shared.fired.push(fired_cell(&program, id, host));
            shared.hit_cells.push(hit_cells(probe, host));
            shared.uses_hits.push(mentions_hits(&probe.body));
            shared.lasts_for_hits.push(lasting::lasts_for_hits(&probe.body));
            shared.stickable = shared.stickable.with(stick::stickable(&probe.body));
        }
        shared.program = program;
        moved
    }

    /// The registers that code forces the stuck bits of.
    pub fn stickable(&self) -> Stickable {
        self.shared.stickable
    }

    /// Forgets what belongs to a probe that has been removed, of which no code is left. Returns its actions and cells.
    pub fn forget(&mut self, probe: ProbeId) -> (Vec<u32>, Vec<u32>) {
        let shared = &mut self.shared;
        let sites = shared.actions.get_mut().extract_if(|key, _| key.probe == probe).map(|(_, site)| site).collect();
        shared.patches.get_mut().retain(|key, _| key.0 != probe);
        let index = probe.0 as usize;
        let hits = std::mem::take(&mut shared.hit_cells[index]).into_iter().filter(|&cell| cell != 0);
        let own = match shared.fired[index] {
            Fired::Own(cell) => Some(cell),
            Fired::ByCount(_) => None,
        };
        (sites, hits.chain(own).collect())
    }

    /// Returns what translation splices into blocks.
    pub fn splicer<'a>(&'a self, host: &'a mut dyn LowerHost) -> ProbeSplicer<'a> {
        ProbeSplicer { shared: &self.shared, host, seen: None }
    }

    /// Lowers the body of an event without an instruction. The block has no instructions and ends by running off.
    pub fn event_block(&self, host: &mut dyn LowerHost, probe: ProbeId, event: Event) -> Block {
        let place = Place::event(event, self.shared.isa);
        let mut uops = Vec::new();
        let mut point = Point::new(Plan::None);
        if Body::new(&self.shared, host, &place, &mut point, probe, &mut uops, BODY_END).lower().is_err() {
            uops.clear();
        }
        Block { pc: event.pc, end: event.pc, insns: Insns::Probed(Box::default()), uops: uops.as_slice().into() }
    }

    /// Lists the probes from number `from` on whose bodies are too complex, with where. All others can be lowered everywhere.
    pub fn check(&self, from: usize, host: &mut dyn LowerHost) -> Vec<(ProbeId, Span)> {
        let ids = (from..self.shared.program.probes.len()).map(|index| ProbeId(index as u32));
        ids.filter_map(|id| self.check_probe(host, id).err().map(|TooComplex(span)| (id, span))).collect()
    }

    /// Lowers a probe where it needs the most slots: nothing folds, and operands come from vectors and jumps.
    fn check_probe(&self, host: &mut dyn LowerHost, id: ProbeId) -> Result<(), TooComplex> {
        let insn = Insn { pc: 0x1000, bits: 0, len: 4, start: 0, body: 0, after: 0 };
        let body = [Uop::V2 { op: V2Op::And, t: Lanes::Q, d: slot::VREG, a: slot::VREG, b: slot::VREG, imm: 0 }];
        let (block_pc, block_size, block_len) = (0x1000, 4, 1);
        let site = Site { insn, body: &body, enters_block: true, block_pc, block_size, block_len, jumps: true };
        let probe = &self.shared.program.probes[id.0 as usize];
        let after = probe.moment == Moment::After;
        let place = match probe.event {
            ir::Event::Insn(_)
            | ir::Event::Block
            | ir::Event::Line
            | ir::Event::Branch
            | ir::Event::Call
            | ir::Event::Return => Place::at(&site, after, self.shared.isa, Rc::default()),
            ir::Event::Access(_) => {
                Place::at(&site, after, self.shared.isa, Rc::default()).about(access::Access::WORST)
            }
            _ => Place::event(Event::default(), self.shared.isa),
        };
        let (place, mut uops) = (place.worst(), Vec::new());
        let mut point = Point::new(Plan::Flagged { several: true });
        Body::new(&self.shared, host, &place, &mut point, id, &mut uops, BODY_END - RESERVE).lower()
    }
}

/// Splices the active probes of a program into blocks.
pub struct ProbeSplicer<'a> {
    shared: &'a Shared,
    host: &'a mut dyn LowerHost,
    /// The latest instruction looked at.
    seen: Option<Seen>,
}

/// What has been found out of an instruction.
#[derive(Clone)]
struct Seen {
    pc: u64,
    bits: u32,
    enters_block: bool,
    facts: Rc<OnceCell<InsnFacts>>,
    /// The probes that concern it, in source order.
    probes: Rc<[ProbeId]>,
    /// The look at changed probes waits for the end of the instruction, because it is being traced.
    late_poll: bool,
}

/// What a point does for one probe.
#[derive(Clone, Copy)]
enum Part {
    /// Its filters and body.
    Body,
    /// The same about an access.
    Access(access::Access),
    /// The other half of its `trace`.
    TraceBegin,
    /// The other half of its `trace`.
    TraceEnd,
}

impl Splice for ProbeSplicer<'_> {
    fn touches(&mut self, block: &Block) -> bool {
        let replaces = self.replaces_stack(block);
        replaces || !self.shared.stickable.is_empty() || self.host.touches(block.pc, block.end)
    }

    fn stick(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.stick_written(site, uops);
    }

    fn before(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.seen = None;
        self.end_here(site, uops);
        let reached = self.host.is_awaited(site.insn.pc);
        if reached {
            let action = crate::probe::window::REACHED;
            uops.push(Uop::Action { action, d: slot::ZERO, args: slot::ZERO, n: 0, state: false });
        }
        let polls = self.returned(site, uops) || reached;
        let followed = self.follow(site, uops);
        let held = self.hold_here(site, uops);
        let seen = self.look(site);
        if seen.probes.is_empty() {
            if polls || followed || held {
                uops.push(Uop::Poll { body: true });
            }
            return;
        }
        self.find_call(&seen.probes, uops);
        let parts: Vec<_> = seen.probes.iter().filter_map(|&id| Some((id, self.part_before(id)?))).collect();
        let traced: Vec<_> = seen.probes.iter().copied().filter(|&id| self.traces_before(id)).collect();
        let place = Place::at(site, false, self.shared.isa, Rc::clone(&seen.facts));
        let point = self.point(&place, &parts, &traced, false, uops);
        // What is appended behind a poll would not be executed if the thread leaves there.
        let accesses = !self.accessing(site, &seen, false).is_empty();
        let at_once = polls || followed || point.poll_at_once;
        let asks = at_once || point.poll_for_probes;
        let mut late_poll = point.poll_for_probes && !traced.is_empty() || accesses && asks;
        if point.plan != Plan::Always && !accesses && (at_once || (point.poll_for_probes && !late_poll)) {
            uops.push(Uop::Poll { body: true });
        }
        if (point.replaces || held) && point.plan != Plan::Always {
            self.leave_if_replaced(accesses, uops);
        }
        late_poll |= self.before_accesses(site, &seen, &traced, uops);
        if let Some(seen) = &mut self.seen {
            seen.late_poll = late_poll;
        }
    }

    fn before_replaced(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        self.seen = None;
        let seen = self.look(site);
        let late_poll = self.before_accesses(site, &seen, &[], uops);
        if let Some(seen) = &mut self.seen {
            seen.late_poll = late_poll;
        }
    }

    fn body(&mut self, site: &Site<'_>, straight: &[Uop], uops: &mut Vec<Uop>) -> Option<u32> {
        let seen = self.look(site);
        self.patchable_body(site, &seen, straight, uops)
    }

    fn has_after(&mut self, site: &Site<'_>) -> bool {
        let seen = self.look(site);
        let parts = seen.probes.iter().any(|&id| self.part_after(id).is_some());
        let accesses = !self.accessing(site, &seen, true).is_empty();
        parts || seen.late_poll || accesses || self.is_followed_stack(site)
    }

    fn after(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        let seen = self.look(site);
        self.stack_replaced(site, uops);
        let mut parts = self.accessing(site, &seen, true);
        parts.extend(seen.probes.iter().filter_map(|&id| Some((id, self.part_after(id)?))));
        let mut place = Place::at(site, true, self.shared.isa, Rc::clone(&seen.facts));
        place.patched = self.patches(site, &seen);
        let point = self.point(&place, &parts, &[], true, uops);
        let polls = point.poll_at_once || point.poll_for_probes || seen.late_poll;
        if polls && !site.jumps && point.plan != Plan::Always {
            uops.push(Uop::Poll { body: false });
        }
    }
}

impl ProbeSplicer<'_> {
    /// Appends the events of accesses in front of the instruction; true if the thread has to look up behind it.
    fn before_accesses(&mut self, site: &Site<'_>, seen: &Seen, traced: &[ProbeId], uops: &mut Vec<Uop>) -> bool {
        let parts = self.accessing(site, seen, false);
        if parts.is_empty() {
            return false;
        }
        self.look_ahead(site, uops);
        let mut place = Place::at(site, false, self.shared.isa, Rc::clone(&seen.facts));
        place.patched = self.patches(site, seen);
        if place.patched {
            uops.push(Uop::MovI { d: access::PATCHED, imm: 0 });
        }
        let point = self.point(&place, &parts, traced, false, uops);
        point.poll_at_once || point.poll_for_probes
    }

    fn probe(&self, id: ProbeId) -> &Probe {
        &self.shared.program.probes[id.0 as usize]
    }

    /// Leaves in front of an instruction that is to be executed as another one. A poll would also leave for other
    /// reasons, and what stands behind it for `accesses` would not be executed.
    fn leave_if_replaced(&self, accesses: bool, uops: &mut Vec<Uop>) {
        let mut not = Label::default();
        if accesses {
            let action = Request::IsReplaced.action();
            uops.push(Uop::Action { action, d: REDIRECT_TARGET, args: slot::ZERO, n: 0, state: false });
            Code::new(uops, REDIRECT_TARGET, PROBE_END).jump_if(false, Atom::Slot(REDIRECT_TARGET), &mut not);
        }
        uops.push(Uop::Poll { body: true });
        Code::new(uops, REDIRECT_TARGET, PROBE_END).bind(not);
    }

    /// Finds out which probes concern the instruction at `site`.
    fn look(&mut self, site: &Site<'_>) -> Seen {
        let (pc, bits, enters_block) = (site.insn.pc, site.insn.bits, site.enters_block);
        if let Some(seen) = &self.seen
            && (seen.pc, seen.bits, seen.enters_block) == (pc, bits, enters_block)
        {
            return seen.clone();
        }
        let facts = Rc::<OnceCell<InsnFacts>>::default();
        let place = Place::at(site, false, self.shared.isa, Rc::clone(&facts));
        let ids = (0..self.shared.program.probes.len()).map(|index| ProbeId(index as u32));
        let probes = ids.filter(|&id| self.concerns(id, &place, enters_block)).collect();
        let seen = Seen { pc, bits, enters_block, facts, probes, late_poll: false };
        self.seen = Some(seen.clone());
        seen
    }

    fn concerns(&self, id: ProbeId, place: &Place<'_>, enters_block: bool) -> bool {
        let probe = self.probe(id);
        let event = match &probe.event {
            ir::Event::Insn(_) | ir::Event::Line => true,
            ir::Event::Block => enters_block,
            ir::Event::Call => probe.moment != Moment::After,
            ir::Event::Return => place.facts().is_some_and(|facts| facts.is_return),
            ir::Event::Branch => place.facts().is_some_and(|facts| facts.is_branch),
            ir::Event::EveryInsns(_) | ir::Event::Begin | ir::Event::End | ir::Event::Exit => false,
            // Only at instructions that have such an access; `look` has asked for them.
            ir::Event::Access(kind) => place.accesses(*kind),
            ir::Event::Spawn | ir::Event::Syscall(_) | ir::Event::Signal(_) | ir::Event::Trap(_) => false,
            ir::Event::Load(_) | ir::Event::Output(_) | ir::Event::Mark(_) | ir::Event::EveryTime(_) => false,
        };
        event
            && self.host.may_fire_at(id, place.pc())
            && self.host.matches(id, place.pc())
            && self.selects(probe, place)
            && self.may_pass(id, place)
    }

    fn selects(&self, probe: &Probe, place: &Place<'_>) -> bool {
        let ir::Event::Insn(pattern) = &probe.event else { return true };
        match (pattern, place.facts()) {
            (InsnPattern::Any, _) => true,
            (InsnPattern::Glob(pattern), Some(facts)) => glob::matches(pattern, &facts.mnemonic),
            (InsnPattern::Regex(pattern), Some(facts)) => self.shared.regex_matches(pattern, &facts.text),
            (_, None) => false,
        }
    }

    /// False if a condition is known not to hold here. One behind a `hit` or `limit` does not count: the executions are
    /// counted all the same.
    fn may_pass(&self, id: ProbeId, place: &Place<'_>) -> bool {
        let folder = Folder { shared: self.shared, host: self.host, place, probe: id };
        let uncounted = |filter: &&Filter| !matches!(filter, Filter::Hit(_) | Filter::Limit(_));
        let conditions = self.probe(id).filters.iter().take_while(uncounted).filter_map(|filter| match filter {
            Filter::When(condition) => Some(condition),
            _ => None,
        });
        conditions.into_iter().all(|condition| folder.fold(condition).is_none_or(|known| known.is_true()))
    }

    fn traces_before(&self, id: ProbeId) -> bool {
        let probe = self.probe(id);
        matches!(probe.event, ir::Event::Insn(_)) && probe.moment != Moment::After && traces(probe)
    }

    fn part_before(&self, id: ProbeId) -> Option<Part> {
        let probe = self.probe(id);
        match (&probe.event, probe.moment) {
            (ir::Event::Access(_), _) => None,
            (ir::Event::Insn(_), Moment::After) => traces(probe).then_some(Part::TraceBegin),
            _ => Some(Part::Body),
        }
    }

    fn part_after(&self, id: ProbeId) -> Option<Part> {
        let probe = self.probe(id);
        match (&probe.event, probe.moment) {
            (ir::Event::Insn(_), Moment::After) => Some(Part::Body),
            _ => self.traces_before(id).then_some(Part::TraceEnd),
        }
    }

    /// Lowers a point, with its redirect at the end. `traced` are the probes whose trace of this instruction ends
    /// when a redirect leaves it out.
    fn point(
        &mut self,
        place: &Place<'_>,
        parts: &[(ProbeId, Part)],
        traced: &[ProbeId],
        done: bool,
        uops: &mut Vec<Uop>,
    ) -> Point {
        let start = uops.len();
        let explored = self.parts(place, parts, Plan::Explore, uops);
        let several = explored.redirects + explored.left_out > 1;
        if explored.redirects == 0 && !several {
            return explored;
        }
        uops.truncate(start);
        let plan = if explored.certain && !several { Plan::Always } else { Plan::Flagged { several } };
        if let Plan::Flagged { .. } = plan {
            uops.push(Uop::MovI { d: REDIRECT_FLAG, imm: 0 });
        }
        let point = self.parts(place, parts, plan, uops);
        if point.redirects == 0 {
            return point;
        }
        let mut over = Label::default();
        let mut code = Code::new(uops, REDIRECT_TARGET, PROBE_END);
        if let Plan::Flagged { .. } = plan {
            code.jump_if(false, Atom::Slot(REDIRECT_FLAG), &mut over);
        }
        for &id in traced {
            code.push(self.trace_half(id, Action::TraceEnd));
        }
        if let (Plan::Always, Atom::Const(imm)) = (plan, point.target) {
            code.push(Uop::MovI { d: REDIRECT_TARGET, imm });
        }
        code.push(Uop::Goto { a: REDIRECT_TARGET, done });
        code.bind(over);
        point
    }

    fn parts(&mut self, place: &Place<'_>, parts: &[(ProbeId, Part)], plan: Plan, uops: &mut Vec<Uop>) -> Point {
        let mut point = Point::new(plan);
        for &(id, part) in parts {
            match part {
                Part::Body if self.depends_on_branch(id, place) => self.body_of_branch(place, id, &mut point, uops),
                Part::Body => self.body(place, id, &mut point, uops),
                Part::Access(access) => {
                    let place = place.about(access);
                    if !self.may_pass(id, &place) {
                        continue;
                    }
                    if access.is_element {
                        self.for_elements(access, &place, id, &mut point, uops);
                    } else {
                        self.body(&place, id, &mut point, uops);
                    }
                }
                Part::TraceBegin => uops.push(self.trace_half(id, Action::TraceBegin)),
                Part::TraceEnd => uops.push(self.trace_half(id, Action::TraceEnd)),
            }
        }
        point
    }

    /// Lowers the body for each access of a vector instruction.
    fn for_elements(
        &mut self,
        access: access::Access,
        place: &Place<'_>,
        id: ProbeId,
        point: &mut Point,
        uops: &mut Vec<Uop>,
    ) {
        let cursor = access::Access::cursor();
        uops.push(Uop::MovI { d: cursor, imm: 0 });
        let head = uops.len() as u32;
        uops.push(access.find());
        let mut end = Label::default();
        Code::new(uops, slot::PROBE, BODY_END).jump_if(false, Atom::Slot(cursor), &mut end);
        self.body(place, id, point, uops);
        // There may be none.
        point.certain = false;
        // It is not 0 here. That it is used says that it must be kept where a body goes on in the interpreter.
        uops.push(Uop::LocalIf { nz: true, a: cursor, to: head });
        Code::new(uops, slot::PROBE, BODY_END).bind(end);
    }

    fn body(&mut self, place: &Place<'_>, id: ProbeId, point: &mut Point, uops: &mut Vec<Uop>) {
        let start = uops.len();
        let body = Body::new(self.shared, self.host, place, point, id, uops, BODY_END);
        if body.lower().is_err() {
            // `check` has refused such probes before the guest ran.
            uops.truncate(start);
        }
    }

    fn trace_half(&mut self, id: ProbeId, action: Action) -> Uop {
        let key = ProbeKey(self.probe(id).span);
        let action = self.shared.action(self.host, id, action, key.key());
        Uop::Action { action, d: slot::ZERO, args: slot::ZERO, n: 0, state: true }
    }
}

impl Shared {
    /// True if `pattern` matches somewhere in `text`. Each expression is compiled once.
    fn regex_matches(&self, pattern: &Pattern, text: &str) -> bool {
        let mut regexes = self.regexes.borrow_mut();
        let regex = regexes.entry((pattern.text.clone(), pattern.ignore_case)).or_insert_with(|| {
            // The checker has compiled it before.
            RegexBuilder::new(&pattern.text).case_insensitive(pattern.ignore_case).build().ok()
        });
        regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    /// The cell that counts the applications of a patch.
    fn patch_cell(&self, host: &mut dyn LowerHost, probe: ProbeId, what: &str, statement: &Stmt) -> u32 {
        let (address, span) = statement.key();
        *self.patches.borrow_mut().entry((probe, address, span)).or_insert_with(|| host.patch_cell(probe, span, what))
    }
}

fn traces(probe: &Probe) -> bool {
    let mut found = false;
    walk::statements(&probe.body, &mut |statement| found |= matches!(statement.kind, StmtKind::Trace));
    found
}

fn mentions_hits(body: &[Stmt]) -> bool {
    let mut found = false;
    walk::statements(body, &mut |statement| {
        walk::expressions(statement, &mut |e| found |= matches!(e.kind, ExprKind::Builtin(Builtin::Hits)));
    });
    found
}

/// Decides where the firings of a probe are counted: if all that it does is to count them, in that cell alone.
fn fired_cell(program: &Program, id: ProbeId, host: &mut dyn LowerHost) -> Fired {
    let counted = counted_state(&program.probes[id.0 as usize]).filter(|&state| counts_only_here(program, state));
    let shared = counted.and_then(|state| host.entry_cell(state, &[]));
    let fired = shared.map_or_else(|| Fired::Own(host.new_cell()), Fired::ByCount);
    host.set_fired_cell(id, fired.cell());
    fired
}

/// The aggregation of a probe that does nothing but count without keys.
fn counted_state(probe: &Probe) -> Option<StateId> {
    match probe.body.as_slice() {
        [Stmt { kind: StmtKind::Aggregate { state, value: None, keys }, .. }] if keys.is_empty() => Some(*state),
        _ => None,
    }
}

/// True if `state` is a count without keys that a single statement of the program changes.
fn counts_only_here(program: &Program, state: StateId) -> bool {
    let global = &program.states[state.0 as usize];
    if global.kind != StateKind::Aggregate(AggFn::Count) || !global.keys.is_empty() {
        return false;
    }
    let mut changes = 0;
    for probe in &program.probes {
        walk::statements(&probe.body, &mut |statement| {
            let changed = match &statement.kind {
                StmtKind::Aggregate { state: other, .. }
                | StmtKind::SetState { state: other, .. }
                | StmtKind::Delete { state: other, .. } => *other == state,
                StmtKind::Reset(states) => states.contains(&state),
                _ => false,
            };
            changes += usize::from(changed);
        });
    }
    changes == 1
}

fn hit_cells(probe: &Probe, host: &mut dyn LowerHost) -> Vec<u32> {
    let cell = |filter: &Filter| match filter {
        Filter::Hit(spec) if !spec.per_thread => host.new_cell(),
        _ => 0,
    };
    probe.filters.iter().map(cell).collect()
}
