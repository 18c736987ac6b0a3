//! Well-known names and their queues: protocol.md A125 to A136.

use bus_tests::harness::{BUS_NAME, Bus, Client, Message, Value};

use crate::case::Case;

const ALLOW_REPLACEMENT: u32 = 1;
const REPLACE_EXISTING: u32 = 2;
const DO_NOT_QUEUE: u32 = 4;

const NAME: &str = "org.example.Name";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("reserved names cannot be requested or released", "A125 A231", reserved),
        Case::new("all flags of owner and requester", "A126 A127 A128 A130 A131 A174", all_flags),
        Case::new("the primary owner only changes its flags", "A126 A129", owner_again),
        Case::new("a queued client changes its flags in place", "A126 A131", queued_again),
        Case::new("a queued client that will not queue leaves", "A131", queue_left),
        Case::new("REPLACE_EXISTING is not remembered", "A126", replace_not_stored),
        Case::new("unknown flags of RequestName", "A127", unknown_flags),
        Case::new("ReleaseName and its results", "A132 A175", release),
        Case::new("signals of ownership come in order", "A133 A196 A197 A198", signal_order),
        Case::new("a new name is announced before the reply", "A133 A198", reply_order),
        Case::new("replaced owners stand second", "A130 A184", second_place),
        Case::new("ListNames", "A135 A179", list_names),
        Case::new("the bus owns itself", "A136 A178 A183 A184", bus_itself),
        Case::new("the heir is the first in the queue", "A126 A132 A134", inheritance),
    ]
}

fn reserved(bus: &Bus) {
    let mut client = bus.connect();
    let own = client.name.clone();
    for name in [own.as_str(), ":1.999", ":x.y", BUS_NAME] {
        let arguments = [name.into(), 0.into()];
        let request = client.try_call("RequestName", &arguments);
        assert_eq!(request.error_name(), "org.freedesktop.DBus.Error.InvalidArgs", "{name}");
        bus.observe(format!("RequestName {name}"), request.body[0].text());
        let release = client.try_call("ReleaseName", &[name.into()]);
        assert_eq!(release.error_name(), "org.freedesktop.DBus.Error.InvalidArgs", "{name}");
        bus.observe(format!("ReleaseName {name}"), release.body[0].text());
    }
}

/// The queue, its members by letter.
fn queue(client: &mut Client, members: &[&str]) -> String {
    let reply = client.try_call("ListQueuedOwners", &[NAME.into()]);
    let Some(Value::Array(_, names)) = reply.body.first() else { return String::new() };
    let letter_of = |name: &Value| match members.iter().position(|known| *known == name.text()) {
        Some(index) => char::from(b'A' + u8::try_from(index).unwrap()),
        None => '?',
    };
    names.iter().map(letter_of).collect()
}

/// For a pair of flags: the result, the queue after, and the signals to owner and requester.
fn all_flags(bus: &Bus) {
    let mut asker = bus.connect();
    for owner_flags in 0..8 {
        for flags in 0..8 {
            let (mut owner, mut other) = (bus.connect(), bus.connect());
            assert_eq!(owner.request_name(NAME, owner_flags), 1);
            owner.drain();
            let result = other.request_name(NAME, flags);
            let queue = queue(&mut asker, &[&owner.name, &other.name]);
            let expected = expected_result(owner_flags, flags);
            assert_eq!((result, queue.as_str()), expected, "owner {owner_flags}, then {flags}");
            let members = |client: &mut Client| {
                client.drain().iter().map(Message::member).collect::<Vec<_>>()
            };
            let (lost, gained): (&[&str], &[&str]) =
                if result == 1 { (&["NameLost"], &["NameAcquired"]) } else { (&[], &[]) };
            assert_eq!(members(&mut owner), lost);
            assert_eq!(members(&mut other), gained);
            owner.release_name(NAME);
            other.release_name(NAME);
        }
    }
}

/// Written from the specification's table of RequestName.
fn expected_result(owner_flags: u32, flags: u32) -> (u32, &'static str) {
    let replaces = owner_flags & ALLOW_REPLACEMENT != 0 && flags & REPLACE_EXISTING != 0;
    match (replaces, owner_flags & DO_NOT_QUEUE != 0, flags & DO_NOT_QUEUE != 0) {
        (true, false, _) => (1, "BA"),
        (true, true, _) => (1, "B"),
        (false, _, true) => (3, "A"),
        (false, _, false) => (2, "AB"),
    }
}

