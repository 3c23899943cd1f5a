//! What is known of an instruction without executing it. It comes from the micro-ops, so that it cannot disagree with what
//! is executed.

use super::InsnFacts;
use crate::uop::{JumpHint, Uop};

impl InsnFacts {
    /// The facts of an instruction with this disassembly and these micro-ops.
    pub(super) fn new(text: String, uops: &[Uop]) -> InsnFacts {
        let mnemonic = text.split(' ').next().unwrap_or_default().to_string();
        let mut facts = InsnFacts { mnemonic, text, ..InsnFacts::default() };
        uops.iter().for_each(|uop| add_uop(&mut facts, uop));
        facts
    }
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
