//! Hints that lead to the bus that was meant, by commands that a shell takes as they stand.

use crate::options::BusOptions;
use crate::output::escape::{plain, shell_word};

/// How it is said which bus is meant, in the way that was tried.
pub(crate) const fn place(bus: &BusOptions) -> &'static str {
    match bus {
        BusOptions { host: Some(_), .. } => "for example: --host=alice@example.org",
        BusOptions { machine: Some(_), .. } => "for example: --machine=container",
        _ => "for example: --address=unix:path=/run/user/1000/bus",
    }
}

/// Who sees all that is said on a bus, where this user does not.
pub(crate) fn see_all(bus: &BusOptions) -> String {
    let who = "root and the user that the bus runs as see all";
    let root_of = |place: &str| {
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        shell_word(&plain(&format!("root@{place}")))
    };
    match bus {
        BusOptions { host: Some(host), .. } => {
            format!("{who}: bus --host={} monitor", root_of(host))
        }
        BusOptions { machine: Some(machine), .. } => {
            format!("{who}: bus --machine={} monitor", root_of(machine))
        }
        BusOptions { system: true, .. } => format!("{who}: sudo bus --system monitor"),
        // Root's own session would be another bus.
        bus => match bus.address_text() {
            Ok(address) => {
                let address = shell_word(&plain(&address));
                format!("{who}: sudo bus --address={address} monitor")
            }
            Err(_) => who.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::see_all;
    use crate::options::BusOptions;

    #[test]
    fn who_sees_all_is_said_of_the_bus_that_was_meant() {
        let check = |bus: BusOptions, wanted: &str| {
            let who = "root and the user that the bus runs as see all: ";
            assert_eq!(see_all(&bus), format!("{who}{wanted}"));
        };
        let address = Some("unix:path=/tmp/it's".to_owned());
        let wanted = r"sudo bus --address='unix:path=/tmp/it'\''s' monitor";
        check(BusOptions { address, ..BusOptions::default() }, wanted);
        check(BusOptions { system: true, ..BusOptions::default() }, "sudo bus --system monitor");
        let host = Some("alice@example.org".to_owned());
        let wanted = "bus --host=root@example.org monitor";
        check(BusOptions { host, ..BusOptions::default() }, wanted);
        let machine = Some("box".to_owned());
        let wanted = "bus --machine=root@box monitor";
        check(BusOptions { machine, ..BusOptions::default() }, wanted);
    }
}
