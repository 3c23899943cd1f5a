//! What `--stats`, `--perf-map` and `--jitdump` say of a run.

mod support;

use serde_json::Value;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use support::{TIERS, guest, root, run, spile};

fn spile_run(options: &[&str], program: &[&str]) -> Command {
    let mut command = spile(root());
    command.arg("run").args(options).arg(guest(program[0])).args(&program[1..]);
    command
}

/// The record that `--stats --json` ends with.
fn stats(options: &[&str], program: &[&str]) -> Value {
    let ended = run(&mut spile_run(&[&["--stats", "--json"], options].concat(), program));
    assert_eq!(ended.status, "0", "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    let record: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"));
    assert_eq!(record["type"], "stats");
    assert_eq!(record["program"], program[0]);
    record
}

fn number(record: &Value, section: &str, key: &str) -> u64 {
    record[section][key].as_u64().unwrap_or_else(|| panic!("no `{key}` in {}", record[section]))
}

/// The instructions that a run executes.
fn icount(program: &[&str]) -> u64 {
    let ended = run(&mut spile_run(&["--json", "-e", "on end print icount"], program));
    let line = ended.stderr.lines().find(|line| line.contains("\"print\"")).unwrap_or_default();
    serde_json::from_str::<Value>(line).ok().and_then(|record| record["icount"].as_u64()).expect("a count")
}

#[test]
fn interpreted_instructions_are_those_executed() {
    let record = stats(&["--tier", "interp"], &["fib"]);
    assert_eq!(number(&record, "translation", "single blocks executed, instructions"), icount(&["fib"]));
    assert_eq!(number(&record, "translation", "regions compiled"), 0);
    assert_eq!(number(&record, "control", "generated code entered"), 0);
    assert_eq!(record["time"]["generated code"], 0.0);
    let blocks = number(&record, "translation", "blocks translated");
    assert_eq!(number(&record, "memory", "blocks now"), blocks);
    assert!(blocks > 5 && number(&record, "translation", "blocks translated, instructions") > blocks);
}

#[test]
fn what_is_compiled_at_first_sight_is_not_interpreted() {
    let record = stats(&["--tier", "jit"], &["fib"]);
    let regions = number(&record, "translation", "regions compiled");
    assert!(regions > 0 && number(&record, "memory", "regions now") == regions);
    assert!(
        number(&record, "memory", "host code now") >= number(&record, "translation", "regions compiled, instructions")
    );
    assert!(number(&record, "translation", "single blocks executed, instructions") < icount(&["fib"]) / 10);
    assert!(record["time"]["generated code"].as_f64() > Some(0.0));
    // Each entry ends in one of the ways.
    let ways = ["direct branch", "indirect jump", "indirect call", "return", "slow exit", "left-out probe"];
    let left: u64 = ways.iter().map(|way| number(&record, "control", &format!("left by {way}"))).sum();
    assert_eq!(left, number(&record, "control", "generated code entered"));
}

#[test]
fn blocks_are_quick_before_there_are_regions() {
    let record = stats(&["--tier", "quick"], &["fib"]);
    let quick = number(&record, "translation", "blocks made quick");
    assert!(quick > 5 && number(&record, "translation", "regions compiled") == 0);
    // A block that quick code leaves for the interpreter counts there once more.
    let executed = number(&record, "translation", "single blocks executed, instructions");
    assert!((icount(&["fib"])..icount(&["fib"]) + 1000).contains(&executed), "{executed}");
    // Probes that count and decide are in it, those that always do something else are not.
    let made = |probe| {
        number(
            &stats(&["--tier", "quick", "-o", "/dev/null", "-e", probe], &["fib"]),
            "translation",
            "blocks made quick",
        )
    };
    assert_eq!(made("on insn count"), quick);
    assert_eq!(made("on insn when x0 == 12345678 print x0"), quick);
    assert_eq!(made("on insn print x0"), quick);
    assert_eq!(made("on insn print hex(x0)"), 0);
    // What is executed once or twice is not worth it, and what is hot is worth more.
    let record = stats(&["--deterministic"], &["fib"]);
    let some = number(&record, "translation", "blocks made quick");
    assert!(some > 0 && some < quick && number(&record, "translation", "regions compiled") > 0);
    assert!(number(&record, "translation", "single blocks executed, instructions") < icount(&["fib"]) / 2);
}

