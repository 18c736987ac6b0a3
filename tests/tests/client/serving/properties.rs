//! Properties (protocol.md A213).

use std::collections::HashMap;

use bus_tests::harness::{BUS_NAME, Client, Message, Value, kind};
use zbus::wire::OwnedVariant;

use super::{COUNTER, METHODS, PATH, PROPERTIES, STANDARD_PROPERTIES, with_each_service};
use crate::connect;

type Map = HashMap<String, OwnedVariant>;

fn refusal<T>(result: libbus::Result<T>) -> String {
    match result {
        Err(libbus::Error::Method(error)) => error.name().rsplit('.').next().unwrap().to_owned(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is not refused"),
    }
}

#[test]
fn properties_are_read_and_set() {
    with_each_service(|_, service, caller| {
        let proxy = service.proxy(caller, PROPERTIES);
        assert_eq!(proxy.get_property::<u32>("Volume").unwrap(), 5);
        proxy.set_property("Volume", &11_u32).unwrap();
        assert_eq!(proxy.get_property::<u32>("Volume").unwrap(), 11);
        proxy.set_property("Label", &"new".to_owned()).unwrap();
        assert_eq!(proxy.get_property::<String>("Label").unwrap(), "new");
        let made = proxy.get_property::<(u16, String)>("Made").unwrap();
        assert_eq!(made, (1999, "here".to_owned()));
        proxy.set_property("Quiet", &true).unwrap();
        assert!(proxy.get_property::<bool>("Quiet").unwrap());
        proxy.set_property("Secret", &"hidden".to_owned()).unwrap();
        assert_eq!(proxy.call::<_, String>("Reveal", &()).unwrap(), "hidden");
        assert_eq!(service.proxy(caller, COUNTER).get_property::<u32>("Count").unwrap(), 0);
    });
}

#[test]
fn what_may_not_be_done_with_a_property_is_refused() {
    with_each_service(|_, service, caller| {
        let proxy = service.proxy(caller, PROPERTIES);
        assert_eq!(refusal(proxy.get_property::<String>("Secret")), "AccessDenied");
        assert_eq!(refusal(proxy.set_property("Made", &(1_u16, "x"))), "PropertyReadOnly");
        assert_eq!(refusal(proxy.set_property("Volume", &12_u32)), "InvalidArgs");
        assert_eq!(refusal(proxy.set_property("Volume", &"loud")), "InvalidArgs");
        assert_eq!(refusal(proxy.set_property("Volume", &5_i32)), "InvalidArgs");
        assert_eq!(refusal(proxy.get_property::<u32>("Failing")), "Failed");
        assert_eq!(proxy.get_property::<u32>("Volume").unwrap(), 5);
        let standard = service.proxy(caller, STANDARD_PROPERTIES);
        // The value is no variant; a name is missing.
        let set = standard.call_method("Set", &(PROPERTIES, "Volume", 7_u32));
        assert_eq!(refusal(set), "InvalidArgs");
        assert_eq!(refusal(standard.call_method("Get", PROPERTIES)), "InvalidArgs");
        assert_eq!(refusal(standard.call_method("GetAll", &())), "InvalidArgs");
    });
}

#[test]
fn all_that_can_be_read_comes_at_once() {
    with_each_service(|_, service, caller| {
        let standard = service.proxy(caller, STANDARD_PROPERTIES);
        let all: Map = standard.call("GetAll", PROPERTIES).unwrap();
        let mut names: Vec<_> = all.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["Label", "Made", "Quiet", "Volume"]);
        assert_eq!(u32::try_from(&all["Volume"]).unwrap(), 5);
        assert_eq!(<&str>::try_from(&all["Label"]).unwrap(), "none");
        let counted: Map = standard.call("GetAll", COUNTER).unwrap();
        assert_eq!(counted.len(), 1);
        assert!(standard.call::<_, Map>("GetAll", METHODS).unwrap().is_empty());
        assert_eq!(refusal(standard.call_method("GetAll", "org.example.No")), "UnknownInterface");
    });
}

/// Sets a property to a value, and answers the signals that come before the answer.
fn set(client: &mut Client, service: &str, property: &str, value: Value) -> Vec<Message> {
    let call = Message::method_call(PATH, STANDARD_PROPERTIES, "Set").to(service);
    let call = call.arg(PROPERTIES).arg(property).arg(Value::variant(value));
    let serial = client.send(&call);
    let mut signals = Vec::new();
    loop {
        let message = client.next();
        if message.sender() == BUS_NAME {
            continue;
        }
        if message.kind != kind::SIGNAL {
            assert_eq!((message.kind, message.reply_serial()), (kind::METHOD_RETURN, serial));
            return signals;
        }
        signals.push(message);
    }
}

/// Who set it knows of the change when it has the answer.
#[test]
fn a_change_is_told_before_the_answer() {
    with_each_service(|bus, service, _| {
        let mut client = bus.connect();
        client.add_match(&format!("interface='{STANDARD_PROPERTIES}',path='{PATH}'"));
        let changed = |property: &str, value: Value| {
            let entry = Value::entry(property, Value::variant(value));
            vec![
                Value::from(PROPERTIES),
                Value::Array("{sv}".to_owned(), vec![entry]),
                Value::strings(&[]),
            ]
        };
        let bodies = |signals: Vec<Message>| -> Vec<Vec<Value>> {
            signals.into_iter().map(|signal| signal.body).collect()
        };
        let told = bodies(set(&mut client, &service.name, "Volume", 9_u32.into()));
        assert_eq!(told, [changed("Volume", 9_u32.into())]);
        let told = bodies(set(&mut client, &service.name, "Label", "a".into()));
        let invalidated = vec![
            Value::from(PROPERTIES),
            Value::Array("{sv}".to_owned(), vec![]),
            Value::strings(&["Label"]),
        ];
        assert_eq!(told, [invalidated]);
        let told = set(&mut client, &service.name, "Quiet", Value::Boolean(true));
        assert_eq!(bodies(told), [] as [Vec<Value>; 0]);
    });
}

/// A method that changes the value tells it, too.
#[test]
fn a_method_may_tell_a_change() {
    with_each_service(|bus, service, caller| {
        let listener = connect(bus);
        let mut changes = service
            .proxy(&listener, STANDARD_PROPERTIES)
            .receive_signal("PropertiesChanged")
            .unwrap();
        let counter = service.proxy(caller, COUNTER);
        counter.call::<_, u32>("Increase", &3_u32).unwrap();
        counter.call::<_, ()>("Reset", &()).unwrap();
        let signal = changes.next_signal().unwrap();
        let (interface, changed, invalidated) =
            signal.deserialize::<(&str, Map, Vec<&str>)>().unwrap();
        assert_eq!((interface, invalidated.len()), (COUNTER, 0));
        assert_eq!(u32::try_from(&changed["Count"]).unwrap(), 0);
    });
}
