//! Runs random instructions under qemu's user mode and under Spile, and compares every register, flag, vector and byte of
//! memory that they leave. Each architecture has a module that makes its cases.
//!
//! It writes the guest programs itself: no cross compiler is needed. It knows nothing of how Spile works.

mod a64;
mod batch;
mod engine;
mod guest;
mod image;
mod random;
mod raw;
mod report;
mod riscv;
mod values;

use batch::{Case, Results};
use clap::Parser;
use engine::Engine;
use guest::{Guest, Machine, Word};
use random::Random;
use report::{Report, Totals};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// How many cases go into one guest program.
const BATCH: usize = 4096;
/// How many times a batch is started again after the engine died in it.
const RESTARTS: usize = 30;
/// The signal of a case that the processor refuses.
const SIGILL: u8 = 4;

/// Compare random instructions under Spile with qemu.
#[derive(Parser)]
struct Options {
    /// The guest architecture: aarch64, riscv64 or riscv32
    #[arg(long, default_value = "aarch64")]
    arch: String,
    /// Start of the pseudo-random numbers; the same seed gives the same cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cases for each encoding
    #[arg(long, default_value_t = 200)]
    cases: usize,
    /// Only mnemonics and classes that match one of these, `*` standing for anything
    #[arg(long)]
    filter: Vec<String>,
    /// Sequences of this many instructions instead of single ones; `--cases` is then the number of sequences
    #[arg(long, value_name = "LENGTH")]
    run: Option<usize>,
    /// Also FP16, dot products, RCpc and whatever else the processor has beyond Armv8.0 with CRC, AES, SHA and LSE; of
    /// RISC-V everything is tested in any case
    #[arg(long)]
    extensions: bool,
    /// Instead of instructions, this many random words that are none: both must raise SIGILL
    #[arg(long, value_name = "COUNT", conflicts_with = "run")]
    refused: Option<usize>,
    /// The processor that QEMU plays [default: neoverse-n1, rv64 or rv32]
    #[arg(long)]
    cpu: Option<String>,
    /// The Spile command
    #[arg(long, default_value = "target/release/spile")]
    spile: PathBuf,
    /// Tiers of Spile to test
    #[arg(long, value_delimiter = ',', default_value = "interp,jit")]
    tier: Vec<String>,
    /// Another emulator to test in place of Spile, with its arguments
    #[arg(long, value_name = "COMMAND")]
    against: Option<String>,
    /// The reference [default: qemu-aarch64, qemu-riscv64 or qemu-riscv32]
    #[arg(long)]
    qemu: Option<String>,
    /// Fields that are not compared, such as fpsr
    #[arg(long)]
    ignore: Vec<String>,
    /// Where the guest programs are written
    #[arg(long, default_value = "target/oracle")]
    directory: PathBuf,
}

impl Options {
    /// Where a guest program of this run is written: another run may be going on beside it.
    fn program(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}-{}.elf", std::process::id()))
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let totals = match options.arch.as_str() {
        "aarch64" => run::<a64::A64>(&options),
        "riscv64" => run::<riscv::Rv64>(&options),
        "riscv32" => run::<riscv::Rv32>(&options),
        other => Err(format!("`{other}` is no architecture: there are aarch64, riscv64 and riscv32")),
    };
    match totals {
        Ok(Totals { failed: 0, .. }) => {
            for path in ["batch", "screen"].map(|name| options.program(name)) {
                let _ = std::fs::remove_file(path.with_extension(batch::RAW));
                let _ = std::fs::remove_file(path);
            }
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "spile-oracle: {message}");
            ExitCode::from(2)
        }
    }
}

fn run<G: Guest>(options: &Options) -> Result<Totals, String> {
    let engines = engines(options, G::MACHINE)?;
    std::fs::create_dir_all(&options.directory)
        .map_err(|error| format!("cannot make {}: {error}", options.directory.display()))?;
    say(&format!("seed {}", options.seed))?;
    let mut random = Random::new(options.seed);
    if let Some(count) = options.refused {
        return compare_all::<G>(options, &engines, refused_words::<G>(options, &mut random, count)?);
    }
    let sets = 8.min(options.cases.max(1));
    let per_encoding = if options.run.is_some() { 8 } else { options.cases.div_ceil(sets) };
    let words = G::draw(&mut random, per_encoding, &|name| wanted(&options.filter, name));
    let words = screen::<G>(options, &mut random, words)?;
    let groups = match options.run {
        None => words.iter().enumerate().map(|(i, word)| G::single(&mut random, word, sets, i)).collect(),
        Some(length) => sequences::<G>(&mut random, &words, length, options.cases, sets)?,
    };
    compare_all::<G>(options, &engines, groups)
}

