use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{ArgumentSpans, BodyWriter, Endian, MessageType, Signature, check_body};
use proptest::prelude::*;

use super::*;

/// A signal to look up: `sender` is the number of a client, or `None` for the bus.
#[derive(Clone, Debug, Default)]
struct Signal {
    sender: Option<u32>,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
    arguments: Vec<&'static str>,
    destination: Option<&'static str>,
}

impl Signal {
    fn new(path: &'static str, interface: &'static str, member: &'static str) -> Self {
        Self { path, interface, member, ..Self::default() }
    }

    fn from(self, sender: u32) -> Self {
        Self { sender: Some(sender), ..self }
    }

    fn with(self, arguments: &[&'static str]) -> Self {
        Self { arguments: arguments.to_vec(), ..self }
    }

    fn look_up<T>(&self, look: impl FnOnce(&MatchedMessage<'_>) -> T) -> T {
        let serial = NonZeroU32::MIN;
        let mut header = Header::new(MessageType::Signal, serial);
        header.path = Some(ObjectPath::parse(self.path).unwrap());
        header.interface = Some(InterfaceName::parse(self.interface).unwrap());
        header.member = Some(MemberName::parse(self.member).unwrap());
        header.destination = self.destination.map(|name| BusName::parse(name).unwrap());
        let signature = "s".repeat(self.arguments.len());
        let signature = Signature::parse(&signature).unwrap();
        let mut body = Vec::new();
        let mut writer = BodyWriter::new(&mut body, Endian::NATIVE);
        self.arguments.iter().for_each(|text| writer.string(text));
        let mut spans = ArgumentSpans::new();
        check_body(signature, &body, Endian::NATIVE, &mut spans).unwrap();
        let sender =
            self.sender.map_or(SenderKey::Driver, |index| SenderKey::Client(client(index)));
        let arguments = Arguments::new(&spans, &body);
        look(&MatchedMessage { header: &header, arguments, sender })
    }
}

/// Who owns which name.
#[derive(Clone, Debug, Default)]
struct Owners(BTreeMap<String, u32>);

impl Owners {
    fn resolve(&self, name: &str) -> Option<ClientId> {
        self.0.get(name).copied().map(client)
    }
}

/// Answers as the router does for one message.
struct Names<'a> {
    owners: &'a Owners,
    signal: &'a Signal,
}

impl MatchNames for Names<'_> {
    fn sender_is(&self, name: &str) -> bool {
        match self.signal.sender {
            None => name == DRIVER_NAME,
            Some(sender) => self.owners.resolve(name) == Some(client(sender)),
        }
    }

    fn destination_is(&self, name: &str) -> bool {
        self.signal.destination == Some(name)
    }
}

fn client(index: u32) -> ClientId {
    ClientId { index, generation: 0 }
}

fn rule(text: &str) -> MatchRule {
    MatchRule::parse(text).unwrap()
}

/// The clients that get `signal`, and how many nodes were checked in full.
fn find(index: &MatchIndex, owners: &Owners, signal: &Signal) -> (BTreeSet<u32>, usize) {
    let mut recipients = Recipients::new();
    recipients.start();
    let before = index.work();
    signal.look_up(|message| index.find(message, &Names { owners, signal }, &mut recipients));
    let found = recipients.iter().map(|client| client.index).collect();
    (found, usize::try_from(index.work() - before).unwrap())
}

/// Client 1 adds `rule`; says whether it gets `signal`, and that no node was checked in vain
/// unless `rule` has a part that no bucket knows.
fn check(case: &str, text: &str, signal: &Signal, expected: bool) {
    let owners = Owners(BTreeMap::from([("org.example.Owned".to_owned(), 5)]));
    let mut index = MatchIndex::new(1);
    index.add(client(1), rule(text), |name| owners.resolve(name));
    index.check_invariants();
    let (found, _) = find(&index, &owners, signal);
    assert_eq!(found.contains(&1), expected, "{case}: {text}");
}

