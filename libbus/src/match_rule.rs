//! Match rules: which broadcasts a client asks for.
//!
//! A rule is a list of keys with values, `type='signal',member='Changed'`; a message matches if it
//! agrees with every key. This module parses one rule, prints it and applies it to one message.
//! Which of many rules to try at all is the match index's matter, and who owns a name is asked
//! through [`MatchNames`] when a message is delivered.
//!
//! Bounds: a rule has at most [`MATCH_RULE_SIZE_MAX`] bytes, and so at most one entry for each of
//! the arguments 0 to [`MATCH_ARGUMENT_INDEX_MAX`].
//! Section: message-bus-routing-match-rules; protocol.md A154–A169.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::limits::{MATCH_ARGUMENT_INDEX_MAX, MATCH_RULE_SIZE_MAX};
use crate::names::{
    BusName, InterfaceName, MemberName, NameError, Namespace, ObjectPath, is_or_continues,
};
use crate::wire::{Argument, Arguments, Header, MessageType};

/// One parsed match rule. Two rules are equal if they ask for the same, however they were written
/// (protocol.md A170). The default rule has no keys and matches everything.
///
/// ```
/// use libbus::match_rule::{MatchRule, PathMatch};
/// use libbus::wire::MessageType;
///
/// let rule = MatchRule::parse("type='signal',path_namespace='/org/example'")?;
/// assert_eq!(rule.message_type, Some(MessageType::Signal));
/// assert_eq!(rule.path, Some(PathMatch::Namespace("/org/example".into())));
/// // It prints as it parses.
/// assert_eq!(MatchRule::parse(&rule.to_string())?, rule);
/// assert!(MatchRule::parse("type='song'").is_err());
/// # Ok::<(), libbus::match_rule::MatchRuleError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatchRule {
    /// The message's type; never [`MessageType::Unknown`] (protocol.md A158).
    pub message_type: Option<MessageType>,
    /// A bus name that the sender must own (protocol.md A159).
    pub sender: Option<Box<str>>,
    /// The message's interface (protocol.md A160).
    pub interface: Option<Box<str>>,
    /// The message's member (protocol.md A161).
    pub member: Option<Box<str>>,
    /// Which object paths (protocol.md A161, A162).
    pub path: Option<PathMatch>,
    /// A bus name that the recipient must own (protocol.md A163).
    pub destination: Option<Box<str>>,
    /// Conditions on arguments of the body, by argument index. Invariant: the indices rise, and
    /// none is above [`MATCH_ARGUMENT_INDEX_MAX`].
    pub arguments: Box<[(u8, ArgumentMatch)]>,
    /// Whether the client asks for messages that are addressed to others (protocol.md A167).
    pub eavesdrop: bool,
}

/// A condition on the object path of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// This path (protocol.md A161).
    Exact(Box<str>),
    /// This path and all below it (protocol.md A162).
    Namespace(Box<str>),
}

/// A condition on one argument of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ArgumentMatch {
    /// A STRING with this text (protocol.md A164).
    Equal(Box<str>),
    /// A STRING or OBJECT_PATH that is this text, or one of both ends with `/` and begins the
    /// other (protocol.md A165).
    Path(Box<str>),
    /// A STRING that is this name or continues it after a `.`; only for argument 0
    /// (protocol.md A166).
    Namespace(Box<str>),
}

/// Why a text is not a match rule (protocol.md A157, A169).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatchRuleError {
    /// The text has more than [`MATCH_RULE_SIZE_MAX`] bytes. For a client this is a limit, not a
    /// mistake: `LimitsExceeded`, where all others are `MatchRuleInvalid`.
    TooLong,
    /// A key without `=`.
    MissingEquals,
    /// An apostrophe opens a quoted section that nothing closes.
    UnbalancedQuotes,
    /// No rule has this key.
    UnknownKey(Box<str>),
    /// The key, another that excludes it, or another condition on the same argument came before.
    RepeatedKey(Box<str>),
    /// The number in this key is above [`MATCH_ARGUMENT_INDEX_MAX`].
    ArgumentIndexTooHigh(Box<str>),
    /// The value of this key is not one of the words it may be.
    InvalidWord(Box<str>),
    /// The value of this key is not the kind of name it must be.
    InvalidName(Box<str>, NameError),
}

/// Who owns a name while a message is being delivered.
pub trait MatchNames {
    /// Whether the message's sender is `name`: its unique name, or a name of which it is the
    /// primary owner. The bus itself is `org.freedesktop.DBus`.
    fn sender_is(&self, name: &str) -> bool;
    /// The same for the client that the message is addressed to.
    fn destination_is(&self, name: &str) -> bool;
}

