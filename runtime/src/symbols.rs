//! Symbols of the guest's program files.
