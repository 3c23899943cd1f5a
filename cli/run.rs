//! `spile run`.

use crate::args::{GuestArgs, RunArgs, ScriptArgs, TierArg};
use crate::cache;
use crate::failure::{self, Failure, show};
use crate::guest::{self, Guest};
use crate::scripts::{self, reason};
use crate::session::{self, Live};
use crate::stats;
use clap::ValueEnum;
use spile_lang::source::Sources;
use spile_runtime::env::Status;
use spile_runtime::linux::{self, ExecHook, OwnFile, Schedule};
use spile_runtime::mem::SHORT_OF_SPACE;
use spile_runtime::perf::PerfMap;
use spile_runtime::probe::engine::Probes;
use spile_runtime::probe::output::{Output, Style};
use spile_runtime::probe::runtime::ExitReason;
use spile_runtime::symbols::SymbolTable;
use spile_runtime::vm::{Config, End, ProbeEngine, Tier, Vm};
use std::ffi::{CString, OsString};
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Runs the guest and returns the exit status.
pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    keep_messages(args);
    linux::ensure_stack().map_err(short_stack)?;
    let sources = scripts::sources(&args.scripts, &[] as &[&str])?;
    let output = Arc::new(OnceLock::new());
    let start = guest::Start {
        arguments: args.arguments(),
        name: args.argv0.as_deref(),
        exec: Some(exec_hook(args, output.clone())),
        set_variables: &args.set_variable,
        unset_variables: &args.unset_variable,
        ignores_sigpipe: args.sigpipe_ignored,
        seed: args.deterministic.then_some(args.seed),
        schedule: schedule(args)?,
    };
    let guest = guest::load(&args.guest, args.program(), start)?;
    let changes = args.session.is_some() || args.watch;
    let probes = probes(args, &sources, &guest, &output)?;
    // Probes that come later may ask for the count.
    let config = Config {
        tier: tier(args.tier),
        max_insns: args.max_insns,
        count: args.deterministic || changes,
        compile_at_once: args.deterministic,
        stats: args.stats,
    };
    let Guest { isa, cpu, memory, environment, symbols } = guest;
    let vm = Vm::new(isa, cpu, memory, environment, probes, config)
        .map_err(|error| Failure::new(format!("no memory for generated code: {}", reason(&error))))
        .map_err(|failure| failure.with_hint(Some(SHORT_OF_SPACE.into())))?;
    // The process ends with it: the host takes all memory back at once, where freeing it block by block is a tenth of a
    // start of Python.
    let mut vm = ManuallyDrop::new(vm);
    if args.perf_map || args.jitdump.is_some() {
        let map = PerfMap::new(SymbolTable::clone(&symbols), args.perf_map, args.jitdump.as_deref());
        vm.set_perf_map(map.map_err(|(path, error)| {
            Failure::new(format!("cannot write {} for perf: {}", path.display(), reason(&error)))
        })?);
    }
    use_cache(args, &vm);
    let live = changes.then(|| Live::new(vm.control(), sources.clone(), &args.scripts, isa));
    let session = match (&args.session, &live) {
        (Some(name), Some(live)) => Some(session::serve(name, live.clone())?),
        _ => None,
    };
    if let (true, Some(live)) = (args.watch, &live) {
        session::watch(&sources, live.clone())?;
    }
    let end = vm.run();
    drop(session);
    let sources = live.map_or(sources, |live| session::sources(&live));
    let status = finish(args, &sources, &mut vm, end);
    linux::leave_schedule();
    Ok(status)
}

/// Lets the guest begin with what earlier runs have compiled of it. With `--deterministic` when code changes over depends
/// on nothing that is not in the command line.
fn use_cache(args: &RunArgs, vm: &Vm) {
    if args.no_cache || args.deterministic || args.tier == TierArg::Interp {
        return;
    }
    let Some(folder) = cache::folder(args.cache_folder.as_deref()) else { return };
    let program = std::fs::canonicalize(args.program()).unwrap_or_else(|_| args.program().to_owned());
    if let Err(error) = vm.set_store(&folder, &program)
        && args.verbose
    {
        say(args, &format!("no translation cache in {}: {}", folder.path().display(), cache::why_not(&error)));
    }
}

/// The schedule of `--deterministic`: a new one, or that of the program in which this one was executed.
fn schedule(args: &RunArgs) -> Result<Option<Schedule>, Failure> {
    match (args.deterministic, args.schedule) {
        (false, _) => Ok(None),
        (true, None) => Ok(Some(Schedule::Begin)),
        (true, Some((file, slot))) => OwnFile::inherited(file)
            .map(|file| Some(Schedule::Resume(file, slot)))
            .map_err(|error| Failure::new(format!("no schedule to go on with: {}", reason(&error)))),
    }
}

