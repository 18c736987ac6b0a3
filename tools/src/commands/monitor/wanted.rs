//! Which messages are wanted: conditions, all of which must hold.

use clap::Args;
use libbus::match_rule::{MatchRule, PathMatch};
use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::MessageType;

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
    /// The rules that the bus is asked for: those whose union has all that is wanted, and the replies to it.
    pub(crate) fn rules(&self) -> Result<Vec<String>> {
        self.check()?;
        let mut rules = match self.rules.as_slice() {
            [] => vec![MatchRule::default()],
            rules => rules.iter().map(|rule| parse(rule)).collect::<Result<_>>()?,
        };
        rules.retain_mut(|rule| self.narrow(rule));
        if rules.is_empty() {
            return Err(Failure::usage("the rules and the other conditions exclude each other"));
        }
        let asks_for_all = rules.iter().all(|rule| *rule == MatchRule::default());
        if !asks_for_all {
            // Replies name no object and no method: they are told apart by their calls.
            rules.extend([MessageType::MethodReturn, MessageType::Error].map(|message_type| {
                MatchRule { message_type: Some(message_type), ..MatchRule::default() }
            }));
        }
        let named: Vec<String> = rules.iter().flat_map(|rule| self.of_names(rule)).collect();
        Ok(if named.iter().any(String::is_empty) { Vec::new() } else { named })
    }

    /// Adds the other conditions to a rule. False, if it has others itself, so that nothing can meet both.
    fn narrow(&self, rule: &mut MatchRule) -> bool {
        let path = self.path.as_deref().map(|path| PathMatch::Exact(path.into()));
        let below = self.below.as_deref().map(|path| PathMatch::Namespace(path.into()));
        add(&mut rule.path, path.or(below))
            && add(&mut rule.interface, self.interface.as_deref().map(Box::from))
            && add(&mut rule.member, self.member.as_deref().map(Box::from))
    }

    /// Whether it is less than all that the names send and receive.
    pub(crate) fn is_narrow(&self) -> bool {
        let texts = [&self.path, &self.below, &self.interface, &self.member];
        texts.into_iter().any(Option::is_some) || !self.rules.is_empty()
    }

    /// Each rule once for what the name sends, and once for what it receives.
    fn of_names(&self, rule: &MatchRule) -> Vec<String> {
        if self.names.is_empty() {
            return vec![rule.to_string()];
        }
        let both = |name: &String| {
            let sender = MatchRule { sender: Some(name.as_str().into()), ..rule.clone() };
            let destination = MatchRule { destination: Some(name.as_str().into()), ..rule.clone() };
            [sender.to_string(), destination.to_string()]
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

fn parse(rule: &str) -> Result<MatchRule> {
    MatchRule::parse(rule).map_err(|error| {
        Failure::usage(format!("{rule:?} is no match rule: {error}"))
            .hint("for example: --match \"type='signal',interface='org.example.A'\"")
    })
}
