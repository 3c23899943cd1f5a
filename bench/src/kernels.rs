//! What is timed: the kernels of `guest/kernels.c`, and the probes.

use std::ffi::OsString;

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

/// Probe sentences; `KERNEL` stands for the function that does the work.
pub(crate) const PROBES: &[&str] = &[
    "on insn count",
    "on block count",
    "on insn in KERNEL count by insn.mnemonic",
    "on insn at KERNEL count by func into @calls",
    "on access hist size",
    "on insn in KERNEL when x0 == 0x123456789abcdef0 print \"never\"",
    "on insn in KERNEL when x0 == 0x123456789abcdef0 write x0 = 1",
    "on insn \"ld*\" in KERNEL when x1 == 0x123456789abcdef0 optional write x0 = 1",
];

impl Kernel {
    /// Returns the arguments of the guest program for `scale` times the usual work.
    pub(crate) fn arguments(&self, scale: f64) -> [OsString; 2] {
        let repeats = (f64::from(self.repeats) * scale).max(1.0) as u64;
        [self.name.into(), repeats.to_string().into()]
    }
}
