//! Random interfaces: what comes of them is Rust, and rustfmt has nothing to do.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::names::{pascal_case, snake_case};
use super::{is_formatted, proxy, server};
use crate::arbitrary;
use crate::codegen::CodegenOptions;
use crate::model::{Access, Annotation, Arg, Interface, Method, Property, Signal, annotation};

fn signature() -> impl Strategy<Value = String> {
    let basic = "[ybnqiuxtdsogh]".prop_map(String::from);
    let leaf = prop_oneof![3 => basic, 1 => Just("v".to_owned())];
    leaf.prop_recursive(5, 24, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|of| format!("a{of}")),
            ("[ybnqiuxtsogh]", inner.clone()).prop_map(|(key, of)| format!("a{{{key}{of}}}")),
            vec(inner, 1..6).prop_map(|of| format!("({})", of.concat())),
        ]
    })
}

/// A name, short or long.
fn name() -> impl Strategy<Value = String> {
    "[A-Z][a-z]{2,40}([A-Z][a-z]{2,30}){0,2}".prop_map(String::from)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), arbitrary::text()]
}

fn arguments() -> impl Strategy<Value = Vec<Arg>> {
    let name = prop_oneof![Just(String::new()), "[a-z_]{1,40}".prop_map(String::from), text()];
    let argument = (name, signature(), text())
        .prop_map(|(name, of, text)| Arg::new(&name, &of).with_documentation(&text));
    vec(argument, 0..6)
}

fn method() -> impl Strategy<Value = Method> {
    let deprecated = proptest::sample::select(&["true", "false"][..]);
    (name(), arguments(), arguments(), text(), deprecated).prop_map(
        |(name, inputs, outputs, text, deprecated)| {
            Method { inputs, outputs, ..Method::new(&name) }
                .with_documentation(&text)
                .with_annotation(annotation::DEPRECATED, deprecated)
        },
    )
}

fn signal() -> impl Strategy<Value = Signal> {
    let signal =
        |(name, arguments): (String, _)| Signal { arguments, ..Signal::new(name.as_str()) };
    (name(), arguments()).prop_map(signal)
}

fn property() -> impl Strategy<Value = Property> {
    let access = proptest::sample::select(&Access::ALL[..]);
    let said = proptest::sample::select(&["true", "false", "const", "invalidates"][..]);
    (name(), signature(), access, said).prop_map(|(name, of, access, said)| {
        Property::new(&name, &of, access).with_annotation(annotation::EMITS_CHANGED_SIGNAL, said)
    })
}

/// An interface that keeps all rules, unless two of its names are the same.
fn right_interface() -> impl Strategy<Value = Interface> {
    let name = "org\\.example\\.[A-Z][a-z]{0,70}".prop_map(String::from);
    (name, vec(method(), 0..4), vec(signal(), 0..3), vec(property(), 0..3), text()).prop_map(
        |(name, methods, signals, properties, text)| {
            let annotations = vec![Annotation::new(annotation::DOC_STRING, &text)];
            Interface { methods, signals, properties, annotations, ..Interface::new(&name) }
        },
    )
}

/// What is right in an interface.
fn right_part(interface: Interface) -> Interface {
    let mut right = Interface::new("org.example.I");
    right.annotations = interface.annotations;
    let is_right = |with: &Interface| with.to_rust_server(&CodegenOptions::new()).is_ok();
    for method in interface.methods {
        right = Some(right.clone().with_method(method)).filter(is_right).unwrap_or(right);
    }
    for signal in interface.signals {
        right = Some(right.clone().with_signal(signal)).filter(is_right).unwrap_or(right);
    }
    for property in interface.properties {
        right = Some(right.clone().with_property(property)).filter(is_right).unwrap_or(right);
    }
    right
}

#[test]
fn rustfmt_leaves_it_alone() {
    let mut runner = TestRunner::deterministic();
    let options = CodegenOptions::new().with_default_service("org.example.Service");
    let mut texts = Vec::new();
    for _ in 0..150 {
        let interface = right_part(right_interface().new_tree(&mut runner).unwrap().current());
        texts.push(interface.to_rust_proxy(&options).unwrap());
        texts.push(interface.to_rust_server(&options).unwrap());
    }
    // It needs much memory to compare long texts.
    let count = texts.chunks(100).filter(|texts| !is_formatted(texts)).count();
    assert_eq!(count, 0);
}

proptest! {
    #[test]
    fn right_interfaces_become_rust(interface in right_interface()) {
        for options in [CodegenOptions::new(), CodegenOptions::new().blocking()] {
            let interface = right_part(interface.clone());
            syn::parse_file(&interface.to_rust_proxy(&options).unwrap()).unwrap();
            syn::parse_file(&interface.to_rust_server(&options).unwrap()).unwrap();
        }
    }

    #[test]
    fn what_is_right_becomes_rust(interface in arbitrary::interface()) {
        let interface = right_part(interface);
        for text in [proxy(&interface), server(&interface)] {
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
    }

    #[test]
    fn nothing_panics(node in arbitrary::node()) {
        if let Ok(text) = node.to_rust_proxies(&CodegenOptions::new()) {
            syn::parse_file(&text).unwrap();
        }
    }

    #[test]
    fn names_are_names(name in arbitrary::text()) {
        let snake = snake_case(&name, "member");
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        prop_assert!(snake.starts_with(|c: char| c.is_ascii_lowercase()) && snake.chars().all(is_part));
        prop_assert!(!snake.contains("__") && !snake.ends_with('_'));
        prop_assert_eq!(&snake_case(&snake, ""), &snake);
        prop_assert!(!pascal_case(&snake).contains('_'));
    }
}
