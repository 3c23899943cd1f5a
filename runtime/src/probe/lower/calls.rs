//! The code of `call`, `after call` and `return` probes: what [`crate::probe::calls`] is told and asked.

use super::body::Body;
use super::code::{Atom, Code, Label, Value};
use super::{Part, Plan, ProbeSplicer, REDIRECT_FLAG, REDIRECT_TARGET, TooComplex, walk};
use crate::block::Block;
use crate::probe::action::Action;
use crate::probe::calls::{Request, is_call_event};
use crate::translate::{PROBE_END, Site};
use crate::uop::{BinOp, JumpHint, Operand, UnOp, Uop, X, slot};
use spile_lang::ir::{self, Builtin, Event, Expr, ExprKind, Filter, Moment, Probe, ProbeId, Stmt};
use spile_lang::target::Register;

type Result<T> = std::result::Result<T, TooComplex>;

/// Slot that says which function has returned, in all bodies of a point; see [`Request::Leave`].
pub(super) const RETURNED: X = super::access::SLOTS - 1;

/// True for `after call`.
pub(crate) fn is_after_call(probe: &Probe) -> bool {
    matches!(probe.event, Event::Call) && probe.moment == Moment::After
}

/// True if a probe can only be right if calls are followed from their entry on.
pub(crate) fn needs_frames(probe: &Probe) -> bool {
    let mut found = is_after_call(probe);
    let mut look = |e: &Expr| {
        let asks = matches!(
            e.kind,
            ExprKind::Builtin(Builtin::Depth | Builtin::Elapsed | Builtin::Activation | Builtin::EntryArg(_))
        );
        found |= asks;
    };
    for filter in &probe.filters {
        if let Filter::When(condition) = filter {
            walk::parts(condition, &mut look);
        }
    }
    walk::statements(&probe.body, &mut |statement| walk::expressions(statement, &mut look));
    found || (is_call_event(probe) && super::traces(probe))
}

fn request(request: Request, d: X, args: X, n: u8, state: bool) -> Uop {
    Uop::Action { action: request.action(), d, args, n, state }
}

/// True if an instruction makes a stack pointer that has nothing to do with the one before.
fn replaces(sp: X, body: &[Uop]) -> bool {
    let (mut used, mut defined) = (false, false);
    for uop in body {
        uop.operands(|operand| match operand {
            Operand::UseX(x) => used |= x == sp,
            Operand::DefX(x) => defined |= x == sp,
            _ => {}
        });
    }
    defined && !used
}

impl ProbeSplicer<'_> {
    /// Where followed functions return to: for each of them the bodies of the `after call` probes that it concerns.
    /// They come before all other probes of the instruction, as what ends before what begins. True if the thread must
    /// look up afterwards.
    pub(super) fn returned(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) -> bool {
        let pc = site.insn.pc;
        if !self.host.returns_to(pc) {
            return false;
        }
        let sp = self.shared.sp;
        uops.push(request(Request::Leave, RETURNED, sp, 1, false));
        let mut none = Label::default();
        Code::new(uops, REDIRECT_TARGET, PROBE_END).jump_if(false, Atom::Slot(RETURNED), &mut none);
        let ids = (0..self.shared.program.probes.len()).map(|index| ProbeId(index as u32));
        let concerned = |id: &ProbeId| is_after_call(self.probe(*id)) && self.host.may_fire_at(*id, pc);
        let parts: Vec<_> = ids.filter(concerned).map(|id| (id, Part::Body)).collect();
        let place = super::Place::at(site, false, self.shared.isa, std::rc::Rc::default());
        let point = self.point(&place, &parts, &[], false, uops);
        let mut code = Code::new(uops, REDIRECT_TARGET, PROBE_END);
        if point.plan != Plan::Always {
            // After a tail call several functions return at once: once more from here, for the next one.
            let mut last = Label::default();
            code.push(Uop::BinI { op: BinOp::And64, d: RETURNED, a: RETURNED, imm: 1 });
            code.jump_if(false, Atom::Slot(RETURNED), &mut last);
            code.push(Uop::MovI { d: REDIRECT_TARGET, imm: pc });
            code.push(Uop::Goto { a: REDIRECT_TARGET, done: false });
            code.bind(last);
        }
        code.bind(none);
        point.poll_at_once || point.poll_for_probes
    }

    /// Notes the entry of a followed function, and call instructions that are known to lead to one. True if the thread
    /// must look up afterwards, because the function returns to where nobody has returned to before.
    pub(super) fn follow(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) -> bool {
        let calls = matches!(
            site.body.last(),
            Some(Uop::Jump { hint: JumpHint::Call, .. } | Uop::JumpInd { hint: JumpHint::Call, .. })
        );
        let behind = site.insn.pc.wrapping_add(site.insn.len.into());
        if calls && self.host.returns_to(behind) {
            uops.push(Uop::MovI { d: slot::CALL_MARK, imm: behind });
        }
        let followed = self.host.follows(site.insn.pc);
        if followed {
            uops.push(request(Request::Enter, slot::ZERO, slot::ZERO, 0, true));
        }
        followed
    }

    /// Tells where the block gives the thread another stack pointer. True if that is to be followed.
    pub(super) fn replaces_stack(&mut self, block: &Block) -> bool {
        let sp = self.shared.sp;
        let mut followed = false;
        for (index, insn) in block.insns().enumerate() {
            let end = block.get_insn(index + 1).map_or(block.uops.len(), |next| next.start as usize);
            if replaces(sp, &block.uops[insn.start as usize..end]) {
                followed |= self.host.stack_replaced_at(insn.pc);
            }
        }
        followed
    }

    pub(super) fn is_followed_stack(&mut self, site: &Site<'_>) -> bool {
        replaces(self.shared.sp, site.body) && self.host.stack_replaced_at(site.insn.pc)
    }

    /// Behind an instruction that has given the thread another stack pointer, as `longjmp` and whatever unwinds stacks do:
    /// calls may have been abandoned, unless it is below that of the innermost one.
    pub(super) fn stack_replaced(&mut self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        if !self.is_followed_stack(site) {
            return;
        }
        let (sp, link) = (self.shared.sp, self.shared.link);
        let mut below = Label::default();
        let mut code = Code::new(uops, slot::PROBE, PROBE_END);
        code.push(Uop::Bin { op: BinOp::LtU, d: slot::PROBE, a: sp, b: slot::CALL_SP });
        code.jump_if(true, Atom::Slot(slot::PROBE), &mut below);
        code.jump_if(false, Atom::Slot(slot::CALL_ENTRY), &mut below);
        code.push(Uop::Un { op: UnOp::Mov, d: slot::PROBE, a: sp });
        code.push(Uop::Un { op: UnOp::Mov, d: slot::PROBE + 1, a: link });
        code.push(request(Request::Settle, slot::PROBE, slot::PROBE, 2, false));
        code.bind(below);
    }

    /// In front of a return instruction: which call it ends, if one of the probes asks.
    pub(super) fn find_call(&mut self, probes: &[ProbeId], uops: &mut Vec<Uop>) {
        let asks = |id: &ProbeId| matches!(self.probe(*id).event, Event::Return) && needs_frames(self.probe(*id));
        if probes.iter().any(asks) {
            uops.push(request(Request::Find, slot::ZERO, slot::ZERO, 0, true));
        }
    }
}

