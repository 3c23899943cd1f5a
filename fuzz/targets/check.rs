//! Fuzz target: any bytes as a script, checked against the small target and program of the language's tests, up to IR.

#![no_main]

#[path = "../../lang/tests/common/mod.rs"]
mod common;

use common::survives;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    survives(bytes);
});
