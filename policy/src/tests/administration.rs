//! What administrators are told: suspicious rules, and, in `questions.rs`, what they ask in words.

mod questions;

use super::set;
use crate::config::Limits;
use crate::lint::lint;

fn findings(policies: &str) -> Vec<String> {
    lint(&set(policies), &Limits::default())
        .into_iter()
        .map(|finding| finding.to_string())
        .collect()
}

#[test]
fn suspicious_rules_are_named_with_their_place() {
    let check = |rules: &str, expected: &[&str]| {
        let found = findings(&format!("<policy context='default'>{rules}</policy>"));
        assert_eq!(found.len(), expected.len(), "{rules}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with("bus.conf:1:") && found.contains(expected), "{found}");
        }
    };
    let own = "<allow own='a.b'/>";
    check(own, &[]);
    check(&format!("{own}<allow send_destination='a.b' send_interface='i.A'/>"), &[]);
    check("<deny send_interface='i.A'/>", &["at every destination, and every call that names no"]);
    check("<allow send_interface='i.A'/>", &["whoever implements it"]);
    check("<allow send_type='signal' send_interface='i.A'/>", &[]);
    assert_eq!(findings("<policy user='root'><allow send_interface='i.A'/></policy>"), [""; 0]);
    check("<deny receive_path='/a' receive_member='M'/>", &["add the interface"]);
    check("<deny send_type='error' send_broadcast='true'/>", &["never matches"]);
    check("<deny receive_error='e.E' receive_type='signal'/>", &["restricts nothing"]);
    check("<deny own='a.b'/><allow own='*'/>", &["removes all before it"]);
    check("<allow own='a.b'/><deny own_prefix='a'/>", &["nobody whom this is for may own"]);
    check("<allow send_destination='a.b'/>", &["no rule lets anybody own"]);
    check("<allow send_destination='org.freedesktop.DBus'/><allow send_destination=':1.5'/>", &[]);
    check("<allow receive_sender='a.b'/>", &["nobody at the other end"]);
    check("<allow send_destination_prefix='a.b'/>", &["begins with \"a.b\""]);
    for own in ["own='a.b'", "own='a.b.c'", "own_prefix='a'", "own_prefix='a.b.c'", "own='*'"] {
        check(&format!("<allow {own}/><allow send_destination_prefix='a.b'/>"), &[]);
    }
    let denied = "<allow own='a.b.c'/><deny own_prefix='a.b'/>";
    let found = [&["nobody whom this is for may own"][..], &["begins with \"a.b\""]].concat();
    check(&format!("{denied}<allow send_destination_prefix='a.b'/>"), &found);
    check("<deny send_type='signal' min_fds='17'/>", &["may have 16 file descriptors at most"]);
    // The reader warns of that one.
    check("<deny send_type='signal' min_fds='3' max_fds='2'/>", &[]);
}

#[test]
fn rules_that_a_later_one_takes_back_are_suspicious() {
    let check = |rules: &str, is_found: bool| {
        let found = findings(&format!("<policy context='default'>{rules}</policy>"));
        let expected = usize::from(is_found);
        assert_eq!(found.len(), expected, "{rules}: {found:?}");
        assert!(found.iter().all(|found| found.contains("comes later, is about all")));
    };
    let own = "<allow own='a.b'/>";
    check("<deny own='a.b'/><allow own='a.b'/>", true);
    check("<deny own='a.b'/><allow own_prefix='a'/>", true);
    check("<deny own_prefix='a.b'/><allow own='a.b'/>", false);
    check("<allow own='a.b'/><allow own_prefix='a'/>", false);
    let to = |effect: &str, rest: &str| format!("<{effect} send_destination='a.b' {rest}/>");
    let interface = "send_interface='i.A'";
    check(&[own, &to("deny", interface), &to("allow", "")].concat(), true);
    check(&[own, &to("allow", interface), &to("deny", "")].concat(), true);
    check(&[own, &to("deny", ""), &to("allow", interface)].concat(), false);
    check(&[own, &to("deny", interface), &to("allow", "send_path='/a'")].concat(), false);
    check(
        &[own, &to("deny", "send_type='signal'"), &to("allow", "send_type='error'")].concat(),
        false,
    );
    check(&[own, &to("deny", "min_fds='1'"), &to("allow", "")].concat(), true);
    // Messages without an interface are denied by the first all the same (config.md B055).
    check(&[own, &to("deny", interface), &to("allow", interface)].concat(), false);
    let both = "send_interface='i.A' send_path='/a'";
    check(&[own, &to("deny", both), &to("allow", interface)].concat(), false);
    check(&[own, &to("allow", interface), &to("deny", interface)].concat(), true);
    let requested = "send_requested_reply='true'";
    check(&[own, &to("deny", requested), &to("allow", "")].concat(), false);
    // What somebody eavesdrops on, too (config.md B067).
    let received = "receive_sender='a.b' receive_type='signal'";
    check(&format!("{own}<deny {received}/><allow {received}/>"), false);
    check(&[own, &to("deny", ""), &to("allow", "max_fds='0'")].concat(), false);
    check("<allow receive_sender=':1.1' receive_path='/a'/><deny receive_sender=':1.1'/>", true);
    let blocks = "<policy context='default'><deny own='a.b'/></policy>\
                  <policy user='root'><allow own='a.b'/></policy>";
    assert_eq!(findings(blocks), [""; 0], "another block is for others");
}

