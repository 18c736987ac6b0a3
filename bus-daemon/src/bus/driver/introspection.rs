//! Introspection of the bus at every path (protocol.md A211, A212).
//!
//! What is described is the method table itself. At a path other than the canonical one only what
//! can be called there is listed; above the canonical path the way down to it is told, so that
//! tools can walk from `/`.

use bus_introspect::{
    Access, EmitsChangedSignal, Interface, Method as MethodModel, Node, Property, Signal,
    annotation,
};
use libbus::names::{InterfaceName, ObjectPath};

use super::error_reply::Refusal;
use super::properties::{PROPERTIES_OF_BUS, STRINGS};
use super::{
    ACTIVATION, BUS, CANONICAL_PATH, CLIENTS, Call, INTROSPECTABLE, METHODS, MONITORING, Method,
    PEER, POLICY, PROPERTIES, Path, STATS,
};
use crate::bus::Bus;
use crate::bus::limits::INTROSPECTION_WORK;

/// In the order in which they are described.
const INTERFACES: [InterfaceName<'static>; 9] =
    [BUS, PROPERTIES, INTROSPECTABLE, MONITORING, STATS, CLIENTS, POLICY, ACTIVATION, PEER];

impl Bus {
    pub(super) fn introspect(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let path = call.header.path.unwrap_or(CANONICAL_PATH);
        self.other_work += INTROSPECTION_WORK;
        self.reply_string(&call.reply_to, &xml_at(path));
        Ok(())
    }
}

/// The description of the bus at `path`.
pub(super) fn xml_at(path: ObjectPath<'_>) -> String {
    let mut node = Node::new();
    for name in INTERFACES {
        let interface = interface(name, path == CANONICAL_PATH);
        if !(interface.methods.is_empty() && interface.signals.is_empty()) {
            node = node.with_interface(interface);
        }
    }
    if let Some(below) = way_down(path) {
        node = node.with_child(below);
    }
    node.to_xml()
}

/// The rest of the canonical path below `path`.
fn way_down(path: ObjectPath<'_>) -> Option<&'static str> {
    let canonical = CANONICAL_PATH.as_str();
    match path.as_str() {
        "/" => canonical.strip_prefix('/'),
        above => canonical.strip_prefix(above)?.strip_prefix('/'),
    }
}

fn interface(name: InterfaceName<'_>, canonical: bool) -> Interface {
    let mut interface = Interface::new(name.as_str());
    let here = |method: &&Method| canonical || method.path == Path::Any;
    for method in METHODS.iter().filter(|method| method.interface == name).filter(here) {
        interface = interface.with_method(model_of(method));
    }
    if name == BUS {
        interface = with_signals(interface);
    }
    for property in
        PROPERTIES_OF_BUS.iter().filter(|property| canonical && property.interface == name)
    {
        let announced = match property.may_change {
            true => EmitsChangedSignal::Invalidates,
            false => EmitsChangedSignal::Const,
        };
        interface = interface.with_property(
            Property::new(property.name, STRINGS.as_str(), Access::Read)
                .with_annotation(annotation::EMITS_CHANGED_SIGNAL, announced.as_str()),
        );
    }
    if name == PROPERTIES && canonical {
        interface = interface.with_signal(
            Signal::new("PropertiesChanged")
                .with_argument("interface", "s")
                .with_argument("changed_properties", "a{sv}")
                .with_argument("invalidated_properties", "as"),
        );
    }
    interface
}

fn model_of(method: &Method) -> MethodModel {
    let mut model = MethodModel::new(method.member);
    for (signature, name) in method.input {
        model = model.with_input(name, signature);
    }
    for (signature, name) in method.output {
        model = model.with_output(name, signature);
    }
    model
}

fn with_signals(interface: Interface) -> Interface {
    interface
        .with_signal(
            Signal::new("NameOwnerChanged")
                .with_argument("name", "s")
                .with_argument("old_owner", "s")
                .with_argument("new_owner", "s"),
        )
        .with_signal(Signal::new("NameLost").with_argument("name", "s"))
        .with_signal(Signal::new("NameAcquired").with_argument("name", "s"))
        .with_signal(Signal::new("ActivatableServicesChanged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // protocol.md A211
    #[test]
    fn each_path_shows_what_can_be_called_there_and_the_way_to_the_bus() {
        let check = |path: &str, interfaces: &[&str], children: &[&str]| {
            let xml = xml_at(ObjectPath::parse(path).unwrap());
            let node = Node::from_xml(&xml).unwrap();
            let names: Vec<_> = node.interfaces.iter().map(|i| i.name.as_str()).collect();
            assert_eq!(names, interfaces, "{path}");
            let below: Vec<_> = node.children.iter().filter_map(|c| c.name.as_deref()).collect();
            assert_eq!(below, children, "{path}");
        };
        let anywhere = [BUS.as_str(), INTROSPECTABLE.as_str(), PEER.as_str()];
        check("/", &anywhere, &["org/freedesktop/DBus"]);
        check("/org", &anywhere, &["freedesktop/DBus"]);
        check("/org/freedesktop", &anywhere, &["DBus"]);
        check("/org/freedesktop/DBus", &INTERFACES.map(InterfaceName::as_str), &[]);
        check("/org/freedesktop/DBus/x", &anywhere, &[]);
        check("/orgx", &anywhere, &[]);
    }

    #[test]
    fn every_method_stands_once_with_valid_types() {
        let node = Node::from_xml(&xml_at(CANONICAL_PATH)).unwrap();
        assert_eq!(node.check(), [], "names and signatures are valid");
        for method in METHODS {
            let interface = node.interface(method.interface.as_str()).unwrap();
            let found = interface.methods.iter().filter(|m| m.name == method.member).count();
            assert_eq!(found, 1, "{}", method.member);
        }
    }
}
