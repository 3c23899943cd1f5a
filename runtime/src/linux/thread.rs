//! How guest processes and threads begin and end: `clone` and its kin, `exit`, futexes and robust lists.
//!
//! A guest thread is a host thread, a forked guest a forked host process. Sources: clone(2), futex(2),
//! get_robust_list(2), `kernel/futex` of Linux.

use super::abi::{u32_at, words};
use super::errno::Errno;
use super::host::{self, Word};
use super::{After, Kernel, own, read_optional, schedule};
use crate::env::Status;
use crate::gate;
use crate::mem::{Access, GuestMemory};
use std::sync::atomic::{AtomicU32, Ordering};

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

const CLONE_VM: u64 = 0x100;
const CLONE_FS: u64 = 0x200;
const CLONE_FILES: u64 = 0x400;
const CLONE_SIGHAND: u64 = 0x800;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_SYSVSEM: u64 = 0x4_0000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_DETACHED: u64 = 0x40_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// The signal that a parent gets at the end of a child.
const CSIGNAL: u64 = 0xff;
/// Flags that both a fork and a thread may have.
const COMMON_FLAGS: u64 =
    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_DETACHED;
/// Flags that a fork may have.
const FORK_FLAGS: u64 = CSIGNAL | CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND | COMMON_FLAGS;
/// Flags that a thread has: it shares everything.
const THREAD_FLAGS: u64 = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

/// Sizes of `struct clone_args` that the kernel has had (`CLONE_ARGS_SIZE_VER0` to `VER2`).
const CLONE_ARGS_SIZES: std::ops::RangeInclusive<u64> = 64..=4096;

/// Bits of a futex word (`linux/futex.h`).
const FUTEX_WAITERS: u32 = 0x8000_0000;
const FUTEX_OWNER_DIED: u32 = 0x4000_0000;
const FUTEX_TID_MASK: u32 = 0x3fff_ffff;
const FUTEX_WAKE: u64 = 1;
/// Most entries of a robust list that are looked at (`ROBUST_LIST_LIMIT`).
const ROBUST_LIST_LIMIT: usize = 2048;

/// What `clone` and `clone3` are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadRequest {
    flags: u64,
    /// The new stack pointer; 0 for the parent's.
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    thread_pointer: u64,
}

impl ThreadRequest {
    /// The new stack pointer and thread pointer, if they are given.
    pub(super) fn registers(&self) -> [Option<u64>; 2] {
        let thread_pointer = (self.flags & CLONE_SETTLS != 0).then_some(self.thread_pointer);
        [(self.stack != 0).then_some(self.stack), thread_pointer]
    }
}

pub(super) fn clone(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [flags, stack, parent_tid, thread_pointer, child_tid, _] = args;
    // The upper half of the flags belongs to `clone3`.
    let flags = flags & 0xffff_ffff;
    start(kernel, memory, ThreadRequest { flags, stack, parent_tid, child_tid, thread_pointer })
}

