//! The reader on the guest programs with debug information, and on damaged ones.

use super::*;
use crate::isa::Isa;
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection};
use spile_lang::debug::{DataType, TypeId};
use spile_lang::ir::{ExprKind, MemType, VariableKind};
use spile_lang::span::Span;
use spile_lang::types::Type;

const WORD: MemType = MemType { bytes: 8, signed: false, big_endian: false, ty: Type::Word };

fn isa() -> &'static dyn Isa {
    crate::isa::all()[0]
}

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guest").join(name)
}

fn open(name: &str) -> DebugFile {
    let path = guest("bin").join(name);
    DebugFile::read(&path, &std::fs::read(&path).unwrap(), &[guest("bin/debug")])
}

/// The line of the source that has this text.
fn line_with(text: &str) -> u32 {
    let source = std::fs::read_to_string(guest("records.c")).unwrap();
    source.lines().position(|line| line.contains(text)).unwrap() as u32 + 1
}

fn starts(file: &DebugFile, text: &str) -> Vec<u64> {
    file.line_starts(|path| is_path(path, "records.c"), line_with(text))
}

#[test]
fn lines_lead_to_addresses_and_back() {
    for name in ["records", "records-O2"] {
        let file = open(name);
        for text in ["i64 sum = a + b + *c", "counter += 2", "return width * height"] {
            let found = starts(&file, text);
            assert_eq!(found.len(), 1, "{name}: {text}");
            let (path, line) = file.line_at(found[0]).unwrap();
            assert!(is_path(path, "records.c") && (line == line_with(text) || name == "records-O2"), "{path}:{line}");
        }
        assert!(file.line_starts(|path| is_path(path, "other.c"), 1).is_empty());
        assert!(file.line_changes().is_sorted());
        assert!(file.source_files().iter().any(|path| is_path(path, "records.c")));
    }
}

#[test]
fn paths_match_by_their_ends() {
    assert!(is_path("/a/b/main.c", "main.c") && is_path("/a/b/main.c", "b/main.c") && is_path("main.c", "main.c"));
    assert!(!is_path("/a/b/main.c", "ain.c") && !is_path("/a/b/main.c", "") && !is_path("/a/main.c", "b/main.c"));
}

#[test]
fn a_loop_begins_once() {
    // Its line has code in front of the loop and at its end.
    assert_eq!(starts(&open("records"), "for (struct node *node").len(), 1);
}

#[test]
fn variables_are_those_in_scope() {
    let file = open("records");
    let at = starts(&file, "i64 part = node->balance")[0];
    assert_eq!(file.variables(at, VariableKind::Argument).unwrap(), ["args", "wanted"]);
    assert_eq!(file.variables(at, VariableKind::Local).unwrap(), ["part", "node", "total"]);
    assert!(file.variable(at, VariableKind::Local, "wanted").is_some(), "an argument is a variable as well");
    assert!(file.variable(at, VariableKind::Argument, "node").is_none());
    let before = starts(&file, "i64 total = 0")[0];
    assert_eq!(file.variables(before, VariableKind::Local).unwrap(), ["total"]);
    assert_eq!(file.variables(0, VariableKind::Local), None);
}

fn place(file: &DebugFile, addr: u64, name: &str) -> Place {
    let variable = file.variable(addr, VariableKind::Local, name).unwrap();
    file.place(variable, addr, &Machine { isa: isa(), bias: 0, span: Span::default() })
}

#[test]
fn arguments_are_where_the_caller_has_put_them() {
    // The unoptimised program says from its first instruction on where they will be.
    for name in ["records", "records-O2"] {
        let file = open(name);
        let line = starts(&file, "NOINLINE i64 small(")[0];
        let entry = file.function_start(line).unwrap();
        let register = |place: &Place| match place {
            Place::Register(register) => register.name.clone(),
            Place::Pieces(pieces) => format!("{} pieces", pieces.len()),
            other => format!("{other:?}"),
        };
        let all = ["a", "b", "c", "pair", "d"].map(|argument| register(&place(&file, entry, argument)));
        assert_eq!(all, ["x0", "x1", "x2", "2 pieces", "v0"], "{name}");
    }
}

#[test]
fn what_is_not_kept_is_nowhere() {
    let file = open("records-O2");
    let entry = file.function_start(starts(&file, "NOINLINE i64 small(")[0]).unwrap();
    assert!(place(&file, entry, "sum").is_nowhere());
    let later = entry + 12;
    assert!(matches!(place(&file, later, "a"), Place::Nowhere), "{:?}", place(&file, later, "a"));
    assert!(matches!(place(&file, later, "c"), Place::Register(_)));
}

