//! Decisions: each clause of config.md B.4 and B.5, and that the compiled tables agree with going
//! through all rules.

mod administration;

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::config::{BusConfig, NoFiles, load_text};
use crate::explain::{Outcome, RuleText};
use crate::policy_set::{MatchedPatterns, PolicySet};
use crate::question::{Circumstances, Message};
use crate::rule::{Effect, MessageType};
use crate::subject::{AccountNames, Subject};
use crate::symbols::Question;
use crate::user_policy::UserPolicy;

pub(crate) struct Accounts;

impl AccountNames for Accounts {
    fn uid(&self, name: &str) -> Option<u32> {
        [("root", 0), ("alice", 1000), ("bob", 1001)].into_iter().find(|a| a.0 == name).map(|a| a.1)
    }

    fn gid(&self, name: &str) -> Option<u32> {
        [("wheel", 10), ("audio", 29)].into_iter().find(|a| a.0 == name).map(|a| a.1)
    }

    fn gids_of(&self, uid: u32) -> Option<Vec<u32>> {
        Some(if uid == 1000 { vec![10] } else { Vec::new() })
    }
}

fn read(policies: &str) -> BusConfig {
    let text = format!("<busconfig><listen>a</listen>{policies}</busconfig>");
    let loaded = load_text(Path::new("bus.conf"), text.as_bytes(), &NoFiles);
    assert!(loaded.config.is_some(), "{policies}: {:?}", loaded.problems);
    loaded.config.unwrap()
}

pub(crate) fn set(policies: &str) -> Arc<PolicySet> {
    Arc::new(PolicySet::new(&read(policies), &Accounts).0)
}

fn policy_of(policies: &str, uid: Option<u32>, gids: &[u32]) -> UserPolicy {
    let set = set(policies);
    set.for_audience(&set.audience(Subject { uid, gids }))
}

/// Rules in `<policy context="default">`.
fn policy(rules: &str) -> UserPolicy {
    policy_of(&format!("<policy context='default'>{rules}</policy>"), Some(1000), &[])
}

const CALL: Message<'static> = Message {
    message_type: MessageType::MethodCall,
    path: Some("/a"),
    interface: Some("i.A"),
    member: Some("M"),
    error_name: None,
    fds: 0,
    is_broadcast: false,
    is_reply: false,
};
const CALL_WITHOUT_INTERFACE: Message<'static> = Message { interface: None, ..CALL };
const SIGNAL: Message<'static> = Message { message_type: MessageType::Signal, ..CALL };
const BROADCAST: Message<'static> = Message { is_broadcast: true, ..SIGNAL };
const RETURN: Message<'static> = Message {
    message_type: MessageType::MethodReturn,
    path: None,
    interface: None,
    member: None,
    is_reply: true,
    ..CALL
};
const ERROR: Message<'static> =
    Message { message_type: MessageType::Error, error_name: Some("e.E"), ..RETURN };

fn names(policy: &UserPolicy, owned: &[&str]) -> MatchedPatterns {
    let mut patterns = MatchedPatterns::default();
    owned.iter().for_each(|name| patterns.add(policy.set(), name));
    patterns
}

/// Whether `rules` let `message` be sent to an owner of `owned`.
fn sends(rules: &str, message: Message<'_>, owned: &[&str]) -> bool {
    sends_under(rules, message, owned, Circumstances::default())
}

fn sends_under(rules: &str, message: Message<'_>, owned: &[&str], how: Circumstances) -> bool {
    let policy = policy(rules);
    let names = names(&policy, owned);
    let verdict = policy.may_send(&Question::new(policy.set(), message), how, &names);
    assert_eq!(policy.explain_send(&message, how, &names).verdict, verdict, "{rules}");
    verdict.is_allowed()
}

fn receives(rules: &str, message: Message<'_>, sender: &[&str], how: Circumstances) -> bool {
    let policy = policy(rules);
    let names = names(&policy, sender);
    let verdict = policy.may_receive(&Question::new(policy.set(), message), how, &names);
    assert_eq!(policy.explain_receive(&message, how, &names).verdict, verdict, "{rules}");
    verdict.is_allowed()
}

