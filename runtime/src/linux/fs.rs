//! Files: descriptors are the host's; paths are looked up in the sysroot first, if there is one.

use super::abi::{
    epoll_event_to_guest, epoll_event_to_host, flags_to_guest, flags_to_host, stat_from_statx, u16_at, u32_at, u64_at,
    words,
};
use super::errno::Errno;
use super::sysroot::Last;
use super::{Kernel, host, own, process, procfs, read_optional, read_path, schedule, write_optional};
use crate::env::{OutputSource, Written};
use crate::mem::{Access, GuestMemory, HostRange};
use std::ffi::{CStr, CString};

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EMPTY_PATH: u64 = 0x1000;
const O_NOFOLLOW: u64 = libc::O_NOFOLLOW as u64;
const STATX_BASIC_STATS: u64 = 0x7ff;
/// The kernel's limit on one transfer.
const MAX_TRANSFER: u64 = 0x7fff_f000;
const IOV_MAX: u64 = 1024;

/// Reads the path of something that exists, and redirects it into the sysroot if it is there.
fn existing_path(kernel: &Kernel, memory: &GuestMemory, addr: u64, last: Last) -> Result<CString> {
    Ok(kernel.resolve(read_path(memory, addr)?, last))
}

impl Kernel {
    /// The host's path of a guest's: in the sysroot if it is there.
    pub(super) fn resolve(&self, path: CString, last: Last) -> CString {
        let path = schedule::host_path(path);
        self.sysroot.as_ref().and_then(|sysroot| sysroot.redirect(&path, last)).unwrap_or(path)
    }
}

fn buffer(memory: &GuestMemory, addr: u64, len: u64, access: Access) -> Result<HostRange> {
    Ok(memory.host_range(addr, len.min(MAX_TRANSFER), access)?)
}

/// Reads an array of `iovec`. As in Linux, the first bad buffer is an error and a later one ends the transfer there.
pub(super) fn buffers(memory: &GuestMemory, addr: u64, count: u64, access: Access) -> Result<Vec<HostRange>> {
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

pub(super) fn read(kernel: &mut Kernel, memory: &GuestMemory, [fd, buf, count, ..]: Args) -> Result {
    if kernel.random.is_some() && is_random_device(fd as i32) {
        return process::getrandom(kernel, memory, [buf, count, 0, 0, 0, 0]);
    }
    host::read(fd as i32, buffer(memory, buf, count, Access::Write)?)
}

/// True for `/dev/random` and `/dev/urandom`, by their device numbers.
fn is_random_device(fd: i32) -> bool {
    const AT_EMPTY_PATH: u64 = 0x1000;
    const STATX_TYPE: u64 = 1;
    let mut stat = [0; 256];
    let known = host::statx(fd, c"", AT_EMPTY_PATH, STATX_TYPE, &mut stat).is_ok();
    let device = (u32_at(&stat, 128), u32_at(&stat, 132));
    known && u32::from(u16_at(&stat, 28)) & libc::S_IFMT == libc::S_IFCHR && matches!(device, (1, 8 | 9))
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

pub(super) fn preadv2(_: &mut Kernel, memory: &GuestMemory, [fd, iov, count, low, high, flags]: Args) -> Result {
    host::preadv2(fd as i32, &buffers(memory, iov, count, Access::Write)?, low, high, flags)
}

pub(super) fn pwritev2(_: &mut Kernel, memory: &GuestMemory, [fd, iov, count, low, high, flags]: Args) -> Result {
    host::pwritev2(fd as i32, &buffers(memory, iov, count, Access::Read)?, low, high, flags)
}

/// What a call that has written `count` bytes to standard output or error has written. Other threads may have changed
/// the guest's memory since.
pub(super) fn written(name: &str, memory: &GuestMemory, args: Args, count: u64) -> Option<Written> {
    let [fd, buf, vectors, ..] = args;
    let source = match fd as i32 {
        1 => OutputSource::Stdout,
        2 => OutputSource::Stderr,
        _ => return None,
    };
    let mut bytes = Vec::new();
    match name {
        "write" | "pwrite64" => bytes = memory.read_vec(buf, count).ok()?,
        "writev" | "pwritev" | "pwritev2" => {
            let list = memory.read_vec(buf, (vectors & 0xffff_ffff).checked_mul(16)?).ok()?;
            for entry in list.chunks_exact(16) {
                let [base, len] = words(entry);
                let rest = count - bytes.len() as u64;
                bytes.extend(memory.read_vec(base, len.min(rest)).ok()?);
            }
        }
        _ => return None,
    }
    (!bytes.is_empty()).then_some(Written { source, bytes })
}

/// The pages are the guest's: what it writes to them later may be seen by the reader, as the call says.
pub(super) fn vmsplice(_: &mut Kernel, memory: &GuestMemory, [fd, iov, count, flags, ..]: Args) -> Result {
    const O_ACCMODE: u64 = 3;
    let writes = host::fcntl(fd as i32, libc::F_GETFL as u64, 0)? & O_ACCMODE != 0;
    let access = if writes { Access::Read } else { Access::Write };
    host::vmsplice(fd as i32, &buffers(memory, iov, count, access)?, flags)
}

pub(super) fn openat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, flags, mode, ..]: Args) -> Result {
    let path = read_path(memory, path)?;
    if let Some(result) = procfs::open(kernel, &path, flags) {
        return result;
    }
    let flags = flags_to_host(kernel.abi.open_flags(), flags & 0xffff_ffff);
    let path = kernel.resolve(path, Last::unless(flags, O_NOFOLLOW));
    let fd = host::openat(dir as i32, &path, flags, mode)?;
    procfs::opened(kernel, fd, flags)
}

