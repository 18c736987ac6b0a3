//! Limits of single users and groups: who has them, and from when on.

use std::path::{Path, PathBuf};

use bus_daemon::bus::Event;
use bus_daemon::bus::credentials::PeerCredentials;
use bus_daemon::bus::id::ClientId;
use bus_daemon::bus::limits::{SENDER_PAUSE_MS, UNCOUNTED_REPLY_COUNT_MAX};
use bus_policy::config::limit_overrides::{LimitOverrides, OVERRIDABLE, load_overrides};
use bus_policy::config::{ConfigFiles, FileError, Limits};
use bus_policy::subject::NumbersOnly;
use libbus::standard_error as error;

use crate::activation::{NAME as SERVICE, with_services};
use crate::desk::{Desk, Guest, one_way, settings};
use crate::mail::{Mail, Value};

/// One file of limits.
struct OneFile(String);

impl ConfigFiles for OneFile {
    fn read(&self, _: &Path, _: usize) -> Result<Vec<u8>, FileError> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        Ok(vec![directory.join("one.conf")])
    }
}

fn overrides(limits: &[(&str, &str, u32)]) -> LimitOverrides {
    let line = |(name, subject, value): &(&str, &str, u32)| {
        format!("<limit name='{name}' {subject}>{value}</limit>")
    };
    let lines: String = limits.iter().map(line).collect();
    let (mut problems, file) = (Vec::new(), OneFile(format!("<buslimits>{lines}</buslimits>")));
    let named = load_overrides(&[PathBuf::from("/limits")], &file, &mut problems);
    let resolved = named.resolve(&NumbersOnly, &mut problems);
    assert_eq!(problems, []);
    resolved
}

/// A bus whose limits are those of `base`, and of users as given.
fn desk(base: Limits, of_users: &[(&str, &str, u32)]) -> Desk {
    let mut desk = Desk::new(base.clone());
    reload(&mut desk, base, of_users);
    desk
}

fn reload(desk: &mut Desk, base: Limits, of_users: &[(&str, &str, u32)]) {
    let mut settings = settings(base);
    settings.limit_overrides = overrides(of_users);
    desk.event(Event::Reloaded { result: Ok(settings) });
}

/// How many rules a client may add, up to 10.
fn rule_count(desk: &mut Desk, guest: &Guest) -> usize {
    let rule = |n| vec![Value::Text(format!("arg0='{n}'"))];
    (0..10).filter(|n| desk.error_of(guest.id, "AddMatch", rule(*n)).is_none()).count()
}

const RULES: &str = "max_match_rules_per_connection";

#[test]
fn a_user_a_group_and_everybody_else_have_their_limits() {
    let base = Limits { match_rules_per_connection_max: 3, ..Limits::default() };
    let mut desk = desk(base, &[(RULES, "user='1001'", 5), (RULES, "group='44'", 4)]);
    let mut guest = |uid: u32, groups: &[u32]| {
        let groups = Some(groups.into());
        let id = desk.connect(PeerCredentials { uid: Some(uid), groups, ..Default::default() });
        desk.authenticate(id, uid, true);
        let guest = desk.hello(id).unwrap();
        rule_count(&mut desk, &guest)
    };
    assert_eq!(guest(1001, &[7, 44]), 5, "the user goes before its groups");
    assert_eq!(guest(1002, &[7, 44]), 4);
    assert_eq!(guest(1002, &[7]), 3);
    assert_eq!(guest(1001, &[]), 5);
    // An old kernel names one group alone.
    let gid = Some(44);
    let id = desk.connect(PeerCredentials { uid: Some(1002), gid, ..Default::default() });
    desk.authenticate(id, 1002, true);
    let guest = desk.hello(id).unwrap();
    assert_eq!(rule_count(&mut desk, &guest), 4);
}

#[test]
fn a_reload_changes_the_limits_of_clients_that_are_there() {
    let base = || Limits { match_rules_per_connection_max: 3, ..Limits::default() };
    let mut desk = desk(base(), &[]);
    let guest = desk.guest_with(1001, true);
    assert_eq!(rule_count(&mut desk, &guest), 3);
    reload(&mut desk, base(), &[(RULES, "user='1001'", 5)]);
    assert_eq!(rule_count(&mut desk, &guest), 2);
    reload(&mut desk, base(), &[]);
    assert_eq!(rule_count(&mut desk, &guest), 0);
}

/// User 1001 has a limit of its own, and 1002 that of the bus.
struct Pair {
    desk: Desk,
    limited: Guest,
    other: Guest,
}

