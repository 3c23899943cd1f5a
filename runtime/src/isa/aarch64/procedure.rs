//! The procedure call standard (AAPCS64, 6.8.2), and the numbers of registers in debug information (AADWARF64, 4.1).

use super::super::{FrameRecord, Parameter, Passed};
use super::AARCH64;
use crate::elf::u32_at;
use spile_lang::target::{Register, Target};

/// Registers for parameters, of each kind.
const REGISTERS: u64 = 8;

/// "The frame pointer": the record is two words, that of the caller and the return address (AAPCS64, 6.4.6).
pub(super) const FRAME_RECORD: FrameRecord =
    FrameRecord { sp: 31, link: 30, fp: 29, word: 8, saved_fp: 0, saved_link: 8, size: 16, leaf_fp: None };

pub(super) fn debug_register(number: u16) -> Option<Register> {
    match number {
        0..=30 => AARCH64.register(&format!("x{number}")),
        31 => AARCH64.register("sp"),
        64..=95 => AARCH64.register(&format!("v{}", number - 64)),
        _ => None,
    }
}

/// `adrp x16, PAGE; ldr x17, [x16, OFFSET]`, behind a `bti c` if there is one ("Program Linkage Table", AAELF64, and what
/// its variants for BTI and PAC have in common).
pub(super) fn plt_slot(pc: u64, code: &[u8]) -> Option<u64> {
    const BTI_C: u32 = 0xd503_245f;
    let word = |index: usize| code.get(4 * index..4 * index + 4).map(|_| u32_at(code, 4 * index));
    let first = usize::from(word(0)? == BTI_C);
    let (adrp, ldr) = (word(first)?, word(first + 1)?);
    if adrp & 0x9f00_001f != 0x9000_0010 || ldr & 0xffc0_03ff != 0xf940_0211 {
        return None;
    }
    // Bits 23 to 5 and, below them, 30 and 29: 21 bits of pages, with a sign.
    let pages = i64::from(((adrp << 8) & 0xffff_e000 | (adrp >> 18) & 0x1800) as i32 >> 11);
    let page = (pc.wrapping_add(4 * first as u64) & !0xfff).wrapping_add_signed(pages << 12);
    Some(page.wrapping_add(u64::from(ldr >> 10 & 0xfff) * 8))
}

pub(super) fn passed(parameters: &[Parameter]) -> Vec<Passed> {
    let mut next = Next::default();
    parameters.iter().map(|&parameter| next.parameter(parameter)).collect()
}

/// What is free: the standard's NGRN, NSRN and NSAA.
#[derive(Default)]
struct Next {
    general: u64,
    vector: u64,
    stack: u64,
}

impl Next {
    fn parameter(&mut self, parameter: Parameter) -> Passed {
        match parameter {
            Parameter::Integer(bytes) => self.general(bytes, bytes),
            Parameter::Float(bytes) => self.vector(bytes, 1),
            Parameter::Floats(bytes, count) => self.vector(bytes, count),
            Parameter::Composite(bytes, align) | Parameter::Mixed(bytes, align) if bytes <= 16 => {
                self.general(bytes, align)
            }
            Parameter::Composite(..) | Parameter::Mixed(..) | Parameter::Reference => {
                Passed::Behind(Box::new(self.general(8, 8)))
            }
        }
    }

    fn general(&mut self, bytes: u64, align: u64) -> Passed {
        if align == 16 {
            self.general = self.general.next_multiple_of(2);
        }
        let count = bytes.div_ceil(8).max(1);
        if self.general + count > REGISTERS {
            self.general = REGISTERS;
            return self.stack(bytes, align);
        }
        let first = self.general;
        self.general += count;
        let part = |index: u64| Some(((bytes - index * 8).min(8), debug_register((first + index) as u16)?));
        Passed::Registers((0..count).filter_map(part).collect())
    }

    fn vector(&mut self, bytes: u64, count: u64) -> Passed {
        if self.vector + count > REGISTERS {
            self.vector = REGISTERS;
            return self.stack(bytes * count, bytes);
        }
        let first = self.vector;
        self.vector += count;
        let part = |index: u64| Some((bytes, debug_register((64 + first + index) as u16)?));
        Passed::Registers((0..count).filter_map(part).collect())
    }

    fn stack(&mut self, bytes: u64, align: u64) -> Passed {
        Passed::on_stack(&mut self.stack, bytes, align)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Parameter::{Composite, Float, Floats, Integer, Reference};

    fn check(parameters: &[Parameter], expected: &str) {
        let all: Vec<String> = passed(parameters).iter().map(Passed::text).collect();
        assert_eq!(all.join(" "), expected);
    }

    #[test]
    fn parameters_go_where_the_standard_says() {
        check(&[Integer(4), Float(8), Integer(8), Float(4)], "x0:4 v0:8 x1:8 v1:4");
        check(&[Integer(4), Integer(16), Integer(1)], "x0:4 x2:8+x3:8 x4:1");
        check(&[Composite(12, 4), Composite(24, 8), Integer(4)], "x0:8+x1:4 [x2:8] x3:4");
        check(&[Floats(4, 3), Float(8), Floats(8, 4), Float(4)], "v0:4+v1:4+v2:4 v3:8 v4:8+v5:8+v6:8+v7:8 sp+0");
        let ten = [Integer(4); 10];
        check(&ten, "x0:4 x1:4 x2:4 x3:4 x4:4 x5:4 x6:4 x7:4 sp+0 sp+8");
        check(
            &[&ten[..7], &[Composite(16, 8), Integer(1), Reference]].concat(),
            "x0:4 x1:4 x2:4 x3:4 x4:4 x5:4 x6:4 sp+0 sp+16 [sp+24]",
        );
        assert_eq!((debug_register(31).unwrap().name, debug_register(32)), ("sp".to_string(), None));
    }
}
