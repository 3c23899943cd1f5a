//! Program files: ELF headers, and mapping a program's segments into guest memory.
//!
//! Any file may be given: every number in it is checked before it is used. What Linux would load is loaded and what
//! it refuses is refused, with an [`Error`] that a user can act on. Symbols are read elsewhere ([`crate::symbols`]).
//! Source: System V ABI, chapters "Object Files" and "Program Loading"; `fs/binfmt_elf.c` of Linux.

use crate::isa::{self, Isa};
use crate::linux::map::{HIGHEST, LOWEST};
use crate::mem::{GuestMemory, PAGE, perm};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;

const ET_REL: u16 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const ET_CORE: u16 = 4;

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;

/// A program that cannot be loaded, and why.
#[derive(Debug)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Why a program cannot be loaded.
#[derive(Debug)]
pub enum Problem {
    /// There is no such file.
    NotFound,
    /// It may not be read.
    PermissionDenied,
    /// It is a directory.
    Directory,
    /// It is neither a file nor a directory.
    NotAFile,
    /// Another error of the host while reading it.
    Unreadable(io::Error),
    /// It is empty.
    Empty,
    /// It is a script: its first line.
    Script(String),
    /// It is something else that is not ELF.
    NotElf,
    /// It is for a 32-bit machine.
    Not64Bit(u16),
    /// It is for a big-endian machine.
    BigEndian(u16),
    /// It is for a machine that cannot be translated (`e_machine`).
    WrongArchitecture(u16),
    /// It is an ELF file, but not a program; what it is.
    NotAProgram(&'static str),
    /// It ends before something that its headers speak of.
    Truncated(String),
    /// Its headers contradict themselves or ask for what cannot be.
    Malformed(String),
    /// It needs an interpreter, which is not there; the sysroot that was searched.
    NoInterpreter(PathBuf, Option<PathBuf>),
    /// Arguments and environment do not fit on its stack.
    ArgumentsTooLong,
    /// The host has no memory for it.
    Memory(io::Error),
}

impl Error {
    /// Says that `path` has this problem.
    pub fn new(path: &Path, problem: Problem) -> Self {
        Error { path: path.to_owned(), problem }
    }

    /// What the user can do about it, if that can be said.
    pub fn hint(&self) -> Option<String> {
        match &self.problem {
            Problem::NoInterpreter(wanted, None) => Some(match cross_root(wanted) {
                Some(root) => format!("`-L {}` has it, if that is the guest's system", root.display()),
                None => format!("give the directory that contains `{}` with `-L` or SPILE_SYSROOT", wanted.display()),
            }),
            Problem::NoInterpreter(wanted, Some(root)) => {
                Some(format!("`-L {}` has no `{}`", root.display(), wanted.display()))
            }
            Problem::Not64Bit(machine) => {
                let is_raw = |isa: &&dyn Isa| isa.elf_machine() == *machine && isa::linux_of(*isa).is_none();
                let arch = isa::all().into_iter().find(is_raw)?.arch();
                Some(format!("a raw image of its code, made with `objcopy -O binary`, runs with `--raw --arch {arch}`"))
            }
            Problem::Script(line) => Some(format!("run its interpreter: {line}")),
            Problem::WrongArchitecture(machine) if *machine == HOST_MACHINE => {
                Some("this machine can run it without a translator".into())
            }
            Problem::Memory(_) => Some(crate::mem::SHORT_OF_SPACE.into()),
            _ => None,
        }
    }
}

/// A directory of the host's cross compilers that has the interpreter.
fn cross_root(wanted: &Path) -> Option<PathBuf> {
    let inside = wanted.strip_prefix("/").ok()?;
    let roots = std::fs::read_dir("/usr").ok()?.flatten().map(|entry| entry.path());
    let mut having: Vec<PathBuf> =
        roots.filter(|root| root.to_string_lossy().ends_with("-linux-gnu") && root.join(inside).exists()).collect();
    having.sort();
    having.into_iter().next()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let supported = || isa::with_linux().map(|(isa, _)| isa.title()).collect::<Vec<_>>().join(", ");
        match &self.problem {
            Problem::NotFound => write!(f, "`{path}`: no such file"),
            Problem::PermissionDenied => write!(f, "`{path}`: permission denied"),
            Problem::Directory => write!(f, "`{path}` is a directory, not a program"),
            Problem::NotAFile => write!(f, "`{path}` is not a regular file"),
            Problem::Unreadable(error) => write!(f, "`{path}` cannot be read: {}", words(error)),
            Problem::Empty => write!(f, "`{path}` is empty, not a program"),
            Problem::Script(_) => write!(f, "`{path}` is a script, not an ELF program"),
            Problem::NotElf => write!(f, "`{path}` is not an ELF program"),
            Problem::Not64Bit(machine) => {
                write!(f, "`{path}` is a 32-bit program ({}); 64-bit programs are supported", machine_name(*machine))
            }
            Problem::BigEndian(machine) => {
                let name = machine_name(*machine);
                write!(f, "`{path}` is a big-endian program ({name}); little-endian ones are supported")
            }
            Problem::WrongArchitecture(machine) => {
                write!(f, "`{path}` is a program for {}; supported: {}", machine_name(*machine), supported())
            }
            Problem::NotAProgram(what) => write!(f, "`{path}` is {what}, not a program"),
            Problem::Truncated(what) => write!(f, "`{path}` is truncated: {what}"),
            Problem::Malformed(what) => write!(f, "`{path}` is damaged: {what}"),
            Problem::NoInterpreter(wanted, _) => {
                write!(f, "`{path}` is a dynamic program: it needs `{}`", wanted.display())
            }
            Problem::ArgumentsTooLong => write!(f, "arguments and environment of `{path}` are too long"),
            Problem::Memory(error) => write!(f, "no memory for `{path}`: {}", words(error)),
        }
    }
}

