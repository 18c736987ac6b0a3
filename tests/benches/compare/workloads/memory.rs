//! What the bus's process holds.

use std::time::Instant;

use crate::failure::{Result, fail};
use crate::load::{Client, DEADLINE};
use crate::measure::{Sample, pss_kib};
use crate::peers::Running;
use crate::watchers::properties_rule;

const CLIENTS: usize = 1000;
const RULES: usize = 5;

pub(super) fn of_empty_bus(bus: &Running) -> Result<Sample> {
    pss_kib(bus.pid()).map(Sample::of)
}

pub(super) fn of_idle_client(bus: &Running) -> Result<Sample> {
    let _observer = bus.single()?;
    let before = pss_kib(bus.pid())?;
    let _idle = idle_clients(bus)?;
    let after = pss_kib(bus.pid())?;
    Ok(Sample::of((after - before) / CLIENTS as f64))
}

pub(super) fn after_idle_clients(bus: &Running) -> Result<Sample> {
    let mut observer = bus.single()?;
    let before = pss_kib(bus.pid())?;
    drop(idle_clients(bus)?);
    wait_until_alone(&mut observer)?;
    Ok(Sample::of(pss_kib(bus.pid())? / before))
}

/// Clients with a name and rules that nobody else has.
fn idle_clients(bus: &Running) -> Result<Vec<Client>> {
    let mut clients = bus.singles(CLIENTS)?;
    for (index, client) in clients.iter_mut().enumerate() {
        client.request_names([format!("org.example.Idle{index}")])?;
        client.add_matches(
            (0..RULES).map(|rule| properties_rule(&format!("/org/example/idle/{index}/{rule}"))),
        )?;
    }
    Ok(clients)
}

/// Waits until the bus has seen everyone else leave.
fn wait_until_alone(observer: &mut Client) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < DEADLINE {
        let names = observer.call_driver("ListNames", None, None)?;
        let mut names = names.reader();
        if names.strings()?.flatten().filter(|name| name.starts_with(':')).count() == 1 {
            return Ok(());
        }
    }
    fail("keeps clients that have left")
}
