//! Cells that are known only at run time: finding that of a key ([`crate::keys`]), and counting in it.

use super::lower::{Lowering, trusted};
use crate::cells::Cells;
use crate::keys::{MULTIPLIER, SHIFT_BITS};
use crate::uop::X;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};

impl Lowering<'_, '_> {
    /// The cell of key `a`, or 0. As [`Keys::find`](crate::keys::Keys::find) does it.
    pub(super) fn find_cell(&mut self, d: X, a: X, index: u32) {
        let key = self.get(a);
        let words = self.imm(self.index_address(index));
        let in_use = self.b.ins().load(I64, trusted(), words, 0);
        let multiplier = self.imm(MULTIPLIER);
        let hash = self.b.ins().imul(key, multiplier);
        // The shift is that of the low six bits.
        let hash = self.b.ins().ushr(hash, in_use);
        let home = self.b.ins().ishl_imm_u(hash, 4);
        let table = self.b.ins().band_imm_s(in_use, !SHIFT_BITS as i64);
        let table = self.b.ins().iadd(words, table);
        let first = self.b.ins().iadd(table, home);
        let (head, taken, on, end) = (self.fresh(), self.fresh(), self.fresh(), self.fresh());
        let place = self.b.append_block_param(head, I64);
        let found = self.b.append_block_param(end, I64);
        self.b.ins().jump(head, &[first.into()]);
        self.b.switch_to_block(head);
        let behind = self.b.ins().load(I64, trusted(), place, 8);
        self.b.ins().brif(behind, taken, &[], end, &[behind.into()]);
        self.go_on_in(taken);
        let there = self.b.ins().load(I64, trusted(), place, 0);
        let same = self.b.ins().icmp(IntCC::Equal, there, key);
        self.b.ins().brif(same, end, &[behind.into()], on, &[]);
        self.go_on_in(on);
        let next = self.b.ins().iadd_imm_s(place, 16);
        self.b.ins().jump(head, &[next.into()]);
        self.b.seal_block(head);
        self.go_on_in(end);
        let cell = self.b.ins().band_imm_s(found, i64::from(u32::MAX));
        self.set(d, cell);
    }

    /// What all threads see of cell `a`.
    pub(super) fn cell_at(&mut self, d: X, a: X) {
        let offset = self.offset_of_cell(a, 0);
        let cells = self.imm(self.cells_address());
        let address = self.b.ins().iadd(cells, offset);
        let value = self.b.ins().load(I64, trusted(), address, 0);
        self.set(d, value);
    }

    /// Adds `n` to the cell that is `a` behind `cell`.
    pub(super) fn add_at(&mut self, cell: u32, a: X, n: X) {
        let offset = self.offset_of_cell(a, cell);
        let n = self.get(n);
        let (base, first) = self.counter(cell);
        let base = self.b.ins().iadd(base, offset);
        self.add_to_word(base, first, n);
    }

    /// Bytes in front of cell `a`, with `cell` in front of it.
    fn offset_of_cell(&mut self, a: X, cell: u32) -> Value {
        let (a, last) = (self.get(a), self.imm(Cells::COUNT as u64 - 1 - u64::from(cell)));
        let a = self.b.ins().umin(a, last);
        self.b.ins().ishl_imm_u(a, 3)
    }
}
