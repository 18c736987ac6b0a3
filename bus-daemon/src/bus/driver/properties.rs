//! org.freedesktop.DBus.Properties of the bus (protocol.md A194, A195, A200).

use libbus::names::InterfaceName;
use libbus::wire::{BodyWriter, Signature};

use super::error_reply::Refusal;
use super::{BUS, Call, METHODS, MONITORING, STATS};
use crate::bus::Bus;

/// A property of the main interface; both are lists of names and never change.
pub(super) struct Property {
    pub(super) name: &'static str,
    values: fn(&Bus) -> Vec<&'static str>,
}

/// Every property of the bus, all of `org.freedesktop.DBus`.
pub(super) static PROPERTIES_OF_BUS: &[Property] = &[
    Property { name: "Features", values: features },
    Property { name: "Interfaces", values: |_| vec![MONITORING.as_str(), STATS.as_str()] },
];

/// The type of both.
pub(super) const STRINGS: Signature<'static> = Signature::from_static("as");
const VARIANT: Signature<'static> = Signature::from_static("v");
const DICTIONARY: Signature<'static> = Signature::from_static("a{sv}");

fn features(bus: &Bus) -> Vec<&'static str> {
    let mut features = vec!["ActivatableServicesChanged", "HeaderFiltering"];
    if bus.identity.selinux_enabled {
        features.push("SELinux");
    }
    if bus.identity.systemd_activation {
        features.push("SystemdActivation");
    }
    features
}

impl Bus {
    pub(super) fn get(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let mut arguments = call.arguments();
        let property = find(arguments.string()?, arguments.string()?)?;
        let values = (property.values)(self);
        self.reply(&call.reply_to, VARIANT, |body| write_value(body, &values));
        Ok(())
    }

    pub(super) fn get_all(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let interface = call.name_argument()?;
        let of_bus = interface.is_empty() || interface == BUS.as_str();
        check_interface(interface)?;
        let properties = PROPERTIES_OF_BUS.iter().filter(|_| of_bus);
        let values: Vec<_> = properties.map(|p| (p.name, (p.values)(self))).collect();
        self.reply(&call.reply_to, DICTIONARY, |body| {
            body.dict(|entries| {
                for (name, values) in &values {
                    entries.dict_entry(|entry| {
                        entry.string(name);
                        write_value(entry, values);
                    });
                }
            });
        });
        Ok(())
    }

    pub(super) fn set(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let mut arguments = call.arguments();
        let property = find(arguments.string()?, arguments.string()?)?;
        Err(Refusal::PropertyReadOnly { property: property.name.to_owned() })
    }
}

fn write_value(body: &mut BodyWriter<'_>, values: &[&str]) {
    body.variant(STRINGS, |body| body.strings(values.iter().copied()));
}

fn find(interface: &str, property: &str) -> Result<&'static Property, Refusal> {
    check_interface(interface)?;
    let of_bus = interface.is_empty() || interface == BUS.as_str();
    let found = PROPERTIES_OF_BUS.iter().find(|known| of_bus && known.name == property);
    found.ok_or_else(|| Refusal::UnknownProperty {
        interface: interface.to_owned(),
        property: property.to_owned(),
    })
}

/// Any interface of the bus may be asked for its properties, and an empty name means all of them.
fn check_interface(interface: &str) -> Result<(), Refusal> {
    let known = |name: InterfaceName<'_>| METHODS.iter().any(|method| method.interface == name);
    if interface.is_empty() || InterfaceName::parse(interface).is_ok_and(known) {
        Ok(())
    } else {
        Err(Refusal::UnknownInterfaceOfProperty { interface: interface.to_owned() })
    }
}
