//! Match rules: protocol.md A.8.

use bus_tests::harness::{BUS_NAME, Bus, Client, Message, Value, kind};

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("syntax that is accepted", "A154 A155 A156 A158", accepted),
        Case::new("syntax that is refused", "A154 A155 A158 A169 A235", refused),
        Case::new("the length of a rule is limited", "A157 A229", length),
        Case::new("many keys in one rule", "A157 A164", many_keys),
        Case::new("type, interface, member and path", "A158 A160 A161", header_keys),
        Case::new("path_namespace", "A162", path_namespace),
        Case::new("sender", "A159", sender),
        Case::new("destination and unicast messages", "A163 A168", destination),
        Case::new("argN", "A164 A155", arguments),
        Case::new("argNpath", "A165", argument_paths),
        Case::new("arg0namespace", "A166", argument_namespace),
        Case::new("eavesdropping by root", "A167 A168", eavesdrop).needs_root(),
        Case::new("rules count and are compared by value", "A170 A181 A182 A235", counting),
        Case::new("one delivery for many rules", "A171", once),
        Case::new("the number of rules is limited", "A172 A229 B041", limit)
            .limits(&[("max_match_rules_per_connection", 5)]),
    ]
}

const INVALID: &str = "org.freedesktop.DBus.Error.MatchRuleInvalid";

fn accepted(bus: &Bus) {
    let mut client = bus.connect();
    for rule in [
        "",
        "type='signal'",
        "type=signal",
        "type='method_call'",
        "type='method_return'",
        "type='error'",
        "type='signal',",
        " type='signal'",
        "type ='signal', member='A'",
        "sender='org.freedesktop.DBus'",
        "sender=':1.77',destination=':1.78'",
        "path='/',member='A'",
        "path_namespace='/'",
        "arg0='',arg1path='/a/',arg63='x'",
        "arg0path='no/path at all'",
        r"arg0=''\'''",
        r"arg0='a'b'c'",
        r"arg0=\a",
        "arg0='a,b=c'",
        "eavesdrop='false'",
    ] {
        let reply = client.try_call("AddMatch", &[rule.into()]);
        assert_eq!(reply.kind, kind::METHOD_RETURN, "{rule}: {}", reply.describe());
        assert_eq!(reply.body, []);
        client.call("RemoveMatch", &[rule.into()]);
    }
    for rule in
        ["\ttype='signal'", "type= 'signal'", " ", ",", "type='signal',,member='A'", "='signal'"]
    {
        let reply = client.try_call("AddMatch", &[rule.into()]);
        bus.observe(format!("{rule:?}"), reply.error_name());
    }
}

fn refused(bus: &Bus) {
    let mut client = bus.connect();
    for rule in [
        "type",
        "type='signal",
        "type='bogus'",
        "type=''",
        "Type='signal'",
        "bogus='x'",
        "type='signal',type='signal'",
        "member='A',member='B'",
        "sender='nodots'",
        "sender=''",
        "destination='a..b'",
        "interface='nodots'",
        "member='a.b'",
        "path='nopath'",
        "path='/a/'",
        "path_namespace='/a/'",
        "path='/a',path_namespace='/a'",
        "arg64='x'",
        "arg='x'",
        "argx='x'",
        "arg-1='x'",
        "arg0='x',arg0='y'",
        "arg0='x',arg0path='/'",
        "arg1namespace='a.b'",
        "arg0namespace='.a'",
        "arg0bogus='x'",
        "eavesdrop='maybe'",
    ] {
        let reply = client.try_call("AddMatch", &[rule.into()]);
        assert_eq!(reply.error_name(), INVALID, "{rule}: {}", reply.describe());
        assert_eq!(client.refused("RemoveMatch", &[rule.into()]), INVALID, "{rule}");
    }
    for rule in ["arg00='x'", "arg01='x'", "arg999999999999='x'", "arg0namespace='a',arg0='b'"] {
        let reply = client.try_call("AddMatch", &[rule.into()]);
        bus.observe(rule, reply.error_name());
    }
}

fn length(bus: &Bus) {
    let mut client = bus.connect();
    let rule = |size: usize| format!("arg0='{}'", "x".repeat(size - 7));
    client.call("AddMatch", &[rule(1024).into()]);
    let error = client.refused("AddMatch", &[rule(1025).into()]);
    assert_eq!(error, "org.freedesktop.DBus.Error.LimitsExceeded");
    let reply = client.try_call("RemoveMatch", &[rule(1025).into()]);
    bus.observe("RemoveMatch of 1025 bytes", reply.error_name());
}

fn many_keys(bus: &Bus) {
    let mut client = bus.connect();
    let rule = |count: usize| {
        (0..count).map(|index| format!("arg{index}='x'")).collect::<Vec<_>>().join(",")
    };
    for count in [15, 16, 17, 30, 64] {
        let reply = client.try_call("AddMatch", &[rule(count).into()]);
        bus.observe(format!("{count} keys"), reply.error_name());
    }
}

