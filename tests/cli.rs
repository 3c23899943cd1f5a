//! The command line: sessions as data in `tests/cli/`, and what needs made-up files, pipes or several looks.
//!
//! A session is a text file: `$ spile …` as typed in `tests/cli`, then what it prints (`! ` in front of standard error), then
//! `? STATUS` if it is not 0; lines that begin with `#` are comments, and `[..]` stands for any text.
//! `BLESS=1 cargo test --test cli` rewrites what follows the commands.

mod support;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Ended, Session, TIERS, blessing, check_file, diff, guest, root, run, spile, status_text};

fn session(name: &str) {
    let folder = root().join("tests/cli");
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).expect("the session exists");
    let now = Session::parse(&text).replay(|arguments| run(spile(&folder).args(arguments)));
    if blessing() {
        std::fs::write(&path, &now).expect("the session can be written");
    }
    let difference = if blessing() { None } else { diff(name, &text, &now) };
    assert!(difference.is_none(), "{}\nto accept: BLESS=1 cargo test --test cli", difference.unwrap_or_default());
}

#[test]
fn errors() {
    session("errors.session");
}

#[test]
fn statuses() {
    session("status.session");
}

#[test]
fn commands() {
    session("commands.session");
}

#[test]
fn scripts_of_several_files() {
    session("use.session");
}

/// The help is a contract too.
#[test]
fn help() {
    for (name, arguments) in [
        ("spile", &["--help"][..]),
        ("run", &["run", "--help"]),
        ("check", &["check", "--help"]),
        ("list", &["list", "--help"]),
        ("dump", &["dump", "--help"]),
        ("ctl", &["ctl", "--help"]),
        ("explain", &["explain", "--help"]),
        ("cache", &["cache", "--help"]),
    ] {
        let ended = run(spile(root()).args(arguments));
        assert_eq!((ended.status.as_str(), ended.stderr.as_str()), ("0", ""), "{name}");
        let difference = check_file(&root().join(format!("tests/cli/help-{name}.txt")), &ended.stdout);
        assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    }
    let version = run(spile(root()).arg("--version"));
    assert_eq!(version.stdout, format!("spile {}\n", env!("CARGO_PKG_VERSION")));
}