#[test]
fn activities_are_all_of_the_time() {
    for tier in TIERS {
        let record = stats(&["--tier", tier, "-e", "on insn at fib print hex(x0)", "-o", "/dev/null"], &["fib"]);
        let time = record["time"].as_object().expect("a section");
        let of = |name: &str| time[name].as_f64().expect("a number");
        let names = time.keys().filter(|name| !["elapsed", "compiling, beside it too"].contains(&name.as_str()));
        let sum: f64 = names.map(|name| of(name)).sum();
        assert!(sum <= of("elapsed") && sum > 0.8 * of("elapsed"), "{tier}: {record}");
        assert!(of("probes") > 0.0 && number(&record, "control", "actions of probes") >= 21_891, "{tier}: {record}");
    }
}

#[test]
fn what_is_printed_is_left_as_records() {
    for tier in TIERS {
        let numbers = |probe: &str| {
            let record = stats(&["--tier", tier, "-e", probe, "-o", "/dev/null"], &["fib"]);
            ["records of probes", "actions of probes"].map(|name| number(&record, "control", name))
        };
        for probe in ["on insn at fib print x0, \"and\", pc", "on insn at fib print \"{x0} of {sp:x}\""] {
            let [records, actions] = numbers(probe);
            assert!(records + actions >= 21_891 && actions < 100, "{tier}, {probe}: {records} and {actions}");
        }
        // Texts of the firing, the guest's memory and globals are others later.
        for value in ["hex(x0)", "\"{sp:str}\"", "@m"] {
            let [records, actions] = numbers(&format!("on insn at fib {{ @m[1] += 1; print {value} }}"));
            assert!(records == 0 && actions >= 21_891, "{tier}, {value}: {records} and {actions}");
        }
    }
}

#[test]
fn translating_again_has_its_cause() {
    let again = |record: &Value, cause: &str| number(record, "blocks dropped", &format!("{cause}, translated again"));
    let written = stats(&["--tier", "interp"], &["selfmod"]);
    assert!(again(&written, "written or unmapped") > 0 && again(&written, "probes changed") == 0, "{written}");
    // The probe is gone after its only hit, and with it the block that it stood in.
    let exhausted = stats(&["--tier", "interp", "-q", "-e", "on insn at fib hit 3 @n = x0"], &["fib"]);
    assert_eq!(number(&exhausted, "blocks dropped", "probes changed"), 1, "{exhausted}");
    assert_eq!(again(&exhausted, "probes changed"), 1, "{exhausted}");
    assert_eq!(again(&exhausted, "written or unmapped"), 0, "{exhausted}");
    // One that was everywhere takes all blocks with it, of which some are executed no more. What they were is not lost.
    for tier in TIERS {
        let all = stats(&["--tier", tier, "-q", "-e", "on insn hit 50000 @n = x0"], &["fib"]);
        let (dropped, now) = (number(&all, "blocks dropped", "probes changed"), number(&all, "memory", "blocks now"));
        assert_eq!(number(&all, "translation", "blocks translated"), dropped + now, "{tier}: {all}");
        let anew = again(&all, "probes changed");
        assert!(0 < anew && anew <= now && anew < dropped, "{tier}: {all}");
        let executed = number(&all, "translation", "single blocks executed, instructions");
        // The rest of the block in which it went counts once more.
        assert!(tier != "interp" || (0..64).contains(&(executed - icount(&["fib"]))), "{all}");
    }
}

#[test]
fn blocks_are_compiled_once_or_little_more() {
    for program in [&["calls"][..], &["fib"], &["sieve"], &["memory"]] {
        let record = stats(&["--deterministic"], program);
        let (all, different) = (
            number(&record, "translation", "regions compiled, blocks"),
            number(&record, "memory", "regions now, different blocks"),
        );
        assert!(all <= 2 * different, "{record}");
    }
}

