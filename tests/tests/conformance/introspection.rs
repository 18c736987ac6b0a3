//! Introspection of the bus: protocol.md A201, A211 to A214.

use bus_tests::harness::{BUS_NAME, BUS_PATH, Bus, Client, Message, kind};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("the canonical object", "A201 A212 A213 A214 A200", canonical),
        Case::new("other paths list what works there", "A201 A211", other_paths),
        Case::new("tools can walk from the root", "A211", walk),
        Case::new("what is listed is callable", "A201 A210 A211", listed_is_callable),
    ]
}

fn introspect(client: &mut Client, path: &str) -> String {
    let call = Message::method_call(path, "org.freedesktop.DBus.Introspectable", "Introspect");
    let reply = client.ask(&call.to(BUS_NAME));
    assert_eq!(reply.kind, kind::METHOD_RETURN, "{path}: {}", reply.describe());
    reply.body[0].text().to_owned()
}

/// The values of attribute `name` of all `element`s, in order.
fn names_of<'a>(xml: &'a str, element: &str) -> Vec<&'a str> {
    xml.split(&format!("<{element} "))
        .skip(1)
        .filter_map(|rest| rest.split_once("name=\""))
        .filter_map(|(_, rest)| rest.split_once('"'))
        .map(|(name, _)| name)
        .collect()
}

/// Each interface with its text.
fn interfaces(xml: &str) -> Vec<(&str, &str)> {
    xml.split("<interface ")
        .skip(1)
        .filter_map(|rest| rest.split_once("</interface>"))
        .filter_map(|(text, _)| {
            let name = text.split_once("name=\"")?.1.split_once('"')?.0;
            Some((name, text))
        })
        .collect()
}

/// One line for each method or signal of an interface: its arguments' types and directions.
fn members_of<'a>(text: &'a str, element: &str) -> Vec<(&'a str, String)> {
    let attribute = |tag: &str, name: &str| {
        let found =
            tag.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
        found.map_or(String::new(), |(value, _)| value.to_owned())
    };
    text.split(&format!("<{element} "))
        .skip(1)
        .filter_map(|rest| {
            let name = rest.split_once("name=\"")?.1.split_once('"')?.0;
            let (head, after) = rest.split_once('>')?;
            let inner = if head.ends_with('/') {
                ""
            } else {
                after.split_once(&format!("</{element}>"))?.0
            };
            let arguments: Vec<String> = inner
                .split("<arg ")
                .skip(1)
                .map(|tag| tag.split_once('>').map_or(tag, |(tag, _)| tag))
                .map(|tag| format!("{}{}", attribute(tag, "direction"), attribute(tag, "type")))
                .collect();
            Some((name, arguments.join(" ")))
        })
        .collect()
}

fn canonical(bus: &Bus) {
    let mut client = bus.connect();
    let xml = introspect(&mut client, BUS_PATH);
    assert!(xml.contains("\"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\""));
    assert!(xml.contains("\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\""));
    let mut names: Vec<&str> = interfaces(&xml).iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    bus.observe("interfaces", format!("{names:?}"));
    for required in [
        "org.freedesktop.DBus",
        "org.freedesktop.DBus.Properties",
        "org.freedesktop.DBus.Introspectable",
        "org.freedesktop.DBus.Peer",
        "org.freedesktop.DBus.Monitoring",
    ] {
        assert!(names.contains(&required), "{required} in {names:?}");
    }
    for (interface, text) in interfaces(&xml) {
        for element in ["method", "signal"] {
            for (member, arguments) in members_of(text, element) {
                bus.observe(format!("{element} {interface}.{member}"), arguments);
            }
        }
        for property in names_of(text, "property") {
            bus.observe(format!("property {interface}.{property}"), "listed");
        }
    }
}

fn other_paths(bus: &Bus) {
    let mut client = bus.connect();
    for path in ["/", "/org", "/org/freedesktop", "/org/freedesktop/DBus/below", "/any/where"] {
        let xml = introspect(&mut client, path);
        let mut names: Vec<&str> = interfaces(&xml).iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        bus.observe(format!("interfaces at {path}"), format!("{names:?}"));
        let listed = interfaces(&xml);
        let of_bus = listed.iter().find(|(name, _)| *name == BUS_NAME).map(|(_, text)| *text);
        let mut methods = names_of(of_bus.unwrap_or_default(), "method");
        methods.sort_unstable();
        bus.observe(format!("methods at {path}"), format!("{methods:?}"));
        bus.observe(format!("children of {path}"), format!("{:?}", names_of(&xml, "node")));
    }
}

fn walk(bus: &Bus) {
    let mut client = bus.connect();
    let mut found = Vec::new();
    let mut open = vec!["/".to_owned()];
    while let Some(path) = open.pop() {
        assert!(found.len() < 20, "the tree has no end: {found:?}");
        for child in names_of(&introspect(&mut client, &path), "node") {
            let base = path.trim_end_matches('/');
            open.push(format!("{base}/{child}"));
        }
        found.push(path);
    }
    assert!(found.iter().any(|path| path == BUS_PATH), "{found:?}");
}

/// A method that is listed at a path must not be refused as unknown there.
fn listed_is_callable(bus: &Bus) {
    let mut client = bus.connect();
    for path in ["/", BUS_PATH, "/any/where"] {
        let xml = introspect(&mut client, path);
        for (interface, text) in interfaces(&xml) {
            for method in names_of(text, "method") {
                // One argument too many: nothing takes effect, and the answer is about that.
                let mut call = Message::method_call(path, interface, method).to(BUS_NAME);
                call.body = vec![bus_tests::harness::Value::Byte(1)];
                let error = client.ask(&call).error_name();
                let unknown = error.contains("Unknown");
                assert!(!unknown, "{interface}.{method} at {path}: {error}");
                bus.observe(format!("{interface}.{method} at {path}"), error);
            }
        }
    }
}
