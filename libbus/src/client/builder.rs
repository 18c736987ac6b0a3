//! How a connection is made (tools.md D078).

use std::env;
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::error::{Error, Result};
use super::link::{DEFAULT_TIMEOUT, Deadline, Link, Shared, Style};
use super::names::{RequestNameFlags, RequestNameReply, bus_call};
use super::reconnecting::{Reconnect, Route, Tries, time_of, wait_for_one};
use super::server_role::{ServerRole, Users, find_cookie, machine_id, own_uid};
use crate::address::Address;
use crate::auth::{ClientAuthConfig, Mechanism};
use crate::connection::{ConnectionConfig, ConnectionState, CookieWanted};
use crate::guid::Guid;
use crate::limits::MESSAGE_SIZE_MAX;
use crate::names::{ObjectPath, WellKnownName};
use crate::server::{Interface, ObjectServer};
use crate::transport::{Socket, connected};

/// Where the system bus listens, if nothing else is said (protocol.md A118).
const SYSTEM_ADDRESS: &str = "unix:path=/var/run/dbus/system_bus_socket";

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
    mechanisms: Option<Vec<Mechanism>>,
    is_bus: bool,
    /// The GUID to tell the client, if this is the server's end.
    server: Option<Guid>,
    users: Users,
    names: Vec<String>,
    message_size_max: u32,
    call_timeout: Duration,
    is_served_by_program: bool,
    exits_on_disconnect: bool,
    objects: Objects<S>,
    waits: Option<Duration>,
    reconnects: Option<Reconnect>,
    /// Whether all that comes is kept for a monitor.
    monitors: bool,
}