impl Pair {
    fn new(name: &str, value: u32) -> Self {
        Self::with(Limits::default(), &[(name, "user='1001'", value)])
    }

    fn with(base: Limits, of_users: &[(&str, &str, u32)]) -> Self {
        let mut desk = desk(base, of_users);
        let [limited, other] = [1001, 1002].map(|uid| desk.guest_with(uid, true));
        desk.read(limited.id);
        desk.read(other.id);
        Self { desk, limited, other }
    }

    /// What a client says of each of the two: first of whom has the limit.
    fn ask<R>(&mut self, mut question: impl FnMut(&mut Desk, &Guest) -> R) -> [R; 2] {
        let Self { desk, limited, other } = self;
        [question(desk, limited), question(desk, other)]
    }
}

/// How many of these got LimitsExceeded.
fn refused(desk: &mut Desk, id: ClientId) -> usize {
    let got = desk.read(id);
    got.iter().filter(|got| got.error.as_deref() == Some(error::LIMITS_EXCEEDED.as_str())).count()
}

// config.md B027–B032, B038, B040–B042: at each bound and past it.
#[test]
fn every_limit_that_a_user_may_have_counts() {
    for name in OVERRIDABLE {
        match *name {
            "max_incoming_bytes" => bytes_that_wait_for_a_service(name),
            "max_incoming_unix_fds" => descriptors_that_wait_for_their_message(name),
            "max_outgoing_bytes" => bytes_that_are_owed(name),
            "max_outgoing_unix_fds" => descriptors_that_are_owed(name),
            "max_message_size" => size_of_a_message(name),
            "max_message_unix_fds" => descriptors_of_a_message(name),
            "max_connections_per_user" => {
                connections_of_a_user(name);
                connections_that_wait_for_their_handshake(name);
            }
            "max_names_per_connection" => names_of_a_client(name),
            "max_match_rules_per_connection" => {
                let mut pair = Pair::new(name, 3);
                assert_eq!(pair.ask(rule_count), [3, 10], "{name}");
            }
            "max_replies_per_connection" => calls_in_flight(name),
            _ => panic!("{name} has no test"),
        }
    }
}

/// The limit is asked before a message is held, so that one may exceed it.
fn bytes_that_wait_for_a_service(name: &str) {
    let mut settings = with_services(Limits::default());
    settings.limit_overrides = overrides(&[(name, "user='1001'", 10_000)]);
    let mut pair = Pair::with(Limits::default(), &[]);
    pair.desk.event(Event::Reloaded { result: Ok(settings) });
    let counts = pair.ask(|desk, sender| {
        for serial in [11, 12, 13] {
            let call = Mail::call(serial, SERVICE, "org.example.A", "Get");
            desk.send(sender.id, &call.with(Value::Bytes(6_000)));
        }
        refused(desk, sender.id)
    });
    assert_eq!(counts, [1, 0], "{name}");
}

/// Two messages' worth may always wait.
fn descriptors_that_wait_for_their_message(name: &str) {
    let base = Limits { message_unix_fds_max: 2, ..Limits::default() };
    for (case, more, closed) in [("at the bound", 6, false), ("past it", 7, true)] {
        let mut pair = Pair::with(base.clone(), &[(name, "user='1001'", 8)]);
        let recipient = pair.other.name.clone();
        let is_closed = pair.ask(|desk, sender| {
            let mut mail = one_way(7, &recipient);
            mail.unix_fds = 2;
            let (first, next) = (mail.write(), mail.write());
            desk.send_bytes(sender.id, &first[..20], 2);
            desk.send_bytes(sender.id, &[&first[20..], &next].concat(), more);
            desk.take_closed().contains(&sender.id)
        });
        assert_eq!(is_closed, [closed, false], "{name}, {case}");
    }
}

/// At the bound of 0 the first message is taken, and the next is not.
fn bytes_that_are_owed(name: &str) {
    let mut pair = Pair::new(name, 0);
    let sender = pair.desk.guest();
    let counts = pair.ask(|desk, recipient| {
        (1..=2).for_each(|serial| desk.send(sender.id, &one_way(serial, &recipient.name)));
        refused(desk, sender.id)
    });
    assert_eq!(counts, [1, 0], "{name}");
}

