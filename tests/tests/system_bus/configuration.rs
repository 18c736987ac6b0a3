//! The configuration checked, and read again while clients are connected.

use std::fs;
use std::path::Path;

use crate::Case;
use crate::system_bus::{ANN, NOBODY, SYSTEM_CONF, SystemBus, ask_daemon, connect_as, place_of};

const LOCAL_CONF: &str = "/etc/dbus-1/system-local.conf";
const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const NAME: &str = "org.example.Later";
/// How many policy files there are at least where `install-services` has run.
const POLICY_FILE_COUNT_MIN: usize = 20;

pub(crate) const CASES: &[Case] = &[
    Case { name: "--check-config finds no error in Debian's files", services: &[], run: sound },
    Case { name: "a broken policy file is left out", services: &[], run: broken },
    Case { name: "SIGHUP applies a policy to who is connected", services: &[], run: hang_up },
    Case { name: "so does a new file in system.d", services: &[], run: new_file },
];

fn sound() {
    let directories = ["/usr/share/dbus-1/system.d", "/etc/dbus-1/system.d"];
    let count: usize = directories.iter().map(|path| fs::read_dir(path).unwrap().count()).sum();
    let installed = std::env::var_os("REQUIRE_STOCK_CLIENTS").is_some();
    assert!(count >= POLICY_FILE_COUNT_MIN || !installed, "only {count} policy files");
    let ended = ask_daemon("--check-config");
    // Some of the files allow an interface at every destination, which is told.
    assert!(matches!(ended.code, Some(0 | 2)), "{}{}", ended.stdout, ended.stderr);
    let (lines, last) = ended.stdout.trim_end().rsplit_once('\n').unwrap_or(("", &ended.stdout));
    assert!(last.starts_with("0 errors, "), "{last}");
    for line in lines.lines() {
        let place = line.strip_prefix("warning: ").and_then(|line| line.split(':').next());
        let file = place.unwrap_or_else(|| panic!("{line}"));
        assert!(Path::new(file).is_file(), "{line}");
        assert_ne!(file, SYSTEM_CONF, "a warning about our own file: {line}");
    }
}

fn broken() {
    let file = "/etc/dbus-1/system.d/broken.conf";
    fs::write(file, "<busconfig>\n  <policy user='nobody'>\n    <allow own='*'>\n").unwrap();
    let ended = ask_daemon("--check-config");
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("error: {file}:")), "{}", ended.stdout);
    assert!(ended.stdout.contains("\n1 error, "), "{}", ended.stdout);
    let bus = SystemBus::start();
    bus.hang_up();
    assert_eq!(request(&mut connect_as(NOBODY)), DENIED);
}

/// Asks for [`NAME`]; answers the error's name, or nothing.
fn request(client: &mut bus_tests::harness::Client) -> String {
    client.try_call("RequestName", &[NAME.into(), 0_u32.into()]).error_name()
}

/// A policy that lets a user own [`NAME`].
fn policy_of(user: &str) -> String {
    format!("<busconfig><policy user='{user}'><allow own='{NAME}'/></policy></busconfig>")
}

fn hang_up() {
    let bus = SystemBus::start();
    let (mut nobody, mut ann) = (connect_as(NOBODY), connect_as(ANN));
    assert_eq!(request(&mut nobody), DENIED);
    fs::write(LOCAL_CONF, policy_of("nobody")).unwrap();
    bus.hang_up();
    assert_eq!(request(&mut nobody), "");
    assert_eq!(request(&mut ann), DENIED);
    // Who owns a name keeps it; whether it may be called is decided anew for each call.
    fs::write(LOCAL_CONF, policy_of("ann")).unwrap();
    bus.hang_up();
    assert_eq!(nobody.release_name(NAME), 1);
    assert_eq!(request(&mut nobody), DENIED);
    assert!(bus.logs(NAME).contains(&place_of("<deny own=\"*\"/>", SYSTEM_CONF)));
    assert_eq!(request(&mut ann), "");
    assert!(nobody.is_connected());
}

fn new_file() {
    let bus = SystemBus::start();
    for directory in ["/etc/dbus-1/system.d", "/usr/share/dbus-1/system.d"] {
        let file = format!("{directory}/{NAME}.conf");
        let mut nobody = connect_as(NOBODY);
        assert_eq!(request(&mut nobody), DENIED);
        // As dpkg does it: written under another name, then moved.
        fs::write(format!("{file}.dpkg-new"), policy_of("nobody")).unwrap();
        fs::rename(format!("{file}.dpkg-new"), &file).unwrap();
        bus.logs("Reloaded configuration");
        assert_eq!(request(&mut nobody), "", "{file}");
        assert_eq!(nobody.release_name(NAME), 1);
        fs::remove_file(&file).unwrap();
        bus.logs("Reloaded configuration");
        assert_eq!(request(&mut nobody), DENIED, "{file} is removed");
    }
}
