//! Clocks and timers. The structures are the same on all 64-bit Linux, so they pass as bytes.

use super::abi::{Encoder, u64_at};
use super::errno::Errno;
use super::{Kernel, host, read_optional, write_optional};
use crate::mem::GuestMemory;

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

pub(super) fn clock_gettime(_: &mut Kernel, memory: &GuestMemory, [clock, out, ..]: Args) -> Result {
    let mut time = [0; 16];
    host::clock_gettime(clock, &mut time)?;
    memory.write(out, &time)?;
    Ok(0)
}

pub(super) fn clock_settime(_: &mut Kernel, memory: &GuestMemory, [clock, time, ..]: Args) -> Result {
    host::clock_settime(clock, &memory.load(time)?)
}

pub(super) fn clock_getres(_: &mut Kernel, memory: &GuestMemory, [clock, out, ..]: Args) -> Result {
    let mut time = [0; 16];
    host::clock_getres(clock, Some(&mut time))?;
    write_optional(memory, out, &time)?;
    Ok(0)
}

pub(super) fn gettimeofday(_: &mut Kernel, memory: &GuestMemory, [out, zone, ..]: Args) -> Result {
    let mut time = [0; 16];
    host::clock_gettime(0, &mut time)?;
    let microseconds = u64_at(&time, 8) / 1000;
    write_optional(memory, out, &Encoder::default().u64(u64_at(&time, 0)).u64(microseconds).finish::<16>())?;
    write_optional(memory, zone, &[0; 8])?;
    Ok(0)
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
    host::getitimer(which, &mut value)?;
    memory.write(out, &value)?;
    Ok(0)
}

pub(super) fn setitimer(_: &mut Kernel, memory: &GuestMemory, [which, new, old, ..]: Args) -> Result {
    let new = read_optional::<32>(memory, new)?;
    let mut former = [0; 32];
    host::setitimer(which, new.as_ref(), Some(&mut former))?;
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn timer_create(_: &mut Kernel, memory: &GuestMemory, [clock, event, out, ..]: Args) -> Result {
    let event = read_optional::<64>(memory, event)?;
    let mut id = [0; 4];
    host::timer_create(clock, event.as_ref(), &mut id)?;
    memory.write(out, &id)?;
    Ok(0)
}

pub(super) fn timer_settime(_: &mut Kernel, memory: &GuestMemory, [id, flags, new, old, ..]: Args) -> Result {
    let mut former = [0; 32];
    host::timer_settime(id, flags, &memory.load(new)?, Some(&mut former))?;
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn timer_gettime(_: &mut Kernel, memory: &GuestMemory, [id, out, ..]: Args) -> Result {
    let mut value = [0; 32];
    host::timer_gettime(id, &mut value)?;
    memory.write(out, &value)?;
    Ok(0)
}

pub(super) fn timer_getoverrun(_: &mut Kernel, _: &GuestMemory, [id, ..]: Args) -> Result {
    host::timer_getoverrun(id)
}

pub(super) fn timer_delete(_: &mut Kernel, _: &GuestMemory, [id, ..]: Args) -> Result {
    host::timer_delete(id)
}

pub(super) fn timerfd_create(_: &mut Kernel, _: &GuestMemory, [clock, flags, ..]: Args) -> Result {
    host::timerfd_create(clock, flags)
}

pub(super) fn timerfd_settime(_: &mut Kernel, memory: &GuestMemory, [fd, flags, new, old, ..]: Args) -> Result {
    let mut former = [0; 32];
    host::timerfd_settime(fd as i32, flags, &memory.load(new)?, Some(&mut former))?;
    write_optional(memory, old, &former)?;
    Ok(0)
}

pub(super) fn timerfd_gettime(_: &mut Kernel, memory: &GuestMemory, [fd, out, ..]: Args) -> Result {
    let mut value = [0; 32];
    host::timerfd_gettime(fd as i32, &mut value)?;
    memory.write(out, &value)?;
    Ok(0)
}