impl Body<'_> {
    /// Leaves the body of an `after call` probe unless it is for the function that has returned.
    pub(super) fn concerns_returned(&mut self, probe: &Probe) -> Result<()> {
        if !is_after_call(probe) {
            return Ok(());
        }
        let mark = self.code.mark();
        let d = self.code.temp()?;
        match *self.host.entries(self.id) {
            [entry] => {
                self.code.push(Uop::BinI { op: BinOp::AndNot64, d, a: RETURNED, imm: 1 });
                self.code.push(Uop::BinI { op: BinOp::Eq, d, a: d, imm: entry });
            }
            _ => self.code.push(request(Request::Concerns(self.id), d, RETURNED, 1, false)),
        }
        self.code.jump_if(false, Atom::Slot(d), &mut self.leave);
        self.code.release(mark);
        Ok(())
    }

    /// The values of the call that the point is about.
    pub(super) fn call_value(&mut self, builtin: Builtin) -> Result<Option<Value>> {
        let probe = &self.program.probes[self.id.0 as usize];
        let asked = match builtin {
            Builtin::Caller if is_after_call(probe) => return Ok(Some(Value::One(Atom::Const(self.place.pc())))),
            Builtin::Caller if matches!(probe.event, Event::Call | Event::Return) => {
                let link = ["lr", "ra"].iter().find_map(|name| self.shared.isa.register(name));
                return link.map(|link| self.register(&link)).transpose();
            }
            Builtin::Depth => Request::Depth,
            Builtin::Elapsed => Request::Elapsed,
            Builtin::Activation => Request::Activation,
            Builtin::EntryArg(n) => Request::Argument(n),
            Builtin::Func if is_after_call(probe) => Request::FunctionName,
            _ => return Ok(None),
        };
        Ok(Some(Value::One(self.ask(asked)?)))
    }

    fn ask(&mut self, asked: Request) -> Result<Atom> {
        let d = self.code.temp()?;
        self.code.push(request(asked, d, slot::ZERO, 0, false));
        Ok(Atom::Slot(d))
    }

    /// Ends the function whose entry this is. Of several that do, the first one wins, and its result with it.
    pub(super) fn return_now(&mut self, result: Option<&(Register, Expr)>, link: &Register, s: &Stmt) -> Result<()> {
        if let Some((register, value)) = result {
            let mark = self.code.mark();
            let new = self.value_for(value, register.ty)?;
            let mut lost = Label::default();
            if self.point.plan == (Plan::Flagged { several: true }) {
                self.code.jump_if(true, Atom::Slot(REDIRECT_FLAG), &mut lost);
            }
            self.write_register(register, new)?;
            self.hold_stuck(register.slot);
            self.patched("retval", s)?;
            self.code.bind(lost);
            self.code.release(mark);
        }
        let target = self.register(link)?;
        self.redirect(target.low(), if result.is_some() { None } else { Some("return") }, s)
    }

    /// The line of a call or of its return.
    pub(super) fn trace_call(&mut self, probe: &Probe, s: &Stmt) -> Result<()> {
        let returned = is_after_call(probe) || matches!(probe.event, ir::Event::Return);
        let first = self.code.temps(4)?;
        let mut asked = vec![(0, Request::Function), (1, Request::Depth)];
        if returned {
            asked.push((3, Request::Elapsed));
        } else {
            self.code.push(Uop::MovI { d: first + 3, imm: 0 });
        }
        for (index, what) in asked {
            self.code.push(request(what, first + index, slot::ZERO, 0, false));
        }
        if let Some(register) = self.shared.isa.argument(0) {
            let mark = self.code.mark();
            let a = self.register(&register)?.low();
            let a = self.code.slot(a)?;
            self.code.push(Uop::Un { op: UnOp::Mov, d: first + 2, a });
            self.code.release(mark);
        }
        self.act(Action::TraceCall { returned }, (first, 4), s)
    }
}
