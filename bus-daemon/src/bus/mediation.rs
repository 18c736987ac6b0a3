//! What a security module of the kernel, AppArmor or SELinux, is asked beside the policy of the
//! configuration (config.md B110, B116).
//!
//! The core asks a [`Mediation`] at four moments: when a client wants a name ([`OwnQuestion`]),
//! for each message twice ([`MessageQuestion`]: may the sender send it, may the recipient receive
//! it), and when a client wants to see what is meant for others ([`EavesdropQuestion`]). A message
//! of the bus itself is not asked about. The order, as in the reference: after the configuration's
//! policy allowed it, `may_send`, then `may_receive`; an eavesdropper or monitor is a recipient like
//! any other.
//!
//! How a module is asked is the host's matter; it answers at once. What depends on the bus and not
//! on the question, such as the bus's type and label, the host told it at the start.
//!
//! An [`Answer`] brings what to log: the core puts it into the log as it is.

use std::collections::BTreeMap;
use std::fmt;

use libbus::wire::MessageType;

use super::driver::BUS_NAME;
use super::log::LogRecord;

/// A client, as a security module sees it.
#[derive(Clone, Copy)]
pub struct Party<'a> {
    /// Its unique name.
    pub name: &'a str,
    /// Its security label, as the kernel gave it when it connected (config.md B111).
    pub label: Option<&'a [u8]>,
    /// Its process.
    pub pid: Option<i32>,
    /// Its process in words, `uid=1000 pid=7 comm="x"`; asked for only if it is needed.
    pub process: &'a dyn fmt::Display,
}

/// Whom a message is for.
#[derive(Clone, Copy)]
pub enum Recipient<'a> {
    /// A client: the destination, or one that subscribed to it or eavesdrops.
    Client(Party<'a>),
    /// The bus itself.
    Bus,
    /// A service that would be started.
    Activatable {
        /// The label that its service file promises (`AssumedAppArmorLabel`).
        assumed_label: Option<&'a str>,
    },
}

/// May `client` own `name`?
#[derive(Clone, Copy)]
pub struct OwnQuestion<'a> {
    /// Who wants it.
    pub client: Party<'a>,
    /// The well-known name.
    pub name: &'a str,
}

/// May this message go from `sender` to `recipient`?
#[derive(Clone, Copy)]
pub struct MessageQuestion<'a> {
    /// Who sent it.
    pub sender: Party<'a>,
    /// Who would get it.
    pub recipient: Recipient<'a>,
    /// Its type.
    pub message_type: MessageType,
    /// Its PATH.
    pub path: Option<&'a str>,
    /// Its INTERFACE.
    pub interface: Option<&'a str>,
    /// Its MEMBER.
    pub member: Option<&'a str>,
    /// Its ERROR_NAME.
    pub error_name: Option<&'a str>,
    /// Its DESTINATION; none for a broadcast.
    pub destination: Option<&'a str>,
    /// Whether it answers a call that the recipient made.
    pub is_requested_reply: bool,
}

/// May `client` see messages that are meant for others?
#[derive(Clone, Copy)]
pub struct EavesdropQuestion<'a> {
    /// Who wants to.
    pub client: Party<'a>,
}

/// What a security module says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Allowed,
    /// Yes, and the administrator is to know: the module audits this, or would refuse it if it
    /// enforced its policy (config.md B119).
    AllowedAndLogged(LogRecord),
    /// No.
    Denied(Denial),
}

/// A refusal by a security module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The text of the AccessDenied error.
    pub text: String,
    /// The line for the log, unless the module's policy says to be quiet about it.
    pub log: Option<LogRecord>,
}

/// A security module of the kernel.
pub trait Mediation: fmt::Debug {
    /// Whether there is anything to ask. If not, the core need not put its questions together.
    fn is_active(&self) -> bool;

