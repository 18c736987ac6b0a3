//! Users and groups by name, from the system's databases (NSS).
//!
//! A lookup can take long, so it happens only while a configuration is read: at the start and, at a
//! reload, in the worker's thread.

use bus_policy::AccountNames;
use nix::unistd::{Group, User};

/// The accounts of this system.
#[derive(Clone, Copy, Debug)]
pub struct SystemAccounts;

impl AccountNames for SystemAccounts {
    fn uid(&self, name: &str) -> Option<u32> {
        User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
    }

    fn gid(&self, name: &str) -> Option<u32> {
        Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
    }
}
