use proptest::prelude::*;

use super::*;

type Outcome = Result<(), NameError>;

fn invalid(index: usize) -> Outcome {
    Err(NameError::InvalidCharacter { index })
}

/// A dotted name of `size` bytes.
fn dotted(prefix: &str, size: usize) -> String {
    format!("{prefix}{}", "a".repeat(size - prefix.len()))
}

fn check<'a, N>(parse: fn(&'a str) -> Result<N, NameError>, text: &'a str, expected: Outcome) {
    assert_eq!(parse(text).map(drop), expected, "{text:?}");
}

#[test]
fn interface_and_error_names() {
    // protocol.md A025, A026
    let longest = dotted("a.", 255);
    let too_long = dotted("a.", 256);
    let rows: &[(&str, Outcome)] = &[
        ("org.freedesktop.DBus", Ok(())),
        ("a.b", Ok(())),
        ("_0._", Ok(())),
        ("a.b9", Ok(())),
        (&longest, Ok(())),
        (&too_long, Err(NameError::TooLong)),
        ("", Err(NameError::Empty)),
        ("a", Err(NameError::SingleElement)),
        (".", Err(NameError::EmptyElement)),
        (".a", Err(NameError::EmptyElement)),
        ("a.", Err(NameError::EmptyElement)),
        ("a..b", Err(NameError::EmptyElement)),
        ("9a.b", Err(NameError::LeadingDigit)),
        ("a.9b", Err(NameError::LeadingDigit)),
        ("a.b-c", invalid(3)),
        ("-a.b", invalid(0)),
        (":1.b", invalid(0)),
        ("a.b/c", invalid(3)),
        ("a.b c", invalid(3)),
        ("a.\u{e9}", invalid(2)),
        ("a.b\0", invalid(3)),
    ];
    for (text, expected) in rows {
        check(InterfaceName::parse, text, *expected);
        check(ErrorName::parse, text, *expected);
    }
}

#[test]
fn member_names() {
    // protocol.md A027
    let longest = "m".repeat(255);
    let too_long = "m".repeat(256);
    check(MemberName::parse, "Hello", Ok(()));
    check(MemberName::parse, "_9", Ok(()));
    check(MemberName::parse, &longest, Ok(()));
    check(MemberName::parse, &too_long, Err(NameError::TooLong));
    check(MemberName::parse, "", Err(NameError::Empty));
    check(MemberName::parse, "9a", Err(NameError::LeadingDigit));
    check(MemberName::parse, "a.b", invalid(1));
    check(MemberName::parse, ".", invalid(0));
    check(MemberName::parse, "a-b", invalid(1));
}

#[test]
fn well_known_names() {
    // protocol.md A028
    let longest = dotted("a.", 255);
    let too_long = dotted("a.", 256);
    check(WellKnownName::parse, "org.freedesktop.DBus", Ok(()));
    check(WellKnownName::parse, "-a.b-9", Ok(()));
    check(WellKnownName::parse, &longest, Ok(()));
    check(WellKnownName::parse, &too_long, Err(NameError::TooLong));
    check(WellKnownName::parse, "", Err(NameError::Empty));
    check(WellKnownName::parse, "a", Err(NameError::SingleElement));
    check(WellKnownName::parse, ".a.b", Err(NameError::EmptyElement));
    check(WellKnownName::parse, "a.b.", Err(NameError::EmptyElement));
    check(WellKnownName::parse, "a.9b", Err(NameError::LeadingDigit));
    check(WellKnownName::parse, ":1.5", invalid(0));
}

#[test]
fn unique_names() {
    // protocol.md A029
    let longest = dotted(":1.", 255);
    let too_long = dotted(":1.", 256);
    check(UniqueName::parse, ":1.0", Ok(()));
    check(UniqueName::parse, ":a-b._.9", Ok(()));
    check(UniqueName::parse, &longest, Ok(()));
    check(UniqueName::parse, &too_long, Err(NameError::TooLong));
    check(UniqueName::parse, "", Err(NameError::Empty));
    check(UniqueName::parse, "1.0", Err(NameError::MissingColon));
    check(UniqueName::parse, ":", Err(NameError::EmptyElement));
    check(UniqueName::parse, ":1", Err(NameError::SingleElement));
    check(UniqueName::parse, ":1.", Err(NameError::EmptyElement));
    check(UniqueName::parse, ":.1", Err(NameError::EmptyElement));
    check(UniqueName::parse, ":1.:", invalid(3));
}

#[test]
fn bus_names() {
    let unique = UniqueName::parse(":1.2").expect("valid");
    let well_known = WellKnownName::parse("a.b").expect("valid");
    assert_eq!(BusName::parse(":1.2"), Ok(BusName::Unique(unique)));
    assert_eq!(BusName::parse("a.b"), Ok(BusName::WellKnown(well_known)));
    assert_eq!(BusName::parse(""), Err(NameError::Empty));
    assert_eq!(BusName::parse(":"), Err(NameError::EmptyElement));
    assert_eq!(BusName::from_static(":1.2"), unique.into());
    assert_eq!(BusName::from_static("a.b"), well_known.into());
}

