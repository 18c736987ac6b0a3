//! Connecting to an address, without keeping others waiting (protocol.md A102–A114).

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use super::error::{Error, Result};
use super::link::Style;
use crate::address::{Address, ConnectAddress, Family};
use crate::guid::Guid;
use crate::transport::{Socket, one_of, read_nonce, say_nonce, wanted};

/// Connects to the first address of a list that can be reached. The GUID is that of the address.
///
/// # Errors
/// None can be.
pub(super) async fn connect_to_one<S: Style>(addresses: &str) -> Result<(Socket, Option<Guid>)> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "there is no address");
    let mut failure = (addresses.to_owned(), none());
    for address in Address::parse_list(addresses)? {
        let connected = match address.connect() {
            Ok(target) => connect_to::<S>(target).await,
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        match connected {
            Ok(socket) => return Ok((socket, address.guid()?)),
            Err(error) => failure = (address.to_string(), error),
        }
    }
    let (address, error) = failure;
    Err(Error::Connect { address, error: Arc::new(error) })
}

async fn connect_to<S: Style>(address: ConnectAddress) -> io::Result<Socket> {
    match address {
        ConnectAddress::Tcp { host, port, family } => {
            say_nonce(connect_tcp::<S>(host, port.get(), family).await?, b"")
        }
        ConnectAddress::NonceTcp { host, port, family, nonce_file } => {
            let nonce = S::unblock(move || read_nonce(&nonce_file)).await??;
            say_nonce(connect_tcp::<S>(host, port.get(), family).await?, &nonce)
        }
        address => Socket::connect(&address),
    }
}

/// The first address of a host that answers.
async fn connect_tcp<S: Style>(
    host: String,
    port: u16,
    family: Option<Family>,
) -> io::Result<TcpStream> {
    let name = host.clone();
    let addresses = S::unblock(move || wanted(&name, port, family)).await??;
    let mut failure = None;
    for address in addresses {
        match S::connect_tcp(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    one_of(&host, failure).and_then(Err)
}
