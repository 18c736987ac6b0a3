//! What the administrator is told, as the core hands it out: how grave it is, and a sentence.

use std::fmt;

/// How grave a log record is (config.md B128).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The normal course: services started, monitors come and gone.
    Info,
    /// Something is not as it should be: a limit was reached, a client broke the protocol.
    Warning,
    /// A request was refused by policy.
    Security,
    /// The bus itself could not do what it was asked to.
    Error,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// How grave it is.
    pub severity: Severity,
    /// The sentence, without prefix or line end. Parts of it may come from a client: whoever writes
    /// it makes one line of bounded length of it.
    pub text: String,
    /// Parts of the sentence by name, for a log that keeps them apart.
    pub fields: Vec<(LogField, String)>,
    /// What it is for the kernel's audit, if that is to know of it.
    pub audit: Option<AuditType>,
}

/// What a security module says that the kernel's audit is told, too (config.md B113, B118).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditType {
    /// A verdict on a name or a message.
    Verdict,
    /// Another policy was loaded.
    PolicyLoad,
    /// The module enforces its policy from now on, or does no longer.
    ModeChange,
}

/// What parts of a sentence are called where a log keeps them apart: `DBUS_` and this in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogField {
    /// The unique name of the client that was refused.
    Sender,
    /// Its user.
    SenderUid,
    /// Its process.
    SenderPid,
    /// DESTINATION of the message.
    Destination,
    /// Its type.
    MessageType,
    /// INTERFACE of the message.
    Interface,
    /// Its MEMBER.
    Member,
    /// Its PATH.
    Path,
    /// Its ERROR_NAME.
    ErrorName,
    /// The rule that decided, as it could stand in a configuration.
    Rule,
    /// The file of that rule.
    RuleFile,
    /// Its line there.
    RuleLine,
}

impl LogField {
    /// The name of the field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sender => "DBUS_SENDER",
            Self::SenderUid => "DBUS_SENDER_UID",
            Self::SenderPid => "DBUS_SENDER_PID",
            Self::Destination => "DBUS_DESTINATION",
            Self::MessageType => "DBUS_MESSAGE_TYPE",
            Self::Interface => "DBUS_INTERFACE",
            Self::Member => "DBUS_MEMBER",
            Self::Path => "DBUS_PATH",
            Self::ErrorName => "DBUS_ERROR_NAME",
            Self::Rule => "DBUS_RULE",
            Self::RuleFile => "DBUS_RULE_FILE",
            Self::RuleLine => "DBUS_RULE_LINE",
        }
    }
}

impl LogRecord {
    /// A record of `text`.
    #[must_use]
    pub fn new(severity: Severity, text: &fmt::Arguments<'_>) -> Self {
        Self::of(severity, text.to_string())
    }

    /// A record of a finished sentence.
    #[must_use]
    pub const fn of(severity: Severity, text: String) -> Self {
        Self { severity, text, fields: Vec::new(), audit: None }
    }

    /// The same, for the kernel's audit too.
    #[must_use]
    pub const fn audited(mut self, audit: AuditType) -> Self {
        self.audit = Some(audit);
        self
    }
}
