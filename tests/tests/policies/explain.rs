//! Refusals that explain themselves: in the error, in the log, offline and on the running bus.

use std::process::{Command, Output};

use bus_tests::harness::{BUS_NAME, BUS_PATH, Bus, Client, Config, Daemon, Folder, Message, Value};

const POLICIES: &str = "<policy context='default'><allow user='*'/><deny own='org.example.A'/>\
                        <deny send_destination='org.example.B' send_member='Stop' \
                        send_interface='org.example.I'/></policy>";

fn start() -> Bus {
    Bus::start(&Daemon::ours(), &Config { elements: POLICIES, ..Config::SESSION })
}

fn explain(client: &mut Client, question: &str) -> Message {
    let call = Message::method_call(BUS_PATH, "org.libbus.Policy1", "Explain").to(BUS_NAME);
    client.ask(&call.arg(question))
}

// protocol.md A241, config.md B078
#[test]
fn a_refusal_says_by_which_rule_in_the_error_and_in_the_log() {
    let bus = start();
    let (mut client, mut service) = (bus.connect(), bus.connect());
    let refused = client.try_call("RequestName", &["org.example.A".into(), 0_u32.into()]);
    let own = refused.body[0].text();
    let rule = "rule <deny own=\"org.example.A\"/> in <policy context=\"default\"> at ";
    assert!(own.contains("due to security policies") && own.contains(rule), "{own}");
    assert!(own.contains("bus.conf:"), "{own}");

    service.request_name("org.example.B", 0);
    let call = Message::method_call("/a", "org.example.I", "Stop").to("org.example.B");
    let refused = client.ask(&call);
    assert_eq!(refused.error_name(), "org.freedesktop.DBus.Error.AccessDenied");
    let send = refused.body[0].text();
    assert!(send.starts_with("Rejected send message, 2 matched rules; type=\"method_call\""));
    assert!(
        send.contains("member=\"Stop\" error name=\"(unset)\" requested_reply=\"0\""),
        "{send}"
    );
    let rule = "rule <deny send_destination=\"org.example.B\" send_interface=\"org.example.I\" \
                send_member=\"Stop\"/> in <policy context=\"default\"> at ";
    assert!(send.contains(rule), "{send}");
    bus.wait_for_log("Rejected send message", 1);
    assert!(bus.log().contains(own) && bus.log().contains(send), "{}", bus.log());
}

#[test]
fn the_running_bus_explains_its_policy_to_root() {
    let bus = start();
    let (mut client, mut service) = (bus.connect(), bus.connect());
    service.request_name("org.example.B", 0);
    let unique = service.name.clone();
    let answer = explain(
        &mut client,
        &format!(
            "client={unique} send destination={unique} interface=org.example.I member=Stop path=/"
        ),
    );
    // The unique name stands for all names of its owner.
    assert_eq!(answer.body[0], Value::Boolean(false), "{}", answer.describe());
    assert!(answer.body[1].text().starts_with("denied: uid 0 "), "{}", answer.body[1].text());
    assert!(answer.body[2].text().contains("\"allowed\":false"));
    let own = explain(&mut client, "uid=1000 groups= own=org.example.C");
    assert_eq!(own.body[0], Value::Boolean(true));
    let own = explain(&mut client, &format!("own=org.example.C\tclient={unique}"));
    assert_eq!(own.body[0], Value::Boolean(true), "{}", own.describe());
    let anonymous = explain(&mut client, "anonymous connect");
    assert_eq!(anonymous.body[0], Value::Boolean(false));
    assert!(anonymous.body[1].text().contains("no <allow_anonymous/>"));
    for (question, expected) in [
        (format!("client={unique} client={unique} connect"), "\"client\" is there twice"),
        (format!("client={unique} uid=1 connect"), "\"uid\" is there twice"),
        ("uid=1 own=a.b own=a.c".to_owned(), "\"own\" is there twice"),
        ("uid=1000 groups=".to_owned(), "what? "),
        // Only a word that begins so names a client.
        ("uid=1 groups= own=a.client=b".to_owned(), "nobody may own \"a.client=b\""),
        (
            "uid=1 groups= send destination=client=x".to_owned(),
            "destination=\"client=x\" is no bus name",
        ),
        // Nothing is looked up, and no groups are not to be guessed.
        ("uid=1000 own=a.b".to_owned(), "in which groups? Add groups=A+B, or groups= for none"),
        ("uid=1000 connect".to_owned(), "give their numbers, or client=NAME for those of a client"),
        ("user=root connect".to_owned(), "there is no user \"root\""),
    ] {
        let wrong = explain(&mut client, &question);
        assert_eq!(wrong.error_name(), "org.freedesktop.DBus.Error.InvalidArgs");
        assert!(wrong.body[0].text().contains(expected), "{}", wrong.body[0].text());
    }
    let nobody = explain(&mut client, "client=org.example.Nobody connect");
    assert_eq!(nobody.error_name(), "org.freedesktop.DBus.Error.NameHasNoOwner");
    if rustix::process::getuid().is_root() {
        let mut other = Client::register(bus.connect_as(65534));
        let refused = explain(&mut other, "uid=1000 groups= connect");
        assert_eq!(refused.error_name(), "org.freedesktop.DBus.Error.AccessDenied");
    }
}

/// Runs the daemon with a configuration file of these elements and these arguments.
fn run(elements: &str, arguments: &[&str]) -> Output {
    let folder = Folder::new();
    let text = format!("<busconfig>\n<listen>unix:path=/x</listen>\n{elements}\n</busconfig>\n");
    let file = folder.write("bus.conf", text);
    let mut command = Command::new(Daemon::ours().program);
    command.args(arguments).arg(format!("--config-file={}", file.display())).output().unwrap()
}