/// The engines to compare with the reference.
fn engines(options: &Options, machine: &Machine) -> Result<Vec<Engine>, String> {
    if let Some(command) = &options.against {
        return Ok(vec![Engine::new("other", &command.split_whitespace().collect::<Vec<_>>())]);
    }
    let spile = options.spile.to_str().ok_or("the path of spile is not UTF-8")?;
    if !options.spile.exists() {
        return Err(format!("`{spile}` does not exist; build it with `cargo build --release`"));
    }
    let raw = machine.layout.is_raw.then(|| raw::arguments(machine, &options.arch));
    let engine = |tier: &String| {
        let mut engine = Engine::new(tier, &[spile, "run", "--tier", tier]);
        engine.takes_raw = raw.is_some();
        engine.command.extend(raw.iter().flatten().cloned());
        engine
    };
    Ok(options.tier.iter().map(engine).collect())
}

fn reference(options: &Options, machine: &Machine, cpu: Option<&str>) -> Engine {
    let qemu = options.qemu.as_deref().unwrap_or(machine.qemu);
    Engine::new("qemu", &[qemu, "-cpu", cpu.or(options.cpu.as_deref()).unwrap_or(machine.cpu)])
}

/// True if `name` matches a filter, or there is none.
fn wanted(filters: &[String], name: &str) -> bool {
    filters.is_empty() || filters.iter().any(|filter| matches(filter, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|name| (0..=name.len()).any(|i| name.is_char_boundary(i) && matches(rest, &name[i..]))),
    }
}

/// Leaves out the words that the processor under QEMU refuses: those it does not have, or QEMU does not.
fn screen<G: Guest>(options: &Options, random: &mut Random, words: Vec<G::Word>) -> Result<Vec<G::Word>, String> {
    let newer = refused::<G>(options, random, &words, None)?;
    let older = match G::OLDER_CPU {
        Some(cpu) if !options.extensions => refused::<G>(options, random, &words, Some(cpu))?,
        _ => vec![false; words.len()],
    };
    let keep = |i: usize, word: &G::Word| !newer[i] && (!older[i] || G::is_wanted_anyway(word));
    let kept: Vec<G::Word> =
        words.iter().enumerate().filter(|(i, word)| keep(*i, word)).map(|(_, word)| word.clone()).collect();
    say(&format!("{} of {} random words are instructions of this processor", kept.len(), words.len()))?;
    let mut left_out: Vec<&str> = words.iter().map(Word::mnemonic).collect();
    left_out.retain(|name| kept.iter().all(|word| word.mnemonic() != *name));
    left_out.dedup();
    if !left_out.is_empty() {
        say(&format!("the processor has none of: {}", left_out.join(" ")))?;
    }
    if kept.is_empty() { Err("no instruction matches the filter".to_owned()) } else { Ok(kept) }
}

/// Random words that the processor under QEMU refuses, a case each.
fn refused_words<G: Guest>(options: &Options, random: &mut Random, count: usize) -> Result<Vec<Vec<Case>>, String> {
    let mut words = G::no_instructions(random, count);
    let mut groups = Vec::new();
    while !words.is_empty() {
        let chunk = words.split_off(words.len().saturating_sub(BATCH));
        let mut cases: Vec<Case> =
            chunk.iter().enumerate().flat_map(|(i, word)| G::single(random, word, 1, groups.len() + i)).collect();
        let path = options.program("screen");
        batch::write_program(G::MACHINE, &path, &mut cases)?;
        let results = batch::run(G::MACHINE, &reference(options, G::MACHINE, None), &path)?;
        // Some words end QEMU itself: the rest of the chunk is run without them.
        words.extend(chunk.into_iter().skip(results.len() + 1));
        let is_refused = |i: usize| results.has_raised(i, SIGILL);
        groups.extend(cases.into_iter().enumerate().filter(|(i, _)| is_refused(*i)).map(|(_, case)| vec![case]));
    }
    say(&format!("{} of {count} random words are no instructions of this processor", groups.len()))?;
    Ok(groups)
}

/// Runs each word in some states, and returns whether it raised SIGILL in all of them.
fn refused<G: Guest>(
    options: &Options,
    random: &mut Random,
    words: &[G::Word],
    cpu: Option<&str>,
) -> Result<Vec<bool>, String> {
    let mut refused = Vec::new();
    for words in words.chunks(BATCH / G::TRIES) {
        let mut cases: Vec<Case> =
            words.iter().enumerate().flat_map(|(i, word)| G::single(random, word, G::TRIES, i)).collect();
        let path = options.program("screen");
        batch::write_program(G::MACHINE, &path, &mut cases)?;
        let results = batch::run(G::MACHINE, &reference(options, G::MACHINE, cpu), &path)?;
        all_there(G::MACHINE, &results, &cases)?;
        let tries = |word: usize| word * G::TRIES..(word + 1) * G::TRIES;
        refused.extend((0..words.len()).map(|word| tries(word).all(|i| results.has_raised(i, SIGILL))));
    }
    Ok(refused)
}

