//! `<limit>`: names, defaults and ranges (config.md B.3).

use std::fmt;

use super::nearest::nearest;

/// No message is longer, whatever the configuration says: 128 MiB (protocol.md A037).
pub const MESSAGE_SIZE_MAX: u32 = 128 * MIB as u32;

const MIB: u64 = 1024 * 1024;

/// Every limit of a bus. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one client that were read and not handled yet (B027).
    pub incoming_bytes_max: u64,
    /// File descriptors likewise (B028).
    pub incoming_unix_fds_max: u64,
    /// Bytes queued for one client (B029).
    pub outgoing_bytes_max: u64,
    /// File descriptors likewise (B030).
    pub outgoing_unix_fds_max: u64,
    /// Bytes of one message; never above [`MESSAGE_SIZE_MAX`] (B031).
    pub message_size_max: u32,
    /// File descriptors of one message (B032).
    pub message_unix_fds_max: u64,
    /// How long a service may take to start (B033).
    pub service_start_timeout_ms: u32,
    /// How long a client may take until its Hello (B034).
    pub auth_timeout_ms: u32,
    /// How long a descriptor may wait for the rest of its message (B035).
    pub pending_fd_timeout_ms: u32,
    /// Clients that said Hello (B036).
    pub completed_connections_max: u32,
    /// Clients that did not yet (B037).
    pub incomplete_connections_max: u32,
    /// Clients of one uid that said Hello (B038).
    pub connections_per_user_max: u32,
    /// Messages and requests that wait for services being started (B039).
    pub pending_service_starts_max: u32,
    /// Names of one client: its unique name, those it owns and those it queues for (B040).
    pub names_per_connection_max: u32,
    /// Match rules of one client (B041).
    pub match_rules_per_connection_max: u32,
    /// Unanswered calls of one client (B042).
    pub replies_per_connection_max: u32,
    /// How long a call may stay unanswered; `None`: for ever (B043).
    pub reply_timeout_ms: Option<u32>,
    /// Read, without effect (B044).
    pub containers_max: u32,
    /// Read, without effect (B044).
    pub containers_per_user_max: u32,
    /// Read, without effect (B044).
    pub container_metadata_bytes_max: u32,
    /// Read, without effect (B044).
    pub connections_per_container_max: u32,
}

/// What holds where no file sets a limit: the reference's hard-coded values.
impl Default for Limits {
    fn default() -> Self {
        Self {
            incoming_bytes_max: 127 * MIB,
            incoming_unix_fds_max: 64,
            outgoing_bytes_max: 127 * MIB,
            outgoing_unix_fds_max: 64,
            message_size_max: 32 * MIB as u32,
            message_unix_fds_max: 16,
            service_start_timeout_ms: 25_000,
            auth_timeout_ms: 30_000,
            pending_fd_timeout_ms: 150_000,
            completed_connections_max: 2048,
            incomplete_connections_max: 64,
            connections_per_user_max: 256,
            pending_service_starts_max: 512,
            names_per_connection_max: 512,
            match_rules_per_connection_max: 512,
            replies_per_connection_max: 128,
            reply_timeout_ms: None,
            containers_max: 512,
            containers_per_user_max: 16,
            container_metadata_bytes_max: 4096,
            connections_per_container_max: 8,
        }
    }
}

/// Why a `<limit>` is refused (config.md B045), or warned about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// There is no limit of this name.
    UnknownName {
        /// The name.
        name: String,
        /// A limit with nearly the same name.
        meant: Option<&'static str>,
    },
    /// The value does not start with a number.
    NotANumber(String),
    /// The value is less than 0.
    Negative(i64),
    /// The value does not fit.
    TooLarge(String),
    /// Warning: something follows the number and is not read.
    TrailingText {
        /// The number.
        value: i64,
        /// What follows it.
        text: String,
    },
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName { name, meant: Some(meant) } => {
                write!(f, "there is no limit {name:?}; did you mean {meant:?}?")
            }
            Self::UnknownName { name, meant: None } => {
                write!(f, "there is no limit {name:?}; remove it")
            }
            Self::NotANumber(text) => {
                write!(f, "the limit is {text:?}; write a whole number such as 1000")
            }
            Self::Negative(value) => {
                write!(f, "the limit is {value}; write 0 or a number above it")
            }
            Self::TooLarge(text) => {
                write!(f, "the limit {text:?} is too large; write at most {}", i32::MAX)
            }
            Self::TrailingText { value, text } => {
                write!(f, "{text:?} after the limit {value} is not read; write {value} alone")
            }
        }
    }
}

