//! Names that are had, waited for and watched, and who has them.

use std::io::{self, Read as _, Write as _};
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;

use libbus::names::{BusName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{Header, MessageType, ParsedHeader, Signature, frame, write_message};
use libbus::{Error, NameEvent, RequestNameFlags, standard_error};

use crate::{connect, on_each_bus};

const NAME: &str = "org.example.Name";

#[test]
fn a_name_is_had_until_it_is_dropped_and_says_when_it_is_lost() {
    on_each_bus(|bus| {
        let (one, other) = (connect(bus), connect(bus));
        let replaceable = RequestNameFlags { allow_replacement: true, ..Default::default() };
        let mut first = one.own_name(NAME, replaceable).unwrap();
        assert!(first.is_owner());
        let kept = RequestNameFlags { do_not_queue: true, ..Default::default() };
        assert!(matches!(other.own_name(NAME, kept), Err(Error::NameTaken)));
        let mut waiting = other.own_name(NAME, RequestNameFlags::default()).unwrap();
        assert!(!waiting.is_owner());

        let third = connect(bus);
        let replacing = RequestNameFlags { replace_existing: true, ..Default::default() };
        let replaced = third.own_name(NAME, replacing).unwrap();
        assert_eq!(first.next_event().unwrap(), NameEvent::Lost);
        assert!(!first.is_owner());
        // It waits for it from now on, before the other.
        drop(replaced);
        third.bus().call::<_, String>("GetId", &()).unwrap();
        assert_eq!(first.next_event().unwrap(), NameEvent::Acquired);
        drop(first);
        one.bus().call::<_, String>("GetId", &()).unwrap();
        assert_eq!(waiting.next_event().unwrap(), NameEvent::Acquired);
        let owner: String = one.bus().call("GetNameOwner", NAME).unwrap();
        assert_eq!(Some(owner.as_str()), other.unique_name());
    });
}

#[test]
fn a_watch_tells_each_owner_from_the_present_one_on() {
    on_each_bus(|bus| {
        let (watcher, owner) = (connect(bus), connect(bus));
        let mut watch = watcher.watch_name(NAME).unwrap();
        assert_eq!(watch.next_owner().unwrap(), None);
        let name = owner.own_name(NAME, RequestNameFlags::default()).unwrap();
        assert_eq!(watch.next_owner().unwrap().as_deref(), owner.unique_name());
        let mut late = watcher.watch_name(NAME).unwrap();
        assert_eq!(late.next_owner().unwrap().as_deref(), owner.unique_name());
        drop(name);
        owner.bus().call::<_, String>("GetId", &()).unwrap();
        assert_eq!((watch.next_owner().unwrap(), late.next_owner().unwrap()), (None, None));
    });
}

#[test]
fn a_watch_is_an_iterator() {
    on_each_bus(|bus| {
        let (watcher, owner) = (connect(bus), connect(bus));
        let watch = watcher.watch_name(NAME).unwrap();
        owner.request_name(NAME).unwrap();
        owner.release_name(NAME).unwrap();
        let owners: Vec<_> = watch.take(3).map(Result::unwrap).collect();
        assert_eq!(owners, [None, owner.unique_name().map(ToOwned::to_owned), None]);
        let watch = watcher.watch_name(NAME).unwrap();
        watcher.close();
        let mut told = watch.map(|owner| owner.map_err(|error| error.is_disconnected()));
        assert_eq!(
            [told.next(), told.next(), told.next()],
            [Some(Ok(None)), Some(Err(true)), None]
        );
    });
}

#[test]
fn the_bus_says_who_somebody_is() {
    on_each_bus(|bus| {
        let connection = connect(bus);
        let who = connection.credentials(connection.unique_name().unwrap()).unwrap();
        assert_eq!(who.uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(who.pid, Some(std::process::id()));
        let groups = who.groups.unwrap_or_default();
        assert!(groups.contains(&rustix::process::getegid().as_raw()), "{groups:?}");
        let error = connection.credentials("org.example.Nobody").unwrap_err();
        assert!(error.is_method_error(standard_error::NAME_HAS_NO_OWNER.as_str()), "{error}");
        assert!(matches!(connection.credentials("nobody"), Err(Error::Name(_))));
    });
}

#[test]
fn a_set_of_peers_tells_who_goes() {
    on_each_bus(|bus| {
        let service = connect(bus);
        let (one, other) = (connect(bus), connect(bus));
        let [one_name, other_name] =
            [&one, &other].map(|peer| peer.unique_name().unwrap().to_owned());
        let name = one.own_name(NAME, RequestNameFlags::default()).unwrap();
        let mut peers = service.peer_set();
        assert!(peers.is_empty() && peers.next_gone().unwrap().is_none());
        assert!(peers.add(&one_name).unwrap() && peers.add(&one_name).unwrap());
        assert!(peers.add(&other_name).unwrap() && peers.add(NAME).unwrap());
        assert!(!peers.add("org.example.Nobody").unwrap() && !peers.add(":1.987654").unwrap());
        assert!(matches!(peers.add("nobody"), Err(Error::Name(_))));
        assert_eq!(peers.names().collect::<Vec<_>>(), [&one_name, &other_name, NAME]);
        assert_eq!((peers.len(), peers.count(&one_name)), (3, 1));

        drop(name);
        assert_eq!(peers.next_gone().unwrap().as_deref(), Some(NAME));
        other.close();
        assert_eq!(peers.next_gone().unwrap(), Some(other_name));
        assert!(peers.remove(&one_name) && !peers.remove(&one_name) && peers.is_empty());
        // A name that goes from one to another is not gone.
        let waiting = connect(bus);
        let first = one.own_name(NAME, RequestNameFlags::default()).unwrap();
        let second = waiting.own_name(NAME, RequestNameFlags::default()).unwrap();
        assert!(peers.add(NAME).unwrap() && peers.add(&one_name).unwrap());
        drop(first);
        one.close();
        assert_eq!(peers.next_gone().unwrap(), Some(one_name));
        drop(second);
        peers.wait_until_empty().unwrap();
    });
}

#[test]
fn a_set_that_counts_keeps_who_was_added_more_often() {
    on_each_bus(|bus| {
        let (service, peer) = (connect(bus), connect(bus));
        let name = peer.unique_name().unwrap();
        let mut peers = service.peer_set().counting();
        assert!((0..3).all(|_| peers.add(name).unwrap()));
        assert!(peers.remove(name));
        assert_eq!((peers.len(), peers.count(name)), (1, 2));
        // Who is gone is gone altogether.
        peer.close();
        assert_eq!(peers.next_gone().unwrap().as_deref(), Some(name));
        assert!(peers.is_empty() && !peers.remove(name));
    });
}

#[test]
fn a_set_with_futures_waits_until_all_are_gone() {
    on_each_bus(|bus| {
        futures_lite::future::block_on(async {
            let builder = || libbus::Builder::address(&crate::address(bus)).unwrap().build();
            let (service, peer) = (builder().await.unwrap(), builder().await.unwrap());
            let mut peers = service.peer_set();
            assert!(peers.add(peer.unique_name().unwrap()).await.unwrap());
            assert!(futures_lite::future::poll_once(peers.next_gone()).await.is_none());
            drop(peer);
            peers.wait_until_empty().await.unwrap();
            assert!(peers.is_empty());
        });
    });
}

/// A bus that answers whatever it is asked, and says beside the answer who has a name that nobody has it any more.
fn tell_beside_the_answer(mut socket: UnixStream) -> io::Result<()> {
    let mut lines = Vec::new();
    let mut byte = [0];
    while !lines.ends_with(b"BEGIN\r\n") {
        socket.read_exact(&mut byte)?;
        lines.extend(byte);
        if lines.ends_with(b"\r\n") {
            let line = lines.split(|byte| *byte == b'\n').rev().nth(1).unwrap_or_default();
            match line {
                [0, b'A', ..] => socket.write_all(b"OK 07070707070707070707070707070707\r\n")?,
                [b'N', ..] => socket.write_all(b"ERROR\r\n")?,
                _ => {}
            }
        }
    }
    let mut read = Vec::new();
    loop {
        socket.read_exact(&mut byte)?;
        read.extend(byte);
        let Ok(Some(frame)) = frame(&read, u32::MAX) else { continue };
        if read.len() < frame.message_size() {
            continue;
        }
        let asked = ParsedHeader::parse(&read, &frame).unwrap().header;
        let mut answer = Header::new(MessageType::MethodReturn, NonZeroU32::MIN);
        answer.sender = Some(BusName::parse("org.freedesktop.DBus").unwrap());
        answer.reply_serial = Some(asked.serial);
        let mut bytes = Vec::new();
        if asked.member.is_some_and(|member| member.as_str() == "GetNameOwner") {
            answer.signature = Signature::from_static("s");
            write_message(&answer, &mut bytes, |body| body.string(":1.7"));
            let mut change = Header::new(MessageType::Signal, NonZeroU32::MIN);
            change.sender = answer.sender;
            change.path = Some(ObjectPath::parse("/org/freedesktop/DBus").unwrap());
            change.interface = Some(InterfaceName::parse("org.freedesktop.DBus").unwrap());
            change.member = Some(MemberName::parse("NameOwnerChanged").unwrap());
            change.signature = Signature::from_static("sss");
            write_message(&change, &mut bytes, |body| {
                [NAME, ":1.7", ""].iter().for_each(|text| body.string(text));
            });
        } else {
            write_message(&answer, &mut bytes, |_| {});
        }
        socket.write_all(&bytes)?;
        read.clear();
    }
}

#[test]
fn a_change_that_comes_with_the_first_answer_is_not_lost() {
    let (socket, other) = UnixStream::pair().unwrap();
    let bus = std::thread::spawn(move || tell_beside_the_answer(other));
    let connection = libbus::blocking::Builder::socket(socket).p2p().build().unwrap();
    let mut watch = connection.watch_name(NAME).unwrap();
    assert_eq!(watch.next_owner().unwrap(), None);
    drop((watch, connection));
    // It has read to the end.
    assert!(bus.join().unwrap().is_err());
}
