//! The `spile` command: parse the command line, do what it says, exit with the right status.

mod args;
mod check;
mod ctl;
mod dump;
mod failure;
mod guest;
mod list;
mod run;
mod scripts;
mod session;

use args::{Cli, Command};
use std::process::ExitCode;

/// Status of an error of Spile's own, with nothing run.
const OWN_ERROR: u8 = 125;

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(OWN_ERROR) } else { ExitCode::SUCCESS };
        }
    };
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(args),
        Command::List(args) => list::list(args),
        Command::Dump(args) => dump::dump(args),
        Command::Ctl(args) => ctl::ctl(args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.report();
            ExitCode::from(OWN_ERROR)
        }
    }
}
