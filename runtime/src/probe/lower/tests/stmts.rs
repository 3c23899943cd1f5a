//! Statements.

use super::*;
use spile_lang::ir::{AssignOp, BitsOp};

/// Runs a body in a `begin` event and returns the machine.
fn begin(body: Vec<Stmt>, locals: &[Type], prepare: impl FnOnce(&mut Machine)) -> Machine {
    let locals = locals.iter().map(|&ty| Local { name: "n".to_owned(), ty }).collect();
    let begin = Probe { locals, ..probe(Moment::On, ir::Event::Begin, Vec::new(), body) };
    let mut machine = Machine::probes(vec![begin]);
    prepare(&mut machine);
    let block = machine.lowering.event_block(&mut machine.mock, ProbeId(0), Event { pc: BASE, ..Event::default() });
    machine.execute(&block, 0);
    machine
}

fn vector(name: &str, offset: u8, bits: u8, zero_extends: bool) -> Register {
    register(name, RegisterSlot::Vector(1), offset, bits, zero_extends)
}

#[test]
fn integer_registers() {
    let w0 = || register("w0", RegisterSlot::Int(0), 0, 32, true);
    let low = || register("low", RegisterSlot::Int(1), 8, 8, false);
    let body = vec![write(w0(), int(u64::MAX)), write(low(), int(0x1ab)), write(xn(2), x(3))];
    let machine = begin(body, &[], |m| m.cpu.x[..4].copy_from_slice(&[u64::MAX, 0x1111_1111, 0, 9]));
    assert_eq!(machine.cpu.x[..3], [0xffff_ffff, 0x1111_ab11, 9]);
    let body = vec![write(w0(), x(3)), write(low(), x(3))];
    let machine = begin(body, &[], |m| m.cpu.x[..4].copy_from_slice(&[u64::MAX, 0x1111_1111, 0, 0x5_0000_0077]));
    assert_eq!(machine.cpu.x[..2], [0x77, 0x1111_7711]);
}

#[test]
fn vector_registers() {
    let old = 0x1111_1111_1111_1111_1111_1111_1111_1111u128;
    let written = |register: Register, value: Expr| {
        begin(vec![write(register, value)], &[], |m| {
            m.cpu.v[1] = old;
            m.cpu.x[0] = 0xabcd_0123_4567_89ab;
        })
        .cpu
        .v[1]
    };
    assert_eq!(written(vector("v1.s[1]", 32, 32, false), x(0)), 0x1111_1111_1111_1111_4567_89ab_1111_1111);
    assert_eq!(written(vector("v1.b[15]", 120, 8, false), int(0xff)), old | 0xff << 120);
    assert_eq!(written(vector("s1", 0, 32, true), x(0)), 0x4567_89ab);
    assert_eq!(written(vector("d1", 0, 64, true), int(7)), 7);
    assert_eq!(written(vector("d1", 0, 64, true), x(0)), 0xabcd_0123_4567_89ab);
    let literal = ex(ExprKind::Int128(3 << 64 | 4), Type::U128);
    assert_eq!(written(vector("q1", 0, 128, true), literal), 3 << 64 | 4);
    let s1 = Register { ty: Type::F32, ..vector("s1", 0, 32, true) };
    assert_eq!(written(s1, ex(ExprKind::Float(1.5), Type::F64)), u128::from(1.5f32.to_bits()));
}

#[test]
fn flags() {
    let nzcv = || register("nzcv", RegisterSlot::Flags, 0, 32, true);
    let machine = begin(vec![write(nzcv(), int(0x6000_0000))], &[], |_| {});
    assert_eq!(machine.cpu.nzcv(), 6);
    let machine = begin(vec![write(nzcv(), x(0))], &[], |m| m.cpu.x[0] = 0x9000_0000);
    assert_eq!(machine.cpu.nzcv(), 9);
    let flip = st(StmtKind::Bits { op: BitsOp::Flip, target: LValue::Register(nzcv()), mask: int(1 << 30) });
    let machine = begin(vec![flip], &[], |m| m.cpu.set_nzcv(0b0101));
    assert_eq!(machine.cpu.nzcv(), 0b0001);
}

#[test]
fn bits_of_registers() {
    let change =
        |op, target: Register, mask: u64| st(StmtKind::Bits { op, target: LValue::Register(target), mask: int(mask) });
    let body = vec![
        change(BitsOp::Flip, xn(0), 1 << 3),
        change(BitsOp::Set, xn(1), 0xf0),
        change(BitsOp::Clear, xn(2), 0xf),
        change(BitsOp::Flip, vector("v1.h[7]", 112, 16, false), 0x8000),
    ];
    let mut machine = begin(body, &[], |m| m.cpu.x[..3].copy_from_slice(&[0xff, 0, 0xff]));
    assert_eq!(machine.cpu.x[..3], [0xf7, 0xf0, 0xf0]);
    assert_eq!(machine.cpu.v[1], 1 << 127);
    assert_eq!(machine.journal(), ["0x8000 Patched"; 4].join("\n"));
}

