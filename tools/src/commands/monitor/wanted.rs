//! Which messages are wanted: conditions, all of which must hold.

use clap::Args;
use libbus::match_rule::{MatchRule, PathMatch};
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::MessageType;

use super::MessageKind;
use super::judge::{Judge, OWNER_CHANGES};
use crate::failure::{Failure, Result};

/// The conditions.
#[derive(Args, Debug, Default)]
pub(crate) struct Wanted {
    /// Only what these send or receive: the names of services or of connections
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Only of this object
    #[arg(long)]
    pub(crate) path: Option<String>,

    /// Only of this object and those below it
    #[arg(long, value_name = "PATH", conflicts_with = "path")]
    pub(crate) below: Option<String>,

    /// Only of this interface
    #[arg(long)]
    pub(crate) interface: Option<String>,

    /// Only this method or signal
    #[arg(long)]
    pub(crate) member: Option<String>,

    /// Only what this match rule is about; of several rules one must match
    #[arg(long = "match", value_name = "RULE")]
    pub(crate) rules: Vec<String>,
}

impl Wanted {
    /// What the bus is asked for, which has all that is wanted and more, and who judges what comes. `kinds` are those of
    /// messages that are shown.
    ///
    /// # Errors
    /// A condition is none, or nothing can meet them all.
    pub(crate) fn rules(&self, kinds: &[MessageKind]) -> Result<(Vec<String>, Judge)> {
        self.check()?;
        let mut rules = match self.rules.as_slice() {
            [] => vec![MatchRule::default()],
            rules => rules.iter().map(|rule| parse(rule)).collect::<Result<_>>()?,
        };
        rules.retain(|rule| is_of_reply(rule) || self.narrow(&mut rule.clone()));
        let meets = |rule: &MatchRule| kinds_of(rule).iter().any(|kind| kinds.contains(kind));
        if !rules.iter().any(meets) {
            return Err(Failure::usage("the rules and the other conditions exclude each other"));
        }
        let mut object = MatchRule::default();
        self.narrow(&mut object);
        let names = if self.rules.is_empty() { Vec::new() } else { self.names.clone() };
        let judge = Judge::new(rules, object, names);
        Ok((self.asked(&judge), judge))
    }

    /// Rules whose union has all that is wanted, and what is needed to judge it. Nothing is all.
    fn asked(&self, judge: &Judge) -> Vec<String> {
        let mut asked: Vec<MatchRule> =
            judge.rules.iter().filter(|rule| !is_of_reply(rule)).cloned().collect();
        asked.retain_mut(|rule| self.narrow(rule));
        // Replies name no object and no method: they are told apart by their calls.
        let of_type =
            |message_type| MatchRule { message_type: Some(message_type), ..MatchRule::default() };
        if judge.rules.iter().any(|rule| rule.message_type != Some(MessageType::Signal)) {
            asked.extend([MessageType::MethodReturn, MessageType::Error].map(of_type));
        }
        if judge.rules.iter().any(may_be_of_reply) {
            let mut calls = of_type(MessageType::MethodCall);
            self.narrow(&mut calls);
            asked.push(calls);
        }
        if asked.contains(&MatchRule::default()) {
            asked = vec![MatchRule::default()];
        }
        let mut named: Vec<String> = asked.iter().flat_map(|rule| self.of_names(rule)).collect();
        if named.iter().any(String::is_empty) {
            return Vec::new();
        }
        if judge.needs_owners() {
            named.push(OWNER_CHANGES.to_owned());
        }
        named
    }

    /// Adds the other conditions to a rule. False, if it has others itself, so that nothing can meet both.
    fn narrow(&self, rule: &mut MatchRule) -> bool {
        let path = self.path.as_deref().map(|path| PathMatch::Exact(path.into()));
        let below = self.below.as_deref().map(|path| PathMatch::Namespace(path.into()));
        add(&mut rule.path, path.or(below))
            && add(&mut rule.interface, self.interface.as_deref().map(Box::from))
            && add(&mut rule.member, self.member.as_deref().map(Box::from))
    }

    /// Each rule once for what the name sends, and once for what it receives. What it says of names itself stays, since
    /// a client may have both names, which the judge knows.
    fn of_names(&self, rule: &MatchRule) -> Vec<String> {
        if self.names.is_empty() {
            return vec![rule.to_string()];
        }
        let both = |name: &String| {
            let (mut sends, mut receives) = (rule.clone(), rule.clone());
            sends.sender.get_or_insert_with(|| name.as_str().into());
            receives.destination.get_or_insert_with(|| name.as_str().into());
            [sends.to_string(), receives.to_string()]
        };
        self.names.iter().flat_map(both).collect()
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str, text: &str| Failure::usage(format!("{text:?} is no {what}"));
        for name in &self.names {
            BusName::parse(name).map_err(|_| wrong("bus name", name))?;
        }
        for path in self.path.iter().chain(&self.below) {
            ObjectPath::parse(path).map_err(|_| wrong("object path", path))?;
        }
        if let Some(name) = &self.interface {
            InterfaceName::parse(name).map_err(|_| wrong("name of an interface", name))?;
        }
        if let Some(name) = &self.member {
            MemberName::parse(name).map_err(|_| wrong("name of a method or signal", name))?;
        }
        Ok(())
    }
}

/// Adds a condition; one that is there stays, and answers whether both are the same.
fn add<T: PartialEq>(of_rule: &mut Option<T>, wanted: Option<T>) -> bool {
    match (&of_rule, wanted) {
        (_, None) => true,
        (Some(one), Some(other)) => *one == other,
        (None, wanted) => {
            *of_rule = wanted;
            true
        }
    }
}

/// Whether it is about nothing but replies.
fn is_of_reply(rule: &MatchRule) -> bool {
    matches!(rule.message_type, Some(MessageType::MethodReturn | MessageType::Error))
}

/// Whether a reply may meet it by itself, which names no object and no member.
fn may_be_of_reply(rule: &MatchRule) -> bool {
    (rule.message_type.is_none() || is_of_reply(rule))
        && !names_member(rule)
        && *rule != MatchRule::default()
}

const fn names_member(rule: &MatchRule) -> bool {
    rule.path.is_some() || rule.interface.is_some() || rule.member.is_some()
}

/// What may be shown by the rule: what it is about, and replies to that.
const fn kinds_of(rule: &MatchRule) -> &'static [MessageKind] {
    match rule.message_type {
        Some(MessageType::MethodCall) => {
            &[MessageKind::Call, MessageKind::Reply, MessageKind::Error]
        }
        Some(MessageType::MethodReturn) => &[MessageKind::Reply],
        Some(MessageType::Error) => &[MessageKind::Error],
        Some(MessageType::Signal) => &[MessageKind::Signal],
        _ => &MessageKind::ALL,
    }
}

fn parse(text: &str) -> Result<MatchRule> {
    let rule = MatchRule::parse(text).map_err(|error| {
        Failure::usage(format!("{text:?} is no match rule: {error}"))
            .hint("for example: --match \"type='signal',interface='org.example.A'\"")
    })?;
    if is_of_reply(&rule) && names_member(&rule) {
        let text = format!("{text:?} is about nothing: a reply names no object and no member");
        return Err(
            Failure::usage(text).hint("its call does: say it by --path, --interface or --member")
        );
    }
    Ok(rule)
}
