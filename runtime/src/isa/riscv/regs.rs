//! The registers that a script or a debugger can name, and where the engine keeps them.
//!
//! Each has its number and its name in the calling convention; messages use the latter, as the disassembly does.

use super::RiscV;
use super::system::{FCSR, FFLAGS, FRM, VCSR, VL, VLENB, VSTART, VTYPE, VXRM, VXSAT};
use super::xlen::Xlen;
use crate::uop::slot;
use crate::{isa, linux};
use spile_lang::target::{ReadOnly, Register, RegisterSlot, SystemCall, Target};
use spile_lang::types::Type;

/// The registers of a dump, in the manual's order.
pub(super) const SHOWN: &[&str] = &[
    "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3",
    "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6", "pc", "fcsr",
];

/// The names of x0 to x31 in the calling convention.
const INTEGERS: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];

/// The names of f0 to f31.
const FLOATS: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

/// Other registers: name, place, width where integer registers have 64 bits, type.
const OTHERS: &[Other] = &[
    ("pc", RegisterSlot::Pc, 64, Type::CodeAddr),
    ("fcsr", RegisterSlot::System(FCSR), 32, Type::Word),
    ("frm", RegisterSlot::System(FRM), 32, Type::Word),
    ("fflags", RegisterSlot::System(FFLAGS), 32, Type::Word),
];

type Other = (&'static str, RegisterSlot, u8, Type);

/// Those of vectors, which are there with registers of 64 bits.
const CONFIGURATION: &[Other] = &[
    ("vtype", RegisterSlot::System(VTYPE), 64, Type::Word),
    ("vl", RegisterSlot::System(VL), 64, Type::Word),
    ("vstart", RegisterSlot::System(VSTART), 64, Type::Word),
    ("vcsr", RegisterSlot::System(VCSR), 64, Type::Word),
    ("vxrm", RegisterSlot::System(VXRM), 64, Type::Word),
    ("vxsat", RegisterSlot::System(VXSAT), 64, Type::Word),
    ("vlenb", RegisterSlot::System(VLENB), 64, Type::Word),
];

const ALWAYS_ZERO: ReadOnly = ReadOnly {
    why: "x0 is always zero on RISC-V",
    help: Some("the first argument is in `a0` (x10); `arg0` means that on every target"),
};

const CONFIGURED: ReadOnly = ReadOnly { why: "only `vset` instructions change it", help: None };
const CONSTANT: ReadOnly = ReadOnly { why: "it is the size of a vector register", help: None };

/// The first argument, and how many there are in registers.
const ARGUMENTS: (u8, u8) = (10, 8);

impl Target for RiscV {
    fn arch(&self) -> &'static str {
        match self.xlen {
            Xlen::Rv32 => "riscv32",
            Xlen::Rv64 => "riscv64",
        }
    }

    fn title(&self) -> &'static str {
        "RISC-V"
    }

    fn register(&self, name: &str) -> Option<Register> {
        let number = (name == "fp").then_some(8).or_else(|| index(name, 'x', &INTEGERS));
        let integer = number.map(|n| integer(self.xlen, n));
        let float = || index(name, 'f', &FLOATS).map(float);
        integer.or_else(float).or_else(|| vector(self.xlen, name)).or_else(|| other(self.xlen, name))
    }

    fn lane(&self, register: &str, shape: &str, lane: u64) -> Option<Register> {
        if let Some(whole) = vector(self.xlen, register) {
            // Whatever `vtype` says.
            return isa::vector_lane(whole, shape, lane);
        }
        let n = index(register, 'f', &FLOATS)?;
        let (bits, ty) = match shape {
            "s" => (32, Type::F32),
            "d" => (64, Type::F64),
            _ => return None,
        };
        if lane >= u64::from(64 / bits) {
            return None;
        }
        let name = format!("{}.{shape}[{lane}]", FLOATS[usize::from(n)]);
        Some(Register { name, offset: lane as u8 * bits, bits, ty, zero_extends: false, ..float(n) })
    }

    fn can_stick(&self, register: &Register) -> bool {
        isa::can_stick(register)
    }

    fn register_names(&self) -> Vec<String> {
        let numbered = |letter: char| (0..32).map(move |n| format!("{letter}{n}"));
        let named = INTEGERS.iter().chain(&FLOATS).chain(&["fp"]).map(ToString::to_string);
        let all = numbered('x').chain(numbered('f')).chain(named).chain(numbered('v'));
        let others = OTHERS.iter().chain(CONFIGURATION).map(|row| row.0.to_string());
        all.chain(others).filter(|name| self.register(name).is_some()).collect()
    }

    fn system_calls(&self) -> Vec<SystemCall> {
        linux::table::described(|_| true)
    }

    fn signals(&self) -> Vec<(&'static str, u8)> {
        linux::signal_names::TABLE.to_vec()
    }

    fn system_call_argument(&self, n: u8) -> Option<Register> {
        (n < 6).then(|| integer(self.xlen, ARGUMENTS.0 + n))
    }

    fn system_call_result(&self) -> Option<Register> {
        Some(integer(self.xlen, ARGUMENTS.0))
    }

    fn argument(&self, n: u8) -> Option<Register> {
        (n < ARGUMENTS.1).then(|| integer(self.xlen, ARGUMENTS.0 + n))
    }
}

