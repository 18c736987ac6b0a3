//! From a configuration file to what the daemon and the bus need of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bus_policy::PolicySet;
use bus_policy::ShownPath;
use bus_policy::config::limit_overrides::{LimitOverrides, limits_directory, load_overrides};
use bus_policy::config::{self, BusConfig, Loaded, Problem, Severity as ProblemSeverity};
use libbus::auth::Mechanism;
use libbus::standard_error as error;

use crate::arguments::ConfigFile;
use crate::bus::Settings;
use crate::bus::driver::error_reply::StartFailure;
use crate::bus::services::Starter;
use crate::host::accounts::{SystemAccounts, find_user, running_as};
use crate::host::config_files::DiskFiles;
use crate::host::resource_limits::is_privileged;
use crate::host::runtime_directory::{IfMissing, RuntimeDirectories};
use crate::host::service_directories::{FoundServices, Ways, find_services};

/// Where distributions put the two standard configurations (config.md B083, B120).
const STANDARD_DIRECTORY: &str = "/usr/share/dbus-1";
/// Where administrators put what is theirs.
const ADMINISTRATORS_DIRECTORY: &str = "/etc/dbus-1";
/// What `--session` and `--system` mean on a machine that has no such files.
const BUILT_IN_SESSION: &str = include_str!("../data/session.conf");
/// See above; `bus run --system-like` begins with it, too.
pub const BUILT_IN_SYSTEM: &str = include_str!("../data/system.conf");

/// Where a configuration is read from, at the start and at each reload.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    path: PathBuf,
    built_in: Option<&'static str>,
    /// Whether systemd starts services that name a unit, so that they need not say as whom they run.
    systemd_activation: bool,
    /// Whether this process had the rights of root when the bus started.
    is_privileged: bool,
    /// Whether services go on being started by the privileged launcher, whatever a configuration names
    /// later.
    keeps_launcher: bool,
}

impl ConfigSource {
    /// What the command line chose. Call before privileges are dropped.
    #[must_use]
    pub fn new(file: &ConfigFile, systemd_activation: bool) -> Self {
        let is_privileged = is_privileged();
        let standard = |name: &str, built_in| Self {
            path: Path::new(STANDARD_DIRECTORY).join(name),
            built_in: Some(built_in),
            systemd_activation,
            is_privileged,
            keeps_launcher: false,
        };
        match file {
            ConfigFile::Session => standard("session.conf", BUILT_IN_SESSION),
            ConfigFile::System => standard("system.conf", BUILT_IN_SYSTEM),
            // The background process has another working directory when it reads again; a name
            // that cannot be made absolute is refused by whoever opens it.
            ConfigFile::Path(path) => Self {
                path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
                built_in: None,
                systemd_activation,
                is_privileged,
                keeps_launcher: false,
            },
        }
    }

    /// The file that is read, or would be if there were one.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file and all it includes.
    #[must_use]
    pub fn load(&self) -> Loaded {
        match self.built_in {
            Some(text) if !self.path.exists() => {
                config::load_text(&self.path, text.as_bytes(), &DiskFiles)
            }
            _ => config::load(&self.path, &DiskFiles),
        }
    }

    /// Reads the limits of users and groups, and looks these up. What is wrong is in the problems.
    #[must_use]
    pub fn load_limit_overrides(&self) -> (LimitOverrides, Vec<Problem>) {
        let mut problems = Vec::new();
        let named = load_overrides(&self.limit_directories(), &DiskFiles, &mut problems);
        let overrides = named.resolve(&SystemAccounts, &mut problems);
        (overrides, problems)
    }

    /// Which services of a configuration can be started. What is wrong with others, and where they are,
    /// comes along.
    #[must_use]
    pub fn find_services(&self, config: &BusConfig, if_missing: IfMissing) -> FoundServices {
        let ways = Ways {
            starter: self.starter(config),
            has_helper: config.service_helper.is_some(),
            by_systemd: self.systemd_activation,
        };
        let owner = self.owner(config);
        find_services(&config.service_dirs, ways, RuntimeDirectories { owner, if_missing })
    }

