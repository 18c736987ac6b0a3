//! What the documentation says, in an order for people.

use std::collections::HashMap;

use super::words;
use crate::model::{
    Annotation, Arg, EmitsChangedSignal, Interface, Method, Node, Property, Signal, annotation,
    is_true, value_of,
};

/// A part of the documentation.
#[derive(Debug)]
pub(super) enum Block {
    /// From 1, the outermost.
    Heading {
        level: usize,
        anchor: String,
        title: Vec<Span>,
    },
    Paragraph(Vec<Span>),
    List(Vec<Vec<Span>>),
    /// Lines that stay as they are.
    Code(String),
}

/// A part of a line.
#[derive(Debug)]
pub(super) enum Span {
    Text(String),
    /// A word of our own that should be seen.
    Strong(&'static str),
    /// A name, a signature or a value.
    Code(String),
    /// A name that leads to its heading.
    Link {
        name: String,
        anchor: String,
    },
}

/// The documentation of one object or interface.
pub(super) struct Outline {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
    /// How often each anchor was wanted.
    anchors: HashMap<String, usize>,
}

/// A method, a signal or a property.
#[derive(Clone, Copy)]
enum Member<'a> {
    Method(&'a Method),
    Signal(&'a Signal),
    Property(&'a Property),
}

impl Outline {
    pub(super) fn of_interface(interface: &Interface) -> Self {
        let mut outline = Self::new(&interface.name);
        let anchor = outline.anchor(&interface.name);
        outline.interface(interface, 1, anchor);
        outline
    }

    /// The one interface, if there is nothing else to tell.
    pub(super) fn of_node(node: &Node) -> Self {
        if let ([interface], [], None) = (&node.interfaces[..], &node.children[..], &node.name) {
            return Self::of_interface(interface);
        }
        let mut outline = Self::new(node.name.as_deref().unwrap_or("Object"));
        outline.node(node, node.name.clone());
        outline
    }

    fn new(title: &str) -> Self {
        Self { title: title.to_owned(), blocks: Vec::new(), anchors: HashMap::new() }
    }

    fn node(&mut self, node: &Node, path: Option<String>) {
        let title = match &path {
            Some(path) => vec![text("Object "), code(path)],
            None => vec![text("Object")],
        };
        let anchor = self.anchor(path.as_deref().unwrap_or("object"));
        self.heading(1, anchor, title);
        let anchors: Vec<String> =
            node.interfaces.iter().map(|interface| self.anchor(&interface.name)).collect();
        let entry = |(interface, anchor): (&Interface, &String)| {
            entry("interface ", &interface.name, anchor, &interface.annotations)
        };
        self.list("Interfaces:", node.interfaces.iter().zip(&anchors).map(entry).collect());
        let name = |child: &Node| vec![code(child.name.as_deref().unwrap_or_default())];
        self.list("Objects below:", node.children.iter().map(name).collect());
        for (interface, anchor) in node.interfaces.iter().zip(anchors) {
            self.interface(interface, 2, anchor);
        }
        for child in node.children.iter().filter(|child| !is_bare(child)) {
            let path = joined(path.as_deref(), child.name.as_deref().unwrap_or_default());
            self.node(child, Some(path));
        }
    }

    fn interface(&mut self, interface: &Interface, level: usize, anchor: String) {
        self.heading(level, anchor, vec![text("Interface "), code(&interface.name)]);
        self.remarks(&interface.annotations, &[]);
        let methods: Vec<_> = interface.methods.iter().map(Member::Method).collect();
        let properties: Vec<_> = interface.properties.iter().map(Member::Property).collect();
        let signals: Vec<_> = interface.signals.iter().map(Member::Signal).collect();
        let sections = [("Methods", methods), ("Properties", properties), ("Signals", signals)]
            .map(|(title, members)| (title, self.with_anchors(interface, members)));
        let members = sections.iter().flat_map(|(_, members)| members);
        let entry = |(member, anchor): &(Member<'_>, String)| {
            entry(member.kind(), member.name(), anchor, member.annotations())
        };
        self.list("Members:", members.map(entry).collect());
        for (title, members) in sections.iter().filter(|(_, members)| !members.is_empty()) {
            let anchor = self.anchor(&format!("{} {title}", interface.name));
            self.heading(level + 1, anchor, vec![text(title)]);
            for (member, anchor) in members {
                self.heading(level + 2, anchor.clone(), vec![code(member.name())]);
                self.member(interface, *member);
            }
        }
    }

    fn with_anchors<'a>(
        &mut self,
        interface: &Interface,
        members: Vec<Member<'a>>,
    ) -> Vec<(Member<'a>, String)> {
        let with_anchor = |member: Member<'a>| {
            (member, self.anchor(&format!("{}.{}", interface.name, member.name())))
        };
        members.into_iter().map(with_anchor).collect()
    }

    fn member(&mut self, interface: &Interface, member: Member<'_>) {
        self.blocks.push(Block::Code(member.declaration()));
        let known = match member {
            Member::Method(method) if method.is_no_reply() => {
                self.paragraph("There is no reply.");
                annotation::NO_REPLY
            }
            Member::Property(property) => {
                self.paragraph(&about_access(property, interface.emits_changed_signal(property)));
                annotation::EMITS_CHANGED_SIGNAL
            }
            _ => "",
        };
        self.remarks(member.annotations(), &[known]);
        match member {
            Member::Method(method) => {
                let inputs = method.inputs.iter().map(|argument| (argument, "in"));
                let outputs = method.outputs.iter().map(|argument| (argument, "out"));
                self.list("Arguments:", inputs.chain(outputs).map(about_argument).collect());
            }
            Member::Signal(signal) => {
                let arguments = signal.arguments.iter().map(|argument| (argument, ""));
                self.list("Arguments:", arguments.map(about_argument).collect());
            }
            Member::Property(_) => {}
        }
    }

    /// What annotations say, but for those `known`, of which has been told already.
    fn remarks(&mut self, annotations: &[Annotation], known: &[&str]) {
        if is_deprecated(annotations) {
            self.blocks.push(Block::Paragraph(vec![Span::Strong("Deprecated.")]));
        }
        self.blocks.extend(words::blocks(documentation(annotations)));
        let others = other_annotations(annotations)
            .filter(|annotation| !known.contains(&annotation.name.as_str()));
        self.list("Annotations:", others.map(about_annotation).collect());
    }

    fn heading(&mut self, level: usize, anchor: String, title: Vec<Span>) {
        self.blocks.push(Block::Heading { level, anchor, title });
    }

    fn paragraph(&mut self, words: &str) {
        self.blocks.push(Block::Paragraph(vec![text(words)]));
    }

    /// A list, if there is anything on it. The line before it keeps lists apart.
    fn list(&mut self, title: &str, items: Vec<Vec<Span>>) {
        if !items.is_empty() {
            self.paragraph(title);
            self.blocks.push(Block::List(items));
        }
    }

    /// An anchor that nothing else has, if names are names.
    fn anchor(&mut self, name: &str) -> String {
        let anchor = name.replace(char::is_whitespace, "-");
        let count = self.anchors.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{count}") }
    }
}

impl<'a> Member<'a> {
    fn kind(self) -> &'static str {
        match self {
            Self::Method(_) => "method ",
            Self::Signal(_) => "signal ",
            Self::Property(_) => "property ",
        }
    }

