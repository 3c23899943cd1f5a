//! Who may run: the guest threads of a process, and exclusive sections between them.
//!
//! A guest thread is *inside* while it executes guest code, translates, performs probe actions or handles a system
//! call, and *outside* while it sleeps in the host kernel or waits here. An exclusive section begins once all other
//! threads are outside or wait at an instruction boundary, and none of them gets inside before it ends. Dropping
//! generated code, taking memory away, changing probes and forking are exclusive.
//!
//! The rule that makes this free of deadlocks: **a thread holds no lock when it goes outside or asks for an exclusive
//! section.** So an exclusive section may take every lock, and a forked child, which keeps only the thread that forked,
//! finds every lock free.
//!
//! A thread that is no guest thread may help them. It holds no lock either when the process forks: what it shares with
//! them it touches in [`Gate::beside`] only.
//!
//! The gate knows nothing of what the threads do. The method is that of QEMU's `start_exclusive`.

use crate::cpu::poll;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long who wants to be exclusive waits for the others without sleeping.
const AWAKE: Duration = Duration::from_micros(200);

/// The meeting point of a process's guest threads.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// True while a thread is, or waits to be, exclusive. Read by every thread that goes outside or inside.
    wanted: AtomicBool,
    /// Held where the process must not fork. True once the run has ended.
    beside: Mutex<bool>,
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Arc<Member>>,
    /// A thread is, or waits to be, exclusive.
    exclusive: bool,
    /// [`Gate::wait_for_others`] has returned.
    over: bool,
}

impl State {
    /// True if a thread other than `member` is inside.
    fn is_other_inside(&self, member: &Arc<Member>) -> bool {
        self.members.iter().any(|other| !Arc::ptr_eq(other, member) && other.inside.load(Ordering::SeqCst))
    }

    fn add(&mut self, word: &'static AtomicU32) -> Arc<Member> {
        if self.exclusive {
            // Who waits to be exclusive has asked the others already.
            word.fetch_or(poll::PARK, Ordering::Release);
        }
        let member = Arc::new(Member {
            inside: AtomicBool::new(true),
            exclusive: AtomicBool::new(false),
            id: AtomicU64::new(0),
            poll: word,
        });
        self.members.push(member.clone());
        member
    }
}

/// A guest thread as the gate sees it.
#[derive(Debug)]
pub struct Member {
    inside: AtomicBool,
    /// The thread is in an exclusive section. Only it looks at this.
    exclusive: AtomicBool,
    /// The environment's number for the thread; 0 until it is known.
    id: AtomicU64,
    /// What the thread polls: see [`crate::cpu::CpuState::poll`].
    poll: &'static AtomicU32,
}

thread_local! {
    /// The gate of the guest thread that runs on this host thread, and its membership.
    static CURRENT: RefCell<Option<(Arc<Gate>, Arc<Member>)>> = const { RefCell::new(None) };
}

/// Calls `f` outside: other threads may be exclusive meanwhile. `f` must not touch what the threads share.
pub fn outside<T>(f: impl FnOnce() -> T) -> T {
    let current = CURRENT.with_borrow(Clone::clone);
    match current {
        None => f(),
        Some((gate, member)) => {
            gate.leave(&member);
            let result = f();
            gate.enter(&member);
            result
        }
    }
}

/// Calls `f` while no other guest thread of this process is inside. Nested calls are part of the outer one.
pub fn exclusive<T>(f: impl FnOnce() -> T) -> T {
    match CURRENT.with_borrow(Clone::clone) {
        None => f(),
        Some((gate, member)) => gate.exclusive(&member, f),
    }
}

/// As [`exclusive`] for an `f` that forks: it returns true in the child, in which only this thread lives on.
pub fn fork<T>(f: impl FnOnce() -> (T, bool)) -> T {
    match CURRENT.with_borrow(Clone::clone) {
        None => f().0,
        Some((gate, member)) => gate.exclusive(&member, || {
            // Held across the fork, so that the child does not get them from a thread that it does not have.
            let _beside = gate.lock_beside();
            let mut state = gate.lock();
            let (result, child) = f();
            if child {
                state.members = vec![member.clone()];
            }
            result
        }),
    }
}

/// Waits for the end of exclusive sections. To be called at an instruction boundary after [`poll::PARK`] was set.
pub fn park() {
    outside(|| ());
}

