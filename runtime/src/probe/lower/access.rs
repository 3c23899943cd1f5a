//! Events on memory: what is known of the accesses of an instruction, and where it is kept.
//!
//! An event is an access of at most eight bytes: a pair is two, a vector register of 16 bytes is two, `dc zva` is
//! eight, an atomic is a read and a write. They come in the order of the micro-ops, which is that of addresses.
//!
//! Events that fire before the access stand in front of the instruction, where it is not started again; what their
//! addresses and values depend on within the instruction is computed there a second time. Events that fire behind it
//! stand where after-probes do. Their addresses and values are kept beside the very micro-op that makes the access, so
//! they are what it loaded or stored, whatever other threads do meanwhile. Keeping them has no effect that anybody
//! sees, so the instruction can still be started again.
//!
//! How many accesses a vector instruction makes is known when it is executed: they are noted then, bodies stand in a loop
//! over them, and none of them can be changed. Those of stores fire behind the instruction.
//!
//! How accesses are changed is in [`super::patched`].

use super::body::Body;
use super::code::{Atom, Label, Value};
use super::place::Place;
use super::{Part, ProbeSplicer, REDIRECT_FLAG, Seen, TooComplex, traces, walk};
use crate::probe::action::Action;
use crate::translate::Site;
use crate::uop::{AmoOp, BinOp, Lanes, MemTy, Operand, UnOp, Uop, V, VectorMemory, X, slot};
use crate::vector::VxOp;
use spile_lang::ir::{self, AccessKind, Builtin, ExprKind, Moment, ProbeId, Stmt};

type Result<T> = std::result::Result<T, TooComplex>;

/// Most accesses of an instruction: four vector registers, or a block that is zeroed.
const MOST: u8 = 8;
/// First of the slots in which addresses, values and old values are kept.
pub(super) const SLOTS: X = REDIRECT_FLAG - 3 * MOST - 2;
/// Not zero if a conditional store has happened.
const HAPPENED: X = SLOTS + 3 * MOST;
/// What bodies in front of the instruction have changed of its accesses: see [`super::patched`].
pub(super) const PATCHED: X = HAPPENED + 1;

/// An access of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// Its number within the instruction.
    pub(super) index: u8,
    pub(super) size: u64,
    pub(super) is_write: bool,
    /// It is one step with another access, or an exclusive one.
    pub(super) is_atomic: bool,
    /// It may not happen.
    conditional: bool,
    /// It stands for each access of a vector instruction that has this size.
    pub(super) is_element: bool,
}

impl Access {
    /// The one that needs most slots.
    pub(super) const WORST: Access =
        Access { index: 0, size: 8, is_write: true, is_atomic: false, conditional: true, is_element: false };

    /// Of an atomic or exclusive store it is known only behind it what, or whether, is stored.
    pub(super) fn is_late(self) -> bool {
        self.is_write && self.is_atomic
    }

    pub(super) fn addr(self) -> X {
        SLOTS + self.index
    }

    pub(super) fn value(self) -> X {
        SLOTS + MOST + self.index
    }

    pub(super) fn old(self) -> X {
        SLOTS + 2 * MOST + self.index
    }

    /// Where the number of the next element is, for a loop over them.
    pub(super) fn cursor() -> X {
        SLOTS + 1
    }

    /// The micro-op that finds the next element.
    pub(super) fn find(self) -> Uop {
        let (address, value, old) = (self.addr(), self.value(), self.old());
        let cursor = Access::cursor();
        Uop::VectorAccess { size: self.size as u8, d: cursor, address, value, old, a: cursor }
    }

    /// The access that the instruction makes behind this one, of the same size.
    fn next(self, n: u8) -> Access {
        Access { index: self.index + n, ..self }
    }

    pub(super) fn ty(self) -> MemTy {
        match self.size {
            1 => MemTy::U8,
            2 => MemTy::U16,
            4 => MemTy::U32,
            _ => MemTy::U64,
        }
    }

