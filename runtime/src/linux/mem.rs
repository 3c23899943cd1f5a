//! Address space calls: `brk`, `mmap` and their kin. What is mapped where is in [`super::map`].

use super::errno::Errno;
use super::map::{Area, HIGHEST, LOWEST, Source};
use super::{Kernel, host};
use crate::mem::{ADDRESS_SPACE, Access, GuestMemory, PAGE, perm};
use std::os::fd::BorrowedFd;

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_SHARED_VALIDATE: u64 = 3;
const MAP_TYPE: u64 = 15;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const MREMAP_DONTUNMAP: u64 = 4;

const MADV_DONTNEED: u64 = 4;
const MADV_REMOVE: u64 = 9;
const MADV_POPULATE_READ: u64 = 22;

fn page_up(len: u64) -> Result {
    len.checked_next_multiple_of(PAGE).ok_or(Errno::ENOMEM)
}

/// Checks a range that a call names: aligned start, inside the address space. Returns its whole pages' length.
fn checked_range(addr: u64, len: u64, overflow: Errno) -> Result {
    if !addr.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let len = page_up(len).map_err(|_| overflow)?;
    if addr.checked_add(len).is_none_or(|end| end > ADDRESS_SPACE) {
        return Err(overflow);
    }
    Ok(len)
}

fn prot_bits(prot: u64) -> u8 {
    prot as u8 & (perm::READ | perm::WRITE | perm::EXEC)
}

impl Kernel {
    /// Chooses where a mapping of `len` bytes goes: at the hint if that is free, else as high as possible.
    fn place(&self, hint: u64, len: u64) -> Result {
        let hint = hint & !(PAGE - 1);
        if hint != 0 && self.map.is_free(hint, len) {
            return Ok(hint);
        }
        self.map.find_free(len, self.mmap_top).ok_or(Errno::ENOMEM)
    }

    /// Maps zeroes and enters them.
    pub(super) fn map_anonymous(
        &mut self,
        memory: &GuestMemory,
        addr: u64,
        len: u64,
        prot: u8,
        shared: bool,
        name: &'static str,
    ) -> Result<()> {
        memory.map_anonymous(addr, len, prot, shared)?;
        self.map.insert(addr, Area { end: addr + len, prot, shared, source: Source::Anonymous(name) });
        Ok(())
    }

    fn unmap(&mut self, memory: &GuestMemory, addr: u64, len: u64) -> Result<()> {
        for (from, to) in self.map.parts(addr, len) {
            memory.unmap(from, to - from)?;
        }
        self.map.remove(addr, len);
        Ok(())
    }
}

pub(super) fn brk(kernel: &mut Kernel, memory: &GuestMemory, [wanted, ..]: Args) -> Result {
    let (start, end) = kernel.heap;
    if wanted < start || wanted > HIGHEST {
        return Ok(end);
    }
    let (old_top, new_top) = (end.next_multiple_of(PAGE), wanted.next_multiple_of(PAGE));
    if new_top > old_top {
        let len = new_top - old_top;
        let fits = kernel.map.is_free(old_top, len);
        if !fits || kernel.map_anonymous(memory, old_top, len, perm::READ | perm::WRITE, false, "[heap]").is_err() {
            return Ok(end);
        }
    } else if new_top < old_top && kernel.unmap(memory, new_top, old_top - new_top).is_err() {
        return Ok(end);
    }
    kernel.heap.1 = wanted;
    Ok(wanted)
}

