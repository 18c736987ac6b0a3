//! Starting services: who waits, what is held and in which order it goes on, and how starts end
//! (protocol.md A153, A176, A180, A215–A223).

use std::path::Path;
use std::sync::Arc;

use bus_daemon::bus::activation::{ServiceEnd, StartId};
use bus_daemon::bus::driver::error_reply::StartFailure;
use bus_daemon::bus::limits::{
    EXITED_WELL_TIME_MS, ORPHANS_SIZE_MAX, REMEMBERED_NAME_COUNT_MAX, VAIN_STARTS_MAX,
};
use bus_daemon::bus::quota::Resource;
use bus_daemon::bus::services::{Service, Services, Starter};
use bus_daemon::bus::{Event, Settings};
use bus_daemon::service_file::ServiceFile;
use bus_policy::config::Limits;
use bus_tests::policies::policies;
use libbus::standard_error as error;
use libbus::wire::Flags;

use crate::desk::{Desk, Got, Guest, settings};
use crate::mail::{Mail, Value};
use crate::world::{OWN_UID, bus_with_systemd};

pub(crate) const NAME: &str = "org.example.Service";
const OTHER: &str = "org.example.Other";
const UNIT_SERVICE: &str = "org.example.Unit";
const SYSTEMD: &str = "org.freedesktop.systemd1";

fn services() -> Arc<Services> {
    let mut services = Services::default();
    for (name, unit) in [(NAME, ""), (OTHER, ""), (UNIT_SERVICE, "SystemdService=a.service\n")] {
        let text = format!("[D-BUS Service]\nName={name}\nExec=/bin/x\n{unit}");
        let file = ServiceFile::parse(text.as_bytes()).unwrap();
        services.add(Service { file, path: Arc::from(Path::new("/x")) });
    }
    Arc::new(services)
}

pub(crate) fn with_services(limits: Limits) -> Settings {
    Settings { services: services(), ..settings(limits) }
}

fn desk() -> Desk {
    desk_with(Limits::default())
}

fn desk_with(limits: Limits) -> Desk {
    let mut desk = Desk::new(limits.clone());
    desk.event(Event::Reloaded { result: Ok(with_services(limits)) });
    desk
}

fn send(desk: &mut Desk, from: &Guest, serial: u32, destination: &str) {
    desk.send(from.id, &Mail::call(serial, destination, "org.example.A", "Get"));
}

/// Takes a name, and answers all that came until that was answered.
fn take(desk: &mut Desk, guest: &Guest, name: &str) -> Vec<Got> {
    let serial = desk.next_serial();
    let body = vec![Value::Text(name.to_owned()), Value::Number(0)];
    desk.send(guest.id, &Mail::call_bus(serial, "RequestName", body));
    let got = desk.read(guest.id);
    assert_eq!(error_of(&got, serial), None, "{name}");
    got
}

fn start(desk: &mut Desk, from: &Guest, serial: u32, name: &str) {
    let body = vec![Value::Text(name.to_owned()), Value::Number(0)];
    desk.send(from.id, &Mail::call_bus(serial, "StartServiceByName", body));
}

fn error_of(got: &[Got], answered: u32) -> Option<&str> {
    let reply = got.iter().find(|got| got.answered == Some(answered));
    reply.unwrap_or_else(|| panic!("{answered} is not answered: {got:?}")).error.as_deref()
}

fn started(desk: &mut Desk) -> StartId {
    let [start] = std::mem::take(&mut desk.starts).try_into().expect("one start");
    start
}

#[test]
fn all_who_ask_share_a_start_and_are_served_in_their_order() {
    let mut desk = desk();
    let [one, two, service] = [(), (), ()].map(|()| desk.guest());
    send(&mut desk, &one, 11, NAME);
    start(&mut desk, &two, 12, NAME);
    send(&mut desk, &two, 13, NAME);
    send(&mut desk, &one, 14, NAME);
    started(&mut desk);
    assert_eq!((desk.read(one.id), desk.read(two.id)), (vec![], vec![]), "they wait");
    // protocol.md A153
    let got = take(&mut desk, &service, NAME);
    let members: Vec<_> = got.iter().filter_map(|got| got.member.as_deref()).collect();
    assert_eq!(members, ["NameAcquired", "Get", "Get", "Get"]);
    let serials: Vec<_> = got[1..4].iter().map(|got| (got.serial, got.sender.clone())).collect();
    let expected = [(11, &one), (13, &two), (14, &one)];
    assert_eq!(serials, expected.map(|(serial, from)| (serial, from.name.clone())));
    assert_eq!((got.len(), got[4].error.as_deref(), got[4].member.as_deref()), (5, None, None));
    assert_eq!(error_of(&desk.read(two.id), 12), None);
    // Each call is answered by the service.
    desk.send(service.id, &Mail::reply(5, &one.name, 11.try_into().unwrap()));
    assert_eq!(error_of(&desk.read(one.id), 11), None);
    assert_eq!(desk.starts, [], "nothing more was started");
}

