use proptest::prelude::*;

use super::*;
use crate::arbitrary;

/// What lenient reading makes of `content` in an interface: the interface, and the faults with
/// their columns.
fn read(content: &str) -> (Interface, Vec<(u64, ParseErrorKind)>) {
    let begin = "<node><interface name='a.b'>";
    let xml = format!("{begin}{content}</interface></node>");
    let (node, faults) = Node::from_xml_leniently(&xml).unwrap_or_else(|it| panic!("{xml}: {it}"));
    let place = |fault: ParseError| (fault.column - begin.len() as u64, fault.kind);
    let interface = node.interfaces.into_iter().next().unwrap();
    (interface, faults.into_iter().map(place).collect())
}

fn check(content: &str, expected: &Interface, faults: &[(u64, ParseErrorKind)]) {
    let (interface, found) = read(content);
    assert_eq!((&interface, &*found), (expected, faults), "{content}");
}

fn kinds(xml: &str) -> Vec<String> {
    let (_, faults) = Node::from_xml_leniently(xml).unwrap_or_else(|it| panic!("{xml}: {it}"));
    faults.iter().map(ToString::to_string).collect()
}

fn map() -> Interface {
    Interface::new("a.b")
}

#[test]
fn what_is_right_has_no_faults() {
    let method = Method::new("M").with_input("x", "s").with_output("y", "u");
    let interface = map()
        .with_method(method.with_annotation("org.gtk.GDBus.C.Name", "m"))
        .with_signal(Signal::new("S").with_argument("", "as").with_documentation("of\n\n<it>"))
        .with_property(Property::new("P", "s", Access::Write));
    let node = Node::new().with_interface(interface).with_child("c");
    assert_eq!(Node::from_xml_leniently(&node.to_xml()), Ok((node, Vec::new())));
}

#[test]
fn missing_attributes_are_empty() {
    let missing = |element, attribute| ParseErrorKind::MissingAttribute { element, attribute };
    check("<method/>", &map().with_method(Method::new("")), &[(1, missing("method", "name"))]);
    let property = |access| map().with_property(Property::new("P", "s", access));
    check(
        "<property name='P' type='s'/>",
        &property(Access::Read),
        &[(1, missing("property", "access"))],
    );
    check(
        "<signal name='S'><arg/></signal>",
        &map().with_signal(Signal::new("S").with_argument("", "")),
        &[(18, missing("arg", "type"))],
    );
    check(
        "<annotation name='n'/>",
        &map().with_annotation("n", ""),
        &[(1, missing("annotation", "value"))],
    );
    let (node, faults) = Node::from_xml_leniently("<node><node/></node>").unwrap();
    assert_eq!((node.children[0].name.as_deref(), faults.len()), (Some(""), 1));
}

#[test]
fn wrong_values_are_what_they_resemble() {
    let wrong = |element, attribute, value: &str| super::invalid(element, attribute, value);
    let accesses = [
        ("Read", Access::Read),
        ("writeread", Access::ReadWrite),
        ("read-write", Access::ReadWrite),
        ("WRITE", Access::Write),
        ("", Access::Read),
        ("all", Access::Read),
    ];
    for (value, access) in accesses {
        check(
            &format!("<property name='P' type='s' access='{value}'/>"),
            &map().with_property(Property::new("P", "s", access)),
            &[(1, wrong("property", "access", value))],
        );
    }
    let method = |value: &str, expected| {
        check(
            &format!("<method name='M'><arg type='s' direction='{value}'/></method>"),
            &map().with_method(expected),
            &[(18, wrong("arg", "direction", value))],
        );
    };
    method("Out", Method::new("M").with_output("", "s"));
    method(" in ", Method::new("M").with_input("", "s"));
    method("inout", Method::new("M").with_input("", "s"));
    check(
        "<signal name='S'><arg type='s' direction='in'/></signal>",
        &map().with_signal(Signal::new("S").with_argument("", "s")),
        &[(18, wrong("arg", "direction", "in"))],
    );
}

