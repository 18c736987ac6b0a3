//! The programs that are compared, each of them one library.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that uses one library.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) label: &'static str,
    pub(crate) program: PathBuf,
}

/// With what all are compared.
pub(crate) const BASELINE: &str = "zbus 6";
/// Who answers the calls of all.
pub(crate) const SERVICE: &str = "libbus, blocking";

/// Label and program of those in Rust.
const IN_RUST: [(&str, &str); 8] = [
    ("libbus, blocking", "libbus_blocking"),
    ("libbus, async", "libbus_async"),
    ("libbus, async, executor of async-io", "libbus_async_io"),
    ("libbus, async, other executor", "libbus_other_executor"),
    ("zbus 6", "zbus6"),
    ("zbus 5", "zbus5"),
    ("dbus-rs", "dbus-rs"),
    ("rustbus", "rustbus"),
];
/// Label, source and library of those in C.
const IN_C: [(&str, &str, &str); 2] =
    [("GDBus", "gdbus.c", "gio-2.0"), ("sd-bus", "sd_bus.c", "libsystemd")];

/// Builds all that can be built here; those that cannot are named.
pub(crate) fn find(wanted: &[String]) -> (Vec<Peer>, Vec<String>) {
    let target = target_dir();
    let has_libdbus = flags_of("dbus-1").is_some();
    build_in_rust(&target, has_libdbus);
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for (label, name) in IN_RUST {
        match label == "dbus-rs" && !has_libdbus {
            true => missing.push("dbus-rs: the headers of libdbus (libdbus-1-dev)".to_owned()),
            false => peers.push(Peer { label, program: target.join("release").join(name) }),
        }
    }
    for (label, source, library) in IN_C {
        match build_in_c(&target, source, library) {
            Some(program) => peers.push(Peer { label, program }),
            None => missing.push(format!("{label}: a C compiler and the headers of {library}")),
        }
    }
    let is_wanted = |peer: &Peer| {
        let is_needed = peer.label == BASELINE || peer.label == SERVICE;
        is_needed || wanted.is_empty() || wanted.iter().any(|label| label == peer.label)
    };
    peers.retain(is_wanted);
    (peers, missing)
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/clients/peers")
}

/// Beside what cargo builds for this program.
fn target_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("the path of this program");
    let target = executable.ancestors().nth(3).expect("target/<profile>/deps/<program>");
    target.join("client-peers")
}

fn build_in_rust(target: &Path, has_libdbus: bool) {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--quiet", "--locked", "--manifest-path"]);
    build.arg(sources().join("Cargo.toml")).env("CARGO_TARGET_DIR", target);
    if has_libdbus {
        build.args(["--features", "dbus"]);
    }
    assert!(build.status().expect("cargo runs").success(), "cannot build the clients in Rust");
}

/// What a compiler needs to be told of a library.
fn flags_of(library: &str) -> Option<String> {
    let output = Command::new("pkg-config").args(["--cflags", "--libs", library]).output().ok()?;
    let flags = output.status.success().then_some(output.stdout)?;
    String::from_utf8(flags).ok()
}

fn build_in_c(target: &Path, source: &str, library: &str) -> Option<PathBuf> {
    let program = target.join(source.trim_end_matches(".c"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-o"]).arg(&program).arg(sources().join("c").join(source));
    compiler.args(flags_of(library)?.split_whitespace());
    compiler.status().ok()?.success().then_some(program)
}
