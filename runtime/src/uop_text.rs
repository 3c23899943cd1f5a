//! The text form of micro-ops and blocks, for `spile dump --stage uop` and for tests. It is written, never read.
//!
//! A line is `destinations = operation operands`. Slots are named after what they hold: `x3` and `v3` guest registers,
//! `s1` other guest state, `t0` and `vt0` temporaries of the lifter, `p0` and `vp0` those of probes. Local jumps go to
//! the number in front of a line.

use crate::block::Block;
use crate::uop::{Lanes, MemTy, Operand, Uop, V, X, slot};
use std::fmt::{self, Debug, Display, Formatter};

/// An integer slot.
struct Int(X);

impl Display for Int {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            slot::ZERO => f.write_str("zero"),
            slot::FLAG_KIND => f.write_str("flag_kind"),
            slot::FLAG_A => f.write_str("flag_a"),
            slot::FLAG_B => f.write_str("flag_b"),
            x @ slot::PROBE.. => write!(f, "p{}", x - slot::PROBE),
            x @ slot::TEMP.. => write!(f, "t{}", x - slot::TEMP),
            x @ slot::SYS.. => write!(f, "s{}", x - slot::SYS),
            x => write!(f, "x{x}"),
        }
    }
}

/// A vector slot.
struct Vector(V);

impl Display for Vector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            v @ slot::VECTOR.. => write!(f, "vr{}", v - slot::VECTOR),
            v @ slot::VPROBE.. => write!(f, "vp{}", v - slot::VPROBE),
            v @ slot::VTEMP.. => write!(f, "vt{}", v - slot::VTEMP),
            v => write!(f, "v{v}"),
        }
    }
}

/// The name of an operation: that of its variant in lower case.
fn name(op: impl Debug) -> String {
    format!("{op:?}").to_lowercase()
}

/// A memory operand: an address slot and an offset.
fn at(a: X, imm: i64) -> String {
    match imm {
        0 => format!("[{}]", Int(a)),
        1.. => format!("[{} + {imm:#x}]", Int(a)),
        _ => format!("[{} - {:#x}]", Int(a), imm.unsigned_abs()),
    }
}

/// A vector operation's name with its arrangement.
fn lanes(op: impl Debug, t: Lanes) -> String {
    format!("{}.{}", name(op), name(t))
}

/// The arguments of an action.
fn list(f: &mut Formatter<'_>, args: X, n: u8) -> fmt::Result {
    (0..n).try_for_each(|index| write!(f, "{} {}", if index == 0 { "" } else { "," }, Int(args + index)))
}

fn load(verb: &str, ty: MemTy) -> String {
    format!("{verb}.{}", name(ty))
}

