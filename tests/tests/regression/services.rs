//! Services that the bus starts.

use std::fs;

use bus_tests::harness::{BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Config, Daemon, Message};

/// They began with SIGTERM, SIGINT and SIGHUP blocked, as the bus itself has them: dconf-service went on
/// when its session was over, and nobody could end it but by SIGKILL (config.md B099).
#[test]
fn a_service_has_no_more_signals_blocked_than_the_bus_was_started_with() {
    let elements = "<servicedir>services</servicedir>";
    let bus = Bus::start(&Daemon::ours(), &Config { elements, ..Config::SESSION });
    let directory = bus.dir.join("services");
    fs::create_dir(&directory).unwrap();
    let service = "[D-BUS Service]\nName=org.example.Shown\nExec=/bin/cat /proc/self/status\n";
    fs::write(directory.join("shown.service"), service).unwrap();
    let mut client = bus.connect();
    client.call("ReloadConfig", &[]);
    // It never takes the name, so there is no answer to wait for.
    let own = fs::read_to_string("/proc/thread-self/status").unwrap();
    let blocked = own.lines().find(|line| line.starts_with("SigBlk:")).unwrap();
    let start = Message::method_call(BUS_PATH, BUS_INTERFACE, "StartServiceByName").to(BUS_NAME);
    client.send(&start.arg("org.example.Shown").arg(0_u32));
    // The log shows a tab as \t.
    let shown = format!("'org.example.Shown': {}", blocked.replace('\t', "\\t"));
    bus.wait_for_log(&shown, 1);
}