#[test]
fn object_paths() {
    // protocol.md A024
    let long = format!("/{}", "a".repeat(100_000));
    check(ObjectPath::parse, "/", Ok(()));
    check(ObjectPath::parse, "/a", Ok(()));
    check(ObjectPath::parse, "/9/_/Z", Ok(()));
    check(ObjectPath::parse, &long, Ok(()));
    check(ObjectPath::parse, "", Err(NameError::Empty));
    check(ObjectPath::parse, "a/b", Err(NameError::MissingSlash));
    check(ObjectPath::parse, "/a/", Err(NameError::TrailingSlash));
    check(ObjectPath::parse, "//", Err(NameError::TrailingSlash));
    check(ObjectPath::parse, "//a", Err(NameError::EmptyElement));
    check(ObjectPath::parse, "/a//b", Err(NameError::EmptyElement));
    check(ObjectPath::parse, "/a.b", invalid(2));
    check(ObjectPath::parse, "/a-b", invalid(2));
    check(ObjectPath::parse, "/\u{e9}", invalid(1));
}

#[test]
fn namespaces() {
    // protocol.md A030
    let too_long = "n".repeat(256);
    check(Namespace::parse, "org", Ok(()));
    check(Namespace::parse, "org.a-b", Ok(()));
    check(Namespace::parse, &too_long, Err(NameError::TooLong));
    check(Namespace::parse, "", Err(NameError::Empty));
    check(Namespace::parse, "org.", Err(NameError::EmptyElement));
    check(Namespace::parse, "9", Err(NameError::LeadingDigit));
    check(Namespace::parse, ":1", Ok(()));
    check(Namespace::parse, ":1.2", Ok(()));
    check(Namespace::parse, ":", Err(NameError::EmptyElement));
    check(Namespace::parse, "1:", Err(NameError::LeadingDigit));
    check(Namespace::parse, "a:", invalid(1));
}

#[test]
fn a_namespace_holds_itself_and_what_follows_a_dot() {
    // protocol.md A166
    let namespace = Namespace::parse("com.example.a").expect("valid");
    for (name, expected) in [
        ("com.example.a", true),
        ("com.example.a.b", true),
        ("com.example.ab", false),
        ("com.example", false),
        ("", false),
    ] {
        assert_eq!(namespace.contains(name), expected, "{name:?}");
    }
}

#[test]
#[should_panic(expected = "not a valid name")]
fn a_wrong_constant_is_refused() {
    MemberName::from_static("not one");
}

#[test]
fn every_error_says_something_different() {
    let all = [
        NameError::Empty,
        NameError::TooLong,
        NameError::EmptyElement,
        NameError::SingleElement,
        NameError::LeadingDigit,
        NameError::InvalidCharacter { index: 0 },
        NameError::MissingColon,
        NameError::MissingSlash,
        NameError::TrailingSlash,
    ];
    let texts: std::collections::BTreeSet<_> = all.iter().map(|e| e.to_string()).collect();
    assert_eq!(texts.len(), all.len());
}

/// The rules of A025, A028 and A029 in the words of the specification, slowly.
fn follows_the_rules(text: &str, digit_first: bool, hyphen: bool) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (hyphen && c == '-');
    let elements: Vec<&str> = text.split('.').collect();
    elements.len() >= 2
        && elements.iter().all(|element| {
            element.chars().all(allowed)
                && element.chars().next().is_some_and(|c| digit_first || !c.is_ascii_digit())
        })
}

proptest! {
    #[test]
    fn dotted_names_agree_with_the_rules(text in "[ab0_.:/-]{1,9}|.{1,6}") {
        prop_assert_eq!(InterfaceName::parse(&text).is_ok(), follows_the_rules(&text, false, false));
        prop_assert_eq!(WellKnownName::parse(&text).is_ok(), follows_the_rules(&text, false, true));
        let unique = format!(":{text}");
        prop_assert_eq!(UniqueName::parse(&unique).is_ok(), follows_the_rules(&text, true, true));
    }

    #[test]
    fn paths_agree_with_the_rules(text in "/[ab0_./]{0,8}|.{0,6}") {
        let element = |e: &str| !e.is_empty() && e.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let expected = text == "/"
            || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(element));
        prop_assert_eq!(ObjectPath::parse(&text).is_ok(), expected);
    }

    #[test]
    fn a_name_shows_the_text_it_was_parsed_from(text in "[a-z]{1,5}(\\.[a-z]{1,5}){1,3}") {
        let name = BusName::parse(&text).expect("valid");
        prop_assert_eq!(name.as_str(), &text);
        prop_assert_eq!(name.to_string(), text);
    }
}
