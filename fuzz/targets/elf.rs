//! Fuzz target: any bytes as a program file with symbols and debug information, asked what a run with probes asks.

#![no_main]

#[path = "../../runtime/tests/untrusted/mod.rs"]
mod untrusted;

use libfuzzer_sys::fuzz_target;
use std::cell::OnceCell;
use untrusted::Scratch;

thread_local! {
    static SCRATCH: OnceCell<Scratch> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    SCRATCH.with(|scratch| untrusted::survives(scratch.get_or_init(|| Scratch::new("fuzz")), bytes));
});
