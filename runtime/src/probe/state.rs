//! The globals of scripts: scalars, maps and aggregations, and the cells that generated code counts in.
//!
//! A scalar integer, and a `count`, a `hist` or an integer of a map whose keys are known when a block is translated, live
//! in *cells*: generated code adds to them without a call. A cell belongs to its key for the whole run, so everything that comes through here
//! (reads, printing, `reset`, counts with the same key from other sites) sees and changes the same number.
//!
//! Maps with one integer as key that is known only at run time have cells too, once a key is met again: generated code
//! finds them in an index ([`crate::keys`]). Such a cell belongs to its key as long as that is in the map.
//!
//! A table that has as many keys as its capacity takes no new ones; the runtime reports that with the number of
//! refused updates. Keys that exist go on being updated.

use crate::cells::Cells;
use hashbrown::{HashMap, HashSet};
use spile_lang::ir::{AggFn, AssignOp, State, StateId, StateKind};
use spile_lang::types::Type;
use std::cmp::Ordering as Order;
use std::ops::Range;
use std::sync::Arc;

/// One component of a key. Its type is in [`State::keys`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// Integers and code addresses; floats by their bits.
    Int(u64),
    /// 128-bit values.
    Wide(u128),
    /// Text and bytes.
    Text(Box<[u8]>),
}

impl From<u64> for KeyPart {
    fn from(value: u64) -> KeyPart {
        KeyPart::Int(value)
    }
}

impl From<&str> for KeyPart {
    fn from(value: &str) -> KeyPart {
        KeyPart::Text(value.as_bytes().into())
    }
}

impl KeyPart {
    /// Orders keys as people expect: numbers by value, text by its bytes.
    fn compare(&self, other: &KeyPart, ty: Type) -> Order {
        match (self, other) {
            (KeyPart::Int(a), KeyPart::Int(b)) if ty.is_signed() => (*a as i64).cmp(&(*b as i64)),
            (KeyPart::Int(a), KeyPart::Int(b)) if ty == Type::F64 => f64::from_bits(*a).total_cmp(&f64::from_bits(*b)),
            (KeyPart::Int(a), KeyPart::Int(b)) => a.cmp(b),
            (KeyPart::Wide(a), KeyPart::Wide(b)) => a.cmp(b),
            (KeyPart::Text(a), KeyPart::Text(b)) => a.cmp(b),
            _ => Order::Equal,
        }
    }
}

/// A value that is stored, or to be stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Integers; floats by their bits.
    Int(u64),
    /// 128-bit values.
    Wide(u128),
    /// Text and bytes.
    Text(Box<[u8]>),
}

/// The table has as many keys as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What stands behind a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A plain value, or the latest of `last`.
    Value(Stored),
    /// `count`.
    Count(u64),
    /// `sum`.
    Sum(u64),
    /// `avg` and `stats`.
    Stats(Stats),
    /// `min` and `max`.
    Extreme(u64),
    /// `hist`.
    Hist(Box<Buckets>),
    /// The number is in a cell: `count`, `sum` and scalar integers.
    Cell(u32),
    /// An integer of a map, a `sum`, a `min` or a `max` in a cell; the next cell holds how often it has been changed, and
    /// while that is 0 it is not there.
    Changed(u32),
    /// The counters of a `hist` are cells, from this one on.
    Row(u32),
}

/// What `avg` and `stats` keep. Sums of 64-bit numbers fit as long as there are fewer than 2⁶³ of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Number of values.
    pub count: u64,
    /// Their sum.
    pub sum: i128,
    /// The smallest, as 64-bit pattern.
    pub min: u64,
    /// The largest, as 64-bit pattern.
    pub max: u64,
}

impl Stats {
    /// Returns the mean, rounded towards zero, as 64-bit pattern.
    pub fn mean(&self) -> u64 {
        (self.sum / i128::from(self.count.max(1))) as u64
    }
}

/// The counters of a histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Counts by [`bucket_of`] or [`linear_bucket_of`].
    pub counts: Vec<u64>,
}

/// Buckets of a histogram by powers of two: negative, 0, 1, [2, 4), …, [2⁶², 2⁶³).
pub const HIST_BUCKETS: usize = 65;
/// Most buckets of a linear histogram; the last one then takes the rest.
pub const MAX_LINEAR_BUCKETS: u64 = 10_000;

/// Returns the bucket of a value, which counts as signed.
pub fn bucket_of(value: u64) -> usize {
    match value as i64 {
        i64::MIN..=-1 => 0,
        0 => 1,
        positive => 2 + positive.ilog2() as usize,
    }
}

/// Returns the half-open bounds of a bucket; `None` is no bound.
pub fn bucket_bounds(bucket: usize) -> (Option<i64>, Option<i64>) {
    match bucket {
        0 => (None, Some(0)),
        1 => (Some(0), Some(1)),
        n => (Some(1 << (n - 2)), 1i64.checked_shl(n as u32 - 1).filter(|end| *end > 0)),
    }
}

/// Returns how many inner buckets a linear histogram has.
pub fn linear_buckets(from: i64, to: i64, step: u64) -> u64 {
    to.saturating_sub(from).max(0).unsigned_abs().div_ceil(step.max(1)).clamp(1, MAX_LINEAR_BUCKETS)
}

/// Returns the bucket of a value: 0 is below `from`, the last one `to` and above.
pub fn linear_bucket_of(value: u64, from: i64, to: i64, step: u64) -> usize {
    let (value, buckets) = (value as i64, linear_buckets(from, to, step));
    if value < from {
        0
    } else if value >= to {
        buckets as usize + 1
    } else {
        1 + (value.abs_diff(from) / step.max(1)).min(buckets - 1) as usize
    }
}

/// Returns the half-open bounds of a linear bucket; `None` is no bound.
pub fn linear_bounds(bucket: usize, from: i64, to: i64, step: u64) -> (Option<i64>, Option<i64>) {
    let buckets = linear_buckets(from, to, step) as usize;
    let edge = |n: usize| from.saturating_add_unsigned(step.saturating_mul(n as u64)).min(to);
    match bucket {
        0 => (None, Some(from)),
        n if n > buckets => (Some(to), None),
        n if n == buckets => (Some(edge(n - 1)), Some(to)),
        n => (Some(edge(n - 1)), Some(edge(n))),
    }
}

