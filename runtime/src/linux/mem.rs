//! Address space calls: `brk`, `mmap` and their kin. What is mapped where is in [`super::map`].

use super::errno::Errno;
use super::map::{AddressMap, Area, HIGHEST, LOWEST, Source};
use super::{Kernel, host};
use crate::gate;
use crate::machine::lock;
use crate::mem::{ADDRESS_SPACE, Access, Fault, GuestMemory, PAGE, perm};
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

/// Makes handlers of functions that work on the process's [`Space`]. What can take memory away from other threads is
/// done in an exclusive section, so that none of them is between the check of an access and the access.
macro_rules! space_calls {
    ($($name:ident: $inner:ident, exclusive if $condition:expr;)*) => {
        $(pub(super) fn $name(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
            let takes_away: fn(&GuestMemory, Args) -> bool = $condition;
            let mut call = || {
                let space = &mut lock(&kernel.shared.space);
                let before = space.map.code_version();
                let result = $inner(space, memory, args);
                kernel.code_mapped |= space.map.code_version() != before;
                result
            };
            if takes_away(memory, args) { gate::exclusive(call) } else { call() }
        })*
    };
}

space_calls! {
    brk: brk_in, exclusive if |_, _| true;
    mmap: mmap_in, exclusive if |_, [_, _, _, flags, ..]| flags & MAP_FIXED != 0;
    munmap: munmap_in, exclusive if |_, _| true;
    mprotect: mprotect_in, exclusive if |memory, [addr, len, prot, ..]| memory.loses(addr, len, prot_bits(prot));
    mremap: mremap_in, exclusive if |_, _| true;
    madvise: madvise_in, exclusive if |memory, [addr, len, ..]| memory.loses(addr, len, u8::MAX);
    mlock: mlock_in, exclusive if |_, _| false;
    mincore: mincore_in, exclusive if |_, _| false;
}

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

/// What a process has mapped, and where it goes on mapping.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// The regions of the address space.
    pub(super) map: AddressMap,
    /// Start of the heap and its current end.
    pub(super) heap: (u64, u64),
    /// One past the highest address that `mmap` chooses.
    pub(super) mmap_top: u64,
    /// Most bytes that the guest lets itself map (`RLIMIT_AS`).
    pub(super) limit: Option<u64>,
}

impl Kernel {
    /// True if the guest may make the access by what it has mapped, but its file had no such page.
    pub(super) fn is_behind_file(&self, fault: &Fault) -> bool {
        let need = match fault.access {
            Access::Read => perm::READ,
            Access::Write => perm::WRITE,
            Access::Fetch => perm::EXEC,
        };
        let space = lock(&self.space);
        let area = space.map.find(fault.addr & self.abi.address_mask()).map(|(_, area)| area);
        area.is_some_and(|area| area.prot & need != 0 && !matches!(area.source, Source::Anonymous(_)))
    }

    /// Gives the guest a page whose file has become long enough since it was mapped. False if it has not.
    pub(super) fn find_page(&self, memory: &GuestMemory, addr: u64) -> bool {
        let page = addr & self.abi.address_mask() & !(PAGE - 1);
        gate::exclusive(|| {
            let space = lock(&self.space);
            let Some((_, area)) = space.map.find(page) else { return false };
            if area.source == Source::Gone || memory.protect(page, PAGE, area.prot).is_err() {
                return false;
            }
            let range = memory.host_range(page, 8, Access::Read);
            let found = range.is_ok_and(host::is_readable);
            if !found {
                // It cannot fail for a page that has just been changed.
                let _ = memory.protect(page, PAGE, 0);
            }
            found
        })
    }

    /// Enters that a page's file has become shorter: see [`host`].
    pub(super) fn lose_page(&self, memory: &GuestMemory, addr: u64) {
        let page = addr & !(PAGE - 1);
        gate::exclusive(|| {
            let mut space = lock(&self.space);
            let Some((_, area)) = space.map.find(page) else { return };
            let area = Area { end: page + PAGE, source: Source::Gone, ..area.clone() };
            if memory.protect(page, PAGE, 0).is_ok() {
                space.map.insert(page, area);
            }
        });
    }
}

