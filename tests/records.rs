//! What probes print: the guest's threads leave records, and a thread beside them writes them.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use support::{TIERS, guest, run, spile};

fn here() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Rings fill up many times, and threads write with the writer at the same time.
#[test]
fn lines_of_threads_are_all_there_in_their_order() {
    let probe = "on insn in pop { thread.n += 1; @all += 1; print tid, thread.n }";
    for tier in TIERS {
        let mut command = spile(here());
        command.args(["run", "--tier", tier, "-o", "/dev/stdout", "-e", probe]).arg(guest("threads"));
        let ended = run(command.args(["stack", "1000"]));
        assert_eq!(ended.status, "0", "{tier}: {}", ended.stderr);
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for line in ended.stdout.lines().filter(|line| line.starts_with("tid=")) {
            let (thread, n) = line.split_once(" thread.n=").expect("both values");
            let count = counts.entry(thread).or_default();
            *count += 1;
            assert_eq!(n, count.to_string(), "{tier}, {thread}");
        }
        let all: u64 = counts.values().sum();
        assert!(counts.len() > 4 && all > 60_000, "{tier}: {counts:?}");
        assert!(
            ended.stdout.contains(&format!("@all: {all}\n")),
            "{tier}: {all} of {}",
            ended.stdout.lines().last().unwrap_or_default()
        );
    }
}

/// Runs `handover` and returns how far each of its threads has counted, by the lines of a probe that are in `file`, and
/// what the program has shown itself. No number is missing in between or there twice.
fn counted(tier: &str, file: &Path, arguments: &[&str]) -> (BTreeMap<u64, u64>, String) {
    let mut command = spile(here());
    command.args(["run", "-q", "--tier", tier, "-e", "on insn at tick print x0, x1", "-o"]).arg(file);
    let ended = run(command.arg(guest("handover")).args(arguments));
    assert_eq!((ended.status.as_str(), ended.stderr.as_str()), ("0", ""), "{tier}");
    let mut counts = BTreeMap::new();
    for line in BufReader::new(std::fs::File::open(file).expect("lines")).lines() {
        let line = line.expect("text");
        let number = |word: &str| u64::from_str_radix(word.split_once("=0x")?.1, 16).ok();
        let numbers: Vec<u64> = line.split(' ').filter_map(number).collect();
        let &[thread, n] = numbers.as_slice() else { panic!("{tier}: {line}") };
        let before = counts.insert(thread, n).unwrap_or(0);
        assert_eq!(n, before + 1, "{tier}, thread {thread}");
    }
    (counts, ended.stdout)
}

/// Up to 2,400 lines of each thread were missing that the host ended with `execve`, out of the output's buffer.
#[test]
fn no_line_is_lost_where_another_program_is_executed() {
    for tier in TIERS {
        let (lines, memory) = (here().join(format!("exec-{tier}.lines")), here().join(format!("exec-{tier}.memory")));
        let _ = std::fs::remove_file(&memory);
        let (counts, shown) = counted(tier, &lines, &["exec", memory.to_str().expect("a path")]);
        let shown: Vec<u64> = shown.lines().filter_map(|line| line.strip_prefix("count ")?.parse().ok()).collect();
        assert_eq!((shown.len(), counts.len()), (3, 3), "{tier}");
        for (made, &printed) in shown.iter().zip(counts.values()) {
            // It may have ended between counting and the probe.
            assert!(*made >= 20_000 && (*made == printed || *made == printed + 1), "{tier}: {shown:?} and {counts:?}");
        }
    }
}

/// A child wrote again what its parent's other threads had left in the output's buffer.
#[test]
fn no_line_is_written_again_by_a_forked_child() {
    for tier in TIERS {
        let (counts, _) = counted(tier, &here().join(format!("fork-{tier}.lines")), &["fork", "12"]);
        assert!(counts.len() == 3 && counts.values().all(|&n| n >= 6000), "{tier}: {counts:?}");
    }
}

/// The threads make no system call, and no buffer is full.
#[test]
fn a_line_is_seen_while_the_guest_goes_on() {
    for tier in TIERS {
        let mut command = spile(here());
        command.args([
            "run",
            "-q",
            "--tier",
            tier,
            "-o",
            "/dev/stdout",
            "-e",
            "on insn at pop hit 1000 print \"there\"",
        ]);
        command.arg(guest("threads")).args(["stack", "1000000000"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("spile starts");
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
        let goes_on = child.try_wait().expect("a child").is_none();
        let _ = child.kill();
        let _ = child.wait();
        assert!(read.is_ok() && line == "there\n" && goes_on, "{tier}: {line}");
    }
}

/// It is the writer that notices it.
#[test]
fn the_run_ends_when_nobody_reads_its_lines() {
    for tier in TIERS {
        let mut command = spile(here());
        command.args(["run", "-q", "--tier", tier, "-o", "/dev/stdout", "-e", "on insn at pop print x0"]);
        command.arg(guest("threads")).args(["stack", "1000000000"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spile starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let ended = child.wait_with_output().expect("it ends");
        let message = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(125), "{tier}: {message}");
        assert!(message.contains("the reader has closed the pipe"), "{tier}: {message}");
    }
}
