//! A run that can be changed while it runs: the commands of `spile ctl`, and scripts that are read again when they are
//! saved. The socket carries one request and one reply, each a line of JSON.

use crate::args::ScriptArgs;
use crate::failure::{Failure, Look, messages};
use crate::scripts::{self, reason};
use serde_json::{Value, json};
use spile_lang::diag::Diagnostics;
use spile_lang::ir::{Probe, ProbeId, Program};
use spile_lang::render;
use spile_lang::source::{Source, Sources};
use spile_lang::suggest::nearest;
use spile_runtime::control::Control;
use spile_runtime::isa::Isa;
use spile_runtime::linux::session;
use spile_runtime::mem::GuestMemory;
use spile_runtime::probe::engine::Probes;
use spile_runtime::probe::live::{Standing, Surroundings};
use spile_runtime::probe::variables::ProgramInfo;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// Most bytes of a request.
const MOST_REQUEST: u64 = 1 << 20;
/// How often saved scripts are looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// How long a client may take for its request: the next one waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// What of a run can be changed.
pub(crate) struct Live {
    control: Control,
    sources: Sources,
    /// Sources that the run began with.
    first: usize,
    added: u64,
    scripts: ScriptArgs,
    /// The folder that `use` in texts is relative to: the guest may leave the current one.
    folder: PathBuf,
    isa: &'static dyn Isa,
}

/// Shared by the threads that change a run and the one that reports its end.
pub(crate) type Shared = Arc<Mutex<Live>>;

/// A change that was refused, as text for people.
type Refused = String;

/// What a command has to say.
pub(crate) struct Reply {
    /// For people.
    pub(crate) text: String,
    /// The same as JSON, an object on each line.
    pub(crate) json: String,
}

impl Reply {
    fn new(text: String, json: &Value) -> Reply {
        Reply { text, json: format!("{json}\n") }
    }
}

impl Live {
    pub(crate) fn new(control: Control, sources: Sources, scripts: &ScriptArgs, isa: &'static dyn Isa) -> Shared {
        let first = sources.iter().count();
        let folder = scripts::folder(scripts);
        Arc::new(Mutex::new(Live { control, sources, first, added: 0, scripts: scripts.clone(), folder, isa }))
    }

