//! `spile list`: what each probe matches in a program, as text. Nothing is run.

use super::attach::{Attachment, Site, World};
use super::syscalls;
use crate::linux::signal_names;
use spile_lang::diag::Diagnostic;
use spile_lang::ir::{
    AccessKind, BitsOp, Event, Expr, ExprKind, Filter, LValue, Moment, NumberSet, Probe, Program, Stmt, StmtKind,
};
use spile_lang::source::Sources;
use std::fmt::Write;

/// Places shown for each probe.
const SHOWN: usize = 20;
/// Places counted for each probe; more are reported as "at least".
const COUNTED: usize = 10_000_000;

/// Lists all probes of a program.
pub fn list(program: &Program, attachments: &[Attachment], world: &World<'_>, sources: &Sources) -> String {
    let mut text = String::new();
    for (probe, attachment) in program.probes.iter().zip(attachments) {
        list_probe(&mut text, probe, attachment, world, sources);
    }
    text
}

fn list_probe(out: &mut String, probe: &Probe, attachment: &Attachment, world: &World<'_>, sources: &Sources) {
    let source = sources.slice(probe.span).split_whitespace().collect::<Vec<_>>().join(" ");
    let patches = patches(&probe.body);
    let note = match patches.is_empty() {
        true => String::new(),
        false => format!("   PATCHES {}", patches.join(", ")),
    };
    let _ = writeln!(out, "{}  {source}{note}", probe.name);
    let conditions = conditions(probe);
    match &probe.event {
        Event::Insn(_) | Event::Line | Event::Branch => places(out, probe, attachment, world, &conditions),
        Event::Call | Event::Return => places(out, probe, attachment, world, &conditions),
        Event::Block => {
            let _ = writeln!(out, "      at the entry of every block that is executed{}", within(attachment));
            let _ = writeln!(out, "      {conditions}");
        }
        Event::EveryInsns(n) => {
            let _ = writeln!(out, "      every {n} instructions   {conditions}");
        }
        Event::Begin => line(out, "before the first instruction", &conditions),
        Event::End => line(out, "after the last instruction", &conditions),
        Event::Exit => line(out, "when a thread or the process ends", &conditions),
        Event::Access(kind) => line(out, &accesses(*kind, attachment), &conditions),
        Event::Spawn => line(out, "when a thread or a forked process begins", &conditions),
        Event::Signal(signals) => {
            let which = match signals {
                NumberSet::Any => "each signal".to_string(),
                NumberSet::Numbers(numbers) => {
                    let names: Vec<String> = numbers.iter().map(|&number| signal_names::name(number as u8)).collect();
                    names.join(", ")
                }
            };
            line(out, &format!("before {which} is delivered"), &conditions);
        }
        Event::Mark(names) => line(out, &format!("when somebody says: {names}"), &conditions),
        Event::EveryTime(n) => line(out, &format!("every {} of each thread", period_text(*n)), &conditions),
        Event::Load(names) => line(out, &format!("when a module is mapped: {names}"), &conditions),
        Event::Output(glob) => line(out, &format!("when the guest has written a line like \"{glob}\""), &conditions),
        Event::Trap(causes) => {
            let words: Vec<&str> = causes.iter().map(|cause| cause.word()).collect();
            line(out, &format!("at an exception: {}", words.join(", ")), &conditions);
        }
        Event::Syscall(calls) => {
            let which = match calls {
                NumberSet::Any => "each system call".to_string(),
                NumberSet::Numbers(numbers) => {
                    numbers.iter().map(|&number| syscalls::name(number)).collect::<Vec<_>>().join(", ")
                }
            };
            let moment = if probe.moment == Moment::After { "after" } else { "before" };
            line(out, &format!("{moment} {which}"), &conditions);
        }
    }
    for span in attachment.waiting.iter().filter_map(Diagnostic::span) {
        let _ = writeln!(out, "      waits: {} is not there yet", sources.slice(span));
    }
}

/// A time in the largest unit that it is a whole number of.
fn period_text(nanoseconds: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    match units.iter().find(|(size, _)| nanoseconds.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{} {unit}", nanoseconds / size),
        None => format!("{nanoseconds} ns"),
    }
}

fn accesses(kind: AccessKind, attachment: &Attachment) -> String {
    let what = match kind {
        AccessKind::Read => "at every load",
        AccessKind::Write => "at every store",
        AccessKind::Any => "at every load and store",
    };
    if attachment.everywhere {
        return what.to_owned();
    }
    let bytes: u64 = attachment.accessed.iter().map(|range| range.end - range.start).sum();
    format!("{what} in {bytes} bytes")
}

fn line(out: &mut String, what: &str, conditions: &str) {
    let _ = writeln!(out, "      {what}   {conditions}");
}

fn within(attachment: &Attachment) -> String {
    if attachment.everywhere {
        return String::new();
    }
    let bytes: u64 = attachment.ranges.iter().map(|range| range.end - range.start).sum();
    format!(" in {bytes} bytes of code")
}

