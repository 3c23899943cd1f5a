//! Whole runs as data: a script, a guest program, and what they print, in every tier.
//!
//! `tests/trace/readme.spile` explains the format by being one; `tests/trace/design` has the scripts of the language's
//! design in the same format, by number. Every script in `examples/` is run as its header says,
//! and must print what its header shows. `BLESS=1 cargo test --test golden` rewrites what is expected from the
//! interpreter's output; the other tiers must agree with it.

mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::{Ended, Session, TIERS, blessing, check_file, diff, guest, root, run, run_joined, spile, words};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for path in scripts("tests/trace") {
        trials.push(Trial::test(name("trace", &path), move || trace(&path).map_err(Failed::from)));
    }
    for path in scripts("tests/trace/design") {
        trials.push(Trial::test(name("design", &path), move || trace(&path).map_err(Failed::from)));
    }
    for path in scripts("examples") {
        trials.push(Trial::test(name("example", &path), move || example(&path, blessing()).map_err(Failed::from)));
    }
    for case in guest_cases() {
        let name = if case.is_usual() { case.name.clone() } else { case.command.join("-") };
        let name = format!("guest/{name}");
        trials.push(Trial::test(name, move || guest_case(&case).map_err(Failed::from)));
    }
    trials.push(Trial::test("an_output_that_ends_in_an_empty_line", || empty_line_at_the_end().map_err(Failed::from)));
    trials.push(Trial::test("every_script_of_the_design_is_there", || design_scripts().map_err(Failed::from)));
    trials.push(Trial::test("the_example_table_is_complete", || example_table().map_err(Failed::from)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The scripts of a folder, sorted.
fn scripts(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder exists");
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
    all.retain(|path| path.extension().is_some_and(|suffix| suffix == "spile"));
    all.sort();
    all
}

fn name(kind: &str, path: &Path) -> String {
    format!("{kind}/{}", path.file_stem().unwrap_or_default().to_string_lossy())
}

fn accept(path: &Path) -> String {
    let folders = [("examples", "example"), ("tests/trace/design", "design")];
    let kind =
        folders.iter().find(|(folder, _)| path.starts_with(root().join(folder))).map_or("trace", |(_, kind)| kind);
    format!("to accept: BLESS=1 cargo test --test golden -- --exact {}\n", name(kind, path))
}

// ---- traces

/// What a trace's `#?` comments say.
#[derive(Debug, Default)]
struct Directives {
    run: Option<Vec<String>>,
    exit: Option<String>,
    /// The architectures whose builds of the program are run, all with the same output.
    targets: Option<Vec<String>>,
}

/// The architecture whose programs are in `tests/guest/bin`; those of others are in a folder there, named after them.
const USUAL_TARGET: &str = "aarch64";

fn directives(text: &str) -> Result<Directives, String> {
    let mut found = Directives::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("#?")) {
        let (key, value) = line.split_once(':').ok_or(format!("`#?{line}` is not `#? KEY: VALUE`"))?;
        let twice = match key.trim() {
            "run" => found.run.replace(words(value.trim())).is_some(),
            "exit" => found.exit.replace(value.trim().to_string()).is_some(),
            "target" => found.targets.replace(value.split(',').map(|name| name.trim().to_string()).collect()).is_some(),
            other => return Err(format!("`{other}` is not `run`, `exit` or `target`")),
        };
        if twice {
            return Err(format!("`{}` twice", key.trim()));
        }
    }
    Ok(found)
}

/// Runs a trace in every tier and compares.
fn trace(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let directives = directives(&text)?;
    let arguments = directives.run.ok_or("no `#? run: …` line says how to run it")?;
    let expected_status = directives.exit.unwrap_or_else(|| "0".to_string());
    let targets = directives.targets.unwrap_or_else(|| vec![USUAL_TARGET.to_string()]);
    let mut wrong = String::new();
    for (index, target) in targets.iter().enumerate() {
        for tier in TIERS {
            let ended = run_trace(path, tier, target, &arguments);
            let which = if targets.len() > 1 { format!("{target}, {tier}") } else { tier.to_string() };
            if ended.status != expected_status {
                wrong.push_str(&format!("{which}: status {}, expected {expected_status}\n", ended.status));
            }
            for (suffix, actual) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
                let file = path.with_extension(suffix);
                if let Some(difference) = check(&file, actual, index == 0 && tier == TIERS[0]) {
                    wrong.push_str(&format!("{which}: {difference}"));
                }
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong + &accept(path)) }
}

/// Only the first run blesses: the others must then agree.
fn check(path: &Path, actual: &str, is_first: bool) -> Option<String> {
    if is_first {
        return check_file(path, actual);
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    diff(&path.strip_prefix(root()).unwrap_or(path).display().to_string(), &expected, actual)
}

/// A program, or the name of an architecture, as another architecture has it.
fn built_for(target: &str, argument: &str) -> String {
    let others = format!("{target}/{argument}");
    match argument {
        USUAL_TARGET => target.to_string(),
        _ if target != USUAL_TARGET && !argument.starts_with('-') && guest(&others).is_file() => others,
        _ => argument.to_string(),
    }
}

/// The design of the language has so many scripts.
const DESIGNED: u32 = 60;

/// Those that are refused, as a whole or with one of their lines.
const REFUSED: [u32; 6] = [6, 17, 35, 39, 44, 56];

/// Every script of the design is in `tests/trace/design` under its number, and no other is refused than those that are
/// known to be.
fn design_scripts() -> Result<(), String> {
    let (mut there, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for path in scripts("tests/trace/design") {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.split_once('-').and_then(|(number, _)| number.parse().ok());
        let number: u32 = number.ok_or(format!("{name}: a name is a number, `-` and a title"))?;
        there.insert(number);
        let printed = std::fs::read_to_string(path.with_extension("stderr")).unwrap_or_default();
        if printed.contains("E0700") {
            refused.insert(number);
        }
    }
    if !there.iter().copied().eq(1..=DESIGNED) {
        return Err(format!("there are {there:?}, and there should be 1 to {DESIGNED}"));
    }
    if refused.iter().ne(REFUSED.iter()) {
        return Err(format!("{refused:?} are refused, and {REFUSED:?} should be"));
    }
    Ok(())
}

fn run_trace(path: &Path, tier: &str, target: &str, arguments: &[String]) -> Ended {
    let folder = root().join("tests/trace");
    let mut command = spile(&folder);
    command.args(["run", "--ascii", "--tier", tier, "-s"]).arg(path.strip_prefix(&folder).expect("it is in there"));
    let mut program = false;
    for argument in arguments.iter().map(|argument| built_for(target, argument)) {
        // The first word that names a guest program is it.
        if !program && !argument.starts_with('-') && guest(&argument).is_file() {
            command.arg(Path::new("../guest/bin").join(argument));
            program = true;
        } else {
            command.arg(argument);
        }
    }
    run(&mut command)
}

// ---- guests

/// A line of `tests/guest/cases.txt`.
struct GuestCase {
    name: String,
    status: String,
    command: Vec<String>,
}

impl GuestCase {
    /// True for a program of the architecture that most are for.
    fn is_usual(&self) -> bool {
        !self.command[0].contains('/')
    }
}

fn guest_cases() -> Vec<GuestCase> {
    let text = std::fs::read_to_string(root().join("tests/guest/cases.txt")).expect("the list of cases");
    let case = |line: &str| {
        let mut words = words(line).into_iter();
        let name = words.next().expect("a name");
        GuestCase { name, status: words.next().expect("a status"), command: words.collect() }
    };
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(case).collect()
}

/// Probes at every instruction that change nothing: one that reads, one that reads afterwards, one that never fires.
const OBSERVERS: &str = "on insn { @sum += x0 ^ sp ^ nzcv; @vector = v0.d[1] }
after insn @after += x30
on insn when x0 == 0x1234_5678_9abc_def0 and icount == 7 fail \"never\"";

const RISCV_OBSERVERS: &str = "on insn { @sum += a0 ^ sp ^ fcsr; @float = fa0 }
after insn @after += ra
on insn when x10 == 0x1234_5678_9abc_def0 and icount == 7 fail \"never\"";

/// Runs a guest in every tier, alone and observed: it must not notice, and execute as many instructions.
fn guest_case(case: &GuestCase) -> Result<(), String> {
    let expected = std::fs::read_to_string(root().join("tests/guest/expected").join(&case.name)).unwrap_or_default();
    let mut counts = Vec::new();
    for tier in TIERS {
        for observers in ["", if case.is_usual() { OBSERVERS } else { RISCV_OBSERVERS }] {
            let script = format!("{observers}\non end print \"icount {{icount}}\"");
            let mut command = spile(&root().join("tests/guest/bin"));
            command.args(["run", "--tier", tier, "-e", &script, "--"]).args(&case.command);
            let ended = run(&mut command);
            let which = format!("{tier}{}", if observers.is_empty() { "" } else { ", observed" });
            if ended.status != case.status {
                return Err(format!("{which}: status {}, expected {}\n{}", ended.status, case.status, ended.stderr));
            }
            if let Some(difference) = diff(&format!("tests/guest/expected/{}", case.name), &expected, &ended.stdout) {
                return Err(format!("{which}: {difference}"));
            }
            let count = ended.stderr.lines().find(|line| line.starts_with("icount ")).map(str::to_string);
            counts.push((which, count.ok_or("no count")?));
        }
    }
    // How often threads look until others have done something depends on the schedule.
    let counts_differ = case.name.starts_with("threads-");
    if counts_differ || counts.iter().all(|(_, count)| *count == counts[0].1) {
        Ok(())
    } else {
        Err(format!("{counts:#?}"))
    }
}

// ---- examples

/// In front of what an example's header shows as a session.
const INDENT: &str = "#   ";

/// Runs an example as its header says, in every tier, and compares with what its header shows.
fn example(path: &Path, blessing: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let header: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    let from =
        header.iter().position(|line| line.starts_with("#   $ ")).ok_or("its header shows no `#   $ spile …`")?;
    let shown = &header[from..];
    let length = shown.iter().take_while(|line| line.starts_with(INDENT) || **line == "#").count();
    let plain: String =
        shown[..length].iter().map(|line| format!("{}\n", line.strip_prefix(INDENT).unwrap_or_default())).collect();
    let session = Session::parse(&plain);
    let targets = directives(&header[from + length..].join("\n"))?.targets;
    let targets = targets.unwrap_or_else(|| vec![USUAL_TARGET.to_string()]);
    for (target, tier) in targets.iter().flat_map(|target| TIERS.map(|tier| (target, tier))) {
        let now = session.replay(|arguments| {
            let (command, rest) = arguments.split_first().expect("a subcommand");
            let tier: &[&str] = if command == "run" { &["--tier", tier] } else { &[] };
            let rest = rest.iter().map(|argument| match argument.strip_prefix("tests/guest/bin/") {
                Some(program) => format!("tests/guest/bin/{}", built_for(target, program)),
                None => argument.to_string(),
            });
            run_joined(spile(root()).arg(command).args(tier).args(rest))
        });
        let Some(difference) = diff(&path.strip_prefix(root()).unwrap_or(path).display().to_string(), &plain, &now)
        else {
            continue;
        };
        if !blessing || (target, tier) != (&targets[0], TIERS[0]) {
            return Err(format!("{target}, {tier}: {difference}{}", accept(path)));
        }
        let lines = now.lines().map(|line| format!("{INDENT}{line}").trim_end().to_string());
        let before = header[..from].iter().map(|line| line.to_string());
        let after = text.lines().skip(from + length).map(str::to_string);
        let all: Vec<String> = before.chain(lines).chain(after).collect();
        std::fs::write(path, all.join("\n") + "\n").map_err(|error| error.to_string())?;
        return example(path, false);
    }
    Ok(())
}

/// What is shown of such an output is what is compared with it again.
fn empty_line_at_the_end() -> Result<(), String> {
    let shown = "$ spile one\na line\n\n$ spile two\nmore\n";
    let ended = |stdout: &str| Ended { stdout: stdout.to_string(), stderr: String::new(), status: "0".to_string() };
    let run = |words: &[String]| ended(if words[0] == "one" { "a line\n\n\n" } else { "more\n\n" });
    let now = Session::parse(shown).replay(run);
    if now == shown { Ok(()) } else { Err(now) }
}

/// Every script is in the table of `examples/README.md`, and every one in the table exists.
fn example_table() -> Result<(), String> {
    let table = std::fs::read_to_string(root().join("examples/README.md")).map_err(|error| error.to_string())?;
    let file_name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let exist: Vec<String> = scripts("examples").iter().map(file_name).collect();
    let named = |line: &str| Some(line.strip_prefix("| [`")?.split('`').next()?.to_string());
    let mut listed: Vec<String> = table.lines().filter_map(named).collect();
    listed.sort();
    if listed == exist { Ok(()) } else { Err(format!("the table has {listed:?}\nthe folder has {exist:?}")) }
}
