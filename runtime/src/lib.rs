//! The Spile engine: guest architectures, micro-ops, two execution tiers, probes and Linux user mode.

pub mod block;
pub mod cpu;
pub mod env;
pub mod interp;
pub mod isa;
pub mod mem;
pub mod probe;
pub mod translate;
pub mod uop;
mod uop_text;
pub mod vector;
