//! The house rules that the compiler does not know: who depends on whom, what the core must not
//! touch, where `unsafe` stands, what the manual must name, which test proves which item.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a broken expectation is a failed test"
)]

mod checklist;
mod manual;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::source::{SourceFile, read_sources};

/// Which crates of the workspace each of them may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("libbus-macros", &[]),
    ("libbus", &["libbus-macros"]),
    ("bus-policy", &["libbus"]),
    ("bus-introspect", &["libbus"]),
    ("bus-introspect-macros", &["libbus", "bus-introspect"]),
    ("bus-daemon", &["libbus", "bus-policy", "bus-introspect"]),
    ("bus-tools", &["libbus", "bus-policy", "bus-introspect", "bus-daemon"]),
    ("bus-tests", &["libbus", "bus-policy", "bus-introspect", "bus-daemon", "bus-tools"]),
];

/// Where the core lives, and the parts of those folders that may do input and output.
const CORE: &[&str] = &["libbus/src", "policy/src", "introspect/src", "bus-daemon/src/bus"];
const NOT_CORE: &[&str] =
    &["libbus/src/transport", "libbus/src/client", "libbus/src/host", "libbus/src/system_call.rs"];

/// What the core must not name: the operating system, clocks and random sources.
const FORBIDDEN_MODULES: &[&str] = &["fs", "net", "env", "process", "thread"];
const FORBIDDEN: &[&str] = &[
    ": now (",
    "SystemTime",
    "RandomState",
    "getrandom",
    "rand : :",
    "rustix : :",
    "nix : :",
    "libc : :",
];

/// The folders whose code ends up in the product.
const PRODUCT: &[&str] = &[
    "libbus",
    "libbus/macros",
    "policy",
    "introspect",
    "introspect/macros",
    "bus-daemon",
    "tools",
];
/// The one place for `unsafe` of each crate that has any.
const UNSAFE_FILES: &[&str] = &["bus-daemon/src/host/system_call.rs", "libbus/src/system_call.rs"];
/// How many unwraps, expects and panics there may be in 1,000 lines.
const PANICS_PER_1000_LINES: usize = 3;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn core_sources() -> Vec<SourceFile> {
    let mut sources: Vec<_> = CORE.iter().flat_map(|dir| read_sources(&workspace(), dir)).collect();
    sources.extend(
        read_sources(&workspace(), "bus-daemon/src")
            .into_iter()
            .filter(|file| file.path == "bus-daemon/src/bus.rs"),
    );
    sources.retain(|file| NOT_CORE.iter().all(|part| !file.path.starts_with(part)));
    assert!(sources.len() > CORE.len(), "the core was not found");
    sources
}

fn product_sources() -> Vec<SourceFile> {
    PRODUCT.iter().flat_map(|dir| read_sources(&workspace(), &format!("{dir}/src"))).collect()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn crates_depend_on_each_other_as_designed() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(workspace())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let mut problems = Vec::new();
    for package in packages {
        let name = text(&package["name"]);
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            problems.push(format!("{name} has no row in ARROWS"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().unwrap();
        let inside = dependencies.iter().map(|dependency| text(&dependency["name"]));
        for to in inside.filter(|to| names.contains(to) && !allowed.contains(&to.as_str())) {
            problems.push(format!("{name} depends on {to}"));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_core_has_no_operating_system() {
    let mut problems = Vec::new();
    for file in core_sources() {
        for module in file.modules_of_std() {
            if FORBIDDEN_MODULES.contains(&module) {
                problems.push(format!("{} uses std::{module}", file.path));
            }
        }
        for pattern in FORBIDDEN.iter().filter(|pattern| file.contains(pattern)) {
            problems.push(format!("{} names {}", file.path, pattern.replace(' ', "")));
        }
    }
    assert_none(&problems);
}

#[test]
fn unsafe_stands_in_one_file_of_a_crate() {
    let elsewhere: Vec<String> = product_sources()
        .iter()
        .filter(|file| !UNSAFE_FILES.contains(&&*file.path) && file.contains("unsafe"))
        .map(|file| format!("{} has unsafe", file.path))
        .collect();
    assert_none(&elsewhere);
}

#[test]
fn panics_are_rare() {
    let sources = product_sources();
    let panics_of = |file: &SourceFile| {
        [". unwrap (", ". expect (", "panic !"].iter().map(|sign| file.count(sign)).sum::<usize>()
    };
    let lines: usize = sources.iter().map(|file| file.lines).sum();
    let panics: usize = sources.iter().map(panics_of).sum();
    let places: Vec<String> = sources
        .iter()
        .filter(|file| panics_of(file) > 0)
        .map(|file| format!("{}: {}", file.path, panics_of(file)))
        .collect();
    assert!(
        panics * 1000 < PANICS_PER_1000_LINES * lines,
        "{panics} in {lines} lines\n{}",
        places.join("\n")
    );
}
