//! Names that are had, waited for and watched, and who has them.

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
