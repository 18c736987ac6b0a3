//! Every refusal of the bus, and the one table from refusal to D-Bus error (protocol.md A224–A241).
//!
//! The texts are those of the reference where users and tools are known to read them
//! (protocol.md A241).

use std::fmt;

use bus_policy::RuleId;
use libbus::match_rule::MatchRuleError;
use libbus::names::ErrorName;
use libbus::standard_error as error;
use libbus::wire::MessageError;

use crate::bus::MachineIdError;
use crate::bus::log::Severity;
use crate::bus::quota::Holders;

/// Why a client does not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// protocol.md A121
    AlreadyRegistered,
    /// protocol.md A121
    NotRegistered,
    /// config.md B036
    TooManyConnections {
        /// The limit in force.
        max: u32,
        /// How many of them only root and the bus's own user may have, if the client is another's.
        kept: u32,
        /// Who has most of them, and how many.
        holders: Holders,
    },
    /// config.md B038
    TooManyConnectionsOfUser {
        /// Whose.
        uid: Option<u32>,
        /// The limit in force.
        max: u32,
    },
    /// protocol.md A033
    UnknownMessageType,
    /// protocol.md A233
    UnknownMethod {
        /// What was called.
        member: String,
    },
    /// protocol.md A233
    UnknownInterface {
        /// What was called.
        member: String,
    },
    /// protocol.md A233
    UnknownInterfaceOfProperty {
        /// The interface.
        interface: String,
    },
    /// protocol.md A233
    UnknownProperty {
        /// The interface.
        interface: String,
        /// The property.
        property: String,
    },
    /// Only root and the user of the bus may read this property.
    PropertyNotForAll {
        /// The property.
        property: String,
    },
    /// protocol.md A233
    PropertyReadOnly {
        /// The property.
        property: String,
    },
    /// A method that exists only at `/org/freedesktop/DBus`.
    WrongPath {
        /// What was called.
        member: &'static str,
    },
    /// protocol.md A230
    NotPrivileged {
        /// What was called.
        member: &'static str,
    },
    /// protocol.md A231
    WrongArguments {
        /// What was called.
        member: &'static str,
        /// The signature of the call.
        given: String,
        /// The signature of the method.
        expected: String,
    },
    /// The arguments cannot be read.
    UnreadableArguments(MessageError),
    /// protocol.md A231
    InvalidName {
        /// The name.
        name: String,
    },
    /// protocol.md A231: RequestName of a unique name.
    UniqueNameRequested {
        /// The name.
        name: String,
    },
    /// protocol.md A231: RequestName of the bus's own name.
    BusNameRequested {
        /// Who asked.
        client: String,
    },
    /// protocol.md A231: ReleaseName of a name that is not one.
    InvalidNameReleased {
        /// The name.
        name: String,
    },
    /// protocol.md A231: ReleaseName of a unique name.
    UniqueNameReleased {
        /// The name.
        name: String,
    },
    /// protocol.md A231: ReleaseName of the bus's own name.
    BusNameReleased,
    /// A security module refuses it; it has said what the log gets (config.md B118).
    Mediated {
        /// What the module says.
        text: String,
    },
    /// config.md B069
    NotAllowedToOwn {
        /// Who asked.
        client: String,
        /// The name.
        name: String,
        /// The rule that denies it, in words.
        text: String,
        /// That rule, if one matched.
        rule: Option<RuleId>,
    },
    /// A question that makes no sense.
    UnansweredQuestion {
        /// What is wrong with it.
        why: String,
    },
    /// config.md B040
    TooManyNames {
        /// Who asked.
        client: String,
        /// The limit in force.
        max: u32,
    },
    /// protocol.md A227: the argument of a method of the bus is a name without owner.
    NameHasNoOwner {
        /// What was asked about it.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// protocol.md A227: a message with NO_AUTO_START to a name without owner.
    DestinationHasNoOwner {
        /// The name.
        name: String,
    },
    /// protocol.md A226
    NotActivatable {
        /// The name.
        name: String,
    },
    /// protocol.md A224
    UnknownUser {
        /// Of whom.
        name: String,
    },
    /// protocol.md A236
    UnknownProcessId {
        /// Of whom.
        name: String,
    },
    /// protocol.md A236
    UnknownAuditData {
        /// Of whom.
        name: String,
    },
    /// protocol.md A236
    UnknownSecurityContext {
        /// Of whom.
        name: String,
    },
    /// protocol.md A235
    InvalidMatchRule(MatchRuleError),
    /// protocol.md A157
    MatchRuleTooLong {
        /// The bound, in bytes.
        max: usize,
    },
    /// config.md B041
    TooManyMatchRules {
        /// Who asked.
        client: String,
        /// The limit in force.
        max: u32,
    },
    /// protocol.md A235
    MatchRuleNotFound,
    /// protocol.md A167
    EavesdropNotPrivileged,
    /// protocol.md A231: BecomeMonitor with flags.
    MonitorFlags,
    /// protocol.md A205
    StatsOfBus,
    /// The activation environment is full.
    ActivationEnvironmentFull,
    /// A variable's name is empty or has `=` or NUL in it.
    InvalidVariable {
        /// The variable.
        name: String,
    },
    /// protocol.md A189
    ReloadFailed(String),
    /// More calls of ReloadConfig by one user wait than may.
    TooManyReloads {
        /// The bound.
        max: usize,
    },
    /// protocol.md A237
    NoMachineId(MachineIdError),
    /// protocol.md A149
    FdsNotSupported,
    /// What the bus would have to answer is longer than a message may be.
    AnswerTooLong,
    /// A configuration with a service helper (protocol.md A177).
    ActivationEnvironmentFixed,
    /// A message of nearly the greatest size, to which the bus has to add SENDER.
    TooLongWithSender {
        /// Bytes with SENDER.
        size: usize,
    },
    /// The kernel holds too many descriptors in flight.
    TooManyFdsInFlight {
        /// The recipient.
        name: String,
    },
    /// protocol.md A151
    QueueFull {
        /// The reference's description of the message.
        text: String,
    },
    /// protocol.md A230
    PolicyDenied {
        /// The reference's description of the message, and the rule that denies it.
        text: String,
        /// That rule, if one matched.
        rule: Option<RuleId>,
    },
    /// config.md B042
    TooManyReplies {
        /// Who called.
        caller: String,
        /// Whom.
        callee: String,
        /// The limit in force.
        max: u32,
    },
    /// More than a user or one of its clients may hold, whatever the limits of a connection.
    ShareExceeded {
        /// Who holds how much of what, and what to do.
        text: String,
    },
    /// protocol.md A146
    DuplicateSerial,
    /// A service could not be started (protocol.md A234, A238, A239).
    StartFailed(StartFailure),
    /// config.md B039
    TooManyStarts {
        /// The name that was to be started.
        name: String,
        /// The limit in force.
        max: u32,
    },
    /// More of one sender's messages wait for services than may (config.md B027).
    TooMuchHeld {
        /// Bytes of them.
        held: usize,
        /// The limit in force.
        max: u64,
    },
    /// An ActivationFailure from somebody who is not systemd (protocol.md A220, CVE-2015-0245).
    NotSystemd,
    /// protocol.md A147
    CalleeDisconnected,
    /// protocol.md A148
    ReplyTimeout,
}

