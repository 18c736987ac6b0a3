//! A question to a policy in words, and its answer in words or JSON.
//!
//! A question is a list of `key=value` words, separated by spaces or commas:
//!
//! ```text
//! user=alice own=org.example.A
//! user=alice send destination=org.example.A interface=org.example.I member=Frobnicate
//! uid=1000 groups=27,1000 receive sender=org.example.A type=signal
//! user=bob connect
//! ```
//!
//! Whoever asks about a message says its type, `method_call` if nothing else, and those of its
//! fields that matter: a message lacks a field that is not named, and rules about it match as they
//! do then. `destination` and `sender` may be repeated, for a client with several names, and so may
//! `groups`; everything else is said once. A signal is
//! one to everybody if it is received, or sent and no destination is named; `broadcast` and
//! `broadcast=no` say otherwise. `requested_reply` and `eavesdropping` take `yes` and `no`, too.
//!
//! Every answer lists all rules that were considered.

mod answer;
mod draft;

use std::fmt;
use std::sync::Arc;

pub use answer::{Answer, Considered};
use draft::Draft;

use crate::explain::{Explanation, Outcome};
use crate::policy_set::{MatchedPatterns, PolicySet};
use crate::question::{Circumstances, Message};
use crate::rule::MessageType;
use crate::subject::{AccountNames, Subject};
use crate::user_policy::UserPolicy;

/// Words of one question.
const WORD_COUNT_MAX: usize = 64;

/// A question about one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// The user; `None` is one who authenticated as nobody.
    pub uid: Option<u32>,
    /// Its groups.
    pub gids: Vec<u32>,
    /// What it would do.
    pub action: Asked,
}

/// What decides who may connect besides the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The user that the bus runs as, who may connect if no rule says anything (config.md B071).
    pub own_uid: u32,
    /// Whether clients without a user may.
    pub anonymous: Anonymous,
}

/// Whether clients may connect that authenticated as nobody. No rule is asked about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// `<allow_anonymous/>` lets them in (config.md B016).
    Allowed,
    /// There is none.
    Denied,
    /// There is, but no client can authenticate as nobody, as `<auth>` says (config.md B018).
    WithoutMechanism,
}

impl Anonymous {
    /// What a configuration says: whether it has `<allow_anonymous/>`, and whether clients can use the
    /// mechanism ANONYMOUS.
    #[must_use]
    pub const fn new(is_allowed: bool, has_mechanism: bool) -> Self {
        match (is_allowed, has_mechanism) {
            (false, _) => Self::Denied,
            (true, false) => Self::WithoutMechanism,
            (true, true) => Self::Allowed,
        }
    }

    /// Why, and what would change it.
    const fn reason(self) -> &'static str {
        match self {
            Self::Allowed => {
                "by <allow_anonymous/>: it lets in who has no user, whatever rules say of users"
            }
            Self::Denied => {
                "by default: there is no <allow_anonymous/>, so that nobody connects without a user, \
                 whatever rules say of users"
            }
            Self::WithoutMechanism => {
                "by <auth>: <allow_anonymous/> would let in who has no user, but nobody can \
                 authenticate so; add <auth>ANONYMOUS</auth>"
            }
        }
    }
}

/// What a user would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Connect to the bus.
    Connect,
    /// Own a name.
    Own(String),
    /// Send a message to a client with these names.
    Send(Mail),
    /// Receive a message from a client with these names.
    Receive(Mail),
}

/// A message and the names of its other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Names of the destination, or of the sender.
    pub names: Vec<String>,
    /// The type.
    pub message_type: MessageType,
    /// PATH.
    pub path: Option<String>,
    /// INTERFACE.
    pub interface: Option<String>,
    /// MEMBER.
    pub member: Option<String>,
    /// ERROR_NAME.
    pub error_name: Option<String>,
    /// File descriptors.
    pub fds: u32,
    /// A signal without DESTINATION.
    pub is_broadcast: bool,
    /// See [`Circumstances`].
    pub circumstances: Circumstances,
}

/// What is wrong with a question, and how to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InquiryError(String);

impl fmt::Display for InquiryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InquiryError {}

fn wrong<T>(text: impl Into<String>) -> Result<T, InquiryError> {
    Err(InquiryError(text.into()))
}

/// The words of a question.
pub fn words_of(question: &str) -> impl Iterator<Item = &str> {
    question.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty())
}

