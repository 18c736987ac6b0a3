//! The server's end of many connections without a bus (tools.md D078).
//!
//! Whoever connects has a handshake of its own, and one that says nothing holds up nobody: all of them go on
//! side by side, each for [`HANDSHAKE_TIME`] at most. Where [`HANDSHAKES_MAX`] are under way, the oldest gives its place
//! to who comes.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::{Error, Result};
use super::link::{Link, Style};
use super::server_role::{ServerRole, Users, find_cookie};
use crate::address::Address;
use crate::auth::Mechanism;
use crate::auth::cookie::equal_in_constant_time;
use crate::connection::ConnectionState;
use crate::guid::Guid;
use crate::host::tcp::NONCE_SIZE;
use crate::limits::MESSAGE_SIZE_MAX;
use crate::names::ObjectPath;
use crate::server::{Interface, ObjectServer};
use crate::transport::{Door, Interest, Opened, Patience, Socket, accept, bind, listening, opened};

/// Handshakes that are under way at once.
const HANDSHAKES_MAX: usize = 64;
/// How long one may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(25);

/// How a [`Listener`] is made; `listen` of its style makes it.
pub struct ListenerBuilder<S: Style> {
    place: Place,
    mechanisms: Option<Vec<Mechanism>>,
    users: Users,
    message_size_max: u32,
    objects: Vec<Serve<S>>,
}

#[derive(Debug)]
enum Place {
    Addresses(String),
    Socket(OwnedFd),
    /// Those that were handed over.
    Inherited(Option<String>),
}

/// Serves one object to a client.
type Serve<S> = Box<dyn Fn(&ObjectServer<S>) + Send + Sync>;

impl<S: Style> ListenerBuilder<S> {
    /// Listens at the first address of a list that works: `unix:path=…`, `unix:abstract=…`, `unix:dir=…`,
    /// `unix:tmpdir=…`, `unix:runtime=yes`, `tcp:…`, `nonce-tcp:…` or `systemd:` (protocol.md A102–A112).
    ///
    /// # Errors
    /// One of them is written wrong, or is none to listen at.
    pub fn address(addresses: &str) -> Result<Self> {
        for address in Address::parse_list(addresses)? {
            address.listen()?;
        }
        Ok(Self::new(Place::Addresses(addresses.to_owned())))
    }

    /// A socket that listens already.
    pub fn socket(socket: impl Into<OwnedFd>) -> Self {
        Self::new(Place::Socket(socket.into()))
    }

    /// The listening sockets of this name that a service manager hands over (`LISTEN_FDS`, `LISTEN_FDNAMES`), or
    /// all of them if no name is said (protocol.md A109).
    ///
    /// The listener has copies of them. The descriptors themselves stay open, close-on-exec from now on: who
    /// connects while nobody listens waits for the program's next start.
    pub fn inherited(name: Option<&str>) -> Self {
        Self::new(Place::Inherited(name.map(ToOwned::to_owned)))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            mechanisms: None,
            users: Users::Own(Vec::new()),
            message_size_max: MESSAGE_SIZE_MAX,
            objects: Vec::new(),
        }
    }

    /// By what a client may prove who it is; all ways but [`Mechanism::Anonymous`] if nothing is said.
    #[must_use]
    pub fn mechanisms(self, mechanisms: &[Mechanism]) -> Self {
        Self { mechanisms: Some(mechanisms.to_vec()), ..self }
    }

    /// Also this user may connect; without it, this program's own alone.
    #[must_use]
    pub fn allow_user(mut self, uid: u32) -> Self {
        self.users.allow(uid);
        self
    }

    /// Any user may connect.
    #[must_use]
    pub fn allow_any_user(self) -> Self {
        Self { users: Users::Any, ..self }
    }

    /// Longest message to take, in bytes; 128 MiB if nothing is said (protocol.md A037).
    #[must_use]
    pub fn message_size_max(self, message_size_max: u32) -> Self {
        Self { message_size_max, ..self }
    }

    /// Serves an object at `path` to each client, which `make` makes for it.
    ///
    /// # Errors
    /// It is no object path (protocol.md A024).
    pub fn serve_at<'p, P, I>(
        mut self,
        path: P,
        make: impl Fn() -> I + Send + Sync + 'static,
    ) -> Result<Self>
    where
        P: TryInto<ObjectPath<'p>, Error: Into<Error>>,
        I: Interface<S>,
    {
        let path = path.try_into().map_err(Into::into)?.as_str().to_owned();
        self.objects.push(Box::new(move |server| server.place(&path, make())));
        Ok(self)
    }

    pub(crate) async fn open(self) -> Result<Listener<S>> {
        let Self { place, mechanisms, users, message_size_max, objects } = self;
        let opened = match place {
            Place::Socket(socket) => vec![opened(socket)?],
            Place::Inherited(name) => {
                let sockets = listening(name.as_deref())?.into_iter();
                sockets.map(|socket| Ok(opened(socket)?)).collect::<Result<_>>()?
            }
            Place::Addresses(addresses) => S::unblock(move || bind_one(&addresses)).await??,
        };
        let role = ServerRole { guid: Guid::generate()?, users, mechanisms, message_size_max };
        let gates = opened.into_iter().map(Gate::new).collect::<Result<_>>()?;
        Ok(Listener { gates, role, objects, arriving: Vec::new() })
    }
}

