#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

/// What is written in place of the macro, on one line.
fn written(arguments: &str, side: Side) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments = match Arguments::parse.parse_str(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return format!("refused: {error}"),
    };
    expand_in(folder, &arguments, side).to_string()
}

#[test]
fn what_is_generated_is_that_of_the_functions() {
    let xml = include_str!("../../tests/clock.xml");
    let tokens = |text: String| text.parse::<TokenStream>().unwrap().to_string();
    let options = || CodegenOptions::new().for_include();
    let path = format!("{}/tests/clock.xml", env!("CARGO_MANIFEST_DIR"));
    for (more, options) in [
        ("", options()),
        (",", options()),
        (", blocking", options().blocking()),
        (", default_service = \"a.b\"", options().with_default_service("a.b")),
        (", default_path = \"/a\",", options().with_default_path("/a")),
        (
            ", lenient, without(\"org.example.Clock.GetTime\", \"a.b\")",
            options().without("org.example.Clock.GetTime"),
        ),
    ] {
        let arguments = format!("\"tests/clock.xml\"{more}");
        for (side, text) in [
            (Side::Proxies, rust_proxies(xml, &options).unwrap()),
            (Side::Servers, rust_servers(xml, &options).unwrap()),
        ] {
            let all = written(&arguments, side);
            let (tracked, items) = all.split_once(';').unwrap();
            assert!(tracked.contains("include_bytes !") && tracked.contains(&path), "{tracked}");
            assert_eq!(items.trim(), tokens(text), "{arguments}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let check = |arguments: &str, expected: &str| {
        for side in [Side::Proxies, Side::Servers] {
            let all = written(arguments, side);
            assert!(all.contains(expected), "{arguments}: {all}");
            let is_error = all.contains("compile_error !") || all.starts_with("refused: ");
            assert!(is_error && !all.contains("trait") && !all.contains("struct"), "{all}");
        }
    };
    let broken = "line 3, column 5: <method> lacks the attribute name";
    check("\"tests/broken.xml\"", &format!("tests/broken.xml: {broken}"));
    check("\"tests/binary.xml\"", "tests/binary.xml: line 2, column 5: not text in UTF-8");
    check("\"tests/binary.xml\", lenient", "line 2, column 5");
    check("\"tests/absent.xml\"", "tests/absent.xml: No such file or directory");
    check("\"tests/clock.xml\", default_path = \"a\"", "the default path is not an object path");
    let float =
        "tests/float.xml: line 4, column 7: interface org.example.Float, method Get, output 1: ";
    check("\"tests/float.xml\"", float);
    check("\"tests/float.xml\", lenient", float);
    let names = "tests/names.xml: line 3, column 5: interface org.example.Names, method M-x: ";
    check("\"tests/names.xml\"", names);
    let types =
        "tests/names.xml: line 5, column 9: interface org.example.Names, method N, input 1: ";
    check("\"tests/names.xml\", without(\"org.example.Names.M-x\")", types);
    check("", "expected string literal");
    check("clock", "expected string literal");
    check("\"tests/clock.xml\" blocking", "expected `,`");
    check("\"tests/clock.xml\", blocks", "there is no option blocks; known are: blocking, lenient");
    check("\"tests/clock.xml\", blocking, blocking", "blocking is given twice");
    check("\"tests/clock.xml\", default_path", "expected `=`");
    check("\"tests/clock.xml\", without(a)", "expected string literal");
}

#[test]
fn a_file_that_is_wrong_is_watched_too() {
    let all = written("\"tests/broken.xml\"", Side::Proxies);
    assert!(all.starts_with("const _ : & [u8] = :: core :: include_bytes !"), "{all}");
}

#[test]
fn leniently_what_is_wrong_is_left_out() {
    let all =
        written("\"tests/broken.xml\", lenient, without(\"org.example.Broken.\")", Side::Proxies);
    assert!(all.contains("trait Broken") && !all.contains("compile_error"), "{all}");
}