fn owns(rules: &str, name: &str) -> bool {
    let policy = policy(rules);
    let verdict = policy.may_own(name);
    assert_eq!(policy.explain_own(name).verdict, verdict, "{rules}");
    verdict.is_allowed()
}

const REQUESTED: Circumstances = Circumstances { requested_reply: true, eavesdropping: false };
const UNREQUESTED: Circumstances = Circumstances { requested_reply: false, eavesdropping: false };
const OVERHEARD: Circumstances = Circumstances { requested_reply: false, eavesdropping: true };
const SEND_ALL: &str = "<allow send_destination='*'/>";

// config.md B050
#[test]
fn the_last_matching_rule_wins_and_none_denies() {
    assert!(!sends("", CALL, &[]));
    assert!(sends(SEND_ALL, CALL, &[]));
    assert!(!sends(
        "<allow send_destination='*'/><deny send_member='M' send_path='/a'/>",
        CALL,
        &[]
    ));
    assert!(sends("<deny send_interface='i.A'/><allow send_path='/a'/>", CALL, &[]));
    assert!(!owns("", "a.b"));
    assert!(!receives("", CALL, &[], UNREQUESTED));
}

// config.md B049, B051, B052, B053, B074
#[test]
fn blocks_apply_in_their_order_whatever_the_order_of_the_file() {
    let policies = |mandatory: &str| {
        format!(
            "<policy context='mandatory'>{mandatory}</policy>\
             <policy user='alice'><allow own='a.user'/><deny own='a.group'/></policy>\
             <policy group='wheel'><allow own='a.group'/><deny own='a.default'/></policy>\
             <policy at_console='false'><allow own='a.away'/></policy>\
             <policy at_console='true'><allow own='a.console'/></policy>\
             <policy context='default'><allow own='a.default'/><deny own='a.user'/></policy>"
        )
    };
    let check = |mandatory, uid, gids: &[u32], expected: &[&str]| {
        let policy = policy_of(&policies(mandatory), uid, gids);
        let all = ["a.default", "a.group", "a.user", "a.away", "a.console"];
        let allowed: Vec<&str> =
            all.into_iter().filter(|name| policy.may_own(name).is_allowed()).collect();
        assert_eq!(allowed, expected, "{mandatory} {uid:?} {gids:?}");
    };
    check("", Some(1001), &[], &["a.default", "a.away"]);
    check("", Some(1001), &[29, 10], &["a.group", "a.away"]);
    check("", Some(1000), &[10], &["a.user", "a.away"]);
    check("", None, &[10], &["a.default"]);
    check("<deny own='*'/>", Some(1000), &[10], &[]);
}

// config.md B048, B071
#[test]
fn what_is_for_accounts_that_do_not_exist_is_left_out_with_a_warning() {
    let config = read(
        "<policy user='nobody-here'><allow own='*'/></policy>\
         <policy group='no-group'><allow own='*'/></policy>\
         <policy context='default'><allow user='nobody-here'/><deny group='no-group'/></policy>",
    );
    let (set, problems) = PolicySet::new(&config, &Accounts);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert!(texts.iter().all(|text| text.starts_with("bus.conf:1:") && text.contains("no ")));
    assert!(set.may_connect(Subject { uid: Some(0), gids: &[] }, 0).is_allowed());
}

