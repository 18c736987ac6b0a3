//! Which security module of the kernel mediates, found when the daemon starts.
//!
//! AppArmor and SELinux exclude each other in a kernel, and a client has one label: one of them is
//! asked at most.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use bus_policy::config::BusConfig;

use super::apparmor::AppArmor;
use super::phrase;
use super::selinux::Selinux;
use super::selinux::notices::SelinuxNotices;
use crate::bus::mediation::{Mediation, NoMediation};

/// The module, and what the daemon needs to follow it.
pub struct SecurityModule {
    /// Whom the core asks.
    pub mediation: Rc<dyn Mediation>,
    /// Readable when the module's policy or mode changed.
    pub notices: Option<SelinuxNotices>,
    /// What the administrator should know.
    pub notes: Vec<String>,
}

impl SecurityModule {
    /// No module.
    #[must_use]
    pub fn none() -> Self {
        Self { mediation: Rc::new(NoMediation), notices: None, notes: Vec::new() }
    }

    /// The module of the machine whose file system starts at `root`.
    ///
    /// # Errors
    /// When AppArmor is required and not there, or when a module does not say which label this
    /// process has.
    pub fn find(root: &Path, config: &BusConfig) -> Result<Self, String> {
        // A kernel without SELinux would look for a module that gives notices.
        if Selinux::is_enabled(root)
            && let Some(module) = Self::find_selinux(root, config)?
        {
            return Ok(module);
        }
        let mode = config.apparmor_mode.unwrap_or_default();
        let apparmor = AppArmor::open(root, mode, config.bus_type.as_deref());
        let place = config.places.apparmor.as_ref().unwrap_or(&config.origin);
        match apparmor.map_err(|error| format!("{place}: {error}"))? {
            Some(apparmor) => Ok(Self { mediation: Rc::new(apparmor), ..Self::none() }),
            None => Ok(Self::none()),
        }
    }

    fn find_selinux(root: &Path, config: &BusConfig) -> Result<Option<Self>, String> {
        // Before the policy is read, so that no change falls in between.
        let notices = SelinuxNotices::open();
        let selinux = Selinux::open(root, &config.selinux_contexts, notices.is_ok())?;
        let note = notices.as_ref().err().map(|error| {
            format!(
                "Cannot get the notices of SELinux: {}; the bus asks the kernel about every \
                 message, which costs time",
                phrase(error)
            )
        });
        Ok(selinux.map(|selinux| Self {
            mediation: Rc::new(selinux),
            notices: notices.ok(),
            notes: note.into_iter().collect(),
        }))
    }
}

impl fmt::Debug for SecurityModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecurityModule").field(&self.mediation).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bus_policy::config::AppArmorMode;

    use super::*;
    use crate::host::tests_support::TemporaryDirectory;

    // config.md B026, B110, B115
    #[test]
    fn the_module_that_is_there_is_found() {
        let root = TemporaryDirectory::new();
        let write = |name: &str, content: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let check = |case: &str, mode: AppArmorMode, expected: Result<&str, &str>| {
            let config = BusConfig { apparmor_mode: Some(mode), ..BusConfig::default() };
            let found = SecurityModule::find(root.path(), &config);
            match (&found, expected) {
                (Ok(module), Ok(name)) => {
                    assert!(
                        format!("{:?}", module.mediation).starts_with(name),
                        "{case}: {module:?}"
                    );
                    assert_eq!(module.mediation.is_active(), name != "NoMediation", "{case}");
                }
                (Err(text), Err(part)) => assert!(text.contains(part), "{case}: {text}"),
                _ => panic!("{case}: {found:?}"),
            }
        };
        let (enabled, required) = (AppArmorMode::Enabled, AppArmorMode::Required);
        check("none", enabled, Ok("NoMediation"));
        check("none", required, Err("AppArmor mediation required but not present"));
        write("proc/self/attr/current", "bus (enforce)");
        write("sys/module/apparmor/parameters/enabled", "Y\n");
        write("sys/kernel/security/apparmor/features/dbus/mask", "send");
        check("AppArmor", enabled, Ok("AppArmor"));
        check("AppArmor", required, Ok("AppArmor"));
        check("AppArmor", AppArmorMode::Disabled, Ok("NoMediation"));
        write("sys/fs/selinux/enforce", "1");
        write("proc/self/attr/current", "system_u:system_r:bus_t:s0");
        check("SELinux", enabled, Ok("Selinux"));
    }
}
