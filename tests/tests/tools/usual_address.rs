//! Where the system bus is said to be if nothing else is said: where the specification has it (protocol.md A118), for
//! all that ask.

use bus_tests::harness::{may_make_namespaces, skip};

use crate::scene::Scene;
use crate::transcript::shell;

/// `/var/run` is another folder than `/run` there.
const WORLD: &str = "mount -t tmpfs tmpfs /var && mkdir -p /var/run/dbus && \
                     ln -s \"$PWD/bus\" /var/run/dbus/system_bus_socket && \
                     unset DBUS_SYSTEM_BUS_ADDRESS &&";

#[test]
fn the_system_bus_has_one_usual_address() {
    if !may_make_namespaces() {
        return skip("the usual address of the system bus: no namespaces can be made");
    }
    let scene = Scene::new();
    let check = |command: &str, expected: &str| {
        let output = shell(&format!("unshare --mount sh -c '{WORLD} {command}'"), &scene);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let said = text(&output.stderr);
        assert!(text(&output.stdout).contains(expected), "{command}: {output:?} {said}");
    };
    check("bus --system list", "org.example.Kettle");
    check("bus --system doctor", "/var/run/dbus/system_bus_socket");
    let address = "BusAddress=unix:path=/var/run/dbus/system_bus_socket\n";
    check("bus compat busctl --system --no-pager status", address);
    // It is passed on, and answers.
    check("printf \"\\0AUTH\\r\\n\" | bus --system stdio-bridge", "REJECTED EXTERNAL");
}
