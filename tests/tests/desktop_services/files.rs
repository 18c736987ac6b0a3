//! Files: gvfsd, what it starts itself, and gvfsd-metadata.

use std::fs;

use crate::Case;
use crate::session::Session;

pub(crate) const GVFS: &str = "org.gtk.vfs.Daemon";
const PROGRAMS: &[&str] = &["/usr/bin/gio", "/usr/libexec/gvfsd", "/usr/libexec/gvfsd-localtest"];
const NOTE: &str = "/run/ann/note";

pub(crate) const CASES: &[Case] = &[
    Case { name: "gio mounts, lists and reads", programs: PROGRAMS, run: mounts },
    Case { name: "gio keeps metadata and trash", programs: PROGRAMS, run: metadata },
];

fn mounts() {
    fs::write(NOTE, "hello\n").unwrap();
    let session = Session::start();
    session.run("gio list computer:///").prints(&["root.link\n"]);
    session.started(GVFS);
    session.run("gio mount localtest:///").succeeds();
    session.run("gio mount -l").prints(&["localtest -> localtest:///\n"]);
    session.started("org.gtk.vfs.UDisks2VolumeMonitor");
    // By a socket of their own, which they agree on by way of the bus.
    assert_eq!(session.run(&format!("gio cat localtest://{NOTE}")).succeeds(), "hello\n");
    session.run("gio mount -u localtest:///").succeeds();
    let ended = session.run(&format!("gio cat localtest://{NOTE}"));
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
}

fn metadata() {
    fs::write(NOTE, "hello\n").unwrap();
    let session = Session::start();
    session.run(&format!("gio set -t string {NOTE} metadata::word greeting")).succeeds();
    session.started("org.gtk.vfs.Metadata");
    session.run(&format!("gio info -a metadata:: {NOTE}")).prints(&["metadata::word: greeting\n"]);
    session.run(&format!("gio trash {NOTE}")).succeeds();
    assert_eq!(session.run("gio list trash:///").succeeds(), "note\n");
    session.run("gio trash --empty").succeeds();
    assert_eq!(session.run("gio list trash:///").succeeds(), "");
    session.started(GVFS);
}
