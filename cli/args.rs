//! The command line: every flag with its short and long text. Nothing is done here.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Trace and patch programs at the instruction: probes inlined into translated code.
#[derive(Debug, Parser)]
#[command(
    name = "spile",
    version,
    max_term_width = 100,
    after_help = "Examples:
  spile run -e 'on insn count by func into @f' ./prog
  spile run -e 'on insn at main print x0, x1' ./prog arg
  spile run -e 'on insn at check+0x1c skip' ./prog
  spile list -e 'on insn \"bl*\" in main count' ./prog"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a guest program with probes
    #[command(
        override_usage = "spile run [OPTIONS] PROGRAM [ARGS]...",
        after_help = "Options stand before the program; all that follows it is the guest's.

Exit status: the guest's own. If the guest dies of a signal, spile dies of the same one.
124: --max-insns was reached. 125: an error of spile's own, with nothing run.

Examples:
  spile run -e 'on insn at 0x800 write x0 = 5' --raw --arch aarch64 --base 0x800 boot.bin
  spile run -s trace.spile -o trace.txt ./prog
  spile run -e 'on every 100000 insns count by func' ./prog"
    )]
    Run(Box<RunArgs>),
    /// Check scripts without running anything
    #[command(after_help = "Without a program the syntax, names and types are checked; with one, places too.

Examples:
  spile check trace.spile
  spile check -e 'on insn at main+2 trace' ./prog")]
    Check(CheckArgs),
    /// List what scripts match in a program: places, static and dynamic parts, what they patch
    #[command(after_help = "Examples:
  spile list -e 'on insn \"ld*\" in main count' ./prog
  spile list ./prog                        all functions of the program
  spile list ./prog 'mem*'                 those that match")]
    List(ListArgs),
    /// Show a stage of the translation
    #[command(
        after_help = "Stages: ast and ir of the scripts; uop, clif and asm of the block at --at, probes included.

Examples:
  spile dump --stage ir -e 'on insn at main write x0 = 5'
  spile dump --stage uop --at main -e 'on insn at main write x0 = 5' ./prog"
    )]
    Dump(DumpArgs),
    /// Look at the probes of a run, and change them while the guest runs
    #[command(
        override_usage = "spile ctl [SESSION COMMAND]",
        after_help = "SESSION is what `spile run --session NAME` was given. Without arguments: the sessions that are running.
When a command returns, every guest thread runs with the change at its next instruction.

Examples:
  spile run --session trace ./prog
  spile ctl trace add 'slow: on insn at parse when x2 > 4096 print x2'
  spile ctl trace list
  spile ctl trace replace slow 'on insn at parse count by x2 into @sizes'
  spile ctl trace print @sizes"
    )]
    Ctl(CtlArgs),
    /// Say what the code of an error or warning means, with a script that gives it and the same repaired
    #[command(after_help = "Examples:
  spile explain E0103
  spile explain          all codes, a line each")]
    Explain(ExplainArgs),
    /// Show or clear the translation cache on disk
    #[command(after_help = "`spile run` keeps what it compiles of a program, and the next run of it begins with that.
The cache is in $XDG_CACHE_HOME/spile, or in ~/.cache/spile. It is yours alone: a folder in which
others can write is not used. What has not been used for longest is removed when there are more
than 512 MiB.

Examples:
  spile cache stat
  spile cache clear
  spile run --no-cache ./prog")]
    Cache(CacheArgs),
}

impl Command {
    /// The options about scripts, if it has them.
    pub(crate) fn scripts(&self) -> Option<&ScriptArgs> {
        match self {
            Command::Run(args) => Some(&args.scripts),
            Command::Check(args) => Some(&args.scripts),
            Command::List(args) => Some(&args.scripts),
            Command::Dump(args) => Some(&args.scripts),
            Command::Ctl(_) | Command::Explain(_) | Command::Cache(_) => None,
        }
    }
}

/// True if a command line that cannot be parsed has `--json` in it, which may then be the guest's as well.
pub(crate) fn asks_for_json() -> bool {
    std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json")
}

/// Where probes come from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ScriptArgs {
    /// Probe text; may be given several times
    #[arg(short = 'e', value_name = "TEXT", value_parser = clap::value_parser!(OsString))]
    pub(crate) text: Vec<OsString>,

    /// Probe text that begins after `on`: --on TEXT is -e 'on TEXT'
    #[arg(long = "on", value_name = "TEXT")]
    pub(crate) on: Vec<String>,

    /// Script file; may be given several times
    #[arg(short = 's', value_name = "FILE")]
    pub(crate) script: Vec<PathBuf>,

    /// Value of a `param`
    #[arg(short = 'p', value_name = "NAME=VALUE")]
    pub(crate) param: Vec<String>,

    /// Refuse probes that change the guest
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Report errors and output as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Draw diagnostics with plain ASCII characters
    #[arg(long)]
    pub(crate) ascii: bool,

    /// The folder that `use` in probe texts is relative to; for programs that a guest executes
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub(crate) folder: Option<PathBuf>,
}

