//! Each limit that the core enforces, at its bound and one past it (config.md B028–B043).
//!
//! `max_incoming_bytes` (B027) bounds nothing here: a message is handled as soon as it is whole, so
//! that what is read and not handled is one incomplete message at most. `service_start_timeout` and
//! `max_pending_service_starts` (B033, B039) wait for activation; the others of `<limit>` have no
//! effect (B044).

use bus_daemon::bus::Event;
use bus_daemon::bus::credentials::PeerCredentials;
use bus_daemon::bus::limits::{
    BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX, LOGGED_REFUSALS_GAP_MS, LOGGED_REFUSALS_MAX,
    RELOAD_CALLER_COUNT_MAX, RELOAD_GAP_MS, SENDER_PAUSE_MS, WORK_PER_TURN_MAX,
};
use bus_policy::config::Limits;
use libbus::limits::MATCH_RULE_SIZE_MAX;
use libbus::standard_error as error;
use libbus::wire::MessageType;

use crate::desk::{Desk, Guest, one_way, settings};
use crate::mail::{Mail, Value};
use crate::world::OWN_UID;

fn limits_exceeded() -> Option<String> {
    Some(error::LIMITS_EXCEEDED.as_str().to_owned())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A signal to everyone with `fd_count` descriptors.
fn signal(serial: u32, fd_count: u32) -> Mail {
    let mut mail = Mail::signal(serial, "/a", "org.example.A", "Changed");
    mail.unix_fds = fd_count;
    mail
}

// --- what one client may send -------------------------------------------------------------------

// config.md B031
#[test]
fn a_message_may_be_as_long_as_max_message_size() {
    for (case, excess) in [("at the bound", 0), ("one past it", 1)] {
        let mail = signal(7, 0).with(Value::Bytes(100));
        let bytes = mail.write();
        let message_size_max = u32::try_from(bytes.len()).unwrap() - excess;
        for step in [bytes.len(), 17, 15, 1] {
            let mut desk = Desk::new(Limits { message_size_max: 4096, ..Limits::default() });
            let (sender, other) = (desk.guest(), desk.guest());
            let limits = Limits { message_size_max, ..Limits::default() };
            let settings = settings(limits);
            desk.event(Event::Reloaded { result: Ok(settings) });
            bytes.chunks(step).for_each(|chunk| desk.send_bytes(sender.id, chunk, 0));
            let closed = if excess == 0 { vec![] } else { vec![sender.id] };
            assert_eq!(desk.take_closed(), closed, "{case}, {step} bytes at a time");
            assert!(desk.bus.client(other.id).is_some());
        }
    }
}

// config.md B032: more descriptors in one message end its sender's connection.
#[test]
fn a_message_may_have_max_message_unix_fds() {
    for (case, count, is_closed) in [("at the bound", 3, false), ("one past it", 4, true)] {
        let mut desk = Desk::new(Limits { message_unix_fds_max: 3, ..Limits::default() });
        let (sender, other) = (desk.guest(), desk.guest());
        let mut mail = one_way(7, &other.name);
        mail.unix_fds = count;
        desk.send(sender.id, &mail);
        assert_eq!(desk.take_closed() == [sender.id], is_closed, "{case}");
        let got = desk.read(other.id);
        let arrived = got.iter().filter(|got| got.announced_fds == count).count();
        assert_eq!(arrived, usize::from(!is_closed), "{case}");
    }
}

// config.md B032, B028: half a message has no more of them than a whole one.
#[test]
fn half_a_message_may_have_max_message_unix_fds() {
    for (case, count, is_closed) in [("at the bound", 3, false), ("one past it", 4, true)] {
        let limits =
            Limits { message_unix_fds_max: 3, incoming_unix_fds_max: 64, ..Limits::default() };
        let mut desk = Desk::new(limits);
        let sender = desk.guest();
        desk.send_bytes(sender.id, &signal(7, 3).write()[..20], count);
        assert_eq!(desk.take_closed() == [sender.id], is_closed, "{case}");
    }
}

// config.md B028: one read may end a message with descriptors and begin another, so that two
// messages' worth may wait even if the limit is lower.
#[test]
fn max_incoming_unix_fds_leaves_room_for_two_messages() {
    for (case, max, second, is_closed) in [
        ("two messages, a low limit", 1, 3, false),
        ("one more", 1, 4, true),
        ("at a higher limit", 8, 5, false),
        ("one past it", 8, 6, true),
    ] {
        let limits =
            Limits { message_unix_fds_max: 3, incoming_unix_fds_max: max, ..Limits::default() };
        let mut desk = Desk::new(limits);
        let sender = desk.guest();
        let (first, next) = (signal(7, 3).write(), signal(8, 3).write());
        desk.send_bytes(sender.id, &first[..20], 3);
        desk.send_bytes(sender.id, &[&first[20..], &next].concat(), second);
        assert_eq!(desk.take_closed() == [sender.id], is_closed, "{case}");
    }
}

// --- what one client may be owed ----------------------------------------------------------------

/// A sender, and a recipient that reads nothing and is owed `owed` bytes of one message.
fn with_slow_reader(outgoing_bytes_max: impl FnOnce(u64) -> u64) -> (Desk, [Guest; 2]) {
    let mut desk = Desk::new(Limits::default());
    let guests = [desk.guest(), desk.guest()];
    let rule = vec![text("interface='org.example.A'")];
    desk.call_bus(guests[1].id, "AddMatch", rule);
    desk.send(guests[0].id, &one_way(1, &guests[1].name));
    let max = outgoing_bytes_max(desk.owed(guests[1].id) as u64);
    let limits = Limits { outgoing_bytes_max: max, ..Limits::default() };
    desk.event(Event::Reloaded { result: Ok(settings(limits)) });
    (desk, guests)
}

// config.md B029, protocol.md A151: the limit is asked before a message is queued.
#[test]
fn a_client_may_be_owed_max_outgoing_bytes() {
    for (case, excess, is_refused) in [("at the bound", 0, false), ("one past it", 1, true)] {
        let (mut desk, [sender, slow]) = with_slow_reader(|owed| owed - excess);
        desk.send(sender.id, &one_way(2, &slow.name));
        let refusals = desk.read(sender.id);
        let is_error = refusals.iter().any(|got| got.is_error(2, error::LIMITS_EXCEEDED));
        assert_eq!(is_error, is_refused, "{case}");
        let arrived: Vec<u32> = desk.read(slow.id).iter().map(|got| got.serial).collect();
        assert_eq!(arrived.contains(&2), !is_refused, "{case}");
        // It reads again, and gets again.
        desk.send(sender.id, &one_way(3, &slow.name));
        assert_eq!(desk.read(slow.id).last().unwrap().serial, 3, "{case}");
        assert_eq!(desk.take_closed(), [], "{case}");
    }
}

// protocol.md A150: nobody hears that a broadcast left somebody out.
#[test]
fn a_broadcast_leaves_out_who_is_owed_too_much() {
    for (case, excess, is_left_out) in [("at the bound", 0, false), ("one past it", 1, true)] {
        let (mut desk, [sender, slow]) = with_slow_reader(|owed| owed - excess);
        let before = desk.read(sender.id);
        desk.send(sender.id, &signal(2, 0));
        assert_eq!(desk.read(sender.id), [], "{case}, after {before:?}");
        let arrived = desk.read(slow.id).iter().any(|got| got.serial == 2);
        assert_eq!(arrived, !is_left_out, "{case}");
    }
}

// The bus's own answers go beyond the limit, but not for ever.
#[test]
fn the_bus_answers_a_client_whose_queue_others_filled() {
    let (mut desk, [_, slow]) = with_slow_reader(|_| 0);
    let beyond = usize::try_from(BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX).unwrap();
    let mut largest = 0;
    loop {
        let before = desk.owed(slow.id);
        let serial = desk.next_serial();
        desk.send(slow.id, &Mail::call_bus(serial, "Introspect", vec![]));
        let added = desk.owed(slow.id) - before;
        largest = largest.max(added);
        if added == 0 {
            break;
        }
        assert!(before <= beyond, "{before} bytes are owed, and the bus still answers");
    }
    assert!(desk.owed(slow.id) > beyond && desk.owed(slow.id) <= beyond + largest);
    assert_eq!(desk.take_closed(), []);
}

// config.md B030
#[test]
fn a_client_may_be_owed_max_outgoing_unix_fds() {
    let mut desk = Desk::new(Limits { outgoing_unix_fds_max: 2, ..Limits::default() });
    let (sender, slow) = (desk.guest(), desk.guest());
    desk.read(slow.id);
    // The limit is asked before: at 2 the next is taken, at 3 it is not.
    for (serial, is_refused) in [(1, false), (2, false), (3, false), (4, true)] {
        let mut mail = one_way(serial, &slow.name);
        mail.unix_fds = 1;
        desk.send(sender.id, &mail);
        // It is paused before.
        desk.pass_time(SENDER_PAUSE_MS);
        let refusals = desk.read(sender.id);
        let is_error = refusals.iter().any(|got| got.is_error(serial, error::LIMITS_EXCEEDED));
        assert_eq!(is_error, is_refused, "message {serial}");
    }
    // Descriptors leave with the first byte of their message, one message at a time.
    for message in 0..3 {
        assert_eq!(desk.read_batch(slow.id).1.len(), 1, "message {message}");
    }
    assert_eq!(desk.owed(slow.id), 0);
}

// --- time ---------------------------------------------------------------------------------------

// config.md B034, protocol.md A082
#[test]
fn a_handshake_may_take_auth_timeout() {
    let mut desk = Desk::new(Limits { auth_timeout_ms: 500, ..Limits::default() });
    let done = desk.guest();
    let silent = desk.connect(PeerCredentials::default());
    desk.pass_time(100);
    let nameless = desk.authenticated(OWN_UID, false);
    assert_eq!(desk.sleeps_ms(), Some(400));
    desk.pass_time(399);
    assert_eq!(desk.take_closed(), []);
    desk.pass_time(1);
    assert_eq!(desk.take_closed(), [silent]);
    desk.pass_time(99);
    assert_eq!(desk.take_closed(), []);
    desk.pass_time(1);
    assert_eq!(desk.take_closed(), [nameless], "authentication alone is not enough");
    assert_eq!(desk.sleeps_ms(), None);
    desk.pass_time(1_000_000);
    assert_eq!(desk.take_closed(), [], "{done:?} said Hello");
}

// config.md B035
#[test]
fn descriptors_may_wait_for_pending_fd_timeout() {
    let mut desk = Desk::new(Limits { pending_fd_timeout_ms: 500, ..Limits::default() });
    let (slow, done) = (desk.guest(), desk.guest());
    let message = signal(7, 1).write();
    for sender in [&slow, &done] {
        desk.send_bytes(sender.id, &message[..20], 1);
    }
    assert_eq!(desk.sleeps_ms(), Some(500));
    desk.pass_time(499);
    desk.send_bytes(slow.id, &message[20..30], 0);
    desk.send_bytes(done.id, &message[20..], 0);
    assert_eq!(desk.take_closed(), []);
    desk.pass_time(1);
    assert_eq!(desk.take_closed(), [slow.id], "some bytes are not the message");
    assert_eq!(desk.sleeps_ms(), None);
}

// config.md B035: each message has that time, however little time is between them.
#[test]
fn descriptors_of_the_next_message_wait_anew() {
    let mut desk = Desk::new(Limits { pending_fd_timeout_ms: 500, ..Limits::default() });
    let sender = desk.guest();
    let message = signal(7, 1).write();
    desk.send_bytes(sender.id, &message[..20], 1);
    for _ in 0..200 {
        desk.pass_time(400);
        assert_eq!(desk.take_closed(), []);
        desk.send_bytes(sender.id, &[&message[20..], &message[..20]].concat(), 1);
        assert_eq!(desk.sleeps_ms(), Some(500));
    }
    desk.pass_time(500);
    assert_eq!(desk.take_closed(), [sender.id]);
}

// config.md B043, protocol.md A148
#[test]
fn a_call_may_wait_for_reply_timeout() {
    let mut desk = Desk::new(Limits { reply_timeout_ms: Some(500), ..Limits::default() });
    let (caller, callee) = (desk.guest(), desk.guest());
    desk.read(caller.id);
    let call = |serial| Mail::call(serial, &callee.name, "org.example.A", "Get");
    desk.send(caller.id, &call(1));
    desk.pass_time(100);
    desk.send(caller.id, &call(2));
    desk.send(caller.id, &one_way(3, &callee.name));
    assert_eq!(desk.sleeps_ms(), Some(400));
    desk.pass_time(399);
    assert_eq!(desk.read(caller.id), []);
    desk.pass_time(1);
    let got = desk.read(caller.id);
    assert!(got.len() == 1 && got[0].is_error(1, error::NO_REPLY), "{got:?}");
    // The other one is answered in time.
    desk.pass_time(99);
    let answered = std::num::NonZeroU32::new(2).unwrap();
    desk.send(callee.id, &Mail::reply(9, &caller.name, answered));
    desk.pass_time(1_000);
    let got = desk.read(caller.id);
    assert!(got.len() == 1 && got[0].message_type == MessageType::MethodReturn, "{got:?}");
    assert_eq!(desk.sleeps_ms(), None);
}

#[test]
fn without_reply_timeout_a_call_waits_for_ever() {
    let mut desk = Desk::new(Limits { reply_timeout_ms: None, ..Limits::default() });
    let (caller, callee) = (desk.guest(), desk.guest());
    desk.read(caller.id);
    desk.send(caller.id, &Mail::call(1, &callee.name, "org.example.A", "Get"));
    assert_eq!(desk.sleeps_ms(), None);
    desk.pass_time(1 << 40);
    assert_eq!(desk.read(caller.id), []);
}

// --- how many -----------------------------------------------------------------------------------

// config.md B036, protocol.md A122: a refused client stays, and may try again.
#[test]
fn max_completed_connections_may_say_hello() {
    let mut desk = Desk::new(Limits { completed_connections_max: 2, ..Limits::default() });
    let first = desk.guest();
    desk.guest_with(1001, false);
    let late = desk.authenticated(1002, false);
    assert_eq!(desk.hello(late).err(), limits_exceeded());
    assert_eq!(desk.take_closed(), []);
    desk.event(Event::Closed { client: first.id });
    assert_eq!(desk.hello(late).unwrap().name, ":1.2", "a refused Hello takes no name");
}

/// Users whose own limits are as high as the bus's cannot keep an administrator out.
#[test]
fn the_last_connections_are_kept_for_root_and_the_bus() {
    let limits =
        Limits { completed_connections_max: 64, connections_per_user_max: 64, ..Limits::default() };
    let mut desk = Desk::new(limits);
    let let_in = |desk: &mut Desk, uid: u32| {
        let mut enter = || {
            let id = desk.authenticated(uid, false);
            let is_in = desk.hello(id).is_ok();
            if !is_in {
                desk.event(Event::Closed { client: id });
            }
            is_in
        };
        (0..64).filter(|_| enter()).count()
    };
    assert_eq!([1001, 1002].map(|uid| let_in(&mut desk, uid)), [60, 0], "4 of 64 are kept");
    let late = desk.authenticated(1002, false);
    let refusal = desk.call_bus(late, "Hello", vec![]);
    let text = refusal.text.unwrap();
    assert!(text.contains("4 of them kept") && text.contains("user 1001 has 60."), "{text}");
    assert_eq!([0, OWN_UID].map(|uid| let_in(&mut desk, uid)), [4, 0]);
}

// config.md B038
#[test]
fn max_connections_per_user_of_one_user_may_say_hello() {
    let mut desk = Desk::new(Limits { connections_per_user_max: 2, ..Limits::default() });
    let first = desk.guest_with(1001, false);
    desk.guest_with(1001, false);
    let late = desk.authenticated(1001, false);
    assert_eq!(desk.hello(late).err(), limits_exceeded());
    let of_another = desk.authenticated(1002, false);
    assert!(desk.hello(of_another).is_ok(), "each user has its own limit");
    desk.event(Event::Closed { client: first.id });
    assert!(desk.hello(late).is_ok());
}

// config.md B037
#[test]
fn max_incomplete_connections_are_accepted() {
    let mut desk = Desk::new(Limits { incomplete_connections_max: 2, ..Limits::default() });
    desk.guest();
    // Root, of whom no user has to be protected.
    let root = || PeerCredentials { uid: Some(0), ..PeerCredentials::default() };
    desk.connect(root());
    assert!(desk.bus.accepts_connections());
    let second = desk.authenticated(OWN_UID, false);
    assert!(!desk.bus.accepts_connections(), "authenticated is not complete");
    desk.hello(second).unwrap();
    assert!(desk.bus.accepts_connections());
    let third = desk.connect(root());
    assert!(!desk.bus.accepts_connections());
    desk.event(Event::Closed { client: third });
    assert!(desk.bus.accepts_connections());
}

// config.md B040: the unique name counts, and so does a place in a queue.
#[test]
fn a_client_may_have_max_names_per_connection() {
    let mut desk = Desk::new(Limits { names_per_connection_max: 3, ..Limits::default() });
    let (owner, client) = (desk.guest(), desk.guest());
    let request = |desk: &mut Desk, client: &Guest, name: &str| {
        desk.error_of(client.id, "RequestName", vec![text(name), Value::Number(0)])
    };
    assert_eq!(request(&mut desk, &owner, "org.example.Taken"), None);
    assert_eq!(request(&mut desk, &client, "org.example.Taken"), None, "waits");
    assert_eq!(request(&mut desk, &client, "org.example.Own"), None, "owns");
    assert_eq!(request(&mut desk, &client, "org.example.Third"), limits_exceeded());
    let release = vec![text("org.example.Taken")];
    assert_eq!(desk.error_of(client.id, "ReleaseName", release), None);
    assert_eq!(request(&mut desk, &client, "org.example.Third"), None);
}

// config.md B041, protocol.md A172: an equal rule counts again, and eavesdropping ones count too.
#[test]
fn a_client_may_have_max_match_rules_per_connection() {
    let mut desk = Desk::new(Limits { match_rules_per_connection_max: 3, ..Limits::default() });
    let client = desk.guest();
    for rule in ["type='signal'", "type='signal'", "eavesdrop='true'"] {
        assert_eq!(desk.error_of(client.id, "AddMatch", vec![text(rule)]), None, "{rule}");
    }
    let one_more = vec![text("type='error'")];
    assert_eq!(desk.error_of(client.id, "AddMatch", one_more.clone()), limits_exceeded());
    let removed = vec![text("type='signal'")];
    assert_eq!(desk.error_of(client.id, "RemoveMatch", removed), None);
    assert_eq!(desk.error_of(client.id, "AddMatch", one_more), None);
}

// config.md B041: a monitor's rules are bounded by the same limit.
#[test]
fn a_monitor_may_have_max_match_rules_per_connection() {
    for (case, count, expected) in
        [("at the bound", 3, None), ("one past it", 4, limits_exceeded())]
    {
        let mut desk = Desk::new(Limits { match_rules_per_connection_max: 3, ..Limits::default() });
        let client = desk.guest();
        let rules = (0..count).map(|number| format!("arg0='{number}'")).collect();
        let body = vec![Value::Texts(rules), Value::Number(0)];
        assert_eq!(desk.error_of(client.id, "BecomeMonitor", body), expected, "{case}");
    }
}

// protocol.md A157
#[test]
fn a_match_rule_may_have_1024_bytes() {
    let mut desk = Desk::new(Limits::default());
    let client = desk.guest();
    let rule = |size: usize| vec![Value::Text(format!("arg0='{}'", "x".repeat(size - 7)))];
    assert_eq!(desk.error_of(client.id, "AddMatch", rule(MATCH_RULE_SIZE_MAX)), None);
    let too_long = rule(MATCH_RULE_SIZE_MAX + 1);
    assert_eq!(desk.error_of(client.id, "AddMatch", too_long), limits_exceeded());
}

// config.md B042: calls in flight, counted for the caller.
#[test]
fn a_client_may_wait_for_max_replies_per_connection() {
    let mut desk = Desk::new(Limits { replies_per_connection_max: 2, ..Limits::default() });
    let (caller, callee, other) = (desk.guest(), desk.guest(), desk.guest());
    let call = |serial, to: &str| Mail::call(serial, to, "org.example.A", "Get");
    desk.read(caller.id);
    desk.send(caller.id, &call(1, &callee.name));
    desk.send(caller.id, &call(2, &other.name));
    assert_eq!(desk.read(caller.id), []);
    desk.send(caller.id, &call(3, &callee.name));
    let got = desk.read(caller.id);
    assert!(got.len() == 1 && got[0].is_error(3, error::LIMITS_EXCEEDED), "{got:?}");
    desk.send(caller.id, &one_way(4, &callee.name));
    desk.send(other.id, &call(5, &callee.name));
    let arrived: Vec<u32> = desk.read(callee.id).iter().rev().map(|got| got.serial).collect();
    assert_eq!(arrived[..3], [5, 4, 1], "who wants no reply, and other callers, are not bound");
    // One is answered, and there is room again.
    let answered = std::num::NonZeroU32::new(1).unwrap();
    desk.send(callee.id, &Mail::reply(9, &caller.name, answered));
    desk.send(caller.id, &call(6, &callee.name));
    assert_eq!(desk.read(caller.id).len(), 1, "the reply, and no error");
}

#[test]
fn a_bounded_number_of_calls_may_wait_for_a_reload() {
    let mut desk = Desk::new(Limits::default());
    let client = desk.guest();
    desk.read(client.id);
    for _ in 0..RELOAD_CALLER_COUNT_MAX {
        let serial = desk.next_serial();
        desk.send(client.id, &Mail::call_bus(serial, "ReloadConfig", vec![]));
    }
    assert_eq!((desk.errands, desk.read(client.id)), (1, vec![]));
    assert_eq!(desk.error_of(client.id, "ReloadConfig", vec![]), limits_exceeded());
    // Somebody else's calls have room.
    let other = desk.guest_with(1001, true);
    let serial = desk.next_serial();
    desk.send(other.id, &Mail::call_bus(serial, "ReloadConfig", vec![]));
    assert_eq!(desk.read(other.id).last().map(|got| got.answered), None);
}

/// Ordinary users cannot make the bus read its configuration all the time; whoever owns the bus need
/// not wait, and takes those along who do.
#[test]
fn ordinary_users_wait_a_while_between_reloads() {
    let mut desk = Desk::new(Limits::default());
    let (owner, user) = (desk.guest(), desk.guest_with(1001, true));
    let ask = |desk: &mut Desk, client: &Guest| {
        let serial = desk.next_serial();
        desk.send(client.id, &Mail::call_bus(serial, "ReloadConfig", vec![]));
        serial
    };
    let read = |desk: &mut Desk| {
        desk.event(Event::Reloaded { result: Ok(settings(Limits::default())) });
    };
    let answered = |desk: &mut Desk, client: &Guest| {
        desk.read(client.id).iter().filter_map(|got| got.answered).collect::<Vec<_>>()
    };
    desk.read(user.id);
    desk.read(owner.id);
    let first = ask(&mut desk, &user);
    assert_eq!(desk.errands, 1, "nobody asked before");
    read(&mut desk);
    assert!(desk.log.last().unwrap().contains(&user.name), "{:?}", desk.log);
    let second = ask(&mut desk, &user);
    desk.pass_time(RELOAD_GAP_MS / 2);
    assert_eq!((desk.errands, answered(&mut desk, &user)), (1, vec![first]));
    let of_owner = ask(&mut desk, &owner);
    assert_eq!(desk.errands, 2);
    read(&mut desk);
    assert_eq!(answered(&mut desk, &user), [second]);
    assert_eq!(answered(&mut desk, &owner), [of_owner]);
    let third = ask(&mut desk, &user);
    desk.pass_time(RELOAD_GAP_MS);
    assert_eq!(desk.errands, 3);
    read(&mut desk);
    assert_eq!(answered(&mut desk, &user), [third]);
}

/// Who is refused all the time is told each time; the log is told a bounded number of times.
#[test]
fn the_log_is_told_of_a_bounded_number_of_refusals() {
    let limits = Limits { match_rules_per_connection_max: 0, ..Limits::default() };
    let mut desk = Desk::new(limits);
    let [client, other] = [(), ()].map(|()| desk.guest());
    let rule = || vec![Value::Text("type='signal'".to_owned())];
    let refuse = |desk: &mut Desk, client: &Guest| {
        desk.error_of(client.id, "AddMatch", rule()) == limits_exceeded()
    };
    let about = |desk: &Desk, client: &Guest| {
        desk.log.iter().filter(|line| line.contains(&format!("{} (", client.name))).count()
    };
    let max = LOGGED_REFUSALS_MAX as usize;
    assert!((0..max + 7).all(|_| refuse(&mut desk, &client)));
    assert_eq!(about(&desk, &client), max);
    assert!(refuse(&mut desk, &other));
    assert_eq!(about(&desk, &other), 1, "nobody else goes unheard");
    desk.pass_time(LOGGED_REFUSALS_GAP_MS);
    assert!(refuse(&mut desk, &client));
    assert_eq!(about(&desk, &client), max + 2);
    let line = &desk.log[desk.log.len() - 2];
    assert!(line.starts_with(&format!("7 further messages of {}", client.name)), "{line}");
    // One that goes leaves no count behind.
    assert!((0..max + 2).all(|_| refuse(&mut desk, &client)));
    desk.event(Event::Closed { client: client.id });
    assert!(desk.log.last().unwrap().starts_with("3 further messages"), "{:?}", desk.log.last());
}

// --- rounds -------------------------------------------------------------------------------------

/// One read of more messages than a client's share of a round; the last has a descriptor.
fn send_much(desk: &mut Desk, sender: &Guest, recipient: &Guest) -> u32 {
    let count = u32::try_from(WORK_PER_TURN_MAX / 10).unwrap() + 1;
    let mut bytes: Vec<u8> =
        (1..count).flat_map(|serial| one_way(serial, &recipient.name).write()).collect();
    let mut last = one_way(count, &recipient.name);
    last.unix_fds = 1;
    bytes.extend(last.write());
    desk.send_bytes(sender.id, &bytes, 1);
    assert!(desk.bus.has_put_off() && !desk.bus.may_read(sender.id));
    count
}

#[test]
fn what_is_put_off_comes_in_order_and_whole() {
    let mut desk = Desk::new(Limits::default());
    let (busy, other, recipient) = (desk.guest(), desk.guest(), desk.guest());
    desk.read(recipient.id);
    let count = send_much(&mut desk, &busy, &recipient);
    let next = one_way(count + 1, &recipient.name).write();
    desk.send_bytes(busy.id, &next[..20], 0);
    desk.send(other.id, &one_way(1, &recipient.name));
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
    }
    desk.send_bytes(busy.id, &next[20..], 0);
    let got = desk.read(recipient.id);
    let of = |name: &str| -> Vec<u32> {
        got.iter().filter(|got| got.sender == name).map(|got| got.serial).collect()
    };
    assert_eq!(of(&busy.name), (1..=count + 1).collect::<Vec<_>>());
    assert_eq!(of(&other.name), [1]);
    assert_ne!(got.last().unwrap().sender, other.name, "others have their turn in between");
    assert_eq!(got.iter().map(|got| got.announced_fds).sum::<u32>(), 1);
    assert_eq!(desk.take_closed(), []);
}

#[test]
fn nothing_is_left_of_a_client_of_whom_something_was_put_off() {
    let mut desk = Desk::new(Limits::default());
    let (busy, recipient) = (desk.guest(), desk.guest());
    send_much(&mut desk, &busy, &recipient);
    desk.event(Event::Closed { client: busy.id });
    let successor = desk.guest();
    assert_eq!(successor.id.index, busy.id.index, "the slot is used again");
    desk.event(Event::TurnsBegan);
    assert!(!desk.bus.has_put_off());
    for guest in [recipient, successor] {
        desk.event(Event::Closed { client: guest.id });
    }
    desk.bus.check_empty();
}