#[test]
fn what_is_left_out_is_listed() {
    let element =
        |element: &str, parent| ParseErrorKind::ForeignElement { element: element.into(), parent };
    let method = map().with_method(Method::new("M"));
    check(
        "<x:y xmlns:x='urn:x'><method name='N'/>text</x:y><method name='M'/>",
        &method,
        &[(1, element("x:y", "interface"))],
    );
    let attribute = ParseErrorKind::ForeignAttribute { element: "method", attribute: "x:z".into() };
    check("<method name='M' x:z='1' xmlns:x='urn:x'/>", &method, &[(1, attribute)]);
    let misplaced = ParseErrorKind::Misplaced { element: "arg".into(), parent: "interface" };
    check("<arg type='s'><x/></arg><method name='M'/>", &method, &[(1, misplaced)]);
    check("<!-- --> text <method name='M'/>", &method, &[(10, ParseErrorKind::Text)]);
    check("<![CDATA[x]]><method name='M'/>", &method, &[(1, ParseErrorKind::Text)]);
}

#[test]
fn foreign_faults_are_harmless() {
    let (_, faults) = read("<method name='M' since='1'><since/></method><method name='M'/>");
    let foreign: Vec<bool> = faults.iter().map(|(_, kind)| kind.is_foreign()).collect();
    assert_eq!(foreign, [true, true, false]);
}

#[test]
fn duplicates_are_kept() {
    let twice = |element, name: &str| ParseErrorKind::Duplicate { element, name: name.into() };
    check(
        "<method name='X'/><signal name='X'/><method name='X'/>",
        &map()
            .with_method(Method::new("X"))
            .with_method(Method::new("X"))
            .with_signal(Signal::new("X")),
        &[(37, twice("method", "X"))],
    );
    check(
        "<annotation name='n' value='1'/><annotation name='n' value='2'/>",
        &map().with_annotation("n", "1").with_annotation("n", "2"),
        &[(33, twice("annotation", "n"))],
    );
    assert_eq!(
        kinds("<node>\n<node name='a'/>\n<node name='a'/></node>"),
        ["line 3, column 1: there is another <node> with the name \"a\" before"]
    );
}

#[test]
fn the_beginning_is_mended() {
    assert_eq!(
        kinds("\n <?xml version='1.0'?>\n<node/>"),
        ["line 2, column 2: not well-formed XML: the XML declaration is not at the beginning"]
    );
    assert!(kinds("\u{feff}<node/>").is_empty());
    assert_eq!(
        kinds("<interface name='a.b' version='1'/>"),
        [
            "line 1, column 1: the outermost element is <interface>, not <node>",
            "line 1, column 1: the attribute version of <interface> is left out"
        ]
    );
}

#[test]
fn unbound_prefixes_are_bound() {
    let xml = "<?xml version='1.0'?><!DOCTYPE node [<!ELEMENT node ANY>]>\n<!-- <node> -->\n\
        <node tp:a='1'><interface name='a.b'><doc:doc>It.</doc:doc>\n <x:y/></interface></node>";
    let (node, faults) = Node::from_xml_leniently(xml).unwrap();
    assert_eq!(node.interfaces[0].documentation(), Some("It."));
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "line 3, column 1: the prefix tp stands for no namespace",
            "line 3, column 1: the attribute tp:a of <node> is left out",
            "line 3, column 38: the prefix doc stands for no namespace",
            "line 4, column 2: the prefix x stands for no namespace",
            "line 4, column 2: <x:y> inside <interface> is left out",
        ]
    );
    let error = Node::from_xml_leniently("<node>\n<x:y/></interface>").unwrap_err();
    assert_eq!((error.line, error.column), (2, 19), "{error}");

    // PREFIX_COUNT_MAX, at the bound and one past it.
    let prefixes = |count: usize| -> String {
        let tags: String = (0..count).map(|index| format!("<p{index}:x/>")).collect();
        format!("<node>{tags}</node>")
    };
    assert_eq!(kinds(&prefixes(8)).len(), 16);
    assert!(matches!(
        Node::from_xml_leniently(&prefixes(9)).unwrap_err().kind,
        ParseErrorKind::NotXml(_)
    ));
}