/// A row of a table, for printing.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The key; empty for a scalar.
    pub key: Box<[KeyPart]>,
    /// The value; never in cells.
    pub entry: Entry,
}

type Map = HashMap<Box<[KeyPart]>, Entry, foldhash::fast::RandomState>;

#[derive(Debug)]
struct Table {
    def: State,
    entries: Map,
    /// What generated code finds cells by.
    found: Option<Found>,
    /// The table has been found full; until keys are deleted it need not be counted again.
    full: bool,
    printed: bool,
}

/// The index of a map, and whose its cells are.
#[derive(Debug)]
struct Found {
    /// Its number.
    index: u32,
    /// The first cells of entries that belong to their key for the whole run, since generated code names them.
    named: HashSet<u32>,
    /// Rows of cells that are free.
    spare: Vec<u32>,
    /// Rows that belonged to keys which have been removed while other threads might have been counting in them: they are
    /// these keys' if they come back.
    parked: HashMap<u64, u32>,
}

/// All globals of a run.
#[derive(Debug)]
pub struct States {
    tables: Vec<Table>,
    cells: Arc<Cells>,
}

impl Entry {
    /// Its value, or the integer meaning of an aggregation; never of what is in cells.
    pub(super) fn meaning(&self) -> Stored {
        match self {
            Entry::Value(value) => value.clone(),
            Entry::Count(n) | Entry::Sum(n) | Entry::Extreme(n) => Stored::Int(*n),
            Entry::Stats(stats) => Stored::Int(stats.mean()),
            Entry::Hist(_) | Entry::Cell(_) | Entry::Changed(_) | Entry::Row(_) => Stored::Int(0),
        }
    }

    /// The cells that it has.
    fn cells(&self) -> Range<u32> {
        match *self {
            Entry::Cell(cell) => cell..cell + 1,
            Entry::Changed(cell) => cell..cell + 2,
            Entry::Row(cell) => cell..cell + HIST_BUCKETS as u32,
            _ => 0..0,
        }
    }

    /// Gives what is in cells its start value.
    fn restart(&self, initial: u64, cells: &Cells) {
        self.cells().for_each(|cell| cells.set(cell, 0));
        if let Entry::Cell(cell) | Entry::Changed(cell) = *self {
            cells.set(cell, initial);
        }
    }
}

impl States {
    /// Creates the globals of a program with their initial values.
    pub fn new(states: &[State], cells: Arc<Cells>) -> States {
        let mut all = States { tables: Vec::new(), cells };
        all.extend(states);
        all
    }

    /// Adds the globals that `states` has more.
    pub(super) fn extend(&mut self, states: &[State]) {
        for def in &states[self.tables.len()..] {
            let mut table =
                Table { def: def.clone(), entries: Map::default(), found: None, full: false, printed: false };
            table.create_scalar(&self.cells);
            self.tables.push(table);
        }
    }

    /// Empties a global that nobody changes any more and returns its cells. Nothing is printed of it.
    pub(super) fn discard(&mut self, id: StateId) -> Vec<u32> {
        let table = &mut self.tables[id.0 as usize];
        table.printed = true;
        let entries = std::mem::take(&mut table.entries);
        let mut all: Vec<u32> = entries.into_values().flat_map(|entry| entry.cells()).collect();
        if let Some(found) = table.found.take() {
            self.cells.free_index(found.index);
            let len = table.row_len().unwrap_or(0);
            all.extend(found.spare.into_iter().chain(found.parked.into_values()).flat_map(|cell| cell..cell + len));
        }
        all
    }

