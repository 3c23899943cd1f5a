//! The `spile` command: parse the command line, do what it says, exit with the right status.

mod args;
mod cache;
mod check;
mod ctl;
mod dump;
mod explain;
mod failure;
mod guest;
mod list;
mod run;
mod scripts;
mod session;
mod stats;

use args::{Cli, Command};
use std::process::ExitCode;

/// Status of an error of Spile's own, with nothing run.
const OWN_ERROR: u8 = 125;

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(error) => {
            if !error.use_stderr() {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            match args::asks_for_json() {
                true => misused(&error),
                false => drop(error.print()),
            }
            return ExitCode::from(OWN_ERROR);
        }
    };
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(args),
        Command::List(args) => list::list(args),
        Command::Dump(args) => dump::dump(args),
        Command::Ctl(args) => ctl::ctl(args),
        Command::Explain(args) => explain::explain(args),
        Command::Cache(args) => cache::cache(args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.report(cli.command.scripts().is_some_and(|scripts| scripts.json));
            ExitCode::from(OWN_ERROR)
        }
    }
}

/// Reports a command line that makes no sense as JSON: clap's first line is the message, the rest is help.
fn misused(error: &clap::Error) {
    let text = error.to_string();
    let (message, help) = text.split_once('\n').unwrap_or((&text, ""));
    let help: Vec<&str> = help.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    failure::say("error", message.trim_start_matches("error: ").trim_end_matches(':'), Some(&help.join("\n")), true);
}
