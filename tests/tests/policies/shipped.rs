//! The configurations that are shipped: config.md B.6.

use std::path::Path;
use std::sync::Arc;

use bus_policy::config::NoFiles;
use bus_policy::inquiry::{Anonymous, Door, Inquiry};
use bus_policy::{AccountNames, BusConfig, Limits, PolicySet, ServiceDirectory, load_text};

struct Accounts;

impl AccountNames for Accounts {
    fn uid(&self, name: &str) -> Option<u32> {
        [("root", 0), ("messagebus", 100), ("USER", 1000)]
            .into_iter()
            .find(|account| account.0 == name)
            .map(|account| account.1)
    }

    fn gid(&self, _name: &str) -> Option<u32> {
        None
    }

    fn gids_of(&self, _uid: u32) -> Option<Vec<u32>> {
        Some(Vec::new())
    }
}

/// Files of `bus-daemon/data`, one after the other as if they included each other.
fn read(names: &[&str]) -> BusConfig {
    let texts: Vec<String> = names.iter().map(|name| text_of(name)).collect();
    let [first, rest @ ..] = texts.as_slice() else { panic!("a file") };
    let root = "</busconfig>";
    let inner = |text: &String| {
        let start = text.find("<busconfig>").unwrap() + "<busconfig>".len();
        text[start..text.rfind(root).unwrap()].to_owned()
    };
    let added: String = rest.iter().map(inner).collect();
    let whole = first.replace(root, &format!("{added}{root}"));
    let loaded = load_text(Path::new(names[0]), whole.as_bytes(), &NoFiles);
    assert_eq!(loaded.problems, [], "{names:?}");
    loaded.config.unwrap()
}

fn text_of(name: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bus-daemon/data");
    std::fs::read_to_string(data.join(name)).unwrap()
}

fn check(config: &BusConfig, question: &str, expected: bool) {
    let (set, problems) = PolicySet::new(config, &Accounts);
    assert_eq!(problems, []);
    let inquiry = Inquiry::parse(question, &Accounts).unwrap();
    let door = Door { own_uid: 100, anonymous: Anonymous::Denied };
    let answer = inquiry.answer(&Arc::new(set), door);
    assert_eq!(answer.allowed, expected, "{answer}");
}

// config.md B079
#[test]
fn the_session_bus_allows_everything_within_generous_limits() {
    let config = read(&["session.conf"]);
    assert_eq!(config.bus_type.as_deref(), Some("session"));
    assert!(config.keep_umask && !config.fork);
    assert_eq!(config.listen, ["unix:tmpdir=/tmp"]);
    assert_eq!(config.auth, ["EXTERNAL"]);
    assert_eq!(config.service_dirs, [ServiceDirectory::StandardSession]);
    let limits = Limits {
        incoming_bytes_max: 1_000_000_000,
        incoming_unix_fds_max: 250_000_000,
        outgoing_bytes_max: 1_000_000_000,
        outgoing_unix_fds_max: 250_000_000,
        // 1,000,000,000, clamped.
        message_size_max: 134_217_728,
        service_start_timeout_ms: 120_000,
        auth_timeout_ms: 240_000,
        pending_fd_timeout_ms: 150_000,
        completed_connections_max: 100_000,
        incomplete_connections_max: 10_000,
        connections_per_user_max: 100_000,
        pending_service_starts_max: 10_000,
        names_per_connection_max: 50_000,
        match_rules_per_connection_max: 50_000,
        replies_per_connection_max: 50_000,
        ..Limits::default()
    };
    assert_eq!(config.limits, limits);
    check(&config, "uid=100 connect", true);
    check(&config, "uid=1000 connect", false);
    check(&config, "uid=100 own=org.example.A", true);
    check(&config, "uid=100 send destination=org.example.A type=error", true);
    check(&config, "uid=100 receive sender=org.example.A eavesdropping", true);
    let closed = read(&["session.conf", "examples/example-session-disable-stats.conf"]);
    let stats = "uid=100 send destination=org.freedesktop.DBus \
                 interface=org.freedesktop.DBus.Debug.Stats member=GetStats";
    check(&config, stats, true);
    check(&closed, stats, false);
}

