//! What the checker needs to know of the loaded program's debug information: which variables there are, and how data
//! is laid out.
//!
//! The runtime implements [`DebugInfo`] over the program's files; [`NoDebugInfo`] is the absence of a program. Where a
//! variable is when a probe fires is not decided here: that depends on the instruction, and the IR names it
//! ([`crate::ir::ExprKind::Variable`]).

use crate::diag::Diagnostic;
use crate::ir::{MemType, Probe, VariableKind};
use crate::target::Register;
use std::sync::Arc;

/// Names a type of the program. The numbers are those of whoever implements [`DebugInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// Numbers from here on are the checker's own, for the `struct`s of scripts.
    pub const SCRIPT: u32 = 1 << 31;
}

/// One level of a type; type definitions and qualifiers have been seen through.
#[derive(Clone, Debug, PartialEq)]
pub enum DataType {
    /// A number, a truth value or an address of nothing known.
    Scalar(MemType),
    /// A character of one byte: pointers to it and arrays of it are text.
    Char(MemType),
    /// A number with names for some of its values.
    Enum(MemType, EnumNames),
    /// A pointer or reference; `None` if what it points to has no values (`void`, functions).
    Pointer(Option<TypeId>),
    /// A structure, class or union.
    Record(Record),
    /// So many elements.
    Array(TypeId, u64),
    /// Something whose values scripts cannot handle, in words: `long double`.
    Opaque(String),
}

/// The names of an enumeration's values.
pub type EnumNames = Arc<[(u64, String)]>;

/// A structure, class or union.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its members, in order. Those without a name are looked into: anonymous unions, base classes.
    pub members: Vec<Member>,
}

/// A member of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name, or the empty string.
    pub name: String,
    /// Its type.
    pub ty: TypeId,
    /// Bytes from the beginning of the record.
    pub offset: u64,
    /// Of a bit field: its first bit in the value at `offset`, and how many it has.
    pub bits: Option<(u8, u8)>,
}

/// A variable as the code at a probe's places sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its type.
    pub ty: TypeId,
    /// The register that holds all of it, if that is the same one at all places.
    pub register: Option<Register>,
    /// It is in memory at all places.
    pub in_memory: bool,
}

/// A variable of the whole program.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// Its type; `None` if nothing but its size is known.
    pub ty: Option<TypeId>,
    /// Its run-time address.
    pub addr: u64,
    /// Its size in bytes, 0 if unknown.
    pub bytes: u64,
}

/// Why a name is no variable.
#[derive(Clone, Debug, PartialEq)]
pub enum NoVariable {
    /// The probe's place itself is wrong, or not there yet.
    NoPlace(Box<Diagnostic>),
    /// There is no debug information to look it up in: why, as a phrase (`prog has no debug information`).
    NoInfo(String),
    /// The code is known, and these are the names that it has.
    Unknown(Vec<String>),
    /// It exists, and has no value at any of the places: the compiler has optimised it away.
    OptimisedOut,
    /// It is another type in one function than in another, by name.
    Differs(String, String),
    /// It is in different places in the functions whose return is waited for, or in one that is not kept until then.
    NotKept,
}

/// Debug information of the loaded program.
pub trait DebugInfo {
    /// Returns one level of a type.
    fn data_type(&self, id: TypeId) -> DataType;

    /// Finds a type by its name: a structure, class, union, enumeration, basic type or type definition.
    fn type_named(&self, name: &str) -> Option<TypeId>;

    /// Returns names of structures, for "did you mean".
    fn type_names(&self) -> Vec<String>;

    /// Finds a variable by its name, as the places of `probe` see it (its event, `at` and `in`; nothing else of it
    /// needs to be there).
    ///
    /// # Errors
    /// If there is none.
    fn variable(&self, probe: &Probe, kind: VariableKind, name: &str) -> Result<Variable, NoVariable>;

    /// Returns the names of the variables that the places of `probe` see, in the order in which they are declared.
    ///
    /// # Errors
    /// If nothing is known of the code.
    fn variables(&self, probe: &Probe, kind: VariableKind) -> Result<Vec<String>, NoVariable>;

    /// Finds a variable of the program.
    ///
    /// # Errors
    /// If there is none.
    fn global(&self, name: &str) -> Result<Global, NoVariable>;
}

/// There is no program.
pub struct NoDebugInfo;

impl DebugInfo for NoDebugInfo {
    fn data_type(&self, _: TypeId) -> DataType {
        DataType::Opaque("a type of no program".to_string())
    }

    fn type_named(&self, _: &str) -> Option<TypeId> {
        None
    }

    fn type_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn variable(&self, _: &Probe, _: VariableKind, _: &str) -> Result<Variable, NoVariable> {
        Err(no_program())
    }

    fn variables(&self, _: &Probe, _: VariableKind) -> Result<Vec<String>, NoVariable> {
        Err(no_program())
    }

    fn global(&self, _: &str) -> Result<Global, NoVariable> {
        Err(no_program())
    }
}

fn no_program() -> NoVariable {
    NoVariable::NoInfo("there is no program to look it up in".to_string())
}
