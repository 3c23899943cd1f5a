//! The translation cache on disk: compiled regions of one guest program, kept from run to run.
//!
//! A store is a file: a head that says what it is for, and [`record`]s, to which each run appends what it compiles, at
//! once and in one write, so that runs at the same time, and runs that are killed, harm nothing. What is cut off or
//! changed is skipped.
//!
//! It knows nothing of guest memory: whoever takes a region compares the guest code that it was made of with what is
//! there ([`Record::guest_code`]). That is all that has to be the same, since a store is for one build of Spile, one host
//! processor and one way of compiling ([`Identity`]).

mod folder;
mod record;

use crate::jit::FpMode;
use crate::linux::OwnFile;
pub use folder::{Folder, MOST, Stored};
use hashbrown::{HashMap, HashSet};
pub use record::Record;
use record::{Head, MAGIC, MOST_BEFORE_REST};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// What a store begins with, version included.
const BEGINNING: [u8; 16] = *b"spile code 0001\n";
/// Most bytes of one store. What is compiled beyond that is not kept.
const MOST_IN_FILE: u64 = 64 << 20;
/// A store of which less than this part is of use is made anew.
const LEAST_PART_IN_USE: u64 = 2;
/// Bytes that are looked through at a time for the beginning of a record.
const SEARCHED: usize = 1 << 20;
/// Bytes below which that is not worth it.
const SMALL: u64 = 1 << 20;
/// Most bytes of an identity.
const MOST_OF_IDENTITY: usize = 64 << 10;

/// What must be the same for generated code to be usable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The guest program, and where its files are; for people and for the name of the file.
    pub program: String,
    /// Everything else: build, host processor, guest architecture, options.
    pub rest: String,
}

impl Identity {
    /// Of `program`, for the build of Spile that runs and whatever `options` say.
    ///
    /// # Errors
    /// The host's, if it does not say which build runs.
    pub fn new(program: &Path, options: &str) -> io::Result<Identity> {
        // A new build is a new file, or one that has been changed since.
        let own = std::fs::metadata("/proc/self/exe")?;
        let (size, changed, written) = (own.size(), (own.ctime(), own.ctime_nsec()), (own.mtime(), own.mtime_nsec()));
        let build = format!("{:x}:{:x} {size} {written:?} {changed:?}", own.dev(), own.ino());
        let program = program.to_string_lossy().into_owned();
        Ok(Identity { program, rest: format!("{} {build} {options}", env!("CARGO_PKG_VERSION")) })
    }

    fn name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        folder::name(Path::new(&self.program), hasher.finish())
    }

    /// What its store begins with.
    fn encode(&self) -> Vec<u8> {
        let text = [self.program.as_bytes(), self.rest.as_bytes()].join(&0);
        let mut bytes = BEGINNING.to_vec();
        for word in [text.len() as u32, crc32fast::hash(&text)] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(text);
        bytes
    }
}