pub(super) fn clone3(kernel: &mut Kernel, memory: &GuestMemory, [addr, size, ..]: Args) -> Result {
    if !CLONE_ARGS_SIZES.contains(&size) {
        return Err(if size > *CLONE_ARGS_SIZES.end() { Errno::E2BIG } else { Errno::EINVAL });
    }
    let mut bytes = memory.read_vec(addr, size)?;
    if bytes.iter().skip(88).any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    bytes.resize(88, 0);
    let fields: [u64; 11] = words(&bytes);
    let [flags, _pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, thread_pointer, _, set_tids, _] = fields;
    if flags & CSIGNAL != 0 || exit_signal & !CSIGNAL != 0 || (stack == 0) != (stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    if set_tids != 0 {
        return Err(Errno::EPERM);
    }
    let stack = stack.wrapping_add(stack_size);
    start(kernel, memory, ThreadRequest { flags: flags | exit_signal, stack, parent_tid, child_tid, thread_pointer })
}

/// Starts a thread, or forks. `CLONE_VM` with `CLONE_VFORK` (`vfork`, `posix_spawn`) gets a copy of the memory: what the
/// child writes is not seen by the parent, as under other user-mode emulators.
fn start(kernel: &mut Kernel, memory: &GuestMemory, request: ThreadRequest) -> Result {
    let flags = request.flags;
    let thread = flags & CLONE_THREAD != 0;
    if thread && flags & (CLONE_VM | CLONE_SIGHAND) != CLONE_VM | CLONE_SIGHAND {
        return Err(Errno::EINVAL);
    }
    let supported = if thread {
        flags & THREAD_FLAGS == THREAD_FLAGS && flags & !(THREAD_FLAGS | COMMON_FLAGS | CSIGNAL) == 0
    } else {
        flags & !FORK_FLAGS == 0 && (flags & CLONE_VM == 0 || flags & CLONE_VFORK != 0)
    };
    if !supported {
        kernel.note(format!("clone with flags {flags:#x} is not supported: the guest gets EINVAL"));
        return Err(Errno::EINVAL);
    }
    if thread {
        kernel.after = Some(After::Thread(request));
        return Ok(0);
    }
    fork(kernel, memory, &request)
}

fn fork(kernel: &mut Kernel, memory: &GuestMemory, request: &ThreadRequest) -> Result {
    let ThreadRequest { flags, parent_tid, child_tid, .. } = *request;
    let waits = flags & CLONE_VFORK != 0;
    let turn = schedule::current();
    let slot = match turn {
        Some(turn) => Some(turn.add_process().ok_or(Errno::EAGAIN)?),
        None => None,
    };
    let mut pipe = [0; 8];
    if waits {
        host::pipe2(&mut pipe, libc::O_CLOEXEC as u64)?;
    }
    let (reader, writer) = (u32_at(&pipe, 0) as i32, u32_at(&pipe, 4) as i32);
    kernel.signals.hold_host();
    let pid = gate::fork(|| {
        let pid = host::fork();
        (pid, pid == Ok(0))
    });
    if pid == Ok(0) {
        if waits {
            let _ = host::close(reader);
        }
        own::forked(waits.then_some(writer));
        kernel.clear_child_tid = if flags & CLONE_CHILD_CLEARTID != 0 { child_tid } else { 0 };
        kernel.robust_list = 0;
        match (turn, slot) {
            (Some(turn), Some(slot)) => {
                turn.begin_process(slot);
                kernel.tid = turn.number_of(slot);
            }
            _ => kernel.tid = host::getpid()?,
        }
        kernel.pid.store(kernel.tid, Ordering::Relaxed);
        if flags & CLONE_CHILD_SETTID != 0 {
            let _ = memory.write(child_tid, &(kernel.tid as u32).to_le_bytes());
        }
        kernel.is_child.store(true, Ordering::Relaxed);
        kernel.threads.store(1, Ordering::Relaxed);
        kernel.just_forked = true;
        if flags & CLONE_CLEAR_SIGHAND != 0 {
            kernel.signals.clear_handlers();
        }
        kernel.signals.forked();
        if let Some(turn) = schedule::current() {
            turn.await_turn();
        }
        let [stack, thread_pointer] = request.registers();
        kernel.after = Some(After::Child { stack, thread_pointer });
        return Ok(0);
    }
    kernel.signals.release_host();
    let number = match (turn, slot, pid) {
        (Some(turn), Some(slot), Ok(pid)) => {
            turn.enter_process(slot, pid);
            Ok(turn.number_of(slot))
        }
        (Some(turn), Some(slot), Err(_)) => {
            turn.remove(slot);
            pid
        }
        _ => pid,
    };
    if waits {
        let _ = host::close(writer);
        if pid.is_ok() {
            wait_for_hangup(reader);
        }
        let _ = host::close(reader);
    }
    let pid = number?;
    if flags & CLONE_PARENT_SETTID != 0 {
        let _ = memory.write(parent_tid, &(pid as u32).to_le_bytes());
    }
    Ok(pid)
}

/// Waits until nobody has the other end of a pipe open. Signals wait meanwhile.
fn wait_for_hangup(reader: i32) {
    let mut entry = [0; 8];
    entry[..4].copy_from_slice(&reader.to_le_bytes());
    if let Some(turn) = schedule::current() {
        let mut closed = || host::ppoll_through_signals(host::PollFds(&mut entry), Some(&mut [0; 16]), 0, 8) != Ok(0);
        turn.wait_through_signals(|| closed().then_some(()));
        return;
    }
    gate::outside(|| while host::ppoll_through_signals(host::PollFds(&mut entry), None, 0, 8) == Err(Errno::EINTR) {});
}

impl Kernel {
    /// The kernel of the thread that was asked for.
    fn of_thread(&self, request: &ThreadRequest) -> Kernel {
        let asked = |flag, value| (request.flags & flag != 0).then_some(value);
        let mut kernel = Kernel::of(self.shared.clone(), self.signals.for_thread());
        kernel.clear_child_tid = asked(CLONE_CHILD_CLEARTID, request.child_tid).unwrap_or(0);
        kernel.announce =
            [asked(CLONE_PARENT_SETTID, request.parent_tid), asked(CLONE_CHILD_SETTID, request.child_tid)];
        kernel
    }

    /// Counts the thread that was asked for and makes it ready; the execution loop starts it on a host thread.
    ///
    /// # Errors
    /// `EAGAIN` if a schedule has no room for it.
    pub(super) fn prepare_thread(&mut self, request: &ThreadRequest) -> Result<Kernel> {
        if let Some(turn) = schedule::current() {
            self.new_slot = Some(turn.add_thread().ok_or(Errno::EAGAIN)?);
        }
        self.threads.fetch_add(1, Ordering::AcqRel);
        // The new host thread begins with this mask: no signal reaches it before it can record one.
        self.signals.hold_host();
        Ok(Kernel { new_slot: self.new_slot, ..self.of_thread(request) })
    }

    /// The beginning of a thread on its host thread; `poll` is what it polls.
    pub(super) fn begin(&mut self, poll: &'static AtomicU32, memory: &GuestMemory) -> u64 {
        self.tid = match self.new_slot.take() {
            Some(slot) => schedule::begin_thread(slot),
            None => host::gettid().unwrap_or(0),
        };
        if self.signals.uses_host() {
            host::begin_thread(poll);
            // The host's C library has set an action of its own when it made its first thread.
            self.signals.tell_host(host::INTERRUPT);
        }
        for addr in self.announce.into_iter().flatten() {
            let _ = memory.write(addr, &(self.tid as u32).to_le_bytes());
        }
        self.signals.release_host();
        self.tid
    }

    /// What Linux does at a thread's end: marks the robust futexes that it holds, and wakes who waits for it.
    pub(super) fn leave_memory(&mut self, memory: &GuestMemory) {
        for addr in release_robust_list(memory, std::mem::take(&mut self.robust_list), self.tid) {
            self.wake(memory, addr);
        }
        let addr = std::mem::take(&mut self.clear_child_tid);
        if addr != 0 && memory.write(addr, &[0; 4]).is_ok() {
            self.wake(memory, addr);
        }
    }
}

impl Kernel {
    /// Wakes one who waits for a futex.
    fn wake(&self, memory: &GuestMemory, addr: u64) {
        if let Some(turn) = schedule::current() {
            schedule::futex::wake_one(&turn, self, memory, addr);
        } else if let Ok(word) = futex_word(memory, addr) {
            let _ = host::futex_wake(word, FUTEX_WAKE, 1);
        }
    }
}

/// The end of this thread, and of the process if it is the last one. That others see it is left to
/// [`crate::env::Environment::end_thread`].
pub(super) fn exit(kernel: &mut Kernel, _: &GuestMemory, [status, ..]: Args) -> Result {
    kernel.after = Some(if kernel.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
        After::End(Status::Exited(status as u8))
    } else {
        kernel.signals.end_thread();
        After::EndThread(status as u8)
    });
    Ok(0)
}

