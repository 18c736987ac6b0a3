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
//! do then. `destination` and `sender` may be repeated, for a client with several names. A signal is
//! one to everybody if it is received, or sent and no destination is named; `broadcast` and
//! `broadcast=no` say otherwise.
//!
//! Every answer lists all rules that were considered.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use libbus::names::BusName;

use crate::config::Location;
use crate::explain::{Explanation, Outcome, RuleText};
use crate::policy_set::{MatchedPatterns, PlacedRule, PolicySet};
use crate::question::{Circumstances, Message};
use crate::rule::MessageType;
use crate::subject::{AccountNames, Subject, gid_of, uid_of};
use crate::user_policy::UserPolicy;
use crate::verdict::Verdict;

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

impl Inquiry {
    /// Reads a question; `accounts` looks up its users and groups.
    ///
    /// # Errors
    /// A word that means nothing, an unknown account, or nothing that is asked.
    pub fn parse(text: &str, accounts: &impl AccountNames) -> Result<Self, InquiryError> {
        let words: Vec<&str> =
            text.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()).collect();
        if words.len() > WORD_COUNT_MAX {
            return wrong(format!("the question has more than {WORD_COUNT_MAX} words"));
        }
        let mut draft = Draft::default();
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            draft.take(key, value, accounts)?;
        }
        draft.finish(accounts)
    }

    /// What `set` answers, on a bus that runs as `own_uid`.
    #[must_use]
    pub fn answer(&self, set: &Arc<PolicySet>, own_uid: u32) -> Answer {
        let subject = Subject { uid: self.uid, gids: &self.gids };
        let policy = set.for_audience(&set.audience(subject));
        let explained = match &self.action {
            Asked::Connect => return self.answer_connect(set, own_uid),
            Asked::Own(name) => policy.explain_own(name),
            Asked::Send(mail) => mail.explain(&policy, Direction::Send),
            Asked::Receive(mail) => mail.explain(&policy, Direction::Receive),
        };
        let default = "what no rule allows is denied".to_owned();
        self.answer_from(set, explained.verdict, rules_of(&explained), default)
    }

    fn answer_connect(&self, set: &PolicySet, own_uid: u32) -> Answer {
        let subject = Subject { uid: self.uid, gids: &self.gids };
        let verdict = set.may_connect(subject, own_uid);
        let decided = verdict.rule.and_then(|id| set.rule(id)).map(|placed| &placed.rule.location);
        let considered = set.connect_rules().map(|placed| {
            let outcome = match decided == Some(&placed.rule.location) {
                true => Outcome::Decides.to_string(),
                false => "does not decide".to_owned(),
            };
            Considered::new(placed, outcome)
        });
        let default = format!("only uid {own_uid}, as which the bus runs, may connect");
        self.answer_from(set, verdict, considered.collect(), default)
    }

    fn answer_from(
        &self,
        set: &PolicySet,
        verdict: Verdict,
        considered: Vec<Considered>,
        default: String,
    ) -> Answer {
        let decided = verdict.rule.and_then(|id| set.rule(id));
        Answer {
            question: self.to_string(),
            allowed: verdict.is_allowed(),
            default,
            decided: decided.map(|placed| Considered::new(placed, Outcome::Decides.to_string())),
            considered,
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

/// What was read of a question so far.
#[derive(Default)]
struct Draft {
    uid: Option<u32>,
    anonymous: bool,
    gids: Option<Vec<u32>>,
    own: Option<String>,
    verb: Option<Verb>,
    names: Vec<String>,
    message_type: Option<MessageType>,
    path: Option<String>,
    interface: Option<String>,
    member: Option<String>,
    error_name: Option<String>,
    fds: u32,
    broadcast: Option<bool>,
    circumstances: Circumstances,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Connect,
    Send,
    Receive,
}

impl Draft {
    fn take(
        &mut self,
        key: &str,
        value: &str,
        accounts: &impl AccountNames,
    ) -> Result<(), InquiryError> {
        let text = || Some(value.to_owned());
        match key {
            "connect" => self.verb = Some(Verb::Connect),
            "send" => self.verb = Some(Verb::Send),
            "receive" => self.verb = Some(Verb::Receive),
            "requested_reply" => self.circumstances.requested_reply = true,
            "eavesdropping" => self.circumstances.eavesdropping = true,
            "anonymous" => self.anonymous = true,
            "broadcast" => match value {
                "" | "yes" => self.broadcast = Some(true),
                "no" => self.broadcast = Some(false),
                _ => return wrong(format!("broadcast={value} means nothing; write yes or no")),
            },
            _ if value.is_empty() => return wrong(format!("{key:?} means nothing here: {USAGE}")),
            "user" | "uid" => match uid_of(value, accounts) {
                Some(uid) => self.uid = Some(uid),
                None => {
                    return wrong(format!("there is no user {value:?}; give a name or a number"));
                }
            },
            "groups" | "group" => {
                let gid = |name| match gid_of(name, accounts) {
                    Some(gid) => Ok(gid),
                    None => wrong(format!("there is no group {name:?}; give a name or a number")),
                };
                let gids = value.split('+').map(gid).collect::<Result<Vec<u32>, _>>()?;
                self.gids.get_or_insert_default().extend(gids);
            }
            "own" => self.own = Some(ownable(value)?),
            "destination" | "sender" => self.names.push(value.to_owned()),
            "type" => self.message_type = Some(message_type_of(value)?),
            "path" => self.path = text(),
            "interface" => self.interface = text(),
            "member" => self.member = text(),
            "error" => self.error_name = text(),
            "fds" => match value.parse() {
                Ok(count) => self.fds = count,
                Err(_) => return wrong(format!("fds={value} is no number")),
            },
            _ => return wrong(format!("there is no key {key:?}: {USAGE}")),
        }
        Ok(())
    }

    fn finish(self, accounts: &impl AccountNames) -> Result<Inquiry, InquiryError> {
        if self.uid.is_none() && !self.anonymous {
            return wrong(format!("who? Add user=NAME, uid=NUMBER or anonymous: {USAGE}"));
        }
        let gids = match (self.gids, self.uid) {
            (Some(gids), _) => gids,
            (None, Some(uid)) => accounts.gids_of(uid),
            (None, None) => Vec::new(),
        };
        let action = match (self.own, self.verb) {
            (Some(name), None) => Asked::Own(name),
            (None, Some(Verb::Connect)) => Asked::Connect,
            (None, Some(verb)) => {
                let message_type = self.message_type.unwrap_or(MessageType::MethodCall);
                let is_signal = message_type == MessageType::Signal;
                if self.broadcast == Some(true) && !is_signal {
                    return wrong("only a signal can be a broadcast: add type=signal");
                }
                let by_default = verb == Verb::Receive || self.names.is_empty();
                let mail = Mail {
                    is_broadcast: is_signal && self.broadcast.unwrap_or(by_default),
                    names: self.names,
                    message_type,
                    path: self.path,
                    interface: self.interface,
                    member: self.member,
                    error_name: self.error_name,
                    fds: self.fds,
                    circumstances: self.circumstances,
                };
                if verb == Verb::Send { Asked::Send(mail) } else { Asked::Receive(mail) }
            }
            _ => return wrong(format!("what? {USAGE}")),
        };
        Ok(Inquiry { uid: self.uid, gids, action })
    }
}

const USAGE: &str = "ask \"user=NAME own=NAME\", \"user=NAME connect\", or \"user=NAME send \
                     destination=NAME interface=… member=… path=… type=… error=… fds=… \
                     broadcast requested_reply\", or the same with receive and sender=NAME; \
                     groups=A+B in place of the user's own";

/// A name that a client can ask for (protocol.md A126).
fn ownable(name: &str) -> Result<String, InquiryError> {
    match BusName::parse(name) {
        Ok(BusName::WellKnown(name)) if name.as_str() == "org.freedesktop.DBus" => {
            wrong(format!("nobody may own {name}: it is the bus's own name"))
        }
        Ok(BusName::WellKnown(name)) => Ok(name.as_str().to_owned()),
        Ok(BusName::Unique(_)) => {
            wrong(format!("nobody may own {name}: the bus alone gives unique names"))
        }
        Err(error) => wrong(format!("nobody may own {name:?}: {error}")),
    }
}

fn message_type_of(name: &str) -> Result<MessageType, InquiryError> {
    let found = MessageType::ALL.into_iter().find(|one| one.to_string() == name);
    found.map_or_else(
        || wrong(format!("there is no message type {name:?}; write method_call, method_return, error or signal")),
        Ok,
    )
}

/// An answer with all that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was asked, in words.
    pub question: String,
    /// Whether it is permitted.
    pub allowed: bool,
    /// The rule that decided, if one matched.
    pub decided: Option<Considered>,
    /// Who may do it if no rule says anything.
    default: String,
    /// All rules that apply to the user, in the order in which they apply.
    pub considered: Vec<Considered>,
}

/// One rule of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The rule, as it could stand in the configuration.
    pub rule: String,
    /// Whom its block is for.
    pub block: String,
    /// Where it stands.
    pub location: Location,
    /// What came of it, in words.
    pub outcome: String,
}

