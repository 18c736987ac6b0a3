//! Clients of the bus under test: one that sends any bytes, and one that is registered.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::message::{Endian, Message, Value, decode, kind, message_size};
use super::{BUS_INTERFACE, BUS_NAME, BUS_PATH};

/// How long a test waits for one event before it fails.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// The most descriptors the kernel passes with one message.
const FDS_PER_MESSAGE_MAX: usize = 253;

/// What comes next on a connection.
#[derive(Debug)]
pub enum Received {
    /// A message with its descriptors.
    Message(Message, Vec<OwnedFd>),
    /// The bus closed the connection.
    End,
}

/// A socket to the bus, with bytes and descriptors in both directions.
#[derive(Debug)]
pub struct RawClient {
    socket: OwnedFd,
    received: Vec<u8>,
    received_fds: VecDeque<OwnedFd>,
}

impl RawClient {
    /// Takes a connected socket on which nothing has been sent yet.
    pub fn new(socket: impl Into<OwnedFd>) -> Self {
        let socket = socket.into();
        for direction in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, direction, Some(DEADLINE)).expect("a deadline");
        }
        Self { socket, received: Vec::new(), received_fds: VecDeque::new() }
    }

    /// Sends bytes; a bus that has closed the connection takes them too.
    pub fn send(&mut self, bytes: &[u8]) {
        self.send_with_fds(bytes, &[]);
    }

    /// Sends bytes, descriptors with the first of them. Answers false if the bus is gone.
    pub fn send_with_fds(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
        let mut fds = fds;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.send_some(rest, fds, SendFlags::NOSIGNAL) {
                Ok(size) => rest = &rest[size..],
                Err(Errno::INTR) => continue,
                Err(Errno::PIPE | Errno::CONNRESET) => return false,
                Err(error) => panic!("cannot send to the bus: {error}"),
            }
            fds = &[];
        }
        true
    }

    /// Sends what fits into the socket and answers how many bytes that were.
    pub fn send_what_fits(&mut self, bytes: &[u8]) -> usize {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut sent = 0;
        while sent < bytes.len() {
            match self.send_some(&bytes[sent..], &[], flags) {
                Ok(size) => sent += size,
                Err(Errno::AGAIN) => break,
                Err(error) => panic!("cannot send to the bus: {error}"),
            }
        }
        sent
    }

    fn send_some(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)), "too many descriptors");
        }
        sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, flags)
    }

    /// Reads once; false at the end of the stream.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 65536];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut buffer)];
        // With a deadline on the socket, a process that was stopped and goes on sees that here.
        let received =
            retry_on_intr(|| recvmsg(&self.socket, slices, &mut control, RecvFlags::CMSG_CLOEXEC));
        let size = match received {
            Ok(received) => received.bytes,
            Err(Errno::CONNRESET) => 0,
            Err(Errno::AGAIN) => panic!("nothing from the bus within {DEADLINE:?}"),
            Err(error) => panic!("cannot read from the bus: {error}"),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.received_fds.extend(fds);
            }
        }
        self.received.extend_from_slice(&buffer[..size]);
        size > 0
    }

    /// The next line of the handshake without its line end; `None` if the connection ended.
    pub fn read_line(&mut self) -> Option<String> {
        loop {
            if let Some(size) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.received.drain(..size + 2).take(size).collect();
                return Some(String::from_utf8(line).expect("handshake lines are ASCII"));
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// Sends a handshake line and returns the answer, `(end)` if the bus closed the connection.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.read_line().unwrap_or_else(|| "(end)".to_owned())
    }

    /// The handshake every client does, up to and with BEGIN.
    pub fn authenticate(&mut self, with_fds: bool) {
        self.authenticate_as(rustix::process::geteuid().as_raw(), with_fds);
    }

    /// The same for a socket that was connected by `uid`.
    pub fn authenticate_as(&mut self, uid: u32, with_fds: bool) {
        self.send(b"\0");
        let ok = self.ask(&format!("AUTH EXTERNAL {}", identity_of(uid)));
        assert!(ok.starts_with("OK "), "AUTH EXTERNAL: {ok}");
        if with_fds {
            assert_eq!(self.ask("NEGOTIATE_UNIX_FD"), "AGREE_UNIX_FD");
        }
        self.send(b"BEGIN\r\n");
    }

    /// The next message, or the end.
    pub fn receive(&mut self) -> Received {
        loop {
            let size = message_size(&self.received);
            if let Some(size) = size.filter(|size| *size <= self.received.len()) {
                let bytes: Vec<u8> = self.received.drain(..size).collect();
                let message = decode(&bytes);
                let count = message.unix_fds() as usize;
                assert!(count <= self.received_fds.len(), "the bus kept descriptors back");
                return Received::Message(message, self.received_fds.drain(..count).collect());
            }
            if !self.read_more() {
                assert!(self.received.is_empty(), "the bus closed in the middle of a message");
                return Received::End;
            }
        }
    }

    /// Descriptors that came and belong to no message yet.
    pub fn surplus_fds(&self) -> usize {
        self.received_fds.len()
    }

    /// Whether anything waits to be read right now, the end included.
    pub fn has_input(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.socket, rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&timeout)).expect("poll") > 0
    }

    /// Ends the sending half only.
    pub fn shut_down_writing(&mut self) {
        let how = rustix::net::Shutdown::Write;
        rustix::net::shutdown(&self.socket, how).expect("shutdown");
    }
}

