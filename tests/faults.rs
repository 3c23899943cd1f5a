//! What goes wrong around a run: no descriptors, no memory, no stack, full disks, closed pipes, signals, damaged files.
//!
//! Each time: a clear message, the right status, no hang, and nothing lost of the output that was there already. What a
//! guest does is in `tests/guest/faults.c`.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use support::{Ended, TIERS, guest, root, run, spile, status_text};

/// A folder for made-up files, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch folder");
        Scratch(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a scratch file");
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `spile run` under limits that a shell sets: `ulimit …`.
fn limited(limits: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_spile"), "run"]);
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// `spile run` in a tier, with the guest `faults` told what to do.
fn faults(folder: &Path, tier: &str, options: &[&str], what: &[&str]) -> Command {
    let mut command = spile(folder);
    command.args(["run", "--tier", tier]).args(options).arg(guest("faults")).args(what);
    command
}

fn path(name: &str) -> String {
    guest(name).display().to_string()
}

/// How a status looks that is a death by `signal`.
fn died_of(signal: i32) -> String {
    status_text(ExitStatus::from_raw(signal))
}

/// Asserts that nothing was run, and that the one message has these words.
fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("125", ""), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("os error") && !ended.stderr.contains("panicked"), "{}", ended.stderr);
}

const COUNT: &str = "on insn at work count";

// ------------------------------------------------------------------------------------------------------ descriptors

#[test]
fn few_descriptors_are_enough_or_refused() {
    let scratch = Scratch::new("few-descriptors");
    for tier in TIERS {
        let program = path("fib");
        let arguments = ["--tier", tier, "-e", "on insn at fib count", "-o", "out.txt", &program];
        for limit in ["ulimit -n 6", "ulimit -Sn 4"] {
            let ended = run(&mut limited(limit, &scratch.0, &arguments));
            assert_eq!(
                (ended.status.as_str(), ended.stdout.as_str()),
                ("0", "fib(20) = 6765\n"),
                "{limit} {tier}: {}",
                ended.stderr
            );
            assert_eq!(scratch.read("out.txt"), "count: 21891\n", "{limit} {tier}");
        }
        assert_refused(&run(&mut limited("ulimit -n 4", &scratch.0, &arguments)), &["Too many open files"]);
    }
}

/// The guest gets the last descriptor that its limit allows, also for a file of `/proc` that is made up, and the
/// errors that it gets without Spile.
#[test]
fn a_guest_runs_out_of_descriptors() {
    let expected = "open errno 24\ndup errno 24\npipe errno 24\nmaps errno 24\nagain 1\n";
    for tier in TIERS {
        let script = "on insn count into @n on end print \"over\"";
        let ended = run(&mut limited(
            "ulimit -n 20",
            root(),
            &["-q", "--tier", tier, "-e", script, &path("faults"), "descriptors"],
        ));
        assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", expected), "{tier}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("over\n"), "{tier}: {}", ended.stderr);
    }
}

/// A guest that closes, copies over, polls and lists all descriptors there are finds its own only; probe output and
/// messages still come where they should.
#[test]
fn a_guest_cannot_take_descriptors_away() {
    let scratch = Scratch::new("own-descriptors");
    let expected = "range 0\nlisted 1\nopen 0\npolled 0\ncopied 0\nrange with flag 0\nclosed 0\n";
    let report = "probes: 1   fired: 2 000   patches applied: 0   errors: 0\n";
    for tier in TIERS {
        for limit in ["true", "ulimit -Sn 64", "ulimit -n 64", "ulimit -n 4500"] {
            let program = path("faults");
            let command = |options: &[&str]| {
                let arguments = [options, &["--tier", tier, "-e", COUNT, &program, "close"]].concat();
                run(&mut limited(limit, &scratch.0, &arguments))
            };
            let ended = command(&["-o", "out.txt"]);
            assert_eq!(
                (ended.status.as_str(), ended.stdout.as_str()),
                ("4", expected),
                "{limit} {tier}: {}",
                ended.stderr
            );
            assert_eq!(
                (ended.stderr.as_str(), scratch.read("out.txt").as_str()),
                (report, "count: 2000\n"),
                "{limit} {tier}"
            );
            let ended = command(&[]);
            assert_eq!(ended.stderr, format!("count: 2000\n{report}"), "{limit} {tier}");
        }
    }
}

