//! Random descriptions for property tests, most of them odd.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::model::{
    Access, Annotation, Arg, Interface, Method, Node, Property, Signal, annotation,
};

/// A small set of names, so that some meet.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[A-C]", 1 => "org\\.example\\.[AB]", 1 => text()]
}

/// Whatever XML can hold, above all what it and Markdown take for markup.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\\n\\t]{0,20}",
        "[<>&\"'`*_\\[\\]#|~\\\\!\\n -]{0,12}",
        "[\\u{20}-\\u{d7ff}\\u{10000}-\\u{10ffff}]{0,5}",
    ]
}

fn signature() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[sua]|as|a\\{sv\\}|\\(si\\)", 1 => text()]
}

fn annotations() -> impl Strategy<Value = Vec<Annotation>> {
    let names = prop_oneof![
        Just(annotation::DEPRECATED.to_owned()),
        Just(annotation::NO_REPLY.to_owned()),
        Just(annotation::EMITS_CHANGED_SIGNAL.to_owned()),
        Just(annotation::DOC_STRING.to_owned()),
        Just(annotation::DOC_STRING_SHORT.to_owned()),
        name(),
    ];
    let values = prop_oneof!["true|false|const|invalidates", text()];
    vec((names, values).prop_map(|(name, value)| Annotation::new(&name, &value)), 0..3)
}

fn arguments() -> impl Strategy<Value = Vec<Arg>> {
    // The reader takes an empty name for none.
    let name = option::of(name().prop_filter("not empty", |name| !name.is_empty()));
    let argument = (name, signature(), annotations()).prop_map(|(name, signature, annotations)| {
        Arg { name, signature, annotations, ..Arg::default() }
    });
    vec(argument, 0..3)
}

fn method() -> impl Strategy<Value = Method> {
    (name(), arguments(), arguments(), annotations()).prop_map(
        |(name, inputs, outputs, annotations)| Method {
            inputs,
            outputs,
            annotations,
            ..Method::new(&name)
        },
    )
}

fn signal() -> impl Strategy<Value = Signal> {
    (name(), arguments(), annotations()).prop_map(|(name, arguments, annotations)| Signal {
        arguments,
        annotations,
        ..Signal::new(&name)
    })
}

fn property() -> impl Strategy<Value = Property> {
    let access = proptest::sample::select(&Access::ALL[..]);
    (name(), signature(), access, annotations()).prop_map(
        |(name, signature, access, annotations)| Property {
            annotations,
            ..Property::new(&name, &signature, access)
        },
    )
}

pub(crate) fn interface() -> impl Strategy<Value = Interface> {
    (name(), vec(method(), 0..4), vec(signal(), 0..3), vec(property(), 0..3), annotations())
        .prop_map(|(name, methods, signals, properties, annotations)| Interface {
            methods,
            signals,
            properties,
            annotations,
            ..Interface::new(&name)
        })
}

pub(crate) fn node() -> impl Strategy<Value = Node> {
    let leaf = (name(), vec(interface(), 0..3)).prop_map(|(name, interfaces)| Node {
        name: Some(name),
        interfaces,
        ..Node::new()
    });
    let tree = leaf.prop_recursive(2, 6, 3, |inner| {
        (name(), vec(interface(), 0..2), vec(inner, 0..3)).prop_map(
            |(name, interfaces, children)| Node {
                name: Some(name),
                interfaces,
                children,
                ..Node::new()
            },
        )
    });
    (tree, any::<bool>())
        .prop_map(|(node, is_named)| Node { name: node.name.filter(|_| is_named), ..node })
}
