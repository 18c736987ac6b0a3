//! What a reload may not take away.

use std::fs;

use bus_tests::harness::{Bus, Config, Daemon, kind};

const NO_RULES: &str =
    "<busconfig><limit name='max_match_rules_per_connection'>0</limit></busconfig>";

// config.md B005, B108
#[test]
fn a_file_that_was_sound_and_is_broken_now_keeps_the_old_configuration() {
    let config = Config { elements: "<includedir>parts</includedir>", ..Config::SESSION };
    let bus = Bus::start(&Daemon::ours(), &config);
    let (parts, file) = (bus.dir.join("parts"), bus.dir.join("parts/a.conf"));
    fs::create_dir(&parts).unwrap();
    let mut client = bus.connect();
    // A new file that is broken is left out; nothing is lost by that.
    fs::write(&file, NO_RULES.replace("</busconfig>", "")).unwrap();
    client.call("ReloadConfig", &[]);
    client.add_match("type='signal'");
    fs::write(&file, NO_RULES).unwrap();
    client.call("ReloadConfig", &[]);
    let error = |client: &mut bus_tests::harness::Client| client.refused("AddMatch", &["".into()]);
    assert_eq!(error(&mut client), "org.freedesktop.DBus.Error.LimitsExceeded");

    fs::write(&file, NO_RULES.replace("</busconfig>", "")).unwrap();
    let answer = client.try_call("ReloadConfig", &[]);
    assert_eq!(answer.kind, kind::ERROR, "{}", answer.describe());
    let text = answer.body[0].text();
    assert!(text.contains("parts/a.conf:1:") && text.contains("sound before"), "{text}");
    assert_eq!(error(&mut client), "org.freedesktop.DBus.Error.LimitsExceeded");

    // Removing it is no accident.
    fs::remove_file(&file).unwrap();
    client.call("ReloadConfig", &[]);
    client.add_match("type='signal',path='/a'");
}

/// A directory may come after the start, and be moved away and back: it is watched all the same, and what a
/// link leads to is not lost in silence (config.md B005, B105).
#[test]
fn a_directory_that_comes_later_is_read_and_one_that_comes_back_again() {
    let config = Config { elements: "<includedir>parts</includedir>", ..Config::SESSION };
    let bus = Bus::start(&Daemon::ours(), &config);
    let (parts, new) = (bus.dir.join("parts"), bus.dir.join("new"));
    let mut client = bus.connect();
    let mut wait_until = |is_denied: bool| {
        let refused = |client: &mut bus_tests::harness::Client| {
            client.try_call("AddMatch", &["type='signal'".into()]).kind == kind::ERROR
        };
        bus.wait_until("what the directory says", || refused(&mut client) == is_denied);
    };
    wait_until(false);
    for _ in 0..2 {
        fs::create_dir(&new).unwrap();
        fs::write(new.join("a.conf"), NO_RULES).unwrap();
        fs::rename(&new, &parts).unwrap();
        wait_until(true);
        fs::remove_dir_all(&parts).unwrap();
        wait_until(false);
    }
    fs::create_dir(&parts).unwrap();
    fs::write(&new, NO_RULES).unwrap();
    std::os::unix::fs::symlink(&new, parts.join("a.conf")).unwrap();
    wait_until(true);
    // Nobody has removed its name: what it said is not lost by a reload, and that is told.
    fs::remove_file(&new).unwrap();
    let answer = bus.connect().try_call("ReloadConfig", &[]);
    assert_eq!(answer.kind, kind::ERROR, "{}", answer.describe());
    bus.wait_for_log("which does not exist", 1);
    wait_until(true);
    fs::remove_file(parts.join("a.conf")).unwrap();
    wait_until(false);
    bus.wait_for_log("parts/a.conf said does not count any more", 1);
}
