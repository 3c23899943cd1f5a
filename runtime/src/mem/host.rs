//! The host side of guest memory: the reserved window and its permission table. Unsafe code lives here.
//!
//! Rules that every function keeps:
//! - No Rust reference ever points into guest memory; it is accessed through raw pointers, since the guest, other
//!   guest threads and the host kernel change it at any time.
//! - An access happens only after the permission bytes of all its pages allowed it, which implies that the window
//!   maps them. The callers in `mem` check; the functions that take an address say so under "Requires".
#![allow(unsafe_code, reason = "guest memory is raw host memory by nature")]

use super::{ADDRESS_BITS, ADDRESS_SPACE, PAGE, perm};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// A checked range of guest memory in the layout of the host's `struct iovec`, to be given to the host kernel only.
///
/// It stays inside the window whatever the guest maps later: the host kernel then meets an inaccessible page at worst
/// and reports `EFAULT`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HostRange {
    start: *mut u8,
    len: usize,
}

impl HostRange {
    /// The host address.
    pub fn addr(&self) -> u64 {
        self.start as u64
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Asks the host to bring what is at a host address closer, for a use that comes soon. It need not be anything.
#[inline]
pub fn prefetch(at: usize, bytes: usize) {
    for offset in (0..bytes).step_by(LINE) {
        // SAFETY: a prefetch yields nothing and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::without_provenance(at.wrapping_add(offset))) };
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// A reserved range of host address space that holds a guest's memory, and in front of it a byte of permissions for each
/// page.
#[derive(Debug)]
pub struct Window {
    base: *mut u8,
}

// SAFETY: the pointer is to a mapping that lives as long as the window, and all accesses through it are either atomic or
// to guest memory, for which races are the guest's own.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

/// Bytes of the permission table: one for each page, and a page more, since pairs look at the next one.
const TABLE: usize = (ADDRESS_SPACE / PAGE + PAGE) as usize;
/// Where the permission table begins, from the window's base. It fits an instruction.
pub const PERMISSIONS: i32 = -(TABLE as i32);
/// All that is reserved. The page behind the window stays unmapped, so that an access of a few bytes at its end cannot
/// leave it.
const RESERVED: usize = TABLE + (ADDRESS_SPACE + PAGE) as usize;

impl Window {
    /// Reserves a window of [`ADDRESS_SPACE`] bytes with nothing mapped in it.
    ///
    /// # Errors
    /// The host's error.
    pub fn reserve() -> std::io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new private mapping at an address of the kernel's choice disturbs nothing.
        let table = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), RESERVED, ProtFlags::empty(), flags)? };
        // SAFETY: the table is the first part of the mapping.
        let window = Window { base: unsafe { table.cast::<u8>().add(TABLE) } };
        // SAFETY: as above; nobody has seen it.
        unsafe { rustix::mm::mprotect(table, TABLE, MprotectFlags::READ | MprotectFlags::WRITE)? };
        Ok(window)
    }

    /// Host address of the window.
    pub fn base(&self) -> usize {
        self.base as usize
    }

    fn perm_cell(&self, page: u64) -> &AtomicU8 {
        debug_assert!(page <= ADDRESS_SPACE / PAGE);
        // SAFETY: the table has a byte for each page and a page more; callers give page numbers inside the window.
        unsafe { AtomicU8::from_ptr(self.base.offset(PERMISSIONS as isize).add(page as usize)) }
    }

    /// The permission byte of the page of `addr`; 0 outside the window.
    #[inline]
    pub fn perms(&self, addr: u64) -> u8 {
        if addr >> ADDRESS_BITS != 0 { 0 } else { self.perm_cell(addr / PAGE).load(Ordering::Relaxed) }
    }

    /// True if `addr..addr+len` (`len` 1 to [`PAGE`]) lies on pages that all have one of the bits `need`.
    #[inline]
    pub fn allows(&self, addr: u64, len: u64, need: u8) -> bool {
        let last = addr.wrapping_add(len - 1);
        (addr | last) >> ADDRESS_BITS == 0
            && self.perm_cell(addr / PAGE).load(Ordering::Relaxed)
                & self.perm_cell(last / PAGE).load(Ordering::Relaxed)
                & need
                != 0
    }

