//! Patches of accesses: another value that is loaded or stored, and accesses that are left out.
//!
//! Bodies in front of the instruction change what stands in the value slots of [`super::access`], and say so in
//! [`PATCHED`]: a bit for each access that is left out, and one for any other change. If it is not zero, not the
//! instruction is executed but another form of it, in which each access is by itself and takes its value from its slot.
//! That form stands in front of the instruction, whose code stays as it is: if the thread leaves it in the middle it is
//! gone on with at that very micro-op, and nothing else comes in between, so what was changed is not forgotten.
//!
//! Bodies behind the instruction change what it has loaded: the value goes from its slot to the registers once more, the
//! way on which the instruction has brought it there.

use super::access::{Access, PATCHED, accesses, list, only_computes};
use super::body::Body;
use super::code::{Atom, Code, Label};
use super::place::Place;
use super::{BODY_END, Part, Plan, ProbeSplicer, REDIRECT_FLAG, Seen, TooComplex, walk};
use crate::probe::action::Action;
use crate::translate::Site;
use crate::uop::{BinOp, Lanes, MemTy, Operand, UnOp, Uop, V, X, slot};
use crate::vector::XvOp;
use spile_lang::ir::{BitsOp, Builtin, Expr, LValue, ProbeId, Stmt, StmtKind};
use spile_lang::types::Type;
use std::rc::Rc;

type Result<T> = std::result::Result<T, TooComplex>;

/// The bit of [`PATCHED`] that says that a value is another one.
const CHANGED: u64 = 1 << 63;

/// Where a loaded value of at most eight bytes goes.
#[derive(Clone, Copy)]
enum Loaded {
    Integer {
        d: X,
        ty: MemTy,
    },
    /// The whole register, of which the upper part is cleared.
    Vector {
        d: V,
    },
    /// A half of it.
    Half {
        d: V,
        half: u8,
    },
}

impl Loaded {
    fn operand(self) -> Operand {
        match self {
            Loaded::Integer { d, .. } => Operand::DefX(d),
            Loaded::Vector { d } | Loaded::Half { d, .. } => Operand::DefV(d),
        }
    }

    /// Appends what brings a value there.
    fn assign(self, value: X, uops: &mut Vec<Uop>) {
        match self {
            Loaded::Integer { d: slot::ZERO, .. } => {}
            Loaded::Integer { d, ty } => {
                let (op, narrow) = match ty {
                    MemTy::U8 | MemTy::U16 | MemTy::U32 | MemTy::U64 => (UnOp::Mov, false),
                    MemTy::S8 => (UnOp::Sext8, false),
                    MemTy::S16 => (UnOp::Sext16, false),
                    MemTy::S32 => (UnOp::Sext32, false),
                    MemTy::S8to32 => (UnOp::Sext8, true),
                    MemTy::S16to32 => (UnOp::Sext16, true),
                };
                uops.push(Uop::Un { op, d, a: value });
                if narrow {
                    uops.push(Uop::Un { op: UnOp::Zext32, d, a: d });
                }
            }
            Loaded::Vector { d } => {
                uops.push(Uop::VMovI { d, both: false, imm: 0 });
                uops.push(Uop::Xv { op: XvOp::Insert, t: Lanes::D2, d, a: value, imm: 0 });
            }
            Loaded::Half { d, half } => {
                uops.push(Uop::Xv { op: XvOp::Insert, t: Lanes::D2, d, a: value, imm: half.into() });
            }
        }
    }
}

