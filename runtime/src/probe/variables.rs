//! Variables of the program: what a script may say of them, and where they are at an instruction.
//!
//! The checker asks [`ProgramInfo`] for types; the lowering asks [`locate`] for the value at a site. Both look at the
//! debug information of the module that the code is in; how that is read is not known here.

use super::attach::{Attachment, Symbols, World, fetch, places_of};
use crate::dwarf::{DebugFile, Machine, Place, TypeKey, VariableOf};
use crate::isa::Isa;
use hashbrown::HashMap;
use spile_lang::debug::{DataType, DebugInfo, Global, NoVariable, TypeId, Variable};
use spile_lang::ir::{self, Event, Expr, ExprKind, Moment, Probe, VariableKind};
use spile_lang::span::Span;
use spile_lang::target::Register;
use spile_lang::types::Type;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

/// A variable is looked for at so many instructions of a probe's places.
const MOST_POINTS: usize = 2000;
/// Beyond this a place is no single instruction, and the lines in it are looked at.
const ONE_INSTRUCTION: u64 = 8;

/// The debug information of a loaded program.
pub struct ProgramInfo<'a> {
    world: World<'a>,
    /// The places of probes that have been asked for, by their heads.
    attachments: RefCell<HashMap<Span, Rc<Attachment>>>,
    /// Where lines begin, by module.
    lines: Vec<OnceCell<Vec<u64>>>,
    types: RefCell<Types>,
}

/// Types that have numbers.
#[derive(Default)]
struct Types {
    keys: Vec<(usize, TypeKey)>,
    numbers: HashMap<(usize, TypeKey), u32>,
}

/// An instruction at which a variable is looked for, at its run-time address.
#[derive(Clone, Copy)]
struct Point {
    module: usize,
    addr: u64,
}

impl<'a> ProgramInfo<'a> {
    /// What the modules say that are loaded now.
    pub fn new(world: World<'a>) -> ProgramInfo<'a> {
        let lines = world.symbols.modules().iter().map(|_| OnceCell::new()).collect();
        ProgramInfo { world, attachments: RefCell::default(), lines, types: RefCell::default() }
    }

    fn number(&self, module: usize, key: TypeKey) -> TypeId {
        let mut types = self.types.borrow_mut();
        let Types { keys, numbers } = &mut *types;
        TypeId(*numbers.entry((module, key)).or_insert_with(|| {
            keys.push((module, key));
            keys.len() as u32 - 1
        }))
    }

    fn attachment(&self, probe: &Probe) -> Rc<Attachment> {
        let mut known = self.attachments.borrow_mut();
        known.entry(probe.head).or_insert_with(|| Rc::new(places_of(probe, &self.world))).clone()
    }

    /// The instructions of a probe at which variables matter.
    fn points(&self, probe: &Probe, kind: VariableKind) -> Result<Vec<Point>, NoVariable> {
        let attachment = self.attachment(probe);
        let mut addrs: Vec<u64> = Vec::new();
        match probe.event {
            Event::Call => addrs.extend(attachment.entries.iter().take(MOST_POINTS)),
            Event::Return if kind != VariableKind::Local => {
                addrs.extend(attachment.entries.iter().take(MOST_POINTS));
            }
            Event::Return => addrs.extend(attachment.scan(&self.world).take(MOST_POINTS).map(|site| site.pc)),
            _ if attachment.everywhere => {
                return Err(NoVariable::NoInfo("the probe names no place".to_string()));
            }
            _ => {
                for range in &attachment.ranges {
                    addrs.push(range.start);
                    if range.end - range.start > ONE_INSTRUCTION {
                        addrs.extend(self.lines_in(range));
                    }
                }
            }
        }
        addrs.truncate(MOST_POINTS);
        let after = probe.event_is_after_instruction();
        let point = |addr: u64| {
            let addr = if after { self.next(addr) } else { addr };
            module_at(self.world.symbols, addr).map(|module| Point { module, addr })
        };
        let points: Vec<Point> = addrs.into_iter().filter_map(point).collect();
        match attachment.waiting.first() {
            Some(why) if points.is_empty() => Err(NoVariable::NoPlace(Box::new(why.clone()))),
            _ => Ok(points),
        }
    }

    fn next(&self, addr: u64) -> u64 {
        fetch(self.world.memory, self.world.isa, addr).map_or(addr, |(_, len)| addr.wrapping_add(len.into()))
    }

    fn lines_in(&self, range: &std::ops::Range<u64>) -> Vec<u64> {
        let Some(module) = module_at(self.world.symbols, range.start) else { return Vec::new() };
        let bias = self.world.symbols.modules()[module].bias;
        let read = || self.world.symbols.debug(module).map(DebugFile::line_changes).unwrap_or_default();
        let all = self.lines[module].get_or_init(read);
        let here = |addr: &&u64| range.contains(&addr.wrapping_add(bias));
        all.iter().filter(here).map(|addr| addr.wrapping_add(bias)).collect()
    }

    fn no_info(&self, points: &[Point]) -> NoVariable {
        let modules = self.world.symbols.modules();
        let named = points.first().map_or(0, |point| point.module);
        let name = modules.get(named).map_or("the program", |module| module.name.as_str());
        let has_info = self.world.symbols.debug(named).is_some_and(DebugFile::has_info);
        NoVariable::NoInfo(match has_info {
            true => format!("there is none for this code of `{name}`"),
            false => format!("`{name}` has none"),
        })
    }

    /// The names that the points see; `None` if nothing is known of any of them.
    fn names(&self, points: &[Point], kind: VariableKind) -> Option<Vec<String>> {
        let mut names: Option<Vec<String>> = None;
        for point in points {
            let bias = self.world.symbols.modules()[point.module].bias;
            let debug = self.world.symbols.debug(point.module);
            let Some(seen) = debug.and_then(|debug| debug.variables(point.addr.wrapping_sub(bias), kind)) else {
                continue;
            };
            let names = names.get_or_insert_default();
            for name in seen {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_string());
                }
            }
        }
        names
    }
}

