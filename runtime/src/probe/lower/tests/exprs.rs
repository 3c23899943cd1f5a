//! Expressions, against references that compute in `i128`.

use super::*;
use spile_lang::ir::{Func, UnaryOp};

const INTERESTING: [u64; 14] = [
    0,
    1,
    2,
    3,
    7,
    63,
    64,
    65,
    0x7fff_ffff,
    0xffff_ffff,
    0x1234_5678_9abc_def0,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

const ALL: [BinaryOp; 24] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::DivU,
    BinaryOp::DivS,
    BinaryOp::RemU,
    BinaryOp::RemS,
    BinaryOp::And,
    BinaryOp::Or,
    BinaryOp::Xor,
    BinaryOp::Shl,
    BinaryOp::ShrU,
    BinaryOp::ShrS,
    BinaryOp::Eq,
    BinaryOp::Ne,
    BinaryOp::LtU,
    BinaryOp::LeU,
    BinaryOp::LtS,
    BinaryOp::LeS,
    BinaryOp::LtUS,
    BinaryOp::LeUS,
    BinaryOp::LtSU,
    BinaryOp::LeSU,
    BinaryOp::EqMixed,
];

/// The result as the operators' documentation says it, or `None` for a division by zero.
fn reference(op: BinaryOp, a: u64, b: u64) -> Option<u64> {
    let (ua, ub) = (i128::from(a), i128::from(b));
    let (sa, sb) = (i128::from(a as i64), i128::from(b as i64));
    let shifted = |value: i128, left: bool| match (left, b) {
        (true, 0..64) => value << b,
        (true, _) => 0,
        (false, _) => value >> b.min(100),
    };
    let result = match op {
        BinaryOp::Add => ua + ub,
        BinaryOp::Sub => ua - ub,
        BinaryOp::Mul => (ua as u128).wrapping_mul(ub as u128) as i128,
        BinaryOp::DivU => ua.checked_div(ub)?,
        BinaryOp::DivS => sa.checked_div(sb)?,
        BinaryOp::RemU => ua.checked_rem(ub)?,
        BinaryOp::RemS => sa.checked_rem(sb)?,
        BinaryOp::And => ua & ub,
        BinaryOp::Or => ua | ub,
        BinaryOp::Xor => ua ^ ub,
        BinaryOp::Shl => shifted(ua, true),
        BinaryOp::ShrU => shifted(ua, false),
        BinaryOp::ShrS => shifted(sa, false),
        BinaryOp::Eq => (ua == ub).into(),
        BinaryOp::Ne => (ua != ub).into(),
        BinaryOp::LtU => (ua < ub).into(),
        BinaryOp::LeU => (ua <= ub).into(),
        BinaryOp::LtS => (sa < sb).into(),
        BinaryOp::LeS => (sa <= sb).into(),
        BinaryOp::LtUS => (ua < sb).into(),
        BinaryOp::LeUS => (ua <= sb).into(),
        BinaryOp::LtSU => (sa < ub).into(),
        BinaryOp::LeSU => (sa <= ub).into(),
        BinaryOp::EqMixed => (sa == ub).into(),
        _ => unreachable!(),
    };
    Some(result as u64)
}

/// All operations with operands in registers, known on the left, known on the right and known on both sides.
#[test]
fn binary_operations() {
    for o in ALL {
        for (left_known, right_known) in [(false, false), (true, false), (false, true), (true, true)] {
            check_operation(o, left_known, right_known);
        }
    }
}

