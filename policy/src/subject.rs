//! Who asks: users and groups, by number.
//!
//! Policies name accounts by name or number; which numbers the names mean is found out once, when a
//! configuration is read, through [`AccountNames`]. A number stands for itself.

/// Looks up accounts: the system's databases in the daemon, a table in tests.
pub trait AccountNames {
    /// The uid of the user `name`, if there is such a user.
    fn uid(&self, name: &str) -> Option<u32>;

    /// The gid of the group `name`, if there is such a group.
    fn gid(&self, name: &str) -> Option<u32>;

    /// The groups of a user, its primary one among them, and an empty list if there is no such user;
    /// `None` where groups of users are not looked up.
    fn gids_of(&self, uid: u32) -> Option<Vec<u32>>;
}

/// Accounts that go by their numbers alone, where nothing is looked up.
#[derive(Clone, Copy, Debug)]
pub struct NumbersOnly;

impl AccountNames for NumbersOnly {
    fn uid(&self, _name: &str) -> Option<u32> {
        None
    }

    fn gid(&self, _name: &str) -> Option<u32> {
        None
    }

    fn gids_of(&self, _uid: u32) -> Option<Vec<u32>> {
        None
    }
}

/// Who connects, sends, receives or wants a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The user; `None` for a client that authenticated as nobody (config.md B053).
    pub uid: Option<u32>,
    /// All groups of the user, in any order.
    pub gids: &'a [u32],
}

/// The uid that a user's name or number in a configuration means.
#[must_use]
pub fn uid_of(name: &str, accounts: &impl AccountNames) -> Option<u32> {
    number_or(name, |name| accounts.uid(name))
}

/// The gid that a group's name or number in a configuration means.
#[must_use]
pub fn gid_of(name: &str, accounts: &impl AccountNames) -> Option<u32> {
    number_or(name, |name| accounts.gid(name))
}

/// The number that a name in a policy means: itself, if it is one (config.md B047, B071).
fn number_or(name: &str, look_up: impl FnOnce(&str) -> Option<u32>) -> Option<u32> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) { name.parse().ok() } else { look_up(name) }
}
