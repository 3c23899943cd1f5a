//! System calls in bodies: their arguments as values, and the actions that take them all.

use super::TooComplex;
use super::body::Body;
use super::code::{Atom, Value};
use crate::probe::action::Action;
use crate::uop::X;
use spile_lang::ir::{Builtin, Event, Expr, Stmt};
use spile_lang::target::RegisterSlot;

type Result<T> = std::result::Result<T, TooComplex>;

impl Body<'_> {
    /// True if the probe waits for a system call.
    pub(super) fn is_at_syscall(&self) -> bool {
        matches!(self.program.probes[self.id.0 as usize].event, Event::Syscall(_))
    }

    /// What is known only while the body runs.
    pub(super) fn syscall_value(&mut self, builtin: Builtin, e: &Expr) -> Result<Value> {
        let event = *self.place.what();
        // A slot of its own and not a constant: each value would be a key of its own for counters in cells.
        let known = match builtin {
            Builtin::SyscallArgument(n) => event.call.args[usize::from(n)],
            Builtin::SyscallElapsed => event.elapsed.unwrap_or(0),
            _ => {
                let words = self.call_words()?;
                return self.call_action(Action::SyscallArguments, words, e);
            }
        };
        let d = self.code.temp()?;
        self.code.move_to(d, Atom::Const(known));
        Ok(Value::One(Atom::Slot(d)))
    }

    pub(super) fn trace_syscall(&mut self, s: &Stmt) -> Result<()> {
        let words = self.call_words()?;
        self.act(Action::TraceSyscall, words, s)
    }

    /// The arguments of actions on calls: number, arguments, and the result if there is one.
    fn call_words(&mut self) -> Result<(X, u8)> {
        let event = *self.place.what();
        let register = |register: Option<spile_lang::target::Register>| match register.map(|r| r.slot) {
            Some(RegisterSlot::Int(slot)) => Atom::Slot(slot),
            _ => Atom::ZERO,
        };
        let isa = self.shared.isa;
        let mut atoms = vec![Atom::Const(event.call.number)];
        for n in 0..6 {
            atoms.push(match event.elapsed {
                // What earlier probes have written counts.
                None => register(isa.system_call_argument(n)),
                Some(_) => Atom::Const(event.call.args[usize::from(n)]),
            });
        }
        if event.elapsed.is_some() || self.place.nothing_is_static() {
            atoms.push(register(isa.system_call_result()));
        }
        self.pack(&atoms)
    }
}
