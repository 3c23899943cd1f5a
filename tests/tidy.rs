//! The invariants of ARCHITECTURE.md that a look at the files can check: what is absent stays absent.
//!
//! Each test collects all violations before it fails, and each exception stands in a list with its reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files that may contain unsafe code. Each says so in its header and gives the rules it keeps.
const UNSAFE: [&str; 6] = [
    "runtime/src/jit/code.rs",
    "runtime/src/jit/helpers.rs",
    "runtime/src/linux/host.rs",
    "runtime/src/linux/schedule/calls.rs",
    "runtime/src/linux/schedule/page.rs",
    "runtime/src/mem/host.rs",
];

/// Names of guest architectures, in lower case.
const ARCHITECTURES: [&str; 6] = ["aarch64", "arm64", "armv", "riscv", "rv64", "rv32"];

/// Lines outside `runtime/src/isa` that name one all the same, with the reason.
const NAMES_ALLOWED: [(&str, &str); 2] = [
    ("cli/args.rs", "examples in help texts are for a real architecture"),
    ("runtime/src/linux/table.rs", "system calls of one architecture are named after it"),
];

/// What the language crate may depend on: nothing that touches the machine or generates code.
const LANG_DEPENDENCIES: [&str; 4] = ["miette", "pest", "pest_derive", "regex"];

/// Most packages in Cargo.lock, our own included.
const MOST_PACKAGES: usize = 140;

/// Most bytes of a guest program in the repository.
const MOST_GUEST_BYTES: u64 = 20 * 1024;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match path.is_dir() {
            true if matches!(name, "target" | ".git" | "node_modules") => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// All files of the repository below `folder`: path relative to the root.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    let relative = |path: PathBuf| path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    let mut found: Vec<String> = found.into_iter().map(relative).collect();
    found.sort();
    found
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Rust files below `folders`, with their text.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let all = folders.iter().flat_map(|folder| files(folder));
    all.filter(|path| path.ends_with(".rs")).map(|path| (path.clone(), read(&path))).collect()
}

/// The crates' own sources.
fn code() -> Vec<(String, String)> {
    sources(&["lang/src", "runtime/src", "cli", "bench/src", "tests/qemu/src"])
}

/// The line without its comment. A `//` in a string cuts too much, which hides nothing that matters here.
fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// The text of a module up to its tests, which stand last.
fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text).to_owned()
}