/// Takes standard error, as it is now, out of the guest's reach. Without a descriptor for it, messages go to what the
/// guest has as its standard error.
fn keep_messages(args: &RunArgs) {
    let file = match args.messages_fd {
        Some(fd) => OwnFile::inherited(fd),
        None => OwnFile::copy_of(&std::io::stderr()),
    };
    file.into_iter().for_each(failure::messages_to);
}

fn short_stack(limit: u64) -> Failure {
    Failure::new(format!("the stack is limited to {} KiB, which is too little", limit / 1024))
        .with_hint(Some("allow more with `ulimit -s 8192`".into()))
}

fn tier(tier: TierArg) -> Tier {
    match tier {
        TierArg::Auto => Tier::Auto,
        TierArg::Interp => Tier::Interp,
        TierArg::Jit => Tier::Jit,
        TierArg::Quick => Tier::Quick,
    }
}

/// Compiles and attaches the scripts; none if there are none.
fn probes(
    args: &RunArgs,
    sources: &Sources,
    guest: &Guest,
    file: &OutputFile,
) -> Result<Option<Box<dyn ProbeEngine>>, Failure> {
    let program = scripts::compile(&args.scripts, sources, guest.isa, &guest.debug())?;
    if program.probes.is_empty() && args.session.is_none() && !args.watch {
        return Ok(None);
    }
    guest.symbols.read_files();
    let output = output(args, file)?;
    let symbols = if args.executed { Arc::new(guest.symbols.of_executed()) } else { guest.symbols.clone() };
    let attached = Probes::attach(program, sources, symbols, &guest.memory, guest.isa, output, args.seed);
    match attached {
        Ok(probes) => Ok(Some(Box::new(probes))),
        Err(diagnostics) => {
            Err(Failure::Script { diagnostics, sources: sources.clone(), look: scripts::look(&args.scripts) })
        }
    }
}

/// The file that `-o` names, once it is open: the programs that the guest executes go on writing to it.
type OutputFile = Arc<OnceLock<OwnFile>>;

fn output(args: &RunArgs, file: &OutputFile) -> Result<Output, Failure> {
    let style = Style { json: args.scripts.json, ascii: args.scripts.ascii };
    let Some(path) = &args.output else {
        return Ok(Output::new(failure::messages(), "standard error", style));
    };
    let opened = match args.output_fd {
        Some(fd) => OwnFile::inherited(fd),
        None => std::fs::File::create(path).map(OwnFile::keep),
    };
    let opened =
        opened.map_err(|error| Failure::new(format!("cannot write {}: {}", path.display(), reason(&error))))?;
    let _ = file.set(opened);
    Ok(Output::new(Box::new(opened), path.display().to_string(), style))
}

/// Ends the output and returns the exit status; if the guest died of a signal, so does this process.
fn finish(args: &RunArgs, sources: &Sources, vm: &mut Vm, end: End) -> u8 {
    let status = end.status();
    for note in vm.environment.take_notes() {
        if args.verbose || matches!(end, End::Guest(Status::Signaled(_))) {
            say(args, &note);
        }
    }
    if let (End::Limit, Some(limit)) = (end, args.max_insns) {
        say(args, &format!("stopped after {limit} instructions (--max-insns)"));
    }
    let status = report(args, sources, vm, status);
    if args.stats {
        stats::show(args, &vm.stats());
    }
    if let End::Guest(Status::Signaled(signal)) = end {
        linux::die_of_signal(signal);
    }
    status
}

/// Writes the end of the probes' output and returns the status that they make of `status`.
fn report(args: &RunArgs, sources: &Sources, vm: &Vm, status: u8) -> u8 {
    let mut guard = vm.probes();
    let Some(probes) = guard.as_mut().and_then(|probes| probes.as_any().downcast_mut::<Probes>()) else {
        return status;
    };
    let status = probes.final_status(status);
    if vm.environment.is_child() {
        // Before others see that it has ended: what comes then would be out of order, or nobody would wait for it.
        probes.flush(&vm.memory);
        return status;
    }
    let report = probes.finish(&vm.memory, &*vm.environment, status);
    let _ = show(&mut failure::messages(), &probes.diagnostics(), sources, scripts::look(&args.scripts));
    if let Some(ExitReason::Output(why)) = probes.runtime().end_request().map(|end| &end.reason) {
        say(args, why);
        return 125;
    }
    if !args.quiet && !args.scripts.json {
        let line = if args.scripts.ascii { report.line().replace('…', "...") } else { report.line() };
        let _ = failure::messages().write_all(format!("{line}\n").as_bytes());
    }
    if args.strict && !report.never_fired.is_empty() && status == 0 { 3 } else { status }
}

fn say(args: &RunArgs, text: &str) {
    failure::say("note", text, None, args.scripts.json);
}

