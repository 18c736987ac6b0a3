//! Whether the other end answers as a bus, and how quickly.

use std::time::{Duration, Instant};

use libbus::address::Address;
use libbus::blocking::Builder;
use libbus::connection::ConnectionError;
use libbus::{Error, MethodCall};

use super::listener::Listener;
use super::person::Person;
use super::report::Check;
use super::setting::Scope;
use super::talk::seconds;
use super::{Case, bounded, mend};

/// How long that may take if nothing else is said.
const STARTING_MAX: Duration = Duration::from_secs(25);

/// How a bus answered.
struct Greeting {
    unique_name: Option<String>,
    hello: Duration,
    call: Duration,
}

/// Why it did not.
enum NoGreeting {
    Failed(Error),
    Silent,
}

/// A program that is started for the connection may have to reach another machine first.
fn patience(case: &Case, address: &Address) -> Duration {
    match is_started(address) {
        true => case.timeout.unwrap_or(STARTING_MAX),
        false => case.patience(),
    }
}

fn is_started(address: &Address) -> bool {
    address.transport == "unixexec"
}

/// The whole way that programs go; it ends with the connection.
fn greet(case: &Case, address: &Address) -> Result<Greeting, NoGreeting> {
    let (scope, patience) = (case.scope, patience(case, address));
    let address = address.to_string();
    let greeted = bounded(patience, move || -> libbus::Result<Greeting> {
        let connection = Builder::address(&address)?.p2p().build()?;
        let timed = |call: MethodCall<'_>| {
            let start = Instant::now();
            connection
                .call(&call.timeout(Some(patience)), &())
                .map(|reply| (reply, start.elapsed()))
        };
        if scope == Scope::Peer {
            let ping = MethodCall::new("/", "Ping")?.interface("org.freedesktop.DBus.Peer")?;
            let (_, hello) = timed(ping)?;
            let (_, call) = timed(ping)?;
            return Ok(Greeting { unique_name: None, hello, call });
        }
        let of_bus = |member| {
            let call = MethodCall::new("/org/freedesktop/DBus", member)?;
            call.destination("org.freedesktop.DBus")?.interface("org.freedesktop.DBus")
        };
        let (reply, hello) = timed(of_bus("Hello")?)?;
        let (_, call) = timed(of_bus("GetId")?)?;
        Ok(Greeting { unique_name: Some(reply.deserialize()?), hello, call })
    });
    match greeted {
        Some(Ok(greeting)) => Ok(greeting),
        // Of the call's time and that of the whole, which are the same, either may end first.
        Some(Err(Error::TimedOut(_))) | None => Err(NoGreeting::Silent),
        Some(Err(error)) => Err(NoGreeting::Failed(error)),
    }
}

/// What it says, and whether it is one that can be used.
pub(super) fn check(case: &Case, address: &Address, listener: &Listener) -> (Check, bool) {
    let greeting = greet(case, address);
    let is_usable = greeting.is_ok();
    (judge(case, address, greeting, listener), is_usable)
}

fn judge(
    case: &Case,
    address: &Address,
    greeting: Result<Greeting, NoGreeting>,
    listener: &Listener,
) -> Check {
    let name = if case.scope == Scope::Peer { "ping" } else { "hello" };
    let error = match greeting {
        Ok(Greeting { unique_name, hello, call }) => {
            let (hello, call) = (milliseconds(hello), milliseconds(call));
            let named = unique_name.map(|name| format!("you are {name}; ")).unwrap_or_default();
            return Check::ok(
                name,
                format!("{named}answered within {hello}, the next call within {call}"),
            );
        }
        Err(NoGreeting::Silent) => {
            let time = seconds(patience(case, address));
            return Check::wrong(name, format!("no answer within {time}"))
                .mends(mend::restart(case, listener.pid));
        }
        Err(NoGreeting::Failed(error)) => error,
    };
    if let Error::Method(method) = &error {
        return refusal(case, name, method.name(), &error, listener);
    }
    match &error {
        Error::Closed | Error::Io(_) if is_started(address) => {
            Check::wrong(name, "the program that was started for it ended without an answer")
                .mends([mend::by_hand(address)])
        }
        Error::Closed | Error::Io(_) if case.scope != Scope::Peer => {
            let who = Person::describe(case.person.uid);
            let saw = format!(
                "closed before an answer: the policy of the bus does not let {who} connect"
            );
            Check::wrong(name, saw).mends(mend::policy(case, listener.command_line.as_deref()))
        }
        Error::Connection(ConnectionError::Handshake(_)) => Check::wrong(name, error.to_string())
            .mends(mend::policy(case, listener.command_line.as_deref())),
        Error::Connect { .. } => Check::wrong(name, error.to_string()).mends(mend::address(case)),
        _ => Check::wrong(name, error.to_string()),
    }
}

/// It answers, and says no.
fn refusal(
    case: &Case,
    name: &'static str,
    error_name: &str,
    error: &Error,
    listener: &Listener,
) -> Check {
    let check = Check::wrong(name, error.to_string());
    match error_name.strip_prefix("org.freedesktop.DBus.Error.") {
        Some("AccessDenied") => check.mends(mend::policy(case, listener.command_line.as_deref())),
        Some("LimitsExceeded") => {
            check.mends(["bus top  # as another user: who holds how many connections".to_owned()])
        }
        Some("UnknownMethod" | "UnknownInterface" | "UnknownObject" | "ServiceUnknown") => {
            let saw = format!("it is no bus, but a program: {error}");
            Check::wrong(name, saw)
                .mends(["bus --peer=ADDRESS …  # speaks to a program that is no bus".to_owned()])
        }
        _ => check,
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libbus::address::Address;

    use super::super::STEP_MAX;
    use super::{Case, Person, STARTING_MAX, Scope, patience};

    #[test]
    fn what_is_said_of_the_time_is_so_for_every_address() {
        let check = |transport: &str, timeout: Option<Duration>, expected: Duration| {
            let case = Case { person: Person::current(), scope: Scope::Address, timeout };
            assert_eq!(patience(&case, &Address::new(transport)), expected, "{transport}");
        };
        check("unix", None, STEP_MAX);
        check("unixexec", None, STARTING_MAX);
        for said in [Duration::ZERO, STEP_MAX, 2 * STARTING_MAX] {
            check("unix", Some(said), said);
            check("unixexec", Some(said), said);
        }
    }
}
