//! Whatever the input is, compiling it ends soon and does not panic; and what it reports can be drawn.

mod common;

use std::time::{Duration, Instant};

use common::{compile, scripts, survives};

/// Generous: what is linear needs a fraction of it, what is quadratic much more.
const SOON: Duration = Duration::from_secs(60);

fn soon(what: &str, text: &str) -> Vec<&'static str> {
    let start = Instant::now();
    let codes = survives(text.as_bytes());
    let needed = start.elapsed();
    assert!(needed < SOON, "{what} needed {needed:?}");
    codes
}

#[test]
fn deep_nesting_is_refused_politely() {
    let n = 5000;
    let nested = [
        ("parentheses", "(".repeat(n) + "1" + &")".repeat(n)),
        ("open parentheses", "(".repeat(n)),
        ("minus", "- ".repeat(n) + "1"),
        ("not", "not ".repeat(n) + "1"),
        ("tilde", "~".repeat(n) + "1"),
        ("memory", "u8[".repeat(n) + "1" + &"]".repeat(n)),
        ("map keys", "@m[".repeat(n) + "1" + &"]".repeat(n)),
        ("calls", "abs(".repeat(n) + "1" + &")".repeat(n)),
        ("strings", "\"{".repeat(n) + "1" + &"}\"".repeat(n)),
        ("open strings", "\"{".repeat(n)),
        ("if", "if 1 { ".repeat(n) + "1" + &" } else { 2 }".repeat(n)),
        ("else if", "if 1 { 2 } else ".repeat(n) + "{ 3 }"),
        ("casts", "1".to_string() + &" as u8".repeat(n)),
        ("within", "1".to_string() + &" within {1}".repeat(n)),
        ("sums", "1".to_string() + &" + 1".repeat(n)),
        ("logic", "1".to_string() + &" and 1".repeat(n)),
        ("fields", "x0".to_string() + &".a".repeat(n)),
    ];
    for (what, text) in nested {
        let codes = soon(what, &format!("on insn at f print {text}\non end prnt"));
        assert!(!codes.is_empty(), "{what}");
        assert!(codes.contains(&"E0102") || codes.contains(&"E0115"), "{what} hides the next item: {codes:?}");
    }
    let blocks = format!("on insn at f {{ {} }}", "if x0 { ".repeat(n) + &"} ".repeat(n));
    assert_eq!(soon("blocks", &blocks), ["E0107"]);
    let chain = format!("on insn at f {{ {} {{ }} }}", "if x0 { } else ".repeat(n));
    assert_eq!(soon("else if statements", &chain), ["E0107"]);
}

#[test]
fn nesting_below_the_limit_is_accepted() {
    let text = format!("on insn at f print {}1{}", "(".repeat(190), ")".repeat(190));
    assert!(survives(text.as_bytes()).is_empty());
    let text = format!("on insn at f print 1{}", " + x0".repeat(190));
    assert!(survives(text.as_bytes()).is_empty());
    let text = format!("on insn at f {{ {} trace {} }}", "if x0 { ".repeat(150), "} ".repeat(150));
    assert!(survives(text.as_bytes()).is_empty());
}

#[test]
fn functions_cannot_grow_without_bounds() {
    let mut text = String::from("fn f0(x) = x + x\n");
    for i in 1..60 {
        text += &format!("fn f{i}(x) = f{}(f{}(x))\n", i - 1, i - 1);
    }
    text += "on insn at f print f59(x0)\n";
    assert!(soon("inlining", &text).contains(&"E0107"));
    let mut chain = String::from("fn g0(x) = x + 1\n");
    for i in 1..2000 {
        chain += &format!("fn g{i}(x) = g{}(x) + 1\n", i - 1);
    }
    chain += "on insn at f print g1999(x0)\n";
    assert!(soon("a chain of functions", &chain).contains(&"E0107"));
}