    fn name(self) -> &'a str {
        match self {
            Self::Method(method) => &method.name,
            Self::Signal(signal) => &signal.name,
            Self::Property(property) => &property.name,
        }
    }

    fn annotations(self) -> &'a [Annotation] {
        match self {
            Self::Method(method) => &method.annotations,
            Self::Signal(signal) => &signal.annotations,
            Self::Property(property) => &property.annotations,
        }
    }

    /// The member with its signature, on one line.
    fn declaration(self) -> String {
        match self {
            Self::Method(method) if method.is_no_reply() && method.outputs.is_empty() => {
                format!("{}{}", method.name, arguments(&method.inputs))
            }
            Self::Method(method) => {
                let (inputs, outputs) = (arguments(&method.inputs), arguments(&method.outputs));
                format!("{}{inputs} -> {outputs}", method.name)
            }
            Self::Signal(signal) => format!("{}{}", signal.name, arguments(&signal.arguments)),
            Self::Property(property) => format!("{}: {}", property.name, property.signature),
        }
    }
}

fn arguments(arguments: &[Arg]) -> String {
    let list: Vec<String> = arguments
        .iter()
        .map(|argument| match &argument.name {
            Some(name) => format!("{name}: {}", argument.signature),
            None => argument.signature.clone(),
        })
        .collect();
    format!("({})", list.join(", "))
}