/// `struct open_how`: flags, mode, resolve. A path with limits on how it is looked up is not redirected.
pub(super) fn openat2(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, how, size, ..]: Args) -> Result {
    if !(24..=4096).contains(&size) {
        return Err(if size < 24 { Errno::EINVAL } else { Errno::E2BIG });
    }
    let mut how = memory.read_vec(how, size)?;
    let [flags, mode, resolve] = words(&how);
    if resolve == 0 && how[24..].iter().all(|&byte| byte == 0) && flags >> 32 == 0 {
        return openat(kernel, memory, [dir, path, flags, mode, 0, 0]);
    }
    let flags = flags_to_host(kernel.abi.open_flags(), flags);
    how[..8].copy_from_slice(&flags.to_le_bytes());
    let fd = host::openat2(dir as i32, &read_path(memory, path)?, &how)?;
    procfs::opened(kernel, fd, flags)
}

pub(super) fn close(_: &mut Kernel, _: &GuestMemory, [fd, ..]: Args) -> Result {
    host::close(fd as i32)
}

pub(super) fn close_range(_: &mut Kernel, _: &GuestMemory, [first, last, flags, ..]: Args) -> Result {
    let (first, last) = (first as u32, last as u32);
    if first > last {
        return Err(Errno::EINVAL);
    }
    for (from, to) in own::around(first, last) {
        host::close_range(u64::from(from), u64::from(to), flags)?;
    }
    Ok(0)
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
    let path = existing_path(kernel, memory, path, Last::unless(flags, AT_SYMLINK_NOFOLLOW))?;
    let path = procfs::followed(kernel, path, flags);
    stat_to(memory, dir as i32, &path, flags, out)
}

pub(super) fn statx(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, flags, mask, out, _]: Args) -> Result {
    let path = existing_path(kernel, memory, path, Last::unless(flags, AT_SYMLINK_NOFOLLOW))?;
    let path = procfs::followed(kernel, path, flags);
    let mut statx = [0; 256];
    host::statx(dir as i32, &path, flags, mask, &mut statx)?;
    memory.write(out, &statx)?;
    Ok(0)
}

pub(super) fn statfs(kernel: &mut Kernel, memory: &GuestMemory, [path, out, ..]: Args) -> Result {
    let mut bytes = [0; 120];
    host::statfs(&existing_path(kernel, memory, path, Last::Follow)?, &mut bytes)?;
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
    let path = procfs::followed(kernel, existing_path(kernel, memory, path, Last::Follow)?, 0);
    host::faccessat2(dir as i32, &path, mode, 0)
}