/// A program that the guest executes goes on writing to the same file, wherever the working directory is by then.
#[test]
fn executed_programs_continue_the_output() {
    let scratch = Scratch::new("executed");
    let faults_path = path("faults");
    scratch.file("script.spile", b"on begin print \"begin\"\non end print \"end\"\n");
    for tier in TIERS {
        let options = ["-q", "-s", "script.spile", "-o", "out.txt"];
        let ended = run(&mut faults(&scratch.0, tier, &options, &["exec", &faults_path, "lines", "1"]));
        let line = "a line of output that somebody reads or does not read\n";
        assert_eq!(
            (ended.status.as_str(), ended.stdout),
            ("0", format!("chdir 0\n{line}")),
            "{tier}: {}",
            ended.stderr
        );
        assert_eq!(scratch.read("out.txt"), "begin\nbegin\nend\n", "{tier}");
        let ended = run(&mut faults(&scratch.0, tier, &options, &["run-twice", &faults_path, "lines", "1"]));
        assert_eq!((ended.status.as_str(), ended.stdout), ("0", line.repeat(2)), "{tier}: {}", ended.stderr);
        assert_eq!(scratch.read("out.txt"), "begin\nbegin\nend\nbegin\nend\nend\n", "{tier}");
        // Standard error of the executed programs is closed to messages of Spile, which go where they went before.
        let ended = run(&mut faults(
            &scratch.0,
            tier,
            &["-q", "-s", "script.spile"],
            &["run-twice", &faults_path, "lines", "1"],
        ));
        assert_eq!(ended.stderr, "begin\nbegin\nend\nbegin\nend\nend\n", "{tier}");
    }
}

// ----------------------------------------------------------------------------------------------------------- memory

/// The window in KiB, as `ulimit -v` counts.
const WINDOW: u64 = 1 << 29;

#[test]
fn too_little_address_space_is_refused_with_advice() {
    for limit in [500_000, WINDOW, WINDOW + 131_072] {
        for tier in TIERS {
            let limit = format!("ulimit -v {limit}");
            let ended = run(&mut limited(&limit, root(), &["--tier", tier, &path("hello")]));
            assert_refused(&ended, &["no memory for", "ulimit -v unlimited"]);
        }
    }
}

#[test]
fn just_enough_address_space_is_enough() {
    let limit = format!("ulimit -v {}", WINDOW + (2 << 20));
    for tier in TIERS {
        let ended = run(&mut limited(&limit, root(), &["--tier", tier, "-e", "on insn at fib count", &path("fib")]));
        assert_eq!(
            (ended.status.as_str(), ended.stdout.as_str()),
            ("0", "fib(20) = 6765\n"),
            "{tier}: {}",
            ended.stderr
        );
        assert!(ended.stderr.starts_with("count: 21891\n"), "{tier}: {}", ended.stderr);
    }
}

#[test]
fn a_guest_runs_out_of_memory() {
    let limit = format!("ulimit -v {}", WINDOW + (2 << 20));
    for tier in TIERS {
        for limit in ["true", &limit] {
            let ended = run(&mut limited(limit, root(), &["--tier", tier, &path("faults"), "memory"]));
            let expected = "too much errno 12\npieces errno 12\nmany 1\nsmall 5\n";
            assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", expected), "{tier}: {}", ended.stderr);
        }
        // A limit that the guest sets for itself holds for the guest.
        let ended = run(&mut faults(root(), tier, &[], &["limited-memory"]));
        let expected = "limit 0\nmap errno 12\nheap stays 1\nsmall 1\ngrow errno 12\nfreed 0\n";
        assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", expected), "{tier}: {}", ended.stderr);
    }
}

// ------------------------------------------------------------------------------------------------------------ stacks