impl Limits {
    /// Sets the limit `name` from the text of a `<limit>`. Returns what a warning should say.
    ///
    /// # Errors
    /// See [`LimitError`]; nothing is changed then.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<Option<LimitError>, LimitError> {
        let (value, rest) = leading_integer(text)?;
        self.set_value(name, value)?;
        let trailing = || LimitError::TrailingText { value, text: rest.trim().to_owned() };
        Ok((!rest.trim().is_empty()).then(trailing))
    }

    fn set_value(&mut self, name: &str, value: i64) -> Result<(), LimitError> {
        let Some(form) = LIMITS.iter().find(|form| form.name == name) else {
            let names: Vec<&str> = LIMITS.iter().map(|form| form.name).collect();
            let meant = nearest(name, &names);
            return Err(LimitError::UnknownName { name: name.to_owned(), meant });
        };
        match (form.place)(self) {
            Place::Wide(limit) => *limit = wide(value)?,
            Place::Narrow(limit) => *limit = narrow(value)?,
            Place::MessageSize(limit) => *limit = message_size(value)?,
            // -1 cannot be written in a file (B045): 0 is how an administrator says never.
            Place::Timeout(limit) => *limit = Some(narrow(value)?).filter(|ms| *ms > 0),
        }
        Ok(())
    }

    /// How large a limit is; `None`: there is none.
    #[must_use]
    pub fn value(&self, limit: &LimitForm) -> Option<u64> {
        match (limit.place)(&mut self.clone()) {
            Place::Wide(value) => Some(*value),
            Place::Narrow(value) | Place::MessageSize(value) => Some((*value).into()),
            Place::Timeout(value) => value.map(u64::from),
        }
    }
}

/// One limit as files name it.
#[derive(Clone, Copy, Debug)]
pub struct LimitForm {
    /// What the attribute `name` says.
    pub name: &'static str,
    /// What is counted.
    pub unit: Unit,
    place: fn(&mut Limits) -> Place<'_>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// File descriptors.
    Descriptors,
    /// Time.
    Milliseconds,
    /// Anything else.
    Count,
}

