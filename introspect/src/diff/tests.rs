use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::model::{Annotation, Arg, Method, Property, Signal, annotation};

/// Both ways: what the changes say, without the place that all have in common.
fn check(old: &Interface, new: &Interface, there: &[&str], back: &[&str]) {
    for (from, to, expected) in [(old, new, there), (new, old, back)] {
        let found: Vec<String> =
            from.diff(to).iter().map(|it| it.to_string().replace("interface a.b, ", "")).collect();
        assert_eq!(found, expected, "{from:#?} to {to:#?}");
        assert_eq!(from.diff(from), []);
    }
}

fn map() -> Interface {
    Interface::new("a.b")
}

fn with_method(method: Method) -> Interface {
    map().with_method(method)
}

fn with_property(property: Property) -> Interface {
    map().with_property(property)
}

#[test]
fn members_come_and_go() {
    let full = map()
        .with_method(Method::new("M"))
        .with_signal(Signal::new("S"))
        .with_property(Property::new("P", "s", Access::Read));
    check(
        &map(),
        &full,
        &[
            "additive: method M: the method was added",
            "additive: signal S: the signal was added",
            "additive: property P: the property was added",
        ],
        &[
            "breaking: method M: the method was removed",
            "breaking: signal S: the signal was removed",
            "breaking: property P: the property was removed",
        ],
    );
    check(
        &with_method(Method::new("M")),
        &map().with_signal(Signal::new("M")),
        &["breaking: method M: the method was removed", "additive: signal M: the signal was added"],
        &["additive: method M: the method was added", "breaking: signal M: the signal was removed"],
    );
}

#[test]
fn arguments_are_told_by_their_place() {
    let method = || Method::new("M").with_input("x", "s").with_output("y", "u");
    check(
        &with_method(method()),
        &with_method(method().with_input("z", "s").with_output("", "b")),
        &[
            "breaking: method M, input 2: the input was added",
            "breaking: method M, output 2: the output was added",
        ],
        &[
            "breaking: method M, input 2: the input was removed",
            "breaking: method M, output 2: the output was removed",
        ],
    );
    check(
        &with_method(method()),
        &with_method(Method::new("M").with_input("x", "v").with_output("why", "u")),
        &[
            "breaking: method M, input 1: the type was \"s\" and is now \"v\"",
            "compatible: method M, output 1: the name was \"y\" and is now \"why\"",
        ],
        &[
            "breaking: method M, input 1: the type was \"v\" and is now \"s\"",
            "compatible: method M, output 1: the name was \"why\" and is now \"y\"",
        ],
    );
    check(
        &map().with_signal(Signal::new("S").with_argument("", "s")),
        &map().with_signal(Signal::new("S").with_argument("x", "s").with_argument("y", "s")),
        &[
            "compatible: signal S, argument 1: the name \"x\" was added",
            "breaking: signal S, argument 2: the argument was added",
        ],
        &[
            "compatible: signal S, argument 1: the name \"x\" was removed",
            "breaking: signal S, argument 2: the argument was removed",
        ],
    );
}

#[test]
fn arguments_that_changed_places_break() {
    let method = |names: [&str; 2]| {
        with_method(Method::new("M").with_input(names[0], "s").with_input(names[1], "s"))
    };
    let swapped = [
        "breaking: method M, input 1: the name was \"x\" and is now \"y\"",
        "breaking: method M, input 2: the name was \"y\" and is now \"x\"",
    ];
    let back = [
        "breaking: method M, input 1: the name was \"y\" and is now \"x\"",
        "breaking: method M, input 2: the name was \"x\" and is now \"y\"",
    ];
    check(&method(["x", "y"]), &method(["y", "x"]), &swapped, &back);
}

