//! What the data-driven tests share: running `spile`, comparing text with `[..]` in it, differences, blessing.
//!
//! Expected text is data beside the test. `BLESS=1` rewrites it from what happened; a line that still matches stays as it
//! is, so `[..]` survives. Read the difference before committing it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The engine tiers; the first is what blessing takes output from.
pub(crate) const TIERS: [&str; 4] = ["interp", "quick", "jit", "auto"];

/// Longest run; a debug build on a busy machine stays far below.
const LONGEST: Duration = Duration::from_secs(120);

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A shipped guest program.
pub(crate) fn guest(name: &str) -> PathBuf {
    root().join("tests/guest/bin").join(name)
}

/// True if expected files are to be rewritten.
pub(crate) fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// `spile`, in a folder, with the environment that guests are tested in and nothing on its standard input. The signals
/// that whoever started the tests has ignored (`nohup`, shells in the background) would be ignored by guests, too.
pub(crate) fn spile(folder: &Path) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_spile")]);
    command.current_dir(folder).env_clear().env("GREETING", "hello").stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What it wrote to standard output; to both in one stream if they were joined.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
    /// An exit status, or the name of the signal that killed it.
    pub(crate) status: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spile starts");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let stderr = child.stderr.take().expect("standard error is a pipe");
    let readers = [reader(stdout), reader(stderr)];
    let status = wait(&mut child);
    let [stdout, stderr] = readers.map(|reader| reader.join().expect("a reader does not panic"));
    Ended { stdout, stderr, status }
}

/// Runs a command whose two outputs are one pipe, as on a terminal: the order of what is written is seen.
pub(crate) fn run_joined(command: &mut Command) -> Ended {
    let (read, write) = std::io::pipe().expect("a pipe");
    let other = write.try_clone().expect("a pipe end");
    let mut child = command.stdout(write).stderr(other).spawn().expect("spile starts");
    // The command holds write ends too; without this the reader would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let reader = reader(read);
    let status = wait(&mut child);
    Ended { stdout: reader.join().expect("a reader does not panic"), stderr: String::new(), status }
}

fn reader(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut std::process::Child) -> String {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return status_text(status);
        }
        if start.elapsed() > LONGEST {
            let _ = child.kill();
            let _ = child.wait();
            return format!("none after {} s: killed", LONGEST.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An exit status as a number, or the signal's name.
pub(crate) fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => match signal {
            4 => "SIGILL".to_string(),
            5 => "SIGTRAP".to_string(),
            6 => "SIGABRT".to_string(),
            7 => "SIGBUS".to_string(),
            11 => "SIGSEGV".to_string(),
            13 => "SIGPIPE".to_string(),
            15 => "SIGTERM".to_string(),
            other => format!("signal {other}"),
        },
        (None, None) => "neither a status nor a signal".to_string(),
    }
}

/// Splits a command line into words as a shell does: blanks separate, `'…'` and `"…"` hold together.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "no end of quotes: {line}");
    words.extend(word);
    words
}

/// True if a line is as expected; `[..]` stands for any text.
pub(crate) fn line_matches(expected: &str, actual: &str) -> bool {
    let Some((head, rest)) = expected.split_once("[..]") else { return expected == actual };
    let Some(tail) = actual.strip_prefix(head) else { return false };
    let starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    starts.into_iter().any(|at| line_matches(rest, &tail[at..]))
}

/// Returns what `actual` becomes as expected text: lines that match an expected one at their place keep its form.
fn blessed(expected: &str, actual: &str) -> String {
    let mut out = String::new();
    for edit in edits(&lines(expected), &lines(actual)) {
        match edit {
            Edit::Same(line) | Edit::New(line) => out.push_str(line),
            Edit::Old(_) => continue,
        }
        out.push('\n');
    }
    if !actual.ends_with('\n') && out.ends_with('\n') {
        out.pop();
    }
    out
}

/// Lines; a last line without an end is marked, so that it differs from one with an end.
fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

enum Edit<'a> {
    Same(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// The shortest way from one list of lines to another, by the longest common subsequence.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let mut longest = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i][j] = match line_matches(old[i], new[j]) {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && line_matches(old[i], new[j]) {
            out.push(Edit::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && longest[i + 1][j] >= longest[i][j + 1] {
            out.push(Edit::Old(old[i]));
            i += 1;
        } else {
            out.push(Edit::New(new[j]));
            j += 1;
        }
    }
    out
}

/// Lines around a difference that are shown.
const CONTEXT: usize = 3;

