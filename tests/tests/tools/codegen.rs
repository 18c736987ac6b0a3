//! `bus codegen` (tools.md D041–D044): what it writes, of files and of a live object, and how it says what is wrong.

use std::process::Command;

use bus_introspect::{CodegenOptions, Node, rust_proxies, rust_servers};
use bus_tests::harness::{Ended, Folder, bus_command, run};

use crate::scene::Scene;

const CLOCK: &str = "\
<node name=\"/org/example/Clock\">
  <interface name=\"org.example.Clock\">
    <method name=\"GetTime\">
      <annotation name=\"org.gtk.GDBus.DocString\" value=\"Tells the time.\"/>
      <arg name=\"zone\" type=\"s\" direction=\"in\"/>
      <arg name=\"seconds\" type=\"t\" direction=\"out\"/>
    </method>
    <signal name=\"Struck\"><arg name=\"hour\" type=\"u\"/></signal>
    <property name=\"Zone\" type=\"s\" access=\"read\"/>
  </interface>
</node>
";

const MAP: &str =
    "<node><interface name='org.example.Map'><method name='Clear'/></interface></node>";

/// A folder with files, in which commands run.
struct Described(Folder);

impl Described {
    fn new() -> Self {
        let folder = Self(Folder::new());
        folder.write("clock.xml", CLOCK);
        folder.write("map.xml", MAP);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn codegen(&self, words: &str) -> Ended {
        self.codegen_of(words, "")
    }

    fn codegen_of(&self, words: &str, input: &str) -> Ended {
        let mut command = Command::new("env");
        command.arg(format!("--chdir={}", self.0.display())).arg(bus_command());
        command.arg("codegen").args(words.split(' '));
        run(&command, input.as_bytes())
    }

    /// Exit code and both outputs.
    #[track_caller]
    fn check(&self, words: &str, code: i32, stdout: &str, stderr: &str) {
        let ended = self.codegen(words);
        let all = (ended.code, ended.stdout.as_str(), ended.stderr.as_str());
        assert_eq!(all, (Some(code), stdout, stderr), "{words}");
    }
}

fn node(xml: &str) -> Node {
    Node::from_xml_leniently(xml).unwrap().0
}

#[test]
fn files_become_what_the_library_makes_of_them() {
    let folder = Described::new();
    let options = CodegenOptions::new().with_source("clock.xml");
    let proxies = rust_proxies(CLOCK, &options).unwrap();
    assert!(proxies.contains("pub trait Clock {") && proxies.contains("Tells the time."));
    folder.check("clock.xml", 0, &proxies, "");
    folder.check("--proxy clock.xml", 0, &proxies, "");
    folder.check("--server clock.xml", 0, &rust_servers(CLOCK, &options).unwrap(), "");
    folder.check("--markdown clock.xml", 0, &node(CLOCK).to_markdown(), "");
    folder.check("--html clock.xml", 0, &node(CLOCK).to_html(), "");
    folder.check("--xml clock.xml", 0, &node(CLOCK).to_xml(), "");
    let standard_input = CodegenOptions::new().with_source("standard input");
    let ended = folder.codegen_of("-", CLOCK);
    assert_eq!(ended.succeeds(), rust_proxies(CLOCK, &standard_input).unwrap());
}

#[test]
fn options_of_rust() {
    let folder = Described::new();
    let options = || CodegenOptions::new().with_source("clock.xml");
    let made = |options| rust_proxies(CLOCK, &options).unwrap();
    folder.check("--blocking clock.xml", 0, &made(options().blocking()), "");
    folder.check("--include clock.xml", 0, &made(options().for_include()), "");
    let left_out = options().without("org.example.Clock.GetTime").without("org.example.Clock.Zone");
    let words = "--without=org.example.Clock.GetTime --without org.example.Clock.Zone clock.xml";
    folder.check(words, 0, &made(left_out), "");
    let placed = options().with_default_service("org.example.Clock").with_default_path("/clock");
    folder.check("--service=org.example.Clock --path=/clock clock.xml", 0, &made(placed), "");
    let wrong = folder.codegen("--service=none clock.xml");
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.starts_with("bus: the default service is not a bus name: "),
        "{}",
        wrong.stderr
    );
    // What has no meaning for the form is no option of it.
    for words in [
        "--markdown --blocking clock.xml",
        "--server --service=a.B clock.xml",
        "--xml --proxy clock.xml",
    ] {
        let ended = folder.codegen(words);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{words}");
        assert!(ended.stderr.contains("cannot be used with"), "{}", ended.stderr);
    }
}

