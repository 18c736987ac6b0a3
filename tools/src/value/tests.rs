//! Values in their text forms: what is printed can be typed again, and what is wrong is pointed at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is a failed test"
)]

use serde_json::json;

use super::words::{ArgumentError, Words, arguments};
use super::{Value, flat, gvariant, json as value_json, json_text, kind};

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

fn flat_text(values: &[Value]) -> String {
    let mut out = String::new();
    flat::write_row(&mut out, values);
    out
}

fn gvariant_text(values: &[Value]) -> String {
    let mut out = String::new();
    gvariant::print_tuple(&mut out, values);
    out
}

/// Words of a type, and the same in the three forms.
#[track_caller]
fn check(signature: &str, typed: &[&str], flat: &str, glib: &str, json: serde_json::Value) {
    let values = arguments(signature, &words(typed)).unwrap().values;
    assert_eq!(flat_text(&values), flat, "flat");
    assert_eq!(gvariant_text(&values), glib, "GVariant");
    assert_eq!(value_json::body_to_json(&values)["data"], json, "JSON");
    let again = gvariant::parse(glib, Some(&format!("({signature})")), usize::MAX).unwrap();
    assert_eq!(again, Value::Struct(values.clone()), "GVariant text read again");
    let again = value_json::arguments(signature, &json).unwrap();
    assert_eq!(again.values, values, "JSON read again");
}

// tools.md D030, D031, D033, D037
#[test]
fn each_form_is_read_as_it_is_printed() {
    check("s", &["tea"], "\"tea\"", "('tea',)", json!(["tea"]));
    check("s", &["it's"], "\"it's\"", "(\"it's\",)", json!(["it's"]));
    check("yb", &["255", "yes"], "255 true", "(byte 0xff, true)", json!([255, true]));
    check("nq", &["-5", "0x10"], "-5 16", "(int16 -5, uint16 16)", json!([-5, 16]));
    let large = "18446744073709551615";
    check(
        "ut",
        &["7", large],
        &format!("7 {large}"),
        &format!("(uint32 7, uint64 {large})"),
        json!([7, u64::MAX]),
    );
    check("d", &["0.5"], "0.5", "(0.5,)", json!([0.5]));
    check("d", &["3"], "3", "(3.0,)", json!([3.0]));
    check("o", &["/a"], "\"/a\"", "(objectpath '/a',)", json!(["/a"]));
    check("as", &["2", "a", "b"], "2 \"a\" \"b\"", "(['a', 'b'],)", json!([["a", "b"]]));
    check("as", &["['a', \"b\"]"], "2 \"a\" \"b\"", "(['a', 'b'],)", json!([["a", "b"]]));
    check("as", &["[]"], "0", "(@as [],)", json!([[]]));
    check("ay", &["[1, 0]"], "2 1 0", "(b'\\001',)", json!([[1, 0]]));
    check("ay", &["3", "1", "0", "1"], "3 1 0 1", "([byte 0x01, 0x00, 0x01],)", json!([[1, 0, 1]]));
    check("(si)", &["('x', 5)"], "\"x\" 5", "(('x', 5),)", json!([["x", 5]]));
    check("(si)u", &["x", "5", "6"], "\"x\" 5 6", "(('x', 5), uint32 6)", json!([["x", 5], 6]));
    check(
        "a{sv}",
        &["{'k': <uint32 1>, 'l': <'x'>}"],
        "2 \"k\" u 1 \"l\" s \"x\"",
        "({'k': <uint32 1>, 'l': <'x'>},)",
        json!([{"k": {"type": "u", "data": 1}, "l": {"type": "s", "data": "x"}}]),
    );
    check("a{us}", &["1", "5", "x"], "1 5 \"x\"", "({uint32 5: 'x'},)", json!([[[5, "x"]]]));
    check("v", &["s", "x"], "s \"x\"", "(<'x'>,)", json!([{"type": "s", "data": "x"}]));
}

#[test]
fn a_variant_may_be_what_it_looks_like() {
    let one = |word: &str| arguments("v", &words(&[word])).unwrap().values.remove(0);
    assert_eq!(one("5").unwrapped(), &Value::Int32(5));
    assert_eq!(one("<uint32 5>").unwrapped(), &Value::Uint32(5));
    assert_eq!(one("true").unwrapped(), &Value::Boolean(true));
    assert_eq!(one("some text").unwrapped(), &Value::String("some text".to_owned()));
    let mixed = arguments("a{sv}", &words(&["{\"a\": 1, \"b\": [\"x\"]}"])).unwrap();
    assert_eq!(flat_text(&mixed.values), "2 \"a\" i 1 \"b\" as 1 \"x\"");
    let read = value_json::arguments("a{sv}", &json!([{"a": 1, "b": {"c": true}}])).unwrap();
    assert_eq!(flat_text(&read.values), "2 \"a\" i 1 \"b\" a{sv} 1 \"c\" b true");
}

