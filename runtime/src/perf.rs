//! The map of generated code that Linux's `perf` reads, so that its reports name guest functions: a line for each region
//! with address and size in hexadecimal and a name, in `/tmp/perf-PID.map`. The format is described in the kernel's
//! sources, in `tools/perf/Documentation/jit-interface.txt`.
//!
//! It has no way to say that code has gone. Where a later region has an address of an earlier one, `perf` decides.

use crate::env::MappedCode;
use crate::linux::OwnFile;
use crate::machine::lock;
use crate::probe::attach::Symbols;
use crate::symbols::SymbolTable;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

/// The map of this process.
#[derive(Debug)]
pub struct PerfMap(Mutex<State>);

#[derive(Debug)]
struct State {
    symbols: SymbolTable,
    /// None in a forked child that cannot have a file of its own.
    file: Option<OwnFile>,
}

/// Where `perf` looks for the map of this process.
fn path() -> PathBuf {
    format!("/tmp/perf-{}.map", std::process::id()).into()
}

/// Makes the file, which may be there from a process that had the same number. It is not followed if somebody else has
/// put a link there.
fn create() -> std::io::Result<OwnFile> {
    match std::fs::remove_file(path()) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path())?;
    Ok(OwnFile::keep(file))
}

impl PerfMap {
    /// Begins the map of this process, in which guest code has these symbols.
    ///
    /// # Errors
    /// The host's error, if the file cannot be made.
    pub fn new(symbols: SymbolTable) -> std::io::Result<PerfMap> {
        symbols.read_files();
        Ok(PerfMap(Mutex::new(State { symbols, file: Some(create()?) })))
    }

    /// The guest has other code mapped now. For a guest thread: it may read files.
    pub(crate) fn map(&self, code: &[MappedCode]) {
        let symbols = &mut lock(&self.0).symbols;
        if symbols.update(code) {
            symbols.read_files();
        }
    }

    /// Enters host code, and the address of the guest's code that it was made of.
    pub(crate) fn add(&self, host: Range<usize>, guest: u64) {
        let state = &mut *lock(&self.0);
        let name = state.name(guest);
        state.write(host, &name);
    }

    /// Enters host code that belongs to no guest code.
    pub(crate) fn add_own(&self, host: Range<usize>, name: &str) {
        lock(&self.0).write(host, &format!("spile: {name}"));
    }

    /// Begins anew: this is another process now, whose parent goes on writing to the old file.
    pub(crate) fn fork(&self) {
        lock(&self.0).file = create().ok();
    }
}

impl State {
    /// Writes a line. An error would have nobody to be told to, and the guest goes on in any case.
    fn write(&mut self, host: Range<usize>, name: &str) {
        if let Some(file) = &mut self.file {
            let _ = file.write_all(format!("{:x} {:x} {name}\n", host.start, host.len()).as_bytes());
        }
    }

    /// What guest code at `addr` is called: its function, and the module that it is in; without a function, as a script
    /// would name it.
    fn name(&self, addr: u64) -> String {
        let module = self.symbols.module_of(addr);
        match (self.symbols.locate(addr), module) {
            (Some(place), module) => {
                let offset = if place.offset > 0 { format!("+{:#x}", place.offset) } else { String::new() };
                let module = module.map(|module| format!(" ({})", module.name)).unwrap_or_default();
                // A name ends at the end of its line.
                format!("{}{offset}{module}", place.name.replace('\n', " "))
            }
            (None, Some(module)) => format!("{}:{:#x}", module.name, addr.wrapping_sub(module.bias)),
            (None, None) => format!("{addr:#x}"),
        }
    }
}
