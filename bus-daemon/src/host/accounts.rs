//! Users and groups by name, from the system's databases (NSS).
//!
//! A lookup can take long, so it happens only while a configuration is read: at the start and, at a
//! reload, in the worker's thread.

use std::ffi::CString;

use bus_policy::AccountNames;
use nix::errno::Errno;
use nix::unistd::{
    Gid, Group, Uid, User, geteuid, getgrouplist, getuid, setgid, setgroups, setuid,
};

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

    fn gids_of(&self, uid: u32) -> Option<Vec<u32>> {
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return Some(Vec::new()) };
        let Ok(name) = CString::new(user.name) else { return Some(Vec::new()) };
        let gids = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        Some(gids.into_iter().map(Gid::as_raw).collect())
    }
}

/// Why there is no account to speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// Neither a login name nor a user id of the user database.
    Unknown,
    /// The user database could not be read.
    Database(Errno),
}

/// The user of this login name or user id.
///
/// # Errors
/// See [`AccountError`].
pub fn find_user(user: &str) -> Result<User, AccountError> {
    let by_name = User::from_name(user).map_err(AccountError::Database)?;
    let found = match (by_name, user.parse()) {
        (None, Ok(uid)) => User::from_uid(Uid::from_raw(uid)).map_err(AccountError::Database)?,
        (by_name, _) => by_name,
    };
    found.ok_or(AccountError::Unknown)
}

/// The user of this login name. A number is none (config.md B103).
///
/// # Errors
/// See [`AccountError`].
pub fn find_login(name: &str) -> Result<User, AccountError> {
    User::from_name(name).map_err(AccountError::Database)?.ok_or(AccountError::Unknown)
}

/// Whose rights this process has.
#[must_use]
pub fn running_as() -> Uid {
    geteuid()
}

/// Who runs this process, whatever rights it has besides.
#[must_use]
pub fn current_user() -> Uid {
    getuid()
}

/// All that the kernel knows of whom a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    uid: Uid,
    gid: Gid,
    /// Supplementary groups.
    groups: Vec<Gid>,
}

impl Membership {
    /// What a login as this user brings (config.md B103).
    ///
    /// # Errors
    /// The group database could not be read.
    pub fn of(user: &User) -> Result<Self, Errno> {
        let name = CString::new(user.name.as_str()).map_err(|_| Errno::EINVAL)?;
        let groups = getgrouplist(&name, user.gid)?;
        Ok(Self { uid: user.uid, gid: user.gid, groups })
    }

    /// Has this process run as that, for good. Allocates nothing.
    ///
    /// # Errors
    /// Those of the three system calls; some of the changes may have been made.
    pub(super) fn take_on(&self) -> Result<(), Errno> {
        setgroups(&self.groups)?;
        setgid(self.gid)?;
        setuid(self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        assert_eq!(find_user("root").unwrap().uid.as_raw(), 0);
        assert_eq!(find_user("0").unwrap().name, "root");
        assert_eq!(find_user("no-such-user-here"), Err(AccountError::Unknown));
        assert_eq!(find_login("root").unwrap().uid.as_raw(), 0);
        assert_eq!(find_login("0"), Err(AccountError::Unknown));
    }

    #[test]
    fn a_member_has_the_groups_of_the_database() {
        let root = Membership::of(&find_user("root").unwrap()).unwrap();
        assert_eq!((root.uid.as_raw(), root.gid.as_raw()), (0, 0));
        assert!(root.groups.contains(&Gid::from_raw(0)), "{root:?}");
    }
}
