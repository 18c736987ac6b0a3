//! What is asked of the bus, which depends on which one it is.
//!
//! Our bus tells of all clients in one answer (`org.libbus.Stats1`). Others, and ours where the policy allows only
//! the older interface, are asked for names and credentials, and then: dbus-broker tells of its clients in
//! `GetStats`, dbus-daemon of each when it is asked by `GetConnectionStats`. What none of it tells stays `None`.

use std::collections::HashMap;
use std::time::Instant;

use libbus::Error;
use libbus::blocking::{Connection, Proxy};
use libbus::message::Message;

use super::detail::Detail;
use super::sample::{Client, Sample, Totals, Usage, number, text};
use crate::failure::{Failure, Result};
use crate::inventory::{self, Standing};
use crate::options::Options;
use crate::process::{Process, user_name};
use crate::value::Value;

const BUS: &str = "org.freedesktop.DBus";
const PATH: &str = "/org/freedesktop/DBus";
const STATS: &str = "org.freedesktop.DBus.Debug.Stats";
const CLIENTS: &str = "org.libbus.Stats1";
const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const ACCOUNTING: &str = "org.bus1.DBus.Debug.Stats.PeerAccounting";

/// A bus that is asked again and again.
pub(crate) struct Source {
    connection: Connection,
    title: String,
    /// Whether processes of the bus's clients are processes of this machine.
    is_local: bool,
    bus_pid: Option<u32>,
    /// Whether questions of this kind are answered.
    has_clients: bool,
    has_connection_stats: bool,
    /// Whether the bus's policy keeps its statistics from this user.
    is_denied: bool,
    /// What is looked up once for a client.
    known: HashMap<String, Known>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
enum Untold {
    Refused(Error),
    Empty,
}

impl Untold {
    /// Whether the policy of the bus keeps it from this user.
    fn is_denial(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_method_error(ACCESS_DENIED))
    }

    fn text(self) -> String {
        match self {
            Self::Refused(error) => Failure::from(error).text,
            Self::Empty => "an empty answer".to_owned(),
        }
    }
}

/// Who a client is.
#[derive(Clone, Debug)]
struct Known {
    /// Its process, if that is one of this machine.
    pid: Option<u32>,
    process: Option<String>,
    user: Option<String>,
}

