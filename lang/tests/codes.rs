//! Each stable code has a page, and what the pages say is true.

mod common;

use common::{compile, rendered};
use spile_lang::codes::{self, Given, TABLE};
use std::collections::BTreeSet;
use std::path::Path;

/// All codes that stand as literals in the sources below a folder, tests left out.
fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("sources exist").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, codes);
            continue;
        }
        if path.ends_with("lang/src/codes.rs") || path.extension().is_none_or(|suffix| suffix != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for piece in text.split('"') {
            let is_code = piece.len() == 5 && piece.starts_with(['E', 'W', 'R']) && piece[1..].starts_with('0');
            if is_code && piece[1..].bytes().all(|byte| byte.is_ascii_digit()) {
                codes.insert(piece.to_owned());
            }
        }
    }
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut used = BTreeSet::new();
    ["lang/src", "runtime/src", "cli"].iter().for_each(|folder| collect(&root.join(folder), &mut used));
    assert!(used.len() > 60, "{used:?}");
    let pages: BTreeSet<String> = TABLE.iter().map(|page| page.code.to_owned()).collect();
    let without: Vec<&String> = used.difference(&pages).collect();
    assert!(without.is_empty(), "codes without a page in lang/src/codes.rs: {without:?}");
    let unused: Vec<&String> = pages.difference(&used).collect();
    assert!(unused.is_empty(), "pages of codes that nothing gives: {unused:?}");
    let families = |code: &str| {
        (["E01", "E03", "E04", "E07", "W05", "R06"].iter().position(|f| code.starts_with(f)), code.to_owned())
    };
    assert!(TABLE.is_sorted_by_key(|page| families(page.code)), "pages are sorted");
    assert_eq!(pages.len(), TABLE.len(), "each code has one page");
}

#[test]
fn wrong_scripts_give_their_codes_and_right_ones_none() {
    let mut failures = String::new();
    for page in TABLE {
        let (_, diagnostics, sources) = compile(page.wrong);
        let gives = diagnostics.iter().any(|d| d.code == page.code);
        // The files that pages use are there in tests, but for the one whose name is wrong.
        let alone = page.given == Given::Script || page.wrong.contains("use \"");
        if gives != alone || (!alone && diagnostics.has_errors()) {
            failures +=
                &format!("{}: wrong is not {}:\n{}", page.code, page.given.text(), rendered(&diagnostics, &sources));
        }
        let (program, diagnostics, sources) = compile(page.right);
        if program.is_none() || !diagnostics.is_empty() {
            failures += &format!("{}: right is not right:\n{}", page.code, rendered(&diagnostics, &sources));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn unknown_codes_have_candidates() {
    assert_eq!(codes::candidates("W0601"), ["R0601"]);
    assert_eq!(codes::candidates("103"), ["E0103"]);
    assert!(codes::candidates("E0399").contains(&"E0301"));
    assert!(codes::candidates("nonsense").is_empty() && codes::candidates("").len() == TABLE.len());
    assert!(codes::candidates("é").is_empty());
    assert_eq!(codes::find("e0103").map(|page| page.code), Some("E0103"));
}

#[test]
fn pages_are_in_the_words_of_the_style() {
    for page in TABLE {
        assert!(!page.title.ends_with('.') && page.text.ends_with('.'), "{}", page.code);
        assert!(codes::text(page).lines().all(|line| line.chars().count() <= 130), "{}", page.code);
    }
}
