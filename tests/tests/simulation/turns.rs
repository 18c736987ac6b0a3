//! Who is written to when, and what is kept for the next large message.

use bus_daemon::bus::Event;
use bus_daemon::bus::id::ClientId;
use bus_daemon::bus::limits::{
    HELD_BROADCASTS_SIZE_MAX, SPARE_BUFFER_TIME_MS, SPARE_BUFFERS_SIZE_MAX,
    URGENT_RECIPIENT_COUNT_MAX, WORK_PER_TURN_MAX,
};
use bus_policy::config::Limits;

use crate::desk::{Desk, Guest, one_way};
use crate::mail::{Mail, Value};

/// A bus, someone who broadcasts to everyone of a crowd, and someone who has nothing to do with it.
fn crowd(count: usize) -> (Desk, Guest, Vec<Guest>, Guest) {
    let mut desk = Desk::new(Limits::default());
    let (sender, bystander) = (desk.guest(), desk.guest());
    let recipients: Vec<Guest> = (0..count).map(|_| desk.guest()).collect();
    for recipient in &recipients {
        let rule = Value::Text("interface='org.example.A'".to_owned());
        assert_eq!(desk.error_of(recipient.id, "AddMatch", vec![rule]), None);
    }
    take_writes(&mut desk);
    (desk, sender, recipients, bystander)
}

fn broadcast(serial: u32) -> Vec<u8> {
    Mail::signal(serial, "/a", "org.example.A", "Changed").write()
}

fn take_writes(desk: &mut Desk) -> Vec<ClientId> {
    std::iter::from_fn(|| desk.bus.poll_write()).collect()
}

#[test]
fn a_call_leaves_before_the_copies_of_a_large_broadcast() {
    for (count, is_first) in
        [(URGENT_RECIPIENT_COUNT_MAX, false), (URGENT_RECIPIENT_COUNT_MAX + 1, true)]
    {
        let (mut desk, sender, recipients, bystander) = crowd(count);
        desk.send_bytes(sender.id, &broadcast(1), 0);
        desk.send(sender.id, &one_way(2, &bystander.name));
        assert!(desk.bus.has_urgent_writes());
        let writes = take_writes(&mut desk);
        assert_eq!(writes.len(), recipients.len() + 1);
        assert_eq!(writes[0] == bystander.id, is_first, "{count} recipients");
        assert!(!desk.bus.has_writes());
    }
}

#[test]
fn someone_who_gets_a_broadcast_and_a_call_is_written_to_once_and_soon() {
    let (mut desk, sender, recipients, _) = crowd(URGENT_RECIPIENT_COUNT_MAX + 1);
    let last = recipients.last().unwrap();
    desk.send_bytes(sender.id, &broadcast(1), 0);
    desk.send(sender.id, &one_way(2, &last.name));
    assert_eq!(desk.bus.poll_write(), Some(last.id));
    let serials: Vec<u32> = desk.read(last.id).iter().map(|got| got.serial).collect();
    assert!(serials.ends_with(&[1, 2]), "in the order of sending: {serials:?}");
    let rest = take_writes(&mut desk);
    assert_eq!(rest.len(), recipients.len() - 1);
    assert!(!rest.contains(&last.id));
}

#[test]
fn broadcasts_wait_for_those_of_the_same_read_up_to_a_bound() {
    let count = URGENT_RECIPIENT_COUNT_MAX + 1;
    let (mut desk, sender, recipients, bystander) = crowd(count);
    let signals = u32::try_from(WORK_PER_TURN_MAX as usize / count).unwrap() * 3;
    let bytes: Vec<u8> = (1..=signals).flat_map(broadcast).collect();
    desk.send_bytes(sender.id, &bytes, 0);
    assert!(desk.bus.has_put_off() && desk.bus.has_writes());
    assert_eq!(desk.bus.poll_write(), None, "there is more to come for each");
    desk.send(bystander.id, &one_way(1, &sender.name));
    assert_eq!(desk.bus.poll_write(), Some(sender.id), "what is urgent does not wait");
    while desk.bus.has_put_off() {
        assert_eq!(desk.bus.poll_write(), None);
        desk.event(Event::TurnsBegan);
    }
    assert_eq!(take_writes(&mut desk).len(), count, "one write for each");
    let got = desk.read(recipients[0].id);
    assert_eq!(got.iter().filter(|got| got.sender == sender.name).count(), signals as usize);
}

