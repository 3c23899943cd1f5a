//! `spile cache`, and where the translation cache on disk is.

use crate::args::{CacheArgs, CacheCommand};
use crate::failure::Failure;
use crate::scripts::reason;
use serde_json::json;
use spile_runtime::store::{Folder, MOST, Stored};
use std::fmt::Write as _;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The folder of the cache: `given`, or the user's. None if no variable of the environment says where that is.
pub(crate) fn folder(given: Option<&Path>) -> Option<Folder> {
    match given {
        Some(path) => Some(Folder::at(path.to_owned())),
        None => Folder::of_user(|name| std::env::var_os(name)),
    }
}

/// Why the cache cannot be used.
pub(crate) fn why_not(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "it is not yours alone, or you may not write there".into(),
        _ => reason(error),
    }
}

/// Shows or clears it.
pub(crate) fn cache(args: &CacheArgs) -> Result<u8, Failure> {
    let folder = folder(None).ok_or_else(|| {
        Failure::new("there is no translation cache: neither XDG_CACHE_HOME nor HOME is an absolute path")
    })?;
    let failed = |what: &str| {
        let what = format!("cannot {what} {}", folder.path().display());
        move |error: std::io::Error| Failure::new(format!("{what}: {}", why_not(&error)))
    };
    let text = match args.command {
        CacheCommand::Stat { json } => {
            let stores = folder.list().map_err(failed("look into"))?;
            if json { records(&folder, &stores) } else { table(&folder, &stores) }
        }
        CacheCommand::Clear => {
            let removed = folder.clear().map_err(failed("clear"))?;
            format!("removed {} from {}\n", sum(&removed), folder.path().display())
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough closes the pipe: that is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write: {}", reason(&error))))
        }
        _ => Ok(0),
    }
}

fn total(stores: &[Stored]) -> u64 {
    stores.iter().map(|store| store.size).sum()
}

fn sum(stores: &[Stored]) -> String {
    let files = if stores.len() == 1 { "file" } else { "files" };
    format!("{} {files}, {}", stores.len(), mebibytes(total(stores)))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A line for the folder and one for each program, the largest first.
fn table(folder: &Folder, stores: &[Stored]) -> String {
    let mut text = format!("{}: {} of {}\n", folder.path().display(), sum(stores), mebibytes(MOST));
    let mut stores: Vec<&Stored> = stores.iter().collect();
    stores.sort_by_key(|store| std::cmp::Reverse(store.size));
    for store in stores {
        let _ = writeln!(text, "{:>11}  {}", mebibytes(store.size), program(store));
    }
    text
}

fn program(store: &Stored) -> String {
    let name = || store.path.file_name().unwrap_or_default().to_string_lossy();
    store.program.clone().unwrap_or_else(|| format!("{} (not readable)", name()))
}

fn records(folder: &Folder, stores: &[Stored]) -> String {
    let whole = json!({"type": "cache", "folder": folder.path(), "bytes": total(stores), "limit": MOST});
    let mut text = format!("{whole}\n");
    for store in stores {
        let record = json!({
            "type": "store", "program": store.program, "file": store.path, "bytes": store.size, "used": store.used,
        });
        let _ = writeln!(text, "{record}");
    }
    text
}
