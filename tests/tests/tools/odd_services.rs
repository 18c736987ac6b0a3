//! Services that tell more of themselves than others do, or less.

use std::thread;

use bus_tests::harness::{Client, Config, Message, Value, kind};

use crate::scene::Scene;
use crate::transcript::shell;

const NAME: &str = "org.example.Odd";

/// Runs a command while a service answers each of its calls, as `answer` says; what it printed, and the calls.
fn beside(
    scene: &Scene,
    command: &str,
    answer: impl FnMut(&Message) -> Vec<Message> + Send,
) -> (std::process::Output, Vec<Message>) {
    let mut service = scene.bus.connect();
    service.request_name(NAME, 0);
    let mut caller = scene.bus.connect();
    thread::scope(|scope| {
        let serving = scope.spawn(|| serve(&mut service, answer));
        let output = shell(command, scene);
        caller.send(&Message::method_call("/", NAME, "End").to(NAME));
        (output, serving.join().unwrap())
    })
}

fn serve(service: &mut Client, mut answer: impl FnMut(&Message) -> Vec<Message>) -> Vec<Message> {
    let calls = std::iter::from_fn(|| {
        let is_call = |message: &Message| message.kind == kind::METHOD_CALL;
        let call = std::iter::from_fn(|| Some(service.next())).find(is_call)?;
        if call.member() == "End" {
            return None;
        }
        for reply in answer(&call) {
            service.send(&reply);
        }
        Some(call)
    });
    calls.collect()
}

/// An object with these below it.
fn described(call: &Message, names: impl IntoIterator<Item = String>) -> Message {
    let nodes = names.into_iter().map(|name| format!("<node name=\"{name}\"/>"));
    let xml = format!("<node>{}</node>", nodes.collect::<String>());
    Message::method_return(call).arg(&*xml)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const CUT: &str = "bus: not all is here: at most 4096 objects are asked, 64 levels deep\n";

#[test]
fn who_nests_for_ever_is_looked_at_so_deep_and_no_deeper_and_it_is_told() {
    let scene = Scene::new();
    let answer = |call: &Message| vec![described(call, ["a".to_owned()])];
    let (output, calls) = beside(&scene, &format!("bus introspect --xml -r {NAME}"), answer);
    assert_eq!(text(&output.stderr), CUT);
    // Those asked, and the one that is known by name.
    assert_eq!(text(&output.stdout).matches("<node ").count(), 1 + 64 + 1);
    assert_eq!(calls.len(), 1 + 64);
    assert_eq!(calls.iter().filter(|call| call.path() == "/").count(), 1);
}

#[test]
fn who_has_too_many_objects_is_told_of_and_so_are_objects_that_do_not_answer() {
    let scene = Scene::new();
    let answer = |call: &Message| {
        vec![match &*call.path() {
            "/" => described(call, (0..=4096).map(|number| format!("a{number}"))),
            "/a7" => Message::error(call, "org.example.Shy").arg("go\u{1b} away"),
            _ => described(call, []),
        }]
    };
    let (output, calls) = beside(&scene, &format!("bus introspect --xml -r {NAME}"), answer);
    let shy = "bus: /a7: org.example.Shy: go\\033 away\n";
    assert_eq!(text(&output.stderr), format!("{shy}{CUT}"));
    assert_eq!(calls.len(), 1 + 4096);
}

#[test]
fn who_says_which_properties_there_are_is_asked_once() {
    let scene = Scene::new();
    let property = "<property name=\"P\" type=\"u\" access=\"write\"/>";
    let xml = format!("<node><interface name=\"org.example.I\">{property}</interface></node>");
    let answer = |call: &Message| {
        let reply = Message::method_return(call);
        vec![if call.member() == "Introspect" { reply.arg(&*xml) } else { reply }]
    };
    let (output, calls) = beside(&scene, &format!("bus set {NAME} / P 5"), answer);
    assert_eq!(text(&output.stderr), "");
    let members: Vec<String> = calls.iter().map(Message::member).collect();
    assert_eq!(members, ["Introspect", "Set"]);
    let value = Value::variant(5);
    assert_eq!(calls[1].body, ["org.example.I".into(), "P".into(), value]);
}

/// As many as a bus answers at once, here as few as it may be told; answered when all of those have come.
#[test]
fn properties_of_many_interfaces_are_asked_for_a_few_at_a_time() {
    const UNDER_WAY_MAX: usize = 64;
    let limits = &[("max_replies_per_connection", UNDER_WAY_MAX as u32)];
    let scene = Scene::on(&Config { limits, ..Config::SESSION });
    let interfaces = (0..100).map(|number| {
        let property = "<property name=\"P\" type=\"u\" access=\"read\"/>";
        format!("<interface name=\"org.example.I{number}\">{property}</interface>")
    });
    let xml = format!("<node>{}</node>", interfaces.collect::<String>());
    let (mut held, mut count) = (Vec::new(), 0);
    let answer = |call: &Message| {
        let reply = Message::method_return(call);
        if call.member() == "Introspect" {
            return vec![reply.arg(&*xml)];
        }
        let values = vec![Value::entry("P", Value::variant(5))];
        count += 1;
        held.push(reply.arg(Value::Array("{sv}".to_owned(), values)));
        if count < UNDER_WAY_MAX { Vec::new() } else { std::mem::take(&mut held) }
    };
    let (output, calls) = beside(&scene, &format!("bus introspect {NAME} | grep -cw 5"), answer);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("100\n", ""));
    let members: Vec<String> = calls.iter().skip(1).map(Message::member).collect();
    assert_eq!(members, ["GetAll"; 100]);
}