impl DebugInfo for ProgramInfo<'_> {
    fn data_type(&self, id: TypeId) -> DataType {
        let found = self.types.borrow().keys.get(id.0 as usize).copied();
        match found.and_then(|(module, key)| Some((module, key, self.world.symbols.debug(module)?))) {
            Some((module, key, debug)) => debug.data_type(key, &|key| self.number(module, key)),
            None => DataType::Opaque("a type of no program".to_string()),
        }
    }

    fn type_named(&self, name: &str) -> Option<TypeId> {
        let symbols = self.world.symbols;
        symbols.in_order().into_iter().find_map(|module| {
            let key = symbols.debug(module)?.type_named(name)?;
            Some(self.number(module, key))
        })
    }

    fn type_names(&self) -> Vec<String> {
        let symbols = self.world.symbols;
        let of_module = |module| symbols.debug(module).map(DebugFile::type_names).unwrap_or_default();
        symbols.in_order().into_iter().flat_map(of_module).map(str::to_string).collect()
    }

    fn variable(&self, probe: &Probe, kind: VariableKind, name: &str) -> Result<Variable, NoVariable> {
        let points = self.points(probe, kind)?;
        let attachment = self.attachment(probe);
        let symbols = self.world.symbols;
        let (mut seen, mut found): (Option<(usize, TypeKey)>, Vec<Option<Place>>) = (None, Vec::new());
        for point in &points {
            let site = Site { symbols, isa: self.world.isa, probe, entries: &attachment.entries, span: probe.head };
            let Some((debug, variable)) = site.variable(point.addr, kind, name) else {
                found.push(None);
                continue;
            };
            let Some(key) = debug.variable_type(variable) else { continue };
            match seen {
                None => seen = Some((point.module, key)),
                Some((module, first)) => {
                    let known = symbols.debug(module).map(|debug| debug.type_text(first)).unwrap_or_default();
                    let here = debug.type_text(key);
                    if known != here {
                        return Err(NoVariable::Differs(known, here));
                    }
                }
            }
            found.push(Some(site.place(point.addr, kind, name).unwrap_or(Place::Nowhere)));
        }
        let Some((module, key)) = seen else {
            return Err(match self.names(&points, kind) {
                Some(names) => NoVariable::Unknown(names),
                None => self.no_info(&points),
            });
        };
        let places: Vec<&Place> = found.iter().flatten().collect();
        if places.iter().all(|place| place.is_nowhere()) {
            return Err(if probe.is_behind_entry() { NoVariable::NotKept } else { NoVariable::OptimisedOut });
        }
        let everywhere = places.len() == found.len();
        let in_memory = everywhere && places.iter().all(|place| matches!(place, Place::Memory(_)));
        let register = the_register(&places).filter(|_| everywhere && !in_memory);
        Ok(Variable { ty: self.number(module, key), register, in_memory })
    }

    fn variables(&self, probe: &Probe, kind: VariableKind) -> Result<Vec<String>, NoVariable> {
        let points = self.points(probe, kind)?;
        self.names(&points, kind).ok_or_else(|| self.no_info(&points))
    }

    fn global(&self, name: &str) -> Result<Global, NoVariable> {
        let symbols = self.world.symbols;
        let modules = symbols.modules();
        for module in symbols.in_order() {
            if let Some(&(key, addr)) =
                symbols.debug(module).map(|debug| debug.globals(name)).unwrap_or_default().first()
            {
                let addr = addr.wrapping_add(modules[module].bias);
                return Ok(Global { ty: Some(self.number(module, key)), addr, bytes: 0 });
            }
        }
        let mut data = symbols.named(name).into_iter().filter(|symbol| !symbol.function);
        if let Some(symbol) = data.next() {
            return Ok(Global { ty: None, addr: symbol.addr, bytes: symbol.size });
        }
        let mut names: Vec<String> = Vec::new();
        for module in symbols.in_order() {
            let known = symbols.debug(module).map(DebugFile::global_names).unwrap_or_default();
            names.extend(known.into_iter().map(str::to_string));
        }
        let has_info = !names.is_empty();
        symbols.each_symbol(&mut |symbol| {
            if !symbol.function && !has_info {
                names.push(symbol.name.clone());
            }
        });
        names.sort_unstable();
        names.dedup();
        Err(NoVariable::Unknown(names))
    }
}