// config.md B049
#[test]
fn rules_that_a_later_block_takes_back_are_suspicious() {
    // Blocks stand in a line each.
    let check = |blocks: &[(&str, &str)], overruled: &[(u32, u32)]| {
        let block = |(context, rules): &(&str, &str)| format!("<policy {context}>{rules}</policy>");
        let blocks: Vec<String> = blocks.iter().map(block).collect();
        let found = findings(&blocks.join("\n"));
        assert_eq!(found.len(), overruled.len(), "{blocks:?}: {found:?}");
        for (found, (line, by)) in found.iter().zip(overruled) {
            assert!(found.starts_with(&format!("bus.conf:{line}:")), "{found}");
            assert!(found.contains(&format!("the rule at bus.conf:{by}:")), "{found}");
            assert!(found.contains("comes later, is about all"), "{found}");
        }
    };
    let (default, mandatory) = ("context='default'", "context='mandatory'");
    let (root, wheel, alice) = ("user='root'", "group='wheel'", "user='alice'");
    let not_at_console = "at_console='false'";
    let to = "send_destination=':1.1'";
    let (allow, deny) = (format!("<allow {to}/>"), format!("<deny {to}/>"));
    let (allow, deny) = (allow.as_str(), deny.as_str());
    let call = format!("<allow {to} send_interface='i.A' send_member='M'/>");
    for earlier in [default, root, wheel, alice, not_at_console] {
        check(&[(earlier, allow), (mandatory, deny)], &[(1, 2)]);
        check(&[(mandatory, deny), (earlier, &call)], &[(2, 1)]);
        check(&[(earlier, deny), (mandatory, &call)], &[]);
        check(&[(earlier, deny), (mandatory, deny)], &[]);
    }
    check(&[(root, allow), (not_at_console, deny)], &[(1, 2)]);
    check(&[(default, allow), (default, deny)], &[(1, 2)]);
    check(&[(default, deny), (root, allow), (mandatory, deny)], &[(2, 3)]);
    // The next one is named.
    check(&[(default, deny), (default, allow), (mandatory, allow)], &[(1, 2)]);
    check(&[(root, deny), (mandatory, allow), (root, allow)], &[(1, 3)]);
    // It is left for others.
    for special in [root, wheel] {
        check(&[(default, deny), (special, allow)], &[]);
    }
    check(&[(wheel, deny), (alice, allow)], &[]);
    check(&[(alice, deny), (root, allow)], &[]);
    check(&[(mandatory, deny), (default, deny)], &[]);
    // Of replies, each is about others by default.
    let replies = |effect: &str, rest: &str| format!("<{effect} {to} send_type='error' {rest}/>");
    let (allow, deny) = (replies("allow", ""), replies("deny", ""));
    check(&[(default, &deny), (mandatory, &allow)], &[]);
    check(&[(default, &allow), (mandatory, &deny)], &[]);
    let any = "send_requested_reply";
    check(
        &[(default, &deny), (mandatory, &replies("allow", &format!("{any}='false'")))],
        &[(1, 2)],
    );
    check(&[(default, &allow), (mandatory, &replies("deny", &format!("{any}='true'")))], &[(1, 2)]);
    // Prefixes, and who sends.
    let prefix = "<deny send_destination_prefix='a'/>";
    let own = "<allow own='a.b'/>";
    check(
        &[(default, own), (root, "<allow send_destination='a.b'/>"), (mandatory, prefix)],
        &[(2, 3)],
    );
    let from = |effect: &str, rest: &str| format!("<{effect} receive_sender=':1.1' {rest}/>");
    check(&[(root, &from("allow", "receive_path='/'")), (mandatory, &from("deny", ""))], &[(1, 2)]);
    check(&[(root, &from("allow", "")), (mandatory, &from("deny", "receive_path='/'"))], &[]);
    // What is eavesdropped on is denied by the first all the same (config.md B067).
    check(&[(root, &from("deny", "receive_path='/'")), (mandatory, &from("allow", ""))], &[]);
}

