//! What is known of an instruction without executing it. It comes from the micro-ops, so that it cannot disagree with what
//! is executed.

use super::{InsnFacts, Isa};
use crate::uop::{JumpHint, Operand, Uop, VectorMemory};
use spile_lang::target::{Register, RegisterSlot};

impl InsnFacts {
    /// The facts of an instruction with this disassembly and these micro-ops.
    pub(super) fn new(isa: &dyn Isa, text: String, uops: &[Uop]) -> InsnFacts {
        let mnemonic = text.split(' ').next().unwrap_or_default().to_string();
        let (reads, writes) = slots(isa, uops);
        let both = |slot| writes.contains(&slot);
        let (reads, writes) = (registers(isa, &text, &reads, both), registers(isa, &text, &writes, |_| false));
        let mut facts = InsnFacts { mnemonic, text, reads, writes, ..InsnFacts::default() };
        uops.iter().for_each(|uop| add_uop(&mut facts, uop));
        facts
    }
}

/// The slots that an instruction reads, and those that it writes. What it reads behind its own write is not read.
fn slots(isa: &dyn Isa, uops: &[Uop]) -> (Vec<RegisterSlot>, Vec<RegisterSlot>) {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for uop in uops {
        let mut note = |slot: RegisterSlot, is_write: bool| {
            let list = if is_write { &mut writes } else { &mut reads };
            if !list.contains(&slot) {
                list.push(slot);
            }
        };
        uop.operands(|operand| match operand {
            Operand::UseX(x) => note(RegisterSlot::Int(x), false),
            Operand::UseV(v) => note(RegisterSlot::Vector(v), false),
            Operand::UseFlags => note(RegisterSlot::Flags, false),
            Operand::DefX(x) => note(RegisterSlot::Int(x), true),
            Operand::DefV(v) => note(RegisterSlot::Vector(v), true),
            Operand::DefFlags => note(RegisterSlot::Flags, true),
        });
        match *uop {
            Uop::ReadSys { reg, .. } => note(RegisterSlot::System(reg), false),
            Uop::WriteSys { reg, .. } => note(RegisterSlot::System(reg), true),
            Uop::Vector { bits, .. } => {
                isa.vector_registers(bits, &mut |v, write| note(RegisterSlot::Vector(v), write))
            }
            _ => {}
        }
    }
    (reads, writes)
}

/// The registers in `slots`, those first that `text` names, in its order: what is read and written (`both`) where it is
/// named for the second time, if it is, since destinations come first. What a script cannot name is left out, and so is
/// what always reads as zero.
fn registers(isa: &dyn Isa, text: &str, slots: &[RegisterSlot], both: impl Fn(RegisterSlot) -> bool) -> Vec<Register> {
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').skip(1);
    let place = |register: &Register| {
        let named = |word| isa.register(word).is_some_and(|named| named.slot == register.slot);
        let mut places = words().enumerate().filter(|(_, word)| named(word)).map(|(place, _)| place);
        let first = places.next();
        let second = if both(register.slot) { places.next() } else { None };
        second.or(first).unwrap_or(usize::MAX)
    };
    let mut found: Vec<Register> = slots.iter().filter_map(|&slot| isa.register_in(slot)).collect();
    found.sort_by_cached_key(place);
    found
}

fn add_uop(facts: &mut InsnFacts, uop: &Uop) {
    match *uop {
        Uop::Jump { hint, target } => {
            facts.target = Some(target);
            add_jump(facts, hint);
        }
        Uop::JumpInd { hint, .. } => add_jump(facts, hint),
        Uop::BrZero { target, .. } | Uop::BrBit { target, .. } | Uop::BrCc { target, .. } => {
            facts.target = Some(target);
            facts.is_branch = true;
        }
        Uop::Load { .. }
        | Uop::LoadPair { .. }
        | Uop::LoadV { .. }
        | Uop::LoadPairV { .. }
        | Uop::LoadEx { .. }
        | Uop::LoadExPair { .. } => facts.is_load = true,
        Uop::Store { .. }
        | Uop::StorePair { .. }
        | Uop::StoreV { .. }
        | Uop::StorePairV { .. }
        | Uop::StoreEx { .. }
        | Uop::StoreExPair { .. }
        | Uop::ZeroBlock { .. } => facts.is_store = true,
        Uop::Vector { memory, .. } => match memory {
            VectorMemory::None => {}
            VectorMemory::Load => facts.is_load = true,
            VectorMemory::Store => facts.is_store = true,
        },
        Uop::Amo { .. } | Uop::Cas { .. } | Uop::CasPair { .. } => {
            facts.is_load = true;
            facts.is_store = true;
        }
        _ => {}
    }
}

fn add_jump(facts: &mut InsnFacts, hint: JumpHint) {
    facts.is_branch = true;
    match hint {
        JumpHint::Jump => {}
        JumpHint::Call => facts.is_call = true,
        JumpHint::Return => facts.is_return = true,
    }
}
