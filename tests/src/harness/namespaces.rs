//! Tests that start their own program again, where what it does to the system ends with it.

use std::path::Path;
use std::process::Command;

use super::{Daemon, run};

/// This program again, as the first process in mount, pid and network namespaces of its own, after
/// `script` has set them up; the script gets the program as its argument and runs it. What is left
/// running ends with it. Nothing in its environment leads to a bus or to the user's files.
pub fn in_namespaces(script: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--net", "--fork", "--kill-child=KILL", "--mount-proc", "sh"])
        .arg(script)
        .arg(std::env::current_exe().expect("the path of this test"))
        .env("BUS_DAEMON", Daemon::ours().program)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/nonexistent")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let leading_out = [
        "DBUS_SYSTEM_BUS_ADDRESS",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "XDG_CONFIG_DIRS",
        "XDG_DATA_DIRS",
        "XDG_CURRENT_DESKTOP",
    ];
    for variable in leading_out {
        command.env_remove(variable);
    }
    command
}

/// Whether the kernel lets this process make such namespaces, and mount there.
pub fn may_make_namespaces() -> bool {
    let mounts = "mount -t tmpfs tmpfs /run && mount -o remount,bind,ro /";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--net", "--fork", "sh", "-c", mounts]);
    run(&command, &[]).code == Some(0)
}
