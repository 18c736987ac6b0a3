//! The policy blocks of a configuration, and whether they amount to allowing everything.
//!
//! A bus that does not enforce policies may only run a configuration that needs none: a policy
//! that is read but not enforced is worse than none. [`allow_all`] finds out, rule by rule, with
//! the reference's own order and quirks (config.md B049, B050, B054), and names the rule that
//! stands against it. In doubt it refuses: it does not look up users, so every block for a user,
//! a group or the console is taken to restrict somebody and to help nobody.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::config::{BusConfig, Location};
use crate::rule::{Account, Action, Effect, MessagePattern, MessageType, NamePattern, Rule};

/// One `<policy>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyBlock {
    /// Where it stands.
    pub location: Location,
    /// Whom it is for.
    pub context: PolicyContext,
    /// Its rules in file order.
    pub rules: Vec<Rule>,
}

/// Whom a `<policy>` is for (config.md B047). Names of users and groups are not looked up here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyContext {
    /// Everybody, before all other blocks.
    Default,
    /// Everybody, after all other blocks.
    Mandatory,
    /// One user: a name or a uid.
    User(Box<str>),
    /// The members of a group: a name or a gid.
    Group(Box<str>),
    /// Users who are at the console, or those who are not.
    AtConsole(bool),
}

/// What a bus must do to behave exactly as a configuration that allows everything says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowAll {
    /// Who may connect.
    pub connect: Connect,
    /// Which messages with a REPLY_SERIAL may be sent.
    pub send_replies: Replies,
    /// Which messages with a REPLY_SERIAL are delivered to the client they are addressed to.
    pub receive_replies: Replies,
    /// Whether a client may be given a message with a DESTINATION that is not addressed to it.
    pub eavesdropping: Eavesdropping,
}

/// Who may connect (config.md B071).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// Only the uid that the bus itself runs as.
    OwnUser,
    /// Every user.
    EveryUser,
}

/// Which messages with a REPLY_SERIAL pass (config.md B063). A message without one always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// Only the answer to a call that is waiting for it; any other is refused with AccessDenied.
    Requested,
    /// All, as with session.conf.
    Any,
}

/// Whether messages may be overheard (config.md B067, B075).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eavesdropping {
    /// No client is given a message that is addressed to another, whatever its match rules say.
    Refused,
    /// As far as match rules allow, as with session.conf.
    Allowed,
}

/// Why a configuration does not amount to allowing everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAllowAll {
    /// The rule that restricts, or the configuration's root element if a rule is missing.
    pub location: Location,
    /// What it does.
    pub restriction: Restriction,
}

/// What stands against allowing everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// A `<deny>` that a later rule does not make void.
    Deny,
    /// A rule lets some users connect and others not.
    ConnectSome,
    /// A rule asks for a log line for each message.
    Log,
    /// The allow rules leave out some messages that could be sent.
    Send,
    /// The allow rules leave out some messages that could be received.
    Receive,
    /// The allow rules leave out some names.
    Own,
    /// A rule for some users removes the rules before it and allows less than they did (B054).
    Narrows,
    /// A rule allows unrequested replies or eavesdropping only for some messages or users.
    Uneven,
}

impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deny => "this <deny> would not be enforced; remove it",
            Self::ConnectSome => {
                "this rule would not be enforced; write user=\"*\", or remove it to let only the \
                 bus's own user connect"
            }
            Self::Log => "log=\"true\" would not be followed; remove it",
            Self::Send => {
                "not every message may be sent, and that would not be enforced; add \
                 <allow send_destination=\"*\" eavesdrop=\"true\"/> to <policy context=\"default\">"
            }
            Self::Receive => {
                "not every message may be received, and that would not be enforced; add \
                 <allow eavesdrop=\"true\"/> to <policy context=\"default\">"
            }
            Self::Own => {
                "not every name may be owned, and that would not be enforced; add \
                 <allow own=\"*\"/> to <policy context=\"default\">"
            }
            Self::Narrows => {
                "this rule takes something from some users, and that would not be enforced; \
                 remove it"
            }
            Self::Uneven => {
                "requested_reply or eavesdrop allows more here than in other rules, and that would \
                 not be enforced; write them alike in all rules"
            }
        })
    }
}

/// `FILE:LINE:COLUMN: text`, one line.
impl fmt::Display for NotAllowAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { location, restriction } = self;
        write!(f, "{location}: this bus runs only what allows everything: {restriction}")
    }
}

impl std::error::Error for NotAllowAll {}

/// Whether the policies of `config` let every client send, receive and own everything, as
/// session.conf does.
///
/// # Errors
/// The first thing that stands against it. A configuration is either followed exactly, by means
/// of [`AllowAll`], or refused.
pub fn allow_all(config: &BusConfig) -> Result<AllowAll, NotAllowAll> {
    let mut survey = Survey::default();
    for (reach, rule) in rules_in_order(config) {
        survey.add(reach, rule);
    }
    survey.verdict().map_err(|(rule, restriction)| {
        let location = rule.map_or(&config.origin, |rule| &rule.location).clone();
        NotAllowAll { location, restriction }
    })
}

