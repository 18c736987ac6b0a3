//! Random policies and messages, of so few words that they often meet.

use std::fmt;

use crate::random::Random;

/// The names of the recipient; the sender may ask for others.
pub(crate) const RECIPIENT_NAMES: [&str; 2] = ["a.b", "x.y.z"];
/// A name of the one who listens.
pub(crate) const LISTENER_NAME: &str = "a.b.c";
/// What the test itself says, which every policy allows.
pub(crate) const TEST_INTERFACE: &str = "test.Marker";
pub(crate) const SENDER_UID: u32 = 1;
pub(crate) const RECIPIENT_UID: u32 = 65534;

const MESSAGE_COUNT: usize = 40;
const NAMES: &[&str] = &["a.b", "a.b.c", "a", "x.y.z", "x.y", "org.freedesktop.DBus", "*"];
const INTERFACES: &[&str] = &["i.A", "i.B", "org.freedesktop.DBus", "*"];
const PATHS: &[&str] = &["/a", "/b", "*"];
const MEMBERS: &[&str] = &["M", "N", "GetId", "*"];
const TYPES: &[&str] = &["method_call", "method_return", "error", "signal", "*"];
const ERRORS: &[&str] = &["e.E", "e.F", "*"];
/// What the sender asks to own.
pub(crate) const WANTED: &[&str] = &["a.c", "a.b.d", "x.y", "q.q"];

/// A policy and what is asked under it.
pub(crate) struct Trial {
    pub(crate) policies: String,
    pub(crate) messages: Vec<Sent>,
}

/// One message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) kind: Kind,
    pub(crate) to: To,
    pub(crate) path: &'static str,
    pub(crate) interface: Option<&'static str>,
    pub(crate) member: &'static str,
    pub(crate) error: &'static str,
    pub(crate) with_fd: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Signal,
    /// Of which the recipient waits for an answer, or does not.
    Return {
        requested: bool,
    },
    Error {
        requested: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Recipient,
    Bus,
    /// A signal to whoever wants it.
    Everybody,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Trial {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut policies = String::new();
        let subjects = [
            "context='default'",
            "context='default'",
            "user='daemon'",
            "user='1'",
            "user='nobody'",
            "user='root'",
            "group='root'",
            "at_console='false'",
            "at_console='true'",
            "context='mandatory'",
        ];
        for subject in subjects {
            if !random.chance(40) && subject != "context='default'" {
                continue;
            }
            policies += &format!("<policy {subject}>");
            if subject == "context='default'" {
                policies += "<allow user='*'/>";
                if random.chance(70) {
                    policies += "<allow send_destination='*'/>";
                }
                if random.chance(70) {
                    policies +=
                        random.word(&["<allow receive_sender='*'/>", "<allow eavesdrop='true'/>"]);
                }
            }
            (0..random.between(0, 7)).for_each(|_| policies += &rule(random));
            policies += "</policy>";
        }
        policies += &format!(
            "<policy context='mandatory'>\
             <allow send_interface='{TEST_INTERFACE}'/><allow receive_interface='{TEST_INTERFACE}'/>\
             <allow receive_sender='org.freedesktop.DBus'/>\
             <allow send_destination='org.freedesktop.DBus' send_interface='org.freedesktop.DBus' \
             send_member='ReloadConfig'/></policy>"
        );
        let messages = (0..MESSAGE_COUNT).map(|_| message(random)).collect();
        Self { policies, messages }
    }

    /// What is asked, in the order of the answers.
    pub(crate) fn questions(&self) -> impl Iterator<Item = String> + '_ {
        let owning = WANTED.iter().map(|name| format!("own {name}"));
        self.messages.iter().map(ToString::to_string).chain(owning)
    }
}

fn message(random: &mut Random) -> Sent {
    let requested = random.chance(50);
    let kind = *random.pick(&[
        Kind::Call,
        Kind::Call,
        Kind::Signal,
        Kind::Signal,
        Kind::Return { requested },
        Kind::Error { requested },
    ]);
    let to = match kind {
        Kind::Signal => *random.pick(&[To::Recipient, To::Everybody, To::Everybody, To::Bus]),
        _ => *random.pick(&[To::Recipient, To::Recipient, To::Recipient, To::Bus]),
    };
    let some = |interface| Some(interface);
    let interface = match kind {
        Kind::Call => *random.pick(&[some("i.A"), some("i.B"), some("org.freedesktop.DBus"), None]),
        _ => *random.pick(&[some("i.A"), some("i.B")]),
    };
    Sent {
        kind,
        to,
        path: random.word(&["/a", "/b", "/org/freedesktop/DBus"]),
        interface,
        member: random.word(&["M", "N", "GetId"]),
        error: random.word(&["e.E", "e.F"]),
        with_fd: to != To::Bus && random.chance(20),
    }
}

/// One `<allow>` or `<deny>` that both daemons take.
fn rule(random: &mut Random) -> String {
    let effect = random.word(&["allow", "deny"]);
    let attributes = match random.between(0, 9) {
        0 => format!(" own='{}'", random.word(&["a.c", "a.b.d", "x.y", "*"])),
        1 => format!(" own_prefix='{}'", random.word(&["a", "a.b", "x"])),
        2..=6 => message_rule(random, "send"),
        _ => message_rule(random, "receive"),
    };
    format!("<{effect}{attributes}/>")
}

fn message_rule(random: &mut Random, direction: &'static str) -> String {
    let mut rule = Attributes { direction, text: String::new() };
    let mut has_name = false;
    if direction == "receive" {
        rule.maybe(random, 30, "sender", &["a.b", "org.freedesktop.DBus", "*"]);
    } else if random.chance(20) {
        let prefixes = ["a", "a.b", "x", "org.freedesktop"];
        has_name = rule.maybe(random, 100, "destination_prefix", &prefixes);
    } else {
        has_name = rule.maybe(random, 40, "destination", NAMES);
    }
    if random.chance(15) {
        rule.maybe(random, 100, "error", ERRORS);
    } else {
        let interface = rule.maybe(random, 40, "interface", INTERFACES);
        let path = rule.maybe(random, 20, "path", PATHS);
        if interface || path {
            rule.maybe(random, 50, "member", MEMBERS);
        }
    }
    rule.maybe(random, 40, "type", TYPES);
    rule.maybe(random, 20, "requested_reply", &["true", "false"]);
    if direction == "send" {
        // A broadcast has no destination.
        let values: &[&str] = if has_name { &["false"] } else { &["true", "false"] };
        rule.maybe(random, 15, "broadcast", values);
    }
    if rule.text.is_empty() {
        rule.maybe(random, 100, "type", TYPES);
    }
    let mut text = rule.text;
    if random.chance(15) {
        text += random.word(&[" eavesdrop='true'", " eavesdrop='false'"]);
    }
    if random.chance(15) {
        text += random.word(&[" min_fds='1'", " max_fds='0'", " min_fds='0' max_fds='5'"]);
    }
    text
}

struct Attributes {
    direction: &'static str,
    text: String,
}

impl Attributes {
    /// Adds an attribute in `percent` of 100 cases; whether it did.
    fn maybe(&mut self, random: &mut Random, percent: usize, name: &str, values: &[&str]) -> bool {
        let chosen = random.chance(percent);
        if chosen {
            self.text += &format!(" {}_{name}='{}'", self.direction, random.pick(values));
        }
        chosen
    }
}
