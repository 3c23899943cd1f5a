//! System V semaphores, shared memory and message queues, and POSIX message queues: the host's.
//!
//! `msqid_ds` and `shmid_ds` are the same on x86-64; `semid_ds` has gaps there that `asm-generic` has not.
//! Sources: `include/uapi/asm-generic/{msgbuf,sembuf,shmbuf}.h` and `arch/x86/include/uapi/asm/sembuf.h` of Linux.

use super::abi::{Encoder, flags_to_guest, flags_to_host, u64_at};
use super::errno::Errno;
use super::host::{self, SemOps, Start};
use super::map::{Area, Source};
use super::mem::Space;
use super::{Kernel, read_optional, read_path, write_optional};
use crate::gate;
use crate::machine::lock;
use crate::mem::{Access, GuestMemory, PAGE, perm};

type Args = [u64; 6];
type Result<T = u64> = std::result::Result<T, Errno>;

/// Commands of the three `…ctl` calls.
const IPC_RMID: u64 = 0;
const IPC_SET: u64 = 1;
const IPC_STAT: u64 = 2;
const IPC_INFO: u64 = 3;

/// How a `…ctl` command passes its structure.
enum Pass {
    Nothing,
    In(usize),
    Out(usize),
}

/// Makes a `…ctl` call with a structure in guest memory.
fn control(memory: &GuestMemory, addr: u64, pass: Pass, call: impl FnOnce(&mut [u8; 128]) -> Result) -> Result {
    let mut data = [0; 128];
    if let Pass::In(size) = pass {
        memory.read(addr, &mut data[..size])?;
    }
    let result = call(&mut data)?;
    if let Pass::Out(size) = pass {
        memory.write(addr, &data[..size])?;
    }
    Ok(result)
}

// --------------------------------------------------------------------------------------------------- message queues

pub(super) fn msgget(_: &mut Kernel, _: &GuestMemory, [key, flags, ..]: Args) -> Result {
    host::msgget(key, flags)
}

pub(super) fn msgctl(_: &mut Kernel, memory: &GuestMemory, [id, command, addr, ..]: Args) -> Result {
    const MSQID_DS: usize = 120;
    let command = command & 0xffff_ffff;
    let pass = match command {
        IPC_RMID => Pass::Nothing,
        IPC_SET => Pass::In(MSQID_DS),
        // MSG_STAT, MSG_STAT_ANY
        IPC_STAT | 11 | 13 => Pass::Out(MSQID_DS),
        // MSG_INFO
        IPC_INFO | 12 => Pass::Out(32),
        _ => return Err(Errno::EINVAL),
    };
    control(memory, addr, pass, |data| host::msgctl(id as i32, command, data))
}

/// A message with its type in front, whose length the call does not count.
fn message(memory: &GuestMemory, addr: u64, size: u64, access: Access) -> Result<Start> {
    let len = size.checked_add(8).filter(|&len| len <= 1 << 30).ok_or(Errno::EINVAL)?;
    memory.check(addr, len, access)?;
    let range = memory.host_range(addr, len, access)?;
    if range.len() == len { Ok(Start(range)) } else { Err(Errno::EFAULT) }
}

pub(super) fn msgsnd(_: &mut Kernel, memory: &GuestMemory, [id, addr, size, flags, ..]: Args) -> Result {
    host::msgsnd(id as i32, message(memory, addr, size, Access::Read)?, size, flags)
}

pub(super) fn msgrcv(_: &mut Kernel, memory: &GuestMemory, [id, addr, size, kind, flags, _]: Args) -> Result {
    host::msgrcv(id as i32, message(memory, addr, size, Access::Write)?, size, kind, flags)
}

/// `struct mq_attr` has its flags in the first word.
fn queue_flags_to_host(kernel: &Kernel, attributes: Option<[u8; 64]>) -> Option<[u8; 64]> {
    attributes.map(|mut bytes| {
        let flags = flags_to_host(kernel.abi.open_flags(), u64_at(&bytes, 0));
        bytes[..8].copy_from_slice(&flags.to_le_bytes());
        bytes
    })
}

pub(super) fn mq_open(kernel: &mut Kernel, memory: &GuestMemory, [name, flags, mode, attributes, ..]: Args) -> Result {
    let name = read_path(memory, name)?;
    let attributes = queue_flags_to_host(kernel, read_optional(memory, attributes)?);
    host::mq_open(&name, flags_to_host(kernel.abi.open_flags(), flags & 0xffff_ffff), mode, attributes.as_ref())
}

pub(super) fn mq_unlink(_: &mut Kernel, memory: &GuestMemory, [name, ..]: Args) -> Result {
    host::mq_unlink(&read_path(memory, name)?)
}

pub(super) fn mq_timedsend(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [queue, addr, len, priority, timeout, _] = args;
    let timeout = read_optional::<16>(memory, timeout)?;
    host::mq_timedsend(queue as i32, memory.host_range(addr, len, Access::Read)?, priority, timeout.as_ref())
}