/// The register that all places are, if it is one.
fn the_register(places: &[&Place]) -> Option<Register> {
    let mut registers = places.iter().map(|place| match place {
        Place::Register(register) => Some(register),
        _ => None,
    });
    let first = registers.next()??;
    registers.all(|other| other == Some(first)).then(|| first.clone())
}

fn module_at(symbols: &dyn Symbols, addr: u64) -> Option<usize> {
    let modules = symbols.modules();
    symbols.in_order().into_iter().find(|&index| modules[index].range.contains(&addr))
}

/// What a probe sees of variables at its instructions.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) symbols: &'a dyn Symbols,
    pub(super) isa: &'a dyn Isa,
    pub(super) probe: &'a Probe,
    /// The functions that a `call` or `return` probe names.
    pub(super) entries: &'a [u64],
    /// Where the script asks.
    pub(super) span: Span,
}

impl<'a> Site<'a> {
    /// The value or the address that the IR asks for at an instruction; `None` if there is none.
    pub(super) fn locate(&self, pc: u64, variable: &ir::Variable) -> Option<Expr> {
        let place = self.place(pc, variable.kind, &variable.name)?;
        match variable.ty {
            Some(ty) => place.read(variable.offset, ty, self.span),
            None => place.address(variable.offset),
        }
    }

    /// The code whose variables are asked for: after a call that of the function which was called.
    fn code(&self, pc: u64, kind: VariableKind) -> Option<(usize, u64)> {
        let after_call = self.probe.is_behind_entry() && !matches!(self.probe.event, Event::Return);
        let addr = if after_call { *self.entries.first()? } else { pc };
        let module = module_at(self.symbols, addr)?;
        if kind != VariableKind::Local && matches!(self.probe.event, Event::Return) {
            let bias = self.symbols.modules()[module].bias;
            let start = self.symbols.debug(module)?.function_start(addr.wrapping_sub(bias))?;
            return Some((module, start.wrapping_add(bias)));
        }
        Some((module, addr))
    }

    fn variable(&self, pc: u64, kind: VariableKind, name: &str) -> Option<(&'a DebugFile, VariableOf)> {
        let (module, addr) = self.code(pc, kind)?;
        let debug = self.symbols.debug(module)?;
        let bias = self.symbols.modules()[module].bias;
        Some((debug, debug.variable(addr.wrapping_sub(bias), kind, name)?))
    }

    fn place(&self, pc: u64, kind: VariableKind, name: &str) -> Option<Place> {
        let (module, addr) = self.code(pc, kind)?;
        let (debug, variable) = self.variable(pc, kind, name)?;
        let bias = self.symbols.modules()[module].bias;
        let machine = Machine { isa: self.isa, bias, span: self.span };
        let place = debug.place(variable, addr.wrapping_sub(bias), &machine);
        if !self.probe.is_behind_entry() {
            return Some(place);
        }
        match (kind, &self.probe.event) {
            (VariableKind::Result, _) => Some(place),
            // The frame is still there.
            (VariableKind::Local, Event::Return) => Some(place),
            (VariableKind::Local, _) => None,
            (VariableKind::Argument, _) => self.kept(&place),
        }
    }

    /// An argument whose function has been running: what its register held at the entry is kept. After a call it is not
    /// known before which of several functions has returned.
    fn kept(&self, place: &Place) -> Option<Place> {
        let Place::Register(register) = place else { return None };
        if self.entries.len() > 1 && !matches!(self.probe.event, Event::Return) {
            return None;
        }
        let number = (0..8).find(|&n| self.isa.argument(n).is_some_and(|other| other.slot == register.slot))?;
        let kind = ExprKind::Builtin(ir::Builtin::EntryArg(number));
        Some(Place::Value(Expr { kind, ty: Type::Word, span: self.span }))
    }
}

/// What the places of probes have to do with calls and instructions.
trait Moments {
    fn is_behind_entry(&self) -> bool;
    fn event_is_after_instruction(&self) -> bool;
}

impl Moments for Probe {
    /// It fires when a function is left.
    fn is_behind_entry(&self) -> bool {
        match self.event {
            Event::Return => true,
            Event::Call => self.moment == Moment::After,
            _ => false,
        }
    }

    fn event_is_after_instruction(&self) -> bool {
        matches!(self.event, Event::Insn(_)) && self.moment == Moment::After
    }
}