#[test]
fn a_start_that_fails_is_told_to_all_who_wait() {
    let failure = StartFailure::new(error::SPAWN_EXEC_FAILED, "no such file".to_owned());
    type End = fn(&mut Desk, StartId, StartFailure);
    let cases: [(&str, End, _); 5] = [
        (
            "not started",
            |desk, start, failure| {
                desk.event(Event::StartFailed { start, failure });
            },
            error::SPAWN_EXEC_FAILED,
        ),
        (
            "exit code",
            |desk, start, _| {
                desk.event(Event::ServiceEnded { start, end: ServiceEnd::Exited(3) });
            },
            error::SPAWN_CHILD_EXITED,
        ),
        (
            "signal",
            |desk, start, _| {
                desk.event(Event::ServiceEnded { start, end: ServiceEnd::Signalled(9) });
            },
            error::SPAWN_CHILD_SIGNALED,
        ),
        (
            "left without a name",
            |desk, start, _| {
                desk.event(Event::ServiceEnded { start, end: ServiceEnd::Exited(0) });
                desk.pass_time(EXITED_WELL_TIME_MS);
            },
            error::SPAWN_CHILD_EXITED,
        ),
        (
            "too slow",
            |desk, start, _| {
                let timeout = u64::from(Limits::default().service_start_timeout_ms);
                desk.pass_time(timeout - 1);
                assert_eq!(desk.stops, []);
                desk.pass_time(1);
                assert_eq!(desk.stops, [start]);
            },
            error::TIMED_OUT,
        ),
    ];
    for (case, end, expected) in cases {
        let mut desk = desk();
        let [one, two] = [(), ()].map(|()| desk.guest());
        send(&mut desk, &one, 11, NAME);
        start(&mut desk, &two, 12, NAME);
        let id = started(&mut desk);
        end(&mut desk, id, failure.clone());
        for (guest, serial) in [(&one, 11), (&two, 12)] {
            let got = desk.read(guest.id);
            assert_eq!(error_of(&got, serial), Some(expected.as_str()), "{case}");
        }
        assert!(desk.log.iter().any(|line| line.contains(NAME)), "{case}: {:?}", desk.log);
        // The next one starts it again, and what comes late of the first start means nothing.
        send(&mut desk, &one, 13, NAME);
        assert_ne!(started(&mut desk), id, "{case}");
        desk.event(Event::ServiceEnded { start: id, end: ServiceEnd::Exited(1) });
        assert_eq!(desk.read(one.id), [], "{case}");
        for guest in [one, two] {
            desk.event(Event::Closed { client: guest.id });
        }
        desk.bus.check_invariants();
    }
}

/// Who has another manager start the service has a while; the name counts, whoever takes it.
#[test]
fn a_service_may_be_started_by_another_manager() {
    let mut desk = desk();
    let [caller, service] = [(), ()].map(|()| desk.guest());
    send(&mut desk, &caller, 11, NAME);
    let start = started(&mut desk);
    desk.event(Event::ServiceEnded { start, end: ServiceEnd::Exited(0) });
    desk.pass_time(EXITED_WELL_TIME_MS - 1);
    assert_eq!(desk.read(caller.id), []);
    assert_eq!(desk.releases, []);
    take(&mut desk, &service, NAME);
    assert_eq!(desk.releases, [start]);
    desk.pass_time(10 * EXITED_WELL_TIME_MS);
    assert_eq!(desk.read(caller.id), []);
    desk.send(service.id, &Mail::reply(5, &caller.name, 11.try_into().unwrap()));
    assert_eq!(error_of(&desk.read(caller.id), 11), None);
}

/// A service that goes before it has read what was held for it: calls are answered, and what nobody
/// would hear of goes to the next start, a few times.
#[test]
fn what_a_service_has_not_read_goes_to_the_next_start() {
    let mut desk = desk();
    let caller = desk.guest();
    send(&mut desk, &caller, 11, NAME);
    let mut silent = Mail::call(12, NAME, "org.example.A", "Do");
    silent.flags = Flags::NO_REPLY_EXPECTED;
    desk.send(caller.id, &silent);
    let mut signal = Mail::signal(13, "/a", "org.example.A", "Changed");
    signal.destination = Some(NAME.to_owned());
    desk.send(caller.id, &signal);
    let request = |serial| {
        let body = vec![Value::Text(NAME.to_owned()), Value::Number(0)];
        Mail::call_bus(serial, "RequestName", body)
    };
    for vain in 1..=VAIN_STARTS_MAX {
        started(&mut desk);
        let service = desk.guest();
        desk.read(service.id);
        desk.send(service.id, &request(5));
        if vain % 2 == 0 {
            desk.event(Event::WriteClosed { client: service.id });
        }
        desk.event(Event::Closed { client: service.id });
        let answered: Vec<_> = desk.read(caller.id).iter().filter_map(|got| got.answered).collect();
        assert_eq!(answered, if vain == 1 { &[11][..] } else { &[] }, "start {vain}");
    }
    started(&mut desk);
    let service = desk.guest();
    let got = take(&mut desk, &service, NAME);
    let serials: Vec<_> = got.iter().filter(|got| got.sender == caller.name).collect();
    assert_eq!(serials.iter().map(|got| got.serial).collect::<Vec<_>>(), [12, 13], "in order");
    // What it has read is its own.
    desk.event(Event::Closed { client: service.id });
    assert_eq!(desk.starts, []);
    desk.event(Event::Closed { client: caller.id });
    desk.bus.check_empty();
}

/// What a service has in its socket and does not read is not read either; what it has read is its own. So
/// nothing is written behind a message of which nobody would hear that it is lost until that is read.
#[test]
fn what_is_written_to_a_service_and_not_read_goes_to_the_next_start() {
    let mut desk = desk();
    let caller = desk.guest();
    let serials: Vec<u32> = (11..17).collect();
    for serial in &serials {
        let mut mail = Mail::call(*serial, NAME, "org.example.A", "Do");
        // Others lie between them.
        mail.flags = if serial % 3 == 0 { Flags::empty() } else { Flags::NO_REPLY_EXPECTED };
        desk.send(caller.id, &mail);
    }
    let body = vec![Value::Text(NAME.to_owned()), Value::Number(0)];
    let request = Mail::call_bus(5, "RequestName", body);
    let of_caller = |bytes: &[u8]| -> Vec<u32> {
        let got = Got::all(bytes).into_iter().filter(|got| got.sender == caller.name);
        got.map(|got| got.serial).collect()
    };
    let mut seen = Vec::new();
    let mut left = Vec::new();
    // Each service is written to twice, reads what came first, and goes.
    while !desk.starts.is_empty() {
        started(&mut desk);
        let service = desk.guest();
        desk.read(service.id);
        desk.send(service.id, &request);
        seen.extend(of_caller(&desk.write_batch(service.id).0));
        assert!(desk.bus.awaits_reading(service.id), "it reads before it is written more to");
        assert_eq!(desk.write_batch(service.id).0, []);
        desk.event(Event::AllRead { client: service.id });
        left.push(of_caller(&desk.write_batch(service.id).0));
        desk.bus.check_invariants();
        desk.event(Event::LeftUnread { client: service.id });
        desk.event(Event::Closed { client: service.id });
    }
    assert_eq!(left, [&[12, 13][..], &[14], &[16], &[]]);
    assert_eq!(seen, [11, 13, 14, 16], "those without a reply, once each");
    let answered: Vec<_> = desk.read(caller.id).iter().filter_map(|got| got.answered).collect();
    assert_eq!(answered, [12, 15], "the others, once each");
    desk.event(Event::Closed { client: caller.id });
    desk.bus.check_empty();
}

