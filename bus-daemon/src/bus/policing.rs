//! What the policy says about who sends what to whom (config.md B.4, B.5).
//!
//! Each client has a [`Standing`] from Hello on: the rules for its user and groups, shared with all
//! clients that the policy does not tell apart, and which names in rules its own names match. A
//! message passes if the sender's rules let it go and the recipient's let it come (config.md B076).
//! The bus itself has names but no rules.
//!
//! Invariant: after each event a client's standing is that of its names under the policy in force.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bus_policy::explain::RuleText;
use bus_policy::question::{Circumstances, Message as Facts};
use bus_policy::rule::MessageType as RuleMessageType;
use bus_policy::{
    Audience, MatchedPatterns, PolicySet, Question, RuleId, Subject, UserPolicy, Verdict,
};
use foldhash::fast::FixedState;
use libbus::wire::{Header, MessageType};

use super::client::Client;
use super::credentials::PeerCredentials;
use super::driver::BUS_NAME;
use super::id::ClientId;
use super::limits::{KEPT_POLICY_COUNT_MAX, REMEMBERED_NAME_COUNT_MAX};
use super::log::{LogField, LogRecord, Severity};
use super::routing::Message;
use super::{Bus, Effect};

/// What the policy says about one client.
#[derive(Clone, Debug)]
pub struct Standing {
    policy: Rc<UserPolicy>,
    /// The patterns of rules that the client's names match, if there are any.
    names: Option<Rc<MatchedPatterns>>,
}

impl Standing {
    /// Whether the client may own a name (config.md B069, B070).
    pub(super) fn may_own(&self, name: &str) -> Verdict {
        self.policy.may_own(name)
    }

    /// Whether it is of the policy that is in force.
    fn is_of(&self, set: &Arc<PolicySet>) -> bool {
        Arc::ptr_eq(self.policy.set(), set)
    }

    fn names(&self) -> &MatchedPatterns {
        self.names.as_deref().unwrap_or(MatchedPatterns::NONE)
    }

    /// Whether the policy cannot tell two clients apart.
    #[inline]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_names = match (&self.names, &other.names) {
            (None, None) => true,
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            _ => false,
        };
        Rc::ptr_eq(&self.policy, &other.policy) && same_names
    }
}

/// Who a client was that has said something which waits for its recipient.
#[derive(Clone, Debug)]
pub(super) struct FormerClient {
    /// Under the policy of that time.
    standing: Option<Standing>,
    uid: Option<u32>,
    gids: Box<[u32]>,
    /// Its names at that time; `None`: they were too many.
    names: Option<Vec<Box<str>>>,
}

impl FormerClient {
    /// Its user.
    pub(super) const fn uid(&self) -> Option<u32> {
        self.uid
    }
}

/// The policy in force, compiled for those who are connected.
#[derive(Debug)]
pub(super) struct Policies {
    /// At most [`KEPT_POLICY_COUNT_MAX`] and those in use.
    by_audience: HashMap<Audience, Rc<UserPolicy>, FixedState>,
    /// What the name of the bus matches.
    bus_names: MatchedPatterns,
    /// Of the next policy.
    prepared: Vec<(Audience, UserPolicy)>,
}

impl Policies {
    pub(super) fn new(set: &PolicySet) -> Self {
        let bus_names = MatchedPatterns::of_name(set, BUS_NAME.as_str());
        Self { by_audience: HashMap::default(), bus_names, prepared: Vec::new() }
    }

    pub(super) fn prepare(&mut self, compiled: Vec<(Audience, UserPolicy)>) {
        self.prepared = compiled;
    }

    /// Those of the policy that comes into force now. Answers the former ones.
    fn renew(&mut self, set: &Arc<PolicySet>) -> Vec<Rc<UserPolicy>> {
        let prepared = std::mem::take(&mut self.prepared);
        let former = std::mem::replace(self, Self::new(set));
        let of_set = prepared.into_iter().filter(|(_, policy)| Arc::ptr_eq(policy.set(), set));
        self.by_audience.extend(of_set.map(|(audience, policy)| (audience, Rc::new(policy))));
        former.by_audience.into_values().collect()
    }