impl std::error::Error for Error {}

/// The host's error without its number, which says nothing more.
fn words(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

const HOST_MACHINE: u16 = 62;

/// The name of an `e_machine`, as prose uses it.
pub fn machine_name(machine: u16) -> String {
    if let Some(isa) = isa::by_machine(machine) {
        return isa.title().to_owned();
    }
    let name = match machine {
        2 | 18 | 43 => "SPARC",
        3 => "x86 (i386)",
        4 => "Motorola 68000",
        8 => "MIPS",
        20 => "PowerPC",
        21 => "64-bit PowerPC",
        22 => "IBM Z",
        40 => "32-bit Arm",
        42 => "SuperH",
        50 => "Itanium",
        HOST_MACHINE => "x86-64",
        83 => "AVR",
        94 => "Xtensa",
        183 => "64-bit Arm",
        243 => "RISC-V",
        247 => "BPF",
        258 => "LoongArch",
        other => return format!("an unknown machine ({other})"),
    };
    name.to_owned()
}

/// The `e_machine` of a little-endian 64-bit ELF program that starts with `bytes`.
pub fn machine_of(bytes: &[u8]) -> Option<u16> {
    let header = bytes.get(..20)?;
    (header.starts_with(b"\x7fELF\x02\x01")).then(|| u16_at(header, 18))
}

/// A program file whose headers have been read and checked.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    machine: u16,
    position_independent: bool,
    entry: u64,
    headers_offset: u64,
    header_count: u64,
    segments: Vec<Segment>,
    interpreter: Option<PathBuf>,
    headers: Option<u64>,
}

/// A `PT_LOAD` segment, checked: it lies inside the file and has room in the address space.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u64,
    file_end: u64,
    end: u64,
    offset: u64,
    prot: u8,
}

/// A program in guest memory.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Its file.
    pub path: PathBuf,
    /// What was added to its addresses.
    pub bias: u64,
    /// Its first instruction.
    pub entry: u64,
    /// Address of its program headers (`AT_PHDR`).
    pub headers: u64,
    /// Their number.
    pub header_count: u64,
    /// What was mapped, in the file's order.
    pub segments: Vec<Mapped>,
}

/// A mapped part of a program: whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// First byte.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Bits of [`perm`].
    pub prot: u8,
    /// Offset of its first byte in the file; none for zeroes.
    pub offset: Option<u64>,
}

impl Loaded {
    /// One past its highest byte, on a page border.
    pub fn end(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end).max().unwrap_or(0)
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

impl Image {
    /// Opens a program and checks its headers.
    ///
    /// # Errors
    /// Why it is not a program that can be loaded. The architecture is not looked at; see [`Image::machine`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::read(path).map_err(|problem| Error::new(path, problem))
    }

