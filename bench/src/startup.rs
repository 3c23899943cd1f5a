//! What is timed of start-up: real programs that do next to nothing, from the root that `tests/debian/run.sh` makes.

use crate::measure::Engine;
use std::ffi::OsString;
use std::path::Path;

/// Programs, below the root, with their arguments.
pub(crate) const PROGRAMS: &[(&str, &[&str])] = &[
    ("bin/busybox", &["true"]),
    ("bin/bash", &["-c", ":"]),
    ("usr/bin/perl", &["-e", "1"]),
    ("usr/bin/python3.11", &["-S", "-c", "pass"]),
    ("usr/bin/python3.11", &["-c", "pass"]),
];

/// Runs for each round of the kernels: these are short.
pub(crate) const RUNS: usize = 3;

/// How to get the root.
pub(crate) const FETCH: &str = "tests/debian/run.sh --fetch";

/// Returns the row's name: the command as one would type it.
pub(crate) fn name((program, arguments): (&str, &[&str])) -> String {
    let file = program.rsplit('/').next().unwrap_or(program);
    [&[file], arguments].concat().join(" ")
}

/// Returns what follows the engine and its own options on the command line.
pub(crate) fn command(root: &Path, (program, arguments): (&str, &[&str])) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["-L".into(), root.into(), root.join(program).into()];
    words.extend(arguments.iter().map(OsString::from));
    words
}

/// Spile in one tier.
pub(crate) fn spile(command: &Path, tier: &str) -> Engine {
    Engine::new(command, &["run", "--tier", tier])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_as_one_would_type_them() {
        assert_eq!(name(PROGRAMS[1]), "bash -c :");
        let words = command(Path::new("r"), PROGRAMS[0]);
        assert_eq!(words, ["-L", "r", "r/bin/busybox", "true"]);
    }
}
