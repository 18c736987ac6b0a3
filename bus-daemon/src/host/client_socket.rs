//! Bytes and descriptors in and out of one client's socket.
//!
//! One system call each, no heap allocation (but for the room the caller's vectors lack), never
//! blocking: a socket with nothing to read or no room to write answers [`Errno::AGAIN`].

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use rustix::io::Errno;
use rustix::io::retry_on_intr;
use rustix::net::sockopt::{
    set_socket_send_buffer_size, socket_domain, socket_error, socket_send_buffer_size,
};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, recvmsg, sendmsg, shutdown,
};

use super::system_call::unread_size;

/// The most descriptors the kernel lets travel with one `sendmsg`.
pub const FDS_PER_SEND_MAX: usize = 253;

/// Room for the descriptors, and for the credentials that a listening socket inherited with
/// `SO_PASSCRED` makes the kernel add.
const CONTROL_SIZE: usize = rustix::cmsg_space!(ScmRights(FDS_PER_SEND_MAX), ScmCredentials(1));

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes were written to the start of the buffer; 0 when the peer closed.
    pub bytes: usize,
    /// Whether descriptors were lost, because this process has no room for them (`EMFILE`): the
    /// messages they belonged to can not be delivered.
    pub truncated_control: bool,
}

/// Reads what is there into `buffer` and appends the descriptors that came with it, all of them
/// close-on-exec, to `fds`.
///
/// # Errors
/// [`Errno::AGAIN`] when there is nothing to read; else the connection is of no more use.
pub fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); CONTROL_SIZE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = retry_on_intr(|| {
        recvmsg(socket.as_fd(), &mut [IoSliceMut::new(buffer)], &mut control, flags)
    })?;
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = ancillary {
            fds.extend(received);
        }
    }
    Ok(Received {
        bytes: message.bytes,
        truncated_control: message.flags.contains(ReturnFlags::CTRUNC),
    })
}

/// Writes as much of `parts` as the socket takes, with `fds` beside the first byte; returns how
/// many bytes that was. When it is at least 1, all of `fds` have gone.
///
/// # Errors
/// [`Errno::AGAIN`] when the socket is full, [`Errno::INVAL`] for more than [`FDS_PER_SEND_MAX`]
/// descriptors, [`Errno::TOOMANYREFS`] when too many descriptors of this user are in flight, and
/// [`Errno::PIPE`] (never a signal) when the peer is gone.
pub fn send(
    socket: impl AsFd,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if fds.is_empty() {
        let mut control = SendAncillaryBuffer::default();
        return retry_on_intr(|| sendmsg(socket.as_fd(), parts, &mut control, flags));
    }
    let mut space = [MaybeUninit::uninit(); CONTROL_SIZE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fds.len() > FDS_PER_SEND_MAX || !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    retry_on_intr(|| sendmsg(socket.as_fd(), parts, &mut control, flags))
}

/// Whether the peer of a Unix socket has not read all that it was sent (unix(7), `SIOCOUTQ`).
#[must_use]
pub fn has_unread(socket: impl AsFd) -> bool {
    unread_size(socket.as_fd()).is_ok_and(|size| size > 0)
}

/// What a peer has done with what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It has read it.
    All,
    /// Not yet all of it.
    NotYet,
    /// It is gone, and had not read all. The kernel says so once.
    Never,
}

/// Whether a peer has read all that it was sent. Of a peer elsewhere nobody knows; it passes for one that has.
#[must_use]
pub fn reading(socket: impl AsFd) -> Reading {
    let socket = socket.as_fd();
    if socket_domain(socket) != Ok(AddressFamily::UNIX) {
        Reading::All
    } else if has_unread(socket) {
        Reading::NotYet
    } else if let Ok(Ok(())) = socket_error(socket) {
        Reading::All
    } else {
        // What was left is gone with the peer, but the error comes before that.
        Reading::Never
    }
}

