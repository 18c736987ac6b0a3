use std::path::{Path, PathBuf};

use super::*;
use crate::config::{ConfigFiles, FileError, Limits, ServiceDirectory, load_text};

/// No file but the one at hand.
struct NoFiles;

impl ConfigFiles for NoFiles {
    fn read(&self, _path: &Path, _size_max: usize) -> Result<Vec<u8>, FileError> {
        Err(FileError::NotFound)
    }

    fn list(&self, _directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        Err(FileError::NotFound)
    }

    fn selinux_root(&self) -> Option<PathBuf> {
        None
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

fn read(text: &str) -> BusConfig {
    let loaded = load_text(Path::new("bus.conf"), text.as_bytes(), &NoFiles);
    assert_eq!(loaded.problems, [], "{text}");
    loaded.config.unwrap()
}

/// The answer for a configuration of these `<policy>` blocks.
fn ask(policies: &str) -> Result<AllowAll, NotAllowAll> {
    allow_all(&read(&format!("<busconfig><listen>a</listen>{policies}</busconfig>")))
}

/// The answer for these rules in `<policy context="default">`.
fn ask_default(rules: &str) -> Result<AllowAll, NotAllowAll> {
    ask(&format!("<policy context='default'>{rules}</policy>"))
}

fn restriction(answer: Result<AllowAll, NotAllowAll>) -> Option<Restriction> {
    answer.err().map(|refusal| refusal.restriction)
}

const OPEN: AllowAll = AllowAll {
    connect: Connect::OwnUser,
    send_replies: Replies::Any,
    receive_replies: Replies::Any,
    eavesdropping: Eavesdropping::Allowed,
};
const SEND: &str = "<allow send_destination='*' eavesdrop='true'/>";
const RECEIVE: &str = "<allow eavesdrop='true'/>";
const OWN: &str = "<allow own='*'/>";

fn session() -> String {
    format!("{SEND}{RECEIVE}{OWN}")
}

// config.md B079: the configuration that we ship.
#[test]
fn session_conf_allows_everything() {
    let config = read(include_str!("../../../bus-daemon/data/session.conf"));
    assert_eq!(allow_all(&config), Ok(OPEN));
    assert_eq!(config.bus_type.as_deref(), Some("session"));
    assert!(config.keep_umask && !config.fork);
    assert_eq!(config.listen, ["unix:tmpdir=/tmp"]);
    assert_eq!(config.auth, ["EXTERNAL"]);
    assert_eq!(config.service_dirs, [ServiceDirectory::StandardSession]);
    // config.md B027–B043, second column
    let limits = Limits {
        incoming_bytes_max: 1_000_000_000,
        incoming_unix_fds_max: 250_000_000,
        outgoing_bytes_max: 1_000_000_000,
        outgoing_unix_fds_max: 250_000_000,
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
}

// config.md B080–B082
#[test]
fn system_conf_is_read_and_refused() {
    let config = read(include_str!("../../../bus-daemon/data/system.conf"));
    assert_eq!(config.bus_type.as_deref(), Some("system"));
    assert_eq!(config.user.as_deref(), Some("messagebus"));
    assert!(config.fork && config.syslog && !config.keep_umask);
    assert_eq!(config.listen, ["unix:path=/run/dbus/system_bus_socket"]);
    assert_eq!(config.pidfile.as_deref(), Some(Path::new("/run/dbus/pid")));
    assert_eq!(config.service_dirs, [ServiceDirectory::StandardSystem]);
    let helper = Path::new("/usr/lib/dbus-1.0/dbus-daemon-launch-helper");
    assert_eq!(config.service_helper.as_deref(), Some(helper));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.policies.len(), 2);
    assert_eq!(config.policies[0].rules.len(), 17);
    let refusal = allow_all(&config).unwrap_err();
    assert_eq!(refusal.restriction, Restriction::Deny);
    assert!(refusal.to_string().starts_with("bus.conf:"), "{refusal}");
}

#[test]
fn follows_what_allows_everything() {
    let check = |case: &str, rules: &str, expected: AllowAll| {
        assert_eq!(ask_default(rules), Ok(expected), "{case}");
    };
    let plain = AllowAll {
        send_replies: Replies::Requested,
        receive_replies: Replies::Requested,
        eavesdropping: Eavesdropping::Refused,
        ..OPEN
    };
    check("session.conf", &session(), OPEN);
    let every_user = AllowAll { connect: Connect::EveryUser, ..OPEN };
    check("session.conf for all users", &format!("{}<allow user='*'/>", session()), every_user);
    check("for all groups", &format!("<allow group='*'/>{}", session()), every_user);
    let wildcards = "<allow send_interface='*'/><allow receive_interface='*'/><allow own='*'/>";
    check("wildcards", wildcards, plain);
    let wildcards = "<allow send_destination='*'/><allow receive_sender='*'/><allow own='*'/>";
    check("names", wildcards, plain);
    check(
        "each type",
        "<allow send_type='method_call'/><allow send_type='method_return'/>\
         <allow send_type='error'/><allow send_type='signal'/><allow receive_type='method_call'/>\
         <allow receive_type='method_return'/><allow receive_type='error'/>\
         <allow receive_type='signal'/><allow own='*'/>",
        plain,
    );
    check(
        "broadcasts and the rest, one type each",
        &format!(
            "<allow send_type='signal' send_broadcast='true'/>\
             <allow send_type='signal' send_broadcast='false'/>\
             <allow send_type='error'/><allow send_type='method_call'/>\
             <allow send_type='method_return'/>{OWN}<allow receive_type='*'/>"
        ),
        plain,
    );
    // B063
    check(
        "any reply",
        &format!(
            "<allow send_requested_reply='false'/><allow receive_requested_reply='false'/>{OWN}"
        ),
        AllowAll { eavesdropping: Eavesdropping::Refused, ..OPEN },
    );
    check(
        "any reply may be sent",
        &format!("{SEND}<allow receive_requested_reply='true'/>{OWN}"),
        AllowAll { send_replies: Replies::Any, ..plain },
    );
    check("rules for less change nothing", &format!("{}<allow own='a.b'/>", session()), OPEN);
    // B054: the wildcard removes what stands before it, also what allows more.
    check("the last wildcard counts", &format!("{SEND}{wildcards}"), plain);
    check(
        "denied and allowed again",
        &format!("<deny own='a.b'/><deny own='*'/>{}", session()),
        OPEN,
    );
    check(
        "user denied, all allowed",
        &format!("<deny user='a'/><allow user='*'/>{}", session()),
        every_user,
    );
    check(
        "user allowed as well",
        &format!("<allow user='*'/><allow user='a'/>{}", session()),
        every_user,
    );
}

#[test]
fn refuses_what_restricts() {
    let check = |case: &str, rules: &str, expected: Restriction| {
        assert_eq!(restriction(ask_default(rules)), Some(expected), "{case}");
    };
    let session = session();
    let after = |rule: &str| format!("{session}{rule}");
    check("no rule", "", Restriction::Send);
    check("no send rule", &format!("{RECEIVE}{OWN}"), Restriction::Send);
    check("no receive rule", &format!("{SEND}{OWN}"), Restriction::Receive);
    check("no own rule", &format!("{SEND}{RECEIVE}"), Restriction::Own);
    check("one name", &format!("{SEND}{RECEIVE}<allow own='a.b'/>"), Restriction::Own);
    check("names below", &format!("{SEND}{RECEIVE}<allow own_prefix='a'/>"), Restriction::Own);
    check("a deny", &after("<deny send_destination='a.b'/>"), Restriction::Deny);
    check("deny to receive", &after("<deny receive_path='/a'/>"), Restriction::Deny);
    check("deny when overhearing", &after("<deny eavesdrop='true'/>"), Restriction::Deny);
    check("deny to own", &after("<deny own='a.b'/>"), Restriction::Deny);
    check("deny all, allow one", &after("<deny own='*'/><allow own='a.b'/>"), Restriction::Deny);
    check("a user may connect", &after("<allow user='a'/>"), Restriction::ConnectSome);
    check("a user may not", &after("<allow user='*'/><deny user='a'/>"), Restriction::ConnectSome);
    check("nobody may connect", &after("<deny group='*'/>"), Restriction::ConnectSome);
    check("log", &after("<allow send_path='/a' log='true'/>"), Restriction::Log);
    // B054: it removes the rules before it although it allows less.
    check("few descriptors", &after("<allow send_type='*' max_fds='5'/>"), Restriction::Send);
    check(
        "some descriptors",
        &after("<allow receive_type='*' min_fds='1'/>"),
        Restriction::Receive,
    );
    check("broadcasts only", &after("<allow send_broadcast='true'/>"), Restriction::Send);
    check("no broadcasts", &after("<allow send_broadcast='false'/>"), Restriction::Send);
    let one_lacks = format!(
        "<allow send_type='method_call'/><allow send_type='method_return'/>\
         <allow send_type='signal'/>{RECEIVE}{OWN}"
    );
    check("no errors", &one_lacks, Restriction::Send);
    let uneven = format!(
        "<allow receive_type='*'/><allow receive_type='error' eavesdrop='true'/>{SEND}{OWN}"
    );
    check("errors may be overheard", &uneven, Restriction::Uneven);
    let uneven = format!(
        "<allow send_type='*'/><allow send_path='/a' send_requested_reply='false'/>{RECEIVE}{OWN}"
    );
    check("unrequested replies with a path", &uneven, Restriction::Uneven);
}

// config.md B049
#[test]
fn takes_blocks_for_some_users_as_restricting() {
    let default = format!("<policy context='default'>{}</policy>", session());
    let check = |case: &str, more: &str, expected| {
        // Wherever the block stands, it comes after context="default".
        assert_eq!(restriction(ask(&format!("{default}{more}"))), expected, "{case}");
        assert_eq!(restriction(ask(&format!("{more}{default}"))), expected, "{case}, before");
    };
    check("nothing in it", "<policy user='a'/>", None);
    check(
        "allow rules",
        &format!("<policy user='a'>{}<allow own='b.c'/></policy>", session()),
        None,
    );
    check("a deny", "<policy group='a'><deny own='b.c'/></policy>", Some(Restriction::Deny));
    let narrowing = "<policy user='a'><allow send_destination='*' max_fds='0'/></policy>";
    check("a wildcard that allows less", narrowing, Some(Restriction::Narrows));
    let unrequested = "<policy at_console='false'><allow send_destination='*'/></policy>";
    check("a wildcard without replies", unrequested, Some(Restriction::Narrows));
    let logs = "<policy user='a'><allow send_destination='b.c' log='true'/></policy>";
    check("a log", logs, Some(Restriction::Log));
    let overruled = format!(
        "<policy user='a'><deny own='*'/></policy><policy context='mandatory'>{OWN}</policy>"
    );
    check("a deny that is overruled", &overruled, None);
    let mandatory = "<policy context='mandatory'><deny own='b.c'/></policy>";
    check("mandatory deny", mandatory, Some(Restriction::Deny));

    let overruled = format!("{narrowing}<policy context='mandatory'>{SEND}</policy>");
    check("a wildcard that is overruled", &overruled, None);
    let plain = "<policy context='default'><allow send_type='*'/><allow receive_type='*'/>\
                 <allow own='*'/></policy><policy user='a'><allow eavesdrop='true'/></policy>";
    assert_eq!(restriction(ask(plain)), Some(Restriction::Uneven), "one user may overhear");

    let only_some = format!("<policy user='a'>{}</policy>", session());
    assert_eq!(restriction(ask(&only_some)), Some(Restriction::Send));
    let mandatory = format!("<policy context='mandatory'>{}</policy>", session());
    assert_eq!(ask(&mandatory), Ok(OPEN));
}

#[test]
fn says_where_the_restriction_stands() {
    let check = |policies: &str, expected: &str| {
        let text = ask(policies).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
        assert!(!text.contains('\n') && !text.contains("  "), "{text}");
    };
    check(
        "\n<policy context='default'>\n  <deny own='a.b'/></policy>",
        "bus.conf:1:1: this bus runs only what allows everything: not every message may be sent",
    );
    let session = session();
    check(
        &format!("\n<policy context='default'>\n  {session}\n  <deny own='a.b'/></policy>"),
        "bus.conf:4:3: this bus runs only what allows everything: this <deny> would not be",
    );
    check("", "bus.conf:1:1: ");
}