fn text_of(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn check_config_tells_sound_from_suspicious_from_unusable() {
    let check = |elements: &str, code: i32, expected: &[&str]| {
        let output = run(elements, &["--check-config"]);
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(code), "{elements}: {text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{line}");
        }
    };
    check("<policy context='default'><allow own='a.b'/></policy>", 0, &["0 errors, 0 warnings"]);
    check(
        "<policy user='no-such-user'><allow own='a.b'/></policy>\
         <policy context='default'><deny send_interface='i.I'/></policy>",
        2,
        &["bus.conf:3:1: there is no user", "bus.conf:3:82: this denies", "0 errors, 2 warnings"],
    );
    check(
        "<policy context='default'>\n<deny own=':1.5'/>\n<deny send_path='relative'/></policy>",
        2,
        &["bus.conf:4:1: own=", "bus.conf:5:1: send_path=", "0 errors, 2 warnings"],
    );
    check(
        "<policy user='root'><deny send_destination='com.x.Y'/></policy>\n\
         <policy context='mandatory'><allow send_destination='*'/></policy>",
        2,
        &["bus.conf:3:21: this has no effect: the rule at ", "0 errors, 1 warning"],
    );
    check(
        "<policy context='default'><allow user='*'/></policy>\n\
         <policy context='mandatory'><deny user='*'/></policy>",
        2,
        &["bus.conf:4:29 comes later", "bus.conf:4:29: nobody may connect", "2 warnings"],
    );
    check("<policy context='default'><allow/></policy>", 1, &["error: ", "1 error, 0 warnings"]);
    check(
        "<policy group='no-such-group'><deny group='root'/></policy>",
        2,
        &["bus.conf:3:31: who may connect", "bus.conf:3:1: there is no group", "2 warnings"],
    );
    check(
        "<colour/>\n<policy user='no-such-user'/>\n<policy context='default'>\
         <deny send_interface='i.I'/></policy><listen>nonsense</listen>",
        1,
        &[
            "bus.conf:3:1: there is no element",
            "the address has no ':'",
            "bus.conf:4:1: there is no user",
            "bus.conf:5:27: this denies",
            "2 errors, 2 warnings",
        ],
    );
    check(
        "<selinux><associate own='a' context='c'/></selinux>",
        2,
        &["bus.conf:3:10: own=\"a\" is no well-known bus name", "0 errors, 1 warning"],
    );
    // Well written, and no bus would start with it.
    for (element, text) in [
        ("<user>no-such-user</user>", "does not exist"),
        ("<listen>nonsense</listen>", "the address has no ':'"),
        ("<apparmor mode='required'/>", "AppArmor mediation required but not present"),
        ("<listen>carrier-pigeon:path=/x</listen>", "nobody knows the transport"),
    ] {
        let output = run(element, &["--check-config"]);
        let found = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{element}: {found}");
        assert!(found.contains("bus.conf:3:1: ") && found.contains(text), "{found}");
    }
}

#[test]
fn explain_policy_answers_in_words_and_json() {
    let policies = "<policy context='default'><allow own='a.b'/></policy>";
    let output = run(policies, &["--explain-policy=uid=1 own=a.b"]);
    let text = text_of(&output);
    assert!(text.starts_with("allowed: uid 1") && text.contains("bus.conf:3:27: <allow own="));
    assert_eq!(output.status.code(), Some(0));
    let output = run(policies, &["--json", "--explain-policy=uid=1 own=a.c"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["allowed"], false);
    assert_eq!(json["decided"], serde_json::Value::Null);
    assert_eq!(json["considered"][0]["line"], 3);
    let anonymous = "<policy context='default'><allow user='*'/></policy>";
    let text = text_of(&run(anonymous, &["--explain-policy=anonymous connect"]));
    assert!(text.starts_with("denied: a client without a user"), "{text}");
    assert!(text.contains("\nby default: there is no <allow_anonymous/>"), "{text}");
    let allowed = format!("{anonymous}<allow_anonymous/>");
    let text = text_of(&run(&allowed, &["--explain-policy=anonymous connect"]));
    assert!(text.starts_with("allowed: ") && text.contains("\nby <allow_anonymous/>"), "{text}");
    let text = text_of(&run(
        &format!("{allowed}<auth>EXTERNAL</auth>"),
        &["--explain-policy=anonymous connect"],
    ));
    assert!(text.starts_with("denied: ") && text.contains("\nby <auth>: "), "{text}");
    let output = run(policies, &["--explain-policy=uid=1 own=a.b own=a.c"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("\"own\" is there twice"));
    let output = run(policies, &["--explain-policy=uid=1 send path=relative"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("is no object path: "));
    let output = run(policies, &["--check-config", "--explain-policy=uid=1 own=a.b"]);
    assert_eq!((output.status.code(), text_of(&output).as_str()), (Some(1), ""));
    assert!(String::from_utf8(output.stderr).unwrap().contains("exclude each other"));
    let output = run(policies, &["--explain-policy=own=a.c"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("who? Add user=NAME"));
}

/// An answer is about the files that are left, and says which are not.
#[test]
fn an_answer_says_which_files_are_left_out() {
    let folder = Folder::new();
    folder.write("bad.conf", "<busconfig><policy context='x'/></busconfig>");
    let elements = format!("<includedir>{}</includedir>", folder.display());
    let output = run(&elements, &["--explain-policy=uid=1 own=a.b", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text_of(&output).starts_with('{'), "the answer stays what programs read");
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("bad.conf:1:20: ") && notes.contains("left out"), "{notes}");
}