#[test]
fn entities_may_stand_for_words() {
    let document =
        |dtd: &str, value: &str| format!("<!DOCTYPE node [{dtd}]><node name='{value}'/>");
    let xml = document("\n<!ENTITY a \"x>y\">\n<!ENTITY b 'z'>", "&a;&b;");
    let (node, faults) = Node::from_xml_leniently(&xml).unwrap();
    assert_eq!(node.name.as_deref(), Some("x>yz"));
    let lines: Vec<_> = faults.iter().map(|it| (it.line, it.column)).collect();
    assert_eq!(lines, [(2, 1), (3, 1)]);

    let refuse = |dtd: &str| {
        let kind = Node::from_xml_leniently(&document(dtd, "")).expect_err(dtd).kind;
        assert_eq!(kind, ParseErrorKind::DefinesEntities, "{dtd}");
    };
    refuse("<!ENTITY % a 'x'>");
    refuse("<!ENTITY a SYSTEM 'file:///etc/passwd'>");
    refuse("<!ENTITY a 'x'><!ENTITY b '&a;&a;'>");
    refuse("<!ENTITY a '&#38;a;'>");
    refuse("<!ENTITY a '%a;'>");
    refuse("<!ENTITY a");

    // All references together, at the bound and one past it.
    let expanding = |size: usize| {
        let value = "x".repeat(size);
        let text = "&a;".repeat(1 << 10);
        format!("<!DOCTYPE node [<!ENTITY a '{value}'>]><node><x>{text}</x></node>")
    };
    assert_eq!(kinds(&expanding(4 << 10)).len(), 2);
    let error = Node::from_xml_leniently(&expanding((4 << 10) + 1)).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::DefinesEntities);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let kind = |xml: &str| Node::from_xml_leniently(xml).expect_err(xml).kind;
    for xml in ["", "<node>", "<node/><node/>", "no", "<node name='<'/>", "<node>&nbsp;</node>"] {
        assert!(matches!(kind(xml), ParseErrorKind::NotXml(_)), "{xml}");
    }
    assert_eq!(kind("<html/>"), ParseErrorKind::NoNode { found: "html".into() });
    assert_eq!(kind(&" ".repeat(XML_SIZE_MAX + 1)), ParseErrorKind::TooLarge);
    for element in ["node", "doc", "x"] {
        let nested = |depth: usize| {
            let (begin, end) = (format!("<{element}>"), format!("</{element}>"));
            format!(
                "<node><interface>{}{}</interface></node>",
                begin.repeat(depth - 2),
                end.repeat(depth - 2)
            )
        };
        assert!(Node::from_xml_leniently(&nested(XML_DEPTH_MAX)).is_ok(), "{element}");
        assert_eq!(kind(&nested(XML_DEPTH_MAX + 1)), ParseErrorKind::TooDeep, "{element}");
    }
}

#[test]
fn bounds_the_faults() {
    let list = |count: usize| {
        let xml = format!("<node>{}</node>", "<x/>\n".repeat(count));
        Node::from_xml_leniently(&xml).unwrap().1
    };
    assert_eq!(list(FAULT_COUNT_MAX).len(), FAULT_COUNT_MAX);
    let more = list(FAULT_COUNT_MAX + 2);
    assert_eq!(more.len(), FAULT_COUNT_MAX + 1);
    let last = more.last().unwrap();
    assert_eq!((last.line, &last.kind), (FAULT_COUNT_MAX as u64 + 1, &ParseErrorKind::MoreFaults));
}

