use super::*;
use crate::model::Access;

const FLAW: NameError = NameError::InvalidCharacter { index: 1 };

fn check(case: &str, node: &Node, expected: &[(&str, Fault)]) {
    let problems = node.check();
    let found: Vec<_> = problems.iter().map(|it| (it.place.as_str(), it.fault)).collect();
    assert_eq!(found, expected, "{case}");
    for problem in &problems {
        let text = problem.to_string();
        assert!(text.starts_with(&problem.place) && text.len() > problem.place.len() + 10);
    }
}

fn with_interface(interface: Interface) -> Node {
    Node::new().with_interface(interface)
}

fn with_method(method: Method) -> Node {
    with_interface(Interface::new("a.b").with_method(method))
}

#[test]
fn sound_descriptions_have_no_problems() {
    check("empty", &Node::new(), &[]);
    let interface = Interface::new("org.example.Map")
        .with_method(
            Method::new("Same").with_input("a", "s").with_input("a", "v").with_output("a", "u"),
        )
        .with_signal(Signal::new("Same").with_argument("", "a{sv}"))
        .with_property(
            Property::new("Same", "(us)", Access::Read)
                .with_annotation(annotation::EMITS_CHANGED_SIGNAL, "const"),
        )
        .with_annotation(annotation::DEPRECATED, "false")
        .with_annotation("org.example.Anything", "perhaps");
    let node = Node { name: Some("/org/example".into()), ..with_interface(interface) };
    check("a bit of everything", &node.with_child("a/b").with_child("a"), &[]);
}

#[test]
fn checks_paths() {
    // protocol.md A024, A214
    let named = |name: &str| Node { name: Some(name.into()), ..Node::new() };
    check("root", &named("/"), &[]);
    check("relative outermost", &named("a"), &[("", Fault::Path(NameError::MissingSlash))]);
    check("empty outermost", &named(""), &[("", Fault::Path(NameError::Empty))]);

    let child = |name: &str, place: &str, error| {
        let expected = [(place, Fault::RelativePath(error))];
        check(name, &Node::new().with_child(name), &expected);
    };
    child("/a", "node /a", NameError::EmptyElement);
    child("a/", "node a/", NameError::TrailingSlash);
    child("", "node ", NameError::Empty);
    child("a-b", "node a-b", FLAW);
    let unnamed = Node { children: vec![Node::new()], ..Node::new() };
    check("unnamed child", &unnamed, &[("node ", Fault::RelativePath(NameError::Empty))]);
    let inner = Node { name: Some("a".into()), ..Node::new().with_child("b.c") };
    let outer = Node { children: vec![inner], ..Node::new() };
    check("below", &outer, &[("node a, node b.c", Fault::RelativePath(FLAW))]);
}

#[test]
fn checks_names() {
    // protocol.md A025, A027
    check(
        "interface",
        &with_interface(Interface::new("a")),
        &[("interface a", Fault::InterfaceName(NameError::SingleElement))],
    );
    let interface = Interface::new("a.b")
        .with_method(Method::new("m-"))
        .with_signal(Signal::new(""))
        .with_property(Property::new("p-q", "s", Access::Read));
    check(
        "members",
        &with_interface(interface),
        &[
            ("interface a.b, method m-", Fault::MemberName(FLAW)),
            ("interface a.b, signal ", Fault::MemberName(NameError::Empty)),
            ("interface a.b, property p-q", Fault::MemberName(FLAW)),
        ],
    );
}

#[test]
fn checks_types() {
    // protocol.md A001, A013-A018
    let method = Method::new("M")
        .with_input("", "s")
        .with_input("", "ss")
        .with_input("", "")
        .with_output("", "a");
    let missing = Fault::Signature(SignatureError::MissingArrayElement);
    check(
        "arguments",
        &with_method(method),
        &[
            ("interface a.b, method M, input 2", Fault::NotOneType),
            ("interface a.b, method M, input 3", Fault::NotOneType),
            ("interface a.b, method M, output 1", missing),
        ],
    );
    let interface = Interface::new("a.b")
        .with_signal(Signal::new("S").with_argument("x", "z"))
        .with_property(Property::new("P", "a{vs}", Access::Write));
    check(
        "signal and property",
        &with_interface(interface),
        &[
            (
                "interface a.b, signal S, argument 1",
                Fault::Signature(SignatureError::UnknownTypeCode),
            ),
            ("interface a.b, property P", Fault::Signature(SignatureError::DictKeyNotBasic)),
        ],
    );
}

#[test]
fn checks_all_arguments_together() {
    // protocol.md A017: at the bound and one past it.
    let method = |count: usize| {
        with_method(Method { inputs: vec![Arg::new("", "y"); count], ..Method::new("M") })
    };
    check("255 types", &method(255), &[]);
    let too_long = Fault::ArgumentsTogether(SignatureError::TooLong);
    check("256 types", &method(256), &[("interface a.b, method M", too_long)]);
}

