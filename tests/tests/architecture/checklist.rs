//! Which test proves which item of the configuration's checklist.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::read_tests;
use crate::workspace;

/// The items that the configuration language, the policies, reloading, security modules and the
/// command line have.
const ITEMS: std::ops::RangeInclusive<u32> = 1..=129;

/// Items that no test can prove, and why.
const WITHOUT_TEST: &[(u32, &str)] = &[
    (6, "says what not to do: the shipped DTD is not consulted"),
    (7, "the root element, in every test with a configuration"),
    (46, "about another bus"),
    (129, "what units say: tests/install/check boots systemd with them"),
    (127, "only for builds of the reference with DBUS_VERBOSE"),
];

/// A range such as B047-B078 in a heading proves nothing about each item.
const RANGE_MAX: u32 = 8;

#[test]
fn every_item_of_the_configuration_checklist_has_a_test() {
    let mut table: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in read_tests(&workspace()) {
        if path.ends_with("checklist.rs") {
            continue;
        }
        for (first, last) in cited(&text) {
            for item in first..=last {
                table.entry(item).or_default().insert(path.clone());
            }
        }
    }
    let excused: BTreeSet<u32> = WITHOUT_TEST.iter().map(|(item, _)| *item).collect();
    let mut missing: Vec<u32> = Vec::new();
    for item in ITEMS {
        match table.get(&item) {
            Some(files) => {
                let files: Vec<&str> = files.iter().map(String::as_str).collect();
                println!("B{item:03}  {}", files.join("  "));
                assert!(!excused.contains(&item), "B{item:03} has a test, take it off the list");
            }
            None if excused.contains(&item) => {}
            None => missing.push(item),
        }
    }
    for (item, reason) in WITHOUT_TEST {
        println!("B{item:03}  none: {reason}");
    }
    assert_eq!(missing, [0; 0], "items without a test");
}

/// The items that a text names, with the ranges that are short.
fn cited(text: &str) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('B') {
        let is_word =
            !rest[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        rest = &rest[at + 1..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if !is_word || digits.len() != 3 {
            continue;
        }
        let Ok(first) = digits.parse::<u32>() else { continue };
        let after = rest[3..].trim_start();
        let dash =
            after.strip_prefix(['-', '–']).and_then(|after| after.trim_start().strip_prefix('B'));
        let last = dash.and_then(|after| after.get(..3)?.parse::<u32>().ok());
        if last.is_some() {
            rest = dash.and_then(|after| after.get(3..)).unwrap_or_default();
        }
        let last = last.unwrap_or(first);
        if last >= first && last - first < RANGE_MAX {
            found.push((first, last));
        }
    }
    found
}

#[test]
fn citations_are_read_with_short_ranges() {
    let check = |text: &str, expected: &[(u32, u32)]| assert_eq!(cited(text), expected, "{text}");
    check("// config.md B047, B050", &[(47, 47), (50, 50)]);
    check("B094–B096 and B100-B102", &[(94, 96), (100, 102)]);
    check("config.md B047–B078", &[]);
    check("AB047 B0471 B47", &[]);
}
