//! What a user and each of its clients may hold, at the bound and one past it; and that however much
//! one takes, others still get what they need (config.md B027–B042 are asked first).

use bus_daemon::bus::Event;
use bus_daemon::bus::credentials::PeerCredentials;
use bus_daemon::bus::id::ClientId;
use bus_daemon::bus::limits::{
    LET_THROUGH_BEGIN_MS, LET_THROUGH_MS, REFUSED_CONNECTIONS_LOG_GAP_MS, SENDER_PAUSE_MS,
    SHARE_RETRY_MS,
};
use bus_policy::config::Limits;
use libbus::standard_error as error;
use libbus::wire::Flags;

use crate::desk::{Desk, Got, Guest, one_way};
use crate::mail::{Mail, Value};

const GREEDY: u32 = 1001;
const MODEST: u32 = 1002;
const SERVANT: u32 = 1003;
const MIB: usize = 1 << 20;

/// The pool is 16,384 rules, names and replies: a quarter of it is more than the limit.
fn counts() -> Limits {
    Limits {
        completed_connections_max: 100,
        names_per_connection_max: 4000,
        match_rules_per_connection_max: 4000,
        replies_per_connection_max: 4000,
        ..Limits::default()
    }
}

/// The pool is 36 MiB, of which a client that is alone may have 9.
fn bytes() -> Limits {
    let mib = MIB as u64;
    Limits {
        outgoing_bytes_max: 8 * mib,
        incoming_bytes_max: mib,
        message_size_max: 9 << 20,
        ..Limits::default()
    }
}

/// Sends many messages at once and answers what came back.
fn send_all(desk: &mut Desk, client: ClientId, mails: impl Iterator<Item = Mail>) -> Vec<Got> {
    let bytes: Vec<u8> = mails.flat_map(|mail| mail.write()).collect();
    // With thousands of rules that would take a while after each turn.
    desk.is_checked = false;
    desk.send_bytes(client, &bytes, 0);
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
    }
    desk.is_checked = true;
    desk.read(client)
}

fn refusals(got: &[Got]) -> usize {
    let refused = Some(error::LIMITS_EXCEEDED.as_str());
    got.iter().filter(|got| got.error.as_deref() == refused).count()
}

/// Adds rules until there is no room, and returns how many there was room for.
fn add_rules(desk: &mut Desk, guest: &Guest) -> usize {
    let rule = |n: u32| Value::Text(format!("arg0='{n}'"));
    let mails = (1..=4200).map(|n| Mail::call_bus(n, "AddMatch", vec![rule(n)]));
    4200 - refusals(&send_all(desk, guest.id, mails))
}

fn request_names(desk: &mut Desk, guest: &Guest) -> usize {
    let owner = guest.name.replace([':', '.'], "_");
    let name = |n: u32| Value::Text(format!("org.example.{owner}.N{n}"));
    let body = |n| vec![name(n), Value::Number(0)];
    let mails = (1..=4200).map(|n| Mail::call_bus(n, "RequestName", body(n)));
    // The unique name is one of them.
    1 + 4200 - refusals(&send_all(desk, guest.id, mails))
}

/// Calls somebody who does not answer.
fn make_calls(desk: &mut Desk, guest: &Guest) -> usize {
    let callee = desk.guest();
    let call = |n| Mail::call(n, &callee.name, "org.example.A", "Get");
    let count = 4200 - refusals(&send_all(desk, guest.id, (1..=4200).map(call)));
    desk.read(callee.id);
    count
}

/// Who floods a service that does not read leaves room there for others, and the service's own user,
/// root and the answers that it asked for are not bounded by that.
#[test]
fn no_user_fills_the_queue_of_another_ones_service() {
    let mut desk = Desk::new(bytes());
    let [service, greedy, modest, own, root] =
        [SERVANT, GREEDY, MODEST, SERVANT, 0].map(|uid| desk.guest_with(uid, true));
    let size = 64 * 1024;
    let call = |serial| {
        let mail = Mail::call(serial, &service.name, "org.example.A", "Get");
        mail.with(Value::Bytes(size))
    };
    // It has asked for something before.
    desk.send(service.id, &Mail::call(7, &greedy.name, "org.example.A", "Get"));
    let flood = |desk: &mut Desk, from: &Guest, count: u32| {
        let mut refused = 0;
        for serial in 1..=count {
            desk.send(from.id, &call(serial));
            // Perhaps it is paused.
            desk.pass_time(SENDER_PAUSE_MS);
            refused += refusals(&desk.read(from.id));
        }
        (count as usize - refused) * size
    };
    let near = |taken: usize, expected: usize| taken.abs_diff(expected) < 2 * MIB;
    let taken = flood(&mut desk, &greedy, 100);
    assert!(near(taken, 4 * MIB), "half of 8 MiB: {taken}");
    let text = desk.log.iter().find(|line| line.contains("of them")).or(desk.log.last()).unwrap();
    assert!(text.contains("user 1001 sent") && text.contains("half of what other"), "{text}");
    let taken = flood(&mut desk, &modest, 100);
    assert!(near(taken, 2 * MIB), "half of the rest: {taken}");
    for (who, guest) in [("its own user", &own), ("root", &root)] {
        assert_eq!(flood(&mut desk, guest, 2), 2 * size, "{who}");
    }
    let answer = Mail::reply(200, &service.name, 7.try_into().unwrap());
    desk.send(greedy.id, &answer);
    let got = desk.read(service.id);
    assert!(got.iter().any(|got| got.answered == Some(7)), "the answer came");
    // All was read, and there is room again.
    assert_eq!(flood(&mut desk, &greedy, 10), 10 * size);
}

