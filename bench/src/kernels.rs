//! The kernels of `guest/kernels.c`, built for the guest and for the host with the same flags.

use crate::measure::Engine;
use crate::{Bench, directory, scratch, table};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// A kernel.
pub(crate) struct Kernel {
    /// Its name, which `guest/kernels.c` knows.
    pub(crate) name: &'static str,
    /// Its function.
    pub(crate) symbol: &'static str,
    /// The work that takes about a quarter of a second natively, less where QEMU is very slow.
    repeats: u32,
    /// Whether it is also timed with probes.
    pub(crate) with_probes: bool,
}

const fn kernel(name: &'static str, symbol: &'static str, repeats: u32, with_probes: bool) -> Kernel {
    Kernel { name, symbol, repeats, with_probes }
}

/// All kernels.
pub(crate) const KERNELS: &[Kernel] = &[
    kernel("integer-loop", "integer_loop", 200, true),
    kernel("fib", "fib", 300, true),
    kernel("sieve", "sieve", 400, false),
    kernel("memcpy", "copy", 1200, false),
    kernel("sha", "compress", 800, true),
    kernel("dispatch", "interpret", 300, true),
    kernel("nbody", "advance", 1500, false),
    kernel("matmul", "multiply", 800, false),
    kernel("mandel", "mandel", 120, false),
];

impl Kernel {
    /// Returns the arguments of the guest program for `scale` times the usual work.
    pub(crate) fn arguments(&self, scale: f64) -> [OsString; 2] {
        let repeats = (f64::from(self.repeats) * scale).max(1.0) as u64;
        [self.name.into(), repeats.to_string().into()]
    }

    /// The engine with the guest's build and these arguments.
    pub(crate) fn under(&self, bench: &Bench<'_>, engine: Option<Engine>, scale: f64) -> Option<Engine> {
        engine.map(|engine| engine.and(&[bench.kernels()]).and(&self.arguments(scale)))
    }
}

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    KERNELS.iter().map(|kernel| kernel.name).collect()
}

/// Times the kernels under all engines.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let mut rows = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| bench.wants(kernel.name)) {
        let native = bench.has_native.then(|| Engine::new(native(), &kernel.arguments(bench.options.scale)));
        let [spile, qemu] =
            [bench.spile(&[]), bench.qemu()].map(|engine| kernel.under(bench, engine, bench.options.scale));
        let samples = bench.time(kernel.name, &[&native, &spile, &qemu])?;
        bench.draw("kernels", kernel.name, table::medians(&samples, 2, 1));
        rows.push((kernel.name, samples));
    }
    Ok(table::engines("Plain execution", "", "kernel", &rows, false))
}

/// The host's build.
pub(crate) fn native() -> PathBuf {
    scratch("kernels")
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

/// Builds the kernels for the host.
pub(crate) fn build_native(cc: &str) -> Result<(), String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err("the kernels' system calls are written for x86-64 Linux only".to_owned());
    }
    let output = Command::new(cc)
        .args(FLAGS)
        .arg("-o")
        .arg(native())
        .arg(directory().join("guest/kernels.c"))
        .output()
        .map_err(|error| format!("cannot run `{cc}`: {error}; Debian has it in gcc"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