/// What is wrong with one word that is a variant, and what to type in its place.
#[track_caller]
fn check_half(word: &str, offset: usize, hint: &str) {
    let error = arguments("v", &words(&[word])).unwrap_err();
    assert_eq!((error.word, error.offset), (0, offset), "{error:?}");
    assert_eq!(error.hint.as_deref(), Some(hint), "{error:?}");
}

#[test]
fn half_a_container_is_no_text() {
    check_half("[1", 2, "if a text is meant: s '[1'");
    check_half("[foo]", 1, "if a text is meant: s '[foo]'");
    check_half("()", 0, "if a text is meant: s '()'");
    check_half("'tis", 0, r"if a text is meant: s ''\''tis'");
    check_half("@home", 1, "if a text is meant: s @home");
    let meant = arguments("v", &words(&["s", "[foo]"])).unwrap();
    assert_eq!(flat_text(&meant.values), "s \"[foo]\"");
    let empty = arguments("v", &words(&["[]"])).unwrap_err();
    assert!(empty.what.ends_with("write @as []"), "{empty:?}");
    for typed in [&["as", "0"][..], &["@as []"]] {
        assert_eq!(flat_text(&arguments("v", &words(typed)).unwrap().values), "as 0");
    }
}

#[test]
fn a_descriptor_of_which_there_is_none_is_pointed_at() {
    let hint =
        "a descriptor is a word of its own, fd:3 or @FILE; a container with one is words in a row";
    check_half("<@h 0>", 4, hint);
    check_half("handle 0", 7, hint);
    check_error("ah", &["[0]"], 0, 1, "(type h)");
    let same = arguments("hv", &words(&["@/dev/null", "<@h 0>"])).unwrap();
    assert_eq!(same.values[1].unwrapped(), &Value::UnixFd(0));
    check_error("hv", &["@/dev/null", "<@h 1>"], 1, 4, "(type h)");
}

#[test]
fn a_number_is_sent_as_it_is_typed_or_not_at_all() {
    for typed in ["1e309", "-1e400", "1e-400", "0.00e0001e1"] {
        check_error("d", &[typed], 0, 0, "(type d)");
    }
    for (typed, wanted) in [("inf", "inf"), ("0e5", "0"), ("1e-320", "1e-320"), ("-0.0", "-0")] {
        assert_eq!(flat_text(&arguments("d", &words(&[typed])).unwrap().values), wanted);
    }
}

