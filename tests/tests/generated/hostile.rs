//! Descriptions that nobody would write: what they make compiles, or is refused.

use std::fmt::Write as _;

use bus_introspect::{
    Access, CodegenOptions, Interface, Method, Node, Property, Signal, TYPE_DEPTH_MAX, annotation,
};

use crate::scratch::Scratch;

/// Names that mean something to Rust, to what is generated, or to what the macros make of it.
const NAMES: &str = "abstract as async await become box break const continue crate do dyn else enum extern \
    false final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self \
    Self static struct super trait true try type typeof unsafe unsized use virtual where while yield union \
    auto raw safe macro_rules \
    new builder connection destination path interface inner inner_mut into_inner \
    New Builder Inner IntoInner Path Proxy Stream Args Iterator Signals Interface Changed \
    call cell this guard result emitter value answer arguments argument error told end phantom args message \
    next lifetime member property properties signal options style \
    String Vec Option Some None Ok Err Result Box Clone Copy Debug Default Drop From Into AsRef AsMut Send Sync \
    Future Eq Ord Hash HashMap Arc Pin PhantomData Deserialize Serialize Type Message \
    clone fmt drop eq cmp hash borrow from into as_ref to_owned to_string type_id try_into default deref \
    libbus std core alloc main test u8 u32 i64 f64 str bool char usize Connection SignalEmitter Error \
    get set get_all Get Set GetAll _ __ _1 a1 A B C x_ _x X AB aB A_B a_b a__b";

const SIGNATURES: &str = "y b n q i u x t d s o g v h ay ab ad as ao ag av ah aay aas aav aah a{ss} a{sv} a{yv} \
    a{bs} a{ns} a{qs} a{is} a{us} a{xs} a{ts} a{os} a{gs} a{hs} a{sa{sv}} aa{sv} a{s(ii)} a{sas} a{say} a{sh} \
    a{oa{sa{sv}}} a(oa{sv}) a(ss) (s) ((s)) (((((s))))) (sv) (ah) (a{hv}h) a(a{sv}a(ah)) (yyyyyyyyyyyyyyyy) \
    aaaaaaaas (ssssssssssssssss) a{s(ssa{sv}aayah)}";

/// Documentation that would like to be something else.
const DOCUMENTATION: &[&str] = &[
    "*/ fn a() {} /*",
    "\"# \"## r#\" ' \\ \\u{202e} \u{202e} \u{2066}",
    "```\npanic!();\n```",
    "```rust\ncompile_error!();\n```",
    "    indented();\n\n    code();",
    "~~~\nfn main() { panic!() }\n~~~\n````\n",
    "/// #![deny(all)]\n//! a\n#[a]\n",
    "{ } {0} {{ }} $crate $(a)* ${x} %s",
    "[link] [a](b) [`Self`] [crate::x] [x]: y\n\n[x]: http://a\n<b> <script> &lt; &#0; <http://[>",
    "\u{0} \u{1b} \u{7f} \u{feff} \u{2028} \u{2029} \r \r\r\n a\rb",
    "| a | b |\n|---|---|\n# h\n- [ ] x\n1. one\n> q\n***\n===\n[^1]\n\n[^1]: note",
    "\u{1f600} \u{5d0}\u{5d1} \u{3042}",
    "",
    " \n ",
];

/// As deep as can be.
fn deepest() -> impl Iterator<Item = String> {
    let parts = [("a", ""), ("(", ")"), ("a{s", "}"), ("a(", ")"), ("a{y(", ")}")];
    parts.into_iter().flat_map(|(open, close)| {
        let depth = open.matches(['a', '(']).count();
        let count = TYPE_DEPTH_MAX / depth;
        ["s", "v", "h", "o"].map(|of| format!("{}{of}{}", open.repeat(count), close.repeat(count)))
    })
}

