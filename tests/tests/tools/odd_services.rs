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

const PROBE: &str = "<method name=\"Probe\"/>";
const TAKE: &str = "<method name=\"Take\"><arg type=\"i\" direction=\"in\"/></method>";

/// As GDBus has it: who names no interface finds no object.
fn strict(call: &Message, xml: &str) -> Message {
    match (&*call.interface(), &*call.member()) {
        (_, "Introspect") => Message::method_return(call).arg(xml),
        ("", _) => {
            Message::error(call, "org.freedesktop.DBus.Error.UnknownMethod").arg("no object")
        }
        _ => Message::method_return(call),
    }
}

#[test]
fn a_method_without_its_interface_is_called_by_the_one_that_has_it() {
    let scene = Scene::new();
    let xml = format!("<node><interface name=\"org.example.I\">{PROBE}{TAKE}</interface></node>");
    for (option, line) in
        [("", "Probe"), ("", "Take 5"), ("-s ''", "Probe"), ("-s i", "Take 5"), ("", "Take -s i 5")]
    {
        let answer = |call: &Message| vec![strict(call, &xml)];
        let (output, calls) = beside(&scene, &format!("bus call {option} {NAME} / {line}"), answer);
        assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)), "{line}");
        assert_eq!(calls.last().unwrap().interface(), "org.example.I", "{line}");
    }
    // Where nothing is to be learnt nothing is asked.
    let line = format!("bus call -s i {NAME} / org.example.I.Take 5");
    let (_, calls) = beside(&scene, &line, |call| vec![strict(call, &xml)]);
    assert_eq!(calls.iter().map(Message::member).collect::<Vec<_>>(), ["Take"]);
}

#[test]
fn a_method_that_several_interfaces_have_is_not_chosen_by_chance() {
    let scene = Scene::new();
    let one = |name| format!("<interface name=\"org.example.{name}\">{PROBE}</interface>");
    let xml = format!("<node>{}{}</node>", one("I"), one("J"));
    let answer = |call: &Message| vec![strict(call, &xml)];
    let (output, calls) = beside(&scene, &format!("bus call {NAME} / Probe"), answer);
    let hint = "hint: say which one: org.example.I.Probe, org.example.J.Probe\n";
    assert!(text(&output.stderr).ends_with(hint), "{}", text(&output.stderr));
    assert_eq!((output.status.code(), calls.len()), (Some(2), 1));
}

// tools.md D076
#[test]
fn who_may_not_be_asked_can_be_called_all_the_same() {
    let scene = Scene::new();
    for (option, line) in [("", "org.example.I.Probe"), ("", "Probe"), ("-s s", "Probe x")] {
        let answer = |call: &Message| {
            vec![match &*call.member() {
                "Introspect" => Message::error(call, "org.example.Shy").arg("no"),
                _ => Message::method_return(call),
            }]
        };
        let (output, calls) = beside(&scene, &format!("bus call {option} {NAME} / {line}"), answer);
        assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)), "{line}");
        assert_eq!(calls.last().unwrap().member(), "Probe", "{line}");
    }
}

#[test]
fn an_argument_that_is_missing_is_told_without_a_call() {
    let scene = Scene::new();
    let xml = format!("<node><interface name=\"org.example.I\">{PROBE}{TAKE}</interface></node>");
    let answer = |call: &Message| vec![strict(call, &xml)];
    let (output, calls) = beside(&scene, &format!("bus call {NAME} / org.example.I.Take"), answer);
    let told = text(&output.stderr);
    assert!(told.starts_with("bus: argument 1: a value is missing\n"), "{told}");
    assert!(told.contains("^ a whole number of 32 bits (type i)\n"), "{told}");
    assert_eq!((output.status.code(), calls.len()), (Some(2), 1));
}

/// The beginning of a description alone.
const HALF: &str = "<node><interface name=\"org.example.I\">";

fn half(call: &Message) -> Vec<Message> {
    let reply = Message::method_return(call);
    let error = Message::error(call, "org.freedesktop.DBus.Error.UnknownMethod").arg("no");
    vec![match &*call.member() {
        "Introspect" if call.path() == "/" => reply.arg(HALF),
        "Introspect" if call.path() == "/a" => described(call, ["b".to_owned()]),
        "Introspect" => reply.arg(HALF),
        "Set" => reply,
        _ => error,
    }]
}

// tools.md D022, D076
#[test]
fn a_description_that_cannot_be_read_is_told_of_and_shown() {
    let scene = Scene::new();
    let told = "bus: the object describes itself by XML that is none: ";
    let shown = "hint: `bus introspect --xml NAME PATH` shows it\n";
    for line in [format!("bus tree {NAME}"), format!("bus introspect {NAME}")] {
        let (output, _) = beside(&scene, &line, half);
        let error = text(&output.stderr);
        assert!(error.starts_with(told) && error.ends_with(shown), "{line}: {error}");
        assert_eq!((text(&output.stdout), output.status.code()), ("", Some(1)), "{line}");
    }
    let (output, _) = beside(&scene, &format!("bus introspect --xml {NAME}"), half);
    assert_eq!((text(&output.stdout), text(&output.stderr)), (&*format!("{HALF}\n"), ""));
    let (output, _) = beside(&scene, &format!("bus tree --at=/a --list {NAME}"), half);
    assert_eq!((text(&output.stdout), output.status.code()), ("/a\n/a/b\n", Some(0)));
    let below = format!("bus: {NAME}/a/b: the object describes itself by XML that is none: ");
    assert!(text(&output.stderr).starts_with(&below), "{}", text(&output.stderr));
}