fn check_operation(o: BinaryOp, left_known: bool, right_known: bool) {
    let pairs: Vec<(u64, u64)> = INTERESTING.iter().flat_map(|&a| INTERESTING.map(|b| (a, b))).collect();
    let probes = pairs.iter().map(|&(a, b)| {
        let left = if left_known { int(a) } else { x(0) };
        let right = if right_known { int(b) } else { x(1) };
        probe(Moment::On, ir::Event::Begin, Vec::new(), vec![print([op(o, left, right)])])
    });
    let mut machine = Machine::probes(probes.collect());
    for (index, (a, b)) in pairs.into_iter().enumerate() {
        machine.cpu.x[..2].copy_from_slice(&[a, b]);
        let block = machine.lowering.event_block(&mut machine.mock, ProbeId(index as u32), Event::default());
        machine.cpu.pc = 0;
        machine.execute(&block, 0);
        let expected = match reference(o, a, b) {
            Some(value) => format!("0x0 Print {value:#x}"),
            None => "0x0 DivisionByZero".to_owned(),
        };
        assert_eq!(machine.journal(), expected, "{a:#x} {o:?} {b:#x}, known: {left_known} {right_known}");
    }
}

fn with_x0(e: Expr, value: u64) -> u64 {
    evaluate(e, |cpu| cpu.x[0] = value)[0]
}

fn call(func: Func, args: Vec<Expr>) -> Expr {
    ex(ExprKind::Call(func, args), Type::U64)
}

fn cast(e: Expr, to: Type) -> Expr {
    ex(ExprKind::Cast(Box::new(e)), to)
}

fn i(bits: u8) -> Type {
    Type::Int { bits, signed: true }
}

fn u(bits: u8) -> Type {
    Type::Int { bits, signed: false }
}

/// Checks an expression of `x0` with the value in the register and with the value known.
fn check(value: u64, expected: u64, e: impl Fn(Expr) -> Expr) {
    assert_eq!(with_x0(e(x(0)), value), expected, "of {value:#x} in a register");
    assert_eq!(with_x0(e(int(value)), 0), expected, "of {value:#x}");
}

#[test]
fn unary_operations() {
    let unary = |op, ty| move |e: Expr| ex(ExprKind::Unary(op, Box::new(e)), ty);
    check(5, 5u64.wrapping_neg(), unary(UnaryOp::Neg, Type::I64));
    check(5, !5, unary(UnaryOp::BitNot, Type::U64));
    check(5, 0, unary(UnaryOp::Not, Type::Bool));
    check(0, 1, unary(UnaryOp::Not, Type::Bool));
}

#[test]
fn functions() {
    check(0xf0f0, 8, |e| call(Func::Popcount, vec![e]));
    check(0x1122, 0x2211, |e| call(Func::Bswap, vec![e, int(2)]));
    check(0x1122_3344, 0x4433_2211, |e| call(Func::Bswap, vec![e, int(4)]));
    check(0x11, 0x11 << 56, |e| call(Func::Bswap, vec![e, int(8)]));
    check(0b100, 1, |e| call(Func::Bit, vec![e, int(2)]));
    check(0b100, 0, |e| call(Func::Bit, vec![e, int(64)]));
    check(0xabcd, 0xbc, |e| call(Func::Bits, vec![e, int(4), int(12)]));
    check(0xabcd, 0, |e| call(Func::Bits, vec![e, int(12), int(4)]));
    check(0x80, 0x80u8 as i8 as u64, |e| call(Func::Sext, vec![e, int(8)]));
    check(7u64.wrapping_neg(), 7, |e| call(Func::AbsInt, vec![e]));
    check(9, 3, |e| call(Func::MinU, vec![e, int(3)]));
    check(9, 9, |e| call(Func::MaxU, vec![e, int(3)]));
    check(u64::MAX, u64::MAX, |e| call(Func::MinS, vec![e, int(3)]));
    check(u64::MAX, 3, |e| call(Func::MaxS, vec![e, int(3)]));
}

#[test]
fn functions_with_operands_known_only_at_run_time() {
    for n in [0, 1, 5, 63, 64, 65, u64::MAX] {
        let value = 0x8123_4567_89ab_cdef;
        let known = |func, args: Vec<Expr>| with_x0(call(func, args), n);
        assert_eq!(known(Func::Bit, vec![int(value), x(0)]), fold::bits(value, n, n.saturating_add(1)), "bit {n}");
        assert_eq!(known(Func::Sext, vec![int(value), x(0)]), fold::sext(value, n), "sext {n}");
        assert_eq!(known(Func::Bits, vec![int(value), int(1), x(0)]), fold::bits(value, 1, n), "bits 1..{n}");
        assert_eq!(known(Func::Bits, vec![int(value), x(0), int(64)]), fold::bits(value, n, 64), "bits {n}..64");
    }
}

