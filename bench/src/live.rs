//! How long it takes to add a probe to a running program with many translated blocks, and to remove it again.

use crate::translation::stats;
use crate::{Bench, in_root, scratch, table};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A program that makes more than 10,000 blocks, says so, and goes on working until its input ends.
const PROGRAM: &str = "
import argparse, asyncio, csv, ctypes, decimal, difflib, email, json, logging, random, re, sqlite3, tarfile, unittest, select
print('ready', flush=True)
while not select.select([0], [], [], 0)[0]:
    re.sub('[aeiou]+', str, json.dumps({str(i): random.random() for i in range(200)}))";

/// Probes: of a function that is executed all the time, of all functions of the allocator, and of every instruction.
const PROBES: &[(&str, &str)] = &[
    ("live-one", "on insn at PyDict_GetItem count"),
    ("live-some", "on call \"PyObject_*\" count"),
    ("live-all", "on insn count"),
];

/// Changes for each round.
const OFTEN: usize = 10;

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    PROBES.iter().map(|probe| probe.0).collect()
}

/// Measures what a client of the session's socket waits for.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let Some(root) = bench.root().filter(|_| bench.has_spile) else { return Ok(String::new()) };
    let about = "From when the session has read the request until the change is in effect in all threads, and *answered* until \
                 the client has read the answer, for which it may have to wait for a processor. 95 % of the changes take at \
                 most what that column says. A Python program runs meanwhile. Translated again is what all changes together \
                 have caused.";
    let columns = [
        "probe",
        "blocks",
        "changes",
        "add, ms",
        "95 %",
        "slowest",
        "answered",
        "remove, ms",
        "95 %",
        "slowest",
        "answered",
        "translated again",
    ];
    let mut text = table::begin("Changes while the program runs", about, &columns);
    for (name, probe) in PROBES.iter().filter(|probe| bench.wants(probe.0)) {
        let row = changes(bench, root, probe).map_err(|error| format!("{name}: {error}"))?;
        table::row(&mut text, &row);
        crate::progress(name);
    }
    Ok(text + "\n")
}

/// Ends a program that is still there when something has gone wrong.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn changes(bench: &Bench<'_>, root: &Path, probe: &str) -> Result<Vec<String>, String> {
    let (folder, messages) = (scratch("sessions"), scratch("live-messages"));
    let fails = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&folder).map_err(fails)?;
    let arguments = ["-S", "-c", PROGRAM].map(Into::into);
    let engine = bench.spile(&["--stats", "--json", "--session", "bench"]).ok_or("there is no Spile")?;
    let python = bench.program("usr/bin/python3").ok_or("there is no Python in the root")?;
    let engine = engine.and(&in_root(root, &python, &arguments));
    let mut command = engine.command();
    command.env("XDG_RUNTIME_DIR", &folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(std::fs::File::create(&messages).map_err(fails)?);
    let mut child = Guard(command.spawn().map_err(fails)?);
    let mut out = BufReader::new(child.0.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    out.read_line(&mut line).map_err(fails)?;
    if line != "ready\n" {
        return Err(format!("the program did not begin: {}", std::fs::read_to_string(&messages).unwrap_or_default()));
    }
    let socket = folder.join("spile/bench.sock");
    let (mut adds, mut removes) = (Vec::new(), Vec::new());
    for _ in 0..OFTEN * bench.options.runs.max(1) {
        // Lets the program make blocks and code again in between.
        std::thread::sleep(Duration::from_millis(20));
        let (added, took) = ask(&socket, &["add", probe])?;
        adds.push(took);
        let name = added["probes"][0].as_str().ok_or("the answer names no probe")?.to_owned();
        std::thread::sleep(Duration::from_millis(20));
        removes.push(ask(&socket, &["remove", &name])?.1);
    }
    drop(child.0.stdin.take());
    let mut rest = String::new();
    out.read_to_string(&mut rest).map_err(fails)?;
    let status = child.0.wait().map_err(fails)?;
    let text = std::fs::read_to_string(&messages).map_err(fails)?;
    if !status.success() {
        return Err(format!("the program ended with {status}: {text}"));
    }
    let stats = stats(&text)?;
    let count = |section: &str, key: &str| stats[section][key].to_string();
    let number = adds.len() + removes.len();
    let times = [adds, removes].map(|times| {
        let [effects, answers] = [|took: &Took| took.effect, |took: &Took| took.answer].map(|which| {
            let mut times: Vec<f64> = times.iter().map(which).collect();
            times.sort_by(f64::total_cmp);
            times
        });
        let at = |times: &[f64], share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        [at(&effects, 0.5), at(&effects, 0.95), at(&effects, 1.0), at(&answers, 0.5)].map(|ms| format!("{ms:.3}"))
    });
    let mut row = vec![format!("`{probe}`"), count("memory", "blocks now"), number.to_string()];
    row.extend(times.into_iter().flatten());
    row.push(count("blocks dropped", "probes changed, translated again"));
    Ok(row)
}

/// How long a change took, in milliseconds.
struct Took {
    /// Until it was in effect.
    effect: f64,
    /// Until the answer was there.
    answer: f64,
}

/// Sends a command; returns the record of the answer, and how long it took.
fn ask(socket: &Path, words: &[&str]) -> Result<(Value, Took), String> {
    let fails = |error: std::io::Error| format!("session: {error}");
    let begun = Instant::now();
    let mut stream = UnixStream::connect(socket).map_err(fails)?;
    stream.write_all(format!("{}\n", json!(words)).as_bytes()).map_err(fails)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).map_err(fails)?;
    let answer = begun.elapsed().as_secs_f64() * 1e3;
    let reply: Value = serde_json::from_str(&reply).map_err(|error| format!("session: {error} in {reply}"))?;
    if reply["ok"] != true {
        return Err(reply["text"].to_string());
    }
    let effect = reply["took_ms"].as_f64().ok_or("session: the answer does not say how long it took")?;
    let took = Took { effect, answer };
    let record = serde_json::from_str(reply["json"].as_str().unwrap_or_default());
    record.map(|record| (record, took)).map_err(|error| format!("session: {error}"))
}
