//! Looks for the objects of services.
//!
//! Objects are found by introspection, and those that an object manager tells of, which some services do not list,
//! as well. Many questions are under way at once; answers are taken in the order of the questions. Of several names
//! with one owner the owner is looked at once.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use bus_introspect::Node;
use libbus::MethodCall;
use libbus::blocking::Connection;
use libbus::message::Message;
use libbus::names::ObjectPath;

use crate::failure::{Failure, Result};
use crate::introspection;
use crate::inventory::{Question, Questions, ask};
use crate::value::Value;

/// Objects of one service that are looked at: a service could go on for ever.
pub(super) const OBJECTS_MAX: usize = 65_536;
/// Objects whose description cannot be read that are told of.
const BROKEN_MAX: usize = 16;
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// What is known of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    pub(super) paths: BTreeSet<String>,
    pub(super) is_cut: bool,
    /// Why where the tree begins there is nothing.
    pub(super) error: Option<Failure>,
    /// What of itself an object below says is no description: where and why, of the first few.
    pub(super) broken: Vec<(String, Failure)>,
    /// Questions that are not answered.
    open_count: usize,
}

/// Is told of services, in their order.
pub(super) trait Watcher {
    /// This one is next.
    fn begin(&mut self, name: &str) -> Result<()>;

    /// All of it is known.
    fn end(&mut self, name: &str, service: &Service) -> Result<()>;
}

enum Asked {
    /// Who it is.
    Owner,
    Introspect(String),
    /// What the object manager at this path has.
    Manager(String),
}

/// A name, and where its objects stand.
enum Place {
    Unknown,
    Own(Service),
    /// With those of an earlier name.
    With(usize),
    Done(Rc<Service>),
}

struct Search<'a> {
    connection: &'a Connection,
    names: &'a [String],
    root: &'a str,
    places: Vec<Place>,
    owners: HashMap<String, usize>,
    /// What is to be asked: of what was begun before of what was not.
    waiting: VecDeque<(usize, Asked)>,
    /// How many names were begun with.
    begun: usize,
}

/// Tells of each service.
///
/// # Errors
/// The connection is over, or `watcher` fails.
pub(super) fn look(
    connection: &Connection,
    names: &[String],
    root: &str,
    watcher: &mut impl Watcher,
) -> Result<()> {
    let mut search = Search {
        connection,
        names,
        root,
        places: names.iter().map(|_| Place::Unknown).collect(),
        owners: HashMap::new(),
        waiting: VecDeque::new(),
        begun: 0,
    };
    let mut questions = Questions::new();
    for (index, name) in names.iter().enumerate() {
        watcher.begin(name)?;
        let service = loop {
            if let Some(service) = search.take_done(index) {
                break service;
            }
            search.hear(&mut questions)?;
        };
        watcher.end(name, &service)?;
    }
    Ok(())
}

