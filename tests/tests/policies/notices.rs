//! What a service manager is told: config.md B109, sd_notify(3).

use std::os::unix::net::UnixDatagram;

use bus_tests::harness::{Bus, Config, DEADLINE, Daemon};

/// The next notice; fails when there is none in time.
fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let size = socket.recv(&mut buffer).expect("a notice");
    String::from_utf8(buffer[..size].to_vec()).unwrap()
}

#[test]
fn a_service_manager_is_told_of_the_start_a_reload_and_the_end() {
    let dir = std::env::temp_dir().join(format!("notices-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let path: &'static str = Box::leak(path.display().to_string().into_boxed_str());
    let environment: &'static [(&str, &str)] = Box::leak(Box::new([("NOTIFY_SOCKET", path)]));
    let bus = Bus::start(&Daemon::ours(), &Config { environment, ..Config::SESSION });
    let ready = next(&socket);
    assert!(ready.contains("READY=1") && ready.contains("MAINPID="), "{ready}");
    bus.connect().call("ReloadConfig", &[]);
    let reloading = next(&socket);
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="));
    assert!(next(&socket).contains("READY=1"));
    assert!(bus.terminate());
    assert!(next(&socket).contains("STOPPING=1"));
    std::fs::remove_dir_all(&dir).unwrap();
}
