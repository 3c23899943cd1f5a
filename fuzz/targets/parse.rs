//! Fuzz target: any bytes as a script, up to the syntax tree and the pictures of what is wrong.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spile_lang::render::{Style, json, render};
use spile_lang::source::Sources;

fuzz_target!(|bytes: &[u8]| {
    let sources = Sources::single("-e", bytes);
    let (_, diagnostics) = spile_lang::dump_ast(&sources);
    render(&diagnostics, &sources, Style::default());
    json(&diagnostics, &sources);
});
