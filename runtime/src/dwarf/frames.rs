//! Call frames: where the frame of a function begins, and where it has put the registers of its caller.
//!
//! From `.debug_frame` and `.eh_frame` (DWARF 5, 6.4). Variables need the first; whoever unwinds a stack needs both.

use super::DebugFile;
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, Encoding, EndianSlice, EvaluationResult, Expression, Format,
    FrameDescriptionEntry, LittleEndian, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value,
};

/// What is read of a file: so many functions.
const MOST_ENTRIES: usize = 8 << 20;

/// Expressions in call frame information are those of DWARF 4, with addresses of 64 bits.
const ENCODING: Encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
/// An expression may have loops.
const MOST_OPERATIONS: u32 = 1000;

/// The functions of a file by address: first and last address, whether `.eh_frame` has it, offset there.
#[derive(Debug, Default)]
pub(super) struct Index(Vec<(u64, u64, bool, usize)>);

/// The frame of a function, at one of its instructions. Registers have DWARF's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFrame {
    /// Where the frame begins: the stack pointer before the call.
    pub cfa: Cfa,
    /// The register that stands for the caller's program counter.
    pub return_address: u16,
    /// Where registers of the caller are. Those that are not listed have not been changed, or by convention are lost.
    pub registers: Vec<(u16, Rule)>,
    /// It is the frame of a signal handler, whose caller was interrupted and did not call.
    pub is_signal: bool,
}

/// How the canonical frame address is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cfa {
    /// A register plus an offset.
    Register(u16, i64),
    /// The result of a DWARF expression.
    Expression(Vec<u8>),
}

/// Where a register of the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Lost.
    Undefined,
    /// As it is.
    Same,
    /// In memory, so far from the canonical frame address.
    At(i64),
    /// It is the canonical frame address plus this.
    Is(i64),
    /// In another register.
    Register(u16),
    /// In memory, where a DWARF expression says that starts with the canonical frame address.
    AtExpression(Vec<u8>),
    /// The result of such an expression.
    IsExpression(Vec<u8>),
    /// A constant.
    Constant(u64),
}

/// The general registers of a frame by their numbers in debug information; `None` for those that are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers(pub [Option<u64>; Registers::COUNT]);

/// Reads a word of guest memory.
type Word<'a> = dyn Fn(u64) -> Option<u64> + 'a;

impl Registers {
    /// Numbers from here on are no general registers, on any architecture.
    pub const COUNT: usize = 32;

    /// The value of a register.
    pub fn get(&self, number: u16) -> Option<u64> {
        self.0.get(usize::from(number)).copied().flatten()
    }

    /// Changes what is known of a register.
    pub fn set(&mut self, number: u16, value: Option<u64>) {
        if let Some(register) = self.0.get_mut(usize::from(number)) {
            *register = value;
        }
    }
}

impl CallFrame {
    /// Where the caller goes on, and its registers: those of this frame are `registers`, and `sp` is the number of the
    /// stack pointer. Nothing for the outermost frame, and where memory or a register that is needed is not there.
    pub fn caller(&self, registers: &Registers, sp: u16, word: &Word<'_>) -> Option<(u64, Registers)> {
        let cfa = match &self.cfa {
            Cfa::Register(number, offset) => registers.get(*number)?.wrapping_add_signed(*offset),
            Cfa::Expression(bytes) => evaluate(bytes, None, registers, word)?,
        };
        let mut outer = registers.clone();
        outer.set(sp, Some(cfa));
        for (number, rule) in &self.registers {
            let value = match rule {
                Rule::Undefined => None,
                Rule::Same => registers.get(*number),
                Rule::At(offset) => word(cfa.wrapping_add_signed(*offset)),
                Rule::Is(offset) => Some(cfa.wrapping_add_signed(*offset)),
                Rule::Register(other) => registers.get(*other),
                Rule::AtExpression(bytes) => evaluate(bytes, Some(cfa), registers, word).and_then(word),
                Rule::IsExpression(bytes) => evaluate(bytes, Some(cfa), registers, word),
                Rule::Constant(value) => Some(*value),
            };
            outer.set(*number, value);
        }
        Some((outer.get(self.return_address)?, outer))
    }
}