impl MatchRule {
    /// Reads a rule. An empty text is the rule that matches everything (protocol.md A154).
    // deviation: the reference stops reading, without an error, after 16 keys and at a '=' that no
    // key stands before. Here all keys count, of which the bound on the text leaves few, and a '='
    // without a key is an error.
    pub fn parse(text: &str) -> Result<MatchRule, MatchRuleError> {
        if text.len() > MATCH_RULE_SIZE_MAX {
            return Err(MatchRuleError::TooLong);
        }
        let mut builder = Builder::default();
        let mut left = text.trim_start_matches(WHITE_SPACE);
        while !left.is_empty() {
            let (key, after) = left.split_once('=').ok_or(MatchRuleError::MissingEquals)?;
            let (value, after) = take_value(after)?;
            builder.set(key.trim_end_matches(WHITE_SPACE), value)?;
            left = after.trim_start_matches(WHITE_SPACE);
        }
        Ok(MatchRule { arguments: builder.arguments.into(), ..builder.rule })
    }

    /// Whether a message agrees with every key.
    ///
    /// This does not look at `eavesdrop`: that a rule without it never matches a message addressed
    /// to somebody (protocol.md A168) is for the router to decide, which knows the recipient.
    pub fn matches(
        &self,
        header: &Header<'_>,
        arguments: Arguments<'_>,
        names: &impl MatchNames,
    ) -> bool {
        self.message_type.is_none_or(|expected| header.message_type == expected)
            && agrees(&self.member, header.member.map(MemberName::as_str))
            && agrees(&self.interface, header.interface.map(InterfaceName::as_str))
            && self.path_matches(header.path)
            && self.sender.as_ref().is_none_or(|name| names.sender_is(name))
            && self.destination_matches(header, names)
            && self.arguments.iter().all(|(index, condition)| {
                arguments.get(*index).is_some_and(|argument| condition.matches(argument))
            })
    }

    fn path_matches(&self, path: Option<ObjectPath<'_>>) -> bool {
        match (&self.path, path) {
            (None, _) => true,
            (Some(condition), Some(path)) => condition.matches(path.as_str()),
            (Some(_), None) => false,
        }
    }

    fn destination_matches(&self, header: &Header<'_>, names: &impl MatchNames) -> bool {
        let Some(name) = &self.destination else { return true };
        header.destination.is_some() && names.destination_is(name)
    }
}

/// Whether a message's text is the one asked for, if one is asked for.
fn agrees(expected: &Option<Box<str>>, actual: Option<&str>) -> bool {
    expected.as_deref().is_none_or(|expected| actual == Some(expected))
}

impl PathMatch {
    /// Whether an object path meets this condition.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            PathMatch::Exact(expected) => **expected == *path,
            PathMatch::Namespace(root) if **root == *"/" => true,
            PathMatch::Namespace(base) => is_or_continues(path.as_bytes(), base.as_bytes(), b'/'),
        }
    }
}

impl ArgumentMatch {
    /// Whether an argument meets this condition.
    pub fn matches(&self, argument: Argument<'_>) -> bool {
        match (self, argument) {
            (ArgumentMatch::Equal(expected), Argument::String(text)) => expected.as_bytes() == text,
            (ArgumentMatch::Namespace(base), Argument::String(text)) => {
                is_or_continues(text, base.as_bytes(), b'.')
            }
            (
                ArgumentMatch::Path(expected),
                Argument::String(text) | Argument::ObjectPath(text),
            ) => {
                let expected = expected.as_bytes();
                expected == text
                    || is_directory_of(expected, text)
                    || is_directory_of(text, expected)
            }
            (_, Argument::ObjectPath(_)) => false,
        }
    }
}

/// Whether `path` lies in the directory `directory`, which is none unless it ends with `/`.
fn is_directory_of(directory: &[u8], path: &[u8]) -> bool {
    directory.ends_with(b"/") && path.starts_with(directory)
}

