//! Hello, and the methods about bus names (protocol.md A120–A136, A173–A175, A178–A184).

use libbus::names::{BusName, WellKnownName};
use libbus::wire::Signature;

use super::error_reply::Refusal;
use super::{BUS_NAME, Call, Unique};
use crate::bus::Bus;
use crate::bus::client::Phase;
use crate::bus::id::ClientId;
use crate::bus::name_registry::RequestFlags;
use crate::bus::policing::describe_rule;
use crate::bus::quota::Resource;
use crate::bus::unique_name::UniqueNameText;

const STRINGS: Signature<'static> = Signature::from_static("as");
const BOOLEAN: Signature<'static> = Signature::from_static("b");

impl Bus {
    /// protocol.md A120–A124: gives the client its unique name. A refused client may try again until
    /// `auth_timeout` (protocol.md A122).
    pub(super) fn hello(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let id = call.client();
        let limits = &self.settings.limits;
        let Some(client) = self.clients.get(id) else { return Ok(()) };
        if !client.is_incomplete() {
            return Err(Refusal::AlreadyRegistered);
        }
        let uid = client.uid;
        self.check_place(client.user)?;
        let max = client.limits(limits).connections_per_user_max;
        if self.clients.users().held(client.user, Resource::Connections) >= max.into() {
            return Err(Refusal::TooManyConnectionsOfUser { uid, max });
        }
        self.check_connection_share(id)?;
        let name = self.register(id);
        self.assign_policy(id);
        for index in [&mut self.matches, &mut self.eavesdroppers, &mut self.monitors] {
            index.handle_owner_change(name.as_str(), Some(id));
        }
        self.reply_string(&call.reply_to, name.as_str());
        self.announce_unique(id, name.as_str(), Unique::New);
        Ok(())
    }

    fn register(&mut self, id: ClientId) -> UniqueNameText {
        let name = UniqueNameText::new(self.next_unique);
        self.next_unique += 1;
        self.unique_names.insert(name.number(), id);
        self.names.add_client(id);
        self.clients.charge(id, Resource::Names, self.names.owned_count(id).into());
        self.clients.charge(id, Resource::IncompleteConnections, 0);
        self.clients.charge(id, Resource::Connections, 1);
        self.incomplete_count -= 1;
        self.completed_count += 1;
        if let Some(client) = self.clients.get_mut(id) {
            client.phase = Phase::Registered;
            client.unique = Some(name.clone());
        }
        self.trim_queues();
        self.begin_handshakes();
        name
    }

    pub(super) fn request_name(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let mut arguments = call.arguments();
        let text = arguments.string()?;
        let flags = RequestFlags::from_bits(arguments.uint32()?);
        let id = call.client();
        let name = match BusName::parse(text) {
            Err(_) => return Err(Refusal::InvalidName { name: text.to_owned() }),
            Ok(BusName::Unique(_)) => {
                return Err(Refusal::UniqueNameRequested { name: text.to_owned() });
            }
            Ok(BusName::WellKnown(BUS_NAME)) => {
                return Err(Refusal::BusNameRequested { client: self.name_of(id) });
            }
            Ok(BusName::WellKnown(name)) => name,
        };
        self.may_own(id, name)?;
        self.mediate_own(id, name.as_str())?;
        let max = self.limits_of(id).names_per_connection_max;
        if self.names.owned_count(id) >= max {
            return Err(Refusal::TooManyNames { client: self.name_of(id), max });
        }
        self.check_share(id, Resource::Names, 1)?;
        self.take_from_departures(name);
        let outcome = self.names.request(id, name, flags);
        self.charge_counts(id);
        self.note_name(id, name.as_str());
        if let Some(old) = outcome.change.as_ref().and_then(|change| change.old_owner) {
            self.charge_counts(old);
            self.note_name(old, name.as_str());
        }
        if let Some(change) = &outcome.change {
            self.announce(change);
            if let (None, Some(owner)) = (change.old_owner, change.new_owner) {
                let is_systemd = self.is_expected_systemd(name.as_str());
                if is_systemd {
                    self.tell_systemd_untold();
                }
                self.finish_start(name.as_str(), owner);
                if is_systemd {
                    self.ask_systemd_again();
                }
            }
        }
        self.reply_uint32(&call.reply_to, outcome.reply as u32);
        Ok(())
    }