#[test]
fn a_guests_stack_overflow_is_its_own_segmentation_fault() {
    for tier in TIERS {
        let ended = run(&mut faults(root(), tier, &["-q", "-e", "on end print \"over\""], &["overflow"]));
        assert_eq!((ended.status.as_str(), ended.stderr.as_str()), ("SIGSEGV", "over\n"), "{tier}");
        let ended = run(&mut faults(root(), tier, &[], &["overflow-caught"]));
        assert_eq!(
            (ended.status.as_str(), ended.stdout.as_str()),
            ("9", "caught 11\non the other stack 1\n"),
            "{tier}"
        );
    }
}

#[test]
fn a_small_stack_of_the_host_is_enlarged_or_refused() {
    for tier in TIERS {
        let program = path("fib");
        let arguments = ["--tier", tier, "-e", "on insn at fib count by func", &program];
        let ended = run(&mut limited("ulimit -Ss 100", root(), &arguments));
        assert_eq!(
            (ended.status.as_str(), ended.stdout.as_str()),
            ("0", "fib(20) = 6765\n"),
            "{tier}: {}",
            ended.stderr
        );
        let ended = run(&mut limited("ulimit -s 100", root(), &arguments));
        assert_refused(&ended, &["the stack is limited to 100 KiB", "ulimit -s 8192"]);
    }
}

/// Scripts that nest deeper than the stack: every form that can nest.
#[test]
fn deep_scripts_are_refused_on_the_smallest_stack() {
    let scratch = Scratch::new("deep");
    let deep = 5000;
    let forms = [
        format!("on begin print {}1{}", "(".repeat(deep), ")".repeat(deep)),
        format!("on begin when {}true print 1", "!".repeat(deep)),
        format!("on begin print {}1", "-".repeat(deep)),
        format!("on begin print {}1", "1 + ".repeat(deep)),
        format!("on begin print {}1{}", "str(".repeat(deep), ")".repeat(deep)),
        format!("on begin {}print 1{}", "{".repeat(deep), "}".repeat(deep)),
        format!("on begin {{ {}print 1{} }}", "if true { ".repeat(deep), " }".repeat(deep)),
        format!("on begin {{ if true {{ print 1 }}{} }}", " else if true { print 1 }".repeat(deep)),
        format!("on begin print \"{}x{}\"", "{\"".repeat(deep), "\"}".repeat(deep)),
        format!("on begin print u64[{}1{}]", "u64[".repeat(deep), "]".repeat(deep)),
    ];
    for (number, text) in forms.iter().enumerate() {
        scratch.file("deep.spile", text.as_bytes());
        let ended = run(&mut limited("ulimit -s 2048", &scratch.0, &["-s", "deep.spile", &path("hello")]));
        assert_refused(&ended, &["deep.spile", "nested more than"]);
        assert!(ended.stderr.len() < 10_000, "form {number}: {}", ended.stderr);
    }
}

/// A file that becomes shorter while it is mapped: the access behind its end is the guest's fault, not Spile's.
#[test]
fn a_shrinking_file_is_the_guests_bus_error() {
    let scratch = Scratch::new("shrinking");
    for tier in TIERS {
        let options = ["-q", "-e", "on end print \"over\""];
        for (what, status, last) in [("shrink", "SIGBUS", ""), ("shrink-caught", "5", "got 7\n")] {
            let ended = run(&mut faults(&scratch.0, tier, &options, &[what]));
            assert_eq!((ended.status.as_str(), ended.stderr.as_str()), (status, "over\n"), "{tier}: {}", ended.stdout);
            let expected = format!("size 0\nsize 0\nwrite errno 14\nbefore the end 0\n{last}");
            assert_eq!(ended.stdout, expected, "{what} {tier}");
        }
    }
}

/// A file that becomes longer: the access that finds that out is gone on with, and with it what a probe has made of it,
/// which can have been its last hit.
#[test]
fn a_store_behind_a_growing_file_is_the_patched_one() {
    let scratch = Scratch::new("growing");
    for tier in TIERS {
        for (script, stored) in
            [("on end print \"over\"", 1), ("on write when value == 1 and func == \"store\" once write value = 7", 7)]
        {
            let ended = run(&mut faults(&scratch.0, tier, &["-q", "-e", script], &["grow"]));
            let expected = format!("size 0\nsize 0\nbehind the old end {stored}\n");
            assert_eq!((ended.status.as_str(), ended.stdout), ("0", expected), "{tier}: {}", ended.stderr);
        }
    }
}

