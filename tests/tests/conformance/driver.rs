//! The methods and properties of the bus object: protocol.md A.9.

use std::os::fd::AsRawFd as _;

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Message, Value, field, kind,
};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "methods on other paths and with other interfaces",
            "A173 A174 A175 A178 A179 A181 A182 A183 A184 A190 A210",
            any_path,
        ),
        Case::new("wrong arguments are refused", "A210 A231", wrong_arguments),
        Case::new("unknown methods and interfaces", "A210 A233", unknown_methods),
        Case::new("GetConnectionUnixUser and ProcessID", "A185 A186 A193 A236", user_and_pid),
        Case::new("GetConnectionCredentials", "A191 A192 A193", credentials),
        Case::new("credentials of another user", "A185 A192 A095", other_user)
            .elements("  <policy context=\"default\"><allow user=\"*\"/></policy>\n")
            .needs_root(),
        Case::new("security and audit data", "A187 A188 A236", security_data),
        Case::new("questions about nobody", "A183 A184 A185 A186 A191 A193 A227", about_nobody),
        Case::new("GetId", "A190 A118", get_id),
        Case::new("ListActivatableNames", "A180 A135", activatable),
        Case::new("UpdateActivationEnvironment", "A177", update_environment),
        Case::new("ReloadConfig", "A189 B105 B108", reload_config),
        Case::new("what ReloadConfig announces", "A199", reload_signals),
        Case::new("properties of the bus", "A194 A195 A200", properties),
        Case::new("wrong questions about properties", "A200 A233", wrong_properties),
        Case::new("Peer on any path", "A202", peer),
        Case::new("the signals of the bus", "A196 A197 A198", signals),
        Case::new("GetStats", "A204", stats),
        Case::new("GetConnectionStats", "A205 A231", connection_stats),
        Case::new("GetAllMatchRules", "A206", all_match_rules),
        Case::new("optional interfaces", "A207 A208 A209", optional_interfaces),
        Case::new("unprivileged callers", "A167 A177 A203 A230", unprivileged)
            .elements("  <policy context=\"default\"><allow user=\"*\"/></policy>\n")
            .needs_root(),
    ]
}

const ERROR: &str = "org.freedesktop.DBus.Error.";

fn call(path: &str, interface: &str, member: &str) -> Message {
    Message::method_call(path, interface, member).to(BUS_NAME)
}

fn any_path(bus: &Bus) {
    let mut client = bus.connect();
    let own = client.name.clone();
    let rows: &[(&str, Vec<Value>)] = &[
        ("RequestName", vec!["a.b".into(), 0.into()]),
        ("ReleaseName", vec!["a.b".into()]),
        ("NameHasOwner", vec![own.as_str().into()]),
        ("ListNames", vec![]),
        ("ListActivatableNames", vec![]),
        ("AddMatch", vec!["type='error'".into()]),
        ("RemoveMatch", vec!["type='error'".into()]),
        ("GetNameOwner", vec![own.as_str().into()]),
        ("ListQueuedOwners", vec![own.as_str().into()]),
        ("GetConnectionUnixUser", vec![own.as_str().into()]),
        ("GetConnectionUnixProcessID", vec![own.as_str().into()]),
        ("GetConnectionCredentials", vec![own.as_str().into()]),
        ("GetId", vec![]),
        ("Hello", vec![]),
        ("StartServiceByName", vec![BUS_NAME.into(), 0.into()]),
        ("UpdateActivationEnvironment", vec![Value::Array("{ss}".into(), vec![])]),
        ("ReloadConfig", vec![]),
    ];
    for path in ["/", "/org", "/org/freedesktop", BUS_PATH, "/any/where"] {
        for (member, arguments) in rows {
            let mut message = call(path, BUS_INTERFACE, member);
            message.body.clone_from(arguments);
            let reply = client.ask(&message);
            bus.observe(
                format!("{member} on {path}"),
                format!("{} {}", reply.signature(), reply.error_name()),
            );
        }
    }
}

