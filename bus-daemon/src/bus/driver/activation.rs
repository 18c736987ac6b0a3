//! The methods and signals about starting services (protocol.md A176, A177, A180, A220–A222); the
//! starts themselves are in `bus/activation.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath, WellKnownName};
use libbus::wire::{BodyReader, Flags, Header, MessageType, Signature};

use super::error_reply::Refusal;
use super::properties::ENVIRONMENT;
use super::{ACTIVATION, BUS, BUS_NAME, CANONICAL_PATH, Call, ReplyTo, STRING};
use crate::bus::Bus;
use crate::bus::activation::{SYSTEMD_NAME, failure_of};
use crate::bus::limits::{ACTIVATION_ENVIRONMENT_SIZE_MAX, ACTIVATION_VARIABLE_COUNT_MAX};
use crate::bus::routing::Message;
use crate::bus::unique_name::UniqueNameText;

const STRINGS: Signature<'static> = Signature::from_static("as");
const VARIABLES: Signature<'static> = Signature::from_static("a{ss}");
/// The unit, an error name and a text.
const FAILURE: Signature<'static> = Signature::from_static("sss");
const SYSTEMD: WellKnownName<'static> = WellKnownName::from_static(SYSTEMD_NAME);
const ACTIVATOR: InterfaceName<'static> =
    InterfaceName::from_static("org.freedesktop.systemd1.Activator");
/// StartServiceByName's answer for a name that has got an owner.
const SUCCESS: u32 = 1;
/// StartServiceByName's answer for a name that has an owner already.
const ALREADY_RUNNING: u32 = 2;

/// The variables that started services get: those that the bus was started with and nobody has unset, and
/// those that somebody has set.
///
/// Bounded, beyond the first, by [`ACTIVATION_VARIABLE_COUNT_MAX`] and
/// [`ACTIVATION_ENVIRONMENT_SIZE_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivationEnvironment {
    inherited: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    /// What was set, perhaps nothing, while systemd was not there. What it was told once it knows, and
    /// its user may have changed there.
    untold: Option<BTreeSet<String>>,
    /// What was unset while systemd was not there; none of them is set.
    untold_removals: BTreeSet<String>,
}

impl ActivationEnvironment {
    /// What the bus was started with.
    pub(in crate::bus) fn new(inherited: Vec<(String, String)>) -> Self {
        Self { inherited: inherited.into_iter().collect(), ..Self::default() }
    }

    /// Sets variables, all of them or none, and answers whether services get others than before.
    fn update(&mut self, variables: Vec<(String, String)>) -> Result<bool, Refusal> {
        let is_known = |(name, value): &(String, String)| {
            self.variables.get(name).or_else(|| self.inherited.get(name)) == Some(value)
        };
        let has_changed = !variables.iter().all(is_known);
        let mut updated = self.variables.clone();
        updated.extend(variables);
        let size: usize = updated.iter().map(|(name, value)| name.len() + value.len()).sum();
        if updated.len() > ACTIVATION_VARIABLE_COUNT_MAX || size > ACTIVATION_ENVIRONMENT_SIZE_MAX {
            return Err(Refusal::ActivationEnvironmentFull);
        }
        self.variables = updated;
        self.untold_removals.retain(|name| !self.variables.contains_key(name));
        Ok(has_changed)
    }

    /// Removes variables, and answers whether there were any.
    fn remove(&mut self, names: &[&str]) -> bool {
        let known = names.iter().filter(|name| {
            let inherited = self.inherited.remove(**name);
            self.variables.remove(**name).or(inherited).is_some()
        });
        known.count() > 0
    }

    /// Notes what systemd is to be told when it comes; what it has been told is set.
    fn note_set(&mut self, variables: &[(String, String)], is_told: bool) {
        if !is_told {
            let untold = self.untold.get_or_insert_default();
            untold.extend(variables.iter().map(|(name, _)| name.clone()));
        }
    }

    /// Notes what systemd is to be told when it comes, as far as there is room.
    fn note_untold(&mut self, removed: &[&str]) {
        let room = ACTIVATION_VARIABLE_COUNT_MAX.saturating_sub(self.untold_removals.len());
        self.untold_removals.extend(removed.iter().take(room).map(|name| (*name).to_owned()));
    }