// config.md B049, B054
#[test]
fn rules_that_a_later_block_removes_are_suspicious() {
    // Blocks stand in a line each.
    let check = |blocks: &[(&str, &str)], removed: &[(u32, u32)]| {
        let block = |(context, rules): &(&str, &str)| format!("<policy {context}>{rules}</policy>");
        let blocks: Vec<String> = blocks.iter().map(block).collect();
        let found = findings(&blocks.join("\n"));
        assert_eq!(found.len(), removed.len(), "{blocks:?}: {found:?}");
        for (found, (line, by)) in found.iter().zip(removed) {
            assert!(found.starts_with(&format!("bus.conf:{line}:")), "{found}");
            let by = format!("no effect: the rule at bus.conf:{by}:");
            assert!(found.contains(&by) && found.contains("removes all before it"), "{found}");
        }
    };
    let (default, mandatory) = ("context='default'", "context='mandatory'");
    let (root, wheel, alice) = ("user='root'", "group='wheel'", "user='alice'");
    let (not_at_console, at_console) = ("at_console='false'", "at_console='true'");
    let (deny, all) = ("<deny send_destination='com.x.Y'/>", "<allow send_destination='*'/>");
    check(&[(default, deny), (default, all)], &[(1, 2)]);
    check(&[(root, deny), (mandatory, all)], &[(1, 2)]);
    check(&[(mandatory, all), (root, deny)], &[(2, 1)]);
    check(&[(mandatory, deny), (mandatory, all)], &[(1, 2)]);
    check(&[(root, deny), (not_at_console, all)], &[(1, 2)]);
    check(&[(wheel, deny), (alice, deny), (mandatory, all)], &[(1, 3), (2, 3)]);
    check(&[(default, "<deny own='a.b'/>"), (default, "<allow own='*'/>")], &[(1, 2)]);
    check(
        &[(root, "<deny receive_type='error'/>"), (mandatory, "<allow eavesdrop='true'/>")],
        &[(1, 2)],
    );
    // Whatever it says beside names, types and fields does not count.
    for modifier in ["send_broadcast", "send_requested_reply"] {
        let wildcard = format!("<deny {modifier}='true'/>");
        check(&[(default, deny), (default, &wildcard)], &[(1, 2)]);
    }
    check(
        &[(default, deny), (root, deny), (default, all), (mandatory, all)],
        &[(1, 3), (2, 4), (3, 4)],
    );
    // For others it is left; and what is for nobody removes nothing.
    for special in [root, wheel] {
        check(&[(default, deny), (special, all)], &[]);
    }
    let console = format!("<policy {default}>{deny}</policy><policy {at_console}>{all}</policy>");
    assert_eq!(findings(&console).len(), 1, "{:?}", findings(&console));
    // Others come first, or are of another kind.
    check(&[(mandatory, deny), (default, all)], &[]);
    check(&[(root, all), (wheel, deny)], &[]);
    check(&[(alice, deny), (root, all)], &[]);
    check(&[(default, deny), (mandatory, "<allow receive_sender='*'/><allow own='*'/>")], &[]);
    check(&[(default, deny), (mandatory, "<allow send_type='signal'/>")], &[]);
}

