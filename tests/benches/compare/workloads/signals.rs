//! Signals to those who asked for them.

use std::time::Instant;

use crate::crowd::Crowd;
use crate::failure::Result;
use crate::load::Client;
use crate::measure::{Latencies, Sample, run};
use crate::peers::{Kind, Running};
use crate::relay::Passing;
use crate::watchers::{self, DEVICE, OBJECTS, SERVICE, WATCHERS, object_path, watcher_rules};
use crate::wire::{self, Template};

const BURST: u32 = 8;

/// Signals that everyone of `count` gets.
pub(super) fn broadcast(bus: &Running, count: usize) -> Result<Sample> {
    let (sender, mut recipients) = bus.fan_out(count, Passing::Bytes)?;
    for recipient in &mut recipients {
        recipient.add_matches([wire::SIGNAL_RULE.to_owned()])?;
    }
    bursts(bus, sender, recipients, &wire::signal())
}

/// How many clients hold the rules that do not match, and how many each.
const OTHERS: usize = 100;
const OTHER_RULES: usize = 100;

/// `PropertiesChanged` of one object to one client, while others watch other objects.
pub(super) fn past_other_rules(bus: &Running) -> Result<Sample> {
    let (sender, mut recipients) = bus.fan_out(1, Passing::Bytes)?;
    for recipient in &mut recipients {
        recipient.add_matches([watchers::properties_rule(wire::PATH)])?;
    }
    let mut others = bus.singles(OTHERS)?;
    for (index, other) in others.iter_mut().enumerate() {
        let objects = (0..OTHER_RULES).map(|object| index * OTHER_RULES + object);
        other
            .add_matches(objects.map(|object| {
                watchers::properties_rule(&format!("/org/example/other/{object}"))
            }))?;
    }
    let changed = wire::properties_changed(wire::PATH, "org.example.Interface")?;
    bursts(bus, sender, recipients, &changed)
}

/// What a desktop does: proxies of one service's objects, each with rules for properties of its
/// object's interfaces and for the owners of names.
pub(super) fn properties_changed(bus: &Running) -> Result<Sample> {
    let count = if bus.kind == Kind::NullRelay { WATCHERS / OBJECTS } else { WATCHERS };
    let (mut sender, mut watchers) = bus.fan_out(count, Passing::Bytes)?;
    sender.request_names([SERVICE.to_owned()])?;
    for (index, watcher) in watchers.iter_mut().enumerate() {
        watcher.add_matches(watcher_rules(index % OBJECTS))?;
    }
    let (mut recipients, mut others) = (Vec::new(), Vec::new());
    for (index, watcher) in watchers.into_iter().enumerate() {
        let gets_it = bus.kind == Kind::NullRelay || index % OBJECTS == 0;
        if gets_it { recipients.push(watcher) } else { others.push(watcher) }
    }
    bursts(bus, sender, recipients, &wire::properties_changed(&object_path(0), DEVICE)?)
}

/// Bursts of one signal, each burst awaited by all recipients.
pub(super) fn bursts(
    bus: &Running,
    mut sender: Client,
    recipients: Vec<Client>,
    signal: &Template,
) -> Result<Sample> {
    let mut crowd = Crowd::new(recipients)?;
    let mut out = Vec::new();
    run(bus.pid(), &mut |latencies: &mut Latencies| {
        let begin = Instant::now();
        out.clear();
        (0..BURST).for_each(|_| signal.append(sender.next_serial(), 0, &mut out));
        sender.send(&out)?;
        crowd.take_all(u64::from(BURST))?;
        latencies.note_since(begin);
        Ok(BURST.into())
    })
}
