//! Executable memory for generated code, and the way into it. Unsafe code lives here.
//!
//! Contract:
//! - The arena is shared anonymous memory mapped twice, writable and executable; no mapping is ever both. It is no
//!   memory file, since a limit of the size of files (`ulimit -f`) would be one of it too.
//! - Bytes come from Cranelift's output for functions of the signature in [`super::lower`], or for the trampoline,
//!   and are written before their address is given to anybody.
//! - A piece is freed only when no thread is inside generated code (the owner sees to that).
#![allow(unsafe_code, reason = "generated code is called through raw function pointers")]

use super::helpers::{GUEST_MXCSR, merge_exceptions, mxcsr, set_mxcsr};
use crate::cpu::CpuState;
use crate::mem::PAGE;
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, mremap, munmap,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr;

/// Most generated code that a process keeps, in bytes.
const ARENA: usize = 256 << 20;
/// Alignment of each piece in bytes: an x86-64 fetch line.
const ALIGN: usize = 32;
/// Bytes of the writable mapping that are in memory at a time, but for a longer piece: a page that is in both mappings
/// counts twice.
const WINDOW: usize = 64 << 10;

/// A piece of generated code. There are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    offset: u32,
    len: u32,
}

/// Memory for generated code.
#[derive(Debug)]
pub(super) struct Arena {
    writable: *mut u8,
    executable: *mut u8,
    /// Free pieces by offset, never touching each other.
    free: BTreeMap<usize, usize>,
    /// What of the writable mapping may be in memory.
    open: Range<usize>,
}

// SAFETY: the mappings belong to the arena alone, and whoever changes it borrows it exclusively.
unsafe impl Send for Arena {}

