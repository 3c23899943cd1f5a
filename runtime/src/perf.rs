//! What Linux's `perf` reads of generated code, so that its reports name guest functions.
//!
//! The map has a line for each region with address and size in hexadecimal and a name, in `/tmp/perf-PID.map`. The format
//! is described in the kernel's sources, in `tools/perf/Documentation/jit-interface.txt`. It has no way to say that code
//! has gone: where a later region has an address of an earlier one, `perf` decides. The dump ([`dump`]) has.

mod dump;

use self::dump::Dump;
use crate::env::MappedCode;
use crate::linux::OwnFile;
use crate::machine::lock;
use crate::probe::attach::Symbols;
use crate::symbols::SymbolTable;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The map of this process, or its dump, or both.
#[derive(Debug)]
pub struct PerfMap(Mutex<State>);

#[derive(Debug)]
struct State {
    symbols: SymbolTable,
    /// None in a forked child that cannot have a file of its own.
    file: Option<OwnFile>,
    /// As `file`.
    dump: Option<Dump>,
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
    /// Begins the map of this process, if `map`, and its dump, if there is a folder for it. Guest code has these symbols.
    ///
    /// # Errors
    /// The host's error with the file that cannot be made.
    pub fn new(
        symbols: SymbolTable,
        map: bool,
        dump: Option<&Path>,
    ) -> std::result::Result<PerfMap, (PathBuf, std::io::Error)> {
        symbols.read_files();
        let file = map.then(create).transpose().map_err(|error| (path(), error))?;
        let dump = dump.map(|folder| Dump::new(folder).map_err(|error| (dump::path(folder), error))).transpose()?;
        Ok(PerfMap(Mutex::new(State { symbols, file, dump })))
    }

    /// The guest has other code mapped now. For a guest thread: it may read files.
    pub(crate) fn map(&self, code: &[MappedCode]) {
        let symbols = &mut lock(&self.0).symbols;
        if symbols.update(code) {
            symbols.read_files();
        }
    }

    /// Enters host code with its address, and the address of the guest's code that it was made of.
    pub(crate) fn add(&self, host: usize, code: &[u8], guest: u64) {
        let state = &mut *lock(&self.0);
        let name = state.name(guest);
        state.write(host, code, &name);
    }

    /// Enters host code that belongs to no guest code.
    pub(crate) fn add_own(&self, host: usize, code: &[u8], name: &str) {
        lock(&self.0).write(host, code, &format!("spile: {name}"));
    }

    /// The guest executes nothing more.
    pub(crate) fn close(&self) {
        lock(&self.0).dump.iter_mut().for_each(Dump::close);
    }

    /// Begins anew: this is another process now, whose parent goes on writing to the old files.
    pub(crate) fn fork(&self) {
        let state = &mut *lock(&self.0);
        state.file = state.file.take().and_then(|_| create().ok());
        state.dump = state.dump.take().and_then(|dump| dump.of_child());
    }
}

impl State {
    /// Writes a line. An error would have nobody to be told to, and the guest goes on in any case.
    fn write(&mut self, host: usize, code: &[u8], name: &str) {
        if let Some(file) = &mut self.file {
            let _ = file.write_all(format!("{host:x} {:x} {name}\n", code.len()).as_bytes());
        }
        if let Some(dump) = &mut self.dump {
            dump.add(host, code, name);
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
