//! Rust that is generated from the descriptions of real services compiles without a warning: proxies and
//! servers, in both styles, in a program of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bus_introspect::{CodegenOptions, Node};

const INSTALLED: &str = "/usr/share/dbus-1/interfaces";
/// More take minutes to compile.
const FILE_COUNT_MAX: usize = 60;

fn descriptions() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(INSTALLED)];
    // What the peers' suites keep, folder by folder.
    let cache = std::env::var_os("PEER_CACHE").unwrap_or_else(|| "/var/cache/peer-suites".into());
    let kept = fs::read_dir(Path::new(&cache).join("interfaces")).into_iter().flatten();
    folders.extend(kept.flatten().map(|entry| entry.path()));
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "xml"));
    // Those that are installed first.
    files.sort_by_key(|file| (!file.starts_with(INSTALLED), file.clone()));
    files.truncate(FILE_COUNT_MAX);
    files
}

/// A module for each thing that is generated of a description; answers how many there are.
fn generate(files: &[PathBuf], program: &mut String) -> usize {
    let mut count = 0;
    for (number, file) in files.iter().enumerate() {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        let Ok((node, _)) = Node::from_xml_leniently(&text) else { continue };
        let options = CodegenOptions::new().for_include();
        for (style, options) in [("waits", options.clone()), ("blocks", options.blocking())] {
            let proxies = node.to_rust_proxies(&options);
            let servers = node.interfaces.iter().map(|one| one.to_rust_server(&options));
            // What a description cannot have as Rust is refused, which other tests look at.
            for text in [proxies].into_iter().chain(servers).flatten() {
                writeln!(
                    program,
                    "/// Of a service.\npub mod {style}{number}_{count} {{\n{text}\n}}"
                )
                .unwrap();
                count += 1;
            }
        }
    }
    count
}

#[test]
fn it_compiles_without_a_warning() {
    let files = descriptions();
    if files.is_empty() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no descriptions of services are installed");
        return;
    }
    let mut program = "//! Generated.\n#![deny(warnings, missing_docs)]\n".to_owned();
    let count = generate(&files, &mut program);
    assert!(count >= 2 * files.len(), "{count} modules of {} files", files.len());

    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"generated\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nlibbus = {{ path = {:?} }}\n",
        workspace.join("libbus")
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    // The same versions, so that nothing has to be fetched.
    fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::write(folder.join("src/lib.rs"), program).unwrap();
    let mut check = Command::new(env!("CARGO"));
    check.args(["check", "--quiet", "--offline"]).current_dir(&folder);
    let output = check.env("CARGO_TARGET_DIR", folder.join("target")).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
}