#[test]
fn access_gets_wider_and_narrower() {
    let check = |old: Access, new: Access, expected| {
        let interface = |access| with_property(Property::new("P", "s", access));
        let changes = interface(old).diff(&interface(new));
        let expected = Change {
            place: "interface a.b, property P".into(),
            kind: ChangeKind::Access { old, new },
            impact: expected,
        };
        assert_eq!(changes, [expected]);
    };
    check(Access::Read, Access::ReadWrite, Impact::Additive);
    check(Access::Write, Access::ReadWrite, Impact::Additive);
    check(Access::ReadWrite, Access::Read, Impact::Breaking);
    check(Access::ReadWrite, Access::Write, Impact::Breaking);
    check(Access::Read, Access::Write, Impact::Breaking);
    check(Access::Write, Access::Read, Impact::Breaking);
}

#[test]
fn announcements_promise_more_or_less() {
    let ranks = ["false", "invalidates", "true", "const"];
    let property = |value: &str| {
        let property = Property::new("P", "s", Access::Read);
        with_property(property.with_annotation(annotation::EMITS_CHANGED_SIGNAL, value))
    };
    for (rank, more) in ranks.iter().enumerate() {
        for less in &ranks[..rank] {
            check(
                &property(less),
                &property(more),
                &[&format!(
                    "additive: property P: EmitsChangedSignal was {less} and is now {more}"
                )],
                &[&format!(
                    "breaking: property P: EmitsChangedSignal was {more} and is now {less}"
                )],
            );
        }
    }
}

#[test]
fn announcements_are_inherited() {
    let name = annotation::EMITS_CHANGED_SIGNAL;
    let property = || Property::new("P", "s", Access::Read);
    check(
        &with_property(property()),
        &with_property(property()).with_annotation(name, "false"),
        &[
            &format!("compatible: interface a.b: the annotation {name}=\"false\" was added"),
            "breaking: property P: EmitsChangedSignal was true and is now false",
        ],
        &[
            &format!("compatible: interface a.b: the annotation {name}=\"false\" was removed"),
            "additive: property P: EmitsChangedSignal was false and is now true",
        ],
    );
    check(
        &with_property(property()),
        &with_property(property().with_annotation(name, "true")),
        &[&format!("compatible: property P: the annotation {name}=\"true\" was added")],
        &[&format!("compatible: property P: the annotation {name}=\"true\" was removed")],
    );
}

#[test]
fn annotations_change() {
    let method = || Method::new("M");
    let annotated = |name: &str, value: &str| with_method(method().with_annotation(name, value));
    check(
        &with_method(method()),
        &annotated(annotation::NO_REPLY, "true"),
        &["breaking: method M: callers should not expect a reply any more"],
        &["additive: method M: callers may expect a reply now"],
    );
    check(
        &annotated(annotation::DEPRECATED, "false"),
        &annotated(annotation::DEPRECATED, "true"),
        &["compatible: method M: it is now deprecated"],
        &["compatible: method M: it is not deprecated any more"],
    );
    check(
        &annotated("a.n", "1"),
        &annotated("a.n", "2"),
        &["compatible: method M: the annotation a.n was \"1\" and is now \"2\""],
        &["compatible: method M: the annotation a.n was \"2\" and is now \"1\""],
    );
    check(
        &with_method(method().with_documentation("old")),
        &with_method(method()),
        &["compatible: method M: the documentation changed"],
        &["compatible: method M: the documentation changed"],
    );
    let argument = |annotations| {
        with_method(Method { inputs: vec![Arg { annotations, ..Arg::new("", "s") }], ..method() })
    };
    check(
        &argument(Vec::new()),
        &argument(vec![Annotation::new(annotation::NO_REPLY, "true")]),
        &[&format!(
            "compatible: method M, input 1: the annotation {}=\"true\" was added",
            annotation::NO_REPLY
        )],
        &[&format!(
            "compatible: method M, input 1: the annotation {}=\"true\" was removed",
            annotation::NO_REPLY
        )],
    );
}

#[test]
fn several_of_one_name_are_compared_in_turn() {
    let method = |signature: &str| Method::new("M").with_input("", signature);
    check(
        &with_method(method("s")).with_method(method("u")),
        &with_method(method("s")),
        &["breaking: method M: the method was removed"],
        &["additive: method M: the method was added"],
    );
}

