//! Guest memory: one reserved window of host address space, with a permission byte for every guest page.
//!
//! Every access is checked against the permission bytes before it happens, by the interpreter and by generated code
//! alike, so a guest cannot reach host memory. Which regions a guest process has mapped and why is the business of
//! the environment ([`crate::linux`]), not of this module. Host pointers stay in [`host`].

pub mod host;
mod shared;
mod stuck;

use host::Window;
pub use host::{HostRange, PERMISSIONS};
use shared::SharedMaps;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard};
use stuck::Stuck;

/// log2 of the size of the guest address space.
pub const ADDRESS_BITS: u32 = 39;
/// Size of the guest address space in bytes; legal guest addresses are below it.
pub const ADDRESS_SPACE: u64 = 1 << ADDRESS_BITS;
/// Size of a guest page in bytes.
pub const PAGE: u64 = 4096;

/// What a user can do when address space cannot be had.
pub const SHORT_OF_SPACE: &str = "spile reserves 512 GiB of address space for the guest and 1 GiB for itself, and uses \
    little of it: allow that with `ulimit -v unlimited`, and limit memory in another way, such as a control group";

/// Permission bits of a guest page. Generated code tests `READ`, `FAST_WRITE` and the two pair bits.
pub mod perm {
    /// Loads are allowed.
    pub const READ: u8 = 1;
    /// Stores are allowed.
    pub const WRITE: u8 = 2;
    /// Instruction fetches are allowed.
    pub const EXEC: u8 = 4;
    /// The page has been translated: stores must invalidate.
    pub const CODE: u8 = 8;
    /// `READ` and `WRITE` without `CODE`: stores need no further look, and loads neither.
    pub const FAST_WRITE: u8 = 16;
    /// The page is mapped, whatever its permissions.
    pub const MAPPED: u8 = 32;
    /// `READ` here and on the next page: a load of up to a page that begins here needs no further look.
    pub const READ_PAIR: u8 = 64;
    /// `FAST_WRITE` here and on the next page.
    pub const FAST_WRITE_PAIR: u8 = 128;
    /// The bits that depend on two pages; [`super::host`] keeps them.
    pub const PAIRS: u8 = READ_PAIR | FAST_WRITE_PAIR;
}

/// Permissions with [`perm::FAST_WRITE`], if that is right.
fn with_fast_write(bits: u8) -> u8 {
    let is_fast = bits & (perm::READ | perm::WRITE | perm::CODE) == perm::READ | perm::WRITE;
    if is_fast { bits | perm::FAST_WRITE } else { bits }
}

/// What an access wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Fetch,
}

/// An access that the guest may not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first byte that cannot be accessed.
    pub addr: u64,
    /// The kind of access.
    pub access: Access,
    /// True if something is mapped there but forbids the access (`SEGV_ACCERR`), false if nothing is (`SEGV_MAPERR`).
    pub mapped: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.access {
            Access::Read => "load from",
            Access::Write => "store to",
            Access::Fetch => "fetch from",
        };
        write!(f, "{verb} {:#x}: {}", self.addr, if self.mapped { "not permitted" } else { "not mapped" })
    }
}

