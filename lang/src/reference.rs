//! The reference page, made from the tables of the language: `docs/reference.md` is exactly this text.
//!
//! Explanations belong into the guide (`docs/language.md`); here is what there is, one row each.

use crate::builtins::{FUNCTIONS, VARIABLES};
use crate::codes;
use crate::probes;
use crate::verbs;
use std::fmt::Write;

/// A clause of a probe: its form and what it does.
struct Clause {
    form: &'static str,
    doc: &'static str,
    example: &'static str,
}

const fn clause(form: &'static str, doc: &'static str, example: &'static str) -> Clause {
    Clause { form, doc, example }
}

/// All clauses, each beginning with its word.
const CLAUSES: &[Clause] = &[
    clause("at PLACE, …", "where it happens: points", "on insn at main+0x10 trace"),
    clause("in REGION, …", "where it happens: regions", "on block in main count"),
    clause("except REGION, …", "where it does not happen", "on block in .text except main count"),
    clause("when CONDITION", "only if this holds", "on insn at main when x0 > 4 trace"),
    clause("hit COUNTS", "only these times, counted from 1", "on insn at main hit 3, 5..8 trace"),
    clause("once", "the same as `hit 1`", "on insn at main once trace"),
    clause("disabled", "not armed until `enable`", "spy: on insn at main disabled trace"),
    clause("optional", "no error if it matches nothing", "on insn at main optional trace"),
    clause("from NAME, …", "only in calls that come from there", "on call leaf from cold trace"),
    clause("during NAME, …", "only inside a call of it, callees included", "on insn during main count"),
    clause("since PLACE, …", "armed from the first execution of a place", "on insn since main count"),
    clause("until PLACE, …", "armed up to the first execution of a place", "on insn until main count"),
    clause(
        "limit N per PERIOD",
        "at most so often; what is over it is counted",
        "on insn at main limit 10 per 1s trace",
    ),
];

/// Returns the page.
pub fn page() -> String {
    let mut out = String::from(
        "# Reference\n\n\
         This page is made from the tables of the language (`lang/src/reference.rs`); a test keeps it current.\n\
         The guide is [language.md](language.md).\n\
         Rows marked \"not yet\" parse, and a script that uses them is refused with error E0700 before anything runs.\n",
    );
    events(&mut out);
    clauses(&mut out);
    statements(&mut out);
    variables(&mut out);
    functions(&mut out);
    codes(&mut out);
    out
}

fn section(out: &mut String, title: &str, text: &str, columns: &[&str]) {
    let _ = writeln!(out, "\n## {title}\n\n{text}\n");
    row(out, columns);
    row(out, &vec!["---"; columns.len()]);
}

fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

/// Code, or nothing if there is none.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn state(supported: bool) -> &'static str {
    if supported { "" } else { "not yet" }
}

fn events(out: &mut String) {
    let text = "What follows `on`, `before` or `after`.\n\
                Values are those that exist in this event's probes only.";
    section(out, "Events", text, &["event", "argument", "fires at", "moments", "places", "values", "example", ""]);
    for event in probes::TABLE {
        let moments = if event.has_after { "on, after" } else { "on" };
        let places = if event.has_place { "yes" } else { "" };
        let values: Vec<String> = event.values.iter().map(|value| code(value)).collect();
        let (values, example) = (values.join(" "), code(event.example));
        let name = code(event.name);
        row(out, &[&name, event.args, event.doc, moments, places, &values, &example, state(event.supported)]);
    }
}

fn clauses(out: &mut String) {
    let text = "They stand between the event and the action, and work from left to right like a pipe.";
    section(out, "Clauses", text, &["clause", "meaning", "example"]);
    for clause in CLAUSES {
        row(out, &[&code(clause.form), clause.doc, &code(clause.example)]);
    }
}

fn statements(out: &mut String) {
    let text = "A probe without a statement does `trace`.\n\
                Statements that patch are refused under `--read-only`.";
    section(out, "Statements", text, &["statement", "what it does", "example", "patches", ""]);
    for verb in verbs::TABLE {
        let patches = if verb.patches { "yes" } else { "" };
        row(out, &[&code(verb.name), verb.doc, &code(verb.form), patches, state(verb.supported)]);
    }
}

fn variables(out: &mut String) {
    let text = "Static ones depend on the instruction only: they are decided when a block is translated and cost nothing.\n\
                Registers have their names too: `spile list PROGRAM regs` lists those of a program's architecture.";
    section(out, "Variables", text, &["variable", "what it is", "static", "in probes on", "example"]);
    for variable in VARIABLES {
        let fixed = if variable.is_static { "yes" } else { "" };
        let events = variable.events.join(", ");
        let (name, example) = (code(variable.name), code(variable.example));
        row(out, &[&name, variable.doc, fixed, &events, &example]);
    }
}

fn functions(out: &mut String) {
    section(
        out,
        "Functions",
        "They change nothing in the guest.",
        &["function", "result", "what it computes", "example"],
    );
    for function in FUNCTIONS {
        let name = format!("`{}({})`", function.name, function.params);
        row(out, &[&name, function.result, function.doc, &code(function.example)]);
    }
}

fn codes(out: &mut String) {
    let text = "Every error and warning has a code that stays; `spile explain E0103` shows its page.";
    section(out, "Codes", text, &["code", "what is wrong", "given", "script", "repaired"]);
    for page in codes::TABLE {
        row(out, &[&code(page.code), page.title, page.given.text(), &script(page.wrong), &script(page.right)]);
    }
}

/// A script as code in one cell.
fn script(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(code).collect();
    lines.join("<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clause_is_listed_once() {
        let mut listed: Vec<&str> = CLAUSES.iter().filter_map(|clause| clause.form.split(' ').next()).collect();
        let mut known = crate::explain::CLAUSES.to_vec();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn examples_of_clauses_parse() {
        for clause in CLAUSES {
            let sources = crate::source::Sources::single("clause", clause.example);
            let (_, diagnostics) = crate::dump_ast(&sources);
            assert!(diagnostics.is_empty(), "{}", clause.example);
        }
    }
}
