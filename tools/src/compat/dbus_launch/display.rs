//! The bus of an X11 display: a window whose properties say where the bus is owns a selection whose name has the user
//! and the machine in it. It goes with the connection of whoever made it. A file in the home directory says the same
//! (protocol.md A114, tools.md D051).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use x11rb::connection::Connection as _;
use x11rb::errors::{ReplyError, ReplyOrIdError};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, PropMode, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::Launched;
use crate::process::user_name;

/// Four bytes each: what of an address is asked for.
const ADDRESS_LENGTH_MAX: u32 = 1024;

/// A connection to the display that `DISPLAY` names.
pub(super) struct Display {
    connection: RustConnection,
    root: Window,
    machine_id: String,
}

/// What the atoms' names say.
struct Atoms {
    selection: Atom,
    address: Atom,
    pid: Atom,
}

impl Display {
    /// Nothing where there is no display, and where it does not let us in.
    pub(super) fn open(machine_id: &str) -> Option<Self> {
        let (connection, screen) = x11rb::connect(None).ok()?;
        let root = connection.setup().roots.get(screen)?.root;
        Some(Self { connection, root, machine_id: machine_id.to_owned() })
    }

    fn atoms(&self) -> Result<Atoms, ReplyError> {
        let user = user_name(rustix::process::geteuid().as_raw());
        let atom = |name: &str| {
            let asked = self.connection.intern_atom(false, name.as_bytes())?;
            Ok::<_, ReplyError>(asked.reply()?.atom)
        };
        Ok(Atoms {
            selection: atom(&format!("_DBUS_SESSION_BUS_SELECTION_{user}_{}", self.machine_id))?,
            address: atom("_DBUS_SESSION_BUS_ADDRESS")?,
            pid: atom("_DBUS_SESSION_BUS_PID")?,
        })
    }

    /// The bus that this display has.
    pub(super) fn bus(&self) -> Option<Launched> {
        let atoms = self.atoms().ok()?;
        let asked = self.connection.get_selection_owner(atoms.selection).ok()?;
        let window = asked.reply().ok()?.owner;
        let property = |property: Atom, kind: AtomEnum| {
            let asked =
                self.connection.get_property(false, window, property, kind, 0, ADDRESS_LENGTH_MAX);
            asked.ok()?.reply().ok().filter(|reply| reply.bytes_after == 0)
        };
        let address = property(atoms.address, AtomEnum::STRING)?;
        let pid = property(atoms.pid, AtomEnum::CARDINAL)?.value32()?.next()?;
        let address = String::from_utf8(address.value).ok().filter(|text| !text.is_empty())?;
        Some(Launched { address, pid: i32::try_from(pid).ok()?, window })
    }

    /// Says where the bus is, as long as this connection is there, and answers the window that says it; nothing, if
    /// the display has a bus.
    pub(super) fn publish(&self, address: &str, pid: i32) -> Option<Window> {
        let window = self.own_selection(address, pid).ok().flatten()?;
        // Who finds the bus by the file alone is rare; that it cannot be written keeps nobody from the bus.
        let _ = self.write_file(address, pid, window);
        Some(window)
    }

    fn own_selection(&self, address: &str, pid: i32) -> Result<Option<Window>, ReplyOrIdError> {
        let atoms = self.atoms()?;
        let connection = &self.connection;
        // Nobody comes between the question and the answer.
        connection.grab_server()?;
        let owner = connection.get_selection_owner(atoms.selection)?.reply()?.owner;
        let is_free = owner == x11rb::NONE;
        let window = if is_free { Some(self.create_window()?) } else { None };
        if let Some(window) = window {
            let replace = PropMode::REPLACE;
            let [text, number] = [AtomEnum::STRING, AtomEnum::CARDINAL];
            connection.change_property8(
                replace,
                window,
                atoms.address,
                text,
                address.as_bytes(),
            )?;
            let pid = [pid.unsigned_abs()];
            connection.change_property32(replace, window, atoms.pid, number, &pid)?;
            connection.set_selection_owner(window, atoms.selection, x11rb::CURRENT_TIME)?;
        }
        connection.ungrab_server()?;
        connection.sync()?;
        Ok(window)
    }

    /// A window that is never shown.
    fn create_window(&self) -> Result<Window, ReplyOrIdError> {
        let window = self.connection.generate_id()?;
        let (outside, small) = (-20, 10);
        let class = WindowClass::INPUT_ONLY;
        let aux = CreateWindowAux::new();
        self.connection.create_window(
            0, window, self.root, outside, outside, small, small, 0, class, 0, &aux,
        )?;
        Ok(window)
    }

    fn write_file(&self, address: &str, pid: i32, window: Window) -> io::Result<()> {
        let display = std::env::var("DISPLAY").unwrap_or_default();
        let id = &self.machine_id;
        // The id is the user's word: a file of another directory is not meant.
        let home = std::env::home_dir().filter(|_| !id.contains('/'));
        let mut directory = home.ok_or(io::ErrorKind::InvalidFilename)?;
        for part in [".dbus", "session-bus"] {
            directory.push(part);
            create_directory(&directory)?;
        }
        let text = format!(
            "# The session bus of the display {display} on the machine {id}, for programs that do not\n\
             # have DBUS_SESSION_BUS_ADDRESS in their environment. See dbus-launch(1).\n\
             DBUS_SESSION_BUS_ADDRESS='{address}'\nDBUS_SESSION_BUS_PID={pid}\n\
             DBUS_SESSION_BUS_WINDOWID={window}\n"
        );
        let file = directory.join(format!("{id}-{}", file_part(&display)));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(file)?;
        file.write_all(text.as_bytes())
    }

    /// Takes what the display has sent; nothing of it matters but that it is still there.
    pub(super) fn is_there(&self) -> bool {
        loop {
            match self.connection.poll_for_event() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for Display {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.stream().as_fd()
    }
}

/// For the user alone, unless it is there.
fn create_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// How a file's name has a display: `0` is that of `:0`, `:0.1` and `localhost:0`, `host_0` that of `host:0`.
fn file_part(display: &str) -> String {
    let display = display.strip_prefix("localhost").unwrap_or(display);
    let display = match display.rsplit_once(':') {
        Some((host, number)) => {
            let number = number.split_once('.').map_or(number, |(number, _)| number);
            format!("{host}:{number}")
        }
        None => display.to_owned(),
    };
    display.strip_prefix(':').unwrap_or(&display).replace([':', '/'], "_")
}

#[test]
fn a_file_is_named_after_its_display() {
    for (display, part) in [
        (":0", "0"),
        (":1.0", "1"),
        ("localhost:10.0", "10"),
        ("127.0.0.1:2", "127.0.0.1_2"),
        ("unix/:0", "unix__0"),
        ("unix:0.3", "unix_0"),
        ("../x", ".._x"),
    ] {
        assert_eq!(file_part(display), part, "{display}");
    }
}
