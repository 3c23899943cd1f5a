//! Counting in maps under a key that is known only at run time: its cell is found in an index, and an action counts where
//! the index does not have the key.
//!
//! The cell is counted in also if there is none, which changes nothing that anybody reads ([`Cells::NOWHERE`]), so that
//! nothing but the action stands behind a condition. Key and value are computed before the cell is looked for: between
//! finding it and counting there is no action, in which another thread might give it to another key.

use super::TooComplex;
use super::body::Body;
use super::code::{Atom, Label};
use crate::cells::Cells;
use crate::probe::action::Action;
use crate::probe::state::bucket_of;
use crate::uop::{BinOp, UnOp, Uop, X, slot};
use spile_lang::ir::{AggFn, AssignOp, Expr, StateId, Stmt};
use spile_lang::types::Type;

type Result<T> = std::result::Result<T, TooComplex>;

/// What becomes of a cell that is found.
#[derive(Clone, Copy)]
enum Change {
    /// 1 more.
    Count,
    /// So much more, and 1 more in the next cell.
    Add(X),
    /// 1 more in the cell that is so far behind it.
    Bucket(Atom),
    /// It is the smallest or the largest: nothing, if this is true of the value and it, or else of it and the value.
    Keep { op: BinOp, value: X, value_first: bool },
}

impl Body<'_> {
    /// Adds to an aggregation with one key. False if nothing has been done.
    pub(super) fn aggregate_found(
        &mut self,
        state: StateId,
        function: AggFn,
        value: Option<&Expr>,
        keys: &[Expr],
        s: &Stmt,
    ) -> Result<bool> {
        let is_word = value.is_some_and(|value| value.ty.is_integer() && value.ty != Type::U128);
        let can_be = match function {
            AggFn::Count => value.is_none(),
            AggFn::Sum(_) | AggFn::Min(_) | AggFn::Max(_) | AggFn::Hist => is_word,
            AggFn::Avg(_) | AggFn::Stats(_) | AggFn::Last(_) | AggFn::LinearHist { .. } => false,
        };
        let ([key], true) = (keys, can_be) else { return Ok(false) };
        let Some(index) = self.host.key_index(state) else { return Ok(false) };
        let key = self.atom(key)?;
        let value = value.map(|value| self.atom(value)).transpose()?;
        let change = match (function, value) {
            (AggFn::Hist, Some(Atom::Const(value))) => Change::Bucket(Atom::Const(bucket_of(value) as u64)),
            (AggFn::Hist, Some(Atom::Slot(a))) => Change::Bucket(Atom::Slot(self.bucket(a)?)),
            (AggFn::Min(signed) | AggFn::Max(signed), Some(value)) => {
                let (op, value_first) =
                    (if signed { BinOp::LeS } else { BinOp::LeU }, matches!(function, AggFn::Max(_)));
                Change::Keep { op, value: self.code.slot(value)?, value_first }
            }
            (_, Some(value)) => Change::Add(self.code.slot(value)?),
            (_, None) => Change::Count,
        };
        let args: Vec<Atom> = [key].into_iter().chain(value).collect();
        self.change_found(index, change, Action::Aggregate(state, function), &args, s)?;
        Ok(true)
    }

    /// `+=` and `-=` of a map with one key, whose values have type `ty`. False if nothing has been done.
    pub(super) fn add_to_found(
        &mut self,
        state: StateId,
        ty: Type,
        keys: &[Expr],
        op: AssignOp,
        value: &Expr,
        s: &Stmt,
    ) -> Result<bool> {
        let ([key], Type::Int { bits: 64, .. }, AssignOp::Add | AssignOp::Sub) = (keys, ty, op) else {
            return Ok(false);
        };
        let Some(index) = self.host.key_index(state) else { return Ok(false) };
        let key = self.atom(key)?;
        let mark = self.code.mark();
        let new = self.expr(value)?;
        let new = self.convert(mark, new, value.ty, ty, value)?.low();
        let added = match (op, new) {
            (AssignOp::Sub, Atom::Const(n)) => self.code.slot(Atom::Const(n.wrapping_neg()))?,
            (AssignOp::Sub, Atom::Slot(a)) => {
                let d = self.code.temp()?;
                self.code.push(Uop::Un { op: UnOp::Neg64, d, a });
                d
            }
            _ => self.code.slot(new)?,
        };
        self.change_found(index, Change::Add(added), Action::StateSet(state, op), &[key, new], s)?;
        Ok(true)
    }

    /// Changes the cell of the key, which is the first of `args`, or performs `action` on them.
    fn change_found(&mut self, index: u32, change: Change, action: Action, args: &[Atom], s: &Stmt) -> Result<()> {
        let len = Cells::COUNT as u32;
        let key = self.code.slot(args[0])?;
        let mut done = self.code.temp()?;
        // What `Bucket` adds, or what the cell holds.
        let more = self.code.temp()?;
        let cell = done;
        self.code.push(Uop::CellFind { d: cell, a: key, index });
        match change {
            Change::Count => self.code.push(Uop::CellIncAt { cell: 0, a: cell, len }),
            Change::Add(n) => {
                self.code.push(Uop::CellAddAt { cell: 0, a: cell, n });
                self.code.push(Uop::CellIncAt { cell: 1, a: cell, len: len - 1 });
            }
            Change::Bucket(Atom::Const(bucket)) => {
                self.code.push(Uop::CellIncAt { cell: bucket as u32, a: cell, len: len - bucket as u32 });
            }
            Change::Bucket(Atom::Slot(bucket)) => {
                self.code.push(Uop::Bin { op: BinOp::Add64, d: more, a: cell, b: bucket });
                self.code.push(Uop::CellIncAt { cell: 0, a: more, len });
            }
            Change::Keep { op, value, value_first } => {
                self.code.push(Uop::CellAt { d: more, a: cell });
                let (a, b) = if value_first { (value, more) } else { (more, value) };
                self.code.push(Uop::Bin { op, d: more, a, b });
                self.code.push(Uop::Bin { op: BinOp::Ne, d: cell, a: cell, b: slot::ZERO });
                self.code.push(Uop::Bin { op: BinOp::And64, d: more, a: more, b: cell });
                done = more;
            }
        }
        let mut end = Label::default();
        self.code.jump_if(true, Atom::Slot(done), &mut end);
        let args = self.pack(args)?;
        self.act(action, args, s)?;
        self.code.bind(end);
        Ok(())
    }
}