/// Where a limit is kept, on which depends what fits.
enum Place<'a> {
    Wide(&'a mut u64),
    Narrow(&'a mut u32),
    MessageSize(&'a mut u32),
    Timeout(&'a mut Option<u32>),
}

const fn limit(name: &'static str, unit: Unit, place: fn(&mut Limits) -> Place<'_>) -> LimitForm {
    LimitForm { name, unit, place }
}

/// Every limit.
pub const LIMITS: &[LimitForm] = &[
    limit("max_incoming_bytes", Unit::Bytes, |it| Place::Wide(&mut it.incoming_bytes_max)),
    limit("max_incoming_unix_fds", Unit::Descriptors, |it| {
        Place::Wide(&mut it.incoming_unix_fds_max)
    }),
    limit("max_outgoing_bytes", Unit::Bytes, |it| Place::Wide(&mut it.outgoing_bytes_max)),
    limit("max_outgoing_unix_fds", Unit::Descriptors, |it| {
        Place::Wide(&mut it.outgoing_unix_fds_max)
    }),
    limit("max_message_size", Unit::Bytes, |it| Place::MessageSize(&mut it.message_size_max)),
    limit("max_message_unix_fds", Unit::Descriptors, |it| {
        Place::Wide(&mut it.message_unix_fds_max)
    }),
    limit("service_start_timeout", Unit::Milliseconds, |it| {
        Place::Narrow(&mut it.service_start_timeout_ms)
    }),
    limit("auth_timeout", Unit::Milliseconds, |it| Place::Narrow(&mut it.auth_timeout_ms)),
    limit("pending_fd_timeout", Unit::Milliseconds, |it| {
        Place::Narrow(&mut it.pending_fd_timeout_ms)
    }),
    limit("max_completed_connections", Unit::Count, |it| {
        Place::Narrow(&mut it.completed_connections_max)
    }),
    limit("max_incomplete_connections", Unit::Count, |it| {
        Place::Narrow(&mut it.incomplete_connections_max)
    }),
    limit("max_connections_per_user", Unit::Count, |it| {
        Place::Narrow(&mut it.connections_per_user_max)
    }),
    limit("max_pending_service_starts", Unit::Count, |it| {
        Place::Narrow(&mut it.pending_service_starts_max)
    }),
    limit("max_names_per_connection", Unit::Count, |it| {
        Place::Narrow(&mut it.names_per_connection_max)
    }),
    limit("max_match_rules_per_connection", Unit::Count, |it| {
        Place::Narrow(&mut it.match_rules_per_connection_max)
    }),
    limit("max_replies_per_connection", Unit::Count, |it| {
        Place::Narrow(&mut it.replies_per_connection_max)
    }),
    limit("reply_timeout", Unit::Milliseconds, |it| Place::Timeout(&mut it.reply_timeout_ms)),
    limit("max_containers", Unit::Count, |it| Place::Narrow(&mut it.containers_max)),
    limit("max_containers_per_user", Unit::Count, |it| {
        Place::Narrow(&mut it.containers_per_user_max)
    }),
    limit("max_container_metadata_bytes", Unit::Bytes, |it| {
        Place::Narrow(&mut it.container_metadata_bytes_max)
    }),
    limit("max_connections_per_container", Unit::Count, |it| {
        Place::Narrow(&mut it.connections_per_container_max)
    }),
];

/// The limits that are read and bound nothing (B044).
pub const WITHOUT_EFFECT: &[&str] = &[
    "max_containers",
    "max_containers_per_user",
    "max_container_metadata_bytes",
    "max_connections_per_container",
];

fn wide(value: i64) -> Result<u64, LimitError> {
    u64::try_from(value).map_err(|_| LimitError::Negative(value))
}

fn narrow(value: i64) -> Result<u32, LimitError> {
    let value = wide(value)?;
    let fits = i32::try_from(value).map_err(|_| LimitError::TooLarge(value.to_string()))?;
    Ok(fits.unsigned_abs())
}

fn message_size(value: i64) -> Result<u32, LimitError> {
    let value = wide(value)?;
    Ok(u32::try_from(value).unwrap_or(u32::MAX).min(MESSAGE_SIZE_MAX))
}

/// The number that `text` starts with, and what follows it. As in C, a leading `0x` makes it
/// hexadecimal and a leading `0` octal (ref: strtol with base 0).
pub(crate) fn leading_integer(text: &str) -> Result<(i64, &str), LimitError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, radix) = match (unsigned.strip_prefix("0x"), unsigned.strip_prefix('0')) {
        (Some(digits), _) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => (digits, 16),
        (_, Some(_)) => (unsigned, 8),
        _ => (unsigned, 10),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() {
        return Err(LimitError::NotANumber(text.to_owned()));
    }
    let magnitude =
        i64::from_str_radix(digits, radix).map_err(|_| LimitError::TooLarge(text.to_owned()))?;
    Ok((if text.starts_with('-') { -magnitude } else { magnitude }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, text: &str) -> Result<(Limits, Option<LimitError>), LimitError> {
        let mut limits = Limits::default();
        let warning = limits.set(name, text)?;
        Ok((limits, warning))
    }

    // config.md B027–B044: the names, each setting its own field.
    #[test]
    fn every_name_sets_one_limit() {
        let mut seen = Vec::new();
        for form in LIMITS {
            let name = form.name;
            let (limits, warning) = set(name, "7").unwrap();
            assert_eq!(limits.value(form), Some(7), "{name}");
            assert_ne!(limits, Limits::default(), "{name}");
            assert!(!seen.contains(&limits), "{name}");
            assert_eq!(warning, None, "{name}");
            seen.push(limits);
        }
    }

    // config.md B045
    #[test]
    fn refuses_what_is_not_a_limit() {
        let check = |case: &str, name, text, expected: LimitError| {
            assert_eq!(set(name, text), Err(expected), "{case}");
        };
        let auth = "auth_timeout";
        check("letters", auth, "bees", LimitError::NotANumber("bees".into()));
        check("a sign alone", auth, "-", LimitError::NotANumber("-".into()));
        check("negative", auth, "-1", LimitError::Negative(-1));
        check("negative bytes", "max_incoming_bytes", "-5", LimitError::Negative(-5));
        check("never is not a number", "reply_timeout", "-1", LimitError::Negative(-1));
        check("past 31 bits", auth, "2147483648", LimitError::TooLarge("2147483648".into()));
        let past = "9223372036854775808";
        check("past 63 bits", "max_incoming_bytes", past, LimitError::TooLarge(past.into()));
        let unknown = |name: &str, meant| LimitError::UnknownName { name: name.into(), meant };
        check("unknown", "max_bees", "1", unknown("max_bees", None));
        check("misspelt", "auth_timeuot", "1", unknown("auth_timeuot", Some(auth)));
    }

    #[test]
    fn reads_numbers_as_the_reference() {
        let check = |text: &str, expected: u32, warning: Option<&str>| {
            let (limits, found) = set("auth_timeout", text).unwrap();
            assert_eq!(limits.auth_timeout_ms, expected, "{text}");
            let found = found.map(|warning| match warning {
                LimitError::TrailingText { text, .. } => text,
                other => panic!("{other}"),
            });
            assert_eq!(found.as_deref(), warning, "{text}");
        };
        check("0", 0, None);
        check("5000", 5000, None);
        check("+5", 5, None);
        check("2147483647", 2_147_483_647, None);
        check("0x10", 16, None);
        check("010", 8, None);
        check("0x", 0, Some("x"));
        check("5000ms", 5000, Some("ms"));
        check("09", 0, Some("9"));
    }

    // config.md B031
    #[test]
    fn clamps_the_message_size() {
        let check = |text: &str, expected: u32| {
            let (limits, _) = set("max_message_size", text).unwrap();
            assert_eq!(limits.message_size_max, expected, "{text}");
        };
        check("134217727", MESSAGE_SIZE_MAX - 1);
        check("134217728", MESSAGE_SIZE_MAX);
        check("134217729", MESSAGE_SIZE_MAX);
        check("1000000000", MESSAGE_SIZE_MAX);
        check("9223372036854775807", MESSAGE_SIZE_MAX);
    }
}