pub(super) fn faccessat2(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, mode, flags, ..]: Args) -> Result {
    let path = existing_path(kernel, memory, path, Last::unless(flags, AT_SYMLINK_NOFOLLOW))?;
    let path = procfs::followed(kernel, path, flags);
    host::faccessat2(dir as i32, &path, mode, flags)
}

pub(super) fn readlinkat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, buf, size, ..]: Args) -> Result {
    if size as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let path = existing_path(kernel, memory, path, Last::Keep)?;
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
    let (path, name) = (existing_path(kernel, memory, path, Last::Follow)?, read_path(memory, name)?);
    filling(memory, value, size, |out| host::getxattr(&path, &name, out))
}

pub(super) fn lgetxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, name, value, size, ..]: Args) -> Result {
    let (path, name) = (existing_path(kernel, memory, path, Last::Keep)?, read_path(memory, name)?);
    filling(memory, value, size, |out| host::lgetxattr(&path, &name, out))
}

pub(super) fn fgetxattr(_: &mut Kernel, memory: &GuestMemory, [fd, name, value, size, ..]: Args) -> Result {
    let name = read_path(memory, name)?;
    filling(memory, value, size, |out| host::fgetxattr(fd as i32, &name, out))
}

pub(super) fn listxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, list, size, ..]: Args) -> Result {
    let path = existing_path(kernel, memory, path, Last::Follow)?;
    filling(memory, list, size, |out| host::listxattr(&path, out))
}

pub(super) fn llistxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, list, size, ..]: Args) -> Result {
    let path = existing_path(kernel, memory, path, Last::Keep)?;
    filling(memory, list, size, |out| host::llistxattr(&path, out))
}

pub(super) fn flistxattr(_: &mut Kernel, memory: &GuestMemory, [fd, list, size, ..]: Args) -> Result {
    filling(memory, list, size, |out| host::flistxattr(fd as i32, out))
}

/// Reads what a call sets an attribute to: its name and its value.
fn attribute(memory: &GuestMemory, name: u64, value: u64, size: u64) -> Result<(CString, Vec<u8>)> {
    if size > 1 << 16 {
        return Err(Errno::E2BIG);
    }
    Ok((read_path(memory, name)?, memory.read_vec(value, size)?))
}

pub(super) fn setxattr(kernel: &mut Kernel, memory: &GuestMemory, [path, name, value, size, flags, _]: Args) -> Result {
    let (name, value) = attribute(memory, name, value, size)?;
    host::setxattr(&existing_path(kernel, memory, path, Last::Follow)?, &name, &value, flags)
}

pub(super) fn lsetxattr(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [path, name, value, size, flags, _] = args;
    let (name, value) = attribute(memory, name, value, size)?;
    host::lsetxattr(&existing_path(kernel, memory, path, Last::Keep)?, &name, &value, flags)
}

pub(super) fn fsetxattr(_: &mut Kernel, memory: &GuestMemory, [fd, name, value, size, flags, _]: Args) -> Result {
    let (name, value) = attribute(memory, name, value, size)?;
    host::fsetxattr(fd as i32, &name, &value, flags)
}

pub(super) fn removexattr(kernel: &mut Kernel, memory: &GuestMemory, [path, name, ..]: Args) -> Result {
    host::removexattr(&existing_path(kernel, memory, path, Last::Follow)?, &read_path(memory, name)?)
}

pub(super) fn lremovexattr(kernel: &mut Kernel, memory: &GuestMemory, [path, name, ..]: Args) -> Result {
    host::lremovexattr(&existing_path(kernel, memory, path, Last::Keep)?, &read_path(memory, name)?)
}

pub(super) fn fremovexattr(_: &mut Kernel, memory: &GuestMemory, [fd, name, ..]: Args) -> Result {
    host::fremovexattr(fd as i32, &read_path(memory, name)?)
}

pub(super) fn inotify_init1(_: &mut Kernel, _: &GuestMemory, [flags, ..]: Args) -> Result {
    host::inotify_init1(flags)
}

