//! What is spliced where: selection, folding, filters, redirects, traces.

use super::*;
use spile_lang::ir::GotoTarget;

const CODE: [u32; 3] = [mov(0, 1), add(0, 2), HALT];

fn at(pc: u64, id: u32, mut machine: Machine) -> Machine {
    machine.mock.places.push((ProbeId(id), pc));
    machine
}

fn mnemonic_is(name: &str) -> Expr {
    Expr { ty: Type::Bool, ..op(BinaryOp::EqStr, builtin(Builtin::InsnMnemonic, Type::Str), text(name)) }
}

fn count() -> (Stmt, State) {
    let statement = st(StmtKind::Aggregate { state: StateId(0), value: None, keys: Vec::new() });
    (statement, state(StateKind::Aggregate(AggFn::Count)))
}

#[test]
fn the_seed() {
    let probe = on_insn(vec![write(xn(0), int(5))]);
    let mut machine = at(BASE, 0, Machine::probes(vec![probe]));
    machine.load(&CODE);
    let block = machine.block(BASE, true).to_string();
    let expected = "\
0x8000:
   0 | cell 101 += 0x1
   1 | x0 = 0x5
   2 | p0 = cell 102
   3 | cell 102 += 0x1
   4 | local 6 if p0 != 0
   5 | action 0
   6   x0 = 0x1
0x8004:
   7   x0 = add64 x0, 0x2
0x8008:
   8   trap halt 0x0
";
    assert_eq!(block, expected);
    assert_eq!(machine.mock.patches, [(102, "x0".to_owned())]);
}

#[test]
fn a_bare_count_is_one_micro_op() {
    let (count, state) = count();
    let program = program_of(vec![on_insn(vec![count])], vec![state]);
    let mut machine = Machine::new(program);
    machine.load(&CODE);
    let block = machine.block(BASE, true);
    let expected = "\
0x8000:
   0 | cell 101 += 0x1
   1   x0 = 0x1
0x8004:
   2 | cell 101 += 0x1
   3   x0 = add64 x0, 0x2
0x8008:
   4 | cell 101 += 0x1
   5   trap halt 0x0
";
    assert_eq!(block.to_string(), expected);
    assert_eq!(machine.mock.fired, [(ProbeId(0), 101)]);
}

#[test]
fn static_conditions_cost_nothing() {
    let (count, state) = count();
    let both = ex(ExprKind::And(Box::new(mnemonic_is("add")), Box::new(mnemonic_is("add"))), Type::Bool);
    let program = program_of(vec![when(both, on_insn(vec![count]))], vec![state]);
    let mut machine = Machine::new(program);
    machine.load(&CODE);
    let expected = "\
0x8000:
   0   x0 = 0x1
0x8004:
   1 | cell 101 += 0x1
   2   x0 = add64 x0, 0x2
0x8008:
   3   trap halt 0x0
";
    assert_eq!(machine.block(BASE, true).to_string(), expected);
}

#[test]
fn the_dynamic_part_of_a_condition_remains() {
    let both = ex(ExprKind::And(Box::new(mnemonic_is("add")), Box::new(x(3))), Type::Bool);
    let expected = "\
0x8000:
   0   x0 = 0x1
0x8004:
   1 | local 3 if x3 == 0
   2 | cell 101 += 0x1
   3   x0 = add64 x0, 0x2
0x8008:
   4   trap halt 0x0
";
    assert_eq!(spliced(vec![when(both, on_insn(Vec::new()))], &CODE), expected);
}

#[test]
fn selection() {
    let pattern = |pattern| probe(Moment::On, ir::Event::Insn(pattern), Vec::new(), Vec::new());
    let regex = |text: &str| InsnPattern::Regex(Pattern { text: text.to_owned(), ignore_case: true });
    let function = op(BinaryOp::EqStr, builtin(Builtin::Func, Type::Str), text("main"));
    let probes = vec![
        pattern(InsnPattern::Glob("m*".to_owned())),
        pattern(regex("X0, 0x2$")),
        when(function, on_insn(Vec::new())),
        probe(Moment::On, ir::Event::Block, Vec::new(), Vec::new()),
        on_insn(Vec::new()),
        on_insn(Vec::new()),
    ];
    let mut machine = at(BASE + 4, 4, Machine::probes(probes));
    machine.mock.inactive.push(ProbeId(5));
    machine.run(&CODE);
    assert_eq!((0..6).map(|id| machine.fired(id)).collect::<Vec<_>>(), [1, 1, 2, 1, 1, 0]);
}

#[test]
fn the_rest_of_a_block_is_no_block() {
    let mut machine = Machine::probes(vec![probe(Moment::On, ir::Event::Block, Vec::new(), Vec::new())]);
    machine.load(&CODE);
    assert!(machine.block(BASE, true).to_string().contains("cell"));
    assert!(!machine.block(BASE, false).to_string().contains("cell"));
}

