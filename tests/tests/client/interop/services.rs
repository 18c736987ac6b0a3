//! Other people's services that our client calls, in either style.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use bus_tests::harness::{Bus, Folder, run, skip_without};
use futures_lite::future::block_on;
use libbus::blocking::Proxy;
use libbus::names::encode_label;
use libbus::{DBusError as _, Error, ObjectEvent, SystemError};
use zbus::wire::{OwnedObjectPath, OwnedVariant, Signature};

use super::{ERROR, INTERFACE, NAME, PATH, PYTHON, file, has_dbus_python, start_on, works};
use crate::{address, on_each_bus};

type Basics = (u8, bool, i16, u16, i32, u32, i64, u64, f64, String, OwnedObjectPath, Signature);
type Containers = (Vec<String>, HashMap<String, u32>, (i32, String), OwnedVariant);
type Changed = (String, HashMap<String, OwnedVariant>, Vec<String>);

fn basics() -> Basics {
    let path = OwnedObjectPath::try_from("/a/b").unwrap();
    let signature = Signature::try_from("a{sv}").unwrap();
    (255, true, -3, 4, -5, 6, -7, 8, 2.5, "text".to_owned(), path, signature)
}

fn containers() -> Containers {
    (
        vec!["x".to_owned(), "y".to_owned()],
        HashMap::from([("k".to_owned(), 5), ("l".to_owned(), 6)]),
        (1, "s".to_owned()),
        OwnedVariant::from(2_u16),
    )
}

/// What our client does with a service, written once for both styles.
macro_rules! use_service {
    ($connection:expr, $proxy:ident, [$($wait:tt)*]) => {{
        let connection = $connection;
        let proxy = $proxy::new(connection, NAME, PATH, INTERFACE).unwrap();
        let echoed: Basics = proxy.call("EchoBasics", &basics())$($wait)*.unwrap();
        assert_eq!(echoed, basics());
        let echoed: Containers = proxy.call("EchoContainers", &containers())$($wait)*.unwrap();
        assert_eq!(echoed, containers());
        match proxy.call::<_, ()>("Fail", &())$($wait)*.unwrap_err() {
            Error::Method(error) => {
                assert_eq!((error.name(), error.text()), (ERROR, "refused on purpose"));
            }
            error => panic!("{error}"),
        }
        let error = proxy.call::<_, ()>("NoSuchMethod", &())$($wait)*.unwrap_err();
        assert!(error.is_method_error("org.freedesktop.DBus.Error.UnknownMethod"), "{error}");

        let mut shouts = proxy.receive_signal("Shouted")$($wait)*.unwrap();
        proxy.call::<_, ()>("Shout", "loud")$($wait)*.unwrap();
        let shout = shouts.next_signal()$($wait)*.unwrap();
        assert_eq!(shout.deserialize::<(&str, u32)>().unwrap(), ("loud", 4));

        assert_eq!(proxy.get_property::<u32>("Level")$($wait)*.unwrap(), 1);
        assert_eq!(proxy.get_property::<String>("Title")$($wait)*.unwrap(), "interop");
        let properties =
            $proxy::new(connection, NAME, PATH, "org.freedesktop.DBus.Properties").unwrap();
        let mut changes = properties.receive_signal("PropertiesChanged")$($wait)*.unwrap();
        proxy.set_property("Level", &9_u32)$($wait)*.unwrap();
        assert_eq!(proxy.get_property::<u32>("Level")$($wait)*.unwrap(), 9);
        let change = changes.next_signal()$($wait)*.unwrap();
        let (interface, changed, _) = change.deserialize::<Changed>().unwrap();
        assert_eq!((&*interface, u32::try_from(&changed["Level"]).unwrap()), (INTERFACE, 9));
        assert!(proxy.set_property("Title", &"x".to_owned())$($wait)*.is_err());
        let all: HashMap<String, OwnedVariant> =
            properties.call("GetAll", INTERFACE)$($wait)*.unwrap();
        assert_eq!(all.len(), 2);
        proxy.set_property("Level", &1_u32)$($wait)*.unwrap();
    }};
}

