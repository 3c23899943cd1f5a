//! The maps that `for` loops are going through: what was in them when the loops began.

use super::state::{KeyPart, Row, Stored};
use hashbrown::HashMap;

#[derive(Debug)]
struct MapLoop {
    rest: std::vec::IntoIter<Row>,
    current: Option<Row>,
}

/// The loops of the bodies that are running, by thread, outermost first.
#[derive(Debug, Default)]
pub(super) struct MapLoops(HashMap<u64, Vec<MapLoop>>);

impl MapLoops {
    /// Begins a loop; the result stands for it.
    pub(super) fn begin(&mut self, thread: u64, rows: Vec<Row>) -> u64 {
        let loops = self.0.entry(thread).or_default();
        loops.push(MapLoop { rest: rows.into_iter(), current: None });
        loops.len() as u64 - 1
    }

    /// Goes on to the next row, if there is one. Loops that were left inside this one are over, and at the end it is.
    pub(super) fn advance(&mut self, thread: u64, handle: u64) -> bool {
        let Some(loops) = self.0.get_mut(&thread) else { return false };
        let index = handle as usize;
        loops.truncate(index + 1);
        let Some(one) = loops.get_mut(index) else { return false };
        one.current = one.rest.next();
        let more = one.current.is_some();
        if !more {
            loops.truncate(index);
        }
        more
    }

    /// The key of the row, which has one.
    pub(super) fn key(&self, thread: u64, handle: u64) -> Option<KeyPart> {
        self.row(thread, handle)?.key.first().cloned()
    }

    /// The value of the row.
    pub(super) fn value(&self, thread: u64, handle: u64) -> Option<Stored> {
        Some(self.row(thread, handle)?.entry.meaning())
    }

    /// No body of the thread is running.
    pub(super) fn clear(&mut self, thread: u64) {
        self.0.remove(&thread);
    }

    fn row(&self, thread: u64, handle: u64) -> Option<&Row> {
        self.0.get(&thread)?.get(handle as usize)?.current.as_ref()
    }
}
