//! Callers that keep a number of calls in flight, and callees that answer as calls come.

use std::os::fd::OwnedFd;
use std::time::Instant;

use libbus::wire::MessageType;
use rustix::event::epoll;

use crate::failure::{Failure, Result, fail};
use crate::load::{Client, Wait, deadline};
use crate::measure::{Latencies, Load};
use crate::wire::{Template, small_reply};

const EVENTS_MAX: usize = 256;
/// Calls in one write that are left unanswered.
const UNANSWERED_BATCH: usize = 100;

/// Sockets that are waited for together, each under a number.
pub(crate) struct Watch {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Watch {
    pub(crate) fn new() -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Waits for bytes of `client` too.
    pub(crate) fn add(&self, client: &Client, number: usize) -> Result<()> {
        let data = epoll::EventData::new_u64(number as u64);
        Ok(epoll::add(&self.epoll, client, data, epoll::EventFlags::IN)?)
    }

    /// Waits until some have bytes and hands out their numbers.
    pub(crate) fn wait(&mut self, ready: &mut Vec<usize>) -> Result<()> {
        self.events.clear();
        let space = rustix::buffer::spare_capacity(&mut self.events);
        if epoll::wait(&self.epoll, space, Some(&deadline()))? == 0 {
            return fail("no answer in time");
        }
        ready.clear();
        ready.extend(self.events.iter().map(|event| event.data.u64() as usize));
        Ok(())
    }
}

/// Pairs of clients with calls in flight.
pub(crate) struct Pipeline {
    pairs: Vec<Pair>,
    watch: Watch,
    ready: Vec<usize>,
    /// Calls that each caller keeps in flight.
    in_flight: usize,
}

struct Pair {
    caller: Client,
    callee: Client,
    call: Template,
    reply: Template,
    /// When the calls in flight were sent, from `oldest` on in a ring.
    sent_at: Vec<Instant>,
    oldest: usize,
    in_flight: usize,
    out: Vec<u8>,
}

impl Pipeline {
    pub(crate) fn new(in_flight: usize) -> Result<Self> {
        Ok(Self { pairs: Vec::new(), watch: Watch::new()?, ready: Vec::new(), in_flight })
    }

    /// Adds a pair, whose caller sends `call`.
    pub(crate) fn add(&mut self, caller: Client, callee: Client, call: Template) -> Result<()> {
        let number = self.pairs.len() * 2;
        self.watch.add(&caller, number)?;
        self.watch.add(&callee, number + 1)?;
        let reply = small_reply(&caller.name)?;
        let sent_at = vec![Instant::now(); self.in_flight];
        let (oldest, in_flight, out) = (0, 0, Vec::new());
        self.pairs.push(Pair { caller, callee, call, reply, sent_at, oldest, in_flight, out });
        Ok(())
    }

    /// Sends calls until each caller has as many in flight as it should.
    pub(crate) fn fill(&mut self) -> Result<()> {
        self.pairs.iter_mut().try_for_each(Pair::fill)
    }

    /// Waits once and serves whoever has bytes, with `between` before each; answers how many calls
    /// were completed.
    pub(crate) fn serve(
        &mut self,
        latencies: &mut Latencies,
        between: &mut dyn FnMut() -> Result<()>,
    ) -> Result<u64> {
        self.watch.wait(&mut self.ready)?;
        let mut completed = 0;
        for number in &self.ready {
            between()?;
            let Some(pair) = self.pairs.get_mut(number / 2) else { continue };
            if number % 2 == 0 {
                completed += pair.take_replies(latencies)?;
            } else {
                pair.answer()?;
            }
        }
        Ok(completed)
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The callee of the first pair.
    pub(crate) fn callee(&mut self) -> Result<&mut Client> {
        Ok(&mut self.first()?.callee)
    }

    /// What the caller of the first pair sends from now on.
    pub(crate) fn set_call(&mut self, call: Template) -> Result<()> {
        self.first()?.call = call;
        Ok(())
    }

    /// Has the caller of the first pair make calls that will never be answered.
    pub(crate) fn leave_unanswered(&mut self, count: usize) -> Result<()> {
        let Pair { caller, callee, call, out, .. } = self.first()?;
        let mut rest = count;
        while rest > 0 {
            let batch = rest.min(UNANSWERED_BATCH);
            out.clear();
            (0..batch).for_each(|_| call.append(caller.next_serial(), 0, out));
            caller.send(out)?;
            callee.wait_for(batch)?;
            rest -= batch;
        }
        Ok(())
    }

    fn first(&mut self) -> Result<&mut Pair> {
        self.pairs.first_mut().ok_or_else(|| Failure::new("no pair"))
    }
}

impl Load for Pipeline {
    fn step(&mut self, latencies: &mut Latencies) -> Result<u64> {
        self.fill()?;
        self.serve(latencies, &mut || Ok(()))
    }

    fn drain(&mut self) -> Result<u64> {
        let mut completed = 0;
        while self.pairs.iter().any(|pair| pair.in_flight > 0) {
            completed += self.serve(&mut Latencies::default(), &mut || Ok(()))?;
        }
        Ok(completed)
    }
}

impl Pair {
    /// Sends calls until as many as wanted are in flight.
    fn fill(&mut self) -> Result<()> {
        let (count, now) = (self.sent_at.len(), Instant::now());
        self.out.clear();
        while self.in_flight < count {
            self.call.append(self.caller.next_serial(), 0, &mut self.out);
            self.sent_at[(self.oldest + self.in_flight) % count] = now;
            self.in_flight += 1;
        }
        self.caller.send(&self.out)
    }

    /// Answers the calls that have come, all with one write.
    fn answer(&mut self) -> Result<()> {
        self.out.clear();
        let Self { callee, reply, out, .. } = self;
        callee.read(Wait::Never, |call| reply.append(call.serial, call.serial, out))?;
        callee.send(out)
    }

    /// Takes the replies that have come, which are in the order of the calls.
    fn take_replies(&mut self, latencies: &mut Latencies) -> Result<u64> {
        let (mut completed, mut error) = (0, false);
        let Self { caller, sent_at, oldest, .. } = self;
        caller.read(Wait::Never, |reply| {
            error |= reply.kind == MessageType::Error;
            completed += 1;
            latencies.note_since(sent_at[*oldest]);
            *oldest = (*oldest + 1) % sent_at.len();
        })?;
        self.in_flight -= completed;
        if error { fail("answered with an error") } else { Ok(completed as u64) }
    }
}