fn owner_again(bus: &Bus) {
    let (mut owner, mut other) = (bus.connect(), bus.connect());
    assert_eq!(owner.request_name(NAME, 0), 1);
    assert_eq!(owner.request_name(NAME, 0), 4);
    assert_eq!(other.request_name(NAME, REPLACE_EXISTING | DO_NOT_QUEUE), 3);
    assert_eq!(owner.request_name(NAME, ALLOW_REPLACEMENT), 4, "now replaceable");
    owner.drain();
    assert_eq!(other.request_name(NAME, REPLACE_EXISTING), 1);
    assert_eq!(owner.drain()[0].member(), "NameLost");
    assert_eq!(owner.request_name(NAME, 0), 2, "queued, and told so");
}

fn queued_again(bus: &Bus) {
    let (mut a, mut b, mut c) = (bus.connect(), bus.connect(), bus.connect());
    let names = [a.name.clone(), b.name.clone(), c.name.clone()];
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(a.request_name(NAME, 0), 1);
    assert_eq!(b.request_name(NAME, 0), 2);
    assert_eq!(c.request_name(NAME, 0), 2);
    assert_eq!(b.request_name(NAME, ALLOW_REPLACEMENT), 2);
    assert_eq!(queue(&mut a, &members), "ABC", "b keeps its place");
    assert_eq!(a.release_name(NAME), 1);
    assert_eq!(c.request_name(NAME, REPLACE_EXISTING), 1, "b's latest flags count");
    assert_eq!(queue(&mut a, &members), "CB");
}

fn queue_left(bus: &Bus) {
    let (mut a, mut b) = (bus.connect(), bus.connect());
    assert_eq!(a.request_name(NAME, 0), 1);
    assert_eq!(b.request_name(NAME, 0), 2);
    assert_eq!(b.request_name(NAME, DO_NOT_QUEUE), 3);
    let owners = a.call("ListQueuedOwners", &[NAME.into()]);
    assert_eq!(owners.body[0].texts(), [a.name.as_str()]);
    assert_eq!(b.release_name(NAME), 3, "b is not in the queue");
}

fn replace_not_stored(bus: &Bus) {
    let (mut a, mut b) = (bus.connect(), bus.connect());
    assert_eq!(a.request_name(NAME, 0), 1);
    assert_eq!(b.request_name(NAME, REPLACE_EXISTING), 2);
    assert_eq!(a.request_name(NAME, ALLOW_REPLACEMENT), 4);
    let owner = a.call("GetNameOwner", &[NAME.into()]);
    assert_eq!(owner.body[0].text(), a.name, "an old wish to replace is forgotten");
}

fn unknown_flags(bus: &Bus) {
    let mut client = bus.connect();
    for flags in [8, 0xffff_fff8, 0x100] {
        let reply = client.try_call("RequestName", &[NAME.into(), flags.into()]);
        bus.observe(format!("flags {flags:#x}"), reply.describe());
        client.release_name(NAME);
    }
}

fn release(bus: &Bus) {
    let (mut a, mut b, mut c) = (bus.connect(), bus.connect(), bus.connect());
    assert_eq!(a.release_name(NAME), 2, "NON_EXISTENT");
    a.request_name(NAME, 0);
    b.request_name(NAME, 0);
    assert_eq!(c.release_name(NAME), 3, "NOT_OWNER");
    b.drain();
    assert_eq!(b.release_name(NAME), 1, "a queued client releases its place");
    assert_eq!(b.drain(), [], "nothing was lost");
    a.drain();
    assert_eq!(a.release_name(NAME), 1, "RELEASED");
    assert_eq!(a.drain()[0].member(), "NameLost");
    assert_eq!(a.release_name(NAME), 2, "the name is gone");
}

