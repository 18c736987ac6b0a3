//! All rules of a configuration, with users and groups looked up.
//!
//! [`PolicySet::new`] turns the `<policy>` blocks into numbered rules and keeps, for each kind of
//! block, which rules it has; [`PolicySet::for_audience`] puts together those that apply to one
//! client, in the order of config.md B049, as a [`UserPolicy`]. Clients whose users and groups the
//! policy does not tell apart have the same [`Audience`] and share one.
//!
//! Names in rules are numbered too ([`NamePatternId`]): a client keeps the numbers that its own
//! names match in a [`MatchedPatterns`], so that no decision compares names.

mod connect;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::config::{BusConfig, Fault, Location, Problem};
use crate::rule::{Account, Action, Effect, NamePattern, Rule};
use crate::shown::ShownValue;
use crate::subject::{AccountNames, Subject, gid_of, uid_of};
use crate::symbols::SymbolTable;
use crate::user_policy::UserPolicy;
use crate::verdict::Verdict;
use connect::ConnectRules;
pub(crate) use connect::{ConnectRule, Who};

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

/// As in the `<policy>` element: `context="default"`.
impl std::fmt::Display for PolicyContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("context=\"default\""),
            Self::Mandatory => f.write_str("context=\"mandatory\""),
            Self::User(name) => write!(f, "user=\"{}\"", ShownValue(name)),
            Self::Group(name) => write!(f, "group=\"{}\"", ShownValue(name)),
            Self::AtConsole(is_there) => write!(f, "at_console=\"{is_there}\""),
        }
    }
}

/// The number of a rule within its [`PolicySet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(crate) u32);

/// The number of a name, or of a prefix of names, that rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePatternId(u32);

impl NamePatternId {
    /// Its place in a table of all of them.
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }
}

/// A rule with the block it stands in.
#[derive(Clone, Debug)]
pub struct PlacedRule {
    /// The rule.
    pub rule: Rule,
    /// Whom its block is for.
    pub context: Arc<PolicyContext>,
    /// The name it is about, if it is about one.
    pub(crate) pattern: Option<NamePatternId>,
}

/// All rules of a configuration.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    rules: Vec<PlacedRule>,
    default: Vec<RuleId>,
    groups: BTreeMap<u32, Vec<RuleId>>,
    users: BTreeMap<u32, Vec<RuleId>>,
    /// deviation: none; nobody is at the console (config.md B052), so these apply to every user.
    not_at_console: Vec<RuleId>,
    mandatory: Vec<RuleId>,
    connect: ConnectRules,
    patterns: NamePatterns,
    symbols: SymbolTable,
}

/// Which of the blocks apply to a client; equal for clients that no block tells apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience {
    has_user: bool,
    /// The user, if a block is for it.
    uid: Option<u32>,
    /// Those of its groups that a block is for, in ascending order.
    gids: Box<[u32]>,
}

impl PolicySet {
    /// The rules of `config`. Blocks and connect rules for accounts that do not exist are left out
    /// (config.md B048, B071); each is in the second value.
    #[must_use]
    pub fn new(config: &BusConfig, accounts: &impl AccountNames) -> (Self, Vec<Problem>) {
        let mut set = Self::default();
        let mut problems = Vec::new();
        for block in &config.policies {
            set.add_block(block, accounts, &mut problems);
        }
        set.connect.finish();
        (set, problems)
    }

    fn add_block(
        &mut self,
        block: &PolicyBlock,
        accounts: &impl AccountNames,
        problems: &mut Vec<Problem>,
    ) {
        let unknown = |fault| Problem::warning(&block.location, fault);
        let number = match &block.context {
            PolicyContext::User(name) => match uid_of(name, accounts) {
                Some(uid) => uid,
                None => return problems.push(unknown(Fault::UnknownUser(name.to_string()))),
            },
            PolicyContext::Group(name) => match gid_of(name, accounts) {
                Some(gid) => gid,
                None => return problems.push(unknown(Fault::UnknownGroup(name.to_string()))),
            },
            _ => 0,
        };
        let context = Arc::new(block.context.clone());
        let ids = block.rules.iter().map(|rule| self.add_rule(rule, &context)).collect::<Vec<_>>();
        self.add_connect_rules(&ids, &block.context, accounts, problems);
        let list = match &block.context {
            PolicyContext::Default => &mut self.default,
            PolicyContext::Mandatory => &mut self.mandatory,
            PolicyContext::User(_) => self.users.entry(number).or_default(),
            PolicyContext::Group(_) => self.groups.entry(number).or_default(),
            PolicyContext::AtConsole(false) => &mut self.not_at_console,
            // config.md B052
            PolicyContext::AtConsole(true) => return,
        };
        list.extend(ids);
    }

