//! Starting and ending the daemon: arguments, configuration, sockets, in the order that
//! [`crate::host`] asks for; then the event loop, whose result becomes the exit code.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use bus_policy::config::{BusConfig, Severity as ProblemSeverity};
use libbus::guid::Guid;
use libbus::standard_error;

use crate::arguments::{
    self, Arguments, Fork, Invocation, LogTargets, PidFileUse, USAGE_EXIT_CODE,
};
use crate::bus::log::Severity;
use crate::bus::services::{Service, Starter};
use crate::bus::{Bus, Identity, MachineIdError, driver};
use crate::configuration::{ConfigSource, mechanisms_of, settings_of};
use crate::event_loop::{EventLoop, Parts};
use crate::host::config_watch::ConfigWatch;
use crate::host::daemonize::{
    PidFile, PrintFd, Umask, close_on_exec_beyond_stdio, fork_to_background,
};
use crate::host::file_stamps::FileStamps;
use crate::host::journal::{Journal, JournalConfig, bus_prefix, program_name};
use crate::host::listener::{ListenContext, Listener, connectable_addresses, listen};
use crate::host::mediation::SecurityModule;
use crate::host::privileged_launcher::PrivilegedLauncher;
use crate::host::resource_limits::{self, drop_privileges, is_privileged, lock_in, raise_fd_limit};
use crate::host::runtime_directory::IfMissing;
use crate::host::service_launcher::{Launcher, StartParameters, inherited_variables};
use crate::host::service_manager::{self, State};
use crate::host::signals::{Signals, blocked_signals, heed_children};
use crate::host::{config_files, credentials, phrase, random_bytes};
use crate::offline::{self, Explained, Report, UNUSABLE_EXIT_CODE, located};

/// What the daemon exits with when it cannot start.
const FAILURE: u8 = 1;

/// Runs the daemon as its command line says.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match arguments::parse(arguments) {
        Ok(Invocation::Print(text)) => print(&text),
        Ok(Invocation::Introspect) => print(&driver::introspection_of_bus()),
        Ok(Invocation::CheckConfig(file)) => {
            report(&offline::check_config(&ConfigSource::new(&file, false)))
        }
        Ok(Invocation::ExplainPolicy { config_file, question, json }) => {
            let source = ConfigSource::new(&config_file, false);
            match offline::explain_policy(&source, &question) {
                Ok(Explained { answer, notes }) => {
                    let text = match json {
                        true => format!("{}\n", answer.to_json()),
                        false => answer.to_string(),
                    };
                    report(&Report { text, notes, ..Report::default() })
                }
                Err(text) => fail(&text, UNUSABLE_EXIT_CODE),
            }
        }
        Ok(Invocation::Run(arguments)) => match serve(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => fail(&text, FAILURE),
        },
        Err(error) => fail(&error.to_string(), USAGE_EXIT_CODE),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILURE),
    }
}

fn report(report: &Report) -> ExitCode {
    for note in &report.notes {
        let _ = writeln!(io::stderr(), "{}: {note}", program_name());
    }
    match io::stdout().write_all(report.text.as_bytes()) {
        Ok(()) => ExitCode::from(report.code),
        Err(_) => ExitCode::from(FAILURE),
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "{}: {text}", program_name());
    ExitCode::from(code)
}