impl Search<'_> {
    /// What is known of a name, if that is all.
    fn take_done(&mut self, index: usize) -> Option<Rc<Service>> {
        match self.places.get(index)? {
            Place::Done(service) => Some(Rc::clone(service)),
            Place::With(other) => self.take_done(*other),
            Place::Own(service) if service.open_count == 0 => {
                let service = Rc::new(service.clone());
                self.set(index, Place::Done(Rc::clone(&service)));
                Some(service)
            }
            _ => None,
        }
    }

    fn set(&mut self, index: usize, place: Place) {
        if let Some(slot) = self.places.get_mut(index) {
            *slot = place;
        }
    }

    /// Asks the next question.
    fn ask(&mut self) -> Option<((usize, Asked), Question)> {
        loop {
            let (index, what) = self.waiting.pop_front().or_else(|| {
                let index = self.begun;
                self.begun += 1;
                self.names.get(index).map(|_| (index, Asked::Owner))
            })?;
            let name = self.names.get(index).map(String::as_str).filter(|name| !name.is_empty());
            let asked = match (&what, name) {
                (Asked::Owner, Some(name)) => ask(self.connection, "GetNameOwner", name),
                // A program that is no bus: there is one.
                (Asked::Owner, None) => {
                    self.begin(index);
                    continue;
                }
                (Asked::Introspect(path), name) => introspection::ask(self.connection, name, path),
                (Asked::Manager(path), name) => self.ask_manager(name, path),
            };
            return Some(((index, what), asked));
        }
    }

    fn hear(&mut self, questions: &mut Questions<(usize, Asked)>) -> Result<()> {
        let next = questions.next(|| self.ask());
        let Some(((index, asked), answer)) = next else { return Ok(()) };
        match (asked, answer) {
            (_, Err(error)) if error.is_disconnected() => return Err(error.into()),
            (Asked::Owner, answer) => self.hear_owner(index, answer),
            (Asked::Introspect(path), Ok(reply)) => self.hear_of(index, &path, &reply),
            (Asked::Introspect(path), Err(error)) => {
                if let (true, Some(Place::Own(service))) =
                    (path == self.root, self.places.get_mut(index))
                {
                    service.error = Some(error.into());
                }
                self.close(index, Vec::new());
            }
            (Asked::Manager(_), answer) => {
                // It may be none in spite of what it says.
                self.close(index, answer.map_or_else(|_| Vec::new(), |reply| managed(&reply)));
            }
        }
        Ok(())
    }

    /// A name without an owner may be one that is started by the question.
    fn hear_owner(&mut self, index: usize, answer: libbus::Result<Message>) {
        let owner = answer.ok().and_then(|reply| reply.deserialize::<String>().ok());
        let known = owner.as_ref().and_then(|owner| self.owners.get(owner).copied());
        match (known, owner) {
            (Some(other), _) => self.set(index, Place::With(other)),
            (None, owner) => {
                if let Some(owner) = owner {
                    self.owners.insert(owner, index);
                }
                self.begin(index);
            }
        }
    }

    fn begin(&mut self, index: usize) {
        let paths = BTreeSet::from([self.root.to_owned()]);
        self.set(index, Place::Own(Service { paths, open_count: 1, ..Service::default() }));
        self.waiting.push_back((index, Asked::Introspect(self.root.to_owned())));
    }

    /// An object has told of itself.
    fn hear_of(&mut self, index: usize, path: &str, reply: &Message) {
        let node = match introspection::read(reply) {
            Ok((_, node)) => node,
            Err(failure) => {
                self.note(index, path, failure);
                return self.close(index, Vec::new());
            }
        };
        if let (true, Some(Place::Own(service))) =
            (node.interface(OBJECT_MANAGER).is_some(), self.places.get_mut(index))
        {
            service.open_count += 1;
            self.waiting.push_back((index, Asked::Manager(path.to_owned())));
        }
        self.close(index, children(path, node));
    }

    /// An object says of itself what cannot be read.
    fn note(&mut self, index: usize, path: &str, failure: Failure) {
        let Some(Place::Own(service)) = self.places.get_mut(index) else { return };
        if path == self.root {
            service.error = Some(failure);
        } else if service.broken.len() < BROKEN_MAX {
            service.broken.push((path.to_owned(), failure));
        }
    }

    /// A question was answered with these objects.
    fn close(&mut self, index: usize, found: Vec<String>) {
        let Some(Place::Own(service)) = self.places.get_mut(index) else { return };
        service.open_count -= 1;
        for path in found {
            if service.paths.len() >= OBJECTS_MAX {
                service.is_cut = true;
                return;
            }
            if service.paths.insert(path.clone()) {
                service.open_count += 1;
                self.waiting.push_back((index, Asked::Introspect(path)));
            }
        }
    }

    fn ask_manager(&self, destination: Option<&str>, path: &str) -> Question {
        let mut call = MethodCall::new(path, "GetManagedObjects")?.interface(OBJECT_MANAGER)?;
        if let Some(destination) = destination {
            call = call.destination(destination)?;
        }
        self.connection.send(&call, &())
    }
}

fn children(path: &str, node: Node) -> Vec<String> {
    let parent = path.trim_end_matches('/');
    let names = node.children.into_iter().filter_map(|child| child.name);
    let paths = names.map(|name| format!("{parent}/{}", name.trim_matches('/')));
    paths.filter(|path| ObjectPath::parse(path).is_ok()).collect()
}

fn managed(reply: &Message) -> Vec<String> {
    let values = Value::of_message(reply);
    let Some(Value::Dict { entries, .. }) = values.first() else { return Vec::new() };
    let paths = entries.iter().filter_map(|(path, _)| match path {
        Value::ObjectPath(path) => Some(path.clone()),
        _ => None,
    });
    paths.collect()
}
