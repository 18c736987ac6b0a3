//! Who answered whom, and what names the clients had: worked out from messages as they are seen.
//!
//! A reply belongs to the call whose sender and serial it names, if it comes from whom was called or from the bus,
//! which answers for others that they are gone. Unique names are told apart from what they are known as by what the
//! bus says in the messages themselves: NameOwnerChanged and its like, replies to RequestName and GetNameOwner, and
//! who answers what was sent to a name.
//!
//! Bounds: `PENDING_MAX` calls wait for replies, of which the oldest is given up for a new one; `names` has those
//! of names.

mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use libbus::message::Message;
use libbus::names::BusName;
use libbus::wire::{Flags, MessageType};

pub use self::names::Names;
use crate::capture::Time;

/// The bus itself.
pub const BUS: &str = "org.freedesktop.DBus";
/// What monitors are told as the sender of a client's Hello, before which it has no name.
const NAMELESS: &str = ":not.active.yet";
/// Calls whose replies are waited for.
const PENDING_MAX: usize = 65_536;
/// What RequestName answers whom the name belongs to now (protocol.md A130).
const PRIMARY_OWNER: u32 = 1;
const ALREADY_OWNER: u32 = 4;

/// A reply and its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The number that the call was handed in with.
    pub call: u64,
    /// How long the answer took, if there are times.
    pub duration: Option<Duration>,
}

/// See the module. Calling order: [`Conversation::handle_message`] with each message in the order in which they were
/// seen, each with a higher number than the last one.
#[derive(Debug, Default)]
pub struct Conversation {
    numbers: HashMap<CallKey, u64>,
    pending: BTreeMap<u64, Pending>,
    names: Names,
    given_up_count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CallKey {
    caller: String,
    serial: NonZeroU32,
}

#[derive(Debug)]
struct Pending {
    key: CallKey,
    time: Option<Time>,
    /// Who was called: a unique name, or one whose owner was not known.
    called: Option<String>,
    question: Question,
}

/// What the reply to a call tells about names.
#[derive(Debug)]
enum Question {
    /// Whose the name is that was called.
    Called,
    /// Whether the caller has the name now.
    Request(String),
    /// Who has the name.
    Owner(String),
}

impl Conversation {
    /// Takes in a message. Of a reply it says which call it belongs to.
    pub fn handle_message(
        &mut self,
        number: u64,
        time: Option<Time>,
        message: &Message,
    ) -> Option<Pair> {
        match message.message_type() {
            MessageType::MethodCall => {
                self.handle_call(number, time, message);
                None
            }
            MessageType::MethodReturn | MessageType::Error => self.handle_reply(time, message),
            _ => {
                self.names.handle_signal(message);
                None
            }
        }
    }

    /// The calls that wait for a reply, in their order.
    pub fn unanswered(&self) -> impl Iterator<Item = u64> {
        self.pending.keys().copied()
    }

    /// How many calls were given up since too many waited.
    #[must_use]
    pub const fn given_up_count(&self) -> u64 {
        self.given_up_count
    }

    /// What is known of names.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// Somebody else knows who has a well-known name.
    pub(crate) fn learn_owner(&mut self, name: &str, owner: &str) {
        self.names.set_owner(name, owner);
    }

    fn handle_call(&mut self, number: u64, time: Option<Time>, message: &Message) {
        if message.flags().contains(Flags::NO_REPLY_EXPECTED) {
            return;
        }
        let header = message.header();
        let caller = header.sender.map(BusName::as_str).unwrap_or_default().to_owned();
        let key = CallKey { caller, serial: header.serial };
        let called = header.destination.map(|name| {
            let name = name.as_str();
            self.names.owner_of(name).unwrap_or(name).to_owned()
        });
        let question = Question::of(message);
        // Serials come again when they have all been used, and in captures of several buses in a row.
        if let Some(before) = self.numbers.insert(key.clone(), number) {
            self.pending.remove(&before);
        }
        self.pending.insert(number, Pending { key, time, called, question });
        self.give_up_oldest();
    }

    fn give_up_oldest(&mut self) {
        if self.pending.len() <= PENDING_MAX {
            return;
        }
        if let Some((_, oldest)) = self.pending.pop_first() {
            self.numbers.remove(&oldest.key);
            self.given_up_count += 1;
        }
    }

    fn handle_reply(&mut self, time: Option<Time>, message: &Message) -> Option<Pair> {
        let header = message.header();
        let caller = header.destination.map(BusName::as_str).unwrap_or_default().to_owned();
        let sender = header.sender.map(BusName::as_str);
        let key = self.key_of(CallKey { caller, serial: header.reply_serial? }, sender)?;
        let number = *self.numbers.get(&key)?;
        self.pending.get(&number)?.may_be_answered_by(sender).then_some(())?;
        self.numbers.remove(&key);
        let pending = self.pending.remove(&number)?;
        if header.message_type == MessageType::MethodReturn {
            self.learn(&pending, message);
        }
        let duration = time.zip(pending.time).map(|(end, begin)| end.saturating_sub(begin));
        Some(Pair { call: number, duration })
    }

    /// The call that is answered: one of whom the reply is for, or the Hello by which that client got its name.
    fn key_of(&self, key: CallKey, sender: Option<&str>) -> Option<CallKey> {
        if self.numbers.contains_key(&key) {
            return Some(key);
        }
        let hello = CallKey { caller: NAMELESS.to_owned(), ..key };
        (sender == Some(BUS) && self.numbers.contains_key(&hello)).then_some(hello)
    }

    fn learn(&mut self, pending: &Pending, reply: &Message) {
        let sender = reply.sender().map(BusName::as_str);
        let mut arguments = reply.reader();
        match (&pending.question, reply.signature().as_str()) {
            (Question::Request(name), "u") => {
                if matches!(arguments.uint32(), Ok(PRIMARY_OWNER | ALREADY_OWNER)) {
                    self.names.set_owner(name, &pending.key.caller);
                }
            }
            (Question::Owner(name), "s") => {
                self.names.set_owner(name, arguments.string().unwrap_or_default());
            }
            (Question::Called, _) => {
                if let Some((name, owner)) = pending.called.as_deref().zip(sender) {
                    self.names.set_owner(name, owner);
                }
            }
            _ => {}
        }
    }
}

impl Pending {
    /// The bus keeps replies of others away from the caller, but captures have what was refused, too.
    fn may_be_answered_by(&self, sender: Option<&str>) -> bool {
        match (self.called.as_deref(), sender) {
            (Some(called), Some(sender)) if called.starts_with(':') || called == BUS => {
                sender == called || sender == BUS
            }
            _ => true,
        }
    }
}

impl Question {
    fn of(call: &Message) -> Self {
        let header = call.header();
        let is_of_bus = header.destination.is_some_and(|name| name.as_str() == BUS);
        let member = header.member.map(|member| member.as_str());
        let ask = match (is_of_bus, member, header.signature.as_str()) {
            (true, Some("RequestName"), "su") => Self::Request,
            (true, Some("GetNameOwner"), "s") => Self::Owner,
            _ => return Self::Called,
        };
        // What is no name may be as long as a message, and nobody gets or has it.
        let name = call.reader().string().ok().and_then(|name| BusName::parse(name).ok());
        name.map_or(Self::Called, |name| ask(name.as_str().to_owned()))
    }
}