    /// The sources, with those that were added.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    fn look(&self) -> Look {
        Look { json: false, ..scripts::look(&self.scripts) }
    }

    fn render(&self, diagnostics: &Diagnostics, sources: &Sources) -> Refused {
        let style = render::Style { ascii: self.look().ascii, colour: false, ..render::Style::default() };
        render::render(diagnostics, sources, style)
    }

    /// Adds the probes of a text, and takes others out in the same moment. Nothing changes if it is refused.
    fn exchange(&mut self, gone: &[ProbeId], name: String, text: &[u8]) -> Result<Vec<String>, Refused> {
        let mut sources = self.sources.clone();
        let first = sources.add(name, text);
        self.exchange_sources(gone, sources, first, 1)
    }

    /// Goes on with `sources`, which have new ones from number `first` on with at least so many probes, and takes probes out
    /// in the same moment. Nothing changes if it is refused.
    fn exchange_sources(
        &mut self,
        gone: &[ProbeId],
        mut sources: Sources,
        first: u32,
        least: usize,
    ) -> Result<Vec<String>, Refused> {
        scripts::load(&mut sources, first, &self.folder);
        let options = scripts::options(&self.scripts).map_err(|failure| failure.text())?;
        let prepare = |around: &Surroundings, memory: &GuestMemory| {
            let old = without_labels(around.program(), gone);
            let debug = ProgramInfo::new(around.world(memory));
            let (program, diagnostics) = spile_lang::extend(&old, &sources, first, self.isa, &debug, &options);
            let program = program.ok_or(diagnostics)?;
            let names: Vec<String> =
                program.probes[old.probes.len()..].iter().map(|probe| probe.name.clone()).collect();
            // What is refused in any case is not looked for in the program.
            let extension = (names.len() >= least).then(|| around.extension(program, memory)).transpose()?;
            Ok::<_, Diagnostics>((names, extension))
        };
        let prepared = self.control.prepare(prepare).ok_or_else(over)?;
        let (names, extension) = prepared.map_err(|diagnostics| self.render(&diagnostics, &sources))?;
        let extension = extension.ok_or("there is no probe in it\n")?;
        let changed = self.control.change(|probes, memory| {
            probes.extend(extension, &sources, memory)?;
            gone.iter().for_each(|&id| probes.remove(id));
            Ok::<(), Diagnostics>(())
        });
        changed.ok_or_else(over)?.map_err(|diagnostics| self.render(&diagnostics, &sources))?;
        self.sources = sources;
        self.tidy();
        Ok(names)
    }

    fn program(&self) -> Result<Program, Refused> {
        self.control.ask(|probes| probes.program().clone()).ok_or_else(over)
    }

    fn standings(&self) -> Result<Vec<Standing>, Refused> {
        self.control.ask(Probes::standings).ok_or_else(over)
    }

    fn find(&self, name: &str) -> Result<ProbeId, Refused> {
        let all = self.standings()?;
        if let Some(probe) = all.iter().find(|probe| probe.name == name) {
            return Ok(probe.id);
        }
        let names: Vec<&str> = all.iter().map(|probe| probe.name.as_str()).collect();
        Err(match nearest(name, &names) {
            Some(near) => format!("no probe is called `{name}`; did you mean `{near}`?\n"),
            None => format!("no probe is called `{name}`; there are: {}\n", names.join(", ")),
        })
    }

    fn remove(&mut self, ids: &[ProbeId]) -> Result<(), Refused> {
        let remove = |probes: &mut spile_runtime::probe::engine::Probes| ids.iter().for_each(|&id| probes.remove(id));
        self.control.change(|probes, _| remove(probes)).ok_or_else(over)?;
        self.tidy();
        Ok(())
    }

    /// Forgets added sources at the end of the list that no probe comes from.
    fn tidy(&mut self) {
        let Ok(program) = self.program() else { return };
        let of_probes = program.probes.iter().flat_map(|probe| self.sources.reach(probe.span.source));
        let used = of_probes.map(|source| source as usize + 1).max().unwrap_or(0);
        self.sources.truncate(used.max(self.first));
    }

    fn list(&self) -> Result<Reply, Refused> {
        let program = self.program()?;
        // As a change, with which threads tell what they have counted so far.
        let all = self.control.change(|probes, _| probes.standings()).ok_or_else(over)?;
        let width = all.iter().map(|probe| probe.name.chars().count()).max().unwrap_or(0);
        let (mut text, mut records) = (String::new(), Vec::new());
        for probe in &all {
            let head = self.sources.slice(program.probes[probe.id.0 as usize].span);
            let head = head.lines().next().unwrap_or_default();
            let state = if probe.waiting > 0 { "waiting" } else { probe.state };
            records.push(json!({
                "name": probe.name, "state": state, "fired": probe.fired, "waiting": probe.waiting, "probe": head,
            }));
            text += &format!("{:width$}  {state:9}  {:>12}  {head}\n", probe.name, probe.fired);
        }
        let text = if text.is_empty() { "there are no probes\n".into() } else { text };
        Ok(Reply::new(text, &json!({ "type": "probes", "probes": records })))
    }

    fn with_global(
        &self,
        name: &str,
        act: impl FnOnce(&mut spile_runtime::probe::engine::Probes, spile_lang::ir::StateId) -> Reply,
    ) -> Result<Reply, Refused> {
        let found = self.control.change(|probes, _| match probes.global(name) {
            Some(id) => Ok(act(probes, id)),
            None => Err(probes.globals()),
        });
        found.ok_or_else(over)?.map_err(|names| format!("there is no `{name}`; there are: {}\n", names.join(", ")))
    }

    /// Says a name to the probes that wait for it.
    fn emit(&self, name: &str) -> Result<Reply, Refused> {
        let emitted = self.control.change(|probes, _| match probes.emit(name) {
            0 => Err(probes.mark_names()),
            n => Ok(n),
        });
        match emitted.ok_or_else(over)? {
            Ok(n) => {
                let text = format!("emitted {name} to {n} {}\n", if n == 1 { "probe" } else { "probes" });
                Ok(Reply::new(text, &json!({ "type": "emitted", "name": name, "probes": n })))
            }
            Err(known) if known.is_empty() => {
                Err(format!("no probe waits for `{name}`; add one: on mark {name} print icount\n"))
            }
            Err(known) => match nearest(name, &known) {
                Some(near) => Err(format!("no probe waits for `{name}`; did you mean `{near}`?\n")),
                None => Err(format!("no probe waits for `{name}`; there are: {}\n", known.join(", "))),
            },
        }
    }

    /// Performs a command and returns its output.
    fn command(&mut self, words: &[String]) -> Result<Reply, Refused> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["list"] => self.list(),
            ["add", text] => {
                let name = self.next_name();
                let names = self.exchange(&[], name, text.as_bytes())?;
                let text = format!("added {}\n", names.join(", "));
                Ok(Reply::new(text, &json!({ "type": "added", "probes": names })))
            }
            ["replace", probe, text] => {
                let id = self.find(probe)?;
                let name = self.next_name();
                let names = self.exchange(&[id], name, text.as_bytes())?;
                let text = format!("replaced {probe} by {}\n", names.join(", "));
                Ok(Reply::new(text, &json!({ "type": "replaced", "probe": probe, "by": names })))
            }
            ["remove", ref names @ ..] if !names.is_empty() => {
                let ids = names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>, _>>()?;
                self.remove(&ids)?;
                let text = format!("removed {}\n", names.join(", "));
                Ok(Reply::new(text, &json!({ "type": "removed", "probes": names })))
            }
            [verb @ ("enable" | "disable"), ref names @ ..] if !names.is_empty() => {
                let ids = names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>, _>>()?;
                let on = verb == "enable";
                let change = |probes: &mut spile_runtime::probe::engine::Probes| {
                    ids.iter().for_each(|&id| probes.set_enabled(id, on));
                };
                self.control.change(|probes, _| change(probes)).ok_or_else(over)?;
                let text = format!("{verb}d {}\n", names.join(", "));
                Ok(Reply::new(text, &json!({ "type": format!("{verb}d"), "probes": names })))
            }
            ["emit", name] => self.emit(name),
            ["print", name] => self.with_global(name, |probes, id| Reply {
                text: probes.global_text(id, false),
                json: probes.global_text(id, true),
            }),
            ["reset", name] => self.with_global(name, |probes, id| {
                probes.reset_global(id);
                Reply::new(format!("reset {name}\n"), &json!({ "type": "reset", "global": name }))
            }),
            _ => Err(format!("no such command: {}\n", words.join(" "))),
        }
    }

    fn next_name(&mut self) -> String {
        self.added += 1;
        format!("ctl:{}", self.added)
    }
}

