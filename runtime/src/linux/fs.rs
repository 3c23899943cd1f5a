//! Files: descriptors are the host's; paths are looked up in the sysroot first, if there is one.

use super::abi::{
    epoll_event_to_guest, epoll_event_to_host, flags_to_guest, flags_to_host, stat_from_statx, u32_at, u64_at,
};
use super::errno::Errno;
use super::{Kernel, host, procfs, read_optional, read_path, write_optional};
use crate::mem::{Access, GuestMemory, HostRange};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

const AT_EMPTY_PATH: u64 = 0x1000;
const STATX_BASIC_STATS: u64 = 0x7ff;
/// The kernel's limit on one transfer.
const MAX_TRANSFER: u64 = 0x7fff_f000;
const IOV_MAX: u64 = 1024;

/// Reads a path that the call looks up, and redirects it into the sysroot if it is there.
fn existing_path(kernel: &Kernel, memory: &GuestMemory, addr: u64) -> Result<CString> {
    Ok(kernel.resolve(read_path(memory, addr)?))
}

impl Kernel {
    /// The host's path of a guest's: in the sysroot if it is a file there, or a directory that the host has not.
    pub(super) fn resolve(&self, path: CString) -> CString {
        let Some(root) = self.sysroot.as_ref().filter(|_| path.to_bytes().starts_with(b"/")) else {
            return path;
        };
        let relative = path.to_bytes().iter().position(|&byte| byte != b'/').unwrap_or(0);
        let inside = root.join(OsStr::from_bytes(&path.to_bytes()[relative..]));
        let Ok(found) = inside.metadata() else {
            return path;
        };
        let host_has_it = Path::new(OsStr::from_bytes(path.to_bytes())).exists();
        if found.is_dir() && host_has_it {
            return path;
        }
        CString::new(inside.as_os_str().as_bytes()).unwrap_or(path)
    }
}

fn buffer(memory: &GuestMemory, addr: u64, len: u64, access: Access) -> Result<HostRange> {
    Ok(memory.host_range(addr, len.min(MAX_TRANSFER), access)?)
}

/// Reads an array of `iovec`. As in Linux, the first bad buffer is an error and a later one ends the transfer there.
fn buffers(memory: &GuestMemory, addr: u64, count: u64, access: Access) -> Result<Vec<HostRange>> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let array = memory.read_vec(addr, count * 16)?;
    let mut ranges: Vec<HostRange> = Vec::new();
    for entry in array.chunks_exact(16) {
        let (start, len) = (u64_at(entry, 0), u64_at(entry, 8));
        if len > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        match buffer(memory, start, len, access) {
            Ok(range) => ranges.push(range),
            Err(error) if ranges.iter().all(HostRange::is_empty) => return Err(error),
            Err(_) => break,
        }
        if ranges[ranges.len() - 1].len() < len {
            break;
        }
    }
    Ok(ranges)
}

pub(super) fn read(_: &mut Kernel, memory: &GuestMemory, [fd, buf, count, ..]: Args) -> Result {
    host::read(fd as i32, buffer(memory, buf, count, Access::Write)?)
}

pub(super) fn write(_: &mut Kernel, memory: &GuestMemory, [fd, buf, count, ..]: Args) -> Result {
    host::write(fd as i32, buffer(memory, buf, count, Access::Read)?)
}

pub(super) fn pread64(_: &mut Kernel, memory: &GuestMemory, [fd, buf, count, offset, ..]: Args) -> Result {
    host::pread64(fd as i32, buffer(memory, buf, count, Access::Write)?, offset)
}

pub(super) fn pwrite64(_: &mut Kernel, memory: &GuestMemory, [fd, buf, count, offset, ..]: Args) -> Result {
    host::pwrite64(fd as i32, buffer(memory, buf, count, Access::Read)?, offset)
}

