//! Sockets, passed to the host. Control data of messages (descriptors, credentials, timestamps) has the same layout on
//! all 64-bit Linux, so it passes as bytes.

use super::abi::{u32_at, u64_at};
use super::errno::Errno;
use super::fs::{buffers, write_pair};
use super::host::{self, Message};
use super::{Kernel, read_optional};
use crate::mem::{Access, GuestMemory};
use std::time::{Duration, Instant};

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

/// The size of `struct sockaddr_storage`.
const ADDRESS: usize = 128;
/// The size of `struct msghdr`, and of `struct mmsghdr`.
const MESSAGE: usize = 56;
const MESSAGE_AND_LEN: u64 = 64;
/// More control data than any kernel takes.
const MAX_CONTROL: u64 = 1 << 17;
const MSG_DONTWAIT: u64 = 0x40;
const MSG_WAITFORONE: u64 = 0x1_0000;
const SOL_SOCKET: u64 = 1;
/// Options whose value contains an address, which would be one of the emulator: `SO_ATTACH_FILTER`,
/// `SO_ATTACH_REUSEPORT_CBPF`.
const OPTIONS_WITH_ADDRESSES: [u64; 2] = [26, 51];

/// Reads a socket address that the guest gives.
fn read_address(memory: &GuestMemory, addr: u64, len: u64) -> Result<Vec<u8>> {
    if len > ADDRESS as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(if addr == 0 { Vec::new() } else { memory.read_vec(addr, len)? })
}

/// Makes a call that returns an address, of which the guest gets as much as fits.
fn with_address(
    memory: &GuestMemory,
    addr: u64,
    len_addr: u64,
    call: impl FnOnce(Option<&mut [u8; ADDRESS]>, Option<&mut [u8; 4]>) -> Result,
) -> Result {
    if addr == 0 {
        return call(None, None);
    }
    let room = u32::from_le_bytes(memory.load(len_addr)?);
    if room > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    let mut address = [0; ADDRESS];
    let mut len = (ADDRESS as u32).to_le_bytes();
    let result = call(Some(&mut address), Some(&mut len))?;
    let filled = u32::from_le_bytes(len).min(room).min(ADDRESS as u32);
    memory.write(addr, &address[..filled as usize])?;
    memory.write(len_addr, &len)?;
    Ok(result)
}

pub(super) fn socket(_: &mut Kernel, _: &GuestMemory, [domain, kind, protocol, ..]: Args) -> Result {
    host::socket(domain, kind, protocol)
}

pub(super) fn socketpair(_: &mut Kernel, memory: &GuestMemory, [domain, kind, protocol, out, ..]: Args) -> Result {
    let mut pair = [0; 8];
    host::socketpair(domain, kind, protocol, &mut pair)?;
    write_pair(memory, out, &pair)
}

pub(super) fn bind(_: &mut Kernel, memory: &GuestMemory, [fd, addr, len, ..]: Args) -> Result {
    host::bind(fd as i32, &read_address(memory, addr, len)?)
}

pub(super) fn listen(_: &mut Kernel, _: &GuestMemory, [fd, backlog, ..]: Args) -> Result {
    host::listen(fd as i32, backlog)
}

pub(super) fn accept(kernel: &mut Kernel, memory: &GuestMemory, [fd, addr, len, ..]: Args) -> Result {
    accept4(kernel, memory, [fd, addr, len, 0, 0, 0])
}

pub(super) fn accept4(_: &mut Kernel, memory: &GuestMemory, [fd, addr, len, flags, ..]: Args) -> Result {
    with_address(memory, addr, len, |address, len| host::accept4(fd as i32, address, len, flags))
}

pub(super) fn connect(_: &mut Kernel, memory: &GuestMemory, [fd, addr, len, ..]: Args) -> Result {
    host::connect(fd as i32, &read_address(memory, addr, len)?)
}

pub(super) fn getsockname(_: &mut Kernel, memory: &GuestMemory, [fd, addr, len, ..]: Args) -> Result {
    with_address(memory, addr, len, |address, len| match (address, len) {
        (Some(address), Some(len)) => host::getsockname(fd as i32, address, len),
        _ => Err(Errno::EFAULT),
    })
}

pub(super) fn getpeername(_: &mut Kernel, memory: &GuestMemory, [fd, addr, len, ..]: Args) -> Result {
    with_address(memory, addr, len, |address, len| match (address, len) {
        (Some(address), Some(len)) => host::getpeername(fd as i32, address, len),
        _ => Err(Errno::EFAULT),
    })
}

pub(super) fn sendto(_: &mut Kernel, memory: &GuestMemory, [fd, buf, len, flags, addr, addr_len]: Args) -> Result {
    let address = read_address(memory, addr, if addr == 0 { 0 } else { addr_len })?;
    host::sendto(fd as i32, memory.host_range(buf, len, Access::Read)?, flags, &address)
}

pub(super) fn recvfrom(_: &mut Kernel, memory: &GuestMemory, [fd, buf, len, flags, addr, addr_len]: Args) -> Result {
    let range = memory.host_range(buf, len, Access::Write)?;
    with_address(memory, addr, addr_len, |address, len| host::recvfrom(fd as i32, range, flags, address, len))
}

pub(super) fn setsockopt(_: &mut Kernel, memory: &GuestMemory, [fd, level, name, value, len, _]: Args) -> Result {
    if len > 4096 || (level == SOL_SOCKET && OPTIONS_WITH_ADDRESSES.contains(&name)) {
        return Err(Errno::EINVAL);
    }
    host::setsockopt(fd as i32, level, name, &memory.read_vec(value, len)?)
}