    fn of(&mut self, set: &Arc<PolicySet>, subject: Subject<'_>) -> Rc<UserPolicy> {
        let audience = set.audience(subject);
        if let Some(policy) = self.by_audience.get(&audience) {
            return Rc::clone(policy);
        }
        if self.by_audience.len() >= KEPT_POLICY_COUNT_MAX {
            self.by_audience.retain(|_, policy| Rc::strong_count(policy) > 1);
        }
        let policy = Rc::new(set.for_audience(&audience));
        self.by_audience.insert(audience, Rc::clone(&policy));
        policy
    }
}

/// One side of a message.
#[derive(Clone, Copy)]
pub(super) enum Party<'a> {
    Bus,
    /// A service that is not there yet, with the names that it will have (config.md B058).
    Service(&'a MatchedPatterns),
    /// A client, and what the policy says about it: nothing before Hello.
    Client(Option<&'a Standing>),
}

impl<'a> Party<'a> {
    pub(super) fn of(client: Option<&'a Client>) -> Self {
        Self::Client(client.and_then(|client| client.standing.as_ref()))
    }

    pub(super) fn standing(self) -> Option<&'a Standing> {
        match self {
            Self::Bus | Self::Service(_) => None,
            Self::Client(standing) => standing,
        }
    }

    fn names(self, policies: &'a Policies) -> &'a MatchedPatterns {
        match self {
            Self::Bus => &policies.bus_names,
            Self::Service(names) => names,
            Self::Client(standing) => standing.map_or(MatchedPatterns::NONE, Standing::names),
        }
    }
}

/// Whose rules stop a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// The sender's.
    Send(Verdict),
    /// The recipient's.
    Receive(Verdict),
}

impl Denial {
    /// The rule that decided.
    pub(super) const fn rule(self) -> Option<RuleId> {
        match self {
            Self::Send(verdict) | Self::Receive(verdict) => verdict.rule,
        }
    }
}

/// A message on its way from one party to another.
#[derive(Clone, Copy)]
pub(super) struct Passage<'a> {
    pub(super) header: &'a Header<'a>,
    pub(super) circumstances: Circumstances,
    pub(super) sender: Party<'a>,
    pub(super) recipient: Party<'a>,
}

/// How a message passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passing {
    /// The sender's rule that let it pass, if it asks for a log line (config.md B072).
    pub(super) log: Option<Verdict>,
    /// Single rules had to be looked for.
    pub(super) was_asked: bool,
}

impl Passage<'_> {
    /// Whether it passes, and how.
    #[inline]
    pub(super) fn check(&self, policies: &Policies) -> Result<Passing, Denial> {
        let mut log = None;
        let question = OnceCell::new();
        if let Some(standing) = self.sender.standing() {
            let names = self.recipient.names(policies);
            let verdict = self.may_be_sent(standing, names, &question);
            if !verdict.is_allowed() {
                return Err(Denial::Send(verdict));
            }
            log = Some(verdict).filter(|verdict| verdict.log);
        }
        if let Some(standing) = self.recipient.standing() {
            let names = self.sender.names(policies);
            let verdict = self.may_be_received(standing, names, &question);
            if !verdict.is_allowed() {
                return Err(Denial::Receive(verdict));
            }
        }
        Ok(Passing { log, was_asked: question.get().is_some() })
    }

    #[inline]
    fn may_be_sent<'q>(
        &'q self,
        standing: &'q Standing,
        names: &MatchedPatterns,
        question: &OnceCell<Question<'q>>,
    ) -> Verdict {
        let Self { header, circumstances, .. } = *self;
        let (message_type, is_reply) = (rule_type(header), header.reply_serial.is_some());
        let settled = standing.policy.settled_send(message_type, is_reply, circumstances, names);
        settled.unwrap_or_else(|| {
            let question = question.get_or_init(|| self.question(standing));
            standing.policy.may_send(question, circumstances, names)
        })
    }

    #[inline]
    fn may_be_received<'q>(
        &'q self,
        standing: &'q Standing,
        names: &MatchedPatterns,
        question: &OnceCell<Question<'q>>,
    ) -> Verdict {
        let Self { header, circumstances, .. } = *self;
        let (message_type, is_reply) = (rule_type(header), header.reply_serial.is_some());
        let settled = standing.policy.settled_receive(message_type, is_reply, circumstances, names);
        settled.unwrap_or_else(|| {
            let question = question.get_or_init(|| self.question(standing));
            standing.policy.may_receive(question, circumstances, names)
        })
    }

    /// The same question for both sides, so that each field is looked up once.
    fn question<'q>(&'q self, standing: &'q Standing) -> Question<'q> {
        Question::new(standing.policy.set(), facts(self.header))
    }

    /// How many rules matched, which the reference says in a refusal (protocol.md A241). It takes
    /// time with every rule about the other side's names or any.
    fn match_count(&self, policies: &Policies, denial: Denial) -> usize {
        let Self { circumstances, sender, recipient, .. } = *self;
        let (standing, names) = match denial {
            Denial::Send(_) => (sender.standing(), recipient.names(policies)),
            Denial::Receive(_) => (recipient.standing(), sender.names(policies)),
        };
        let Some(standing) = standing else { return 0 };
        let (policy, question) = (&standing.policy, &self.question(standing));
        match denial {
            Denial::Send(_) => policy.count_send(question, circumstances, names),
            Denial::Receive(_) => policy.count_receive(question, circumstances, names),
        }
    }

    /// The beginning of a refusal as the reference writes it, and the rule that decided.
    pub(super) fn describe_denial(&self, policies: &Policies, denial: Denial) -> (String, String) {
        let (what, verdict, standing) = match denial {
            Denial::Send(verdict) => ("send", verdict, self.sender.standing()),
            Denial::Receive(verdict) => ("receive", verdict, self.recipient.standing()),
        };
        let count = self.match_count(policies, denial);
        let rule = standing
            .map_or_else(String::new, |standing| describe_rule(standing.policy.set(), verdict));
        (format!("Rejected {what} message, {count} matched rules"), rule)
    }
}

