//! Times the same C kernels under Spile, under `qemu-aarch64` and on the processor itself, side by side in one run, and
//! prints ratios. Then it times the start of real programs in the same way, and Spile with probes against Spile without.
//!
//! It is a program to look at and no test: nothing here fails because a machine is slow. It does fail when engines
//! compute different answers.

mod events;
mod kernels;
mod measure;
mod startup;
mod table;

use clap::Parser;
use kernels::{KERNELS, Kernel, PROBES};
use measure::{Engine, Sample};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Time C kernels under Spile, qemu-aarch64 and native, the start of real programs, and Spile with probes against Spile
/// without.
#[derive(Parser)]
struct Options {
    /// Rounds; each runs every engine once, and medians are shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Multiplies the work of every kernel
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Only these kernels
    #[arg(long)]
    only: Vec<String>,
    /// Leave out the kernels
    #[arg(long)]
    no_kernels: bool,
    /// Leave out the start of real programs
    #[arg(long)]
    no_startup: bool,
    /// Leave out the probes
    #[arg(long)]
    no_probes: bool,
    /// The root with the programs whose start is timed; `tests/debian/run.sh --fetch` makes it
    #[arg(long, value_name = "DIRECTORY", default_value = "target/debian/arm64/root")]
    root: PathBuf,
    /// The Spile command
    #[arg(long, default_value = "target/release/spile")]
    spile: PathBuf,
    /// Tier of Spile
    #[arg(long, default_value = "auto")]
    tier: String,
    /// The QEMU command
    #[arg(long, default_value = "qemu-aarch64")]
    qemu: String,
    /// The host's C compiler
    #[arg(long, default_value = "cc")]
    cc: String,
    /// Also write the tables to this file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
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
    let engines = Engines::find(options);
    if [&engines.native, &engines.qemu, &engines.spile].iter().all(|engine| engine.is_none()) {
        return Err("there is nothing to time".to_owned());
    }
    let kernels = chosen(&options.only)?;
    let mut page = heading(options);
    if !options.no_kernels {
        page += &compare_engines(options, &engines, &kernels)?;
    }
    if !options.no_startup {
        page += &compare_startup(options, &engines)?;
    }
    if let (Some(spile), false) = (&engines.spile, options.no_probes) {
        page += &compare_probes(options, spile, &kernels)?;
        page += &events::table(options.runs, options.scale, |script| spile_to_file(options, script))?;
        progress("events");
    }
    std::io::stdout().write_all(page.as_bytes()).map_err(|error| error.to_string())?;
    match &options.write {
        Some(path) => std::fs::write(path, &page).map_err(|error| format!("cannot write {}: {error}", path.display())),
        None => Ok(()),
    }
}

fn warn(message: &str) {
    let _ = writeln!(std::io::stderr(), "spile-bench: {message}");
}

fn chosen(only: &[String]) -> Result<Vec<&'static Kernel>, String> {
    if let Some(name) = only.iter().find(|name| KERNELS.iter().all(|kernel| kernel.name != **name)) {
        let known: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
        return Err(format!("no kernel `{name}`; there are {}", known.join(", ")));
    }
    Ok(KERNELS.iter().filter(|kernel| only.is_empty() || only.iter().any(|name| name == kernel.name)).collect())
}

/// The engines that this machine has.
struct Engines {
    native: Option<Engine>,
    qemu: Option<Engine>,
    spile: Option<Engine>,
}

impl Engines {
    /// Finds the engines, and says of each that is missing how to get it.
    fn find(options: &Options) -> Engines {
        let guest = directory().join("guest/kernels");
        let native = match build_native(&options.cc) {
            Ok(program) => Some(Engine::new(program, &[""; 0])),
            Err(error) => {
                warn(&format!("no native column: {error}"));
                None
            }
        };
        let qemu = version(&options.qemu).map(|_| Engine::new(&options.qemu, &[guest.as_os_str()]));
        if qemu.is_none() {
            warn(&format!("no QEMU columns: cannot run `{}`; Debian has it in qemu-user", options.qemu));
        }
        let spile = options.spile.exists().then(|| spile_engine(options, &[]));
        if spile.is_none() {
            let path = options.spile.display();
            warn(&format!("no Spile columns: `{path}` does not exist; build it with `cargo build --release`"));
        }
        Engines { native, qemu, spile }
    }
}

fn spile_engine(options: &Options, script: &[&str]) -> Engine {
    let guest = directory().join("guest/kernels");
    let mut arguments = vec!["run".into(), "--tier".into(), (&options.tier).into()];
    for text in script {
        arguments.extend(["-e".into(), text.into()]);
    }
    arguments.push(guest.into_os_string());
    Engine::new(&options.spile, &arguments)
}

