//! Leaving a record in the thread's ring, as [`Ring::write`](crate::records::Ring::write) does it.
//!
//! The host orders stores as they stand here, and no store before the step that takes the record's number.

use super::lower::{Lowering, RING, trusted};
use crate::records::{FIRST, HEADER, LIMIT, ROOM, WRITTEN, described};
use crate::uop::X;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder};

/// Bytes in front of a word.
const fn bytes(word: usize) -> i32 {
    8 * word as i32
}

impl Lowering<'_, '_> {
    pub(super) fn record(&mut self, action: u32, d: X, args: X, n: u8) {
        let args: Vec<_> = (0..n).map(|index| self.get(args + index)).collect();
        let ring = self.b.ins().load(I64, trusted(), self.state, RING);
        let written = self.b.ins().load(I64, trusted(), ring, bytes(WRITTEN));
        let limit = self.b.ins().load(I64, trusted(), ring, bytes(LIMIT));
        let there = self.b.ins().icmp(IntCC::UnsignedLessThan, written, limit);
        let (write, end) = (self.fresh(), self.fresh());
        let result = self.b.append_block_param(end, I64);
        let none = self.imm(0);
        self.b.ins().brif(there, write, &[], end, &[none.into()]);
        self.go_on_in(write);
        let (next, one) = (self.imm(self.next_record_address()), self.imm(1));
        let number = self.b.ins().atomic_rmw(I64, trusted(), AtomicRmwOp::Add, next, one);
        let place = self.b.ins().band_imm_s(written, ROOM as i64 - 1);
        let place = self.b.ins().ishl_imm_u(place, 3);
        let place = self.b.ins().iadd(ring, place);
        let what = self.imm(described(action, n));
        for (value, word) in [number, what].into_iter().chain(args).zip(FIRST..) {
            self.b.ins().store(trusted(), value, place, bytes(word));
        }
        let written = self.b.ins().iadd_imm_s(written, (HEADER + usize::from(n)) as i64);
        self.b.ins().store(trusted(), written, ring, bytes(WRITTEN));
        self.b.ins().jump(end, &[one.into()]);
        self.go_on_in(end);
        self.set(d, result);
    }
}
