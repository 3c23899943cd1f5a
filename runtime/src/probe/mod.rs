//! Probes: from checked probe IR to micro-ops in blocks, and what their bodies do at run time.
//!
//! [`attach`](crate::probe) resolves places against the loaded program; `lower` turns a probe at a site into
//! micro-ops; what micro-ops cannot do by themselves (output, maps, text) is an [`Action`](action::Action), performed
//! by the probe runtime.

pub mod action;
pub mod attach;
mod calls;
pub mod engine;
pub mod format;
mod happening;
mod indirect;
mod inside;
mod lasting;
mod limits;
pub mod listing;
pub mod live;
mod loops;
pub mod lower;
pub mod output;
mod pending;
pub mod runtime;
mod stack;
pub mod state;
mod syscalls;
pub mod variables;
mod window;
mod written;
