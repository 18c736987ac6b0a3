//! One case: what it is called, what it proves, what bus it needs.

use bus_tests::harness::{Bus, Config, Listen};

/// A case of the suite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// What holds if it passes, in a few words.
    pub(crate) name: &'static str,
    /// The checklist items it proves, separated by spaces.
    pub(crate) items: &'static str,
    /// The bus it runs on.
    pub(crate) config: Config,
    /// Whether it needs to become another user.
    pub(crate) needs_root: bool,
    /// The script.
    pub(crate) run: fn(&Bus),
}

impl Case {
    /// A case on a plain session bus.
    pub(crate) const fn new(name: &'static str, items: &'static str, run: fn(&Bus)) -> Self {
        Self { name, items, config: Config::SESSION, needs_root: false, run }
    }

    /// With these limits.
    pub(crate) const fn limits(mut self, limits: &'static [(&'static str, u32)]) -> Self {
        self.config.limits = limits;
        self
    }

    /// With these authentication mechanisms.
    pub(crate) const fn auth(mut self, auth: &'static [&'static str]) -> Self {
        self.config.auth = auth;
        self
    }

    /// Listening at these addresses.
    pub(crate) const fn listen(mut self, addresses: &'static [&'static str]) -> Self {
        self.config.listen = Listen::Addresses(addresses);
        self
    }

    /// With further configuration elements.
    pub(crate) const fn elements(mut self, elements: &'static str) -> Self {
        self.config.elements = elements;
        self
    }

    /// With these directories in the bus's own one.
    pub(crate) const fn directories(mut self, directories: &'static [&'static str]) -> Self {
        self.config.directories = directories;
        self
    }

    /// On a socket passed in.
    pub(crate) const fn listen_systemd(mut self) -> Self {
        self.config.listen = Listen::Systemd;
        self
    }

    /// With these environment variables.
    pub(crate) const fn environment(
        mut self,
        environment: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.config.environment = environment;
        self
    }

    /// Run by root only, since it connects as another user.
    pub(crate) const fn needs_root(mut self) -> Self {
        self.needs_root = true;
        self
    }
}
