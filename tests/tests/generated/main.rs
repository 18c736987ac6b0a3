//! Rust that is generated compiles without a warning, in a program of its own: proxies and servers, in both
//! styles, of the descriptions of real services and of what nobody would write, as text and by macro.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use bus_tests::harness::skip_without;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bus_introspect::{CodegenOptions, Node};

use crate::scratch::Scratch;

mod hostile;
mod included;
mod scratch;

const INSTALLED: &str = "/usr/share/dbus-1/interfaces";
/// More take minutes to compile.
const FILE_COUNT_MAX: usize = 60;
/// As many there are at least after `tests/peers/install-services`.
const FILE_COUNT_MIN: usize = 30;
/// What cannot be read or has no Rust, as the test words it.
const REFUSED: [&str; 0] = [];

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

/// A description, read strictly, or else leniently.
fn read(file: &Path) -> Result<Node, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let strict = Node::from_xml(&text);
    let lenient = Node::from_xml_leniently(&text).map(|(node, _)| node);
    // Only the lenient reader keeps all documentation.
    lenient.or(strict).map_err(|error| error.to_string())
}

/// A module for each thing that is generated of a description; answers how many there are, and what there is none
/// of.
fn generate(files: &[PathBuf], program: &mut String) -> (usize, Vec<String>) {
    let (mut count, mut refused) = (0, Vec::new());
    for (number, file) in files.iter().enumerate() {
        let name = file.file_name().unwrap().display();
        let node = match read(file) {
            Ok(node) => node,
            Err(error) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        let options = CodegenOptions::new().for_include();
        for (style, options) in [("waits", options.clone()), ("blocks", options.blocking())] {
            let proxies = node.to_rust_proxies(&options);
            let servers = node.interfaces.iter().map(|one| one.to_rust_server(&options));
            for text in [proxies].into_iter().chain(servers) {
                match text {
                    Ok(text) => {
                        let module = format!("pub mod {style}{number}_{count}");
                        writeln!(program, "/// Of a service.\n{module} {{\n{text}\n}}").unwrap();
                        count += 1;
                    }
                    Err(error) => refused.push(format!("{name}: {error}")),
                }
            }
        }
    }
    (count, refused)
}

/// Whether there are the descriptions that `tests/peers/install-services` installs; says so if not.
fn are_installed(files: &[PathBuf]) -> bool {
    if files.len() >= FILE_COUNT_MIN {
        return true;
    }
    let found = format!("{} of {FILE_COUNT_MIN} descriptions of services", files.len());
    skip_without(&format!("more than {found} (tests/peers/install-services)"));
    false
}

#[test]
fn it_compiles_without_a_warning() {
    let files = descriptions();
    if !are_installed(&files) {
        return;
    }
    let mut program = String::new();
    let (count, refused) = generate(&files, &mut program);
    assert_eq!(refused, REFUSED);
    // Proxies and at least one server of each, in both styles.
    assert!(count >= 4 * files.len(), "{count} modules of {} files", files.len());
    Scratch::new("generated", &program).compiles();
}