/// Where the values that a micro-op loads go, in the order of its accesses.
fn loaded(uop: &Uop) -> Vec<Loaded> {
    let vector = |d, bytes: u8| match bytes {
        16 => vec![Loaded::Half { d, half: 0 }, Loaded::Half { d, half: 1 }],
        _ => vec![Loaded::Vector { d }],
    };
    match *uop {
        Uop::Load { ty, d, .. } | Uop::LoadEx { ty, d, .. } | Uop::Amo { ty, d, .. } | Uop::Cas { ty, d, .. } => {
            vec![Loaded::Integer { d, ty }]
        }
        Uop::LoadPair { ty, d, e, .. } | Uop::LoadExPair { ty, d, e, .. } => {
            vec![Loaded::Integer { d, ty }, Loaded::Integer { d: e, ty }]
        }
        Uop::CasPair { ty, d, .. } => vec![Loaded::Integer { d, ty }, Loaded::Integer { d: d + 1, ty }],
        Uop::LoadV { d, bytes, .. } => vector(d, bytes),
        Uop::LoadPairV { d, e, bytes, .. } => [vector(d, bytes), vector(e, bytes)].concat(),
        _ => Vec::new(),
    }
}

/// A slot of either file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    X(X),
    V(V),
}

impl Slot {
    fn is_temporary(self) -> bool {
        match self {
            Slot::X(x) => x >= slot::TEMP,
            Slot::V(v) => !slot::is_guest_vector(v),
        }
    }
}

fn used(uop: &Uop) -> Vec<Slot> {
    let mut slots = Vec::new();
    uop.operands(|operand| match operand {
        Operand::UseX(x) => slots.push(Slot::X(x)),
        Operand::UseV(v) => slots.push(Slot::V(v)),
        _ => {}
    });
    slots
}

fn defined(uop: &Uop) -> Vec<Slot> {
    let mut slots = Vec::new();
    uop.operands(|operand| slots.extend(slot_of(operand)));
    slots
}

fn slot_of(defined: Operand) -> Option<Slot> {
    match defined {
        Operand::DefX(x) => Some(Slot::X(x)),
        Operand::DefV(v) => Some(Slot::V(v)),
        _ => None,
    }
}

/// Brings what is in the value slot of a load to its registers, on the way that the instruction `body` takes: appends
/// those of its micro-ops through which that value goes, and what these need.
fn bring(body: &[Uop], access: Access, uops: &mut Vec<Uop>) {
    let all = list(body);
    // For each micro-op that loads, its loaded values with their slots.
    let mut next = 0;
    let mut loads = Vec::new();
    for uop in body {
        let first = next;
        next += accesses(uop).map_or(0, |found| usize::from(found.events()));
        loads.push(loaded(uop).into_iter().zip(&all[first..]).collect::<Vec<_>>());
    }
    let of_access = |(_, of): &&(Loaded, &Access)| of.index == access.index;
    let Some((at, &(changed, _))) =
        loads.iter().enumerate().find_map(|(at, values)| Some((at, values.iter().find(of_access)?)))
    else {
        return;
    };
    // Forward: what the value goes through.
    let mut carries: Vec<Slot> = slot_of(changed.operand()).into_iter().filter(|&d| d != Slot::X(slot::ZERO)).collect();
    let mut chosen = vec![false; body.len()];
    for (index, uop) in body.iter().enumerate().skip(at + 1) {
        chosen[index] = loads[index].is_empty() && used(uop).iter().any(|slot| carries.contains(slot));
        let defined = defined(uop);
        carries.retain(|slot| !defined.contains(slot));
        if chosen[index] {
            carries.extend(defined);
        }
    }
    // Backward: the temporaries that this needs besides.
    let mut needed: Vec<Slot> = Vec::new();
    let mut parts: Vec<Vec<Uop>> = Vec::new();
    for (index, uop) in body.iter().enumerate().rev() {
        let mut part = Vec::new();
        let defined = defined(uop);
        let wanted = |slot: &Slot| needed.contains(slot);
        if !loads[index].is_empty() {
            for &(target, of) in &loads[index] {
                if of.index == access.index || slot_of(target.operand()).as_ref().is_some_and(wanted) {
                    target.assign(of.value(), &mut part);
                }
            }
            needed.retain(|slot| !defined.contains(slot));
        } else if chosen[index] || only_computes(uop) && defined.iter().any(wanted) {
            part.push(*uop);
            needed.retain(|slot| !defined.contains(slot));
            needed.extend(used(uop).into_iter().filter(|slot| slot.is_temporary()));
        }
        parts.push(part);
    }
    uops.extend(parts.into_iter().rev().flatten());
}

