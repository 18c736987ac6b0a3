//! How a call finds what answers it, and what every object has (protocol.md A209, A210).

use std::sync::Arc;

use zbus::wire::{Signature, Type, signature};

use super::call::Call;
use super::cells::Shared;
use super::description::{Description, MethodDescription, NodeWriter, SignalDescription};
use super::emitter::SignalEmitter;
use super::objects::{Place, Served};
use super::panics::{Answering, guarded};
use super::properties::PropertyMap;
use super::{Dispatch, Interface, Task};
use crate::client::connection::Connection;
use crate::client::error::Result;
use crate::client::fdo;
use crate::client::link::{Expects, Style};
use crate::client::proxy::PROPERTIES;
use crate::client::signals::SignalEmission;
use crate::message::Message;
use crate::names::{InterfaceName, MemberName, ObjectPath};

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
pub(crate) const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// What every object has, as introspection tells it.
const STANDARD_INTERFACES: &str = "\
  <interface name=\"org.freedesktop.DBus.Introspectable\">
    <method name=\"Introspect\">
      <arg name=\"xml_data\" type=\"s\" direction=\"out\"/>
    </method>
  </interface>
  <interface name=\"org.freedesktop.DBus.Peer\">
    <method name=\"Ping\">
    </method>
    <method name=\"GetMachineId\">
      <arg name=\"machine_uuid\" type=\"s\" direction=\"out\"/>
    </method>
  </interface>
  <interface name=\"org.freedesktop.DBus.Properties\">
    <method name=\"Get\">
      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"value\" type=\"v\" direction=\"out\"/>
    </method>
    <method name=\"GetAll\">
      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"props\" type=\"a{sv}\" direction=\"out\"/>
    </method>
    <method name=\"Set\">
      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"value\" type=\"v\" direction=\"in\"/>
    </method>
    <signal name=\"PropertiesChanged\">
      <arg name=\"interface_name\" type=\"s\"/>
      <arg name=\"changed_properties\" type=\"a{sv}\"/>
      <arg name=\"invalidated_properties\" type=\"as\"/>
    </signal>
  </interface>
";

/// What comes of a call: the answer now, or by what is returned. A handler that panics has answered, too.
pub(crate) fn dispatch<S: Style>(
    connection: &Connection<S>,
    message: Message,
) -> Option<Answering<S>> {
    let call = Call::new(connection.clone(), message);
    let Begun { task, is_concurrent } = guarded(&call, || begin(&call))??;
    Some(Answering::new(call, task, is_concurrent))
}

/// Answers, or begins to.
fn begin<S: Style>(call: &Call<S>) -> Option<Begun> {
    let (path, message) = (call.path(), call.message());
    let member = message.member().map_or("", |member| member.as_str());
    let interface = message.interface().map(|interface| interface.as_str());
    let objects = call.connection().objects();

    // What it serves goes first: a program may have its own of the standard ones.
    let served = match interface {
        Some(name) => objects.find_one(path, name).map(|served| (served, name)),
        None => None,
    };
    if let Some((served, name)) = served {
        let is_concurrent = served.description().is_concurrent;
        return match served.call(call, member) {
            Dispatch::Done => None,
            Dispatch::Pending(task) => Some(Begun { task, is_concurrent }),
            Dispatch::Unknown => {
                call.refuse(&unknown_method(member, name, path));
                None
            }
        };
    }
    if !objects.is_known(path) {
        call.refuse(&fdo::Error::UnknownObject(format!("there is no object at {path}")));
        return None;
    }
    match interface {
        Some(INTROSPECTABLE) if member == "Introspect" => introspect(call),
        Some(PROPERTIES) if matches!(member, "Get" | "Set" | "GetAll") => {
            return properties(call, member);
        }
        Some(name @ (INTROSPECTABLE | PROPERTIES)) => {
            call.refuse(&unknown_method(member, name, path));
        }
        Some(name) => {
            let text = format!("the object at {path} has no interface {name}");
            call.refuse(&fdo::Error::UnknownInterface(text));
        }
        None => return dispatch_anywhere(call, path, member),
    }
    None
}

