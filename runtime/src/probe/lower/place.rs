//! Where a probe is lowered: at an instruction, before or after it, or at an event without one.

use super::access::Access;
use super::code::Atom;
use super::fold::Static;
use super::{Event, LowerHost};
use crate::isa::{InsnFacts, Isa};
use crate::probe::syscalls;
use crate::translate::{NEXT_PC, Site};
use crate::uop::Uop;
use spile_lang::ir::Builtin;
use spile_lang::target::Register;
use spile_lang::types::Type;
use std::cell::OnceCell;
use std::rc::Rc;

/// A register, or of a wider one its low 64 bits, where what is in it is taken for a number.
fn as_word(register: &Register) -> Register {
    Register { bits: register.bits.min(64), ty: Type::Word, zero_extends: true, ..register.clone() }
}

/// A place, with what is known of it. Facts that cost something are found out when they are asked for.
pub(super) struct Place<'a> {
    site: Option<&'a Site<'a>>,
    event: Event,
    after: bool,
    isa: &'static dyn Isa,
    facts: Rc<OnceCell<InsnFacts>>,
    /// The access of memory that the probe is about.
    pub(super) access: Option<Access>,
    /// Probes in front of the instruction may change its accesses; what they have changed is kept.
    pub(super) patched: bool,
    /// Of a conditional branch, whether it is taken, if the probe is lowered for that alone.
    pub(super) taken: Option<bool>,
    /// Only the need for slots is of interest: nothing folds that depends on the place.
    checking: bool,
}

impl<'a> Place<'a> {
    /// A place before or after the instruction at `site`; `facts` are shared between the two.
    pub(super) fn at(site: &'a Site<'a>, after: bool, isa: &'static dyn Isa, facts: Rc<OnceCell<InsnFacts>>) -> Self {
        let (event, access, patched, taken) = Default::default();
        Place { site: Some(site), event, after, isa, facts, access, patched, taken, checking: false }
    }

    /// An event that is not at an instruction.
    pub(super) fn event(event: Event, isa: &'static dyn Isa) -> Self {
        let (facts, access, patched, taken) = Default::default();
        Place { site: None, event, after: false, isa, facts, access, patched, taken, checking: false }
    }

    /// The same place, about `access`.
    pub(super) fn about(&self, access: Access) -> Self {
        Place { site: self.site, event: self.event, facts: Rc::clone(&self.facts), access: Some(access), ..*self }
    }

    /// The same place, where the branch is taken or not.
    pub(super) fn going(&self, taken: bool) -> Self {
        let facts = Rc::clone(&self.facts);
        Place { site: self.site, event: self.event, facts, access: self.access, taken: Some(taken), ..*self }
    }

    /// The same place, where nothing that depends on it folds.
    pub(super) fn worst(self) -> Self {
        Place { checking: true, ..self }
    }

    /// What happens, if it is an event that is not at an instruction.
    pub(super) fn what(&self) -> &Event {
        &self.event
    }

    pub(super) fn nothing_is_static(&self) -> bool {
        self.checking
    }

    /// True if the instruction has had its effect.
    pub(super) fn is_after(&self) -> bool {
        self.after
    }

    /// The micro-ops of the instruction.
    pub(super) fn body(&self) -> &[Uop] {
        self.site.map_or(&[], |site| site.body)
    }

    /// Address of the instruction.
    pub(super) fn pc(&self) -> u64 {
        self.site.map_or(self.event.pc, |site| site.insn.pc)
    }

    /// Address of the instruction, unless this is an event without one.
    pub(super) fn insn_pc(&self) -> Option<u64> {
        self.site.map(|site| site.insn.pc)
    }

    /// The instruction that comes next, whose state this is: behind an instruction the one after it.
    pub(super) fn pc_of_state(&self) -> u64 {
        match self.site {
            Some(site) if self.after && !site.jumps => self.fall_through(),
            _ => self.pc(),
        }
    }

    /// Size of the instruction in bytes.
    pub(super) fn insn_len(&self) -> u64 {
        self.insn().map_or(self.isa.insn_align(), |(_, len)| len.into())
    }

    /// Encoding and size of the instruction; at an event that of the one that comes next, if it is known.
    fn insn(&self) -> Option<(u32, u8)> {
        self.site.map_or(self.event.insn, |site| Some((site.insn.bits, site.insn.len)))
    }

    /// What the instruction reads first, as a word.
    pub(super) fn source(&self) -> Option<Register> {
        self.facts()?.reads.first().map(as_word)
    }

    /// What the instruction writes first, as a word.
    pub(super) fn destination(&self) -> Option<Register> {
        self.facts()?.writes.first().map(as_word)
    }

    pub(super) fn facts(&self) -> Option<&InsnFacts> {
        let (bits, _) = self.insn()?;
        Some(self.facts.get_or_init(|| self.isa.facts(bits, self.pc())))
    }