#[test]
fn unoptimised_variables_are_in_the_frame() {
    let file = open("records");
    let at = starts(&file, "if (d > 1.0) sum++")[0];
    let found = place(&file, at, "sum").read(0, WORD, Span::default()).unwrap();
    assert!(matches!(found.kind, ExprKind::Load { .. }));
    let frame = file.frame(at).unwrap();
    assert!(matches!(frame.cfa, Cfa::Register(29 | 31, offset) if offset > 0), "{frame:?}");
    assert_eq!(frame.return_address, 30);
}

#[test]
fn frames_know_where_the_caller_s_registers_are() {
    let file = open("records");
    let at = starts(&file, "i64 part = node->balance")[0];
    let frame = file.frame(at).unwrap();
    assert!(frame.registers.iter().any(|(register, rule)| *register == 30 && matches!(rule, Rule::At(_))), "{frame:?}");
    assert_eq!(file.frame(0), None);
}

#[test]
fn types_are_seen_through() {
    let file = open("records");
    let keys = std::cell::RefCell::new(Vec::new());
    let number = |key: TypeKey| {
        keys.borrow_mut().push(key);
        TypeId(keys.borrow().len() as u32 - 1)
    };
    let DataType::Record(node) = file.data_type(file.type_named("node").unwrap(), &number) else { panic!("no record") };
    let shape: Vec<_> = node.members.iter().map(|member| (member.name.as_str(), member.offset)).collect();
    assert_eq!(shape, [("next", 0), ("key", 8), ("tag", 12), ("colour", 16), ("balance", 24)]);
    assert_eq!(node.bytes, 32);
    let key = |id: TypeId| keys.borrow()[id.0 as usize];
    assert_eq!(file.type_text(key(node.members[0].ty)), "struct node of 32 bytes*");
    let DataType::Enum(ty, names) = file.data_type(key(node.members[3].ty), &number) else { panic!("no enum") };
    assert_eq!((ty.bytes, names.last().cloned()), (4, Some((7, "BLUE".to_string()))));
    let DataType::Record(header) = file.data_type(file.type_named("header").unwrap(), &number) else { panic!() };
    let fields: Vec<_> =
        header.members.iter().map(|member| (member.name.as_str(), member.offset, member.bits)).collect();
    assert_eq!(fields[2..], [("flags", 4, Some((16, 3))), ("level", 4, Some((19, 5)))]);
    let (table, _) = file.globals("table")[0];
    let DataType::Array(row, 2) = file.data_type(table, &number) else { panic!("no array") };
    assert!(matches!(file.data_type(key(row), &number), DataType::Array(_, 3)));
    assert!(file.globals("nothing").is_empty() && file.type_named("nothing").is_none());
}

#[test]
fn a_separate_file_says_the_same() {
    let (own, separate) = (open("records"), open("records-stripped"));
    assert!(separate.has_info());
    assert_eq!(own.line_changes(), separate.line_changes());
    assert_eq!(own.type_names(), separate.type_names());
    let path = guest("bin/records-stripped");
    let alone = DebugFile::read(&path, &std::fs::read(&path).unwrap(), &[]);
    assert!(!alone.has_info() && alone.frame(starts(&own, "counter += 2")[0]).is_some());
}

/// Asks everything that can be asked.
fn ask(bytes: &[u8]) {
    let file = DebugFile::read(Path::new("/nonexistent/program"), bytes, &[]);
    let mut addrs = file.line_changes();
    addrs.truncate(40);
    addrs.extend([0, u64::MAX, 0x400000]);
    file.line_starts(|path| is_path(path, "records.c"), 52);
    let number = |_: TypeKey| TypeId(0);
    for name in file.type_names() {
        let key = file.type_named(name).unwrap();
        let _ = (file.data_type(key, &number), file.type_text(key));
    }
    for name in file.global_names() {
        let _ = file.globals(name);
    }
    for addr in addrs {
        let _ = (file.line_at(addr), file.frame(addr));
        for name in file.variables(addr, VariableKind::Local).unwrap_or_default() {
            let _ = place(&file, addr, name).read(0, WORD, Span::default());
        }
    }
}

#[test]
fn damaged_files_do_no_harm() {
    for name in ["records", "records-O2"] {
        let whole = std::fs::read(guest("bin").join(name)).unwrap();
        ask(&whole);
        (0..whole.len()).step_by(331).for_each(|len| ask(&whole[..len]));
        let file = ElfFile64::<Endianness>::parse(&*whole).unwrap();
        let parts: Vec<(u64, u64)> = file
            .sections()
            .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug") || name == ".eh_frame"))
            .filter_map(|section| section.file_range())
            .collect();
        // A fixed sequence, so that a failure can be repeated.
        let mut state = 12345u64;
        for (start, size) in parts {
            for _ in 0..40 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = start + (state >> 33) % size;
                let mut bytes = whole.clone();
                bytes[at as usize] = [0, 0xff, 0x7f, 0x80, (state >> 20) as u8][(state >> 60) as usize % 5];
                ask(&bytes);
            }
        }
    }
}
