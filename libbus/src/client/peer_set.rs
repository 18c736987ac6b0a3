//! A set of others on the bus, of which it is told who goes (tools.md D083).
//!
//! What a service holds for its clients it gives up when they are gone. A set has a match rule of the bus for
//! each name, about that name alone: whoever else comes and goes wakes nobody.

use super::connection::Connection;
use super::error::Result;
use super::link::{Deadline, Shared, Style};
use super::peers::{Asked, ask_owner, owner_in, rule_of_bus};
use super::signals::{SignalStream, begin_default};
use crate::connection::{StreamId, Streamed};
use crate::names::BusName;

/// Others on the bus, of which it is told who goes: see [`Connection::peer_set`].
#[derive(Debug)]
pub struct PeerSet<S: Style> {
    connection: Connection<S>,
    peers: Vec<Peer<S>>,
    is_counting: bool,
}

#[derive(Debug)]
struct Peer<S: Style> {
    name: Box<str>,
    count: usize,
    changes: SignalStream<S>,
}

impl<S: Style> PeerSet<S> {
    pub(crate) fn new(connection: &Connection<S>) -> Self {
        Self { connection: connection.clone(), peers: Vec::new(), is_counting: false }
    }

    /// From now on a name is in it as often as it is added, and until it is removed as often.
    #[must_use]
    pub fn counting(self) -> Self {
        Self { is_counting: true, ..self }
    }

    /// Whether nobody is in it, as far as was told.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// How many names are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.peers.len()
    }

    /// How often this name is in it: once at most, unless it counts.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.find(name).and_then(|index| self.peers.get(index)).map_or(0, |peer| peer.count)
    }

    /// The names that are in it, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().map(|peer| &*peer.name)
    }

    /// Takes a name out, or one of its counts. Answers whether it was in it.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(index) = self.find(name) else { return false };
        if let Some(peer) = self.peers.get_mut(index).filter(|peer| peer.count > 1) {
            peer.count -= 1;
        } else {
            self.peers.remove(index);
        }
        true
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| &*peer.name == name)
    }

    /// Answers whether it is in the set now: not if nobody has the name.
    pub(crate) async fn insert(&mut self, name: &str) -> Result<bool> {
        let name = BusName::parse(name)?.as_str();
        if let Some(peer) = self.find(name).and_then(|index| self.peers.get_mut(index)) {
            peer.count += usize::from(self.is_counting);
            return Ok(true);
        }
        let rule = rule_of_bus("NameOwnerChanged", name);
        let mut changes = begin_default(self.connection.link(), rule).await?;
        let has_owner = has_owner(&self.connection, name, &mut changes).await?;
        if has_owner {
            self.peers.push(Peer { name: name.into(), count: 1, changes });
        }
        Ok(has_owner)
    }

    /// The next one that goes; nobody at once if nobody is in it.
    pub(crate) async fn take_gone(&mut self) -> Result<Option<String>> {
        while !self.peers.is_empty() {
            let ids: Vec<StreamId> = self.peers.iter().map(|peer| peer.changes.id()).collect();
            let next = |shared: &mut Shared| {
                let told = |(index, id): (usize, &StreamId)| {
                    shared.connection.next_of(*id).map(|change| (index, change))
                };
                ids.iter().enumerate().find_map(told)
            };
            let (index, change) = S::wait(self.connection.link(), next, Deadline::Never).await?;
            let Some(peer) = self.peers.get_mut(index) else { continue };
            let is_over = match change {
                Streamed::Signal(change) => owner_in(&change) == Some(None),
                // All are gone who were on the bus that is lost.
                Streamed::Interrupted | Streamed::Ended => true,
                Streamed::Missed(_) => {
                    !has_owner(&self.connection, &peer.name, &mut peer.changes).await?
                }
            };
            if is_over {
                // With all its counts.
                return Ok(Some(self.peers.remove(index).name.into()));
            }
        }
        Ok(None)
    }

    pub(crate) async fn become_empty(&mut self) -> Result<()> {
        while self.take_gone().await?.is_some() {}
        Ok(())
    }
}

/// Whether somebody has a name. On the bus that took the place of one that is lost nobody is who it was.
async fn has_owner<S: Style>(
    connection: &Connection<S>,
    name: &str,
    changes: &mut SignalStream<S>,
) -> Result<bool> {
    let asked = ask_owner(connection, name, changes).await?;
    Ok(matches!(asked, Asked::Owner(Some(_))))
}
