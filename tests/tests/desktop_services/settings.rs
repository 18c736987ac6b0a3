//! Settings and secrets: dconf-service and gnome-keyring-daemon.

use std::fs;
use std::path::Path;

use crate::Case;
use crate::session::{Session, environment_of};

pub(crate) const DCONF: &str = "ca.desrt.dconf";
const DCONF_PROGRAMS: &[&str] = &["/usr/bin/dconf", "/usr/libexec/dconf-service"];
pub(crate) const SECRETS: &str = "org.freedesktop.secrets";
const SECRETS_PROGRAMS: &[&str] = &["/usr/bin/secret-tool", "/usr/bin/gnome-keyring-daemon"];
/// A keyring without a password, which is open as soon as it is read.
const KEYRING: &str = "[keyring]\ndisplay-name=Open\nctime=0\nmtime=0\nlock-on-idle=false\n\
                       lock-after=false\n";

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "dconf writes, and who listens hears of it",
        programs: DCONF_PROGRAMS,
        run: dconf,
    },
    Case {
        name: "what a service is told at its start",
        programs: DCONF_PROGRAMS,
        run: environment,
    },
    Case { name: "secret-tool keeps a secret", programs: SECRETS_PROGRAMS, run: secrets },
];

fn dconf() {
    let session = Session::start();
    let mut listener =
        session.listen(&format!("sender='{DCONF}',interface='ca.desrt.dconf.Writer'"));
    assert!(!session.is_running(DCONF));
    session.run("dconf write /org/example/greeting 'hello'").succeeds();
    session.started(DCONF);
    session.run("dconf read /org/example/greeting").prints(&["'hello'\n"]);
    while listener.next().member() != "Notify" {}
    session.run("dconf write /org/example/greeting 'good-bye'").succeeds();
    let signal = listener.next();
    assert_eq!(signal.member(), "Notify");
    assert_eq!(signal.body[0].text(), "/org/example/greeting", "{}", signal.describe());
    session.run("dconf dump /org/").prints(&["[example]\ngreeting='good-bye'\n"]);
}

/// The bus's own environment, with what dbus-update-activation-environment(1) added.
fn environment() {
    let session = Session::start();
    session.run("dbus-update-activation-environment GREETING=hello HOME=/run/ann").succeeds();
    session.run("dconf write /org/example/greeting 'hello'").succeeds();
    let environment = environment_of(session.started(DCONF).pid);
    let expected = [
        format!("DBUS_STARTER_ADDRESS={}", session.address()),
        format!("DBUS_SESSION_BUS_ADDRESS={}", session.address()),
        "DBUS_STARTER_BUS_TYPE=session".to_owned(),
        "GREETING=hello".to_owned(),
        "HOME=/run/ann".to_owned(),
        "XDG_RUNTIME_DIR=/run/user/4001".to_owned(),
    ];
    for variable in expected {
        let count = environment.iter().filter(|entry| **entry == variable).count();
        assert_eq!(count, 1, "{variable} in {environment:?}");
    }
}

fn secrets() {
    let folder = Path::new("/run/ann/.local/share/keyrings");
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("open.keyring"), KEYRING).unwrap();
    fs::write(folder.join("default"), "open").unwrap();
    let session = Session::start();
    session.run_with_input("secret-tool store --label=Greeting word greeting", "hello").succeeds();
    session.started(SECRETS);
    assert_eq!(session.run("secret-tool lookup word greeting").succeeds(), "hello");
    session.run("secret-tool search word greeting").prints(&["label = Greeting\n"]);
    session.run("secret-tool clear word greeting").succeeds();
    session.run("secret-tool lookup word greeting").fails_with(&[]);
}
