//! What a policy is asked about a message, and whether one rule is about it (config.md B055–B068).
//!
//! Names of the other side are not part of this: which names a client owns or queues for is kept
//! as a list of [`NamePatternId`](crate::policy_set::NamePatternId)s, so that a rule about a
//! destination or a sender is found by number and not by text.

use std::fmt;

use crate::rule::{Effect, MessagePattern, MessageType, ReceiveRule, SendRule};

/// What rules can say about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// TYPE.
    pub message_type: MessageType,
    /// PATH, if the message has it; likewise the other fields.
    pub path: Option<&'a str>,
    /// INTERFACE.
    pub interface: Option<&'a str>,
    /// MEMBER.
    pub member: Option<&'a str>,
    /// ERROR_NAME.
    pub error_name: Option<&'a str>,
    /// How many file descriptors it carries.
    pub fds: u32,
    /// A signal without DESTINATION (B062).
    pub is_broadcast: bool,
    /// It has REPLY_SERIAL (B063).
    pub is_reply: bool,
}

/// How a message comes to its recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The recipient waits for this reply (B063, B066).
    pub requested_reply: bool,
    /// The recipient is not the addressee, and there is one (B075).
    pub eavesdropping: bool,
}

/// Why a rule is not about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Another message type.
    Type,
    /// Another path.
    Path,
    /// Another interface.
    Interface,
    /// An allow rule names an interface, and the message has none (B055).
    NoInterface,
    /// Another member.
    Member,
    /// Another error name.
    Error,
    /// The rule is about broadcasts only, or about everything else only (B062).
    Broadcast,
    /// The recipient has no such name (B058, B059).
    Destination,
    /// The sender has no such name (B065).
    Sender,
    /// Too few or too many file descriptors (B068).
    Fds,
    /// An allow rule takes only replies that are waited for (B063).
    UnrequestedReply,
    /// A deny rule takes only replies that nobody waits for (B063).
    RequestedReply,
    /// An allow rule without eavesdrop (B067).
    Eavesdropping,
    /// A deny rule with eavesdrop (B067).
    NotEavesdropping,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "another message type",
            Self::Path => "another path",
            Self::Interface => "another interface",
            Self::NoInterface => {
                "the message has no interface, and an allow rule needs the one it names"
            }
            Self::Member => "another member",
            Self::Error => "another error name",
            Self::Broadcast => "the rule and the message differ in being a broadcast",
            Self::Destination => "the destination has no such name",
            Self::Sender => "the sender has no such name",
            Self::Fds => "another number of file descriptors",
            Self::UnrequestedReply => "the rule allows only replies that are waited for",
            Self::RequestedReply => "the rule denies only replies that nobody waits for",
            Self::Eavesdropping => "the rule does not allow eavesdropping",
            Self::NotEavesdropping => "the rule denies only eavesdropping",
        })
    }
}

impl Message<'_> {
    /// Why a send rule is not about this message, whatever its destination.
    pub(crate) fn mismatch_of_send(
        &self,
        effect: Effect,
        rule: &SendRule,
        circumstances: Circumstances,
    ) -> Option<Mismatch> {
        if rule.broadcast.is_some_and(|broadcast| broadcast != self.is_broadcast) {
            return Some(Mismatch::Broadcast);
        }
        self.mismatch(effect, &rule.message, circumstances)
    }

    /// Why a receive rule is not about this message, whoever sent it.
    pub(crate) fn mismatch_of_receive(
        &self,
        effect: Effect,
        rule: &ReceiveRule,
        circumstances: Circumstances,
    ) -> Option<Mismatch> {
        match (effect, circumstances.eavesdropping, rule.message.eavesdrop) {
            (Effect::Allow, true, false) => return Some(Mismatch::Eavesdropping),
            (Effect::Deny, false, true) => return Some(Mismatch::NotEavesdropping),
            _ => {}
        }
        self.mismatch(effect, &rule.message, circumstances)
    }

    fn mismatch(
        &self,
        effect: Effect,
        pattern: &MessagePattern,
        circumstances: Circumstances,
    ) -> Option<Mismatch> {
        if pattern.message_type.is_some_and(|only| only != self.message_type) {
            return Some(Mismatch::Type);
        }
        if self.is_reply {
            let mismatch = pattern.mismatch_of_reply(effect, circumstances.requested_reply);
            if mismatch.is_some() {
                return mismatch;
            }
        }
        match (&pattern.interface, self.interface) {
            (Some(_), None) if effect == Effect::Allow => return Some(Mismatch::NoInterface),
            (rule, message) if differ(rule.as_deref(), message) => {
                return Some(Mismatch::Interface);
            }
            _ => {}
        }
        if differ(pattern.path.as_deref(), self.path) {
            return Some(Mismatch::Path);
        }
        if differ(pattern.member.as_deref(), self.member) {
            return Some(Mismatch::Member);
        }
        if differ(pattern.error.as_deref(), self.error_name) {
            return Some(Mismatch::Error);
        }
        let fds = pattern.fds_min..=pattern.fds_max;
        (!fds.contains(&self.fds)).then_some(Mismatch::Fds)
    }
}

impl MessagePattern {
    /// Why a rule is not about a reply (config.md B063).
    pub(crate) const fn mismatch_of_reply(
        &self,
        effect: Effect,
        requested_reply: bool,
    ) -> Option<Mismatch> {
        match (effect, requested_reply) {
            // (ref) an allow rule with eavesdrop takes any reply.
            (Effect::Allow, false) if self.requested_reply && !self.eavesdrop => {
                Some(Mismatch::UnrequestedReply)
            }
            (Effect::Deny, true) if !self.requested_reply => Some(Mismatch::RequestedReply),
            _ => None,
        }
    }
}

/// A rule that restricts a field matches a message without it (B056, B057, B060).
fn differ(rule: Option<&str>, message: Option<&str>) -> bool {
    matches!((rule, message), (Some(rule), Some(message)) if rule != message)
}
