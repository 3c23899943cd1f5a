//! The sysroot: a directory in which the guest's files are looked for before the host's (`-L`).
//!
//! An absolute path names the sysroot's file if there is one, and the host's otherwise. Links and `..` on the way stay
//! inside the sysroot, as if it were the root. Three exceptions: `/proc`, `/sys` and `/dev` are always the host's, a
//! directory that is empty in the sysroot does not hide the host's, and `chdir` prefers the host's directory, so that
//! relative paths mean what they mean to other programs. Names that are made, removed or renamed are the host's.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// How many symbolic links a path may go through, as in Linux.
const MAX_LINKS: usize = 40;
/// Directories that the kernel makes, not a distribution.
const KERNEL_DIRECTORIES: [&str; 3] = ["proc", "sys", "dev"];

/// What the last part of a path means if it is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// What the link points to.
    Follow,
    /// The link.
    Keep,
}

impl Last {
    /// `Keep` if one of the bits `keep` is in `flags`.
    pub(super) fn unless(flags: u64, keep: u64) -> Last {
        if flags & keep == 0 { Last::Follow } else { Last::Keep }
    }
}

/// A directory in which guest files are looked for first.
#[derive(Clone, Debug)]
pub(super) struct Sysroot {
    root: PathBuf,
}

impl Sysroot {
    /// Takes a directory; a relative one is one of the current directory, also after the guest has left that.
    pub(super) fn new(root: &Path) -> Self {
        Sysroot { root: root.canonicalize().or_else(|_| std::path::absolute(root)).unwrap_or_else(|_| root.to_owned()) }
    }

    /// The host's path of the guest's absolute `path`, if the sysroot has it.
    pub(super) fn find(&self, path: &Path, last: Last) -> Option<PathBuf> {
        let mut at = self.root.clone();
        let mut pending = reversed_parts(path);
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part == ".." {
                if at != self.root {
                    at.pop();
                }
                continue;
            }
            let next = at.join(&part);
            let is_link = next.symlink_metadata().ok()?.is_symlink();
            if !is_link || (pending.is_empty() && last == Last::Keep) {
                at = next;
                continue;
            }
            links += 1;
            let target = next.read_link().ok().filter(|_| links <= MAX_LINKS)?;
            if target.is_absolute() {
                at.clone_from(&self.root);
            }
            pending.extend(reversed_parts(&target));
        }
        (!self.is_the_kernel_s(&at)).then_some(at)
    }

    /// As [`Sysroot::find`] for a call with a C string; a directory that is empty there does not count, if the host has
    /// one.
    pub(super) fn redirect(&self, path: &CStr, last: Last) -> Option<CString> {
        let bytes = path.to_bytes();
        let guest = Path::new(OsStr::from_bytes(bytes));
        if !guest.is_absolute() {
            return None;
        }
        // Behind a slash stands a directory, never a link.
        let slash = bytes.ends_with(b"/");
        let found = self.find(guest, if slash { Last::Follow } else { last })?;
        if is_empty_directory(&found) && guest.is_dir() {
            return None;
        }
        let mut found = found.into_os_string().into_vec();
        found.extend(slash.then_some(b'/'));
        CString::new(found).ok()
    }

    fn is_the_kernel_s(&self, found: &Path) -> bool {
        let inside = found.strip_prefix(&self.root).unwrap_or(found);
        KERNEL_DIRECTORIES.iter().any(|directory| inside.starts_with(directory))
    }
}

fn is_empty_directory(path: &Path) -> bool {
    path.is_dir() && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// The parts of a path, the last one first; those that stay where they are left out.
fn reversed_parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A sysroot with a file, links of every kind and an empty directory, removed at the end.
    struct Tree(Sysroot);

    impl Tree {
        fn new(name: &str) -> Tree {
            let root = std::env::temp_dir().join(format!("spile-sysroot-{name}-{}", std::process::id()));
            std::fs::create_dir_all(root.join("usr/lib")).unwrap();
            std::fs::create_dir_all(root.join("tmp")).unwrap();
            std::fs::create_dir_all(root.join("proc/self")).unwrap();
            std::fs::write(root.join("usr/lib/libx.so.1"), "x").unwrap();
            symlink("libx.so.1", root.join("usr/lib/libx.so")).unwrap();
            symlink("usr/lib", root.join("lib")).unwrap();
            symlink("/usr/lib/libx.so", root.join("absolute")).unwrap();
            symlink("../../../../usr/lib", root.join("above")).unwrap();
            symlink("loop", root.join("loop")).unwrap();
            Tree(Sysroot::new(&root))
        }

        fn find(&self, path: &str, last: Last) -> Option<String> {
            let found = self.0.find(Path::new(path), last)?;
            Some(found.strip_prefix(&self.0.root).unwrap().display().to_string())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0.root);
        }
    }

    #[test]
    fn links_and_dots_stay_inside() {
        let tree = Tree::new("links");
        let follow = |path| tree.find(path, Last::Follow);
        for path in
            ["/lib/libx.so", "/absolute", "/above/libx.so", "/../../lib/./libx.so", "//usr/lib/../lib/libx.so.1"]
        {
            assert_eq!(follow(path).as_deref(), Some("usr/lib/libx.so.1"), "{path}");
        }
        assert_eq!(tree.find("/lib/libx.so", Last::Keep).as_deref(), Some("usr/lib/libx.so"));
        assert_eq!(tree.find("/absolute", Last::Keep).as_deref(), Some("absolute"));
        assert_eq!(follow("/").as_deref(), Some(""));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let tree = Tree::new("missing");
        for path in ["/loop", "/usr/none", "/usr/lib/libx.so.1/x", "/proc/self", "/usr/../proc/self", "/dev/null"] {
            assert_eq!(tree.find(path, Last::Follow), None, "{path}");
        }
    }

    #[test]
    fn an_empty_directory_does_not_hide_the_host_s() {
        let tree = Tree::new("empty");
        assert_eq!(tree.0.redirect(c"/tmp", Last::Follow), None);
        assert_eq!(tree.0.redirect(c"usr/lib", Last::Follow), None);
        let library = tree.0.redirect(c"/lib/", Last::Keep).unwrap();
        assert!(library.to_bytes().ends_with(b"/usr/lib/"), "{library:?}");
    }
}