/// True if the probe changes accesses before they are made.
fn changes_accesses(body: &[Stmt]) -> bool {
    let mut found = false;
    walk::statements(body, &mut |statement| {
        found |= match &statement.kind {
            StmtKind::Write { target, .. } | StmtKind::Bits { target, .. } => matches!(target, LValue::Accessed),
            StmtKind::FinishAccess(_) => true,
            _ => false,
        };
    });
    found
}

impl ProbeSplicer<'_> {
    /// True if a probe in front of the instruction may change its accesses. Those of atomic ones cannot be.
    pub(super) fn patches(&self, site: &Site<'_>, seen: &Seen) -> bool {
        let place = Place::at(site, false, self.shared.isa, Rc::clone(&seen.facts));
        let may = |&(id, part): &(ProbeId, Part)| {
            let Part::Access(access) = part else { return false };
            !access.is_atomic && changes_accesses(&self.probe(id).body) && self.may_pass(id, &place.about(access))
        };
        self.accessing(site, seen, false).iter().any(may)
    }

    /// Appends the instruction with what its events need, and in front of it its other form, if there is one. Returns
    /// where the instruction begins; `None` if nothing has been appended.
    pub(super) fn patchable_body(
        &self,
        site: &Site<'_>,
        seen: &Seen,
        straight: &[Uop],
        uops: &mut Vec<Uop>,
    ) -> Option<u32> {
        if !self.patches(site, seen) {
            let start = uops.len() as u32;
            return self.keep_accesses(site, seen, straight, uops).then_some(start);
        }
        let (mut plain, mut end) = (Label::default(), Label::default());
        let mut code = Code::new(uops, slot::PROBE, BODY_END);
        code.jump_if(false, Atom::Slot(PATCHED), &mut plain);
        apart(straight, self.keeps_old(site, seen), &mut code);
        code.jump(&mut end);
        code.bind(plain);
        let start = uops.len() as u32;
        if self.accessing(site, seen, true).is_empty() {
            uops.extend(straight);
        } else {
            // It may be begun here, too, and then nothing has been left out.
            uops.push(Uop::MovI { d: PATCHED, imm: 0 });
            self.keep_accesses(site, seen, straight, uops);
        }
        Code::new(uops, slot::PROBE, BODY_END).bind(end);
        Some(start)
    }
}

/// Appends the instruction with each access by itself, unless it is left out, and its value in its slot.
fn apart(straight: &[Uop], old: bool, code: &mut Code<'_>) {
    // Bodies are over: their temporaries are free.
    let left_out = slot::PROBE;
    let all = list(straight);
    let mut next = 0;
    for uop in straight {
        let Some(found) = accesses(uop) else {
            code.push(*uop);
            continue;
        };
        let these = &all[next..][..usize::from(found.events())];
        next += these.len();
        for access in these {
            let (ty, value, addr) = (access.ty(), access.value(), access.addr());
            if old && access.is_write {
                code.push(Uop::ProbeLoad { ty, d: access.old(), e: left_out, a: addr });
            }
            let mut over = Label::default();
            code.push(Uop::BfxU { d: left_out, a: PATCHED, lsb: access.index, len: 1 });
            code.jump_if(true, Atom::Slot(left_out), &mut over);
            code.push(match access.is_write {
                true => Uop::Store { ty, s: value, a: addr, imm: 0 },
                false => Uop::Load { ty, d: value, a: addr, imm: 0 },
            });
            code.bind(over);
        }
        for (target, access) in loaded(uop).into_iter().zip(these) {
            target.assign(access.value(), code.uops);
        }
    }
}