/// The same with broadcasts: those of one user leave a client out that does not read, and those of others,
/// and calls, still reach it.
#[test]
fn no_users_broadcasts_fill_the_queue_of_another_ones_client() {
    let mut desk = Desk::new(bytes());
    let [listener, greedy, modest, own, root] =
        [SERVANT, GREEDY, MODEST, SERVANT, 0].map(|uid| desk.guest_with(uid, true));
    let rule = Value::Text("member='Changed'".to_owned());
    assert_eq!(desk.error_of(listener.id, "AddMatch", vec![rule]), None);
    let size = 64 * 1024;
    let flood = |desk: &mut Desk, from: &Guest, count: u32| {
        let before = desk.owed(listener.id);
        for serial in 1..=count {
            let signal = Mail::signal(serial, "/a", "org.example.A", "Changed");
            desk.send(from.id, &signal.with(Value::Bytes(size)));
        }
        desk.owed(listener.id) - before
    };
    let near = |taken: usize, expected: usize| taken.abs_diff(expected) < 2 * MIB;
    let taken = flood(&mut desk, &greedy, 100);
    assert!(near(taken, 4 * MIB), "half of 8 MiB: {taken}");
    let line = desk.log.iter().find(|line| line.contains("leave out")).unwrap();
    assert!(line.contains("user 1001 sent") && line.contains(&listener.name), "{line}");
    let taken = flood(&mut desk, &modest, 100);
    assert!(near(taken, 2 * MIB), "half of the rest: {taken}");
    assert_eq!(desk.log.iter().filter(|line| line.contains("leave out")).count(), 1);
    for (who, guest) in [("its own user", &own), ("root", &root)] {
        assert!(flood(&mut desk, guest, 2) > 2 * size, "{who}");
    }
    // Who has had its share by broadcasts has no more by calls; others have.
    let call = |serial| Mail::call(serial, &listener.name, "org.example.A", "Get");
    desk.send(greedy.id, &call(900));
    assert_eq!(refusals(&desk.read(greedy.id)), 1);
    let third = desk.guest_with(SERVANT + 1, true);
    desk.send(third.id, &call(900));
    assert_eq!(refusals(&desk.read(third.id)), 0);

    // A little is read: the log hears nothing of it. All is read: it is over, and there is room again.
    desk.event(Event::Written { client: listener.id, size: MIB });
    assert!(!desk.log.iter().any(|line| line.contains("that is over")));
    desk.read_bytes(listener.id);
    assert!(desk.log.iter().any(|line| line.contains("that is over")), "{:?}", desk.log);
    assert!(flood(&mut desk, &greedy, 10) > 10 * size);
}

/// Rules that have to be looked at one after the other make every message dearer: of them all users
/// together have few.
#[test]
fn rules_that_no_index_finds_are_shared() {
    let mut desk = Desk::new(Limits::default());
    let rule = |n: u32| match n % 3 {
        0 => format!("arg{}='{n}'", 1 + n % 60),
        1 => format!("arg0path='/{n}'"),
        _ => format!("destination=':9.{n}'"),
    };
    let add = |desk: &mut Desk, guest: &Guest, count: u32| {
        let call = |n| Mail::call_bus(n, "AddMatch", vec![Value::Text(rule(n))]);
        count as usize - refusals(&send_all(desk, guest.id, (1..=count).map(call)))
    };
    let clients = [GREEDY, GREEDY, MODEST, 0].map(|uid| desk.guest_with(uid, true));
    let [first, second, other, root] = &clients;
    assert_eq!(add(&mut desk, first, 600), 512, "the limit of a connection");
    assert_eq!(add(&mut desk, second, 600), 256, "half of what the first one left");
    assert_eq!(add(&mut desk, other, 600), (2048 - 768) / 4);
    assert_eq!(add(&mut desk, root, 600), 512);
    let text = desk.log.iter().find(|line| line.contains("a path as argument")).unwrap();
    assert!(text.contains("user 1001") && text.contains("2048"), "{text}");
    // Other rules are found by what they ask for.
    let call = |n: u32| Mail::call_bus(n, "AddMatch", vec![Value::Text(format!("arg0='{n}'"))]);
    assert_eq!(refusals(&send_all(&mut desk, second.id, (1..=200).map(call))), 0);
    // Those that are gone do not count.
    let remove = |n| Mail::call_bus(n, "RemoveMatch", vec![Value::Text(rule(n))]);
    assert_eq!(refusals(&send_all(&mut desk, second.id, (1..=256).map(remove))), 0);
    assert_eq!(add(&mut desk, second, 256), (2048 - 320 - 1024) / 4);
}