/// What a file says that it is for. `None` if it is no store.
fn identity_in(file: &File) -> Option<Identity> {
    let mut head = [0; BEGINNING.len() + 8];
    file.read_exact_at(&mut head, 0).ok()?;
    let words = head.strip_prefix(&BEGINNING)?;
    let word = |at: usize| Some(u32::from_le_bytes(words.get(at..at + 4)?.try_into().ok()?));
    let mut text = vec![0; usize::try_from(word(0)?).ok().filter(|&len| len <= MOST_OF_IDENTITY)?];
    file.read_exact_at(&mut text, head.len() as u64).ok()?;
    if crc32fast::hash(&text) != word(4)? {
        return None;
    }
    let nul = text.iter().position(|&byte| byte == 0)?;
    let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(Identity { program: string(&text[..nul])?, rest: string(&text[nul + 1..])? })
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Location {
    offset: u64,
    len: u32,
}

/// What a region is found by: where it is entered, and for whom it is.
type Key = (u64, FpMode, bool);

/// The compiled regions of one program.
#[derive(Debug)]
pub struct Store {
    file: OwnFile,
    index: HashMap<Key, Location>,
    /// What has been taken out.
    taken: HashSet<Key>,
    /// Bytes of the file, as far as this process knows.
    size: u64,
}

impl Store {
    /// Opens the store for `identity`, or begins one.
    ///
    /// # Errors
    /// The host's error; permission denied if others can write there.
    pub fn open(folder: &Folder, identity: &Identity) -> io::Result<Store> {
        let name = identity.name();
        let known = match folder.open(&name) {
            Ok(file) => Some(file).filter(|file| identity_in(file).as_ref() == Some(identity)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let begin = |bytes: &[u8]| {
            let file = folder.create(&name, bytes)?;
            Ok(Store {
                file: OwnFile::keep(file),
                index: HashMap::new(),
                taken: HashSet::new(),
                size: bytes.len() as u64,
            })
        };
        let Some(file) = known else { return begin(&identity.encode()) };
        let (index, size) = index(&file, identity.encode().len() as u64)?;
        let mut used: Vec<Location> = index.values().copied().collect();
        used.sort_by_key(|location| location.offset);
        used.dedup();
        let in_use: u64 = used.iter().map(|location| u64::from(location.len)).sum();
        if size > SMALL && in_use < size / LEAST_PART_IN_USE {
            let mut bytes = identity.encode();
            for Location { offset, len } in used {
                let mut record = vec![0; len as usize];
                file.read_exact_at(&mut record, offset)?;
                bytes.extend(record);
            }
            begin(&bytes)?;
            return Store::open(folder, identity);
        }
        // When it was used last.
        let _ = file.set_modified(std::time::SystemTime::now());
        Ok(Store { file: OwnFile::keep(file), index, taken: HashSet::new(), size })
    }

    /// Takes out the region that is entered at `pc`, with those of its entries that belong to no other region. It is there
    /// once: whoever asks again has found it of no use, or has had it dropped.
    ///
    /// Regions are taken out as control comes to them, not in the order in which they were made: if they had all of their
    /// entries, the one of a function's first blocks would take over the head of its loop from that of the loop.
    pub fn take(&mut self, pc: u64, mode: FpMode, parallel: bool) -> Option<Record> {
        let key = (pc, mode, parallel);
        let &location = self.index.get(&key)?;
        if !self.taken.insert(key) {
            return None;
        }
        let mut bytes = vec![0; location.len as usize];
        self.file.read_exact_at(&mut bytes, location.offset).ok()?;
        let mut record = Record::decode(&Head::decode(&bytes)?, &bytes)?;
        record.shape.entries.retain(|&entry| self.index.get(&(entry, mode, parallel)) == Some(&location));
        Some(record)
    }

    /// In a forked child: all is to be taken out again, and nothing is added, since parent and children compile much the
    /// same.
    pub fn forked(&mut self) {
        self.taken.clear();
        self.size = MOST_IN_FILE;
    }

    /// Adds a region. False if it is not kept: the store is full, or the host refuses.
    pub fn add(&mut self, record: &Record) -> bool {
        let Some(bytes) = record.encode().filter(|bytes| self.size + bytes.len() as u64 <= MOST_IN_FILE) else {
            return false;
        };
        // One write, which other runs' writes do not come between.
        match self.file.write(&bytes) {
            Ok(written) if written == bytes.len() => {
                self.size += written as u64;
                true
            }
            // A full disk, or a limit: nothing more is tried.
            _ => {
                self.size = MOST_IN_FILE;
                false
            }
        }
    }
}

/// Reads the heads of all records behind `start`. Of several regions with one root the last one counts. Of those an address
/// belongs to the one that has it as its root, else to the first that is entered there: what a run compiles first is what
/// it executes most, and in that run the region has kept its entries. Returns the bytes of the file, too.
fn index(file: &File, start: u64) -> io::Result<(HashMap<Key, Location>, u64)> {
    let size = file.metadata()?.len();
    let (mut index, mut regions) = (HashMap::new(), Vec::new());
    // Where the last record begins, until something behind it makes no sense.
    let (mut at, mut last) = (start, None);
    while at < size {
        let mut bytes = vec![0; MOST_BEFORE_REST.min((size - at) as usize)];
        file.read_exact_at(&mut bytes, at)?;
        let Some(head) = Head::decode(&bytes).filter(|head| head.len() as u64 <= size - at) else {
            // Something was cut off or changed: the next record begins further on, or in what the last one says is its.
            at = next_record(file, last.take().unwrap_or(at) + 1, size)?;
            continue;
        };
        let location = Location { offset: at, len: head.len() as u32 };
        last = Some(at);
        at += head.len() as u64;
        let key = |&entry: &u64| (entry, head.mode, head.parallel);
        if let Some(root) = head.entries.first().map(key) {
            index.insert(root, location);
            regions.push((root, location, head));
        }
    }
    regions.retain(|(root, location, _)| index.get(root) == Some(location));
    for (_, location, head) in regions {
        for &entry in &head.entries {
            index.entry((entry, head.mode, head.parallel)).or_insert(location);
        }
    }
    Ok((index, size))
}

/// Where a record may begin, from `at` on; `size` if nowhere.
fn next_record(file: &File, mut at: u64, size: u64) -> io::Result<u64> {
    while at + MAGIC.len() as u64 <= size {
        let mut bytes = vec![0; SEARCHED.min((size - at) as usize)];
        file.read_exact_at(&mut bytes, at)?;
        if let Some(found) = bytes.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) {
            return Ok(at + found as u64);
        }
        at += (bytes.len() - MAGIC.len() + 1) as u64;
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::{Code, Shape};

    /// A folder that is removed in the end.
    struct Scratch(Folder);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("spile-store-{name}-{}", std::process::id()));
            Scratch(Folder::at(path))
        }

        fn open(&self, identity: &Identity) -> Store {
            Store::open(&self.0, identity).unwrap()
        }

        fn bytes(&self) -> Vec<u8> {
            std::fs::read(&self.0.list().unwrap()[0].path).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.0.path());
        }
    }

    fn identity(rest: &str) -> Identity {
        Identity { program: "/bin/a program".into(), rest: rest.into() }
    }

    fn record(root: u64, size: usize) -> Record {
        let blocks = [root].map(|root| root..root + 4).to_vec();
        let shape = Shape { blocks, entries: vec![root], mode: FpMode::Native, parallel: false };
        Record { shape, guest: vec![1; 4], code: Code { bytes: vec![root as u8; size], places: Vec::new() } }
    }

    fn take(store: &mut Store, pc: u64) -> Option<Record> {
        store.take(pc, FpMode::Native, false)
    }

    #[test]
    fn what_is_added_is_there_the_next_time_and_taken_once() {
        let scratch = Scratch::new("added");
        let mut store = scratch.open(&identity("a"));
        assert!(store.add(&record(0x1000, 100)) && store.add(&record(0x2000, 200)) && store.add(&record(0x1000, 300)));
        assert_eq!(take(&mut store, 0x1000), None, "what this run has made is where it belongs already");
        let mut store = scratch.open(&identity("a"));
        assert_eq!(take(&mut store, 0x1000), Some(record(0x1000, 300)), "the last one counts");
        assert_eq!(take(&mut store, 0x1000), None);
        assert_eq!(store.take(0x2000, FpMode::Native, true), None);
        assert_eq!(store.take(0x2000, FpMode::Reference, false), None);
        assert_eq!(take(&mut store, 0x2000), Some(record(0x2000, 200)));
        store.forked();
        assert_eq!(take(&mut store, 0x2000), Some(record(0x2000, 200)), "a child has lost what its parent had");
        assert!(!store.add(&record(0x3000, 100)));
        assert_eq!(take(&mut scratch.open(&identity("b")), 0x1000), None, "what is not the same is another store");
    }

    /// As [`record`], entered at `others` as well.
    fn entered_at(root: u64, others: &[u64]) -> Record {
        let mut record = record(root, 100);
        record.shape.blocks.extend(others.iter().map(|&other| other..other + 4));
        record.shape.entries.extend(others);
        record.guest = vec![1; 4 * record.shape.blocks.len()];
        record
    }

    /// `gunzip` took up to a third more time: the region of its main loop, which was compiled first, was never put in
    /// place, since that of the function's first blocks is entered there, too, and was taken out before.
    #[test]
    fn a_loop_is_entered_in_its_own_region_whatever_comes_first() {
        let scratch = Scratch::new("entries");
        let (head, inside, before, after, behind) = (0x2000, 0x2100, 0x1000, 0x2200, 0x2300);
        let mut store = scratch.open(&identity("a"));
        assert!(store.add(&entered_at(head, &[inside])));
        assert!(store.add(&entered_at(before, &[head, inside, after, behind])));
        assert!(store.add(&entered_at(after, &[before, behind])));
        let entries = |store: &mut Store, pc| take(store, pc).map(|record| record.shape.entries);
        let mut store = scratch.open(&identity("a"));
        assert_eq!(entries(&mut store, before), Some(vec![before, behind]), "no other root, nothing of an earlier one");
        assert_eq!(entries(&mut store, head), Some(vec![head, inside]));
        assert_eq!(entries(&mut store, after), Some(vec![after]));
        let mut store = scratch.open(&identity("a"));
        assert_eq!(entries(&mut store, inside), Some(vec![head, inside]), "by whichever entry it is found");
    }

    #[test]
    fn a_region_that_another_has_replaced_is_entered_nowhere() {
        let scratch = Scratch::new("replaced");
        let (root, both, former) = (0x1000, 0x1100, 0x1200);
        let mut store = scratch.open(&identity("a"));
        // As two runs at the same time leave them, of which neither knows what the other one compiles.
        assert!(store.add(&entered_at(root, &[both, former])) && store.add(&entered_at(root, &[both])));
        let mut store = scratch.open(&identity("a"));
        assert_eq!(take(&mut store, former), None);
        assert_eq!(take(&mut store, both), Some(entered_at(root, &[both])));
    }

    #[test]
    fn records_around_what_is_damaged_are_found() {
        let scratch = Scratch::new("damaged");
        let mut store = scratch.open(&identity("a"));
        let start = scratch.bytes().len();
        assert!((1..=3).all(|n| store.add(&record(n << 12, 100))));
        let len = (scratch.bytes().len() - start) / 3;
        let path = scratch.0.list().unwrap()[0].path.clone();
        let whole = scratch.bytes();
        let second = start + len..start + 2 * len;
        // A cut, as of a run that was killed while it wrote, and bytes that are wrong.
        for at in second.clone() {
            let cut = [&whole[..at], &whole[second.end..]].concat();
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            for bytes in [cut, wrong] {
                std::fs::write(&path, bytes).unwrap();
                let mut store = scratch.open(&identity("a"));
                let found = [1, 2, 3].map(|n| take(&mut store, n << 12).is_some());
                assert_eq!(found, [true, false, true], "byte {}", at - second.start);
            }
        }
    }

    #[test]
    fn a_store_with_little_of_use_is_made_anew() {
        let scratch = Scratch::new("anew");
        let mut store = scratch.open(&identity("a"));
        assert!(store.add(&record(0x5000, 100)));
        for _ in 0..5 {
            assert!(store.add(&record(0x1000, 1 << 19)));
        }
        assert!(scratch.bytes().len() > 5 << 19);
        let mut store = scratch.open(&identity("a"));
        assert!(scratch.bytes().len() < 2 << 19);
        assert_eq!(take(&mut store, 0x1000), Some(record(0x1000, 1 << 19)));
        assert_eq!(take(&mut store, 0x5000), Some(record(0x5000, 100)));
    }

    #[test]
    fn a_store_has_a_largest_size() {
        let scratch = Scratch::new("size");
        let mut store = scratch.open(&identity("a"));
        let added = (0..100).filter(|n| store.add(&record(n << 12, 1 << 20))).count();
        assert_eq!(added, 63);
        assert!(scratch.bytes().len() as u64 <= MOST_IN_FILE);
    }
}
