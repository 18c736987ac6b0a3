//! Rules that are valid and yet hardly meant so (`bus-daemon --check-config`).

mod connecting;
mod overruled;
mod removed;
mod values;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use libbus::names::{BusName, Namespace};

use crate::config::{Limits, Location};
use crate::policy_set::{Audience, PlacedRule, PolicyContext, PolicySet, RuleId};
use crate::rule::{
    Action, Effect, MessagePattern, MessageType, NamePattern, ReceiveRule, SendRule,
};
use crate::subject::Subject;
use crate::user_policy::UserPolicy;
use connecting::Connecting;
use overruled::Overruled;
use removed::Removals;
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
    /// For all to whom its block applies, a later rule without any restriction removes it.
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
    /// The same of a prefix: no name that is it or begins with it.
    NeverOwnableAny {
        /// The prefix.
        prefix: Box<str>,
        /// Where that one stands.
        by: Location,
    },
    /// A later rule applies to all to whom the rule applies, is about all that it is about, and says the
    /// opposite.
    Overruled {
        /// Where that one stands.
        by: Location,
    },
    /// It denies connecting to every user, and no later rule allows it to one.
    NobodyMayConnect,
    /// Messages to or from a name that nobody may own.
    NobodyMayOwn(Box<str>),
    /// Messages to names that begin so, none of which anybody may own.
    NobodyMayOwnAny(Box<str>),
    /// More file descriptors than a message may have.
    TooManyFds {
        /// `min_fds`
        min: u32,
        /// The limit in force.
        max: u64,
    },
    /// The block is for users at the console, where nobody is.
    NobodyAtConsole,
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
                "this has no effect: the rule at {by} restricts neither a name nor a type or field of \
                 the message, and such a rule removes all before it, whatever else it says; restrict \
                 that one, or remove this"
            ),
            Self::NeverOwnable { name, by } => {
                write!(f, "nobody whom this is for may own {name:?}: the rule at {by} denies it")
            }
            Self::NeverOwnableAny { prefix, by } => write!(
                f,
                "nobody whom this is for may own a name that is or begins with {prefix:?}: the rule \
                 at {by} denies it"
            ),
            Self::Overruled { by } => write!(
                f,
                "the rule at {by} comes later, is about all that this one is about and says the \
                 opposite; remove one of them, or put the more special one last"
            ),
            Self::NobodyMayConnect => f.write_str(
                "nobody may connect: this denies it to every user, and no later rule allows it to \
                 one; put <allow user=\"…\"/> behind this, or remove it",
            ),
            Self::NobodyMayOwn(name) => write!(
                f,
                "no rule lets anybody own {name:?}, so that there is nobody at the other end; add \
                 <allow own=…/> or remove this"
            ),
            Self::NobodyMayOwnAny(prefix) => write!(
                f,
                "no rule lets anybody own a name that is or begins with {prefix:?}, so that there is \
                 nobody at the other end; add <allow own_prefix=…/> or remove this"
            ),
            Self::TooManyFds { min, max } => write!(
                f,
                "min_fds=\"{min}\": a message may have {max} file descriptors at most \
                 (max_message_unix_fds), so that this never matches; write no more than that"
            ),
            Self::NobodyAtConsole => f.write_str(
                "at_console=\"true\": nobody counts as being at the console, so that the rules of \
                 this block have no effect; write <policy group=\"…\">, or leave it to the service \
                 to ask polkit",
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
pub fn lint(set: &Arc<PolicySet>, limits: &Limits) -> Vec<Finding> {
    let policies: Vec<(Audience, UserPolicy)> = set
        .audiences()
        .map(|audience| {
            let policy = set.for_audience(&audience);
            (audience, policy)
        })
        .collect();
    let (connecting, in_vain) = (Connecting::new(set), InVain::new(set, &policies));
    let mut findings = Vec::new();
    for (index, placed) in set.rules().iter().enumerate() {
        let mut note = |suspicion| {
            findings.push(Finding { location: placed.rule.location.clone(), suspicion });
        };
        let (id, action) = (RuleId(index as u32), &placed.rule.action);
        match action {
            Action::Send(send) => lint_send(placed, send, &policies, &mut note),
            Action::Receive(receive) => lint_receive(placed, receive, &policies, &mut note),
            Action::ConnectUser(_) | Action::ConnectGroup(_) => {
                connecting.about(id).cloned().into_iter().for_each(&mut note);
            }
            Action::Own(_) => {}
        }
        if let Some(pattern) = action.message_pattern() {
            lint_message(pattern, limits, &mut note);
        }
        lint_values(action, &mut note);
        in_vain.reason(placed, id).into_iter().for_each(&mut note);
        if *placed.context == PolicyContext::AtConsole(true) && is_first_of_block(set, index) {
            note(Suspicion::NobodyAtConsole);
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
    match &send.destination {
        NamePattern::Exactly(name) if effect == Effect::Allow => {
            lint_other_side(name, policies, note);
        }
        NamePattern::Prefix(prefix)
            if effect == Effect::Allow
                && Namespace::parse(prefix).is_ok()
                && !policies.iter().any(|(_, policy)| policy.may_own_some(prefix)) =>
        {
            note(Suspicion::NobodyMayOwnAny(prefix.clone()));
        }
        _ => {}
    }
}

fn lint_receive(
    placed: &PlacedRule,
    receive: &ReceiveRule,
    policies: &[(Audience, UserPolicy)],
    note: &mut impl FnMut(Suspicion),
) {
    if let (Effect::Allow, Some(name)) = (placed.rule.effect, &receive.sender) {
        lint_other_side(name, policies, note);
    }
}

/// Whether anybody can have the name that messages go to or come from.
fn lint_other_side(
    name: &str,
    policies: &[(Audience, UserPolicy)],
    note: &mut impl FnMut(Suspicion),
) {
    let is_owned = || policies.iter().any(|(_, policy)| policy.may_own(name).is_allowed());
    if is_ownable(name) && !is_owned() {
        note(Suspicion::NobodyMayOwn(name.into()));
    }
}

fn is_for_one_user(placed: &PlacedRule) -> bool {
    matches!(*placed.context, PolicyContext::User(_))
}

/// The bus itself owns it.
const BUS_NAME: &str = "org.freedesktop.DBus";

fn lint_message(message: &MessagePattern, limits: &Limits, note: &mut impl FnMut(Suspicion)) {
    if message.member.is_some() && message.interface.is_none() {
        note(Suspicion::MemberOfAnyInterface);
    }
    let other_type = message.message_type.is_some_and(|one| one != MessageType::Error);
    if message.error.is_some() && other_type {
        note(Suspicion::ErrorNameOfOtherType);
    }
    let (min, max) = (message.fds_min, limits.message_unix_fds_max);
    // Of more than max_fds the reader has warned.
    if min <= message.fds_max && u64::from(min) > max {
        note(Suspicion::TooManyFds { min, max });
    }
}

/// Whether a client can ask for this name (protocol.md A126).
fn is_ownable(name: &str) -> bool {
    matches!(BusName::parse(name), Ok(BusName::WellKnown(name)) if name.as_str() != BUS_NAME)
}

/// Why rules have no effect, or not the one that they say.
struct InVain<'a> {
    set: &'a PolicySet,
    policies: &'a [(Audience, UserPolicy)],
    /// Of each rule for some, whose policy it is in.
    of_some: HashMap<RuleId, usize, FixedState>,
    removals: Removals,
    overruled: Overruled,
}

impl<'a> InVain<'a> {
    fn new(set: &'a PolicySet, policies: &'a [(Audience, UserPolicy)]) -> Self {
        let of_some = policies.iter().enumerate().flat_map(|(place, (audience, _))| {
            set.special_rules_of(audience).map(move |id| (id, place))
        });
        Self {
            set,
            policies,
            of_some: of_some.collect(),
            removals: Removals::new(set),
            overruled: Overruled::new(set),
        }
    }

    /// Of several reasons the one that says most.
    fn reason(&self, placed: &PlacedRule, id: RuleId) -> Option<Suspicion> {
        let removed = || self.removals.removed_by(self.set, id);
        let removed = || removed().map(|by| Suspicion::Removed { by });
        let overruled = || self.overruled.overruled_by(self.set, id);
        let overruled = || overruled().map(|by| Suspicion::Overruled { by });
        never_ownable(self.set, placed, self.policies_with(placed, id))
            .or_else(removed)
            .or_else(overruled)
    }

    /// The policies of all to whom a rule applies.
    fn policies_with(&self, placed: &PlacedRule, id: RuleId) -> &'a [(Audience, UserPolicy)] {
        let one = |place: &usize| self.policies.get(*place..=*place).unwrap_or_default();
        match *placed.context {
            PolicyContext::Default | PolicyContext::Mandatory => self.policies,
            PolicyContext::AtConsole(is_there) if !is_there => self.policies,
            _ => self.of_some.get(&id).map(one).unwrap_or_default(),
        }
    }
}

/// Whether those whom an allow rule is for, who have these policies, may own none of its names in the end.
fn never_ownable(
    set: &PolicySet,
    placed: &PlacedRule,
    policies: &[(Audience, UserPolicy)],
) -> Option<Suspicion> {
    let Action::Own(pattern) = &placed.rule.action else { return None };
    // Of the prefix, a name that stands for all that no other rule is about.
    let (name, is_ownable) = match pattern {
        NamePattern::Exactly(name) => (name.to_string(), is_ownable(name)),
        NamePattern::Prefix(prefix) => (format!("{prefix}.A"), Namespace::parse(prefix).is_ok()),
        NamePattern::Any => return None,
    };
    let may_own = |policy: &UserPolicy| match pattern {
        NamePattern::Prefix(prefix) => policy.may_own_some(prefix),
        _ => policy.may_own(&name).is_allowed(),
    };
    if placed.rule.effect == Effect::Deny || !is_ownable {
        return None;
    }
    let (_, first) = policies.first()?;
    if policies.iter().any(|(_, policy)| may_own(policy)) {
        return None;
    }
    let by = set.rule(first.may_own(&name).rule?)?.rule.location.clone();
    Some(match pattern {
        NamePattern::Prefix(prefix) => Suspicion::NeverOwnableAny { prefix: prefix.clone(), by },
        _ => Suspicion::NeverOwnable { name: name.into(), by },
    })
}

fn is_first_of_block(set: &PolicySet, index: usize) -> bool {
    let context = |index: usize| set.rules().get(index).map(|placed| Arc::as_ptr(&placed.context));
    index.checked_sub(1).is_none_or(|before| context(before) != context(index))
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
}
