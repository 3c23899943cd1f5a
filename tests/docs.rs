//! The documents are true: their scripts compile, their commands print what they show, the reference is current.
//!
//! Fenced blocks in `*.md` and `docs/*.md` are looked at by their language:
//! - `spile`: one script, which must compile without a finding;
//! - `spile,refused`: one script a line, each of which parses and is refused with E0700;
//! - `console`: after each `$ spile …` line, what the command prints, standard output and standard error together.
//!
//! `BLESS=1 cargo test --test docs` writes the outputs and the reference anew; read the difference before committing.

use spile_lang::diag::Diagnostics;
use spile_lang::render::{Style, render};
use spile_lang::source::Sources;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn blesses() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// README.md and its siblings, and `docs/`.
fn documents() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a readable folder"));
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|suffix| suffix == "md")).collect();
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Calls `f` with the line number, language and text of each fenced block, and puts what it returns in its place.
fn map_blocks(text: &str, mut f: impl FnMut(usize, &str, &str) -> String) -> String {
    let mut out = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let _ = writeln!(out, "{line}");
        let Some(language) = line.strip_prefix("```") else { continue };
        let mut block = String::new();
        for (_, inner) in lines.by_ref() {
            if inner == "```" {
                break;
            }
            let _ = writeln!(block, "{inner}");
        }
        out.push_str(&f(number + 2, language, &block));
        out.push_str("```\n");
    }
    out
}

/// Blocks of one language: file name and line, text.
fn blocks(wanted: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in documents() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        map_blocks(&read(&path), |line, language, block| {
            if language == wanted {
                found.push((format!("{name}:{line}"), block.to_owned()));
            }
            block.to_owned()
        });
    }
    found
}

fn compile(text: &str) -> (bool, Diagnostics, String) {
    let isa = spile_runtime::isa::all()[0];
    let sources = Sources::single("script", text);
    let (program, diagnostics) = spile_lang::compile(&sources, isa);
    let shown = render(&diagnostics, &sources, Style { ascii: true, ..Style::default() });
    (program.is_some(), diagnostics, shown)
}

#[test]
fn scripts_compile() {
    let blocks = blocks("spile");
    assert!(blocks.len() >= 10, "the documents show scripts");
    let mut wrong = String::new();
    for (place, text) in blocks {
        let (compiled, diagnostics, shown) = compile(&text);
        if !compiled || !diagnostics.is_empty() {
            let _ = writeln!(wrong, "{place}:\n{shown}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn refused_scripts_are_refused() {
    let blocks = blocks("spile,refused");
    assert!(!blocks.is_empty(), "the documents say what is not supported yet");
    let mut wrong = String::new();
    for (place, text) in blocks {
        for script in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let (compiled, diagnostics, shown) = compile(script);
            if compiled || diagnostics.iter().any(|diagnostic| diagnostic.code != "E0700") {
                let _ = writeln!(wrong, "{place}: {script}\n{shown}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Runs a command line of a document as a shell would, in the repository, and returns what it prints.
fn run(line: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_spile"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = binary.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(root());
    command.env("PATH", std::env::join_paths(folders).expect("a search path")).env_remove("SPILE_SYSROOT");
    command.stdin(std::process::Stdio::null());
    command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let mut child = command.spawn().expect("a shell");
    // The writing ends that the command holds keep the pipe open.
    drop(command);
    let mut output = Vec::new();
    reader.read_to_end(&mut output).expect("output");
    child.wait().expect("an end");
    String::from_utf8_lossy(&output).into_owned()
}

/// A console block with the outputs that its commands have now.
fn fresh(block: &str) -> String {
    let mut out = String::new();
    for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let _ = writeln!(out, "$ {command}");
        let output = run(command);
        out.push_str(&output);
        if !output.is_empty() && !output.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

#[test]
fn commands_print_what_the_documents_show() {
    let mut wrong = String::new();
    for path in documents() {
        let text = read(&path);
        let now = map_blocks(&text, |line, language, block| {
            if language != "console" {
                return block.to_owned();
            }
            let now = fresh(block);
            if now != block && !blesses() {
                let _ = writeln!(wrong, "--- {}:{line}\n{block}+++ now\n{now}", path.display());
            }
            now
        });
        if blesses() && now != text {
            std::fs::write(&path, now).expect("the document is writable");
        }
    }
    assert!(wrong.is_empty(), "{wrong}\nto accept: BLESS=1 cargo test --test docs");
}

#[test]
fn reference_is_current() {
    let path = root().join("docs/reference.md");
    let page = spile_lang::reference::page();
    if blesses() {
        std::fs::write(&path, &page).expect("the reference is writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/reference.md is not current; to write it: BLESS=1 cargo test --test docs");
}