#[test]
fn nobody_has_another_turn_until_a_large_backlog_of_broadcasts_is_written() {
    let count = URGENT_RECIPIENT_COUNT_MAX + 1;
    let (mut desk, sender, ..) = crowd(count);
    let large = |serial| {
        let size = u32::try_from(HELD_BROADCASTS_SIZE_MAX / count / 100).unwrap();
        Mail::signal(serial, "/a", "org.example.A", "Changed")
            .with(Value::Bytes(size as usize))
            .write()
    };
    let bytes: Vec<u8> = (1..=200).flat_map(large).collect();
    desk.send_bytes(sender.id, &bytes, 0);
    let mut turns = 1;
    while desk.bus.poll_write().is_none() {
        desk.event(Event::TurnsBegan);
        turns += 1;
    }
    assert!(desk.bus.has_put_off(), "the backlog was due after {turns} turns");
    let messages = |desk: &Desk| desk.owed(sender.id);
    let before = messages(&desk);
    desk.event(Event::TurnsBegan);
    assert_eq!((messages(&desk), desk.bus.has_put_off()), (before, true));
    take_writes(&mut desk);
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
        take_writes(&mut desk);
    }
}

/// A large message in pieces, as sockets bring it; answers how large the room for the rest was that
/// the bus gave after the first piece.
fn send_large(desk: &mut Desk, sender: &Guest, bytes: &[u8]) -> usize {
    let (first, mut rest) = bytes.split_at(64 * 1024);
    desk.send_bytes(sender.id, first, 0);
    let room = desk.bus.receive_space(sender.id).map_or(0, |space| space.len());
    while let Some(space) = desk.bus.receive_space(sender.id) {
        let size = space.len().min(rest.len()).min(200_000);
        let (piece, after) = rest.split_at(size);
        space[..size].copy_from_slice(piece);
        rest = after;
        desk.event(Event::ReceivedInPlace { client: sender.id, size, fds: &mut vec![] });
    }
    desk.send_bytes(sender.id, rest, 0);
    room
}

fn large_call(serial: u32, recipient: &Guest) -> Vec<u8> {
    one_way(serial, &recipient.name).with(Value::Bytes(SPARE_BUFFERS_SIZE_MAX / 4)).write()
}

#[test]
fn the_buffer_of_a_large_message_serves_the_next_one_and_is_let_go_when_unused() {
    let mut desk = Desk::new(Limits::default());
    let (sender, recipient) = (desk.guest(), desk.guest());
    let bytes = large_call(1, &recipient);
    let rest = bytes.len() - 64 * 1024;
    assert!(send_large(&mut desk, &sender, &bytes) < rest, "a first buffer grows with what comes");
    assert_eq!(desk.read(recipient.id).last().unwrap().serial, 1);
    let again = large_call(2, &recipient);
    assert_eq!(send_large(&mut desk, &sender, &again), rest, "the spare one has room for all");
    assert!(desk.read_bytes(recipient.id).ends_with(&again[again.len() - 1000..]));

    assert_eq!(desk.sleeps_ms(), Some(SPARE_BUFFER_TIME_MS));
    desk.pass_time(SPARE_BUFFER_TIME_MS);
    assert_eq!(desk.sleeps_ms(), Some(SPARE_BUFFER_TIME_MS), "it was used in that time");
    desk.pass_time(SPARE_BUFFER_TIME_MS);
    assert_eq!(desk.sleeps_ms(), None);
    assert!(send_large(&mut desk, &sender, &bytes) < rest, "it is gone");
}

#[test]
fn announcing_large_messages_takes_one_spare_buffer_at_most() {
    let mut desk = Desk::new(Limits::default());
    let (sender, recipient) = (desk.guest(), desk.guest());
    let bytes = large_call(1, &recipient);
    let (one, other) = bytes.split_at(64 * 1024);
    // Two are under way at once, so that two buffers are kept.
    let second = desk.guest();
    for who in [&sender, &second] {
        desk.send_bytes(who.id, one, 0);
    }
    for who in [&sender, &second] {
        desk.send_bytes(who.id, other, 0);
    }
    desk.read(recipient.id);
    let announce = |desk: &mut Desk, who: &Guest| {
        desk.send_bytes(who.id, one, 0);
        desk.bus.receive_space(who.id).map_or(0, |space| space.len())
    };
    assert_eq!(announce(&mut desk, &sender), other.len());
    assert!(
        announce(&mut desk, &second) < other.len(),
        "the other spare is not for who only announces"
    );
    desk.event(Event::Closed { client: sender.id });
    let third = desk.guest();
    assert_eq!(announce(&mut desk, &third), other.len(), "the first has gone");
}