#[test]
fn a_rule_is_found_by_whatever_keys_it_has() {
    let signal = Signal::new("/org/example/Path", "org.example.Interface", "Changed")
        .from(5)
        .with(&["org.example.Word", "/second/"]);
    for (case, text, expected) in [
        ("A154 no key", "", true),
        ("A158 type", "type='signal'", true),
        ("A158 another type", "type='method_call'", false),
        ("A159 sender, well-known", "sender='org.example.Owned'", true),
        ("A159 sender without owner", "sender='org.example.Free'", false),
        ("A159 sender is the bus", "sender='org.freedesktop.DBus'", false),
        ("A160 interface", "interface='org.example.Interface'", true),
        ("A160 another interface", "interface='org.example.Other'", false),
        ("A161 member", "member='Changed'", true),
        ("A161 path", "path='/org/example/Path'", true),
        ("A161 path above", "path='/org/example'", false),
        ("A162 itself", "path_namespace='/org/example/Path'", true),
        ("A162 above", "path_namespace='/org'", true),
        ("A162 root", "path_namespace='/'", true),
        ("A162 half an element", "path_namespace='/org/exam'", false),
        ("A162 below", "path_namespace='/org/example/Path/Below'", false),
        ("A164 arg0", "arg0='org.example.Word'", true),
        ("A164 arg0 differs", "arg0='org.example'", false),
        ("A164 arg1", "arg1='/second/'", true),
        ("A164 no such argument", "arg2='x'", false),
        ("A165 arg1path", "arg1path='/second/third'", true),
        ("A166 itself", "arg0namespace='org.example.Word'", true),
        ("A166 above", "arg0namespace='org'", true),
        ("A166 half an element", "arg0namespace='org.ex'", false),
        ("both prefixes", "arg0namespace='org',path_namespace='/org'", true),
        ("both prefixes, path differs", "arg0namespace='org',path_namespace='/net'", false),
        ("arg0 and a prefix", "arg0='org.example.Word',path_namespace='/org'", true),
        (
            "all keys",
            "type='signal',sender='org.example.Owned',interface='org.example.Interface',\
             member='Changed',path='/org/example/Path',arg0namespace='org.example'",
            true,
        ),
    ] {
        check(case, text, &signal, expected);
    }
}

#[test]
fn a_message_without_the_key_is_no_candidate() {
    let signal = Signal::new("/a", "a.b", "C");
    check("the bus is a sender", "sender='org.freedesktop.DBus'", &signal, true);
    check("no arguments", "arg0=''", &signal, false);
    check("no arguments, namespace", "arg0namespace='a'", &signal, false);
    check("the root", "path_namespace='/'", &Signal::new("/", "a.b", "C"), true);
    check(
        "the root has nothing above",
        "path_namespace='/a'",
        &Signal::new("/", "a.b", "C"),
        false,
    );
}

#[test]
fn prefixes_deeper_than_the_hash_goes_are_compared_in_full() {
    let signal = Signal::new("/1/2/3/4/5/6/7/8/9/10", "a.b", "C").with(&["a.b.c.d.e.f.g.h.i.j"]);
    for (text, expected) in [
        ("path_namespace='/1/2/3/4/5/6/7'", true),
        ("path_namespace='/1/2/3/4/5/6/7/8'", true),
        ("path_namespace='/1/2/3/4/5/6/7/8/9'", true),
        ("path_namespace='/1/2/3/4/5/6/7/8/9/10'", true),
        ("path_namespace='/1/2/3/4/5/6/7/8/x'", false),
        ("path_namespace='/1/2/3/4/5/6/7/8/9/10/11'", false),
        ("arg0namespace='a.b.c.d.e.f.g'", true),
        ("arg0namespace='a.b.c.d.e.f.g.h'", true),
        ("arg0namespace='a.b.c.d.e.f.g.h.i.j'", true),
        ("arg0namespace='a.b.c.d.e.f.g.h.x'", false),
    ] {
        check("deep prefix", text, &signal, expected);
    }
}

#[test]
fn long_arguments_neither_match_nor_break_anything() {
    let long: &'static str = Box::leak("a.".repeat(MATCH_SIZE).into_boxed_str());
    let signal = Signal::new("/a", "a.b", "C").with(&[long]);
    check("first element", "arg0namespace='a'", &signal, true);
    check("eight elements", "arg0namespace='a.a.a.a.a.a.a.a'", &signal, true);
    check("exact", "arg0='a'", &signal, false);
}

const MATCH_SIZE: usize = 2 * libbus::limits::MATCH_RULE_SIZE_MAX;

