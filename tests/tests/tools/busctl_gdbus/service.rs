//! The service that is called: it answers with what it is asked, or as its objects are described below.

use std::collections::HashMap;
use std::thread::{self, JoinHandle};

use bus_tests::harness::{Bus, Client, Message, Value, borrow_all, kind};

pub(super) const NAME: &str = "org.example.Peer";
const PATH: &str = "/org/example/Peer";
const INTERFACE: &str = "org.example.Zeta";

/// Objects, and what each says of itself.
const OBJECTS: &[(&str, &str)] = &[
    ("/", r#"<node><node name="org"/><node name="z"/></node>"#),
    ("/org", r#"<node><node name="example"/></node>"#),
    ("/org/example", r#"<node><node name="Fail"/><node name="Peer"/><node name="Qeer"/></node>"#),
    (PATH, DESCRIPTION),
    ("/org/example/Peer/a", "<node/>"),
    ("/org/example/Peer/b", "<node/>"),
    ("/org/example/Qeer", r#"<node><node name="deep"/></node>"#),
    ("/org/example/Qeer/deep", "<node/>"),
    ("/broken", "<node><interface name='a.b'>"),
    (
        "/refusing",
        r#"<node><interface name="org.example.No"><property name="P" type="s" access="read"/></interface></node>"#,
    ),
    ("/z", "<node></node>"),
    ("/typed", TYPED),
];

const DESCRIPTION: &str = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node>
 <interface name="org.example.Zeta">
  <method name="Echo">
   <arg name="value" type="v" direction="in"/>
   <arg type="v" direction="out"/>
  </method>
  <method name="Old">
   <annotation name="org.freedesktop.DBus.Deprecated" value="true"/>
  </method>
  <method name="Quiet">
   <arg type="a{sv}" name="options" direction="in"/>
   <arg type="as"/>
   <annotation name="org.freedesktop.DBus.Method.NoReply" value="true"/>
  </method>
  <signal name="Moved"><arg name="x" type="i"/><arg name="y" type="i"/></signal>
  <signal name="Bare"/>
  <property name="Name" type="s" access="readwrite"/>
  <property name="Long" type="as" access="read">
   <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
  </property>
  <property name="Const" type="u" access="read">
   <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
  </property>
  <property name="Inv" type="d" access="read">
   <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="invalidates"/>
   <annotation name="org.freedesktop.DBus.Deprecated" value="true"/>
  </property>
  <property name="Secret" type="s" access="write"/>
  <property name="Dict" type="a{sv}" access="read"/>
 </interface>
 <interface name="org.example.Alpha">
  <annotation name="org.freedesktop.DBus.Deprecated" value="true"/>
  <annotation name="org.example.Note" value="hello"/>
  <method name="Div">
   <arg type="i" name="a" direction="in"/>
   <arg type="i" name="b" direction="in"/>
   <arg type="i" name="q" direction="out"/>
   <arg type="i" name="r" direction="out"/>
  </method>
  <method name="Texts">
   <arg type="s" name="text" direction="in"/>
   <arg type="o" name="path" direction="in"/>
   <arg type="g" name="types" direction="in"/>
  </method>
 </interface>
 <node name="a"/>
 <node name="b"/>
</node>
"#;

/// Methods that take one value each.
const TYPED: &str = r#"<node><interface name="org.example.Typed">
 <method name="Y"><arg type="y" direction="in"/></method>
 <method name="B"><arg type="b" direction="in"/></method>
 <method name="N"><arg type="n" direction="in"/></method>
 <method name="Q"><arg type="q" direction="in"/></method>
 <method name="I"><arg type="i" direction="in"/></method>
 <method name="U"><arg type="u" direction="in"/></method>
 <method name="X"><arg type="x" direction="in"/></method>
 <method name="T"><arg type="t" direction="in"/></method>
 <method name="D"><arg type="d" direction="in"/></method>
 <method name="S"><arg type="s" direction="in"/></method>
 <method name="O"><arg type="o" direction="in"/></method>
 <method name="G"><arg type="g" direction="in"/></method>
 <method name="H"><arg type="h" direction="in"/></method>
 <method name="V"><arg type="v" direction="in"/></method>
 <method name="Bytes"><arg type="ay" direction="in"/></method>
 <method name="Texts"><arg type="as" direction="in"/></method>
 <method name="Booleans"><arg type="ab" direction="in"/></method>
 <method name="Variants"><arg type="av" direction="in"/></method>
 <method name="Dict"><arg type="a{sv}" direction="in"/></method>
 <method name="Numbers"><arg type="a{us}" direction="in"/></method>
 <method name="Struct"><arg type="(is)" direction="in"/></method>
 <method name="Structs"><arg type="a(is)" direction="in"/></method>
 <method name="Lists"><arg type="aas" direction="in"/></method>
</interface></node>"#;

/// A service on a bus, until the bus is gone.
pub(super) struct Service {
    thread: Option<JoinHandle<()>>,
    /// Its own name.
    pub(super) unique_name: String,
}

impl Service {
    pub(super) fn start(bus: &Bus) -> Self {
        let mut client = bus.connect();
        client.request_name(NAME, 0);
        let unique_name = client.name.clone();
        Self { thread: Some(thread::spawn(move || serve(client))), unique_name }
    }

    /// Waits until it has seen the end of the bus.
    pub(super) fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut client: Client) {
    let mut properties = properties();
    while let Some(call) = client.next_or_end() {
        if call.kind != kind::METHOD_CALL {
            continue;
        }
        for reply in answers(&call, &mut properties) {
            let fds = std::mem::take(&mut client.fds);
            client.send_with_fds(&reply, &borrow_all(&fds));
        }
    }
}

fn properties() -> HashMap<String, Value> {
    let variant = |value| Value::variant(value);
    let strings = |texts: &[&str]| {
        Value::Array("s".into(), texts.iter().map(|text| Value::from(*text)).collect())
    };
    let dict = vec![
        Value::entry("k", variant(Value::Int32(1))),
        Value::entry("z", variant(Value::Array("y".into(), vec![Value::Byte(1), Value::Byte(2)]))),
    ];
    let long = strings(&["one", "two", "three, which is rather long, so that the line is full"]);
    HashMap::from([
        ("Name".to_owned(), variant(Value::from("a \"quoted\"\n\u{1}é"))),
        ("Long".to_owned(), variant(long)),
        ("Const".to_owned(), variant(Value::Uint32(7))),
        ("Inv".to_owned(), variant(Value::Double(0.1))),
        ("Dict".to_owned(), variant(Value::Array("{sv}".into(), dict))),
    ])
}

fn error(call: &Message, name: &str, text: Option<&str>) -> Message {
    let error = Message::error(call, name);
    match text {
        Some(text) => error.arg(text),
        None => error,
    }
}

/// What goes out for a call, in this order.
fn answers(call: &Message, properties: &mut HashMap<String, Value>) -> Vec<Message> {
    let refused = "org.example.Error.Refused";
    let reply = Message::method_return(call);
    let text = |index: usize| call.body.get(index).map(|value| value.text().to_owned());
    vec![match call.member().as_str() {
        "Introspect" => match OBJECTS.iter().find(|(path, _)| *path == call.path()) {
            Some((_, xml)) => reply.arg(*xml),
            None => error(
                call,
                "org.freedesktop.DBus.Error.UnknownObject",
                Some("there is no such object"),
            ),
        },
        "Get" => match text(1).and_then(|name| properties.get(&name)) {
            Some(value) => reply.arg(value.clone()),
            None => error(
                call,
                "org.freedesktop.DBus.Error.UnknownProperty",
                Some("there is no such property"),
            ),
        },
        "Set" => {
            properties.insert(text(1).unwrap(), call.body[2].clone());
            reply
        }
        "GetAll" if text(0).as_deref() == Some("org.example.No") => {
            error(call, refused, Some("no"))
        }
        "GetAll" => {
            let is_its = text(0).as_deref() == Some(INTERFACE);
            let mut all: Vec<_> = properties.iter().filter(|_| is_its).collect();
            all.sort_by_key(|(name, _)| name.as_str());
            let all = all.iter().map(|(name, value)| Value::entry(name.as_str(), (*value).clone()));
            reply.arg(Value::Array("{sv}".into(), all.collect()))
        }
        "Fail" => error(call, refused, Some("refused on purpose")),
        "FailEmpty" => error(call, refused, Some("")),
        "FailSilently" => error(call, "org.freedesktop.DBus.Error.FileNotFound", None),
        "Access" => error(call, "org.freedesktop.DBus.Error.AccessDenied", Some("no way")),
        "Never" => return Vec::new(),
        "Notify" => {
            let signal = Message::signal(PATH, INTERFACE, "Moved");
            return vec![signal.arg(Value::Int32(3)).arg(Value::Int32(4)), reply];
        }
        _ => {
            let mut reply = reply;
            reply.body.clone_from(&call.body);
            match call.field(bus_tests::harness::field::UNIX_FDS) {
                Some(count) => reply.with(bus_tests::harness::field::UNIX_FDS, count.clone()),
                None => reply,
            }
        }
    }]
}
