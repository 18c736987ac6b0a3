//! Rules that a later one of the same block takes back: it is about all that they are about, and says
//! the opposite.

use crate::config::Location;
use crate::policy_set::PlacedRule;
use crate::rule::{Action, MessagePattern, NamePattern, SendRule};
use crate::symbols::fields_of_rule;

/// The first rule of `rest` that takes back `placed`.
pub(super) fn overruled_by(placed: &PlacedRule, rest: &[PlacedRule]) -> Option<Location> {
    let mut opposite = rest.iter().filter(|later| later.rule.effect != placed.rule.effect);
    let found = opposite.find(|later| covers(&later.rule.action, &placed.rule.action));
    found.map(|later| later.rule.location.clone())
}

/// Whether `later` is about everything that `earlier` is about.
fn covers(later: &Action, earlier: &Action) -> bool {
    match (later, earlier) {
        (Action::Send(later), Action::Send(earlier)) => {
            covers_name(&later.destination, &earlier.destination)
                && covers_broadcasts(later, earlier)
                && covers_message(&later.message, &earlier.message)
        }
        (Action::Receive(later), Action::Receive(earlier)) => {
            covers_field(later.sender.as_deref(), earlier.sender.as_deref())
                && covers_message(&later.message, &earlier.message)
        }
        (Action::Own(later), Action::Own(earlier)) => covers_name(later, earlier),
        _ => false,
    }
}

/// Rules about replies alone are left to those who know what they do: what is a requested reply
/// differs for allow and deny (config.md B063, B067).
fn covers_message(later: &MessagePattern, earlier: &MessagePattern) -> bool {
    let covers_fields = std::iter::zip(fields_of_rule(later), fields_of_rule(earlier))
        .all(|(later, earlier)| covers_field(later, earlier));
    let has_defaults = |pattern: &MessagePattern, is_allow: bool| {
        pattern.requested_reply == is_allow && !pattern.eavesdrop
    };
    covers_fields
        && later.message_type.is_none_or(|one| earlier.message_type == Some(one))
        && (later.fds_min <= earlier.fds_min && later.fds_max >= earlier.fds_max)
        && (has_defaults(later, true) || has_defaults(later, false))
        && (has_defaults(earlier, true) || has_defaults(earlier, false))
}

fn covers_broadcasts(later: &SendRule, earlier: &SendRule) -> bool {
    later.broadcast.is_none_or(|one| earlier.broadcast == Some(one))
}

fn covers_field(later: Option<&str>, earlier: Option<&str>) -> bool {
    later.is_none() || later == earlier
}

fn covers_name(later: &NamePattern, earlier: &NamePattern) -> bool {
    match (later, earlier) {
        (NamePattern::Any, _) => true,
        (NamePattern::Exactly(later), NamePattern::Exactly(earlier)) => later == earlier,
        (
            NamePattern::Prefix(later),
            NamePattern::Exactly(earlier) | NamePattern::Prefix(earlier),
        ) => {
            let below = earlier.strip_prefix(&**later);
            below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
        }
        _ => false,
    }
}