#[test]
fn equal_rules_count_and_reach_a_client_once() {
    let mut index = MatchIndex::new(1);
    let (owners, signal) = (Owners::default(), Signal::new("/a", "a.b", "C"));
    for (who, text) in [(1, "member='C'"), (1, "path='/a'"), (1, "member='C'"), (2, "member='C'")] {
        index.add(client(who), rule(text), |_| None);
        index.check_invariants();
    }
    assert_eq!(index.nodes.len(), 2, "equal rules share a node");
    assert_eq!((index.rule_count(client(1)), index.rule_count(client(2))), (3, 1));
    assert_eq!(find(&index, &owners, &signal).0, BTreeSet::from([1, 2]), "protocol.md A171");
    let mut rules: Vec<_> = index.rules_of(client(1)).map(|(rule, n)| (rule.clone(), n)).collect();
    rules.sort_by_key(|(_, count)| *count);
    assert_eq!(rules, [(rule("path='/a'"), 1), (rule("member='C'"), 2)]);

    // protocol.md A170
    for (who, text, expected) in [
        (3, "member='C'", Err(RuleNotFound)),
        (1, "member='D'", Err(RuleNotFound)),
        (2, "path='/a'", Err(RuleNotFound)),
        (1, "member='C'", Ok(())),
        (1, "member='C'", Ok(())),
        (1, "member='C'", Err(RuleNotFound)),
        (2, "member='C'", Ok(())),
    ] {
        assert_eq!(index.remove(client(who), &rule(text)), expected, "{who} {text}");
        index.check_invariants();
    }
    assert_eq!(find(&index, &owners, &signal).0, BTreeSet::from([1]));
    index.remove_client(client(1));
    index.check_invariants();
    assert!(index.is_empty() && index.buckets.is_empty() && index.by_rule.is_empty());
    assert_eq!((index.len(), index.peak_len(), index.peak_count_per_client()), (0, 4, 3));
    assert_eq!((index.peak_rule_count(client(1)), index.peak_rule_count(client(2))), (0, 1));
}

#[test]
fn rules_follow_the_owner_of_the_name() {
    // protocol.md A159
    let mut index = MatchIndex::new(1);
    let mut owners = Owners::default();
    let from = |sender| Signal::new("/a", "a.b", "C").from(sender);
    index.add(client(1), rule("sender='org.example.A',member='C'"), |_| None);
    index.add(client(2), rule("sender='org.example.A'"), |_| None);
    assert_eq!(find(&index, &owners, &from(5)), (BTreeSet::new(), 0));
    for owner in [Some(5), Some(6), None, Some(5)] {
        index.handle_owner_change("org.example.A", owner.map(client));
        index.handle_owner_change("org.example.B", Some(client(7)));
        index.check_invariants();
        owners.0.clear();
        owners.0.extend(owner.map(|owner| ("org.example.A".to_owned(), owner)));
        for sender in [5, 6, 7] {
            let (found, candidates) = find(&index, &owners, &from(sender));
            let expected = if owner == Some(sender) { vec![1, 2] } else { vec![] };
            assert_eq!((found.len(), candidates), (expected.len(), expected.len()));
            assert!(found.into_iter().eq(expected));
        }
    }
}

#[test]
fn rules_that_name_a_gone_unique_name_are_dropped() {
    // protocol.md A134
    let mut index = MatchIndex::new(1);
    for (who, text) in [
        (1, "sender=':1.5'"),
        (2, "sender=':1.5'"),
        (2, "sender=':1.5'"),
        (1, "destination=':1.5',member='C'"),
        (1, "sender=':1.5',destination=':1.5'"),
        (1, "sender=':1.5',destination=':1.6'"),
        (1, "sender=':1.6',destination='org.example.A'"),
        (1, "arg0=':1.5'"),
    ] {
        index.add(client(who), rule(text), |name| (name == ":1.5").then_some(client(5)));
    }
    assert_eq!(index.handle_unique_name_gone(":1.7"), []);
    assert_eq!(index.len(), 8);
    index.handle_unique_name_gone(":1.5");
    index.check_invariants();
    let left: BTreeSet<_> =
        index.rules_of(client(1)).map(|(rule, _)| format!("{rule:?}")).collect();
    let expected = ["sender=':1.6',destination='org.example.A'", "arg0=':1.5'"];
    assert_eq!(left, expected.map(|text| format!("{:?}", rule(text))).into());
    assert_eq!((index.rule_count(client(1)), index.rule_count(client(2))), (2, 0));
    assert_eq!(index.remove(client(2), &rule("sender=':1.5'")), Err(RuleNotFound));
    // A rule may name a unique name before it is given out.
    let signal = Signal::new("/a", "a.b", "C").from(6);
    let mut owners = Owners::default();
    index.handle_owner_change(":1.6", Some(client(6)));
    owners.0.insert(":1.6".to_owned(), 6);
    index.add(client(3), rule("sender=':1.6'"), |name| owners.resolve(name));
    assert_eq!(find(&index, &owners, &signal).0, BTreeSet::from([3]));
    index.check_invariants();
}