/// White space that may stand around a key (protocol.md A156).
const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Reads a value up to the comma that ends it or the end of the text; what follows comes second.
/// protocol.md A155.
// deviation: outside quotes the reference takes a backslash together with any character after it,
// so that "\," does not end a value, and of "\\'" the apostrophe opens a quoted section; the
// specification says that a backslash counts only right before an apostrophe.
fn take_value(text: &str) -> Result<(Cow<'_, str>, &str), MatchRuleError> {
    if let Some((value, after)) = take_plain_value(text) {
        return Ok((Cow::Borrowed(value), after));
    }
    let mut value = String::new();
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => quoted = !quoted,
            ',' if !quoted => return Ok((value.into(), characters.as_str())),
            '\\' if !quoted && characters.as_str().starts_with('\'') => {
                characters.next();
                value.push('\'');
            }
            literal => value.push(literal),
        }
    }
    if quoted { Err(MatchRuleError::UnbalancedQuotes) } else { Ok((value.into(), "")) }
}

/// The same for a value as nearly all are: one quoted section and nothing else.
fn take_plain_value(text: &str) -> Option<(&str, &str)> {
    let (value, after) = text.strip_prefix('\'')?.split_once('\'')?;
    if after.is_empty() { Some((value, after)) } else { Some((value, after.strip_prefix(',')?)) }
}

/// A rule of which some keys are read.
#[derive(Default)]
struct Builder {
    rule: MatchRule,
    /// Becomes the rule's `arguments`; sorted all the time.
    arguments: Vec<(u8, ArgumentMatch)>,
}

impl Builder {
    fn set(&mut self, key: &str, value: Cow<'_, str>) -> Result<(), MatchRuleError> {
        let rule = &mut self.rule;
        match key {
            "type" => fill(&mut rule.message_type, key, message_type(key, &value)?),
            "sender" => fill(&mut rule.sender, key, bus_name(key, value)?),
            "destination" => fill(&mut rule.destination, key, bus_name(key, value)?),
            "interface" => {
                let name = checked(key, value, |text| InterfaceName::parse(text).err())?;
                fill(&mut rule.interface, key, name)
            }
            "member" => {
                let name = checked(key, value, |text| MemberName::parse(text).err())?;
                fill(&mut rule.member, key, name)
            }
            "path" => fill(&mut rule.path, key, PathMatch::Exact(object_path(key, value)?)),
            "path_namespace" => {
                fill(&mut rule.path, key, PathMatch::Namespace(object_path(key, value)?))
            }
            // The only key that may be repeated; the last one counts (protocol.md A167).
            "eavesdrop" => boolean(key, &value).map(|value| rule.eavesdrop = value),
            _ => self.set_argument(key, value),
        }
    }

    fn set_argument(&mut self, key: &str, value: Cow<'_, str>) -> Result<(), MatchRuleError> {
        let (index, suffix) = argument_key(key)?;
        let condition = match (index, suffix) {
            (_, "") => ArgumentMatch::Equal(value.into()),
            (_, "path") => ArgumentMatch::Path(value.into()),
            (0, "namespace") => ArgumentMatch::Namespace(namespace(key, value)?),
            _ => return Err(MatchRuleError::UnknownKey(key.into())),
        };
        // All conditions on one argument share its slot (protocol.md A169).
        match self.arguments.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(_) => Err(MatchRuleError::RepeatedKey(key.into())),
            Err(position) => {
                self.arguments.insert(position, (index, condition));
                Ok(())
            }
        }
    }
}

fn fill<T>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), MatchRuleError> {
    if slot.is_some() {
        return Err(MatchRuleError::RepeatedKey(key.into()));
    }
    *slot = Some(value);
    Ok(())
}

/// The number in `arg12path`, and what follows it.
// deviation: the reference reads the number as C does, with a sign if there is one.
fn argument_key(key: &str) -> Result<(u8, &str), MatchRuleError> {
    let unknown = || MatchRuleError::UnknownKey(key.into());
    let numbered = key.strip_prefix("arg").ok_or_else(unknown)?;
    let suffix = numbered.trim_start_matches(|character: char| character.is_ascii_digit());
    let digits = numbered.strip_suffix(suffix).unwrap_or(numbered);
    if digits.is_empty() {
        return Err(unknown());
    }
    match digits.parse() {
        Ok(index @ 0..=MATCH_ARGUMENT_INDEX_MAX) => Ok((index, suffix)),
        _ => Err(MatchRuleError::ArgumentIndexTooHigh(key.into())),
    }
}

fn bus_name(key: &str, value: Cow<'_, str>) -> Result<Box<str>, MatchRuleError> {
    checked(key, value, |text| BusName::parse(text).err())
}

fn object_path(key: &str, value: Cow<'_, str>) -> Result<Box<str>, MatchRuleError> {
    checked(key, value, |text| ObjectPath::parse(text).err())
}

fn namespace(key: &str, value: Cow<'_, str>) -> Result<Box<str>, MatchRuleError> {
    checked(key, value, |text| Namespace::parse(text).err())
}

