//! Changes of configuration files that the bus notices by itself: config.md B105.

use std::fs;

use bus_tests::harness::Bus;

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("a change in an <includedir> reloads", "B105 B106", change)
            .elements("<includedir>parts</includedir>")
            .directories(&["parts"]),
        Case::new("a broken file in an <includedir> is left out until it is mended", "B105", mend)
            .elements("<includedir>parts</includedir>")
            .directories(&["parts"]),
    ]
}

/// What the log says of each reload that succeeded.
const RELOADED: &str = "Reloaded configuration";
const NO_RULES: &str =
    "<busconfig><limit name='max_match_rules_per_connection'>0</limit></busconfig>";

fn accepts_rules(bus: &Bus) -> bool {
    let reply = bus.connect().try_call("AddMatch", &["type='signal'".into()]);
    match reply.error_name().as_str() {
        "" => true,
        "org.freedesktop.DBus.Error.LimitsExceeded" => false,
        error => panic!("{error}"),
    }
}

/// A daemon may tell its address before it watches; when it answers calls, it does.
fn wait_until_watched(bus: &Bus) {
    assert!(accepts_rules(bus), "before any change");
}

fn change(bus: &Bus) {
    wait_until_watched(bus);
    let (inside, outside) = (bus.dir.join("parts/a.conf"), bus.dir.join("a.conf"));
    fs::write(&inside, NO_RULES).unwrap();
    bus.wait_for_log(RELOADED, 1);
    assert!(!accepts_rules(bus), "a file was written");
    fs::rename(&inside, &outside).unwrap();
    bus.wait_for_log(RELOADED, 2);
    assert!(accepts_rules(bus), "it was moved away");
    fs::rename(&outside, &inside).unwrap();
    bus.wait_for_log(RELOADED, 3);
    assert!(!accepts_rules(bus), "it was moved back");
    fs::remove_file(&inside).unwrap();
    bus.wait_for_log(RELOADED, 4);
    assert!(accepts_rules(bus), "it was removed");
}

fn mend(bus: &Bus) {
    wait_until_watched(bus);
    let file = bus.dir.join("parts/a.conf");
    fs::write(&file, NO_RULES.replace("</busconfig>", "")).unwrap();
    bus.wait_for_log(RELOADED, 1);
    assert!(accepts_rules(bus), "nothing of a broken file counts");
    fs::write(&file, NO_RULES).unwrap();
    bus.wait_for_log(RELOADED, 2);
    assert!(!accepts_rules(bus), "the mended file counts");
}
