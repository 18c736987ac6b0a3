//! Before Hello.

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Config, Daemon, Message, Value};

/// protocol.md A121: a stranger learned which methods there are.
#[test]
fn methods_that_do_not_exist_are_refused_like_those_that_do() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    for (interface, member) in [(BUS_INTERFACE, "GetId"), (BUS_INTERFACE, "No"), ("a.b", "Hello")] {
        let mut stranger = bus.connect_unregistered();
        let call = Message::method_call(BUS_PATH, interface, member).to(BUS_NAME);
        let answer = stranger.ask(&call);
        assert_eq!(answer.error_name(), "org.freedesktop.DBus.Error.AccessDenied", "{member}");
    }
}

/// protocol.md A121, A139: calls to nobody reach the bus itself, of which a stranger may ask Peer.
#[test]
fn a_stranger_may_ping_the_bus_without_naming_it() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut stranger = bus.connect_unregistered();
    let ping = Message::method_call("/a", "org.freedesktop.DBus.Peer", "Ping");
    assert_eq!(stranger.ask(&ping).error_name(), "");
    let get_id = Message::method_call(BUS_PATH, BUS_INTERFACE, "GetId");
    let answer = stranger.ask(&get_id);
    assert_eq!(answer.error_name(), "org.freedesktop.DBus.Error.UnknownMethod");
}

/// protocol.md A177: where a helper starts services, nobody chooses their environment.
#[test]
fn a_service_helper_fixes_the_activation_environment() {
    let update = |bus: &Bus| {
        let environment = Value::Array("{ss}".into(), vec![]);
        let call = Message::method_call(BUS_PATH, BUS_INTERFACE, "UpdateActivationEnvironment");
        bus.connect().ask(&call.to(BUS_NAME).arg(environment)).error_name().to_owned()
    };
    let elements = "<servicehelper>/bin/false</servicehelper>";
    let fixed = Bus::start(&Daemon::ours(), &Config { elements, ..Config::SESSION });
    assert_eq!(update(&fixed), "org.freedesktop.DBus.Error.AccessDenied");
    assert_eq!(update(&Bus::start(&Daemon::ours(), &Config::SESSION)), "");
}
