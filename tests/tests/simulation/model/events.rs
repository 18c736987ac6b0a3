//! What happens to clients: they come, are read from, wait, and go.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::os::fd::RawFd;

use bus_daemon::bus::Settings;
use bus_daemon::bus::limits::RELOAD_GAP_MS;
use libbus::standard_error as error;

use super::{Model, Peer, Phase, ReplyTo, Who};
use crate::message::{Body, Content, Parsed, is_reply};
use crate::stream::{Chunk, Piece};

impl Model {
    /// Whether the handshake of another client of this user may begin (config.md B037).
    fn may_begin(&self, uid: Option<u32>) -> bool {
        let max = self.settings.limits.incomplete_connections_max as usize;
        let begun = || self.peers.values().filter(|peer| peer.is_in_handshake());
        begun().count() < max && !self.exceeds_share(uid, begun().map(Peer::user).collect(), max)
    }

    /// Whether as many of this user wait for that as may.
    fn has_too_many_newcomers(&self, uid: Option<u32>) -> bool {
        let limits = &self.settings.limits;
        let newcomers: Vec<_> =
            self.peers.values().filter(|peer| peer.is_newcomer()).map(Peer::user).collect();
        let own = newcomers.iter().filter(|user| **user == uid).count();
        let others = newcomers.len() - own;
        let left = (limits.completed_connections_max as usize).saturating_sub(others);
        own >= (left / 2).min(limits.connections_per_user_max as usize)
    }

    /// Lets those begin for whom there is room, whoever came first.
    pub(super) fn begin_handshakes(&mut self) {
        let next = |model: &Self| {
            let mut newcomers = model.peers.iter().filter(|(_, peer)| peer.is_newcomer());
            newcomers.find(|(_, peer)| model.may_begin(peer.user())).map(|(who, _)| *who)
        };
        while let Some(who) = next(self) {
            self.peers.get_mut(&who).unwrap().began_at = Some(self.now);
        }
    }

    /// Whether one more of this user is more than half of what other users leave of `max`; root and
    /// the bus's own user are not asked.
    pub(super) fn exceeds_share(
        &self,
        uid: Option<u32>,
        mut users: Vec<Option<u32>>,
        max: usize,
    ) -> bool {
        let is_privileged = |uid: &Option<u32>| [Some(0), Some(self.own_uid)].contains(uid);
        if is_privileged(&uid) {
            return false;
        }
        users.retain(|uid| !is_privileged(uid));
        let own = users.iter().filter(|user| **user == uid).count();
        let others = users.len() - own;
        let share =
            if others == 0 { (max / 2).max(max.min(1)) } else { (max - max.min(others)) / 2 };
        own >= share
    }

    pub(crate) fn connect(
        &mut self,
        who: Who,
        accepted_uid: Option<u32>,
        process_fd: Option<RawFd>,
    ) {
        let began_at = self.may_begin(accepted_uid).then_some(self.now);
        let is_refused = began_at.is_none() && self.has_too_many_newcomers(accepted_uid);
        let peer = Peer {
            phase: Phase::Handshake,
            accepted_uid,
            uid: None,
            unix_fds: false,
            unique: None,
            process_fd,
            began_at,
            places: Vec::new(),
            rule_count: 0,
            waiting: VecDeque::new(),
            waiting_since: None,
            held: None,
            held_is_partial: false,
            cookie_given: false,
            leaving: false,
            lines: VecDeque::new(),
            expected: VecDeque::new(),
            added: 0,
        };
        self.peers.insert(who, peer);
        if is_refused {
            self.close(who);
        }
    }

    pub(crate) fn receive(&mut self, who: Who, mut chunk: Chunk, fds: &[RawFd]) {
        let is_message = |piece: &Piece| matches!(piece, Piece::Message(_));
        let first = chunk.pieces.iter().position(is_message).unwrap_or(chunk.pieces.len());
        let messages = chunk.pieces.split_off(first);
        self.take_pieces(who, chunk.pieces);
        self.keep_fds(who, fds);
        self.take_pieces(who, messages);
        self.settle_fds(who, chunk.is_partial);
    }

    /// Descriptors count from those who negotiated them, and no earlier (protocol.md A097).
    pub(super) fn keep_fds(&mut self, who: Who, fds: &[RawFd]) {
        let Some(peer) = self.peers.get_mut(&who).filter(|peer| peer.unix_fds) else { return };
        if fds.is_empty() {
            return;
        }
        let limits = &self.settings.limits;
        // config.md B028: those of a message that is half read, and of the next, must fit.
        let max = limits.incoming_unix_fds_max.max(2 * limits.message_unix_fds_max);
        if peer.waiting.len() + fds.len() > usize::try_from(max).unwrap() {
            return self.close(who);
        }
        peer.waiting.extend(fds);
        peer.waiting_since.get_or_insert(self.now);
    }

