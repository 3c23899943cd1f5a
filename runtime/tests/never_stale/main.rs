//! The engine's central promises, on random programs in every tier against one instruction at a time:
//! a probe never sees a stale value, disturbs nothing that it does not change, and what it changes is seen by the very
//! next instruction; changes of probes and of code take effect at once; accesses are what scripts make of them.
//!
//! Every failure names the seed of its program. `SPILE_SEEDS=A..B` runs these seeds instead of the usual few.

mod access;
mod change;
mod flow;
mod generate;
mod generate_riscv;
mod machine;
mod rare;
mod record;
mod write;

use std::ops::Range;

/// The seeds of a test: the usual number, or those that the environment asks for.
fn seeds(usual: u64) -> Range<u64> {
    let Ok(text) = std::env::var("SPILE_SEEDS") else { return 0..usual };
    let (from, to) = text.split_once("..").expect("SPILE_SEEDS=A..B");
    from.parse().expect("a number")..to.parse().expect("a number")
}
