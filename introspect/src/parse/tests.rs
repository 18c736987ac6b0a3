use super::*;

/// A document with `content` in an interface, and what the interface is then.
fn interface(content: &str) -> Result<Interface, ParseError> {
    let node =
        Node::from_xml(&format!("<node><interface name=\"a.b\">{content}</interface></node>"))?;
    Ok(node.interfaces.into_iter().next().unwrap())
}

fn kind(xml: &str) -> ParseErrorKind {
    Node::from_xml(xml).expect_err(xml).kind
}

fn is_not_xml(xml: &str) -> bool {
    matches!(kind(xml), ParseErrorKind::NotXml(_))
}

#[test]
fn reads_the_specifications_example() {
    // spec: introspection-format
    let xml = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
         "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
        <node name="/com/example/sample_object0">
          <interface name="com.example.SampleInterface0">
            <method name="Frobate">
              <arg name="foo" type="i" direction="in"/>
              <arg name="bar" type="s" direction="out"/>
              <arg name="baz" type="a{us}" direction="out"/>
              <annotation name="org.freedesktop.DBus.Deprecated" value="true"/>
            </method>
            <method name="Mogrify">
              <arg name="bar" type="(iiav)" direction="in"/>
            </method>
            <signal name="Changed">
              <arg name="new_value" type="b"/>
            </signal>
            <property name="Bar" type="y" access="readwrite"/>
          </interface>
          <node name="child_of_sample_object"/>
          <node name="another_child_of_sample_object"/>
       </node>"#;
    let interface = Interface::new("com.example.SampleInterface0")
        .with_method(
            Method::new("Frobate")
                .with_input("foo", "i")
                .with_output("bar", "s")
                .with_output("baz", "a{us}")
                .with_annotation("org.freedesktop.DBus.Deprecated", "true"),
        )
        .with_method(Method::new("Mogrify").with_input("bar", "(iiav)"))
        .with_signal(Signal::new("Changed").with_argument("new_value", "b"))
        .with_property(Property::new("Bar", "y", Access::ReadWrite));
    let expected = Node { name: Some("/com/example/sample_object0".into()), ..Node::new() }
        .with_interface(interface)
        .with_child("child_of_sample_object")
        .with_child("another_child_of_sample_object");
    assert_eq!(Node::from_xml(xml), Ok(expected));
}

#[test]
fn reads_what_it_renders() {
    let argument =
        Arg { annotations: vec![Annotation::new("t", "QMap<A,B>")], ..Arg::new("", "as") };
    let interface = Interface::new("a.b")
        .with_method(Method { outputs: vec![argument.clone()], ..Method::new("M") })
        .with_signal(Signal { arguments: vec![argument], ..Signal::new("S") })
        .with_property(
            Property::new("P", "s", Access::Write).with_annotation("n", "\t\n\r & 'x' \"y\" é"),
        )
        .with_annotation("n", "");
    let inner = Node { name: Some("c".into()), ..Node::new().with_interface(interface.clone()) };
    let node = Node { children: vec![inner], ..Node::new().with_interface(interface) };
    assert_eq!(Node::from_xml(&node.to_xml()), Ok(node));
}

#[test]
fn fills_in_defaults() {
    // protocol.md A214
    let check = |content: &str, expected: Interface| {
        assert_eq!(interface(content), Ok(expected), "{content}");
    };
    let empty = || Interface::new("a.b");
    check("", empty());
    check("<method name='M'><arg type='s'/></method>", {
        empty().with_method(Method::new("M").with_input("", "s"))
    });
    check("<method name='M'><arg type='s' direction='out'/><arg type='u'/></method>", {
        empty().with_method(Method::new("M").with_input("", "u").with_output("", "s"))
    });
    check("<signal name='S'><arg type='s'/><arg type='u' direction='out'/></signal>", {
        empty().with_signal(Signal::new("S").with_argument("", "s").with_argument("", "u"))
    });
    check("<method name='M'><arg name='' type='s'/></method>", {
        empty().with_method(Method::new("M").with_input("", "s"))
    });
    for access in Access::ALL {
        let content = format!("<property name='P' type='s' access='{}'/>", access.as_str());
        check(&content, empty().with_property(Property::new("P", "s", access)));
    }
    assert_eq!(Node::from_xml("<node/>"), Ok(Node::new()));
}