impl Considered {
    fn new(placed: &PlacedRule, outcome: String) -> Self {
        Self {
            rule: RuleText(placed).to_string(),
            block: format!("<policy {}>", placed.context),
            location: placed.rule.location.clone(),
            outcome,
        }
    }
}

/// Several lines; the first is the answer.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        writeln!(f, "{verdict}: {}", self.question)?;
        match &self.decided {
            Some(rule) => writeln!(f, "by {}: {} in {}", rule.location, rule.rule, rule.block)?,
            None => writeln!(f, "by default: no rule matches, and {}", self.default)?,
        }
        writeln!(f, "rules considered, of which the last that matches decides:")?;
        for rule in &self.considered {
            writeln!(f, "  {}: {} in {}", rule.location, rule.rule, rule.block)?;
            writeln!(f, "      {}", rule.outcome)?;
        }
        if self.considered.is_empty() {
            writeln!(f, "  (none)")?;
        }
        Ok(())
    }
}

impl Answer {
    /// The answer as one JSON object: `question`, `allowed`, `decided` (an object or null) and
    /// `considered` (an array of objects), each rule with `rule`, `block`, `file`, `line`, `column`
    /// and `outcome`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let decided = self.decided.as_ref().map_or("null".to_owned(), Considered::to_json);
        let considered: Vec<String> = self.considered.iter().map(Considered::to_json).collect();
        format!(
            "{{\"question\":{},\"allowed\":{},\"decided\":{decided},\"considered\":[{}]}}",
            quoted(&self.question),
            self.allowed,
            considered.join(",")
        )
    }
}

impl Considered {
    fn to_json(&self) -> String {
        let Self { rule, block, location, outcome } = self;
        format!(
            "{{\"rule\":{},\"block\":{},\"file\":{},\"line\":{},\"column\":{},\"outcome\":{}}}",
            quoted(rule),
            quoted(block),
            quoted(&location.file.to_string_lossy()),
            location.line,
            location.column,
            quoted(outcome)
        )
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            letter if letter < ' ' => {
                // INVARIANT: writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(letter));
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
    json
}
