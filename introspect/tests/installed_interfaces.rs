//! The descriptions of real services: what packages install below `/usr/share/dbus-1/interfaces`,
//! and what lies in `interfaces` of the peers' cache.
//!
//! Every one of them is read leniently, with all that is wrong listed in its place, and is the same
//! when it is written and read again, also to `diff`; its documentation tells of all, and the Rust
//! that is generated for it is Rust in the layout of rustfmt. Where there are none, that is printed
//! and counted as ignored; with `REQUIRE_STOCK_CLIENTS` set it fails instead.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole crate is test code: a broken expectation is a failed test"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bus_introspect::{
    Annotation, CodegenError, CodegenFault, CodegenOptions, Interface, Node, ParseError,
    ParseErrorKind, annotation,
};
use libtest_mimic::{Arguments, Failed, Trial};

const INSTALLED: &str = "/usr/share/dbus-1/interfaces";

fn main() {
    let cache = std::env::var("PEER_CACHE").unwrap_or("/var/cache/peer-suites".into());
    let mut files = Vec::new();
    find_xml_files(Path::new(INSTALLED), &mut files);
    find_xml_files(&Path::new(&cache).join("interfaces"), &mut files);
    files.sort();
    let mut trials: Vec<Trial> = files.into_iter().map(trial).collect();
    if trials.is_empty() {
        trials.push(missing());
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn find_xml_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_xml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "xml") {
            found.push(path);
        }
    }
}

/// A test that is ignored, or fails where everything must be there.
fn missing() -> Trial {
    let reason = format!("{INSTALLED} holds nothing");
    if std::env::var_os("REQUIRE_STOCK_CLIENTS").is_some() {
        return Trial::test("interfaces", || Err(Failed::from(reason)));
    }
    Trial::test("interfaces", || Ok(()))
        .with_kind(format!("skipped: {reason}"))
        .with_ignored_flag(true)
}

fn trial(path: PathBuf) -> Trial {
    Trial::test(path.display().to_string(), move || {
        let xml = std::fs::read_to_string(&path)?;
        check(&xml);
        Ok(())
    })
}

fn check(xml: &str) {
    let (node, faults) = Node::from_xml_leniently(xml).unwrap_or_else(|error| panic!("{error}"));
    assert!(!node.interfaces.is_empty() || !node.children.is_empty());
    let line_count = xml.lines().count() as u64;
    assert!(faults.iter().all(|fault| (1..=line_count).contains(&fault.line)), "{faults:?}");
    check_against_strict_reading(xml, &node, &faults);
    check_documentation(&node);
    check_rust(&node);

    let (again, faults) = Node::from_xml_leniently(&node.to_xml()).unwrap();
    assert_eq!(again, node);
    assert!(faults.iter().all(is_overlooked_by_strict_reading), "{faults:?}");
    assert_eq!(again.diff(&node), []);
    assert_eq!(Node::from_xml(&node.to_xml()), Ok(node));
}

/// Everything is told of.
fn check_documentation(node: &Node) {
    let (markdown, html) = (node.to_markdown(), node.to_html());
    for interface in &node.interfaces {
        let names = interface.methods.iter().map(|it| &it.name).chain([&interface.name]);
        for name in names {
            assert!(markdown.contains(&format!("`{name}`\n")), "{name}");
            assert!(html.contains(&format!("<code>{name}</code></h")), "{name}");
        }
    }
}

/// What is generated is Rust, and rustfmt would leave it alone.
fn check_rust(node: &Node) {
    let options = CodegenOptions::new();
    let mut text = made(options.clone(), |options| node.to_rust_proxies(options));
    syn::parse_file(&text).unwrap();
    for interface in &node.interfaces {
        let make = |options: &CodegenOptions| interface.to_rust_server(options);
        text.push_str(&format!("\n{}", made(options.clone(), make)));
        assert!(has_all(&text, interface), "{text}");
    }
    syn::parse_file(&text).unwrap();
    check_layout(&text);
}

/// Text without what no Rust can be made of: servers have no overloaded methods, and nothing has
/// overloaded signals.
fn made(
    mut options: CodegenOptions,
    make: impl Fn(&CodegenOptions) -> Result<String, CodegenError>,
) -> String {
    loop {
        match make(&options) {
            Ok(text) => return text,
            Err(CodegenError { place, fault: CodegenFault::Duplicate, .. }) => {
                let (interface, member) = place.split_once(", ").unwrap();
                let interface = interface.strip_prefix("interface ").unwrap();
                let (_, member) = member.split_once(' ').unwrap();
                options = options.without(&format!("{interface}.{member}"));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whether there are as many functions as there should be at least.
fn has_all(text: &str, interface: &Interface) -> bool {
    let names: std::collections::HashSet<&str> =
        interface.methods.iter().map(|method| method.name.as_str()).collect();
    text.matches(" fn ").count() >= names.len() + interface.properties.len()
}

fn check_layout(text: &str) {
    let child = Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "--color", "never"])
        .args(["--config", "max_width=100,use_small_heuristics=Default"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    // Where it is not installed, the parser's word must do.
    let Ok(mut child) = child else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(output.status.success());
}

/// What strict reading reads is the same, but for documentation.
fn check_against_strict_reading(xml: &str, lenient: &Node, faults: &[ParseError]) {
    match Node::from_xml(xml) {
        Ok(strict) => {
            assert!(faults.iter().all(is_overlooked_by_strict_reading), "{faults:?}");
            assert_eq!(without_documentation(strict), without_documentation(lenient.clone()));
        }
        Err(error) => assert!(!faults.is_empty(), "without a fault: {error}"),
    }
}

fn is_overlooked_by_strict_reading(fault: &ParseError) -> bool {
    let kind = &fault.kind;
    kind.is_foreign() || matches!(kind, ParseErrorKind::Duplicate { .. } | ParseErrorKind::Text)
}

fn without_documentation(mut node: Node) -> Node {
    let clean = |annotations: &mut Vec<Annotation>| {
        annotations.retain(|found| found.name != annotation::DOC_STRING);
    };
    for interface in &mut node.interfaces {
        clean(&mut interface.annotations);
        for method in &mut interface.methods {
            clean(&mut method.annotations);
            let arguments = method.inputs.iter_mut().chain(&mut method.outputs);
            arguments.for_each(|argument| clean(&mut argument.annotations));
        }
        for signal in &mut interface.signals {
            clean(&mut signal.annotations);
            signal.arguments.iter_mut().for_each(|argument| clean(&mut argument.annotations));
        }
        interface.properties.iter_mut().for_each(|it| clean(&mut it.annotations));
    }
    node.children = node.children.into_iter().map(without_documentation).collect();
    node
}
