//! Who is on the bus: names, their owners and what is known of those.
//!
//! The bus is asked for many at once, so that a thousand names cost a few round trips and not two thousand.

use std::collections::{HashMap, VecDeque};
use std::iter;

use libbus::blocking::{Connection, PendingReply};
use libbus::message::Message;
use libbus::wire_types::DynamicType;
use serde::Serialize;

use crate::failure::Result;
use crate::value::Value;

/// Questions that are under way at the same time: buses answer 128 at once for one client, or more.
const QUESTIONS_MAX: usize = 64;

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

/// A question on its way, or why it could not leave.
pub(crate) type Question = libbus::Result<PendingReply>;

/// Asks a question of each item and has the answers in their order, as they come.
pub(crate) fn answers<T>(
    items: impl IntoIterator<Item = T>,
    mut ask: impl FnMut(&T) -> Question,
) -> impl Iterator<Item = (T, libbus::Result<Message>)> {
    let mut items = items.into_iter();
    let mut questions = Questions::new();
    iter::from_fn(move || {
        questions.next(|| {
            let item = items.next()?;
            let asked = ask(&item);
            Some((item, asked))
        })
    })
}

/// The same where answers lead to more questions.
pub(crate) struct Questions<K> {
    /// Bounded by [`QUESTIONS_MAX`].
    under_way: VecDeque<(K, Question)>,
}

impl<K> Questions<K> {
    pub(crate) const fn new() -> Self {
        Self { under_way: VecDeque::new() }
    }

    /// Asks as many `more` questions as there is room for. Then the oldest one's answer, which is waited for.
    pub(crate) fn next(
        &mut self,
        more: impl FnMut() -> Option<(K, Question)>,
    ) -> Option<(K, libbus::Result<Message>)> {
        let room = QUESTIONS_MAX.saturating_sub(self.under_way.len());
        self.under_way.extend(iter::from_fn(more).take(room));
        let (key, asked) = self.under_way.pop_front()?;
        Some((key, asked.and_then(PendingReply::wait)))
    }
}

/// Asks the bus, without waiting.
pub(crate) fn ask<T>(connection: &Connection, member: &str, arguments: &T) -> Question
where
    T: Serialize + DynamicType + ?Sized,
{
    let bus = connection.bus();
    connection.send(&bus.method_call(member)?, arguments)
}

/// The well-known names that somebody has, and the unique names of who that is.
///
/// # Errors
/// The bus has gone, or does not answer in time.
pub(crate) fn owners(connection: &Connection) -> Result<Vec<(String, String)>> {
    let names: Vec<String> = connection.bus().call("ListNames", &())?;
    let names = names.into_iter().filter(|name| !name.starts_with(':'));
    let mut found = Vec::new();
    for (name, answer) in answers(names, |name| ask(connection, "GetNameOwner", name.as_str())) {
        match answer.map(|reply| reply.deserialize::<String>()) {
            Ok(Ok(owner)) => found.push((name, owner)),
            // It has gone meanwhile.
            Ok(Err(_)) | Err(libbus::Error::Method(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
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
    const OWNER: &str = "GetNameOwner";
    const CREDENTIALS: &str = "GetConnectionCredentials";
    let mut owners: HashMap<&str, Owner> = HashMap::new();
    let mut told = names.iter().peekable();
    let questions = names.iter().flat_map(|name| {
        let members: &[&'static str] = match name.standing {
            Standing::Activatable => &[],
            Standing::Owned => &[OWNER, CREDENTIALS],
            Standing::Unique => &[CREDENTIALS],
        };
        members.iter().map(|member| (name.name.as_str(), *member))
    });
    for ((name, asked), answer) in answers(questions, |(name, asked)| ask(connection, asked, *name))
    {
        let owner = owners.entry(name).or_default();
        match answer {
            Err(error) if error.is_disconnected() => return Err(error.into()),
            // It has gone meanwhile, or the bus does not tell.
            Err(_) => {}
            Ok(reply) if asked == OWNER => owner.unique_name = text_of(&reply),
            Ok(reply) => note_credentials(owner, &reply),
        }
        while asked == CREDENTIALS
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use libbus::Error;

    use super::{QUESTIONS_MAX, answers};

    #[test]
    fn so_many_questions_are_under_way_and_no_more() {
        let (count, asked) = (3 * QUESTIONS_MAX, Cell::new(0));
        let ask = |_: &usize| {
            asked.set(asked.get() + 1);
            Err(Error::Closed)
        };
        for (answered, (item, answer)) in answers(0..count, ask).enumerate() {
            assert!(matches!((item, answer), (item, Err(Error::Closed)) if item == answered));
            assert_eq!(asked.get(), count.min(answered + QUESTIONS_MAX));
        }
        assert_eq!(asked.get(), count);
    }
}