/// True if `word` stands in `line` by itself.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part) && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// Lines of code, comments removed, for which `is_wrong` holds.
fn lines_with(sources: &[(String, String)], is_wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources {
        for (number, line) in text.lines().enumerate() {
            if is_wrong(path, without_comment(line)) {
                wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    wrong
}

fn report(rule: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let all = sources(&["lang", "runtime", "cli", "bench", "tests", "fuzz/targets"]);
    let wrong: Vec<String> =
        all.into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    report("a module opens with `//!` and a sentence", &wrong);
}

#[test]
fn only_isa_names_architectures() {
    let outside: Vec<_> = sources(&["lang/src", "runtime/src", "cli"])
        .into_iter()
        .filter(|(path, _)| !path.starts_with("runtime/src/isa/"))
        .filter(|(path, _)| !NAMES_ALLOWED.iter().any(|(allowed, _)| allowed == path))
        .collect();
    let wrong = lines_with(&outside, |_, line| {
        let line = line.to_lowercase();
        ARCHITECTURES.iter().any(|name| line.contains(name))
    });
    report("only `runtime/src/isa` names a guest architecture in code", &wrong);
}

#[test]
fn exceptions_are_needed() {
    for (path, reason) in NAMES_ALLOWED {
        let text = read(path).to_lowercase();
        assert!(ARCHITECTURES.iter().any(|name| text.contains(name)), "{path} needs no exception ({reason})");
    }
}

#[test]
fn isa_does_not_know_the_compiler() {
    let wrong = lines_with(&sources(&["runtime/src/isa", "runtime/src/linux", "runtime/src/probe"]), |_, line| {
        line.to_lowercase().contains("cranelift") || line.contains("crate::jit")
    });
    report("guest architectures, system calls and probes know nothing of the compiling tier", &wrong);
}

#[test]
fn compiler_stays_in_its_directory() {
    let outside: Vec<_> =
        sources(&["runtime/src"]).into_iter().filter(|(path, _)| !path.starts_with("runtime/src/jit/")).collect();
    report("only `runtime/src/jit` uses Cranelift", &lines_with(&outside, |_, line| line.contains("cranelift")));
}

#[test]
fn linux_handlers_do_not_see_registers() {
    let allowed = ["runtime/src/linux/mod.rs", "runtime/src/linux/signal.rs", "runtime/src/linux/start.rs"];
    let handlers: Vec<_> =
        sources(&["runtime/src/linux"]).into_iter().filter(|(path, _)| !allowed.contains(&path.as_str())).collect();
    let wrong = lines_with(&handlers, |_, line| line.contains("CpuState"));
    report("system call handlers get decoded arguments, not the CPU state", &wrong);
}

#[test]
fn unsafe_code_is_in_the_marked_files() {
    let wrong = lines_with(&code(), |path, line| has_word(line, "unsafe") && !UNSAFE.contains(&path));
    report("unsafe code is in the files that `tests/tidy.rs` lists", &wrong);
    for path in UNSAFE {
        let text = read(path);
        assert!(text.contains("Unsafe code lives here"), "{path} says in its header that it holds unsafe code");
        assert!(text.contains("#![allow(unsafe_code, reason ="), "{path} allows unsafe code, with a reason");
    }
    assert!(read("lang/src/lib.rs").contains("#![forbid(unsafe_code)]"), "the language has no unsafe code");
    assert!(read("Cargo.toml").contains("unsafe_code = \"deny\""), "the workspace denies unsafe code elsewhere");
}

#[test]
fn language_is_pure() {
    let absent = ["std::fs", "std::env", "std::io", "std::time", "std::process", "std::net", "std::thread"];
    let wrong = lines_with(&sources(&["lang/src"]), |_, line| absent.iter().any(|name| line.contains(name)));
    report("the language reads no files, clocks or environment", &wrong);
}

#[test]
fn only_the_command_line_talks() {
    let absent = ["println!", "print!", "eprintln!", "eprint!", "std::process::exit", "env::args", "env::var"];
    let libraries = sources(&["lang/src", "runtime/src"]).into_iter();
    let libraries: Vec<_> = libraries.map(|(path, text)| (path, without_tests(&text))).collect();
    let wrong = lines_with(&libraries, |_, line| absent.iter().any(|name| line.contains(name)));
    report("libraries do not print, exit, or read arguments and environment", &wrong);
}

#[test]
fn nothing_is_left_undone() {
    let absent = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    let all: Vec<_> = sources(&["lang", "runtime", "cli", "bench", "tests"])
        .into_iter()
        .filter(|(path, _)| path != "tests/tidy.rs")
        .collect();
    let wrong = lines_with(&all, |_, line| absent.iter().any(|name| line.contains(name)));
    report("no holes and no ignored tests", &wrong);
}

#[test]
fn every_allow_has_a_reason() {
    let mut wrong = Vec::new();
    for (path, text) in code() {
        let attributes = text.match_indices("allow(").filter(|&(at, _)| text[..at].ends_with(['[']));
        for (at, _) in attributes {
            let attribute = text[at..].split(']').next().unwrap_or_default();
            if !attribute.contains("reason =") {
                wrong.push(format!("{path}: {attribute}"));
            }
        }
    }
    report("an `allow` says why", &wrong);
}

/// The names in a section of a manifest.
fn section(manifest: &str, name: &str) -> BTreeSet<String> {
    let header = format!("[{name}]");
    let lines = manifest.lines().skip_while(|line| line.trim() != header).skip(1);
    let rows = lines.take_while(|line| !line.starts_with('['));
    rows.filter_map(|row| row.split_once('='))
        .map(|(name, _)| name.trim().trim_end_matches(".workspace").to_owned())
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let lang = section(&read("lang/Cargo.toml"), "dependencies");
    assert_eq!(lang, LANG_DEPENDENCIES.map(str::to_owned).into(), "what the language depends on");
    let runtime = section(&read("runtime/Cargo.toml"), "dependencies");
    assert!(runtime.contains("spile-lang") && !runtime.contains("spile"), "the engine depends on the language");
    assert!(!runtime.contains("clap"), "the engine has no command line");
    let cli = section(&read("Cargo.toml"), "dependencies");
    assert!(cli.iter().all(|name| !name.starts_with("cranelift")), "the command line knows no compiler");
    let engine: Vec<_> =
        sources(&["runtime/src"]).into_iter().map(|(path, text)| (path, without_tests(&text))).collect();
    let wrong = lines_with(&engine, |_, line| {
        ["spile_lang::compile", "spile_lang::dump_ast", "spile_lang::check", "spile_lang::parse"]
            .iter()
            .any(|name| line.contains(name))
    });
    report("the engine sees checked programs and nothing before them", &wrong);
}

#[test]
fn versions_stand_in_one_place() {
    let mut wrong = Vec::new();
    for path in ["lang/Cargo.toml", "runtime/Cargo.toml", "Cargo.toml"] {
        let manifest = read(path);
        let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
        let rows = lines.take_while(|line| !line.starts_with('[')).filter(|row| row.contains('='));
        wrong.extend(rows.filter(|row| !row.contains("workspace = true")).map(|row| format!("{path}: {row}")));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{path} uses the workspace's lints");
    }
    report("versions stand in the workspace's manifest", &wrong);
}

#[test]
fn few_packages_are_needed() {
    let packages = read("Cargo.lock").lines().filter(|line| *line == "[[package]]").count();
    assert!(packages <= MOST_PACKAGES, "{packages} packages in Cargo.lock; the limit is {MOST_PACKAGES}");
}

#[test]
fn guests_are_small() {
    let programs = files("tests/guest/bin").into_iter().chain(files("bench/guest"));
    let size = |path: &str| std::fs::metadata(root().join(path)).expect("a file").len();
    let wrong: Vec<String> = programs.filter(|path| size(path) > MOST_GUEST_BYTES).collect();
    report("guest programs are at most 20 KiB", &wrong);
}

#[test]
fn guests_have_sources() {
    let all: BTreeSet<String> = files("tests/guest").into_iter().collect();
    let has_source = |program: &str| {
        // A name that a script speaks of, and libraries that are all made of one file.
        if program == "tests/guest/bin/a.out" || program.starts_with("tests/guest/bin/lib/") {
            return ["main.c", "library.c"].iter().all(|source| all.contains(&format!("tests/guest/{source}")));
        }
        let name = Path::new(program).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        // `records-O2` is made of `records.c`.
        let name = name.split('-').next().unwrap_or_default();
        ["c", "S"].iter().any(|suffix| all.contains(&format!("tests/guest/{name}.{suffix}")))
    };
    let programs = files("tests/guest/bin").into_iter().filter(|path| !path.starts_with("tests/guest/bin/debug/"));
    let wrong: Vec<String> = programs.filter(|program| !has_source(program)).collect();
    report("each guest program has its source beside it", &wrong);
}

/// Text files that are ours: not built, not a lock file.
fn texts() -> Vec<(String, String)> {
    let suffixes = [".rs", ".md", ".toml", ".spile", ".pest", ".sh", ".yml", ".c", ".S", ".txt", ".ins", ".err", ".ir"];
    let all = files(".").into_iter().map(|path| path.trim_start_matches("./").to_owned());
    let ours = all.filter(|path| suffixes.iter().any(|suffix| path.ends_with(suffix)) && path != "tests/tidy.rs");
    ours.map(|path| (path.clone(), read(&path))).collect()
}

#[test]
fn no_machine_paths() {
    let paths = ["/home/", "/work/", "/Users/", "/root/."];
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            // A path begins behind something that is no path: `$work/x` and `target/work/x` are fine.
            let is_path = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_./}-".contains(c));
            if paths.iter().any(|needle| line.match_indices(needle).any(|(at, _)| is_path(at))) {
                wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report("no file names a path of somebody's machine", &wrong);
}

#[test]
fn every_folder_with_a_readme_is_mentioned() {
    let map = read("ARCHITECTURE.md") + &read("CONTRIBUTING.md") + &read("README.md");
    let readmes = files(".").into_iter().map(|path| path.trim_start_matches("./").to_owned());
    let folders = readmes.filter_map(|path| path.strip_suffix("/README.md").map(str::to_owned));
    let wrong: Vec<String> = folders.filter(|folder| !map.contains(folder.as_str())).collect();
    report("README, ARCHITECTURE or CONTRIBUTING mentions each folder that has a README", &wrong);
}

#[test]
fn files_named_in_the_documents_exist() {
    let mut wrong = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/language.md", "docs/isolation.md"] {
        for name in read(document).split('`').skip(1).step_by(2) {
            let starts = ["lang/", "runtime/", "cli/", "grammar/", "tests/", "docs/", "bench/", "examples/", ".ci/"];
            let is_path = starts.iter().any(|start| name.starts_with(start)) && !name.contains([' ', '*', '<', '{']);
            if is_path && !root().join(name).exists() {
                wrong.push(format!("{document}: {name}"));
            }
        }
    }
    report("documents name files that exist", &wrong);
}

#[test]
fn documents_keep_their_size() {
    for (path, limit) in [("README.md", 200), ("ARCHITECTURE.md", 300)] {
        let lines = read(path).lines().count();
        assert!(lines <= limit, "{path} has {lines} lines; the limit is {limit}");
    }
}
