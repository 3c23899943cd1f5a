//! The Spile language: from script text to checked probe IR.
//!
//! Pure: no files, no clock, no printing. It returns diagnostics and never panics, whatever the input.

#![forbid(unsafe_code)]

pub mod ir;
pub mod span;
pub mod target;
pub mod types;
