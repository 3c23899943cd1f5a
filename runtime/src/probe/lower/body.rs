//! One probe at one place: its filters, its firing and the frame in which its statements are lowered.

use super::code::{Atom, Code, Label, Value};
use super::fold::{Folder, Static};
use super::{ActionKey, Fired, LowerHost, Place, Plan, Point, ProgramKey, Shared, TooComplex};
use crate::probe::action::{Action, ActionSite};
use crate::uop::{BinOp, Uop, X, slot};
use spile_lang::ir::{Expr, Filter, HitCounts, HitSpec, Moment, Probe, ProbeId, Program, StateId, StateKind};
use spile_lang::span::Span;
use spile_lang::types::Type;

type Result<T> = std::result::Result<T, TooComplex>;

/// What the lowering of one probe at one place has at hand.
pub(super) struct Body<'a> {
    pub(super) code: Code<'a>,
    pub(super) program: &'a Program,
    pub(super) shared: &'a Shared,
    pub(super) host: &'a mut dyn LowerHost,
    pub(super) place: &'a Place<'a>,
    pub(super) point: &'a mut Point,
    pub(super) id: ProbeId,
    /// Where the `let` variables are.
    pub(super) locals: Vec<Value>,
    /// The number of this firing, if the body asks for it and the probe has fired.
    pub(super) hits: Option<X>,
    /// Cell that counts the firings.
    pub(super) fired: u32,
    /// The end of the body.
    pub(super) leave: Label,
    /// Where failing loads go, innermost `??` last.
    pub(super) fallbacks: Vec<Label>,
    /// The ends of the iterations of enclosing loops, innermost last.
    pub(super) iterations: Vec<Label>,
    /// Number of enclosing conditions that are decided at run time.
    pub(super) depth: u32,
    /// While what stands for a variable is lowered: the variable's node.
    pub(super) inside: Option<(usize, Span)>,
}

/// Whether control can go on behind what has been lowered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    Left,
}

/// The probe itself as the place that an action is for.
pub(super) struct ProbeKey(pub(super) Span);

impl ProgramKey for ProbeKey {
    fn key(&self) -> (usize, Span) {
        (0, self.0)
    }
}

/// A filter of a probe, by its number.
struct FilterKey(usize, Span);

impl ProgramKey for FilterKey {
    fn key(&self) -> (usize, Span) {
        (self.0, self.1)
    }
}

impl<'a> Body<'a> {
    /// Prepares the lowering of `id` at `place`, appending to `uops`; temporaries end at `end`.
    pub(super) fn new(
        shared: &'a Shared,
        host: &'a mut dyn LowerHost,
        place: &'a Place<'a>,
        point: &'a mut Point,
        id: ProbeId,
        uops: &'a mut Vec<Uop>,
        end: X,
    ) -> Self {
        let code = Code::new(uops, slot::PROBE, end);
        Body {
            code,
            program: &shared.program,
            shared,
            host,
            place,
            point,
            id,
            locals: Vec::new(),
            hits: None,
            fired: shared.fired[id.0 as usize].cell(),
            leave: Label::default(),
            fallbacks: Vec::new(),
            iterations: Vec::new(),
            depth: place.taken.is_some().into(),
            inside: None,
        }
    }

    /// Lowers the whole probe: filters, firing, statements.
    pub(super) fn lower(mut self) -> Result<()> {
        let program = self.program;
        let probe = &program.probes[self.id.0 as usize];
        self.code.span = probe.span;
        for local in &probe.locals {
            let value = if local.ty == Type::U128 {
                let d = self.code.temps(2)?;
                Value::Two(Atom::Slot(d), Atom::Slot(d + 1))
            } else {
                Value::One(Atom::Slot(self.code.temp()?))
            };
            self.locals.push(value);
        }
        let hits = if self.shared.uses_hits(self.id) { Some(self.code.temp()?) } else { None };
        self.code.keep();
        self.leave_unless_open()?;
        self.leave_unless_accessed()?;
        self.concerns_returned(probe)?;
        if self.filters(probe)? == Flow::On {
            self.fire(hits);
            self.statements(&probe.body)?;
        }
        let leave = std::mem::take(&mut self.leave);
        self.code.bind(leave);
        Ok(())
    }

    /// At an instruction that opens or closes the probe's window: leaves if it is closed.
    fn leave_unless_open(&mut self) -> Result<()> {
        if let Some(cell) = self.place.insn_pc().and_then(|pc| self.host.window_at(self.id, pc)) {
            let mark = self.code.mark();
            let d = self.code.temp()?;
            self.code.push(Uop::CellGet { d, cell });
            self.code.jump_if(false, Atom::Slot(d), &mut self.leave);
            self.code.release(mark);
        }
        Ok(())
    }

