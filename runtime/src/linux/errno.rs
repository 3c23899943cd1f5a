//! Error numbers as the guest sees them. All 64-bit Linux architectures that are guests or hosts here share
//! `asm-generic/errno.h`, so host numbers pass through unchanged.

use crate::mem::Fault;
use std::fmt;

/// A Linux error number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub u16);

macro_rules! errnos {
    ($($name:ident)*) => {
        #[allow(missing_docs, reason = "the names are errno(3)'s")]
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$name as u16);)*
        }

        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Errno::$name => f.write_str(stringify!($name)),)*
                    Errno(number) => write!(f, "errno {number}"),
                }
            }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV
    ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK
    EMSGSIZE ENAMETOOLONG ENOBUFS ENOSYS ENOTEMPTY ELOOP EOVERFLOW ENOTSOCK EOPNOTSUPP EADDRINUSE ECONNREFUSED ETIMEDOUT
}

impl Errno {
    /// The result register's value: the negated number.
    pub fn encode(self) -> u64 {
        (-i64::from(self.0)) as u64
    }
}

impl From<Fault> for Errno {
    fn from(_: Fault) -> Self {
        Errno::EFAULT
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        error.raw_os_error().map_or(Errno::EIO, |number| Errno(number as u16))
    }
}

impl From<Errno> for std::io::Error {
    fn from(error: Errno) -> Self {
        std::io::Error::from_raw_os_error(i32::from(error.0))
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(error: rustix::io::Errno) -> Self {
        Errno(error.raw_os_error() as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_encode_as_negated_numbers() {
        assert_eq!(Errno::ENOENT.encode(), (-2i64) as u64);
        assert_eq!(format!("{:?}", Errno::EFAULT), "EFAULT");
        assert_eq!(format!("{:?}", Errno(4000)), "errno 4000");
    }
}
