//! The Spile engine: guest architectures, micro-ops, two execution tiers, probes and Linux user mode.

pub mod block;
pub mod cpu;
pub mod elf;
pub mod env;
pub mod glob;
pub mod isa;
pub mod linux;
pub mod mem;
pub mod raw;
pub mod symbols;
pub mod uop;
pub mod vector;
