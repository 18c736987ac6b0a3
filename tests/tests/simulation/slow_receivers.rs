//! Clients that are sent more than they read: who is slowed, for how long, and who never is
//! (config.md B029, protocol.md A151).

use std::num::NonZeroU32;

use bus_daemon::bus::Event;
use bus_daemon::bus::limits::{
    LOGGED_LEFT_OUT_MAX, LOGGED_REFUSALS_GAP_MS, SENDER_PAUSE_GAP_MS, SENDER_PAUSE_MS,
    slow_receiver_size_max,
};
use bus_policy::config::Limits;
use libbus::standard_error as error;

use crate::desk::{Desk, Guest, one_way};
use crate::mail::{Mail, Value};

/// Bytes of each message of a flood, about.
const SIZE: usize = 1000;
const LIMIT: u64 = 64 * 1024;

fn limits() -> Limits {
    Limits { outgoing_bytes_max: LIMIT, ..Limits::default() }
}

/// A bus and some clients, who have read what greeted them.
fn desk<const COUNT: usize>() -> (Desk, [Guest; COUNT]) {
    let mut desk = Desk::new(limits());
    let guests: [Guest; COUNT] = std::array::from_fn(|_| desk.guest());
    guests.iter().for_each(|guest| drop(desk.read(guest.id)));
    (desk, guests)
}

fn large(serial: u32, to: &Guest) -> Mail {
    one_way(serial, &to.name).with(Value::Bytes(SIZE))
}

fn signal_to_all(serial: u32) -> Mail {
    Mail::signal(serial, "/a", "org.example.A", "Changed").with(Value::Bytes(SIZE))
}

/// Sends to `to` until the sender is paused, and returns how many messages that took.
fn flood(desk: &mut Desk, from: &Guest, to: &Guest) -> u32 {
    let mut serial = 0;
    while desk.bus.may_read(from.id) {
        serial += 1;
        desk.send(from.id, &large(serial, to));
        assert!((desk.owed(to.id) as u64) < LIMIT, "the limit comes later");
    }
    serial
}

/// Reads about `size` bytes of what waits.
fn read_some(desk: &mut Desk, guest: &Guest, size: usize) {
    desk.event(Event::Written { client: guest.id, size });
}

#[test]
fn a_sender_is_paused_past_the_bound_and_not_at_it() {
    let (mut desk, [sender, slow]) = desk();
    let max = slow_receiver_size_max(&limits());
    let one = {
        desk.send(sender.id, &large(1, &slow));
        desk.owed(slow.id)
    };
    for serial in 2.. {
        let fits = desk.owed(slow.id) + one <= max;
        desk.send(sender.id, &large(serial, &slow));
        assert_eq!(desk.bus.may_read(sender.id), fits, "{} of {max}", desk.owed(slow.id));
        if !fits {
            break;
        }
    }
    assert!(desk.bus.may_read(slow.id), "whoever receives goes on");
}

#[test]
fn what_was_read_of_a_paused_sender_is_handled_later_and_in_order() {
    let (mut desk, [sender, slow]) = desk();
    let serials = 1..=50;
    let bytes: Vec<u8> = serials.clone().flat_map(|n| large(n, &slow).write()).collect();
    desk.send_bytes(sender.id, &bytes[..bytes.len() - 20], 0);
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
    }
    assert!(!desk.bus.may_read(sender.id) && !desk.bus.has_put_off(), "the host may sleep");
    let mut got: Vec<u32> = desk.read(slow.id).iter().map(|got| got.serial).collect();
    assert!(got.len() < 50);
    assert_eq!(desk.read_again, [sender.id]);
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
    }
    got.extend(desk.read(slow.id).iter().map(|got| got.serial));
    desk.send_bytes(sender.id, &bytes[bytes.len() - 20..], 0);
    got.extend(desk.read(slow.id).iter().map(|got| got.serial));
    assert_eq!(got, serials.collect::<Vec<_>>());
}