pub(super) fn readv(_: &mut Kernel, memory: &GuestMemory, [fd, iov, count, ..]: Args) -> Result {
    host::readv(fd as i32, &buffers(memory, iov, count, Access::Write)?)
}

pub(super) fn writev(_: &mut Kernel, memory: &GuestMemory, [fd, iov, count, ..]: Args) -> Result {
    host::writev(fd as i32, &buffers(memory, iov, count, Access::Read)?)
}

pub(super) fn preadv(_: &mut Kernel, memory: &GuestMemory, [fd, iov, count, low, high, _]: Args) -> Result {
    host::preadv(fd as i32, &buffers(memory, iov, count, Access::Write)?, low, high)
}

pub(super) fn pwritev(_: &mut Kernel, memory: &GuestMemory, [fd, iov, count, low, high, _]: Args) -> Result {
    host::pwritev(fd as i32, &buffers(memory, iov, count, Access::Read)?, low, high)
}

pub(super) fn openat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, flags, mode, ..]: Args) -> Result {
    let path = read_path(memory, path)?;
    if let Some(result) = procfs::open(kernel, &path, flags) {
        return result;
    }
    let path = kernel.resolve(path);
    let flags = flags_to_host(kernel.abi.open_flags(), flags & 0xffff_ffff);
    let fd = host::openat(dir as i32, &path, flags, mode)?;
    procfs::opened(kernel, fd, flags)
}

pub(super) fn close(_: &mut Kernel, _: &GuestMemory, [fd, ..]: Args) -> Result {
    host::close(fd as i32)
}

pub(super) fn close_range(_: &mut Kernel, _: &GuestMemory, [first, last, flags, ..]: Args) -> Result {
    host::close_range(first, last, flags)
}

pub(super) fn lseek(_: &mut Kernel, _: &GuestMemory, [fd, offset, whence, ..]: Args) -> Result {
    host::lseek(fd as i32, offset, whence)
}

/// Stats and writes the guest's `struct stat`.
fn stat_to(memory: &GuestMemory, dir: i32, path: &CStr, flags: u64, out: u64) -> Result {
    let mut statx = [0; 256];
    host::statx(dir, path, flags, STATX_BASIC_STATS, &mut statx)?;
    memory.write(out, &stat_from_statx(&statx))?;
    Ok(0)
}

pub(super) fn fstat(_: &mut Kernel, memory: &GuestMemory, [fd, out, ..]: Args) -> Result {
    stat_to(memory, fd as i32, c"", AT_EMPTY_PATH, out)
}

pub(super) fn newfstatat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, out, flags, ..]: Args) -> Result {
    let path = procfs::followed(kernel, existing_path(kernel, memory, path)?, flags);
    stat_to(memory, dir as i32, &path, flags, out)
}

pub(super) fn statx(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, flags, mask, out, _]: Args) -> Result {
    let path = procfs::followed(kernel, existing_path(kernel, memory, path)?, flags);
    let mut statx = [0; 256];
    host::statx(dir as i32, &path, flags, mask, &mut statx)?;
    memory.write(out, &statx)?;
    Ok(0)
}

pub(super) fn statfs(kernel: &mut Kernel, memory: &GuestMemory, [path, out, ..]: Args) -> Result {
    let mut bytes = [0; 120];
    host::statfs(&existing_path(kernel, memory, path)?, &mut bytes)?;
    memory.write(out, &bytes)?;
    Ok(0)
}

pub(super) fn fstatfs(_: &mut Kernel, memory: &GuestMemory, [fd, out, ..]: Args) -> Result {
    let mut bytes = [0; 120];
    host::fstatfs(fd as i32, &mut bytes)?;
    memory.write(out, &bytes)?;
    Ok(0)
}

pub(super) fn faccessat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, mode, ..]: Args) -> Result {
    let path = procfs::followed(kernel, existing_path(kernel, memory, path)?, 0);
    host::faccessat2(dir as i32, &path, mode, 0)
}

