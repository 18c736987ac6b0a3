use super::{Fault, parse};
use crate::value::gvariant::print;

/// What GLib 2.74 says, value by value.
fn check(wanted: Option<&str>, text: &str, printed: &str) {
    let shown = match parse(text, wanted) {
        Ok(value) => {
            let mut out = format!("{} ", value.signature());
            print(&mut out, &value, false);
            out
        }
        Err(Fault::Wrong { offset, .. }) => format!("wrong at {offset}"),
        Err(Fault::Unsendable(why)) => why,
    };
    assert_eq!(shown, printed, "{wanted:?} {text:?}");
}

#[test]
fn the_type_that_is_wanted_counts() {
    check(Some("y"), "010", "y 0x08");
    check(Some("y"), "uint32 5", "y 0x05");
    check(Some("d"), "010", "d 10.0");
    check(Some("d"), "1e-400", "d 0.0");
    check(Some("d"), "1e-320", "wrong at 0");
    check(Some("b"), " true", "b true");
    check(Some("b"), "1", "wrong at 0");
    check(Some("ay"), "b'a\\0b'", "ay b'a'");
    check(Some("s"), "@o 'no path'", "s 'no path'");
    check(Some("(is)"), "(1,'a',)", "wrong at 7");
    check(Some("(i)"), "(1)", "wrong at 2");
    check(Some("a{sv}"), "[{'a',<1>}]", "a{sv} {'a': <1>}");
    check(Some("a{sv}"), "{'a':1}", "wrong at 5");
    check(Some("as"), "['a',]", "wrong at 5");
    check(Some("v"), "1", "wrong at 0");
    check(Some("h"), "-1", "wrong at 0");
}

#[test]
fn what_a_text_looks_like_counts_where_no_type_is_wanted() {
    check(None, "[1, 2.5]", "ad [1.0, 2.5]");
    check(None, "[1, byte 2]", "ay [0x01, 0x02]");
    check(None, "['/a', objectpath '/b']", "ao ['/a', '/b']");
    check(None, "[[], ['a']]", "aas [[], ['a']]");
    check(None, "[{'a', 1}, {'b', int64 2}]", "a{sx} {'a': 1, 'b': 2}");
    check(None, "<@a{sv} {}>", "v <@a{sv} {}>");
    check(None, "{'a': 1.5, 'b': 2}", "a{sd} {'a': 1.5, 'b': 2.0}");
    check(None, "{'a': 1, 'b': 2.5}", "wrong at 14");
    check(None, "-", "i 0");
    check(None, "5000000000", "wrong at 0");
    check(None, "[1,'a']", "wrong at 0");
    check(None, "[]", "wrong at 0");
    check(None, "{(1,): 2}", "wrong at 0");
    check(None, "@(ii 5", "wrong at 0");
    check(None, "()", "Empty structures (tuples) are not allowed in D-Bus");
    for (text, signature) in [("just 5", "mi"), ("[1, nothing]", "ami"), ("{1, 'a'}", "{is}")] {
        let why = format!(
            "Error serializing GVariant with type string “{signature}” to the D-Bus wire format"
        );
        check(None, text, &why);
    }
}

// protocol.md A018
#[test]
fn values_are_as_deep_as_those_of_messages() {
    let nested = |count: usize| format!("{}1{}", "<".repeat(count), ">".repeat(count));
    assert!(parse(&nested(64), None).is_ok());
    assert!(matches!(parse(&nested(65), None), Err(Fault::Unsendable(_))));
    assert!(matches!(parse(&nested(60_000), None), Err(Fault::Wrong { .. })));
    let wrong = format!("@{}i 1", "a".repeat(60_000));
    assert!(matches!(parse(&wrong, None), Err(Fault::Wrong { .. })));
}
