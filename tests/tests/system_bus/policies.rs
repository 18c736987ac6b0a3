//! What the policies refuse to an ordinary user, with the rule that decided, and permit to others.

use std::fs;

use bus_tests::harness::{BUS_NAME, BUS_PATH, Message, Value};

use crate::Case;
use crate::services::{ACCOUNTS, AVAHI, POLKIT, UPOWER};
use crate::system_bus::{
    ANN, NOBODY, SYSTEM_CONF, SystemBus, as_root, as_user, ask_daemon, connect, connect_as,
    place_of,
};

const CALL_BUS: &str =
    "gdbus call --system -d org.freedesktop.DBus -o /org/freedesktop/DBus -m org.freedesktop.DBus";
const AVAHI_CONF: &str = "/usr/share/dbus-1/system.d/avahi-dbus.conf";
const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

pub(crate) const CASES: &[Case] = &[
    Case { name: "owning a service's name", services: &[&POLKIT, &UPOWER], run: owning },
    Case { name: "methods of the bus for root alone", services: &[], run: methods_for_root },
    Case { name: "monitoring is for root", services: &[], run: monitoring },
    Case { name: "methods of a service for a group", services: &[&AVAHI], run: methods_for_group },
    Case { name: "a service that no rule lets anybody call", services: &[], run: uncallable },
    Case {
        name: "one service asks another for permission",
        services: &[&POLKIT, &ACCOUNTS],
        run: asking_polkit,
    },
];

/// A command line of nobody that is refused, by a rule that the error and the log name.
fn refused(bus: &SystemBus, line: &str, place: &str) {
    as_user("nobody", line).fails_with(&[DENIED, &format!(" at {place}")]);
    let logged = bus.logs(&format!(" at {place}"));
    assert!(logged.contains("uid=65534 "), "{logged}");
}

fn owning() {
    let bus = SystemBus::start();
    let place = place_of("<deny own=\"*\"/>", SYSTEM_CONF);
    for service in [&POLKIT, &UPOWER] {
        refused(&bus, &format!("{CALL_BUS}.RequestName {} 0", service.name), &place);
        let question = format!("--explain-policy=user=nobody own={}", service.name);
        ask_daemon(&question).prints(&["denied: uid 65534", &format!("by {place}: ")]);
    }
    // Polkit's policy lets polkitd alone have it; root is no exception.
    let polkit = format!("{CALL_BUS}.RequestName {} 0", POLKIT.name);
    as_root(&polkit).fails_with(&[DENIED, &place]);
    as_user("polkitd", &polkit).prints(&["(uint32 1,)"]);
    as_root(&format!("{CALL_BUS}.RequestName {} 0", UPOWER.name)).prints(&["(uint32 1,)"]);
}

fn methods_for_root() {
    let bus = SystemBus::start();
    let stats = format!("{CALL_BUS}.Debug.Stats.GetStats");
    let rule = "<deny send_destination=\"org.freedesktop.DBus\"\n          \
                send_interface=\"org.freedesktop.DBus.Debug.Stats\"/>";
    refused(&bus, &stats, &place_of(rule, SYSTEM_CONF));
    as_root(&stats).prints(&["BusNames"]);
    let explain = "gdbus call --system -d org.freedesktop.DBus -o /org/freedesktop/DBus \
                   -m org.libbus.Policy1.Explain uid=65534,groups=,own=org.freedesktop.PolicyKit1";
    refused(&bus, explain, &place_of("<deny send_type=\"method_call\"/>", SYSTEM_CONF));
    as_root(explain).prints(&["(false, ", &place_of("<deny own=\"*\"/>", SYSTEM_CONF)]);
    // What everybody may do.
    as_user("nobody", "busctl --system list").prints(&["org.freedesktop.DBus"]);
    as_user("nobody", &format!("{CALL_BUS}.GetId")).succeeds();
}

fn monitoring() {
    let bus = SystemBus::start();
    let become_monitor = "dbus-send --system --print-reply --dest=org.freedesktop.DBus \
                          /org/freedesktop/DBus org.freedesktop.DBus.Monitoring.BecomeMonitor \
                          array:string: uint32:0";
    refused(&bus, become_monitor, &place_of("<deny send_type=\"method_call\"/>", SYSTEM_CONF));
    let mut monitor = connect();
    let call = Message::method_call(BUS_PATH, "org.freedesktop.DBus.Monitoring", "BecomeMonitor");
    let call = call.to(BUS_NAME).arg(Value::strings(&[])).arg(0_u32);
    assert_eq!(monitor.ask(&call).error_name(), "");
    let mut client = connect_as(NOBODY);
    client.call("GetId", &[]);
    while monitor.next().member() != "GetId" {}
}

fn methods_for_group() {
    let bus = SystemBus::with(&[&AVAHI]);
    let rename = "gdbus call --system -d org.freedesktop.Avahi -o / \
                  -m org.freedesktop.Avahi.Server.SetHostName";
    let rule = "<deny send_destination=\"org.freedesktop.Avahi\"\n          \
                send_interface=\"org.freedesktop.Avahi.Server\" send_member=\"SetHostName\"/>";
    refused(&bus, &format!("{rename} nobodys"), &place_of(rule, AVAHI_CONF));
    as_user("ann", &format!("{rename} anns")).succeeds();
    as_root(&format!("{rename} roots")).succeeds();
}

/// A user's own service, whose policy file lets the user own its name and nobody call it.
fn uncallable() {
    let policy =
        "<busconfig><policy user='ann'><allow own='org.example.Ann'/></policy></busconfig>";
    fs::write("/etc/dbus-1/system.d/org.example.Ann.conf", policy).unwrap();
    let bus = SystemBus::start();
    let mut ann = connect_as(ANN);
    assert_eq!(ann.request_name("org.example.Ann", 0), 1);
    assert_eq!(ann.next().member(), "NameAcquired");
    assert_eq!(connect().refused("RequestName", &["org.example.Ann".into(), 0_u32.into()]), DENIED);
    let call = "dbus-send --system --print-reply --dest=org.example.Ann / org.example.A.B";
    refused(&bus, call, &place_of("<deny send_type=\"method_call\"/>", SYSTEM_CONF));
    assert_eq!(ann.drain(), []);
}

/// accounts-daemon lets polkitd decide, which does not let nobody and lets root.
fn asking_polkit() {
    let _bus = SystemBus::with(&[&POLKIT, &ACCOUNTS]);
    let cache = "gdbus call --system -d org.freedesktop.Accounts -o /org/freedesktop/Accounts \
                 -m org.freedesktop.Accounts.CacheUser ann";
    as_user("nobody", cache).fails_with(&["org.freedesktop.Accounts.Error.PermissionDenied"]);
    as_root(cache).prints(&["User4001"]);
}
