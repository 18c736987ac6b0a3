//! Questions in words, and their answers.

use super::super::{Accounts, set};
use crate::config::Limits;
use crate::inquiry::{Anonymous, Door, Inquiry};
use crate::lint::lint;

/// Of a bus that runs as user 7.
const DOOR: Door = Door { own_uid: 7, anonymous: Anonymous::Denied };

#[test]
fn questions_in_words_are_answered_with_all_rules() {
    let set = set("<policy context='default'><allow user='*'/><deny own='*'/></policy>\
         <policy group='wheel'><allow own='a.b'/></policy>\
         <policy user='bob'><allow send_destination='a.b' send_interface='i.A'/></policy>");
    let ask = |question: &str| {
        let inquiry = Inquiry::parse(question, &Accounts).map_err(|error| error.to_string())?;
        Ok::<_, String>(inquiry.answer(&set, DOOR))
    };
    let check = |question: &str, allowed: bool, decided: Option<&str>| {
        let answer = ask(question).unwrap();
        assert_eq!(answer.allowed, allowed, "{question}");
        assert_eq!(answer.decided.map(|rule| rule.rule).as_deref(), decided, "{question}");
    };
    check("user=alice own=a.b", true, Some("<allow own=\"a.b\"/>"));
    check("user=bob own=a.b", false, Some("<deny own=\"*\"/>"));
    check("user=bob,groups=wheel,own=a.b", true, Some("<allow own=\"a.b\"/>"));
    check("uid=4000 connect", true, Some("<allow user=\"*\"/>"));
    let rule = "<allow send_destination=\"a.b\" send_interface=\"i.A\"/>";
    check("user=bob send destination=a.b interface=i.A member=M", true, Some(rule));
    check("user=bob send destination=a.b member=M", false, None);
    check("user=alice send destination=a.b interface=i.A", false, None);
    check("anonymous receive sender=a.b type=signal", false, None);
    check("user=bob groups= own=a.b", false, Some("<deny own=\"*\"/>"));
    assert!(ask("user=bob groups own=a.b").unwrap_err().contains("\"groups\" means nothing here"));
    // What may be repeated counts as often as it is there.
    check("user=bob groups=29 groups=wheel own=a.b", true, Some("<allow own=\"a.b\"/>"));
    let rule = "<allow send_destination=\"a.b\" send_interface=\"i.A\"/>";
    check("user=bob send destination=x.y destination=a.b interface=i.A", true, Some(rule));
    let rule = "<allow send_destination=\"a.b\" send_interface=\"i.A\"/>";
    check("user=bob send destination=:1.5 destination=a.b interface=i.A", true, Some(rule));
    let answer = ask("user=bob own=a.b").unwrap();
    assert_eq!(
        answer.to_string(),
        "denied: uid 1001 (no groups): own a.b\n\
         by bus.conf:1:73: <deny own=\"*\"/> in <policy context=\"default\">\n\
         rules considered, of which the last that matches decides:\n\
         \x20 bus.conf:1:73: <deny own=\"*\"/> in <policy context=\"default\">\n\
         \x20     decides: the last rule that matches\n"
    );
    let rule = r#"{"rule":"<deny own=\"*\"/>","block":"<policy context=\"default\">","file":"bus.conf","line":1,"column":73,"outcome":"decides: the last rule that matches"}"#;
    let json = format!(
        r#"{{"question":"uid 1001 (no groups): own a.b","allowed":false,"decided":{rule},"reason":null,"considered":[{rule}]}}"#
    );
    assert_eq!(answer.to_json(), json);
    for (question, expected) in [
        ("own=a.b", "who?"),
        ("user=alice", "what?"),
        ("user=alice own=a.b connect", "\"own\" and \"connect\" exclude each other; ask one"),
        ("user=alice receive send", "\"receive\" and \"send\" exclude each other"),
        ("user=alice own=a.b own=a.c", "\"own\" is there twice; ask one question for each"),
        ("uid=1 own=a.b uid=2", "\"uid\" is there twice"),
        ("user=alice uid=2 connect", "\"user\" and \"uid\" exclude each other"),
        ("anonymous uid=2 connect", "\"anonymous\" and \"uid\" exclude each other"),
        ("uid=1 connect connect", "\"connect\" is there twice"),
        ("uid=1 send path=/a path=/b", "\"path\" is there twice"),
        ("uid=1 send interface=i.A interface=i.B", "\"interface\" is there twice"),
        ("uid=1 send member=A member=B", "\"member\" is there twice"),
        ("uid=1 send error=e.E error=e.F", "\"error\" is there twice"),
        ("uid=1 send fds=1 fds=2", "\"fds\" is there twice"),
        ("uid=1 send type=signal type=error", "\"type\" is there twice"),
        ("uid=1 send type=signal broadcast broadcast=no", "\"broadcast\" is there twice"),
        ("user=eve own=a.b", "there is no user \"eve\""),
        ("user=alice groups=x connect", "there is no group \"x\""),
        ("user=alice send type=call", "no message type"),
        ("user=alice send colour=red", "no key \"colour\""),
        ("user=alice send fds=many", "write how many"),
        ("user=alice, own", "means nothing"),
        ("uid=1 own=a.b interface=i.A", "\"interface\" is about a message: add send or receive"),
        ("uid=1 connect destination=a.b", "\"destination\" is about a message"),
        ("uid=1 send sender=a.b", "write destination=NAME"),
        ("uid=1 receive destination=a.b", "write sender=NAME"),
        ("uid=1 send path=/a\u{1b}[2J", "\"path=/a\\u{1b}[2J\" has a control character"),
        ("user=alice own=:1.7", "nobody may own :1.7"),
        ("user=alice own=org.freedesktop.DBus", "the bus's own name"),
        ("user=alice own=nodot", "nobody may own \"nodot\": "),
        ("user=alice send broadcast", "add type=signal"),
        ("user=alice send type=signal broadcast=maybe", "write yes or no"),
        (
            "user=alice send requested_reply=true",
            "requested_reply=\"true\" means nothing; write yes or",
        ),
        ("user=alice send eavesdropping=1", "eavesdropping=\"1\" means nothing; write yes or no"),
        ("user=alice send=a.b", "send=\"a.b\" means nothing; write \"send\" alone"),
        ("user=alice receive=a.b", "write \"receive\" alone"),
        ("user=alice connect=yes", "write \"connect\" alone"),
        ("anonymous=no connect", "write \"anonymous\" alone"),
        (
            "uid=1 send destination=nodots",
            "destination=\"nodots\" is no bus name: it has one element",
        ),
        ("uid=1 send destination=client=x", "destination=\"client=x\" is no bus name: "),
        ("uid=1 send destination=a.*", "destination=\"a.*\" is no bus name: "),
        ("uid=1 receive sender=:", "sender=\":\" is no bus name: "),
        ("uid=1 send path=a", "path=\"a\" is no object path: it does not start with '/'"),
        ("uid=1 send path=/a/", "path=\"/a/\" is no object path: "),
        ("uid=1 send interface=I", "interface=\"I\" is no interface name: it has one element"),
        ("uid=1 receive member=i.A.Get", "member=\"i.A.Get\" is no member name: "),
        (
            "uid=1 send type=error error=Failed",
            "error=\"Failed\" is no error name: it has one element",
        ),
    ] {
        let error = ask(question).unwrap_err();
        assert!(error.contains(expected), "{question}: {error}");
    }
}