impl Space {
    /// Checks that the limit that the guest has given itself has room for `len` bytes more.
    fn check_limit(&self, len: u64) -> Result<()> {
        let wanted = self.map.total().saturating_add(len);
        if self.limit.is_some_and(|limit| wanted > limit) { Err(Errno::ENOMEM) } else { Ok(()) }
    }

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

fn brk_in(space: &mut Space, memory: &GuestMemory, [wanted, ..]: Args) -> Result {
    let (start, end) = space.heap;
    if wanted < start || wanted > HIGHEST {
        return Ok(end);
    }
    let (old_top, new_top) = (end.next_multiple_of(PAGE), wanted.next_multiple_of(PAGE));
    if new_top > old_top {
        let len = new_top - old_top;
        let fits = space.map.is_free(old_top, len) && space.check_limit(len).is_ok();
        if !fits || space.map_anonymous(memory, old_top, len, perm::READ | perm::WRITE, false, "[heap]").is_err() {
            return Ok(end);
        }
    } else if new_top < old_top && space.unmap(memory, new_top, old_top - new_top).is_err() {
        return Ok(end);
    }
    space.heap.1 = wanted;
    Ok(wanted)
}

fn mmap_in(space: &mut Space, memory: &GuestMemory, args: Args) -> Result {
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
        if flags & MAP_FIXED_NOREPLACE != 0 && !space.map.is_free(addr, pages) {
            return Err(Errno::EEXIST);
        }
        addr
    } else {
        space.place(addr, pages)?
    };
    // What a fixed mapping replaces goes away, so it does not count twice.
    let replaced: u64 = space.map.parts(addr, pages).iter().map(|(from, to)| to - from).sum();
    space.check_limit(pages - replaced)?;
    let prot = prot_bits(prot);
    if flags & MAP_ANONYMOUS != 0 {
        space.map_anonymous(memory, addr, pages, prot, shared, "")?;
    } else {
        map_file(space, memory, addr, pages, prot, fd as i32, offset, shared)?;
    }
    Ok(addr)
}

#[allow(clippy::too_many_arguments, reason = "they are those of mmap")]
fn map_file(
    space: &mut Space,
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
        // An access behind the file's end is a SIGBUS in the host: such pages are mapped without permissions, and looked
        // at again when the guest makes it.
        let backed = page_up(size.saturating_sub(offset))?.min(len);
        if backed < len {
            memory.protect(addr + backed, len - backed, 0)?;
        }
    }
    let path = host::fd_path(fd);
    space.map.insert(addr, Area { end: addr + len, prot, shared, source: Source::File { path, offset } });
    Ok(())
}

fn munmap_in(space: &mut Space, memory: &GuestMemory, [addr, len, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::EINVAL)?;
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    space.unmap(memory, addr, len)?;
    Ok(0)
}

fn mprotect_in(space: &mut Space, memory: &GuestMemory, [addr, len, prot, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::ENOMEM)?;
    if len == 0 {
        return Ok(0);
    }
    if !space.map.covers(addr, len) {
        return Err(Errno::ENOMEM);
    }
    let prot = prot_bits(prot);
    memory.protect(addr, len, prot)?;
    space.map.protect(addr, len, prot);
    Ok(0)
}

/// There are no protection keys; -1 asks for none.
pub(super) fn pkey_mprotect(kernel: &mut Kernel, memory: &GuestMemory, [addr, len, prot, key, ..]: Args) -> Result {
    if key as i32 == -1 { mprotect(kernel, memory, [addr, len, prot, 0, 0, 0]) } else { Err(Errno::EINVAL) }
}

