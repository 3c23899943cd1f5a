//! The Spile language: from script text to checked probe IR.
//!
//! Pure: no files, no clock, no printing. It returns diagnostics and never panics, whatever the input.
//!
//! [`compile`] does everything: [`source::Sources`], with the files that [`uses::load`] has added, are parsed, checked against a [`target::Target`] and lowered into an
//! [`ir::Program`]. [`render`] makes text or JSON of the [`diag::Diagnostics`].

#![forbid(unsafe_code)]

pub mod source;
pub mod span;

pub mod diag;
pub mod render;
pub mod suggest;
pub mod uses;

pub mod builtins;
pub mod codes;
pub mod debug;
pub mod probes;
pub mod reference;
pub mod verbs;

mod ast;
mod explain;
mod foreign;
mod number;
mod parse;
mod scan;

mod check;

pub mod ir;
pub mod target;
pub mod types;

mod print;

use debug::{DebugInfo, NoDebugInfo};
use diag::{Diagnostic, Diagnostics};
use ir::Program;
use source::Sources;
use target::Target;

/// What the command line adds to the sources.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Values for `param`s: name and text, as `-p name=value` gives them.
    pub params: Vec<(String, String)>,
    /// Refuse every statement that changes the guest.
    pub read_only: bool,
}

/// Compiles all sources into one program, which is there if and only if there are no errors.
pub fn compile(sources: &Sources, target: &dyn Target) -> (Option<Program>, Diagnostics) {
    compile_with(sources, target, &NoDebugInfo, &Options::default())
}

/// Compiles with options, for a program that has this debug information.
pub fn compile_with(
    sources: &Sources,
    target: &dyn Target,
    debug: &dyn DebugInfo,
    options: &Options,
) -> (Option<Program>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let items = uses::items(sources, &mut diagnostics);
    let program = check::check(sources, target, debug, options, &items, check::Base::default(), &mut diagnostics);
    leave_out_consequences(&mut diagnostics);
    let program = (!diagnostics.has_errors()).then_some(program);
    (program, diagnostics.finish())
}

/// Compiles the sources from `first` on into a program that begins with `old`: its probes are shared, its globals are
/// those of the same name, and its labels, constants and functions are known.
pub fn extend(
    old: &Program,
    sources: &Sources,
    first: u32,
    target: &dyn Target,
    debug: &dyn DebugInfo,
    options: &Options,
) -> (Option<Program>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let items = uses::items(sources, &mut diagnostics);
    let base = check::Base { program: Some(old), first };
    let program = check::check(sources, target, debug, options, &items, base, &mut diagnostics);
    leave_out_consequences(&mut diagnostics);
    let program = (!diagnostics.has_errors()).then_some(program);
    (program, diagnostics.finish())
}

/// Without a file that is used, what it defines is unknown: that is no error of its own. What is misspelt is.
fn leave_out_consequences(diagnostics: &mut Diagnostics) {
    if diagnostics.iter().any(|diagnostic| diagnostic.code == "E0440") {
        diagnostics.retain(|diagnostic| !matches!(diagnostic.code, "E0404" | "E0407") || diagnostic.fix.is_some());
    }
}

/// Parses all sources and returns the syntax tree as text, for reading only.
pub fn dump_ast(sources: &Sources) -> (String, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let items = uses::items(sources, &mut diagnostics);
    let mut out = String::new();
    for item in &items {
        out.push_str(&format!("{item:#?}\n"));
    }
    (out, diagnostics.finish())
}

/// Reports a diagnostic for something that a script says and this version cannot do.
pub(crate) fn unsupported(what: &str, span: span::Span) -> Diagnostic {
    Diagnostic::error("E0700", format!("`{what}` is not supported by this version yet"))
        .primary(span, "not supported yet")
}
