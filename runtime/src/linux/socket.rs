//! Sockets, passed to the host. Messages with control data (`sendmsg`, `recvmsg`) are not here yet.

use super::errno::Errno;
use super::fs::write_pair;
use super::{Kernel, host};
use crate::mem::{Access, GuestMemory};

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

/// The size of `struct sockaddr_storage`.
const ADDRESS: usize = 128;

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
    if len > 4096 {
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