/// What is done with the connection before anybody can call it: places one object.
type Serve<S> = Box<dyn FnOnce(&ObjectServer<S>) + Send + Sync>;

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
    /// One that was handed over.
    Inherited(Option<String>),
    /// The standard input and output of a program on another machine, which may number its users otherwise.
    Remote(String),
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

    /// The connected socket of this name that a service manager hands over (`Accept=yes`, `LISTEN_FDS`), or the
    /// first one if no name is said (protocol.md A109).
    ///
    /// The connection has a copy of it. The descriptor itself stays open, close-on-exec from now on; the other
    /// end sees the end of the connection all the same.
    pub fn inherited(name: Option<&str>) -> Self {
        Self::new(Target::Inherited(name.map(ToOwned::to_owned)))
    }

    /// The system bus of another machine, or of a container on it, by `ssh`: `[user@]host[:port][/container]`.
    /// There must be `systemd-stdio-bridge`, or `bus`. An IPv6 address stands in brackets. For another bridge see
    /// [`Builder::address`] and `unixexec:`.
    ///
    /// # Errors
    /// It is not of that form, or a part of it would be taken for an option or for more than one word.
    pub fn ssh(host: &str) -> Result<Self> {
        Ok(Self::new(Target::Remote(Address::ssh(host)?.to_string())))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            mechanisms: None,
            is_bus: true,
            server: None,
            users: Users::Own(Vec::new()),
            names: Vec::new(),
            message_size_max: MESSAGE_SIZE_MAX,
            call_timeout: DEFAULT_TIMEOUT,
            is_served_by_program: false,
            exits_on_disconnect: false,
            objects: Objects(Vec::new()),
            waits: None,
            reconnects: None,
            monitors: false,
        }
    }

    /// The other end is no bus: there is no Hello, and nobody has names.
    #[must_use]
    pub fn p2p(self) -> Self {
        Self { is_bus: false, ..self }
    }

    /// This is the server's end, and the other end is no bus: the client is told this GUID, and must prove who it
    /// is ([`Builder::mechanisms`]). It must be this program's user, or one that is allowed.
    #[must_use]
    pub fn server(self, guid: Guid) -> Self {
        Self { is_bus: false, server: Some(guid), ..self }
    }

    /// Also this user may be the client of this [server](Builder::server).
    #[must_use]
    pub fn allow_user(mut self, uid: u32) -> Self {
        self.users.allow(uid);
        self
    }

    /// Any user may be the client of this [server](Builder::server).
    #[must_use]
    pub fn allow_any_user(self) -> Self {
        Self { users: Users::Any, ..self }
    }

    /// How to prove who this is, in this order; all ways if nothing is said. On the [server](Builder::server)'s
    /// end: by what the client may; all ways but [`Mechanism::Anonymous`] if nothing is said.
    #[must_use]
    pub fn mechanisms(self, mechanisms: &[Mechanism]) -> Self {
        Self { mechanisms: Some(mechanisms.to_vec()), ..self }
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

    /// Serves `interface` at `path`, from before the program has its names, or the other end can call.
    ///
    /// # Errors
    /// It is no object path (protocol.md A024).
    pub fn serve_at<'p, P, I>(mut self, path: P, interface: I) -> Result<Self>
    where
        P: TryInto<ObjectPath<'p>, Error: Into<Error>>,
        I: Interface<S>,
    {
        let path = path.try_into().map_err(Into::into)?.as_str().to_owned();
        self.objects.0.push(Box::new(move |server| server.place(&path, interface)));
        Ok(self)
    }

    #[cfg(feature = "async")]
    pub(crate) fn serve_by_program(self, is_served_by_program: bool) -> Self {
        Self { is_served_by_program, ..self }
    }

    /// Waits for a bus that is not there yet: as long as nobody answers at any of its addresses they are tried
    /// again, first after 10 ms, then after pauses twice as long each, 500 ms at most, for `timeout`. Who listens there
    /// and says nothing is waited for 25 s at most ([`Builder::call_timeout`], if that is less), and tried again. What waiting cannot mend is an error at once; when
    /// the time is over it is [`Error::GaveUp`].
    ///
    /// Without this each step of connecting has the time of a call, 25 s: to be let in, to prove who this is, and to be
    /// welcomed by the bus.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// # #[cfg(feature = "blocking")]
    /// # fn main() -> libbus::Result<()> {
    /// use libbus::blocking::Builder;
    ///
    /// let bus = Builder::system()?.wait_for_bus(Duration::from_secs(30)).build()?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "blocking"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn wait_for_bus(self, timeout: Duration) -> Self {
        Self { waits: Some(timeout), ..self }
    }

    /// Makes the connection again when it is lost, since the bus has ended or closed it.
    ///
    /// Whoever waits next for something on the connection does so (no thread is started for it); calls wait until
    /// it is there again. Then the program has again: the match rules of its streams, watches and kept
    /// properties, its names, as far as nobody else has them by then, and the objects that it serves. It is told
    /// what it may have missed:
    ///
    /// * a call that was under way fails with [`Error::CallLost`];
    /// * a stream has [`Error::Interrupted`] as an item, once, and goes on; one about a program by its unique name
    ///   ends with [`Error::SenderGone`];
    /// * a stream of a property has a change, whose value is asked for; kept values are asked for anew;
    /// * a watched name's owner is told anew, even if it is called the same, which means nothing on another bus;
    /// * of a set of peers all are gone, and managed objects are asked for anew;
    /// * an owned name is lost, and had again; where it is not, since somebody else has it and it is not waited
    ///   for, what is next is [`Error::NameTaken`].
    ///
    /// The program has another unique name then. Unique names of others are of the bus on which they were learned:
    /// what is sent to one after that may reach somebody else. Of the address the `guid` holds for the first
    /// connection alone: a bus that is started again has another one. When it is given up, all fails with
    /// [`Error::GaveUp`]; after [`Connection::close`] there is no other try. What cannot be made again, since it is a
    /// [monitor](super::monitor::Monitor)'s, a [server](Builder::server)'s or to no address, is not made at all
    /// ([`Error::CannotReconnect`]).
    ///
    /// ```no_run
    /// # #[cfg(feature = "blocking")]
    /// # fn main() -> libbus::Result<()> {
    /// use libbus::{Error, Reconnect, blocking::Builder};
    ///
    /// let bus = Builder::session()?.reconnect(Reconnect::default()).build()?;
    /// for signal in bus.receive_signals("interface='org.example.Greeter'")? {
    ///     match signal {
    ///         Ok(signal) => println!("{signal:?}"),
    ///         Err(Error::Interrupted) => println!("there was a gap: what is known is to be asked for anew"),
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "blocking"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn reconnect(self, how: Reconnect) -> Self {
        Self { reconnects: Some(how), ..self }
    }

    /// Ends the program with status 1 when the other end closes the connection or it fails, as is usual for programs
    /// of a user's session: as soon as whoever waits or serves notices. To end otherwise, wait for
    /// [`Connection::closed`].
    #[must_use]
    pub fn exit_on_disconnect(self, is_wanted: bool) -> Self {
        Self { exits_on_disconnect: is_wanted, ..self }
    }

    /// Longest message to take, in bytes; 128 MiB if nothing is said (protocol.md A037).
    #[must_use]
    pub fn message_size_max(self, message_size_max: u32) -> Self {
        Self { message_size_max, ..self }
    }

    /// How long its calls wait for their replies of which nothing else is said ([`MethodCall::timeout`],
    /// [`Proxy::timeout`]), and what this library itself asks the bus, such as for a name; signals wait no longer to
    /// leave, nor does any step of connecting. 25 s if nothing is said; [`Duration::MAX`] is for ever.
    ///
    /// [`MethodCall::timeout`]: super::call::MethodCall::timeout
    /// [`Proxy::timeout`]: super::proxy::Proxy::timeout
    #[must_use]
    pub fn call_timeout(self, call_timeout: Duration) -> Self {
        Self { call_timeout, ..self }
    }

    /// # Errors
    /// A connection that comes back cannot be a monitor's: what it missed would look like silence.
    pub(crate) fn for_monitor(self) -> Result<Self> {
        match self.reconnects {
            None => Ok(Self { monitors: true, ..self }),
            Some(_) => Err(Error::CannotReconnect("a monitor's connection")),
        }
    }

    /// # Errors
    /// The connection is to be made again when it is lost, and cannot be.
    fn check_reconnecting(&self) -> Result<()> {
        if self.reconnects.is_none() {
            return Ok(());
        }
        Err(Error::CannotReconnect(match (&self.target, &self.server) {
            (_, Some(_)) => "the server's end of a connection",
            (Target::Socket(_) | Target::Inherited(_), None) => "a connection to no address",
            (Target::Addresses(_) | Target::Remote(_), None) => return Ok(()),
        }))
    }

    pub(crate) async fn connect(self) -> Result<Connection<S>> {
        self.check_reconnecting()?;
        let call_timeout = self.call_timeout;
        let Self { target, mechanisms, is_bus, server, users, names, message_size_max, .. } = self;
        let (mut uid, mut tries) = (Some(own_uid()), self.waits.map(Tries::waiting));
        let mut route = None;
        let (socket, guid) = match target {
            Target::Socket(socket) => (Socket::new(socket)?, None),
            Target::Inherited(name) => (connected(name.as_deref())?, None),
            Target::Addresses(addresses) => {
                let socket = wait_for_one::<S>(&addresses, &mut tries, call_timeout).await?;
                route = Some(addresses);
                socket
            }
            Target::Remote(address) => {
                uid = None;
                let socket = wait_for_one::<S>(&address, &mut tries, call_timeout).await?;
                route = Some(address);
                socket
            }
        };
        let mut config_again = None;
        let state = match server {
            Some(guid) => ServerRole { guid, users, mechanisms, message_size_max }.begin(&socket),
            None => {
                let mechanisms = mechanisms.unwrap_or_else(|| Mechanism::ALL.to_vec());
                let auth = ClientAuthConfig { mechanisms, uid, unix_fds: true, guid };
                let machine_id = machine_id();
                let config = ConnectionConfig { auth, machine_id, message_size_max };
                // A bus that is started again has another GUID.
                let auth = ClientAuthConfig { guid: None, ..config.auth.clone() };
                config_again = Some(ConnectionConfig { auth, ..config.clone() });
                ConnectionState::new(config)?
            }
        };
        let route = route.zip(config_again);
        let route = route.map(|(addresses, config)| Route { addresses, config, is_bus });
        let connection = Connection::new(Link::new(socket, state)?.with_call_timeout(call_timeout));
        connection.link().lock().is_on_bus = is_bus;
        if self.monitors {
            connection.link().lock().connection.begin_monitoring();
        }
        let is_serving = !self.objects.0.is_empty();
        for serve in self.objects.0 {
            serve(&connection.object_server());
        }
        while let Err(error) = be_welcomed(&connection, is_bus, tries.as_ref()).await {
            let (Some(route), Some(waiting)) = (&route, &mut tries) else { return Err(error) };
            // A bus that ends or begins just now, or who is none.
            S::pause(waiting.note_failure(error)?).await;
            let (socket, guid) =
                wait_for_one::<S>(&route.addresses, &mut tries, call_timeout).await?;
            let mut config = route.config.clone();
            config.auth.guid = guid;
            let mut state = ConnectionState::new(config)?;
            if self.monitors {
                state.begin_monitoring();
            }
            if is_serving {
                state.serve();
            }
            connection.link().begin_anew(S::prepare(socket)?, state);
        }
        if let Some((route, policy)) = route.zip(self.reconnects) {
            connection.link().reconnect(route, policy);
        }
        if self.is_served_by_program {
            S::leave_serving(connection.tasks());
        }
        if is_serving {
            S::begin_serving(&connection)?;
        }
        for name in names {
            let flags = RequestNameFlags { do_not_queue: true, ..Default::default() };
            let request = connection.link().request_name(WellKnownName::parse(&name)?, flags);
            if request.await? == RequestNameReply::Exists {
                return Err(Error::NameTaken);
            }
        }
        connection.link().lock().exits = self.exits_on_disconnect;
        Ok(connection)
    }
}