/// A service may let go of its name before it goes, so that another start begins before what it leaves unread
/// comes back: that goes before what was sent later.
#[test]
fn what_was_left_unread_goes_before_what_came_later() {
    let mut desk = desk();
    let [caller, first] = [(), ()].map(|()| desk.guest());
    let silent = |serial| {
        let mut silent = Mail::call(serial, NAME, "org.example.A", "Do");
        silent.flags = Flags::NO_REPLY_EXPECTED;
        silent
    };
    let name = || Value::Text(NAME.to_owned());
    [11, 12].into_iter().for_each(|serial| desk.send(caller.id, &silent(serial)));
    started(&mut desk);
    desk.send(first.id, &Mail::call_bus(5, "RequestName", vec![name(), Value::Number(0)]));
    desk.send(first.id, &Mail::call_bus(6, "ReleaseName", vec![name()]));
    desk.send(caller.id, &silent(13));
    started(&mut desk);
    desk.event(Event::Closed { client: first.id });
    desk.bus.check_invariants();
    let second = desk.guest();
    let got = take(&mut desk, &second, NAME);
    let serials: Vec<_> = got.iter().filter(|got| got.sender == caller.name).collect();
    assert_eq!(serials.iter().map(|got| got.serial).collect::<Vec<_>>(), [11, 12, 13]);
    desk.event(Event::Closed { client: second.id });
    desk.event(Event::Closed { client: caller.id });
    desk.bus.check_empty();
}

/// However much a service leaves unread, all of it comes to the next one while its sender is there, who is
/// charged for it meanwhile; of what those left who are gone only so much is kept.
#[test]
fn what_is_left_unread_is_charged_to_its_sender() {
    for (reads_no_more, sender_goes) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let mut desk = desk();
        let [caller, service] = [(), ()].map(|()| desk.guest());
        for serial in [11, 12] {
            let mut large = Mail::call(serial, NAME, "org.example.A", "Do");
            large.flags = Flags::NO_REPLY_EXPECTED;
            desk.send(caller.id, &large.with(Value::Bytes(3 << 20)));
        }
        started(&mut desk);
        let body = vec![Value::Text(NAME.to_owned()), Value::Number(0)];
        desk.send(service.id, &Mail::call_bus(5, "RequestName", body));
        let charged = |desk: &Desk| {
            desk.bus.client(caller.id).map_or(0, |client| client.held(Resource::Bytes))
        };
        assert_eq!(charged(&desk), 0, "they wait for the service");
        if reads_no_more {
            desk.event(Event::WriteClosed { client: service.id });
            assert!(charged(&desk) > 6 << 20);
            desk.bus.check_invariants();
        }
        if sender_goes {
            desk.event(Event::Closed { client: caller.id });
            desk.bus.check_invariants();
        }
        desk.event(Event::Closed { client: service.id });
        started(&mut desk);
        let next = desk.guest();
        let got = take(&mut desk, &next, NAME);
        let serials: Vec<_> = got.iter().filter(|got| got.sender == caller.name).collect();
        let expected: &[u32] = if sender_goes { &[11] } else { &[11, 12] };
        assert_eq!(serials.iter().map(|got| got.serial).collect::<Vec<_>>(), expected);
        assert_eq!(
            desk.log.iter().any(|line| line.contains("too m")),
            sender_goes,
            "{:?}",
            desk.log
        );
        desk.event(Event::Closed { client: next.id });
        desk.event(Event::Closed { client: caller.id });
        desk.bus.check_empty();
    }
}

/// A service may say something and go before the bus has heard it; then it has the name for a moment and
/// reads nothing. The next in the queue for the name gets what it leaves.
#[test]
fn what_owners_leave_unread_that_are_about_to_go_comes_to_the_next_owner() {
    let mut desk = desk();
    let caller = desk.guest();
    let mut silent = Mail::call(11, NAME, "org.example.A", "Do");
    silent.flags = Flags::NO_REPLY_EXPECTED;
    desk.send(caller.id, &silent);
    started(&mut desk);
    let body = vec![Value::Text(NAME.to_owned()), Value::Number(0)];
    let request = Mail::call_bus(5, "RequestName", body);
    let owners = [(); 3].map(|()| desk.guest());
    let of_caller = |bytes: &[u8]| -> Vec<u32> {
        let got = Got::all(bytes).into_iter().filter(|got| got.sender == caller.name);
        got.map(|got| got.serial).collect()
    };
    desk.event(Event::WriteClosed { client: owners[0].id });
    owners.iter().for_each(|owner| desk.send(owner.id, &request));
    desk.event(Event::Closed { client: owners[0].id });
    assert_eq!(of_caller(&desk.write_batch(owners[1].id).0), [11]);
    desk.event(Event::LeftUnread { client: owners[1].id });
    // The kernel says once that something was left; after that all looks read.
    desk.event(Event::AllRead { client: owners[1].id });
    desk.bus.check_invariants();
    desk.event(Event::Closed { client: owners[1].id });
    assert_eq!(of_caller(&desk.read_bytes(owners[2].id)), [11]);
    desk.event(Event::Closed { client: owners[2].id });
    assert_eq!(desk.starts, [], "it was read");
    desk.event(Event::Closed { client: caller.id });
    desk.bus.check_empty();
}

