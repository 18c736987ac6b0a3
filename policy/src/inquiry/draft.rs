//! Reading a question word by word.

use libbus::names::{BusName, ErrorName, InterfaceName, MemberName, NameError, ObjectPath};

use super::{Asked, Inquiry, InquiryError, Mail, wrong};
use crate::question::Circumstances;
use crate::rule::{FDS_MAX, MessageType};
use crate::subject::{AccountNames, gid_of, uid_of};

/// What was read of a question so far.
#[derive(Default)]
pub(super) struct Draft {
    /// The keys that were there, each with what it is about.
    given: Vec<(Topic, String)>,
    uid: Option<u32>,
    anonymous: bool,
    gids: Option<Vec<u32>>,
    own: Option<String>,
    verb: Option<Verb>,
    names: Vec<String>,
    message_type: Option<MessageType>,
    path: Option<String>,
    interface: Option<String>,
    member: Option<String>,
    error_name: Option<String>,
    fds: u32,
    broadcast: Option<bool>,
    circumstances: Circumstances,
}

/// What a word is about: a question has one word about who and one about what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Topic {
    Who,
    What,
    /// The message: one word about each part of it.
    Message,
    /// A name of the other side of the message: any number.
    OtherSide,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Connect,
    Send,
    Receive,
}

impl Draft {
    pub(super) fn take(
        &mut self,
        key: &str,
        value: &str,
        accounts: &impl AccountNames,
    ) -> Result<(), InquiryError> {
        self.check_once(key)?;
        match key {
            "connect" | "send" | "receive" | "anonymous" if !value.is_empty() => {
                return wrong(format!("{key}={value:?} means nothing; write {key:?} alone"));
            }
            "connect" => self.verb = Some(Verb::Connect),
            "send" => self.verb = Some(Verb::Send),
            "receive" => self.verb = Some(Verb::Receive),
            "anonymous" => self.anonymous = true,
            "requested_reply" => self.circumstances.requested_reply = yes_or_no(key, value)?,
            "eavesdropping" => self.circumstances.eavesdropping = yes_or_no(key, value)?,
            "broadcast" => self.broadcast = Some(yes_or_no(key, value)?),
            _ if value.is_empty() => return wrong(format!("{key:?} means nothing here: {USAGE}")),
            "user" | "uid" => match uid_of(value, accounts) {
                Some(uid) => self.uid = Some(uid),
                None => {
                    return wrong(format!("there is no user {value:?}; give a name or a number"));
                }
            },
            "groups" | "group" => {
                let gid = |name| match gid_of(name, accounts) {
                    Some(gid) => Ok(gid),
                    None => wrong(format!("there is no group {name:?}; give a name or a number")),
                };
                let gids = value.split('+').map(gid).collect::<Result<Vec<u32>, _>>()?;
                self.gids.get_or_insert_default().extend(gids);
            }
            "own" => self.own = Some(ownable(value)?),
            "destination" | "sender" => {
                self.names.push(valid(key, value, BusName::parse, "bus name")?);
            }
            "type" => self.message_type = Some(message_type_of(value)?),
            "path" => self.path = Some(valid(key, value, ObjectPath::parse, "object path")?),
            "interface" => {
                self.interface = Some(valid(key, value, InterfaceName::parse, "interface name")?);
            }
            "member" => self.member = Some(valid(key, value, MemberName::parse, "member name")?),
            "error" => self.error_name = Some(valid(key, value, ErrorName::parse, "error name")?),
            "fds" => match value.parse() {
                Ok(count) if count <= FDS_MAX => self.fds = count,
                _ => {
                    return wrong(format!("fds={value}: write how many, between 0 and {FDS_MAX}"));
                }
            },
            _ => return wrong(format!("there is no key {key:?}: {USAGE}")),
        }
        Ok(())
    }

    /// `groups=`: the user is in none.
    pub(super) fn take_no_group(&mut self) {
        self.gids.get_or_insert_default();
    }

    /// Or the last one would count, and the answer be one to half of the question.
    fn check_once(&mut self, key: &str) -> Result<(), InquiryError> {
        let topic = match key {
            "user" | "uid" | "anonymous" => Topic::Who,
            "connect" | "own" | "send" | "receive" => Topic::What,
            "groups" | "group" => return Ok(()),
            "destination" | "sender" => Topic::OtherSide,
            _ => Topic::Message,
        };
        let is_same = |(of, other): &&(Topic, String)| {
            let is_one = matches!(topic, Topic::Who | Topic::What);
            topic != Topic::OtherSide && (*other == key || (is_one && *of == topic))
        };
        match self.given.iter().find(is_same) {
            Some((_, other)) if other == key => {
                wrong(format!("{key:?} is there twice; ask one question for each"))
            }
            Some((_, other)) => wrong(format!(
                "{other:?} and {key:?} exclude each other; ask one question for each"
            )),
            None => {
                self.given.push((topic, key.to_owned()));
                Ok(())
            }
        }
    }

