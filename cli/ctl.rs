//! `spile ctl`.

use crate::args::{CtlArgs, CtlCommand};
use crate::failure::Failure;
use crate::session;
use serde_json::json;
use std::io::Write;

/// Sends the command and shows the reply. The status is 1 if it was refused.
pub(crate) fn ctl(args: &CtlArgs) -> Result<u8, Failure> {
    let (Some(name), Some(command)) = (&args.session, &args.command) else {
        let names = session::names();
        let text = match (args.json, names.is_empty()) {
            (true, _) => format!("{}\n", json!({ "type": "sessions", "sessions": names })),
            (false, true) => "no session is running\n".into(),
            (false, false) => names.join("\n") + "\n",
        };
        return show(&mut std::io::stdout(), &text).map(|()| 0);
    };
    let (verb, rest): (&str, Vec<&String>) = match command {
        CtlCommand::List => ("list", Vec::new()),
        CtlCommand::Add { script } => ("add", vec![script]),
        CtlCommand::Replace { probe, script } => ("replace", vec![probe, script]),
        CtlCommand::Remove { probes } => ("remove", probes.iter().collect()),
        CtlCommand::Enable { probes } => ("enable", probes.iter().collect()),
        CtlCommand::Disable { probes } => ("disable", probes.iter().collect()),
        CtlCommand::Emit { name } => ("emit", vec![name]),
        CtlCommand::Print { global } => ("print", vec![global]),
        CtlCommand::Reset { global } => ("reset", vec![global]),
    };
    let words: Vec<&str> = std::iter::once(verb).chain(rest.into_iter().map(String::as_str)).collect();
    match session::send(name, &words)? {
        Ok(reply) => show(&mut std::io::stdout(), if args.json { &reply.json } else { &reply.text }).map(|()| 0),
        Err(text) if args.json => {
            let record = json!({ "type": "error", "message": text.trim_end() });
            show(&mut std::io::stderr(), &format!("{record}\n")).map(|()| 1)
        }
        Err(text) => show(&mut std::io::stderr(), &text).map(|()| 1),
    }
}

fn show(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::new(format!("cannot write: {}", crate::scripts::reason(&error))))
}