/// An entry of a list of what there is.
fn entry(kind: &str, name: &str, anchor: &str, annotations: &[Annotation]) -> Vec<Span> {
    let mut spans = vec![text(kind)];
    spans.push(Span::Link { name: name.to_owned(), anchor: anchor.to_owned() });
    if is_deprecated(annotations) {
        spans.extend([text(", "), Span::Strong("deprecated")]);
    }
    if let Some(summary) = words::first_sentence(summary(annotations)) {
        spans.push(text(&format!(": {summary}")));
    }
    spans
}

fn about_argument((argument, direction): (&Arg, &str)) -> Vec<Span> {
    let mut spans = Vec::new();
    if let Some(name) = &argument.name {
        spans.extend([code(name), text(", ")]);
    }
    if !direction.is_empty() {
        spans.push(text(&format!("{direction}, ")));
    }
    spans.push(code(&argument.signature));
    if is_deprecated(&argument.annotations) {
        spans.extend([text(", "), Span::Strong("deprecated")]);
    }
    for annotation in other_annotations(&argument.annotations) {
        spans.push(text(", "));
        spans.extend(about_annotation(annotation));
    }
    let words = documentation(&argument.annotations);
    if !words.trim().is_empty() {
        spans.push(text(&format!(": {}", words::on_one_line(words))));
    }
    spans
}

fn about_annotation(annotation: &Annotation) -> Vec<Span> {
    vec![code(&annotation.name), text(" is "), code(&annotation.value)]
}

fn about_access(property: &Property, said: EmitsChangedSignal) -> String {
    let access = match (property.access.is_readable(), property.access.is_writable()) {
        (true, true) => "It can be read and written.",
        (true, false) => "It can be read.",
        (false, _) => return "It can be written.".to_owned(),
    };
    let changes = match said {
        EmitsChangedSignal::True => "Changes are announced with the new value.",
        EmitsChangedSignal::Invalidates => "Changes are announced without the new value.",
        EmitsChangedSignal::Const => "It never changes.",
        EmitsChangedSignal::False => "Changes may go unannounced.",
    };
    format!("{access} {changes}")
}

/// Whether nothing is known of an object but that it is there.
fn is_bare(node: &Node) -> bool {
    node.interfaces.is_empty() && node.children.is_empty()
}

fn joined(path: Option<&str>, name: &str) -> String {
    match path {
        Some(path) => format!("{}/{name}", path.trim_end_matches('/')),
        None => name.to_owned(),
    }
}

fn is_deprecated(annotations: &[Annotation]) -> bool {
    is_true(annotations, annotation::DEPRECATED)
}

/// What people should know: at length, else in one line.
pub(crate) fn documentation(annotations: &[Annotation]) -> &str {
    let short = || value_of(annotations, annotation::DOC_STRING_SHORT);
    value_of(annotations, annotation::DOC_STRING).or_else(short).unwrap_or_default()
}

fn summary(annotations: &[Annotation]) -> &str {
    let short = value_of(annotations, annotation::DOC_STRING_SHORT);
    short.unwrap_or_else(|| documentation(annotations))
}

/// Annotations that are shown as they are.
fn other_annotations(annotations: &[Annotation]) -> impl Iterator<Item = &Annotation> {
    const KNOWN: [&str; 3] =
        [annotation::DEPRECATED, annotation::DOC_STRING, annotation::DOC_STRING_SHORT];
    annotations.iter().filter(|found| !KNOWN.contains(&found.name.as_str()))
}

fn text(words: &str) -> Span {
    Span::Text(words.to_owned())
}

fn code(words: &str) -> Span {
    Span::Code(words.to_owned())
}
