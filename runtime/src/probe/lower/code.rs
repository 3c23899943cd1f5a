//! What the lowering emits into: values, temporaries and forward labels.
//!
//! Temporaries follow a stack discipline: lowering an expression leaves at most its result above where it began, so
//! the deepest expression decides how many slots a body needs, not its length.

use super::TooComplex;
use crate::uop::{BinOp, UnOp, Uop, X, slot};
use spile_lang::span::Span;

/// A 64-bit value while a body is lowered: known now, or in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    Const(u64),
    Slot(X),
}

impl Atom {
    pub(super) const ZERO: Atom = Atom::Const(0);
}

/// The value of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    One(Atom),
    /// `U128`: low half, high half.
    Two(Atom, Atom),
}

impl Value {
    pub(super) fn low(self) -> Atom {
        match self {
            Value::One(atom) | Value::Two(atom, _) => atom,
        }
    }

    /// The value as two halves; a 64-bit one is zero-extended.
    pub(super) fn halves(self) -> [Atom; 2] {
        match self {
            Value::One(atom) => [atom, Atom::ZERO],
            Value::Two(low, high) => [low, high],
        }
    }

    pub(super) fn atoms(self) -> Vec<Atom> {
        match self {
            Value::One(atom) => vec![atom],
            Value::Two(low, high) => vec![low, high],
        }
    }
}

/// A place in the code that forward jumps wait for.
#[derive(Debug, Default)]
pub(super) struct Label {
    jumps: Vec<usize>,
}

impl Label {
    /// Makes the jumps to `other` jumps to this label.
    pub(super) fn join(&mut self, other: Label) {
        self.jumps.extend(other.jumps);
    }

    pub(super) fn is_used(&self) -> bool {
        !self.jumps.is_empty()
    }
}

/// The code of one body as it is appended to a block.
pub(super) struct Code<'a> {
    pub(super) uops: &'a mut Vec<Uop>,
    /// First slot that is a temporary; those below it hold locals.
    first: X,
    next: X,
    end: X,
    /// Where the latest label stands: micro-ops before it are not the only way to get here.
    labelled: usize,
    /// The expression or statement being lowered, for [`TooComplex`].
    pub(super) span: Span,
}

impl<'a> Code<'a> {
    /// Appends to `uops`, with the temporaries `first..end`.
    pub(super) fn new(uops: &'a mut Vec<Uop>, first: X, end: X) -> Self {
        let labelled = uops.len();
        Code { uops, first, next: first, end, labelled, span: Span::default() }
    }

    pub(super) fn push(&mut self, uop: Uop) {
        self.uops.push(uop);
    }

    // ---- temporaries

    /// Where the stack of temporaries stands, for [`Code::release`].
    pub(super) fn mark(&self) -> X {
        self.next
    }

    pub(super) fn release(&mut self, mark: X) {
        self.next = mark;
    }

    pub(super) fn temp(&mut self) -> Result<X, TooComplex> {
        self.temps(1)
    }

    /// Returns the first of `n` neighbouring temporaries.
    pub(super) fn temps(&mut self, n: usize) -> Result<X, TooComplex> {
        let first = self.next;
        if usize::from(first) + n > usize::from(self.end) {
            return Err(TooComplex(self.span));
        }
        self.next += n as X;
        Ok(first)
    }

    /// Declares that all temporaries so far live as long as the body.
    pub(super) fn keep(&mut self) {
        self.first = self.next;
    }

    // ---- moving values

    /// Returns a slot that holds `atom`: its own, `ZERO` or a new temporary.
    pub(super) fn slot(&mut self, atom: Atom) -> Result<X, TooComplex> {
        match atom {
            Atom::Slot(x) => Ok(x),
            Atom::Const(0) => Ok(slot::ZERO),
            Atom::Const(imm) => {
                let d = self.temp()?;
                self.push(Uop::MovI { d, imm });
                Ok(d)
            }
        }
    }

    /// Puts `atom` into `d`. If the last micro-op has just computed it into a temporary, it computes into `d` instead;
    /// the temporary must not be used again.
    pub(super) fn move_to(&mut self, d: X, atom: Atom) {
        match atom {
            Atom::Const(imm) => self.push(Uop::MovI { d, imm }),
            Atom::Slot(x) if x == d => {}
            Atom::Slot(x) => {
                if !self.retarget(x, d) {
                    self.push(Uop::Un { op: UnOp::Mov, d, a: x });
                }
            }
        }
    }