impl Display for Uop {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Uop::Action { .. } | Uop::Local { .. } | Uop::LocalIf { .. } | Uop::Poll { .. } | Uop::Goto { .. } => {
                self.fmt_probe(f)
            }
            Uop::Icount { .. }
            | Uop::ProbeLoad { .. }
            | Uop::CellGet { .. }
            | Uop::CellSet { .. }
            | Uop::CellInc { .. }
            | Uop::StickX { .. }
            | Uop::StickV { .. }
            | Uop::CellIncAt { .. }
            | Uop::CellAdd { .. }
            | Uop::CellFind { .. }
            | Uop::CellAt { .. }
            | Uop::Record { .. }
            | Uop::CellAddAt { .. } => self.fmt_probe(f),
            Uop::MovI { d, imm } => write!(f, "{} = {imm:#x}", Int(d)),
            Uop::Un { op, d, a } => write!(f, "{} = {} {}", Int(d), name(op), Int(a)),
            Uop::Bin { op, d, a, b } => write!(f, "{} = {} {}, {}", Int(d), name(op), Int(a), Int(b)),
            Uop::BinI { op, d, a, imm } => write!(f, "{} = {} {}, {imm:#x}", Int(d), name(op), Int(a)),
            Uop::BinSh { op, d, a, b, shift, n } => {
                write!(f, "{} = {} {}, {} {} {n}", Int(d), name(op), Int(a), Int(b), name(shift))
            }
            Uop::MulAdd64 { d, a, b, c } => self.fmt_three(f, "muladd64", d, [a, b, c]),
            Uop::MulAdd32 { d, a, b, c } => self.fmt_three(f, "muladd32", d, [a, b, c]),
            Uop::MulSub64 { d, a, b, c } => self.fmt_three(f, "mulsub64", d, [a, b, c]),
            Uop::MulSub32 { d, a, b, c } => self.fmt_three(f, "mulsub32", d, [a, b, c]),
            Uop::Select { d, c, a, b } => self.fmt_three(f, "select", d, [c, a, b]),
            Uop::Extr64 { d, a, b, n } => write!(f, "{} = extr64 {}, {}, {n}", Int(d), Int(a), Int(b)),
            Uop::Extr32 { d, a, b, n } => write!(f, "{} = extr32 {}, {}, {n}", Int(d), Int(a), Int(b)),
            Uop::BfxU { d, a, lsb, len } => write!(f, "{} = bfxu {}, {lsb}, {len}", Int(d), Int(a)),
            Uop::BfxS { d, a, lsb, len } => write!(f, "{} = bfxs {}, {lsb}, {len}", Int(d), Int(a)),
            Uop::Bfi { d, a, b, lsb, len } => {
                write!(f, "{} = bfi {}, {}, {lsb}, {len}", Int(d), Int(a), Int(b))
            }
            Uop::Flags { .. }
            | Uop::FlagsI { .. }
            | Uop::SetNzcv { .. }
            | Uop::GetNzcv { .. }
            | Uop::StickFlags
            | Uop::FlagsIf { .. }
            | Uop::Cond { .. }
            | Uop::SelectCc64 { .. }
            | Uop::SelectCc32 { .. }
            | Uop::Adc64 { .. }
            | Uop::Adc32 { .. } => self.fmt_flags(f),
            Uop::Load { .. }
            | Uop::Store { .. }
            | Uop::LoadPair { .. }
            | Uop::StorePair { .. }
            | Uop::LoadV { .. }
            | Uop::StoreV { .. }
            | Uop::LoadPairV { .. }
            | Uop::StorePairV { .. }
            | Uop::Align { .. }
            | Uop::ZeroBlock { .. } => self.fmt_memory(f),
            Uop::LoadEx { .. }
            | Uop::LoadExPair { .. }
            | Uop::StoreEx { .. }
            | Uop::StoreExPair { .. }
            | Uop::ClearEx
            | Uop::Amo { .. }
            | Uop::Cas { .. }
            | Uop::CasPair { .. }
            | Uop::Fence { .. } => self.fmt_atomic(f),
            Uop::V1 { op, t, d, a, imm } => {
                write!(f, "{} = {} {}, {imm:#x}", Vector(d), lanes(op, t), Vector(a))
            }
            Uop::V2 { op, t, d, a, b, imm } => {
                write!(f, "{} = {} {}, {}, {imm:#x}", Vector(d), lanes(op, t), Vector(a), Vector(b))
            }
            Uop::V3 { op, t, d, a, b, c, imm } => {
                let (a, b, c) = (Vector(a), Vector(b), Vector(c));
                write!(f, "{} = {} {a}, {b}, {c}, {imm:#x}", Vector(d), lanes(op, t))
            }
            Uop::Vx { op, t, d, a, imm } => write!(f, "{} = {} {}, {imm:#x}", Int(d), lanes(op, t), Vector(a)),
            Uop::Xv { op, t, d, a, imm } => write!(f, "{} = {} {}, {imm:#x}", Vector(d), lanes(op, t), Int(a)),
            Uop::VMovI { d, both, imm } => {
                write!(f, "{} = vmovi {imm:#x}{}", Vector(d), if both { ", both" } else { "" })
            }
            Uop::FCmp { t, a, b, zero, signal } => {
                let (verb, a) = (if signal { "fcmpe" } else { "fcmp" }, Vector(a));
                if zero {
                    write!(f, "flags = {verb}.{} {a}, 0", name(t))
                } else {
                    write!(f, "flags = {verb}.{} {a}, {}", name(t), Vector(b))
                }
            }
            Uop::CheckRounding => f.write_str("check_rounding"),
            Uop::ReadSys { d, reg } => write!(f, "{} = readsys {reg:#x}", Int(d)),
            Uop::Vector { bits, memory, d, a, b, .. } => {
                write!(f, "{} = vector.{} {bits:#010x}, {}, {}", Int(d), name(memory), Int(a), Int(b))
            }
            Uop::VectorLook { bits, a, b } => write!(f, "vector_look {bits:#010x}, {}, {}", Int(a), Int(b)),
            Uop::VectorAccess { size, d, address, value, old, a } => {
                let [d, address, value, old, a] = [d, address, value, old, a].map(Int);
                write!(f, "{d}, {address}, {value}, {old} = vector_access.{size} {a}")
            }
            Uop::WriteSys { a, reg } => write!(f, "writesys {reg:#x}, {}", Int(a)),
            Uop::IcacheInvalidate { a } => write!(f, "icache_invalidate {}", at(a, 0)),
            Uop::Jump { hint, target } => write!(f, "{} {target:#x}", name(hint)),
            Uop::JumpInd { hint, a } => write!(f, "{} {}", name(hint), Int(a)),
            Uop::BrZero { nz, a, target } => {
                write!(f, "branch {target:#x} if {} {} 0", Int(a), if nz { "!=" } else { "==" })
            }
            Uop::BrBit { set, bit, a, target } => {
                write!(f, "branch {target:#x} if {} bit {bit} is {}", Int(a), u8::from(set))
            }
            Uop::BrCc { cc, target } => write!(f, "branch {target:#x} if {}", name(cc)),
            Uop::Next => f.write_str("next"),
            Uop::Syscall { imm } => write!(f, "syscall {imm:#x}"),
            Uop::Trap { kind, imm } => write!(f, "trap {} {imm:#x}", name(kind)),
        }
    }
}