// config.md B071
#[test]
fn who_may_connect() {
    let check = |rules: &str, uid, gids: &[u32], expected| {
        let policies = format!("<policy context='default'>{rules}</policy>");
        let verdict = set(&policies).may_connect(Subject { uid: Some(uid), gids }, 7);
        assert_eq!(verdict.is_allowed(), expected, "{rules} {uid} {gids:?}");
    };
    check("", 7, &[], true);
    check("", 0, &[], false);
    check("<allow user='*'/>", 1000, &[], true);
    check("<allow user='alice'/>", 1000, &[], true);
    check("<allow user='alice'/>", 1001, &[], false);
    check("<allow user='1001'/>", 1001, &[], true);
    check("<allow group='wheel'/>", 1001, &[5, 10], true);
    check("<allow user='*'/><deny group='wheel'/>", 1001, &[10], false);
    check("<deny group='wheel'/><allow user='*'/>", 1001, &[10], true);
    check("<deny user='*'/>", 7, &[], false);
    let mandatory = "<policy context='mandatory'><deny user='bob'/></policy>\
                     <policy context='default'><allow user='*'/></policy>";
    assert!(!set(mandatory).may_connect(Subject { uid: Some(1001), gids: &[] }, 7).is_allowed());
}

// config.md B054
#[test]
fn a_rule_without_restrictions_removes_those_before_it() {
    // The wildcard is about requested replies only, and yet the rule before it is gone.
    let rules = "<allow send_type='method_return' send_requested_reply='false'/>\
                 <allow send_requested_reply='true'/>";
    assert!(!sends_under(rules, RETURN, &[], UNREQUESTED));
    assert!(sends_under(rules, RETURN, &[], REQUESTED));
    let rules = "<allow send_destination='a.b'/><deny send_destination='*' min_fds='1'/>";
    assert!(!sends(rules, CALL, &["a.b"]));
    let policy = policy(rules);
    let names = names(&policy, &["a.b"]);
    let steps = policy.explain_send(&CALL, UNREQUESTED, &names).steps;
    assert!(matches!(steps[0].outcome, Outcome::Removed { .. }), "{steps:?}");
}

// config.md B055, B056, B057, B060
#[test]
fn messages_without_a_field_that_a_rule_names() {
    assert!(!sends("<allow send_interface='i.A'/>", CALL_WITHOUT_INTERFACE, &[]));
    let deny = |rule: &str| format!("{SEND_ALL}{rule}");
    assert!(!sends(&deny("<deny send_interface='i.A'/>"), CALL_WITHOUT_INTERFACE, &[]));
    assert!(sends(&deny("<deny send_interface='i.B'/>"), CALL, &[]));
    let any_reply = "<allow send_path='/x' send_requested_reply='false'/>";
    assert!(sends(any_reply, RETURN, &[]));
    assert!(sends("<allow send_error='e.E'/>", CALL, &[]));
    let rule = "<allow send_error='e.E' send_requested_reply='false'/>";
    assert!(sends(rule, ERROR, &[]) && sends(rule, RETURN, &[]));
    assert!(!sends(rule, Message { error_name: Some("e.F"), ..ERROR }, &[]));
}

// config.md B058, B059
#[test]
fn any_name_of_the_destination_counts() {
    let rule = "<allow send_destination='a.b'/>";
    assert!(sends(rule, CALL, &["x.y", "a.b"]));
    assert!(!sends(rule, CALL, &["a.b.c"]));
    assert!(!sends(rule, CALL, &[]));
    assert!(sends("<allow send_destination=':1.5'/>", CALL, &[":1.5"]));
    let prefix = "<allow send_destination_prefix='a.b'/>";
    assert!(sends(prefix, CALL, &["a.b"]) && sends(prefix, CALL, &["x.y", "a.b.c.d"]));
    assert!(!sends(prefix, CALL, &["a.bc"]) && !sends(prefix, CALL, &["a"]));
    assert!(sends("<allow send_destination='*'/>", BROADCAST, &[]));
}

// config.md B061, B062
#[test]
fn types_and_broadcasts() {
    let rule = "<allow send_type='signal'/>";
    assert!(sends(rule, SIGNAL, &[]) && !sends(rule, CALL, &[]));
    assert!(sends("<allow send_type='*'/>", CALL, &[]));
    let only = "<allow send_broadcast='true'/>";
    assert!(sends(only, BROADCAST, &[]) && !sends(only, SIGNAL, &[]) && !sends(only, CALL, &[]));
    let others = "<allow send_broadcast='false'/>";
    assert!(!sends(others, BROADCAST, &[]) && sends(others, SIGNAL, &[]));
    assert!(sends(others, CALL, &[]));
}

