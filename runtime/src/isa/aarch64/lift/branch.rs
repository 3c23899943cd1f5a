//! Branch instructions.

use crate::isa::aarch64::table::Row;

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[];
