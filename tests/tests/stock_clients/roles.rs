//! The clients that are libraries: each plays the service and the caller, against each other.
//!
//! A role is a process of its own: a Python script, or this test program started again.

use std::path::Path;
use std::process::Command;

use crate::scene::Scene;
use crate::{zbus5, zbus6};

/// How many clients come at once.
pub(crate) const CROWD: usize = 100;

/// Names the library when this program is started again.
const ROLE_VARIABLE: &str = "STOCK_CLIENTS_ROLE";
/// Debian's own: the only one that sees Debian's Python packages.
const PYTHON: &str = "/usr/bin/python3";

/// A client library.
pub(crate) struct Client {
    /// What the tests call it.
    pub(crate) label: &'static str,
    program: Program,
}

enum Program {
    ThisOne,
    Python { script: &'static str, modules: &'static str },
}

pub(crate) const ZBUS_6: Client = Client { label: "zbus 6", program: Program::ThisOne };
const ZBUS_5: Client = Client { label: "zbus 5", program: Program::ThisOne };
const DBUS_PYTHON: Client = Client {
    label: "dbus-python",
    program: Program::Python {
        script: "dbus_python_client.py",
        modules: "dbus, gi.repository.GLib",
    },
};
const JEEPNEY: Client = Client {
    label: "jeepney",
    program: Program::Python { script: "jeepney_client.py", modules: "jeepney" },
};

/// All of them.
pub(crate) const CLIENTS: [&Client; 4] = [&ZBUS_6, &ZBUS_5, &DBUS_PYTHON, &JEEPNEY];

impl Client {
    /// The program, without the arguments that choose the role.
    pub(crate) fn command(&self) -> Command {
        match self.program {
            Program::ThisOne => {
                let this = std::env::current_exe().expect("the path of this test");
                let mut command = Command::new(this);
                command.env(ROLE_VARIABLE, self.label);
                command
            }
            Program::Python { script, .. } => {
                let scripts =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stock_clients/python");
                let mut command = Command::new(PYTHON);
                command.arg(scripts.join(script));
                command
            }
        }
    }

    /// What is not installed, if something is not.
    pub(crate) fn missing(&self) -> Option<String> {
        let Program::Python { modules, .. } = self.program else { return None };
        let import = Command::new(PYTHON).args(["-c", &format!("import {modules}")]).output();
        let found = import.is_ok_and(|output| output.status.success());
        (!found).then(|| format!("{} for Python", self.label))
    }

    /// Call, error, descriptors both ways, 8 MiB both ways, signals, introspection.
    pub(crate) fn converses_with(&self, service: &Self) {
        self.plays("converse", service);
    }

    /// Becomes a monitor and sees a call and its reply.
    pub(crate) fn monitors(&self) {
        self.plays("monitor", self);
    }

    /// A hundred connections of one process call at once.
    pub(crate) fn comes_in_a_crowd(&self) {
        self.plays("crowd", self);
    }

    fn plays(&self, role: &str, service: &Self) {
        let scene = Scene::with_service(service);
        let mut command = self.command();
        command.args([role, &CROWD.to_string()]);
        scene.run_command(command, &[]).succeeds();
    }
}

/// Plays a role and answers true, if this process was started for one.
pub(crate) fn play() -> bool {
    let Ok(label) = std::env::var(ROLE_VARIABLE) else { return false };
    let arguments: Vec<String> = std::env::args().collect();
    let role = arguments.get(1).map_or("", String::as_str);
    match label.as_str() {
        "zbus 5" => zbus5::play(role, CROWD),
        "zbus 6" => zbus6::play(role, CROWD),
        _ => panic!("no client {label}"),
    }
    true
}