pub(super) fn inotify_add_watch(kernel: &mut Kernel, memory: &GuestMemory, [fd, path, mask, ..]: Args) -> Result {
    const IN_DONT_FOLLOW: u64 = 0x200_0000;
    let path = existing_path(kernel, memory, path, Last::unless(mask, IN_DONT_FOLLOW))?;
    host::inotify_add_watch(fd as i32, &path, mask)
}

pub(super) fn inotify_rm_watch(_: &mut Kernel, _: &GuestMemory, [fd, watch, ..]: Args) -> Result {
    host::inotify_rm_watch(fd as i32, watch as i32)
}

/// The handle is opaque, so it passes as bytes; its size stands in front of it.
pub(super) fn name_to_handle_at(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    const AT_SYMLINK_FOLLOW: u64 = 0x400;
    const MAX_HANDLE: u32 = 128;
    let [dir, path, handle_addr, mount_addr, flags, _] = args;
    let room = u32::from_le_bytes(memory.load(handle_addr)?);
    if room > MAX_HANDLE {
        return Err(Errno::EINVAL);
    }
    let last = if flags & AT_SYMLINK_FOLLOW != 0 { Last::Follow } else { Last::Keep };
    let path = existing_path(kernel, memory, path, last)?;
    let (mut handle, mut mount) = ([0; 136], [0; 4]);
    handle[..4].copy_from_slice(&room.to_le_bytes());
    let result = host::name_to_handle_at(dir as i32, &path, &mut handle, &mut mount, flags);
    if result.is_ok() || result == Err(Errno::EOVERFLOW) {
        let filled = if result.is_ok() { 8 + u32_at(&handle, 0).min(room) as usize } else { 4 };
        memory.write(handle_addr, &handle[..filled])?;
        memory.write(mount_addr, &mount)?;
    }
    result
}

pub(super) fn getdents64(_: &mut Kernel, memory: &GuestMemory, [fd, buf, count, ..]: Args) -> Result {
    let read = || host::getdents64(fd as i32, buffer(memory, buf, count & 0xffff_ffff, Access::Write)?);
    let len = read()?;
    if !procfs::lists_descriptors(fd as i32) {
        return Ok(len);
    }
    let all = memory.read_vec(buf, len)?;
    let shown = own::without_own(&all);
    memory.write(buf, &shown)?;
    // An empty result is the end of the directory, which this is not.
    if shown.is_empty() && len != 0 { read() } else { Ok(shown.len() as u64) }
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
    let path = read_path(memory, path)?;
    match host::chdir(&path) {
        Err(Errno::ENOENT) => host::chdir(&kernel.resolve(path, Last::Follow)),
        result => result,
    }
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

pub(super) fn fchmodat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, mode, ..]: Args) -> Result {
    host::fchmodat(dir as i32, &existing_path(kernel, memory, path, Last::Follow)?, mode)
}

pub(super) fn fchmodat2(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, mode, flags, ..]: Args) -> Result {
    let path = existing_path(kernel, memory, path, Last::unless(flags, AT_SYMLINK_NOFOLLOW))?;
    host::fchmodat2(dir as i32, &path, mode, flags)
}

pub(super) fn fchown(_: &mut Kernel, _: &GuestMemory, [fd, user, group, ..]: Args) -> Result {
    host::fchown(fd as i32, user, group)
}

pub(super) fn fchownat(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [dir, path, user, group, flags, _] = args;
    let path = existing_path(kernel, memory, path, Last::unless(flags, AT_SYMLINK_NOFOLLOW))?;
    host::fchownat(dir as i32, &path, user, group, flags)
}

pub(super) fn utimensat(kernel: &mut Kernel, memory: &GuestMemory, [dir, path, times, flags, ..]: Args) -> Result {
    let last = Last::unless(flags, AT_SYMLINK_NOFOLLOW);
    let path = if path == 0 { None } else { Some(existing_path(kernel, memory, path, last)?) };
    let times = read_optional::<32>(memory, times)?;
    host::utimensat(dir as i32, path.as_deref(), times.as_ref(), flags)
}