#[test]
fn rules_names_and_replies_are_shared() {
    for (case, take) in [
        ("rules", add_rules as fn(&mut Desk, &Guest) -> usize),
        ("names", request_names),
        ("replies", make_calls),
    ] {
        let mut desk = Desk::new(counts());
        let clients = [GREEDY, GREEDY, MODEST, 0].map(|uid| desk.guest_with(uid, true));
        let [first, second, other, root] = &clients;
        assert_eq!(take(&mut desk, first), 4000, "{case}: the limit of a connection");
        // Another user has a name already.
        let of_user = (16_384 - usize::from(case == "names")) / 2;
        let second_share = (of_user - 4000) / 2;
        assert_eq!(take(&mut desk, second), second_share, "{case}: half of what the first left");
        let left = 16_384 - 4000 - second_share;
        assert_eq!(take(&mut desk, other), left / 4, "{case}: a quarter of what one user left");
        let holder = format!("of 16384 (user {GREEDY} has {})", 4000 + second_share);
        assert!(desk.log.iter().any(|line| line.contains(&holder)), "{:?}", desk.log);
        assert_eq!(take(&mut desk, root), 4000, "{case}: root has a pool of its own");
        assert!(desk.log.iter().any(|line| line.contains("user 1001") && line.contains("16384")));
        // What is given back can be had again.
        desk.event(Event::Closed { client: first.id });
        let [third, _] = [(), ()].map(|()| desk.guest_with(GREEDY, true));
        assert!(take(&mut desk, &third) > 1000, "{case}");
        assert_eq!(desk.take_closed(), [first.id]);
    }
}

/// Sends messages of a quarter of a MiB to one that does not read until they are refused, and returns
/// how many bytes wait for it.
fn fill(desk: &mut Desk, sender: &Guest, slow: &Guest) -> usize {
    for serial in 1.. {
        let mut mail = Mail::call(serial, &slow.name, "org.example.A", "Get");
        mail.flags = Flags::NO_REPLY_EXPECTED;
        desk.send(sender.id, &mail.with(Value::Bytes(MIB / 4)));
        if !desk.bus.may_read(sender.id) {
            desk.pass_time(SENDER_PAUSE_MS);
        }
        if refusals(&desk.read(sender.id)) > 0 {
            break;
        }
    }
    desk.owed(slow.id)
}

#[test]
fn bytes_that_wait_are_shared() {
    let mut desk = Desk::new(bytes());
    let sender = desk.guest();
    let slow: Vec<Guest> = (0..8).map(|_| desk.guest_with(GREEDY, true)).collect();
    let owed: Vec<usize> = slow.iter().map(|slow| fill(&mut desk, &sender, slow)).collect();
    // One message may exceed a share, since that is asked before.
    let is_about = |size: usize, share: usize| size > share && size <= share + MIB / 3;
    let mut others = 0;
    for (number, size) in owed.iter().enumerate() {
        let share = ((18 * MIB).saturating_sub(others) / 2).min(8 * MIB);
        assert!(is_about(*size, share), "client {number}: {size} of {share}, others {others}");
        others += size;
    }
    let refusal = desk.log.last().unwrap();
    for part in ["uid=1001", "user 1001", &sender.name, &slow[7].name, "max_outgoing_bytes"] {
        assert!(refusal.contains(part), "{part} is not in {refusal}");
    }
    // Somebody else has room, and so has root.
    let other = desk.guest_with(MODEST, true);
    let left = 36 * MIB - others;
    let size = fill(&mut desk, &sender, &other);
    assert!(is_about(size, left / 4), "{size} of {left}");
    let root = desk.guest_with(0, true);
    let size = fill(&mut desk, &sender, &root);
    assert!(is_about(size, 8 * MIB), "{size}");
    // Broadcasts leave out who has no room, and the bus still answers it.
    let last = &slow[7];
    let rule = Value::Text("interface='org.example.A'".to_owned());
    let before = desk.owed(last.id);
    let serial = desk.next_serial();
    desk.send(last.id, &Mail::call_bus(serial, "AddMatch", vec![rule]));
    let answered = desk.owed(last.id);
    assert!(answered > before);
    let signal = Mail::signal(7, "/a", "org.example.A", "Changed");
    desk.send(sender.id, &signal);
    assert_eq!(desk.owed(last.id), answered);
    assert!(desk.log.last().unwrap().contains(&last.name));
    assert_eq!(desk.take_closed(), []);
}