/// The whole register that is kept in `slot`.
pub(super) fn register_in(xlen: Xlen, slot: RegisterSlot) -> Option<Register> {
    match slot {
        RegisterSlot::Int(n @ 1..=31) => Some(integer(xlen, n)),
        RegisterSlot::Vector(n @ 0..=31) => Some(float(n)),
        RegisterSlot::Vector(n @ slot::VECTOR..) => vector(xlen, &format!("v{}", n - slot::VECTOR)),
        slot => other(xlen, OTHERS.iter().chain(CONFIGURATION).find(|row| row.1 == slot)?.0),
    }
}

/// The number of a register that is called by number, without leading zeros, or by name.
fn index(name: &str, letter: char, names: &[&str; 32]) -> Option<u8> {
    if let Some(digits) = name.strip_prefix(letter)
        && let Ok(n) = digits.parse::<u8>()
    {
        return (n < 32 && n.to_string() == digits).then_some(n);
    }
    names.iter().position(|known| *known == name).map(|n| n as u8)
}

fn integer(xlen: Xlen, n: u8) -> Register {
    Register {
        name: INTEGERS[usize::from(n)].to_string(),
        slot: RegisterSlot::Int(if n == 0 { slot::ZERO } else { slot::GPR + n }),
        offset: 0,
        bits: xlen.bits(),
        ty: Type::Word,
        zero_extends: xlen == Xlen::Rv32,
        read_only: (n == 0).then_some(ALWAYS_ZERO),
    }
}

fn float(n: u8) -> Register {
    Register {
        name: FLOATS[usize::from(n)].to_string(),
        slot: RegisterSlot::Vector(slot::VREG + n),
        offset: 0,
        bits: 64,
        ty: Type::F64,
        zero_extends: true,
        read_only: None,
    }
}

/// A vector register, which is called by number alone.
fn vector(xlen: Xlen, name: &str) -> Option<Register> {
    if xlen == Xlen::Rv32 {
        return None;
    }
    let n: u8 = name.strip_prefix('v')?.parse().ok()?;
    let slot = RegisterSlot::Vector(slot::VECTOR.checked_add(n)?);
    let name = format!("v{n}").eq(name).then(|| name.to_string()).filter(|_| n < 32)?;
    Some(Register { name, slot, offset: 0, bits: 128, ty: Type::Word, zero_extends: false, read_only: None })
}

fn other(xlen: Xlen, name: &str) -> Option<Register> {
    let configuration = if xlen == Xlen::Rv32 { &[] } else { CONFIGURATION };
    let &(name, slot, bits, ty) = OTHERS.iter().chain(configuration).find(|row| row.0 == name)?;
    let bits = bits.min(xlen.bits());
    let read_only = match slot {
        RegisterSlot::System(VL | VTYPE) => Some(CONFIGURED),
        RegisterSlot::System(VLENB) => Some(CONSTANT),
        _ => None,
    };
    Some(Register { name: name.to_string(), slot, offset: 0, bits, ty, zero_extends: true, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::riscv::{RISCV32, RISCV64};

    #[test]
    fn every_listed_name_is_a_register() {
        for isa in [&RISCV32, &RISCV64] {
            for name in isa.register_names() {
                assert!(isa.register(&name).is_some(), "{name}");
            }
            for name in SHOWN {
                assert_eq!(isa.register(name).unwrap().name, *name);
            }
        }
        assert_eq!((RISCV32.register_names().len(), RISCV64.register_names().len()), (133, 172));
        for name in
            ["x32", "f32", "x01", "x", "f", "", "a8", "s12", "ft12", "y0", "x+1", "é1", "lr", "v32", "v01", "v", "v255"]
        {
            assert!(RISCV64.register(name).is_none(), "{name}");
        }
    }

    /// Registers of 32 bits are parts of slots, of which the rest stays zero; there are no vectors beside them.
    #[test]
    fn registers_are_as_wide_as_the_architecture_says() {
        let sp = RISCV32.register("sp").unwrap();
        assert_eq!((sp.slot, sp.bits, sp.zero_extends), (RegisterSlot::Int(2), 32, true));
        assert_eq!((RISCV32.register("pc").unwrap().bits, RISCV32.register("fa0").unwrap().bits), (32, 64));
        assert_eq!(RISCV32.argument(7).map(|a7| (a7.name, a7.bits)), Some(("a7".into(), 32)));
        for name in ["v0", "vl", "vtype", "vxrm"] {
            assert!(RISCV32.register(name).is_none() && RISCV64.register(name).is_some(), "{name}");
        }
        assert!(RISCV32.lane("v0", "s", 0).is_none());
    }

    #[test]
    fn numbers_and_names_are_the_same_registers() {
        for (number, name) in [("x0", "zero"), ("x2", "sp"), ("x8", "fp"), ("x10", "a0"), ("x31", "t6"), ("f9", "fs1")]
        {
            assert_eq!(RISCV64.register(number), RISCV64.register(name));
        }
        assert!(RISCV64.register("zero").unwrap().read_only.is_some());
        assert_eq!(RISCV64.argument(7).unwrap().name, "a7");
        assert!(RISCV64.argument(8).is_none());
        let single = RISCV64.lane("fa0", "s", 0).unwrap();
        assert_eq!((single.slot, single.offset, single.bits, single.ty), (RegisterSlot::Vector(10), 0, 32, Type::F32));
        assert!(RISCV64.lane("fa0", "s", 2).is_none());
        let half = RISCV64.lane("v31", "h", 7).unwrap();
        assert_eq!((half.slot, half.offset, half.bits), (RegisterSlot::Vector(95), 112, 16));
        assert!(RISCV64.lane("v31", "h", 8).is_none() && RISCV64.lane("v0", "q", 0).is_none());
        assert!(!RISCV64.can_stick(&half) && RISCV64.register("vl").unwrap().read_only.is_some());
    }
}
