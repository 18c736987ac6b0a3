//! How a connection is made (tools.md D078).

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use super::connection::Connection;
use super::error::{Error, Result};
use super::keyring::find_cookie;
use super::link::{Deadline, Link, Shared, Style};
use super::names::{RequestNameFlags, RequestNameReply, bus_call};
use crate::address::Address;
use crate::auth::{ClientAuthConfig, Mechanism};
use crate::connection::{ConnectionConfig, ConnectionState, CookieWanted};
use crate::guid::Guid;
use crate::limits::MESSAGE_SIZE_MAX;
use crate::names::{ObjectPath, WellKnownName};
use crate::server::{Interface, ObjectServer};
use crate::transport::Socket;

/// Where the system bus listens, if nothing else is said (protocol.md A118).
const SYSTEM_ADDRESS: &str = "unix:path=/var/run/dbus/system_bus_socket";
/// Where the machine's id stands, in the order looked at (protocol.md A119).
const MACHINE_ID_FILES: [&str; 2] = ["/var/lib/dbus/machine-id", "/etc/machine-id"];

/// How a connection is to be made; `build` of its style makes it.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// use libbus::blocking::Builder;
///
/// let connection = Builder::address(bus.address())?
///     .name("org.example.Clock")?
///     .message_size_max(1 << 20)
///     .build()?;
/// assert_eq!(connection.unique_name(), Some(":1.0"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder<S: Style> {
    target: Target,
    mechanisms: Vec<Mechanism>,
    is_bus: bool,
    names: Vec<String>,
    message_size_max: u32,
    is_served_by_program: bool,
    objects: Objects<S>,
}

/// What is done with the connection before it has its names: serves one object.
type Serve<S> = Box<dyn FnOnce(ObjectServer<S>) -> ServeFuture + Send>;
type ServeFuture = Pin<Box<dyn Future<Output = Result<bool>> + Send>>;

struct Objects<S: Style>(Vec<Serve<S>>);

impl<S: Style> fmt::Debug for Objects<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} objects", self.0.len())
    }
}

#[derive(Debug)]
enum Target {
    Addresses(String),
    Socket(OwnedFd),
}

impl<S: Style> Builder<S> {
    /// The bus of the user's session: `$DBUS_SESSION_BUS_ADDRESS`, else the socket `bus` in
    /// `$XDG_RUNTIME_DIR` (protocol.md A117).
    ///
    /// # Errors
    /// Neither is there.
    pub fn session() -> Result<Self> {
        session_address().map(|address| Self::new(Target::Addresses(address)))
    }

    /// The system bus: `$DBUS_SYSTEM_BUS_ADDRESS`, else where it is on all systems (protocol.md A118).
    ///
    /// # Errors
    /// The variable is no text.
    pub fn system() -> Result<Self> {
        let address = variable("DBUS_SYSTEM_BUS_ADDRESS")?;
        Self::address(&address.unwrap_or_else(|| SYSTEM_ADDRESS.to_owned()))
    }

    /// The bus that started this program (protocol.md A218).
    ///
    /// # Errors
    /// It was not started by a bus.
    pub fn starter() -> Result<Self> {
        let missing = || Error::NoAddress("$DBUS_STARTER_ADDRESS is not set".to_owned());
        Self::address(&variable("DBUS_STARTER_ADDRESS")?.ok_or_else(missing)?)
    }

    /// Addresses, of which the first that can be reached is taken (protocol.md A097).
    ///
    /// # Errors
    /// One of them is written wrong.
    pub fn address(addresses: &str) -> Result<Self> {
        Address::parse_list(addresses)?;
        Ok(Self::new(Target::Addresses(addresses.to_owned())))
    }

