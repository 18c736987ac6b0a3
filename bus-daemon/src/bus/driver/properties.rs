//! org.freedesktop.DBus.Properties of the bus (protocol.md A194, A195, A200).

use libbus::names::{InterfaceName, MemberName};
use libbus::wire::{BodyWriter, Header, MessageType, Signature};

use super::error_reply::Refusal;
use super::{
    ACTIVATION, Access, BUS, CANONICAL_PATH, CLIENTS, Call, METHODS, MONITORING, POLICY,
    PROPERTIES, STATS,
};
use crate::bus::Bus;
use crate::bus::id::ClientId;

/// A property of the bus; all are lists of texts.
pub(super) struct Property {
    pub(super) interface: InterfaceName<'static>,
    pub(super) name: &'static str,
    access: Access,
    /// Whether it may change, which `PropertiesChanged` tells without the value.
    pub(super) may_change: bool,
    values: fn(&Bus) -> Vec<String>,
}

/// Every property of the bus.
pub(super) static PROPERTIES_OF_BUS: &[Property] = &[
    constant("Features", features),
    constant("Interfaces", |_| EXTRA_INTERFACES.map(|name| name.as_str().to_owned()).into()),
    Property {
        interface: ACTIVATION,
        name: ENVIRONMENT,
        access: Access::Privileged,
        may_change: true,
        values: |bus| {
            let variables = bus.variables_of_services().into_iter();
            variables.map(|(name, value)| format!("{name}={value}")).collect()
        },
    },
];

/// Those that not every bus has (protocol.md A195); the reference's come first.
const EXTRA_INTERFACES: [InterfaceName<'static>; 5] =
    [MONITORING, STATS, POLICY, ACTIVATION, CLIENTS];

/// The variables that started services get, as `NAME=value`.
pub(super) const ENVIRONMENT: &str = "Environment";

const fn constant(name: &'static str, values: fn(&Bus) -> Vec<String>) -> Property {
    Property { interface: BUS, name, access: Access::Everyone, may_change: false, values }
}

/// The type of all of them.
pub(super) const STRINGS: Signature<'static> = Signature::from_static("as");
const VARIANT: Signature<'static> = Signature::from_static("v");
const DICTIONARY: Signature<'static> = Signature::from_static("a{sv}");
/// An interface, properties with their values, and properties without.
const CHANGES: Signature<'static> = Signature::from_static("sa{sv}as");

fn features(bus: &Bus) -> Vec<String> {
    let mut features = vec!["ActivatableServicesChanged", "HeaderFiltering"];
    if bus.identity.selinux_enabled {
        features.push("SELinux");
    }
    if bus.identity.systemd_activation {
        features.push("SystemdActivation");
    }
    features.into_iter().map(str::to_owned).collect()
}

impl Bus {
    pub(super) fn get(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let mut arguments = call.arguments();
        let property = find(arguments.string()?, arguments.string()?)?;
        if !self.may_read_property(property, call.reply_to.client()) {
            return Err(Refusal::PropertyNotForAll { property: property.name.to_owned() });
        }
        let values = (property.values)(self);
        self.reply(&call.reply_to, VARIANT, |body| write_value(body, &values));
        Ok(())
    }

    pub(super) fn get_all(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let interface = call.name_argument()?;
        check_interface(interface)?;
        let reader = call.reply_to.client();
        let properties = PROPERTIES_OF_BUS.iter().filter(|property| property.is_in(interface));
        let properties = properties.filter(|property| self.may_read_property(property, reader));
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

    fn may_read_property(&self, property: &Property, reader: ClientId) -> bool {
        property.access == Access::Everyone || self.is_privileged(reader)
    }

    /// Says that a property has another value, but not which (protocol.md A195).
    pub(super) fn announce_property(&mut self, interface: InterfaceName<'_>, property: &str) {
        let header = Header {
            path: Some(CANONICAL_PATH),
            interface: Some(PROPERTIES),
            member: Some(MemberName::from_static("PropertiesChanged")),
            signature: CHANGES,
            ..self.driver_header(MessageType::Signal)
        };
        self.broadcast_from_driver(&header, |body| {
            body.string(interface.as_str());
            body.dict(|_| {});
            body.strings([property]);
        });
    }
}

impl Property {
    /// No name stands for all interfaces.
    fn is_in(&self, interface: &str) -> bool {
        interface.is_empty() || interface == self.interface.as_str()
    }
}

fn write_value(body: &mut BodyWriter<'_>, values: &[String]) {
    body.variant(STRINGS, |body| body.strings(values.iter().map(String::as_str)));
}

fn find(interface: &str, property: &str) -> Result<&'static Property, Refusal> {
    check_interface(interface)?;
    let mut known = PROPERTIES_OF_BUS.iter();
    let found = known.find(|known| known.is_in(interface) && known.name == property);
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
