//! The calls that were seen, by which their replies are known: those name no object and no method themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use libbus::blocking::Connection;
use libbus::message::Message;
use libbus::wire::{Flags, MessageType};

use super::judge::Judge;
use crate::conversation::{Conversation, Names};
use crate::failure::Result;
use crate::inventory::owners;

/// Calls that are remembered for their replies.
const CALLS_MAX: usize = 16_384;
/// Bytes of a path that are remembered; interfaces and members are no longer than the specification's 255 anyway.
const PATH_SIZE_MAX: usize = 1024;

/// What is remembered of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(super) path: String,
    pub(super) interface: Option<String>,
    pub(super) member: String,
}

impl Call {
    /// Nothing of what has no reply.
    fn of(message: &Message) -> Option<Self> {
        let is_answered = message.message_type() == MessageType::MethodCall
            && !message.flags().contains(Flags::NO_REPLY_EXPECTED);
        is_answered.then(|| Self {
            path: beginning(message.path().map(|path| path.as_str()).unwrap_or_default()),
            interface: message.interface().map(|name| name.as_str().to_owned()),
            member: message.member().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        })
    }
}

/// As much of a path, which is ASCII, as is remembered.
fn beginning(path: &str) -> String {
    match path.get(..PATH_SIZE_MAX) {
        Some(beginning) if path.len() > PATH_SIZE_MAX => format!("{beginning}…"),
        _ => path.to_owned(),
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Calls {
    judge: Judge,
    conversation: Conversation,
    number: u64,
    /// By their numbers; bounded by [`CALLS_MAX`].
    known: BTreeMap<u64, Known>,
}

struct Known {
    call: Call,
    /// Whether it is wanted itself, and so is its reply.
    is_wanted: bool,
}

impl Calls {
    pub(crate) fn new(judge: Judge) -> Self {
        Self { judge, ..Self::default() }
    }

    /// Whether it is to be told who has which name, to judge what comes.
    pub(crate) fn needs_owners(&self) -> bool {
        self.judge.needs_owners()
    }

    /// # Errors
    /// The connection is over, or the bus does not tell in time.
    pub(crate) fn learn_owners(&mut self, connection: &Connection) -> Result<()> {
        for (name, owner) in owners(connection)? {
            self.conversation.learn_owner(&name, &owner);
        }
        Ok(())
    }

    /// What is known of names.
    pub(crate) const fn names(&self) -> &Names {
        self.conversation.names()
    }

    /// Takes in a message. Nothing, if it is not wanted: the bus tells of more than that, since replies do not say what
    /// they are for, and names have to be followed.
    pub(crate) fn see(
        &mut self,
        time: Duration,
        message: Message,
    ) -> Option<(Message, Option<Call>, Option<Duration>)> {
        self.number += 1;
        let pair = self.conversation.handle_message(self.number, Some(time), &message);
        let names = self.conversation.names();
        if message.reply_serial().is_some() {
            let known = pair.and_then(|pair| self.known.remove(&pair.call));
            let duration = pair.and_then(|pair| pair.duration);
            let is_wanted = known.as_ref().is_some_and(|known| known.is_wanted)
                || self.judge.wants_reply(&message, known.is_some(), names);
            return is_wanted.then(|| (message, known.map(|known| known.call), duration));
        }
        let is_wanted = self.judge.wants(&message, names);
        if let Some(call) = Call::of(&message).filter(|_| self.judge.is_about(&message)) {
            self.known.insert(self.number, Known { call, is_wanted });
        }
        if self.known.len() > CALLS_MAX {
            self.known.pop_first();
        }
        is_wanted.then_some((message, None, None))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use libbus::message::Message;
    use libbus::names::{BusName, ObjectPath};
    use libbus::wire::{Flags, Header, MessageType, Signature};

    use super::{CALLS_MAX, Call, Calls, PATH_SIZE_MAX};
    use crate::capture::tests::message;
    use crate::commands::monitor::MessageKind;
    use crate::commands::monitor::wanted::Wanted;

    fn call(serial: usize, change: impl FnOnce(&mut Header<'static>)) -> Message {
        let serial = u32::try_from(serial).unwrap();
        let bytes = message(MessageType::MethodCall, serial, change, |_| {});
        Message::from_bytes(bytes).unwrap()
    }

    fn signal() -> Message {
        let change = |header: &mut Header<'static>| header.signature = Signature::from_static("s");
        let body = "x".repeat(4096);
        let bytes = message(MessageType::Signal, 1, change, |writer| writer.string(&body));
        Message::from_bytes(bytes).unwrap()
    }

    fn reply(to: u32) -> Message {
        let change = |header: &mut Header<'static>| {
            (header.path, header.interface, header.member) = (None, None, None);
            header.sender = Some(BusName::from_static(":1.9"));
            header.destination = Some(BusName::from_static(":1.5"));
            header.reply_serial = NonZeroU32::new(to);
        };
        Message::from_bytes(message(MessageType::MethodReturn, 9, change, |_| {})).unwrap()
    }

    /// Of objects below a path.
    fn about(path: &str) -> Calls {
        let wanted = Wanted { below: Some(path.to_owned()), ..Wanted::default() };
        Calls::new(wanted.rules(&MessageKind::ALL).unwrap().1)
    }

    #[test]
    fn only_what_has_a_reply_is_remembered_and_no_more_than_its_head() {
        let mut calls = about("/");
        let mut see = |message| calls.see(Duration::ZERO, message).map(|(_, call, _)| call);
        assert_eq!(see(signal()), Some(None));
        let unanswered = call(2, |header| header.flags = Flags::NO_REPLY_EXPECTED);
        assert_eq!(see(unanswered), Some(None));
        let long: &'static str = "/a".repeat(PATH_SIZE_MAX).leak();
        let change = |header: &mut Header<'static>| header.path = ObjectPath::parse(long).ok();
        assert_eq!(see(call(3, change)), Some(None));
        assert_eq!(calls.known.len(), 1);
        let (_, known, _) = calls.see(Duration::ZERO, reply(3)).unwrap();
        let path = format!("{}…", "/a".repeat(PATH_SIZE_MAX / 2));
        let (interface, member) = (Some("org.example.Clock".into()), "Ring".into());
        assert_eq!(known, Some(Call { path, interface, member }));
        assert!(calls.known.is_empty());
    }

    #[test]
    fn the_oldest_call_is_forgotten_for_a_new_one() {
        let mut calls = about("/");
        for number in 1..=CALLS_MAX + 1 {
            calls.see(Duration::ZERO, call(number, |_| {}));
        }
        assert_eq!(calls.known.len(), CALLS_MAX);
        assert_eq!(calls.known.keys().next(), Some(&2));
    }
}
