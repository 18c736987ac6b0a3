use std::io::Write;
use std::process::{Command, Stdio};

use super::names::snake_case;
use super::types::{Form, Type};
use super::*;
use crate::model::{Access, Arg, Method, Property, Signal, annotation};
use libbus::names::NameError;
use libbus::wire::SignatureError;

mod random;

fn proxy(interface: &Interface) -> String {
    interface.to_rust_proxy(&CodegenOptions::new()).unwrap()
}

fn server(interface: &Interface) -> String {
    interface.to_rust_server(&CodegenOptions::new()).unwrap()
}

/// The functions, without comments and blank lines.
fn functions(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("///"));
    let mut lines = lines.skip_while(|line| !line.ends_with('{')).skip(1);
    let lines: Vec<&str> = lines.by_ref().filter(|line| !line.is_empty()).collect();
    lines.split_last().unwrap().1.to_vec()
}

fn map() -> Node {
    Node::from_xml(include_str!("tests/map.xml")).unwrap()
}

#[test]
fn writes_what_it_should() {
    let node = map();
    let options = CodegenOptions::new()
        .with_default_service("org.example.Map")
        .with_default_path("/org/example/Map");
    let named = options.clone().with_first_line("The maps.").with_source("map.xml");
    assert_eq!(node.to_rust_proxies(&named).unwrap(), include_str!("tests/proxies.rs"));
    let server = node.interfaces[0].to_rust_server(&options).unwrap();
    assert_eq!(server, include_str!("tests/server.rs"));
}

#[test]
fn the_blocking_style_differs_in_the_macros_and_the_emitter() {
    let blocking = CodegenOptions::new().blocking();
    let interface = &map().interfaces[0];
    assert_eq!(
        interface.to_rust_proxy(&blocking).unwrap(),
        proxy(interface).replace("libbus::proxy", "libbus::blocking::proxy")
    );
    assert_eq!(
        interface.to_rust_server(&blocking).unwrap(),
        server(interface)
            .replace("libbus::interface", "libbus::blocking::interface")
            .replace("async fn", "fn")
            .replace("&libbus::Signal", "&libbus::blocking::Signal")
    );
}

#[test]
fn types_are_lent_received_and_owned() {
    let check = |signature: &str, lent: &str, received: &str, owned: &str| {
        let short = |form| {
            let text = Type::of(signature, form).unwrap().flat();
            text.replace("libbus::wire_types::", "").replace("std::collections::", "")
        };
        let forms = [Form::Lent, Form::Received, Form::Owned].map(short);
        assert_eq!(forms, [lent, received, owned], "{signature}");
    };
    let same = |signature, name| check(signature, name, name, name);
    same("y", "u8");
    same("b", "bool");
    same("n", "i16");
    same("q", "u16");
    same("i", "i32");
    same("u", "u32");
    same("x", "i64");
    same("t", "u64");
    same("d", "f64");
    check("s", "&str", "&str", "String");
    check("o", "&ObjectPath<'_>", "ObjectPath<'_>", "OwnedObjectPath");
    check("g", "&Signature", "Signature", "Signature");
    check("v", "&Variant<'_>", "Variant<'_>", "OwnedVariant");
    check("h", "Fd<'_>", "Fd<'_>", "OwnedFd");
    check("ay", "&[u8]", "Vec<u8>", "Vec<u8>");
    check("as", "&[&str]", "Vec<&str>", "Vec<String>");
    check("ah", "&[Fd<'_>]", "Vec<Fd<'_>>", "Vec<OwnedFd>");
    check("aao", "&[&[ObjectPath<'_>]]", "Vec<Vec<ObjectPath<'_>>>", "Vec<Vec<OwnedObjectPath>>");
    check("aaaas", "&[&[&[&[&str]]]]", "Vec<Vec<Vec<Vec<&str>>>>", "Vec<Vec<Vec<Vec<String>>>>");
    check(
        "a(aaaaas)",
        "&[(&[&[&[Vec<Vec<&str>>]]],)]",
        "Vec<(Vec<Vec<Vec<Vec<Vec<&str>>>>>,)>",
        "Vec<(Vec<Vec<Vec<Vec<Vec<String>>>>>,)>",
    );
    check(
        "a{sv}",
        "&HashMap<&str, Variant<'_>>",
        "HashMap<&str, Variant<'_>>",
        "HashMap<String, OwnedVariant>",
    );
    check(
        "a{gas}",
        "&HashMap<Signature, &[&str]>",
        "HashMap<Signature, Vec<&str>>",
        "HashMap<Signature, Vec<String>>",
    );
    check("(sg)", "&(&str, Signature)", "(&str, Signature)", "(String, Signature)");
    check("(s)", "&(&str,)", "(&str,)", "(String,)");
    check("((d)ay)", "&((f64,), &[u8])", "((f64,), Vec<u8>)", "((f64,), Vec<u8>)");
    check(
        "(dddddddddddddddd)",
        &format!("&{}", tuple_of("f64", 16)),
        &tuple_of("f64", 16),
        &tuple_of("f64", 16),
    );
}