/// A service that goes in turns, since it has many names: what it has not read comes before what is sent
/// while it goes.
#[test]
fn what_a_service_with_many_names_has_not_read_is_not_overtaken() {
    for is_name_first in [true, false] {
        let mut desk = desk();
        let caller = desk.guest();
        let silent = |serial| {
            let mut silent = Mail::call(serial, NAME, "org.example.A", "Do");
            silent.flags = Flags::NO_REPLY_EXPECTED;
            silent
        };
        desk.send(caller.id, &silent(11));
        started(&mut desk);
        let service = desk.guest();
        desk.read(service.id);
        let mut names: Vec<String> = (0..100).map(|n| format!("org.example.More{n}")).collect();
        names.insert(if is_name_first { 0 } else { names.len() }, NAME.to_owned());
        for name in names {
            let body = vec![Value::Text(name), Value::Number(0)];
            let serial = desk.next_serial();
            desk.send(service.id, &Mail::call_bus(serial, "RequestName", body));
        }
        desk.event(Event::Closed { client: service.id });
        assert!(desk.bus.has_put_off());
        desk.send(caller.id, &silent(12));
        while desk.bus.has_put_off() {
            desk.event(Event::TurnsBegan);
        }
        desk.send(caller.id, &silent(13));
        started(&mut desk);
        let next = desk.guest();
        let got = take(&mut desk, &next, NAME);
        let serials: Vec<_> = got.iter().filter(|got| got.sender == caller.name).collect();
        assert_eq!(serials.iter().map(|got| got.serial).collect::<Vec<_>>(), [11, 12, 13]);
    }
}

/// A sender that goes in turns is charged for nothing any more: what is held of it then is bounded like
/// that of others who are gone.
#[test]
fn a_sender_that_goes_in_turns_is_gone() {
    let mut desk = desk();
    let caller = desk.guest();
    for number in 0..100 {
        take(&mut desk, &caller, &format!("org.example.More{number}"));
    }
    let mut silent = Mail::call(12, NAME, "org.example.A", "Do").with(Value::Bytes(9 << 20));
    silent.flags = Flags::NO_REPLY_EXPECTED;
    desk.send(caller.id, &silent);
    started(&mut desk);
    let service = desk.guest();
    desk.read(service.id);
    let body = vec![Value::Text(NAME.to_owned()), Value::Number(0)];
    desk.send(service.id, &Mail::call_bus(5, "RequestName", body));
    desk.event(Event::Closed { client: caller.id });
    assert!(desk.bus.has_put_off());
    desk.event(Event::Closed { client: service.id });
    let line = desk.log.last().map(String::as_str).unwrap_or_default();
    assert!(line.contains(&caller.name) && line.contains("too much is held"), "{line}");
    while desk.bus.has_put_off() {
        desk.event(Event::TurnsBegan);
    }
    desk.bus.check_empty();
}

#[test]
fn what_no_service_reads_is_lost_with_a_line_in_the_log() {
    let mut desk = desk();
    let caller = desk.guest();
    let mut silent = Mail::call(12, NAME, "org.example.A", "Do");
    silent.flags = Flags::NO_REPLY_EXPECTED;
    desk.send(caller.id, &silent);
    for _ in 0..=VAIN_STARTS_MAX {
        started(&mut desk);
        let service = desk.guest();
        let body = vec![Value::Text(NAME.to_owned()), Value::Number(0)];
        desk.read(service.id);
        desk.send(service.id, &Mail::call_bus(5, "RequestName", body));
        desk.event(Event::Closed { client: service.id });
    }
    assert_eq!(desk.starts, []);
    let line = desk.log.last().unwrap();
    assert!(
        line.contains(&caller.name) && line.contains(NAME) && line.contains("is lost"),
        "{line}"
    );
}

// protocol.md A226, A227
#[test]
fn nothing_is_started_in_vain() {
    let mut desk = desk();
    let [caller, owner] = [(), ()].map(|()| desk.guest());
    send(&mut desk, &caller, 11, "org.example.Unknown");
    assert_eq!(error_of(&desk.read(caller.id), 11), Some(error::SERVICE_UNKNOWN.as_str()));
    let mut call = Mail::call(12, NAME, "org.example.A", "Get");
    call.flags = Flags::NO_AUTO_START;
    desk.send(caller.id, &call);
    assert_eq!(error_of(&desk.read(caller.id), 12), Some(error::NAME_HAS_NO_OWNER.as_str()));
    take(&mut desk, &owner, NAME);
    start(&mut desk, &caller, 13, NAME);
    assert_eq!(error_of(&desk.read(caller.id), 13), None);
    assert_eq!(desk.starts, []);
    // protocol.md A180
    let serial = desk.next_serial();
    desk.send(caller.id, &Mail::call_bus(serial, "ListActivatableNames", vec![]));
    assert_eq!(error_of(&desk.read(caller.id), serial), None);
}

/// A program that says something and ends is heard all the same.
#[test]
fn a_message_outlives_its_sender() {
    let mut desk = desk();
    let [sender, service] = [(), ()].map(|()| desk.guest());
    send(&mut desk, &sender, 11, NAME);
    desk.event(Event::Closed { client: sender.id });
    let got = take(&mut desk, &service, NAME);
    assert!(got.iter().any(|got| got.serial == 11 && got.sender == sender.name), "{got:?}");
}

/// Nobody who is gone is answered, which monitors would see, and what it leaves behind is bounded.
#[test]
fn who_is_gone_is_not_answered() {
    for ends_well in [true, false] {
        let mut desk = desk();
        let [one, two, service, monitor] = [(), (), (), ()].map(|()| desk.guest());
        start(&mut desk, &one, 11, NAME);
        send(&mut desk, &two, 12, NAME);
        let large = Mail::call(13, NAME, "org.example.A", "Get").with(Value::Bytes(20_000));
        desk.send(two.id, &large);
        let mut with_fd = Mail::call(14, NAME, "org.example.A", "Get");
        with_fd.unix_fds = 1;
        desk.send(two.id, &with_fd);
        let id = started(&mut desk);
        for gone in [&one, &two] {
            desk.event(Event::Closed { client: gone.id });
        }
        let everything = vec![Value::Texts(vec![]), Value::Number(0)];
        assert_eq!(desk.error_of(monitor.id, "BecomeMonitor", everything), None);
        desk.read(monitor.id);
        if ends_well {
            let got = take(&mut desk, &service, NAME);
            let serials: Vec<_> =
                got.iter().filter(|got| got.sender == two.name).map(|got| got.serial).collect();
            assert_eq!(serials, [12, 13, 14], "also the large one and that with a descriptor");
            let answers = desk.read(monitor.id);
            assert_eq!(answers.iter().filter(|got| got.answered.is_some()).count(), 1);
        } else {
            desk.event(Event::ServiceEnded { start: id, end: ServiceEnd::Exited(1) });
            assert_eq!(desk.read(monitor.id), []);
        }
    }
}

