//! xdg-desktop-portal, which needs several services, each of which needs others.

use bus_tests::harness::Value;

use crate::Case;
use crate::files::GVFS;
use crate::notifications::{NOTIFICATIONS, SHOWING, wait_until_shown};
use crate::session::Session;
use crate::settings::{DCONF, SECRETS};

const PORTAL: &str = "org.freedesktop.portal.Desktop";
const GTK_PORTAL: &str = "org.freedesktop.impl.portal.desktop.gtk";
const DOCUMENTS: &str = "org.freedesktop.portal.Documents";
const PERMISSIONS: &str = "org.freedesktop.impl.portal.PermissionStore";
const ACCESSIBILITY: &str = "org.a11y.Bus";
const CALL: &str = "gdbus call --session -d org.freedesktop.portal.Desktop \
                    -o /org/freedesktop/portal/desktop -m org.freedesktop.portal";
const FONT: &str = "org.gnome.desktop.interface font-name";

const PROGRAMS: &[&str] = &[
    "/usr/bin/gdbus",
    "/usr/bin/dconf",
    "/usr/bin/gio",
    "/usr/bin/notify-send",
    "/usr/bin/dunst",
    "/usr/bin/gnome-keyring-daemon",
    "/usr/bin/Xvfb",
    "/usr/libexec/at-spi-bus-launcher",
    "/usr/libexec/dconf-service",
    "/usr/libexec/gvfsd",
    "/usr/libexec/xdg-desktop-portal",
    "/usr/libexec/xdg-desktop-portal-gtk",
];

pub(crate) const CASES: &[Case] = &[
    Case { name: "the portal tells a setting and its change", programs: PROGRAMS, run: settings },
    Case { name: "the portal passes a notification on", programs: PROGRAMS, run: notification },
    Case { name: "services end with their bus", programs: PROGRAMS, run: end },
];

fn settings() {
    let session = Session::with_display();
    let mut listener = session.listen("member='SettingChanged',arg1='font-name'");
    session.run("dconf write /org/gnome/desktop/interface/font-name 'One'").succeeds();
    session.run(&format!("{CALL}.Settings.Read {FONT}")).prints(&["<<'One'>>"]);
    for name in [PORTAL, GTK_PORTAL, DOCUMENTS, PERMISSIONS] {
        session.started(name);
    }
    session.run("dconf write /org/gnome/desktop/interface/font-name 'Another'").succeeds();
    loop {
        let signal = listener.next();
        if signal.interface() == "org.freedesktop.portal.Settings" {
            assert_eq!(signal.body[2], Value::variant("Another"), "{}", signal.describe());
            break;
        }
    }
}

fn notification() {
    let session = Session::with_display();
    let mut monitor = session.monitor(SHOWING);
    let hello = "{'title':<'Hello'>,'body':<'world'>}";
    session.run(&format!("{CALL}.Notification.AddNotification one {hello}")).succeeds();
    let shown = wait_until_shown(&mut monitor);
    assert_eq!((shown.body[3].text(), shown.body[4].text()), ("Hello", "world"));
    session.started(NOTIFICATIONS);
    session.run("dunstctl count displayed").prints(&["1\n"]);
}

/// As they do when dbus-daemon ends: they notice it themselves.
fn end() {
    let session = Session::with_display();
    session.run("dconf write /org/example/greeting 'hello'").succeeds();
    session.run("notify-send Hello").succeeds();
    session.run("gio list computer:///").succeeds();
    session.run(&format!("{CALL}.Settings.Read {FONT}")).succeeds();
    let names = [
        PORTAL,
        GTK_PORTAL,
        DOCUMENTS,
        PERMISSIONS,
        ACCESSIBILITY,
        DCONF,
        GVFS,
        NOTIFICATIONS,
        SECRETS,
    ];
    let services = names.map(|name| session.started(name));
    session.end_with(&services);
}