fn wrong_arguments(bus: &Bus) {
    let mut client = bus.connect();
    let rows: &[(&str, Vec<Value>)] = &[
        ("RequestName", vec![]),
        ("RequestName", vec!["a.b".into()]),
        ("RequestName", vec!["a.b".into(), "0".into()]),
        ("RequestName", vec!["a.b".into(), 0.into(), 0.into()]),
        ("RequestName", vec!["a.b".into(), Value::Int32(0)]),
        ("ReleaseName", vec![]),
        ("ReleaseName", vec![Value::path("/a")]),
        ("NameHasOwner", vec![1.into()]),
        ("ListNames", vec!["x".into()]),
        ("ListActivatableNames", vec![0.into()]),
        ("AddMatch", vec![]),
        ("AddMatch", vec!["".into(), "".into()]),
        ("RemoveMatch", vec![0.into()]),
        ("GetNameOwner", vec![Value::variant("a.b")]),
        ("ListQueuedOwners", vec![]),
        ("GetConnectionUnixUser", vec![]),
        ("GetConnectionUnixProcessID", vec![]),
        ("GetConnectionCredentials", vec![]),
        ("GetConnectionSELinuxSecurityContext", vec![]),
        ("GetAdtAuditSessionData", vec![]),
        ("StartServiceByName", vec!["a.b".into()]),
        ("UpdateActivationEnvironment", vec![]),
        ("ReloadConfig", vec!["x".into()]),
        ("GetId", vec!["x".into()]),
    ];
    for (member, arguments) in rows {
        let reply = client.try_call(member, arguments);
        assert_eq!(reply.error_name(), format!("{ERROR}InvalidArgs"), "{member} {arguments:?}");
        bus.observe(format!("{member} {arguments:?}"), reply.body[0].text());
    }
    // The names in question have a grammar, too.
    for member in ["GetNameOwner", "NameHasOwner", "ListQueuedOwners", "GetConnectionUnixUser"] {
        let reply = client.try_call(member, &["no name".into()]);
        bus.observe(
            format!("{member} of \"no name\""),
            format!("{} {}", reply.kind, reply.error_name()),
        );
    }
}

fn unknown_methods(bus: &Bus) {
    let mut client = bus.connect();
    for (interface, member, error) in [
        (BUS_INTERFACE, "NoSuchMethod", "UnknownMethod"),
        (BUS_INTERFACE, "hello", "UnknownMethod"),
        (BUS_INTERFACE, "Ping", "UnknownMethod"),
        ("org.freedesktop.DBus.Peer", "GetId", "UnknownMethod"),
        ("org.freedesktop.DBus.Properties", "Nothing", "UnknownMethod"),
        ("org.freedesktop.DBus.Monitoring", "Nothing", "UnknownMethod"),
        ("org.example.NoSuchInterface", "GetId", "UnknownInterface"),
        ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "UnknownInterface"),
    ] {
        let reply = client.ask(&call(BUS_PATH, interface, member));
        assert_eq!(reply.error_name(), format!("{ERROR}{error}"), "{interface}.{member}");
        bus.observe(format!("{interface}.{member}"), reply.body[0].text());
    }
    let reply =
        client.ask(&call(BUS_PATH, BUS_INTERFACE, "NoSuchMethod").without(field::INTERFACE));
    assert_eq!(reply.error_name(), format!("{ERROR}UnknownMethod"));
    bus.observe("without interface", reply.body[0].text());
}

fn user_and_pid(bus: &Bus) {
    let mut client = bus.connect();
    client.request_name("org.example.Name", 0);
    let uid = rustix::process::geteuid().as_raw();
    for name in [client.name.clone().as_str(), "org.example.Name"] {
        let user = client.call("GetConnectionUnixUser", &[name.into()]);
        assert_eq!(user.body, [Value::Uint32(uid)]);
        let pid = client.call("GetConnectionUnixProcessID", &[name.into()]);
        assert_eq!(pid.body, [Value::Uint32(std::process::id())]);
    }
    let user = client.call("GetConnectionUnixUser", &[BUS_NAME.into()]);
    assert_eq!(user.body, [Value::Uint32(uid)], "the bus runs as we do");
    let pid = client.call("GetConnectionUnixProcessID", &[BUS_NAME.into()]);
    assert_eq!(pid.body, [Value::Uint32(bus.pid())]);
}