fn mremap_in(space: &mut Space, memory: &GuestMemory, args: Args) -> Result {
    let [old, old_len, new_len, flags, wanted, _] = args;
    let (old_len, new_len) = (checked_range(old, old_len, Errno::EFAULT)?, page_up(new_len)?);
    if new_len == 0 || flags & !(MREMAP_MAYMOVE | MREMAP_FIXED) != 0 || flags & MREMAP_DONTUNMAP != 0 {
        return Err(Errno::EINVAL);
    }
    let fixed = flags & MREMAP_FIXED != 0;
    let (start, area) = space.map.find(old).ok_or(Errno::EFAULT)?;
    let (area, old_end) = (area.clone(), old + old_len);
    if old_len == 0 || old_end > area.end {
        return Err(Errno::EFAULT);
    }
    if !fixed {
        if new_len <= old_len {
            space.unmap(memory, old + new_len, old_len - new_len)?;
            return Ok(old);
        }
        let grow = new_len - old_len;
        space.check_limit(grow)?;
        if matches!(area.source, Source::Anonymous(_)) && !area.shared && space.map.is_free(old_end, grow) {
            memory.map_anonymous(old_end, grow, area.prot, false)?;
            space.map.insert(start, Area { end: old_end + grow, ..area });
            return Ok(old);
        }
        if flags & MREMAP_MAYMOVE == 0 {
            return Err(Errno::ENOMEM);
        }
    }
    let new =
        if fixed { fixed_target(space, memory, old, old_len, wanted, new_len)? } else { space.place(0, new_len)? };
    move_area(space, memory, (old, old_len), (new, new_len), area, start)
}

fn fixed_target(space: &mut Space, memory: &GuestMemory, old: u64, old_len: u64, new: u64, len: u64) -> Result {
    let end = new.checked_add(len).ok_or(Errno::EINVAL)?;
    let overlaps = new < old + old_len && old < end;
    if !new.is_multiple_of(PAGE) || new < LOWEST || end > HIGHEST || overlaps {
        return Err(Errno::EINVAL);
    }
    space.unmap(memory, new, len)?;
    Ok(new)
}

/// Moves a mapping; what it grows by is zeroes. A file or shared mapping that would have to grow is refused.
fn move_area(
    space: &mut Space,
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
    space.unmap(memory, old, old_len)?;
    let source = match area.source {
        Source::File { path, offset } => Source::File { path, offset: offset + (old - area_start) },
        anonymous => anonymous,
    };
    space.map.insert(new, Area { end: new + new_len, source, ..area });
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

fn madvise_in(space: &mut Space, memory: &GuestMemory, [addr, len, advice, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::EINVAL)?;
    if advice == MADV_DONTNEED {
        for (from, to) in space.map.parts(addr, len) {
            memory.discard(from, to - from)?;
        }
    }
    // The others are hints, but for these two, which promise something.
    if matches!(advice, MADV_REMOVE | MADV_POPULATE_READ..) && advice < 100 {
        return Err(Errno::EINVAL);
    }
    if space.map.covers(addr, len) { Ok(0) } else { Err(Errno::ENOMEM) }
}

/// Locking changes nothing that a guest can see.
fn mlock_in(space: &mut Space, _: &GuestMemory, [addr, len, ..]: Args) -> Result {
    let start = addr & !(PAGE - 1);
    let len = checked_range(start, len.saturating_add(addr - start), Errno::ENOMEM)?;
    if space.map.covers(start, len) { Ok(0) } else { Err(Errno::ENOMEM) }
}

pub(super) fn mlock2(kernel: &mut Kernel, memory: &GuestMemory, [addr, len, flags, ..]: Args) -> Result {
    if flags & !1 != 0 { Err(Errno::EINVAL) } else { mlock(kernel, memory, [addr, len, 0, 0, 0, 0]) }
}

pub(super) fn mlockall(_: &mut Kernel, _: &GuestMemory, _: Args) -> Result {
    Ok(0)
}

/// All mapped pages are reported as resident.
fn mincore_in(space: &mut Space, memory: &GuestMemory, [addr, len, out, ..]: Args) -> Result {
    let len = checked_range(addr, len, Errno::ENOMEM)?;
    if !space.map.covers(addr, len) {
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