// config.md B071
#[test]
fn rules_about_connecting_count_together() {
    let check = |blocks: &[(&str, &str)], expected: &[(u32, &str)]| {
        let block = |(context, rules): &(&str, &str)| {
            format!("<policy context='{context}'>{rules}</policy>")
        };
        let blocks: Vec<String> = blocks.iter().map(block).collect();
        let found = findings(&blocks.join("\n"));
        assert_eq!(found.len(), expected.len(), "{blocks:?}: {found:?}");
        for (found, (line, text)) in found.iter().zip(expected) {
            assert!(found.starts_with(&format!("bus.conf:{line}:")), "{found}");
            assert!(found.contains(text), "{found}");
        }
    };
    let (everybody, nobody) = ("<allow user='*'/>", "<deny user='*'/>");
    let (alice, no_alice) = ("<allow user='alice'/>", "<deny user='alice'/>");
    let second = "the rule at bus.conf:2:";
    let shut = "nobody may connect: ";
    check(&[("default", &[no_alice, everybody].concat())], &[(1, "the rule at bus.conf:1:")]);
    check(&[("default", no_alice), ("default", everybody)], &[(1, second)]);
    check(&[("default", no_alice), ("default", "<allow group='*'/>")], &[(1, second)]);
    check(&[("default", "<deny group='wheel'/>"), ("mandatory", everybody)], &[(1, second)]);
    // A number is the same user, and blocks apply in their own order.
    check(&[("mandatory", "<allow user='1000'/>"), ("default", no_alice)], &[(2, "bus.conf:1:")]);
    check(&[("default", everybody), ("mandatory", no_alice)], &[]);
    check(&[("mandatory", no_alice), ("default", everybody)], &[]);
    check(&[("default", alice), ("default", everybody)], &[]);
    check(&[("default", alice), ("default", "<deny group='wheel'/><deny user='bob'/>")], &[]);
    check(&[("default", "<deny user='eve'/>"), ("default", everybody)], &[]);
    check(&[("default", nobody)], &[(1, shut)]);
    check(&[("default", everybody), ("mandatory", nobody)], &[(1, second), (2, shut)]);
    check(&[("default", nobody), ("mandatory", "<deny group='*'/>")], &[(2, shut)]);
    check(&[("default", nobody), ("default", alice)], &[]);
    check(&[("default", nobody), ("default", "<allow group='wheel'/>")], &[]);
    check(
        &[("default", nobody), ("mandatory", &[alice, no_alice].concat())],
        &[(1, shut), (2, second)],
    );
    check(&[("default", nobody), ("default", "<allow user='eve'/>")], &[(1, shut)]);
    check(&[("default", no_alice)], &[]);
}

// config.md B052
#[test]
fn nobody_is_at_the_console() {
    let found = findings(
        "<policy at_console='true'><deny own='a.b'/><deny own='a.c'/></policy>\
         <policy at_console='false'><deny own='a.d'/></policy>\
         <policy at_console='true'><deny own='a.e'/></policy>",
    );
    assert_eq!(found.len(), 2, "once for each block: {found:?}");
    assert!(found.iter().all(|found| found.contains("nobody counts as being at the console")));
}

/// What is said about one rule of a block for everybody.
fn check_rule(rule: &str, expected: &[&str]) {
    let found = findings(&format!("<policy context='default'>{rule}</policy>"));
    assert_eq!(found.len(), expected.len(), "{rule}: {found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with("bus.conf:1:56: ") && found.contains(expected), "{found}");
    }
}

// config.md B058, B059, B065, B069, B070
#[test]
fn names_that_nobody_has_are_told_with_what_to_write() {
    let check = check_rule;
    for attribute in ["own", "send_destination", "receive_sender"] {
        for (effect, value) in
            [("allow", "nodots"), ("deny", "a..b"), ("allow", ""), ("deny", "a.1")]
        {
            let attribute = format!("{attribute}=\"{value}\"");
            check(&format!("<{effect} {attribute}/>"), &[&format!("{attribute} is no bus name: ")]);
        }
    }
    check(
        "<deny own='nodots'/>",
        &["so that this never matches; write one such as \"org.example.A\""],
    );
    for attribute in ["own_prefix", "send_destination_prefix"] {
        for value in ["a..b", "", "1", "a."] {
            let attribute = format!("{attribute}=\"{value}\"");
            check(&format!("<deny {attribute}/>"), &[&format!("{attribute} is no bus name: ")]);
        }
        check(&format!("<deny {attribute}='a'/>"), &[]);
        // Names below that of the bus are like any other.
        check(&format!("<deny {attribute}='org.freedesktop.DBus'/>"), &[]);
    }
    check("<deny send_destination=':1.5'/>", &[]);
    check("<deny receive_sender=':1.5'/>", &[]);
    check("<deny send_destination_prefix=':1'/>", &[]);
    check("<deny send_destination_prefix=':1..'/>", &["is no bus name"]);
    let unique = "the bus alone gives unique names, so that this has no effect; write a well-known";
    check("<allow own=':1.5'/>", &[&format!("own=\":1.5\": {unique}")]);
    check("<deny own=':1.5'/>", &[unique]);
    check("<deny own_prefix=':1.5'/>", &[&format!("own_prefix=\":1.5\": {unique}")]);
    let of_the_bus = "only the bus has its own name, so that this has no effect; remove it";
    check("<allow own='org.freedesktop.DBus'/>", &[of_the_bus]);
    check("<deny own='org.freedesktop.DBus'/>", &[of_the_bus]);
    // The reader of the configuration warns of patterns.
    check("<deny own='a.*'/>", &[]);
}

