//! The Spile engine: guest architectures, micro-ops, two execution tiers, probes and Linux user mode.

mod background;
pub mod block;
pub mod cache;
pub mod cells;
pub mod control;
pub mod cpu;
pub mod dwarf;
pub mod elf;
pub mod env;
pub mod gate;
pub mod glob;
pub mod interp;
pub mod isa;
pub mod jit;
pub mod linux;
mod machine;
pub mod mem;
pub mod perf;
pub mod probe;
pub mod raw;
pub mod stats;
pub mod symbols;
pub mod translate;
pub mod uop;
mod uop_text;
pub mod vector;
pub mod vm;