fn tuple_of(name: &str, count: usize) -> String {
    format!("({})", vec![name; count].join(", "))
}

#[test]
fn replies_are_one_value_or_a_tuple() {
    let check = |outputs: &[&str], expected: &str| {
        let method = outputs.iter().fold(Method::new("M"), |it, of| it.with_output("", of));
        let text = proxy(&Interface::new("a.B").with_method(method));
        assert_eq!(functions(&text), [format!("fn m(&self) -> libbus::Result<{expected}>;")]);
    };
    check(&[], "()");
    check(&["u"], "u32");
    check(&["s", "u"], "(String, u32)");
    check(&["(su)"], "((String, u32),)");
    check(&["((s)u)"], "(((String,), u32),)");
    check(&["(su)", "u"], "((String, u32), u32)");
    check(&["a(su)"], "Vec<(String, u32)>");
}

#[test]
fn a_property_that_is_a_structure_is_no_list_of_values() {
    let property = Property::new("P", "(su)", Access::ReadWrite);
    let interface = Interface::new("a.B").with_property(property);
    assert_eq!(
        functions(&proxy(&interface)),
        [
            "#[zbus(property)]",
            "fn p(&self) -> libbus::Result<(String, u32)>;",
            "#[zbus(property)]",
            "fn set_p(&self, value: &(&str, u32)) -> libbus::Result<()>;",
        ]
    );
}

#[test]
fn words_of_names_are_told_apart() {
    let check = |name: &str, snake: &str| {
        assert_eq!(snake_case(name, "method"), snake, "{name}");
    };
    check("GetNameOwner", "get_name_owner");
    check("NMState", "nm_state");
    check("UUIDs", "uuids");
    check("GetUUIDsOf", "get_uuids_of");
    check("IPv4Address", "ipv4_address");
    check("Ip4Config", "ip4_config");
    check("Ip6RA", "ip6_ra");
    check("X11Forwarding", "x11_forwarding");
    check("GetFDs", "get_fds");
    check("IsA", "is_a");
    check("IsABus", "is_a_bus");
    check("getFoo", "get_foo");
    check("get_foo", "get_foo");
    check("get__foo_", "get_foo");
    check("power-saver-enabled", "power_saver_enabled");
    check("SCREAMING_CASE", "screaming_case");
    check("_Foo", "foo");
    check("_1", "method_1");
    check("__", "method");
    check("", "method");
    check("Größe", "gr_e");
}