    /// Rewrites the permission bytes of the pages of `addr..addr+len`.
    ///
    /// # Panics
    /// If the range is not inside the window.
    pub fn fill_perms(&self, addr: u64, len: u64, change: impl Fn(u8) -> u8) {
        self.assert_inside(addr, len);
        let (first, end) = (addr / PAGE, (addr + len).div_ceil(PAGE));
        for page in first..end {
            self.set_perm(page, |old| change(old) & !perm::PAIRS | old & perm::PAIRS);
        }
        for page in first.saturating_sub(1)..end {
            let both = self.perm_cell(page).load(Ordering::Relaxed) & self.perm_cell(page + 1).load(Ordering::Relaxed);
            let read = if both & perm::READ != 0 { perm::READ_PAIR } else { 0 };
            let write = if both & perm::FAST_WRITE != 0 { perm::FAST_WRITE_PAIR } else { 0 };
            self.set_perm(page, |old| old & !perm::PAIRS | read | write);
        }
    }

    fn set_perm(&self, page: u64, change: impl Fn(u8) -> u8) {
        let cell = self.perm_cell(page);
        let old = cell.load(Ordering::Relaxed);
        let new = change(old);
        if new != old {
            cell.store(new, Ordering::Release);
        }
    }

    fn assert_inside(&self, addr: u64, len: u64) {
        assert!(
            addr.checked_add(len).is_some_and(|end| end <= ADDRESS_SPACE),
            "guest range {addr:#x}+{len:#x} is outside"
        );
    }

    /// The host pointer of `addr`. Requires: `addr` is inside the window.
    fn at(&self, addr: u64) -> *mut u8 {
        debug_assert!(addr < ADDRESS_SPACE);
        // SAFETY: the window is in one mapping.
        unsafe { self.base.add(addr as usize) }
    }

    /// Guest permissions as the host kernel shall see them. Guest code is never executed by the host.
    fn host_prot(prot: u8) -> ProtFlags {
        let mut flags = ProtFlags::empty();
        if prot & (perm::READ | perm::EXEC | perm::WRITE) != 0 {
            flags |= ProtFlags::READ;
        }
        if prot & perm::WRITE != 0 {
            flags |= ProtFlags::WRITE;
        }
        flags
    }

    /// See [`super::GuestMemory::map_anonymous`].
    pub(super) fn map_anonymous(&self, addr: u64, len: u64, prot: u8, shared: bool) -> std::io::Result<()> {
        self.assert_inside(addr, len);
        let flags = MapFlags::FIXED | MapFlags::NORESERVE | if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
        // SAFETY: the range is inside the window, which only guest memory uses.
        unsafe { rustix::mm::mmap_anonymous(self.at(addr).cast(), len as usize, Self::host_prot(prot), flags) }?;
        Ok(())
    }

    /// See [`super::GuestMemory::map_file`].
    pub(super) fn map_file(
        &self,
        addr: u64,
        len: u64,
        prot: u8,
        file: BorrowedFd<'_>,
        offset: u64,
        shared: bool,
    ) -> std::io::Result<()> {
        self.assert_inside(addr, len);
        let flags = MapFlags::FIXED | MapFlags::NORESERVE | if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
        // SAFETY: the range is inside the window, which only guest memory uses.
        unsafe { rustix::mm::mmap(self.at(addr).cast(), len as usize, Self::host_prot(prot), flags, file, offset) }?;
        Ok(())
    }

