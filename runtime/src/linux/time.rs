//! Clocks and timers: the host's, or those of the schedule. The structures are the same on all 64-bit Linux, so they pass as bytes.

use super::abi::{Encoder, u64_at};
use super::errno::Errno;
use super::schedule::clock::{self, Name};
use super::schedule::current;
use super::{Kernel, host, read_optional, write_optional};
use crate::mem::GuestMemory;

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

pub(super) fn clock_gettime(_: &mut Kernel, memory: &GuestMemory, [clock, out, ..]: Args) -> Result {
    memory.write(out, &clock_time(clock)?)?;
    Ok(0)
}

fn clock_time(clock: u64) -> Result<[u8; 16]> {
    let mut time = [0; 16];
    match current() {
        Some(turn) => time = clock::timespec(clock::read(&turn, clock)?),
        None => drop(host::clock_gettime(clock, &mut time)?),
    }
    Ok(time)
}

/// Virtual time cannot be set.
fn refuse_if_scheduled() -> Result<()> {
    current().map_or(Ok(()), |_| Err(Errno::EPERM))
}

pub(super) fn clock_settime(_: &mut Kernel, memory: &GuestMemory, [clock, time, ..]: Args) -> Result {
    let time = memory.load(time)?;
    refuse_if_scheduled()?;
    host::clock_settime(clock, &time)
}

pub(super) fn clock_getres(_: &mut Kernel, memory: &GuestMemory, [clock, out, ..]: Args) -> Result {
    let mut time = [0; 16];
    match current() {
        Some(turn) => time = clock::resolution(&turn, clock)?,
        None => drop(host::clock_getres(clock, Some(&mut time))?),
    }
    write_optional(memory, out, &time)?;
    Ok(0)
}

pub(super) fn gettimeofday(_: &mut Kernel, memory: &GuestMemory, [out, zone, ..]: Args) -> Result {
    let time = clock_time(0)?;
    let microseconds = u64_at(&time, 8) / 1000;
    write_optional(memory, out, &Encoder::default().u64(u64_at(&time, 0)).u64(microseconds).finish::<16>())?;
    write_optional(memory, zone, &[0; 8])?;
    Ok(0)
}

pub(super) fn settimeofday(_: &mut Kernel, memory: &GuestMemory, [time, ..]: Args) -> Result {
    let Some(time) = read_optional::<16>(memory, time)? else {
        return Err(Errno::EPERM);
    };
    refuse_if_scheduled()?;
    let nanoseconds = u64_at(&time, 8).checked_mul(1000).ok_or(Errno::EINVAL)?;
    host::clock_settime(0, &Encoder::default().u64(u64_at(&time, 0)).u64(nanoseconds).finish())
}

pub(super) fn adjtimex(kernel: &mut Kernel, memory: &GuestMemory, [values, ..]: Args) -> Result {
    clock_adjtime(kernel, memory, [0, values, 0, 0, 0, 0])
}

pub(super) fn clock_adjtime(_: &mut Kernel, memory: &GuestMemory, [clock, addr, ..]: Args) -> Result {
    let mut values = memory.load::<208>(addr)?;
    refuse_if_scheduled()?;
    let state = host::clock_adjtime(clock, &mut values)?;
    memory.write(addr, &values)?;
    Ok(state)
}

pub(super) fn nanosleep(kernel: &mut Kernel, memory: &GuestMemory, [time, left, ..]: Args) -> Result {
    clock_nanosleep(kernel, memory, [1, 0, time, left, 0, 0])
}

pub(super) fn clock_nanosleep(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [clock, flags, time, left_addr, ..] = args;
    let absolute = flags & 1 != 0;
    let time = memory.load(time)?;
    let mut left = time;
    let result = host::clock_nanosleep(clock, flags, &time, Some(&mut left));
    if result == Err(Errno::EINTR) && !absolute {
        write_optional(memory, left_addr, &left)?;
    }
    result
}

pub(super) fn getitimer(_: &mut Kernel, memory: &GuestMemory, [which, out, ..]: Args) -> Result {
    let mut value = [0; 32];
    match current() {
        Some(turn) => value = clock::interval_timer(&turn, which)?,
        None => drop(host::getitimer(which, &mut value)?),
    }
    memory.write(out, &value)?;
    Ok(0)
}

pub(super) fn setitimer(_: &mut Kernel, memory: &GuestMemory, [which, new, old, ..]: Args) -> Result {
    let new = read_optional::<32>(memory, new)?;
    let mut former = [0; 32];
    match current() {
        Some(turn) => former = clock::set_interval_timer(&turn, which, new.as_ref())?,
        None => drop(host::setitimer(which, new.as_ref(), Some(&mut former))?),
    }
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn timer_create(_: &mut Kernel, memory: &GuestMemory, [clock, event, out, ..]: Args) -> Result {
    let event = read_optional::<64>(memory, event)?;
    let mut id = [0; 4];
    match current() {
        Some(turn) => id = (clock::create(&turn, clock, event.as_ref())? as u32).to_le_bytes(),
        None => drop(host::timer_create(clock, event.as_ref(), &mut id)?),
    }
    memory.write(out, &id)?;
    Ok(0)
}

pub(super) fn timer_settime(_: &mut Kernel, memory: &GuestMemory, [id, flags, new, old, ..]: Args) -> Result {
    let new = memory.load(new)?;
    let mut former = [0; 32];
    match current() {
        Some(turn) => former = clock::set(&turn, Name::Posix(id), flags, &new)?,
        None => drop(host::timer_settime(id, flags, &new, Some(&mut former))?),
    }
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn timer_gettime(_: &mut Kernel, memory: &GuestMemory, [id, out, ..]: Args) -> Result {
    let mut value = [0; 32];
    match current() {
        Some(turn) => value = clock::timer(&turn, Name::Posix(id))?,
        None => drop(host::timer_gettime(id, &mut value)?),
    }
    memory.write(out, &value)?;
    Ok(0)
}

pub(super) fn timer_getoverrun(_: &mut Kernel, _: &GuestMemory, [id, ..]: Args) -> Result {
    if current().is_some() { clock::overrun(id) } else { host::timer_getoverrun(id) }
}

pub(super) fn timer_delete(_: &mut Kernel, _: &GuestMemory, [id, ..]: Args) -> Result {
    current().map_or_else(|| host::timer_delete(id), |turn| clock::delete(&turn, id))
}

pub(super) fn timerfd_create(_: &mut Kernel, _: &GuestMemory, [clock, flags, ..]: Args) -> Result {
    current().map_or_else(|| host::timerfd_create(clock, flags), |turn| clock::create_file(&turn, clock, flags))
}

pub(super) fn timerfd_settime(_: &mut Kernel, memory: &GuestMemory, [fd, flags, new, old, ..]: Args) -> Result {
    let new = memory.load(new)?;
    let mut former = [0; 32];
    match current() {
        Some(turn) => former = clock::set(&turn, Name::File(fd), flags, &new)?,
        None => drop(host::timerfd_settime(fd as i32, flags, &new, Some(&mut former))?),
    }
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn timerfd_gettime(_: &mut Kernel, memory: &GuestMemory, [fd, out, ..]: Args) -> Result {
    let mut value = [0; 32];
    match current() {
        Some(turn) => value = clock::timer(&turn, Name::File(fd))?,
        None => drop(host::timerfd_gettime(fd as i32, &mut value)?),
    }
    memory.write(out, &value)?;
    Ok(0)
}