#[test]
fn descriptors_that_wait_are_shared() {
    let mut desk = Desk::new(Limits::default());
    let sender = desk.guest();
    // The pool is 1,024: one user may have 512.
    let mut serial = 0;
    let mut fill = |desk: &mut Desk, slow: &Guest| {
        loop {
            serial += 1;
            let mut mail = one_way(serial, &slow.name);
            mail.unix_fds = 8;
            desk.send(sender.id, &mail);
            // It is paused before.
            desk.pass_time(SENDER_PAUSE_MS);
            if refusals(&desk.read(sender.id)) > 0 {
                break desk.bus.client(slow.id).unwrap().outbox.fds();
            }
        }
    };
    let mut held = 0;
    for number in 0..12 {
        let slow = desk.guest_with(GREEDY, true);
        let count = fill(&mut desk, &slow);
        let share = (512_usize.saturating_sub(held) / 2).min(64);
        assert!(count <= share + 8 && count >= share.min(64), "{number}: {count} of {share}");
        held += count;
    }
    let other = desk.guest_with(MODEST, true);
    assert_eq!(fill(&mut desk, &other), 72, "the limit of a connection, and one message");
}

/// A user with many idle clients of its own takes no more than its share of the bus's descriptors, though
/// each of its clients may have a message in hand.
#[test]
fn descriptors_for_many_clients_of_one_user_are_its_share() {
    let mut desk = Desk::new(Limits::default());
    let sender = desk.guest_with(GREEDY, true);
    let idle: Vec<Guest> = (0..100).map(|_| desk.guest_with(GREEDY, true)).collect();
    let mail = |serial, to: &Guest| {
        let mut mail = one_way(serial, &to.name);
        mail.unix_fds = 16;
        mail
    };
    for (serial, client) in (1..).zip(&idle) {
        desk.send(sender.id, &mail(serial, client));
    }
    let held: usize =
        idle.iter().map(|guest| desk.bus.client(guest.id).unwrap().outbox.fds()).sum();
    assert_eq!(held, 512 + 16, "half of the pool of 1,024, and one message");
    assert_eq!(refusals(&desk.read(sender.id)), 100 - 33);
    let [one, other] = [(); 2].map(|()| desk.guest_with(MODEST, true));
    for serial in 1..=4 {
        desk.send(one.id, &mail(serial, &other));
    }
    assert_eq!(refusals(&desk.read(one.id)), 0);
}

/// Ends all pauses, and handles what was put off.
fn pass_pauses(desk: &mut Desk) {
    desk.pass_time(SENDER_PAUSE_MS);
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
    }
}

/// Of the descriptors that wait for a client one user may have half of what the others leave, and messages
/// without any are not refused on account of those.
#[test]
fn descriptors_of_one_user_shut_nobody_out_of_a_service() {
    let mut desk = Desk::new(Limits::default());
    let service = desk.guest();
    let [greedy, modest] = [GREEDY, MODEST].map(|uid| desk.guest_with(uid, true));
    let mail = |serial| {
        let mut mail = one_way(serial, &service.name);
        mail.unix_fds = 1;
        mail
    };
    (1..=64).for_each(|serial| desk.send(greedy.id, &mail(serial)));
    assert!(!desk.bus.may_read(greedy.id), "it is slowed first");
    pass_pauses(&mut desk);
    let got = desk.read(greedy.id);
    assert_eq!(refusals(&got), 64 - 33, "half of 64, and one message");
    let text = format!("of 33 file descriptors that wait for it user {GREEDY} sent 33");
    assert!(desk.log.iter().any(|line| line.contains(&text)), "{:?}", desk.log);
    (1..=15).for_each(|serial| desk.send(modest.id, &mail(serial)));
    desk.send(modest.id, &one_way(16, &service.name));
    pass_pauses(&mut desk);
    assert_eq!(refusals(&desk.read(modest.id)), 0);
    desk.bus.check_invariants();
}

