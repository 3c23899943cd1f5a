//! The folder of stores: where it is, whose it is, and how much is in it.
//!
//! What is in a store is executed. So the folder and the files in it must be the user's own, and nobody else may be able
//! to write there.

use super::identity_in;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most bytes of all stores together; when there is more, those that have not been used for longest are removed.
pub const MOST: u64 = 512 << 20;

/// How file names of stores end.
const ENDING: &str = ".code";

/// A folder of stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// A store in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its file.
    pub path: PathBuf,
    /// The program that it is for, if the file is a store.
    pub program: Option<String>,
    /// Bytes of the file.
    pub size: u64,
    /// When it was used last, in seconds since 1970.
    pub used: i64,
}

impl Folder {
    /// `$XDG_CACHE_HOME/spile`, or `$HOME/.cache/spile`. `None` if neither variable is an absolute path, which the XDG
    /// Base Directory Specification wants to be ignored.
    pub fn of_user(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<Folder> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(Folder::at(caches.join("spile")))
    }

    /// The folder with this path.
    pub fn at(path: PathBuf) -> Folder {
        Folder { path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates it if need be.
    ///
    /// # Errors
    /// The host's error; permission denied if it is not the user's own, or if others may write there.
    pub fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        let folder = fs::metadata(&self.path)?;
        if !folder.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        is_own(&folder)
    }

    /// Opens the store with this name. Writes append.
    ///
    /// # Errors
    /// The host's error; permission denied if the file is not the user's own, or if others may write there.
    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        self.check()?;
        let file = options().open(self.path.join(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        is_own(&metadata).map(|()| file)
    }

    /// Puts a new store that begins with `bytes` in the place of one with this name. Others that have the old one open
    /// keep it. Removes what has not been used for long.
    ///
    /// # Errors
    /// The host's.
    pub(super) fn create(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        self.prepare()?;
        let path = self.path.join(name);
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let made = self.path.join(format!("{name}.{}-{moment:x}", std::process::id()));
        let mut file = options().create_new(true).open(&made)?;
        let done = io::Write::write_all(&mut file, bytes).and_then(|()| fs::rename(&made, &path));
        if let Err(error) = done {
            let _ = fs::remove_file(&made);
            return Err(error);
        }
        self.shrink(&path);
        Ok(file)
    }

    /// Removes what has not been used for longest, but for `kept`, until there is not too much.
    fn shrink(&self, kept: &Path) {
        let Ok(mut stores) = self.list() else { return };
        stores.sort_by_key(|store| store.used);
        let mut size: u64 = stores.iter().map(|store| store.size).sum();
        for store in stores.iter().filter(|store| store.path != kept) {
            if size <= MOST {
                break;
            }
            if fs::remove_file(&store.path).is_ok() {
                size -= store.size;
            }
        }
    }

    /// Lists the stores; none if there is no folder.
    ///
    /// # Errors
    /// The host's; permission denied if the folder is not the user's own.
    pub fn list(&self) -> io::Result<Vec<Stored>> {
        match self.check() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            checked => checked?,
        }
        let mut stores = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // Others may remove files meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() && entry.file_name().to_string_lossy().contains(ENDING) {
                let program = self.open(&entry.file_name().to_string_lossy()).ok();
                let program = program.and_then(|file| identity_in(&file)).map(|identity| identity.program);
                let (size, used) = (metadata.len(), metadata.mtime());
                stores.push(Stored { path: entry.path(), program, size, used });
            }
        }
        stores.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(stores)
    }

    /// Removes all stores. Programs that run with them are not disturbed.
    ///
    /// # Errors
    /// The host's.
    pub fn clear(&self) -> io::Result<Vec<Stored>> {
        let stores = self.list()?;
        for store in &stores {
            match fs::remove_file(&store.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(stores)
    }
}

/// The name of the store for what `hash` stands for.
pub(super) fn name(program: &Path, hash: u64) -> String {
    let base = program.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '_' };
    let base: String = base.chars().take(40).map(plain).collect();
    format!("{base}-{hash:016x}{ENDING}")
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK);
    options
}

/// # Errors
/// Permission denied, if others than the user can write there.
fn is_own(metadata: &fs::Metadata) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() == user && metadata.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
