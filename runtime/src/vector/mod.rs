//! Vector and floating-point operations: their names and their reference meaning.
//!
//! Every operation is a plain function of 128-bit values, so that the interpreter calls it, the compiler may call it,
//! and a native lowering can be compared with it. Nothing here knows slots or guest memory.

use crate::uop::{Lanes, ops};

/// Floating-point control and status while an operation runs, in AArch64's layout.
#[derive(Clone, Copy, Debug, Default)]
pub struct FpEnv {
    /// Control: rounding mode, flush to zero, default NaN (`fpcr`).
    pub control: u32,
    /// Cumulative exceptions (`fpsr`); operations or theirs in.
    pub status: u32,
}

ops! {
    /// One vector operand.
    V1Op {
        /// The low `t` bytes of a, the rest zero (`Q`: all).
        Mov,
    }
}
ops! {
    /// Two vector operands.
    V2Op {
        /// a & b
        And,
    }
}
ops! {
    /// Three vector operands.
    V3Op {
        /// Bits of b where a is set, of c elsewhere.
        Bsl,
    }
}
ops! {
    /// Vector to integer.
    VxOp {
        /// Element `imm`, zero-extended.
        Get,
    }
}
ops! {
    /// Integer to vector.
    XvOp {
        /// Element `imm` replaced.
        Insert,
    }
}

/// Reference meaning of [`V1Op`]. `imm` is the operation's own.
pub fn v1(op: V1Op, t: Lanes, a: u128, imm: u32, env: &mut FpEnv) -> u128 {
    let _ = (t, imm, env);
    match op {
        V1Op::Mov => a,
    }
}

/// Reference meaning of [`V2Op`].
pub fn v2(op: V2Op, t: Lanes, a: u128, b: u128, imm: u32, env: &mut FpEnv) -> u128 {
    let _ = (t, imm, env);
    match op {
        V2Op::And => a & b,
    }
}

/// Reference meaning of [`V3Op`].
pub fn v3(op: V3Op, t: Lanes, a: u128, b: u128, c: u128, imm: u32, env: &mut FpEnv) -> u128 {
    let _ = (t, imm, env);
    match op {
        V3Op::Bsl => (b & a) | (c & !a),
    }
}

/// Reference meaning of [`VxOp`].
pub fn vx(op: VxOp, t: Lanes, a: u128, imm: u32, env: &mut FpEnv) -> u64 {
    let _ = env;
    match op {
        VxOp::Get => (a >> (imm as usize * t.element() * 8)) as u64 & mask(t),
    }
}

/// Reference meaning of [`XvOp`]; `old` is the destination's old value.
pub fn xv(op: XvOp, t: Lanes, old: u128, a: u64, imm: u32, env: &mut FpEnv) -> u128 {
    let _ = env;
    match op {
        XvOp::Insert => {
            let shift = imm as usize * t.element() * 8;
            (old & !(u128::from(mask(t)) << shift)) | (u128::from(a & mask(t)) << shift)
        }
    }
}

/// Reference meaning of [`crate::uop::Uop::FCmp`]: the packed flags of comparing element 0 of a and b.
pub fn fcmp(t: Lanes, a: u128, b: u128, signal: bool, env: &mut FpEnv) -> u64 {
    let _ = (t, a, b, signal, env);
    0
}

fn mask(t: Lanes) -> u64 {
    u64::MAX >> (64 - 8 * t.element().min(8))
}