/// Proves who this is and, on a bus, says Hello: each in the time that there is for it.
async fn be_welcomed<S: Style>(
    connection: &Connection<S>,
    is_bus: bool,
    tries: Option<&Tries>,
) -> Result<()> {
    let time = || time_of(tries, connection.link().call_timeout());
    authenticate(connection.link(), time()).await?;
    if is_bus {
        let call = bus_call("Hello").timeout(Some(time()));
        let hello = connection.link().call(&call, &()).await?;
        connection.set_unique_name(hello.deserialize()?);
    }
    Ok(())
}

async fn authenticate<S: Style>(link: &Arc<Link<S>>, time: Duration) -> Result<()> {
    enum Step {
        Done,
        Cookie(CookieWanted),
    }
    let deadline = Deadline::after(Some(time));
    loop {
        link.write_some(&mut link.lock());
        let next = |shared: &mut Shared| match shared.connection.cookie_wanted() {
            Some(wanted) => Some(Step::Cookie(wanted.clone())),
            None => shared.connection.is_authenticated().then_some(Step::Done),
        };
        match S::wait(link, next, deadline).await? {
            Step::Done => return Ok(()),
            Step::Cookie(wanted) => {
                let found = find_cookie::<S>(wanted).await?;
                found.tell(&mut link.lock().connection)?;
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
