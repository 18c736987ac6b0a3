//! Rules that are valid and yet hardly meant so (`bus-daemon --check-config`).

mod values;

use std::fmt;
use std::sync::Arc;

use libbus::names::BusName;

use crate::config::Location;
use crate::policy_set::{Audience, PlacedRule, PolicyContext, PolicySet};
use crate::rule::{Action, Effect, MessagePattern, MessageType, NamePattern, SendRule};
use crate::subject::Subject;
use crate::user_policy::UserPolicy;
pub use values::InvalidValue;
use values::lint_values;

/// One suspicious rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where the rule stands.
    pub location: Location,
    /// What is suspicious about it.
    pub suspicion: Suspicion,
}

/// What is suspicious about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// A deny rule with an interface and no destination.
    BareInterfaceDeny,
    /// An allow rule with an interface and no destination.
    BareInterfaceAllow,
    /// A member without an interface.
    MemberOfAnyInterface,
    /// No message is of this type and a broadcast.
    NeverBroadcast,
    /// An error name, and a type of message that has none.
    ErrorNameOfOtherType,
    /// A value that no client, or no field of a message, ever has.
    InvalidValue(InvalidValue),
    /// Owning unique names, which the bus alone gives (protocol.md A126); the attribute.
    OwnUnique(String),
    /// Owning the bus's own name.
    OwnOfTheBus,
    /// A later rule of the same block without any restriction removes it.
    Removed {
        /// Where that one stands.
        by: Location,
    },
    /// A name that the rule allows to be owned is denied to the same users by a later rule.
    NeverOwnable {
        /// The name.
        name: Box<str>,
        /// Where that one stands.
        by: Location,
    },
    /// Messages to a name that nobody may own.
    NobodyMayOwn(Box<str>),
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BareInterfaceDeny => f.write_str(
                "this denies the interface at every destination, and every call that names no \
                 interface; add send_destination=\"…\"",
            ),
            Self::BareInterfaceAllow => f.write_str(
                "this allows the interface at every destination, whoever implements it; add \
                 send_destination=\"…\"",
            ),
            Self::MemberOfAnyInterface => {
                f.write_str("this is about the member in every interface; add the interface")
            }
            Self::NeverBroadcast => f.write_str(
                "only signals are broadcast, so that this never matches; write \
                 send_type=\"signal\" or remove send_broadcast",
            ),
            Self::ErrorNameOfOtherType => f.write_str(
                "messages of this type have no error name, so that it restricts nothing; write \
                 type \"error\"",
            ),
            Self::InvalidValue(value) => value.fmt(f),
            Self::OwnUnique(attribute) => write!(
                f,
                "{attribute}: the bus alone gives unique names, so that this has no effect; write a \
                 well-known name such as \"org.example.A\", or remove it"
            ),
            Self::OwnOfTheBus => write!(
                f,
                "own=\"{BUS_NAME}\": only the bus has its own name, so that this has no effect; \
                 remove it"
            ),
            Self::Removed { by } => write!(
                f,
                "this has no effect: the rule without restrictions at {by} removes all before it"
            ),
            Self::NeverOwnable { name, by } => {
                write!(f, "nobody whom this is for may own {name:?}: the rule at {by} denies it")
            }
            Self::NobodyMayOwn(name) => write!(
                f,
                "no rule lets anybody own {name:?}, so that there is nobody to send to; add \
                 <allow own=…/> or remove this"
            ),
        }
    }
}

/// `FILE:LINE:COLUMN: text`, one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.suspicion)
    }
}

/// Every suspicious rule, in the order of the files.
#[must_use]
pub fn lint(set: &Arc<PolicySet>) -> Vec<Finding> {
    let policies: Vec<(Audience, UserPolicy)> = set
        .audiences()
        .map(|audience| {
            let policy = set.for_audience(&audience);
            (audience, policy)
        })
        .collect();
    let mut findings = Vec::new();
    for (index, placed) in set.rules().iter().enumerate() {
        let mut note = |suspicion| {
            findings.push(Finding { location: placed.rule.location.clone(), suspicion });
        };
        match &placed.rule.action {
            Action::Send(send) => lint_send(placed, send, &policies, &mut note),
            Action::Receive(receive) => lint_message(&receive.message, &mut note),
            Action::Own(NamePattern::Exactly(name))
                if placed.rule.effect == Effect::Allow && is_ownable(name) =>
            {
                lint_own(set, placed, name, &policies, &mut note);
            }
            _ => {}
        }
        lint_values(&placed.rule.action, &mut note);
        if let Some(by) = removed_by(set, index) {
            note(Suspicion::Removed { by });
        }
    }
    findings
}

