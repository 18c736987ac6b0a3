//! How many descriptors the daemon may hold, and which user it runs as.

use std::ffi::CString;
use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::{getegid, geteuid, initgroups, setgid, setuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    set_no_new_privs,
};

use super::accounts::{AccountError, find_user};
use super::phrase;

/// What a privileged daemon wants at least (config.md B125).
const PRIVILEGED_FDS: rlim_t = 65_536;

/// The two bounds on how many descriptors a process may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdLimit {
    /// What is in force.
    pub soft: u64,
    /// How far the process may raise it without privileges.
    pub hard: u64,
}

/// What [`raise_fd_limit`] found and did.
#[derive(Debug)]
pub struct RaisedFdLimit {
    /// The limit before, which started services get back.
    pub original: FdLimit,
    /// The limit now.
    pub current: FdLimit,
    /// Why the limit is not what it should be. The bus works, with room for fewer clients: a line in
    /// the log is the right answer.
    pub failure: Option<io::Error>,
}

/// Raises `RLIMIT_NOFILE`: as root to at least 65,536, else to what the hard limit allows; never
/// lowers it (config.md B125). Call before dropping privileges.
///
/// # Errors
/// When the limit can not even be read.
pub fn raise_fd_limit() -> io::Result<RaisedFdLimit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let original = FdLimit { soft, hard };
    let unprivileged = FdLimit { soft: hard, hard };
    let wanted = if geteuid().is_root() {
        FdLimit { soft: soft.max(PRIVILEGED_FDS), hard: hard.max(PRIVILEGED_FDS) }
    } else {
        unprivileged
    };
    let failure = match set_fd_limit(wanted) {
        Ok(()) => return Ok(RaisedFdLimit { original, current: wanted, failure: None }),
        Err(failure) => failure,
    };
    // A root without CAP_SYS_RESOURCE, as in many containers, can do what anybody can.
    let current = if set_fd_limit(unprivileged).is_ok() { unprivileged } else { original };
    let enough = current.soft >= wanted.soft;
    Ok(RaisedFdLimit { original, current, failure: (!enough).then_some(failure) })
}

/// Whether this process has the rights of root.
#[must_use]
pub fn is_privileged() -> bool {
    geteuid().is_root()
}

/// How many descriptors the process may hold.
#[must_use]
pub fn fd_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

fn set_fd_limit(limit: FdLimit) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_NOFILE, limit.soft, limit.hard)?)
}

/// Why [`drop_privileges`] failed; the daemon must not go on (config.md B011).
#[derive(Debug)]
pub enum DropPrivilegesError {
    /// Neither a login name nor a user id of the user database.
    UnknownUser(String),
    /// The user database could not be read.
    UserDatabase(Errno),
    /// The kernel refused one of the three changes.
    Refused {
        /// What was being set: groups, group or user.
        step: &'static str,
        /// The user to become.
        user: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl fmt::Display for DropPrivilegesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser(user) => write!(
                f,
                "The user \"{user}\" of the configuration does not exist; create it or change \
                 the <user> element"
            ),
            Self::UserDatabase(errno) => {
                write!(f, "Failed to read the user database: {}", phrase(&(*errno).into()))
            }
            Self::Refused { step, user, errno } => write!(
                f,
                "Failed to set the {step} of user \"{user}\": {}; start as root or remove the \
                 <user> element",
                phrase(&(*errno).into())
            ),
        }
    }
}

impl std::error::Error for DropPrivilegesError {}

/// Becomes `user`, a login name or a user id: supplementary groups, group, user, for good. Of the rights
/// of root only that of writing to the kernel's audit stays, if `keeps_audit` and it was there: for
/// this thread and those that it starts, not for programs (config.md B113).
///
/// A process that is that user and group already is left as it is.
///
/// # Errors
/// See [`DropPrivilegesError`]; some of the three changes may have been made.
pub fn drop_privileges(user: &str, keeps_audit: bool) -> Result<(), DropPrivilegesError> {
    let account = find_user(user).map_err(|error| match error {
        AccountError::Unknown => DropPrivilegesError::UnknownUser(user.to_owned()),
        AccountError::Database(errno) => DropPrivilegesError::UserDatabase(errno),
    })?;
    if !geteuid().is_root() && geteuid() == account.uid && getegid() == account.gid {
        return Ok(());
    }
    let refused =
        |step| move |errno| DropPrivilegesError::Refused { step, user: user.to_owned(), errno };
    let name = CString::new(account.name)
        .map_err(|_| DropPrivilegesError::UnknownUser(user.to_owned()))?;
    initgroups(&name, account.gid).map_err(refused("supplementary groups"))?;
    setgid(account.gid).map_err(refused("group"))?;
    let keeps_audit = keeps_audit && may_audit();
    if keeps_audit {
        set_keep_capabilities(true).map_err(refused_by_rustix("capabilities", user))?;
    }
    setuid(account.uid).map_err(refused("user id"))?;
    if keeps_audit {
        let kept = CapabilitySet::AUDIT_WRITE;
        let sets = CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets).map_err(refused_by_rustix("capabilities", user))?;
    }
    Ok(())
}