// config.md B063, B066
#[test]
fn replies_that_are_waited_for_and_others() {
    let check = |rules: &str, requested, unrequested| {
        assert_eq!(sends_under(rules, RETURN, &[], REQUESTED), requested, "{rules}");
        assert_eq!(sends_under(rules, RETURN, &[], UNREQUESTED), unrequested, "{rules}");
        let rules =
            rules.replace("send_destination", "receive_sender").replace("send_", "receive_");
        assert_eq!(receives(&rules, RETURN, &[], REQUESTED), requested, "{rules}");
        assert_eq!(receives(&rules, RETURN, &[], UNREQUESTED), unrequested, "{rules}");
    };
    check("<allow send_destination='*'/>", true, false);
    check("<allow send_destination='*' send_requested_reply='false'/>", true, true);
    check("<allow send_destination='*' eavesdrop='true'/>", true, true);
    let all = "<allow send_destination='*' send_requested_reply='false'/>";
    check(&format!("{all}<deny send_type='method_return'/>"), true, false);
    check(
        &format!("{all}<deny send_type='method_return' send_requested_reply='true'/>"),
        false,
        false,
    );
}

// config.md B064, B065, B067, B075
#[test]
fn receiving_and_overhearing() {
    let rule = "<allow receive_sender='a.b' receive_interface='i.A'/>";
    assert!(receives(rule, CALL, &["a.b"], UNREQUESTED));
    assert!(!receives(rule, CALL, &["a.c"], UNREQUESTED));
    assert!(!receives(rule, CALL, &["a.b"], OVERHEARD));
    assert!(receives("<allow eavesdrop='true'/>", CALL, &[], OVERHEARD));
    assert!(receives("<allow eavesdrop='true'/>", CALL, &[], UNREQUESTED));
    assert!(!receives("<allow receive_sender='*'/>", CALL, &[], OVERHEARD));
    let deny = "<allow eavesdrop='true'/><deny receive_interface='i.A' eavesdrop='true'/>";
    assert!(!receives(deny, CALL, &[], OVERHEARD));
    assert!(receives(deny, CALL, &[], UNREQUESTED));
}

// config.md B068
#[test]
fn numbers_of_descriptors() {
    let with = |fds| Message { fds, ..CALL };
    let rule = "<allow send_destination='*' min_fds='1' max_fds='2'/>";
    let allowed: Vec<u32> = (0..4).filter(|fds| sends(rule, with(*fds), &[])).collect();
    assert_eq!(allowed, [1, 2]);
}

// config.md B069, B070
#[test]
fn owning() {
    assert!(owns("<allow own='a.b'/>", "a.b") && !owns("<allow own='a.b'/>", "a.b.c"));
    let prefix = "<allow own_prefix='a.b'/>";
    assert!(owns(prefix, "a.b") && owns(prefix, "a.b.c") && !owns(prefix, "a.bc"));
    assert!(!owns("<allow own_prefix='a'/><deny own='a.b'/>", "a.b"));
    assert!(owns("<deny own='a.b'/><allow own='*'/>", "a.b"));
}

// config.md B072
#[test]
fn a_rule_can_ask_for_a_log_line() {
    let policy = policy("<allow send_destination='*' log='true'/>");
    let verdict = policy.may_send(
        &Question::new(policy.set(), CALL),
        UNREQUESTED,
        &MatchedPatterns::default(),
    );
    assert!(verdict.is_allowed() && verdict.log);
}