/// What the documentation of a method becomes, with a comment before it and elements in it.
fn documented(comment: &str, elements: &str) -> Option<String> {
    let (interface, faults) =
        read(&format!("<!--{comment}--><method name='M'>{elements}</method>"));
    assert_eq!(faults, [], "{comment} {elements}");
    interface.methods[0].documentation().map(str::to_owned)
}

#[test]
fn documentation_is_the_text_of_elements() {
    let check = |xml: &str, expected: &str| {
        let found = documented("", xml);
        assert_eq!(found.as_deref().unwrap_or_default(), expected, "{xml}");
    };
    check("<docstring/>", "");
    check("<docstring> Stores\n  a <em>value</em>. </docstring>", "Stores a value.");
    check("<doc>a &lt;b&gt; <![CDATA[<c>]]></doc>", "a <b> <c>");
    check("<doc><p>One.</p>\n<p>Two,<br/>three.</p>four</doc>", "One.\n\nTwo,\n\nthree.\n\nfour");
    check(
        "<doc><summary>Sum.</summary><description><para>A</para></description>\
         <errors><error name='a.E'>if not</error><error name='a.F'/></errors></doc>",
        "Sum.\n\nA\n\na.E: if not\n\na.F:",
    );
    check(
        "<doc>Of:<list><item><term>a</term><definition>first</definition></item>\n\
         <item><term>b</term></item></list></doc>",
        "Of:\n\n- a: first\n\n- b",
    );
    check(
        "<doc><variablelist><varlistentry><term>a</term>\n<listitem><para>first</para></listitem>\
         </varlistentry></variablelist><itemizedlist><listitem><para>b</para></listitem>\
         </itemizedlist></doc>",
        "- a: first\n\n- b",
    );
    check("<doc>One,\ntwo.\n  \n Three.\n\n</doc>", "One, two.\n\nThree.");
    check("<doc><dl><dt>a</dt>\n<dd><p>first</p></dd><dt>b</dt></dl></doc>", "- a: first\n\n- b");
    check("<doc><ul><li><p>a</p></li><li/></ul></doc>", "- a");
    check(
        "<doc>Do<example><code>\n  a\n    <b>b</b>\n\n  c\n</code></example></doc>",
        "Do\n\n    a\n      b\n\n    c",
    );
    check("<doc>the <code>x  y</code></doc>", "the x y");
    check("<doc>a</doc><docstring>b</docstring>", "a\n\nb");
    check("<doc>a</doc><annotation name='org.gtk.GDBus.DocString' value=' b '/>", " b \n\na");
}

#[test]
fn documentation_is_a_comment_that_names_its_element() {
    let check = |comment: &str, expected: Option<&str>| {
        assert_eq!(documented(comment, "").as_deref(), expected, "{comment}");
    };
    check("M: Stores it.", Some("Stores it."));
    check("\n  M:\n\n  Stores\n  it.\n    x\n\n  Since: 1\n", Some("Stores\nit.\n  x\n\nSince: 1"));
    check("\n M:\n @x: A\n    thing.\n @y:\n\n Text.", Some("x: A\nthing.\n\ny: \n\nText."));
    check("M:\n\nA\n<b>b</b> c.\n\n<ul><li>d</li></ul>e", Some("A b c.\n\n- d\n\ne"));
    check("M:\n\nA\n<b>b</c> &c.", Some("A\n<b>b</c> &c."));
    check("M:\n@short_description: Stores\n\nAll.", Some("Stores\n\nAll."));
    for comment in ["", " ***** ", "N: no", "M", "M:no", "Methods: M"] {
        check(comment, None);
    }
    check("M:", None);
    assert_eq!(documented("M: a", "<doc>b</doc>").as_deref(), Some("b\n\na"));
}