#[test]
fn threads_are_added_up() {
    let record = stats(&[], &["threads", "stack", "2000"]);
    assert!(number(&record, "memory", "threads") > 2, "{record}");
    assert!(number(&record, "control", "system calls") > number(&record, "memory", "threads"), "{record}");
}

#[test]
fn the_table_is_no_output_of_the_guest() {
    let plain = run(&mut spile_run(&[], &["fib"]));
    let with = run(&mut spile_run(&["--stats"], &["fib"]));
    assert_eq!((&with.stdout, &with.status), (&plain.stdout, &plain.status));
    assert!(with.stderr.starts_with("spile: statistics of fib, process "), "{}", with.stderr);
    assert!(with.stderr.lines().any(|line| line.starts_with("    blocks translated ")), "{}", with.stderr);
}

/// Runs a program and returns the map that it leaves, with the standard output.
fn perf_map(options: &[&str], program: &[&str]) -> (Vec<(Range<u64>, String)>, String) {
    // `sh` tells the number of its process, which goes on as that of `spile`.
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$; exec \"$@\"", "sh"]);
    let inner = spile_run(&[&["--perf-map"], options].concat(), program);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear().current_dir(root());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let ended = run(&mut command);
    let (process, printed) = ended.stdout.split_once('\n').expect("the number of the process");
    let path = format!("/tmp/perf-{process}.map");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}; {}", ended.stderr));
    std::fs::remove_file(&path).expect("the map can be removed");
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let mut hex = || u64::from_str_radix(words.next().unwrap_or_default(), 16).expect("a hexadecimal number");
        let (start, size) = (hex(), hex());
        (start..start + size, words.next().expect("a name").to_owned())
    };
    (text.lines().map(line).collect(), printed.to_owned())
}

#[test]
fn the_map_for_perf_names_the_guests_functions() {
    let (mut map, printed) = perf_map(&["--tier", "jit"], &["calls"]);
    assert_eq!(printed, "result 150015066\n");
    for name in ["hot (calls)", "work (calls)", "cold (calls)", "spile: trampoline"] {
        assert!(
            map.iter().any(|(_, found)| found == name || found.starts_with(&name.replace(" (", "+"))),
            "{name}: {map:?}"
        );
    }
    map.sort_by_key(|(code, _)| code.start);
    assert!(map.iter().all(|(code, _)| code.start > 0 && !code.is_empty()), "{map:?}");
    // Nothing is dropped in this run, so that no address is used twice.
    assert!(map.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start), "{map:?}");
}

#[test]
fn a_link_in_the_place_of_the_map_is_not_followed() {
    let victim = Path::new(env!("CARGO_TARGET_TMPDIR")).join("victim-of-perf-map");
    std::fs::write(&victim, "untouched").expect("a scratch file");
    let mut command = Command::new("sh");
    let script = "ln -s \"$0\" /tmp/perf-$$.map; echo $$; exec \"$@\"";
    command.args(["-c", script]).arg(&victim);
    let inner = spile_run(&["--perf-map"], &["fib"]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(root());
    let ended = run(&mut command);
    assert_eq!(ended.status, "0", "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&victim).expect("the file"), "untouched");
    let process = ended.stdout.lines().next().unwrap_or_default();
    let path = format!("/tmp/perf-{process}.map");
    assert!(std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file()));
    std::fs::remove_file(path).expect("the map can be removed");
}

/// A piece of code in a dump.
struct Piece {
    process: u32,
    address: u64,
    code: Vec<u8>,
    name: String,
}

/// Numbers of the host's byte order, one behind the other.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    fn word(&mut self) -> u32 {
        u32::from_ne_bytes(self.bytes(4).try_into().expect("four bytes"))
    }

    fn long(&mut self) -> u64 {
        u64::from_ne_bytes(self.bytes(8).try_into().expect("eight bytes"))
    }
}

