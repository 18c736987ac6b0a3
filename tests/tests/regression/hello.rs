//! Before Hello.

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Config, Daemon, Message};

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
