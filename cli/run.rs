//! `spile run`.

use crate::args::{RunArgs, TierArg};
use crate::failure::{Failure, show};
use crate::guest::{self, Guest};
use crate::scripts::{self, reason};
use spile_lang::source::Sources;
use spile_runtime::env::Status;
use spile_runtime::linux::{self, ExecHook};
use spile_runtime::probe::engine::Probes;
use spile_runtime::probe::output::{Output, Style};
use spile_runtime::probe::runtime::ExitReason;
use spile_runtime::vm::{Config, End, ProbeEngine, Tier, Vm};
use std::ffi::{CString, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Runs the guest and returns the exit status.
pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let look = scripts::look(&args.scripts);
    let sources = scripts::sources(&args.scripts, &[] as &[&str])?;
    let start = guest::Start {
        arguments: args.arguments(),
        name: args.argv0.as_deref(),
        exec: Some(exec_hook()),
        ignores_sigpipe: args.sigpipe_ignored,
    };
    let guest = guest::load(&args.guest, args.program(), start).map_err(|f| f.looking(look))?;
    let probes = probes(args, &sources, &guest)?;
    let config = Config { tier: tier(args.tier), max_insns: args.max_insns, count: false };
    let Guest { isa, cpu, memory, environment, .. } = guest;
    let mut vm = Vm::new(isa, cpu, memory, environment, probes, config)
        .map_err(|error| Failure::new(format!("no memory for generated code: {}", reason(&error))))?;
    let end = vm.run();
    Ok(finish(args, &sources, &mut vm, end))
}

fn tier(tier: TierArg) -> Tier {
    match tier {
        TierArg::Auto => Tier::Auto,
        TierArg::Interp => Tier::Interp,
        TierArg::Jit => Tier::Jit,
    }
}

/// Compiles and attaches the scripts; none if there are none.
fn probes(args: &RunArgs, sources: &Sources, guest: &Guest) -> Result<Option<Box<dyn ProbeEngine>>, Failure> {
    let program = scripts::compile(&args.scripts, sources, guest.isa)?;
    if program.probes.is_empty() {
        return Ok(None);
    }
    let output = output(args)?;
    let attached = Probes::attach(program, sources, guest.symbols.clone(), &guest.memory, guest.isa, output, args.seed);
    match attached {
        Ok(probes) => Ok(Some(Box::new(probes))),
        Err(diagnostics) => {
            Err(Failure::Script { diagnostics, sources: sources.clone(), look: scripts::look(&args.scripts) })
        }
    }
}

fn output(args: &RunArgs) -> Result<Output, Failure> {
    let style = Style { json: args.scripts.json, ascii: args.scripts.ascii };
    let Some(path) = &args.output else {
        return Ok(Output::new(Box::new(std::io::stderr()), "standard error", style));
    };
    let file = std::fs::File::create(path)
        .map_err(|error| Failure::new(format!("cannot write {}: {}", path.display(), reason(&error))))?;
    Ok(Output::new(Box::new(file), path.display().to_string(), style))
}

/// Ends the output and returns the exit status; if the guest died of a signal, so does this process.
fn finish(args: &RunArgs, sources: &Sources, vm: &mut Vm, end: End) -> u8 {
    let status = match end {
        End::Guest(Status::Exited(code)) | End::Probe(code) => code,
        End::Guest(Status::Signaled(signal)) => 128 + signal,
        End::Limit => 124,
    };
    for note in vm.environment.take_notes() {
        if args.verbose || matches!(end, End::Guest(Status::Signaled(_))) {
            say(args, &note);
        }
    }
    if end == End::Limit {
        say(args, &format!("stopped after {} instructions (--max-insns)", vm.cpu.icount));
    }
    let status = report(args, sources, vm, status);
    if let End::Guest(Status::Signaled(signal)) = end {
        linux::die_of_signal(signal);
    }
    status
}

/// Writes the end of the probes' output and returns the status that they make of `status`.
fn report(args: &RunArgs, sources: &Sources, vm: &mut Vm, status: u8) -> u8 {
    let Some(probes) = vm.probes.as_mut().and_then(|probes| probes.as_any().downcast_mut::<Probes>()) else {
        return status;
    };
    let status = probes.final_status(status);
    if vm.environment.is_child() {
        return status;
    }
    let report = probes.finish(&vm.memory, &*vm.environment, status);
    let _ = show(&mut std::io::stderr(), &probes.diagnostics(), sources, scripts::look(&args.scripts));
    if let Some(ExitReason::Output(why)) = probes.runtime().end_request().map(|end| &end.reason) {
        say(args, why);
        return 125;
    }
    if !args.quiet && !args.scripts.json {
        let line = if args.scripts.ascii { report.line().replace('…', "...") } else { report.line() };
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    if args.strict && !report.never_fired.is_empty() && status == 0 { 3 } else { status }
}

fn say(args: &RunArgs, text: &str) {
    Failure::new(text).looking(scripts::look(&args.scripts)).report();
}

/// How `execve` in the guest starts another guest program: this command again, with the same options.
fn exec_hook() -> ExecHook {
    let own = own_options();
    Box::new(move |exec| {
        let text = |text: &[u8]| CString::new(text).unwrap_or_default();
        let mut argv = vec![text(b"spile")];
        argv.extend(own.iter().map(|option| text(option.as_bytes())));
        if let Some(name) = exec.argv.first() {
            argv.extend([text(b"--argv0"), name.clone()]);
        }
        if exec.ignores_sigpipe {
            argv.push(text(b"--sigpipe-ignored"));
        }
        argv.push(text(b"--"));
        argv.push(exec.path.to_owned());
        argv.extend(exec.argv.iter().skip(1).cloned());
        linux::execute(c"/proc/self/exe", &argv, exec.envp)
    })
}

/// The options of this run, `run` included, up to the program.
fn own_options() -> Vec<OsString> {
    let all: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut options = Vec::new();
    let mut rest = all.into_iter();
    options.extend(rest.next());
    while let Some(option) = rest.next() {
        if !option.as_bytes().starts_with(b"-") || option == "--" {
            break;
        }
        // The new program has these of its own.
        if option == "--argv0" {
            rest.next();
            continue;
        }
        if option == "--sigpipe-ignored" {
            continue;
        }
        let takes_value = ["-e", "-s", "-p", "-L", "-o", "--on", "--arch", "--max-insns", "--tier", "--seed"];
        let value = takes_value.iter().any(|name| option == *name);
        options.push(option);
        if value {
            options.extend(rest.next());
        }
    }
    options
}