pub(super) fn faccessat2(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, mode, flags, ..]: Args) -> Result {
    let path = procfs::followed(kernel, existing_path(kernel, memory, path)?, flags);
    host::faccessat2(dir as i32, &path, mode, flags)
}

pub(super) fn readlinkat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, buf, size, ..]: Args) -> Result {
    if size as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let path = existing_path(kernel, memory, path)?;
    let mut out = vec![0; size.min(4096) as usize];
    let len = if procfs::is_own_program(&path) {
        let program = kernel.program.to_bytes();
        let len = program.len().min(out.len());
        out[..len].copy_from_slice(&program[..len]);
        len
    } else {
        host::readlinkat(dir as i32, &path, &mut out)? as usize
    };
    memory.write(buf, &out[..len])?;
    Ok(len as u64)
}

/// Extended attributes can be read, not changed.
pub(super) fn no_xattr(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    Err(Errno::EOPNOTSUPP)
}

/// Makes a call that fills a buffer; with size 0 it only tells the size.
fn filling(memory: &GuestMemory, addr: u64, size: u64, call: impl FnOnce(&mut [u8]) -> Result) -> Result {
    let mut out = vec![0; size.min(1 << 16) as usize];
    let len = call(&mut out)?;
    if size != 0 {
        memory.write(addr, &out[..len as usize])?;
    }
    Ok(len)
}

pub(super) fn getxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, name, value, size, ..]: Args) -> Result {
    let (path, name) = (existing_path(kernel, memory, path)?, read_path(memory, name)?);
    filling(memory, value, size, |out| host::getxattr(&path, &name, out))
}

pub(super) fn lgetxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, name, value, size, ..]: Args) -> Result {
    let (path, name) = (existing_path(kernel, memory, path)?, read_path(memory, name)?);
    filling(memory, value, size, |out| host::lgetxattr(&path, &name, out))
}

pub(super) fn fgetxattr(_: &mut Kernel, memory: &GuestMemory, [fd, name, value, size, ..]: Args) -> Result {
    let name = read_path(memory, name)?;
    filling(memory, value, size, |out| host::fgetxattr(fd as i32, &name, out))
}

pub(super) fn listxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, list, size, ..]: Args) -> Result {
    let path = existing_path(kernel, memory, path)?;
    filling(memory, list, size, |out| host::listxattr(&path, out))
}

pub(super) fn llistxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, list, size, ..]: Args) -> Result {
    let path = existing_path(kernel, memory, path)?;
    filling(memory, list, size, |out| host::llistxattr(&path, out))
}

pub(super) fn flistxattr(_: &mut Kernel, memory: &GuestMemory, [fd, list, size, ..]: Args) -> Result {
    filling(memory, list, size, |out| host::flistxattr(fd as i32, out))
}

pub(super) fn getdents64(_: &mut Kernel, memory: &GuestMemory, [fd, buf, count, ..]: Args) -> Result {
    host::getdents64(fd as i32, buffer(memory, buf, count & 0xffff_ffff, Access::Write)?)
}

pub(super) fn getcwd(_: &mut Kernel, memory: &GuestMemory, [buf, size, ..]: Args) -> Result {
    let mut out = [0; 4096];
    let len = host::getcwd(&mut out)?;
    if len > size {
        return Err(Errno::ERANGE);
    }
    memory.write(buf, &out[..len as usize])?;
    Ok(len)
}

pub(super) fn chdir(kernel: &mut Kernel, memory: &GuestMemory, [path, ..]: Args) -> Result {
    host::chdir(&existing_path(kernel, memory, path)?)
}

pub(super) fn fchdir(_: &mut Kernel, _: &GuestMemory, [fd, ..]: Args) -> Result {
    host::fchdir(fd as i32)
}

pub(super) fn chroot(_: &mut Kernel, memory: &GuestMemory, [path, ..]: Args) -> Result {
    host::chroot(&read_path(memory, path)?)
}