impl Refusal {
    /// The D-Bus error that the client gets.
    #[must_use]
    pub fn error_name(&self) -> ErrorName<'_> {
        match self {
            Self::AlreadyRegistered | Self::UnknownUser { .. } | Self::ReloadFailed(_) => {
                error::FAILED
            }
            Self::NotRegistered
            | Self::UnknownMessageType
            | Self::WrongPath { .. }
            | Self::NotPrivileged { .. }
            | Self::PropertyNotForAll { .. }
            | Self::EavesdropNotPrivileged
            | Self::PolicyDenied { .. }
            | Self::Mediated { .. }
            | Self::NotAllowedToOwn { .. }
            | Self::ActivationEnvironmentFixed
            | Self::NotSystemd
            | Self::DuplicateSerial => error::ACCESS_DENIED,
            Self::TooManyConnections { .. }
            | Self::TooManyConnectionsOfUser { .. }
            | Self::TooManyNames { .. }
            | Self::MatchRuleTooLong { .. }
            | Self::TooManyMatchRules { .. }
            | Self::ActivationEnvironmentFull
            | Self::TooManyReloads { .. }
            | Self::AnswerTooLong
            | Self::TooLongWithSender { .. }
            | Self::TooManyFdsInFlight { .. }
            | Self::QueueFull { .. }
            | Self::ShareExceeded { .. }
            | Self::TooManyStarts { .. }
            | Self::TooMuchHeld { .. }
            | Self::TooManyReplies { .. } => error::LIMITS_EXCEEDED,
            Self::UnknownMethod { .. } => error::UNKNOWN_METHOD,
            Self::UnknownInterface { .. } | Self::UnknownInterfaceOfProperty { .. } => {
                error::UNKNOWN_INTERFACE
            }
            Self::UnknownProperty { .. } => error::UNKNOWN_PROPERTY,
            Self::PropertyReadOnly { .. } => error::PROPERTY_READ_ONLY,
            Self::WrongArguments { .. }
            | Self::UnreadableArguments(_)
            | Self::InvalidName { .. }
            | Self::UniqueNameRequested { .. }
            | Self::BusNameRequested { .. }
            | Self::InvalidNameReleased { .. }
            | Self::UniqueNameReleased { .. }
            | Self::BusNameReleased
            | Self::MonitorFlags
            | Self::InvalidVariable { .. }
            | Self::UnansweredQuestion { .. }
            | Self::StatsOfBus => error::INVALID_ARGS,
            Self::NameHasNoOwner { .. } | Self::DestinationHasNoOwner { .. } => {
                error::NAME_HAS_NO_OWNER
            }
            Self::NotActivatable { .. } => error::SERVICE_UNKNOWN,
            Self::StartFailed(failure) => failure.error_name(),
            Self::UnknownProcessId { .. } => error::UNIX_PROCESS_ID_UNKNOWN,
            Self::UnknownAuditData { .. } => error::ADT_AUDIT_DATA_UNKNOWN,
            Self::UnknownSecurityContext { .. } => error::SELINUX_SECURITY_CONTEXT_UNKNOWN,
            Self::InvalidMatchRule(_) => error::MATCH_RULE_INVALID,
            Self::MatchRuleNotFound => error::MATCH_RULE_NOT_FOUND,
            Self::NoMachineId(machine_id) => machine_id.error,
            Self::FdsNotSupported => error::NOT_SUPPORTED,
            Self::CalleeDisconnected | Self::ReplyTimeout => error::NO_REPLY,
        }
    }

    /// How grave the administrator should find it; None for what only concerns the client.
    #[must_use]
    pub const fn log_severity(&self) -> Option<Severity> {
        match self {
            Self::PolicyDenied { .. }
            | Self::NotAllowedToOwn { .. }
            | Self::NotPrivileged { .. }
            | Self::NotSystemd
            | Self::EavesdropNotPrivileged => Some(Severity::Security),
            Self::TooManyConnections { .. }
            | Self::TooManyConnectionsOfUser { .. }
            | Self::TooManyNames { .. }
            | Self::TooManyMatchRules { .. }
            | Self::QueueFull { .. }
            | Self::ShareExceeded { .. }
            | Self::TooManyStarts { .. }
            | Self::TooMuchHeld { .. }
            | Self::TooManyReplies { .. } => Some(Severity::Warning),
            _ => None,
        }
    }

    /// The rule of the policy that denies it, if it is the policy.
    #[must_use]
    pub const fn rule(&self) -> Option<RuleId> {
        match self {
            Self::PolicyDenied { rule, .. } | Self::NotAllowedToOwn { rule, .. } => *rule,
            _ => None,
        }
    }

    /// Whether the text says who was refused, with the process.
    #[must_use]
    pub const fn names_sender(&self) -> bool {
        matches!(self, Self::PolicyDenied { .. } | Self::QueueFull { .. })
    }
}