#[test]
fn names_that_would_come_back_otherwise_are_told() {
    let check = |name: &str, expected: &[&str]| {
        let interface = Interface::new("a.B").with_method(Method::new(name));
        assert_eq!(functions(&proxy(&interface)), expected, "{name}");
    };
    check("GetFoo", &["fn get_foo(&self) -> libbus::Result<()>;"]);
    check("Ip4Config", &["fn ip4_config(&self) -> libbus::Result<()>;"]);
    check("Type", &["fn r#type(&self) -> libbus::Result<()>;"]);
    check("type", &["#[zbus(name = \"type\")]", "fn r#type(&self) -> libbus::Result<()>;"]);
    check("NMState", &["#[zbus(name = \"NMState\")]", "fn nm_state(&self) -> libbus::Result<()>;"]);
    check("Get_Foo", &["#[zbus(name = \"Get_Foo\")]", "fn get_foo(&self) -> libbus::Result<()>;"]);
    check("Self", &["#[zbus(name = \"Self\")]", "fn self_method(&self) -> libbus::Result<()>;"]);
    check("Path", &["#[zbus(name = \"Path\")]", "fn path_method(&self) -> libbus::Result<()>;"]);
    check("_", &["#[zbus(name = \"_\")]", "fn method(&self) -> libbus::Result<()>;"]);
}

#[test]
fn properties_may_have_hyphens() {
    let check = |access, expected: &[&str]| {
        let property = Property::new("on-line", "b", access);
        let interface = Interface::new("a.B").with_property(property);
        assert_eq!(functions(&proxy(&interface)), expected);
    };
    let attribute = "#[zbus(property, name = \"on-line\")]";
    check(Access::Read, &[attribute, "fn on_line(&self) -> libbus::Result<bool>;"]);
    check(Access::Write, &[attribute, "fn set_on_line(&self, value: bool) -> libbus::Result<()>;"]);
}

/// The names of functions.
fn names_of(interface: &Interface) -> Vec<String> {
    let text = proxy(interface);
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("fn "));
    names.filter_map(|line| line.split('(').next()).map(str::to_owned).collect()
}

#[test]
fn members_do_not_meet() {
    let method = |name: &str| Method::new(name);
    let of = || Interface::new("a.B");
    let check = |interface: Interface, expected: &[&str]| {
        assert_eq!(names_of(&interface), expected);
        let server = server(&interface);
        assert!(expected.iter().all(|name| server.contains(&format!("fn {name}("))), "{server}");
    };
    check(
        of().with_method(method("GetFoo")).with_method(method("get_foo")),
        &["get_foo", "get_foo_method"],
    );
    check(
        of().with_method(method("A_")).with_method(method("A")).with_method(method("a")),
        &["a", "a_method", "a_method_2"],
    );
    let foo = |access| Property::new("Foo", "s", access);
    check(
        of().with_method(method("SetFoo")).with_property(foo(Access::ReadWrite)),
        &["set_foo", "foo_property", "set_foo_property"],
    );
    check(of().with_method(method("SetFoo")).with_property(foo(Access::Read)), &["set_foo", "foo"]);
    check(
        of().with_property(foo(Access::Read)).with_signal(Signal::new("Foo")),
        &["foo", "foo_signal"],
    );
    check(
        of().with_property(foo(Access::Read)).with_signal(Signal::new("FooChanged")),
        &["foo", "foo_changed_signal"],
    );
    check(
        of().with_property(foo(Access::Write)).with_signal(Signal::new("FooChanged")),
        &["set_foo", "foo_changed"],
    );
    check(
        of().with_method(method("ReceiveFoo")).with_signal(Signal::new("Foo")),
        &["receive_foo", "foo_signal"],
    );
    check(
        of().with_method(method("CachedFoo")).with_property(foo(Access::Read)),
        &["cached_foo", "foo_property"],
    );
    check(
        of().with_method(method("FooChanged")).with_property(foo(Access::Read)),
        &["foo_changed_method", "foo"],
    );
    let never = foo(Access::Read).with_annotation(annotation::EMITS_CHANGED_SIGNAL, "const");
    check(
        of().with_property(never).with_signal(Signal::new("FooChanged")),
        &["foo", "foo_changed"],
    );
    let uncached = foo(Access::Read).with_annotation(annotation::EMITS_CHANGED_SIGNAL, "false");
    check(of().with_method(method("CachedFoo")).with_property(uncached), &["cached_foo", "foo"]);
    let own = ["New", "Builder", "Connection", "Destination", "Interface", "Inner", "IntoInner"];
    let interface = own.iter().fold(of(), |it, name| it.with_method(method(name)));
    let expected: Vec<String> =
        own.iter().map(|name| format!("{}_method", snake_case(name, ""))).collect();
    assert_eq!(names_of(&interface), expected);
}

