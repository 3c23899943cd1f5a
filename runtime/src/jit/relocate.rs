//! Addresses in generated code that differ from run to run, and how they get there.
//!
//! Generated code names what it needs of the host by an [`Address`]; the compiler lists the [`Place`]s where these stand,
//! and [`Code::placed`] fills them in. So what is compiled in one run can be used in another one of the same program.
//! Everything else that generated code reaches is at fixed distances of the CPU state and of guest memory, whose
//! addresses are in registers.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::function::FunctionParameters;
use cranelift_codegen::ir::{ExternalName, UserExternalName};
use cranelift_codegen::{CompiledCode, FinalizedMachReloc, FinalizedRelocTarget};

/// What an address in generated code is that of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// A function of this program, as its distance from [`ANCHOR`].
    Function(i32),
    /// A chain slot of the region, by its index.
    Slot(u32),
    /// A micro-op of one of the region's blocks.
    Uop {
        /// The block's index, less than 64.
        block: u32,
        /// The micro-op's index, less than 2^26.
        uop: u32,
    },
}

/// Bits of a micro-op's index in its [`Address`].
const UOP_BITS: u32 = 26;

impl Address {
    /// The address of a function of this program.
    ///
    /// # Panics
    /// If it is none: code of one program lies within 2 GiB.
    pub fn of_function(function: usize) -> Address {
        let distance = (function as i64).wrapping_sub(anchor() as i64);
        Address::Function(i32::try_from(distance).expect("a function of this program"))
    }

    /// The host address of a function at this distance.
    pub fn function(distance: i32) -> usize {
        anchor().wrapping_add_signed(distance as isize)
    }

    /// Two words for it: what it is, and which.
    pub fn to_words(self) -> (u32, u32) {
        match self {
            Address::Function(distance) => (0, distance as u32),
            Address::Slot(index) => (1, index),
            Address::Uop { block, uop } => (2, block << UOP_BITS | uop),
        }
    }

    /// What [`Address::to_words`] has made words of. `None` if that is none.
    pub fn from_words(what: u32, which: u32) -> Option<Address> {
        match what {
            0 => Some(Address::Function(which as i32)),
            1 => Some(Address::Slot(which)),
            2 => Some(Address::Uop { block: which >> UOP_BITS, uop: which & ((1 << UOP_BITS) - 1) }),
            _ => None,
        }
    }

    /// Its name for Cranelift.
    pub(super) fn name(self) -> UserExternalName {
        let (namespace, index) = self.to_words();
        UserExternalName { namespace, index }
    }
}

/// What distances are counted from. It is no function, since a function may have several addresses: one for each unit of
/// code that it was compiled in.
static ANCHOR: u8 = 0;

fn anchor() -> usize {
    (&raw const ANCHOR) as usize
}

/// An address in generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where its eight bytes begin in the code.
    pub at: u32,
    /// What stands there.
    pub address: Address,
}

/// Generated code of a region, with nothing where its places are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// The instructions.
    pub bytes: Vec<u8>,
    /// Where addresses are to be filled in.
    pub places: Vec<Place>,
}

impl Code {
    /// What Cranelift has made. `None` if it refers to something that has no [`Address`].
    pub(super) fn of(compiled: &CompiledCode, names: &FunctionParameters) -> Option<Code> {
        let place = |reloc: &FinalizedMachReloc| match (&reloc.target, reloc.kind, reloc.addend) {
            (FinalizedRelocTarget::ExternalName(ExternalName::User(name)), Reloc::Abs8, 0) => {
                let name = names.user_named_funcs().get(*name)?;
                Some(Place { at: reloc.offset, address: Address::from_words(name.namespace, name.index)? })
            }
            _ => None,
        };
        let places = compiled.buffer.relocs().iter().map(place).collect::<Option<_>>()?;
        Some(Code { bytes: compiled.code_buffer().to_vec(), places })
    }

    /// Copies the code with the addresses filled in that `find` knows. `None` if it does not know one, or if a place is
    /// not inside the code.
    pub fn placed(&self, find: impl Fn(Address) -> Option<usize>) -> Option<Vec<u8>> {
        let mut bytes = self.bytes.clone();
        for place in &self.places {
            let at = place.at as usize;
            let to = bytes.get_mut(at..at.checked_add(8)?)?;
            to.copy_from_slice(&(find(place.address)? as u64).to_le_bytes());
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_being_words() {
        let function = addresses_survive_being_words as fn() as usize;
        let far = Address::of_function(function);
        for address in [far, Address::Function(-5), Address::Slot(7), Address::Uop { block: 63, uop: 65536 }] {
            let (what, which) = address.to_words();
            assert_eq!(Address::from_words(what, which), Some(address));
        }
        assert_eq!(Address::from_words(3, 0), None);
        let Address::Function(distance) = far else { unreachable!() };
        assert_eq!(Address::function(distance), function);
    }

    #[test]
    fn a_place_outside_the_code_is_refused() {
        let code = |at| Code { bytes: vec![0; 16], places: vec![Place { at, address: Address::Slot(1) }] };
        let find = |address| (address == Address::Slot(1)).then_some(0x0102);
        assert_eq!(code(8).placed(find).unwrap()[8..], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(code(9).placed(find), None);
        assert_eq!(code(u32::MAX).placed(find), None);
        assert_eq!(code(0).placed(|_| None), None);
    }
}
