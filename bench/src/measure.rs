//! Runs engines in turns and takes the time.

use crate::Samples;
use std::ffi::{OsStr, OsString};
use std::process::{Command, Output};
use std::time::Instant;

/// A command that runs the kernels' program when the kernel and the repeats are appended.
#[derive(Clone)]
pub(crate) struct Engine {
    program: OsString,
    arguments: Vec<OsString>,
}

/// The times of one engine, in seconds, in ascending order.
#[derive(Clone)]
pub(crate) struct Sample(Vec<f64>);

impl Engine {
    /// Makes an engine of a program and its first arguments.
    pub(crate) fn new(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> Engine {
        let arguments = arguments.iter().map(|argument| argument.as_ref().to_owned()).collect();
        Engine { program: program.as_ref().to_owned(), arguments }
    }

    /// The same command with more options behind the first argument, its subcommand.
    pub(crate) fn with(mut self, options: &[OsString]) -> Engine {
        self.arguments.splice(1..1, options.iter().cloned());
        self
    }

    /// Runs once; returns what it wrote to standard error.
    pub(crate) fn messages(&self, arguments: &[OsString]) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.output(arguments)?.stderr).into_owned())
    }

    /// Runs once; returns seconds and what it printed.
    fn run(&self, arguments: &[OsString]) -> Result<(f64, Vec<u8>), String> {
        let start = Instant::now();
        let output = self.output(arguments)?;
        Ok((start.elapsed().as_secs_f64(), output.stdout))
    }

    fn output(&self, arguments: &[OsString]) -> Result<Output, String> {
        let output = Command::new(&self.program)
            .args(&self.arguments)
            .args(arguments)
            .output()
            .map_err(|error| format!("cannot run `{}`: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(output);
        }
        let messages = String::from_utf8_lossy(&output.stderr);
        let first = messages.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing on standard error");
        Err(format!("`{}` ended with {}: {first}", self.program.display(), output.status))
    }
}

impl Sample {
    /// Returns the median.
    pub(crate) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// Returns how far the slowest is from the fastest, as a part of the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.0[self.0.len() - 1] - self.0[0]) / self.median()
    }
}

/// Runs all engines `runs` times in turns; all must print the same.
pub(crate) fn interleaved(engines: &[&Option<Engine>], arguments: &[OsString], runs: usize) -> Result<Samples, String> {
    let mut times = vec![Vec::new(); engines.len()];
    let mut answer = None;
    for _ in 0..runs.max(1) {
        for (engine, times) in engines.iter().zip(&mut times) {
            let Some(engine) = engine else { continue };
            let (seconds, printed) = engine.run(arguments)?;
            times.push(seconds);
            if *answer.get_or_insert_with(|| printed.clone()) != printed {
                return Err(format!("`{}` computes another answer", engine.program.display()));
            }
        }
    }
    Ok(times.into_iter().map(sample).collect())
}

fn sample(mut times: Vec<f64>) -> Option<Sample> {
    times.sort_by(f64::total_cmp);
    (!times.is_empty()).then_some(Sample(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread() {
        let sample = sample(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((sample.median(), sample.spread()), (2.0, 1.0));
    }

    #[test]
    fn engines_must_agree() {
        let echo = |word| Some(Engine::new("echo", &[word]));
        assert!(interleaved(&[&echo("a"), &None, &echo("a")], &[], 1).is_ok());
        assert!(interleaved(&[&echo("a"), &echo("b")], &[], 1).is_err());
    }
}
