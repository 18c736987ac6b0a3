//! Clients that make load: sockets, bytes and frames, no client library.
//!
//! Sockets block, with a deadline; what must not block says so call by call. A client that stands
//! at a null relay has no bus to talk to: what it asks of the bus itself does nothing.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use libbus::limits::MESSAGE_SIZE_MAX;
use libbus::wire::{BodyReader, Endian, FIXED_HEADER_SIZE, MessageType, frame};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, send, sendmsg,
};
use rustix::time::Timespec;

use crate::failure::{Failure, Result, fail};
use crate::relay::Role;
use crate::wire::{Frames, Start, driver_call};

/// How long a peer may leave one wait unanswered.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Size in bytes of one read.
const READ_SIZE: usize = 256 * 1024;
/// How many calls of the bus are in flight while a scene is set up.
const BATCH: usize = 100;
/// Descriptors that one read can bring.
const FDS_MAX: usize = 253;

/// Whether a read waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    ForBytes,
    Never,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    socket: OwnedFd,
    /// The unique name; at a null relay, one that nobody has.
    pub(crate) name: String,
    at_relay: bool,
    last_serial: u32,
    frames: Frames,
}

impl Client {
    /// Connects to the bus at `path`, authenticates and says Hello.
    pub(crate) fn register(path: &Path) -> Result<Self> {
        let mut client = Self::connect(path)?;
        client.register_as(rustix::process::geteuid().as_raw())?;
        Ok(client)
    }

    /// Authenticates as the user who connected, and says Hello.
    pub(crate) fn register_as(&mut self, uid: u32) -> Result<()> {
        self.authenticate_as(uid)?;
        let hello = self.call_driver("Hello", None, None)?;
        self.name = hello.reader().string()?.to_owned();
        // NameAcquired may come before or after; what has an answer after it has come.
        self.synchronize()
    }

    /// Connects to the null relay at `path` as a member of `group`.
    pub(crate) fn join(path: &Path, group: u32, role: Role) -> Result<Self> {
        let mut client = Self::connect(path)?;
        client.name = ":0.0".to_owned();
        client.at_relay = true;
        client.send(&role.preamble(group))?;
        if role != Role::Echo {
            client.read_exact(&mut [0])?;
        }
        Ok(client)
    }

    /// A connection on which nothing has been said.
    pub(crate) fn connect(path: &Path) -> Result<Self> {
        Self::new(UnixStream::connect(path)?.into())
    }