#[test]
fn an_explanation_names_each_rule_and_counts_those_that_match() {
    let policy = policy(
        "<allow send_destination='*'/><deny send_destination='a.b'/>\
         <allow send_interface='i.B' send_member='M'/>",
    );
    let names = names(&policy, &["a.b"]);
    let explanation = policy.explain_send(&CALL, UNREQUESTED, &names);
    assert_eq!(explanation.match_count(), 2);
    let lines: Vec<String> = explanation
        .steps
        .iter()
        .map(|step| format!("{} {}", RuleText(step.placed), step.outcome))
        .collect();
    assert_eq!(
        lines,
        [
            "<allow send_destination=\"*\"/> matches, but a later rule does too",
            "<deny send_destination=\"a.b\"/> decides: the last rule that matches",
            "<allow send_interface=\"i.B\" send_member=\"M\"/> does not match: another interface",
        ]
    );
    let decided = explanation.verdict.rule.and_then(|id| policy.set().rule(id)).unwrap();
    assert_eq!(decided.rule.location.to_string(), "bus.conf:1:85");
}

#[test]
fn a_pattern_counts_once_however_many_names_match_it() {
    let policy = policy("<allow send_destination='a.b'/><deny send_destination_prefix='a'/>");
    let set = policy.set();
    let mut patterns = MatchedPatterns::of_name(set, "a.b");
    patterns.add(set, "a.c");
    patterns.add(set, "z.z");
    assert_eq!(patterns.iter().count(), 2);
    assert!(MatchedPatterns::of_name(set, "z.z").is_empty());
}

/// Short attribute values, so that rules and messages often meet.
fn field(
    prefix: &'static str,
    name: &'static str,
    values: &'static [&str],
) -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just(String::new()),
        1 => prop::sample::select(values)
            .prop_map(move |value| format!(" {prefix}_{name}='{value}'")),
    ]
    .boxed()
}

fn flag(name: &'static str) -> BoxedStrategy<String> {
    prop_oneof![4 => Just(String::new()), 1 => Just(format!(" {name}='true'")), 1 => Just(format!(" {name}='false'"))]
        .boxed()
}

fn message_rule(prefix: &'static str, name: &'static str) -> BoxedStrategy<String> {
    let requested: &'static str =
        if prefix == "send" { "send_requested_reply" } else { "receive_requested_reply" };
    let fields = (
        field(prefix, name, &["a.b", "a.c", "a.b.c", "*"]),
        field(prefix, "interface", &["i.A", "i.B", "*"]),
        field(prefix, "path", &["/a", "/b", "*"]),
        field(prefix, "member", &["M", "N", "*"]),
        field(prefix, "type", &["method_call", "signal", "method_return", "error", "*"]),
    );
    let conditions = (
        flag(requested),
        flag("eavesdrop"),
        prop_oneof![3 => Just(""), 1 => Just(" min_fds='1'"), 1 => Just(" max_fds='1'")],
    );
    (any::<bool>(), fields, conditions)
        .prop_map(move |(allow, (name, interface, path, member, message_type), rest)| {
            let effect = if allow { "allow" } else { "deny" };
            // A member needs a path or an interface.
            let member =
                if interface.is_empty() && path.is_empty() { String::new() } else { member };
            let (requested, eavesdrop, fds) = rest;
            let any = format!(" {prefix}_type='*'");
            format!(
                "<{effect}{name}{interface}{path}{member}{}{requested}{eavesdrop}{fds}/>",
                if message_type.is_empty() { any } else { message_type }
            )
        })
        .boxed()
}

fn rules() -> impl Strategy<Value = String> {
    let rule = prop_oneof![
        message_rule("send", "destination"),
        message_rule("receive", "sender"),
        Just("<allow send_destination_prefix='a.b'/>".to_owned()),
        Just("<deny send_type='signal' send_broadcast='true'/>".to_owned()),
        Just("<deny send_error='e.E'/>".to_owned()),
        Just("<allow own_prefix='a'/>".to_owned()),
        Just("<deny own='a.b'/>".to_owned()),
        Just("<allow own='*'/>".to_owned()),
    ];
    prop::collection::vec(rule, 0..60).prop_map(|rules| rules.concat())
}

