//! Records: what probes print, from generated code to whoever writes it.
//!
//! Each guest thread leaves records in a ring of its own, without a lock: a few stores where the action that prints leaves
//! generated code and formats a line. A record is the number of that action and its arguments, which must mean the same later. It is
//! numbered in one atomic step for all threads together, so that what is read from the rings has one order, that in which
//! the threads were there.
//!
//! Nothing is ever dropped: where a ring has no room the thread performs the action itself, which takes out all that is
//! there first. Rings are read by one thread at a time, behind the lock of the probes. Who reads, and how the records look,
//! is not known here.

use crate::machine::lock;
use crate::mem::host::zeroed_words;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Words of a ring that records are in: a power of two.
pub const ROOM: usize = 1 << 15;
/// Most arguments of a record.
pub const MOST_ARGUMENTS: usize = 24;
/// Words in front of the arguments: the record's number, and its action with the number of arguments.
pub(crate) const HEADER: usize = 2;
/// Behind the room, for a record that begins in its last words.
const SPARE: usize = HEADER + MOST_ARGUMENTS;

/// The word that says how many words have been written in all.
pub(crate) const WRITTEN: usize = 0;
/// The word that says up to which of these records may begin: who reads changes it now and then.
pub(crate) const LIMIT: usize = 16;
/// The word that says how many words have been read in all.
const READ: usize = 32;
/// The first word of the room. These are so far apart that processors do not wait for each other's cache lines.
pub(crate) const FIRST: usize = 48;
/// The action is in the low bits of its word, and the number of arguments above.
const ARGUMENTS_SHIFT: u32 = 32;

/// What says which action a record is of, and how many arguments it has.
pub(crate) fn described(action: u32, n: u8) -> u64 {
    u64::from(action) | u64::from(n) << ARGUMENTS_SHIFT
}

/// What a thread may write before somebody has to look at its ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Somebody reads all the time: until there is no room.
    Awake,
    /// Somebody is to be woken: half of the room.
    Asleep,
}

/// What has cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// A ring.
#[derive(Clone, Debug)]
pub struct Ring(Arc<[AtomicU64]>);

/// The records of a run.
#[derive(Debug)]
pub struct Records {
    /// The number of the next record that is written.
    next: Apart<AtomicU64>,
    /// The number of the next record that is read.
    read: AtomicU64,
    rings: Mutex<Rings>,
    /// Somebody is to be woken.
    called: AtomicBool,
}

/// The rings of all threads.
#[derive(Debug)]
struct Rings {
    all: Vec<Ring>,
    /// Which had the latest record.
    latest: usize,
    reader: Reader,
}

impl Rings {
    /// Says how much may be written in each. Nobody writes where nothing may be written.
    fn permit(&mut self) {
        self.all.iter().filter(|ring| ring.is_used()).for_each(|ring| ring.permit(self.reader));
    }
}

impl Ring {
    /// A ring in which there is never room.
    pub(crate) fn none() -> Ring {
        Ring(zeroed_words(FIRST))
    }

    fn new(reader: Reader) -> Ring {
        let ring = Ring(zeroed_words(FIRST + ROOM + SPARE));
        ring.permit(reader);
        ring
    }

    /// The host address of the first word, for generated code.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }

    fn load(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Acquire)
    }

    fn store(&self, at: usize, value: u64) {
        self.0[at].store(value, Ordering::Release);
    }

    /// Says how much may be written.
    fn permit(&self, reader: Reader) {
        let room = match reader {
            Reader::Awake => ROOM - SPARE,
            Reader::Asleep => ROOM / 2,
        };
        self.store(LIMIT, self.load(READ) + room as u64);
    }

    /// False once its thread writes no more.
    fn is_used(&self) -> bool {
        self.load(LIMIT) != 0
    }

    /// Where in the words what is behind so many is.
    fn place(count: u64) -> usize {
        FIRST + count as usize % ROOM
    }

    /// Leaves a record, if there is room. Only the thread whose ring it is may call it.
    pub(crate) fn write(&self, records: &Records, action: u32, args: &[u64]) -> bool {
        let written = self.load(WRITTEN);
        if written >= self.load(LIMIT) {
            return false;
        }
        let at = Ring::place(written);
        self.store(at, records.next.0.fetch_add(1, Ordering::AcqRel));
        self.store(at + 1, described(action, args.len() as u8));
        args.iter().zip(at + HEADER..).for_each(|(&arg, at)| self.store(at, arg));
        self.store(WRITTEN, written + (HEADER + args.len()) as u64);
        true
    }
}