#[test]
fn a_property_can_be_set_whose_object_does_not_tell_of_it() {
    let scene = Scene::new();
    for name in ["P", "org.example.I.P"] {
        let (output, _) = beside(&scene, &format!("bus set {NAME} / {name} 5"), half);
        let error = text(&output.stderr);
        assert!(error.starts_with("bus: the type of the value is not known, "), "{error}");
        let hint = "hint: say it with --signature, and the property as INTERFACE.PROPERTY\n";
        assert!(error.ends_with(hint), "{error}");
    }
    let line = format!("bus set -s u {NAME} / org.example.I.P 5");
    let (output, calls) = beside(&scene, &line, half);
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
    assert_eq!(calls.iter().map(Message::member).collect::<Vec<_>>(), ["Set"]);
}

// tools.md D069
#[test]
fn a_property_that_cannot_be_read_keeps_nobody_from_the_others() {
    let scene = Scene::new();
    let one = |name, access| format!("<property name=\"{name}\" type=\"u\" access=\"{access}\"/>");
    let all =
        one("P", "read") + &one("Broken", "read") + &one("W", "write") + &one("Q", "readwrite");
    let interface = |name| format!("<interface name=\"org.example.{name}\">{all}</interface>");
    let xml = format!("<node>{}{}</node>", interface("I"), interface("J"));
    let answer = |call: &Message| {
        let reply = Message::method_return(call);
        let refused = Message::error(call, "org.example.Shy").arg("not\u{1b} now");
        let five = || Value::variant(5);
        vec![match (
            &*call.member(),
            call.body.iter().map(Value::text).collect::<Vec<_>>().as_slice(),
        ) {
            ("Introspect", _) => reply.arg(&*xml),
            ("GetAll", ["org.example.I"]) => {
                let entries = vec![Value::entry("P", five()), Value::entry("Q", five())];
                reply.arg(Value::Array("{sv}".to_owned(), entries))
            }
            ("Get", [_, "P" | "Q"]) => reply.arg(five()),
            _ => refused,
        }]
    };
    let lines = |interface: &str| {
        format!("org.example.{interface}.P = u 5\norg.example.{interface}.Q = u 5\n")
    };
    let shy = |name: &str| format!("bus: {name}: org.example.Shy: not\\033 now\n");
    let (output, _) = beside(&scene, &format!("bus get {NAME} /"), answer);
    assert_eq!(text(&output.stdout), lines("I") + &lines("J"));
    let both = shy("org.example.I.Broken") + &shy("org.example.J.Broken");
    assert_eq!((text(&output.stderr), output.status.code()), (&*both, Some(0)));

    let words = "org.example.I.P org.example.I.Broken org.example.I.Q";
    let (output, _) = beside(&scene, &format!("bus get {NAME} / {words}"), answer);
    assert_eq!(text(&output.stdout), lines("I"));
    let one = shy("org.example.I.Broken");
    assert_eq!((text(&output.stderr), output.status.code()), (&*one, Some(1)));

    let (output, _) = beside(&scene, &format!("bus get --json {NAME} / org.example.J"), answer);
    let five = r#"{"type":"u","data":5}"#;
    let json = format!(
        r#"{{"org.example.J":{{"P":{five},"Broken":{{"error":"org.example.Shy: not\u001b now"}},"Q":{five}}}}}"#
    );
    assert_eq!(text(&output.stdout).trim_end(), json);
}

#[test]
fn a_rule_of_a_policy_is_looked_for_where_one_may_have_decided() {
    let scene = Scene::new();
    let rule = "`bus policy explain` says which rule of the bus decides; a service may refuse by itself, too";
    let few = "no rule of a policy decides this: root may, and the user that the bus runs as";
    for (said, hint) in [
        ("Rejected send message, 2 matched rules", rule),
        ("Method X may only be called by root and by the user that the bus runs as", few),
        ("Property 'X' is for root and the user that runs the message bus alone", few),
        ("The caller does not have the necessary privileged to call this method", few),
    ] {
        let denied = "org.freedesktop.DBus.Error.AccessDenied";
        let answer = |call: &Message| vec![Message::error(call, denied).arg(said)];
        let (output, _) = beside(&scene, &format!("bus call {NAME} / a.b.C"), answer);
        assert_eq!(text(&output.stderr), format!("bus: {denied}: {said}\nhint: {hint}\n"));
    }
}