/// The first address that works.
fn bind_one(addresses: &str) -> Result<Vec<Opened>> {
    let mut failure = Error::NoAddress("there is none to listen at".to_owned());
    for address in Address::parse_list(addresses)? {
        match bind(&address.listen()?) {
            Ok(opened) => return Ok(opened),
            Err(error) => {
                let address = address.to_string();
                failure = Error::Listen { address, error: Arc::new(error) };
            }
        }
    }
    Err(failure)
}

/// Lets clients connect to this program without a bus. When it is dropped nobody can connect any more, and the file
/// of its socket goes; connections stay.
pub struct Listener<S: Style> {
    gates: Vec<Gate<S>>,
    role: ServerRole,
    objects: Vec<Serve<S>>,
    arriving: Vec<Arriving<S>>,
}

/// A listening socket.
struct Gate<S: Style> {
    socket: S::Socket,
    door: Door,
}

impl<S: Style> Gate<S> {
    fn new((socket, door): Opened) -> Result<Self> {
        Ok(Self { socket: S::prepare(Socket::new(socket)?)?, door })
    }
}

/// A client whose handshake is under way.
struct Arriving<S: Style> {
    socket: S::Socket,
    connection: ConnectionState,
    since: Instant,
    /// What must come first, and has not come yet.
    nonce: Option<Nonce>,
}

struct Nonce {
    expected: [u8; NONCE_SIZE],
    read: [u8; NONCE_SIZE],
    count: usize,
}

/// How far a client has come.
enum Step {
    Waits,
    Done,
    Gone,
}

impl<S: Style> Listener<S> {
    /// Where clients connect to, separated by `;`, with the GUID that they are told (protocol.md A101).
    #[must_use]
    pub fn address(&self) -> String {
        let guid = self.role.guid.to_string();
        let full = |gate: &Gate<S>| gate.door.address.clone().with("guid", guid.as_str());
        let mut addresses: Vec<_> = self.gates.iter().map(|gate| full(gate).to_string()).collect();
        // That of a name which stands for several IP addresses is one.
        addresses.dedup();
        addresses.join(";")
    }

    /// The GUID that clients are told.
    #[must_use]
    pub const fn guid(&self) -> Guid {
        self.role.guid
    }

    /// The next client that has proved who it is.
    pub(crate) async fn next(&mut self) -> Result<Connection<S>> {
        loop {
            self.let_in()?;
            if let Some(index) = self.advance().await? {
                return self.welcome(index);
            }
            let now = Instant::now();
            let left = |client: &Arriving<S>| {
                HANDSHAKE_TIME.saturating_sub(now.saturating_duration_since(client.since))
            };
            let timeout = self.arriving.iter().map(left).min();
            let gates = self.gates.iter().map(|gate| (&gate.socket, Interest::Reading));
            let arriving = self.arriving.iter().map(Arriving::interest);
            let sockets: Vec<_> = gates.chain(arriving).collect();
            S::wait_for_any(&sockets, timeout).await?;
        }
    }

