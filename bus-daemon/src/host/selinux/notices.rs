//! The kernel's notices that SELinux's mode changed or another policy was loaded (config.md B111).
//!
//! What they say is not used, only that they came: the kernel is then asked for its state as it is
//! now, so that notices which were lost or come late do no harm.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// The one multicast group of SELinux's netlink family, as a bit.
const GROUP: u32 = 1;
/// Of a notice's header and content.
const NOTICE_SIZE_MAX: usize = 256;
/// Where the type stands in the header.
const TYPE_AT: std::ops::Range<usize> = 4..6;
/// The type that says that a policy was loaded.
const POLICY_LOADED: u16 = 0x11;
/// Notices read at once; what is left wakes the reader again.
const READ_COUNT_MAX: usize = 16;

/// A socket that is readable when there are notices.
#[derive(Debug)]
pub struct SelinuxNotices(OwnedFd);

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    None,
    /// Something that calls for [`crate::bus::mediation::Mediation::refresh`].
    Changed,
    /// The same, and perhaps another policy, whose files may say something else about the bus: the
    /// configuration is to be read again, too (config.md B114).
    PolicyLoaded,
}

impl SelinuxNotices {
    /// Asks for all notices from now on.
    ///
    /// # Errors
    /// When the kernel or the container has no such notices.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::SELINUX);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        Ok(Self(socket))
    }

    /// All that came since the last call, as one.
    pub fn take(&self) -> Notice {
        let mut found = Notice::None;
        for _ in 0..READ_COUNT_MAX {
            let mut notice = [0; NOTICE_SIZE_MAX];
            match recv(&self.0, &mut notice, RecvFlags::empty()) {
                Ok((size, _)) => found = found.and(of(notice.get(..size).unwrap_or_default())),
                // Some were lost.
                Err(Errno::NOBUFS) => found = Notice::PolicyLoaded,
                Err(_) => return found,
            }
        }
        found
    }
}

impl AsFd for SelinuxNotices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Notice {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::PolicyLoaded, _) | (_, Self::PolicyLoaded) => Self::PolicyLoaded,
            (Self::None, Self::None) => Self::None,
            _ => Self::Changed,
        }
    }
}

fn of(notice: &[u8]) -> Notice {
    let kind = notice.get(TYPE_AT).and_then(|bytes| bytes.try_into().ok());
    match kind.map(u16::from_ne_bytes) {
        Some(POLICY_LOADED) => Notice::PolicyLoaded,
        _ => Notice::Changed,
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{SendFlags, send, socketpair};

    use super::*;

    #[test]
    fn notices_of_one_wake_up_are_one() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (kernel, bus) =
            socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap();
        let notices = SelinuxNotices(bus);
        let check = |kinds: &[u16], expected| {
            for kind in kinds {
                let mut notice = [0; 20];
                notice[TYPE_AT].copy_from_slice(&kind.to_ne_bytes());
                send(&kernel, &notice, SendFlags::empty()).unwrap();
            }
            assert_eq!(notices.take(), expected, "{kinds:?}");
            assert_eq!(notices.take(), Notice::None, "{kinds:?}: all were read");
        };
        check(&[], Notice::None);
        check(&[0x10], Notice::Changed);
        check(&[0x10, POLICY_LOADED, 0x10], Notice::PolicyLoaded);
        send(&kernel, b"x", SendFlags::empty()).unwrap();
        assert_eq!(notices.take(), Notice::Changed, "what is not understood is a change");
    }

    /// Works where the kernel has SELinux, and is an error elsewhere.
    #[test]
    fn the_socket_is_opened_or_refused() {
        if let Ok(notices) = SelinuxNotices::open() {
            assert_eq!(notices.take(), Notice::None);
        }
    }
}