/// An interface with a member of this name of each kind, whose arguments have it, too.
fn with_name(interface: &str, name: &str) -> Interface {
    let changes = Property::new(name, "s", Access::ReadWrite);
    Interface::new(interface)
        .with_method(
            Method::new(name).with_input(name, "s").with_input(name, "u").with_output(name, "s"),
        )
        .with_property(changes.with_annotation(annotation::EMITS_CHANGED_SIGNAL, "true"))
        .with_signal(Signal::new(name).with_argument(name, "s").with_argument(name, "as"))
}

fn of_names() -> Node {
    let (mut all, mut quiet) =
        (Interface::new("org.hostile.All"), Interface::new("org.hostile.Quiet"));
    let mut node = Node::new();
    for (number, name) in NAMES.split_whitespace().enumerate() {
        let apart = with_name(&format!("org.hostile.m{number}.{name}"), name);
        // And all at once.
        all.methods.extend(apart.methods.clone());
        all.properties.extend(apart.properties.clone());
        all.signals.extend(apart.signals.clone());
        let method = Method::new(name).with_input(name, "h");
        quiet = quiet
            .with_method(method.with_annotation(annotation::NO_REPLY, "true"))
            .with_property(Property::new(name, "h", Access::Write));
        node = node.with_interface(apart);
    }
    node.with_interface(all).with_interface(quiet)
}

/// Members whose names meet only after they are names of Rust, or by what is made of them.
fn of_meetings() -> Node {
    let parts =
        ["", "Proxy", "Signals", "Interface", "Args", "Stream", "Iterator", "Signal", "SignalArgs"];
    let mut all = Interface::new("org.hostile.Foo");
    for part in parts {
        all = all.with_signal(Signal::new(&format!("Foo{part}")).with_argument("", "s"));
        all = all.with_signal(Signal::new(&format!("foo_{}", part.to_lowercase())));
        all = all.with_signal(Signal::new(&format!("ReceiveFoo{part}")));
    }
    for name in [
        "Bar",
        "BarChanged",
        "BarInvalidated",
        "BarInvalidate",
        "SetBar",
        "CachedBar",
        "ReceiveBarChanged",
    ] {
        all = all.with_method(Method::new(name));
        all = all.with_property(Property::new(name, "u", Access::ReadWrite));
        all = all.with_signal(Signal::new(name).with_argument("a", "u").with_argument("A", "u"));
        all = all.with_method(
            Method::new(&name.to_lowercase()).with_output("a", "u").with_output("a", "u"),
        );
    }
    let arguments =
        ["a-b", "a_b", "a b", "1", "", "\u{e4}", "\u{3042}", "a\u{301}", "\"", "r#a", "self", "_"];
    let method =
        arguments.iter().fold(Method::new("M"), |method, name| method.with_input(name, "s"));
    let method = arguments.iter().fold(method, |method, name| method.with_output(name, "s"));
    let signal =
        arguments.iter().fold(Signal::new("S"), |signal, name| signal.with_argument(name, "s"));
    let apart = [
        "FooProxy",
        "FooSignals",
        "Foo",
        "foo",
        "_Foo",
        "BarChanged",
        "FooArgs",
        "N",
        "NMState",
        "NmState",
    ];
    let apart = apart.iter().enumerate().map(|(number, name)| {
        Interface::new(&format!("org.hostile.a{number}.{name}")).with_signal(Signal::new("NMState"))
    });
    let node = Node::new().with_interface(all.with_method(method).with_signal(signal));
    apart.fold(node, Node::with_interface).with_interface(Interface::new("org_hostile.Foo"))
}