pub(super) fn exit_group(kernel: &mut Kernel, _: &GuestMemory, [status, ..]: Args) -> Result {
    kernel.after = Some(After::End(Status::Exited(status as u8)));
    Ok(0)
}

pub(super) fn set_tid_address(kernel: &mut Kernel, _: &GuestMemory, [addr, ..]: Args) -> Result {
    kernel.clear_child_tid = addr;
    Ok(kernel.tid)
}

pub(super) fn set_robust_list(kernel: &mut Kernel, _: &GuestMemory, [head, len, ..]: Args) -> Result {
    if len != 24 {
        return Err(Errno::EINVAL);
    }
    kernel.robust_list = head;
    Ok(0)
}

/// The list of this thread; those of others are not shown.
pub(super) fn get_robust_list(kernel: &mut Kernel, memory: &GuestMemory, [tid, head, len, ..]: Args) -> Result {
    if tid as i32 != 0 && Ok(tid & 0xffff_ffff) != host::gettid() {
        return Err(Errno::EPERM);
    }
    memory.write(head, &kernel.robust_list.to_le_bytes())?;
    memory.write(len, &24u64.to_le_bytes())?;
    Ok(0)
}

/// Walks the robust list of thread `own` as `exit_robust_list` does, and returns the futexes of which a waiter is to be
/// woken. Whatever stands in guest memory, this ends and harms nobody.
fn release_robust_list(memory: &GuestMemory, head: u64, own: u64) -> Vec<u64> {
    let word = |addr: u64| memory.load(addr).map(u64::from_le_bytes).ok();
    let fields = || Some((word(head)?, word(head.wrapping_add(8))?, word(head.wrapping_add(16))?));
    let mut woken = Vec::new();
    let Some((first, offset, pending)) = (head != 0).then(fields).flatten() else { return woken };
    let mut entry = first;
    for _ in 0..ROBUST_LIST_LIMIT {
        // Bit 0 says that the futex inherits priority.
        let at = entry & !1;
        if at == head {
            break;
        }
        let next = word(at);
        if at != pending & !1 {
            woken.extend(release_robust_futex(memory, at.wrapping_add(offset), own, false));
        }
        let Some(next) = next else { break };
        entry = next;
    }
    if pending & !1 != 0 {
        woken.extend(release_robust_futex(memory, (pending & !1).wrapping_add(offset), own, true));
    }
    woken
}