/// Reads a dump as `tools/perf/Documentation/jitdump-specification.txt` in the kernel's sources describes it. The process
/// is that of its header.
fn read_dump(bytes: &[u8]) -> (u32, Vec<Piece>) {
    let mut file = Numbers(bytes);
    let header = [file.word(), file.word(), file.word(), file.word(), file.word()];
    assert_eq!(header, [0x4a69_5444, 1, 40, 62, 0], "JiTD, version 1, 40 bytes, x86-64");
    let process = file.word();
    let (mut time, flags) = (file.long(), file.long());
    assert!(time > 0 && flags == 0);
    let mut pieces = Vec::new();
    let mut is_closed = false;
    while !file.0.is_empty() {
        assert!(!is_closed, "nothing stands behind the end");
        let (kind, len, now) = (file.word(), file.word(), file.long());
        assert!(now >= time, "records are in the order of time");
        time = now;
        let mut record = Numbers(file.bytes(len as usize - 16));
        is_closed = kind == 3;
        if is_closed {
            assert!(record.0.is_empty());
            continue;
        }
        assert_eq!(kind, 0);
        let (process, thread) = (record.word(), record.word());
        let (address, made_for, size, number) = (record.long(), record.long(), record.long(), record.long());
        assert!(thread > 0 && address == made_for && number == pieces.len() as u64);
        let end = record.0.iter().position(|&byte| byte == 0).expect("names end");
        let name = String::from_utf8(record.bytes(end).to_vec()).expect("names are UTF-8");
        record.bytes(1);
        assert_eq!(record.0.len() as u64, size);
        pieces.push(Piece { process, address, code: record.0.to_vec(), name });
    }
    assert!(is_closed, "the end is said");
    (process, pieces)
}

/// Runs a program and returns the dumps that it leaves.
fn dumps(name: &str, options: &[&str], program: &[&str]) -> Vec<(u32, Vec<Piece>)> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a scratch folder");
    let ended = run(&mut spile_run(&[&["--jitdump", folder.to_str().expect("text")], options].concat(), program));
    assert_eq!(ended.status, "0", "{}", ended.stderr);
    let files = std::fs::read_dir(&folder).expect("the folder").map(|file| file.expect("a file").path());
    let read = |path: std::path::PathBuf| {
        let (process, pieces) = read_dump(&std::fs::read(&path).expect("a dump"));
        assert_eq!(path, folder.join(format!("jit-{process}.dump")));
        assert!(pieces.iter().all(|piece| piece.process == process));
        (process, pieces)
    };
    files.map(read).collect()
}

#[test]
fn the_dump_for_perf_has_the_code_of_the_guests_functions() {
    let dumps = dumps("jitdump", &["--tier", "jit"], &["calls"]);
    let [(_, pieces)] = &dumps[..] else { panic!("{} dumps", dumps.len()) };
    for name in ["hot (calls)", "work (calls)", "cold (calls)", "spile: trampoline"] {
        let inside = name.replace(" (", "+");
        assert!(pieces.iter().any(|piece| piece.name == name || piece.name.starts_with(&inside)), "{name}");
    }
    for piece in pieces {
        assert!(piece.address > 0 && !piece.code.is_empty(), "{}", piece.name);
        // Host code ends with a return, a jump, or the words that it loads; it is no piece of empty memory.
        assert!(piece.code.iter().any(|&byte| byte != 0), "{}", piece.name);
    }
    let mut places: Vec<_> =
        pieces.iter().map(|piece| piece.address..piece.address + piece.code.len() as u64).collect();
    places.sort_by_key(|place| place.start);
    assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start), "nothing is dropped in this run");
}

#[test]
fn forked_processes_have_dumps_of_their_own() {
    let dumps = dumps("jitdump-forked", &["--tier", "jit", "--deterministic"], &["turns"]);
    assert_eq!(dumps.len(), 4, "it forks three times");
    assert!(dumps.iter().all(|(_, pieces)| pieces.len() > 3));
}

#[test]
fn a_dump_that_cannot_be_written_is_an_error() {
    let ended = run(&mut spile_run(&["--jitdump", "/nowhere"], &["calls"]));
    assert_eq!(ended.status, "125");
    assert!(ended.stderr.contains("cannot write /nowhere/jit-"), "{}", ended.stderr);
}
