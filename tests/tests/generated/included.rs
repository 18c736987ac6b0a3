//! The macros in a program of its own: files of real services, and what is wrong in a file.

use std::fmt::Write as _;
use std::fs;

use bus_introspect::{CodegenOptions, rust_proxies, rust_servers};

use crate::descriptions;
use crate::scratch::Scratch;

/// Each is compiled four times.
const FILE_COUNT_MAX: usize = 6;

#[test]
fn files_are_included() {
    let mut program = String::new();
    let mut count = 0;
    for (number, file) in descriptions().iter().enumerate() {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        let options = CodegenOptions::new();
        // What a description cannot have as Rust is refused, which other tests look at.
        if rust_proxies(&text, &options).is_err() || rust_servers(&text, &options).is_err() {
            continue;
        }
        for (style, option) in [("waits", ""), ("blocks", ", blocking")] {
            for side in ["proxies", "servers"] {
                let name = format!("{side}_{style}_{number}");
                let include = format!("bus_introspect_macros::include_{side}!({file:?}{option});");
                write!(program, "/// Of a file.\npub mod {name} {{\n    {include}\n}}\n").unwrap();
            }
        }
        count += 1;
        if count == FILE_COUNT_MAX {
            break;
        }
    }
    // This one is ours, and named from the program's own folder.
    let include = "include_proxies!(\"clock.xml\", default_service = \"org.example.Clock\")";
    write!(program, "mod clock {{\n    bus_introspect_macros::{include};\n}}\n").unwrap();
    let use_it = "/// Uses it.\n///\n/// # Errors\n/// There is no clock.\n\
                  pub async fn time(bus: &libbus::Connection) -> libbus::Result<u64> {\n    \
                  clock::ClockProxy::new(bus, \"/clock\").await?.get_time().await\n}\n";
    program.push_str(use_it);
    let scratch = Scratch::new("included", &program);
    fs::write(scratch.folder().join("clock.xml"), CLOCK).unwrap();
    scratch.compiles();

    // What was compiled is compiled anew when the file has changed.
    fs::write(scratch.folder().join("clock.xml"), CLOCK.replace("GetTime", "GetYear")).unwrap();
    let output = scratch.cargo(&["check"]);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.contains("no method named `get_time`"), "{complaints}");
}

const CLOCK: &str = "<node>\n  <interface name='org.example.Clock'>\n    <method name='GetTime'>\n      \
                     <arg type='t' direction='out'/>\n    </method>\n  </interface>\n</node>\n";

#[test]
fn a_wrong_file_is_an_error_where_it_is_named() {
    let program = "bus_introspect_macros::include_proxies!(\n    \"broken.xml\"\n);\n";
    let scratch = Scratch::new("broken", program);
    let check = |xml: &str, expected: &str| {
        fs::write(scratch.folder().join("broken.xml"), xml).unwrap();
        let output = scratch.cargo(&["check"]);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{complaints}");
        assert!(complaints.contains(&format!("error: broken.xml: {expected}")), "{complaints}");
        assert!(complaints.contains("src/lib.rs:4:5"), "{complaints}");
        assert_eq!(complaints.matches("error: ").count(), 2, "{complaints}");
    };
    let missing = "line 3, column 5: <method> lacks the attribute name";
    check(&CLOCK.replace(" name='GetTime'", ""), missing);
    let output = "line 4, column 7: interface org.example.Clock, method GetTime, output 1: ";
    check(&CLOCK.replace("'t'", "'tt'"), output);
    check(&CLOCK.replace("'t'", "'a{vs}'"), output);
    let name = "line 3, column 5: interface org.example.Clock, method Get-Time: ";
    check(&CLOCK.replace("GetTime", "Get-Time"), name);
    // It was wrong, and is heeded when it is right.
    fs::write(scratch.folder().join("broken.xml"), CLOCK).unwrap();
    scratch.compiles();
}