pub(super) fn mkdirat(_: &mut Kernel, memory: &GuestMemory, [dir, path, mode, ..]: Args) -> Result {
    host::mkdirat(dir as i32, &read_path(memory, path)?, mode)
}

pub(super) fn mknodat(_: &mut Kernel, memory: &GuestMemory, [dir, path, mode, dev, ..]: Args) -> Result {
    host::mknodat(dir as i32, &read_path(memory, path)?, mode, dev)
}

pub(super) fn unlinkat(_: &mut Kernel, memory: &GuestMemory, [dir, path, flags, ..]: Args) -> Result {
    host::unlinkat(dir as i32, &read_path(memory, path)?, flags)
}

pub(super) fn renameat(kernel: &mut Kernel, memory: &GuestMemory, [old_dir, old, new_dir, new, ..]: Args) -> Result {
    renameat2(kernel, memory, [old_dir, old, new_dir, new, 0, 0])
}

pub(super) fn renameat2(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [old_dir, old, new_dir, new, flags, _] = args;
    host::renameat2(old_dir as i32, &read_path(memory, old)?, new_dir as i32, &read_path(memory, new)?, flags)
}

pub(super) fn linkat(_: &mut Kernel, memory: &GuestMemory, [old_dir, old, new_dir, new, flags, _]: Args) -> Result {
    host::linkat(old_dir as i32, &read_path(memory, old)?, new_dir as i32, &read_path(memory, new)?, flags)
}

pub(super) fn symlinkat(_: &mut Kernel, memory: &GuestMemory, [target, dir, path, ..]: Args) -> Result {
    host::symlinkat(&read_path(memory, target)?, dir as i32, &read_path(memory, path)?)
}

pub(super) fn fchmod(_: &mut Kernel, _: &GuestMemory, [fd, mode, ..]: Args) -> Result {
    host::fchmod(fd as i32, mode)
}

pub(super) fn fchmodat(_: &mut Kernel, memory: &GuestMemory, [dir, path, mode, ..]: Args) -> Result {
    host::fchmodat(dir as i32, &read_path(memory, path)?, mode)
}

pub(super) fn fchown(_: &mut Kernel, _: &GuestMemory, [fd, user, group, ..]: Args) -> Result {
    host::fchown(fd as i32, user, group)
}

pub(super) fn fchownat(_: &mut Kernel, memory: &GuestMemory, [dir, path, user, group, flags, _]: Args) -> Result {
    host::fchownat(dir as i32, &read_path(memory, path)?, user, group, flags)
}

pub(super) fn utimensat(_: &mut Kernel, memory: &GuestMemory, [dir, path, times, flags, ..]: Args) -> Result {
    let path = if path == 0 { None } else { Some(read_path(memory, path)?) };
    let times = read_optional::<32>(memory, times)?;
    host::utimensat(dir as i32, path.as_deref(), times.as_ref(), flags)
}

pub(super) fn truncate(_: &mut Kernel, memory: &GuestMemory, [path, len, ..]: Args) -> Result {
    host::truncate(&read_path(memory, path)?, len)
}

pub(super) fn ftruncate(_: &mut Kernel, _: &GuestMemory, [fd, len, ..]: Args) -> Result {
    host::ftruncate(fd as i32, len)
}

pub(super) fn fallocate(_: &mut Kernel, _: &GuestMemory, [fd, mode, offset, len, ..]: Args) -> Result {
    host::fallocate(fd as i32, mode, offset, len)
}

pub(super) fn fadvise64(_: &mut Kernel, _: &GuestMemory, [fd, offset, len, advice, ..]: Args) -> Result {
    host::fadvise64(fd as i32, offset, len, advice)
}

pub(super) fn readahead(_: &mut Kernel, _: &GuestMemory, [fd, offset, count, ..]: Args) -> Result {
    host::readahead(fd as i32, offset, count)
}