/// Serves until SIGTERM. An error is why the daemon could not start, in one line.
fn serve(arguments: &Arguments) -> Result<(), String> {
    let mut context = ListenContext::from_process();
    heed_children();
    let lines = PrintedLines::take(arguments, &context)?;
    // Works without on kernels that cannot; then services that are started inherit more.
    let _ = close_on_exec_beyond_stdio();
    let mut source = ConfigSource::new(&arguments.config_file, arguments.systemd_activation);
    let (config, mut watched_directories) = load(&source)?;
    watched_directories.extend(source.limit_directories());
    let (mut settings, unknown) = settings_of(&config);
    let (limit_overrides, wrong) = source.load_limit_overrides();
    settings.limit_overrides = limit_overrides;
    warn(unknown.iter().chain(&wrong));
    let found = source.find_services(&config, IfMissing::Create);
    settings.services = Arc::new(found.services);
    settings.starter = source.settle_starter(&config);
    watched_directories.extend(found.directories);
    for problem in found.problems.iter().chain(&found.notes) {
        let _ = writeln!(io::stderr(), "{}: {problem}", program_name());
    }
    let pid_file =
        config.pidfile.as_ref().filter(|_| arguments.pid_file == PidFileUse::AsConfigured);
    let pid_file_error = |error| located(config.places.pidfile.as_ref(), &error);
    pid_file.map(|path| PidFile::check_absent(path)).transpose().map_err(pid_file_error)?;
    let fd_limit = raise_fd_limit();
    let listeners = open_listeners(arguments, &config, &mut context)?;
    let security = SecurityModule::find(Path::new("/"), &config)?;

    let fork = match arguments.fork {
        Fork::AsConfigured => config.fork,
        Fork::Always => true,
        Fork::Never => false,
    };
    let umask = if config.keep_umask { Umask::Keep } else { Umask::Daemon };
    let background = match fork {
        true => {
            Some(fork_to_background(umask).map_err(|e| format!("Failed to fork: {}", phrase(&e)))?)
        }
        false => None,
    };
    let _pid_file =
        pid_file.map(|path| PidFile::create(path)).transpose().map_err(pid_file_error)?;
    let address = connectable_addresses(&listeners);
    let mut files: Vec<&Path> = listeners.iter().flatten().filter_map(Listener::file).collect();
    files.extend(pid_file.map(PathBuf::as_path));
    let launcher = prepare_launcher(
        &source,
        &config,
        &files,
        StartParameters {
            address: address.clone(),
            bus_type: config.bus_type.clone(),
            fd_limit: fd_limit.as_ref().ok().map(|raised| raised.original),
            blocked_signals: blocked_signals(),
        },
    )?;
    if let Some(user) = &config.user {
        let keeps_audit = security.mediation.is_active();
        drop_privileges(user, keeps_audit)
            .map_err(|error| located(config.places.user.as_ref(), &error))?;
    }
    if settings.starter == Starter::PrivilegedLauncher {
        lock_in().map_err(|error| {
            format!("Failed to give up privileges for good: {}", phrase(&error))
        })?;
    }
    let signals = Signals::install()
        .map_err(|error| format!("Failed to prepare for signals: {}", phrase(&error)))?;
    let audit = security.mediation.is_active();
    let journal = start_journal(arguments, &config, fork, audit)?;
    match fd_limit {
        Ok(raised) => {
            if let Some(error) = raised.failure {
                let text = format!(
                    "Failed to raise the limit of open files beyond {}: {}",
                    raised.current.soft,
                    phrase(&error)
                );
                journal.log(Severity::Warning, text);
            }
        }
        Err(error) => {
            journal.log(
                Severity::Warning,
                format!("Cannot read the limit of open files: {}", phrase(&error)),
            );
        }
    }
    let listeners: Vec<Listener> = listeners.into_iter().flatten().collect();
    let config_watch = watch(&watched_directories, &journal);
    let service_stamps = Rc::new(RefCell::new(found.stamps));
    let (watch, stamps) = (config_watch.clone(), Rc::clone(&service_stamps));
    let identity = identity(arguments, &config, &listeners, &security, watch, stamps)?;
    let bus = Bus::new(identity, settings);
    for note in &security.notes {
        journal.log(Severity::Warning, note.clone());
    }
    let parts = Parts {
        bus,
        listeners,
        signals,
        journal,
        source,
        config,
        config_watch,
        service_stamps,
        service_notes: found.problems.into_iter().chain(found.notes).collect(),
        security,
        launcher,
    };
    let mut event_loop = EventLoop::new(parts)
        .map_err(|error| format!("Failed to prepare for events: {}", phrase(&error)))?;
    // Whoever reads the line takes it for a bus that is ready, also for signals.
    lines.print(&address)?;
    if let Some(background) = background {
        background
            .report_ready()
            .map_err(|error| format!("Failed to detach: {}", phrase(&error)))?;
    }
    service_manager::tell(State::Ready);
    let result = event_loop.run();
    service_manager::tell(State::Stopping);
    result.map_err(|error| format!("Failed to wait for events: {}", phrase(&error)))
}