/// Which rules of `rules` let `message` of a new client through.
fn matching<'a>(bus: &Bus, rules: &[&'a str], message: &Message) -> Vec<&'a str> {
    let mut sender = bus.connect();
    let mut observers: Vec<Client> = rules
        .iter()
        .map(|rule| {
            let mut observer = bus.connect();
            observer.add_match(rule);
            observer
        })
        .collect();
    sender.send(message);
    sender.drain();
    let mut passed = Vec::new();
    for (observer, rule) in observers.iter_mut().zip(rules) {
        if observer.drain().iter().any(|received| received.sender() == sender.name) {
            passed.push(*rule);
        }
    }
    passed
}

/// Sends `message` past all rules; those in `yes` must match and those in `no` must not.
fn check(bus: &Bus, message: &Message, yes: &[&str], no: &[&str]) {
    let all = [yes, no].concat();
    assert_eq!(matching(bus, &all, message), yes, "{}", message.describe());
}

fn header_keys(bus: &Bus) {
    check(
        bus,
        &Message::signal("/a/b", "org.example.I", "S"),
        &[
            "",
            "type='signal'",
            "interface='org.example.I'",
            "member='S'",
            "path='/a/b'",
            "type='signal',interface='org.example.I',member='S',path='/a/b'",
        ],
        &[
            "type='method_call'",
            "type='error'",
            "interface='org.example.J'",
            "interface='org.example'",
            "member='s'",
            "path='/a'",
            "path='/a/b/c'",
            "member='S',path='/'",
        ],
    );
}

fn path_namespace(bus: &Bus) {
    let rules =
        ["/", "/a", "/a/b", "/a/b/c", "/a/bc"].map(|path| format!("path_namespace='{path}'"));
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    for (path, expected) in [
        ("/", &rules[..1]),
        ("/a", &rules[..2]),
        ("/a/b", &rules[..3]),
        ("/a/b/c/d", &rules[..4]),
        ("/x", &rules[..1]),
        ("/ab", &rules[..1]),
    ] {
        let passed = matching(bus, &rules, &Message::signal(path, "org.example.I", "S"));
        assert_eq!(passed, expected, "{path}");
    }
}

fn sender(bus: &Bus) {
    let (mut owner, mut other, mut observer) = (bus.connect(), bus.connect(), bus.connect());
    let signal = Message::signal("/a", "org.example.I", "S");
    observer.add_match("interface='org.example.I',sender='org.example.Name'");
    let mut hears = |client: &mut Client| {
        client.send(&signal);
        client.drain();
        observer.drain().len()
    };
    assert_eq!(hears(&mut owner), 0, "nobody owns it");
    owner.request_name("org.example.Name", 0);
    other.request_name("org.example.Name", 0);
    assert_eq!(hears(&mut owner), 1, "the owner");
    assert_eq!(hears(&mut other), 0, "one in the queue");
    owner.release_name("org.example.Name");
    assert_eq!(hears(&mut other), 1, "the new owner");
    assert_eq!(hears(&mut owner), 0, "the old one");
    let mut by_unique_name = bus.connect();
    by_unique_name.add_match(&format!("sender='{}'", other.name));
    other.send(&signal);
    other.drain();
    assert_eq!(by_unique_name.drain().len(), 1);
    let mut of_bus = bus.connect();
    of_bus.add_match(&format!("sender='{BUS_NAME}',member='NameOwnerChanged'"));
    other.request_name("org.example.Other", 0);
    assert_eq!(of_bus.drain().len(), 1);
}

fn destination(bus: &Bus) {
    let (mut sender, mut recipient, mut observer) = (bus.connect(), bus.connect(), bus.connect());
    observer.add_match("");
    observer.add_match("interface='org.example.I'");
    observer.add_match(&format!("destination='{}'", recipient.name));
    let own = observer.name.clone();
    observer.add_match(&format!("destination='{own}'"));
    observer.drain();
    sender.send(&Message::signal("/a", "org.example.I", "S").to(&recipient.name));
    sender.send(&Message::method_call("/a", "org.example.I", "M").to(&recipient.name));
    sender.drain();
    assert_eq!(recipient.drain().len(), 2);
    assert_eq!(observer.drain(), [], "no message to another");
    sender.send(&Message::signal("/a", "org.example.I", "S").to(&own));
    sender.drain();
    assert_eq!(observer.drain().len(), 1, "and its own only once");
}

fn arguments(bus: &Bus) {
    let signal = Message::signal("/a", "org.example.I", "S");
    check(
        bus,
        &signal.clone().arg("one").arg(Value::path("/two")).arg(3).arg("fo'u,r").arg(""),
        &["arg0='one'", "arg3='fo'\\''u,r'", "arg4=''", "arg0='one',arg4=''"],
        &[
            "arg0='on'",
            "arg0='one '",
            "arg0=''",
            "arg1='/two'",
            "arg2='3'",
            "arg5=''",
            "arg0='one',arg3='x'",
        ],
    );
    let mut long = signal.clone();
    long.body = (0..70).map(|number: u32| Value::from(number.to_string())).collect();
    check(bus, &long, &["arg63='63'", "arg0='0',arg62='62'"], &["arg63='64'"]);
    let nested = signal.arg(Value::variant("x")).arg(Value::strings(&["x"])).arg("x");
    check(bus, &nested, &["arg2='x'"], &["arg0='x'", "arg1='x'"]);
}

