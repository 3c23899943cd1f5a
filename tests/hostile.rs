//! Isolation: a guest that wants out (`tests/guest/hostile.c`) gets errors and faults of its own, and nothing else.
//!
//! How the emulator's own failure would show: as a panic (its text, status 101), as an abort, as a death by a signal
//! without the report of the end, or as a line of the guest that says what it reached.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Ended, TIERS, guest, run, spile};

/// A folder in which the guest may do what it likes, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch folder");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const OVER: &str = "on end print \"over\"";

fn hostile(folder: &Path, tier: &str, script: &str, what: &[&str]) -> Command {
    let mut command = spile(folder);
    command.args(["run", "-q", "--tier", tier, "-e", script]).arg(guest("hostile")).args(what);
    command
}

/// Asserts that the guest came to its end, which Spile reported, and that it printed this.
fn assert_survived(ended: &Ended, stdout: &str, tier: &str) {
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), (stdout, "over\n"), "{tier}");
    assert_eq!(ended.status, "0", "{tier}");
}

/// Loads, stores, vectors, exclusives, atomics and cache maintenance at addresses all over the 64 bits.
#[test]
fn no_instruction_reaches_outside() {
    for tier in TIERS {
        let scratch = Scratch::new("instructions");
        let ended = run(&mut hostile(&scratch.0, tier, OVER, &["instructions"]));
        assert_survived(&ended, "tried 1\npassed 0\n", tier);
    }
}

/// Wild addresses in every argument of every system call, and in the structures that they point to. The calls are the
/// same in all tiers; where everything is compiled, the many children would take long.
#[test]
fn no_system_call_takes_a_wild_address() {
    for tier in ["interp", "auto"] {
        let scratch = Scratch::new("calls");
        let ended = run(&mut hostile(&scratch.0, tier, OVER, &["calls"]));
        assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", "calls 1\n"), "{tier}: {}", ended.stderr);
        // The children that come to an end report it like their parent.
        assert!(ended.stderr.lines().all(|line| line == "over"), "{tier}: {}", ended.stderr);
        assert!(ended.stderr.lines().count() > 300, "{tier}: {}", ended.stderr);
    }
}

/// The memory files of the process, under every name, and the calls that reach into processes.
#[test]
fn no_file_is_the_emulators_memory() {
    for tier in TIERS {
        let scratch = Scratch::new("files");
        let ended = run(&mut hostile(&scratch.0, tier, OVER, &["files"]));
        assert_survived(&ended, "tried 1\nopened 0\n", tier);
    }
}

fn inverted(text: &str) -> String {
    text.bytes().map(|byte| format!("{:02x}", !byte)).collect()
}

/// A text of the script, which is in Spile's memory, is in nothing that the guest can read. That the search works is
/// shown with a text of the guest's own.
#[test]
fn the_guest_does_not_find_a_secret() {
    let secret = "canary-8d1f6a52c0e94b73";
    let script = format!("on end print \"{secret}\"");
    for tier in TIERS {
        let scratch = Scratch::new("secret");
        let file = scratch.0.join("script.spile");
        std::fs::write(&file, &script).expect("a script");
        let search = |text: &str| {
            let mut command = spile(&scratch.0);
            command.args(["run", "-q", "--tier", tier, "-s", "script.spile"]).arg(guest("hostile"));
            run(command.args(["scan", &inverted(text)]))
        };
        let ended = search(secret);
        let expected = "in files 0\nareas 1\nin memory 0\nfaults 1\n";
        assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("0", expected), "{tier}: {}", ended.stderr);
        assert_eq!(ended.stderr, format!("{secret}\n"), "it is where it was: {tier}");
        let own = search("edges tried");
        assert!(own.stdout.contains("in memory 1\n"), "{tier}: {}", own.stdout);
        // The command line is the guest's, not Spile's.
        let words = search("script.spile");
        assert!(words.stdout.starts_with("in files 0\n"), "{tier}: {}", words.stdout);
    }
}

/// What mapping over, unmapping and protecting everything comes to: the guest's own end, which is reported.
#[test]
fn no_mapping_covers_the_emulator() {
    let cases = [
        ("code", "SIGSEGV"),
        ("code-none", "SIGSEGV"),
        ("code-writable", "SIGILL"),
        ("stack", "SIGSEGV"),
        ("everything", "SIGSEGV"),
        ("everything-shared", "SIGSEGV"),
        ("unmap", "SIGSEGV"),
        ("unmap-more", "0"),
        ("protect", "0"),
        ("advise", "SIGSEGV"),
        ("edges", "0"),
        ("move-code", "SIGSEGV"),
        ("move-stack", "SIGSEGV"),
        ("signal-stack", "SIGSEGV"),
        ("return", "SIGSEGV"),
        ("jump", "SIGSEGV"),
        ("jump-far", "SIGSEGV"),
        ("last-page", "SIGSEGV"),
    ];
    for (what, status) in cases {
        for tier in TIERS {
            let scratch = Scratch::new("mappings");
            let ended = run(&mut hostile(&scratch.0, tier, OVER, &["map", what]));
            assert_eq!(ended.status, status, "{what} {tier}: {}", ended.stderr);
            // Behind it is at most why the guest has ended.
            let last = ended.stderr.lines().rfind(|line| !line.starts_with("spile: "));
            assert_eq!(last, Some("over"), "{what} {tier}: {}", ended.stderr);
            assert_eq!(ended.stdout.ends_with("still here\n"), status == "0", "{what} {tier}: {}", ended.stdout);
        }
    }
}