/// The program, in which probes that are to go have no label any more.
fn without_labels(program: &Program, gone: &[ProbeId]) -> Program {
    let mut program = program.clone();
    for id in gone {
        let probe = &mut program.probes[id.0 as usize];
        *probe = Arc::new(Probe { label: None, ..(**probe).clone() });
    }
    program
}

fn over() -> Refused {
    "the run is over\n".into()
}

fn lock(live: &Shared) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The sources of a run, for reports at its end.
pub(crate) fn sources(live: &Shared) -> Sources {
    lock(live).sources().clone()
}

// ---- the socket

/// The socket of a session, which goes with it.
pub(crate) struct Session(PathBuf);

impl Drop for Session {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn folder() -> std::io::Result<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    session::folder(own.map(PathBuf::from))
}

/// The socket of the session with this name.
fn socket(name: &str) -> Result<PathBuf, Failure> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Failure::new(format!("`{name}` is no name for a session"))
            .with_hint(Some("letters and digits will do, such as --session trace".into())));
    }
    let folder =
        folder().map_err(|error| Failure::new(format!("there is no folder for sessions: {}", reason(&error))))?;
    Ok(folder.join(format!("{name}.sock")))
}

/// Starts to serve a session.
pub(crate) fn serve(name: &str, live: Shared) -> Result<Session, Failure> {
    let path = socket(name)?;
    if UnixStream::connect(&path).is_ok() {
        return Err(Failure::new(format!("a session `{name}` is running"))
            .with_hint(Some("choose another name, or end that one".into())));
    }
    // What is there belongs to a run that could not clean up.
    let _ = std::fs::remove_file(&path);
    let (at, control) = (path.clone(), lock(&live).control.clone());
    let begin = move || {
        let listener = UnixListener::bind(&at)?;
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o600))?;
        session::take_short_slices();
        Ok((listener, ()))
    };
    let work = move |listener: UnixListener| {
        for stream in listener.incoming().flatten() {
            let _ = answer(&stream, &live);
        }
    };
    session::beside("session", begin, work)
        .map_err(|error| Failure::new(format!("cannot listen on {}: {}", path.display(), reason(&error))))?;
    // Without it, the first change takes longer.
    let _ = session::beside("symbols", || Ok(((), ())), move |()| control.read_ahead());
    Ok(Session(path))
}

