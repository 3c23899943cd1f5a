//! Patches of accesses: what a script says is loaded or stored is as if memory had held it, for every kind of
//! instruction that accesses memory and in every tier.
//!
//! The oracle is the same instruction without probes, on other memory: a load that is given `f(address)` leaves the
//! registers that a load from memory with these values leaves, and a patched store the memory that the store and then a
//! write of these values leave.

use crate::change::run_script;
use crate::machine::{BASE, CODE_SIZE, DATA, Final, HLT, Program, Rng, run_plain};
use crate::seeds;
use spile_runtime::vm::Tier;

/// A name, and what it is executed as. The base is `x28`, an index `x25`, what is loaded or stored `x1` and `v1` to `v4`.
type Kind = (&'static str, u32);

const LOADS: &[Kind] = &[
    ("ldrb w1, [x28]", 0x3940_0381),
    ("ldrh w1, [x28, #2]", 0x7940_0781),
    ("ldr w1, [x28, #4]", 0xb940_0781),
    ("ldr x1, [x28, #8]", 0xf940_0781),
    ("ldrsb x1, [x28]", 0x3980_0381),
    ("ldrsb w1, [x28]", 0x39c0_0381),
    ("ldrsh x1, [x28]", 0x7980_0381),
    ("ldrsh w1, [x28]", 0x79c0_0381),
    ("ldrsw x1, [x28]", 0xb980_0381),
    ("ldr xzr, [x28]", 0xf940_039f),
    ("ldur x1, [x28, #-5]", 0xf85f_b381),
    ("ldtr x1, [x28, #3]", 0xf840_3b81),
    ("ldr x28, [x28]", 0xf940_039c),
    ("ldr x1, [x28], #16", 0xf841_0781),
    ("ldr x1, [x28, #-16]!", 0xf85f_0f81),
    ("ldrsw x1, [x28], #4", 0xb880_4781),
    ("ldr x1, [x28, x25]", 0xf879_6b81),
    ("ldr x1, [x28, w25, uxtw #3]", 0xf879_5b81),
    ("ldp w1, w2, [x28]", 0x2940_0b81),
    ("ldp x1, x2, [x28]", 0xa940_0b81),
    ("ldp x28, x2, [x28]", 0xa940_0b9c),
    ("ldp x1, x28, [x28]", 0xa940_7381),
    ("ldp x1, xzr, [x28]", 0xa940_7f81),
    ("ldpsw x1, x2, [x28, #8]", 0x6941_0b81),
    ("ldp x1, x2, [x28], #16", 0xa8c1_0b81),
    ("ldp x1, x2, [x28, #-16]!", 0xa9ff_0b81),
    ("ldnp x1, x2, [x28]", 0xa840_0b81),
    ("ldr b1, [x28]", 0x3d40_0381),
    ("ldr h1, [x28]", 0x7d40_0381),
    ("ldr s1, [x28]", 0xbd40_0381),
    ("ldr d1, [x28]", 0xfd40_0381),
    ("ldr q1, [x28]", 0x3dc0_0381),
    ("ldr q1, [x28], #16", 0x3cc1_0781),
    ("ldp s1, s2, [x28]", 0x2d40_0b81),
    ("ldp d1, d2, [x28]", 0x6d40_0b81),
    ("ldp q1, q2, [x28]", 0xad40_0b81),
    ("ldp q1, q2, [x28, #32]!", 0xadc1_0b81),
    ("ld1 {v1.16b}, [x28]", 0x4c40_7381),
    ("ld1 {v1.8b, v2.8b}, [x28]", 0x0c40_a381),
    ("ld1 {v1.4s, v2.4s, v3.4s}, [x28], #48", 0x4cdf_6b81),
    ("ld1 {v1.2d, v2.2d, v3.2d, v4.2d}, [x28], x25", 0x4cd9_2f81),
    ("ld2 {v1.8h, v2.8h}, [x28]", 0x4c40_8781),
    ("ld2 {v1.8b, v2.8b}, [x28], #16", 0x0cdf_8381),
    ("ld3 {v1.16b, v2.16b, v3.16b}, [x28]", 0x4c40_4381),
    ("ld3 {v1.2s, v2.2s, v3.2s}, [x28]", 0x0c40_4b81),
    ("ld4 {v1.2d, v2.2d, v3.2d, v4.2d}, [x28]", 0x4c40_0f81),
    ("ld4 {v1.4h, v2.4h, v3.4h, v4.4h}, [x28], #32", 0x0cdf_0781),
    ("ld1 {v1.b}[5], [x28]", 0x0d40_1781),
    ("ld2 {v1.h, v2.h}[3], [x28]", 0x0d60_5b81),
    ("ld3 {v1.s, v2.s, v3.s}[1], [x28], #12", 0x0ddf_b381),
    ("ld4 {v1.d, v2.d, v3.d, v4.d}[1], [x28]", 0x4d60_a781),
    ("ld1r {v1.4s}, [x28]", 0x4d40_cb81),
    ("ld4r {v1.8b, v2.8b, v3.8b, v4.8b}, [x28]", 0x0d60_e381),
    ("ldapr x1, [x28]", 0xf8bf_c381),
];

const STORES: &[Kind] = &[
    ("strb w1, [x28]", 0x3900_0381),
    ("strh w1, [x28, #2]", 0x7900_0781),
    ("str w1, [x28, #4]", 0xb900_0781),
    ("str x1, [x28, #8]", 0xf900_0781),
    ("str xzr, [x28]", 0xf900_039f),
    ("str x28, [x28]", 0xf900_039c),
    ("stur x1, [x28, #-5]", 0xf81f_b381),
    ("sttr w1, [x28, #3]", 0xb800_3b81),
    ("str x1, [x28], #16", 0xf801_0781),
    ("str x1, [x28, #-16]!", 0xf81f_0f81),
    ("str x1, [x28, x25]", 0xf839_6b81),
    ("str w1, [x28, w25, sxtw #2]", 0xb839_db81),
    ("stp w1, w2, [x28]", 0x2900_0b81),
    ("stp x1, x2, [x28]", 0xa900_0b81),
    ("stp x1, x2, [x28], #16", 0xa881_0b81),
    ("stp x1, x2, [x28, #-16]!", 0xa9bf_0b81),
    ("stnp x1, x2, [x28]", 0xa800_0b81),
    ("str b1, [x28]", 0x3d00_0381),
    ("str h1, [x28]", 0x7d00_0381),
    ("str s1, [x28]", 0xbd00_0381),
    ("str d1, [x28]", 0xfd00_0381),
    ("str q1, [x28]", 0x3d80_0381),
    ("str q1, [x28, #-16]!", 0x3c9f_0f81),
    ("stp s1, s2, [x28]", 0x2d00_0b81),
    ("stp d1, d2, [x28]", 0x6d00_0b81),
    ("stp q1, q2, [x28]", 0xad00_0b81),
    ("stp q1, q2, [x28], #32", 0xac81_0b81),
    ("st1 {v1.16b}, [x28]", 0x4c00_7381),
    ("st1 {v1.8b, v2.8b}, [x28]", 0x0c00_a381),
    ("st1 {v1.4s, v2.4s, v3.4s}, [x28], #48", 0x4c9f_6b81),
    ("st1 {v1.2d, v2.2d, v3.2d, v4.2d}, [x28], x25", 0x4c99_2f81),
    ("st2 {v1.8h, v2.8h}, [x28]", 0x4c00_8781),
    ("st3 {v1.16b, v2.16b, v3.16b}, [x28]", 0x4c00_4381),
    ("st4 {v1.2d, v2.2d, v3.2d, v4.2d}, [x28]", 0x4c00_0f81),
    ("st4 {v1.4h, v2.4h, v3.4h, v4.4h}, [x28], #32", 0x0c9f_0781),
    ("st1 {v1.b}[5], [x28]", 0x0d00_1781),
    ("st2 {v1.h, v2.h}[3], [x28]", 0x0d20_5b81),
    ("st3 {v1.s, v2.s, v3.s}[1], [x28], #12", 0x0d9f_b381),
    ("st4 {v1.d, v2.d, v3.d, v4.d}[1], [x28]", 0x4d20_a781),
    ("dc zva, x28", 0xd50b_743c),
];

/// Those that must be aligned.
const ALIGNED_LOADS: &[Kind] =
    &[("ldar x1, [x28]", 0xc8df_ff81), ("ldarb w1, [x28]", 0x08df_ff81), ("ldlar w1, [x28]", 0x88df_7f81)];

const ALIGNED_STORES: &[Kind] =
    &[("stlr x1, [x28]", 0xc89f_ff81), ("stlrb w1, [x28]", 0x089f_ff81), ("stllr w1, [x28]", 0x889f_7f81)];

/// What is one step with another access.
const ATOMICS: &[Kind] = &[
    ("ldxr x1, [x28]", 0xc85f_7f81),
    ("ldaxrb w1, [x28]", 0x085f_ff81),
    ("ldxp x1, x2, [x28]", 0xc87f_0b81),
    ("ldxp w1, w2, [x28]", 0x887f_0b81),
    ("ldadd x3, x1, [x28]", 0xf823_0381),
    ("ldclrb w3, w1, [x28]", 0x3823_1381),
    ("ldsmax w3, w1, [x28]", 0xb823_4381),
    ("swp x3, x1, [x28]", 0xf823_8381),
    ("swpalh w3, w1, [x28]", 0x78e3_8381),
    ("cas x1, x3, [x28]", 0xc8a1_7f83),
    ("casb w1, w3, [x28]", 0x08a1_7f83),
];

/// Far from all memory, with the same lower bits.
const NOWHERE: u64 = 0x7000_0000 - (DATA & !0xf_ffff);

/// The value that a script gives to an access: cut to its size.
const VALUE: &str = "(addr & 0xfffff) * 0x9e3779b97f4a7c15 ^ 0x5bf03635";

fn value(addr: u64) -> u64 {
    (addr & 0xf_ffff).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635
}

/// In the interpreter, in generated code, and so often that what a region leaves out at first is compiled.
const RUNS: [(Tier, u64); 5] =
    [(Tier::Interp, 2), (Tier::Quick, 2), (Tier::Jit, 2), (Tier::Jit, 4000), (Tier::Auto, 4000)];

const LIMIT: u64 = 100_000;

/// A loop that executes the instruction `times` times with the same base: any, or one that is aligned.
fn program(rng: &mut Rng, word: u32, aligned: bool, times: u64) -> Program {
    let mut program = Program::new(&[0xaa1b_03fc, word, 0xf100_075a, 0x54ff_ffa1, HLT]);
    program.data.iter_mut().for_each(|byte| *byte = rng.next() as u8);
    (0..4).for_each(|r| program.cpu.x[r] = rng.next());
    (0..32).for_each(|r| program.cpu.v[r] = u128::from(rng.next()) << 64 | u128::from(rng.next()));
    // Often across the end of a page.
    let offset = if rng.chance(50) { 0x1000 - rng.below(24) } else { rng.below(0x1000) };
    let base = BASE - 0x1000 + if aligned { offset & !15 } else { offset };
    // With a tag, generated code leaves at each access.
    let tag = if rng.chance(25) { rng.next() << 56 } else { 0 };
    (program.cpu.x[25], program.cpu.x[26], program.cpu.x[27]) = (rng.below(32), times, tag | base);
    program
}

/// Calls `check` with each kind as random programs, and a name for failures.
fn each(kinds: &[Kind], aligned: bool, check: &dyn Fn(&str, &Program, Tier)) {
    for &(name, word) in kinds {
        for seed in seeds(1) {
            for (tier, times) in RUNS {
                let program = program(&mut Rng(seed ^ u64::from(word) << 8), word, aligned, times);
                check(&format!("{name}, seed {seed}, {times} times, {tier:?}"), &program, tier);
            }
        }
    }
}

/// What the instruction accesses: addresses and sizes.
fn accesses(program: &Program) -> Vec<(u64, usize)> {
    let mut once = program.clone();
    once.cpu.x[26] = 1;
    let (result, text) = run_script(&once, Tier::Interp, LIMIT, "on access print \"{addr:d} {size}\"");
    assert_eq!(result.traps.len(), 1, "only the halt: {:?}", result.traps);
    let line = |line: &str| {
        let (addr, size) = line.split_once(' ').expect("two numbers");
        (addr.parse().expect("an address"), size.parse().expect("a size"))
    };
    let found: Vec<_> = text.lines().map(line).collect();
    assert!(!found.is_empty());
    found
}

/// Where an address is in the data.
fn place(addr: u64) -> usize {
    ((addr << 8 >> 8) - DATA) as usize
}

/// Data with the script's values at those of the accesses that `concerns`.
fn with_values(data: &[u8], accesses: &[(u64, usize)], concerns: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut data = data.to_vec();
    for &(addr, size) in accesses.iter().filter(|(addr, _)| concerns(*addr)) {
        let at = place(addr);
        data[at..at + size].copy_from_slice(&value(addr).to_le_bytes()[..size]);
    }
    data
}

/// What the program leaves without probes, and what memory holds then.
fn leaves(program: &Program) -> (Final, Vec<u8>) {
    let result = run_plain(program, Tier::Interp, LIMIT);
    let data = result.memory[CODE_SIZE as usize..].to_vec();
    (result, data)
}

fn with_data(mut result: Final, data: &[u8]) -> Final {
    result.memory[CODE_SIZE as usize..].copy_from_slice(data);
    result
}

/// A script leaves exactly this, and its assertions hold.
#[track_caller]
fn script_leaves(name: &str, program: &Program, tier: Tier, script: &str, expected: &Final) {
    let (result, text) = run_script(program, tier, LIMIT, script);
    result.must_be(expected, &format!("{name}: {script}"));
    assert_eq!(text, "", "{name}: {script}");
}

fn all(_: u64) -> bool {
    true
}

/// The condition `addr & 8 == 0`: some of the accesses of an instruction.
fn some(addr: u64) -> bool {
    addr & 8 == 0
}

#[test]
fn a_load_gives_what_a_script_says() {
    let check = |name: &str, program: &Program, tier: Tier| {
        let accesses = accesses(program);
        let expected = |concerns: fn(u64) -> bool| {
            let data = with_values(&program.data, &accesses, concerns);
            let (result, _) = leaves(&Program { data, ..program.clone() });
            with_data(result, &program.data)
        };
        script_leaves(name, program, tier, &format!("on read return {VALUE}"), &expected(all));
        script_leaves(name, program, tier, &format!("after read write value = {VALUE}"), &expected(all));
        // Probes see what others have written.
        let both = format!(
            "on read when addr & 8 == 0 return ~({VALUE})\n\
             on read when addr & 8 == 0 assert (value ^ ~({VALUE})) << 64 - 8 * size == 0\n\
             after read when addr & 8 == 0 write value = ~value"
        );
        script_leaves(name, program, tier, &both, &expected(some));
    };
    each(LOADS, false, &check);
    each(ALIGNED_LOADS, true, &check);
}

#[test]
fn a_store_stores_what_a_script_says() {
    let check = |name: &str, program: &Program, tier: Tier| {
        let accesses = accesses(program);
        let (plain, stored) = leaves(program);
        let expected = |concerns: fn(u64) -> bool| with_data(plain.clone(), &with_values(&stored, &accesses, concerns));
        script_leaves(name, program, tier, &format!("on write write value = {VALUE}"), &expected(all));
        let both = format!(
            "on write when addr & 8 == 0 write value = ~({VALUE})\n\
             on write when addr & 8 == 0 write value = ~value\n\
             after write when addr & 8 == 0 assert (value ^ {VALUE}) << 64 - 8 * size == 0"
        );
        script_leaves(name, program, tier, &both, &expected(some));
    };
    each(STORES, false, &check);
    each(ALIGNED_STORES, true, &check);
}

#[test]
fn a_store_that_is_skipped_leaves_memory_as_it_is() {
    let check = |name: &str, program: &Program, tier: Tier| {
        let accesses = accesses(program);
        let (plain, stored) = leaves(program);
        script_leaves(name, program, tier, "on write skip", &with_data(plain.clone(), &program.data));
        let mut kept = stored;
        for &(addr, size) in accesses.iter().filter(|(addr, _)| some(*addr)) {
            let at = place(addr);
            kept[at..at + size].copy_from_slice(&program.data[at..at + size]);
        }
        let script = "on write when addr & 8 == 0 skip\nafter write assert addr & 8 != 0";
        script_leaves(name, program, tier, script, &with_data(plain, &kept));
    };
    each(STORES, false, &check);
    each(ALIGNED_STORES, true, &check);
}

/// The same far from all memory: the registers are those of an access to memory, but for the base.
#[test]
fn an_access_that_is_not_made_needs_no_memory() {
    let check = |name: &str, program: &Program, tier: Tier| {
        let data = with_values(&program.data, &accesses(program), all);
        let (plain, _) = leaves(&Program { data, ..program.clone() });
        let mut expected = with_data(plain, &program.data);
        let mut far = program.clone();
        far.cpu.x[27] += NOWHERE;
        let script = format!("on read return {VALUE}\non write skip");
        let (result, _) = run_script(&far, tier, LIMIT, &script);
        expected.state.x[27] += NOWHERE;
        if result.state.x[28] == expected.state.x[28] + NOWHERE {
            expected.state.x[28] += NOWHERE;
        }
        result.must_be(&expected, &format!("{name}: {script}"));
    };
    for (kinds, aligned) in [(LOADS, false), (ALIGNED_LOADS, true), (STORES, false), (ALIGNED_STORES, true)] {
        each(kinds, aligned, &check);
    }
}

/// What an atomic access has loaded can be changed; what it stores is what it would have stored.
#[test]
fn what_an_atomic_access_has_loaded_is_another_value() {
    let check = |name: &str, program: &Program, tier: Tier| {
        let (mut expected, _) = leaves(program);
        let accesses = accesses(program);
        let reads = if name.contains("xp") { 2 } else { 1 };
        for (r, &(addr, size)) in accesses.iter().take(reads).enumerate() {
            expected.state.x[r + 1] = value(addr) & (u64::MAX >> (64 - 8 * size));
        }
        script_leaves(name, program, tier, &format!("after read write value = {VALUE}"), &expected);
    };
    // Once: compare-and-swap takes the register into the next round.
    for &(name, word) in ATOMICS {
        for tier in [Tier::Interp, Tier::Jit] {
            check(&format!("{name}, {tier:?}"), &program(&mut Rng(word.into()), word, true, 1), tier);
        }
    }
}

/// What cannot be exact is not done.
#[test]
fn an_atomic_access_is_not_patched_otherwise() {
    for &(name, word) in ATOMICS {
        let program = program(&mut Rng(word.into()), word, true, 1);
        let (plain, _) = leaves(&program);
        for script in ["on read return 5", "on write skip", "on write write value = 5", "on write goto 0x10010"] {
            for tier in [Tier::Interp, Tier::Jit] {
                script_leaves(&format!("{name}, {tier:?}"), &program, tier, script, &plain);
            }
        }
    }
}

/// `goto` in front of an access leaves the instruction out, behind it only what follows.
#[test]
fn an_access_leads_elsewhere() {
    for kinds in [LOADS, STORES] {
        for &(name, word) in kinds {
            for (tier, _) in RUNS {
                let program = program(&mut Rng(word.into()), word, false, 1);
                let what = format!("{name}, {tier:?}");
                let (mut without, _) = leaves(&program.clone().with_words(&[0xaa1b_03fc, HLT]));
                (without.state.pc, without.memory) = (0x1_0010, leaves(&program).0.memory);
                without = with_data(without, &program.data);
                without.traps.clone_from(&leaves(&program).0.traps);
                script_leaves(&what, &program, tier, "on access goto 0x10010", &without);
                let mut behind = leaves(&program.clone().with_words(&[0xaa1b_03fc, word, HLT])).0;
                let code = leaves(&program).0.memory;
                behind.memory[..CODE_SIZE as usize].copy_from_slice(&code[..CODE_SIZE as usize]);
                behind.state.pc = 0x1_0010;
                script_leaves(&what, &program, tier, "after access goto 0x10010", &behind);
            }
        }
    }
}

/// A probe that is exhausted by the very access that it changes changes it all the same, wherever the access is made.
#[test]
fn the_last_hit_of_a_probe_still_changes_the_access() {
    let check = |name: &str, program: &Program, tier: Tier| {
        let accesses = accesses(program);
        let (n, times) = (accesses.len() as u64, program.cpu.x[26]);
        let hits = format!("hit {}..{}", n * (times - 1) + 1, n * times + 1);
        let (plain, stored) = leaves(program);
        let expected = with_data(plain, &with_values(&stored, &accesses, all));
        script_leaves(name, program, tier, &format!("on write {hits} write value = {VALUE}"), &expected);
    };
    each(STORES, false, &check);
}
