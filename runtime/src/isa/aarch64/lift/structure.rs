//! Advanced SIMD structure loads and stores: `ld1`–`ld4`, `st1`–`st4`, `ld1r`–`ld4r`.
//!
//! Memory is read or written in chunks as large as registers, and elements are sorted in registers. Loads go to
//! temporaries as long as another access may still fail; the base register is written last.

use super::simd::lanes;
use super::{bit, field, reg_or_sp, reg_or_zero};
use crate::block::Lift;
use crate::isa::aarch64::table::{Row, Undefined, row};
use crate::uop::{BinOp, Lanes, Uop, V, X};
use crate::vector::{V1Op, V2Op, V3Op};

type Lifted = Result<(), Undefined>;

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[
    row("st_multi", "0q 0011000 0 000000 oooo zz nnnnn ttttt", |w, l| multiple(w, l, false, false)),
    row("ld_multi", "0q 0011000 1 000000 oooo zz nnnnn ttttt", |w, l| multiple(w, l, true, false)),
    row("st_multi_post", "0q 0011001 0 0mmmmm oooo zz nnnnn ttttt", |w, l| multiple(w, l, false, true)),
    row("ld_multi_post", "0q 0011001 1 0mmmmm oooo zz nnnnn ttttt", |w, l| multiple(w, l, true, true)),
    row("st_single", "0q 0011010 0 r00000 ooo s zz nnnnn ttttt", |w, l| single(w, l, false, false)),
    row("ld_single", "0q 0011010 1 r00000 ooo s zz nnnnn ttttt", |w, l| single(w, l, true, false)),
    row("st_single_post", "0q 0011011 0 rmmmmm ooo s zz nnnnn ttttt", |w, l| single(w, l, false, true)),
    row("ld_single_post", "0q 0011011 1 rmmmmm ooo s zz nnnnn ttttt", |w, l| single(w, l, true, true)),
];

/// Register `i` of the list that starts at the register in the lowest field.
fn listed(w: u32, i: u32) -> V {
    ((field(w, 0, 5) + i) % 32) as V
}

fn base(w: u32) -> X {
    reg_or_sp(field(w, 5, 5))
}

/// Adds the index register, or the size of the access, to the base.
fn write_back(w: u32, l: &mut Lift<'_>, post: bool, size: u32) {
    let base = base(w);
    match field(w, 16, 5) {
        _ if !post => {}
        31 => l.push(Uop::BinI { op: BinOp::Add64, d: base, a: base, imm: u64::from(size) }),
        m => l.push(Uop::Bin { op: BinOp::Add64, d: base, a: base, b: reg_or_zero(m) }),
    }
}

fn multiple(w: u32, l: &mut Lift<'_>, load: bool, post: bool) -> Lifted {
    let (registers, elements) = match field(w, 12, 4) {
        0b0000 => (4, 4),
        0b0010 => (4, 1),
        0b0100 => (3, 3),
        0b0110 => (3, 1),
        0b0111 => (1, 1),
        0b1000 => (2, 2),
        0b1010 => (2, 1),
        _ => return Err(Undefined),
    };
    let t = lanes(field(w, 10, 2), bit(w, 30));
    if t == Lanes::D1 && elements > 1 {
        return Err(Undefined);
    }
    let bytes = if bit(w, 30) { 16 } else { 8 };
    let list: Vec<V> = (0..registers).map(|i| listed(w, i)).collect();
    match (load, elements) {
        (true, 1) => load_plain(l, &list, base(w), bytes),
        (true, _) => load_structures(l, t, &list, base(w), bytes),
        (false, 1) => store_chunks(l, &list, base(w), bytes),
        (false, _) => store_structures(l, t, &list, base(w), bytes),
    }
    write_back(w, l, post, registers * u32::from(bytes));
    Ok(())
}

/// Loads neighbouring chunks, in pairs while it can.
fn load_chunks(l: &mut Lift<'_>, list: &[V], a: X, bytes: u8) {
    let mut imm = 0;
    for pair in list.chunks(2) {
        match *pair {
            [d, e] => l.push(Uop::LoadPairV { d, e, bytes, a, imm }),
            [d] => l.push(Uop::LoadV { d, bytes, a, imm }),
            _ => {}
        }
        imm += 2 * i64::from(bytes);
    }
}

/// Stores neighbouring chunks; those before one that faults stay stored, as the architecture allows.
fn store_chunks(l: &mut Lift<'_>, list: &[V], a: X, bytes: u8) {
    let mut imm = 0;
    for pair in list.chunks(2) {
        match *pair {
            [s, t] => l.push(Uop::StorePairV { s, t, bytes, a, imm }),
            [s] => l.push(Uop::StoreV { s, bytes, a, imm }),
            _ => {}
        }
        imm += 2 * i64::from(bytes);
    }
}

fn temps(l: &mut Lift<'_>, n: usize) -> Vec<V> {
    (0..n).map(|_| l.vtemp()).collect()
}