/// The supplementary and primary groups of this process, sorted, each once.
fn own_groups() -> Vec<Value> {
    let mut groups: Vec<u32> =
        rustix::process::getgroups().expect("groups").iter().map(|gid| gid.as_raw()).collect();
    groups.push(rustix::process::getegid().as_raw());
    groups.sort_unstable();
    groups.dedup();
    groups.into_iter().map(Value::Uint32).collect()
}

fn credentials(bus: &Bus) {
    let mut client = bus.connect();
    let uid = rustix::process::geteuid().as_raw();
    let reply = client.call("GetConnectionCredentials", &[client.name.as_str().into()]);
    assert_eq!(reply.signature(), "a{sv}");
    let credentials = &reply.body[0];
    assert_eq!(credentials.lookup("UnixUserID"), Some(&Value::Uint32(uid)));
    assert_eq!(credentials.lookup("ProcessID"), Some(&Value::Uint32(std::process::id())));
    let groups = Value::Array("u".into(), own_groups());
    assert_eq!(credentials.lookup("UnixGroupIDs"), Some(&groups));
    bus.observe("ProcessFD", credentials.lookup("ProcessFD").is_some().to_string());
    bus.observe("LinuxSecurityLabel", format!("{:?}", credentials.lookup("LinuxSecurityLabel")));
    assert_eq!(client.fds.len(), reply.unix_fds() as usize);
    assert!(client.fds.iter().all(|fd| fd.as_raw_fd() > 2));
    let mut unable = bus.connect_without_fds();
    let reply = unable.call("GetConnectionCredentials", &[client.name.as_str().into()]);
    assert_eq!(reply.body[0].lookup("ProcessFD"), None, "no descriptor for who cannot take it");
    let reply = client.call("GetConnectionCredentials", &[BUS_NAME.into()]);
    let of_bus = &reply.body[0];
    assert_eq!(of_bus.lookup("ProcessID"), Some(&Value::Uint32(bus.pid())));
    assert_eq!(of_bus.lookup("UnixUserID"), Some(&Value::Uint32(uid)));
    let mut keys = of_bus.keys();
    keys.sort_unstable();
    bus.observe("keys of the bus", format!("{keys:?}"));
}

/// `nobody`; the reference refuses a uid that has no name.
const STRANGER_UID: u32 = 65_534;

fn other_user(bus: &Bus) {
    let mut stranger = Client::register(bus.connect_as(STRANGER_UID));
    let mut client = bus.connect();
    let name = [stranger.name.as_str().into()];
    assert_eq!(client.call("GetConnectionUnixUser", &name).body, [Value::Uint32(STRANGER_UID)]);
    let reply = client.call("GetConnectionCredentials", &name);
    assert_eq!(reply.body[0].lookup("UnixUserID"), Some(&Value::Uint32(STRANGER_UID)));
    assert!(stranger.is_connected());
}

fn security_data(bus: &Bus) {
    let mut client = bus.connect();
    for name in [client.name.clone(), BUS_NAME.to_owned()] {
        for member in ["GetAdtAuditSessionData", "GetConnectionSELinuxSecurityContext"] {
            let reply = client.try_call(member, &[name.as_str().into()]);
            let text = reply.body.first().filter(|_| reply.kind == kind::ERROR).map(Value::text);
            let answer = format!("{} {}", reply.error_name(), text.unwrap_or_default());
            bus.observe(format!("{member} {name}"), answer);
        }
    }
}

fn about_nobody(bus: &Bus) {
    let mut client = bus.connect();
    for name in ["org.example.Nobody", ":1.4711"] {
        for member in [
            "GetNameOwner",
            "ListQueuedOwners",
            "GetConnectionUnixUser",
            "GetConnectionUnixProcessID",
            "GetConnectionCredentials",
            "GetConnectionSELinuxSecurityContext",
            "GetAdtAuditSessionData",
        ] {
            let reply = client.try_call(member, &[name.into()]);
            assert_eq!(reply.error_name(), format!("{ERROR}NameHasNoOwner"), "{member} {name}");
            bus.observe(format!("{member} {name}"), reply.body[0].text());
        }
    }
}