/// How to load the guest.
#[derive(Debug, Default, Args)]
pub(crate) struct GuestArgs {
    /// Directory in which a dynamic program's interpreter, its libraries and its other files are looked for first
    #[arg(short = 'L', value_name = "SYSROOT", env = "SPILE_SYSROOT")]
    pub(crate) sysroot: Option<PathBuf>,

    /// The program is a raw image, not an ELF file
    #[arg(long, requires = "arch")]
    pub(crate) raw: bool,

    /// Guest architecture of a raw image, or of scripts that are checked without a program
    #[arg(long, value_name = "NAME")]
    pub(crate) arch: Option<String>,

    /// Address at which a raw image is loaded
    #[arg(long, value_name = "ADDR", value_parser = number, default_value = "0", requires = "raw")]
    pub(crate) base: u64,

    /// Address at which a raw image is entered; the base if not given
    #[arg(long, value_name = "ADDR", value_parser = number, requires = "raw")]
    pub(crate) entry: Option<u64>,
}

/// Arguments of `spile run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) scripts: ScriptArgs,

    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    /// Write probe output to FILE instead of standard error
    #[arg(short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// End the run after N instructions, with status 124
    #[arg(long, value_name = "N", value_parser = number)]
    pub(crate) max_insns: Option<u64>,

    /// Which engine tiers run the guest
    #[arg(long, value_enum, default_value_t = TierArg::Auto)]
    pub(crate) tier: TierArg,

    /// Make two runs the same, byte by byte: threads and processes run in turns, time is the number of instructions,
    /// randomness comes from --seed
    #[arg(long)]
    pub(crate) deterministic: bool,

    /// Seed of `rand`, and of the guest's random numbers with --deterministic
    #[arg(long, value_name = "N", value_parser = number, default_value = "0")]
    pub(crate) seed: u64,

    /// Exit with status 3 if a probe never fired
    #[arg(long)]
    pub(crate) strict: bool,

    /// No report at the end
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// Say what was not implemented: system calls and the like
    #[arg(long)]
    pub(crate) verbose: bool,

    /// At the end, show where the time went and what was translated and compiled
    #[arg(long)]
    pub(crate) stats: bool,

    /// Write /tmp/perf-PID.map, by which Linux's `perf report` names the guest's functions in compiled code
    #[arg(long)]
    pub(crate) perf_map: bool,

    /// Write compiled code with the guest's names to DIR/jit-PID.dump, for `perf record -k 1`, `perf inject --jit` and
    /// `perf report` or `perf annotate`
    #[arg(long, value_name = "DIR")]
    pub(crate) jitdump: Option<PathBuf>,

    /// Neither use nor fill the translation cache on disk; see `spile cache --help`
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Set a variable in the guest's environment only, such as LD_LIBRARY_PATH; may be given several times
    #[arg(short = 'E', value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) set_variable: Vec<OsString>,

    /// Remove a variable from the guest's environment; may be given several times
    #[arg(short = 'U', value_name = "NAME")]
    pub(crate) unset_variable: Vec<OsString>,

    /// Let `spile ctl NAME` look at the probes and change them while the guest runs
    #[arg(long, value_name = "NAME")]
    pub(crate) session: Option<String>,

    /// Read scripts again when they are saved; with errors, the probes of before stay
    #[arg(long)]
    pub(crate) watch: bool,

    /// Run programs that the guest executes without probes
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// What the guest program is told as its name, if not the path; for programs that a guest executes
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) argv0: Option<OsString>,

    /// Where the translation cache is; for programs that a guest executes, whose environment is the guest's
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub(crate) cache_folder: Option<PathBuf>,

    /// Another guest program has executed this one: places of the scripts that it does not have are no errors
    #[arg(long, hide = true)]
    pub(crate) executed: bool,

    /// The guest program starts with SIGPIPE ignored; for programs that a guest executes
    #[arg(long, hide = true)]
    pub(crate) sigpipe_ignored: bool,

    /// The descriptor that probe output goes to; for programs that a guest executes
    #[arg(long, value_name = "FD", hide = true)]
    pub(crate) output_fd: Option<i32>,

    /// The schedule that --deterministic goes on with: descriptor and slot; for programs that a guest executes
    #[arg(long, value_name = "FD,SLOT", hide = true, value_parser = schedule)]
    pub(crate) schedule: Option<(i32, usize)>,

    /// The descriptor that messages go to; for programs that a guest executes
    #[arg(long, value_name = "FD", hide = true)]
    pub(crate) messages_fd: Option<i32>,

    /// Guest program, and behind it its arguments
    // One list, not two: all that follows the program is the guest's, also what looks like an option.
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) guest_command: Vec<OsString>,
}

