//! Users and groups by name, from the system's databases (NSS).
//!
//! A lookup can take long, so it happens only while a configuration is read: at the start and, at a
//! reload, in the worker's thread.

use std::ffi::CString;

use bus_policy::AccountNames;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

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

    fn gids_of(&self, uid: u32) -> Vec<u32> {
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return Vec::new() };
        let Ok(name) = CString::new(user.name) else { return Vec::new() };
        let gids = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        gids.into_iter().map(Gid::as_raw).collect()
    }
}