fn get_id(bus: &Bus) {
    let (mut one, mut two) = (bus.connect(), bus.connect());
    let id = one.call("GetId", &[]).body[0].text().to_owned();
    assert_eq!(id, two.call("GetId", &[]).body[0].text());
    assert_eq!(id.len(), 32);
    assert!(id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    let other = bus.start_another(&bus_tests::harness::Config::SESSION);
    assert_ne!(other.connect().call("GetId", &[]).body[0].text(), id);
}

fn activatable(bus: &Bus) {
    let mut client = bus.connect();
    client.request_name("org.example.Name", 0);
    let reply = client.call("ListActivatableNames", &[]);
    assert_eq!(reply.body, [Value::strings(&[BUS_NAME])]);
}

fn update_environment(bus: &Bus) {
    let mut client = bus.connect();
    let entries = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| Value::entry(*key, *value)).collect();
        Value::Array("{ss}".into(), pairs)
    };
    for pairs in [&[][..], &[("A", "1"), ("B", "")]] {
        let reply = client.call("UpdateActivationEnvironment", &[entries(pairs)]);
        assert_eq!(reply.body, []);
    }
    for pairs in [&[("", "x")][..], &[("A=B", "x")]] {
        let reply = client.try_call("UpdateActivationEnvironment", &[entries(pairs)]);
        bus.observe(format!("{pairs:?}"), reply.error_name());
    }
    let mut elsewhere = call("/", BUS_INTERFACE, "UpdateActivationEnvironment");
    elsewhere.body = vec![entries(&[])];
    let error = client.ask(&elsewhere);
    assert_eq!(error.error_name(), format!("{ERROR}AccessDenied"));
    bus.observe("at another path", error.body[0].text());
}

fn reload_config(bus: &Bus) {
    let mut client = bus.connect();
    assert_eq!(client.call("ReloadConfig", &[]).body, []);
    let file = bus.dir.join("bus.conf");
    let good = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, "<busconfig><bogus/></busconfig>").expect("a bad configuration");
    let error = client.try_call("ReloadConfig", &[]);
    bus.observe("a bad configuration", error.error_name());
    assert!(bus.connect().is_connected(), "the old configuration stays");
    let limited = "<limit name=\"max_names_per_connection\">2</limit></busconfig>";
    std::fs::write(&file, good.replace("</busconfig>", limited)).expect("a new configuration");
    client.call("ReloadConfig", &[]);
    assert_eq!(client.request_name("a.b", 0), 1);
    assert_eq!(
        client.refused("RequestName", &["a.c".into(), 0.into()]),
        format!("{ERROR}LimitsExceeded")
    );
}

fn reload_signals(bus: &Bus) {
    let (mut client, mut observer) = (bus.connect(), bus.connect());
    observer.add_match("type='signal',sender='org.freedesktop.DBus'");
    client.call("ReloadConfig", &[]);
    bus.observe("signals", format!("{:?}", observer.drain_lines()));
}

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

fn properties(bus: &Bus) {
    let mut client = bus.connect();
    let mut get = |name: &str| {
        let reply = client.ask(&call(BUS_PATH, PROPERTIES, "Get").arg(BUS_INTERFACE).arg(name));
        assert_eq!(reply.signature(), "v", "{}", reply.describe());
        let Value::Variant(value) = &reply.body[0] else { panic!("no variant") };
        let mut texts: Vec<String> = value.texts().into_iter().map(str::to_owned).collect();
        texts.sort();
        texts
    };
    let (features, interfaces) = (get("Features"), get("Interfaces"));
    bus.observe("Features", format!("{features:?}"));
    bus.observe("Interfaces", format!("{interfaces:?}"));
    assert!(features.iter().any(|name| name == "HeaderFiltering"));
    assert!(interfaces.iter().any(|name| name == "org.freedesktop.DBus.Monitoring"));
    let reply = client.ask(&call(BUS_PATH, PROPERTIES, "GetAll").arg(BUS_INTERFACE));
    let mut keys = reply.body[0].keys();
    keys.sort_unstable();
    assert_eq!(keys, ["Features", "Interfaces"]);
    let reply = client.ask(&call(BUS_PATH, PROPERTIES, "Get").arg("").arg("Features"));
    bus.observe("Get without interface", reply.describe());
    let reply = client.ask(&call(BUS_PATH, PROPERTIES, "GetAll").arg(""));
    bus.observe("GetAll without interface", reply.error_name());
}