/// The value, if nothing is wrong with it as a name of its kind.
fn checked(
    key: &str,
    value: Cow<'_, str>,
    fault: impl FnOnce(&str) -> Option<NameError>,
) -> Result<Box<str>, MatchRuleError> {
    match fault(&value) {
        None => Ok(value.into()),
        Some(error) => Err(MatchRuleError::InvalidName(key.into(), error)),
    }
}

fn message_type(key: &str, value: &str) -> Result<MessageType, MatchRuleError> {
    match value {
        "signal" => Ok(MessageType::Signal),
        "method_call" => Ok(MessageType::MethodCall),
        "method_return" => Ok(MessageType::MethodReturn),
        "error" => Ok(MessageType::Error),
        _ => Err(MatchRuleError::InvalidWord(key.into())),
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, MatchRuleError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(MatchRuleError::InvalidWord(key.into())),
    }
}

/// Prints a rule that parses to the same value, each value in quotes and the keys in the
/// reference's order. A rule close to [`MATCH_RULE_SIZE_MAX`] that was written with fewer quotes
/// may print longer than that.
impl fmt::Display for MatchRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys = KeyWriter { out: f, separator: "" };
        keys.write("type", self.message_type.and_then(type_word))?;
        keys.write("interface", self.interface.as_deref())?;
        keys.write("member", self.member.as_deref())?;
        match &self.path {
            None => {}
            Some(PathMatch::Exact(path)) => keys.write("path", Some(path))?,
            Some(PathMatch::Namespace(path)) => keys.write("path_namespace", Some(path))?,
        }
        keys.write("sender", self.sender.as_deref())?;
        keys.write("destination", self.destination.as_deref())?;
        keys.write("eavesdrop", self.eavesdrop.then_some("true"))?;
        self.arguments.iter().try_for_each(|(index, condition)| {
            let (suffix, value) = condition.suffix_and_value();
            keys.write(format_args!("arg{index}{suffix}"), Some(value))
        })
    }
}

struct KeyWriter<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    /// What stands before the next key.
    separator: &'static str,
}

impl KeyWriter<'_, '_> {
    fn write(&mut self, key: impl fmt::Display, value: Option<&str>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        write!(self.out, "{}{key}='", self.separator)?;
        self.separator = ",";
        for (index, section) in value.split('\'').enumerate() {
            // An apostrophe can stand only outside the quotes: leave them, and enter them again.
            self.out.write_str(if index == 0 { "" } else { r"'\''" })?;
            self.out.write_str(section)?;
        }
        self.out.write_char('\'')
    }
}

impl ArgumentMatch {
    fn suffix_and_value(&self) -> (&'static str, &str) {
        match self {
            ArgumentMatch::Equal(value) => ("", value),
            ArgumentMatch::Path(value) => ("path", value),
            ArgumentMatch::Namespace(value) => ("namespace", value),
        }
    }
}

fn type_word(message_type: MessageType) -> Option<&'static str> {
    match message_type {
        MessageType::Signal => Some("signal"),
        MessageType::MethodCall => Some("method_call"),
        MessageType::MethodReturn => Some("method_return"),
        MessageType::Error => Some("error"),
        MessageType::Unknown(_) => None,
    }
}

impl fmt::Display for MatchRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MatchRuleError::TooLong => {
                write!(f, "the match rule is longer than {MATCH_RULE_SIZE_MAX} bytes")
            }
            MatchRuleError::MissingEquals => f.write_str("a key of the match rule has no '='"),
            MatchRuleError::UnbalancedQuotes => {
                f.write_str("a quoted section of the match rule is not closed")
            }
            MatchRuleError::UnknownKey(key) => write!(f, "a match rule has no key \"{key}\""),
            MatchRuleError::RepeatedKey(key) => {
                write!(f, "the match rule has the key \"{key}\", or one that excludes it, before")
            }
            MatchRuleError::ArgumentIndexTooHigh(key) => {
                write!(f, "the number of the key \"{key}\" is above {MATCH_ARGUMENT_INDEX_MAX}")
            }
            MatchRuleError::InvalidWord(key) => {
                write!(f, "the match rule's value of \"{key}\" is not one of those it may have")
            }
            MatchRuleError::InvalidName(key, error) => {
                write!(f, "the match rule's value of \"{key}\" is not valid: {error}")
            }
        }
    }
}

impl std::error::Error for MatchRuleError {}

#[cfg(test)]
mod tests;