    pub(super) fn fall_through(&self) -> u64 {
        self.pc().wrapping_add(self.insn_len())
    }

    /// Where `skip` counts from: this instruction, or the next one for an after-probe.
    pub(super) fn skip_base(&self) -> Atom {
        match self.site {
            Some(site) if self.after && site.jumps => Atom::Slot(NEXT_PC),
            _ if self.after => Atom::Const(self.fall_through()),
            _ => Atom::Const(self.pc()),
        }
    }

    /// True if it is only seen when it happens how long the `count` instructions are that a `skip` leaves out: where they
    /// are of several sizes, unless it is this one alone.
    pub(super) fn skips_unknown(&self, count: Atom) -> bool {
        let fixed = self.isa.insn_align() == 4;
        !fixed && (self.after || !matches!(count, Atom::Const(1)))
    }

    /// The value of a context value that is known when the place is.
    pub(super) fn builtin(&self, builtin: Builtin, host: &dyn LowerHost) -> Option<Static> {
        let int = |value: u64| Some(Static::Int(value));
        let fact = |get: fn(&InsnFacts) -> u64| int(self.facts().map_or(0, get));
        let text =
            |get: fn(&InsnFacts) -> &String| Some(Static::Text(self.facts().map(get).cloned().unwrap_or_default()));
        let names = |get: fn(&InsnFacts) -> &Vec<Register>| {
            let list = self.facts().map(get).into_iter().flatten();
            Some(Static::Text(list.map(|register| register.name.as_str()).collect::<Vec<_>>().join(", ")))
        };
        let of_site = |get: fn(&Site<'_>) -> u64| int(self.site.map_or(0, get));
        match builtin {
            Builtin::Pc | Builtin::InsnAddr => int(self.pc()),
            // Filters are looked at in front of the instruction as well, when it is not known where it leads.
            Builtin::Next => match self.skip_base() {
                Atom::Const(_) if self.after => int(self.fall_through()),
                _ => None,
            },
            Builtin::Func => Some(Static::Text(host.function(self.pc()))),
            Builtin::Module => Some(Static::Text(host.module(self.pc()))),
            Builtin::Section => Some(Static::Text(host.section(self.pc()))),
            Builtin::File => Some(Static::Text(host.source_line(self.pc()).0)),
            Builtin::Line => int(host.source_line(self.pc()).1.into()),
            Builtin::Status => int(self.event.status),
            Builtin::Cpu => int(0),
            Builtin::Mode => Some(Static::Text("user".to_string())),
            Builtin::InsnReads => names(|facts| &facts.reads),
            Builtin::InsnWrites => names(|facts| &facts.writes),
            Builtin::InsnText => text(|facts| &facts.text),
            Builtin::InsnMnemonic => text(|facts| &facts.mnemonic),
            Builtin::InsnTarget => fact(|facts| facts.target.unwrap_or(0)),
            Builtin::InsnIsCall => fact(|facts| facts.is_call.into()),
            Builtin::InsnIsReturn => fact(|facts| facts.is_return.into()),
            Builtin::InsnIsBranch => fact(|facts| facts.is_branch.into()),
            Builtin::InsnIsLoad => fact(|facts| facts.is_load.into()),
            Builtin::InsnIsStore => fact(|facts| facts.is_store.into()),
            Builtin::InsnSize => int(self.insn().map_or(0, |(_, len)| len.into())),
            Builtin::InsnBits => int(self.insn().map_or(0, |(bits, _)| bits.into())),
            Builtin::BlockAddr => of_site(|site| site.block_pc),
            Builtin::BlockSize => of_site(|site| site.block_size),
            Builtin::BlockLen => of_site(|site| site.block_len),
            Builtin::SyscallNumber => int(self.event.call.number),
            Builtin::SyscallName => Some(Static::Text(syscalls::name(self.event.call.number))),
            Builtin::SyscallArgument(_)
            | Builtin::SyscallArguments
            | Builtin::SyscallElapsed
            | Builtin::Icount
            | Builtin::IcountAll
            | Builtin::Hits
            | Builtin::Caller
            | Builtin::Stack
            | Builtin::Depth
            | Builtin::Elapsed
            | Builtin::Activation
            | Builtin::EntryArg(_)
            | Builtin::ProbeName
            | Builtin::Tid
            | Builtin::Pid
            | Builtin::Now
            | Builtin::InsnSrc
            | Builtin::InsnDst
            | Builtin::Fact(_)
            | Builtin::AccessAddr
            | Builtin::AccessValue
            | Builtin::AccessOld => None,
            Builtin::BranchTarget => int(self.branch_target()?),
            Builtin::BranchTaken => int(self.branch_taken()?.into()),
            Builtin::BranchKind => Some(self.branch_kind()),
            Builtin::AccessSize => int(self.access?.size),
            Builtin::AccessIsWrite => int(self.access?.is_write.into()),
        }
    }
}