#[test]
fn a_pause_ends_below_half_of_the_bound() {
    let (mut desk, [sender, slow]) = desk();
    flood(&mut desk, &sender, &slow);
    let low = slow_receiver_size_max(&limits()) / 2;
    let above = desk.owed(slow.id) - low - 1;
    read_some(&mut desk, &slow, above);
    assert!(!desk.bus.may_read(sender.id), "{} bytes wait", desk.owed(slow.id));
    read_some(&mut desk, &slow, 1);
    assert!(desk.bus.may_read(sender.id));
    assert_eq!((desk.read_again.as_slice(), desk.sleeps_ms()), ([sender.id].as_slice(), None));
}

#[test]
fn a_pause_ends_by_time_and_comes_once_in_an_episode() {
    let (mut desk, [sender, other, slow]) = desk();
    let first = flood(&mut desk, &sender, &slow);
    assert_eq!(desk.sleeps_ms(), Some(SENDER_PAUSE_MS));
    desk.pass_time(SENDER_PAUSE_MS - 1);
    assert!(!desk.bus.may_read(sender.id));
    desk.pass_time(1);
    assert!(desk.bus.may_read(sender.id));
    // It runs on until the limit, and is told then.
    let mut serial = first;
    while (desk.owed(slow.id) as u64) <= LIMIT {
        serial += 1;
        desk.send(sender.id, &large(serial, &slow));
        assert!(desk.bus.may_read(sender.id), "it has waited for this");
    }
    desk.send(sender.id, &large(serial + 1, &slow));
    let got = desk.read(sender.id);
    assert!(got.len() == 1 && got[0].is_error(serial + 1, error::LIMITS_EXCEEDED), "{got:?}");
    // The episode is over when it has been read, and another may begin, in a while.
    desk.read(slow.id);
    desk.pass_time(SENDER_PAUSE_GAP_MS);
    flood(&mut desk, &sender, &slow);
    // Others have their own pause.
    desk.send(other.id, &large(1, &slow));
    assert!(!desk.bus.may_read(other.id) && !desk.bus.may_read(sender.id));
    assert_eq!(desk.take_closed(), []);
}

#[test]
fn one_message_pauses_nobody_however_long() {
    let (mut desk, [sender, slow]) = desk();
    let size = slow_receiver_size_max(&limits()) + 1;
    desk.send(sender.id, &one_way(1, &slow.name).with(Value::Bytes(size)));
    assert!(desk.bus.may_read(sender.id));
    desk.send(sender.id, &one_way(2, &slow.name));
    assert!(!desk.bus.may_read(sender.id), "the next one does");
}

// A subscriber that reads nothing must not stall a service.
#[test]
fn broadcasts_pause_nobody() {
    let (mut desk, [service, other, slow]) = desk();
    let rule = Value::Text("interface='org.example.A'".to_owned());
    desk.call_bus(slow.id, "AddMatch", vec![rule]);
    for serial in 1..100 {
        desk.send(service.id, &signal_to_all(serial));
        assert!(desk.bus.may_read(service.id));
    }
    // Nor does a message for it alone, as long as few of these wait.
    desk.read_bytes(slow.id);
    for serial in 101..140 {
        desk.send(service.id, &signal_to_all(serial));
    }
    assert!(desk.owed(slow.id) > slow_receiver_size_max(&limits()));
    desk.send(service.id, &large(200, &slow));
    desk.send(other.id, &large(1, &slow));
    assert!(desk.bus.may_read(service.id) && desk.bus.may_read(other.id));
}

#[test]
fn answers_of_the_bus_pause_nobody() {
    let (mut desk, [client]) = desk();
    while desk.owed(client.id) < slow_receiver_size_max(&limits()) * 2 {
        let serial = desk.next_serial();
        desk.send(client.id, &Mail::call_bus(serial, "Introspect", vec![]));
        assert!(desk.bus.may_read(client.id));
    }
}