    /// Forgets the globals from number `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        let gone = self.tables.drain(len..).filter_map(|table| table.found);
        gone.for_each(|found| self.cells.free_index(found.index));
    }

    /// Returns the definitions with their numbers.
    pub fn ids(&self) -> impl Iterator<Item = StateId> + use<> {
        (0..self.tables.len() as u32).map(StateId)
    }

    /// Returns how a global is declared.
    pub fn def(&self, id: StateId) -> &State {
        &self.tables[id.0 as usize].def
    }

    /// Returns the cell of a scalar integer, of a scalar `count` and of a scalar `sum`. Others have none.
    pub fn scalar_cell(&self, id: StateId) -> Option<u32> {
        match self.tables[id.0 as usize].entries.get(&[][..]) {
            Some(Entry::Cell(cell)) => Some(*cell),
            _ => None,
        }
    }

    /// Returns the first cell of a `count`, a `hist` or an integer of 64 bits with these keys, for translated code that
    /// counts there. `None` means that it must go through [`States::aggregate`] or [`States::set`].
    pub fn cell_for(&mut self, id: StateId, key: &[KeyPart]) -> Option<u32> {
        let States { tables, cells } = self;
        let table = &mut tables[id.0 as usize];
        if !matches!(table.def.kind, StateKind::Aggregate(AggFn::Count | AggFn::Hist) | StateKind::Value { .. }) {
            return None;
        }
        let is_new = !table.entries.contains_key(key);
        if table.row_len().is_none() || is_new && table.is_full(cells) {
            return None;
        }
        let cell = table.put_in_cells(key, cells, |cells, len| cells.allocate_row(len))?;
        if let Some(found) = &mut table.found {
            found.named.insert(cell);
        }
        Some(cell)
    }

    /// Returns the number of the index by which translated code finds the cells of this map's keys: `count`, `sum`, `min`,
    /// `max`, `hist` and integers of 64 bits under one integer. `None` means that it must go through
    /// [`States::aggregate`] or [`States::set`], as for keys that it does not find.
    pub fn index_for(&mut self, id: StateId) -> Option<u32> {
        let States { tables, cells } = self;
        let table = &mut tables[id.0 as usize];
        if let Some(found) = &table.found {
            return Some(found.index);
        }
        let [key] = table.def.keys[..] else { return None };
        // The key of each call is another one.
        if !key.is_integer() || key == Type::U128 || table.row_len().is_none() || table.def.is_per_call() {
            return None;
        }
        let named = table.entries.values().flat_map(|entry| entry.cells().next()).collect();
        let index = cells.allocate_index()?;
        table.found = Some(Found { index, named, spare: Vec::new(), parked: HashMap::new() });
        Some(index)
    }

    /// Returns a value, or the integer meaning of an aggregation; `None` if the key is missing.
    pub fn get(&self, id: StateId, key: &[KeyPart]) -> Option<Stored> {
        let table = &self.tables[id.0 as usize];
        Some(match table.entries.get(key)? {
            Entry::Cell(cell) | Entry::Changed(cell) => Stored::Int(self.cells.get(*cell)),
            entry => entry.meaning(),
        })
    }

    /// True if a key is present. What has cells is present once it has been counted or changed.
    pub fn has(&self, id: StateId, key: &[KeyPart]) -> bool {
        let table = &self.tables[id.0 as usize];
        table.entries.get(key).is_some_and(|entry| table.is_live(entry, &self.cells))
    }

    /// Assigns a value.
    ///
    /// # Errors
    /// [`Full`] if the key is new and there is no room for it.
    pub fn set(&mut self, id: StateId, key: &[KeyPart], op: AssignOp, value: Stored) -> Result<(), Full> {
        let States { tables, cells } = self;
        let table = &mut tables[id.0 as usize];
        let StateKind::Value { ty, initial } = table.def.kind else { return Ok(()) };
        if let Some(entry) = table.entries.get_mut(key) {
            match entry {
                Entry::Cell(cell) | Entry::Changed(cell) => {
                    let Stored::Int(new) = assign(op, ty, Stored::Int(cells.get(*cell)), value) else { return Ok(()) };
                    cells.set(*cell, new);
                    if let Entry::Changed(cell) = entry {
                        cells.add(*cell + 1, 1);
                    }
                }
                Entry::Value(old) => *old = assign(op, ty, old.clone(), value),
                _ => {}
            }
            table.let_find(key, cells);
            return Ok(());
        }
        table.admit(cells)?;
        let old = match &value {
            Stored::Int(_) => Stored::Int(initial),
            Stored::Wide(_) => Stored::Wide(u128::from(initial)),
            Stored::Text(_) => Stored::Text(Box::default()),
        };
        table.entries.insert(key.into(), Entry::Value(assign(op, ty, old, value)));
        Ok(())
    }

    /// Adds a value to an aggregation; `count` takes none.
    ///
    /// # Errors
    /// [`Full`] if the key is new and there is no room for it.
    pub fn aggregate(&mut self, id: StateId, key: &[KeyPart], value: Stored) -> Result<(), Full> {
        let States { tables, cells } = self;
        let table = &mut tables[id.0 as usize];
        let StateKind::Aggregate(function) = table.def.kind else { return Ok(()) };
        if let Some(entry) = table.entries.get_mut(key) {
            match entry {
                Entry::Cell(cell) => {
                    cells.add(*cell, if function == AggFn::Count { 1 } else { int(&value) });
                }
                Entry::Row(cell) => drop(cells.add(*cell + bucket_of(int(&value)) as u32, 1)),
                Entry::Changed(cell) => add_in_cell(*cell, function, int(&value), cells),
                entry => add(entry, function, value),
            }
            table.let_find(key, cells);
            return Ok(());
        }
        table.admit(cells)?;
        table.entries.insert(key.into(), first(function, value));
        Ok(())
    }

    /// Removes a key. A key with a cell goes back to its start value instead.
    pub fn delete(&mut self, id: StateId, key: &[KeyPart]) {
        let States { tables, cells } = self;
        let table = &mut tables[id.0 as usize];
        table.remove(key, cells);
        table.full = false;
    }

    /// Removes all keys; scalars get their initial value.
    pub fn reset(&mut self, id: StateId) {
        let States { tables, cells } = self;
        let table = &mut tables[id.0 as usize];
        let keys: Vec<Box<[KeyPart]>> = table.entries.keys().cloned().collect();
        keys.iter().for_each(|key| table.remove(key, cells));
        table.full = false;
        table.create_scalar(cells);
    }

    /// Returns the rows to print. Counts and other numbers are sorted by value, the largest first, then by key;
    /// everything else by key.
    pub fn rows(&self, id: StateId) -> Vec<Row> {
        let table = &self.tables[id.0 as usize];
        let live = table.entries.iter().filter(|(_, entry)| table.is_live(entry, &self.cells));
        let mut rows: Vec<Row> =
            live.map(|(key, entry)| Row { key: key.clone(), entry: table.settled(entry, &self.cells) }).collect();
        let signed = table.signed();
        rows.sort_by(|a, b| {
            let by_value = rank(&b.entry, signed).cmp(&rank(&a.entry, signed));
            by_value.then_with(|| table.compare_keys(&a.key, &b.key))
        });
        rows
    }

    /// Forgets what `thread` had for itself.
    pub(super) fn end_thread(&mut self, thread: u64) {
        let States { tables, cells } = self;
        for table in tables.iter_mut().filter(|table| table.def.is_per_thread()) {
            table.remove(&[KeyPart::Int(thread)], cells);
        }
    }

    /// Forgets the values of calls that are over.
    pub(super) fn end_calls(&mut self, calls: &[u64]) {
        for table in self.tables.iter_mut().filter(|table| table.def.is_per_call()) {
            calls.iter().for_each(|&call| drop(table.entries.remove(&[KeyPart::Int(call)][..])));
            table.full = false;
        }
    }

    /// In a forked child: the values of the thread `parent` are those of `child`, and there are no others.
    pub(super) fn forked(&mut self, parent: u64, child: u64) {
        let States { tables, cells } = self;
        for table in tables.iter_mut().filter(|table| table.def.is_per_thread()) {
            let own = table.entries.get(&[KeyPart::Int(parent)][..]).filter(|entry| table.is_live(entry, cells));
            let own = own.map(|entry| table.settled(entry, cells));
            let keys: Vec<Box<[KeyPart]>> = table.entries.keys().cloned().collect();
            keys.iter().for_each(|key| table.remove(key, cells));
            table.entries.extend(own.map(|entry| ([KeyPart::Int(child)].into(), entry)));
            table.full = false;
        }
    }

    /// Remembers that the script itself has printed a global.
    pub fn mark_printed(&mut self, id: StateId) {
        self.tables[id.0 as usize].printed = true;
    }

    /// Returns what the end of the run is to print: what has content and has not been printed by the script.
    pub fn unprinted(&self) -> Vec<StateId> {
        self.ids().filter(|id| self.is_unprinted(*id)).collect()
    }

    fn is_unprinted(&self, id: StateId) -> bool {
        let table = &self.tables[id.0 as usize];
        match &table.def.kind {
            _ if table.printed || table.def.is_per_thread() || table.def.is_per_call() => false,
            StateKind::Aggregate(_) => table.def.keys.is_empty() || !self.rows(id).is_empty(),
            StateKind::Value { .. } if table.def.keys.is_empty() => {
                self.get(id, &[]).is_some_and(|value| match value {
                    Stored::Int(n) => n != table.initial(),
                    Stored::Wide(n) => n != u128::from(table.initial()),
                    Stored::Text(text) => !text.is_empty(),
                })
            }
            StateKind::Value { .. } => table.entries.values().any(|entry| table.is_live(entry, &self.cells)),
        }
    }
}

