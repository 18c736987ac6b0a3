//! Which services can be started, as the host found them in service files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::service_file::ServiceFile;

/// Who executes what a service file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Starter {
    /// The bus itself, as its own user.
    #[default]
    Bus,
    /// A program that the configuration names (config.md B022).
    Helper,
    /// The process that keeps the privileges which the bus gives up.
    PrivilegedLauncher,
}

impl Starter {
    /// Whether services run as users of their own, so that nobody who may speak with the bus may choose
    /// their environment (config.md B022, B101).
    #[must_use]
    pub const fn changes_user(self) -> bool {
        !matches!(self, Self::Bus)
    }
}

/// A service that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What its file says.
    pub file: ServiceFile,
    /// Where that is.
    pub path: Arc<Path>,
}

/// All of them, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services(BTreeMap<String, Arc<Service>>);

impl Services {
    /// Adds a service, unless there is one of that name: the first directory counts
    /// (config.md B085–B092).
    pub fn add(&mut self, service: Service) {
        self.0.entry(service.file.name.clone()).or_insert_with(|| Arc::new(service));
    }

    /// The service of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Service>> {
        self.0.get(name)
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
