//! Layouts of the guest's structures, encoded and decoded field by field where they differ from the host's.
//!
//! The 64-bit architectures of `asm-generic` share them. Structures that are equal on x86-64 as well (`timespec`,
//! `itimerval`, `iovec`, `siginfo`, `statfs`, `statx`, `termios`, `winsize`, `rlimit`, `rusage`, `sysinfo`, `flock`,
//! `pollfd`, `dirent64`, `utsname`) pass as bytes; the sizes stand in [`super::host`]'s table.
//! Sources: `include/uapi/asm-generic/{stat,signal,fcntl}.h`, `include/uapi/linux/{stat,eventpoll}.h` of Linux.

/// Writes little-endian fields one after another.
#[derive(Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Appends bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends 32 bits.
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends 64 bits.
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends zeroes up to `offset`.
    pub fn pad_to(mut self, offset: usize) -> Self {
        debug_assert!(self.bytes.len() <= offset);
        self.bytes.resize(offset, 0);
        self
    }

    /// Returns the structure, which must have exactly `N` bytes.
    ///
    /// # Panics
    /// If it has not.
    pub fn finish<const N: usize>(self) -> [u8; N] {
        let len = self.bytes.len();
        self.bytes.try_into().unwrap_or_else(|_| panic!("a structure of {len} bytes should have {N}"))
    }

    /// Returns the bytes.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads 16 bits at `offset`.
pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

/// Reads 32 bits at `offset`.
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[offset + i]))
}

/// Reads 64 bits at `offset`.
pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[offset + i]))
}

/// Splits an array of 64-bit words, such as `sigaction` or a `timespec`.
pub fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    std::array::from_fn(|i| u64_at(bytes, i * 8))
}

/// `struct stat` from `struct statx`, which is the same on all architectures.
pub fn stat_from_statx(statx: &[u8; 256]) -> [u8; 128] {
    let u16 = |at| u32::from(u16_at(statx, at));
    let u32 = |at| u32_at(statx, at);
    let u64 = |at| u64_at(statx, at);
    let (atime, ctime, mtime) = (0x40, 0x60, 0x70);
    Encoder::default()
        .u64(device(u32(0x88), u32(0x8c))) // st_dev
        .u64(u64(0x20)) // st_ino
        .u32(u16(0x1c)) // st_mode
        .u32(u32(0x10)) // st_nlink
        .u32(u32(0x14)) // st_uid
        .u32(u32(0x18)) // st_gid
        .u64(device(u32(0x80), u32(0x84))) // st_rdev
        .u64(0)
        .u64(u64(0x28)) // st_size
        .u32(u32(0x04)) // st_blksize
        .u32(0)
        .u64(u64(0x30)) // st_blocks
        .u64(u64(atime))
        .u64(u64::from(u32(atime + 8)))
        .u64(u64(mtime))
        .u64(u64::from(u32(mtime + 8)))
        .u64(u64(ctime))
        .u64(u64::from(u32(ctime + 8)))
        .u64(0)
        .finish()
}

/// The kernel's encoding of a device number (`new_encode_dev`).
fn device(major: u32, minor: u32) -> u64 {
    u64::from((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

/// The guest's 16-byte `epoll_event` from the host's packed one of 12.
pub fn epoll_event_to_guest(host: &[u8]) -> [u8; 16] {
    Encoder::default().u32(u32_at(host, 0)).u32(0).u64(u64_at(host, 4)).finish()
}

/// The host's packed `epoll_event` of 12 bytes from the guest's of 16.
pub fn epoll_event_to_host(guest: &[u8; 16]) -> [u8; 12] {
    Encoder::default().u32(u32_at(guest, 0)).u64(u64_at(guest, 8)).finish()
}

/// The parts of `siginfo_t` that a fault has: signal, code, address.
pub fn fault_siginfo(signal: u8, code: i32, addr: u64) -> [u8; 128] {
    Encoder::default().u32(u32::from(signal)).u32(0).u32(code as u32).u32(0).u64(addr).pad_to(128).finish()
}

/// Pairs of guest and host bits of a flag word.
pub type FlagPairs = &'static [(u64, u64)];

/// Translates `flags` from the first to the second column; bits in no row pass unchanged.
pub fn flags_to_host(pairs: FlagPairs, flags: u64) -> u64 {
    translate(flags, pairs.iter().copied())
}

/// Translates `flags` from the second to the first column; bits in no row pass unchanged.
pub fn flags_to_guest(pairs: FlagPairs, flags: u64) -> u64 {
    translate(flags, pairs.iter().map(|&(guest, host)| (host, guest)))
}

fn translate(flags: u64, pairs: impl Iterator<Item = (u64, u64)> + Clone) -> u64 {
    let moved: u64 = pairs.clone().fold(0, |all, (from, to)| all | from | to);
    pairs.filter(|&(from, _)| flags & from == from).fold(flags & !moved, |out, (_, to)| out | to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_has_the_generic_layout() {
        let mut statx = [0; 256];
        statx[0x1c..0x1e].copy_from_slice(&0o100644u16.to_le_bytes());
        statx[0x10..0x14].copy_from_slice(&3u32.to_le_bytes());
        statx[0x20..0x28].copy_from_slice(&77u64.to_le_bytes());
        statx[0x28..0x30].copy_from_slice(&4096u64.to_le_bytes());
        statx[0x70..0x78].copy_from_slice(&1234u64.to_le_bytes());
        statx[0x88..0x8c].copy_from_slice(&8u32.to_le_bytes());
        statx[0x8c..0x90].copy_from_slice(&0x123u32.to_le_bytes());
        let stat = stat_from_statx(&statx);
        assert_eq!(u64_at(&stat, 0), 0x10_0823);
        assert_eq!(u64_at(&stat, 8), 77);
        assert_eq!(u32_at(&stat, 16), 0o100644);
        assert_eq!(u32_at(&stat, 20), 3);
        assert_eq!(u64_at(&stat, 48), 4096);
        assert_eq!(u64_at(&stat, 88), 1234);
    }

    #[test]
    fn epoll_events_survive_both_ways() {
        let host = epoll_event_to_host(&epoll_event_to_guest(&[1, 0, 0, 0, 2, 3, 4, 5, 6, 7, 8, 9]));
        assert_eq!(host, [1, 0, 0, 0, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn flags_move_and_others_stay() {
        let pairs: FlagPairs = &[(0o40000, 0o200000), (0o200000, 0o40000)];
        assert_eq!(flags_to_host(pairs, 0o40102), 0o200102);
        assert_eq!(flags_to_guest(pairs, 0o200102), 0o40102);
        assert_eq!(flags_to_host(pairs, 0o240000), 0o240000);
    }
}