pub(super) fn fsync(_: &mut Kernel, _: &GuestMemory, [fd, ..]: Args) -> Result {
    host::fsync(fd as i32)
}

pub(super) fn fdatasync(_: &mut Kernel, _: &GuestMemory, [fd, ..]: Args) -> Result {
    host::fdatasync(fd as i32)
}

pub(super) fn syncfs(_: &mut Kernel, _: &GuestMemory, [fd, ..]: Args) -> Result {
    host::syncfs(fd as i32)
}

pub(super) fn sync(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    host::sync()
}

pub(super) fn flock(_: &mut Kernel, _: &GuestMemory, [fd, operation, ..]: Args) -> Result {
    host::flock(fd as i32, operation)
}

pub(super) fn umask(_: &mut Kernel, _: &GuestMemory, [mask, ..]: Args) -> Result {
    host::umask(mask)
}

pub(super) fn memfd_create(_: &mut Kernel, memory: &GuestMemory, [name, flags, ..]: Args) -> Result {
    host::memfd_create(&read_path(memory, name)?, flags)
}

pub(super) fn dup(_: &mut Kernel, _: &GuestMemory, [fd, ..]: Args) -> Result {
    host::dup(fd as i32)
}

pub(super) fn dup3(kernel: &mut Kernel, _: &GuestMemory, [old, new, flags, ..]: Args) -> Result {
    host::dup3(old as i32, new as i32, flags_to_host(kernel.abi.open_flags(), flags & 0xffff_ffff))
}

pub(super) fn pipe2(kernel: &mut Kernel, memory: &GuestMemory, [out, flags, ..]: Args) -> Result {
    let mut pair = [0; 8];
    host::pipe2(&mut pair, flags_to_host(kernel.abi.open_flags(), flags & 0xffff_ffff))?;
    write_pair(memory, out, &pair)
}

/// Writes two new descriptors, or closes them again.
pub(super) fn write_pair(memory: &GuestMemory, out: u64, pair: &host::FdPair) -> Result {
    if memory.write(out, pair).is_err() {
        let _ = host::close(u32_at(pair, 0) as i32);
        let _ = host::close(u32_at(pair, 4) as i32);
        return Err(Errno::EFAULT);
    }
    Ok(0)
}

/// Commands of `fcntl` with an integer argument or none, besides `F_GETFL` and `F_SETFL`: `F_DUPFD`, `F_GETFD`,
/// `F_SETFD`, owners and signals, leases, `F_DUPFD_CLOEXEC`, pipe sizes, seals.
const FCNTL_INTEGER: &[u64] = &[0, 1, 2, 8, 9, 10, 11, 1024, 1025, 1026, 1030, 1031, 1032, 1033, 1034];
/// Those with a `struct flock`: `F_GETLK`, `F_SETLK`, `F_SETLKW` and the same for open file descriptions.
const FCNTL_LOCK: &[u64] = &[5, 6, 7, 36, 37, 38];