#[test]
fn finds_duplicates_of_one_kind() {
    let property = || Property::new("X", "s", Access::Read);
    let interface = Interface::new("a.b")
        .with_method(Method::new("X"))
        .with_method(Method::new("X"))
        .with_signal(Signal::new("X"))
        .with_signal(Signal::new("X"))
        .with_property(property())
        .with_property(property())
        .with_annotation("n", "1")
        .with_annotation("n", "2");
    let node = with_interface(interface).with_interface(Interface::new("a.b"));
    check(
        "all kinds",
        &node.with_child("c").with_child("c"),
        &[
            ("interface a.b, method X", Fault::Duplicate),
            ("interface a.b, signal X", Fault::Duplicate),
            ("interface a.b, property X", Fault::Duplicate),
            ("interface a.b, annotation n", Fault::Duplicate),
            ("interface a.b", Fault::Duplicate),
            ("node c", Fault::Duplicate),
        ],
    );
}

#[test]
fn checks_annotations() {
    // protocol.md A213
    let check = |name: &str, value: &str, expected: bool| {
        let interface = Interface::new("a.b").with_annotation(name, value);
        let problems = with_interface(interface).check();
        let faults: Vec<_> = problems.iter().map(|it| it.fault).collect();
        let wrong: &[Fault] = if expected { &[] } else { &[Fault::AnnotationValue] };
        assert_eq!(faults, wrong, "{name} {value}");
    };
    for name in [annotation::DEPRECATED, annotation::NO_REPLY] {
        for (value, expected) in [("true", true), ("false", true), ("", false), ("yes", false)] {
            check(name, value, expected);
        }
    }
    for value in ["true", "invalidates", "const", "false"] {
        check(annotation::EMITS_CHANGED_SIGNAL, value, true);
    }
    check(annotation::EMITS_CHANGED_SIGNAL, "True", false);
    check(annotation::C_SYMBOL, "anything", true);
}

#[test]
fn annotations_are_checked_everywhere() {
    let wrong = || Annotation::new(annotation::DEPRECATED, "");
    let argument = || Arg { annotations: vec![wrong()], ..Arg::new("", "s") };
    let method = Method { inputs: vec![argument()], outputs: vec![argument()], ..Method::new("M") };
    let signal = Signal { arguments: vec![argument()], ..Signal::new("S") };
    let interface = Interface::new("a.b")
        .with_method(method.with_annotation(annotation::DEPRECATED, ""))
        .with_signal(signal.with_annotation(annotation::DEPRECATED, ""))
        .with_property(Property {
            annotations: vec![wrong()],
            ..Property::new("P", "s", Access::Read)
        });
    let faults: Vec<_> = with_interface(interface).check().iter().map(|it| it.fault).collect();
    assert_eq!(faults, [Fault::AnnotationValue; 6]);
}

#[test]
fn no_reply_has_no_outputs() {
    let no_reply =
        |method: Method| with_method(method.with_annotation(annotation::NO_REPLY, "true"));
    check("no outputs", &no_reply(Method::new("M").with_input("", "s")), &[]);
    check(
        "outputs",
        &no_reply(Method::new("M").with_output("", "s")),
        &[("interface a.b, method M", Fault::OutputWithoutReply)],
    );
}

/// Of a document every kind of element is told with its place there, however it was read.
#[test]
fn what_was_read_is_told_with_line_and_column() {
    let xml = "<node name='a'>
  <interface name='b'>
    <method name='M-x'><arg type='s'/>
      <arg type='a{vs}' direction='out'/></method><method name='M'/>
    <!-- äöü --> <method name='M'/>
    <signal name='S'><arg type=''/></signal>
    <property name='P' type='ss' access='read'>
      <annotation name='org.freedesktop.DBus.Deprecated' value='maybe'/></property>
  </interface>
  <node name='/c'/>
</node>";
    let expected = [
        (1, 1, ""),
        (2, 3, "interface b"),
        (3, 5, "interface b, method M-x"),
        (4, 7, "interface b, method M-x, output 1"),
        (5, 18, "interface b, method M"),
        (6, 22, "interface b, signal S, argument 1"),
        (7, 5, "interface b, property P"),
        (8, 7, "interface b, property P, annotation org.freedesktop.DBus.Deprecated"),
        (10, 3, "node /c"),
    ];
    for node in [Node::from_xml(xml).unwrap(), Node::from_xml_leniently(xml).unwrap().0] {
        let problems = node.check();
        let found: Vec<_> = problems
            .iter()
            .map(|it| (it.position.unwrap(), it.place.as_str()))
            .map(|(Position { line, column }, place)| (line, column, place))
            .collect();
        assert_eq!(found, expected);
        assert!(problems[2].to_string().starts_with("line 3, column 5: interface b, method M-x: "));
        // What is added afterwards stands nowhere.
        let more = node.with_child("/d");
        assert_eq!(more.check().last().unwrap().position, None);
    }
    // Also where the beginning was mended for the reader.
    let mended = format!(" \n<?xml version='1.0'?>{}", xml.replace("<signal", "<x:y/><signal"));
    let (node, _) = Node::from_xml_leniently(&mended).unwrap();
    let positions: Vec<_> = node.check().iter().map(|it| it.position.unwrap()).collect();
    assert_eq!((positions[1].line, positions[1].column), (3, 3));
    assert_eq!((positions[5].line, positions[5].column), (7, 28));
}
