//! What is timed of start-up: real programs that do next to nothing.

use crate::measure::Sample;
use crate::{Bench, in_root, table};
use std::ffi::OsString;

/// Programs, below the root, with their arguments, by the command as one would type it.
const PROGRAMS: &[(&str, &str, &[&str])] = &[
    ("busybox true", "bin/busybox", &["true"]),
    ("bash -c :", "bin/bash", &["-c", ":"]),
    ("perl -e 1", "usr/bin/perl", &["-e", "1"]),
    ("python3 -S -c pass", "usr/bin/python3", &["-S", "-c", "pass"]),
    ("python3 -c pass", "usr/bin/python3", &["-c", "pass"]),
];

/// Runs for each round of longer cases.
const OFTEN: usize = 3;

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    PROGRAMS.iter().map(|program| program.0).collect()
}

/// Times the programs under QEMU, in two tiers of Spile, and with its translation cache on disk.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let Some(root) = bench.root() else { return Ok(String::new()) };
    let tier = &bench.options.tier;
    let (auto, interp) = (format!("{tier} / QEMU"), "interp / QEMU");
    let about = "Real programs that do next to nothing: Debian's packages, dynamically linked but for busybox. \
                 *Cached* is with the translation cache on disk, after some runs that have filled it.";
    let columns = [
        "command",
        "QEMU, s",
        &auto,
        "by the best runs",
        interp,
        "cached / QEMU",
        "by the best runs",
        "spread",
        "Spile, MiB",
        "cached, MiB",
        "QEMU, MiB",
    ];
    let mut text = table::begin("Start-up", about, &columns);
    for &(name, program, arguments) in PROGRAMS.iter().filter(|program| bench.wants(program.0)) {
        let Some(program) = bench.program(program) else { continue };
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let command = in_root(root, &program, &arguments);
        let engines = [bench.qemu(), bench.spile(&[]), bench.spile_in("interp", &[])];
        let engines = engines.map(|engine| engine.map(|engine| engine.and(&command)));
        let [qemu, spile, interp] = &engines;
        let samples = bench.time_often(name, &[qemu, spile, interp, &bench.spile_cached(&command)?], OFTEN)?;
        bench.draw("startup", name, table::medians(&samples, 0, 1));
        let best =
            |engine| table::ratio(table::of(&samples, engine, Sample::best), table::of(&samples, 0, Sample::best));
        let mut cells = vec![format!("`{name}`"), table::seconds(table::of(&samples, 0, Sample::median))];
        let ratio = |engine| table::medians(&samples, engine, 0);
        cells.extend([ratio(1), best(1), ratio(2), ratio(3), best(3)].map(table::times));
        cells.push(table::spread(&samples));
        cells.extend([1, 3, 0].map(|engine| table::memory(&samples, engine)));
        table::row(&mut text, &cells);
    }
    Ok(text + "\n")
}
