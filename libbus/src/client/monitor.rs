//! Looking at what others send (tools.md D003, D048).

use std::fmt;

use super::builder::Builder;
use super::connection::Connection;
use super::error::Result;
use super::link::{Deadline, Shared, Style};
use super::names::bus_call;
use crate::match_rule::MatchRule;
use crate::message::Message;
use crate::names::InterfaceName;

const MONITORING: InterfaceName<'static> =
    InterfaceName::from_static("org.freedesktop.DBus.Monitoring");

/// How the bus is asked for what others send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// As a monitor (protocol.md A160): of all messages those that match, also of others. The bus lets whoever it
    /// trusts be one: on a session bus its user, on the system bus root.
    AsMonitor,
    /// By match rules as every program has them: signals that are for everybody, and what a rule with
    /// `eavesdrop='true'` may see if the bus's policy allows that.
    ByMatchRules,
}

/// Sees messages of others, one after the other. Who is one by match rules may also send
/// ([`Monitor::connection`]); the bus ends a monitor that does.
///
/// It misses nothing. Who does not take messages lets them wait at the bus, which ends a monitor that holds too much. So
/// do replies to what is asked on its connection, which come behind them: while
/// [`MONITORED_MAX`](crate::connection::MONITORED_MAX) messages wait here, or
/// [`MONITORED_SIZE_MAX`](crate::connection::MONITORED_SIZE_MAX) bytes of them, nothing is read, and a reply comes in only
/// if messages are taken meanwhile.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// use libbus::{Watching, blocking::Builder};
///
/// let mut monitor =
///     Builder::address(bus.address())?.monitor(&["member='GetId'"], Watching::AsMonitor)?;
/// let connection = Builder::address(bus.address())?.build()?;
/// let id: String = connection.bus().call("GetId", &())?;
///
/// // What the bus tells the monitor itself comes first.
/// let seen = std::iter::from_fn(|| monitor.next_message().ok());
/// let call = seen.into_iter().find(|message| message.member().is_some_and(|name| name.as_str() == "GetId"));
/// assert_eq!(call.and_then(|call| call.sender().map(|name| name.to_string())).as_deref(), connection.unique_name());
/// # Ok(())
/// # }
/// ```
pub struct Monitor<S: Style> {
    connection: Connection<S>,
}

impl<S: Style> Monitor<S> {
    pub(crate) async fn begin(
        builder: Builder<S>,
        rules: &[&str],
        watching: Watching,
    ) -> Result<Self> {
        let rules: Vec<String> = rules
            .iter()
            .map(|rule| Ok(MatchRule::parse(rule)?.to_string()))
            .collect::<Result<_>>()?;
        let connection = builder.for_monitor()?.connect().await?;
        match watching {
            Watching::AsMonitor => become_monitor(&connection, &rules).await?,
            Watching::ByMatchRules => add_matches(&connection, &rules).await?,
        }
        Ok(Self { connection })
    }

    /// The next message, which may have come before.
    pub(crate) async fn take_next(&mut self, deadline: Deadline) -> Result<Message> {
        let next = |shared: &mut Shared| shared.connection.next_monitored();
        let link = self.connection.link();
        let message = S::wait(link, next, deadline).await?;
        link.wake_reader();
        Ok(message)
    }

    /// The connection on which it sees them. Replies to what is asked on it are for who asks; all else that comes is for
    /// the monitor, which answers nothing by itself. Messages are to be taken also while a reply is waited for: where too
    /// many wait it does not come in ([`Error::TimedOut`]).
    ///
    /// [`Error::TimedOut`]: super::error::Error::TimedOut
    #[must_use]
    pub const fn connection(&self) -> &Connection<S> {
        &self.connection
    }

    /// The monitor's own unique name, which it had before it became one: the bus tells of its end.
    #[must_use]
    pub fn unique_name(&self) -> Option<&str> {
        self.connection.unique_name()
    }
}

impl<S: Style> fmt::Debug for Monitor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("unique_name", &self.unique_name()).finish_non_exhaustive()
    }
}

async fn become_monitor<S: Style>(connection: &Connection<S>, rules: &[String]) -> Result<()> {
    let call = bus_call("BecomeMonitor").interface(MONITORING)?;
    connection.link().call(&call, &(rules, 0u32)).await.map(drop)
}

/// All are asked for before the first answer is waited for: what the first match comes meanwhile, and before the
/// answers.
async fn add_matches<S: Style>(connection: &Connection<S>, rules: &[String]) -> Result<()> {
    let call = bus_call("AddMatch");
    connection.link().lock_here()?.connection.set_up_monitoring(true);
    let ask = |rule: &String| connection.link().begin_call(&call, rule.as_str());
    let asked: Vec<_> = rules.iter().map(ask).collect::<Result<_>>()?;
    for reply in asked {
        reply.reply().await?;
    }
    connection.link().lock_here()?.connection.set_up_monitoring(false);
    Ok(())
}

#[cfg(all(test, feature = "blocking"))]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::Monitor;
    use crate::client::blocking::Connection;
    use crate::client::call::MethodCall;
    use crate::connection::MONITORED_MAX;
    use crate::server::ObjectManager;

    /// Who waits for a reply goes on reading once the program takes messages, and does not wait for the next one who
    /// waits.
    #[test]
    fn taking_from_a_full_queue_wakes_who_waits_for_a_reply() {
        // More than one read brings, since what has come with the last one is kept.
        const MORE: usize = MONITORED_MAX;
        let (peer, connection) = Connection::pair().unwrap();
        peer.object_server().at("/a", ObjectManager).unwrap();
        connection.link().lock().connection.begin_monitoring();
        let mut monitor = Monitor { connection };
        let asking = monitor.connection().clone();
        let (tell, told) = mpsc::channel();
        let is_full = |monitor: &Monitor<_>| {
            let shared = monitor.connection.link().lock();
            shared.waiting_count > 0 && !shared.connection.may_read()
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..(MONITORED_MAX + MORE) as u32 {
                    peer.emit_signal(None, "/a", "org.example.A", "Changed", &number).unwrap();
                }
                // The answer comes behind them.
                assert!(peer.serve().unwrap_err().is_disconnected());
            });
            scope.spawn(move || {
                let call = MethodCall::new("/a", "GetManagedObjects").unwrap();
                tell.send(asking.call(&call.timeout(None), &()))
            });
            while !is_full(&monitor) {
                thread::yield_now();
            }
            for number in 0..=MORE as u32 {
                let message = monitor.next_message().unwrap();
                assert_eq!(message.deserialize::<u32>().unwrap(), number);
            }
            let reply = told.recv_timeout(Duration::from_secs(20));
            monitor.connection().close();
            reply.expect("who waits reads on").unwrap();
        });
    }
}