thread_local! {
    /// See [`GuestMemory::note_host_writes`].
    static HOST_WRITES: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

/// Log2 of the number of versions that exclusive stores share.
const VERSION_BITS: u32 = 12;

/// The memory of one guest address space. All methods take `&self`: guest threads share it.
#[derive(Debug)]
pub struct GuestMemory {
    window: Window,
    /// Address bits that count; others are ignored when an access misses (top-byte-ignore).
    address_mask: u64,
    /// Pages with translations that have been written since the engine last asked.
    written_code: Mutex<Vec<u64>>,
    has_written_code: AtomicBool,
    /// Which pages are the same page of a file.
    shared: Mutex<SharedMaps>,
    /// There has been a shared file mapping.
    has_shared: AtomicBool,
    /// Bits that are stuck, at the addresses that scripts name.
    stuck: Mutex<Stuck>,
    has_stuck: AtomicBool,
    /// One number for the 16-byte granules of each of several parts of memory: even, and one step up for each
    /// successful exclusive store; odd while one is under way.
    versions: Box<[AtomicU64]>,
}

impl GuestMemory {
    /// Reserves an empty address space. `address_mask` has the address bits that the architecture does not ignore.
    ///
    /// # Errors
    /// The host's error if address space is short (`ulimit -v`).
    pub fn new(address_mask: u64) -> std::io::Result<Self> {
        Ok(GuestMemory {
            window: Window::reserve()?,
            address_mask,
            written_code: Mutex::new(Vec::new()),
            has_written_code: AtomicBool::new(false),
            shared: Mutex::default(),
            has_shared: AtomicBool::new(false),
            stuck: Mutex::default(),
            has_stuck: AtomicBool::new(false),
            versions: (0..1 << VERSION_BITS).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Returns the permission byte of the page of `addr`; see [`perm`]. 0 outside the address space.
    pub fn perms(&self, addr: u64) -> u8 {
        self.window.perms(addr)
    }

    /// Maps zeroed private memory over `addr..addr+len`, which are multiples of [`PAGE`] inside the address space.
    /// `prot` has the bits `READ`, `WRITE` and `EXEC`.
    ///
    /// # Errors
    /// The host's error.
    pub fn map_anonymous(&self, addr: u64, len: u64, prot: u8, shared: bool) -> std::io::Result<()> {
        self.note_write(addr, len);
        self.window.map_anonymous(addr, len, prot, shared)?;
        self.shared_maps().remove(addr, len);
        self.set_perms(addr, len, prot);
        self.renew_stuck(addr, len);
        Ok(())
    }

    /// Maps a file over `addr..addr+len`.
    ///
    /// # Errors
    /// The host's error.
    pub fn map_file(
        &self,
        addr: u64,
        len: u64,
        prot: u8,
        file: BorrowedFd<'_>,
        offset: u64,
        shared: bool,
    ) -> std::io::Result<()> {
        self.note_write(addr, len);
        let stat = rustix::fs::fstat(file)?;
        self.window.map_file(addr, len, prot, file, offset, shared)?;
        if shared {
            self.has_shared.store(true, Ordering::Relaxed);
            self.shared_maps().insert(addr, len, (stat.st_dev, stat.st_ino), offset);
        } else {
            self.shared_maps().remove(addr, len);
        }
        self.set_perms(addr, len, prot);
        self.renew_stuck(addr, len);
        Ok(())
    }

    /// Attaches the host's System V shared memory segment `id`, which has `len` bytes, at `addr`.
    ///
    /// # Errors
    /// The host's error.
    pub fn map_segment(&self, addr: u64, len: u64, prot: u8, id: i32) -> std::io::Result<()> {
        self.note_write(addr, len);
        self.window.map_segment(addr, len, prot, id)?;
        self.shared_maps().remove(addr, len);
        self.set_perms(addr, len, prot);
        self.renew_stuck(addr, len);
        Ok(())
    }

    /// Removes whatever is mapped in `addr..addr+len`.
    ///
    /// # Errors
    /// The host's error.
    pub fn unmap(&self, addr: u64, len: u64) -> std::io::Result<()> {
        self.note_write(addr, len);
        self.window.unmap(addr, len)?;
        self.shared_maps().remove(addr, len);
        self.window.fill_perms(addr, len, |_| 0);
        Ok(())
    }

    /// Changes the permissions of `addr..addr+len`, all of which is mapped.
    ///
    /// # Errors
    /// The host's error.
    pub fn protect(&self, addr: u64, len: u64, prot: u8) -> std::io::Result<()> {
        self.note_write(addr, len);
        self.window.protect(addr, len, prot)?;
        self.set_perms(addr, len, prot);
        Ok(())
    }

    /// True if every page of `addr..addr+len` is unmapped and inside the address space.
    pub fn is_free(&self, addr: u64, len: u64) -> bool {
        addr.checked_add(len).is_some_and(|end| end <= ADDRESS_SPACE)
            && (addr / PAGE..(addr + len).div_ceil(PAGE)).all(|page| self.window.perms(page * PAGE) == 0)
    }

    /// Gives the pages of `addr..addr+len` back to the host; private anonymous memory then reads as zero.
    ///
    /// # Errors
    /// The host's error.
    pub fn discard(&self, addr: u64, len: u64) -> std::io::Result<()> {
        self.note_write(addr, len);
        self.window.discard(addr, len)?;
        self.renew_stuck(addr, len);
        Ok(())
    }

    /// True if changing the permissions of `addr..addr+len` to `prot` takes some away, or concerns translated code.
    pub fn loses(&self, addr: u64, len: u64, prot: u8) -> bool {
        let end = addr.saturating_add(len).min(ADDRESS_SPACE);
        (addr / PAGE..end.div_ceil(PAGE)).any(|page| {
            let bits = self.window.perms(page * PAGE);
            bits & perm::CODE != 0 || bits & (perm::READ | perm::WRITE | perm::EXEC) & !prot != 0
        })
    }

    fn set_perms(&self, addr: u64, len: u64, prot: u8) {
        let bits = prot & (perm::READ | perm::WRITE | perm::EXEC) | perm::MAPPED;
        let bits = with_fast_write(bits);
        self.window.fill_perms(addr, len, |_| bits);
        self.slow_stuck(addr, len);
        if !self.has_shared.load(Ordering::Relaxed) {
            return;
        }
        for page in (addr..addr + len).step_by(PAGE as usize) {
            // Code that is translated through another mapping of the page.
            if self.aliases(page).into_iter().any(|alias| self.window.perms(alias) & perm::CODE != 0) {
                self.mark_page(page);
            }
        }
    }

    fn shared_maps(&self) -> MutexGuard<'_, SharedMaps> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The other pages that are the same page of a file as the page of `addr`.
    pub fn aliases(&self, addr: u64) -> Vec<u64> {
        if self.has_shared.load(Ordering::Relaxed) { self.shared_maps().aliases(addr) } else { Vec::new() }
    }

    /// True if stores to what a page with permissions `bits` shows may come without a look: through itself or another
    /// mapping of the same file page.
    pub fn is_written_unseen(&self, addr: u64, bits: u8) -> bool {
        bits & perm::FAST_WRITE != 0
            || self.aliases(addr).into_iter().any(|alias| self.window.perms(alias) & perm::FAST_WRITE != 0)
    }

    /// Checks that all of `addr..addr+len` allows `access`. Ignored address bits are removed: the result is the
    /// address to use.
    ///
    /// # Errors
    /// The fault that the guest sees.
    pub fn check(&self, addr: u64, len: u64, access: Access) -> Result<u64, Fault> {
        let need = match access {
            Access::Read => perm::READ,
            Access::Write => perm::WRITE,
            Access::Fetch => perm::EXEC,
        };
        let masked = if access == Access::Fetch { addr } else { addr & self.address_mask };
        if len == 0 {
            return Ok(masked);
        }
        let fault = |at: u64| Fault { addr: at, access, mapped: self.window.perms(at) & perm::MAPPED != 0 };
        let last = masked.checked_add(len - 1).ok_or_else(|| fault(addr))?;
        let mut page = masked & !(PAGE - 1);
        loop {
            if self.window.perms(page) & need == 0 {
                let at = page.max(masked);
                return Err(Fault { addr: at | (addr & !self.address_mask), ..fault(at) });
            }
            if last - page < PAGE {
                return Ok(masked);
            }
            page += PAGE;
        }
    }

    /// True if `addr..addr+len` (`len` 1 to [`PAGE`]) is readable without further ado.
    #[inline]
    pub fn fast_read(&self, addr: u64, len: u64) -> bool {
        self.window.allows(addr, len, perm::READ)
    }

    /// True if `addr..addr+len` (`len` 1 to [`PAGE`]) is writable and holds no translated code.
    #[inline]
    pub fn fast_write(&self, addr: u64, len: u64) -> bool {
        self.window.allows(addr, len, perm::FAST_WRITE)
    }

    /// Loads `N` bytes, as one access if `N` is 1, 2, 4 or 8 and `addr` is aligned.
    ///
    /// # Errors
    /// The fault that the guest sees.
    #[inline]
    pub fn load<const N: usize>(&self, addr: u64) -> Result<[u8; N], Fault> {
        let addr = if self.fast_read(addr, N as u64) { addr } else { self.check(addr, N as u64, Access::Read)? };
        Ok(self.window.load(addr))
    }

    /// Loads a number of 4 or 8 bytes, the lowest byte first.
    ///
    /// # Errors
    /// The fault that the guest sees.
    pub fn load_word(&self, addr: u64, size: u64) -> Result<u64, Fault> {
        match size {
            4 => self.load(addr).map(|bytes| u32::from_le_bytes(bytes).into()),
            _ => self.load(addr).map(u64::from_le_bytes),
        }
    }

    /// Stores `N` bytes, as one access if `N` is 1, 2, 4 or 8 and `addr` is aligned.
    ///
    /// # Errors
    /// The fault that the guest sees; nothing is stored then.
    #[inline]
    pub fn store<const N: usize>(&self, addr: u64, bytes: [u8; N]) -> Result<(), Fault> {
        let addr = if self.fast_write(addr, N as u64) {
            addr
        } else {
            let addr = self.check(addr, N as u64, Access::Write)?;
            self.note_write(addr, N as u64);
            if self.has_stuck() {
                self.store_stuck(addr, bytes);
                return Ok(());
            }
            addr
        };
        self.window.store(addr, bytes);
        Ok(())
    }

    /// Copies guest memory out.
    ///
    /// # Errors
    /// The fault at the first byte that cannot be read; `out` is then unspecified.
    pub fn read(&self, addr: u64, out: &mut [u8]) -> Result<(), Fault> {
        let addr = self.check(addr, out.len() as u64, Access::Read)?;
        self.window.read(addr, out);
        Ok(())
    }

    /// Copies guest memory out into a new vector. The range is checked before memory is allocated.
    ///
    /// # Errors
    /// As [`GuestMemory::read`].
    pub fn read_vec(&self, addr: u64, len: u64) -> Result<Vec<u8>, Fault> {
        let addr = self.check(addr, len, Access::Read)?;
        let mut out = vec![0; len as usize];
        self.window.read(addr, &mut out);
        Ok(out)
    }

    /// Reads bytes up to a NUL, which is not part of the result, or up to `max` bytes. The flag says whether a NUL
    /// was found.
    ///
    /// # Errors
    /// The fault at the first byte that cannot be read.
    pub fn read_c_string(&self, addr: u64, max: usize) -> Result<(Vec<u8>, bool), Fault> {
        let mut text = Vec::new();
        let mut at = addr;
        while text.len() < max {
            let chunk = ((PAGE - at % PAGE) as usize).min(max - text.len());
            let bytes = self.read_vec(at, chunk as u64)?;
            if let Some(nul) = bytes.iter().position(|&b| b == 0) {
                text.extend_from_slice(&bytes[..nul]);
                return Ok((text, true));
            }
            text.extend_from_slice(&bytes);
            at = at.wrapping_add(chunk as u64);
        }
        Ok((text, false))
    }

    /// Copies into guest memory that the guest may write.
    ///
    /// # Errors
    /// The fault at the first byte that cannot be written; nothing is written then.
    pub fn write(&self, addr: u64, bytes: &[u8]) -> Result<(), Fault> {
        let addr = self.check(addr, bytes.len() as u64, Access::Write)?;
        self.note_write(addr, bytes.len() as u64);
        self.with_stuck(addr, bytes, |bytes| self.window.write(addr, bytes));
        Ok(())
    }

    /// Copies into guest memory whatever its permissions: for loaders, and for patches that a user asked for.
    ///
    /// # Errors
    /// The fault at the first byte that is not mapped; nothing is written then.
    pub fn write_forced(&self, addr: u64, bytes: &[u8]) -> Result<(), Fault> {
        let addr = addr & self.address_mask;
        let pages = addr / PAGE..addr.saturating_add(bytes.len() as u64).div_ceil(PAGE);
        if let Some(page) = pages.clone().find(|page| self.window.perms(page * PAGE) & perm::MAPPED == 0) {
            return Err(Fault { addr: addr.max(page * PAGE), access: Access::Write, mapped: false });
        }
        self.note_write(addr, bytes.len() as u64);
        self.with_stuck(addr, bytes, |bytes| self.window.write_forced(addr, bytes));
        Ok(())
    }

    /// Reads an instruction's bytes.
    ///
    /// # Errors
    /// The fault that the guest sees.
    pub fn fetch<const N: usize>(&self, addr: u64) -> Result<[u8; N], Fault> {
        self.check(addr, N as u64, Access::Fetch)?;
        Ok(self.window.load(addr))
    }

    /// Compares `size` bytes (1, 2, 4, 8 or 16, aligned) at `addr` with `expected` and, if equal, replaces them by
    /// `new`, in one atomic step. Returns what memory held.
    ///
    /// # Errors
    /// The fault that the guest sees.
    pub fn compare_exchange(&self, addr: u64, size: u64, expected: u128, new: u128) -> Result<u128, Fault> {
        let addr = self.check(addr, size, Access::Write)?;
        self.note_write(addr, size);
        Ok(self.exchange(addr, size, expected, new))
    }

    fn version(&self, addr: u64) -> &AtomicU64 {
        let granule = addr / 16;
        &self.versions[(granule ^ granule >> VERSION_BITS) as usize & ((1 << VERSION_BITS) - 1)]
    }

    /// Loads `size` bytes (1 to 16, a power of two, aligned) for a later [`GuestMemory::store_exclusive`], which wants
    /// the value and the version that this returns.
    ///
    /// # Errors
    /// The fault that the guest sees.
    pub fn load_exclusive(&self, addr: u64, size: u64) -> Result<(u128, u64), Fault> {
        let addr = self.check(addr, size, Access::Read)?;
        let cell = self.version(addr);
        loop {
            let version = cell.load(Ordering::Acquire);
            let value = match size {
                1 => u128::from(self.window.load::<1>(addr)[0]),
                2 => u128::from(u16::from_le_bytes(self.window.load(addr))),
                4 => u128::from(u32::from_le_bytes(self.window.load(addr))),
                8 => u128::from(u64::from_le_bytes(self.window.load(addr))),
                _ => {
                    let half = |at| u128::from(u64::from_le_bytes(self.window.load(at)));
                    half(addr) | half(addr + 8) << 64
                }
            };
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && cell.load(Ordering::Relaxed) == version {
                return Ok((value, version));
            }
            std::hint::spin_loop();
        }
    }

    /// Stores `size` bytes if nothing has been stored at `addr` since [`GuestMemory::load_exclusive`] returned `seen`
    /// for it; true if so. A store that is no exclusive one is noticed by the value that it has left, an exclusive one
    /// always: a location that was changed and changed back is not taken for untouched.
    ///
    /// # Errors
    /// The fault that the guest sees.
    pub fn store_exclusive(&self, addr: u64, size: u64, seen: (u128, u64), new: u128) -> Result<bool, Fault> {
        let addr = self.check(addr, size, Access::Write)?;
        let (expected, version) = seen;
        let cell = self.version(addr);
        if cell.compare_exchange(version, version + 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Ok(false);
        }
        self.note_write(addr, size);
        let stored = self.exchange(addr, size, expected, new) == expected;
        cell.store(if stored { version + 2 } else { version }, Ordering::SeqCst);
        Ok(stored)
    }

    /// Returns the longest prefix of `addr..addr+len` that allows `access`, as the host kernel takes buffers.
    ///
    /// # Errors
    /// The fault at `addr` if not even the first byte is accessible.
    pub fn host_range(&self, addr: u64, len: u64, access: Access) -> Result<HostRange, Fault> {
        let addr = self.check(addr, len.min(1), access)?;
        let mut usable = len.min(PAGE - addr % PAGE);
        while usable < len && self.check(addr + usable, 1, access).is_ok() {
            usable += PAGE.min(len - usable);
        }
        if access == Access::Write {
            self.note_write(addr, usable);
            let pages = (addr / PAGE..(addr + usable).div_ceil(PAGE)).map(|page| page * PAGE);
            let executable = |page: u64| self.window.perms(page) & perm::EXEC != 0 || !self.aliases(page).is_empty();
            if usable > 0 && pages.into_iter().any(executable) {
                HOST_WRITES.with_borrow_mut(|ranges| ranges.push((addr, usable)));
            }
        }
        Ok(self.window.host_range(addr, usable))
    }

    /// Moves the pages of `old..old+len` to `new..new+len`, which does not overlap it, with their permissions.
    /// Nothing is mapped at `old` afterwards.
    ///
    /// # Errors
    /// The host's error.
    pub fn move_pages(&self, old: u64, len: u64, new: u64) -> std::io::Result<()> {
        self.note_write(old, len);
        self.note_write(new, len);
        // What has been stored moves, stuck bits stay.
        self.free_stuck(old, len);
        self.window.move_pages(old, len, new)?;
        let mut shared = self.shared_maps();
        shared.remove(new, len);
        for (start, len, file, offset) in shared.remove(old, len) {
            shared.insert(start - old + new, len, file, offset);
        }
        drop(shared);
        for page in (0..len).step_by(PAGE as usize) {
            self.set_perms(new + page, PAGE, self.window.perms(old + page));
        }
        self.window.fill_perms(old, len, |_| 0);
        self.renew_stuck(new, len);
        Ok(())
    }

    /// Marks the page of `addr` as translated, so that stores to it are noticed, through other mappings as well.
    pub fn mark_code(&self, addr: u64) {
        if self.window.perms(addr) & perm::CODE == 0 {
            self.mark_page(addr);
            self.aliases(addr).into_iter().for_each(|alias| self.mark_page(alias));
        }
    }

    fn mark_page(&self, addr: u64) {
        self.window.fill_perms(addr & !(PAGE - 1), PAGE, |bits| (bits | perm::CODE) & !perm::FAST_WRITE);
    }

    /// Undoes [`GuestMemory::mark_code`].
    pub fn unmark_code(&self, addr: u64) {
        for page in self.aliases(addr).into_iter().chain([addr & !(PAGE - 1)]) {
            self.window.fill_perms(page, PAGE, |bits| with_fast_write(bits & !perm::CODE));
            self.slow_stuck(page, PAGE);
        }
    }

    /// True if the page of `addr`, ignored address bits removed, has been translated.
    pub fn is_code(&self, addr: u64) -> bool {
        self.window.perms(addr & self.address_mask) & perm::CODE != 0
    }

    /// True if translated code has been written or remapped since [`GuestMemory::take_written_code`].
    #[inline]
    pub fn has_written_code(&self) -> bool {
        self.has_written_code.load(Ordering::Acquire)
    }

    /// Returns the addresses of the translated pages that have been written or remapped, and forgets them.
    pub fn take_written_code(&self) -> Vec<u64> {
        let mut written = self.written_code.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.has_written_code.store(false, Ordering::Release);
        std::mem::take(&mut written)
    }

    /// Remembers which translated pages `addr..addr+len` touches. With several threads that may happen before the
    /// bytes change: translations are dropped in exclusive sections only, hence behind the store.
    pub fn note_write(&self, addr: u64, len: u64) {
        for page in addr / PAGE..addr.saturating_add(len).div_ceil(PAGE) {
            if self.window.perms(page * PAGE) & perm::CODE != 0 {
                let mut pages = self.aliases(page * PAGE);
                pages.push(page * PAGE);
                let mut written = self.written_code.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                pages.retain(|page| !written.contains(page));
                written.extend(pages);
                self.has_written_code.store(true, Ordering::Release);
            }
        }
    }

    /// Looks again at the executable ranges that this host thread has given to the host kernel: it writes to them while
    /// other threads run, which may have translated them meanwhile.
    pub fn note_host_writes(&self) {
        self.notice_stuck();
        for (addr, len) in HOST_WRITES.take() {
            self.note_write(addr, len);
        }
    }

    // ---- stuck bits: memory holds what loads give, and stores to pages with them come by here

    fn stuck(&self) -> MutexGuard<'_, Stuck> {
        self.stuck.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn has_stuck(&self) -> bool {
        self.has_stuck.load(Ordering::Relaxed)
    }

    /// The bits of `mask` are stuck at those of `value` from now on, from `addr` on. Loads give these, whoever makes them,
    /// and what is stored there comes back by [`GuestMemory::release`]. Stores of other threads that are under way
    /// are seen by [`GuestMemory::notice_stuck`] in the next exclusive section. Returns the address without ignored bits.
    ///
    /// # Errors
    /// The fault at the first byte that is not readable; nothing is stuck then.
    pub fn stick(&self, addr: u64, mask: &[u8], value: &[u8]) -> Result<u64, Fault> {
        let addr = self.check(addr, mask.len() as u64, Access::Read)?;
        self.note_write(addr, mask.len() as u64);
        let mut stuck = self.stuck();
        self.has_stuck.store(true, Ordering::Relaxed);
        for (at, (&mask, &value)) in (addr..).zip(mask.iter().zip(value)) {
            // Stores look first at the page, then at the byte.
            self.slow_page(at);
            self.change_byte(&mut stuck, at, |stuck, held| stuck.stick(at, mask, value, held));
        }
        Ok(addr)
    }

    /// The bits of `mask` are stuck no more, from `addr` on; they hold what has been stored in them.
    pub fn release(&self, addr: u64, mask: &[u8]) {
        self.note_write(addr, mask.len() as u64);
        let mut stuck = self.stuck();
        for (at, &mask) in (addr..).zip(mask) {
            self.change_byte(&mut stuck, at, |stuck, held| stuck.release(at, mask, held));
        }
        self.has_stuck.store(!stuck.is_empty(), Ordering::Relaxed);
        for page in (addr / PAGE..(addr + mask.len() as u64).div_ceil(PAGE)).map(|page| page * PAGE) {
            for page in self.aliases(page).into_iter().chain([page]) {
                if !self.is_slow(&stuck, page) {
                    self.window.fill_perms(page, PAGE, with_fast_write);
                }
            }
        }
    }

    /// All bits are free: memory holds what has been stored.
    pub fn release_all(&self) {
        if self.has_stuck() {
            let all = self.stuck().addresses(0..u64::MAX);
            all.into_iter().for_each(|addr| self.release(addr, &[u8::MAX]));
        }
    }

    /// Looks at what has been stored in stuck bits without coming by: by the host kernel, by a store that was under way.
    pub fn notice_stuck(&self) {
        if self.has_stuck() {
            let mut stuck = self.stuck();
            for at in stuck.addresses(0..u64::MAX) {
                self.change_byte(&mut stuck, at, |stuck, held| stuck.notice(at, held));
            }
        }
    }

    /// Something else is mapped in `addr..addr+len`.
    fn renew_stuck(&self, addr: u64, len: u64) {
        if self.has_stuck() {
            let mut stuck = self.stuck();
            for at in stuck.addresses(addr..addr.saturating_add(len)) {
                self.change_byte(&mut stuck, at, |stuck, held| stuck.renew(at, held));
            }
        }
    }

    /// Memory in `addr..addr+len` holds what has been stored: it is about to be moved away.
    fn free_stuck(&self, addr: u64, len: u64) {
        if self.has_stuck() {
            let mut stuck = self.stuck();
            for at in stuck.addresses(addr..addr.saturating_add(len)) {
                self.change_byte(&mut stuck, at, |stuck, held| stuck.stored(at, held));
            }
        }
    }

    /// Changes a byte whatever its permissions, if it is mapped. What is mapped there later is looked at then.
    fn change_byte(&self, stuck: &mut Stuck, at: u64, change: impl FnOnce(&mut Stuck, u8) -> u8) {
        let bits = self.window.perms(at);
        if bits & perm::MAPPED == 0 {
            change(stuck, 0);
            return;
        }
        let mut held = self.window.read_forced(at);
        let mut new = change(stuck, held);
        if bits & perm::WRITE == 0 {
            if new != held {
                self.window.write_forced(at, &[new]);
            }
            return;
        }
        // A store of another thread may be under way.
        while new != held {
            let seen = self.window.compare_exchange(at, 1, held.into(), new.into()) as u8;
            if seen == held {
                return;
            }
            (held, new) = (seen, stuck.notice(at, seen));
        }
    }

    /// Calls `store` with what memory is to hold if `bytes` are stored at `addr`. Nobody else stores meanwhile.
    fn with_stuck(&self, addr: u64, bytes: &[u8], store: impl FnOnce(&[u8])) {
        if !self.has_stuck() {
            return store(bytes);
        }
        let mut stuck = self.stuck();
        let homes = self.homes(&stuck, addr, bytes.len());
        let mut held = bytes.to_vec();
        homes.iter().for_each(|(home, range)| stuck.mask(*home, &mut held[range.clone()]));
        store(&held);
        homes.into_iter().for_each(|(home, range)| stuck.note(home, &bytes[range]));
    }

    fn store_stuck<const N: usize>(&self, addr: u64, bytes: [u8; N]) {
        self.with_stuck(addr, &bytes, |held| {
            // They are as many as they were.
            if let Ok(held) = held.try_into() {
                self.window.store::<N>(addr, held);
            }
        });
    }

    fn exchange(&self, addr: u64, size: u64, expected: u128, new: u128) -> u128 {
        if !self.has_stuck() {
            return self.window.compare_exchange(addr, size, expected, new);
        }
        let mut stuck = self.stuck();
        let homes = self.homes(&stuck, addr, size as usize);
        let stored = new.to_le_bytes();
        let mut held = stored;
        homes.iter().for_each(|(home, range)| stuck.mask(*home, &mut held[range.clone()]));
        let old = self.window.compare_exchange(addr, size, expected, u128::from_le_bytes(held));
        if old == expected {
            homes.into_iter().for_each(|(home, range)| stuck.note(home, &stored[range]));
        }
        old
    }

    /// Where the stuck bits of `addr..addr+len` are kept, page by page: at another address of the same page of a file, if
    /// they were named there.
    fn homes(&self, stuck: &Stuck, addr: u64, len: usize) -> Vec<(u64, Range<usize>)> {
        let mut homes = Vec::new();
        let mut done = 0;
        while done < len {
            let at = addr + done as u64;
            let page = at & !(PAGE - 1);
            let part = done..len.min(done + (page + PAGE - at) as usize);
            let has = |page: &u64| stuck.is_in(*page..*page + PAGE);
            let home = if has(&page) { Some(page) } else { self.aliases(page).into_iter().find(has) };
            homes.extend(home.map(|home| (home + at % PAGE, part.clone())));
            done = part.end;
        }
        homes
    }

    /// True if stores to the page must come by.
    fn is_slow(&self, stuck: &Stuck, page: u64) -> bool {
        self.aliases(page).into_iter().chain([page]).any(|page| stuck.is_in(page..page + PAGE))
    }

    /// Takes the fast way of stores to the page of `addr`, through all mappings of it.
    fn slow_page(&self, addr: u64) {
        let page = addr & !(PAGE - 1);
        for page in self.aliases(page).into_iter().chain([page]) {
            if self.window.perms(page) & perm::FAST_WRITE != 0 {
                self.window.fill_perms(page, PAGE, |bits| bits & !perm::FAST_WRITE);
            }
        }
    }

    /// Takes the fast way of stores to those pages of `addr..addr+len` that have stuck bits.
    fn slow_stuck(&self, addr: u64, len: u64) {
        if self.has_stuck() {
            let stuck = self.stuck();
            for page in (addr..addr + len).step_by(PAGE as usize) {
                if self.is_slow(&stuck, page) {
                    self.window.fill_perms(page, PAGE, |bits| bits & !perm::FAST_WRITE);
                }
            }
        }
    }

    /// The window's host address, for generated code only; the permission table is [`PERMISSIONS`] from it.
    pub fn host_base(&self) -> usize {
        self.window.base()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> GuestMemory {
        let memory = GuestMemory::new(u64::MAX >> 8).unwrap();
        memory.map_anonymous(0x1000, 0x2000, perm::READ | perm::WRITE, false).unwrap();
        memory
    }

    #[test]
    fn stored_bytes_are_loaded() {
        let memory = memory();
        memory.store(0x1ffc, 0x1122_3344_5566_7788u64.to_le_bytes()).unwrap();
        assert_eq!(u64::from_le_bytes(memory.load(0x1ffc).unwrap()), 0x1122_3344_5566_7788);
    }

    #[test]
    fn an_access_across_the_end_faults_at_the_first_bad_byte_and_stores_nothing() {
        let memory = memory();
        let fault = memory.store(0x2ffc, [1u8; 8]).unwrap_err();
        assert_eq!(fault, Fault { addr: 0x3000, access: Access::Write, mapped: false });
        assert_eq!(memory.load::<4>(0x2ffc).unwrap(), [0; 4]);
    }

    #[test]
    fn the_last_bytes_of_the_address_space_and_beyond_fault() {
        let memory = memory();
        for addr in [ADDRESS_SPACE - 4, ADDRESS_SPACE, u64::MAX - 3, u64::MAX, 1 << 55] {
            assert!(memory.load::<8>(addr).is_err(), "{addr:#x}");
            assert!(memory.read_vec(addr, u64::MAX).is_err(), "{addr:#x}");
        }
    }

    #[test]
    fn the_ignored_top_byte_is_ignored() {
        let memory = memory();
        memory.store(0xab00_0000_0000_1000, [7u8]).unwrap();
        assert_eq!(memory.load::<1>(0x1000).unwrap(), [7]);
    }

    #[test]
    fn stores_to_translated_pages_are_noticed() {
        let memory = memory();
        memory.mark_code(0x1004);
        assert!(!memory.fast_write(0x1000, 8));
        memory.store(0x1100, [1u8]).unwrap();
        assert!(memory.has_written_code());
        assert_eq!(memory.take_written_code(), [0x1000]);
        memory.unmark_code(0x1000);
        assert!(memory.fast_write(0x1000, 8));
    }

    #[test]
    fn a_host_range_ends_where_access_does() {
        let memory = memory();
        assert_eq!(memory.host_range(0x1ff0, 0x20, Access::Write).unwrap().len(), 0x20);
        assert_eq!(memory.host_range(0x2ff0, u64::MAX, Access::Write).unwrap().len(), 0x10);
        assert!(memory.host_range(0x3000, 1, Access::Read).is_err());
        assert_eq!(memory.host_range(0x3000, 0, Access::Read).unwrap().len(), 0);
        assert!(memory.host_range(u64::MAX, u64::MAX, Access::Read).is_err());
    }

    #[test]
    fn moved_pages_keep_contents_and_permissions() {
        let memory = memory();
        memory.store(0x1800, [5u8]).unwrap();
        memory.protect(0x1000, 0x1000, perm::READ).unwrap();
        memory.move_pages(0x1000, 0x2000, 0x8000).unwrap();
        assert_eq!(memory.load::<1>(0x8800).unwrap(), [5]);
        assert!(memory.store(0x8800, [1u8]).is_err());
        memory.store(0x9000, [1u8]).unwrap();
        assert!(memory.is_free(0x1000, 0x2000));
        memory.map_anonymous(0x1000, 0x1000, perm::READ, false).unwrap();
        assert_eq!(memory.load::<1>(0x1800).unwrap(), [0]);
    }

    #[test]
    fn pair_bits_follow_both_pages() {
        let memory = memory();
        let pairs = |addr| memory.perms(addr) & perm::PAIRS;
        assert_eq!((pairs(0x1000), pairs(0x2000)), (perm::PAIRS, 0));
        memory.mark_code(0x2000);
        assert_eq!(pairs(0x1000), perm::READ_PAIR);
        memory.unmark_code(0x2000);
        assert_eq!(pairs(0x1000), perm::PAIRS);
        memory.protect(0x2000, 0x1000, perm::EXEC).unwrap();
        assert_eq!(pairs(0x1000), 0);
        memory.map_anonymous(0x2000, 0x2000, perm::READ, false).unwrap();
        assert_eq!((pairs(0x1000), pairs(0x2000), pairs(0x3000)), (perm::READ_PAIR, perm::READ_PAIR, 0));
        memory.unmap(0x3000, 0x1000).unwrap();
        assert_eq!(pairs(0x2000), 0);
    }

    #[test]
    fn stuck_bits_are_what_loads_give_and_what_is_stored_comes_back() {
        let memory = memory();
        let fast = || (memory.fast_write(0x1800, 8), memory.fast_write(0x2800, 8));
        memory.store(0x1ffc, [0x11u8; 8]).unwrap();
        assert!(memory.stick(0x2fff, &[1, 1], &[1, 1]).is_err(), "across the end");
        assert_eq!(fast(), (true, true));
        // The tag of the address does not count. Two bytes, one on each page.
        assert_eq!(memory.stick(0xab00_0000_0000_1fff, &[0xff, 0x0f], &[0xaa, 0x05]), Ok(0x1fff));
        assert_eq!((fast(), memory.load::<4>(0x1ffe).unwrap()), ((false, false), [0x11, 0xaa, 0x15, 0x11]));
        memory.store(0x1ffe, [1u8, 2, 3, 4]).unwrap();
        assert_eq!(memory.load::<4>(0x1ffe).unwrap(), [1, 0xaa, 5, 4]);
        // Atomic steps see what loads see, and store what they are told.
        assert_eq!(memory.compare_exchange(0x2000, 2, 0x0403, 0), Ok(0x0405));
        assert_eq!(memory.compare_exchange(0x2000, 2, 0x0405, 0x7788), Ok(0x0405));
        assert_eq!(memory.load::<2>(0x2000).unwrap(), [0x85, 0x77]);
        // The host kernel stores without a look.
        memory.window.write(0x1fff, &[0x33, 0x99]);
        memory.notice_stuck();
        assert_eq!(memory.load::<2>(0x1fff).unwrap(), [0xaa, 0x95]);
        memory.release(0x2000, &[0xff]);
        assert_eq!((fast(), memory.load::<2>(0x1fff).unwrap()), ((false, true), [0xaa, 0x99]));
        memory.release_all();
        assert_eq!((fast(), memory.load::<2>(0x1fff).unwrap()), ((true, true), [0x33, 0x99]));
    }

    #[test]
    fn bits_are_stuck_at_an_address_whatever_is_mapped_there() {
        let memory = memory();
        memory.store(0x1800, [5u8]).unwrap();
        memory.stick(0x1800, &[0xf0], &[0xa0]).unwrap();
        // Without permissions, with those of a reader, as code, and back.
        for prot in [0, perm::READ, perm::READ | perm::EXEC, perm::READ | perm::WRITE] {
            memory.protect(0x1000, 0x1000, prot).unwrap();
            memory.notice_stuck();
            assert!(!memory.fast_write(0x1000, 1));
        }
        memory.mark_code(0x1000);
        memory.unmark_code(0x1000);
        assert!(!memory.fast_write(0x1000, 1));
        // What has been stored moves with the page.
        memory.move_pages(0x1000, 0x1000, 0x8000).unwrap();
        assert_eq!(memory.load::<1>(0x8800).unwrap(), [5]);
        memory.map_anonymous(0x1000, 0x1000, perm::READ | perm::WRITE, false).unwrap();
        assert_eq!((memory.load::<1>(0x1800).unwrap(), memory.fast_write(0x1000, 1)), ([0xa0], false));
        memory.unmap(0x1000, 0x1000).unwrap();
        memory.release_all();
        memory.map_anonymous(0x1000, 0x1000, perm::READ | perm::WRITE, false).unwrap();
        assert_eq!((memory.load::<1>(0x1800).unwrap(), memory.fast_write(0x1000, 1)), ([0], true));
    }

    #[test]
    fn read_only_pages_refuse_stores_but_not_forced_ones() {
        let memory = memory();
        memory.protect(0x1000, 0x1000, perm::READ).unwrap();
        assert!(memory.store(0x1000, [1u8]).unwrap_err().mapped);
        memory.write_forced(0x1000, &[9]).unwrap();
        assert_eq!(memory.load::<1>(0x1000).unwrap(), [9]);
    }
}
