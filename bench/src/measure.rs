//! Runs commands in turns, and takes the time and the memory that each needs.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use wait4::Wait4;

/// A command.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    program: OsString,
    arguments: Vec<OsString>,
}

/// Which time counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Clock {
    /// From the start to the end
    #[default]
    Elapsed,
    /// What all threads have run, on whatever core: steadier on a machine with other work
    Cpu,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    elapsed: f64,
    cpu: f64,
    peak: u64,
    /// Length and hash of what it printed.
    printed: (u64, u64),
}

/// The runs of one engine: times in seconds in ascending order, and the most memory in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    times: Vec<f64>,
    peak: u64,
}

/// The samples of one row: an engine that is missing has none.
pub(crate) type Samples = Vec<Option<Sample>>;

impl Engine {
    /// Makes an engine of a program and its first arguments.
    pub(crate) fn new(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> Engine {
        let arguments = arguments.iter().map(|argument| argument.as_ref().to_owned()).collect();
        Engine { program: program.as_ref().to_owned(), arguments }
    }

    /// The same command with more arguments at its end.
    pub(crate) fn and(mut self, arguments: &[impl AsRef<OsStr>]) -> Engine {
        self.arguments.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// The command, in an environment that is the same everywhere.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs([("HOME", "/"), ("LC_ALL", "C"), ("TZ", "UTC")]);
        // What Python compiles is kept outside the root that its programs come from.
        command.env("PYTHONPYCACHEPREFIX", crate::scratch("pycache"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        command.stdin(Stdio::null());
        command
    }

    /// Runs once; returns what it wrote to standard error.
    pub(crate) fn messages(&self) -> Result<String, String> {
        let (_, messages) = self.run()?;
        std::fs::read(&messages)
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .map_err(|error| format!("cannot read {}: {error}", messages.display()))
    }

    fn run(&self) -> Result<(Reading, PathBuf), String> {
        let messages = crate::scratch("messages");
        let fails = |error: std::io::Error| format!("cannot run `{}`: {error}", self.program.display());
        let file = File::create(&messages).map_err(fails)?;
        let start = Instant::now();
        let mut child = self.command().stdout(Stdio::piped()).stderr(file).spawn().map_err(fails)?;
        let printed = digest(&mut child).map_err(fails)?;
        let used = child.wait4().map_err(fails)?;
        let elapsed = start.elapsed().as_secs_f64();
        if !used.status.success() {
            let text = std::fs::read(&messages).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing on standard error");
            return Err(format!("`{}` ended with {}: {first}", self.program.display(), used.status));
        }
        let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
        Ok((Reading { elapsed, cpu, peak: used.rusage.maxrss, printed }, messages))
    }
}

/// Reads all that a command prints, without keeping it.
fn digest(child: &mut Child) -> std::io::Result<(u64, u64)> {
    let (mut hash, mut len, mut buffer) = (DefaultHasher::new(), 0, vec![0; 1 << 16]);
    let Some(mut out) = child.stdout.take() else { return Ok((0, 0)) };
    loop {
        match out.read(&mut buffer)? {
            0 => return Ok((len, hash.finish())),
            n => {
                hash.write(&buffer[..n]);
                len += n as u64;
            }
        }
    }
}

impl Sample {
    /// Returns the median.
    pub(crate) fn median(&self) -> f64 {
        self.times[self.times.len() / 2]
    }

    /// Returns the shortest time.
    pub(crate) fn best(&self) -> f64 {
        self.times[0]
    }

    /// Returns how far the slowest is from the fastest, as a part of the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.times[self.times.len() - 1] - self.times[0]) / self.median()
    }

    /// Returns the most memory that a run has had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }
}

/// Runs all engines `runs` times in turns; all must print the same.
pub(crate) fn interleaved(engines: &[&Option<Engine>], runs: usize, clock: Clock) -> Result<Samples, String> {
    let mut readings = vec![Vec::new(); engines.len()];
    let mut answer = None;
    for _ in 0..runs.max(1) {
        for (engine, readings) in engines.iter().zip(&mut readings) {
            let Some(engine) = engine else { continue };
            let (reading, _) = engine.run()?;
            readings.push(reading);
            if *answer.get_or_insert(reading.printed) != reading.printed {
                return Err(format!("`{}` computes another answer", engine.program.display()));
            }
        }
    }
    Ok(readings.into_iter().map(|readings| sample(&readings, clock)).collect())
}

fn sample(readings: &[Reading], clock: Clock) -> Option<Sample> {
    let time = |reading: &Reading| match clock {
        Clock::Elapsed => reading.elapsed,
        Clock::Cpu => reading.cpu,
    };
    let mut times: Vec<f64> = readings.iter().map(time).collect();
    times.sort_by(f64::total_cmp);
    let peak = readings.iter().map(|reading| reading.peak).max()?;
    Some(Sample { times, peak })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_best_and_spread() {
        let reading = |elapsed: f64, peak| Reading { elapsed, cpu: 2.0 * elapsed, peak, printed: (0, 0) };
        let readings = [reading(3.0, 10), reading(1.0, 30), reading(2.0, 20)];
        let elapsed = sample(&readings, Clock::Elapsed).unwrap();
        assert_eq!((elapsed.median(), elapsed.best(), elapsed.spread(), elapsed.peak()), (2.0, 1.0, 1.0, 30));
        assert_eq!(sample(&readings, Clock::Cpu).unwrap().median(), 4.0);
        assert!(sample(&[], Clock::Cpu).is_none());
    }

    #[test]
    fn engines_must_agree() {
        let echo = |word| Some(Engine::new("echo", &[word]));
        let samples = interleaved(&[&echo("a"), &None, &echo("a")], 1, Clock::Elapsed).unwrap();
        assert!(samples[0].as_ref().is_some_and(|sample| sample.peak() > 0) && samples[1].is_none());
        assert!(interleaved(&[&echo("a"), &echo("b")], 1, Clock::Elapsed).is_err());
    }
}