/// Whether a call needs a value that a method uses which waits in this thread: it can be answered after that.
#[cfg(feature = "blocking")]
pub(crate) fn must_wait<S: Style>(connection: &Connection<S>, message: &Message) -> bool {
    if !super::cells::in_use::is_any_here() {
        return false;
    }
    let objects = connection.objects();
    let path = message.path().map_or("/", |path| path.as_str());
    let is_any_in_use =
        |places: &[Place<S>]| places.iter().any(|place| place.served.is_in_use_here());
    match message.interface().map(|interface| interface.as_str()) {
        Some(OBJECT_MANAGER) => {
            objects.all_below(path).iter().any(|(_, places)| is_any_in_use(places))
        }
        Some(INTROSPECTABLE) => false,
        Some(PROPERTIES) | None => is_any_in_use(&objects.find(path)),
        Some(name) => objects.find_one(path, name).is_some_and(|served| served.is_in_use_here()),
    }
}

/// What a handler that waits has begun.
struct Begun {
    task: Task<'static>,
    is_concurrent: bool,
}

/// A call that names no interface is for the first that has such a member.
fn dispatch_anywhere<S: Style>(call: &Call<S>, path: &str, member: &str) -> Option<Begun> {
    for place in call.connection().objects().find(path) {
        let is_concurrent = place.served.description().is_concurrent;
        match place.served.call(call, member) {
            Dispatch::Done => return None,
            Dispatch::Pending(task) => return Some(Begun { task, is_concurrent }),
            Dispatch::Unknown => {}
        }
    }
    match member {
        "Introspect" => introspect(call),
        "Get" | "Set" | "GetAll" => return properties(call, member),
        _ if answer_as_peer(call) => {}
        _ => {
            let text = format!("the object at {path} has no method {member}");
            call.refuse(&fdo::Error::UnknownMethod(text));
        }
    }
    None
}

/// What can be asked of every program, whatever its objects are.
fn answer_as_peer<S: Style>(call: &Call<S>) -> bool {
    let link = call.connection().link();
    let Ok(mut shared) = link.lock_here() else { return true };
    let is_answered = shared.connection.answer_as_peer(call.message());
    link.write_answer(&mut shared);
    is_answered
}

fn unknown_method(member: &str, interface: &str, path: &str) -> fdo::Error {
    fdo::Error::UnknownMethod(format!("{interface} at {path} has no method {member}"))
}

// --- Introspectable ---------------------------------------------------------------------------------

fn introspect<S: Style>(call: &Call<S>) {
    if let Err(error) = call.arguments::<()>() {
        return call.refuse(&error);
    }
    let (path, objects) = (call.path(), call.connection().objects());
    let mut node = NodeWriter::new();
    let places = objects.find(path);
    for place in &places {
        node.interface(place.served.description());
    }
    node.raw(STANDARD_INTERFACES);
    for child in objects.children(path) {
        node.child(&child);
    }
    call.reply(&node.finish());
}

// --- Properties -------------------------------------------------------------------------------------

