//! What a client notices of another that floods the bus.
//!
//! One thread does both, and looks after the calls that are measured before each piece of the
//! flood, so that the load generator itself delays them by microseconds at most.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use libbus::wire::MessageType;

use crate::crowd::Crowd;
use crate::failure::Result;
use crate::load::{Client, Wait};
use crate::measure::{Latencies, Sample};
use crate::peers::Running;
use crate::pipeline::{Pipeline, Watch};
use crate::relay::Passing;
use crate::wire::{self, Template};

/// How long the calls are measured without and with the flood.
const WARM_UP: Duration = Duration::from_millis(20);
const MEASURED: Duration = Duration::from_millis(150);
/// Calls, or signals, that the flooding client keeps under way.
const IN_FLIGHT: usize = 256;
const RECIPIENTS: usize = 100;
/// Requests that a greedy client keeps under way, and every how-many-th is followed by a call of this
/// size to a client that does not read.
const GREEDY_IN_FLIGHT: usize = 64;
const GREEDY_CALL_EVERY: usize = 8;
const GREEDY_PAYLOAD_SIZE: usize = 4096;
/// Connections that the greedy user has beside, and connections that never say anything.
const GREEDY_CONNECTIONS: usize = 250;
const GREEDY_BEGINNERS: usize = 100;
/// Users without rights.
const MODEST: u32 = 65_533;
const GREEDY: u32 = 65_534;
/// Signals in one write of the flooding client.
const BURST: u64 = 16;
/// Marks sockets that are not part of the flood.
const BYSTANDER: usize = usize::MAX;

pub(super) fn beside_calls(bus: &Running) -> Result<Sample> {
    let mut pipeline = Pipeline::new(IN_FLIGHT)?;
    let (caller, callee) = bus.pair()?;
    let call = wire::small_call(&callee.name)?;
    pipeline.add(caller, callee, call)?;
    beside(bus.pair()?, pipeline)
}

pub(super) fn beside_broadcasts(bus: &Running) -> Result<Sample> {
    let (sender, mut recipients) = bus.fan_out(RECIPIENTS, Passing::Bytes)?;
    for recipient in &mut recipients {
        recipient.add_matches([wire::SIGNAL_RULE.to_owned()])?;
    }
    let crowd = Crowd::new(recipients)?;
    beside(bus.pair()?, Broadcasts { sender, crowd, signal: wire::signal(), sent: 0 })
}

/// Limits that the greedy user reaches within the time.
pub(super) const GREED_LIMITS: &str = "  <limit name=\"max_names_per_connection\">512</limit>
  <limit name=\"max_match_rules_per_connection\">512</limit>
  <limit name=\"max_outgoing_bytes\">4194304</limit>
  <limit name=\"max_outgoing_unix_fds\">64</limit>
  <limit name=\"max_incomplete_connections\">64</limit>
  <limit name=\"max_connections_per_user\">256</limit>
";

/// A user, not the one whose calls are measured if this runs as root, with as many connections as it
/// may have, before Hello and after; a client of which takes match rules, names and room for bytes and
/// descriptors in another one's queue as fast as it gets them, and goes on when it gets no more.
pub(super) fn beside_greed(bus: &Running) -> Result<Sample> {
    let own = rustix::process::geteuid();
    let [modest, greedy] = if own.is_root() { [MODEST, GREEDY] } else { [own.as_raw(); 2] };
    let pair = (bus.single_of(modest)?, bus.single_of(modest)?);
    let (client, deaf) = (bus.single_of(greedy)?, bus.single_of(greedy)?);
    let watch = Watch::new()?;
    watch.add(&client, 0)?;
    let call = wire::payload_call(&deaf.name, GREEDY_PAYLOAD_SIZE)?;
    let call_with_fd = wire::descriptor_call(&deaf.name)?;
    let mut others = vec![deaf];
    for _ in 0..GREEDY_CONNECTIONS {
        others.push(bus.single_of(greedy)?);
    }
    for _ in 0..GREEDY_BEGINNERS {
        others.push(bus.connect_of(greedy)?);
    }
    let fd = File::open("/dev/null")?;
    let greed =
        Greed { client, _others: others, call, call_with_fd, fd, watch, waiting: 0, taken: 0 };
    beside(pair, greed)
}

/// Something that keeps the bus busy.
trait Flood {
    fn watch(&self) -> &Watch;

    /// Waits once and goes on, with `between` before each piece of work.
    fn step(&mut self, between: &mut dyn FnMut() -> Result<()>) -> Result<()>;
}

fn beside((caller, callee): (Client, Client), mut flood: impl Flood) -> Result<Sample> {
    let mut calls = Calls::new(caller, callee)?;
    let mut quiet = Quiet(Watch::new()?);
    let mut alone = calls.measure_beside(&mut quiet)?;
    let mut flooded = calls.measure_beside(&mut flood)?;
    let p99_ns = flooded.percentile(0.99);
    Ok(Sample {
        cost: p99_ns,
        p50_ns: flooded.percentile(0.5),
        p99_ns,
        rise: Some(p99_ns / alone.percentile(0.99)),
        ..Sample::default()
    })
}

/// No flood.
struct Quiet(Watch);

impl Flood for Quiet {
    fn watch(&self) -> &Watch {
        &self.0
    }

