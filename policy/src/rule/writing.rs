//! A rule written down again, as it could stand in a configuration: what does not restrict is left
//! out.

use std::fmt;

use super::{
    Account, Action, Effect, FDS_MAX, MessagePattern, MessageType, NamePattern, ReceiveRule,
    SendRule,
};
use crate::shown::ShownValue;

impl Action {
    /// Writes the attributes of a rule that means this, each with a space before it; what does not
    /// restrict is left out, but for one attribute that says what the rule is about.
    pub(crate) fn write_attributes(
        &self,
        effect: Effect,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        match self {
            Self::Send(rule) => rule.write_attributes(effect, f),
            Self::Receive(rule) => rule.write_attributes(effect, f),
            Self::Own(NamePattern::Any) => f.write_str(" own=\"*\""),
            Self::Own(NamePattern::Exactly(name)) => write!(f, " own=\"{}\"", ShownValue(name)),
            Self::Own(NamePattern::Prefix(name)) => {
                write!(f, " own_prefix=\"{}\"", ShownValue(name))
            }
            Self::ConnectUser(account) => write!(f, " user=\"{account}\""),
            Self::ConnectGroup(account) => write!(f, " group=\"{account}\""),
        }
    }
}

impl SendRule {
    fn write_attributes(&self, effect: Effect, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.destination {
            NamePattern::Exactly(name) => write!(f, " send_destination=\"{}\"", ShownValue(name))?,
            NamePattern::Prefix(name) => {
                write!(f, " send_destination_prefix=\"{}\"", ShownValue(name))?
            }
            NamePattern::Any if self.message.is_wildcard() => {
                f.write_str(" send_destination=\"*\"")?;
            }
            NamePattern::Any => {}
        }
        self.message.write_attributes("send", effect, f)?;
        if let Some(broadcast) = self.broadcast {
            write!(f, " send_broadcast=\"{broadcast}\"")?;
        }
        if self.log {
            f.write_str(" log=\"true\"")?;
        }
        Ok(())
    }
}

impl ReceiveRule {
    fn write_attributes(&self, effect: Effect, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sender {
            Some(name) => write!(f, " receive_sender=\"{}\"", ShownValue(name))?,
            None if self.message.is_wildcard() => f.write_str(" receive_sender=\"*\"")?,
            None => {}
        }
        self.message.write_attributes("receive", effect, f)
    }
}

impl MessagePattern {
    fn write_attributes(
        &self,
        prefix: &str,
        effect: Effect,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let Self { path, interface, member, error, .. } = self;
        if member.is_some() && interface.is_none() && path.is_none() {
            // A member alone is refused (B056).
            write!(f, " {prefix}_interface=\"*\"")?;
        }
        let fields =
            [("interface", interface), ("member", member), ("path", path), ("error", error)];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, " {prefix}_{name}=\"{}\"", ShownValue(value))?;
            }
        }
        if let Some(message_type) = self.message_type {
            write!(f, " {prefix}_type=\"{message_type}\"")?;
        }
        if self.requested_reply != (effect == Effect::Allow) {
            write!(f, " {prefix}_requested_reply=\"{}\"", self.requested_reply)?;
        }
        if self.eavesdrop {
            f.write_str(" eavesdrop=\"true\"")?;
        }
        if self.fds_min > 0 {
            write!(f, " min_fds=\"{}\"", self.fds_min)?;
        }
        if self.fds_max < FDS_MAX {
            write!(f, " max_fds=\"{}\"", self.fds_max)?;
        }
        Ok(())
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MethodCall => "method_call",
            Self::MethodReturn => "method_return",
            Self::Error => "error",
            Self::Signal => "signal",
        })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Named(name) => ShownValue(name).fmt(f),
        }
    }
}
