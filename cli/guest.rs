//! From the command line's program and loading options to a guest that is ready to run.

use crate::args::GuestArgs;
use crate::failure::Failure;
use crate::scripts::reason;
use spile_runtime::cpu::CpuState;
use spile_runtime::env::Environment;
use spile_runtime::isa::{self, Isa};
use spile_runtime::linux::{self, ExecHook, Schedule};
use spile_runtime::mem::GuestMemory;
use spile_runtime::probe::attach::World;
use spile_runtime::probe::variables::ProgramInfo;
use spile_runtime::raw;
use spile_runtime::symbols::SymbolTable;
use std::collections::HashSet;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

/// A loaded guest.
pub(crate) struct Guest {
    pub(crate) isa: &'static dyn Isa,
    pub(crate) cpu: Box<CpuState>,
    pub(crate) memory: Arc<GuestMemory>,
    pub(crate) environment: Box<dyn Environment>,
    pub(crate) symbols: Arc<SymbolTable>,
}

impl Guest {
    /// What places of scripts are looked up in.
    pub(crate) fn world(&self) -> World<'_> {
        World { symbols: &*self.symbols, memory: &self.memory, isa: self.isa }
    }

    /// What scripts can know of its variables.
    pub(crate) fn debug(&self) -> ProgramInfo<'_> {
        ProgramInfo::new(self.world())
    }
}

/// The architecture that `--arch` names, or the default one.
pub(crate) fn architecture(args: &GuestArgs) -> Result<&'static dyn Isa, Failure> {
    let Some(name) = &args.arch else { return Ok(isa::all()[0]) };
    isa::by_name(name).ok_or_else(|| {
        let known: Vec<_> = isa::all().iter().map(|isa| isa.arch()).collect();
        Failure::new(format!("no guest architecture `{name}`")).with_hint(Some(format!("known: {}", known.join(", "))))
    })
}

/// How a program is started that is to run for real.
#[derive(Default)]
pub(crate) struct Start<'a> {
    /// Its arguments, without its name.
    pub(crate) arguments: &'a [OsString],
    /// Its name, if not its path.
    pub(crate) name: Option<&'a OsStr>,
    /// How it executes others. Without it, host signals do not reach the guest: it is not to be run.
    pub(crate) exec: Option<ExecHook>,
    /// It starts with `SIGPIPE` ignored.
    pub(crate) ignores_sigpipe: bool,
    /// What its random numbers come from, if not from the host.
    pub(crate) seed: Option<u64>,
    /// The turns that its threads take.
    pub(crate) schedule: Option<Schedule>,
    /// Variables of its environment that it has instead of those of this process: `NAME=VALUE`.
    pub(crate) set_variables: &'a [OsString],
    /// Names of variables of this process that it has not.
    pub(crate) unset_variables: &'a [OsString],
}

/// Loads the program for inspection only: nothing of the host is changed for it.
pub(crate) fn inspect(args: &GuestArgs, program: &Path) -> Result<Guest, Failure> {
    load(args, program, Start::default())
}

/// Loads the program.
pub(crate) fn load(args: &GuestArgs, program: &Path, start: Start<'_>) -> Result<Guest, Failure> {
    if args.raw { load_raw(args, program, start.schedule.is_some()) } else { load_linux(args, program, start) }
}

fn load_raw(args: &GuestArgs, program: &Path, counts_time: bool) -> Result<Guest, Failure> {
    let isa = architecture(args)?;
    let image = std::fs::read(program)
        .map_err(|error| Failure::new(format!("cannot read {}: {}", program.display(), reason(&error))))?;
    // Its header is no code.
    if image.starts_with(b"\x7fELF") && args.entry.is_none() {
        return Err(Failure::new(format!("`{}` is an ELF file, not a raw image", program.display())).with_hint(Some(
            "without `--raw` it is run as a Linux program; `objcopy -O binary` makes a raw image of it".into(),
        )));
    }
    let mut process = raw::start(isa, &image, args.base, args.entry.unwrap_or(args.base))
        .map_err(|why| Failure::new(format!("cannot load {}: {why}", program.display())))?;
    if counts_time {
        process.environment.count_time();
    }
    let symbols = SymbolTable::raw(program, process.range.0..process.range.1);
    Ok(Guest {
        isa,
        cpu: Box::new(process.cpu),
        memory: Arc::new(process.memory),
        environment: Box::new(process.environment),
        symbols: Arc::new(symbols),
    })
}

/// The guest's environment.
fn environment(start: &Start<'_>) -> Vec<CString> {
    let name_of = |pair: &OsString| pair.as_bytes().split(|&byte| byte == b'=').next().unwrap_or_default().to_vec();
    let gone: HashSet<Vec<u8>> = start.set_variables.iter().chain(start.unset_variables).map(name_of).collect();
    let own = std::env::vars_os().filter(|(name, _)| !gone.contains(name.as_bytes())).map(|(name, value)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend(value.into_vec());
        pair
    });
    let set = start.set_variables.iter().map(|pair| pair.clone().into_vec());
    own.chain(set).filter_map(|pair| CString::new(pair).ok()).collect()
}

fn load_linux(args: &GuestArgs, program: &Path, start: Start<'_>) -> Result<Guest, Failure> {
    let wanted = args.arch.is_some().then(|| architecture(args)).transpose()?;
    if let Some(isa) = wanted.filter(|isa| isa::linux_of(*isa).is_none()) {
        return Err(Failure::new(format!("of {} there are raw images only, no Linux programs", isa.arch()))
            .with_hint(Some("`--raw` says that the file is one".into())));
    }
    let c_string =
        |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| Failure::new("an argument contains a NUL byte"));
    let mut argv = vec![c_string(start.name.unwrap_or(program.as_os_str()))?];
    for argument in start.arguments {
        argv.push(c_string(argument)?);
    }
    let envp = environment(&start);
    let config = linux::Config {
        program: program.to_owned(),
        argv,
        envp,
        sysroot: args.sysroot.clone(),
        seed: start.seed,
        schedule: start.schedule,
        ignores_sigpipe: start.ignores_sigpipe,
        host_signals: start.exec.is_some(),
        exec: start.exec,
    };
    let process = linux::start(config).map_err(|error| Failure::new(error.to_string()).with_hint(error.hint()))?;
    if let Some(isa) = wanted.filter(|isa| isa.arch() != process.isa.arch()) {
        let (path, is) = (program.display(), process.isa.arch());
        return Err(Failure::new(format!("`{path}` is a program for {is}, not for {}", isa.arch())));
    }
    Ok(Guest {
        isa: process.isa,
        cpu: Box::new(process.cpu),
        memory: Arc::new(process.memory),
        environment: Box::new(process.kernel),
        symbols: Arc::new(with_sysroot(SymbolTable::of(&process.images), args)),
    })
}

fn with_sysroot(symbols: SymbolTable, args: &GuestArgs) -> SymbolTable {
    match &args.sysroot {
        Some(sysroot) => symbols.with_sysroot(sysroot),
        None => symbols,
    }
}
