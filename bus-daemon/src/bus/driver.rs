//! `org.freedesktop.DBus`, the bus as one of its own services (protocol.md A173–A214).
//!
//! Every method stands in one table, `METHODS`: on which interface, with which signature, at which
//! object path, for whom, and the function that answers. Dispatch and introspection both read that
//! table, so that what is described is what exists. A handler answers through `Call::reply_to`
//! or returns a [`Refusal`], which `error_reply` turns into a D-Bus error.
//!
//! The driver is also the one place that turns a change of ownership into signals
//! (`Bus::announce`); the name registry itself sends nothing.

pub mod activation;
mod clients;
mod credentials;
pub mod error_reply;
mod introspection;
mod matches;
mod monitoring;
mod names;
mod peer;
mod policy;
mod properties;
mod sending;
mod stats;

use std::num::NonZeroU32;

use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath, WellKnownName};
use libbus::wire::{BodyReader, BodyWriter, Flags, Header, MessageType, Signature};

use super::Bus;
use super::id::ClientId;
use super::name_registry::NameChange;
use super::routing::Message;
use super::unique_name::UniqueNameText;
use error_reply::Refusal;

/// The bus's own name.
pub const BUS_NAME: WellKnownName<'static> = WellKnownName::from_static("org.freedesktop.DBus");
/// The bus's main interface.
const BUS: InterfaceName<'static> = InterfaceName::from_static("org.freedesktop.DBus");
/// The object path at which every method is available.
const CANONICAL_PATH: ObjectPath<'static> = ObjectPath::from_static("/org/freedesktop/DBus");
const PROPERTIES: InterfaceName<'static> =
    InterfaceName::from_static("org.freedesktop.DBus.Properties");
const INTROSPECTABLE: InterfaceName<'static> =
    InterfaceName::from_static("org.freedesktop.DBus.Introspectable");
const PEER: InterfaceName<'static> = InterfaceName::from_static("org.freedesktop.DBus.Peer");
const MONITORING: InterfaceName<'static> =
    InterfaceName::from_static("org.freedesktop.DBus.Monitoring");
const STATS: InterfaceName<'static> =
    InterfaceName::from_static("org.freedesktop.DBus.Debug.Stats");
/// Ours; what it explains stands in `driver/policy.rs`.
const POLICY: InterfaceName<'static> = InterfaceName::from_static("org.libbus.Policy1");

/// Ours: who uses how much of the bus, `driver/clients.rs`.
const CLIENTS: InterfaceName<'static> = InterfaceName::from_static("org.libbus.Stats1");

/// Ours: the variables that started services get.
const ACTIVATION: InterfaceName<'static> = InterfaceName::from_static("org.libbus.Activation1");

/// The signature of one string.
pub(super) const STRING: Signature<'static> = Signature::from_static("s");
const UINT32: Signature<'static> = Signature::from_static("u");
const NAME_OWNER_CHANGED_ARGS: Signature<'static> = Signature::from_static("sss");

/// At which object paths a method can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Any,
    /// Only at the canonical path; elsewhere the caller is told so.
    Canonical,
    /// The whole interface exists only at the canonical path; elsewhere it is not known.
    CanonicalInterface,
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Everyone,
    /// Root and the user that the bus runs as.
    Privileged,
}