// config.md B071
#[test]
fn rules_about_connecting_are_considered_in_their_order() {
    let set = set("<policy context='mandatory'><deny user='bob'/></policy>\
         <policy context='default'><deny user='eve'/><allow user='*'/></policy>");
    let answer = Inquiry::parse("user=bob connect", &Accounts).unwrap().answer(&set, DOOR);
    let considered: Vec<&str> = answer.considered.iter().map(|one| one.rule.as_str()).collect();
    assert_eq!(considered, ["<allow user=\"*\"/>", "<deny user=\"bob\"/>"]);
    assert_eq!(answer.considered.last(), answer.decided.as_ref());
}

// config.md B071
#[test]
fn of_each_rule_about_connecting_it_is_said_what_came_of_it() {
    let set = set("<policy context='default'><allow user='*'/><deny group='wheel'/>\
         <allow user='alice'/><allow user='no-such-user'/><deny group='*'/></policy>\
         <policy context='mandatory'><deny user='alice'/><allow user='bob'/></policy>");
    let check = |question: &str, allowed: bool, expected: [&str; 6]| {
        let answer = Inquiry::parse(question, &Accounts).unwrap().answer(&set, DOOR);
        let outcomes: Vec<&str> = answer.considered.iter().map(|one| &*one.outcome).collect();
        assert_eq!((answer.allowed, &outcomes[..]), (allowed, &expected[..]), "{question}");
    };
    let decides = "decides: the last rule that matches";
    let overruled = "matches, but a later rule does too";
    let user = "does not match: another user";
    let group = "does not match: a group that the user is not in";
    let of_alice = [overruled, overruled, overruled, overruled, decides, user];
    check("user=alice groups=wheel connect", false, of_alice);
    check("user=bob groups= connect", true, [overruled, group, user, overruled, user, decides]);
    check("uid=4000 groups= connect", false, [overruled, group, user, decides, user, user]);
}

