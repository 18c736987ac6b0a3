//! Services as their projects ship them: each owns its name, and its own client gets answers.

use std::path::Path;
use std::process::Command;

use bus_tests::harness::{is_installed, words};

use crate::Case;
use crate::system_bus::{SystemBus, as_root, as_user, connect, number_of};

/// A program that serves the whole machine.
pub(crate) struct Service {
    /// Its Debian package.
    package: &'static str,
    /// How it is started.
    line: &'static str,
    /// The user that starts it; it may become another.
    started_by: &'static str,
    /// The user that owns its name.
    user: &'static str,
    /// The name it owns.
    pub(crate) name: &'static str,
    /// What it prints when it is ready, where owning the name does not mean that.
    pub(crate) ready: Option<&'static str>,
    /// Its clients, and what they print.
    clients: &'static [(&'static str, &'static str)],
}

pub(crate) const POLKIT: Service = Service {
    package: "polkitd",
    line: "/usr/lib/polkit-1/polkitd --no-debug",
    started_by: "root",
    user: "polkitd",
    name: "org.freedesktop.PolicyKit1",
    ready: None,
    clients: &[
        ("pkaction", "org.freedesktop.policykit.exec"),
        (
            "busctl --system get-property org.freedesktop.PolicyKit1 \
             /org/freedesktop/PolicyKit1/Authority org.freedesktop.PolicyKit1.Authority BackendName",
            "s \"",
        ),
    ],
};

pub(crate) const ACCOUNTS: Service = Service {
    package: "accountsservice",
    line: "/usr/libexec/accounts-daemon",
    started_by: "root",
    user: "root",
    name: "org.freedesktop.Accounts",
    ready: None,
    clients: &[
        (
            "gdbus call --system -d org.freedesktop.Accounts -o /org/freedesktop/Accounts \
             -m org.freedesktop.Accounts.FindUserById 4001",
            "User4001",
        ),
        (
            "dbus-send --system --print-reply --dest=org.freedesktop.Accounts \
             /org/freedesktop/Accounts org.freedesktop.Accounts.FindUserByName string:ann",
            "object path \"/org/freedesktop/Accounts/User4001\"",
        ),
    ],
};

pub(crate) const AVAHI: Service = Service {
    package: "avahi-daemon and avahi-utils",
    line: "/usr/sbin/avahi-daemon",
    started_by: "root",
    user: "avahi",
    name: "org.freedesktop.Avahi",
    ready: Some("successfully established"),
    clients: &[("avahi-browse -a -t", "_bus-test._tcp"), ("avahi-browse -a -t -r -p", ";4711;")],
};

pub(crate) const UPOWER: Service = Service {
    package: "upower",
    line: "/usr/libexec/upowerd",
    started_by: "root",
    user: "root",
    name: "org.freedesktop.UPower",
    ready: None,
    clients: &[
        ("upower --enumerate", "/org/freedesktop/UPower/devices/DisplayDevice"),
        ("upower --dump", "daemon-version:"),
    ],
};

const RTKIT: Service = Service {
    package: "rtkit",
    line: "/usr/libexec/rtkit-daemon",
    started_by: "root",
    user: "root",
    name: "org.freedesktop.RealtimeKit1",
    ready: None,
    clients: &[(
        "gdbus introspect --system -p -d org.freedesktop.RealtimeKit1 \
         -o /org/freedesktop/RealtimeKit1",
        "MaxRealtimePriority",
    )],
};

pub(crate) const COLORD: Service = Service {
    package: "colord",
    line: "/usr/libexec/colord",
    started_by: "colord",
    user: "colord",
    name: "org.freedesktop.ColorManager",
    ready: None,
    clients: &[(
        "gdbus call --system -d org.freedesktop.ColorManager -o /org/freedesktop/ColorManager \
         -m org.freedesktop.ColorManager.GetDevices",
        "(@ao [],)",
    )],
};

const UDISKS: Service = Service {
    package: "udisks2",
    line: "/usr/libexec/udisks2/udisksd",
    started_by: "root",
    user: "root",
    name: "org.freedesktop.UDisks2",
    ready: None,
    clients: &[("udisksctl dump", "/org/freedesktop/UDisks2/Manager:")],
};

pub(crate) const CASES: &[Case] = &[
    Case { name: "polkitd answers pkaction", services: &[&POLKIT], run: || serves(&[&POLKIT]) },
    Case {
        name: "accounts-daemon answers gdbus and dbus-send",
        services: &[&POLKIT, &ACCOUNTS],
        run: || serves(&[&POLKIT, &ACCOUNTS]),
    },
    Case {
        name: "avahi-daemon answers avahi-browse",
        services: &[&AVAHI],
        run: || serves(&[&AVAHI]),
    },
    Case { name: "upowerd answers upower", services: &[&UPOWER], run: || serves(&[&UPOWER]) },
    Case { name: "rtkit-daemon answers gdbus", services: &[&RTKIT], run: || serves(&[&RTKIT]) },
    Case {
        name: "colord answers gdbus",
        services: &[&POLKIT, &COLORD],
        run: || serves(&[&POLKIT, &COLORD]),
    },
    Case {
        name: "udisksd answers udisksctl",
        services: &[&POLKIT, &UDISKS],
        run: || serves(&[&POLKIT, &UDISKS]),
    },
];

impl Service {
    /// The package, if it is not installed.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let program = self.line.split(' ').next().unwrap_or_default();
        let mut clients = self.clients.iter().filter_map(|(line, _)| line.split(' ').next());
        let found = Path::new(program).is_file() && clients.all(is_installed);
        (!found).then_some(self.package)
    }

    pub(crate) fn command(&self) -> Command {
        let user = self.started_by;
        words(&match user {
            "root" => self.line.to_owned(),
            _ => format!("setpriv --reuid={user} --regid={user} --init-groups {}", self.line),
        })
    }
}

/// The last of `services` owns its name, answers root and an ordinary user, and loses its name when
/// it ends.
fn serves(services: &[&Service]) {
    let mut bus = SystemBus::with(services);
    let service = services.last().unwrap();
    let mut client = connect();
    let owner = client.call("GetConnectionUnixUser", &[service.name.into()]).body[0].number();
    assert_eq!(owner, number_of("/etc/passwd", service.user), "who owns {}", service.name);
    as_root("busctl --system list --acquired").prints(&[service.name]);
    for (line, answer) in service.clients {
        as_root(line).prints(&[answer]);
        as_user("nobody", line).prints(&[answer]);
    }
    bus.end_service(service);
}