    /// See [`super::GuestMemory::map_segment`].
    ///
    /// The segment is attached elsewhere first and then moved, because only a move has a length: whatever `id` has
    /// become meanwhile, no more than `len` bytes come into the window.
    pub(super) fn map_segment(&self, addr: u64, len: u64, prot: u8, id: i32) -> std::io::Result<()> {
        self.assert_inside(addr, len);
        let flags = if prot & perm::WRITE == 0 { libc::SHM_RDONLY } else { 0 };
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let attached = unsafe { libc::shmat(id, ptr::null(), flags) };
        if attached.addr() == usize::MAX {
            return Err(std::io::Error::last_os_error());
        }
        let (fixed, to) = (libc::MREMAP_FIXED | libc::MREMAP_MAYMOVE, self.at(addr).cast::<libc::c_void>());
        // SAFETY: the source was mapped just now and nobody else knows it; the target is inside the window, which only
        // guest memory uses. If the source is shorter than `len`, the kernel moves nothing.
        if unsafe { libc::mremap(attached, len as usize, len as usize, fixed, to) } == libc::MAP_FAILED {
            let error = std::io::Error::last_os_error();
            // SAFETY: as above.
            unsafe { libc::shmdt(attached) };
            return Err(error);
        }
        Ok(())
    }

    /// See [`super::GuestMemory::unmap`].
    pub(super) fn unmap(&self, addr: u64, len: u64) -> std::io::Result<()> {
        self.assert_inside(addr, len);
        let flags = MapFlags::FIXED | MapFlags::NORESERVE | MapFlags::PRIVATE;
        // SAFETY: as in `map_anonymous`; mapping nothing accessible keeps the reservation.
        unsafe { rustix::mm::mmap_anonymous(self.at(addr).cast(), len as usize, ProtFlags::empty(), flags) }?;
        Ok(())
    }

    /// See [`super::GuestMemory::protect`].
    pub(super) fn protect(&self, addr: u64, len: u64, prot: u8) -> std::io::Result<()> {
        self.assert_inside(addr, len);
        let flags = MprotectFlags::from_bits_retain(Self::host_prot(prot).bits());
        // SAFETY: the range is inside the window, which only guest memory uses.
        unsafe { rustix::mm::mprotect(self.at(addr).cast(), len as usize, flags) }?;
        Ok(())
    }

    /// See [`super::GuestMemory::discard`].
    pub(super) fn discard(&self, addr: u64, len: u64) -> std::io::Result<()> {
        self.assert_inside(addr, len);
        // SAFETY: the range is inside the window, which only guest memory uses.
        unsafe { rustix::mm::madvise(self.at(addr).cast(), len as usize, Advice::LinuxDontNeed) }?;
        Ok(())
    }

    /// The range `addr..addr+len` for the host kernel. Requires: checked, or empty.
    pub(super) fn host_range(&self, addr: u64, len: u64) -> HostRange {
        if len == 0 {
            return HostRange { start: self.base, len: 0 };
        }
        self.assert_inside(addr, len);
        HostRange { start: self.at(addr), len: len as usize }
    }

    /// See [`super::GuestMemory::move_pages`].
    pub(super) fn move_pages(&self, old: u64, len: u64, new: u64) -> std::io::Result<()> {
        self.assert_inside(old, len);
        self.assert_inside(new, len);
        assert!(old + len <= new || new + len <= old, "overlapping move of guest pages");
        let (from, to): (*mut libc::c_void, *mut libc::c_void) = (self.at(old).cast(), self.at(new).cast());
        // `DONTUNMAP` leaves no hole in the window that another host mapping could take; file mappings refuse it.
        let (keep, fixed) = (libc::MREMAP_DONTUNMAP, libc::MREMAP_FIXED | libc::MREMAP_MAYMOVE);
        // SAFETY: both ranges are inside the window, which only guest memory uses.
        let moved = unsafe { libc::mremap(from, len as usize, len as usize, fixed | keep, to) };
        if moved == libc::MAP_FAILED {
            // SAFETY: as above; `unmap` below closes the hole at once.
            let moved = unsafe { libc::mremap(from, len as usize, len as usize, fixed, to) };
            if moved == libc::MAP_FAILED {
                return Err(std::io::Error::last_os_error());
            }
        }
        self.unmap(old, len)
    }

