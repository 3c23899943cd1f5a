//! Tables in Markdown.

use crate::measure::{Sample, Samples};
use std::fmt::Write;

/// Starts a table behind its heading: what it shows, and the titles of its columns.
pub(crate) fn begin(heading: &str, about: &str, columns: &[&str]) -> String {
    let rule = "---|".repeat(columns.len());
    let about = if about.is_empty() { String::new() } else { format!("{about}\n\n") };
    format!("## {heading}\n\n{about}| {} |\n|{rule}\n", columns.join(" | "))
}

/// Adds a row.
pub(crate) fn row(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// Returns the table of engines; a row's samples are native, Spile, QEMU and, if `cached`, Spile with what it compiled
/// before.
pub(crate) fn engines(heading: &str, about: &str, what: &str, rows: &[(&str, Samples)], cached: bool) -> String {
    let mut columns = vec![
        what,
        "native, s",
        "Spile / native",
        "QEMU / native",
        "QEMU / Spile",
        "by the best runs",
        "spread",
        "Spile, MiB",
        "QEMU, MiB",
    ];
    if cached {
        columns.extend(["QEMU / Spile, cached", "by the best runs", "cached, MiB"]);
    }
    let mut text = begin(heading, about, &columns);
    for (name, samples) in rows {
        let best = ratio(of(samples, 2, Sample::best), of(samples, 1, Sample::best));
        let ratios = [(1, 0), (2, 0), (2, 1)].map(|(a, b)| medians(samples, a, b));
        let mut cells = vec![(*name).to_owned(), seconds(of(samples, 0, Sample::median))];
        cells.extend(ratios.into_iter().chain([best]).map(times));
        cells.extend([spread(samples), memory(samples, 1), memory(samples, 2)]);
        if cached {
            let best = ratio(of(samples, 2, Sample::best), of(samples, 3, Sample::best));
            cells.extend([medians(samples, 2, 3), best].map(times));
            cells.push(memory(samples, 3));
        }
        row(&mut text, &cells);
    }
    let means = [(1, 0), (2, 0), (2, 1)].map(|(a, b)| times(geometric_mean(rows, a, b)));
    let _ = write!(text, "| **geometric mean** | | {} | | | | |", means.join(" | "));
    if cached {
        let _ = write!(text, " {} | | |", times(geometric_mean(rows, 2, 3)));
    }
    text + "\n\n"
}

/// The ratio of the medians of two samples.
pub(crate) fn medians(samples: &Samples, a: usize, b: usize) -> Option<f64> {
    ratio(of(samples, a, Sample::median), of(samples, b, Sample::median))
}

/// A number of one of a row's samples.
pub(crate) fn of<T>(samples: &Samples, index: usize, what: impl Fn(&Sample) -> T) -> Option<T> {
    samples[index].as_ref().map(what)
}

pub(crate) fn ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b?)
}

/// The largest spread of a row's samples.
pub(crate) fn spread(samples: &Samples) -> String {
    let most = samples.iter().flatten().map(Sample::spread).fold(0.0, f64::max);
    format!("{:.0} %", most * 100.0)
}

pub(crate) fn memory(samples: &Samples, index: usize) -> String {
    let mib = of(samples, index, |sample| sample.peak() as f64 / f64::from(1 << 20));
    mib.map_or_else(dash, |mib| format!("{mib:.1}"))
}

pub(crate) fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(dash, |seconds| format!("{seconds:.3}"))
}

pub(crate) fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(dash, |ratio| format!("{ratio:.2}x"))
}

fn dash() -> String {
    "–".to_owned()
}

/// The geometric mean of the rows that have both samples.
fn geometric_mean(rows: &[(&str, Samples)], a: usize, b: usize) -> Option<f64> {
    let logarithms: Vec<f64> = rows.iter().filter_map(|(_, samples)| medians(samples, a, b)).map(f64::ln).collect();
    (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Clock, Engine, interleaved};

    #[test]
    fn a_missing_engine_is_a_dash() {
        let engine = Some(Engine::new("true", &[""; 0]));
        let samples = interleaved(&[&engine, &None, &engine], 1, Clock::Elapsed).unwrap();
        let text = engines("Kernels", "", "kernel", &[("fib", samples)], false);
        let row = text.lines().find(|line| line.starts_with("| fib")).unwrap();
        assert_eq!(row.split(" | ").filter(|cell| *cell == "–").count(), 4);
        assert!(row.split(" | ").nth(3).unwrap().ends_with('x'));
    }

    #[test]
    fn all_rows_have_the_columns_of_the_head() {
        let text = begin("A", "about", &["a", "b"]) + "| 1 | 2 |\n";
        let cells: Vec<usize> =
            text.lines().filter(|line| line.starts_with('|')).map(|l| l.matches('|').count()).collect();
        assert_eq!(cells, [3, 3, 3]);
        for cached in [false, true] {
            let text = engines("Kernels", "", "kernel", &[], cached);
            let cells: Vec<usize> =
                text.lines().filter(|line| line.starts_with('|')).map(|l| l.matches('|').count()).collect();
            assert!(cells.iter().all(|n| *n == cells[0]), "{text}");
        }
    }
}