impl RunArgs {
    /// The guest program.
    pub(crate) fn program(&self) -> &Path {
        Path::new(&self.guest_command[0])
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.guest_command[1..]
    }
}

impl Cli {
    /// Parses the command line of this process.
    ///
    /// # Errors
    /// What is wrong with it, or the help that it asks for.
    pub(crate) fn from_process() -> Result<Cli, clap::Error> {
        let cli = Cli::try_parse()?;
        // The list of the guest's words takes an unknown option for the program.
        if let Command::Run(args) = &cli.command
            && args.guest_command[0].as_encoded_bytes().starts_with(b"-")
            && !std::env::args_os().any(|word| word == "--")
        {
            let mut command = Cli::command();
            command.build();
            let text = format!("unexpected argument '{}' found", args.program().display());
            let run = command.find_subcommand_mut("run").expect("`run` is a subcommand");
            return Err(run.error(ErrorKind::UnknownArgument, text));
        }
        Ok(cli)
    }
}

/// Arguments of `spile check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) scripts: ScriptArgs,

    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    /// Script files, and the guest program if one of the files is not a script
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// Arguments of `spile list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) scripts: ScriptArgs,

    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    /// Guest program
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: PathBuf,

    /// Without scripts: functions whose names match this glob, or `regs` for the registers
    #[arg(value_name = "WHAT")]
    pub(crate) what: Option<String>,
}

/// Arguments of `spile ctl`.
#[derive(Debug, Args)]
pub(crate) struct CtlArgs {
    /// The session
    pub(crate) session: Option<String>,

    /// Print the reply as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Option<CtlCommand>,
}

/// A command of `spile ctl`.
#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// Show the probes: name, state, how often each has fired
    List,
    /// Add probes
    Add {
        /// As after -e
        script: String,
    },
    /// Put probes in the place of one, in one step
    Replace {
        /// Its name
        probe: String,
        /// As after -e
        script: String,
    },
    /// Remove probes
    Remove {
        /// Their names
        #[arg(required = true)]
        probes: Vec<String>,
    },
    /// Arm probes
    Enable {
        /// Their names
        #[arg(required = true)]
        probes: Vec<String>,
    },
    /// Disarm probes
    Disable {
        /// Their names
        #[arg(required = true)]
        probes: Vec<String>,
    },
    /// Say a name: `mark` probes that wait for it fire
    Emit {
        /// The name
        name: String,
    },
    /// Print a global as the end of the run would
    Print {
        /// Such as @calls
        global: String,
    },
    /// Empty a global
    Reset {
        /// Such as @calls
        global: String,
    },
}

/// Arguments of `spile explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Such as E0103; without it, all codes are listed
    pub(crate) code: Option<String>,
}

/// Arguments of `spile cache`.
#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

/// A command of `spile cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show where it is and what is in it
    Stat {
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove all that is in it; programs that run are not disturbed
    Clear,
}

/// Arguments of `spile dump`.
#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    pub(crate) scripts: ScriptArgs,

    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    /// What to show
    #[arg(long, value_enum)]
    pub(crate) stage: Stage,

    /// Address or symbol of the block; the entry point if not given
    #[arg(long, value_name = "PLACE")]
    pub(crate) at: Option<String>,

    /// Guest program, for the stages that have one
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: Option<PathBuf>,
}

/// Engine tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierArg {
    /// Interpret first, compile what is hot
    Auto,
    /// Never compile
    Interp,
    /// Compile everything at first sight
    Jit,
    /// Make quick code of each block at first sight, and no other
    Quick,
}

/// Stages of translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Syntax tree of the scripts
    Ast,
    /// Checked scripts
    Ir,
    /// Micro-ops of a block
    Uop,
    /// Cranelift IR of a block
    Clif,
    /// Host code of a block
    Asm,
}

/// Takes `NAME=VALUE`.
fn variable(text: &str) -> Result<OsString, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.into()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Parses a descriptor and a slot.
fn schedule(text: &str) -> Result<(i32, usize), String> {
    let parsed = text.split_once(',').and_then(|(file, slot)| Some((file.parse().ok()?, slot.parse().ok()?)));
    parsed.ok_or_else(|| "expected FD,SLOT".to_owned())
}

/// Parses a number as scripts write it: decimal or with `0x`, `_` between digits.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    parsed.map_err(|_| "expected a number such as 4096 or 0x1000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_are_read_as_in_scripts() {
        assert_eq!(number("0x1_000"), Ok(4096));
        assert_eq!(number("1_000"), Ok(1000));
        for bad in ["", "0x", "12x", "-1", "0x10000000000000000"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
