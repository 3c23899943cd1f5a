//! A small target for the language's tests: registers named as AArch64 names them. Not the runtime's table.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod program;

use std::path::{Path, PathBuf};

use spile_lang::diag::Diagnostics;
use spile_lang::ir::Program;
use spile_lang::render::{Style, render};
use spile_lang::source::{Source, Sources};
use spile_lang::target::{ReadOnly, Register, RegisterSlot, SystemCall, Target};
use spile_lang::types::Type;
use spile_lang::uses::Found;

/// The target.
pub(crate) struct Arm;

const ZERO: ReadOnly = ReadOnly { why: "xzr is always zero on AArch64", help: None };

fn integer(name: &str, slot: u8, bits: u8) -> Register {
    Register {
        name: name.to_string(),
        slot: RegisterSlot::Int(slot),
        offset: 0,
        bits,
        ty: Type::Word,
        zero_extends: true,
        read_only: None,
    }
}

fn vector(name: &str, n: u8, offset: u8, bits: u8, zero_extends: bool) -> Register {
    let unsigned = |bits| Type::Int { bits, signed: false };
    let whole = name.starts_with(['s', 'd']) && zero_extends;
    let ty = match bits {
        128 => Type::U128,
        64 if whole => Type::F64,
        32 if whole => Type::F32,
        bits => unsigned(bits),
    };
    Register { name: name.to_string(), slot: RegisterSlot::Vector(n), offset, bits, ty, zero_extends, read_only: None }
}

fn numbered(name: &str, letter: char, most: u8) -> Option<u8> {
    let digits = name.strip_prefix(letter)?;
    let plain = digits == "0" || !digits.starts_with('0');
    let n: u8 = digits.parse().ok()?;
    (plain && n <= most).then_some(n)
}

impl Target for Arm {
    fn arch(&self) -> &'static str {
        "aarch64"
    }

    fn title(&self) -> &'static str {
        "AArch64"
    }

    fn register(&self, name: &str) -> Option<Register> {
        if let Some(n) = numbered(name, 'x', 30) {
            return Some(integer(name, n, 64));
        }
        if let Some(n) = numbered(name, 'w', 30) {
            return Some(integer(name, n, 32));
        }
        for (letter, bits) in [('v', 128), ('q', 128), ('d', 64), ('s', 32), ('h', 16), ('b', 8)] {
            if let Some(n) = numbered(name, letter, 31) {
                return Some(vector(name, n, 0, bits, true));
            }
        }
        match name {
            "sp" => Some(integer("sp", 31, 64)),
            "lr" => Some(integer("x30", 30, 64)),
            "xzr" => Some(Register { read_only: Some(ZERO), ..integer("xzr", 32, 64) }),
            "nzcv" => Some(Register { slot: RegisterSlot::Flags, ..integer("nzcv", 0, 32) }),
            "pc" => Some(Register { slot: RegisterSlot::Pc, ty: Type::CodeAddr, ..integer("pc", 0, 64) }),
            _ => None,
        }
    }

    fn lane(&self, register: &str, shape: &str, index: u64) -> Option<Register> {
        let n = numbered(register, 'v', 31)?;
        let bits: u8 = match shape {
            "b" => 8,
            "h" => 16,
            "s" => 32,
            "d" => 64,
            _ => return None,
        };
        let count = 128 / u64::from(bits);
        if index >= count {
            return None;
        }
        let name = format!("{register}.{shape}[{index}]");
        Some(vector(&name, n, index as u8 * bits, bits, false))
    }

    fn register_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for n in 0..31 {
            names.push(format!("x{n}"));
            names.push(format!("w{n}"));
        }
        names.extend(["sp", "lr", "xzr", "nzcv", "pc"].map(str::to_string));
        for n in 0..32 {
            names.extend(["v", "q", "d", "s", "h", "b"].map(|letter| format!("{letter}{n}")));
        }
        names
    }

    fn system_calls(&self) -> Vec<SystemCall> {
        let i32 = Type::Int { bits: 32, signed: true };
        let call = |number, name, args: &[(&'static str, Type)]| SystemCall { number, name, args: args.to_vec() };
        vec![
            call(56, "openat", &[("dirfd", i32), ("path", Type::Word), ("flags", Type::Word), ("mode", Type::Word)]),
            call(57, "close", &[("fd", i32)]),
            call(62, "lseek", &[("fd", i32), ("offset", Type::I64), ("whence", i32)]),
            call(63, "read", &[("fd", i32), ("buf", Type::Word), ("count", Type::U64)]),
            call(64, "write", &[("fd", i32), ("buf", Type::Word), ("count", Type::U64)]),
            call(437, "openat2", &[("dirfd", i32), ("path", Type::Word), ("how", Type::Word), ("size", Type::U64)]),
        ]
    }

    fn signals(&self) -> Vec<(&'static str, u8)> {
        vec![("sigill", 4), ("sigusr1", 10), ("sigsegv", 11), ("sigusr2", 12), ("sigrtmin", 34), ("sigrtmax", 64)]
    }

    fn system_call_argument(&self, n: u8) -> Option<Register> {
        (n < 6).then(|| integer(&format!("x{n}"), n, 64))
    }

    fn system_call_result(&self) -> Option<Register> {
        Some(integer("x0", 0, 64))
    }

    fn argument(&self, n: u8) -> Option<Register> {
        (n < 8).then(|| integer(&format!("x{n}"), n, 64))
    }
}

/// One text, with the files of `tests/lang/use` that it uses.
pub(crate) fn sources(name: &str, text: &str) -> Sources {
    let mut sources = Sources::single(name, text);
    spile_lang::uses::load(&mut sources, 0, &mut |_: &Source, name: &str| {
        let bytes = std::fs::read(data("use").join(name)).map_err(|_| "no such file".to_string())?;
        Ok(Found { identity: name.to_string(), name: name.to_string(), bytes })
    });
    sources
}

/// Compiles one text.
pub(crate) fn compile(text: &str) -> (Option<Program>, Diagnostics, Sources) {
    let sources = sources("-e", text);
    let options = spile_lang::Options::default();
    let (program, diagnostics) = spile_lang::compile_with(&sources, &Arm, &program::Program, &options);
    (program, diagnostics, sources)
}

/// Compiles any bytes, draws what is reported, and returns the codes.
pub(crate) fn survives(bytes: &[u8]) -> Vec<&'static str> {
    let sources = Sources::single("-e", bytes);
    let options = spile_lang::Options::default();
    let (program, diagnostics) = spile_lang::compile_with(&sources, &Arm, &program::Program, &options);
    let shown = rendered(&diagnostics, &sources);
    let json = spile_lang::render::json(&diagnostics, &sources);
    assert_eq!(program.is_none(), diagnostics.has_errors());
    assert_eq!(json.lines().count(), diagnostics.len());
    assert!(shown.len() < 1 << 20, "a picture of {} bytes", shown.len());
    if let Some(program) = program {
        assert!(program.to_string().len() < 1 << 24);
    }
    diagnostics.iter().map(|d| d.code).collect()
}

/// Renders as the golden files have it.
pub(crate) fn rendered(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let style = Style { ascii: true, ..Style::default() };
    render(diagnostics, sources, style)
}

/// A folder of test data at the root of the workspace.
pub(crate) fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lang").join(folder)
}

/// All scripts of a folder, sorted.
pub(crate) fn scripts(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(data(folder)).expect("the data folder exists");
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "spile"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a script is text");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}