/// One row of the table. Arguments are written as signature and name, as in `"s name"`.
struct Method {
    interface: InterfaceName<'static>,
    member: &'static str,
    input: &'static [(&'static str, &'static str)],
    output: &'static [(&'static str, &'static str)],
    path: Path,
    access: Access,
    handler: fn(&mut Bus, &Call<'_>) -> Result<(), Refusal>,
}

const fn method(
    interface: InterfaceName<'static>,
    member: &'static str,
    input: &'static [(&'static str, &'static str)],
    output: &'static [(&'static str, &'static str)],
    handler: fn(&mut Bus, &Call<'_>) -> Result<(), Refusal>,
) -> Method {
    Method { interface, member, input, output, path: Path::Any, access: Access::Everyone, handler }
}

impl Method {
    const fn canonical(mut self) -> Self {
        self.path = Path::Canonical;
        self
    }

    const fn of_canonical_interface(mut self) -> Self {
        self.path = Path::CanonicalInterface;
        self
    }

    const fn privileged(mut self) -> Self {
        self.access = Access::Privileged;
        self
    }

    fn accepts(&self, signature: Signature<'_>) -> bool {
        let mut rest = signature.as_str();
        for (expected, _) in self.input {
            match rest.strip_prefix(expected) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

/// Every method of the bus, in the order in which a call without INTERFACE looks for its member
/// (protocol.md A210).
static METHODS: &[Method] = &[
    method(BUS, "Hello", &[], &[("s", "unique_name")], Bus::hello),
    method(
        BUS,
        "RequestName",
        &[("s", "name"), ("u", "flags")],
        &[("u", "result")],
        Bus::request_name,
    ),
    method(BUS, "ReleaseName", &[("s", "name")], &[("u", "result")], Bus::release_name),
    method(
        BUS,
        "StartServiceByName",
        &[("s", "name"), ("u", "flags")],
        &[("u", "result")],
        Bus::start_service_by_name,
    ),
    method(
        BUS,
        "UpdateActivationEnvironment",
        &[("a{ss}", "environment")],
        &[],
        Bus::update_activation_environment,
    )
    .canonical()
    .privileged(),
    method(BUS, "NameHasOwner", &[("s", "name")], &[("b", "has_owner")], Bus::name_has_owner),
    method(BUS, "ListNames", &[], &[("as", "names")], Bus::list_names),
    method(BUS, "ListActivatableNames", &[], &[("as", "names")], Bus::list_activatable_names),
    method(BUS, "AddMatch", &[("s", "rule")], &[], Bus::add_match),
    method(BUS, "RemoveMatch", &[("s", "rule")], &[], Bus::remove_match),
    method(BUS, "GetNameOwner", &[("s", "name")], &[("s", "unique_name")], Bus::get_name_owner),
    method(
        BUS,
        "ListQueuedOwners",
        &[("s", "name")],
        &[("as", "unique_names")],
        Bus::list_queued_owners,
    ),
    method(
        BUS,
        "GetConnectionUnixUser",
        &[("s", "name")],
        &[("u", "uid")],
        Bus::get_connection_unix_user,
    ),
    method(
        BUS,
        "GetConnectionUnixProcessID",
        &[("s", "name")],
        &[("u", "pid")],
        Bus::get_connection_unix_process_id,
    ),
    method(
        BUS,
        "GetAdtAuditSessionData",
        &[("s", "name")],
        &[("ay", "data")],
        Bus::get_adt_audit_session_data,
    ),
    method(
        BUS,
        "GetConnectionSELinuxSecurityContext",
        &[("s", "name")],
        &[("ay", "context")],
        Bus::get_connection_selinux_security_context,
    ),
    method(BUS, "ReloadConfig", &[], &[], Bus::reload_config),
    method(BUS, "GetId", &[], &[("s", "id")], Bus::get_id),
    method(
        BUS,
        "GetConnectionCredentials",
        &[("s", "name")],
        &[("a{sv}", "credentials")],
        Bus::get_connection_credentials,
    ),
    method(
        PROPERTIES,
        "Get",
        &[("s", "interface"), ("s", "property")],
        &[("v", "value")],
        Bus::get,
    )
    .of_canonical_interface(),
    method(PROPERTIES, "GetAll", &[("s", "interface")], &[("a{sv}", "properties")], Bus::get_all)
        .of_canonical_interface(),
    method(
        PROPERTIES,
        "Set",
        &[("s", "interface"), ("s", "property"), ("v", "value")],
        &[],
        Bus::set,
    )
    .of_canonical_interface(),
    method(INTROSPECTABLE, "Introspect", &[], &[("s", "xml")], Bus::introspect),
    method(
        MONITORING,
        "BecomeMonitor",
        &[("as", "rules"), ("u", "flags")],
        &[],
        Bus::become_monitor,
    )
    .of_canonical_interface()
    .privileged(),
    method(STATS, "GetStats", &[], &[("a{sv}", "stats")], Bus::get_stats).of_canonical_interface(),
    method(
        STATS,
        "GetConnectionStats",
        &[("s", "name")],
        &[("a{sv}", "stats")],
        Bus::get_connection_stats,
    )
    .of_canonical_interface(),
    method(STATS, "GetAllMatchRules", &[], &[("a{sas}", "rules")], Bus::get_all_match_rules)
        .of_canonical_interface(),
    method(CLIENTS, "GetClients", &[], &[("a{sa{sv}}", "clients")], Bus::get_clients)
        .of_canonical_interface(),
    method(CLIENTS, "GetCalls", &[], &[("a(ssut)", "calls")], Bus::get_calls)
        .of_canonical_interface(),
    method(CLIENTS, "GetUsers", &[], &[("a{ua{s(tt)}}", "users")], Bus::get_users)
        .of_canonical_interface(),
    method(
        POLICY,
        "Explain",
        &[("s", "question")],
        &[("b", "allowed"), ("s", "explanation"), ("s", "json")],
        Bus::explain,
    )
    .of_canonical_interface()
    .privileged(),
    method(ACTIVATION, "Set", &[("a{ss}", "variables")], &[], Bus::update_activation_environment)
        .of_canonical_interface()
        .privileged(),
    method(ACTIVATION, "Unset", &[("as", "names")], &[], Bus::unset_variables)
        .of_canonical_interface()
        .privileged(),
    method(ACTIVATION, "List", &[], &[("a{ss}", "variables")], Bus::list_variables)
        .of_canonical_interface()
        .privileged(),
    method(PEER, "GetMachineId", &[], &[("s", "machine_id")], Bus::get_machine_id),
    method(PEER, "Ping", &[], &[], Bus::ping),
];

/// Where the answer to a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo {
    client: ClientId,
    serial: NonZeroU32,
    /// Whether the caller asked for a reply.
    expected: bool,
}

impl ReplyTo {
    /// Who called.
    pub(super) const fn client(&self) -> ClientId {
        self.client
    }
}

/// One call of a method of the bus.
struct Call<'a> {
    header: &'a Header<'a>,
    body: &'a [u8],
    reply_to: ReplyTo,
}

impl<'a> Call<'a> {
    const fn client(&self) -> ClientId {
        self.reply_to.client
    }

    /// The arguments, whose types the method table has checked.
    const fn arguments(&self) -> BodyReader<'a> {
        BodyReader::new(self.body, self.header.endian)
    }

    /// The first argument of a method that begins with a string.
    fn name_argument(&self) -> Result<&'a str, Refusal> {
        Ok(self.arguments().string()?)
    }
}

/// Whether a unique name has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    New,
    Gone,
}

