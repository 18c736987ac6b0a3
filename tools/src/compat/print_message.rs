//! Messages as dbus-send and dbus-monitor print them (tools.md D045, D048).
//!
//! To a file or a pipe texts go as they are, since scripts read them; on a terminal what could drive it is escaped.

use std::fmt::Write as _;
use std::fs::File;
use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use libbus::message::Message;
use libbus::wire::MessageType;

use crate::output::escape::plain;
use crate::value::{Value, flat};

/// What a line of the content begins with, for each level.
const INDENT: &str = "   ";
/// Columns that lines of bytes fill.
const WIDTH: usize = 80;
/// Bytes on a line, however deep it is.
const BYTES_MIN: usize = 8;

/// How messages are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Texts without quotes and without what stands before them, and no line about the message itself.
    pub(crate) is_literal: bool,
    /// Whether texts are made harmless.
    pub(crate) is_escaped: bool,
}

impl Form {
    /// For standard output.
    pub(crate) fn new(is_literal: bool) -> Self {
        Self { is_literal, is_escaped: std::io::stdout().is_terminal() }
    }

    /// The message, with a line end after each line.
    pub(crate) fn message(self, message: &Message, time: Duration) -> String {
        let mut printer = Printer { out: String::new(), form: self, fds: message.fds() };
        if !self.is_literal {
            printer.header(message, time);
        }
        for value in Value::of_message(message) {
            printer.value(&value, 1);
        }
        printer.out
    }
}

/// Seconds and microseconds.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

struct Printer<'a> {
    out: String,
    form: Form,
    fds: &'a [OwnedFd],
}