// --------------------------------------------------------------------------------------------------------- output

/// Lines that `-o` gets before the file is at its limit are kept; the guest sees no signal for what it did not write.
#[test]
fn a_limit_of_the_files_size_ends_the_run_or_does_not_matter() {
    let scratch = Scratch::new("size-limit");
    for tier in TIERS {
        let script = "on insn at fib print \"a line\"";
        let program = path("fib");
        let arguments = ["--tier", tier, "-e", script, "-o", "out.txt", &program];
        let ended = run(&mut limited("ulimit -f 2", &scratch.0, &arguments));
        assert_eq!(ended.status, "125", "{tier}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("cannot write probe output to out.txt: File too large"),
            "{tier}: {}",
            ended.stderr
        );
        assert_eq!(scratch.read("out.txt"), "a line\n".repeat(1000)[..1024], "{tier}");
        let program = path("fib");
        let arguments = ["--tier", tier, "-e", "on insn at fib count", "-o", "out.txt", &program];
        let ended = run(&mut limited("ulimit -f 2", &scratch.0, &arguments));
        assert_eq!(
            (ended.status.as_str(), ended.stdout.as_str()),
            ("0", "fib(20) = 6765\n"),
            "{tier}: {}",
            ended.stderr
        );
        assert_eq!(scratch.read("out.txt"), "count: 21891\n", "{tier}");
    }
}

#[test]
fn output_files_that_cannot_be_opened_are_refused_before_the_guest_runs() {
    let scratch = Scratch::new("unwritable");
    for (file, why) in [("missing/out.txt", "No such file"), (".", "directory"), ("file/out.txt", "Not a directory")] {
        scratch.file("file", b"");
        let command = run(spile(&scratch.0).args(["run", "-e", "on begin print 1", "-o", file]).arg(guest("hello")));
        assert_refused(&command, &["cannot write", why]);
    }
    // A script with a mistake leaves an old file as it is.
    scratch.file("old.txt", b"results of yesterday\n");
    let wrong = run(spile(&scratch.0).args(["run", "-e", "on begin prnt 1", "-o", "old.txt"]).arg(guest("hello")));
    assert_refused(&wrong, &["prnt"]);
    assert_eq!(scratch.read("old.txt"), "results of yesterday\n");
}

/// Starts a command and reads the first line of its standard output.
fn started(command: &mut Command) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spile starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    (child, stdout, line)
}