/// A ring that is being read.
struct Reading<'a> {
    ring: &'a Ring,
    read: u64,
    /// How far it is known to have been written.
    written: u64,
}

impl<'a> Reading<'a> {
    fn of(ring: &'a Ring) -> Reading<'a> {
        let read = ring.load(READ);
        Reading { ring, read, written: read }
    }

    /// Takes the record with this number, if it is the next one here.
    fn take(&mut self, number: u64, args: &mut Vec<u64>) -> Option<u32> {
        if self.read == self.written {
            self.written = self.ring.load(WRITTEN);
        }
        let at = Ring::place(self.read);
        if self.read == self.written || self.ring.load(at) != number {
            return None;
        }
        let word = self.ring.load(at + 1);
        let count = (word >> ARGUMENTS_SHIFT) as usize;
        args.clear();
        args.extend((at + HEADER..).take(count).map(|at| self.ring.load(at)));
        self.read += (HEADER + count) as u64;
        Some(word as u32)
    }
}

impl Default for Records {
    fn default() -> Self {
        Records {
            next: Apart(AtomicU64::new(0)),
            read: AtomicU64::new(0),
            rings: Mutex::new(Rings { all: Vec::new(), latest: 0, reader: Reader::Asleep }),
            called: AtomicBool::new(false),
        }
    }
}

impl Records {
    /// A ring for one more thread; [`Records::retire`] ends its use.
    pub(crate) fn ring(&self) -> Ring {
        let mut rings = lock(&self.rings);
        let ring = Ring::new(rings.reader);
        rings.all.push(ring.clone());
        ring
    }

    /// The thread whose ring it was writes no more. What is in it is still read.
    pub(crate) fn retire(&self, ring: &Ring) {
        // One that is written no more and has been read goes at the next opportunity. Nobody changes a limit meanwhile.
        let _rings = lock(&self.rings);
        ring.store(LIMIT, 0);
    }

    /// The host address of the number of the next record, for generated code.
    pub(crate) fn next_address(&self) -> usize {
        self.next.0.as_ptr() as usize
    }

    /// True if there is nothing to be read.
    pub fn is_empty(&self) -> bool {
        self.next.0.load(Ordering::Acquire) == self.read.load(Ordering::Acquire)
    }

