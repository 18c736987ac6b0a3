//! One `<allow>` or `<deny>` of the configuration (config.md B.5).
//!
//! A rule is about sending, receiving, owning a name or connecting; its attributes say which, and
//! [`RuleError`] has one variant for each combination that makes no sense. What is not restricted
//! is `None` or `Any`: an attribute that is absent and one set to `*` mean the same.

#[cfg(test)]
mod tests;
mod writing;

use std::fmt;

use crate::config::{Location, leading_integer};

/// More file descriptors than any message carries; `max_fds` without the attribute (B068).
pub const FDS_MAX: u32 = 33_554_432;

/// One `<allow>` or `<deny>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands.
    pub location: Location,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// What it is about.
    pub action: Action,
}

/// What follows if a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// `<allow>`
    Allow,
    /// `<deny>`
    Deny,
}

impl Effect {
    pub(crate) const fn opposite(self) -> Self {
        match self {
            Self::Allow => Self::Deny,
            Self::Deny => Self::Allow,
        }
    }
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client sends a message.
    Send(SendRule),
    /// A client is given a message.
    Receive(ReceiveRule),
    /// A client requests a well-known name.
    Own(NamePattern),
    /// A user connects; `user` (B071).
    ConnectUser(Account),
    /// A member of a group connects; `group` (B071).
    ConnectGroup(Account),
}

impl Action {
    /// What a rule restricts of the message itself, if it is about messages.
    #[must_use]
    pub const fn message_pattern(&self) -> Option<&MessagePattern> {
        match self {
            Self::Send(send) => Some(&send.message),
            Self::Receive(receive) => Some(&receive.message),
            Self::Own(_) | Self::ConnectUser(_) | Self::ConnectGroup(_) => None,
        }
    }
}

/// Which messages a send rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRule {
    /// The restrictions that receive rules have too.
    pub message: MessagePattern,
    /// `send_destination`, `send_destination_prefix` (B058, B059).
    pub destination: NamePattern,
    /// `send_broadcast`: only broadcasts, or everything else (B062).
    pub broadcast: Option<bool>,
    /// `log`: what this rule lets through is logged (B072).
    pub log: bool,
}

/// Which messages a receive rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveRule {
    /// The restrictions that send rules have too.
    pub message: MessagePattern,
    /// `receive_sender` (B065).
    pub sender: Option<Box<str>>,
}

/// What send and receive rules have in common (B055–B064, B066–B068).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePattern {
    /// `…_type`
    pub message_type: Option<MessageType>,
    /// `…_path`
    pub path: Option<Box<str>>,
    /// `…_interface`
    pub interface: Option<Box<str>>,
    /// `…_member`
    pub member: Option<Box<str>>,
    /// `…_error`
    pub error: Option<Box<str>>,
    /// `…_requested_reply`, by default true for allow and false for deny (B063): an allow matches
    /// only requested replies; a deny matches requested replies too.
    pub requested_reply: bool,
    /// `eavesdrop`, by default false (B067): an allow matches also when eavesdropping; a deny
    /// matches only then.
    pub eavesdrop: bool,
    /// `min_fds`: fewest file descriptors.
    pub fds_min: u32,
    /// `max_fds`: most file descriptors; [`FDS_MAX`] if not restricted.
    pub fds_max: u32,
}

impl MessagePattern {
    /// Whether the pattern restricts no header field. Modifiers (replies, eavesdropping, file
    /// descriptors) do not count (B054).
    pub fn is_wildcard(&self) -> bool {
        self.message_type.is_none() && self.restricts_at_most_type()
    }

    /// Whether the pattern restricts no header field but the message type.
    pub(crate) fn restricts_at_most_type(&self) -> bool {
        [&self.path, &self.interface, &self.member, &self.error].iter().all(|field| field.is_none())
    }

    /// Whether messages match with any number of file descriptors.
    pub(crate) const fn takes_any_fds(&self) -> bool {
        self.fds_min == 0 && self.fds_max == FDS_MAX
    }
}

/// The message types that a rule can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// `method_call`
    MethodCall,
    /// `method_return`
    MethodReturn,
    /// `error`
    Error,
    /// `signal`
    Signal,
}

impl MessageType {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;
    /// Each of them.
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::MethodCall, Self::MethodReturn, Self::Error, Self::Signal];
}