/// Who of many recipients may get a message: those whom the policy cannot tell from the one before
/// cost nothing.
pub(super) struct Gate<'a> {
    policies: &'a Policies,
    watch: &'a Watch<'a>,
    last: Option<(Standing, bool)>,
    /// The first that asked for a log line.
    pub(super) log: Option<Verdict>,
    /// Who was denied it, if that is to be noted.
    pub(super) denied: Vec<ClientId>,
}

/// A message that goes to many, and from whom.
pub(super) struct Watch<'a> {
    pub(super) header: &'a Header<'a>,
    pub(super) sender: Party<'a>,
    /// See [`Circumstances`].
    pub(super) eavesdropping: bool,
    /// Whether to note who is denied it: monitors are shown that.
    pub(super) notes_denied: bool,
}

impl<'a> Gate<'a> {
    pub(super) const fn new(policies: &'a Policies, watch: &'a Watch<'a>) -> Self {
        Self { policies, watch, last: None, log: None, denied: Vec::new() }
    }

    pub(super) fn is_open_for(&mut self, client: &Client) -> bool {
        let is_open = self.lets_pass(client);
        if !is_open && self.watch.notes_denied {
            self.denied.push(client.id);
        }
        is_open
    }

    fn lets_pass(&mut self, client: &Client) -> bool {
        let Some(standing) = &client.standing else { return true };
        if let Some((last, passed)) = &self.last
            && last.is_same(standing)
        {
            return *passed;
        }
        let Watch { header, sender, eavesdropping, .. } = *self.watch;
        let circumstances = Circumstances { requested_reply: false, eavesdropping };
        let recipient = Party::Client(Some(standing));
        let checked = Passage { header, circumstances, sender, recipient }.check(self.policies);
        self.log = self.log.or(checked.ok().and_then(|passing| passing.log));
        self.last = Some((standing.clone(), checked.is_ok()));
        checked.is_ok()
    }
}

/// What rules can say about a message with this header.
fn facts<'a>(header: &'a Header<'_>) -> Facts<'a> {
    Facts {
        message_type: rule_type(header),
        path: header.path.as_ref().map(|path| path.as_str()),
        interface: header.interface.as_ref().map(|interface| interface.as_str()),
        member: header.member.as_ref().map(|member| member.as_str()),
        error_name: header.error_name.as_ref().map(|name| name.as_str()),
        fds: header.unix_fds,
        is_broadcast: header.message_type == MessageType::Signal && header.destination.is_none(),
        is_reply: header.reply_serial.is_some(),
    }
}