/// Nor by broadcasts: they leave out who has half of its queue full of them, and those of others do not.
/// Nobody is paused on account of broadcasts.
#[test]
fn descriptors_of_one_users_broadcasts_leave_room_for_others() {
    let mut desk = Desk::new(Limits::default());
    let [listener, greedy, modest] =
        [SERVANT, GREEDY, MODEST].map(|uid| desk.guest_with(uid, true));
    let rule = Value::Text("member='Changed'".to_owned());
    assert_eq!(desk.error_of(listener.id, "AddMatch", vec![rule]), None);
    let flood = |desk: &mut Desk, from: &Guest| {
        let outbox = |desk: &Desk| desk.bus.client(listener.id).unwrap().outbox.fds();
        let before = outbox(desk);
        for serial in 1..=40 {
            let mut signal = Mail::signal(serial, "/a", "org.example.A", "Changed");
            signal.unix_fds = 1;
            desk.send(from.id, &signal);
            assert!(desk.bus.may_read(from.id));
        }
        outbox(desk) - before
    };
    assert_eq!(flood(&mut desk, &greedy), 33, "half of 64, and one message");
    let text = format!("of 33 file descriptors that wait for it user {GREEDY} sent 33");
    assert!(desk.log.iter().any(|line| line.contains(&text)), "{:?}", desk.log);
    assert_eq!(flood(&mut desk, &modest), 16, "half of 64 - 33, and one message");
    // Calls of who has had its share are refused, and those of others are not.
    let mut call = Mail::call(50, &listener.name, "org.example.A", "Get");
    call.unix_fds = 1;
    for (from, refused) in [(&greedy, 1), (&modest, 1), (&desk.guest_with(SERVANT + 1, true), 0)] {
        desk.send(from.id, &call);
        assert_eq!(refusals(&desk.read(from.id)), refused);
    }
    desk.bus.check_invariants();
    desk.read_bytes(listener.id);
    assert_eq!(flood(&mut desk, &greedy), 33);
}

// config.md B028, B032: of descriptors that came before the rest of their message a user may hold its
// share; those beyond are closed, and their message is refused when it is whole. No client is
// disconnected, and nobody else has less.
#[test]
fn descriptors_of_half_messages_are_shared() {
    let mut desk = Desk::new(Limits::default());
    let receiver = desk.guest();
    let mut mail = one_way(1, &receiver.name);
    mail.unix_fds = 16;
    let mut begin = mail.write();
    let rest = begin.split_off(20);
    let clients: Vec<Guest> = (0..100).map(|_| desk.guest_with(GREEDY, true)).collect();
    for client in &clients {
        desk.send_bytes(client.id, &begin, 16);
    }
    let held = |guest: &Guest| desk.bus.client(guest.id).unwrap().incoming.fds.len();
    let sum: usize = clients.iter().map(held).sum();
    assert!(sum > 400 && sum <= 512, "half of the pool of 1,024: {sum}");
    assert_eq!(desk.take_closed(), []);
    // Somebody else's pass, in one piece and in two.
    let other = desk.guest_with(MODEST, true);
    desk.send(other.id, &mail);
    assert_eq!(desk.read(receiver.id).last().map(|got| got.announced_fds), Some(16));
    desk.send_bytes(other.id, &begin, 16);
    desk.send_bytes(other.id, &rest, 0);
    assert_eq!(desk.read(receiver.id).last().map(|got| got.announced_fds), Some(16));
    // So do those that come with their whole message.
    let last = &clients[99];
    assert_eq!(desk.bus.client(last.id).unwrap().incoming.fds.len(), 0);
    let mut count = 0;
    for client in &clients {
        desk.send_bytes(client.id, &rest, 0);
        let passed = desk.read(receiver.id).len();
        let refused = refusals(&desk.read(client.id));
        assert_eq!(passed + refused, 1);
        count += passed;
    }
    assert_eq!(count, sum / 16);
    desk.send(last.id, &mail);
    assert_eq!(desk.read(receiver.id).last().map(|got| got.announced_fds), Some(16));
    // What comes with the rest of a refused message belongs to the next one.
    for client in &clients {
        desk.send_bytes(client.id, &begin, 16);
    }
    assert_eq!(desk.bus.client(last.id).unwrap().incoming.fds_refused, 16);
    let both = [rest, mail.write()].concat();
    desk.send_bytes(last.id, &both, 16);
    assert_eq!(refusals(&desk.read(last.id)), 1);
    assert_eq!(desk.read(receiver.id).last().map(|got| got.announced_fds), Some(16));
    assert_eq!(desk.take_closed(), []);
}

/// A bus on which GREEDY's clients have used up their share of bytes, and who owes them.
fn used_up() -> (Desk, Guest, Vec<Guest>) {
    let mut desk = Desk::new(bytes());
    let sender = desk.guest();
    let slow: Vec<Guest> = (0..6).map(|_| desk.guest_with(GREEDY, true)).collect();
    for slow in &slow {
        fill(&mut desk, &sender, slow);
    }
    (desk, sender, slow)
}

/// A message of two MiB, in halves.
fn halves(recipient: &Guest) -> [Vec<u8>; 2] {
    let mut message = one_way(1, &recipient.name).with(Value::Bytes(2 * MIB)).write();
    let rest = message.split_off(MIB);
    [message, rest]
}