/// True if other guest threads may run at the same time as this one.
pub fn has_others() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|(gate, _)| gate.lock().members.len() > 1))
}

impl Member {
    /// Says what [`Gate::others`] tells of this thread. Returns what it has told before.
    pub fn set_id(&self, id: u64) -> u64 {
        self.id.swap(id, Ordering::Relaxed)
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn lock_beside(&self) -> MutexGuard<'_, bool> {
        self.beside.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Calls `f` in a thread that is no guest thread, to touch what those share: the process does not fork meanwhile.
    /// `f` must neither sleep nor ask for an exclusive section. `None` once the run has ended.
    pub fn beside<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let closed = self.lock_beside();
        (!*closed).then(f)
    }

    /// Sees to it that nobody is in [`Gate::beside`], and nobody will be.
    pub fn close(&self) {
        *self.lock_beside() = true;
    }

    /// Adds a thread, which is inside from now on: its creator calls this, and the new host thread then [`Gate::adopt`]s
    /// it.
    pub fn add(&self, poll: &'static AtomicU32) -> Arc<Member> {
        self.lock().add(poll)
    }

    /// As [`Gate::add`], for a host thread that runs no guest code and wants to be exclusive. None once the last guest
    /// thread has waited for the others: it would wait for no visitor, and a visitor for ever.
    pub fn visit(&self, poll: &'static AtomicU32) -> Option<Arc<Member>> {
        let mut state = self.lock();
        (!state.over).then(|| state.add(poll))
    }

    /// Makes this host thread run `member`.
    pub fn adopt(self: &Arc<Self>, member: Arc<Member>) {
        CURRENT.set(Some((self.clone(), member)));
    }

    /// Makes this host thread run no guest thread.
    pub fn forsake() {
        CURRENT.set(None);
    }