const fn rule_type(header: &Header<'_>) -> RuleMessageType {
    match header.message_type {
        MessageType::MethodReturn => RuleMessageType::MethodReturn,
        MessageType::Error => RuleMessageType::Error,
        MessageType::Signal => RuleMessageType::Signal,
        // Messages of unknown types are refused before anybody asks (protocol.md A033).
        MessageType::MethodCall | MessageType::Unknown(_) => RuleMessageType::MethodCall,
    }
}

/// The rule that decided, for a refusal.
pub(super) fn describe_rule(set: &PolicySet, verdict: Verdict) -> String {
    struct Described<'a>(&'a PolicySet, Verdict);
    impl fmt::Display for Described<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.1.rule.and_then(|id| self.0.rule(id)) {
                Some(placed) => write!(
                    f,
                    "rule {} in <policy {}> at {}",
                    RuleText(placed),
                    placed.context,
                    placed.rule.location
                ),
                None => f.write_str("no rule of the configuration allows it"),
            }
        }
    }
    Described(set, verdict).to_string()
}

impl Bus {
    /// Puts the rules of its user and groups in force for a client that says Hello
    /// (config.md B051).
    pub(super) fn assign_policy(&mut self, id: ClientId) {
        let Self { clients, settings, policies, identity, .. } = self;
        let Some(client) = clients.get(id) else { return };
        let gids = gids_of(client, &identity.own_credentials);
        let subject = Subject { uid: client.uid, gids };
        let policy = policies.of(&settings.policy, subject);
        if let Some(client) = clients.get_mut(id) {
            client.standing = Some(Standing { policy, names: None });
            // It would keep a policy that is in force no longer.
            client.passed = None;
        }
        self.note_names(id);
    }

    /// Who a client is, to judge what it said when it is gone.
    pub(super) fn remember(&self, client: &Client) -> FormerClient {
        let mut names: Vec<Box<str>> = Vec::new();
        names.extend(client.unique.as_ref().map(|unique| unique.as_str().into()));
        self.names.names_of(client.id).for_each(|held| names.push(held.name.into()));
        FormerClient {
            standing: client.standing.clone(),
            uid: client.uid,
            gids: gids_of(client, &self.identity.own_credentials).into(),
            names: (names.len() <= REMEMBERED_NAME_COUNT_MAX).then_some(names),
        }
    }

    /// What the policy in force says about a client that is gone; nothing if it had too many names to be
    /// remembered and another policy was in force.
    pub(super) fn standing_of_former(&mut self, former: &FormerClient) -> Option<Standing> {
        let Self { settings, policies, .. } = self;
        let set = &settings.policy;
        if let Some(standing) = former.standing.as_ref().filter(|standing| standing.is_of(set)) {
            return Some(standing.clone());
        }
        let mut patterns = MatchedPatterns::default();
        former.names.as_ref()?.iter().for_each(|name| patterns.add(set, name));
        let policy = policies.of(set, Subject { uid: former.uid, gids: &former.gids });
        let names = (!patterns.is_empty()).then(|| Rc::new(patterns));
        Some(Standing { policy, names })
    }

    /// A name of a client came or went.
    pub(super) fn note_name(&mut self, id: ClientId, name: &str) {
        let set = &self.settings.policy;
        if set.has_patterns() && set.patterns_of(name).next().is_some() {
            self.note_names(id);
        }
    }

    fn note_names(&mut self, id: ClientId) {
        let Self { clients, settings, names, .. } = self;
        let set = &settings.policy;
        if !set.has_patterns() {
            return;
        }
        let Some(client) = clients.get_mut(id) else { return };
        let mut patterns = MatchedPatterns::default();
        if let Some(unique) = &client.unique {
            patterns.add(set, unique.as_str());
        }
        names.names_of(id).for_each(|held| patterns.add(set, held.name));
        if let Some(standing) = &mut client.standing {
            standing.names = (!patterns.is_empty()).then(|| Rc::new(patterns));
        }
    }

