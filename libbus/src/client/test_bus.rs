//! A bus of one's own, for tests.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::address::Address;

/// Programs that are a bus, the first of which in `$PATH` is taken.
const PROGRAMS: [&str; 2] = ["bus-daemon", "dbus-daemon"];

/// A private session bus in a process and a directory of its own, for the tests of programs. It ends, and its
/// directory goes, when this is dropped.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use libbus::TestBus;
/// # if TestBus::program().is_none() { return Ok(()) }
///
/// let bus = TestBus::start()?;
/// # #[cfg(feature = "blocking")] {
/// let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// let names: Vec<String> = connection.bus().call("ListNames", &())?;
/// assert!(names.contains(&"org.freedesktop.DBus".to_owned()));
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestBus {
    daemon: Child,
    directory: Directory,
    address: String,
}

/// Goes with all that is in it.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("libbus-test-{}-{number}", std::process::id());
            let path = env::temp_dir().join(name);
            match fs::create_dir(&path) {
                // One that an earlier process of that number left.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map(|()| Self(path)),
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed lies in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl TestBus {
    /// Starts `bus-daemon`, or `dbus-daemon` where there is none.
    ///
    /// # Errors
    /// Neither is in `$PATH`, or it does not start; what it says is on standard error.
    pub fn start() -> io::Result<Self> {
        let missing = || {
            let text = format!("neither {} nor {} is in $PATH", PROGRAMS[0], PROGRAMS[1]);
            io::Error::new(io::ErrorKind::NotFound, text)
        };
        Self::start_program(&Self::program().ok_or_else(missing)?)
    }

    /// The program that [`TestBus::start`] starts, if there is one.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        let path = env::var_os("PATH")?;
        let find = |name: &str| {
            env::split_paths(&path)
                .map(|directory| directory.join(name))
                .find(|file| file.is_file())
        };
        PROGRAMS.iter().find_map(|name| find(name))
    }

    /// Starts this program, which takes the options of dbus-daemon.
    ///
    /// # Errors
    /// It does not start; what it says is on standard error.
    pub fn start_program(program: &Path) -> io::Result<Self> {
        let directory = Directory::new()?;
        let (services, config) = (directory.0.join("services"), directory.0.join("bus.conf"));
        fs::create_dir(&services)?;
        let socket = directory.0.join("bus");
        let text = |path: &Path| path.to_str().map(ToOwned::to_owned);
        let paths = text(&socket).zip(text(&services));
        let (socket, services) = paths
            .ok_or_else(|| io::Error::other("the directory for temporary files is no text"))?;
        let listen = Address::new("unix").with("path", &*socket).to_string();
        fs::write(&config, configuration(&listen, &services))?;
        let mut daemon = Command::new(program)
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let told = daemon.stdout.take().map(|out| BufReader::new(out).read_line(&mut address));
        let bus = Self { daemon, directory, address: address.trim_end().to_owned() };
        told.transpose()?;
        match bus.address.is_empty() {
            true => Err(io::Error::other(format!("{} told no address", program.display()))),
            false => Ok(bus),
        }
    }

    /// Where it listens; a program under test finds it by `$DBUS_SESSION_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it looks for `*.service` files. `ReloadConfig` lets it see at once what was written there.
    #[must_use]
    pub fn services_directory(&self) -> PathBuf {
        self.directory.0.join("services")
    }
}

impl Drop for TestBus {
    fn drop(&mut self) {
        // It fails if the bus is gone already.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn configuration(listen: &str, services: &str) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let (listen, services) = (escape(listen), escape(services));
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
         <busconfig>\n  <type>session</type>\n  <keep_umask/>\n  <listen>{listen}</listen>\n  \
         <auth>EXTERNAL</auth>\n  <servicedir>{services}</servicedir>\n  \
         <policy context=\"default\">\n    <allow send_destination=\"*\" eavesdrop=\"true\"/>\n    \
         <allow eavesdrop=\"true\"/>\n    <allow own=\"*\"/>\n  </policy>\n</busconfig>\n"
    )
}
