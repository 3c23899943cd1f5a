//! `spile explain`: the pages of the stable codes.

use crate::args::ExplainArgs;
use crate::failure::Failure;
use crate::scripts::reason;
use spile_lang::codes;
use std::io::{ErrorKind, Write};

/// More candidates than this are no help.
const MOST_CANDIDATES: usize = 12;

/// Prints the page of a code, or a line for each.
pub(crate) fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let text = match &args.code {
        None => codes::list(),
        Some(code) => codes::text(codes::find(code).ok_or_else(|| unknown(code))?),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough closes the pipe: that is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write: {}", reason(&error))))
        }
        _ => Ok(0),
    }
}

fn unknown(code: &str) -> Failure {
    let candidates = codes::candidates(code);
    let hint = match candidates.len() {
        0 | MOST_CANDIDATES.. => "`spile explain` lists all codes".to_owned(),
        _ => format!("did you mean {}?", candidates.join(", ")),
    };
    Failure::new(format!("no diagnostic has the code `{code}`")).with_hint(Some(hint))
}
