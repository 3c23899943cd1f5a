//! From the command line's `-e`, `--on` and `-s` to sources and a checked program.

use crate::args::ScriptArgs;
use crate::failure::{Failure, Look, messages, show};
use spile_lang::Options;
use spile_lang::debug::DebugInfo;
use spile_lang::ir::Program;
use spile_lang::source::{Source, Sources};
use spile_lang::target::Target;
use spile_lang::uses::{self, Found};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How findings in these scripts are shown.
pub(crate) fn look(args: &ScriptArgs) -> Look {
    Look { json: args.json, ascii: args.ascii }
}

/// Reads all sources: texts first, then files, each kind in the order given.
pub(crate) fn sources(args: &ScriptArgs, files: &[impl AsRef<Path>]) -> Result<Sources, Failure> {
    let mut sources = Sources::new();
    let texts = args.text.iter().map(|text| text.as_bytes().to_vec());
    let ons = args.on.iter().map(|text| format!("on {text}").into_bytes());
    for (index, text) in texts.chain(ons).enumerate() {
        let name = if index == 0 { "-e".to_owned() } else { format!("-e:{}", index + 1) };
        sources.add(name, text);
    }
    for path in args.script.iter().map(AsRef::as_ref).chain(files.iter().map(AsRef::as_ref)) {
        let text = std::fs::read(path)
            .map_err(|error| Failure::new(format!("cannot read the script {}: {}", path.display(), reason(&error))))?;
        sources.add_file(path.display().to_string(), text, identity(path));
    }
    load(&mut sources, 0, &folder(args));
    Ok(sources)
}

/// The folder that `use` in texts is relative to.
pub(crate) fn folder(args: &ScriptArgs) -> PathBuf {
    args.folder.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}

/// What tells a file from all others.
pub(crate) fn identity(path: &Path) -> String {
    let path = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned()
}

/// Reads the files that the sources from number `first` on use.
pub(crate) fn load(sources: &mut Sources, first: u32, folder: &Path) {
    uses::load(sources, first, &mut |from: &Source, path: &str| {
        let beside = match from.identity() {
            Some(_) => Path::new(from.name()).parent().unwrap_or(Path::new("")).join(path),
            None => folder.join(path),
        };
        // A device or pipe would be read for ever, or wait.
        let is_file = std::fs::metadata(&beside).map_err(|error| reason(&error))?.is_file();
        if !is_file {
            return Err("not a file".into());
        }
        let bytes = std::fs::read(&beside).map_err(|error| reason(&error))?;
        let here = std::env::current_dir().unwrap_or_default();
        let name = beside.strip_prefix(here).unwrap_or(&beside).display().to_string();
        Ok(Found { identity: identity(&beside), name, bytes })
    });
}

/// Checks the sources against a guest architecture and a program's debug information. Warnings are shown at once.
pub(crate) fn compile(
    args: &ScriptArgs,
    sources: &Sources,
    target: &dyn Target,
    debug: &dyn DebugInfo,
) -> Result<Program, Failure> {
    let options = options(args)?;
    let (program, diagnostics) = spile_lang::compile_with(sources, target, debug, &options);
    let look = look(args);
    match program {
        Some(program) => {
            let _ = show(&mut messages(), &diagnostics, sources, look);
            Ok(program)
        }
        None => Err(Failure::Script { diagnostics, sources: sources.clone(), look }),
    }
}

/// What the command line adds to scripts.
pub(crate) fn options(args: &ScriptArgs) -> Result<Options, Failure> {
    Ok(Options { params: params(args)?, read_only: args.read_only })
}

fn params(args: &ScriptArgs) -> Result<Vec<(String, String)>, Failure> {
    args.param
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err(Failure::new(format!("-p {text}: expected NAME=VALUE"))),
        })
        .collect()
}

/// An error of the host as people say it: `no such file` instead of `No such file or directory (os error 2)`.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
