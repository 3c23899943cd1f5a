//! What translating and compiling cost for each guest instruction, out of `spile run --stats`.

use crate::measure::Engine;
use crate::{Bench, in_root, table};
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;

/// Programs below the root that execute much code a few times each.
const PROGRAMS: &[(&str, &str, &[&str])] = &[
    ("translate-bash", "bin/bash", &["-c", ":"]),
    ("translate-perl", "usr/bin/perl", &["-e", "use strict; print 1"]),
    ("translate-python", "usr/bin/python3", &["-S", "-c", "import json, argparse, random"]),
];

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    PROGRAMS.iter().map(|program| program.0).collect()
}

/// Has Spile count what it translates. The clock is read around each block, which is in the times.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let Some(root) = bench.root() else { return Ok(String::new()) };
    let about = "By `spile run --stats`, which reads the clock around each block; best of the runs.";
    let columns = [
        "case",
        "blocks",
        "instructions",
        "translating one, ns",
        "regions",
        "instructions compiled",
        "compiling one, µs",
    ];
    let mut text = table::begin("Translation", about, &columns);
    for &(name, program, arguments) in PROGRAMS.iter().filter(|program| bench.wants(program.0)) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let (Some(spile), Some(program)) = (bench.spile(&["--stats", "--json"]), bench.program(program)) else {
            continue;
        };
        let row = measured(&spile, root, &program, &arguments, bench.options.runs)?;
        table::row(&mut text, &[&[name.to_owned()], &row[..]].concat());
        crate::progress(name);
    }
    Ok(text + "\n")
}

fn measured(
    spile: &Engine,
    root: &Path,
    program: &Path,
    arguments: &[OsString],
    runs: usize,
) -> Result<Vec<String>, String> {
    let engine = spile.clone().and(&in_root(root, program, arguments));
    let all = (0..runs.max(1)).map(|_| stats(&engine.messages()?)).collect::<Result<Vec<_>, String>>()?;
    let number = |section: &str, key: &str| {
        let values = all.iter().map(|stats| stats[section][key].as_f64());
        let best = values.collect::<Option<Vec<f64>>>().and_then(|values| values.into_iter().reduce(f64::min));
        best.ok_or_else(|| format!("no `{key}` in `{section}` of --stats"))
    };
    let translated = number("translation", "blocks translated, instructions")?;
    let compiled = number("translation", "regions compiled, instructions")?;
    let each =
        |total: f64, of: f64, unit: f64| if of > 0.0 { format!("{:.1}", total * unit / of) } else { "–".into() };
    Ok(vec![
        number("translation", "blocks translated")?.to_string(),
        translated.to_string(),
        each(number("time", "translating")?, translated, 1e9),
        number("translation", "regions compiled")?.to_string(),
        compiled.to_string(),
        each(number("time", "compiling, beside it too")?, compiled, 1e6),
    ])
}

/// The record of `--stats --json` in what Spile has written.
pub(crate) fn stats(messages: &str) -> Result<Value, String> {
    let records = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.rev().find(|record| record["type"] == "stats").ok_or_else(|| format!("no statistics in: {messages}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_found_among_others() {
        let record =
            stats("text\n{\"type\":\"diagnostic\"}\n{\"type\":\"stats\",\"time\":{\"elapsed\":1.5}}\n").unwrap();
        assert_eq!(record["time"]["elapsed"], 1.5);
        assert!(stats("{\"type\":\"diagnostic\"}").is_err());
    }
}