/// Whom a rule is for, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everybody,
    Somebody,
}

/// All rules in the order in which they apply (config.md B049). The order among blocks for
/// somebody does not matter here.
fn rules_in_order(config: &BusConfig) -> impl Iterator<Item = (Reach, &Rule)> {
    let stages = [
        (Reach::Everybody, |context: &PolicyContext| *context == PolicyContext::Default),
        (Reach::Somebody, PolicyContext::is_for_somebody),
        (Reach::Everybody, |context: &PolicyContext| *context == PolicyContext::Mandatory),
    ] as [(Reach, fn(&PolicyContext) -> bool); 3];
    stages.into_iter().flat_map(|(reach, belongs)| {
        let blocks = config.policies.iter().filter(move |block| belongs(&block.context));
        blocks.flat_map(move |block| block.rules.iter().map(move |rule| (reach, rule)))
    })
}

impl PolicyContext {
    fn is_for_somebody(&self) -> bool {
        matches!(self, Self::User(_) | Self::Group(_) | Self::AtConsole(_))
    }
}

/// What stands against allowing everything, and the rule that does it if it is one.
type Obstacle<'a> = (Option<&'a Rule>, Restriction);

/// The effect of the rules seen so far.
#[derive(Default)]
struct Survey<'a> {
    connect: ConnectSurvey<'a>,
    send: Kind<'a>,
    receive: Kind<'a>,
    own: Kind<'a>,
}

impl<'a> Survey<'a> {
    fn add(&mut self, reach: Reach, rule: &'a Rule) {
        match &rule.action {
            Action::Send(send) => {
                let is_wildcard =
                    send.message.is_wildcard() && send.destination == NamePattern::Any;
                let mut claim = Claim::new(&send.message, is_wildcard, send.broadcast);
                // Only a receive rule can permit eavesdropping (config.md B075).
                claim.level = claim.level.min(Level::AnyReply);
                claim.is_full &= send.broadcast.is_none() && claim.level == Level::AnyReply;
                claim.covers_fields &= send.destination == NamePattern::Any;
                claim.logs = send.log;
                self.send.add(reach, rule, &claim);
            }
            Action::Receive(receive) => {
                let is_wildcard = receive.message.is_wildcard() && receive.sender.is_none();
                let mut claim = Claim::new(&receive.message, is_wildcard, None);
                claim.is_full &= claim.level == Level::Eavesdropped;
                claim.covers_fields &= receive.sender.is_none();
                self.receive.add(reach, rule, &claim);
            }
            Action::Own(name) => self.own.add(reach, rule, &Claim::of_names(name)),
            Action::ConnectUser(account) | Action::ConnectGroup(account) => {
                self.connect.add(reach, rule, account);
            }
        }
    }

    fn verdict(&self) -> Result<AllowAll, Obstacle<'a>> {
        let connect = self.connect.verdict()?;
        let send = self.send.verdict(Restriction::Send)?;
        let receive = self.receive.verdict(Restriction::Receive)?;
        self.own.verdict(Restriction::Own)?;
        let eavesdropping = match receive {
            Level::Eavesdropped => Eavesdropping::Allowed,
            _ => Eavesdropping::Refused,
        };
        let (send_replies, receive_replies) = (send.replies(), receive.replies());
        Ok(AllowAll { connect, send_replies, receive_replies, eavesdropping })
    }
}

/// The connect rules seen so far (config.md B071): the last matching one wins.
#[derive(Default)]
struct ConnectSurvey<'a> {
    every_user: bool,
    /// A rule that lets only some users connect, or nobody.
    restricting: Option<&'a Rule>,
}

impl<'a> ConnectSurvey<'a> {
    fn add(&mut self, reach: Reach, rule: &'a Rule, account: &Account) {
        match (reach, rule.effect, account) {
            // Never looked at.
            (Reach::Somebody, _, _) => {}
            (_, Effect::Allow, Account::Any) => {
                *self = Self { every_user: true, restricting: None }
            }
            (_, Effect::Allow, Account::Named(_)) if self.every_user => {}
            _ => *self = Self { every_user: false, restricting: Some(rule) },
        }
    }

    fn verdict(&self) -> Result<Connect, Obstacle<'a>> {
        match (self.restricting, self.every_user) {
            (Some(rule), _) => Err((Some(rule), Restriction::ConnectSome)),
            (None, true) => Ok(Connect::EveryUser),
            (None, false) => Ok(Connect::OwnUser),
        }
    }
}

/// How much of a message's circumstances is allowed; each level includes those before it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Nothing,
    /// Messages that are no reply, and replies that are waited for.
    Requested,
    /// Replies that nobody waits for, too.
    AnyReply,
    /// All of it also to those who only listen.
    Eavesdropped,
}

