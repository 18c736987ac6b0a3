//! Defects that the simulation found, each in as few steps as it takes.

use std::num::NonZeroU32;
use std::rc::Rc;

use bus_daemon::bus::Event;
use bus_daemon::bus::credentials::{PeerCredentials, ProcessFdSource};
use bus_daemon::bus::outbox::MessageFds;
use bus_policy::config::Limits;
use libbus::standard_error as error;
use libbus::wire::MessageType;

use crate::actor::null_fds;
use crate::desk::{Desk, Guest, settings};
use crate::mail::{Mail, Value, hex_of};
use crate::world::OWN_UID;

fn monitor(desk: &mut Desk) -> Guest {
    let guest = desk.guest();
    become_monitor(desk, &guest);
    guest
}

fn become_monitor(desk: &mut Desk, guest: &Guest) {
    let everything = vec![Value::Texts(vec![]), Value::Number(0)];
    assert_eq!(desk.error_of(guest.id, "BecomeMonitor", everything), None);
    desk.read(guest.id);
}

/// A failed reload answered callers that were gone with an error to nobody, which monitors saw.
#[test]
fn a_reload_answers_nobody_who_is_gone() {
    let mut desk = Desk::new(Limits::default());
    let monitor = monitor(&mut desk);
    let caller = desk.guest();
    let call = Mail::call_bus(7, "ReloadConfig", vec![]);
    desk.send(caller.id, &call);
    desk.event(Event::Closed { client: caller.id });
    desk.read(monitor.id);
    desk.event(Event::Reloaded { result: Err("no such file".to_owned()) });
    assert_eq!(desk.read(monitor.id), []);
}

/// A caller that had become a monitor got the reply itself and once more as a monitor.
#[test]
fn a_reload_answers_nobody_who_became_a_monitor() {
    for result in [Ok(()), Err("no such file".to_owned())] {
        let mut desk = Desk::new(Limits::default());
        let caller = desk.guest();
        desk.send(caller.id, &Mail::call_bus(7, "ReloadConfig", vec![]));
        become_monitor(&mut desk, &caller);
        let settings = settings(Limits::default());
        desk.event(Event::Reloaded { result: result.map(|()| settings) });
        assert_eq!(desk.read(caller.id), []);
    }
}

fn client_with_process_fd(desk: &mut Desk) -> Guest {
    let fd: MessageFds = Rc::from(null_fds(1));
    let process_fd = Some(ProcessFdSource::new(move || Some(Rc::clone(&fd))));
    let credentials = PeerCredentials { uid: Some(OWN_UID), process_fd, ..Default::default() };
    let id = desk.connect(credentials);
    desk.authenticate(id, OWN_UID, true);
    desk.hello(id).unwrap()
}

/// Monitors got the bus's replies that announce a descriptor without it, for which a client must
/// disconnect (protocol.md A057, A203).
#[test]
fn a_monitor_gets_the_descriptors_of_the_buss_replies() {
    let mut desk = Desk::new(Limits::default());
    let with_fds = monitor(&mut desk);
    let without_fds = desk.guest_with(OWN_UID, false);
    become_monitor(&mut desk, &without_fds);
    let client = client_with_process_fd(&mut desk);
    for id in [with_fds.id, without_fds.id] {
        desk.read(id);
    }
    let ask = vec![Value::Text(client.name.clone())];
    desk.call_bus(client.id, "GetConnectionCredentials", ask);
    let (_, fds) = desk.read_batch(with_fds.id);
    assert_eq!(fds, [], "the call comes first");
    let (_, fds) = desk.read_batch(with_fds.id);
    assert_eq!(fds.len(), 1);
    let got = desk.read(without_fds.id);
    assert_eq!(got.iter().map(|got| got.announced_fds).collect::<Vec<_>>(), [0], "{got:?}");
}

