//! Who is called: `black-hole` and `echo`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use libbus::blocking::{Connection, Monitor};
use libbus::message::Message;
use libbus::wire::{Flags, Header, MessageType};

use super::super::dbus_uuidgen;
use super::super::lenient_number::signed;
use super::{End, connect, ended};

const BLACK_HOLE_HELP: &str = "\
Usage: dbus-test-tool black-hole [OPTIONS]

Takes calls and does not answer.

Options:

    --name=NAME   have this well-known name
    --no-read     do not even read them

    --session     on the session bus (default)
    --system      on the system bus";

const ECHO_HELP: &str = "\
Usage: dbus-test-tool echo [OPTIONS]

Answers every call with an empty reply.

Options:

    --name=NAME   have this well-known name
    --sleep-ms=N  wait N milliseconds before each reply

    --session     on the session bus (default)
    --system      on the system bus";

const PEER: &str = "org.freedesktop.DBus.Peer";

#[derive(Default)]
struct Options<'w> {
    is_system: bool,
    name: Option<&'w str>,
    is_unread: bool,
    pause: Duration,
}

impl<'w> Options<'w> {
    /// `own`: takes the options of one subcommand.
    fn read(
        words: &'w [OsString],
        help: &str,
        own: impl Fn(&mut Self, &'w str) -> bool,
    ) -> Result<Self, End> {
        let mut options = Self::default();
        for word in words.iter().map(|word| word.to_str().unwrap_or_default()) {
            match word {
                "--system" => options.is_system = true,
                "--session" => options.is_system = false,
                word => match word.strip_prefix("--name=") {
                    Some(name) => options.name = Some(name),
                    None if own(&mut options, word) => {}
                    None => return Err(End::Usage(help.to_owned())),
                },
            }
        }
        Ok(options)
    }

    fn connect(&self) -> Result<Monitor, End> {
        let monitor = connect(self.is_system)?;
        let Some(name) = self.name else { return Ok(monitor) };
        let taken = monitor.connection().request_name(name);
        taken.map_err(|_| End::Failed(format!("failed to take bus name {name}")))?;
        Ok(monitor)
    }
}

pub(super) fn black_hole(words: &[OsString]) -> Result<(), End> {
    let options = Options::read(words, BLACK_HOLE_HELP, |options, word| {
        options.is_unread = word == "--no-read";
        options.is_unread
    })?;
    let mut monitor = options.connect()?;
    loop {
        if options.is_unread {
            std::thread::park();
            continue;
        }
        let message = monitor.next_message().map_err(ended)?;
        answer_to_peer(monitor.connection(), &message)?;
    }
}

pub(super) fn echo(words: &[OsString]) -> Result<(), End> {
    let options = Options::read(words, ECHO_HELP, |options, word| {
        let Some(text) = word.strip_prefix("--sleep-ms=") else { return false };
        let milliseconds = u64::try_from(signed(text)).unwrap_or(0);
        options.pause = Duration::from_millis(milliseconds.min(i32::MAX as u64));
        true
    })?;
    let mut monitor = options.connect()?;
    loop {
        let message = monitor.next_message().map_err(ended)?;
        if !answer_to_peer(monitor.connection(), &message)? && is_call(&message) {
            std::thread::sleep(options.pause);
            let header = reply_to(&message);
            // Who calls and reads no replies waits for them.
            let connection = monitor.connection();
            connection.send_message(&header, &()).map_err(ended)?;
            connection.flush().map_err(ended)?;
        }
    }
}

/// What every program answers in libdbus's place, also these; whether that was one.
fn answer_to_peer(connection: &Connection, message: &Message) -> Result<bool, End> {
    let of_peer = message.interface().is_some_and(|name| name.as_str() == PEER);
    if !of_peer || !is_call(message) {
        return Ok(false);
    }
    let header = reply_to(message);
    let sent = match message.member().map(|member| member.as_str()) {
        Some("Ping") => connection.send_message(&header, &()),
        Some("GetMachineId") => match dbus_uuidgen::of_machine() {
            Some(id) => connection.send_message(&header, id.to_string().as_str()),
            None => return Ok(false),
        },
        _ => return Ok(false),
    };
    sent.map(|_| true).map_err(ended)
}

fn is_call(message: &Message) -> bool {
    message.message_type() == MessageType::MethodCall
        && !message.flags().contains(Flags::NO_REPLY_EXPECTED)
}

fn reply_to(message: &Message) -> Header<'_> {
    let mut header = Header::new(MessageType::MethodReturn, NonZeroU32::MIN);
    header.flags = Flags::NO_REPLY_EXPECTED;
    header.reply_serial = Some(message.serial());
    header.destination = message.sender();
    header
}