/// Ten megabytes are refused; a megabyte is read, and anything quadratic would show in it.
#[test]
fn large_garbage_ends_soon() {
    const SIZE: usize = 1 << 20;
    let fill = |piece: &str| piece.repeat(SIZE / piece.len());
    assert_eq!(soon("10 MB", &"x".repeat(10 << 20)), ["E0117"]);
    let many = |piece: fn(usize) -> String| (0..8_000).map(piece).collect::<String>();
    let kinds = [
        ("unknown names", many(|i| format!("on insn at f print name{i}\n"))),
        ("unknown words", many(|i| format!("on insn at f do{i} x\n"))),
        ("unknown events", many(|i| format!("on ev{i}\n"))),
        ("unknown functions", many(|i| format!("on insn at f print fu{i}()\n"))),
        ("unknown globals", many(|i| format!("on insn at f print @g{i}\n"))),
        ("undeclared variables", many(|i| format!("on insn at f v{i} = 1\n"))),
        ("globals", many(|i| format!("on insn at f @g{i} = {i}\n"))),
        ("labels", many(|i| format!("l{i}: on insn at f enable l{i}, m\n"))),
        ("one word", fill("x")),
        ("words", fill("garbage ")),
        ("lines", fill("garbage\n")),
        ("bad probes", fill("on insn at f wriet x0 = 5\n")),
        ("open blocks", fill("on begin { print \"x\n")),
        ("quotes", fill("\"")),
        ("quoted braces", fill("\"{")),
        ("braces", fill("{")),
        ("brace lines", fill("on begin {\n")),
        ("closing braces", fill("}")),
        ("dollars", fill("$")),
        ("newlines", fill("\n")),
        ("spaces", fill(" ")),
        ("a block that never ends", format!("on begin {{ {}", fill("trace\n"))),
        ("one line of probes", fill("on insn at f print x0 x1 ")),
        ("slashes", format!("on insn {}", fill("/"))),
        ("a list", format!("on insn at {}", fill("f, "))),
    ];
    for (what, text) in kinds {
        soon(what, &text);
    }
}

#[test]
fn a_long_correct_script_compiles() {
    let text = "on insn at main+0x10 when x0 > 4 hit 3 { write x0 = 5; print \"x0 {x0:#x}\", x1 }\n".repeat(4000);
    assert!(soon("4000 probes", &text).is_empty());
}

#[test]
fn bytes_of_all_kinds_are_survived() {
    survives(&(0..=255).collect::<Vec<u8>>());
    survives(b"\0\0\0");
    survives("on insn at f print \"\u{1f600} {x0}\" \u{feff}".as_bytes());
    survives("\u{feff}on insn at f trace".as_bytes());
    survives(b"on insn at f print \"\x1b[31m\r\n");
    survives(b"on insn at f trace\r\non insn at g trace\r\n");
}

#[test]
fn windows_line_ends_are_fine() {
    let (program, diagnostics, _) = compile("on insn at f {\r\n  write x0 = 1\r\n  print x0\r\n}\r\n");
    assert!(program.is_some(), "{diagnostics:?}");
}

#[test]
fn every_truncation_is_survived() {
    for (_, text) in scripts("ok").into_iter().chain(scripts("err")) {
        if text.len() > 1200 {
            continue;
        }
        for (end, _) in text.char_indices() {
            survives(&text.as_bytes()[..end]);
        }
    }
}

/// A small generator of pseudo-random numbers: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

#[test]
fn random_mutations_are_survived() {
    const PIECES: [&str; 24] = [
        "{", "}", "(", ")", "\"", "/", "@", "..", "=", "==", "on ", "when ", "\n", ";", "#", "$", "0x", " x0 ", ",",
        "[", "]", "if ", "else ", "\u{e9}",
    ];
    let mut random = Random(0x5eed);
    let all: Vec<_> = scripts("ok").into_iter().chain(scripts("err")).collect();
    for round in 0..3000 {
        let (_, text) = &all[round % all.len()];
        let mut bytes = text.clone().into_bytes();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => {
                    let to = (at + 1 + random.below(8)).min(bytes.len());
                    bytes.drain(at..to);
                }
                2 => {
                    let piece = PIECES[random.below(PIECES.len())];
                    bytes.splice(at..at, piece.bytes());
                }
                _ => {
                    let other = random.below(bytes.len());
                    bytes.swap(at, other);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        survives(&bytes);
    }
}