    /// May this client own this name?
    fn may_own(&self, question: &OwnQuestion<'_>) -> Answer;

    /// May the sender send this message to this recipient?
    fn may_send(&self, question: &MessageQuestion<'_>) -> Answer;

    /// May the recipient receive this message of this sender?
    fn may_receive(&self, question: &MessageQuestion<'_>) -> Answer;

    /// May this client see messages that are meant for others?
    fn may_eavesdrop(&self, question: &EavesdropQuestion<'_>) -> Answer;

    /// Takes over the security contexts of names from a configuration that was read again
    /// (config.md B025, B106).
    fn set_associations(&self, _contexts: &BTreeMap<String, String>) {}

    /// Asks the kernel anew for what is remembered of its policy and mode; the answer is what the
    /// administrator should know.
    fn refresh(&self) -> Vec<LogRecord> {
        Vec::new()
    }
}

/// No security module: everything is allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMediation;

impl Mediation for NoMediation {
    fn is_active(&self) -> bool {
        false
    }

    fn may_own(&self, _question: &OwnQuestion<'_>) -> Answer {
        Answer::Allowed
    }

    fn may_send(&self, _question: &MessageQuestion<'_>) -> Answer {
        Answer::Allowed
    }

    fn may_receive(&self, _question: &MessageQuestion<'_>) -> Answer {
        Answer::Allowed
    }

    fn may_eavesdrop(&self, _question: &EavesdropQuestion<'_>) -> Answer {
        Answer::Allowed
    }
}

impl Party<'_> {
    /// The refusal to own a name, by the policy of `module`.
    #[must_use]
    pub fn own_denied(&self, name: &str, module: &str) -> String {
        let client = self.name;
        format!(
            "Connection \"{client}\" is not allowed to own the service \"{name}\" due to {module} \
             policy"
        )
    }

    /// The refusal to eavesdrop, by the policy of `module`.
    #[must_use]
    pub fn eavesdrop_denied(&self, module: &str) -> String {
        let client = self.name;
        format!("Connection \"{client}\" is not allowed to eavesdrop due to {module} policy")
    }
}

impl MessageQuestion<'_> {
    /// The name that modules know the recipient by: without a destination, the bus's own.
    #[must_use]
    pub fn destination_or_bus(&self) -> &str {
        self.destination.unwrap_or(BUS_NAME.as_str())
    }

    /// Whether it is a reply, requested or not.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        matches!(self.message_type, MessageType::MethodReturn | MessageType::Error)
    }

    /// The type, as texts have it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self.message_type {
            MessageType::MethodCall => "method_call",
            MessageType::MethodReturn => "method_return",
            MessageType::Error => "error",
            MessageType::Signal => "signal",
            MessageType::Unknown(_) => "unknown",
        }
    }

    /// The refusal of this message for the reason `why`, with the facts that tools know from the
    /// reference (config.md B118, protocol.md A241).
    #[must_use]
    pub fn denied(&self, why: &str) -> String {
        const UNSET: &str = "(unset)";
        let recipient: &dyn fmt::Display = match &self.recipient {
            Recipient::Client(party) => party.process,
            Recipient::Bus | Recipient::Activatable { .. } => &"bus",
        };
        format!(
            "{why}; type=\"{}\", sender=\"{}\" ({}) interface=\"{}\" member=\"{}\" error \
             name=\"{}\" requested_reply=\"{}\" destination=\"{}\" ({recipient})",
            self.type_name(),
            self.sender.name,
            self.sender.process,
            self.interface.unwrap_or(UNSET),
            self.member.unwrap_or(UNSET),
            self.error_name.unwrap_or(UNSET),
            u8::from(self.is_requested_reply),
            self.destination_or_bus(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question<'a>(recipient: Recipient<'a>, destination: Option<&'a str>) -> MessageQuestion<'a> {
        MessageQuestion {
            sender: Party { name: ":1.1", label: None, pid: None, process: &"uid=1 pid=2" },
            recipient,
            message_type: MessageType::MethodCall,
            path: Some("/a"),
            interface: None,
            member: Some("Run"),
            error_name: None,
            destination,
            is_requested_reply: false,
        }
    }

    #[test]
    fn without_a_module_everything_is_allowed() {
        let question = question(Recipient::Bus, None);
        let client = question.sender;
        let mediation: &dyn Mediation = &NoMediation;
        assert!(!mediation.is_active());
        assert_eq!(mediation.may_own(&OwnQuestion { client, name: "a.b" }), Answer::Allowed);
        assert_eq!(mediation.may_send(&question), Answer::Allowed);
        assert_eq!(mediation.may_receive(&question), Answer::Allowed);
        assert_eq!(mediation.may_eavesdrop(&EavesdropQuestion { client }), Answer::Allowed);
        mediation.set_associations(&BTreeMap::new());
        assert_eq!(mediation.refresh(), []);
    }

    // config.md B118
    #[test]
    fn a_refusal_names_both_sides_and_the_message() {
        let peer = Party { name: ":1.2", label: None, pid: None, process: &"uid=3 pid=4" };
        let text = question(Recipient::Client(peer), Some("a.b")).denied("No");
        assert_eq!(
            text,
            "No; type=\"method_call\", sender=\":1.1\" (uid=1 pid=2) interface=\"(unset)\" \
             member=\"Run\" error name=\"(unset)\" requested_reply=\"0\" destination=\"a.b\" \
             (uid=3 pid=4)"
        );
        let text = question(Recipient::Bus, None).denied("No");
        assert!(text.ends_with("destination=\"org.freedesktop.DBus\" (bus)"), "{text}");
    }
}