/// A folder for made-up files, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch folder");
        Scratch(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a scratch file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs what must be refused: status 125, nothing on standard output, one error. Returns the error.
fn refused(command: &mut Command) -> String {
    let Ended { stdout, stderr, status } = run(command);
    assert_eq!((status.as_str(), stdout.as_str()), ("125", ""), "{command:?}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{command:?}\n{stderr}");
    let errors = stderr.lines().filter(|line| line.starts_with("spile: ") || line.starts_with('E')).count();
    assert_eq!(errors, 1, "{command:?}\n{stderr}");
    stderr
}

/// A probe that would be seen if the guest ran after all.
const SEEN: &str = "on begin print \"the guest runs\"";

fn run_file(path: &Path) -> Command {
    let mut command = spile(root());
    command.args(["run", "-e", SEEN]).arg(path);
    command
}

#[test]
fn a_program_of_another_architecture_is_refused() {
    let own = refused(&mut run_file(Path::new(env!("CARGO_BIN_EXE_spile"))));
    assert!(own.contains("x86-64"), "{own}");
    // The machine of an ELF file is at byte 18.
    let scratch = Scratch::new("machines");
    let mut image = std::fs::read(guest("hello")).expect("a guest");
    for (machine, word) in [(3u16, "386"), (40, "ARM"), (22, "IBM Z"), (0xfff0, "")] {
        image[18..20].copy_from_slice(&machine.to_le_bytes());
        let error = refused(&mut run_file(&scratch.file("program", &image)));
        assert!(error.to_lowercase().contains(&word.to_lowercase()), "{machine}: {error}");
    }
}

#[test]
fn truncated_programs_are_refused() {
    let scratch = Scratch::new("truncated");
    for name in ["hello", "fib", "pie"] {
        let whole = std::fs::read(guest(name)).expect("a guest");
        // Where the loaded part ends; sections and symbols behind it are not needed to run.
        let headers = u64::from_le_bytes(whole[32..40].try_into().expect("eight bytes")) as usize;
        let count = u16::from_le_bytes([whole[56], whole[57]]) as usize;
        let segments = whole[headers..headers + 56 * count].chunks(56);
        let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let loaded =
            segments.filter(|header| header[0] == 1).map(|header| (word(header, 8) + word(header, 32)) as usize);
        let loaded = loaded.max().expect("a segment");
        for length in [0, 1, 3, 4, 5, 16, 17, 40, 63, 64, 65, 100, headers + 56 * count - 1, loaded / 2, loaded - 1] {
            let path = scratch.file("program", &whole[..length]);
            let error = refused(&mut run_file(&path));
            assert!(error.contains("program"), "{name} cut at {length}: {error}");
        }
        // A cut behind that is harmless or refused, never worse.
        for length in (loaded..whole.len()).step_by(97) {
            let ended = run(&mut run_file(&scratch.file("program", &whole[..length])));
            assert!(["0", "125"].contains(&ended.status.as_str()), "{name} cut at {length}: {ended:?}");
        }
    }
}

/// Every byte of the headers, one at a time, to the values that hurt most: an error or a run, no panic.
#[test]
fn damaged_headers_do_no_harm() {
    let scratch = Scratch::new("damaged");
    let whole = std::fs::read(guest("exit7")).expect("a guest");
    for at in (0..64 + 56).step_by(3) {
        for value in [0x00, 0xff, 0x80] {
            let mut image = whole.clone();
            image[at] = value;
            let path = scratch.file("program", &image);
            let ended = run(spile(root()).args(["run", "--max-insns", "1000"]).arg(&path));
            assert!(!ended.stderr.contains("panicked"), "byte {at} = {value:#x}: {}", ended.stderr);
            assert!(!ended.status.starts_with("none"), "byte {at} = {value:#x}: {}", ended.status);
        }
    }
}

/// A dynamic program: `hello` with an interpreter's path, which is a program header more.
fn dynamic_program(interpreter: &str) -> Vec<u8> {
    let mut image = std::fs::read(guest("hello")).expect("a guest");
    let headers = u64::from_le_bytes(image[32..40].try_into().expect("eight bytes")) as usize;
    let count = u16::from_le_bytes([image[56], image[57]]) as usize;
    let old = image[headers..headers + 56 * count].to_vec();
    let text = image.len() as u64;
    image.extend_from_slice(interpreter.as_bytes());
    image.push(0);
    image.resize(image.len().next_multiple_of(8), 0);
    let table = image.len() as u64;
    let length = interpreter.len() as u64 + 1;
    for word in [3 | 4 << 32, text, text, text, length, length, 1] {
        image.extend_from_slice(&u64::to_le_bytes(word));
    }
    image.extend_from_slice(&old);
    image[32..40].copy_from_slice(&table.to_le_bytes());
    image[56..58].copy_from_slice(&(count as u16 + 1).to_le_bytes());
    image
}

#[test]
fn a_dynamic_program_without_its_interpreter_is_refused() {
    let scratch = Scratch::new("dynamic");
    let path = scratch.file("program", &dynamic_program("/lib/ld-linux-aarch64-not-there.so.1"));
    let error = refused(&mut run_file(&path));
    assert!(error.contains("/lib/ld-linux-aarch64-not-there.so.1"), "{error}");
    assert!(error.contains("-L"), "the hint names the option: {error}");
    let error = refused(spile(root()).args(["run", "-L"]).arg(&scratch.0).arg(&path));
    assert!(error.contains("not-there"), "{error}");
}

#[test]
fn programs_that_cannot_be_read_are_refused() {
    let scratch = Scratch::new("unreadable");
    let text = scratch.file("script.sh", b"#!/bin/sh\necho hello\n");
    assert!(refused(&mut run_file(&text)).contains("script.sh"));
    let link = scratch.0.join("dangling");
    std::os::unix::fs::symlink("nowhere", &link).expect("a link");
    assert!(refused(&mut run_file(&link)).contains("dangling"));
}

#[test]
fn scripts_that_are_no_text_are_refused() {
    let scratch = Scratch::new("scripts");
    let cases: [(&str, Vec<u8>); 4] = [
        ("latin1.spile", b"on begin print \"caf\xe9\"\n".to_vec()),
        ("elf.spile", std::fs::read(guest("hello")).expect("a guest")),
        ("zeros.spile", vec![0; 1000]),
        ("deep.spile", format!("on begin print {}1{}", "(".repeat(5000), ")".repeat(5000)).into_bytes()),
    ];
    for (name, bytes) in cases {
        let path = scratch.file(name, &bytes);
        let ended = run(spile(root()).args(["run", "-s"]).arg(&path).arg(guest("hello")));
        assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("125", ""), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(name) && !ended.stderr.contains("panicked"), "{name}: {}", ended.stderr);
    }
}

#[test]
fn spile_dies_of_the_guests_signal() {
    for (how, signal) in
        [("segv", "SIGSEGV"), ("ill", "SIGILL"), ("trap", "SIGTRAP"), ("abrt", "SIGABRT"), ("term", "SIGTERM")]
    {
        for tier in TIERS {
            let ended = run(spile(root()).args(["run", "--tier", tier]).arg(guest("crash")).arg(how));
            assert_eq!(ended.status, signal, "{how} {tier}");
            assert_eq!(ended.stdout, format!("about to {how}\n"));
        }
    }
}