    fn filters(&mut self, probe: &Probe) -> Result<Flow> {
        let last_hit = probe.filters.iter().rposition(|filter| matches!(filter, Filter::Hit(_)));
        for (index, filter) in probe.filters.iter().enumerate() {
            let mark = self.code.mark();
            let flow = match filter {
                Filter::When(condition) => self.leave_unless(condition)?,
                Filter::Hit(spec) => {
                    let count = match spec.per_thread {
                        true => {
                            let key = FilterKey(index, probe.head);
                            self.call_action(Action::ThreadHit, (slot::ZERO, 0), &key)?.low()
                        }
                        false => self.count(self.shared.hit_cells[self.id.0 as usize][index])?,
                    };
                    if last_hit == Some(index) && self.lasts_for_hits() {
                        self.end_at_hit()?;
                    }
                    self.pass_hit(spec, count)?
                }
                Filter::During(_) => self.leave_unless_during(index)?,
                Filter::From(_) => self.leave_unless_from(probe, index)?,
                Filter::Limit(spec) => {
                    let key = FilterKey(index, probe.head);
                    let passes = self.call_action(Action::Limit(*spec), (slot::ZERO, 0), &key)?.low();
                    self.code.jump_if(false, passes, &mut self.leave);
                    Flow::On
                }
            };
            if flow == Flow::Left {
                return Ok(Flow::Left);
            }
            self.code.release(mark);
        }
        if last_hit.is_none() && self.lasts_for_hits() {
            self.end_at_hit()?;
        }
        Ok(Flow::On)
    }

    /// True if something in the body lasts for a number of hits, which are counted after the last possible one, too.
    fn lasts_for_hits(&self) -> bool {
        self.shared.lasts_for_hits[self.id.0 as usize]
    }

    fn leave_unless(&mut self, condition: &Expr) -> Result<Flow> {
        match self.fold(condition) {
            Some(known) if known.is_true() => Ok(Flow::On),
            Some(_) => {
                self.code.jump(&mut self.leave);
                Ok(Flow::Left)
            }
            None => {
                let mut out = Label::default();
                self.branch(condition, false, &mut out)?;
                self.leave.join(out);
                Ok(Flow::On)
            }
        }
    }

    /// Counts an execution. Returns its number.
    fn count(&mut self, cell: u32) -> Result<Atom> {
        let count = self.code.temp()?;
        self.code.push(Uop::MovI { d: count, imm: 1 });
        self.code.push(Uop::CellAdd { d: count, a: count, cell });
        Ok(Atom::Slot(count))
    }

    /// Goes on if the execution of this number passes.
    fn pass_hit(&mut self, spec: &HitSpec, count: Atom) -> Result<Flow> {
        match &spec.counts {
            HitCounts::Every(n) => self.hit_every(count, *n)?,
            HitCounts::Ranges(ranges) if ranges.is_empty() => {
                self.code.jump(&mut self.leave);
                return Ok(Flow::Left);
            }
            // Of threads there may always be another one.
            HitCounts::Ranges(ranges) => {
                self.hit_ranges(count, ranges, !spec.per_thread && !self.lasts_for_hits())?;
            }
        }
        Ok(Flow::On)
    }

    fn hit_every(&mut self, count: Atom, n: u64) -> Result<()> {
        if n < 2 {
            return Ok(());
        }
        let rest = if n.is_power_of_two() {
            let d = self.code.temp()?;
            self.code.bin(BinOp::And64, d, count, Atom::Const(n - 1))?;
            Atom::Slot(d)
        } else {
            let (x, y) = (self.code.slot(count)?, self.code.slot(Atom::Const(n))?);
            let d = self.code.temp()?;
            self.code.push(Uop::Bin { op: BinOp::DivUA64, d, a: x, b: y });
            self.code.push(Uop::MulSub64 { d, a: d, b: y, c: x });
            Atom::Slot(d)
        };
        self.code.jump_if(true, rest, &mut self.leave);
        Ok(())
    }

    fn hit_ranges(&mut self, count: Atom, ranges: &[(u64, Option<u64>)], exhausts: bool) -> Result<()> {
        let mut pass = Label::default();
        let (last, others) = ranges.split_last().expect("a hit clause has ranges");
        for range in others {
            let mark = self.code.mark();
            let inside = self.in_range(count, *range)?;
            self.code.jump_if(true, inside, &mut pass);
            self.code.release(mark);
        }
        let inside = self.in_range(count, *last)?;
        self.code.jump_if(false, inside, &mut self.leave);
        self.code.bind(pass);
        if let Some(end) = last.1.filter(|_| exhausts) {
            self.exhaust_at(count, end - 1, others.is_empty() && end - last.0 == 1)?;
        }
        Ok(())
    }

    /// A condition that is true if `from <= count < to`.
    fn in_range(&mut self, count: Atom, (from, to): (u64, Option<u64>)) -> Result<Atom> {
        let d = self.code.temp()?;
        match to {
            None if from <= 1 => return Ok(Atom::Const(1)),
            None => {
                let low = Atom::Slot(self.code.slot(Atom::Const(from))?);
                self.code.bin(BinOp::LeU, d, low, count)?;
            }
            Some(to) if to == from + 1 => self.code.bin(BinOp::Eq, d, count, Atom::Const(from))?,
            Some(to) => {
                self.code.bin(BinOp::Sub64, d, count, Atom::Const(from))?;
                self.code.bin(BinOp::LtU, d, Atom::Slot(d), Atom::Const(to - from))?;
            }
        }
        Ok(Atom::Slot(d))
    }