    /// Returns how many have been read.
    pub fn count(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// Reads at most so many of the records that are there now, in their order: `f` gets the action of each, and its
    /// arguments. Returns how many there were. One thread at a time may read.
    pub fn read(&self, most: u64, mut f: impl FnMut(u32, &[u64])) -> u64 {
        let first = self.read.load(Ordering::Acquire);
        let there = self.next.0.load(Ordering::Acquire).wrapping_sub(first).min(most);
        if there == 0 {
            return 0;
        }
        let mut rings = lock(&self.rings);
        let mut latest = rings.latest;
        let mut reading: Vec<Reading<'_>> = rings.all.iter().map(Reading::of).collect();
        let mut args = Vec::with_capacity(MOST_ARGUMENTS);
        for number in first..first + there {
            let action = loop {
                let mut order = (latest..reading.len()).chain(0..latest.min(reading.len()));
                let found = order.find_map(|at| Some((at, reading[at].take(number, &mut args)?)));
                if let Some((at, action)) = found {
                    latest = at;
                    break action;
                }
                // The thread that has its number is about to write it: nothing keeps it from that but the host.
                std::thread::yield_now();
            };
            f(action, &args);
        }
        reading.iter().for_each(|reading| reading.ring.store(READ, reading.read));
        self.read.store(first + there, Ordering::Release);
        rings.latest = latest;
        rings.all.retain(|ring| ring.is_used() || ring.load(WRITTEN) != ring.load(READ));
        rings.permit();
        there
    }

    /// Says whether somebody reads all the time.
    pub fn set_reader(&self, reader: Reader) {
        let mut rings = lock(&self.rings);
        rings.reader = reader;
        rings.permit();
    }

    /// Asks for a reader, since a thread had no room.
    pub(crate) fn call(&self) {
        self.called.store(true, Ordering::Release);
    }

    /// True if a reader has been asked for since the last time.
    pub(crate) fn take_call(&self) -> bool {
        self.called.load(Ordering::Acquire) && self.called.swap(false, Ordering::AcqRel)
    }

    /// In a forked child, in which one thread lives on: what is there is its parent's to write.
    pub(crate) fn forget(&self) {
        self.read(u64::MAX, |_, _| ());
        self.set_reader(Reader::Asleep);
        self.called.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(records: &Records) -> Vec<(u32, Vec<u64>)> {
        let mut all = Vec::new();
        records.read(u64::MAX, |action, args| all.push((action, args.to_vec())));
        all
    }

    #[test]
    fn records_come_in_the_order_in_which_they_were_left() {
        let records = Records::default();
        let (a, b) = (records.ring(), records.ring());
        assert!(records.is_empty());
        assert!(a.write(&records, 1, &[10]) && b.write(&records, 2, &[]) && a.write(&records, 3, &[30, 31]));
        assert!(!records.is_empty());
        records.retire(&a);
        assert_eq!(records.read(1, |action, _| assert_eq!(action, 1)), 1);
        assert_eq!(all(&records), [(2, vec![]), (3, vec![30, 31])]);
        assert!(records.is_empty());
        // What is over is neither written nor kept.
        assert!(!a.write(&records, 1, &[]) && b.write(&records, 4, &[]));
        assert_eq!(all(&records), [(4, vec![])]);
        assert_eq!(lock(&records.rings).all.len(), 1);
    }

    #[test]
    fn a_ring_fills_up_and_loses_nothing() {
        let records = Records::default();
        let ring = records.ring();
        let (mut written, mut read) = (0u64, 0u64);
        for round in 0..200 {
            let reader = if round % 3 == 0 { Reader::Awake } else { Reader::Asleep };
            records.set_reader(reader);
            let before = written;
            let record = |n: u64| vec![n; n as usize % (MOST_ARGUMENTS + 1)];
            while ring.write(&records, written as u32, &record(written)) {
                written += 1;
            }
            let words: u64 = (read..written).map(|n| HEADER as u64 + n % (MOST_ARGUMENTS as u64 + 1)).sum();
            let room = if reader == Reader::Awake { ROOM - SPARE } else { ROOM / 2 } as u64;
            assert!(words >= room && words <= ROOM as u64, "{words}");
            assert!(written > before || round % 3 != 0);
            records.read(1 + round * 7 % 2000, |action, args| {
                assert_eq!((u64::from(action), args), (read, record(read).as_slice()));
                read += 1;
            });
        }
        assert!(written > 20_000);
        assert_eq!(all(&records).len() as u64, written - read);
        assert!(!Ring::none().write(&records, 0, &[]));
    }

    /// What a thread has seen of another one comes behind it.
    #[test]
    fn threads_agree_on_the_order() {
        let records = Records::default();
        let (turn, rounds) = (AtomicU64::new(0), 20_000);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (ring, records, turn) = (records.ring(), &records, &turn);
                scope.spawn(move || {
                    for round in (thread..rounds).step_by(2) {
                        while turn.load(Ordering::Acquire) != round {
                            std::thread::yield_now();
                        }
                        while !ring.write(records, thread as u32, &[round]) {
                            std::thread::yield_now();
                        }
                        turn.store(round + 1, Ordering::Release);
                    }
                });
            }
            let mut expected = 0;
            while expected < rounds {
                records.read(64, |action, args| {
                    sender.send((u64::from(action), args[0])).unwrap();
                    expected += 1;
                });
            }
        });
        assert!((0..rounds).all(|round| receiver.recv().unwrap() == (round % 2, round)));
    }

    #[test]
    fn a_child_forgets_what_its_parent_writes() {
        let records = Records::default();
        let ring = records.ring();
        assert!(ring.write(&records, 1, &[1]));
        records.call();
        records.forget();
        assert!(records.is_empty() && !records.take_call());
        assert!(ring.write(&records, 2, &[]));
        assert_eq!(all(&records), [(2, vec![])]);
    }
}