/// Loads registers as they are. The last access may go to its registers at once.
fn load_plain(l: &mut Lift<'_>, list: &[V], a: X, bytes: u8) {
    let early = (list.len() - 1) / 2 * 2;
    let mut targets = temps(l, early);
    targets.extend(&list[early..]);
    load_chunks(l, &targets, a, bytes);
    for (&d, &a) in list.iter().zip(&targets[..early]) {
        l.push(Uop::V1 { op: V1Op::Mov, t: Lanes::Q, d, a, imm: 0 });
    }
}

fn load_structures(l: &mut Lift<'_>, t: Lanes, list: &[V], a: X, bytes: u8) {
    let chunks = temps(l, list.len());
    load_chunks(l, &chunks, a, bytes);
    match (&chunks[..], list) {
        (&[a, b, c, e], &[d0, d1, d2, d3]) => {
            // Even places first, then odd ones, twice; the temporaries are used again as soon as they are free.
            let (even0, even1) = (l.vtemp(), l.vtemp());
            let mut sort = |op, d, a, b| l.push(Uop::V2 { op, t, d, a, b, imm: 0 });
            sort(V2Op::Uzp1, even0, a, b);
            sort(V2Op::Uzp1, even1, c, e);
            sort(V2Op::Uzp2, a, a, b);
            sort(V2Op::Uzp2, b, c, e);
            sort(V2Op::Uzp1, d0, even0, even1);
            sort(V2Op::Uzp1, d1, a, b);
            sort(V2Op::Uzp2, d2, even0, even1);
            sort(V2Op::Uzp2, d3, a, b);
        }
        (&[a, b], &[d0, d1]) => {
            l.push(Uop::V2 { op: V2Op::Uzp1, t, d: d0, a, b, imm: 0 });
            l.push(Uop::V2 { op: V2Op::Uzp2, t, d: d1, a, b, imm: 0 });
        }
        _ => {
            for (imm, &d) in (0..).zip(list) {
                l.push(Uop::V3 { op: V3Op::Uzp3, t, d, a: chunks[0], b: chunks[1], c: chunks[2], imm });
            }
        }
    }
}

fn store_structures(l: &mut Lift<'_>, t: Lanes, list: &[V], address: X, bytes: u8) {
    let chunks = temps(l, list.len());
    match *list {
        [a, b] => interleave(l, t, [chunks[0], chunks[1]], a, b),
        [a, b, c] => {
            for (imm, &d) in (0..).zip(&chunks) {
                l.push(Uop::V3 { op: V3Op::Zip3, t, d, a, b, c, imm });
            }
        }
        [a, b, c, e] => {
            // Registers 0 and 2, and 1 and 3, are interleaved, then the results.
            let (even, odd) = ([l.vtemp(), l.vtemp()], [l.vtemp(), l.vtemp()]);
            interleave(l, t, even, a, c);
            interleave(l, t, odd, b, e);
            interleave(l, t, [chunks[0], chunks[1]], even[0], odd[0]);
            interleave(l, t, [chunks[2], chunks[3]], even[1], odd[1]);
        }
        _ => {}
    }
    store_chunks(l, &chunks, address, bytes);
}

/// The elements of a and b in turn.
fn interleave(l: &mut Lift<'_>, t: Lanes, d: [V; 2], a: V, b: V) {
    l.push(Uop::V2 { op: V2Op::Zip1, t, d: d[0], a, b, imm: 0 });
    l.push(Uop::V2 { op: V2Op::Zip2, t, d: d[1], a, b, imm: 0 });
}

fn single(w: u32, l: &mut Lift<'_>, load: bool, post: bool) -> Lifted {
    let registers = (field(w, 13, 1) << 1 | field(w, 21, 1)) + 1;
    let (q, s, size) = (field(w, 30, 1), field(w, 12, 1), field(w, 10, 2));
    let replicate = field(w, 14, 2) == 3;
    let (size, index) = match field(w, 14, 2) {
        0 => (0, q << 3 | s << 2 | size),
        1 if size & 1 == 0 => (1, q << 2 | s << 1 | size >> 1),
        2 if size == 0 => (2, q << 1 | s),
        2 if size == 1 && s == 0 => (3, q),
        3 if load && s == 0 => (size, 0),
        _ => return Err(Undefined),
    };
    let bytes = 1u8 << size;
    let list: Vec<V> = (0..registers).map(|i| listed(w, i)).collect();
    if load {
        let chunks = temps(l, list.len());
        for (i, &d) in (0..).zip(&chunks) {
            l.push(Uop::LoadV { d, bytes, a: base(w), imm: i * i64::from(bytes) });
        }
        for (&d, &b) in list.iter().zip(&chunks) {
            l.push(if replicate {
                Uop::V1 { op: V1Op::Dup, t: lanes(size, q == 1), d, a: b, imm: 0 }
            } else {
                Uop::V2 { op: V2Op::Insert, t: lanes(size, true), d, a: d, b, imm: index }
            });
        }
    } else {
        let place = l.vtemp();
        for (i, &a) in (0..).zip(&list) {
            l.push(Uop::V1 { op: V1Op::Dup, t: lanes(size, true), d: place, a, imm: index });
            l.push(Uop::StoreV { s: place, bytes, a: base(w), imm: i * i64::from(bytes) });
        }
    }
    write_back(w, l, post, registers * u32::from(bytes));
    Ok(())
}
