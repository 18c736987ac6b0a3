//! The library's examples, run as people run them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::OnceLock;

use bus_tests::harness::Bus;

use crate::{address, connect, on_each_bus};

/// Builds them, unless they are built, and says where they are.
fn examples() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let executable = std::env::current_exe().unwrap();
        let profile = executable.ancestors().nth(2).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "libbus", "--examples"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        build.env("CARGO_TARGET_DIR", profile.parent().unwrap());
        assert!(build.status().unwrap().success(), "cannot build the examples");
        profile.join("examples")
    })
}

fn example(bus: &Bus, name: &str) -> Command {
    let mut command = Command::new(examples().join(name));
    command.env("DBUS_SESSION_BUS_ADDRESS", address(bus));
    command
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a client while a service runs, which has this name.
fn run_with(bus: &Bus, service: &mut Command, name: &str, client: &str) -> Output {
    let mut watch = connect(bus).watch_name(name).unwrap();
    let _service = Service(service.spawn().unwrap());
    while watch.next_owner().unwrap().is_none() {}
    example(bus, client).output().unwrap()
}

fn printed(output: &Output) -> String {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_service_with_futures_is_watched() {
    on_each_bus(|bus| {
        let output = run_with(bus, &mut example(bus, "service"), "org.example.Counter", "watch");
        let text = printed(&output);
        assert!(text.starts_with("The count is 0.\n"), "{text}");
        assert!(text.ends_with("It is full with 10.\n"), "{text}");
    });
}

#[test]
fn a_service_without_futures_is_asked() {
    on_each_bus(|bus| {
        let name = "org.example.Dictionary";
        let service = &mut example(bus, "blocking-service");
        let output = run_with(bus, service, name, "blocking-client");
        let expected = "bus: what all take together\ncab: nobody has defined cab\n";
        assert_eq!(printed(&output), expected);
    });
}

#[test]
fn a_service_takes_and_gives_many_bytes() {
    on_each_bus(|bus| {
        let service = &mut example(bus, "blob");
        let output = run_with(bus, service.arg("serve"), "org.example.Album", "blob");
        let expected = "300 bytes came in the message, beginning with [0, 1, 2, 3].\n\
                        41943040 bytes came as a file, beginning with [0, 1, 2, 3].\n\
                        A pipe: org.freedesktop.DBus.Error.InvalidArgs: the blob is a pipe, not a file in memory\n";
        assert_eq!(printed(&output), expected);
    });
}
