//! Decoding: which encodings are allocated, and the micro-op of each.

use super::{LOAD, memory, table};
use crate::isa::encoding::field;
use crate::isa::riscv::lift::{Lift, destination, rd, rs1, rs2, source};
use crate::isa::riscv::table::{Row, Undefined, rv64};
use crate::uop::{Lanes, Uop, V, VectorMemory, X, slot};
use crate::vector::{VxOp, XvOp};
use table::{Shape, form};

/// The value of `funct3` that configures.
pub(super) const CONFIGURE: u32 = 7;

/// The rows of this group, which are for registers of 64 bits. Which operation it is, [`table`] says; how memory is accessed, [`memory`].
pub(in crate::isa::riscv) const ROWS: &[Row] = &[
    rv64("vsetvli", "0 ttttttttttt nnnnn 111 ddddd 1010111", configure),
    rv64("vsetivli", "11 tttttttttt iiiii 111 ddddd 1010111", configure),
    rv64("vsetvl", "1000000 mmmmm nnnnn 111 ddddd 1010111", configure),
    rv64("v", "oooooo v mmmmm nnnnn 000 ddddd 1010111", operate),
    rv64("v", "oooooo v mmmmm nnnnn 001 ddddd 1010111", operate),
    rv64("v", "oooooo v mmmmm nnnnn 010 ddddd 1010111", operate),
    rv64("v", "oooooo v mmmmm iiiii 011 ddddd 1010111", operate),
    rv64("v", "oooooo v mmmmm nnnnn 100 ddddd 1010111", operate),
    rv64("v", "oooooo v mmmmm nnnnn 101 ddddd 1010111", operate),
    rv64("v", "oooooo v mmmmm nnnnn 110 ddddd 1010111", operate),
    rv64("vl", "fff 0 oo v mmmmm nnnnn 000 ddddd 0000111", transfer),
    rv64("vl", "fff 0 oo v mmmmm nnnnn 101 ddddd 0000111", transfer),
    rv64("vl", "fff 0 oo v mmmmm nnnnn 110 ddddd 0000111", transfer),
    rv64("vl", "fff 0 oo v mmmmm nnnnn 111 ddddd 0000111", transfer),
    rv64("vs", "fff 0 oo v mmmmm nnnnn 000 ddddd 0100111", transfer),
    rv64("vs", "fff 0 oo v mmmmm nnnnn 101 ddddd 0100111", transfer),
    rv64("vs", "fff 0 oo v mmmmm nnnnn 110 ddddd 0100111", transfer),
    rv64("vs", "fff 0 oo v mmmmm nnnnn 111 ddddd 0100111", transfer),
];

type Lifted = Result<(), Undefined>;

fn configure(bits: u32, l: &mut Lift<'_>) -> Lifted {
    let d = destination(l, rd(bits));
    let b = if bits >> 30 == 2 { source(rs2(bits)) } else { slot::ZERO };
    let a = if bits >> 30 == 3 { slot::ZERO } else { source(rs1(bits)) };
    l.push(Uop::Vector { bits, memory: VectorMemory::None, size: 0, d, a, b });
    Ok(())
}

fn operate(bits: u32, l: &mut Lift<'_>) -> Lifted {
    let operation = table::find(bits).ok_or(Undefined)?;
    let form = 1 << field(bits, 12, 3);
    let is_float = form & form::FLOAT != 0;
    let a: X = match form {
        form::VX | form::MVX => source(rs1(bits)),
        form::VF => {
            let number = l.temp();
            l.push(Uop::Vx { op: VxOp::Get, t: Lanes::D, d: number, a: rs1(bits) as V, imm: 0 });
            number
        }
        _ => slot::ZERO,
    };
    let has_result = matches!(operation.shape, Shape::ToScalar | Shape::Population | Shape::First);
    let d = match has_result {
        true if is_float => l.temp(),
        true => destination(l, rd(bits)),
        false => slot::ZERO,
    };
    l.push(Uop::Vector { bits, memory: VectorMemory::None, size: 0, d, a, b: slot::ZERO });
    if has_result && is_float {
        l.push(Uop::Xv { op: XvOp::Mov, t: Lanes::D, d: rd(bits) as V, a: d, imm: 0 });
    }
    Ok(())
}

fn transfer(bits: u32, l: &mut Lift<'_>) -> Lifted {
    let mode = memory::mode(bits).ok_or(Undefined)?;
    let is_load = bits & 0x7f == LOAD;
    let direction = if is_load { VectorMemory::Load } else { VectorMemory::Store };
    let b = if mode == memory::Mode::Strided { source(rs2(bits)) } else { slot::ZERO };
    let size = if mode == memory::Mode::Indexed { 0 } else { memory::element_size(bits) };
    l.push(Uop::Vector { bits, memory: direction, size, d: slot::ZERO, a: source(rs1(bits)), b });
    Ok(())
}

/// See [`crate::isa::Isa::vector_registers`].
pub(in crate::isa::riscv) fn registers(bits: u32, f: &mut dyn FnMut(u8, bool)) {
    let mut name = |lsb: u32, is_write| f(slot::VECTOR + field(bits, lsb, 5) as u8, is_write);
    const VD: u32 = 7;
    const VS1: u32 = 15;
    const VS2: u32 = 20;
    let is_masked = field(bits, 25, 1) == 0;
    if bits & 0x7f != 0x57 {
        if memory::mode(bits) == Some(memory::Mode::Indexed) {
            name(VS2, false);
        }
        name(VD, bits & 0x7f == LOAD);
    } else if let Some(operation) = table::find(bits) {
        let (form, funct6) = (1 << field(bits, 12, 3), field(bits, 26, 6));
        if form & form::VECTOR != 0 && !operation.is_unary() {
            name(VS1, false);
        }
        if operation.has_second() {
            name(VS2, false);
        }
        // The products that are added.
        let accumulates = funct6 >> 3 == 0b101 || funct6 >> 2 == 0b1111;
        if accumulates && form & (form::MVV | form::MVX | form::FLOAT) != 0 {
            name(VD, false);
        }
        if !matches!(operation.shape, Shape::ToScalar | Shape::Population | Shape::First) {
            name(VD, true);
        }
    } else {
        return;
    }
    if is_masked {
        f(slot::VECTOR, false);
    }
}