#[test]
fn nodes_and_interfaces_have_names() {
    let check = |old: &Node, new: &Node, expected: &[&str]| {
        let found: Vec<String> = old.diff(new).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    };
    let named = |name: &str| Node { name: Some(name.into()), ..Node::new() };
    check(&named("/a"), &named("/b"), &["breaking: the name was \"/a\" and is now \"/b\""]);
    check(&named("/a"), &Node::new(), &["compatible: the name \"/a\" was removed"]);
    let inner = |interface| Node {
        children: vec![Node { name: Some("c".into()), ..Node::new().with_interface(interface) }],
        ..Node::new()
    };
    check(
        &inner(map()),
        &inner(map().with_method(Method::new("M"))),
        &["additive: node c, interface a.b, method M: the method was added"],
    );
    check(
        &Node::new().with_child("x").with_interface(map()),
        &Node::new().with_child("y").with_interface(Interface::new("a.c")),
        &[
            "breaking: interface a.b: the interface was removed",
            "additive: interface a.c: the interface was added",
            "breaking: node x: the node was removed",
            "additive: node y: the node was added",
        ],
    );
    let renamed = map().diff(&Interface::new("a.c"));
    assert_eq!(
        renamed[0].to_string(),
        "breaking: interface a.b: the name was \"a.b\" and is now \"a.c\""
    );
}

#[test]
fn the_worst_decides() {
    let change = |impact| Change { place: String::new(), kind: ChangeKind::Documentation, impact };
    let worst = |impacts: &[Impact]| {
        Impact::worst(&impacts.iter().copied().map(change).collect::<Vec<_>>())
    };
    assert_eq!(worst(&[]), Impact::Compatible);
    assert_eq!(worst(&[Impact::Additive, Impact::Compatible]), Impact::Additive);
    assert_eq!(worst(&[Impact::Additive, Impact::Breaking]), Impact::Breaking);
}

/// The same in one order. Of what has the same name the order counts.
fn sorted(mut node: Node) -> Node {
    fn sort(annotations: &mut [Annotation]) {
        annotations.sort_by_key(|it| it.name.clone());
    }
    for interface in &mut node.interfaces {
        interface.methods.sort_by_key(|it| it.name.clone());
        interface.signals.sort_by_key(|it| it.name.clone());
        interface.properties.sort_by_key(|it| it.name.clone());
        sort(&mut interface.annotations);
        for method in &mut interface.methods {
            sort(&mut method.annotations);
            let arguments = method.inputs.iter_mut().chain(&mut method.outputs);
            arguments.for_each(|it| sort(&mut it.annotations));
        }
        for signal in &mut interface.signals {
            sort(&mut signal.annotations);
            signal.arguments.iter_mut().for_each(|it| sort(&mut it.annotations));
        }
        interface.properties.iter_mut().for_each(|it| sort(&mut it.annotations));
    }
    node.interfaces.sort_by_key(|it| it.name.clone());
    node.children = node.children.into_iter().map(sorted).collect();
    node.children.sort_by_key(|it| it.name.clone());
    node
}

fn reversed(mut node: Node) -> Node {
    node.interfaces.reverse();
    node.interfaces.iter_mut().for_each(|it| it.methods.reverse());
    node.children.reverse();
    node
}

proptest! {
    #[test]
    fn no_change_is_the_same_but_for_order(old in arbitrary::node(), new in arbitrary::node()) {
        prop_assert_eq!(old.diff(&old), []);
        prop_assert_eq!(old.diff(&sorted(old.clone())), []);
        let backwards = reversed(old.clone());
        for other in [new, backwards] {
            let is_same = sorted(old.clone()) == sorted(other.clone());
            let changes = old.diff(&other);
            prop_assert_eq!(changes.is_empty(), is_same, "{:?}", changes);
            prop_assert_eq!(other.diff(&old).len(), changes.len());
        }
    }

    #[test]
    fn adding_never_breaks(old in arbitrary::interface(), new in arbitrary::interface()) {
        let mut more = old.clone();
        more.methods.extend(new.methods);
        more.signals.extend(new.signals);
        more.properties.extend(new.properties);
        prop_assert!(Impact::worst(&old.diff(&more)) <= Impact::Additive);
    }
}