fn lint_send(
    placed: &PlacedRule,
    send: &SendRule,
    policies: &[(Audience, UserPolicy)],
    note: &mut impl FnMut(Suspicion),
) {
    let effect = placed.rule.effect;
    let is_bare = send.destination == NamePattern::Any && send.message.interface.is_some();
    let is_call = send.message.message_type.is_none_or(|one| one == MessageType::MethodCall);
    match effect {
        Effect::Deny if is_bare && is_call => note(Suspicion::BareInterfaceDeny),
        // One user, such as root, is trusted with it on purpose.
        Effect::Allow if is_bare && is_call && !is_for_one_user(placed) => {
            note(Suspicion::BareInterfaceAllow);
        }
        _ => {}
    }
    if send.broadcast == Some(true)
        && send.message.message_type.is_some_and(|one| one != MessageType::Signal)
    {
        note(Suspicion::NeverBroadcast);
    }
    lint_message(&send.message, note);
    let NamePattern::Exactly(name) = &send.destination else { return };
    let is_owned = || policies.iter().any(|(_, policy)| policy.may_own(name).is_allowed());
    if effect == Effect::Allow && is_ownable(name) && !is_owned() {
        note(Suspicion::NobodyMayOwn(name.clone()));
    }
}

fn is_for_one_user(placed: &PlacedRule) -> bool {
    matches!(*placed.context, PolicyContext::User(_))
}

/// The bus itself owns it.
const BUS_NAME: &str = "org.freedesktop.DBus";

fn lint_message(message: &MessagePattern, note: &mut impl FnMut(Suspicion)) {
    if message.member.is_some() && message.interface.is_none() {
        note(Suspicion::MemberOfAnyInterface);
    }
    let other_type = message.message_type.is_some_and(|one| one != MessageType::Error);
    if message.error.is_some() && other_type {
        note(Suspicion::ErrorNameOfOtherType);
    }
}

/// Whether a client can ask for this name (protocol.md A126).
fn is_ownable(name: &str) -> bool {
    matches!(BusName::parse(name), Ok(BusName::WellKnown(name)) if name.as_str() != BUS_NAME)
}

/// Whether those whom an allow rule is for may own its name in the end.
fn lint_own(
    set: &Arc<PolicySet>,
    placed: &PlacedRule,
    name: &str,
    policies: &[(Audience, UserPolicy)],
    note: &mut impl FnMut(Suspicion),
) {
    let for_its_block = policies.iter().filter(|(audience, _)| set.applies(placed, audience));
    let mut verdicts = for_its_block.map(|(_, policy)| policy.may_own(name));
    let Some(first) = verdicts.next() else { return };
    if first.is_allowed() || verdicts.any(|verdict| verdict.is_allowed()) {
        return;
    }
    if let Some(by) = first.rule.and_then(|id| set.rule(id)) {
        let by = by.rule.location.clone();
        note(Suspicion::NeverOwnable { name: name.into(), by });
    }
}

/// A later rule of the same kind and block that removes rule number `index` (config.md B054).
fn removed_by(set: &PolicySet, index: usize) -> Option<Location> {
    let (before, after) = set.rules().split_at_checked(index + 1)?;
    let rule = before.last()?;
    let same_block = after.iter().take_while(|later| Arc::ptr_eq(&later.context, &rule.context));
    let mut removing = same_block.filter(|later| {
        let kinds = [&rule.rule.action, &later.rule.action];
        let same_kind = matches!(kinds, [Action::Send(_), Action::Send(_)])
            || matches!(kinds, [Action::Receive(_), Action::Receive(_)])
            || matches!(kinds, [Action::Own(_), Action::Own(_)]);
        same_kind && crate::table::is_wildcard(&later.rule.action)
    });
    removing.next().map(|later| later.rule.location.clone())
}

impl PolicySet {
    /// Everybody, each user and each group that a block is for.
    pub(crate) fn audiences(&self) -> impl Iterator<Item = Audience> + '_ {
        let nobody_special = Subject { uid: Some(u32::MAX), gids: &[] };
        let users =
            self.named_uids().map(|uid| self.audience(Subject { uid: Some(uid), gids: &[] }));
        let groups = self
            .named_gids()
            .map(|gid| self.audience(Subject { uid: Some(u32::MAX), gids: &[gid] }));
        [self.audience(nobody_special)].into_iter().chain(users).chain(groups)
    }

    /// Whether a rule's block is for an audience.
    fn applies(&self, placed: &PlacedRule, audience: &Audience) -> bool {
        let everybody = matches!(
            *placed.context,
            PolicyContext::Default | PolicyContext::Mandatory | PolicyContext::AtConsole(false)
        );
        everybody || self.rules_of(audience).any(|one| std::ptr::eq(one, placed))
    }
}
