//! Who is written to when, and what is kept for the next large message.

use bus_daemon::bus::Event;
use bus_daemon::bus::id::ClientId;
use bus_daemon::bus::limits::{
    HELD_BROADCASTS_TURN_COUNT_MAX, SPARE_BUFFER_TIME_MS, SPARE_BUFFERS_SIZE_MAX,
    UNWRITTEN_BROADCASTS_SIZE_MAX, URGENT_RECIPIENT_COUNT_MAX, WORK_PER_TURN_MAX,
};
use bus_policy::config::Limits;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::desk::{Desk, Got, Guest, one_way};
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

/// Signals of which so many are more than may be unwritten.
fn large_broadcast(serial: u32, recipient_count: usize, how_many: usize) -> Vec<u8> {
    let size = UNWRITTEN_BROADCASTS_SIZE_MAX / recipient_count / how_many;
    let signal = Mail::signal(serial, "/a", "org.example.A", "Changed");
    signal.with(Value::Bytes(size)).write()
}

#[test]
fn who_broadcasts_more_than_leaves_waits_and_others_do_not() {
    let count = URGENT_RECIPIENT_COUNT_MAX + 1;
    let (mut desk, sender, recipients, bystander) = crowd(count);
    // One read for each, so that it is reading and not a turn that has to stop.
    let mut serial = 0;
    while desk.bus.may_read(sender.id) {
        serial += 1;
        desk.send_bytes(sender.id, &large_broadcast(serial, count, 100), 0);
        assert!(serial <= 100, "{} bytes are unwritten", desk.owed(recipients[0].id) * count);
    }
    assert!(desk.bus.may_read(bystander.id) && desk.bus.may_read(recipients[0].id));
    desk.send(bystander.id, &one_way(1, &recipients[0].name));
    assert_eq!(desk.bus.poll_write(), Some(recipients[0].id));
    // Each is written to once for its broadcasts; the host finds nothing left for the first.
    for _ in 0..count {
        assert!(!desk.bus.may_read(sender.id));
        assert!(desk.bus.poll_write().is_some());
    }
    assert_eq!(desk.bus.poll_write(), None);
    assert!(desk.bus.may_read(sender.id), "all are written");
}

#[test]
fn who_has_broadcast_too_much_has_no_turn() {
    let count = URGENT_RECIPIENT_COUNT_MAX + 1;
    let (mut desk, sender, recipients, bystander) = crowd(count);
    // Fewer than there are turns before broadcasts are written in any case.
    let how_many = HELD_BROADCASTS_TURN_COUNT_MAX as usize / 2;
    let signals = (1..=200).flat_map(|serial| large_broadcast(serial, count, how_many));
    desk.send_bytes(sender.id, &signals.collect::<Vec<_>>(), 0);
    while desk.bus.poll_write().is_none() {
        desk.event(Event::TurnsBegan);
    }
    assert!(desk.bus.has_put_off(), "the rest waits");
    // A bystander with more calls than a turn has time for goes on meanwhile.
    let calls = (1..=200).flat_map(|serial| one_way(serial, &sender.name).write());
    desk.send_bytes(bystander.id, &calls.collect::<Vec<_>>(), 0);
    let before = (desk.owed(recipients[1].id), desk.owed(sender.id));
    desk.event(Event::TurnsBegan);
    assert_eq!(desk.owed(recipients[1].id), before.0);
    assert!(desk.owed(sender.id) > before.1);
    while desk.bus.has_put_off() {
        take_writes(&mut desk);
        desk.event(Event::TurnsBegan);
    }
    let got = desk.read(recipients[0].id);
    assert_eq!(got.iter().filter(|got| got.sender == sender.name).count(), 200, "nothing is lost");
}

#[test]
fn who_floods_one_client_does_not_hold_the_broadcasts_of_others() {
    let count = URGENT_RECIPIENT_COUNT_MAX + 1;
    let (mut desk, sender, _, flooder) = crowd(count);
    let calls: Vec<u8> =
        (1..=2000).flat_map(|serial| one_way(serial, &sender.name).write()).collect();
    desk.send_bytes(flooder.id, &calls, 0);
    desk.send_bytes(sender.id, &broadcast(1), 0);
    assert!(desk.bus.has_put_off());
    assert_eq!(take_writes(&mut desk).len(), count + 1);
}