#[test]
fn casts() {
    check(0x1_ff, 0xff, |e| cast(e, u(8)));
    check(0x1_ff, u64::MAX, |e| cast(e, i(8)));
    check(0x1_8000, 0x8000u16 as i16 as u64, |e| cast(e, i(16)));
    check(0xffff_ffff, u64::MAX, |e| cast(e, i(32)));
    check(0x1_ffff_ffff, 0xffff_ffff, |e| cast(e, u(32)));
    check(7, 1, |e| cast(e, Type::Bool));
    check(3, 3f64.to_bits(), |e| cast(e, Type::F64));
    check(3, u64::from(3f32.to_bits()), |e| cast(e, Type::F32));
    check(3, 3, |e| cast(cast(e, Type::F32), i(8)));
}

#[test]
fn floats() {
    let float = |o, ty| {
        move |e: Expr| {
            let half = ex(ExprKind::Float(0.5), Type::F64);
            let value = cast(e, Type::F32);
            Expr { ty, ..op(o, value, half) }
        }
    };
    check(3, 3.5f64.to_bits(), float(BinaryOp::AddF, Type::F64));
    check(3, 2.5f64.to_bits(), float(BinaryOp::SubF, Type::F64));
    check(3, 1.5f64.to_bits(), float(BinaryOp::MulF, Type::F64));
    check(3, 6f64.to_bits(), float(BinaryOp::DivF, Type::F64));
    check(3, 0, float(BinaryOp::LtF, Type::Bool));
    check(0, 1, float(BinaryOp::LeF, Type::Bool));
    check(0, 1, float(BinaryOp::NeF, Type::Bool));
}

#[test]
fn within() {
    let range = |e: Expr| ex(ExprKind::WithinRange(Box::new(e), Box::new(int(3)), Box::new(int(5))), Type::Bool);
    let set = |e: Expr| ex(ExprKind::WithinSet(Box::new(e), vec![int(3), int(5)]), Type::Bool);
    for (value, in_range, in_set) in [(2, 0, 0), (3, 1, 1), (4, 1, 0), (5, 0, 1), (u64::MAX, 0, 0)] {
        check(value, in_range, range);
        check(value, in_set, set);
    }
}

#[test]
fn connectives_do_not_evaluate_what_they_do_not_need() {
    // A division by zero on the right would leave the body without a print.
    let bad = || op(BinaryOp::DivU, int(1), x(1));
    let and = |e: Expr| ex(ExprKind::And(Box::new(e), Box::new(bad())), Type::Bool);
    let or = |e: Expr| ex(ExprKind::Or(Box::new(e), Box::new(bad())), Type::Bool);
    check(0, 0, and);
    check(7, 1, or);
    assert_eq!(evaluate(and(x(0)), |cpu| cpu.x[0] = 1), [0u64; 0]);
}

#[test]
fn choice() {
    let choose = |e: Expr| ex(ExprKind::If(Box::new(e), Box::new(x(1)), Box::new(int(9))), Type::U64);
    assert_eq!(evaluate(choose(x(0)), |cpu| cpu.x[..2].copy_from_slice(&[1, 4])), [4]);
    assert_eq!(evaluate(choose(x(0)), |cpu| cpu.x[..2].copy_from_slice(&[0, 4])), [9]);
}