#[test]
fn who_writes_to_itself_is_not_paused() {
    let (mut desk, [own]) = desk();
    for serial in 1..60 {
        desk.send(own.id, &large(serial, &own));
        assert!(desk.bus.may_read(own.id));
    }
}

#[test]
fn two_who_flood_each_other_go_on_after_a_while() {
    let (mut desk, [one, other]) = desk();
    flood(&mut desk, &one, &other);
    desk.pass_time(100);
    flood(&mut desk, &other, &one);
    desk.pass_time(SENDER_PAUSE_MS - 100);
    assert!(desk.bus.may_read(one.id) && !desk.bus.may_read(other.id));
    desk.pass_time(100);
    assert!(desk.bus.may_read(one.id) && desk.bus.may_read(other.id));
    assert_eq!(desk.sleeps_ms(), None);
}

#[test]
fn who_reads_no_more_or_goes_keeps_nobody_waiting() {
    for event in [|client| Event::Closed { client }, |client| Event::WriteClosed { client }] {
        let (mut desk, [sender, slow]) = desk();
        flood(&mut desk, &sender, &slow);
        desk.event(event(slow.id));
        assert!(desk.bus.may_read(sender.id));
    }
    // And nothing is left of a paused sender that goes.
    let (mut desk, [sender, slow]) = desk();
    flood(&mut desk, &sender, &slow);
    desk.send_bytes(sender.id, &large(1000, &slow).write(), 0);
    desk.event(Event::Closed { client: sender.id });
    assert_eq!(desk.sleeps_ms(), None);
    desk.event(Event::Closed { client: slow.id });
    desk.bus.check_empty();
}

// Who asks and does not read slows those who answer, but only now and then.
#[test]
fn a_service_is_paused_for_its_replies_now_and_then() {
    let (mut desk, [service, greedy]) = desk();
    let mut serial = 0;
    let mut answer_much = |desk: &mut Desk| {
        let mut count = 0;
        while desk.bus.may_read(service.id) && count < 40 {
            (serial, count) = (serial + 1, count + 1);
            desk.send(greedy.id, &Mail::call(serial, &service.name, "org.example.A", "Get"));
            let answered = NonZeroU32::new(serial).unwrap();
            let reply = Mail::reply(serial, &greedy.name, answered).with(Value::Bytes(SIZE));
            desk.send(service.id, &reply);
        }
        desk.bus.may_read(service.id)
    };
    assert!(!answer_much(&mut desk), "it is slowed");
    desk.read(greedy.id);
    assert!(answer_much(&mut desk), "not for the next episode");
    desk.read(greedy.id);
    desk.pass_time(SENDER_PAUSE_GAP_MS - 1);
    assert!(answer_much(&mut desk));
    desk.read(greedy.id);
    desk.pass_time(1);
    assert!(!answer_much(&mut desk));
}

/// Who has many connections and reads none of them stalls no sender for longer than who has one.
#[test]
fn many_slow_receivers_cost_a_sender_one_pause() {
    let (mut desk, [sender]) = desk();
    let mut paused = 0;
    for number in 0..20 {
        let slow = desk.guest();
        for serial in 0..40 {
            if desk.bus.may_read(sender.id) {
                desk.send(sender.id, &large(1 + number * 40 + serial, &slow));
            }
        }
        if !desk.bus.may_read(sender.id) {
            paused += 1;
            desk.pass_time(SENDER_PAUSE_MS);
        }
    }
    assert_eq!(paused, 1);
}

#[test]
fn a_service_waits_for_no_other_user() {
    let (mut desk, [service]) = desk();
    desk.call_bus(
        service.id,
        "RequestName",
        vec![Value::Text("org.example.Service".to_owned()), Value::Number(0)],
    );
    let greedy = desk.guest_with(1001, true);
    for serial in 1..30 {
        desk.send(service.id, &large(serial, &greedy));
        assert!(desk.bus.may_read(service.id), "it serves others");
    }
}

