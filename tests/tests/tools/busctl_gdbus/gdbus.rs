//! What `gdbus` does (tools.md D035–D040).

use std::path::Path;

use bus_tests::harness::{Ended, Running, skip_without};

use super::service::NAME;
use super::transcript::{Difference, Scene, Which};

/// `PEER` is the object; the words of a line are split at blanks, and a `␣` is a blank in a word.
fn check(lines: &[&str], differences: &[Difference<'_>]) {
    let Some(scene) = Scene::new("gdbus") else { return };
    check_on(&scene, lines, differences);
}

fn words_of(line: &str) -> Vec<String> {
    let line = line.replace("PEER", "-d org.example.Peer -o /org/example/Peer");
    line.split(' ').map(|word| word.replace('␣', " ")).collect()
}

fn check_on(scene: &Scene, lines: &[&str], differences: &[Difference<'_>]) {
    let words: Vec<Vec<String>> = lines.iter().map(|line| words_of(line)).collect();
    let words: Vec<Vec<&str>> =
        words.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let words: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
    scene.compare(&words, differences);
}

// tools.md D037
#[test]
fn call_takes_and_prints_gvariant_text() {
    check(
        &[
            "call -e PEER -m org.example.Alpha.Div 7 2",
            "call -e PEER -m org.example.Alpha.Div -- -7 2",
            "call -e PEER -m org.example.Zeta.Old",
            "call -e PEER -m org.example.Zeta.Echo <5>",
            "call --session --dest org.example.Peer --object-path=/org/example/Peer --method org.example.Zeta.Old",
            "call -e PEER -m org.example.Zeta.Quiet {} ['a']",
            "call -e PEER -m org.example.Zeta.Quiet",
            "call -e PEER -m org.example.Alpha.Texts a␣b /a as",
            "call -e PEER -m org.example.Alpha.Texts 'a' '/a' 'as'",
            "call -e PEER -m org.example.Alpha.Texts it's /a as",
            "call -e PEER -m org.example.Zeta.Other 5 'a' abc ['x'] {'k':␣<uint32␣5>} (1,'a')",
            "call -e PEER -m org.example.Zeta.Other 1.5 true b'x' [byte␣1,2] objectpath␣'/a' signature␣'as'",
            "call -e PEER -m org.example.Zeta.Other <<1>> [<1>,<'b'>] 5000000000 int64␣5 (1,) @as␣[] 1e3 nan <-nan>",
            "call -e PEER -m org.example.Zeta.Other [1,2 byte␣300 uint32␣-1  ␣",
            "call -e PEER -m org.freedesktop.DBus.Properties.Get org.example.Zeta Dict",
            "call -e PEER -m org.freedesktop.DBus.Properties.GetAll org.example.Zeta",
            "call -e -d org.freedesktop.DBus -o /org/freedesktop/DBus -m org.freedesktop.DBus.NameHasOwner org.example.Peer",
            "call -e PEER -i -m org.example.Zeta.Old",
            "call -e PEER -t 5 -m org.example.Zeta.Old",
            "call -e PEER -t 0x5 -m org.example.Zeta.Old",
            "call -e PEER -t ␣010 -m org.example.Zeta.Old",
            "call -e PEER -t -1 -m org.example.Zeta.Old",
            "call -e PEER -t 0 -m org.example.Zeta.Never",
            "call -e -d org.example.Peer -o /nope -m a.b.C 5",
            "call -e PEER -m org.example.Alpha.Texts a /a as b",
        ],
        &[],
    );
}

/// Texts, as arguments of methods that take one value each.
const TYPED: &[(&str, &[&str])] = &[
    (
        "B",
        &[
            "true",
            "false",
            "1",
            "0",
            "yes",
            "TRUE",
            "t",
            "'true'",
            " true ",
            "<true>",
            "boolean true",
            "(true)",
            "@b true",
            "boolean'x'",
        ],
    ),
    (
        "Y",
        &[
            "010",
            "0x10",
            "0b11",
            "0o17",
            "8",
            "08",
            " 5",
            "5 ",
            "+5",
            "-5",
            "256",
            "byte 5",
            "1e2",
            "1.0",
            "0x",
            "",
            "'a'",
            "99999999999999999999",
            "-0",
            "0xg",
            "1_0",
            "int16 5",
            "uint32 5",
            "handle 5",
            "byte",
            "@y 5",
            "@y5",
        ],
    ),
    (
        "I",
        &[
            "010",
            "-0x10",
            "+5",
            "- 5",
            "--5",
            "-+5",
            "+-5",
            "2147483648",
            "-2147483648",
            "handle 5",
            "5.",
            "1e3",
            "(5)",
            "0X1F",
            "5 # x",
            "5,",
            "inf",
        ],
    ),
    ("N", &["40000", "-32768"]),
    ("Q", &["65535", "65536", "-1"]),
    ("U", &["4294967295", "-1"]),
    ("X", &["-9223372036854775808", "9223372036854775808"]),
    ("T", &["18446744073709551615", "18446744073709551616", "-1", "int64 5"]),
    (
        "D",
        &[
            "1",
            "0x1p3",
            "0x1.8",
            "1e309",
            "1e400",
            "-1e309",
            "inf",
            "-inf",
            "+inf",
            "infinity",
            "-infinity",
            "INF",
            "nan",
            "-nan",
            "NaN",
            "nan(1)",
            "1e-320",
            "0x1p-1074",
            "1e-400",
            ".5",
            "5.",
            "010",
            "0x10",
            "double 5",
            "int32 5",
            "1.5x",
            "1e",
            "+5",
            "'5'",
            "float 5",
            "1,5",
            "infx",
            "e5",
            "1 2",
            ".",
        ],
    ),
    (
        "S",
        &[
            "a",
            "'a'",
            "\"a\"",
            "\\",
            "\\\\",
            "a\\",
            "a\\n",
            "it's",
            "'it\\'s'",
            "'a",
            "a'",
            "",
            "a\"b",
            "a\\\"b",
            "\"a",
            "'\\u0041'",
            "'\\u00'",
            "'\\u+041'",
            "'\\U0001f600'",
            "'\\x41'",
            "'\\101'",
            "'\\0'",
            "'\\u0000'",
            "a b",
            "5",
            "true",
            "é",
            "@s 'a'",
            "string 'a'",
            "string a",
            "'a' 'b'",
            " a",
            "'a' ",
            "'a\\\nb'",
            "b'a'",
            "objectpath '/a'",
            "@o 'x'",
            "[nothing",
            "nothing",
            "\u{a0}'a'",
        ],
    ),
    ("O", &["/a", "'/a'", "a", "objectpath '/a'", "string '/a'", "", "//", "'a'"]),
    ("G", &["as", "'as'", "((", "signature 'as'", "'xx'"]),
    ("H", &["0", "handle 0", "0x0", "@h 0", "'0'"]),
    (
        "V",
        &[
            "1",
            "'a'",
            "true",
            "[1,2]",
            "abc",
            "<1>",
            "<<1>>",
            "< 1 >",
            "<1",
            "1>",
            "@v <1>",
            "@i 1",
            "{'a':<1>}",
            "<>",
            "<[]>",
            "<@as []>",
            "<@a{sv} {}>",
            "<{}>",
            "<b'a\\0b'>",
            "<5000000000>",
            "<08>",
            "<1.5>",
            "<nan>",
            "<1e5>",
            "<0x1e5>",
            "<nothing>",
            "<just 5>",
            "<@mi 5>",
            "<[1,nothing]>",
            "<()>",
            "<@(ii 5>",
            "<{1:2}>",
            "<{<1>:2}>",
            "<[1,2.5]>",
            "<[1,'a']>",
            "<[byte 1,2]>",
            "<['/a',objectpath '/b']>",
            "<[[],[1]]>",
            "<[(1,'a'),(byte 2,'b')]>",
            "<int64 5>",
            "<(1,)>",
            "<(1)>",
            "<[{'a',1},{'b',int64 2}]>",
            "variant <1>",
        ],
    ),
    (
        "Bytes",
        &[
            "b'a'",
            "b'a\\0b'",
            "b\"a\"",
            "b'\\377'",
            "b'\\400'",
            "b'\\q'",
            "b'\\1234'",
            "b'\\a\\n\\v'",
            "b'a\\\nb'",
            "['a']",
            "[1,2]",
            "[1,]",
            "[,1]",
            "[]",
            "",
            "b''",
            "b'a",
            "b 'a'",
            "[0x61, 0]",
            "@ay []",
            "@ay [1]",
            "[byte 1, 2]",
            "[<1>]",
            "b'a\\x41'",
            "b'é'",
            "'a'",
            "010",
            "b'a\"b\\'c'",
            "b'a\"b'",
            "b\"it's\"",
            "b'\\b\\f\\r\\t\\177\\1'",
        ],
    ),
    (
        "Texts",
        &[
            "[\"a\"]",
            "[\"a\",]",
            "[a]",
            "['a' 'b']",
            "@as ['a']",
            "[objectpath '/a']",
            "[",
            "]",
            "['a',<'b'>]",
            "[@s 'a','b']",
            "{}",
        ],
    ),
    ("Booleans", &["[true]", "[1]", "[TRUE]", "[true,boolean false]"]),
    ("Variants", &["[1,2]", "[<1>,<2>]", "[1,<2>]", "[]"]),
    (
        "Dict",
        &[
            "{}",
            "{'a':1}",
            "{'a':<1>}",
            "[{'a',<1>}]",
            "[{\"a\",<1>},{'b',<2>}]",
            "[@{sv} {'a',<1>}]",
            "[{'a':<1>}]",
            "{'a',<1>}",
            "{\"a\",<1>}",
            "{'a':<1>,}",
            "{'a':<1>,'b':<2>}",
            "[]",
            "@a{sv} {}",
            "{a:<1>}",
            "{'a':<1> 'b':<2>}",
            "{'a'}",
            "{'a':<1>}x",
            "{ 'a' : <1> }",
            "{'a':<1>,'a':<2>}",
            "[{}]",
        ],
    ),
    (
        "Numbers",
        &["{1:'a'}", "{1,'a'}", "[{1,'a'}]", "{-1:'a'}", "{0x10:'a',010:'b'}", "{'1':'a'}"],
    ),
    (
        "Struct",
        &[
            "(1,'a')",
            "(1,'a',)",
            "(1)",
            "(1,'a',2)",
            "()",
            "(1 'a')",
            "1,'a'",
            "@(is) (1,'a')",
            "(@i 1,@s 'a')",
            "('1','a')",
            "(1,a)",
            "(uint32 1,'a')",
        ],
    ),
    ("Structs", &["[(1,'a'),@(is) (2,'b')]", "[(1,)]"]),
    ("Lists", &["[['a'],[]]", "[[],[]]", "[@as [],['a']]"]),
    // What is not known from introspection.
    (
        "Other",
        &[
            "5",
            "5000000000",
            "-5000000000",
            "010",
            "08",
            "1e3",
            "0x1p3",
            "nan",
            "infinity",
            "1e309",
            "true",
            "TRUE",
            "abc",
            "a\"b",
            "a\\",
            "it's",
            "[1,2",
            "[1,2]",
            "[1,2.5]",
            "[1,'a']",
            "['a',<'b'>]",
            "[]",
            "@as []",
            "{}",
            "{'a':1}",
            "{'a':1,'b':2.5}",
            "{'a':1,'b':'c'}",
            "{1:<1>}",
            "[{'a',1}]",
            "(1,'a')",
            "(1,)",
            "(1)",
            "()",
            "((),1)",
            "just 5",
            "nothing",
            "[1,nothing]",
            "@mi 5",
            "<1>",
            "<just 1>",
            "b'a'",
            "b'a\\0b'",
            "byte 5",
            "handle 0",
            "double 010",
            "int32 010",
            "uint16 -1",
            "-",
            "+",
            ".",
            "",
            " ",
            "'a\\u0041'",
            "@s 5",
            "@ 5",
            "@xx 5",
            "@{sv} {'a',<1>}x",
            "\u{a0}5",
            "%s",
            "string 5",
            "byte '5'",
            "a: 5",
        ],
    ),
];

/// Whatever the text of a value is, it becomes the same value, or none: only the words for what is wrong are ours.
// tools.md D037
#[test]
fn texts_are_read_as_glib_reads_them() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let mut problems = Vec::new();
    for (method, texts) in TYPED {
        let method = format!("org.example.Typed.{method}");
        for text in *texts {
            let object = ["call", "-e", "-d", NAME, "-o", "/typed", "-m", &method, "--", text];
            let [ours, theirs] =
                [Which::Ours, Which::Original].map(|which| scene.run(which, &object));
            let told = |ended: &Ended| (ended.code, ended.stdout.clone(), ended.stderr.is_empty());
            if told(&ours) != told(&theirs) {
                problems.push(format!(
                    "{method} {text:?}: the original says\n{}ours says\n{}",
                    scene.told(&theirs),
                    scene.told(&ours)
                ));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// What ends GLib's by a failed assertion, or its connection.
// tools.md D037
#[test]
fn what_ends_the_original_is_refused() {
    const CRASHES: &str = "the original crashes, is thrown out, or sends a number alone";
    let typed = "call -e -d org.example.Peer -o /typed -m org.example.Typed";
    let refused = [
        (format!("{typed}.H -- -1"), 1, "Error parsing parameter 1 of type “h”: "),
        (format!("{typed}.S '\\ud800'"), 1, "Error parsing parameter 1 of type “s”: "),
        (format!("{typed}.V <{{'a',1}}>"), 1, "Error serializing GVariant with type string “{si}”"),
        (format!("{typed}.S -t -5 x"), 0, "('x',)"),
        (format!("{typed}.V <@h 9999>"), 1, "Error adding handle 9999: "),
    ];
    let lines: Vec<String> =
        refused.iter().map(|(line, ..)| line.replace("@h 9999", "@h␣9999")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let differences: Vec<Difference<'_>> = refused
        .iter()
        .map(|(case, code, prints)| Difference { case, reason: CRASHES, code: *code, prints })
        .collect();
    check(&lines, &differences);
}

const CLEARER: &str = "what is wrong with a text is told in our own words";

// tools.md D037, D040
#[test]
fn call_says_what_is_wrong() {
    check(
        &[
            "call",
            "call -e",
            "call -e -d org.example.Peer",
            "call -e PEER",
            "call -e PEER -m Foo",
            "call PEER -m a.b.C",
            "call -e -y PEER -m a.b.C",
            "call -e --system=3",
            "call -e -d bad -o / -m a.b.C",
            "call -e -d a.b -o x -m a.b.C",
            "call -e PEER -m org.example.Zeta.Fail",
            "call -e PEER -m org.example.Zeta.FailEmpty",
            "call -e PEER -m org.example.Zeta.Access",
            "call -e PEER -m org.example.Zeta.Never -t 1",
            "call -e -d org.example.Nobody -o / -m a.b.C",
            "call -e -d org.example.Nobody -o / -m a.b.C 1",
            "call -a unix:path=/no/such/bus PEER -m a.b.C",
            "call -a bogus PEER -m a.b.C",
            "call -y PEER -m a.b.C",
            "call -e PEER -m org.example.Alpha.Div 7 x",
            "call -e PEER -m org.example.Zeta.Quiet {'a'} x",
        ],
        &[
            Difference {
                case: "call -e -d org.example.Peer -o /org/example/Peer -m org.example.Alpha.Div 7 x",
                reason: CLEARER,
                code: 1,
                prints: "Error parsing parameter 2 of type “i”: ",
            },
            Difference {
                case: "call -e -d org.example.Peer -o /org/example/Peer -m org.example.Zeta.Quiet {'a'} x",
                reason: CLEARER,
                code: 1,
                prints: ":\n  {'a'}\n      ^\n",
            },
        ],
    );
}

// tools.md D040
#[test]
fn wrong_options_are_answered_by_how_it_is_used() {
    let Some(scene) = Scene::new("gdbus") else { return };
    for line in [
        "",
        "bogus",
        "-h",
        "--help",
        "call --help",
        "call -h",
        "call -e PEER --bogus",
        "call -e -d",
        "call -t",
        "call -e PEER -t x -m a.b.C",
        "call -e PEER -t 08 -m a.b.C",
        "call -e PEER -t 5␣ -m a.b.C",
        "call -e PEER -t 2147483648 -m a.b.C",
        "call -e PEER -t 99999999999 -m a.b.C",
        "wait -e -t 99999999999999999999 a.b",
        "call -e PEER -m a.b.C -5",
        "call -eZ",
        "emit --help",
        "introspect --help",
        "monitor --help",
        "wait --help",
        "wait -e -t1 a.b",
    ] {
        let words = words_of(line);
        let words: Vec<&str> =
            words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
        for which in [Which::Ours, Which::Original] {
            let ended = scene.run(which, &words);
            ended.fails_with(&["Usage:\n  gdbus "]);
        }
    }
    for line in ["help", "help call"] {
        let words = words_of(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for which in [Which::Ours, Which::Original] {
            scene.run(which, &words).prints(&["Usage:\n  gdbus COMMAND"]);
        }
    }
}

/// What may stand at `|` of each line, and nothing else.
// tools.md D040
#[test]
fn command_lines_are_completed() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let lines = [
        "gdbus |",
        "gdbus c|",
        "|gdbus call --session",
        "gdbus help |",
        "gdbus bogus |",
        "gdbus complete x |",
        "x call |",
        "gdbus call|",
        "gdbus call --s|",
        "gdbus call --system |",
        "gdbus call --system --session |",
        "gdbus call --address |",
        "gdbus wait --address |",
        "gdbus call --address b|ogus",
        "gdbus call --address bogus |",
        "gdbus call --session |",
        "gdbus call -eZ -|",
        "gdbus call -d |",
        "gdbus call --session --bogus=1 |",
        "gdbus call --session --timeout 5 |",
        "gdbus call --session --timeout x |",
        "gdbus call --session --dest |",
        "gdbus call --session --dest o|",
        "gdbus call --session --dest :|",
        "gdbus call --session --dest| org.example.Peer",
        "gdbus call --session --dest o| --object-path",
        "gdbus call --session --dest= |",
        "gdbus call --session --dest org.example.Peer |",
        "gdbus call --session --dest org.example.Peer --dest |",
        "gdbus call --session --dest org.example.Peer --object-path |",
        "gdbus call --session --dest org.example.Peer --object-path x|",
        "gdbus call --session --dest org.example.Peer --object-path /|",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/|",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Pe|",
        "gdbus call --session --dest org.example.Peer --object-path //|",
        "gdbus call --session --dest org.example.Peer --object-path /5-/|",
        "gdbus call --session --dest org.example.Nobody --object-path |",
        "gdbus call --session --dest 5bad --object-path |",
        "gdbus call --session --dest :1.999 --object-path |",
        "gdbus call --session --dest 'org.example.Peer' --object-path '/org/example/Peer' |",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Peer --method |",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Peer --method x|",
        "gdbus call --session --dest org.example.Peer --object-path /org/example/Peer --method a.b.C |",
        "gdbus call --session --dest org.example.Peer --object-path /nope --method |",
        "gdbus call --session --dest org.example.Peer --object-path /broken --method |",
        "gdbus call --session --dest org.example.Peer --method |",
        "gdbus emit --session |",
        "gdbus emit --session --dest |",
        "gdbus emit --session --dest :1.1 |",
        "gdbus emit --session --object-path |",
        "gdbus emit --session --object-path / |",
        "gdbus emit --session --object-path / --signal|",
        "gdbus emit --session --object-path / --signal |",
        "gdbus emit --session --object-path / --signal a.b.C|",
        "gdbus emit --session --object-path / --signal a.b.C |",
        "gdbus emit --session --dest org.example.Peer --object-path /org/|",
        "gdbus emit --session --dest org.example.Peer --object-path /org/example/Peer --signal |",
        "gdbus emit --session --dest org.example.Peer --object-path /org/example/Peer --signal x|",
        "gdbus introspect --session --dest org.example.Peer --object-path /org/|",
        "gdbus introspect --session --dest org.example.Peer --object-path / |",
        "gdbus introspect --session --dest org.example.Peer --object-path / --xml -r |",
        "gdbus introspect --session --dest org.example.Peer --object-path / -rp |",
        "gdbus monitor --session |",
        "gdbus monitor --session --dest |",
        "gdbus monitor --session --dest org.example.Peer |",
        "gdbus monitor --session --dest org.example.Peer --object-path |",
        "gdbus monitor --session --dest org.example.Peer --object-path / |",
        "gdbus wait |",
        "gdbus wait --session |",
        "gdbus wait --session --activate |",
        "gdbus call \"--sess\"ion |",
        "gdbus call --session # --dest |",
        "gdbus call 'x |",
        "gdbus call \\|",
        "# x|",
        " |",
        "|",
    ];
    let cases: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let (before, after) = line.split_once('|').unwrap();
            (format!("{before}{after}"), before.len().to_string())
        })
        .chain(["x", "", "5x", "99", "-1"].map(|point| ("gdbus call".into(), point.into())))
        .collect();
    let words: Vec<[&str; 3]> =
        cases.iter().map(|(line, point)| ["complete", line.as_str(), point.as_str()]).collect();
    let words: Vec<&[&str]> = words.iter().map(|words| words.as_slice()).collect();
    let broken = "gdbus call --session --dest org.example.Peer --object-path /broken --method ";
    let broken = format!("complete {broken} {}", broken.len());
    let differences = [Difference {
        case: &broken,
        reason: CLEARER,
        code: 0,
        prints: "Error parsing introspection XML: ",
    }];
    scene.compare(&words, &differences);
    for words in [&["complete"][..], &["complete", "gdbus"], &["complete", "gdbus", "5", "x"]] {
        for which in [Which::Ours, Which::Original] {
            scene.run(which, words).fails_with(&["Unknown command 'complete'", "Usage:"]);
        }
    }
}

// tools.md D035
#[test]
fn objects_are_outlined() {
    check(
        &[
            "introspect -e PEER",
            "introspect -e PEER -p",
            "introspect -e PEER -x",
            "introspect -e PEER -xr",
            "introspect -e -d org.example.Peer -o / -r",
            "introspect -e -d org.example.Peer -o / -r -p",
            "introspect -e -d org.example.Peer -o /z --recurse --only-properties",
            "introspect -e -d org.example.Peer -o /z --xml",
            "introspect -e -d org.example.Peer -o /refusing",
            "introspect -e -d org.example.Peer -o /nope",
            "introspect -e -d org.example.Peer",
            "introspect -e",
            "introspect -e -o /",
            "introspect -e -d bad -o /",
            "introspect -e -d a.b -o x",
            "introspect -e PEER extra",
            "introspect -e -d org.example.Nobody -o /",
            "introspect -d a.b -o /",
        ],
        &[],
    );
}

/// Where nobody has said that there should be none.
// tools.md D035
#[test]
fn outlines_have_colours_on_terminals() {
    if !Path::new("/usr/bin/script").is_file() {
        return skip_without("script");
    }
    let Some(scene) = Scene::new("gdbus") else { return };
    for line in [
        "introspect -e PEER",
        "introspect -e PEER -p",
        "introspect -e -d org.example.Peer -o /org -r",
    ] {
        let words = words_of(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let [ours, theirs] =
            [Which::Ours, Which::Original].map(|which| scene.on_terminal(which, &words, &[]));
        assert_eq!(ours, theirs, "{line}");
        assert!(ours.contains("\u{1b}[33minterface org.example.Zeta\u{1b}[0m {"), "{ours}");
        // GLib's has them there as well.
        for plain in [("TERM", Some("dumb")), ("NO_COLOR", Some("1"))] {
            let ours = scene.on_terminal(Which::Ours, &words, &[plain]);
            assert!(ours.contains("interface org.example.Zeta {"), "{ours}");
            assert!(!ours.contains('\u{1b}'), "{ours:?}");
        }
    }
}

// tools.md D038
#[test]
fn signals_are_emitted() {
    check(
        &[
            "emit -e -o /a -s a.b.C",
            "emit -e -o /a -s a.b.C 1 'x' abc [1",
            "emit -e -s a.b.C",
            "emit -e -o /a",
            "emit -e -o a -s a.b.C",
            "emit -e -o /a -s C",
            "emit -e -o /a -s a.b.C -d org.example.Peer",
            "emit -e -o /a -s a.b.C -d bad",
            "emit -e -o /a -s a.b.C -d :1.9999",
            "emit -e -o /a -s a.b.C!",
            "emit -o /a -s a.b.C",
            "emit -e",
        ],
        &[],
    );
}

#[test]
fn what_is_emitted_is_the_same() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let mut watcher = scene.bus.connect();
    watcher.add_match("type='signal',interface='a.b'");
    let mut emitted = |which| {
        let words =
            ["emit", "-e", "-o", "/a", "-s", "a.b.C", "1", "'x'", "abc", "[1,2]", "uint32 5", ""];
        scene.run(which, &words).succeeds();
        let signal = watcher.next();
        (signal.path(), signal.member(), signal.flags, signal.body)
    };
    assert_eq!(emitted(Which::Ours), emitted(Which::Original));
}

/// What is printed until the last line has this in it.
fn until(scene: &Scene, monitor: &Running, part: &str) -> String {
    let mut text = String::new();
    loop {
        let line = monitor.prints("");
        text += &scene.alike(&format!("{line}\n"), "");
        if line.contains(part) {
            return text;
        }
    }
}

// tools.md D036
#[test]
fn signals_of_one_service_are_shown() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let notify = |scene: &Scene| {
        scene
            .run(
                Which::Original,
                &words_of("call -e PEER -m org.example.Zeta.Notify")
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            )
            .succeeds();
    };
    for (options, last) in [
        (&["-d", NAME][..], "Moved"),
        (&["-d", NAME, "-o", "/org/example/Peer"], "Moved"),
        (&["-d", NAME, "-o", "/other"], "is owned by"),
        (&["-d", &scene.service.unique_name], "Moved"),
        (&["-d", "org.example.Nobody"], "does not have"),
    ] {
        let [ours, theirs] = [Which::Ours, Which::Original].map(|which| {
            let words = [&["monitor", "-e"], options].concat();
            let monitor = Running::start(&mut scene.command(which, &words));
            let mut text = until(&scene, &monitor, "The name");
            if last == "Moved" {
                notify(&scene);
                text += &until(&scene, &monitor, last);
            }
            text
        });
        assert_eq!(ours, theirs, "{options:?}");
        assert!(ours.contains(last), "{ours}");
    }
    check_on(
        &scene,
        &["monitor -e", "monitor -e -d bad", "monitor -e -d a.b -o x", "monitor -d a.b"],
        &[],
    );
}

#[test]
fn owners_come_and_go() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let [ours, theirs] = [Which::Ours, Which::Original].map(|which| {
        let words = ["monitor", "--session", "--dest", "org.example.Late"];
        let mut monitor = Running::start(&mut scene.command(which, &words));
        let mut text = until(&scene, &monitor, "does not have an owner");
        let mut client = scene.bus.connect();
        client.request_name("org.example.Late", 0);
        text += &until(&scene, &monitor, "is owned by");
        client.release_name("org.example.Late");
        text += &until(&scene, &monitor, "does not have an owner");
        drop(client);
        let _ = &mut monitor;
        text
    });
    assert_eq!(ours, theirs);
}

// tools.md D039
#[test]
fn names_are_waited_for() {
    let Some(scene) = Scene::new("gdbus") else { return };
    scene.add_startable();
    check_on(
        &scene,
        &[
            "wait -e",
            "wait -e org.example.Peer",
            "wait -e bad",
            "wait -e :1.0",
            "wait -e -t 1 org.example.Nobody",
            "wait -e -t 0x1 org.example.Nobody",
            "wait -e -t 99999999999 org.example.Peer",
            "wait -e a.b c.d",
            "wait a.b",
            "wait -e -t 1 -a bad a.b",
            "wait -e -t 1 --activate=bad org.example.Peer",
            "wait -e -t 1 --activate= a.b",
            "wait -e -t 1 -a org.example.Startable",
            "wait -e -t 1 --activate=org.example.Startable org.example.Peer",
            "wait -e -t 1 --activate=org.example.Peer",
            "wait -e -t 1 -a",
            "wait -e -t 1 -a a.b c.d",
            "wait -e -a -t 1 org.example.Peer",
        ],
        &[],
    );
    // Both are there before the name is.
    for which in [Which::Ours, Which::Original] {
        let mut waiting =
            Running::start(&mut scene.command(which, &["wait", "-e", "org.example.Later"]));
        let mut client = scene.bus.connect();
        scene.bus.wait_until("it waits", || {
            let names = client.call("ListNames", &[]);
            names.body[0].texts().len() > 3
        });
        client.request_name("org.example.Later", 0);
        assert_eq!(waiting.wait().code(), Some(0));
    }
}

// tools.md D037: numbers of open descriptors.
#[test]
fn descriptors_are_sent() {
    check(&["call -e PEER -m org.example.Zeta.Other handle␣0 handle␣1"], &[]);
}

// tools.md D040: a program that is no bus is called without a name, as by GLib 2.78 and later.
#[test]
fn a_program_that_is_no_bus_is_called() {
    let Some(scene) = Scene::new("gdbus") else { return };
    let path = scene.bus.dir.join("peer");
    let address = format!("unix:path={}", path.display());
    let mut listener =
        libbus::blocking::ListenerBuilder::address(&address).unwrap().listen().unwrap();
    let serving = std::thread::spawn(move || {
        let connection = listener.accept().unwrap();
        // Until it has gone.
        let _ = connection.serve();
    });
    let words = ["call", "-a", &address, "-o", "/", "-m", "org.freedesktop.DBus.Peer.Ping"];
    assert_eq!(scene.run(Which::Ours, &words).succeeds(), "()\n");
    serving.join().unwrap();
}