/// The end of a command that has been started: its status and standard error.
fn ended(child: Child) -> (String, String) {
    let output = child.wait_with_output().expect("an end");
    (status_text(output.status), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn nobody_reads_the_guests_output_any_more() {
    for tier in TIERS {
        let script = ["-e", "on insn at print count into @n on end print \"over\""];
        for (what, status) in [("lines", died_of(13)), ("pipe-ignored", "32".to_owned())] {
            let (child, stdout, _) = started(&mut faults(root(), tier, &script, &["lines", "1000000"][..]));
            drop(stdout);
            let (end, stderr) = ended(child);
            assert_eq!(end, died_of(13), "{tier}: {stderr}");
            assert!(stderr.starts_with("over\n") && stderr.contains("errors: 0"), "{tier}: {stderr}");
            let (read, write) = std::io::pipe().expect("a pipe");
            drop(read);
            let mut command = faults(root(), tier, &[], &[what, "1"]);
            assert_eq!(status_text(command.stdout(write).status().expect("spile starts")), status, "{what} {tier}");
        }
    }
}

/// The signal for a write of Spile's own is not the guest's: its handler does not run.
#[test]
fn nobody_reads_the_probes_output_any_more() {
    for tier in TIERS {
        let (read, write) = std::io::pipe().expect("a pipe");
        drop(read);
        let mut command = faults(root(), tier, &["-e", "on insn at work print 1"], &["spin-caught", "13"]);
        let status = command.stdout(Stdio::null()).stderr(write).status().expect("spile starts");
        assert_eq!(status_text(status), "125", "{tier}");
    }
}

/// The guest makes the pipe that it shares with Spile non-blocking; no line is lost where it is full.
#[test]
fn a_nonblocking_standard_error_loses_nothing() {
    for tier in TIERS {
        let ended =
            run(&mut faults(root(), tier, &["-q", "-e", "on insn at work print \"number {x0:d}\""], &["nonblocking"]));
        let expected: String = (0..20_000).map(|number| format!("number {number}\n")).collect();
        assert_eq!(ended.status, "0", "{tier}");
        assert!(ended.stderr == expected, "{tier}: {} lines", ended.stderr.lines().count());
    }
}

/// Closed standard streams are no reason to fail, and no file of Spile's own takes their place.
#[test]
fn closed_standard_streams_do_no_harm() {
    let scratch = Scratch::new("closed");
    for closing in ["exec <&-", "exec >&-", "exec 2>&-", "exec <&- >&- 2>&-"] {
        for tier in TIERS {
            let program = path("fib");
            let arguments = ["--tier", tier, "-e", "on insn at fib count", "-o", "out.txt", &program];
            let ended = run(&mut limited(closing, &scratch.0, &arguments));
            assert_eq!(ended.status, "0", "{closing} {tier}: {}", ended.stderr);
            assert_eq!(scratch.read("out.txt"), "count: 21891\n", "{closing} {tier}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- signals

fn send(signal: &str, child: &Child) {
    let status = Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
    assert!(status.expect("a shell").success(), "the signal is sent");
}

/// A signal from outside: the guest's handler runs, or its death is Spile's, with the end reported.
#[test]
fn signals_from_outside_are_the_guests() {
    let scratch = Scratch::new("signals");
    let script = "on insn at work count on end print \"over\"";
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10)] {
        for what in ["wait", "spin", "wait-caught", "spin-caught"] {
            for tier in TIERS {
                let options = ["-e", script, "-o", "out.txt"];
                let mut command = faults(&scratch.0, tier, &options, &[what, &number.to_string()]);
                let (child, mut stdout, line) = started(&mut command);
                assert_eq!(line, "ready\n");
                send(signal, &child);
                let mut rest = String::new();
                stdout.read_to_string(&mut rest).expect("the rest");
                let caught = what.ends_with("caught");
                let (status, stderr) = ended(child);
                let expected = if caught { "5".to_owned() } else { died_of(number) };
                assert_eq!(status, expected, "{what} {signal} {tier}: {stderr}");
                assert_eq!(rest, if caught { format!("got {number}\n") } else { String::new() });
                let out = scratch.read("out.txt");
                assert!(out.starts_with("over\ncount: ") && out.ends_with('\n'), "{what} {signal} {tier}: {out}");
                assert!(stderr.starts_with("probes: 2 "), "{what} {signal} {tier}: {stderr}");
            }
        }
    }
}

/// Spile dies of the signal that kills the guest, after everything has been written.
#[test]
fn every_fatal_signal_leaves_the_output_whole() {
    let scratch = Scratch::new("fatal");
    let expected: String = (0..100).map(|number| format!("number {number}\n")).collect();
    for signal in (1..=31).chain([34, 64]).filter(|signal| ![9, 17, 18, 19, 20, 21, 22, 23, 28].contains(signal)) {
        let tiers = if matches!(signal, 6 | 11 | 15) { &TIERS[..] } else { &TIERS[..1] };
        for tier in tiers {
            let options = ["-q", "-e", "on insn at work print \"number {x0:d}\"", "-o", "out.txt"];
            let ended = run(&mut faults(&scratch.0, tier, &options, &["die", &signal.to_string()]));
            assert_eq!((ended.status, ended.stderr.as_str()), (died_of(signal), ""), "signal {signal} {tier}");
            assert_eq!(scratch.read("out.txt"), expected, "signal {signal} {tier}");
        }
    }
    // What nobody can handle: what was written before is there, as far as it had left the buffer at a system call.
    let ended = run(&mut faults(
        &scratch.0,
        "interp",
        &["-q", "-e", "on insn at work print \"number {x0:d}\"", "-o", "out.txt"],
        &["die", "9"],
    ));
    assert_eq!((ended.status, scratch.read("out.txt")), (died_of(9), expected));
}

/// A parent sees how its children ended, by each signal and by none.
#[test]
fn parents_see_how_their_children_ended() {
    let mut expected: String =
        (1..=16).chain([24, 25, 26, 27, 29, 30, 31, 34, 64]).map(|signal| format!("{signal} {signal}\n")).collect();
    expected += "killed while it waits 9\nkilled while it works 9\nno stack 11\nstatus 1792\n";
    for tier in TIERS {
        let ended = run(&mut faults(root(), tier, &["-q", "-e", COUNT], &["children"]));
        assert_eq!(
            (ended.status.as_str(), ended.stdout.as_str()),
            ("0", expected.as_str()),
            "{tier}: {}",
            ended.stderr
        );
        assert_eq!(ended.stderr, "count: 0\n", "children do not report: {tier}");
    }
}

// ------------------------------------------------------------------------------------------------------ program files

/// Some bytes of the headers, several at a time: an error or a run, never a panic, never a hang.
#[test]
fn damaged_programs_do_no_harm() {
    let scratch = Scratch::new("damaged");
    let mut state = 88_172_645_463_325_252u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % below
    };
    for name in ["hello", "pie", "faults"] {
        let whole = std::fs::read(guest(name)).expect("a guest");
        for case in 0..120 {
            let mut image = whole.clone();
            for _ in 0..1 + case % 4 {
                image[random(64 + 56 * 3)] = [0, 1, 0x7f, 0x80, 0xff, case as u8][random(6)];
            }
            let at = random(image.len());
            image[at] ^= 1 << random(8);
            if case % 5 == 0 {
                image.truncate(random(whole.len()));
            }
            let program = scratch.file("program", &image);
            let tier = TIERS[case % TIERS.len()];
            let script = "on insn in \"*\" count";
            let arguments = [&["run", "--tier", tier, "--max-insns", "10000", "-e", script][..], &["list"]];
            for arguments in arguments {
                let ended = run(spile(&scratch.0).args(arguments).arg(&program));
                let bad = ended.stderr.contains("panicked") || ["101", "SIGABRT"].contains(&ended.status.as_str());
                assert!(!bad && !ended.status.starts_with("none"), "{name} {case} {arguments:?}: {ended:?}");
            }
        }
    }
}

#[test]
fn files_that_are_no_programs_are_refused() {
    let scratch = Scratch::new("no-programs");
    scratch.file("empty", b"");
    scratch.file("text", b"hello\n");
    std::fs::create_dir(scratch.0.join("folder")).expect("a folder");
    let made = Command::new("/bin/sh").args(["-c", "mkfifo fifo"]).current_dir(&scratch.0).status();
    assert!(made.expect("a shell").success());
    let cases = [
        ("empty", "is empty"),
        ("text", "is not an ELF program"),
        ("folder", "is a directory"),
        ("fifo", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("nothing", "no such file"),
        ("text/nothing", "no such file"),
        ("", "no such file"),
    ];
    for (file, why) in cases {
        assert_refused(&run(spile(&scratch.0).args(["run", "-e", "on begin print 1", file])), &[why]);
    }
}

/// A program is translated, not executed: that it can be read is enough.
#[test]
fn a_program_needs_no_permission_to_execute() {
    let scratch = Scratch::new("permission");
    let program = scratch.file("program", &std::fs::read(guest("hello")).expect("a guest"));
    let ended = run(spile(root()).arg("run").arg(program));
    assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", "Hello, world\n"));
}

#[test]
fn many_arguments_reach_the_guest() {
    let many: Vec<String> = (0..15_000).map(|number| format!("argument-{number:040}")).collect();
    for tier in TIERS {
        let ended = run(spile(root()).args(["run", "--tier", tier]).arg(guest("args")).args(&many));
        assert_eq!(ended.status, "0", "{tier}: {}", ended.stderr);
        assert!(ended.stdout.contains(&many[0]) && ended.stdout.contains(&many[14_999]), "{tier}");
    }
}
