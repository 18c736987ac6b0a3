//! Who owns the well-known names that streams are about.
//!
//! A signal's sender is a unique name. Whether that is the owner of a well-known name only the bus knows,
//! which is asked once (protocol.md A174) and then tells each change (A199). All of that comes in the order
//! in which it happened, among the signals themselves, so that a stream on a name takes from each owner what
//! that sent while it was the owner, and nothing else.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// One name.
#[derive(Debug)]
struct Owned {
    /// How many streams are about it.
    user_count: usize,
    owner: Option<Box<str>>,
    /// The question to the bus that is not answered yet. Its answer is newer than all changes that come
    /// before it, and older than all that come after it.
    asked: Option<NonZeroU32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<Box<str>, Owned>);

impl Owners {
    /// One more stream is about this name. Answers whether it is the first, so that the bus must be asked.
    pub(super) fn follow(&mut self, name: &str) -> bool {
        let nobody = || Owned { user_count: 0, owner: None, asked: None };
        let owned = self.0.entry(name.into()).or_insert_with(nobody);
        owned.user_count += 1;
        owned.user_count == 1
    }

    /// The bus was asked who owns a name, in the call of this serial.
    pub(super) fn note_asked(&mut self, name: &str, serial: NonZeroU32) {
        if let Some(owned) = self.0.get_mut(name) {
            owned.asked = Some(serial);
        }
    }

    /// One stream less is about this name. Answers whether it was the last.
    pub(super) fn forget(&mut self, name: &str) -> bool {
        let Some(owned) = self.0.get_mut(name) else { return false };
        owned.user_count -= 1;
        let was_last = owned.user_count == 0;
        if was_last {
            self.0.remove(name);
        }
        was_last
    }

    /// The connection is lost: nobody on the next bus is who it was on the last one.
    pub(super) fn handle_loss(&mut self) {
        for owned in self.0.values_mut() {
            (owned.owner, owned.asked) = (None, None);
        }
    }

    /// The names that streams are about.
    pub(super) fn names(&self) -> Vec<Box<str>> {
        self.0.keys().cloned().collect()
    }

    /// A reply has come. Answers whether it is one to a question; then `owner` says who owns the name.
    pub(super) fn handle_reply<'m>(
        &mut self,
        serial: NonZeroU32,
        owner: impl FnOnce() -> Option<&'m str>,
    ) -> bool {
        let asked = self.0.values_mut().find(|owned| owned.asked == Some(serial));
        let Some(owned) = asked else { return false };
        (owned.asked, owned.owner) = (None, owner().map(Into::into));
        true
    }

    /// The bus says that a name has another owner, or none.
    pub(super) fn handle_change(&mut self, name: &str, owner: &str) {
        if let Some(owned) = self.0.get_mut(name) {
            owned.owner = (!owner.is_empty()).then(|| owner.into());
        }
    }

    pub(super) fn is_owned_by(&self, name: &str, sender: &str) -> bool {
        self.0.get(name).is_some_and(|owned| owned.owner.as_deref() == Some(sender))
    }
}
