//! `bus stdio-bridge`: the bus on standard input and output, for `--host` of another machine (tools.md D015).
//!
//! Bytes are passed on as they are, both ways. The handshake is looked at for one thing: descriptors cannot go this
//! way, so a client that asks for them is told so here, and the bus never hears of it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::thread;

use clap::Args;
use libbus::address::{Address, ConnectAddress};

use crate::failure::{Failure, Result};
use crate::options::{BusOptions, Options};

/// Longest line of the handshake, in bytes.
const LINE_SIZE_MAX: u64 = 16 * 1024;
/// Bytes that are passed on at once.
const BUFFER_SIZE: usize = 64 * 1024;
const NEGOTIATE: &[u8] = b"NEGOTIATE_UNIX_FD";
const BEGIN: &[u8] = b"BEGIN";

/// Pass a bus on by standard input and output, for ssh
#[derive(Args, Debug)]
pub(crate) struct StdioBridge {}

impl StdioBridge {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let bus = connect(&options.bus)?;
        let copy = |bus: &UnixStream| bus.try_clone().map_err(failed);
        let (mut to_bus, mut replies) =
            (copy(&bus)?, BufReader::with_capacity(BUFFER_SIZE, copy(&bus)?));
        let mut input = BufReader::with_capacity(BUFFER_SIZE, io::stdin());
        // Not by `Stdout`, which waits for ends of lines.
        let mut out = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(failed)?;
        if !pass_handshake(&mut input, &mut out, &mut to_bus, &mut replies).map_err(failed)? {
            return Ok(());
        }
        thread::spawn(move || {
            let copied = pass(&mut replies, &mut out);
            // The bus has closed: our end tells the client, who may never say anything again.
            std::process::exit(i32::from(copied.is_err()));
        });
        pass(&mut input, &mut to_bus).map_err(failed)?;
        // The client has said all; what the bus still answers is passed on until it closes.
        to_bus.shutdown(Shutdown::Write).map_err(failed)?;
        loop {
            thread::park();
        }
    }
}

/// Passes on what comes until nothing more does. Not by `io::copy`, which has the kernel move the bytes: it keeps a
/// pipe locked while it waits for more, so that who is at its other end waits for the bus in a read of what is there.
fn pass(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        let size = match from.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => to.write_all(bytes).map(|()| bytes.len())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        from.consume(size);
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::unreachable(format!("the connection failed: {}", libbus::host::phrase(&error)))
}

/// Passes on the client's lines, and the bus's answer to each, up to the one after which messages come
/// (protocol.md A080). False: the client or the bus has gone before.
fn pass_handshake(
    input: &mut impl BufRead,
    out: &mut impl Write,
    bus: &mut impl Write,
    replies: &mut impl BufRead,
) -> io::Result<bool> {
    loop {
        let line = read_line(input)?;
        let text = line.trim_ascii_end();
        // The first byte of all is a NUL.
        let text = text.strip_prefix(&[0]).unwrap_or(text);
        if text == NEGOTIATE {
            out.write_all(b"ERROR \"no file descriptors this way\"\r\n")?;
            continue;
        }
        bus.write_all(&line)?;
        if text == BEGIN {
            return Ok(true);
        }
        let reply = if line.is_empty() { line } else { read_line(replies)? };
        if reply.is_empty() {
            return Ok(false);
        }
        out.write_all(&reply)?;
    }
}

/// A line with its end; nothing at the end of all.
fn read_line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.by_ref().take(LINE_SIZE_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        None | Some(b'\n') => Ok(line),
        Some(_) if line.len() as u64 == LINE_SIZE_MAX => {
            Err(io::Error::other("a line of the handshake is too long"))
        }
        Some(_) => Ok(Vec::new()),
    }
}

/// A socket that is connected, and on which nothing was said.
fn connect(bus: &BusOptions) -> Result<UnixStream> {
    let text = bus.address_text()?;
    let addresses = Address::parse_list(&text)
        .map_err(|error| Failure::usage(format!("the bus's address is wrong: {error}")))?;
    let mut last = io::Error::other("only unix: addresses can be passed on");
    for address in addresses {
        let connected = match address.connect() {
            Ok(ConnectAddress::UnixPath(path)) => UnixStream::connect(OsStr::from_bytes(&path)),
            Ok(ConnectAddress::UnixAbstract(name)) => SocketAddr::from_abstract_name(name)
                .and_then(|address| UnixStream::connect_addr(&address)),
            _ => continue,
        };
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    let why = libbus::host::phrase(&last);
    Err(Failure::unreachable(format!("cannot connect to {text}: {why}"))
        .hint("`bus doctor` looks for the reason"))
}