/// Executes an instruction ten times, the number of the round in x2, with a probe that prints it.
fn rounds(filters: impl FnOnce(Probe) -> Probe) -> String {
    let probe = filters(on_insn(vec![print([x(2)])]));
    let mut machine = at(BASE, 0, Machine::probes(vec![probe]));
    for round in 1..=10 {
        machine.cpu.pc = BASE;
        machine.cpu.x[2] = round;
        machine.run(&[mov(0, 1), HALT]);
    }
    let journal = machine.journal();
    let line = |line: &str| line.replace("0x8000 Print 0x", "").replace("0x8000 Exhausted", "end");
    journal.lines().map(line).collect::<Vec<_>>().join(" ")
}

#[test]
fn hits() {
    let ranges = |ranges: &[(u64, Option<u64>)]| HitCounts::Ranges(ranges.to_vec());
    assert_eq!(rounds(|p| hit(ranges(&[(1, Some(2))]), p)), "end 1");
    assert_eq!(rounds(|p| hit(ranges(&[(3, Some(6))]), p)), "3 4 end 5");
    assert_eq!(rounds(|p| hit(ranges(&[(8, None)]), p)), "8 9 a");
    assert_eq!(rounds(|p| hit(ranges(&[(1, Some(2)), (4, Some(6)), (9, None)]), p)), "1 4 5 9 a");
    assert_eq!(rounds(|p| hit(HitCounts::Every(3), p)), "3 6 9");
    assert_eq!(rounds(|p| hit(HitCounts::Every(4), p)), "4 8");
}

#[test]
fn filters_work_from_left_to_right() {
    let odd = || op(BinaryOp::And, x(2), int(1));
    let second = || HitCounts::Ranges(vec![(2, Some(4))]);
    assert_eq!(rounds(|p| hit(second(), when(odd(), p))), "3 end 5");
    assert_eq!(rounds(|p| when(odd(), hit(second(), p))), "end 3");
}

#[test]
fn a_condition_behind_a_hit_does_not_hide_the_execution() {
    let never = mnemonic_is("none");
    let mut machine = Machine::probes(vec![when(never, hit(HitCounts::Every(5), on_insn(Vec::new())))]);
    machine.run(&CODE);
    assert_eq!(machine.cell(102), 3);
    assert_eq!(machine.fired(0), 0);
}

fn skip(n: Expr) -> Stmt {
    st(StmtKind::Skip(n))
}
fn goto(to: Expr) -> Stmt {
    st(StmtKind::Goto(GotoTarget::Expr(to)))
}

#[test]
fn an_unconditional_skip_is_a_goto() {
    let mut machine = at(BASE + 4, 0, Machine::probes(vec![on_insn(vec![skip(int(1))])]));
    machine.load(&CODE);
    let expected = "\
0x8000:
   0   x0 = 0x1
0x8004:
   1 | cell 101 += 0x1
   2 | p0 = cell 102
   3 | cell 102 += 0x1
   4 | local 6 if p0 != 0
   5 | action 1
   6 | p156 = 0x8008
   7 | goto p156
   8   x0 = add64 x0, 0x2
0x8008:
   9   trap halt 0x0
";
    assert_eq!(machine.block(BASE, true).to_string(), expected);
    machine.run(&CODE);
    assert_eq!((machine.cpu.x[0], machine.cpu.icount), (1, 1));
}

#[test]
fn the_first_redirect_wins() {
    let code = [mov(0, 1), mov(1, 1), mov(2, 1), mov(3, 1), HALT];
    let conditional = |target: u64| {
        let then = vec![goto(int(target))];
        st(StmtKind::If { cond: x(9), then, otherwise: Vec::new() })
    };
    let run = |x9: u64| {
        let probes =
            vec![on_insn(vec![conditional(BASE + 12), print([int(1)])]), on_insn(vec![skip(int(2)), print([int(2)])])];
        let mut machine = at(BASE, 0, at(BASE, 1, Machine::probes(probes)));
        machine.cpu.x[9] = x9;
        machine.run(&code);
        (machine.cpu.x[..4].to_vec(), machine.journal(), machine.cpu.icount)
    };
    assert_eq!(run(0), (vec![0, 0, 1, 1], "0x8000 Print 0x1\n0x8000 Patched\n0x8000 Print 0x2".to_owned(), 2));
    let second = "0x8000 Patched\n0x8000 Print 0x1\n0x8000 SecondRedirect\n0x8000 Print 0x2".to_owned();
    assert_eq!(run(1), (vec![0, 0, 0, 1], second, 1));
}

