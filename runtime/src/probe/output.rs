//! Where probe output goes and how records, tables and histograms look.
//!
//! Two forms: text for people, and JSON lines for programs (`--json`), one object per record with a `"type"`. Output
//! is buffered; [`Output::flush`] is called before the guest may write to the same terminal. A sink that takes no more
//! (disk full, closed pipe) is never a panic and never silent: the first failure is kept, and the runtime ends the run.

use crate::probe::attach::Symbols;
use crate::probe::format::{self, TextRef, Value, put};
use crate::probe::stack;
use crate::probe::state::{self, Entry, KeyPart, Row, States, Stored};
use spile_lang::ir::{AggFn, State, StateId, StateKind};
use spile_lang::types::Type;
use std::io::Write;

/// How output is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// JSON lines instead of text.
    pub json: bool,
    /// Only ASCII in what Spile itself writes.
    pub ascii: bool,
}

/// The sink of all probe output.
pub struct Output {
    sink: Box<dyn Write + Send>,
    name: String,
    style: Style,
    buffer: Vec<u8>,
    failure: Option<String>,
}

/// The buffer is written when it has grown to this size.
const BUFFER: usize = 64 * 1024;

impl Output {
    /// Creates an output that writes to `sink`; `name` is what error messages call it.
    pub fn new(sink: Box<dyn Write + Send>, name: impl Into<String>, style: Style) -> Output {
        Output { sink, name: name.into(), style, buffer: Vec::new(), failure: None }
    }