impl Printer<'_> {
    fn header(&mut self, message: &Message, time: Duration) {
        let header = message.header();
        let kind = match header.message_type {
            MessageType::MethodCall => "method call",
            MessageType::MethodReturn => "method return",
            MessageType::Error => "error",
            MessageType::Signal => "signal",
            MessageType::Unknown(_) => "(unknown message type)",
        };
        let sender = header.sender.map_or("(null sender)", |name| name.as_str());
        let destination = header.destination.map_or("(null destination)", |name| name.as_str());
        let out = &mut self.out;
        let _ = write!(out, "{kind} time={} sender={sender} -> ", seconds(time));
        let _ = write!(out, "destination={destination}");
        let serial = header.serial;
        let reply_serial = header.reply_serial.map_or(0, Into::into);
        // Writing to a string does not fail.
        let _ = match header.message_type {
            MessageType::MethodCall | MessageType::Signal => {
                let path = header.path.map_or("(null)", |path| path.as_str());
                let interface = header.interface.map_or("(null)", |name| name.as_str());
                let member = header.member.map_or("(null)", |name| name.as_str());
                writeln!(
                    out,
                    " serial={serial} path={path}; interface={interface}; member={member}"
                )
            }
            MessageType::MethodReturn => {
                writeln!(out, " serial={serial} reply_serial={reply_serial}")
            }
            MessageType::Error => {
                let name = header.error_name.map_or("(null)", |name| name.as_str());
                writeln!(out, " error_name={name} reply_serial={reply_serial}")
            }
            MessageType::Unknown(_) => writeln!(out),
        };
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n(INDENT, depth));
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn text(&mut self, kind: &str, text: &str) {
        let shown = if self.form.is_escaped { plain(text) } else { text.to_owned() };
        match self.form.is_literal {
            true => self.out.push_str(&shown),
            false => self.line(&format!("{kind} \"{shown}\"")),
        }
    }

    fn value(&mut self, value: &Value, depth: usize) {
        self.indent(depth);
        match value {
            Value::Byte(value) => self.line(&format!("byte {value}")),
            Value::Boolean(value) => self.line(&format!("boolean {value}")),
            Value::Int16(value) => self.line(&format!("int16 {value}")),
            Value::Uint16(value) => self.line(&format!("uint16 {value}")),
            Value::Int32(value) => self.line(&format!("int32 {value}")),
            Value::Uint32(value) => self.line(&format!("uint32 {value}")),
            Value::Int64(value) => self.line(&format!("int64 {value}")),
            Value::Uint64(value) => self.line(&format!("uint64 {value}")),
            Value::Double(value) => self.line(&format!("double {}", flat::general(*value, 6))),
            Value::String(text) => self.text("string", text),
            Value::ObjectPath(text) => self.text("object path", text),
            Value::Signature(text) => self.text("signature", text),
            Value::UnixFd(index) => self.fd(*index, depth + 1),
            Value::Bytes(bytes) => self.bytes(bytes, depth),
            Value::Array { elements, .. } => {
                self.line("array [");
                elements.iter().for_each(|element| self.value(element, depth + 1));
                self.end(depth, "]");
            }
            Value::Dict { entries, .. } => {
                self.line("array [");
                entries.iter().for_each(|(key, value)| self.entry(key, value, depth + 1));
                self.end(depth, "]");
            }
            Value::Struct(fields) => {
                self.line("struct {");
                fields.iter().for_each(|field| self.value(field, depth + 1));
                self.end(depth, "}");
            }
            Value::Variant(value) => {
                self.out.push_str("variant ");
                self.value(value, depth + 1);
            }
        }
    }

    fn end(&mut self, depth: usize, bracket: &str) {
        self.indent(depth);
        self.line(bracket);
    }

    fn entry(&mut self, key: &Value, value: &Value, depth: usize) {
        self.indent(depth);
        self.line("dict entry(");
        self.value(key, depth + 1);
        self.value(value, depth + 1);
        self.end(depth, ")");
    }

    /// As text, if they are one, with a NUL at the end or not; else by their numbers.
    fn bytes(&mut self, bytes: &[u8], depth: usize) {
        let (text, end) = match bytes {
            [text @ .., 0] => (text, " + \\0"),
            text => (text, ""),
        };
        if !bytes.is_empty() && text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            let text = String::from_utf8_lossy(text);
            return self.line(&format!("array of bytes \"{text}\"{end}"));
        }
        self.line(if bytes.is_empty() { "array [" } else { "array of bytes [" });
        let used = INDENT.len() * (depth + 1);
        let columns = (WIDTH.saturating_sub(used) / 3).max(BYTES_MIN);
        for row in bytes.chunks(columns) {
            self.indent(depth + 1);
            let row: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            self.line(&row.join(" "));
        }
        self.end(depth, "]");
    }

    fn fd(&mut self, index: u32, depth: usize) {
        self.line("file descriptor");
        let fd = usize::try_from(index).ok().and_then(|index| self.fds.get(index));
        let Some(file) = fd.and_then(|fd| fd.try_clone().ok()).map(File::from) else { return };
        let Ok(metadata) = file.metadata() else { return };
        let kind = metadata.file_type();
        let name = match () {
            () if kind.is_file() => "file",
            () if kind.is_dir() => "directory",
            () if kind.is_char_device() => "char",
            () if kind.is_block_device() => "block",
            () if kind.is_fifo() => "fifo",
            () if kind.is_symlink() => "link",
            () if kind.is_socket() => "socket",
            () => "unknown",
        };
        let mut lines = vec![format!("inode: {}", metadata.ino()), format!("type: {name}")];
        if kind.is_socket() {
            lines.extend(socket_lines(file.into()));
        }
        for line in lines {
            self.indent(depth + 1);
            let line = if self.form.is_escaped { plain(&line) } else { line };
            self.line(&line);
        }
    }
}

/// Between whom a socket is; nothing of families that are neither unix nor IP.
fn socket_lines(socket: OwnedFd) -> Vec<String> {
    let unix = UnixStream::from(socket);
    let (family, name, peer) = match unix.local_addr() {
        Ok(name) => ("unix", unix_name(&name), unix.peer_addr().ok().map(|peer| unix_name(&peer))),
        Err(_) => {
            let stream = TcpStream::from(OwnedFd::from(unix));
            let Ok(name) = stream.local_addr() else { return Vec::new() };
            let family = if name.is_ipv4() { "inet" } else { "inet6" };
            (family, ip_name(name), stream.peer_addr().ok().map(ip_name))
        }
    };
    let lines = [format!("address family: {family}"), format!("name {name}")];
    lines.into_iter().chain(peer.map(|peer| format!("peer {peer}"))).collect()
}

fn unix_name(address: &std::os::unix::net::SocketAddr) -> String {
    use std::os::linux::net::SocketAddrExt as _;
    match (address.as_pathname(), address.as_abstract_name()) {
        // deviation: of a peer outside of the file system dbus-send shows the `@` alone.
        (Some(path), _) => path.to_string_lossy().into_owned(),
        (None, name) => format!("@{}", String::from_utf8_lossy(name.unwrap_or_default())),
    }
}

fn ip_name(address: SocketAddr) -> String {
    format!("{} port {}", address.ip(), address.port())
}