pub(super) fn truncate(kernel: &mut Kernel, memory: &GuestMemory, [path, len, ..]: Args) -> Result {
    host::truncate(&existing_path(kernel, memory, path, Last::Follow)?, len)
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

pub(super) fn sync_file_range(_: &mut Kernel, _: &GuestMemory, [fd, offset, len, flags, ..]: Args) -> Result {
    host::sync_file_range(fd as i32, offset, len, flags)
}

pub(super) fn tee(_: &mut Kernel, _: &GuestMemory, [input, out, len, flags, ..]: Args) -> Result {
    host::tee(input as i32, out as i32, len, flags)
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
    Both(usize),
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
        0x4008_6602 => Pass::In(8),                // FS_IOC_SETFLAGS
        0x801c_581f => Pass::Out(28),              // FS_IOC_FSGETXATTR
        0x4020_940d => Pass::In(32),               // FICLONERANGE
        0x0002 | 0x1268 => Pass::Out(4),           // FIGETBSZ, BLKSSZGET
        0x5460 => Pass::Out(8),                    // FIOQSIZE
        0x8004_5200 => Pass::Out(4),               // RNDGETENTCNT
        0x5415 => Pass::Out(4),                    // TIOCMGET
        0x5416..=0x5418 => Pass::In(4),            // TIOCMBIS, TIOCMBIC, TIOCMSET
        0x5420 => Pass::In(4),                     // TIOCPKT
        0x5424 => Pass::Out(4),                    // TIOCGETD
        0x5425 | 0x5427 | 0x5428 => Pass::Integer, // TCSBRKP, TIOCSBRK, TIOCCBRK
        0x8004_5438..=0x8004_5440 => Pass::Out(4), // TIOCGPKT, TIOCGPTLCK, TIOCGEXCL
        0x8901 | 0x8902 => Pass::In(4),            // FIOSETOWN, SIOCSPGRP
        0x8903..=0x8905 => Pass::Out(4),           // FIOGETOWN, SIOCGPGRP, SIOCATMARK
        0x8906 | 0x8907 => Pass::Out(16),          // SIOCGSTAMP, SIOCGSTAMPNS
        // SIOCGIFNAME, -FLAGS, -ADDR, -DSTADDR, -BRDADDR, -NETMASK, -METRIC, -MTU, -HWADDR, -INDEX, -TXQLEN
        0x8910 | 0x8913 | 0x8915 | 0x8917 | 0x8919 | 0x891b | 0x891d | 0x8921 | 0x8927 | 0x8933 | 0x8942 => {
            Pass::Both(40)
        }
        0xb701..=0xb703 => Pass::Integer, // NS_GET_USERNS, NS_GET_PARENT, NS_GET_NSTYPE
        0xb704 => Pass::Out(4),           // NS_GET_OWNER_UID
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
        Some(Pass::Both(size)) => {
            memory.read(arg, &mut data[..size])?;
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
    let own = own::hide_polled(&mut array);
    let mut time = read_optional::<16>(memory, timeout)?;
    replace_mask(kernel, memory, mask, size)?;
    let result = host::ppoll(host::PollFds(&mut array), time.as_mut(), 0, 8);
    if let Some(time) = time {
        let _ = memory.write(timeout, &time);
    }
    let ready = result?;
    own.into_iter().for_each(|(at, fd)| array[at..at + 4].copy_from_slice(&fd.to_le_bytes()));
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
    let [epoll, _, count, timeout, ..] = args;
    epoll_wait(kernel, memory, args, |out| host::epoll_pwait(epoll as i32, out, count.min(1024), timeout as i32, 0, 8))
}

pub(super) fn epoll_pwait2(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [epoll, _, count, timeout, ..] = args;
    let timeout = read_optional::<16>(memory, timeout)?;
    epoll_wait(kernel, memory, args, |out| {
        host::epoll_pwait2(epoll as i32, out, count.min(1024), timeout.as_ref(), 0, 8)
    })
}

/// Waits with the guest's mask and gives it the events.
fn epoll_wait(
    kernel: &mut Kernel,
    memory: &GuestMemory,
    [_, events, count, _, mask, size]: Args,
    wait: impl FnOnce(&mut [u8; 12 * 1024]) -> Result,
) -> Result {
    if count as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    replace_mask(kernel, memory, mask, size)?;
    let mut out = Box::new([0; 12 * 1024]);
    let ready = wait(&mut out)?;
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

#[cfg(test)]
mod tests {
    use super::super::start::tests::kernel;
    use super::*;

    const AT: u64 = 0x2000_0000;
    const CWD: u64 = libc::AT_FDCWD as u64;

    /// A kernel with a page at [`AT`] that holds `bytes`.
    fn with(bytes: &[u8]) -> (Kernel, GuestMemory) {
        let (kernel, memory) = kernel();
        crate::machine::lock(&kernel.shared.space).map_anonymous(&memory, AT, 4096, 3, false, "").unwrap();
        memory.write(AT, bytes).unwrap();
        (kernel, memory)
    }

    fn vector(start: u64, len: u64) -> Vec<u8> {
        [start.to_le_bytes(), len.to_le_bytes()].concat()
    }

    #[test]
    fn vectors_with_flags_read_and_write() {
        let (mut kernel, memory) = with(&[&vector(AT + 64, 3)[..], &vector(AT + 100, 8), b"\0name\0"].concat());
        memory.write(AT + 64, b"abc").unwrap();
        let fd = memfd_create(&mut kernel, &memory, [AT + 33, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(pwritev2(&mut kernel, &memory, [fd, AT, 1, 5, 0, 0]), Ok(3));
        assert_eq!(preadv2(&mut kernel, &memory, [fd, AT + 16, 1, 6, 0, 0]), Ok(2));
        assert_eq!(memory.load::<2>(AT + 100).unwrap(), *b"bc");
        assert_eq!(preadv2(&mut kernel, &memory, [fd, 0x1000, 1, 6, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(pwritev2(&mut kernel, &memory, [fd, AT, 2000, 6, 0, 0]), Err(Errno::EINVAL));
        host::close(fd as i32).unwrap();
    }

    #[test]
    fn openat2_takes_the_guest_s_flags_and_refuses_what_it_does_not_know() {
        let guest_directory = 0o40000u64;
        let how = [guest_directory, 0, 0].map(u64::to_le_bytes).concat();
        let (mut kernel, memory) = with(&[&b"/\0......"[..], &how].concat());
        let fd = openat2(&mut kernel, &memory, [CWD, AT, AT + 8, 24, 0, 0]).unwrap();
        host::close(fd as i32).unwrap();
        assert_eq!(openat2(&mut kernel, &memory, [CWD, AT, AT + 8, 8, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(openat2(&mut kernel, &memory, [CWD, AT, AT + 8, 5000, 0, 0]), Err(Errno::E2BIG));
        assert_eq!(openat2(&mut kernel, &memory, [CWD, AT, 0x1000, 24, 0, 0]), Err(Errno::EFAULT));
        memory.write(AT + 8 + 16, &u64::MAX.to_le_bytes()).unwrap();
        assert_eq!(openat2(&mut kernel, &memory, [CWD, AT, AT + 8, 24, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn epoll_events_come_in_the_guest_s_layout() {
        let event = [&1u32.to_le_bytes()[..], &[0; 4], &0x1122_3344_5566_7788u64.to_le_bytes()].concat();
        let (mut kernel, memory) = with(&[&event[..], &[0; 16], &[0; 16]].concat());
        let epoll = epoll_create1(&mut kernel, &memory, [0; 6]).unwrap();
        let ready = eventfd2(&mut kernel, &memory, [1, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(epoll_ctl(&mut kernel, &memory, [epoll, 1, ready, AT, 0, 0]), Ok(0));
        assert_eq!(epoll_pwait2(&mut kernel, &memory, [epoll, AT + 16, 1, AT + 32, 0, 0]), Ok(1));
        assert_eq!(memory.read_vec(AT + 16, 16).unwrap(), event);
        assert_eq!(epoll_pwait2(&mut kernel, &memory, [epoll, 0x1000, 1, AT + 32, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(epoll_pwait2(&mut kernel, &memory, [epoll, AT + 16, 0, AT + 32, 0, 0]), Err(Errno::EINVAL));
        host::close(epoll as i32).unwrap();
        host::close(ready as i32).unwrap();
    }
}
