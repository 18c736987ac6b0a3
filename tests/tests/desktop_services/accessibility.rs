//! Accessibility: a service that starts a bus, on which a further service is started. Both buses are
//! ours.

use std::process::Command;

use bus_tests::harness::{Message, run};

use crate::Case;
use crate::session::{Session, command_line_of, connect_to, parent_of, pid_of, starter_of};

const BUS: &str = "org.a11y.Bus";
const PROGRAMS: &[&str] = &[
    "/usr/bin/python3",
    "/usr/libexec/at-spi-bus-launcher",
    "/usr/libexec/at-spi2-registryd",
    // the one file of the bindings whose path is the same on all architectures
    "/usr/share/doc/gir1.2-atspi-2.0/copyright",
];
/// What a screen reader begins with.
const ASK: &str = "import gi\n\
                   gi.require_version('Atspi', '2.0')\n\
                   from gi.repository import Atspi\n\
                   print(Atspi.get_desktop(0).get_role_name())\n";

pub(crate) const CASES: &[Case] =
    &[Case { name: "a registry on a bus of its own", programs: PROGRAMS, run: registry }];

fn registry() {
    let session = Session::start();
    let mut command = Command::new("python3");
    command.args(["-c", ASK]);
    run(&session.on_this_bus(command), &[]).prints(&["desktop frame\n"]);
    let launcher = session.started(BUS);
    let call = Message::method_call("/org/a11y/bus", BUS, "GetAddress").to(BUS);
    let reply = session.connect().ask(&call);
    let mut client = connect_to(reply.body[0].text());
    let bus = pid_of(&mut client, "org.freedesktop.DBus");
    assert_eq!(parent_of(bus), launcher.pid);
    let line = command_line_of(bus);
    assert!(line.contains("/at-spi2/accessibility.conf"), "{line}");
    let registry = pid_of(&mut client, "org.a11y.atspi.Registry");
    let starter = starter_of(registry).unwrap();
    assert_eq!(starter.split(',').next(), reply.body[0].text().split(',').next());
    session.end_with(&[launcher]);
}
