//! Where the bus asks whether a client may hold more, by its share of what the bus holds, and what
//! is said when it may not (`quota.rs` has the rule).
//!
//! The limits of a connection come first (config.md B027–B042). Past its share a client's calls get
//! LimitsExceeded, and so do calls to it; broadcasts leave it out. A client that has sent a part of
//! a message and holds more than its share is *stalled*: not read from until there is room, as with
//! `max_incoming_bytes`. A connection that is one too many of its user before Hello is closed
//! at once, so that nobody else has to wait until it may connect.
//!
//! Invariant: `stalled` lists each client once that is stalled, and perhaps some that have gone.

use super::client::Client;
use super::driver::error_reply::Refusal;
use super::id::{ClientId, Timestamp};
use super::limits::{
    BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX, REFUSED_CONNECTIONS_LOG_GAP_MS, SHARE_RETRY_MS,
    UNCOUNTED_REPLY_COUNT_MAX, UNCOUNTED_SIZE_MAX,
};
use super::log::{LogRecord, Severity};
use super::quota::{Pools, Resource, Share, UserTable, counted_replies};
use super::routing::Message;
use super::{Bus, Effect};

/// How much there is, and who waits for some of it.
#[derive(Debug, Default)]
pub(super) struct Shares {
    pub(super) pools: Pools,
    stalled: Vec<ClientId>,
    /// When to look whether there is room for them.
    retry_at: Timestamp,
    /// Connections that were refused before Hello and that the log does not know of.
    refused: u64,
    /// When the log was told of some last.
    refused_logged: Option<Timestamp>,
}

impl Shares {
    /// When to look again whether somebody has room.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        (!self.stalled.is_empty()).then_some(self.retry_at)
    }
}

impl Client {
    /// Whether even the bus's own messages to it go too far beyond its share: see
    /// [`Client::is_full_for_the_bus`].
    pub(super) fn has_room_for_the_bus(&self, users: &UserTable, pools: &Pools) -> bool {
        let held = self.held(Resource::Bytes).saturating_sub(BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX);
        held == 0 || held <= users.share(self.user, Resource::Bytes, pools, held).client_max
    }
}

impl Bus {
    /// Whether this user owns the machine or the bus.
    pub(super) const fn is_privileged_user(&self, uid: Option<u32>) -> bool {
        matches!(uid, Some(uid) if uid == 0 || uid == self.identity.own_uid)
    }

    /// Whether a client may hold `wanted` more of something that is counted.
    pub(super) fn check_share(
        &self,
        id: ClientId,
        resource: Resource,
        wanted: u64,
    ) -> Result<(), Refusal> {
        let Some(client) = self.clients.get(id) else { return Ok(()) };
        let held = client.held(resource);
        let share = self.clients.users().share(client.user, resource, &self.shares.pools, held);
        if held + wanted <= share.client_max {
            return Ok(());
        }
        Err(Refusal::ShareExceeded { text: self.explain_share(client, &share) })
    }

    /// Whether a user may have another client that said Hello: for this, only users have shares.
    pub(super) fn check_connection_share(&self, id: ClientId) -> Result<(), Refusal> {
        let resource = Resource::Connections;
        let Some(client) = self.clients.get(id) else { return Ok(()) };
        if self.clients.users().is_privileged(client.user) {
            return Ok(());
        }
        let share = self.clients.users().share(client.user, resource, &self.shares.pools, 0);
        if share.of_user < share.user_max {
            return Ok(());
        }
        Err(Refusal::ShareExceeded { text: self.explain_share(client, &share) })
    }

    /// Whether a message may be queued for this client by its share (protocol.md A151).
    #[cold]
    pub(super) fn check_queue_share(
        &self,
        message: &Message<'_>,
        client: &Client,
        requested_reply: bool,
    ) -> Result<(), Refusal> {
        let (users, pools) = (self.clients.users(), &self.shares.pools);
        if client.has_room(users, pools, message.fds.is_some()) {
            return Ok(());
        }
        let is_bytes = !client.has_room(users, pools, false);
        let resource = if is_bytes { Resource::Bytes } else { Resource::Fds };
        let share = users.share(client.user, resource, pools, client.held(resource));
        let why = "Rejected: destination has a full message queue, 0 matched rules";
        let rejection = self.describe_rejection(
            message.header,
            Some(message.sender),
            Some(client.id),
            why,
            requested_reply,
        );
        let text = format!("{rejection}; {}", self.explain_share(client, &share));
        Err(Refusal::QueueFull { text })
    }

