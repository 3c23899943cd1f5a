//! Writes the guest program of a batch: a static ELF file made without assembler or linker. See the `runner.S` of each
//! architecture.

use crate::guest::Machine;

/// The memory that instructions work on.
pub(crate) const WINDOW: u64 = 0x2000_0000;
const WINDOW_SIZE: usize = 0x2000;
const PRISTINE: u64 = WINDOW + 0x1_0000;
const SIGNAL_STACK: u64 = WINDOW + 0x2_0000;
/// How far behind the runner's cells the records of the cases are.
pub(crate) const RECORDS: u64 = 0x1000;
/// Where the runner has its ways back from a case.
const SAVE: u64 = 4;
const SAVE_TAKEN: u64 = 8;
/// The size of raw images, whatever is in them: what is mapped behind a case must not depend on the other cases.
const RAW_SIZE: usize = 0x30_0000;
/// What Spile adds behind a raw image.
const BEHIND: usize = 1 << 20;

/// A program in the making.
pub(crate) struct Image {
    machine: &'static Machine,
    code: Vec<u8>,
    records: Vec<u8>,
    cases: u64,
}

impl Image {
    /// Starts a program without cases.
    pub(crate) fn new(machine: &'static Machine) -> Image {
        let mut code = machine.runner.to_vec();
        code.resize(0x800, 0);
        Image { machine, code, records: Vec::new(), cases: 0 }
    }

    /// Appends instructions, followed by the two ways back, and returns their address.
    pub(crate) fn add_code(&mut self, words: &[u32]) -> u64 {
        let start = self.here();
        for word in words {
            self.code.extend(&word.to_le_bytes()[..(self.machine.size)(*word)]);
        }
        self.emit_branch(self.machine.layout.code + SAVE);
        self.emit_branch(self.machine.layout.code + SAVE_TAKEN);
        start
    }

    /// Returns where the note of a taken branch will be for code that is added next.
    pub(crate) fn taken_address(&self, words: &[u32]) -> u64 {
        let size: usize = words.iter().map(|&word| (self.machine.size)(word)).sum();
        self.here() + size as u64 + 4
    }

    /// Appends the record of a case.
    pub(crate) fn add_case(&mut self, record: &[u8]) {
        self.records.extend(record);
        self.cases += 1;
    }

    fn here(&self) -> u64 {
        self.machine.layout.code + self.code.len() as u64
    }

    fn emit_branch(&mut self, target: u64) {
        let jump = (self.machine.jump)(target as i64 - self.here() as i64);
        self.code.extend(jump.to_le_bytes());
    }

    /// Returns the ELF file, and the raw image of the same bytes if the machine has one.
    pub(crate) fn finish(self) -> (Vec<u8>, Option<Vec<u8>>) {
        let layout = &self.machine.layout;
        let mut data = Vec::from(self.cases.to_le_bytes());
        data.extend((layout.cells + RECORDS).to_le_bytes());
        data.resize(RECORDS as usize, 0);
        data.extend(&self.records);
        let window: Vec<u8> = (0..WINDOW_SIZE / 8).flat_map(|i| pristine(i as u64).to_le_bytes()).collect();
        let segments = [
            Segment { address: layout.code, flags: READ | EXECUTE, bytes: &self.code, size: self.code.len() },
            Segment { address: layout.cells, flags: READ | WRITE, bytes: &data, size: data.len() },
            Segment { address: WINDOW, flags: READ | WRITE, bytes: &window, size: WINDOW_SIZE },
            Segment { address: PRISTINE, flags: READ, bytes: &window, size: WINDOW_SIZE },
            Segment { address: SIGNAL_STACK, flags: READ | WRITE, bytes: &[], size: 0x1_0000 },
        ];
        if !layout.is_raw {
            return (elf64(self.machine, &segments), None);
        }
        let raw = flat(&segments);
        let size = raw.len() + BEHIND;
        let whole = Segment { address: WINDOW, flags: READ | WRITE | EXECUTE, bytes: &raw, size };
        (elf32(self.machine, &whole), Some(raw))
    }
}

