//! What can go wrong before the guest runs, and how it is shown.

use serde_json::json;
use spile_lang::diag::Diagnostics;
use spile_lang::render::{self, Style};
use spile_lang::source::Sources;
use spile_runtime::linux::OwnFile;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

/// Standard error as it was when the run began, if there is a run: the guest may close its own, or make it another file.
static MESSAGES: OnceLock<OwnFile> = OnceLock::new();

/// Makes messages go to `file` from now on.
pub(crate) fn messages_to(file: OwnFile) {
    let _ = MESSAGES.set(file);
}

/// Where messages go.
pub(crate) fn messages() -> Box<dyn Write + Send> {
    match MESSAGES.get() {
        Some(&file) => Box::new(file),
        None => Box::new(std::io::stderr()),
    }
}

/// The own file that [`messages_to`] was given.
pub(crate) fn messages_file() -> Option<OwnFile> {
    MESSAGES.get().copied()
}

/// An error of Spile's own.
pub(crate) enum Failure {
    /// One sentence, and a hint if there is a next step.
    Plain {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Findings in scripts.
    Script {
        /// What was found.
        diagnostics: Diagnostics,
        /// Where.
        sources: Sources,
        /// How to show it.
        look: Look,
    },
}

/// How findings are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// JSON, one object a line.
    pub(crate) json: bool,
    /// Plain ASCII.
    pub(crate) ascii: bool,
}

impl Failure {
    /// A plain error.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure::Plain { message: message.into(), hint: None }
    }

    /// Adds a hint.
    pub(crate) fn with_hint(self, text: Option<String>) -> Failure {
        match self {
            Failure::Plain { message, .. } => Failure::Plain { message, hint: text },
            other => other,
        }
    }

    /// What it says, as text.
    pub(crate) fn text(&self) -> String {
        match self {
            Failure::Plain { message, .. } => format!("{message}\n"),
            Failure::Script { diagnostics, sources, .. } => render::render(diagnostics, sources, Style::default()),
        }
    }

    /// Writes it to standard error; a plain error as JSON if that is wanted.
    pub(crate) fn report(&self, json: bool) {
        match self {
            Failure::Plain { message, hint } => say("error", message, hint.as_deref(), json),
            Failure::Script { diagnostics, sources, look } => {
                // A closed standard error cannot be reported anywhere.
                let _ = show(&mut messages(), diagnostics, sources, *look);
            }
        }
    }
}

/// Writes a message that is about no script: for people, or in the form that findings in scripts have.
pub(crate) fn say(severity: &str, message: &str, hint: Option<&str>, json: bool) {
    let text = if json {
        let help: Vec<&str> = hint.into_iter().flat_map(str::lines).collect();
        let (severity, message) = (json!(severity), json!(message));
        // In the order of the fields of a finding, which a map would not keep.
        format!(
            "{{\"type\":\"diagnostic\",\"code\":null,\"severity\":{severity},\"message\":{message},\"spans\":[],\"help\":{}}}\n",
            json!(help)
        )
    } else {
        let hint = hint.map(|hint| format!("\n  help: {hint}")).unwrap_or_default();
        format!("spile: {message}{hint}\n")
    };
    // Each message is one write, so that they do not mix.
    let _ = messages().write_all(text.as_bytes());
}

/// Writes findings.
pub(crate) fn show(
    out: &mut impl Write,
    diagnostics: &Diagnostics,
    sources: &Sources,
    look: Look,
) -> std::io::Result<()> {
    if look.json {
        return out.write_all(render::json(diagnostics, sources).as_bytes());
    }
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = Style { ascii: look.ascii, colour, ..Style::default() };
    out.write_all(render::render(diagnostics, sources, style).as_bytes())
}