/// Of a user without room, one client at a time may send a large message; the others wait for it, or
/// for room.
#[test]
fn half_a_message_beyond_the_share_waits_for_its_turn_or_for_room() {
    let (mut desk, sender, slow) = used_up();
    let writers: Vec<Guest> = (0..3).map(|_| desk.guest_with(GREEDY, true)).collect();
    let [half, rest] = halves(&sender);
    for writer in &writers {
        desk.send_bytes(writer.id, &half, 0);
    }
    let able = |desk: &Desk| [0, 1, 2].map(|n: usize| desk.bus.may_read(writers[n].id));
    assert_eq!(able(&desk), [true, false, false], "the first one is let through");
    assert_eq!(desk.sleeps_ms().map(|ms| ms <= SHARE_RETRY_MS), Some(true));
    desk.pass_time(SHARE_RETRY_MS);
    assert_eq!(able(&desk), [true, false, false], "there is no room yet");
    desk.read_again.clear();
    desk.send_bytes(writers[0].id, &rest, 0);
    assert_eq!(desk.read(sender.id).last().map(|got| got.serial), Some(1));
    assert_eq!(able(&desk), [true, true, false], "then the next one");
    assert_eq!(desk.read_again, [writers[1].id]);
    desk.read_bytes(slow[0].id);
    desk.read_again.clear();
    desk.pass_time(SHARE_RETRY_MS);
    assert_eq!((able(&desk), &*desk.read_again), ([true; 3], &[writers[2].id][..]), "room");
    for writer in [2, 1] {
        desk.send_bytes(writers[writer].id, &rest, 0);
        assert_eq!(desk.read(sender.id).last().map(|got| got.serial), Some(1));
    }
    assert!(desk.sleeps_ms().is_none_or(|ms| ms > SHARE_RETRY_MS), "nobody waits");
    assert_eq!(desk.take_closed(), []);
}

/// What a client is sending keeps nothing from it that others, or the bus, send to it.
#[test]
fn who_waits_with_half_a_message_still_receives() {
    let (mut desk, sender, _slow) = used_up();
    let [one, two] = [(), ()].map(|()| desk.guest_with(GREEDY, true));
    let [half, _] = halves(&sender);
    desk.send_bytes(one.id, &half, 0);
    desk.send_bytes(two.id, &half, 0);
    assert!(!desk.bus.may_read(two.id));
    desk.send(sender.id, &one_way(8, &two.name));
    desk.send(sender.id, &Mail::call_bus(9, "ListNames", vec![]));
    assert_eq!(desk.read(two.id).last().map(|got| got.serial), Some(8));
    assert_eq!(refusals(&desk.read(sender.id)), 0);
    // The bus answers a message however large it was.
    let three = desk.guest_with(GREEDY, true);
    let large = Mail::call_bus(7, "GetId", vec![Value::Bytes(3 * MIB)]);
    desk.event(Event::Closed { client: one.id });
    desk.event(Event::Closed { client: two.id });
    desk.send_bytes(three.id, &large.write(), 0);
    assert_eq!(desk.read(three.id).last().and_then(|got| got.answered), Some(7));
}

/// A turn is for one message: whoever sends the next one at once waits behind the others.
#[test]
fn a_turn_ends_with_the_message() {
    let (mut desk, sender, _slow) = used_up();
    let [one, two] = [(), ()].map(|()| desk.guest_with(GREEDY, true));
    let [half, mut rest] = halves(&sender);
    desk.send_bytes(one.id, &half, 0);
    desk.send_bytes(two.id, &half, 0);
    rest.extend_from_slice(&half[..100_000]);
    desk.send_bytes(one.id, &rest, 0);
    assert!(!desk.bus.may_read(one.id) && desk.bus.may_read(two.id));
    desk.event(Event::Closed { client: two.id });
    assert!(desk.bus.may_read(one.id), "nobody else is left");
}

#[test]
fn who_dies_with_half_a_message_holds_nobody_up() {
    let (mut desk, sender, _slow) = used_up();
    let writers: Vec<Guest> = (0..40).map(|_| desk.guest_with(GREEDY, true)).collect();
    let [half, _] = halves(&sender);
    for writer in &writers {
        desk.send_bytes(writer.id, &half, 0);
    }
    // One after the other is read from, and is gone.
    for writer in &writers {
        assert!(desk.bus.may_read(writer.id));
        desk.event(Event::Closed { client: writer.id });
    }
    assert_eq!(desk.take_closed().len(), 40);
    assert_eq!(desk.sleeps_ms(), None);
}