impl Uop {
    fn fmt_three(&self, f: &mut Formatter<'_>, op: &str, d: X, [a, b, c]: [X; 3]) -> fmt::Result {
        write!(f, "{} = {op} {}, {}, {}", Int(d), Int(a), Int(b), Int(c))
    }

    fn fmt_flags(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let set = |set: bool| if set { ", flags" } else { "" };
        match *self {
            Uop::Flags { kind, a, b } => write!(f, "flags = {} {}, {}", name(kind), Int(a), Int(b)),
            Uop::FlagsI { kind, a, imm } => write!(f, "flags = {} {}, {imm:#x}", name(kind), Int(a)),
            Uop::SetNzcv { a } => write!(f, "flags = {}", Int(a)),
            Uop::GetNzcv { d } => write!(f, "{} = flags", Int(d)),
            Uop::StickFlags => write!(f, "flags = stuck flags"),
            Uop::FlagsIf { kind, cc, a, b, nzcv } => {
                write!(f, "flags = {} {}, {} if {} else {nzcv:#x}", name(kind), Int(a), Int(b), name(cc))
            }
            Uop::Cond { d, cc } => write!(f, "{} = {}", Int(d), name(cc)),
            Uop::SelectCc64 { op, cc, d, a, b } => {
                write!(f, "{} = {} if {} else {} {}", Int(d), Int(a), name(cc), name(op), Int(b))
            }
            Uop::SelectCc32 { op, cc, d, a, b } => {
                write!(f, "{} = {} if {} else {} {}, 32", Int(d), Int(a), name(cc), name(op), Int(b))
            }
            Uop::Adc64 { d, a, b, set: s } => write!(f, "{}{} = adc64 {}, {}", Int(d), set(s), Int(a), Int(b)),
            Uop::Adc32 { d, a, b, set: s } => write!(f, "{}{} = adc32 {}, {}", Int(d), set(s), Int(a), Int(b)),
            _ => unreachable!("not a flag operation"),
        }
    }