/// How many messages at most the peer of a Unix socket has not read: the kernel needs so much for each.
#[must_use]
pub fn unread_messages_max(socket: impl AsFd) -> u64 {
    const SIZE_MIN: usize = 512;
    unread_size(socket.as_fd()).map_or(0, |size| size.div_ceil(SIZE_MIN) as u64)
}

/// Nothing more goes through a socket.
pub fn stop(socket: impl AsFd) {
    // It may be disconnected already.
    let _ = shutdown(socket, Shutdown::Both);
}

/// What a Unix socket is asked to hold unread, in bytes: the kernel's usual value for a new one. It
/// takes twice what it is asked for, for what it needs itself, and so holds twice as much as before.
const SEND_BUFFER_SIZE: usize = 212_992;

/// Lets the kernel hold more of what the peer of a Unix socket has not read.
///
/// # Errors
/// Those of `getsockopt` and `setsockopt`; nothing is changed then.
pub fn grow_send_buffer(socket: impl AsFd) -> Result<(), Errno> {
    // An administrator may have allowed for more (net.core.wmem_default).
    if socket_send_buffer_size(&socket)? < 2 * SEND_BUFFER_SIZE {
        set_socket_send_buffer_size(socket, SEND_BUFFER_SIZE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    fn sent(socket: &UnixStream, text: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
        send(socket, &[IoSlice::new(text)], fds)
    }

    #[test]
    fn several_parts_arrive_as_one_stream() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let parts = [IoSlice::new(b"one "), IoSlice::new(b"two")];
        assert_eq!(send(&ours, &parts, &[]), Ok(7));
        let (mut buffer, mut fds) = ([0; 16], Vec::new());
        let received = receive(&theirs, &mut buffer, &mut fds).unwrap();
        assert_eq!(received, Received { bytes: 7, truncated_control: false });
        assert_eq!(&buffer[..7], b"one two");
        assert!(fds.is_empty());
    }

    #[test]
    fn descriptors_arrive_close_on_exec_up_to_the_kernels_bound() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for count in [1, 2, FDS_PER_SEND_MAX] {
            let borrowed = vec![file.as_fd(); count];
            assert_eq!(sent(&ours, b"x", &borrowed), Ok(1), "{count}");
            let mut fds = Vec::new();
            let received = receive(&theirs, &mut [0; 8], &mut fds).unwrap();
            assert_eq!(received, Received { bytes: 1, truncated_control: false });
            assert_eq!(fds.len(), count);
            assert!(fds.iter().all(|fd| fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC)));
        }
        let borrowed = vec![file.as_fd(); FDS_PER_SEND_MAX + 1];
        assert_eq!(sent(&ours, b"x", &borrowed), Err(Errno::INVAL));
    }

    /// The descriptors of one send are not mixed with those of the next, so that each set can be
    /// given to its message.
    #[test]
    fn a_read_ends_where_the_next_descriptors_begin() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(sent(&ours, b"ab", &[file.as_fd()]), Ok(2));
        assert_eq!(sent(&ours, b"cd", &[file.as_fd()]), Ok(2));
        let mut fds = Vec::new();
        assert_eq!(receive(&theirs, &mut [0; 8], &mut fds).unwrap().bytes, 2);
        assert_eq!(fds.len(), 1);
        assert_eq!(receive(&theirs, &mut [0; 8], &mut fds).unwrap().bytes, 2);
        assert_eq!(fds.len(), 2);
    }

    #[test]
    fn credentials_that_the_kernel_adds_cost_no_descriptor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_passcred(&theirs, true).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(sent(&ours, b"x", &vec![file.as_fd(); FDS_PER_SEND_MAX]), Ok(1));
        let mut fds = Vec::new();
        let received = receive(&theirs, &mut [0; 8], &mut fds).unwrap();
        assert_eq!(received, Received { bytes: 1, truncated_control: false });
        assert_eq!(fds.len(), FDS_PER_SEND_MAX);
    }

    #[test]
    fn a_full_socket_takes_more_once_it_has_grown() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let block = [0; 4096];
        let fill = || {
            std::iter::repeat_with(|| sent(&ours, &block, &[])).take_while(Result::is_ok).count()
        };
        let before = fill();
        grow_send_buffer(&ours).unwrap();
        assert!(before > 0 && fill() > before / 2, "{before} blocks before");
        assert_eq!(fill(), 0);
    }

    #[test]
    fn the_kernel_says_whether_all_was_read() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_unread(&ours));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(sent(&ours, b"abc", &[file.as_fd()]), Ok(3));
        let mut fds = Vec::new();
        assert!(has_unread(&ours));
        receive(&theirs, &mut [0; 2], &mut fds).unwrap();
        assert!(has_unread(&ours), "one byte is left");
        receive(&theirs, &mut [0; 2], &mut fds).unwrap();
        assert!(!has_unread(&ours));
        assert_eq!(sent(&ours, b"abc", &[file.as_fd()]), Ok(3));
        stop(&ours);
        assert!(has_unread(&ours), "the peer may still read it");
        // Closing is not enough: a program that another test just starts holds a copy.
        receive(&theirs, &mut [0; 8], &mut fds).unwrap();
        assert!(!has_unread(&ours));
    }

    /// What [`crate::bus::Event::LeftUnread`] rests on: who leaves something unread is told from who does
    /// not, in each of the steps in which a peer goes.
    #[test]
    fn the_kernel_says_whether_a_peer_that_goes_left_something_unread() {
        for (read, shuts_down, asks) in [0, 2, 3].into_iter().flat_map(|read| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(shuts_down, asks)| (read, shuts_down, asks))
        }) {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut fds = Vec::new();
            assert_eq!(sent(&theirs, b"last words", &[]), Ok(10));
            assert_eq!(sent(&ours, b"abc", &[]), Ok(3));
            assert_eq!(reading(&ours), Reading::NotYet);
            if read > 0 {
                receive(&theirs, &mut [0; 8][..read], &mut fds).unwrap();
            }
            let expected = if read == 3 { Reading::All } else { Reading::NotYet };
            assert_eq!(reading(&ours), expected);
            if shuts_down {
                theirs.shutdown(std::net::Shutdown::Both).unwrap();
                assert_eq!(reading(&ours), expected);
            }
            drop(theirs);
            // A program that another test just starts holds a copy for a while.
            while has_unread(&ours) {
                std::thread::yield_now();
            }
            if asks {
                let left = if read == 3 { Reading::All } else { Reading::Never };
                assert_eq!(reading(&ours), left, "{read} of 3 bytes were read");
            }
            assert_eq!(sent(&ours, b"x", &[]), Err(Errno::PIPE));
            let mut received = || receive(&ours, &mut [0; 16], &mut fds).map(|got| got.bytes);
            assert_eq!(received(), Ok(10), "what it said comes first");
            let end = if read == 3 || asks { Ok(0) } else { Err(Errno::CONNRESET) };
            assert_eq!(received(), end, "{read} of 3 bytes were read");
        }
    }

    #[test]
    fn nothing_to_read_no_room_to_write_and_nobody_there() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut fds = Vec::new();
        assert_eq!(receive(&theirs, &mut [0; 8], &mut fds), Err(Errno::AGAIN));
        let block = [0; 65_536];
        let full = std::iter::repeat_with(|| sent(&ours, &block, &[])).find(Result::is_err);
        assert_eq!(full, Some(Err(Errno::AGAIN)));
        // Closing is not enough: a program that another test just starts holds a copy.
        theirs.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(sent(&ours, b"x", &[]), Err(Errno::PIPE));
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(receive(&theirs, &mut [0; 8], &mut fds).unwrap().bytes, 0);
    }
}