fn wrong_properties(bus: &Bus) {
    let mut client = bus.connect();
    let set = |name: &str| {
        call(BUS_PATH, PROPERTIES, "Set").arg(BUS_INTERFACE).arg(name).arg(Value::variant("x"))
    };
    for (name, message, error) in [
        (
            "Get",
            call(BUS_PATH, PROPERTIES, "Get").arg(BUS_INTERFACE).arg("Nothing"),
            "UnknownProperty",
        ),
        (
            "Get elsewhere",
            call(BUS_PATH, PROPERTIES, "Get").arg("a.b").arg("Features"),
            "UnknownInterface",
        ),
        ("GetAll elsewhere", call(BUS_PATH, PROPERTIES, "GetAll").arg("a.b"), "UnknownInterface"),
        ("Set", set("Features"), "PropertyReadOnly"),
        ("Set nothing", set("Nothing"), "UnknownProperty"),
        ("Get of one", call(BUS_PATH, PROPERTIES, "Get").arg(BUS_INTERFACE), "InvalidArgs"),
    ] {
        let reply = client.ask(&message);
        assert_eq!(reply.error_name(), format!("{ERROR}{error}"), "{name}: {}", reply.describe());
        bus.observe(name, reply.body[0].text());
    }
    let reply = client.ask(&call("/", PROPERTIES, "GetAll").arg(BUS_INTERFACE));
    bus.observe("at another path", reply.error_name());
}

fn peer(bus: &Bus) {
    let mut client = bus.connect();
    for path in ["/", "/org", BUS_PATH, "/any/where"] {
        let reply = client.ask(&call(path, "org.freedesktop.DBus.Peer", "Ping"));
        assert_eq!((reply.kind, reply.body.len()), (kind::METHOD_RETURN, 0), "{path}");
        let reply = client.ask(&call(path, "org.freedesktop.DBus.Peer", "GetMachineId"));
        assert_eq!((reply.kind, reply.body[0].text().len()), (kind::METHOD_RETURN, 32), "{path}");
    }
}

fn signals(bus: &Bus) {
    let (mut client, mut observer) = (bus.connect(), bus.connect());
    observer.add_match("type='signal',member='NameOwnerChanged'");
    client.request_name("org.example.Name", 0);
    client.release_name("org.example.Name");
    let own = client.drain();
    let heard = observer.drain();
    for (message, member, signature, destination) in [
        (&own[0], "NameAcquired", "s", client.name.as_str()),
        (&own[1], "NameLost", "s", client.name.as_str()),
        (&heard[0], "NameOwnerChanged", "sss", ""),
        (&heard[1], "NameOwnerChanged", "sss", ""),
    ] {
        assert_eq!(message.kind, kind::SIGNAL);
        assert_eq!(message.member(), member);
        assert_eq!(message.signature(), signature);
        assert_eq!(message.destination(), destination);
        assert_eq!((message.path(), message.interface()), (BUS_PATH.into(), BUS_INTERFACE.into()));
        assert_eq!(message.sender(), BUS_NAME);
    }
    assert_eq!((own.len(), heard.len()), (2, 2));
}

const STATS: &str = "org.freedesktop.DBus.Debug.Stats";

fn stats(bus: &Bus) {
    let (mut client, _incomplete) = (bus.connect(), bus.connect_unregistered());
    client.add_match("member='A'");
    client.request_name("a.b", 0);
    let reply = client.ask(&call(BUS_PATH, STATS, "GetStats"));
    if reply.error_name() == format!("{ERROR}UnknownInterface") {
        bus.observe("GetStats", "not built in");
        return;
    }
    let stats = &reply.body[0];
    for (key, expected) in [
        ("ActiveConnections", 1),
        ("IncompleteConnections", 1),
        ("MatchRules", 1),
        ("PeakMatchRules", 1),
        ("PeakMatchRulesPerConnection", 1),
        ("BusNames", 2),
        ("PeakBusNames", 2),
        ("PeakBusNamesPerConnection", 2),
    ] {
        let value = stats.lookup(key).map(Value::number);
        assert!(value.is_some(), "{key} in {:?}", stats.keys());
        bus.observe(key, format!("{value:?} for {expected}"));
    }
    assert!(stats.lookup("Serial").is_some());
    let mut keys = stats.keys();
    keys.sort_unstable();
    bus.observe("keys", format!("{keys:?}"));
}