    /// A connected socket on which nothing has been said.
    pub(crate) fn new(socket: OwnedFd) -> Result<Self> {
        for direction in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, direction, Some(DEADLINE))?;
        }
        let (name, frames) = (String::new(), Frames::default());
        Ok(Self { socket, name, at_relay: false, last_serial: 0, frames })
    }

    /// The handshake in one write, as sd-bus does it.
    pub(crate) fn authenticate(&self) -> Result<()> {
        self.authenticate_as(rustix::process::geteuid().as_raw())
    }

    fn authenticate_as(&self, uid: u32) -> Result<()> {
        let uid = uid.to_string();
        let identity: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        let lines = format!("\0AUTH EXTERNAL {identity}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        self.send(lines.as_bytes())?;
        let mut answer = Vec::new();
        while answer.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let mut bytes = [0; 256];
            let (_, size) = recv(&self.socket, &mut bytes, RecvFlags::empty())?;
            answer.extend_from_slice(&bytes[..size]);
            if size == 0 {
                return fail(format!("closed after {:?}", String::from_utf8_lossy(&answer)));
            }
        }
        let agreed = answer.starts_with(b"OK ") && answer.ends_with(b"AGREE_UNIX_FD\r\n");
        // The null relay gives the lines back.
        if agreed || answer.starts_with(b"\0AUTH") {
            return Ok(());
        }
        fail(format!("answers the handshake with {:?}", String::from_utf8_lossy(&answer)))
    }

    pub(crate) fn next_serial(&mut self) -> u32 {
        self.last_serial += 1;
        self.last_serial
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = send(&self.socket, rest, SendFlags::NOSIGNAL)?;
            rest = &rest[size..];
        }
        Ok(())
    }

    /// Sends what fits into the socket and answers how many bytes that were.
    fn send_some(&self, bytes: &[u8]) -> Result<usize> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Err(Errno::AGAIN) => Ok(0),
            result => Ok(result?),
        }
    }

    /// Sends one message with one descriptor.
    pub(crate) fn send_with_fd(&self, message: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let size =
            sendmsg(&self.socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?;
        self.send(&message[size..])
    }

    /// Reads once and counts the messages that were completed; false if there was nothing.
    pub(crate) fn read(&mut self, wait: Wait, on_message: impl FnMut(Start)) -> Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); READ_SIZE];
        let flags = match wait {
            Wait::ForBytes => RecvFlags::empty(),
            Wait::Never => RecvFlags::DONTWAIT,
        };
        match recv(&self.socket, &mut buffer, flags) {
            Err(Errno::AGAIN) if wait == Wait::Never => Ok(false),
            Err(error) => Err(error.into()),
            Ok((_, 0)) => fail("closed the connection"),
            Ok(((bytes, _), _)) => self.frames.take(bytes, on_message).map(|()| true),
        }
    }

    /// Reads once, and closes the descriptors that come along.
    pub(crate) fn read_with_fds(&mut self, on_message: impl FnMut(Start)) -> Result<()> {
        let mut buffer = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut buffer)];
        let size = recvmsg(&self.socket, slices, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        if size == 0 {
            return fail("closed the connection");
        }
        self.frames.take(&buffer[..size], on_message)
    }

    /// Waits for `count` messages that are not signals; answers the last one's serial.
    pub(crate) fn wait_for(&mut self, count: usize) -> Result<u32> {
        let (mut seen, mut last) = (0, 0);
        let mut error = false;
        while seen < count {
            self.read(Wait::ForBytes, |start| {
                error |= start.kind == MessageType::Error;
                if start.kind != MessageType::Signal {
                    (seen, last) = (seen + 1, start.serial);
                }
            })?;
        }
        if error { fail("answered with an error") } else { Ok(last) }
    }

    /// Sends `message` to `recipient`, reading there while the socket here is full; answers the
    /// serial under which it arrived.
    pub(crate) fn send_to(&self, message: &[u8], recipient: &mut Client) -> Result<u32> {
        let mut rest = message;
        let mut arrived = None;
        loop {
            rest = &rest[self.send_some(rest)?..];
            if rest.is_empty() {
                break;
            }
            self.wait_for_room(recipient)?;
            recipient.read(Wait::Never, |start| arrived = Some(start.serial))?;
        }
        match arrived {
            Some(serial) => Ok(serial),
            None => recipient.wait_for(1),
        }
    }

    /// Waits until this socket takes bytes or the recipient's has some.
    fn wait_for_room(&self, recipient: &Client) -> Result<()> {
        let mut fds = [
            PollFd::new(&self.socket, PollFlags::OUT),
            PollFd::new(&recipient.socket, PollFlags::IN),
        ];
        match poll(&mut fds, Some(&deadline()))? {
            0 => fail("takes no more bytes"),
            _ => Ok(()),
        }
    }

    /// Calls the bus and waits for the reply.
    pub(crate) fn call_driver(
        &mut self,
        member: &'static str,
        text: Option<&str>,
        flags: Option<u32>,
    ) -> Result<Message> {
        let serial = self.next_serial();
        self.send(&driver_call(member, text, flags).message(serial))?;
        loop {
            let message = self.receive()?;
            match message.start.kind {
                MessageType::MethodReturn => return Ok(message),
                MessageType::Error => return fail(format!("{member}: {}", message.text())),
                _ => {}
            }
        }
    }

    /// Calls the bus once for each of `texts`, some calls at a time, and takes all the replies.
    pub(crate) fn call_driver_for_each(
        &mut self,
        member: &'static str,
        texts: impl IntoIterator<Item = String>,
        flags: Option<u32>,
    ) -> Result<()> {
        if self.at_relay {
            return Ok(());
        }
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let (mut out, mut count) = (Vec::new(), 0);
            for text in texts.by_ref().take(BATCH) {
                driver_call(member, Some(&text), flags).append(self.next_serial(), 0, &mut out);
                count += 1;
            }
            self.send(&out)?;
            self.wait_for(count).map_err(|failure| failure.during(member))?;
        }
        Ok(())
    }

    /// Adds match rules.
    pub(crate) fn add_matches(&mut self, rules: impl IntoIterator<Item = String>) -> Result<()> {
        self.call_driver_for_each("AddMatch", rules, None)
    }

    /// Becomes the owner of names.
    pub(crate) fn request_names(&mut self, names: impl IntoIterator<Item = String>) -> Result<()> {
        // DO_NOT_QUEUE
        self.call_driver_for_each("RequestName", names, Some(4))?;
        self.synchronize()
    }

    /// Takes whatever the bus had for this client until now.
    pub(crate) fn synchronize(&mut self) -> Result<()> {
        if self.at_relay { Ok(()) } else { self.call_driver("GetId", None, None).map(drop) }
    }

    /// The next message, whole.
    pub(crate) fn receive(&mut self) -> Result<Message> {
        let mut bytes = vec![0; FIXED_HEADER_SIZE];
        self.read_exact(&mut bytes)?;
        let fixed = bytes.first_chunk().ok_or_else(|| Failure::new("a short message"))?;
        let start = Start::parse(fixed)?;
        bytes.resize(start.size, 0);
        self.read_exact(&mut bytes[FIXED_HEADER_SIZE..])?;
        Ok(Message { start, bytes })
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            match recv(&self.socket, &mut bytes[at..], RecvFlags::empty())? {
                (_, 0) => return fail("closed the connection"),
                (_, size) => at += size,
            }
        }
        Ok(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The deadline of one wait, as the kernel takes it.
pub(crate) fn deadline() -> Timespec {
    Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 }
}

/// A message, whole.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) start: Start,
    bytes: Vec<u8>,
}

impl Message {
    /// A reader of the body.
    pub(crate) fn reader(&self) -> BodyReader<'_> {
        let frame = frame(&self.bytes, MESSAGE_SIZE_MAX).ok().flatten();
        let body = frame.and_then(|frame| self.bytes.get(frame.header_size..));
        BodyReader::new(body.unwrap_or_default(), Endian::NATIVE)
    }

    /// The text that an error comes with.
    fn text(&self) -> &str {
        self.reader().string().unwrap_or("an error without text")
    }
}
