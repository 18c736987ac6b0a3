//! What our bus tells of its clients (`org.libbus.Stats1`), and to whom (needs.md E3).

use bus_daemon::bus::limits::TOLD_CALL_COUNT_MAX;
use bus_tests::harness::{BUS_NAME, BUS_PATH, Bus, Client, Config, Daemon, Message, Value};

const STATS: &str = "org.freedesktop.DBus.Debug.Stats";
const CLIENTS: &str = "org.libbus.Stats1";
/// So much waits for one client alone that its senders are paused, whatever its socket takes.
const FLOOD_SIZE: usize = 8 << 20;

fn start() -> Bus {
    Bus::start(&Daemon::ours(), &Config::SESSION)
}

fn ask(client: &mut Client, interface: &str, member: &str) -> Message {
    client.ask(&Message::method_call(BUS_PATH, interface, member).to(BUS_NAME))
}

fn number(value: &Value) -> u64 {
    match value {
        Value::Uint32(number) => u64::from(*number),
        Value::Uint64(number) => *number,
        other => panic!("no number: {other:?}"),
    }
}

/// One entry about one client.
fn told(clients: &Message, unique: &str, key: &str) -> Option<Value> {
    clients.body[0].lookup(unique).expect(unique).lookup(key).cloned()
}

fn count(clients: &Message, unique: &str, key: &str) -> u64 {
    number(&told(clients, unique, key).expect(key))
}

fn stats_of(client: &mut Client, unique: &str) -> Value {
    let call = Message::method_call(BUS_PATH, STATS, "GetConnectionStats").to(BUS_NAME);
    client.ask(&call.arg(unique)).body.remove(0)
}

#[test]
fn messages_and_bytes_are_counted_in_both_directions() {
    let bus = start();
    let (mut sender, mut receiver, mut observer) = (bus.connect(), bus.connect(), bus.connect());
    receiver.add_match("interface='org.example.I'");
    let before = ask(&mut observer, CLIENTS, "GetClients");
    let signal = Message::signal("/a", "org.example.I", "S").arg("text");
    let size = signal.clone().serial(9).encode().len() as u64;
    for _ in 0..10 {
        sender.send(&signal);
    }
    for _ in 0..10 {
        assert_eq!(receiver.next().member(), "S");
    }
    let after = ask(&mut observer, CLIENTS, "GetClients");
    assert_eq!(after.signature(), "a{sa{sv}}");
    let grown = |unique: &str, key: &str| count(&after, unique, key) - count(&before, unique, key);
    assert_eq!(grown(&sender.name, "TotalIncomingMessages"), 10);
    assert_eq!(grown(&sender.name, "TotalIncomingBytes"), 10 * size);
    assert_eq!(grown(&sender.name, "TotalOutgoingMessages"), 0);
    assert_eq!(grown(&receiver.name, "TotalOutgoingMessages"), 10);
    // With a SENDER each.
    assert!(grown(&receiver.name, "TotalOutgoingBytes") > 10 * size);
    // Hello; of the two messages that came for it the handshake is none.
    assert_eq!(count(&before, &sender.name, "TotalIncomingMessages"), 1);
    assert_eq!(count(&before, &sender.name, "TotalOutgoingMessages"), 2);
    assert_eq!(count(&after, &receiver.name, "MatchRules"), 1);
    let totals = ask(&mut observer, STATS, "GetStats").body.remove(0);
    let sum: u64 = [&sender, &receiver, &observer]
        .map(|client| count(&after, &client.name, "TotalIncomingMessages"))
        .into_iter()
        .sum();
    // And those two calls, in whose turns they were counted.
    assert_eq!(number(totals.lookup("TotalMessages").unwrap()), sum + 2);
}

#[test]
fn calls_that_wait_are_told_with_who_made_them_and_who_owes_the_answer() {
    let bus = start();
    let (mut caller, mut service, mut observer) = (bus.connect(), bus.connect(), bus.connect());
    service.request_name("org.example.Silent", 0);
    assert_eq!(service.next().member(), "NameAcquired");
    let call = Message::method_call("/a", "org.example.I", "M").to("org.example.Silent");
    let serials = [caller.send(&call), caller.send(&call)];
    let asked = [service.next(), service.next()];
    let clients = ask(&mut observer, CLIENTS, "GetClients");
    assert_eq!(count(&clients, &caller.name, "AwaitedReplies"), 2);
    assert_eq!(count(&clients, &service.name, "OwedReplies"), 2);
    assert_eq!(count(&clients, &service.name, "AwaitedReplies"), 0);
    let names = told(&clients, &service.name, "Names").unwrap();
    assert_eq!(names.texts(), ["org.example.Silent"]);
    assert_eq!(count(&clients, &caller.name, "ProcessID"), u64::from(std::process::id()));
    let calls = ask(&mut observer, CLIENTS, "GetCalls");
    assert_eq!(calls.signature(), "a(ssut)");
    let expected = serials.map(|serial| (&*caller.name, &*service.name, serial));
    assert_eq!(listed(&calls), expected);
    service.send(&Message::method_return(&asked[0]));
    caller.reply_to(serials[0]);
    let clients = ask(&mut observer, CLIENTS, "GetClients");
    assert_eq!(count(&clients, &caller.name, "AwaitedReplies"), 1);
    assert_eq!(count(&clients, &service.name, "OwedReplies"), 1);
}