    fn fmt_memory(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Uop::Load { ty, d, a, imm } => write!(f, "{} = {} {}", Int(d), load("load", ty), at(a, imm)),
            Uop::Store { ty, s, a, imm } => write!(f, "{} {} = {}", load("store", ty), at(a, imm), Int(s)),
            Uop::LoadPair { ty, d, e, a, imm } => {
                write!(f, "{}, {} = {} {}", Int(d), Int(e), load("loadpair", ty), at(a, imm))
            }
            Uop::StorePair { ty, s, t, a, imm } => {
                write!(f, "{} {} = {}, {}", load("storepair", ty), at(a, imm), Int(s), Int(t))
            }
            Uop::LoadV { d, bytes, a, imm } => write!(f, "{} = loadv.{bytes} {}", Vector(d), at(a, imm)),
            Uop::StoreV { s, bytes, a, imm } => write!(f, "storev.{bytes} {} = {}", at(a, imm), Vector(s)),
            Uop::LoadPairV { d, e, bytes, a, imm } => {
                write!(f, "{}, {} = loadpairv.{bytes} {}", Vector(d), Vector(e), at(a, imm))
            }
            Uop::StorePairV { s, t, bytes, a, imm } => {
                write!(f, "storepairv.{bytes} {} = {}, {}", at(a, imm), Vector(s), Vector(t))
            }
            Uop::Align { a, bytes, imm } => write!(f, "align.{bytes} {}", at(a, imm)),
            Uop::ZeroBlock { a } => write!(f, "zeroblock {}", at(a, 0)),
            _ => unreachable!("not a plain access"),
        }
    }

    fn fmt_atomic(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Uop::LoadEx { ty, d, a } => write!(f, "{} = {} {}", Int(d), load("loadex", ty), at(a, 0)),
            Uop::LoadExPair { ty, d, e, a } => {
                write!(f, "{}, {} = {} {}", Int(d), Int(e), load("loadexpair", ty), at(a, 0))
            }
            Uop::StoreEx { ty, d, s, a } => {
                write!(f, "{} = {} {}, {}", Int(d), load("storeex", ty), at(a, 0), Int(s))
            }
            Uop::StoreExPair { ty, d, s, t, a } => {
                write!(f, "{} = {} {}, {}, {}", Int(d), load("storeexpair", ty), at(a, 0), Int(s), Int(t))
            }
            Uop::ClearEx => f.write_str("clearex"),
            Uop::Amo { op, ty, d, s, a } => {
                write!(f, "{} = {}.{} {}, {}", Int(d), load("amo", ty), name(op), at(a, 0), Int(s))
            }
            Uop::Cas { ty, d, c, s, a } => {
                write!(f, "{} = {} {}, {}, {}", Int(d), load("cas", ty), at(a, 0), Int(c), Int(s))
            }
            Uop::CasPair { ty, d, c, s, a } => {
                let pair = |x: X| format!("{}:{}", Int(x), Int(x + 1));
                write!(f, "{} = {} {}, {}, {}", pair(d), load("caspair", ty), at(a, 0), pair(c), pair(s))
            }
            Uop::Fence { order } => write!(f, "fence {}", name(order)),
            _ => unreachable!("not an atomic access"),
        }
    }

    fn fmt_probe(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Uop::StickX { d } => write!(f, "{} = stuck {}", Int(d), Int(d)),
            Uop::StickV { d } => write!(f, "{} = stuck {}", Vector(d), Vector(d)),
            Uop::Icount { d } => write!(f, "{} = icount", Int(d)),
            Uop::ProbeLoad { ty, d, e, a } => {
                write!(f, "{}, {} = {} {}", Int(d), Int(e), load("probeload", ty), at(a, 0))
            }
            Uop::CellGet { d, cell } => write!(f, "{} = cell {cell}", Int(d)),
            Uop::CellSet { a, cell } => write!(f, "cell {cell} = {}", Int(a)),
            Uop::CellInc { cell, n } => write!(f, "cell {cell} += {n:#x}"),
            Uop::CellIncAt { cell, a, len } => write!(f, "cell {cell} + {} of {len} += 0x1", Int(a)),
            Uop::CellAdd { d, a, cell } => write!(f, "{} = cell {cell} += {}", Int(d), Int(a)),
            Uop::CellFind { d, a, index } => write!(f, "{} = find {} in {index}", Int(d), Int(a)),
            Uop::CellAt { d, a } => write!(f, "{} = cell at {}", Int(d), Int(a)),
            Uop::CellAddAt { cell, a, n } => write!(f, "cell {cell} + {} += {}", Int(a), Int(n)),
            Uop::Local { to } => write!(f, "local {to}"),
            Uop::LocalIf { nz, a, to } => {
                write!(f, "local {to} if {} {} 0", Int(a), if nz { "!=" } else { "==" })
            }
            Uop::Record { action, d, args, n } => {
                write!(f, "{} = record {action}", Int(d))?;
                list(f, args, n)
            }
            Uop::Action { action, d, args, n, state } => {
                if d != slot::ZERO {
                    write!(f, "{} = ", Int(d))?;
                }
                write!(f, "action {action}")?;
                list(f, args, n)?;
                f.write_str(if state { ", state" } else { "" })
            }
            Uop::Poll { body } => f.write_str(if body { "poll body" } else { "poll next" }),
            Uop::Goto { a, done } => write!(f, "goto {}{}", Int(a), if done { " done" } else { "" }),
            _ => unreachable!("not a probe's"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Operand::UseX(x) | Operand::DefX(x) => Int(x).fmt(f),
            Operand::UseV(v) | Operand::DefV(v) => Vector(v).fmt(f),
            Operand::UseFlags | Operand::DefFlags => f.write_str("flags"),
        }
    }
}

