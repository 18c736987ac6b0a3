//! Clients that go and leave much behind: names, and calls that nobody answers any more.

use bus_daemon::bus::Event;
use bus_daemon::bus::id::ClientId;
use bus_policy::config::Limits;
use libbus::standard_error as error;

use crate::desk::{Desk, Got, Guest};
use crate::mail::{Mail, Value};

/// More than one turn has time for.
const MANY: u32 = 100;

fn name(number: u32) -> String {
    format!("org.example.N{number}")
}

/// A bus on which somebody has many names and somebody else watches names.
fn owner_and_watcher() -> (Desk, Guest, Guest) {
    let mut desk = Desk::new(Limits::default());
    let (owner, watcher) = (desk.guest(), desk.guest());
    for number in 0..MANY {
        let arguments = vec![Value::Text(name(number)), Value::Number(0)];
        assert_eq!(desk.error_of(owner.id, "RequestName", arguments), None);
    }
    let rule = Value::Text("member='NameOwnerChanged'".to_owned());
    assert_eq!(desk.error_of(watcher.id, "AddMatch", vec![rule]), None);
    desk.read(owner.id);
    (desk, owner, watcher)
}

/// The names of which a client is told that their owner changed, in order.
fn changed(got: &[Got]) -> Vec<String> {
    let is_change = |got: &&Got| got.member.as_deref() == Some("NameOwnerChanged");
    got.iter().filter(is_change).filter_map(|got| got.text.clone()).collect()
}

/// Turns until nobody is going any more.
fn finish(desk: &mut Desk) -> u32 {
    let mut turns = 0;
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
        turns += 1;
    }
    turns
}

fn closed(desk: &mut Desk, client: ClientId) {
    desk.event(Event::Closed { client });
}

// protocol.md A134
#[test]
fn many_names_go_in_turns_and_each_is_told_once() {
    let (mut desk, owner, watcher) = owner_and_watcher();
    closed(&mut desk, owner.id);
    assert_eq!(desk.take_closed(), [owner.id], "its socket is closed at once");
    let first = changed(&desk.read(watcher.id));
    assert!(!first.is_empty() && first.len() < MANY as usize / 2, "{} at once", first.len());

    // Somebody else's call is answered in between, and sees how far it is.
    let left = desk.call_bus(watcher.id, "GetNameOwner", vec![Value::Text(name(0))]);
    assert_eq!(left.text.as_ref(), Some(&owner.name));
    let gone = desk.error_of(watcher.id, "GetNameOwner", vec![Value::Text(name(MANY - 1))]);
    assert!(gone.is_some());

    assert!(finish(&mut desk) > 3);
    let told = [first, changed(&desk.read(watcher.id))].concat();
    let expected: Vec<String> = (0..MANY).rev().map(name).chain([owner.name]).collect();
    assert_eq!(told, expected, "the latest first, and the unique name last");
    assert!(desk.bus.client(owner.id).is_none());
    assert_eq!(desk.bus.client_count(), 1);
}

/// A name that somebody needs is given up first; a call to the unique name is answered like others that
/// were made before.
#[test]
fn who_goes_takes_no_more_calls() {
    let (mut desk, owner, caller) = owner_and_watcher();
    closed(&mut desk, owner.id);
    desk.read(caller.id);
    desk.send(caller.id, &Mail::call(90_001, &name(0), "org.example.A", "Get"));
    desk.send(caller.id, &Mail::call(90_002, &owner.name, "org.example.A", "Get"));
    let got = desk.read(caller.id);
    assert_eq!(changed(&got), [name(0)]);
    assert!(got.iter().any(|got| got.is_error(90_001, error::SERVICE_UNKNOWN)), "{got:?}");
    finish(&mut desk);
    let got = desk.read(caller.id);
    assert!(!changed(&got).contains(&name(0)), "it is told once");
    let answers: Vec<_> = got.iter().filter(|got| got.answered.is_some()).collect();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].is_error(90_002, error::NO_REPLY), "{answers:?}");
}