fn argument_paths(bus: &Bus) {
    let signal = Message::signal("/a", "org.example.I", "S");
    check(
        bus,
        &signal.clone().arg("/aa/bb/"),
        &["arg0path='/'", "arg0path='/aa/'", "arg0path='/aa/bb/'", "arg0path='/aa/bb/cc'"],
        &[
            "arg0path='/aa'",
            "arg0path='/aa/bb'",
            "arg0path='/aa/b'",
            "arg0path='/b/'",
            "arg1path='/'",
        ],
    );
    check(
        bus,
        &signal.clone().arg(Value::path("/aa/bb")).arg("/aa/bb"),
        &["arg0path='/aa/bb'", "arg0path='/aa/'", "arg1path='/aa/bb'"],
        &["arg0path='/aa/bb/'", "arg0path='/aa'", "arg0='/aa/bb'"],
    );
    check(bus, &signal.arg(5), &[], &["arg0path='/'"]);
}

fn argument_namespace(bus: &Bus) {
    let signal = Message::signal("/a", "org.example.I", "S");
    check(
        bus,
        &signal.clone().arg("com.example.app.Window"),
        &["arg0namespace='com'", "arg0namespace='com.example'", "arg0namespace='com.example.app'"],
        &["arg0namespace='com.exam'", "arg0namespace='example'"],
    );
    check(
        bus,
        &signal.clone().arg("com.example"),
        &["arg0namespace='com.example'"],
        &["arg0namespace='com.example.app'"],
    );
    check(bus, &signal.arg(Value::path("/com")), &[], &["arg0namespace='com'"]);
}

fn eavesdrop(bus: &Bus) {
    let (mut sender, mut recipient, mut spy) = (bus.connect(), bus.connect(), bus.connect());
    spy.add_match("interface='org.example.I',eavesdrop='true'");
    spy.add_match("type='method_return',eavesdrop='true'");
    let serial = sender.send(&Message::method_call("/a", "org.example.I", "M").to(&recipient.name));
    let call = recipient.next();
    recipient.send(&Message::method_return(&call));
    sender.reply_to(serial);
    let heard: Vec<u8> = spy
        .drain()
        .iter()
        .filter(|message| message.sender() != BUS_NAME)
        .map(|message| message.kind)
        .collect();
    assert_eq!(heard, [kind::METHOD_CALL, kind::METHOD_RETURN]);
    for (rule, label) in [
        ("eavesdrop='true',eavesdrop='false'", "eavesdrop twice"),
        ("eavesdrop=true", "eavesdrop unquoted"),
    ] {
        bus.observe(label, spy.try_call("AddMatch", &[rule.into()]).error_name());
    }
}

fn counting(bus: &Bus) {
    let mut client = bus.connect();
    let not_found = "org.freedesktop.DBus.Error.MatchRuleNotFound";
    client.add_match("type='signal',member='A'");
    client.add_match("type='signal',member='A'");
    client.call("RemoveMatch", &["member=A, type='signal'".into()]);
    client.send(&Message::signal("/a", "a.b", "A"));
    assert_eq!(client.drain().len(), 1, "one of the two is left");
    client.call("RemoveMatch", &["type='signal',member='A'".into()]);
    client.send(&Message::signal("/a", "a.b", "A"));
    assert_eq!(client.drain(), [], "none is left");
    for rule in ["type='signal',member='A'", "member='Never'", "sender='org.example.Nobody'"] {
        assert_eq!(client.refused("RemoveMatch", &[rule.into()]), not_found, "{rule}");
    }
    client.add_match("member='A'");
    for rule in
        ["member='A',type='signal'", "member='A',path='/'", "", "member='A',eavesdrop='true'"]
    {
        assert_eq!(client.refused("RemoveMatch", &[rule.into()]), not_found, "{rule}");
    }
    let mut other = bus.connect();
    assert_eq!(other.refused("RemoveMatch", &["member='A'".into()]), not_found, "each its own");
    let reply = client.try_call("RemoveMatch", &["member='A',eavesdrop='false'".into()]);
    bus.observe("RemoveMatch that spells eavesdrop='false' out", reply.error_name());
}

fn once(bus: &Bus) {
    let mut client = bus.connect();
    for rule in ["", "", "type='signal'", "member='S'", "arg0='x'", "path_namespace='/'"] {
        client.add_match(rule);
    }
    client.drain();
    client.send(&Message::signal("/a", "a.b", "S").arg("x"));
    assert_eq!(client.drain().len(), 1);
}

fn limit(bus: &Bus) {
    let mut client = bus.connect();
    for number in 0..5 {
        client.add_match(&format!("member='M{}'", number / 2));
    }
    let error = client.refused("AddMatch", &["member='One'".into()]);
    assert_eq!(error, "org.freedesktop.DBus.Error.LimitsExceeded");
    client.call("RemoveMatch", &["member='M0'".into()]);
    client.add_match("member='One'");
    bus.connect().add_match("member='One'");
}
