//! `spile list`: what scripts match, or what a program offers.

use crate::args::ListArgs;
use crate::failure::Failure;
use crate::guest::{self, Guest};
use crate::scripts;
use spile_runtime::probe::attach::{Symbols, attach};
use spile_runtime::probe::listing;
use std::fmt::Write as _;
use std::io::Write;

/// Lists what the scripts match, or without scripts the functions or registers.
pub(crate) fn list(args: &ListArgs) -> Result<u8, Failure> {
    let look = scripts::look(&args.scripts);
    let sources = scripts::sources(&args.scripts, &[] as &[&str])?;
    let guest = guest::inspect(&args.guest, &args.program)?;
    let text = if sources.iter().next().is_none() {
        match args.what.as_deref() {
            Some("regs") => registers(&guest),
            pattern => functions(&guest, pattern.unwrap_or("*"))?,
        }
    } else {
        let program = scripts::compile(&args.scripts, &sources, guest.isa, &guest.debug())?;
        let world = guest.world();
        let attachments = attach(&program, 0, &world).map_err(|diagnostics| Failure::Script {
            diagnostics,
            sources: sources.clone(),
            look,
        })?;
        listing::list(&program, &attachments, &world, &sources)
    };
    // A reader that has seen enough closes the pipe: that is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(0)
}

fn registers(guest: &Guest) -> String {
    let mut text = String::new();
    for name in guest.isa.register_names() {
        if let Some(register) = guest.isa.register(&name) {
            let note = register.read_only.map(|reason| format!("   read-only: {}", reason.why)).unwrap_or_default();
            let _ = writeln!(text, "{name:<12} {:>3} bits   {}{note}", register.bits, register.ty);
        }
    }
    text
}

fn functions(guest: &Guest, pattern: &str) -> Result<String, Failure> {
    let mut text = String::new();
    guest.symbols.each_symbol(&mut |symbol| {
        if symbol.function && symbol.matches(pattern) {
            let _ = writeln!(text, "{:#014x} {:>8}  {}", symbol.addr, symbol.size, symbol.name);
        }
    });
    if text.is_empty() {
        return Err(Failure::new(format!("no function of the program matches `{pattern}`")));
    }
    Ok(text)
}