/// Marks a futex as left by its owner, if that is thread `own`. Returns its address if one who waits for it is to be
/// woken.
fn release_robust_futex(memory: &GuestMemory, addr: u64, own: u64, pending: bool) -> Option<u64> {
    if !addr.is_multiple_of(4) {
        return None;
    }
    loop {
        let old = memory.load(addr).map(u32::from_le_bytes).ok()?;
        if u64::from(old & FUTEX_TID_MASK) != own {
            // It died between taking the futex off its list and waking: somebody may wait for the wake.
            return (pending && old == 0).then_some(addr);
        }
        let new = old & FUTEX_WAITERS | FUTEX_OWNER_DIED;
        match memory.compare_exchange(addr, 4, u128::from(old), u128::from(new)) {
            Ok(seen) if seen == u128::from(old) => return Some(addr),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

fn futex_word(memory: &GuestMemory, addr: u64) -> Result<Word> {
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    memory.check(addr, 4, Access::Read)?;
    Ok(Word(Some(memory.host_range(addr, 4, Access::Read)?)))
}

pub(super) fn futex(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    if let Some(turn) = schedule::current() {
        return schedule::futex::call(&turn, kernel, memory, args);
    }
    let [addr, op, value, timeout_or_count, second, value3] = args;
    let first = futex_word(memory, addr)?;
    match op & 0x7f {
        // FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_LOCK_PI, FUTEX_LOCK_PI2
        0 | 6 | 9 | 13 => {
            let timeout = read_optional::<16>(memory, timeout_or_count)?;
            host::futex(first, op, value, timeout.as_ref(), Word(None), value3)
        }
        // FUTEX_WAIT_REQUEUE_PI
        11 => {
            let timeout = read_optional::<16>(memory, timeout_or_count)?;
            host::futex(first, op, value, timeout.as_ref(), futex_word(memory, second)?, value3)
        }
        // FUTEX_WAKE, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_WAKE_BITSET
        1 | 7 | 8 | 10 => host::futex(first, op, value, None, Word(None), value3),
        // FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_CMP_REQUEUE_PI
        3..=5 | 12 => host::futex_requeue(first, op, value, timeout_or_count, futex_word(memory, second)?, value3),
        _ => Err(Errno::ENOSYS),
    }
}

#[cfg(test)]
mod tests {
    use super::super::start::tests::kernel;
    use super::*;

    /// Maps a page for a list and its futexes.
    fn page(memory: &GuestMemory) -> u64 {
        memory.map_anonymous(0x10000, 0x1000, 3, false).unwrap();
        0x10000
    }

    #[test]
    fn a_robust_list_is_walked_to_its_end_and_marks_what_this_thread_holds() {
        let (_, memory) = kernel();
        let head = page(&memory);
        let own = 77;
        let word = |at: u64, value: u64| memory.write(at, &value.to_le_bytes()).unwrap();
        // head -> a -> b -> head; the futexes stand 8 bytes behind their entries.
        word(head, head + 0x100);
        word(head + 8, 8);
        word(head + 16, 0);
        word(head + 0x100, head + 0x200);
        word(head + 0x200, head);
        memory.write(head + 0x108, &(own | FUTEX_WAITERS).to_le_bytes()).unwrap();
        memory.write(head + 0x208, &(own ^ 1).to_le_bytes()).unwrap();
        assert_eq!(release_robust_list(&memory, head, u64::from(own)), [head + 0x108]);
        let futex = |at: u64| u32::from_le_bytes(memory.load(at).unwrap());
        assert_eq!(futex(head + 0x108), FUTEX_WAITERS | FUTEX_OWNER_DIED);
        assert_eq!(futex(head + 0x208), own ^ 1);
    }

    #[test]
    fn broken_robust_lists_end() {
        let (_, memory) = kernel();
        let head = page(&memory);
        for first in [head + 8, 0, 1, u64::MAX, head + 0xff9, 0x20000] {
            memory.write(head, &first.to_le_bytes()).unwrap();
            // An entry that leads to itself.
            memory.write(head + 8, &(head + 8).to_le_bytes()).unwrap();
            release_robust_list(&memory, head, 77);
        }
        assert!(release_robust_list(&memory, u64::MAX - 3, 77).is_empty());
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        let (mut kernel, memory) = kernel();
        for flags in [CLONE_THREAD, CLONE_THREAD | CLONE_VM, CLONE_VM, CLONE_FILES] {
            assert_eq!(clone(&mut kernel, &memory, [flags, 0, 0, 0, 0, 0]), Err(Errno::EINVAL), "{flags:#x}");
        }
        assert_eq!(clone3(&mut kernel, &memory, [0, 88, 0, 0, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(clone3(&mut kernel, &memory, [0, 8, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(clone3(&mut kernel, &memory, [0, 1 << 20, 0, 0, 0, 0]), Err(Errno::E2BIG));
    }
}