    fn add_rule(&mut self, rule: &Rule, context: &Arc<PolicyContext>) -> RuleId {
        let exactly = |name: &str| NamePattern::Exactly(name.into());
        let pattern = match &rule.action {
            Action::Send(send) => self.patterns.intern(&send.destination),
            Action::Receive(receive) => {
                receive.sender.as_deref().and_then(|sender| self.patterns.intern(&exactly(sender)))
            }
            Action::Own(name) => self.patterns.intern(name),
            Action::ConnectUser(_) | Action::ConnectGroup(_) => None,
        };
        if let Some(pattern) = rule.action.message_pattern() {
            self.symbols.add(pattern);
        }
        let id = RuleId(self.rules.len() as u32);
        self.rules.push(PlacedRule { rule: rule.clone(), context: Arc::clone(context), pattern });
        id
    }

    fn add_connect_rules(
        &mut self,
        ids: &[RuleId],
        context: &PolicyContext,
        accounts: &impl AccountNames,
        problems: &mut Vec<Problem>,
    ) {
        for id in ids {
            let Some(PlacedRule { rule, .. }) = self.rules.get(id.0 as usize) else { continue };
            let (who, unknown) = match &rule.action {
                Action::ConnectUser(Account::Any) => (Ok(Who::AnyUser), None),
                Action::ConnectGroup(Account::Any) => (Ok(Who::AnyGroup), None),
                Action::ConnectUser(Account::Named(name)) => (
                    uid_of(name, accounts).map(Who::User).ok_or(()),
                    Some(Fault::UnknownUser(name.to_string())),
                ),
                Action::ConnectGroup(Account::Named(name)) => (
                    gid_of(name, accounts).map(Who::Group).ok_or(()),
                    Some(Fault::UnknownGroup(name.to_string())),
                ),
                _ => continue,
            };
            match (who, unknown) {
                (Ok(who), _) => {
                    self.connect.add(context, ConnectRule { who, effect: rule.effect, id: *id });
                }
                (Err(()), Some(fault)) => problems.push(Problem::warning(&rule.location, fault)),
                (Err(()), None) => {}
            }
        }
    }

    /// Which blocks apply to `subject`.
    #[must_use]
    pub fn audience(&self, subject: Subject<'_>) -> Audience {
        let mut gids = Vec::new();
        if !self.groups.is_empty() {
            gids.extend(subject.gids.iter().filter(|gid| self.groups.contains_key(gid)));
            gids.sort_unstable();
            gids.dedup();
        }
        let Some(uid) = subject.uid else {
            return Audience { has_user: false, uid: None, gids: Box::default() };
        };
        let uid = Some(uid).filter(|uid| self.users.contains_key(uid));
        Audience { has_user: true, uid, gids: gids.into() }
    }

    /// The rules for `audience`, ready to decide.
    #[must_use]
    pub fn for_audience(self: &Arc<Self>, audience: &Audience) -> UserPolicy {
        UserPolicy::new(self, self.rules_in_order(audience))
    }

