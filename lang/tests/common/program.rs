//! A small program's debug information for the language's tests.
//!
//! Every function has the arguments and variables of [`VARIABLES`]; the functions `stripped`, `other` and the variable
//! `gone` are there for what can be wrong.

use spile_lang::debug::{DataType, DebugInfo, Global, Member, NoVariable, Record, TypeId, Variable};
use spile_lang::ir::{Event, MemType, Moment, Place, Probe, VariableKind};
use spile_lang::target::Target;
use spile_lang::types::Type;

use super::Arm;

/// The program.
pub(crate) struct Program;

const INT: TypeId = TypeId(0);
const CHAR: TypeId = TypeId(1);
const TEXT: TypeId = TypeId(2);
const COLOUR: TypeId = TypeId(3);
const HEADER: TypeId = TypeId(4);
const HEADER_POINTER: TypeId = TypeId(5);
const NODE: TypeId = TypeId(6);
const NODE_POINTER: TypeId = TypeId(7);
const TAG: TypeId = TypeId(8);
const VOID_POINTER: TypeId = TypeId(9);
const QUAD: TypeId = TypeId(10);
const DOUBLE: TypeId = TypeId(11);

/// Kind, name, type, and whether it is in memory, else in `x0`.
const VARIABLES: &[(VariableKind, &str, TypeId, bool)] = &[
    (VariableKind::Argument, "len", INT, false),
    (VariableKind::Argument, "hdr", HEADER_POINTER, false),
    (VariableKind::Argument, "path", TEXT, false),
    (VariableKind::Argument, "any", VOID_POINTER, false),
    (VariableKind::Local, "i", INT, true),
    (VariableKind::Local, "node", NODE, true),
    (VariableKind::Local, "list", NODE_POINTER, true),
    (VariableKind::Local, "ratio", DOUBLE, true),
    (VariableKind::Local, "wide", QUAD, true),
];

fn int(bytes: u8, signed: bool) -> MemType {
    MemType { bytes, signed, big_endian: false, ty: Type::Int { bits: bytes * 8, signed } }
}

fn member(name: &str, ty: TypeId, offset: u64) -> Member {
    Member { name: name.to_string(), ty, offset, bits: None }
}

impl DebugInfo for Program {
    fn data_type(&self, id: TypeId) -> DataType {
        let record = |name: &str, bytes, members| DataType::Record(Record { name: name.to_string(), bytes, members });
        match id {
            INT => DataType::Scalar(int(4, true)),
            CHAR => DataType::Char(int(1, false)),
            TEXT => DataType::Pointer(Some(CHAR)),
            COLOUR => DataType::Enum(int(4, false), vec![(0, "RED".into()), (7, "BLUE".into())].into()),
            HEADER => {
                let flags = Member { bits: Some((16, 3)), ..member("flags", INT, 4) };
                record("header", 8, vec![member("len", INT, 0), flags])
            }
            HEADER_POINTER => DataType::Pointer(Some(HEADER)),
            NODE => {
                let members = [("next", NODE_POINTER, 0), ("key", INT, 8), ("tag", TAG, 12), ("colour", COLOUR, 16)];
                record("node", 24, members.map(|(name, ty, offset)| member(name, ty, offset)).to_vec())
            }
            NODE_POINTER => DataType::Pointer(Some(NODE)),
            TAG => DataType::Array(CHAR, 4),
            VOID_POINTER => DataType::Pointer(None),
            DOUBLE => DataType::Scalar(MemType { bytes: 8, signed: false, big_endian: false, ty: Type::F64 }),
            _ => DataType::Opaque("a long double".to_string()),
        }
    }

    fn type_named(&self, name: &str) -> Option<TypeId> {
        match name {
            "int" => Some(INT),
            "colour" => Some(COLOUR),
            "header" => Some(HEADER),
            "node" => Some(NODE),
            _ => None,
        }
    }

    fn type_names(&self) -> Vec<String> {
        ["colour", "header", "node"].map(str::to_string).to_vec()
    }

    fn variable(&self, probe: &Probe, kind: VariableKind, name: &str) -> Result<Variable, NoVariable> {
        let names = self.variables(probe, kind)?;
        let behind = matches!(probe.event, Event::Call) && probe.moment == Moment::After;
        match name {
            "gone" => return Err(NoVariable::OptimisedOut),
            "both" => return Err(NoVariable::Differs("i32".to_string(), "struct node".to_string())),
            "path" if behind => return Err(NoVariable::NotKept),
            _ => {}
        }
        let found = VARIABLES.iter().find(|row| row.0 == kind && row.1 == name).ok_or(NoVariable::Unknown(names))?;
        let register = Arm.register("x0").filter(|_| !found.3);
        Ok(Variable { ty: found.2, register, in_memory: found.3 })
    }

    fn variables(&self, probe: &Probe, kind: VariableKind) -> Result<Vec<String>, NoVariable> {
        let stripped = |place: &Place| *place == Place::Symbol("stripped".to_string());
        if probe.at.iter().any(|loc| stripped(&loc.place)) {
            return Err(NoVariable::NoInfo("`prog` has none".to_string()));
        }
        Ok(VARIABLES.iter().filter(|row| row.0 == kind).map(|row| row.1.to_string()).collect())
    }

    fn global(&self, name: &str) -> Result<Global, NoVariable> {
        match name {
            "counter" => Ok(Global { ty: Some(INT), addr: 0x42_0000, bytes: 4 }),
            "nodes" => Ok(Global { ty: Some(NODE), addr: 0x42_0010, bytes: 24 }),
            "plain" => Ok(Global { ty: None, addr: 0x42_0030, bytes: 2 }),
            _ => Err(NoVariable::Unknown(["counter", "nodes", "plain"].map(str::to_string).to_vec())),
        }
    }
}