#[test]
fn rules_that_cannot_match_cost_nothing() {
    let shapes: [fn(u32) -> String; 10] = [
        |n| {
            format!(
                "type='signal',sender='org.example.S{n}',path='/org/example/Path',interface='org.example.Interface',member='Changed'"
            )
        },
        |n| {
            format!(
                "type='signal',sender='org.example.Owned',path='/org/example/P{n}',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'"
            )
        },
        |n| {
            format!(
                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',path='/org/freedesktop/DBus',arg0='org.example.N{n}'"
            )
        },
        |n| {
            format!(
                "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0namespace='org.example.N{n}'"
            )
        },
        |n| {
            format!(
                "type='signal',interface='org.example.Interface',path_namespace='/org/example/P{n}'"
            )
        },
        |n| format!("path_namespace='/org/example/P{n}',arg0='org.example.Word',member='Changed'"),
        |n| format!("type='signal',sender='org.example.S{n}'"),
        |n| format!("sender=':1.{n}'"),
        |n| format!("interface='org.example.I{n}'"),
        |n| format!("interface='org.example.Interface',member='Member{n}'"),
    ];
    let mut index = MatchIndex::new(1);
    let mut owners = Owners(BTreeMap::from([("org.example.Owned".to_owned(), 5)]));
    owners.0.extend((0..500).map(|n| (format!("org.example.S{n}"), 1_000 + n)));
    for number in 0..1_000 {
        for shape in shapes {
            index.add(client(number), rule(&shape(number)), |name| owners.resolve(name));
        }
    }
    assert_eq!(index.len(), 10_000);
    index.check_invariants();
    let changed = Signal::new("/org/example/Path", "org.example.Interface", "Changed")
        .from(5)
        .with(&["org.example.Word"]);
    let owner_changed =
        Signal::new("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged").with(&[
            "org.example.Name",
            ":1.1",
            "",
        ]);
    for signal in [&changed, &owner_changed] {
        assert_eq!(find(&index, &owners, signal), (BTreeSet::new(), 0), "{signal:?}");
    }
    index.add(client(7_000), rule("member='Changed'"), |_| None);
    assert_eq!(find(&index, &owners, &changed), (BTreeSet::from([7_000]), 1));
    let owner_changed = owner_changed.with(&["org.example.N77.Part", "", ""]);
    assert_eq!(find(&index, &owners, &owner_changed), (BTreeSet::from([77]), 1));
    assert!(index.shapes.iter().count() <= shapes.len() + 2);
}

#[test]
fn there_are_no_more_shapes_than_said() {
    let mut index = MatchIndex::new(1);
    let paths = (1..12).map(|depth| format!("path_namespace='{}'", "/p".repeat(depth)));
    let names = (1..12).map(|depth| format!("arg0namespace='n{}'", ".n".repeat(depth - 1)));
    let last: Vec<_> =
        paths.chain(names).chain(["".into(), "arg0='x'".into(), "path='/x'".into()]).collect();
    for bits in 0..8 {
        for first in &last {
            for second in &last {
                let key = |bit: u32, text| if bits & bit != 0 { text } else { "" };
                let text = format!(
                    "{}{}{}{first},{second}",
                    key(1, "sender='org.freedesktop.DBus',"),
                    key(2, "interface='a.b',"),
                    key(4, "member='C',"),
                );
                let text = text.trim_matches(',').replace(",,", ",");
                if let Ok(rule) = MatchRule::parse(&text) {
                    index.add(client(1), rule, |_| None);
                }
            }
        }
    }
    index.check_invariants();
    assert_eq!(index.shapes.iter().count(), keys::SHAPES_MAX);
}

#[derive(Clone, Debug)]
enum Operation {
    Add(u32, String),
    Remove(u32, String),
    Disconnect(u32),
    OwnerChange(usize, Option<u32>),
    UniqueNameGone(u32),
    Find(Signal),
}

const NAMES: [&str; 2] = ["org.example.A", "org.example.B"];
const PATHS: [&str; 4] = ["/", "/a", "/a/b", "/ab"];
const WORDS: [&str; 4] = ["a", "a.b", "ab.c", "a.b.c"];

fn key(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let key = prop::sample::select(values).prop_map(move |value| format!("{name}='{value}'"));
    prop_oneof![2 => Just(String::new()), 1 => key]
}

fn rule_text() -> impl Strategy<Value = String> {
    (
        key("sender", &["org.example.A", "org.example.B", ":1.0", ":1.1", "org.freedesktop.DBus"]),
        key("interface", &["a.b", "a.c"]),
        key("member", &["C", "D"]),
        prop_oneof![key("path", &PATHS), key("path_namespace", &PATHS)],
        prop_oneof![key("arg0", &WORDS), key("arg0namespace", &["a", "a.b"]), key("arg1", &WORDS)],
        key("destination", &[":1.0", ":1.1", "org.example.A"]),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            let keys = [a, b, c, d, e, f];
            let keys: Vec<_> = keys.iter().filter(|key| !key.is_empty()).map(|k| &**k).collect();
            keys.join(",")
        })
}

