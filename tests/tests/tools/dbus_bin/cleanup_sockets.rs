//! `dbus-cleanup-sockets` (tools.md D055). Debian's looks into /tmp whatever it is told, and is not let loose there.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use bus_tests::harness::{bus_command, may_make_namespaces, run, skip, skip_without};

use super::on_bus;
use super::transcript::Case;

#[test]
fn sockets_without_a_server_are_removed() {
    on_bus("dbus-cleanup-sockets", |tool, bus| {
        let directory = bus.dir.join("sockets");
        fs::create_dir(&directory).unwrap();
        for name in ["dbus-dead", "dbus-dead2", "other-dead"] {
            drop(UnixListener::bind(directory.join(name)).unwrap());
        }
        let _live = UnixListener::bind(directory.join("dbus-live")).unwrap();
        fs::write(directory.join("dbus-file"), "").unwrap();
        fs::create_dir(directory.join("dbus-folder")).unwrap();
        let path = directory.display();
        let said = |removed| {
            format!(
                "Cleaned up {removed} sockets in {path}; 1 sockets are still in use; 0 in unknown state\n= 0"
            )
        };
        let case = Case::of([directory.as_os_str()]);
        assert_eq!(tool.ours.run(&case), said(2));
        assert_eq!(tool.ours.run(&case), said(0));
        let mut left: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["dbus-file", "dbus-folder", "dbus-live", "other-dead"]);
    });
}

#[test]
fn options_and_their_errors() {
    on_bus("dbus-cleanup-sockets", |tool, _| {
        tool.check(&Case::new("--help"));
        tool.check(&Case::new("-h"));
        tool.check(&Case::new("--bogus"));
        tool.check_code(&Case::new("--version"));
        let said = tool.ours.run(&Case::new("/no/where"));
        assert_eq!(said, "! Failed to open directory /no/where: No such file or directory\n= 1");
    });
}

/// In a /tmp that nobody else sees.
#[test]
fn an_empty_name_is_that_of_no_directory() {
    if !may_make_namespaces() {
        return skip("no namespaces may be made");
    }
    let script = "mount -t tmpfs tmpfs /tmp && exec -a dbus-cleanup-sockets \"$0\" ''";
    let cleaned = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", script]).arg(program).env_remove("TMPDIR");
        run(&command, b"").succeeds()
    };
    let ours = cleaned(&bus_command());
    assert_eq!(
        ours,
        "Cleaned up 0 sockets in /tmp; 0 sockets are still in use; 0 in unknown state\n"
    );
    let original = Path::new("/usr/bin/dbus-cleanup-sockets");
    match original.is_file() {
        true => assert_eq!(ours, cleaned(original)),
        false => skip_without("dbus-cleanup-sockets, beside which ours is run,"),
    }
}