// config.md B080, B083
#[test]
fn the_system_bus_is_set_up_as_the_system_expects() {
    let config = read(&["system.conf"]);
    assert_eq!(config.bus_type.as_deref(), Some("system"));
    assert_eq!(config.user.as_deref(), Some("messagebus"));
    assert!(config.fork && config.syslog);
    assert_eq!(config.pidfile.as_deref(), Some(Path::new("/run/dbus/pid")));
    assert_eq!(config.auth, ["EXTERNAL"]);
    assert_eq!(config.listen, ["unix:path=/run/dbus/system_bus_socket"]);
    assert_eq!(config.service_dirs, [ServiceDirectory::StandardSystem]);
    assert_eq!(config.service_helper, None, "nothing needs to be setuid root");
    assert_eq!(config.limits, Limits::default());
    let text = text_of("system.conf");
    let included = |path: &str| assert!(text.contains(&format!(">{path}</include")), "{path}");
    included("/etc/dbus-1/system.conf");
    included("system.d");
    included("/etc/dbus-1/system.d");
    included("/etc/dbus-1/system-local.conf");
}

// config.md B081, B082
#[test]
fn the_system_bus_permits_only_what_is_said() {
    let config = read(&["system.conf"]);
    let check = |question: &str, expected| check(&config, question, expected);
    let bus = "send destination=org.freedesktop.DBus interface=";
    check("uid=1000 connect", true);
    check("uid=1000 own=org.example.A", false);
    check("uid=1000 send destination=org.example.A interface=org.example.I member=M", false);
    check("uid=1000 send type=signal interface=org.example.I member=M", true);
    check("uid=1000 send type=method_return requested_reply", true);
    check("uid=1000 send type=method_return", false);
    check("uid=1000 send type=error requested_reply", true);
    for kind in ["method_call", "method_return requested_reply", "error requested_reply", "signal"]
    {
        check(&format!("uid=1000 receive sender=org.example.A type={kind}"), true);
    }
    check("uid=1000 receive sender=org.example.A eavesdropping", false);
    check(&format!("uid=1000 {bus}org.freedesktop.DBus member=GetId"), true);
    check(&format!("uid=1000 {bus}org.freedesktop.DBus.Properties member=Get"), true);
    check(&format!("uid=1000 {bus}org.freedesktop.DBus.Introspectable"), true);
    check(&format!("uid=1000 {bus}org.freedesktop.DBus.Peer member=Ping"), false);
    for (interface, member) in [
        ("org.freedesktop.DBus.Debug.Stats", "GetStats"),
        ("org.freedesktop.DBus.Monitoring", "BecomeMonitor"),
        ("org.freedesktop.systemd1.Activator", "ActivationFailure"),
        ("org.libbus.Policy1", "Explain"),
        ("org.libbus.Stats1", "GetClients"),
    ] {
        check(&format!("uid=1000 {bus}{interface} member={member}"), false);
        check(&format!("uid=0 {bus}{interface} member={member}"), true);
    }
    let environment = format!("{bus}org.freedesktop.DBus member=UpdateActivationEnvironment");
    check(&format!("uid=1000 {environment}"), false);
}

// config.md B084
#[test]
fn the_examples_do_what_they_say() {
    let stats = "send destination=org.freedesktop.DBus \
                 interface=org.freedesktop.DBus.Debug.Stats member=GetStats";
    let open = read(&["system.conf", "examples/example-system-enable-stats.conf"]);
    check(&open, &format!("uid=1000 {stats}"), true);
    check(&open, &format!("uid=1001 {stats}"), false);
    let clients = "send destination=org.freedesktop.DBus \
                   interface=org.libbus.Stats1 member=GetClients";
    check(&open, &format!("uid=1000 {clients}"), true);
    check(&open, &format!("uid=1001 {clients}"), false);
    let name = "examples/example-system-hardening-without-traditional-activation.conf";
    let hardened = read(&["system.conf", name]);
    assert_eq!(hardened.service_helper.as_deref(), Some(Path::new("/bin/false")));
}
