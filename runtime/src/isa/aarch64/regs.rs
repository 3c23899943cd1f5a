//! The registers that a script or a debugger can name, and where the engine keeps them.

use super::AArch64;
use crate::uop::slot;
use crate::{isa, linux};
use spile_lang::target::{ReadOnly, Register, RegisterSlot, SystemCall, Target};
use spile_lang::types::Type;

/// The registers of a dump, in the manual's order.
pub(super) const SHOWN: &[&str] = &[
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
    "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp", "pc", "nzcv",
];

/// Registers whose name is not a letter and a number: name, canonical name, place, width, type.
const NAMED: &[(&str, &str, RegisterSlot, u8, Type)] = &[
    ("sp", "sp", RegisterSlot::Int(31), 64, Type::Word),
    ("wsp", "wsp", RegisterSlot::Int(31), 32, Type::Word),
    ("fp", "x29", RegisterSlot::Int(29), 64, Type::Word),
    ("lr", "x30", RegisterSlot::Int(30), 64, Type::Word),
    ("xzr", "xzr", RegisterSlot::Int(slot::ZERO), 64, Type::Word),
    ("wzr", "wzr", RegisterSlot::Int(slot::ZERO), 32, Type::Word),
    ("pc", "pc", RegisterSlot::Pc, 64, Type::CodeAddr),
    ("nzcv", "nzcv", RegisterSlot::Flags, 32, Type::Word),
    ("fpcr", "fpcr", RegisterSlot::Int(slot::FP_CONTROL), 32, Type::Word),
    ("fpsr", "fpsr", RegisterSlot::Int(slot::FP_STATUS), 32, Type::Word),
    ("tpidr_el0", "tpidr_el0", RegisterSlot::Int(slot::THREAD_POINTER), 64, Type::Word),
];

/// Register files whose names are a letter and a number: letter, how many, vectors, width, type.
const NUMBERED: &[(char, u8, bool, u8, Type)] = &[
    ('x', 31, false, 64, Type::Word),
    ('w', 31, false, 32, Type::Word),
    ('v', 32, true, 128, Type::U128),
    ('q', 32, true, 128, Type::U128),
    ('d', 32, true, 64, Type::F64),
    ('s', 32, true, 32, Type::F32),
    ('h', 32, true, 16, Type::Word),
    ('b', 32, true, 8, Type::Word),
];

impl Target for AArch64 {
    fn arch(&self) -> &'static str {
        "aarch64"
    }

    fn title(&self) -> &'static str {
        "AArch64"
    }

    fn register(&self, name: &str) -> Option<Register> {
        named(name).or_else(|| numbered(name))
    }

    fn lane(&self, register: &str, shape: &str, index: u64) -> Option<Register> {
        let whole = numbered(register).filter(|whole| whole.bits == 128 && register.starts_with('v'))?;
        isa::vector_lane(whole, shape, index)
    }

    fn can_stick(&self, register: &Register) -> bool {
        isa::can_stick(register)
    }

    fn register_names(&self) -> Vec<String> {
        let numbered = NUMBERED.iter().flat_map(|&(letter, count, ..)| (0..count).map(move |n| format!("{letter}{n}")));
        numbered.chain(NAMED.iter().map(|&(name, ..)| name.to_string())).collect()
    }

    fn system_calls(&self) -> Vec<SystemCall> {
        linux::table::described(|row| !row.is_of_one_architecture())
    }

    fn signals(&self) -> Vec<(&'static str, u8)> {
        linux::signal_names::TABLE.to_vec()
    }

    fn system_call_argument(&self, n: u8) -> Option<Register> {
        if n < 6 { self.register(&format!("x{n}")) } else { None }
    }

    fn system_call_result(&self) -> Option<Register> {
        self.register("x0")
    }

    fn argument(&self, n: u8) -> Option<Register> {
        if n < 8 { self.register(&format!("x{n}")) } else { None }
    }
}

/// The whole register that is kept in `slot`.
pub(super) fn register_in(slot: RegisterSlot) -> Option<Register> {
    match slot {
        RegisterSlot::Int(slot::ZERO) => None,
        RegisterSlot::Int(n @ 0..=30) => numbered(&format!("x{n}")),
        RegisterSlot::Vector(n @ 0..=31) => numbered(&format!("v{n}")),
        slot => named(NAMED.iter().find(|row| row.2 == slot)?.0),
    }
}

fn named(name: &str) -> Option<Register> {
    let &(_, canonical, slot, bits, ty) = NAMED.iter().find(|row| row.0 == name)?;
    let is_zero = slot == RegisterSlot::Int(slot::ZERO);
    Some(Register {
        name: canonical.to_string(),
        slot,
        offset: 0,
        bits,
        ty,
        zero_extends: bits < 64,
        read_only: is_zero.then_some(ReadOnly { why: "it always reads as zero", help: None }),
    })
}

fn numbered(name: &str) -> Option<Register> {
    let letter = name.chars().next()?;
    let &(_, count, is_vector, bits, ty) = NUMBERED.iter().find(|row| row.0 == letter)?;
    let n = number(&name[1..], count)?;
    Some(Register {
        name: name.to_string(),
        slot: if is_vector { RegisterSlot::Vector(slot::VREG + n) } else { RegisterSlot::Int(slot::GPR + n) },
        offset: 0,
        bits,
        ty,
        zero_extends: bits < if is_vector { 128 } else { 64 },
        read_only: None,
    })
}

/// Parses a register number below `count`, without leading zeros.
fn number(digits: &str, count: u8) -> Option<u8> {
    let n: u8 = digits.parse().ok()?;
    (n < count && n.to_string() == digits).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::aarch64::AARCH64;

    #[test]
    fn every_listed_name_is_a_register() {
        for name in AARCH64.register_names() {
            assert!(AARCH64.register(&name).is_some(), "{name}");
        }
        for name in SHOWN {
            assert!(AARCH64.register(name).is_some(), "{name}");
        }
        for name in ["x31", "w31", "v32", "x01", "x", "", "y0", "x+1", "é1"] {
            assert!(AARCH64.register(name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_operations_change_by_themselves_cannot_be_stuck() {
        let can = |name| AARCH64.can_stick(&AARCH64.register(name).unwrap());
        assert!(["x0", "w30", "sp", "wsp", "v31", "b0", "nzcv"].into_iter().all(can));
        assert!(!["xzr", "pc", "fpcr", "fpsr", "tpidr_el0"].into_iter().any(can));
    }

    #[test]
    fn views_say_where_they_are() {
        let w3 = AARCH64.register("w3").unwrap();
        assert_eq!((w3.slot, w3.bits, w3.zero_extends), (RegisterSlot::Int(3), 32, true));
        let lane = AARCH64.lane("v3", "s", 1).unwrap();
        assert_eq!((lane.slot, lane.offset, lane.bits), (RegisterSlot::Vector(3), 32, 32));
        assert!(!lane.zero_extends);
        assert!(AARCH64.lane("v3", "s", 4).is_none());
        assert!(AARCH64.lane("x3", "s", 0).is_none());
        assert_eq!(AARCH64.register("lr").unwrap().name, "x30");
        assert!(AARCH64.register("xzr").unwrap().read_only.is_some());
        assert_eq!(AARCH64.argument(7).unwrap().name, "x7");
        assert!(AARCH64.argument(8).is_none());
    }
}