    /// Reports that the probe cannot fire again, if this was its last possible hit.
    fn exhaust_at(&mut self, count: Atom, last: u64, only: bool) -> Result<()> {
        let mut over = Label::default();
        if !only {
            let d = self.code.temp()?;
            self.code.bin(BinOp::Eq, d, count, Atom::Const(last))?;
            self.code.jump_if(false, Atom::Slot(d), &mut over);
        }
        let key = self.probe_key();
        self.act(Action::Exhausted, (slot::ZERO, 0), &key)?;
        self.code.bind(over);
        Ok(())
    }

    /// Counts the firing.
    fn fire(&mut self, hits: Option<X>) {
        match (hits, self.shared.fired[self.id.0 as usize]) {
            (Some(d), fired) => {
                self.code.push(Uop::MovI { d, imm: 1 });
                self.code.push(Uop::CellAdd { d, a: d, cell: fired.cell() });
                self.hits = Some(d);
            }
            (None, Fired::Own(cell)) => self.code.push(Uop::CellInc { cell, n: 1 }),
            // The body's only statement counts in the same cell.
            (None, Fired::ByCount(_)) => {}
        }
    }

    // ---- used by expressions and statements

    /// The value of `e` if it is known now.
    pub(super) fn fold(&self, e: &Expr) -> Option<Static> {
        Folder { shared: self.shared, host: self.host, place: self.place, probe: self.id }.fold(e)
    }

    pub(super) fn probe_key(&self) -> ProbeKey {
        ProbeKey(self.program.probes[self.id.0 as usize].head)
    }

    /// True if the probe is about what has happened.
    pub(super) fn is_after_event(&self) -> bool {
        self.program.probes[self.id.0 as usize].moment == Moment::After
    }

    /// The cell of a scalar global that holds an integer.
    pub(super) fn integer_cell(&self, state: StateId) -> Option<u32> {
        match &self.program.states[state.0 as usize] {
            state_of if !state_of.keys.is_empty() => None,
            state_of => match state_of.kind {
                StateKind::Value { ty, .. } if ty.is_integer() => self.host.scalar_cell(state),
                _ => None,
            },
        }
    }

    /// Appends the call of an action, which is made once for all sites.
    pub(super) fn emit_action<K: ProgramKey>(&mut self, action: Action, (args, n): (X, u8), d: X, at: &K) {
        match action {
            Action::Enable(_) | Action::Disable(_) | Action::Exhausted => self.point.poll_for_probes = true,
            Action::Exit
            | Action::Fail
            | Action::AssertFailed { .. }
            | Action::MemoryWrite { .. }
            | Action::LastingHit
            | Action::Raise(_) => {
                self.point.poll_at_once = true;
            }
            _ => {}
        }
        // Those that look at registers besides their arguments, or write some.
        let state = matches!(
            action,
            Action::Stack(_)
                | Action::Caller
                | Action::TraceBegin
                | Action::TraceEnd
                | Action::LastingBegin
                | Action::LastingEnd(_)
                | Action::LastingHit
                | Action::Stick { .. }
        );
        let action = self.action_number(action, at);
        self.code.push(Uop::Action { action, d, args, n, state });
    }

    /// The number of an action in the engine's table.
    pub(super) fn action_number<K: ProgramKey>(&mut self, action: Action, at: &K) -> u32 {
        let key = self.inside.unwrap_or(at.key());
        self.shared.action(self.host, self.id, action, key)
    }

    /// True if the place that the point's plan is made for knows that this statement is always reached.
    pub(super) fn is_certain(&self) -> bool {
        self.depth == 0 && !self.leave.is_used() && self.point.plan != Plan::None
    }
}

impl Shared {
    /// Returns the index of `action` in the engine's table, which it enters when it comes up first.
    pub(super) fn action(
        &self,
        host: &mut dyn LowerHost,
        probe: ProbeId,
        action: Action,
        (address, span): (usize, Span),
    ) -> u32 {
        let detail = match action {
            Action::Float(op) => op as u8,
            Action::Fact(fact) => fact as u8,
            Action::TraceAccess { is_write } => u8::from(is_write),
            _ => 0,
        };
        let key = ActionKey { probe, address, span, kind: std::mem::discriminant(&action), detail };
        *self.actions.borrow_mut().entry(key).or_insert_with(|| host.push_action(ActionSite { action, probe, span }))
    }

    /// True if the body of `probe` mentions `hits`.
    pub(super) fn uses_hits(&self, probe: ProbeId) -> bool {
        self.uses_hits[probe.0 as usize]
    }
}