    /// Loads `N` bytes. Requires: checked as readable.
    #[inline]
    pub(super) fn load<const N: usize>(&self, addr: u64) -> [u8; N] {
        let host = self.at(addr);
        // SAFETY: the caller has checked all pages; alignment for the atomic cases is tested here. Guest memory may
        // change under us, so aligned power-of-two sizes are one relaxed atomic load and others are volatile bytes.
        unsafe {
            let mut out = [0; N];
            match N {
                2 if addr.is_multiple_of(2) => {
                    out.copy_from_slice(&AtomicU16::from_ptr(host.cast()).load(Ordering::Relaxed).to_ne_bytes())
                }
                4 if addr.is_multiple_of(4) => {
                    out.copy_from_slice(&AtomicU32::from_ptr(host.cast()).load(Ordering::Relaxed).to_ne_bytes())
                }
                8 if addr.is_multiple_of(8) => {
                    out.copy_from_slice(&AtomicU64::from_ptr(host.cast()).load(Ordering::Relaxed).to_ne_bytes())
                }
                _ => out = ptr::read_volatile(host.cast::<[u8; N]>()),
            }
            out
        }
    }

    /// Stores `N` bytes. Requires: checked as writable.
    #[inline]
    pub(super) fn store<const N: usize>(&self, addr: u64, bytes: [u8; N]) {
        let host = self.at(addr);
        // SAFETY: as in `load`.
        unsafe {
            match N {
                2 if addr.is_multiple_of(2) => {
                    AtomicU16::from_ptr(host.cast()).store(u16::from_ne_bytes([bytes[0], bytes[1]]), Ordering::Relaxed)
                }
                4 if addr.is_multiple_of(4) => {
                    AtomicU32::from_ptr(host.cast())
                        .store(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]), Ordering::Relaxed);
                }
                8 if addr.is_multiple_of(8) => {
                    let mut eight = [0; 8];
                    eight.copy_from_slice(&bytes);
                    AtomicU64::from_ptr(host.cast()).store(u64::from_ne_bytes(eight), Ordering::Relaxed);
                }
                _ => ptr::write_volatile(host.cast::<[u8; N]>(), bytes),
            }
        }
    }

    /// Copies out. Requires: checked as readable.
    pub(super) fn read(&self, addr: u64, out: &mut [u8]) {
        if !out.is_empty() {
            // SAFETY: the caller has checked all pages; `out` is host memory outside the window.
            unsafe { ptr::copy_nonoverlapping(self.at(addr), out.as_mut_ptr(), out.len()) }
        }
    }

    /// Copies in. Requires: checked as writable.
    pub(super) fn write(&self, addr: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            // SAFETY: the caller has checked all pages; `bytes` is host memory outside the window.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(addr), bytes.len()) }
        }
    }

    /// Copies in, whatever the permissions. Requires: all pages are mapped.
    pub(super) fn write_forced(&self, addr: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = addr + done as u64;
            let chunk = ((PAGE - at % PAGE) as usize).min(bytes.len() - done);
            let page = at & !(PAGE - 1);
            let prot = self.perms(page);
            let forced = self.protect(page, PAGE, prot | perm::READ | perm::WRITE).is_ok();
            if forced {
                self.write(at, &bytes[done..done + chunk]);
                // Taking write permission away again cannot fail for a page that has just been given it.
                let _ = self.protect(page, PAGE, prot);
            }
            done += chunk;
        }
    }

    /// Reads a byte, whatever the permissions. Requires: the page is mapped.
    pub(super) fn read_forced(&self, addr: u64) -> u8 {
        let (page, prot) = (addr & !(PAGE - 1), self.perms(addr));
        let mut byte = [0];
        // A page that is mapped without any permission is not accessible in the host either.
        let hidden = prot & (perm::READ | perm::WRITE | perm::EXEC) == 0;
        if !hidden || self.protect(page, PAGE, perm::READ).is_ok() {
            self.read(addr, &mut byte);
        }
        if hidden {
            let _ = self.protect(page, PAGE, prot);
        }
        byte[0]
    }

    /// See [`super::GuestMemory::compare_exchange`]. Requires: checked as writable, aligned to `size`.
    pub(super) fn compare_exchange(&self, addr: u64, size: u64, expected: u128, new: u128) -> u128 {
        assert!(addr.is_multiple_of(size), "misaligned atomic access to {addr:#x}");
        let host = self.at(addr);
        macro_rules! exchange {
            ($atomic:ty, $int:ty) => {{
                // SAFETY: the caller has checked the page; the address is aligned, asserted above.
                let cell = unsafe { <$atomic>::from_ptr(host.cast()) };
                match cell.compare_exchange(expected as $int, new as $int, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(old) | Err(old) => u128::from(old),
                }
            }};
        }
        match size {
            1 => exchange!(AtomicU8, u8),
            2 => exchange!(AtomicU16, u16),
            4 => exchange!(AtomicU32, u32),
            8 => exchange!(AtomicU64, u64),
            // SAFETY: the page is checked by the caller, the alignment asserted above.
            16 => unsafe { compare_exchange_16(host.cast(), expected, new) },
            _ => unreachable!("atomic access of {size} bytes"),
        }
    }
}

