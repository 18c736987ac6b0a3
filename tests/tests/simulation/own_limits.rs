//! Limits of single users and groups: who has them, and from when on.

use std::path::{Path, PathBuf};

use bus_daemon::bus::Event;
use bus_daemon::bus::credentials::PeerCredentials;
use bus_daemon::bus::limits::UNCOUNTED_REPLY_COUNT_MAX;
use bus_policy::config::limit_overrides::{LimitOverrides, load_overrides};
use bus_policy::config::{ConfigFiles, FileError, Limits};
use bus_policy::subject::NumbersOnly;
use libbus::standard_error as error;

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

#[test]
fn every_limit_that_a_user_may_have_counts() {
    let of_1001 = "user='1001'";
    let mut desk = desk(
        Limits::default(),
        &[
            ("max_connections_per_user", of_1001, 2),
            ("max_names_per_connection", of_1001, 2),
            ("max_replies_per_connection", of_1001, UNCOUNTED_REPLY_COUNT_MAX + 4),
            ("max_outgoing_bytes", of_1001, 0),
            ("max_message_size", of_1001, 1000),
            ("max_message_unix_fds", of_1001, 1),
        ],
    );
    let (other, guest) = (desk.guest(), desk.guest_with(1001, true));
    let name = |n: u32| vec![Value::Text(format!("org.example.N{n}")), Value::Number(0)];
    let limits_exceeded = Some(error::LIMITS_EXCEEDED.as_str().to_owned());
    assert_eq!(desk.error_of(guest.id, "RequestName", name(1)), None);
    assert_eq!(desk.error_of(guest.id, "RequestName", name(2)), limits_exceeded);
    desk.guest_with(1001, true);
    let third = desk.authenticated(1001, true);
    assert_eq!(desk.hello(third).err(), limits_exceeded);
    let call = |n| Mail::call(n, &other.name, "org.example.A", "Get");
    let refused = |desk: &mut Desk, id| {
        let got = desk.read(id);
        got.iter().filter(|got| got.error == limits_exceeded).count()
    };
    for (serial, count) in [(UNCOUNTED_REPLY_COUNT_MAX + 4, 0), (UNCOUNTED_REPLY_COUNT_MAX + 5, 1)]
    {
        (1..=serial).rev().take(if count == 0 { serial as usize } else { 1 }).for_each(|serial| {
            desk.send(guest.id, &call(serial));
        });
        assert_eq!(refused(&mut desk, guest.id), count, "call {serial}");
    }
    desk.read(other.id);
    // At the bound of 0 the first message is taken, and the next is not.
    desk.send(other.id, &one_way(1, &guest.name));
    assert_eq!(refused(&mut desk, other.id), 0);
    desk.send(other.id, &one_way(2, &guest.name));
    assert_eq!(refused(&mut desk, other.id), 1);
    desk.read(guest.id);
    // What it may send, at the bound and past it; the other has the limits of the bus.
    let mut with_fds = one_way(100, &other.name);
    with_fds.unix_fds = 1;
    desk.send(guest.id, &with_fds);
    assert_eq!(desk.take_closed(), []);
    desk.send(other.id, &one_way(101, &other.name).with(Value::Bytes(1000)));
    assert_eq!(desk.take_closed(), []);
    desk.send(guest.id, &one_way(101, &other.name).with(Value::Bytes(1000)));
    assert_eq!(desk.take_closed(), [guest.id]);
    let again = desk.guest_with(1001, true);
    with_fds.unix_fds = 2;
    desk.send(again.id, &with_fds);
    assert_eq!(desk.take_closed(), [again.id]);
}