/// Caller, callee and serial of each call that GetCalls tells of.
fn listed(calls: &Message) -> Vec<(&str, &str, u32)> {
    let elements = calls.body[0].elements().iter();
    elements
        .map(|call| match call {
            Value::Struct(fields) => (fields[0].text(), fields[1].text(), fields[2].number()),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn of_very_many_calls_the_oldest_are_told() {
    let config = Config { limits: &[("max_replies_per_connection", 5000)], ..Config::SESSION };
    let bus = Bus::start(&Daemon::ours(), &config);
    let (mut caller, service, mut observer) = (bus.connect(), bus.connect(), bus.connect());
    let call = Message::method_call("/a", "org.example.I", "M").to(&service.name);
    let serials: Vec<u32> = (0..=TOLD_CALL_COUNT_MAX).map(|_| caller.send(&call)).collect();
    bus.wait_until("all calls wait", || {
        let clients = ask(&mut observer, CLIENTS, "GetClients");
        let waiting = [
            count(&clients, &caller.name, "AwaitedReplies"),
            count(&clients, &service.name, "OwedReplies"),
        ];
        waiting == [serials.len() as u64; 2]
    });
    let calls = ask(&mut observer, CLIENTS, "GetCalls");
    let told: Vec<u32> = listed(&calls).iter().map(|(_, _, serial)| *serial).collect();
    assert_eq!(told, serials[..TOLD_CALL_COUNT_MAX]);
}

#[test]
fn who_reads_too_slowly_is_told_and_how_full_its_queue_is() {
    let bus = start();
    let (mut sender, idle, mut observer) = (bus.connect(), bus.connect(), bus.connect());
    let signal = Message::signal("/a", "org.example.I", "S").to(&idle.name);
    let signal = signal.arg("x".repeat(64 << 10)).serial(5).encode();
    let mut sent = 0;
    bus.wait_until("the receiver is slow", || {
        if sent < FLOOD_SIZE {
            sent += sender.raw.send_what_fits(&signal);
        }
        let clients = ask(&mut observer, CLIENTS, "GetClients");
        told(&clients, &idle.name, "SlowReceiver") == Some(Value::Boolean(true))
    });
    let clients = ask(&mut observer, CLIENTS, "GetClients");
    let queue = count(&clients, &idle.name, "OutgoingBytes");
    assert!(queue > 1 << 20, "{queue}");
    assert!(count(&clients, &idle.name, "QuotaUsedPerMille") > 0);
    let most = told(&clients, &idle.name, "QuotaMostUsed").unwrap();
    assert!(["bytes", "max_outgoing_bytes"].contains(&most.text()), "{most:?}");
    assert_eq!(told(&clients, &sender.name, "SlowReceiver"), Some(Value::Boolean(false)));

    let stats = stats_of(&mut observer, &idle.name);
    let Some(Value::Struct(limit)) = stats.lookup("Limits").unwrap().lookup("max_outgoing_bytes")
    else {
        panic!("{stats:?}")
    };
    assert!(number(&limit[0]) > 1 << 20 && number(&limit[1]) > number(&limit[0]), "{limit:?}");
    let Some(Value::Struct(share)) = stats.lookup("Shares").unwrap().lookup("bytes") else {
        panic!("{stats:?}")
    };
    let [held, max, of_user, user_max] = [0, 1, 2, 3].map(|index| number(&share[index]));
    assert!(held > 1 << 20 && held < max && of_user >= held && user_max >= max, "{share:?}");
    let users = ask(&mut observer, CLIENTS, "GetUsers");
    assert_eq!(users.signature(), "a{ua{s(tt)}}");
    assert_eq!(users.body[0].elements().len(), 1, "all are of one user");
}

#[test]
fn monitors_are_told_of_by_the_names_they_had() {
    let bus = start();
    let (mut monitor, mut observer) = (bus.connect(), bus.connect());
    let name = monitor.name.clone();
    let become_monitor =
        Message::method_call(BUS_PATH, "org.freedesktop.DBus.Monitoring", "BecomeMonitor");
    let none = Value::Array("s".to_owned(), Vec::new());
    monitor.ask(&become_monitor.to(BUS_NAME).arg(none).arg(0_u32));
    let clients = ask(&mut observer, CLIENTS, "GetClients");
    assert_eq!(told(&clients, &name, "Monitor"), Some(Value::Boolean(true)));
    assert_eq!(told(&clients, &observer.name, "Monitor"), Some(Value::Boolean(false)));
}

#[test]
fn a_policy_that_forbids_the_older_statistics_forbids_these() {
    let policies = "<policy context='mandatory'><deny send_destination='org.freedesktop.DBus' \
                    send_interface='org.freedesktop.DBus.Debug.Stats'/></policy>";
    let bus = Bus::start(&Daemon::ours(), &Config { elements: policies, ..Config::SESSION });
    let mut client = bus.connect();
    for member in ["GetClients", "GetCalls", "GetUsers"] {
        let refused = ask(&mut client, CLIENTS, member);
        assert_eq!(refused.error_name(), "org.freedesktop.DBus.Error.AccessDenied", "{member}");
        assert!(refused.body[0].text().contains("Debug.Stats"), "{:?}", refused.body[0]);
    }
}
