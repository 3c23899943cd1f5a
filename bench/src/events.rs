//! What one event costs: the time that a probe adds to a run, divided by the times that it fires.

use crate::measure::{Engine, Sample};
use crate::{KERNELS, Kernel};
use std::fmt::Write;

/// Probes, with the kernel that they are timed with and the part of its usual work; `KERNEL` stands for its function.
const EVENTS: &[(&str, f64, &str)] = &[
    ("fib", 0.01, "on insn at KERNEL print x0, x1"),
    ("fib", 0.01, "on insn at KERNEL print \"fib of {x0}, {sp:x}\""),
    ("fib", 1.0, "on insn in KERNEL @m[pc] += 1"),
    ("fib", 1.0, "on insn in KERNEL count by pc"),
    ("fib", 1.0, "on insn in KERNEL hist x0"),
    ("fib", 0.02, "on insn at KERNEL @m[x0] += 1"),
];

/// Returns the table; `engine` makes a run with a script whose output goes to a file.
pub(crate) fn table(runs: usize, scale: f64, engine: impl Fn(&[&str]) -> Engine) -> Result<String, String> {
    let mut text = String::from(
        "## One event\n\nWhat a probe adds to the time of a run, for each time that it fires; its output goes to a file.\n\n",
    );
    text += "| kernel | probe | events | each, ns |\n|---|---|---|---|\n";
    for (name, part, probe) in EVENTS {
        let Some(kernel) = KERNELS.iter().find(|kernel| kernel.name == *name) else { continue };
        let probe = probe.replace("KERNEL", kernel.symbol);
        let (fired, each) = cost(kernel, scale * part, runs, &engine(&[]), &engine(&[&probe]))?;
        let _ = writeln!(text, "| {name} | `{probe}` | {fired} | {each:.1} |");
    }
    text.push('\n');
    Ok(text)
}

/// Returns how often a probe fires, and what each time costs in nanoseconds.
fn cost(kernel: &Kernel, scale: f64, runs: usize, plain: &Engine, probed: &Engine) -> Result<(u64, f64), String> {
    let arguments = kernel.arguments(scale);
    let (plain, probed) = (Some(plain.clone()), Some(probed.clone()));
    let samples = crate::measure::interleaved(&[&plain, &probed], &arguments, runs)?;
    let [without, with] = [0, 1].map(|index| samples[index].as_ref().map_or(0.0, Sample::median));
    let report = probed.as_ref().map_or(Ok(String::new()), |engine| engine.messages(&arguments))?;
    let fired = fired(&report).ok_or_else(|| format!("no number of firings in: {report}"))?;
    Ok((fired, (with - without) * 1e9 / fired.max(1) as f64))
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