impl Inquiry {
    /// Reads a question; `accounts` looks up its users and groups.
    ///
    /// # Errors
    /// A word that means nothing or is there twice, an unknown account, a user whose groups are neither
    /// given nor looked up, or nothing that is asked.
    pub fn parse(text: &str, accounts: &impl AccountNames) -> Result<Self, InquiryError> {
        let words: Vec<&str> = words_of(text).collect();
        // Nothing that can be asked about has them, and the answer repeats the question.
        if let Some(word) = words.iter().find(|word| word.contains(char::is_control)) {
            return wrong(format!("{word:?} has a control character; leave it out"));
        }
        if words.len() > WORD_COUNT_MAX {
            return wrong(format!("the question has more than {WORD_COUNT_MAX} words"));
        }
        let mut draft = Draft::default();
        for word in words {
            if word == "groups=" {
                draft.take_no_group();
                continue;
            }
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            draft.take(key, value, accounts)?;
        }
        draft.finish(accounts)
    }

    /// What `set` answers, on a bus with this door.
    #[must_use]
    pub fn answer(&self, set: &Arc<PolicySet>, door: Door) -> Answer {
        let subject = Subject { uid: self.uid, gids: &self.gids };
        let policy = set.for_audience(&set.audience(subject));
        let explained = match &self.action {
            Asked::Connect if self.uid.is_none() => return self.answer_anonymous(door.anonymous),
            Asked::Connect => set.explain_connect(subject, door.own_uid),
            Asked::Own(name) => policy.explain_own(name),
            Asked::Send(mail) => mail.explain(&policy, Direction::Send),
            Asked::Receive(mail) => mail.explain(&policy, Direction::Receive),
        };
        let default = match &self.action {
            Asked::Connect => {
                let own_uid = door.own_uid;
                format!("only uid {own_uid}, as which the bus runs, may connect")
            }
            _ => "what no rule allows is denied".to_owned(),
        };
        self.answer_from(set, &explained, &default)
    }

    fn answer_anonymous(&self, anonymous: Anonymous) -> Answer {
        Answer {
            question: self.to_string(),
            allowed: anonymous == Anonymous::Allowed,
            decided: None,
            reason: Some(anonymous.reason().to_owned()),
            considered: Vec::new(),
        }
    }

    fn answer_from(&self, set: &PolicySet, explained: &Explanation<'_>, default: &str) -> Answer {
        let decided = explained.verdict.rule.and_then(|id| set.rule(id));
        let reason = || format!("by default: no rule matches, and {default}");
        Answer {
            question: self.to_string(),
            allowed: explained.verdict.is_allowed(),
            decided: decided.map(|placed| Considered::new(placed, Outcome::Decides.to_string())),
            reason: decided.is_none().then(reason),
            considered: rules_of(explained),
        }
    }
}

fn rules_of(explained: &Explanation<'_>) -> Vec<Considered> {
    let steps = explained.steps.iter();
    steps.map(|step| Considered::new(step.placed, step.outcome.to_string())).collect()
}

/// The question as a sentence without its verb: "user 1000 (groups 27): own org.example.A".
impl fmt::Display for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            Some(uid) => write!(f, "uid {uid}")?,
            None => f.write_str("a client without a user")?,
        }
        let gids: Vec<String> = self.gids.iter().map(u32::to_string).collect();
        match gids.is_empty() {
            true => f.write_str(" (no groups)")?,
            false => write!(f, " (groups {})", gids.join(", "))?,
        }
        match &self.action {
            Asked::Connect => f.write_str(": connect"),
            Asked::Own(name) => write!(f, ": own {name}"),
            Asked::Send(mail) => write!(f, ": send {mail} to {}", mail.other_side()),
            Asked::Receive(mail) => write!(f, ": receive {mail} from {}", mail.other_side()),
        }
    }
}

enum Direction {
    Send,
    Receive,
}

impl Mail {
    fn explain<'a>(&self, policy: &'a UserPolicy, direction: Direction) -> Explanation<'a> {
        let message = Message {
            message_type: self.message_type,
            path: self.path.as_deref(),
            interface: self.interface.as_deref(),
            member: self.member.as_deref(),
            error_name: self.error_name.as_deref(),
            fds: self.fds,
            is_broadcast: self.is_broadcast,
            is_reply: matches!(self.message_type, MessageType::MethodReturn | MessageType::Error),
        };
        let mut names = MatchedPatterns::default();
        self.names.iter().for_each(|name| names.add(policy.set(), name));
        match direction {
            Direction::Send => policy.explain_send(&message, self.circumstances, &names),
            Direction::Receive => policy.explain_receive(&message, self.circumstances, &names),
        }
    }

    fn other_side(&self) -> String {
        if self.names.is_empty() { "anybody".to_owned() } else { self.names.join(", ") }
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message_type)?;
        if self.is_broadcast {
            f.write_str(" broadcast")?;
        }
        let fields = [
            ("path", &self.path),
            ("interface", &self.interface),
            ("member", &self.member),
            ("error", &self.error_name),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        if self.fds > 0 {
            write!(f, " fds={}", self.fds)?;
        }
        if self.circumstances.requested_reply {
            f.write_str(" requested_reply")?;
        }
        if self.circumstances.eavesdropping {
            f.write_str(" eavesdropping")?;
        }
        Ok(())
    }
}