fn properties<S: Style>(call: &Call<S>, member: &str) -> Option<Begun> {
    // The value is of the property's type, which its own code knows.
    let names = match member {
        "GetAll" => call.arguments::<&str>().map(|interface| (interface, "")),
        "Get" => call.arguments::<(&str, &str)>(),
        _ => call
            .message()
            .deserialize::<(&str, &str, zbus::wire::Variant<'_>)>()
            .map(|(interface, property, _)| (interface, property))
            .map_err(|error| fdo::Error::InvalidArgs(error.to_string())),
    };
    let result = names.and_then(|(interface, property)| {
        let served = find_interface(call, interface, property)?;
        match member {
            "GetAll" => Ok(Some(get_all(call, served))),
            "Get" => get(call, &served, property),
            _ => set(call, &served, property),
        }
    });
    match result {
        Ok(answering) => answering,
        Err(error) => {
            call.refuse(&error);
            None
        }
    }
}

/// Without a name it is the first that has such a property.
fn find_interface<S: Style>(
    call: &Call<S>,
    interface: &str,
    property: &str,
) -> fdo::Result<Arc<dyn Served<S>>> {
    let (path, objects) = (call.path(), call.connection().objects());
    if !interface.is_empty() {
        return objects.find_one(path, interface).ok_or_else(|| {
            let text = format!("the object at {path} has no interface {interface}");
            fdo::Error::UnknownInterface(text)
        });
    }
    let has_it = |place: &Place<S>| {
        let known = place.served.description().properties;
        property.is_empty() || known.iter().any(|known| known.name == property)
    };
    let found = objects.find(path).into_iter().find(has_it);
    found.map(|place| place.served).ok_or_else(|| {
        fdo::Error::UnknownProperty(format!("the object at {path} has no property {property}"))
    })
}

fn get<S: Style>(
    call: &Call<S>,
    served: &Arc<dyn Served<S>>,
    property: &str,
) -> fdo::Result<Option<Begun>> {
    let description = find_property(served, property)?;
    if !description.is_readable {
        let text = format!("the property {property} can be set and not read");
        return Err(fdo::Error::AccessDenied(text));
    }
    answering(served, property, served.get(call, property))
}

fn set<S: Style>(
    call: &Call<S>,
    served: &Arc<dyn Served<S>>,
    property: &str,
) -> fdo::Result<Option<Begun>> {
    let description = find_property(served, property)?;
    if !description.is_writable {
        let text = format!("the property {property} can be read and not set");
        return Err(fdo::Error::PropertyReadOnly(text));
    }
    answering(served, property, served.set(call, property))
}

fn answering<S: Style>(
    served: &Arc<dyn Served<S>>,
    property: &str,
    dispatch: Dispatch,
) -> fdo::Result<Option<Begun>> {
    match dispatch {
        Dispatch::Done => Ok(None),
        Dispatch::Pending(task) => {
            Ok(Some(Begun { task, is_concurrent: served.description().is_concurrent }))
        }
        Dispatch::Unknown => Err(unknown_property(served, property)),
    }
}

fn find_property<S: Style>(
    served: &Arc<dyn Served<S>>,
    name: &str,
) -> fdo::Result<&'static super::PropertyDescription> {
    let known = served.description().properties;
    known.iter().find(|known| known.name == name).ok_or_else(|| unknown_property(served, name))
}

fn unknown_property<S: Style>(served: &Arc<dyn Served<S>>, name: &str) -> fdo::Error {
    let interface = served.description().name;
    fdo::Error::UnknownProperty(format!("{interface} has no property {name}"))
}