pub(super) fn fcntl(kernel: &mut Kernel, memory: &GuestMemory, [fd, command, arg, ..]: Args) -> Result {
    let (fd, command, pairs) = (fd as i32, command & 0xffff_ffff, kernel.abi.open_flags());
    match command {
        3 => Ok(flags_to_guest(pairs, host::fcntl(fd, command, 0)?)),
        4 => host::fcntl(fd, command, flags_to_host(pairs, arg)),
        _ if FCNTL_INTEGER.contains(&command) => host::fcntl(fd, command, arg),
        _ if FCNTL_LOCK.contains(&command) => {
            let mut lock = memory.load::<32>(arg)?;
            let result = host::fcntl_lock(fd, command, &mut lock)?;
            if matches!(command, 5 | 36) {
                memory.write(arg, &lock)?;
            }
            Ok(result)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// How an `ioctl` passes its argument.
enum Pass {
    In(usize),
    Out(usize),
    Integer,
}

/// The requests that pass to the host; the numbers are those of `asm-generic/ioctls.h`, which x86-64 shares.
fn ioctl_argument(request: u64) -> Option<Pass> {
    Some(match request {
        0x5401 => Pass::Out(36),                   // TCGETS
        0x5402..=0x5404 => Pass::In(36),           // TCSETS, TCSETSW, TCSETSF
        0x802c_542a => Pass::Out(44),              // TCGETS2
        0x402c_542b..=0x402c_542d => Pass::In(44), // TCSETS2, TCSETSW2, TCSETSF2
        0x5409..=0x540b => Pass::Integer,          // TCSBRK, TCXONC, TCFLSH
        0x540c..=0x540e => Pass::Integer,          // TIOCEXCL, TIOCNXCL, TIOCSCTTY
        0x540f => Pass::Out(4),                    // TIOCGPGRP
        0x5410 => Pass::In(4),                     // TIOCSPGRP
        0x5411 | 0x541b => Pass::Out(4),           // TIOCOUTQ, FIONREAD
        0x5413 => Pass::Out(8),                    // TIOCGWINSZ
        0x5414 => Pass::In(8),                     // TIOCSWINSZ
        0x5421 | 0x5452 => Pass::In(4),            // FIONBIO, FIOASYNC
        0x5422 | 0x5450 | 0x5451 => Pass::Integer, // TIOCNOTTY, FIONCLEX, FIOCLEX
        0x5429 => Pass::Out(4),                    // TIOCGSID
        0x8004_5430 => Pass::Out(4),               // TIOCGPTN
        0x4004_5431 => Pass::In(4),                // TIOCSPTLCK
        0x5441 => Pass::Integer,                   // TIOCGPTPEER
        0x1260 => Pass::Out(8),                    // BLKGETSIZE
        0x8008_1272 => Pass::Out(8),               // BLKGETSIZE64
        0x8008_6601 => Pass::Out(8),               // FS_IOC_GETFLAGS
        0x4004_9409 => Pass::Integer,              // FICLONE
        _ => return None,
    })
}

pub(super) fn ioctl(_: &mut Kernel, memory: &GuestMemory, [fd, request, arg, ..]: Args) -> Result {
    let (fd, request) = (fd as i32, request & 0xffff_ffff);
    let mut data = [0; 64];
    match ioctl_argument(request) {
        Some(Pass::Integer) => host::ioctl(fd, request, arg),
        Some(Pass::In(size)) => {
            memory.read(arg, &mut data[..size])?;
            host::ioctl_data(fd, request, &mut data)
        }
        Some(Pass::Out(size)) => {
            let result = host::ioctl_data(fd, request, &mut data)?;
            memory.write(arg, &data[..size])?;
            Ok(result)
        }
        // A bad descriptor is reported before an unknown request.
        None => host::fcntl(fd, 1, 0).and(Err(Errno::ENOTTY)),
    }
}

pub(super) fn ppoll(kernel: &mut Kernel, memory: &GuestMemory, [fds, count, timeout, mask, size, _]: Args) -> Result {
    let count = count & 0xffff_ffff;
    if count > 1 << 20 {
        return Err(Errno::EINVAL);
    }
    let mut array = memory.read_vec(fds, count * 8)?;
    let mut time = read_optional::<16>(memory, timeout)?;
    replace_mask(kernel, memory, mask, size)?;
    let result = host::ppoll(host::PollFds(&mut array), time.as_mut(), 0, 8);
    if let Some(time) = time {
        let _ = memory.write(timeout, &time);
    }
    let ready = result?;
    memory.write(fds, &array)?;
    Ok(ready)
}

/// Installs the signal mask that a waiting call gives, if any, for its length.
fn replace_mask(kernel: &mut Kernel, memory: &GuestMemory, addr: u64, size: u64) -> Result<()> {
    if addr != 0 {
        if size != 8 {
            return Err(Errno::EINVAL);
        }
        kernel.signals.replace_mask(u64::from_le_bytes(memory.load(addr)?));
    }
    Ok(())
}

pub(super) fn pselect6(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [count, read, write, except, timeout, mask] = args;
    let bytes = (count.min(65536).div_ceil(64) * 8) as usize;
    if count as i32 > 65536 || (count as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let mut sets = [None, None, None];
    for (set, addr) in sets.iter_mut().zip([read, write, except]) {
        if addr != 0 {
            let mut bits = Box::new([0; 8192]);
            memory.read(addr, &mut bits[..bytes])?;
            *set = Some(bits);
        }
    }
    let mut time = read_optional::<16>(memory, timeout)?;
    if mask != 0 {
        let pair = memory.load::<16>(mask)?;
        replace_mask(kernel, memory, u64_at(&pair, 0), u64_at(&pair, 8))?;
    }
    let [read_set, write_set, except_set] = &mut sets;
    let result = host::pselect6(
        count,
        read_set.as_deref_mut(),
        write_set.as_deref_mut(),
        except_set.as_deref_mut(),
        time.as_mut(),
        0,
    );
    if let Some(time) = time {
        let _ = memory.write(timeout, &time);
    }
    let ready = result?;
    for (set, addr) in sets.iter().zip([read, write, except]) {
        if let Some(bits) = set {
            memory.write(addr, &bits[..bytes])?;
        }
    }
    Ok(ready)
}

pub(super) fn epoll_create1(_: &mut Kernel, _: &GuestMemory, [flags, ..]: Args) -> Result {
    host::epoll_create1(flags)
}

pub(super) fn epoll_ctl(_: &mut Kernel, memory: &GuestMemory, [epoll, op, fd, event, ..]: Args) -> Result {
    let event = read_optional::<16>(memory, event)?.map(|event| epoll_event_to_host(&event));
    host::epoll_ctl(epoll as i32, op, fd as i32, event.as_ref())
}

pub(super) fn epoll_pwait(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [epoll, events, count, timeout, mask, size] = args;
    if count as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    replace_mask(kernel, memory, mask, size)?;
    let mut out = Box::new([0; 12 * 1024]);
    let ready = host::epoll_pwait(epoll as i32, &mut out, count.min(1024), timeout as i32, 0, 8)?;
    let guest: Vec<u8> = out.chunks_exact(12).take(ready as usize).flat_map(epoll_event_to_guest).collect();
    memory.write(events, &guest)?;
    Ok(ready)
}

pub(super) fn eventfd2(kernel: &mut Kernel, _: &GuestMemory, [count, flags, ..]: Args) -> Result {
    host::eventfd2(count, flags_to_host(kernel.abi.open_flags(), flags))
}

/// Makes a call that takes and returns an offset in guest memory.
fn with_offset(memory: &GuestMemory, addr: u64, call: impl FnOnce(Option<&mut [u8; 8]>) -> Result) -> Result {
    let mut offset = read_optional::<8>(memory, addr)?;
    let result = call(offset.as_mut())?;
    if let Some(offset) = offset {
        write_optional(memory, addr, &offset)?;
    }
    Ok(result)
}

pub(super) fn sendfile(_: &mut Kernel, memory: &GuestMemory, [out, input, offset, count, ..]: Args) -> Result {
    with_offset(memory, offset, |offset| host::sendfile(out as i32, input as i32, offset, count))
}

pub(super) fn splice(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [input, in_addr, out, out_addr, len, flags] = args;
    with_offset(memory, in_addr, |from| {
        with_offset(memory, out_addr, |to| host::splice(input as i32, from, out as i32, to, len, flags))
    })
}

pub(super) fn copy_file_range(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [input, in_addr, out, out_addr, len, flags] = args;
    with_offset(memory, in_addr, |from| {
        with_offset(memory, out_addr, |to| host::copy_file_range(input as i32, from, out as i32, to, len, flags))
    })
}
