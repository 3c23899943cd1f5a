//! Tables in Markdown.

use crate::Samples;
use crate::measure::Sample;
use std::fmt::Write;

/// Returns the table of engines; a row's samples are native, Spile, QEMU.
pub(crate) fn engines(rows: &[(&str, Samples)]) -> String {
    let mut text = String::from("## Plain execution\n\n");
    text +=
        "| kernel | native, s | Spile / native | QEMU / native | QEMU / Spile | spread |\n|---|---|---|---|---|---|\n";
    for (name, samples) in rows {
        let [native, spile, qemu] = [0, 1, 2].map(|i| samples[i].as_ref().map(Sample::median));
        let spread = samples.iter().flatten().map(Sample::spread).fold(0.0, f64::max);
        let cells = [ratio(spile, native), ratio(qemu, native), ratio(qemu, spile)].map(times);
        let native = native.map_or("–".to_owned(), |seconds| format!("{seconds:.3}"));
        let _ = writeln!(text, "| {name} | {native} | {} | {:.0} % |", cells.join(" | "), spread * 100.0);
    }
    let columns = [(1, 0), (2, 0), (2, 1)].map(|(a, b)| times(geometric_mean(rows, a, b)));
    let _ = writeln!(text, "| **geometric mean** | | {} | |\n", columns.join(" | "));
    text
}

/// Returns the table of start-up; a row's samples are QEMU, Spile in `tier` and in its interpreter.
pub(crate) fn startup(rows: &[(String, Samples)], tier: &str) -> String {
    let mut text = String::from(
        "## Start-up\n\nReal programs that do next to nothing: Debian's arm64 packages, dynamically linked but for busybox.\n\n",
    );
    let _ = writeln!(text, "| command | QEMU, s | {tier} / QEMU | interp / QEMU | spread |\n|---|---|---|---|---|");
    for (name, samples) in rows {
        let [qemu, spile, interp] = [0, 1, 2].map(|i| samples[i].as_ref().map(Sample::median));
        let spread = samples.iter().flatten().map(Sample::spread).fold(0.0, f64::max);
        let cells = [ratio(spile, qemu), ratio(interp, qemu)].map(times);
        let qemu = qemu.map_or("–".to_owned(), |seconds| format!("{seconds:.3}"));
        let _ = writeln!(text, "| `{name}` | {qemu} | {} | {:.0} % |", cells.join(" | "), spread * 100.0);
    }
    text.push('\n');
    text
}

/// Returns the table of probes; a row's samples are Spile without and with the probe.
pub(crate) fn probes(rows: &[(&str, String, Result<Samples, String>)]) -> String {
    let mut text = String::from("## Probes\n\nTime with the probe, as a multiple of Spile's time without.\n\n");
    text += "| kernel | probe | time | spread |\n|---|---|---|---|\n";
    for (name, probe, samples) in rows {
        let cells = match samples {
            Ok(samples) => {
                let [plain, probed] = [0, 1].map(|i| samples[i].as_ref());
                let spread = samples.iter().flatten().map(Sample::spread).fold(0.0, f64::max);
                let time = times(ratio(probed.map(Sample::median), plain.map(Sample::median)));
                format!("{time} | {:.0} %", spread * 100.0)
            }
            Err(error) => format!("{} |", error.replace('|', "/")),
        };
        let _ = writeln!(text, "| {name} | `{}` | {cells} |", probe.replace('|', "\\|"));
    }
    text.push('\n');
    text
}

fn ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b?)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}x"))
}

fn geometric_mean(rows: &[(&str, Samples)], a: usize, b: usize) -> Option<f64> {
    let median = |samples: &Samples, i: usize| samples[i].as_ref().map(Sample::median);
    let logarithms: Option<Vec<f64>> =
        rows.iter().map(|(_, samples)| ratio(median(samples, a), median(samples, b)).map(f64::ln)).collect();
    let logarithms = logarithms.filter(|all| !all.is_empty())?;
    Some((logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Engine, interleaved};

    #[test]
    fn a_missing_engine_is_a_dash() {
        let engine = Some(Engine::new("true", &[""; 0]));
        let samples = interleaved(&[&engine, &None, &engine], &[], 1).unwrap();
        let text = engines(&[("fib", samples)]);
        let row = text.lines().find(|line| line.starts_with("| fib")).unwrap();
        assert_eq!(row.split(" | ").filter(|cell| *cell == "–").count(), 2);
        assert!(row.split(" | ").nth(3).unwrap().ends_with('x'));
    }
}
