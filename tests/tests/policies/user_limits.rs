//! Limits of single users, from files of our own beside the configuration.

use std::fs;

use bus_tests::harness::{Bus, Client, Config, Daemon};

const RULE: &str = "type='signal',path='/org/example/A'";
const EVERYBODY: &str = "<policy context='default'><allow user='*'/></policy>";

fn accepts_rules(client: &mut Client) -> bool {
    let answer = client.try_call("AddMatch", &[RULE.into()]);
    match answer.error_name().as_str() {
        "" => true,
        "org.freedesktop.DBus.Error.LimitsExceeded" => false,
        error => panic!("{error}"),
    }
}

#[test]
fn a_file_beside_the_configuration_limits_one_user() {
    if !rustix::process::getuid().is_root() {
        return println!("skipped: needs root, for clients of several users");
    }
    let bus = Bus::start(&Daemon::ours(), &Config { elements: EVERYBODY, ..Config::SESSION });
    let mut manager = bus.connect();
    let mut nobody = Client::register(bus.connect_as(65534));
    let mut daemon = Client::register(bus.connect_as(1));
    assert!(accepts_rules(&mut nobody) && accepts_rules(&mut daemon));

    let limits = bus.dir.join("bus-limits.d");
    fs::create_dir(&limits).unwrap();
    let file = limits.join("nobody.conf");
    let text = "<buslimits><limit name='max_match_rules_per_connection' user='nobody'>1</limit>\
                </buslimits>";
    fs::write(&file, text).unwrap();
    manager.call("ReloadConfig", &[]);
    assert!(!accepts_rules(&mut nobody), "its one rule is there already");
    assert!(accepts_rules(&mut daemon), "the others keep their limits");

    // From now on the directory is watched.
    fs::remove_file(&file).unwrap();
    bus.wait_until("the limit is gone", || accepts_rules(&mut nobody));

    // A wrong file is left out, and the log says what is wrong with it and where.
    fs::write(&file, text.replace("max_match", "max_mach")).unwrap();
    bus.wait_for_log("nobody.conf:1:", 1);
    assert!(accepts_rules(&mut nobody));
    assert!(
        bus.log().contains("did you mean \"max_match_rules_per_connection\"?"),
        "{}",
        bus.log()
    );
}
