//! Starting services on a bus that has no service files: protocol.md A.10.

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Message, field, flag};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("StartServiceByName without service files", "A176 A216 A226", start_service),
        Case::new("auto-start without service files", "A215 A226 A064", auto_start),
        Case::new("a forged ActivationFailure is ignored", "A220 A143", forged_failure),
        Case::new("ListActivatableNames lists the bus", "A180", list),
    ]
}

fn start_service(bus: &Bus) {
    let mut client = bus.connect();
    let running = client.try_call("StartServiceByName", &[BUS_NAME.into(), 0.into()]);
    bus.observe("the bus itself", running.describe());
    client.request_name("org.example.Running", 0);
    let running = client.try_call("StartServiceByName", &["org.example.Running".into(), 0.into()]);
    bus.observe("an owned name without a service file", running.describe());
    let error = client.try_call("StartServiceByName", &["org.example.Nobody".into(), 0.into()]);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.ServiceUnknown");
    let text = "The name org.example.Nobody was not provided by any .service files";
    assert_eq!(error.body[0].text(), text);
    for name in [":1.4711", "no name", ""] {
        let reply = client.try_call("StartServiceByName", &[name.into(), 0.into()]);
        bus.observe(format!("{name:?}"), reply.describe());
    }
    let own = client.name.clone();
    let reply = client.try_call("StartServiceByName", &[own.as_str().into(), 7.into()]);
    bus.observe("a unique name, unknown flags", reply.describe());
}

fn auto_start(bus: &Bus) {
    let mut client = bus.connect();
    let call = Message::method_call("/a", "a.b", "C").to("org.example.Nobody");
    let error = client.ask(&call);
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.ServiceUnknown");
    let text = "The name org.example.Nobody was not provided by any .service files";
    assert_eq!(error.body[0].text(), text);
    let error = client.ask(&call.clone().flags(flag::NO_AUTO_START));
    assert_eq!(error.error_name(), "org.freedesktop.DBus.Error.NameHasNoOwner");
    client.request_name("org.example.Nobody", 0);
    client.drain();
    client.send(&call.without(field::INTERFACE));
    assert_eq!(client.next().member(), "C", "an owner gets it");
}

fn forged_failure(bus: &Bus) {
    let mut client = bus.connect();
    let interface = "org.freedesktop.systemd1.Activator";
    let failure = Message::signal("/org/freedesktop/systemd1", interface, "ActivationFailure")
        .to(BUS_NAME)
        .arg("%s%n.service")
        .arg("org.example.Error")
        .arg("%s%n");
    client.send(&failure);
    client.request_name("org.freedesktop.systemd1", 0);
    client.drain();
    client.send(&failure);
    client.send(&Message::signal("/", interface, "ActivationFailure").to(BUS_NAME));
    assert_eq!(client.drain(), []);
}

fn list(bus: &Bus) {
    let mut client = bus.connect();
    let call = Message::method_call(BUS_PATH, BUS_INTERFACE, "ListActivatableNames").to(BUS_NAME);
    assert_eq!(client.ask(&call).body[0].texts(), [BUS_NAME]);
}