/// Which names are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// `*`, or no restriction.
    Any,
    /// This name.
    Exactly(Box<str>),
    /// This name and those below it, as in `own_prefix` (B070).
    Prefix(Box<str>),
}

/// A user or a group in a rule, not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// `*`
    Any,
    /// A name or a number.
    Named(Box<str>),
}

/// Why an `<allow>` or `<deny>` is refused, or warned about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No attribute that says what the rule is about (B073).
    NoSubject,
    /// More than one of own, own_prefix, user, group and the message attributes (B073).
    MixedSubjects,
    /// `send_` and `receive_` attributes (B073).
    SendAndReceive,
    /// `…_member` without `…_interface` or `…_path` (B056).
    MemberAlone,
    /// `…_error` with `…_interface` or `…_member` (B057).
    ErrorWithInterface,
    /// `send_destination` and `send_destination_prefix` (B059).
    TwoDestinations,
    /// `send_broadcast="true"` with a destination, which no broadcast has (B062).
    BroadcastWithDestination,
    /// An attribute that is true or false has another value.
    NotABoolean {
        /// The attribute.
        attribute: String,
        /// Its value.
        value: String,
    },
    /// `…_type` is none of the four types (B061).
    UnknownMessageType {
        /// The attribute.
        attribute: String,
        /// Its value.
        value: String,
    },
    /// `min_fds` or `max_fds` is no number between 0 and [`FDS_MAX`] (B068).
    BadFdCount {
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        value: String,
    },
    /// A connect rule in a `<policy>` that is not for everybody (B071).
    ConnectNotGlobal,
    /// Warning: a pattern other than a lone `*`, which is no pattern (B073).
    Glob {
        /// The attribute.
        attribute: String,
        /// Its value.
        value: String,
    },
    /// Warning: `min_fds` is above `max_fds`.
    NoFdCount,
}

impl RuleError {
    /// The attribute whose value is wrong, if it is one alone.
    pub(crate) fn attribute(&self) -> Option<&str> {
        match self {
            Self::NotABoolean { attribute, .. }
            | Self::UnknownMessageType { attribute, .. }
            | Self::Glob { attribute, .. } => Some(attribute),
            Self::BadFdCount { attribute, .. } => Some(attribute),
            _ => None,
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotABoolean { attribute, value } => {
                return write!(f, "{attribute}={value:?} is not possible; write true or false");
            }
            Self::UnknownMessageType { value, .. } => {
                return write!(
                    f,
                    "there is no message type {value:?}; write method_call, method_return, error, \
                     signal or *"
                );
            }
            Self::BadFdCount { attribute, value } => {
                return write!(
                    f,
                    "{attribute}={value:?} is not possible; write a number from 0 to {FDS_MAX}"
                );
            }
            Self::Glob { attribute, value } => {
                return write!(
                    f,
                    "{attribute}={value:?} matches only these very letters: * is a pattern only if \
                     it stands alone; own_prefix and send_destination_prefix take a name and all \
                     names below it"
                );
            }
            Self::NoSubject => {
                "the rule does not say what it is about; add an attribute such as \
                 send_destination, receive_sender, own or user"
            }
            Self::MixedSubjects => {
                "own, own_prefix, user, group and the attributes of messages exclude each other; \
                 write one rule for each"
            }
            Self::SendAndReceive => {
                "send_ and receive_ attributes exclude each other; write one rule for each"
            }
            Self::MemberAlone => {
                "a member needs an interface or a path in the same rule; add one (not all messages \
                 have an interface)"
            }
            Self::ErrorWithInterface => {
                "error messages have neither interface nor member; write one rule for each"
            }
            Self::TwoDestinations => {
                "send_destination and send_destination_prefix exclude each other; write one rule \
                 for each"
            }
            Self::BroadcastWithDestination => {
                "no broadcast has a destination; remove send_broadcast or send_destination"
            }
            Self::ConnectNotGlobal => {
                "who may connect is not decided for one user or group; put this rule into \
                 <policy context=\"default\"> or \"mandatory\""
            }
            Self::NoFdCount => "min_fds is above max_fds, so that the rule never matches",
        };
        f.write_str(text)
    }
}