    /// What was set while systemd was not there, sorted, if anything was.
    fn take_untold(&mut self) -> Option<Vec<(String, String)>> {
        let untold = self.untold.take()?;
        let is_untold = |(name, _): &(&String, &String)| untold.contains(*name);
        let variables = self.variables.iter().filter(is_untold);
        Some(variables.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// All of them, sorted.
    pub(in crate::bus) fn to_variables(&self) -> Vec<(String, String)> {
        let mut all = self.inherited.clone();
        all.extend(self.variables.clone());
        all.into_iter().collect()
    }
}

impl Bus {
    pub(super) fn start_service_by_name(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        if let Ok(name) = WellKnownName::parse(name) {
            self.take_from_departures(name);
        }
        if name == BUS_NAME.as_str() || self.resolve_text(name).is_some() {
            self.reply_uint32(&call.reply_to, ALREADY_RUNNING);
            return Ok(());
        }
        self.start_for(name, call.reply_to)
    }

    /// A call of StartServiceByName was successful.
    pub(in crate::bus) fn reply_started(&mut self, to: &ReplyTo) {
        self.reply_uint32(to, SUCCESS);
    }

    pub(super) fn update_activation_environment(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        if self.settings.starter.changes_user() {
            return Err(Refusal::ActivationEnvironmentFixed);
        }
        let mut entries = call.arguments().dict()?;
        let mut variables = Vec::new();
        while !entries.is_empty() {
            entries.structure()?;
            let (name, value) = (entries.string()?, entries.string()?);
            if !is_variable_name(name) {
                return Err(Refusal::InvalidVariable { name: name.to_owned() });
            }
            variables.push((name.to_owned(), value.to_owned()));
        }
        let has_changed = self.activation_environment.update(variables.clone())?;
        let is_told = self.tell_systemd(&variables, false);
        self.activation_environment.note_set(&variables, is_told);
        self.reply_empty(&call.reply_to);
        if has_changed {
            self.announce_property(ACTIVATION, ENVIRONMENT);
        }
        Ok(())
    }

    /// Started services get these variables no longer; the same for systemd's, who may have them although
    /// the bus does not.
    pub(super) fn unset_variables(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        if self.settings.starter.changes_user() {
            return Err(Refusal::ActivationEnvironmentFixed);
        }
        let names = call.arguments().strings()?.collect::<Result<Vec<&str>, _>>()?;
        // systemd would refuse all of them for the sake of one.
        if let Some(name) = names.iter().find(|name| !is_variable_name(name)) {
            return Err(Refusal::InvalidVariable { name: (*name).to_owned() });
        }
        let has_changed = self.activation_environment.remove(&names);
        if !names.is_empty() && !self.call_systemd("UnsetEnvironment", &names, false) {
            self.activation_environment.note_untold(&names);
        }
        self.reply_empty(&call.reply_to);
        if has_changed {
            self.announce_property(ACTIVATION, ENVIRONMENT);
        }
        Ok(())
    }

    /// The variables that started services get.
    pub(super) fn list_variables(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let variables = self.variables_of_services();
        self.reply(&call.reply_to, VARIABLES, |body| {
            body.dict(|entries| {
                for (name, value) in &variables {
                    entries.dict_entry(|entry| {
                        entry.string(name);
                        entry.string(value);
                    });
                }
            });
        });
        Ok(())
    }

    /// What services get that are started now: nothing where they run as users of their own
    /// (config.md B101).
    pub(super) fn variables_of_services(&self) -> Vec<(String, String)> {
        match self.settings.starter.changes_user() {
            true => Vec::new(),
            false => self.activation_environment.to_variables(),
        }
    }

    /// protocol.md A180: the bus itself is listed too.
    pub(super) fn list_activatable_names(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let services = Arc::clone(&self.settings.services);
        self.reply(&call.reply_to, STRINGS, |body| {
            body.strings([BUS_NAME.as_str()].into_iter().chain(services.names()));
        });
        Ok(())
    }

    /// Tells everybody that other services can be started now (config.md B097).
    pub(in crate::bus) fn announce_services(&mut self) {
        let header = Header {
            path: Some(CANONICAL_PATH),
            interface: Some(BUS),
            member: Some(MemberName::from_static("ActivatableServicesChanged")),
            ..self.driver_header(MessageType::Signal)
        };
        self.broadcast_from_driver(&header, |_| {});
    }

    /// Asks systemd to start a unit (protocol.md A220). If it is not there yet, it is asked when it
    /// comes, but monitors are shown that when it `is_new`.
    pub(in crate::bus) fn ask_systemd(&mut self, unit: &str, is_new: bool) {
        let header = Header {
            path: Some(CANONICAL_PATH),
            interface: Some(ACTIVATOR),
            member: Some(MemberName::from_static("ActivationRequest")),
            destination: Some(BusName::WellKnown(SYSTEMD)),
            signature: STRING,
            ..self.driver_header(MessageType::Signal)
        };
        let bytes = self.write_driver_message(&header, |_, body| body.string(unit));
        if is_new {
            self.capture_from_driver(&header, &bytes, None);
        }
        if let Some(systemd) = self.resolve_text(SYSTEMD_NAME) {
            self.push_from_driver(systemd, &header, &bytes, None);
        }
        self.keep_driver_message(bytes);
    }

    /// Whether a name is that of systemd, which is to start services.
    pub(super) fn is_expected_systemd(&self, name: &str) -> bool {
        name == SYSTEMD_NAME && self.identity.systemd_activation
    }

    /// systemd has come: it is told first what became of variables in the meantime, since what it is
    /// asked for then may need them (protocol.md A222).
    pub(super) fn tell_systemd_untold(&mut self) {
        let removals = std::mem::take(&mut self.activation_environment.untold_removals);
        if !removals.is_empty() {
            let removals: Vec<&str> = removals.iter().map(String::as_str).collect();
            self.call_systemd("UnsetEnvironment", &removals, true);
        }
        if let Some(variables) = self.activation_environment.take_untold() {
            self.tell_systemd(&variables, true);
        }
    }

    /// And for what nobody could ask for before (protocol.md A221).
    pub(super) fn ask_systemd_again(&mut self) {
        for unit in self.units_wanted() {
            self.ask_systemd(&unit, false);
        }
    }

    /// Gives variables on to systemd, whose units get them (protocol.md A222). Answers whether it is
    /// there, or not wanted; `is_late`: it was not when they were set.
    fn tell_systemd(&mut self, variables: &[(String, String)], is_late: bool) -> bool {
        let entries: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        self.call_systemd("SetEnvironment", &entries, is_late)
    }

    /// Calls a method of systemd's about its environment. Answers whether it is there, or not wanted.
    fn call_systemd(&mut self, member: &'static str, entries: &[&str], is_late: bool) -> bool {
        if !self.identity.systemd_activation {
            return true;
        }
        let Some(systemd) = self.resolve_text(SYSTEMD_NAME) else { return false };
        let unique = self.unique_name_of(systemd);
        // (ref) what waited for it goes to its well-known name.
        let unique = unique.as_ref().and_then(UniqueNameText::as_bus_name).filter(|_| !is_late);
        let destination = unique.or(Some(BusName::WellKnown(SYSTEMD)));
        let header = Header {
            path: Some(const { ObjectPath::from_static("/org/freedesktop/systemd1") }),
            interface: Some(
                const { InterfaceName::from_static("org.freedesktop.systemd1.Manager") },
            ),
            member: Some(MemberName::from_static(member)),
            destination,
            signature: STRINGS,
            flags: Flags::NO_REPLY_EXPECTED,
            ..self.driver_header(MessageType::MethodCall)
        };
        self.send_from_driver(systemd, &header, None, |body| {
            body.strings(entries.iter().copied());
        });
        true
    }

    /// Whether a message says that systemd could not start a unit.
    pub(in crate::bus) fn is_activation_failure(&self, header: &Header<'_>) -> bool {
        self.identity.systemd_activation
            && header.interface == Some(ACTIVATOR)
            && header.message_type == MessageType::Signal
            && header.member.is_some_and(|member| member.as_str() == "ActivationFailure")
    }

    /// A signal that is sent to the bus. One means something: that systemd could not start a unit
    /// (protocol.md A220, CVE-2015-0245).
    pub(super) fn handle_signal(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        if !self.is_activation_failure(message.header) {
            return Ok(());
        }
        let is_systemd = self.resolve_text(SYSTEMD_NAME) == Some(message.sender);
        if !is_systemd || !self.is_privileged(message.sender) {
            return Err(Refusal::NotSystemd);
        }
        if message.header.signature != FAILURE {
            return Ok(());
        }
        let mut arguments = BodyReader::new(message.body, message.header.endian);
        let (unit, name, text) = (arguments.string()?, arguments.string()?, arguments.string()?);
        self.handle_unit_failed(unit, &failure_of(name, text));
        Ok(())
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_all_or_none_and_bounded() {
        let mut environment = ActivationEnvironment::default();
        let many =
            |count: usize| (0..count).map(|n| (format!("V{n}"), String::new())).collect::<Vec<_>>();
        assert_eq!(environment.update(many(ACTIVATION_VARIABLE_COUNT_MAX)), Ok(true));
        assert_eq!(environment.update(many(1)), Ok(false), "it is the same");
        let before = environment.clone();
        let full = Err(Refusal::ActivationEnvironmentFull);
        assert_eq!(environment.update(many(ACTIVATION_VARIABLE_COUNT_MAX + 1)), full);
        assert_eq!(environment, before);

        let mut environment = ActivationEnvironment::default();
        let value = |size: usize| vec![("V".to_owned(), "x".repeat(size))];
        assert_eq!(environment.update(value(ACTIVATION_ENVIRONMENT_SIZE_MAX - 1)), Ok(true));
        assert_eq!(environment.update(value(ACTIVATION_ENVIRONMENT_SIZE_MAX)), full);
    }
}