    /// A socket that is connected already.
    pub fn socket(socket: impl Into<OwnedFd>) -> Self {
        Self::new(Target::Socket(socket.into()))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            mechanisms: Mechanism::ALL.to_vec(),
            is_bus: true,
            names: Vec::new(),
            message_size_max: MESSAGE_SIZE_MAX,
            is_served_by_program: false,
            objects: Objects(Vec::new()),
        }
    }

    /// The other end is no bus: there is no Hello, and nobody has names.
    #[must_use]
    pub fn p2p(self) -> Self {
        Self { is_bus: false, ..self }
    }

    /// How to prove who this is, in this order; all ways if nothing is said.
    #[must_use]
    pub fn mechanisms(self, mechanisms: &[Mechanism]) -> Self {
        Self { mechanisms: mechanisms.to_vec(), ..self }
    }

    /// Requests a well-known name; building fails if somebody else keeps it.
    ///
    /// # Errors
    /// It is no well-known name (protocol.md A028).
    pub fn name(mut self, name: &str) -> Result<Self> {
        WellKnownName::parse(name)?;
        self.names.push(name.to_owned());
        Ok(self)
    }

    /// Serves `interface` at `path`, from before the program has its names.
    ///
    /// # Errors
    /// It is no object path (protocol.md A024).
    pub fn serve_at<'p, P, I>(mut self, path: P, interface: I) -> Result<Self>
    where
        P: TryInto<ObjectPath<'p>, Error: Into<Error>>,
        I: Interface<S>,
    {
        let path = path.try_into().map_err(Into::into)?.as_str().to_owned();
        self.objects.0.push(Box::new(move |server| {
            Box::pin(async move { server.add(path.as_str(), interface, false).await })
        }));
        Ok(self)
    }

    #[cfg(feature = "async")]
    pub(crate) fn serve_by_program(self, is_served_by_program: bool) -> Self {
        Self { is_served_by_program, ..self }
    }

    /// Longest message to take, in bytes; 128 MiB if nothing is said (protocol.md A037).
    #[must_use]
    pub fn message_size_max(self, message_size_max: u32) -> Self {
        Self { message_size_max, ..self }
    }

    pub(crate) async fn connect(self) -> Result<Connection<S>> {
        let Self { target, mechanisms, is_bus, names, message_size_max, .. } = self;
        let objects = self.objects.0;
        let (socket, guid) = match target {
            Target::Socket(socket) => (Socket::new(socket)?, None),
            Target::Addresses(addresses) => connect_to_one(&addresses)?,
        };
        let uid = Some(rustix::process::geteuid().as_raw());
        let auth = ClientAuthConfig { mechanisms, uid, unix_fds: true, guid };
        let machine_id = machine_id();
        let config = ConnectionConfig { auth, machine_id, message_size_max };
        let connection = Connection::new(Link::new(socket, ConnectionState::new(config)?)?);
        authenticate(connection.link()).await?;
        if is_bus {
            let hello = connection.link().call(&bus_call("Hello"), &()).await?;
            connection.set_unique_name(hello.deserialize()?);
        }
        if self.is_served_by_program {
            S::leave_serving(connection.tasks());
        }
        for serve in objects {
            serve(connection.object_server()).await?;
        }
        for name in names {
            let flags = RequestNameFlags { do_not_queue: true, ..Default::default() };
            let request = connection.link().request_name(WellKnownName::parse(&name)?, flags);
            if request.await? == RequestNameReply::Exists {
                return Err(Error::NameTaken);
            }
        }
        Ok(connection)
    }
}

fn connect_to_one(addresses: &str) -> Result<(Socket, Option<Guid>)> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "there is no address");
    let mut failure = (addresses.to_owned(), none());
    for address in Address::parse_list(addresses)? {
        match address.connect().map_err(Error::from).map(|target| Socket::connect(&target)) {
            Ok(Ok(socket)) => return Ok((socket, address.guid()?)),
            Ok(Err(error)) => failure = (address.to_string(), error),
            Err(error) => failure = (address.to_string(), io::Error::other(error.to_string())),
        }
    }
    let (address, error) = failure;
    Err(Error::Connect { address, error: Arc::new(error) })
}

async fn authenticate<S: Style>(link: &Arc<Link<S>>) -> Result<()> {
    enum Step {
        Done,
        Cookie(CookieWanted),
    }
    loop {
        link.write_some(&mut link.lock());
        let next = |shared: &mut Shared| match shared.connection.cookie_wanted() {
            Some(wanted) => Some(Step::Cookie(wanted.clone())),
            None => shared.connection.is_authenticated().then_some(Step::Done),
        };
        match S::wait(link, next, Deadline::after(Some(super::link::DEFAULT_TIMEOUT))).await? {
            Step::Done => return Ok(()),
            Step::Cookie(wanted) => {
                let cookie = find_cookie(&wanted);
                link.lock().connection.handle_cookie(cookie)?;
            }
        }
    }
}

fn session_address() -> Result<String> {
    if let Some(address) = variable("DBUS_SESSION_BUS_ADDRESS")? {
        return Ok(address);
    }
    let directory = variable("XDG_RUNTIME_DIR")?.ok_or_else(|| {
        let text = "neither $DBUS_SESSION_BUS_ADDRESS nor $XDG_RUNTIME_DIR is set";
        Error::NoAddress(text.to_owned())
    })?;
    let path = format!("{directory}/bus");
    if fs::symlink_metadata(&path).is_err() {
        let text = format!("$DBUS_SESSION_BUS_ADDRESS is not set, and there is no {path}");
        return Err(Error::NoAddress(text));
    }
    Ok(Address::new("unix").with("path", path).to_string())
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Result<Option<String>> {
    match env::var_os(name).filter(|value| !value.is_empty()).map(std::ffi::OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(Error::NoAddress(format!("${name} is no text"))),
    }
}

fn machine_id() -> Option<Guid> {
    let read = |path: &&str| fs::read_to_string(path).ok();
    let text = MACHINE_ID_FILES.iter().find_map(read)?;
    Guid::parse(text.trim_end()).ok()
}