/// Runs a DWARF expression on the registers and the memory of a stopped program.
fn evaluate(bytes: &[u8], first: Option<u64>, registers: &Registers, word: &Word<'_>) -> Option<u64> {
    let mut evaluation = Expression(EndianSlice::new(bytes, LittleEndian)).evaluation(ENCODING);
    evaluation.set_max_iterations(MOST_OPERATIONS);
    if let Some(first) = first {
        evaluation.set_initial_value(first);
    }
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => return evaluation.value_result()?.to_u64(u64::MAX).ok(),
            EvaluationResult::RequiresRegister { register, .. } => {
                evaluation.resume_with_register(Value::Generic(registers.get(register.0)?)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let value = word(address)? & u64::MAX.checked_shr(64 - 8 * u32::from(size)).unwrap_or(0);
                evaluation.resume_with_memory(Value::Generic(value)).ok()?
            }
            _ => return None,
        };
    }
}

impl DebugFile {
    /// The frame of the code at an address.
    pub fn frame(&self, addr: u64) -> Option<CallFrame> {
        let Index(all) = self.frames.get_or_init(|| self.frame_index());
        let before = all.partition_point(|entry| entry.0 <= addr);
        let found = all[..before].iter().rev().take(4).find(|entry| addr < entry.1)?;
        let bases = self.bases();
        if found.2 {
            let section = gimli::EhFrame::new(&self.sections.eh_frame, LittleEndian);
            let entry = section.fde_from_offset(&bases, found.3.into(), gimli::EhFrame::cie_from_offset).ok()?;
            return frame(&section, &bases, &entry, addr);
        }
        let section = self.debug_frame();
        let entry = section.fde_from_offset(&bases, found.3.into(), gimli::DebugFrame::cie_from_offset).ok()?;
        frame(&section, &bases, &entry, addr)
    }

    fn debug_frame(&self) -> gimli::DebugFrame<EndianSlice<'_, LittleEndian>> {
        let mut section = gimli::DebugFrame::new(&self.sections.debug_frame, LittleEndian);
        section.set_address_size(8);
        section
    }

    fn bases(&self) -> BaseAddresses {
        BaseAddresses::default().set_eh_frame(self.sections.eh_frame_addr).set_text(self.sections.text_addr)
    }

    fn frame_index(&self) -> Index {
        let bases = self.bases();
        let mut found = Vec::new();
        collect(&self.debug_frame(), &bases, false, &mut found);
        collect(&gimli::EhFrame::new(&self.sections.eh_frame, LittleEndian), &bases, true, &mut found);
        found.sort_by_key(|entry| entry.0);
        Index(found)
    }
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

fn collect<'a, S>(section: &S, bases: &BaseAddresses, eh: bool, found: &mut Vec<(u64, u64, bool, usize)>)
where
    S: UnwindSection<Slice<'a>>,
{
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(entry) = partial.parse(S::cie_from_offset)
            && found.len() < MOST_ENTRIES
        {
            found.push((entry.initial_address(), entry.end_address(), eh, entry.offset()));
        }
    }
}

fn frame<'a, S>(
    section: &S,
    bases: &BaseAddresses,
    entry: &FrameDescriptionEntry<Slice<'a>>,
    addr: u64,
) -> Option<CallFrame>
where
    S: UnwindSection<Slice<'a>>,
{
    let mut context = UnwindContext::new();
    let row = entry.unwind_info_for_address(section, bases, &mut context, addr).ok()?;
    let bytes = |expression: &UnwindExpression<usize>| {
        let expression = expression.get(section).ok()?;
        Some(expression.0.slice().to_vec())
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Cfa::Register(register.0, *offset),
        CfaRule::Expression(expression) => Cfa::Expression(bytes(expression)?),
    };
    let rule = |rule: &RegisterRule<usize>| {
        Some(match rule {
            RegisterRule::Undefined | RegisterRule::Architectural => Rule::Undefined,
            RegisterRule::SameValue => Rule::Same,
            RegisterRule::Offset(offset) => Rule::At(*offset),
            RegisterRule::ValOffset(offset) => Rule::Is(*offset),
            RegisterRule::Register(register) => Rule::Register(register.0),
            RegisterRule::Expression(expression) => Rule::AtExpression(bytes(expression)?),
            RegisterRule::ValExpression(expression) => Rule::IsExpression(bytes(expression)?),
            RegisterRule::Constant(value) => Rule::Constant(*value),
        })
    };
    let registers = row.registers().filter_map(|(register, how)| Some((register.0, rule(how)?))).collect();
    let return_address = entry.cie().return_address_register().0;
    Some(CallFrame { cfa, return_address, registers, is_signal: entry.is_signal_trampoline() })
}
