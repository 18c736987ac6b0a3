//! Who is on the bus: names, their owners and what is known of those.
//!
//! The bus is asked for many at once, so that a thousand names cost a few round trips and not two thousand.

use std::collections::{HashMap, VecDeque};

use libbus::Error;
use libbus::blocking::{Connection, PendingReply};
use libbus::message::Message;
use libbus::wire_types::DynamicType;
use serde::Serialize;

use crate::failure::Result;
use crate::value::Value;

/// Questions that are under way at the same time: buses answer 128 at once for one client, or more.
pub(crate) const QUESTIONS_MAX: usize = 64;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) standing: Standing,
}

/// Whether somebody has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Unique,
    /// A well-known name that somebody has.
    Owned,
    /// Nobody has it, and it can be started.
    Activatable,
}

/// All names, in their order: unique ones by their number before the others.
pub(crate) fn names(connection: &Connection) -> Result<Vec<Name>> {
    let bus = connection.bus();
    let owned: Vec<String> = bus.call("ListNames", &())?;
    let activatable: Vec<String> = bus.call("ListActivatableNames", &())?;
    let standing = |name: &str| match name.starts_with(':') {
        true => Standing::Unique,
        false => Standing::Owned,
    };
    let is_missing = |name: &String| !owned.contains(name);
    let missing = activatable.iter().filter(|name| is_missing(name)).cloned();
    let missing = missing.map(|name| Name { name, standing: Standing::Activatable });
    let mut names: Vec<Name> = missing.collect();
    names.extend(owned.into_iter().map(|name| Name { standing: standing(&name), name }));
    names.sort_by_cached_key(|name| sort_key(&name.name));
    names.dedup_by(|one, other| one.name == other.name);
    Ok(names)
}

/// `:1.9` before `:1.10`, and both before well-known names.
pub(crate) fn sort_key(name: &str) -> (bool, Vec<u64>, String) {
    let numbers = name.strip_prefix(':').map(|rest| {
        rest.split('.').map(|part| part.parse().unwrap_or(u64::MAX)).collect::<Vec<_>>()
    });
    (numbers.is_none(), numbers.unwrap_or_default(), name.to_owned())
}

/// Asks many questions and has the answers in their order, as they come.
pub(crate) struct Questions<K> {
    waiting: VecDeque<(K, std::result::Result<PendingReply, Error>)>,
}

impl<K> Questions<K> {
    pub(crate) const fn new() -> Self {
        Self { waiting: VecDeque::new() }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < QUESTIONS_MAX
    }

    pub(crate) fn push(&mut self, key: K, asked: std::result::Result<PendingReply, Error>) {
        self.waiting.push_back((key, asked));
    }

    /// The oldest question's answer, which is waited for.
    pub(crate) fn next(&mut self) -> Option<(K, std::result::Result<Message, Error>)> {
        let (key, asked) = self.waiting.pop_front()?;
        Some((key, asked.and_then(PendingReply::wait)))
    }
}

/// Asks the bus, without waiting.
pub(crate) fn ask<T>(
    connection: &Connection,
    member: &str,
    arguments: &T,
) -> std::result::Result<PendingReply, Error>
where
    T: Serialize + DynamicType + ?Sized,
{
    let bus = connection.bus();
    connection.send(&bus.method_call(member)?, arguments)
}

/// Who has a name, and what is known of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owner {
    pub(crate) unique_name: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) uid: Option<u32>,
}

/// Tells of each name, in the order of `names`, as soon as it is known.
///
/// # Errors
/// The connection is over, or `tell` fails.
pub(crate) fn for_each_owner(
    connection: &Connection,
    names: &[Name],
    mut tell: impl FnMut(&Name, &Owner) -> Result<()>,
) -> Result<()> {
    enum Asked {
        Owner,
        Credentials,
    }
    let mut questions = Questions::new();
    let mut owners: HashMap<&str, Owner> = HashMap::new();
    let mut pending = names.iter();
    let mut told = names.iter().peekable();
    loop {
        while questions.has_room()
            && let Some(name) = pending.next()
        {
            let text = name.name.as_str();
            match name.standing {
                Standing::Activatable => continue,
                Standing::Owned => {
                    questions.push((text, Asked::Owner), ask(connection, "GetNameOwner", text))
                }
                Standing::Unique => {}
            }
            let asked = ask(connection, "GetConnectionCredentials", text);
            questions.push((text, Asked::Credentials), asked);
        }
        let Some(((name, asked), answer)) = questions.next() else { break };
        let is_done = matches!(asked, Asked::Credentials);
        let owner = owners.entry(name).or_default();
        match (asked, answer) {
            (_, Err(error)) if error.is_disconnected() => return Err(error.into()),
            // It has gone meanwhile, or the bus does not tell.
            (_, Err(_)) => {}
            (Asked::Owner, Ok(reply)) => owner.unique_name = text_of(&reply),
            (Asked::Credentials, Ok(reply)) => note_credentials(owner, &reply),
        }
        while is_done
            && let Some(name) = told.next_if(|next| {
                next.standing == Standing::Activatable || owners.contains_key(next.name.as_str())
            })
        {
            let mut owner = owners.get(name.name.as_str()).cloned().unwrap_or_default();
            if name.standing == Standing::Unique {
                owner.unique_name = Some(name.name.clone());
            }
            tell(name, &owner)?;
        }
    }
    told.try_for_each(|name| {
        tell(name, &owners.get(name.name.as_str()).cloned().unwrap_or_default())
    })
}

fn text_of(reply: &Message) -> Option<String> {
    reply.deserialize().ok()
}

fn note_credentials(owner: &mut Owner, reply: &Message) {
    let values = Value::of_message(reply);
    let number = |key| match values.first()?.entry(key)? {
        Value::Uint32(number) => Some(*number),
        _ => None,
    };
    (owner.pid, owner.uid) = (number("ProcessID"), number("UnixUserID"));
}