impl Arena {
    /// Reserves the arena; memory is used as code is added.
    ///
    /// # Errors
    /// The host's error.
    pub(super) fn new() -> std::io::Result<Self> {
        let code = ProtFlags::READ | ProtFlags::EXEC;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let executable = unsafe { mmap_anonymous(ptr::null_mut(), ARENA, code, MapFlags::SHARED) }?;
        // SAFETY: the old size 0 asks for a second mapping of what is shared at `executable`, which stays as it is.
        let writable = unsafe { mremap(executable, 0, ARENA, MremapFlags::MAYMOVE) };
        let arena = Arena {
            writable: writable.unwrap_or(ptr::null_mut()).cast(),
            executable: executable.cast(),
            free: BTreeMap::from([(0, ARENA)]),
            open: 0..0,
        };
        // SAFETY: mapped just now, and nobody uses it yet.
        unsafe { mprotect(writable?, ARENA, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        Ok(arena)
    }

    /// Copies `code` in. `None` if there is no room.
    pub(super) fn add(&mut self, code: &[u8]) -> Option<Piece> {
        let len = code.len().next_multiple_of(ALIGN);
        let (&offset, &room) = self.free.iter().find(|&(_, &room)| room >= len)?;
        self.free.remove(&offset);
        if room > len {
            self.free.insert(offset + len, room - len);
        }
        self.open(offset..offset + len);
        // SAFETY: `offset..offset + len` was free, hence inside the arena and nobody executes it.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), self.writable.add(offset), code.len()) };
        Some(Piece { offset: offset as u32, len: len as u32 })
    }

    /// Prepares for writing to `range`, and lets go of what has been written to elsewhere.
    fn open(&mut self, range: Range<usize>) {
        if self.open.start <= range.start && range.end <= self.open.end {
            return;
        }
        // SAFETY: the range is inside the mapping, which is shared: the bytes stay, and come back when they are used.
        let _ = unsafe { madvise(self.writable.add(self.open.start).cast(), self.open.len(), Advice::LinuxDontNeed) };
        self.open = range.start / WINDOW * WINDOW..range.end.next_multiple_of(WINDOW);
    }

    /// Gives a piece back. No thread may be executing it or hold its address.
    pub(super) fn remove(&mut self, piece: Piece) {
        let (mut offset, mut end) = (piece.offset as usize, (piece.offset + piece.len) as usize);
        if let Some((&before, &len)) = self.free.range(..offset).next_back()
            && before + len == offset
        {
            self.free.remove(&before);
            offset = before;
        }
        if let Some(len) = self.free.remove(&end) {
            end += len;
        }
        self.free.insert(offset, end - offset);
    }

    /// Bytes that are not free.
    pub(super) fn used(&self) -> usize {
        ARENA - self.free.values().sum::<usize>()
    }

    /// The bytes of code that executes at `address`: those of a piece, or fewer.
    pub(super) fn bytes(&self, address: usize, len: usize) -> &[u8] {
        let offset = address - self.executable as usize;
        assert!(offset <= ARENA && len <= ARENA - offset, "code is in the arena");
        // SAFETY: the range is inside the mapping, which can be read, and who writes to it borrows the arena exclusively.
        unsafe { std::slice::from_raw_parts(self.executable.add(offset), len) }
    }

    /// The address at which a piece executes.
    pub(super) fn address(&self, piece: Piece) -> usize {
        self.executable as usize + piece.offset as usize
    }
}

/// Maps a page of `file` as if it were to be executed, by which `perf record` learns of it; see `perf/dump.rs`. The
/// mapping stays.
///
/// # Errors
/// The host's error, also where files of that file system cannot be executed.
pub(crate) fn map_marker(file: &impl AsFd) -> std::io::Result<()> {
    let flags = ProtFlags::READ | ProtFlags::EXEC;
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing, and nobody looks at what is there.
    unsafe { mmap(ptr::null_mut(), PAGE as usize, flags, MapFlags::PRIVATE, file, 0) }?;
    Ok(())
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the owner drops the arena after its last thread has left generated code.
        unsafe {
            let _ = munmap(self.executable.cast(), ARENA);
            if !self.writable.is_null() {
                let _ = munmap(self.writable.cast(), ARENA);
            }
        }
    }
}

/// The trampoline's type: state, memory base, code, pc.
type Trampoline = unsafe extern "sysv64" fn(usize, usize, usize, u64);

/// Enters the region at `code` through `trampoline`, both addresses of live pieces; returns when it leaves.
///
/// The state's links must be filled in, its context pointer valid for the duration of the call, and `memory` the base
/// of the guest memory in that context; [`super::Jit::enter`], the only caller, has just seen to that.
pub(super) fn enter_region(trampoline: usize, cpu: &mut CpuState, memory: usize, code: usize) {
    let pc = cpu.pc;
    // SAFETY: the address is that of the trampoline piece, which has this signature and is never removed.
    let trampoline: Trampoline = unsafe { std::mem::transmute(trampoline) };
    let host = mxcsr();
    if host != GUEST_MXCSR {
        set_mxcsr(GUEST_MXCSR);
    }
    // SAFETY: the exclusive borrow of the state is handed to generated code for the call, as the helpers' contract
    // says; the caller vouches for the rest.
    unsafe { trampoline(std::ptr::from_mut(cpu) as usize, memory, code, pc) }
    merge_exceptions(cpu);
    if host != GUEST_MXCSR {
        set_mxcsr(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_pieces_join_and_are_used_again() {
        let mut arena = Arena::new().unwrap();
        let pieces: Vec<Piece> = (0..4).map(|_| arena.add(&[0x90; 100]).unwrap()).collect();
        for index in [1, 3, 2, 0] {
            arena.remove(pieces[index]);
        }
        assert_eq!(arena.free, BTreeMap::from([(0, ARENA)]));
        assert_eq!(arena.add(&[0xc3]).unwrap().offset, 0);
    }

    /// All code was in memory twice.
    #[test]
    fn little_of_the_writable_mapping_is_in_memory() {
        let mut arena = Arena::new().unwrap();
        for _ in 0..10_000 {
            arena.add(&[0x90; 300]).unwrap();
        }
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let begins = format!("{:x}-", arena.writable as usize);
        let resident = maps.lines().skip_while(|line| !line.starts_with(&begins)).find_map(|line| {
            let size = line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")?;
            size.parse::<usize>().ok()
        });
        assert!(resident.is_some_and(|kib| (1..=WINDOW >> 10).contains(&kib)), "{resident:?} KiB");
        assert_eq!(arena.used(), 10_000 * 320);
    }
}