    fn retarget(&mut self, from: X, to: X) -> bool {
        if from < self.first || self.uops.len() <= self.labelled {
            return false;
        }
        let Some(uop) = self.uops.last_mut() else { return false };
        match uop {
            Uop::MovI { d, .. }
            | Uop::Un { d, .. }
            | Uop::Bin { d, .. }
            | Uop::BinI { d, .. }
            | Uop::BfxU { d, .. }
            | Uop::BfxS { d, .. }
            | Uop::Bfi { d, .. }
            | Uop::MulSub64 { d, .. }
            | Uop::Select { d, .. }
            | Uop::CellGet { d, .. }
            | Uop::Vx { d, .. }
            | Uop::Icount { d }
                if *d == from =>
            {
                *d = to;
                true
            }
            _ => false,
        }
    }

    /// Copies `atom` into `d`, whatever is behind it.
    pub(super) fn copy_to(&mut self, d: X, atom: Atom) {
        match atom {
            Atom::Const(imm) => self.push(Uop::MovI { d, imm }),
            Atom::Slot(a) => self.push(Uop::Un { op: UnOp::Mov, d, a }),
        }
    }

    // ---- operations

    /// Appends `d = op(a)`.
    pub(super) fn un(&mut self, op: UnOp, d: X, a: Atom) -> Result<(), TooComplex> {
        let a = self.slot(a)?;
        self.push(Uop::Un { op, d, a });
        Ok(())
    }

    /// Appends `d = op(a, b)`, in the immediate form if one operand is known.
    pub(super) fn bin(&mut self, op: BinOp, d: X, a: Atom, b: Atom) -> Result<(), TooComplex> {
        let commutes = matches!(
            op,
            BinOp::Add64 | BinOp::Mul64 | BinOp::And64 | BinOp::Or64 | BinOp::Xor64 | BinOp::Eq | BinOp::Ne
        );
        match (a, b) {
            (a, Atom::Const(imm)) => {
                let a = self.slot(a)?;
                self.push(Uop::BinI { op, d, a, imm });
            }
            (Atom::Const(imm), Atom::Slot(a)) if commutes => self.push(Uop::BinI { op, d, a, imm }),
            (a, Atom::Slot(b)) => {
                let a = self.slot(a)?;
                self.push(Uop::Bin { op, d, a, b });
            }
        }
        Ok(())
    }

    // ---- labels

    /// Appends a jump to `label`.
    pub(super) fn jump(&mut self, label: &mut Label) {
        label.jumps.push(self.uops.len());
        self.push(Uop::Local { to: u32::MAX });
    }

    /// Appends a jump to `label` that is taken if `a` is not zero (`nz`) or zero (not `nz`).
    pub(super) fn jump_if(&mut self, nz: bool, a: Atom, label: &mut Label) {
        match a {
            Atom::Const(value) if (value != 0) == nz => self.jump(label),
            Atom::Const(_) => {}
            Atom::Slot(a) => {
                label.jumps.push(self.uops.len());
                self.push(Uop::LocalIf { nz, a, to: u32::MAX });
            }
        }
    }

    /// A place to jump back to.
    pub(super) fn head(&mut self) -> u32 {
        self.labelled = self.uops.len();
        self.uops.len() as u32
    }

    /// Puts `label` here.
    pub(super) fn bind(&mut self, mut label: Label) {
        // A jump to the very next micro-op is not needed, unless another label already stands behind it.
        while let Some(&last) = label.jumps.last()
            && last + 1 == self.uops.len()
            && self.labelled <= last
            && matches!(self.uops[last], Uop::Local { .. })
        {
            self.uops.pop();
            label.jumps.pop();
        }
        if !label.is_used() {
            return;
        }
        let here = self.uops.len() as u32;
        for at in label.jumps {
            if let Uop::Local { to } | Uop::LocalIf { to, .. } = &mut self.uops[at] {
                *to = here;
            }
        }
        self.labelled = self.uops.len();
    }
}
