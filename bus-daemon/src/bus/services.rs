//! Which services can be started, as the host found them in service files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::service_file::ServiceFile;

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