    /// Closes a connection at once that is one too many of its user. Users who own the machine or
    /// the bus have no share here: `max_incomplete_connections` alone bounds them (config.md B037).
    pub(super) fn is_one_too_many(&mut self, id: ClientId) -> bool {
        let resource = Resource::IncompleteConnections;
        let Some(client) = self.clients.get(id) else { return false };
        let (users, user) = (self.clients.users(), client.user);
        if users.is_privileged(user) {
            return false;
        }
        let share = users.share(user, resource, &self.shares.pools, 0);
        // It counts already.
        if share.of_user <= share.user_max {
            return false;
        }
        self.shares.refused += 1;
        let due = self.shares.refused_logged.map(|at| at.plus_ms(REFUSED_CONNECTIONS_LOG_GAP_MS));
        if due.is_none_or(|due| due <= self.now) {
            let text = self.explain_share(client, &share);
            let count = std::mem::take(&mut self.shares.refused);
            self.shares.refused_logged = Some(self.now);
            let text = format_args!("Refused {count} connections since this was last said: {text}");
            self.log(LogRecord::new(Severity::Warning, &text));
        }
        true
    }

    /// Notes how many rules and names a client has.
    pub(super) fn charge_counts(&mut self, id: ClientId) {
        let rules = self.match_rule_count(id) + self.monitors.rule_count(id);
        self.clients.charge(id, Resource::MatchRules, rules.into());
        self.clients.charge(id, Resource::Names, self.names.owned_count(id).into());
    }

    /// Notes for how many replies a client waits, after that has changed by one.
    #[inline]
    pub(super) fn charge_replies(&mut self, caller: ClientId) {
        let count = self.replies.count_of_caller(caller);
        if count >= UNCOUNTED_REPLY_COUNT_MAX {
            self.clients.charge(caller, Resource::Replies, counted_replies(count));
        }
    }

    /// After a read: a client with a part of a message beyond its share is stalled.
    pub(super) fn settle_share(&mut self, id: ClientId) {
        self.clients.charge_queues(id);
        let Some(client) = self.clients.get(id) else { return };
        if client.incoming.bytes() <= UNCOUNTED_SIZE_MAX || client.stalled {
            return;
        }
        let users = self.clients.users();
        let has_room = self
            .clients
            .get(id)
            .is_none_or(|client| client.has_room(users, &self.shares.pools, false));
        if has_room {
            return;
        }
        if self.shares.stalled.is_empty() {
            self.shares.retry_at = self.now.plus_ms(SHARE_RETRY_MS);
        }
        self.shares.stalled.push(id);
        if let Some(client) = self.clients.get_mut(id) {
            client.stalled = true;
        }
    }

    /// Reads again from those who were stalled and have room now.
    pub(super) fn retry_stalled(&mut self) {
        if self.shares.next_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        self.shares.retry_at = self.now.plus_ms(SHARE_RETRY_MS);
        for id in std::mem::take(&mut self.shares.stalled) {
            let users = self.clients.users();
            let Some(client) = self.clients.get(id) else { continue };
            if !client.has_room(users, &self.shares.pools, false) {
                self.shares.stalled.push(id);
                continue;
            }
            if let Some(client) = self.clients.get_mut(id) {
                client.stalled = false;
            }
            self.effects.push_back(Effect::ReadAgain { client: id });
        }
    }

    /// Who holds how much of what, why that is all, and what to do about it.
    fn explain_share(&self, client: &Client, share: &Share) -> String {
        let held = client.held(share.resource);
        let (what, limit) = share.resource.in_words();
        let user = match self.clients.users().uid(client.user) {
            Some(uid) => format!("user {uid}"),
            None => "the users that are not known".to_owned(),
        };
        let who = self.describe(client.id);
        let Share { pool, others, of_user, user_max, client_max, .. } = share;
        let of_client = match share.resource {
            Resource::Connections | Resource::IncompleteConnections => String::new(),
            _ => format!(
                "; {who} holds {held} of them and may hold {client_max}, half of what its user's \
                 other clients leave"
            ),
        };
        format!(
            "The share of {user} of the bus's {what} is used up: it holds {of_user}, other users \
             hold {others} of {pool}, and it may hold {user_max}, half of what they leave{of_client}. \
             Close clients of {user}, or raise {limit}"
        )
    }

    /// For [`Bus::check_invariants`].
    pub(super) fn check_shares(&self) {
        self.clients.users().check_invariants();
        for client in self.clients.iter() {
            let id = client.id;
            client.check_charged_queues();
            let rules = self.match_rule_count(id) + self.monitors.rule_count(id);
            let held = [
                (Resource::MatchRules, rules),
                (Resource::Names, self.names.owned_count(id)),
                (Resource::Connections, u32::from(!client.is_incomplete())),
                (Resource::IncompleteConnections, u32::from(client.is_incomplete())),
            ];
            let calls = counted_replies(self.replies.count_of_caller(id));
            assert_eq!(client.held(Resource::Replies), calls, "calls of {id:?}");
            for (resource, count) in held {
                assert_eq!(client.held(resource), count.into(), "{resource:?} of {id:?}");
            }
            let listed = self.shares.stalled.iter().filter(|stalled| **stalled == id).count();
            assert_eq!(listed, usize::from(client.stalled), "{id:?} in `stalled`");
        }
        for resource in Resource::ALL {
            let sum: u64 = self.clients.iter().map(|client| client.held(resource)).sum();
            assert_eq!(self.clients.users().total(resource), sum, "{resource:?} of all users");
        }
    }
}
