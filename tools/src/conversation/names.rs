//! Which client has which well-known names, and which it ever had.
//!
//! Bounds: [`CLIENTS_MAX`] clients, [`NAMES_MAX`] names with an owner, [`NAMES_OF_CLIENT_MAX`] names that one client
//! is remembered for. What comes later is not learned.

use std::collections::HashMap;

use libbus::message::Message;
use libbus::names::BusName;

use super::BUS;

const CLIENTS_MAX: usize = 65_536;
const NAMES_MAX: usize = 65_536;
const NAMES_OF_CLIENT_MAX: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub struct Names {
    owners: HashMap<String, String>,
    /// Well-known names by unique name, in the order in which they were had.
    names: HashMap<String, Vec<String>>,
}

impl Names {
    /// Who has a well-known name now, if that is known.
    #[must_use]
    pub fn owner_of(&self, name: &str) -> Option<&str> {
        self.owners.get(name).map(String::as_str)
    }

    /// The well-known names that a client has or had.
    #[must_use]
    pub fn names_of(&self, client: &str) -> &[String] {
        self.names.get(client).map_or(&[], Vec::as_slice)
    }

    /// The name has another owner. Where one of both is not what it should be nothing is learned.
    pub(super) fn set_owner(&mut self, name: &str, owner: &str) {
        if name.starts_with(':') || !owner.starts_with(':') {
            return;
        }
        if self.owners.len() < NAMES_MAX || self.owners.contains_key(name) {
            self.owners.insert(name.to_owned(), owner.to_owned());
        }
        if self.names.len() >= CLIENTS_MAX && !self.names.contains_key(owner) {
            return;
        }
        let names = self.names.entry(owner.to_owned()).or_default();
        if names.len() < NAMES_OF_CLIENT_MAX && !names.iter().any(|had| had == name) {
            names.push(name.to_owned());
        }
    }

    /// Learns from what the bus says unasked.
    pub(super) fn handle_signal(&mut self, message: &Message) {
        let header = message.header();
        if header.sender.map(BusName::as_str) != Some(BUS) {
            return;
        }
        let member = header.member.map(|member| member.as_str());
        let mut arguments = message.reader();
        let mut next = || arguments.string().unwrap_or_default();
        match (member, header.signature.as_str()) {
            (Some("NameOwnerChanged"), "sss") => match (next(), next(), next()) {
                (name, _, "") => {
                    self.owners.remove(name);
                }
                (name, _, owner) => self.set_owner(name, owner),
            },
            (Some("NameAcquired"), "s") => {
                let owner = header.destination.map(BusName::as_str).unwrap_or_default();
                self.set_owner(next(), owner);
            }
            _ => {}
        }
    }
}