impl Display for Block {
    /// One line for each micro-op, under the address of its instruction; those of probes are marked.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, uop) in self.uops.iter().enumerate() {
            let at = index as u32;
            let mut mark = ' ';
            if let Some(of) = self.insns().rposition(|insn| insn.start <= at) {
                let insn = self.insn(of);
                if insn.start == at {
                    writeln!(f, "{:#x}:", insn.pc)?;
                }
                let jump = uop.ends_block() && index + 1 == self.uops.len();
                if at < insn.body || (at >= insn.after && !jump) {
                    mark = '|';
                }
            } else {
                mark = '|';
            }
            writeln!(f, "{index:4} {mark} {uop}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Insn, Insns};
    use crate::uop::{BinOp, UnOp};

    #[test]
    fn lines() {
        let cases = [
            (Uop::MovI { d: 3, imm: 16 }, "x3 = 0x10"),
            (Uop::Un { op: UnOp::Mov, d: 64, a: 96 }, "t0 = mov p0"),
            (Uop::Bin { op: BinOp::Add64, d: 0, a: 31, b: slot::ZERO }, "x0 = add64 x31, zero"),
            (Uop::Load { ty: MemTy::U32, d: 1, a: 2, imm: -8 }, "x1 = load.u32 [x2 - 0x8]"),
            (Uop::CellInc { cell: 7, n: 1 }, "cell 7 += 0x1"),
            (Uop::CellIncAt { cell: 7, a: 96, len: 65 }, "cell 7 + p0 of 65 += 0x1"),
            (Uop::CellFind { d: 97, a: 1, index: 2 }, "p1 = find x1 in 2"),
            (Uop::CellAt { d: 98, a: 97 }, "p2 = cell at p1"),
            (Uop::CellAddAt { cell: 1, a: 97, n: 2 }, "cell 1 + p1 += x2"),
            (Uop::Action { action: 2, d: slot::ZERO, args: 96, n: 2, state: false }, "action 2 p0, p1"),
            (Uop::Action { action: 2, d: 97, args: 0, n: 0, state: true }, "p1 = action 2, state"),
            (Uop::Record { action: 2, d: 97, args: 98, n: 2 }, "p1 = record 2 p2, p3"),
            (Uop::BrZero { nz: true, a: 0, target: 0x800 }, "branch 0x800 if x0 != 0"),
        ];
        for (uop, text) in cases {
            assert_eq!(uop.to_string(), text);
        }
    }

    #[test]
    fn a_block() {
        let insn = Insn { pc: 0x800, bits: 0, len: 4, start: 0, body: 1, after: 2 };
        let uops = vec![Uop::MovI { d: 0, imm: 5 }, Uop::MovI { d: 1, imm: 6 }, Uop::Icount { d: 96 }, Uop::Next];
        let block = Block { pc: 0x800, end: 0x804, insns: Insns::Probed([insn].into()), uops: uops.as_slice().into() };
        assert_eq!(block.to_string(), "0x800:\n   0 | x0 = 0x5\n   1   x1 = 0x6\n   2 | p0 = icount\n   3   next\n");
    }
}
