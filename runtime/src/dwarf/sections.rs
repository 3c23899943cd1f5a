//! Where debug information is: in the program file itself, or in a file of its own that the program file names.
//!
//! A separate file is found as GDB does ("Debugging Information in Separate Files"): by the build identifier below
//! `/usr/lib/debug/.build-id`, and by the name in `.gnu_debuglink` beside the program, in `.debug` there, and below
//! `/usr/lib/debug`; each of these in the sysroot first and then on the host. Whether it belongs to the program is
//! checked. Nothing here knows what is in a section.

use gimli::{DwarfSections, SectionId};
use object::read::elf::ElfFile64;
use object::{CompressionFormat, Endianness, Object, ObjectSection};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Larger files are not read, and no more bytes are made of compressed sections.
const LARGEST_FILE: u64 = 4 << 30;
const MOST_UNPACKED: usize = 1 << 30;

/// Where separate files are kept, below a root.
const KEPT: &str = "usr/lib/debug";

type Elf<'a> = ElfFile64<'a, Endianness>;

/// The sections of one program file that have to do with debugging. What is not there is empty.
#[derive(Default)]
pub(super) struct Sections {
    pub(super) dwarf: DwarfSections<Vec<u8>>,
    pub(super) debug_frame: Vec<u8>,
    pub(super) eh_frame: Vec<u8>,
    /// Address of `.eh_frame` in the file, from which its pointers count.
    pub(super) eh_frame_addr: u64,
    /// Address of `.text`.
    pub(super) text_addr: u64,
}

impl Sections {
    /// Reads what the file `bytes`, which is at `path`, and its separate file have.
    pub(super) fn read(path: &Path, bytes: &[u8], roots: &[PathBuf]) -> Sections {
        let Ok(file) = Elf::parse(bytes) else { return Sections::default() };
        let mut sections = Sections::default();
        let addr = |name| file.section_by_name(name).map_or(0, |section| section.address());
        sections.eh_frame = unpacked(&file, ".eh_frame");
        (sections.eh_frame_addr, sections.text_addr) = (addr(".eh_frame"), addr(".text"));
        if file.section_by_name(".debug_info").is_some() {
            sections.take(&file);
        } else if let Some(separate) = separate(path, &file, roots)
            && let Ok(separate) = Elf::parse(&*separate)
        {
            sections.take(&separate);
        } else {
            sections.debug_frame = unpacked(&file, ".debug_frame");
        }
        sections
    }

    fn take(&mut self, file: &Elf<'_>) {
        let load = |id: SectionId| Ok::<_, gimli::Error>(unpacked(file, id.name()));
        self.dwarf = DwarfSections::load(load).unwrap_or_default();
        self.debug_frame = unpacked(file, ".debug_frame");
    }
}

/// The bytes of a section; none if it is not there or damaged.
fn unpacked(file: &Elf<'_>, name: &str) -> Vec<u8> {
    let Some(data) = file.section_by_name(name).and_then(|section| section.compressed_data().ok()) else {
        return Vec::new();
    };
    match data.format {
        CompressionFormat::None => data.data.to_vec(),
        CompressionFormat::Zlib => {
            let limit = MOST_UNPACKED.min(usize::try_from(data.uncompressed_size).unwrap_or(0));
            miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(data.data, limit).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// The whole separate file of the program file `file`, which is at `path`, if there is one below the `roots` or beside it.
pub(crate) fn separate(path: &Path, file: &Elf<'_>, roots: &[PathBuf]) -> Option<Vec<u8>> {
    let id = file.build_id().ok().flatten().filter(|id| id.len() > 1);
    let by_id = id.into_iter().flat_map(|id| roots.iter().map(move |root| root.join(KEPT).join(id_path(id))));
    let link = file.gnu_debuglink().ok().flatten();
    let named = link.and_then(|(name, _)| plain_name(name));
    let by_name = named.into_iter().flat_map(|name| beside(path, name, roots));
    by_id.chain(by_name).filter(|candidate| candidate != path).find_map(|candidate| {
        let bytes = read(&candidate)?;
        belongs(&bytes, id, link.map(|(_, sum)| sum)).then_some(bytes)
    })
}

fn id_path(id: &[u8]) -> String {
    let hex: String = id[1..].iter().map(|byte| format!("{byte:02x}")).collect();
    format!(".build-id/{:02x}/{hex}.debug", id[0])
}

/// A program must not choose any file of the host.
fn plain_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty() && !name.contains('/') && !name.contains('\0') && name != "..").then_some(name)
}

fn beside(path: &Path, name: &str, roots: &[PathBuf]) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut all = vec![folder.join(name), folder.join(".debug").join(name)];
    for root in roots {
        // The file's folder as the guest sees it, if it is below this root.
        if let Ok(inner) = folder.strip_prefix(std::path::absolute(root).as_deref().unwrap_or(root)) {
            all.push(root.join(KEPT).join(inner).join(name));
        }
    }
    all
}

fn belongs(bytes: &[u8], id: Option<&[u8]>, sum: Option<u32>) -> bool {
    let own = Elf::parse(bytes).ok().and_then(|file| file.build_id().ok().flatten().map(<[u8]>::to_vec));
    match (id, own) {
        (Some(id), Some(own)) => id == own,
        _ => sum == Some(checksum(bytes)),
    }
}

/// The CRC-32 of `.gnu_debuglink`, which is that of zlib.
fn checksum(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|byte| {
        (0..8).fold(byte as u32, |sum, _| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xedb8_8320 })
    });
    !bytes.iter().fold(!0u32, |sum, &byte| sum >> 8 ^ table[usize::from(sum as u8 ^ byte)])
}

/// The bytes of a regular file.
fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::metadata(path).ok().filter(|metadata| metadata.is_file())?;
    if metadata.len() > LARGEST_FILE {
        return None;
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(metadata.len() as usize).ok()?;
    File::open(path).ok()?.take(LARGEST_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_separate_files_stay_in_their_folders() {
        assert_eq!(plain_name(b"prog.debug"), Some("prog.debug"));
        for bad in [&b"../secret"[..], b"/etc/passwd", b"", b"..", b"\xff"] {
            assert_eq!(plain_name(bad), None);
        }
        assert_eq!(id_path(&[0xab, 0x01, 0x02]), ".build-id/ab/0102.debug");
        let roots = [PathBuf::from("/sys"), PathBuf::from("/")];
        let found: Vec<_> = beside(Path::new("/sys/bin/prog"), "p.debug", &roots);
        let shown: Vec<_> = found.iter().map(|path| path.display().to_string()).collect();
        let wanted = ["/sys/bin/p.debug", "/sys/bin/.debug/p.debug", "/sys/usr/lib/debug/bin/p.debug"];
        assert_eq!(shown[..3], wanted);
    }

    #[test]
    fn the_checksum_is_zlib_s() {
        assert_eq!((checksum(b"123456789"), checksum(b"")), (0xcbf4_3926, 0));
    }
}