#[test]
fn the_end_of_the_bus_waits_for_nobody() {
    let (mut desk, [sender, slow]) = desk();
    let bytes: Vec<u8> = (1..=50).flat_map(|n| large(n, &slow).write()).collect();
    desk.send_bytes(sender.id, &bytes, 0);
    desk.event(Event::Stopping);
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
    }
    assert_eq!(desk.read(slow.id).last().unwrap().serial, 50);
}

// config.md B029, protocol.md A150: the log tells when it begins and when it ends.
#[test]
fn the_log_says_twice_who_was_left_out_of_broadcasts() {
    let (mut desk, [sender, slow]) = desk();
    let rule = Value::Text("interface='org.example.A'".to_owned());
    desk.call_bus(slow.id, "AddMatch", vec![rule]);
    let mut serial = 0;
    while (desk.owed(slow.id) as u64) <= LIMIT {
        serial += 1;
        desk.send(sender.id, &signal_to_all(serial));
    }
    assert_eq!(desk.log, [""; 0]);
    for more in 1..=10 {
        desk.send(sender.id, &signal_to_all(serial + more));
    }
    assert_eq!(desk.log.len(), 1, "{:?}", desk.log);
    assert!(desk.log[0].contains(&slow.name) && desk.log[0].contains("max_outgoing_bytes=65536"));
    // It gets something again, and the end comes when much has been read.
    let above = desk.owed(slow.id) - LIMIT as usize / 4 - 1;
    read_some(&mut desk, &slow, above);
    desk.send(sender.id, &signal_to_all(serial + 11));
    assert_eq!(desk.log.len(), 1);
    desk.read_bytes(slow.id);
    assert_eq!(desk.log.len(), 2);
    assert!(desk.log[1].contains(&slow.name) && desk.log[1].contains("10 times"), "{:?}", desk.log);
    assert_eq!(desk.take_closed(), [], "nobody is disconnected for being slow");
}

/// Who reads just enough to be left out again and again is told of a bounded number of times.
#[test]
fn the_log_is_told_of_a_bounded_number_of_clients_left_out() {
    let (mut desk, [sender, slow]) = desk();
    let rule = Value::Text("interface='org.example.A'".to_owned());
    desk.call_bus(slow.id, "AddMatch", vec![rule]);
    let mut serial = 0;
    let episode = |desk: &mut Desk, serial: &mut u32| {
        while (desk.owed(slow.id) as u64) <= LIMIT {
            *serial += 1;
            desk.send(sender.id, &signal_to_all(*serial));
        }
        *serial += 1;
        desk.send(sender.id, &signal_to_all(*serial));
        desk.read_bytes(slow.id);
    };
    let max = LOGGED_LEFT_OUT_MAX as usize;
    (0..max + 9).for_each(|_| episode(&mut desk, &mut serial));
    assert_eq!(desk.log.len(), 2 * max, "the begin and the end of each");
    desk.pass_time(LOGGED_REFUSALS_GAP_MS);
    desk.log.clear();
    episode(&mut desk, &mut serial);
    assert!(desk.log[0].starts_with("9 further times"), "{:?}", desk.log);
    assert_eq!(desk.log.len(), 3);
}

#[test]
fn the_log_says_what_a_monitor_misses() {
    let (mut desk, [sender, monitor]) = desk();
    let everything = vec![Value::Texts(vec![]), Value::Number(0)];
    assert_eq!(desk.error_of(monitor.id, "BecomeMonitor", everything), None);
    desk.log.clear();
    for serial in 1..=100 {
        desk.send(sender.id, &signal_to_all(serial));
    }
    assert_eq!(desk.log.len(), 1, "{:?}", desk.log);
    desk.event(Event::Closed { client: monitor.id });
    assert_eq!(desk.log.len(), 2, "{:?}", desk.log);
}