/// Somebody who comes back, as a service that is started again, finds neither its names taken nor its place.
#[test]
fn who_comes_back_finds_its_place_and_its_names_free() {
    let limits = Limits { connections_per_user_max: 2, ..Limits::default() };
    let mut desk = Desk::new(limits);
    let [owner, watcher] = [1001, 1002].map(|uid| desk.guest_with(uid, true));
    let other = desk.guest_with(1001, true);
    for number in 0..MANY {
        let arguments = vec![Value::Text(name(number)), Value::Number(0)];
        assert_eq!(desk.error_of(owner.id, "RequestName", arguments), None);
    }
    closed(&mut desk, owner.id);
    assert!(desk.bus.has_put_off());
    let again = desk.guest_with(1001, true);
    const DO_NOT_QUEUE: u32 = 4;
    let arguments = vec![Value::Text(name(0)), Value::Number(DO_NOT_QUEUE)];
    desk.call_bus(again.id, "RequestName", arguments);
    let found = desk.call_bus(watcher.id, "GetNameOwner", vec![Value::Text(name(0))]);
    assert_eq!(found.text.as_ref(), Some(&again.name));
    finish(&mut desk);
    let found = desk.call_bus(watcher.id, "GetNameOwner", vec![Value::Text(name(0))]);
    assert_eq!(found.text, Some(again.name));
    drop(other);
}

// protocol.md A147
#[test]
fn many_unanswered_calls_are_answered_in_turns_after_the_name_has_gone() {
    let mut desk = Desk::new(Limits::default());
    let (callee, caller) = (desk.guest(), desk.guest());
    let rule = Value::Text("member='NameOwnerChanged'".to_owned());
    assert_eq!(desk.error_of(caller.id, "AddMatch", vec![rule]), None);
    for serial in 1..=MANY {
        desk.send(caller.id, &Mail::call(90_000 + serial, &callee.name, "org.example.A", "Get"));
    }
    desk.read(callee.id);
    desk.read(caller.id);
    closed(&mut desk, callee.id);
    let first = desk.read(caller.id);
    assert_eq!(changed(&first), [callee.name.as_str()]);
    let names = desk.call_bus(caller.id, "NameHasOwner", vec![Value::Text(callee.name.clone())]);
    assert_eq!(names.error, None);
    let serial = desk.next_serial();
    desk.send(caller.id, &Mail::call_bus(serial, "ListNames", vec![]));
    let listed = desk.read_bytes(caller.id);
    let is_listed = |name: &str| {
        listed.windows(name.len() + 1).any(|part| part == [name.as_bytes(), b"\0"].concat())
    };
    assert!(is_listed(&caller.name) && !is_listed(&callee.name), "its name has gone");
    assert_eq!(first[0].member.as_deref(), Some("NameOwnerChanged"), "before any of the answers");
    assert!(first.len() < MANY as usize / 2, "{} at once", first.len());
    let again = desk.next_serial();
    desk.send(caller.id, &Mail::call(again, &callee.name, "org.example.A", "Get"));
    let refused = desk.read(caller.id);
    assert_eq!(refused.len(), 1, "nobody has its name any more");
    assert_eq!(refused[0].answered, Some(again));
    finish(&mut desk);
    let all = [first, desk.read(caller.id)].concat();
    let mut answered: Vec<u32> = all.iter().filter_map(|got| got.answered).collect();
    answered.sort_unstable();
    assert_eq!(answered, (90_001..=90_000 + MANY).collect::<Vec<_>>(), "each once");
}

#[test]
fn who_waits_for_a_name_gets_it_from_someone_who_goes() {
    let (mut desk, owner, heir) = owner_and_watcher();
    for number in [0, MANY - 1] {
        let arguments = vec![Value::Text(name(number)), Value::Number(0)];
        assert_eq!(desk.error_of(heir.id, "RequestName", arguments), None);
    }
    closed(&mut desk, owner.id);
    // A host that noticed twice.
    closed(&mut desk, owner.id);
    finish(&mut desk);
    let acquired: Vec<_> = desk
        .read(heir.id)
        .into_iter()
        .filter(|got| got.member.as_deref() == Some("NameAcquired"))
        .filter_map(|got| got.text)
        .collect();
    assert_eq!(acquired, [name(MANY - 1), name(0)]);
    assert_eq!(desk.take_closed(), [owner.id]);
}

/// Nothing that a client sent, or was still being sent, is handled after it has gone.
#[test]
fn what_was_put_off_of_someone_who_goes_is_not_handled() {
    let (mut desk, owner, watcher) = owner_and_watcher();
    let calls = (1..=MANY).flat_map(|serial| {
        let arguments = vec![Value::Text(format!("org.example.Late{serial}")), Value::Number(0)];
        Mail::call_bus(50_000 + serial, "RequestName", arguments).write()
    });
    let calls: Vec<u8> = calls.collect();
    desk.send_bytes(owner.id, &calls, 0);
    assert!(desk.bus.has_put_off());
    closed(&mut desk, owner.id);
    finish(&mut desk);
    let last = Value::Text(format!("org.example.Late{MANY}"));
    assert!(desk.error_of(watcher.id, "GetNameOwner", vec![last]).is_some());
    assert_eq!(desk.bus.client_count(), 1);
}
