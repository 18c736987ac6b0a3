//! Values in rules that no client, and no field of any message, ever has. The reference takes them
//! silently, and so do we: such a rule is merely never about anything that happens.
//!
//! A pattern such as `a.*` is left out here, since the reader of the configuration warns of it.

use std::fmt;

use libbus::names::{
    BusName, ErrorName, InterfaceName, MemberName, NameError, Namespace, ObjectPath, UniqueName,
};

use super::{BUS_NAME, Suspicion};
use crate::rule::{Action, MessagePattern, NamePattern};

/// An attribute whose value is not what such values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    attribute: String,
    value: Box<str>,
    kind: Kind,
    error: NameError,
}

/// What a value should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    BusName,
    ObjectPath,
    Interface,
    Member,
    Error,
}

/// Every value of a rule that nothing ever has.
pub(super) fn lint_values(action: &Action, note: &mut impl FnMut(Suspicion)) {
    match action {
        Action::Send(send) => {
            match &send.destination {
                NamePattern::Any => {}
                NamePattern::Exactly(name) => lint_name("send_destination", name, note),
                NamePattern::Prefix(prefix) => lint_prefix("send_destination_prefix", prefix, note),
            }
            lint_fields("send", &send.message, note);
        }
        Action::Receive(receive) => {
            if let Some(name) = &receive.sender {
                lint_name("receive_sender", name, note);
            }
            lint_fields("receive", &receive.message, note);
        }
        Action::Own(NamePattern::Exactly(name)) => match BusName::parse(name) {
            Ok(BusName::Unique(_)) => note(Suspicion::OwnUnique(format!("own={name:?}"))),
            Ok(BusName::WellKnown(name)) if name.as_str() == BUS_NAME => {
                note(Suspicion::OwnOfTheBus);
            }
            _ => lint_name("own", name, note),
        },
        Action::Own(NamePattern::Prefix(prefix)) if prefix.starts_with(':') => {
            note(Suspicion::OwnUnique(format!("own_prefix={prefix:?}")));
        }
        Action::Own(NamePattern::Prefix(prefix)) => lint_prefix("own_prefix", prefix, note),
        Action::Own(NamePattern::Any) | Action::ConnectUser(_) | Action::ConnectGroup(_) => {}
    }
}

fn lint_name(attribute: &str, name: &str, note: &mut impl FnMut(Suspicion)) {
    lint_value(attribute, name, Kind::BusName, BusName::parse(name).err(), note);
}

/// A prefix need not be a name itself: `org` stands for all that begin with `org.`, and `:1` for all
/// unique names.
fn lint_prefix(attribute: &str, prefix: &str, note: &mut impl FnMut(Suspicion)) {
    let error = match prefix.strip_prefix(':') {
        Some(_) => UniqueName::parse(&format!("{prefix}.1")).err(),
        None => Namespace::parse(prefix).err(),
    };
    lint_value(attribute, prefix, Kind::BusName, error, note);
}

fn lint_fields(direction: &str, message: &MessagePattern, note: &mut impl FnMut(Suspicion)) {
    let MessagePattern { path, interface, member, error, .. } = message;
    let fields = [
        ("path", path, Kind::ObjectPath),
        ("interface", interface, Kind::Interface),
        ("member", member, Kind::Member),
        ("error", error, Kind::Error),
    ];
    for (field, value, kind) in fields {
        if let Some(value) = value {
            lint_value(&format!("{direction}_{field}"), value, kind, kind.error_in(value), note);
        }
    }
}

fn lint_value(
    attribute: &str,
    value: &str,
    kind: Kind,
    error: Option<NameError>,
    note: &mut impl FnMut(Suspicion),
) {
    let Some(error) = error.filter(|_| !value.contains('*')) else { return };
    let attribute = attribute.to_owned();
    note(Suspicion::InvalidValue(InvalidValue { attribute, value: value.into(), kind, error }));
}

impl Kind {
    fn error_in(self, value: &str) -> Option<NameError> {
        match self {
            Self::BusName => BusName::parse(value).err(),
            Self::ObjectPath => ObjectPath::parse(value).err(),
            Self::Interface => InterfaceName::parse(value).err(),
            Self::Member => MemberName::parse(value).err(),
            Self::Error => ErrorName::parse(value).err(),
        }
    }

    /// What such a value is, what follows from a wrong one, and what a right one looks like. Messages
    /// that lack a field match whatever a rule says of it, or do not (config.md B055–B060).
    const fn in_words(self) -> [&'static str; 3] {
        match self {
            Self::BusName => ["bus name", "this never matches", "org.example.A"],
            Self::ObjectPath => ["object path", "no message with a path matches", "/org/example/A"],
            Self::Interface => {
                ["interface name", "no message with an interface matches", "org.example.A"]
            }
            Self::Member => ["member name", "no message with a member matches", "Frobnicate"],
            Self::Error => ["error name", "no error message matches", "org.example.Error.Failed"],
        }
    }
}

impl InvalidValue {
    /// What was probably meant: the same path with a slash where one belongs, the last part of a member
    /// with its interface.
    fn meant(&self) -> Option<String> {
        let value = match self.kind {
            Kind::ObjectPath => {
                let elements = self.value.split('/').filter(|element| !element.is_empty());
                elements.fold(String::new(), |path, element| path + "/" + element)
            }
            Kind::Member => self.value.rsplit('.').next()?.to_owned(),
            Kind::BusName | Kind::Interface | Kind::Error => return None,
        };
        Some(value).filter(|value| self.kind.error_in(value).is_none())
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [what, consequence, example] = self.kind.in_words();
        let Self { attribute, value, error, .. } = self;
        write!(f, "{attribute}={value:?} is no {what}: {error}, so that {consequence}; ")?;
        match self.meant() {
            Some(meant) => write!(f, "write {meant:?}"),
            None => write!(f, "write one such as {example:?}"),
        }
    }
}
