//! The types of expressions. Integers compute in 64 bits; a type's width matters where a value is stored or printed.

use std::fmt;

/// The type of an expression, a register, a map value or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// An integer of 8, 16, 32 or 64 bits; prints in decimal.
    Int {
        /// Width in bits.
        bits: u8,
        /// Two's complement if set.
        signed: bool,
    },
    /// A 128-bit value (`q0`, `u128[p]`): it can be printed, stored, and compared with `==` and `!=`.
    U128,
    /// Single precision.
    F32,
    /// Double precision; float arithmetic computes in it.
    F64,
    /// A register's content or an untyped pointer: an unsigned 64-bit integer that prints in hexadecimal.
    Word,
    /// An address of code (`pc`, `next`, `insn.target`): prints as `main+0x14` where a symbol is known.
    CodeAddr,
    /// Text.
    Str,
    /// Raw bytes, printed as hexadecimal pairs.
    Bytes,
    /// A call stack, printed as its frames, the innermost first.
    Stack,
}

impl Type {
    /// `u64`, the type of plain integer literals.
    pub const U64: Type = Type::Int { bits: 64, signed: false };
    /// `i64`, the type of negated literals.
    pub const I64: Type = Type::Int { bits: 64, signed: true };

    /// True for everything that computes as a 64-bit integer: `Bool`, `Int`, `Word`, `CodeAddr`.
    pub fn is_integer(self) -> bool {
        matches!(self, Type::Bool | Type::Int { .. } | Type::Word | Type::CodeAddr)
    }

    /// True for `F32` and `F64`.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }

    /// True for what has no fixed size: `Str`, `Bytes`, `Stack`.
    pub fn is_text(self) -> bool {
        matches!(self, Type::Str | Type::Bytes | Type::Stack)
    }

    /// True if comparisons and `/ % >>` treat the value as two's complement.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::Int { signed: true, .. })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::Int { bits, signed } => write!(f, "{}{bits}", if *signed { 'i' } else { 'u' }),
            Type::U128 => f.write_str("u128"),
            Type::F32 => f.write_str("f32"),
            Type::F64 => f.write_str("f64"),
            Type::Word => f.write_str("ptr"),
            Type::CodeAddr => f.write_str("code address"),
            Type::Str => f.write_str("str"),
            Type::Bytes => f.write_str("bytes"),
            Type::Stack => f.write_str("stack"),
        }
    }
}
