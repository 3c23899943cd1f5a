//! `use`: the files that belong to scripts, and the order in which their items come.
//!
//! A used file is as if its text stood where it is used first; whoever uses it later has it already. Finding and reading
//! files is the caller's business ([`load`]); whether they were found, and whether they use each other in a circle, is said
//! when the items are put together.

use crate::ast::{Item, Text};
use crate::diag::{Diagnostic, Diagnostics};
use crate::explain;
use crate::parse;
use crate::source::{Source, Sources};
use crate::span::Span;

/// Most files that are used in a run.
const MOST: usize = 256;

/// A file that has been found and read.
#[derive(Clone, Debug)]
pub struct Found {
    /// Tells it from all others, whatever they are called: its absolute path without links.
    pub identity: String,
    /// What diagnostics call it.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// Adds the files that the sources from number `first` on use, and those that these use. `find` gets the source that
/// says `use` and what it says, and returns the file or in a few words why there is none.
pub fn load(sources: &mut Sources, first: u32, find: &mut dyn FnMut(&Source, &str) -> Result<Found, String>) {
    let mut index = first;
    while let Some(source) = sources.get(index) {
        for path in uses_of(index, source) {
            let found = sources.get(index).map(|source| find(source, &path.text));
            let link = match found {
                Some(Ok(file)) => enter(sources, file),
                Some(Err(reason)) => Err(reason),
                None => continue,
            };
            sources.link(path.span, link);
        }
        index += 1;
    }
}

fn uses_of(index: u32, source: &Source) -> Vec<Text> {
    if source.bad_byte().is_some() {
        return Vec::new();
    }
    let items = parse::parse(index, source.text(), &mut Diagnostics::new());
    let uses = items.into_iter().filter_map(|item| match item {
        Item::Use(path) => Some(path),
        _ => None,
    });
    uses.collect()
}

fn enter(sources: &mut Sources, file: Found) -> Result<u32, String> {
    match sources.of_identity(&file.identity) {
        Some(index) => Ok(index),
        None if sources.used() >= MOST => Err(format!("more than {MOST} files")),
        None => Ok(sources.add_used(file.name, file.bytes, file.identity)),
    }
}

/// The items of all sources in their order: those of a used file stand before those behind its `use`.
pub(crate) fn items(sources: &Sources, diagnostics: &mut Diagnostics) -> Vec<Item> {
    let mut order = Order { sources, diagnostics, entered: vec![false; sources.iter().count()], path: Vec::new() };
    let mut items = Vec::new();
    for index in 0..order.entered.len() as u32 {
        if sources.get(index).is_some_and(Source::is_root) {
            order.include(index, &mut items);
        }
    }
    items
}

struct Order<'a> {
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
    /// By source: its items are there, or are being put there.
    entered: Vec<bool>,
    /// The sources that are being put together, each inside the one before, with the places where they use the next one.
    path: Vec<(u32, Span)>,
}

impl Order<'_> {
    fn include(&mut self, index: u32, items: &mut Vec<Item>) {
        let Some(source) = self.sources.get(index) else { return };
        if std::mem::replace(&mut self.entered[index as usize], true) {
            return;
        }
        if let Some(at) = source.bad_byte() {
            return self.diagnostics.push(explain::not_text(index, at));
        }
        let mut before: Vec<(Span, u32)> = Vec::new();
        for item in parse::parse(index, source.text(), self.diagnostics) {
            if let Item::Use(path) = &item
                && self.is_whole(path)
                && let Some(used) = self.used(index, path)
            {
                match before.iter().find(|(_, other)| *other == used) {
                    Some((first, _)) => self.diagnostics.push(twice(path, *first)),
                    None => {
                        before.push((path.span, used));
                        self.path.push((index, path.span));
                        self.include(used, items);
                        self.path.pop();
                    }
                }
            }
            items.push(item);
        }
    }

    /// False if the path is damaged, which has been reported.
    fn is_whole(&self, path: &Text) -> bool {
        self.sources.slice(path.span).strip_prefix('"').is_some_and(|rest| rest.ends_with('"'))
    }

    /// The source that is used, unless something is wrong with that.
    fn used(&mut self, index: u32, path: &Text) -> Option<u32> {
        let used = match self.sources.linked(path.span) {
            Some(Ok(used)) => *used,
            Some(Err(reason)) => {
                self.diagnostics.push(missing(path, reason));
                return None;
            }
            None => {
                self.diagnostics.push(missing(path, "no files are read here"));
                return None;
            }
        };
        let around = self.path.iter().position(|(source, _)| *source == used);
        if used != index && around.is_none() {
            return Some(used);
        }
        let mut out = Diagnostic::error("E0441", "files use each other in a circle").primary(path.span, "back to here");
        for (_, span) in around.into_iter().flat_map(|from| &self.path[from..]) {
            out = out.secondary(*span, "from here");
        }
        if used == index {
            out = Diagnostic::error("E0441", "a file uses itself").primary(path.span, "this very file");
        }
        self.diagnostics.push(out.help("what both need goes into a third file, which both use"));
        None
    }
}

fn missing(path: &Text, reason: &str) -> Diagnostic {
    Diagnostic::error("E0440", format!("the file `{}` cannot be used", path.text))
        .primary(path.span, reason.to_string())
        .help("the path is relative to the file that says `use`; for texts of the command line, to the current folder")
}

fn twice(path: &Text, first: Span) -> Diagnostic {
    Diagnostic::error("E0442", format!("`{}` is used twice", path.text))
        .primary(path.span, "once more")
        .secondary(first, "the first time")
        .help("once is enough, also if other files use it too")
}