/// What those leave behind who are gone is bounded, and no user has all the room for it.
#[test]
fn what_is_held_of_those_who_are_gone_is_bounded() {
    let mut desk = desk();
    let large = |serial| {
        let mail = Mail::call(serial, NAME, "org.example.A", "Get");
        mail.with(Value::Bytes(ORPHANS_SIZE_MAX / 5 - 1000))
    };
    let mut leave = |uid: u32| {
        let sender = desk.guest_with(uid, true);
        (11..14).for_each(|serial| desk.send(sender.id, &large(serial)));
        desk.event(Event::Closed { client: sender.id });
        sender.name
    };
    let names = [1001, 1001, 1002, 1003].map(&mut leave);
    let lost: Vec<_> = desk.log.iter().filter(|line| line.contains("too many are held")).collect();
    assert_eq!(lost.len(), 4, "{lost:?}");
    let service = desk.guest();
    let got = take(&mut desk, &service, NAME);
    let count = |name: &String| got.iter().filter(|got| got.sender == *name).count();
    assert_eq!(names.each_ref().map(count), [2, 0, 1, 1], "half of what the others leave");
    desk.event(Event::Closed { client: service.id });
    desk.bus.check_empty();
}

/// A message of a sender that is gone is judged by the policy that is in force when it is delivered.
#[test]
fn who_is_gone_is_judged_by_the_policy_in_force() {
    let rules = |rules: &str| {
        let mut settings = with_services(Limits::default());
        settings.policy = policies(&format!(
            "<policy context='default'><allow user='*'/><allow own='*'/>\
             <allow send_destination='*'/><allow receive_sender='*'/>{rules}</policy>"
        ));
        settings
    };
    let unrelated = "<deny send_destination='a.unrelated' send_interface='i.A'/>";
    let sender_denied = "<deny receive_sender='a.sender'/>";
    let other_denied = format!("<deny send_destination='{OTHER}'/>");
    let service_denied = format!("<deny send_destination='{NAME}'/>");
    for (case, before, after, passes) in [
        ("the same", "", String::new(), true),
        ("another rule before", sender_denied, format!("{unrelated}{sender_denied}"), false),
        ("the other name", &other_denied, format!("{unrelated}{other_denied}"), false),
        ("denied since", "", service_denied, false),
        ("allowed since", sender_denied, unrelated.to_owned(), true),
    ] {
        let mut desk = desk();
        desk.event(Event::Reloaded { result: Ok(rules(before)) });
        let [sender, service] = [(), ()].map(|()| desk.guest());
        take(&mut desk, &sender, "a.sender");
        send(&mut desk, &sender, 11, NAME);
        started(&mut desk);
        desk.event(Event::Closed { client: sender.id });
        desk.event(Event::Reloaded { result: Ok(rules(&after)) });
        take(&mut desk, &service, OTHER);
        let got = take(&mut desk, &service, NAME);
        let is_there = got.iter().any(|got| got.sender == sender.name);
        assert_eq!(is_there, passes, "{case}: {:?}", desk.log);
    }
}

/// Of a sender with many names it is not known any more what another policy says.
#[test]
fn who_had_many_names_is_not_judged_by_another_policy() {
    for (names, reloads, passes) in [
        (REMEMBERED_NAME_COUNT_MAX, true, false),
        (REMEMBERED_NAME_COUNT_MAX, false, true),
        (3, true, true),
    ] {
        let mut desk = desk();
        let [sender, service] = [(), ()].map(|()| desk.guest());
        // The unique name counts, too.
        for number in 0..names {
            take(&mut desk, &sender, &format!("a.sender{number}"));
        }
        send(&mut desk, &sender, 11, NAME);
        started(&mut desk);
        desk.event(Event::Closed { client: sender.id });
        if reloads {
            desk.event(Event::Reloaded { result: Ok(with_services(Limits::default())) });
        }
        let got = take(&mut desk, &service, NAME);
        assert_eq!(got.iter().any(|got| got.sender == sender.name), passes, "{names} {reloads}");
        let is_told = desk.log.iter().any(|line| line.contains("more names than are remembered"));
        assert_eq!(is_told, !passes);
    }
}

/// Files are read while a message waits whose sender goes: its service is started all the same.
#[test]
fn a_search_outlives_who_asked() {
    let mut desk = Desk::new(Limits::default());
    let [sender, lost] = [(), ()].map(|()| desk.guest());
    desk.event(Event::FilesChanged);
    send(&mut desk, &sender, 11, NAME);
    send(&mut desk, &lost, 12, "org.example.Unheard");
    for gone in [&sender, &lost] {
        desk.event(Event::Closed { client: gone.id });
    }
    desk.event(Event::Reloaded { result: Ok(with_services(Limits::default())) });
    started(&mut desk);
    assert!(desk.log.iter().any(|line| line.contains("no service takes that name")));
    let service = desk.guest();
    let got = take(&mut desk, &service, NAME);
    assert!(got.iter().any(|got| got.sender == sender.name), "{got:?}");
}

/// Files that change all the time hold up nobody for longer than two readings, and known services not at
/// all.
#[test]
fn changes_without_end_do_not_keep_services_from_starting() {
    let mut desk = desk();
    let caller = desk.guest();
    desk.event(Event::FilesChanged);
    send(&mut desk, &caller, 11, NAME);
    started(&mut desk);
    send(&mut desk, &caller, 12, "org.example.Unheard");
    for reading in [1, 2] {
        assert_eq!(desk.read(caller.id), [], "reading {reading}");
        desk.event(Event::FilesChanged);
        desk.event(Event::Reloaded { result: Ok(with_services(Limits::default())) });
    }
    let unknown = Some(error::SERVICE_UNKNOWN.as_str());
    assert_eq!(error_of(&desk.read(caller.id), 12), unknown);
}