#[test]
fn probe_output_never_goes_to_the_guests_output() {
    let script = "on insn at print { print str(x0); dump x0, 4; trace; count by func }";
    for json in [false, true] {
        let mut command = spile(root());
        command.args(["run", "-e", script]).args(json.then_some("--json")).arg(guest("fib"));
        let ended = run(&mut command);
        assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", "fib(20) = 6765\n"));
        assert!(ended.stderr.contains("6765"));
        let lines = ended.stderr.lines();
        assert!(
            !json || lines.clone().all(|line| line.starts_with("{\"type\":") && line.ends_with('}')),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn output_goes_to_a_file_if_one_is_named() {
    let scratch = Scratch::new("output");
    let path = scratch.0.join("out.txt");
    let mut command = spile(root());
    command.args(["run", "-e", "on insn at fib count", "-o"]).arg(&path).arg(guest("fib"));
    let ended = run(&mut command);
    assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", "fib(20) = 6765\n"));
    assert_eq!(std::fs::read_to_string(&path).expect("the output"), "count: 21891\n");
    // The report is for who started the run, not for the file.
    assert_eq!(ended.stderr, "probes: 1   fired: 21 891   patches applied: 0   errors: 0\n");
}

/// A full disk in the middle of a run ends it with an error: results that nobody sees are no results.
#[test]
fn a_full_disk_ends_the_run() {
    for tier in TIERS {
        let script = "on insn at fib print x0, \"a line that fills the buffer sooner or later\"";
        let ended = run(spile(root()).args(["run", "--tier", tier, "-e", script, "-o", "/dev/full"]).arg(guest("fib")));
        assert_eq!(ended.status, "125", "{tier}: {}", ended.stderr);
        assert!(ended.stderr.contains("/dev/full"), "{tier}: {}", ended.stderr);
    }
}

/// Nobody reads standard error any more: the run ends, without a panic and without a hang.
#[test]
fn a_closed_standard_error_ends_the_run() {
    let mut command = spile(root());
    command.args(["run", "-e", "on insn at fib print x0"]).arg(guest("fib"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spile starts");
    let mut first = [0; 100];
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_exact(&mut first).expect("probe output");
    drop(stderr);
    let status = status_text(child.wait().expect("an end"));
    assert!(["125", "SIGPIPE"].contains(&status.as_str()), "{status}");
}

/// Nobody reads standard output any more: that is the guest's business, which has its own SIGPIPE.
#[test]
fn a_closed_standard_output_is_the_guests_affair() {
    let (read, write) = std::io::pipe().expect("a pipe");
    drop(read);
    let mut command = spile(root());
    command.arg("run").arg(guest("hello")).stdout(write).stderr(Stdio::null());
    let status = status_text(command.status().expect("spile starts"));
    assert_eq!(status, "SIGPIPE");
}

#[test]
fn errors_have_no_colour_where_there_is_no_terminal() {
    for variable in [None, Some("1")] {
        let mut command = spile(root());
        command.envs(variable.map(|value| ("NO_COLOR", value)));
        let error = refused(command.args(["run", "-e", "on insn at fibb trace"]).arg(guest("fib")));
        assert!(!error.contains('\x1b') && error.contains("did you mean `fib`"), "{error}");
    }
}

/// With no probes there is nothing between the guest and who started it.
#[test]
fn a_run_without_probes_is_silent() {
    for tier in TIERS {
        let ended = run(spile(root()).args(["run", "--tier", tier]).arg(guest("fib")));
        let expected = Ended { stdout: "fib(20) = 6765\n".into(), stderr: String::new(), status: "0".into() };
        assert_eq!(ended, expected, "{tier}");
    }
}

/// Generated code has no form to keep, but it is there and names what it should.
#[test]
fn dumps_of_generated_code() {
    let dump = |stage: &str| run(spile(root()).args(["dump", "--stage", stage, "--at", "body"]).arg(guest("loop")));
    let clif = dump("clif");
    assert_eq!((clif.status.as_str(), clif.stderr.as_str()), ("0", ""));
    assert!(clif.stdout.starts_with("function ") && clif.stdout.contains("iadd"), "{}", clif.stdout);
    let asm = dump("asm");
    assert_eq!((asm.status.as_str(), asm.stderr.as_str()), ("0", ""));
    assert!(asm.stdout.contains("addq") || asm.stdout.contains("lea"), "{}", asm.stdout);
}
