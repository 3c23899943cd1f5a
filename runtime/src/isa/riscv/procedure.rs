//! The procedure call standard (RISC-V ELF psABI; of parameters LP64D), and the numbers of registers in debug information.

use super::super::{FrameRecord, Parameter, Passed};
use super::xlen::Xlen;
use super::{RISCV64, RiscV};
use crate::elf::u32_at;
use spile_lang::target::{Register, Target};

/// Registers for parameters, of each kind, and the number of the first in debug information.
const REGISTERS: u64 = 8;
const FIRST_INTEGER: u64 = 10;
const FIRST_FLOAT: u64 = 32 + 10;

/// "Frame pointer convention": the frame pointer is the caller's stack pointer, and below it stand the return address and
/// the caller's frame pointer.
pub(super) const fn frame_record(xlen: Xlen) -> FrameRecord {
    let word = xlen.bits() as i64 / 8;
    FrameRecord {
        sp: 2,
        link: 1,
        fp: 8,
        word: word as u64,
        saved_fp: -2 * word,
        saved_link: -word,
        size: 0,
        leaf_fp: Some(-word),
    }
}

pub(super) fn debug_register(isa: &RiscV, number: u16) -> Option<Register> {
    match number {
        0..=31 => isa.register(&format!("x{number}")),
        32..=63 => isa.register(&format!("f{}", number - 32)),
        _ => None,
    }
}

/// `auipc t3, HIGH; ld t3, LOW(t3)`, behind an `lpad` if there is one ("Program Linkage Table", RISC-V ELF psABI).
pub(super) fn plt_slot(pc: u64, code: &[u8]) -> Option<u64> {
    let word = |index: usize| code.get(4 * index..4 * index + 4).map(|_| u32_at(code, 4 * index));
    // `lpad` is `auipc zero`.
    let first = usize::from(word(0)? & 0xfff == 0x017);
    let (auipc, ld) = (word(first)?, word(first + 1)?);
    if auipc & 0xfff != 0xe17 || ld & 0xf_ffff != 0xe_3e03 {
        return None;
    }
    let (high, low) = (i64::from((auipc & 0xffff_f000) as i32), i64::from(ld as i32 >> 20));
    Some(pc.wrapping_add(4 * first as u64).wrapping_add_signed(high + low))
}

pub(super) fn passed(parameters: &[Parameter]) -> Vec<Passed> {
    let mut next = Next::default();
    parameters.iter().map(|&parameter| next.parameter(parameter)).collect()
}

/// What is free.
#[derive(Default)]
struct Next {
    integers: u64,
    floats: u64,
    stack: u64,
    /// What a parameter of unknown place has taken is not known of those behind it.
    lost: bool,
}

impl Next {
    fn parameter(&mut self, parameter: Parameter) -> Passed {
        if self.lost {
            return Passed::Unknown;
        }
        match parameter {
            Parameter::Float(bytes @ ..=8) => self.float(bytes, 1),
            Parameter::Floats(bytes @ ..=8, count @ 1..=2) => self.float(bytes, count),
            Parameter::Integer(bytes) => self.integer(bytes, bytes),
            Parameter::Float(bytes) => self.integer(bytes, bytes),
            Parameter::Floats(bytes, count) if bytes * count <= 16 => self.integer(bytes * count, bytes),
            Parameter::Composite(bytes, align) if bytes <= 16 => self.integer(bytes, align),
            // One number and one integer have a register of each kind; what else there is has not.
            Parameter::Mixed(bytes, _) if bytes <= 16 => {
                self.lost = true;
                Passed::Unknown
            }
            Parameter::Composite(..) | Parameter::Mixed(..) | Parameter::Floats(..) | Parameter::Reference => {
                Passed::Behind(Box::new(self.integer(8, 8)))
            }
        }
    }

    /// In floating-point registers while there are enough of them.
    fn float(&mut self, bytes: u64, count: u64) -> Passed {
        if self.floats + count > REGISTERS {
            return self.integer(bytes * count, bytes);
        }
        let first = FIRST_FLOAT + self.floats;
        self.floats += count;
        let part = |index: u64| Some((bytes, debug_register(&RISCV64, (first + index) as u16)?));
        Passed::Registers((0..count).filter_map(part).collect())
    }

    fn integer(&mut self, bytes: u64, align: u64) -> Passed {
        let count = bytes.div_ceil(8).max(1);
        let free = REGISTERS - self.integers;
        if free == 0 {
            return self.stack(bytes, align);
        }
        if count > free {
            // The rest of it is on the stack.
            self.integers = REGISTERS;
            self.stack += 8;
            return Passed::Unknown;
        }
        let first = FIRST_INTEGER + self.integers;
        self.integers += count;
        let part = |index: u64| Some(((bytes - index * 8).min(8), debug_register(&RISCV64, (first + index) as u16)?));
        Passed::Registers((0..count).filter_map(part).collect())
    }

    fn stack(&mut self, bytes: u64, align: u64) -> Passed {
        Passed::on_stack(&mut self.stack, bytes, align)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Parameter::{Composite, Float, Floats, Integer, Mixed, Reference};

    fn check(parameters: &[Parameter], expected: &str) {
        let all: Vec<String> = passed(parameters).iter().map(Passed::text).collect();
        assert_eq!(all.join(" "), expected);
    }

    #[test]
    fn parameters_go_where_the_standard_says() {
        check(&[Integer(4), Float(8), Integer(8), Float(4)], "a0:4 fa0:8 a1:8 fa1:4");
        check(&[Integer(4), Integer(16), Integer(1)], "a0:4 a1:8+a2:8 a3:1");
        check(&[Composite(12, 4), Composite(24, 8), Integer(4)], "a0:8+a1:4 [a2:8] a3:4");
        check(&[Floats(4, 2), Floats(4, 3), Floats(8, 3)], "fa0:4+fa1:4 a0:8+a1:4 [a2:8]");
        let nine = [Float(8); 9];
        check(&nine, "fa0:8 fa1:8 fa2:8 fa3:8 fa4:8 fa5:8 fa6:8 fa7:8 a0:8");
        let seven = [Integer(8); 7];
        check(&[&seven[..], &[Integer(16), Reference]].concat(), "a0:8 a1:8 a2:8 a3:8 a4:8 a5:8 a6:8 ? [sp+8]");
        check(&[Mixed(16, 8), Integer(4)], "? ?");
        let register = |number| debug_register(&RISCV64, number);
        assert_eq!((register(42).unwrap().name, register(64)), ("fa0".to_string(), None));
    }
}