#[test]
fn patches_are_counted_and_reported_once() {
    let mut machine = Machine::probes(vec![on_insn(vec![write(xn(5), int(1))])]);
    machine.run(&[mov(0, 1), mov(1, 1), HALT]);
    assert_eq!(machine.journal(), "0x8000 Patched");
    assert_eq!(machine.mock.patches, [(102, "x5".to_owned())]);
    assert_eq!(machine.cell(102), 3);
}

fn memory(bytes: u8, big_endian: bool, addr: Expr) -> LValue {
    let ty = MemType { bytes, signed: false, big_endian, ty: Type::Int { bits: 8 * bytes.min(8), signed: false } };
    LValue::Memory { ty, addr }
}

#[test]
fn guest_memory() {
    let flip = StmtKind::Bits { op: BitsOp::Flip, target: memory(2, true, x(0)), mask: int(1) };
    let wide = ex(ExprKind::Int128(1 << 120), Type::U128);
    let body = vec![
        st(StmtKind::Write { target: memory(4, true, int(DATA)), value: int(0x1_0203_0405) }),
        st(flip),
        st(StmtKind::Write { target: memory(16, false, int(DATA + 16)), value: wide }),
        st(StmtKind::Write { target: memory(1, false, int(0x10)), value: int(1) }),
        print([int(1)]),
    ];
    let mut machine = begin(body, &[], |m| m.cpu.x[0] = DATA);
    assert_eq!(machine.memory.load::<4>(DATA), Ok([2, 2, 4, 5]));
    assert_eq!(machine.memory.load::<16>(DATA + 16), Ok((1u128 << 120).to_le_bytes()));
    let expected = "0x8000 Patched\n0x8000 Patched\n0x8000 Patched\n0x8000 BadMemory 0x10";
    assert_eq!(machine.journal(), expected);
    let what: Vec<&str> = machine.mock.patches.iter().map(|(_, what)| what.as_str()).take(3).collect();
    assert_eq!(what, ["u32be[0x20000]", "u16be[…]", "u64[0x20010]"]);
}

#[test]
fn code_that_a_probe_writes_is_what_runs() {
    let target = memory(4, false, int(BASE + 4));
    let patch = st(StmtKind::Write { target, value: int(mov(0, 9).into()) });
    let mut machine = Machine::probes(vec![on_insn(vec![patch])]);
    machine.mock.places.push((ProbeId(0), BASE));
    machine.memory.protect(BASE, PAGE, perm::READ | perm::WRITE | perm::EXEC).expect("mapped");
    machine.memory.mark_code(BASE);
    machine.run(&[mov(0, 1), mov(0, 2), HALT]);
    assert_eq!(machine.cpu.x[0], 9);
}

#[test]
fn locals() {
    let set = |local, value| st(StmtKind::SetLocal { local: LocalId(local), value });
    let get = |local| ex(ExprKind::Local(LocalId(local)), Type::U64);
    let byte = Type::Int { bits: 8, signed: false };
    let body = vec![
        set(0, x(0)),
        write(xn(0), int(1)),
        set(1, op(BinaryOp::Add, get(0), int(0x100))),
        set(0, op(BinaryOp::Mul, get(0), get(0))),
        print([get(0), get(1), x(0)]),
    ];
    let mut machine = begin(body, &[Type::U64, byte], |m| m.cpu.x[0] = 7);
    assert_eq!(machine.journal(), "0x8000 Patched\n0x8000 Print 0x31 0x7 0x1");
}

#[test]
fn globals_in_cells() {
    let ty = |ty| state(StateKind::Value { ty, initial: 0 });
    let byte = Type::Int { bits: 8, signed: false };
    let set = |id, op, value| st(StmtKind::SetState { state: StateId(id), keys: Vec::new(), op, value });
    let body = vec![
        set(0, AssignOp::Set, int(5)),
        set(0, AssignOp::Add, int(3)),
        set(0, AssignOp::Sub, x(0)),
        set(0, AssignOp::Mul, int(10)),
        set(1, AssignOp::Add, int(0x1ff)),
        set(1, AssignOp::Xor, int(0x0f)),
        print([ex(ExprKind::State(StateId(0), Vec::new()), Type::U64)]),
        set(2, AssignOp::Set, text("a")),
    ];
    let probes = vec![probe(Moment::On, ir::Event::Begin, Vec::new(), body)];
    let program = program_of(probes, vec![ty(Type::U64), ty(byte), ty(Type::Str)]);
    let scalars = vec![(StateId(0), 10), (StateId(1), 11), (StateId(2), 12)];
    let mut machine = Machine::with(program, Mock { cells: 100, scalars, ..Mock::default() });
    machine.cpu.x[0] = 1;
    let block = machine.lowering.event_block(&mut machine.mock, ProbeId(0), Event { pc: BASE, ..Event::default() });
    machine.execute(&block, 0);
    assert_eq!((machine.cell(10), machine.cell(11)), (70, 0xf0));
    assert_eq!(machine.journal(), "0x8000 Print 0x46\n0x8000 StateSet 0x0");
}