/// The bytes of all segments at their places behind the window.
fn flat(segments: &[Segment<'_>]) -> Vec<u8> {
    let mut raw = vec![0; RAW_SIZE];
    for segment in segments {
        let at = (segment.address - WINDOW) as usize;
        assert!(raw[at..][..segment.bytes.len()].iter().all(|&byte| byte == 0), "a batch is too large for its places");
        raw[at..at + segment.bytes.len()].copy_from_slice(segment.bytes);
    }
    raw
}

/// What the window holds: some words alike, so that compares also succeed, the others different from each other.
fn pristine(index: u64) -> u64 {
    if index.is_multiple_of(5) { 0x7ff0_0000_0000_0000 } else { index.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

const EXECUTE: u32 = 1;
const WRITE: u32 = 2;
const READ: u32 = 4;

struct Segment<'a> {
    address: u64,
    flags: u32,
    bytes: &'a [u8],
    size: usize,
}

fn elf64(machine: &Machine, segments: &[Segment<'_>]) -> Vec<u8> {
    let mut file = elf_header(machine, segments.len() as u16);
    let mut offset = 0x1000;
    for segment in segments {
        file.extend(program_header(segment, offset));
        offset += segment.bytes.len().next_multiple_of(0x1000) as u64;
    }
    for segment in segments {
        file.resize(file.len().next_multiple_of(0x1000), 0);
        file.extend(segment.bytes);
    }
    file
}

/// A program of one segment. Two more, which cannot be accessed, keep QEMU from putting its stack near it, or where sums
/// of addresses in the window lead: between segments it puts nothing.
fn elf32(machine: &Machine, segment: &Segment<'_>) -> Vec<u8> {
    let bound = |address| Segment { address, flags: 0, bytes: &[], size: 0x1000 };
    let (low, high) = (bound(WINDOW / 2), bound(2 * WINDOW + WINDOW / 2));
    let mut file = elf_start(machine, 1);
    for word in [machine.layout.code as u32, 52, 0, machine.elf.1] {
        file.extend(word.to_le_bytes()); // with the program headers, and no sections
    }
    for half in [52u16, 32, 3, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for (offset, segment) in [(0, &low), (0x1000, segment), (0, &high)] {
        let (address, sizes) = (segment.address as u32, [segment.bytes.len() as u32, segment.size as u32]);
        for word in [1, offset, address, address, sizes[0], sizes[1], segment.flags, 0x1000] {
            file.extend(word.to_le_bytes()); // PT_LOAD
        }
    }
    file.resize(0x1000, 0);
    file.extend(segment.bytes);
    file
}

/// What headers of both classes begin with.
fn elf_start(machine: &Machine, class: u8) -> Vec<u8> {
    let mut header = b"\x7fELF\0\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    header[4] = class;
    header.extend([2, 0]); // ET_EXEC
    header.extend(machine.elf.0.to_le_bytes());
    header.extend(1u32.to_le_bytes()); // version
    header
}

fn elf_header(machine: &Machine, segments: u16) -> Vec<u8> {
    let mut header = elf_start(machine, 2);
    let flags = machine.elf.1;
    header.extend(machine.layout.code.to_le_bytes());
    header.extend(64u64.to_le_bytes()); // program headers
    header.extend([0; 8]); // no sections
    header.extend(flags.to_le_bytes());
    for half in [64, 56, segments, 64, 0, 0] {
        header.extend(half.to_le_bytes());
    }
    header
}

fn program_header(segment: &Segment<'_>, offset: u64) -> Vec<u8> {
    let mut header = 1u32.to_le_bytes().to_vec(); // PT_LOAD
    header.extend(segment.flags.to_le_bytes());
    let fields = [offset, segment.address, segment.address, segment.bytes.len() as u64, segment.size as u64, 0x1000];
    header.extend(fields.into_iter().flat_map(u64::to_le_bytes));
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::a64::A64;
    use crate::guest::Guest;
    use crate::riscv::Rv32;

    #[test]
    fn the_file_holds_the_runner_where_it_is_loaded() {
        let mut image = Image::new(A64::MACHINE);
        image.add_code(&[0xd503_201f]);
        let (file, _) = image.finish();
        let runner = A64::MACHINE.runner;
        assert_eq!(&file[0x1000..0x1000 + runner.len()], runner);
        assert_eq!(u64::from_le_bytes(file[24..32].try_into().unwrap()), A64::MACHINE.layout.code);
    }

    #[test]
    fn a_raw_image_is_what_the_program_has_in_memory() {
        let (file, raw) = Image::new(Rv32::MACHINE).finish();
        let (raw, code) = (raw.unwrap(), Rv32::MACHINE.layout.code);
        assert_eq!(u32::from_le_bytes(file[24..28].try_into().unwrap()), code as u32);
        assert_eq!(file[0x1000..], raw);
        assert_eq!(&raw[(code - WINDOW) as usize..][..Rv32::MACHINE.runner.len()], Rv32::MACHINE.runner);
    }

    #[test]
    fn code_ends_in_branches_to_the_fixed_places() {
        let mut image = Image::new(A64::MACHINE);
        let expected = image.taken_address(&[0xd503_201f]);
        let start = image.add_code(&[0xd503_201f]);
        assert_eq!(expected, start + 8);
        let word = |address: u64| {
            let at = (address - A64::MACHINE.layout.code) as usize;
            u32::from_le_bytes(image.code[at..at + 4].try_into().unwrap())
        };
        let target = |address: u64| address.wrapping_add(((i64::from(word(address)) << 38) >> 36) as u64);
        let code = A64::MACHINE.layout.code;
        assert_eq!((target(start + 4), target(start + 8)), (code + SAVE, code + SAVE_TAKEN));
    }
}