/// The header that all messages of the bus have in common (protocol.md A142).
pub(super) const fn header(message_type: MessageType, serial: NonZeroU32) -> Header<'static> {
    let mut header = Header::new(message_type, serial);
    header.flags = Flags::NO_REPLY_EXPECTED;
    header.sender = Some(BusName::WellKnown(BUS_NAME));
    header
}

impl Bus {
    /// A message to the bus itself, or a call to nobody (protocol.md A139, A143).
    pub(super) fn handle_driver_message(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        let registered = self.clients.get(message.sender).is_some_and(|c| c.is_registered());
        let to_nobody = message.header.destination.is_none();
        if !registered && !to_nobody && !is_hello(message.header) {
            return Err(Refusal::NotRegistered);
        }
        match message.header.message_type {
            MessageType::MethodCall => {}
            MessageType::Signal => return self.handle_signal(message),
            _ => return Ok(()),
        }
        let Some(member) = message.header.member else { return Ok(()) };
        let method = find_method(message.header, member)?;
        if method.path == Path::Canonical && message.header.path != Some(CANONICAL_PATH) {
            return Err(Refusal::WrongPath { member: method.member });
        }
        if method.access == Access::Privileged && !self.is_privileged(message.sender) {
            return Err(Refusal::NotPrivileged { member: method.member });
        }
        if !method.accepts(message.header.signature) {
            return Err(Refusal::WrongArguments {
                member: method.member,
                given: message.header.signature.as_str().to_owned(),
                expected: method.input.iter().map(|(signature, _)| *signature).collect(),
            });
        }
        let reply_to = ReplyTo {
            client: message.sender,
            serial: message.header.serial,
            expected: !message.header.flags.contains(Flags::NO_REPLY_EXPECTED),
        };
        (method.handler)(self, &Call { header: message.header, body: message.body, reply_to })
    }

    /// Root and the user that the bus runs as may do what others may not (protocol.md A203).
    fn is_privileged(&self, client: ClientId) -> bool {
        let uid = self.clients.get(client).and_then(|client| client.uid);
        uid.is_some_and(|uid| uid == 0 || uid == self.identity.own_uid)
    }