    /// How its values are cut off.
    pub(super) fn zext(self) -> UnOp {
        match self.size {
            1 => UnOp::Zext8,
            2 => UnOp::Zext16,
            4 => UnOp::Zext32,
            _ => UnOp::Mov,
        }
    }

    fn sext(self) -> UnOp {
        match self.size {
            1 => UnOp::Sext8,
            2 => UnOp::Sext16,
            4 => UnOp::Sext32,
            _ => UnOp::Mov,
        }
    }
}

/// What a micro-op accesses.
#[derive(Clone, Copy)]
pub(super) struct Accesses {
    a: X,
    imm: i64,
    /// Bytes of each event, and their number.
    size: u64,
    pub(super) n: u8,
    pub(super) reads: bool,
    pub(super) writes: bool,
    atomic: bool,
    conditional: bool,
    /// Of an instruction whose elements are as many as it turns out. Where their size does too, `n` is 4: for each size.
    elements: bool,
}

impl Accesses {
    /// The number of events: reads, and behind them writes.
    pub(super) fn events(self) -> u8 {
        self.n * (u8::from(self.reads) + u8::from(self.writes))
    }
}

pub(super) fn accesses(uop: &Uop) -> Option<Accesses> {
    let plain = |a, imm, size: u64, n: u8, writes: bool| {
        // No event has more than eight bytes.
        let (size, n) = if size > 8 { (8, 2 * n) } else { (size, n) };
        Some(Accesses { a, imm, size, n, reads: !writes, writes, atomic: false, conditional: false, elements: false })
    };
    let atomic = |a, size, n, (reads, writes), conditional| {
        Some(Accesses { a, imm: 0, size, n, reads, writes, atomic: true, conditional, elements: false })
    };
    let elements = |a, size: u8, writes: bool| {
        let (size, n) = if size == 0 { (1, 4) } else { (size.into(), 1) };
        Some(Accesses { a, imm: 0, size, n, reads: !writes, writes, atomic: true, conditional: false, elements: true })
    };
    match *uop {
        Uop::Load { ty, a, imm, .. } => plain(a, imm, ty.bytes(), 1, false),
        Uop::Store { ty, a, imm, .. } => plain(a, imm, ty.bytes(), 1, true),
        Uop::LoadPair { ty, a, imm, .. } => plain(a, imm, ty.bytes(), 2, false),
        Uop::StorePair { ty, a, imm, .. } => plain(a, imm, ty.bytes(), 2, true),
        Uop::LoadV { bytes, a, imm, .. } => plain(a, imm, bytes.into(), 1, false),
        Uop::StoreV { bytes, a, imm, .. } => plain(a, imm, bytes.into(), 1, true),
        Uop::LoadPairV { bytes, a, imm, .. } => plain(a, imm, bytes.into(), 2, false),
        Uop::StorePairV { bytes, a, imm, .. } => plain(a, imm, bytes.into(), 2, true),
        Uop::ZeroBlock { a } => plain(a, 0, 8, 8, true),
        Uop::Vector { memory: VectorMemory::None, .. } => None,
        Uop::Vector { memory, size, a, .. } => elements(a, size, memory == VectorMemory::Store),
        Uop::LoadEx { ty, a, .. } => atomic(a, ty.bytes(), 1, (true, false), false),
        Uop::LoadExPair { ty, a, .. } => atomic(a, ty.bytes(), 2, (true, false), false),
        Uop::StoreEx { ty, a, .. } => atomic(a, ty.bytes(), 1, (false, true), true),
        Uop::StoreExPair { ty, a, .. } => atomic(a, ty.bytes(), 2, (false, true), true),
        Uop::Amo { ty, a, .. } => atomic(a, ty.bytes(), 1, (true, true), false),
        Uop::Cas { ty, a, .. } => atomic(a, ty.bytes(), 1, (true, true), true),
        Uop::CasPair { ty, a, .. } => atomic(a, ty.bytes(), 2, (true, true), true),
        _ => None,
    }
}