impl Body<'_> {
    /// A condition that is true if the access has been left out.
    pub(super) fn left_out(&mut self, access: Access) -> Result<Atom> {
        let d = self.code.temp()?;
        self.code.push(Uop::BfxU { d, a: PATCHED, lsb: access.index, len: 1 });
        Ok(Atom::Slot(d))
    }

    /// A condition that is true if a `skip`, `goto` or `return` of the point has won.
    pub(super) fn is_decided(&mut self) -> Result<Atom> {
        let flag = Atom::Slot(REDIRECT_FLAG);
        match self.place.access.filter(|_| self.place.patched && !self.place.is_after()) {
            None => Ok(flag),
            Some(access) => {
                let left_out = self.left_out(access)?;
                let d = self.code.temp()?;
                self.code.bin(BinOp::Or64, d, left_out, flag)?;
                Ok(Atom::Slot(d))
            }
        }
    }

    /// True if the event is in front of an access that cannot be changed any more, or not by itself; that is reported.
    pub(super) fn refuses_atomic(&mut self, access: Access, s: &Stmt) -> Result<bool> {
        let refuses = access.is_atomic && (access.is_element || !self.is_after_event());
        if refuses {
            self.act(Action::Atomic, (slot::ZERO, 0), s)?;
        }
        Ok(refuses)
    }

    /// `write value = …`
    pub(super) fn write_accessed(&mut self, value: &Expr, s: &Stmt) -> Result<()> {
        let Some(access) = self.place.access else { return Ok(()) };
        if self.refuses_atomic(access, s)? {
            return Ok(());
        }
        let new = self.value_for(value, Type::Word)?.low();
        self.set_accessed(access, new, s)
    }

    /// `flip value …` and its kin.
    pub(super) fn change_accessed(&mut self, op: BitsOp, mask: &Expr, s: &Stmt) -> Result<()> {
        let Some(access) = self.place.access else { return Ok(()) };
        if self.refuses_atomic(access, s)? {
            return Ok(());
        }
        let bits = self.expr(mask)?;
        let old = self.of_access(Builtin::AccessValue)?;
        let new = self.apply(op, old, bits)?.low();
        self.set_accessed(access, new, s)
    }

    fn set_accessed(&mut self, access: Access, new: Atom, s: &Stmt) -> Result<()> {
        self.cut(access, new);
        if self.place.is_after() {
            let start = self.code.uops.len();
            bring(self.place.body(), access, self.code.uops);
            self.hold_written(start);
        } else {
            self.code.push(Uop::BinI { op: BinOp::Or64, d: PATCHED, a: PATCHED, imm: CHANGED });
        }
        self.patched("value", s)
    }

    /// Puts a value, cut to the size of the access, into its slot.
    fn cut(&mut self, access: Access, new: Atom) {
        let d = access.value();
        match new {
            Atom::Const(value) => self.code.push(Uop::MovI { d, imm: access.ty().extend(value) }),
            Atom::Slot(a) => self.code.push(Uop::Un { op: access.zext(), d, a }),
        }
    }

    /// `skip` of a store, `return …` of a load.
    pub(super) fn finish_access(&mut self, value: Option<&Expr>, s: &Stmt) -> Result<()> {
        let Some(access) = self.place.access else { return Ok(()) };
        if self.refuses_atomic(access, s)? {
            return Ok(());
        }
        self.point.left_out += 1;
        let new = match value {
            Some(value) => Some(self.value_for(value, Type::Word)?.low()),
            None => None,
        };
        let (mut lost, mut done) = (Label::default(), Label::default());
        let several = self.point.plan == (Plan::Flagged { several: true });
        if several {
            let decided = self.is_decided()?;
            self.code.jump_if(true, decided, &mut lost);
        }
        self.code.push(Uop::BinI { op: BinOp::Or64, d: PATCHED, a: PATCHED, imm: 1 << access.index });
        if let Some(new) = new {
            self.cut(access, new);
        }
        self.patched(if new.is_some() { "value" } else { "skip" }, s)?;
        if several {
            self.code.jump(&mut done);
            self.code.bind(lost);
            self.act(Action::SecondRedirect, (slot::ZERO, 0), s)?;
            self.code.bind(done);
        }
        Ok(())
    }
}