    fn read(path: &Path) -> Result<Self, Problem> {
        let metadata = path.metadata().map_err(host_problem)?;
        if metadata.is_dir() {
            return Err(Problem::Directory);
        }
        if !metadata.is_file() {
            return Err(Problem::NotAFile);
        }
        let file = File::open(path).map_err(host_problem)?;
        let len = metadata.len();
        let mut start = vec![0; len.min(256) as usize];
        file.read_exact_at(&mut start, 0).map_err(host_problem)?;
        let header = check_header(&start)?;
        let table = read_part(&file, len, header.headers_offset, header.table_size(), "its program headers")?;
        let mut image = Image {
            path: path.to_owned(),
            machine: header.machine,
            position_independent: header.kind == ET_DYN,
            entry: header.entry,
            headers_offset: header.headers_offset,
            header_count: header.header_count,
            segments: Vec::new(),
            interpreter: None,
            headers: None,
            file,
        };
        for (number, row) in table.chunks_exact(PROGRAM_HEADER_SIZE).enumerate() {
            image.add_header(number, row, len)?;
        }
        if image.segments.is_empty() {
            return Err(Problem::Malformed("it has nothing to load".into()));
        }
        if image.position_independent && image.interpreter.is_none() && image.entry == 0 {
            return Err(Problem::NotAProgram("a shared library"));
        }
        let (low, high) = image.range();
        if high - low > HIGHEST / 2 {
            return Err(Problem::Malformed("its segments are too far apart".into()));
        }
        Ok(image)
    }

