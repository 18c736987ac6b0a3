//! The null relay: the least that any bus of sockets has to do.
//!
//! It waits, reads and writes, and knows nothing of messages: what one member of a group sends is
//! copied to the others. It is this same program under another argument, so that it has a process
//! of its own whose time can be measured. Its sockets block, which is safe because the load reads
//! whatever it is sent, and saves the relay every system call that a bus could save too.
//!
//! A member starts with 8 bytes: its group, its role, and whether descriptors are to be passed on.
//! One byte comes back when it belongs to the
//! group, but not if the group is itself alone.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, send, sendmsg,
};

use crate::failure::Result;

/// What a member of a group does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sends to all receivers of the group, and gets what they send.
    Sender(Passing),
    /// Sends to the group's sender.
    Receiver,
    /// Gets back what it sends.
    Echo,
}

/// What is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    Bytes,
    BytesAndDescriptors,
}

const PREAMBLE_SIZE: usize = 8;
const READ_SIZE: usize = 256 * 1024;
const EVENTS_MAX: usize = 256;
const LISTENER: u64 = u64::MAX;

impl Role {
    /// The first bytes that a member of `group` sends.
    pub(crate) fn preamble(self, group: u32) -> [u8; PREAMBLE_SIZE] {
        let [a, b, c, d] = group.to_ne_bytes();
        let role = match self {
            Self::Sender(Passing::Bytes) => 0,
            Self::Sender(Passing::BytesAndDescriptors) => 1,
            Self::Receiver => 2,
            Self::Echo => 3,
        };
        [a, b, c, d, role, 0, 0, 0]
    }

    fn parse(preamble: [u8; PREAMBLE_SIZE]) -> (u32, Self) {
        let [a, b, c, d, role, ..] = preamble;
        let role = match role {
            0 => Self::Sender(Passing::Bytes),
            1 => Self::Sender(Passing::BytesAndDescriptors),
            2 => Self::Receiver,
            _ => Self::Echo,
        };
        (u32::from_ne_bytes([a, b, c, d]), role)
    }
}

/// Relays between the sockets accepted at `path` until the process is ended.
pub(crate) fn run(path: &Path) -> Result<()> {
    let listener = UnixListener::bind(path)?;
    let mut relay = Relay::new()?;
    relay.watch(listener.as_fd(), LISTENER)?;
    println!("ready");
    std::io::stdout().flush()?;
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        epoll::wait(&relay.epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            match event.data.u64() {
                LISTENER => relay.admit(listener.accept()?.0.into())?,
                member => relay.pass_on(member)?,
            }
        }
    }
}

/// One accepted socket.
struct Member {
    socket: OwnedFd,
    group: u32,
    role: Role,
    /// Where its bytes go: numbers of members.
    targets: Vec<u64>,
}

struct Relay {
    epoll: OwnedFd,
    /// By the number of their descriptor.
    members: HashMap<u64, Member>,
    buffer: Vec<u8>,
}

impl Relay {
    fn new() -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, members: HashMap::new(), buffer: vec![0; READ_SIZE] })
    }

    fn watch(&self, socket: BorrowedFd<'_>, number: u64) -> Result<()> {
        let data = epoll::EventData::new_u64(number);
        Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?)
    }

    /// Takes a new socket into the group that its preamble names.
    fn admit(&mut self, socket: OwnedFd) -> Result<()> {
        let mut preamble = [0; PREAMBLE_SIZE];
        recv(&socket, &mut preamble, RecvFlags::WAITALL)?;
        let (group, role) = Role::parse(preamble);
        let number = socket.as_raw_fd().unsigned_abs().into();
        self.watch(socket.as_fd(), number)?;
        let targets = self.join(number, group, role);
        if role != Role::Echo {
            send(&socket, &[1], SendFlags::NOSIGNAL)?;
        }
        self.members.insert(number, Member { socket, group, role, targets });
        Ok(())
    }

    /// Makes a new member known to its group; answers where its own bytes go.
    fn join(&mut self, number: u64, group: u32, role: Role) -> Vec<u64> {
        if role == Role::Echo {
            return vec![number];
        }
        let is_receiver = role == Role::Receiver;
        let others = self.members.iter_mut().filter(|(_, member)| {
            member.group == group && (member.role == Role::Receiver) != is_receiver
        });
        others
            .map(|(other, member)| {
                member.targets.push(number);
                *other
            })
            .collect()
    }

    fn pass_on(&mut self, number: u64) -> Result<()> {
        let Some(member) = self.members.get(&number) else { return Ok(()) };
        if member.role == Role::Sender(Passing::BytesAndDescriptors) {
            return self.pass_on_with_fds(number);
        }
        let size = match recv(&member.socket, &mut self.buffer, RecvFlags::empty()) {
            Ok((_, size)) => size,
            Err(Errno::CONNRESET) => 0,
            Err(error) => return Err(error.into()),
        };
        if size == 0 {
            self.members.remove(&number);
            return Ok(());
        }
        for target in member.targets.iter().filter_map(|target| self.members.get(target)) {
            send_all(&target.socket, &self.buffer[..size]);
        }
        Ok(())
    }

    fn pass_on_with_fds(&mut self, number: u64) -> Result<()> {
        let Some(member) = self.members.get(&number) else { return Ok(()) };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut self.buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let size = recvmsg(&member.socket, slices, &mut control, flags)?.bytes;
        let fds: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        if size == 0 {
            self.members.remove(&number);
            return Ok(());
        }
        for target in member.targets.iter().filter_map(|target| self.members.get(target)) {
            send_with_fds(&target.socket, &self.buffer[..size], &fds)?;
        }
        Ok(())
    }
}

/// A member that is gone takes the bytes too: its end is seen when it is read.
fn send_all(socket: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(size) => bytes = &bytes[size..],
            Err(_) => return,
        }
    }
}

fn send_with_fds(socket: &OwnedFd, bytes: &[u8], fds: &[OwnedFd]) -> Result<()> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let size = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    send_all(socket, &bytes[size..]);
    Ok(())
}