#[test]
fn who_broadcasts_and_floods_holds_the_broadcast_for_some_turns() {
    let count = URGENT_RECIPIENT_COUNT_MAX + 1;
    let (mut desk, sender, _, bystander) = crowd(count);
    let calls = (2..=4000).flat_map(|serial| one_way(serial, &bystander.name).write());
    let bytes: Vec<u8> = broadcast(1).into_iter().chain(calls).collect();
    desk.send_bytes(sender.id, &bytes, 0);
    let mut turns = 0;
    while take_writes(&mut desk).len() <= 1 {
        desk.event(Event::TurnsBegan);
        turns += 1;
    }
    assert!(desk.bus.has_put_off());
    assert_eq!(turns, HELD_BROADCASTS_TURN_COUNT_MAX);
}

/// What each of several users may do in a round does not depend on how many clients it has.
#[test]
fn a_user_with_many_clients_has_no_more_turns_than_another() {
    const COUNT: usize = 50;
    let mut desk = Desk::new(Limits::default());
    let crowd: Vec<Guest> = (0..COUNT).map(|_| desk.guest_with(1001, true)).collect();
    let (other, callee) = (desk.guest_with(1002, true), desk.guest_with(1003, true));
    take_writes(&mut desk);
    let calls: Vec<u8> =
        (1..=400).flat_map(|serial| one_way(serial, &callee.name).write()).collect();
    // More than a turn of each, of which nothing is left over from the introductions.
    for _ in 0..COUNT {
        desk.bus.begin_round();
    }
    let of = |got: &[Got], guest: &Guest| got.iter().filter(|got| got.sender == guest.name).count();
    let mut was_read = 0;
    for guest in &crowd {
        if !desk.bus.waits_its_turn(guest.id) {
            desk.send_bytes(guest.id, &calls, 0);
            was_read += 1;
        }
    }
    assert!((1..4).contains(&was_read), "{was_read} were read in one round");
    assert!(!desk.bus.waits_its_turn(other.id));
    // All of them have sent too much; still the other one has as many turns as all of them.
    let rest = crowd.iter().skip(was_read);
    rest.for_each(|guest| desk.send_bytes(guest.id, &calls, 0));
    desk.send_bytes(other.id, &calls, 0);
    let mut of_each = vec![0; COUNT];
    let mut own = 0;
    let mut note = |desk: &mut Desk, own: &mut usize| {
        let got = desk.read(callee.id);
        *own += of(&got, &other);
        of_each.iter_mut().zip(&crowd).for_each(|(sum, guest)| *sum += of(&got, guest));
        of_each.clone()
    };
    let before: usize = note(&mut desk, &mut own).iter().sum();
    let mut rounds = 0;
    while own < 300 {
        desk.event(Event::TurnsBegan);
        let crowds = note(&mut desk, &mut own).iter().sum::<usize>() - before;
        rounds += 1;
        assert!(rounds < 1000, "{own} of its calls have come");
        assert!(crowds < 3 * own.max(20), "{crowds} of the crowd's came, and {own} of its own");
    }
    // Nobody of the crowd is forgotten, and nothing is lost.
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
        let of_each = note(&mut desk, &mut own);
        let (least, most) = (of_each.iter().min().unwrap(), of_each.iter().max().unwrap());
        assert!(most - least < 100, "each in its turn: {of_each:?}");
    }
    assert_eq!((own, note(&mut desk, &mut own)), (400, vec![400; COUNT]));
}

/// Where there is one user, there is nobody to wait for.
#[test]
fn a_user_alone_does_not_wait_for_itself() {
    let mut desk = Desk::new(Limits::default());
    let [first, second] = [(), ()].map(|()| desk.guest());
    let calls: Vec<u8> = (1..=400).flat_map(|n| one_way(n, &second.name).write()).collect();
    desk.send_bytes(first.id, &calls, 0);
    assert!(!desk.bus.waits_its_turn(second.id));
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

/// Whoever waits for the other end of a pipe to be closed must not wait for the bus to be busy again.
#[test]
fn descriptors_are_closed_when_the_last_recipient_has_them() {
    let count = URGENT_RECIPIENT_COUNT_MAX + 1;
    let (mut desk, sender, recipients, _) = crowd(count);
    let (read_end, write_end) = rustix::pipe::pipe().unwrap();
    let mut signal = Mail::signal(1, "/a", "org.example.A", "Changed");
    signal.unix_fds = 1;
    let (client, bytes, mut fds) = (sender.id, signal.write(), vec![write_end]);
    desk.event(Event::Received { client, bytes: &bytes, fds: &mut fds });
    let is_closed = || {
        let mut fds = [PollFd::new(&read_end, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap();
        fds[0].revents().contains(PollFlags::HUP)
    };
    take_writes(&mut desk);
    for recipient in &recipients {
        assert!(!is_closed(), "not every recipient has it");
        desk.read_bytes(recipient.id);
    }
    assert!(is_closed());
}
