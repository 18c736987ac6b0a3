//! Many clients that get the same signals.

use crate::failure::Result;
use crate::load::{Client, Wait};
use crate::pipeline::Watch;

/// Recipients, and how much they have got in all.
pub(crate) struct Crowd {
    clients: Vec<Client>,
    watch: Watch,
    ready: Vec<usize>,
    /// Messages that have arrived, and that were awaited, at all clients together.
    arrived: u64,
    awaited: u64,
}

impl Crowd {
    pub(crate) fn new(clients: Vec<Client>) -> Result<Self> {
        let watch = Watch::new()?;
        for (number, client) in clients.iter().enumerate() {
            watch.add(client, number)?;
        }
        Ok(Self { clients, watch, ready: Vec::new(), arrived: 0, awaited: 0 })
    }

    /// Waits until each client has got `count` more messages.
    pub(crate) fn take_all(&mut self, count: u64) -> Result<()> {
        self.awaited += count * self.clients.len() as u64;
        while self.arrived < self.awaited {
            self.serve(&mut || Ok(()))?;
        }
        Ok(())
    }

    /// Waits once and reads wherever bytes have come, with `between` before each read.
    pub(crate) fn serve(&mut self, between: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.watch.wait(&mut self.ready)?;
        for number in &self.ready {
            between()?;
            if let Some(client) = self.clients.get_mut(*number) {
                client.read(Wait::Never, |_| self.arrived += 1)?;
            }
        }
        Ok(())
    }

    /// Signals that every client has got, on average.
    pub(crate) fn arrived_everywhere(&self) -> u64 {
        self.arrived / (self.clients.len() as u64).max(1)
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }
}
