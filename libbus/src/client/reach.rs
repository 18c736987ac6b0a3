//! Connecting to an address, without keeping others waiting, and in time (protocol.md A102–A114).
//!
//! No socket waits by itself: what is under way is waited for as the style does, and where a listener lets in nobody
//! for now it is asked again after pauses. Who does not answer leaves the addresses after it their share of the time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::SocketAddrUnix;

use super::error::{Error, Result};
use super::link::Style;
use crate::address::{Address, ConnectAddress, Family};
use crate::guid::Guid;
use crate::host::tcp;
use crate::transport::{Socket, begin_tcp, connect_unix, end_tcp, read_nonce, say_nonce, start};

/// The first pause before a listener is asked again that lets in nobody for now; each further one is twice as long.
const FULL_PAUSE_MIN: Duration = Duration::from_millis(5);
/// No such pause is longer.
const FULL_PAUSE_MAX: Duration = Duration::from_millis(100);

/// How long something may take.
#[derive(Clone, Copy)]
struct Limit {
    start: Instant,
    time: Duration,
}

impl Limit {
    fn new(time: Duration) -> Self {
        Self { start: Instant::now(), time }
    }

    fn left(self) -> Duration {
        self.time.saturating_sub(self.start.elapsed())
    }

    /// What the next of so many may take.
    fn share(self, count: usize) -> Self {
        Self::new(self.left() / u32::try_from(count).unwrap_or(u32::MAX).max(1))
    }
}

pub(super) fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nobody answers in time")
}

/// Connects to the first address of a list that can be reached, in so much time. The GUID is that of the address.
///
/// # Errors
/// None can be.
pub(super) async fn connect_to_one<S: Style>(
    addresses: &str,
    time: Duration,
) -> Result<(Socket, Option<Guid>)> {
    let limit = Limit::new(time);
    let mut failure = None;
    let list = Address::parse_list(addresses)?;
    let count = list.len();
    for (index, address) in list.into_iter().enumerate() {
        let connected = match address.connect() {
            Ok(target) => connect_to::<S>(target, limit.share(count - index)).await,
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        match connected {
            Ok(socket) => return Ok((socket, address.guid()?)),
            Err(error) => keep_failure(&mut failure, address.to_string(), error),
        }
    }
    let none = || io::Error::new(io::ErrorKind::NotFound, "there is no address");
    let (address, error) = failure.unwrap_or_else(|| (addresses.to_owned(), none()));
    Err(Error::Connect { address, error: Arc::new(error) })
}

/// Of several failures the last is told, but of those that waiting may mend, if one is such.
fn keep_failure<T>(kept: &mut Option<(T, io::Error)>, of: T, error: io::Error) {
    if kept.as_ref().is_none_or(|(_, kept)| can_be_mended(&error) || !can_be_mended(kept)) {
        *kept = Some((of, error));
    }
}

/// Whether another try may go better.
pub(super) fn can_be_mended(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::Other
    )
}

async fn connect_to<S: Style>(address: ConnectAddress, limit: Limit) -> io::Result<Socket> {
    let unsupported = |transport| {
        let text = format!("there is no {transport} on this system");
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    };
    match address {
        ConnectAddress::UnixPath(path) => {
            connect_to_unix::<S>(&SocketAddrUnix::new(path)?, limit).await
        }
        ConnectAddress::UnixAbstract(name) => {
            connect_to_unix::<S>(&SocketAddrUnix::new_abstract_name(&name)?, limit).await
        }
        ConnectAddress::UnixExec { path, argv } => start(&path, &argv),
        ConnectAddress::Tcp { host, port, family } => {
            say_nonce(connect_tcp::<S>(host, port.get(), family, limit).await?, b"")
        }
        ConnectAddress::NonceTcp { host, port, family, nonce_file } => {
            let nonce = S::unblock(move || read_nonce(&nonce_file)).await??;
            say_nonce(connect_tcp::<S>(host, port.get(), family, limit).await?, &nonce)
        }
        ConnectAddress::Autolaunch { .. } => unsupported("autolaunch:"),
        ConnectAddress::Launchd { .. } => unsupported("launchd:"),
    }
}

/// To a socket that may let in nobody for now.
async fn connect_to_unix<S: Style>(address: &SocketAddrUnix, limit: Limit) -> io::Result<Socket> {
    let mut pause = FULL_PAUSE_MIN;
    loop {
        if let Some(socket) = connect_unix(address)? {
            return Ok(socket);
        }
        let left = limit.left();
        if left.is_zero() {
            return Err(late());
        }
        S::pause(pause.min(left)).await;
        pause = pause.saturating_mul(2).min(FULL_PAUSE_MAX);
    }
}

/// The first address of a host that answers.
async fn connect_tcp<S: Style>(
    host: String,
    port: u16,
    family: Option<Family>,
    limit: Limit,
) -> io::Result<OwnedFd> {
    let addresses = look_up::<S>(host, port, family, limit).await?;
    let count = addresses.len();
    let mut failure = None;
    for (index, address) in addresses.iter().enumerate() {
        match connect_to_ip::<S>(address, limit.share(count - index)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => keep_failure(&mut failure, (), error),
        }
    }
    Err(failure.map_or_else(|| io::ErrorKind::NotFound.into(), |((), error)| error))
}

/// What is no name is not looked up.
async fn look_up<S: Style>(
    host: String,
    port: u16,
    family: Option<Family>,
    limit: Limit,
) -> io::Result<Vec<SocketAddr>> {
    if host.parse::<IpAddr>().is_ok() {
        return tcp::addresses(&host, port, family);
    }
    S::unblock_within(move || tcp::addresses(&host, port, family), limit.left()).await?
}

async fn connect_to_ip<S: Style>(address: &SocketAddr, limit: Limit) -> io::Result<OwnedFd> {
    let connected = S::until_connected(begin_tcp(address)?, limit.left()).await?;
    end_tcp(connected.ok_or_else(late)?)
}