impl Found {
    /// Returns free cells for a key.
    fn take(&mut self, key: &[KeyPart]) -> Option<u32> {
        let [KeyPart::Int(number)] = key else { return None };
        self.parked.remove(number).or_else(|| self.spare.pop())
    }
}

impl Table {
    fn initial(&self) -> u64 {
        match self.def.kind {
            StateKind::Value { initial, .. } => initial,
            StateKind::Aggregate(_) => 0,
        }
    }

    /// How many cells an entry has, if it may have some.
    fn row_len(&self) -> Option<u32> {
        match self.def.kind {
            StateKind::Aggregate(AggFn::Count) => Some(1),
            StateKind::Aggregate(AggFn::Sum(_) | AggFn::Min(_) | AggFn::Max(_)) => Some(2),
            StateKind::Aggregate(AggFn::Hist) => Some(HIST_BUCKETS as u32),
            StateKind::Value { ty: Type::Int { bits: 64, .. }, .. } => Some(2),
            _ => None,
        }
    }

    /// Has what stands under a key in cells from now on, which `allocate` makes if none are free, and returns the first of
    /// them.
    fn put_in_cells(
        &mut self,
        key: &[KeyPart],
        cells: &Cells,
        allocate: impl FnOnce(&Cells, u32) -> Option<u32>,
    ) -> Option<u32> {
        let known = self.entries.get(key);
        if let Some(Entry::Cell(cell) | Entry::Changed(cell) | Entry::Row(cell)) = known {
            return Some(*cell);
        }
        let known = known.cloned();
        let len = self.row_len()?;
        let free = self.found.as_mut().and_then(|found| found.take(key));
        let cell = free.or_else(|| allocate(cells, len))?;
        let entry = match self.def.kind {
            StateKind::Aggregate(AggFn::Hist) => Entry::Row(cell),
            StateKind::Aggregate(AggFn::Count) => Entry::Cell(cell),
            StateKind::Aggregate(_) | StateKind::Value { .. } => Entry::Changed(cell),
        };
        entry.restart(self.initial(), cells);
        match known {
            Some(Entry::Count(count)) => cells.set(cell, count),
            Some(Entry::Value(Stored::Int(value)) | Entry::Sum(value) | Entry::Extreme(value)) => {
                cells.set(cell, value);
                cells.set(cell + 1, 1);
            }
            Some(Entry::Hist(buckets)) => {
                buckets.counts.iter().zip(cell..).for_each(|(&count, cell)| cells.set(cell, count));
            }
            _ => {}
        }
        self.entries.insert(key.into(), entry);
        Some(cell)
    }

    /// Generated code finds the cells of this key from now on: it has been met again.
    fn let_find(&mut self, key: &[KeyPart], cells: &Cells) {
        let (Some(found), [KeyPart::Int(number)]) = (&self.found, key) else { return };
        let index = found.index;
        if cells.keys(index).find(*number) != 0 {
            return;
        }
        let Some(cell) = self.put_in_cells(key, cells, Cells::allocate_spare_row) else { return };
        cells.keys(index).insert(*number, cell, !cells.is_parallel());
    }

    /// Removes a key. What generated code has cells of goes back to its start value instead.
    fn remove(&mut self, key: &[KeyPart], cells: &Cells) {
        let Some(entry) = self.entries.get(key) else { return };
        let Some(cell) = entry.cells().next() else { return drop(self.entries.remove(key)) };
        match (&mut self.found, key) {
            (Some(found), [KeyPart::Int(number)]) if !found.named.contains(&cell) => {
                cells.keys(found.index).remove(*number);
                if cells.is_parallel() {
                    found.parked.insert(*number, cell);
                } else {
                    found.spare.push(cell);
                }
                self.entries.remove(key);
            }
            _ => entry.restart(self.initial(), cells),
        }
    }

    fn signed(&self) -> bool {
        match self.def.kind {
            StateKind::Value { ty, .. } => ty.is_signed(),
            StateKind::Aggregate(function) => match function {
                AggFn::Sum(signed) | AggFn::Avg(signed) | AggFn::Min(signed) | AggFn::Max(signed) => signed,
                AggFn::Last(ty) => ty.is_signed(),
                AggFn::Count | AggFn::Stats(_) | AggFn::Hist | AggFn::LinearHist { .. } => false,
            },
        }
    }

    /// Scalars exist from the start: integers, counts and sums in a cell, other values as they begin. The remaining
    /// aggregations come into being with their first value.
    fn create_scalar(&mut self, cells: &Cells) {
        if !self.def.keys.is_empty() || self.entries.contains_key(&[][..]) {
            return;
        }
        let in_cell = match &self.def.kind {
            StateKind::Value { ty, .. } => ty.is_integer(),
            StateKind::Aggregate(function) => matches!(function, AggFn::Count | AggFn::Sum(_)),
        };
        let entry = match (in_cell.then(|| cells.allocate()).flatten(), &self.def.kind) {
            (Some(cell), _) => {
                cells.set(cell, self.initial());
                Entry::Cell(cell)
            }
            (None, StateKind::Value { ty, initial }) => Entry::Value(match ty {
                ty if ty.is_text() => Stored::Text(Box::default()),
                Type::U128 => Stored::Wide(u128::from(*initial)),
                _ => Stored::Int(*initial),
            }),
            (None, StateKind::Aggregate(_)) => return,
        };
        self.entries.insert(Box::default(), entry);
    }

    fn is_live(&self, entry: &Entry, cells: &Cells) -> bool {
        match entry {
            Entry::Cell(cell) => self.def.keys.is_empty() || cells.get(*cell) != 0,
            Entry::Changed(cell) => cells.get(*cell + 1) != 0,
            Entry::Row(_) => entry.cells().any(|cell| cells.get(cell) != 0),
            _ => true,
        }
    }