    /// A word that does not belong to what is asked, since the answer would leave it out.
    fn check_belongs(&self) -> Result<(), InquiryError> {
        let is_message = matches!(self.verb, Some(Verb::Send | Verb::Receive));
        for (topic, key) in &self.given {
            match (topic, self.verb, key.as_str()) {
                (Topic::Message | Topic::OtherSide, ..) if !is_message => {
                    return wrong(format!("{key:?} is about a message: add send or receive"));
                }
                (_, Some(Verb::Send), "sender") => {
                    return wrong(
                        "\"sender\" is whom the message comes from: write destination=NAME",
                    );
                }
                (_, Some(Verb::Receive), "destination") => {
                    return wrong("\"destination\" is whom the message goes to: write sender=NAME");
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, accounts: &impl AccountNames) -> Result<Inquiry, InquiryError> {
        if self.uid.is_none() && !self.anonymous {
            return wrong(format!("who? Add user=NAME, uid=NUMBER or anonymous: {USAGE}"));
        }
        self.check_belongs()?;
        let gids = match (self.gids, self.uid) {
            (Some(gids), _) => gids,
            (None, Some(uid)) => match accounts.gids_of(uid) {
                Some(gids) => gids,
                None => return wrong("in which groups? Add groups=A+B, or groups= for none"),
            },
            (None, None) => Vec::new(),
        };
        let action = match (self.own, self.verb) {
            (Some(name), None) => Asked::Own(name),
            (None, Some(Verb::Connect)) => Asked::Connect,
            (None, Some(verb)) => {
                let message_type = self.message_type.unwrap_or(MessageType::MethodCall);
                let is_signal = message_type == MessageType::Signal;
                if self.broadcast == Some(true) && !is_signal {
                    return wrong("only a signal can be a broadcast: add type=signal");
                }
                let by_default = verb == Verb::Receive || self.names.is_empty();
                let mail = Mail {
                    is_broadcast: is_signal && self.broadcast.unwrap_or(by_default),
                    names: self.names,
                    message_type,
                    path: self.path,
                    interface: self.interface,
                    member: self.member,
                    error_name: self.error_name,
                    fds: self.fds,
                    circumstances: self.circumstances,
                };
                if verb == Verb::Send { Asked::Send(mail) } else { Asked::Receive(mail) }
            }
            _ => return wrong(format!("what? {USAGE}")),
        };
        Ok(Inquiry { uid: self.uid, gids, action })
    }
}

const USAGE: &str = "ask \"user=NAME own=NAME\", \"user=NAME connect\", or \"user=NAME send \
                     destination=NAME interface=… member=… path=… type=… error=… fds=… \
                     broadcast requested_reply\", or the same with receive and sender=NAME; \
                     groups=A+B in place of the user's own, groups= for none";

/// A name that a client can ask for (protocol.md A126).
fn ownable(name: &str) -> Result<String, InquiryError> {
    match BusName::parse(name) {
        Ok(BusName::WellKnown(name)) if name.as_str() == "org.freedesktop.DBus" => {
            wrong(format!("nobody may own {name}: it is the bus's own name"))
        }
        Ok(BusName::WellKnown(name)) => Ok(name.as_str().to_owned()),
        Ok(BusName::Unique(_)) => {
            wrong(format!("nobody may own {name}: the bus alone gives unique names"))
        }
        Err(error) => wrong(format!("nobody may own {name:?}: {error}")),
    }
}

/// A value that some message has: of no other a rule is ever asked.
fn valid<'v, Name>(
    key: &str,
    value: &'v str,
    parse: impl FnOnce(&'v str) -> Result<Name, NameError>,
    what: &str,
) -> Result<String, InquiryError> {
    match parse(value) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => wrong(format!("{key}={value:?} is no {what}: {error}")),
    }
}

/// A key alone means yes.
fn yes_or_no(key: &str, value: &str) -> Result<bool, InquiryError> {
    match value {
        "" | "yes" => Ok(true),
        "no" => Ok(false),
        _ => wrong(format!("{key}={value:?} means nothing; write yes or no")),
    }
}

fn message_type_of(name: &str) -> Result<MessageType, InquiryError> {
    let found = MessageType::ALL.into_iter().find(|one| one.to_string() == name);
    found.map_or_else(
        || wrong(format!("there is no message type {name:?}; write method_call, method_return, error or signal")),
        Ok,
    )
}
