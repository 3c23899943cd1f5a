//! Scalar floating point.

use crate::isa::aarch64::table::Row;

/// The rows of this group.
pub(super) const ROWS: &[Row] = &[];
