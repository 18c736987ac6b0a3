//! What an address means: where to listen, where to connect (protocol.md A101–A114).

use std::num::NonZeroU16;

use super::{Address, AddressError};

/// Where a bus can listen. Paths are bytes without NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A socket at this path (protocol.md A102).
    UnixPath(Vec<u8>),
    /// A socket of this name outside the file system, Linux only (protocol.md A105).
    UnixAbstract(Vec<u8>),
    /// A socket with a random name in this directory (protocol.md A103).
    UnixDir(Vec<u8>),
    /// As `UnixDir`; the directory is one for temporary files (protocol.md A104).
    UnixTmpdir(Vec<u8>),
    /// The socket `bus` in the user's runtime directory (protocol.md A106).
    UnixRuntime,
    /// The sockets that the service manager hands over (protocol.md A109).
    Systemd,
    /// TCP (protocol.md A111, A112).
    Tcp {
        /// The interface to listen on, `*` for all; `host` if not given.
        bind: Option<String>,
        /// The name that clients use; `localhost` if the address does not say it.
        host: String,
        /// 0: any free port.
        port: u16,
        /// IPv4 or IPv6 only.
        family: Option<Family>,
        /// Whether clients must first send the content of a file (`nonce-tcp:`). A `noncefile` in
        /// the address has no meaning for a server, which always writes a new one.
        nonce: bool,
    },
}

/// Where a client can connect. Paths are bytes without NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectAddress {
    /// A socket at this path (protocol.md A102).
    UnixPath(Vec<u8>),
    /// A socket of this name outside the file system, Linux only (protocol.md A105).
    UnixAbstract(Vec<u8>),
    /// A program to start, its standard input and output being the connection (protocol.md A110).
    UnixExec {
        /// The program, searched for as a shell would.
        path: Vec<u8>,
        /// Its arguments, beginning with the name it is told to have.
        argv: Vec<Vec<u8>>,
    },
    /// TCP (protocol.md A111).
    Tcp {
        /// A DNS name or an IP address.
        host: String,
        /// The server's port.
        port: NonZeroU16,
        /// IPv4 or IPv6 only.
        family: Option<Family>,
    },
    /// TCP; the client first sends the content of a file (protocol.md A112).
    NonceTcp {
        /// A DNS name or an IP address.
        host: String,
        /// The server's port.
        port: NonZeroU16,
        /// IPv4 or IPv6 only.
        family: Option<Family>,
        /// The file.
        nonce_file: Vec<u8>,
    },
    /// Finding or starting the session bus of the X11 display (protocol.md A114).
    Autolaunch {
        /// Which of several buses, on Windows.
        scope: Option<String>,
    },
    /// The socket whose path launchd holds in a variable (protocol.md A113).
    Launchd {
        /// The variable's name.
        env: String,
    },
}

/// The version of IP that an address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// The keys of a unix address of which there must be exactly one (protocol.md A107).
const UNIX_KEYS: [&str; 5] = ["path", "abstract", "dir", "tmpdir", "runtime"];

impl Address {
    /// Where a bus that has this address listens.
    pub fn listen(&self) -> Result<ListenAddress, AddressError> {
        match self.transport.as_str() {
            "unix" => self.listen_unix(),
            "systemd" => Ok(ListenAddress::Systemd),
            "tcp" => self.listen_tcp(false),
            "nonce-tcp" => self.listen_tcp(true),
            "unixexec" => Err(AddressError::NotListenable("unixexec")),
            "launchd" => Err(AddressError::NotListenable("launchd")),
            "autolaunch" => Err(AddressError::NotListenable("autolaunch")),
            _ => Err(AddressError::UnknownTransport(self.transport.clone())),
        }
    }

    /// Where a client that has this address connects to.
    pub fn connect(&self) -> Result<ConnectAddress, AddressError> {
        match self.transport.as_str() {
            "unix" => self.connect_unix(),
            "unixexec" => self.connect_exec(),
            "tcp" => self.connect_tcp(),
            "nonce-tcp" => self.connect_nonce_tcp(),
            "autolaunch" => Ok(ConnectAddress::Autolaunch { scope: self.owned_text("scope")? }),
            "launchd" => {
                self.owned_text("env")?.map(|env| ConnectAddress::Launchd { env }).required("env")
            }
            "systemd" => Err(AddressError::NotConnectable("systemd")),
            _ => Err(AddressError::UnknownTransport(self.transport.clone())),
        }
    }