#[test]
fn several_files_are_one_module() {
    let folder = Described::new();
    let ended = folder.codegen("clock.xml map.xml");
    let text = ended.succeeds();
    assert!(text.contains("from `clock.xml, map.xml`"), "{text}");
    assert!(text.contains("pub trait Clock {") && text.contains("pub trait Map {"), "{text}");
    let markdown = folder.codegen("--markdown clock.xml map.xml").succeeds();
    assert!(markdown.contains("`org.example.Clock`") && markdown.contains("`org.example.Map`"));
}

#[test]
fn a_file_is_written_when_all_is_well() {
    let folder = Described::new();
    folder.check("clock.xml --output=clock.rs", 0, "", "");
    let written = folder.read("clock.rs");
    assert_eq!(written, folder.codegen("clock.xml").succeeds());
    folder.write("broken.xml", "<node>");
    assert_eq!(folder.codegen("broken.xml -o clock.rs").code, Some(1));
    assert_eq!(folder.read("clock.rs"), written);
    let stderr = "bus: cannot write missing/clock.rs: No such file or directory\n";
    folder.check("clock.xml -o missing/clock.rs", 1, "", stderr);
}

#[test]
fn faults_have_file_line_and_column() {
    let folder = Described::new();
    let lenient = "hint: --lenient gets over most faults, and tells of them\n";
    folder.write("element.xml", "<node>\n  <method/></node>");
    let stderr = format!("bus: element.xml:2:3: <method> does not belong inside <node>\n{lenient}");
    folder.check("element.xml", 1, "", &stderr);
    folder.check("--markdown element.xml", 1, "", &stderr);
    folder.write("type.xml", &CLOCK.replace("\"t\"", "\"tt\""));
    let place = "interface org.example.Clock, method GetTime, output 1";
    let leave = "hint: --without=org.example.Clock.GetTime leaves it out\n";
    let stderr = format!("bus: type.xml:6:7: {place}: the type must be one complete type\n{leave}");
    folder.check("map.xml type.xml", 1, "", &stderr);
    // What it advises helps.
    assert_eq!(folder.codegen("type.xml --without=org.example.Clock.GetTime").code, Some(0));
    folder.write("name.xml", "<node>\n<interface name='nodots'/>\n</node>");
    let ended = folder.codegen("--server name.xml");
    assert_eq!(ended.code, Some(1));
    let expected = "bus: name.xml:2:1: interface nodots: the name is not an interface name: ";
    assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);
    // Nothing of a file moves the cursor.
    folder.write(
        "hostile.xml",
        "<node><interface name='a.B'><method name='&#x9b;2J'/></interface></node>",
    );
    let ended = folder.codegen("hostile.xml");
    assert!(ended.code == Some(1) && !ended.stderr.contains('\u{9b}'), "{}", ended.stderr);
}