#[test]
fn many_members_of_one_name_take_no_time() {
    let name = |index: usize| format!("A{}", "_".repeat(index));
    let methods = (0..250).map(|index| Method::new(&name(index)));
    let interface = methods.fold(Interface::new("a.B"), Interface::with_method);
    assert_eq!(names_of(&interface).last().unwrap(), "a_method_249");
}

#[test]
fn methods_are_overloaded_in_proxies_alone() {
    let close = || Method::new("Close").with_input("", "u");
    let interface = Interface::new("a.B").with_method(Method::new("Close")).with_method(close());
    assert_eq!(
        functions(&proxy(&interface)),
        [
            "fn close(&self) -> libbus::Result<()>;",
            "#[zbus(name = \"Close\")]",
            "fn close_2(&self, arg_0: u32) -> libbus::Result<()>;",
        ]
    );
    let error = interface.to_rust_server(&CodegenOptions::new()).unwrap_err();
    assert_eq!(
        (error.place.as_str(), error.fault),
        ("interface a.B, method Close", CodegenFault::Duplicate)
    );
    let error = interface.with_method(close()).to_rust_proxy(&CodegenOptions::new()).unwrap_err();
    assert_eq!(error.fault, CodegenFault::Duplicate);
}

#[test]
fn arguments_do_not_meet() {
    let check = |names: &[&str], expected: &[&str]| {
        let arguments: Vec<Arg> = names.iter().map(|name| Arg::new(name, "u")).collect();
        let method = Method { inputs: arguments.clone(), ..Method::new("M") };
        let signal = Signal { arguments, ..Signal::new("S") };
        let interface = Interface::new("a.B").with_method(method).with_signal(signal);
        for text in [proxy(&interface), server(&interface)] {
            let is_named = |name: &&&str| text.matches(&format!("{name}: u32")).count() == 2;
            assert_eq!(expected.iter().filter(is_named).count(), expected.len(), "{text}");
        }
    };
    check(&["name", "", ""], &["name", "arg_1", "arg_2"]);
    check(&["arg_1", ""], &["arg_1", "arg_1_"]);
    check(&["aB", "a_b", "AB_"], &["a_b", "a_b_", "ab"]);
    check(&["a", "A", "a-"], &["a", "a_", "a_2"]);
    check(&["type", "self", "crate"], &["r#type", "self_", "crate_"]);
    check(&["1st", "%", "a b"], &["arg_1st", "arg", "a_b"]);
    check(&[&"a".repeat(100)], &[&"a".repeat(64)]);
    // What the macros have beside them.
    let signal = Signal::new("S").with_argument("phantom", "u").with_argument("emitter", "u");
    let interface = Interface::new("a.B").with_signal(signal);
    assert!(proxy(&interface).contains("phantom_: u32, emitter: u32"));
    assert!(server(&interface).contains("phantom: u32,\n        emitter_: u32,"));
}

#[test]
fn interfaces_are_called_by_their_last_element() {
    let check = |name: &str, expected: &str| {
        assert_eq!(names::type_name(&Interface::new(name)), expected, "{name}");
    };
    check("org.example.Map", "Map");
    check("org.example.map1", "Map1");
    check("org.example.my_map", "MyMap");
    check("org.example._1", "Interface1");
    check("org.example._", "Interface");
    check("org.example.Vec", "VecInterface");
    check("org.ü", "Interfaceü");
    check("org.example.Self", "SelfInterface");
    let bell = Interface::new("org.example.Bell").with_signal(Signal::new("Bell"));
    assert_eq!(names::type_name(&bell), "BellInterface");
}

/// The types' names in a proxy of an interface with these signals.
fn types_of(interface: &str, signals: &[&str]) -> (String, Vec<String>) {
    let interface = Interface::new(interface);
    let interface = signals.iter().fold(interface, |it, name| it.with_signal(Signal::new(name)));
    (names::type_name(&interface), names_of(&interface))
}

