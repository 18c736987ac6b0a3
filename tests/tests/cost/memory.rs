//! What a client that does nothing costs in memory, and that it is given back: at most 3 KiB with
//! one name and five rules.

use std::collections::HashSet;
use std::fs;

use bus_daemon::bus::id::ClientId;
use bus_tests::harness::{Bus, Client, Config, Daemon};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::core_bus::CoreBus;
use crate::counting_allocator::heap;

const CLIENT_COUNT: usize = 1000;
/// Bytes of the daemon's memory for a client with one name and five rules.
const CLIENT_SIZE_MAX: usize = 3 * 1024;
/// Bytes that the core may keep for the next crowd: tables below a few hundred entries are never
/// made smaller, and some buffers wait for reuse.
const KEPT_SIZE_MAX: i64 = 128 * 1024;

fn well_known_name(index: usize) -> String {
    format!("org.example.Application{index}")
}

/// Five rules as a desktop's programs have them, no two equal, none like another client's.
fn rules(index: usize) -> [String; 5] {
    [
        format!(
            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.example.Peer{index}'"
        ),
        format!(
            "type='signal',interface='org.freedesktop.DBus.Properties',path='/org/example/object/{index}'"
        ),
        format!("type='signal',path_namespace='/org/example/tree/{index}'"),
        format!("type='signal',interface='org.example.Interface{index}',member='Changed'"),
        format!("type='signal',sender='org.example.Peer{index}'"),
    ]
}

/// Lets the clients come and go; answers how many bytes each of them took, and how many are left
/// of what they took together.
fn crowd_of_the_core(bus: &mut CoreBus) -> (usize, i64) {
    let before = heap().bytes;
    let clients: Vec<ClientId> = (0..CLIENT_COUNT)
        .map(|index| {
            let client = bus.connect();
            let name = well_known_name(index);
            bus.call(client, "RequestName", &[name.as_str().into(), 0_u32.into()]);
            for rule in rules(index) {
                bus.call(client, "AddMatch", &[rule.as_str().into()]);
            }
            client
        })
        .collect();
    let taken = heap().bytes - before;
    clients.into_iter().for_each(|client| bus.disconnect(client));
    (usize::try_from(taken).unwrap() / CLIENT_COUNT, heap().bytes - before)
}

#[test]
fn the_core_needs_little_for_an_idle_client_and_gives_it_back() {
    let mut bus = CoreBus::new();
    let observer = bus.connect();
    bus.call(observer, "AddMatch", &["interface='org.example.Observed'".into()]);
    let (client_size, left) = crowd_of_the_core(&mut bus);
    println!("{client_size} bytes a client of the core, {left} bytes kept");
    assert!(client_size <= CLIENT_SIZE_MAX, "{client_size} bytes a client");
    assert!(left <= KEPT_SIZE_MAX, "{left} bytes are kept");
    for _ in 0..3 {
        let (_, left) = crowd_of_the_core(&mut bus);
        assert!(left <= 0, "{left} bytes more than after the crowd before");
    }
}

/// What the daemon has written to and nobody else shares, in KiB.
fn own_kib(bus: &Bus) -> usize {
    rollup_kib(bus, "Anonymous:")
}

/// One line of the daemon's smaps_rollup.
fn rollup_kib(bus: &Bus, key: &str) -> usize {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", bus.pid())).unwrap();
    let line = rollup.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_daemon_needs_little_for_an_idle_client_and_gives_it_back() {
    allow_many_descriptors();
    let limits = &[("max_completed_connections", 4000), ("max_connections_per_user", 4000)];
    let bus = Bus::start(&Daemon::ours(), &Config { limits, ..Config::SESSION });
    let mut observer = bus.connect();
    observer.add_match("member='NameOwnerChanged'");
    let (own_at_start, pss_at_start) = (own_kib(&bus), rollup_kib(&bus, "Pss:"));

    let clients: Vec<Client> = (0..CLIENT_COUNT).map(|index| idle_client(&bus, index)).collect();
    observer.drain();
    let taken = own_kib(&bus) - own_at_start;
    let client_size = taken * 1024 / CLIENT_COUNT;

    let mut to_go: HashSet<String> = clients.iter().map(|client| client.name.clone()).collect();
    drop(clients);
    while !to_go.is_empty() {
        to_go.remove(observer.next().body[0].text());
    }
    observer.drain();
    let (own_left, pss_left) = (own_kib(&bus), rollup_kib(&bus, "Pss:"));
    println!("{client_size} bytes a client; own {own_at_start} KiB, then {own_left} KiB");
    println!("PSS {pss_at_start} KiB, then {pss_left} KiB");
    assert!(client_size <= CLIENT_SIZE_MAX, "{client_size} bytes a client");
    assert!(pss_left <= 2 * pss_at_start, "{pss_left} KiB, {pss_at_start} KiB at the start");
    assert!(own_left - own_at_start <= taken / 2, "{own_left} KiB left of {taken} KiB");
}

fn idle_client(bus: &Bus, index: usize) -> Client {
    let mut client = bus.connect();
    client.request_name(&well_known_name(index), 0);
    rules(index).iter().for_each(|rule| client.add_match(rule));
    client
}

/// Both ends of a thousand connections need room, this end's by leave of the test's own limit.
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