fn message() -> impl Strategy<Value = (Message<'static>, Circumstances)> {
    let shape = prop::sample::select(vec![
        CALL,
        CALL_WITHOUT_INTERFACE,
        SIGNAL,
        BROADCAST,
        RETURN,
        ERROR,
        Message { interface: Some("i.B"), ..CALL },
        Message { interface: Some("i.B"), path: Some("/b"), ..SIGNAL },
        Message { member: Some("N"), ..BROADCAST },
        Message { interface: Some("i.A"), ..RETURN },
        Message { is_reply: true, ..SIGNAL },
    ]);
    (shape, 0..3_u32, any::<bool>(), any::<bool>()).prop_map(
        |(message, fds, requested, overheard)| {
            let circumstances = Circumstances {
                requested_reply: requested && message.is_reply,
                eavesdropping: overheard,
            };
            (Message { fds, ..message }, circumstances)
        },
    )
}

proptest! {
    #[test]
    fn decisions_agree_with_going_through_all_rules(
        rules in rules(),
        messages in prop::collection::vec(message(), 1..12),
        owned in prop::sample::subsequence(vec!["a.b", "a.c", "a.b.c", "z.z"], 0..3),
    ) {
        let policy = policy(&rules);
        let names = names(&policy, &owned);
        for (message, how) in messages {
            let (kind, is_reply) = (message.message_type, message.is_reply);
            let explained = policy.explain_send(&message, how, &names);
            let question = &Question::new(policy.set(), message);
            prop_assert_eq!(policy.count_send(question, how, &names), explained.match_count());
            let sent = explained.verdict;
            prop_assert_eq!(policy.may_send(question, how, &names), sent);
            let settled = policy.settled_send(kind, is_reply, how, &names);
            prop_assert_eq!(settled.unwrap_or(sent), sent);
            let explained = policy.explain_receive(&message, how, &names);
            prop_assert_eq!(policy.count_receive(question, how, &names), explained.match_count());
            let received = explained.verdict;
            prop_assert_eq!(policy.may_receive(question, how, &names), received);
            let settled = policy.settled_receive(kind, is_reply, how, &names);
            prop_assert_eq!(settled.unwrap_or(received), received);
        }
        for name in ["a.b", "a.b.c", "a.c", "a", "z.z"] {
            prop_assert_eq!(policy.may_own(name).effect, policy.explain_own(name).verdict.effect);
        }
    }

    #[test]
    fn a_rule_written_down_means_the_same(rules in rules()) {
        let set = set(&format!("<policy context='default'>{rules}</policy>"));
        let written: String =
            set.rules().iter().map(|placed| RuleText(placed).to_string()).collect();
        let again = self::set(&format!("<policy context='default'>{written}</policy>"));
        let actions = |set: &PolicySet| -> Vec<_> {
            set.rules().iter().map(|placed| (placed.rule.effect, placed.rule.action.clone())).collect()
        };
        prop_assert_eq!(actions(&set), actions(&again));
    }
}

#[test]
fn many_rules_about_one_name_are_found_by_their_fields() {
    let mut rules = String::from("<deny send_destination='*'/>");
    for number in 0..10_000 {
        rules += &format!(
            "<allow send_destination='a.b' send_interface='i.A' send_member='M{number}'/>\
             <deny send_destination='a.b' send_interface='i.X{number}'/>"
        );
    }
    let policy = policy(&rules);
    let names = names(&policy, &["a.b"]);
    for (member, expected) in [("M0", true), ("M9999", true), ("M10000", false)] {
        let message = Message { member: Some(member), ..CALL };
        assert_eq!(
            policy
                .may_send(&Question::new(policy.set(), message), UNREQUESTED, &names)
                .is_allowed(),
            expected
        );
        let without = Message { interface: None, ..message };
        let verdict = policy.may_send(&Question::new(policy.set(), without), UNREQUESTED, &names);
        assert_eq!(verdict.effect, Effect::Deny);
        assert_eq!(verdict, policy.explain_send(&without, UNREQUESTED, &names).verdict);
    }
}
