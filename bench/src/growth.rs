//! How time and memory grow: with ten and a hundred times the work, and with the threads of the guest.

use crate::kernels::{self, KERNELS};
use crate::measure::{Engine, Sample, Samples};
use crate::programs::{self, PROGRAMS};
use crate::{Bench, in_root, table};
use std::ffi::OsString;
use std::path::Path;

/// Cases of which the growth is shown: kernels and programs.
const CASES: &[&str] = &["fib", "sha", "lua", "sqlite", "python", "gzip"];

/// The work of a row: what it is called, and the part of the usual work.
const WORK: [(&str, f64); 3] = [("1x", 0.02), ("10x", 0.2), ("100x", 2.0)];

/// Numbers of guest threads.
const THREADS: [&str; 4] = ["1", "2", "4", "8"];

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    CASES.to_vec()
}

/// Times cases with more and more work.
pub(crate) fn run_work(bench: &Bench<'_>) -> Result<String, String> {
    let about = "The work is multiplied; 50x is about that of the tables above.";
    let columns = ["case", "work", "Spile, s", "QEMU, s", "QEMU / Spile", "spread", "Spile, MiB", "QEMU, MiB"];
    let mut text = table::begin("Growth with work", about, &columns);
    for name in CASES.iter().filter(|name| bench.wants(name)) {
        for (work, part) in WORK {
            let Some([spile, qemu]) = engines(bench, name, bench.options.scale * part)? else { continue };
            let samples = bench.time(&format!("{name}, {work}"), &[&spile, &qemu])?;
            let mut cells = vec![(*name).to_owned(), work.to_owned()];
            cells.extend([0, 1].map(|index| table::seconds(table::of(&samples, index, Sample::median))));
            cells.extend([table::times(table::medians(&samples, 1, 0)), table::spread(&samples)]);
            cells.extend([table::memory(&samples, 0), table::memory(&samples, 1)]);
            table::row(&mut text, &cells);
        }
    }
    Ok(text + "\n")
}

/// A case under Spile and under QEMU. `None` if its program is not there.
fn engines(bench: &Bench<'_>, name: &str, scale: f64) -> Result<Option<[Option<Engine>; 2]>, String> {
    if let Some(kernel) = KERNELS.iter().find(|kernel| kernel.name == name) {
        return Ok(Some([bench.spile(&[]), bench.qemu()].map(|engine| kernel.under(bench, engine, scale))));
    }
    let program = PROGRAMS.iter().find(|program| program.name == name);
    let engines = program.map(|program| program.engines(bench, scale)).transpose()?.flatten();
    Ok(engines.map(|[_, spile, qemu]| [spile, qemu]))
}

/// The kernel that threads share the work of: they have nothing else in common.
const SHARED_KERNEL: &str = "sha";

/// Names of the cases with threads.
pub(crate) fn thread_names() -> Vec<&'static str> {
    vec!["sha-threads", "xz-threads"]
}

/// Times programs that do the same work with more and more threads.
pub(crate) fn run_threads(bench: &Bench<'_>) -> Result<String, String> {
    let mut text = String::new();
    if bench.wants("sha-threads") {
        text += &of_kernel(bench)?;
    }
    if bench.wants("xz-threads") {
        text += &of_program(bench)?;
    }
    Ok(text)
}

/// Threads that compute, each for itself.
fn of_kernel(bench: &Bench<'_>) -> Result<String, String> {
    let about = "The kernel `sha`, the work of which so many threads share. They have nothing else in common, so that this is \
                 what an engine itself takes away of the processors. Speed-up is over one thread of the same engine.";
    let Some(kernel) = KERNELS.iter().find(|kernel| kernel.name == SHARED_KERNEL) else { return Ok(String::new()) };
    let engines = |threads: &str| {
        let [name, repeats] = kernel.arguments(4.0 * bench.options.scale);
        let words = [name, repeats, threads.into()];
        let under = |engine: Option<Engine>| engine.map(|engine| engine.and(&[bench.kernels()]).and(&words));
        let native = bench.has_native.then(|| Engine::new(kernels::native(), &words));
        let mut cached: Vec<OsString> = vec![bench.kernels().into()];
        cached.extend(words.iter().cloned());
        Ok([native, under(bench.spile(&[])), bench.spile_cached(&cached)?, under(bench.qemu())])
    };
    with_threads(bench, "Growth with threads", about, "sha", engines)
}

/// A program whose threads share more than processors.
fn of_program(bench: &Bench<'_>) -> Result<String, String> {
    let Some(root) = bench.root() else { return Ok(String::new()) };
    let about = "`xz` compresses 16 blocks with so many threads. *Cached* is with the translation cache on disk: without it the \
                 compiler's thread needs a processor, too. Native is the host's own `xz`.";
    let input = programs::input((16384.0 * bench.options.scale).max(64.0) as u64)?;
    let program = Path::new("usr/bin/xz");
    let engines = |threads: &str| {
        let block = format!("--block-size={}KiB", (1024.0 * bench.options.scale).max(4.0) as u64);
        let mut words: Vec<OsString> = ["-c", "-1", "-T", threads, &block].iter().map(OsString::from).collect();
        words.push(input.clone().into());
        let native = Some(Path::new("/").join(program)).filter(|program| program.exists());
        let native = native.map(|program| Engine::new(program, &words));
        let command = in_root(root, &root.join(program), &words);
        let [spile, qemu] = [bench.spile(&[]), bench.qemu()].map(|engine| engine.map(|engine| engine.and(&command)));
        Ok([native, spile, bench.spile_cached(&command)?, qemu])
    };
    with_threads(bench, "A program with threads", about, "xz", engines)
}

/// A table of native, Spile without and with its cache, and QEMU, for each number of threads.
fn with_threads(
    bench: &Bench<'_>,
    title: &str,
    about: &str,
    name: &str,
    engines: impl Fn(&str) -> Result<[Option<Engine>; 4], String>,
) -> Result<String, String> {
    let columns = [
        "threads",
        "native, s",
        "speed-up",
        "Spile, s",
        "speed-up",
        "cached, s",
        "speed-up",
        "QEMU, s",
        "speed-up",
        "QEMU / Spile",
        "spread",
        "Spile, MiB",
        "QEMU, MiB",
    ];
    let mut text = table::begin(title, about, &columns);
    let mut one: Option<Samples> = None;
    for threads in THREADS {
        let samples = bench.time(&format!("{name}, {threads} threads"), &engines(threads)?.each_ref())?;
        let one = one.get_or_insert_with(|| samples.clone());
        let mut cells = vec![threads.to_owned()];
        for index in 0..4 {
            let [now, alone] = [&samples, one].map(|samples| table::of(samples, index, Sample::median));
            cells.extend([table::seconds(now), table::times(table::ratio(alone, now))]);
        }
        cells.extend([table::times(table::medians(&samples, 3, 1)), table::spread(&samples)]);
        cells.extend([table::memory(&samples, 1), table::memory(&samples, 3)]);
        table::row(&mut text, &cells);
    }
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_kernels_or_programs() {
        let known: Vec<&str> = crate::kernels::names().into_iter().chain(programs::names()).collect();
        assert!(CASES.iter().all(|name| known.contains(name)));
    }
}