#[test]
fn sums_in_cells() {
    let sum = |value| st(StmtKind::Aggregate { state: StateId(0), value: Some(value), keys: Vec::new() });
    let probes = vec![on_insn(vec![sum(x(0)), sum(int(100))])];
    let program = program_of(probes, vec![state(StateKind::Aggregate(AggFn::Sum(false)))]);
    let mut machine = Machine::with(program, Mock { cells: 100, scalars: vec![(StateId(0), 10)], ..Mock::default() });
    machine.run(&[mov(0, 7), HALT]);
    assert_eq!((machine.cell(10), machine.journal().as_str()), (207, ""));
}

#[test]
fn counts_with_keys() {
    let keys = |keys: Vec<Expr>| st(StmtKind::Aggregate { state: StateId(0), value: None, keys });
    let body = vec![keys(vec![builtin(Builtin::Pc, Type::CodeAddr)]), keys(vec![x(0)])];
    let program = program_of(vec![on_insn(body)], vec![state(StateKind::Aggregate(AggFn::Count))]);
    let mut machine = Machine::new(program);
    machine.run(&[mov(0, 1), HALT]);
    let counts: Vec<_> = machine.mock.counts.iter().map(|(_, keys, cell)| (keys[0], machine.cell(*cell))).collect();
    assert_eq!(counts, [(BASE, 1), (BASE + 4, 1)]);
    assert_eq!(machine.journal(), "0x8000 Aggregate 0x0\n0x8004 Aggregate 0x1");
}

#[test]
fn flow() {
    let test = |then: Vec<Stmt>, otherwise: Vec<Stmt>| st(StmtKind::If { cond: x(0), then, otherwise });
    let body = || {
        vec![
            test(vec![print([int(1)])], vec![print([int(2)]), st(StmtKind::Next)]),
            print([int(3)]),
            st(StmtKind::Fail(text("no"))),
            print([int(4)]),
        ]
    };
    assert_eq!(begin(body(), &[], |m| m.cpu.x[0] = 1).journal(), "0x8000 Print 0x1\n0x8000 Print 0x3\n0x8000 Fail 0x0");
    assert_eq!(begin(body(), &[], |_| {}).journal(), "0x8000 Print 0x2");
}

#[test]
fn assertions() {
    let assert = |cond, message| st(StmtKind::Assert { cond, message, text: "c".to_owned() });
    let body = vec![assert(x(0), Some(text("m"))), assert(x(1), None), assert(int(1), None)];
    let mut machine = begin(body, &[], |m| m.cpu.x[1] = 1);
    assert_eq!(machine.journal(), "0x8000 AssertFailed 0x0");
}

#[test]
fn the_number_of_the_firing() {
    let mut machine = Machine::probes(vec![on_insn(vec![print([builtin(Builtin::Hits, Type::U64)])])]);
    machine.run(&[mov(0, 1), HALT]);
    assert_eq!(machine.journal(), "0x8000 Print 0x1\n0x8004 Print 0x2");
}

#[test]
fn unreadable_text_leaves_the_body() {
    let text = ex(ExprKind::Call(spile_lang::ir::Func::Str, vec![int(0x10), int(8)]), Type::Str);
    let mut machine = begin(vec![print([text]), print([int(1)])], &[], |_| {});
    assert_eq!(machine.journal(), "0x8000 GuestText 0x10 0x8\n0x8000 BadMemory 0x10");
}

#[test]
fn printed_parts_are_made_once_for_all_sites() {
    let mut machine = Machine::probes(vec![on_insn(vec![print([builtin(Builtin::InsnText, Type::Str)])])]);
    machine.run(&[mov(0, 1), mov(1, 2), VECTOR, HALT]);
    let prints = machine.mock.actions.iter().filter(|site| matches!(site.action, Action::Print(_))).count();
    assert_eq!(prints, 1);
    let Some(Action::Print(parts)) = machine.mock.actions.iter().map(|site| &site.action).next() else { panic!() };
    assert!(matches!(&parts[..], [PrintPart::Value { ty: Type::Str, .. }]));
    assert_eq!(machine.journal().lines().count(), 4);
}