    /// Takes in one program header.
    fn add_header(&mut self, number: usize, row: &[u8], file_len: u64) -> Result<(), Problem> {
        let (offset, addr, size) = (u64_at(row, 8), u64_at(row, 16), u64_at(row, 32));
        match u32_at(row, 0) {
            PT_LOAD if u64_at(row, 40) > 0 => {
                let segment = check_segment(number, row, file_len, self.position_independent)?;
                self.segments.push(segment);
            }
            PT_PHDR => self.headers = Some(addr),
            PT_INTERP => {
                let limited =
                    if size > 4096 { return Err(malformed(number, "names a too long interpreter")) } else { size };
                let name = read_part(&self.file, file_len, offset, limited, "its interpreter's name")?;
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                if name.is_empty() {
                    return Err(malformed(number, "names no interpreter"));
                }
                self.interpreter = Some(PathBuf::from(OsStr::from_bytes(name)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Its `e_machine`.
    pub fn machine(&self) -> u16 {
        self.machine
    }

    /// The dynamic linker that it asks for.
    pub fn interpreter(&self) -> Option<&Path> {
        self.interpreter.as_deref()
    }

    /// True if it can be loaded anywhere.
    pub fn is_position_independent(&self) -> bool {
        self.position_independent
    }

    /// The pages that it takes, before the bias is added: first byte, one past the last.
    pub fn range(&self) -> (u64, u64) {
        let low = self.segments.iter().map(|segment| segment.start & !(PAGE - 1)).min().unwrap_or(0);
        let high = self.segments.iter().map(|segment| segment.end.next_multiple_of(PAGE)).max().unwrap_or(0);
        (low, high)
    }

    /// Maps it into guest memory, in place of what is there, `bias` above the addresses in the file.
    ///
    /// # Errors
    /// If it does not fit there, or the host has no memory.
    pub fn load(&self, memory: &GuestMemory, bias: u64) -> Result<Loaded, Error> {
        let fail = |problem| Error::new(&self.path, problem);
        let (low, high) = self.range();
        let fits = low.checked_add(bias).is_some_and(|low| low >= LOWEST)
            && high.checked_add(bias).is_some_and(|high| high <= HIGHEST);
        if !fits {
            let text = format!("its segments are at {low:#x} to {high:#x}, outside of what a program may use");
            return Err(fail(Problem::Malformed(text)));
        }
        let mut segments = Vec::new();
        for segment in &self.segments {
            segment.map(memory, bias, &self.file, &mut segments).map_err(|error| fail(Problem::Memory(error)))?;
        }
        Ok(Loaded {
            path: self.path.clone(),
            bias,
            entry: self.entry.wrapping_add(bias),
            headers: self.headers_address().wrapping_add(bias),
            header_count: self.header_count,
            segments,
        })
    }

    /// Where the program headers are in memory: what `PT_PHDR` says, else in the segment that contains them.
    fn headers_address(&self) -> u64 {
        let containing = |segment: &&Segment| {
            let size = segment.file_end - segment.start;
            (segment.offset..segment.offset + size).contains(&self.headers_offset)
        };
        let found = self.segments.iter().find(containing);
        self.headers.or(found.map(|segment| segment.start + (self.headers_offset - segment.offset))).unwrap_or(0)
    }
}

impl Segment {
    fn map(&self, memory: &GuestMemory, bias: u64, file: &File, out: &mut Vec<Mapped>) -> io::Result<()> {
        let (start, file_end, end) =
            (self.start + bias, self.file_end + bias, (self.end + bias).next_multiple_of(PAGE));
        let page = start & !(PAGE - 1);
        let file_pages_end = if file_end > start { file_end.next_multiple_of(PAGE) } else { page };
        if file_pages_end > page {
            let offset = self.offset - (start - page);
            memory.map_file(page, file_pages_end - page, self.prot, file.as_fd(), offset, false)?;
            out.push(Mapped { start: page, end: file_pages_end, prot: self.prot, offset: Some(offset) });
            if self.end > self.file_end {
                let zeroes = vec![0; (file_pages_end - file_end) as usize];
                // All of it was mapped just now.
                let _ = memory.write_forced(file_end, &zeroes);
            }
        }
        if end > file_pages_end {
            memory.map_anonymous(file_pages_end, end - file_pages_end, self.prot, false)?;
            out.push(Mapped { start: file_pages_end, end, prot: self.prot, offset: None });
        }
        Ok(())
    }
}

/// The parts of the file header that matter.
struct Header {
    kind: u16,
    machine: u16,
    entry: u64,
    headers_offset: u64,
    header_count: u64,
}

impl Header {
    fn table_size(&self) -> u64 {
        self.header_count * PROGRAM_HEADER_SIZE as u64
    }
}

fn check_header(start: &[u8]) -> Result<Header, Problem> {
    if start.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
        return Err(Problem::Script(String::from_utf8_lossy(line).into_owned()));
    }
    if !start.starts_with(b"\x7fELF") {
        return Err(if b"\x7fELF".starts_with(start) { truncated_header() } else { Problem::NotElf });
    }
    if start.len() < 20 {
        return Err(truncated_header());
    }
    let (class, order) = (start[4], start[5]);
    if order == 2 {
        return Err(Problem::BigEndian(u16::from_be_bytes([start[18], start[19]])));
    }
    let machine = u16_at(start, 18);
    match (class, order) {
        (1, 1) => return Err(Problem::Not64Bit(machine)),
        (2, 1) => {}
        _ => return Err(Problem::Malformed(format!("it has class {class} and byte order {order}"))),
    }
    if start.len() < HEADER_SIZE {
        return Err(truncated_header());
    }
    let kind = u16_at(start, 16);
    match kind {
        ET_EXEC | ET_DYN => {}
        ET_REL => return Err(Problem::NotAProgram("an object file")),
        ET_CORE => return Err(Problem::NotAProgram("a core dump")),
        other => return Err(Problem::Malformed(format!("it has the unknown type {other}"))),
    }
    let (entry_size, header_count) = (u16_at(start, 54), u64::from(u16_at(start, 56)));
    if header_count == 0 {
        return Err(Problem::Malformed("it has no program headers".into()));
    }
    if usize::from(entry_size) != PROGRAM_HEADER_SIZE {
        return Err(Problem::Malformed(format!("its program headers have {entry_size} bytes")));
    }
    Ok(Header { kind, machine, entry: u64_at(start, 24), headers_offset: u64_at(start, 32), header_count })
}

fn truncated_header() -> Problem {
    Problem::Truncated("it ends within its header".into())
}

fn malformed(number: usize, what: &str) -> Problem {
    Problem::Malformed(format!("program header {number} {what}"))
}

fn check_segment(number: usize, row: &[u8], file_len: u64, anywhere: bool) -> Result<Segment, Problem> {
    let (flags, offset, start) = (u32_at(row, 4), u64_at(row, 8), u64_at(row, 16));
    let (file_size, size) = (u64_at(row, 32), u64_at(row, 40));
    if file_size > size {
        return Err(malformed(number, "is larger in the file than in memory"));
    }
    if file_size > 0 && offset % PAGE != start % PAGE {
        return Err(malformed(number, "is not aligned to pages"));
    }
    let end = start.checked_add(size).filter(|&end| end <= HIGHEST);
    let Some(end) = end else {
        return Err(malformed(number, "does not fit into the address space"));
    };
    if !anywhere && start < LOWEST {
        return Err(malformed(number, &format!("is at {start:#x}, below what a program may use")));
    }
    if file_size > 0 && offset.checked_add(file_size).is_none_or(|end| end > file_len) {
        let text = format!("program header {number} speaks of bytes that are not in the file");
        return Err(Problem::Truncated(text));
    }
    let bit = |flag: u32, bit: u8| if flags & flag != 0 { bit } else { 0 };
    let prot = bit(4, perm::READ) | bit(2, perm::WRITE) | bit(1, perm::EXEC);
    Ok(Segment { start, file_end: start + file_size, end, offset, prot })
}

/// Reads a part of the file whose place the file itself gives.
fn read_part(file: &File, file_len: u64, offset: u64, size: u64, what: &str) -> Result<Vec<u8>, Problem> {
    if offset.checked_add(size).is_none_or(|end| end > file_len) {
        return Err(Problem::Truncated(format!("it ends before {what}")));
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, offset).map_err(host_problem)?;
    Ok(bytes)
}

fn host_problem(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Problem::NotFound,
        io::ErrorKind::PermissionDenied => Problem::PermissionDenied,
        io::ErrorKind::IsADirectory => Problem::Directory,
        io::ErrorKind::UnexpectedEof => Problem::Truncated("it became shorter while it was read".into()),
        _ => Problem::Unreadable(error),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A program header for [`build`].
    pub(crate) struct Row {
        pub(crate) kind: u32,
        pub(crate) flags: u32,
        pub(crate) offset: u64,
        pub(crate) addr: u64,
        pub(crate) file_size: u64,
        pub(crate) size: u64,
    }

    /// A small ELF file: header, program headers, then `body` at offset 0x1000.
    pub(crate) fn build(kind: u16, machine: u16, entry: u64, rows: &[Row], body: &[u8]) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(16, 0);
        out.extend(kind.to_le_bytes());
        out.extend(machine.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        out.extend(entry.to_le_bytes());
        out.extend(64u64.to_le_bytes());
        out.extend(0u64.to_le_bytes());
        out.extend(0u32.to_le_bytes());
        for half in [64u16, 56, rows.len() as u16, 64, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        for row in rows {
            out.extend(row.kind.to_le_bytes());
            out.extend(row.flags.to_le_bytes());
            for word in [row.offset, row.addr, row.addr, row.file_size, row.size, PAGE] {
                out.extend(word.to_le_bytes());
            }
        }
        out.resize(0x1000, 0);
        out.extend(body);
        out
    }

    fn load_row() -> Row {
        Row { kind: PT_LOAD, flags: 5, offset: 0, addr: 0x400000, file_size: 0x1010, size: 0x1010 }
    }

    /// A file that is removed at the end of a test.
    pub(crate) struct TempFile(pub(crate) PathBuf);

    impl TempFile {
        pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("spile-elf-{}-{name}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            TempFile(path)
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn message(name: &str, bytes: &[u8]) -> String {
        let file = TempFile::new(name, bytes);
        let error = match Image::open(&file.0) {
            Err(error) => error,
            Ok(image) => match image.load(&GuestMemory::new(u64::MAX).unwrap(), 0) {
                Err(error) => error,
                Ok(_) => return "loaded".into(),
            },
        };
        error.to_string().replace(&file.0.display().to_string(), "FILE")
    }

    #[test]
    fn segments_are_mapped_with_zeroes_behind_the_file_s_bytes() {
        let data = Row { kind: PT_LOAD, flags: 6, offset: 0x1008, addr: 0x411008, file_size: 8, size: 0x3000 };
        let bytes = build(ET_EXEC, 183, 0x401000, &[load_row(), data], &[0xaa; 32]);
        let file = TempFile::new("good", &bytes);
        let memory = GuestMemory::new(u64::MAX).unwrap();
        let loaded = Image::open(&file.0).unwrap().load(&memory, 0).unwrap();
        assert_eq!((loaded.entry, loaded.headers, loaded.header_count), (0x401000, 0x400040, 2));
        assert_eq!(memory.load::<1>(0x401000).unwrap(), [0xaa]);
        assert!(memory.store(0x401000, [1u8]).is_err());
        assert_eq!(memory.load::<16>(0x411008).unwrap(), *b"\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\0\0\0\0\0\0\0\0");
        assert_eq!(memory.load::<8>(0x414000).unwrap(), [0; 8]);
        memory.store(0x414000, [1u8]).unwrap();
        assert_eq!(loaded.end(), 0x415000);
    }

    /// Where raw images of the architecture can be run, that is said.
    #[test]
    fn a_program_of_32_bits_says_what_works() {
        let hint = |machine| Error::new(Path::new("x"), Problem::Not64Bit(machine)).hint();
        let raw = isa::all().into_iter().find(|isa| isa::linux_of(*isa).is_none()).unwrap();
        let found = hint(raw.elf_machine()).unwrap();
        assert!(found.contains(&format!("`--raw --arch {}`", raw.arch())), "{found}");
        assert_eq!(hint(40), None);
    }

    #[test]
    fn each_wrong_file_gets_its_message() {
        let good = build(ET_EXEC, 183, 0x401000, &[load_row()], &[0; 32]);
        assert_eq!(message("ok", &good), "loaded");
        assert_eq!(message("empty", b""), "`FILE` is empty, not a program");
        assert_eq!(message("text", b"hello"), "`FILE` is not an ELF program");
        assert_eq!(message("script", b"#!/bin/sh\n"), "`FILE` is a script, not an ELF program");
        let narrow = [&good[..4], &[1], &good[5..18], &[3], &good[19..]].concat();
        assert_eq!(
            message("narrow", &narrow),
            "`FILE` is a 32-bit program (x86 (i386)); 64-bit programs are supported"
        );
        assert_eq!(message("short", &good[..30]), "`FILE` is truncated: it ends within its header");
        assert_eq!(message("shorter", &good[..3]), "`FILE` is truncated: it ends within its header");
        assert_eq!(message("table", &good[..70]), "`FILE` is truncated: it ends before its program headers");
        let missing = "`FILE` is truncated: program header 0 speaks of bytes that are not in the file";
        assert_eq!(message("body", &good[..0x1000]), missing);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        assert!(message("class", &with(4, 1)).contains("32-bit program"));
        assert!(message("order", &with(5, 2)).contains("big-endian"));
        assert_eq!(message("object", &with(16, 1)), "`FILE` is an object file, not a program");
        assert!(message("phentsize", &with(54, 32)).contains("program headers have 32 bytes"));
        assert!(message("phnum", &with(56, 0)).contains("no program headers"));
        assert!(message("phoff", &with(39, 0xff)).contains("ends before its program headers"));
        assert!(message("vaddr", &with(64 + 16 + 7, 0xff)).contains("does not fit into the address space"));
        assert!(message("low", &with(64 + 16 + 2, 0)).contains("below what a program may use"));
        assert!(message("filesz", &with(64 + 32 + 4, 1)).contains("larger in the file than in memory"));
        assert!(message("unaligned", &with(64 + 16, 8)).contains("not aligned"));
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_survived() {
        let interp = Row { kind: PT_INTERP, flags: 4, offset: 0x1000, addr: 0x401000, file_size: 8, size: 8 };
        let good = build(ET_EXEC, 183, 0x401000, &[load_row(), interp], b"/lib/ld\0\0\0\0\0\0\0\0\0");
        let file = TempFile::new("fuzz", b"");
        for len in (0..200).chain([0x1000, 0x1008]) {
            std::fs::write(&file.0, &good[..len]).unwrap();
            assert!(Image::open(&file.0).is_err(), "{len}");
        }
        let memory = GuestMemory::new(u64::MAX).unwrap();
        for at in 0..176 {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                std::fs::write(&file.0, &bytes).unwrap();
                if let Ok(image) = Image::open(&file.0) {
                    let (low, high) = image.range();
                    if high - low < 1 << 32 {
                        let _ = image.load(&memory, 0);
                    }
                }
            }
        }
    }

    #[test]
    fn files_that_are_not_there_say_so() {
        let text = |path: &str| Image::open(Path::new(path)).unwrap_err().to_string();
        assert_eq!(text("/nonexistent/x"), "`/nonexistent/x`: no such file");
        assert_eq!(text("/"), "`/` is a directory, not a program");
        assert_eq!(text("/dev/null"), "`/dev/null` is not a regular file");
    }
}
