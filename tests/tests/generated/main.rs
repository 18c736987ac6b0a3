//! Rust that is generated compiles without a warning, in a program of its own: proxies and servers, in both
//! styles, of the descriptions of real services and of what nobody would write, as text and by macro.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bus_introspect::{CodegenOptions, Node};

use crate::scratch::Scratch;

mod hostile;
mod included;
mod scratch;

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
    let mut program = String::new();
    let count = generate(&files, &mut program);
    assert!(count >= 2 * files.len(), "{count} modules of {} files", files.len());
    Scratch::new("generated", &program).compiles();
}