    /// Begins the handshakes of those who wait to be let in: as many as there may be, and the rest next time.
    fn let_in(&mut self) -> Result<()> {
        for gate in &self.gates {
            for _ in 0..HANDSHAKES_MAX {
                let Some(socket) = accept(gate.socket.as_ref())? else { break };
                // One who is gone already is not waited for.
                let Ok(socket) = Socket::new(socket) else { continue };
                let mut connection = self.role.begin(&socket);
                if !self.objects.is_empty() {
                    connection.serve();
                }
                if self.arriving.len() >= HANDSHAKES_MAX {
                    self.arriving.remove(0);
                }
                let nonce = gate.door.nonce.map(|expected| Nonce {
                    expected,
                    read: [0; NONCE_SIZE],
                    count: 0,
                });
                let (socket, since) = (S::prepare(socket)?, Instant::now());
                self.arriving.push(Arriving { socket, connection, since, nonce });
            }
        }
        Ok(())
    }

    /// Goes on with all handshakes. Answers which one is over.
    async fn advance(&mut self) -> Result<Option<usize>> {
        let mut index = 0;
        while let Some(client) = self.arriving.get_mut(index) {
            match client.advance().await? {
                Step::Waits if client.since.elapsed() < HANDSHAKE_TIME => index += 1,
                Step::Waits | Step::Gone => drop(self.arriving.remove(index)),
                Step::Done => return Ok(Some(index)),
            }
        }
        Ok(None)
    }

    fn welcome(&mut self, index: usize) -> Result<Connection<S>> {
        let Arriving { socket, connection, .. } = self.arriving.remove(index);
        let connection = Connection::new(Link::of_prepared(socket, connection));
        for serve in &self.objects {
            serve(&connection.object_server());
        }
        if !self.objects.is_empty() {
            S::begin_serving(&connection)?;
        }
        Ok(connection)
    }
}

impl<S: Style> Arriving<S> {
    fn interest(&self) -> (&S::Socket, Interest) {
        let is_blocked = !self.connection.next_write().0.is_empty();
        let interest = if is_blocked { Interest::ReadingAndWriting } else { Interest::Reading };
        (&self.socket, interest)
    }

    /// Takes in what has come, and says what is to be said.
    ///
    /// # Errors
    /// The system has no room to look for a cookie. The client is no worse off if that is tried again.
    async fn advance(&mut self) -> Result<Step> {
        loop {
            if let Some(wanted) = self.connection.cookie_wanted() {
                let found = find_cookie::<S>(wanted.clone()).await?;
                if found.tell(&mut self.connection).is_err() {
                    self.write();
                    return Ok(Step::Gone);
                }
            }
            self.write();
            if self.connection.is_authenticated() {
                return Ok(Step::Done);
            }
            let read = match &mut self.nonce {
                Some(nonce) => nonce.read(self.socket.as_ref()),
                None => read(self.socket.as_ref(), &mut self.connection),
            };
            match read {
                Step::Done if self.nonce.is_some() => self.nonce = None,
                Step::Done => {}
                Step::Waits => return Ok(Step::Waits),
                Step::Gone => {
                    self.write();
                    return Ok(Step::Gone);
                }
            }
        }
    }

    /// Writes what there is room for; that the other end is gone shows when it is read.
    fn write(&mut self) {
        loop {
            let bytes = self.connection.next_write().0;
            match self.socket.as_ref().send(bytes, &[]) {
                Ok(size) if size > 0 => self.connection.handle_written(size),
                _ => return,
            }
        }
    }
}

/// Reads what there is: something (`Done`), nothing yet (`Waits`), or the end.
fn read(socket: &Socket, connection: &mut ConnectionState) -> Step {
    let mut fds = Vec::new();
    match socket.receive(connection.read_space(), &mut fds, Patience::None) {
        Ok(None) => Step::Waits,
        Ok(Some(size)) if size > 0 && connection.handle_read(size, &mut fds).is_ok() => Step::Done,
        _ => Step::Gone,
    }
}

impl Nonce {
    /// Reads what is missing, and no more. It is right (`Done`), not all there yet (`Waits`), or wrong.
    fn read(&mut self, socket: &Socket) -> Step {
        let missing = self.read.get_mut(self.count..).unwrap_or_default();
        match socket.receive(missing, &mut Vec::new(), Patience::None) {
            Ok(None) => return Step::Waits,
            Ok(Some(size)) if size > 0 => self.count += size,
            _ => return Step::Gone,
        }
        match () {
            () if self.count < NONCE_SIZE => Step::Waits,
            () if equal_in_constant_time(&self.read, &self.expected) => Step::Done,
            () => Step::Gone,
        }
    }
}

impl<S: Style> fmt::Debug for Listener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl<S: Style> fmt::Debug for ListenerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerBuilder").field("place", &self.place).finish_non_exhaustive()
    }
}
