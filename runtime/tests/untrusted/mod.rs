//! Asks of a program file what a run with probes asks: headers, segments, symbols, debug information, places of scripts.
//!
//! Shared by the test on damaged files and the fuzz target; what is found does not matter, that it ends does.

use spile_lang::Options;
use spile_lang::ir::VariableKind;
use spile_lang::render::{Style, render};
use spile_lang::source::Sources;
use spile_runtime::elf::Image;
use spile_runtime::mem::GuestMemory;
use spile_runtime::probe::attach::{Symbols, World, attach};
use spile_runtime::probe::listing;
use spile_runtime::probe::variables::ProgramInfo;
use spile_runtime::symbols::SymbolTable;
use std::path::{Path, PathBuf};

/// Where a program that can be loaded anywhere is loaded.
const BIAS: u64 = 0x10_0000;
/// So many symbols are asked for their functions' variables.
const MOST_NAMES: usize = 12;
/// What is said of places and data for whatever program: names of the guests with debug information, and places that
/// every program has.
const SCRIPTS: [&str; 6] = [
    "on call * count by func",
    "on insn in .text count by line",
    "on line at records.c:52 print args, locals",
    "on call area print args, func, line",
    "on insn at main+4 print locals",
    "on end print counter, table[1][2], origin",
];

/// A file that goes with the process's interest in it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("spile-untrusted-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Treats the bytes as a program. True if it could be loaded.
pub(crate) fn survives(scratch: &Scratch, bytes: &[u8]) -> bool {
    std::fs::write(&scratch.0, bytes).expect("a writable folder for temporary files");
    let loaded = load(&scratch.0);
    let Some((memory, table)) = &loaded else { return false };
    let isa = spile_runtime::isa::all()[0];
    let world = World { symbols: table, memory, isa };
    let mut names = Vec::new();
    table.each_symbol(&mut |symbol| {
        if names.len() < MOST_NAMES && symbol.function && !symbol.name.contains(['"', '\\', '{', '}', '\n']) {
            names.push(symbol.name.clone());
        }
        let _ = (table.locate(symbol.addr), table.source_line(symbol.addr));
    });
    let of_function = |name: &String| format!("on call \"{name}\" print args\non return \"{name}\" print args, retval");
    SCRIPTS.into_iter().map(str::to_owned).chain(names.iter().map(of_function)).for_each(|text| script(&world, &text));
    if let Some(debug) = table.debug(0) {
        for addr in debug.line_changes().into_iter().take(MOST_NAMES) {
            let _ = (debug.frame(addr), debug.variables(addr, VariableKind::Local), debug.function_start(addr));
        }
    }
    true
}

fn load(path: &Path) -> Option<(GuestMemory, SymbolTable)> {
    let image = match Image::open(path) {
        Ok(image) => image,
        Err(error) => {
            let _ = (error.to_string(), error.hint());
            return None;
        }
    };
    let memory = GuestMemory::new(u64::MAX).expect("an address space");
    let bias = if image.is_position_independent() { BIAS } else { 0 };
    let loaded = image.load(&memory, bias).ok()?;
    Some((memory, SymbolTable::of(&[loaded])))
}

fn script(world: &World<'_>, text: &str) {
    let sources = Sources::single("-e", text);
    let debug = ProgramInfo::new(*world);
    let (program, diagnostics) = spile_lang::compile_with(&sources, world.isa, &debug, &Options::default());
    render(&diagnostics, &sources, Style::default());
    let Some(program) = program else { return };
    match attach(&program, 0, world) {
        Ok(attachments) => drop(listing::list(&program, &attachments, world, &sources)),
        Err(diagnostics) => drop(render(&diagnostics, &sources, Style::default())),
    }
}