/// At 2 the next message with a descriptor is taken, at 3 it is not.
fn descriptors_that_are_owed(name: &str) {
    let mut pair = Pair::new(name, 2);
    let sender = pair.desk.guest();
    let counts = pair.ask(|desk, recipient| {
        let mut mail = one_way(1, &recipient.name);
        mail.unix_fds = 1;
        [1, 2, 3, 4].map(|_| {
            desk.send(sender.id, &mail);
            // It is paused before.
            desk.pass_time(SENDER_PAUSE_MS);
            refused(desk, sender.id)
        })
    });
    assert_eq!(counts, [[0, 0, 0, 1], [0; 4]], "{name}");
}

fn size_of_a_message(name: &str) {
    let size = |body| one_way(1, ":1.9").with(Value::Bytes(body)).write().len();
    for (case, body, closed) in [("at the bound", 1000, false), ("past it", 1001, true)] {
        let mut pair = Pair::new(name, u32::try_from(size(1000)).unwrap());
        let is_closed = pair.ask(|desk, sender| {
            desk.send(sender.id, &one_way(1, ":1.9").with(Value::Bytes(body)));
            desk.take_closed().contains(&sender.id)
        });
        assert_eq!(is_closed, [closed, false], "{name}, {case}");
    }
}

fn descriptors_of_a_message(name: &str) {
    for (case, count, closed) in [("at the bound", 1, false), ("past it", 2, true)] {
        let mut pair = Pair::new(name, 1);
        let recipient = pair.desk.guest();
        let is_closed = pair.ask(|desk, sender| {
            let mut mail = one_way(1, &recipient.name);
            mail.unix_fds = count;
            desk.send(sender.id, &mail);
            desk.take_closed().contains(&sender.id)
        });
        assert_eq!(is_closed, [closed, false], "{name}, {case}");
    }
}

fn connections_of_a_user(name: &str) {
    let mut pair = Pair::new(name, 2);
    for (case, expected) in [("at the bound", [true, true]), ("past it", [false, true])] {
        let is_let_in = [1001, 1002].map(|uid| {
            let id = pair.desk.authenticated(uid, true);
            pair.desk.hello(id).is_ok()
        });
        assert_eq!(is_let_in, expected, "{name}, {case}");
    }
}

/// As many may wait as the user could ever use, whatever others could.
fn connections_that_wait_for_their_handshake(name: &str) {
    let base = Limits {
        incomplete_connections_max: 8,
        connections_per_user_max: 16,
        completed_connections_max: 256,
        ..Limits::default()
    };
    let of_users = [(name, "user='1001'", 32), (name, "group='44'", 3)];
    let mut desk = desk(base, &of_users);
    let mut waiting = |uid: u32, groups: &[u32]| {
        let connect = |desk: &mut Desk| {
            let groups = Some(groups.into());
            desk.connect(PeerCredentials { uid: Some(uid), groups, ..Default::default() })
        };
        let clients: Vec<ClientId> = (0..100).map(|_| connect(&mut desk)).collect();
        desk.event(Event::TurnsBegan);
        let waits = |id: &&ClientId| desk.bus.client(**id).is_some() && !desk.bus.may_read(**id);
        clients.iter().filter(waits).count()
    };
    assert_eq!([waiting(1001, &[]), waiting(1002, &[]), waiting(1003, &[44])], [32, 16, 3]);
}

fn names_of_a_client(name: &str) {
    let mut pair = Pair::new(name, 2);
    let counts = pair.ask(|desk, guest| {
        let name = |n: u32| format!("org.example.N{n}{}", guest.name.replace([':', '.'], "_"));
        let body = |n| vec![Value::Text(name(n)), Value::Number(0)];
        (0..3).filter(|n| desk.error_of(guest.id, "RequestName", body(*n)).is_none()).count()
    });
    assert_eq!(counts, [1, 3], "{name}: the unique name counts too");
}

fn calls_in_flight(name: &str) {
    let max = UNCOUNTED_REPLY_COUNT_MAX + 4;
    let mut pair = Pair::new(name, max);
    let service = pair.desk.guest();
    let counts = pair.ask(|desk, caller| {
        let mut call = |serial| {
            desk.send(caller.id, &Mail::call(serial, &service.name, "org.example.A", "Get"));
        };
        (1..=max).for_each(&mut call);
        let at_the_bound = refused(desk, caller.id);
        desk.send(caller.id, &Mail::call(max + 1, &service.name, "org.example.A", "Get"));
        [at_the_bound, refused(desk, caller.id)]
    });
    assert_eq!(counts, [[0, 1], [0, 0]], "{name}");
}