#[test]
fn leaves_out_what_it_does_not_know() {
    let with_method = Interface::new("a.b").with_method(Method::new("M"));
    let check = |case: &str, content: &str| {
        assert_eq!(interface(content).as_ref(), Ok(&with_method), "{case}");
    };
    check("text", "some <method name='M'/> text");
    check("a comment", "<!-- <signal/> --><method name='M'/>");
    check("an instruction", "<?x y?><method name='M'/>");
    check("CDATA", "<![CDATA[<signal/>]]><method name='M'/>");
    check("an element", "<description>of <b>it</b></description><method name='M'><doc/></method>");
    check("known names inside it", "<doc><method name='X'/><node/></doc><method name='M'/>");
    check("another namespace", "<d:doc xmlns:d='urn:d'><d:x/></d:doc><method name='M'/>");
    check("a known name in it", "<d:method xmlns:d='urn:d'/><method name='M'/>");
    check("attributes", "<method name='M' since='1' xmlns:d='urn:d' d:name='X'/>");
}

#[test]
fn elements_stand_where_they_belong() {
    let check = |xml: &str, element: &str, parent: &'static str| {
        let expected = ParseErrorKind::Misplaced { element: element.into(), parent };
        assert_eq!(kind(xml), expected, "{xml}");
    };
    let parents = [
        ("node", "", "", "interface node"),
        (
            "interface",
            "<interface name='a.b'>",
            "</interface>",
            "method signal property annotation",
        ),
        (
            "method",
            "<interface name='a.b'><method name='M'>",
            "</method></interface>",
            "arg annotation",
        ),
        (
            "signal",
            "<interface name='a.b'><signal name='S'>",
            "</signal></interface>",
            "arg annotation",
        ),
        (
            "property",
            "<interface name='a.b'><property name='P' type='s' access='read'>",
            "</property></interface>",
            "annotation",
        ),
        (
            "arg",
            "<interface name='a.b'><method name='M'><arg type='s'>",
            "</arg></method></interface>",
            "annotation",
        ),
        (
            "annotation",
            "<interface name='a.b'><annotation name='n' value='v'>",
            "</annotation></interface>",
            "",
        ),
    ];
    for (parent, begin, end, allowed) in parents {
        for element in ["node", "interface", "method", "signal", "property", "arg", "annotation"] {
            if allowed.split(' ').all(|name| name != element) {
                check(&format!("<node>{begin}<{element}/>{end}</node>"), element, parent);
            }
        }
    }
}

#[test]
fn attributes_are_required() {
    let check = |xml: &str, element: &'static str, attribute: &'static str| {
        let xml = format!("<node><interface name='a.b'>{xml}</interface></node>");
        assert_eq!(kind(&xml), ParseErrorKind::MissingAttribute { element, attribute }, "{xml}");
    };
    check("<method/>", "method", "name");
    check("<signal/>", "signal", "name");
    check("<property type='s' access='read'/>", "property", "name");
    check("<property name='P' access='read'/>", "property", "type");
    check("<property name='P' type='s'/>", "property", "access");
    check("<method name='M'><arg name='x'/></method>", "arg", "type");
    check("<annotation value='v'/>", "annotation", "name");
    check("<annotation name='n'/>", "annotation", "value");
    let missing = |element| ParseErrorKind::MissingAttribute { element, attribute: "name" };
    assert_eq!(kind("<node><interface/></node>"), missing("interface"));
    // protocol.md A214: only the outermost node may be unnamed.
    assert_eq!(kind("<node><node/></node>"), missing("node"));
}