/// Lists the accesses of an instruction.
pub(super) fn list(body: &[Uop]) -> Vec<Access> {
    let mut all = Vec::new();
    for found in body.iter().filter_map(accesses) {
        for is_write in [false, true] {
            if (is_write && found.writes) || (!is_write && found.reads) {
                all.extend((0..found.n).map(|n| Access {
                    index: 0,
                    size: if found.elements { found.size << n } else { found.size },
                    is_write,
                    is_atomic: found.atomic,
                    conditional: is_write && found.conditional,
                    is_element: found.elements,
                }));
            }
        }
    }
    // An instruction has one loop of elements at a time.
    (0..).zip(&mut all).for_each(|(index, access)| access.index = if access.is_element { 0 } else { index });
    debug_assert!(all.len() <= usize::from(MOST), "{body:?} accesses memory more often than there are slots");
    all
}

/// What is appended for an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// In front of it: addresses and the values that are going to be stored.
    Early,
    /// The instruction itself, with addresses and values; `old` too?
    Whole { old: bool },
}

struct Keeper<'a> {
    uops: &'a mut Vec<Uop>,
    all: &'a [Access],
    keep: Keep,
}

impl Keeper<'_> {
    fn body(&mut self, body: &[Uop]) {
        let last = body.iter().rposition(|uop| accesses(uop).is_some());
        let mut next = 0;
        for (at, uop) in body.iter().enumerate() {
            match accesses(uop) {
                Some(found) => {
                    let first = self.all[usize::from(next)];
                    self.access(uop, found, first);
                    next += found.events();
                }
                None if self.keep != Keep::Early => self.uops.push(*uop),
                None if Some(at) < last && only_computes(uop) => self.uops.push(*uop),
                None => {}
            }
        }
    }

    fn access(&mut self, uop: &Uop, found: Accesses, first: Access) {
        if let Uop::Vector { bits, a, b, .. } = *uop {
            self.uops.push(Uop::VectorLook { bits, a, b });
            if self.keep != Keep::Early {
                self.uops.push(*uop);
            }
            return;
        }
        let of_all = found.events();
        for n in 0..of_all {
            self.address(uop, found, first.next(n), i64::from(n % found.n));
        }
        if found.writes {
            // Behind the reads, if there are any.
            self.stored(uop, first.next(of_all - found.n));
        }
        let Keep::Whole { old } = self.keep else { return };
        if old && found.writes && !found.reads {
            for n in 0..found.n {
                let access = first.next(n);
                self.uops.push(Uop::ProbeLoad { ty: access.ty(), d: access.old(), e: HAPPENED, a: access.addr() });
            }
        }
        self.perform(uop, first);
    }

    fn address(&mut self, uop: &Uop, found: Accesses, access: Access, n: i64) {
        let (a, d) = (found.a, access.addr());
        let imm = found.imm.wrapping_add(n * found.size as i64) as u64;
        if let Uop::ZeroBlock { .. } = uop {
            // The block that contains the address.
            self.uops.push(Uop::BinI { op: BinOp::And64, d, a, imm: !63 });
            self.uops.push(Uop::BinI { op: BinOp::Add64, d, a: d, imm });
        } else {
            self.uops.push(Uop::BinI { op: BinOp::Add64, d, a, imm });
        }
    }

    /// Keeps what is going to be stored.
    fn stored(&mut self, uop: &Uop, first: Access) {
        match *uop {
            Uop::Store { s, .. } | Uop::StoreEx { s, .. } | Uop::Amo { s, .. } | Uop::Cas { s, .. } => {
                self.integer(first, s);
            }
            Uop::StorePair { s, t, .. } | Uop::StoreExPair { s, t, .. } => {
                self.integer(first, s);
                self.integer(first.next(1), t);
            }
            Uop::CasPair { s, .. } => {
                self.integer(first, s);
                self.integer(first.next(1), s + 1);
            }
            Uop::StoreV { s, bytes, .. } => self.vector(first, s, bytes),
            Uop::StorePairV { s, t, bytes, .. } => {
                self.vector(first, s, bytes);
                self.vector(first.next(bytes.div_ceil(8)), t, bytes);
            }
            Uop::ZeroBlock { .. } => {
                (0..MOST).for_each(|n| self.uops.push(Uop::MovI { d: first.next(n).value(), imm: 0 }));
            }
            _ => {}
        }
    }

    fn integer(&mut self, access: Access, a: X) {
        self.uops.push(Uop::Un { op: access.zext(), d: access.value(), a });
    }

    fn vector(&mut self, first: Access, a: V, bytes: u8) {
        for half in 0..bytes.div_ceil(8) {
            let access = first.next(half);
            let d = access.value();
            self.uops.push(Uop::Vx { op: VxOp::Get, t: Lanes::D2, d, a, imm: half.into() });
            if bytes < 8 {
                self.uops.push(Uop::Un { op: access.zext(), d, a: d });
            }
        }
    }

    /// Makes the access and keeps what it has loaded.
    fn perform(&mut self, uop: &Uop, first: Access) {
        match *uop {
            Uop::Amo { op, ty, d, s, a } => {
                let write = first.next(1);
                self.uops.push(Uop::Amo { op, ty, d: first.value(), s, a });
                self.combined(op, first, write);
                self.uops.push(Uop::Un { op: UnOp::Mov, d: write.old(), a: first.value() });
                self.result(d, first);
            }
            Uop::Cas { ty, d, c, s, a } => {
                self.uops.push(Uop::Un { op: first.zext(), d: first.old(), a: c });
                self.uops.push(Uop::Cas { ty, d: first.value(), c, s, a });
                self.uops.push(Uop::Bin { op: BinOp::Eq, d: HAPPENED, a: first.old(), b: first.value() });
                self.uops.push(Uop::Un { op: UnOp::Mov, d: first.next(1).old(), a: first.value() });
                self.result(d, first);
            }
            Uop::CasPair { ty, d, c, s, a } => self.compare_pair(ty, d, (c, s, a), first),
            _ => {
                self.uops.push(*uop);
                self.loaded(uop, first);
            }
        }
    }

    fn loaded(&mut self, uop: &Uop, first: Access) {
        match *uop {
            Uop::Load { d, .. } | Uop::LoadEx { d, .. } => self.integer(first, d),
            Uop::LoadPair { d, e, .. } | Uop::LoadExPair { d, e, .. } => {
                self.integer(first, d);
                self.integer(first.next(1), e);
            }
            Uop::LoadV { d, bytes, .. } => self.vector(first, d, bytes),
            Uop::LoadPairV { d, e, bytes, .. } => {
                self.vector(first, d, bytes);
                self.vector(first.next(bytes.div_ceil(8)), e, bytes);
            }
            Uop::StoreEx { d, .. } | Uop::StoreExPair { d, .. } => {
                self.uops.push(Uop::Un { op: UnOp::IsZero, d: HAPPENED, a: d });
            }
            _ => {}
        }
    }

    /// What an atomic operation has stored: its value slot holds the operand and gets the result.
    fn combined(&mut self, op: AmoOp, read: Access, write: Access) {
        let (old, d) = (read.value(), write.value());
        let mut simple = |op| {
            self.uops.push(Uop::Bin { op, d, a: old, b: d });
            self.uops.push(Uop::Un { op: write.zext(), d, a: d });
        };
        let (signed, greater) = match op {
            AmoOp::Swap => return,
            AmoOp::Add => return simple(BinOp::Add64),
            AmoOp::Clear => return simple(BinOp::AndNot64),
            AmoOp::Xor => return simple(BinOp::Xor64),
            AmoOp::Or => return simple(BinOp::Or64),
            AmoOp::And => return simple(BinOp::And64),
            AmoOp::MaxS => (true, true),
            AmoOp::MinS => (true, false),
            AmoOp::MaxU => (false, true),
            AmoOp::MinU => (false, false),
        };
        let (extend, less) = if signed { (write.sext(), BinOp::LtS) } else { (UnOp::Mov, BinOp::LtU) };
        let (x, y) = (read.old(), write.old());
        self.uops.push(Uop::Un { op: extend, d: x, a: old });
        self.uops.push(Uop::Un { op: extend, d: y, a: d });
        self.uops.push(Uop::Bin { op: less, d: HAPPENED, a: x, b: y });
        let (a, b) = if greater { (d, old) } else { (old, d) };
        self.uops.push(Uop::Select { d, c: HAPPENED, a, b });
    }

    fn compare_pair(&mut self, ty: MemTy, d: X, (c, s, a): (X, X, X), first: Access) {
        let second = first.next(1);
        for (n, access) in [(0, first), (1, second)] {
            self.uops.push(Uop::Un { op: first.zext(), d: access.old(), a: c + n });
        }
        self.uops.push(Uop::CasPair { ty, d: first.value(), c, s, a });
        for access in [first, second] {
            self.uops.push(Uop::Bin { op: BinOp::Eq, d: access.old(), a: access.old(), b: access.value() });
            let write = access.next(2);
            self.uops.push(Uop::Un { op: UnOp::Mov, d: write.old(), a: access.value() });
        }
        self.uops.push(Uop::Bin { op: BinOp::And64, d: HAPPENED, a: first.old(), b: second.old() });
        self.result(d, first);
        self.result(d + 1, second);
    }

    /// Gives a register what was loaded.
    fn result(&mut self, d: X, access: Access) {
        if d != slot::ZERO {
            self.uops.push(Uop::Un { op: UnOp::Mov, d, a: access.value() });
        }
    }
}

