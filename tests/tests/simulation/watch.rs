//! A client that knows who owns what from NameOwnerChanged alone, and asks the bus whether it is
//! right (protocol.md A124, A133, A135, A196).

use std::collections::{BTreeMap, BTreeSet};

use libbus::names::MemberName;
use libbus::wire::{BodyReader, MessageType};

use crate::message::Parsed;
use crate::model::{BUS, Who};

#[derive(Default)]
pub(crate) struct Watch {
    watcher: Option<Who>,
    /// Names and their owners.
    owners: BTreeMap<String, String>,
    list: Option<u32>,
    owner: Option<(u32, String)>,
}

impl Watch {
    /// From now on `watcher`, which has the only name on the bus, sees every change.
    pub(crate) fn start(&mut self, watcher: Who, unique: String) {
        self.watcher = Some(watcher);
        self.owners = BTreeMap::from([(unique.clone(), unique)]);
    }

    pub(crate) fn is_watcher(&self, who: Who) -> bool {
        self.watcher == Some(who)
    }

    pub(crate) fn watcher(&self) -> Who {
        self.watcher.unwrap()
    }

    /// Call number `serial` is ListNames.
    pub(crate) fn expect_list(&mut self, serial: u32) {
        self.list = Some(serial);
    }

    /// Call number `serial` is GetNameOwner of `name`.
    pub(crate) fn expect_owner(&mut self, serial: u32, name: String) {
        self.owner = Some((serial, name));
    }

    pub(crate) fn check_is_complete(&self) {
        assert!(self.list.is_none() && self.owner.is_none(), "the bus did not answer");
    }

    pub(crate) fn handle_message(&mut self, message: &Parsed<'_>) {
        let header = message.header();
        let body = BodyReader::new(message.body, header.endian);
        let answered = header.reply_serial.map(std::num::NonZeroU32::get);
        if header.member.map(MemberName::as_str) == Some("NameOwnerChanged") {
            self.change(body);
        } else if answered.is_some() && answered == self.list {
            self.list = None;
            self.check_list(body);
        } else if let Some((_, name)) = self.owner.take_if(|(serial, _)| answered == Some(*serial))
        {
            self.check_owner(&name, header.message_type, body);
        }
    }

    fn change(&mut self, mut body: BodyReader<'_>) {
        let [name, old, new] = [(); 3].map(|()| body.string().unwrap());
        let known = self.owners.remove(name).unwrap_or_default();
        assert_eq!(known, old, "the old owner of {name}");
        assert_ne!(old, new, "{name} changes hands");
        if !new.is_empty() {
            self.owners.insert(name.to_owned(), new.to_owned());
            assert!(self.owners.contains_key(new), "{name} belongs to {new}, who is not there");
        }
    }

    fn check_list(&self, mut body: BodyReader<'_>) {
        let listed: Vec<&str> = body.strings().unwrap().map(Result::unwrap).collect();
        let known = self.owners.keys().map(String::as_str).chain([BUS]);
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), known.collect());
        assert_eq!(listed.len(), self.owners.len() + 1, "each name is listed once");
    }

    fn check_owner(&self, name: &str, answer: MessageType, mut body: BodyReader<'_>) {
        let known = self.owners.get(name).map(String::as_str);
        let told = (answer == MessageType::MethodReturn).then(|| body.string().unwrap());
        assert_eq!(told, known, "the owner of {name}");
    }
}