/// As [`spile_engine`], with the output of probes in a file.
fn spile_to_file(options: &Options, script: &[&str]) -> Engine {
    let file = directory().join("../target/bench-output");
    spile_engine(options, script).with(&["-o".into(), file.into_os_string()])
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Flags that make the host's build the same as that of `guest/build.sh`.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-O2",
    "-ffreestanding",
    "-nostdlib",
    "-static",
    "-fno-stack-protector",
    "-fno-builtin",
    "-fno-asynchronous-unwind-tables",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fno-pie",
    "-no-pie",
    "-fno-tree-loop-distribute-patterns",
];

fn build_native(cc: &str) -> Result<PathBuf, String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err("the kernels' system calls are written for x86-64 Linux only".to_owned());
    }
    let program = directory().join("../target/bench-kernels");
    let output = Command::new(cc)
        .args(FLAGS)
        .arg("-o")
        .arg(&program)
        .arg(directory().join("guest/kernels.c"))
        .output()
        .map_err(|error| format!("cannot run `{cc}`: {error}; Debian has it in gcc"))?;
    if output.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Returns the first line of what `command --version` says.
fn version(command: &str) -> Option<String> {
    let output = Command::new(command).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}

fn heading(options: &Options) -> String {
    let mut page = String::from("# Benchmarks\n\n");
    page += "Made by `cargo build --release && cargo run --release -p spile-bench -- --write docs/benchmarks.md`.\n";
    page += "Every round runs each engine once, one after the other; the tables show medians of whole runs, start-up \
             included, so only ratios mean anything.\n\n";
    let _ = writeln!(page, "- machine: {}", processor());
    let _ = writeln!(page, "- QEMU: {}", version(&options.qemu).unwrap_or_else(|| "not there".to_owned()));
    let _ = writeln!(page, "- host compiler: {}", version(&options.cc).unwrap_or_else(|| "not there".to_owned()));
    let _ = writeln!(page, "- Spile: tier {}, {} rounds, scale {}\n", options.tier, options.runs, options.scale);
    page
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{}, {cores} cores", model.map_or("unknown processor", |(_, name)| name))
}

fn compare_engines(options: &Options, engines: &Engines, kernels: &[&Kernel]) -> Result<String, String> {
    let mut rows = Vec::new();
    for kernel in kernels {
        let all = [&engines.native, &engines.spile, &engines.qemu];
        let samples = measure::interleaved(&all, &kernel.arguments(options.scale), options.runs)
            .map_err(|error| format!("{}: {error}", kernel.name))?;
        rows.push((kernel.name, samples));
        progress(kernel.name);
    }
    Ok(table::engines(&rows))
}

fn compare_startup(options: &Options, engines: &Engines) -> Result<String, String> {
    let root = &options.root;
    if startup::PROGRAMS.iter().any(|(program, _)| !root.join(program).exists()) {
        let root = root.display();
        warn(&format!("no start-up table: the programs are not in `{root}`; run `{}` to get them", startup::FETCH));
        return Ok(String::new());
    }
    let tier = |tier: &str| engines.spile.as_ref().map(|_| startup::spile(&options.spile, tier));
    let qemu = engines.qemu.as_ref().map(|_| Engine::new(&options.qemu, &[""; 0]));
    let all = [&qemu, &tier(&options.tier), &tier("interp")];
    let mut rows = Vec::new();
    for &program in startup::PROGRAMS {
        let (name, command) = (startup::name(program), startup::command(root, program));
        let samples = measure::interleaved(&all, &command, startup::RUNS * options.runs)
            .map_err(|error| format!("{name}: {error}"))?;
        progress(&name);
        rows.push((name, samples));
    }
    Ok(table::startup(&rows, &options.tier))
}

fn compare_probes(options: &Options, plain: &Engine, kernels: &[&Kernel]) -> Result<String, String> {
    let plain = Some(plain.clone());
    let mut rows = Vec::new();
    for kernel in kernels.iter().filter(|kernel| kernel.with_probes) {
        for probe in PROBES {
            let text = probe.replace("KERNEL", kernel.symbol);
            let probed = Some(spile_engine(options, &[&text]));
            let samples = measure::interleaved(&[&plain, &probed], &kernel.arguments(options.scale), options.runs);
            rows.push((kernel.name, text, samples));
        }
        progress(&format!("{} with probes", kernel.name));
    }
    Ok(table::probes(&rows))
}

fn progress(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what} done");
}

/// The samples of one row: an engine that is missing has none.
type Samples = Vec<Option<Sample>>;