/// True for a micro-op that has no effect but on temporaries.
pub(super) fn only_computes(uop: &Uop) -> bool {
    let mut only = !uop.can_leave() && !matches!(uop, Uop::Fence { .. } | Uop::ClearEx | Uop::WriteSys { .. });
    uop.operands(|operand| match operand {
        Operand::DefX(x) => only &= x >= slot::TEMP,
        Operand::DefV(v) => only &= !slot::is_guest_vector(v),
        Operand::DefFlags => only = false,
        Operand::UseX(_) | Operand::UseV(_) | Operand::UseFlags => {}
    });
    only
}

impl Place<'_> {
    /// True if the instruction makes an access of this kind.
    pub(super) fn accesses(&self, kind: AccessKind) -> bool {
        self.body()
            .iter()
            .filter_map(accesses)
            .any(|found| (found.reads && kind.selects(false)) || (found.writes && kind.selects(true)))
    }
}

impl ProbeSplicer<'_> {
    /// The accesses of the instruction with the probes that fire in front of them, or (`behind`) behind them.
    pub(super) fn accessing(&self, site: &Site<'_>, seen: &Seen, behind: bool) -> Vec<(ProbeId, Part)> {
        let probes = seen.probes.iter().filter_map(|&id| match &self.probe(id).event {
            ir::Event::Access(kind) => Some((id, *kind, self.probe(id).moment == Moment::After)),
            _ => None,
        });
        let probes: Vec<_> = probes.collect();
        if probes.is_empty() {
            return Vec::new();
        }
        let of = |access: Access| {
            let concerned = probes.iter().filter(move |(_, kind, after)| {
                kind.selects(access.is_write) && (*after || access.is_late()) == behind
            });
            concerned.map(move |&(id, ..)| (id, Part::Access(access)))
        };
        list(site.body).into_iter().flat_map(of).collect()
    }

    /// Appends what the events in front of the instruction need to know.
    pub(super) fn look_ahead(&self, site: &Site<'_>, uops: &mut Vec<Uop>) {
        let all = list(site.body);
        Keeper { uops, all: &all, keep: Keep::Early }.body(site.body);
    }

    /// Appends the instruction with what the events behind it need to know. False if there are none.
    pub(super) fn keep_accesses(&self, site: &Site<'_>, seen: &Seen, straight: &[Uop], uops: &mut Vec<Uop>) -> bool {
        if self.accessing(site, seen, true).is_empty() {
            return false;
        }
        let all = list(site.body);
        Keeper { uops, all: &all, keep: Keep::Whole { old: self.keeps_old(site, seen) } }.body(straight);
        true
    }

    /// True if an event behind the instruction needs to know what was in memory in front of it.
    pub(super) fn keeps_old(&self, site: &Site<'_>, seen: &Seen) -> bool {
        let events = self.accessing(site, seen, true);
        events.iter().any(|&(id, part)| matches!(part, Part::Access(access) if access.is_write) && self.wants_old(id))
    }

    fn wants_old(&self, id: ProbeId) -> bool {
        let probe = self.probe(id);
        let mut wants = traces(probe);
        walk::probe_expressions(probe, &mut |e| wants |= matches!(e.kind, ExprKind::Builtin(Builtin::AccessOld)));
        wants
    }
}

