//! Futexes of a scheduled run: queues of waiting threads in the shared page, by address. Source: futex(2).
//!
//! The key of a private futex is its process and its address, of another one the file and the offset, or the address
//! alone where anonymous memory is shared: forked processes have it at the same place.

use super::super::errno::Errno;
use super::super::map::Source;
use super::super::{Kernel, read_optional};
use super::page::Slot;
use super::{Turn, Wait, clock, state};
use crate::machine::lock;
use crate::mem::{Access, GuestMemory};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::Ordering::Relaxed;

type Result<T = u64> = std::result::Result<T, Errno>;

const PRIVATE: u64 = 128;
const CLOCK_REALTIME: u64 = 256;
const WAITERS: u32 = 0x8000_0000;
const TID_MASK: u32 = 0x3fff_ffff;
const ALL: u32 = u32::MAX;

type Key = [u64; 2];

fn key(turn: &Turn, kernel: &Kernel, addr: u64, private: bool) -> Key {
    if private {
        return [turn.process(), addr];
    }
    let space = lock(&kernel.space);
    match space.map.find(addr) {
        Some((start, area)) if area.shared => match &area.source {
            Source::File { path, offset } => {
                // The high bit tells files from processes.
                let file = BuildHasherDefault::<DefaultHasher>::default().hash_one(path) | 1 << 63;
                [file, offset + (addr - start)]
            }
            _ => [0, addr],
        },
        _ => [turn.process(), addr],
    }
}