    /// The user that the bus runs as (config.md B011).
    fn owner(&self, config: &BusConfig) -> u32 {
        let user = config.user.as_ref().filter(|_| self.is_privileged);
        let found = user.and_then(|user| find_user(user).ok());
        found.map_or_else(running_as, |found| found.uid).as_raw()
    }

    /// Decides who starts services that systemd does not start, with the first configuration. Where the
    /// privileged launcher does, it goes on doing so: the bus locks itself in and could not run a setuid
    /// helper that is named later.
    pub fn settle_starter(&mut self, config: &BusConfig) -> Starter {
        let starter = self.starter(config);
        self.keeps_launcher = starter == Starter::PrivilegedLauncher;
        starter
    }

    /// Who starts services that systemd does not start.
    #[must_use]
    pub fn starter(&self, config: &BusConfig) -> Starter {
        let has_launcher = self.is_privileged && config.user.is_some();
        match &config.service_helper {
            _ if self.keeps_launcher => Starter::PrivilegedLauncher,
            // (config.md B080) the package of the reference, whose helper it is, may be gone.
            Some(helper) if !has_launcher || helper.exists() => Starter::Helper,
            _ if has_launcher => Starter::PrivilegedLauncher,
            _ => Starter::Bus,
        }
    }

    /// The file of a service that the privileged launcher may start, as the configuration is now; one
    /// that cannot be read leaves what was read last in force.
    ///
    /// # Errors
    /// The configuration leaves it to others, or there is no such service.
    pub fn find_privileged(
        &self,
        last: &Mutex<BusConfig>,
        name: &str,
    ) -> Result<PathBuf, StartFailure> {
        let fresh = self.load().config;
        let config = {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(fresh) = fresh {
                *last = BusConfig { user: last.user.take(), ..fresh };
            }
            last.clone()
        };
        let config = &config;
        if self.starter(config) != Starter::PrivilegedLauncher {
            let text = "the configuration has a <servicehelper>, which starts services".to_owned();
            return Err(StartFailure::new(error::SPAWN_PERMISSIONS_INVALID, text));
        }
        let found = self.find_services(config, IfMissing::Leave);
        let service = found.services.get(name).ok_or_else(|| {
            let text = format!("no service file promises {name}");
            StartFailure::new(error::SPAWN_SERVICE_NOT_FOUND, text)
        })?;
        Ok(service.path.to_path_buf())
    }

    /// Where the limits of users and groups are.
    #[must_use]
    pub fn limit_directories(&self) -> Vec<PathBuf> {
        let mut directories = vec![limits_directory(&self.path)];
        if self.built_in.is_some()
            && let Some(name) = self.path.file_name()
        {
            directories.push(limits_directory(&Path::new(ADMINISTRATORS_DIRECTORY).join(name)));
        }
        directories
    }

    /// Reads again, as a reload does: the settings a running bus can take over, or everything that
    /// is wrong in one line.
    pub fn reload(&self, running: &BusConfig, running_limits: &LimitOverrides) -> Reading {
        let result = self.read_again(running, running_limits);
        // Which services there are does not depend on what is wrong elsewhere.
        let config = result.as_ref().map_or(running, |reloaded| &reloaded.config);
        let found = self.find_services(config, IfMissing::Create);
        Reading { result, found }
    }

