//! Where the bus asks whether a client may hold more, by its share of what the bus holds, and what
//! is said when it may not (`quota.rs` has the rule).
//!
//! The limits of a connection come first (config.md B027–B042). Past its share a client's calls get
//! LimitsExceeded, and so do calls to it; broadcasts leave it out. Of a large message beyond its share
//! the rest waits (`half_messages.rs`), and so does a connection that is one too many of its user
//! before Hello (`newcomers.rs`).

use super::Bus;
use super::client::Client;
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::limits::UNCOUNTED_REPLY_COUNT_MAX;
use super::quota::{Resource, Share, UserId, counted_replies, kept_connections, user_in_words};
use super::routing::Message;

/// How many of those who hold most are named in a refusal.
const NAMED_HOLDER_COUNT: usize = 3;

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
        let share = self.clients.users().share(client.user, resource, &self.pools, held);
        if held + wanted <= share.client_max {
            return Ok(());
        }
        Err(Refusal::ShareExceeded { text: self.explain_share(client, &share) })
    }

    /// Whether the bus may have another client that said Hello (config.md B036); of its last places
    /// only those are given away that are not kept.
    pub(super) fn check_place(&self, user: UserId) -> Result<(), Refusal> {
        let max = self.settings.limits.completed_connections_max;
        let (users, resource) = (self.clients.users(), Resource::Connections);
        let kept = if users.is_privileged(user) { 0 } else { kept_connections(max) };
        let is_full = self.completed_count >= max
            || (kept > 0 && users.ordinary(resource) >= u64::from(max - kept));
        if !is_full {
            return Ok(());
        }
        let holders = users.largest(resource, NAMED_HOLDER_COUNT);
        Err(Refusal::TooManyConnections { max, kept, holders })
    }

    /// Whether a user may have another client that said Hello: for this, only users have shares.
    pub(super) fn check_connection_share(&self, id: ClientId) -> Result<(), Refusal> {
        let resource = Resource::Connections;
        let Some(client) = self.clients.get(id) else { return Ok(()) };
        if self.clients.users().is_privileged(client.user) {
            return Ok(());
        }
        let share = self.clients.users().share(client.user, resource, &self.pools, 0);
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
        let (users, pools) = (self.clients.users(), &self.pools);
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

    /// After a read: descriptors that wait for the rest of their message beyond the share are closed, and
    /// the message will be refused. What waits there takes them from everybody, for as long as
    /// `pending_fd_timeout`.
    pub(super) fn settle_fd_share(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id) else { return };
        if client.incoming.fds.is_empty()
            || client.incoming.is_put_off()
            || client.has_room_for_fds(self.clients.users(), &self.pools)
        {
            return;
        }
        if let Some(client) = self.clients.get_mut(id) {
            // INVARIANT: one message has fewer than 2^32 (`message_unix_fds_max`).
            client.incoming.fds_refused += client.incoming.fds.len() as u32;
            client.incoming.fds.clear();
            client.incoming.fds_since = None;
        }
        self.trim_queues();
        self.clients.charge_queues(id);
    }

    /// Why the descriptors of a message were closed.
    pub(super) fn explain_fd_share(&self, id: ClientId) -> Refusal {
        let text = self.clients.get(id).map(|client| {
            let (users, resource) = (self.clients.users(), Resource::Fds);
            let share = users.share(client.user, resource, &self.pools, client.held(resource));
            self.explain_share(client, &share)
        });
        let text = format!(
            "The file descriptors of this message came before its end and were more than there is \
             room for. {}",
            text.unwrap_or_default()
        );
        Refusal::ShareExceeded { text }
    }

    /// Rules of owners of the machine and the bus do not count.
    fn vague_rule_count(&self, id: ClientId) -> u32 {
        let users = self.clients.users();
        let is_counted = |client: &&Client| !users.is_privileged(client.user);
        let counted = self.clients.get(id).filter(is_counted);
        counted.map_or(0, |client| self.matches.vague_rule_count(client.id))
    }

    /// Notes how many rules and names a client has.
    pub(super) fn charge_counts(&mut self, id: ClientId) {
        let rules = self.match_rule_count(id) + self.monitors.rule_count(id);
        self.clients.charge(id, Resource::MatchRules, rules.into());
        self.clients.charge(id, Resource::VagueMatchRules, self.vague_rule_count(id).into());
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

    /// Who holds how much of what, why that is all, and what to do about it.
    pub(super) fn explain_share(&self, client: &Client, share: &Share) -> String {
        let held = client.held(share.resource);
        let (what, limit) = share.resource.in_words();
        let user = user_in_words(self.clients.users().uid(client.user));
        let who = self.describe(client.id);
        let Share { pool, others, of_user, user_max, client_max, .. } = share;
        let of_client = match share.resource {
            Resource::Connections | Resource::IncompleteConnections => String::new(),
            _ => format!(
                "; {who} holds {held} of them and may hold {client_max}, half of what its user's \
                 other clients leave"
            ),
        };
        let holders = match others {
            0 => String::new(),
            _ => {
                let users = self.clients.users();
                let most = users.largest_others(client.user, share.resource, NAMED_HOLDER_COUNT);
                format!(" ({most})")
            }
        };
        format!(
            "The share of {user} of the bus's {what} is used up: it holds {of_user}, other users \
             hold {others} of {pool}{holders}, and it may hold {user_max}, half of what they leave{of_client}. \
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
            let goes = self.departures.contains(&id);
            let held = [
                (Resource::MatchRules, rules),
                (Resource::VagueMatchRules, self.vague_rule_count(id)),
                (Resource::Names, self.names.owned_count(id)),
                (Resource::Connections, u32::from(!client.is_incomplete() && !goes)),
                (Resource::IncompleteConnections, u32::from(client.is_in_handshake())),
            ];
            let calls = counted_replies(self.replies.count_of_caller(id));
            assert_eq!(client.held(Resource::Replies), calls, "calls of {id:?}");
            for (resource, count) in held {
                assert_eq!(client.held(resource), count.into(), "{resource:?} of {id:?}");
            }
        }
        for resource in Resource::ALL {
            let sum: u64 = self.clients.iter().map(|client| client.held(resource)).sum();
            assert_eq!(self.clients.users().total(resource), sum, "{resource:?} of all users");
        }
    }
}