    /// After a read, only a message that has begun may have descriptors waiting, and no more than
    /// one message may have (config.md B032).
    pub(super) fn settle_fds(&mut self, who: Who, is_partial: bool) {
        let Some(peer) = self.peers.get_mut(&who) else { return };
        peer.held_is_partial = is_partial;
        if peer.phase == Phase::Handshake {
            return;
        }
        if !is_partial {
            peer.waiting.clear();
        }
        if peer.waiting.len() as u64 > self.settings.limits.message_unix_fds_max {
            return self.close(who);
        }
        peer.waiting_since =
            if peer.waiting.is_empty() { None } else { peer.waiting_since.or(Some(self.now)) };
    }

    pub(crate) fn find_cookie(&mut self, who: Who, is_found: bool) {
        let Some(peer) = self.peers.get_mut(&who) else { return };
        peer.cookie_given = is_found;
        peer.answer(if is_found { "DATA " } else { "REJECTED " });
        self.touched.insert(who);
        let peer = self.peers.get_mut(&who).unwrap();
        let (held, is_partial) = (peer.held.take().unwrap_or_default(), peer.held_is_partial);
        self.take_pieces(who, held);
        self.settle_fds(who, is_partial);
    }

    /// It reads no more, whatever it still says.
    pub(crate) fn close_writing(&mut self, who: Who) {
        let peer = self.peers.get_mut(&who).unwrap();
        peer.leaving = true;
        peer.lines.clear();
        peer.expected.clear();
    }

    pub(crate) fn is_waiting_for_cookie(&self, who: Who) -> bool {
        self.peers[&who].held.is_some()
    }

    /// The administrator asks for the configuration to be read again.
    pub(crate) fn hang_up(&mut self) {
        self.ask_reload(None);
    }

    /// Who asks while the configuration is read waits for the next reading, and ordinary users wait
    /// a while after one.
    pub(super) fn ask_reload(&mut self, to: Option<ReplyTo>) {
        let is_patient = to.is_some_and(|to| !self.is_privileged(to.who));
        let at = if is_patient { self.reload_rests_until.max(self.now) } else { self.now };
        self.reload_is_due = Some(self.reload_is_due.map_or(at, |due| due.min(at)));
        self.next_reload_callers.extend(to);
        self.begin_reload();
    }

    fn begin_reload(&mut self) {
        if !self.reload_runs && self.reload_is_due.is_some_and(|due| due <= self.now) {
            self.reload_is_due = None;
            self.reload_runs = true;
            self.reload_callers = std::mem::take(&mut self.next_reload_callers);
            self.reloads_wanted += 1;
        }
    }