impl Body<'_> {
    /// Leaves if the probe is about an access and this is not one of its places.
    pub(super) fn leave_unless_accessed(&mut self) -> Result<()> {
        let Some(access) = self.place.access else { return Ok(()) };
        if access.conditional {
            self.code.jump_if(false, Atom::Slot(HAPPENED), &mut self.leave);
        }
        if self.place.patched && self.place.is_after() && access.is_write {
            // It has been left out.
            let mark = self.code.mark();
            let left_out = self.left_out(access)?;
            self.code.jump_if(true, left_out, &mut self.leave);
            self.code.release(mark);
        }
        let ranges = self.host.accessed(self.id);
        let Some((last, others)) = ranges.split_last() else {
            self.code.jump(&mut self.leave);
            return Ok(());
        };
        if *last == (0..u64::MAX) {
            return Ok(());
        }
        let mut pass = Label::default();
        for range in others {
            let inside = self.overlaps(access, range)?;
            self.code.jump_if(true, inside, &mut pass);
        }
        let inside = self.overlaps(access, last)?;
        self.code.jump_if(false, inside, &mut self.leave);
        self.code.bind(pass);
        Ok(())
    }

    /// A condition that is true if a byte of the access is in `range`: a single comparison.
    fn overlaps(&mut self, access: Access, range: &std::ops::Range<u64>) -> Result<Atom> {
        let mark = self.code.mark();
        let d = self.code.temp()?;
        let low = range.start.saturating_sub(access.size - 1);
        self.code.push(Uop::BinI { op: BinOp::Sub64, d, a: access.addr(), imm: low });
        self.code.push(Uop::BinI { op: BinOp::LtU, d, a: d, imm: range.end - low });
        self.code.release(mark);
        Ok(Atom::Slot(d))
    }

    pub(super) fn of_access(&mut self, builtin: Builtin) -> Result<Value> {
        let Some(access) = self.place.access else { return Ok(Value::One(Atom::ZERO)) };
        let before = !self.place.is_after();
        Ok(Value::One(match builtin {
            Builtin::AccessAddr => Atom::Slot(access.addr()),
            Builtin::AccessOld if before => Atom::Slot(self.in_memory(access)?),
            Builtin::AccessOld => Atom::Slot(access.old()),
            _ if before && !access.is_write => {
                let d = self.in_memory(access)?;
                if self.place.patched {
                    // Or what a probe has given it instead.
                    let mark = self.code.mark();
                    let c = self.left_out(access)?;
                    let c = self.code.slot(c)?;
                    self.code.push(Uop::Select { d, c, a: access.value(), b: d });
                    self.code.release(mark);
                }
                Atom::Slot(d)
            }
            _ => Atom::Slot(access.value()),
        }))
    }

    /// A slot with what is in memory now, 0 if it cannot be read.
    fn in_memory(&mut self, access: Access) -> Result<X> {
        let d = self.code.temps(2)?;
        self.code.push(Uop::ProbeLoad { ty: access.ty(), d, e: d + 1, a: access.addr() });
        self.code.release(d + 1);
        Ok(d)
    }

    pub(super) fn trace_access(&mut self, s: &Stmt) -> Result<()> {
        let Some(access) = self.place.access else { return Ok(()) };
        let mut atoms = vec![Atom::Slot(access.addr()), Atom::Const(access.size)];
        atoms.push(self.of_access(Builtin::AccessValue)?.low());
        if access.is_write {
            atoms.push(self.of_access(Builtin::AccessOld)?.low());
        }
        let args = self.pack(&atoms)?;
        self.act(Action::TraceAccess { is_write: access.is_write }, args, s)
    }
}
