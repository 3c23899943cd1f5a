//! Runs a guest program under an emulator and takes what it writes.

use crate::batch::RAW;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No batch takes longer than this under an engine that works.
const PATIENCE: Duration = Duration::from_secs(300);

/// An emulator: a name for reports, and the command that the guest program's path is appended to.
pub(crate) struct Engine {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    /// What it runs is the raw image beside the program.
    pub(crate) takes_raw: bool,
}

/// What became of a run.
pub(crate) struct Outcome {
    pub(crate) output: Vec<u8>,
    /// Why it ended before its time, if it did: status and last line of standard error.
    pub(crate) failure: Option<String>,
}

impl Engine {
    /// Makes an engine of a command line.
    pub(crate) fn new(name: &str, command: &[&str]) -> Engine {
        Engine {
            name: name.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            takes_raw: false,
        }
    }

    /// Runs `program` to its end.
    pub(crate) fn run(&self, program: &Path) -> Result<Outcome, String> {
        let program = if self.takes_raw { program.with_extension(RAW) } else { program.to_owned() };
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .arg(program)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run `{}`: {error}", self.command[0]))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = thread::spawn(move || read_all(stdout));
        let messages = thread::spawn(move || read_all(stderr));
        let status = wait(&mut child);
        let output = output.join().unwrap_or_default();
        let messages = messages.join().unwrap_or_default();
        Ok(Outcome { output, failure: failure(status, &messages) })
    }
}

fn read_all(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // A stream that breaks off is a short output, which the comparison reports.
        let _ = stream.read_to_end(&mut bytes);
    }
    bytes
}

/// Waits for the end; `None` if the child had to be killed.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => thread::sleep(Duration::from_millis(5)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn failure(status: Option<ExitStatus>, messages: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(messages);
    let said = last_words(&text);
    match status {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("{status}: {said}")),
        None => Some(format!("still running after {} s: {said}", PATIENCE.as_secs())),
    }
}

/// Returns where and why it panicked, or else the last line.
fn last_words(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains("panicked at"));
    if let Some(place) = lines.next() {
        return format!("{place} {}", lines.next().unwrap_or_default());
    }
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing on standard error").to_owned()
}