    fn step(&mut self, between: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.0.wait(&mut Vec::new())?;
        between()
    }
}

impl Flood for Pipeline {
    fn watch(&self) -> &Watch {
        Self::watch(self)
    }

    fn step(&mut self, between: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.fill()?;
        self.serve(&mut Latencies::default(), between).map(drop)
    }
}

/// A client that broadcasts, and those who get it.
struct Broadcasts {
    sender: Client,
    crowd: Crowd,
    signal: Template,
    sent: u64,
}

impl Flood for Broadcasts {
    fn watch(&self) -> &Watch {
        self.crowd.watch()
    }

    fn step(&mut self, between: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let mut out = Vec::new();
        while self.sent + BURST <= self.crowd.arrived_everywhere() + IN_FLIGHT as u64 {
            (0..BURST).for_each(|_| self.signal.append(self.sender.next_serial(), 0, &mut out));
            self.sent += BURST;
        }
        self.sender.send(&out)?;
        self.crowd.serve(between)
    }
}

struct Greed {
    client: Client,
    /// One that never reads what it is sent, and others that say nothing.
    _others: Vec<Client>,
    call: Template,
    call_with_fd: Template,
    fd: File,
    watch: Watch,
    /// Requests to the bus that are not answered yet.
    waiting: usize,
    taken: usize,
}

impl Flood for Greed {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn step(&mut self, between: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let mut out = Vec::new();
        while self.waiting < GREEDY_IN_FLIGHT {
            self.taken += 1;
            self.waiting += 1;
            let number = self.taken;
            let (rule, name) =
                (format!("type='signal',path='/g/n{number}'"), format!("org.example.g.n{number}"));
            let request = match number % 2 {
                0 => wire::driver_call("AddMatch", Some(&rule), None),
                _ => wire::driver_call("RequestName", Some(&name), Some(4)),
            };
            request.append(self.client.next_serial(), 0, &mut out);
            if number.is_multiple_of(GREEDY_CALL_EVERY) {
                self.call.append(self.client.next_serial(), 0, &mut out);
                self.client.send(&out)?;
                out.clear();
                self.call_with_fd.append(self.client.next_serial(), 0, &mut out);
                self.client.send_with_fd(&out, self.fd.as_fd())?;
                out.clear();
            }
            // Making many of them takes a while.
            between()?;
        }
        self.client.send(&out)?;
        self.watch.wait(&mut Vec::new())?;
        between()?;
        let mut answers = 0;
        self.client.read(Wait::Never, |start| {
            answers += usize::from(start.kind != MessageType::Signal);
        })?;
        self.waiting = self.waiting.saturating_sub(answers);
        Ok(())
    }
}

/// The client whose serial calls are measured, and who answers them.
struct Calls {
    caller: Client,
    callee: Client,
    call: Template,
    reply: Template,
    begin: Instant,
    awaiting: Awaiting,
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaiting {
    Call,
    Reply,
}

impl Calls {
    fn new(caller: Client, callee: Client) -> Result<Self> {
        let call = wire::small_call(&callee.name)?;
        let reply = wire::small_reply(&caller.name)?;
        let (begin, awaiting, out) = (Instant::now(), Awaiting::Call, Vec::new());
        Ok(Self { caller, callee, call, reply, begin, awaiting, out })
    }

    /// Calls for the set time; the first ones do not count.
    fn measure_beside(&mut self, flood: &mut impl Flood) -> Result<Latencies> {
        for client in [&self.caller, &self.callee] {
            flood.watch().add(client, BYSTANDER)?;
        }
        let begin = Instant::now();
        let mut latencies = Latencies::default();
        self.call()?;
        while begin.elapsed() < WARM_UP + MEASURED {
            flood.step(&mut || match self.advance()? {
                Some(call_begin) if call_begin > begin + WARM_UP => {
                    latencies.note_since(call_begin);
                    self.call()
                }
                Some(_) => self.call(),
                None => Ok(()),
            })?;
        }
        self.finish()?;
        Ok(latencies)
    }

    fn call(&mut self) -> Result<()> {
        self.out.clear();
        self.call.append(self.caller.next_serial(), 0, &mut self.out);
        (self.begin, self.awaiting) = (Instant::now(), Awaiting::Call);
        self.caller.send(&self.out)
    }

    /// Goes on if something has arrived; answers when the call began that is complete now.
    fn advance(&mut self) -> Result<Option<Instant>> {
        let mut arrived = None;
        let waits_for_call = self.awaiting == Awaiting::Call;
        let client = if waits_for_call { &mut self.callee } else { &mut self.caller };
        client.read(Wait::Never, |start| arrived = Some(start.serial))?;
        match arrived {
            Some(serial) if waits_for_call => self.answer(serial).map(|()| None),
            Some(_) => Ok(Some(self.begin)),
            None => Ok(None),
        }
    }

    fn answer(&mut self, serial: u32) -> Result<()> {
        self.out.clear();
        self.reply.append(serial, serial, &mut self.out);
        self.awaiting = Awaiting::Reply;
        self.callee.send(&self.out)
    }

    /// Completes the call that is under way.
    fn finish(&mut self) -> Result<()> {
        if self.awaiting == Awaiting::Call {
            let serial = self.callee.wait_for(1)?;
            self.answer(serial)?;
        }
        self.caller.wait_for(1).map(drop)
    }
}