    fn listen_unix(&self) -> Result<ListenAddress, AddressError> {
        match self.unix_key()? {
            ("path", _) => Ok(ListenAddress::UnixPath(self.path("path")?)),
            ("dir", _) => Ok(ListenAddress::UnixDir(self.path("dir")?)),
            ("tmpdir", _) => Ok(ListenAddress::UnixTmpdir(self.path("tmpdir")?)),
            ("abstract", name) => Ok(ListenAddress::UnixAbstract(name.to_vec())),
            (_, b"yes") => Ok(ListenAddress::UnixRuntime),
            _ => Err(AddressError::InvalidValue("runtime")),
        }
    }

    fn connect_unix(&self) -> Result<ConnectAddress, AddressError> {
        match self.unix_key()? {
            ("path", _) => Ok(ConnectAddress::UnixPath(self.path("path")?)),
            ("abstract", name) => Ok(ConnectAddress::UnixAbstract(name.to_vec())),
            ("dir", _) => Err(AddressError::NotConnectable("unix:dir=")),
            ("tmpdir", _) => Err(AddressError::NotConnectable("unix:tmpdir=")),
            _ => Err(AddressError::NotConnectable("unix:runtime=")),
        }
    }

    fn unix_key(&self) -> Result<(&'static str, &[u8]), AddressError> {
        let mut given = UNIX_KEYS.into_iter().filter_map(|key| Some((key, self.get(key)?)));
        let found = given.next().required("path, abstract, dir, tmpdir, runtime")?;
        match given.next() {
            None => Ok(found),
            Some((other, _)) => Err(AddressError::ConflictingKeys(found.0, other)),
        }
    }

    fn listen_tcp(&self, nonce: bool) -> Result<ListenAddress, AddressError> {
        Ok(ListenAddress::Tcp {
            bind: self.owned_text("bind")?,
            host: self.owned_text("host")?.unwrap_or_else(|| "localhost".to_owned()),
            port: self.port()?.unwrap_or(0),
            family: self.family()?,
            nonce,
        })
    }

    fn connect_tcp(&self) -> Result<ConnectAddress, AddressError> {
        let host = self.owned_text("host")?.required("host")?;
        Ok(ConnectAddress::Tcp { host, port: self.connect_port()?, family: self.family()? })
    }

    fn connect_nonce_tcp(&self) -> Result<ConnectAddress, AddressError> {
        Ok(ConnectAddress::NonceTcp {
            host: self.owned_text("host")?.required("host")?,
            port: self.connect_port()?,
            family: self.family()?,
            nonce_file: self.path("noncefile")?,
        })
    }

    fn connect_exec(&self) -> Result<ConnectAddress, AddressError> {
        let path = self.path("path")?;
        let program_name = self.get("argv0").unwrap_or(&path).to_vec();
        // protocol.md A110: the arguments end at the first gap.
        let arguments =
            (1..).map_while(|index| self.get(&format!("argv{index}"))).map(<[u8]>::to_vec);
        let argv: Vec<_> = std::iter::once(program_name).chain(arguments).collect();
        if argv.iter().any(|argument| argument.contains(&0)) {
            return Err(AddressError::InvalidValue("argvN"));
        }
        Ok(ConnectAddress::UnixExec { path, argv })
    }

    /// The value of a key that must be there and name a file.
    fn path(&self, key: &'static str) -> Result<Vec<u8>, AddressError> {
        let path = self.get(key).required(key)?;
        // deviation: the reference cuts such a path at its NUL and uses the rest.
        if path.contains(&0) { Err(AddressError::InvalidValue(key)) } else { Ok(path.to_vec()) }
    }

    fn owned_text(&self, key: &'static str) -> Result<Option<String>, AddressError> {
        Ok(self.text(key)?.map(str::to_owned))
    }

