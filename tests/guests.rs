//! Runs every shipped guest program in every tier and compares its output and its end with `tests/guest/cases.txt`.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

const TIERS: [&str; 3] = ["interp", "jit", "auto"];

/// One line of `cases.txt`.
struct Case {
    name: String,
    end: String,
    command: Vec<String>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest")
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(directory().join("cases.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(case).collect()
}

fn case(line: &str) -> Case {
    let mut words = line.split_whitespace().map(str::to_owned);
    let (name, end) = (words.next().unwrap(), words.next().expect("a status"));
    Case { name, end, command: words.collect() }
}

/// Runs Spile in the directory of the programs, so that `argv[0]` is the name alone.
fn spile(arguments: &[&str], command: &[String]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_spile"))
        .arg("run")
        .args(arguments)
        .args(command)
        .current_dir(directory().join("bin"))
        .env_clear()
        .env("GREETING", "hello")
        .output()
        .unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), end(output.status))
}

/// Returns the exit status, or the name of the signal.
fn end(status: ExitStatus) -> String {
    let name = |signal| match signal {
        4 => "SIGILL".to_owned(),
        5 => "SIGTRAP".to_owned(),
        6 => "SIGABRT".to_owned(),
        11 => "SIGSEGV".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    };
    status.signal().map_or_else(|| status.code().unwrap_or(-1).to_string(), name)
}

fn check(tier: &str) {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(!cases.is_empty());
    for case in cases {
        let expected = std::fs::read_to_string(directory().join("expected").join(&case.name)).unwrap();
        let (output, end) = spile(&["--tier", tier], &case.command);
        if output != expected || end != case.end {
            wrong.push(format!("{}: ended with {end}, expected {}; wrote:\n{output}", case.name, case.end));
        }
    }
    assert!(wrong.is_empty(), "tier {tier}:\n{}", wrong.join("\n"));
}

#[test]
fn programs_behave_when_interpreted() {
    check("interp");
}

#[test]
fn programs_behave_when_compiled() {
    check("jit");
}

#[test]
fn programs_behave_in_the_default_tier() {
    check("auto");
}

#[test]
fn raw_images_end_with_their_own_status() {
    let raw = ["--raw", "--arch", "aarch64", "--base", "0x800", "--entry", "0x800"];
    for image in ["seed.bin", "seedloop.bin"] {
        for tier in TIERS {
            let arguments = [&raw[..], &["--tier", tier]].concat();
            assert_eq!(spile(&arguments, &[image.to_owned()]).1, "3", "{image} in tier {tier}");
        }
    }
}

/// What was counted by hand in the sources, and is what `qemu-aarch64 -singlestep` executes.
#[test]
fn instructions_are_counted_exactly() {
    let raw = ["--raw", "--arch", "aarch64", "--base", "0x800", "--entry", "0x800"];
    let counts = [
        ("hello", 8, false),
        ("exit7", 3, false),
        ("loop", 4009, false),
        ("seed.bin", 8, true),
        ("seedloop.bin", 700_006, true),
    ];
    for (program, count, is_raw) in counts {
        for tier in TIERS {
            let image: &[&str] = if is_raw { &raw } else { &[] };
            let file = std::env::temp_dir().join(format!("spile-count-{}-{program}-{tier}", std::process::id()));
            let arguments = [
                image,
                &["--tier", tier, "-o", file.to_str().unwrap(), "-e", "on insn count into @n on end print \"{@n}\""],
            ];
            spile(&arguments.concat(), &[program.to_owned()]);
            let output = std::fs::read_to_string(&file).unwrap_or_default();
            let _ = std::fs::remove_file(&file);
            assert_eq!(output.lines().next(), Some(count.to_string().as_str()), "{program} in tier {tier}: {output}");
        }
    }
}