fn signal() -> impl Strategy<Value = Signal> {
    let words = prop::collection::vec(prop::sample::select(WORDS.as_slice()), 0..3);
    (
        prop::option::of(0..4u32),
        prop::sample::select(PATHS.as_slice()),
        prop::sample::select(["a.b", "a.c"].as_slice()),
        prop::sample::select(["C", "D"].as_slice()),
        words,
        prop::option::of(prop::sample::select([":1.0", ":1.1", "org.example.A"].as_slice())),
    )
        .prop_map(|(sender, path, interface, member, arguments, destination)| Signal {
            sender,
            path,
            interface,
            member,
            arguments,
            destination,
        })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0..4u32, rule_text()).prop_map(|(who, text)| Operation::Add(who, text)),
        2 => (0..4u32, rule_text()).prop_map(|(who, text)| Operation::Remove(who, text)),
        1 => (0..4u32).prop_map(Operation::Disconnect),
        2 => (0..NAMES.len(), prop::option::of(0..4u32))
            .prop_map(|(name, owner)| Operation::OwnerChange(name, owner)),
        1 => (0..2u32).prop_map(Operation::UniqueNameGone),
        6 => signal().prop_map(Operation::Find),
    ]
}

/// A list of all rules, and who owns which name.
struct Model {
    rules: Vec<(u32, MatchRule)>,
    owners: Owners,
}

fn run(index: &mut MatchIndex, model: &mut Model, operation: &Operation) {
    match operation {
        Operation::Add(who, text) => {
            index.add(client(*who), rule(text), |name| model.owners.resolve(name));
            model.rules.push((*who, rule(text)));
        }
        Operation::Remove(who, text) => remove(index, model, *who, &rule(text)),
        Operation::Disconnect(who) => {
            index.remove_client(client(*who));
            model.rules.retain(|(owner, _)| owner != who);
        }
        Operation::OwnerChange(name, owner) => {
            let name = NAMES[*name];
            index.handle_owner_change(name, owner.map(client));
            model.owners.0.remove(name);
            model.owners.0.extend(owner.map(|owner| (name.to_owned(), owner)));
        }
        Operation::UniqueNameGone(who) => {
            let unique = format!(":1.{who}");
            index.handle_unique_name_gone(&unique);
            let names = |text: &Option<Box<str>>| text.as_deref() == Some(&*unique);
            model.rules.retain(|(_, rule)| !names(&rule.sender) && !names(&rule.destination));
        }
        Operation::Find(signal) => {
            let names = Names { owners: &model.owners, signal };
            let expected = signal.look_up(|message| {
                let hits = model
                    .rules
                    .iter()
                    .filter(|(_, rule)| rule.matches(message.header, message.arguments, &names));
                hits.map(|(who, _)| *who).collect::<BTreeSet<_>>()
            });
            assert_eq!(find(index, &model.owners, signal).0, expected);
        }
    }
}

/// Removes the rule itself, or where there is none, the client's first one.
fn remove(index: &mut MatchIndex, model: &mut Model, who: u32, rule: &MatchRule) {
    let position = model.rules.iter().position(|known| *known == (who, rule.clone()));
    assert_eq!(index.remove(client(who), rule).is_ok(), position.is_some());
    let other = model.rules.iter().position(|(owner, _)| *owner == who);
    match (position, other) {
        (Some(position), _) => drop(model.rules.remove(position)),
        (None, Some(other)) => {
            let (_, rule) = model.rules.remove(other);
            assert_eq!(index.remove(client(who), &rule), Ok(()));
        }
        (None, None) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_goes_as_in_the_model(
        operations in prop::collection::vec(operation(), 1..80),
        seed: u64,
    ) {
        let mut index = MatchIndex::new(seed);
        let owners = (0..4).map(|index| (format!(":1.{index}"), index)).collect();
        let mut model = Model { rules: Vec::new(), owners: Owners(owners) };
        for operation in &operations {
            run(&mut index, &mut model, operation);
            index.check_invariants();
            prop_assert_eq!(index.len() as usize, model.rules.len());
            for who in 0..4 {
                let own = model.rules.iter().filter(|(owner, _)| *owner == who).count();
                prop_assert_eq!(index.rule_count(client(who)) as usize, own);
            }
        }
    }
}