    fn admit(&mut self, cells: &Cells) -> Result<(), Full> {
        if self.is_full(cells) { Err(Full) } else { Ok(()) }
    }

    /// Counts of code that has been translated and never executed take no room.
    fn is_full(&mut self, cells: &Cells) -> bool {
        let capacity = usize::try_from(self.def.capacity).unwrap_or(usize::MAX);
        if self.entries.len() < capacity {
            return false;
        }
        if !self.full {
            let live = self.entries.values().filter(|entry| self.is_live(entry, cells)).count();
            self.full = live >= capacity;
        }
        self.full
    }

    fn settled(&self, entry: &Entry, cells: &Cells) -> Entry {
        match (entry, &self.def.kind) {
            (Entry::Cell(cell), StateKind::Aggregate(AggFn::Count)) => Entry::Count(cells.get(*cell)),
            (Entry::Cell(cell), StateKind::Aggregate(_)) => Entry::Sum(cells.get(*cell)),
            (Entry::Cell(cell), StateKind::Value { .. }) => Entry::Value(Stored::Int(cells.get(*cell))),
            (Entry::Changed(cell), StateKind::Aggregate(AggFn::Sum(_))) => Entry::Sum(cells.get(*cell)),
            (Entry::Changed(cell), StateKind::Aggregate(_)) => Entry::Extreme(cells.get(*cell)),
            (Entry::Changed(cell), StateKind::Value { .. }) => Entry::Value(Stored::Int(cells.get(*cell))),
            (Entry::Row(_), _) => {
                let counts = entry.cells().map(|cell| cells.get(cell)).collect();
                Entry::Hist(Box::new(Buckets { counts }))
            }
            (entry, _) => entry.clone(),
        }
    }

    fn compare_keys(&self, a: &[KeyPart], b: &[KeyPart]) -> Order {
        let parts = a.iter().zip(b).zip(&self.def.keys);
        parts.map(|((a, b), ty)| a.compare(b, *ty)).find(|order| *order != Order::Equal).unwrap_or(Order::Equal)
    }
}

/// What rows are sorted by.
fn rank(entry: &Entry, signed: bool) -> i128 {
    let number = |n: u64| if signed { i128::from(n as i64) } else { i128::from(n) };
    match entry {
        Entry::Value(Stored::Int(n)) | Entry::Count(n) | Entry::Sum(n) | Entry::Extreme(n) => number(*n),
        Entry::Stats(stats) => i128::from(stats.count),
        Entry::Value(_) | Entry::Hist(_) | Entry::Cell(_) | Entry::Changed(_) | Entry::Row(_) => 0,
    }
}

fn int(value: &Stored) -> u64 {
    match value {
        Stored::Int(n) => *n,
        Stored::Wide(n) => *n as u64,
        Stored::Text(_) => 0,
    }
}

fn first(function: AggFn, value: Stored) -> Entry {
    let n = int(&value);
    let mut entry = match function {
        AggFn::Count => return Entry::Count(1),
        AggFn::Sum(_) => return Entry::Sum(n),
        AggFn::Min(_) | AggFn::Max(_) => return Entry::Extreme(n),
        AggFn::Last(_) => return Entry::Value(value),
        AggFn::Avg(_) | AggFn::Stats(_) => Entry::Stats(Stats { count: 0, sum: 0, min: n, max: n }),
        AggFn::Hist => Entry::Hist(Box::new(Buckets { counts: vec![0; HIST_BUCKETS] })),
        AggFn::LinearHist { from, to, step } => {
            let counts = vec![0; linear_buckets(from, to, step) as usize + 2];
            Entry::Hist(Box::new(Buckets { counts }))
        }
    };
    add(&mut entry, function, value);
    entry
}

fn add(entry: &mut Entry, function: AggFn, value: Stored) {
    let n = int(&value);
    match (entry, function) {
        (Entry::Count(count), _) => *count += 1,
        (Entry::Sum(sum), _) => *sum = sum.wrapping_add(n),
        (Entry::Extreme(best), AggFn::Min(signed)) => *best = extreme(*best, n, signed, Order::Less),
        (Entry::Extreme(best), AggFn::Max(signed)) => *best = extreme(*best, n, signed, Order::Greater),
        (Entry::Value(latest), _) => *latest = value,
        (Entry::Stats(stats), AggFn::Avg(signed) | AggFn::Stats(signed)) => {
            stats.count += 1;
            stats.sum += if signed { i128::from(n as i64) } else { i128::from(n) };
            stats.min = extreme(stats.min, n, signed, Order::Less);
            stats.max = extreme(stats.max, n, signed, Order::Greater);
        }
        (Entry::Hist(buckets), AggFn::LinearHist { from, to, step }) => {
            buckets.counts[linear_bucket_of(n, from, to, step)] += 1;
        }
        (Entry::Hist(buckets), _) => buckets.counts[bucket_of(n)] += 1,
        _ => {}
    }
}

/// As [`add`] where the number is in a cell.
fn add_in_cell(cell: u32, function: AggFn, n: u64, cells: &Cells) {
    let (old, is_there) = (cells.get(cell), cells.get(cell + 1) != 0);
    match function {
        AggFn::Min(signed) if is_there => cells.set(cell, extreme(old, n, signed, Order::Less)),
        AggFn::Max(signed) if is_there => cells.set(cell, extreme(old, n, signed, Order::Greater)),
        AggFn::Min(_) | AggFn::Max(_) => cells.set(cell, n),
        _ => drop(cells.add(cell, n)),
    }
    cells.add(cell + 1, 1);
}

fn extreme(best: u64, new: u64, signed: bool, better: Order) -> u64 {
    let order = if signed { (new as i64).cmp(&(best as i64)) } else { new.cmp(&best) };
    if order == better { new } else { best }
}

fn assign(op: AssignOp, ty: Type, old: Stored, value: Stored) -> Stored {
    match (op, old, value) {
        (AssignOp::Set, _, Stored::Int(value)) => Stored::Int(truncated(value, ty)),
        (AssignOp::Set, _, value) => value,
        (_, Stored::Int(old), Stored::Int(value)) => Stored::Int(match ty {
            Type::F64 => float_op(op, f64::from_bits(old), f64::from_bits(value)).to_bits(),
            Type::F32 => {
                let (old, value) = (f32::from_bits(old as u32), f32::from_bits(value as u32));
                u64::from((float_op(op, old.into(), value.into()) as f32).to_bits())
            }
            _ => truncated(int_op(op, old, value), ty),
        }),
        (_, Stored::Wide(old), Stored::Wide(value)) => Stored::Wide(match op {
            AssignOp::Set => value,
            AssignOp::Add => old.wrapping_add(value),
            AssignOp::Sub => old.wrapping_sub(value),
            AssignOp::Mul => old.wrapping_mul(value),
            AssignOp::Or => old | value,
            AssignOp::And => old & value,
            AssignOp::Xor => old ^ value,
        }),
        (_, old, _) => old,
    }
}