/// Performs `futex`.
///
/// # Errors
/// As the call.
pub(in super::super) fn call(turn: &Turn, kernel: &Kernel, memory: &GuestMemory, args: [u64; 6]) -> Result {
    let [addr, op, value, timeout_or_count, second, value3] = args;
    let private = op & PRIVATE != 0;
    let own = key(turn, kernel, checked(memory, addr)?, private);
    let load = |addr: u64| Ok::<u32, Errno>(u32::from_le_bytes(memory.load(addr)?));
    let deadline = |absolute: bool| {
        let time = read_optional::<16>(memory, timeout_or_count)?;
        time.map_or(Ok(u64::MAX), |time| {
            let clock = if absolute && op & CLOCK_REALTIME != 0 { 0 } else { 1 };
            clock::deadline(turn, &time, absolute.then_some(clock))
        })
    };
    match op & 0x7f {
        // FUTEX_WAIT, FUTEX_WAIT_BITSET
        kind @ (0 | 9) => {
            let bits = if kind == 0 { ALL } else { value3 as u32 };
            if bits == 0 {
                return Err(Errno::EINVAL);
            }
            let deadline = deadline(kind == 9)?;
            if load(addr)? != value as u32 {
                return Err(Errno::EAGAIN);
            }
            turn.sleep_on(own, bits, deadline)
        }
        // FUTEX_WAKE, FUTEX_WAKE_BITSET
        1 => Ok(turn.wake(own, ALL, at_least_one(value))),
        10 if value3 as u32 == 0 => Err(Errno::EINVAL),
        10 => Ok(turn.wake(own, value3 as u32, at_least_one(value))),
        // FUTEX_REQUEUE, FUTEX_CMP_REQUEUE
        kind @ (3 | 4) => {
            let other = key(turn, kernel, checked(memory, second)?, private);
            if (value as i32) < 0 || (timeout_or_count as i32) < 0 {
                return Err(Errno::EINVAL);
            }
            if kind == 4 && load(addr)? != value3 as u32 {
                return Err(Errno::EAGAIN);
            }
            let woken = turn.wake(own, ALL, value as i32);
            let moved = turn.requeue(own, other, timeout_or_count as i32);
            Ok(if kind == 4 { woken + moved } else { woken })
        }
        // FUTEX_WAKE_OP
        5 => {
            let other = key(turn, kernel, checked(memory, second)?, private);
            let old = load(second)?;
            let (new, also) = wake_op(value3 as u32, old)?;
            memory.write(second, &new.to_le_bytes())?;
            let woken = turn.wake(own, ALL, at_least_one(value));
            Ok(woken + if also { turn.wake(other, ALL, at_least_one(timeout_or_count)) } else { 0 })
        }
        // FUTEX_LOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_LOCK_PI2
        kind @ (6 | 8 | 13) => {
            let deadline = if kind == 8 { u64::MAX } else { deadline(true)? };
            loop {
                let word = load(addr)?;
                let waiters = turn.has_waiters(own);
                if word & TID_MASK == 0 {
                    let waiting = if waiters { WAITERS } else { 0 };
                    memory.write(addr, &(turn.thread() as u32 | waiting).to_le_bytes())?;
                    return Ok(0);
                }
                if u64::from(word & TID_MASK) == turn.thread() {
                    return Err(Errno::EDEADLK);
                }
                if kind == 8 {
                    return Err(Errno::EAGAIN);
                }
                memory.write(addr, &(word | WAITERS).to_le_bytes())?;
                turn.sleep_on(own, ALL, deadline)?;
            }
        }
        // FUTEX_UNLOCK_PI
        7 => {
            let word = load(addr)?;
            if u64::from(word & TID_MASK) != turn.thread() {
                return Err(Errno::EPERM);
            }
            memory.write(addr, &[0; 4])?;
            turn.wake(own, ALL, 1);
            Ok(0)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// Wakes a thread that waits for the futex at `addr`, which need not be private.
pub(in super::super) fn wake_one(turn: &Turn, kernel: &Kernel, memory: &GuestMemory, addr: u64) {
    if checked(memory, addr).is_ok() {
        for private in [true, false] {
            turn.wake(key(turn, kernel, addr, private), ALL, 1);
        }
    }
}

/// How many are woken: one even if none is asked for, as Linux does.
fn at_least_one(count: u64) -> i32 {
    (count as i32).max(1)
}

fn checked(memory: &GuestMemory, addr: u64) -> Result {
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    memory.check(addr, 4, Access::Read)?;
    Ok(addr)
}

/// The new value of the second word, and whether its waiters are woken too, as the encoded operation says.
fn wake_op(code: u32, old: u32) -> Result<(u32, bool)> {
    // Twelve bits each, with a sign.
    let signed = |bits: u32| ((bits << 20) as i32 >> 20) as u32;
    let (operand, compared) = (signed(code >> 12 & 0xfff), signed(code & 0xfff));
    let operand = if code >> 28 & 8 != 0 { 1 << (operand & 31) } else { operand };
    let new = match code >> 28 & 7 {
        0 => operand,
        1 => old.wrapping_add(operand),
        2 => old | operand,
        3 => old & !operand,
        4 => old ^ operand,
        _ => return Err(Errno::ENOSYS),
    };
    let (signed_old, compared) = (old as i32, compared as i32);
    let also = match code >> 24 & 15 {
        0 => signed_old == compared,
        1 => signed_old != compared,
        2 => signed_old < compared,
        3 => signed_old <= compared,
        4 => signed_old > compared,
        5 => signed_old >= compared,
        _ => return Err(Errno::ENOSYS),
    };
    Ok((new, also))
}

impl Turn {
    /// The slots of the threads that wait for a futex with any of `bits`, first come first.
    fn waiters(&self, key: Key, bits: u32) -> Vec<&'static Slot> {
        let waits = |slot: &&Slot| {
            slot.state.load(Relaxed) != state::FREE
                && slot.bits.load(Relaxed) & bits != 0
                && slot.futex[0].load(Relaxed) == key[0]
                && slot.futex[1].load(Relaxed) == key[1]
        };
        let mut found: Vec<&Slot> = self.slots().iter().filter(waits).collect();
        found.sort_by_key(|slot| slot.arrival.load(Relaxed));
        found
    }

    fn has_waiters(&self, key: Key) -> bool {
        !self.waiters(key, ALL).is_empty()
    }

    fn wake(&self, key: Key, bits: u32, count: i32) -> u64 {
        let woken: Vec<&Slot> = self.waiters(key, bits).into_iter().take(count as usize).collect();
        for slot in &woken {
            slot.bits.store(0, Relaxed);
            slot.look.store(1, Relaxed);
        }
        woken.len() as u64
    }

    fn requeue(&self, from: Key, to: Key, count: i32) -> u64 {
        let moved: Vec<&Slot> = self.waiters(from, ALL).into_iter().take(count as usize).collect();
        for slot in &moved {
            slot.futex.iter().zip(to).for_each(|(word, value)| word.store(value, Relaxed));
            slot.arrival.store(self.page.arrivals.fetch_add(1, Relaxed), Relaxed);
        }
        moved.len() as u64
    }

    fn sleep_on(&self, key: Key, bits: u32, deadline: u64) -> Result {
        let slot = self.slot();
        slot.futex.iter().zip(key).for_each(|(word, value)| word.store(value, Relaxed));
        slot.arrival.store(self.page.arrivals.fetch_add(1, Relaxed), Relaxed);
        slot.bits.store(bits, Relaxed);
        let result = self.wait(Wait::Quiet, deadline, || (slot.bits.load(Relaxed) == 0).then_some(()));
        let woken = slot.bits.swap(0, Relaxed) == 0;
        match result {
            _ if woken => Ok(0),
            Ok(_) => Err(Errno::ETIMEDOUT),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_op_is_decoded_as_the_manual_says() {
        // FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_GT, 1), which C libraries use.
        assert_eq!(wake_op(4 << 24 | 1, 2), Ok((0, true)));
        assert_eq!(wake_op(4 << 24 | 1, 1), Ok((0, false)));
        // FUTEX_OP_ADD with -1, FUTEX_OP_CMP_LT 0.
        assert_eq!(wake_op(1 << 28 | 2 << 24 | 0xfff << 12, 0), Ok((u32::MAX, false)));
        // FUTEX_OP_OPARG_SHIFT: or with 1 << 5; equal to -1.
        assert_eq!(wake_op(0xa << 28 | 5 << 12 | 0xfff, u32::MAX), Ok((u32::MAX, true)));
        assert_eq!(wake_op(7 << 28, 0), Err(Errno::ENOSYS));
    }
}
