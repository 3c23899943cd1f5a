//! Times the same programs under Spile, under QEMU and on the processor itself, side by side in one run, and
//! prints ratios: C kernels, real programs, their start, how they grow with work and threads; and Spile with probes
//! against Spile without, its translation, and changes to probes while a program runs.
//!
//! It is a program to look at and no test: nothing here fails because a machine is slow. It does fail when engines
//! compute different answers.

mod chart;
mod events;
mod growth;
mod kernels;
mod live;
mod measure;
mod probes;
mod programs;
mod startup;
mod table;
mod translation;

use clap::Parser;
use measure::{Clock, Engine, Samples};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Time programs under Spile, QEMU and native, and Spile with probes against Spile without.
#[derive(Parser)]
struct Options {
    /// Rounds; each runs every engine once, and medians are shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Multiplies the work of every case
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Only these cases; may be given several times
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Only these groups; may be given several times
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Show groups and cases, and run nothing
    #[arg(long)]
    list: bool,
    /// Which time counts
    #[arg(long, value_enum, default_value_t)]
    clock: Clock,
    /// The guests' architecture
    #[arg(long, value_enum, default_value_t)]
    arch: Arch,
    /// The root with the real programs, by default that of `tests/debian/run.sh --fetch`
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// The Spile command
    #[arg(long, default_value = "target/release/spile")]
    spile: PathBuf,
    /// Tier of Spile
    #[arg(long, default_value = "auto")]
    tier: String,
    /// The QEMU command, by default `qemu-ARCH`
    #[arg(long)]
    qemu: Option<String>,
    /// The host's C compiler
    #[arg(long, default_value = "cc")]
    cc: String,
    /// Also write the tables to this file, and the chart of the engines beside it
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// An architecture of guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Arch {
    #[default]
    Aarch64,
    Riscv64,
}

impl Arch {
    /// Its name, Debian's name for it, and the guest with the kernels.
    fn names(self) -> [&'static str; 3] {
        match self {
            Arch::Aarch64 => ["aarch64", "arm64", "guest/kernels"],
            Arch::Riscv64 => ["riscv64", "riscv64", "guest/kernels-riscv64"],
        }
    }
}

impl Options {
    fn qemu(&self) -> String {
        self.qemu.clone().unwrap_or_else(|| format!("qemu-{}", self.arch.names()[0]))
    }

    fn root(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(|| format!("target/debian/{}/root", self.arch.names()[1]).into())
    }
}

