//! Source lines and files as places.

use super::{Fault, Found, Loc, Resolved, Resolver, absent, merged, quoted_list, unfound};
use crate::dwarf::{DebugFile, is_path};
use crate::glob;
use spile_lang::diag::Diagnostic;
use spile_lang::suggest::nearest;
use std::ops::Range;

/// So many lines and files are named in a message.
const MOST_NAMED: usize = 8;

impl Resolver<'_> {
    /// Where code of a source line begins: in every function and inlined copy that has some.
    pub(super) fn source_line(&self, loc: &Loc, name: &str, line: u64) -> Result<Vec<Found>, Fault> {
        let wanted = u32::try_from(line).unwrap_or(u32::MAX);
        let mut found = Vec::new();
        for (bias, debug) in self.debug_files() {
            let starts = debug.line_starts(|path| is_path(path, name), wanted);
            found.extend(starts.iter().map(|addr| Found { addr: addr.wrapping_add(bias), size: 0, number: false }));
        }
        match found.is_empty() {
            false => Ok(found),
            true => Err(self.no_line(loc, name, wanted)),
        }
    }

    /// All code of a source line.
    pub(super) fn line_extent(&self, loc: &Loc, name: &str, line: u64) -> Resolved {
        self.source_line(loc, name, line)?;
        let wanted = u32::try_from(line).unwrap_or(u32::MAX);
        let code = self.debug_files().flat_map(|(bias, debug)| {
            let ranges = debug.code_of(|path| is_path(path, name), Some(wanted));
            ranges.into_iter().map(move |range| range.start.wrapping_add(bias)..range.end.wrapping_add(bias))
        });
        Ok(merged(code.collect()))
    }

    /// All code of the source files that a text in quotes names: by its path, the end of that, or a pattern. `None` if
    /// there is none.
    pub(super) fn file_extent(&self, name: &str) -> Option<Vec<Range<u64>>> {
        let deep = format!("*/{name}");
        let is_file = |path: &str| is_path(path, name) || glob::matches(name, path) || glob::matches(&deep, path);
        let code = self.debug_files().flat_map(|(bias, debug)| {
            let ranges = debug.code_of(is_file, None);
            ranges.into_iter().map(move |range| range.start.wrapping_add(bias)..range.end.wrapping_add(bias))
        });
        let code = merged(code.collect());
        (!code.is_empty()).then_some(code)
    }

    /// The first instructions of all stretches of code of one line, in all modules.
    pub(super) fn line_changes(&self) -> Vec<Range<u64>> {
        let changes = self
            .debug_files()
            .flat_map(|(bias, debug)| debug.line_changes().into_iter().map(move |addr| addr.wrapping_add(bias)));
        merged(changes.map(|addr| addr..addr.saturating_add(1)).collect())
    }

    /// A fault if no module says anything of lines.
    pub(super) fn no_lines(&self) -> Option<Fault> {
        if self.debug_files().next().is_some() {
            return None;
        }
        let title = format!("no source lines are known of {}", self.where_looked(None));
        let diagnostic = Diagnostic::error("E0306", title).primary(self.probe.head, "no debug information");
        Some(unfound(diagnostic.help(COMPILE), None))
    }

    /// The debug information of the modules that are there, with what is to be added to its addresses.
    fn debug_files(&self) -> impl Iterator<Item = (u64, &DebugFile)> {
        let symbols = self.world.symbols;
        let modules = symbols.modules();
        symbols.in_order().into_iter().filter_map(move |index| {
            let debug = symbols.debug(index).filter(|debug| debug.has_info())?;
            Some((modules[index].bias, debug))
        })
    }

    fn no_line(&self, loc: &Loc, name: &str, line: u32) -> Fault {
        let program = self.where_looked(None);
        let mut lines: Vec<u32> = Vec::new();
        let mut files: Vec<&str> = Vec::new();
        for (_, debug) in self.debug_files() {
            lines.extend(debug.lines_with_code(|path| is_path(path, name)));
            files.extend(debug.source_files());
        }
        if !lines.is_empty() {
            let diagnostic = Diagnostic::error("E0306", format!("there is no code for line {line} of {name}"))
                .primary(loc.span, "a line without code");
            return absent(diagnostic.help(format!("nearest lines with code: {}", near_lines(&mut lines, line))));
        }
        let title = format!("no source file `{name}` in {program}");
        let diagnostic = Diagnostic::error("E0306", title).primary(loc.span, "no such file");
        if files.is_empty() {
            return unfound(diagnostic.help("it has no debug information").help(COMPILE), None);
        }
        let mut names: Vec<&str> = files.iter().map(|path| path.rsplit('/').next().unwrap_or(path)).collect();
        names.sort_unstable();
        names.dedup();
        let diagnostic = match nearest(name, names.iter()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}:{line}`?")),
            None => diagnostic,
        };
        let more = if names.len() > MOST_NAMED { ", …" } else { "" };
        names.truncate(MOST_NAMED);
        unfound(diagnostic.help(format!("there are: {}{more}", quoted_list(&names))), None)
    }
}

const COMPILE: &str = "compile the program with `-g`; a separate file is found by its build identifier";

/// The lines nearest to one, in order.
fn near_lines(lines: &mut Vec<u32>, line: u32) -> String {
    lines.sort_by_key(|other| (other.abs_diff(line), *other));
    lines.dedup();
    lines.truncate(4);
    lines.sort_unstable();
    lines.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_lines_are_named_in_order() {
        assert_eq!(near_lines(&mut vec![1, 2, 9, 10, 11, 12, 40], 10), "9, 10, 11, 12");
        assert_eq!(near_lines(&mut vec![3], 10), "3");
    }
}