#[test]
fn types_do_not_meet() {
    let check = |interface: &str, signals: &[&str], expected: (&str, &[&str])| {
        let (name, functions) = types_of(interface, signals);
        assert_eq!(
            (name.as_str(), functions),
            (expected.0, expected.1.iter().map(|it| (*it).to_owned()).collect())
        );
    };
    // What a signal makes beside the trait, and what another makes.
    check("a.Foo", &["FooProxy"], ("FooInterface", &["foo_proxy"]));
    check("a.Foo", &["FooSignals"], ("FooInterface", &["foo_signals"]));
    check("a.Foo", &["Foo", "FooInterface"], ("FooInterface2", &["foo", "foo_interface"]));
    check("a.B", &["Foo", "FooArgs"], ("B", &["foo", "foo_args_signal"]));
    check("a.B", &["FooStream", "Foo"], ("B", &["foo_stream", "foo_signal"]));
    // What means something already.
    check("a.B", &["String", "Vec", "Ok"], ("B", &["string_signal", "vec_signal", "ok_signal"]));
    check("a.Option", &[], ("OptionInterface", &[]));
}

#[test]
fn servers_name_what_they_return() {
    let check = |outputs: &[&str], expected: &str| {
        let method = outputs.iter().fold(Method::new("M"), |it, name| it.with_output(name, "u"));
        let text = server(&Interface::new("a.B").with_method(method));
        assert_eq!(functions(&text)[0], expected);
    };
    check(&[""], "fn m(&self) -> libbus::fdo::Result<u32> {");
    check(&["a"], "#[zbus(out_args(\"a\"))]");
    check(&["", ""], "#[zbus(out_args(\"arg_0\", \"arg_1\"))]");
    check(&["type", "a\"\u{202e}"], "#[zbus(out_args(\"type\", \"a\\\"\\u{202e}\"))]");
}

#[test]
fn faults_are_told_with_their_place() {
    let check = |interface: Interface, place: &str, fault: CodegenFault| {
        let options = CodegenOptions::new();
        for result in [interface.to_rust_proxy(&options), interface.to_rust_server(&options)] {
            let expected =
                CodegenError { place: place.to_owned(), position: None, fault: fault.clone() };
            assert_eq!(result, Err(expected));
        }
    };
    let of = || Interface::new("a.B");
    check(
        Interface::new("B"),
        "interface B",
        CodegenFault::InterfaceName(NameError::SingleElement),
    );
    check(
        of().with_method(Method::new("a-b")),
        "interface a.B, method a-b",
        CodegenFault::MemberName(NameError::InvalidCharacter { index: 1 }),
    );
    check(
        of().with_signal(Signal::new("")),
        "interface a.B, signal ",
        CodegenFault::MemberName(NameError::Empty),
    );
    check(
        of().with_property(Property::new("a b", "s", Access::Read)),
        "interface a.B, property a b",
        CodegenFault::MemberName(NameError::InvalidCharacter { index: 1 }),
    );
    check(
        of().with_signal(Signal::new("S")).with_signal(Signal::new("S").with_argument("", "s")),
        "interface a.B, signal S",
        CodegenFault::Duplicate,
    );
    check(
        of().with_method(Method::new("M").with_input("", "s").with_input("", "m")),
        "interface a.B, method M, input 2",
        CodegenFault::Signature(SignatureError::UnknownTypeCode),
    );
    check(
        of().with_method(Method::new("M").with_output("", "ss")),
        "interface a.B, method M, output 1",
        CodegenFault::NotOneType,
    );
    check(
        of().with_property(Property::new("P", "", Access::Write)),
        "interface a.B, property P",
        CodegenFault::NotOneType,
    );
    check(
        of().with_signal(Signal::new("S").with_argument("", "a{ds}")),
        "interface a.B, signal S, argument 1",
        CodegenFault::FloatKey,
    );
    let wide = format!("a({})", "u".repeat(FIELD_COUNT_MAX + 1));
    check(
        of().with_property(Property::new("P", &wide, Access::Read)),
        "interface a.B, property P",
        CodegenFault::TooManyFields,
    );
    for (open, close) in [("a", ""), ("(", ")"), ("a{s", "}")] {
        let deep = |depth| format!("{}s{}", open.repeat(depth), close.repeat(depth));
        let deep = |depth| of().with_property(Property::new("P", &deep(depth), Access::Read));
        assert!(deep(TYPE_DEPTH_MAX).to_rust_proxy(&CodegenOptions::new()).is_ok());
        check(deep(TYPE_DEPTH_MAX + 1), "interface a.B, property P", CodegenFault::TooDeep);
    }
    let many = |count| (0..count).fold(Method::new("M"), |method, _| method.with_input("", "u"));
    assert!(of().with_method(many(FIELD_COUNT_MAX)).to_rust_proxy(&CodegenOptions::new()).is_ok());
    check(
        of().with_method(many(FIELD_COUNT_MAX + 1)),
        "interface a.B, method M",
        CodegenFault::TooManyArguments,
    );
}