/// The identity EXTERNAL asks for: the effective uid in decimal, each digit in hex.
pub fn own_identity() -> String {
    identity_of(rustix::process::geteuid().as_raw())
}

/// The identity of `uid` as EXTERNAL sends it.
pub fn identity_of(uid: u32) -> String {
    uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect()
}

/// A registered client. Messages that nobody waited for stay in order in its inbox.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub raw: RawClient,
    /// The unique name.
    pub name: String,
    /// Descriptors of all messages so far, in order.
    pub fds: Vec<OwnedFd>,
    last_serial: u32,
    inbox: VecDeque<Message>,
}

impl Client {
    /// Says Hello on an authenticated connection, and takes the `NameAcquired` that follows.
    pub fn register(raw: RawClient) -> Self {
        let mut client = Self::unregistered(raw);
        client.name = client.call("Hello", &[]).body[0].text().to_owned();
        assert_eq!(client.next().member(), "NameAcquired");
        client
    }

    /// An authenticated connection that has not said Hello.
    pub fn unregistered(raw: RawClient) -> Self {
        Self { raw, name: String::new(), fds: Vec::new(), last_serial: 0, inbox: VecDeque::new() }
    }

    /// A serial that was not used before.
    pub fn next_serial(&mut self) -> u32 {
        self.last_serial += 1;
        self.last_serial
    }

    /// Sends a message and answers its serial, the next one unless the message brings its own.
    pub fn send(&mut self, message: &Message) -> u32 {
        self.send_with_fds(message, &[])
    }