    /// Returns how output is written.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Writes a line.
    pub fn line(&mut self, text: &str) {
        if self.failure.is_some() {
            return;
        }
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    /// Writes a JSON record.
    pub fn record(&mut self, json: Json) {
        self.line(&json.finish());
    }

    /// Writes what a `print` shows, if that is anything. Returns a buffer for the next line.
    pub fn fields(&mut self, fields: Fields) -> String {
        if fields.joint.is_empty() {
            return String::new();
        }
        match fields.form {
            Form::Line(line) => {
                self.line(&line);
                line
            }
            Form::Record(form) => {
                let (record, messages) = *form;
                let none = messages.is_empty();
                self.record(if none { record } else { record.str("msg", &messages.join(" ")) });
                String::new()
            }
        }
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() || self.failure.is_some() {
            return;
        }
        if let Err(error) = self.sink.write_all(&self.buffer).and_then(|()| self.sink.flush()) {
            let why = match error.kind() {
                std::io::ErrorKind::BrokenPipe => "the reader has closed the pipe".to_string(),
                // Without the number, which says nothing more.
                _ => error.to_string().split(" (os error").next().unwrap_or_default().to_string(),
            };
            self.failure = Some(format!("cannot write probe output to {}: {why}", self.name));
        }
        self.buffer.clear();
    }

    /// Forgets what has not been written, in a forked process: its parent has it too.
    pub fn forget(&mut self) {
        self.buffer.clear();
    }

    /// Why output has stopped, as a sentence.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Returns `fancy`, or `plain` if only ASCII may be written.
    pub fn glyph(&self, fancy: &'static str, plain: &'static str) -> &'static str {
        if self.style.ascii { plain } else { fancy }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What a `print` shows in one line or record.
pub struct Fields {
    form: Form,
    /// What comes before the next word of a line; empty before the first.
    joint: &'static str,
}

enum Form {
    Line(String),
    /// The record, and what has no name.
    Record(Box<(Json, Vec<String>)>),
}

impl Fields {
    /// A line of text; what is in `buffer` is forgotten.
    pub fn line(mut buffer: String) -> Fields {
        buffer.clear();
        Fields { form: Form::Line(buffer), joint: "" }
    }

    /// A record.
    pub fn record(record: Json) -> Fields {
        Fields { form: Form::Record(Box::new((record, Vec::new()))), joint: "" }
    }

    /// Adds a value; without a name it is part of the message. In text a call stack takes lines of its own.
    pub fn value(&mut self, name: &str, value: Value<'_>, ty: Type, symbols: &dyn Symbols) {
        let joint = std::mem::replace(&mut self.joint, " ");
        match &mut self.form {
            Form::Line(line) => {
                begin_word(line, joint, name, if ty == Type::Stack { ':' } else { '=' });
                if let (Value::Text(stack), Type::Stack) = (value, ty) {
                    stack::frames(stack.bytes, symbols).for_each(|frame| put(line, format_args!("\n    {frame}")));
                    self.joint = "\n";
                    return;
                }
                format::show(line, value, ty, symbols);
            }
            Form::Record(form) if name.is_empty() => {
                let mut shown = String::new();
                format::show(&mut shown, value, ty, symbols);
                form.1.push(shown);
            }
            Form::Record(form) => form.0.push(name, &json_value(value, ty, symbols)),
        }
    }

    /// Adds a value that already is text and JSON.
    pub fn scalar(&mut self, name: &str, text: &str, json: &str) {
        let joint = std::mem::replace(&mut self.joint, " ");
        match &mut self.form {
            Form::Line(line) => {
                begin_word(line, joint, name, '=');
                line.push_str(text);
            }
            Form::Record(form) => form.0.push(name, json),
        }
    }
}

fn begin_word(line: &mut String, joint: &str, name: &str, sign: char) {
    line.push_str(joint);
    if !name.is_empty() {
        line.push_str(name);
        line.push(sign);
    }
}

/// A JSON object under construction. Later fields with a name that is taken get a number: `x0`, `x0_2`.
#[derive(Debug)]
pub struct Json {
    text: String,
    names: Vec<String>,
}

impl Json {
    /// Starts a record of this type.
    pub fn new(kind: &str) -> Json {
        Json { text: String::new(), names: Vec::new() }.str("type", kind)
    }

    /// Starts an object that is part of a record.
    pub fn part() -> Json {
        Json { text: String::new(), names: Vec::new() }
    }

    /// Adds a text.
    pub fn str(self, name: &str, value: &str) -> Json {
        let value = quoted(value);
        self.raw(name, &value)
    }

    /// Adds an integer.
    pub fn int(self, name: &str, value: u64) -> Json {
        self.raw(name, &value.to_string())
    }

    /// Adds text that already is JSON.
    pub fn raw(mut self, name: &str, value: &str) -> Json {
        self.push(name, value);
        self
    }

    fn push(&mut self, name: &str, value: &str) {
        let mut unique = name.to_string();
        let mut n = 1;
        while self.names.contains(&unique) {
            n += 1;
            unique = format!("{name}_{n}");
        }
        let comma = if self.names.is_empty() { "" } else { "," };
        put(&mut self.text, format_args!("{comma}{}:{value}", quoted(&unique)));
        self.names.push(unique);
    }

    /// Returns the object.
    pub fn finish(self) -> String {
        format!("{{{}}}", self.text)
    }
}

/// Returns a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// Returns a value as JSON: integers, pointers and finite floats as numbers, code addresses as text prints them.
pub fn json_value(value: Value<'_>, ty: Type, symbols: &dyn Symbols) -> String {
    match (value, ty) {
        (Value::Word(bits), Type::Bool) => (bits != 0).to_string(),
        (Value::Word(bits), Type::Int { signed: true, .. }) => (bits as i64).to_string(),
        (Value::Word(bits), Type::Int { signed: false, .. } | Type::Word) => bits.to_string(),
        (Value::Word(bits), Type::F64) if f64::from_bits(bits).is_finite() => format!("{:?}", f64::from_bits(bits)),
        (Value::Word(bits), Type::F32) if f32::from_bits(bits as u32).is_finite() => {
            format!("{:?}", f32::from_bits(bits as u32))
        }
        (Value::Text(text), Type::Stack) => {
            let frames: Vec<String> = stack::frames(text.bytes, symbols).map(|frame| quoted(&frame)).collect();
            format!("[{}]", frames.join(","))
        }
        _ => {
            let mut text = String::new();
            format::show(&mut text, value, ty, symbols);
            quoted(&text)
        }
    }
}

/// The heading of a global: `@mix[insn.mnemonic]`, or the source text of an aggregation without a name.
fn heading(def: &State, name: &str) -> String {
    match name {
        "" if def.unnamed || def.keys.is_empty() => def.name.clone(),
        // `@m[1]` would look like the heading of one entry.
        "" if def.key_names.iter().any(|name| name.starts_with(|c: char| c.is_ascii_digit() || c == '"')) => {
            def.name.clone()
        }
        "" => format!("{}[{}]", def.name, def.key_names.join(", ")),
        name if name == def.name && !def.unnamed && !def.keys.is_empty() => heading(def, ""),
        name => name.to_string(),
    }
}

/// Prints a whole global. `name` is what the `print` calls it; an empty one stands for its own name.
pub fn print_state(
    output: &mut Output,
    states: &States,
    id: StateId,
    name: &str,
    top: Option<u64>,
    symbols: &dyn Symbols,
) {
    let def = states.def(id);
    let mut rows = states.rows(id);
    let cut = top.and_then(|top| usize::try_from(top).ok()).unwrap_or(usize::MAX);
    let hidden = rows.len().saturating_sub(cut);
    rows.truncate(cut);
    if output.style.json {
        output.record(state_record(def, name, &rows, hidden, symbols));
        return;
    }
    let head = heading(def, name);
    if def.keys.is_empty() {
        scalar(output, def, &head, rows.first(), symbols);
        return;
    }
    if rows.is_empty() {
        output.line(&format!("{head}: empty"));
        return;
    }
    output.line(&format!("{head}:"));
    if is_histogram(def) {
        histograms(output, def, &rows, symbols);
    } else {
        table(output, def, &rows, symbols);
    }
    if hidden > 0 {
        let more = if hidden == 1 { "row" } else { "rows" };
        output.line(&format!("  {} {} more {more}", output.glyph("…", "..."), format::grouped(hidden as u64)));
    }
}

/// Returns a global that fits into a line, as text and as JSON; `None` for maps and histograms.
pub fn inline_scalar(states: &States, id: StateId, symbols: &dyn Symbols) -> Option<(String, String)> {
    let def = states.def(id);
    if !def.keys.is_empty() || is_histogram(def) {
        return None;
    }
    Some(match states.rows(id).first() {
        Some(row) => {
            let text = named(&entry_columns(&row.entry, &def.kind, symbols));
            let json = row_json(def, row, symbols);
            // A plain value is the value; statistics are an object.
            match (&row.entry, &def.kind) {
                (Entry::Stats(_), StateKind::Aggregate(AggFn::Stats(_))) => (text, json),
                (Entry::Value(value), StateKind::Value { ty, .. } | StateKind::Aggregate(AggFn::Last(ty))) => {
                    (text, json_value(stored(value), *ty, symbols))
                }
                _ => (text.clone(), text),
            }
        }
        None => ("none".to_string(), "null".to_string()),
    })
}

fn scalar(output: &mut Output, def: &State, head: &str, row: Option<&Row>, symbols: &dyn Symbols) {
    match row.map(|row| &row.entry) {
        Some(Entry::Hist(_)) => {
            output.line(&format!("{head}:"));
            histograms(output, def, row.map(std::slice::from_ref).unwrap_or_default(), symbols);
        }
        Some(entry) => {
            let value = entry_columns(entry, &def.kind, symbols);
            output.line(&format!("{head}: {}", named(&value)));
        }
        None => output.line(&format!("{head}: no values")),
    }
}

fn is_histogram(def: &State) -> bool {
    matches!(def.kind, StateKind::Aggregate(AggFn::Hist | AggFn::LinearHist { .. }))
}

/// Shows a call stack, a frame a line.
pub fn frames(output: &mut Output, stack: &[u8], symbols: &dyn Symbols) {
    stack::frames(stack, symbols).for_each(|frame| output.line(&format!("    {frame}")));
}

/// One row per key: the numbers first, right-aligned, then the keys in columns, and below them those that are stacks.
fn table(output: &mut Output, def: &State, rows: &[Row], symbols: &dyn Symbols) {
    let values: Vec<Vec<(&str, String)>> =
        rows.iter().map(|row| entry_columns(&row.entry, &def.kind, symbols)).collect();
    let in_columns = |ty: &Type| *ty != Type::Stack;
    let keys: Vec<Vec<String>> = rows.iter().map(|row| key_columns(def, &row.key, symbols, in_columns)).collect();
    let textual = matches!(
        def.kind,
        StateKind::Value { ty, .. } | StateKind::Aggregate(AggFn::Last(ty)) if ty.is_text()
    );
    let width = |n: usize| values.iter().map(|row| width_of(&row[n].1)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..values[0].len()).map(width).collect();
    let key_width = |n: usize| keys.iter().map(|row| width_of(&row[n])).max().unwrap_or(0);
    let columns = def.keys.iter().filter(|ty| in_columns(ty)).count();
    let key_widths: Vec<usize> = (0..columns).map(key_width).collect();
    for ((value, key), row) in values.iter().zip(&keys).zip(rows) {
        let mut line = String::new();
        for ((name, text), width) in value.iter().zip(&widths) {
            let fill = " ".repeat(width - width_of(text));
            let name = if name.is_empty() { String::new() } else { format!("{name} ") };
            match textual {
                true => put(&mut line, format_args!("  {name}{text}{fill}")),
                false => put(&mut line, format_args!("  {name}{fill}{text}")),
            }
        }
        for (text, width) in key.iter().zip(&key_widths) {
            put(&mut line, format_args!("  {text}{}", " ".repeat(width - width_of(text))));
        }
        output.line(line.trim_end());
        for (part, ty) in row.key.iter().zip(&def.keys) {
            if let (KeyPart::Text(stack), Type::Stack) = (part, ty) {
                frames(output, stack, symbols);
            }
        }
    }
}

fn histograms(output: &mut Output, def: &State, rows: &[Row], symbols: &dyn Symbols) {
    for row in rows {
        if !row.key.is_empty() {
            output.line(&format!("  {}", key_columns(def, &row.key, symbols, |_| true).join(", ")));
        }
        if let Entry::Hist(buckets) = &row.entry {
            histogram(output, def, &buckets.counts);
        }
    }
}

/// Width of the bars in characters.
const BAR: u128 = 40;

fn histogram(output: &mut Output, def: &State, counts: &[u64]) {
    let Some(first) = counts.iter().position(|n| *n > 0) else { return };
    let last = counts.iter().rposition(|n| *n > 0).unwrap_or(first);
    let shown = &counts[first..=last];
    let names: Vec<String> = (first..=last).map(|bucket| interval(bounds(def, bucket))).collect();
    let most = u128::from(shown.iter().copied().max().unwrap_or(1));
    let name_width = names.iter().map(String::len).max().unwrap_or(0);
    let count_width = most.to_string().len();
    for (name, count) in names.iter().zip(shown) {
        // A bucket that is not empty shows: its bar has at least one character.
        let bar = (u128::from(*count) * BAR).div_ceil(most) as usize;
        output.line(&format!("  {name:<name_width$}  {count:>count_width$} |{:<1$}|", "@".repeat(bar), BAR as usize));
    }
}

fn bounds(def: &State, bucket: usize) -> (Option<i64>, Option<i64>) {
    match def.kind {
        StateKind::Aggregate(AggFn::LinearHist { from, to, step }) => state::linear_bounds(bucket, from, to, step),
        _ => state::bucket_bounds(bucket),
    }
}

/// `[4, 8)`, `[0]` for a single number, `(..., 0)` without a bound; large powers of two as 4K, 1M.
fn interval(bounds: (Option<i64>, Option<i64>)) -> String {
    match bounds {
        (Some(from), Some(to)) if to == from + 1 => format!("[{}]", short(from)),
        (Some(from), Some(to)) => format!("[{}, {})", short(from), short(to)),
        (None, Some(to)) => format!("(..., {})", short(to)),
        (Some(from), None) => format!("[{}, ...)", short(from)),
        (None, None) => "all".to_string(),
    }
}

fn short(number: i64) -> String {
    for (shift, unit) in [(60, 'E'), (50, 'P'), (40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')] {
        if number != 0 && number % (1 << shift) == 0 {
            return format!("{}{unit}", number >> shift);
        }
    }
    number.to_string()
}

fn width_of(text: &str) -> usize {
    text.chars().count()
}

/// The numbers of an entry; those that do not speak for themselves have a name.
fn entry_columns(entry: &Entry, kind: &StateKind, symbols: &dyn Symbols) -> Vec<(&'static str, String)> {
    let signed_int = |n: u64, signed: bool| if signed { (n as i64).to_string() } else { n.to_string() };
    let plain = |text: String| vec![("", text)];
    match (entry, kind) {
        (Entry::Value(value), StateKind::Value { ty, .. } | StateKind::Aggregate(AggFn::Last(ty))) => {
            let mut text = String::new();
            format::show(&mut text, stored(value), *ty, symbols);
            plain(text.replace('\n', "\\n"))
        }
        (Entry::Stats(stats), StateKind::Aggregate(AggFn::Avg(signed))) => plain(signed_int(stats.mean(), *signed)),
        (Entry::Stats(stats), StateKind::Aggregate(AggFn::Stats(signed))) => vec![
            ("count", stats.count.to_string()),
            ("sum", stats.sum.to_string()),
            ("avg", signed_int(stats.mean(), *signed)),
            ("min", signed_int(stats.min, *signed)),
            ("max", signed_int(stats.max, *signed)),
        ],
        (
            Entry::Sum(n) | Entry::Extreme(n),
            StateKind::Aggregate(AggFn::Sum(signed) | AggFn::Min(signed) | AggFn::Max(signed)),
        ) => plain(signed_int(*n, *signed)),
        (Entry::Count(n) | Entry::Sum(n) | Entry::Extreme(n), _) => plain(n.to_string()),
        (
            Entry::Value(_) | Entry::Stats(_) | Entry::Hist(_) | Entry::Cell(_) | Entry::Changed(_) | Entry::Row(_),
            _,
        ) => plain(String::new()),
    }
}

fn named(columns: &[(&str, String)]) -> String {
    let column = |(name, text): &(&str, String)| if name.is_empty() { text.clone() } else { format!("{name} {text}") };
    columns.iter().map(column).collect::<Vec<_>>().join("  ")
}

/// Returns a stored value for formatting; text is made printable.
pub fn stored(value: &Stored) -> Value<'_> {
    match value {
        Stored::Int(n) => Value::Word(*n),
        Stored::Wide(n) => Value::Wide(*n),
        Stored::Text(bytes) => Value::Text(TextRef { bytes, raw: true }),
    }
}

fn key_value(part: &KeyPart) -> Value<'_> {
    match part {
        KeyPart::Int(n) => Value::Word(*n),
        KeyPart::Wide(n) => Value::Wide(*n),
        KeyPart::Text(bytes) => Value::Text(TextRef { bytes, raw: true }),
    }
}

fn key_columns(def: &State, key: &[KeyPart], symbols: &dyn Symbols, is_shown: impl Fn(&Type) -> bool) -> Vec<String> {
    let column = |(part, ty): (&KeyPart, &Type)| {
        let mut text = String::new();
        format::show(&mut text, key_value(part), *ty, symbols);
        text.replace('\n', "\\n")
    };
    key.iter().zip(&def.keys).filter(|(_, ty)| is_shown(ty)).map(column).collect()
}

/// Record `map` or `hist`: `{"type":"map","name":"@m","keys":["func"],"rows":[{"key":["main"],"value":3}]}`.
fn state_record(def: &State, name: &str, rows: &[Row], hidden: usize, symbols: &dyn Symbols) -> Json {
    let name = if name.is_empty() { &def.name } else { name };
    let key_names: Vec<String> = def.key_names.iter().map(|name| quoted(name)).collect();
    let rows: Vec<String> = rows.iter().map(|row| row_json(def, row, symbols)).collect();
    let record = Json::new(if is_histogram(def) { "hist" } else { "map" }).str("name", name);
    let record = record.raw("keys", &format!("[{}]", key_names.join(",")));
    let record = record.raw("rows", &format!("[{}]", rows.join(",")));
    if hidden > 0 { record.int("more", hidden as u64) } else { record }
}

fn row_json(def: &State, row: &Row, symbols: &dyn Symbols) -> String {
    let part = |(part, ty): (&KeyPart, &Type)| json_value(key_value(part), *ty, symbols);
    let key: Vec<String> = row.key.iter().zip(&def.keys).map(part).collect();
    let json = Json::part().raw("key", &format!("[{}]", key.join(",")));
    match (&row.entry, &def.kind) {
        (Entry::Hist(buckets), _) => json.raw("buckets", &buckets_json(def, &buckets.counts)),
        (Entry::Value(value), StateKind::Value { ty, .. } | StateKind::Aggregate(AggFn::Last(ty))) => {
            json.raw("value", &json_value(stored(value), *ty, symbols))
        }
        (entry, kind) => {
            let columns = entry_columns(entry, kind, symbols);
            let name = |name: &'static str| if name.is_empty() { "value" } else { name };
            columns.iter().fold(json, |json, (column, text)| json.raw(name(column), text))
        }
    }
    .finish()
}

fn buckets_json(def: &State, counts: &[u64]) -> String {
    let bound = |bound: Option<i64>| bound.map_or("null".to_string(), |n| n.to_string());
    let bucket = |(n, count): (usize, &u64)| {
        let (from, to) = bounds(def, n);
        let part = Json::part().raw("from", &bound(from)).raw("to", &bound(to));
        part.int("count", *count).finish()
    };
    let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    format!("[{}]", filled.map(bucket).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A sink whose content can be looked at, and that can be told to fail.
    #[derive(Clone, Default)]
    pub(crate) struct Capture {
        bytes: Arc<Mutex<Vec<u8>>>,
        fail: Option<std::io::ErrorKind>,
    }

    impl Capture {
        pub(crate) fn failing(kind: std::io::ErrorKind) -> Capture {
            Capture { fail: Some(kind), ..Capture::default() }
        }

        pub(crate) fn output(&self, style: Style) -> Output {
            Output::new(Box::new(self.clone()), "out.txt", style)
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Capture {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if let Some(kind) = self.fail {
                return Err(kind.into());
            }
            self.bytes.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Capture;
    use super::*;
    use crate::cells::Cells;
    use crate::probe::attach::testing::TestSymbols;
    use spile_lang::span::Span;

    fn check(kind: StateKind, keys: &[(&str, Type)], fill: impl Fn(&mut States), text: &str, json: &str) {
        let def = State {
            name: "@m".to_string(),
            unnamed: false,
            kind,
            keys: keys.iter().map(|(_, ty)| *ty).collect(),
            key_names: keys.iter().map(|(name, _)| name.to_string()).collect(),
            capacity: 100,
            span: Span::default(),
        };
        let mut states = States::new(&[def], Cells::new());
        fill(&mut states);
        let printed = |style| {
            let capture = Capture::default();
            print_state(&mut capture.output(style), &states, StateId(0), "", Some(3), &TestSymbols::sample());
            capture.text()
        };
        assert_eq!(printed(Style::default()), text);
        assert_eq!(printed(Style { json: true, ascii: false }).trim_end(), json);
    }

    const M: StateId = StateId(0);

    #[test]
    fn a_map_is_a_table() {
        check(
            StateKind::Aggregate(AggFn::Count),
            &[("pc", Type::CodeAddr), ("insn.mnemonic", Type::Str)],
            |states| {
                for (pc, mnemonic, times) in [(0x1014, "mov", 2), (0x1000, "add", 12), (0x10, "ret\n", 2), (9, "b", 1)]
                {
                    for _ in 0..times {
                        states.aggregate(M, &[KeyPart::Int(pc), mnemonic.into()], Stored::Int(0)).unwrap();
                    }
                }
            },
            "@m[pc, insn.mnemonic]:\n  12  main       add\n   2  0x10       ret\\n\n   2  main+0x14  mov\n  … 1 more row\n",
            concat!(
                r#"{"type":"map","name":"@m","keys":["pc","insn.mnemonic"],"rows":[{"key":["main","add"],"value":12},"#,
                r#"{"key":["0x10","ret\n"],"value":2},{"key":["main+0x14","mov"],"value":2}],"more":1}"#
            ),
        );
    }

    #[test]
    fn stats_name_their_columns() {
        check(
            StateKind::Aggregate(AggFn::Stats(true)),
            &[("tid", Type::U64)],
            |states| {
                for (key, value) in [(1u64, -5i64), (1, 10), (2, 100)] {
                    states.aggregate(M, &[KeyPart::Int(key)], Stored::Int(value as u64)).unwrap();
                }
            },
            "@m[tid]:\n  count 2  sum   5  avg   2  min  -5  max  10  1\n  count 1  sum 100  avg 100  min 100  max 100  2\n",
            concat!(
                r#"{"type":"map","name":"@m","keys":["tid"],"rows":["#,
                r#"{"key":[1],"count":2,"sum":5,"avg":2,"min":-5,"max":10},"#,
                r#"{"key":[2],"count":1,"sum":100,"avg":100,"min":100,"max":100}]}"#
            ),
        );
    }

    #[test]
    fn a_histogram_has_bars() {
        check(
            StateKind::Aggregate(AggFn::Hist),
            &[],
            |states| {
                for value in [-1i64, 0, 5, 6, 7, 4, 1500] {
                    states.aggregate(M, &[], Stored::Int(value as u64)).unwrap();
                }
            },
            "@m:\n  \
             (..., 0)    1 |@@@@@@@@@@                              |\n  \
             [0]         1 |@@@@@@@@@@                              |\n  \
             [1]         0 |                                        |\n  \
             [2, 4)      0 |                                        |\n  \
             [4, 8)      4 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n  \
             [8, 16)     0 |                                        |\n  \
             [16, 32)    0 |                                        |\n  \
             [32, 64)    0 |                                        |\n  \
             [64, 128)   0 |                                        |\n  \
             [128, 256)  0 |                                        |\n  \
             [256, 512)  0 |                                        |\n  \
             [512, 1K)   0 |                                        |\n  \
             [1K, 2K)    1 |@@@@@@@@@@                              |\n",
            concat!(
                r#"{"type":"hist","name":"@m","keys":[],"rows":[{"key":[],"buckets":["#,
                r#"{"from":null,"to":0,"count":1},{"from":0,"to":1,"count":1},{"from":4,"to":8,"count":4},"#,
                r#"{"from":1024,"to":2048,"count":1}]}]}"#
            ),
        );
    }

    #[test]
    fn a_linear_histogram_by_key() {
        check(
            StateKind::Aggregate(AggFn::LinearHist { from: 0, to: 20, step: 10 }),
            &[("func", Type::Str)],
            |states| {
                for value in [-1i64, 5, 25] {
                    states.aggregate(M, &["f".into()], Stored::Int(value as u64)).unwrap();
                }
            },
            "@m[func]:\n  f\n  \
             (..., 0)   1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n  \
             [0, 10)    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n  \
             [10, 20)   0 |                                        |\n  \
             [20, ...)  1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n",
            concat!(
                r#"{"type":"hist","name":"@m","keys":["func"],"rows":[{"key":["f"],"buckets":["#,
                r#"{"from":null,"to":0,"count":1},{"from":0,"to":10,"count":1},{"from":20,"to":null,"count":1}]}]}"#
            ),
        );
    }

    #[test]
    fn scalars_and_empty_tables_say_so() {
        let nothing = |_: &mut States| {};
        check(
            StateKind::Aggregate(AggFn::Count),
            &[],
            nothing,
            "@m: 0\n",
            r#"{"type":"map","name":"@m","keys":[],"rows":[{"key":[],"value":0}]}"#,
        );
        check(
            StateKind::Aggregate(AggFn::Min(false)),
            &[],
            nothing,
            "@m: no values\n",
            r#"{"type":"map","name":"@m","keys":[],"rows":[]}"#,
        );
        check(
            StateKind::Value { ty: Type::U64, initial: 0 },
            &[("a", Type::U64)],
            nothing,
            "@m[a]: empty\n",
            r#"{"type":"map","name":"@m","keys":["a"],"rows":[]}"#,
        );
        check(
            StateKind::Value { ty: Type::Word, initial: 16 },
            &[],
            nothing,
            "@m: 0x10\n",
            r#"{"type":"map","name":"@m","keys":[],"rows":[{"key":[],"value":16}]}"#,
        );
    }

    #[test]
    fn json_escapes_and_keeps_names_apart() {
        let json = Json::new("print").str("a\"b", "tab\there \u{1} ß").int("type", 1).int("x0", 2).int("x0", 3);
        let text = json.finish();
        assert_eq!(text, r#"{"type":"print","a\"b":"tab\there \u0001 ß","type_2":1,"x0":2,"x0_2":3}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let value = |bits: f64| json_value(Value::Word(bits.to_bits()), Type::F64, &TestSymbols::sample());
        assert_eq!([1.5, f64::NAN, f64::INFINITY].map(value), ["1.5", "\"NaN\"", "\"inf\""]);
    }

    #[test]
    fn a_sink_that_fails_is_reported_once() {
        for (kind, expected) in [
            (std::io::ErrorKind::BrokenPipe, "cannot write probe output to out.txt: the reader has closed the pipe"),
            (std::io::ErrorKind::StorageFull, "cannot write probe output to out.txt: no storage space"),
        ] {
            let mut output = Capture::failing(kind).output(Style::default());
            output.line("x");
            assert_eq!(output.failure(), None, "nothing has been written yet");
            output.flush();
            output.line("y");
            output.flush();
            assert_eq!(output.failure(), Some(expected));
        }
    }
}
