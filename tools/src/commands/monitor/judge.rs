//! Which messages are wanted, of those that the bus tells: it is asked for more, since a reply can be judged only with
//! its call, and a name only by whoever knows who has it.

use libbus::match_rule::{MatchNames, MatchRule};
use libbus::message::Message;
use libbus::names::BusName;
use libbus::wire::{ArgumentSpans, Arguments, Header, check_body};

use crate::conversation::{BUS, Names};

/// What the bus is asked for beside, where names have to be followed.
pub(super) const OWNER_CHANGES: &str =
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// One of them must match: the message, or the call that it answers.
    pub(super) rules: Vec<MatchRule>,
    /// Says which objects, interfaces and members; of a reply it is about the call.
    object: MatchRule,
    /// One of them sends or receives it. Empty where the bus alone can judge that, too.
    names: Vec<String>,
}

impl Judge {
    pub(super) const fn new(rules: Vec<MatchRule>, object: MatchRule, names: Vec<String>) -> Self {
        Self { rules, object, names }
    }

    /// Whether it has to know who has which name.
    pub(super) fn needs_owners(&self) -> bool {
        let of_rules = self.rules.iter().flat_map(|rule| [&rule.sender, &rule.destination]);
        let mut names =
            of_rules.flatten().map(AsRef::as_ref).chain(self.names.iter().map(String::as_str));
        names.any(|name| name != BUS)
    }

    /// Whether the message is wanted because of itself.
    pub(super) fn wants(&self, message: &Message, names: &Names) -> bool {
        self.is_about(message) && self.matches(message, names)
    }

    /// The same of a reply, whose call says what it is about, if that is known.
    pub(super) fn wants_reply(&self, message: &Message, has_call: bool, names: &Names) -> bool {
        (has_call || self.object == MatchRule::default()) && self.matches(message, names)
    }

    /// Whether it is about a wanted object and member.
    pub(super) fn is_about(&self, message: &Message) -> bool {
        let header = message.header();
        self.object.matches(
            &header,
            Arguments::EMPTY,
            &Parties { header: &header, names: &Names::default() },
        )
    }

    fn matches(&self, message: &Message, names: &Names) -> bool {
        let header = message.header();
        let parties = Parties { header: &header, names };
        let mut spans = ArgumentSpans::new();
        if self.rules.iter().any(|rule| !rule.arguments.is_empty()) {
            // It was checked when it came, so this finds nothing wrong.
            let _ = check_body(header.signature, message.body(), message.endian(), &mut spans);
        }
        let arguments = Arguments::new(&spans, message.body());
        let is_party = |name: &String| parties.sender_is(name) || parties.destination_is(name);
        self.rules.iter().any(|rule| rule.matches(&header, arguments, &parties))
            && (self.names.is_empty() || self.names.iter().any(is_party))
    }
}

/// Who sends a message to whom, by all names that are known.
struct Parties<'a> {
    header: &'a Header<'a>,
    names: &'a Names,
}

impl Parties<'_> {
    fn is(&self, party: Option<BusName<'_>>, name: &str) -> bool {
        let Some(party) = party.map(|party| party.as_str()) else { return false };
        party == name
            || self.names.owner_of(name) == Some(party)
            || self.names.owner_of(party) == Some(name)
    }
}

impl MatchNames for Parties<'_> {
    fn sender_is(&self, name: &str) -> bool {
        self.is(self.header.sender, name)
    }

    fn destination_is(&self, name: &str) -> bool {
        self.is(self.header.destination, name)
    }
}