fn int_op(op: AssignOp, old: u64, value: u64) -> u64 {
    match op {
        AssignOp::Set => value,
        AssignOp::Add => old.wrapping_add(value),
        AssignOp::Sub => old.wrapping_sub(value),
        AssignOp::Mul => old.wrapping_mul(value),
        AssignOp::Or => old | value,
        AssignOp::And => old & value,
        AssignOp::Xor => old ^ value,
    }
}

fn float_op(op: AssignOp, old: f64, value: f64) -> f64 {
    match op {
        AssignOp::Add => old + value,
        AssignOp::Sub => old - value,
        AssignOp::Mul => old * value,
        AssignOp::Set | AssignOp::Or | AssignOp::And | AssignOp::Xor => value,
    }
}

/// Cuts a value to the width of its type and extends it again.
fn truncated(value: u64, ty: Type) -> u64 {
    match ty {
        Type::Bool => u64::from(value != 0),
        Type::Int { bits, signed } if (1..64).contains(&bits) => {
            let unused = 64 - u32::from(bits);
            let high = value << unused;
            if signed { ((high as i64) >> unused) as u64 } else { high >> unused }
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spile_lang::span::Span;

    fn def(kind: StateKind, keys: &[Type]) -> State {
        State {
            name: "@m".to_string(),
            unnamed: false,
            kind,
            keys: keys.to_vec(),
            key_names: keys.iter().map(Type::to_string).collect(),
            capacity: 3,
            span: Span::default(),
        }
    }

    fn states(kind: StateKind, keys: &[Type]) -> States {
        States::new(&[def(kind, keys)], Cells::new())
    }

    const M: StateId = StateId(0);

    fn k(n: u64) -> [KeyPart; 1] {
        [KeyPart::Int(n)]
    }

    #[test]
    fn counts_in_cells_and_in_the_table_are_one() {
        let mut states = states(StateKind::Aggregate(AggFn::Count), &[Type::CodeAddr]);
        states.aggregate(M, &k(1), Stored::Int(0)).unwrap();
        let cell = states.cell_for(M, &k(1)).unwrap();
        assert_eq!(states.cell_for(M, &k(1)), Some(cell));
        states.cells.add(cell, 5);
        states.aggregate(M, &k(1), Stored::Int(0)).unwrap();
        assert_eq!(states.get(M, &k(1)), Some(Stored::Int(7)));
        let never = states.cell_for(M, &k(2)).unwrap();
        assert!(!states.has(M, &k(2)));
        assert_eq!(states.rows(M), [Row { key: k(1).into(), entry: Entry::Count(7) }]);
        states.cells.add(never, 1);
        assert!(states.has(M, &k(2)));
        states.reset(M);
        assert_eq!(states.rows(M), []);
        assert_eq!(states.cell_for(M, &k(1)), Some(cell), "translated code goes on using it");
    }

    #[test]
    fn integers_of_maps_in_cells_are_there_once_they_are_changed() {
        let ty = Type::Int { bits: 64, signed: false };
        let mut states = states(StateKind::Value { ty, initial: 5 }, &[Type::CodeAddr]);
        states.set(M, &k(1), AssignOp::Set, Stored::Int(3)).unwrap();
        let [known, new] = [1, 2].map(|n| states.cell_for(M, &k(n)).unwrap());
        assert_eq!([states.has(M, &k(1)), states.has(M, &k(2))], [true, false]);
        // What translated code does for `@m[2] -= 5`, and then for `@m[1] += 1`.
        states.cells.add(new, 5_u64.wrapping_neg());
        states.cells.add(new + 1, 1);
        states.cells.add(known, 1);
        states.cells.add(known + 1, 1);
        assert_eq!([1, 2].map(|n| states.get(M, &k(n)).unwrap()), [Stored::Int(4), Stored::Int(0)]);
        assert!(states.has(M, &k(2)) && states.unprinted() == [M]);
        states.set(M, &k(2), AssignOp::Add, Stored::Int(9)).unwrap();
        assert_eq!(states.get(M, &k(2)), Some(Stored::Int(9)));
        states.delete(M, &k(2));
        assert!(!states.has(M, &k(2)) && states.cells.get(new) == 5, "it begins anew");
        states.reset(M);
        assert!(states.rows(M).is_empty() && states.unprinted().is_empty());
        states.cell_for(M, &k(3)).unwrap();
        let mut cells = states.discard(M);
        cells.sort_unstable();
        assert_eq!(cells, (known..known + 6).collect::<Vec<u32>>());
    }

    #[test]
    fn histograms_in_cells_and_in_the_table_are_one() {
        let mut states = states(StateKind::Aggregate(AggFn::Hist), &[Type::CodeAddr]);
        states.aggregate(M, &k(1), Stored::Int(8)).unwrap();
        let row = states.cell_for(M, &k(1)).unwrap();
        assert_eq!(states.cell_for(M, &k(1)), Some(row));
        states.cells.add(row + bucket_of(u64::MAX) as u32, 2);
        states.aggregate(M, &k(1), Stored::Int(9)).unwrap();
        states.cell_for(M, &k(2)).unwrap();
        let [Row { entry: Entry::Hist(buckets), .. }] = &states.rows(M)[..] else { panic!("{:?}", states.rows(M)) };
        assert_eq!((buckets.counts.len(), buckets.counts[0], buckets.counts[5]), (HIST_BUCKETS, 2, 2));
        assert_eq!(buckets.counts.iter().sum::<u64>(), 4);
        states.reset(M);
        assert!(states.rows(M).is_empty());
    }

    /// What generated code does with a key: true if it has found its cell.
    fn found(states: &States, index: u32, key: u64, change: impl FnOnce(u32)) -> bool {
        let cell = states.cells.keys(index).find(key) as u32;
        change(cell);
        cell != 0
    }

    #[test]
    fn keys_that_are_met_again_are_found() {
        let mut states = states(StateKind::Aggregate(AggFn::Count), &[Type::U64]);
        let index = states.index_for(M).unwrap();
        assert_eq!(states.index_for(M), Some(index));
        let count = |states: &mut States, key| {
            let cells = states.cells.clone();
            let is_found = found(states, index, key, |cell| cells.common().inc(cell, 1));
            if !is_found {
                states.aggregate(M, &k(key), Stored::Int(0)).unwrap();
            }
            is_found
        };
        assert_eq!([1, 1, 1, 2].map(|key| count(&mut states, key)), [false, false, true, false]);
        assert_eq!(states.get(M, &k(1)), Some(Stored::Int(3)));
        // Its cell is another key's when it is gone, unless code names it.
        let cell = states.cells.keys(index).find(1) as u32;
        states.delete(M, &k(1));
        assert!(!states.has(M, &k(1)) && !count(&mut states, 2));
        assert_eq!(states.cells.keys(index).find(2) as u32, cell);
        assert_eq!((states.cell_for(M, &k(2)), states.get(M, &k(2))), (Some(cell), Some(Stored::Int(2))));
        states.reset(M);
        assert!(!states.has(M, &k(2)) && count(&mut states, 2) && states.get(M, &k(2)) == Some(Stored::Int(1)));
        // Among threads it stays its own, since one of them may be about to count.
        let counters = states.cells.for_thread();
        assert_eq!([5, 5].map(|key| count(&mut states, key)), [false; 2]);
        let of_five = states.cells.keys(index).find(5) as u32;
        states.delete(M, &k(5));
        counters.inc(of_five, 1);
        assert_eq!([6, 6, 5, 5].map(|key| count(&mut states, key)), [false; 4]);
        assert_eq!(states.cells.keys(index).find(5) as u32, of_five);
        assert!([5, 6].iter().all(|&key| states.get(M, &k(key)) == Some(Stored::Int(2))));
        states.delete(M, &k(6));
        let mut cells = states.discard(M);
        cells.sort_unstable();
        assert_eq!((cells.first(), cells.len()), (Some(&cell), 3), "{cells:?}");
        assert_eq!((states.cells.allocate_index(), states.cells.keys(index).find(2)), (Some(index), 0));
    }

    #[test]
    fn maps_without_an_index() {
        let count = StateKind::Aggregate(AggFn::Count);
        let small = StateKind::Value { ty: Type::Int { bits: 32, signed: false }, initial: 0 };
        for (kind, keys) in [
            (count.clone(), &[][..]),
            (count.clone(), &[Type::U64, Type::U64]),
            (count.clone(), &[Type::Str]),
            (count, &[Type::U128]),
            (small, &[Type::U64]),
            (StateKind::Aggregate(AggFn::Avg(false)), &[Type::U64]),
        ] {
            assert_eq!(states(kind, keys).index_for(M), None);
        }
    }

    /// Steps of several threads, of generated code and of actions, in a random order, against a map without cells.
    #[test]
    fn found_cells_and_the_table_are_one() {
        let value = StateKind::Value { ty: Type::Int { bits: 64, signed: false }, initial: 3 };
        let kinds = [AggFn::Count, AggFn::Sum(true), AggFn::Min(true), AggFn::Max(false), AggFn::Hist];
        let kinds = kinds.map(StateKind::Aggregate).into_iter().chain([value]);
        for (kind, seed) in kinds.flat_map(|kind| [1u64, 2, 3].map(|seed| (kind.clone(), seed))) {
            let mut seed = seed;
            let mut random = |below: u64| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) % below
            };
            let mut def = def(kind.clone(), &[Type::U64]);
            def.capacity = 150;
            // What the table of `plain` does not name, it has no cells for.
            let [mut plain, mut states] = [(); 2].map(|()| States::new(&[def.clone()], Cells::new()));
            let index = states.index_for(M).unwrap();
            let mut threads = vec![states.cells.common()];
            for step in 0..20_000 {
                let key = random(if step % 5000 < 2500 { 20 } else { 200 });
                match random(1000) {
                    0 => [&mut plain, &mut states].map(|states| states.reset(M)).into_iter().collect(),
                    1..40 => [&mut plain, &mut states].map(|states| states.delete(M, &k(key))).into_iter().collect(),
                    40..45 => {
                        let key = k(random(30));
                        let named = [&mut plain, &mut states].map(|states| states.cell_for(M, &key).is_some());
                        assert_eq!(named[0], named[1]);
                    }
                    45 if step > 10_000 => threads.push(states.cells.for_thread()),
                    _ => {
                        let counters = threads[random(threads.len() as u64) as usize].clone();
                        let n = random(100).wrapping_sub(50);
                        let cells = states.cells.clone();
                        let done = found(&states, index, key, |cell| match kind {
                            StateKind::Aggregate(AggFn::Count) => counters.inc(cell, 1),
                            StateKind::Aggregate(AggFn::Hist) => counters.inc(cell + bucket_of(n) as u32, 1),
                            StateKind::Aggregate(AggFn::Min(_) | AggFn::Max(_)) => {}
                            _ => {
                                counters.inc(cell, n);
                                counters.inc(cell + 1, 1);
                            }
                        });
                        let known = cells.get_common(cells.keys(index).find(key) as u32);
                        let keeps = match kind {
                            StateKind::Aggregate(AggFn::Min(_)) => known as i64 <= n as i64,
                            StateKind::Aggregate(AggFn::Max(_)) => n <= known,
                            _ => true,
                        };
                        let update = |states: &mut States| match kind {
                            StateKind::Aggregate(_) => states.aggregate(M, &k(key), Stored::Int(n)),
                            StateKind::Value { .. } => states.set(M, &k(key), AssignOp::Add, Stored::Int(n)),
                        };
                        let expected = update(&mut plain);
                        assert_eq!(if done && keeps { Ok(()) } else { update(&mut states) }, expected, "{kind:?}");
                    }
                }
                if step % 500 == 0 {
                    assert_eq!(states.rows(M), plain.rows(M), "{kind:?} {step}");
                    assert!((0..200).all(|key| states.has(M, &k(key)) == plain.has(M, &k(key))));
                }
            }
            threads.iter().for_each(|counters| states.cells.retire(counters));
            assert_eq!(states.rows(M), plain.rows(M), "{kind:?}");
        }
    }

    #[test]
    fn a_full_table_takes_no_new_keys_but_updates_old_ones() {
        let mut states = states(StateKind::Aggregate(AggFn::Count), &[Type::U64]);
        let idle: Vec<u32> = (10..13).map(|n| states.cell_for(M, &k(n)).unwrap()).collect();
        for n in 0..3 {
            assert_eq!(states.aggregate(M, &k(n), Stored::Int(0)), Ok(()), "idle cells take no room");
        }
        assert_eq!(states.aggregate(M, &k(3), Stored::Int(0)), Err(Full));
        assert_eq!(states.cell_for(M, &k(4)), None);
        assert_eq!(states.aggregate(M, &k(2), Stored::Int(0)), Ok(()));
        states.delete(M, &k(0));
        assert_eq!(states.aggregate(M, &k(3), Stored::Int(0)), Ok(()));
        assert_eq!(idle.len(), 3);
    }

    #[test]
    fn scalars_live_in_cells() {
        let ty = Type::Int { bits: 8, signed: true };
        let mut states = states(StateKind::Value { ty, initial: 3 }, &[]);
        let cell = states.scalar_cell(M).unwrap();
        assert_eq!(states.cells.get(cell), 3);
        assert!(states.unprinted().is_empty());
        states.set(M, &[], AssignOp::Add, Stored::Int(126)).unwrap();
        assert_eq!(states.cells.get(cell), -127i64 as u64, "cut to the declared width");
        assert_eq!(states.unprinted(), [M]);
        states.mark_printed(M);
        assert!(states.unprinted().is_empty());
        states.reset(M);
        assert_eq!(states.scalar_cell(M), Some(cell));
        assert_eq!(states.cells.get(cell), 3);
    }

    #[test]
    fn assignments_by_type() {
        let set = |ty, op, value| {
            let mut states = states(StateKind::Value { ty, initial: 6 }, &[Type::Str]);
            states.set(M, &["k".into()], op, value).unwrap();
            states.get(M, &["k".into()]).unwrap()
        };
        for (op, expected) in [
            (AssignOp::Set, 5),
            (AssignOp::Add, 11),
            (AssignOp::Sub, 1),
            (AssignOp::Mul, 30),
            (AssignOp::Or, 7),
            (AssignOp::And, 4),
            (AssignOp::Xor, 3),
        ] {
            assert_eq!(set(Type::U64, op, Stored::Int(5)), Stored::Int(expected));
        }
        assert_eq!(set(Type::F64, AssignOp::Set, Stored::Int(1f64.to_bits())), Stored::Int(1f64.to_bits()));
        let text = Stored::Text(b"x"[..].into());
        assert_eq!(set(Type::Str, AssignOp::Set, text.clone()), text);
    }

    #[test]
    fn aggregations() {
        let run = |function, values: &[i64]| {
            let mut states = states(StateKind::Aggregate(function), &[Type::U64]);
            for value in values {
                states.aggregate(M, &k(0), Stored::Int(*value as u64)).unwrap();
            }
            match states.get(M, &k(0)) {
                Some(Stored::Int(n)) => n as i64,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(run(AggFn::Count, &[9, 9]), 2);
        assert_eq!(run(AggFn::Sum(true), &[9, -10]), -1);
        assert_eq!(run(AggFn::Avg(true), &[-3, -4]), -3, "rounded towards zero");
        assert_eq!(run(AggFn::Avg(false), &[-1, -1]), -1, "no overflow on the way");
        assert_eq!(run(AggFn::Min(true), &[3, -4, 5]), -4);
        assert_eq!(run(AggFn::Min(false), &[3, -4, 5]), 3);
        assert_eq!(run(AggFn::Max(false), &[3, -4, 5]), -4);
        assert_eq!(run(AggFn::Max(true), &[3, -4, 5]), 5);
        assert_eq!(run(AggFn::Last(Type::I64), &[3, -4, 5]), 5);
    }

    #[test]
    fn rows_are_sorted_by_value_then_key() {
        let mut states = states(StateKind::Value { ty: Type::I64, initial: 0 }, &[Type::I64]);
        for (key, value) in [(5i64, -1i64), (-5, 7), (-7, 7)] {
            states.set(M, &k(key as u64), AssignOp::Set, Stored::Int(value as u64)).unwrap();
        }
        let keys: Vec<i64> =
            states.rows(M).iter().map(|row| if let KeyPart::Int(n) = row.key[0] { n as i64 } else { 0 }).collect();
        assert_eq!(keys, [-7, -5, 5]);
    }

    #[test]
    fn histogram_buckets_cover_everything_once() {
        for (value, bucket, bounds) in [
            (-1i64, 0, (None, Some(0))),
            (i64::MIN, 0, (None, Some(0))),
            (0, 1, (Some(0), Some(1))),
            (1, 2, (Some(1), Some(2))),
            (2, 3, (Some(2), Some(4))),
            (3, 3, (Some(2), Some(4))),
            (4, 4, (Some(4), Some(8))),
            (i64::MAX, 64, (Some(1 << 62), None)),
        ] {
            assert_eq!(bucket_of(value as u64), bucket, "{value}");
            assert_eq!(bucket_bounds(bucket), bounds, "{value}");
        }
    }

    #[test]
    fn linear_buckets_have_one_below_and_one_above() {
        let of = |value: i64| linear_bucket_of(value as u64, -10, 15, 10);
        assert_eq!([-11, -10, -1, 0, 9, 10, 14, 15, 99].map(of), [0, 1, 1, 2, 2, 3, 3, 4, 4]);
        let bounds = |bucket| linear_bounds(bucket, -10, 15, 10);
        assert_eq!(bounds(0), (None, Some(-10)));
        assert_eq!(bounds(2), (Some(0), Some(10)));
        assert_eq!(bounds(3), (Some(10), Some(15)));
        assert_eq!(bounds(4), (Some(15), None));
        let all = |value: i64| linear_bucket_of(value as u64, i64::MIN, i64::MAX, 1);
        assert!(all(0) <= MAX_LINEAR_BUCKETS as usize && all(i64::MAX) as u64 == MAX_LINEAR_BUCKETS + 1);
    }

    #[test]
    fn cells_are_handed_out_once() {
        let cells = Cells::new();
        let first = Cells::NOWHERE.end;
        assert_eq!([cells.allocate(), cells.allocate()], [Some(first), Some(first + 1)]);
    }
}