fn get_all<S: Style>(call: &Call<S>, served: Arc<dyn Served<S>>) -> Begun {
    let (call, is_concurrent) = (call.clone(), served.description().is_concurrent);
    let task = Box::pin(async move {
        let emitter = call.signal_emitter().into_owned();
        let mut map = PropertyMap::of(call.connection());
        let start = map.begin();
        served.get_all(&emitter, &mut map).await;
        map.end(start);
        call.reply_map(map, <std::collections::HashMap<&str, zbus::wire::Variant<'_>>>::SIGNATURE);
    });
    Begun { task, is_concurrent }
}

// --- ObjectManager ----------------------------------------------------------------------------------

/// Tells what is below the object where it is served, and what comes and goes there (protocol.md A209).
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectManager;

const MANAGED: &Signature = &signature!("a{oa{sa{sv}}}");
const PATH: &Signature = &signature!("o");
const INTERFACES: &Signature = &signature!("a{sa{sv}}");
const NAMES: &Signature = &signature!("as");
const ADDED: &Signature = &signature!("(oa{sa{sv}})");

impl<S: Style> Interface<S> for ObjectManager {
    const DESCRIPTION: &'static Description = &Description {
        name: OBJECT_MANAGER,
        doc: "",
        is_concurrent: false,
        methods: &[MethodDescription {
            name: "GetManagedObjects",
            doc: "",
            inputs: &[],
            output_names: &["objpath_interfaces_and_properties"],
            output: MANAGED,
            is_deprecated: false,
        }],
        properties: &[],
        signals: &[
            SignalDescription {
                name: "InterfacesAdded",
                doc: "",
                arguments: &[("object_path", PATH), ("interfaces_and_properties", INTERFACES)],
                is_deprecated: false,
            },
            SignalDescription {
                name: "InterfacesRemoved",
                doc: "",
                arguments: &[("object_path", PATH), ("interfaces", NAMES)],
                is_deprecated: false,
            },
        ],
    };
    type Cell = Shared<Self>;

    fn call(_: &Arc<Shared<Self>>, call: &Call<S>, member: &str) -> Dispatch {
        if member != "GetManagedObjects" {
            return Dispatch::Unknown;
        }
        if let Err(error) = call.arguments::<()>() {
            call.refuse(&error);
            return Dispatch::Done;
        }
        let call = call.clone();
        Dispatch::Pending(Box::pin(async move {
            let mut map = PropertyMap::of(call.connection());
            let start = map.begin();
            for (path, places) in call.connection().objects().all_below(call.path()) {
                map.key(&path);
                add_interfaces(call.connection(), &path, &places, &mut map).await;
            }
            map.end(start);
            call.reply_map(map, MANAGED);
        }))
    }

    fn get(_: &Arc<Shared<Self>>, _: &Call<S>, _: &str) -> Dispatch {
        Dispatch::Unknown
    }

    fn set(_: &Arc<Shared<Self>>, _: &Call<S>, _: &str) -> Dispatch {
        Dispatch::Unknown
    }

    fn get_all<'a>(
        _: &'a Shared<Self>,
        _: &'a SignalEmitter<'static, S>,
        _: &'a mut PropertyMap,
    ) -> Task<'a> {
        Box::pin(async {})
    }
}

/// Interfaces with their properties.
async fn add_interfaces<S: Style>(
    connection: &Connection<S>,
    path: &str,
    places: &[Place<S>],
    map: &mut PropertyMap,
) {
    let emitter = SignalEmitter::of(connection, path.to_owned().into());
    let interfaces = map.begin();
    for place in places {
        map.key(place.name());
        let start = map.begin();
        place.served.get_all(&emitter, map).await;
        map.end(start);
    }
    map.end(interfaces);
}

/// An interface is there that was not.
pub(super) async fn tell_added<S: Style>(
    connection: &Connection<S>,
    path: &str,
    added: &Place<S>,
) -> Result<()> {
    let Some(manager) = connection.objects().manager_of(path) else { return Ok(()) };
    let mut map = PropertyMap::of(connection);
    map.text(path);
    add_interfaces(connection, path, std::slice::from_ref(added), &mut map).await;
    let body = map.into_body(ADDED)?;
    let header = signal_of(&manager, "InterfacesAdded")?.header();
    let link = connection.link();
    let deadline = link.call_deadline();
    link.room(deadline).await?;
    let serial = link.send_body(&header, body, Expects::Nothing)?;
    link.leave(serial, deadline).await
}

/// An interface is there no more.
pub(super) async fn tell_removed<S: Style>(
    connection: &Connection<S>,
    path: &str,
    interface: &str,
) -> Result<()> {
    let Some(manager) = connection.objects().manager_of(path) else { return Ok(()) };
    let signal = signal_of(&manager, "InterfacesRemoved")?;
    // INVARIANT: it was an object path when it was served.
    let path = zbus::wire::ObjectPath::try_from(path).unwrap_or_default();
    connection.link().emit(&signal, &(path, [interface].as_slice())).await
}

fn signal_of<'a>(manager: &'a str, member: &'static str) -> Result<SignalEmission<'a>> {
    Ok(SignalEmission {
        destination: None,
        path: ObjectPath::parse(manager)?,
        interface: InterfaceName::parse(OBJECT_MANAGER)?,
        member: MemberName::parse(member)?,
    })
}