/// A part of the page.
struct Group {
    name: &'static str,
    /// The cases in it.
    cases: fn() -> Vec<&'static str>,
    /// Runs those that are wanted. Returns the tables.
    run: fn(&Bench<'_>) -> Result<String, String>,
}

const fn group(
    name: &'static str,
    cases: fn() -> Vec<&'static str>,
    run: fn(&Bench<'_>) -> Result<String, String>,
) -> Group {
    Group { name, cases, run }
}

/// All groups, in the order of the page.
const GROUPS: &[Group] = &[
    group("kernels", kernels::names, kernels::run),
    group("programs", programs::names, programs::run),
    group("counted", programs::names, programs::run_counted),
    group("startup", startup::names, startup::run),
    group("growth", growth::names, growth::run_work),
    group("threads", growth::thread_names, growth::run_threads),
    group("translation", translation::names, translation::run),
    group("probes", probes::names, probes::run),
    group("events", events::names, events::run),
    group("live", live::names, live::run),
];

/// Runs that fill the translation cache on disk before it is timed: what the compiler has no time for in a short run, it
/// does in the next one.
const FILLING: usize = 12;

/// What all groups know: the options, and which engines this machine has.
pub(crate) struct Bench<'a> {
    options: &'a Options,
    has_native: bool,
    has_qemu: bool,
    has_spile: bool,
    root: Option<PathBuf>,
    /// The rows of the chart: group, case, and how many times as fast as QEMU.
    chart: RefCell<Vec<(&'static str, String, f64)>>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            warn(&message);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let groups = chosen(options)?;
    if options.list {
        let lines = groups.iter().map(|group| format!("{}: {}\n", group.name, (group.cases)().join(", ")));
        return print(&lines.collect::<String>());
    }
    let bench = Bench::find(options);
    if !(bench.has_native || bench.has_qemu || bench.has_spile) {
        return Err("there is nothing to time".to_owned());
    }
    let mut body = String::new();
    for group in groups {
        body += &(group.run)(&bench)?;
    }
    let chart =
        options.write.as_ref().map(|path| path.with_extension("svg")).filter(|_| !bench.chart.borrow().is_empty());
    let mut page = heading(options);
    if let Some(name) = chart.as_ref().and_then(|path| path.file_name()) {
        let _ = writeln!(page, "![How many times as fast as QEMU each case runs]({})\n", name.display());
    }
    page += &body;
    let page = page.trim_end().to_owned() + "\n";
    print(&page)?;
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    if let Some(path) = &chart {
        write(path, &chart::svg(&bench.chart.borrow()))?;
    }
    options.write.as_ref().map_or(Ok(()), |path| write(path, &page))
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn warn(message: &str) {
    let _ = writeln!(std::io::stderr(), "spile-bench: {message}");
}

fn progress(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what} done");
}

/// The groups that the options want: those that are named, or else those that have a wanted case.
fn chosen(options: &Options) -> Result<Vec<&'static Group>, String> {
    let named = |group: &Group| options.group.is_empty() || options.group.iter().any(|name| name == group.name);
    if let Some(name) = options.group.iter().find(|name| GROUPS.iter().all(|group| group.name != **name)) {
        let known: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        return Err(format!("no group `{name}`; there are {}", known.join(", ")));
    }
    let groups: Vec<&Group> = GROUPS.iter().filter(|group| named(group)).collect();
    let has = |group: &Group, name: &String| (group.cases)().contains(&name.as_str());
    if let Some(name) = options.only.iter().find(|name| !groups.iter().any(|group| has(group, name))) {
        let mut known: Vec<&str> = groups.iter().flat_map(|group| (group.cases)()).collect();
        known.dedup();
        return Err(format!("no case `{name}`; there are {}", known.join(", ")));
    }
    let wanted = |group: &&Group| options.only.is_empty() || options.only.iter().any(|name| has(group, name));
    Ok(groups.into_iter().filter(wanted).collect())
}

impl<'a> Bench<'a> {
    /// Finds the engines, and says of each that is missing how to get it.
    fn find(options: &'a Options) -> Bench<'a> {
        let missing = |what: &str, why: &str| {
            warn(&format!("no {what}: {why}"));
            false
        };
        let native = kernels::build_native(&options.cc);
        let has_native = native.map_or_else(|error| missing("native column of the kernels", &error), |()| true);
        let qemu = options.qemu();
        let has_qemu = version(&qemu).is_some()
            || missing("QEMU columns", &format!("cannot run `{qemu}`; Debian has it in qemu-user"));
        let path = options.spile.display();
        let has_spile = options.spile.exists()
            || missing("Spile columns", &format!("`{path}` does not exist; build it with `cargo build --release`"));
        let root = Some(options.root()).filter(|root| root.exists());
        if root.is_none() {
            let (root, arch) = (options.root(), options.arch.names()[1]);
            let how = format!("they are not in `{}`; run `tests/debian/run.sh --arch {arch} --fetch`", root.display());
            missing("real programs", &how);
        }
        Bench { options, has_native, has_qemu, has_spile, root, chart: RefCell::default() }
    }

    /// True if a case is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|wanted| wanted == name)
    }

    /// Spile with the options of this run and these, up to the guest's program.
    pub(crate) fn spile(&self, more: &[&str]) -> Option<Engine> {
        self.spile_in(&self.options.tier, more)
    }

    /// The same in a tier of its own.
    pub(crate) fn spile_in(&self, tier: &str, more: &[&str]) -> Option<Engine> {
        self.has_spile.then(|| Engine::new(&self.options.spile, &["run", "--no-cache", "--tier", tier]).and(more))
    }

    /// Spile with a translation cache on disk that `command` has filled in [`FILLING`] runs.
    pub(crate) fn spile_cached(&self, command: &[OsString]) -> Result<Option<Engine>, String> {
        let folder = scratch("cache");
        let new = || Engine::new(&self.options.spile, &["run", "--tier", &self.options.tier, "--cache-folder"]);
        let engine = self.has_spile.then(|| new().and(&[folder]).and(command));
        for _ in 0..FILLING {
            engine.as_ref().map(Engine::messages).transpose()?;
        }
        Ok(engine)
    }

    /// QEMU, up to the guest's program.
    pub(crate) fn qemu(&self) -> Option<Engine> {
        self.has_qemu.then(|| Engine::new(self.options.qemu(), &[""; 0]))
    }

    /// The guests' root, if the real programs are there.
    pub(crate) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// A program of the guests' root, if it is there.
    pub(crate) fn program(&self, path: &str) -> Option<PathBuf> {
        with_version(self.root()?.join(path))
    }

    /// The guest with the kernels.
    pub(crate) fn kernels(&self) -> PathBuf {
        directory().join(self.options.arch.names()[2])
    }

    /// Runs the engines of one case in turns.
    pub(crate) fn time(&self, name: &str, engines: &[&Option<Engine>]) -> Result<Samples, String> {
        self.time_often(name, engines, 1)
    }

    /// The same with so many rounds for each of the usual ones, for what is short.
    pub(crate) fn time_often(&self, name: &str, engines: &[&Option<Engine>], often: usize) -> Result<Samples, String> {
        let samples = measure::interleaved(engines, often * self.options.runs, self.options.clock)
            .map_err(|error| format!("{name}: {error}"))?;
        progress(name);
        Ok(samples)
    }