#[test]
fn who_does_not_send_the_rest_while_others_wait_is_disconnected() {
    let (mut desk, sender, _slow) = used_up();
    let [one, two] = [(), ()].map(|()| desk.guest_with(GREEDY, true));
    let [half, rest] = halves(&sender);
    desk.send_bytes(one.id, &half, 0);
    desk.pass_time(10 * LET_THROUGH_MS);
    assert!(desk.bus.may_read(one.id), "alone it has all the time");
    desk.send_bytes(one.id, &rest[..100_000], 0);
    desk.send_bytes(two.id, &half, 0);
    desk.pass_time(LET_THROUGH_MS - 1);
    assert!(desk.bus.may_read(one.id) && !desk.bus.may_read(two.id));
    assert_eq!(desk.take_closed(), []);
    desk.pass_time(SHARE_RETRY_MS);
    assert_eq!(desk.take_closed(), [one.id]);
    let line = desk.log.last().unwrap();
    assert!(line.contains(&one.name) && line.contains("large message"), "{line}");
    desk.pass_time(2 * LET_THROUGH_MS);
    desk.send_bytes(two.id, &rest, 0);
    assert_eq!(desk.read(sender.id).last().map(|got| got.serial), Some(1));
    assert_eq!(desk.take_closed(), []);
}

/// Whoever does nothing with its turn has another one later, and nobody waits for it long.
#[test]
fn a_turn_of_which_nothing_comes_passes_on() {
    let (mut desk, sender, _slow) = used_up();
    let idle: Vec<Guest> = (0..20).map(|_| desk.guest_with(GREEDY, true)).collect();
    let [half, rest] = halves(&sender);
    for guest in &idle {
        desk.send_bytes(guest.id, &half, 0);
    }
    let honest = desk.guest_with(GREEDY, true);
    desk.send_bytes(honest.id, &half, 0);
    for number in 0..20 {
        assert!(!desk.bus.may_read(honest.id), "{number}");
        desk.pass_time(LET_THROUGH_BEGIN_MS + SHARE_RETRY_MS);
    }
    assert!(desk.bus.may_read(honest.id));
    desk.send_bytes(honest.id, &rest, 0);
    assert_eq!(desk.read(sender.id).last().map(|got| got.serial), Some(1));
    assert_eq!(desk.take_closed(), []);
}

/// Another user's large messages have room, whatever one user does.
#[test]
fn half_messages_of_one_user_hold_no_other_user_up() {
    let (mut desk, sender, _slow) = used_up();
    let [half, rest] = halves(&sender);
    for _ in 0..40 {
        let writer = desk.guest_with(GREEDY, true);
        desk.send_bytes(writer.id, &half, 0);
    }
    for uid in [MODEST, 0] {
        let other = desk.guest_with(uid, true);
        desk.send_bytes(other.id, &half, 0);
        assert!(desk.bus.may_read(other.id), "{uid}");
        desk.send_bytes(other.id, &rest, 0);
        assert_eq!(desk.read(sender.id).last().map(|got| got.serial), Some(1), "{uid}");
    }
}

// config.md B027, B030, B031: byte limits below the size of a message do not keep one from coming.
#[test]
fn the_largest_message_can_be_sent_with_small_limits_of_bytes() {
    let limits = Limits {
        outgoing_bytes_max: 1_000_000,
        incoming_bytes_max: 1_000_000,
        message_size_max: 32 << 20,
        ..Limits::default()
    };
    let mut desk = Desk::new(limits);
    let [sender, receiver] = [GREEDY, MODEST].map(|uid| desk.guest_with(uid, true));
    let message = one_way(1, &receiver.name).with(Value::Bytes(31 * MIB)).write();
    for part in message.chunks(MIB) {
        assert!(desk.bus.may_read(sender.id));
        desk.send_bytes(sender.id, part, 0);
    }
    assert_eq!(desk.read(receiver.id).last().map(|got| got.serial), Some(1));
}

// config.md B036, B038: only users have shares of them.
#[test]
fn connections_are_shared() {
    let limits =
        Limits { completed_connections_max: 16, connections_per_user_max: 8, ..Limits::default() };
    let mut desk = Desk::new(limits);
    let mut hello = |uid: u32| {
        let id = desk.authenticated(uid, true);
        desk.hello(id).is_ok()
    };
    assert_eq!((0..9).filter(|_| hello(GREEDY)).count(), 8, "the limit of a user");
    assert_eq!((0..9).filter(|_| hello(MODEST)).count(), 4, "half of what is left");
    assert_eq!((0..9).filter(|_| hello(1003)).count(), 2);
    assert!(hello(0) && hello(0), "root is bounded by max_completed_connections alone");
    assert!(!hello(0));
    assert!(desk.log.iter().any(|line| line.contains("user 1002") && line.contains("of 16")));
}

/// What became of connections that came one after the other.
fn connect_all(desk: &mut Desk, count: usize, uid: Option<u32>) -> Vec<ClientId> {
    let credentials = || PeerCredentials { uid, ..PeerCredentials::default() };
    let clients = (0..count).map(|_| desk.connect(credentials())).collect();
    desk.event(Event::TurnsBegan);
    clients
}