fn connection_stats(bus: &Bus) {
    let mut client = bus.connect();
    client.add_match("member='A'");
    let own = client.name.clone();
    let reply = client.ask(&call(BUS_PATH, STATS, "GetConnectionStats").arg(own.as_str()));
    if reply.error_name() == format!("{ERROR}UnknownInterface") {
        bus.observe("GetConnectionStats", "not built in");
        return;
    }
    let stats = &reply.body[0];
    assert_eq!(stats.lookup("UniqueName").map(Value::text), Some(own.as_str()));
    for key in ["MatchRules", "PeakMatchRules", "BusNames", "PeakBusNames"] {
        bus.observe(key, format!("{:?}", stats.lookup(key)));
    }
    let mut keys = stats.keys();
    keys.sort_unstable();
    bus.observe("keys", format!("{keys:?}"));
    for (name, error) in [(BUS_NAME, "InvalidArgs"), ("org.example.Nobody", "NameHasNoOwner")] {
        let reply = client.ask(&call(BUS_PATH, STATS, "GetConnectionStats").arg(name));
        assert_eq!(reply.error_name(), format!("{ERROR}{error}"), "{name}");
    }
}

fn all_match_rules(bus: &Bus) {
    let (mut client, mut other) = (bus.connect(), bus.connect());
    client.add_match("type='signal',member='A'");
    client.add_match("arg0='it'\\''s',path_namespace='/a'");
    other.add_match("eavesdrop='false',sender='org.example.Name'");
    let reply = client.ask(&call(BUS_PATH, STATS, "GetAllMatchRules"));
    if reply.kind == kind::ERROR {
        bus.observe("GetAllMatchRules", reply.error_name());
        return;
    }
    assert_eq!(reply.signature(), "a{sas}");
    for (label, owner) in [("client", &mut client), ("other", &mut other)] {
        let rules = reply.body[0].lookup(&owner.name).map(Value::texts).unwrap_or_default();
        bus.observe(label, format!("{rules:?}"));
        for rule in rules {
            let reply = owner.try_call("RemoveMatch", &[rule.into()]);
            bus.observe(format!("RemoveMatch of {rule}"), reply.error_name());
        }
    }
}

fn optional_interfaces(bus: &Bus) {
    let mut client = bus.connect();
    for (interface, member) in [
        ("org.freedesktop.DBus.Verbose", "EnableVerbose"),
        ("org.freedesktop.DBus.Containers1", "AddServer"),
        ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
    ] {
        let reply = client.ask(&call(BUS_PATH, interface, member));
        bus.observe(
            format!("{interface}.{member}"),
            format!("{} {}", reply.kind, reply.error_name()),
        );
    }
}

fn unprivileged(bus: &Bus) {
    let mut stranger = Client::register(bus.connect_as(STRANGER_UID));
    let monitoring = "org.freedesktop.DBus.Monitoring";
    let become_monitor =
        call(BUS_PATH, monitoring, "BecomeMonitor").arg(Value::strings(&[])).arg(0);
    let update = call(BUS_PATH, BUS_INTERFACE, "UpdateActivationEnvironment")
        .arg(Value::Array("{ss}".into(), vec![]));
    let eavesdrop = call(BUS_PATH, BUS_INTERFACE, "AddMatch").arg("eavesdrop='true'");
    for (name, message) in [
        ("BecomeMonitor", become_monitor),
        ("UpdateActivationEnvironment", update),
        ("eavesdrop", eavesdrop),
    ] {
        let reply = stranger.ask(&message);
        bus.observe(name, reply.describe());
        if name != "eavesdrop" {
            assert_eq!(reply.error_name(), format!("{ERROR}AccessDenied"), "{name}");
        }
    }
}