    fn read_again(
        &self,
        running: &BusConfig,
        running_limits: &LimitOverrides,
    ) -> Result<Reloaded, String> {
        let loaded = self.load();
        let (limit_overrides, wrong) = self.load_limit_overrides();
        let is_lost = |problem: &&Problem| {
            problem.severity == ProblemSeverity::Ignored
                && running_limits.has_file(&problem.location.file)
        };
        let lost = loaded.lost_files(running).into_iter().chain(wrong.iter().filter(is_lost));
        let lost: Vec<Problem> = lost.cloned().collect();
        if !lost.is_empty() {
            return Err(format!(
                "{}: it was sound before, and what it says would be lost",
                join(&lost)
            ));
        }
        let Some(fresh) = loaded.config else { return Err(join(&loaded.problems)) };
        let reload = config::reload(running, fresh);
        let (mut settings, unknown) = settings_of(&reload.config);
        settings.starter = self.starter(&reload.config);
        settings.limit_overrides = limit_overrides;
        let problems = loaded.problems.iter().chain(&unknown).chain(&wrong);
        let mut notes: Vec<String> = problems.map(ToString::to_string).collect();
        notes.extend(gone_files(running, &reload.config));
        if !reload.postponed.is_empty() {
            notes.push(format!(
                "{} of the configuration changed and will count from the next start of the bus on",
                reload.postponed.join(", ")
            ));
        }
        let mut watched_directories = loaded.watched_directories;
        watched_directories.extend(self.limit_directories());
        Ok(Reloaded { config: reload.config, settings, notes, watched_directories })
    }
}

/// How many files that are gone are named.
const NAMED_GONE_FILE_COUNT: usize = 8;

/// A file that was removed is nothing wrong, but may be an accident, as if a directory is gone.
fn gone_files(running: &BusConfig, fresh: &BusConfig) -> Option<String> {
    let is_gone = |file: &&PathBuf| !fresh.files.contains(file);
    let gone: Vec<String> =
        running.files.iter().filter(is_gone).map(|file| ShownPath(file).to_string()).collect();
    let (named, others) = gone.split_at(gone.len().min(NAMED_GONE_FILE_COUNT));
    let others = match others.len() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    (!gone.is_empty()).then(|| {
        let named = named.join(", ");
        format!("What {named}{others} said does not count any more: there is no such file now")
    })
}

/// What came of reading all files again.
#[derive(Debug)]
pub struct Reading {
    /// The configuration, or everything that is wrong with it in one line.
    pub result: Result<Reloaded, String>,
    /// The services, whether or not the configuration is sound.
    pub found: FoundServices,
}

/// What a reload brought.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The configuration now in force.
    pub config: BusConfig,
    /// What the bus takes over, but the services.
    pub settings: Settings,
    /// What the administrator should know.
    pub notes: Vec<String>,
    /// The directories whose changes call for another reload (config.md B105), but those of services.
    pub watched_directories: Vec<PathBuf>,
}

/// What the bus needs of a configuration, and what in its policies has no effect; limits of users
/// and groups are in other files, and so are services; who starts them is not known from it alone.
#[must_use]
pub fn settings_of(config: &BusConfig) -> (Settings, Vec<Problem>) {
    let (policy, problems) = PolicySet::new(config, &SystemAccounts);
    let settings = Settings {
        limits: config.limits.clone(),
        limit_overrides: LimitOverrides::default(),
        starter: Starter::default(),
        policy: Arc::new(policy),
        services: Arc::default(),
    };
    (settings, problems)
}

/// The mechanisms a configuration names; all of them if it names none (config.md B018). One that
/// does not exist was complained about when the configuration was read.
///
/// # Errors
/// None of those named exists, so that nobody could connect.
pub fn mechanisms_of(config: &BusConfig) -> Result<Vec<Mechanism>, String> {
    let all = [Mechanism::External, Mechanism::DbusCookieSha1, Mechanism::Anonymous];
    if config.auth.is_empty() {
        return Ok(all.to_vec());
    }
    let named = all.into_iter().filter(|m| config.auth.iter().any(|name| name == m.name()));
    let named: Vec<Mechanism> = named.collect();
    if named.is_empty() {
        let place = config.places.auth.as_ref().unwrap_or(&config.origin);
        return Err(format!(
            "{place}: no <auth> element names a known mechanism, so that nobody could connect; \
             write <auth>EXTERNAL</auth>"
        ));
    }
    Ok(named)
}

fn join(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let separator = if text.is_empty() { "" } else { "; " };
        // INVARIANT: writing to a String cannot fail.
        let _ = write!(text, "{separator}{problem}");
        text
    })
}
