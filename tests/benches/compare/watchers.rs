//! Those who watch the properties of objects, as a desktop's programs do; for both benchmarks.

/// How many there are where most watch another object.
pub(crate) const WATCHERS: usize = 60;
/// Objects that are watched, each by ten.
pub(crate) const OBJECTS: usize = 6;
/// Whose objects they are.
pub(crate) const SERVICE: &str = "org.example.Service";
/// The interface whose property changes.
pub(crate) const DEVICE: &str = "org.example.Device";

const OTHER_INTERFACES: [&str; 5] = [
    "org.example.Battery",
    "org.example.Media",
    "org.example.Network",
    "org.example.Session",
    "org.example.Volume",
];

/// The path of an object.
pub(crate) fn object_path(object: usize) -> String {
    format!("/org/example/object/{object}")
}

/// The match rule of whoever watches the properties of the object at `path`.
pub(crate) fn properties_rule(path: &str) -> String {
    format!(
        "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
         path='{path}'"
    )
}

/// Twelve rules of which the first matches what the object says of its device.
pub(crate) fn watcher_rules(object: usize) -> Vec<String> {
    let rule = properties_rule(&object_path(object));
    let interfaces = [DEVICE].into_iter().chain(OTHER_INTERFACES);
    let properties = interfaces.map(|name| format!("{rule},sender='{SERVICE}',arg0='{name}'"));
    let owners = (0..6).map(|name| {
        format!(
            "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',\
             interface='org.freedesktop.DBus',member='NameOwnerChanged',\
             arg0='org.example.Watched{name}'"
        )
    });
    properties.chain(owners).collect()
}