#[test]
fn redirects_after_an_instruction() {
    let code = [mov(0, 1), mov(1, 1), jump(0x8010), mov(3, 1), mov(4, 1), mov(5, 1), HALT];
    let after = |body| probe(Moment::After, ir::Event::Insn(InsnPattern::Any), Vec::new(), body);
    let next = || print([builtin(Builtin::Next, Type::CodeAddr)]);
    let probes = vec![after(vec![next(), skip(int(1))]), after(vec![next(), skip(x(0))])];
    let mut machine = at(BASE, 0, at(BASE + 8, 1, Machine::probes(probes)));
    machine.run(&code);
    assert_eq!(machine.cpu.x[..6], [1, 0, 0, 0, 0, 1]);
    assert_eq!(machine.journal(), "0x8000 Print 0x8004\n0x8000 Patched\n0x8008 Print 0x8010\n0x8008 Patched");
    assert_eq!(machine.cpu.icount, 3);
}

#[test]
fn where_a_branch_goes_on() {
    let next = print([builtin(Builtin::Next, Type::CodeAddr)]);
    let patch = write(xn(1), int(0));
    for (x1, expected) in [(1, "0x8000 Patched\n0x8000 Print 0x8008"), (0, "0x8000 Patched\n0x8000 Print 0x8004")] {
        let body = vec![patch.clone(), next.clone()];
        let after = probe(Moment::After, ir::Event::Insn(InsnPattern::Any), Vec::new(), body);
        let mut machine = at(BASE, 0, Machine::probes(vec![after]));
        machine.cpu.x[1] = x1;
        machine.run(&[jump_nz(1, 0x8008), mov(0, 1), HALT]);
        // The branch has decided before the probe changed its operand.
        assert_eq!((machine.journal().as_str(), machine.cpu.x[0]), (expected, 1 - x1));
    }
}

#[test]
fn traces_have_two_halves() {
    let trace = || vec![st(StmtKind::Trace)];
    let conditional = st(StmtKind::If { cond: x(0), then: trace(), otherwise: Vec::new() });
    let mut machine = at(BASE + 4, 0, Machine::probes(vec![on_insn(vec![conditional])]));
    machine.run(&CODE);
    assert_eq!(machine.journal(), "0x8004 TraceBegin\n0x8004 TraceEnd");

    let after = probe(Moment::After, ir::Event::Insn(InsnPattern::Any), Vec::new(), trace());
    let mut machine = at(BASE + 4, 0, Machine::probes(vec![after]));
    machine.run(&CODE);
    assert_eq!(machine.journal(), "0x8004 TraceBegin\n0x8004 TraceEnd");
}

#[test]
fn a_trace_that_is_used_up_still_ends() {
    let once = hit(HitCounts::Ranges(vec![(1, Some(2))]), on_insn(vec![st(StmtKind::Trace)]));
    let mut machine = Machine::probes(vec![once]);
    machine.run(&CODE);
    assert_eq!(machine.journal(), "0x8000 Exhausted\n0x8000 TraceBegin\n0x8000 TraceEnd");
    assert_eq!(machine.cpu.x[0], 3);
}

#[test]
fn a_trace_of_an_instruction_that_is_skipped_ends() {
    let mut machine = at(BASE, 0, Machine::probes(vec![on_insn(vec![st(StmtKind::Trace), skip(int(1))])]));
    machine.run(&CODE);
    assert_eq!(machine.journal(), "0x8000 TraceBegin\n0x8000 Patched\n0x8000 TraceEnd");
}

#[test]
fn a_used_up_probe_is_gone_at_the_next_instruction() {
    let once = hit(HitCounts::Ranges(vec![(1, Some(2))]), on_insn(vec![print([x(0)])]));
    let mut machine = Machine::probes(vec![once]);
    machine.run(&CODE);
    assert_eq!(machine.journal(), "0x8000 Exhausted\n0x8000 Print 0x0");
    assert_eq!(machine.cell(102), 1);
    assert_eq!(machine.cpu.x[0], 3);
}

#[test]
fn exit_leaves_before_the_instruction() {
    let exit = st(StmtKind::Exit(int(3)));
    let mut machine = at(BASE + 4, 0, Machine::probes(vec![on_insn(vec![exit, print([int(1)])])]));
    machine.run(&CODE);
    assert_eq!(machine.journal(), "0x8004 Exit 0x3");
    assert_eq!((machine.cpu.x[0], machine.cpu.pc, machine.cpu.icount), (1, BASE + 4, 1));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut deep = x(0);
    for _ in 0..200 {
        deep = op(BinaryOp::Sub, x(1), op(BinaryOp::Add, builtin(Builtin::Icount, Type::U64), deep));
    }
    let span = Span { source: 1, start: 2, end: 3 };
    deep.span = span;
    let mut mock = Mock::default();
    let probes = vec![on_insn(Vec::new()), on_insn(vec![print([deep])])];
    let lowering = Lowering::new(Arc::new(program_of(probes, Vec::new())), &TOY, &mut mock);
    let refused = lowering.check(0, &mut mock);
    assert_eq!(refused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [ProbeId(1)]);
}
