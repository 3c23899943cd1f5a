//! What the guest writes, in lines.

use crate::env::{OutputSource, Written};

/// A line that is longer is taken for several.
const LONGEST: usize = 1 << 16;

/// The beginnings of lines that are not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lines {
    /// Takes in what has been written and returns the lines that are complete, without their ends.
    pub(super) fn write(&mut self, written: &Written) -> Vec<(OutputSource, Vec<u8>)> {
        let begun = match written.source {
            OutputSource::Stdout => &mut self.stdout,
            OutputSource::Stderr => &mut self.stderr,
        };
        let mut lines = Vec::new();
        for &byte in &written.bytes {
            if byte == b'\n' || begun.len() == LONGEST {
                lines.push((written.source, std::mem::take(begun)));
            }
            if byte != b'\n' {
                begun.push(byte);
            }
        }
        for (_, line) in &mut lines {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        lines
    }

    /// The guest waits for an answer: what stands there is a line as it is.
    pub(super) fn wait(&mut self) -> Vec<(OutputSource, Vec<u8>)> {
        let begun = [
            (OutputSource::Stdout, std::mem::take(&mut self.stdout)),
            (OutputSource::Stderr, std::mem::take(&mut self.stderr)),
        ];
        begun.into_iter().filter(|(_, line)| !line.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[(OutputSource, Vec<u8>)]) -> Vec<String> {
        lines.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn lines_are_put_together_from_writes() {
        let mut lines = Lines::default();
        let mut write = |source, text: &str| texts(&lines.write(&Written { source, bytes: text.as_bytes().to_vec() }));
        assert_eq!(write(OutputSource::Stdout, "a"), [""; 0]);
        assert_eq!(write(OutputSource::Stderr, "x\n"), ["x"]);
        assert_eq!(write(OutputSource::Stdout, "b\r\n\nc"), ["ab", ""]);
        assert_eq!(texts(&lines.wait()), ["c"]);
        assert!(lines.wait().is_empty(), "once");
    }

    #[test]
    fn endless_lines_come_in_parts() {
        let mut lines = Lines::default();
        let written = Written { source: OutputSource::Stdout, bytes: vec![b'z'; 2 * LONGEST + 1] };
        let sizes: Vec<usize> = lines.write(&written).iter().map(|(_, line)| line.len()).collect();
        assert_eq!(sizes, [LONGEST, LONGEST]);
        assert_eq!(texts(&lines.wait()), ["z"]);
    }
}
