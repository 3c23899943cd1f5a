//! The translation cache on disk: a run that begins with what earlier ones have compiled does what they did, whatever has
//! happened to the cache meanwhile.

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Ended, guest, run, spile};

/// Guests that do much different, with arguments: calls, floating point, signals, threads, code that changes itself,
/// libraries, programs that they execute.
const GUESTS: [(&str, &[&str]); 12] = [
    ("fib", &[]),
    ("sieve", &[]),
    ("calls", &[]),
    ("memory", &[]),
    ("results", &[]),
    ("signals", &[]),
    ("threads", &[]),
    ("selfmod", &[]),
    ("ciphers", &[]),
    ("unwind", &[]),
    ("riscv64/fib", &[]),
    ("riscv64/results", &[]),
];

/// A folder for a cache, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cache-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch folder");
        Scratch(path)
    }

    /// `spile` with its cache here.
    fn spile(&self, words: &[&str]) -> Command {
        let mut command = spile(&self.0);
        command.env("XDG_CACHE_HOME", &self.0).args(words);
        command
    }

    /// `spile run` in the tier that compiles everything at first sight, so that all that is executed is kept.
    fn run(&self, options: &[&str], program: &Path) -> Command {
        let mut command = self.spile(&["run", "--tier", "jit"]);
        command.args(options).arg(program);
        command
    }

    /// The files of the cache.
    fn stores(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.join("spile")).into_iter().flatten();
        entries.map(|entry| entry.expect("a folder entry").path()).collect()
    }

    /// The only one.
    fn store(&self) -> PathBuf {
        let stores = self.stores();
        assert_eq!(stores.len(), 1, "{stores:?}");
        stores[0].clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A number of `--stats`, and what the run printed beside these.
fn counted(scratch: &Scratch, options: &[&str], program: &Path, names: [&str; 2]) -> ([u64; 2], Ended) {
    let options = [&["--stats", "--json"], options].concat();
    let mut ended = run(&mut scratch.run(&options, program));
    let is_stats = |line: &&str| line.starts_with("{") && line.contains("\"type\":\"stats\"");
    let line = ended.stderr.lines().find(is_stats).unwrap_or_else(|| panic!("no statistics: {}", ended.stderr));
    let stats: serde_json::Value = serde_json::from_str(line).expect("statistics are JSON");
    let numbers =
        names.map(|name| stats["translation"][name].as_u64().unwrap_or_else(|| panic!("no `{name}`: {line}")));
    ended.stderr = ended.stderr.lines().filter(|line| !is_stats(line)).map(|line| format!("{line}\n")).collect();
    (numbers, ended)
}

const REGIONS: [&str; 2] = ["regions compiled", "regions of earlier runs"];

#[test]
fn a_run_with_a_cache_does_what_one_without_does() {
    for tier in ["jit", "auto"] {
        let scratch = Scratch::new(tier);
        for (name, arguments) in GUESTS {
            let with = |options: &[&str]| {
                run(scratch.spile(&["run", "--tier", tier]).args(options).arg(guest(name)).args(arguments))
            };
            let without = with(&["--no-cache"]);
            for round in 1..=3 {
                assert_eq!(with(&[]), without, "{name} in tier {tier}, run {round}");
            }
        }
        let stores = scratch.stores().len();
        assert!(stores >= GUESTS.len(), "each program has a store: {stores}");
    }
}

#[test]
fn the_second_run_compiles_nothing() {
    let scratch = Scratch::new("second");
    for name in ["fib", "ciphers", "riscv64/fib"] {
        let ([compiled, recalled], _) = counted(&scratch, &[], &guest(name), REGIONS);
        assert!(compiled > 0 && recalled == 0, "{name}: {compiled} compiled, {recalled} recalled");
        let ([compiled, recalled], _) = counted(&scratch, &[], &guest(name), REGIONS);
        assert!(compiled == 0 && recalled > 0, "{name} again: {compiled} compiled, {recalled} recalled");
    }
}

#[test]
fn probes_find_all_that_they_find_without() {
    let scratch = Scratch::new("probes");
    run(&mut scratch.run(&[], &guest("calls")));
    let scripts = [
        "on insn count",
        "on call * count by func into @f",
        "on write count by size into @w",
        "on insn \"add*\" in main count",
        "on exit of main print retval",
    ];
    for script in scripts {
        let without = run(&mut scratch.run(&["--no-cache", "-e", script], &guest("calls")));
        for round in 1..=2 {
            assert_eq!(run(&mut scratch.run(&["-e", script], &guest("calls"))), without, "{script}, run {round}");
        }
    }
    // What has no probes is recalled beside what has.
    let ([_, recalled], _) = counted(&scratch, &["-e", "on insn in main count"], &guest("calls"), REGIONS);
    assert!(recalled > 0);
}

#[test]
fn another_program_at_the_same_path_is_not_taken_for_the_old_one() {
    let scratch = Scratch::new("replaced");
    let program = scratch.0.join("program");
    let put = |name: &str| {
        let _ = std::fs::remove_file(&program);
        std::fs::copy(guest(name), &program).expect("a copy of a guest");
        run(&mut scratch.run(&[], &program))
    };
    let (fib, sieve) = (put("fib"), put("sieve"));
    let bare = |name| run(&mut scratch.run(&["--no-cache"], &guest(name)));
    assert_eq!((&fib, &sieve), (&bare("fib"), &bare("sieve")));
    assert_eq!((put("fib"), put("sieve")), (fib, sieve));
    let _ = scratch.store();
}

#[test]
fn a_damaged_cache_is_no_harm() {
    let scratch = Scratch::new("damaged");
    let program = guest("fib");
    let whole = run(&mut scratch.run(&[], &program));
    let store = scratch.store();
    let bytes = std::fs::read(&store).expect("a store");
    // Where bytes are changed, cut off or put in: at the beginning, and all over the rest.
    let places = (0..64).chain((1..60).map(|part| bytes.len() * part / 60));
    for at in places {
        let (mut changed, mut longer) = (bytes.clone(), bytes.clone());
        changed[at] ^= 0x5a;
        longer.splice(at..at, *b"\xf5spile\r\n\x01");
        for (what, damaged) in [("changed", &changed[..]), ("cut off", &bytes[..at]), ("longer", &longer)] {
            // In its place: a new file would be taken for what it is, too.
            std::fs::write(&store, damaged).expect("a store can be written");
            assert_eq!(run(&mut scratch.run(&[], &program)), whole, "{what} at {at}");
        }
    }
    std::fs::write(&store, &bytes[..bytes.len() - 7]).expect("a store can be written");
    let ([compiled, recalled], _) = counted(&scratch, &[], &program, REGIONS);
    assert!(compiled > 0 && recalled > 0, "what is whole is used: {compiled} compiled, {recalled} recalled");
    let ([compiled, _], _) = counted(&scratch, &[], &program, REGIONS);
    assert_eq!(compiled, 0, "what comes behind damage is found");
}

#[test]
fn runs_at_the_same_time_share_a_cache() {
    let scratch = Scratch::new("shared");
    let program = guest("calls");
    let alone = run(&mut scratch.run(&["--no-cache"], &program));
    for round in 0..3 {
        let start = |_| {
            let mut command = scratch.run(&[], &program);
            std::thread::spawn(move || run(&mut command))
        };
        let running: Vec<_> = (0..8).map(start).collect();
        for thread in running {
            assert_eq!(thread.join().expect("a run"), alone, "round {round}");
        }
    }
    let ([compiled, _], _) = counted(&scratch, &[], &program, REGIONS);
    assert_eq!(compiled, 0);
}

#[test]
fn what_others_can_write_is_not_used() {
    let program = guest("fib");
    let says = |scratch: &Scratch| run(&mut scratch.run(&["--verbose"], &program)).stderr;
    let scratch = Scratch::new("others");
    assert_eq!(says(&scratch), "");
    let folder = scratch.0.join("spile");
    let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode");
    let why = "it is not yours alone, or you may not write there";

    set(&scratch.store(), 0o666);
    assert_eq!(says(&scratch), format!("spile: no translation cache in {}: {why}\n", folder.display()));
    set(&scratch.store(), 0o600);
    assert_eq!(says(&scratch), "");

    set(&folder, 0o777);
    assert_eq!(says(&scratch), format!("spile: no translation cache in {}: {why}\n", folder.display()));
    let stat = run(&mut scratch.spile(&["cache", "stat"]));
    assert_eq!(stat.stderr, format!("spile: cannot look into {}: {why}\n", folder.display()));
    assert_eq!(stat.status, "125");
    set(&folder, 0o700);

    let store = scratch.store();
    let elsewhere = scratch.0.join("elsewhere");
    std::fs::rename(&store, &elsewhere).expect("a store can be moved");
    symlink(&elsewhere, &store).expect("a link");
    assert!(says(&scratch).starts_with("spile: no translation cache in "), "a link is not followed");
}

#[test]
fn without_room_a_run_goes_on() {
    let scratch = Scratch::new("room");
    let program = guest("fib");
    let whole = run(&mut scratch.run(&["--no-cache"], &program));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_spile"), "run", "--tier", "jit"]);
    command.arg(&program).current_dir(&scratch.0).env_clear().env("XDG_CACHE_HOME", &scratch.0);
    assert_eq!(run(&mut command), whole);
    let file = scratch.0.join("file");
    std::fs::write(&file, "").expect("a file");
    for place in ["/dev/null", "/proc", &file.display().to_string(), "relative", ""] {
        let mut command = scratch.run(&[], &program);
        assert_eq!(run(command.env("XDG_CACHE_HOME", place)), whole, "{place}");
    }
}

#[test]
fn programs_that_a_guest_executes_use_the_same_cache() {
    let scratch = Scratch::new("executed");
    let execute = || run(scratch.spile(&["run", "--tier", "jit"]).arg(guest("exec")).arg(guest("hello")));
    let first = execute();
    assert_eq!(execute(), first);
    let names: Vec<String> = scratch.stores().iter().map(|path| path.display().to_string()).collect();
    assert!(names.iter().any(|name| name.contains("/hello-")), "{names:?}");
}

#[test]
fn it_is_shown_and_cleared() {
    let scratch = Scratch::new("stat");
    let folder = scratch.0.join("spile").display().to_string();
    let stat = || run(&mut scratch.spile(&["cache", "stat"])).stdout;
    assert_eq!(stat(), format!("{folder}: 0 files, 0.0 MiB of 512.0 MiB\n"));
    run(&mut scratch.run(&[], &guest("ciphers")));
    let text = stat();
    let (first, second) = text.split_once('\n').expect("two lines");
    assert!(first.starts_with(&format!("{folder}: 1 file, ")), "{text}");
    assert!(second.ends_with(&format!("MiB  {}\n", guest("ciphers").display())), "{text}");
    let records = run(&mut scratch.spile(&["cache", "stat", "--json"])).stdout;
    let records: Vec<serde_json::Value> =
        records.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(records[1]["program"], guest("ciphers").display().to_string());
    assert_eq!(records[0]["bytes"], records[1]["bytes"]);
    let cleared = run(&mut scratch.spile(&["cache", "clear"])).stdout;
    assert!(cleared.starts_with("removed 1 file, ") && cleared.ends_with(&format!(" from {folder}\n")), "{cleared}");
    assert!(scratch.stores().is_empty());
    let nowhere = run(spile(&scratch.0).args(["cache", "stat"]));
    let why = "there is no translation cache: neither XDG_CACHE_HOME nor HOME is an absolute path";
    assert_eq!((nowhere.stderr, nowhere.status), (format!("spile: {why}\n"), "125".to_owned()));
}
