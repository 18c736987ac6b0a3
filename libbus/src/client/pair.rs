//! Two connections to each other.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::connection::Connection;
use super::error::Result;
use super::link::{Link, Style};
use super::server_role::{ServerRole, Users, machine_id, own_uid};
use crate::auth::{ClientAuthConfig, Mechanism};
use crate::connection::{ConnectionConfig, ConnectionState};
use crate::guid::Guid;
use crate::limits::MESSAGE_SIZE_MAX;
use crate::transport::Socket;

impl<S: Style> Connection<S> {
    /// Two connections to each other, without a bus: the server's end and the client's. What is served on one can
    /// be called on the other, which is of use in tests and between the parts of a program.
    ///
    /// # Errors
    /// The system has no room for two sockets.
    pub fn pair() -> Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(std::io::Error::from)?;
        let (one, other) = (Socket::new(one)?, Socket::new(other)?);
        let role = ServerRole {
            guid: Guid::generate()?,
            users: Users::Own(Vec::new()),
            mechanisms: Some(vec![Mechanism::External]),
            message_size_max: MESSAGE_SIZE_MAX,
        };
        let auth = ClientAuthConfig {
            mechanisms: vec![Mechanism::External],
            uid: Some(own_uid()),
            unix_fds: true,
            guid: Some(role.guid),
        };
        let (machine_id, message_size_max) = (machine_id(), MESSAGE_SIZE_MAX);
        let mut server = role.begin(&one);
        let mut client =
            ConnectionState::new(ConnectionConfig { auth, machine_id, message_size_max })?;
        // The handshake needs no socket.
        while pass(&mut client, &mut server)? || pass(&mut server, &mut client)? {}
        let connect = |socket, state| Link::new(socket, state).map(Self::new);
        Ok((connect(one, server)?, connect(other, client)?))
    }
}

/// Takes what one has to say to the other. Answers whether there was anything.
fn pass(from: &mut ConnectionState, to: &mut ConnectionState) -> Result<bool> {
    let bytes = from.next_write().0;
    let space = to.read_space();
    let size = bytes.len().min(space.len());
    space.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    from.handle_written(size);
    to.handle_read(size, &mut Vec::<OwnedFd>::new())?;
    Ok(size > 0)
}