/// A unified difference, or nothing if the text is as expected.
pub(crate) fn diff(title: &str, expected: &str, actual: &str) -> Option<String> {
    let edits = edits(&lines(expected), &lines(actual));
    let ends_alike = expected.ends_with('\n') == actual.ends_with('\n');
    let changed: Vec<bool> = edits.iter().map(|edit| !matches!(edit, Edit::Same(_))).collect();
    if !changed.contains(&true) {
        return (!ends_alike).then(|| format!("--- {title}\n+++ now\nonly one of them ends its last line\n"));
    }
    let mut out = format!("--- {title}\n+++ now\n");
    let mut gap = false;
    for (at, edit) in edits.iter().enumerate() {
        let near = at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(edits.len());
        if !changed[near].contains(&true) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            out.push_str("@@\n");
        }
        let (mark, line) = match edit {
            Edit::Same(line) => (' ', line),
            Edit::Old(line) => ('-', line),
            Edit::New(line) => ('+', line),
        };
        out.push_str(&format!("{mark}{line}\n"));
    }
    Some(out)
}

/// Compares with an expected file, which need not exist if nothing is expected; rewrites it when blessing.
pub(crate) fn check_file(path: &Path, actual: &str) -> Option<String> {
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    let title = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let difference = diff(&title, &expected, actual)?;
    if !blessing() {
        return Some(difference);
    }
    if actual.is_empty() {
        std::fs::remove_file(path).expect("the expected file can be removed");
    } else {
        std::fs::write(path, blessed(&expected, actual)).expect("the expected file can be written");
    }
    None
}

/// A file of commands with what they print: `$ spile …`, then the lines of its output, then `? STATUS` if it is not 0.
pub(crate) struct Session {
    /// Lines before the first command.
    pub(crate) head: Vec<String>,
    /// The commands.
    pub(crate) commands: Vec<Exchange>,
}

/// A command and what it prints; text after an empty line that follows belongs to the next one.
pub(crate) struct Exchange {
    /// After `$ `.
    pub(crate) line: String,
    /// What follows it, up to the next command or comment.
    pub(crate) output: String,
    /// Comments and empty lines that follow.
    pub(crate) tail: Vec<String>,
}

impl Session {
    /// Reads a session; comments are lines that begin with `#`.
    pub(crate) fn parse(text: &str) -> Session {
        let mut session = Session { head: Vec::new(), commands: Vec::new() };
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                let new = Exchange { line: command.to_string(), output: String::new(), tail: Vec::new() };
                session.commands.push(new);
                continue;
            }
            let Some(last) = session.commands.last_mut() else {
                session.head.push(line.to_string());
                continue;
            };
            if line.starts_with('#') || !last.tail.is_empty() {
                // Empty lines before a comment are not output.
                let kept = last.output.trim_end_matches('\n').len();
                let empty = last.output[kept..].len().saturating_sub(usize::from(kept > 0));
                last.output.truncate(last.output.len() - empty);
                last.tail.extend(std::iter::repeat_n(String::new(), empty));
                last.tail.push(line.to_string());
            } else {
                last.output.push_str(line);
                last.output.push('\n');
            }
        }
        for exchange in &mut session.commands {
            while exchange.output.ends_with("\n\n") || exchange.output == "\n" {
                exchange.output.pop();
                exchange.tail.insert(0, String::new());
            }
        }
        session
    }

    /// Runs every command and returns the session as it is now, where it differs.
    pub(crate) fn replay(&self, mut run: impl FnMut(&[String]) -> Ended) -> String {
        let mut out = String::new();
        let mut put = |line: &str| {
            out.push_str(line);
            out.push('\n');
        };
        self.head.iter().for_each(|line| put(line));
        for exchange in &self.commands {
            put(&format!("$ {}", exchange.line));
            let all = words(&exchange.line);
            assert_eq!(all.first().map(String::as_str), Some("spile"), "only spile is run: {}", exchange.line);
            let ended = run(&all[1..]);
            let mut actual = ended.stdout;
            if !actual.is_empty() && !actual.ends_with('\n') {
                actual.push('\n');
            }
            for line in ended.stderr.lines() {
                actual.push_str(&format!("! {line}").trim_end().replace('\t', "  "));
                actual.push('\n');
            }
            if ended.status != "0" {
                actual.push_str(&format!("? {}\n", ended.status));
            }
            // Empty lines at the end of an output are not told from those between commands.
            while actual.ends_with("\n\n") || actual == "\n" {
                actual.pop();
            }
            blessed(&exchange.output, &actual).lines().for_each(&mut put);
            exchange.tail.iter().for_each(|line| put(line));
        }
        out
    }
}
