//! Data-driven tests: what parses, what compiles to which IR, and what every diagnostic looks like.
//!
//! `BLESS=1 cargo test -p spile-lang` rewrites the expected files.

mod common;

use std::path::Path;

use common::{Arm, compile, data, rendered, scripts};
use spile_lang::debug::NoDebugInfo;
use spile_lang::source::Sources;

/// Compares with an expected file, or writes it when blessing; returns what is wrong.
fn check(path: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, actual).expect("the data folder is writable");
        return None;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    (expected != actual).then(|| format!("--- {}\n{expected}\n+++ now\n{actual}", path.display()))
}

fn report(wrong: Vec<String>) {
    assert!(
        wrong.is_empty(),
        "{} files differ; to accept: BLESS=1 cargo test -p spile-lang\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_example_parses() {
    let all = scripts("ok");
    assert!(all.len() >= 60);
    for (path, text) in all {
        let sources = common::sources("ok", &text);
        let (tree, diagnostics) = spile_lang::dump_ast(&sources);
        let shown = rendered(&diagnostics, &sources);
        assert!(diagnostics.is_empty(), "{}\n{shown}", path.display());
        assert!(!tree.is_empty(), "{}", path.display());
    }
}

/// Every example either compiles, or is refused for nothing but what this version does not support.
#[test]
fn examples_compile_or_say_what_is_missing() {
    let mut wrong = Vec::new();
    for (path, text) in scripts("ok") {
        let (program, diagnostics, sources) = compile(&text);
        let actual = match program {
            Some(program) => format!("{program}{}", rendered(&diagnostics, &sources)),
            None => rendered(&diagnostics, &sources),
        };
        wrong.extend(check(&path.with_extension("ir"), &actual));
    }
    report(wrong);
}

#[test]
fn diagnostics_look_as_expected() {
    let mut wrong = Vec::new();
    for (path, text) in scripts("err") {
        let (program, diagnostics, sources) = compile(&text);
        assert!(program.is_none() || !diagnostics.is_empty(), "{} compiles", path.display());
        wrong.extend(check(&path.with_extension("err"), &rendered(&diagnostics, &sources)));
    }
    report(wrong);
}

#[test]
fn the_seed_sentence_compiles() {
    let (program, diagnostics, _) = compile("on insn at 0x800 write x0 = 5");
    assert!(diagnostics.is_empty());
    assert_eq!(program.expect("compiles").to_string(), "probe 0 -e:1\n  on insn\n  at 0x800\n  write x0 = 5\n");
}

#[test]
fn all_table_examples_compile() {
    let mut texts: Vec<String> = Vec::new();
    let supported = |event: &&spile_lang::probes::Event| event.supported;
    texts.extend(spile_lang::probes::TABLE.iter().filter(supported).map(|e| e.example.to_string()));
    for variable in spile_lang::builtins::VARIABLES {
        texts.push(variable.example.to_string());
    }
    for function in spile_lang::builtins::FUNCTIONS.iter() {
        let example = function.example;
        texts.push(format!("param nth = 1\non insn at main {{ @seen[x0] = 1; print {example} }}"));
    }
    for verb in spile_lang::verbs::TABLE.iter().filter(|v| v.supported) {
        let form = verb.form;
        texts.push(format!("spy: on call main {{ @calls = 1; @live[x0] = 1; {form} }}"));
    }
    for text in texts {
        let text = text.replace("@calls = 1; ", if text.contains("into @calls") { "" } else { "@calls = 1; " });
        let (_, diagnostics, sources) = compile(&text);
        let shown = rendered(&diagnostics, &sources);
        assert!(!diagnostics.has_errors(), "{text}\n{shown}");
    }
}

/// Every code that the sources use has an expected picture.
#[test]
fn every_code_has_a_golden_file() {
    let mut codes = std::collections::BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    collect(&sources, &mut codes);
    assert!(codes.len() > 30);
    let mut shown = String::new();
    for entry in std::fs::read_dir(data("err")).expect("the data folder exists").flatten() {
        if entry.path().extension().is_some_and(|e| e == "err") {
            shown.push_str(&std::fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    let missing: Vec<&String> = codes.iter().filter(|code| !shown.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "no golden file shows {missing:?}");
}

/// Codes that no `.spile` file can cause; `robust.rs` and the tests below have them.
const ELSEWHERE: [&str; 4] = ["E0116", "E0117", "E0422", "E0425"];

fn collect(folder: &Path, codes: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("sources exist").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, codes);
            continue;
        }
        // The pages have those of the runtime too.
        if path.ends_with("src/codes.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for (at, _) in text.match_indices("\"E0").chain(text.match_indices("\"W0")) {
            let code = &text[at + 1..at + 6];
            let end = text[at + 6..].starts_with('"');
            if end && !ELSEWHERE.contains(&code) {
                codes.insert(code.to_string());
            }
        }
    }
}

#[test]
fn command_line_parameters_are_checked() {
    let sources = Sources::single("-e", "param nth = 1\non insn at f hit nth write x0 = nth");
    let with = |name: &str, value: &str| {
        let options = spile_lang::Options { params: vec![(name.to_string(), value.to_string())], ..Default::default() };
        spile_lang::compile_with(&sources, &Arm, &NoDebugInfo, &options)
    };
    let (program, _) = with("nth", "0x10");
    let text = program.expect("compiles").to_string();
    assert!(text.contains("hit 16") && text.contains("x0 = 16"), "{text}");
    for (name, value) in [("nht", "1"), ("nth", "many"), ("other", "1")] {
        let (program, diagnostics) = with(name, value);
        assert!(program.is_none());
        assert!(diagnostics.iter().any(|d| d.code == "E0422"), "{diagnostics:?}");
    }
}

#[test]
fn read_only_runs_refuse_patches() {
    let sources = Sources::single("-e", "on insn at f { if x0 == 1 { write x0 = 2 } print x0; skip }");
    let options = spile_lang::Options { read_only: true, ..Default::default() };
    let (program, diagnostics) = spile_lang::compile_with(&sources, &Arm, &NoDebugInfo, &options);
    assert!(program.is_none());
    assert_eq!(diagnostics.iter().filter(|d| d.code == "E0425").count(), 2);
}

#[test]
fn bytes_that_are_no_text_are_reported() {
    let sources = Sources::single("a.spile", b"on insn at f trace\n\xff\xfe");
    let (program, diagnostics) = spile_lang::compile(&sources, &Arm);
    assert!(program.is_none());
    assert_eq!(diagnostics.iter().next().map(|d| d.code), Some("E0116"));
    let json = spile_lang::render::json(&diagnostics, &sources);
    assert!(json.contains("\"code\":\"E0116\"") && json.contains("\"file\":\"a.spile\""), "{json}");
}

#[test]
fn an_empty_script_is_an_empty_program() {
    for text in ["", "\n\n", "# nothing\n", "  ;  "] {
        let (program, diagnostics, _) = compile(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert_eq!(program.map(|p| p.probes.len()), Some(0));
    }
}

#[test]
fn errors_of_several_sources_come_in_order() {
    let mut sources = Sources::new();
    sources.add("-e", "const A = 1\non ins trace");
    sources.add("-e:2", "const A = 2\non insn wriet x0 = 5");
    let (_, diagnostics) = spile_lang::compile(&sources, &Arm);
    let codes: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["E0101", "E0410", "E0102"]);
    assert!(rendered(&diagnostics, &sources).contains("-e:1"));
}

#[test]
fn more_than_twenty_errors_are_counted() {
    let text = "on insn at f prnt x0\n".repeat(50);
    let (_, diagnostics, sources) = compile(&text);
    assert_eq!(diagnostics.len(), 21);
    assert!(rendered(&diagnostics, &sources).contains("30 more errors are not shown"));
}

#[test]
fn unnamed_aggregations_are_separate_states() {
    let (program, _, _) = compile("on insn at f { count  by func; count by func }");
    let states = program.expect("compiles").states;
    assert_eq!(states.len(), 2);
    assert!(states.iter().all(|state| state.name == "count by func" && state.unnamed));
}