    /// Sends a message with descriptors; UNIX_FDS is the test's own business.
    pub fn send_with_fds(&mut self, message: &Message, fds: &[BorrowedFd<'_>]) -> u32 {
        let mut message = message.clone();
        if message.serial == 0 {
            message.serial = self.next_serial();
        }
        self.raw.send_with_fds(&message.encode(), fds);
        message.serial
    }

    /// The next message; fails if the connection ended.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end, this fails")]
    pub fn next(&mut self) -> Message {
        self.next_or_end().expect("the bus closed the connection")
    }

    /// The next message, `None` if the bus closed the connection.
    pub fn next_or_end(&mut self) -> Option<Message> {
        self.inbox.pop_front().or_else(|| self.read())
    }

    fn read(&mut self) -> Option<Message> {
        match self.raw.receive() {
            Received::Message(message, fds) => {
                self.fds.extend(fds);
                Some(message)
            }
            Received::End => None,
        }
    }

    /// Waits for the reply to `serial`; what comes before it stays in the inbox.
    pub fn reply_to(&mut self, serial: u32) -> Message {
        self.reply_or_end(serial).expect("the bus closed the connection")
    }

    /// As [`Self::reply_to`], `None` if the bus closed the connection instead.
    pub fn reply_or_end(&mut self, serial: u32) -> Option<Message> {
        let is_reply = |message: &Message| {
            matches!(message.kind, kind::METHOD_RETURN | kind::ERROR)
                && message.reply_serial() == serial
        };
        if let Some(index) = self.inbox.iter().position(is_reply) {
            return self.inbox.remove(index);
        }
        loop {
            let message = self.read()?;
            if is_reply(&message) {
                return Some(message);
            }
            self.inbox.push_back(message);
        }
    }

    /// Sends a call and waits for its reply, whatever it says.
    pub fn ask(&mut self, call: &Message) -> Message {
        let serial = self.send(call);
        self.reply_to(serial)
    }

    /// Calls a method of the bus and waits for its reply, whatever it says.
    pub fn try_call(&mut self, member: &str, arguments: &[Value]) -> Message {
        let mut call = Message::method_call(BUS_PATH, BUS_INTERFACE, member).to(BUS_NAME);
        call.body = arguments.to_vec();
        self.ask(&call)
    }

    /// Calls a method of the bus that must succeed.
    pub fn call(&mut self, member: &str, arguments: &[Value]) -> Message {
        let reply = self.try_call(member, arguments);
        assert_eq!(reply.kind, kind::METHOD_RETURN, "{member}: {}", reply.describe());
        reply
    }

    /// Calls a method of the bus that must fail; answers the error's name.
    pub fn refused(&mut self, member: &str, arguments: &[Value]) -> String {
        let reply = self.try_call(member, arguments);
        assert_eq!(reply.kind, kind::ERROR, "{member}: {}", reply.describe());
        reply.error_name()
    }

    /// RequestName, answering the result code.
    pub fn request_name(&mut self, name: &str, flags: u32) -> u32 {
        self.call("RequestName", &[name.into(), flags.into()]).body[0].number()
    }

    /// ReleaseName, answering the result code.
    pub fn release_name(&mut self, name: &str) -> u32 {
        self.call("ReleaseName", &[name.into()]).body[0].number()
    }

    /// AddMatch, which must succeed.
    pub fn add_match(&mut self, rule: &str) {
        self.call("AddMatch", &[rule.into()]);
    }

    /// Everything that has arrived by now: a round trip to the bus marks the point in its total
    /// order, and whatever the bus sent here before is in the answer.
    pub fn drain(&mut self) -> Vec<Message> {
        self.call("GetId", &[]);
        self.inbox.drain(..).collect()
    }

    /// As [`Self::drain`], one line for each message.
    pub fn drain_lines(&mut self) -> Vec<String> {
        self.drain().iter().map(Message::describe).collect()
    }

    /// Reads until the bus closes the connection; what came before is in the answer.
    pub fn until_end(&mut self) -> Vec<Message> {
        let mut messages = Vec::from(std::mem::take(&mut self.inbox));
        messages.extend(std::iter::from_fn(|| self.read()));
        messages
    }

    /// Whether the bus still talks to this client after all it has been sent.
    pub fn is_connected(&mut self) -> bool {
        let ping = Message::method_call(BUS_PATH, "org.freedesktop.DBus.Peer", "Ping");
        let serial = self.send(&ping.to(BUS_NAME));
        self.reply_or_end(serial).is_some()
    }

    /// Sends `message` in both byte orders and answers what the bus made of each.
    pub fn send_both_orders(&mut self, message: &Message) {
        for endian in Endian::BOTH {
            self.send(&message.clone().endian(endian));
        }
    }
}

/// Borrows every descriptor of a slice.
pub fn borrow_all(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}