    /// Calls of ReloadConfig that are not answered yet.
    pub(crate) fn who_waits_for_reload(&self) -> impl Iterator<Item = (Who, NonZeroU32)> + '_ {
        let callers = self.reload_callers.iter().chain(&self.next_reload_callers);
        callers.filter(|to| to.is_expected).map(|to| (to.who, to.serial))
    }

    pub(crate) fn reload(&mut self, result: Result<Settings, String>) {
        let is_ok = result.is_ok();
        if let Ok(settings) = result {
            self.settings = settings;
            self.begin_handshakes();
        }
        for to in std::mem::take(&mut self.reload_callers) {
            let is_there = self.peers.get(&to.who).is_some_and(|p| p.phase == Phase::Registered);
            match is_ok {
                _ if !is_there => {}
                true => self.reply(to, Body::Strings(vec![])),
                false => self.error(to.who, Some(to.serial), error::FAILED),
            }
        }
        self.reload_runs = false;
        self.reload_rests_until = self.now + RELOAD_GAP_MS;
        self.begin_reload();
    }

    pub(crate) fn pass_time(&mut self) {
        let limits = self.settings.limits.clone();
        let mut late: Vec<(u64, Who)> = self
            .peers
            .iter()
            .filter(|(_, p)| p.is_incomplete())
            .filter_map(|(who, peer)| Some((peer.began_at?, *who)))
            .collect();
        late.retain(|(at, _)| at + u64::from(limits.auth_timeout_ms) <= self.now);
        late.sort_unstable();
        late.into_iter().for_each(|(_, who)| self.close(who));
        let mut late: Vec<(u64, Who)> =
            self.peers.iter().filter_map(|(who, peer)| Some((peer.waiting_since?, *who))).collect();
        late.retain(|(at, _)| at + u64::from(limits.pending_fd_timeout_ms) <= self.now);
        late.sort_unstable();
        late.into_iter().for_each(|(_, who)| self.close(who));
        self.begin_reload();
        let Some(timeout) = limits.reply_timeout_ms else { return };
        while let Some(call) = self.calls.first().copied()
            && call.at + u64::from(timeout) <= self.now
        {
            self.calls.remove(0);
            self.error(call.caller, Some(call.serial), error::NO_REPLY);
        }
    }

    /// When the bus must be told the time at the latest.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let limits = &self.settings.limits;
        let incomplete = self.peers.values().filter(|peer| peer.is_incomplete());
        let auth = incomplete.filter_map(|peer| peer.began_at).min();
        let auth = auth.map(|at| at + u64::from(limits.auth_timeout_ms));
        let waiting = self.peers.values().filter_map(|peer| peer.waiting_since).min();
        let fds = waiting.map(|at| at + u64::from(limits.pending_fd_timeout_ms));
        let call = self.calls.first().map(|call| call.at);
        let reply = limits.reply_timeout_ms.and_then(|ms| Some(call? + u64::from(ms)));
        let reload = self.reload_is_due.filter(|_| !self.reload_runs);
        [auth, fds, reply, reload].into_iter().flatten().min()
    }

    /// Clients that have sent descriptors and owe the rest of their message.
    pub(crate) fn owing(&self) -> Vec<Who> {
        let owing = self.peers.iter().filter(|(_, peer)| peer.waiting_since.is_some());
        owing.map(|(who, _)| *who).collect()
    }

    /// The kernel refused the descriptors of the message that `recipient` was to get next.
    pub(crate) fn refuse_fds(&mut self, recipient: Who, fds: &[RawFd]) {
        let expected = &mut self.peers.get_mut(&recipient).unwrap().expected;
        let dropped = loop {
            let next = expected.pop_front().expect("a message with descriptors is expected");
            if next.item.fds == fds {
                break next.item;
            }
            assert!(!next.is_certain, "{next:?} comes before the message with descriptors");
        };
        match &dropped.content {
            Content::Passed(bytes) => self.refuse_fds_of(recipient, bytes),
            Content::FromBus(outline) => {
                let serial = outline.reply_serial;
                self.error(recipient, serial, error::LIMITS_EXCEEDED);
            }
        }
    }

    pub(super) fn refuse_fds_of(&mut self, recipient: Who, bytes: &[u8]) {
        let message = Parsed::of(bytes);
        let header = message.header();
        if is_reply(&header) {
            let is_addressee = header.destination.and_then(|name| self.resolve(name.as_str()));
            if is_addressee == Some(recipient) {
                self.error(recipient, header.reply_serial, error::LIMITS_EXCEEDED);
            }
            return;
        }
        let caller = header.sender.and_then(|sender| self.resolve(sender.as_str()));
        if let Some(caller) = caller
            && self.take_call(caller, recipient, header.serial)
        {
            self.error(caller, Some(header.serial), error::LIMITS_EXCEEDED);
        }
    }

    /// protocol.md A134, A147
    pub(crate) fn close(&mut self, who: Who) {
        let Some(peer) = self.peers.get_mut(&who) else { return };
        peer.leaving = true;
        let was_registered = peer.phase == Phase::Registered;
        self.drop_rules(|_, owner| owner == who);
        if was_registered {
            self.leave(who);
        }
        let peer = self.peers.remove(&who).unwrap();
        self.closed.push_back((who, peer));
        self.begin_handshakes();
    }

    pub(super) fn take_pieces(&mut self, who: Who, pieces: Vec<Piece>) {
        for piece in pieces {
            let Some(peer) = self.peers.get_mut(&who) else { return };
            match &mut peer.held {
                Some(held) => held.push(piece),
                None => self.take_piece(who, piece),
            }
        }
    }

    pub(super) fn take_piece(&mut self, who: Who, piece: Piece) {
        let peer = self.peers.get_mut(&who).unwrap();
        match piece {
            Piece::Line(answer) => peer.answer(answer),
            Piece::CancelCookie => {
                peer.answer(if peer.cookie_given { "REJECTED " } else { "ERROR" });
            }
            Piece::CookieLine => {
                peer.held = Some(Vec::new());
                self.cookies_wanted.push_back(who);
            }
            Piece::Begin { uid, unix_fds } => {
                (peer.uid, peer.unix_fds) = (uid, unix_fds);
                peer.phase = Phase::WaitingForHello;
                self.begin_handshakes();
            }
            Piece::Message(bytes) => return self.handle_message(who, &bytes),
            Piece::Broken(answer) => {
                peer.answer(answer.unwrap_or_default());
                return self.close(who);
            }
        }
        self.touched.insert(who);
    }
}