/// The attributes of `<allow>` and `<deny>`.
pub(crate) const RULE_ATTRIBUTES: &[&str] = &[
    "send_interface",
    "send_member",
    "send_error",
    "send_destination",
    "send_destination_prefix",
    "send_path",
    "send_type",
    "send_broadcast",
    "send_requested_reply",
    "receive_interface",
    "receive_member",
    "receive_error",
    "receive_sender",
    "receive_path",
    "receive_type",
    "receive_requested_reply",
    "eavesdrop",
    "min_fds",
    "max_fds",
    "own",
    "own_prefix",
    "user",
    "group",
    "log",
];

/// The attributes of one `<allow>` or `<deny>`, all of them in [`RULE_ATTRIBUTES`].
pub(crate) struct RuleAttributes<'a>(pub(crate) &'a [(String, String)]);

impl RuleAttributes<'_> {
    /// What the attributes say together.
    pub(crate) fn action(&self, effect: Effect) -> Result<Action, RuleError> {
        match self.subject()? {
            Subject::Send => Ok(Action::Send(self.send_rule(effect)?)),
            Subject::Receive => Ok(Action::Receive(self.receive_rule(effect)?)),
            Subject::Own("*") => Ok(Action::Own(NamePattern::Any)),
            Subject::Own(name) => Ok(Action::Own(NamePattern::Exactly(name.into()))),
            Subject::OwnPrefix(name) => Ok(Action::Own(NamePattern::Prefix(name.into()))),
            Subject::User(name) => Ok(Action::ConnectUser(account(name))),
            Subject::Group(name) => Ok(Action::ConnectGroup(account(name))),
        }
    }

    /// What has no effect in a rule that is otherwise right.
    pub(crate) fn warnings(&self, action: &Action) -> Vec<RuleError> {
        let is_glob = |value: &str| value.contains('*') && value != "*";
        // A prefix of "*" is no pattern either (B059).
        let globs = self
            .0
            .iter()
            .filter(|(name, value)| is_glob(value) || (name.ends_with("_prefix") && value == "*"));
        let glob = |(name, value): &(String, String)| RuleError::Glob {
            attribute: name.clone(),
            value: value.clone(),
        };
        let mut warnings: Vec<RuleError> = globs.map(glob).collect();
        if let Action::Send(SendRule { message, .. }) | Action::Receive(ReceiveRule { message, .. }) =
            action
            && message.fds_min > message.fds_max
        {
            warnings.push(RuleError::NoFdCount);
        }
        warnings
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(attribute, _)| attribute == name).map(|(_, value)| value.as_str())
    }

    fn any_with_prefix(&self, prefix: &str) -> bool {
        self.0.iter().any(|(attribute, _)| attribute.starts_with(prefix))
    }

    /// What the rule is about: exactly one thing (B073).
    fn subject(&self) -> Result<Subject<'_>, RuleError> {
        let send = self.any_with_prefix("send_");
        // B067: eavesdrop alone makes a receive rule.
        let receive =
            self.any_with_prefix("receive_") || (!send && self.get("eavesdrop").is_some());
        if send && receive {
            return Err(RuleError::SendAndReceive);
        }
        let modifies_message = self.get("min_fds").is_some() || self.get("max_fds").is_some();
        let subjects = [
            send.then_some(Subject::Send),
            receive.then_some(Subject::Receive),
            self.get("own").map(Subject::Own),
            self.get("own_prefix").map(Subject::OwnPrefix),
            self.get("user").map(Subject::User),
            self.get("group").map(Subject::Group),
        ];
        let mut subjects = subjects.into_iter().flatten();
        let subject = subjects.next().ok_or(RuleError::NoSubject)?;
        let is_message = matches!(subject, Subject::Send | Subject::Receive);
        if subjects.next().is_some() || (modifies_message && !is_message) {
            return Err(RuleError::MixedSubjects);
        }
        Ok(subject)
    }

    fn send_rule(&self, effect: Effect) -> Result<SendRule, RuleError> {
        let message = self.message_pattern("send_", effect)?;
        let destination = self.send_destination()?;
        let broadcast = self.boolean("send_broadcast")?;
        if broadcast == Some(true) && matches!(destination, NamePattern::Exactly(_)) {
            return Err(RuleError::BroadcastWithDestination);
        }
        let log = self.get("log") == Some("true");
        Ok(SendRule { message, destination, broadcast, log })
    }

    fn send_destination(&self) -> Result<NamePattern, RuleError> {
        match (self.get("send_destination"), self.get("send_destination_prefix")) {
            (Some(_), Some(_)) => Err(RuleError::TwoDestinations),
            (None, Some(prefix)) => Ok(NamePattern::Prefix(prefix.into())),
            (Some("*") | None, None) => Ok(NamePattern::Any),
            (Some(name), None) => Ok(NamePattern::Exactly(name.into())),
        }
    }

    fn receive_rule(&self, effect: Effect) -> Result<ReceiveRule, RuleError> {
        let message = self.message_pattern("receive_", effect)?;
        Ok(ReceiveRule { message, sender: self.restriction("receive_", "sender") })
    }

    fn message_pattern(&self, prefix: &str, effect: Effect) -> Result<MessagePattern, RuleError> {
        let has = |name: &str| self.get(&format!("{prefix}{name}")).is_some();
        if has("member") && !has("interface") && !has("path") {
            return Err(RuleError::MemberAlone);
        }
        if has("error") && (has("interface") || has("member")) {
            return Err(RuleError::ErrorWithInterface);
        }
        let message_type = self.message_type(&format!("{prefix}type"))?;
        let requested_reply = self.boolean(&format!("{prefix}requested_reply"))?;
        Ok(MessagePattern {
            message_type,
            path: self.restriction(prefix, "path"),
            interface: self.restriction(prefix, "interface"),
            member: self.restriction(prefix, "member"),
            error: self.restriction(prefix, "error"),
            requested_reply: requested_reply.unwrap_or(effect == Effect::Allow),
            eavesdrop: self.boolean("eavesdrop")?.unwrap_or(false),
            fds_min: self.fd_count("min_fds")?.unwrap_or(0),
            fds_max: self.fd_count("max_fds")?.unwrap_or(FDS_MAX),
        })
    }

    /// The value of an attribute that restricts the rule; `None` if it is absent or `*`.
    fn restriction(&self, prefix: &str, name: &str) -> Option<Box<str>> {
        self.get(&format!("{prefix}{name}")).filter(|value| *value != "*").map(Into::into)
    }

    fn message_type(&self, attribute: &str) -> Result<Option<MessageType>, RuleError> {
        let named = self.get(attribute).filter(|value| *value != "*");
        named.map(|value| message_type_from(attribute, value)).transpose()
    }

    fn boolean(&self, attribute: &str) -> Result<Option<bool>, RuleError> {
        match self.get(attribute) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(value) => {
                let (attribute, value) = (attribute.to_owned(), value.to_owned());
                Err(RuleError::NotABoolean { attribute, value })
            }
        }
    }

    fn fd_count(&self, attribute: &'static str) -> Result<Option<u32>, RuleError> {
        let Some(value) = self.get(attribute) else { return Ok(None) };
        // (ref) the number may be hexadecimal, and there may be blanks around it.
        // deviation: the reference passes over what follows a number; here it is told.
        let count = match leading_integer(value.trim_ascii()) {
            Ok((count, "")) => u32::try_from(count).ok().filter(|count| *count <= FDS_MAX),
            _ => None,
        };
        let wrong = || RuleError::BadFdCount { attribute, value: value.to_owned() };
        count.map(Some).ok_or_else(wrong)
    }
}

/// What the attributes of a rule are about.
enum Subject<'a> {
    Send,
    Receive,
    Own(&'a str),
    OwnPrefix(&'a str),
    User(&'a str),
    Group(&'a str),
}

fn account(name: &str) -> Account {
    match name {
        "*" => Account::Any,
        name => Account::Named(name.into()),
    }
}

fn message_type_from(attribute: &str, name: &str) -> Result<MessageType, RuleError> {
    match name {
        "method_call" => Ok(MessageType::MethodCall),
        "method_return" => Ok(MessageType::MethodReturn),
        "error" => Ok(MessageType::Error),
        "signal" => Ok(MessageType::Signal),
        name => {
            let (attribute, value) = (attribute.to_owned(), name.to_owned());
            Err(RuleError::UnknownMessageType { attribute, value })
        }
    }
}