/// How many of them may be read from, wait, and are gone.
fn census(desk: &Desk, clients: &[ClientId]) -> [usize; 3] {
    let alive = clients.iter().filter(|id| desk.bus.client(**id).is_some()).count();
    let begun = clients.iter().filter(|id| desk.bus.may_read(**id)).count();
    [begun, alive - begun, clients.len() - alive]
}

// config.md B037: a flood from one user or sandbox never stops others from connecting.
#[test]
fn connections_before_hello_are_shared() {
    let limits = Limits {
        incomplete_connections_max: 8,
        connections_per_user_max: 16,
        completed_connections_max: 64,
        ..Limits::default()
    };
    let mut desk = Desk::new(limits);
    let mut flood = |uid| {
        let clients = connect_all(&mut desk, 100, uid);
        census(&desk, &clients)
    };
    assert_eq!(flood(Some(GREEDY)), [4, 16, 80], "its share, and as many as may be completed");
    assert_eq!(flood(Some(MODEST)), [2, 16, 82]);
    assert_eq!(flood(None), [1, 16, 83], "who is not known is like a user");
    assert_eq!(flood(Some(1003)), [0, 8, 92], "half of the places that the others leave");
    assert_eq!(desk.take_closed().len(), 80 + 82 + 83 + 92, "at once");
    assert_eq!(desk.log.len(), 1, "one line: {:?}", desk.log);
    assert!(
        desk.log[0].contains("user 1001") && desk.log[0].contains("max_incomplete_connections")
    );
    assert!(desk.bus.accepts_connections());
    let clients = connect_all(&mut desk, 2, Some(0));
    assert_eq!(census(&desk, &clients), [1, 1, 0]);
    assert!(!desk.bus.accepts_connections(), "now it is max_incomplete_connections");
    assert_eq!(desk.log.len(), 1);
    // Later the log tells again, of all of them.
    desk.pass_time(REFUSED_CONNECTIONS_LOG_GAP_MS);
    let before = desk.log.len();
    connect_all(&mut desk, 100, Some(GREEDY));
    let lines: Vec<_> = desk.log[before..].iter().filter(|line| line.contains("Refused")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

// config.md B034, B037: a session whose programs start all at once loses none of them.
#[test]
fn who_is_one_too_many_before_hello_has_its_turn() {
    let limits = Limits { incomplete_connections_max: 8, ..Limits::default() };
    let auth_timeout = u64::from(limits.auth_timeout_ms);
    let mut desk = Desk::new(limits);
    let clients = connect_all(&mut desk, 40, Some(GREEDY));
    assert_eq!(census(&desk, &clients), [4, 36, 0]);
    for (number, id) in clients.iter().enumerate() {
        assert!(desk.bus.may_read(*id), "{number}");
        desk.authenticate(*id, GREEDY, true);
        desk.hello(*id).unwrap();
    }
    assert_eq!(desk.read_again, clients[4..], "each was told of in its order");
    // Its time begins with its turn; and who goes while it waits leaves nothing.
    let clients = connect_all(&mut desk, 6, Some(GREEDY));
    desk.event(Event::Closed { client: clients[4] });
    desk.pass_time(auth_timeout);
    assert_eq!(census(&desk, &clients), [1, 0, 5]);
    desk.pass_time(auth_timeout - 1);
    assert!(desk.bus.may_read(clients[5]));
    desk.pass_time(1);
    assert_eq!(census(&desk, &clients), [0, 0, 6]);
    assert_eq!(desk.take_closed().len(), 6);
}

// A client whose user turns out to be another one is charged to that one.
#[test]
fn nobody_holds_anything_when_all_are_gone() {
    let mut desk = Desk::new(counts());
    let mut guests: Vec<Guest> =
        [GREEDY, MODEST, 0, GREEDY].map(|uid| desk.guest_with(uid, true)).into();
    let anonymous = desk.connect(PeerCredentials { uid: Some(GREEDY), ..Default::default() });
    desk.send_bytes(anonymous, b"\0AUTH ANONYMOUS\r\nBEGIN\r\n", 0);
    desk.read_bytes(anonymous);
    guests.push(desk.hello(anonymous).unwrap());
    for guest in &guests {
        desk.send(guest.id, &Mail::call(1, &guests[0].name, "org.example.A", "Get"));
        desk.call_bus(guest.id, "AddMatch", vec![Value::Text("type='signal'".to_owned())]);
        let name = vec![Value::Text("org.example.All".to_owned()), Value::Number(0)];
        desk.call_bus(guest.id, "RequestName", name);
        let mut mail = one_way(2, &guests[3].name).with(Value::Bytes(100_000));
        mail.unix_fds = u32::from(guest.id != anonymous);
        desk.send(guest.id, &mail);
    }
    for guest in guests {
        desk.event(Event::Closed { client: guest.id });
    }
    desk.bus.check_empty();
}