/// From now on neither this thread nor what it starts gains rights by running a program
/// (PR_SET_NO_NEW_PRIVS in prctl(2)). For a bus whose services another process starts.
///
/// # Errors
/// A kernel older than 3.5.
pub fn lock_in() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

/// Whether this thread may write to the kernel's audit.
#[must_use]
pub fn may_audit() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::AUDIT_WRITE))
}

fn refused_by_rustix(
    step: &'static str,
    user: &str,
) -> impl FnOnce(rustix::io::Errno) -> DropPrivilegesError {
    move |errno| DropPrivilegesError::Refused {
        step,
        user: user.to_owned(),
        errno: Errno::from_raw(errno.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::User;

    use super::*;

    // config.md B125
    #[test]
    fn the_fd_limit_rises_and_the_original_is_remembered() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let raised = raise_fd_limit().unwrap();
        assert_eq!(raised.original, FdLimit { soft, hard });
        assert!(raised.current.soft >= soft);
        let now = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(now, (raised.current.soft, raised.current.hard));
        assert!(raised.failure.is_some() || now.0 >= hard);
        set_fd_limit(FdLimit { soft, hard: now.1 }).unwrap();
    }

    // config.md B011
    #[test]
    fn an_unknown_user_is_refused_before_anything_changes() {
        for user in ["no-such-user-here", "4294967294", ""] {
            let error = drop_privileges(user, true).unwrap_err();
            assert!(matches!(&error, DropPrivilegesError::UnknownUser(name) if name == user));
            assert!(error.to_string().contains("<user>"));
        }
    }

    #[test]
    #[ignore = "run by the test below in a process of its own"]
    fn as_nobody() {
        let Some(user) = std::env::var_os("TEST_USER") else { return };
        let keeps_audit = std::env::var_os("TEST_AUDIT").is_some();
        let could_audit = may_audit();
        drop_privileges(user.to_str().unwrap(), keeps_audit).unwrap();
        let kept = match keeps_audit && could_audit {
            true => CapabilitySet::AUDIT_WRITE,
            false => CapabilitySet::empty(),
        };
        let CapabilitySets { effective, permitted, inheritable } = capabilities(None).unwrap();
        assert_eq!((effective, permitted, inheritable), (kept, kept, CapabilitySet::empty()));
        let account = find_user("nobody").unwrap();
        assert_eq!((geteuid(), getegid()), (account.uid, account.gid));
        let groups = nix::unistd::getgroups().unwrap();
        assert!(!groups.contains(&nix::unistd::Gid::from_raw(0)), "{groups:?}");
        let error = drop_privileges("root", false).unwrap_err();
        assert!(matches!(error, DropPrivilegesError::Refused { .. }), "{error}");
        drop_privileges("nobody", false).unwrap();
    }

    // config.md B011
    #[test]
    fn root_becomes_another_user_for_good() {
        if !geteuid().is_root() {
            return;
        }
        let uid = find_user("nobody").unwrap().uid;
        for (user, keeps_audit) in [("nobody", false), (&*uid.to_string(), true)] {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "host::resource_limits::tests::as_nobody", "--ignored"]);
            command.env("TEST_USER", user);
            if keeps_audit {
                command.env("TEST_AUDIT", "1");
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }

    #[test]
    fn being_the_user_already_is_enough() {
        if let Ok(Some(account)) = User::from_uid(geteuid())
            && !geteuid().is_root()
            && account.gid == getegid()
        {
            drop_privileges(&account.name, false).unwrap();
        }
    }
}
