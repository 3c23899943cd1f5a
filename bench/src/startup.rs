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

/// Times the programs under QEMU and in two tiers of Spile.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let Some(root) = bench.root() else { return Ok(String::new()) };
    let tier = &bench.options.tier;
    let (auto, interp) = (format!("{tier} / QEMU"), "interp / QEMU");
    let about = "Real programs that do next to nothing: Debian's packages, dynamically linked but for busybox.";
    let columns = ["command", "QEMU, s", &auto, "by the best runs", interp, "spread", "Spile, MiB", "QEMU, MiB"];
    let mut text = table::begin("Start-up", about, &columns);
    for &(name, program, arguments) in PROGRAMS.iter().filter(|program| bench.wants(program.0)) {
        let Some(program) = bench.program(program) else { continue };
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let command = in_root(root, &program, &arguments);
        let engines = [bench.qemu(), bench.spile(&[]), bench.spile_in("interp", &[])];
        let engines = engines.map(|engine| engine.map(|engine| engine.and(&command)));
        let [qemu, spile, interp] = &engines;
        let samples = bench.time_often(name, &[qemu, spile, interp], OFTEN)?;
        bench.draw("startup", name, table::medians(&samples, 0, 1));
        let best = table::ratio(table::of(&samples, 1, Sample::best), table::of(&samples, 0, Sample::best));
        let mut cells = vec![format!("`{name}`"), table::seconds(table::of(&samples, 0, Sample::median))];
        cells.extend([table::medians(&samples, 1, 0), best, table::medians(&samples, 2, 0)].map(table::times));
        cells.extend([table::spread(&samples), table::memory(&samples, 1), table::memory(&samples, 0)]);
        table::row(&mut text, &cells);
    }
    Ok(text + "\n")
}