/// How `execve` in the guest starts another guest program: this command again, with the options that concern it and the
/// open files.
fn exec_hook(args: &RunArgs, output: OutputFile) -> ExecHook {
    let own = options_of(args);
    let follows = !args.no_follow;
    Box::new(move |exec| {
        let output = output.get().copied().filter(|_| follows);
        let files = [("--messages-fd", failure::messages_file()), ("--output-fd", output)];
        let mut files: Vec<(String, OwnFile)> = files
            .into_iter()
            .filter_map(|(option, file)| Some((format!("{option}={}", file?.number()), file?)))
            .collect();
        if let Some(Schedule::Resume(file, slot)) = Schedule::to_hand_on() {
            files.push((format!("--schedule={},{slot}", file.number()), file));
        }
        let text = |text: &[u8]| CString::new(text).unwrap_or_default();
        let mut argv = vec![text(b"spile"), text(b"run"), text(b"--executed")];
        argv.extend(own.iter().map(|option| text(option.as_bytes())));
        let (loader, environment): (Vec<&CString>, Vec<&CString>) =
            exec.envp.iter().partition(|variable| is_the_loader_s(variable));
        for variable in loader {
            argv.extend([text(b"-E"), variable.clone()]);
        }
        if let Some(name) = exec.argv.first() {
            argv.extend([text(b"--argv0"), name.clone()]);
        }
        if exec.ignores_sigpipe {
            argv.push(text(b"--sigpipe-ignored"));
        }
        for (option, file) in &files {
            argv.push(text(option.as_bytes()));
            let _ = file.survive_exec(true);
        }
        argv.push(text(b"--"));
        argv.push(exec.path.to_owned());
        argv.extend(exec.argv.iter().skip(1).cloned());
        let environment: Vec<CString> = environment.into_iter().cloned().collect();
        let error = linux::execute(c"/proc/self/exe", &argv, &environment);
        files.iter().for_each(|(_, file)| drop(file.survive_exec(false)));
        error
    })
}

/// True for variables that the host's own dynamic loader would follow when it loads Spile.
fn is_the_loader_s(variable: &CString) -> bool {
    let bytes = variable.as_bytes();
    (bytes.starts_with(b"LD_") && bytes.contains(&b'=')) || bytes.starts_with(b"GLIBC_TUNABLES=")
}

/// The options of this run for a program that the guest executes, which may have left the current directory. Its
/// environment is what the guest gives it, so `-E` and `-U` are not repeated.
fn options_of(args: &RunArgs) -> Vec<OsString> {
    let RunArgs {
        scripts: ScriptArgs { text, on, script, param, read_only, json, ascii, folder: _ },
        guest: GuestArgs { sysroot, raw: _, arch: _, base: _, entry: _ },
        output,
        max_insns,
        tier,
        deterministic,
        seed,
        strict,
        quiet,
        verbose,
        stats,
        perf_map,
        jitdump,
        no_cache,
        cache_folder,
        set_variable: _,
        unset_variable: _,
        session: _,
        watch: _,
        no_follow,
        argv0: _,
        executed: _,
        sigpipe_ignored: _,
        output_fd: _,
        schedule: _,
        messages_fd: _,
        guest_command: _,
    } = args;
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone()).into_os_string();
    let tier = tier.to_possible_value().map(|value| OsString::from(value.get_name()));
    let number = |number: &u64| OsString::from(number.to_string());
    let mut options = Options(Vec::new());
    if *no_follow {
        options.flags(&[("--no-follow", true), ("-q", true)]);
    } else {
        options.values("-e", text.iter().cloned());
        options.values("--on", on.iter().map(OsString::from));
        options.values("-s", script.iter().map(absolute));
        if !text.is_empty() || !on.is_empty() {
            options.values("--folder", [scripts::folder(&args.scripts).into_os_string()]);
        }
        options.values("-p", param.iter().map(OsString::from));
        options.values("-o", output.iter().map(absolute));
        options.flags(&[("--read-only", *read_only), ("--strict", *strict), ("-q", *quiet)]);
    }
    options.values("-L", sysroot.iter().map(absolute));
    options.values("--jitdump", jitdump.iter().map(absolute));
    options.values("--max-insns", max_insns.iter().map(number));
    options.values("--tier", tier);
    options.values("--seed", [number(seed)]);
    options.flags(&[
        ("--json", *json),
        ("--ascii", *ascii),
        ("--verbose", *verbose),
        ("--stats", *stats),
        ("--perf-map", *perf_map),
        ("--no-cache", *no_cache),
    ]);
    let folder = cache::folder(cache_folder.as_deref());
    options.values("--cache-folder", folder.iter().map(|folder| folder.path().as_os_str().to_owned()));
    options.flags(&[("--deterministic", *deterministic)]);
    options.0
}

/// Words of a command line.
struct Options(Vec<OsString>);

impl Options {
    fn values(&mut self, name: &str, values: impl IntoIterator<Item = OsString>) {
        self.0.extend(values.into_iter().flat_map(|value| [name.into(), value]));
    }

    fn flags(&mut self, flags: &[(&str, bool)]) {
        self.0.extend(flags.iter().filter(|(_, given)| *given).map(|(name, _)| OsString::from(name)));
    }
}