// config.md B055–B057, B060, B064
#[test]
fn fields_that_no_message_has_are_told_with_what_to_write() {
    for direction in ["send", "receive"] {
        let check = |attributes: &str, expected: &[&str]| {
            let rule = attributes.replace("…", direction);
            let expected: Vec<_> = expected.iter().map(|one| one.replace("…", direction)).collect();
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            check_rule(&format!("<deny {rule} {direction}_type='signal'/>"), &expected);
        };
        check(
            "…_path='relative'",
            &["…_path=\"relative\" is no object path: it does not start with '/', so that no \
               message with a path matches; write \"/relative\""],
        );
        check("…_path='/a/'", &["write \"/a\""]);
        check("…_path='/a//b'", &["write \"/a/b\""]);
        check("…_path='/a.b'", &["write one such as \"/org/example/A\""]);
        check("…_path='/a/*'", &[]);
        check("…_path='/'", &[]);
        check(
            "…_interface='noiface'",
            &[
                "…_interface=\"noiface\" is no interface name: it has one element and needs two, so \
               that no message with an interface matches; write one such as \"org.example.A\"",
            ],
        );
        let member = |value| format!("…_interface='i.A' …_member='{value}'");
        check(&member("Frobnicate"), &[]);
        check(
            &member("i.A.Get"),
            &[
                "…_member=\"i.A.Get\" is no member name: the character at byte 1 is not allowed, so \
               that no message with a member matches; write \"Get\"",
            ],
        );
        check(&member("Get-It"), &["write one such as \"Frobnicate\""]);
        check_rule(
            &format!("<deny {direction}_error='Failed' {direction}_type='error'/>"),
            &["is no error name: it has one element and needs two, so that no error message \
               matches; write one such as \"org.example.Error.Failed\""],
        );
    }
}

#[test]
fn a_name_that_only_some_may_own_is_not_suspicious() {
    let policies = "<policy context='default'><deny own='*'/><allow send_destination='a.b'/>\
                    </policy><policy user='alice'><allow own='a.b'/></policy>";
    assert_eq!(findings(policies), [""; 0]);
    let denied = format!("{policies}<policy context='mandatory'><deny own='a.b'/></policy>");
    assert_eq!(findings(&denied).len(), 2);
}

#[test]
fn names_that_a_rule_allows_and_nobody_may_own_are_told() {
    let check = |first: &str, second: &str, expected: &[&str]| {
        let found = findings(&format!(
            "<policy context='default'>{first}</policy>\n<policy context='mandatory'>{second}</policy>"
        ));
        assert_eq!(found.len(), expected.len(), "{first} {second}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with("bus.conf:1:56: ") && found.contains(expected), "{found}");
        }
    };
    let prefix = "<allow own_prefix='com.x'/>";
    let never = "nobody whom this is for may own a name that is or begins with \"com.x\": the rule \
                 at bus.conf:2:29 denies it";
    check(prefix, "<deny own_prefix='com.x'/>", &[never]);
    check(prefix, "<deny own_prefix='com'/>", &[never]);
    // More is said than that it is removed.
    check(prefix, "<deny own='*'/>", &[never]);
    check("<allow own='com.x'/>", "<deny own='*'/>", &["may own \"com.x\": the rule at"]);
    check("<allow own_prefix='com'/>", "<deny own_prefix='com'/>", &["begins with \"com\""]);
    // Some are left, though not by this rule.
    let taken_back = "the rule at bus.conf:2:29 comes later, is about all";
    check(prefix, "<deny own='com.x'/>", &[]);
    check(prefix, "<deny own_prefix='com.x.Y'/>", &[]);
    check(prefix, "<deny own_prefix='com.x'/><allow own='com.x.Y'/>", &[taken_back]);
    check(prefix, "<deny own_prefix='com.x'/><allow own_prefix='com.x.Y'/>", &[taken_back]);
    let alice = |rules: &str| format!("{prefix}</policy><policy user='alice'>{rules}");
    check(&alice("<deny own_prefix='com.x'/>"), "", &[]);
    // A later rule of the block lets somebody own some, and not because of this one.
    check("<allow own_prefix='com.x'/><deny own_prefix='com'/>", "", &["begins with"]);
    let left = "<allow own_prefix='com.x'/><deny own_prefix='com'/><allow own='com.x.Y'/>";
    check(left, "", &["comes later, is about all"]);
}