    fn port(&self) -> Result<Option<u16>, AddressError> {
        let Some(text) = self.text("port")? else { return Ok(None) };
        // deviation: the reference leaves the number to the resolver, for which 99999 is 34463.
        let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
        let port = text.parse().ok().filter(|_| digits_only);
        port.map(Some).ok_or(AddressError::InvalidValue("port"))
    }

    fn connect_port(&self) -> Result<NonZeroU16, AddressError> {
        NonZeroU16::new(self.port()?.required("port")?).ok_or(AddressError::InvalidValue("port"))
    }

    fn family(&self) -> Result<Option<Family>, AddressError> {
        match self.get("family") {
            None => Ok(None),
            Some(b"ipv4") => Ok(Some(Family::Ipv4)),
            Some(b"ipv6") => Ok(Some(Family::Ipv6)),
            Some(_) => Err(AddressError::InvalidValue("family")),
        }
    }
}

trait Required<T> {
    fn required(self, key: &'static str) -> Result<T, AddressError>;
}

impl<T> Required<T> for Option<T> {
    fn required(self, key: &'static str) -> Result<T, AddressError> {
        self.ok_or(AddressError::MissingKey(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str, expected: Result<ListenAddress, AddressError>) {
        assert_eq!(Address::parse(text).and_then(|address| address.listen()), expected, "{text:?}");
    }

    fn connect(text: &str, expected: Result<ConnectAddress, AddressError>) {
        assert_eq!(
            Address::parse(text).and_then(|address| address.connect()),
            expected,
            "{text:?}"
        );
    }

    fn tcp(bind: Option<&str>, host: &str, port: u16, family: Option<Family>) -> ListenAddress {
        let (bind, host) = (bind.map(str::to_owned), host.to_owned());
        ListenAddress::Tcp { bind, host, port, family, nonce: false }
    }

    fn port(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).expect("not zero")
    }

    #[test]
    fn a_bus_listens_on_unix_sockets() {
        // protocol.md A102-A106, A109
        listen("unix:path=/a%20b", Ok(ListenAddress::UnixPath(b"/a b".to_vec())));
        listen("unix:path=/a,x=y", Ok(ListenAddress::UnixPath(b"/a".to_vec())));
        listen("unix:abstract=a%00b", Ok(ListenAddress::UnixAbstract(b"a\0b".to_vec())));
        listen("unix:dir=/a", Ok(ListenAddress::UnixDir(b"/a".to_vec())));
        listen("unix:tmpdir=/a", Ok(ListenAddress::UnixTmpdir(b"/a".to_vec())));
        listen("unix:runtime=yes", Ok(ListenAddress::UnixRuntime));
        listen("systemd:", Ok(ListenAddress::Systemd));
        listen("unix:runtime=no", Err(AddressError::InvalidValue("runtime")));
        listen("unix:path=/%00a", Err(AddressError::InvalidValue("path")));
        listen("unix:dir=/%00a", Err(AddressError::InvalidValue("dir")));
        listen("unix:tmpdir=/%00a", Err(AddressError::InvalidValue("tmpdir")));
    }

    #[test]
    fn a_unix_address_has_exactly_one_place() {
        // protocol.md A107
        let missing = AddressError::MissingKey("path, abstract, dir, tmpdir, runtime");
        listen("unix:", Err(missing.clone()));
        connect("unix:guid=0", Err(missing));
        listen("unix:path=/a,dir=/b", Err(AddressError::ConflictingKeys("path", "dir")));
        listen(
            "unix:runtime=yes,tmpdir=/b",
            Err(AddressError::ConflictingKeys("tmpdir", "runtime")),
        );
        connect("unix:abstract=a,path=/b", Err(AddressError::ConflictingKeys("path", "abstract")));
    }

    #[test]
    fn a_bus_listens_on_tcp() {
        // protocol.md A111, A112
        listen("tcp:", Ok(tcp(None, "localhost", 0, None)));
        listen("tcp:host=h,port=65535", Ok(tcp(None, "h", 65535, None)));
        listen("tcp:host=h,bind=*,family=ipv4", Ok(tcp(Some("*"), "h", 0, Some(Family::Ipv4))));
        listen("tcp:host=%3a%3a1,family=ipv6", Ok(tcp(None, "::1", 0, Some(Family::Ipv6))));
        listen("tcp:port=65536", Err(AddressError::InvalidValue("port")));
        listen("tcp:port=%2b1", Err(AddressError::InvalidValue("port")));
        listen("tcp:port=x", Err(AddressError::InvalidValue("port")));
        listen("tcp:host=%ff", Err(AddressError::InvalidValue("host")));
        listen("tcp:family=ipx", Err(AddressError::InvalidValue("family")));
        let (bind, host) = (None, "h".to_owned());
        let nonce = ListenAddress::Tcp { bind, host, port: 1, family: None, nonce: true };
        listen("nonce-tcp:host=h,port=1,noncefile=/n", Ok(nonce));
    }

    #[test]
    fn a_client_connects_to_sockets() {
        // protocol.md A102, A105, A111, A112
        let host = || "h".to_owned();
        connect("unix:path=/a", Ok(ConnectAddress::UnixPath(b"/a".to_vec())));
        connect("unix:abstract=a", Ok(ConnectAddress::UnixAbstract(b"a".to_vec())));
        let tcp = ConnectAddress::Tcp { host: host(), port: port(9), family: None };
        connect("tcp:host=h,port=9", Ok(tcp));
        connect("tcp:port=9", Err(AddressError::MissingKey("host")));
        connect("tcp:host=h", Err(AddressError::MissingKey("port")));
        connect("tcp:host=h,port=0", Err(AddressError::InvalidValue("port")));
        let nonce_file = b"/n".to_vec();
        let family = Some(Family::Ipv6);
        let nonce = ConnectAddress::NonceTcp { host: host(), port: port(9), family, nonce_file };
        connect("nonce-tcp:host=h,port=9,family=ipv6,noncefile=/n", Ok(nonce));
        connect("nonce-tcp:host=h,port=9", Err(AddressError::MissingKey("noncefile")));
        connect("nonce-tcp:port=9", Err(AddressError::MissingKey("host")));
    }

    #[test]
    fn a_client_starts_a_program() {
        // protocol.md A110
        let exec = |argv: &[&str]| ConnectAddress::UnixExec {
            path: b"ssh".to_vec(),
            argv: argv.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
        };
        connect("unixexec:path=ssh", Ok(exec(&["ssh"])));
        connect("unixexec:path=ssh,argv0=x,argv2=c,argv1=b", Ok(exec(&["x", "b", "c"])));
        connect("unixexec:path=ssh,argv1=b,argv3=d", Ok(exec(&["ssh", "b"])));
        connect("unixexec:argv0=x", Err(AddressError::MissingKey("path")));
        connect("unixexec:path=ssh,argv1=%00", Err(AddressError::InvalidValue("argvN")));
    }

    #[test]
    fn a_client_asks_the_desktop() {
        // protocol.md A113, A114
        connect("autolaunch:", Ok(ConnectAddress::Autolaunch { scope: None }));
        let scope = Some("*user".to_owned());
        connect("autolaunch:scope=*user", Ok(ConnectAddress::Autolaunch { scope }));
        connect("launchd:env=V", Ok(ConnectAddress::Launchd { env: "V".to_owned() }));
        connect("launchd:", Err(AddressError::MissingKey("env")));
    }

    #[test]
    fn some_addresses_are_for_one_side_only() {
        // protocol.md A103, A104, A106, A109, A110, A113, A114
        for kind in ["unixexec", "launchd", "autolaunch"] {
            listen(&format!("{kind}:"), Err(AddressError::NotListenable(kind)));
        }
        connect("systemd:", Err(AddressError::NotConnectable("systemd")));
        connect("unix:dir=/a", Err(AddressError::NotConnectable("unix:dir=")));
        connect("unix:tmpdir=/a", Err(AddressError::NotConnectable("unix:tmpdir=")));
        connect("unix:runtime=yes", Err(AddressError::NotConnectable("unix:runtime=")));
    }

    #[test]
    fn unknown_transports_are_named() {
        let unknown = || AddressError::UnknownTransport("UNIX".to_owned());
        listen("UNIX:path=/a", Err(unknown()));
        connect("UNIX:path=/a", Err(unknown()));
    }
}