pub(super) fn mq_timedreceive(_: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    let [queue, addr, len, priority_addr, timeout, _] = args;
    let timeout = read_optional::<16>(memory, timeout)?;
    let mut priority = [0; 4];
    let out = memory.host_range(addr, len, Access::Write)?;
    let received = host::mq_timedreceive(queue as i32, out, &mut priority, timeout.as_ref())?;
    write_optional(memory, priority_addr, &priority)?;
    Ok(received)
}

pub(super) fn mq_getsetattr(kernel: &mut Kernel, memory: &GuestMemory, [queue, new, old_addr, ..]: Args) -> Result {
    let new = queue_flags_to_host(kernel, read_optional(memory, new)?);
    let mut old = [0; 64];
    host::mq_getsetattr(queue as i32, new.as_ref(), &mut old)?;
    let flags = flags_to_guest(kernel.abi.open_flags(), u64_at(&old, 0));
    old[..8].copy_from_slice(&flags.to_le_bytes());
    write_optional(memory, old_addr, &old)?;
    Ok(0)
}

// ------------------------------------------------------------------------------------------------------- semaphores

pub(super) fn semget(_: &mut Kernel, _: &GuestMemory, [key, count, flags, ..]: Args) -> Result {
    host::semget(key, count, flags)
}

/// Sizes of `struct semid_ds` here and in the host, and of `ipc_perm` at its start.
const SEMID_DS: usize = 88;
const IPC_PERM: usize = 48;

/// The guest's `semid_ds` from the host's, which has an unused word behind each time.
fn semid_to_guest(host: &[u8; 128]) -> [u8; SEMID_DS] {
    let word = |index: usize| u64_at(host, IPC_PERM + 8 * index);
    Encoder::default().bytes(&host[..IPC_PERM]).u64(word(0)).u64(word(2)).u64(word(4)).u64(0).u64(0).finish()
}

/// The number of semaphores of a set.
fn semaphores(id: i32) -> Result {
    let mut data = [0; 128];
    host::semctl_data(id, 0, IPC_STAT, &mut data)?;
    Ok(u64_at(&data, IPC_PERM + 32))
}