/// Waits until somebody has the name, and uses the service in both styles.
fn use_service(bus: &Bus) {
    let connection = crate::connect(bus);
    let rule = format!("member='NameOwnerChanged',arg0='{NAME}'");
    let mut changes = connection.receive_signals(&rule).unwrap();
    if !connection.bus().call::<_, bool>("NameHasOwner", NAME).unwrap() {
        changes.next_signal().unwrap();
    }
    use_service!(&connection, Proxy, []);
    block_on(use_service_asynchronously(&address(bus)));
}

async fn use_service_asynchronously(address: &str) {
    use libbus::Proxy;
    let connection = libbus::Builder::address(address).unwrap().build().await.unwrap();
    use_service!(&connection, Proxy, [.await]);
}

/// The program made of a file of C in a folder, if its library is there.
fn compiled(source: &str, library: &str, folder: &Folder) -> Option<PathBuf> {
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", library]).output();
    let flags = flags.ok().filter(|output| output.status.success())?;
    let flags = String::from_utf8(flags.stdout).unwrap();
    let program = folder.join("program");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-o"]).arg(&program).arg(file(source));
    let output = compiler.args(flags.split_whitespace()).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

fn serve_with(command: &Command, use_it: impl Fn(&Bus)) {
    on_each_bus(|bus| {
        let service = start_on(bus, command);
        service.prints("serving");
        use_it(bus);
    });
}

fn serve_with_c(source: &str, library: &str, use_it: impl Fn(&Bus)) {
    if !works("cc --version") || !works("pkg-config --version") {
        return skip_without("a C compiler or pkg-config");
    }
    let folder = Folder::new();
    match compiled(source, library, &folder) {
        Some(program) => serve_with(&Command::new(program), use_it),
        None => skip_without(&format!("{library} with its headers")),
    }
}

#[test]
fn we_call_a_service_of_gdbus() {
    serve_with_c("gdbus_service.c", "gio-2.0", use_service);
}

#[test]
fn we_call_a_service_of_sd_bus() {
    serve_with_c("sd_bus_service.c", "libsystemd", use_service);
}

#[test]
fn we_follow_the_objects_of_sd_bus() {
    serve_with_c("sd_bus_manager.c", "libsystemd", |bus| {
        let client = crate::connect(bus);
        let mut objects = client.managed_objects(NAME, PATH).unwrap();
        let (first, second) = (format!("{PATH}/a"), format!("{PATH}/b"));
        assert_eq!(objects.paths_with(INTERFACE).collect::<Vec<_>>(), [&*first]);
        assert_eq!(objects.property(&first, INTERFACE, "Level").unwrap(), Some(1_u32));

        let proxy = Proxy::new(&client, NAME, &*first, INTERFACE).unwrap();
        proxy.call::<_, ()>("Add", &*second).unwrap();
        let ObjectEvent::InterfacesAdded { path, interfaces } = objects.next_event().unwrap()
        else {
            panic!("{objects:?}");
        };
        assert_eq!(path, second);
        assert!(interfaces.iter().any(|name| name == INTERFACE), "{interfaces:?}");
        assert_eq!(objects.paths_with(INTERFACE).collect::<Vec<_>>(), [&*first, &*second]);

        proxy.set_property("Level", &9_u32).unwrap();
        let (interface, properties) = (INTERFACE.to_owned(), vec!["Level".to_owned()]);
        let change = ObjectEvent::PropertiesChanged { path: first.clone(), interface, properties };
        assert_eq!(objects.next_event().unwrap(), change);
        assert_eq!(objects.property(&first, INTERFACE, "Level").unwrap(), Some(9_u32));

        proxy.call::<_, ()>("Remove", &*second).unwrap();
        let event = objects.next_event().unwrap();
        let ObjectEvent::InterfacesRemoved { path, .. } = event else { panic!("{event:?}") };
        assert_eq!(path, second);
        assert_eq!(objects.paths_with(INTERFACE).collect::<Vec<_>>(), [&*first]);
        proxy.set_property("Level", &1_u32).unwrap();
    });
}

/// What sd-bus makes of labels and of names of errors (tools.md D085, D087), asked through Python.
#[test]
fn labels_and_error_numbers_are_those_of_sd_bus() {
    const SCRIPT: &str = r#"
import ctypes, sys
systemd = ctypes.CDLL("libsystemd.so.0")
class Error(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("free", ctypes.c_int)]
path = ctypes.c_char_p()
for line in sys.stdin:
    kind, _, text = line.rstrip("\n").partition(" ")
    if kind == "label":
        systemd.sd_bus_path_encode(b"/a", bytes.fromhex(text), ctypes.byref(path))
        print(path.value.decode())
    elif kind == "name":
        error = Error(text.encode(), None, 0)
        print(systemd.sd_bus_error_get_errno(ctypes.byref(error)))
    else:
        error = Error(None, None, 0)
        systemd.sd_bus_error_set_errno(ctypes.byref(error), int(text))
        print((error.name or b"").decode())
"#;
    let mut questions = String::new();
    let mut expected = Vec::new();
    let label_bytes =
        (1..=255_u8).map(|byte| vec![b'x', byte]).chain((1..=255).map(|byte| vec![byte]));
    for label in label_bytes.chain([vec![]]) {
        let hex: String = label.iter().map(|byte| format!("{byte:02x}")).collect();
        questions += &format!("label {hex}\n");
        expected.push(format!("/a/{}", encode_label(&label)));
    }
    let own_names = ["org.example.Error.A", "System.Error.ENOTDIR", "System.Error.ENONSENSE"];
    let names = libbus::standard_error::ALL.iter().map(|name| name.as_str());
    for name in names.chain(own_names) {
        questions += &format!("name {name}\n");
        expected.push(SystemError::from_name(name).number().to_string());
    }
    for number in 1..134 {
        questions += &format!("number {number}\n");
        expected.push(SystemError::from_number(number).name().into_owned());
    }
    let mut python = Command::new(PYTHON);
    let ended = run(python.args(["-c", SCRIPT]), questions.as_bytes());
    if ended.code != Some(0) && ended.stderr.contains("libsystemd") {
        return skip_without("libsystemd");
    }
    let (questions, answers) = (questions.lines(), ended.stdout.lines());
    let differences: Vec<_> = questions
        .zip(answers.zip(&expected))
        .filter(|(_, (theirs, ours))| theirs != ours)
        .collect();
    assert_eq!((differences, ended.stdout.lines().count()), (vec![], expected.len()), "{ended:?}");
}

#[test]
fn we_call_a_service_of_dbus_python() {
    if !has_dbus_python() {
        return skip_without("dbus-python");
    }
    let mut command = Command::new(PYTHON);
    command.arg(file("dbus_python.py")).arg("serve");
    serve_with(&command, use_service);
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.example.Error")]
enum Failure {
    #[zbus(error)]
    ZBus(zbus::Error),
    Refused(String),
}

struct OfZbus {
    level: u32,
}

#[zbus::interface(name = "org.example.Interop")]
impl OfZbus {
    #[allow(clippy::too_many_arguments, reason = "one of each type")]
    fn echo_basics(
        &self,
        y: u8,
        b: bool,
        n: i16,
        q: u16,
        i: i32,
        u: u32,
        x: i64,
        t: u64,
        d: f64,
        s: String,
        o: OwnedObjectPath,
        g: Signature,
    ) -> Basics {
        (y, b, n, q, i, u, x, t, d, s, o, g)
    }

    fn echo_containers(
        &self,
        texts: Vec<String>,
        map: HashMap<String, u32>,
        structure: (i32, String),
        variant: OwnedVariant,
    ) -> Containers {
        (texts, map, structure, variant)
    }

    fn fail(&self) -> Result<(), Failure> {
        Err(Failure::Refused("refused on purpose".to_owned()))
    }

    async fn shout(
        &self,
        text: &str,
        #[zbus(signal_emitter)] emitter: zbus::object_server::SignalEmitter<'_>,
    ) -> Result<(), Failure> {
        Ok(Self::shouted(&emitter, text, text.len() as u32).await?)
    }

    #[zbus(signal)]
    async fn shouted(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        text: &str,
        length: u32,
    ) -> zbus::Result<()>;

    #[zbus(property)]
    fn level(&self) -> u32 {
        self.level
    }

    #[zbus(property)]
    fn set_level(&mut self, level: u32) {
        self.level = level;
    }

    #[zbus(property)]
    fn title(&self) -> &str {
        "interop"
    }
}

#[test]
fn we_call_a_service_of_zbus() {
    on_each_bus(|bus| {
        let service = block_on(async {
            let builder = zbus::connection::Builder::address(&*address(bus));
            let builder = builder.serve_at(PATH, OfZbus { level: 1 });
            builder.name(NAME).build().await.unwrap()
        });
        use_service(bus);
        drop(service);
    });
}