    /// config.md B069, B070
    fn may_own(&self, id: ClientId, name: WellKnownName<'_>) -> Result<(), Refusal> {
        let client = self.clients.get(id);
        let Some(standing) = client.and_then(|client| client.standing.as_ref()) else {
            return Ok(());
        };
        let verdict = standing.may_own(name.as_str());
        if verdict.is_allowed() {
            return Ok(());
        }
        Err(Refusal::NotAllowedToOwn {
            client: self.name_of(id),
            name: name.as_str().to_owned(),
            text: describe_rule(&self.settings.policy, verdict),
            rule: verdict.rule,
        })
    }

    pub(super) fn release_name(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let text = call.name_argument()?;
        let name = match BusName::parse(text) {
            Err(_) => return Err(Refusal::InvalidNameReleased { name: text.to_owned() }),
            Ok(BusName::Unique(_)) => {
                return Err(Refusal::UniqueNameReleased { name: text.to_owned() });
            }
            Ok(BusName::WellKnown(BUS_NAME)) => return Err(Refusal::BusNameReleased),
            Ok(BusName::WellKnown(name)) => name,
        };
        let outcome = self.names.release(call.client(), name);
        self.note_name(call.client(), name.as_str());
        self.charge_counts(call.client());
        if let Some(change) = &outcome.change {
            self.announce(change);
        }
        self.reply_uint32(&call.reply_to, outcome.reply as u32);
        Ok(())
    }

    pub(super) fn name_has_owner(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        let has_owner = name == BUS_NAME.as_str() || self.resolve_text(name).is_some();
        self.reply(&call.reply_to, BOOLEAN, |body| body.boolean(has_owner));
        Ok(())
    }

    /// protocol.md A135: the bus itself, all unique names, all well-known names with an owner, these in
    /// no particular order: sorting them would be half of the work.
    pub(super) fn list_names(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.reply_with_fds(&call.reply_to, STRINGS, None, |bus, body| {
            // Not that of a client that goes and has still to leave calls unanswered.
            let is_there = |name: &&UniqueNameText| bus.unique_names.contains_key(&name.number());
            let clients = bus.clients.iter().filter(|client| client.is_registered());
            let mut unique: Vec<&UniqueNameText> =
                clients.filter_map(|client| client.unique.as_ref()).filter(is_there).collect();
            unique.sort_unstable_by_key(|name| name.number());
            let unique = unique.into_iter().map(UniqueNameText::as_str);
            body.strings([BUS_NAME.as_str()].into_iter().chain(unique).chain(bus.names.names()));
        });
        Ok(())
    }

    pub(super) fn get_name_owner(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        if name == BUS_NAME.as_str() {
            self.reply_string(&call.reply_to, name);
            return Ok(());
        }
        let owner = self.resolve_text(name).and_then(|owner| self.unique_name_of(owner));
        let owner = owner.ok_or_else(|| no_owner("owner", name))?;
        self.reply_string(&call.reply_to, owner.as_str());
        Ok(())
    }

    /// protocol.md A184: the queue, its head first.
    pub(super) fn list_queued_owners(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        let owners: Vec<String> = if name == BUS_NAME.as_str() {
            vec![name.to_owned()]
        } else if name.starts_with(':') {
            self.resolve_text(name).map(|client| self.name_of(client)).into_iter().collect()
        } else {
            self.names.queue(name).map(|client| self.name_of(client)).collect()
        };
        if owners.is_empty() {
            return Err(no_owner("owners", name));
        }
        self.reply(&call.reply_to, STRINGS, |body| {
            body.strings(owners.iter().map(String::as_str));
        });
        Ok(())
    }

    pub(super) fn get_id(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let id = self.identity.guid.to_string();
        self.reply_string(&call.reply_to, &id);
        Ok(())
    }

    pub(super) fn reload_config(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.request_reload(Some(call.reply_to))
    }

    /// The client that a text means, if it is the name of one.
    pub(in crate::bus) fn resolve_text(&self, name: &str) -> Option<ClientId> {
        BusName::parse(name).ok().and_then(|name| self.resolve(name))
    }
}

pub(super) fn no_owner(what: &'static str, name: &str) -> Refusal {
    Refusal::NameHasNoOwner { what, name: name.to_owned() }
}