#[test]
fn what_a_hint_says_can_be_given_to_a_shell() {
    let scene = Scene::new();
    let name = "x.$(touch pwned)";
    let xml = format!("<node><interface name=\"{name}\">{TAKE}</interface></node>");
    let answer = |call: &Message| vec![strict(call, &xml)];
    let (output, _) = beside(&scene, &format!("bus call {NAME} / a.b.Take 5"), answer);
    let hint = format!("hint: there is '{name}.Take'\n");
    assert!(text(&output.stderr).ends_with(&hint), "{}", text(&output.stderr));
    let (output, _) = beside(&scene, &format!("bus codegen --server {NAME} /"), answer);
    let hint = format!("hint: --without='{name}' leaves it out\n");
    assert!(text(&output.stderr).ends_with(&hint), "{}", text(&output.stderr));
}

/// Calls a method of an object with these interfaces; what it printed, and the method with its signature, if it was
/// called.
fn called(scene: &Scene, words: &str, interfaces: &str) -> (String, Option<(String, String)>) {
    let xml = format!("<node>{interfaces}</node>");
    let (output, calls) = beside(scene, &format!("bus call {NAME} / {words}"), |call| {
        vec![match call.member().as_str() {
            "Introspect" => Message::method_return(call).arg(&*xml),
            _ => Message::method_return(call),
        }]
    });
    let made = calls.iter().find(|call| call.member() != "Introspect");
    let made = made.map(|call| (call.interface(), call.signature()));
    (text(&output.stderr).to_owned(), made)
}

#[test]
fn the_form_of_a_method_is_chosen_by_how_much_it_is_told() {
    let scene = Scene::new();
    let arg = |kind| format!("<arg type='{kind}' direction='in'/>");
    let forms = format!(
        "<interface name='a.B'><method name='M'/><method name='M'>{}</method>\
         <method name='M'>{}{}</method><method name='Same'>{}</method><method name='Same'>{}</method></interface>",
        arg("s"),
        arg("s"),
        arg("u"),
        arg("s"),
        arg("i")
    );
    for (words, signature) in [("a.B.M", ""), ("a.B.M x", "s"), ("a.B.M x 5", "su"), ("M x", "s")] {
        let (errors, made) = called(&scene, words, &forms);
        assert_eq!(made, Some(("a.B".to_owned(), signature.to_owned())), "{words}: {errors}");
    }
    let (errors, made) = called(&scene, "a.B.Same 5", &forms);
    assert_eq!(made, None);
    let wanted =
        "bus: the object has a method Same in several forms\nhint: say which one: -s s, -s i\n";
    assert_eq!(errors, wanted);
    let (_, made) = called(&scene, "-s i -- a.B.Same 5", &forms);
    assert_eq!(made, Some(("a.B".to_owned(), "i".to_owned())));
}

#[test]
fn what_an_object_tells_of_no_method_is_no_reason_to_call_it() {
    let scene = Scene::new();
    let (errors, made) = called(&scene, "Nope", "<interface name='a.B'/>");
    assert!(errors.starts_with("bus: the object tells of no method Nope\n"), "{errors}");
    assert_eq!(made, None);
    // With its interface it may be there all the same.
    let (_, made) = called(&scene, "a.B.Nope", "<interface name='a.B'/>");
    assert_eq!(made, Some(("a.B".to_owned(), String::new())));
    // An interface that has no name is not sent.
    let named = "<interface name='bad'><method name='M'/></interface>";
    let (_, made) = called(&scene, "M", named);
    assert_eq!(made.map(|(interface, _)| interface), Some(String::new()));
}

#[test]
fn an_object_that_does_not_tell_what_it_has_is_called_as_was_typed() {
    let scene = Scene::new();
    let mut service = scene.bus.connect();
    service.request_name(NAME, 0);
    let mut caller = scene.bus.connect();
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            serve(&mut service, |call| match call.member().as_str() {
                "Introspect" => vec![],
                _ => vec![Message::method_return(call).arg("done")],
            })
        });
        // With the time of a call it would take longer than the shell may.
        let line = format!("timeout 20 bus --timeout=1h call {NAME} / a.B.M");
        assert_eq!(text(&shell(&line, &scene).stdout), "s \"done\"\n");
        caller.send(&Message::method_call("/", NAME, "End").to(NAME));
        assert_eq!(serving.join().unwrap().len(), 2);
    });
}

#[test]
fn gdbus_shows_the_text_of_a_description_that_is_none() {
    let scene = Scene::new();
    for program in ["gdbus", "bus compat gdbus"] {
        let line = format!("{program} introspect -e -x -d {NAME} -o /");
        let answer = |call: &Message| vec![Message::method_return(call).arg("<node")];
        let (output, _) = beside(&scene, &line, answer);
        if output.status.code() == Some(127) {
            bus_tests::harness::skip_without(program);
            continue;
        }
        assert_eq!((text(&output.stdout), output.status.code()), ("<node", Some(0)), "{program}");
    }
}
