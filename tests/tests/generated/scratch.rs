//! A program that is made for a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where it is.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A library with this text after the attributes that make each warning an error.
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\nlibbus = {{ path = {:?} }}\nbus-introspect-macros = {{ path = {:?} }}\n",
            workspace.join("libbus"),
            workspace.join("introspect/macros"),
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        // The same versions, so that nothing has to be fetched.
        fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let attributes = "//! Generated.\n#![deny(warnings, missing_docs)]\n";
        fs::write(folder.join("src/lib.rs"), format!("{attributes}{text}")).unwrap();
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn cargo(&self, arguments: &[&str]) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).args(["--quiet", "--offline"]).current_dir(&self.0);
        // What one test builds for it serves the others.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated/target");
        cargo.env("CARGO_TARGET_DIR", target).env("RUSTDOCFLAGS", "-Dwarnings");
        cargo.output().unwrap()
    }

    /// What the compiler says about it, which is nothing.
    pub(crate) fn compiles(&self) {
        let output = self.cargo(&["check"]);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    }
}