fn sequences<G: Guest>(
    random: &mut Random,
    words: &[G::Word],
    length: usize,
    count: usize,
    sets: usize,
) -> Result<Vec<Vec<Case>>, String> {
    let pool: Vec<G::Word> = words.iter().filter(|word| G::can_be_followed(word)).cloned().collect();
    if pool.is_empty() || length == 0 {
        return Err("no instruction to make sequences of".to_owned());
    }
    Ok((0..count).map(|i| G::sequence(random, &pool, length, sets, i)).collect())
}

/// Runs all cases under all engines and reports.
fn compare_all<G: Guest>(options: &Options, engines: &[Engine], groups: Vec<Vec<Case>>) -> Result<Totals, String> {
    let mut reports: Vec<Report> = engines.iter().map(|_| Report::new(G::MACHINE, &options.ignore)).collect();
    for batch in batches(groups) {
        for (engine, report) in engines.iter().zip(&mut reports) {
            compare_batch(options, G::MACHINE, engine, report, batch.clone())?;
        }
    }
    let mut out = std::io::stdout().lock();
    let mut sum = Totals::default();
    for (engine, report) in engines.iter().zip(&reports) {
        let totals = report.write(&engine.name, &mut out).map_err(|error| error.to_string())?;
        sum.passed += totals.passed;
        sum.failed += totals.failed;
        sum.skipped += totals.skipped;
    }
    writeln!(out, "{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped)
        .map_err(|error| error.to_string())?;
    Ok(sum)
}

fn batches(groups: Vec<Vec<Case>>) -> Vec<Vec<Case>> {
    let mut batches = vec![Vec::new()];
    for group in groups {
        if batches.last().is_some_and(|batch: &Vec<Case>| batch.len() + group.len() > BATCH) {
            batches.push(Vec::new());
        }
        if let Some(batch) = batches.last_mut() {
            batch.extend(group);
        }
    }
    batches
}

/// Compares one batch; when the engine dies in a case, reports that and goes on without that code.
fn compare_batch(
    options: &Options,
    machine: &'static Machine,
    engine: &Engine,
    report: &mut Report,
    mut cases: Vec<Case>,
) -> Result<(), String> {
    let path = options.program("batch");
    if engine.takes_raw {
        cases = raw::compare_traps(machine, engine, &reference(options, machine, None), &path, report, cases)?;
    }
    for _ in 0..RESTARTS {
        batch::write_program(machine, &path, &mut cases)?;
        let expected = batch::run(machine, &reference(options, machine, None), &path)?;
        all_there(machine, &expected, &cases)?;
        let found = batch::run(machine, engine, &path)?;
        let done = found.len().min(cases.len());
        for (i, case) in cases[..done].iter().enumerate() {
            if let (Some(expected), Some(found)) = (expected.get(i), found.get(i)) {
                report.compare(case, expected, found);
            }
        }
        let Some(culprit) = cases.get(done).cloned() else { return Ok(()) };
        report.died(&culprit, found.failure.as_deref().unwrap_or("status 0, but not all cases were run"));
        cases.drain(..=done);
        cases.retain(|case| case.group != culprit.group);
    }
    cases.iter().for_each(|case| report.died(case, "too many restarts, so it was not run"));
    Ok(())
}

/// Refuses to compare with a reference that did not finish.
fn all_there(machine: &Machine, results: &Results, cases: &[Case]) -> Result<(), String> {
    if results.bytes.len() == cases.len() * machine.result_size {
        return Ok(());
    }
    let why = results.failure.as_deref().unwrap_or("no reason given");
    let case = cases.get(results.len()).map_or(String::new(), |case| format!(" in {} {:x?}", case.mnemonic, case.code));
    Err(format!("the reference ran {} of {} cases{case}: {why}", results.len(), cases.len()))
}

fn say(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_whole_names() {
        assert!(matches("ld*", "ldr"));
        assert!(matches("*q*", "sqadd"));
        assert!(!matches("ld", "ldr"));
        assert!(!matches("ld*r", "ldp"));
    }

    #[test]
    fn the_same_seed_gives_the_same_words() {
        let bits = |seed| {
            let words = a64::A64::draw(&mut Random::new(seed), 1, &|name| name == "add");
            words.iter().map(|word| word.bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(5), bits(5));
        assert_ne!(bits(5), bits(6));
    }
}