// config.md B058, B077: before the start the sender's rules decide by the name, and again at delivery both
// sides'.
#[test]
fn the_policy_is_asked_before_the_start_and_at_delivery() {
    let put_in_force = |desk: &mut Desk, rules: &str| {
        let mut settings = with_services(Limits::default());
        settings.policy = policies(&format!(
            "<policy context='default'><allow user='*'/><allow own='*'/>\
             <allow send_destination='*'/><allow receive_sender='*'/>{rules}</policy>"
        ));
        desk.event(Event::Reloaded { result: Ok(settings) });
    };
    let mut desk = desk();
    put_in_force(
        &mut desk,
        &format!(
            "<deny send_destination='{OTHER}'/>\
             <deny receive_interface='org.example.A' receive_member='Get'/>"
        ),
    );
    let [caller, service] = [(), ()].map(|()| desk.guest());
    send(&mut desk, &caller, 11, OTHER);
    assert_eq!(error_of(&desk.read(caller.id), 11), Some(error::ACCESS_DENIED.as_str()));
    assert_eq!(desk.starts, []);
    send(&mut desk, &caller, 12, NAME);
    desk.send(caller.id, &Mail::call(13, NAME, "org.example.A", "Set"));
    started(&mut desk);
    let got = take(&mut desk, &service, NAME);
    assert_eq!(error_of(&desk.read(caller.id), 12), Some(error::ACCESS_DENIED.as_str()));
    let seen = got.iter().filter(|got| got.sender == caller.name);
    assert_eq!(seen.map(|got| got.serial).collect::<Vec<_>>(), [13]);
}

// config.md B027, B039
#[test]
fn starts_and_what_they_hold_are_bounded() {
    let mut desk = desk_with(Limits { pending_service_starts_max: 2, ..Limits::default() });
    let caller = desk.guest();
    for serial in [11, 12, 13] {
        send(&mut desk, &caller, serial, NAME);
    }
    let exceeded = Some(error::LIMITS_EXCEEDED.as_str());
    assert_eq!(error_of(&desk.read(caller.id), 13), exceeded);
    drop(desk);
    let mut desk = desk_with(Limits { incoming_bytes_max: 10_000, ..Limits::default() });
    let caller = desk.guest();
    for serial in [11, 12, 13] {
        let call = Mail::call(serial, NAME, "org.example.A", "Get");
        desk.send(caller.id, &call.with(Value::Bytes(6_000)));
    }
    let got = desk.read(caller.id);
    assert_eq!((got.len(), error_of(&got, 13)), (1, exceeded), "what exceeds it was held");
}

// config.md B094
#[test]
fn who_has_no_user_to_run_as_is_started_by_systemd_alone() {
    let settings = || Settings { starter: Starter::Helper, ..with_services(Limits::default()) };
    let mut desk = Desk::around(bus_with_systemd(settings()));
    let caller = desk.guest();
    send(&mut desk, &caller, 11, NAME);
    start(&mut desk, &caller, 12, NAME);
    let got = desk.read(caller.id);
    for serial in [11, 12] {
        assert_eq!(error_of(&got, serial), Some(error::SPAWN_FILE_INVALID.as_str()));
    }
    send(&mut desk, &caller, 13, UNIT_SERVICE);
    assert_eq!((desk.read(caller.id), desk.starts.len()), (vec![], 0), "it waits for systemd");
}

/// A user who waits for services that never start, alone reaches the limit, and leaves places for others,
/// though its clients come and go; who has none left is told who has the others.
#[test]
fn places_of_those_who_wait_are_shared() {
    let mut desk = desk_with(Limits { pending_service_starts_max: 8, ..Limits::default() });
    let refusal = |desk: &mut Desk, uid: u32| {
        let caller = desk.guest_with(uid, true);
        send(desk, &caller, 11, NAME);
        let refusal = desk.read(caller.id).pop().map(|got| got.text.unwrap());
        desk.event(Event::Closed { client: caller.id });
        refusal
    };
    let waits = |desk: &mut Desk, uid| refusal(desk, uid).is_none();
    let mut count = |uid| (0..20).filter(|_| waits(&mut desk, uid)).count();
    let counts = [1001, 0, 1002, 1003, 1004, 1005, 1006].map(&mut count);
    assert_eq!(counts, [8, 8, 4, 2, 1, 1, 0]);
    let text = refusal(&mut desk, 1001).unwrap();
    assert!(text.contains("(max_pending_service_starts=8)"), "{text}");
    let text = refusal(&mut desk, 1003).unwrap();
    let expected = "The share of user 1003 of pending activations is used up, activation of \
                    org.example.Service failed: it waits for 2, other users wait for 14 of 16 \
                    (user 1001 has 8, user 1002 has 4, user 1004 has 1), and it may wait for 1";
    assert!(text.starts_with(expected), "{text}");
    let timeout = u64::from(Limits::default().service_start_timeout_ms);
    desk.pass_time(timeout);
    assert!(waits(&mut desk, 1001), "all have their places back");
}

/// A user's clients together hold no more than its share, however many they are.
#[test]
fn what_a_user_has_held_is_bounded_by_its_share() {
    let mib = 1 << 20;
    let mut desk = desk_with(Limits {
        incoming_bytes_max: 4 * mib,
        outgoing_bytes_max: mib,
        message_size_max: 5 << 20,
        ..Limits::default()
    });
    // The pool is 20 MiB, of which one user may have half.
    let mut held = 0;
    for _ in 0..30 {
        let caller = desk.guest_with(1001, true);
        for serial in [11, 12, 13] {
            let call = Mail::call(serial, NAME, "org.example.A", "Get");
            desk.send(caller.id, &call.with(Value::Bytes(1 << 20)));
        }
        held += 3 - desk.read(caller.id).len();
    }
    assert!((7..=10).contains(&held), "{held} MiB are held");
    let other = desk.guest_with(1002, true);
    send(&mut desk, &other, 11, NAME);
    assert_eq!(desk.read(other.id), [], "another user's message waits");
}

