//! Reading the configuration again.

use std::fs;
use std::io::Write as _;

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Config, Daemon, Message};

/// Who asks while the configuration is being read was answered when that was done, though it had
/// changed a file that was read before: its change came into force much later or never.
#[test]
fn a_reload_asked_for_during_another_reads_the_files_again() {
    let elements = "<include ignore_missing='yes'>slow.conf</include>";
    let bus = Bus::start(&Daemon::ours(), &Config { elements, ..Config::SESSION });
    let (slow, file) = (bus.dir.join("slow.conf"), bus.dir.join("bus.conf"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &slow, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let reload = Message::method_call(BUS_PATH, BUS_INTERFACE, "ReloadConfig").to(BUS_NAME);
    let mut first = bus.connect();
    let mut second = bus.connect();
    let first_serial = first.send(&reload);
    // Opening waits until the bus has read the file before this one and opens it too.
    let mut pipe = fs::OpenOptions::new().write(true).open(&slow).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let limited = "<limit name='max_match_rules_per_connection'>0</limit></busconfig>";
    fs::write(&file, text.replace("</busconfig>", limited)).unwrap();
    let second_serial = second.send(&reload);
    assert_eq!(second.call("NameHasOwner", &["a.b".into()]).error_name(), "", "it was taken in");
    fs::remove_file(&slow).unwrap();
    pipe.write_all(b"<busconfig/>").unwrap();
    drop(pipe);
    assert_eq!(first.reply_to(first_serial).error_name(), "");
    assert_eq!(second.reply_to(second_serial).error_name(), "");
    let error = second.refused("AddMatch", &["type='signal'".into()]);
    assert_eq!(error, "org.freedesktop.DBus.Error.LimitsExceeded");
}
