//! What is on the bus that the line means. Nothing is started for it, and nobody is asked for a password: a bus of
//! another machine or container is not asked at all.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use bus_introspect::{Interface, Node};
use libbus::MethodCall;
use libbus::blocking::{Connection, PendingReply};
use libbus::message::Message;

use super::Candidate;
use super::line::Line;
use super::words::{About, Kind};
use crate::introspection;
use crate::inventory::{self, Question, Standing, answers};
use crate::options::BusOptions;

/// Levels of objects that are gone down where there is one way only.
const LEVELS_MAX: usize = 32;
/// What every object has, so that it says nothing of one.
const STANDARD: &str = "org.freedesktop.DBus.";

/// A bus that may be asked.
pub(super) struct Live {
    bus: BusOptions,
    deadline: Instant,
}

impl Live {
    pub(super) fn of(line: &Line<'_>) -> Option<Self> {
        let bus = line.bus();
        let is_near = bus.host.is_none() && bus.machine.is_none();
        is_near.then_some(Self { bus, deadline: line.deadline })
    }

    /// What is known in time. Whoever waits for the bus then is left to the end of the program.
    pub(super) fn complete(self, kind: Kind, word: &str, about: &About) -> Vec<Candidate> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Vec::new();
        }
        let (sender, receiver) = channel();
        let (word, about) = (word.to_owned(), about.clone());
        let ask = move || {
            let asked = Asked::new(&self.bus, about, self.deadline);
            let found = asked.and_then(|it| it.complete(kind, &word));
            // Nobody may wait any more.
            let _ = sender.send(found.unwrap_or_default());
        };
        match thread::Builder::new().spawn(ask) {
            Ok(_) => receiver.recv_timeout(left).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

/// A connection, and what is asked about. Whatever fails is no answer.
struct Asked {
    connection: Connection,
    about: About,
    deadline: Instant,
}

impl Asked {
    fn new(bus: &BusOptions, about: About, deadline: Instant) -> Option<Self> {
        let connection = bus.builder().ok()?.build().ok()?;
        Some(Self { connection, about, deadline })
    }

    fn complete(&self, kind: Kind, word: &str) -> Option<Vec<Candidate>> {
        match kind {
            Kind::Name => self.names(word),
            Kind::Path => self.paths(word),
            Kind::Interface => {
                let node = self.object()?;
                let shown = node.interfaces.iter().filter(|one| is_plain_word(&one.name));
                Some(shown.map(|one| Candidate::word(&one.name, "")).collect())
            }
            Kind::ShortMember => Some(short_members(&self.object()?, &self.about)),
            kind => Some(members(&self.object()?, kind, word)),
        }
    }

    /// Unique names only where one was begun: there are many, and nobody knows them by heart. This connection's own is
    /// gone by then.
    fn names(&self, word: &str) -> Option<Vec<Candidate>> {
        let mut names = inventory::names(&self.connection).ok()?;
        names.retain(|name| Some(name.name.as_str()) != self.connection.unique_name());
        let shown = names.into_iter().filter(|name| {
            (name.standing != Standing::Unique) != word.starts_with(':')
                && is_plain_word(&name.name)
        });
        let help = |standing| match standing {
            Standing::Activatable => "can be started",
            Standing::Owned | Standing::Unique => "",
        };
        Some(shown.map(|name| Candidate::word(name.name, help(name.standing))).collect())
    }

    fn object(&self) -> Option<Node> {
        self.node(self.about.path.as_deref()?)
    }

    /// What an object tells of itself. On a bus it is somebody's.
    fn node(&self, path: &str) -> Option<Node> {
        let is_somebodys = self.about.name.is_some() || self.connection.unique_name().is_none();
        is_somebodys.then(|| self.ask(path).and_then(PendingReply::wait)).and_then(told)
    }

    fn ask(&self, path: &str) -> Question {
        let mut call = MethodCall::new(path, "Introspect")?;
        call = call.interface("org.freedesktop.DBus.Introspectable")?;
        if let Some(name) = self.about.name.as_deref() {
            call = call.destination(name)?;
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        let call = call.timeout(Some(left.max(Duration::from_millis(1)))).auto_start(false);
        self.connection.send(&call, &())
    }

    /// The objects below what was written, as far down as there is only one way.
    fn paths(&self, word: &str) -> Option<Vec<Candidate>> {
        if !word.is_empty() && !word.starts_with('/') {
            return None;
        }
        let mut parent =
            word.rfind('/').map_or("", |end| word.get(..end).unwrap_or_default()).to_owned();
        let mut found = Vec::new();
        for _ in 0..LEVELS_MAX {
            let here = if parent.is_empty() { "/" } else { &parent };
            let node = self.node(here)?;
            if found.is_empty() && parent.is_empty() && has_own(&node) {
                found.push(Candidate::word("/", ""));
            }
            self.children(&parent, &node, word, &mut found);
            match found.as_slice() {
                [Candidate::Part { value, .. }] => parent = value.trim_end_matches('/').to_owned(),
                _ => break,
            }
            found.clear();
        }
        Some(found)
    }

    fn children(&self, parent: &str, node: &Node, word: &str, found: &mut Vec<Candidate>) {
        let names = node.children.iter().filter_map(|child| child.name.as_deref());
        let paths = names.filter(|name| is_plain_word(name)).map(|name| format!("{parent}/{name}"));
        let wanted = paths.filter(|path| path.starts_with(word));
        for (path, answer) in answers(wanted, |path| self.ask(path)) {
            let node = told(answer);
            let has_below = node.as_ref().is_some_and(|node| !node.children.is_empty());
            if node.as_ref().is_none_or(has_own) || !has_below {
                found.push(Candidate::word(&path, ""));
            }
            if has_below {
                found.push(Candidate::part(format!("{path}/"), ""));
            }
        }
    }
}

fn told(answer: libbus::Result<Message>) -> Option<Node> {
    introspection::read(&answer.ok()?).ok().map(|(_, node)| node)
}

fn has_own(node: &Node) -> bool {
    node.interfaces.iter().any(|interface| !interface.name.starts_with(STANDARD))
}

/// Members with their interfaces; by themselves where a word fits none of those.
fn members(node: &Node, kind: Kind, word: &str) -> Vec<Candidate> {
    let all: Vec<(&Interface, &str, String)> =
        node.interfaces.iter().flat_map(|interface| of_kind(interface, kind)).collect();
    let shown = all
        .into_iter()
        .filter(|(interface, member, _)| is_plain_word(&interface.name) && is_plain_word(member));
    let (full, short): (Vec<Candidate>, Vec<Candidate>) = shown
        .map(|(interface, member, help)| {
            let full = format!("{}.{member}", interface.name);
            (Candidate::word(full, help.clone()), Candidate::word(member, help))
        })
        .unzip();
    match full.iter().any(|candidate| candidate.begins_with(word)) {
        true => full,
        false => short,
    }
}

/// Methods and signals by themselves, of one interface if that is named.
fn short_members(node: &Node, about: &About) -> Vec<Candidate> {
    let is_meant = |interface: &&Interface| {
        about.interface.as_ref().is_none_or(|wanted| *wanted == interface.name)
    };
    let of_one = |interface| {
        [Kind::Method, Kind::Signal].into_iter().flat_map(move |kind| of_kind(interface, kind))
    };
    let all = node.interfaces.iter().filter(is_meant).flat_map(of_one);
    let shown = all.filter(|(_, member, _)| is_plain_word(member));
    shown.map(|(_, member, help)| Candidate::word(member, help)).collect()
}

fn of_kind(interface: &Interface, kind: Kind) -> Vec<(&Interface, &str, String)> {
    let mut found = Vec::new();
    if matches!(kind, Kind::Method | Kind::Member) {
        found.extend(interface.methods.iter().map(|method| {
            let help = format!("{} → {}", method.input_signature(), method.output_signature());
            (interface, method.name.as_str(), help.trim().to_owned())
        }));
    }
    if matches!(kind, Kind::Property | Kind::Member) {
        let properties = interface.properties.iter();
        found.extend(properties.map(|one| (interface, one.name.as_str(), one.signature.clone())));
    }
    if matches!(kind, Kind::Signal | Kind::Member) {
        let signals = interface.signals.iter();
        found.extend(signals.map(|signal| (interface, signal.name.as_str(), signal.signature())));
    }
    found
}

/// Whether a word means itself in every shell. What a service says of itself may be anything.
pub(super) fn is_plain_word(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    !word.is_empty() && word.chars().all(is_plain)
}