#[test]
fn attributes_have_the_values_defined() {
    // protocol.md A214
    let check = |xml: &str, element: &'static str, attribute: &'static str, value: &str| {
        let xml = format!("<node><interface name='a.b'>{xml}</interface></node>");
        let value = value.to_owned();
        assert_eq!(
            kind(&xml),
            ParseErrorKind::InvalidAttribute { element, attribute, value },
            "{xml}"
        );
    };
    let arg = ("arg", "direction");
    check("<method name='M'><arg type='s' direction='inout'/></method>", arg.0, arg.1, "inout");
    check("<method name='M'><arg type='s' direction=''/></method>", arg.0, arg.1, "");
    check("<signal name='S'><arg type='s' direction='in'/></signal>", arg.0, arg.1, "in");
    let property = ("property", "access");
    check("<property name='P' type='s' access='Read'/>", property.0, property.1, "Read");
    check("<property name='P' type='s' access='writeread'/>", property.0, property.1, "writeread");
}

#[test]
fn the_document_is_one_node() {
    let found = |name: &str| ParseErrorKind::NoNode { found: name.into() };
    assert_eq!(kind("<interface name='a.b'/>"), found("interface"));
    assert_eq!(kind("<x:node xmlns:x='urn:x'/>"), found("x:node"));
    for xml in [
        "",
        " ",
        "<!-- nothing -->",
        "<node>",
        "<node></interface></node>",
        "<node/><node/>",
        "<node/>text",
        "text<node/>",
        "<node",
        "<node name='a' name='b'/>",
        "<node name=a/>",
        "<node name='<'/>",
        "<node name='&unknown;'/>",
        "<node name='&#0;'/>",
        "<node\0/>",
        "<node><x:doc/></node>",
    ] {
        assert!(is_not_xml(xml), "{xml:?}");
    }
}

#[test]
fn the_text_is_utf8_whatever_it_declares() {
    for encoding in ["UTF-8", "ISO-8859-1", "UTF-16", "KOI8-R"] {
        let xml = format!("<?xml version='1.0' encoding='{encoding}'?><node name='é'/>");
        let node = Node::from_xml(&xml).unwrap_or_else(|error| panic!("{encoding}: {error}"));
        assert_eq!(node.name.as_deref(), Some("é"), "{encoding}");
    }
}

#[test]
fn errors_say_where() {
    let check = |xml: &str, line: u64, column: u64| {
        let error = Node::from_xml(xml).expect_err(xml);
        assert_eq!((error.line, error.column), (line, column), "{xml:?}: {error}");
        let text = error.to_string();
        let rest = text.strip_prefix(&format!("line {line}, column {column}: ")).unwrap();
        assert!(!rest.contains(&format!("{line}:{column}")), "said once: {text}");
    };
    check("<interface/>", 1, 1);
    check("<node>\n  <method/>\n</node>", 2, 3);
    check("<node><method name='x'\n  since='1'></method></node>", 1, 7);
    check("<node>é&lt;<!-- <\n --><?x <?>\r\n\t<method/>", 3, 2);
    check("<node>\n\n<interface name='a.b'>\n <method>\n", 4, 2);
    check("<node><interface name='a.b'><method name='M'><arg a='&lt;&#10;>' /></method>", 1, 46);
    check("<node>\n</interface>", 2, 12);
    check("<node>\n<interface name='a.b'>", 2, 23);
    check("<!DOCTYPE node\n [<!ENTITY a 'b'>]>\n<node/>", 2, 3);
}

#[test]
fn bounds_the_size() {
    let with_size = |size: usize| {
        let (begin, end) = ("<node><!--", "--></node>");
        format!("{begin}{}{end}", "x".repeat(size - begin.len() - end.len()))
    };
    assert_eq!(Node::from_xml(&with_size(XML_SIZE_MAX)), Ok(Node::new()));
    assert_eq!(kind(&with_size(XML_SIZE_MAX + 1)), ParseErrorKind::TooLarge);
}

