//! `spile run --stats`: the report of the engine's numbers, as a table or as a line of JSON.

use crate::args::RunArgs;
use crate::failure;
use serde_json::{Map, Value as Json, json};
use spile_runtime::stats::{Section, Value};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Writes the report to where messages go.
pub(crate) fn show(args: &RunArgs, sections: &[Section]) {
    let program = args.program();
    let text = if args.scripts.json { record(program, sections) } else { table(program, sections) };
    let _ = failure::messages().write_all(text.as_bytes());
}

/// Name of the program and number of the process.
fn whose(program: &Path) -> (String, u32) {
    (program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned(), std::process::id())
}

fn table(program: &Path, sections: &[Section]) -> String {
    let (name, process) = whose(program);
    let width = sections.iter().flat_map(|section| &section.rows).map(|(name, value)| indent(*value) + name.len());
    let width = width.max().unwrap_or(0);
    let mut text = format!("spile: statistics of {name}, process {process}\n");
    for section in sections {
        let _ = writeln!(text, "  {}", section.title);
        let whole = seconds(section, "elapsed");
        for (name, value) in &section.rows {
            let name = format!("{:indent$}{name}", "", indent = indent(*value));
            let _ = writeln!(text, "    {name:width$}  {}", cell(*value, whole).trim_end());
        }
    }
    text
}

fn indent(value: Value) -> usize {
    if matches!(value, Value::Part(_)) { 2 } else { 0 }
}

/// The time of a row, in seconds.
fn seconds(section: &Section, name: &str) -> Option<f64> {
    section.rows.iter().find(|row| row.0 == name).and_then(|row| match row.1 {
        Value::Time(time) => Some(time.as_secs_f64()),
        _ => None,
    })
}

fn cell(value: Value, whole: Option<f64>) -> String {
    match value {
        Value::Time(time) => {
            let part = whole.filter(|whole| *whole > 0.0).map(|whole| 100.0 * time.as_secs_f64() / whole);
            let part = part.map(|part| format!("{part:5.1} %")).unwrap_or_default();
            format!("{:>11.3} s   {part}", time.as_secs_f64())
        }
        Value::Count(n) | Value::Part(n) => format!("{:>11}", grouped(n)),
        Value::Bytes(n) => format!("{:>11.1} MiB", n as f64 / f64::from(1 << 20)),
    }
}

/// A number with its digits in groups of three.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A line of JSON: a map for each section. A part of what the row above counts is named after both.
fn record(program: &Path, sections: &[Section]) -> String {
    let (name, process) = whose(program);
    let mut record = Map::from_iter([
        ("type".to_owned(), json!("stats")),
        ("program".to_owned(), json!(name)),
        ("process".to_owned(), json!(process)),
    ]);
    for section in sections {
        let (mut map, mut above) = (Map::new(), "");
        for (name, value) in &section.rows {
            let key = match value {
                Value::Part(_) => format!("{above}, {name}"),
                _ => {
                    above = name;
                    name.clone()
                }
            };
            let number = match *value {
                Value::Time(time) => json!(time.as_secs_f64()),
                Value::Count(n) | Value::Part(n) | Value::Bytes(n) => json!(n),
            };
            map.insert(key, number);
        }
        record.insert(section.title.to_owned(), Json::Object(map));
    }
    format!("{}\n", Json::Object(record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sections() -> Vec<Section> {
        let time = vec![
            ("interpreter".into(), Value::Time(Duration::from_millis(250))),
            ("elapsed".into(), Value::Time(Duration::from_secs(1))),
        ];
        let rows = vec![
            ("blocks".into(), Value::Count(1_234_567)),
            ("instructions".into(), Value::Part(12)),
            ("code".into(), Value::Bytes(3 << 19)),
        ];
        vec![Section { title: "time", rows: time }, Section { title: "work", rows }]
    }

    #[test]
    fn tables_are_aligned() {
        let text = table(Path::new("/bin/true"), &sections());
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert!(text.starts_with("spile: statistics of true, process "));
        assert_eq!(rows[1], "    interpreter           0.250 s    25.0 %");
        assert_eq!(rows[4], "    blocks            1 234 567");
        assert_eq!(rows[5], "      instructions           12");
        assert_eq!(rows[6], "    code                    1.5 MiB");
    }

    #[test]
    fn records_have_a_key_for_each_row() {
        let record: Json = serde_json::from_str(&record(Path::new("true"), &sections())).unwrap();
        assert_eq!(record["type"], "stats");
        assert_eq!(record["time"]["interpreter"], 0.25);
        assert_eq!(record["work"]["blocks, instructions"], 12);
        assert_eq!(record["work"]["code"], 3 << 19);
    }
}
