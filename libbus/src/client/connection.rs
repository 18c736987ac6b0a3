//! A connection to a bus or a peer, as programs have it.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "async")]
use std::sync::Weak;

use super::link::{Link, Style};
use super::peers::Credentials;
use super::unique_names::UniqueNames;
use crate::auth::Identity;
use crate::guid::Guid;
use crate::server::{ObjectServer, Objects};

/// A connection to a bus or a peer. A copy of it is the same connection, which is closed with the last copy
/// and the last stream, proxy or pending reply of it.
///
/// It is `Send` and `Sync`: several threads or tasks may use it at once.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// use libbus::blocking::{Builder, Connection};
///
/// // On a program's own session bus this is `Connection::session()?`.
/// let connection: Connection = Builder::address(bus.address())?.build()?;
/// connection.request_name("org.example.Clock")?;
/// let reply = connection.call_method(
///     Some("org.freedesktop.DBus"),
///     "/org/freedesktop/DBus",
///     Some("org.freedesktop.DBus"),
///     "NameHasOwner",
///     "org.example.Clock",
/// )?;
/// assert!(reply.deserialize::<bool>()?);
/// # Ok(())
/// # }
/// ```
pub struct Connection<S: Style> {
    inner: Arc<Inner<S>>,
}

struct Inner<S: Style> {
    link: Arc<Link<S>>,
    unique_names: UniqueNames,
    objects: Objects<S>,
    tasks: Arc<S::Tasks>,
}

#[cfg(feature = "async")]
/// A connection that is closed all the same when nobody else uses it.
pub(crate) struct WeakConnection<S: Style> {
    inner: Weak<Inner<S>>,
}

#[cfg(feature = "async")]
impl<S: Style> WeakConnection<S> {
    /// The connection, if somebody still uses it.
    pub(crate) fn upgrade(&self) -> Option<Connection<S>> {
        self.inner.upgrade().map(|inner| Connection { inner })
    }
}

impl<S: Style> Drop for Inner<S> {
    fn drop(&mut self) {
        S::end_serving(&self.tasks);
    }
}

impl<S: Style> Connection<S> {
    pub(crate) fn new(link: Link<S>) -> Self {
        let (link, unique_names) = (Arc::new(link), UniqueNames::default());
        let (objects, tasks) = (Objects::default(), Arc::default());
        Self { inner: Arc::new(Inner { link, unique_names, objects, tasks }) }
    }

    #[cfg(feature = "async")]
    pub(crate) fn downgrade(&self) -> WeakConnection<S> {
        WeakConnection { inner: Arc::downgrade(&self.inner) }
    }

    pub(crate) fn objects(&self) -> &Objects<S> {
        &self.inner.objects
    }

    pub(crate) fn tasks(&self) -> &Arc<S::Tasks> {
        &self.inner.tasks
    }

    /// The objects that this program serves on it.
    #[must_use]
    pub fn object_server(&self) -> ObjectServer<S> {
        ObjectServer::new(self.clone())
    }

    pub(crate) fn link(&self) -> &Arc<Link<S>> {
        &self.inner.link
    }

    pub(crate) fn set_unique_name(&self, name: &str) {
        self.link().lock().connection.set_unique_name(name);
    }

    /// What the bus calls this program, such as `:1.42` (protocol.md A121); nothing without a bus. A connection that
    /// was lost and made again has another name, and the last one until then.
    #[must_use]
    pub fn unique_name(&self) -> Option<&str> {
        let Ok(shared) = self.link().lock_here() else { return self.inner.unique_names.last() };
        shared.connection.unique_name().map(|name| self.inner.unique_names.keep(name))
    }

    /// The GUID of the server at the other end (protocol.md A085); nothing in a copy of the process.
    #[must_use]
    pub fn server_guid(&self) -> Option<Guid> {
        self.link().lock_here().ok()?.connection.guid()
    }

    /// Who the client at the other end proved to be, if this is the server's end (protocol.md A088–A096).
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.link().lock_here().ok()?.connection.identity()
    }

    /// What the kernel knows of who is at the other end of the socket: the user, and the process that connected, if it
    /// can be seen. Nothing of who is connected by TCP. On a bus, this is the bus.
    #[must_use]
    pub fn peer_credentials(&self) -> Credentials {
        if self.link().check_process().is_err() {
            return Credentials::default();
        }
        let socket = self.link().socket();
        let peer = S::Socket::as_ref(&socket).peer();
        Credentials {
            uid: peer.map(|peer| peer.uid),
            pid: peer.and_then(|peer| peer.pid),
            ..Credentials::default()
        }
    }

    /// Whether messages may carry file descriptors.
    #[must_use]
    pub fn takes_fds(&self) -> bool {
        self.link().lock_here().is_ok_and(|shared| shared.connection.takes_fds())
    }

    /// Closes it for all who use it, and for ever: what they wait for fails with
    /// [`Error::Closed`](super::error::Error).
    pub fn close(&self) {
        self.link().close();
    }
}

impl<S: Style> Clone for Connection<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: Style> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("unique_name", &self.unique_name())
            .finish_non_exhaustive()
    }
}