pub(super) fn getsockopt(_: &mut Kernel, memory: &GuestMemory, [fd, level, name, value, len_addr, _]: Args) -> Result {
    let room = u32::from_le_bytes(memory.load(len_addr)?).min(256);
    let mut out = [0; 256];
    let mut len = room.to_le_bytes();
    let result = host::getsockopt(fd as i32, level, name, &mut out, &mut len)?;
    memory.write(value, &out[..u32::from_le_bytes(len).min(room) as usize])?;
    memory.write(len_addr, &len)?;
    Ok(result)
}

pub(super) fn shutdown(_: &mut Kernel, _: &GuestMemory, [fd, how, ..]: Args) -> Result {
    host::shutdown(fd as i32, how)
}

/// The guest's `struct msghdr`.
struct Header {
    name: u64,
    name_len: u64,
    data: u64,
    data_count: u64,
    control: u64,
    control_len: u64,
}

impl Header {
    fn read(memory: &GuestMemory, addr: u64) -> Result<Self> {
        let bytes = memory.load::<MESSAGE>(addr)?;
        let name_len = u32_at(&bytes, 8);
        if name_len > i32::MAX as u32 {
            return Err(Errno::EINVAL);
        }
        let header = Header {
            name: u64_at(&bytes, 0),
            name_len: u64::from(name_len).min(ADDRESS as u64),
            data: u64_at(&bytes, 16),
            data_count: u64_at(&bytes, 24),
            control: u64_at(&bytes, 32),
            control_len: u64_at(&bytes, 40),
        };
        if header.data_count > 1024 { Err(Errno::EMSGSIZE) } else { Ok(header) }
    }
}

pub(super) fn sendmsg(_: &mut Kernel, memory: &GuestMemory, [fd, message, flags, ..]: Args) -> Result {
    let header = Header::read(memory, message)?;
    let data = buffers(memory, header.data, header.data_count, Access::Read)?;
    let mut name = read_address(memory, header.name, header.name_len)?;
    if header.control_len > MAX_CONTROL {
        return Err(Errno::ENOBUFS);
    }
    let mut control = memory.read_vec(header.control, header.control_len)?;
    host::sendmsg(fd as i32, &mut Message::new(&mut name, &data, &mut control), flags)
}

pub(super) fn recvmsg(_: &mut Kernel, memory: &GuestMemory, [fd, addr, flags, ..]: Args) -> Result {
    let header = Header::read(memory, addr)?;
    let data = buffers(memory, header.data, header.data_count, Access::Write)?;
    let control_len = header.control_len.min(MAX_CONTROL);
    // A message that was received for a bad address would be lost, and its descriptors with it.
    memory.check(header.control, control_len, Access::Write)?;
    memory.check(addr, MESSAGE as u64, Access::Write)?;
    let (mut name, mut control) = ([0; ADDRESS], vec![0; control_len as usize]);
    let mut message = Message::new(if header.name == 0 { &mut [] } else { &mut name }, &data, &mut control);
    let received = host::recvmsg(fd as i32, &mut message, flags)?;
    let (name_len, control_len, flags) = (message.name_len(), message.control_len(), message.flags());
    if header.name != 0 {
        memory.write(header.name, &name[..u64::from(name_len).min(header.name_len) as usize])?;
        memory.write(addr + 8, &name_len.to_le_bytes())?;
    }
    memory.write(header.control, &control[..control_len as usize])?;
    memory.write(addr + 40, &control_len.to_le_bytes())?;
    memory.write(addr + 48, &flags.to_le_bytes())?;
    Ok(received)
}

/// Makes a call for each of `count` messages until one fails; that error counts only if it is the first's.
fn for_messages(memory: &GuestMemory, addr: u64, count: u64, mut call: impl FnMut(u64, u64) -> Result) -> Result {
    let mut done = 0;
    while done < count.min(1024) {
        let at = addr.wrapping_add(done * MESSAGE_AND_LEN);
        match call(at, done) {
            Ok(len) => memory.write(at.wrapping_add(MESSAGE as u64), &(len as u32).to_le_bytes())?,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
        done += 1;
    }
    Ok(done)
}

pub(super) fn sendmmsg(kernel: &mut Kernel, memory: &GuestMemory, [fd, addr, count, flags, ..]: Args) -> Result {
    for_messages(memory, addr, count & 0xffff_ffff, |at, _| sendmsg(kernel, memory, [fd, at, flags, 0, 0, 0]))
}

/// As in Linux, the timeout is looked at after each message only.
pub(super) fn recvmmsg(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [fd, addr, count, flags, timeout, _] = args;
    let timeout = read_optional::<16>(memory, timeout)?;
    let timeout = timeout.map(|time| Duration::new(u64_at(&time, 0), u64_at(&time, 8).min(999_999_999) as u32));
    let start = Instant::now();
    for_messages(memory, addr, count & 0xffff_ffff, |at, done| {
        if done > 0 && timeout.is_some_and(|timeout| start.elapsed() >= timeout) {
            return Err(Errno::EAGAIN);
        }
        let no_wait = if done > 0 && flags & MSG_WAITFORONE != 0 { MSG_DONTWAIT } else { 0 };
        recvmsg(kernel, memory, [fd, at, flags & !MSG_WAITFORONE | no_wait, 0, 0, 0])
    })
}
