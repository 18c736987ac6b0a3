//! `bus-daemon-launch-helper NAME`: starts a service of the system bus as the user of its service file
//! (config.md B100–B104).
//!
//! It is setuid root and for the user of the bus alone, where a configuration names it as its
//! `<servicehelper>`; the bus does without it when it is started as root. Whoever runs it chooses a
//! name, and nothing else: not the configuration, the environment nor the working directory.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use libbus::names::{BusName, ErrorName, UniqueName};
use libbus::standard_error as error;

use crate::arguments::ConfigFile;
use crate::bus::driver::error_reply::StartFailure;
use crate::configuration::ConfigSource;
use crate::host::accounts::{current_user, find_user};
use crate::host::daemonize::close_on_exec_beyond_stdio;
use crate::host::privileged_service::PrivilegedService;
use crate::host::resource_limits::is_privileged;
use crate::host::service_directories::find_by_file_name;
use crate::host::signals::heed_children;

const NAME: &str = "bus-daemon-launch-helper";
/// Where services find the system bus, whoever asks (config.md B101).
const SYSTEM_BUS_ADDRESS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Becomes the service that is named. What comes back is why not, as an exit code (config.md B104).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Err(failure) = start(arguments.into_iter().skip(1));
    let _ = writeln!(io::stderr(), "{NAME}: {failure}");
    ExitCode::from(exit_code(failure.error_name()))
}

fn start(mut arguments: impl Iterator<Item = OsString>) -> Result<Infallible, StartFailure> {
    let refused = |name, text: String| Err(StartFailure::new(name, text));
    let (Some(name), None) = (arguments.next(), arguments.next()) else {
        return refused(error::INVALID_ARGS, format!("write: {NAME} NAME_OF_A_SERVICE"));
    };
    let Some(name) = name.to_str().filter(|name| BusName::parse(name).is_ok()) else {
        let text = format!("{} is no bus name", name.display());
        return refused(error::SPAWN_SERVICE_NOT_VALID, text);
    };
    if UniqueName::parse(name).is_ok() {
        let text = format!("{name} is a unique name, which no service takes");
        return refused(error::SPAWN_SERVICE_NOT_FOUND, text);
    }
    heed_children();
    // Works without on kernels that cannot; then the service inherits more of the bus.
    let _ = close_on_exec_beyond_stdio();
    let loaded = ConfigSource::new(&ConfigFile::System, false).load();
    let Some(config) = loaded.config else {
        let problems = loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        return refused(error::SPAWN_CONFIG_INVALID, problems.join("; "));
    };
    let Some(user) = config.user else {
        let text = format!("{} has no <user>, so that nobody may use this", config.origin);
        return refused(error::SPAWN_CONFIG_INVALID, text);
    };
    if !find_user(&user).is_ok_and(|found| found.uid == current_user()) {
        let text = format!("only the user \"{user}\" of the message bus may use this");
        return refused(error::SPAWN_PERMISSIONS_INVALID, text);
    }
    if !is_privileged() {
        let text =
            "this program is not setuid root; chown it to root:GROUP_OF_THE_BUS and chmod it 4750";
        return refused(error::SPAWN_PERMISSIONS_INVALID, text.to_owned());
    }
    let Some(path) = find_by_file_name(&config.service_dirs, name) else {
        return refused(error::SPAWN_SERVICE_NOT_FOUND, format!("there is no {name}.service"));
    };
    let service = PrivilegedService::read(&path, name)?;
    Err(service.become_it(SYSTEM_BUS_ADDRESS))
}

/// config.md B104
///
/// deviation: the reference's helper ends with 0 after its usage, which its bus takes for a start, and starts
/// what others than root could have written.
fn exit_code(name: ErrorName<'_>) -> u8 {
    let codes = [
        (error::SPAWN_NO_MEMORY, 2),
        (error::SPAWN_CONFIG_INVALID, 3),
        (error::SPAWN_FAILED_TO_SETUP, 4),
        (error::SPAWN_SERVICE_NOT_VALID, 5),
        (error::SPAWN_SERVICE_NOT_FOUND, 6),
        (error::SPAWN_PERMISSIONS_INVALID, 7),
        (error::SPAWN_FILE_INVALID, 8),
        (error::SPAWN_EXEC_FAILED, 9),
        (error::INVALID_ARGS, 10),
    ];
    codes.iter().find(|(known, _)| *known == name).map_or(1, |(_, code)| *code)
}