fn answer(stream: &UnixStream, live: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(MOST_REQUEST)).read_line(&mut line)?;
    let begun = Instant::now();
    let words: Option<Vec<String>> = serde_json::from_str::<Value>(&line)
        .ok()
        .and_then(|request| request.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect());
    let result = match words {
        Some(words) => lock(live).command(&words),
        None => Err("the request is not understood\n".into()),
    };
    let reply = match result {
        Ok(reply) => {
            // Both of them may have to wait for a processor afterwards.
            let changed = lock(live).control.changed().filter(|&changed| changed > begun);
            let took = changed.map_or_else(|| begun.elapsed(), |changed| changed - begun).as_secs_f64() * 1e3;
            json!({ "ok": true, "text": reply.text, "json": reply.json, "took_ms": took })
        }
        Err(text) => json!({ "ok": false, "text": text }),
    };
    let mut stream = stream;
    stream.write_all(format!("{reply}\n").as_bytes())
}

/// Sends a command to a session and returns the reply.
pub(crate) fn send(name: &str, words: &[&str]) -> Result<Result<Reply, String>, Failure> {
    let path = socket(name)?;
    let broken = |error: &std::io::Error| Failure::new(format!("session `{name}`: {}", reason(error)));
    let mut stream = UnixStream::connect(&path).map_err(|_| {
        let known = names();
        let hint = match known.is_empty() {
            true => "start one with: spile run --session NAME PROGRAM".to_owned(),
            false => format!("running: {}", known.join(", ")),
        };
        Failure::new(format!("no session `{name}` is running")).with_hint(Some(hint))
    })?;
    stream.write_all(format!("{}\n", json!(words)).as_bytes()).map_err(|error| broken(&error))?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).map_err(|error| broken(&error))?;
    let reply: Value =
        serde_json::from_str(&reply).map_err(|_| Failure::new(format!("session `{name}` ended before it answered")))?;
    let text = reply["text"].as_str().unwrap_or_default().to_owned();
    let json = reply["json"].as_str().unwrap_or_default().to_owned();
    Ok(if reply["ok"] == true { Ok(Reply { text, json }) } else { Err(text) })
}

/// Names of the sessions that are running.
pub(crate) fn names() -> Vec<String> {
    let entries = folder().and_then(std::fs::read_dir);
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let running = paths.filter(|path| UnixStream::connect(path).is_ok());
    let mut names: Vec<String> =
        running.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

// ---- scripts that are saved

/// A script of the command line, and the source that its probes come from.
struct Script {
    /// What it is called, which for a file is its absolute path.
    name: String,
    /// What it says, if it is no file.
    text: Option<Vec<u8>>,
    source: u32,
}

/// The scripts of a run, with all files that they are made of.
struct Watched {
    scripts: Vec<Script>,
    files: HashMap<PathBuf, Option<SystemTime>>,
    /// Files that have been saved and are not part of the run yet, those with errors included: another file may have been
    /// what was wrong.
    unread: Vec<PathBuf>,
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or(path.to_owned(), |path| path.display().to_string())
}

fn saved(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|file| file.modified()).ok()
}

/// Starts to look whether the scripts of a run, or the files that they use, are saved. `sources` are those that it begins
/// with: whoever has locked `live` may be waiting for it to begin.
pub(crate) fn watch(sources: &Sources, live: Shared) -> Result<(), Failure> {
    let mut watched = Watched::new(sources);
    let work = move |()| {
        loop {
            std::thread::sleep(WATCH_INTERVAL);
            watched.look(&mut lock(&live));
        }
    };
    session::beside("watch", || Ok(((), ())), work)
        .map_err(|error| Failure::new(format!("cannot watch the scripts: {}", reason(&error))))
}