#[test]
fn register_views() {
    let view = |slot, offset, bits| ex(ExprKind::Register(register("r", slot, offset, bits, false)), Type::Word);
    let cpu = |cpu: &mut CpuState| {
        cpu.x[0] = 0x1122_3344_5566_7788;
        cpu.v[3] = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;
        cpu.set_nzcv(0b0110);
    };
    assert_eq!(evaluate(view(RegisterSlot::Int(0), 0, 32), cpu), [0x5566_7788]);
    assert_eq!(evaluate(view(RegisterSlot::Int(0), 8, 8), cpu), [0x77]);
    assert_eq!(evaluate(view(RegisterSlot::Vector(3), 32, 32), cpu), [0x0706_0504]);
    assert_eq!(evaluate(view(RegisterSlot::Vector(3), 64, 64), cpu), [0x0f0e_0d0c_0b0a_0908]);
    assert_eq!(evaluate(view(RegisterSlot::Flags, 0, 32), cpu), [0x6000_0000]);
    assert_eq!(evaluate(view(RegisterSlot::Pc, 0, 64), cpu), [BASE]);
    let whole = Expr { ty: Type::U128, ..view(RegisterSlot::Vector(3), 0, 128) };
    assert_eq!(evaluate(whole, cpu), [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
}

#[test]
fn wide_comparisons() {
    let q = |v| {
        let register = register("q", RegisterSlot::Vector(v), 0, 128, true);
        ex(ExprKind::Register(register), Type::U128)
    };
    let literal = ex(ExprKind::Int128(5 << 64 | 1), Type::U128);
    let cpu = |cpu: &mut CpuState| cpu.v[..2].copy_from_slice(&[5 << 64 | 1, 1]);
    assert_eq!(evaluate(op(BinaryOp::Eq128, q(0), literal.clone()), cpu), [1]);
    assert_eq!(evaluate(op(BinaryOp::Eq128, q(1), literal.clone()), cpu), [0]);
    assert_eq!(evaluate(op(BinaryOp::Ne128, literal, q(1)), cpu), [1]);
    assert_eq!(evaluate(op(BinaryOp::Eq128, q(1), int(1)), cpu), [1]);
}

#[test]
fn loads_and_what_replaces_them() {
    let mut machine = Machine::probes(vec![probe(
        Moment::On,
        ir::Event::Begin,
        Vec::new(),
        vec![
            print([load(8, int(DATA)), load(2, int(DATA + 1)), load(16, int(DATA))]),
            print([ex(ExprKind::Coalesce(Box::new(load(4, x(0))), Box::new(int(7))), Type::U64)]),
            print([op(BinaryOp::Add, load(1, int(DATA)), load(4, x(0)))]),
            print([int(1)]),
        ],
    )]);
    machine.memory.write(DATA, &[1, 2, 3, 4, 5, 6, 7, 8, 9]).expect("mapped");
    machine.cpu.x[0] = 0x10;
    let block = machine.lowering.event_block(&mut machine.mock, ProbeId(0), Event::default());
    machine.execute(&block, 0);
    let expected = "0x8000 Print 0x807060504030201 0x302 0x807060504030201 0x9\n\
                    0x8000 Print 0x7\n\
                    0x8000 BadMemory 0x10";
    assert_eq!(machine.journal(), expected);
}

#[test]
fn byte_order() {
    let be = |bytes, signed| {
        let ty = MemType { bytes, signed, big_endian: true, ty: Type::U64 };
        let ty_of = if bytes == 16 { Type::U128 } else { Type::U64 };
        ex(ExprKind::Load { ty, addr: Box::new(int(DATA)) }, ty_of)
    };
    let body = vec![print([be(1, false), be(2, false), be(2, true), be(4, true), be(8, false), be(16, false)])];
    let mut machine = Machine::probes(vec![probe(Moment::On, ir::Event::Begin, Vec::new(), body)]);
    machine.memory.write(DATA, &[0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]).expect("mapped");
    let block = machine.lowering.event_block(&mut machine.mock, ProbeId(0), Event::default());
    machine.execute(&block, 0);
    let expected = "0x8000 Print 0x80 0x8001 0xffffffffffff8001 0xffffffff80010203 0x8001020304050607 \
                    0x8090a0b0c0d0e0f 0x8001020304050607";
    assert_eq!(machine.journal(), expected);
}
