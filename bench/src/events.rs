//! What one event costs: the time that a probe adds to a run, divided by the times that it fires.

use crate::kernels::{KERNELS, Kernel};
use crate::measure::{Engine, Sample};
use crate::{Bench, probes, scratch, table};

/// Probes, with the kernel that they are timed with and the part of its usual work; `KERNEL` stands for its function.
const EVENTS: &[(&str, f64, &str)] = &[
    ("fib", 0.01, "on insn at KERNEL print arg0, arg1"),
    ("fib", 0.01, "on insn at KERNEL print \"fib of {arg0}, {sp:x}\""),
    ("fib", 1.0, "on insn in KERNEL @m[pc] += 1"),
    ("fib", 1.0, "on insn in KERNEL count by pc"),
    ("fib", 1.0, "on insn in KERNEL hist arg0"),
    ("fib", 0.2, "on insn in KERNEL hist arg0 + arg1 + sp + (u64[sp] ?? 0)"),
    ("fib", 0.5, "on insn at KERNEL @m[arg0] += 1"),
    ("fib", 0.5, "on insn at KERNEL count by arg0"),
    ("fib", 0.5, "on insn at KERNEL hist arg1 by arg0"),
    ("fib", 0.5, "on insn at KERNEL max sp by arg0"),
    ("fib", 0.02, "on insn at KERNEL avg sp by arg0"),
];

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = EVENTS.iter().map(|event| event.0).collect();
    names.dedup();
    names
}

/// Times kernels with and without each of the probes.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let about = "What a probe adds to the time of a run, for each time that it fires; its output goes to a file.";
    let mut text = table::begin("One event", about, &["kernel", "probe", "events", "each, ns"]);
    for (name, part, probe) in EVENTS.iter().filter(|event| bench.wants(event.0)) {
        let Some(kernel) = KERNELS.iter().find(|kernel| kernel.name == *name) else { continue };
        let probe = probe.replace("KERNEL", kernel.symbol);
        let Some((fired, each)) = cost(bench, kernel, bench.options.scale * part, &probe)? else { continue };
        table::row(&mut text, &[(*name).to_owned(), probes::cell(&probe), fired.to_string(), format!("{each:.1}")]);
    }
    Ok(text + "\n")
}

/// Returns how often a probe fires, and what each time costs in nanoseconds. `None` without Spile.
fn cost(bench: &Bench<'_>, kernel: &Kernel, scale: f64, probe: &str) -> Result<Option<(u64, f64)>, String> {
    let file = scratch("probe-output");
    let file = file.to_string_lossy();
    let engines = [&["-o", &*file][..], &["-o", &*file, "-e", probe]];
    let [plain, probed] = engines.map(|more| kernel.under(bench, bench.spile(more), scale));
    let samples = bench.time(&format!("{}, {probe}", kernel.name), &[&plain, &probed])?;
    let [without, with] = [0, 1].map(|index| table::of(&samples, index, Sample::median).unwrap_or_default());
    let Some(report) = probed.as_ref().map(Engine::messages).transpose()? else { return Ok(None) };
    let fired = fired(&report).ok_or_else(|| format!("no number of firings in: {report}"))?;
    Ok(Some((fired, (with - without) * 1e9 / fired.max(1) as f64)))
}

/// The number of firings in Spile's report: `probes: 1   fired: 1 204   patches applied: 0`.
fn fired(report: &str) -> Option<u64> {
    let (_, rest) = report.rsplit_once("fired: ")?;
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ' ').filter(|c| *c != ' ').collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firings_are_read_from_the_report() {
        assert_eq!(fired("probes: 1   fired: 1 204   patches applied: 0   errors: 0"), Some(1204));
        assert_eq!(fired("x\nprobes: 2   fired: 0   patches applied: 3"), Some(0));
        assert_eq!(fired("nothing"), None);
    }
}
