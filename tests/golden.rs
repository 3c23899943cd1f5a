//! Whole runs as data: a script, a guest program, and what they print, in every tier.
//!
//! `tests/trace/readme.spile` explains the format by being one. Every script in `examples/` is run as its header says,
//! and must print what its header shows. `BLESS=1 cargo test --test golden` rewrites what is expected from the
//! interpreter's output; the other tiers must agree with it.

mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::{Ended, Session, TIERS, blessing, check_file, diff, guest, root, run, run_joined, spile, words};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for path in scripts("tests/trace") {
        trials.push(Trial::test(name("trace", &path), move || trace(&path).map_err(Failed::from)));
    }
    for path in scripts("examples") {
        trials.push(Trial::test(name("example", &path), move || example(&path).map_err(Failed::from)));
    }
    for case in guest_cases() {
        let name = format!("guest/{}", case.name);
        trials.push(Trial::test(name, move || guest_case(&case).map_err(Failed::from)));
    }
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
    let kind = if path.starts_with(root().join("examples")) { "example" } else { "trace" };
    format!("to accept: BLESS=1 cargo test --test golden -- --exact {}\n", name(kind, path))
}

// ---- traces

/// What a trace's `#?` comments say.
#[derive(Debug, Default)]
struct Directives {
    run: Option<Vec<String>>,
    exit: Option<String>,
}

fn directives(text: &str) -> Result<Directives, String> {
    let mut found = Directives::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("#?")) {
        let (key, value) = line.split_once(':').ok_or(format!("`#?{line}` is not `#? KEY: VALUE`"))?;
        let twice = match key.trim() {
            "run" => found.run.replace(words(value.trim())).is_some(),
            "exit" => found.exit.replace(value.trim().to_string()).is_some(),
            other => return Err(format!("`{other}` is neither `run` nor `exit`")),
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
    let mut wrong = String::new();
    for tier in TIERS {
        let ended = run_trace(path, tier, &arguments);
        if ended.status != expected_status {
            wrong.push_str(&format!("{tier}: status {}, expected {expected_status}\n", ended.status));
        }
        for (suffix, actual) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
            if let Some(difference) = check(&path.with_extension(suffix), actual, tier) {
                wrong.push_str(&format!("{tier}: {difference}"));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong + &accept(path)) }
}

/// Only the first tier blesses: the others must then agree.
fn check(path: &Path, actual: &str, tier: &str) -> Option<String> {
    if tier == TIERS[0] {
        return check_file(path, actual);
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    diff(&path.strip_prefix(root()).unwrap_or(path).display().to_string(), &expected, actual)
}

fn run_trace(path: &Path, tier: &str, arguments: &[String]) -> Ended {
    let mut command = spile(&root().join("tests/trace"));
    command.args(["run", "--ascii", "--tier", tier, "-s"]).arg(path.file_name().expect("a file has a name"));
    let mut program = false;
    for argument in arguments {
        // The first word that names a guest program is it.
        if !program && !argument.starts_with('-') && guest(argument).is_file() {
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

/// Runs a guest in every tier, alone and observed: it must not notice, and execute as many instructions.
fn guest_case(case: &GuestCase) -> Result<(), String> {
    let expected = std::fs::read_to_string(root().join("tests/guest/expected").join(&case.name)).unwrap_or_default();
    let mut counts = Vec::new();
    for tier in TIERS {
        for observers in ["", OBSERVERS] {
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
fn example(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let header: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    let from =
        header.iter().position(|line| line.starts_with("#   $ ")).ok_or("its header shows no `#   $ spile …`")?;
    let shown = &header[from..];
    let length = shown.iter().take_while(|line| line.starts_with(INDENT) || **line == "#").count();
    let plain: String =
        shown[..length].iter().map(|line| format!("{}\n", line.strip_prefix(INDENT).unwrap_or_default())).collect();
    let session = Session::parse(&plain);
    for tier in TIERS {
        let now = session.replay(|arguments| {
            let (command, rest) = arguments.split_first().expect("a subcommand");
            let tier: &[&str] = if command == "run" { &["--tier", tier] } else { &[] };
            run_joined(spile(root()).arg(command).args(tier).args(rest))
        });
        let Some(difference) = diff(&path.strip_prefix(root()).unwrap_or(path).display().to_string(), &plain, &now)
        else {
            continue;
        };
        if !blessing() || tier != TIERS[0] {
            return Err(format!("{tier}: {difference}{}", accept(path)));
        }
        let lines = now.lines().map(|line| format!("{INDENT}{line}").trim_end().to_string());
        let before = header[..from].iter().map(|line| line.to_string());
        let after = text.lines().skip(from + length).map(str::to_string);
        let all: Vec<String> = before.chain(lines).chain(after).collect();
        std::fs::write(path, all.join("\n") + "\n").map_err(|error| error.to_string())?;
        return example(path);
    }
    Ok(())
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