    fn reply(
        &mut self,
        to: &ReplyTo,
        signature: Signature<'_>,
        body: impl FnOnce(&mut BodyWriter<'_>),
    ) {
        self.reply_with_fds(to, signature, None, |_, writer| body(writer));
    }

    fn reply_with_fds(
        &mut self,
        to: &ReplyTo,
        signature: Signature<'_>,
        fds: Option<&super::MessageFds>,
        body: impl FnOnce(&Self, &mut BodyWriter<'_>),
    ) {
        if !to.expected {
            return;
        }
        let unique = self.unique_name_of(to.client);
        let header = Header {
            reply_serial: Some(to.serial),
            destination: unique.as_ref().and_then(UniqueNameText::as_bus_name),
            signature,
            unix_fds: fds.map_or(0, |fds| fds.len() as u32),
            ..self.driver_header(MessageType::MethodReturn)
        };
        let bytes = self.write_driver_message(&header, body);
        self.send_written(to.client, &header, fds, bytes);
    }

    pub(super) fn reply_empty(&mut self, to: &ReplyTo) {
        self.reply(to, Signature::EMPTY, |_| {});
    }

    fn reply_uint32(&mut self, to: &ReplyTo, value: u32) {
        self.reply(to, UINT32, |body| body.uint32(value));
    }

    fn reply_string(&mut self, to: &ReplyTo, text: &str) {
        self.reply(to, STRING, |body| body.string(text));
    }

    pub(super) fn reply_error(&mut self, to: &ReplyTo, refusal: &Refusal) {
        self.send_error_from_driver(to.client, Some(to.serial), refusal);
    }

    /// Tells everybody concerned that a name has another owner, in the order of
    /// protocol.md A133: NameLost, NameOwnerChanged, NameAcquired.
    pub(super) fn announce(&mut self, change: &NameChange) {
        for index in [&mut self.matches, &mut self.eavesdroppers, &mut self.monitors] {
            index.handle_owner_change(&change.name, change.new_owner);
        }
        if let Some(old) = change.old_owner {
            self.send_name_signal(old, "NameLost", &change.name);
        }
        let [old, new] = [change.old_owner, change.new_owner]
            .map(|owner| owner.and_then(|owner| self.unique_name_of(owner)));
        let [old, new] = [&old, &new].map(|name| name.as_ref().map_or("", UniqueNameText::as_str));
        self.send_name_owner_changed(&change.name, old, new);
        if let Some(new) = change.new_owner {
            self.send_name_signal(new, "NameAcquired", &change.name);
        }
    }

    /// The same for a unique name, which only ever comes or goes (protocol.md A124, A134).
    pub(super) fn announce_unique(&mut self, client: ClientId, name: &str, what: Unique) {
        match what {
            Unique::New => {
                self.send_name_owner_changed(name, "", name);
                self.send_name_signal(client, "NameAcquired", name);
            }
            Unique::Gone => {
                self.send_name_signal(client, "NameLost", name);
                self.send_name_owner_changed(name, name, "");
            }
        }
    }

    fn send_name_owner_changed(&mut self, name: &str, old: &str, new: &str) {
        let header = Header {
            path: Some(CANONICAL_PATH),
            interface: Some(BUS),
            member: Some(MemberName::from_static("NameOwnerChanged")),
            signature: NAME_OWNER_CHANGED_ARGS,
            ..self.driver_header(MessageType::Signal)
        };
        self.broadcast_from_driver(&header, |body| {
            body.string(name);
            body.string(old);
            body.string(new);
        });
    }

    fn send_name_signal(&mut self, client: ClientId, member: &'static str, name: &str) {
        let destination = self.unique_name_of(client);
        let header = Header {
            path: Some(CANONICAL_PATH),
            interface: Some(BUS),
            member: MemberName::parse(member).ok(),
            destination: destination.as_ref().and_then(UniqueNameText::as_bus_name),
            signature: STRING,
            ..self.driver_header(MessageType::Signal)
        };
        self.send_from_driver(client, &header, None, |body| body.string(name));
    }
}

/// The one call that a client may make before it has a name (protocol.md A120, A121).
fn is_hello(header: &Header<'_>) -> bool {
    header.message_type == MessageType::MethodCall
        && header.interface.is_none_or(|interface| interface == BUS)
        && header.member.is_some_and(|member| member.as_str() == "Hello")
}

/// The method that a call means (protocol.md A210). A call to nobody reaches only Peer
/// (protocol.md A139).
fn find_method(header: &Header<'_>, member: MemberName<'_>) -> Result<&'static Method, Refusal> {
    let in_interface =
        |method: &&Method| header.interface.is_none_or(|interface| method.interface == interface);
    let canonical = header.path == Some(CANONICAL_PATH);
    let reachable = |method: &&Method| {
        (header.destination.is_some() || method.interface == PEER)
            && (canonical || method.path != Path::CanonicalInterface)
    };
    let mut candidates = METHODS.iter().filter(reachable).filter(in_interface).peekable();
    let interface_known = candidates.peek().is_some() || header.destination.is_none();
    candidates.find(|method| method.member == member.as_str()).ok_or_else(|| {
        let member = member.as_str().to_owned();
        match header.interface {
            Some(_) if !interface_known => Refusal::UnknownInterface { member },
            _ => Refusal::UnknownMethod { member },
        }
    })
}

/// What `--introspect` prints: the bus at its canonical path (protocol.md A211).
#[must_use]
pub fn introspection_of_bus() -> String {
    introspection::xml_at(CANONICAL_PATH)
}
