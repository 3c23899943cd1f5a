//! `spile dump`: a stage of the translation as text.

use crate::args::{DumpArgs, Stage};
use crate::failure::{Failure, show};
use crate::guest::{self, Guest};
use crate::scripts;
use spile_lang::debug::NoDebugInfo;
use spile_lang::source::Sources;
use spile_runtime::probe::attach::Symbols;
use spile_runtime::probe::engine::Probes;
use spile_runtime::probe::output::{Output, Style};
use spile_runtime::vm::{Config, ProbeEngine, Tier, Vm};
use std::io::Write;

/// Prints the stage.
pub(crate) fn dump(args: &DumpArgs) -> Result<u8, Failure> {
    let sources = scripts::sources(&args.scripts, &[] as &[&str])?;
    let text = match args.stage {
        Stage::Ast => {
            let (text, diagnostics) = spile_lang::dump_ast(&sources);
            let _ = show(&mut std::io::stderr(), &diagnostics, &sources, scripts::look(&args.scripts));
            text
        }
        Stage::Ir => match &args.program {
            Some(path) => {
                let guest = guest::inspect(&args.guest, path)?;
                scripts::compile(&args.scripts, &sources, guest.isa, &guest.debug())?.to_string()
            }
            None => {
                let isa = guest::architecture(&args.guest)?;
                scripts::compile(&args.scripts, &sources, isa, &NoDebugInfo)?.to_string()
            }
        },
        Stage::Uop | Stage::Clif | Stage::Asm => block(args, &sources)?,
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(0)
}

fn block(args: &DumpArgs, sources: &Sources) -> Result<String, Failure> {
    let path = args.program.as_ref().ok_or_else(|| Failure::new("this stage needs a program"))?;
    let guest = guest::inspect(&args.guest, path)?;
    let pc = place(args, &guest)?;
    let program = scripts::compile(&args.scripts, sources, guest.isa, &guest.debug())?;
    let output = Output::new(Box::new(std::io::sink()), "nowhere", Style::default());
    let probes = Probes::attach(program, sources, guest.symbols.clone(), &guest.memory, guest.isa, output, 0).map_err(
        |diagnostics| Failure::Script { diagnostics, sources: sources.clone(), look: scripts::look(&args.scripts) },
    )?;
    let probes: Box<dyn ProbeEngine> = Box::new(probes);
    let config = Config { tier: Tier::Jit, ..Config::default() };
    let Guest { isa, cpu, memory, environment, .. } = guest;
    let mut vm = Vm::new(isa, cpu, memory, environment, Some(probes), config)
        .map_err(|error| Failure::new(format!("no memory for generated code: {error}")))?;
    Ok(match args.stage {
        Stage::Uop => vm.block_at(pc).block.to_string(),
        stage => vm.generated_code(pc, stage == Stage::Asm),
    })
}

/// The address that `--at` names, or the entry.
fn place(args: &DumpArgs, guest: &Guest) -> Result<u64, Failure> {
    let Some(text) = &args.at else { return Ok(guest.cpu.pc) };
    let (name, offset) = match text.split_once('+') {
        Some((name, offset)) => (name, parse(offset).ok_or_else(|| Failure::new(format!("no offset: `{offset}`")))?),
        None => (text.as_str(), 0),
    };
    let found = parse(name).or_else(|| guest.symbols.named(name).first().map(|symbol| symbol.addr));
    let base = found.ok_or_else(|| Failure::new(format!("no symbol `{name}` in the program")))?;
    Ok(base.wrapping_add(offset))
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