/// What is wrong in a document is told with line and column, by text and by its model.
#[test]
fn faults_of_a_document_are_told_with_line_and_column() {
    let check = |members: &str, expected: &str| {
        let xml = format!("<node>\n  <interface name='a.B'>\n{members}\n  </interface></node>");
        let options = CodegenOptions::new();
        let (node, _) = Node::from_xml_leniently(&xml).unwrap();
        for result in [
            rust_proxies(&xml, &options),
            rust_servers(&xml, &options),
            node.to_rust_proxies(&options),
            node.interfaces[0].to_rust_server(&options),
        ] {
            let text = result.unwrap_err().to_string();
            assert!(text.starts_with(&format!("{expected}: ")), "{text}");
        }
    };
    check("    <method name='M-x'/>", "line 3, column 5: interface a.B, method M-x");
    check("\n <signal name='1'/>", "line 4, column 2: interface a.B, signal 1");
    check(
        "<method name='M'><arg type='s'/>\n<arg type='a{vs}'/></method>",
        "line 4, column 1: interface a.B, method M, input 2",
    );
    check(
        "<property name='P' type='ss' access='read'/>",
        "line 3, column 1: interface a.B, property P",
    );
    check("<signal name='S'/><signal name='S'/>", "line 3, column 19: interface a.B, signal S");
    let many = "<arg type='s'/>".repeat(FIELD_COUNT_MAX + 1);
    check(
        &format!("<method name='M'>{many}</method>"),
        "line 3, column 1: interface a.B, method M",
    );
    let xml = "<node>\n<interface name='B'/></node>";
    let error = rust_proxies(xml, &CodegenOptions::new()).unwrap_err().to_string();
    assert!(error.starts_with("line 2, column 1: interface B: "), "{error}");
}