#[test]
fn everybody_is_told_that_other_services_can_be_started() {
    let mut desk = desk();
    let watcher = desk.guest();
    let rule = vec![Value::Text("member='ActivatableServicesChanged'".to_owned())];
    desk.call_bus(watcher.id, "AddMatch", rule);
    let changes = |desk: &mut Desk| {
        let got = desk.read(watcher.id);
        got.iter().filter(|got| got.member.is_some()).count()
    };
    desk.event(Event::Reloaded { result: Ok(with_services(Limits::default())) });
    assert_eq!(changes(&mut desk), 0, "they are the same");
    desk.event(Event::Reloaded { result: Ok(settings(Limits::default())) });
    assert_eq!(changes(&mut desk), 1);
}

/// A file that was written before the call is found, however long the bus takes to read it; what no file
/// promises is refused as ever (config.md B097).
#[test]
fn who_asks_while_files_are_read_waits_for_that() {
    let mut desk = Desk::new(Limits::default());
    let [caller, owner, late] = [(), (), ()].map(|()| desk.guest());
    let reply =
        |desk: &mut Desk, serial| error_of(&desk.read(caller.id), serial).map(str::to_owned);
    let unknown = Some(error::SERVICE_UNKNOWN.as_str().to_owned());
    send(&mut desk, &caller, 100, NAME);
    assert_eq!(reply(&mut desk, 100), unknown, "nothing has changed");
    desk.event(Event::FilesChanged);
    send(&mut desk, &caller, 101, NAME);
    send(&mut desk, &caller, 102, "org.example.Unheard");
    start(&mut desk, &caller, 103, OTHER);
    start(&mut desk, &caller, 104, "org.example.Unheard");
    send(&mut desk, &caller, 105, NAME);
    send(&mut desk, &caller, 106, "org.example.Taken");
    let mut quiet = Mail::call(107, NAME, "org.example.A", "Get");
    quiet.flags = Flags::NO_AUTO_START;
    desk.send(caller.id, &quiet);
    assert_ne!(reply(&mut desk, 107), None, "whoever does not want a start does not wait");
    // A name that is taken meanwhile is not looked for any more.
    let got = take(&mut desk, &late, "org.example.Taken");
    assert!(got.iter().any(|got| got.sender == caller.name), "{got:?}");
    // Another file changes meanwhile: the first reading may have missed it.
    desk.event(Event::FilesChanged);
    desk.event(Event::Reloaded { result: Err("a file is broken".to_owned()) });
    assert_eq!((desk.read(caller.id), desk.starts.len()), (vec![], 0));
    desk.event(Event::Reloaded { result: Ok(with_services(Limits::default())) });
    let got = desk.read(caller.id);
    for serial in [102, 104] {
        assert_eq!(error_of(&got, serial).map(str::to_owned), unknown, "{serial}");
    }
    assert_eq!(got.iter().filter(|got| got.answered.is_some()).count(), 2, "{got:?}");
    assert_eq!(desk.starts.len(), 2, "the services are started now");
    let got = take(&mut desk, &owner, NAME);
    let calls = got.iter().filter(|got| got.sender == caller.name);
    assert_eq!(calls.count(), 2, "what waited goes on: {got:?}");
    // Then it is over.
    send(&mut desk, &caller, 108, "org.example.Unheard");
    assert_eq!(reply(&mut desk, 108), unknown);
}

// --- systemd ------------------------------------------------------------------------------------

fn failure(serial: u32, unit: &str, name: &str) -> Mail {
    let mut signal = Mail::signal(
        serial,
        "/org/freedesktop/DBus",
        "org.freedesktop.systemd1.Activator",
        "ActivationFailure",
    );
    signal.destination = Some("org.freedesktop.DBus".to_owned());
    signal
        .with(Value::Text(unit.to_owned()))
        .with(Value::Text(name.to_owned()))
        .with(Value::Text("%s%n is no format".to_owned()))
}

// protocol.md A220–A222; config.md B098
#[test]
fn systemd_is_asked_as_soon_as_it_is_there() {
    let mut desk = Desk::around(bus_with_systemd(with_services(Limits::default())));
    let [caller, service] = [(), ()].map(|()| desk.guest());
    let root = desk.guest_with(OWN_UID, true);
    send(&mut desk, &caller, 11, UNIT_SERVICE);
    send(&mut desk, &caller, 12, NAME);
    started(&mut desk);
    let got = take(&mut desk, &root, SYSTEMD);
    let is_request = |got: &&Got| got.member.as_deref() == Some("ActivationRequest");
    let units: Vec<_> =
        got.iter().filter(is_request).filter_map(|got| got.text.as_deref()).collect();
    assert_eq!(units, ["a.service"]);
    let got = take(&mut desk, &service, UNIT_SERVICE);
    assert!(got.iter().any(|got| got.serial == 11 && got.sender == caller.name), "{got:?}");
    assert_eq!(desk.starts, [], "it was not started in another way");
}

// protocol.md A220, A239; CVE-2015-0245
#[test]
fn only_systemd_may_say_that_a_start_failed() {
    let mut desk = Desk::around(bus_with_systemd(with_services(Limits::default())));
    let [caller, liar] = [(), ()].map(|()| desk.guest());
    let root = desk.guest_with(OWN_UID, true);
    take(&mut desk, &root, SYSTEMD);
    send(&mut desk, &caller, 11, UNIT_SERVICE);
    let unit_error = "org.freedesktop.systemd1.NoSuchUnit";
    desk.send(liar.id, &failure(21, "a.service", unit_error));
    assert_eq!(error_of(&desk.read(liar.id), 21), Some(error::ACCESS_DENIED.as_str()));
    assert_eq!(desk.read(caller.id), [], "it is still waited for");
    desk.send(root.id, &failure(22, "b.service", unit_error));
    assert_eq!(desk.read(caller.id), [], "another unit");
    desk.send(root.id, &failure(23, "a.service", unit_error));
    assert_eq!(error_of(&desk.read(caller.id), 11), Some(unit_error));
}

