//! What the rules of a bucket say of all messages of a kind: most messages need no more.
//!
//! Two sorts of messages are told apart. A bare one has none of the fields that rules can name, as
//! replies are: there a rule that names some matches or does not, whatever it names.

use super::{Bucket, Candidate, Fields, Found, ReplyKind, depends_on_fields_alone};
use crate::policy_set::PolicySet;
use crate::question::Message;
use crate::rule::{Effect, MessageType};

/// By message type, reply kind and whether the message is bare.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled([[[Place; 2]; ReplyKind::COUNT]; MessageType::COUNT]);

/// Where the rule that decides stands among the candidates of a bucket: small, for there is a bucket
/// for each name that rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

impl Place {
    /// No rule is about such messages.
    const NO_RULE: Self = Self(u32::MAX);
    /// It depends on more.
    const UNSETTLED: Self = Self(u32::MAX - 1);
}

impl Default for Place {
    fn default() -> Self {
        Self::UNSETTLED
    }
}

impl Settled {
    /// What the candidates of a bucket say, the last rule first.
    pub(super) fn of(candidates: &[Candidate], set: &PolicySet) -> Self {
        let mut settled = Self::default();
        for message_type in MessageType::ALL {
            for kind in ReplyKind::ALL {
                for is_bare in [false, true] {
                    let place = settle(candidates, set, message_type, kind, is_bare);
                    settled.0[message_type as usize][kind as usize][usize::from(is_bare)] = place;
                }
            }
        }
        settled
    }

    fn at(&self, message_type: MessageType, kind: ReplyKind, is_bare: bool) -> Place {
        self.0[message_type as usize][kind as usize][usize::from(is_bare)]
    }
}

impl Bucket {
    /// The rule that decides about all messages of a type and kind that are not eavesdropped on, if
    /// there is one; `None` if it depends on more.
    #[inline]
    pub(super) fn settled(
        &self,
        message_type: MessageType,
        kind: ReplyKind,
        is_bare: bool,
    ) -> Option<Found<'_>> {
        match self.settled.at(message_type, kind, is_bare) {
            Place::UNSETTLED => None,
            Place::NO_RULE => Some(None),
            Place(at) => Some(self.candidates.get(at as usize)),
        }
    }
}

impl Message<'_> {
    /// Whether it has no field that rules can name.
    #[inline]
    pub(super) const fn is_bare(&self) -> bool {
        self.path.is_none()
            && self.interface.is_none()
            && self.member.is_none()
            && self.error_name.is_none()
    }
}

fn settle(
    candidates: &[Candidate],
    set: &PolicySet,
    message_type: MessageType,
    kind: ReplyKind,
    is_bare: bool,
) -> Place {
    let is_about = |one: &Candidate| one.types.has(message_type) && one.replies.has(kind);
    for (at, candidate) in (0..).zip(candidates).filter(|(_, one)| is_about(one)) {
        if candidate.is_plain {
            return Place(at);
        }
        let Some(placed) = set.rule(candidate.id).filter(|_| is_bare) else {
            return Place::UNSETTLED;
        };
        let action = &placed.rule.action;
        match action.message_pattern() {
            // config.md B055: an allow rule never matches without the interface it names.
            Some(pattern)
                if candidate.effect == Effect::Allow
                    && Fields::of_rule(pattern).has_interface() => {}
            Some(_) if depends_on_fields_alone(action, candidate.effect) => return Place(at),
            _ => return Place::UNSETTLED,
        }
    }
    Place::NO_RULE
}
