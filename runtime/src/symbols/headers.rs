//! The headers of an ELF file that a guest has mapped: which of its addresses are where.
//!
//! Unlike [`crate::elf`], which loads programs and says what is wrong with them, this looks at what the guest has mapped
//! by itself: what makes no sense has no symbols, and that is all. Source: System V ABI, "Program Header" and "Dynamic
//! Section".

use crate::elf::{u16_at, u32_at, u64_at};
use crate::env::MappedCode;
use crate::mem::{ADDRESS_SPACE, PAGE};
use std::fs::{File, Metadata};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

const HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;
/// As many bytes of program headers as Linux reads.
const MOST_HEADERS: usize = 0x1_0000;
/// Longer dynamic sections and names are not looked at.
const MOST_DYNAMIC: u64 = 0x1_0000;
const LONGEST_NAME: usize = 255;

const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PF_X: u32 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;

/// Tells a file from another one that has its name, and from itself after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> FileId {
        let (device, inode, size) = (metadata.dev(), metadata.ino(), metadata.size());
        FileId { device, inode, size, modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// What the headers of a mapped file say.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    /// Which file they are of.
    pub(super) id: FileId,
    /// It can be mapped anywhere.
    pub(super) position_independent: bool,
    /// The name under which others ask for it (`DT_SONAME`).
    pub(super) soname: Option<String>,
    loads: Vec<Load>,
}

/// A `PT_LOAD` header that makes sense.
#[derive(Clone, Debug)]
struct Load {
    flags: u32,
    offset: u64,
    file_size: u64,
    addr: u64,
    size: u64,
}

impl Headers {
    /// Reads the headers of a 64-bit little-endian ELF file with segments.
    pub(super) fn read(path: &Path) -> Option<Headers> {
        // The guest may name what blocks or never ends: only files are opened.
        let file = std::fs::metadata(path).ok().filter(Metadata::is_file).and_then(|_| File::open(path).ok())?;
        let id = FileId::of(&file.metadata().ok()?);
        let mut header = [0; HEADER_SIZE];
        file.read_exact_at(&mut header, 0).ok()?;
        let (kind, at, size, count) =
            (u16_at(&header, 16), u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56));
        let table_size = usize::from(count) * PROGRAM_HEADER_SIZE;
        if !header.starts_with(b"\x7fELF\x02\x01")
            || usize::from(size) != PROGRAM_HEADER_SIZE
            || table_size > MOST_HEADERS
        {
            return None;
        }
        let mut table = vec![0; table_size];
        file.read_exact_at(&mut table, at).ok()?;
        let mut headers = Headers { id, position_independent: kind == ET_DYN, soname: None, loads: Vec::new() };
        let mut dynamic = None;
        for row in table.chunks_exact(PROGRAM_HEADER_SIZE) {
            let [offset, addr, file_size, size] = [8, 16, 32, 40].map(|at| u64_at(row, at));
            let load = Load { flags: u32_at(row, 4), offset, file_size, addr, size };
            match u32_at(row, 0) {
                PT_LOAD if load.makes_sense() => headers.loads.push(load),
                PT_DYNAMIC => dynamic = Some((offset, file_size)),
                _ => {}
            }
        }
        headers.soname = dynamic.and_then(|(offset, size)| headers.read_soname(&file, offset, size));
        (!headers.loads.is_empty()).then_some(headers)
    }

    fn read_soname(&self, file: &File, offset: u64, size: u64) -> Option<String> {
        let mut table = vec![0; size.min(MOST_DYNAMIC) as usize];
        file.read_exact_at(&mut table, offset).ok()?;
        let value = |tag| table.chunks_exact(16).find(|row| u64_at(row, 0) == tag).map(|row| u64_at(row, 8));
        let at = value(DT_STRTAB)?.checked_add(value(DT_SONAME)?)?;
        let load = self.loads.iter().find(|load| (load.addr..load.addr + load.file_size).contains(&at))?;
        let mut name = vec![0; LONGEST_NAME.min((load.addr + load.file_size - at) as usize)];
        file.read_exact_at(&mut name, load.offset + (at - load.addr)).ok()?;
        let end = name.iter().position(|&byte| byte == 0)?;
        name.truncate(end);
        String::from_utf8(name).ok().filter(|name| !name.is_empty())
    }

    /// What was added to the file's addresses, if this part of it holds some of its code. Dynamic linkers map all of a
    /// file as code at first, and what is none with it: that says nothing.
    pub(super) fn bias(&self, code: &MappedCode) -> Option<u64> {
        let end = code.offset.saturating_add(code.range.end - code.range.start);
        let mapped = |load: &&Load| load.pages().start < end && code.offset < load.pages().end;
        let load = self.loads.iter().filter(|load| load.flags & PF_X != 0).find(mapped)?;
        let bias = code.range.start.wrapping_sub(load.addr.wrapping_sub(load.offset).wrapping_add(code.offset));
        bias.is_multiple_of(PAGE).then_some(bias)
    }

    /// Where the file is, from its first to behind its last byte.
    pub(super) fn range(&self, bias: u64) -> Range<u64> {
        let low = self.loads.iter().map(|load| load.addr & !(PAGE - 1)).min().unwrap_or(0);
        let high = self.loads.iter().map(|load| (load.addr + load.size).next_multiple_of(PAGE)).max().unwrap_or(0);
        low.wrapping_add(bias)..high.wrapping_add(bias)
    }

    /// Where its executable segments are.
    pub(super) fn code(&self, bias: u64) -> Vec<Range<u64>> {
        let code = self.loads.iter().filter(|load| load.flags & PF_X != 0);
        code.map(|load| load.addr.wrapping_add(bias)..(load.addr + load.size).wrapping_add(bias)).collect()
    }
}

impl Load {
    /// The guest's address space has room for it, so that sums of its numbers do not overflow.
    fn makes_sense(&self) -> bool {
        self.size > 0
            && self.file_size <= self.size
            && [self.addr, self.size].iter().all(|&n| n < ADDRESS_SPACE)
            && self.offset < 1 << 62
    }

    /// The pages of the file that it takes.
    fn pages(&self) -> Range<u64> {
        self.offset & !(PAGE - 1)..(self.offset + self.file_size).next_multiple_of(PAGE)
    }
}