#[test]
fn faults_that_are_got_over_are_told() {
    let folder = Described::new();
    folder.write(
        "odd.xml",
        &CLOCK.replace("<node name", "<node\n  x='1' name").replace("\"read\"", "\"maybe\""),
    );
    let ended = folder.codegen("--lenient odd.xml --xml");
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout, node(CLOCK).to_xml());
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(
        lines,
        [
            "bus: odd.xml:1:1: the attribute x of <node> is left out",
            "bus: odd.xml:10:5: <property> has the attribute access=\"maybe\", which is not valid",
        ]
    );
    assert_eq!(folder.codegen("--quiet --lenient odd.xml").stderr, "");
    // Not all can be got over.
    folder.write("no.xml", "<node");
    let ended = folder.codegen("--lenient no.xml");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("bus: no.xml:1:6: not well-formed XML: "), "{}", ended.stderr);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Described::new();
    folder.check(
        "missing.xml",
        1,
        "",
        "bus: cannot read missing.xml: No such file or directory\n\
        hint: an object is NAME PATH; `bus tree NAME` shows those of a service\n",
    );
    folder.check("a/b", 1, "", "bus: cannot read a/b: No such file or directory\n");
    std::fs::write(folder.0.join("bytes.xml"), [0xff]).unwrap();
    folder.check("bytes.xml", 1, "", "bus: cannot read bytes.xml: the file is no text in UTF-8\n");
    std::fs::write(folder.0.join("long.xml"), vec![b' '; bus_introspect::XML_SIZE_MAX + 2])
        .unwrap();
    let ended = folder.codegen("long.xml");
    assert!(
        ended.code == Some(1) && ended.stderr.contains("the document is longer than"),
        "{}",
        ended.stderr
    );
    let ended = folder.codegen("--json clock.xml");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(
        ended.stderr.starts_with("bus: --json goes with --diff alone\nhint: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn differences_say_whether_programs_break() {
    let folder = Described::new();
    folder.check("--diff clock.xml clock.xml", 0, "", "");
    let added = CLOCK.replace("<property", "<method name=\"Wind\"/>\n    <property");
    folder.write("added.xml", &added);
    let line = "interface org.example.Clock, method Wind: the method was";
    folder.check("--diff clock.xml added.xml", 0, &format!("additive: {line} added\n"), "");
    folder.check("--diff added.xml clock.xml", 1, &format!("breaking: {line} removed\n"), "");
    folder.write("renamed.xml", &CLOCK.replace("\"hour\"", "\"o_clock\""));
    let renamed = "compatible: interface org.example.Clock, signal Struck, argument 1: \
                   the name was \"hour\" and is now \"o_clock\"\n";
    folder.check("--diff clock.xml renamed.xml", 0, renamed, "");
    let json = "{\"impact\":\"breaking\",\"changes\":[{\"impact\":\"breaking\",\
                \"place\":\"interface org.example.Clock, method Wind\",\"change\":\"the method was removed\"}]}\n";
    folder.check("--diff --json added.xml clock.xml", 1, json, "");
    folder.check(
        "--diff --json clock.xml clock.xml",
        0,
        "{\"impact\":\"compatible\",\"changes\":[]}\n",
        "",
    );
    // A file has no colours.
    folder.check("--diff --color added.xml clock.xml -o out", 1, "", "");
    assert_eq!(folder.read("out"), format!("breaking: {line} removed\n"));
    let coloured = folder.codegen("--diff --color added.xml clock.xml").stdout;
    assert_eq!(coloured, format!("\u{1b}[31mbreaking\u{1b}[0m: {line} removed\n"));
    let stderr = "bus: --diff takes two descriptions: OLD and NEW\n\
                  hint: bus codegen --diff old.xml new.xml, or: bus codegen --diff old.xml NAME PATH\n";
    folder.check("--diff clock.xml", 2, "", stderr);
    folder.check("--diff clock.xml clock.xml clock.xml", 2, "", stderr);
    folder.write("broken.xml", "<node>\n<method/></node>");
    let ended = folder.codegen("--diff clock.xml broken.xml");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.starts_with("bus: broken.xml:2:1: "), "{}", ended.stderr);
}

#[test]
fn a_live_object_is_asked() {
    let scene = Scene::new();
    let folder = Described::new();
    let address = scene.address();
    let on_bus = |words: &str| folder.codegen(&format!("--address={address} {words}"));
    let text = on_bus("org.example.Kettle /org/example/Kettle").succeeds();
    assert!(text.contains("from `org.example.Kettle /org/example/Kettle`"), "{text}");
    assert!(text.contains("pub trait Kettle {") && text.contains("fn brew("), "{text}");
    assert!(text.contains("default_service = \"org.example.Kettle\""), "{text}");
    assert!(!text.contains("pub trait Peer"), "{text}");
    let text =
        on_bus("--server org.example.Kettle /org/example/Kettle org.example.Kettle").succeeds();
    assert!(text.contains("impl Kettle {"), "{text}");
    let xml = on_bus("--xml org.example.Kettle /org/example/Kettle org.example.Kettle").succeeds();
    assert_eq!(node(&xml).interfaces.len(), 1);
    // What a service offers is compared with what it was to offer.
    folder.write("kettle.xml", &xml);
    let live = "--diff kettle.xml org.example.Kettle /org/example/Kettle";
    let ended = on_bus(&format!("{live} org.example.Kettle"));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    folder.write("kettle.xml", &xml.replace("<method name=\"Whistle\"", "<method name=\"Sing\""));
    let ended = on_bus(live);
    assert_eq!(ended.code, Some(1));
    let lost = "breaking: interface org.example.Kettle, method Sing: the method was removed\n";
    assert!(ended.stdout.contains(lost), "{}", ended.stdout);
    // Nobody, and nothing there.
    let ended = on_bus("org.example.Nobody /");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("org.freedesktop.DBus.Error.ServiceUnknown"), "{}", ended.stderr);
    let ended = on_bus("org.example.Kettle /org/example/Kettle org.example.None");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with("bus: the object has no interface org.example.None\nhint: "),
        "{}",
        ended.stderr
    );
    let ended = folder.codegen("--address=unix:path=/nonexistent org.example.Kettle /");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
}
