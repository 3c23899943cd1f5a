//! What events between instructions add to the values that exist everywhere: the signal, the cause, the module.
//!
//! A happening belongs to its thread until the bodies of the next one run.

use crate::env::OutputSource;
use crate::linux::signal_names;
use crate::vm::PlainEvent;
use spile_lang::ir::Fact;

/// A value of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FactValue {
    /// A number; the flag says that it is an address.
    Number(u64, bool),
    /// A signed number.
    Signed(i64),
    /// A text.
    Text(Vec<u8>),
}

/// An event with its values, in the order in which `trace` prints them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happening {
    /// The event's word.
    pub(super) word: &'static str,
    /// Its values.
    pub(super) facts: Vec<(Fact, FactValue)>,
}

impl Happening {
    /// What scripts see of an event; `None` if it adds nothing, or does it otherwise.
    pub(super) fn of(event: &PlainEvent) -> Option<Happening> {
        let text = |text: &str| FactValue::Text(text.as_bytes().to_vec());
        Some(match event {
            PlainEvent::Signal(signal) => Happening {
                word: "signal",
                facts: vec![
                    (Fact::Name, text(&signal_names::name(signal.number))),
                    (Fact::Number, FactValue::Number(signal.number.into(), false)),
                    (Fact::Code, FactValue::Signed(signal.code.into())),
                    (Fact::Addr, FactValue::Number(signal.addr, true)),
                ],
            },
            PlainEvent::Trap(cause, addr) => Happening {
                word: "trap",
                facts: vec![(Fact::Cause, text(cause.word())), (Fact::Addr, FactValue::Number(*addr, true))],
            },
            PlainEvent::Load(module) => Happening {
                word: "load",
                facts: vec![
                    (Fact::Name, text(&module.name)),
                    (Fact::Base, FactValue::Number(module.range.start, true)),
                    (Fact::Size, FactValue::Number(module.range.end - module.range.start, true)),
                ],
            },
            PlainEvent::Output(source, line, _) => Happening {
                word: "output",
                facts: vec![
                    (
                        Fact::Source,
                        text(match source {
                            OutputSource::Stdout => "stdout",
                            OutputSource::Stderr => "stderr",
                        }),
                    ),
                    (Fact::Text, FactValue::Text(line.clone())),
                ],
            },
            PlainEvent::Mark(name) => Happening { word: "mark", facts: vec![(Fact::Name, text(name))] },
            PlainEvent::Begin
            | PlainEvent::Every
            | PlainEvent::Clock(_)
            | PlainEvent::Exit
            | PlainEvent::End
            | PlainEvent::Spawn
            | PlainEvent::Call(_)
            | PlainEvent::Return(..) => return None,
        })
    }

    /// The value of a fact.
    pub(super) fn value(&self, fact: Fact) -> Option<&FactValue> {
        self.facts.iter().find(|(other, _)| *other == fact).map(|(_, value)| value)
    }
}