// protocol.md A221
#[test]
fn what_is_for_systemd_itself_waits_for_it() {
    let mut desk = Desk::around(bus_with_systemd(with_services(Limits::default())));
    let [caller, systemd] = [(), ()].map(|()| desk.guest_with(OWN_UID, true));
    send(&mut desk, &caller, 11, SYSTEMD);
    start(&mut desk, &caller, 12, SYSTEMD);
    assert_eq!((desk.read(caller.id), desk.starts.len()), (vec![], 0), "nobody starts it");
    let got = take(&mut desk, &systemd, SYSTEMD);
    assert!(got.iter().any(|got| got.serial == 11 && got.sender == caller.name), "{got:?}");
    assert_eq!(error_of(&desk.read(caller.id), 12), None);
    desk.event(Event::Closed { client: systemd.id });
    send(&mut desk, &caller, 13, SYSTEMD);
    desk.pass_time(u64::from(Limits::default().service_start_timeout_ms));
    assert_eq!(error_of(&desk.read(caller.id), 13), Some(error::TIMED_OUT.as_str()));
}

/// What somebody sets before they ask systemd for something is there when systemd reads that
/// (protocol.md A221, A222); it is asked for units in the order in which they were wanted.
#[test]
fn systemd_has_the_variables_before_what_waited_for_it() {
    let mut desk = Desk::around(bus_with_systemd(with_services(Limits::default())));
    let [caller, systemd] = [(), ()].map(|()| desk.guest_with(OWN_UID, true));
    let serial = desk.next_serial();
    let mut unset = Mail::call(serial, "org.freedesktop.DBus", "org.libbus.Activation1", "Unset");
    unset.path = Some("/org/freedesktop/DBus".to_owned());
    desk.send(caller.id, &unset.with(Value::Texts(vec!["GONE".to_owned()])));
    send(&mut desk, &caller, 11, SYSTEMD);
    send(&mut desk, &caller, 12, UNIT_SERVICE);
    let got = take(&mut desk, &systemd, SYSTEMD);
    let place = |is_it: &dyn Fn(&Got) -> bool| got.iter().position(is_it).unwrap();
    let places = [
        place(&|got| {
            got.member.as_deref() == Some("NameAcquired") && got.text.as_deref() == Some(SYSTEMD)
        }),
        place(&|got| got.member.as_deref() == Some("UnsetEnvironment")),
        place(&|got| got.serial == 11 && got.sender == caller.name),
        place(&|got| got.member.as_deref() == Some("ActivationRequest")),
    ];
    assert!(places.is_sorted(), "{got:?}");
    let wrong = desk.next_serial();
    let mut unset = Mail::call(wrong, "org.freedesktop.DBus", "org.libbus.Activation1", "Unset");
    unset.path = Some("/org/freedesktop/DBus".to_owned());
    desk.send(caller.id, &unset.with(Value::Texts(vec!["GOOD".to_owned(), "a=b".to_owned()])));
    assert_eq!(error_of(&desk.read(caller.id), wrong), Some(error::INVALID_ARGS.as_str()));
    assert_eq!(desk.read(systemd.id), [], "systemd is asked for nothing that it would refuse");
}

/// What is unset while systemd is not there, it is told when it comes (protocol.md A222).
#[test]
fn systemd_hears_later_what_was_unset() {
    let mut desk = Desk::around(bus_with_systemd(with_services(Limits::default())));
    let owner = desk.guest();
    let systemd = desk.guest_with(OWN_UID, true);
    let serial = desk.next_serial();
    let mut unset = Mail::call(serial, "org.freedesktop.DBus", "org.libbus.Activation1", "Unset");
    unset.path = Some("/org/freedesktop/DBus".to_owned());
    let names = ["INHERITED", "UNHEARD_OF"].map(str::to_owned).to_vec();
    desk.send(owner.id, &unset.with(Value::Texts(names)));
    assert_eq!(error_of(&desk.read(owner.id), serial), None);
    for expected in [1, 0] {
        let got = take(&mut desk, &systemd, SYSTEMD);
        let is_told = |got: &&Got| got.member.as_deref() == Some("UnsetEnvironment");
        assert_eq!(got.iter().filter(is_told).count(), expected, "told once: {got:?}");
        let body = vec![Value::Text(SYSTEMD.to_owned())];
        desk.call_bus(systemd.id, "ReleaseName", body);
    }
}

/// Variables can be taken away again, and systemd hears of it; whoever watches learns of the change, and
/// who may know them can read them.
#[test]
fn variables_are_set_listed_and_unset() {
    let mut desk = Desk::around(bus_with_systemd(with_services(Limits::default())));
    let [owner, watcher] = [(), ()].map(|()| desk.guest());
    let stranger = desk.guest_with(1001, true);
    let systemd = desk.guest_with(OWN_UID, true);
    take(&mut desk, &systemd, SYSTEMD);
    let rule = "interface='org.freedesktop.DBus.Properties',arg0='org.libbus.Activation1'";
    let rule = vec![Value::Text(rule.to_owned())];
    desk.call_bus(watcher.id, "AddMatch", rule);
    let call = |desk: &mut Desk, guest: &Guest, member: &str, names: Option<&[&str]>| {
        let serial = desk.next_serial();
        let mut call = Mail::call(serial, "org.freedesktop.DBus", "org.libbus.Activation1", member);
        call.path = Some("/org/freedesktop/DBus".to_owned());
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let call = names.iter().fold(call, |call, names| call.with(Value::Texts(texts(names))));
        desk.send(guest.id, &call);
        error_of(&desk.read(guest.id), serial).map(str::to_owned)
    };
    assert_eq!(call(&mut desk, &owner, "Unset", Some(&["A", "B"])), None, "there are none");
    let told: Vec<_> = desk.read(systemd.id).into_iter().filter_map(|got| got.member).collect();
    assert_eq!((desk.read(watcher.id), told), (vec![], vec!["UnsetEnvironment".to_owned()]));
    let denied = Some(error::ACCESS_DENIED.as_str().to_owned());
    for (member, names) in [("Unset", Some(&["A"][..])), ("List", None)] {
        assert_eq!(call(&mut desk, &stranger, member, names), denied, "{member}");
    }
    assert_eq!(call(&mut desk, &owner, "List", None), None);
}
