//! What the bus should do, in the plainest way: vectors that are searched from end to end.
//!
//! The model handles the same events in the same order as the bus and keeps, for every client, the
//! list of what it must receive. That list is the promise of the one total order: an item is made
//! once and appended to each of its recipients.
//!
//! It shares with the bus the codec, the parser of match rules and the check of one rule against one
//! message; everything that finds something (owners, subscribers, calls in flight) is its own.

mod driver;
mod events;
mod names;
mod routing;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::os::fd::RawFd;

use bus_daemon::bus::Settings;
use libbus::match_rule::MatchRule;

use crate::message::Expectation;
use crate::scenario::Scenario;
use crate::stream::Piece;

pub(crate) const BUS: &str = "org.freedesktop.DBus";
pub(crate) const BUS_PATH: &str = "/org/freedesktop/DBus";

/// A client, by the number of its coming; never used again.
pub(crate) type Who = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshake,
    WaitingForHello,
    Registered,
    Monitor,
}

/// Which messages a rule sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Broadcasts,
    Eavesdropping,
    Monitoring,
}

pub(crate) struct Peer {
    pub(crate) phase: Phase,
    accepted_uid: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) unix_fds: bool,
    pub(crate) unique: Option<String>,
    pub(crate) process_fd: Option<RawFd>,
    /// When its handshake began, unless it waits for that.
    began_at: Option<u64>,
    /// Names in whose queue it stands, the latest last.
    places: Vec<String>,
    rule_count: u32,
    /// Descriptors that came and that no message took.
    waiting: VecDeque<RawFd>,
    waiting_since: Option<u64>,
    /// While a cookie is looked for: what came meanwhile.
    held: Option<Vec<Piece>>,
    held_is_partial: bool,
    cookie_given: bool,
    /// It reads no more, or is being disconnected.
    pub(crate) leaving: bool,
    /// Lines of the handshake that it must receive before any message.
    pub(crate) lines: VecDeque<&'static str>,
    pub(crate) expected: VecDeque<Expectation>,
    /// How many expectations the event in hand added.
    pub(crate) added: usize,
}

struct PlaceInQueue {
    who: Who,
    allows_replacement: bool,
    does_not_queue: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) caller: Who,
    pub(crate) callee: Who,
    pub(crate) serial: NonZeroU32,
    at: u64,
}

#[derive(Clone, Copy)]
struct ReplyTo {
    who: Who,
    serial: NonZeroU32,
    is_expected: bool,
}

pub(crate) struct Model {
    pub(crate) settings: Settings,
    any_reply_passes: bool,
    may_eavesdrop: bool,
    own_uid: u32,
    now: u64,
    next_unique: u64,
    pub(crate) peers: BTreeMap<Who, Peer>,
    uniques: BTreeMap<String, Who>,
    names: BTreeMap<String, Vec<PlaceInQueue>>,
    rules: HashMap<(Kind, MatchRule), BTreeMap<Who, u32>>,
    /// Oldest first.
    pub(crate) calls: Vec<Call>,
    reload_callers: Vec<ReplyTo>,
    next_reload_callers: Vec<ReplyTo>,
    reload_runs: bool,
    reload_is_due: Option<u64>,
    reload_rests_until: u64,
    /// Whose queue was full before the event in hand.
    full: BTreeSet<Who>,
    /// Those, and who gets no more descriptors.
    full_of_fds: BTreeSet<Who>,
    /// Clients, and users who have had their share of the descriptors that may wait there.
    crowding: BTreeSet<(Who, Option<u32>)>,
    /// The same for what the bus itself has to say to a client, which may go beyond the limit.
    full_for_bus: BTreeSet<Who>,
    // What the event in hand led to, for whoever compares.
    pub(crate) touched: BTreeSet<Who>,
    pub(crate) closed: VecDeque<(Who, Peer)>,
    pub(crate) cookies_wanted: VecDeque<Who>,
    pub(crate) reloads_wanted: usize,
    /// Messages that were accepted: by whom, serial, and whether a reply is expected.
    pub(crate) handled: Vec<(Who, NonZeroU32, bool)>,
}

impl Model {
    pub(crate) fn new(scenario: &Scenario, own_uid: u32) -> Self {
        Self {
            settings: scenario.settings(),
            any_reply_passes: scenario.any_reply_passes,
            may_eavesdrop: scenario.may_eavesdrop,
            own_uid,
            now: 0,
            next_unique: 0,
            peers: BTreeMap::new(),
            uniques: BTreeMap::new(),
            names: BTreeMap::new(),
            rules: HashMap::new(),
            calls: Vec::new(),
            reload_callers: Vec::new(),
            next_reload_callers: Vec::new(),
            reload_runs: false,
            reload_is_due: None,
            reload_rests_until: 0,
            full: BTreeSet::new(),
            full_of_fds: BTreeSet::new(),
            crowding: BTreeSet::new(),
            full_for_bus: BTreeSet::new(),
            touched: BTreeSet::new(),
            closed: VecDeque::new(),
            cookies_wanted: VecDeque::new(),
            reloads_wanted: 0,
            handled: Vec::new(),
        }
    }

    /// Before each event: the time, whose queue is full, for others, for descriptors and for the bus, and who
    /// has had its share of the descriptors in which.
    pub(crate) fn begin(
        &mut self,
        now: u64,
        [full, full_of_fds, full_for_bus]: [BTreeSet<Who>; 3],
        crowding: BTreeSet<(Who, Option<u32>)>,
    ) {
        self.now = now;
        (self.full, self.full_of_fds, self.full_for_bus) = (full, full_of_fds, full_for_bus);
        self.crowding = crowding;
        for who in std::mem::take(&mut self.touched) {
            if let Some(peer) = self.peers.get_mut(&who) {
                peer.added = 0;
            }
        }
    }

    /// Clients that may have missed something in this event.
    pub(crate) fn full_but_untouched(&self) -> Vec<Who> {
        self.full_of_fds.difference(&self.touched).copied().collect()
    }

    pub(crate) fn was_full(&self, who: Who) -> bool {
        self.full_of_fds.contains(&who)
    }

    fn drop_rules(&mut self, is_dropped: impl Fn(&(Kind, MatchRule), Who) -> bool) {
        let Self { rules, peers, .. } = self;
        rules.retain(|rule, clients| {
            clients.retain(|who, count| {
                let is_dropped = is_dropped(rule, *who);
                if is_dropped && let Some(peer) = peers.get_mut(who) {
                    peer.rule_count -= *count;
                }
                !is_dropped
            });
            !clients.is_empty()
        });
    }
}

impl Peer {
    /// A line of the handshake, unless there is none to say or nobody to hear it.
    fn answer(&mut self, line: &'static str) {
        if !line.is_empty() && !self.leaving {
            self.lines.push_back(line);
        }
    }

    /// Whose it is, by the kernel's word until it has authenticated.
    fn user(&self) -> Option<u32> {
        if self.phase == Phase::Handshake { self.accepted_uid } else { self.uid }
    }

    /// Whether it has connected and its handshake has not begun.
    pub(crate) fn is_newcomer(&self) -> bool {
        self.began_at.is_none()
    }

    pub(crate) fn is_in_handshake(&self) -> bool {
        self.is_incomplete() && !self.is_newcomer()
    }

    pub(crate) fn is_incomplete(&self) -> bool {
        matches!(self.phase, Phase::Handshake | Phase::WaitingForHello)
    }
}