fn places(out: &mut String, probe: &Probe, attachment: &Attachment, world: &World<'_>, conditions: &str) {
    let mut count = 0;
    let mut shown = Vec::new();
    for site in attachment.scan(world).take(COUNTED) {
        count += 1;
        if shown.len() < SHOWN {
            shown.push(site);
        }
    }
    let least = if count == COUNTED { "at least " } else { "" };
    let noun = if count == 1 { "place" } else { "places" };
    let moment = if probe.moment == Moment::After { "after " } else { "" };
    let _ = writeln!(out, "      {moment}{least}{count} {noun}   {conditions}");
    if attachment.everywhere {
        let _ = writeln!(out, "      (in the program itself; code that is mapped later matches too)");
        return;
    }
    for site in &shown {
        let _ = writeln!(out, "      {}", place(site, world));
    }
    if count > shown.len() {
        let _ = writeln!(out, "      … and {} more", count - shown.len());
    }
}

fn place(site: &Site, world: &World<'_>) -> String {
    let symbol = match world.symbols.locate(site.pc) {
        Some(found) if found.offset == 0 => format!(" <{}>", found.name),
        Some(found) => format!(" <{}+{:#x}>", found.name, found.offset),
        None => String::new(),
    };
    format!("{:#x}{symbol}   {}", site.pc, site.facts.text)
}

/// Which conditions are decided when code is translated and which cost something at every hit.
fn conditions(probe: &Probe) -> String {
    let (mut fixed, mut dynamic) = (0, Vec::new());
    for filter in &probe.filters {
        match filter {
            Filter::When(condition) if is_static(condition) => fixed += 1,
            Filter::When(_) => dynamic.push("when"),
            Filter::Hit(_) => dynamic.push("hit"),
            Filter::Limit(_) => dynamic.push("limit"),
            Filter::From(_) => dynamic.push("from"),
            Filter::During(_) => dynamic.push("during"),
        }
    }
    let fixed = match (fixed, dynamic.is_empty()) {
        (_, true) => "all".to_owned(),
        (0, false) => "places".to_owned(),
        (n, false) => format!("places and {n} condition(s)"),
    };
    let dynamic = if dynamic.is_empty() { "none".to_owned() } else { dynamic.join(", ") };
    format!("static: {fixed}   dynamic: {dynamic}")
}

/// True if the expression depends on the instruction only.
fn is_static(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Int(_) | ExprKind::Int128(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::AddrOf(_) => true,
        ExprKind::Builtin(builtin) => builtin.is_static(),
        ExprKind::Unary(_, a) | ExprKind::Cast(a) | ExprKind::EnumName(a, _) => is_static(a),
        ExprKind::MatchesGlob(a, _) | ExprKind::MatchesRegex(a, _) => is_static(a),
        ExprKind::Binary(_, a, b) | ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Coalesce(a, b) => {
            is_static(a) && is_static(b)
        }
        ExprKind::If(a, b, c) | ExprKind::WithinRange(a, b, c) => is_static(a) && is_static(b) && is_static(c),
        ExprKind::WithinSet(a, set) => is_static(a) && set.iter().all(is_static),
        ExprKind::Interp(_)
        | ExprKind::Register(_)
        | ExprKind::Local(_)
        | ExprKind::Variable(_)
        | ExprKind::Load { .. }
        | ExprKind::Call(..)
        | ExprKind::State(..) => false,
    }
}

/// What the statements change in the guest, each once.
fn patches(body: &[Stmt]) -> Vec<String> {
    let mut found = Vec::new();
    collect_patches(body, &mut found);
    let mut seen = Vec::new();
    for patch in found {
        if !seen.contains(&patch) {
            seen.push(patch);
        }
    }
    seen
}

fn collect_patches(body: &[Stmt], found: &mut Vec<String>) {
    for stmt in body {
        match &stmt.kind {
            StmtKind::Write { target, .. } => found.push(target_name(target)),
            StmtKind::Bits { op, target, .. } => {
                let word = match op {
                    BitsOp::Flip => "bits of",
                    BitsOp::Set => "bits (set) of",
                    BitsOp::Clear => "bits (cleared) of",
                };
                found.push(format!("{word} {}", target_name(target)));
            }
            StmtKind::Stick { target, .. } => found.push(format!("bits (stuck) of {}", target_name(target))),
            StmtKind::Skip(_) | StmtKind::Goto(_) => found.push("pc".into()),
            StmtKind::Raise(signal) => found.push(format!("signals ({})", signal_names::name(*signal))),
            StmtKind::Return { .. } => found.push("the result".into()),
            StmtKind::FinishSyscall(_) => found.push("ret".into()),
            StmtKind::FinishAccess(Some(_)) => found.push("value".into()),
            StmtKind::FinishAccess(None) => found.push("memory (a store is left out)".into()),
            StmtKind::For { body, .. } => collect_patches(body, found),
            StmtKind::Transient { patch, .. } => collect_patches(std::slice::from_ref(patch), found),
            StmtKind::If { then, otherwise, .. } => {
                collect_patches(then, found);
                collect_patches(otherwise, found);
            }
            _ => {}
        }
    }
}

fn target_name(target: &LValue) -> String {
    match target {
        LValue::Insn => "insn".into(),
        LValue::Destination => "insn.dst".into(),
        LValue::Accessed => "value".into(),
        LValue::Register(register) => register.name.clone(),
        LValue::Memory { ty, .. } => format!("{} bytes of memory", ty.bytes),
    }
}