/// What starts services. Where this process gives up the rights of root, another one keeps them for
/// that (config.md B103).
fn prepare_launcher(
    source: &ConfigSource,
    config: &BusConfig,
    files: &[&Path],
    parameters: StartParameters,
) -> Result<Launcher, String> {
    if config.user.is_none() || !is_privileged() {
        return Ok(Launcher::new(parameters, None));
    }
    let (source, config) = (source.clone(), Mutex::new(config.clone()));
    let find = move |name: &str| source.find_privileged(&config, name);
    let privileged = PrivilegedLauncher::fork(&parameters, files, find).map_err(|error| {
        format!("Failed to prepare for starting services as other users: {}", phrase(&error))
    })?;
    Ok(Launcher::new(parameters, Some(privileged)))
}

/// Reads the configuration, and which directories to watch for changes of it; everything wrong in it
/// that does not stop the start is said on standard error.
fn load(source: &ConfigSource) -> Result<(BusConfig, Vec<PathBuf>), String> {
    let loaded = source.load();
    let fatal = |problem: &&bus_policy::config::Problem| problem.severity == ProblemSeverity::Fatal;
    warn(loaded.problems.iter().filter(|problem| !fatal(problem)));
    let config = loaded.config.ok_or_else(|| {
        let texts = loaded.problems.iter().filter(fatal).map(ToString::to_string);
        texts.collect::<Vec<_>>().join(&format!("\n{}: ", program_name()))
    })?;
    Ok((config, loaded.watched_directories))
}

/// A bus that cannot watch its directories works all the same (config.md B105).
fn watch(directories: &[PathBuf], journal: &Journal) -> Option<Arc<ConfigWatch>> {
    let watch = ConfigWatch::new().map_err(|error| {
        let text = format!(
            "Cannot watch the directories of the configuration: {}; send SIGHUP after changing a \
             file, or raise fs.inotify.max_user_instances and start the bus again",
            phrase(&error)
        );
        journal.log(Severity::Warning, text);
    });
    let watch = watch.ok()?;
    for complaint in watch.replace(directories).complaints {
        journal.log(Severity::Warning, complaint);
    }
    Some(Arc::new(watch))
}

fn warn<'a>(problems: impl IntoIterator<Item = &'a bus_policy::config::Problem>) {
    for problem in problems {
        let _ = writeln!(io::stderr(), "{}: {problem}", program_name());
    }
}

/// One inner list for each `<listen>`, or for each address of `--address` (config.md B121).
fn open_listeners(
    arguments: &Arguments,
    config: &BusConfig,
    context: &mut ListenContext,
) -> Result<Vec<Vec<Listener>>, String> {
    let given = arguments.address.as_ref().map(std::slice::from_ref);
    let addresses = given.unwrap_or(&config.listen);
    let place = |number: usize| match given {
        Some(_) => (String::new(), "give another --address"),
        None => {
            let place = config.places.listen.get(number).unwrap_or(&config.origin);
            (format!("{place}: "), "change this <listen> element")
        }
    };
    let open = |(number, address): (usize, &String)| {
        listen(address, context).map_err(|error| {
            let (place, hint) = place(number);
            format!("{place}Failed to listen on \"{address}\": {error}; {hint}")
        })
    };
    addresses.iter().enumerate().map(open).collect()
}

/// Where the address and the pid are printed to (config.md B122).
struct PrintedLines {
    /// Of the address or, without that, of the pid.
    first: Option<(RawFd, PrintFd)>,
    /// Of the pid, where it is not printed behind the address.
    second: Option<(RawFd, PrintFd)>,
    address: bool,
    pid: bool,
}

impl PrintedLines {
    /// Takes the descriptors over before any other is opened.
    fn take(arguments: &Arguments, context: &ListenContext) -> Result<Self, String> {
        let take = |fd: RawFd| {
            // What the service manager handed over has an owner already.
            let taken = context.inherited.iter().any(|inherited| inherited.as_raw_fd() == fd);
            let error = || io::Error::other("it is a socket to listen on");
            let file = if taken { Err(error()) } else { PrintFd::take(fd) };
            file.map(|file| (fd, file)).map_err(|error| cannot_print(fd, &error))
        };
        let (address, pid) = (arguments.print_address, arguments.print_pid);
        let first = address.or(pid);
        let second = pid.filter(|_| address.is_some() && address != pid);
        Ok(Self {
            first: first.map(take).transpose()?,
            second: second.map(take).transpose()?,
            address: address.is_some(),
            pid: pid.is_some(),
        })
    }