pub(super) fn semctl(_: &mut Kernel, memory: &GuestMemory, [id, index, command, arg, ..]: Args) -> Result {
    const GETALL: u64 = 13;
    const SETALL: u64 = 17;
    let (id, command) = (id as i32, command & 0xffff_ffff);
    match command {
        // GETPID, GETVAL, GETNCNT, GETZCNT, SETVAL
        IPC_RMID | 11 | 12 | 14..=16 => host::semctl(id, index, command, arg),
        // `ipc_perm`, all that is set, is the same.
        IPC_SET => control(memory, arg, Pass::In(SEMID_DS), |data| host::semctl_data(id, index, command, data)),
        // SEM_STAT, SEM_STAT_ANY
        IPC_STAT | 18 | 20 => {
            let mut data = [0; 128];
            let result = host::semctl_data(id, index, command, &mut data)?;
            memory.write(arg, &semid_to_guest(&data))?;
            Ok(result)
        }
        // SEM_INFO
        IPC_INFO | 19 => control(memory, arg, Pass::Out(40), |data| host::semctl_data(id, index, command, data)),
        GETALL | SETALL => {
            let access = if command == GETALL { Access::Write } else { Access::Read };
            let len = 2 * semaphores(id)?;
            memory.check(arg, len, access)?;
            host::semctl_all(id, index, command, Start(memory.host_range(arg, len, access)?))
        }
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn semop(kernel: &mut Kernel, memory: &GuestMemory, [id, operations, count, ..]: Args) -> Result {
    semtimedop(kernel, memory, [id, operations, count, 0, 0, 0])
}

pub(super) fn semtimedop(_: &mut Kernel, memory: &GuestMemory, [id, addr, count, timeout, ..]: Args) -> Result {
    const SEMBUF: u64 = 6;
    if !(1..=500).contains(&count) {
        return Err(if count == 0 { Errno::EINVAL } else { Errno::E2BIG });
    }
    let operations = memory.read_vec(addr, count * SEMBUF)?;
    let timeout = read_optional::<16>(memory, timeout)?;
    host::semtimedop(id as i32, SemOps(&operations), timeout.as_ref())
}

// ---------------------------------------------------------------------------------------------------- shared memory

const SHMID_DS: usize = 112;

pub(super) fn shmget(_: &mut Kernel, _: &GuestMemory, [key, size, flags, ..]: Args) -> Result {
    host::shmget(key, size, flags)
}

pub(super) fn shmctl(_: &mut Kernel, memory: &GuestMemory, [id, command, addr, ..]: Args) -> Result {
    let command = command & 0xffff_ffff;
    let pass = match command {
        // SHM_LOCK, SHM_UNLOCK
        IPC_RMID | 11 | 12 => Pass::Nothing,
        IPC_SET => Pass::In(SHMID_DS),
        // SHM_STAT, SHM_STAT_ANY
        IPC_STAT | 13 | 15 => Pass::Out(SHMID_DS),
        IPC_INFO => Pass::Out(72),
        // SHM_INFO
        14 => Pass::Out(48),
        _ => return Err(Errno::EINVAL),
    };
    control(memory, addr, pass, |data| host::shmctl(id as i32, command, data))
}

/// Attaches a segment inside guest memory. It may replace something.
pub(super) fn shmat(kernel: &mut Kernel, memory: &GuestMemory, args: Args) -> Result {
    gate::exclusive(|| attach(&mut lock(&kernel.shared.space), memory, args))
}

fn attach(space: &mut Space, memory: &GuestMemory, [id, addr, flags, ..]: Args) -> Result {
    const SHM_RDONLY: u64 = 0o10000;
    const SHM_RND: u64 = 0o20000;
    const SHM_REMAP: u64 = 0o40000;
    let mut data = [0; 128];
    host::shmctl(id as i32, IPC_STAT, &mut data)?;
    let len = u64_at(&data, IPC_PERM).checked_next_multiple_of(PAGE).ok_or(Errno::ENOMEM)?;
    let addr = if flags & SHM_RND != 0 { addr & !(PAGE - 1) } else { addr };
    let at = match addr {
        0 => space.map.find_free(len, space.mmap_top).ok_or(Errno::ENOMEM)?,
        _ if !addr.is_multiple_of(PAGE) => return Err(Errno::EINVAL),
        _ if space.map.is_free(addr, len) => addr,
        _ if flags & SHM_REMAP != 0 && space.map.covers(addr, len) => addr,
        _ => return Err(Errno::EINVAL),
    };
    let prot = if flags & SHM_RDONLY != 0 { perm::READ } else { perm::READ | perm::WRITE };
    memory.map_segment(at, len, prot, id as i32)?;
    let source = Source::File { path: format!("/SYSV{:08x} (deleted)", super::abi::u32_at(&data, 0)), offset: 0 };
    space.map.insert(at, Area { end: at + len, prot, shared: true, source });
    Ok(at)
}

/// Detaches the segment that was attached at an address: all of the region that begins there.
pub(super) fn shmdt(kernel: &mut Kernel, memory: &GuestMemory, [addr, ..]: Args) -> Result {
    let segment = |start: u64, area: &Area| {
        let named = matches!(&area.source, Source::File { path, offset: 0 } if path.starts_with("/SYSV"));
        (start == addr && named).then_some(area.end - start)
    };
    let len = kernel.map().find(addr).and_then(|(start, area)| segment(start, area)).ok_or(Errno::EINVAL)?;
    super::mem::munmap(kernel, memory, [addr, len, 0, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::super::start::tests::kernel;
    use super::*;

    const PRIVATE: u64 = 0;

    #[test]
    fn segments_are_attached_inside_guest_memory() {
        let (mut kernel, memory) = kernel();
        let id = shmget(&mut kernel, &memory, [PRIVATE, 5000, 0o600, 0, 0, 0]).unwrap();
        let one = shmat(&mut kernel, &memory, [id, 0, 0, 0, 0, 0]).unwrap();
        let two = shmat(&mut kernel, &memory, [id, 0, 0o10000, 0, 0, 0]).unwrap();
        shmctl(&mut kernel, &memory, [id, IPC_RMID, 0, 0, 0, 0]).unwrap();
        memory.store(one + 4999, [7u8]).unwrap();
        assert_eq!(memory.load::<1>(two + 4999).unwrap(), [7]);
        assert!(memory.store(two, [1u8]).is_err());
        assert_eq!(shmdt(&mut kernel, &memory, [one + 4096, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(shmdt(&mut kernel, &memory, [one, 0, 0, 0, 0, 0]), Ok(0));
        assert!(memory.load::<1>(one).is_err());
        assert_eq!(shmdt(&mut kernel, &memory, [two, 0, 0, 0, 0, 0]), Ok(0));
        assert!(shmat(&mut kernel, &memory, [id, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn bad_addresses_are_errors() {
        let (mut kernel, memory) = kernel();
        let id = semget(&mut kernel, &memory, [PRIVATE, 3, 0o600, 0, 0, 0]).unwrap();
        for command in [IPC_STAT, IPC_SET, 13, 17] {
            assert_eq!(semctl(&mut kernel, &memory, [id, 0, command, 0x1234, 0, 0]), Err(Errno::EFAULT), "{command}");
        }
        assert_eq!(semop(&mut kernel, &memory, [id, u64::MAX, 1, 0, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(semctl(&mut kernel, &memory, [id, 0, IPC_RMID, 0, 0, 0]), Ok(0));
        let id = msgget(&mut kernel, &memory, [PRIVATE, 0o600, 0, 0, 0, 0]).unwrap();
        assert_eq!(msgsnd(&mut kernel, &memory, [id, 0x1000, 4, 0, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(msgrcv(&mut kernel, &memory, [id, 0x1000, u64::MAX, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(msgctl(&mut kernel, &memory, [id, IPC_RMID, 0, 0, 0, 0]), Ok(0));
    }
}