#[test]
fn an_error_says_what_to_do() {
    let method = Method::new("M").with_output("", "a{dv}");
    let interface = Interface::new("a.B").with_method(method).with_method(Method::new("N"));
    let error = interface.to_rust_proxy(&CodegenOptions::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "interface a.B, method M, output 1: a dictionary has keys of type d, which no hash map can \
         hold; leave the member out with CodegenOptions::without and use it by hand"
    );
    let text = interface.to_rust_proxy(&CodegenOptions::new().without("a.B.M")).unwrap();
    assert_eq!(functions(&text), ["fn n(&self) -> libbus::Result<()>;"]);
    let node = Node::new().with_interface(interface);
    let text = node.to_rust_proxies(&CodegenOptions::new().without("a.B")).unwrap();
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn defaults_are_checked() {
    let fault = |options: CodegenOptions| {
        let error = Interface::new("a.B").to_rust_proxy(&options).unwrap_err();
        assert_eq!(Interface::new("a.B").to_rust_server(&options), Err(error.clone()));
        assert_eq!(Node::new().to_rust_proxies(&options), Err(error.clone()));
        error.fault
    };
    let options = CodegenOptions::new().with_default_service("\"");
    assert!(matches!(fault(options), CodegenFault::DefaultService(_)));
    let options = CodegenOptions::new().with_default_path("a");
    assert_eq!(fault(options), CodegenFault::DefaultPath(NameError::MissingSlash));
    let options = CodegenOptions::new().with_default_service(":1.2");
    assert!(Interface::new("a.B").to_rust_proxy(&options).is_ok());
}

#[test]
fn long_text_is_refused() {
    let of = |size| Method::new("M").with_documentation(&format!("    {}", "a".repeat(size)));
    let check =
        |size| Interface::new("a.B").with_method(of(size)).to_rust_proxy(&CodegenOptions::new());
    let overhead = check(1).unwrap().len() - "}\n".len() - 1;
    assert!(check(RUST_SIZE_MAX - overhead).is_ok());
    let too_large = CodegenError::nowhere(CodegenFault::TooLarge);
    assert_eq!(check(RUST_SIZE_MAX - overhead + 1), Err(too_large));
}

#[test]
fn headers_are_documentation_or_comments() {
    let check = |options: CodegenOptions, expected: &str| {
        assert_eq!(Node::new().to_rust_proxies(&options).unwrap(), expected);
    };
    check(
        CodegenOptions::new(),
        "//! Proxies for D-Bus interfaces.\n//!\n//! Generated by bus-introspect from introspection XML.\n",
    );
    check(
        CodegenOptions::new()
            .for_include()
            .with_source("a`\n.xml")
            .with_first_line("A\nb\u{202e}."),
        "// A b\u{fffd}.\n//\n// Generated by bus-introspect from `a' .xml`.\n",
    );
}

#[test]
fn interfaces_that_make_the_same_types_are_in_modules() {
    let interface = |name: &str| Interface::new(name).with_signal(Signal::new("Changed"));
    let node = Node::new()
        .with_interface(interface("org.example.A"))
        .with_interface(interface("org.example.B"))
        .with_interface(Interface::new("org.example.c.A"))
        .with_interface(Interface::new("org.example.Changed"))
        .with_interface(Interface::new("org.example_c.A"))
        .with_interface(Interface::new("org.example.D"));
    let text = node.to_rust_proxies(&CodegenOptions::new()).unwrap();
    let file = syn::parse_file(&text).unwrap();
    let items = file.items.iter().map(|item| match item {
        syn::Item::Mod(module) => module.ident.to_string(),
        syn::Item::Trait(item) => item.ident.to_string(),
        _ => panic!("{text}"),
    });
    assert_eq!(
        items.collect::<Vec<_>>(),
        ["A", "org_example_b", "org_example_c_a", "org_example_changed", "org_example_c_a_", "D"]
    );
    assert!(is_formatted(&[text]));
}

#[test]
fn xml_is_read_strictly_and_with_its_documentation() {
    let xml = |direction: &str| {
        format!(
            "<node xmlns:tp='urn:tp'><interface name='a.B'>\n<method name='M'>\
             <tp:docstring>Says it.</tp:docstring>\
             <arg type='s' direction='{direction}'/></method></interface></node>"
        )
    };
    let text = rust_proxies(&xml("in"), &CodegenOptions::new()).unwrap();
    assert!(text.contains("    /// Says it.\n    fn m(&self, arg_0: &str)"), "{text}");
    let error = rust_proxies(&xml("In"), &CodegenOptions::new()).unwrap_err();
    assert!(matches!(error.fault, CodegenFault::Xml(ref error) if error.line == 2));
    assert!(error.to_string().starts_with("line 2, column "), "{error}");
}

/// Whether rustfmt would leave the texts alone; where it is not installed, yes.
fn is_formatted(texts: &[String]) -> bool {
    let child = Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "--color", "never"])
        .args(["--config", "max_width=100,use_small_heuristics=Default"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return true };
    let texts: Vec<&str> = texts.iter().map(|text| text.trim_end()).collect();
    let mut input = child.stdin.take().unwrap();
    // It reads all before it writes.
    input.write_all(format!("{}\n", texts.join("\n\n")).as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let differences = String::from_utf8_lossy(&output.stdout);
    println!("{differences}");
    output.status.success() && differences.is_empty()
}
