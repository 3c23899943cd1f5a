//! The dump of generated code that `perf inject --jit` reads: every piece of code with its bytes, its name and the time
//! from which it was there, in `jit-PID.dump`. So an address that code of different functions has had in turn is no
//! question, and `perf annotate` shows the host's instructions. The format is described in the kernel's sources, in
//! `tools/perf/Documentation/jitdump-specification.txt`.
//!
//! `perf record` finds the file by a mapping of it that could be executed, and must be told to use this clock (`-k 1`).

use crate::jit::map_marker;
use crate::linux::OwnFile;
use rustix::time::{ClockId, clock_gettime};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `JiTD`, as a number of the host's byte order.
const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
const HEADER_LEN: u32 = 40;
/// The host's number among ELF machines.
const MACHINE: u32 = object::elf::EM_X86_64.0 as u32;
/// A piece of code.
const CODE_LOAD: u32 = 0;
/// The end: there is no more code.
const CODE_CLOSE: u32 = 3;
/// Bytes with which each record begins: its number, length and time.
const PREFIX_LEN: usize = 16;

/// A dump.
#[derive(Debug)]
pub(super) struct Dump {
    folder: PathBuf,
    file: OwnFile,
    /// Pieces of code so far.
    pieces: u64,
}

/// Where the dump of this process is.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(format!("jit-{}.dump", std::process::id()))
}

impl Dump {
    /// Begins the dump of this process. A file that is there is of another process; it is not followed if it is a link.
    pub(super) fn new(folder: &Path) -> std::io::Result<Dump> {
        let path = path(folder);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file: File = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&header())?;
        map_marker(&file)?;
        Ok(Dump { folder: folder.to_owned(), file: OwnFile::keep(file), pieces: 0 })
    }

    /// The same in a forked child, whose file is another one.
    pub(super) fn of_child(&self) -> Option<Dump> {
        Dump::new(&self.folder).ok()
    }

    /// Enters code that is at `address` from now on.
    pub(super) fn add(&mut self, address: usize, code: &[u8], name: &str) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let mut body = Vec::with_capacity(40 + name.len() + 1 + code.len());
        body.extend([std::process::id(), thread].into_iter().flat_map(u32::to_ne_bytes));
        // The address in the process, and the one that the code was made for.
        let numbers = [address as u64, address as u64, code.len() as u64, self.pieces];
        body.extend(numbers.into_iter().flat_map(u64::to_ne_bytes));
        body.extend(name.bytes().map(|byte| if byte == 0 { b' ' } else { byte }));
        body.push(0);
        body.extend_from_slice(code);
        self.pieces += 1;
        self.write(CODE_LOAD, &body);
    }

    /// Says that there is no more.
    pub(super) fn close(&mut self) {
        self.write(CODE_CLOSE, &[]);
    }

    /// Writes a record, in one piece. An error would have nobody to be told to, and the guest goes on in any case.
    fn write(&mut self, kind: u32, body: &[u8]) {
        let len = (PREFIX_LEN + body.len()) as u32;
        let mut record: Vec<u8> = [kind, len].into_iter().flat_map(u32::to_ne_bytes).collect();
        record.extend(now().to_ne_bytes());
        record.extend_from_slice(body);
        let _ = self.file.write_all(&record);
    }
}

fn header() -> Vec<u8> {
    let words = [MAGIC, VERSION, HEADER_LEN, MACHINE, 0, std::process::id()];
    let mut header: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    // The time, and no flags.
    header.extend([now(), 0].into_iter().flat_map(u64::to_ne_bytes));
    header
}

/// The clock of `perf record -k 1`, in nanoseconds.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