// config.md B016, B018, B071: rules about connecting are about users, and nobody else.
#[test]
fn who_has_no_user_connects_by_allow_anonymous_alone() {
    let everybody = set("<policy context='default'><allow user='*'/></policy>");
    let nobody = set("<policy context='default'><deny user='*'/></policy>");
    let check = |is_allowed, has_mechanism, allowed: bool, reason: &str| {
        let door = Door { own_uid: 7, anonymous: Anonymous::new(is_allowed, has_mechanism) };
        for set in [&everybody, &nobody] {
            let answer = Inquiry::parse("anonymous connect", &Accounts).unwrap().answer(set, door);
            assert_eq!((answer.allowed, &answer.decided), (allowed, &None), "{reason}");
            let verdict = if allowed { "allowed" } else { "denied" };
            let text = format!("{verdict}: a client without a user (no groups): connect\n{reason}");
            assert!(answer.to_string().starts_with(&text), "{answer}");
            let json = answer.to_json();
            assert!(json.contains(&format!("\"decided\":null,\"reason\":\"{reason}")), "{json}");
        }
    };
    check(false, true, false, "by default: there is no <allow_anonymous/>");
    check(false, false, false, "by default: there is no <allow_anonymous/>");
    check(true, false, false, "by <auth>: ");
    check(true, true, true, "by <allow_anonymous/>: ");
}

/// Values may hold line ends, if they are written as references.
#[test]
fn an_answer_has_a_line_for_each_rule() {
    let set = set("<policy user='1000'><deny own='a&#xa;b&quot;'/></policy>");
    let answer = Inquiry::parse("uid=1000 own=a.b", &Accounts).unwrap().answer(&set, DOOR);
    let expected = "  bus.conf:1:50: <deny own=\"a&#xa;b&quot;\"/> in <policy user=\"1000\">";
    assert_eq!(answer.to_string().lines().nth(3), Some(expected));
    let found = lint(&set, &Limits::default())
        .into_iter()
        .map(|finding| finding.to_string())
        .collect::<String>();
    assert!(found.contains("own=\"a\\nb\\\"\" is no bus name"), "{found}");
}

// config.md B062
#[test]
fn a_question_says_whether_a_signal_is_a_broadcast() {
    let set = set("<policy context='default'><deny send_broadcast='true'/>\
         <allow send_broadcast='false'/></policy>");
    for (question, allowed) in [
        ("send type=signal", false),
        ("send type=signal broadcast=no", true),
        ("send type=signal destination=a.b", true),
        ("send type=signal destination=a.b broadcast", false),
        ("send type=signal destination=a.b broadcast=yes", false),
        ("send type=method_call", true),
    ] {
        let inquiry = Inquiry::parse(&format!("uid=1 {question}"), &Accounts).unwrap();
        let answer = inquiry.answer(&set, DOOR);
        assert_eq!(answer.allowed, allowed, "{question}");
        assert_eq!(answer.question.contains(" broadcast"), !allowed, "{}", answer.question);
    }
}

// config.md B063, B067
#[test]
fn a_question_says_how_a_message_comes() {
    let set = set("<policy context='default'><allow send_destination='*'/>\
         <allow receive_sender='*'/></policy>");
    for (question, allowed) in [
        ("send type=error requested_reply", true),
        ("send type=error requested_reply=yes", true),
        ("send type=error requested_reply=no", false),
        ("send type=error", false),
        ("receive type=signal eavesdropping", false),
        ("receive type=signal eavesdropping=yes", false),
        ("receive type=signal eavesdropping=no", true),
    ] {
        let inquiry = Inquiry::parse(&format!("uid=1 {question}"), &Accounts).unwrap();
        assert_eq!(inquiry.answer(&set, DOOR).allowed, allowed, "{question}");
    }
}