#[test]
fn bounds_the_depth() {
    let nested = |element: &str, depth: usize| {
        let inner = depth - 1;
        let (begin, end) = (format!("<{element} name='a'>"), format!("</{element}>"));
        format!("<node>{}{}</node>", begin.repeat(inner), end.repeat(inner))
    };
    for element in ["node", "unknown"] {
        assert!(Node::from_xml(&nested(element, XML_DEPTH_MAX)).is_ok(), "{element}");
        assert_eq!(kind(&nested(element, XML_DEPTH_MAX + 1)), ParseErrorKind::TooDeep, "{element}");
    }
}

#[test]
fn bounds_names_and_attributes() {
    let attributes = |count: usize| {
        let list: String = (0..count).map(|index| format!(" a{index}=''")).collect();
        format!("<node{list}/>")
    };
    assert!(Node::from_xml(&attributes(ATTRIBUTE_COUNT_MAX)).is_ok());
    assert!(is_not_xml(&attributes(ATTRIBUTE_COUNT_MAX + 1)));

    let value = |size: usize| format!("<node name='{}'/>", "x".repeat(size));
    assert!(Node::from_xml(&value(ATTRIBUTE_SIZE_MAX)).is_ok());
    assert!(is_not_xml(&value(ATTRIBUTE_SIZE_MAX + 1)));

    let name = |size: usize| format!("<node><{}/></node>", "x".repeat(size));
    assert!(Node::from_xml(&name(NAME_SIZE_MAX)).is_ok());
    assert!(is_not_xml(&name(NAME_SIZE_MAX + 1)));
}

#[test]
fn entities_are_not_defined() {
    let document =
        |dtd: &str, value: &str| format!("<!DOCTYPE node [{dtd}]><node name='{value}'/>");
    let check = |dtd: &str| {
        assert_eq!(kind(&document(dtd, "")), ParseErrorKind::DefinesEntities, "{dtd}");
    };
    check("<!ENTITY a 'x'>");
    check("<!ENTITY % a 'x'>");
    check("<!ENTITY a SYSTEM 'file:///etc/passwd'>");
    check("<!-- > ]> --><!ENTITY a '&a;&a;'>");
    check("<!ENTITY % a '<!ENTITY b \"&#37;a;\">'>%a;");

    let plain = document("<!ELEMENT node ANY>", "&lt;&#65;&#x42;");
    assert_eq!(Node::from_xml(&plain).unwrap().name.as_deref(), Some("<AB"));
}

#[test]
fn no_document_ends_the_program() {
    let read_both_ways = |xml: &str| {
        let _ = (Node::from_xml(xml), Node::from_xml_leniently(xml));
    };
    // Every document that one edit makes of a good one, and long runs of what is left out.
    let interface = Interface::new("a.b")
        .with_method(Method::new("M").with_input("x", "s").with_output("é", "u"))
        .with_property(Property::new("P", "s", Access::Read).with_annotation("n", "<&>"));
    let good = Node::new().with_interface(interface).with_child("c").to_xml();
    for (index, c) in good.char_indices() {
        let (before, after) = (&good[..index], &good[index + c.len_utf8()..]);
        for edit in ["", "<", ">", "/", "'", "\"", "&", "]]>", "<!--", "<?", "<![CDATA[", "\0", "é"]
        {
            read_both_ways(&format!("{before}{edit}{after}"));
            read_both_ways(&format!("{before}{edit}{c}{after}"));
        }
        read_both_ways(before);
    }
    for filler in ["<!-- -->", "<?x?>", "<![CDATA[]]>", "&lt;", "<x/>", " ", "<x><!----></x>"] {
        let inside = format!("<node>{}</node>", filler.repeat(1000));
        assert_eq!(Node::from_xml(&inside), Ok(Node::new()), "{filler}");
        for (before, after) in [("", "<node/>"), ("<node/>", ""), ("<!DOCTYPE node [", "]><node/>")]
        {
            read_both_ways(&format!("{before}{}{after}", filler.repeat(1000)));
        }
    }
}

mod lenient;