#[test]
fn examples_are_of_their_types() {
    for (signature, wanted) in [
        ("su", "text 7"),
        ("ogh", "/org/example 'a{sv}' @FILE"),
        ("ybnqiuxtd", "7 true 7 7 7 7 7 7 0.5"),
        ("a{sv}as(sas)v", r#""{'text': <'text'>}" "['text']" "('text', ['text'])" "<'text'>""#),
        ("ay", r#""[7]""#),
        ("aa{ogv}", ""),
        ("", ""),
        ("ah", ""),
    ] {
        let example = super::example(signature).unwrap_or_default();
        assert_eq!(example, wanted);
        let typed: Vec<&str> = wanted.split('"').filter(|word| !word.trim().is_empty()).collect();
        if wanted.starts_with('"') {
            assert!(arguments(signature, &words(&typed)).is_ok(), "{wanted}");
        }
    }
}

#[track_caller]
fn check_error(signature: &str, typed: &[&str], word: usize, offset: usize, wanted: &str) {
    let error: ArgumentError = arguments(signature, &words(typed)).unwrap_err();
    assert_eq!((error.word, error.offset), (word, offset), "{error:?}");
    assert!(error.wanted.contains(wanted), "{error:?}");
}

#[test]
fn what_does_not_fit_is_pointed_at() {
    check_error("su", &["a", "x"], 1, 0, "(type u)");
    check_error("su", &["a"], 1, 0, "(type u)");
    check_error("s", &["a", "b"], 1, 0, "nothing more");
    check_error("y", &["256"], 0, 0, "0 to 255");
    check_error("as", &["['a', 5]"], 0, 6, "(type s)");
    check_error("a{sv}", &["{'a' <5>}"], 0, 5, "a dictionary");
    check_error("o", &["no/path"], 0, 0, "(type o)");
    check_error("as", &["3", "a"], 2, 0, "(type s)");
    check_error("as", &["9999999999", "a"], 0, 0, "(type as)");
    check_error("h", &["fd:9999"], 0, 0, "(type h)");
    check_error("h", &["@/no/such/file"], 0, 0, "(type h)");
    check_error("v", &["<[]>"], 0, 3, "a value");
    let deep = "<".repeat(100);
    check_error("v", &[&deep], 0, 64, "a value");
    assert!(flat::value("v", &mut Words::new(&words(&["ss", "x"]))).is_err());
    let error = arguments("su", &words(&["a", "x"])).unwrap_err();
    let pointing = error.pointing("", &words(&["a", "x"]));
    assert_eq!(pointing, "   a x\n     ^ a whole number of 32 bits, not below 0 (type u)");
}

#[test]
fn json_that_does_not_fit_says_where() {
    let place = |signature: &str, json: serde_json::Value| {
        value_json::arguments(signature, &json).unwrap_err().place
    };
    assert_eq!(place("s", json!([5])), "$[0]");
    assert_eq!(place("a{sas}", json!([{"k": ["a", 5]}])), "$[0].k[1]");
    assert_eq!(place("ss", json!(["a"])), "$");
    assert_eq!(place("s", json!({"data": [null]})), "$.data[0]");
    assert_eq!(place("y", json!([256])), "$[0]");
    assert_eq!(place("s", json!({"type": "i", "data": ["a"]})), "$.type");
    assert_eq!(place("s", json!({"type": 5, "data": ["a"]})), "$.type");
    assert_eq!(place("v", json!([[]])), "$[0]");
    assert_eq!(place("a{sv}", json!([{"k": [["a"], []]}])), "$[0].k[1]");
    let typed = json!({"type": "v", "data": [{"type": "as", "data": []}]});
    assert_eq!(flat_text(&value_json::arguments("v", &typed).unwrap().values), "as 0");
    let error = json_text::parse(r#"[{"a": {"b": 1, "c": 2, "b": 3}}]"#).unwrap_err();
    assert!(error.to_string().starts_with("the key \"b\" comes twice at line 1"), "{error}");
    let text = r#"[null, true, -5, 18446744073709551615, 0.5, "a", {"b": {}, "c": []}]"#;
    assert_eq!(
        json_text::parse(text).unwrap().to_string(),
        text.replace(": ", ":").replace(", ", ",")
    );
}

/// Whatever is typed, it is a value or an error.
#[test]
fn no_text_is_too_odd() {
    let pieces = [
        "<", ">", "[", "]", "{", "}", "(", ")", "'", "\"", "\\", "\\u12", "@", "b'", "é", ",", ":",
        "5", "a",
    ];
    for one in pieces {
        for two in pieces {
            for three in pieces {
                let text = format!("{one}{two}{three}");
                for signature in ["v", "as", "a{sv}", "(s)", "ay", "s"] {
                    let _ = arguments(signature, std::slice::from_ref(&text));
                }
                assert!(kind("").is_none());
            }
        }
    }
}

// protocol.md A018
#[test]
fn typed_values_are_as_deep_as_those_of_messages() {
    let variants = |count: usize| {
        let words = std::iter::repeat_n("v", count - 1).chain(["y", "1"]);
        words.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let made = arguments("v", &variants(64)).unwrap();
    assert_eq!(flat_text(&made.values), format!("{}y 1", "v ".repeat(63)));
    for count in [65, 60_000] {
        let error = arguments("v", &variants(count)).unwrap_err();
        assert_eq!((error.word, error.what.as_str()), (64, TOO_DEEP));
    }
    // What is closed again does not count; a dictionary counts twice.
    assert!(arguments("vv", &[variants(64), variants(64)].concat()).is_ok());
    let entry = |count| [words(&["1", "1"]), variants(count)].concat();
    assert!(arguments("a{yv}", &entry(62)).is_ok());
    assert_eq!(arguments("a{yv}", &entry(63)).unwrap_err().what, TOO_DEEP);
}

const TOO_DEEP: &str = "there are more values inside one another than D-Bus has";

#[test]
fn numbers_are_printed_as_in_c() {
    let check = |value: f64, wanted: &str| assert_eq!(flat::general(value, 6), wanted);
    check(0.0, "0");
    check(-0.0, "-0");
    check(1.0, "1");
    check(0.1, "0.1");
    check(1e300, "1e+300");
    check(1.5e-7, "1.5e-07");
    check(0.000_123_456_78, "0.000123457");
    check(123_456_789.125, "1.23457e+08");
    check(999_999.5, "1e+06");
    check(100_000.0, "100000");
    check(f64::NAN, "nan");
    check(-f64::NAN, "-nan");
    check(f64::NEG_INFINITY, "-inf");
}