impl Watched {
    fn new(sources: &Sources) -> Watched {
        let script = |(source, index): (&Source, u32)| match source.identity() {
            Some(_) => Script { name: absolute(source.name()), text: None, source: index },
            None => {
                Script { name: source.name().to_owned(), text: Some(source.text().as_bytes().to_vec()), source: index }
            }
        };
        let scripts = sources.iter().zip(0..).filter(|(source, _)| source.is_root()).map(script).collect();
        let mut watched = Watched { scripts, files: HashMap::new(), unread: Vec::new() };
        watched.follow(sources);
        watched
    }

    /// Watches the files that the scripts are made of now.
    fn follow(&mut self, sources: &Sources) {
        let all = self.scripts.iter().flat_map(|script| sources.reach(script.source));
        let paths = all.filter_map(|index| sources.get(index)?.identity().map(PathBuf::from));
        let before = std::mem::take(&mut self.files);
        let entry = |path: PathBuf| {
            let time = before.get(&path).copied().unwrap_or_else(|| saved(&path));
            (path, time)
        };
        self.files = paths.map(entry).collect();
    }

    /// Reads the scripts again that files have been saved of.
    fn look(&mut self, live: &mut Live) {
        let mut names = Vec::new();
        for (path, before) in &mut self.files {
            let now = saved(path);
            if now.is_some() && now != *before {
                *before = now;
                names.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
                if !self.unread.contains(path) {
                    self.unread.push(path.clone());
                }
            }
        }
        if names.is_empty() {
            return;
        }
        names.sort();
        let (names, one) = (names.join(", "), names.len() == 1);
        let message = match self.reload(live) {
            Ok(n) => {
                let (has, probes) = (if one { "has" } else { "have" }, if n == 1 { "probe" } else { "probes" });
                self.unread.clear();
                format!("spile: {names} {has} been read again: {n} {probes}\n")
            }
            Err(why) => {
                let (has, its) = if one { ("has", "its") } else { ("have", "their") };
                format!("{why}spile: {names} {has} errors: {its} probes stay as they were\n")
            }
        };
        let _ = messages().write_all(message.as_bytes());
    }

    /// Reads the scripts again that are made of unread files, and returns how many probes they have. With errors the probes
    /// of before stay.
    fn reload(&mut self, live: &mut Live) -> Result<usize, Refused> {
        let mut sources = live.sources.clone();
        let unread = |index: &u32| {
            let file = sources.get(*index).and_then(Source::identity);
            file.is_some_and(|file| self.unread.iter().any(|path| Path::new(file) == path))
        };
        let made_of = |index: u32| sources.reach(index).iter().any(unread);
        let (concerned, others): (Vec<&mut Script>, Vec<_>) =
            self.scripts.iter_mut().partition(|script| made_of(script.source));
        let kept: HashSet<u32> = others.iter().flat_map(|script| sources.reach(script.source)).collect();
        let old = concerned.iter().flat_map(|script| sources.reach(script.source));
        let old: HashSet<u32> = old.filter(|index| !kept.contains(index)).collect();
        old.iter().for_each(|&index| sources.retire(index));
        let first = sources.iter().count() as u32;
        let mut fresh = Vec::new();
        for script in &concerned {
            fresh.push(match &script.text {
                Some(text) => sources.add(script.name.clone(), text),
                None => {
                    let path = Path::new(&script.name);
                    let text = std::fs::read(path).map_err(|error| format!("cannot read it: {}\n", reason(&error)))?;
                    sources.add_file(script.name.clone(), text, scripts::identity(path))
                }
            });
        }
        let program = live.program()?;
        let from_there = |id: &ProbeId| old.contains(&program.probes[id.0 as usize].span.source);
        let gone: Vec<ProbeId> = live.standings()?.into_iter().map(|probe| probe.id).filter(from_there).collect();
        let names = live.exchange_sources(&gone, sources, first, 0)?;
        concerned.into_iter().zip(fresh).for_each(|(script, source)| script.source = source);
        self.follow(&live.sources);
        Ok(names.len())
    }
}