    /// Enters a case into the chart.
    pub(crate) fn draw(&self, group: &'static str, name: &str, ratio: Option<f64>) {
        self.chart.borrow_mut().extend(ratio.map(|ratio| (group, name.to_owned(), ratio)));
    }
}

/// The file of this path, or the last one that has a minor version behind it: `python3.11` is what Debian calls Python.
fn with_version(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let name = path.file_name()?.to_str()?;
    let is_version = |rest: &str| rest.strip_prefix('.').is_some_and(|minor| minor.parse::<u32>().is_ok());
    let has_version = |file: &PathBuf| {
        let file = file.file_name().and_then(|file| file.to_str());
        file.and_then(|file| file.strip_prefix(name)).is_some_and(is_version)
    };
    let files = std::fs::read_dir(path.parent()?).ok()?;
    files.filter_map(|file| Some(file.ok()?.path())).filter(has_version).max()
}

/// What precedes a guest program of the root and its arguments.
pub(crate) fn in_root(root: &Path, program: &Path, arguments: &[OsString]) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["-L".into(), root.into(), program.into()];
    words.extend(arguments.iter().cloned());
    words
}

/// A file of this program's own, which may be there from an earlier run.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = directory().join("../target/bench");
    if let Err(error) = std::fs::create_dir_all(&folder) {
        warn(&format!("cannot make {}: {error}", folder.display()));
    }
    folder.join(name)
}

pub(crate) fn directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the first line of what `command --version` says.
fn version(command: &str) -> Option<String> {
    let output = Command::new(command).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}

fn heading(options: &Options) -> String {
    let mut page = String::from("# Benchmarks\n\n");
    let of_arch = match options.arch {
        Arch::Aarch64 => "--write docs/benchmarks.md",
        Arch::Riscv64 => "--arch riscv64 --write FILE",
    };
    let _ = writeln!(page, "Made by `cargo build --release && cargo run --release -p spile-bench -- {of_arch}`.");
    page += "Every round runs each engine once, one after the other; the tables show medians of whole runs, start-up \
             included, so only ratios mean anything.\n";
    page += "Memory is the most that a process had in use at a time (`ru_maxrss`), in MiB.\n\n";
    let time = match options.clock {
        Clock::Elapsed => "elapsed",
        Clock::Cpu => "of the processor",
    };
    let _ = writeln!(page, "- machine: {}", processor());
    let _ = writeln!(page, "- QEMU: {}", version(&options.qemu()).unwrap_or_else(|| "not there".to_owned()));
    let _ = writeln!(page, "- host compiler: {}", version(&options.cc).unwrap_or_else(|| "not there".to_owned()));
    let (tier, runs, scale) = (&options.tier, options.runs, options.scale);
    let _ = writeln!(page, "- Spile: tier {tier}, {runs} rounds, scale {scale}; time {time}\n");
    page
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{}, {cores} cores", model.map_or("unknown processor", |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::parse_from([&["spile-bench"], arguments].concat())
    }

    #[test]
    fn groups_and_cases_are_chosen_by_name() {
        let names = |arguments: &[&str]| {
            chosen(&options(arguments)).map(|groups| groups.iter().map(|group| group.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), GROUPS.len());
        assert_eq!(names(&["--group", "threads", "--group", "kernels"]).unwrap(), ["kernels", "threads"]);
        assert_eq!(names(&["--group", "kernels", "--only", "fib"]).unwrap(), ["kernels"]);
        assert!(names(&["--only", "lua"]).unwrap().contains(&"programs"));
        assert!(names(&["--group", "kernel"]).unwrap_err().starts_with("no group `kernel`"));
        assert!(names(&["--group", "startup", "--only", "fib"]).unwrap_err().starts_with("no case `fib`"));
    }

    #[test]
    fn architectures_have_guests_and_engines_of_their_own() {
        for (arch, qemu, root) in [
            ("aarch64", "qemu-aarch64", "target/debian/arm64/root"),
            ("riscv64", "qemu-riscv64", "target/debian/riscv64/root"),
        ] {
            let options = options(&["--arch", arch]);
            assert_eq!((&*options.qemu(), options.root()), (qemu, root.into()));
            let kernels = std::fs::read(directory().join(options.arch.names()[2])).unwrap();
            // The machine of an ELF header: EM_AARCH64, EM_RISCV.
            assert_eq!(kernels[18], if arch == "aarch64" { 183 } else { 243 });
        }
        let other = options(&["--arch", "riscv64", "--qemu", "other", "--root", "elsewhere"]);
        assert_eq!((&*other.qemu(), other.root()), ("other", "elsewhere".into()));
    }

    #[test]
    fn programs_may_have_a_version_in_their_name() {
        let folder = scratch("test-versions");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["python3.9", "python3.11-config", "python3x", "perl", "perl5.36"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(with_version(folder.join("python3")), Some(folder.join("python3.9")));
        assert_eq!(with_version(folder.join("perl")), Some(folder.join("perl")));
        assert_eq!(with_version(folder.join("lua")), None);
    }

    #[test]
    fn cases_have_names_of_their_own() {
        for group in GROUPS {
            let mut names = (group.cases)();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", group.name);
        }
    }
}
