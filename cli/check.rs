//! `spile check`.

use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::{guest, scripts};
use spile_lang::debug::NoDebugInfo;
use spile_runtime::probe::attach::attach;
use std::path::PathBuf;

/// Checks scripts, and their places if a program is given.
pub(crate) fn check(args: &CheckArgs) -> Result<u8, Failure> {
    let (programs, files): (Vec<&PathBuf>, Vec<&PathBuf>) = args.files.iter().partition(|path| is_program(args, path));
    if programs.len() > 1 {
        return Err(Failure::new("one program at a time: scripts are checked against a single one"));
    }
    let look = scripts::look(&args.scripts);
    let sources = scripts::sources(&args.scripts, &files)?;
    if sources.iter().next().is_none() {
        return Err(Failure::new("nothing to check").with_hint(Some("name a script file, or give -e TEXT".into())));
    }
    let Some(path) = programs.first() else {
        scripts::compile(&args.scripts, &sources, guest::architecture(&args.guest)?, &NoDebugInfo)?;
        return Ok(0);
    };
    let guest = guest::inspect(&args.guest, path)?;
    let program = scripts::compile(&args.scripts, &sources, guest.isa, &guest.debug())?;
    match attach(&program, 0, &guest.world()) {
        Ok(_) => Ok(0),
        Err(diagnostics) => Err(Failure::Script { diagnostics, sources, look }),
    }
}

/// ELF files are programs; with `--raw`, whatever is not named like a script is.
fn is_program(args: &CheckArgs, path: &PathBuf) -> bool {
    let script = path.extension().is_some_and(|suffix| suffix == "spile");
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
    !script && (args.guest.raw || (read.is_ok() && start == *b"\x7fELF"))
}