    /// Prints what was asked for, each descriptor's lines in one write.
    fn print(self, address: &str) -> Result<(), String> {
        let pid = std::process::id().to_string();
        let print = |target: Option<(RawFd, PrintFd)>, text: &str| match target {
            Some((fd, file)) => file.print_line(text).map_err(|error| cannot_print(fd, &error)),
            None => Ok(()),
        };
        match (self.address, self.pid && self.second.is_none()) {
            (true, true) => print(self.first, &format!("{address}\n{pid}")),
            (true, false) => print(self.first, address),
            (false, _) => print(self.first, &pid),
        }?;
        print(self.second, &pid)
    }
}

fn cannot_print(fd: RawFd, error: &io::Error) -> String {
    format!(
        "Cannot print to descriptor {fd}: {}; give the number of one that is open for writing",
        phrase(error)
    )
}

fn start_journal(
    arguments: &Arguments,
    config: &BusConfig,
    fork: bool,
    audit: bool,
) -> Result<Journal, String> {
    let (standard_error, syslog) = match arguments.log_targets {
        LogTargets::AsConfigured => (true, config.syslog),
        LogTargets::Both => (true, true),
        LogTargets::SyslogOnly => (false, true),
        LogTargets::StandardErrorOnly => (true, false),
    };
    Journal::start(JournalConfig {
        program: program_name(),
        prefix: bus_prefix(
            config.bus_type.as_deref(),
            rustix::process::getuid().as_raw(),
            std::process::id(),
        ),
        // In the background nobody reads it.
        standard_error: standard_error && !fork,
        syslog,
        audit,
    })
    .map_err(|error| format!("Failed to start the log's thread: {}", phrase(&error)))
}

fn identity(
    arguments: &Arguments,
    config: &BusConfig,
    listeners: &[Listener],
    security: &SecurityModule,
    watch: Option<Arc<ConfigWatch>>,
    stamps: Rc<RefCell<FileStamps>>,
) -> Result<Identity, String> {
    let random = |error: io::Error| format!("Failed to read random bytes: {}", phrase(&error));
    let mechanisms = mechanisms_of(config)?;
    let own_uid = rustix::process::getuid().as_raw();
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(own_uid));
    Ok(Identity {
        guid: Guid::generate().map_err(random)?,
        listener_guids: listeners.iter().map(Listener::guid).collect(),
        own_uid,
        fds_max: resource_limits::fd_limit(),
        own_credentials: credentials::own_credentials(),
        selinux_enabled: config_files::selinux_enabled(),
        own_user_name: user.ok().flatten().map_or_else(|| own_uid.to_string(), |user| user.name),
        mechanisms,
        allow_anonymous: config.allow_anonymous,
        machine_id: config_files::read_machine_id().map_err(|error| machine_id_error(&error)),
        hash_seed: u64::from_ne_bytes(random_bytes().map_err(random)?),
        mediation: Rc::clone(&security.mediation),
        process_name: credentials::process_name,
        files_changed: Rc::new(move |service: Option<&Service>| {
            let stamps = stamps.borrow();
            match service {
                Some(service) => stamps.has_service_changed(&service.path),
                None => {
                    watch.as_ref().is_some_and(|watch| watch.take_changes())
                        || stamps.may_promise_more()
                }
            }
        }),
        systemd_activation: arguments.systemd_activation,
        environment: inherited_variables(),
    })
}

/// protocol.md A237
fn machine_id_error(error: &config_files::MachineIdError) -> MachineIdError {
    let name = match error {
        config_files::MachineIdError::NotFound => standard_error::FILE_NOT_FOUND,
        config_files::MachineIdError::Invalid(_) => standard_error::INVALID_FILE_CONTENT,
        config_files::MachineIdError::Unreadable(..) => standard_error::IO_ERROR,
    };
    MachineIdError { error: name, text: error.to_string() }
}