/// Where the kernel refused the descriptors of a reply, the caller waited for ever.
#[test]
fn a_reply_whose_descriptors_are_refused_becomes_an_error() {
    let mut desk = Desk::new(Limits::default());
    let (caller, callee) = (desk.guest(), desk.guest());
    desk.send(caller.id, &Mail::call(7, &callee.name, "org.example.A", "Get"));
    desk.read(caller.id);
    let mut reply = Mail::reply(8, &caller.name, NonZeroU32::new(7).unwrap());
    reply.unix_fds = 1;
    desk.send(callee.id, &reply);
    desk.event(Event::FdsRefused { client: caller.id });
    let got = desk.read(caller.id);
    assert!(got.len() == 1 && got[0].is_error(7, error::LIMITS_EXCEEDED), "{got:?}");
}

/// The same for replies of the bus.
#[test]
fn a_reply_of_the_bus_whose_descriptors_are_refused_becomes_an_error() {
    let mut desk = Desk::new(Limits::default());
    let client = client_with_process_fd(&mut desk);
    desk.read(client.id);
    let ask = vec![Value::Text(client.name.clone())];
    desk.send(client.id, &Mail::call_bus(7, "GetConnectionCredentials", ask));
    desk.event(Event::FdsRefused { client: client.id });
    let got = desk.read(client.id);
    assert!(got.len() == 1 && got[0].is_error(7, error::LIMITS_EXCEEDED), "{got:?}");
}

/// What somebody else sees of a refused reply is lost for them alone.
#[test]
fn only_the_addressee_is_told_of_refused_descriptors() {
    let mut desk = Desk::new(Limits::default());
    let monitor = monitor(&mut desk);
    let (caller, callee) = (desk.guest(), desk.guest());
    desk.send(caller.id, &Mail::call(7, &callee.name, "org.example.A", "Get"));
    for id in [caller.id, monitor.id] {
        desk.read(id);
    }
    let mut reply = Mail::reply(8, &caller.name, NonZeroU32::new(7).unwrap());
    reply.unix_fds = 1;
    desk.send(callee.id, &reply);
    desk.event(Event::FdsRefused { client: monitor.id });
    assert_eq!(desk.read(monitor.id), []);
    let got = desk.read(caller.id);
    assert!(got.len() == 1 && got[0].message_type == MessageType::MethodReturn, "{got:?}");
}

/// Bytes that had waited for a cookie were not settled like those of any read.
#[test]
fn what_waited_for_a_cookie_is_handled_like_any_read() {
    let mut desk = Desk::new(Limits::default());
    let id = desk.connect(PeerCredentials { uid: Some(OWN_UID), ..Default::default() });
    let user = hex_of(&OWN_UID.to_string());
    let mut bytes = format!(
        "\0AUTH DBUS_COOKIE_SHA1 {user}\r\nAUTH EXTERNAL {user}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
    )
    .into_bytes();
    bytes.extend(Mail::call_bus(7, "Hello", vec![]).write());
    // protocol.md A097: too early for descriptors, so that they are nobody's.
    desk.send_bytes(id, &bytes, 1);
    assert_eq!(desk.errands, 1);
    desk.event(Event::CookieFound { client: id, cookie: None });
    assert!(desk.bus.client(id).unwrap().is_registered());
    desk.pass_time(1 << 40);
    assert_eq!(desk.take_closed(), []);
}

/// A process can call itself what it likes: no name of one ends its quotes, or the line.
#[test]
fn a_process_cannot_write_the_log() {
    let mut desk = Desk::new(Limits::default());
    let id = desk.connect(PeerCredentials {
        uid: Some(1001),
        pid: Some(7),
        security_label: Some(b"lab\"el\n".as_slice().into()),
        ..PeerCredentials::default()
    });
    desk.send_bytes(id, b"nonsense", 0);
    let line = desk.log.last().unwrap();
    assert!(line.contains(r#"uid=1001 pid=7 comm="pro\"cess\n7" label="lab\"el\n")"#), "{line}");
    assert_eq!(desk.take_closed(), [id]);
}