    /// The rules for each of these users with their groups, each audience once.
    pub fn compile<'a>(
        self: &Arc<Self>,
        subjects: impl IntoIterator<Item = &'a (Option<u32>, Box<[u32]>)>,
    ) -> Vec<(Audience, UserPolicy)> {
        let audience =
            |(uid, gids): &(Option<u32>, Box<[u32]>)| self.audience(Subject { uid: *uid, gids });
        let audiences: HashSet<Audience, FixedState> = subjects.into_iter().map(audience).collect();
        let compiled = audiences.into_iter().map(|audience| {
            let policy = self.for_audience(&audience);
            (audience, policy)
        });
        compiled.collect()
    }

    /// config.md B049: default, groups, user, console, mandatory.
    ///
    /// deviation: groups come in the order of their numbers; the reference's order is undefined.
    fn rules_in_order<'a>(&'a self, audience: &'a Audience) -> impl Iterator<Item = RuleId> + 'a {
        let console = self.not_at_console.iter().filter(|_| audience.has_user);
        let chain = self.default.iter().copied().chain(self.special_rules_of(audience));
        chain.chain(console.copied()).chain(self.mandatory.iter().copied())
    }

    /// Whether `subject` may connect (config.md B071): by default only `own_uid`, the user that the
    /// bus runs as.
    ///
    /// deviation: groups are those of the client's process, as for all other rules; the reference asks
    /// the group database here, which may have changed since.
    #[must_use]
    pub fn may_connect(&self, subject: Subject<'_>, own_uid: u32) -> Verdict {
        self.connect.decide(subject).unwrap_or(Verdict {
            effect: if subject.uid == Some(own_uid) { Effect::Allow } else { Effect::Deny },
            ..Verdict::NO_RULE
        })
    }

    /// The rule with this number.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&PlacedRule> {
        self.rules.get(id.0 as usize)
    }

    /// All rules, those of blocks for accounts that do not exist left out.
    #[must_use]
    pub fn rules(&self) -> &[PlacedRule] {
        &self.rules
    }

    /// The numbers of all patterns that `name` matches.
    pub fn patterns_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = NamePatternId> + 'a {
        self.patterns.of(name)
    }

    /// The numbers of all prefixes that `prefix` is or begins with.
    pub(crate) fn prefixes_of<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = NamePatternId> + 'a {
        self.patterns.prefixes_of(prefix)
    }

    /// The rules for everybody that come before those for some.
    pub(crate) fn default_rules(&self) -> &[RuleId] {
        &self.default
    }

    /// The rules for each group and each user.
    pub(crate) fn special_rules(&self) -> impl Iterator<Item = &[RuleId]> {
        self.groups.values().chain(self.users.values()).map(Vec::as_slice)
    }

    /// The rules for the groups and the user of an audience.
    pub(crate) fn special_rules_of(&self, audience: &Audience) -> impl Iterator<Item = RuleId> {
        let groups = audience.gids.iter().filter_map(|gid| self.groups.get(gid)).flatten();
        let user = audience.uid.and_then(|uid| self.users.get(&uid)).into_iter().flatten();
        groups.chain(user).copied()
    }

    /// The rules that come last, for every user.
    pub(crate) fn last_rules(&self) -> impl DoubleEndedIterator<Item = RuleId> + '_ {
        self.not_at_console.iter().chain(&self.mandatory).copied()
    }

    /// The users that a block is for.
    pub(crate) fn named_uids(&self) -> impl Iterator<Item = u32> + '_ {
        self.users.keys().copied()
    }

    /// The groups that a block is for.
    pub(crate) fn named_gids(&self) -> impl Iterator<Item = u32> + '_ {
        self.groups.keys().copied()
    }

    /// Those about connecting, all blocks together, in the order in which they apply.
    pub(crate) fn connect_rules_in_order(&self) -> impl Iterator<Item = &ConnectRule> {
        self.connect.in_order()
    }

    /// The header fields that rules name.
    pub(crate) const fn symbols(&self) -> &SymbolTable {
        &self.symbols
    }

    /// Whether any rule is about a name at all.
    #[must_use]
    pub fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }
}

/// The name patterns of all rules.
#[derive(Clone, Debug, Default)]
struct NamePatterns {
    exact: HashMap<Box<str>, NamePatternId, FixedState>,
    prefixes: HashMap<Box<str>, NamePatternId, FixedState>,
}

impl NamePatterns {
    fn intern(&mut self, pattern: &NamePattern) -> Option<NamePatternId> {
        let next = NamePatternId((self.exact.len() + self.prefixes.len()) as u32);
        match pattern {
            NamePattern::Any => None,
            NamePattern::Exactly(name) => Some(*self.exact.entry(name.clone()).or_insert(next)),
            NamePattern::Prefix(name) => Some(*self.prefixes.entry(name.clone()).or_insert(next)),
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = NamePatternId> + 'a {
        self.exact.get(name).copied().into_iter().chain(self.prefixes_of(name))
    }

    fn prefixes_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = NamePatternId> + 'a {
        let dots = name.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
        let ends = dots.chain([name.len()]).filter(|_| !self.prefixes.is_empty());
        ends.filter_map(|end| self.prefixes.get(name.get(..end)?).copied())
    }
}

/// Which patterns the names of one client match, those it queues for included (config.md B058).
/// Made anew when a name that matters comes or goes, and under another policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchedPatterns(Vec<NamePatternId>);

impl MatchedPatterns {
    /// No name matches any pattern.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// The patterns that one name matches: the destination of a message to the bus, or of one that
    /// waits for its destination to be started (config.md B058).
    #[must_use]
    pub fn of_name(set: &PolicySet, name: &str) -> Self {
        let mut patterns = Self::default();
        patterns.add(set, name);
        patterns
    }

    /// The client has this name too.
    pub fn add(&mut self, set: &PolicySet, name: &str) {
        for id in set.patterns_of(name) {
            if !self.0.contains(&id) {
                self.0.push(id);
            }
        }
    }

    /// The patterns, each once.
    pub fn iter(&self) -> impl Iterator<Item = NamePatternId> + '_ {
        self.0.iter().copied()
    }

    /// Whether no name matches any pattern.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, id: NamePatternId) -> bool {
        self.0.contains(&id)
    }
}
