//! What a service manager is told: config.md B109, sd_notify(3).

use std::os::unix::net::UnixDatagram;

use bus_tests::harness::{Bus, Config, DEADLINE, Daemon, Folder};

/// The next notice; fails when there is none in time.
fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let size = socket.recv(&mut buffer).expect("a notice");
    String::from_utf8(buffer[..size].to_vec()).unwrap()
}

/// A bus with a service manager's socket, and where that is.
fn bus_with_manager() -> (Bus, UnixDatagram, Folder) {
    let folder = Folder::new();
    let path = folder.join("manager");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let text: &'static str = Box::leak(path.display().to_string().into_boxed_str());
    let environment: &'static [(&str, &str)] = Box::leak(Box::new([("NOTIFY_SOCKET", text)]));
    let bus = Bus::start(&Daemon::ours(), &Config { environment, ..Config::SESSION });
    (bus, socket, folder)
}

#[test]
fn a_service_manager_is_told_of_the_start_a_reload_and_the_end() {
    let (bus, socket, _folder) = bus_with_manager();
    let ready = next(&socket);
    assert!(ready.contains("READY=1") && ready.contains("MAINPID="), "{ready}");
    bus.connect().call("ReloadConfig", &[]);
    let reloading = next(&socket);
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="));
    assert!(next(&socket).contains("READY=1"));
    assert!(bus.terminate());
    assert!(next(&socket).contains("STOPPING=1"));
}

/// Its socket takes a few notices, and then whoever sends another one waits.
#[test]
fn a_service_manager_that_does_not_listen_holds_up_nothing() {
    let (bus, socket, _folder) = bus_with_manager();
    for _ in 0..40 {
        assert_eq!(bus.connect().call("ReloadConfig", &[]).error_name(), "");
    }
    assert!(bus.terminate(), "it ends all the same");
    assert!(next(&socket).contains("READY=1"));
}