pub(super) fn mmap(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [addr, len, prot, flags, fd, offset] = args;
    if len == 0 || !offset.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let shared = match flags & MAP_TYPE {
        MAP_SHARED | MAP_SHARED_VALIDATE => true,
        MAP_PRIVATE => false,
        _ => return Err(Errno::EINVAL),
    };
    let pages = page_up(len)?;
    let addr = if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
        let end = addr.checked_add(pages).ok_or(Errno::ENOMEM)?;
        if !addr.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        if addr < LOWEST {
            return Err(Errno::EPERM);
        }
        if end > HIGHEST {
            return Err(Errno::ENOMEM);
        }
        if flags & MAP_FIXED_NOREPLACE != 0 && !kernel.map.is_free(addr, pages) {
            return Err(Errno::EEXIST);
        }
        addr
    } else {
        kernel.place(addr, pages)?
    };
    let prot = prot_bits(prot);
    if flags & MAP_ANONYMOUS != 0 {
        kernel.map_anonymous(memory, addr, pages, prot, shared, "")?;
    } else {
        map_file(kernel, memory, addr, pages, prot, fd as i32, offset, shared)?;
    }
    Ok(addr)
}

#[allow(clippy::too_many_arguments, reason = "they are those of mmap")]
fn map_file(
    kernel: &mut Kernel,
    memory: &GuestMemory,
    addr: u64,
    len: u64,
    prot: u8,
    fd: i32,
    offset: u64,
    shared: bool,
) -> Result<()> {
    let mut statx = [0; 256];
    host::statx(fd, c"", 0x1000, 0x200, &mut statx)?;
    host::with_fd(fd, |file: BorrowedFd<'_>| memory.map_file(addr, len, prot, file, offset, shared))?;
    let mode = super::abi::u16_at(&statx, 0x1c);
    let size = super::abi::u64_at(&statx, 0x28);
    if mode & 0o170000 == 0o100000 {
        // An access behind the file's end is a SIGBUS in the host: such pages are mapped without permissions, and the
        // guest gets a SIGSEGV. (A file that shrinks later is not noticed.)
        let backed = page_up(size.saturating_sub(offset))?.min(len);
        if backed < len {
            memory.protect(addr + backed, len - backed, 0)?;
        }
    }
    let path = host::fd_path(fd);
    kernel.map.insert(addr, Area { end: addr + len, prot, shared, source: Source::File { path, offset } });
    Ok(())
}

pub(super) fn munmap(kernel: &mut Kernel, memory: &GuestMemory, [addr, len, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::EINVAL)?;
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    kernel.unmap(memory, addr, len)?;
    Ok(0)
}

pub(super) fn mprotect(kernel: &mut Kernel, memory: &GuestMemory, [addr, len, prot, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::ENOMEM)?;
    if len == 0 {
        return Ok(0);
    }
    if !kernel.map.covers(addr, len) {
        return Err(Errno::ENOMEM);
    }
    let prot = prot_bits(prot);
    memory.protect(addr, len, prot)?;
    kernel.map.protect(addr, len, prot);
    Ok(0)
}

pub(super) fn mremap(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [old, old_len, new_len, flags, wanted, _] = args;
    let (old_len, new_len) = (checked_range(old, old_len, Errno::EFAULT)?, page_up(new_len)?);
    if new_len == 0 || flags & !(MREMAP_MAYMOVE | MREMAP_FIXED) != 0 || flags & MREMAP_DONTUNMAP != 0 {
        return Err(Errno::EINVAL);
    }
    let fixed = flags & MREMAP_FIXED != 0;
    let (start, area) = kernel.map.find(old).ok_or(Errno::EFAULT)?;
    let (area, old_end) = (area.clone(), old + old_len);
    if old_len == 0 || old_end > area.end {
        return Err(Errno::EFAULT);
    }
    if !fixed {
        if new_len <= old_len {
            kernel.unmap(memory, old + new_len, old_len - new_len)?;
            return Ok(old);
        }
        let grow = new_len - old_len;
        if matches!(area.source, Source::Anonymous(_)) && !area.shared && kernel.map.is_free(old_end, grow) {
            memory.map_anonymous(old_end, grow, area.prot, false)?;
            kernel.map.insert(start, Area { end: old_end + grow, ..area });
            return Ok(old);
        }
        if flags & MREMAP_MAYMOVE == 0 {
            return Err(Errno::ENOMEM);
        }
    }
    let new =
        if fixed { fixed_target(kernel, memory, old, old_len, wanted, new_len)? } else { kernel.place(0, new_len)? };
    move_area(kernel, memory, (old, old_len), (new, new_len), area, start)
}

fn fixed_target(kernel: &mut Kernel, memory: &GuestMemory, old: u64, old_len: u64, new: u64, len: u64) -> Result {
    let end = new.checked_add(len).ok_or(Errno::EINVAL)?;
    let overlaps = new < old + old_len && old < end;
    if !new.is_multiple_of(PAGE) || new < LOWEST || end > HIGHEST || overlaps {
        return Err(Errno::EINVAL);
    }
    kernel.unmap(memory, new, len)?;
    Ok(new)
}

/// Moves a mapping; what it grows by is zeroes. A file or shared mapping that would have to grow is refused.
fn move_area(
    kernel: &mut Kernel,
    memory: &GuestMemory,
    (old, old_len): (u64, u64),
    (new, new_len): (u64, u64),
    area: Area,
    area_start: u64,
) -> Result {
    let kept = old_len.min(new_len);
    if new_len > old_len {
        if area.shared || matches!(area.source, Source::File { .. }) {
            return Err(Errno::ENOMEM);
        }
        memory.map_anonymous(new + kept, new_len - kept, area.prot, false)?;
    }
    memory.move_pages(old, kept, new)?;
    kernel.unmap(memory, old, old_len)?;
    let source = match area.source {
        Source::File { path, offset } => Source::File { path, offset: offset + (old - area_start) },
        anonymous => anonymous,
    };
    kernel.map.insert(new, Area { end: new + new_len, source, ..area });
    Ok(new)
}

pub(super) fn msync(_: &mut Kernel, memory: &GuestMemory, [addr, len, flags, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::ENOMEM)?;
    if len == 0 {
        return Ok(0);
    }
    let range = memory.host_range(addr, len, Access::Read).map_err(|_| Errno::ENOMEM)?;
    host::msync(range, flags)
}

pub(super) fn madvise(kernel: &mut Kernel, memory: &GuestMemory, [addr, len, advice, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::EINVAL)?;
    if advice == MADV_DONTNEED {
        for (from, to) in kernel.map.parts(addr, len) {
            memory.discard(from, to - from)?;
        }
    }
    // The others are hints, but for these two, which promise something.
    if matches!(advice, MADV_REMOVE | MADV_POPULATE_READ..) && advice < 100 {
        return Err(Errno::EINVAL);
    }
    if kernel.map.covers(addr, len) { Ok(0) } else { Err(Errno::ENOMEM) }
}

/// Locking changes nothing that a guest can see.
pub(super) fn mlock(kernel: &mut Kernel, _: &GuestMemory, [addr, len, ..]: Args) -> Result {
    let start = addr & !(PAGE - 1);
    let len = checked_range(start, len.saturating_add(addr - start), Errno::ENOMEM)?;
    if kernel.map.covers(start, len) { Ok(0) } else { Err(Errno::ENOMEM) }
}

pub(super) fn mlockall(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    Ok(0)
}

/// All mapped pages are reported as resident.
pub(super) fn mincore(kernel: &mut Kernel, memory: &GuestMemory, [addr, len, out, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::ENOMEM)?;
    if !kernel.map.covers(addr, len) {
        return Err(Errno::ENOMEM);
    }
    memory.write(out, &vec![1; (len / PAGE) as usize])?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::start::tests::kernel;
    use super::*;

    fn map(kernel: &mut Kernel, memory: &GuestMemory, addr: u64, len: u64, flags: u64) -> Result {
        mmap(kernel, memory, [addr, len, 3, flags | MAP_PRIVATE | MAP_ANONYMOUS, u64::MAX, 0])
    }

    #[test]
    fn the_heap_grows_and_shrinks_and_old_contents_are_gone() {
        let (mut kernel, memory) = kernel();
        let start = brk(&mut kernel, &memory, [0; 6]).unwrap();
        let up = |kernel: &mut Kernel, end| brk(kernel, &memory, [end, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(up(&mut kernel, start + 0x1801), start + 0x1801);
        memory.store(start + 0x1800, [9u8]).unwrap();
        assert_eq!(up(&mut kernel, start), start);
        assert!(memory.load::<1>(start + 0x1800).is_err());
        assert_eq!(up(&mut kernel, start + 0x2000), start + 0x2000);
        assert_eq!(memory.load::<1>(start + 0x1800).unwrap(), [0]);
        assert_eq!(up(&mut kernel, 0x1000), start + 0x2000);
        assert_eq!(up(&mut kernel, u64::MAX), start + 0x2000);
    }

    #[test]
    fn hints_are_honoured_when_free() {
        let (mut kernel, memory) = kernel();
        assert_eq!(map(&mut kernel, &memory, 0x2000_0000, 1, 0), Ok(0x2000_0000));
        let other = map(&mut kernel, &memory, 0x2000_0000, 1, 0).unwrap();
        assert_ne!(other, 0x2000_0000);
        assert_eq!(map(&mut kernel, &memory, 0x2000_0000, 1, MAP_FIXED_NOREPLACE), Err(Errno::EEXIST));
        assert_eq!(map(&mut kernel, &memory, 0x2000_0000, 1, MAP_FIXED), Ok(0x2000_0000));
        assert_eq!(map(&mut kernel, &memory, 0x1000, 1, MAP_FIXED), Err(Errno::EPERM));
        assert_eq!(map(&mut kernel, &memory, 0x2000_0001, 1, MAP_FIXED), Err(Errno::EINVAL));
        assert_eq!(map(&mut kernel, &memory, !4095, 0x2000, MAP_FIXED), Err(Errno::ENOMEM));
        assert_eq!(map(&mut kernel, &memory, 0, u64::MAX, 0), Err(Errno::ENOMEM));
        assert_eq!(map(&mut kernel, &memory, 0, 0, 0), Err(Errno::EINVAL));
    }

    #[test]
    fn remapping_keeps_contents() {
        let (mut kernel, memory) = kernel();
        let old = map(&mut kernel, &memory, 0, 0x3000, 0).unwrap();
        memory.store(old + 0x1234, [5u8]).unwrap();
        let new = mremap(&mut kernel, &memory, [old, 0x3000, 0x100000, MREMAP_MAYMOVE, 0, 0]).unwrap();
        assert_eq!(memory.load::<1>(new + 0x1234).unwrap(), [5]);
        assert_eq!(memory.load::<1>(new + 0xfffff).unwrap(), [0]);
        assert!(memory.load::<1>(old).is_err() || old >= new);
        assert_eq!(mremap(&mut kernel, &memory, [new, 0x100000, 0x1000, 0, 0, 0]), Ok(new));
        assert!(memory.load::<1>(new + 0x1234).is_err());
        assert_eq!(mremap(&mut kernel, &memory, [0x7000_0000, 0x1000, 0x2000, 0, 0, 0]), Err(Errno::EFAULT));
    }

    #[test]
    fn protecting_a_hole_fails() {
        let (mut kernel, memory) = kernel();
        let at = map(&mut kernel, &memory, 0, 0x3000, 0).unwrap();
        munmap(&mut kernel, &memory, [at + 0x1000, 0x1000, 0, 0, 0, 0]).unwrap();
        assert_eq!(mprotect(&mut kernel, &memory, [at, 0x3000, 1, 0, 0, 0]), Err(Errno::ENOMEM));
        assert_eq!(mprotect(&mut kernel, &memory, [at, 0x1000, 1, 0, 0, 0]), Ok(0));
        assert!(memory.store(at, [1u8]).unwrap_err().mapped);
        assert_eq!(mprotect(&mut kernel, &memory, [at, u64::MAX, 1, 0, 0, 0]), Err(Errno::ENOMEM));
    }
}