fn of_signatures() -> Node {
    let mut node = Node::new();
    let all = SIGNATURES.split_whitespace().map(str::to_owned).chain(deepest());
    for (number, signature) in all.enumerate() {
        let of = signature.as_str();
        let property = |name: &str, access| Property::new(name, of, access);
        let quiet =
            property("P3", Access::Read).with_annotation(annotation::EMITS_CHANGED_SIGNAL, "false");
        node = node.with_interface(
            Interface::new(&format!("org.hostile.S{number}"))
                .with_method(Method::new("A").with_input("a", of).with_output("b", of))
                .with_method(
                    Method::new("B").with_input("a", of).with_input("b", of).with_output("c", "s"),
                )
                .with_method(Method::new("C").with_output("a", of).with_output("b", of))
                .with_property(property("P1", Access::ReadWrite))
                .with_property(property("P2", Access::Write))
                .with_property(quiet)
                .with_signal(Signal::new("X").with_argument("a", of))
                .with_signal(Signal::new("Y").with_argument("a", of).with_argument("b", of)),
        );
    }
    let sixteen =
        (0..16).fold(Method::new("Many"), |it, _| it.with_input("", "a{sv}").with_output("", "as"));
    let signal = (0..16).fold(Signal::new("Sent"), |it, _| it.with_argument("", "(sv)"));
    node.with_interface(Interface::new("org.hostile.Many").with_method(sixteen).with_signal(signal))
}

fn of_documentation() -> Node {
    DOCUMENTATION.iter().enumerate().fold(Node::new(), |node, (number, text)| {
        let mut method = Method::new("M").with_input("a", "s").with_output("b", "s");
        method.inputs[0] = method.inputs[0].clone().with_documentation(text);
        method.outputs[0] = method.outputs[0].clone().with_documentation(text);
        let property = Property::new("P", "s", Access::ReadWrite).with_documentation(text);
        let interface = Interface::new(&format!("org.hostile.D{number}")).with_documentation(text);
        let interface =
            interface.with_method(method.with_documentation(text)).with_property(property);
        node.with_interface(interface.with_signal(Signal::new("S").with_documentation(text)))
    })
}

/// Interfaces and members that are said to be old.
fn of_old_ones() -> Node {
    let old = annotation::DEPRECATED;
    let interface = with_name("org.hostile.Old", "Old").with_annotation(old, "true");
    let method = Method::new("M").with_annotation(old, "true");
    let property = Property::new("P", "s", Access::ReadWrite).with_annotation(old, "true");
    let signal = Signal::new("S").with_argument("a", "s").with_annotation(old, "true");
    let parts = Interface::new("org.hostile.Parts").with_method(method.clone());
    let parts = parts.with_property(property.clone()).with_signal(signal.clone());
    let both = interface.with_method(method).with_property(property).with_signal(signal);
    Node::new().with_interface(parts).with_interface(both)
}

/// A program with all that can be made of an object.
fn program(node: &Node) -> String {
    let mut program = String::new();
    let options = CodegenOptions::new().for_include().with_source("*/ `a` \"#\n#![b]");
    for (style, options) in [("waits", options.clone()), ("blocks", options.blocking())] {
        let proxies = node.to_rust_proxies(&options).unwrap();
        let servers = node.to_rust_servers(&options).unwrap();
        for (side, text) in [("proxies", proxies), ("servers", servers)] {
            writeln!(program, "/// Hostile.\npub mod {side}_{style} {{\n{text}\n}}").unwrap();
        }
    }
    program
}

#[test]
fn names_compile() {
    Scratch::new("hostile_names", &program(&of_names())).compiles();
}

#[test]
fn meetings_compile() {
    Scratch::new("hostile_meetings", &program(&of_meetings())).compiles();
}

#[test]
fn signatures_compile() {
    Scratch::new("hostile_signatures", &program(&of_signatures())).compiles();
}

#[test]
fn what_is_old_compiles() {
    Scratch::new("hostile_old", &program(&of_old_ones())).compiles();
}

#[test]
fn documentation_means_nothing() {
    let scratch = Scratch::new("hostile_documentation", &program(&of_documentation()));
    scratch.compiles();
    // Nor does rustdoc find anything to complain of.
    let output = scratch.cargo(&["doc", "--no-deps"]);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    // Code that it would run as a test begins so.
    let text = program(&of_documentation());
    let fences = text.lines().filter_map(|line| line.trim_start().strip_prefix("///"));
    let fences = fences.map(str::trim_start).filter(|line| line.starts_with("```"));
    let is_code = |fence: &&str| fence.trim_start_matches('`') != "text";
    assert!(fences.clone().count() > 4 && fences.step_by(2).filter(is_code).count() == 0);
}
