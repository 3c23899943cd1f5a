//! Writes the guest program of a batch: a static AArch64 ELF file made without assembler or linker. See `runner.S`.

/// Where the runner is loaded; the instructions of the cases follow it.
pub(crate) const CODE: u64 = 0x40_0000;
/// Where the runner's cells are, and after them the cases' records: far from what sums and shifts of addresses make.
const CELLS: u64 = 0x5a5a_0000;
const RECORDS: u64 = CELLS + 0x1000;
/// The memory that instructions work on.
pub(crate) const WINDOW: u64 = 0x2000_0000;
const WINDOW_SIZE: usize = 0x2000;
const PRISTINE: u64 = WINDOW + 0x1_0000;
const SIGNAL_STACK: u64 = WINDOW + 0x2_0000;
const SAVE: u64 = CODE + 4;
const SAVE_TAKEN: u64 = CODE + 8;
/// The bytes that the runner writes for each case.
pub(crate) const RESULT_SIZE: usize = 864;

static RUNNER: &[u8] = include_bytes!("runner.bin");

/// A program in the making.
pub(crate) struct Image {
    code: Vec<u8>,
    records: Vec<u8>,
    cases: u64,
}

impl Image {
    /// Starts a program without cases.
    pub(crate) fn new() -> Image {
        let mut code = RUNNER.to_vec();
        code.resize(0x400, 0);
        Image { code, records: Vec::new(), cases: 0 }
    }

    /// Appends instructions, followed by the two ways back, and returns their address.
    pub(crate) fn add_code(&mut self, words: &[u32]) -> u64 {
        let start = self.here();
        words.iter().for_each(|&word| self.emit(word));
        self.emit_branch(SAVE);
        self.emit_branch(SAVE_TAKEN);
        start
    }

    /// Returns where the note of a taken branch will be for code of `words` words that is added next.
    pub(crate) fn taken_address(&self, words: usize) -> u64 {
        self.here() + 4 * (words as u64 + 1)
    }

    /// Appends the record of a case.
    pub(crate) fn add_case(&mut self, record: &[u8]) {
        self.records.extend(record);
        self.cases += 1;
    }

    fn here(&self) -> u64 {
        CODE + self.code.len() as u64
    }

    fn emit(&mut self, word: u32) {
        self.code.extend(word.to_le_bytes());
    }

    fn emit_branch(&mut self, target: u64) {
        let offset = (target as i64 - self.here() as i64) >> 2;
        self.emit(0x1400_0000 | offset as u32 & 0x03ff_ffff);
    }

    /// Returns the ELF file.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut data = Vec::from(self.cases.to_le_bytes());
        data.extend(RECORDS.to_le_bytes());
        data.resize((RECORDS - CELLS) as usize, 0);
        data.extend(&self.records);
        let window: Vec<u8> = (0..WINDOW_SIZE / 8).flat_map(|i| pristine(i as u64).to_le_bytes()).collect();
        elf(&[
            Segment { address: CODE, flags: READ | EXECUTE, bytes: &self.code, size: self.code.len() },
            Segment { address: CELLS, flags: READ | WRITE, bytes: &data, size: data.len() },
            Segment { address: WINDOW, flags: READ | WRITE, bytes: &window, size: WINDOW_SIZE },
            Segment { address: PRISTINE, flags: READ, bytes: &window, size: WINDOW_SIZE },
            Segment { address: SIGNAL_STACK, flags: READ | WRITE, bytes: &[], size: 0x1_0000 },
        ])
    }
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

fn elf(segments: &[Segment<'_>]) -> Vec<u8> {
    let mut file = elf_header(segments.len() as u16);
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

fn elf_header(segments: u16) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    header.extend([2, 0, 183, 0, 1, 0, 0, 0]); // ET_EXEC, EM_AARCH64, version
    header.extend(CODE.to_le_bytes());
    header.extend(64u64.to_le_bytes()); // program headers
    header.extend([0; 12]); // no sections, no flags
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

    #[test]
    fn the_file_holds_the_runner_where_it_is_loaded() {
        let mut image = Image::new();
        image.add_code(&[0xd503_201f]);
        let file = image.finish();
        assert_eq!(&file[0x1000..0x1000 + RUNNER.len()], RUNNER);
        assert_eq!(u64::from_le_bytes(file[24..32].try_into().unwrap()), CODE);
    }

    #[test]
    fn code_ends_in_branches_to_the_fixed_places() {
        let mut image = Image::new();
        let expected = image.taken_address(1);
        let start = image.add_code(&[0xd503_201f]);
        assert_eq!(expected, start + 8);
        let word = |address: u64| {
            let at = (address - CODE) as usize;
            u32::from_le_bytes(image.code[at..at + 4].try_into().unwrap())
        };
        let target = |address: u64| address.wrapping_add(((i64::from(word(address)) << 38) >> 36) as u64);
        assert_eq!((target(start + 4), target(start + 8)), (SAVE, SAVE_TAKEN));
    }
}
