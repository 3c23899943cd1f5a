//! Probes that change while the guest runs: `spile ctl` and `--watch`, on eight guest threads in a hot loop.
//!
//! `SPILE_LIVE_ROUNDS` says how often probes are added and removed; the default is what a test run has time for.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::{Ended, TIERS, guest, run, spile};

/// How long something may take to show.
const PATIENCE: Duration = Duration::from_secs(30);

fn rounds() -> u64 {
    std::env::var("SPILE_LIVE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

/// A guest with eight threads that pop and push without end, in a session. Killed in the end.
struct Running {
    child: Child,
    folder: PathBuf,
    log: PathBuf,
}

impl Running {
    fn start(name: &str, tier: &str, options: &[&str]) -> Running {
        let unique = format!("live-{name}-{tier}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        std::fs::create_dir_all(&folder).expect("a scratch folder");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).expect("its mode");
        let log = folder.join("log");
        let mut command = spile(&folder);
        command.env("XDG_RUNTIME_DIR", &folder).args(["run", "--ascii", "--tier", tier, "--session", "s"]);
        command.args(options).arg(guest("threads")).args(["stack", "1000000000"]);
        let file = std::fs::File::create(&log).expect("a log");
        let child = command.stdout(Stdio::null()).stderr(file).spawn().expect("spile starts");
        let running = Running { child, folder, log };
        running.until("the session is there", || running.ctl(&["list"]).status == "0");
        running
    }

    fn ctl(&self, words: &[&str]) -> Ended {
        run(spile(&self.folder).env("XDG_RUNTIME_DIR", &self.folder).args(["ctl", "s"]).args(words))
    }

    /// A command that must be accepted; its output.
    fn accepted(&self, words: &[&str]) -> String {
        let ended = self.ctl(words);
        assert_eq!((ended.status.as_str(), ended.stderr.as_str()), ("0", ""), "{words:?}");
        ended.stdout
    }

    /// A command that must be refused; what it says.
    fn refused(&self, words: &[&str]) -> String {
        let ended = self.ctl(words);
        assert_eq!((ended.status.as_str(), ended.stdout.as_str()), ("1", ""), "{words:?}");
        ended.stderr
    }

    /// The rows of a map by thread.
    fn by_thread(&self, global: &str) -> BTreeMap<u64, u64> {
        let text = self.accepted(&["print", global]);
        let row = |line: &str| {
            let mut words = line.split_whitespace().map(str::parse);
            Some((words.nth(1)?.ok()?, line.split_whitespace().next()?.parse().ok()?))
        };
        text.lines().skip(1).filter_map(row).collect()
    }

    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "waited for: {what}\n{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Memory in use by the run, in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for memory");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Every execution after the command has returned is seen, by all threads, and none twice: what one probe counts all the
/// time bounds what another one counts that comes later.
#[test]
fn an_added_probe_sees_every_execution_from_then_on() {
    for tier in TIERS {
        let running = Running::start("adds", tier, &["-e", "all: on insn at pop count by tid into @all"]);
        running.until("all threads run", || running.by_thread("@all").len() == 8);
        for round in 0..rounds() {
            let before = running.by_thread("@all");
            running.accepted(&["add", "new: on insn at pop count by tid into @new"]);
            let after = running.by_thread("@all");
            running.until("every thread comes by", || running.by_thread("@new").len() == 8);
            // Both go in one step, and count no more.
            running.accepted(&["remove", "new", "all"]);
            let (end, new) = (running.by_thread("@all"), running.by_thread("@new"));
            for (tid, &seen) in &new {
                let bounds = (end[tid] - after[tid], end[tid] - before[tid]);
                assert!(bounds.0 <= seen && seen <= bounds.1, "{tier}, round {round}: {seen} is not in {bounds:?}");
            }
            running.accepted(&["reset", "@all"]);
            running.accepted(&["reset", "@new"]);
            running.accepted(&["add", "all: on insn at pop count by tid into @all"]);
            running.until("all threads run", || running.by_thread("@all").len() == 8);
        }
    }
}

#[test]
fn adding_and_removing_does_not_grow() {
    let running = Running::start("grows", "auto", &[]);
    let change = |count: u64| {
        for _ in 0..count {
            running.accepted(&["add", "p: on insn at pop { @n += 1; count by x0 % 4; if x0 == 1 { print x0 } }"]);
            running.accepted(&["remove", "p"]);
        }
    };
    change(2 * rounds());
    let before = running.memory();
    change(10 * rounds());
    let after = running.memory();
    assert!(after < before + 2048, "{before} KiB have become {after} KiB");
    assert_eq!(running.accepted(&["list"]), "there are no probes\n");
}

/// All code goes in one step, and no thread goes on with what it had found before.
#[test]
fn a_probe_that_is_everywhere_comes_and_goes() {
    for tier in TIERS {
        let running = Running::start("everywhere", tier, &["-e", "p: on insn at pop count by tid into @pop"]);
        running.until("all threads run", || running.by_thread("@pop").len() == 8);
        for _ in 0..rounds().div_ceil(3) {
            running.accepted(&["add", "all: on insn count by tid into @all"]);
            running.until("all threads count", || running.by_thread("@all").len() == 8);
            running.accepted(&["remove", "all"]);
            let (all, pop) = (running.by_thread("@all"), running.by_thread("@pop"));
            running.until("all threads go on", || running.by_thread("@pop").iter().all(|(tid, n)| *n > pop[tid] + 100));
            assert_eq!(running.by_thread("@all"), all, "{tier}: it has gone");
            running.accepted(&["reset", "@all"]);
        }
    }
}

#[test]
fn commands_say_what_they_did_and_what_is_wrong() {
    let running = Running::start("says", "auto", &["-e", "fn twice(n) = n * 2", "-e", "a: on insn at pop count"]);
    assert_eq!(running.accepted(&["add", "b: on insn at pop sum twice(2) into @s"]), "added b\n");
    running.until("it fires", || running.accepted(&["print", "@s"]).trim() != "@s: 0");
    assert_eq!(running.accepted(&["disable", "a", "b"]), "disabled a, b\n");
    let sum = running.accepted(&["print", "@s"]);
    assert_eq!(running.accepted(&["print", "@s"]), sum, "a disabled probe does nothing");
    assert_eq!(running.accepted(&["enable", "b"]), "enabled b\n");
    running.until("it fires again", || running.accepted(&["print", "@s"]) != sum);
    let replaced = running.accepted(&["replace", "b", "b: on insn at pop once count into @s2\non begin trace"]);
    assert_eq!(replaced, "replaced b by b, ctl:2:2\n");
    running.until("it is exhausted", || {
        let list = running.accepted(&["list"]);
        list.contains("b        exhausted             1  b: on insn at pop once count into @s2\n")
            && list.contains("a        disabled")
    });
    assert_eq!(running.accepted(&["reset", "@s"]), "reset @s\n");
    assert_eq!(running.accepted(&["print", "@s"]), "@s: 0\n");
    assert!(running.refused(&["add", "on insn at popp trace"]).contains("no symbol named `popp`"));
    assert!(running.refused(&["add", "a: on insn at pop trace"]).contains("E0410"), "the label is taken");
    assert!(running.refused(&["add", "on insn at pop @s = \"text\""]).contains("E04"), "the global has a type");
    assert_eq!(running.refused(&["add", "# nothing"]), "there is no probe in it\n");
    assert!(running.refused(&["remove", "c"]).starts_with("no probe is called `c`"));
    assert!(running.refused(&["print", "@nothing"]).starts_with("there is no `@nothing`; there are: "));
    // What was refused has changed nothing.
    assert_eq!(running.accepted(&["list"]).lines().count(), 3);
    let other = run(spile(&running.folder).env("XDG_RUNTIME_DIR", &running.folder).args(["ctl", "t", "list"]));
    assert_eq!(other.stderr, "spile: no session `t` is running\n  help: running: s\n");
    let names = run(spile(&running.folder).env("XDG_RUNTIME_DIR", &running.folder).arg("ctl"));
    assert_eq!((names.stdout.as_str(), names.status.as_str()), ("s\n", "0"));
    let again = spile(&running.folder)
        .env("XDG_RUNTIME_DIR", &running.folder)
        .args(["run", "--session", "s"])
        .arg(guest("hello"))
        .output()
        .expect("spile starts");
    assert_eq!(again.status.code(), Some(125));
    let mode = |name: &str| std::fs::metadata(running.folder.join(name)).expect("it is there").permissions().mode();
    assert_eq!((mode("spile") & 0o777, mode("spile/s.sock") & 0o777), (0o700, 0o600));
}

/// A name that is said fires once for each time, however many threads there are, and at once in those that run.
#[test]
fn names_that_are_said_fire_marks() {
    for tier in TIERS {
        let running = Running::start("marks", tier, &["-e", "m: on mark glitch, \"tick*\" count by name into @said"]);
        for _ in 0..rounds() {
            assert_eq!(running.accepted(&["emit", "glitch"]), "emitted glitch to 1 probe\n");
        }
        assert_eq!(running.accepted(&["emit", "tick 1"]), "emitted tick 1 to 1 probe\n");
        let width = rounds().to_string().len();
        let expected = format!("@said[name]:\n  {:width$}  glitch\n  {:width$}  tick 1\n", rounds(), 1);
        running.until("all have fired", || running.accepted(&["print", "@said"]) == expected);
        running.accepted(&["add", "w: on mark * { write x20 = x20; print name, func }"]);
        running.accepted(&["emit", "late"]);
        running.until("the new one fires", || running.accepted(&["list"]).contains("w  enabled               1"));
        assert_eq!(running.accepted(&["print", "@said"]), expected, "`late` is not for it");
        running.accepted(&["remove", "w"]);
        let refused = running.refused(&["emit", "glitsch"]);
        assert_eq!(refused, "no probe waits for `glitsch`; did you mean `glitch`?\n");
        running.accepted(&["disable", "m"]);
        assert!(running.refused(&["emit", "glitch"]).starts_with("no probe waits for `glitch`"));
    }
}

/// Samples after a time: of each thread that runs.
#[test]
fn samples_are_taken_after_a_time() {
    for tier in TIERS {
        let running = Running::start("samples", tier, &["-e", "on every 1ms count by tid into @samples"]);
        running.until("all threads are seen", || running.by_thread("@samples").len() == 8);
        let before = running.by_thread("@samples");
        let more = |(tid, count): (&u64, &u64)| running.by_thread("@samples")[tid] > count + 3;
        running.until("they go on", || before.iter().all(more));
    }
}

/// Windows of probes that come later count from then on, in all threads, and are gone with their probes.
#[test]
fn windows_open_and_close_for_all_threads() {
    for tier in TIERS {
        let running = Running::start("windows", tier, &["-e", "on insn at pop count into @n"]);
        running.until("the loop runs", || running.accepted(&["print", "@n"]) != "@n: 0\n");
        for _ in 0..rounds().div_ceil(10) {
            running.accepted(&["add", "open: on insn at pop since pop+4 count by tid into @open"]);
            running.accepted(&["add", "over: on insn at pop since pop+4 until pop+4 count into @over"]);
            running.accepted(&["add", "none: on insn at pop since main count into @none"]);
            let state = |word: &str| running.accepted(&["list"]).contains(word);
            running.until("all threads are in it", || running.by_thread("@open").len() == 8);
            running.until("it is over", || state("over  exhausted"));
            assert!(state("open  enabled") && state("none  not armed"), "{}", running.accepted(&["list"]));
            assert_eq!(running.accepted(&["print", "@none"]), "@none: 0\n", "`main` has begun long ago");
            let over = running.accepted(&["print", "@over"]);
            running.accepted(&["enable", "over"]);
            assert_eq!(running.accepted(&["print", "@over"]), over, "what has closed does not open");
            running.accepted(&["remove", "open", "over", "none"]);
            running.accepted(&["reset", "@open"]);
        }
    }
}

/// A script is read again when a file is saved that it uses, also by way of another one.
#[test]
fn used_files_are_read_again() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("live-used-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    let save = |name: &str, text: &str| {
        std::fs::write(folder.join("new"), text).expect("a script");
        std::fs::rename(folder.join("new"), folder.join(name)).expect("a script");
    };
    save("constants.spile", "const KEY = 1\n");
    save("lib.spile", "use \"constants.spile\"\nfn key(x) = KEY + (x & 0)\nb: on insn at pop count into @library\n");
    save("main.spile", "use \"lib.spile\"\na: on insn at pop count by key(x0) into @keys\n");
    let path = folder.join("main.spile");
    let text = format!("use \"{}\"", folder.join("constants.spile").display());
    let path = path.to_str().expect("a name");
    let running =
        Running::start("used", "auto", &["--watch", "-s", path, "-e", &text, "-e", "c: on mark m count by KEY"]);
    let log = || std::fs::read_to_string(&running.log).unwrap_or_default();
    let keys = |n: u64| running.accepted(&["print", "@keys"]).contains(&format!("  {n:#x}\n"));
    running.until("it fires", || keys(1));
    save("constants.spile", "const KEY = 2\n");
    running.until("it is read", || log().contains("constants.spile has been read again: 2 probes\n"));
    running.until("the new key is used", || keys(2));
    save("constants.spile", "const KEYS = 3\n");
    running
        .until("the error is shown", || log().contains("constants.spile has errors: its probes stay as they were\n"));
    assert!(log().contains("nothing is called `KEY` here"), "{}", log());
    save("lib.spile", "fn key(x) = 4 + (x & 0)\n");
    running.until("both are read", || log().contains("lib.spile has been read again: 1 probe\n"));
    running.until("the new key is used", || keys(4));
    assert!(!running.accepted(&["list"]).contains("@library"), "{}", running.accepted(&["list"]));
    save("main.spile", "use \"constants.spile\"\na: on insn at pop count by KEYS + 2 into @keys\n");
    running.until("it is read", || log().contains("main.spile has been read again: 1 probe\n"));
    running.until("the new key is used", || keys(5));
    let refused = running.refused(&["add", &text]);
    assert_eq!(refused, "there is no probe in it\n");
    let added = running.accepted(&["add", &format!("{text} d: on insn at pop count by KEYS into @added")]);
    assert_eq!(added, "added d\n");
    running.until("it fires", || running.accepted(&["print", "@added"]).contains("  3\n"));
    let _ = std::fs::remove_dir_all(&folder);
}

/// Conditions on calls that come later hold in the calls that begin then, in each thread by itself.
#[test]
fn conditions_on_calls_come_and_go() {
    for tier in TIERS {
        let running = Running::start("calls", tier, &["-e", "on insn at pop count into @n"]);
        running.until("the loop runs", || running.accepted(&["print", "@n"]) != "@n: 0\n");
        for _ in 0..rounds().div_ceil(10) {
            running.accepted(&["add", "inner: on insn at pop+4 during pop count by tid into @in"]);
            running.accepted(&["add", "called: on call pop from stack_worker count by tid into @called"]);
            running.accepted(&["add", "body: on insn at pop+4 from stack_worker count by tid into @body"]);
            running.accepted(&["add", "none: on insn at pop+4 during test_stack count into @none"]);
            running.accepted(&["add", "other: on insn at pop+4 from main count into @other"]);
            for global in ["@in", "@called", "@body"] {
                running.until("all threads are in it", || running.by_thread(global).len() == 8);
            }
            running.accepted(&["disable", "inner"]);
            let before = running.accepted(&["print", "@in"]);
            let bodies = running.by_thread("@body");
            running
                .until("the others go on", || running.by_thread("@body").iter().all(|(tid, n)| *n > bodies[tid] + 3));
            assert_eq!(running.accepted(&["print", "@in"]), before);
            running.accepted(&["replace", "inner", "inner: on insn at pop+4 during main count into @none"]);
            assert_eq!(running.accepted(&["print", "@none"]), "@none: 0\n", "it was entered before");
            assert_eq!(running.accepted(&["print", "@other"]), "@other: 0\n");
            running.accepted(&["remove", "inner", "called", "body", "none", "other"]);
            for global in ["@in", "@called", "@body"] {
                running.accepted(&["reset", global]);
            }
        }
    }
}

#[test]
fn replies_are_json_on_request() {
    let running = Running::start("json", "auto", &["-e", "a: on insn at pop count into @n", "-e", "on mark m trace"]);
    let json = |words: &[&str]| running.accepted(&[&["--json"], words].concat());
    running.until("it fires", || running.accepted(&["print", "@n"]) != "@n: 0\n");
    running.accepted(&["disable", "a"]);
    let list = json(&["list"]);
    assert!(list.starts_with(r#"{"probes":[{"fired":"#) && list.ends_with("],\"type\":\"probes\"}\n"), "{list}");
    assert!(list.contains(r#""name":"a","probe":"a: on insn at pop count into @n","state":"disabled","waiting":0}"#));
    let count = running.accepted(&["print", "@n"]);
    let count = count.trim_end().strip_prefix("@n: ").expect("a number");
    let printed = json(&["print", "@n"]);
    assert!(printed.starts_with(r#"{"type":"map","name":"@n""#) && printed.contains(count), "{printed}");
    assert_eq!(json(&["add", "b: on insn at pop once trace"]), "{\"probes\":[\"b\"],\"type\":\"added\"}\n");
    assert_eq!(json(&["enable", "a"]), "{\"probes\":[\"a\"],\"type\":\"enabled\"}\n");
    assert_eq!(json(&["reset", "@n"]), "{\"global\":\"@n\",\"type\":\"reset\"}\n");
    assert_eq!(json(&["emit", "m"]), "{\"name\":\"m\",\"probes\":1,\"type\":\"emitted\"}\n");
    assert_eq!(json(&["remove", "a", "b"]), "{\"probes\":[\"a\",\"b\"],\"type\":\"removed\"}\n");
    let refused = running.refused(&["--json", "print", "@missing"]);
    assert!(refused.starts_with(r#"{"message":"there is no `@missing`; there are: "#), "{refused}");
}

#[test]
fn saved_scripts_are_read_again_and_broken_ones_are_not_used() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("live-watched-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    let script = folder.join("watched.spile");
    let save = |text: &str| {
        // Editors write a new file and rename it; its time differs.
        std::fs::write(folder.join("new"), text).expect("a script");
        std::fs::rename(folder.join("new"), &script).expect("a script");
    };
    save("a: on insn at pop count into @kept\n");
    let path = script.to_str().expect("a name");
    let running = Running::start("watch", "auto", &["--watch", "-s", path]);
    let log = || std::fs::read_to_string(&running.log).unwrap_or_default();
    running.until("it fires", || running.accepted(&["print", "@kept"]) != "@kept: 0\n");
    save("a: on insn at pop count into @kept\nb: on insn at pop count into @more\n");
    running.until("it is read", || log().contains("watched.spile has been read again: 2 probes\n"));
    running.until("the new one fires", || running.accepted(&["print", "@more"]) != "@more: 0\n");
    save("a: on insn at pop cuont into @kept\n");
    running.until("the error is shown", || log().contains("watched.spile has errors: its probes stay as they were\n"));
    assert!(log().contains("no statement starts with `cuont`"), "{}", log());
    let kept = running.accepted(&["print", "@kept"]);
    running.until("the old ones go on", || running.accepted(&["print", "@kept"]) != kept);
    save("c: on insn at pop count into @kept\n");
    running.until("the last one is there", || running.accepted(&["list"]).starts_with("c  enabled"));
    drop(running);
    let _ = std::fs::remove_dir_all(folder);
}

/// Registers are forced by code that blocks have only once a script names them: those that are there are made anew.
#[test]
fn bits_that_are_stuck_later_are_so_in_code_that_was_there_before() {
    for tier in TIERS {
        let seen = ["-e", "on insn at pop count by x14 & 8 into @seen", "-e", "after insn at pop write x14 = 0"];
        let running = Running::start("sticks", tier, &seen);
        let rows = || running.accepted(&["print", "@seen"]).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        running.until("it runs", || rows().iter().any(|row| row.ends_with('0')));
        running.accepted(&["add", "on insn at pop once per thread { stick x14 bit 3 = 1; count by tid into @stuck }"]);
        running.until("all threads come by", || running.by_thread("@stuck").len() == 8);
        running.accepted(&["reset", "@seen"]);
        running.until("they go on", || !rows().is_empty());
        assert!(rows().iter().all(|row| row.ends_with('8')), "{tier}: {:?}", rows());
    }
}