impl Level {
    /// What an allow rule with these modifiers reaches (config.md B063, B067). (ref) a rule that
    /// allows eavesdropping allows unrequested replies too.
    fn of(message: &MessagePattern) -> Self {
        match (message.eavesdrop, message.requested_reply) {
            (true, _) => Self::Eavesdropped,
            (false, false) => Self::AnyReply,
            (false, true) => Self::Requested,
        }
    }

    fn replies(self) -> Replies {
        match self {
            Self::Nothing | Self::Requested => Replies::Requested,
            Self::AnyReply | Self::Eavesdropped => Replies::Any,
        }
    }
}

/// The kinds of messages that rules without names can tell apart, with whether they are
/// broadcast. Messages of unknown types are refused by every bus.
const MESSAGES: [(MessageType, bool); 5] = [
    (MessageType::MethodCall, false),
    (MessageType::MethodReturn, false),
    (MessageType::Error, false),
    (MessageType::Signal, false),
    (MessageType::Signal, true),
];

/// What one rule is about, seen from far away.
struct Claim {
    /// It restricts no header field, so that it removes the rules before it (config.md B054).
    is_wildcard: bool,
    /// It matches everything without any condition.
    is_full: bool,
    /// It restricts at most the message type and whether it is a broadcast.
    covers_fields: bool,
    /// Which of [`MESSAGES`] it matches.
    matches: [bool; MESSAGES.len()],
    level: Level,
    logs: bool,
}

impl Claim {
    fn new(message: &MessagePattern, is_wildcard: bool, broadcast: Option<bool>) -> Self {
        let matches = MESSAGES.map(|(message_type, is_broadcast)| {
            message.message_type.is_none_or(|only| only == message_type)
                && broadcast.is_none_or(|only| only == is_broadcast)
        });
        let covers_fields = message.restricts_at_most_type() && message.takes_any_fds();
        let is_full = is_wildcard && message.takes_any_fds();
        let level = Level::of(message);
        Self { is_wildcard, is_full, covers_fields, matches, level, logs: false }
    }

    fn of_names(name: &NamePattern) -> Self {
        let all = *name == NamePattern::Any;
        let matches = [all; MESSAGES.len()];
        let level = Level::Eavesdropped;
        Self { is_wildcard: all, is_full: all, covers_fields: all, matches, level, logs: false }
    }
}

/// The rules of one kind seen so far, without those that a later wildcard removes.
#[derive(Default)]
struct Kind<'a> {
    /// The first rule that denies something.
    deny: Option<&'a Rule>,
    /// The first rule that logs.
    log: Option<&'a Rule>,
    /// The first rule that removes rules before it for somebody and allows less than everything.
    narrows: Option<&'a Rule>,
    /// An allow rule of the highest level, whatever and whomever it is for.
    highest: Option<(Level, &'a Rule)>,
    /// How much is allowed to everybody of each of [`MESSAGES`].
    levels: [Level; MESSAGES.len()],
}

impl<'a> Kind<'a> {
    fn add(&mut self, reach: Reach, rule: &'a Rule, claim: &Claim) {
        if claim.is_wildcard && reach == Reach::Everybody {
            *self = Self::default();
        }
        if claim.logs {
            self.log = self.log.or(Some(rule));
        }
        match rule.effect {
            Effect::Deny => self.deny = self.deny.or(Some(rule)),
            Effect::Allow => self.add_allow(reach, rule, claim),
        }
    }

    fn add_allow(&mut self, reach: Reach, rule: &'a Rule, claim: &Claim) {
        if self.highest.is_none_or(|(level, _)| level < claim.level) {
            self.highest = Some((claim.level, rule));
        }
        if reach == Reach::Somebody {
            let narrows = claim.is_wildcard && !claim.is_full;
            self.narrows = self.narrows.or(narrows.then_some(rule));
        } else if claim.covers_fields {
            for (level, matches) in self.levels.iter_mut().zip(claim.matches) {
                *level = if matches { (*level).max(claim.level) } else { *level };
            }
        }
    }

    /// How much is allowed to everybody of every message alike.
    fn verdict(&self, lacking: Restriction) -> Result<Level, Obstacle<'a>> {
        let obstacles = [
            (self.deny, Restriction::Deny),
            (self.log, Restriction::Log),
            (self.narrows, Restriction::Narrows),
        ];
        if let Some(obstacle) = obstacles.into_iter().find(|(rule, _)| rule.is_some()) {
            return Err(obstacle);
        }
        let level = self.levels.into_iter().min().unwrap_or_default();
        match self.highest {
            _ if level == Level::Nothing => Err((None, lacking)),
            Some((highest, rule)) if highest > level => Err((Some(rule), Restriction::Uneven)),
            _ => Ok(level),
        }
    }
}