#[test]
fn comments_document_arguments() {
    let (interface, faults) = read(
        "<!-- M:\n @x: A.\n @z: C. -->\n<method name='M'><arg name='x' type='s'/>\
         <arg name='x' type='s'/><arg name='y' type='s' direction='out'/></method>\
         <!-- S:\n@a: B. --> <!-- aside --> <signal name='S'><arg name='a' type='s'/></signal>\
         <!-- P: D. --><property name='P' type='s' access='read'/>",
    );
    assert_eq!(faults, []);
    let method = &interface.methods[0];
    assert_eq!(method.inputs[0].documentation(), Some("A."));
    assert_eq!((method.inputs[1].documentation(), method.outputs[0].documentation()), (None, None));
    assert_eq!(method.documentation(), Some("z: C."));
    assert_eq!(interface.signals[0].documentation(), None, "not just before it");
    assert_eq!(interface.properties[0].documentation(), Some("D."));
}

#[test]
fn documentation_can_be_written() {
    let with_size = |size: usize| {
        let text = "é".repeat(size / 2);
        Node::from_xml_leniently(&format!("<interface name='a.b'><doc>{text}</doc></interface>"))
            .unwrap()
    };
    let check = |size: usize, fault_count: usize| {
        let (node, faults) = with_size(size);
        assert_eq!(faults.len(), 1 + fault_count);
        assert_eq!(Node::from_xml(&node.to_xml()), Ok(node));
    };
    check(ATTRIBUTE_SIZE_MAX, 0);
    check(ATTRIBUTE_SIZE_MAX + 2, 1);
}

proptest! {
    #[test]
    fn what_was_written_is_read(node in arbitrary::node()) {
        let xml = node.to_xml();
        prop_assert_eq!(Node::from_xml(&xml), Ok(node.clone()));
        let (read, faults) = Node::from_xml_leniently(&xml).unwrap();
        prop_assert_eq!(&read, &node);
        for fault in faults {
            let is_duplicate = matches!(fault.kind, ParseErrorKind::Duplicate { .. });
            prop_assert!(is_duplicate, "{}", fault);
        }
    }

    #[test]
    fn nothing_panics(pieces in proptest::collection::vec(piece(), 0..40), text in ".{0,40}") {
        let _ = Node::from_xml_leniently(&text);
        let xml = pieces.concat();
        for xml in [format!("<node>{xml}</node>"), xml] {
            let strict = Node::from_xml(&xml);
            let Ok((node, _)) = Node::from_xml_leniently(&xml) else {
                prop_assert!(strict.is_err(), "only strict reading reads {}", xml);
                continue;
            };
            let (again, _) = Node::from_xml_leniently(&node.to_xml()).unwrap();
            prop_assert_eq!(again, node, "{}", xml);
        }
    }
}

/// A piece of a document, complete or not.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 37] = [
        "<node name='a'>",
        "</node>",
        "<interface name='a.b'>",
        "</interface>",
        "<method name='M'>",
        "</method>",
        "<arg type='s' name='x'/>",
        "<arg direction='Out'>",
        "</arg>",
        "<signal>",
        "</signal>",
        "<property access='rw' name='P'/>",
        "<doc>",
        "</doc>",
        "<tp:docstring>",
        "</tp:docstring>",
        "<li>",
        "</li>",
        "<pre>",
        "</pre>",
        "<!-- M: a\n@x: b -->",
        "<!--",
        "-->",
        "<annotation name='org.gtk.GDBus.DocString' value='&#10;d'/>",
        "<![CDATA[ c ]]>",
        "&lt;",
        "text",
        "\n",
        "<?xml version='1.0'?>",
        "<!DOCTYPE node [",
        "]>",
        "<!ENTITY e 'x'>",
        "&e;",
        "é",
        "\u{feff}",
        "<error name='E'/>",
        "<x xmlns:tp='urn:tp'/>",
    ];
    proptest::sample::select(&PIECES[..]).prop_map(str::to_owned)
}