/// Why a service could not be started: the D-Bus error that all who wait for it get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// An error name: one of the bus's own, or what systemd said.
    error: String,
    text: String,
}

impl StartFailure {
    /// This error with this text.
    #[must_use]
    pub fn new(error: ErrorName<'_>, text: String) -> Self {
        Self { error: error.as_str().to_owned(), text }
    }

    /// The error's name.
    #[must_use]
    pub fn error_name(&self) -> ErrorName<'_> {
        // INVARIANT: it was one.
        ErrorName::parse(&self.error).unwrap_or(error::SPAWN_FAILED)
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        Self::UnreadableArguments(error)
    }
}

impl From<MatchRuleError> for Refusal {
    fn from(error: MatchRuleError) -> Self {
        match error {
            MatchRuleError::TooLong => {
                Self::MatchRuleTooLong { max: libbus::limits::MATCH_RULE_SIZE_MAX }
            }
            error => Self::InvalidMatchRule(error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRegistered => f.write_str("Already handled an Hello message"),
            Self::NotRegistered => f.write_str(
                "Client tried to send a message other than Hello without being registered",
            ),
            Self::TooManyConnections { max, kept, holders } => {
                write!(
                    f,
                    "The maximum number of active connections has been reached \
                     (max_completed_connections={max}"
                )?;
                if *kept > 0 {
                    write!(f, ", {kept} of them kept for root and the bus's own user")?;
                }
                write!(f, "); those who have most: {holders}")?;
                f.write_str(". Close some of them, or raise max_completed_connections")
            }
            Self::TooManyConnectionsOfUser { uid: Some(uid), max } => write!(
                f,
                "The maximum number of active connections for UID {uid} has been reached \
                 (max_connections_per_user={max})"
            ),
            Self::TooManyConnectionsOfUser { uid: None, max } => write!(
                f,
                "The maximum number of active connections without a known user has been reached \
                 (max_connections_per_user={max})"
            ),
            Self::UnknownMessageType => {
                f.write_str("Message bus will not accept messages of unknown type")
            }
            Self::UnknownMethod { member } | Self::UnknownInterface { member } => {
                write!(f, "org.freedesktop.DBus does not understand message {member}")
            }
            Self::UnknownInterfaceOfProperty { interface } => {
                write!(f, "Interface \"{interface}\" not found")
            }
            Self::UnknownProperty { interface, property } => {
                write!(f, "Property \"{interface}.{property}\" not found")
            }
            Self::PropertyNotForAll { property } => write!(
                f,
                "Property '{property}' is for root and the user that runs the message bus alone"
            ),
            Self::PropertyReadOnly { property } => {
                write!(f, "Property '{property}' cannot be set")
            }
            Self::WrongPath { member } => {
                write!(
                    f,
                    "Method '{member}' is only available at the canonical object path \
                     '/org/freedesktop/DBus'"
                )
            }
            Self::NotPrivileged { member } => write!(
                f,
                "Method {member} may only be called by root and by the user that the bus runs as"
            ),
            Self::WrongArguments { member, given, expected } => {
                write!(f, "Call to {member} has wrong args ({given}, expected {expected})")
            }
            Self::UnreadableArguments(error) => write!(f, "Cannot read the arguments: {error}"),
            Self::InvalidName { name } => write!(f, "Requested bus name \"{name}\" is not valid"),
            Self::UniqueNameRequested { name } => {
                write!(f, "Cannot acquire a service starting with ':' such as \"{name}\"")
            }
            Self::BusNameRequested { client } => write!(
                f,
                "Connection \"{client}\" is not allowed to own the service \
                 \"org.freedesktop.DBus\" because it is reserved for D-Bus' use only"
            ),
            Self::InvalidNameReleased { name } => {
                write!(f, "Given bus name \"{name}\" is not valid")
            }
            Self::UniqueNameReleased { name } => {
                write!(f, "Cannot release a service starting with ':' such as \"{name}\"")
            }
            Self::BusNameReleased => f.write_str(
                "Cannot release the org.freedesktop.DBus service because it is owned by the bus",
            ),
            Self::NotAllowedToOwn { client, name, text, .. } => write!(
                f,
                "Connection \"{client}\" is not allowed to own the service \"{name}\" due to \
                 security policies in the configuration file; {text}"
            ),
            Self::UnansweredQuestion { why } => f.write_str(why),
            Self::TooManyNames { client, max } => write!(
                f,
                "Connection \"{client}\" is not allowed to own more services (increase limits in \
                 configuration file if required; max_names_per_connection={max})"
            ),
            Self::NameHasNoOwner { what, name } => {
                write!(f, "Could not get {what} of name '{name}': no such name")
            }
            Self::DestinationHasNoOwner { name } => write!(f, "Name \"{name}\" does not exist"),
            Self::StartFailed(failure) => failure.fmt(f),
            Self::TooManyStarts { name, max } => write!(
                f,
                "The maximum number of pending activations has been reached, activation of {name} \
                 failed (max_pending_service_starts={max})"
            ),
            Self::TooMuchHeld { held, max } => write!(
                f,
                "{held} bytes of your messages wait for services to start, which is more than \
                 max_incoming_bytes={max}"
            ),
            Self::NotSystemd => f.write_str(
                "Only the owner of org.freedesktop.systemd1 may say that an activation failed, as \
                 root or as the user of the bus",
            ),
            Self::NotActivatable { name } => {
                write!(f, "The name {name} was not provided by any .service files")
            }
            Self::UnknownUser { name } => write!(f, "Could not determine UID for '{name}'"),
            Self::UnknownProcessId { name } => write!(f, "Could not determine PID for '{name}'"),
            Self::UnknownAuditData { name } => {
                write!(f, "Could not determine audit session data for '{name}'")
            }
            Self::UnknownSecurityContext { name } => {
                write!(f, "Could not determine security context for '{name}'")
            }
            Self::InvalidMatchRule(error) => write!(f, "{error}"),
            Self::MatchRuleTooLong { max } => {
                write!(f, "Match rule text is longer than {max} bytes")
            }
            Self::TooManyMatchRules { client, max } => write!(
                f,
                "Connection \"{client}\" is not allowed to add more match rules (increase limits \
                 in configuration file if required; max_match_rules_per_connection={max})"
            ),
            Self::MatchRuleNotFound => {
                f.write_str("The given match rule wasn't found and can't be removed")
            }
            Self::EavesdropNotPrivileged => f.write_str(
                "Match rules with eavesdrop='true' may only be added by root and by the user that \
                 the bus runs as",
            ),
            Self::MonitorFlags => f.write_str("BecomeMonitor takes no flags: pass 0"),
            Self::StatsOfBus => f.write_str("The bus itself has no connection statistics"),
            Self::ActivationEnvironmentFull => {
                f.write_str("The activation environment cannot hold more variables")
            }
            Self::InvalidVariable { name } => {
                write!(f, "\"{}\" is not the name of an environment variable", name.escape_debug())
            }
            Self::TooManyReloads { max } => {
                write!(
                    f,
                    "{max} calls of the same user wait already for the configuration to be read"
                )
            }
            Self::ReloadFailed(text) => f.write_str(text),
            Self::NoMachineId(machine_id) => f.write_str(&machine_id.text),
            Self::FdsNotSupported => f.write_str(
                "Tried to send message with Unix file descriptors to a client that doesn't \
                 support that.",
            ),
            Self::AnswerTooLong => f.write_str(
                "The answer is longer than a message may be; ask about one connection at a time",
            ),
            Self::ActivationEnvironmentFixed => {
                f.write_str("Cannot change activation environment on a system bus.")
            }
            Self::TooLongWithSender { size } => write!(
                f,
                "The message has {size} bytes with the sender's name, and no message may have more \
                 than {}",
                libbus::limits::MESSAGE_SIZE_MAX
            ),
            Self::TooManyFdsInFlight { name } => write!(
                f,
                "The kernel would not pass file descriptors to {name}: too many are in flight"
            ),
            Self::QueueFull { text }
            | Self::PolicyDenied { text, .. }
            | Self::Mediated { text }
            | Self::ShareExceeded { text } => f.write_str(text),
            Self::TooManyReplies { caller, callee, max } => write!(
                f,
                "The maximum number of pending replies per connection has been reached: {caller} \
                 waits for {max} replies and called {callee} (max_replies_per_connection={max})"
            ),
            Self::DuplicateSerial => f.write_str(
                "Message has the same reply serial as a currently-outstanding existing method call",
            ),
            Self::CalleeDisconnected => {
                f.write_str("Message recipient disconnected from message bus without replying")
            }
            Self::ReplyTimeout => {
                f.write_str("Message did not receive a reply (timeout by message bus)")
            }
        }
    }
}