impl Source {
    /// # Errors
    /// The bus cannot be reached.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let connection = options.connect()?;
        let is_local = options.bus.is_here();
        let bus_pid = connection.bus().call("GetConnectionUnixProcessID", BUS).ok();
        let title = match &options.bus {
            bus if bus.system => "the system bus".to_owned(),
            bus if bus.address.is_some() => "the bus at an address".to_owned(),
            bus => match bus.host.as_ref().or(bus.machine.as_ref()) {
                Some(machine) => format!("the bus of {machine}"),
                None => "the session bus".to_owned(),
            },
        };
        Ok(Self {
            connection,
            title,
            is_local,
            bus_pid,
            has_clients: true,
            has_connection_stats: true,
            is_denied: false,
            known: HashMap::new(),
        })
    }

    /// Which bus it is, for people.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// What the bus tells now.
    ///
    /// # Errors
    /// The bus has gone.
    pub(crate) fn sample(&mut self) -> Result<Sample> {
        let (clients, stats) = match self.clients_at_once()? {
            Some(clients) => (clients, self.stats()?.ok()),
            None => self.clients_one_by_one()?,
        };
        let totals = self.totals(stats.as_ref());
        let mut sample = Sample { at: Instant::now(), totals, clients, is_denied: self.is_denied };
        sample.clients.sort_by_cached_key(|client| inventory::sort_key(&client.unique));
        self.name_processes(&mut sample.clients);
        Ok(sample)
    }

    /// What is shown of one client only when somebody looks at it.
    ///
    /// # Errors
    /// The bus has gone.
    pub(crate) fn detail(&mut self, unique: &str) -> Result<Detail> {
        let stats = self.ask(STATS, "GetConnectionStats", Some(unique))?;
        let calls = match self.has_clients {
            true => self.ask(CLIENTS, "GetCalls", None)?.ok(),
            false => None,
        };
        let mut detail = Detail::new(unique, stats.map_err(Untold::text), calls.as_ref());
        if let Some(pid) = self.known.get(unique).and_then(|known| known.pid) {
            detail.take_process(Process(pid));
        }
        Ok(detail)
    }

    /// All clients, if the bus tells of them in one answer.
    fn clients_at_once(&mut self) -> Result<Option<Vec<Client>>> {
        if !self.has_clients {
            return Ok(None);
        }
        let Ok(Value::Dict { entries, .. }) = self.ask(CLIENTS, "GetClients", None)? else {
            self.has_clients = false;
            return Ok(None);
        };
        let client =
            |(unique, entry): &(Value, Value)| Some(Client::from_entry(&text(unique)?, entry));
        Ok(Some(entries.iter().filter_map(client).collect()))
    }

    /// And what the bus counts as a whole.
    fn clients_one_by_one(&mut self) -> Result<(Vec<Client>, Option<Value>)> {
        let mut clients = self.named_clients()?;
        let stats = self.stats()?;
        self.is_denied = stats.as_ref().is_err_and(Untold::is_denial);
        let stats = stats.ok();
        if let Some(Value::Array { elements, .. }) =
            stats.as_ref().and_then(|it| it.entry(ACCOUNTING))
        {
            let of: HashMap<String, Usage> = elements.iter().filter_map(accounted).collect();
            for client in &mut clients {
                client.usage = of.get(&client.unique).cloned().unwrap_or_default();
            }
        } else if self.has_connection_stats && stats.is_some() {
            self.add_connection_stats(&mut clients)?;
        }
        Ok((clients, stats))
    }

    /// Clients with their names, users and processes.
    fn named_clients(&self) -> Result<Vec<Client>> {
        let mut names = inventory::names(&self.connection)?;
        names.retain(|name| name.standing != Standing::Activatable && name.name != BUS);
        let mut clients: Vec<Client> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        inventory::for_each_owner(&self.connection, &names, |name, owner| {
            let Some(unique) = owner.unique_name.clone() else { return Ok(()) };
            let place = *places.entry(unique.clone()).or_insert_with(|| {
                let (uid, pid) = (owner.uid, owner.pid);
                clients.push(Client { unique, uid, pid, ..Client::default() });
                clients.len() - 1
            });
            if let (Standing::Owned, Some(client)) = (name.standing, clients.get_mut(place)) {
                client.names.push(name.name.clone());
            }
            Ok(())
        })?;
        Ok(clients)
    }

    fn add_connection_stats(&mut self, clients: &mut [Client]) -> Result<()> {
        let bus = Proxy::new(&self.connection, BUS, PATH, STATS)?;
        let call = bus.method_call("GetConnectionStats")?;
        let ask = |client: &&mut Client| self.connection.send(&call, client.unique.as_str());
        for (client, answer) in inventory::answers(clients, ask) {
            match answer {
                Ok(reply) => {
                    let stats = first_value(&reply);
                    client.usage = stats.as_ref().map(Usage::from_stats).unwrap_or_default();
                }
                Err(error) if error.is_disconnected() => return Err(error.into()),
                // Or the client has gone meanwhile.
                Err(error) => self.has_connection_stats &= is_about_client(&error),
            }
        }
        Ok(())
    }

    fn stats(&self) -> Result<std::result::Result<Value, Untold>> {
        self.ask(STATS, "GetStats", None)
    }

    fn totals(&self, stats: Option<&Value>) -> Totals {
        let count = |key| stats.and_then(|stats| stats.entry(key)).and_then(number);
        let memory = self.bus_pid.filter(|_| self.is_local).and_then(|pid| {
            let kib = Process(pid).status("VmRSS")?;
            kib.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
        });
        Totals { messages: count("TotalMessages"), bytes: count("TotalBytes"), memory }
    }

    fn name_processes(&mut self, clients: &mut [Client]) {
        let mut known = std::mem::take(&mut self.known);
        for client in clients {
            let who = known.remove(&client.unique).unwrap_or_else(|| {
                let pid = client.pid.filter(|_| self.is_local);
                let process = pid.and_then(|pid| Process(pid).name());
                let user_name = |uid| if self.is_local { user_name(uid) } else { uid.to_string() };
                Known { pid, process, user: client.uid.map(user_name) }
            });
            (client.process, client.user) = (who.process.clone(), who.user.clone());
            self.known.insert(client.unique.clone(), who);
        }
    }

    /// The first value of an answer; or that the bus does not answer this.
    fn ask(
        &self,
        interface: &str,
        member: &str,
        argument: Option<&str>,
    ) -> Result<std::result::Result<Value, Untold>> {
        let bus = Proxy::new(&self.connection, BUS, PATH, interface)?;
        let reply = match argument {
            Some(argument) => bus.call_method(member, argument),
            None => bus.call_method(member, &()),
        };
        match reply {
            Ok(reply) => Ok(first_value(&reply).ok_or(Untold::Empty)),
            Err(error @ Error::Method(_)) => Ok(Err(Untold::Refused(error))),
            Err(error) => Err(error.into()),
        }
    }
}

fn first_value(reply: &Message) -> Option<Value> {
    Value::of_message(reply).into_iter().next()
}

/// One client of dbus-broker's accounting: its unique name, credentials, and what it uses.
fn accounted(element: &Value) -> Option<(String, Usage)> {
    let Value::Struct(fields) = element else { return None };
    Some((text(fields.first()?)?, Usage::from_accounting(fields.get(2)?)))
}

fn is_about_client(error: &Error) -> bool {
    matches!(error, Error::Method(error) if error.name().ends_with(".NameHasNoOwner"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use libbus::names::ErrorName;
    use libbus::wire::{MessageType, Signature};
    use libbus::{Error, MethodError};

    use super::{ACCESS_DENIED, Message, Untold};
    use crate::capture::tests::message;

    /// Whatever it says to people.
    #[test]
    fn a_denial_is_known_by_the_name_of_the_error() {
        let check = |name: &'static str, text: &str, expected: bool| {
            let bytes = message(
                MessageType::Error,
                7,
                |header| {
                    header.error_name = Some(ErrorName::parse(name).unwrap());
                    header.reply_serial = NonZeroU32::new(1);
                    header.signature = Signature::from_static("s");
                },
                |writer| writer.string(text),
            );
            let error = MethodError::new(Message::from_bytes(bytes).unwrap()).unwrap();
            assert_eq!(Untold::Refused(Error::Method(error)).is_denial(), expected, "{name}");
        };
        check(ACCESS_DENIED, "no", true);
        check("org.freedesktop.DBus.Error.UnknownMethod", ACCESS_DENIED, false);
        assert!(!Untold::Empty.is_denial());
    }
}