/// A 16-byte compare-and-exchange. Every x86-64 CPU of the last fifteen years has the instruction; the compiler would
/// call a library for it, because the baseline does not promise it.
///
/// # Safety
/// `host` points to mapped, writable guest memory and is 16-byte aligned.
unsafe fn compare_exchange_16(host: *mut u128, expected: u128, new: u128) -> u128 {
    let (mut low, mut high) = (expected as u64, (expected >> 64) as u64);
    // SAFETY: the pointer is good by the function's contract; rbx, which the compiler reserves, is restored.
    unsafe {
        std::arch::asm!(
            "xchg rsi, rbx",
            "lock cmpxchg16b [rdi]",
            "mov rbx, rsi",
            in("rdi") host,
            inout("rsi") new as u64 => _,
            in("rcx") (new >> 64) as u64,
            inout("rax") low,
            inout("rdx") high,
            options(nostack),
        );
    }
    u128::from(low) | u128::from(high) << 64
}

/// Puts a page of zeroes in place of a page of the window that the host can no longer access, and takes its guest
/// permissions away. False if the host has no memory for it. `base` is [`Window::base`]. It is called in a signal
/// handler.
pub(crate) fn lose_page(base: usize, addr: u64) -> bool {
    let page = addr / PAGE;
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: the page is inside the window, which only guest memory uses; a system call is async-signal-safe.
    let mapped = unsafe { libc::mmap((base + (page * PAGE) as usize) as *mut _, PAGE as usize, prot, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return false;
    }
    // SAFETY: the table has a byte for each page of the window.
    let cell = |page: u64| unsafe { AtomicU8::from_ptr((base - TABLE + page as usize) as *mut u8) };
    cell(page).store(perm::MAPPED, Ordering::Release);
    if page > 0 {
        cell(page - 1).fetch_and(!perm::PAIRS, Ordering::Release);
    }
    true
}

/// Returns so many words, all 0; the host provides the memory of those that are used. Not guest memory: it is here
/// because it needs the host's zeroed pages, and unsafe code to say that they are valid words.
pub(crate) fn zeroed_words(count: usize) -> Arc<[AtomicU64]> {
    let zeroed: Arc<[std::mem::MaybeUninit<AtomicU64>]> = Arc::new_zeroed_slice(count);
    // SAFETY: every byte is zero, and zero bytes are a valid `AtomicU64`: it has the representation of `u64`.
    unsafe { zeroed.assume_init() }
}

/// Has the host's allocator map each large piece by itself from now on, so that all of it is given back when it is freed
/// and none of it is copied when it grows. By itself it stops doing so when it has seen large pieces come and go. Not guest
/// memory: it is here because it is unsafe code.
pub(crate) fn map_large_pieces() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it changes a setting of the allocator, under the allocator's lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Bytes from which on a piece is large. With half of it, mapping what small regions need takes `lua` a hundredth of its
/// time.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 256 << 10;

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `reserve` and nothing refers to it any more.
        unsafe {
            let _ = rustix::mm::munmap(self.base.sub(TABLE).cast(), RESERVED);
        }
    }
}