    /// Removes a thread that runs no more, or never did.
    pub fn remove(&self, member: &Arc<Member>) {
        let mut state = self.lock();
        state.members.retain(|other| !Arc::ptr_eq(other, member));
        member.inside.store(false, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// The numbers of all threads but `own`, as far as they are known.
    pub fn others(&self, own: &Arc<Member>) -> Vec<u64> {
        let state = self.lock();
        let others = state.members.iter().filter(|other| !Arc::ptr_eq(other, own));
        others.map(|other| other.id.load(Ordering::Relaxed)).filter(|&id| id != 0).collect()
    }

    /// Number of threads.
    pub fn len(&self) -> usize {
        self.lock().members.len()
    }

    /// True if no thread has been added, or all have been removed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits, outside, until `member` is the only thread.
    pub fn wait_for_others(&self, member: &Arc<Member>) {
        self.leave(member);
        let mut state = self.lock();
        while state.members.iter().any(|other| !Arc::ptr_eq(other, member)) {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.over = true;
        drop(state);
        self.enter(member);
    }

    /// Sets `bits` in what all threads poll.
    pub fn ask_all(&self, bits: u32) {
        for member in &self.lock().members {
            member.poll.fetch_or(bits, Ordering::Release);
        }
    }

    // The two sides of the handshake: a thread says where it is and then looks whether somebody wants to be exclusive;
    // who wants to be says so and then looks where the threads are. Sequential consistency makes one of them see the
    // other.

    fn leave(&self, member: &Member) {
        member.inside.store(false, Ordering::SeqCst);
        if self.wanted.load(Ordering::SeqCst) {
            // Under the lock, so that the one who waits for it is not between looking and sleeping.
            let _state = self.lock();
            self.changed.notify_all();
        }
    }

    fn enter(&self, member: &Member) {
        loop {
            member.inside.store(true, Ordering::SeqCst);
            if !self.wanted.load(Ordering::SeqCst) {
                return;
            }
            member.inside.store(false, Ordering::SeqCst);
            let mut state = self.lock();
            self.changed.notify_all();
            while state.exclusive {
                state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
    }

    fn exclusive<T>(&self, member: &Arc<Member>, f: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        if member.exclusive.load(Ordering::Relaxed) || state.members.len() == 1 {
            // Only a lone thread itself could add another one.
            drop(state);
            return f();
        }
        while state.exclusive {
            member.inside.store(false, Ordering::SeqCst);
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.exclusive = true;
        self.wanted.store(true, Ordering::SeqCst);
        member.inside.store(true, Ordering::SeqCst);
        for other in state.members.iter().filter(|other| !Arc::ptr_eq(other, member)) {
            other.poll.fetch_or(poll::PARK, Ordering::Release);
        }
        state = self.await_boundaries(state, member);
        while state.is_other_inside(member) {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        drop(state);
        member.exclusive.store(true, Ordering::Relaxed);
        let _end = EndExclusive(self, member);
        f()
    }

    /// Waits awake for the others to get outside, which running threads do at once. Who sleeps for a microsecond may get
    /// its processor back milliseconds later, if the host has given it to a thread that does not sleep.
    fn await_boundaries<'a>(&'a self, state: MutexGuard<'a, State>, member: &Member) -> MutexGuard<'a, State> {
        let mut inside: Vec<Arc<Member>> = state.members.clone();
        drop(state);
        let begun = Instant::now();
        loop {
            inside.retain(|other| !std::ptr::eq(&**other, member) && other.inside.load(Ordering::SeqCst));
            if inside.is_empty() || begun.elapsed() >= AWAKE {
                return self.lock();
            }
            std::hint::spin_loop();
        }
    }
}

/// Ends an exclusive section, also if it panics.
struct EndExclusive<'a>(&'a Gate, &'a Member);

impl Drop for EndExclusive<'_> {
    fn drop(&mut self) {
        self.1.exclusive.store(false, Ordering::Relaxed);
        let mut state = self.0.lock();
        state.exclusive = false;
        self.0.wanted.store(false, Ordering::SeqCst);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word() -> &'static AtomicU32 {
        Box::leak(Box::default())
    }

    /// Threads that count without atomic steps inside exclusive sections, and check meanwhile that nobody else is
    /// inside.
    #[test]
    fn exclusive_sections_exclude_each_other_and_everybody_inside() {
        let gate = Arc::new(Gate::default());
        let (count, running) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let members: Vec<_> = (0..4).map(|_| gate.add(word())).collect();
        let threads: Vec<_> = members
            .into_iter()
            .map(|member| {
                let (gate, count, running) = (gate.clone(), count.clone(), running.clone());
                std::thread::spawn(move || {
                    gate.adopt(member.clone());
                    for round in 0..2000 {
                        running.fetch_add(1, Ordering::SeqCst);
                        std::hint::spin_loop();
                        running.fetch_sub(1, Ordering::SeqCst);
                        if member.poll.swap(0, Ordering::SeqCst) & poll::PARK != 0 {
                            park();
                        }
                        if round % 8 == 0 {
                            exclusive(|| {
                                assert_eq!(running.load(Ordering::SeqCst), 0);
                                let old = count.load(Ordering::Relaxed);
                                std::thread::yield_now();
                                count.store(old + 1, Ordering::Relaxed);
                            });
                        }
                        if round % 16 == 0 {
                            outside(std::thread::yield_now);
                        }
                    }
                    gate.remove(&member);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(count.load(Ordering::Relaxed), 4 * 250);
        assert!(gate.is_empty());
    }

    /// The one who waits has asked those that were there; this one would have run on for ever.
    #[test]
    fn a_thread_that_is_added_while_another_waits_to_be_exclusive_is_asked_to_park() {
        let gate = Arc::new(Gate::default());
        let (creator, waiter, polled) = (gate.add(word()), gate.add(word()), word());
        let other = gate.clone();
        let waits = std::thread::spawn(move || {
            other.adopt(waiter.clone());
            exclusive(|| ());
            other.remove(&waiter);
        });
        while creator.poll.load(Ordering::SeqCst) & poll::PARK == 0 {
            std::thread::yield_now();
        }
        let added = gate.add(polled);
        assert_eq!(polled.load(Ordering::SeqCst) & poll::PARK, poll::PARK);
        gate.remove(&added);
        gate.remove(&creator);
        waits.join().unwrap();
    }

    #[test]
    fn a_lone_thread_waits_for_nobody() {
        let gate = Arc::new(Gate::default());
        let member = gate.add(word());
        gate.adopt(member.clone());
        assert_eq!(exclusive(|| 5), 5);
        assert!(!has_others());
        gate.wait_for_others(&member);
        assert!(gate.visit(word()).is_none(), "it would wait for ever");
        assert_eq!(fork(|| (7, false)), 7);
    }

    #[test]
    fn a_helper_is_shut_out_at_the_end() {
        let gate = Gate::default();
        assert_eq!(gate.beside(|| 1), Some(1));
        gate.close();
        assert_eq!(gate.beside(|| 1), None);
    }
}