/// One client with the names and rules of all sees the order of all signals.
fn signal_order(bus: &Bus) {
    let (mut old, mut new) = (bus.connect(), bus.connect());
    old.request_name(NAME, ALLOW_REPLACEMENT);
    old.drain();
    for client in [&mut old, &mut new] {
        client.add_match(&format!("member='NameOwnerChanged',arg0='{NAME}'"));
    }
    new.request_name(NAME, REPLACE_EXISTING);
    let members =
        |client: &mut Client| client.drain().iter().map(Message::member).collect::<Vec<_>>();
    assert_eq!(members(&mut old), ["NameLost", "NameOwnerChanged"]);
    assert_eq!(members(&mut new), ["NameOwnerChanged", "NameAcquired"]);
    new.release_name(NAME);
    assert_eq!(members(&mut new), ["NameLost", "NameOwnerChanged"]);
    assert_eq!(members(&mut old), ["NameOwnerChanged", "NameAcquired"]);
    old.release_name(NAME);
    assert_eq!(members(&mut old), ["NameLost", "NameOwnerChanged"]);
}

fn reply_order(bus: &Bus) {
    let mut client = bus.connect();
    let call = Message::method_call("/", BUS_NAME, "RequestName").to(BUS_NAME).arg(NAME).arg(0);
    client.send(&call);
    let first = client.next().describe();
    let second = client.next().describe();
    bus.observe("first", first);
    bus.observe("second", second);
}

fn second_place(bus: &Bus) {
    let mut clients: Vec<Client> = (0..4).map(|_| bus.connect()).collect();
    let names: Vec<String> = clients.iter().map(|client| client.name.clone()).collect();
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(clients[0].request_name(NAME, ALLOW_REPLACEMENT), 1);
    assert_eq!(clients[1].request_name(NAME, 0), 2);
    assert_eq!(clients[2].request_name(NAME, ALLOW_REPLACEMENT | REPLACE_EXISTING), 1);
    assert_eq!(queue(&mut clients[0], &members), "CAB", "the old owner stands second");
    // From within the queue to its head.
    assert_eq!(clients[1].request_name(NAME, REPLACE_EXISTING), 1);
    assert_eq!(queue(&mut clients[0], &members), "BCA");
    assert_eq!(clients[3].request_name(NAME, REPLACE_EXISTING), 2, "not replaceable any more");
    bus.observe("a queue joined with REPLACE_EXISTING", queue(&mut clients[0], &members));
}

fn list_names(bus: &Bus) {
    let (mut a, mut b) = (bus.connect(), bus.connect());
    a.request_name("org.example.Owned", 0);
    b.request_name("org.example.Owned", 0);
    let reply = b.call("ListNames", &[]);
    assert_eq!(reply.signature(), "as");
    let mut names = reply.body[0].texts();
    names.sort_unstable();
    assert_eq!(names, [&a.name, &b.name, "org.example.Owned", BUS_NAME]);
    let activatable = b.call("ListActivatableNames", &[]);
    assert_eq!(activatable.body[0].texts(), [BUS_NAME]);
}

fn bus_itself(bus: &Bus) {
    let mut client = bus.connect();
    let name = [BUS_NAME.into()];
    assert_eq!(client.call("NameHasOwner", &name).body, [Value::Boolean(true)]);
    assert_eq!(client.call("GetNameOwner", &name).body, [BUS_NAME.into()]);
    assert_eq!(client.call("ListQueuedOwners", &name).body, [Value::strings(&[BUS_NAME])]);
    let own = [client.name.as_str().into()];
    assert_eq!(client.call("NameHasOwner", &own).body, [Value::Boolean(true)]);
    assert_eq!(client.call("GetNameOwner", &own).body, own);
    let reply = client.call("ListQueuedOwners", &own);
    bus.observe("queue of a unique name", reply.describe());
    let nobody = ["org.example.Nobody".into()];
    assert_eq!(client.call("NameHasOwner", &nobody).body, [Value::Boolean(false)]);
}

fn inheritance(bus: &Bus) {
    let mut clients: Vec<Client> = (0..5).map(|_| bus.connect()).collect();
    for client in &mut clients {
        client.request_name(NAME, 0);
    }
    let mut asker = bus.connect();
    asker.add_match(&format!("member='NameOwnerChanged',arg0='{NAME}'"));
    while clients.len() > 1 {
        let left = clients.remove(0);
        let (old, new) = (left.name.clone(), clients[0].name.clone());
        drop(left);
        let change = asker.next();
        assert_eq!(change.body, [NAME.into(), old.into(), new.into()]);
    }
}