    /// Puts another policy in force, for those who are connected too (config.md B106).
    pub(super) fn reapply_policy(&mut self) {
        let former = self.policies.renew(&self.settings.policy);
        let registered = self.clients.iter().filter(|client| client.standing.is_some());
        let ids: Vec<ClientId> = registered.map(|client| client.id).collect();
        ids.into_iter().for_each(|id| self.assign_policy(id));
        let policies: Vec<UserPolicy> = former.into_iter().filter_map(Rc::into_inner).collect();
        self.effects.push_back(Effect::LetGo { policies });
    }

    /// Whom policies are for at the moment: each user with each set of groups, once.
    #[must_use]
    pub fn subjects(&self) -> HashSet<(Option<u32>, Box<[u32]>), FixedState> {
        let own = &self.identity.own_credentials;
        let registered = self.clients.iter().filter(|client| client.standing.is_some());
        registered.map(|client| (client.uid, gids_of(client, own).into())).collect()
    }

    /// Who was refused which message and by which rule, for a log that keeps such things apart.
    pub(super) fn log_fields(
        &self,
        header: &Header<'_>,
        sender: ClientId,
        rule: Option<RuleId>,
    ) -> Vec<(LogField, String)> {
        let facts = facts(header);
        let credentials = self.clients.get(sender).map(|client| &client.credentials);
        let text = |value: Option<&str>| value.map(str::to_owned);
        let placed = rule.and_then(|id| self.settings.policy.rule(id));
        let location = placed.map(|placed| &placed.rule.location);
        let fields = [
            (LogField::Sender, Some(self.name_of(sender))),
            (LogField::SenderUid, credentials.and_then(|c| c.uid).map(|uid| uid.to_string())),
            (LogField::SenderPid, credentials.and_then(|c| c.pid).map(|pid| pid.to_string())),
            (LogField::Destination, text(header.destination.as_ref().map(|name| name.as_str()))),
            (LogField::MessageType, Some(facts.message_type.to_string())),
            (LogField::Interface, text(facts.interface)),
            (LogField::Member, text(facts.member)),
            (LogField::Path, text(facts.path)),
            (LogField::ErrorName, text(facts.error_name)),
            (LogField::Rule, placed.map(|placed| RuleText(placed).to_string())),
            (LogField::RuleFile, location.map(|place| place.file.display().to_string())),
            (LogField::RuleLine, location.map(|place| place.line.to_string())),
        ];
        fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
    }

    /// Logs what a rule with log="true" let pass (config.md B072), if there is room in the log.
    pub(super) fn log_passage(
        &mut self,
        message: &Message<'_>,
        recipient: Option<ClientId>,
        circumstances: Circumstances,
        verdict: Verdict,
    ) {
        if !self.may_log_passage(message.sender) {
            return;
        }
        let (header, sender) = (message.header, message.sender);
        let passage = Passage {
            header,
            circumstances,
            sender: Party::of(self.clients.get(sender)),
            recipient: recipient.map_or(Party::Bus, |id| Party::of(self.clients.get(id))),
        };
        let denial = Denial::Send(verdict);
        let count = passage.match_count(&self.policies, denial);
        let (_, rule) = passage.describe_denial(&self.policies, denial);
        let why = format!("Would reject message, {count} matched rules");
        let requested = circumstances.requested_reply;
        let text = self.describe_rejection(header, Some(sender), recipient, &why, requested);
        let mut record = LogRecord::new(Severity::Security, &format_args!("{text}; {rule}"));
        record.fields = self.log_fields(header, sender, verdict.rule);
        self.log(record);
    }
}

/// The groups of a client: those of its socket, from the time of connecting. One that proved by a
/// cookie that it is the bus's own user has that user's.
pub(super) fn gids_of<'a>(client: &'a Client, own: &'a PeerCredentials) -> &'a [u32] {
    let credentials = &client.credentials;
    let known = if credentials.uid == client.uid { credentials } else { own };
    if known.uid == client.uid { groups_of(known) } else { &[] }
}

/// The groups that the kernel names; an old one names a single one.
pub(super) fn groups_of(known: &PeerCredentials) -> &[u32] {
    match (&known.groups, &known.gid) {
        (Some(groups), _) => groups,
        (None, Some(gid)) => std::slice::from_ref(gid),
        (None, None) => &[],
    }
}
